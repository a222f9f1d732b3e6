//! One server behind us: what carries packets to it, how it is, and the watch over it.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;
use tracing::debug;
use tracing::warn;

use crate::domain::Secret;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::PACKET_LEN_MAX;
use crate::wire::radius::Refusal;
use crate::wire::radius::Version;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::upstream::Reply;
use crate::wire::radius::upstream::Unsendable;
use crate::wire::radius::upstream::verify_reply;
use crate::wire::radius::upstream::verify_reply_over_tls;
use crate::wire::radius::upstream::verify_reply_over_tls_11;

use super::Answer;
use super::OpenError;
use super::ProbeError;
use super::Server;
use super::Settings;
use super::Transport;
use super::board::Stray;
use super::health::Health;
use super::health::Roll;
use super::retry::Schedule;
use super::tls;
use super::udp;

/// What is asked; each server gets bytes of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) forward: &'a Forward,
    pub(super) code: Code,
}

impl Question<'_> {
    /// For UDP, and for TLS where RADIUS/1.0 is spoken.
    pub(super) fn signed(self, identifier: u8, authenticator: &[u8; 16], secret: &[u8]) -> Result<Vec<u8>, Unsendable> {
        self.forward.signed(self.code, identifier, authenticator, secret)
    }

    /// For RADIUS/1.1.
    pub(super) fn with_token(self, token: u32) -> Result<Vec<u8>, Unsendable> {
        self.forward.over_tls_11(self.code, token, PACKET_LEN_MAX)
    }
}

/// One server.
#[derive(Debug)]
pub(super) struct Target {
    ear: Arc<Ear>,
    carrier: Carrier,
    schedule: Schedule,
}

#[derive(Debug)]
enum Carrier {
    Tls(tls::Links),
    Udp(udp::Lines),
}

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the connection broke off")]
    Broken,
    #[error("the system has no randomness")]
    Chance,
    #[error("all its Identifiers are in use")]
    Full,
    #[error("no answer in time")]
    Silent,
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

impl Target {
    pub(super) fn new(rank: usize, server: &Server, settings: &Settings, config: Option<&Arc<ClientConfig>>, roll: &Arc<Roll>) -> Result<Self, OpenError> {
        let schedule = Schedule::new(settings.timeout, settings.tries);
        let health = Health::new(roll, server.to_string());
        let secret = match server.transport {
            Transport::Tls => Secret::from(SECRET_IN_TLS),
            Transport::Udp => settings.secret.clone(),
        };
        let ear = Arc::new(Ear { rank, secret, integrity: settings.integrity, health, disbelief: OnceLock::new() });
        let carrier = match server.transport {
            Transport::Tls => Carrier::Tls(tls::Links::new(server, config.ok_or(OpenError::NoTls)?, &ear)),
            Transport::Udp => Carrier::Udp(udp::Lines::new(server, &ear)),
        };
        Ok(Self { ear, carrier, schedule })
    }

    #[cfg(test)]
    pub(super) fn is_well(&self) -> bool {
        self.ear.health.is_well()
    }

    pub(super) fn is_beyond_doubt(&self) -> bool {
        self.ear.health.is_beyond_doubt()
    }

    pub(super) fn admits(&self, now: Instant, another_is_well: bool) -> bool {
        self.ear.health.admits(now, another_is_well)
    }

    /// Asks this server alone, and no longer than its time.
    pub(super) async fn exchange(&self, question: Question<'_>) -> Result<Answer, Failure> {
        let mut attempt = Attempt { health: &self.ear.health, begun_at: Instant::now(), grace: self.schedule.first_wait(), is_over: false };
        let result = match &self.carrier {
            Carrier::Tls(links) => links.exchange(question, self.schedule.timeout()).await,
            Carrier::Udp(lines) => lines.exchange(question, self.schedule).await,
        };
        attempt.is_over = true;
        if let Err(why @ (Failure::Broken | Failure::Silent | Failure::Unreachable(_))) = &result {
            self.ear.health.missed(attempt.begun_at, Instant::now(), matches!(why, Failure::Unreachable(_)), why);
        }
        result
    }

    /// Finds out how the server is whenever that is in doubt, and closes what is not used any more. Never ends by itself.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            if self.ear.health.wants_status() {
                let answered = self.status().await.is_ok();
                self.ear.health.status(Instant::now(), answered);
                sleep(STATUS_PAUSE + STATUS_PAUSE.mul_f64(f64::from(spread()) / f64::from(u16::MAX) * 0.2)).await;
            } else {
                let _nothing_new = timeout(SWEEP_PAUSE, self.ear.health.trouble()).await;
            }
            match &self.carrier {
                Carrier::Tls(links) => links.sweep(Instant::now()),
                Carrier::Udp(lines) => lines.sweep(Instant::now()),
            }
        }
    }

    /// As it is written in the configuration.
    pub(super) fn label(&self) -> &str {
        self.ear.health.label()
    }

    /// How the server says it is, and why it says nothing, asked aside from all logins.
    pub(super) async fn probe(&self) -> Result<(), ProbeError> {
        match self.status().await {
            Ok(_) => Ok(()),
            Err(Failure::Silent) => Err(self.ear.disbelief().map_or(ProbeError::Silent, |refusal| ProbeError::Unbelievable(refusal.as_str()))),
            Err(why) => Err(ProbeError::Unreachable(why.to_string())),
        }
    }

    /// Asks by Status-Server.
    async fn status(&self) -> Result<Answer, Failure> {
        let question = Question { forward: &Forward::default(), code: Code::StatusServer };
        let within = self.schedule.timeout().min(STATUS_WAIT_MAX);
        match &self.carrier {
            Carrier::Tls(links) => links.status(question, within).await,
            Carrier::Udp(lines) => lines.status(question, within).await,
        }
    }
}

