//! The RADIUS doors: datagrams and connections in, logins begun and sessions written down, replies out.

mod accounting;
mod answer;
mod census;
mod clerk;
mod clients;
mod conn;
mod desk;
mod habits;
mod line;
mod map;
mod pace;
mod rehearsal;
mod seen;
mod sessions;
mod socket;
mod stream;
#[cfg(test)]
mod tests;
mod tls;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::front::site::Site;
use clerk::Ledger;
use clerk::Trade;
use desk::Desk;
use line::Line;
use seen::Bounds;
use socket::Socket;

pub use answer::Addition;
pub use census::Card;
pub use census::Census;
pub use census::Tally;
pub use clients::Accounting;
pub use clients::Charset;
pub use clients::Client;
pub use clients::Clients;
pub use clients::First;
pub use clients::NasAddress;
pub use habits::Habits;
pub use habits::Signs;
pub use rehearsal::MadeUp;
pub use rehearsal::Typed;
pub use sessions::Session;
pub use sessions::SessionPage;
pub use sessions::Sessions;
pub use tls::MutualTls;
pub use tls::TlsSettings;

/// An open `[[radius.listen]]`. Dropped, it reads nothing more.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    open: Open,
}

/// What stands behind all doors, and what no reload replaces.
#[derive(Clone, Debug)]
pub struct Behind {
    /// Decides logins.
    pub engine: Arc<Engine>,
    /// Who is on, as accounting tells.
    pub sessions: Sessions,
}

/// How a door is open.
#[derive(Debug)]
enum Open {
    Datagrams {
        seen: Ledger,
        /// The reader ends when this goes.
        reading: oneshot::Sender<Infallible>,
        /// The reader and each request in the works hold an end; closed, nobody is left.
        busy: mpsc::Receiver<Infallible>,
    },
    Streams {
        /// The listener and its connections end when this turns true or goes.
        stop: watch::Sender<bool>,
        listening: JoinHandle<()>,
    },
}

impl Door {
    /// Binds and begins to read logins. Each datagram is read by the settings of that moment. Must be called within the runtime.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn open(site: impl Into<Site>, settings: watch::Receiver<Arc<Settings>>, behind: Behind) -> io::Result<Self> {
        Self::open_datagrams(site.into(), settings, behind, Trade::Authentication)
    }

    /// The same for Accounting-Requests (RFC 2866), which never let anybody in.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn open_accounting(site: impl Into<Site>, settings: watch::Receiver<Arc<Settings>>, behind: Behind) -> io::Result<Self> {
        Self::open_datagrams(site.into(), settings, behind, Trade::Accounting)
    }

    /// Listens for RadSec: logins and accounting behind TLS, in RADIUS/1.0 (RFC 6614) or 1.1 (RFC 9765) as the client wishes. Connections are made by the
    /// `tls` of that moment, and those that are open are looked at again when it changes.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn open_tls(
        site: impl Into<Site>,
        settings: watch::Receiver<Arc<Settings>>,
        tls: watch::Receiver<Arc<TlsSettings>>,
        behind: Behind,
    ) -> io::Result<Self> {
        let listener = line::bind(site.into())?;
        let address = listener.local_addr()?;
        let (stop, closing) = watch::channel(false);
        let listening = tokio::spawn(Line::new(settings, tls, behind, closing).listen(listener));
        Ok(Self { address, open: Open::Streams { stop, listening } })
    }

    fn open_datagrams(site: Site, settings: watch::Receiver<Arc<Settings>>, behind: Behind, trade: Trade) -> io::Result<Self> {
        let socket = Arc::new(Socket::open(site)?);
        let address = socket.address()?;
        let seen = Ledger::default();
        let (reading, stop) = oneshot::channel();
        let (mine, busy) = mpsc::channel(1);
        tokio::spawn(Desk::new(socket, seen.clone(), settings, behind, trade, mine).read(stop));
        Ok(Self { address, open: Open::Datagrams { seen, reading, busy } })
    }

    /// Where it listens, the port told by the system where none was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reads nothing more, lets what is in the works end, and gives up what has not `within` that time.
    pub async fn drain(self, within: Duration) {
        let ended = match self.open {
            Open::Datagrams { seen, reading, mut busy } => {
                drop(reading);
                let ended = tokio::time::timeout(within, busy.recv()).await.is_ok();
                if !ended {
                    seen.clear();
                }
                ended
            }
            Open::Streams { stop, mut listening } => {
                stop.send_replace(true);
                let ended = tokio::time::timeout(within, &mut listening).await.is_ok();
                if !ended {
                    listening.abort();
                }
                ended
            }
        };
        if !ended {
            tracing::warn!(door = "radius", address = %self.address, "requests in the works were given up");
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
