//! How often one person is rung: so many in a while, so many in a day, and a rest after what was not approved (M-10, M-28).

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use crate::domain::Asking;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::FactorError;
use crate::domain::Flow;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Pushes;
use crate::domain::Trace;

/// People who were rung in the last day and have approved nothing since. Nobody is thrown out for another: whoever finds no place is not rung.
const PEOPLE_MAX: usize = 100_000;
/// Moments kept of one person; the configuration allows for no more in a day.
const TIMES_MAX: usize = 1_000;
/// Starts of one person's that broke off and may have rung, and are not counted: as many as it takes to find that a provider is away.
const DOUBTFUL_MAX: u32 = 3;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest rest.
const REST_MAX: Duration = Duration::from_secs(60 * 60);

/// Who was rung when, over all doors, clients and methods. An approval wipes it out; so does a restart, for it is in memory alone.
#[derive(Debug)]
pub(super) struct Rings {
    table: Mutex<HashMap<Identity, Rung>>,
    people_max: usize,
}

/// One person, since the last approval.
#[derive(Debug, Default)]
struct Rung {
    /// When, the latest last.
    at: VecDeque<Instant>,
    /// The login whose rings have had no answer yet.
    open: Option<Open>,
    /// When it was last tried, whether or not it rang.
    tried: Option<Instant>,
    /// How many that may have rung were not counted.
    doubtful: u32,
    /// How many in a row were denied or ignored.
    unheard: u32,
    rest_until: Option<Instant>,
    /// It was said that the day's are used up.
    day_told: bool,
}

/// The rings of one login that are without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    trace: Trace,
    /// One for each method that may have rung.
    rings: u32,
}

/// Why somebody is not rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spared {
    /// As often in a day as the policy allows for.
    Day,
    /// The table has no place.
    Full,
    /// The last one was not approved, and it is not long ago.
    Rest,
    /// As often in a while as the policy allows for.
    While,
}

impl Spared {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Full => "full",
            Self::Rest => "rest",
            Self::While => "while",
        }
    }
}

impl Spared {
    /// The word of the audit, which says what an administrator can do about it.
    pub(super) fn detail(self) -> &'static str {
        match self {
            Self::Day => "rung as often as pushes.day_max allows in a day: `vestibule user unlock` ends that",
            Self::Full => "no place to count another person's pushes",
            Self::Rest => "rung not long ago and not approved: pushes.backoff",
            Self::While => "rung as often as pushes.count_max allows in a while",
        }
    }
}

impl Default for Rings {
    fn default() -> Self {
        Self { table: Mutex::default(), people_max: PEOPLE_MAX }
    }
}

impl Rings {
    /// Counts one more before it rings, or says why it may not. One that the same login has out counts for itself and is not taken for ignored.
    fn admit(&self, now: Instant, who: &Identity, trace: Trace, pushes: Pushes) -> Result<(), Spared> {
        let mut table = self.lock();
        if table.len() >= self.people_max && !table.contains_key(who) {
            table.retain(|_, rung| !rung.is_over(now));
            if table.len() >= self.people_max {
                // Where there are no bounds nobody needs to be counted.
                return if pushes == Pushes::default() { Ok(()) } else { Err(Spared::Full) };
            }
        }
        let rung = table.entry(who.clone()).or_default();
        rung.admit(now, trace, pushes)
    }

    /// It did not ring after all, or nobody knows: that is believed a few times, until it is known whether the provider is away.
    fn unrung(&self, who: &Identity, trace: Trace, doubtful: bool) {
        let mut table = self.lock();
        let Some(rung) = table.get_mut(who) else { return };
        let Some(open) = rung.open.filter(|open| open.trace == trace) else { return };
        if doubtful && rung.doubtful >= DOUBTFUL_MAX {
            return;
        }
        rung.doubtful = rung.doubtful.saturating_add(u32::from(doubtful));
        // What the same login has rung before by another method still has no answer.
        rung.open = Some(Open { rings: open.rings.saturating_sub(1), ..open }).filter(|open| open.rings > 0);
        rung.at.pop_back();
        if rung.at.is_empty() && rung.doubtful == 0 && rung.rest_until.is_none() {
            table.remove(who);
        }
    }

    /// The question that an earlier login left out is this one's from now on.
    fn take_over(&self, who: &Identity, trace: Trace) {
        if let Some(open) = self.lock().get_mut(who).and_then(|rung| rung.open.as_mut()) {
            open.trace = trace;
        }
    }

