//! RADIUS over TLS: framing, versions, connections.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::super::Tls;
use super::super::board::Board;
use super::super::board::Lease;
use super::*;
use crate::wire::radius::Version;

const IN_TLS: &[u8] = b"radsec";

/// A RadSec server that does what the test says.
struct Lab {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    version: Version,
    upstream: Arc<Upstream>,
    _folder: TempDir,
}

struct Peer {
    stream: TlsStream<TcpStream>,
    version: Version,
}

impl Lab {
    async fn new(name: &str, alpn: &[&[u8]]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let identity = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
            (vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let (chain, key) = identity(name);
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_client_cert_verifier(clients).with_single_cert(chain, key).unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        fs::write(&ca_file, authority.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("radsec://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (chain, private) = identity("mfa1.corp.example");
        let tls = Some(Tls { ca_file, chain, private });
        let upstream = Upstream::open(Settings { servers: vec![server], tls, ..settings(&[], Duration::from_secs(10), 3) }).unwrap();
        let version = if alpn.contains(&&b"radius/1.1"[..]) { Version::V11 } else { Version::V10 };
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), version, upstream, _folder: folder }
    }

    async fn peer(&self) -> Peer {
        let (tcp, _) = self.listener.accept().await.unwrap();
        // Paused time does not wait for an acknowledgement that the kernel holds back.
        tcp.set_nodelay(true).unwrap();
        let stream = self.acceptor.accept(tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().map(<[_]>::len), Some(1), "R-111: we show who we are");
        Peer { stream, version: self.version }
    }
}

impl Peer {
    /// One packet; `None` at the end.
    async fn packet(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 4];
        self.stream.read_exact(&mut packet).await.ok()?;
        packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
        self.stream.read_exact(&mut packet[4..]).await.ok()?;
        Some(packet)
    }

    fn verified<'a>(&self, packet: &'a [u8]) -> Request<'a> {
        match self.version {
            Version::V10 => Request::over_tls(packet, IN_TLS, Integrity::Require, 4096).unwrap(),
            Version::V11 => Request::over_tls_11(packet, 4096).unwrap(),
        }
    }

    fn accept(&self, packet: &[u8]) -> Vec<u8> {
        let request = self.verified(packet);
        let carried = request.text(attr::USER_NAME).map(named).unwrap_or_default();
        reply::accept(&Asked::of(&request), IN_TLS, &carried, [0; 2]).unwrap()
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next request, Status-Servers answered.
    async fn request(&mut self) -> Vec<u8> {
        loop {
            let packet = self.packet().await.unwrap();
            if packet[0] != 12 {
                return packet;
            }
            assert_eq!(self.verified(&packet).token().unwrap_or_else(|| packet[1].into()) & 0xff, 0, "R-114: the Identifier kept for it");
            let reply = self.accept(&packet);
            self.send(&reply).await;
        }
    }
}

/// One login over a server that offers these protocols.
async fn login(alpn: &[&[u8]]) -> Vec<u8> {
    let lab = Lab::new("127.0.0.1", alpn).await;
    let asking = asking(&lab.upstream, "alice", None);
    let mut peer = lab.peer().await;
    let packet = peer.request().await;
    let password = peer.verified(&packet).user_password(IN_TLS).unwrap().unwrap();
    assert_eq!(password.as_slice(), b"open sesame");
    let reply = peer.accept(&packet);
    // In two pieces: a stream knows no packets.
    peer.send(&reply[..7]).await;
    tokio::task::yield_now().await;
    peer.send(&reply[7..]).await;
    assert_eq!(asking.await.unwrap().unwrap().user_names, Some(vec!["alice".to_owned()]));
    packet
}

#[tokio::test(start_paused = true)]
async fn r_116_the_version_is_what_the_handshake_says() {
    for alpn in [&[][..], &[&b"radius/1.0"[..]][..]] {
        let packet = login(alpn).await;
        assert!(!packet.windows(11).any(|window| window == b"open sesame"), "hidden, as RFC 2865 has it");
    }
    let packet = login(&[b"radius/1.1", b"radius/1.0"]).await;
    assert!(packet.windows(11).any(|window| window == b"open sesame"), "TLS alone hides it in RADIUS/1.1");
}

