//! One client connection: whose it is now, what is under way on it, and the server behind it.

mod stay;
mod wait;

use std::collections::HashMap;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::Sleep;
use tokio::time::sleep_until;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::HANDSHAKE_WITHIN;
use super::Settings;
use super::Transport;
use super::behind::Behind;
use super::behind::Meanwhile;
use super::bind::Check;
use super::bind::Granted;
use super::bind::Verdict;
use super::bind::Wish;
use super::bind::decide;
use super::bind::denial_at;
use super::bind::deny;
use super::caller::Caller;
use super::gate::Gate;
use super::gate::May;
use super::gate::START_TLS;
use super::gate::controls_pass;
use super::places::PLACES;
use super::relay;
use super::relay::Relay;
use super::root::Offer;
use super::root::is_plain;
use super::shake;
use super::side::Side;
use super::upstream::Upstream;
use crate::domain::Appended;
use crate::domain::AuthRequest;
use crate::domain::Dialogue;
use crate::domain::Door;
use crate::domain::Exempt;
use crate::domain::Grant;
use crate::domain::Primary;
use crate::domain::Secret;
use crate::domain::Texts;
use crate::engine::Engine;
use crate::metrics;
use crate::wire::ldap::Bind;
use crate::wire::ldap::Code;
use crate::wire::ldap::Control;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Op;
use crate::wire::ldap::Refusal;
use crate::wire::ldap::Reply;
use crate::wire::ldap::Request;
use crate::wire::ldap::SESSION_TRACKING;
use crate::wire::ldap::abandon;
use crate::wire::ldap::answer;
use crate::wire::ldap::extended_answer;
use crate::wire::ldap::notice;
use crate::wire::ldap::trimmed;

/// Bytes of one PDU before a bind, and of all that waits behind one (L-041).
pub(super) const PDU_BEFORE_MAX: usize = 262_144;
/// Requests that wait behind a bind, and operations under way before one (L-041).
pub(super) const WAITING_BEFORE_MAX: usize = 100;
/// Operations under way after a bind (L-041).
const WAITING_AFTER_MAX: usize = 1_000;
/// Message ids of abandoned operations that are kept from being used again.
const ABANDONED_MAX: usize = 1_000;
/// The text of all outages beside those of a bind: programs read it, not people.
const AWAY: &str = "the directory cannot be asked now";

/// What connections of one listener have in common.
#[derive(Clone, Debug)]
pub(super) struct House {
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) engine: Arc<Engine>,
    /// Turns true when the listener stops.
    pub(super) closing: watch::Receiver<bool>,
}

/// A client and the server behind it.
#[derive(Debug)]
pub(super) struct Connection {
    house: House,
    client: Side,
    caller: Caller,
    /// No other connection of this process has or had this number.
    number: u64,
    binds: u64,
    secure: bool,
    standing: Standing,
    upstream: Option<Box<Upstream>>,
    waiting: HashMap<u32, Waiting>,
    /// Abandoned, the oldest first: an answer may still be due, which must not be taken for that to another operation.
    abandoned: VecDeque<u32>,
    idle_at: Instant,
    old_at: Instant,
    /// When it is to be seen again whether it would be let in.
    look_at: Instant,
    /// Rings at the first of these, or before.
    alarm: Pin<Box<Sleep>>,
}

/// Whose a connection is.
#[derive(Debug)]
enum Standing {
    Anonymous,
    Bound {
        dn: String,
        why: Grant,
        /// What it rests on, where that is an exemption.
        exempt: Option<Box<Exempt>>,
    },
}

/// A bind that waits for the engine's word.
struct Undecided {
    id: u32,
    verdict: Pin<Box<dyn Future<Output = Verdict> + Send>>,
}

/// An operation under way in the directory.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    op: Op,
    root: Option<Offer>,
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// With what was put last, or nothing.
    Goodbye,
    /// The stream is gone.
    Gone,
    /// With a Notice of Disconnection; the word is for the metric.
    Notice(Code, &'static str, &'static str),
}

impl Connection {
    pub(super) fn new(house: House, client: Side, caller: Caller, number: u64, secure: bool) -> Box<Self> {
        let (standing, upstream, waiting, abandoned) = (Standing::Anonymous, None, HashMap::new(), VecDeque::new());
        let [idle_at, old_at, look_at] = stay::first_times();
        let alarm = Box::pin(sleep_until(idle_at));
        Box::new(Self { house, client, caller, number, binds: 0, secure, standing, upstream, waiting, abandoned, idle_at, old_at, look_at, alarm })
    }

