//! When a request that nobody answered is sent again (R-121, RFC 5080 §2.2.1). Pure: chance is handed in.

use std::time::Duration;

/// The waits between the transmissions to one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    /// In all; when it is over, so is the exchange.
    timeout: Duration,
    sends: u32,
    /// What the waits of the RFC are multiplied with so that all of them fit.
    scale: f64,
}

/// One exchange on its way through its schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    schedule: Schedule,
    sent: u32,
    waited: Duration,
    /// The wait before, not scaled.
    last: Option<Duration>,
}

impl Schedule {
    /// At most `tries` transmissions, never more than MRC allows, within `timeout`.
    pub(super) fn new(timeout: Duration, tries: u32) -> Self {
        let sends = tries.clamp(1, MRC.saturating_add(1));
        let whole = (0..sends).fold((Duration::ZERO, IRT), |(sum, wait), _| (sum.saturating_add(wait), wait.saturating_mul(2).min(MRT))).0;
        Self { timeout, sends, scale: (timeout.as_secs_f64() / whole.as_secs_f64()).min(1.0) }
    }

    /// How long one server has in all.
    pub(super) fn timeout(self) -> Duration {
        self.timeout
    }

    /// After how long a first answer is overdue: the wait before the second transmission, not spread.
    pub(super) fn first_wait(self) -> Duration {
        IRT.mul_f64(self.scale)
    }

    /// The first transmission goes out now.
    pub(super) fn begin(self) -> Pace {
        Pace { schedule: self, sent: 1, waited: Duration::ZERO, last: None }
    }
}

impl Pace {
    /// How long to wait before the same bytes go out once more; `None` when they do not. `chance` spreads the wait by ±10 %.
    pub(super) fn next(&mut self, chance: u16) -> Option<Duration> {
        if self.sent >= self.schedule.sends {
            return None;
        }
        let random = f64::from(chance) / f64::from(u16::MAX) * 0.2 - 0.1;
        let wait = match self.last {
            None => IRT.mul_f64(1.0 + random),
            Some(last) if last.saturating_mul(2) > MRT => MRT.mul_f64(1.0 + random),
            Some(last) => last.mul_f64(2.0 + random),
        };
        self.last = Some(wait);
        let scaled = wait.mul_f64(self.schedule.scale);
        self.waited = self.waited.saturating_add(scaled);
        if self.waited >= self.schedule.timeout.min(MRD) {
            return None;
        }
        self.sent = self.sent.saturating_add(1);
        Some(scaled)
    }
}

/// Initial, longest, count, duration: the names of RFC 5080.
const IRT: Duration = Duration::from_secs(2);
const MRT: Duration = Duration::from_secs(16);
const MRC: u32 = 5;
const MRD: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u16 = u16::MAX / 2;

    fn waits(schedule: Schedule, chance: u16) -> Vec<f64> {
        let mut pace = schedule.begin();
        std::iter::from_fn(|| pace.next(chance)).map(|wait| (wait.as_secs_f64() * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn r_121_with_time_enough_the_waits_are_those_of_the_rfc() {
        assert_eq!(waits(Schedule::new(Duration::from_secs(60), 4), MIDDLE), [2.0, 4.0, 8.0]);
        assert_eq!(waits(Schedule::new(Duration::from_secs(60), 1), MIDDLE), [] as [f64; 0]);
    }

    #[test]
    fn r_121_every_wait_is_spread_by_a_tenth() {
        assert_eq!(waits(Schedule::new(Duration::from_secs(60), 2), 0), [1.8]);
        assert_eq!(waits(Schedule::new(Duration::from_secs(60), 2), u16::MAX), [2.2]);
    }

    #[test]
    fn r_121_nothing_goes_out_after_thirty_seconds_nor_more_than_six_times() {
        let all = waits(Schedule::new(Duration::from_secs(60), 10), MIDDLE);
        assert_eq!(all.len(), 4, "2, 4, 8 and 16 come to 30: {all:?}");
        assert_eq!(waits(Schedule::new(Duration::from_secs(20), 10), MIDDLE).len(), 5);
    }

    #[test]
    fn r_121_a_short_timeout_holds_all_tries() {
        for (timeout, tries) in [(100, 3), (1_000, 2), (5_000, 3), (10_000, 6)] {
            for chance in [0, MIDDLE, u16::MAX] {
                let all = waits(Schedule::new(Duration::from_millis(timeout), tries), chance);
                assert_eq!(all.len() + 1, usize::try_from(tries).unwrap(), "{timeout} ms: {all:?}");
                assert!(all.iter().sum::<f64>() * 1_000.0 < f64::from(u32::try_from(timeout).unwrap()) * 0.9, "{timeout} ms: {all:?}");
            }
        }
    }
}