#[tokio::test(start_paused = true)]
async fn r_114_nothing_is_sent_twice_on_a_connection() {
    let lab = Lab::new("127.0.0.1", &[]).await;
    let asking = asking(&lab.upstream, "alice", None);
    let mut peer = lab.peer().await;
    peer.request().await;
    let more = timeout(Duration::from_secs(9), peer.packet()).await;
    assert!(more.is_err(), "{more:?}");
    assert_eq!(asking.await.unwrap().unwrap_err(), AskError::Silent);
}

#[tokio::test(start_paused = true)]
async fn r_113_the_first_bad_byte_closes_the_connection_and_the_question_goes_over_another() {
    for spoil in [
        (|reply: &mut Vec<u8>| reply[2..4].copy_from_slice(&[0, 19])) as fn(&mut Vec<u8>),
        |reply| reply[2..4].copy_from_slice(&[0xff, 0xff]),
        |reply| reply[10] ^= 1,
        |reply| reply[0] = 99,
    ] {
        let lab = Lab::new("127.0.0.1", &[]).await;
        let asking = asking(&lab.upstream, "alice", None);
        let mut peer = lab.peer().await;
        let packet = peer.request().await;
        let mut reply = peer.accept(&packet);
        spoil(&mut reply);
        peer.send(&reply).await;
        assert_eq!(peer.packet().await, None, "closed");
        let mut peer = lab.peer().await;
        let again = peer.request().await;
        assert_ne!(again[4..20], packet[4..20], "a request of its own");
        let reply = peer.accept(&again);
        peer.send(&reply).await;
        asking.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r_114_so_many_at_once_on_one_connection_and_the_rest_on_the_next() {
    let lab = Lab::new("127.0.0.1", &[]).await;
    let all: Vec<_> = (0..256).map(|at| asking(&lab.upstream, &format!("user{at}"), None)).collect();
    let mut peer = lab.peer().await;
    let mut identifiers = HashSet::new();
    let mut packets = Vec::new();
    while packets.len() < 255 {
        let packet = peer.request().await;
        assert!(packet[1] != 0 && identifiers.insert(packet[1]), "{}", packet[1]);
        packets.push(packet);
    }
    let mut second = lab.peer().await;
    let packet = second.request().await;
    let reply = second.accept(&packet);
    second.send(&reply).await;
    for packet in packets {
        let reply = peer.accept(&packet);
        peer.send(&reply).await;
    }
    for (at, asking) in all.into_iter().enumerate() {
        assert_eq!(asking.await.unwrap().unwrap().user_names, Some(vec![format!("user{at}")]));
    }
}

#[tokio::test(start_paused = true)]
async fn r_118_a_certificate_for_another_host_is_no_server_and_nothing_goes_out_in_clear() {
    let lab = Lab::new("localhost", &[]).await;
    let beside = UdpSocket::bind(lab.listener.local_addr().unwrap()).await.unwrap();
    let asking = asking(&lab.upstream, "alice", None);
    let (tcp, _) = lab.listener.accept().await.unwrap();
    assert!(lab.acceptor.accept(tcp).await.is_err());
    assert_eq!(asking.await.unwrap().unwrap_err(), AskError::Silent);
    assert!(timeout(Duration::from_secs(5), beside.recv(&mut [0; 64])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r_116_a_late_reply_by_an_old_token_is_passed_over_and_the_connection_goes_on() {
    let lab = Lab::new("127.0.0.1", &[b"radius/1.1"]).await;
    let asking = asking(&lab.upstream, "alice", None);
    let mut peer = lab.peer().await;
    let packet = peer.request().await;
    let reply = peer.accept(&packet);
    let mut late = reply.clone();
    late[6] ^= 1;
    peer.send(&late).await;
    late[0] = 5;
    peer.send(&late).await;
    peer.send(&reply).await;
    assert_eq!(asking.await.unwrap().unwrap().user_names, Some(vec!["alice".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn r_120_over_tls_an_identifier_that_was_never_answered_is_not_used_again() {
    let board = Board::once(1, Instant::now());
    let forsake = |mut lease: Lease| {
        let expected = lease.expect(&Arc::new(vec![0; 20].into()));
        drop(lease);
        drop(expected);
    };
    forsake(board.lease_named(0).unwrap());
    assert!(board.lease_named(0).is_none());
    let all: Vec<Lease> = std::iter::from_fn(|| board.lease(Instant::now())).collect();
    assert_eq!(all.len(), 255);
    all.into_iter().for_each(forsake);
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(board.lease(Instant::now()).is_none());
    assert!(board.is_spent(), "so the connection may go");
}
