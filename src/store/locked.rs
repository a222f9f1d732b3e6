//! What lies sealed beside seeds: hashes of PINs and of backup codes.

use serde::Deserialize;
use serde::Serialize;

use crate::domain::BackupCodes;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::pin::Hashed;
use crate::domain::pin::Pin;
use crate::ports::StoreError;

use super::keys::Tree;
use super::seal::Seal;

/// `pins`, and what the log says of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredPin {
    set_at: Timestamp,
    /// Sealed: the length, then hash by hash.
    sealed: String,
}

impl StoredPin {
    /// `None` when the machine has no random numbers to give.
    pub(super) fn close(pin: &Pin, seal: &Seal, tree: Tree, key: &[u8]) -> Option<Self> {
        let hashes = std::iter::once(&pin.hash).chain(&pin.earlier);
        let mut plain = vec![pin.length];
        hashes.for_each(|hashed| plain.extend([hashed.salt.as_slice(), hashed.hash.expose()].concat()));
        Some(Self { set_at: pin.set_at, sealed: seal.close(tree, key, &Secret::new(plain))? })
    }

    pub(super) fn open(self, seal: &Seal, tree: Tree, key: &[u8]) -> Result<Pin, StoreError> {
        let broken = || StoreError::Sealed { tree: tree.name() };
        let plain = seal.open(tree, key, &self.sealed).ok_or_else(broken)?;
        let (&length, rest) = plain.expose().split_first().ok_or_else(broken)?;
        let mut hashes = rest.chunks(Hashed::SALT_BYTES + Hashed::HASH_BYTES).map(hashed).collect::<Option<Vec<_>>>().ok_or_else(broken)?.into_iter();
        Ok(Pin { hash: hashes.next().ok_or_else(broken)?, length, earlier: hashes.collect(), set_at: self.set_at })
    }
}

fn hashed(bytes: &[u8]) -> Option<Hashed> {
    let (salt, hash) = bytes.split_first_chunk()?;
    Some(Hashed { salt: *salt, hash: Secret::new(hash.to_vec()) }).filter(|_| hash.len() == Hashed::HASH_BYTES)
}

/// `backups`, and what the log says of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredBackups {
    until: Timestamp,
    issued_by: String,
    issued_at: Timestamp,
    /// Sealed: the salt, then hash by hash, each behind a 1, or a 0 for one that was used.
    sealed: String,
}

impl StoredBackups {
    /// `None` when the machine has no random numbers to give.
    pub(super) fn close(codes: &BackupCodes, seal: &Seal, tree: Tree, key: &[u8]) -> Option<Self> {
        let mut plain = codes.salt.to_vec();
        for hash in &codes.hashes {
            plain.push(u8::from(hash.is_some()));
            plain.extend(hash.as_ref().map_or(&[0; Hashed::HASH_BYTES][..], Secret::expose));
        }
        let sealed = seal.close(tree, key, &Secret::new(plain))?;
        Some(Self { until: codes.until, issued_by: codes.issued_by.clone(), issued_at: codes.issued_at, sealed })
    }

    pub(super) fn open(self, seal: &Seal, tree: Tree, key: &[u8]) -> Result<BackupCodes, StoreError> {
        let broken = || StoreError::Sealed { tree: tree.name() };
        let plain = seal.open(tree, key, &self.sealed).ok_or_else(broken)?;
        let (salt, rest) = plain.expose().split_first_chunk().ok_or_else(broken)?;
        let hashes = rest.chunks(1 + Hashed::HASH_BYTES).map(|chunk| match chunk {
            [0, ..] => Some(None),
            [1, hash @ ..] if hash.len() == Hashed::HASH_BYTES => Some(Some(Secret::new(hash.to_vec()))),
            _ => None,
        });
        let hashes = hashes.collect::<Option<Vec<_>>>().ok_or_else(broken)?;
        Ok(BackupCodes { salt: *salt, hashes, until: self.until, issued_by: self.issued_by, issued_at: self.issued_at })
    }
}