    /// Serves the client until one of the two leaves.
    pub(super) async fn serve(mut self: Box<Self>) {
        let end = loop {
            if let Err(end) = self.turn().await {
                break end;
            }
        };
        self.upstream = None;
        match end {
            End::Gone => {}
            End::Goodbye => self.client.farewell().await,
            End::Notice(code, text, why) => {
                self.discard(why);
                self.client.put(&notice(code, text));
                self.client.farewell().await;
            }
        }
    }

    /// All that can be done now, then a wait for more.
    async fn turn(&mut self) -> Result<(), End> {
        self.pass_answers()?;
        while self.client.has_room() && self.upstream.as_ref().is_none_or(|upstream| upstream.side.has_room()) {
            self.may_stay()?;
            if !self.take_next().await? {
                break;
            }
        }
        self.wait().await
    }

    /// Takes one request off the client and sees it through, as far as that is ours. Says whether there was one.
    async fn take_next(&mut self) -> Result<bool, End> {
        let undecided = {
            let Some(frame) = self.client.frame(self.pdu_max()).map_err(unreadable)? else { return Ok(false) };
            let bytes = Zeroizing::new(frame.bytes.to_vec());
            if Op::of(frame.op) == Some(Op::Bind) {
                self.client.wipe(bytes.len())
            } else {
                self.client.take(bytes.len())
            }
            self.touch();
            let frame = Frame::split(&bytes, bytes.len()).map_err(unreadable)?.ok_or_else(|| unreadable(Refusal::Form))?;
            self.take(&frame).await?
        };
        // The request is gone by now: no password of it lies here while a telephone rings.
        if let Some(undecided) = undecided {
            self.await_verdict(undecided).await?;
        }
        Ok(true)
    }

    /// Hands on what the directory has answered.
    fn pass_answers(&mut self) -> Result<(), End> {
        let pdu_max = self.settings().pdu_bytes_max;
        while self.client.has_room() {
            let Some(upstream) = &mut self.upstream else { break };
            let frame = match upstream.side.frame(pdu_max) {
                Ok(Some(frame)) => frame,
                Ok(None) if upstream.side.ended() => return self.upstream_left(),
                Ok(None) => break,
                Err(refusal) => {
                    tracing::warn!(client = self.settings().name, why = refusal.as_str(), "the directory sent what is no answer: the connection is closed");
                    return Err(End::Notice(Code::Other, "the directory sent what is no answer", "upstream"));
                }
            };
            let len = frame.bytes.len();
            if frame.id == 0 && !frame.is_notice() {
                if matches!(self.standing, Standing::Bound { .. }) {
                    self.client.put(frame.bytes);
                }
                upstream.side.take(len);
                continue;
            }
            if frame.id == 0 {
                return if matches!(self.standing, Standing::Anonymous) {
                    self.upstream_left()
                } else {
                    self.client.put(frame.bytes);
                    Err(End::Goodbye)
                };
            }
            let Some(reply) = frame.reply() else { return Err(End::Notice(Code::Other, "the directory sent what is no answer", "upstream")) };
            // Answers to what was abandoned are of no use to anybody.
            if let Some(Waiting { op, root }) = self.waiting.get(&frame.id).copied() {
                match relay::answer(op, root, &frame, reply) {
                    Relay::AsItCame => self.client.put(frame.bytes),
                    Relay::Instead(bytes) => self.client.put(&bytes),
                    Relay::Nothing => {}
                    Relay::Unreadable => return Err(End::Notice(Code::Other, "an answer of the directory cannot be read", "upstream")),
                }
            }
            if reply == Reply::Last && self.waiting.remove(&frame.id).is_none() {
                self.abandoned.retain(|abandoned| *abandoned != frame.id);
            }
            upstream.side.take(len);
            if matches!(self.standing, Standing::Bound { .. }) {
                self.touch();
            }
        }
        Ok(())
    }

    /// The directory is gone. With it goes whoever was bound on it; who was not can ask again.
    fn upstream_left(&mut self) -> Result<(), End> {
        self.upstream = None;
        self.abandoned.clear();
        if matches!(self.standing, Standing::Bound { .. }) {
            return Err(End::Notice(Code::Unavailable, AWAY, "upstream"));
        }
        for (id, waiting) in self.waiting.drain() {
            self.client.put(&answer(waiting.op, id, Code::Unavailable, AWAY));
        }
        Ok(())
    }

