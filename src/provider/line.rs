//! The line of those who wait for somebody to take up a phone: who may look next how the question stands.
//!
//! A thousand people may wait on a provider that bears a hundred requests. So nobody holds a request while waiting: each stands in this line, which lets a
//! bounded number look at a time, and so many in a second. First come due, first looked at. Whoever leaves (the future is dropped) leaves no gap.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// What all who wait for one provider share.
#[derive(Debug)]
pub(super) struct Line {
    crowd: Mutex<Crowd>,
    /// Somebody is due before the one who was first.
    sooner: Notify,
    /// The moment for which the next look is within the budget.
    next: Mutex<Instant>,
    /// Looks that may last until there is news.
    patient: Arc<Semaphore>,
    /// Looks that are broken off when the answer does not come at once.
    brief: Arc<Semaphore>,
    waiting: AtomicUsize,
    pace: Pace,
}

/// How often a provider lets itself be asked how a question stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The shortest time between two looks at one question.
    pub(super) gap_min: Duration,
    /// The longest, while few wait.
    pub(super) gap_max: Duration,
    /// Looks in a second, over all who wait; at least one.
    pub(super) per_s_max: u32,
}

/// Those who wait for their turn. One task calls them all, so that each costs no more than an entry here.
#[derive(Debug, Default)]
struct Crowd {
    standing: BTreeMap<Spot, Waker>,
    /// Called, and not yet come.
    called: HashMap<u64, Look>,
    number: u64,
    /// There is somebody who calls.
    is_led: bool,
}

/// When somebody is due, and the number by which one is told from others that are due then.
type Spot = (Instant, u64);

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    line: &'a Arc<Line>,
    since: Instant,
    looked: Option<Instant>,
    spot: Option<Spot>,
}

/// Leave for one look, and the place it takes while it lasts.
#[derive(Debug)]
pub(super) struct Look {
    /// Whether it may last until there is news.
    pub(super) patient: bool,
    _place: OwnedSemaphorePermit,
}

impl Line {
    /// Looks in a second, over all who wait.
    pub(super) const LOOKS_PER_S_MAX: u32 = 3_000;
    /// Looks at a time that may last, and that may not: as many requests are open at most, and over HTTP/1.1 as many connections.
    pub(super) const PATIENT_MAX: usize = 200;
    pub(super) const BRIEF_MAX: usize = 120;

    /// For a provider that is asked often, and itself lets us wait while it has no news.
    pub(super) fn new() -> Arc<Self> {
        Self::paced(Pace { gap_min: GAP_MIN, gap_max: GAP_MAX, per_s_max: Self::LOOKS_PER_S_MAX })
    }

    /// For a provider with a pace of its own.
    pub(super) fn paced(pace: Pace) -> Arc<Self> {
        Arc::new(Self {
            crowd: Mutex::default(),
            sooner: Notify::new(),
            next: Mutex::new(Instant::now()),
            patient: Arc::new(Semaphore::new(Self::PATIENT_MAX)),
            brief: Arc::new(Semaphore::new(Self::BRIEF_MAX)),
            waiting: AtomicUsize::new(0),
            pace,
        })
    }

    /// Begins to wait. The first look is due at once while there are few, and else a little later: nobody takes up a phone so fast.
    pub(super) fn join(self: &Arc<Self>) -> Waiting<'_> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        Waiting { line: self, since, looked: (before >= Self::PATIENT_MAX).then_some(since), spot: None }
    }

    /// A look cost more than a request: the next ones come so much later.
    pub(super) fn charge(&self, cost: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = later(not_long_ago(*next), cost);
    }

    /// Calls whoever is due, one after the other, until nobody stands here any more.
    async fn lead(self: Arc<Self>) {
        loop {
            let due = {
                let mut crowd = self.crowd();
                let first = crowd.standing.first_key_value().map(|((due, _), _)| *due);
                crowd.is_led = first.is_some();
                first
            };
            let Some(due) = due else { return };
            if due > Instant::now() {
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.sooner.notified() => {}
                }
            } else {
                let look = self.admit().await;
                self.call(look);
            }
        }
    }

    /// Waits for the moment that the budget allows, and for a place; those behind wait as long.
    async fn admit(&self) -> Look {
        let next = *self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next > Instant::now() {
            tokio::time::sleep_until(next).await;
        }
        // Neither is ever closed; were one to be, nobody would be let through.
        let look = tokio::select! {
            biased;
            Ok(place) = Arc::clone(&self.patient).acquire_owned() => Look { patient: true, _place: place },
            Ok(place) = Arc::clone(&self.brief).acquire_owned() => Look { patient: false, _place: place },
            else => std::future::pending().await,
        };
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = later(not_long_ago(*next), self.per_look());
        look
    }

    /// Gives the look to who is due first. Where all who were due have left meanwhile it is nobody's.
    fn call(&self, look: Look) {
        let mut crowd = self.crowd();
        let Some(first) = crowd.standing.first_entry().filter(|first| first.key().0 <= Instant::now()) else { return };
        let ((_, number), waker) = first.remove_entry();
        crowd.called.insert(number, look);
        drop(crowd);
        waker.wake();
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to let an old question be: a second, or as long as it takes to look at everybody once.
    fn gap_max(&self) -> Duration {
        let waiting = u32::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.per_look().saturating_mul(waiting).max(self.pace.gap_max)
    }

    fn per_look(&self) -> Duration {
        SECOND.checked_div(self.pace.per_s_max).unwrap_or(SECOND)
    }
}

impl Waiting<'_> {
    /// Waits until it is time to look again. A question is looked at again after a quarter of its age: people answer soon or late, and seldom just now.
    pub(super) async fn turn(&mut self) -> Look {
        let look = poll_fn(|context| self.poll_called(context)).await;
        self.looked = Some(Instant::now());
        look
    }

    fn poll_called(&mut self, context: &Context<'_>) -> Poll<Look> {
        let mut crowd = self.line.crowd();
        let Some(spot) = self.spot else {
            crowd.number = crowd.number.wrapping_add(1);
            let spot = (self.due().unwrap_or_else(Instant::now), crowd.number);
            crowd.standing.insert(spot, context.waker().clone());
            self.spot = Some(spot);
            let is_first = crowd.standing.first_key_value().is_some_and(|(first, _)| *first == spot);
            let was_led = std::mem::replace(&mut crowd.is_led, true);
            drop(crowd);
            if !was_led {
                tokio::spawn(Arc::clone(self.line).lead());
            } else if is_first {
                self.line.sooner.notify_one();
            }
            return Poll::Pending;
        };
        if let Some(look) = crowd.called.remove(&spot.1) {
            self.spot = None;
            return Poll::Ready(look);
        }
        if let Some(waker) = crowd.standing.get_mut(&spot) {
            waker.clone_from(context.waker());
        }
        Poll::Pending
    }

    /// When the next look is due; `None`: now.
    pub(super) fn due(&self) -> Option<Instant> {
        let looked = self.looked?;
        let age = looked.saturating_duration_since(self.since);
        let gap = age.checked_div(4).unwrap_or_default().clamp(self.line.pace.gap_min, self.line.gap_max());
        Some(later(looked, gap))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(spot) = self.spot {
            let mut crowd = self.line.crowd();
            let left = (crowd.standing.remove(&spot), crowd.called.remove(&spot.1));
            drop(crowd);
            // Not under the lock: a place that comes free wakes somebody.
            drop(left);
        }
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

const SECOND: Duration = Duration::from_secs(1);
const LAG_MAX: Duration = Duration::from_millis(5);
const GAP_MIN: Duration = Duration::from_millis(250);
const GAP_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
