//! The clerk: each verified request is answered from memory, or made a login that replies when it ends, whichever way it came.

use std::convert::Infallible;
use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Behind;
use super::Client;
use super::Settings;
use super::answer::Reply;
use super::answer::Writer;
use super::census::Sheet;
use super::clients::NasAddress;
use super::map;
use super::map::Errand;
use super::map::Manner;
use super::map::Unfit;
use super::pace::Pace;
use super::seen;
use super::seen::Bounds;
use super::seen::Kept;
use super::seen::Key;
use super::seen::Turn;
use super::seen::Window;
use super::socket::Path;
use super::socket::Socket;
use super::stream::Outbox;
use crate::engine::Ear;
use crate::engine::Login;
use crate::engine::Outcome;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;

/// Serves one reader.
#[derive(Debug)]
pub(super) struct Clerk {
    pub(super) behind: Behind,
    trade: Trade,
    /// Status-Servers by who asks.
    status: Pace<IpAddr>,
    /// Lines in the log by reason.
    pub(super) lines: Pace<&'static str>,
    /// Lines about a client that is not set up right, by its name; nameless: about strangers, all of them together.
    pub(super) warnings: Pace<String>,
    unsigned: metrics::ByClient,
}

/// What is asked at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trade {
    /// Who is on.
    Accounting,
    /// Who may come in.
    Authentication,
    /// Either: behind TLS there is one port for all (RFC 6614 §2.1).
    Both,
}

/// The way a reply goes back.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Out of the socket that the request came into. Whoever holds it is at work, and the door waits for them.
    Datagram { socket: Arc<Socket>, path: Path, _busy: mpsc::Sender<Infallible> },
    /// Into the connection that the request came out of.
    Stream(Outbox),
}

impl Way {
    pub(super) fn peer(&self) -> SocketAddr {
        match self {
            Self::Datagram { path, .. } => path.peer,
            Self::Stream(outbox) => outbox.peer,
        }
    }

    /// How much the window may hold that requests of this way are in.
    fn bounds(&self, settings: &Settings) -> Bounds {
        let whole = settings.bounds();
        match self {
            Self::Datagram { .. } => whole,
            Self::Stream(_) => Bounds {
                running_max: whole.running_max.min(CONNECTION_RUNNING_MAX),
                answers_max: CONNECTION_ANSWERS_MAX,
                bytes_max: CONNECTION_BYTES_MAX,
                keep: whole.keep,
            },
        }
    }

    pub(super) fn send(&self, bytes: &[u8]) {
        match self {
            Self::Datagram { socket, path, .. } => socket.send(path, bytes),
            Self::Stream(outbox) => {
                if let Err(error) = outbox.put(bytes) {
                    metrics::discard("radius", "reply_not_sent");
                    tracing::debug!(door = "radius", source = %outbox.peer, %error, "a reply could not be sent");
                }
            }
        }
    }
}

impl Clerk {
    pub(super) fn new(behind: Behind, trade: Trade) -> Self {
        Self {
            behind,
            trade,
            status: Pace::new(Duration::from_millis(200), 10, KEYS_MAX),
            lines: Pace::new(Duration::from_secs(1), 5, KEYS_MAX),
            warnings: Pace::new(Duration::from_secs(60), 1, KEYS_MAX),
            unsigned: metrics::ByClient::new(metrics::RADIUS_UNSIGNED),
        }
    }

    /// One verified request of this client.
    pub(super) fn consider(&mut self, request: &Request<'_>, client: &Arc<Client>, settings: &Arc<Settings>, seen: &Ledger, way: Way, arrived: Instant) {
        if !request.signed() {
            self.unsigned.count(&client.name);
        }
        client.card.tally.arrived(request, client, way.peer(), arrived);
        match request.code() {
            Code::StatusServer => self.tell_status(request, client, &way, arrived),
            Code::AccountingRequest => self.book(request, client, settings, seen, way, arrived),
            _ => self.admit(request, client, settings, seen, way, arrived),
        }
    }

