//! Whom an administrator means: an account by name, by identity, or by anything a directory understands.

use std::sync::Arc;

use serde::Deserialize;

use super::admin::Rooms;
use super::refusal::Refusal;
use crate::domain::Account;
use crate::domain::Identity;
use crate::domain::PrimaryError;
use crate::ports::Claim;
use crate::ports::Directory;
use crate::ports::Entry;

/// Longer names are nobody's.
pub(super) const NAME_LEN_MAX: usize = 512;

/// `?directory=corp`.
#[derive(Debug, Default, Deserialize)]
pub(super) struct InDirectory {
    /// Which, where a name is in more than one.
    pub directory: Option<String>,
}

/// The one account that `name` means. What the store knows by that name goes before what a directory would find.
///
/// # Errors
/// Nobody's, or more than one's.
pub(super) async fn account(rooms: &Rooms, name: &str, directory: Option<&str>) -> Result<Account, Refusal> {
    let known = known(rooms, name, directory)?;
    let known =
        if known.is_empty() { through_directories(rooms, name, directory).await?.into_iter().filter_map(|(_, account)| account).collect() } else { known };
    let absent = || Refusal::absent(format!("no account goes by {name:?}"), "`vestibule user list --search ..` finds one, `vestibule user add` adds one");
    the_one(name, known, place)?.ok_or_else(absent)
}

/// Somebody, with an account or without.
#[derive(Debug)]
pub(super) struct Person {
    pub identity: Identity,
    /// The account's name, else the directory's.
    pub name: String,
    pub account: Option<Account>,
}

impl From<Account> for Person {
    fn from(account: Account) -> Self {
        Self { identity: account.identity.clone(), name: account.name.clone(), account: Some(account) }
    }
}

/// The one person whom `name` means, as [`account`] finds them; who has no account is whom a directory finds.
///
/// # Errors
/// As there.
pub(super) async fn person(rooms: &Rooms, name: &str, directory: Option<&str>) -> Result<Person, Refusal> {
    let known = known(rooms, name, directory)?;
    let found: Vec<Person> = if known.is_empty() {
        let found = through_directories(rooms, name, directory).await?.into_iter();
        found.map(|(entry, account)| account.map_or_else(|| Person { identity: entry.identity, name: entry.name, account: None }, Person::from)).collect()
    } else {
        known.into_iter().map(Person::from).collect()
    };
    let shown = |person: &Person| format!("{} ({})", person.name.escape_debug(), person.identity.0.escape_debug());
    let absent = || {
        Refusal::absent(
            format!("nobody goes by {name:?}, here or in a directory"),
            "write it as the directory does: the short name, DOMAIN\\name or name@domain",
        )
    };
    the_one(name, found, shown)?.ok_or_else(absent)
}

/// The accounts that the store knows by this name or identity.
fn known(rooms: &Rooms, name: &str, directory: Option<&str>) -> Result<Vec<Account>, Refusal> {
    check_length(name)?;
    let mut known = rooms.store.accounts_named(name)?;
    if let Some(exact) = rooms.store.standing(&Identity(name.to_owned()))?.account.filter(|exact| known.iter().all(|other| other.identity != exact.identity)) {
        known.push(Arc::unwrap_or_clone(exact));
    }
    known.retain(|account| directory.is_none_or(|wanted| account.directory.as_deref() == Some(wanted)));
    Ok(known)
}

/// The only one of those that were found; `None` where there are none.
///
/// # Errors
/// There are more.
fn the_one<T>(name: &str, found: Vec<T>, shown: impl Fn(&T) -> String) -> Result<Option<T>, Refusal> {
    if found.len() > 1 {
        let all: Vec<_> = found.iter().map(shown).collect();
        return Err(Refusal::conflict(
            format!("more than one account goes by {name:?}: {}", all.join(", ")),
            "say which with --directory, or give the identity",
        ));
    }
    Ok(found.into_iter().next())
}