    async fn take(&mut self, frame: &Frame<'_>) -> Result<Option<Undecided>, End> {
        let request = frame.request().map_err(unreadable)?;
        let in_use = self.waiting.contains_key(&frame.id) || self.abandoned.contains(&frame.id);
        if in_use && !matches!(request, Request::Unbind) {
            return Err(End::Notice(Code::ProtocolError, "this message id is in use", "id_in_use"));
        }
        match request {
            Request::Unbind => return Err(End::Goodbye),
            Request::Abandon(target) => self.abandon(frame.id, target),
            Request::Bind(bind) => {
                let (controls, source) = self.caller.person(frame, &self.house.settings.borrow().callers).map_err(unreadable)?;
                return Ok(self.bind(frame.id, &bind, &controls, source));
            }
            request => {
                let (controls, _) = self.caller.person(frame, &self.house.settings.borrow().callers).map_err(unreadable)?;
                self.operate(frame, &request, &controls).await?;
            }
        }
        Ok(None)
    }

    /// L-022: no answer, and what is not known is ignored. The id stays in use until an answer has come after all, or a bind (RFC 4511 §4.1.1.1): what was asked
    /// under it again could be answered with what belongs to the first. Of very many the oldest are forgotten; whoever counts upwards never meets them.
    fn abandon(&mut self, id: u32, target: u32) {
        if self.waiting.remove(&target).is_some()
            && let Some(upstream) = &mut self.upstream
        {
            upstream.owes = true;
            upstream.side.put(&abandon(id, target));
            if self.abandoned.len() >= ABANDONED_MAX {
                self.abandoned.pop_front();
            }
            self.abandoned.push_back(target);
        }
    }

    async fn operate(&mut self, frame: &Frame<'_>, request: &Request<'_>, controls: &[Control<'_>]) -> Result<(), End> {
        let Some(op) = Op::of(frame.op) else { return Err(unreadable(Refusal::Op)) };
        let may = May { bound: self.bound(), unheard: self.unheard() };
        let root = match may.judge(request, controls) {
            Gate::Answer(code, text) => {
                self.refuse(op, frame.id, code, text, "not_allowed");
                return Ok(());
            }
            // What we answer ourselves knows no control.
            Gate::StartTls { .. } | Gate::WhoAmI if controls.iter().any(|control| control.critical) => {
                self.refuse(op, frame.id, Code::UnavailableCriticalExtension, "a critical control is not supported", "control");
                return Ok(());
            }
            Gate::StartTls { valued } => return Box::pin(self.start_tls(frame.id, valued)).await,
            Gate::WhoAmI => {
                let who = if let Standing::Bound { dn, .. } = &self.standing { format!("dn:{dn}") } else { String::new() };
                self.client.put(&extended_answer(frame.id, Code::Success, "", None, Some(who.as_bytes())));
                return Ok(());
            }
            Gate::Pass => None,
            Gate::ReadRoot { extensions } => Some(Offer { start_tls: self.offers_tls(), extensions }),
        };
        let waiting_max = if self.bound().is_some() { WAITING_AFTER_MAX } else { WAITING_BEFORE_MAX };
        if self.waiting.len() >= waiting_max {
            self.refuse(op, frame.id, Code::Busy, "too many operations are under way", "busy");
            return Ok(());
        }
        if self.upstream.is_none() {
            let settings = self.settings();
            let Ok(upstream) = Box::pin(Upstream::open(&settings.directory, settings.pdu_bytes_max)).await else {
                self.refuse(op, frame.id, Code::Unavailable, AWAY, "directory");
                return Ok(());
            };
            self.upstream = Some(upstream);
        }
        let Some(upstream) = &mut self.upstream else { return Ok(()) };
        if !controls_pass(controls, &upstream.controls) {
            self.refuse(op, frame.id, Code::UnavailableCriticalExtension, "a critical control is not supported", "control");
            return Ok(());
        }
        // What a directory keeps of it for the connection (cookies, transactions) must not meet the next bind (L-045).
        upstream.owes |= !controls.is_empty() || op == Op::Extended;
        let narrowed = match request {
            Request::Search(search) if may.bound.is_none() => search.narrowed(is_plain),
            _ => None,
        };
        upstream.side.put(&trimmed(frame, narrowed.as_deref(), SESSION_TRACKING));
        self.waiting.insert(frame.id, Waiting { op, root });
        Ok(())
    }

    /// A bind. The session is nobody's from its arrival on (L-020), and what was under way is never answered (L-025).
    fn bind(&mut self, id: u32, bind: &Bind<'_>, controls: &[Control<'_>], source: Option<IpAddr>) -> Option<Undecided> {
        self.standing = Standing::Anonymous;
        let kept = self.upstream.take().filter(|_| self.waiting.is_empty());
        self.waiting.clear();
        self.abandoned.clear();
        let settings = self.settings();
        let denied_at = denial_at(settings.reject_delay);
        let Some(asker) = settings.asker(&self.caller) else {
            tracing::warn!(client = settings.name, caller = %self.caller, "two [[ldap.client]] fit this connection alike: nobody gets in on it");
            self.discard("unclear_client");
            return Some(Undecided { id, verdict: Box::pin(deny(denied_at)) });
        };
        match Wish::of(bind, controls, self.heard(), asker.code) {
            Wish::Anonymous => {
                self.client.put(&answer(Op::Bind, id, Code::Success, ""));
                None
            }
            Wish::Refused(code, text, why) => {
                self.refuse(Op::Bind, id, code, text, why);
                None
            }
            Wish::Hopeless(why) => {
                drop(kept);
                self.discard(why);
                Some(Undecided { id, verdict: Box::pin(deny(denied_at)) })
            }
            Wish::Login { name, password, appended } => {
                let check = Check::new(Arc::clone(&settings.directory), id, settings.pdu_bytes_max, kept);
                let exempt = settings.callers.exempt(&self.caller);
                let dialogue = Dialogue { join_ms: settings.join_ms, ..Dialogue::default() };
                let request = AuthRequest { dialogue, source, exempt, ..self.login_request(asker.name, name, password, appended) };
                let login = self.house.engine.login(request, Arc::clone(asker.rules), Arc::clone(&check) as _, settings.login_deadline);
                Some(Undecided { id, verdict: Box::pin(decide(login, check, denied_at)) })
            }
        }
    }

