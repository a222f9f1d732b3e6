//! What each login counts: names and labels are looked up once and not with each login.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::FIRST_FACTOR;
use super::LATE_APPROVALS;
use super::LOGIN;
use super::LOGINS;
use super::PARKED;
use super::RINGS;
use super::RUNNING;
use super::SECOND_FACTOR;
use super::STALE_PASSWORDS;
use super::STORE_COMMIT;
use super::UNKNOWN_NAMES;
use super::WAITING;
use super::float;
use crate::domain::Ending;

/// What the engine counts: names and labels are looked up once and not with each login.
pub struct Counts {
    running: ::metrics::Gauge,
    parked: ::metrics::Gauge,
    waiting: ::metrics::Gauge,
    commit: ::metrics::Histogram,
    /// By client, of which there are as many as are configured; the words of a decision are few and ours.
    logins: Mutex<HashMap<String, Vec<(Words, ::metrics::Counter)>>>,
    /// By two labels: door and decision, or provider and method. As few as are configured.
    times: Mutex<HashMap<&'static str, Vec<(Pair, ::metrics::Histogram)>>>,
}

/// Door, decision and why.
type Words = [&'static str; 3];
type Pair = (String, &'static str);

impl Counts {
    /// Counts with the recorder that is there now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            running: ::metrics::gauge!(RUNNING),
            parked: ::metrics::gauge!(PARKED),
            waiting: ::metrics::gauge!(WAITING),
            commit: ::metrics::histogram!(STORE_COMMIT),
            logins: Mutex::default(),
            times: Mutex::default(),
        }
    }

    /// So many logins run now.
    pub fn running(&self, count: usize) {
        self.running.set(float(count));
    }

    /// So many challenges wait for an answer now.
    pub fn parked(&self, count: usize) {
        self.parked.set(float(count));
    }

    /// So many people are waited for now.
    pub fn waiting(&self, count: usize) {
        self.waiting.set(float(count));
    }

    /// A commit took so long until it was on disk, or until it was known that it is not.
    pub fn committed(&self, took: Duration) {
        self.commit.record(took);
    }

    /// How long a login and its stages took.
    pub fn stages(&self, ending: &Ending) {
        let door = ending.door.as_str();
        self.took(LOGIN, door, ending.fate.as_str(), ending.ms, |door, decision| ::metrics::histogram!(LOGIN, "door" => door, "decision" => decision));
        if let Some(ms) = ending.first_ms() {
            self.took(FIRST_FACTOR, door, "", ms, |door, _| ::metrics::histogram!(FIRST_FACTOR, "door" => door));
        }
        if let (Some(ms), Some(asked)) = (ending.second_ms(), &ending.asked) {
            self.took(
                SECOND_FACTOR,
                &asked.provider,
                asked.method.as_str(),
                ms,
                |provider, method| ::metrics::histogram!(SECOND_FACTOR, "provider" => provider, "method" => method),
            );
        }
    }

    fn took(&self, name: &'static str, first: &str, second: &'static str, ms: u32, make: impl FnOnce(String, &'static str) -> ::metrics::Histogram) {
        let seconds = f64::from(ms) / 1_000.0;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let known = times.entry(name).or_default();
        if let Some((_, times)) = known.iter().find(|((one, other), _)| one == first && *other == second) {
            return times.record(seconds);
        }
        let made = make(first.to_owned(), second);
        made.record(seconds);
        known.push(((first.to_owned(), second), made));
    }

    /// Somebody was rung, or would have been.
    pub fn ring(&self, method: &'static str, outcome: &'static str) {
        ::metrics::counter!(RINGS, "method" => method, "outcome" => outcome).increment(1);
    }

    /// An approval was thrown away.
    pub fn late_approval(&self) {
        ::metrics::counter!(LATE_APPROVALS).increment(1);
    }

    /// A wrong password was known.
    pub fn stale(&self, door: &'static str) {
        ::metrics::counter!(STALE_PASSWORDS, "door" => door).increment(1);
    }

    /// A name was nobody's.
    pub fn nobody(&self, door: &'static str, outcome: &'static str) {
        ::metrics::counter!(UNKNOWN_NAMES, "door" => door, "outcome" => outcome).increment(1);
    }

    /// A login was decided.
    pub fn login(&self, door: &'static str, client: &str, decision: &'static str, why: &'static str) {
        let words = [door, decision, why];
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = logins.get(client).and_then(|counters| counters.iter().find(|(known, _)| *known == words)) {
            return counter.increment(1);
        }
        let counter = ::metrics::counter!(LOGINS, "door" => door, "client" => client.to_owned(), "decision" => decision, "why" => why);
        counter.increment(1);
        logins.entry(client.to_owned()).or_default().push((words, counter));
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

/// One counter for each client, looked up once and not with each request.
pub struct ByClient {
    name: &'static str,
    counters: HashMap<String, ::metrics::Counter>,
}

impl ByClient {
    /// Counts under this name, with the label `client`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, counters: HashMap::new() }
    }

    /// One more of this client, of which there are as many as are configured.
    pub fn count(&mut self, client: &str) {
        if let Some(counter) = self.counters.get(client) {
            return counter.increment(1);
        }
        let counter = ::metrics::counter!(self.name, "client" => client.to_owned());
        counter.increment(1);
        self.counters.insert(client.to_owned(), counter);
    }
}

impl fmt::Debug for ByClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByClient").field("name", &self.name).finish_non_exhaustive()
    }
}
