//! The turnstile: one login per identity at a time, and the same question asked twice is one login.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use super::Outcome;
use crate::domain::Identity;

/// How many logins of one identity may wait behind the one that runs.
const WAITING_MAX: usize = 8;

/// Turns by identity.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Identity, Queue>>);

#[derive(Debug)]
struct Queue {
    /// The one that runs and those that wait.
    inside: usize,
    gate: Arc<Semaphore>,
}

/// One's turn; the next in line goes on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    identity: Identity,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// Waits for one's turn; `None` when too many wait already.
    pub(super) async fn take(self: &Arc<Self>, identity: &Identity) -> Option<Turn> {
        let (mut turn, gate) = self.line_up(identity)?;
        turn.permit = gate.acquire_owned().await.ok();
        turn.permit.is_some().then_some(turn)
    }

    fn line_up(self: &Arc<Self>, identity: &Identity) -> Option<(Turn, Arc<Semaphore>)> {
        let mut queues = self.lock();
        let queue = queues.entry(identity.clone()).or_insert_with(|| Queue { inside: 0, gate: Arc::new(Semaphore::new(1)) });
        if queue.inside > WAITING_MAX {
            return None;
        }
        queue.inside = queue.inside.saturating_add(1);
        Some((Turn { turns: Arc::clone(self), identity: identity.clone(), permit: None }, Arc::clone(&queue.gate)))
    }

    fn leave(&self, identity: &Identity) {
        let mut queues = self.lock();
        if let Entry::Occupied(mut queue) = queues.entry(identity.clone()) {
            let inside = queue.get().inside.saturating_sub(1);
            queue.get_mut().inside = inside;
            if inside == 0 {
                queue.remove();
            }
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
        // The gate opens before the count goes down, so that a queue is never thrown away with somebody inside.
        drop(self.permit.take());
        self.turns.leave(&self.identity);
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
pub(super) struct Shared {
    said: watch::Sender<Option<Outcome>>,
    latest: Arc<AtomicU64>,
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
}

impl Seat {
    /// Waits until nobody listens any more, and then takes the login off the list so that nobody can join it.
    pub(super) async fn alone(&self) {
        loop {
            self.shared.said.closed().await;
            let mut logins = self.running.lock();
            if self.shared.said.receiver_count() == 0 {
                self.strike(&mut logins);
                return;
            }
        }
    }

    /// Tells all who listen; who asks the same from now on begins anew.
    pub(super) fn say(self, outcome: Outcome) {
        self.strike(&mut self.running.lock());
        self.shared.said.send_replace(Some(outcome));
    }

    /// Off the list, unless another login sits there by now.
    fn strike(&self, logins: &mut HashMap<Sameness, Arc<Shared>>) {
        if logins.get(&self.same).is_some_and(|shared| Arc::ptr_eq(shared, &self.shared)) {
            logins.remove(&self.same);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.strike(&mut self.running.lock());
    }
}

/// One asker's place in a login. Holds nothing that could speak: where the login breaks off, all places hear that it did.
#[derive(Debug)]
pub(super) struct Place {
    latest: Arc<AtomicU64>,
    heard: watch::Receiver<Option<Outcome>>,
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
            return Entered::Joined(Place { latest: Arc::clone(&shared.latest), heard: shared.said.subscribe(), number });
        }
        if logins.len() >= self.logins_max {
            return Entered::Full;
        }
        let (said, heard) = watch::channel(None);
        let shared = Arc::new(Shared { said, latest: Arc::default() });
        logins.insert(same, Arc::clone(&shared));
        let place = Place { latest: Arc::clone(&shared.latest), heard, number: 0 };
        Entered::First(Seat { running: Arc::clone(self), same, shared }, place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sameness, Arc<Shared>>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits for the end; only the last who asked hears it. `None` when the login broke off.
    pub(super) async fn outcome(mut self) -> Option<Outcome> {
        let outcome = self.heard.wait_for(Option::is_some).await.ok()?.clone()?;
        let latest = self.latest.load(Ordering::Acquire);
        Some(if self.number < latest { Outcome::Superseded } else { outcome })
    }
}
