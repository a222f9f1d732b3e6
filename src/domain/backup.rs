//! Backup codes: for whoever has lost the generator, good once and for a day at most (M-44).

use super::account::Timestamp;
use super::pin::Hashed;
use super::secret::Secret;

/// The backup codes of one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCodes {
    /// One for all of them: a code is hashed once to be looked for.
    pub salt: [u8; Hashed::SALT_BYTES],
    /// Hashes; `None` where a code was used.
    pub hashes: Vec<Option<Secret>>,
    /// Good before this moment.
    pub until: Timestamp,
    /// Who issued them.
    pub issued_by: String,
    /// When.
    pub issued_at: Timestamp,
}

impl BackupCodes {
    /// Digits of a code: 26 bits.
    pub const DIGITS: u8 = 8;
    /// As many as there may be.
    pub const COUNT_MAX: u8 = 20;
    /// Milliseconds they are good for at most: a day.
    pub const FOR_MS_MAX: u64 = 24 * 60 * 60 * 1000;

    /// Whether any code may still be used now.
    #[must_use]
    pub fn open(&self, now: Timestamp) -> bool {
        now < self.until && self.left() > 0
    }

    /// Codes not used yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.hashes.iter().flatten().count()
    }

    /// The place of the code with this hash. Every hash is compared, whichever it is.
    #[must_use]
    pub fn place_of(&self, hash: &Secret) -> Option<u8> {
        let mut found = None;
        for (place, known) in self.hashes.iter().enumerate() {
            if known.as_ref().is_some_and(|known| known == hash) {
                found = found.or_else(|| u8::try_from(place).ok());
            }
        }
        found
    }

    /// Without the code at this place, if it may be used at `at`: these are the ones issued then, it was not used, and they have not run out.
    #[must_use]
    pub fn used(mut self, place: u8, issued_at: Timestamp, at: Timestamp) -> Option<Self> {
        let fits = self.issued_at == issued_at && at < self.until;
        self.hashes.get_mut(usize::from(place)).filter(|_| fits)?.take()?;
        Some(self)
    }
}

/// The digits of a code made of chance: `None` for what must be drawn again, so that each code is as likely as the other.
#[must_use]
pub fn digits(chance: [u8; 4]) -> Option<String> {
    const CODES: u32 = 100_000_000;
    const FAIR: u32 = CODES * (u32::MAX / CODES);
    let drawn = u32::from_be_bytes(chance);
    (drawn < FAIR).then(|| format!("{:08}", drawn % CODES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> BackupCodes {
        let hash = |byte| Some(Secret::new(vec![byte; 32]));
        BackupCodes { salt: [0; 16], hashes: vec![hash(1), hash(2)], until: Timestamp(100), issued_by: "root".into(), issued_at: Timestamp(5) }
    }

    #[test]
    fn m_44_a_code_is_used_once_in_its_time_and_of_its_own_issue() {
        assert_eq!(codes().place_of(&Secret::new(vec![2; 32])), Some(1));
        assert_eq!(codes().place_of(&Secret::new(vec![3; 32])), None);
        let left = codes().used(1, Timestamp(5), Timestamp(99)).unwrap();
        assert_eq!((left.left(), left.place_of(&Secret::new(vec![2; 32]))), (1, None));
        assert_eq!(left.used(1, Timestamp(5), Timestamp(99)), None);
        assert_eq!(codes().used(1, Timestamp(5), Timestamp(100)), None);
        assert_eq!(codes().used(1, Timestamp(6), Timestamp(99)), None);
        assert_eq!(codes().used(2, Timestamp(5), Timestamp(99)), None);
        assert!(codes().open(Timestamp(99)) && !codes().open(Timestamp(100)));
    }

    #[test]
    fn m_27_no_code_is_likelier_than_another() {
        assert_eq!(digits([0, 0, 0, 7]).as_deref(), Some("00000007"));
        assert_eq!(digits(4_199_999_999_u32.to_be_bytes()).as_deref(), Some("99999999"));
        assert_eq!(digits(4_200_000_000_u32.to_be_bytes()), None);
    }
}
