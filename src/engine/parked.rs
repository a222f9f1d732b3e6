//! Flows that wait for a person's answer, by State token: bounded, single use, bound to who was asked.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Answer;
use super::Providers;
use crate::domain::Flow;
use crate::domain::Identity;

/// Open challenges of one identity; one more throws out its oldest, so that a stolen password cannot fill the table.
const PER_IDENTITY_MAX: usize = 8;
/// Bytes of a State: 256 random bits.
pub(super) const STATE_LEN: usize = 32;

pub(super) type State = [u8; STATE_LEN];

/// Parked flows. All are kept equally long, so the oldest is first out.
#[derive(Debug)]
pub(super) struct Parked {
    flows: HashMap<State, Car>,
    oldest: VecDeque<(Instant, State)>,
    by_identity: HashMap<Identity, VecDeque<State>>,
    count_max: usize,
    keep: Duration,
}

#[derive(Debug)]
struct Car {
    flow: Flow,
    /// Those it began with: a reload is for logins that begin after it.
    providers: Arc<Providers>,
    until: Instant,
}

impl Parked {
    pub(super) fn new(count_max: usize, keep: Duration) -> Self {
        Self { flows: HashMap::new(), oldest: VecDeque::new(), by_identity: HashMap::new(), count_max, keep }
    }

    pub(super) fn count(&self) -> usize {
        self.flows.len()
    }

    /// Keeps a flow under a State that nobody can guess; `false` when all places are taken.
    pub(super) fn put(&mut self, now: Instant, state: State, flow: Flow, providers: Arc<Providers>) -> bool {
        self.sweep(now);
        let Some(who) = flow.proven().cloned() else { return false };
        if let Some(states) = self.by_identity.get(&who).filter(|states| states.len() >= PER_IDENTITY_MAX)
            && let Some(first) = states.front().copied()
        {
            self.remove(&first);
        }
        if self.flows.len() >= self.count_max {
            return false;
        }
        let until = now.checked_add(self.keep).unwrap_or(now);
        if self.oldest.len() >= self.count_max.saturating_mul(2) {
            self.oldest.retain(|(_, state)| self.flows.contains_key(state));
        }
        self.oldest.push_back((until, state));
        self.by_identity.entry(who).or_default().push_back(state);
        self.flows.insert(state, Car { flow, providers, until });
        true
    }

    /// Takes the flow out, for whoever was asked and in time. A State that was shown is used up whatever comes of it.
    pub(super) fn take(&mut self, now: Instant, answer: &Answer) -> Option<(Flow, Arc<Providers>)> {
        self.sweep(now);
        let state: State = answer.state.expose().try_into().ok()?;
        let car = self.remove(&state)?;
        let request = car.flow.request();
        let theirs = request.client == answer.client && request.seat == answer.seat && spelled_alike(&request.login, &answer.login);
        (theirs && now < car.until).then_some((car.flow, car.providers))
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

    fn sweep(&mut self, now: Instant) {
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
