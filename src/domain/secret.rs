//! Secrets: bytes that are wiped when they go and that no log can print.

use std::collections::BTreeSet;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Bytes nobody may see: a password, a code, a shared secret, a token's seed.
///
/// `Debug` prints `Secret(..)`; the plain bytes come out through [`Secret::expose`] alone, a word one can search for.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they are wiped when the secret is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Bytes written as hexadecimal digits, two each; `None` for anything else. Dashes and spaces between them are for the eye.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits: Zeroizing<Vec<u32>> =
            Zeroizing::new(text.chars().filter(|sign| !matches!(sign, '-' | ' ')).map(|sign| sign.to_digit(16).unwrap_or(16)).collect());
        let pair = |pair: &[u32]| match pair {
            [high @ 0..=15, low @ 0..=15] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        digits.chunks(2).map(pair).collect::<Option<Vec<u8>>>().map(Self::new)
    }

    /// The bytes as hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> Self {
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        Self::new(digits.map(|digit| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }).collect())
    }

    /// The plain bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The plain bytes as text, where they are UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// How many different bytes it has: few make it easy to find by trying, however long it is.
    #[must_use]
    pub fn variety(&self) -> usize {
        self.0.iter().collect::<BTreeSet<_>>().len()
    }

    /// Whether there are no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compares in a time that does not depend on where the bytes differ (R-026, M-26).
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for Secret {}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_067_a_secret_never_prints_its_bytes() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(format!("{secret:#?}"), "Secret(..)");
    }

    #[test]
    fn only_pairs_of_hexadecimal_digits_are_bytes() {
        assert_eq!(Secret::from_hex("0fFF-10 7a"), Some(Secret::new(vec![15, 255, 16, 122])));
        assert_eq!(Secret::from_hex("0fFF107a").unwrap().to_hex(), Secret::from("0fff107a"));
        assert_eq!(["+1", "f", "0g", "é0"].map(Secret::from_hex), [None, None, None, None]);
    }

    #[test]
    fn r_026_secrets_of_other_length_or_content_differ() {
        assert_eq!(Secret::from("abc"), Secret::from("abc"));
        assert_ne!(Secret::from("abc"), Secret::from("abd"));
        assert_ne!(Secret::from("abc"), Secret::from("abcd"));
        assert_ne!(Secret::from(""), Secret::from("a"));
    }
}
