//! Signatures of the webhook protocol: HMAC-SHA-256 over what is said, when, and in answer to what.

use std::fmt::Write;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use reqwest::header::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::domain::Secret;
use crate::domain::Timestamp;

/// When it was signed: whole seconds since 1970-01-01 UTC, in decimal digits.
pub const TIMESTAMP: &str = "vestibule-timestamp";
/// 32 lower-case hexadecimal digits that no other request has.
pub const NONCE: &str = "vestibule-nonce";
/// `v1=` and the signature in lower-case hexadecimal.
pub const SIGNATURE: &str = "vestibule-signature";

/// What of a request or a reply is signed.
#[derive(Clone, Copy, Debug)]
pub enum Signed<'a> {
    /// To the service: the method, and path and query as they are sent, all of them.
    Request(&'a str, &'a str),
    /// From it: the HTTP status.
    Reply(u16),
}

impl Signed<'_> {
    /// `v1=` and 64 hexadecimal digits.
    #[must_use]
    pub fn signature(self, key: &Secret, timestamp: &str, nonce: &str, body: &[u8]) -> String {
        let head = match self {
            Self::Request(method, target) => format!("vestibule-webhook-1\nrequest\n{method} {target}\n{timestamp}\n{nonce}\n"),
            Self::Reply(status) => format!("vestibule-webhook-1\nreply\n{status}\n{timestamp}\n{nonce}\n"),
        };
        // HMAC takes keys of any length, so the error cannot be; were it to be, nobody takes the empty signature.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return String::new() };
        mac.update(head.as_bytes());
        mac.update(body);
        format!("v1={}", hex(&mac.finalize().into_bytes()))
    }
}

/// Why a reply is not to be believed (M-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forged {
    /// Nobody signed it with a key of ours, or it was the reply to another request.
    #[error("its signature is wrong: is `key` the same on both sides?")]
    Signature,
    /// It is not of now.
    #[error("its timestamp is more than a minute from ours: check the clocks")]
    Time,
    /// A header is missing, twice there, or in no form that we read.
    #[error("it is not signed: `vestibule-timestamp` and `vestibule-signature` must be there once each")]
    Unsigned,
}

/// Whether a reply was made now, in answer to the request with `nonce`, by somebody who has one of `keys`.
///
/// # Errors
/// Why not.
pub fn check(headers: &HeaderMap, status: u16, nonce: &str, body: &[u8], keys: &[&Secret], now: Timestamp) -> Result<(), Forged> {
    let (timestamp, signature) = one(headers, TIMESTAMP).zip(one(headers, SIGNATURE)).ok_or(Forged::Unsigned)?;
    // Compared as it was written, with what we make of it: one spelling alone is right.
    let matches = |key: &&Secret| Signed::Reply(status).signature(key, timestamp, nonce, body).as_bytes().ct_eq(signature.as_bytes()).into();
    if signature.is_empty() || !keys.iter().any(matches) {
        return Err(Forged::Signature);
    }
    // Behind the signature, so that a reply that nobody signed tells nothing about clocks.
    let plain = (1..=TIMESTAMP_LEN_MAX).contains(&timestamp.len()) && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let signed_s: u64 = Some(timestamp).filter(|_| plain).and_then(|digits| digits.parse().ok()).ok_or(Forged::Unsigned)?;
    if (now.0 / 1_000).abs_diff(signed_s) > SKEW_S_MAX { Err(Forged::Time) } else { Ok(()) }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The value of a header that is there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let only = all.next()?;
    if all.next().is_some() { None } else { only.to_str().ok() }
}

/// Seconds between our clock and that of the service.
const SKEW_S_MAX: u64 = 60;
const TIMESTAMP_LEN_MAX: usize = 12;

#[cfg(test)]
mod tests;
