//! The RADIUS door: datagrams in, logins begun, replies out.

mod desk;
mod map;
mod pace;
mod seen;
mod socket;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::domain::CodeEntry;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::engine::Engine;
use crate::ports::PrimaryCheck;
use crate::wire::radius::Integrity;
use desk::Desk;
use desk::Ledger;
use seen::Bounds;
use socket::Socket;

/// An open `[[radius.listen]]`. Dropped, it reads nothing more.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    seen: Ledger,
    /// The reader ends when this goes.
    reading: oneshot::Sender<Infallible>,
    /// The reader and each login hold an end; closed, nobody is left.
    busy: mpsc::Receiver<Infallible>,
}

impl Door {
    /// Binds and begins to read. Each datagram is read by the settings of that moment. Must be called within the runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn open(address: SocketAddr, settings: watch::Receiver<Arc<Settings>>, engine: Arc<Engine>) -> io::Result<Self> {
        let socket = Arc::new(Socket::bind(address)?);
        let address = socket.address()?;
        let seen = Ledger::default();
        let (reading, stop) = oneshot::channel();
        let (mine, busy) = mpsc::channel(1);
        tokio::spawn(Desk::new(socket, seen.clone(), settings, engine, mine).read(stop));
        Ok(Self { address, seen, reading, busy })
    }

    /// Where it listens, the port told by the system where none was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads nothing more, lets the logins in the works end, and gives up those that have not `within` that time.
    pub async fn drain(mut self, within: Duration) {
        drop(self.reading);
        if tokio::time::timeout(within, self.busy.recv()).await.is_err() {
            tracing::warn!(door = "radius", address = %self.address, "logins in the works were given up");
            self.seen.clear();
        }
    }
}

/// What all listeners share; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may talk to us.
    pub clients: Vec<Client>,
    /// Requests in the works at once.
    pub inflight_max: usize,
    /// How long an answer is kept for retransmissions, 5..30 s.
    pub answer_keep: Duration,
    /// From a request's arrival to its Access-Reject, 1..10 s, plus at most 0.1 s of jitter.
    pub reject_delay: Duration,
    /// The longest a login may take.
    pub login_deadline: Duration,
}

impl Settings {
    /// Whose packets come from there: told by the address alone, never by what is in the packet.
    fn client(&self, address: IpAddr) -> Option<&Client> {
        let reach = |client: &&Client| client.networks.iter().filter(|network| network.contains(address)).map(Network::prefix_bits).max();
        self.clients.iter().filter(|client| reach(client).is_some()).max_by_key(reach)
    }

    fn bounds(&self) -> Bounds {
        Bounds { running_max: self.inflight_max, answers_max: self.inflight_max, bytes_max: ANSWERS_BYTES_MAX, keep: self.answer_keep }
    }

    /// How long a login of this client may take.
    fn within(&self, client: &Client) -> Duration {
        client.patience.saturating_sub(Duration::from_secs(2)).max(Duration::from_secs(1)).min(self.login_deadline)
    }
}

/// One `[[radius.client]]`.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Where its packets come from; of several clients the longest prefix wins.
    pub networks: Vec<Network>,
    /// The shared secret.
    pub secret: Secret,
    /// Whether requests must be signed.
    pub integrity: Integrity,
    /// Who knows the passwords.
    pub check: Arc<dyn PrimaryCheck>,
    /// How a code is handed over.
    pub code: CodeEntry,
    /// How long this NAS waits; the login ends 2 s before.
    pub patience: Duration,
    /// The attribute that tells where the person is: Calling-Station-Id (31), Framed-IP-Address (8), Framed-IPv6-Address (168) or Tunnel-Client-Endpoint (66).
    pub source: Option<u8>,
    /// Its policy.
    pub rules: Arc<Rules>,
}

/// Bytes of kept answers at one door: a quarter of a million usual ones.
const ANSWERS_BYTES_MAX: usize = 32 << 20;
