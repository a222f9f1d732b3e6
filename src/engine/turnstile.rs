//! The turnstile: one login per identity at a time, and the same question asked twice is one login.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Ear;
use super::Outcome;
use crate::domain::AuthRequest;
use crate::domain::Identity;

/// How many logins of one identity may wait behind the one that runs.
const WAITING_MAX: u32 = 8;
/// The same where service accounts are let in: applications open their connections all at once.
const WAITING_MAX_CROWD: u32 = 256;

/// Turns by identity.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Arc<str>, Queue>>);

#[derive(Debug, Default)]
struct Queue {
    /// The one that runs and those that wait.
    inside: u32,
    /// Made by the first who has to wait: most never meet anybody.
    gate: Option<Arc<Semaphore>>,
}

/// One's turn; the next in line goes on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    /// Whose, shared with the queue.
    identity: Arc<str>,
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
    pub(super) async fn take(self: &Arc<Self>, identity: &Identity, crowd: bool) -> Option<Turn> {
        match self.line_up(identity, crowd) {
            Line::Behind(waiting) => waiting.come().await,
            Line::Full => None,
            Line::Ours(turn) => Some(turn),
        }
    }

    fn line_up(self: &Arc<Self>, identity: &Identity, crowd: bool) -> Line {
        let mut queues = self.lock();
        let known = queues.get_key_value(identity.0.as_str()).map(|(known, _)| Arc::clone(known));
        let identity = known.unwrap_or_else(|| identity.0.as_str().into());
        let queue = queues.entry(Arc::clone(&identity)).or_default();
        if queue.inside > if crowd { WAITING_MAX_CROWD } else { WAITING_MAX } {
            return Line::Full;
        }
        queue.inside = queue.inside.saturating_add(1);
        let runs = queue.inside == 1;
        let turn = Turn { turns: Arc::clone(self), identity, runs };
        if runs {
            return Line::Ours(turn);
        }
        let gate = Arc::clone(queue.gate.get_or_insert_with(|| Arc::new(Semaphore::new(0))));
        Line::Behind(Waiting { turn, gate })
    }

    /// Out of the line; if it was the one's turn, the next one's begins.
    fn leave(&self, identity: &str, ran: bool) {
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

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    pub(super) fn is_of(&self, identity: &Identity) -> bool {
        *self.identity == *identity.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.leave(&self.identity, self.runs);
    }
}

/// What the turn of a name begins with: no identity does.
const TYPED: &str = "typed:";

/// Whose turn a name takes before it is known whom it means; none where many share it.
pub(super) fn typed_as(request: &AuthRequest) -> Option<Identity> {
    request.is_named().then(|| {
        let name = request.login.trim();
        let mut typed = String::with_capacity(name.len().saturating_add(TYPED.len()));
        typed.push_str(TYPED);
        if name.is_ascii() {
            typed.push_str(name);
            typed.make_ascii_lowercase();
        } else {
            typed.push_str(&name.to_lowercase());
        }
        Identity(typed)
    })
}

/// What comes of `wait`, unless nobody listens any more before.
pub(super) async fn listened_to<T>(seat: &mut Seat, mut wait: impl Future<Output = T> + Unpin) -> Option<T> {
    poll_fn(|context| match pin!(&mut wait).poll(context) {
        Poll::Ready(came) => Poll::Ready(Some(came)),
        Poll::Pending => seat.poll_alone(context).map(|()| None),
    })
    .await
}

/// What makes two requests the same login: a keyed hash, so that no password is kept.
pub(super) type Sameness = [u8; 32];

/// Logins that run, by sameness.
#[derive(Debug)]
pub(super) struct Running {
    logins: Mutex<HashMap<Sameness, Arc<Shared>>>,
    logins_max: usize,
}

/// What all who asked the same share. Its lock is the innermost: nothing else is locked, dropped or called under it.
#[derive(Debug)]
struct Shared(Mutex<Meeting>);

/// A login and those who listen to it.
#[derive(Debug)]
struct Meeting {
    said: Said,
    /// The numbers of those who listen, the last who asked at the end. It grows under the list's lock alone.
    listeners: Vec<u32>,
    /// How many have asked.
    asked: u32,
    /// How often the same was asked again, here or in the same packet, and when last.
    repeats: u32,
    heard: Option<Instant>,
    /// Whom to call when something is said, by the number of their place.
    ears: Vec<(u32, Box<dyn Ear>)>,
    /// Whom to wake when nobody listens any more.
    waiting: Option<Waker>,
}

/// Where a login stands for those who listen.
#[derive(Debug)]
enum Said {
    /// It broke off.
    Never,
    Nothing,
    Outcome(Box<Outcome>),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_deserted(&self) -> bool {
        self.lock().listeners.is_empty()
    }

