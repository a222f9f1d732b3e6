//! Wrong passwords that were heard already: the same one again is refused without asking anybody and counts for nothing (M-21).
//!
//! A client with a stale password tries it for ever. It guesses nothing by that, and must neither lock the account, here or in the directory, nor ring a phone.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use tokio::time::Instant;

use super::Engine;
use super::random;
use super::recent::Recent;
use super::turnstile::typed_as;
use crate::domain::AuthRequest;
use crate::domain::Identity;
use crate::domain::Primary;
use crate::domain::Secret;
use crate::ports::Entry;

/// People of whom wrong passwords are known. Whoever goes for another is asked and counted as anybody is.
const PEOPLE_MAX: usize = 10_000;
/// Wrong passwords of one person; the one that was heard first goes for a new one.
const OF_ONE_MAX: usize = 8;
/// How long the directory is not asked about the same password again, the first time. Each further time twice as long: a password that was set meanwhile is
/// refused for no longer than it was wrong before.
const PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause: a controller that lags behind the others may have called a password wrong that was set just now. A password that is not tried for so long
/// after it is forgotten, and counts again.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// An HMAC over whose it is and the password.
type Mark = [u8; 32];

/// Wrong passwords, as keyed hashes in memory.
#[derive(Debug)]
pub(super) struct Stale {
    /// Made at start and never written down.
    key: Secret,
    people: Mutex<Recent<Identity, Known>>,
}

/// Of one person.
#[derive(Debug, Default)]
struct Known {
    /// When the directory says that the password was set, where it does: with another moment all is open again.
    set_at: Option<String>,
    wrongs: Vec<Wrong>,
}

impl Known {
    /// Whether the directory says of another password than it did. One that does not say when it was set says nothing.
    fn is_other(&self, tried: &Tried) -> bool {
        matches!((&self.set_at, &tried.set_at), (Some(known), Some(now)) if known != now)
    }
}

#[derive(Debug)]
struct Wrong {
    mark: Mark,
    /// When the directory said so last.
    at: Instant,
    pause: Duration,
}

/// What is known of a password before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It was wrong some time ago, as others of the same person's: it is asked for again, and counts, for a client with a stale password has one alone, and
    /// the directory counts each.
    Among,
    /// It was wrong a moment ago: nobody is asked.
    Lately,
    /// Nothing.
    Never,
    /// It was wrong some time ago: it is asked for again, and if it still is, it is no new guess.
    Once,
}

/// A password of somebody's: by what it would be known again.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    who: Identity,
    mark: Mark,
    set_at: Option<String>,
}

