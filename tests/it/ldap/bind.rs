//! Binds: who gets in, who does not, and what is seen of it on either side.

use std::time::Duration;

use vestibule::domain::Method;
use vestibule::ports::Proof;
use vestibule::wire::ldap;

use super::client::bind;
use super::client::control;
use super::client::element;
use super::client::extended;
use super::client::ldap_frame;
use super::client::message;
use super::client::read;
use super::client::with;
use super::rig::ALICE;
use super::rig::ALICE_SID;
use super::rig::Plan;
use super::rig::Rig;

const DENIED: u32 = 49;

#[tokio::test]
async fn l_001_a_bind_with_an_approved_push_speaks_as_the_person() {
    let rig = Rig::pushing().await;
    rig.answer(true);
    let mut client = rig.client().await;
    client.send(&bind(7, "alice", "pass")).await;
    let held = client.frame().await.unwrap();
    assert_eq!(ldap_frame(&held).id, 7);
    assert_eq!(ldap_frame(&held).result().unwrap().diagnostic, b"welcome from the directory");
    client.send(&read(8, "DC=corp")).await;
    assert!(client.entry().await.values("seenAs").any(|who| who == ALICE.as_bytes()));
    assert_eq!(client.result().await, (8, 0x65, 0));
    assert!(rig.diary.has("push to alice for wiki from 127.0.0.1"));
}

#[tokio::test]
async fn r_066_an_appended_code_never_reaches_the_directory() {
    let rig = Rig::open(Plan { method: Method::Oath, ..Plan::default() }).await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass,123456")).await;
    assert_eq!(client.result().await, (1, 0x61, 0));
    client.send(&bind(2, "alice", "pass,654321")).await;
    assert_eq!(client.result().await, (2, 0x61, DENIED));
    assert!(rig.diary.has(&format!("bind {ALICE} pass id 1")) && rig.diary.has("code 123456"));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("bind") && line.contains(",123456")));
}

#[tokio::test]
async fn l_011_all_denials_read_the_same_and_carry_nothing_of_the_directory() {
    let wrong_password = Rig::pushing().await;
    let mut client = wrong_password.client().await;
    client.send(&bind(3, "alice", "wrong")).await;
    let first = client.frame().await.unwrap();
    assert_eq!(ldap_frame(&first).result().unwrap().code, DENIED);
    assert!(wrong_password.diary.has("refusal 49 80090308: data 52e"));
    assert!(!String::from_utf8_lossy(&first).contains("52e"));
    assert!(!wrong_password.diary.lines().iter().any(|line| line.starts_with("push")), "no push for a wrong password");

    client.send(&bind(3, "nobody", "pass")).await;
    assert_eq!(client.frame().await.unwrap(), first);

    let push_denied = Rig::pushing().await;
    push_denied.answer(false);
    let mut client = push_denied.client().await;
    client.send(&bind(3, "alice", "pass")).await;
    assert_eq!(client.frame().await.unwrap(), first);

    let code_wrong = Rig::open(Plan { method: Method::Oath, ..Plan::default() }).await;
    let mut client = code_wrong.client().await;
    client.send(&bind(3, "alice", "pass,000000")).await;
    assert_eq!(client.frame().await.unwrap(), first);
    client.send(&bind(3, "alice", "pa\0ss")).await;
    assert_eq!(client.frame().await.unwrap(), first);
}

#[tokio::test]
async fn l_011_a_wrong_password_counts_against_whose_name_it_was() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "wrong")).await;
    assert_eq!(client.result().await.2, DENIED);
    assert!(rig.diary.has(&format!("fail {ALICE_SID}")));
}

