//! Those that a server behind us checks: RD Gateway without a credential, strongSwan by EAP, FortiGate and MikroTik by MS-CHAPv2.

use vestibule::wire::radius::Code;
use vestibule::wire::radius::Request;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::carry::Carried;

use super::World;
use super::asking::fortigate;
use super::nas::CLASS;
use super::nas::FRAMED_PROTOCOL;
use super::nas::MICROSOFT;
use super::nas::NAS_PORT_ID;
use super::nas::NAS_PORT_TYPE;
use super::nas::Nas;
use super::nas::Signs;
use super::nas::counted;
use super::nas::of_vendor;
use super::nas::random;
use super::nas::said;
use super::upstream::Says;
use super::upstream::Upstream;
use super::upstream::carrying;
use super::upstream::eap_of;
use super::upstream::read;

const VIRTUAL: u32 = 5;
/// MS-Network-Access-Server-Type, MS-Machine-Name; 2 is a terminal server gateway.
const MS_SERVER_TYPE: u8 = 47;
const MS_MACHINE_NAME: u8 = 50;
/// What a central NPS says to a gateway: whether to send devices through.
const MS_RDG_DEVICE_REDIRECTION: u8 = 63;

const SEND_KEY: [u8; 32] = [0x5e; 32];
const RECV_KEY: [u8; 32] = [0xec; 32];

/// NPS lets in: Class, and what the gateway is to do with devices.
fn nps(_: &Request<'_>) -> Says {
    let mut carried = carrying(&[(CLASS, b"nps 7"), (attr::SESSION_TIMEOUT, &28_800_u32.to_be_bytes())]);
    carried.push_vendor(MICROSOFT, MS_RDG_DEVICE_REDIRECTION, &1_u32.to_be_bytes()).unwrap();
    Says::Accept(carried)
}

/// The gateway's own NPS passes on what RD Gateway asks: a name, no credential, and a Proxy-State.
fn rd_gateway(world: &World) -> Nas {
    let usual = vec![
        counted(attr::SERVICE_TYPE, 12),
        said(attr::CALLED_STATION_ID, "UserAuthType:PW"),
        (attr::CALLING_STATION_ID, vec![]),
        counted(NAS_PORT_TYPE, VIRTUAL),
        of_vendor(MICROSOFT, MS_SERVER_TYPE, &2_u32.to_be_bytes()),
        of_vendor(MICROSOFT, MS_MACHINE_NAME, b"LAPTOP-7"),
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 70]),
        (attr::PROXY_STATE, vec![0xfe, 0x80, 0, 7]),
    ];
    Nas::new(world, Signs::Always, usual)
}

#[test]
fn r_064_rd_gateway_asks_without_a_credential_and_gets_what_nps_said_after_the_tap() {
    let upstream = Upstream::open(nps);
    let world = World::with("rd-gateway", Some(upstream.address), str::to_owned);
    let nas = rd_gateway(&world);
    let accepted = world.held(&nas, &nas.request(r"EXAMPLE\alice", &[], None));
    assert_eq!((accepted.code, accepted.text(CLASS), accepted.number(attr::SESSION_TIMEOUT)), (Code::AccessAccept, Some("nps 7"), Some(28_800)));
    assert_eq!(accepted.vendors(MICROSOFT, MS_RDG_DEVICE_REDIRECTION), [1_u32.to_be_bytes().to_vec()]);
    assert_eq!(accepted.proxy_states, [[0xfe, 0x80, 0, 7]]);
    let asked = upstream.asked();
    let request = read(&asked[0]);
    assert_eq!((asked.len(), request.text(attr::CALLED_STATION_ID)), (1, Some("UserAuthType:PW")));
}

/// mstsc may open two connections at a time. Nothing in the requests tells that both are of one person, so nobody takes the other's approval.
#[test]
fn r_055_two_connections_of_one_rd_client_are_two_pushes_one_after_the_other() {
    let upstream = Upstream::open(nps);
    let world = World::with("rd-gateway", Some(upstream.address), str::to_owned);
    let nas = rd_gateway(&world);
    let (one, two) = (nas.request(r"EXAMPLE\alice", &[], None), nas.request(r"EXAMPLE\alice", &[], None));
    nas.send(&one);
    world.rung(1);
    nas.send(&two);
    nas.waits_until_read();
    for (sent, pushes) in [(&one, 1), (&two, 2)] {
        world.rung(pushes);
        // Before it is approved: whoever waits goes on at once, perhaps before the answer is heard here.
        assert_eq!(world.pushes(), pushes);
        world.approve();
        assert_eq!(nas.hears(sent).code, Code::AccessAccept);
    }
}

#[test]
fn r_037_an_unsigned_request_without_a_credential_hears_nothing() {
    let upstream = Upstream::open(nps);
    let world = World::with("rd-gateway", Some(upstream.address), str::to_owned);
    let careless = Nas::new(&world, Signs::Never, vec![counted(NAS_PORT_TYPE, VIRTUAL), said(attr::CALLED_STATION_ID, "UserAuthType:PW")]);
    careless.send(&careless.request(r"EXAMPLE\alice", &[], None));
    careless.hears_nothing();
    assert_eq!((world.pushes(), upstream.asked().len()), (0, 0));
}

