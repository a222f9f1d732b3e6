//! Each server of a directory, its clock, and whether we stop guessing before the directory locks people out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Area;
use super::Finding;
use super::Outcome;
use crate::app::config::Config;
use crate::app::config::FirstFactor;
use crate::directory;
use crate::directory::probe::Lockout;
use crate::directory::probe::ProbeError;
use crate::directory::probe::Probed;
use crate::directory::probe::Seen;
use crate::directory::probe::probe;
use crate::ports::Clock;

/// The policies by which passwords are tried at a directory, and after how many failures each locks.
pub(super) fn policies(config: &Config, directory: &str) -> BTreeMap<String, u32> {
    let names = |names: &[String]| names.iter().any(|name| name == directory);
    let radius = config.radius_clients.iter().filter(|client| match &client.first {
        FirstFactor::Directory(listed) => names(listed),
        FirstFactor::Winbind(_) => client.identify.as_deref().is_some_and(names),
        FirstFactor::Upstream { .. } | FirstFactor::Waived => false,
    });
    let ldap = config.ldap_listen.iter().filter(|listen| names(&listen.directory));
    let ldap = ldap.flat_map(|listen| std::iter::once(&listen.policy).chain(listen.clients.iter().map(|client| &client.policy)));
    let used = radius.map(|client| &client.policy).chain(ldap);
    used.filter_map(|name| Some((name.clone(), config.policies.get(name)?.rules.lock.failures_max))).collect()
}

/// Asks every server of a directory.
pub(super) async fn directory(settings: directory::Settings, policies: BTreeMap<String, u32>, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let (name, service) = (settings.name.clone(), settings.bind_name.clone());
    let probed = match probe(settings, clock).await {
        Ok(probed) => probed,
        Err(error) => return vec![Finding::new(Area::Directory, name, Outcome::Failed, error.to_string())],
    };
    let mut findings: Vec<_> = probed.iter().map(|probed| server(&name, probed)).collect();
    let lockout = probed.iter().find_map(|probed| probed.said.as_ref().ok()?.lockout.as_ref());
    if let Some(lockout) = lockout {
        findings.push(domain(&name, lockout, &policies));
        findings.extend(fine(&name, lockout, &policies, &service));
    }
    findings
}

fn server(directory: &str, probed: &Probed) -> Finding {
    let finding = |outcome, message: String| Finding::new(Area::Directory, format!("{directory} {}", probed.server), outcome, message).took(probed.took);
    match &probed.said {
        Ok(seen) => told(seen, finding),
        Err(error @ ProbeError::Spared) => finding(Outcome::Skipped, error.to_string()),
        Err(error) => {
            let failed = finding(Outcome::Failed, error.to_string());
            match error {
                ProbeError::Broken(_) => failed.hint("look at the name, the port, the firewall, the server's certificate and ca_file"),
                ProbeError::Refused { .. } => failed.hint("put the account's password there, and look whether it is locked, disabled or expired"),
                _ => failed,
            }
        }
    }
}

fn told(seen: &Seen, finding: impl Fn(Outcome, String) -> Finding) -> Finding {
    let Some(ahead_ms) = seen.ahead_ms else { return finding(Outcome::Ok, "bound, base found; it tells no time".to_owned()) };
    let seconds = ahead_ms.unsigned_abs() / 1_000;
    let way = if ahead_ms < 0 { "behind" } else { "ahead of" };
    let apart = format!("bound, base found, but its clock is {seconds} s {way} ours");
    let hint = "let both machines follow the same time servers: `timedatectl` tells whether this one does";
    match seconds {
        ..CLOCK_WARNED_S => finding(Outcome::Ok, "bound, base found, clock right".to_owned()),
        CLOCK_WARNED_S..CLOCK_FAILED_S => finding(Outcome::Warning, apart).hint(hint),
        _ => finding(Outcome::Failed, format!("{apart}: codes change every half minute")).hint(hint),
    }
}

/// M-21: whoever guesses through us must be stopped here before the domain locks the person out everywhere.
fn domain(directory: &str, lockout: &Lockout, policies: &BTreeMap<String, u32>) -> Finding {
    let finding = |outcome, message: String| Finding::new(Area::Lockout, directory, outcome, message);
    match lockout.threshold {
        None => finding(Outcome::Skipped, "lockoutThreshold of the domain may not be read: keep `lock.failures_max` below it".to_owned()),
        Some(0) => finding(Outcome::Ok, "the domain never locks anybody out".to_owned()),
        Some(threshold) => against(finding, "the domain", threshold, policies),
    }
}

