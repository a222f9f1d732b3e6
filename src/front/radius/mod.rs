//! The RADIUS door: datagrams in, logins begun, replies out.

mod answer;
mod census;
mod clerk;
mod clients;
mod desk;
mod habits;
mod map;
mod pace;
mod rehearsal;
mod seen;
mod socket;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::engine::Engine;
use clerk::Clerk;
use clerk::Ledger;
use desk::Desk;
use seen::Bounds;
use socket::Socket;

pub use answer::Addition;
pub use census::Card;
pub use census::Census;
pub use census::Tally;
pub use clients::Charset;
pub use clients::Client;
pub use clients::Clients;
pub use clients::First;
pub use clients::NasAddress;
pub use habits::Habits;
pub use habits::Signs;
pub use rehearsal::MadeUp;
pub use rehearsal::Typed;

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
        tokio::spawn(Desk::new(socket, seen.clone(), settings, Clerk::new(engine, mine)).read(stop));
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
    pub clients: Clients,
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
    fn bounds(&self) -> Bounds {
        Bounds { running_max: self.inflight_max, answers_max: self.inflight_max, bytes_max: ANSWERS_BYTES_MAX, keep: self.answer_keep }
    }

    /// How long a login of this client may take.
    #[must_use]
    pub fn within(&self, client: &Client) -> Duration {
        client.patience.saturating_sub(Duration::from_secs(2)).max(Duration::from_secs(1)).min(self.login_deadline)
    }
}

/// Bytes of kept answers at one door: a quarter of a million usual ones.
const ANSWERS_BYTES_MAX: usize = 32 << 20;
