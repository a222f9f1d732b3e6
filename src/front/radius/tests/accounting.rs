//! Accounting: written down or handed on, acknowledged only then, and never a way in.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::watch;

use super::super::Accounting;
use super::super::Behind;
use super::super::Client;
use super::super::Door;
use super::super::Sessions;
use super::Nas;
use super::SECRET;
use super::World;
use super::client;
use super::engine;
use super::settings;
use super::tls::Line;
use super::tls::RADSEC;
use super::tls::attributes;
use super::tls::clear;
use crate::domain::Method;
use crate::domain::Outage;
use crate::domain::Secret;
use crate::ports::AccountingRelay;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::upstream::status_server;
use crate::wire::radius::upstream::verify_reply;
use crate::wire::radius::upstream::verify_reply_over_tls;
use crate::wire::radius::upstream::verify_reply_over_tls_11;

struct Books {
    door: Door,
    sessions: Sessions,
    world: Arc<World>,
    _settings: watch::Sender<Arc<super::super::Settings>>,
}

fn open(accounting: Accounting) -> Books {
    let world = World::new();
    let (settings, seen) = watch::channel(Arc::new(settings(Client { accounting, ..client(&world, Method::Oath) })));
    let sessions = Sessions::new(world.clone());
    let behind = Behind { engine: engine(&world), sessions: sessions.clone() };
    let door = Door::open_accounting(SocketAddr::from(([127, 0, 0, 1], 0)), seen, behind).unwrap();
    Books { door, sessions, world, _settings: settings }
}

/// How many are on.
fn on(sessions: &Sessions) -> usize {
    sessions.page("", None, 100).sessions.len()
}

/// Alice's session 17, or with another status.
fn told(status: u8) -> Vec<(u8, Vec<u8>)> {
    vec![
        (attr::ACCT_STATUS_TYPE, vec![0, 0, 0, status]),
        (attr::ACCT_SESSION_ID, b"17".to_vec()),
        (attr::USER_NAME, b"alice".to_vec()),
        (attr::NAS_IDENTIFIER, b"vpn1".to_vec()),
        (attr::FRAMED_IP_ADDRESS, vec![10, 0, 0, 7]),
        (attr::CALLING_STATION_ID, b"192.0.2.7".to_vec()),
        (attr::ACCT_INPUT_OCTETS, vec![0, 0, 1, 0]),
        (attr::ACCT_INPUT_GIGAWORDS, vec![0, 0, 0, 2]),
    ]
}

fn request(identifier: u8, told: &[(u8, Vec<u8>)]) -> Vec<u8> {
    signed(identifier, told, SECRET)
}

fn signed(identifier: u8, told: &[(u8, Vec<u8>)], secret: &[u8]) -> Vec<u8> {
    let all: Vec<(u8, &[u8])> = told.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
    attributes(&all).signed(Code::AccountingRequest, identifier, &[0; 16], secret).unwrap()
}

/// What was sent before was met with silence.
async fn hears_nothing(nas: &Nas) {
    let question = status_server(250, b"are you there???", SECRET).unwrap();
    let reply = nas.ask(&question).await;
    assert_eq!(verify_reply(&reply, &question, SECRET, Integrity::Require).unwrap().code(), Code::AccountingResponse);
}