    /// What came of the ring of this login, if it had one.
    fn end(&self, now: Instant, who: &Identity, trace: Trace, end: End, pushes: Pushes) {
        let mut table = self.lock();
        if end == End::Approved {
            table.remove(who);
        } else if let Some(rung) = table.get_mut(who).filter(|rung| rung.is_of(trace)) {
            rung.open = None;
            if end == End::Unheard {
                rung.rest(now, pushes);
            }
        }
    }

    pub(super) fn forget(&self, who: &Identity) {
        self.lock().remove(who);
    }

    /// Whether it is news that this person may be rung no more today: said once, until somebody is rung again.
    fn is_news(&self, who: &Identity) -> bool {
        self.lock().get_mut(who).is_some_and(|rung| !std::mem::replace(&mut rung.day_told, true))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, Rung>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A second factor passed.
    Approved,
    /// Something else ended the login: a wrong code, a provider that broke.
    Other,
    /// Denied or ignored.
    Unheard,
}

impl Rung {
    fn admit(&mut self, now: Instant, trace: Trace, pushes: Pushes) -> Result<(), Spared> {
        if self.is_over(now) {
            *self = Self::default();
        }
        while self.at.len() >= TIMES_MAX || self.at.front().is_some_and(|at| now.saturating_duration_since(*at) >= DAY) {
            self.at.pop_front();
        }
        // Whoever has not waited for the answer, or never came back for it, has ignored it: else leaving early would be a way around the rest.
        if self.open.is_some_and(|open| open.trace != trace)
            && let Some(last) = self.at.back().copied()
        {
            self.open = None;
            self.rest(last, pushes);
        }
        if self.rest_until.is_some_and(|until| now < until) {
            return Err(Spared::Rest);
        }
        let within = Duration::from_millis(pushes.per_ms);
        let lately = self.at.iter().rev().take_while(|at| now.saturating_duration_since(**at) < within).count();
        if reached(lately, pushes.count_max) {
            return Err(Spared::While);
        }
        if reached(self.at.len(), pushes.day_max) {
            return Err(Spared::Day);
        }
        self.at.push_back(now);
        self.tried = Some(now);
        let before = self.open.map_or(0, |open| open.rings);
        self.open = Some(Open { trace, rings: before.saturating_add(1) });
        self.day_told = false;
        Ok(())
    }

    /// Nobody is rung for a while after `since`, and each time for twice as long.
    fn rest(&mut self, since: Instant, pushes: Pushes) {
        let doubled = 1_u64.checked_shl(self.unheard).unwrap_or(u64::MAX).max(1);
        let rest = Duration::from_millis(pushes.backoff_ms.saturating_mul(doubled)).min(REST_MAX);
        self.unheard = self.unheard.saturating_add(1);
        // One policy's short rest does not end another's long one.
        self.rest_until = since.checked_add(rest).max(self.rest_until);
    }

    fn is_of(&self, trace: Trace) -> bool {
        self.open.is_some_and(|open| open.trace == trace)
    }

    /// Nothing of it counts any more.
    fn is_over(&self, now: Instant) -> bool {
        self.tried.is_none_or(|last| now.saturating_duration_since(last) >= DAY) && self.rest_until.is_none_or(|until| until <= now)
    }
}

fn reached(count: usize, count_max: u32) -> bool {
    count_max > 0 && u32::try_from(count).unwrap_or(u32::MAX) >= count_max
}

impl Engine {
    /// Somebody is about to be rung: not too often, and not by two questions at once.
    pub(super) fn ring(&self, pushes: Pushes, asking: &Asking) -> Result<(), Spared> {
        if asking.choice.method == Method::Oath {
            return Ok(());
        }
        let method = asking.choice.method.as_str();
        if let Err(spared) = self.rings.admit(Instant::now(), &asking.identity, asking.trace, pushes) {
            self.counts.ring(method, spared.as_str());
            tracing::warn!(identity = ?asking.identity, client = asking.client, method, why = spared.as_str(), "not rung: too often without an approval");
            if spared == Spared::Day && self.rings.is_news(&asking.identity) {
                self.alarm_of_day(asking);
            }
            return Err(spared);
        }
        self.counts.ring(method, "rung");
        self.hush(&asking.identity);
        Ok(())
    }

