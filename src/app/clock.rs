//! The wall clock: the only place that asks what time it is.

use std::time::Duration;
use std::time::SystemTime;

use crate::domain::Timestamp;
use crate::ports::Clock;

/// The machine's own clock. A step back re-opens no code: tokens hold a high-water mark (O-24).
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Since 1970-01-01 UTC, by the machine's own clock.
#[allow(clippy::disallowed_methods, reason = "everybody else takes a Clock")]
pub(super) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
