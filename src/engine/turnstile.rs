//! The turnstile: one login per identity at a time, and the same question asked twice is one login.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::sync::Semaphore;

use super::Outcome;
use crate::domain::Identity;

/// How many logins of one identity may wait behind the one that runs.
const WAITING_MAX: usize = 8;

/// Turns by identity.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Identity, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// The one that runs and those that wait.
    inside: usize,
    /// Made by the first who has to wait: most never meet anybody.
    gate: Option<Arc<Semaphore>>,
}

/// One's turn; the next in line goes on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    identity: Identity,
    /// It is the one that runs, and opens the gate when it goes.
    runs: bool,
}

/// One's place in a line.
#[derive(Debug)]
enum Line {
    /// Somebody is before us.
    Behind(Waiting),
    /// Too many wait already.
    Full,
    /// It is our turn.
    Ours(Turn),
}

/// Somebody in line.
#[derive(Debug)]
struct Waiting {
    turn: Turn,
    gate: Arc<Semaphore>,
}

impl Waiting {
    /// Waits for one's turn.
    async fn come(mut self) -> Option<Turn> {
        // The gate gives one permit for each turn that ends, and it is used up here.
        self.gate.acquire().await.ok()?.forget();
        self.turn.runs = true;
        Some(self.turn)
    }
}

impl Turns {
    /// Waits for one's turn; `None` when too many wait already.
    pub(super) async fn take(self: &Arc<Self>, identity: &Identity) -> Option<Turn> {
        match self.line_up(identity) {
            Line::Behind(waiting) => waiting.come().await,
            Line::Full => None,
            Line::Ours(turn) => Some(turn),
        }
    }

    fn line_up(self: &Arc<Self>, identity: &Identity) -> Line {
        let mut queues = self.lock();
        let queue = queues.entry(identity.clone()).or_default();
        if queue.inside > WAITING_MAX {
            return Line::Full;
        }
        queue.inside = queue.inside.saturating_add(1);
        let runs = queue.inside == 1;
        let turn = Turn { turns: Arc::clone(self), identity: identity.clone(), runs };
        if runs {
            return Line::Ours(turn);
        }
        let gate = Arc::clone(queue.gate.get_or_insert_with(|| Arc::new(Semaphore::new(0))));
        Line::Behind(Waiting { turn, gate })
    }

    /// Out of the line; if it was the one's turn, the next one's begins.
    fn leave(&self, identity: &Identity, ran: bool) {
        let mut queues = self.lock();
        let Some(queue) = queues.get_mut(identity) else { return };
        queue.inside = queue.inside.saturating_sub(1);
        if queue.inside == 0 {
            queues.remove(identity);
        } else if let (true, Some(gate)) = (ran, &queue.gate) {
            gate.add_permits(1);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        self.identity == *identity
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.leave(&self.identity, self.runs);
    }
}

/// What makes two requests the same login: a keyed hash, so that no password is kept.
pub(super) type Sameness = [u8; 32];

/// Logins that run, by sameness.
#[derive(Debug)]
pub(super) struct Running {
    logins: Mutex<HashMap<Sameness, Arc<Shared>>>,
    logins_max: usize,
}

/// What all who asked the same share.
#[derive(Debug)]
struct Shared {
    said: Mutex<Said>,
    /// Places that are taken. It grows under the list's lock alone.
    listeners: AtomicUsize,
    /// The number of the last who asked.
    latest: AtomicU64,
    /// Something was said, or never will be.
    spoken: Notify,
    /// Nobody listens any more.
    left: Notify,
}

/// Where a login stands for those who listen.
#[derive(Debug)]
enum Said {
    /// It broke off.
    Never,
    Nothing,
    Outcome(Outcome),
}

impl Shared {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_deserted(&self) -> bool {
        self.listeners.load(Ordering::Acquire) == 0
    }
}

/// A new login, or one that runs already.
#[derive(Debug)]
pub(super) enum Entered {
    First(Seat, Place),
    Full,
    Joined(Place),
}

/// Where the login itself sits. It leaves the list when this is dropped, whatever became of it, a panic included.
#[derive(Debug)]
pub(super) struct Seat {
    running: Arc<Running>,
    same: Sameness,
    shared: Arc<Shared>,
    is_listed: bool,
}

impl Seat {
    /// Whether nobody listens any more; then the login is taken off the list so that nobody can join it.
    pub(super) fn is_alone(&mut self) -> bool {
        if !self.shared.is_deserted() {
            return false;
        }
        let running = Arc::clone(&self.running);
        let mut logins = running.lock();
        let alone = self.shared.is_deserted();
        if alone {
            self.strike(&mut logins);
        }
        alone
    }

