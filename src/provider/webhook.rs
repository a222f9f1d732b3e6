//! Whoever speaks our own protocol: signed questions by HTTP, signed replies (`docs/webhook.md`).

mod answer;
mod exchange;
pub mod sign;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::debug;

pub use self::answer::Send;

use self::answer::Asked;
use self::answer::Cancel;
use self::answer::End;
use self::answer::Poll;
use self::answer::Question;
use super::complaints::Complaints;
use super::http::Http;
use super::http::OpenError;
use super::line::Line;
use super::line::Look;
use super::watch::a_little_later;
use super::watch::watch;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Fate;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Trace;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "webhook"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Where the service is: `/start` and the other words go behind it.
    pub url: String,
    /// What both sides know, at least [`Settings::KEY_LEN_MIN`] bytes: requests are signed with it.
    pub key: Secret,
    /// A reply signed with this one is good too: while keys are changed.
    pub second_key: Option<Secret>,
    /// Personal data that goes out.
    pub send: Send,
    /// Whether a call asks for the PIN that the service has of the person (`call = "pin"`), and not for a key alone.
    pub call_pin: bool,
    /// Whether it is told how logins end.
    pub tell_end: bool,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take that is not a long poll.
    pub timeout: Duration,
}

impl Settings {
    /// As long as what HMAC-SHA-256 makes of it (RFC 2104 §3).
    pub const KEY_LEN_MIN: usize = 32;
}

/// A service that speaks our protocol.
#[derive(Debug)]
pub struct Webhook {
    http: Http,
    line: Arc<Line>,
    settings: Settings,
    /// This machine's name.
    server: String,
    /// What stands before the words in the path, as it is sent.
    path: String,
    /// Ends that are being told.
    telling: Semaphore,
    clock: Arc<dyn Clock>,
    poll_max: Duration,
    wait_max: Duration,
    complaints: Complaints,
}

impl Webhook {
    /// Nothing is connected yet. `server` is this machine's name, as the service is told.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, server: &str, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let http = Http::open(&settings.name, &settings.url, settings.ca_file.as_deref(), settings.timeout)?;
        let complaints = Complaints::new(&settings.name);
        let path = Url::parse(&settings.url).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default();
        let telling = Semaphore::new(TELLING_MAX);
        Ok(Self { http, line: Line::new(), settings, server: server.to_owned(), path, telling, clock, poll_max: POLL_MAX, wait_max: WAIT_MAX, complaints })
    }

    /// How long one long poll may take, instead of 25 s, and one wait, instead of 70 s.
    #[must_use]
    pub fn with_poll_max(mut self, poll_max: Duration) -> Self {
        self.poll_max = poll_max;
        self.wait_max = poll_max;
        self
    }

    /// Whether the service answers, knows our key and has our time: it is asked about a question that nobody asked.
    ///
    /// # Errors
    /// As [`Provider::start`].
    pub async fn check(&self) -> Result<(), FactorError> {
        self.exchange("poll", &Poll { transaction: NOBODYS, wait_ms: 0 }, NOBODYS, None).await.map(|_| ())
    }

    async fn look(&self, look: &Look, ticket: &Ticket) -> Result<Progress, FactorError> {
        // Whoever may look for a moment alone says so, and nothing need be broken off.
        let patience = if look.patient { self.poll_max } else { Duration::ZERO };
        let wait_ms = u64::try_from(patience.as_millis()).unwrap_or(0);
        let within = patience.saturating_add(self.settings.timeout);
        match self.ask("poll", &Poll { transaction: &ticket.0, wait_ms }, &ticket.0, Asked::Look, Some(within)).await {
            // A poll that broke off proves nothing: somebody who just does not answer makes polls run out. Only a service that does not even answer about
            // nobody's question is unreachable.
            Err(FactorError::Faltering | FactorError::Unreachable) => self.check().await.map(|()| Progress::Pending(ticket.clone())),
            // That we look too often says nothing of the question, which is still out.
            Err(FactorError::Throttled) => a_little_later(Progress::Pending(ticket.clone())).await,
            outcome => outcome,
        }
    }

    /// Asks, and understands the reply.
    async fn ask<T: Serialize>(&self, action: &str, body: &T, transaction: &str, asked: Asked, poll: Option<Duration>) -> Result<Progress, FactorError> {
        let reply = self.exchange(action, body, transaction, poll).await?;
        let progress = reply.progress(asked).ok_or_else(|| self.complain("an answer out of place", SEE_PAGE))?;
        self.complaints.forget();
        progress
    }
}

#[async_trait]
impl Provider for Webhook {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let transaction = transaction(asking.trace, asking.choice.method);
        let asked = match asking.choice.method {
            Method::Call | Method::Push => Asked::StartOfQuestion,
            Method::Email | Method::Oath | Method::Text => Asked::StartOfCode,
        };
        let question = Question::new(&transaction, asking, &self.settings, &self.server, None);
        self.ask("start", &question, &transaction, asked, None).await
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        watch(&self.line, self.wait_max, |look| Box::pin(async move { self.look(&look, ticket).await })).await
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // Whatever else somebody typed is no code (M-02), and the service need not see it.
        let typed = code.expose_text().filter(|text| (1..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let typed = typed.ok_or(FactorError::BadCode)?;
        let transaction = transaction(asking.trace, asking.choice.method);
        // A question of another login, or of another method of this one (M-12): there is no code for it here.
        if ticket.is_some_and(|ticket| *ticket.0 != *transaction) {
            return Err(FactorError::Expired);
        }
        let question = Question::new(&transaction, asking, &self.settings, &self.server, Some(typed));
        self.ask("answer", &question, &transaction, Asked::Code, None).await
    }

    /// Whatever it answers: nobody polls any more, so a late approval opens nothing.
    async fn probe(&self) -> Probed {
        self.check().await.map_or_else(Probed::from, |()| Probed::Well { clock: self.http.date() })
    }

    async fn cancel(&self, ticket: &Ticket) {
        let gone = self.exchange("cancel", &Cancel { transaction: &ticket.0 }, &ticket.0, None).await;
        debug!(provider = %self.settings.name, taken_back = gone.is_ok(), "a question is taken back");
    }

    fn hears_ends(&self) -> bool {
        self.settings.tell_end
    }

    /// So many at a time: a service that is slow to hear is told less, and nobody waits for it.
    async fn ended(&self, trace: Trace, method: Method, fate: Fate, why: &'static str) {
        let Ok(_place) = self.telling.try_acquire() else { return };
        let transaction = transaction(trace, method);
        let end = End { transaction: &transaction, outcome: fate.as_str(), why };
        // As a poll, which says nothing about whether questions get through: nobody is let in by what comes back, and nobody waits.
        let told = self.exchange("end", &end, &transaction, Some(self.settings.timeout)).await;
        debug!(provider = %self.settings.name, told = told.is_ok(), "the end of a login is told");
    }
}

/// One question's own name: the login's, and the method, since a login may ask by one after another.
fn transaction(trace: Trace, method: Method) -> String {
    format!("{trace}-{}", method.as_str())
}

const SEE_PAGE: &str = "the service does not keep to the protocol: see docs/webhook.md";
/// Nobody's transaction: of it every service says `expired`.
const NOBODYS: &str = "00000000000000000000000000000000-none";
/// Proxies give up after 30 s or a minute.
const POLL_MAX: Duration = Duration::from_secs(25);
/// Longer than a question is open.
const WAIT_MAX: Duration = Duration::from_secs(70);
const CODE_LEN_MAX: usize = 64;
const TELLING_MAX: usize = 64;