/// EAP in three packets: an identity, a method's one question, its answer. `named` is the User-Name of the Access-Accept.
fn eap_server(named: &'static str) -> Upstream {
    Upstream::open(move |request| match request.state() {
        None => Says::Challenge(b"eap 1", carrying(&[(attr::EAP_MESSAGE, b"\x01\x02\x00\x06\x1a\x01"), (attr::SESSION_TIMEOUT, &30_u32.to_be_bytes())])),
        Some(_) => {
            let mut carried = carrying(&[(attr::USER_NAME, named.as_bytes()), (attr::EAP_MESSAGE, b"\x03\x02\x00\x04"), (CLASS, b"eap")]);
            carried.push_mppe_keys(&SEND_KEY, &RECV_KEY).unwrap();
            Says::Accept(carried)
        }
    })
}

/// strongSwan 5.9: the ports of IKE behind both addresses.
fn strongswan(world: &World) -> Nas {
    let usual = vec![
        counted(attr::SERVICE_TYPE, 2),
        counted(NAS_PORT_TYPE, VIRTUAL),
        counted(attr::NAS_PORT, 3),
        said(NAS_PORT_ID, "rw-eap"),
        (attr::NAS_IP_ADDRESS, vec![192, 0, 2, 100]),
        said(attr::CALLED_STATION_ID, "192.0.2.100[4500]"),
        said(attr::CALLING_STATION_ID, "198.51.100.7[4500]"),
        said(attr::NAS_IDENTIFIER, "strongSwan"),
    ];
    Nas::new(world, Signs::Always, usual)
}

/// The client's first EAP packet, from this outer identity.
fn identity(outer: &str) -> (u8, Vec<u8>) {
    let length = u16::try_from(5 + outer.len()).unwrap().to_be_bytes();
    (attr::EAP_MESSAGE, [&[2, 1][..], &length, &[1], outer.as_bytes()].concat())
}

const EAP_ANSWER: &[u8] = b"\x02\x02\x00\x06\x1a\x02";

#[test]
fn r_085_strongswan_gets_eap_success_and_its_keys_after_the_tap_alone() {
    let upstream = eap_server("alice");
    let world = World::with("strongswan", Some(upstream.address), str::to_owned);
    let nas = strongswan(&world);
    let challenge = nas.ask(&nas.request("anonymous", &[identity("anonymous")], None));
    assert_eq!((challenge.code, challenge.carried.eap()), (Code::AccessChallenge, Some(b"\x01\x02\x00\x06\x1a\x01".to_vec())));
    assert!(challenge.message.is_empty(), "no text beside EAP");
    let more = [(attr::STATE, challenge.state.clone().unwrap()), (attr::EAP_MESSAGE, EAP_ANSWER.to_vec())];
    let accepted = world.held(&nas, &nas.request("anonymous", &more, None));
    assert_eq!((accepted.code, accepted.carried.eap()), (Code::AccessAccept, Some(b"\x03\x02\x00\x04".to_vec())));
    assert_eq!(accepted.vendors(MICROSOFT, attr::MS_MPPE_SEND_KEY), [SEND_KEY]);
    assert_eq!(accepted.vendors(MICROSOFT, attr::MS_MPPE_RECV_KEY), [RECV_KEY]);
    assert_eq!((accepted.text(attr::USER_NAME), accepted.text(CLASS)), (Some("alice"), Some("eap")));
    let asked = upstream.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((eap_of(&read(&asked[1])), read(&asked[1]).state()), (EAP_ANSWER.to_vec(), Some(&b"eap 1"[..])));
}

/// As shipped strongSwan writes a port behind the person's address.
#[test]
fn whoever_comes_by_strongswan_from_a_trusted_network_needs_no_push() {
    let upstream = eap_server("alice");
    let trusting = |text: &str| text.replace("\n[policy.vpn]\n", "\n[policy.vpn]\ntrusted = [\"198.51.100.0/24\"]\n");
    let world = World::with("strongswan", Some(upstream.address), trusting);
    let nas = strongswan(&world);
    let challenge = nas.ask(&nas.request("anonymous", &[identity("anonymous")], None));
    let more = [(attr::STATE, challenge.state.clone().unwrap()), (attr::EAP_MESSAGE, EAP_ANSWER.to_vec())];
    assert_eq!((nas.ask(&nas.request("anonymous", &more, None)).code, world.pushes()), (Code::AccessAccept, 0));
}

