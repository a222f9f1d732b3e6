//! The client of RADIUS servers before scripted ones, on paused time.

mod datagrams;
mod health;
mod primary;
mod streams;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::Answer;
use super::AskError;
use super::ProbeError;
use super::Settings;
use super::Upstream;
use crate::domain::Secret;
use crate::ports::AccountingRelay;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;

const SECRET: &[u8] = b"shared secret";

/// A RADIUS server that does what the test says.
struct Lab {
    socket: UdpSocket,
    /// Whether it answers Status-Server.
    speaks: bool,
    statuses: AtomicUsize,
}

/// A request that arrived.
struct Got {
    bytes: Vec<u8>,
    from: SocketAddr,
}

impl Lab {
    async fn new() -> Self {
        Self { socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(), speaks: true, statuses: AtomicUsize::new(0) }
    }

    fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next request that is no Status-Server.
    async fn request(&self) -> Got {
        loop {
            let got = self.anything().await;
            if got.verified().code() != Code::StatusServer {
                return got;
            }
            self.statuses.fetch_add(1, Ordering::SeqCst);
            if self.speaks {
                self.accept(&got, &Carried::default()).await;
            }
        }
    }

    async fn anything(&self) -> Got {
        let mut bytes = vec![0; 4096];
        let (length, from) = self.socket.recv_from(&mut bytes).await.unwrap();
        bytes.truncate(length);
        Got { bytes, from }
    }

    async fn accept(&self, got: &Got, carried: &Carried) {
        self.send(&reply::accept(&got.asked(), SECRET, carried, [0; 2]).unwrap(), got).await;
    }

    async fn send(&self, bytes: &[u8], got: &Got) {
        self.socket.send_to(bytes, got.from).await.unwrap();
    }

    /// Lets everybody in from now on.
    async fn serve(self) {
        loop {
            let got = self.request().await;
            self.accept(&got, &named(got.verified().text(attr::USER_NAME).unwrap())).await;
        }
    }
}

impl Got {
    fn verified(&self) -> Request<'_> {
        Request::verify(&self.bytes, SECRET, Integrity::Require).unwrap()
    }

    fn asked(&self) -> Asked {
        Asked::of(&self.verified())
    }

    fn authenticator(&self) -> [u8; 16] {
        *self.verified().authenticator()
    }
}

fn named(name: &str) -> Carried {
    let mut carried = Carried::default();
    carried.push(attr::USER_NAME, name.as_bytes()).unwrap();
    carried
}

fn settings(servers: &[SocketAddr], timeout: Duration, tries: u32) -> Settings {
    let servers = servers.iter().map(|address| address.to_string().parse().unwrap()).collect();
    Settings { name: "nps".into(), servers, secret: Secret::new(SECRET.to_vec()), timeout, tries, integrity: Integrity::Require, tls: None }
}

fn upstream(servers: &[&Lab], seconds: u64, tries: u32) -> Arc<Upstream> {
    let servers: Vec<SocketAddr> = servers.iter().map(|lab| lab.address()).collect();
    Upstream::open(settings(&servers, Duration::from_secs(seconds), tries)).unwrap()
}

fn password_of(name: &str) -> Forward {
    let mut bytes = vec![attr::USER_NAME, u8::try_from(name.len() + 2).unwrap()];
    bytes.extend_from_slice(name.as_bytes());
    Forward::from_bytes(&bytes).unwrap().with_password(b"open sesame").unwrap()
}

/// Whether any server is not known to be away.
fn well(upstream: &Upstream) -> bool {
    upstream.targets.iter().any(|target| target.is_well())
}

/// Begins to ask, and goes on with the test.
fn asking(upstream: &Arc<Upstream>, name: &str, stay: Option<usize>) -> JoinHandle<Result<Answer, AskError>> {
    let (upstream, forward) = (Arc::clone(upstream), password_of(name));
    tokio::spawn(async move { upstream.ask(&forward, Code::AccessRequest, stay).await })
}

#[test]
fn what_cannot_be_opened_says_why() {
    let address: SocketAddr = "127.0.0.1:1812".parse().unwrap();
    let seconds = Duration::from_secs;
    let refused = |settings| Upstream::open(settings).unwrap_err().to_string();
    assert_eq!(refused(settings(&[], seconds(5), 3)), "servers names no server");
    assert_eq!(refused(settings(&[address], seconds(61), 3)), "timeout is from 100ms to 60s");
    assert_eq!(refused(settings(&[address], seconds(5), 11)), "tries is from 1 to 10");
    assert_eq!(refused(Settings { secret: Secret::default(), ..settings(&[address], seconds(5), 3) }), "the shared secret is empty");
    let over_tls = Settings { servers: vec!["radsec://127.0.0.1".parse().unwrap()], ..settings(&[], seconds(5), 3) };
    assert_eq!(refused(over_tls), "a server over TLS needs ca_file, cert_file and key");
}

#[tokio::test]
async fn r_100_accounting_is_handed_on_and_only_an_authentic_answer_counts() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 60, 1);
    let packet = Secret::new(vec![attr::ACCT_STATUS_TYPE, 6, 0, 0, 0, 1]);
    let relaying = tokio::spawn(async move { upstream.relay(&packet).await });
    let got = loop {
        let got = lab.anything().await;
        if got.bytes[0] == 4 {
            break got;
        }
    };
    let request = Request::verify_accounting(&got.bytes, SECRET).unwrap();
    assert_eq!(request.first(attr::ACCT_STATUS_TYPE).unwrap().integer(), Some(1));
    let asked = Asked::of(&request);
    lab.send(&reply::accounting_response(&asked, b"another").unwrap(), &got).await;
    lab.send(&reply::accounting_response(&asked, SECRET).unwrap(), &got).await;
    assert_eq!(relaying.await.unwrap(), Ok(()));
}
