//! What a request becomes, and which requests are rejected as they are.

use std::sync::Arc;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Md5;

use super::SECRET;
use super::World;
use super::client;
use crate::domain::Appended;
use crate::domain::Approval;
use crate::domain::CodeEntry;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Door;
use crate::domain::Method;
use crate::domain::Outage;
use crate::domain::Primary;
use crate::domain::Secret;
use crate::engine::Outcome;
use crate::front::radius::Charset;
use crate::front::radius::Client;
use crate::front::radius::First;
use crate::front::radius::answer::Reply;
use crate::front::radius::answer::Writer;
use crate::front::radius::map;
use crate::front::radius::map::Errand;
use crate::front::radius::map::Manner;
use crate::front::radius::map::Unfit;
use crate::ports::Aside;
use crate::wire::radius::Integrity;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::reply::Asked;
use crate::wire::radius::upstream::AccessRequest;
use crate::wire::radius::upstream::verify_reply;

fn errand(request: &AccessRequest, client: &Client) -> Errand {
    let bytes = request.signed(SECRET).unwrap();
    map::read(&Request::verify(&bytes, SECRET, client.integrity).unwrap(), client, PEER.parse().unwrap())
}

/// EAP-Start, which has no octet (RFC 3579 §2.1): the codec sends no empty attribute, so it is put in by hand.
fn signed_with_empty_eap() -> Vec<u8> {
    let mut bytes = request().with(attr::EAP_MESSAGE, b"?").signed(SECRET).unwrap();
    bytes.pop();
    let at = bytes.len() - 1;
    bytes[at] = 2;
    bytes[3] -= 1;
    bytes[22..38].fill(0);
    let seal = Hmac::<Md5>::new_from_slice(SECRET).unwrap().chain_update(&bytes).finalize().into_bytes();
    bytes[22..38].copy_from_slice(&seal);
    bytes
}

const PEER: &str = "192.0.2.9:1000";

fn fixture() -> Client {
    client(&World::new(), Method::Oath)
}

fn request() -> AccessRequest {
    AccessRequest::new(1, *b"random, no doubt").with(attr::USER_NAME, b"alice")
}

fn unfit(request: &AccessRequest) -> Option<Unfit> {
    match errand(request, &fixture()) {
        Errand::Refuse(unfit) => Some(unfit),
        Errand::Answer(_) | Errand::Begin(_) => None,
    }
}

