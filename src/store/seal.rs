//! Secrets at rest: XChaCha20-Poly1305, a random nonce each time, bound to the record they lie in (O-01, O-02).
//!
//! A store has a data key of its own, or while it is given another (`vestibule rekey`) two: each has a number, its epoch, which stands in front of all that is
//! sealed with it. The newest key seals, all of them open. What was sealed before there were epochs has no number in front and is of the first.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fmt::Formatter;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

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
/// The number of a store's first data key.
pub(super) const FIRST_EPOCH: u32 = 1;
const NONCE_BYTES: usize = 24;

/// One key that seals and opens.
pub(super) struct Cipher(XChaCha20Poly1305);

impl Cipher {
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

impl Debug for Cipher {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(..)")
    }
}

/// The data keys of a store.
#[derive(Debug)]
pub(super) struct Seal(RwLock<Arc<Ring>>);

#[derive(Clone, Debug)]
struct Ring {
    newest: u32,
    keys: BTreeMap<u32, (Secret, Arc<Cipher>)>,
}

impl Seal {
    /// `None` when there is no key, or one is not of 32 bytes.
    pub(super) fn new(keys: impl IntoIterator<Item = (u32, Secret)>) -> Option<Self> {
        let keys = keys.into_iter().map(|(epoch, key)| Some((epoch, with_cipher(key)?))).collect::<Option<BTreeMap<_, _>>>()?;
        let newest = *keys.keys().next_back()?;
        Some(Self(RwLock::new(Arc::new(Ring { newest, keys }))))
    }

    /// As [`Cipher::close`], with the newest key.
    pub(super) fn close(&self, tree: Tree, key: &[u8], plain: &Secret) -> Option<String> {
        let ring = self.ring();
        let (_, cipher) = ring.keys.get(&ring.newest)?;
        Some(format!("{}.{}", ring.newest, cipher.close(tree, key, plain)?))
    }

    /// As [`Cipher::open`], with whichever key it was sealed.
    pub(super) fn open(&self, tree: Tree, key: &[u8], sealed: &str) -> Option<Secret> {
        let (epoch, sealed) = with_epoch(sealed)?;
        self.ring().keys.get(&epoch)?.1.open(tree, key, sealed)
    }

    /// Whether this was sealed with the newest key.
    pub(super) fn is_newest(&self, sealed: &str) -> bool {
        with_epoch(sealed).is_some_and(|(epoch, _)| epoch == self.newest())
    }

    /// The number of the newest key.
    pub(super) fn newest(&self) -> u32 {
        self.ring().newest
    }

    /// All keys, oldest first.
    pub(super) fn keys(&self) -> Vec<(u32, Secret)> {
        self.ring().keys.iter().map(|(epoch, (key, _))| (*epoch, key.clone())).collect()
    }

    /// From here on these keys, which the disk has already.
    pub(super) fn replace(&self, other: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = other.ring();
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn with_cipher(key: Secret) -> Option<(Secret, Arc<Cipher>)> {
    let cipher = Arc::new(Cipher::new(&key)?);
    Some((key, cipher))
}

/// A point stands in no base64.
fn with_epoch(sealed: &str) -> Option<(u32, &str)> {
    sealed.split_once('.').map_or(Some((FIRST_EPOCH, sealed)), |(epoch, sealed)| Some((epoch.parse().ok()?, sealed)))
}

/// A key nobody has seen yet. `None` when the machine has no random numbers to give.
pub(super) fn fresh_key() -> Option<Secret> {
    let key = Zeroizing::new(random::<KEY_BYTES>()?);
    Some(Secret::new(key.to_vec()))
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
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

    fn key(byte: u8) -> Secret {
        Secret::new(vec![byte; KEY_BYTES])
    }

    fn seal(byte: u8) -> Seal {
        Seal::new([(FIRST_EPOCH, key(byte))]).unwrap()
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
        assert!(Cipher::new(&Secret::new(vec![0; 31])).is_none());
        assert!(Seal::new([(FIRST_EPOCH, Secret::new(vec![0; 64]))]).is_none());
        assert!(Seal::new([]).is_none());
    }

    #[test]
    fn o_02_the_newest_key_seals_and_each_opens_its_own() {
        let plain = Secret::from("seed");
        let old = seal(1).close(Tree::Tokens, b"k", &plain).unwrap();
        let both = Seal::new([(FIRST_EPOCH, key(1)), (2, key(2))]).unwrap();
        let new = both.close(Tree::Tokens, b"k", &plain).unwrap();
        assert!(!both.is_newest(&old) && both.is_newest(&new));
        assert_eq!((both.open(Tree::Tokens, b"k", &old), both.open(Tree::Tokens, b"k", &new)), (Some(plain.clone()), Some(plain.clone())));
        // Before there were epochs none was written.
        let bare = Cipher::new(&key(1)).unwrap().close(Tree::Tokens, b"k", &plain).unwrap();
        assert_eq!(both.open(Tree::Tokens, b"k", &bare), Some(plain));
        both.replace(&Seal::new([(2, key(2))]).unwrap());
        assert_eq!(both.open(Tree::Tokens, b"k", &old), None);
        // A number put in front of another key's is no way round it.
        assert_eq!(both.open(Tree::Tokens, b"k", &old.replace("1.", "2.")), None);
    }
}
