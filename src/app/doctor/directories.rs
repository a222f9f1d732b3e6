//! Each server of a directory: whether it takes our account, and its clock.

use std::sync::Arc;

use super::Area;
use super::Finding;
use super::Outcome;
use super::lockout;
use super::lockout::Guards;
use crate::directory;
use crate::directory::probe::ProbeError;
use crate::directory::probe::Probed;
use crate::directory::probe::Seen;
use crate::directory::probe::probe;
use crate::ports::Clock;

/// Asks every server of a directory.
pub(super) async fn directory(settings: directory::Settings, guards: Guards, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let (name, service) = (settings.name.clone(), settings.bind_name.clone());
    let probed = match probe(settings, clock).await {
        Ok(probed) => probed,
        Err(error) => return vec![Finding::new(Area::Directory, name, Outcome::Failed, error.to_string())],
    };
    let mut findings: Vec<_> = probed.iter().map(|probed| server(&name, probed)).collect();
    let said = probed.iter().find_map(|probed| probed.said.as_ref().ok()?.lockout.as_ref());
    if let Some(said) = said {
        findings.extend(lockout::against(&name, said, &guards, &service));
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

/// A clock that is apart by so much is told, and from so much on codes and clouds refuse.
const CLOCK_WARNED_S: u64 = 5;
const CLOCK_FAILED_S: u64 = 60;
#[cfg(test)]
mod tests {
    use super::*;

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
