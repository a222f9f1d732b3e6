//! Names that are nobody's are counted and locked as people are, so that whoever tries names cannot tell one from the other (M-07).

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;

use super::Engine;
use super::random;
use super::recent::Recent;
use super::turnstile::typed_as;
use crate::domain::AuthRequest;
use crate::domain::Identity;
use crate::domain::Lock;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::Tries;

/// Names counted at once. One that goes for another begins anew, and is nobody's all the same.
const NAMES_MAX: usize = 10_000;

/// Failures by name, as keyed hashes: people type their passwords where a name should stand.
#[derive(Debug)]
pub(super) struct Nobodies {
    key: Secret,
    tries: Mutex<Recent<Key, Tries>>,
}

type Key = [u8; 32];

impl Nobodies {
    /// Nobody yet.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { key: Secret::new(random::<32>()?.to_vec()), tries: Mutex::new(Recent::new(NAMES_MAX)) })
    }

    /// One more try of this name; whether it is locked, by earlier ones, as it would be if it were somebody's.
    fn count(&self, now: Timestamp, name: &str, lock: Lock) -> bool {
        let Some(key) = self.key_of(name) else { return true };
        let mut names = self.lock();
        let before = names.find(&key).cloned().unwrap_or_default();
        let locked = before.locked(now);
        if !locked {
            names.put(key, before.failed(now, lock));
        }
        locked
    }

    fn is_locked(&self, now: Timestamp, name: &str) -> bool {
        let Some(key) = self.key_of(name) else { return true };
        self.lock().find(&key).is_some_and(|tries| tries.locked(now))
    }

    fn forget(&self, name: &str) {
        if let Some(key) = self.key_of(name) {
            self.lock().remove(&key);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn key_of(&self, name: &str) -> Option<Key> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.key.expose()).ok()?;
        mac.update(name.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }

    fn lock(&self) -> MutexGuard<'_, Recent<Key, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// A name that nobody here has was refused: counts it, and says as what it is refused. A server behind us may know the name, and then it is guessed at there.
    pub(super) fn nobody(&self, request: &AuthRequest, lock: Lock, why: Refused) -> Refused {
        let guessed = matches!(why, Refused::UnclearName | Refused::UnknownName | Refused::WrongPassword);
        let Some(typed) = typed_as(request).filter(|_| guessed) else { return why };
        let locked = self.nobodies.count(self.clock.now(), &typed.0, lock);
        self.counts.nobody(request.door.as_str(), if locked { "locked" } else { "counted" });
        if locked { Refused::LockedOut } else { why }
    }

    /// Whether a name that the first factor alone may know has failed too often.
    pub(super) fn nobody_is_locked(&self, request: &AuthRequest) -> bool {
        typed_as(request).is_some_and(|typed| self.nobodies.is_locked(self.clock.now(), &typed.0))
    }

    /// It was somebody's after all.
    pub(super) fn somebody(&self, typed: &Identity) {
        self.nobodies.forget(&typed.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: Lock = Lock { failures_max: 3, wait_ms: 1_000, window_ms: 0 };

    #[test]
    fn m_07_a_name_that_is_nobodys_locks_and_opens_again_as_one_that_is_somebodys() {
        let nobodies = Nobodies::new().unwrap();
        let told: Vec<_> = [0, 1, 2, 3, 1_001, 1_002, 1_003, 1_004, 1_005].into_iter().map(|at| nobodies.count(Timestamp(at), "mallory", LOCK)).collect();
        assert_eq!(told, [false, false, false, true, true, false, false, false, true]);
        assert!(!nobodies.count(Timestamp(3), "another", LOCK));
        assert!((0..50).all(|_| !nobodies.count(Timestamp(3), "never", Lock { failures_max: 0, ..LOCK })), "where nobody is locked, neither is nobody");
    }
}
