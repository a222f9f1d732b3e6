//! RADIUS over TLS to one server (RFC 6614): as many connections as it takes, nothing sent twice on any of them, closed at the first bad byte.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::ProtocolVersion;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;
use zeroize::Zeroizing;

use crate::directory::stream;
use crate::wire::radius::HEADER_LEN;
use crate::wire::radius::PACKET_LEN_MAX;
use crate::wire::radius::Refusal;
use crate::wire::radius::Version;

use super::Answer;
use super::OpenError;
use super::Server;
use super::Task;
use super::Tls;
use super::board::Board;
use super::board::Lease;
use super::board::Sent;
use super::board::Stray;
use super::target::Ear;
use super::target::Failure;
use super::target::Question;
use super::target::authenticator;
use super::target::spread;

/// TLS towards servers that the authorities vouch for, with our own certificate. No early data, nothing below TLS 1.2.
pub(super) fn config(tls: &Tls) -> Result<Arc<ClientConfig>, OpenError> {
    let roots = stream::roots(Some(&tls.ca_file))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(OpenError::Identity)?;
    let identified = builder.with_root_certificates(roots).with_client_auth_cert(tls.chain.clone(), tls.private.clone_key());
    let mut config = identified.map_err(OpenError::Identity)?;
    config.alpn_protocols = vec![ALPN_11.to_vec(), ALPN_10.to_vec()];
    // A session taken up again would have to speak the version it began with, and shows nobody our certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Links {
    host: String,
    port: u16,
    config: Arc<ClientConfig>,
    ear: Arc<Ear>,
    open: Mutex<Vec<Link>>,
    /// Held while one connects, so that not all do at once; when the last attempt failed, from when on the next may be made.
    dialing: tokio::sync::Mutex<Backoff>,
}

#[derive(Debug)]
struct Link {
    board: Arc<Board>,
    way: Arc<Way>,
    _driver: Task,
}

/// How packets get onto a connection.
#[derive(Debug)]
struct Way {
    version: Version,
    outbox: mpsc::Sender<Sent>,
    /// Requests so far, from some number on.
    count: AtomicU32,
}

impl Way {
    /// No two packets of a connection have the same one (RFC 9765 §4.1), and its last octet tells who waits.
    fn token(&self, identifier: u8) -> u32 {
        self.count.fetch_add(1, Ordering::Relaxed).wrapping_shl(8) | u32::from(identifier)
    }
}

#[derive(Debug)]
struct Backoff {
    until: Option<Instant>,
    pause: Duration,
}

/// A free Identifier, and where what bears it is to be put.
struct Place {
    way: Arc<Way>,
    lease: Lease,
}

impl Links {
    /// Connects to nothing yet.
    pub(super) fn new(server: &Server, config: &Arc<ClientConfig>, ear: &Arc<Ear>) -> Self {
        let (host, config, ear) = (server.host.clone(), Arc::clone(config), Arc::clone(ear));
        let dialing = tokio::sync::Mutex::new(Backoff { until: None, pause: PAUSE_MIN });
        Self { host, port: server.port, config, ear, open: Mutex::default(), dialing }
    }

    /// Sends the request once and waits for the authentic reply. If its connection breaks off, once more on a fresh one (RFC 6613 §2.6.1).
    pub(super) async fn exchange(&self, question: Question<'_>, within: Duration) -> Result<Answer, Failure> {
        let exchange = async {
            match self.ask(question, self.place(within).await?).await {
                Err(Failure::Broken) => self.ask(question, self.place(within).await?).await,
                result => result,
            }
        };
        timeout(within, exchange).await.unwrap_or(Err(Failure::Silent))
    }

    /// Asks once whether the server is there, by the Identifier that is kept for that as long as it was answered there. A connection on which it does not answer is closed.
    pub(super) async fn status(&self, question: Question<'_>, within: Duration) -> Result<Answer, Failure> {
        let connected = timeout(within, self.place(within)).await.map_err(|_| Failure::Silent)??;
        drop(connected);
        let first = self.open().first().map(|link| (Arc::clone(&link.board), Arc::clone(&link.way)));
        let (board, way) = first.ok_or(Failure::Broken)?;
        let lease = board.lease_named(STATUS_IDENTIFIER).or_else(|| board.lease(Instant::now())).ok_or(Failure::Full)?;
        let result = timeout(within, self.ask(question, Place { way, lease })).await.unwrap_or(Err(Failure::Silent));
        if result.is_err() && !self.ear.health.is_well() {
            board.close();
            self.sweep(Instant::now());
        }
        result
    }

    /// Closes connections that have broken off or that nobody has used for a while.
    pub(super) fn sweep(&self, now: Instant) {
        let moment = now.checked_sub(IDLE_MAX);
        self.open().retain(|link| !link.is_over() && !moment.is_some_and(|moment| link.board.is_idle_since(moment)));
    }

    async fn ask(&self, question: Question<'_>, place: Place) -> Result<Answer, Failure> {
        let Place { way, mut lease } = place;
        let bytes = match way.version {
            Version::V10 => question.signed(lease.identifier(), &authenticator()?, self.ear.secret.expose())?,
            Version::V11 => question.with_token(way.token(lease.identifier()))?,
        };
        let sent: Sent = Arc::new(bytes.into());
        let answer = lease.expect(&sent);
        way.outbox.send(sent).await.map_err(|_| Failure::Broken)?;
        answer.await.map_err(|_| Failure::Broken)
    }

