//! The desk behind the door: each datagram is thrown away, answered from memory, or made a login in a task of its own.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Client;
use super::Settings;
use super::map;
use super::map::Errand;
use super::map::Reply;
use super::pace::Pace;
use super::seen;
use super::seen::Bounds;
use super::seen::Kept;
use super::seen::Key;
use super::seen::Slot;
use super::seen::Turn;
use super::seen::Window;
use super::socket::Inbox;
use super::socket::Path;
use super::socket::Socket;
use crate::domain::Secret;
use crate::engine::Engine;
use crate::engine::Login;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Refusal;
use crate::wire::radius::Request;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;

/// Reads one socket.
#[derive(Debug)]
pub(super) struct Desk {
    socket: Arc<Socket>,
    seen: Ledger,
    settings: watch::Receiver<Arc<Settings>>,
    engine: Arc<Engine>,
    /// Held by all who are at work.
    busy: mpsc::Sender<Infallible>,
    /// Status-Servers by who asks.
    status: Pace<IpAddr>,
    /// Lines in the log by reason.
    lines: Pace<&'static str>,
    /// Lines about a client that is not set up right, by its name; nameless: about strangers, all of them together.
    warnings: Pace<String>,
}

impl Desk {
    pub(super) fn new(
        socket: Arc<Socket>,
        seen: Ledger,
        settings: watch::Receiver<Arc<Settings>>,
        engine: Arc<Engine>,
        busy: mpsc::Sender<Infallible>,
    ) -> Self {
        Self {
            socket,
            seen,
            settings,
            engine,
            busy,
            status: Pace::new(Duration::from_millis(200), 10, KEYS_MAX),
            lines: Pace::new(Duration::from_secs(1), 5, KEYS_MAX),
            warnings: Pace::new(Duration::from_secs(60), 1, KEYS_MAX),
        }
    }

