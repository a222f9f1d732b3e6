//! What came of it, and what it cost: counts, latencies, the server's CPU time and memory.

use std::fs;

use nix::unistd::SysconfVar;
use nix::unistd::sysconf;
use serde_json::Value;
use serde_json::json;

use crate::Fault;

/// Counts of one source.
#[derive(Default)]
pub struct Tally {
    /// Logins that came to what they must.
    pub ok: u64,
    /// .. within the window.
    pub ok_in_window: u64,
    /// Checked responses within the window, challenges and repeated ones too.
    pub responses: u64,
    /// A good response of the wrong kind.
    pub unexpected: u64,
    /// A response that is none: length, authenticator or signature.
    pub bad: u64,
    /// A good response without Message-Authenticator.
    pub unsigned: u64,
    /// No answer after all tries.
    pub lost: u64,
    /// Answers that came again.
    pub again: u64,
    pub retransmitted: u64,
    pub peak_open: usize,
    latencies_us: Vec<u32>,
}

impl Tally {
    pub fn took(&mut self, ns: u64) {
        self.latencies_us.push(u32::try_from(ns / 1_000).unwrap_or(u32::MAX));
    }

    pub fn report(&mut self, begun: u64, window_s: f64) -> Value {
        self.latencies_us.sort_unstable();
        json!({
            "begun": begun, "ok": self.ok, "unexpected": self.unexpected, "bad": self.bad, "unsigned": self.unsigned, "lost": self.lost,
            "again": self.again, "retransmitted": self.retransmitted, "peak_open": self.peak_open,
            "logins_per_s": rounded(self.ok_in_window as f64 / window_s), "responses_per_s": rounded(self.responses as f64 / window_s),
            "p50_ms": self.percentile(0.5), "p90_ms": self.percentile(0.9), "p99_ms": self.percentile(0.99), "p999_ms": self.percentile(0.999),
            "max_ms": self.percentile(1.0),
        })
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        let last = self.latencies_us.len().checked_sub(1)?;
        Some(f64::from(self.latencies_us[(last as f64 * share).round() as usize]) / 1_000.0)
    }
}

/// CPU time spent until a moment, in s.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    pub server: f64,
    pub own: f64,
    /// Of all on this machine.
    pub all: f64,
}

/// The processes that are looked at.
pub struct Watched {
    pids: Vec<u32>,
    ticks_per_s: f64,
}

impl Watched {
    pub fn new(list: Option<String>) -> Result<Self, Fault> {
        let pids = list.iter().flat_map(|list| list.split(',')).map(str::parse).collect::<Result<_, _>>()?;
        let ticks_per_s = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100) as f64;
        Ok(Self { pids, ticks_per_s })
    }

    pub fn any(&self) -> bool {
        !self.pids.is_empty()
    }

    pub fn spent(&self) -> Result<Spent, Fault> {
        let server: Result<f64, Fault> = self.pids.iter().map(|pid| self.of_process(&pid.to_string())).sum();
        let stat = fs::read_to_string("/proc/stat")?;
        // user nice system idle iowait irq softirq steal
        let fields: Vec<f64> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
        let all = [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum::<f64>() / self.ticks_per_s;
        Ok(Spent { server: server?, own: self.of_process("self")?, all })
    }

    /// utime and stime: all threads, those that ended too.
    fn of_process(&self, pid: &str) -> Result<f64, Fault> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        // The name in brackets may hold blanks.
        let rest = stat.rsplit(") ").next().unwrap_or_default();
        let ticks: f64 = rest.split(' ').skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
        Ok(ticks / self.ticks_per_s)
    }

    /// `VmRSS` or `VmHWM` of all of them, in MB.
    pub fn memory_mb(&self, field: &str) -> f64 {
        let of = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1_024.0
        };
        rounded(self.pids.iter().map(of).sum())
    }
}

pub fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_a_hundred() {
        let mut tally = Tally::default();
        (1..=101).rev().for_each(|ms| tally.took(ms * 1_000_000));
        let report = tally.report(0, 1.0);
        assert_eq!([&report["p50_ms"], &report["p99_ms"], &report["max_ms"]], [51.0, 100.0, 101.0]);
    }

    #[test]
    fn one_sees_what_oneself_spends() {
        let watched = Watched::new(Some(std::process::id().to_string())).unwrap();
        let spent = watched.spent().unwrap();
        assert!((spent.server - spent.own).abs() < 0.05 && spent.all > 0.0 && watched.memory_mb("VmRSS") > 0.5);
    }
}
