//! Failures that could not be written: counted here until they can be, so that a full disk is no leave to guess (M-05).

use std::collections::HashMap;

use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Standing;
use crate::domain::Tries;

/// Identities counted here at once; beyond that nobody is let in until the store can write again.
const IDENTITIES_MAX: usize = 10_000;

/// Failures by identity, on top of those in the store.
#[derive(Debug, Default)]
pub(super) struct Uncounted(HashMap<Identity, Tries>);

impl Uncounted {
    /// Takes notice of how a commit went: what was not written is counted, what was is the store's to count again.
    pub(super) fn note(&mut self, changes: &[Change], outcome: Result<(), CommitError>) {
        for change in changes {
            match (change, outcome) {
                (Change::Fail { who, at, lock }, Err(CommitError::Outage)) => {
                    let tries = self.0.get(who).copied().unwrap_or_default().failed(*at, *lock);
                    self.0.insert(who.clone(), tries);
                }
                (Change::Succeed(who), Ok(())) => {
                    self.0.remove(who);
                }
                _ => {}
            }
        }
    }

    /// The standing with the failures that only we know of; `None` when there are too many to keep count.
    pub(super) fn added_to(&self, who: &Identity, standing: Standing) -> Option<Standing> {
        if self.0.len() >= IDENTITIES_MAX {
            return None;
        }
        let ours = self.0.get(who).copied().unwrap_or_default();
        let failures = standing.tries.failures.saturating_add(ours.failures);
        let lock_until = standing.tries.lock_until.max(ours.lock_until);
        Some(Standing { tries: Tries { failures, lock_until }, ..standing })
    }
}
