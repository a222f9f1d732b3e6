//! A PIN beside a code: cut off, checked with the code, and never told apart from it.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::debug;
use tracing::error;
use tracing::warn;

use crate::domain::Account;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Fate;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Trace;
use crate::domain::pin::Pin;
use crate::domain::pin::PinPlace;
use crate::domain::pin::PinRules;
use crate::ports::Clock;
use crate::ports::EnrolError;
use crate::ports::Enrolment;
use crate::ports::Probed;
use crate::ports::Provider;
use crate::ports::Store;
use crate::stretch;

/// Stands before a provider and asks for the PIN where [`Asking::choice`] wants one. Where it wants none, it is as if it were not there.
#[derive(Debug)]
pub struct WithPin {
    inner: Arc<dyn Provider>,
    rules: PinRules,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl WithPin {
    /// `inner`, with the PINs that `store` holds.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, rules: PinRules, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, rules, store, clock }
    }

    /// A PIN that cannot be read is no outage of a provider, so no policy opens a door for it.
    fn pin(&self, asking: &Asking) -> Result<Pin, FactorError> {
        let found = self.store.pin(&asking.identity).map_err(|why| {
            error!(provider = &*asking.choice.provider, %why, "a PIN cannot be read");
            FactorError::Misconfigured
        })?;
        found.ok_or(FactorError::NoPin)
    }

    /// Both are checked, the one as long as the other, whichever is wrong. A wrong PIN goes before whatever the provider behind says: with it no outage opens a
    /// door. That the PIN is too old hears nobody but who has both.
    async fn both(&self, place: PinPlace, asking: &Asking, ticket: Option<&Ticket>, typed: &Secret) -> Result<Progress, FactorError> {
        let pin = self.pin(asking)?;
        let provider = &*asking.choice.provider;
        let (typed, code) = place.cut(typed, pin.length);
        let right = stretch::matches(&pin.hash, &typed).await.map_err(|why| {
            warn!(provider, %why, "a PIN was not checked, so nobody was let in on it");
            FactorError::Throttled
        })?;
        let verdict = self.inner.verify(asking, ticket, &code).await;
        debug!(trace = %asking.trace, provider, pin = right, code = verdict.as_ref().err().map(|why| why.as_str()), "a PIN and a code");
        match verdict {
            _ if !right => Err(FactorError::BadCode),
            // No wrong code either may sound otherwise beside a right PIN than beside a wrong one, or be counted otherwise.
            Err(FactorError::Expired | FactorError::Locked) => Err(FactorError::BadCode),
            Ok(denied @ Progress::Denied { .. }) => Ok(denied),
            Ok(_) if self.rules.expired(pin.set_at, self.clock.now()) => Err(FactorError::PinExpired),
            verdict => verdict,
        }
    }
}

#[async_trait]
impl Provider for WithPin {
    /// Whoever has no PIN is sent no text.
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.pin.is_none() {
            return self.inner.start(asking).await;
        }
        self.pin(asking)?;
        match self.inner.start(asking).await? {
            needed @ Progress::CodeNeeded { .. } => Ok(needed),
            denied @ Progress::Denied { .. } => Ok(denied),
            other => {
                // Nobody would be asked for the PIN.
                if let Progress::Pending(ticket) | Progress::Choose { ticket, .. } = &other {
                    self.inner.cancel(ticket).await;
                }
                let provider = &*asking.choice.provider;
                error!(provider, "asks for no code, so there is nothing a PIN could stand beside: take `pin` out of the policy");
                Err(FactorError::Misconfigured)
            }
        }
    }

    fn asks_nobody(&self) -> bool {
        self.inner.asks_nobody()
    }

    /// The future of the provider itself: there may be very many who wait.
    fn wait<'s, 't, 'a>(&'s self, ticket: &'t Ticket) -> Waits<'a>
    where
        's: 'a,
        't: 'a,
        Self: 'a,
    {
        self.inner.wait(ticket)
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, typed: &Secret) -> Result<Progress, FactorError> {
        match asking.choice.pin {
            Some(place) => self.both(place, asking, ticket, typed).await,
            None => self.inner.verify(asking, ticket, typed).await,
        }
    }

    async fn probe(&self) -> Probed {
        self.inner.probe().await
    }

    async fn cancel(&self, ticket: &Ticket) {
        self.inner.cancel(ticket).await;
    }

    async fn enrol(&self, account: &Account) -> Result<Enrolment, EnrolError> {
        self.inner.enrol(account).await
    }

    fn hears_ends(&self) -> bool {
        self.inner.hears_ends()
    }

    async fn ended(&self, trace: Trace, method: Method, fate: Fate, why: &'static str) {
        self.inner.ended(trace, method, fate, why).await;
    }
}

/// What comes of waiting, as [`Provider::wait`] returns it.
type Waits<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Progress, FactorError>> + Send + 'a>>;

#[cfg(test)]
mod tests;
