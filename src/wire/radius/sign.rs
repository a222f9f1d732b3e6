//! The seals: Message-Authenticator (RFC 3579 §3.2), Response Authenticator (RFC 2865 §3) and that of an Accounting-Request (RFC 2866 §3).

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;
use subtle::ConstantTimeEq;

use super::AUTHENTICATOR_AT;
use super::HEADER_LEN;
use super::attr::Attributes;
use super::attr::MESSAGE_AUTHENTICATOR;

/// Octets of each seal.
pub(super) const SEAL_LEN: usize = 16;
/// A seal not yet made: what the digest sees in its place.
pub(super) const BLANK: [u8; SEAL_LEN] = [0; SEAL_LEN];

/// Where a packet's one Message-Authenticator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// There is more than one, or one of another length.
    Broken,
    /// There is none.
    None,
    /// Its value, and where that begins in the packet.
    One(&'a [u8; SEAL_LEN], usize),
}

/// Looks for the Message-Authenticator, wherever it stands.
pub(super) fn find(attributes: Attributes<'_>) -> Found<'_> {
    let mut found = Found::None;
    let mut at = HEADER_LEN;
    for attribute in attributes {
        if attribute.kind == MESSAGE_AUTHENTICATOR {
            found = match (found, attribute.value.try_into()) {
                (Found::None, Ok(value)) => Found::One(value, at.saturating_add(2)),
                _ => return Found::Broken,
            };
        }
        at = at.saturating_add(attribute.value.len()).saturating_add(2);
    }
    found
}

/// HMAC-MD5 over `packet` with `authenticator` in the header's place and the seal at `at` blank.
pub(super) fn message_authenticator(packet: &[u8], authenticator: &[u8; SEAL_LEN], at: usize, secret: &[u8]) -> Option<[u8; SEAL_LEN]> {
    let mut hmac = Hmac::<Md5>::new_from_slice(secret).ok()?;
    hmac.update(packet.get(..AUTHENTICATOR_AT)?);
    hmac.update(authenticator);
    hmac.update(packet.get(HEADER_LEN..at)?);
    hmac.update(&BLANK);
    hmac.update(packet.get(at.checked_add(SEAL_LEN)?..)?);
    Some(hmac.finalize().into_bytes().into())
}

/// MD5 over the reply with the *request's* authenticator in its place, and the secret.
pub(super) fn response_authenticator(packet: &[u8], authenticator: &[u8; SEAL_LEN], secret: &[u8]) -> Option<[u8; SEAL_LEN]> {
    let head = packet.get(..AUTHENTICATOR_AT)?;
    let attributes = packet.get(HEADER_LEN..)?;
    Some(Md5::new().chain_update(head).chain_update(authenticator).chain_update(attributes).chain_update(secret).finalize().into())
}

/// MD5 over an Accounting-Request with nothing in the authenticator's place, and the secret.
pub(super) fn accounting_authenticator(packet: &[u8], secret: &[u8]) -> Option<[u8; SEAL_LEN]> {
    response_authenticator(packet, &BLANK, secret)
}

/// Whether a seal is the one it must be, in a time that tells nothing.
pub(super) fn same(made: Option<[u8; SEAL_LEN]>, given: &[u8; SEAL_LEN]) -> bool {
    made.is_some_and(|made| made.ct_eq(given).into())
}
