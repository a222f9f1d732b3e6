//! What a rehearsal says of each thing that a login does, in plain words.

use std::time::Duration;

use crate::domain::AuthRequest;
use crate::domain::Change;
use crate::domain::Denial;
use crate::domain::FactorError;
use crate::domain::FirstAlone;
use crate::domain::Grant;
use crate::domain::OnOutage;
use crate::domain::PrimaryError;
use crate::domain::Progress;
use crate::domain::Rules;
use crate::domain::Standing;
use crate::domain::Timestamp;

pub(super) fn first_said(error: &PrimaryError) -> String {
    match error {
        PrimaryError::Outage(outage) => format!("nobody can tell ({})", outage.as_str()),
        PrimaryError::Refused { why, .. } => format!("refused ({})", why.as_str()),
    }
}

pub(super) fn factor_said(progress: &Result<Progress, FactorError>) -> String {
    match progress {
        Ok(Progress::Allowed { .. }) => "passed".to_owned(),
        Ok(Progress::CodeNeeded { .. }) => "a code is needed".to_owned(),
        Ok(Progress::Denied { fraud }) => format!("the person said no{}", if *fraud { " and reported it" } else { "" }),
        Ok(Progress::Choose { number, .. }) => format!("the question is out, to be answered with {}", number.as_str()),
        Ok(Progress::Pending(_)) => "the question is out".to_owned(),
        Ok(Progress::Waived) => "the provider's own rules ask for nothing".to_owned(),
        Err(error) => format!("cannot be used or did not pass ({})", error.as_str()),
    }
}

/// What is held about somebody, as far as it decides.
pub(super) fn held(standing: &Standing, now: Timestamp) -> String {
    let left = |until: Timestamp| humantime::format_duration(Duration::from_secs(until.0.saturating_sub(now.0) / 1000));
    let mut told = vec![match &standing.account {
        None => "no account".to_owned(),
        Some(account) => {
            let state = if account.enabled { "enabled" } else { "disabled" };
            let first = account.method.map(|method| format!(", {} first", method.as_str())).unwrap_or_default();
            format!("account {:?}, {state}{first}", account.name)
        }
    }];
    if standing.tries.failures > 0 {
        told.push(format!("{} failures in a row", standing.tries.failures));
    }
    if let Some(until) = standing.tries.lock_until.filter(|_| standing.tries.locked(now)) {
        told.push(format!("locked for another {}", left(until)));
    }
    if let Some(block) = standing.block.as_ref().filter(|block| block.holds(now)) {
        told.push(format!("blocked for another {}", left(block.until)));
    }
    if let Some(bypass) = standing.bypass.as_ref().filter(|bypass| now < bypass.until) {
        told.push(format!("a bypass for another {}", left(bypass.until)));
    }
    told.join("; ")
}

pub(super) fn written(change: &Change) -> &'static str {
    match change {
        Change::Block { .. } => "a block, as a fraud was reported",
        Change::Fail { .. } => "one failure more",
        Change::SpendBypass { .. } => "the bypass is used up",
        Change::Succeed(..) => "failures start again at none",
        Change::UseBackup { .. } => "the backup code is used up",
        Change::UseOtp { .. } => "the code is used up",
        _ => "something that no login writes",
    }
}

/// Why somebody would be let in, by the key of the policy that says so.
pub(super) fn granted(why: Grant, request: &AuthRequest, rules: &Rules) -> String {
    let policy = &rules.name;
    match why {
        Grant::Bypass => "a bypass is there: once, the second factor is not asked for".to_owned(),
        Grant::Disabled => format!("policy.{policy}: disabled = \"{}\": a disabled account needs the first factor alone", alone(rules.disabled)),
        Grant::Exempt => "the account is exempt where this came from: it needs the first factor alone".to_owned(),
        Grant::ExemptGroup => format!("policy.{policy}: exempt_groups: they need the first factor alone"),
        Grant::Factor => "both factors passed".to_owned(),
        Grant::Joined => "the very same login was let in a moment ago".to_owned(),
        Grant::FailOpen => format!("policy.{policy}: outage = \"{}\": no provider could be reached", open(rules.outage)),
        Grant::ProviderBypass => "the provider's own rules ask this person for nothing".to_owned(),
        Grant::Remembered => format!("policy.{policy}: remember: both factors passed not long ago"),
        Grant::TrustedNetwork => {
            let from = request.source.map(|source| source.to_string()).unwrap_or_default();
            let network = request.source.and_then(|source| rules.trusted.iter().find(|network| network.contains(source)));
            format!("policy.{policy}: trusted has {}: {from} needs the first factor alone", network.map(ToString::to_string).unwrap_or_default())
        }
        Grant::Unenrolled => format!("policy.{policy}: unenrolled = \"{}\": who has no account needs the first factor alone", alone(rules.unenrolled)),
    }
}

/// Why somebody would be refused.
pub(super) fn denied(denial: Denial, rules: &Rules) -> String {
    let policy = &rules.name;
    match denial {
        Denial::Blocked => "the person or the telephone number is blocked: `vestibule block list` tells why".to_owned(),
        Denial::GroupDenied => format!("policy.{policy}: denied_groups: the person is in one, or nobody can tell"),
        Denial::GroupMissing => format!("policy.{policy}: required_groups: the person is in none of them"),
        Denial::OutsideHours => format!("policy.{policy}: hours: nobody logs in now"),
        Denial::PushesSpent => format!("policy.{policy}: pushes: the person was rung as often as that allows"),
        Denial::CodeNeeded => "a code is needed, and this client can neither send nor be asked for one".to_owned(),
        Denial::Disabled => format!("the account is disabled (here by policy.{policy}: disabled = \"{}\", or in the directory)", alone(rules.disabled)),
        Denial::FactorUnavailable => format!("policy.{policy}: outage = \"{}\": no second factor could be asked for", open(rules.outage)),
        Denial::Locked => format!("locked after too many failures (policy.{policy}: lock, failures_max = {}), or in the directory", rules.lock.failures_max),
        Denial::NoMethod => format!("policy.{policy}: methods names none that this person can use"),
        Denial::Unenrolled => format!("policy.{policy}: unenrolled = \"{}\", and there is no account", alone(rules.unenrolled)),
        other => other.as_str().replace('_', " "),
    }
}

fn alone(choice: FirstAlone) -> &'static str {
    match choice {
        FirstAlone::Accept => "accept",
        FirstAlone::Reject => "reject",
    }
}

fn open(choice: OnOutage) -> &'static str {
    match choice {
        OnOutage::Closed => "closed",
        OnOutage::Open => "open",
    }
}
