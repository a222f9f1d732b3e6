//! Directories that stand behind one door together: a name must tell in which of them somebody is.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::directory;
use crate::directory::realms::Clash;
use crate::directory::realms::clash;
use crate::directory::realms::share_base;

use super::doors::Doors;
use super::policy::Policy;
use super::providers::Carrier;
use super::providers::Provider;
use super::reader::Value;

type Known = BTreeMap<String, Option<directory::Settings>>;

/// `"corp"`, or `["corp", "lab"]`: the first is asked about names without a realm.
pub(super) fn directories(value: &Value<'_>, known: &Known) -> Option<Vec<String>> {
    if value.is_text() {
        return reference(value, known).map(|name| vec![name]);
    }
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no directory", Some("write \"NAME\" of a [directory.NAME]"));
        return None;
    }
    // All are read before any is missed: every error at once.
    let read: Vec<Option<String>> = entries.iter().map(|entry| reference(entry, known)).collect();
    let names = read.into_iter().collect::<Option<Vec<String>>>()?;
    if let Some((entry, name)) = entries.iter().zip(&names).enumerate().find_map(|(at, named)| names.iter().take(at).any(|n| n == named.1).then_some(named)) {
        entry.error(&format!("{name:?} is there already"), Some("take it away"));
        return None;
    }
    if !can_be_told_apart(value, &names, known) {
        return None;
    }
    Some(names)
}

/// `same_as` of directories: of which others each is the very same one. Those that look alike and do not say so are warned of.
pub(super) fn joined(joined: &[(&str, Value<'_>)], places: &[(&str, Value<'_>)], known: &Known) {
    let same_as = |name: &str| known.get(name).and_then(|settings| settings.as_ref()?.same_as.as_deref());
    for (own, value) in joined {
        let Some(name) = same_as(own) else { continue };
        if name == *own {
            value.error("is this very section", Some("name the other one, or take it away"));
        } else if !known.contains_key(name) {
            value.warn(&format!("there is no directory {name:?}: accounts added in one of this name are this one's"), None);
        } else if let Some(other) = same_as(name) {
            value.error(
                &format!("directory.{name} says itself that it is another"),
                Some(&format!("write same_as = {other:?} here too, and in one of them nothing")),
            );
        }
    }
    let settings: Vec<_> = places.iter().filter_map(|(name, value)| Some((value, known.get(*name)?.as_ref()?))).collect();
    let home = |settings: &'_ directory::Settings| settings.same_as.clone().unwrap_or_else(|| settings.name.clone());
    for (at, (value, one)) in settings.iter().enumerate() {
        let twin = settings.iter().take(at).find(|(_, other)| one.kind == other.kind && share_base(one, other) && home(one) != home(other));
        if let Some((_, other)) = twin {
            let told = format!("has the base of directory.{}: their people count as different people", other.name);
            value.warn(&told, Some(&format!("if it is the same directory write same_as = {:?}", home(other))));
        }
    }
}

/// Providers that know people by their bare names, where people of several directories come to them: the alice of one is approved by the phone of the other.
pub(super) fn warn_of_namesakes(doors: &Doors, policies: &BTreeMap<String, Policy<'_>>, providers: &BTreeMap<String, Provider<'_>>, known: &Known) {
    let radius = doors.radius_clients.iter().map(|client| (&client.policy, client.identify.as_deref().unwrap_or_default()));
    let listeners = doors.ldap_listen.iter().map(|listen| (&listen.policy, &*listen.directory));
    let applications = doors.ldap_listen.iter().flat_map(|listen| listen.clients.iter().map(|client| (&client.policy, &*listen.directory)));
    let mut peoples: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (policy, directories) in radius.chain(listeners).chain(applications) {
        let Some(settings) = policies.get(policy).and_then(|policy| policy.settings.as_ref()) else { continue };
        for choice in &settings.rules.methods {
            let homes = directories.iter().map(|name| home(name, known));
            peoples.entry(&choice.provider).or_default().extend(homes);
        }
    }
    for (name, provider) in providers.iter().filter(|(_, provider)| provider.kind.is_some_and(Carrier::knows_bare_names)) {
        let Some(homes) = peoples.get(name.as_str()).filter(|homes| homes.len() > 1) else { continue };
        let homes: Vec<&str> = homes.iter().copied().collect();
        let told =
            format!("is told names alone, and people of several directories are asked by it ({}): people of one name are one person there", homes.join(", "));
        provider.place.warn_gravely(&told, Some("give each directory a provider and a policy of its own, or write same_as where two are one"));
    }
}

/// The directory whose people these are.
fn home<'k>(name: &'k str, known: &'k Known) -> &'k str {
    known.get(name).and_then(|settings| settings.as_ref()?.same_as.as_deref()).unwrap_or(name)
}

/// What may stand behind the `@` of a name.
pub(super) fn suffixes(value: &Value<'_>) -> Option<Vec<String>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no suffix", Some("write [\"corp.example\"], or take it away"));
        return None;
    }
    let read: Vec<Option<String>> = entries.iter().map(suffix).collect();
    read.into_iter().collect::<Option<BTreeSet<String>>>().map(|suffixes| suffixes.into_iter().collect())
}

fn suffix(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let is_fit = text.chars().all(|sign| sign.is_alphanumeric() || ".-_".contains(sign)) && !text.starts_with('.') && !text.ends_with('.');
    if !is_fit {
        value.error(&format!("{text:?} cannot stand behind the @ of a name"), Some("write \"corp.example\""));
    }
    is_fit.then(|| text.to_lowercase())
}

fn reference(value: &Value<'_>, known: &Known) -> Option<String> {
    value.reference("directory", known.keys().map(String::as_str)).map(str::to_owned)
}

fn can_be_told_apart(value: &Value<'_>, names: &[String], known: &Known) -> bool {
    let settings: Vec<_> = names.iter().filter_map(|name| known.get(name)?.as_ref()).collect();
    let pairs = settings.iter().enumerate().flat_map(|(at, one)| settings.iter().skip(at.saturating_add(1)).map(move |other| (one, other)));
    let mut fine = true;
    for (one, other) in pairs {
        let Some(clash) = clash(one, other) else { continue };
        let (what, hint) = match clash {
            Clash::Base => ("the same base".to_owned(), "give them bases that differ"),
            Clash::Netbios(name) => (format!("the netbios {name:?}"), "each domain has a NetBIOS name of its own"),
            Clash::Suffix(suffix) => (format!("names that end in @{suffix}"), "give each its own upn_suffixes"),
        };
        value.error(&format!("directory.{} and directory.{} both have {what}: whose a name is could not be told", one.name, other.name), Some(hint));
        fine = false;
    }
    fine
}
