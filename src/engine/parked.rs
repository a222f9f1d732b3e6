//! Flows that wait for a person's answer, by State token: bounded, single use, bound to who was asked.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::Answer;
use crate::domain::Flow;

/// Bytes of a State: 256 random bits.
pub(super) const STATE_LEN: usize = 32;

pub(super) type State = [u8; STATE_LEN];

/// Parked flows. All are kept equally long, so the oldest is first out.
#[derive(Debug)]
pub(super) struct Parked {
    flows: HashMap<State, Car>,
    oldest: VecDeque<(Instant, State)>,
    count_max: usize,
    keep: Duration,
}

#[derive(Debug)]
struct Car {
    flow: Flow,
    until: Instant,
}

impl Parked {
    pub(super) fn new(count_max: usize, keep: Duration) -> Self {
        Self { flows: HashMap::new(), oldest: VecDeque::new(), count_max, keep }
    }

    pub(super) fn count(&self) -> usize {
        self.flows.len()
    }

    /// Keeps a flow under a State that nobody can guess; `false` when all places are taken.
    pub(super) fn put(&mut self, now: Instant, state: State, flow: Flow) -> bool {
        self.sweep(now);
        if self.flows.len() >= self.count_max {
            return false;
        }
        let until = now.checked_add(self.keep).unwrap_or(now);
        self.oldest.push_back((until, state));
        self.flows.insert(state, Car { flow, until });
        true
    }

    /// Takes the flow out, for whoever was asked and in time. A State that was shown is used up whatever comes of it.
    pub(super) fn take(&mut self, now: Instant, answer: &Answer) -> Option<Flow> {
        let state: State = answer.state.as_slice().try_into().ok()?;
        let car = self.flows.remove(&state)?;
        let request = car.flow.request();
        let theirs = request.client == answer.client && request.seat == answer.seat && spelled_alike(&request.login, &answer.login);
        (theirs && now < car.until).then_some(car.flow)
    }

    fn sweep(&mut self, now: Instant) {
        while let Some((until, state)) = self.oldest.front().copied() {
            if now < until && self.flows.contains_key(&state) {
                return;
            }
            self.oldest.pop_front();
            self.flows.remove(&state);
        }
    }
}

fn spelled_alike(one: &str, two: &str) -> bool {
    one.trim().to_lowercase() == two.trim().to_lowercase()
}