#[tokio::test]
async fn r_069_a_refusal_takes_its_time_whoever_is_refused() {
    let delay = Duration::from_millis(300);
    let rig = Rig::open(Plan { reject_delay: delay, ..Plan::default() }).await;
    let mut client = rig.client().await;
    for (name, password) in [("alice", "wrong"), ("nobody", "pass"), ("alice", "pa\0ss")] {
        let began = tokio::time::Instant::now();
        client.send(&bind(1, name, password)).await;
        assert_eq!(client.result().await.2, DENIED);
        assert!(began.elapsed() >= delay, "{name} {password:?} after {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn l_010_l_070_l_071_names_and_passwords_that_are_none_stay_here() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    let cases: [(&[u8], &[u8], u32); 8] = [
        (b"alice", b"", 53),
        (b"CN=alice,DC=corp", b"", 53),
        (b"alice\0evil", b"pass", 34),
        (b"ali\nce", b"pass", 34),
        (b"alice\x7f", b"pass", 34),
        (b"alic\xff", b"pass", 34),
        (b"", b"pass", DENIED),
        (b"alice", b"pass\0", DENIED),
    ];
    for (id, (name, password, code)) in (1..).zip(cases) {
        let body = [element(0x02, &[3]), element(0x04, name), element(0x80, password)].concat();
        client.send(&message(id, 0x60, &body, &[])).await;
        assert_eq!(client.result().await, (id, 0x61, code), "{name:?} {password:?}");
    }
    assert_eq!(rig.diary.lines(), Vec::<String>::new(), "nothing of it was forwarded");
}

#[tokio::test]
async fn l_030_l_060_l_061_l_062_only_simple_binds_of_version_3() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    let choice = |version: u8, choice: Vec<u8>| [element(0x02, &[version]), element(0x04, b"alice"), choice].concat();
    let sasl = |mechanism: &str| element(0xa3, &[element(0x04, mechanism.as_bytes()), element(0x04, b"token")].concat());
    let mut cases = vec![(choice(2, element(0x80, b"pass")), 2), (choice(4, element(0x80, b"pass")), 2)];
    cases.extend(["", "GSS-SPNEGO", "plain", "EXTERNAL", "SCRAM-SHA-256"].map(|mechanism| (choice(3, sasl(mechanism)), 7)));
    cases.extend([0x81, 0x82, 0x89, 0x8a, 0x8b].map(|tag| (choice(3, element(tag, b"NTLM")), 7)));
    for (id, (body, code)) in (1..).zip(cases) {
        client.send(&message(id, 0x60, &body, &[])).await;
        assert_eq!(client.result().await, (id, 0x61, code));
    }
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_012_an_anonymous_bind_is_answered_here_and_opens_nothing() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "", "")).await;
    assert_eq!(client.result().await, (1, 0x61, 0));
    client.send(&read(2, "DC=corp")).await;
    assert_eq!(client.result().await, (2, 0x65, 50));
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_050_a_critical_control_on_a_bind_is_refused_before_anybody_is_asked() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&with(&bind(1, "alice", "pass"), &control("1.2.840.113556.1.4.319", true))).await;
    assert_eq!(client.result().await, (1, 0x61, 12));
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_020_a_failed_second_bind_leaves_nobody() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&bind(2, "alice", "wrong")).await;
    assert_eq!(client.result().await, (2, 0x61, DENIED));
    client.send(&read(3, "DC=corp")).await;
    assert_eq!(client.result().await, (3, 0x65, 50));
    client.send(&extended(4, "1.3.6.1.4.1.4203.1.11.3", None)).await;
    let who = client.frame().await.unwrap();
    assert!(!String::from_utf8_lossy(&who).contains("dn:"));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("search")));
}

#[tokio::test]
async fn l_020_a_bind_that_is_refused_at_once_leaves_nobody_too() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&bind(2, "alice", "")).await;
    assert_eq!(client.result().await.2, 53);
    client.send(&read(3, "DC=corp")).await;
    assert_eq!(client.result().await, (3, 0x65, 50));
}

#[tokio::test]
async fn l_021_a_search_behind_a_pending_bind_waits_for_the_decision() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&[bind(1, "alice", "pass"), read(2, "DC=corp")].concat()).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    rig.answer(true);
    assert_eq!(client.result().await, (1, 0x61, 0));
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
    assert!(rig.diary.place("answered") < rig.diary.place(&format!("search DC=corp as {ALICE}")));
}

#[tokio::test]
async fn l_021_a_search_behind_a_bind_that_fails_is_nobodys() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&[bind(2, "alice", "wrong"), read(3, "DC=corp")].concat()).await;
    assert_eq!(client.result().await, (2, 0x61, DENIED));
    assert_eq!(client.result().await, (3, 0x65, 50));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("search")));
}

#[tokio::test]
async fn l_022_an_abandoned_bind_takes_the_push_back_and_a_late_yes_opens_nothing() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(5, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    client.send(&ldap::abandon(6, 5)).await;
    rig.diary.wait_for("cancelled").await;
    rig.answer(true);
    client.send(&read(7, "DC=corp")).await;
    assert_eq!(client.result().await, (7, 0x65, 50), "no answer to the bind, and nobody is bound");
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("search")));
    assert!(rig.diary.has("disconnect"), "the connection that the directory had authenticated is gone");
}

#[tokio::test]
async fn l_022_l_023_unbind_and_close_take_the_push_back() {
    for unbinds in [true, false] {
        let rig = Rig::pushing().await;
        let mut client = rig.client().await;
        client.send(&bind(5, "alice", "pass")).await;
        rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
        if unbinds {
            client.send(&ldap::unbind_request(6)).await;
            client.is_closed().await;
        } else {
            drop(client);
        }
        rig.diary.wait_for("cancelled").await;
        rig.diary.wait_for("disconnect").await;
    }
}

#[tokio::test]
async fn l_022_abandon_of_another_id_does_not_end_a_bind() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(5, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    client.send(&[ldap::abandon(6, 4), extended(7, "1.3.6.1.4.1.4203.1.11.3", None)].concat()).await;
    rig.answer(true);
    assert_eq!(client.result().await, (5, 0x61, 0));
    assert_eq!(client.result().await, (7, 0x78, 0));
    assert!(!rig.diary.has("cancelled"));
}

#[tokio::test]
async fn l_024_a_second_bind_gives_the_first_one_up() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    client.send(&bind(2, "alice", "wrong")).await;
    rig.diary.wait_for("cancelled").await;
    assert_eq!(client.result().await, (2, 0x61, DENIED), "the first is never answered");
}