    /// Waits until nobody listens any more, and then takes the login off the list so that nobody can join it.
    pub(super) async fn alone(&mut self) {
        while !self.is_alone() {
            self.shared.left.notified().await;
        }
    }

    /// Tells all who listen; who asks the same from now on begins anew.
    pub(super) fn say(mut self, outcome: Outcome) {
        self.leave();
        *self.shared.said() = Said::Outcome(outcome);
        self.shared.spoken.notify_waiters();
    }

    fn leave(&mut self) {
        if self.is_listed {
            let running = Arc::clone(&self.running);
            self.strike(&mut running.lock());
        }
    }

    /// Off the list, unless another login sits there by now.
    fn strike(&mut self, logins: &mut HashMap<Sameness, Arc<Shared>>) {
        if logins.get(&self.same).is_some_and(|shared| Arc::ptr_eq(shared, &self.shared)) {
            logins.remove(&self.same);
        }
        self.is_listed = false;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
        let mut said = self.shared.said();
        if matches!(*said, Said::Nothing) {
            *said = Said::Never;
            drop(said);
            self.shared.spoken.notify_waiters();
        }
    }
}

/// One asker's place in a login. Holds nothing that could speak: where the login breaks off, all places hear that it did.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    number: u64,
}

impl Running {
    pub(super) fn new(logins_max: usize) -> Self {
        Self { logins: Mutex::default(), logins_max }
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn enter(self: &Arc<Self>, same: Sameness) -> Entered {
        let mut logins = self.lock();
        if let Some(shared) = logins.get(&same) {
            let number = shared.latest.fetch_add(1, Ordering::AcqRel).saturating_add(1);
            shared.listeners.fetch_add(1, Ordering::AcqRel);
            return Entered::Joined(Place { shared: Arc::clone(shared), number });
        }
        if logins.len() >= self.logins_max {
            return Entered::Full;
        }
        let shared = Arc::new(Shared {
            said: Mutex::new(Said::Nothing),
            listeners: AtomicUsize::new(1),
            latest: AtomicU64::default(),
            spoken: Notify::new(),
            left: Notify::new(),
        });
        logins.insert(same, Arc::clone(&shared));
        let place = Place { shared: Arc::clone(&shared), number: 0 };
        Entered::First(Seat { running: Arc::clone(self), same, shared, is_listed: true }, place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sameness, Arc<Shared>>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the end; only the last who asked hears it. `None` when the login broke off.
    pub(super) async fn outcome(self) -> Option<Outcome> {
        loop {
            // Listened for before it is looked up, so that nothing is missed.
            let spoken = self.shared.spoken.notified();
            if let Some(heard) = self.heard() {
                return heard;
            }
            spoken.await;
        }
    }

    /// What was said so far; the inner `None` when the login broke off.
    pub(super) fn heard(&self) -> Option<Option<Outcome>> {
        let outcome = match &*self.shared.said() {
            Said::Never => return Some(None),
            Said::Nothing => return None,
            Said::Outcome(outcome) => outcome.clone(),
        };
        let is_latest = self.number >= self.shared.latest.load(Ordering::Acquire);
        Some(Some(if is_latest { outcome } else { Outcome::Superseded }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.shared.listeners.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.left.notify_one();
        }
    }
}
