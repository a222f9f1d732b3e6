//! The LDAP door: simple binds decided with a second factor, everything else between client and directory as it is (RFC 4511).

mod application;
mod behind;
mod bind;
mod caller;
mod conn;
mod gate;
mod named;
mod places;
mod relay;
mod root;
mod side;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use self::caller::Caller;
use self::caller::is_in;
use self::conn::Connection;
use self::conn::House;
use self::places::Full;
use self::places::PLACES;
use self::places::Place;
use self::places::Places;
use self::side::Side;
use crate::domain::CodeEntry;
use crate::domain::Rules;
use crate::engine::Engine;
use crate::front::site::Site;
use crate::metrics;
use crate::ports::Directory;
use crate::ports::Stream;

pub use self::application::Application;
pub use self::application::Callers;
pub use self::application::Exemption;
pub use self::named::DAYS_WARNED;
pub use self::named::Named;
pub use self::named::Roll;

/// One `[[ldap.listen]]`; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: the client in log, metrics and provider's question.
    pub name: String,
    /// How connections are kept from others.
    pub transport: Transport,
    /// The directory behind.
    pub directory: Arc<dyn Directory>,
    /// How a code is handed over: appended or not at all.
    pub code: CodeEntry,
    /// Milliseconds for which the very same bind again is the same login; 0: not at all.
    pub join_ms: u64,
    /// Its policy.
    pub rules: Arc<Rules>,
    /// What tells its callers apart, and who of them is exempt.
    pub callers: Callers,
    /// Connections at once, over all listeners of the process; one source leaves a twentieth of them to others, and a quarter may be shaking hands.
    pub connections_max: usize,
    /// Bytes of one PDU once bound; before that 256 KiB at most.
    pub pdu_bytes_max: usize,
    /// From a bind's arrival to its refusal, plus at most 0.1 s of jitter.
    pub reject_delay: Duration,
    /// The longest a bind may take.
    pub login_deadline: Duration,
}

/// How connections are kept from others.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Clear text.
    Plain {
        /// Binds in clear text are taken from other machines too.
        allow_plain: bool,
    },
    /// Clear text until StartTLS; binds only after it.
    StartTls(Arc<rustls::ServerConfig>),
    /// TLS from the first byte.
    Tls(Arc<rustls::ServerConfig>),
}

/// An open listener with its connections. Dropped, it stops as [`Door::drain`] does, but nobody waits for it.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    listening: JoinHandle<()>,
}

/// How long a TLS handshake may take, a PROXY header before it included.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait when the machine cannot give us a connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// How long the accounts that the configuration names are waited for before the first connection is taken.
const FIND_WITHIN: Duration = Duration::from_secs(5);
/// Connections there have been.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Door {
    /// Listens there. Must be called within the runtime.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn open(site: impl Into<Site>, settings: watch::Receiver<Arc<Settings>>, engine: Arc<Engine>) -> io::Result<Self> {
        let listener = match site.into() {
            Site::Address(address) => TcpListener::bind(address).await?,
            Site::Socket(socket) => {
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket.into())?
            }
        };
        let address = listener.local_addr()?;
        let (stop, closing) = watch::channel(false);
        let mut watched = settings.clone();
        let first = Arc::clone(&watched.borrow_and_update());
        let is_away = named::find(&first, FIND_WITHIN).await;
        tokio::spawn(named::look_after(watched, Arc::clone(&engine), is_away));
        let listening = tokio::spawn(listen(listener, House { settings, engine, closing }));
        Ok(Self { address, stop, listening })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections; those at rest are told goodbye, binds under way may finish `within` that time, then all are closed.
    pub async fn drain(mut self, within: Duration) {
        self.stop.send_replace(true);
        if timeout(within, &mut self.listening).await.is_err() {
            self.listening.abort();
        }
    }
}

