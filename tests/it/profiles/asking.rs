//! Those that can show a challenge: FortiGate, Cisco ASA, GlobalProtect, Ivanti, NetScaler, ocserv, pam_radius.

use vestibule::wire::radius::Code;
use vestibule::wire::radius::attr;

use super::PASSWORD;
use super::World;
use super::as_the_nas_is_shipped;
use super::nas::CLASS;
use super::nas::CONNECT_INFO;
use super::nas::FRAMED_PROTOCOL;
use super::nas::NAS_PORT_TYPE;
use super::nas::Nas;
use super::nas::Signs;
use super::nas::counted;
use super::nas::of_vendor;
use super::nas::said;

const CISCO: u32 = 9;
const CISCO_ASA: u32 = 3076;
const FORTINET: u32 = 12_356;
const PALO_ALTO: u32 = 25_461;
const TUNNEL_CLIENT_ENDPOINT: u8 = 66;
/// NAS-Port-Type Virtual.
const VIRTUAL: u32 = 5;

/// FortiOS 7, SSL VPN: the address in NAS-IP-Address is one of its own interfaces, and not where the packet comes from.
pub(super) fn fortigate(world: &World) -> Nas {
    let usual = vec![
        said(attr::NAS_IDENTIFIER, "FGT-HQ"),
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 10]),
        said(attr::CALLED_STATION_ID, "192.0.2.10"),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
        (attr::FRAMED_IP_ADDRESS, vec![198, 51, 100, 7]),
        counted(NAS_PORT_TYPE, VIRTUAL),
        said(CONNECT_INFO, "vpn-ssl"),
        said(attr::ACCT_SESSION_ID, "5f0c1d7e"),
        of_vendor(FORTINET, 3, b"root"),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn a_fortigate_whose_timers_are_raised_holds_a_push_and_asks_for_a_code() {
    let world = World::of("fortigate");
    let nas = fortigate(&world);
    let accepted = world.held(&nas, &nas.login("alice", PASSWORD));
    assert_eq!((accepted.code, accepted.vendors(FORTINET, 1)), (Code::AccessAccept, vec![b"vpn".to_vec()]));
    let (_, accepted) = world.asked_for_a_code(&nas);
    assert_eq!((accepted.code, accepted.vendors(FORTINET, 1)), (Code::AccessAccept, vec![]), "Bob is not in the group");
}

#[test]
fn a_fortigate_with_its_5_s_is_answered_at_once() {
    let world = World::with("fortigate", None, as_the_nas_is_shipped);
    let nas = fortigate(&world);
    // FortiClient takes an empty answer; the portal's field is empty too.
    assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "").code, Code::AccessAccept);
    assert_eq!(world.asked_for_a_code(&nas).1.code, Code::AccessAccept);
}

/// ASA 9.16, AnyConnect.
fn asa(world: &World) -> Nas {
    let usual = vec![
        counted(attr::NAS_PORT, 0x0001_e000),
        said(attr::CALLED_STATION_ID, "203.0.113.20"),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
        counted(NAS_PORT_TYPE, VIRTUAL),
        said(TUNNEL_CLIENT_ENDPOINT, "198.51.100.7"),
        of_vendor(CISCO, 1, b"mdm-tlv=device-platform=win"),
        of_vendor(CISCO, 1, b"mdm-tlv=device-mac=02-00-5e-10-00-01"),
        (attr::NAS_IP_ADDRESS, vec![10, 1, 1, 20]),
        of_vendor(CISCO, 1, b"ip:source-ip=198.51.100.7"),
        of_vendor(CISCO_ASA, 146, b"STAFF"),
        of_vendor(CISCO_ASA, 150, &2_u32.to_be_bytes()),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn an_asa_resends_a_held_push_and_learns_its_group_policy_from_class() {
    let world = World::of("cisco-asa");
    let nas = asa(&world);
    let accepted = world.held(&nas, &nas.login("alice", PASSWORD));
    assert_eq!((accepted.code, accepted.text(CLASS)), (Code::AccessAccept, Some("OU=staff")));
    assert_eq!(world.asked_for_a_code(&nas).1.code, Code::AccessAccept);
}

#[test]
fn anyconnect_goes_on_with_any_letter_after_an_approval() {
    let world = World::with("cisco-asa", None, as_the_nas_is_shipped);
    let nas = asa(&world);
    let accepted = world.entered(&nas, &nas.login("alice", PASSWORD), "y");
    assert_eq!((accepted.code, accepted.text(CLASS)), (Code::AccessAccept, Some("OU=staff")));
}

/// PAN-OS 11: the person's address stands in an attribute of the vendor, and the NAS-Identifier is the name of the authentication profile.
fn palo_alto(world: &World) -> Nas {
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![10, 1, 1, 30]),
        said(attr::NAS_IDENTIFIER, "vestibule-profile"),
        counted(attr::SERVICE_TYPE, 8),
        of_vendor(PALO_ALTO, 7, b"198.51.100.7"),
        of_vendor(PALO_ALTO, 8, b"Windows 11"),
        of_vendor(PALO_ALTO, 9, b"LAPTOP-7"),
        of_vendor(PALO_ALTO, 10, b"6.2.4"),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn globalprotect_is_answered_before_it_gives_up() {
    let world = World::of("globalprotect");
    let nas = palo_alto(&world);
    assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "x").code, Code::AccessAccept);
    assert_eq!(world.asked_for_a_code(&nas).1.code, Code::AccessAccept);
}