/// An exchange under way. Who asks may have less time than the server, and gives up first: where the server had enough for a first answer, that is a
/// miss as well, or logins that are short of time would be sent to a dead server for ever.
struct Attempt<'a> {
    health: &'a Health,
    begun_at: Instant,
    grace: Duration,
    is_over: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if !self.is_over && self.begun_at + self.grace <= now {
            self.health.missed(self.begun_at, now, false, &Failure::Silent);
        }
    }
}

/// What listens on all sockets and connections of a server.
#[derive(Debug)]
pub(super) struct Ear {
    rank: usize,
    pub(super) secret: Secret,
    integrity: Integrity,
    pub(super) health: Health,
    /// Why a reply was not believed, the first time.
    disbelief: OnceLock<Refusal>,
}

impl Ear {
    /// What a datagram says, if it is the authentic reply to `sent`.
    pub(super) fn judge_datagram(&self, datagram: &[u8], sent: &[u8]) -> Result<Answer, Refusal> {
        verify_reply(datagram, sent, self.secret.expose(), self.integrity).map(|reply| self.answer(&reply, sent))
    }

    /// The same of a packet out of a TLS connection, whose own integrity serves for the Message-Authenticator that not all send there.
    pub(super) fn judge_packet(&self, version: Version, packet: &[u8], sent: &[u8]) -> Result<Answer, Refusal> {
        let reply = match version {
            Version::V10 => verify_reply_over_tls(packet, sent, self.secret.expose(), Integrity::Optional, PACKET_LEN_MAX),
            Version::V11 => verify_reply_over_tls_11(packet, sent, PACKET_LEN_MAX),
        };
        reply.map(|reply| self.answer(&reply, sent))
    }

    fn answer(&self, reply: &Reply<'_>, sent: &[u8]) -> Answer {
        self.health.heard(Instant::now());
        let authenticator = sent.get(AUTHENTICATOR_AT..).and_then(|behind| behind.first_chunk()).copied().unwrap_or_default();
        let carried = Carried::of(reply, &authenticator, self.secret.expose());
        if carried.unreadable() > 0 {
            warn!(server = self.health.label(), count = carried.unreadable(), "left out attributes of a reply whose hidden value cannot be read");
        }
        let user_names = reply.attributes().all(attr::USER_NAME).map(|name| name.text().map(str::to_owned)).collect();
        Answer { code: reply.code(), server: self.rank, state: reply.state().map(|state| Secret::new(state.to_vec())), carried, user_names }
    }

    /// Says once what a silence may come from that is none.
    fn explain(&self, refusal: Refusal) {
        let likely = match refusal {
            Refusal::Unsigned => "let the RADIUS server sign its replies (Message-Authenticator), or set the integrity of this upstream to observe",
            Refusal::WrongAuthenticator | Refusal::WrongSignature => "is the shared secret the same on both sides?",
            _ => return,
        };
        if self.disbelief.set(refusal).is_ok() {
            warn!(server = self.health.label(), why = refusal.as_str(), "dropped a reply: {likely}");
        }
    }

    /// What a silence may come from that is none.
    fn disbelief(&self) -> Option<Refusal> {
        self.disbelief.get().copied()
    }

    /// Counts what arrived and woke nobody.
    pub(super) fn count(&self, stray: Stray) {
        let why = match stray {
            Stray::Unexpected => "unexpected",
            Stray::Forged(refusal) => {
                self.explain(refusal);
                refusal.as_str()
            }
        };
        metrics::discard("upstream", why);
        debug!(server = self.health.label(), why, "dropped what is no authentic reply to what was asked");
    }
}

/// A Request Authenticator that nobody can foretell and that never comes twice.
///
/// Chance for many is fetched at once: a call for each would cost as much as signing.
pub(super) fn authenticator() -> Result<[u8; 16], Failure> {
    CHANCE.with_borrow_mut(|fetched| {
        if let Some(authenticator) = fetched.pop() {
            return Ok(authenticator);
        }
        let mut bytes = [0; 16 * AT_ONCE];
        getrandom::fill(&mut bytes).map_err(|_| Failure::Chance)?;
        fetched.extend_from_slice(bytes.as_chunks().0);
        fetched.pop().ok_or(Failure::Chance)
    })
}

/// Chance for waits, where none at all does no harm.
pub(super) fn spread() -> u16 {
    let mut bytes = [0; 2];
    let _none = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes)
}

thread_local! {
    /// Authenticators that nobody has seen yet.
    static CHANCE: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
}

/// Authenticators that are fetched at once.
const AT_ONCE: usize = 32;
/// Where a packet's authenticator begins.
const AUTHENTICATOR_AT: usize = 4;
/// RFC 6614 §2.3.
const SECRET_IN_TLS: &str = "radsec";
/// Between two Status-Servers, and for one.
const STATUS_PAUSE: Duration = Duration::from_secs(3);
const STATUS_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often unused sockets are looked for.
const SWEEP_PAUSE: Duration = Duration::from_secs(30);
