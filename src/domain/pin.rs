//! PINs: what one may be, how long it lasts, and where it stands beside a code.

use super::account::Account;
use super::account::Timestamp;
use super::secret::Secret;

/// `[pin]`: what a PIN must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinRules {
    /// Digits of the shortest, 4 to [`PinRules::LENGTH_MAX`].
    pub length_min: u8,
    /// So many PINs, the present one among them, are not taken again: 1 to 10.
    pub history: u8,
    /// Milliseconds after which it must be set anew; 0: never.
    pub expires_ms: u64,
}

impl PinRules {
    /// Digits of the longest.
    pub const LENGTH_MAX: u8 = 16;

    /// # Errors
    /// Why nobody may have this PIN, or not this person.
    pub fn check(self, pin: &Secret, account: &Account) -> Result<(), WrongPin> {
        let digits = pin.expose();
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(WrongPin::Character);
        }
        if digits.len() < usize::from(self.length_min) || digits.len() > usize::from(Self::LENGTH_MAX) {
            return Err(WrongPin::Length { min: self.length_min });
        }
        if repeats(digits) {
            return Err(WrongPin::Repeat);
        }
        if runs(digits) {
            return Err(WrongPin::Sequence);
        }
        let phones = [&account.phone, &account.backup_phone];
        if phones.into_iter().flatten().any(|phone| holds(phone, digits)) {
            return Err(WrongPin::Phone);
        }
        Ok(())
    }

    /// Whether a PIN that was set then must be set anew now.
    #[must_use]
    pub fn expired(self, set_at: Timestamp, now: Timestamp) -> bool {
        self.expires_ms > 0 && set_at.0.saturating_add(self.expires_ms) <= now.0
    }
}

impl Default for PinRules {
    fn default() -> Self {
        Self { length_min: 4, history: 5, expires_ms: 0 }
    }
}

/// Why a PIN is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongPin {
    /// A PIN is digits alone.
    #[error("a PIN is digits 0 to 9 and nothing else")]
    Character,
    /// Too short or too long.
    #[error("a PIN has {min} to {} digits", PinRules::LENGTH_MAX)]
    Length {
        /// The fewest.
        min: u8,
    },
    /// Four digits of it stand in one of the person's telephone numbers, read forwards or backwards.
    #[error("four digits of the PIN are part of the telephone number")]
    Phone,
    /// 4777, 1212, 472472.
    #[error("the PIN has a digit three times in a row, or is the same digits over and over")]
    Repeat,
    /// 4123, 9876, 4890.
    #[error("the PIN has three digits in a row, up or down")]
    Sequence,
    /// It was used before.
    #[error("the PIN was used before")]
    Used,
}

/// A person's PIN as it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Of the PIN.
    pub hash: Hashed,
    /// Digits it has: where it is cut off a code.
    pub length: u8,
    /// Of those before, the latest first.
    pub earlier: Vec<Hashed>,
    /// When it was set.
    pub set_at: Timestamp,
}

/// What a secret of few digits became by argon2id: a salt of its own, and the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Chance, and no secret.
    pub salt: [u8; Self::SALT_BYTES],
    /// 32 bytes.
    pub hash: Secret,
}

impl Hashed {
    /// Bytes of a salt.
    pub const SALT_BYTES: usize = 16;
    /// Bytes of a hash.
    pub const HASH_BYTES: usize = 32;
}

/// Where the PIN stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinPlace {
    /// Behind the code: `123456` and `4711` are typed `1234564711`.
    Behind,
    /// In front of it: `4711123456`.
    Front,
}

impl PinPlace {
    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "behind",
            Self::Front => "front",
        }
    }

    /// PIN and code. Of what is too short the code is empty: nothing matches it.
    #[must_use]
    pub fn cut(self, typed: &Secret, pin_length: u8) -> (Secret, Secret) {
        let bytes = typed.expose();
        let length = usize::from(pin_length).min(bytes.len());
        let (pin, code) = match self {
            Self::Behind => {
                let (code, pin) = bytes.split_at(bytes.len().saturating_sub(length));
                (pin, code)
            }
            Self::Front => bytes.split_at(length),
        };
        (Secret::new(pin.to_vec()), Secret::new(code.to_vec()))
    }
}

