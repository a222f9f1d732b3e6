//! A certificate authority, a RadSec listener and its clients, over real sockets of the loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::RevokedCertParams;
use rcgen::SerialNumber;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::super::Behind;
use super::super::Client;
use super::super::Door;
use super::super::MutualTls;
use super::super::Sessions;
use super::super::Settings;
use super::super::TlsSettings;
use super::World;
use super::engine;
use super::settings;
use super::within;
use crate::domain::Secret;
use crate::wire::radius::Code;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::upstream::status_server;

/// The secret of RadSec.
pub(super) const RADSEC: &[u8] = b"radsec";

/// A certificate authority.
pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(super) struct Leaf {
    pub(super) certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Ca {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate with this common name and these alternative names.
    pub(super) fn leaf(&self, common: &str, alternative: &[&str]) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(alternative.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, common);
        Leaf { certificate: params.signed_by(&key, &self.0).unwrap().der().clone(), key }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// A list, good for long or run out long ago, that takes `back`.
    pub(super) fn revocations(&self, back: &[&Leaf], is_late: bool) -> CertificateRevocationListDer<'static> {
        let this_update = rcgen::date_time_ymd(2020, 1, 1);
        let revoked = |leaf: &&Leaf| {
            let (_, certificate) = x509_parser::parse_x509_certificate(&leaf.certificate).unwrap();
            let serial_number = SerialNumber::from_slice(certificate.raw_serial());
            RevokedCertParams { serial_number, revocation_time: this_update, reason_code: None, invalidity_date: None }
        };
        let params = CertificateRevocationListParams {
            this_update,
            next_update: rcgen::date_time_ymd(if is_late { 2021 } else { 2099 }, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: back.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().into()
    }

    /// A listener that shows `own` and takes clients of this authority.
    pub(super) fn tls(&self, own: &Leaf) -> TlsSettings {
        self.tls_without(own, Vec::new())
    }

    /// The same without those on the lists.
    pub(super) fn tls_without(&self, own: &Leaf, revocations: Vec<CertificateRevocationListDer<'static>>) -> TlsSettings {
        let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
        let tls = MutualTls::new(vec![own.certificate.clone()], key, self.roots(), revocations).unwrap();
        TlsSettings { tls, packet_bytes_max: 4096, connections_max: 20, client_connections_max: 10 }
    }
}

/// An open listener and the means to change it.
pub(super) struct Line {
    pub(super) ca: Ca,
    pub(super) world: Arc<World>,
    pub(super) door: Door,
    pub(super) sessions: Sessions,
    pub(super) settings: watch::Sender<Arc<Settings>>,
    pub(super) tls: watch::Sender<Arc<TlsSettings>>,
}

impl Line {
    /// The client goes by `nas.example`.
    pub(super) fn open(world: Arc<World>, client: Client) -> Self {
        Self::with(world, Client { certificate: Some("nas.example".into()), secret: Secret::from("never used"), ..client }, |_| {})
    }

    pub(super) fn with(world: Arc<World>, client: Client, change: impl FnOnce(&mut TlsSettings)) -> Self {
        let ca = Ca::new();
        let mut tls = ca.tls(&ca.leaf("server", &["localhost"]));
        change(&mut tls);
        let (settings, settings_seen) = watch::channel(Arc::new(settings(client)));
        let (tls, tls_seen) = watch::channel(Arc::new(tls));
        let sessions = Sessions::new(world.clone());
        let behind = Behind { engine: engine(&world), sessions: sessions.clone() };
        let door = Door::open_tls(SocketAddr::from(([127, 0, 0, 1], 0)), settings_seen, tls_seen, behind).unwrap();
        Self { ca, world, door, sessions, settings, tls }
    }

    /// How a client would connect that shows `own`.
    pub(super) fn config(&self, own: Option<&Leaf>, alpn: &[&str], tls12: bool) -> ClientConfig {
        let versions = if tls12 { &[&rustls::version::TLS12][..] } else { rustls::ALL_VERSIONS };
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider())).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(self.ca.roots());
        let mut config = match own {
            Some(own) => {
                let key = PrivateKeyDer::try_from(own.key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![own.certificate.clone()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// A client as it should be.
    pub(super) async fn nas(&self, alpn: &[&str]) -> Peer {
        self.nas_with(&self.ca.leaf("some box", &["nas.example"]), alpn).await
    }

    pub(super) async fn nas_with(&self, own: &Leaf, alpn: &[&str]) -> Peer {
        self.connect("127.0.0.1", self.config(Some(own), alpn, false)).await.expect("no connection")
    }

    /// Nothing where the handshake fails.
    pub(super) async fn connect(&self, from: &str, config: ClientConfig) -> Option<Peer> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from.parse::<std::net::IpAddr>().unwrap(), 0).into()).unwrap();
        let stream = socket.connect(self.door.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.ok()?;
        Some(Peer { stream })
    }

    /// Whether such a client is turned away: in the handshake, or right behind it, which TLS 1.3 does not tell apart.
    pub(super) async fn turns_away(&self, from: &str, config: ClientConfig) -> bool {
        match self.connect(from, config).await {
            Some(mut peer) => peer.is_closed().await,
            None => true,
        }
    }
}

impl Line {
    /// The same for one that also asks something, so that a place it takes is known to be taken.
    pub(super) async fn turns_away_asking(&self, own: &Leaf) -> bool {
        let Some(mut peer) = self.connect("127.0.0.1", self.config(Some(own), &[], false)).await else { return true };
        let question = status_server(0, &[9; 16], RADSEC).unwrap();
        let sent = peer.stream.write_all(&question).await;
        sent.is_err() || peer.is_closed().await
    }
}

/// The client's end of a connection.
pub(super) struct Peer {
    pub(super) stream: TlsStream<TcpStream>,
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next packet.
    pub(super) async fn receive(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 4];
        within(self.stream.read_exact(&mut packet)).await.unwrap();
        packet.resize(usize::from(u16::from_be_bytes([packet[2], packet[3]])), 0);
        within(self.stream.read_exact(&mut packet[4..])).await.unwrap();
        packet
    }

    pub(super) async fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes).await;
        self.receive().await
    }

    /// The server has closed it and said nothing before.
    pub(super) async fn is_closed(&mut self) -> bool {
        within(self.stream.read(&mut [0; 1])).await.map_or(true, |count| count == 0)
    }
}

/// Attributes, framed.
pub(super) fn attributes(all: &[(u8, &[u8])]) -> Forward {
    let bytes: Vec<u8> = all.iter().flat_map(|(kind, value)| [&[*kind, u8::try_from(value.len() + 2).unwrap()], *value].concat()).collect();
    Forward::from_bytes(&bytes).unwrap()
}

/// A request of RADIUS/1.1.
pub(super) fn clear(code: Code, token: u32, all: &[(u8, &[u8])]) -> Vec<u8> {
    attributes(all).over_tls_11(code, token, 4096).unwrap()
}
