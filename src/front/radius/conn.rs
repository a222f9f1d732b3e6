//! One RadSec connection: packets in, replies out, and closed at the first thing that is wrong (RFC 6613 §2.6.4, R-113); a packet that is merely not signed
//! is dropped.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio_rustls::server::TlsStream;

use super::clerk::Clerk;
use super::clerk::Ledger;
use super::clerk::Trade;
use super::clerk::Way;
use super::clients;
use super::clients::Client;
use super::line::Line;
use super::stream::Inbox;
use super::stream::Outbox;
use crate::front::certificate::Names;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::Refusal;
use crate::wire::radius::Request;
use crate::wire::radius::Version;

/// A connection whose client is known.
#[derive(Debug)]
pub(super) struct Connection {
    line: Line,
    peer: SocketAddr,
    version: Version,
    chain: Vec<CertificateDer<'static>>,
    names: Names,
    /// Who it may be: more than one where the NAS-Identifier decides. Never empty.
    clients: Vec<Arc<Client>>,
    clerk: Clerk,
    seen: Window,
    packet_bytes_max: usize,
}

/// The window of one connection: with it goes all that is in the works and all that was answered.
#[derive(Debug, Default)]
struct Window(Ledger);

impl Drop for Window {
    fn drop(&mut self) {
        self.0.clear();
    }
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The listener stops.
    Closing,
    /// The client has closed it.
    Gone,
    /// Nothing came for long.
    Idle,
    /// What came is no packet that may come here.
    Refused(Refusal),
    /// The client does not read.
    Slow,
    /// It would not be let in any more: the word for the metric, and what to say.
    Unwelcome(&'static str, String),
}

impl Connection {
    pub(super) fn new(
        line: Line,
        peer: SocketAddr,
        version: Version,
        chain: Vec<CertificateDer<'static>>,
        names: Names,
        clients: Vec<Arc<Client>>,
        packet_bytes_max: usize,
    ) -> Self {
        let clerk = Clerk::new(line.behind.clone(), Trade::Both);
        Self { line, peer, version, chain, names, clients, clerk, seen: Window::default(), packet_bytes_max }
    }

    /// Serves the client until one of the two leaves.
    pub(super) async fn serve(mut self, stream: TlsStream<TcpStream>) {
        let peer = self.peer;
        let client = self.clients.first().map(|client| client.name.clone());
        tracing::debug!(door = "radius", client, source = %peer, version = ?self.version, "a TLS connection is open");
        let (reader, writer) = tokio::io::split(stream);
        let (outbox, outgoing) = Outbox::new(peer);
        let mut writing = pin!(outgoing.write(writer));
        let end = tokio::select! {
            end = self.read(reader, outbox) => end,
            written = &mut writing => match written {
                Err(error) if error.kind() == std::io::ErrorKind::TimedOut => End::Slow,
                _ => End::Gone,
            },
        };
        match end {
            // What is in the works ends, and its replies are written.
            End::Closing => {
                let _ = writing.await;
            }
            End::Gone => {}
            End::Idle => metrics::discard("radius", "idle"),
            End::Refused(refusal) => self.line.complaints.refused(peer, refusal.as_str(), &format!("{refusal} (client {})", client.unwrap_or_default())),
            End::Slow => self.line.complaints.refused(peer, "slow_reader", "the client does not read its replies"),
            End::Unwelcome(why, detail) => self.line.complaints.refused(peer, why, &detail),
        }
    }

    /// Reads until there is a reason not to.
    async fn read(&mut self, mut from: impl AsyncRead + Unpin, outbox: Outbox) -> End {
        let mut inbox = Inbox::new(self.packet_bytes_max);
        let way = Way::Stream(outbox);
        let mut idle_at = after(IDLE_WITHIN);
        let mut look_at = after(LOOK_EVERY);
        loop {
            loop {
                match inbox.packet() {
                    Err(refusal) => return End::Refused(refusal),
                    Ok(None) => break,
                    Ok(Some(packet)) => {
                        let length = packet.len();
                        match self.take(packet, &way) {
                            // The client is who it is: one request that it should have signed is no reason to give up all the others.
                            Err(refusal) if refusal.is_unsigned() => self.drop_unsigned(refusal),
                            Err(refusal) => return End::Refused(refusal),
                            Ok(()) => {}
                        }
                        inbox.taken(length);
                        idle_at = after(IDLE_WITHIN);
                    }
                }
            }
            let read = tokio::select! {
                biased;
                _ = self.line.closing.wait_for(|closing| *closing) => return End::Closing,
                () = changed(&mut self.line.tls) => None,
                () = changed(&mut self.line.settings) => None,
                // A certificate runs out without anybody changing anything.
                () = sleep_until(look_at) => None,
                read = from.read(inbox.room()) => Some(read),
                () = sleep_until(idle_at) => return End::Idle,
            };
            match read {
                None => {
                    if let Err(end) = self.look_again() {
                        return end;
                    }
                    look_at = after(LOOK_EVERY);
                }
                Some(Ok(count)) if count > 0 => inbox.came(count),
                Some(_) => return End::Gone,
            }
        }
    }

    fn drop_unsigned(&mut self, refusal: Refusal) {
        metrics::discard("radius", refusal.as_str());
        let Some(client) = self.clients.first() else { return };
        if matches!(refusal, Refusal::Unsigned | Refusal::UnsignedProxyState) {
            client.card.tally.dropped_unsigned();
        }
        if self.clerk.warnings.allows(Instant::now(), format!("{} {}", client.name, refusal.as_str())) {
            tracing::warn!(door = "radius", client = client.name, source = %self.peer, why = refusal.as_str(), "{refusal} (client {})", client.name);
        }
    }

    /// After a reload, and from time to time: would this client be let in now?
    fn look_again(&mut self) -> Result<(), End> {
        let taken = self.line.tls.borrow().tls.still_takes(&self.chain);
        taken.map_err(|error| End::Unwelcome("certificate_gone", format!("the client's certificate is not taken any more: {error}")))?;
        self.clients = self.line.settings.borrow().clients.behind_tls(self.peer.ip(), &self.names);
        if self.clients.is_empty() {
            return Err(End::Unwelcome("certificate", format!("no [[radius.client]] goes by {} any more", self.names)));
        }
        Ok(())
    }

    /// One packet.
    fn take(&mut self, packet: &[u8], way: &Way) -> Result<(), Refusal> {
        let Some(first) = self.clients.first() else { return Ok(()) };
        let request = match self.version {
            Version::V10 => {
                let strictest = self.clients.iter().map(|client| client.integrity).find(|integrity| *integrity == Integrity::Require);
                Request::over_tls(packet, first.secret.expose(), strictest.unwrap_or(first.integrity), self.packet_bytes_max)?
            }
            Version::V11 => Request::over_tls_11(packet, self.packet_bytes_max)?,
        };
        let client = if request.code() == Code::StatusServer { Some(first) } else { clients::among(&self.clients, &request) };
        let Some(client) = client else {
            metrics::discard("radius", "unknown_nas");
            return Ok(());
        };
        let settings = Arc::clone(&self.line.settings.borrow());
        self.clerk.consider(&request, client, &settings, &self.seen.0, way.clone(), Instant::now());
        Ok(())
    }
}

/// Waits for other settings; for ever, where nobody is left to change them.
async fn changed<T>(settings: &mut watch::Receiver<T>) {
    if settings.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now)
}

/// How long a certificate is believed unseen.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How long a client may send nothing whole. One that is well asks for our status long before.
const IDLE_WITHIN: Duration = Duration::from_secs(900);
