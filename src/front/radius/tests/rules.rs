//! Rules of RADIUS that a NAS notices and that no other file here shows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;
use tokio::sync::watch;

use super::super::Behind;
use super::super::Client;
use super::super::Door;
use super::super::First;
use super::super::NasAddress;
use super::super::Sessions;
use super::super::Settings;
use super::Discards;
use super::Nas;
use super::SECRET;
use super::World;
use super::client;
use super::engine;
use super::open;
use super::open_at;
use super::read;
use super::settings;
use crate::domain::CodeEntry;
use crate::domain::Method;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::upstream::AccessRequest;

/// A packet of any code, with a right Message-Authenticator in front.
fn signed(code: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = [&[code, 7, 0, 0][..], b"random and once!", &[80, 18], &[0; 16]].concat();
    for (kind, value) in attributes {
        bytes.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let seal = Hmac::<Md5>::new_from_slice(SECRET).unwrap().chain_update(&bytes).finalize().into_bytes();
    bytes[22..38].copy_from_slice(&seal);
    bytes
}

/// The same as accounting and CoA sign: the authenticator is made over the rest.
fn sealed(code: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![code, 8, 0, 0];
    bytes.extend_from_slice(&[0; 16]);
    for (kind, value) in attributes {
        bytes.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let seal = Md5::new().chain_update(&bytes).chain_update(SECRET).finalize();
    bytes[4..20].copy_from_slice(&seal);
    bytes
}

/// Takes the Message-Authenticator away, which the codec puts first.
fn unsigned(signed: &[u8]) -> Vec<u8> {
    let mut bytes = [&signed[..20], &signed[38..]].concat();
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// MS-CHAPv2 that a first factor of this file takes for right.
fn ms_chap2(request: AccessRequest) -> AccessRequest {
    let challenge = [&[0, 0, 1, 55, 11, 18][..], &[1; 16]].concat();
    let response = [&[0, 0, 1, 55, 25, 52][..], &[9, 0], &[1; 16], &[0; 8], &[2; 24]].concat();
    request.with(attr::VENDOR_SPECIFIC, &challenge).with(attr::VENDOR_SPECIFIC, &response)
}

#[tokio::test]
async fn r_017_what_is_well_and_finds_no_answer_is_counted_by_its_name() {
    let discards = Discards::counted();
    let world = World::new();
    let house = open_at("127.0.0.1:0", Arc::clone(&world), Settings { inflight_max: 2, ..settings(client(&world, Method::Push)) });
    let nas = Nas::of(&house).await;
    let stationed = || nas.request().with(attr::USER_NAME, b"alice").with(attr::CALLING_STATION_ID, b"7").password(b"open sesame").signed(SECRET).unwrap();
    let (first, second) = (stationed(), stationed());
    nas.send(&first).await;
    world.push_seen().await;
    nas.send(&first).await;
    nas.send(&second).await;
    nas.send(&nas.login("bob", "wrong")).await;
    nas.hears_nothing().await;
    assert_eq!(["duplicate", "full"].map(|why| discards.of(why)), [1, 1]);
    world.approve();
    assert_eq!(read(&nas.receive().await.0, &second).code(), Code::AccessAccept);
    // The second has joined the first and has its answer; a late copy of the first begins nothing.
    while discards.of("superseded") == 0 {
        nas.send(&first).await;
        nas.hears_nothing().await;
    }
    assert_eq!(world.pushes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r_017_r_070_a_challenge_that_has_no_room_beside_the_proxy_states_is_counted_and_not_cut() {
    let discards = Discards::counted();
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let brim = (0..15).fold(nas.request().with(attr::USER_NAME, b"alice").password(b"open sesame"), |request, _| request.with(attr::PROXY_STATE, &[5; 253]));
    let brim = brim.with(attr::PROXY_STATE, &[5; 200]).signed(SECRET).unwrap();
    assert!(brim.len() > 4050);
    assert_eq!(read(&nas.ask(&brim).await, &brim).code(), Code::AccessReject);
    assert_eq!(discards.of("reply_too_long"), 1);
}

#[tokio::test]
async fn r_024_a_nas_that_says_it_is_elsewhere_is_rejected_where_that_matters() {
    let elsewhere = (attr::NAS_IP_ADDRESS, &[192, 0, 2, 1][..]);
    let here = (attr::NAS_IP_ADDRESS, &[127, 0, 0, 1][..]);
    let here_mapped = [&[0; 10][..], &[0xff, 0xff, 127, 0, 0, 1]].concat();
    let elsewhere_6 = (attr::NAS_IPV6_ADDRESS, &[0x20; 16][..]);
    for (nas_address, code) in [(NasAddress::Log, Code::AccessChallenge), (NasAddress::Require, Code::AccessReject)] {
        let world = World::new();
        let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(Client { nas_address, ..client(&world, Method::Oath) }));
        let nas = Nas::of(&house).await;
        let cases = [
            (vec![], Code::AccessChallenge),
            (vec![here], Code::AccessChallenge),
            // One with two addresses sends from one of them.
            (vec![here, elsewhere_6], Code::AccessChallenge),
            (vec![elsewhere, (attr::NAS_IPV6_ADDRESS, &here_mapped[..])], Code::AccessChallenge),
            // what is no address says nothing.
            (vec![(attr::NAS_IP_ADDRESS, &[127, 0][..])], Code::AccessChallenge),
            (vec![elsewhere], code),
            (vec![elsewhere_6], code),
            (vec![elsewhere, elsewhere_6], code),
        ];
        for (said, code) in cases {
            let request = nas.request().with(attr::USER_NAME, b"alice").password(b"open sesame");
            let asked = said.iter().fold(request, |request, (kind, value)| request.with(*kind, value)).signed(SECRET).unwrap();
            assert_eq!(read(&nas.ask(&asked).await, &asked).code(), code, "{nas_address:?} {said:?}");
        }
    }
}

#[tokio::test]
async fn r_03b_an_unsigned_request_hears_none_of_its_own_words() {
    let world = World::new();
    let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(Client { integrity: Integrity::Optional, ..client(&world, Method::Oath) }));
    let nas = Nas::of(&house).await;
    let words = [&b"chosen by mallory"[..], b"192.0.2.77-mallory", b"a nas of mallory", b"mallory's password"];
    let [name, station, identifier, wrong] = words;
    let request = || nas.request().with(attr::USER_NAME, name).with(attr::CALLING_STATION_ID, station).with(attr::NAS_IDENTIFIER, identifier);
    let first = unsigned(&request().password(b"open sesame").signed(SECRET).unwrap());
    let challenge = nas.ask(&first).await;
    let state = read(&challenge, &first).state().unwrap().to_vec();
    let second = unsigned(&request().with(attr::STATE, &state).password(b"123456").signed(SECRET).unwrap());
    let third = unsigned(&request().password(wrong).signed(SECRET).unwrap());
    let (accept, reject) = (nas.ask(&second).await, nas.ask(&third).await);
    let codes = [&challenge, &accept, &reject].map(|reply| reply[0]);
    assert_eq!(codes, [11, 2, 3]);
    for reply in [challenge, accept, reject] {
        for word in words {
            assert!(!reply.windows(word.len()).any(|part| part == word), "{:?} came back", String::from_utf8_lossy(word));
        }
    }
}

#[tokio::test]
async fn r_097_ms_chap_is_asked_on_the_phone_and_hears_no_challenge() {
    for (method, code) in [(Method::Oath, Code::AccessReject), (Method::Push, Code::AccessAccept)] {
        let world = World::new();
        let client = Client { first: First::MsChap2(world.clone()), code: CodeEntry::Challenge("Code:".into()), ..client(&world, method) };
        let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(client));
        let nas = Nas::of(&house).await;
        world.approve();
        let asked = ms_chap2(nas.request().with(attr::USER_NAME, b"alice")).signed(SECRET).unwrap();
        let reply = nas.ask(&asked).await;
        let reply = read(&reply, &asked);
        assert_eq!((reply.code(), world.checks.load(Ordering::SeqCst)), (code, 1), "{method:?}");
        let error = reply.attributes().vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR).next();
        assert_eq!(error.is_some_and(|error| error.starts_with(b"\x09E=691 R=0 ")), code == Code::AccessReject);
    }
}

#[tokio::test]
async fn r_102_what_stands_in_a_status_server_is_not_looked_at() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    for password in [[9; 16], [0; 16]] {
        let asked = signed(12, &[(attr::USER_NAME, b"alice"), (attr::USER_PASSWORD, &password), (attr::STATE, b"a state")]);
        let reply = nas.ask(&asked).await;
        let reply = read(&reply, &asked);
        assert_eq!(reply.code(), Code::AccessAccept);
        assert!(reply.attributes().iter().all(|attribute| attribute.kind == attr::MESSAGE_AUTHENTICATOR));
    }
    let asked = |count: &std::sync::atomic::AtomicUsize| count.load(Ordering::SeqCst);
    assert_eq!([&house.world.resolves, &house.world.checks, &house.world.pushes].map(asked), [0, 0, 0]);
}

