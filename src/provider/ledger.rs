//! What was sent today: to one address, and by one provider in all. It outlives a reload, and so do the bounds on it (M-28).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::warn;

use crate::domain::Timestamp;

/// The ledgers of all providers that send something, by their names.
#[derive(Clone, Debug, Default)]
pub struct Ledgers(Arc<Mutex<HashMap<String, Ledger>>>);

/// One provider's.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Day>>);

/// How much may be sent on one day (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// To one address, at least 1.
    pub day_max: u32,
    /// In all, at least 1.
    pub day_total_max: u32,
}

#[derive(Debug, Default)]
struct Day {
    number: u64,
    total: u32,
    sent: HashMap<Box<str>, u32>,
    told: bool,
}

impl Ledgers {
    /// The ledger of the provider of this name: the same one as before a reload.
    #[must_use]
    pub fn of(&self, provider: &str) -> Ledger {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(provider.to_owned()).or_default().clone()
    }
}

impl Ledger {
    /// Counts one to this address, if it may be sent. What was asked for counts and not what went out: a carrier that fails after it has sent costs too.
    pub(super) fn admits(&self, provider: &str, address: &str, now: Timestamp, caps: Caps) -> bool {
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.0 / DAY_MS;
        if day.number != today {
            *day = Day { number: today, ..Day::default() };
        }
        if day.total >= caps.day_total_max {
            if !std::mem::replace(&mut day.told, true) {
                warn!(provider, sent = day.total, "so much was sent today as `day_total_max` allows: nothing more is until midnight (UTC)");
            }
            return false;
        }
        let known = day.sent.get(address).copied();
        if known.is_none() && day.sent.len() >= ADDRESSES_MAX {
            return false;
        }
        let sent = known.unwrap_or(0).saturating_add(1);
        day.sent.insert(address.into(), sent);
        let admits = sent <= caps.day_max;
        day.total = day.total.saturating_add(u32::from(admits));
        admits
    }
}

/// Addresses counted on one day.
const ADDRESSES_MAX: usize = 1_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_28_a_day_has_so_many_to_one_address_and_so_many_in_all_also_over_a_reload() {
        let (ledgers, caps) = (Ledgers::default(), Caps { day_max: 2, day_total_max: 4 });
        let admits = |name: &str, address: &str, at: u64| ledgers.of(name).admits(name, address, Timestamp(at), caps);
        assert_eq!(["a", "a", "a"].map(|address| admits("sms", address, 0)), [true, true, false]);
        assert_eq!(["b", "c", "d"].map(|address| admits("sms", address, 1)), [true, true, false], "four in all");
        assert!(admits("mail", "a", 1), "each provider has its own");
        assert_eq!(["a", "d"].map(|address| admits("sms", address, DAY_MS)), [true, true], "the next day");
    }
}