    fn login_request(&mut self, client: &str, login: String, password: Secret, appended: Option<Appended>) -> AuthRequest {
        self.binds = self.binds.saturating_add(1);
        AuthRequest {
            door: Door::Ldap,
            client: client.to_owned(),
            login,
            primary: Primary::Password(password),
            appended,
            dialogue: Dialogue::default(),
            source: None,
            exempt: Vec::new(),
            // No two binds are one login: each has a connection of its own that is proven or not.
            seat: [self.number.to_be_bytes(), self.binds.to_be_bytes()].concat(),
            asker: Vec::new(),
        }
    }

    /// While a bind is undecided nothing is forwarded: what comes is only looked at, for what ends the wait (L-021, L-022, L-024). We never stop looking: a
    /// client that could fill our memory until we do could never take its bind back.
    async fn await_verdict(&mut self, Undecided { id, mut verdict }: Undecided) -> Result<(), End> {
        self.client.rest();
        let mut behind = Behind::of(id);
        loop {
            if behind.look(self.client.unread())? == Meanwhile::GaveUp {
                self.discard("bind_given_up");
                return Ok(());
            }
            if self.client.ended() {
                return Err(End::Gone);
            }
            // The client first: what it has said before the decision counts.
            tokio::select! {
                biased;
                moved = self.client.moved(true) => moved.map_err(|_| End::Gone)?,
                verdict = verdict.as_mut() => return self.conclude(id, verdict),
            }
        }
    }

    /// One text for all who are refused, in the usual language.
    fn texts(&self) -> Arc<Texts> {
        Arc::clone(self.settings().rules.texts.usual())
    }

    fn conclude(&mut self, id: u32, verdict: Verdict) -> Result<(), End> {
        let outcome = match verdict {
            Verdict::Granted(granted) => self.let_in(id, *granted),
            Verdict::Denied => {
                let texts = self.texts();
                self.client.put(&answer(Op::Bind, id, Code::InvalidCredentials, &texts.ldap_denied));
                Ok(())
            }
            Verdict::Unavailable => self.cannot_tell(id),
        };
        self.touch();
        outcome
    }