    /// A free Identifier on a connection, a new one where it must be.
    async fn place(&self, within: Duration) -> Result<Place, Failure> {
        if let Some(place) = self.free() {
            return Ok(place);
        }
        let mut backoff = self.dialing.lock().await;
        if let Some(place) = self.free() {
            return Ok(place);
        }
        if backoff.until.is_some_and(|until| Instant::now() < until) {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        if self.open().len() >= LINKS_MAX {
            return Err(Failure::Full);
        }
        // Should the one who connects give up half-way, the next waits his turn too.
        backoff.until = Some(Instant::now() + backoff.pause);
        let pause = backoff.pause.saturating_mul(2).min(PAUSE_MAX);
        let pause_before = std::mem::replace(&mut backoff.pause, pause);
        let dialed = self.dial(within).await;
        match &dialed {
            Ok(_) => *backoff = Backoff { until: None, pause: PAUSE_MIN },
            Err(_) => backoff.until = Some(Instant::now() + pause_before),
        }
        let link = Link::over(dialed?, &self.ear)?;
        let lease = link.board.lease(Instant::now()).ok_or(Failure::Broken)?;
        let place = Place { way: Arc::clone(&link.way), lease };
        self.open().push(link);
        Ok(place)
    }

    fn free(&self) -> Option<Place> {
        let now = Instant::now();
        let mut open = self.open();
        open.retain(|link| !link.is_over());
        open.iter().find_map(|link| link.board.lease(now).map(|lease| Place { way: Arc::clone(&link.way), lease }))
    }

    async fn dial(&self, within: Duration) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.host.clone()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let tcp = stream::dial(&self.host, self.port, false, within).await?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await
    }

    fn open(&self) -> MutexGuard<'_, Vec<Link>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn over(stream: TlsStream<TcpStream>, ear: &Arc<Ear>) -> io::Result<Self> {
        let session = stream.get_ref().1;
        let version = match (session.alpn_protocol(), session.protocol_version()) {
            (Some(ALPN_11), Some(ProtocolVersion::TLSv1_3)) => Version::V11,
            (Some(ALPN_11), _) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the server speaks RADIUS/1.1 without TLS 1.3")),
            _ => Version::V10,
        };
        let board = match version {
            Version::V10 => Board::once(FIRST_IDENTIFIER, Instant::now()),
            // A token tells the late reply from the other.
            Version::V11 => Board::new(FIRST_IDENTIFIER, Instant::now()),
        };
        let (outbox, letters) = mpsc::channel(OUTBOX_MAX);
        let driver = Task::spawn(drive(stream, version, letters, Arc::clone(&board), Arc::clone(ear)));
        let way = Way { version, outbox, count: AtomicU32::new(u32::from(spread())) };
        Ok(Self { board, way: Arc::new(way), _driver: driver })
    }

    /// Whether nobody can ask over it any more, and nobody waits.
    fn is_over(&self) -> bool {
        self.board.is_closed() || self.board.is_spent()
    }
}

/// Both ways until either fails; then all who wait are told.
async fn drive(stream: TlsStream<TcpStream>, version: Version, letters: mpsc::Receiver<Sent>, board: Arc<Board>, ear: Arc<Ear>) {
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read(reader, version, &board, &ear) => ended,
        ended = write(writer, letters) => ended,
    };
    board.close();
    if let Err(why) = ended {
        debug!(server = ear.health.label(), error = %why, "connection to a RADIUS server ended");
    }
}

async fn read(mut reader: ReadHalf<TlsStream<TcpStream>>, version: Version, board: &Board, ear: &Ear) -> io::Result<()> {
    // In RADIUS/1.1 keys stand in it as they are.
    let mut packet = Zeroizing::new(Vec::with_capacity(PACKET_LEN_MAX));
    loop {
        let mut head = [0; HEADER_LEN];
        reader.read_exact(&mut head).await?;
        let [_, identifier, high, low, _, _, _, last, ..] = head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER_LEN..=PACKET_LEN_MAX).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a packet's length field is below 20 or above 4096"));
        }
        let identifier = if version == Version::V11 { last } else { identifier };
        packet.clear();
        packet.extend_from_slice(&head);
        packet.resize(length, 0);
        reader.read_exact(packet.get_mut(head.len()..).unwrap_or_default()).await?;
        match board.deliver(identifier, |sent| ear.judge_packet(version, &packet, sent)) {
            Ok(()) => {}
            // A token that is used no more: late, for somebody who has gone.
            Err(Stray::Forged(Refusal::Identifier)) if version == Version::V11 => ear.count(Stray::Unexpected),
            Err(stray) => {
                ear.count(stray);
                if let Stray::Forged(refusal) = stray {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, refusal));
                }
            }
        }
    }
}

async fn write(mut writer: WriteHalf<TlsStream<TcpStream>>, mut letters: mpsc::Receiver<Sent>) -> io::Result<()> {
    while let Some(letter) = letters.recv().await {
        writer.write_all(&letter).await?;
        while let Ok(letter) = letters.try_recv() {
            writer.write_all(&letter).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

/// RFC 9765 §3.
const ALPN_10: &[u8] = b"radius/1.0";
const ALPN_11: &[u8] = b"radius/1.1";
/// Kept for Status-Server.
const STATUS_IDENTIFIER: u8 = 0;
const FIRST_IDENTIFIER: u8 = 1;
/// One letter for each Identifier.
const OUTBOX_MAX: usize = 256;
const LINKS_MAX: usize = 128;
/// After so long without a request a connection is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Between two attempts to connect.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);
