//! Whether we stop whoever guesses before the directory locks the person out of everything (M-21).
//!
//! Active Directory counts wrong passwords until none came for its observation window. So it is not enough that our number is the smaller one: a lock of ours that
//! runs out within that window, or failures that we forget within it, let the next ones through to a count that goes on.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::FirstFactor;
use crate::app::config::written;
use crate::directory::probe::Limit;
use crate::directory::probe::Lockout;
use crate::domain::Lock;

/// What stands between those who guess and a directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Guards {
    /// The lock of each policy by which passwords are tried there.
    policies: BTreeMap<String, Lock>,
    /// Each listener with accounts that are exempt, and the failures that one of those has there: its count at the other doors is another one.
    exempting: BTreeMap<String, u32>,
}

/// By which policies, and where, passwords are tried at a directory.
pub(super) fn guards(config: &Config, directory: &str) -> Guards {
    let names = |names: &[String]| names.iter().any(|name| name == directory);
    let lock = |policy: &String| Some((policy.clone(), config.policies.get(policy)?.rules.lock));
    let radius = config.radius_clients.iter().filter(|client| match &client.first {
        FirstFactor::Directory(listed) => names(listed),
        FirstFactor::Winbind(_) => client.identify.as_deref().is_some_and(names),
        FirstFactor::Upstream { .. } | FirstFactor::Waived => false,
    });
    let mut guards = Guards { policies: radius.filter_map(|client| lock(&client.policy)).collect(), exempting: BTreeMap::new() };
    for listen in config.ldap_listen.iter().filter(|listen| names(&listen.directory)) {
        let here = std::iter::once(&listen.policy).chain(listen.clients.iter().map(|client| &client.policy)).filter_map(lock);
        let here: BTreeMap<String, Lock> = here.collect();
        if !listen.exempt.is_empty() {
            guards.exempting.extend(here.values().map(|lock| lock.failures_max).max().map(|failures| (listen.name.clone(), failures)));
        }
        guards.policies.extend(here);
    }
    guards
}

/// What the domain and its fine-grained policies say, each against our locks.
pub(super) fn against(directory: &str, lockout: &Lockout, guards: &Guards, service: &str) -> Vec<Finding> {
    let finding = |outcome, message: String| Finding::new(Area::Lockout, directory, outcome, message);
    let domain = match lockout.domain {
        None => finding(Outcome::Skipped, "lockoutThreshold of the domain may not be read: keep `lock.failures_max` below it".to_owned()),
        Some(Limit { threshold: 0, .. }) => finding(Outcome::Ok, "the domain never locks anybody out".to_owned()),
        Some(limit) => compared(finding, "the domain", limit, guards),
    };
    let Some(fine) = &lockout.fine else {
        let message = format!("fine-grained password policies may not be read by {service}: where there are any, keep `lock.failures_max` below theirs");
        return vec![domain, finding(Outcome::Skipped, message)];
    };
    let locking = fine.iter().filter(|(_, limit)| limit.threshold > 0);
    let fine = locking.map(|(name, limit)| compared(finding, &format!("the fine-grained policy {name:?}"), *limit, guards));
    std::iter::once(domain).chain(fine).collect()
}

fn compared(finding: impl Fn(Outcome, String) -> Finding, who: &str, limit: Limit, guards: &Guards) -> Finding {
    let Limit { threshold, window } = limit;
    let late = late(threshold, guards);
    let leaks = window.map(|window| leaks(window, guards)).unwrap_or_default();
    let twice = if late.is_empty() { twice(threshold, guards) } else { Vec::new() };
    let within = window.map_or_else(|| " (for how long it counts them may not be read)".to_owned(), |window| format!(" less than {} apart", written(window)));
    let beginning = format!("{who} locks after {threshold} wrong passwords");
    if late.is_empty() && leaks.is_empty() && twice.is_empty() {
        let ours: Vec<_> = guards.policies.iter().map(|(name, lock)| format!("policy {name} after {}", lock.failures_max)).collect();
        return finding(Outcome::Ok, format!("{beginning}, we before: {}", ours.join(", ")));
    }
    let why = match (late.as_slice(), leaks.as_slice(), twice.as_slice()) {
        ([], [], twice) => format!("and we not before where there are two counts: {}", twice.join(", ")),
        ([], leaks, twice) => format!("and we not for as long: {}", [leaks, twice].concat().join(", ")),
        (late, leaks, _) => format!("and we not before: {}", [late, leaks].concat().join(", ")),
    };
    let apart = if leaks.is_empty() { String::new() } else { within };
    let message = format!("{beginning}{apart}, {why}. Whoever guesses through us locks people out of everything");
    finding(Outcome::Warning, message).hint(advice(limit, !leaks.is_empty(), !guards.exempting.is_empty()))
}

