//! What a client that is bound asks, and what it is answered, byte for byte.

use super::stage::LIST_VIEW;
use super::stage::PAGED;
use super::stage::SORTED;
use super::stage::Stage;
use super::stage::controls;
use super::stage::element;
use super::stage::extended;
use super::stage::message;
use super::stage::present;
use super::stage::result;
use super::stage::search;
use super::*;

const CANCEL: &str = "1.3.6.1.1.8";

/// The request arrives as it was sent, and so do its answers.
async fn passes(caller: &mut Caller, actor: &mut stage::Actor, request: &[u8], answers: &[Vec<u8>]) {
    caller.says(request).await;
    assert_eq!(actor.hears().await.as_deref(), Some(request), "to the directory");
    actor.says(&answers.concat()).await;
    for answer in answers {
        assert_eq!(caller.frame().await.as_ref(), Some(answer), "to the client");
    }
}

fn entry(id: u32, rest: &[u8]) -> Vec<u8> {
    let values = element(0x31, &[element(0x04, b"\0\xff\xfe"), element(0x04, b"")].concat());
    let attribute = element(0x30, &[element(0x04, b"jpegPhoto;binary"), values].concat());
    message(id, 0x64, &[element(0x04, "CN=Jörg\\, \0,DC=corp".as_bytes()), element(0x30, &attribute)].concat(), rest)
}