fn fine(directory: &str, lockout: &Lockout, policies: &BTreeMap<String, u32>, service: &str) -> Vec<Finding> {
    let Some(fine) = &lockout.fine else {
        let message = format!("fine-grained password policies may not be read by {service}: where there are any, keep `lock.failures_max` below theirs");
        return vec![Finding::new(Area::Lockout, directory, Outcome::Skipped, message)];
    };
    let locking = fine.iter().filter(|(_, threshold)| *threshold > 0);
    let one = |(name, threshold): &(String, u32)| {
        let finding = |outcome, message: String| Finding::new(Area::Lockout, directory, outcome, message);
        against(finding, &format!("the fine-grained policy {name:?}"), *threshold, policies)
    };
    locking.map(one).collect()
}

fn against(finding: impl Fn(Outcome, String) -> Finding, who: &str, threshold: u32, policies: &BTreeMap<String, u32>) -> Finding {
    let late: Vec<_> = policies.iter().filter(|(_, ours)| **ours == 0 || **ours >= threshold).collect();
    if late.is_empty() {
        let ours: Vec<_> = policies.iter().map(|(name, ours)| format!("policy {name} after {ours}")).collect();
        return finding(Outcome::Ok, format!("{who} locks after {threshold} wrong passwords, we before: {}", ours.join(", ")));
    }
    let ours = late.iter().map(|(name, ours)| match ours {
        0 => format!("policy {name} never"),
        ours => format!("policy {name} after {ours}"),
    });
    let ours = ours.collect::<Vec<_>>().join(", ");
    let message =
        format!("{who} locks after {threshold} wrong passwords, and we not before: {ours}. Whoever guesses through us locks people out of everything");
    let hint = match threshold {
        1 => "raise lockoutThreshold in the domain: at 1 no lock of ours can come before it".to_owned(),
        _ => format!("write lock = {{ failures_max = {} }} in each of these policies", threshold.saturating_sub(1).min(LOCK_USUAL)),
    };
    finding(Outcome::Warning, message).hint(hint)
}

/// A clock that is apart by so much is told, and from so much on codes and clouds refuse.
const CLOCK_WARNED_S: u64 = 5;
const CLOCK_FAILED_S: u64 = 60;
/// The usual failures_max.
const LOCK_USUAL: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(threshold: u32, ours: &[(&str, u32)]) -> Finding {
        let lockout = Lockout { threshold: Some(threshold), fine: None };
        domain("corp", &lockout, &ours.iter().map(|(name, ours)| ((*name).to_owned(), *ours)).collect())
    }

    #[test]
    fn m_21_our_lock_must_come_before_the_domains() {
        assert_eq!(compared(0, &[("vpn", 100)]).outcome, Outcome::Ok);
        assert_eq!(compared(6, &[("vpn", 5)]).outcome, Outcome::Ok);
        let equal = compared(5, &[("good", 4), ("vpn", 5), ("wiki", 0)]);
        assert_eq!(equal.outcome, Outcome::Warning);
        assert!(equal.message.contains("after 5 wrong passwords") && equal.message.contains("policy vpn after 5, policy wiki never"), "{equal:?}");
        assert!(!equal.message.contains("good"), "{equal:?}");
        assert_eq!(equal.hint.as_deref(), Some("write lock = { failures_max = 4 } in each of these policies"));
        assert!(compared(1, &[("vpn", 1)]).hint.unwrap().contains("raise lockoutThreshold"));
    }

    #[test]
    fn m_21_fine_grained_policies_count_too_where_they_may_be_read() {
        let ours = BTreeMap::from([("vpn".to_owned(), 4)]);
        let of = |fine| super::fine("corp", &Lockout { threshold: Some(10), fine }, &ours, "svc");
        assert_eq!(of(None)[0].outcome, Outcome::Skipped);
        let found = of(Some(vec![("Admins".to_owned(), 3), ("Robots".to_owned(), 0), ("Staff".to_owned(), 9)]));
        assert_eq!(found.iter().map(|finding| finding.outcome).collect::<Vec<_>>(), [Outcome::Warning, Outcome::Ok]);
        assert!(found[0].message.contains("\"Admins\" locks after 3"), "{found:?}");
    }

    #[test]
    fn a_clock_that_is_apart_is_told_and_one_that_is_far_apart_fails() {
        let of = |ahead_ms| {
            let seen = Seen { ahead_ms, lockout: None };
            server("corp", &Probed { server: "ldap://x".to_owned(), took: std::time::Duration::from_millis(7), said: Ok(seen) })
        };
        let outcomes = [None, Some(-4_900), Some(5_000), Some(-59_999), Some(60_000), Some(i64::MIN)].map(|ahead| of(ahead).outcome);
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Ok, Outcome::Warning, Outcome::Warning, Outcome::Failed, Outcome::Failed]);
        assert!(of(Some(-90_000)).message.contains("90 s behind ours"));
    }
}