/// Three times the same digit, or all of it the same few digits over and over.
fn repeats(digits: &[u8]) -> bool {
    let half = digits.len().checked_div(2).unwrap_or_default();
    let whole = (1..=half).any(|period| digits.chunks(period).all(|chunk| digits.starts_with(chunk)));
    whole || steps(digits, 0)
}

/// Three digits, each one more, or one less, than the one before; behind 9 comes 0.
fn runs(digits: &[u8]) -> bool {
    steps(digits, 1) || steps(digits, 9)
}

/// Three digits of which each is the one before and `by`.
fn steps(digits: &[u8], by: u8) -> bool {
    let step = |one: u8, next: u8| (one.saturating_sub(b'0').saturating_add(by)) % 10 == next.saturating_sub(b'0');
    digits.windows(3).any(|three| matches!(three, [one, two, three] if step(*one, *two) && step(*two, *three)))
}

/// Whether four digits in a row stand in the number too, read one way or the other.
fn holds(phone: &str, digits: &[u8]) -> bool {
    let number: Vec<u8> = phone.bytes().filter(u8::is_ascii_digit).collect();
    let backwards: Vec<u8> = number.iter().rev().copied().collect();
    let known = |four: &[u8]| number.windows(4).chain(backwards.windows(4)).any(|part| part == four);
    digits.windows(4).any(known)
}

#[cfg(test)]
mod tests {
    use super::super::account::Identity;
    use super::*;

    fn check(pin: &str) -> Result<(), WrongPin> {
        let account = Account {
            phone: Some("+493017294x20".into()),
            backup_phone: Some("+4407902".into()),
            ..Account::new(Identity("S-1".into()), "a", None, Timestamp(0))
        };
        PinRules::default().check(&Secret::from(pin), &account)
    }

    #[test]
    fn m_30_pins_that_anybody_would_try_first_are_refused() {
        for pin in ["1111", "1212", "472472", "12121", "00000000", "4777", "7774", "947775"] {
            assert_eq!(check(pin), Err(WrongPin::Repeat), "{pin}");
        }
        for pin in ["1234", "4321", "8901", "2109", "0123456789", "4123", "1235", "9321", "4890", "471098"] {
            assert_eq!(check(pin), Err(WrongPin::Sequence), "{pin}");
        }
        for pin in ["4930", "9420", "0394", "74930", "817296", "7902", "2097"] {
            assert_eq!(check(pin), Err(WrongPin::Phone), "{pin}");
        }
        for pin in ["471", "47114711471147124", ""] {
            assert_eq!(check(pin), Err(WrongPin::Length { min: 4 }), "{pin}");
        }
        for pin in ["47a1", "471*", "471 1", "４711"] {
            assert_eq!(check(pin), Err(WrongPin::Character), "{pin}");
        }
        for pin in ["4711", "1245", "9173", "0493", "4711471147114716"] {
            assert_eq!(check(pin), Ok(()), "{pin}");
        }
    }

    #[test]
    fn a_pin_is_cut_off_where_it_stands() {
        let cut = |place: PinPlace, typed: &str| {
            let (pin, code) = place.cut(&Secret::from(typed), 4);
            (pin.expose_text().unwrap().to_owned(), code.expose_text().unwrap().to_owned())
        };
        assert_eq!(cut(PinPlace::Front, "4711123456"), ("4711".into(), "123456".into()));
        assert_eq!(cut(PinPlace::Behind, "1234564711"), ("4711".into(), "123456".into()));
        assert_eq!(cut(PinPlace::Front, "471"), ("471".into(), String::new()));
        assert_eq!(cut(PinPlace::Behind, "471"), ("471".into(), String::new()));
    }

    #[test]
    fn a_pin_runs_out_to_the_millisecond() {
        let rules = PinRules { expires_ms: 10, ..PinRules::default() };
        assert!(!rules.expired(Timestamp(5), Timestamp(14)));
        assert!(rules.expired(Timestamp(5), Timestamp(15)));
        assert!(!PinRules::default().expired(Timestamp(5), Timestamp(u64::MAX)));
    }
}
