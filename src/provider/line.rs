//! The line of those who wait for somebody to take up a phone: who may look next how the question stands.
//!
//! A thousand people may wait on a provider that bears a hundred requests. So nobody holds a request while waiting: each stands in this line, which lets a
//! bounded number look at a time, and so many in a second. First come due, first looked at. Whoever leaves (the future is dropped) leaves no gap.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

/// What all who wait for one provider share.
#[derive(Debug)]
pub(super) struct Line {
    /// Whose turn it is holds it until he may look; those behind stand in the order in which they came due.
    gate: tokio::sync::Mutex<()>,
    /// The moment for which the next look is within the budget.
    next: Mutex<Instant>,
    /// Looks that may last until there is news.
    patient: Semaphore,
    /// Looks that are broken off when the answer does not come at once.
    brief: Semaphore,
    waiting: AtomicUsize,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    line: &'a Line,
    since: Instant,
    looked: Option<Instant>,
}

/// Leave for one look, and the place it takes while it lasts.
#[derive(Debug)]
pub(super) struct Look<'a> {
    /// Whether it may last until there is news.
    pub(super) patient: bool,
    _place: SemaphorePermit<'a>,
}

impl Line {
    /// Looks in a second, over all who wait.
    pub(super) const LOOKS_PER_S_MAX: u64 = 3_000;
    /// Looks at a time that may last, and that may not: as many requests are open at most, and over HTTP/1.1 as many connections.
    pub(super) const PATIENT_MAX: usize = 200;
    pub(super) const BRIEF_MAX: usize = 120;

    pub(super) fn new() -> Self {
        Self {
            gate: tokio::sync::Mutex::new(()),
            next: Mutex::new(Instant::now()),
            patient: Semaphore::new(Self::PATIENT_MAX),
            brief: Semaphore::new(Self::BRIEF_MAX),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Begins to wait. The first look is due at once while there are few, and else a little later: nobody takes up a phone so fast.
    pub(super) fn join(&self) -> Waiting<'_> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        Waiting { line: self, since, looked: (before >= Self::PATIENT_MAX).then_some(since) }
    }

    /// A look cost more than a request: the next ones come so much later.
    pub(super) fn charge(&self, cost: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = later(not_long_ago(*next), cost);
    }

    /// Waits for the moment that the budget allows, and for a place; those behind wait as long.
    async fn admit(&self) -> Look<'_> {
        let _first = self.gate.lock().await;
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep_until(next).await;
        // Neither is ever closed; were one to be, nobody would be let through.
        let look = tokio::select! {
            biased;
            Ok(place) = self.patient.acquire() => Look { patient: true, _place: place },
            Ok(place) = self.brief.acquire() => Look { patient: false, _place: place },
            else => std::future::pending().await,
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = later(not_long_ago(*next), PER_LOOK);
        look
    }

    /// How long to let an old question be: a second, or as long as it takes to look at everybody once.
    fn gap_max(&self) -> Duration {
        let waiting = u32::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        PER_LOOK.saturating_mul(waiting).max(GAP_MAX)
    }
}

impl<'a> Waiting<'a> {
    /// Waits until it is time to look again. A question is looked at again after a quarter of its age: people answer soon or late, and seldom just now.
    pub(super) async fn turn(&mut self) -> Look<'a> {
        if let Some(due) = self.due() {
            tokio::time::sleep_until(due).await;
        }
        let look = self.line.admit().await;
        self.looked = Some(Instant::now());
        look
    }

    /// When the next look is due; `None`: now.
    pub(super) fn due(&self) -> Option<Instant> {
        let looked = self.looked?;
        let age = looked.saturating_duration_since(self.since);
        let gap = age.checked_div(4).unwrap_or_default().clamp(GAP_MIN, self.line.gap_max());
        Some(later(looked, gap))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.line.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

/// The timer ticks in milliseconds: what was not used of the last few is not lost, and no more than that.
fn not_long_ago(moment: Instant) -> Instant {
    let now = Instant::now();
    moment.max(now.checked_sub(LAG_MAX).unwrap_or(now))
}

const PER_LOOK: Duration = Duration::from_nanos(1_000_000_000 / Line::LOOKS_PER_S_MAX);
const LAG_MAX: Duration = Duration::from_millis(5);
const GAP_MIN: Duration = Duration::from_millis(250);
const GAP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