    fn let_in(&mut self, id: u32, granted: Granted) -> Result<(), End> {
        let Granted { upstream, response, dn, who, directory, why } = granted;
        let exempt = match why {
            Grant::Exempt => {
                let now = self.house.engine.now();
                let found = self.settings().callers.exempt(&self.caller).into_iter().find(|exempt| exempt.directory == directory && exempt.holds(now, &who));
                // It has gone while the directory was asked.
                let Some(exempt) = found else { return self.cannot_tell(id) };
                Some(Box::new(exempt))
            }
            _ => None,
        };
        self.client.put(&response);
        self.upstream = Some(upstream);
        self.caller.settle(&self.house.settings.borrow().callers, &who, why, self.house.engine.now());
        self.standing = Standing::Bound { dn, why, exempt };
        self.stay_bound();
        Ok(())
    }

    fn cannot_tell(&mut self, id: u32) -> Result<(), End> {
        let texts = self.texts();
        self.client.put(&answer(Op::Bind, id, Code::Unavailable, &texts.ldap_away));
        Err(End::Goodbye)
    }

    /// L-084, L-085.
    async fn start_tls(&mut self, id: u32, valued: bool) -> Result<(), End> {
        let settings = self.settings();
        let config = match &settings.transport {
            _ if self.secure => return self.refuse_tls(id, Code::OperationsError, "TLS is up already"),
            Transport::Plain { .. } | Transport::Tls(_) => return self.refuse_tls(id, Code::ProtocolError, "StartTLS is not offered here"),
            Transport::StartTls(_) if valued => return self.refuse_tls(id, Code::ProtocolError, "StartTLS takes no value"),
            Transport::StartTls(_) if !self.waiting.is_empty() => return self.refuse_tls(id, Code::OperationsError, "operations are under way"),
            Transport::StartTls(config) => Arc::clone(config),
        };
        if !self.client.unread().is_empty() {
            // Sent before TLS was up, by whoever: never to be taken for what comes after.
            self.refuse_tls(id, Code::OperationsError, "StartTLS must be the last request before TLS")?;
            return Err(End::Goodbye);
        }
        let Ok(_shaking) = PLACES.handshake(self.caller.source(), settings.connections_max) else {
            return self.refuse_tls(id, Code::Busy, "too many are shaking hands");
        };
        self.client.put(&extended_answer(id, Code::Success, "", Some(START_TLS), None));
        timeout(HANDSHAKE_WITHIN, self.client.flush()).await.map_err(|_| End::Gone)?.map_err(|_| End::Gone)?;
        let clear = std::mem::replace(&mut self.client, Side::new(Box::new(tokio::io::empty())));
        let stream = clear.into_stream().ok_or(End::Gone)?;
        let shaken = shake(config, stream).await.map_err(|error| {
            self.discard("handshake");
            tracing::debug!(client = settings.name, caller = %self.caller, %error, "the TLS handshake failed");
            End::Gone
        });
        let stream = shaken?;
        self.caller.certify(&stream);
        self.client = Side::new(Box::new(stream));
        self.secure = true;
        self.standing = Standing::Anonymous;
        self.upstream = None;
        self.touch();
        Ok(())
    }

    fn refuse_tls(&mut self, id: u32, code: Code, text: &str) -> Result<(), End> {
        self.refuse(Op::Extended, id, code, text, "start_tls");
        Ok(())
    }

    fn refuse(&mut self, op: Op, id: u32, code: Code, text: &str, why: &'static str) {
        self.discard(why);
        self.client.put(&answer(op, id, code, text));
    }

    fn discard(&self, why: &'static str) {
        metrics::discard("ldap", why);
        tracing::debug!(client = self.settings().name, caller = %self.caller, why, "refused");
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.house.settings.borrow())
    }

    fn bound(&self) -> Option<Grant> {
        if let Standing::Bound { why, .. } = &self.standing { Some(*why) } else { None }
    }

    fn pdu_max(&self) -> usize {
        let pdu_max = self.settings().pdu_bytes_max;
        if self.bound().is_some() { pdu_max } else { pdu_max.min(PDU_BEFORE_MAX) }
    }

    /// L-086: whether a password sent now can be read on the way and may not be.
    fn heard(&self) -> bool {
        match self.settings().transport {
            Transport::Plain { allow_plain } => !allow_plain && !self.unheard(),
            Transport::StartTls(_) | Transport::Tls(_) => !self.secure,
        }
    }

    /// Nobody can listen: TLS, or this machine.
    fn unheard(&self) -> bool {
        self.secure || self.caller.is_here()
    }

    fn offers_tls(&self) -> bool {
        !self.secure && matches!(self.settings().transport, Transport::StartTls(_))
    }
}

pub(super) fn unreadable(refusal: Refusal) -> End {
    End::Notice(Code::ProtocolError, "this is not an LDAP message we read", refusal.as_str())
}
