//! The RadSec listener: who may have a connection, how many, and TLS brought up on each (RFC 6614).

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use rustls::ProtocolVersion;
use socket2::Protocol;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Behind;
use super::Settings;
use super::conn::Connection;
use super::pace::Pace;
use super::tls;
use super::tls::TlsSettings;
use crate::front::certificate::Names;
use crate::front::site::Site;
use crate::metrics;
use crate::wire::radius::Version;

/// What all connections of a listener have in common.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) tls: watch::Receiver<Arc<TlsSettings>>,
    pub(super) behind: Behind,
    /// Turns true, or loses its other end, when the listener stops.
    pub(super) closing: watch::Receiver<bool>,
    pub(super) complaints: Complaints,
    places: Arc<Places>,
}

impl Line {
    pub(super) fn new(
        settings: watch::Receiver<Arc<Settings>>,
        tls: watch::Receiver<Arc<TlsSettings>>,
        behind: Behind,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { settings, tls, behind, closing, complaints: Complaints::default(), places: Arc::default() }
    }

    /// Takes connections until it is told to stop, and stays until the last of them has ended.
    pub(super) async fn listen(self, listener: TcpListener) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut connections = JoinSet::new();
        let mut closing = self.closing.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(door = "radius", %error, "a connection ended by a fault of ours");
                    }
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(door = "radius", %error, "a connection could not be taken");
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            // Strangers cost us no handshake.
            if !self.settings.borrow().clients.may_be_behind_tls(peer.ip()) {
                self.complaints.refused(peer, "unknown_client", "no [[radius.client]] with a certificate has this address in its networks");
                continue;
            }
            let Ok(handshake) = Arc::clone(&handshakes).try_acquire_owned() else {
                self.complaints.refused(peer, "handshakes", "too many TLS handshakes are under way");
                continue;
            };
            let line = self.clone();
            connections.spawn(async move {
                let shaken = line.welcome(stream, peer).await;
                drop(handshake);
                match shaken {
                    Ok(Some((connection, stream, _place))) => connection.serve(stream).await,
                    Ok(None) => {}
                    Err(Turned(why, detail)) => line.complaints.refused(peer, why, &detail),
                }
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    /// Brings TLS up and looks who it is. Nothing where the listener stops meanwhile.
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr) -> Result<Option<(Connection, TlsStream<TcpStream>, Place)>, Turned> {
        // Packets are small and none waits for the next. Where that cannot be set they are slower, not wrong.
        let _ = stream.set_nodelay(true);
        let mut line = self.clone();
        let settings = Arc::clone(&line.tls.borrow_and_update());
        let shaken = tokio::select! {
            biased;
            _ = line.closing.wait_for(|closing| *closing) => return Ok(None),
            shaken = timeout(HANDSHAKE_WITHIN, TlsAcceptor::from(settings.tls.config()).accept(stream)) => shaken,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Turned("handshake", format!("the TLS handshake failed: {error}"))),
            Err(_) => return Err(Turned("handshake_slow", "the TLS handshake took too long".to_owned())),
        };
        let (_, session) = stream.get_ref();
        let version = if session.alpn_protocol() == Some(tls::ALPN_11) { Version::V11 } else { Version::V10 };
        if version == Version::V11 && session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return Err(Turned("tls_version", "RADIUS/1.1 needs TLS 1.3 (RFC 9765 §3)".to_owned()));
        }
        let chain: Vec<_> = session.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.clone().into_owned()).collect();
        let names = chain.first().map(Names::of).unwrap_or_default();
        let clients = line.settings.borrow_and_update().clients.behind_tls(peer.ip(), &names);
        let Some(client) = clients.first() else {
            let why = format!("no [[radius.client]] with this address in its networks has one of the certificate's names {names} as its `certificate`");
            return Err(Turned("certificate", why));
        };
        let place = Places::take(&line.places, &client.name, &settings)?;
        let connection = Connection::new(line, peer, version, chain, names, clients, settings.packet_bytes_max);
        Ok(Some((connection, stream, place)))
    }
}

/// Listens there.
pub(super) fn bind(site: Site) -> io::Result<TcpListener> {
    let socket = site.open(Type::STREAM, Protocol::TCP, |socket| socket.set_reuse_address(true))?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Connections that were refused or closed: counted each, said aloud once a minute for each address.
#[derive(Clone, Debug)]
pub(super) struct Complaints(Arc<Mutex<Pace<IpAddr>>>);

impl Complaints {
    pub(super) fn refused(&self, peer: SocketAddr, why: &'static str, detail: &str) {
        metrics::discard("radius", why);
        let aloud = self.0.lock().unwrap_or_else(PoisonError::into_inner).allows(Instant::now(), peer.ip());
        if aloud {
            tracing::warn!(door = "radius", source = %peer, why, "a TLS connection was closed: {detail}");
        }
    }
}

impl Default for Complaints {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Pace::new(Duration::from_secs(60), 1, ADDRESSES_MAX))))
    }
}

/// Why a connection is not taken: the word for the metric, and what to say.
struct Turned(&'static str, String);

/// Connections that are open, by client.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<String, usize>>);

/// One of them; given back when dropped.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    client: String,
}

impl Places {
    fn take(places: &Arc<Self>, client: &str, settings: &TlsSettings) -> Result<Place, Turned> {
        let mut open = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= settings.connections_max {
            return Err(Turned("connections_max", "all places for connections are taken: raise `connections_max` or look for a flood".to_owned()));
        }
        let own = open.entry(client.to_owned()).or_default();
        if *own >= settings.client_connections_max {
            return Err(Turned("client_connections_max", format!("client {client} has {own} connections, and more it may not have")));
        }
        *own = own.saturating_add(1);
        ::metrics::gauge!(metrics::RADIUS_CONNECTIONS).increment(1.0);
        Ok(Place { places: Arc::clone(places), client: client.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get(&self.client).copied().unwrap_or_default().saturating_sub(1);
        if left == 0 {
            open.remove(&self.client);
        } else {
            open.insert(self.client.clone(), left);
        }
        ::metrics::gauge!(metrics::RADIUS_CONNECTIONS).decrement(1.0);
    }
}

/// How long a handshake may take, and how many may be under way.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
const HANDSHAKES_MAX: usize = 256;
/// How long to wait when the machine cannot give us a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Connections that wait to be taken.
const BACKLOG: i32 = 1024;
/// Addresses that are complained about at once.
const ADDRESSES_MAX: usize = 4096;
