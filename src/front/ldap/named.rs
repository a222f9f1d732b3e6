//! Accounts that the configuration names, known by their identity: found when the server starts, looked after while it runs (L-082, M-46).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout;

use super::Settings;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Timestamp;
use crate::engine::Engine;
use crate::ports::Directory;

/// An account by the DN in the configuration. Whoever has another identity is not meant, whatever is written there and whatever was typed.
#[derive(Debug)]
pub struct Named {
    /// As configured.
    pub dn: String,
    known: Mutex<Known>,
}

/// What is known of one.
#[derive(Debug, Default)]
struct Known {
    /// Whose it is, now.
    identity: Option<Identity>,
    /// Whose it was when this configuration was first looked at. A DN that changes hands takes nothing with it until an administrator reloads.
    pinned: Option<Identity>,
    /// Whose it was when it was found last, whatever was read since.
    last: Option<Identity>,
    /// Where it was found last.
    directory: String,
    told: Told,
    uses: u64,
    last_used: Option<Timestamp>,
}

/// What the log was told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    Absent,
    Another,
    Away,
    Found,
    #[default]
    Nothing,
    Unclear,
}

impl Named {
    fn new(dn: &str) -> Self {
        Self { dn: dn.to_owned(), known: Mutex::default() }
    }

    /// Whose it is; `None` while that is not known: then it is nobody's.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.known().identity.clone()
    }

    /// Whose it is, and in which directory it was found.
    pub(super) fn found_in(&self) -> Option<(Identity, String)> {
        let known = self.known();
        known.identity.clone().map(|who| (who, known.directory.clone()))
    }

    /// How often it came in by an exemption since the server started, and when last.
    #[must_use]
    pub fn uses(&self) -> (u64, Option<Timestamp>) {
        let known = self.known();
        (known.uses, known.last_used)
    }

    pub(super) fn is(&self, who: &Identity) -> bool {
        self.known().identity.as_ref() == Some(who)
    }

    pub(super) fn used(&self, now: Timestamp) {
        let mut known = self.known();
        known.uses = known.uses.saturating_add(1);
        known.last_used = Some(now);
    }

    /// The administrator has looked at the configuration again: whoever is found next is meant.
    fn unpin(&self) {
        self.known().pinned = None;
    }

    /// Takes what the directory said. Says whether it must be asked again soon.
    fn learn(&self, listener: &str, found: Result<(Identity, String), PrimaryError>) -> bool {
        let mut known = self.known();
        let (identity, told) = match found {
            Ok((who, _)) if known.pinned.as_ref().is_some_and(|pinned| *pinned != who) => (None, Told::Another),
            Ok((who, directory)) => {
                known.pinned = Some(who.clone());
                known.directory = directory;
                (Some(who), Told::Found)
            }
            // Its identity does not change while nobody answers.
            Err(PrimaryError::Outage(_)) => (known.identity.take(), Told::Away),
            Err(PrimaryError::Refused { why: Refused::UnclearName, .. }) => (None, Told::Unclear),
            Err(PrimaryError::Refused { .. }) => (None, Told::Absent),
        };
        let is_another = identity.is_some() && known.last.is_some() && known.last != identity;
        if is_another {
            tracing::warn!(
                client = listener,
                name = self.dn,
                "since the configuration was read again, another account than before is meant by this name: see that it is the right one"
            );
        }
        if identity.is_some() {
            known.last.clone_from(&identity);
        }
        let is_news = std::mem::replace(&mut known.told, told) != told || is_another;
        known.identity = identity;
        let (name, identity) = (&self.dn, known.identity.as_ref().map(|identity| identity.0.as_str()));
        match told {
            _ if !is_news => {}
            Told::Found => tracing::info!(client = listener, name, identity, "an account that the configuration names was found"),
            Told::Away if identity.is_some() => {}
            Told::Away | Told::Nothing => {
                tracing::warn!(client = listener, name, "whose this name is cannot be told now: nobody is meant by it until the directory answers")
            }
            Told::Absent => tracing::warn!(
                client = listener,
                name,
                "the directory has no such account: look at `exempt` and `service` of this listener; nobody is meant by this name"
            ),
            Told::Unclear => tracing::warn!(
                client = listener,
                name,
                "the directory has no such account, or more than one: look at `exempt` and `service` of this listener; nobody is meant by this name"
            ),
            Told::Another => tracing::error!(
                client = listener,
                name,
                pinned = known.pinned.as_ref().map(|pinned| pinned.0.as_str()),
                "another account has this name now: nobody is meant by it until the configuration is reloaded"
            ),
        }
        told == Told::Away
    }

    #[cfg(test)]
    pub(super) fn found(&self, who: Identity) {
        self.found_behind("corp", who);
    }

    #[cfg(test)]
    pub(super) fn found_behind(&self, directory: &str, who: Identity) {
        self.learn("test", Ok((who, directory.to_owned())));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All accounts that the configuration names; what is known of them outlives a reload.
#[derive(Debug, Default)]
pub struct Roll(Mutex<BTreeMap<[String; 3], Arc<Named>>>);

impl Roll {
    /// The account of this DN in this directory, or in one of these, at this listener.
    pub fn entry(&self, listener: &str, directory: &str, dn: &str) -> Arc<Named> {
        let key = [listener, directory, dn].map(str::to_owned);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(entries.entry(key).or_insert_with(|| Arc::new(Named::new(dn))))
    }

    /// Forgets those that nobody holds any more: neither a listener nor a connection.
    pub fn sweep(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, named| Arc::strong_count(named) > 1);
    }
}

