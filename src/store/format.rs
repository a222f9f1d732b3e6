//! What a store begins with, and how one of an earlier format is brought up to this one (O-26).

use std::path::Path;

use serde::Deserialize;

use crate::domain::Secret;
use crate::ports::StoreError;

use super::OpenError;
use super::apply::Writes;
use super::disk::Disk;
use super::keys;
use super::keys::Tree;
use super::record;
use super::record::Counts;
use super::record::DataKey;
use super::record::DataKeys;
use super::record::Head;
use super::record::NumberedKey;
use super::seal;
use super::seal::Cipher;
use super::seal::FIRST_EPOCH;
use super::seal::Seal;
use super::unusable;

/// What any format of the head must have.
#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

/// Makes an empty store: its head and a data key of its own, sealed by the master key (O-01).
pub(super) fn begin(disk: &Disk, dir: &Path, master: &Cipher) -> Result<(), OpenError> {
    let key = seal::fresh_key().ok_or_else(|| unusable(dir, &no_random_numbers()))?;
    let head = Head { format: keys::FORMAT, first: 1, last: 0, counts: Counts::default() };
    let written = head_and_keys(&head, master, &[(FIRST_EPOCH, key)]).and_then(|writes| disk.write(&writes));
    written.map_err(|error| unusable(dir, &error))
}

/// Brings a store of an earlier format up to this one, in one transaction: killed at any moment it is of the one or of the other.
pub(super) fn bring_up(disk: &Disk, dir: &Path, master: &Cipher) -> Result<(), OpenError> {
    let format: Option<Format> = disk.read(Tree::Meta, keys::HEAD).map_err(|error| unusable(dir, &error))?;
    let format = format.ok_or_else(|| OpenError::damaged(dir, "it was made here before and is empty now"))?.format;
    match format {
        keys::FORMAT => Ok(()),
        1 => from_first(disk, dir, master),
        found => Err(OpenError::Newer { dir: dir.to_owned(), found, known: keys::FORMAT }),
    }
}

/// The data keys, opened by the master key.
pub(super) fn data_keys(disk: &Disk, dir: &Path, master: &Cipher) -> Result<Seal, OpenError> {
    let stored: Option<DataKeys> = disk.read(Tree::Meta, keys::DATA_KEYS).map_err(|error| unusable(dir, &error))?;
    let stored = stored.ok_or_else(|| OpenError::damaged(dir, "its data keys are missing"))?.keys;
    let opened = stored.into_iter().map(|key| Some((key.epoch, master.open(Tree::Meta, &keys::data_key(key.epoch), &key.sealed)?)));
    opened.collect::<Option<Vec<_>>>().and_then(Seal::new).ok_or_else(|| OpenError::WrongKey { dir: dir.to_owned() })
}

/// The record of these data keys.
pub(super) fn keys_record(master: &Cipher, all: &[(u32, Secret)]) -> Result<Vec<u8>, StoreError> {
    let closed = |(epoch, key): &(u32, Secret)| Some(NumberedKey { epoch: *epoch, sealed: master.close(Tree::Meta, &keys::data_key(*epoch), key)? });
    let keys = all.iter().map(closed).collect::<Option<Vec<_>>>().ok_or_else(no_random_numbers)?;
    record::encode(Tree::Meta, keys::DATA_KEYS, &DataKeys { keys })
}

/// All that a store has in `meta`.
pub(super) fn head_and_keys(head: &Head, master: &Cipher, all: &[(u32, Secret)]) -> Result<Writes, StoreError> {
    let head = record::encode(Tree::Meta, keys::HEAD, head)?;
    let all = keys_record(master, all)?;
    Ok(Writes::from([(Tree::Meta, [(keys::HEAD.to_vec(), Some(head)), (keys::DATA_KEYS.to_vec(), Some(all))].into())]))
}

/// One data key without a number becomes the first of those that have one. What it sealed stays as it is.
fn from_first(disk: &Disk, dir: &Path, master: &Cipher) -> Result<(), OpenError> {
    let stored: Option<DataKey> = disk.read(Tree::Meta, keys::DATA_KEY).map_err(|error| unusable(dir, &error))?;
    let sealed = stored.ok_or_else(|| OpenError::damaged(dir, "its data key is missing"))?.sealed;
    let key = master.open(Tree::Meta, keys::DATA_KEY, &sealed).ok_or_else(|| OpenError::WrongKey { dir: dir.to_owned() })?;
    let brought = disk.head().and_then(|head| {
        let mut writes = head_and_keys(&Head { format: keys::FORMAT, ..head }, master, &[(FIRST_EPOCH, key)])?;
        writes.entry(Tree::Meta).or_default().insert(keys::DATA_KEY.to_vec(), None);
        disk.write(&writes)
    });
    brought.map_err(|error| unusable(dir, &error))?;
    tracing::info!(dir = %dir.display(), from = 1, to = keys::FORMAT, "the store was brought up to the format of this version");
    Ok(())
}

fn no_random_numbers() -> StoreError {
    StoreError::Io("the machine gives no random numbers".into())
}