/// The outer identity counts where the administrator says that the upstream has checked it, and the method can have checked it.
#[test]
fn r_087_an_outer_identity_is_somebody_only_where_the_upstream_is_known_to_check_it() {
    const TLS: u8 = 13;
    const PEAP: u8 = 25;
    const MS_CHAP_V2: u8 = 26;
    let cases = [
        ("", PEAP, Code::AccessReject),
        ("user_name = \"inner\"", PEAP, Code::AccessAccept),
        ("user_name = \"inner\"", TLS, Code::AccessReject),
        ("user_name = \"certificate\"", TLS, Code::AccessAccept),
        ("user_name = \"inner\"", MS_CHAP_V2, Code::AccessReject),
    ];
    for (line, method, code) in cases {
        let upstream = eap_server("alice");
        let rewritten = |text: &str| text.replace("\n[upstream.nps]\n", &format!("\n[upstream.nps]\n{line}\n"));
        let world = World::with("strongswan", Some(upstream.address), rewritten);
        let nas = strongswan(&world);
        let challenge = nas.ask(&nas.request("alice", &[identity("alice")], None));
        let more = [(attr::STATE, challenge.state.clone().unwrap()), (attr::EAP_MESSAGE, vec![2, 2, 0, 6, method, 2])];
        let sent = nas.request("alice", &more, None);
        let heard = if code == Code::AccessAccept { world.held(&nas, &sent) } else { nas.ask(&sent) };
        assert_eq!(heard.code, code, "{line} {method}");
        assert_eq!(heard.carried.vendor(MICROSOFT, attr::MS_MPPE_SEND_KEY).count(), usize::from(code == Code::AccessAccept));
    }
}

/// MS-CHAPv2 is right: its success, its keys, a group.
fn ms_chap_server(request: &Request<'_>) -> Says {
    assert!(request.ms_chap2().is_some() && request.state().is_none());
    let mut carried: Carried = carrying(&[(CLASS, b"vpn")]);
    carried.push_vendor(MICROSOFT, attr::MS_CHAP2_SUCCESS, b"\x07S=0123456789ABCDEF0123456789ABCDEF01234567").unwrap();
    carried.push_mppe_keys(&SEND_KEY, &RECV_KEY).unwrap();
    Says::Accept(carried)
}

fn ms_chap(response: &[u8; 50]) -> [(u8, Vec<u8>); 2] {
    [of_vendor(MICROSOFT, attr::MS_CHAP_CHALLENGE, &random::<16>()), of_vendor(MICROSOFT, attr::MS_CHAP2_RESPONSE, response)]
}

fn by_upstream(text: &str) -> String {
    let text = text.replace("first = { directory = \"corp\" }", "first = { upstream = \"nps\" }\nidentify = \"corp\"");
    format!("{text}\n[upstream.nps]\nservers = [\"192.0.2.11:1812\"]\nsecret = {{ credential = \"nps\" }}\n")
}

/// The answer to a challenge stands in the MS-CHAP2-Response: six digits behind its first two octets.
#[test]
fn r_097_a_fortigate_with_ms_chap_v2_answers_in_its_response() {
    let upstream = Upstream::open(ms_chap_server);
    let world = World::with("fortigate", Some(upstream.address), by_upstream);
    let nas = fortigate(&world);
    let code = world.code_of_bob();
    let response = [&[7, 0][..], &random::<16>(), &[0; 8], &random::<24>()].concat().try_into().unwrap();
    let challenge = nas.ask(&nas.request("bob", &ms_chap(&response), None));
    challenge.asks("Enter your code:");
    let mut answer = [0; 50];
    answer[0] = 8;
    answer[2..8].copy_from_slice(code.as_bytes());
    let more = [&[(attr::STATE, challenge.state.clone().unwrap())][..], &ms_chap(&answer)].concat();
    let accepted = nas.ask(&nas.request("bob", &more, None));
    assert_eq!((accepted.code, accepted.text(CLASS)), (Code::AccessAccept, Some("vpn")));
    assert_eq!(accepted.vendors(MICROSOFT, attr::MS_CHAP2_SUCCESS)[0][..3], *b"\x07S=");
    assert_eq!(accepted.vendors(MICROSOFT, attr::MS_MPPE_SEND_KEY), [SEND_KEY]);
    assert_eq!(upstream.asked().len(), 1, "the code is ours to check");
}

/// Where MS-CHAPv2 must stay.
#[test]
fn r_073_mikrotik_with_ms_chap_v2_gets_its_keys_after_the_tap() {
    let upstream = Upstream::open(ms_chap_server);
    let world = World::with("mikrotik", Some(upstream.address), by_upstream);
    let usual = vec![
        counted(attr::SERVICE_TYPE, 2),
        counted(FRAMED_PROTOCOL, 1),
        said(attr::CALLING_STATION_ID, "198.51.100.7"),
        said(attr::NAS_IDENTIFIER, "MikroTik"),
    ];
    let nas = Nas::new(&world, Signs::Always, usual);
    let response = [&[7, 0][..], &random::<16>(), &[0; 8], &random::<24>()].concat().try_into().unwrap();
    let accepted = world.held(&nas, &nas.request("alice", &ms_chap(&response), None));
    assert_eq!((accepted.code, accepted.vendors(MICROSOFT, attr::MS_MPPE_RECV_KEY)), (Code::AccessAccept, vec![RECV_KEY.to_vec()]));
    assert_eq!(accepted.vendors(MICROSOFT, attr::MS_CHAP2_SUCCESS).len(), 1);
}
