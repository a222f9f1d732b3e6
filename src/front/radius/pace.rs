//! So often and no more: a bounded table of who did something how lately.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// Lets each key through `burst` times at once and then once in `every`.
#[derive(Debug)]
pub(super) struct Pace<K> {
    every: Duration,
    burst: u32,
    keys_max: usize,
    /// When a key will have its whole burst again.
    rested: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Pace<K> {
    pub(super) fn new(every: Duration, burst: u32, keys_max: usize) -> Self {
        Self { every, burst, keys_max, rested: HashMap::new() }
    }

    /// Whether `key` may now; it then has. Where too many keys are restless a new one may not.
    pub(super) fn allows(&mut self, now: Instant, key: K) -> bool {
        if self.rested.len() >= self.keys_max && !self.rested.contains_key(&key) {
            self.rested.retain(|_, rested| *rested > now);
            if self.rested.len() >= self.keys_max {
                return false;
            }
        }
        let rested = self.rested.entry(key).or_insert(now);
        let from = (*rested).max(now);
        let allowed = from.duration_since(now) <= self.every.saturating_mul(self.burst.saturating_sub(1));
        if allowed {
            *rested = from.checked_add(self.every).unwrap_or(from);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 3, 10);
        let allowed = (0..5).filter(|_| pace.allows(now, "a")).count();
        assert_eq!(allowed, 3);
        assert!(pace.allows(now, "b"));
        assert!(!pace.allows(now + SECOND / 2, "a"));
        assert!(pace.allows(now + SECOND, "a"));
        assert!(!pace.allows(now + SECOND, "a"));
        assert_eq!((0..5).filter(|_| pace.allows(now + SECOND * 60, "a")).count(), 3);
    }

    #[test]
    fn the_table_is_bounded_and_rested_keys_make_room() {
        let now = Instant::now();
        let mut pace = Pace::new(SECOND, 1, 2);
        assert!(pace.allows(now, 1) && pace.allows(now, 2));
        assert!(!pace.allows(now, 3));
        assert!(pace.allows(now + SECOND, 3));
        assert_eq!(pace.rested.len(), 1);
    }
}
