//! Whose a connection is: whose bind opened it, what a bind takes from it, and what is asked at whom.

use super::stage::KNOWN;
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
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    assert!(actor.hears().await.is_some(), "the id is free again: it was abandoned");
    caller.says(&message(4, 0x42, b"", &strange)).await;
    assert_eq!(caller.frame().await, None, "no answer, and closed");
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
        let asked = [change(2, b"unicodePwd"), add(2), compare(2, b"userPassword"), compare(2, b"2.5.4.35;x"), extended(2, PASSWORD_MODIFY, None)];
        for request in asked {
            caller.says(&request).await;
            assert_eq!(caller.hears().await, (2, code), "{request:x?}");
        }
        for request in [compare(3, b"mail"), change(4, b"mail")] {
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