#[tokio::test]
async fn r_100_r_101_a_session_is_written_down_and_acknowledged() {
    let books = open(Accounting::Record);
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    let start = request(1, &told(1));
    assert_eq!(verify_reply(&nas.ask(&start).await, &start, SECRET, Integrity::Require).unwrap().code(), Code::AccountingResponse);
    let page = books.sessions.page("ALICE", None, 10);
    let session = &page.sessions[0];
    assert_eq!((session.client.as_str(), session.nas.as_str(), session.id.as_str()), ("fortigate", "vpn1", "17"));
    assert_eq!((session.address.unwrap().to_string().as_str(), session.source.as_deref()), ("10.0.0.7", Some("192.0.2.7")));
    assert_eq!(session.input_octets, (2 << 32) + 256);
    nas.ask(&request(2, &told(2))).await;
    assert_eq!(on(&books.sessions), 0);
    assert_eq!(books.world.resolves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r_100_what_is_forged_or_no_accounting_hears_nothing() {
    let books = open(Accounting::Record);
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    let start = request(1, &told(1));
    for at in 0..start.len() {
        let mut flipped = start.clone();
        flipped[at] ^= 1;
        nas.send(&flipped).await;
    }
    nas.send(&signed(1, &told(1), b"another secret")).await;
    nas.send(&nas.login("alice", "open sesame")).await;
    nas.send(&request(2, &told(1)[1..])).await;
    hears_nothing(&nas).await;
    assert_eq!((on(&books.sessions), books.world.resolves.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn r_051_a_copy_is_answered_by_the_same_bytes_and_written_down_once() {
    let books = open(Accounting::Record);
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    let (start, stop) = (request(1, &told(1)), request(2, &told(2)));
    let first = nas.ask(&start).await;
    nas.ask(&stop).await;
    assert_eq!(nas.ask(&start).await, first);
    assert_eq!(on(&books.sessions), 0, "the copy of the start begins nothing");
}

#[tokio::test]
async fn a_nas_that_begins_has_nobody_on() {
    let books = open(Accounting::Record);
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    nas.ask(&request(1, &told(1))).await;
    nas.ask(&request(2, &[(attr::ACCT_STATUS_TYPE, vec![0, 0, 0, 7]), (attr::NAS_IDENTIFIER, b"vpn2".to_vec())])).await;
    assert_eq!(on(&books.sessions), 1, "another NAS");
    nas.ask(&request(3, &[(attr::ACCT_STATUS_TYPE, vec![0, 0, 0, 7]), (attr::NAS_IDENTIFIER, b"vpn1".to_vec())])).await;
    assert_eq!(on(&books.sessions), 0);
}

#[tokio::test]
async fn names_cannot_command_a_terminal() {
    let books = open(Accounting::Record);
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    let mut start = told(1);
    start[2].1 = b"al\x1b\0e".to_vec();
    nas.ask(&request(1, &start)).await;
    assert_eq!(books.sessions.page("", None, 1).sessions[0].name.as_deref(), Some("0x616c1b0065"));
}

/// A server behind us.
#[derive(Debug, Default)]
struct Upstream {
    away: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl AccountingRelay for Upstream {
    async fn relay(&self, packet: &Secret) -> Result<(), Outage> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(Forward::from_bytes(packet.expose()).unwrap().attributes().contains(attr::ACCT_SESSION_ID));
        if self.away.load(Ordering::SeqCst) { Err(Outage::Directory) } else { Ok(()) }
    }
}

#[tokio::test]
async fn r_100_nothing_is_acknowledged_that_the_server_behind_us_has_not_taken() {
    let upstream = Arc::new(Upstream { away: AtomicBool::new(true), ..Upstream::default() });
    let books = open(Accounting::Relay(upstream.clone()));
    let nas = Nas::at("127.0.0.1:0", books.door.address()).await;
    let start = request(1, &told(1));
    nas.send(&start).await;
    hears_nothing(&nas).await;
    assert_eq!((on(&books.sessions), upstream.asked.load(Ordering::SeqCst)), (0, 1));
    upstream.away.store(false, Ordering::SeqCst);
    assert_eq!(verify_reply(&nas.ask(&start).await, &start, SECRET, Integrity::Require).unwrap().code(), Code::AccountingResponse);
    nas.ask(&start).await;
    assert_eq!((on(&books.sessions), upstream.asked.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn behind_tls_accounting_comes_on_the_same_connection_in_both_versions() {
    let world = World::new();
    let line = Line::open(Arc::clone(&world), client(&world, Method::Oath));
    let mut nas = line.nas(&[]).await;
    let start = signed(1, &told(1), RADSEC);
    assert_eq!(verify_reply_over_tls(&nas.ask(&start).await, &start, RADSEC, Integrity::Require, 4096).unwrap().code(), Code::AccountingResponse);
    assert_eq!(on(&line.sessions), 1);
    let mut newer = line.nas(&["radius/1.1"]).await;
    let stop = told(2);
    let stop = clear(Code::AccountingRequest, 1, &stop.iter().map(|(kind, value)| (*kind, value.as_slice())).collect::<Vec<_>>());
    assert_eq!(verify_reply_over_tls_11(&newer.ask(&stop).await, &stop, 4096).unwrap().code(), Code::AccountingResponse);
    assert_eq!(on(&line.sessions), 0);
    let mut forged = signed(2, &told(1), RADSEC);
    forged[4] ^= 1;
    nas.send(&forged).await;
    assert!(nas.is_closed().await);
}
