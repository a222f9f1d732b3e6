//! Who logs in: accounts, their tokens, and what is held for or against them.

use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::block::Block;
use super::block::Phone;
use super::otp::Algorithm;
use super::rules::Lock;
use super::rules::Method;
use super::secret::Secret;

/// The only key to a person's state: the directory's own unchangeable id (objectSid, entryUUID), with `@` and the directory's name where
/// there are several; or `local:` and an id of ours.
///
/// A typed name is never one: a directory binds one account under dozens of spellings (M-20).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub String);

impl Identity {
    /// The same id, of this directory and no other.
    #[must_use]
    pub fn at_home(&self, directory: &str) -> Self {
        Self(format!("{}@{directory}", self.0))
    }

    /// The id that the directory knows: no id of a directory has an `@` in it.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once('@').map_or(self.0.as_str(), |(id, _)| id)
    }
}

/// Milliseconds since 1970-01-01 UTC. Always handed in, never asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

/// An enrolled person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The key.
    pub identity: Identity,
    /// The directory's short name (`sAMAccountName`, `uid`), for people to read and for providers that know people by name.
    pub name: String,
    /// The directory it lives in; `None` for a local account.
    pub directory: Option<String>,
    /// A disabled account is treated as the policy's `disabled` says.
    pub enabled: bool,
    /// The method tried first where the policy allows it.
    pub method: Option<Method>,
    /// Where to write.
    pub mail: Option<String>,
    /// Where to call, and where texts go: E.164, and behind it what is dialled once somebody has answered (`x`, `,`, `*`, `#`, digits).
    pub phone: Option<String>,
    /// The number tried where the first does not answer, in the same form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_phone: Option<String>,
    /// Given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The language of what this person reads and hears, as in RFC 5646: `de`, `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The group it is listed under; it decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What administrators want to remember of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// Devices that are asked, at most [`Account::DEVICES_MAX`]; none: the provider chooses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// A device of a person's, as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The provider's name in the configuration.
    pub provider: String,
    /// What the provider calls it.
    pub id: String,
    /// What people call it.
    pub label: String,
}

impl Account {
    /// As many devices as the old server knew for one person.
    pub const DEVICES_MAX: usize = 10;

    /// An account that is enabled and of which nothing but this is known.
    #[must_use]
    pub fn new(identity: Identity, name: impl Into<String>, directory: Option<String>, created_at: Timestamp) -> Self {
        Self {
            identity,
            name: name.into(),
            directory,
            enabled: true,
            method: None,
            mail: None,
            phone: None,
            backup_phone: None,
            given_name: None,
            family_name: None,
            language: None,
            group: None,
            notes: None,
            devices: Vec::new(),
            created_at,
        }
    }
}

impl Account {
    /// The numbers at which this person is called.
    pub fn numbers(&self) -> impl Iterator<Item = Phone> {
        [&self.phone, &self.backup_phone].into_iter().flatten().filter_map(|text| Phone::of(text))
    }

    /// Whether one of them is this.
    #[must_use]
    pub fn is_called_at(&self, phone: &Phone) -> bool {
        self.numbers().any(|number| number == *phone)
    }
}

/// What a one-time code generator is, without its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// Unique over all tokens.
    pub id: String,
    /// Whose it is.
    pub owner: Identity,
    /// How codes are made.
    pub kind: TokenKind,
    /// Hash inside the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code: 6 to 8.
    pub digits: u8,
    /// The first step (TOTP) or counter (HOTP) that may still be used: everything below it is burnt (M-01).
    pub next_step: u64,
    /// When it was enrolled.
    pub created_at: Timestamp,
}

/// What moves a token on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Each press of a button (RFC 4226).
    Hotp,
    /// Time, in periods of so many seconds: 30 or 60 (RFC 6238).
    Totp {
        /// Seconds a code lives.
        period_s: u32,
    },
}

