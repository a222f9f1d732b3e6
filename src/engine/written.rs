//! What is held about somebody and what is written of them: the store, and what could not be written.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::journey::by;
use crate::domain::AuthRequest;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::Standing;
use crate::domain::Tally;
use crate::ports::StoreError;

impl Engine {
    /// What is held, and what is counted here alone, as this login sees it.
    pub(super) fn standing(&self, request: &AuthRequest, who: &Identity) -> Result<Standing, Outage> {
        let standing = self.store.standing(who).map_err(|error| note_store(&error))?;
        let now = self.clock.now();
        let known = self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).added_to(now, who, standing).ok_or(Outage::Store)?;
        Ok(known.held_to(request.tally(now, who)))
    }

    /// Has it written. A store that hangs is one that fails: the deadline is met here, so that what it may not have written is counted.
    pub(super) async fn commit(&self, deadline: Instant, changes: Vec<Change>) -> Result<(), CommitError> {
        let began = Instant::now();
        let written = by(deadline, self.store.commit(changes.clone())).await;
        self.counts.committed(began.elapsed());
        let outcome = written.map_or(Err(CommitError::Outage), |written| written.map(|_| ()));
        self.note(&changes, outcome);
        for change in changes.iter().filter(|_| outcome == Err(CommitError::Outage)) {
            if let Change::Block { whom: Blocked::Identity(who), .. } = change {
                self.alarm_of_block(who);
            }
        }
        outcome.inspect_err(note_commit)
    }

    fn note(&self, changes: &[Change], outcome: Result<(), CommitError>) {
        let known = |who: &Identity, tally: Tally| self.store.standing(who).unwrap_or_default().held_to(tally).tries;
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).note(changes, outcome, known);
        self.note_locks(changes);
    }

    /// Blocks that could not be written are written with the next login, one attempt at a time; what fails again waits for the login after it.
    pub(super) fn write_again(self: &Arc<Self>) {
        let blocks = self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).unwritten(BLOCKS_AT_ONCE);
        if blocks.is_empty() || self.writing_again.swap(true, Ordering::AcqRel) {
            return;
        }
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let now = Instant::now();
            let written = by(now.checked_add(AGAIN_WITHIN).unwrap_or(now), engine.store.commit(blocks.clone())).await;
            // What fails again is held already, unless an administrator has ended it meanwhile.
            if let Some(Ok(_)) = written {
                engine.note(&blocks, Ok(()));
                tracing::info!("blocks that could not be written before are written");
            }
            engine.writing_again.store(false, Ordering::Release);
        });
    }

    /// What was not written of a block ends too.
    pub(super) fn unblock(&self, who: &Identity) {
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).unblock(who);
    }
}

/// Blocks in one attempt.
const BLOCKS_AT_ONCE: usize = 100;
/// How long an attempt may take.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);

fn note_store(error: &StoreError) -> Outage {
    tracing::error!(%error, "the store cannot be read: nobody is let in on what it holds");
    Outage::Store
}

fn note_commit(error: &CommitError) {
    if *error == CommitError::Spent {
        tracing::warn!("a code or bypass was used a second time and refused");
    }
}
