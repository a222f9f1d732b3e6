//! The wall clock: the only place that asks what time it is.

use std::time::SystemTime;

use crate::domain::Timestamp;
use crate::ports::Clock;

/// The machine's own clock. A step back re-opens no code: tokens hold a high-water mark (O-24).
#[derive(Clone, Copy, Debug, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "everybody else takes a Clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
