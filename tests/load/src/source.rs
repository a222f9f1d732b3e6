//! Where logins come from: who, how many, how often, and what each must come to.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::Fault;
use crate::flags::Flags;
use crate::packet;
use crate::tally::Tally;
use crate::totp;

/// A code before, of and after the current step: so often can one user log in without waiting.
const ROUNDS_MAX: u64 = 3;

pub struct Source {
    pub name: &'static str,
    pub from: Ipv4Addr,
    pub calling: Option<String>,
    pub expect: u8,
    pub timeout: Duration,
    pub retries: u32,
    pub again_percent: u64,
    keys: Option<Vec<Vec<u8>>>,
    codes_once: bool,
    pace: Pace,
    total: Option<u64>,
    first_user: u32,
    users: u32,
    random: bool,
    prefixes: (String, String),
    /// Lines of this source, and the one in use.
    pub lines: Vec<usize>,
    pub current: usize,
    pub begun: u64,
    pub open: usize,
    pub stopped: bool,
    pub tally: Tally,
}

/// When the next login is due.
enum Pace {
    /// As soon as fewer than so many are open.
    Closed(usize),
    /// At its moment, whatever became of the others.
    Open { gap_ns: f64, poisson: bool, next_ns: f64 },
}

/// A login that begins.
pub struct Begin {
    pub user: u32,
    pub round: u32,
    pub due: u64,
}

impl Source {
    /// What all of the run is about.
    pub fn main(flags: &mut Flags) -> Result<Self, Fault> {
        let expect = match flags.or("expect", "accept".to_owned())?.as_str() {
            "accept" => packet::ACCESS_ACCEPT,
            "challenge" => packet::ACCESS_CHALLENGE,
            "reject" => packet::ACCESS_REJECT,
            other => return Err(format!("--expect {other}: accept, challenge or reject").into()),
        };
        let inflight = flags.or("inflight", 64)?;
        let poisson = flags.or("poisson", 0)? != 0;
        let pace = flags.optional("rate")?.map_or(Pace::Closed(inflight), |rate: f64| Pace::Open { gap_ns: 1e9 / rate, poisson, next_ns: 0.0 });
        let keys = flags.optional::<String>("keys")?.map(|path| totp::keys(&path)).transpose()?;
        let codes_once = match flags.or("codes", "once".to_owned())?.as_str() {
            "once" => true,
            "current" => false,
            other => return Err(format!("--codes {other}: once or current").into()),
        };
        let users = flags.or("users", 1_000)?;
        let source = Self {
            name: "main",
            from: flags.or("from", Ipv4Addr::LOCALHOST)?,
            calling: flags.optional("calling")?,
            expect,
            timeout: flags.seconds("timeout", 3.0)?,
            retries: flags.or("retries", 2)?,
            again_percent: flags.or("again", 0)?,
            pace,
            total: flags.optional("total")?,
            first_user: flags.or("first-user", 0)?,
            users,
            random: flags.or("order", "cycle".to_owned())? == "random",
            prefixes: (flags.or("user-prefix", "u".to_owned())?, flags.or("password-prefix", "p".to_owned())?),
            keys,
            codes_once,
            ..Self::still()
        };
        match &source.keys {
            Some(keys) if keys.len() < (source.first_user + users) as usize => Err(format!("--keys has {} lines: too few", keys.len()).into()),
            _ => Ok(source),
        }
    }

    /// Ordinary logins beside the others.
    pub fn canary(flags: &mut Flags) -> Result<Option<Self>, Fault> {
        let Some(rate) = flags.optional::<f64>("canary")? else { return Ok(None) };
        Ok(Some(Self {
            name: "canary",
            from: flags.or("canary-from", Ipv4Addr::LOCALHOST)?,
            calling: flags.optional("canary-calling")?,
            pace: Pace::Open { gap_ns: 1e9 / rate, poisson: false, next_ns: 0.0 },
            first_user: flags.or("canary-first-user", 0)?,
            users: flags.or("canary-users", 1_000)?,
            ..Self::still()
        }))
    }

    fn still() -> Self {
        Self {
            name: "",
            from: Ipv4Addr::LOCALHOST,
            calling: None,
            expect: packet::ACCESS_ACCEPT,
            timeout: Duration::from_secs(3),
            retries: 2,
            again_percent: 0,
            keys: None,
            codes_once: true,
            pace: Pace::Closed(0),
            total: None,
            first_user: 0,
            users: 1,
            random: false,
            prefixes: ("u".to_owned(), "p".to_owned()),
            lines: Vec::new(),
            current: 0,
            begun: 0,
            open: 0,
            stopped: false,
            tally: Tally::default(),
        }
    }