/// The directory to look `name` up in: the one that is named, the only one, else the one whose realm the name has, as in a login. `None` where there are none at all.
///
/// # Errors
/// The named one is not there, or there are several and nothing tells which.
pub(super) fn directory<'a>(rooms: &'a Rooms, name: &str, wanted: Option<&str>) -> Result<Option<&'a dyn Directory>, Refusal> {
    let all = || rooms.directories.iter().map(|directory| directory.name()).collect::<Vec<_>>().join(", ");
    match (wanted, rooms.directories.as_slice()) {
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(&**only)),
        (None, several) => match by_realm(several, name) {
            Some(one) => Ok(Some(one)),
            None => Err(Refusal::wrong(
                format!("there is more than one directory, and {name:?} does not say of which it is"),
                &format!("say which with --directory ({}), or write the name with its realm: DOMAIN\\name or name@domain", all()),
            )),
        },
        (Some(wanted), _) => match rooms.directories.iter().find(|directory| directory.name() == wanted) {
            Some(found) => Ok(Some(&**found)),
            None if rooms.directories.is_empty() => {
                Err(Refusal::wrong(format!("there is no directory {wanted:?}"), "none is configured: leave --directory out for a local account"))
            }
            None => Err(Refusal::wrong(format!("there is no directory {wanted:?}"), &format!("there are: {}", all()))),
        },
    }
}

/// The one directory whose realm `name` has; `None`: none's, or two's as much.
fn by_realm<'a>(several: &'a [Arc<dyn Directory>], name: &str) -> Option<&'a dyn Directory> {
    let claims = || several.iter().filter_map(|directory| if let Claim::Mine(depth) = directory.claim(name) { Some((&**directory, depth)) } else { None });
    let most = claims().map(|(_, depth)| depth).max()?;
    let mut best = claims().filter(|(_, depth)| *depth == most);
    let (first, _) = best.next()?;
    best.next().is_none().then_some(first)
}

/// The entry of `name` in `directory`.
///
/// # Errors
/// What the directory says.
pub(super) async fn entry(directory: &dyn Directory, name: &str) -> Result<Entry, Refusal> {
    check_length(name)?;
    directory.resolve(name).await.map_err(|error| Refusal::of_directory(directory.name(), name, &error))
}

/// # Errors
/// Nothing, or too much, to be a name.
fn check_length(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() || name.len() > NAME_LEN_MAX {
        return Err(Refusal::wrong("that is no name", "give a name of at most 512 bytes"));
    }
    Ok(())
}

/// People whom the directories find under `name`, with the accounts of those who are enrolled. One that does not answer spoils a search that finds nobody enrolled.
async fn through_directories(rooms: &Rooms, name: &str, wanted: Option<&str>) -> Result<Vec<(Entry, Option<Account>)>, Refusal> {
    let asked: Vec<&dyn Directory> = match directory(rooms, name, wanted) {
        Ok(Some(one)) => vec![one],
        Ok(None) => Vec::new(),
        Err(refusal) if wanted.is_some() => return Err(refusal),
        Err(_) => rooms.directories.iter().map(|directory| &**directory).collect(),
    };
    let mut found = Vec::new();
    let mut away = None;
    for directory in asked {
        match directory.resolve(name).await {
            Ok(entry) => {
                let account = rooms.store.standing(&entry.identity)?.account.map(Arc::unwrap_or_clone);
                found.push((entry, account));
            }
            Err(error @ PrimaryError::Outage(_)) => away = Some(Refusal::of_directory(directory.name(), name, &error)),
            Err(PrimaryError::Refused { .. }) => {}
        }
    }
    match away {
        Some(refusal) if found.iter().all(|(_, account)| account.is_none()) => Err(refusal),
        _ => Ok(found),
    }
}

fn place(account: &Account) -> String {
    format!("{} in {} ({})", account.name.escape_debug(), account.directory.as_deref().unwrap_or("no directory"), account.identity.0.escape_debug())
}
