//! Bytes: pieces, bounds, back-pressure, the number of connections, and the end.

use std::time::Duration;

use vestibule::wire::ldap;

use super::client::bind;
use super::client::element;
use super::client::extended;
use super::client::message;
use super::client::read;
use super::rig::ALICE;
use super::rig::Plan;
use super::rig::Rig;

#[tokio::test]
async fn l_003_requests_are_read_however_they_are_cut() {
    let rig = Rig::pushing().await;
    rig.answer(true);
    let mut client = rig.client().await;
    let bytes = [bind(1, "alice", "pass"), read(2, "DC=corp")].concat();
    for byte in bytes {
        client.send(&[byte]).await;
    }
    assert_eq!(client.result().await, (1, 0x61, 0));
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
}

#[tokio::test]
async fn l_041_before_a_bind_a_request_is_256_kib_at_most() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&[0x30, 0x84, 0x00, 0x04, 0x00, 0x00]).await;
    client.is_dismissed(2).await;
    let mut client = rig.bound().await;
    client.send(&message(2, 0x77, &[element(0x80, b"1.2.3.4"), element(0x81, &vec![0; 300_000])].concat(), &[])).await;
    assert_eq!(client.result().await, (2, 0x78, 2));
    client.send(&[0x30, 0x84, 0x00, 0x10, 0x00, 0x00]).await;
    client.is_dismissed(2).await;
}

#[tokio::test]
async fn l_041_more_than_1000_operations_at_once_are_refused_as_busy() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    let many: Vec<u8> = (2..1_003).flat_map(|id| read(id, "DC=never")).collect();
    client.send(&many).await;
    assert_eq!(client.result().await, (1_002, 0x65, 51), "busy, and the connection goes on");
    client.send(&extended(2_000, "1.3.6.1.4.1.4203.1.11.3", None)).await;
    assert_eq!(client.result().await, (2_000, 0x78, 0));
}

#[tokio::test]
async fn l_042_depth_is_bounded_both_ways() {
    let mut filter = element(0x87, b"objectClass");
    for _ in 0..100 {
        filter = element(0xa2, &filter);
    }
    let numbers = [element(0x0a, &[0]), element(0x0a, &[0]), element(0x02, &[0]), element(0x02, &[0]), element(0x01, &[0])].concat();
    let search = message(1, 0x63, &[element(0x04, b""), numbers, filter, element(0x30, &[])].concat(), &[]);
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&search).await;
    client.is_dismissed(2).await;
    let mut client = rig.bound().await;
    client.send(&read(2, "DC=deep")).await;
    client.is_dismissed(80).await;
}

#[tokio::test]
async fn l_040_an_answer_over_the_limit_ends_the_connection() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&read(2, "DC=huge")).await;
    client.is_dismissed(80).await;
}

#[tokio::test]
async fn answers_to_what_was_not_asked_are_left_out() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&read(2, "DC=strange")).await;
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
}

#[tokio::test]
async fn l_089_a_large_answer_comes_whole_to_a_client_that_asks_for_more_before_it_reads() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&[read(2, "DC=many"), read(3, "DC=many"), read(4, "DC=corp")].concat()).await;
    for id in [2, 3] {
        for _ in 0..400 {
            assert!(client.entry().await.values("seenAs").any(|who| who == ALICE.as_bytes()));
        }
        assert_eq!(client.result().await, (id, 0x65, 0));
    }
    client.entry().await;
}

#[tokio::test]
async fn connections_have_a_limit() {
    let rig = Rig::open(Plan { connections_max: 0, ..Plan::default() }).await;
    rig.client().await.is_closed().await;
}

#[tokio::test]
async fn draining_dismisses_those_at_rest_and_lets_a_bind_finish() {
    let rig = Rig::pushing().await;
    let mut resting = rig.client().await;
    resting.send(&extended(1, "1.3.6.1.4.1.4203.1.11.3", None)).await;
    assert_eq!(resting.result().await, (1, 0x78, 0));
    let mut binding = rig.client().await;
    binding.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    let address = rig.door.address();
    let Rig { door, phone, .. } = rig;
    let drained = tokio::spawn(door.drain(Duration::from_secs(20)));
    resting.is_dismissed(52).await;
    phone.send_replace(Some(true));
    assert_eq!(binding.result().await, (1, 0x61, 0));
    binding.is_dismissed(52).await;
    drained.await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn draining_does_not_wait_for_ever() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    rig.door.drain(Duration::from_millis(10)).await;
    client.is_closed().await;
    rig.diary.wait_for("cancelled").await;
}

#[tokio::test]
async fn l_021_all_that_waits_behind_a_bind_is_done_after_it() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    let many: Vec<u8> = (2..102).flat_map(|id| read(id, "DC=corp")).collect();
    client.send(&[bind(1, "alice", "pass"), many].concat()).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    rig.answer(true);
    assert_eq!(client.result().await, (1, 0x61, 0));
    for id in 2..102 {
        client.entry().await;
        assert_eq!(client.result().await, (id, 0x65, 0));
    }
}

#[tokio::test]
async fn l_022_who_lets_too_much_wait_behind_a_bind_is_dismissed_and_a_late_yes_opens_nothing() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&bind(1, "alice", "pass")).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    client.send(&(2..103).flat_map(|id| read(id, "DC=corp")).collect::<Vec<u8>>()).await;
    client.is_dismissed(51).await;
    rig.diary.wait_for("cancelled").await;
    rig.diary.wait_for("disconnect").await;
    rig.answer(true);
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("search")));
}

#[tokio::test]
async fn l_022_an_abandon_behind_a_hundred_requests_is_seen() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    let many: Vec<u8> = (2..102).flat_map(|id| read(id, "DC=corp")).collect();
    client.send(&[bind(1, "alice", "pass"), many].concat()).await;
    rig.diary.wait_for("push to alice for wiki from 127.0.0.1").await;
    client.send(&ldap::abandon(102, 1)).await;
    rig.diary.wait_for("cancelled").await;
    rig.answer(true);
    assert_eq!(client.result().await, (2, 0x65, 50), "nobody is bound");
}
