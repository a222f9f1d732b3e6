//! Codes of our own: of tokens, TOTP and HOTP, and backup codes, each good once.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::error;
use tracing::warn;

use crate::domain::Asking;
use crate::domain::BackupCodes;
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
use crate::stretch;

/// One `[provider.NAME]` with `kind = "oath"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// TOTP: steps before and after now, 0 or 1.
    pub steps_around: u8,
    /// HOTP: counters ahead of the next, 0..10.
    pub look_ahead: u8,
    /// Whether backup codes are taken where a code is.
    pub backup_codes: bool,
}

/// Checks codes against the tokens in the store. It only finds the step; the flow burns it before anybody is let in.
#[derive(Debug)]
pub struct Oath {
    name: String,
    window: Window,
    backup_codes: bool,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Oath {
    /// A window wider than the rules allow (M-04, M-08) is narrowed to them.
    #[must_use]
    pub fn new(settings: &Settings, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let window = Window { steps_around: settings.steps_around.min(1), look_ahead: settings.look_ahead.min(10) };
        Self { name: settings.name.clone(), window, backup_codes: settings.backup_codes, store, clock }
    }

    /// Fails as `Misconfigured`: of all the errors that lead to "no" without blaming the person it is the one that no policy opens a door for. A store of
    /// ours that cannot be read is no outage of a provider, so `Unreachable` would be a lie, and under `outage = "open"` a dangerous one.
    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, FactorError> {
        self.store.tokens(who).map_err(|why| {
            error!(provider = %self.name, %why, "tokens cannot be read");
            FactorError::Misconfigured
        })
    }

    /// Backup codes of which one may still be used now.
    fn backups(&self, who: &Identity) -> Result<Option<BackupCodes>, FactorError> {
        if !self.backup_codes {
            return Ok(None);
        }
        let found = self.store.backup_codes(who).map_err(|why| {
            error!(provider = %self.name, %why, "backup codes cannot be read");
            FactorError::Misconfigured
        })?;
        Ok(found.filter(|codes| codes.open(self.clock.now())))
    }

    /// What a backup code uses up, if this is one. Nothing is hashed for people who have none, or for what cannot be one.
    async fn backup(&self, who: &Identity, code: &Secret) -> Result<Option<Change>, FactorError> {
        if code.len() != usize::from(BackupCodes::DIGITS) || !code.expose().iter().all(u8::is_ascii_digit) {
            return Ok(None);
        }
        let Some(codes) = self.backups(who)? else { return Ok(None) };
        let hash = stretch::hash_with(codes.salt, code).await.map_err(|why| {
            warn!(provider = %self.name, %why, "a backup code was not checked, so nobody was let in on it");
            FactorError::Throttled
        })?;
        let spend = |place| Change::UseBackup { who: who.clone(), place, issued_at: codes.issued_at, at: self.clock.now() };
        Ok(codes.place_of(&hash).map(spend))
    }
}

#[async_trait]
impl Provider for Oath {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.method != Method::Oath {
            error!(provider = %self.name, method = asking.choice.method.as_str(), "tokens know codes alone: name another provider for this method");
            return Err(FactorError::Misconfigured);
        }
        let has_any = !self.tokens(&asking.identity)?.is_empty() || self.backups(&asking.identity)?.is_some();
        if has_any { Ok(Progress::CodeNeeded { ticket: None }) } else { Err(FactorError::NotEnrolled) }
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
        let found = match found {
            Some(spend) => Some(spend),
            None => self.backup(&asking.identity, code).await?,
        };
        found.map(|spend| Progress::Allowed { spend: Some(spend) }).ok_or(FactorError::BadCode)
    }

    async fn cancel(&self, _ticket: &Ticket) {}
}

#[cfg(test)]
mod tests;