/// Policies that lock too late, or never.
fn late(threshold: u32, guards: &Guards) -> Vec<String> {
    let late = guards.policies.iter().filter(|(_, lock)| lock.failures_max == 0 || lock.failures_max >= threshold);
    late.map(|(name, lock)| match lock.failures_max {
        0 => format!("policy {name} never"),
        failures => format!("policy {name} after {failures}"),
    })
    .collect()
}

/// Policies that let the next wrong password through while the directory still counts those before it.
fn leaks(window: Duration, guards: &Guards) -> Vec<String> {
    let of = |(name, lock): (&String, &Lock)| {
        let [wait, kept] = [lock.wait_ms, lock.window_ms].map(Duration::from_millis);
        if lock.failures_max == 0 {
            None
        } else if wait < window {
            Some(format!("policy {name} opens again after {}", written(wait)))
        } else {
            // One that is slow enough for us never to count to the end, and quick enough for the directory to count on.
            let slow = !kept.is_zero() && kept < slowest(lock.failures_max, window);
            slow.then(|| format!("policy {name} forgets a failure after {}", written(kept)))
        }
    };
    guards.policies.iter().filter_map(of).collect()
}

/// Listeners where accounts are exempt whose two counts together reach as far as the directory's.
fn twice(threshold: u32, guards: &Guards) -> Vec<String> {
    let common = guards.policies.values().map(|lock| lock.failures_max).max().unwrap_or_default();
    let over = guards.exempting.iter().filter(|(_, here)| here.saturating_add(common) >= threshold);
    over.map(|(listen, here)| format!("an exempt account has {here} failures at {listen} and {common} elsewhere")).collect()
}

/// The longest that so many failures may take and still all count at the directory.
fn slowest(failures_max: u32, window: Duration) -> Duration {
    window.saturating_mul(failures_max.saturating_sub(1))
}

fn advice(limit: Limit, leaks: bool, exempts: bool) -> String {
    let below = limit.threshold.saturating_sub(1);
    let failures_max = if exempts { below / 2 } else { below }.min(USUAL);
    if failures_max == 0 {
        return format!("raise lockoutThreshold in the domain: at {} no lock of ours can come before it", limit.threshold);
    }
    let Some(window) = limit.window.filter(|_| leaks) else {
        return format!("write lock = {{ failures_max = {failures_max} }} in each of these policies");
    };
    let (wait, kept) = (window.max(USUAL_WAIT), slowest(failures_max, window).clamp(USUAL_WINDOW, WINDOW_MAX));
    format!("write lock = {{ failures_max = {failures_max}, wait = {:?}, window = {:?} }} in each of these policies", written(wait), written(kept))
}