    /// Status-Server: we are here, and nothing else (RFC 5997 §4.2).
    fn tell_status(&mut self, request: &Request<'_>, client: &Client, way: &Way, arrived: Instant) {
        if !self.status.allows(arrived, way.peer().ip()) {
            return self.discard(arrived, way, client, "status_too_often", &"Status-Server comes more than five times a second");
        }
        let asked = Asked::of(request);
        let made = match self.trade {
            Trade::Accounting => reply::accounting_response(&asked, client.secret.expose()),
            Trade::Authentication | Trade::Both => reply::accept(&asked, client.secret.expose(), &Carried::default(), [0; 2]),
        };
        match made {
            Ok(bytes) => way.send(&bytes),
            Err(error) => self.discard(arrived, way, client, TOO_LONG, &error),
        }
    }

    fn admit(&mut self, request: &Request<'_>, client: &Arc<Client>, settings: &Arc<Settings>, seen: &Ledger, way: Way, arrived: Instant) {
        let Some(held) = self.turn(request, client, settings, seen, &way, arrived) else { return };
        let sheet = client.card.tally.begin(request.authenticator(), arrived);
        let writer = Writer { asked: Asked::of(request), manner: Manner::of(request), client: Arc::clone(client) };
        let work = Work { sheet, held, writer, way };
        // Begun here and not in a task: of two that ask the same the later one is to be the later one.
        let end = match self.begin(request, client, settings, work.way.peer(), arrived).map(Login::ended) {
            Some(Err(login)) => return work.wait(login),
            Some(Ok(outcome)) => work.said(&outcome),
            None => work.refused(),
        };
        work.finish(end);
    }

    /// The turn of a request that begins now. One that was seen before is answered as it was, or not at all.
    pub(super) fn turn(
        &mut self,
        request: &Request<'_>,
        client: &Client,
        settings: &Arc<Settings>,
        seen: &Ledger,
        way: &Way,
        arrived: Instant,
    ) -> Option<Held> {
        let bounds = way.bounds(settings);
        let key = Key::of(request, way.peer());
        let mut window = seen.lock();
        let met = window.admit(arrived, key, &bounds);
        if let (seen::Seen::Running, Some(Guard::Login { login })) = (&met, window.held(key.slot)) {
            login.again();
        }
        drop(window);
        if request.code() == Code::AccessRequest && matches!(met, seen::Seen::Answered(_) | seen::Seen::Running) {
            client.card.tally.again(request.authenticator(), arrived);
        }
        match met {
            seen::Seen::Answered(bytes) if bytes.is_empty() => metrics::discard("radius", "superseded"),
            seen::Seen::Answered(bytes) => way.send(&bytes),
            seen::Seen::Full => {
                self.discard(arrived, way, client, "full", &"all places for requests are taken: raise limits.radius_inflight_max or look for a flood");
            }
            seen::Seen::New(turn) => return Some(Held { seen: seen.clone(), turn, settings: Arc::clone(settings), is_over: false }),
            seen::Seen::Running => metrics::discard("radius", "duplicate"),
        }
        None
    }

    /// The login that the request asks for; none where it is to be rejected as it is.
    fn begin(&mut self, request: &Request<'_>, client: &Arc<Client>, settings: &Settings, peer: SocketAddr, arrived: Instant) -> Option<Login> {
        let within = settings.within(client);
        let errand = match self.nas_is_elsewhere(request, client, peer, arrived) {
            true => Errand::Refuse(Unfit::NasAddress),
            false => map::read(request, client, peer),
        };
        match errand {
            Errand::Answer(answer) => Some(self.behind.engine.answer(answer, within)),
            Errand::Begin(login) => Some(self.behind.engine.login(*login, Arc::clone(&client.rules), Arc::clone(client.first.check()), within)),
            Errand::Refuse(unfit) => {
                let why = unfit.as_str();
                ::metrics::counter!(metrics::LOGINS, "door" => "radius", "client" => client.name.clone(), "decision" => "reject", "why" => why).increment(1);
                tracing::info!(door = "radius", client = client.name, source = %peer, decision = "reject", why, "login");
                None
            }
        }
    }

