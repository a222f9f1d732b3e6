//! Whose a connection is: whose bind opened it, what a bind takes from it, and what is asked at whom.

use super::stage::KNOWN;
use super::stage::PAGED;
use super::stage::Stage;
use super::stage::controls;
use super::stage::element;
use super::stage::extended;
use super::stage::message;
use super::stage::present;
use super::stage::result;
use super::stage::search;
use super::*;
use crate::domain::AuthRequest;
use crate::domain::Dialogue;
use crate::domain::Door;
use crate::domain::Exempt;
use crate::domain::Identity;
use crate::domain::Primary;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::front::ldap::bind::Check;
use crate::ports::PrimaryCheck;

const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";
const ASSERTION: &str = "1.3.6.1.1.12";
/// An address that is not this machine's.
const FAR: &str = "192.0.2.7:50000";

#[tokio::test(start_paused = true)]
async fn l_051_on_abandon_and_unbind_criticality_means_nothing() {
    let (mut caller, mut actor) = Stage::bound().await;
    let strange = controls(&[("1.2.3.4", true, b""), ("2.16.840.1.113730.3.4.18", true, b"dn:CN=admin")]);
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    caller.says(&message(3, 0x50, &[2], &strange)).await;
    assert_eq!(actor.hears().await, Some(abandon(3, 2)), "without what came with it");
    caller.says(&search(5, "DC=corp", 2, &present(), &[])).await;
    assert!(actor.hears().await.is_some());
    caller.says(&message(4, 0x42, b"", &strange)).await;
    assert_eq!(caller.frame().await, None, "no answer, and closed");
    actor.is_left().await;
}

/// Search 2, abandoned.
async fn abandoning() -> (Caller, stage::Actor) {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&[search(2, "DC=corp", 2, &present(), &[]), abandon(3, 2)].concat()).await;
    actor.hears().await.unwrap();
    assert_eq!(actor.hears().await, Some(abandon(3, 2)));
    (caller, actor)
}

