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
    check_length(name)?;
    let mut known = rooms.store.accounts_named(name)?;
    if let Some(exact) = rooms.store.standing(&Identity(name.to_owned()))?.account.filter(|exact| known.iter().all(|other| other.identity != exact.identity)) {
        known.push(Arc::unwrap_or_clone(exact));
    }
    known.retain(|account| directory.is_none_or(|wanted| account.directory.as_deref() == Some(wanted)));
    if known.is_empty() {
        known = through_directories(rooms, name, directory).await?;
    }
    let mut known = known.into_iter();
    match (known.next(), known.next()) {
        (None, _) => Err(Refusal::absent(format!("no account goes by {name:?}"), "`vestibule user list --search ..` finds one, `vestibule user add` adds one")),
        (Some(account), None) => Ok(account),
        (Some(first), Some(second)) => {
            let all: Vec<_> = [first, second].into_iter().chain(known).map(|account| place(&account)).collect();
            Err(Refusal::conflict(format!("more than one account goes by {name:?}: {}", all.join(", ")), "say which with --directory, or give the identity"))
        }
    }
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

/// Enrolled people whom the directories find under `name`. One that does not answer spoils a search that finds nobody.
async fn through_directories(rooms: &Rooms, name: &str, wanted: Option<&str>) -> Result<Vec<Account>, Refusal> {
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
            Ok(entry) => found.extend(rooms.store.standing(&entry.identity)?.account.map(Arc::unwrap_or_clone)),
            Err(error @ PrimaryError::Outage(_)) => away = Some(Refusal::of_directory(directory.name(), name, &error)),
            Err(PrimaryError::Refused { .. }) => {}
        }
    }
    match away {
        Some(refusal) if found.is_empty() => Err(refusal),
        _ => Ok(found),
    }
}

fn place(account: &Account) -> String {
    format!("{} in {} ({})", account.name.escape_debug(), account.directory.as_deref().unwrap_or("no directory"), account.identity.0.escape_debug())
}