    /// Whether the NAS's own word about its address is another than where the packet came from, and that matters. A proxy on the way is one reason.
    fn nas_is_elsewhere(&mut self, request: &Request<'_>, client: &Client, peer: SocketAddr, arrived: Instant) -> bool {
        let four = request.first(attr::NAS_IP_ADDRESS).and_then(|attribute| attribute.ipv4()).map(IpAddr::V4);
        let six = request.first(attr::NAS_IPV6_ADDRESS).and_then(|attribute| attribute.ipv6()).map(IpAddr::V6);
        // One that says both its addresses sends from one of them.
        let is_here = [four, six].into_iter().flatten().any(|said| said.to_canonical() == peer.ip().to_canonical());
        let Some(said) = four.or(six).filter(|_| !is_here) else { return false };
        metrics::discard("radius", "nas_address");
        if self.warnings.allows(arrived, format!("{} address", client.name)) {
            tracing::info!(door = "radius", client = client.name, source = %peer, nas_address = %said, "the client says that it is somewhere else than its packets come from");
        }
        client.nas_address == NasAddress::Require
    }

    pub(super) fn discard(&mut self, now: Instant, way: &Way, client: &Client, why: &'static str, detail: &dyn Display) {
        metrics::discard("radius", why);
        if self.lines.allows(now, why) {
            tracing::debug!(door = "radius", client = client.name, source = %way.peer(), why, %detail, "a request was dropped");
        }
    }
}

/// The window that a door, its reader and its logins share.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Arc<Mutex<Window<Guard>>>);

/// What a request in the works is held by. It is dropped under the window's lock, so nothing of it may look for the window.
#[derive(Debug)]
enum Guard {
    /// Whoever waits hears by its end that nobody wants the answer any more.
    Ended { _given_up: oneshot::Sender<Infallible> },
    /// A login that goes on for as long as somebody wants to know how it ends.
    Login { login: Login },
}

impl Ledger {
    /// Gives up all that is in the works.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Window<Guard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Window::new())))
    }
}

/// One request in the works.
#[derive(Debug)]
struct Work {
    sheet: Sheet,
    held: Held,
    writer: Writer,
    way: Way,
}

/// What a request comes to.
enum End {
    /// This reply, at once. One without octets is kept as such and never sent: a copy of it that comes late must not begin a second login.
    Now(Vec<u8>),
    /// This one, after the time that every refusal takes.
    Later(Vec<u8>),
    /// Nothing. It may be asked again.
    Never,
}

/// What is left of a request while its login goes on. No task waits: many may, and for long.
impl Ear for Work {
    fn hear(mut self: Box<Self>, outcome: Outcome) {
        self.held.is_over = false;
        let end = self.said(&outcome);
        self.finish(end);
    }
}

impl Work {
    /// Leaves word with the login where to reply. The window holds the login, so that it is dropped with the turn, and we with the login.
    fn wait(mut self, login: Login) {
        let (seen, turn) = (self.held.seen.clone(), self.held.turn);
        // Dropped from now on it is because the turn is over, which needs not be told to the window, nor can it be under its lock.
        self.held.is_over = true;
        let mut window = seen.lock();
        match login.tell(Box::new(self)) {
            // Both under one lock: whoever is called meanwhile finds the login there, and puts in its place what is to be there next.
            None => window.guard(turn, Guard::Login { login }),
            Some((ear, outcome)) => {
                drop(window);
                ear.hear(outcome);
            }
        }
    }

    fn finish(self, end: End) {
        match end {
            End::Now(bytes) => self.held.answer(&self.way, bytes),
            End::Later(bytes) => self.delay(bytes),
            End::Never => {}
        }
    }