    /// What came of a start. Nothing has rung where the provider let in, or says that it asked nobody. A request that broke off may have rung; but an outage must
    /// not use up what a person may be rung, and close the next provider too.
    pub(super) fn rang(&self, asking: &Asking, progress: &Result<Progress, FactorError>) {
        let doubtful = match progress {
            Ok(Progress::Allowed { .. } | Progress::Waived)
            | Err(FactorError::Misconfigured | FactorError::NoPin | FactorError::NotEnrolled | FactorError::Throttled | FactorError::Unreachable) => false,
            Err(FactorError::Faltering) => true,
            Ok(_) | Err(_) => return,
        };
        if asking.choice.method != Method::Oath {
            self.rings.unrung(&asking.identity, asking.trace, doubtful);
        }
    }

    /// A question that an earlier login left out is gone on with: it is not rung again.
    pub(super) fn still_rings(&self, who: &Identity, trace: Trace) {
        self.rings.take_over(who, trace);
    }

    /// What the end of a login says of its ring.
    pub(super) fn rung_out(&self, flow: &Flow, who: Option<&Identity>, decision: &Decision) {
        let (who, end) = match decision {
            Decision::Accept(permit) if permit.why() == Grant::Factor => (Some(permit.identity()), End::Approved),
            Decision::Accept(permit) => (Some(permit.identity()), End::Other),
            Decision::Reject(Denial::FactorDenied | Denial::FraudReported | Denial::NoAnswer) => (who, End::Unheard),
            Decision::Drop(_) | Decision::Reject(_) => (who, End::Other),
        };
        if let Some(who) = who {
            self.rings.end(Instant::now(), who, flow.trace(), end, flow.rules().pushes);
        }
    }