    /// Says it once, and calls all who have left word where.
    fn say(&self, said: Said) {
        let mut meeting = self.lock();
        if !matches!(meeting.said, Said::Nothing) {
            return;
        }
        meeting.said = said;
        let told: Vec<_> = std::mem::take(&mut meeting.ears).into_iter().map(|(number, ear)| (meeting.heard(number), ear)).collect();
        drop(meeting);
        for (heard, ear) in told {
            // One that breaks must not keep the others from hearing.
            let hearing = AssertUnwindSafe(|| ear.hear(heard.flatten().unwrap_or_else(Outcome::broken_off)));
            if catch_unwind(hearing).is_err() {
                tracing::error!("an outcome could not be handed over by a fault of ours");
            }
        }
    }
}

impl Meeting {
    fn again(&mut self) {
        self.repeats = self.repeats.saturating_add(1);
        self.heard = Some(Instant::now());
    }

    /// What was said so far to whom has this place; the inner `None` when the login broke off. Only the last who asked hears it.
    fn heard(&self, number: u32) -> Option<Option<Outcome>> {
        match &self.said {
            Said::Never => Some(None),
            Said::Nothing => None,
            Said::Outcome(_) if self.listeners.last().is_some_and(|last| number < *last) => Some(Some(Outcome::Superseded)),
            Said::Outcome(outcome) => Some(Some((**outcome).clone())),
        }
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

    /// Ready when nobody listens any more; then the login is taken off the list so that nobody can join it.
    pub(super) fn poll_alone(&mut self, context: &Context<'_>) -> Poll<()> {
        loop {
            let mut meeting = self.shared.lock();
            if !meeting.listeners.is_empty() {
                meeting.waiting = Some(context.waker().clone());
                return Poll::Pending;
            }
            drop(meeting);
            if self.is_alone() {
                return Poll::Ready(());
            }
        }
    }

    /// How often the same was asked again, and when last.
    pub(super) fn repeats(&self) -> (u32, Option<Instant>) {
        let meeting = self.shared.lock();
        (meeting.repeats, meeting.heard)
    }

    /// Tells all who listen; who asks the same from now on begins anew.
    pub(super) fn say(mut self, outcome: Outcome) {
        self.leave();
        self.shared.say(Said::Outcome(Box::new(outcome)));
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
        self.shared.say(Said::Never);
    }
}

/// One asker's place in a login. Holds nothing that could speak: where the login breaks off, all places hear that it did.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    number: u32,
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
            let mut meeting = shared.lock();
            let number = meeting.asked;
            meeting.asked = number.saturating_add(1);
            meeting.listeners.push(number);
            meeting.again();
            return Entered::Joined(Place { shared: Arc::clone(shared), number });
        }
        if logins.len() >= self.logins_max {
            return Entered::Full;
        }
        let shared = Arc::new(Shared(Mutex::new(Meeting {
            said: Said::Nothing,
            listeners: vec![0],
            asked: 1,
            repeats: 0,
            heard: None,
            ears: Vec::new(),
            waiting: None,
        })));
        logins.insert(same, Arc::clone(&shared));
        let place = Place { shared: Arc::clone(&shared), number: 0 };
        Entered::First(Seat { running: Arc::clone(self), same, shared, is_listed: true }, place)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Sameness, Arc<Shared>>> {
        self.logins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The same packet came again: whoever sent it still waits.
    pub(super) fn again(&self) {
        self.shared.lock().again();
    }

    /// Calls `ear` when something is said; never, when this place is left before. Where it was said already, it is given back with that.
    pub(super) fn listen(&self, ear: Box<dyn Ear>) -> Option<(Box<dyn Ear>, Outcome)> {
        let mut meeting = self.shared.lock();
        if let Some(heard) = meeting.heard(self.number) {
            return Some((ear, heard.unwrap_or_else(Outcome::broken_off)));
        }
        // Seldom is there a second.
        meeting.ears.reserve_exact(1);
        meeting.ears.push((self.number, ear));
        None
    }

    /// What was said so far; the inner `None` when the login broke off.
    pub(super) fn heard(&self) -> Option<Option<Outcome>> {
        self.shared.lock().heard(self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut meeting = self.shared.lock();
        meeting.listeners.retain(|number| *number != self.number);
        let at = meeting.ears.iter().position(|(number, _)| *number == self.number);
        let ear = at.map(|at| meeting.ears.swap_remove(at));
        let waiting = if meeting.listeners.is_empty() { meeting.waiting.take() } else { None };
        drop(meeting);
        drop(ear);
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}
