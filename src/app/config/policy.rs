//! Policies: what must be true before somebody is let in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Choice;
use crate::domain::FirstAlone;
use crate::domain::Groups;
use crate::domain::Hours;
use crate::domain::Lexicon;
use crate::domain::Lock;
use crate::domain::Method;
use crate::domain::Network;
use crate::domain::OnOutage;
use crate::domain::Pushes;
use crate::domain::Remember;
use crate::domain::RememberBy;
use crate::domain::Rules;
use crate::front::radius::Addition;
use crate::provider::privacyidea::Caller;
use crate::wire::radius::dictionary::Dictionary;

use super::ProviderSettings;
use super::pin;
use super::providers::Provider;
use super::reader::Section;
use super::reader::Value;
use super::rooms::seconds;

/// A policy as far as it could be read.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    pub(super) settings: Option<super::Policy>,
    place: Value<'a>,
}

/// Each `[policy.NAME]`.
pub(super) fn policies<'a>(file: &Section<'a>, providers: &BTreeMap<String, Provider<'_>>, texts: &Arc<Lexicon>) -> BTreeMap<String, Policy<'a>> {
    let one = |(name, value): (&str, Value<'a>)| {
        let settings = value.table(|section| settings(name, section, providers, texts));
        (name.to_owned(), Policy { settings, place: value })
    };
    file.named("policy").into_iter().map(one).collect()
}

/// What nobody uses is most likely a name mistyped elsewhere.
pub(super) fn warn_unused(policies: &BTreeMap<String, Policy<'_>>, providers: &BTreeMap<String, Provider<'_>>, used: &BTreeSet<String>) {
    for (_, policy) in policies.iter().filter(|(name, _)| !used.contains(*name)) {
        policy.place.warn("no client and no listener uses this policy", Some("name it by `policy = \"..\"`, or take it away"));
    }
    let asked: BTreeSet<&str> =
        policies.values().filter_map(|policy| policy.settings.as_ref()).flat_map(|policy| &policy.rules.methods).map(|choice| &*choice.provider).collect();
    for (_, provider) in providers.iter().filter(|(name, _)| !asked.contains(name.as_str())) {
        provider.place.warn("no policy uses this provider", Some("name it in `methods`, or take it away"));
    }
}

/// Hours without a clock of their own count by UTC, which nobody has on the wall.
pub(super) fn warn_of_utc(policies: &BTreeMap<String, Policy<'_>>) {
    for policy in policies.values().filter(|policy| policy.settings.as_ref().is_some_and(|settings| !settings.rules.hours.is_empty())) {
        policy.place.warn("counts its `hours` by UTC", Some("write time_zone = \"Europe/Berlin\" in [node], or time_zone = \"UTC\" where that is meant"));
    }
}

fn settings(name: &str, section: &Section<'_>, providers: &BTreeMap<String, Provider<'_>>, texts: &Arc<Lexicon>) -> Option<super::Policy> {
    let reply: Vec<Addition> = section.each("reply").iter().filter_map(|value| value.table(addition)).collect();
    let enrol_url = section.find("enrol_url").and_then(|value| enrol_url(&value));
    let rules = Rules { texts: Arc::clone(texts), ..rules(name, section, providers)? };
    Some(super::Policy { rules: Arc::new(rules), reply: reply.into(), enrol_url })
}

/// One attribute of our own: its name and value are looked up now, and not at the first login.
fn addition(section: &Section<'_>) -> Option<Addition> {
    let group = section.find("group").and_then(|value| value.text()).map(str::to_owned);
    let attribute = section.need("attribute", "\"Filter-Id\"").and_then(|value| {
        let name = value.text()?;
        let found = Dictionary::shipped().find(name);
        if found.is_none() {
            let known = Dictionary::shipped().names().map(|known| known.to_ascii_lowercase());
            let close =
                known.map(|known| (strsim::damerau_levenshtein(&known, &name.to_ascii_lowercase()), known)).filter(|(distance, _)| *distance <= 4).min();
            let close = close.and_then(|(_, close)| Dictionary::shipped().find(&close));
            let hint =
                close.map_or_else(|| "write its name as in the RFC, or as the vendor does".to_owned(), |close| format!("did you mean `{}`?", close.name()));
            value.error(&format!("{name:?} is no attribute we know"), Some(&hint));
        }
        found
    });
    let value = section.need("value", "\"staff\"");
    let framed =
        attribute.zip(value).and_then(|(attribute, value)| attribute.encode(value.text()?).map_err(|error| value.error(&error.to_string(), None)).ok());
    Some(Addition { group, attribute: framed? })
}

/// Shown to people, so it must be one they can follow.
fn enrol_url(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fine = text.len() <= URL_BYTES_MAX && reqwest::Url::parse(text).is_ok_and(|url| url.scheme() == "https");
    if !fine {
        value.error(&format!("{text:?} is no https:// address of at most {URL_BYTES_MAX} bytes"), Some("write \"https://mfa.corp.example/\""));
    }
    fine.then(|| text.to_owned())
}