#[tokio::test]
async fn r_104_nobody_can_change_or_end_a_session_through_us() {
    let world = World::new();
    let (_keep, settings) = watch::channel(Arc::new(settings(client(&world, Method::Oath))));
    let behind = Behind { engine: engine(&world), sessions: Sessions::new(world.clone()) };
    let logins = Door::open(SocketAddr::from(([127, 0, 0, 1], 0)), settings.clone(), behind.clone()).unwrap();
    let accounting = Door::open_accounting(SocketAddr::from(([127, 0, 0, 1], 0)), settings, behind).unwrap();
    const DISCONNECT: u8 = 40;
    const COA: u8 = 43;
    let session: [(u8, &[u8]); 2] = [(attr::USER_NAME, b"alice"), (attr::ACCT_SESSION_ID, b"1")];
    for door in [&logins, &accounting] {
        let nas = Nas::at("127.0.0.1:0", door.address()).await;
        for code in [DISCONNECT, COA] {
            nas.send(&signed(code, &session)).await;
            nas.send(&sealed(code, &session)).await;
        }
        // Were one of them answered, its answer would come first.
        let status = signed(12, &[]);
        assert!([2, 5].contains(&nas.ask(&status).await[0]));
        assert!(nas.socket.try_recv(&mut [0; 100]).is_err());
    }
}
