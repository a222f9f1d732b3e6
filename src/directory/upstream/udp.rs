//! Datagrams to one server: as many sockets as it takes to tell all requests under way apart, each with one reader.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Type;
use tokio::net::UdpSocket;
use tokio::net::lookup_host;
use tokio::select;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio::time::timeout_at;
use tracing::debug;

use crate::wire::radius::PACKET_LEN_MAX;
use crate::wire::radius::Refusal;

use super::Answer;
use super::Server;
use super::Task;
use super::board::Board;
use super::board::Lease;
use super::board::Sent;
use super::board::Stray;
use super::post::Post;
use super::retry::Schedule;
use super::target::Ear;
use super::target::Failure;
use super::target::Question;
use super::target::authenticator;

/// The sockets towards one server.
#[derive(Debug)]
pub(super) struct Lines {
    host: String,
    port: u16,
    ear: Arc<Ear>,
    open: Mutex<Vec<Line>>,
    found: Mutex<Found>,
}

/// One socket, connected: the kernel drops what is not from the server.
#[derive(Debug)]
struct Line {
    address: SocketAddr,
    post: Arc<Post>,
    board: Arc<Board>,
    _reader: Task,
}

/// Where the server is.
#[derive(Debug, Default)]
struct Found {
    address: Option<SocketAddr>,
    looked_at: Option<Instant>,
}

impl Lines {
    /// Opens nothing yet.
    pub(super) fn new(server: &Server, ear: &Arc<Ear>) -> Self {
        Self { host: server.host.clone(), port: server.port, ear: Arc::clone(ear), open: Mutex::default(), found: Mutex::default() }
    }