fn rules(name: &str, section: &Section<'_>, providers: &BTreeMap<String, Provider<'_>>) -> Option<Rules> {
    let listed = section.find("methods").and_then(|value| value.list());
    let some_listed = listed.as_ref().is_some_and(|listed| !listed.is_empty());
    let methods = pin::beside(section, methods(&listed.unwrap_or_default(), providers));
    let trusted: Vec<Network> = section.find("trusted").and_then(|value| value.list()).unwrap_or_default().iter().filter_map(trusted).collect();
    let alone = [("reject", FirstAlone::Reject), ("accept", FirstAlone::Accept)];
    let unenrolled = section.find("unenrolled").and_then(|value| value.word(&alone)).unwrap_or(FirstAlone::Reject);
    let disabled = section.find("disabled").and_then(|value| value.word(&alone)).unwrap_or(FirstAlone::Reject);
    let outages = [("closed", OnOutage::Closed), ("open", OnOutage::Open)];
    let outage = section.find("outage").and_then(|value| value.word(&outages)).unwrap_or(OnOutage::Closed);
    let lock = section.find("lock").and_then(|value| value.table(|lock| Some(read_lock(lock)))).unwrap_or(LOCK);
    let pushes = section.find("pushes").and_then(|value| value.table(|pushes| Some(read_pushes(pushes)))).unwrap_or(PUSHES);
    let block = section.find("block").and_then(|value| value.duration(seconds(0)..=WAIT_MAX));
    let block_ms = block.map_or(BLOCK_MS, millis);
    let groups = groups(section);
    let hours = Hours(section.find("hours").and_then(|value| value.list()).unwrap_or_default().iter().filter_map(|value| value.parsed()).collect());
    if !some_listed && trusted.is_empty() && groups.exempt.is_empty() && unenrolled == FirstAlone::Reject {
        section.error("lets nobody in: it has no methods and trusts no network", Some("write methods = [{ push = \"duo\" }]"));
    }
    Some(Rules {
        trusted,
        unenrolled,
        disabled,
        outage,
        lock,
        outage_max_ms: outage_max(section, outage),
        groups,
        hours,
        remember: remember(section),
        pushes,
        block_ms,
        ..Rules::bare(name, methods)
    })
}

fn methods(listed: &[Value<'_>], providers: &BTreeMap<String, Provider<'_>>) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::new();
    for value in listed {
        let Some(choice) = choice(value, providers) else { continue };
        if choices.contains(&choice) {
            value.error("is listed twice", Some("take one away"));
        }
        choices.push(choice);
    }
    choices
}

fn choice(value: &Value<'_>, providers: &BTreeMap<String, Provider<'_>>) -> Option<Choice> {
    let (word, place) = value.one_of(&["push", "call", "text", "email", "oath"])?;
    let method = match word {
        "push" => Method::Push,
        "call" => Method::Call,
        "text" => Method::Text,
        "email" => Method::Email,
        _ => Method::Oath,
    };
    let provider = place.reference("provider", providers.keys().map(String::as_str))?;
    let kind = providers.get(provider).and_then(|provider| provider.kind);
    if let Some(kind) = kind.filter(|kind| !kind.methods().contains(&method)) {
        let ways: Vec<String> = kind.methods().iter().map(|way| format!("{{ {} = {provider:?} }}", way.as_str())).collect();
        place.error(&format!("`{provider}` is of kind {:?}: it cannot do {word}", kind.as_str()), Some(&format!("write {}", ways.join(" or "))));
        return None;
    }
    let settings = providers.get(provider).and_then(|provider| provider.settings.as_ref());
    if method != Method::Oath && matches!(settings, Some(ProviderSettings::PrivacyIdea(settings)) if matches!(settings.caller, Caller::Nobody)) {
        place.error(&format!("`{provider}` can trigger no {word}: to privacyIDEA we are nobody"), Some("give it service_name and service_password, or key"));
        return None;
    }
    Some(Choice::new(method, provider))
}

fn trusted(value: &Value<'_>) -> Option<Network> {
    let network: Network = value.parsed()?;
    if network.prefix_bits() == 0 {
        value.warn("trusts every address: there the password is enough", None);
    }
    Some(network)
}

/// Groups that decide (M-47).
fn groups(section: &Section<'_>) -> Groups {
    let denied = named(section.find("denied_groups"), &[]);
    let exempt = named(section.find("exempt_groups"), &denied);
    let required = named(section.find("required_groups"), &denied);
    Groups { exempt, required, denied }
}

fn named(listed: Option<Value<'_>>, denied: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for value in listed.and_then(|value| value.list()).unwrap_or_default() {
        let Some(name) = value.text() else { continue };
        if name.trim().is_empty() || name.len() > GROUP_BYTES_MAX {
            value.error("is no name of a group", Some("write its name, or its DN"));
        } else if names.iter().any(|other| other == name) {
            value.error("is listed twice", Some("take one away"));
        } else if denied.iter().any(|other| other == name) {
            value.error("is in `denied_groups` too: nobody of it is let in", Some("take it out of one of them"));
        } else if names.len() == GROUPS_MAX {
            value.error("is one group too many", Some("make a group of groups in the directory, and name that"));
        } else {
            names.push(name.to_owned());
        }
    }
    names
}

