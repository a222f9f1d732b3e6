//! Each server of a directory: whether it takes our account, and its clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::time::Instant;

use super::Area;
use super::Finding;
use super::Outcome;
use super::dns;
use super::lockout;
use super::lockout::Guards;
use super::names::Wanted;
use crate::directory;
use crate::directory::Server;
use crate::directory::probe::ProbeError;
use crate::directory::probe::Probed;
use crate::directory::probe::Seen;
use crate::directory::probe::probe;
use crate::directory::probe::servers;
use crate::domain::Timestamp;
use crate::ports::Clock;

/// What a directory is asked about, beside itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    pub(super) guards: Guards,
    pub(super) wanted: Vec<Wanted>,
}

/// Asks every server of a directory.
pub(super) async fn directory(settings: directory::Settings, questions: Questions, clock: Arc<dyn Clock>) -> Vec<Finding> {
    let (name, service) = (settings.name.clone(), settings.bind_name.clone());
    let mut findings = Vec::new();
    let servers = match named(&settings, &mut findings).await {
        Ok(servers) => servers,
        Err(error) => return vec![Finding::new(Area::Directory, name, Outcome::Failed, error.to_string()).hint(NAMED_BY_DNS)],
    };
    let names = questions.wanted.iter().map(|wanted| wanted.name.clone()).collect();
    let probed = match probe(settings, servers, names, Arc::clone(&clock)).await {
        Ok(probed) => probed,
        Err(error) => return vec![Finding::new(Area::Directory, name, Outcome::Failed, error.to_string())],
    };
    let now = clock.now();
    findings.extend(probed.iter().flat_map(|probed| std::iter::once(server(&name, probed)).chain(certificate(&name, probed, now))));
    let Some(first) = probed.iter().find_map(|probed| probed.said.as_ref().ok()) else { return findings };
    if let Some(lockout) = &first.lockout {
        findings.extend(lockout::against(&name, lockout, &questions.guards, &service));
    }
    for (missed, why) in &first.strange {
        findings.extend(questions.wanted.iter().filter(|wanted| wanted.name == *missed).map(|wanted| wanted.missed(&name, why)));
    }
    findings
}

/// Its servers; where DNS names them, that it does, and whether their names have addresses.
async fn named(settings: &directory::Settings, findings: &mut Vec<Finding>) -> Result<Vec<Server>, ProbeError> {
    let begun = Instant::now();
    let servers = servers(settings).await?;
    let Some(srv) = &settings.srv else { return Ok(servers) };
    let listed = servers.iter().take(LISTED_MAX).map(|server| server.host.clone()).collect::<Vec<_>>().join(", ");
    let more = servers.len().checked_sub(LISTED_MAX).filter(|more| *more > 0).map_or_else(String::new, |more| format!(" and {more} more"));
    findings.push(Finding::new(Area::Dns, format!("SRV of {}", srv.domain), Outcome::Ok, format!("{listed}{more}")).took(begun.elapsed()));
    let names: BTreeSet<String> = servers.iter().map(|server| server.host.clone()).filter(|host| dns::is_name(host)).collect();
    let asked: Vec<_> = names.into_iter().map(|name| tokio::spawn(dns::name(name))).collect();
    for asked in asked {
        findings.extend(asked.await.unwrap_or_default());
    }
    Ok(servers)
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

/// The one that it shows: when it is over nobody behind this server logs in any more.
fn certificate(directory: &str, probed: &Probed, now: Timestamp) -> Option<Finding> {
    let days = probed.not_after?.0.saturating_sub(now.0) / DAY_MS;
    let finding = |outcome| Finding::new(Area::Certificate, format!("{directory} {}", probed.server), outcome, format!("{days} days left of the one it shows"));
    Some(if days < DAYS_WARNED {
        finding(Outcome::Warning).hint("have it renewed there: from that day on nobody logs in by this server")
    } else {
        finding(Outcome::Ok)
    })
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
const DAY_MS: u64 = 86_400_000;
/// What renews itself has done so by then.
const DAYS_WARNED: u64 = 14;
/// Servers that are told by name.
const LISTED_MAX: usize = 4;
const NAMED_BY_DNS: &str = "`dig SRV _ldap._tcp.DOMAIN` asks the same; this machine must ask the name servers of the domain, or write `servers`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_apart_is_told_and_one_that_is_far_apart_fails() {
        let of = |ahead_ms| {
            let seen = Seen { ahead_ms, lockout: None, strange: Vec::new() };
            server("corp", &Probed { server: "ldap://x".to_owned(), took: std::time::Duration::from_millis(7), not_after: None, said: Ok(seen) })
        };
        let outcomes = [None, Some(-4_900), Some(5_000), Some(-59_999), Some(60_000), Some(i64::MIN)].map(|ahead| of(ahead).outcome);
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Ok, Outcome::Warning, Outcome::Warning, Outcome::Failed, Outcome::Failed]);
        assert!(of(Some(-90_000)).message.contains("90 s behind ours"));
    }

    #[test]
    fn the_days_left_of_a_server_s_certificate_are_told() {
        let now = Timestamp(1_700_000_000_000);
        let of = |days: u64| {
            let seen = Seen { ahead_ms: None, lockout: None, strange: Vec::new() };
            let not_after = Some(Timestamp(now.0 + days * DAY_MS + 1));
            certificate("corp", &Probed { server: "ldaps://x".to_owned(), took: std::time::Duration::ZERO, not_after, said: Ok(seen) }, now).unwrap()
        };
        assert_eq!((of(13).outcome, of(14).outcome), (Outcome::Warning, Outcome::Ok));
        assert_eq!((of(13).area, of(13).message.as_str()), (Area::Certificate, "13 days left of the one it shows"));
    }
}
