//! One-time codes: HOTP (RFC 4226) and TOTP (RFC 6238), checked in constant time, each step good once.

use std::ops::RangeInclusive;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use serde::Deserialize;
use serde::Serialize;
use subtle::Choice;
use subtle::ConstantTimeEq;

use super::account::Timestamp;
use super::account::TokenInfo;
use super::account::TokenKind;
use super::secret::Secret;

/// Hash inside the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// HMAC-SHA-1, what every generator knows.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The word in an `otpauth://` line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

/// How far from the expected step a code may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// TOTP: steps before and after now, 0 or 1 (M-08).
    pub steps_around: u8,
    /// HOTP: counters ahead of the next, at most 10 (M-04, RFC 4226 §7.4).
    pub look_ahead: u8,
}

/// The step whose code this is, if it may still be used: none below the token's `next_step` ever is (M-01).
///
/// Every candidate is computed and compared whether or not one matched before.
#[must_use]
pub fn matching_step(info: &TokenInfo, seed: &Secret, now: Timestamp, window: Window, typed: &Secret) -> Option<u64> {
    if typed.len() != usize::from(info.digits) {
        return None;
    }
    let (first, last) = candidates(info, now, window);
    let mut found = None;
    for step in first..=last {
        let code = code(info.algorithm, seed, step, info.digits);
        if bool::from(code.as_bytes().ct_eq(typed.expose())) {
            found = found.or(Some(step));
        }
    }
    found
}

/// The step of the last of these codes, which must be those of steps that follow each other, none below the token's `next_step` and the first at most
/// [`RESYNC_AHEAD`] above it (RFC 4226 §7.4, M-04). Every candidate is computed and compared.
#[must_use]
pub fn resynced(info: &TokenInfo, seed: &Secret, typed: &[Secret]) -> Option<u64> {
    if !RESYNC_CODES.contains(&typed.len()) || typed.iter().any(|code| code.len() != usize::from(info.digits)) {
        return None;
    }
    let behind = u64::try_from(typed.len()).ok()?.checked_sub(1)?;
    let last = info.next_step.checked_add(RESYNC_AHEAD)?.checked_add(behind)?;
    let codes: Vec<String> = (info.next_step..=last).map(|step| code(info.algorithm, seed, step, info.digits)).collect();
    let mut found = None;
    for (ahead, row) in (0..).zip(codes.windows(typed.len())) {
        let same = row.iter().zip(typed).map(|(code, typed)| code.as_bytes().ct_eq(typed.expose()));
        if bool::from(same.fold(Choice::from(1), |all, one| all & one)) {
            found = found.or(info.next_step.checked_add(ahead)?.checked_add(behind));
        }
    }
    found
}

/// Codes in a row that show where a token is.
pub const RESYNC_CODES: RangeInclusive<usize> = 2..=3;
/// Presses that a token may be ahead.
pub const RESYNC_AHEAD: u64 = 100;

/// The code of a step: `digits` ASCII digits, leading zeros kept (RFC 4226 §5.3).
#[must_use]
pub fn code(algorithm: Algorithm, seed: &Secret, step: u64, digits: u8) -> String {
    let mac = match algorithm {
        Algorithm::Sha1 => mac_of(Hmac::<sha1::Sha1>::new_from_slice(seed.expose()), step),
        Algorithm::Sha256 => mac_of(Hmac::<sha2::Sha256>::new_from_slice(seed.expose()), step),
        Algorithm::Sha512 => mac_of(Hmac::<sha2::Sha512>::new_from_slice(seed.expose()), step),
    };
    if mac.is_empty() {
        return String::new();
    }
    let width = usize::from(digits);
    let modulus = 10_u32.saturating_pow(u32::from(digits));
    format!("{:0width$}", truncated(&mac) % modulus)
}

/// The time step a moment lies in.
#[must_use]
pub fn step_at(now: Timestamp, period_s: u32) -> u64 {
    now.0.checked_div(u64::from(period_s).saturating_mul(1_000)).unwrap_or_default()
}

fn candidates(info: &TokenInfo, now: Timestamp, window: Window) -> (u64, u64) {
    match info.kind {
        TokenKind::Hotp => (info.next_step, info.next_step.saturating_add(u64::from(window.look_ahead))),
        TokenKind::Totp { period_s } => {
            let step = step_at(now, period_s);
            let around = u64::from(window.steps_around);
            (step.saturating_sub(around).max(info.next_step), step.saturating_add(around))
        }
    }
}

