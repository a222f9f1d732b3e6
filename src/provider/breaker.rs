//! Circuit breaker: a server that failed three times in a row is left alone, so that nobody waits for it in vain.

use std::time::Duration;

use tokio::time::Instant;

/// What we know about the health of one server. Pure: moments are handed in.
#[derive(Debug)]
pub(super) struct Breaker {
    /// Since it last answered.
    failures: u32,
    /// Those of them that a person may have caused: the server was there and gave no answer, or said that it is broken.
    doubtful: u32,
    /// Those of them in which it was silent until we gave up.
    silent: u32,
    /// While it is slow: when the next request may take its whole time.
    patient_at: Option<Instant>,
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
    /// The server was silent too often: this request may take [`Breaker::BRIEF`] and no more, for somebody waits.
    Brief,
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
    /// What a request may take at a server that is slow.
    pub(super) const BRIEF: Duration = Duration::from_secs(1);
    /// However long a server asks for silence, after this it is asked again.
    const QUIET_MAX: Duration = Duration::from_secs(60);

    pub(super) fn new() -> Self {
        Self { failures: 0, doubtful: 0, silent: 0, patient_at: None, open: None, quiet_until: None }
    }

    /// Whether a request may be sent now.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Pass, Closed> {
        if self.quiet_until.is_some_and(|until| now < until) {
            return Err(Closed::Quiet);
        }
        match &mut self.open {
            None => Ok(self.patience(now)),
            Some(open) if now < open.probe_at => Err(Closed::Failing),
            Some(open) => {
                // The next probe may go a pause later, whatever becomes of this one: its login may be given up half-way, and then nobody reports.
                open.probe_at = later(now, open.pause);
                Ok(Pass::Probe)
            }
        }
    }

    /// One request in five seconds may take its whole time: a server that has become slow but answers is found out by it.
    fn patience(&mut self, now: Instant) -> Pass {
        match self.patient_at {
            Some(at) if now < at => Pass::Brief,
            Some(_) => {
                self.patient_at = Some(later(now, Self::PAUSE_MIN));
                Pass::Ordinary
            }
            None => Pass::Ordinary,
        }
    }

    /// Whether the server failed often enough to be called away.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The server answered.
    pub(super) fn succeeded(&mut self) -> Turn {
        self.open = None;
        (self.doubtful, self.silent, self.patient_at) = (0, 0, None);
        let turn = if self.failures > 0 { Turn::Back } else { Turn::None };
        self.failures = 0;
        turn
    }

    /// There was no connection to be had. Three times in a row open it; where failures stand among them that a person may have caused, [`Self::gone`] does.
    pub(super) fn failed(&mut self, now: Instant, pass: Pass) -> Turn {
        let turn = self.count();
        if self.failures >= Self::FAILURES_MAX && self.doubtful == 0 {
            self.gone(now, pass);
        }
        turn
    }

    /// The server was there and did not answer, or only to say that it is broken. That alone never opens it: one person may make it so (M-14).
    pub(super) fn faltered(&mut self, now: Instant, is_silent: bool) -> Turn {
        self.doubtful = self.doubtful.saturating_add(1);
        self.silent = self.silent.saturating_add(u32::from(is_silent));
        if self.silent >= Self::FAILURES_MAX && self.patient_at.is_none() {
            self.patient_at = Some(later(now, Self::PAUSE_MIN));
        }
        self.count()
    }

    /// Whether it is now to be found out if there is a server at all: it failed often enough, and not only by having no connection.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.failures >= Self::FAILURES_MAX && self.doubtful > 0
    }

    /// There is no server there: it is left alone.
    pub(super) fn gone(&mut self, now: Instant, pass: Pass) {
        match (&mut self.open, pass) {
            (Some(open), Pass::Probe) => {
                open.pause = open.pause.saturating_mul(2).min(Self::PAUSE_MAX);
                open.probe_at = later(now, open.pause);
            }
            // Requests that were under way when it opened tell nothing new.
            (Some(_), Pass::Brief | Pass::Ordinary) => {}
            (None, _) => self.open = Some(Open { probe_at: later(now, Self::PAUSE_MIN), pause: Self::PAUSE_MIN }),
        }
    }

    /// There is a server there, however little it says: it is not away.
    pub(super) fn there(&mut self) {
        self.open = None;
    }

    fn count(&mut self) -> Turn {
        self.failures = self.failures.saturating_add(1);
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
    fn m_14_what_one_person_can_cause_never_opens_it_and_silence_makes_requests_brief() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..9 {
            breaker.faltered(now, false);
        }
        assert!(breaker.is_in_doubt() && !breaker.is_open());
        assert_eq!(breaker.admit(now), Ok(Pass::Ordinary), "a quick no costs nobody time");
        for _ in 0..3 {
            breaker.faltered(now, true);
        }
        assert!(!breaker.is_open());
        assert_eq!(breaker.admit(now), Ok(Pass::Brief));
        assert_eq!([breaker.admit(now + seconds(5)), breaker.admit(now + seconds(5))], [Ok(Pass::Ordinary), Ok(Pass::Brief)], "one may take its time");
        assert_eq!(breaker.succeeded(), Turn::Back);
        assert_eq!(breaker.admit(now), Ok(Pass::Ordinary));
        for _ in 0..2 {
            breaker.faltered(now, true);
        }
        breaker.failed(now, Pass::Ordinary);
        assert!(breaker.is_in_doubt() && !breaker.is_open(), "one blip after what a person did is not enough");
        breaker.gone(now, Pass::Ordinary);
        assert_eq!(breaker.admit(now), Err(Closed::Failing));
        breaker.there();
        assert!(!breaker.is_open());
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
