//! What is held about somebody and what is written of them: the store, and what could not be written.

use std::sync::PoisonError;

use tokio::time::Instant;

use super::Engine;
use super::journey::by;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::Standing;
use crate::ports::StoreError;

impl Engine {
    /// What is held, and what is counted here alone.
    pub(super) fn standing(&self, who: &Identity) -> Result<Standing, Outage> {
        let standing = self.store.standing(who).map_err(|error| note_store(&error))?;
        let now = self.clock.now();
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).added_to(now, who, standing).ok_or(Outage::Store)
    }

    /// Has it written. A store that hangs is one that fails: the deadline is met here, so that what it may not have written is counted.
    pub(super) async fn commit(&self, deadline: Instant, changes: Vec<Change>) -> Result<(), CommitError> {
        let began = Instant::now();
        let written = by(deadline, self.store.commit(changes.clone())).await;
        self.counts.committed(began.elapsed());
        let outcome = written.map_or(Err(CommitError::Outage), |written| written.map(|_| ()));
        let known = |who: &Identity| self.store.standing(who).unwrap_or_default().tries;
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).note(&changes, outcome, known);
        self.note_locks(&changes);
        outcome.inspect_err(note_commit)
    }

    /// What was not written of a block ends too.
    pub(super) fn unblock(&self, who: &Identity) {
        self.uncounted.lock().unwrap_or_else(PoisonError::into_inner).unblock(who);
    }
}

fn note_store(error: &StoreError) -> Outage {
    tracing::error!(%error, "the store cannot be read: nobody is let in on what it holds");
    Outage::Store
}

fn note_commit(error: &CommitError) {
    if *error == CommitError::Spent {
        tracing::warn!("a code or bypass was used a second time and refused");
    }
}
