//! Codes of our own that go by text message, through any gateway that takes an HTTP request.

mod template;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use phonenumber::country::Id;
use regex::bytes::Regex;
use reqwest::Method as Verb;
use reqwest::header::HeaderMap;
use tracing::debug;
use tracing::error;
use tracing::warn;

pub use self::template::Format;
pub use self::template::Sketch;
pub use self::template::Template;
pub use self::template::TemplateError;

use self::template::Values;
use super::codes::Codes;
use super::codes::Habits;
use super::complaints::Complaints;
use super::destination::Destination;
use super::http::Answer;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::ledger::Ledger;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "sms-gateway"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The request.
    pub template: Template,
    /// What stands for `{key}` in it.
    pub key: Option<Secret>,
    /// How the gateway says that it took the text.
    pub success: Success,
    /// The countries whose numbers are texted (M-28).
    pub countries: Vec<Id>,
    /// How its codes are.
    pub habits: Habits,
    /// The certificate authorities that may vouch for the gateway, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long the request may take.
    pub timeout: Duration,
}

/// How a gateway says that it took a text: both must hold.
#[derive(Clone, Debug)]
pub struct Success {
    /// One of these statuses.
    pub status: Vec<u16>,
    /// The body, of which at most 64 KiB are read, has this somewhere.
    pub body: Option<Regex>,
}

/// Sends codes through a gateway.
#[derive(Debug)]
pub struct Gateway {
    http: Http,
    codes: Codes,
    settings: Settings,
    clock: Arc<dyn Clock>,
    complaints: Complaints,
}

impl Gateway {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let http = Http::open(&settings.name, settings.template.base(), settings.ca_file.as_deref(), settings.timeout)?.with_personal_limits();
        let codes = Codes::new(&settings.name, settings.habits.clone());
        let complaints = Complaints::new(&settings.name);
        Ok(Self { http, codes, settings, clock, complaints })
    }

    /// What went out before counts too.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.codes.go_on(ledger);
        self
    }

    async fn send(&self, asking: &Asking, phone: &str, code: &Secret) -> Result<(), FactorError> {
        let code = code.expose_text().unwrap_or_default();
        let text = self.settings.habits.text(asking, code, |texts| &texts.sms);
        let key = self.settings.key.as_ref().and_then(Secret::expose_text).unwrap_or_default();
        let request = self.settings.template.request(&Values { phone, code, text: &text, key });
        let answer = self.http.send(request.ok_or_else(|| self.complain("no request", "our own request cannot be written: check `key`"))?).await?;
        if self.settings.success.holds(&answer) {
            self.complaints.forget();
            return Ok(());
        }
        // Not `Unreachable`, since somebody does answer there: it must not open a door.
        Err(self.complain(&answer.status.to_string(), if self.settings.success.status.contains(&answer.status) { BODY_TOLD } else { STATUS_TOLD }))
    }

    fn complain(&self, code: &str, remedy: &str) -> FactorError {
        self.http.disbelieve();
        self.complaints.misconfigured(code, remedy)
    }

    /// The number a text may go to: our own account's alone (M-16), in a country that is allowed, and no extension behind a switchboard.
    fn phone<'a>(&self, asking: &'a Asking) -> Result<&'a str, FactorError> {
        let phone = asking.account.phone.as_deref().ok_or(FactorError::NotEnrolled)?;
        let digits = phone.strip_prefix('+').unwrap_or_default();
        if !DIGITS.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            debug!(provider = %self.settings.name, "a number that no text can go to");
            return Err(FactorError::NotEnrolled);
        }
        let destination = Destination::of(phone);
        if !destination.is_in(&self.settings.countries) {
            warn!(provider = %self.settings.name, who = %asking.identity.0, ?destination, "a number in none of `countries`, or one that costs: not texted");
            return Err(FactorError::NotEnrolled);
        }
        Ok(phone)
    }
}

impl Success {
    fn holds(&self, answer: &Answer) -> bool {
        self.status.contains(&answer.status) && self.body.as_ref().is_none_or(|body| body.is_match(&answer.body))
    }
}

#[async_trait]
impl Provider for Gateway {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.method != Method::Text {
            error!(provider = %self.settings.name, method = asking.choice.method.as_str(), "a gateway carries texts alone: name another provider for this method");
            return Err(FactorError::Misconfigured);
        }
        let phone = self.phone(asking)?;
        let issued = self.codes.issue(asking, phone, self.clock.now())?;
        self.send(asking, phone, &issued.code).await.inspect_err(|_| self.codes.withdraw(&issued.ticket))?;
        Ok(Progress::CodeNeeded { ticket: Some(issued.ticket) })
    }

    /// There is nothing to wait for: a code is typed.
    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Err(FactorError::Misconfigured)
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.codes.redeem(asking, ticket, code).map(|()| Progress::Allowed { spend: None })
    }

    /// Whether somebody answers there, whatever he says: nobody can find out without a text whether he takes our key.
    async fn probe(&self) -> Probed {
        let request = Request { method: Verb::HEAD, target: "/".to_owned(), headers: HeaderMap::new(), body: None, poll: None };
        self.http.send(request).await.map_or_else(|failure| FactorError::from(failure).into(), |_| Probed::There)
    }

    async fn cancel(&self, ticket: &Ticket) {
        self.codes.withdraw(ticket);
    }
}

const BODY_TOLD: &str = "its answer has not what `success.body` looks for";
const STATUS_TOLD: &str = "its status is none of `success.status`";
/// E.164 has at most 15; the shortest that are in use have 7 with the country's.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
