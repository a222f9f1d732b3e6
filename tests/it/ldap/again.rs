//! Binds of one login, and of a person whose second factor is remembered: the phone rings once, the directory is asked each time.

use vestibule::domain::Method;
use vestibule::domain::Remember;
use vestibule::domain::RememberBy;

use super::client::bind;
use super::client::extended;
use super::client::ldap_frame;
use super::client::read;
use super::rig::ALICE;
use super::rig::Plan;
use super::rig::Rig;
use super::rig::Tls;

const DENIED: u32 = 49;
const MINUTE_MS: u64 = 60_000;

fn joining() -> Plan {
    Plan { join_ms: MINUTE_MS, ..Plan::default() }
}

fn pushes(rig: &Rig) -> usize {
    rig.diary.lines().iter().filter(|line| line.starts_with("push to")).count()
}

fn binds(rig: &Rig) -> usize {
    rig.diary.lines().iter().filter(|line| line.starts_with("bind ")).count()
}

#[tokio::test]
async fn l_083_two_binds_at_once_are_one_push_and_both_are_let_in_by_their_own_password() {
    let rig = Rig::open(joining()).await;
    let (mut one, mut other) = (rig.client().await, rig.client().await);
    one.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    other.send(&bind(1, "alice", "pass")).await;
    let mut wrong = rig.client().await;
    wrong.send(&bind(1, "alice", "wrong")).await;
    rig.answer(true);
    for client in [&mut one, &mut other] {
        assert_eq!(client.result().await, (1, 0x61, 0));
        client.send(&read(2, "DC=corp")).await;
        assert!(client.entry().await.values("seenAs").any(|who| who == ALICE.as_bytes()), "each on its own connection, bound");
    }
    assert_eq!(wrong.result().await, (1, 0x61, DENIED));
    assert_eq!((pushes(&rig), binds(&rig)), (1, 3));
}

#[tokio::test]
async fn l_083_without_a_window_a_second_bind_is_a_second_login() {
    let rig = Rig::pushing().await;
    let _bound = (rig.bound().await, rig.bound().await);
    assert_eq!(pushes(&rig), 2);
}

#[tokio::test]
async fn m_42_a_code_opens_the_next_bind_of_its_login_and_another_code_does_not() {
    let rig = Rig::open(Plan { method: Method::Oath, ..joining() }).await;
    let mut client = rig.client().await;
    for id in 1..=3 {
        client.send(&bind(id, "alice", "pass,123456")).await;
        assert_eq!(client.result().await, (id, 0x61, 0));
    }
    let checked = |rig: &Rig| rig.diary.lines().iter().filter(|line| line.starts_with("code")).count();
    assert_eq!((checked(&rig), binds(&rig)), (1, 3));
    client.send(&bind(4, "alice", "pass,123457")).await;
    assert_eq!(client.result().await, (4, 0x61, DENIED));
    assert_eq!(checked(&rig), 2);
}

#[tokio::test]
async fn m_41_a_remembered_bind_needs_the_right_password_and_nothing_else() {
    let remember = Remember { for_ms: MINUTE_MS, by: RememberBy::Source };
    let rig = Rig::open(Plan { remember, ..Plan::default() }).await;
    drop(rig.bound().await);
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "wrong")).await;
    assert_eq!(client.result().await, (1, 0x61, DENIED));
    client.send(&bind(2, "alice", "pass")).await;
    assert_eq!(client.result().await, (2, 0x61, 0));
    client.send(&bind(3, ALICE, "pass")).await;
    assert_eq!(client.result().await, (3, 0x61, 0), "by any of the person's names");
    assert_eq!((pushes(&rig), binds(&rig)), (1, 4));
}

#[tokio::test]
async fn m_41_what_is_remembered_changes_no_password() {
    let rig = Rig::open(Plan { tls: Some(Tls::First), ..joining() }).await;
    rig.answer(true);
    let password_modify = "1.3.6.1.4.1.4203.1.11.1";
    let mut codes = Vec::new();
    for _ in 0..2 {
        let mut client = rig.tls_client().await;
        client.send(&bind(1, "alice", "pass")).await;
        assert_eq!(client.result().await, (1, 0x61, 0));
        client.send(&extended(2, password_modify, None)).await;
        let answer = client.frame().await.unwrap();
        codes.push(ldap_frame(&answer).result().map(|result| result.code).unwrap());
    }
    assert_eq!(pushes(&rig), 1);
    assert_eq!(codes, [2, 50], "the bind that the phone let in asks the directory, the one that joined it may not");
}
