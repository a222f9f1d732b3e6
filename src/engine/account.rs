//! What a login leaves behind: a line in the log, a count, and its ending for whoever accounts for logins.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::Engine;
use super::journey::Journey;
use crate::domain::Decision;
use crate::domain::Ending;
use crate::domain::Fate;
use crate::domain::What;
use crate::ports::Provider;

impl Engine {
    /// The provider of that name in the configuration.
    #[must_use]
    pub fn carrier(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.providers().get(name).map(Arc::clone)
    }
}

impl Journey {
    /// How often the client asked again, and when last.
    pub(super) fn heard_from(&mut self, repeats: (u32, Option<Instant>)) {
        self.told.repeats = repeats.0;
        self.told.heard_ms = self.since(repeats.1.unwrap_or(self.set_out));
    }

    pub(super) fn step(&mut self, what: What) {
        let ms = self.since(Instant::now());
        self.trail.note(ms, what);
    }

    /// Milliseconds from the beginning.
    pub(super) fn since(&self, at: Instant) -> u32 {
        u32::try_from(at.saturating_duration_since(self.set_out).as_millis()).unwrap_or(u32::MAX)
    }

    /// Tells the provider that was asked last, where it wants to know.
    fn tell_provider(&self, fate: Fate, why: &'static str) {
        let Some(choice) = &self.told.asked else { return };
        let Some(provider) = self.providers.get(&*choice.provider).filter(|provider| provider.hears_ends()) else { return };
        let (provider, trace, method) = (Arc::clone(provider), self.flow.trace(), choice.method);
        // Without a runtime we are ending ourselves, and nothing can be told any more.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { tokio::time::timeout(TELL_WITHIN, provider.ended(trace, method, fate, why)).await });
        }
    }

    /// Counts it, and tells whoever accounts for logins.
    pub(super) fn account_for(&self, fate: Fate, why: &'static str) {
        self.tell_provider(fate, why);
        let request = self.flow.request();
        let ending = Ending {
            at: self.engine.clock.now(),
            trace: self.flow.trace(),
            door: request.door,
            client: request.client.clone(),
            login: request.login.clone(),
            identity: self.told.identity.clone().or_else(|| self.flow.proven().cloned()),
            source: request.source,
            policy: self.flow.rules().name.clone(),
            fate,
            why,
            detail: self.told.refused,
            asked: self.told.asked.clone(),
            steps: self.trail.clone().into_steps(),
            ms: self.since(Instant::now()),
            within_ms: self.since(self.deadline).saturating_sub(self.began_ms),
            repeats: self.told.repeats,
            heard_ms: self.told.heard_ms,
        };
        self.engine.counts.login(request.door.as_str(), &request.client, fate.as_str(), why);
        self.engine.counts.stages(&ending);
        if let Some(audit) = self.engine.audit.get() {
            audit.note(ending);
        }
    }

    pub(super) fn log(&self, decision: &Decision) {
        let (fate, why) = match decision {
            Decision::Accept(permit) => (Fate::Accept, permit.why().as_str()),
            Decision::Drop(outage) => (Fate::Drop, outage.as_str()),
            Decision::Reject(denial) => (Fate::Reject, denial.as_str()),
        };
        let spoken = fate.as_str();
        self.account_for(fate, why);
        let request = self.flow.request();
        let door = request.door.as_str();
        let identity = self.told.identity.as_ref().map(|identity| identity.0.as_str());
        let (method, provider) = self.told.asked.as_ref().map(|asked| (asked.method.as_str(), &*asked.provider)).unzip();
        let ms = self.since(Instant::now()).saturating_sub(self.began_ms);
        tracing::info!(
            trace = %self.flow.trace(),
            door,
            client = request.client,
            login = ?request.login,
            identity,
            source = request.source.map(tracing::field::display),
            policy = self.flow.rules().name,
            decision = spoken,
            why,
            detail = self.told.refused,
            method,
            provider,
            late = self.told.late.then_some(true),
            ms,
            "login"
        );
    }
}

/// How long telling the end of a login may go on after it.
const TELL_WITHIN: Duration = Duration::from_secs(10);