/// Looks all of them up once, at most for `within`. Says whether the directory must be asked again soon.
pub(super) async fn find(settings: &Settings, within: Duration) -> bool {
    timeout(within, refresh(settings)).await.unwrap_or(true)
}

/// Looks after them when they have been looked up once: every five minutes and with every new configuration. Once a day the log is told which exemptions end. Ends with the listener.
pub(super) async fn look_after(mut settings: watch::Receiver<Arc<Settings>>, engine: Arc<Engine>, mut is_away: bool) {
    let mut current = Arc::clone(&settings.borrow());
    let mut told_at = Instant::now();
    loop {
        tokio::select! {
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
                current = Arc::clone(&settings.borrow_and_update());
                // What ends soon the configuration itself has warned of.
                told_at = Instant::now();
                current.callers.named().for_each(|named| named.unpin());
            }
            () = sleep(if is_away { AGAIN } else { EVERY }) => {}
        }
        is_away = refresh(&current).await;
        if told_at.elapsed() >= DAY {
            told_at = Instant::now();
            tell_ends(&current, engine.now());
        }
    }
}

/// Asks the directory whose the names are. Says whether it could not tell.
async fn refresh(settings: &Settings) -> bool {
    let mut is_away = false;
    for named in settings.callers.named() {
        let found = whose(settings.directory.as_ref(), &named.dn).await;
        is_away |= named.learn(&settings.name, found);
    }
    is_away
}

async fn whose(directory: &dyn Directory, dn: &str) -> Result<(Identity, String), PrimaryError> {
    let found = timeout(ANSWER_WITHIN, directory.resolve(dn)).await.unwrap_or(Err(PrimaryError::Outage(Outage::Directory)))?;
    Ok((found.identity, found.directory))
}

/// Warns of what ends within a month, and of what has ended.
fn tell_ends(settings: &Settings, now: Timestamp) {
    for exemption in &settings.callers.exemptions {
        let name = &exemption.named.dn;
        match exemption.days_left(now) {
            None => tracing::error!(client = settings.name, name, "this exemption is over: the account needs a second factor now"),
            Some(days) if days < DAYS_WARNED => tracing::warn!(client = settings.name, name, days, "this exemption ends soon: look whether it is still needed"),
            Some(_) => {}
        }
    }
}

/// Days before its end from which an exemption is warned of.
pub const DAYS_WARNED: u64 = 30;
/// Between two looks.
const EVERY: Duration = Duration::from_secs(300);
/// The same, while the directory is away.
const AGAIN: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_hours(24);
/// How long one look-up may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(last: u32) -> Identity {
        Identity(format!("S-1-5-21-1-2-3-{last}"))
    }

    fn refused(why: Refused) -> Result<(Identity, String), PrimaryError> {
        Err(PrimaryError::Refused { who: None, why })
    }

    #[test]
    fn l_082_a_name_stands_for_the_identity_that_was_found_under_it() {
        let named = Named::new("CN=svc");
        assert_eq!(named.identity(), None, "nobody, before anybody has looked");
        assert!(named.learn("wiki", Err(PrimaryError::Outage(Outage::Directory))));
        assert_eq!(named.identity(), None);
        assert!(!named.learn("wiki", Ok((sid(7), "corp".to_owned()))));
        assert!(named.is(&sid(7)) && !named.is(&sid(8)));
        assert!(named.learn("wiki", Err(PrimaryError::Outage(Outage::Directory))));
        assert!(named.is(&sid(7)), "a directory that is away changes nobody's identity");
    }

    #[test]
    fn m_46_a_name_that_changes_hands_takes_no_exemption_along() {
        let named = Named::new("CN=svc");
        named.learn("wiki", Ok((sid(7), "corp".to_owned())));
        named.learn("wiki", Ok((sid(8), "corp".to_owned())));
        assert_eq!(named.identity(), None, "neither the new one");
        named.learn("wiki", refused(Refused::UnknownName));
        named.learn("wiki", Ok((sid(8), "corp".to_owned())));
        assert_eq!(named.identity(), None, "nor after a while without anybody");
        named.learn("wiki", Ok((sid(7), "corp".to_owned())));
        assert!(named.is(&sid(7)), "until the old one is back");
        named.unpin();
        named.learn("wiki", Ok((sid(8), "corp".to_owned())));
        assert!(named.is(&sid(8)), "or an administrator says so");
    }

    #[test]
    fn m_46_a_name_that_is_nobodys_or_unclear_is_nobodys() {
        for why in [Refused::UnknownName, Refused::UnclearName, Refused::Disabled] {
            let named = Named::new("CN=svc");
            named.learn("wiki", Ok((sid(7), "corp".to_owned())));
            named.learn("wiki", refused(why));
            assert_eq!(named.identity(), None, "{why:?}");
        }
    }

    #[test]
    fn what_is_known_outlives_a_reload_and_not_its_configuration() {
        let roll = Roll::default();
        let named = roll.entry("wiki", "corp", "CN=svc");
        named.learn("wiki", Ok((sid(7), "corp".to_owned())));
        named.used(Timestamp(5));
        roll.sweep();
        assert_eq!(roll.entry("wiki", "corp", "CN=svc").uses(), (1, Some(Timestamp(5))));
        assert_eq!(roll.entry("git", "corp", "CN=svc").identity(), None, "another listener, another account");
        drop(named);
        roll.sweep();
        assert_eq!(roll.entry("wiki", "corp", "CN=svc").identity(), None);
    }
}
