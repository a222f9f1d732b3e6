//! Those that know yes and no: SonicWall, OpenVPN, MikroTik, Meraki, PostgreSQL. A code stands behind the password.

use vestibule::wire::radius::Code;
use vestibule::wire::radius::attr;

use super::PASSWORD;
use super::World;
use super::nas::FILTER_ID;
use super::nas::FRAMED_PROTOCOL;
use super::nas::NAS_PORT_ID;
use super::nas::NAS_PORT_TYPE;
use super::nas::Nas;
use super::nas::Signs;
use super::nas::counted;
use super::nas::said;

/// NAS-Port-Type Virtual.
const VIRTUAL: u32 = 5;
/// Service-Type Framed, Framed-Protocol PPP.
const FRAMED: u32 = 2;
const PPP: u32 = 1;

/// A push that is held, a code behind the password, and a password alone of somebody who has no telephone: a refusal, never a challenge.
fn says_yes_or_no(world: &World, nas: &Nas) {
    assert_eq!(world.held(nas, &nas.login("alice", PASSWORD)).code, Code::AccessAccept);
    let code = world.code_of_bob();
    assert_eq!(nas.ask(&nas.login("bob", PASSWORD)).code, Code::AccessReject);
    let with_code = nas.login("bob", &format!("{PASSWORD},{code}"));
    let accepted = nas.ask(&with_code);
    assert_eq!(accepted.code, Code::AccessAccept);
    assert_eq!(nas.ask(&with_code).bytes, accepted.bytes, "sent again it is no second use of the code");
    // What Windows has stored is refused the next time.
    assert_eq!(nas.ask(&nas.login("bob", &format!("{PASSWORD},{code}"))).code, Code::AccessReject);
}

#[test]
fn sonicwall_says_yes_or_no_and_learns_the_group_from_filter_id() {
    let world = World::of("sonicwall");
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 60]),
        counted(attr::NAS_PORT, 0),
        counted(attr::SERVICE_TYPE, 1),
        said(attr::CALLED_STATION_ID, "203.0.113.60"),
    ];
    let nas = Nas::new(&world, Signs::Always, usual);
    let accepted = world.held(&nas, &nas.login("alice", PASSWORD));
    assert_eq!((accepted.code, accepted.text(FILTER_ID)), (Code::AccessAccept, Some("SSLVPN Services")));
    says_yes_or_no(&world, &nas);
}

/// radiusplugin 2.1, which signs nothing and reports each session.
#[test]
fn the_plug_in_of_openvpn_signs_nothing_and_reports_its_sessions() {
    let world = World::of("openvpn");
    let usual = vec![
        said(attr::NAS_IDENTIFIER, "OpenVpn"),
        (attr::NAS_IP_ADDRESS, vec![127, 0, 0, 1]),
        counted(attr::NAS_PORT, 1),
        counted(NAS_PORT_TYPE, VIRTUAL),
        counted(attr::SERVICE_TYPE, 5),
        counted(FRAMED_PROTOCOL, PPP),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
    ];
    let nas = Nas::new(&world, Signs::Never, usual);
    says_yes_or_no(&world, &nas);
    let accounting = world.house.ready["radius_accounting"][0].as_str().unwrap().parse().unwrap();
    assert!(nas.tells_of_a_session(accounting, "alice"), "the plug-in waits for this answer");
}

/// RouterOS 7, L2TP.
fn mikrotik(world: &World) -> Nas {
    let usual = vec![
        counted(attr::SERVICE_TYPE, FRAMED),
        counted(FRAMED_PROTOCOL, PPP),
        counted(attr::NAS_PORT, 15_728_653),
        counted(NAS_PORT_TYPE, VIRTUAL),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
        said(attr::CALLED_STATION_ID, "203.0.113.110"),
        said(NAS_PORT_ID, "<l2tp-0>"),
        said(attr::ACCT_SESSION_ID, "8180000d"),
        said(attr::NAS_IDENTIFIER, "MikroTik"),
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 110]),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn mikrotik_says_yes_or_no() {
    let world = World::of("mikrotik");
    says_yes_or_no(&world, &mikrotik(&world));
}

/// MX, client VPN: the Calling-Station-Id is a word, and tells nobody's address.
#[test]
fn meraki_says_yes_or_no_and_its_calling_station_is_no_address() {
    let world = World::of("meraki");
    let usual = vec![
        (attr::NAS_IP_ADDRESS, vec![6, 77, 31, 9]),
        said(attr::CALLING_STATION_ID, "CLIENTVPN"),
        counted(attr::NAS_PORT, 0),
        counted(NAS_PORT_TYPE, VIRTUAL),
        counted(attr::SERVICE_TYPE, FRAMED),
        counted(FRAMED_PROTOCOL, PPP),
    ];
    says_yes_or_no(&world, &Nas::new(&world, Signs::Always, usual));
}

/// PostgreSQL 16: four attributes, unsigned, each try from a port of its own.
fn postgresql(world: &World) -> Nas {
    Nas::new(world, Signs::Never, vec![counted(attr::SERVICE_TYPE, 8), said(attr::NAS_IDENTIFIER, "orders-db")])
}

#[test]
fn postgresql_takes_a_code_behind_the_password_and_nothing_else() {
    let world = World::of("postgresql");
    let nas = postgresql(&world);
    let code = world.code_of_bob();
    assert_eq!(nas.ask(&nas.login("bob", PASSWORD)).code, Code::AccessReject);
    let nas = postgresql(&world);
    assert_eq!(nas.ask(&nas.login("bob", &format!("{PASSWORD},{code}"))).code, Code::AccessAccept);
}