/// A one-time code generator and its seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What may be seen.
    pub info: TokenInfo,
    /// What may not.
    pub seed: Secret,
}

/// Which of an identity's counts of failures a login is held to. Strangers must not be able to lock a service out where it is exempt (L-082), nor its own good
/// logins there forgive what they guess elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tally {
    /// That of all doors and places.
    #[default]
    Common,
    /// That of the places from which the identity is exempt from the second factor.
    Exempt,
}

impl Tally {
    /// Whether it is the one that nearly everybody is held to.
    #[must_use]
    pub fn is_common(&self) -> bool {
        *self == Self::Common
    }
}

/// Failures, counted per identity over all doors (M-05).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Wrong passwords and wrong codes since the last success or the last lock that ran out: those that counted when the last one happened.
    pub failures: u32,
    /// Locked before this moment.
    pub lock_until: Option<Timestamp>,
    /// When they were, the latest last, at most [`Tries::MOMENTS_MAX`]: policies may look back for different times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<Timestamp>,
}

impl Tries {
    /// As many failures as a lock may take.
    pub const MOMENTS_MAX: usize = 100;

    /// Whether nobody gets in under this identity now.
    #[must_use]
    pub fn locked(&self, now: Timestamp) -> bool {
        self.lock_until.is_some_and(|until| now < until)
    }

    /// One more failure: counts it and those before it that are not older than the lock's window, and locks when `lock` says so. A lock that has run out starts
    /// the count again.
    #[must_use]
    pub fn failed(self, now: Timestamp, lock: Lock) -> Self {
        let served = self.lock_until.is_some_and(|until| until <= now);
        let before = if served { Self::default() } else { self };
        let failures = before.counted(now, lock).saturating_add(1);
        let reached = lock.failures_max > 0 && failures >= lock.failures_max;
        let kept = before.lock_until;
        let lock_until = if reached { Some(Timestamp(now.0.saturating_add(lock.wait_ms))).max(kept) } else { kept };
        // Of those that nobody wrote down nobody can tell how old they are: they count from now.
        let mut at = before.at;
        if at.is_empty() {
            at.resize(usize::try_from(before.failures).unwrap_or(Self::MOMENTS_MAX).min(Self::MOMENTS_MAX), now);
        }
        at.drain(..at.len().saturating_sub(Self::MOMENTS_MAX.saturating_sub(1)));
        at.push(now);
        Self { failures, lock_until, at }
    }

    /// How many failures a lock with this window still counts.
    fn counted(&self, now: Timestamp, lock: Lock) -> u32 {
        if lock.window_ms == 0 || self.at.is_empty() {
            return self.failures;
        }
        u32::try_from(self.at.iter().filter(|at| now.0.saturating_sub(at.0) < lock.window_ms).count()).unwrap_or(u32::MAX)
    }

    /// A login went well: the count begins again. A lock stands (M-06).
    #[must_use]
    pub fn succeeded(self) -> Self {
        Self { lock_until: self.lock_until, ..Self::default() }
    }

    /// What is known in two places, as the stricter of both says.
    #[must_use]
    pub fn or_stricter(self, other: &Self) -> Self {
        let at = if other.at.len() > self.at.len() { other.at.clone() } else { self.at };
        Self { failures: self.failures.max(other.failures), lock_until: self.lock_until.max(other.lock_until), at }
    }
}

/// Leave to skip the second factor once, within a time (M-44).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// Good before this moment.
    pub until: Timestamp,
    /// Why, in the words of who granted it.
    pub reason: String,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: Timestamp,
}

/// All we hold about one identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The account, if the identity is enrolled.
    pub account: Option<Arc<Account>>,
    /// Failures and lock.
    pub tries: Tries,
    /// The same where the identity is exempt from the second factor.
    pub exempt_tries: Tries,
    /// A bypass not yet spent.
    pub bypass: Option<Bypass>,
    /// A block of this person, or of a telephone number of the account's; of several the one that holds longest.
    pub block: Option<Block>,
}