#[tokio::test]
async fn l_025_what_was_under_way_at_a_bind_is_never_answered() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&read(2, "DC=never")).await;
    rig.diary.wait_for(&format!("search DC=never as {ALICE}")).await;
    client.send(&bind(3, "alice", "pass")).await;
    assert_eq!(client.result().await, (3, 0x61, 0));
    rig.diary.wait_for("disconnect").await;
    client.send(&read(2, "DC=corp")).await;
    assert_eq!(ldap_frame(&client.frame().await.unwrap()).op, 0x64, "its message id is free again");
}

#[tokio::test]
async fn l_033_the_id_of_a_pending_bind_is_in_use() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&[bind(5, "alice", "pass"), read(5, "")].concat()).await;
    client.is_dismissed(2).await;
}

#[tokio::test]
async fn l_073_the_directory_is_asked_with_the_name_it_told_us() {
    let rig = Rig::pushing().await;
    rig.bound().await;
    assert_eq!(rig.diary.lines()[..3], ["resolve alice".to_owned(), "connect".to_owned(), format!("bind {ALICE} pass id 1")]);
}

#[tokio::test]
async fn l_073_a_bind_that_turns_out_to_be_somebody_elses_opens_nothing() {
    let somebody: &[u8] = &[1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xea, 3, 0, 0];
    let rig = Rig::open(Plan { tells_sid: somebody, ..Plan::default() }).await;
    rig.answer(true);
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    assert_eq!(client.result().await, (1, 0x61, DENIED));
    rig.diary.wait_for("disconnect").await;
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("push")));
}

#[tokio::test]
async fn l_073_other_directories_prove_it_by_the_persons_own_entry() {
    let rig = Rig::open(Plan { proof: Proof::OwnEntry("entryUUID"), ..Plan::default() }).await;
    rig.bound().await;
    // Somebody else's, one that begins as hers, none at all.
    for (attribute, tells_uuid) in [("entryUUID", "S-1-5-21-1-2-3-1002"), ("entryUUID", "S-1-5-21-1-2-3-10011"), ("nsUniqueId", ALICE_SID)] {
        let rig = Rig::open(Plan { proof: Proof::OwnEntry(attribute), tells_uuid, ..Plan::default() }).await;
        rig.answer(true);
        let mut client = rig.client().await;
        client.send(&bind(1, "alice", "pass")).await;
        assert_eq!(client.result().await, (1, 0x61, DENIED), "{attribute} {tells_uuid}");
        assert!(!rig.diary.lines().iter().any(|line| line.starts_with("push")));
    }
}

#[tokio::test]
async fn l_080_the_connection_of_a_denied_bind_is_closed_at_once() {
    let rig = Rig::open(Plan { reject_delay: Duration::from_secs(600), ..Plan::default() }).await;
    rig.answer(false);
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("answered").await;
    rig.diary.wait_for("disconnect").await;
}

#[tokio::test]
async fn l_080_a_client_binds_again_on_the_connection_it_has_while_nothing_else_can_come_on_it() {
    let rig = Rig::pushing().await;
    let times = |line: &str| rig.diary.lines().iter().filter(|it| *it == line).count();
    let mut client = rig.bound().await;
    client.send(&bind(2, "alice", "pass")).await;
    assert_eq!(client.result().await, (2, 0x61, 0));
    assert_eq!((times("connect"), times("disconnect")), (1, 0));
    client.send(&[read(3, "DC=never"), ldap::abandon(4, 3), bind(5, "alice", "pass")].concat()).await;
    assert_eq!(client.result().await, (5, 0x61, 0));
    assert_eq!(times("connect"), 2, "an answer to what was abandoned might still have come");
    client.send(&bind(6, "alice", "wrong")).await;
    assert_eq!(client.result().await, (6, 0x61, DENIED));
    client.send(&bind(7, "alice", "pass")).await;
    assert_eq!(client.result().await, (7, 0x61, 0));
    assert_eq!(times("connect"), 3, "after a refusal some servers keep it bound as whoever came before");
}

#[tokio::test]
async fn l_080_a_bind_that_never_reaches_the_directory_closes_what_was_bound_before_at_once() {
    for name in ["nobody", ""] {
        let rig = Rig::open(Plan { reject_delay: Duration::from_secs(600), ..Plan::default() }).await;
        let mut client = rig.bound().await;
        client.send(&bind(2, name, "pass")).await;
        rig.diary.wait_for("disconnect").await;
    }
}

#[tokio::test]
async fn a_directory_that_is_away_is_unavailable_and_the_client_turns_elsewhere() {
    let rig = Rig::open(Plan { away: true, ..Plan::default() }).await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    assert_eq!(client.result().await, (1, 0x61, 52));
    client.is_closed().await;
}

#[tokio::test]
async fn a_push_nobody_answers_is_a_denial_when_time_is_over() {
    let rig = Rig::open(Plan { deadline: Duration::from_millis(400), ..Plan::default() }).await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    assert_eq!(client.result().await, (1, 0x61, DENIED));
    rig.diary.wait_for("cancelled").await;
}
