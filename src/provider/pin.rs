//! A PIN beside a code: cut off, checked with the code, and never told apart from it.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::error;
use tracing::warn;

use crate::domain::Asking;
use crate::domain::Choice;
use crate::domain::FactorError;
use crate::domain::Fate;
use crate::domain::Identity;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Trace;
use crate::domain::pin::Pin;
use crate::domain::pin::PinPlace;
use crate::domain::pin::PinRules;
use crate::ports::Clock;
use crate::ports::Provider;
use crate::ports::Store;
use crate::stretch;

/// A provider whose codes come with a PIN: its own name, and where the PIN stands.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The provider behind, by its name in the configuration.
    pub name: Arc<str>,
    /// Where the PIN stands.
    pub place: PinPlace,
    /// What PINs are like.
    pub rules: PinRules,
}

/// Asks another provider for codes, and for a PIN with each.
#[derive(Debug)]
pub struct WithPin {
    settings: Settings,
    inner: Arc<dyn Provider>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl WithPin {
    /// `inner` with a PIN.
    #[must_use]
    pub fn new(settings: Settings, inner: Arc<dyn Provider>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, inner, store, clock }
    }

    /// A PIN that cannot be read is no outage of a provider, so no policy opens a door for it.
    fn pin(&self, who: &Identity) -> Result<Pin, FactorError> {
        let found = self.store.pin(who).map_err(|why| {
            error!(provider = &*self.settings.name, %why, "a PIN cannot be read");
            FactorError::Misconfigured
        })?;
        found.ok_or(FactorError::NotEnrolled)
    }

    fn in_time(&self, pin: &Pin) -> Result<(), FactorError> {
        if self.settings.rules.expired(pin.set_at, self.clock.now()) { Err(FactorError::PinExpired) } else { Ok(()) }
    }

    /// What the provider behind is asked, under its own name.
    fn behind(&self, asking: &Asking) -> Asking {
        let choice = Choice { provider: Arc::clone(&self.settings.name), ..asking.choice.clone() };
        Asking { choice, ..asking.clone() }
    }
}

#[async_trait]
impl Provider for WithPin {
    /// Whoever has no PIN, or one that has run out, is sent no text.
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let pin = self.pin(&asking.identity)?;
        self.in_time(&pin)?;
        match self.inner.start(&self.behind(asking)).await? {
            needed @ Progress::CodeNeeded { .. } => Ok(needed),
            denied @ Progress::Denied { .. } => Ok(denied),
            other => {
                // Nobody would be asked for the PIN.
                if let Progress::Pending(ticket) | Progress::Choose { ticket, .. } = &other {
                    self.inner.cancel(ticket).await;
                }
                error!(provider = &*self.settings.name, "asks for no code, so there is nothing a PIN could stand beside: take `pin` out of the policy");
                Err(FactorError::Misconfigured)
            }
        }
    }

    fn asks_nobody(&self) -> bool {
        self.inner.asks_nobody()
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        self.inner.wait(ticket).await
    }

    /// Both are checked whichever is wrong, and the answer is the same. A wrong PIN goes before whatever the provider behind says: with it no outage opens a door.
    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, typed: &Secret) -> Result<Progress, FactorError> {
        let pin = self.pin(&asking.identity)?;
        let (typed, code) = self.settings.place.cut(typed, pin.length);
        let right = stretch::matches(&pin.hash, &typed).await.map_err(|why| {
            warn!(provider = &*self.settings.name, %why, "a PIN was not checked, so nobody was let in on it");
            FactorError::Throttled
        })?;
        let verdict = self.inner.verify(&self.behind(asking), ticket, &code).await;
        if !right {
            return Err(FactorError::BadCode);
        }
        let progress = verdict?;
        self.in_time(&pin)?;
        Ok(progress)
    }

    async fn cancel(&self, ticket: &Ticket) {
        self.inner.cancel(ticket).await;
    }

    fn hears_ends(&self) -> bool {
        self.inner.hears_ends()
    }

    async fn ended(&self, trace: Trace, method: Method, fate: Fate, why: &'static str) {
        self.inner.ended(trace, method, fate, why).await;
    }
}

#[cfg(test)]
mod tests;