    /// A rehearsal is over: its ring, if it still has one, is neither approved nor ignored.
    pub(super) fn rehearsed(&self, flow: &Flow, who: &Identity) {
        self.rings.end(Instant::now(), who, flow.trace(), End::Other, flow.rules().pushes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSHES: Pushes = Pushes { count_max: 3, per_ms: 300_000, day_max: 10, backoff_ms: 30_000 };
    const MINUTE: Duration = Duration::from_secs(60);

    fn who(number: usize) -> Identity {
        Identity(number.to_string())
    }

    /// One ring of the login of this number, ended so.
    fn rings(table: &Rings, now: Instant, login: u128, end: Option<End>, pushes: Pushes) -> Result<(), Spared> {
        table.admit(now, &who(1), Trace(login), pushes)?;
        if let Some(end) = end {
            table.end(now, &who(1), Trace(login), end, pushes);
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_three_in_five_minutes_and_ten_in_a_day_since_the_last_approval() {
        let (table, free) = (Rings::default(), Pushes { backoff_ms: 0, ..PUSHES });
        let mut now = Instant::now();
        let mut told = Vec::new();
        for login in 0..100 {
            told.push(rings(&table, now, login, Some(End::Unheard), free));
            now += MINUTE;
        }
        let rung = told.iter().filter(|told| told.is_ok()).count();
        assert_eq!(rung, 10, "{told:?}");
        assert_eq!(&told[..6], &[Ok(()), Ok(()), Ok(()), Err(Spared::While), Err(Spared::While), Ok(())]);
        assert_eq!(told.last(), Some(&Err(Spared::Day)));
        now += DAY;
        assert_eq!(rings(&table, now, 200, Some(End::Approved), free), Ok(()), "another day");
        for login in 201..204 {
            assert_eq!(rings(&table, now, login, Some(End::Unheard), free), Ok(()), "an approval begins anew");
        }
        assert_eq!(rings(&table, now, 204, None, free), Err(Spared::While));
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_each_that_is_denied_or_ignored_doubles_the_rest_up_to_an_hour() {
        let (table, endless) = (Rings::default(), Pushes { count_max: 0, day_max: 0, ..PUSHES });
        let mut now = Instant::now();
        for (login, seconds) in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600].into_iter().enumerate() {
            let login = u128::try_from(login).unwrap();
            assert_eq!(rings(&table, now, login, Some(End::Unheard), endless), Ok(()));
            now += Duration::from_secs(seconds - 1);
            assert_eq!(rings(&table, now, 1_000, None, endless), Err(Spared::Rest), "{seconds}");
            now += Duration::from_secs(1);
        }
        assert_eq!(rings(&table, now, 2_000, Some(End::Approved), endless), Ok(()));
        assert_eq!(rings(&table, now, 2_001, Some(End::Unheard), endless), Ok(()), "an approval ends the rest and the count");
        assert_eq!(rings(&table, now + Duration::from_secs(30), 2_002, None, endless), Ok(()), "from the start");
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_leaving_before_the_answer_is_no_way_around_the_rest() {
        let table = Rings::default();
        let now = Instant::now();
        assert_eq!(rings(&table, now, 1, None, PUSHES), Ok(()));
        assert_eq!(rings(&table, now + Duration::from_secs(29), 2, None, PUSHES), Err(Spared::Rest));
        assert_eq!(rings(&table, now + Duration::from_secs(30), 3, None, PUSHES), Ok(()), "half a minute after it rang");
        assert_eq!(rings(&table, now + Duration::from_secs(89), 4, None, PUSHES), Err(Spared::Rest), "and a minute after the next");
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_one_login_that_rings_by_two_methods_counts_twice_and_does_not_rest() {
        let table = Rings::default();
        let now = Instant::now();
        for expected in [Ok(()), Ok(()), Ok(()), Err(Spared::While)] {
            assert_eq!(rings(&table, now, 1, None, PUSHES), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_a_second_method_that_did_not_ring_leaves_the_first_ones_ring_open() {
        let table = Rings::default();
        let now = Instant::now();
        assert_eq!(rings(&table, now, 1, None, PUSHES), Ok(()));
        assert_eq!(rings(&table, now, 1, None, PUSHES), Ok(()), "the next method of the same login");
        table.unrung(&who(1), Trace(1), false);
        assert_eq!(table.lock()[&who(1)].at.len(), 1);
        assert_eq!(rings(&table, now + Duration::from_secs(29), 2, None, PUSHES), Err(Spared::Rest), "the first was left without an answer");
        let table = Rings::default();
        assert_eq!((rings(&table, now, 1, None, PUSHES), rings(&table, now, 1, None, PUSHES)), (Ok(()), Ok(())));
        table.unrung(&who(1), Trace(1), false);
        table.end(now, &who(1), Trace(1), End::Unheard, PUSHES);
        assert_eq!(table.lock()[&who(1)].unheard, 1, "and denied it counts as denied");
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_what_did_not_ring_is_not_counted_and_what_was_left_out_is_counted_once() {
        let table = Rings::default();
        let now = Instant::now();
        for login in 0..50 {
            assert_eq!(rings(&table, now, login, None, PUSHES), Ok(()));
            table.unrung(&who(1), Trace(login), false);
        }
        assert!(table.lock().is_empty());
        for login in 50..56 {
            assert_eq!(rings(&table, now, login, None, Pushes { backoff_ms: 0, ..PUSHES }), Ok(()), "three may have rung and are not counted, three are");
            table.unrung(&who(1), Trace(login), true);
        }
        assert_eq!(rings(&table, now, 56, None, Pushes { backoff_ms: 0, ..PUSHES }), Err(Spared::While));
        table.end(now, &who(1), Trace(56), End::Approved, PUSHES);
        assert_eq!(rings(&table, now, 100, None, PUSHES), Ok(()));
        table.take_over(&who(1), Trace(101));
        table.end(now, &who(1), Trace(100), End::Unheard, PUSHES);
        assert_eq!(table.lock()[&who(1)].open, Some(Open { trace: Trace(101), rings: 1 }), "its answer is the later login's");
        table.end(now, &who(1), Trace(101), End::Unheard, PUSHES);
        let table = table.lock();
        assert_eq!((table[&who(1)].at.len(), table[&who(1)].unheard), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_a_full_table_rings_no_newcomer_and_forgets_no_victim() {
        let table = Rings { people_max: 3, ..Rings::default() };
        let now = Instant::now();
        for number in 0..3 {
            for login in 0..3 {
                let _ = table.admit(now, &who(number), Trace(login), Pushes { backoff_ms: 0, ..PUSHES });
            }
        }
        let admit = |now: Instant, number: usize, pushes: Pushes| table.admit(now, &who(number), Trace(9), pushes);
        for newcomer in 3..100 {
            assert_eq!(admit(now, newcomer, PUSHES), Err(Spared::Full));
        }
        assert_eq!(admit(now, 100, Pushes::default()), Ok(()), "without bounds there is nothing to remember");
        assert_eq!(admit(now, 1, Pushes { backoff_ms: 0, ..PUSHES }), Err(Spared::While));
        assert_eq!(admit(now + DAY, 3, PUSHES), Ok(()), "a day later there is room");
        assert_eq!(table.lock().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn m_10_the_strictest_of_several_policies_counts_all_rings() {
        let table = Rings::default();
        let now = Instant::now();
        for login in 0..5 {
            assert_eq!(rings(&table, now, login, None, Pushes::default()), Ok(()), "a policy without bounds");
        }
        assert_eq!(rings(&table, now, 9, None, Pushes { backoff_ms: 0, ..PUSHES }), Err(Spared::While), "what rang there counts here");
    }
}
