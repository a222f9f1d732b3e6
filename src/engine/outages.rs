//! Since when providers are away, as logins found them: an outage that lasts longer than a policy bears opens nothing (M-14).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::PoisonError;

use tokio::time::Instant;

use super::Engine;
use crate::domain::FactorError;
use crate::domain::Progress;

/// By the name of the provider: when it was first found unreachable since it last answered a login. There are as many as the configuration names.
#[derive(Debug, Default)]
pub(super) struct Outages(HashMap<Arc<str>, Instant>);

impl Outages {
    /// What a provider said. What it may have said without asking anybody ends no outage, not even a wrong code,
    /// for it may be a wrong PIN; and neither does somebody else's certificate: else whoever can keep
    /// us from it could begin a new one whenever they like.
    pub(super) fn note(&mut self, now: Instant, provider: &Arc<str>, progress: &Result<Progress, FactorError>) {
        match progress {
            Err(FactorError::Unreachable) => {
                self.0.entry(Arc::clone(provider)).or_insert(now);
            }
            Ok(Progress::CodeNeeded { ticket: None })
            | Err(
                FactorError::BadCode
                | FactorError::Faltering
                | FactorError::Locked
                | FactorError::Misconfigured
                | FactorError::NoPin
                | FactorError::NotEnrolled
                | FactorError::PinExpired
                | FactorError::PushesSpent
                | FactorError::Throttled,
            ) => {}
            Ok(_) | Err(FactorError::Expired) => {
                self.0.remove(provider);
            }
        }
    }

    /// For how many milliseconds all of these are away by now; `None` where one of them is not known to be.
    pub(super) fn lasted(&self, now: Instant, providers: &[Arc<str>]) -> Option<u64> {
        let since = providers.iter().map(|provider| self.0.get(provider).copied()).collect::<Option<Vec<_>>>()?.into_iter().max()?;
        u64::try_from(now.saturating_duration_since(since).as_millis()).ok()
    }
}

impl Engine {
    /// Notes what a provider said to what it was asked.
    pub(super) fn note_outage(&self, provider: &Arc<str>, progress: &Result<Progress, FactorError>) {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner).note(Instant::now(), provider, progress);
    }

    /// For how many milliseconds all of these are away.
    pub(super) fn away(&self, providers: &[Arc<str>]) -> Option<u64> {
        self.outages.lock().unwrap_or_else(PoisonError::into_inner).lasted(Instant::now(), providers)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::Ticket;

    #[test]
    fn m_14_an_outage_counts_from_its_beginning_and_ends_when_somebody_answers() {
        let began = Instant::now();
        let at = |minutes: u64| began + Duration::from_secs(minutes * 60);
        let (duo, sms): (Arc<str>, Arc<str>) = ("duo".into(), "sms".into());
        let away = Err(FactorError::Unreachable);
        let mut outages = Outages::default();
        assert_eq!(outages.lasted(at(0), std::slice::from_ref(&duo)), None);
        outages.note(at(0), &duo, &away);
        outages.note(at(50), &duo, &away);
        for nothing in [FactorError::Faltering, FactorError::Misconfigured, FactorError::NotEnrolled, FactorError::Throttled, FactorError::PushesSpent] {
            outages.note(at(55), &duo, &Err(nothing));
        }
        outages.note(at(55), &duo, &Ok(Progress::CodeNeeded { ticket: None }));
        assert_eq!(outages.lasted(at(70), std::slice::from_ref(&duo)), Some(70 * 60_000));
        assert_eq!(outages.lasted(at(70), &[duo.clone(), sms.clone()]), None);
        outages.note(at(60), &sms, &away);
        assert_eq!(outages.lasted(at(70), &[duo.clone(), sms]), Some(10 * 60_000), "so long nobody at all could be reached");
        outages.note(at(70), &duo, &Err(FactorError::BadCode));
        assert!(outages.lasted(at(70), std::slice::from_ref(&duo)).is_some(), "a wrong PIN is found before anybody is asked");
        outages.note(at(71), &duo, &Ok(Progress::Pending(Ticket("q1".into()))));
        outages.note(at(80), &duo, &away);
        assert_eq!(outages.lasted(at(81), &[duo]), Some(60_000));
    }
}
