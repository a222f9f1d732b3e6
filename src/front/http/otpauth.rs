//! New code generators: seeds, ids and the `otpauth://` line that an app reads.

use std::fmt::Write;

use zeroize::Zeroizing;

use crate::domain::Account;
use crate::domain::Secret;
use crate::domain::TokenInfo;
use crate::domain::TokenKind;
use crate::domain::otp::Algorithm;

/// What the app shows above the account's name.
const ISSUER: &str = "Vestibule";
/// Characters of a token's id: 50 bits.
const ID_LEN: usize = 10;

/// A seed as long as the hash's output (RFC 4226 §4 R6, RFC 6238 §5.1).
///
/// # Errors
/// The system has no chance to give.
pub(super) fn seed(algorithm: Algorithm) -> Result<Secret, getrandom::Error> {
    let length = match algorithm {
        Algorithm::Sha1 => 20,
        Algorithm::Sha256 => 32,
        Algorithm::Sha512 => 64,
    };
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(bytes))
}

/// An id nobody else has, short enough to type.
///
/// # Errors
/// As [`seed`].
pub(super) fn token_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(base32(&bytes).chars().take(ID_LEN).collect::<String>().to_lowercase())
}

/// The line: `otpauth://totp/Vestibule:alice?secret=..&issuer=Vestibule&algorithm=SHA1&digits=6&period=30`.
pub(super) fn uri(account: &Account, info: &TokenInfo, seed: &Secret) -> String {
    let (kind, mover) = match info.kind {
        TokenKind::Hotp => ("hotp", format!("counter={}", info.next_step)),
        TokenKind::Totp { period_s } => ("totp", format!("period={period_s}")),
    };
    format!(
        "otpauth://{kind}/{ISSUER}:{}?secret={}&issuer={ISSUER}&algorithm={}&digits={}&{mover}",
        escaped(&account.name),
        *base32(seed.expose()),
        info.algorithm.as_str(),
        info.digits,
    )
}

/// RFC 4648 §6, without padding, as apps want it.
fn base32(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len().saturating_mul(2)));
    for chunk in bytes.chunks(5) {
        let mut five = [0; 8];
        five.iter_mut().skip(3).zip(chunk).for_each(|(slot, byte)| *slot = *byte);
        let word = u64::from_be_bytes(five);
        let letters = chunk.len().saturating_mul(8).div_ceil(5);
        for place in 0..letters {
            let shift = 35_usize.saturating_sub(place.saturating_mul(5));
            text.push(LETTERS.chars().nth(usize::try_from(word >> shift & 31).unwrap_or_default()).unwrap_or_default());
        }
    }
    text
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Everything but the unreserved characters of RFC 3986 §2.3, percent-encoded: a name never ends the label or adds a parameter.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Identity;
    use crate::domain::Timestamp;

    fn account(name: &str) -> Account {
        let identity = Identity("local:1".into());
        Account::new(identity, name, None, Timestamp(0))
    }

    fn info(kind: TokenKind) -> TokenInfo {
        TokenInfo { id: "t".into(), owner: Identity("local:1".into()), kind, algorithm: Algorithm::Sha1, digits: 6, next_step: 0, created_at: Timestamp(0) }
    }

    #[test]
    fn base32_of_rfc_4648_section_10() {
        for (plain, coded) in [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI")] {
            assert_eq!(*base32(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn the_line_is_what_apps_read() {
        let totp = uri(&account("alice"), &info(TokenKind::Totp { period_s: 30 }), &Secret::from("foobar"));
        assert_eq!(totp, "otpauth://totp/Vestibule:alice?secret=MZXW6YTBOI&issuer=Vestibule&algorithm=SHA1&digits=6&period=30");
        let hotp = uri(&account("alice"), &info(TokenKind::Hotp), &Secret::from("foobar"));
        assert!(hotp.starts_with("otpauth://hotp/") && hotp.ends_with("&counter=0"), "{hotp}");
    }

    #[test]
    fn a_name_never_ends_the_label_or_adds_a_parameter() {
        let line = uri(&account("a?secret=X&b/c:d %\n\u{e9}"), &info(TokenKind::Totp { period_s: 30 }), &Secret::from("foobar"));
        assert!(line.starts_with("otpauth://totp/Vestibule:a%3Fsecret%3DX%26b%2Fc%3Ad%20%25%0A%C3%A9?secret=MZXW6YTBOI&"), "{line}");
    }

    #[test]
    fn m_27_seeds_and_ids_are_as_long_as_they_must_and_never_the_same() {
        assert_eq!([Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512].map(|hash| seed(hash).unwrap().len()), [20, 32, 64]);
        assert_ne!(seed(Algorithm::Sha1).unwrap(), seed(Algorithm::Sha1).unwrap());
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| token_id().unwrap()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == ID_LEN));
    }
}
