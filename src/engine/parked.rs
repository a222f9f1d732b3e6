//! Flows that wait for a person's answer, by State token: bounded, single use, bound to who was asked.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Answer;
use super::Engine;
use super::Providers;
use super::out::Out;
use crate::domain::Flow;
use crate::domain::Identity;
use crate::domain::Trail;
use crate::ports::Aside;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;

/// Open challenges of one identity; one more throws out its oldest, so that a stolen password cannot fill the table.
const PER_IDENTITY_MAX: usize = 8;
/// Letters of a State: 258 random bits.
pub(super) const STATE_LEN: usize = 43;
/// What a State is spelled with. It is octets to the protocol and text to some clients, who end it at a zero octet (ocserv 1.1) and bring back half of it.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub(super) type State = [u8; STATE_LEN];

/// Spells a State with these random bytes.
pub(super) fn spelled(random: [u8; STATE_LEN]) -> State {
    random.map(|byte| LETTERS.get(usize::from(byte & 63)).copied().unwrap_or(b'-'))
}

/// Parked flows. All are kept equally long, so the oldest is first out.
pub(super) struct Parked {
    flows: HashMap<State, Car>,
    oldest: VecDeque<(Instant, State)>,
    by_identity: HashMap<Identity, VecDeque<State>>,
    /// Questions of flows that were taken out and whose turn has not come yet, by the State that was shown: still out, and to be hushed like the others.
    awake: HashMap<Identity, Vec<(State, Out)>>,
    count_max: usize,
    keep: Duration,
}

/// A flow and all it goes on with.
pub(super) struct Car {
    pub(super) flow: Flow,
    /// Those it began with: a reload is for logins that begin after it.
    pub(super) providers: Arc<Providers>,
    /// The first factor, where it may be asked again.
    pub(super) check: Option<Arc<dyn PrimaryCheck>>,
    pub(super) entry: Option<Box<Entry>>,
    pub(super) aside: Option<Box<Aside>>,
    /// The question that stays out meanwhile; it is taken back with the car. Taken out of the table, it is [`Self::awake`].
    pub(super) open: Option<Out>,
    /// Under what the question lies until the turn of who answers has come.
    pub(super) awake: Option<(Identity, State)>,
    /// When it set out, and what happened since.
    pub(super) set_out: Instant,
    pub(super) trail: Trail,
    pub(super) until: Instant,
}

/// A question that is out while who answers it waits for their turn: until then it can be hushed. Dropped unclaimed, it is taken back.
pub(super) struct Awake {
    pub(super) engine: Arc<Engine>,
    pub(super) place: (Identity, State),
}

/// Without States: whoever has one may answer.
impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").field("count", &self.flows.len()).finish_non_exhaustive()
    }
}

/// Without the place that a State before it had.
impl fmt::Debug for Car {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Car").field("flow", &self.flow).field("until", &self.until).finish_non_exhaustive()
    }
}

impl fmt::Debug for Awake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awake").field("who", &self.place.0).finish_non_exhaustive()
    }
}

impl Awake {
    /// The question; `None` where it was hushed meanwhile.
    pub(super) fn claim(&self) -> Option<Out> {
        let (who, state) = &self.place;
        self.engine.parked.lock().unwrap_or_else(PoisonError::into_inner).claim(who, state)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        drop(self.claim());
    }
}

impl Parked {
    pub(super) fn new(count_max: usize, keep: Duration) -> Self {
        Self { flows: HashMap::new(), oldest: VecDeque::new(), by_identity: HashMap::new(), awake: HashMap::new(), count_max, keep }
    }

    pub(super) fn count(&self) -> usize {
        self.flows.len()
    }

    /// How long a flow put in now is kept.
    pub(super) fn until(&self, now: Instant) -> Instant {
        now.checked_add(self.keep).unwrap_or(now)
    }

    /// Keeps a flow under a State that nobody can guess; gives it back when all places are taken.
    ///
    /// A flow in which nothing is proven yet anybody can make: where all places are taken by such, the oldest goes.
    pub(super) fn put(&mut self, now: Instant, state: State, car: Car) -> Result<(), Box<Car>> {
        self.sweep(now);
        let who = car.flow.proven().cloned();
        if let Some(who) = &who
            && let Some(states) = self.by_identity.get(who).filter(|states| states.len() >= PER_IDENTITY_MAX)
            && let Some(first) = states.front().copied()
        {
            self.remove(&first);
        }
        if self.flows.len() >= self.count_max {
            if who.is_some() {
                return Err(Box::new(car));
            }
            while self.flows.len() >= self.count_max {
                let Some((_, oldest)) = self.oldest.pop_front() else { return Err(Box::new(car)) };
                self.remove(&oldest);
            }
        }
        if self.oldest.len() >= self.count_max.saturating_mul(2) {
            self.oldest.retain(|(_, state)| self.flows.contains_key(state));
        }
        self.oldest.push_back((car.until, state));
        if let Some(who) = who {
            self.by_identity.entry(who).or_default().push_back(state);
        }
        self.flows.insert(state, car);
        Ok(())
    }

    /// Takes the flow out, for whoever was asked and in time. A State that was shown is used up whatever comes of it.
    pub(super) fn take(&mut self, now: Instant, answer: &Answer) -> Option<Car> {
        self.sweep(now);
        let state: State = answer.state.expose().try_into().ok()?;
        let mut car = self.remove(&state)?;
        let request = car.flow.request();
        let theirs = request.client == answer.client && request.seat == answer.seat && spelled_alike(&request.login, &answer.login);
        if !theirs || now >= car.until {
            return None;
        }
        if let Some(who) = car.flow.proven().cloned()
            && let Some(out) = car.open.take()
        {
            car.awake = Some((who.clone(), state));
            self.awake.entry(who).or_default().push((state, out));
        }
        Some(car)
    }

    fn claim(&mut self, who: &Identity, state: &State) -> Option<Out> {
        let outs = self.awake.get_mut(who)?;
        let claimed = outs.iter().position(|(theirs, _)| theirs == state).map(|at| outs.swap_remove(at).1);
        if outs.is_empty() {
            self.awake.remove(who);
        }
        claimed
    }

    /// Throws out those of this identity who wait for an answer on the phone.
    pub(super) fn hush(&mut self, who: &Identity) {
        self.awake.remove(who);
        for state in self.by_identity.get(who).cloned().unwrap_or_default() {
            if self.flows.get(&state).is_some_and(|car| car.open.is_some()) {
                self.remove(&state);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_quiet(&self) -> bool {
        self.awake.is_empty()
    }

    fn remove(&mut self, state: &State) -> Option<Car> {
        let car = self.flows.remove(state)?;
        if let Some(who) = car.flow.proven()
            && let Some(states) = self.by_identity.get_mut(who)
        {
            states.retain(|other| other != state);
            if states.is_empty() {
                self.by_identity.remove(who);
            }
        }
        Some(car)
    }

    /// Throws out whoever waits no longer.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((until, state)) = self.oldest.front().copied() {
            if now < until && self.flows.contains_key(&state) {
                return;
            }
            self.oldest.pop_front();
            self.remove(&state);
        }
    }
}

fn spelled_alike(one: &str, two: &str) -> bool {
    one.trim().to_lowercase() == two.trim().to_lowercase()
}
