//! Codes of our own that go by mail.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use async_trait::async_trait;
use tokio::time::Instant;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::breaker::Breaker;
use super::breaker::Closed;
use super::breaker::Turn;
use super::codes::Codes;
use super::codes::Habits;
use super::complaints::Complaints;
use super::ledger::Ledger;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::texts;
use crate::domain::texts::fill;
use crate::metrics;
use crate::ports::Clock;
use crate::ports::MailError;
use crate::ports::Mailer;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "email"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The subject, where the operator says it here; the code never stands in it, since screens show subjects to whoever passes by.
    pub subject: Option<String>,
    /// How its codes are.
    pub habits: Habits,
}

/// Sends codes by mail.
#[derive(Debug)]
pub struct Email {
    name: String,
    subject: Option<String>,
    codes: Codes,
    mailer: Arc<dyn Mailer>,
    clock: Arc<dyn Clock>,
    breaker: Mutex<Breaker>,
    complaints: Complaints,
}

impl Email {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(settings: &Settings, mailer: Arc<dyn Mailer>, clock: Arc<dyn Clock>) -> Self {
        metrics::healthy(ROOM, &settings.name, true);
        Self {
            name: settings.name.clone(),
            subject: settings.subject.clone(),
            codes: Codes::new(&settings.name, settings.habits.clone()),
            mailer,
            clock,
            breaker: Mutex::new(Breaker::new()),
            complaints: Complaints::new(&settings.name),
        }
    }

    /// What went out before counts too.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.codes.go_on(ledger);
        self
    }

    fn subject(&self, asking: &Asking) -> String {
        let usual = || fill(&self.codes.habits().texts(asking).mail_subject, &[(texts::APP, &asking.client)]);
        self.subject.clone().unwrap_or_else(usual)
    }

    async fn send(&self, asking: &Asking, to: &str, code: &Secret) -> Result<(), FactorError> {
        let pass = self.guard(|breaker| breaker.admit(Instant::now())).map_err(|closed| match closed {
            Closed::Failing => FactorError::Unreachable,
            Closed::Quiet => FactorError::Throttled,
        })?;
        let text = self.codes.habits().text(asking, code.expose_text().unwrap_or_default(), |texts| &texts.mail_body);
        let subject = self.subject(asking);
        let sent = self.mailer.send(to, &subject, &text).await;
        let label = sent.as_ref().map_or_else(|error| error.as_str(), |()| "answered");
        ::metrics::counter!(metrics::PROVIDER_REQUESTS, "provider" => self.name.clone(), "outcome" => label).increment(1);
        match sent {
            Err(MailError::Unreachable) => self.turned(self.guard(|breaker| breaker.failed(Instant::now(), pass))),
            // It is there, or nobody here can tell: that is no failure, and what was called away is not any more (M-14).
            Err(MailError::Busy) => self.guard(Breaker::there),
            Ok(()) | Err(MailError::Misconfigured | MailError::Refused) => self.turned(self.guard(Breaker::succeeded)),
        }
        sent.map_err(|error| self.blame(error)).inspect(|()| self.complaints.forget())
    }

    /// Only a server to which there was no connection three times in a row is unreachable (M-14).
    fn blame(&self, error: MailError) -> FactorError {
        match error {
            MailError::Busy => FactorError::Throttled,
            MailError::Misconfigured | MailError::Refused => self.complaints.misconfigured(error.as_str(), &error.to_string()),
            MailError::Unreachable if self.guard(|breaker| breaker.is_open()) => FactorError::Unreachable,
            MailError::Unreachable => FactorError::Faltering,
        }
    }

    fn turned(&self, turn: Turn) {
        match turn {
            Turn::Away => {
                warn!(provider = %self.name, "the mail server is unreachable");
                metrics::healthy(ROOM, &self.name, false);
            }
            Turn::Back => {
                info!(provider = %self.name, "the mail server is well again");
                metrics::healthy(ROOM, &self.name, true);
            }
            Turn::None => {}
        }
    }

    fn guard<T>(&self, look: impl FnOnce(&mut Breaker) -> T) -> T {
        look(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Provider for Email {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.method != Method::Email {
            error!(provider = %self.name, method = asking.choice.method.as_str(), "mail carries codes alone: name another provider for this method");
            return Err(FactorError::Misconfigured);
        }
        // From our own account alone (M-16): nothing that came with the login says where to.
        let to = asking.account.mail.as_deref().ok_or(FactorError::NotEnrolled)?;
        let issued = self.codes.issue(asking, &to.to_lowercase(), self.clock.now())?;
        self.send(asking, to, &issued.code).await.inspect_err(|_| self.codes.withdraw(&issued.ticket))?;
        Ok(Progress::CodeNeeded { ticket: Some(issued.ticket) })
    }

    /// There is nothing to wait for: a code is typed.
    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Err(FactorError::Misconfigured)
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.codes.redeem(asking, ticket, code).map(|()| Progress::Allowed { spend: None })
    }

    async fn probe(&self) -> Probed {
        self.mailer.probe().await.map_or_else(|error| Probed::Failed(error.to_string()), |()| Probed::Well { clock: None })
    }

    async fn cancel(&self, ticket: &Ticket) {
        self.codes.withdraw(ticket);
    }
}

const ROOM: &str = "provider";

#[cfg(test)]
mod tests;
