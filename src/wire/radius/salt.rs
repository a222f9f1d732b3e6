//! Values that are hidden in replies: salted ones (RFC 2868 §3.5, RFC 2548 §2.4.2), the MPPE keys of MS-CHAP (RFC 2548 §2.4.1) and Ascend's secrets.

use md5::Digest;
use md5::Md5;
use zeroize::Zeroizing;

use super::draft::TooLong;
use super::hide;
use super::hide::BLOCK_LEN;

/// A hidden value that cannot be read: a length that cannot be. The trouble of that attribute alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hidden value cannot be read: its length is impossible")]
pub struct Unreadable;

/// Hides at most 239 octets, as Tunnel-Password (behind its tag), MS-MPPE-Send-Key and MS-MPPE-Recv-Key do. The salt comes first, its highest bit set.
///
/// A salt must be used once in a packet.
///
/// # Errors
/// The value is too long.
pub fn hide(value: &[u8], secret: &[u8], authenticator: &[u8; 16], salt: [u8; 2]) -> Result<Vec<u8>, TooLong> {
    if value.len() > VALUE_LEN_MAX {
        return Err(TooLong);
    }
    let salt = marked(salt);
    let mut padded = Zeroizing::new(Vec::with_capacity(VALUE_LEN_MAX.saturating_add(1)));
    padded.push(u8::try_from(value.len()).map_err(|_| TooLong)?);
    padded.extend_from_slice(value);
    padded.resize(value.len().saturating_add(1).next_multiple_of(BLOCK_LEN), 0);
    let mut hidden = salt.to_vec();
    hidden.extend(hide::conceal(&padded, secret, &start(authenticator, salt)));
    Ok(hidden)
}

/// What [`hide()`] hid.
///
/// # Errors
/// There is no salt, what follows is not blocks of 16, or the length octet says more than there is.
pub fn reveal(hidden: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let (salt, blocks) = hidden.split_first_chunk::<2>().ok_or(Unreadable)?;
    if blocks.is_empty() || !blocks.len().is_multiple_of(BLOCK_LEN) {
        return Err(Unreadable);
    }
    let padded = hide::uncover(blocks, secret, &start(authenticator, *salt));
    let (length, rest) = padded.split_first().ok_or(Unreadable)?;
    // What the padding holds means nothing: RFC 2868 §3.5 only recommends zeros.
    let value = rest.get(..usize::from(*length)).ok_or(Unreadable)?;
    Ok(Zeroizing::new(value.to_vec()))
}

/// Hides MS-CHAP-MPPE-Keys: 24 octets of keys in 32, the rest blank, as a User-Password is hidden.
///
/// # Errors
/// More than 32 octets.
pub fn hide_chap_keys(keys: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Result<Vec<u8>, TooLong> {
    let mut padded = Zeroizing::new([0; CHAP_KEYS_LEN]);
    padded.get_mut(..keys.len()).ok_or(TooLong)?.copy_from_slice(keys);
    Ok(hide::conceal(&*padded, secret, authenticator))
}

/// What [`hide_chap_keys`] hid: all 32 octets.
///
/// # Errors
/// It is of another length.
pub fn reveal_chap_keys(hidden: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    if hidden.len() != CHAP_KEYS_LEN {
        return Err(Unreadable);
    }
    Ok(hide::uncover(hidden, secret, authenticator))
}

/// Hides an Ascend-Send-Secret or Ascend-Receive-Secret: one block, padded with NULs, under the digest of authenticator and secret, in that order (no
/// RFC says so; FreeRADIUS does it like this). Its own inverse, save for the padding.
///
/// # Errors
/// More than 16 octets.
pub fn mask_ascend(value: &[u8], secret: &[u8], authenticator: &[u8; 16]) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    if value.len() > BLOCK_LEN {
        return Err(TooLong);
    }
    let key = Zeroizing::new(<[u8; BLOCK_LEN]>::from(Md5::new().chain_update(authenticator).chain_update(secret).finalize()));
    let padded = value.iter().copied().chain(std::iter::repeat(0));
    Ok(Zeroizing::new(key.iter().zip(padded).map(|(key, byte)| key ^ byte).collect()))
}

/// The salts of one packet: each another, beginning anywhere.
pub(super) struct Salts(u16);

impl Salts {
    pub(super) fn from(first: [u8; 2]) -> Self {
        Self(u16::from_be_bytes(first))
    }

    pub(super) fn next(&mut self) -> [u8; 2] {
        let salt = marked(self.0.to_be_bytes());
        self.0 = self.0.wrapping_add(1);
        salt
    }
}

/// The highest bit set, as RFC 2868 §3.5 wants it.
fn marked([high, low]: [u8; 2]) -> [u8; 2] {
    [high | 0x80, low]
}

/// What the first block is chained to.
fn start(authenticator: &[u8; 16], salt: [u8; 2]) -> Vec<u8> {
    [&authenticator[..], &salt].concat()
}

/// Octets of a value that [`hide()`] hides: fifteen blocks less the length octet.
pub const VALUE_LEN_MAX: usize = 239;
const CHAP_KEYS_LEN: usize = 32;
