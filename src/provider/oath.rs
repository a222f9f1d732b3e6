//! Codes of our own tokens: TOTP and HOTP, each good once.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::error;

use crate::domain::Asking;
use crate::domain::Change;
use crate::domain::FactorError;
use crate::domain::Identity;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Token;
use crate::domain::otp;
use crate::domain::otp::Window;
use crate::ports::Clock;
use crate::ports::Provider;
use crate::ports::Store;

/// One `[provider.NAME]` with `kind = "oath"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// TOTP: steps before and after now, 0 or 1.
    pub steps_around: u8,
    /// HOTP: counters ahead of the next, 0..10.
    pub look_ahead: u8,
}

/// Checks codes against the tokens in the store. It only finds the step; the flow burns it before anybody is let in.
#[derive(Debug)]
pub struct Oath {
    name: String,
    window: Window,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Oath {
    /// A window wider than the rules allow (M-04, M-08) is narrowed to them.
    #[must_use]
    pub fn new(settings: &Settings, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let window = Window { steps_around: settings.steps_around.min(1), look_ahead: settings.look_ahead.min(10) };
        Self { name: settings.name.clone(), window, store, clock }
    }

    /// Fails as `Misconfigured`: of all the errors that lead to "no" without blaming the person it is the one that no policy opens a door for. A store of
    /// ours that cannot be read is no outage of a provider, so `Unreachable` would be a lie, and under `outage = "open"` a dangerous one.
    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, FactorError> {
        self.store.tokens(who).map_err(|why| {
            error!(provider = %self.name, %why, "tokens cannot be read");
            FactorError::Misconfigured
        })
    }
}

#[async_trait]
impl Provider for Oath {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.method != Method::Oath {
            error!(provider = %self.name, method = asking.choice.method.as_str(), "tokens know codes alone: name another provider for this method");
            return Err(FactorError::Misconfigured);
        }
        let tokens = self.tokens(&asking.identity)?;
        if tokens.is_empty() { Err(FactorError::NotEnrolled) } else { Ok(Progress::CodeNeeded { ticket: None }) }
    }

    fn asks_nobody(&self) -> bool {
        true
    }

    /// There is nothing to wait for: no question ever goes out.
    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Err(FactorError::Misconfigured)
    }

    async fn verify(&self, asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        let now = self.clock.now();
        let mut found = None;
        for token in self.tokens(&asking.identity)? {
            // A record filed under the wrong person opens nothing.
            if token.info.owner != asking.identity {
                continue;
            }
            if let Some(step) = otp::matching_step(&token.info, &token.seed, now, self.window, code) {
                found = found.or(Some(Change::UseOtp { who: asking.identity.clone(), token: token.info.id, step }));
            }
        }
        found.map(|spend| Progress::Allowed { spend: Some(spend) }).ok_or(FactorError::BadCode)
    }

    async fn cancel(&self, _ticket: &Ticket) {}
}

#[cfg(test)]
mod tests;
