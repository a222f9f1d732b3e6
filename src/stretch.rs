//! Slow hashes: PINs and backup codes have few digits, so each guess at one must cost (argon2id), and no guesser may take the machine down.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;

use crate::domain::Secret;
use crate::domain::pin::Hashed;

/// Why there is no hash. Whoever needs it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StretchError {
    /// The machine has no memory or no chance to give.
    #[error("the machine has no memory or no random numbers to give")]
    Failed,
    /// Too many wait already.
    #[error("too many PINs and backup codes are being checked: try again in a moment")]
    Full,
}

/// The secret under a salt of its own. Takes 50 ms of one core and 19 MiB.
///
/// # Errors
/// Too many wait, or the machine has nothing to give.
pub async fn hash(secret: &Secret) -> Result<Hashed, StretchError> {
    let salt = salt()?;
    Ok(Hashed { salt, hash: hash_with(salt, secret).await? })
}

/// A new salt.
///
/// # Errors
/// The machine gives no random numbers.
pub fn salt() -> Result<[u8; Hashed::SALT_BYTES], StretchError> {
    let mut salt = [0; Hashed::SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|_| StretchError::Failed)?;
    Ok(salt)
}

/// Whether it is the secret that was hashed.
///
/// # Errors
/// As [`hash`].
pub async fn matches(hashed: &Hashed, secret: &Secret) -> Result<bool, StretchError> {
    Ok(hash_with(hashed.salt, secret).await? == hashed.hash)
}

/// The hash under this salt.
///
/// # Errors
/// As [`hash`].
pub async fn hash_with(salt: [u8; Hashed::SALT_BYTES], secret: &Secret) -> Result<Secret, StretchError> {
    let permit = permit().await?;
    let secret = secret.clone();
    // The permit goes along: whoever no longer waits for a hash frees no place for another while it is still being made.
    let made = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let params = Params::new(MEMORY_KIB, PASSES, 1, Some(Hashed::HASH_BYTES)).map_err(|_| StretchError::Failed)?;
        let mut hash = vec![0; Hashed::HASH_BYTES];
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(secret.expose(), &salt, &mut hash);
        done.map(|()| Secret::new(hash)).map_err(|_| StretchError::Failed)
    });
    made.await.map_err(|_| StretchError::Failed)?
}

/// A place in the line, given back whatever becomes of it.
struct Waiting;

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn permit() -> Result<SemaphorePermit<'static>, StretchError> {
    let before = WAITING.fetch_add(1, Ordering::Relaxed);
    let _waiting = Waiting;
    if before >= WAITING_MAX {
        return Err(StretchError::Full);
    }
    AT_ONCE.acquire().await.map_err(|_| StretchError::Failed)
}

/// Hashes that are made at once: 76 MiB.
static AT_ONCE: Semaphore = Semaphore::const_new(4);
static WAITING: AtomicUsize = AtomicUsize::new(0);
/// The last one in line waits for about a second.
const WAITING_MAX: usize = 64;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn m_44_a_hash_knows_its_secret_and_no_other() {
        let hashed = hash(&Secret::from("4711")).await.unwrap();
        assert_eq!(matches(&hashed, &Secret::from("4711")).await, Ok(true));
        assert_eq!(matches(&hashed, &Secret::from("4712")).await, Ok(false));
        assert_eq!(matches(&hashed, &Secret::from("")).await, Ok(false));
        assert_ne!(hash(&Secret::from("4711")).await.unwrap(), hashed);
    }
}
