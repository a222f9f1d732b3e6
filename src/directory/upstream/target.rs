//! One server behind us: what carries packets to it, how it is, and the watch over it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::domain::Secret;
use crate::metrics;
use crate::wire::radius::Refusal;
use crate::wire::radius::upstream::Unsendable;
use crate::wire::radius::upstream::status_server;
use crate::wire::radius::upstream::verify_reply;

use super::Answer;
use super::OpenError;
use super::Server;
use super::Settings;
use super::Transport;
use super::board::Stray;
use super::health::Health;
use super::health::Roll;
use super::retry::Schedule;
use super::tls;
use super::udp;

/// Makes the bytes of a request of its Identifier, Request Authenticator and secret.
pub(super) type Seal<'a> = dyn Fn(u8, &[u8; 16], &[u8]) -> Result<Vec<u8>, Unsendable> + Send + Sync + 'a;

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
        let ear = Arc::new(Ear { rank, secret, health });
        let carrier = match server.transport {
            Transport::Tls => Carrier::Tls(tls::Links::new(server, config.ok_or(OpenError::NoTls)?, &ear)),
            Transport::Udp => Carrier::Udp(udp::Lines::new(server, &ear)),
        };
        Ok(Self { ear, carrier, schedule })
    }

    pub(super) fn is_well(&self) -> bool {
        self.ear.health.is_well()
    }

    pub(super) fn admits(&self, now: Instant, another_is_well: bool) -> bool {
        self.ear.health.admits(now, another_is_well)
    }

    /// Asks this server alone, and no longer than its time.
    pub(super) async fn exchange(&self, seal: &Seal<'_>) -> Result<Answer, Failure> {
        let begun_at = Instant::now();
        let result = match &self.carrier {
            Carrier::Tls(links) => links.exchange(seal, self.schedule.timeout()).await,
            Carrier::Udp(lines) => lines.exchange(seal, self.schedule).await,
        };
        if let Err(why @ (Failure::Broken | Failure::Silent | Failure::Unreachable(_))) = &result {
            self.ear.health.missed(begun_at, Instant::now(), why);
        }
        result
    }

    /// Finds out how the server is whenever that is in doubt, and closes what is not used any more. Never ends by itself.
    pub(super) async fn watch(self: Arc<Self>) {
        loop {
            if self.ear.health.wants_status() {
                let answered = self.status().await;
                self.ear.health.status(answered);
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

    /// Whether a Status-Server is answered.
    async fn status(&self) -> bool {
        let seal: &Seal<'_> = &|identifier, authenticator, secret| status_server(identifier, authenticator, secret);
        let within = self.schedule.timeout().min(STATUS_WAIT_MAX);
        match &self.carrier {
            Carrier::Tls(links) => links.status(seal, within).await.is_ok(),
            Carrier::Udp(lines) => lines.status(seal, within).await.is_ok(),
        }
    }
}

/// What listens on all sockets and connections of a server.
#[derive(Debug)]
pub(super) struct Ear {
    rank: usize,
    pub(super) secret: Secret,
    pub(super) health: Health,
}

impl Ear {
    /// What `packet` says, if it is the authentic reply to `sent`.
    pub(super) fn judge(&self, packet: &[u8], sent: &[u8]) -> Result<Answer, Refusal> {
        let reply = verify_reply(packet, sent, self.secret.expose())?;
        let user_name = reply.attributes().first(crate::wire::radius::attr::USER_NAME).and_then(|name| name.text()).map(str::to_owned);
        self.health.heard(Instant::now());
        Ok(Answer { code: reply.code(), server: self.rank, state: reply.state().map(<[u8]>::to_vec), user_name, message: reply.message() })
    }

    /// Counts what arrived and woke nobody.
    pub(super) fn count(&self, stray: Stray) {
        let why = match stray {
            Stray::Unexpected => "unexpected",
            Stray::Forged(refusal) => refusal.as_str(),
        };
        metrics::discard("upstream", why);
        tracing::debug!(server = self.health.label(), why, "dropped what is no authentic reply to what was asked");
    }
}

/// A Request Authenticator that nobody can foretell and that never comes twice.
pub(super) fn authenticator() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Failure::Chance)?;
    Ok(bytes)
}

/// Chance for waits, where none at all does no harm.
pub(super) fn spread() -> u16 {
    let mut bytes = [0; 2];
    let _none = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes)
}

/// RFC 6614 §2.3.
const SECRET_IN_TLS: &str = "radsec";
/// Between two Status-Servers, and for one.
const STATUS_PAUSE: Duration = Duration::from_secs(3);
const STATUS_WAIT_MAX: Duration = Duration::from_secs(3);
/// How often unused sockets are looked for.
const SWEEP_PAUSE: Duration = Duration::from_secs(30);
