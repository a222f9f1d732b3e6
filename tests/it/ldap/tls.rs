//! TLS: first, or asked for.

use super::client::bind;
use super::client::control;
use super::client::extended;
use super::client::read;
use super::client::with;
use super::rig::Plan;
use super::rig::Rig;
use super::rig::Tls;

const START_TLS: &str = "1.3.6.1.4.1.1466.20037";

async fn on_request() -> Rig {
    Rig::open(Plan { tls: Some(Tls::OnRequest), ..Plan::default() }).await
}

#[tokio::test]
async fn l_001_a_bind_over_tls() {
    let rig = Rig::open(Plan { tls: Some(Tls::First), ..Plan::default() }).await;
    rig.answer(true);
    let mut client = rig.tls_client().await;
    client.send(&bind(1, "alice", "pass")).await;
    assert_eq!(client.result().await, (1, 0x61, 0));
    client.send(&extended(2, START_TLS, None)).await;
    assert_eq!(client.result().await, (2, 0x78, 1));
}

#[tokio::test]
async fn l_086_a_password_in_clear_text_is_not_taken_where_tls_is_to_come_first() {
    let rig = on_request().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    assert_eq!(client.result().await, (1, 0x61, 13));
    assert!(rig.diary.lines().is_empty());
}

#[tokio::test]
async fn l_084_start_tls_then_a_bind() {
    let rig = on_request().await;
    rig.answer(true);
    let mut client = rig.client().await;
    client.send(&read(1, "")).await;
    assert!(client.entry().await.values("supportedExtension").any(|oid| oid == START_TLS.as_bytes()));
    assert_eq!(client.result().await, (1, 0x65, 0));
    client.send(&extended(2, START_TLS, None)).await;
    assert_eq!(client.result().await, (2, 0x78, 0));
    let mut client = rig.wrap(client).await;
    client.send(&read(3, "")).await;
    assert!(!client.entry().await.values("supportedExtension").any(|oid| oid == START_TLS.as_bytes()));
    assert_eq!(client.result().await, (3, 0x65, 0));
    client.send(&bind(4, "alice", "pass")).await;
    assert_eq!(client.result().await, (4, 0x61, 0));
    client.send(&extended(5, START_TLS, None)).await;
    assert_eq!(client.result().await, (5, 0x78, 1), "L-085: it is up already");
}

#[tokio::test]
async fn l_084_what_is_sent_behind_start_tls_in_clear_is_never_processed() {
    let rig = on_request().await;
    let mut client = rig.client().await;
    client.send(&[extended(1, START_TLS, None), read(2, "")].concat()).await;
    assert_eq!(client.result().await, (1, 0x78, 1));
    client.is_closed().await;
    assert!(rig.diary.lines().is_empty());
}

#[tokio::test]
async fn l_085_start_tls_with_a_value_or_a_critical_control_is_refused() {
    let rig = on_request().await;
    let mut client = rig.client().await;
    client.send(&extended(1, START_TLS, Some(b""))).await;
    assert_eq!(client.result().await, (1, 0x78, 2));
    client.send(&with(&extended(2, START_TLS, None), &control("1.2.3", true))).await;
    assert_eq!(client.result().await, (2, 0x78, 12));
}

#[tokio::test]
async fn l_085_start_tls_where_it_is_not_offered() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&extended(1, START_TLS, None)).await;
    assert_eq!(client.result().await, (1, 0x78, 2));
}

#[tokio::test]
async fn clear_text_at_a_tls_listener_is_not_answered_in_ldap() {
    let rig = Rig::open(Plan { tls: Some(Tls::First), ..Plan::default() }).await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    client.is_not_ldap().await;
    assert!(rig.diary.lines().is_empty());
}