impl Standing {
    /// As a login sees it that is held to this count.
    #[must_use]
    pub fn held_to(self, tally: Tally) -> Self {
        match tally {
            Tally::Common => self,
            Tally::Exempt => Self { tries: self.exempt_tries, exempt_tries: Tries::default(), ..self },
        }
    }

    /// One of the counts.
    #[must_use]
    pub fn tally(&self, tally: Tally) -> &Tries {
        match tally {
            Tally::Common => &self.tries,
            Tally::Exempt => &self.exempt_tries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: Lock = Lock { failures_max: 3, wait_ms: 1_000, window_ms: 0 };

    fn after(count: u32, lock: Lock) -> Tries {
        (0..count).fold(Tries::default(), |tries, _| tries.failed(Timestamp(5), lock))
    }

    #[test]
    fn m_05_the_last_allowed_failure_locks() {
        assert!(!after(2, LOCK).locked(Timestamp(6)));
        assert!(after(3, LOCK).locked(Timestamp(6)));
        assert!(after(3, LOCK).locked(Timestamp(1_004)));
        assert!(!after(3, LOCK).locked(Timestamp(1_005)));
    }

    #[test]
    fn a_lock_that_ran_out_starts_a_new_count() {
        let tries = after(3, LOCK).failed(Timestamp(2_000), LOCK);
        assert_eq!(tries, Tries { failures: 1, lock_until: None, at: vec![Timestamp(2_000)] });
    }

    #[test]
    fn a_failure_never_shortens_a_lock() {
        let tries = after(3, Lock { failures_max: 3, wait_ms: 9_000, window_ms: 0 }).failed(Timestamp(6), LOCK);
        assert_eq!(tries.lock_until, Some(Timestamp(9_005)));
    }

    #[test]
    fn m_05_failures_older_than_the_window_count_no_more_and_those_within_it_do() {
        let lock = Lock { window_ms: 30, ..LOCK };
        let told = |moments: &[u64]| {
            let tries = moments.iter().fold(Tries::default(), |tries, at| tries.failed(Timestamp(*at), lock));
            (tries.failures, tries.lock_until.is_some())
        };
        assert_eq!(told(&[0, 10, 29]), (3, true));
        assert_eq!(told(&[0, 10, 30]), (2, false), "the first is as old as the window");
        assert_eq!(told(&[0, 10, 30, 39]), (3, true), "and the last three are within it");
        assert_eq!(told(&[0, 20, 40, 60, 80, 100, 120]), (2, false));
        let long = Lock { window_ms: 1_000, ..LOCK };
        let mixed = [(0, long), (40, lock), (80, long)].into_iter().fold(Tries::default(), |tries, (at, lock)| tries.failed(Timestamp(at), lock));
        assert!(mixed.locked(Timestamp(81)), "a policy that looks back for a short time makes nobody forget for the others");
    }

    #[test]
    fn m_05_failures_written_before_there_were_moments_still_count() {
        let old = Tries { failures: 2, lock_until: None, at: Vec::new() };
        let lock = Lock { failures_max: 4, window_ms: 5, ..LOCK };
        let once = old.failed(Timestamp(9), lock);
        assert_eq!((once.failures, once.locked(Timestamp(10))), (3, false));
        assert!(once.failed(Timestamp(10), lock).locked(Timestamp(11)));
    }

    #[test]
    fn moments_are_no_more_than_a_lock_may_take() {
        let tries = after(500, Lock { failures_max: 0, ..LOCK });
        assert_eq!((tries.failures, tries.at.len()), (500, Tries::MOMENTS_MAX));
    }

    #[test]
    fn zero_never_locks() {
        assert!(!after(500, Lock { failures_max: 0, wait_ms: 1_000, window_ms: 0 }).locked(Timestamp(6)));
    }
}
