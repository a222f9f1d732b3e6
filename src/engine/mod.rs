//! The loop: the one place that waits between a question and its answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::AuthRequest;
use crate::domain::Decision;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::ports::Clock;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;
use crate::ports::Store;

/// How much may go on at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins running at once.
    pub logins_max: usize,
    /// Challenges waiting for an answer at once.
    pub parked_max: usize,
    /// How long a challenge can be answered.
    pub challenge_keep: Duration,
}

/// Runs logins.
#[derive(Debug)]
pub struct Engine {}

/// The answer to a challenge, as a door understood it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The State that came back.
    pub state: Vec<u8>,
    /// The client's name in the configuration.
    pub client: String,
    /// The name as typed.
    pub login: String,
    /// As in [`AuthRequest::seat`].
    pub seat: Vec<u8>,
    /// What the person typed.
    pub code: Secret,
}

/// A login under way. Dropping it gives the login up: a question to the person is taken back and a late approval opens nothing.
#[derive(Debug)]
pub struct Login {}

/// How a login ended for the one who asked.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Ask the person `prompt`; whoever answers must bring `state`.
    Challenge {
        /// 32 random bytes.
        state: Vec<u8>,
        /// What to ask.
        prompt: String,
    },
    /// Decided.
    Decided(Arc<Decision>),
    /// The same login was asked again and the later asker gets the answer: say nothing.
    Superseded,
}

impl Engine {
    /// An engine without providers.
    #[must_use]
    pub fn new(_store: Arc<dyn Store>, _clock: Arc<dyn Clock>, _limits: Limits) -> Arc<Self> {
        Arc::new(Self {})
    }

    /// Takes these providers from the next login on, by their names in the configuration.
    pub fn equip(&self, _providers: HashMap<String, Arc<dyn Provider>>) {}

    /// Begins a login that must end `within` that time. The same request while it runs joins it: one login, one push.
    pub fn login(self: &Arc<Self>, _request: AuthRequest, _rules: Arc<Rules>, _check: Arc<dyn PrimaryCheck>, _within: Duration) -> Login {
        Login {}
    }

    /// Takes a parked login up again. A State is good once, for the client, name and seat it was given to.
    pub fn answer(self: &Arc<Self>, _answer: Answer, _within: Duration) -> Login {
        Login {}
    }

    /// Logins running now.
    #[must_use]
    pub fn running(&self) -> usize {
        0
    }
}

impl Login {
    /// Waits for the end.
    pub async fn outcome(self) -> Outcome {
        Outcome::Superseded
    }
}
