//! What somebody should look at now: said loudly, counted, and told to whoever is to be told by mail.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::domain::Alarm;
use crate::domain::Alert;
use crate::domain::Asking;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Flow;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::metrics;
use crate::ports::Alerts;

/// The last locks, as many as are a storm.
#[derive(Debug, Default)]
pub(super) struct Lockouts(VecDeque<Instant>);

impl Lockouts {
    /// One more; whether they are many by now. Then they count anew.
    fn note(&mut self, now: Instant) -> bool {
        self.0.retain(|at| now.saturating_duration_since(*at) < STORM_WINDOW);
        self.0.push_back(now);
        let many = self.0.len() >= STORM_LOCKS;
        if many {
            self.0.clear();
        }
        many
    }
}

impl Engine {
    /// Has every alarm from now on told to this one; once.
    pub fn alert(&self, alerts: Arc<dyn Alerts>) {
        let _ = self.alerts.set(alerts);
    }

    /// A person is rung no more today.
    pub(super) fn alarm_of_day(&self, asking: &Asking) {
        self.raise(Alert {
            about: asking.identity.0.clone(),
            who: asking.account.name.clone(),
            client: asking.client.clone(),
            source: asking.source,
            trace: Some(asking.trace),
            ..self.nobodys(Alarm::DaySpent)
        });
    }

    /// What a person reported is not on disk.
    pub(super) fn alarm_of_block(&self, who: &Identity) {
        self.raise(Alert { about: who.0.clone(), who: who.0.clone(), ..self.nobodys(Alarm::BlockUnwritten) });
    }

    /// The end of a login, where it is one that somebody should look at.
    pub(super) fn alarm(&self, flow: &Flow, identity: Option<&Identity>, decision: &Decision) {
        let Some(alarm) = of(decision) else { return };
        let request = flow.request();
        let policy = flow.rules().name.clone();
        let about = match alarm {
            // One outage opens for many: each of them is in the log, and one letter tells of it.
            Alarm::FailOpen => policy.clone(),
            _ => identity.map(|identity| identity.0.clone()).unwrap_or_default(),
        };
        self.raise(Alert {
            alarm,
            at: self.clock.now(),
            about,
            who: request.login.clone(),
            by: String::new(),
            client: request.client.clone(),
            policy,
            source: request.source,
            trace: Some(flow.trace()),
        });
    }

    /// An administrator keeps this person or number out.
    pub fn blocked(&self, who: &str, by: &str) {
        self.raise(Alert { about: who.to_owned(), who: who.to_owned(), by: by.to_owned(), ..self.nobodys(Alarm::Blocked) });
    }

    /// Somebody was locked.
    pub(super) fn note_lockout(&self) {
        if self.lockouts.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now()) {
            self.raise(self.nobodys(Alarm::Lockouts));
        }
    }

    fn nobodys(&self, alarm: Alarm) -> Alert {
        let none = String::new;
        Alert { alarm, at: self.clock.now(), about: none(), who: none(), by: none(), client: none(), policy: none(), source: None, trace: None }
    }

    fn raise(&self, alert: Alert) {
        metrics::alarm(alert.alarm.as_str());
        tracing::warn!(
            alarm = alert.alarm.as_str(),
            trace = alert.trace.map(tracing::field::display),
            client = alert.client,
            login = ?alert.who,
            about = ?alert.about,
            by = ?alert.by,
            source = alert.source.map(tracing::field::display),
            policy = alert.policy,
            at = alert.at.0,
            "{}",
            alert.alarm.words()
        );
        if let Some(alerts) = self.alerts.get() {
            alerts.tell(alert);
        }
    }
}

fn of(decision: &Decision) -> Option<Alarm> {
    match decision {
        Decision::Accept(permit) if permit.why() == Grant::FailOpen => Some(Alarm::FailOpen),
        Decision::Reject(Denial::FraudReported) => Some(Alarm::Fraud),
        _ => None,
    }
}

/// So many locks ..
const STORM_LOCKS: usize = 10;
/// .. within this time are no longer people who mistype.
const STORM_WINDOW: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_locks_in_ten_minutes_are_a_storm_and_it_is_told_once() {
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let mut lockouts = Lockouts::default();
        assert!((0..9).all(|second| !lockouts.note(at(second))));
        assert!(lockouts.note(at(599)));
        assert!(!lockouts.note(at(600)), "they count anew");
        let mut slow = Lockouts::default();
        assert!((0..100).all(|nth| !slow.note(at(nth * 67))), "people who mistype");
    }
}