/// Older releases try CHAP first and PAP when that is refused.
#[test]
fn r_063_the_chap_that_globalprotect_tries_first_is_refused_and_rings_nobody() {
    let world = World::of("globalprotect");
    let nas = palo_alto(&world);
    let chap = nas.request("alice", &[(attr::CHAP_PASSWORD, vec![7; 17]), (attr::CHAP_CHALLENGE, vec![9; 16])], None);
    let refused = nas.ask(&chap);
    assert_eq!((refused.code, world.pushes()), (Code::AccessReject, 0));
    assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "x").code, Code::AccessAccept);
}

/// Ivanti Connect Secure 22.
fn ivanti(world: &World) -> Nas {
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![10, 1, 1, 40]),
        counted(attr::NAS_PORT, 0),
        said(attr::NAS_IDENTIFIER, "ics"),
        said(TUNNEL_CLIENT_ENDPOINT, "198.51.100.7"),
        said(attr::ACCT_SESSION_ID, "alice(Users)2026-11-21 10:00:00 Nk3rd"),
    ];
    Nas::new(world, Signs::Always, usual)
}

/// Without the custom rule nobody sees a challenge, so who has a telephone must not get one.
#[test]
fn ivanti_shows_no_challenge_to_whoever_has_a_telephone() {
    let world = World::of("ivanti");
    let nas = ivanti(&world);
    assert_eq!(world.held(&nas, &nas.login("alice", PASSWORD)).code, Code::AccessAccept);
    // The rule matches a Reply-Message, which is there.
    assert_eq!(world.asked_for_a_code(&nas).1.code, Code::AccessAccept);
}

/// NetScaler 14.1 with -callingstationid ENABLED.
fn netscaler(world: &World) -> Nas {
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 50]),
        counted(attr::NAS_PORT, 1),
        counted(NAS_PORT_TYPE, VIRTUAL),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn netscaler_waits_during_a_push_and_asks_for_a_code() {
    let world = World::of("netscaler");
    let nas = netscaler(&world);
    assert_eq!(world.held(&nas, &nas.login("alice", PASSWORD)).code, Code::AccessAccept);
    assert_eq!(world.asked_for_a_code(&nas).1.code, Code::AccessAccept);
}

#[test]
fn netscaler_with_its_3_s_is_answered_at_once() {
    let world = World::with("netscaler", None, as_the_nas_is_shipped);
    let nas = netscaler(&world);
    assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "ok").code, Code::AccessAccept);
}

/// ocserv 1.1 with a radcli before 1.5.0: nothing is signed.
fn ocserv(world: &World, signs: Signs) -> Nas {
    let usual = vec![
        counted(attr::SERVICE_TYPE, 2),
        counted(FRAMED_PROTOCOL, 1),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
        said(CONNECT_INFO, "AnyConnect-compatible OpenConnect VPN Agent v9.12"),
        counted(NAS_PORT_TYPE, VIRTUAL),
        said(attr::NAS_IDENTIFIER, "ocserv"),
        (attr::NAS_IP_ADDRESS, vec![127, 0, 1, 1]),
        counted(attr::NAS_PORT, 0),
    ];
    Nas::new(world, signs, usual)
}

#[test]
fn r_045_ocserv_wants_a_state_and_a_text_in_each_challenge() {
    for signs in [Signs::Never, Signs::Always] {
        let world = World::of("ocserv");
        let nas = ocserv(&world, signs);
        assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "x").code, Code::AccessAccept);
        let (challenge, accepted) = world.asked_for_a_code(&nas);
        assert!(challenge.state.is_some() && !challenge.message.is_empty());
        assert_eq!(accepted.code, Code::AccessAccept);
        let accounting = world.house.ready["radius_accounting"][0].as_str().unwrap().parse().unwrap();
        assert!(nas.tells_of_a_session(accounting, "alice"));
    }
}

/// pam_radius_auth below sshd: Authenticate-Only, the process for a port, and whoever connects as Calling-Station-Id.
fn pam_radius(world: &World, signs: Signs) -> Nas {
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![127, 0, 1, 1]),
        said(attr::NAS_IDENTIFIER, "sshd"),
        counted(attr::NAS_PORT, 41_077),
        counted(NAS_PORT_TYPE, VIRTUAL),
        counted(attr::SERVICE_TYPE, 8),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
    ];
    Nas::new(world, signs, usual)
}

#[test]
fn pam_radius_with_60_s_holds_a_push_and_prompts_for_a_code() {
    // 2.0.0 signs nothing, 3.0.0 everything.
    for signs in [Signs::Never, Signs::Always] {
        let world = World::of("pam-radius");
        let nas = pam_radius(&world, signs);
        assert_eq!(world.held(&nas, &nas.login("alice", PASSWORD)).code, Code::AccessAccept);
        let (challenge, accepted) = world.asked_for_a_code(&nas);
        assert!(challenge.state.is_some() && !challenge.message.is_empty(), "the module takes nothing else for a challenge");
        assert_eq!(accepted.code, Code::AccessAccept);
    }
}

#[test]
fn pam_radius_with_its_3_s_is_answered_at_once() {
    let world = World::with("pam-radius", None, as_the_nas_is_shipped);
    let nas = pam_radius(&world, Signs::Always);
    assert_eq!(world.entered(&nas, &nas.login("alice", PASSWORD), "").code, Code::AccessAccept);
}