async fn listen(listener: TcpListener, mut house: House) {
    let mut connections = JoinSet::new();
    let mut closing = house.closing.clone();
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection ended by a fault of ours");
                }
                continue;
            }
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let settings = Arc::clone(&house.settings.borrow_and_update());
        match accepted {
            Ok((stream, peer)) => match arrival(peer, &settings) {
                Ok(mut place) => {
                    full = full && !PLACES.is_eased(settings.connections_max);
                    let house = house.clone();
                    connections.spawn(async move {
                        // In a box that goes when it is done: most connections wait, and thousands at once.
                        let connection = Box::pin(welcome(stream, peer, house, &mut place)).await;
                        if let Some(connection) = connection {
                            connection.serve().await;
                        }
                        drop(place);
                    });
                }
                Err(none) => {
                    metrics::discard("ldap", none.as_str());
                    if !std::mem::replace(&mut full, true) {
                        let why = none.as_str();
                        tracing::warn!(client = settings.name, %peer, why, "all places for connections are taken, or all but a few by one source: raise limits.ldap_connections_max or look for a flood");
                    }
                }
            },
            Err(error) => {
                tracing::warn!(client = settings.name, %error, "a connection could not be taken");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// A place for whoever comes; a listed balancer takes it for somebody else.
fn arrival(peer: SocketAddr, settings: &Settings) -> Result<Place, Full> {
    let take = if is_in(&settings.callers.proxy_from, Some(peer.ip())) { Places::untold } else { Places::connection };
    take(&PLACES, peer.ip(), settings.connections_max)
}

/// Hears who comes and brings TLS up where it comes first; `None` when that does not come about.
async fn welcome(stream: TcpStream, peer: SocketAddr, mut house: House, place: &mut Place) -> Option<Box<Connection>> {
    // Answers are small; none waits for the next. Where that cannot be set they are slower, not wrong.
    let _ = stream.set_nodelay(true);
    let settings = Arc::clone(&house.settings.borrow_and_update());
    let mut closing = house.closing.clone();
    let met = tokio::select! {
        met = timeout(HANDSHAKE_WITHIN, meet(stream, peer, &settings, place)) => met,
        _ = closing.wait_for(|closing| *closing) => return None,
    };
    match met.unwrap_or_else(|late| Err(("handshake", late.into()))) {
        Ok((stream, caller, secure)) => {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            Some(Connection::new(house, Side::new(stream), caller, number, secure))
        }
        Err((why, error)) => {
            metrics::discard("ldap", why);
            tracing::debug!(%peer, %error, why, "the connection did not come about");
            None
        }
    }
}

/// A connection before anything is said in LDAP: the stream, who is at its other end, and whether TLS is up. Or what went wrong: the word is for the metric.
async fn meet(
    mut stream: TcpStream,
    peer: SocketAddr,
    settings: &Settings,
    place: &mut Place,
) -> Result<(Box<dyn Stream>, Caller, bool), (&'static str, io::Error)> {
    let mut caller = hear(&mut stream, peer, settings).await?;
    place.is_of(caller.source(), settings.connections_max).map_err(|full| (full.as_str(), io::Error::other("this caller has all places that it may have")))?;
    match &settings.transport {
        Transport::Plain { .. } | Transport::StartTls(_) => Ok((Box::new(stream), caller, false)),
        Transport::Tls(config) => {
            let Ok(_shaking) = PLACES.handshake(caller.source(), settings.connections_max) else {
                return Err(("handshakes_max", io::Error::other("all places for handshakes are taken")));
            };
            let stream = shake(Arc::clone(config), stream).await.map_err(|error| ("handshake", error))?;
            caller.certify(&stream);
            Ok((Box::new(stream), caller, true))
        }
    }
}

/// Who calls, by the peer's own address or by what it says as a listed balancer.
async fn hear(stream: &mut TcpStream, peer: SocketAddr, settings: &Settings) -> Result<Caller, (&'static str, io::Error)> {
    let balancers = &settings.callers.proxy_from;
    let telling = is_in(balancers, Some(peer.ip())).then(|| PLACES.handshake(peer.ip(), settings.connections_max)).transpose();
    let Ok(_telling) = telling else {
        return Err(("handshakes_max", io::Error::other("too many connections of this balancer have not told yet whose they are")));
    };
    Caller::meet(stream, peer, balancers).await.map_err(|error| ("proxy_header", io::Error::other(error)))
}

/// Brings TLS up.
async fn shake<S: Stream>(config: Arc<rustls::ServerConfig>, stream: S) -> io::Result<TlsStream<S>> {
    timeout(HANDSHAKE_WITHIN, TlsAcceptor::from(config).accept(stream)).await?
}

#[cfg(test)]
mod tests;