#[tokio::test(start_paused = true)]
async fn l_045_searches_in_pages_sorted_and_in_lists_pass_with_their_limits_and_cookies() {
    let (mut caller, mut actor) = Stage::bound().await;
    let filter =
        element(0xa0, &[present(), element(0xa2, &element(0xa4, &[element(0x04, b"cn"), element(0x30, &element(0x80, b"a\0*")).clone()].concat()))].concat());
    for (id, (oid, answer_oid)) in (2..).zip([(PAGED, PAGED), (SORTED, "1.2.840.113556.1.4.474"), (LIST_VIEW, "2.16.840.1.113730.3.4.10")]) {
        let asked = search(id, "DC=corp", 2, &filter, &controls(&[(oid, true, b"\x30\x05\x02\x01\x0a\x04\x00"), ("1.2.3.4", false, b"\xff")]));
        let told = controls(&[(answer_oid, false, b"\x30\x08\x02\x01\x00\x04\x03\0\xff\x80")]);
        passes(&mut caller, &mut actor, &asked, &[entry(id, &[]), entry(id, &controls(&[("1.2.3", false, b"")])), result(id, 0x65, 0, b"", &[], &told)]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l_045_a_cookie_never_meets_another_binds_connection() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut first = caller.binds(1, &mut actors).await;
    let page = |id| search(id, "DC=corp", 2, &present(), &controls(&[(PAGED, true, b"\x30\x08\x02\x01\x0a\x04\x03abc")]));
    passes(&mut caller, &mut first, &page(2), &[result(2, 0x65, 0, b"", &[], &[])]).await;
    let mut second = caller.binds(3, &mut actors).await;
    first.is_left().await;
    passes(&mut caller, &mut second, &page(4), &[result(4, 0x65, 53, b"what cookie?", &[], &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn l_081_every_operation_passes_on_the_connection_that_the_persons_own_bind_opened() {
    let (mut caller, mut actor) = Stage::bound().await;
    let dn = element(0x04, b"CN=x,DC=corp");
    let pair = element(0x30, &[element(0x04, b"mail"), element(0x04, b"a\0@b")].concat());
    let values = element(0x30, &[element(0x04, b"mail"), element(0x31, &element(0x04, b"\xff"))].concat());
    let change = element(0x30, &[element(0x0a, &[2]), values.clone()].concat());
    let post_read = controls(&[("1.3.6.1.1.13.1", true, b"\x30\x00")]);
    let cases = [
        (message(2, 0x6e, &[dn.clone(), pair].concat(), &[]), result(2, 0x6f, 6, b"", &[], &[])),
        (message(3, 0x66, &[dn.clone(), element(0x30, &change)].concat(), &post_read), result(3, 0x67, 0, b"", &[], &post_read)),
        (message(4, 0x68, &[dn.clone(), element(0x30, &values)].concat(), &[]), result(4, 0x69, 68, b"there", &[], &[])),
        (message(5, 0x4a, b"CN=x,DC=corp", &controls(&[("1.2.840.113556.1.4.805", true, b"")])), result(5, 0x6b, 0, b"", &[], &[])),
        (message(6, 0x6c, &[dn, element(0x04, b"CN=y"), element(0x01, &[0x01]), element(0x80, b"DC=z")].concat(), &[]), result(6, 0x6d, 0, b"", &[], &[])),
        // Not as anybody would write it, but BER: a length in more octets than it needs, TRUE as 1, a component of times to come, result codes nobody knows.
        (
            vec![0x30, 0x84, 0, 0, 0, 0x0a, 0x02, 0x02, 0, 7, 0x4a, 0x00, 0x85, 0x02, 1, 2],
            result(7, 0x6b, 0x70, b"\0\n", &element(0x99, b"?"), &element(0x8b, b"?")),
        ),
    ];
    for (request, answer) in cases {
        passes(&mut caller, &mut actor, &request, &[answer]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn l_052_extended_operations_and_what_comes_in_between_pass() {
    let (mut caller, mut actor) = Stage::bound().await;
    let named = [element(0x8a, b"1.2.3.5"), element(0x8b, b"\0\xff")].concat();
    let between = message(2, 0x79, &[element(0x80, b"1.2.3.6"), element(0x81, b"\0")].concat(), &[]);
    passes(&mut caller, &mut actor, &extended(2, "1.2.3.4", Some(b"\0\xff")), &[between, result(2, 0x78, 0, b"", &named, &[])]).await;
    let between = message(3, 0x79, &element(0x80, b"1.3.6.1.4.1.4203.1.9.1.4"), &controls(&[("1.3.6.1.4.1.4203.1.9.1.2", false, b"s")]));
    passes(&mut caller, &mut actor, &search(3, "DC=corp", 2, &present(), &[]), &[entry(3, &[]), between, result(3, 0x65, 0, b"", &[], &[])]).await;
}

#[tokio::test(start_paused = true)]
async fn l_077_a_referral_is_handed_on_and_never_followed() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let mut actor = caller.binds(1, &mut actors).await;
    let url = element(0x04, b"ldap://192.0.2.9/DC=other??sub");
    let referral = result(2, 0x67, 10, b"go there", &element(0xa3, &url), &[]);
    passes(&mut caller, &mut actor, &message(2, 0x66, &[element(0x04, b"DC=other"), element(0x30, &[])].concat(), &[]), &[referral]).await;
    let reference = message(3, 0x73, &url, &[]);
    passes(&mut caller, &mut actor, &search(3, "DC=corp", 2, &present(), &[]), &[reference, result(3, 0x65, 0, b"", &[], &[])]).await;
    assert!(actors.try_recv().is_err(), "nobody else was asked");
}

#[tokio::test(start_paused = true)]
async fn l_068_cancel_reaches_the_clients_own_operations_alone() {
    let (stage, mut actors) = Stage::new();
    let mut one = Caller::of(Arc::clone(&stage) as _, HERE, Duration::ZERO);
    let mut of_one = one.binds(1, &mut actors).await;
    let mut other = Caller::of(stage, HERE, Duration::ZERO);
    let mut of_other = other.binds(1, &mut actors).await;
    let asked = search(2, "DC=corp", 2, &present(), &[]);
    other.says(&asked).await;
    assert_eq!(of_other.hears().await.as_ref(), Some(&asked));
    one.says(&asked).await;
    assert_eq!(of_one.hears().await.as_ref(), Some(&asked));
    let cancel = extended(3, CANCEL, Some(&element(0x30, &element(0x02, &[2]))));
    let told = [result(2, 0x65, 118, b"", &[], &[]), result(3, 0x78, 0, b"", &[], &[])];
    passes(&mut one, &mut of_one, &cancel, &told).await;
    of_other.says(&[entry(2, &[]), result(2, 0x65, 0, b"", &[], &[])].concat()).await;
    assert_eq!(other.hears().await, (2, 0), "the other's goes on");
    let mut nobody = Caller::of(Stage::new().0, HERE, Duration::ZERO);
    nobody.says(&extended(1, CANCEL, Some(&element(0x30, &element(0x02, &[2]))))).await;
    assert_eq!(nobody.hears().await, (1, 50));
}

#[tokio::test(start_paused = true)]
async fn l_003_answers_are_handed_on_however_they_are_cut() {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    let answers = [entry(2, &[]), result(2, 0x65, 0, b"", &[], &[])].concat();
    for byte in &answers {
        actor.says(&[*byte]).await;
    }
    let mut told = Vec::new();
    while told.len() < answers.len() {
        told.extend(caller.frame().await.unwrap());
    }
    assert_eq!(told, answers);
}