/// How long an outage may last that opens doors (M-14).
fn outage_max(section: &Section<'_>, outage: OnOutage) -> u64 {
    let value = section.find("outage_max");
    let max = value.as_ref().and_then(|value| value.duration(seconds(0)..=OUTAGE_MAX_MAX)).unwrap_or(HOUR);
    match (value, outage) {
        (Some(value), OnOutage::Closed) => value.warn("does nothing: `outage` is \"closed\"", Some("take it away, or write outage = \"open\"")),
        (Some(value), OnOutage::Open) if max.is_zero() => value.warn(
            "has no end: for as long as no provider can be reached the password is enough, and whoever has one may be the reason for that",
            Some("write outage_max = \"1h\""),
        ),
        _ => {}
    }
    millis(max)
}

/// For how long both factors are good, and for which logins (M-40).
fn remember(section: &Section<'_>) -> Remember {
    let keep = section.find("remember").and_then(|value| value.duration(seconds(0)..=REMEMBER_MAX)).unwrap_or_default();
    let sorts = [("account", RememberBy::Account), ("client", RememberBy::Client), ("source", RememberBy::Source)];
    let by = section.find("remember_by").and_then(|value| value.word(&sorts).map(|by| (by, value)));
    if let (Some((_, value)), true) = (&by, keep.is_zero()) {
        value.warn("does nothing: nothing is remembered", Some("write remember = \"8h\", or take it away"));
    }
    Remember { for_ms: millis(keep), by: by.map(|(by, _)| by).unwrap_or_default() }
}

fn read_lock(section: &Section<'_>) -> Lock {
    let failures = section.find("failures_max");
    let failures_max = failures.as_ref().and_then(|value| value.number(0..=100)).unwrap_or(LOCK.failures_max);
    if let (Some(value), 0) = (failures, failures_max) {
        value.warn("never locks: codes and passwords can be guessed without end", Some("write 1 to 100"));
    }
    let wait = section.find("wait").and_then(|value| value.duration(seconds(1)..=WAIT_MAX));
    // A window of nothing would count nothing: whoever wants no lock says so.
    let window = section.find("window").and_then(|value| value.duration(seconds(1)..=DAY));
    Lock { failures_max, wait_ms: wait.map_or(LOCK.wait_ms, millis), window_ms: window.map_or(LOCK.window_ms, millis) }
}

/// How often one person is rung (M-10).
fn read_pushes(section: &Section<'_>) -> Pushes {
    let count = |key, usual| section.find(key).and_then(|value| value.number(0..=RINGS_MAX)).unwrap_or(usual);
    let (count_max, day_max) = (count("count_max", PUSHES.count_max), count("day_max", PUSHES.day_max));
    let per = section.find("per").and_then(|value| value.duration(seconds(1)..=DAY)).map_or(PUSHES.per_ms, millis);
    let backoff = section.find("backoff").and_then(|value| value.duration(seconds(0)..=HOUR)).map_or(PUSHES.backoff_ms, millis);
    if let (0, 0, 0, Some(value)) = (count_max, day_max, backoff, section.find("count_max")) {
        value.warn("whoever has a password can ring its owner's phone without end until it is approved", Some("write count_max = 3"));
    }
    Pushes { count_max, per_ms: per, day_max, backoff_ms: backoff }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Three in five minutes, ten in a day, and half a minute of rest after one that was not approved.
const PUSHES: Pushes = Pushes { count_max: 3, per_ms: 5 * 60 * 1000, day_max: 10, backoff_ms: 30 * 1000 };
/// Ninety days.
const BLOCK_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// No phone rings more often in a day.
const RINGS_MAX: u32 = 1000;
const HOUR: Duration = seconds(60 * 60);
const DAY: Duration = seconds(24 * 60 * 60);

/// Five failures within half an hour, a quarter of an hour.
const LOCK: Lock = Lock { failures_max: 5, wait_ms: 15 * 60 * 1000, window_ms: 30 * 60 * 1000 };

/// Half a day: somebody comes to work and goes home.
const REMEMBER_MAX: Duration = Duration::from_millis(Remember::FOR_MS_MAX);
/// Bytes of a group's name or DN.
const GROUP_BYTES_MAX: usize = 512;
/// Groups in a list: each is looked up in the directory.
const GROUPS_MAX: usize = 64;
/// A month.
const OUTAGE_MAX_MAX: Duration = seconds(31 * 24 * 60 * 60);
/// Beside it a Reply-Message has room for a sentence.
const URL_BYTES_MAX: usize = 180;
/// A year; who is to stay out for longer is disabled.
const WAIT_MAX: Duration = seconds(365 * 24 * 60 * 60);
