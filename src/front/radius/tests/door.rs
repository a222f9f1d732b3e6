//! Who is heard at the door, from where it answers, and how it closes.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Nas;
use super::SECRET;
use super::World;
use super::client;
use super::open;
use super::open_at;
use super::read;
use super::settings;
use super::within;
use crate::domain::Method;
use crate::domain::Secret;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::upstream::AccessRequest;
use crate::wire::radius::upstream::status_server;

#[tokio::test]
async fn r_020_an_unknown_client_hears_nothing() {
    let world = World::new();
    let mut client = client(&world, Method::Oath);
    client.networks = vec!["127.0.0.9".parse().unwrap()];
    let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(client));
    let stranger = Nas::of(&house).await;
    stranger.send(&status_server(1, &[1; 16], SECRET).unwrap()).await;
    stranger.send(&stranger.login("alice", "open sesame")).await;
    Nas::at("127.0.0.9:0", house.door.address()).await.hears_nothing().await;
    assert_eq!(stranger.socket.try_recv(&mut [0; 100]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(world.resolves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r_025_r_038_bad_packets_hear_nothing_and_touch_nothing() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    house.world.push_seen().await;
    for at in 0..login.len() {
        let mut flipped = login.clone();
        flipped[at] ^= 1;
        nas.send(&flipped).await;
    }
    nas.send(&AccessRequest::new(0, [7; 16]).with(attr::USER_NAME, b"alice").password(b"x").signed(b"another secret").unwrap()).await;
    nas.hears_nothing().await;
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &login).code(), Code::AccessAccept);
    assert_eq!((house.world.pushes.load(Ordering::SeqCst), house.world.cancels.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn r_027_the_reply_leaves_from_the_address_that_was_asked() {
    let world = World::new();
    let house = open_at("0.0.0.0:0", Arc::clone(&world), settings(client(&world, Method::Oath)));
    for asked in ["127.0.0.5", "127.0.0.1", "127.0.0.200"] {
        let server = (asked.parse::<std::net::IpAddr>().unwrap(), house.door.address().port()).into();
        let nas = Nas::at("127.0.0.1:0", server).await;
        let login = nas.login("alice", "open sesame");
        nas.send(&login).await;
        assert_eq!(nas.receive().await.1, server);
        nas.send(&login).await;
        assert_eq!(nas.receive().await.1, server, "a kept answer too");
    }
}

#[tokio::test]
async fn r_027_it_is_the_same_over_ipv6() {
    for address in ["[::1]:0", "[::]:0"] {
        let world = World::new();
        let house = open_at(address, Arc::clone(&world), settings(client(&world, Method::Oath)));
        let server = (std::net::Ipv6Addr::LOCALHOST, house.door.address().port()).into();
        let nas = Nas::at("[::1]:0", server).await;
        let login = nas.login("alice", "open sesame");
        nas.send(&login).await;
        let (reply, from) = nas.receive().await;
        assert_eq!((read(&reply, &login).code(), from), (Code::AccessChallenge, server));
    }
}

#[tokio::test]
async fn r_004_padding_up_to_any_length_is_taken() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    let mut padded = login.clone();
    padded.resize(6000, 0xff);
    assert_eq!(read(&nas.ask(&padded).await, &login).code(), Code::AccessChallenge);
}

#[tokio::test]
async fn r_032_unsigned_requests_pass_where_the_client_is_only_observed() {
    let world = World::new();
    let mut client = client(&world, Method::Oath);
    client.integrity = Integrity::Observe;
    let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(client.clone()));
    let nas = Nas::of(&house).await;
    // What the codec signs, with the signature cut out again: the first attribute, 18 octets.
    let signed = nas.login("alice", "open sesame");
    let mut unsigned = [&signed[..20], &signed[38..]].concat();
    unsigned[3] -= 18;
    assert_eq!(read(&nas.ask(&unsigned).await, &unsigned).code(), Code::AccessChallenge);

    client.integrity = Integrity::Require;
    house.settings.send_replace(Arc::new(settings(client)));
    unsigned[1] = 99;
    nas.send(&unsigned).await;
    nas.hears_nothing().await;
    assert_eq!(world.resolves.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_reload_holds_for_the_next_datagram() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.ask(&login).await;
    let mut changed = client(&house.world, Method::Oath);
    changed.secret = Secret::from("another secret");
    house.settings.send_replace(Arc::new(settings(changed)));
    let question = status_server(9, &[9; 16], b"another secret").unwrap();
    nas.send(&nas.login("alice", "open sesame")).await;
    let reply = nas.ask(&question).await;
    assert!(crate::wire::radius::upstream::verify_reply(&reply, &question, b"another secret", Integrity::Require).is_ok());
}

#[tokio::test]
async fn r_057_with_all_places_taken_a_request_hears_nothing() {
    let world = World::new();
    let mut few = settings(client(&world, Method::Push));
    few.inflight_max = 1;
    let house = open_at("127.0.0.1:0", Arc::clone(&world), few);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    world.push_seen().await;
    nas.send(&nas.login("bob", "")).await;
    nas.hears_nothing().await;
    world.approve();
    assert_eq!(read(&nas.receive().await.0, &login).code(), Code::AccessAccept);
    let next = nas.login("bob", "");
    assert_eq!(read(&nas.ask(&next).await, &next).code(), Code::AccessReject);
}

#[tokio::test]
async fn r_102_r_105_status_server_gets_a_bare_accept_and_not_too_often() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let question = status_server(1, &[1; 16], SECRET).unwrap();
    let reply = nas.ask(&question).await;
    let reply = read(&reply, &question);
    assert_eq!(reply.code(), Code::AccessAccept);
    assert!(reply.attributes().iter().all(|attribute| attribute.kind == attr::MESSAGE_AUTHENTICATOR));

    for _ in 0..200 {
        nas.send(&question).await;
    }
    let last = nas.login("alice", "open sesame");
    nas.send(&last).await;
    let mut answered = 0;
    while nas.receive().await.0[0] == 2 {
        answered += 1;
    }
    assert!((5..50).contains(&answered), "{answered}");
    assert_eq!(house.world.resolves.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_drained_door_reads_nothing_more_and_ends_what_it_began() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    house.world.push_seen().await;
    let mut drained = std::pin::pin!(house.door.drain(Duration::from_secs(10)));
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut drained).await.is_err());
    nas.send(&nas.login("bob", "open sesame")).await;
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &login).code(), Code::AccessAccept);
    within(drained).await;
    assert_eq!(house.world.resolves.load(Ordering::SeqCst), 1, "bob was not heard");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_gives_logins_up() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    nas.send(&nas.login("alice", "open sesame")).await;
    house.world.push_seen().await;
    within(house.door.drain(Duration::ZERO)).await;
    house.world.push_seen().await;
    assert_eq!(house.world.cancels.load(Ordering::SeqCst), 1);
    assert_eq!(house.engine.running(), 0);
}