    /// Reads until the other end of `stop` goes.
    pub(super) async fn read(mut self, mut stop: oneshot::Receiver<Infallible>) {
        let socket = Arc::clone(&self.socket);
        let mut inbox = Inbox::new();
        loop {
            let received = tokio::select! {
                biased;
                _ = &mut stop => return,
                received = socket.receive(&mut inbox) => received,
            };
            match received {
                Ok((datagram, path)) => self.take(datagram, path, Instant::now()),
                Err(error) => {
                    if self.lines.allows(Instant::now(), "receive") {
                        tracing::warn!(door = "radius", %error, "a datagram could not be received");
                    }
                    // Whatever ails the socket, it is not asked in a tight loop.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// One datagram: cheap questions first, so that garbage costs little.
    fn take(&mut self, datagram: &[u8], path: Path, arrived: Instant) {
        let settings = Arc::clone(&self.settings.borrow());
        let Some(client) = settings.client(path.peer.ip()) else {
            if self.warnings.allows(arrived, String::new()) {
                tracing::warn!(door = "radius", source = %path.peer, "a packet from nobody we know: no [[radius.client]] has this address in its networks");
            }
            return self.discard(arrived, path, None, "unknown_client", &"no [[radius.client]] has this address in its networks");
        };
        let request = match Request::verify(datagram, client.secret.expose(), client.integrity) {
            Ok(request) => request,
            Err(refusal) => return self.refuse(arrived, path, client, refusal),
        };
        if !request.signed() {
            ::metrics::counter!(metrics::RADIUS_UNSIGNED, "client" => client.name.clone()).increment(1);
        }
        match request.code() {
            Code::StatusServer => self.tell_status(&request, client, path, arrived),
            _ => self.admit(&request, client, &settings, path, arrived),
        }
    }

    /// Status-Server: we are here, and nothing else (RFC 5997 §4.2).
    fn tell_status(&mut self, request: &Request<'_>, client: &Client, path: Path, arrived: Instant) {
        if !self.status.allows(arrived, path.peer.ip()) {
            return self.discard(arrived, path, Some(client), "status_too_often", &"Status-Server comes more than five times a second");
        }
        match reply::accept(&Asked::of(request), client.secret.expose(), &Carried::default(), [0; 2]) {
            Ok(bytes) => send(&self.socket, &path, &bytes),
            Err(error) => self.discard(arrived, path, Some(client), "reply_too_long", &error),
        }
    }

    fn admit(&mut self, request: &Request<'_>, client: &Client, settings: &Settings, path: Path, arrived: Instant) {
        let slot = Slot { peer: path.peer, code: request.code(), identifier: request.identifier() };
        let key = Key { slot, authenticator: *request.authenticator() };
        let bounds = settings.bounds();
        let (guard, given_up) = oneshot::channel();
        let seen = self.seen.lock().admit(arrived, key, &bounds, guard);
        match seen {
            seen::Seen::Answered(bytes) if bytes.is_empty() => metrics::discard("radius", "superseded"),
            seen::Seen::Answered(bytes) => send(&self.socket, &path, &bytes),
            seen::Seen::Full => {
                self.discard(arrived, path, Some(client), "full", &"all places for requests are taken: raise limits.radius_inflight_max or look for a flood");
            }
            seen::Seen::New(turn) => {
                let work = Work {
                    socket: Arc::clone(&self.socket),
                    held: Held { seen: self.seen.clone(), turn, bounds },
                    path,
                    asked: Asked::of(request),
                    secret: client.secret.clone(),
                    refuse_at: refuse_at(arrived, settings.reject_delay),
                    _busy: self.busy.clone(),
                };
                // Begun here and not in the task: of two that ask the same the later one is to be the later one.
                let begun = self.begin(request, client, settings, path);
                tokio::spawn(work.run(begun, given_up));
            }
            seen::Seen::Running => metrics::discard("radius", "duplicate"),
        }
    }

    /// The login that the request asks for; none where it is to be rejected as it is.
    fn begin(&self, request: &Request<'_>, client: &Client, settings: &Settings, path: Path) -> Option<Login> {
        let within = settings.within(client);
        match map::read(request, client, path.peer) {
            Errand::Answer(answer) => Some(self.engine.answer(answer, within)),
            Errand::Begin(login) => Some(self.engine.login(*login, Arc::clone(&client.rules), Arc::clone(&client.check), within)),
            Errand::Refuse(unfit) => {
                let why = unfit.as_str();
                ::metrics::counter!(metrics::LOGINS, "door" => "radius", "client" => client.name.clone(), "decision" => "reject", "why" => why).increment(1);
                tracing::info!(door = "radius", client = client.name, source = %path.peer, decision = "reject", why, "login");
                None
            }
        }
    }

    /// A packet that is no request. What an operator must put right is said aloud, once a minute for each client.
    fn refuse(&mut self, now: Instant, path: Path, client: &Client, refusal: Refusal) {
        let aloud = matches!(refusal, Refusal::WrongSignature | Refusal::Unsigned | Refusal::UnsignedProxyState | Refusal::UnsignedStatus);
        if aloud && self.warnings.allows(now, format!("{} {}", client.name, refusal.as_str())) {
            tracing::warn!(door = "radius", client = client.name, source = %path.peer, why = refusal.as_str(), "{refusal} (client {})", client.name);
        }
        self.discard(now, path, Some(client), refusal.as_str(), &refusal);
    }

    fn discard(&mut self, now: Instant, path: Path, client: Option<&Client>, why: &'static str, detail: &dyn std::fmt::Display) {
        metrics::discard("radius", why);
        if self.lines.allows(now, why) {
            let client = client.map(|client| client.name.as_str());
            tracing::debug!(door = "radius", client, source = %path.peer, why, %detail, "a datagram was dropped");
        }
    }
}

/// The window that a door, its reader and its logins share.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<Mutex<Window<oneshot::Sender<Infallible>>>>);

impl Ledger {
    /// Gives up all that is in the works.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Window<oneshot::Sender<Infallible>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Window::new())))
    }
}

/// One request in the works.
struct Work {
    socket: Arc<Socket>,
    held: Held,
    path: Path,
    asked: Asked,
    secret: Secret,
    refuse_at: Instant,
    _busy: mpsc::Sender<Infallible>,
}

impl Work {
    /// Waits for the login's end and replies, unless `given_up` comes first: then the login is dropped with us.
    async fn run(self, login: Option<Login>, given_up: oneshot::Receiver<Infallible>) {
        let reply = tokio::select! {
            biased;
            _ = given_up => None,
            reply = self.reply(login) => reply,
        };
        if let Some(bytes) = reply {
            self.held.answer(&self.socket, &self.path, &bytes.into());
        }
    }

    async fn reply(&self, login: Option<Login>) -> Option<Vec<u8>> {
        let made = match login {
            Some(login) => map::reply(&login.outcome().await, &self.asked, &self.secret),
            None => map::refused(&self.asked, &self.secret),
        };
        match made {
            Ok(Reply::AtOnce(bytes)) => Some(bytes),
            Ok(Reply::Delayed(bytes)) => {
                tokio::time::sleep_until(self.refuse_at).await;
                Some(bytes)
            }
            Ok(Reply::Silence) => None,
            // Kept as answered with nothing: a copy of it that comes late must not begin a second login.
            Ok(Reply::Superseded) => Some(Vec::new()),
            Err(error) => {
                metrics::discard("radius", "reply_too_long");
                tracing::warn!(door = "radius", source = %self.path.peer, %error, "the reply leaves no room beside the request's Proxy-States");
                None
            }
        }
    }
}

/// A turn in the window. Dropped unanswered, the request may be asked again.
struct Held {
    seen: Ledger,
    turn: Turn,
    bounds: Bounds,
}

impl Held {
    /// Keeps the answer and sends it, if it is still the one that is waited for.
    fn answer(&self, socket: &Socket, path: &Path, bytes: &Arc<[u8]>) {
        let kept = self.seen.lock().answer(Instant::now(), self.turn, Arc::clone(bytes), &self.bounds);
        if let Kept::Answer { evicted } = kept {
            for _ in 0..evicted {
                metrics::discard("radius", "kept_answer");
            }
            if !bytes.is_empty() {
                send(socket, path, bytes);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seen.lock().forget(self.turn);
    }
}

fn send(socket: &Socket, path: &Path, bytes: &[u8]) {
    if let Err(error) = socket.send(path, bytes) {
        metrics::discard("radius", "reply_not_sent");
        tracing::debug!(door = "radius", source = %path.peer, %error, "a reply could not be sent");
    }
}

/// When a refusal is spoken: reckoned from the arrival, so that every cause takes as long, and blurred a little.
fn refuse_at(arrived: Instant, delay: Duration) -> Instant {
    let jitter = getrandom::u32().map_or(JITTER_MS_MAX, |random| u64::from(random) % JITTER_MS_MAX.saturating_add(1));
    arrived.checked_add(delay).and_then(|at| at.checked_add(Duration::from_millis(jitter))).unwrap_or(arrived)
}

const JITTER_MS_MAX: u64 = 100;
/// Sources, reasons and clients that are paced at once.
const KEYS_MAX: usize = 4096;
