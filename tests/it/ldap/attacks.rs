//! Ways round the second factor that have worked elsewhere, one by one: what each gets, and that the directory hears nothing of it.

use vestibule::wire::ldap;

use super::client::bind;
use super::client::element;
use super::client::extended;
use super::client::ldap_frame;
use super::client::message;
use super::client::read;
use super::rig::ALICE;
use super::rig::Plan;
use super::rig::Rig;
use super::rig::Tls;

const PUSHED: &str = "push to alice for wiki from 127.0.0.1";
const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

fn searched(rig: &Rig) -> bool {
    rig.diary.lines().iter().any(|line| line.starts_with("search"))
}

#[tokio::test]
async fn l_021_a_search_pipelined_behind_a_pending_bind_gets_nothing_until_and_unless_the_person_approves() {
    for approves in [true, false] {
        let rig = Rig::pushing().await;
        let mut client = rig.client().await;
        client.send(&[bind(1, "alice", "pass"), read(2, "DC=corp")].concat()).await;
        rig.diary.wait_for(PUSHED).await;
        // The directory took the password long ago: this connection to it could be asked anything.
        assert!(rig.diary.has(&format!("bind {ALICE} pass id 1")) && !searched(&rig));
        rig.answer(approves);
        if approves {
            assert_eq!(client.result().await, (1, 0x61, 0));
            client.entry().await;
            assert_eq!(client.result().await, (2, 0x65, 0));
            assert!(rig.diary.place("answered") < rig.diary.place(&format!("search DC=corp as {ALICE}")));
        } else {
            assert_eq!(client.result().await, (1, 0x61, 49));
            assert_eq!(client.result().await, (2, 0x65, 50));
            assert!(!searched(&rig));
        }
        client.send(&extended(3, WHO_AM_I, None)).await;
        let who = client.frame().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&who).contains("dn:"), approves);
    }
}

#[tokio::test]
async fn l_022_an_approval_after_the_client_has_gone_opens_nothing_to_who_comes_next() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&[bind(1, "alice", "pass"), read(2, "DC=corp")].concat()).await;
    rig.diary.wait_for(PUSHED).await;
    drop(client);
    rig.diary.wait_for("cancelled").await;
    rig.diary.wait_for("disconnect").await;
    rig.answer(true);
    let mut next = rig.client().await;
    next.send(&read(1, "DC=corp")).await;
    assert_eq!(next.result().await, (1, 0x65, 50));
    assert!(!searched(&rig));
}

#[tokio::test]
async fn l_020_a_search_after_a_rebind_that_failed_is_nobodys() {
    let rig = Rig::pushing().await;
    for failing in [bind(2, "alice", "wrong"), bind(2, "nobody", "pass"), bind(2, "alice", ""), bind(2, "alice\0evil", "pass"), bind(2, "", "")] {
        let mut client = rig.bound().await;
        client.send(&[failing, read(3, "DC=corp")].concat()).await;
        client.result().await;
        assert_eq!(client.result().await, (3, 0x65, 50));
    }
    assert!(!searched(&rig));
}

#[tokio::test]
async fn l_060_l_061_l_062_no_other_way_to_authenticate_reaches_the_directory() {
    let rig = Rig::pushing().await;
    let mechanisms = [
        "",
        "NTLM",
        "ntlm",
        "GSS-SPNEGO",
        "Gss-Spnego",
        "GSSAPI",
        "DIGEST-MD5",
        "CRAM-MD5",
        "SCRAM-SHA-1",
        "SCRAM-SHA-256-PLUS",
        "PLAIN",
        "EXTERNAL",
        "LOGIN",
        "ANONYMOUS",
        "XOAUTH2",
    ];
    let named = |choice: Vec<u8>| message(2, 0x60, &[element(0x02, &[3]), element(0x04, b"alice"), choice].concat(), &[]);
    let sasl = mechanisms.map(|mechanism| named(element(0xa3, &[element(0x04, mechanism.as_bytes()), element(0x04, b"\0alice\0pass")].concat())));
    let sicily = [0x89, 0x8a, 0x8b, 0x81, 0x82, 0x84, 0x9e].map(|tag| named(element(tag, b"NTLMSSP\0")));
    for request in sasl.into_iter().chain(sicily) {
        let mut client = rig.bound().await;
        let before = rig.diary.lines().iter().filter(|line| line.starts_with("bind")).count();
        client.send(&request).await;
        assert_eq!(client.result().await, (2, 0x61, 7), "{:?}", String::from_utf8_lossy(&request));
        client.send(&read(3, "DC=corp")).await;
        assert_eq!(client.result().await, (3, 0x65, 50), "and nobody is bound any more");
        assert_eq!(rig.diary.lines().iter().filter(|line| line.starts_with("bind")).count(), before);
    }
}

#[tokio::test]
async fn l_084_what_an_attacker_puts_behind_start_tls_is_not_done_for_the_person_inside() {
    let rig = Rig::open(Plan { tls: Some(Tls::OnRequest), ..Plan::default() }).await;
    rig.answer(true);
    let mut client = rig.client().await;
    client.send(&[extended(1, START_TLS, None), bind(2, "alice", "pass"), read(3, "DC=corp")].concat()).await;
    assert_eq!(client.result().await, (1, 0x78, 1));
    client.is_closed().await;
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_070_a_name_that_goes_on_behind_a_nul_is_nobodys() {
    let rig = Rig::pushing().await;
    rig.answer(true);
    let mut client = rig.client().await;
    for (id, name) in (1..).zip(["alice\0evil", "alice\0", "\0alice", "CN=alice\0,DC=corp"]) {
        client.send(&bind(id, name, "pass")).await;
        assert_eq!(client.result().await, (id, 0x61, 34), "{name:?}");
    }
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

/// A filter of `levels` negations. Lengths in four octets, as Active Directory writes them.
fn negated(levels: usize) -> Vec<u8> {
    let present = element(0x87, b"objectClass");
    let mut filter = Vec::new();
    for level in 0..levels {
        let inside = (levels - level - 1) * 6 + present.len();
        filter.extend([0xa2, 0x84]);
        filter.extend(u32::try_from(inside).unwrap().to_be_bytes());
    }
    [filter, present].concat()
}

#[tokio::test]
async fn l_042_a_filter_of_100000_levels_ends_the_connection_and_nothing_else() {
    let rig = Rig::pushing().await;
    let numbers = [element(0x0a, &[0]), element(0x0a, &[0]), element(0x02, &[0]), element(0x02, &[0]), element(0x01, &[0])].concat();
    let search = |levels| message(2, 0x63, &[element(0x04, b"DC=corp"), numbers.clone(), negated(levels), element(0x30, &[])].concat(), &[]);
    let mut client = rig.client().await;
    // Before a bind its length alone is too much: what follows may be sent to nobody.
    let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, &search(100_000)).await;
    client.is_dismissed(2).await;
    let mut client = rig.bound().await;
    client.send(&search(100_000)).await;
    client.is_dismissed(2).await;
    let mut client = rig.bound().await;
    client.send(&search(50)).await;
    assert_eq!(ldap_frame(&client.frame().await.unwrap()).op, 0x64, "the door is as it was");
    assert_eq!(rig.diary.lines().iter().filter(|line| line.starts_with("search")).count(), 1);
    client.send(&ldap::unbind_request(3)).await;
}