    /// Replies after the time that every refusal takes, unless the turn is given up before.
    fn delay(self, bytes: Vec<u8>) {
        let given_up = self.held.guard();
        let at = refuse_at(self.sheet.arrived, self.held.settings.reject_delay);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = given_up => {}
                () = tokio::time::sleep_until(at) => self.held.answer(&self.way, bytes),
            }
        });
    }

    fn said(&self, outcome: &Outcome) -> End {
        self.end(self.writer.reply(outcome), || self.sheet.ended(outcome))
    }

    /// The end of a request that nobody was asked about.
    fn refused(&self) -> End {
        self.end(self.writer.refused(), || self.sheet.refused())
    }

    /// The reply that was made, which is then counted for what it is.
    fn end(&self, made: Result<Reply, reply::TooLong>, count: impl FnOnce()) -> End {
        match made {
            Ok(reply) => {
                count();
                reply.into()
            }
            Err(error) => self.too_big(&error),
        }
    }

    /// What a client is told whose reply does not fit: no, but behind TLS why. Kept as every answer is: after silence a copy would begin a second
    /// login and ring the phone again. It is counted and logged for what the client hears, whatever the login came to.
    fn too_big(&self, error: &reply::TooLong) -> End {
        let (decision, end) = match self.way {
            Way::Datagram { .. } => match self.writer.refused() {
                Ok(Reply::AtOnce(bytes) | Reply::Delayed(bytes)) => ("reject", End::Later(bytes)),
                Ok(Reply::Silence | Reply::Superseded) | Err(_) => ("drop", End::Now(Vec::new())),
            },
            Way::Stream(_) => {
                let told = reply::protocol_error(&self.writer.asked, self.writer.client.secret.expose(), RESPONSE_TOO_BIG);
                ("drop", End::Now(told.unwrap_or_default()))
            }
        };
        if decision == "reject" {
            self.sheet.refused()
        } else {
            self.sheet.dropped()
        }
        metrics::discard("radius", TOO_LONG);
        let (client, source) = (&self.writer.client.name, self.way.peer());
        tracing::warn!(
            door = "radius",
            client,
            %source,
            decision,
            why = TOO_LONG,
            %error,
            "the reply does not fit into a packet, so the client hears this instead: what the upstream and the policy say is too much"
        );
        end
    }
}

impl From<Reply> for End {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::AtOnce(bytes) => Self::Now(bytes),
            Reply::Delayed(bytes) => Self::Later(bytes),
            Reply::Silence => Self::Never,
            Reply::Superseded => Self::Now(Vec::new()),
        }
    }
}

/// A turn in the window. Dropped unanswered, the request may be asked again.
#[derive(Debug)]
pub(super) struct Held {
    seen: Ledger,
    turn: Turn,
    /// Those of the request's arrival.
    settings: Arc<Settings>,
    is_over: bool,
}

impl Held {
    /// Whoever waits with this turn hears by it that nobody waits for the answer any more.
    pub(super) fn guard(&self) -> oneshot::Receiver<Infallible> {
        let (guard, given_up) = oneshot::channel();
        self.seen.lock().guard(self.turn, Guard::Ended { _given_up: guard });
        given_up
    }

    /// Keeps the answer and sends it, if it is still the one that is waited for.
    pub(super) fn answer(mut self, way: &Way, bytes: Vec<u8>) {
        self.is_over = true;
        let bounds = way.bounds(&self.settings);
        let bytes: seen::Answer = Arc::new(bytes.into());
        let kept = self.seen.lock().answer(Instant::now(), self.turn, Arc::clone(&bytes), &bounds);
        if let Kept::Answer { evicted } = kept {
            for _ in 0..evicted {
                metrics::discard("radius", "kept_answer");
            }
            if !bytes.is_empty() {
                way.send(&bytes);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_over {
            self.seen.lock().forget(self.turn);
        }
    }
}

/// When a refusal is spoken: reckoned from the arrival, so that every cause takes as long, and blurred a little.
fn refuse_at(arrived: Instant, delay: Duration) -> Instant {
    let jitter = getrandom::u32().map_or(JITTER_MS_MAX, |random| u64::from(random) % JITTER_MS_MAX.saturating_add(1));
    arrived.checked_add(delay).and_then(|at| at.checked_add(Duration::from_millis(jitter))).unwrap_or(arrived)
}

/// Why a reply was not sent as it was meant.
const TOO_LONG: &str = "reply_too_long";
const JITTER_MS_MAX: u64 = 100;
/// Error-Cause (RFC 7930 §6.1).
const RESPONSE_TOO_BIG: u32 = 601;
/// What one connection may have in the works, and what is kept for it.
const CONNECTION_RUNNING_MAX: usize = 4096;
const CONNECTION_ANSWERS_MAX: usize = 1024;
const CONNECTION_BYTES_MAX: usize = 1 << 20;
/// Sources, reasons and clients that are paced at once.
const KEYS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_whose_login_waits_holds_little() {
        let held = (size_of::<Work>(), size_of::<Guard>());
        assert!(held.0 <= 320 && held.1 <= 24, "{held:?} octets");
    }
}