fn mac_of<M: Mac>(mac: Result<M, hmac::digest::InvalidLength>, step: u64) -> Vec<u8> {
    // HMAC takes keys of any length, so the error cannot be; were it to be, an empty code matches nothing.
    let Ok(mut mac) = mac else { return Vec::new() };
    mac.update(&step.to_be_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Dynamic truncation (RFC 4226 §5.3).
fn truncated(mac: &[u8]) -> u32 {
    let offset = usize::from(mac.last().copied().unwrap_or_default() & 0x0f);
    let word = mac.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    u32::from_be_bytes(word) & 0x7fff_ffff
}

#[cfg(test)]
mod tests {
    use super::super::account::Identity;
    use super::*;

    fn token(kind: TokenKind, next_step: u64) -> TokenInfo {
        TokenInfo { id: "t".into(), owner: Identity("a".into()), kind, algorithm: Algorithm::Sha1, digits: 6, next_step, created_at: Timestamp(0) }
    }

    const WINDOW: Window = Window { steps_around: 1, look_ahead: 10 };
    const TOTP: TokenKind = TokenKind::Totp { period_s: 30 };

    #[test]
    fn rfc_4226_appendix_d() {
        let seed = Secret::from("12345678901234567890");
        let want = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, want) in want.iter().enumerate() {
            assert_eq!(code(Algorithm::Sha1, &seed, step as u64, 6), *want);
        }
    }

    #[test]
    fn rfc_6238_appendix_b() {
        let long = "1234567890".repeat(7);
        let seeds = [(Algorithm::Sha1, 20), (Algorithm::Sha256, 32), (Algorithm::Sha512, 64)];
        let want = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (seconds, codes) in want {
            for ((algorithm, length), want) in seeds.iter().zip(codes) {
                let step = step_at(Timestamp(seconds * 1_000), 30);
                assert_eq!(code(*algorithm, &Secret::from(&long[..*length]), step, 8), want);
            }
        }
    }

    #[test]
    fn seven_digits_and_sixty_seconds() {
        let seed = Secret::from("12345678901234567890");
        assert_eq!(code(Algorithm::Sha1, &seed, 1, 7), "4287082");
        assert_eq!(step_at(Timestamp(119_999), 60), 1);
        assert_eq!(step_at(Timestamp(120_000), 60), 2);
    }

    #[test]
    fn m_08_one_step_around_now_and_no_further() {
        let seed = Secret::from("12345678901234567890");
        let now = Timestamp(1_000 * 30_000);
        let at = |step: u64| matching_step(&token(TOTP, 0), &seed, now, WINDOW, &Secret::from(code(Algorithm::Sha1, &seed, step, 6).as_str()));
        assert_eq!([at(998), at(999), at(1000), at(1001), at(1002)], [None, Some(999), Some(1000), Some(1001), None]);
        let strict = Window { steps_around: 0, look_ahead: 0 };
        let previous = Secret::from(code(Algorithm::Sha1, &seed, 999, 6).as_str());
        assert_eq!(matching_step(&token(TOTP, 0), &seed, now, strict, &previous), None);
    }

    #[test]
    fn m_01_o_24_a_burnt_step_never_returns_even_when_the_clock_steps_back() {
        let seed = Secret::from("12345678901234567890");
        let code_of = |step| Secret::from(code(Algorithm::Sha1, &seed, step, 6).as_str());
        let burnt = token(TOTP, 1001);
        let now = Timestamp(1_000 * 30_000);
        assert_eq!(matching_step(&burnt, &seed, now, WINDOW, &code_of(1000)), None);
        assert_eq!(matching_step(&burnt, &seed, now, WINDOW, &code_of(999)), None);
        assert_eq!(matching_step(&burnt, &seed, now, WINDOW, &code_of(1001)), Some(1001));
        assert_eq!(matching_step(&burnt, &seed, Timestamp(500 * 30_000), WINDOW, &code_of(500)), None);
    }

    #[test]
    fn m_04_hotp_looks_ahead_ten_and_never_back() {
        let seed = Secret::from("12345678901234567890");
        let at =
            |step: u64| matching_step(&token(TokenKind::Hotp, 5), &seed, Timestamp(0), WINDOW, &Secret::from(code(Algorithm::Sha1, &seed, step, 6).as_str()));
        assert_eq!([at(4), at(5), at(15), at(16)], [None, Some(5), Some(15), None]);
    }

    #[test]
    fn m_04_codes_in_a_row_bring_a_token_back_and_only_forward() {
        let seed = Secret::from("12345678901234567890");
        let typed = |steps: &[u64]| steps.iter().map(|step| Secret::from(code(Algorithm::Sha1, &seed, *step, 6).as_str())).collect::<Vec<_>>();
        let at = |steps: &[u64]| resynced(&token(TokenKind::Hotp, 50), &seed, &typed(steps));
        assert_eq!(at(&[50, 51]), Some(51));
        assert_eq!(at(&[90, 91, 92]), Some(92));
        assert_eq!(at(&[150, 151]), Some(151));
        for none in [&[151, 152][..], &[49, 50], &[60, 62], &[61, 60], &[60, 60], &[60], &[60, 61, 62, 63], &[]] {
            assert_eq!(at(none), None, "{none:?}");
        }
        assert_eq!(resynced(&token(TokenKind::Hotp, u64::MAX), &seed, &typed(&[1, 2])), None);
    }

    #[test]
    fn m_02_another_spelling_of_a_code_is_no_code() {
        let seed = Secret::from("12345678901234567890");
        for typed in ["755224 ", " 755224", "+755224", "755 224", "７５５２２４", "0755224", ""] {
            assert_eq!(matching_step(&token(TokenKind::Hotp, 0), &seed, Timestamp(0), WINDOW, &Secret::from(typed)), None);
        }
    }

    #[test]
    fn another_implementation_makes_the_same_codes() {
        let seed = vec![7_u8; 20];
        for step in (0..200_000).step_by(7_919) {
            let oracle = totp_rs::Builder::new().with_secret(seed.clone()).build().unwrap();
            assert_eq!(code(Algorithm::Sha1, &Secret::new(seed.clone()), step, 6), oracle.generate(step * 30).to_string());
        }
    }
}
