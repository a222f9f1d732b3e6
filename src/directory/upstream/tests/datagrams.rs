//! Identifiers, retransmission and what is believed, over UDP.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::timeout;

use super::super::AskError;
use super::super::board::Board;
use super::*;

#[tokio::test(start_paused = true)]
async fn r_121_what_nobody_answers_is_sent_again_byte_for_byte_and_then_no_more() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 60, 3);
    let begun = Instant::now();
    let asking = asking(&upstream, "alice", None);
    let mut seen = Vec::new();
    while let Ok(got) = timeout(Duration::from_secs(59), lab.request()).await {
        seen.push((got, begun.elapsed().as_secs_f64()));
    }
    assert_eq!(asking.await.unwrap().unwrap_err(), AskError::Silent);
    assert_eq!(seen.len(), 3);
    assert!(seen.iter().all(|(got, _)| (&got.bytes, got.from) == (&seen[0].0.bytes, seen[0].0.from)), "the same bytes from the same socket");
    assert!((1.8..2.3).contains(&seen[1].1), "{}", seen[1].1);
    assert!((5.2..6.9).contains(&seen[2].1), "{}", seen[2].1);
}

#[tokio::test(start_paused = true)]
async fn r_120_r_122_two_thousand_under_way_and_no_identifier_of_a_socket_nor_any_authenticator_twice() {
    const COUNT: usize = 2_000;
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 60, 6);
    let all: Vec<_> = (0..COUNT).map(|at| asking(&upstream, &format!("user{at}"), None)).collect();
    let mut waiting: HashMap<(SocketAddr, u8), Got> = HashMap::new();
    while waiting.len() < COUNT {
        let got = lab.request().await;
        let before = waiting.insert((got.from, got.verified().identifier()), Got { bytes: got.bytes.clone(), from: got.from });
        assert!(before.is_none_or(|before| before.bytes == got.bytes), "an Identifier in use was used for another request");
    }
    let authenticators: HashSet<[u8; 16]> = waiting.values().map(Got::authenticator).collect();
    assert_eq!(authenticators.len(), COUNT, "a Request Authenticator came twice");
    let ports: HashSet<SocketAddr> = waiting.keys().map(|(from, _)| *from).collect();
    assert_eq!(ports.len(), COUNT.div_ceil(256));
    for got in waiting.values() {
        lab.accept(got, &named(got.verified().text(attr::USER_NAME).unwrap())).await;
        // So that no socket overflows with replies.
        tokio::task::yield_now().await;
    }
    let serving = tokio::spawn(lab.serve());
    for (at, asking) in all.into_iter().enumerate() {
        assert_eq!(asking.await.unwrap().unwrap().user_names, Some(vec![format!("user{at}")]), "everybody gets the answer to what they asked");
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn r_120_the_identifier_unused_for_longest_is_next_and_an_unanswered_one_rests() {
    let board = Board::new(0, Instant::now());
    let take = || board.lease(Instant::now());
    let first = take().unwrap();
    drop(first);
    assert_eq!(take().unwrap().identifier(), 1, "the one that was just free waits its turn");
    let mut all: Vec<_> = std::iter::from_fn(take).collect();
    assert_eq!(all.len(), 256);
    let mut unanswered = all.pop().unwrap();
    let expected = unanswered.expect(&Arc::new(vec![0; 20].into()));
    drop(unanswered);
    drop(expected);
    assert!(take().is_none(), "the server may still be at it");
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(take().is_some());
}

#[tokio::test(start_paused = true)]
async fn r_039_forged_foreign_and_late_replies_wake_nobody_and_touch_no_timer() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 60, 2);
    let begun = Instant::now();
    let asking = asking(&upstream, "alice", None);
    let got = lab.request().await;
    let right = reply::accept(&got.asked(), SECRET, &named("alice"), [0; 2]).unwrap();
    lab.send(&reply::accept(&got.asked(), b"another secret", &named("alice"), [0; 2]).unwrap(), &got).await;
    let mut bent = right.clone();
    bent[1] = bent[1].wrapping_add(1);
    lab.send(&bent, &got).await;
    lab.send(&got.bytes, &got).await;
    lab.send(b"garbage", &got).await;
    lab.send(b"", &got).await;
    let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    elsewhere.send_to(&right, got.from).await.unwrap();
    let again = lab.request().await;
    assert_eq!(again.bytes, got.bytes);
    assert!((1.8..2.3).contains(&begun.elapsed().as_secs_f64()), "the timer ran as if nothing had come");
    assert!(!asking.is_finished());
    lab.send(&right, &got).await;
    assert_eq!(asking.await.unwrap().unwrap().user_names, Some(vec!["alice".to_owned()]));

    // What was right once is not right for the next request, even of the same Identifier.
    let next = super::asking(&upstream, "bob", None);
    let got = lab.request().await;
    let mut late = right;
    late[1] = got.verified().identifier();
    lab.send(&late, &got).await;
    lab.accept(&got, &named("bob")).await;
    assert_eq!(next.await.unwrap().unwrap().user_names, Some(vec!["bob".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn m_12_everything_ends_with_the_upstream() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    let asking = asking(&upstream, "alice", None);
    let got = lab.request().await;
    lab.accept(&got, &Carried::default()).await;
    asking.await.unwrap().unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    assert!(metrics.num_alive_tasks() > 0, "reader and watch");
    drop(upstream);
    while metrics.num_alive_tasks() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_grants_is_carried() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    let asking = asking(&upstream, "alice", None);
    let got = lab.request().await;
    assert_eq!(got.verified().user_password(SECRET).unwrap().unwrap().as_slice(), b"open sesame");
    let mut carried = Carried::default();
    carried.push(attr::REPLY_MESSAGE, b"Welcome").unwrap();
    carried.push_mppe_keys(&[1; 32], &[2; 32]).unwrap();
    lab.accept(&got, &carried).await;
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((answer.code, answer.server), (Code::AccessAccept, 0));
    assert_eq!(answer.carried.as_bytes(), carried.as_bytes(), "keys are read with our own authenticator and secret");
}