    /// Sends the request, and the same bytes again as the schedule says, until the authentic reply is there.
    pub(super) async fn exchange(&self, question: Question<'_>, schedule: Schedule) -> Result<Answer, Failure> {
        let deadline = Instant::now() + schedule.timeout();
        let address = timeout_at(deadline, self.address()).await.map_err(|_| Failure::Silent)??;
        let (post, mut lease) = self.lease(address)?;
        let authenticator = authenticator()?;
        let sent: Sent = Arc::new(question.signed(lease.identifier(), &authenticator, self.ear.secret.expose())?.into());
        // Chance enough for waits too.
        let [.., spread] = authenticator.map(u16::from);
        let spread = spread.saturating_mul(257);
        let mut answer = lease.expect(&sent);
        let mut pace = schedule.begin();
        loop {
            post.send(&sent);
            let now = Instant::now();
            let until = pace.next(spread).map_or(deadline, |wait| deadline.min(now + wait));
            match timeout_at(until, &mut answer).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) => return Err(Failure::Broken),
                Err(_) if until >= deadline => return Err(Failure::Silent),
                Err(_) => {}
            }
        }
    }

    /// Asks whether the server is there. Where it has several addresses and was silent, another one from now on.
    pub(super) async fn status(&self, question: Question<'_>, within: Duration) -> Result<Answer, Failure> {
        if !self.ear.health.is_well() {
            timeout(within, self.look_up(true)).await.map_err(|_| Failure::Silent)??;
        }
        self.exchange(question, Schedule::new(within, 2)).await
    }

    /// Closes sockets that nobody has used for a while.
    pub(super) fn sweep(&self, now: Instant) {
        if let Some(moment) = now.checked_sub(IDLE_MAX) {
            self.open().retain(|line| !line.board.is_idle_since(moment));
        }
    }

    /// A free Identifier and its socket: of the first that has one, so that the last ones fall idle.
    fn lease(&self, address: SocketAddr) -> Result<(Arc<Post>, Lease), Failure> {
        let now = Instant::now();
        let mut open = self.open();
        let mut lines = open.iter().filter(|line| line.address == address);
        if let Some((line, lease)) = lines.find_map(|line| line.board.lease(now).map(|lease| (line, lease))) {
            return Ok((Arc::clone(&line.post), lease));
        }
        if open.len() >= LINES_MAX {
            return Err(Failure::Full);
        }
        let line = Line::open(address, &self.ear, now)?;
        let leased = (Arc::clone(&line.post), line.board.lease(now).ok_or(Failure::Full)?);
        open.push(line);
        Ok(leased)
    }

    /// Where the server is. A name is looked up again after a while; the old address serves until the new one is there.
    async fn address(&self) -> io::Result<SocketAddr> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let now = Instant::now();
        let old = {
            let mut found = self.found();
            let is_fresh = found.looked_at.is_some_and(|at| at + LOOK_UP_AFTER > now);
            match found.address {
                Some(address) if is_fresh => return Ok(address),
                Some(address) => {
                    found.looked_at = Some(now);
                    Some(address)
                }
                None => None,
            }
        };
        let found = self.look_up(false).await;
        old.map_or(found, Ok)
    }

    /// Asks the system for the addresses; keeps the one in use where it is still among them, or moves on to the next.
    async fn look_up(&self, is_next_wanted: bool) -> io::Result<SocketAddr> {
        let all: Vec<SocketAddr> = lookup_host((self.host.as_str(), self.port)).await?.take(ADDRESSES_MAX).collect();
        let mut found = self.found();
        let at = found.address.and_then(|old| all.iter().position(|address| *address == old));
        let next = match at {
            Some(at) if is_next_wanted => all.get(at.saturating_add(1)).or_else(|| all.first()),
            Some(at) => all.get(at),
            None => all.first(),
        };
        let address = *next.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
        *found = Found { address: Some(address), looked_at: Some(Instant::now()) };
        Ok(address)
    }

    fn open(&self) -> MutexGuard<'_, Vec<Line>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// From a port that the system picks.
    fn open(address: SocketAddr, ear: &Arc<Ear>, now: Instant) -> io::Result<Self> {
        let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { IpAddr::from(Ipv6Addr::UNSPECIFIED) };
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        // The kernel gives what net.core.rmem_max allows and is content with less.
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::new(any, 0).into())?;
        socket.connect(&address.into())?;
        let post = Arc::new(Post::over(UdpSocket::from_std(socket.into())?));
        let board = Board::new(0, now);
        let reader = Task::spawn(read(Arc::clone(&post), Arc::clone(&board), Arc::clone(ear)));
        Ok(Self { address, post, board, _reader: reader })
    }
}

/// Sends what is posted and hands out what comes.
async fn read(post: Arc<Post>, board: Arc<Board>, ear: Arc<Ear>) {
    let mut buffer = vec![0; PACKET_LEN_MAX];
    loop {
        let received = select! {
            biased;
            () = post.due() => {
                // Others that are ready have their turn first, and what they ask leaves with it.
                yield_now().await;
                post.flush().await;
                continue;
            }
            received = post.socket().recv(&mut buffer) => received,
        };
        match received {
            Ok(length) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                let told = match datagram.get(1) {
                    Some(identifier) => board.deliver(*identifier, |sent| ear.judge_datagram(datagram, sent)),
                    None => Err(Stray::Forged(Refusal::Short)),
                };
                if let Err(stray) = told {
                    ear.count(stray);
                }
            }
            // A closed port, or no way there: anybody can make the network say so, and retransmission is the answer to it.
            Err(why) => {
                debug!(server = ear.health.label(), error = %why, "a datagram did not reach the RADIUS server");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Sockets towards one server; a descriptor each.
const LINES_MAX: usize = 512;
/// After so long without a request a socket is closed. Longer than any Identifier rests.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Replies that wait to be read.
const BUFFER_BYTES: usize = 1 << 20;
const ADDRESSES_MAX: usize = 8;
const LOOK_UP_AFTER: Duration = Duration::from_secs(60);
const ERROR_PAUSE: Duration = Duration::from_millis(10);
