//! Failures that could not be written: counted here until they can be, so that a full disk is no leave to guess (M-05).

use std::collections::HashMap;

use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::Tries;

/// Identities counted here at once; beyond that nobody is let in until some have aged.
const IDENTITIES_MAX: usize = 10_000;
/// How long a failure counts here after it happened, unless it locked for longer.
const KEPT_MS: u64 = 3_600_000;

/// Failures by identity: the whole count as far as we know it, and when the last one was.
#[derive(Debug, Default)]
pub(super) struct Uncounted(HashMap<Identity, (Tries, Timestamp)>);

impl Uncounted {
    /// Counts failures that a commit could not write, on top of what is known about `tries` of theirs; a success that was written ends the count.
    pub(super) fn note(&mut self, changes: &[Change], outcome: Result<(), CommitError>, tries: impl Fn(&Identity) -> Tries) {
        for change in changes {
            match (change, outcome) {
                (Change::Fail { who, at, lock }, Err(CommitError::Outage)) => {
                    let known = self.merged(who, tries(who));
                    self.0.insert(who.clone(), (known.failed(*at, *lock), *at));
                }
                (Change::Succeed(who), Ok(())) => {
                    self.0.remove(who);
                }
                _ => {}
            }
        }
    }

    /// The standing with the failures that only we know of; `None` when there are too many to keep count.
    pub(super) fn added_to(&mut self, now: Timestamp, who: &Identity, standing: Standing) -> Option<Standing> {
        if self.0.len() >= IDENTITIES_MAX {
            self.0.retain(|_, (tries, at)| tries.locked(now) || now.0 < at.0.saturating_add(KEPT_MS));
        }
        (self.0.len() < IDENTITIES_MAX).then(|| Standing { tries: self.merged(who, standing.tries), ..standing })
    }

    fn merged(&self, who: &Identity, stored: Tries) -> Tries {
        let ours = self.0.get(who).map(|(tries, _)| *tries).unwrap_or_default();
        Tries { failures: stored.failures.max(ours.failures), lock_until: stored.lock_until.max(ours.lock_until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Lock;

    const LOCK: Lock = Lock { failures_max: 5, wait_ms: 60_000 };

    fn fail(who: &str, at: u64) -> Change {
        Change::Fail { who: Identity(who.into()), at: Timestamp(at), lock: LOCK }
    }

    #[test]
    fn m_05_the_count_goes_on_from_what_the_store_holds() {
        let mut uncounted = Uncounted::default();
        let stored = Tries { failures: 4, lock_until: None };
        uncounted.note(&[fail("alice", 10)], Err(CommitError::Outage), |_| stored);
        let standing = Standing { tries: stored, ..Standing::default() };
        assert!(uncounted.added_to(Timestamp(11), &Identity("alice".into()), standing).unwrap().tries.locked(Timestamp(11)));
    }

    #[test]
    fn a_full_table_refuses_and_recovers_by_age() {
        let mut uncounted = Uncounted::default();
        for number in 0..IDENTITIES_MAX {
            uncounted.note(&[fail(&number.to_string(), 10)], Err(CommitError::Outage), |_| Tries::default());
        }
        let somebody = Identity("somebody".into());
        assert!(uncounted.added_to(Timestamp(11), &somebody, Standing::default()).is_none());
        assert!(uncounted.added_to(Timestamp(10 + KEPT_MS), &somebody, Standing::default()).is_some());
    }
}