impl Stale {
    /// Nothing yet.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { key: Secret::new(random::<32>()?.to_vec()), people: Mutex::new(Recent::new(PEOPLE_MAX)) })
    }

    /// The password of a request: one in clear that a directory is asked about. What is answered to a challenge is never the same twice, and what a server
    /// behind us says no to may have been a code, or the hour.
    fn tried(&self, request: &AuthRequest, entry: Option<&Entry>) -> Option<Tried> {
        let Primary::Password(password) = &request.primary else { return None };
        let who = entry.map(|entry| entry.identity.clone()).or_else(|| typed_as(request))?;
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.key.expose()).ok()?;
        mac.update(&u64::try_from(who.0.len()).ok()?.to_be_bytes());
        mac.update(who.0.as_bytes());
        mac.update(password.expose());
        Some(Tried { mark: mac.finalize().into_bytes().into(), who, set_at: entry.and_then(|entry| entry.password_set.clone()) })
    }

    fn heard(&self, now: Instant, tried: &Tried) -> Heard {
        let mut people = self.lock();
        let Some(known) = people.find(&tried.who) else { return Heard::Never };
        if known.is_other(tried) {
            // It was changed, or the directory that is asked now has heard of it.
            people.remove(&tried.who);
            return Heard::Never;
        }
        let wrongs = &known.wrongs;
        let since = |wrong: &Wrong| now.saturating_duration_since(wrong.at);
        let is_known = |wrong: &&Wrong| since(wrong) < wrong.pause.saturating_add(PAUSE_MAX);
        match wrongs.iter().find(|wrong| wrong.mark == tried.mark).filter(is_known) {
            Some(wrong) if since(wrong) < wrong.pause => Heard::Lately,
            Some(_) if wrongs.iter().filter(is_known).count() > 1 => Heard::Among,
            Some(_) => Heard::Once,
            None => Heard::Never,
        }
    }

    /// The directory says that it is wrong.
    fn wrong(&self, now: Instant, tried: &Tried, heard: Heard) {
        let mut people = self.lock();
        if people.find(&tried.who).is_none_or(|known| known.is_other(tried)) {
            people.put(tried.who.clone(), Known { set_at: tried.set_at.clone(), ..Known::default() });
        }
        let Some(Known { set_at, wrongs }) = people.find(&tried.who) else { return };
        if tried.set_at.is_some() {
            set_at.clone_from(&tried.set_at);
        }
        let before = wrongs.iter().position(|wrong| wrong.mark == tried.mark).map(|at| wrongs.remove(at));
        let pause = before.filter(|_| heard != Heard::Never).map_or(PAUSE, |wrong| wrong.pause.saturating_mul(2).min(PAUSE_MAX));
        if wrongs.len() >= OF_ONE_MAX {
            wrongs.remove(0);
        }
        wrongs.push(Wrong { mark: tried.mark, at: now, pause });
    }

    pub(super) fn forget(&self, who: &Identity) {
        self.lock().remove(who);
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Identity, Known>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Whether the directory need be asked about this password at all.
    pub(super) fn heard_before(&self, request: &AuthRequest, entry: Option<&Entry>) -> Option<(Tried, Heard)> {
        let tried = self.stale.tried(request, entry)?;
        let heard = self.stale.heard(Instant::now(), &tried);
        if heard == Heard::Lately {
            self.counts.stale(request.door.as_str());
        }
        Some((tried, heard))
    }

    /// The directory was asked about it and says that it is wrong.
    pub(super) fn was_wrong(&self, tried: &Tried, heard: Heard) {
        self.stale.wrong(Instant::now(), tried, heard);
    }

    /// A right password was heard, or the password was changed: which ones are wrong is open again.
    pub(super) fn was_right(&self, who: &Identity, request: &AuthRequest) {
        self.stale.forget(who);
        if self.stale.is_empty() && self.nobodies.is_empty() {
            return;
        }
        if let Some(typed) = typed_as(request) {
            self.stale.forget(&typed);
            self.somebody(&typed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(who: usize, mark: u8) -> Tried {
        Tried { who: Identity(who.to_string()), mark: [mark; 32], set_at: None }
    }

    #[tokio::test(start_paused = true)]
    async fn m_21_the_pause_doubles_up_to_a_quarter_of_an_hour_and_use_does_not_prolong_it() {
        let stale = Stale::new().unwrap();
        let mut now = Instant::now();
        assert_eq!(stale.heard(now, &tried(1, 1)), Heard::Never);
        stale.wrong(now, &tried(1, 1), Heard::Never);
        for minutes in [5, 10, 15, 15] {
            for _ in 1..minutes {
                now += Duration::from_secs(60);
                assert_eq!(stale.heard(now, &tried(1, 1)), Heard::Lately, "{minutes}");
            }
            now += Duration::from_secs(60);
            assert_eq!(stale.heard(now, &tried(1, 1)), Heard::Once, "{minutes}");
            stale.wrong(now, &tried(1, 1), Heard::Once);
        }
        now += PAUSE_MAX * 2;
        assert_eq!(stale.heard(now, &tried(1, 1)), Heard::Never, "what nobody tried for long counts again");
        stale.wrong(now, &tried(1, 1), Heard::Never);
        assert_eq!(stale.heard(now + PAUSE, &tried(1, 1)), Heard::Once, "and begins with the short pause");
    }

    #[tokio::test(start_paused = true)]
    async fn m_21_a_password_that_was_set_meanwhile_is_asked_about_at_once() {
        let stale = Stale::new().unwrap();
        let now = Instant::now();
        let on = |moment: &str| Tried { set_at: Some(moment.to_owned()), ..tried(1, 1) };
        stale.wrong(now, &on("133"), Heard::Never);
        assert_eq!((stale.heard(now, &on("133")), stale.heard(now, &on("134"))), (Heard::Lately, Heard::Never));
        assert_eq!(stale.heard(now, &on("133")), Heard::Never, "what one controller has heard is not forgotten for another that has not");
        stale.wrong(now, &on("134"), Heard::Never);
        stale.wrong(now, &Tried { mark: [2; 32], ..on("135") }, Heard::Never);
        assert_eq!(stale.heard(now, &on("135")), Heard::Never, "it was changed while another was asked about");
        assert_eq!(stale.heard(now, &Tried { set_at: None, mark: [2; 32], ..tried(1, 2) }), Heard::Lately, "who does not tell when says nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn m_21_of_several_wrong_passwords_each_counts_again() {
        let stale = Stale::new().unwrap();
        let now = Instant::now();
        stale.wrong(now, &tried(1, 1), Heard::Never);
        stale.wrong(now, &tried(1, 2), Heard::Never);
        assert_eq!(stale.heard(now, &tried(1, 1)), Heard::Lately);
        let later = now + PAUSE;
        assert_eq!([1, 2].map(|mark| stale.heard(later, &tried(1, mark))), [Heard::Among, Heard::Among]);
        stale.wrong(later, &tried(1, 1), Heard::Among);
        assert_eq!(stale.heard(later + PAUSE, &tried(1, 1)), Heard::Lately, "the pause doubles all the same");
        assert_eq!(stale.heard(now + PAUSE + PAUSE_MAX, &tried(1, 1)), Heard::Once, "the other one is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn m_21_the_table_is_bounded_in_people_and_in_passwords_of_each() {
        let stale = Stale::new().unwrap();
        let now = Instant::now();
        for mark in 0..=OF_ONE_MAX {
            stale.wrong(now, &tried(0, u8::try_from(mark).unwrap()), Heard::Never);
        }
        assert_eq!((stale.heard(now, &tried(0, 0)), stale.heard(now, &tried(0, 1))), (Heard::Never, Heard::Lately));
        for who in 1..=PEOPLE_MAX {
            stale.wrong(now, &tried(who, 1), Heard::Never);
        }
        assert_eq!((stale.heard(now, &tried(0, 1)), stale.heard(now, &tried(PEOPLE_MAX, 1))), (Heard::Never, Heard::Lately));
    }
}