/// What a policy has that says nothing, and the longest `window` that one may write.
const USUAL: u32 = 5;
const USUAL_WAIT: Duration = Duration::from_secs(15 * 60);
const USUAL_WINDOW: Duration = Duration::from_secs(30 * 60);
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn lock(failures_max: u32, wait: u64, window: u64) -> Lock {
        Lock { failures_max, wait_ms: wait * MINUTE_MS, window_ms: window * MINUTE_MS }
    }

    fn guarded(policies: &[(&str, Lock)]) -> Guards {
        Guards { policies: policies.iter().map(|(name, lock)| ((*name).to_owned(), *lock)).collect(), exempting: BTreeMap::new() }
    }

    fn limit(threshold: u32, minutes: Option<u64>) -> Limit {
        Limit { threshold, window: minutes.map(|minutes| Duration::from_secs(minutes * 60)) }
    }

    fn found(limit: Limit, guards: &Guards) -> Finding {
        against("corp", &Lockout { domain: Some(limit), fine: None }, guards, "svc").remove(0)
    }

    #[test]
    fn m_21_our_lock_must_come_before_the_domains() {
        let of = |threshold, failures| found(limit(threshold, None), &guarded(&[("vpn", lock(failures, 15, 30))]));
        assert_eq!(of(0, 100).outcome, Outcome::Ok);
        assert_eq!(of(6, 5).outcome, Outcome::Ok);
        let equal = found(limit(5, None), &guarded(&[("good", lock(4, 15, 30)), ("vpn", lock(5, 15, 30)), ("wiki", lock(0, 15, 30))]));
        assert_eq!(equal.outcome, Outcome::Warning);
        assert!(equal.message.contains("after 5 wrong passwords") && equal.message.contains("policy vpn after 5, policy wiki never"), "{equal:?}");
        assert!(!equal.message.contains("good"), "{equal:?}");
        assert_eq!(equal.hint.as_deref(), Some("write lock = { failures_max = 4 } in each of these policies"));
        assert!(of(1, 1).hint.unwrap().contains("raise lockoutThreshold"));
    }

    #[test]
    fn m_21_a_lock_that_runs_out_while_the_domain_counts_on_is_told() {
        let early = found(limit(10, Some(30)), &guarded(&[("vpn", lock(5, 15, 120)), ("wiki", lock(5, 30, 120))]));
        assert_eq!(
            early.message,
            "the domain locks after 10 wrong passwords less than 30m apart, and we not for as long: policy vpn opens again after 15m. \
             Whoever guesses through us locks people out of everything"
        );
        assert_eq!(early.hint.as_deref(), Some("write lock = { failures_max = 5, wait = \"30m\", window = \"2h\" } in each of these policies"));
    }

    #[test]
    fn m_21_failures_that_we_forget_before_the_domain_does_are_told() {
        // One wrong password each 8 minutes: four of them are younger than half an hour, so we never lock, and the domain counts to ten.
        let slow = found(limit(10, Some(10)), &guarded(&[("vpn", lock(5, 15, 30))]));
        assert!(slow.outcome == Outcome::Warning && slow.message.contains("policy vpn forgets a failure after 30m"), "{slow:?}");
        for kept in [40, 0] {
            assert_eq!(found(limit(10, Some(10)), &guarded(&[("vpn", lock(5, 15, kept))])).outcome, Outcome::Ok, "0 forgets nothing");
        }
    }

    #[test]
    fn m_21_the_two_counts_of_an_exempt_account_are_added_up() {
        let guards = Guards { exempting: BTreeMap::from([("wiki".to_owned(), 5)]), ..guarded(&[("vpn", lock(5, 15, 30))]) };
        assert_eq!(found(limit(11, None), &guards).outcome, Outcome::Ok);
        let both = found(limit(10, None), &guards);
        assert!(both.outcome == Outcome::Warning && both.message.contains("two counts: an exempt account has 5 failures at wiki and 5 elsewhere"), "{both:?}");
        assert_eq!(both.hint.as_deref(), Some("write lock = { failures_max = 4 } in each of these policies"));
    }

    #[test]
    fn m_21_fine_grained_policies_count_too_where_they_may_be_read() {
        let guards = guarded(&[("vpn", lock(4, 15, 30))]);
        let of = |fine| against("corp", &Lockout { domain: Some(limit(10, None)), fine }, &guards, "svc").split_off(1);
        assert_eq!(of(None)[0].outcome, Outcome::Skipped);
        let found = of(Some([("Admins", 3), ("Robots", 0), ("Staff", 9)].map(|(name, threshold)| (name.to_owned(), limit(threshold, None))).to_vec()));
        assert_eq!(found.iter().map(|finding| finding.outcome).collect::<Vec<_>>(), [Outcome::Warning, Outcome::Ok]);
        assert!(found[0].message.contains("\"Admins\" locks after 3"), "{found:?}");
    }
}
