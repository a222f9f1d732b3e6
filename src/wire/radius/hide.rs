//! User-Password: hidden by a chain of MD5 over the shared secret (RFC 2865 §5.2).

use md5::Digest;
use md5::Md5;
use zeroize::Zeroizing;

/// The password's length cannot be: plain more than 128 octets; hidden not 16, 32, .. 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the length of User-Password cannot be: RFC 2865 §5.2 wants 16, 32 .. 128 octets")]
pub struct BadLength;

/// Hides a password of at most 128 octets. One that ends in NULs comes back without them.
///
/// # Errors
/// It is too long.
pub fn hide(password: &[u8], secret: &[u8], authenticator: &[u8; BLOCK_LEN]) -> Result<Vec<u8>, BadLength> {
    if password.len() > PASSWORD_LEN_MAX {
        return Err(BadLength);
    }
    let mut padded = Zeroizing::new(Vec::with_capacity(PASSWORD_LEN_MAX));
    padded.extend_from_slice(password);
    padded.resize(password.len().max(1).next_multiple_of(BLOCK_LEN), 0);
    Ok(conceal(&padded, secret, authenticator))
}

/// The password, trailing NULs taken off.
///
/// # Errors
/// `hidden` is not a multiple of 16 from 16 to 128 octets.
pub fn reveal(hidden: &[u8], secret: &[u8], authenticator: &[u8; BLOCK_LEN]) -> Result<Zeroizing<Vec<u8>>, BadLength> {
    if hidden.is_empty() || hidden.len() > PASSWORD_LEN_MAX || !hidden.len().is_multiple_of(BLOCK_LEN) {
        return Err(BadLength);
    }
    let mut password = uncover(hidden, secret, authenticator);
    let end = password.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
    password.truncate(end);
    Ok(password)
}

/// Hides whole blocks: each under the digest of the secret and the hidden block before it, the first one under `start`.
pub(super) fn conceal(blocks: &[u8], secret: &[u8], start: &[u8]) -> Vec<u8> {
    let mut hidden: Vec<u8> = Vec::with_capacity(blocks.len());
    let mut chain: &[u8] = start;
    let mut last;
    for block in blocks.chunks(BLOCK_LEN) {
        last = mask(secret, chain, block);
        hidden.extend_from_slice(&last);
        chain = &*last;
    }
    hidden
}

/// What [`conceal`] hid.
pub(super) fn uncover(hidden: &[u8], secret: &[u8], start: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut blocks = Zeroizing::new(Vec::with_capacity(hidden.len()));
    let mut chain: &[u8] = start;
    for block in hidden.chunks(BLOCK_LEN) {
        blocks.extend_from_slice(&mask(secret, chain, block));
        chain = block;
    }
    blocks
}

/// One block under the digest of the secret and what came before it. Its own inverse.
fn mask(secret: &[u8], chain: &[u8], block: &[u8]) -> Zeroizing<Vec<u8>> {
    let key = Zeroizing::new(<[u8; BLOCK_LEN]>::from(Md5::new().chain_update(secret).chain_update(chain).finalize()));
    Zeroizing::new(block.iter().zip(key.iter()).map(|(byte, key)| byte ^ key).collect())
}

/// Octets of a password.
pub const PASSWORD_LEN_MAX: usize = 128;
pub(super) const BLOCK_LEN: usize = 16;