fn begin(request: &AccessRequest, client: &Client) -> crate::domain::AuthRequest {
    match errand(request, client) {
        Errand::Begin(login) => *login,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_is_a_login_in_the_door_s_words() {
    let login = begin(&request().password(b"open sesame"), &fixture());
    let Primary::Password(password) = &login.primary else { panic!("{login:?}") };
    assert_eq!((login.door, login.client.as_str(), login.login.as_str(), password.expose()), (Door::Radius, "fortigate", "alice", &b"open sesame"[..]));
    assert_eq!(login.dialogue.prompt.as_deref(), Some("Enter your code:"));
    assert!(login.appended.is_none() && login.source.is_none());

    let mut appending = fixture();
    appending.code = CodeEntry::Append(",".into());
    let login = begin(&request().password(b"open sesame,123456"), &appending);
    let Primary::Password(password) = &login.primary else { panic!("{login:?}") };
    assert_eq!((password.expose(), login.appended), (&b"open sesame"[..], Some(Appended::Code(Secret::from("123456")))));
    assert_eq!(login.dialogue.prompt, None);
}

#[test]
fn r_011_control_characters_in_name_or_password_are_rejected() {
    let nameless = AccessRequest::new(1, [1; 16]);
    for name in ["ali\0ce", "alice\n", "\u{1b}alice", "ali\u{85}ce"] {
        assert_eq!(unfit(&nameless.clone().with(attr::USER_NAME, name.as_bytes()).password(b"x")), Some(Unfit::BadName));
    }
    for password in [&b"pass\0word"[..], b"pass\nword", b"\x7f", b"\xff\x01", "\u{9b}x".as_bytes()] {
        assert_eq!(unfit(&request().password(password)), Some(Unfit::BadPassword), "{password:?}");
    }
    assert_eq!(unfit(&request().password("pässwörd €".as_bytes())), None);
    assert_eq!(unfit(&request().password(b"latin-1 \xe4")), None);
}

#[test]
fn a_request_without_a_name_is_rejected() {
    let nameless = AccessRequest::new(1, [1; 16]);
    assert_eq!(unfit(&nameless.clone().password(b"x")), Some(Unfit::BadName));
    assert_eq!(unfit(&nameless.with(attr::USER_NAME, b"\xff\xfe").password(b"x")), Some(Unfit::BadName));
}

#[test]
fn r_060_a_password_of_impossible_length_is_rejected() {
    assert_eq!(unfit(&request().with(attr::USER_PASSWORD, &[1; 17])), Some(Unfit::BadPassword));
    assert_eq!(unfit(&request().with(attr::USER_PASSWORD, &[1; 144])), Some(Unfit::BadPassword));
}

#[test]
fn r_061_a_password_is_read_in_the_charset_of_its_client_and_in_no_other() {
    let read = |charset, typed: &[u8]| match begin(&request().password(typed), &Client { charset, ..fixture() }).primary {
        Primary::Password(password) => password.expose().to_vec(),
        other => panic!("{other:?}"),
    };
    let (latin, unicode) = (b"p\xe4ssw\xf6rd \xa4".as_slice(), "pässwörd ¤".as_bytes());
    assert_eq!(read(Charset::Latin1, latin), unicode);
    assert_eq!(read(Charset::Utf8, unicode), unicode);
    // Each is taken at the client's word: nothing is tried a second time in another way.
    assert_eq!(read(Charset::Utf8, latin), latin);
    assert_eq!(read(Charset::Latin1, unicode), "pÃ¤sswÃ¶rd Â¤".as_bytes());
    // An octet that is a control character there.
    let latin = Client { charset: Charset::Latin1, ..fixture() };
    assert!(matches!(errand(&request().password(b"p\x84ss"), &latin), Errand::Refuse(Unfit::BadPassword)));
}

#[test]
fn r_061_an_answer_for_the_server_behind_us_is_rewritten_like_a_password() {
    let world = World::new();
    let upstream =
        Client { first: First::Upstream { check: world.clone(), without_credential: false }, charset: Charset::Latin1, ..client(&world, Method::Push) };
    let relayed = |primary: Primary| match primary {
        Primary::Relayed(relayed) => Forward::from_bytes(relayed.packet.expose()).unwrap().attributes().first(attr::USER_PASSWORD).unwrap().value.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(relayed(begin(&request().password(b"r\xf6t"), &upstream).primary), "röt".as_bytes());
    let Errand::Answer(answer) = errand(&request().with(attr::STATE, b"state").password(b"r\xf6t"), &upstream) else { panic!() };
    assert_eq!(relayed(answer.said), "röt".as_bytes());
}

#[test]
fn r_062_r_063_chap_eap_and_ms_chap_are_rejected_alone_and_beside_a_password() {
    let microsoft = [&[0, 0, 1, 55, 25, 52][..], &[0; 50]].concat();
    for (kind, value) in [(attr::CHAP_PASSWORD, &[0; 17][..]), (attr::EAP_MESSAGE, b"\x02\x01\x00\x05\x01"), (attr::ARAP_PASSWORD, &[0; 16]), (26, &microsoft)]
    {
        assert_eq!(unfit(&request().with(kind, value)), Some(Unfit::OtherCredential), "{kind}");
        assert_eq!(unfit(&request().with(kind, value).password(b"open sesame")), Some(Unfit::OtherCredential), "{kind}");
    }
}

#[test]
fn r_080_r_086_eap_from_the_wrong_side_or_in_scattered_pieces_is_rejected_and_a_start_is_relayed() {
    let world = World::new();
    let upstream = Client { first: First::Upstream { check: world.clone(), without_credential: false }, ..client(&world, Method::Push) };
    let asked = |pieces: &[(u8, &[u8])]| errand(&pieces.iter().fold(request(), |request, (kind, value)| request.with(*kind, value)), &upstream);
    let identity = [(attr::EAP_MESSAGE, &b"\x02\x01\x00\x0a\x01alice"[..])];
    assert!(matches!(asked(&identity), Errand::Begin(_)));
    let start = Request::verify(&signed_with_empty_eap(), SECRET, upstream.integrity).map(|request| map::read(&request, &upstream, PEER.parse().unwrap()));
    assert!(matches!(start, Ok(Errand::Begin(_))));
    let somebody_else = [(attr::EAP_MESSAGE, &b"\x02\x01\x00\x0a\x01aliCe"[..])];
    assert!(matches!(asked(&somebody_else), Errand::Refuse(Unfit::EapIdentity)), "R-087: both are outer names");
    let from_the_nas = [(attr::EAP_MESSAGE, &b"\x01\x01\x00\x05\x01"[..])];
    assert!(matches!(asked(&from_the_nas), Errand::Refuse(Unfit::BadEap)));
    let scattered = [(attr::EAP_MESSAGE, &b"\x02\x01\x00\x0a\x01"[..]), (attr::NAS_PORT, &[0; 4]), (attr::EAP_MESSAGE, b"alice")];
    assert!(matches!(asked(&scattered), Errand::Refuse(Unfit::BadEap)));
}

#[test]
fn r_064_where_nothing_proves_the_secret_a_client_that_checks_passwords_itself_sends_a_code_or_nothing() {
    let world = World::new();
    let waived = Client { first: First::Waived(world.clone()), integrity: Integrity::Optional, ..client(&world, Method::Push) };
    let unsigned = |typed: &[u8]| {
        let signed = request().password(typed).signed(SECRET).unwrap();
        let mut bytes = [&signed[..20], &signed[38..]].concat();
        bytes[3] -= 18;
        map::read(&Request::verify(&bytes, SECRET, waived.integrity).unwrap(), &waived, PEER.parse().unwrap())
    };
    assert!(matches!(unsigned(b"rubbish that is a text"), Errand::Refuse(Unfit::Unproven)));
    assert!(matches!(unsigned(b"123456"), Errand::Begin(_)));
    assert!(matches!(errand(&request().password(b"whatever the NAS has checked"), &waived), Errand::Begin(_)), "signed it is as good as nothing");
}

#[test]
fn r_097_ms_chap_is_offered_no_challenge_but_by_a_client_that_answers_it_in_its_own_way() {
    let world = World::new();
    let with = |code_in_ms_chap2| Client { first: First::MsChap2(world.clone()), code_in_ms_chap2, ..client(&world, Method::Oath) };
    let challenge = [&[0, 0, 1, 55, 11, 18][..], &[1; 16]].concat();
    let response = [&[0, 0, 1, 55, 25, 52][..], &[9, 0], &[1; 16], &[0; 8], &[2; 24]].concat();
    let proof = request().with(attr::VENDOR_SPECIFIC, &challenge).with(attr::VENDOR_SPECIFIC, &response);
    assert_eq!(begin(&proof, &with(false)).dialogue.prompt, None);
    assert_eq!(begin(&proof, &with(true)).dialogue.prompt.as_deref(), Some("Enter your code:"));
    assert_eq!(begin(&request().password(b"open sesame"), &with(false)).dialogue.prompt.as_deref(), Some("Enter your code:"));
}

#[test]
fn r_098_ms_chap_of_version_1_is_no_credential() {
    let world = World::new();
    let client = Client { first: First::MsChap2(world.clone()), ..client(&world, Method::Push) };
    let challenge = [&[0, 0, 1, 55, 11, 10][..], &[1; 8]].concat();
    // With an LM response, with an NT response, and with both.
    for flags in [0, 1] {
        let response = [&[0, 0, 1, 55, 1, 52][..], &[9, flags], &[3; 48]].concat();
        let asked = request().with(attr::VENDOR_SPECIFIC, &challenge).with(attr::VENDOR_SPECIFIC, &response);
        assert!(matches!(errand(&asked, &client), Errand::Refuse(Unfit::NoCredential)), "{flags}");
    }
}

#[test]
fn r_064_r_065_no_password_and_an_empty_one_are_rejected() {
    assert_eq!(unfit(&request()), Some(Unfit::NoCredential));
    assert_eq!(unfit(&request().password(b"")), Some(Unfit::EmptyPassword));
    assert_eq!(unfit(&request().with(attr::STATE, &[1; 32])), Some(Unfit::NoCredential));
}

#[test]
fn what_may_be_there_once_is_not_guessed_at_when_it_is_there_twice() {
    for (kind, value) in [(attr::USER_NAME, &b"bob"[..]), (attr::USER_PASSWORD, &[1; 16]), (attr::CALLING_STATION_ID, b"192.0.2.1")] {
        assert_eq!(unfit(&request().password(b"x").with(kind, value).with(kind, value)), Some(Unfit::Ambiguous), "{kind}");
    }
    assert_eq!(unfit(&request().password(b"x").with(attr::STATE, b"1").with(attr::STATE, b"2")), Some(Unfit::Ambiguous));
}

#[test]
fn an_answer_brings_its_state_and_what_was_typed_as_it_was_typed() {
    let Errand::Answer(answer) = errand(&request().with(attr::STATE, &[7; 32]).password(b" 123456 "), &fixture()) else { panic!("no answer") };
    assert_eq!(
        (answer.state.expose().to_vec(), answer.client.as_str(), answer.login.as_str(), answer.said.typed().unwrap().expose()),
        (vec![7; 32], "fortigate", "alice", &b" 123456 "[..])
    );
}

#[test]
fn r_043_the_seat_tells_every_attribute_apart() {
    let seat = |parts: &[(u8, &[u8])]| {
        let request = parts.iter().fold(request().password(b"x"), |request, (kind, value)| request.with(*kind, value));
        begin(&request, &fixture()).seat
    };
    let seats = [
        seat(&[]),
        seat(&[(attr::NAS_IDENTIFIER, b"nas")]),
        seat(&[(attr::CALLING_STATION_ID, b"nas")]),
        seat(&[(attr::NAS_IP_ADDRESS, &[10, 0, 0, 1])]),
        seat(&[(attr::NAS_IPV6_ADDRESS, &[10; 16])]),
        seat(&[(attr::NAS_IDENTIFIER, b"na"), (attr::CALLING_STATION_ID, b"s")]),
        seat(&[(attr::NAS_IDENTIFIER, b"nas"), (attr::CALLING_STATION_ID, b"192.0.2.1")]),
    ];
    for (at, one) in seats.iter().enumerate() {
        assert!(seats[at + 1..].iter().all(|other| other != one), "{at}");
    }
    assert_eq!(seat(&[(attr::NAS_PORT, &[0, 0, 0, 1])]), seats[0]);
}

#[test]
fn m_43_nothing_but_the_attribute_that_is_named_tells_where_a_person_is() {
    let placed = |kind: Option<u8>| {
        let mut client = fixture();
        client.source = kind;
        let request = request().password(b"x").with(attr::FRAMED_IP_ADDRESS, &[10, 20, 0, 7]).with(attr::TUNNEL_CLIENT_ENDPOINT, b"10.20.0.8");
        match errand(&request, &client) {
            Errand::Begin(login) => login.source.map(|source| source.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(placed(None), None, "not even the address that the packet comes from, which is the client's own");
    assert_eq!(placed(Some(attr::CALLING_STATION_ID)), None);
    assert_eq!(placed(Some(attr::TUNNEL_CLIENT_ENDPOINT)).as_deref(), Some("10.20.0.8"));
}

#[test]
fn the_source_is_what_the_chosen_attribute_tells_and_nothing_else() {
    let told = |kind: u8, values: &[&[u8]]| {
        let mut client = fixture();
        client.source = Some(kind);
        let request = values.iter().fold(request().password(b"x"), |request, value| request.with(kind, value));
        // Two Calling-Station-Ids are no login at all.
        match errand(&request, &client) {
            Errand::Begin(login) => login.source.map(|source| source.to_string()),
            _ => None,
        }
    };
    assert_eq!(told(attr::CALLING_STATION_ID, &[b"192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    assert_eq!(told(attr::CALLING_STATION_ID, &[b" 2001:db8::7 "]).as_deref(), Some("2001:db8::7"));
    assert_eq!(told(attr::CALLING_STATION_ID, &[b"::ffff:192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    // strongSwan, as it is shipped.
    assert_eq!(told(attr::CALLING_STATION_ID, &[b"198.51.100.7[4500]"]).as_deref(), Some("198.51.100.7"));
    assert_eq!(told(attr::CALLING_STATION_ID, &[b"2001:db8::7[500]"]).as_deref(), Some("2001:db8::7"));
    for wrong in [&b"198.51.100.7[]"[..], b"198.51.100.7[x]", b"198.51.100.7[70000]", b"[4500]", b"198.51.100.7[1][2]", b"198.51.100.7:4500"] {
        assert_eq!(told(attr::CALLING_STATION_ID, &[wrong]), None, "{wrong:?}");
    }
    assert_eq!(told(attr::CALLING_STATION_ID, &[b"00-11-22-33-44-55"]), None);
    assert_eq!(told(attr::CALLING_STATION_ID, &[]), None);
    assert_eq!(told(attr::FRAMED_IP_ADDRESS, &[&[192, 0, 2, 7]]).as_deref(), Some("192.0.2.7"));
    assert_eq!(told(attr::FRAMED_IP_ADDRESS, &[&[192, 0, 2]]), None);
    assert_eq!(told(attr::FRAMED_IPV6_ADDRESS, &[&[0x20; 16]]).as_deref(), Some("2020:2020:2020:2020:2020:2020:2020:2020"));
    assert_eq!(told(attr::TUNNEL_CLIENT_ENDPOINT, &[b"\x01192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    assert_eq!(told(attr::TUNNEL_CLIENT_ENDPOINT, &[b"192.0.2.7"]).as_deref(), Some("192.0.2.7"));
    assert_eq!(told(attr::TUNNEL_CLIENT_ENDPOINT, &[b"192.0.2.7", b"192.0.2.8"]), None);
}

#[test]
fn r_045_a_challenge_is_no_denial_and_a_denial_is_no_challenge() {
    let bytes = request().password(b"x").signed(SECRET).unwrap();
    let request = Request::verify(&bytes, SECRET, fixture().integrity).unwrap();
    let writer = Writer { asked: Asked::of(&request), manner: Manner::of(&request), client: Arc::new(fixture()) };
    let reply = |outcome: &Outcome| writer.reply(outcome).unwrap();
    let decided = |decision| Outcome::Decided { decision: Arc::new(decision), aside: Arc::default() };
    let denials = [
        Denial::BadCode,
        Denial::BadCredential,
        Denial::CodeNeeded,
        Denial::Disabled,
        Denial::FactorDenied,
        Denial::FactorUnavailable,
        Denial::FraudReported,
        Denial::Locked,
        Denial::NoAnswer,
        Denial::NoMethod,
        Denial::NotPermitted,
        Denial::OutOfTurn,
        Denial::Unenrolled,
    ];
    let refusals = denials.map(|denial| reply(&decided(Decision::Reject(denial))));
    assert!(matches!(&refusals[0], Reply::Delayed(bytes) if bytes[0] == 3));
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "every refusal sounds alike");
    for outage in [Outage::Directory, Outage::Fault, Outage::Full, Outage::Store] {
        assert_eq!(reply(&decided(Decision::Drop(outage))), Reply::Silence);
    }
    let challenge = Outcome::Challenge { state: Secret::from("state"), prompt: "Code:".into(), shown: true, keep: Duration::from_secs(120) };
    assert!(matches!(reply(&challenge), Reply::AtOnce(bytes) if bytes[0] == 11));
    assert_eq!(reply(&Outcome::Superseded), Reply::Superseded);
}

#[test]
fn a_challenge_tells_how_long_it_is_open_and_hides_what_is_typed_for_a_password_alone() {
    let sent = request().password(b"x").signed(SECRET).unwrap();
    let asked = Request::verify(&sent, SECRET, fixture().integrity).unwrap();
    let writer = Writer { asked: Asked::of(&asked), manner: Manner::of(&asked), client: Arc::new(fixture()) };
    for (shown, prompt) in [(true, 1), (false, 0)] {
        let outcome = Outcome::Challenge { state: Secret::from("state"), prompt: "?".into(), shown, keep: Duration::from_millis(90_500) };
        let Ok(Reply::AtOnce(bytes)) = writer.reply(&outcome) else { panic!("no challenge") };
        let reply = verify_reply(&bytes, &sent, SECRET, fixture().integrity).unwrap();
        let number = |kind| reply.attributes().first(kind).and_then(|attribute| attribute.integer());
        assert_eq!((number(attr::PROMPT), number(attr::SESSION_TIMEOUT)), (Some(prompt), Some(90)));
    }
}

fn upstream(without_credential: bool) -> Client {
    Client { first: First::Upstream { check: World::new(), without_credential }, ..fixture() }
}

#[test]
fn r_055_without_a_calling_station_or_a_credential_only_the_very_same_request_is_the_same() {
    let of = |client: &Client, request: &AccessRequest| begin(request, client).asker;
    let numbered = |number: u8| AccessRequest::new(number, [number; 16]).with(attr::USER_NAME, b"alice");
    let stationed = |number: u8| numbered(number).with(attr::CALLING_STATION_ID, b"192.0.2.77");
    let password = |number: u8| numbered(number).password(b"x");
    assert_ne!(of(&fixture(), &password(1)), of(&fixture(), &password(2)), "from one port come all people of a proxy");
    assert_eq!(of(&fixture(), &password(1)), of(&fixture(), &password(1)));
    assert_eq!(of(&fixture(), &stationed(1).password(b"x")), of(&fixture(), &stationed(2).password(b"x")));
    let gateway = |number: u8| stationed(number).with(attr::VENDOR_SPECIFIC, &microsoft(9, &[0, 0, 1, 55]));
    assert_ne!(of(&upstream(true), &gateway(1)), of(&upstream(true), &gateway(2)), "nothing was proven");
    let eap = |number: u8| stationed(number).with(attr::EAP_MESSAGE, b"\x02\x01\x00\x0a\x01alice");
    assert_ne!(of(&upstream(false), &eap(1)), of(&upstream(false), &eap(2)), "R-083");
    let late = Client { late_ms: 30_000, ..fixture() };
    assert_eq!(begin(&password(1), &late).dialogue.late_ms, 0, "nobody could tell whose question it is");
    assert_eq!(begin(&stationed(1).password(b"x"), &late).dialogue.late_ms, 30_000);
    let shared = Client { one_station: true, ..late };
    assert_ne!(of(&shared, &stationed(1).password(b"x")), of(&shared, &stationed(2).password(b"x")), "one station for all is none");
    assert_eq!(begin(&stationed(1).password(b"x"), &shared).dialogue.late_ms, 0);
}

fn microsoft(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[0, 0, 1, 55, kind, u8::try_from(value.len() + 2).unwrap()][..], value].concat()
}

#[test]
fn r_095_no_password_is_changed_upstream_before_the_second_factor() {
    for kind in [3, 4, 27] {
        let change = request().with(attr::VENDOR_SPECIFIC, &microsoft(kind, &[7; 68]));
        assert!(matches!(errand(&change, &upstream(true)), Errand::Refuse(Unfit::PasswordChange)), "{kind}");
    }
    let eap = |operation: u8| request().with(attr::EAP_MESSAGE, &[2, 1, 0, 8, 26, operation, 0, 0]);
    assert!(matches!(errand(&eap(7), &upstream(true)), Errand::Refuse(Unfit::PasswordChange)));
    assert!(matches!(errand(&eap(2), &upstream(true)), Errand::Begin(_)));
}

#[test]
fn r_068_r_095_a_relayed_no_takes_as_long_as_any_and_invites_to_no_change() {
    let value = [&[9, 0][..], &[1; 16], &[0; 8], &[1; 24]].concat();
    let request = request().with(attr::VENDOR_SPECIFIC, &microsoft(11, &[1; 16])).with(attr::VENDOR_SPECIFIC, &microsoft(25, &value));
    let bytes = request.signed(SECRET).unwrap();
    let request = Request::verify(&bytes, SECRET, fixture().integrity).unwrap();
    let writer = Writer { asked: Asked::of(&request), manner: Manner::of(&request), client: Arc::new(fixture()) };
    for (said, hears) in [("E=648 R=0 V=3", "E=691"), ("E=0x288", "E=691"), ("E=647 R=0 V=3", "E=647"), ("E=691 R=0 V=3", "E=691")] {
        let mut no = Carried::default();
        no.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR, format!("\u{9}{said}").as_bytes()).unwrap();
        let aside = Aside { refusal: Secret::new(no.as_bytes().to_vec()), refused_there: true, ..Aside::default() };
        let outcome = Outcome::Decided { decision: Arc::new(Decision::Reject(Denial::NotPermitted)), aside: Arc::new(aside) };
        let Reply::Delayed(reply) = writer.reply(&outcome).unwrap() else { panic!("sooner than others") };
        let text = String::from_utf8_lossy(&reply).into_owned();
        assert!(text.contains(hears) && !text.contains("E=648"), "{said}: {text:?}");
    }
}

#[test]
fn r_097_who_can_answer_with_a_code_alone_is_shown_no_menu() {
    let client = Client { first: First::MsChap2(World::new()), menu: true, approval: Approval::Enter, code_in_ms_chap2: true, ..fixture() };
    let value = [&[9, 0][..], &[1; 16], &[0; 8], &[1; 24]].concat();
    let response = request().with(attr::VENDOR_SPECIFIC, &microsoft(11, &[1; 16])).with(attr::VENDOR_SPECIFIC, &microsoft(25, &value));
    let dialogue = begin(&response, &client).dialogue;
    assert_eq!((dialogue.menu, dialogue.approval, dialogue.prompt.is_some()), (false, Approval::Wait, true));
    assert!(begin(&request().password(b"x"), &client).dialogue.menu);
}

#[test]
fn the_proof_of_two_credentials_is_not_that_of_one() {
    let proof = |request: &AccessRequest| match begin(request, &upstream(false)).primary {
        Primary::Relayed(relayed) => relayed.proof.expose().to_vec(),
        other => panic!("{other:?}"),
    };
    let whole = request().with(attr::CHAP_PASSWORD, &[1; 17]);
    let parted = request().with(attr::CHAP_PASSWORD, &[1; 16]).with(attr::CHAP_CHALLENGE, &[1; 1]);
    assert_ne!(proof(&whole), proof(&parted));
}