#[tokio::test(start_paused = true)]
async fn l_033_an_abandoned_message_id_is_in_use_while_an_answer_may_come() {
    let (mut caller, actor) = abandoning().await;
    caller.says(&search(2, "", 0, &present(), &[])).await;
    caller.is_dismissed(2).await;
    drop(actor);

    let (mut caller, mut actor) = abandoning().await;
    caller.says(&search(4, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    actor.says(&[result(2, 0x65, 0, b"", &[], &[]), result(4, 0x65, 0, b"", &[], &[])].concat()).await;
    assert_eq!(caller.hears().await, (4, 0), "the answer to what was abandoned is nobody's");
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    assert!(actor.hears().await.is_some(), "it has come");

    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut actor = caller.binds(1, &mut actors).await;
    caller.says(&[search(2, "DC=corp", 2, &present(), &[]), abandon(3, 2)].concat()).await;
    assert!(actor.hears().await.is_some() && actor.hears().await.is_some());
    let mut again = caller.binds(4, &mut actors).await;
    actor.is_left().await;
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    assert!(again.hears().await.is_some(), "on another connection no answer to it can come");
}

/// A search of the root DSE for these attributes.
fn root(id: u32, filter: &[u8], names: &[&str]) -> Vec<u8> {
    let numbers = [element(0x0a, &[0]), element(0x0a, &[0]), element(0x02, &[0]), element(0x02, &[0]), element(0x01, &[0])].concat();
    let names: Vec<u8> = names.iter().flat_map(|name| element(0x04, name.as_bytes())).collect();
    message(id, 0x63, &[element(0x04, b""), numbers, filter.to_vec(), element(0x30, &names)].concat(), &[])
}

/// What is asked of the root DSE, and for which attributes.
fn told(bytes: &[u8]) -> (bool, Vec<String>) {
    let read: rasn_ldap::LdapMessage = rasn::ber::decode(bytes).unwrap();
    let rasn_ldap::ProtocolOp::SearchRequest(search) = read.protocol_op else { panic!() };
    (matches!(search.filter, rasn_ldap::Filter::Present(_)), search.attributes.iter().map(|name| name.0.clone()).collect())
}

#[tokio::test(start_paused = true)]
async fn l_012_of_whoever_is_nobody_no_filter_and_no_question_behind_an_attribute_reaches_the_directory() {
    let equal = |name: &str, value: &str| element(0xa3, &[element(0x04, name.as_bytes()), element(0x04, value.as_bytes())].concat());
    let ping = element(0xa0, &[equal("DnsDomain", "corp.test"), equal("User", "admin"), equal("NtVer", "\u{6}")].concat());
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    for filter in [&ping, &equal("objectClass", "top"), &element(0x87, b"cn"), &element(0xa2, &present()), &element(0xa0, &[])] {
        caller.says(&root(1, filter, &["supportedControl"])).await;
        assert_eq!(caller.hears().await, (1, 50), "{filter:x?}");
    }
    let plain = root(2, &element(0x87, b"OBJECTCLASS"), &["*", "+", "NamingContexts", "supportedLDAPVersion;x"]);
    caller.says(&plain).await;
    let mut actor = actors.recv().await.unwrap();
    actor.tells_root().await;
    assert_eq!(actor.hears().await, Some(plain), "the first that it hears, as it came");
    for (asked, left) in [(&["netlogon", "defaultNamingContext", "msDS-ReplAllInboundNeighbors"][..], "defaultNamingContext"), (&["NetLogon"], "1.1")] {
        caller.says(&root(3, &present(), asked)).await;
        assert_eq!(told(&actor.hears().await.unwrap()), (true, vec![left.to_owned()]));
        actor.says(&result(3, 0x65, 0, b"", &[], &[])).await;
        assert_eq!(caller.hears().await, (3, 0));
    }
    let (mut caller, mut actor) = Stage::bound().await;
    let anything = root(2, &ping, &["netlogon"]);
    caller.says(&anything).await;
    assert_eq!(actor.hears().await, Some(anything), "whoever is bound asks as whom the directory knows");
}

const TRACKING: &str = "1.3.6.1.4.1.21008.108.63.1";

#[tokio::test(start_paused = true)]
async fn l_051_l_064_m_43_where_people_are_is_not_told_to_the_directory() {
    let place = [element(0x04, b"192.0.2.7"), element(0x04, b""), element(0x04, b"1.2.3"), element(0x04, b"alice")].concat();
    let place = element(0x30, &place);
    let both = |critical| controls(&[(TRACKING, critical, &place), (PAGED, true, b"\x30\x05\x02\x01\x0a\x04\x00")]);
    let asked = |id, critical| search(id, "DC=corp", 2, &present(), &both(critical));
    for trusted in [false, true] {
        let (stage, mut actors) = Stage::new();
        let trackers = if trusted { vec!["127.0.0.0/8".parse().unwrap()] } else { Vec::new() };
        let mut caller = Caller::with(stage, HERE, |settings| settings.callers.trust_session_tracking = trackers);
        let mut actor = caller.binds(1, &mut actors).await;
        caller.says(&asked(2, true)).await;
        if !trusted {
            assert_eq!(caller.hears().await, (2, 12), "critical, and nothing that it knows from this one");
            caller.says(&asked(2, false)).await;
        }
        let heard = actor.hears().await.unwrap();
        let heard = Frame::split(&heard, 1_000).unwrap().unwrap();
        let left: Vec<(&[u8], bool)> = heard.controls().unwrap().iter().map(|control| (control.oid, control.critical)).collect();
        assert_eq!((heard.id, left), (2, vec![(PAGED.as_bytes(), true)]), "{trusted}");
        assert!(matches!(heard.request(), Ok(Request::Search(search)) if search.base == b"DC=corp" && search.scope == 2));
    }
}

#[tokio::test(start_paused = true)]
async fn l_082_an_exemption_that_let_a_connection_in_is_looked_at_each_hour() {
    let (stage, mut actors) = Stage::new();
    let named = Roll::default().entry("wiki", "stage", "CN=one");
    named.found_behind("stage", Identity("S-1-5-18".into()));
    let from = vec!["127.0.0.0/8".parse().unwrap()];
    let exemption = Exemption { named: Arc::clone(&named), from, certificate: None, until: Timestamp(u64::MAX) };
    let mut caller = Caller::with(stage, HERE, |settings| settings.callers.exemptions = vec![exemption]);
    let mut actor = caller.binds(1, &mut actors).await;
    let began = Instant::now();
    for quarter in 0..7 {
        if quarter == 5 {
            // The name is somebody else's now, and nobody is meant by it.
            named.found_behind("stage", Identity("S-1-5-19".into()));
        }
        caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
        actor.hears().await.unwrap();
        actor.says(&result(2, 0x65, 0, b"", &[], &[])).await;
        assert_eq!(caller.hears().await, (2, 0), "{quarter}");
        sleep(Duration::from_secs(900)).await;
    }
    caller.is_dismissed(52).await;
    assert!((7_200..7_202).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    actor.is_left().await;
}

#[tokio::test(start_paused = true)]
async fn l_050_l_064_what_makes_an_operation_somebody_elses_never_reaches_the_directory() {
    let (mut caller, mut actor) = Stage::bound().await;
    let refused = ["2.16.840.1.113730.3.4.18", "2.16.840.1.113730.3.4.12", "1.3.6.1.4.1.4203.666.5.12", "2.16.840.1.113730.3.4.16", "1.2.840.113556.1.4.2212"];
    for (id, oid) in (2..).zip(refused) {
        for critical in [true, false] {
            caller.says(&search(id, "DC=corp", 2, &present(), &controls(&[(KNOWN[0], true, b""), (oid, critical, b"dn:CN=admin")]))).await;
            let told = caller.frame().await.unwrap();
            let frame = Frame::split(&told, 1_000).unwrap().unwrap();
            assert_eq!((frame.id, frame.op, frame.result().unwrap().code), (id, 0x65, 12), "{oid}");
        }
    }
    let last = search(20, "DC=corp", 2, &present(), &[]);
    caller.says(&last).await;
    assert_eq!(actor.hears().await, Some(last), "the first that it hears");
}

#[tokio::test(start_paused = true)]
async fn l_063_l_067_what_packs_or_checks_past_us_never_reaches_the_directory() {
    let (mut caller, mut actor) = Stage::bound().await;
    let refused = ["1.2.840.113556.1.4.1781", "1.2.840.113556.1.4.2212", "1.3.6.1.1.19", "1.3.6.1.4.1.1466.101.119.1", "1.3.6.1.4.1.4203.666.6.5"];
    for (id, oid) in (2..).zip(refused) {
        caller.says(&extended(id, oid, Some(b"x"))).await;
        assert_eq!(caller.hears().await, (id, 2), "{oid}");
    }
    let last = extended(20, "1.2.3.4", None);
    caller.says(&last).await;
    assert_eq!(actor.hears().await, Some(last), "the first that it hears");
}

#[tokio::test(start_paused = true)]
async fn l_066_passwords_are_neither_changed_nor_tried_in_clear_text_or_without_a_second_factor() {
    let dn = || element(0x04, b"CN=two");
    let change = |id, name: &[u8]| {
        let values = element(0x30, &[element(0x04, name), element(0x31, &element(0x04, b"secret"))].concat());
        message(id, 0x66, &[dn(), element(0x30, &element(0x30, &[element(0x0a, &[2]), values].concat()))].concat(), &[])
    };
    let add = |id| {
        let values = element(0x30, &[element(0x04, b"userPassword"), element(0x31, &element(0x04, b"secret"))].concat());
        message(id, 0x68, &[dn(), element(0x30, &values)].concat(), &[])
    };
    let compare = |id, name: &[u8]| message(id, 0x6e, &[dn(), element(0x30, &[element(0x04, name), element(0x04, b"guess")].concat())].concat(), &[]);
    // Nobody here has a second factor: from this machine it is that which is missing, from another one it is TLS.
    for (peer, code) in [(HERE, 50), (FAR, 13)] {
        let (stage, mut actors) = Stage::new();
        let mut caller = Caller::with(stage, peer, |settings| settings.transport = Transport::Plain { allow_plain: true });
        let mut actor = caller.binds(1, &mut actors).await;
        let equal = |name: &[u8]| element(0xa3, &[element(0x04, name), element(0x04, b"guess")].concat());
        let among = |id, name: &[u8]| search(id, "CN=two", 0, &element(0xa0, &[present(), element(0xa2, &equal(name))].concat()), &[]);
        let asserting = |id, oid: &str, filter: &[u8]| search(id, "CN=two", 0, &present(), &controls(&[(oid, false, filter)]));
        let asked = [
            change(2, b"unicodePwd"),
            add(2),
            compare(2, b"userPassword"),
            compare(2, b"2.5.4.35;x"),
            extended(2, PASSWORD_MODIFY, None),
            among(2, b"userPassword"),
            among(2, b"unicodepwd;x"),
            asserting(2, ASSERTION, &equal(b"userPassword")),
            asserting(2, ASSERTION, b""),
            asserting(2, "1.2.826.0.1.3344810.2.3", &element(0x30, &equal(b"userPassword"))),
        ];
        for request in asked {
            caller.says(&request).await;
            assert_eq!(caller.hears().await, (2, code), "{request:x?}");
        }
        for request in [compare(3, b"mail"), change(4, b"mail"), among(5, b"mail"), asserting(6, ASSERTION, &equal(b"mail"))] {
            caller.says(&request).await;
            assert_eq!(actor.hears().await, Some(request), "the first that it hears");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn l_080_every_client_has_a_connection_of_its_own_and_binds_again_on_it() {
    let (stage, mut actors) = Stage::new();
    let mut one = Caller::of(Arc::clone(&stage) as _, HERE, Duration::ZERO);
    let mut two = Caller::of(stage, HERE, Duration::ZERO);
    let mut of_one = one.binds(1, &mut actors).await;
    let mut of_two = two.binds(1, &mut actors).await;
    let (ones, twos) = (search(2, "CN=ones", 0, &present(), &[]), search(2, "CN=twos", 0, &present(), &[]));
    one.says(&ones).await;
    two.says(&twos).await;
    assert_eq!((of_one.hears().await, of_two.hears().await), (Some(ones.clone()), Some(twos.clone())));
    // Something of the first bind is under way: it is never answered, and the next bind has a connection of its own.
    let mut again = one.binds(3, &mut actors).await;
    of_one.is_left().await;
    of_two.says(&result(2, 0x65, 0, b"", &[], &[])).await;
    assert_eq!(two.hears().await, (2, 0), "the other's is as it was");
    one.binds_again(4, &mut again).await;
    assert!(actors.try_recv().is_err(), "where nothing is under way it is the same one");
    drop(again);
    one.is_dismissed(52).await;
}

#[tokio::test(start_paused = true)]
async fn l_083_every_bind_asks_the_directory_for_the_password() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut actor = caller.binds(1, &mut actors).await;
    for id in 2..4 {
        // The right password three times, and each time it is asked.
        caller.binds_again(id, &mut actor).await;
    }
    caller.says(&bind_request(9, "one", b"pass")).await;
    actor.hears_bind(9).await;
    actor.says(&wire_answer(Op::Bind, 9, Code::InvalidCredentials, "changed a moment ago")).await;
    assert_eq!(caller.hears().await, (9, 49));
    actor.is_left().await;
}

#[tokio::test(start_paused = true)]
async fn l_020_l_080_after_a_bind_that_failed_nobody_is_bound_and_the_connection_is_gone() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut actor = caller.binds(1, &mut actors).await;
    caller.says(&[bind_request(2, "one", b"pass").to_vec(), search(3, "DC=corp", 2, &present(), &[])].concat()).await;
    actor.hears_bind(2).await;
    actor.says(&wire_answer(Op::Bind, 2, Code::InvalidCredentials, "")).await;
    assert_eq!((caller.hears().await, caller.hears().await), ((2, 49), (3, 50)));
    actor.is_left().await;
    assert!(actors.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn l_080_a_connection_that_nobody_used_for_long_is_not_bound_again() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut first = caller.binds(1, &mut actors).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let _second = caller.binds(2, &mut actors).await;
    first.is_left().await;
}

#[tokio::test]
async fn l_082_an_exemption_is_of_one_directory_whatever_ids_another_has() {
    let (stage, _actors) = Stage::new();
    let check = Check::new(stage, 1, 1_000, None);
    for (directory, resolves) in [("stage", true), ("copy", false)] {
        let exempt = Exempt { who: Identity("S-1-5-18".into()), directory: directory.into(), until: Timestamp(u64::MAX) };
        let request = AuthRequest {
            door: Door::Ldap,
            client: "wiki".into(),
            login: "one".into(),
            primary: Primary::Password(Secret::from("pass")),
            appended: None,
            dialogue: Dialogue::default(),
            source: None,
            exempt: vec![exempt],
            seat: Vec::new(),
            asker: Vec::new(),
        };
        assert_eq!(check.resolve(&request).await.is_ok(), resolves, "{directory}");
    }
}

fn offering_tls() -> Transport {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Transport::StartTls(Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap()))
}

#[tokio::test(start_paused = true)]
async fn l_085_start_tls_waits_for_nobody_and_takes_no_value() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::with(stage, FAR, |settings| settings.transport = offering_tls());
    caller.says(&extended(1, START_TLS, Some(b"now"))).await;
    assert_eq!(caller.hears().await, (1, 2));
    caller.says(&search(2, "", 0, &present(), &[])).await;
    let mut actor = actors.recv().await.unwrap();
    actor.tells_root().await;
    actor.hears().await.unwrap();
    caller.says(&extended(3, START_TLS, None)).await;
    assert_eq!(caller.hears().await, (3, 1), "a search is under way");
    actor.says(&result(2, 0x65, 0, b"", &[], &[])).await;
    assert_eq!(caller.hears().await, (2, 0));
    caller.says(&extended(4, START_TLS, None)).await;
    assert_eq!(caller.hears().await, (4, 0));
}

#[tokio::test(start_paused = true)]
async fn l_084_what_comes_in_clear_after_start_tls_is_no_ldap_any_more() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::with(Arc::clone(&stage) as _, FAR, |settings| settings.transport = offering_tls());
    caller.says(&extended(1, START_TLS, None)).await;
    assert_eq!(caller.hears().await, (1, 0));
    caller.says(&search(2, "", 0, &present(), &[])).await;
    let mut told = Vec::new();
    while caller.stream.read_buf(&mut told).await.unwrap() > 0 {}
    assert_ne!(told.first(), Some(&0x30), "an alert of TLS at most");

    let mut caller = Caller::with(stage, FAR, |settings| settings.transport = offering_tls());
    caller.says(&[extended(1, START_TLS, None), bind_request(2, "one", b"pass").to_vec()].concat()).await;
    assert_eq!(caller.hears().await, (1, 1));
    assert_eq!(caller.frame().await, None);
    assert!(actors.try_recv().is_err(), "nobody was asked in either case");
}

#[tokio::test(start_paused = true)]
async fn l_044_a_handshake_that_does_not_go_on_ends_after_ten_seconds() {
    let mut caller = Caller::with(Stage::new().0, FAR, |settings| settings.transport = offering_tls());
    caller.says(&extended(1, START_TLS, None)).await;
    assert_eq!(caller.hears().await, (1, 0));
    let began = Instant::now();
    caller.says(&[0x16, 0x03, 0x01]).await;
    assert_eq!(caller.frame().await, None);
    assert_eq!(began.elapsed().as_secs(), 10);
}