    /// The next login, if one is due at `now`. `chance` is a random number.
    pub fn begin(&mut self, now: u64, chance: u64) -> Option<Begin> {
        if self.is_spent() {
            return None;
        }
        let due = match &mut self.pace {
            Pace::Closed(inflight) if self.open >= *inflight => return None,
            Pace::Closed(_) => now,
            Pace::Open { next_ns, .. } if *next_ns > now as f64 => return None,
            Pace::Open { gap_ns, poisson, next_ns } => {
                let due = *next_ns as u64;
                // 53 random bits, never nothing.
                let uniform = ((chance >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                *next_ns += if *poisson { -uniform.ln() * *gap_ns } else { *gap_ns };
                due
            }
        };
        let turn = if self.random { chance >> 8 } else { self.begun };
        let users = u64::from(self.users);
        let begin = Begin { user: self.first_user + (turn % users) as u32, round: (self.begun / users) as u32, due };
        self.begun += 1;
        self.open += 1;
        self.tally.peak_open = self.tally.peak_open.max(self.open);
        Some(begin)
    }

    /// When the next login is due, if time alone decides.
    pub fn next_ns(&self) -> Option<u64> {
        match &self.pace {
            Pace::Open { next_ns, .. } if !self.is_spent() => Some(*next_ns as u64),
            _ => None,
        }
    }

    /// Whether a login begins as soon as another ends.
    pub fn is_closed_loop(&self) -> bool {
        matches!(self.pace, Pace::Closed(inflight) if inflight > 0)
    }

    /// Nobody comes any more.
    pub fn is_spent(&self) -> bool {
        let codes = self.keys.as_ref().filter(|_| self.codes_once).map(|_| ROUNDS_MAX * u64::from(self.users));
        self.stopped || [self.total, codes].into_iter().flatten().any(|most| self.begun >= most)
    }

    pub fn has_total(&self) -> bool {
        self.total.is_some()
    }

    pub fn name_of(&self, user: u32) -> String {
        format!("{}{user:06}", self.prefixes.0)
    }

    pub fn password_of(&self, user: u32) -> String {
        format!("{}{user:06}", self.prefixes.1)
    }

    pub fn answers_challenges(&self) -> bool {
        self.keys.is_some()
    }

    /// The code this user answers a challenge with at that moment; `None` where no challenge is expected.
    pub fn code_of(&self, user: u32, round: u32, unix: Duration) -> Option<String> {
        let key = self.keys.as_ref()?.get(user as usize)?;
        let step = unix.as_secs() / totp::PERIOD_S;
        // The code before the current one would be too old on arrival in the last second of a step.
        let too_late = round == 0 && unix.as_secs() % totp::PERIOD_S == totp::PERIOD_S - 1;
        Some(totp::code(key, if self.codes_once && !too_late { step + u64::from(round) - 1 } else { step }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_is_not_held_up_by_answers_that_do_not_come() {
        let mut source = Source { pace: Pace::Open { gap_ns: 10.0, poisson: false, next_ns: 0.0 }, users: 4, ..Source::still() };
        let due: Vec<u64> = (0..3).filter_map(|_| source.begin(25, 0)).map(|begin| begin.due).collect();
        assert_eq!((due, source.begin(25, 0).is_none(), source.next_ns()), (vec![0, 10, 20], true, Some(30)));
    }

    #[test]
    fn a_closed_loop_and_a_total_are_kept() {
        let mut source = Source { pace: Pace::Closed(2), total: Some(3), users: 2, ..Source::still() };
        assert!(source.begin(0, 0).is_some() && source.begin(0, 0).is_some() && source.begin(0, 0).is_none());
        source.open = 0;
        let third = source.begin(5, 0).unwrap();
        assert_eq!((third.user, third.round, third.due), (0, 1, 5));
        assert!(source.is_spent());
    }

    #[test]
    fn a_user_brings_each_code_once() {
        let keys = Some(vec![b"12345678901234567890".to_vec()]);
        let mut source = Source { pace: Pace::Closed(9), keys, ..Source::still() };
        let rounds: Vec<Begin> = (0..5).filter_map(|_| source.begin(0, 0)).collect();
        let codes: Vec<String> = rounds.iter().filter_map(|begin| source.code_of(begin.user, begin.round, Duration::from_secs(58))).collect();
        assert_eq!((codes.len(), codes[1].as_str()), (3, "287082"));
    }
}
