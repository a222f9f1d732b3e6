//! Secrets at rest: XChaCha20-Poly1305, a random nonce each time, bound to the record they lie in (O-01, O-02).

use std::fmt::Debug;
use std::fmt::Formatter;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::KeyInit;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::XNonce;
use chacha20poly1305::aead::Aead;
use chacha20poly1305::aead::Payload;
use zeroize::Zeroizing;

use crate::domain::Secret;

use super::keys::Tree;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A key that seals and opens.
pub(super) struct Seal(XChaCha20Poly1305);

impl Seal {
    /// `None` when the key is not of 32 bytes.
    pub(super) fn new(key: &Secret) -> Option<Self> {
        XChaCha20Poly1305::new_from_slice(key.expose()).ok().map(Self)
    }

    /// Seals `plain` for one record: it opens nowhere else. `None` when the machine has no random numbers to give.
    pub(super) fn close(&self, tree: Tree, key: &[u8], plain: &Secret) -> Option<String> {
        let nonce = random::<NONCE_BYTES>()?;
        let place = place(tree, key);
        let sealed = self.0.encrypt(&XNonce::from(nonce), Payload { msg: plain.expose(), aad: &place }).ok()?;
        Some(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed for this record with this key; `None` for anything else.
    pub(super) fn open(&self, tree: Tree, key: &[u8], sealed: &str) -> Option<Secret> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let place = place(tree, key);
        self.0.decrypt(&XNonce::from(*nonce), Payload { msg: body, aad: &place }).ok().map(Secret::new)
    }
}

impl Debug for Seal {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

/// A key nobody has seen yet. `None` when the machine has no random numbers to give.
pub(super) fn fresh_key() -> Option<Secret> {
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    Some(Secret::new(key.to_vec()))
}

fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

fn place(tree: Tree, key: &[u8]) -> Vec<u8> {
    [tree.name().as_bytes(), b"\0", key].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(byte: u8) -> Seal {
        Seal::new(&Secret::new(vec![byte; KEY_BYTES])).unwrap()
    }

    #[test]
    fn o_02_what_is_sealed_opens_in_its_own_record_alone() {
        let plain = Secret::from("12345678901234567890");
        let sealed = seal(1).close(Tree::Tokens, b"ann\0t", &plain).unwrap();
        assert_eq!(seal(1).open(Tree::Tokens, b"ann\0t", &sealed), Some(plain));
        assert_eq!(seal(1).open(Tree::Tokens, b"bob\0t", &sealed), None);
        assert_eq!(seal(1).open(Tree::Changes, b"ann\0t", &sealed), None);
        assert_eq!(seal(2).open(Tree::Tokens, b"ann\0t", &sealed), None);
        assert_eq!(seal(1).open(Tree::Tokens, b"ann\0t", ""), None);
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let plain = Secret::from("seed");
        assert_ne!(seal(1).close(Tree::Tokens, b"k", &plain), seal(1).close(Tree::Tokens, b"k", &plain));
    }

    #[test]
    fn a_key_of_another_length_is_none() {
        assert!(Seal::new(&Secret::new(vec![0; 31])).is_none());
        assert!(Seal::new(&Secret::new(vec![0; 64])).is_none());
    }
}
