//! Whoever speaks our own protocol: signed questions by HTTP, signed replies (`docs/webhook.md`).

mod answer;
pub mod sign;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method as Verb;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use serde::Serialize;
use tokio::time::Instant;
use tracing::debug;

pub use self::answer::Send;

use self::answer::Asked;
use self::answer::Cancel;
use self::answer::Poll;
use self::answer::Question;
use self::answer::Reply;
use self::sign::Signed;
use super::complaints::Complaints;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::line::Line;
use super::line::Look;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
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
        Ok(Self { http, line: Line::new(), settings, server: server.to_owned(), clock, poll_max: POLL_MAX, wait_max: WAIT_MAX, complaints })
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
            Err(FactorError::Throttled) => {
                tokio::time::sleep(THROTTLED_PAUSE).await;
                Ok(Progress::Pending(ticket.clone()))
            }
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

    /// Sends a signed request, once, and believes a reply that is signed, of now, and about this very transaction (M-12, M-13).
    async fn exchange<T: Serialize>(&self, action: &str, body: &T, transaction: &str, poll: Option<Duration>) -> Result<Reply, FactorError> {
        let nonce = nonce().ok_or_else(|| self.complain("no nonce", "the machine has no randomness to give"))?;
        let request = self.request(action, body, &nonce, poll).ok_or_else(|| self.complain("no request", "our own request cannot be written"))?;
        let answer = self.http.send(request).await?;
        // Not `Unreachable` from here on, since somebody does answer there: it must not open a door.
        if answer.status != 200 {
            return Err(self.complain(&answer.status.to_string(), remedy(answer.status)));
        }
        let keys: Vec<&Secret> = std::iter::once(&self.settings.key).chain(&self.settings.second_key).collect();
        let checked = sign::check(&answer.headers, answer.status, &nonce, &answer.body, &keys, self.clock.now());
        checked.map_err(|forged| self.complain("a reply not to be believed", &forged.to_string()))?;
        let reply: Reply = answer.object().ok_or_else(|| self.complain("a reply of another form", SEE_PAGE))?;
        if reply.transaction == transaction { Ok(reply) } else { Err(self.complain("another transaction", SEE_PAGE)) }
    }

    /// `None` for what no header can hold.
    fn request<T: Serialize>(&self, action: &str, body: &T, nonce: &str, poll: Option<Duration>) -> Option<Request> {
        let body = serde_json::to_vec(body).ok()?;
        let timestamp = (self.clock.now().0 / 1_000).to_string();
        let signature = Signed::Request(action).signature(&self.settings.key, &timestamp, nonce, &body);
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static(sign::TIMESTAMP), HeaderValue::try_from(timestamp).ok()?),
            (HeaderName::from_static(sign::NONCE), HeaderValue::try_from(nonce).ok()?),
            (HeaderName::from_static(sign::SIGNATURE), HeaderValue::try_from(signature).ok()?),
        ]);
        Some(Request { method: Verb::POST, target: format!("/{action}"), headers, body: Some(body), poll })
    }

    fn complain(&self, code: &str, remedy: &str) -> FactorError {
        self.http.disbelieve();
        self.complaints.misconfigured(code, remedy)
    }
}

#[async_trait]
impl Provider for Webhook {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let transaction = transaction(asking);
        let asked = match asking.choice.method {
            Method::Call | Method::Push => Asked::StartOfQuestion,
            Method::Email | Method::Oath | Method::Text => Asked::StartOfCode,
        };
        let question = Question::new(&transaction, asking, self.settings.send, &self.server, None);
        self.ask("start", &question, &transaction, asked, None).await
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let now = Instant::now();
        let end = now.checked_add(self.wait_max).unwrap_or(now);
        let mut waiting = self.line.join();
        loop {
            let look = waiting.turn().await;
            // On the heap while it lasts: who stands in line must be small.
            let progress = Box::pin(self.look(&look, ticket)).await;
            if !matches!(progress, Ok(Progress::Pending(_))) || waiting.due().is_some_and(|due| due >= end) {
                return progress;
            }
        }
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // Whatever else somebody typed is no code (M-02), and the service need not see it.
        let typed = code.expose_text().filter(|text| (1..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let typed = typed.ok_or(FactorError::BadCode)?;
        let transaction = transaction(asking);
        // A question of another login, or of another method of this one (M-12): there is no code for it here.
        if ticket.is_some_and(|ticket| *ticket.0 != *transaction) {
            return Err(FactorError::Expired);
        }
        let question = Question::new(&transaction, asking, self.settings.send, &self.server, Some(typed));
        self.ask("answer", &question, &transaction, Asked::Code, None).await
    }

    /// Whatever it answers: nobody polls any more, so a late approval opens nothing.
    async fn probe(&self) -> Probed {
        self.check().await.map_or_else(Probed::from, |()| Probed::Well { clock: None })
    }

    async fn cancel(&self, ticket: &Ticket) {
        let gone = self.exchange("cancel", &Cancel { transaction: &ticket.0 }, &ticket.0, None).await;
        debug!(provider = %self.settings.name, taken_back = gone.is_ok(), "a question is taken back");
    }
}

/// One question's own name: the login's, and the method, since a login may ask by one after another.
fn transaction(asking: &Asking) -> String {
    format!("{}-{}", asking.trace, asking.choice.method.as_str())
}

fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(sign::hex(&bytes))
}

/// What the operator must do about a status.
fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "it sends us elsewhere, and we do not follow: check `url`",
        401 | 403 => "it does not know our signature: check `key` on both sides, and the clocks",
        404 | 405 => "there is no such service: check `url`",
        _ => "the protocol knows 200 alone",
    }
}

const SEE_PAGE: &str = "the service does not keep to the protocol: see docs/webhook.md";
/// Nobody's transaction: of it every service says `expired`.
const NOBODYS: &str = "00000000000000000000000000000000-none";
/// Proxies give up after 30 s or a minute.
const POLL_MAX: Duration = Duration::from_secs(25);
/// Longer than a question is open.
const WAIT_MAX: Duration = Duration::from_secs(70);
/// After a look that was one too many.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);
const CODE_LEN_MAX: usize = 64;
