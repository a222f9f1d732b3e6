//! Circuit breaker: a server that failed three times in a row is left alone, so that nobody waits for it in vain.

use std::time::Duration;

use tokio::time::Instant;

/// What we know about the health of one server. Pure: moments are handed in.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    open: Option<Open>,
    quiet_until: Option<Instant>,
}

/// The server is left alone.
#[derive(Debug)]
struct Open {
    probe_at: Instant,
    pause: Duration,
}

/// Leave to send one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The server is believed to be well.
    Ordinary,
    /// The one request that finds out whether it is well again.
    Probe,
}

/// Why no request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The server failed too often.
    Failing,
    /// The server asked for silence.
    Quiet,
}

/// What an outcome changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It was well and is not any more.
    Away,
    /// It was not well and is again.
    Back,
    /// Nothing.
    None,
}

impl Breaker {
    const FAILURES_MAX: u32 = 3;
    const PAUSE_MIN: Duration = Duration::from_secs(5);
    const PAUSE_MAX: Duration = Duration::from_secs(30);
    /// However long a server asks for silence, after this it is asked again.
    const QUIET_MAX: Duration = Duration::from_secs(60);

    pub(super) fn new() -> Self {
        Self { failures: 0, open: None, quiet_until: None }
    }

    /// Whether a request may be sent now.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Closed> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return Err(Closed::Quiet);
        }
        match &mut self.open {
            None => Ok(Pass::Ordinary),
            Some(open) if now < open.probe_at => Err(Closed::Failing),
            Some(open) => {
                // The next probe may go a pause later, whatever becomes of this one: its login may be given up half-way, and then nobody reports.
                open.probe_at = later(now, open.pause);
                Ok(Pass::Probe)
            }
        }
    }

    /// Whether the server failed often enough to be called away.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) -> Turn {
        self.open = None;
        let turn = if self.failures > 0 { Turn::Back } else { Turn::None };
        self.failures = 0;
        turn
    }

    /// The server did not answer, or only to say that it is broken.
    pub(super) fn failed(&mut self, now: Instant, pass: Pass) -> Turn {
        self.failures = self.failures.saturating_add(1);
        match (&mut self.open, pass) {
            (Some(open), Pass::Probe) => {
                open.pause = open.pause.saturating_mul(2).min(Self::PAUSE_MAX);
                open.probe_at = later(now, open.pause);
            }
            // Requests that were under way when it opened tell nothing new.
            (Some(_), Pass::Ordinary) => {}
            (None, _) if self.failures >= Self::FAILURES_MAX => {
                self.open = Some(Open { probe_at: later(now, Self::PAUSE_MIN), pause: Self::PAUSE_MIN });
            }
            (None, _) => {}
        }
        if self.failures == 1 { Turn::Away } else { Turn::None }
    }

    /// The server asked to be left alone for so long.
    pub(super) fn hush(&mut self, now: Instant, wait: Duration) {
        self.quiet_until = self.quiet_until.max(Some(later(now, wait.min(Self::QUIET_MAX))));
    }
}

fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            let pass = breaker.admit(now).unwrap();
            breaker.failed(now, pass);
        }
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_it_and_two_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..2 {
            breaker.failed(now, Pass::Ordinary);
        }
        assert_eq!(breaker.admit(now), Ok(Pass::Ordinary));
        breaker.succeeded();
        for _ in 0..2 {
            breaker.failed(now, Pass::Ordinary);
        }
        assert_eq!(breaker.admit(now), Ok(Pass::Ordinary), "a success between them starts the count again");
        breaker.failed(now, Pass::Ordinary);
        assert_eq!(breaker.admit(now), Err(Closed::Failing));
    }

    #[test]
    fn one_probe_at_a_time_and_pauses_grow_to_thirty_seconds() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for pause in [5, 10, 20, 30, 30] {
            assert_eq!(breaker.admit(now + seconds(pause) - Duration::from_millis(1)), Err(Closed::Failing), "{pause} s");
            now += seconds(pause);
            assert_eq!(breaker.admit(now), Ok(Pass::Probe));
            assert_eq!(breaker.admit(now), Err(Closed::Failing), "one probe, not two");
            assert_eq!(breaker.failed(now, Pass::Probe), Turn::None);
        }
    }

    #[test]
    fn a_probe_that_went_well_closes_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + seconds(5)), Ok(Pass::Probe));
        assert_eq!(breaker.succeeded(), Turn::Back);
        assert_eq!(breaker.admit(now + seconds(5)), Ok(Pass::Ordinary));
        assert_eq!(breaker.succeeded(), Turn::None);
    }

    #[test]
    fn a_probe_whose_login_was_given_up_does_not_shut_the_server_out_for_ever() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert_eq!(breaker.admit(now + seconds(5)), Ok(Pass::Probe));
        assert_eq!(breaker.admit(now + seconds(10)), Ok(Pass::Probe));
    }

    #[test]
    fn health_turns_once_each_way() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        assert_eq!(breaker.succeeded(), Turn::None);
        assert_eq!(breaker.failed(now, Pass::Ordinary), Turn::Away);
        assert_eq!(breaker.failed(now, Pass::Ordinary), Turn::None);
        assert_eq!(breaker.succeeded(), Turn::Back);
    }

    #[test]
    fn silence_is_kept_as_long_as_asked_but_a_minute_at_most() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        breaker.hush(now, seconds(7));
        assert_eq!(breaker.admit(now + seconds(6)), Err(Closed::Quiet));
        assert_eq!(breaker.admit(now + seconds(7)), Ok(Pass::Ordinary));
        breaker.hush(now, seconds(86_400));
        assert_eq!(breaker.admit(now + seconds(59)), Err(Closed::Quiet));
        assert_eq!(breaker.admit(now + seconds(60)), Ok(Pass::Ordinary));
    }
}
