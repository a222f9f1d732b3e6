//! Failures and blocks that could not be written: they count here, so that a full disk is no leave to guess (M-05), nor to go on after a fraud was reported.

use std::collections::HashMap;

use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Standing;
use crate::domain::Tally;
use crate::domain::Timestamp;
use crate::domain::Tries;

/// Identities counted here at once; beyond that nobody is let in until some have aged.
const IDENTITIES_MAX: usize = 10_000;
/// How long a failure counts here after it happened, unless it locked for longer.
const KEPT_MS: u64 = 3_600_000;

#[derive(Debug, Default)]
pub(super) struct Uncounted {
    /// Failures by identity: the whole count as far as we know it, and when the last one was.
    failures: HashMap<(Identity, Tally), (Tries, Timestamp)>,
    /// Frauds that were reported and are not on disk.
    blocks: HashMap<Identity, Block>,
}

impl Uncounted {
    /// Counts failures that a commit could not write, on top of what is known about `tries` of theirs; a success that was written ends the count.
    pub(super) fn note(&mut self, changes: &[Change], outcome: Result<(), CommitError>, tries: impl Fn(&Identity, Tally) -> Tries) {
        for change in changes {
            match (change, outcome) {
                (Change::Fail { who, at, lock, tally }, Err(CommitError::Outage)) => {
                    let key = (who.clone(), *tally);
                    let known = self.merged(&key, tries(who, *tally));
                    self.failures.insert(key, (known.failed(*at, *lock), *at));
                }
                (Change::Succeed(who, tally), Ok(())) => {
                    self.failures.remove(&(who.clone(), *tally));
                }
                (Change::Block { whom: Blocked::Identity(who), block }, Err(CommitError::Outage)) => {
                    let held = self.blocks.entry(who.clone()).or_insert_with(|| block.clone());
                    if held.until < block.until {
                        *held = block.clone();
                    }
                }
                (Change::Block { whom: Blocked::Identity(who), .. } | Change::Unblock(Blocked::Identity(who)), Ok(())) => {
                    self.blocks.remove(who);
                }
                _ => {}
            }
        }
    }

    /// The blocks that are to be written once more, at most so many.
    pub(super) fn unwritten(&self, count_max: usize) -> Vec<Change> {
        let blocks = self.blocks.iter().take(count_max);
        blocks.map(|(who, block)| Change::Block { whom: Blocked::Identity(who.clone()), block: block.clone() }).collect()
    }

    /// An administrator has to do with this person: what is held against them is what the store says.
    pub(super) fn unblock(&mut self, who: &Identity) {
        self.blocks.remove(who);
    }

    /// The standing with the failures that only we know of; `None` when there are too many to keep count.
    pub(super) fn added_to(&mut self, now: Timestamp, who: &Identity, standing: Standing) -> Option<Standing> {
        if self.count() >= IDENTITIES_MAX {
            self.failures.retain(|_, (tries, at)| tries.locked(now) || now.0 < at.0.saturating_add(KEPT_MS));
            self.blocks.retain(|_, block| block.holds(now));
        }
        (self.count() < IDENTITIES_MAX).then(|| {
            let [common, exempt] = [Tally::Common, Tally::Exempt].map(|tally| self.merged(&(who.clone(), tally), standing.tally(tally).clone()));
            let ours = self.blocks.get(who).cloned();
            let block = standing.block.into_iter().chain(ours).max_by_key(|block| block.until);
            Standing { tries: common, exempt_tries: exempt, block, ..standing }
        })
    }

    fn count(&self) -> usize {
        self.failures.len().saturating_add(self.blocks.len())
    }

    fn merged(&self, whose: &(Identity, Tally), stored: Tries) -> Tries {
        match self.failures.get(whose) {
            Some((ours, _)) => stored.or_stricter(ours),
            None => stored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Lock;

    const LOCK: Lock = Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 };

    fn fail(who: &str, at: u64) -> Change {
        Change::Fail { who: Identity(who.into()), at: Timestamp(at), lock: LOCK, tally: Tally::Common }
    }

    #[test]
    fn m_05_the_count_goes_on_from_what_the_store_holds() {
        let mut uncounted = Uncounted::default();
        let stored = Tries { failures: 4, lock_until: None, at: Vec::new() };
        uncounted.note(&[fail("alice", 10)], Err(CommitError::Outage), |_, _| stored.clone());
        let standing = Standing { tries: stored, ..Standing::default() };
        assert!(uncounted.added_to(Timestamp(11), &Identity("alice".into()), standing).unwrap().tries.locked(Timestamp(11)));
    }

    #[test]
    fn a_full_table_refuses_and_recovers_by_age() {
        let mut uncounted = Uncounted::default();
        for number in 0..IDENTITIES_MAX {
            uncounted.note(&[fail(&number.to_string(), 10)], Err(CommitError::Outage), |_, _| Tries::default());
        }
        let somebody = Identity("somebody".into());
        assert!(uncounted.added_to(Timestamp(11), &somebody, Standing::default()).is_none());
        assert!(uncounted.added_to(Timestamp(10 + KEPT_MS), &somebody, Standing::default()).is_some());
    }

    #[test]
    fn m_10_a_block_that_cannot_be_written_holds_all_the_same() {
        let (mut uncounted, alice) = (Uncounted::default(), Identity("alice".into()));
        let block = |until| Block { until: Timestamp(until), reason: String::new(), by: Block::BY_THE_PERSON.into(), at: Timestamp(10), name: None };
        let change = |until| [Change::Block { whom: Blocked::Identity(alice.clone()), block: block(until) }];
        let until = |uncounted: &mut Uncounted, held: Option<Block>| {
            uncounted.added_to(Timestamp(11), &alice, Standing { block: held, ..Standing::default() }).unwrap().block.map(|block| block.until.0)
        };
        uncounted.note(&change(50), Err(CommitError::Outage), |_, _| Tries::default());
        assert_eq!((until(&mut uncounted, None), until(&mut uncounted, Some(block(70)))), (Some(50), Some(70)));
        uncounted.note(&change(60), Ok(()), |_, _| Tries::default());
        assert_eq!(until(&mut uncounted, None), None, "what is written is the store's to tell");
        uncounted.note(&change(50), Err(CommitError::Outage), |_, _| Tries::default());
        uncounted.unblock(&alice);
        assert_eq!(until(&mut uncounted, None), None);
    }
}
