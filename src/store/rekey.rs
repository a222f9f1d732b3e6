//! Everything sealed anew with another data key, while logins go on and killed at any moment.
//!
//! The new key is on disk, beside the old ones, before anything is sealed with it; the old ones go when nothing is left that they open. In between both are
//! there, so a store opens at any moment, and who begins again goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::domain::Secret;
use crate::ports::StoreError;
use crate::ports::keep::Rekeyed;

use super::Vault;
use super::apply::Writes;
use super::format;
use super::keys;
use super::keys::Tree;
use super::record;
use super::record::Head;
use super::seal;
use super::seal::Seal;
use super::shelf::Shelf;

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) struct Rekey {
    /// Where the next step begins; `None` when all trees are through.
    at: Option<(Tree, Vec<u8>)>,
    done: u64,
    total: u64,
    /// The old keys are gone.
    finished: bool,
}

impl Rekey {
    /// A new key, unless there are two already: then somebody was interrupted, and this goes on.
    pub(super) async fn begin(vault: &Vault) -> Result<Self, StoreError> {
        let total = vault.errand(true, begin).await??;
        Ok(Self { at: SEALED.into_iter().next().map(|tree| (tree, Vec::new())), done: 0, total, finished: false })
    }

    pub(super) async fn step(&mut self, vault: &Vault) -> Result<(), StoreError> {
        let Some((tree, from)) = self.at.clone() else { return self.end(vault).await };
        let Seen { count, old, next } = read(vault, move |shelf| look(shelf, tree, &from)).await?;
        if !old.is_empty() {
            vault.errand(true, move |shelf| renew(shelf, tree, old)).await?;
        }
        self.done = self.done.saturating_add(count);
        let mut behind = SEALED.into_iter().skip_while(|other| *other != tree).skip(1);
        self.at = next.map(|key| (tree, key)).or_else(|| behind.next().map(|tree| (tree, Vec::new())));
        Ok(())
    }

    async fn end(&mut self, vault: &Vault) -> Result<(), StoreError> {
        if !self.finished {
            read(vault, none_left).await?;
            vault.errand(true, end).await?;
            self.finished = true;
        }
        Ok(())
    }

    /// In numbers.
    pub(super) fn told(&self, vault: &Vault) -> Rekeyed {
        Rekeyed { epoch: vault.shelf.seal().newest(), done: self.done, total: self.total.max(self.done), finished: self.finished }
    }
}

/// The record with all that is sealed in it sealed by the newest key of `to`; `None` where it is already.
pub(super) fn resealed(tree: Tree, key: &[u8], value: &[u8], from: &Seal, to: &Seal) -> Result<Option<Vec<u8>>, StoreError> {
    let mut json = record::decode::<Value>(tree, key, value)?;
    let changed = reseal(&mut json, tree, key, from, to)?;
    changed.then(|| record::encode(tree, key, &json)).transpose()
}

/// Whether anything in the record is sealed with another key than the newest.
fn is_old(tree: Tree, key: &[u8], value: &[u8], seal: &Seal) -> Result<bool, StoreError> {
    Ok(has_old(&record::decode::<Value>(tree, key, value)?, seal))
}

fn has_old(value: &Value, seal: &Seal) -> bool {
    let Value::Object(members) = value else { return false };
    members.iter().any(|(name, member)| match member {
        Value::String(sealed) if SEALED_MEMBERS.contains(&name.as_str()) => !seal.is_newest(sealed),
        other => has_old(other, seal),
    })
}

fn reseal(value: &mut Value, tree: Tree, key: &[u8], from: &Seal, to: &Seal) -> Result<bool, StoreError> {
    let Value::Object(members) = value else { return Ok(false) };
    let mut changed = false;
    for (name, member) in members {
        match member {
            Value::String(sealed) if SEALED_MEMBERS.contains(&name.as_str()) => {
                if std::ptr::eq(from, to) && to.is_newest(sealed) {
                    continue;
                }
                let broken = || StoreError::Sealed { tree: tree.name() };
                let plain = from.open(tree, key, sealed).ok_or_else(broken)?;
                *sealed = to.close(tree, key, &plain).ok_or_else(|| StoreError::Io("the machine gives no random numbers".into()))?;
                changed = true;
            }
            other => changed |= reseal(other, tree, key, from, to)?,
        }
    }
    Ok(changed)
}

/// What is refused inside says nothing about the disk.
fn begin(shelf: &Shelf) -> Result<Result<u64, StoreError>, StoreError> {
    if shelf.touched().is_some() {
        return Ok(Err(StoreError::Io("a backup is being made: begin when it is done".into())));
    }
    let disk = shelf.disk()?;
    let mut all = shelf.seal().keys();
    if all.len() == 1 {
        let key = seal::fresh_key().ok_or_else(|| StoreError::Io("the machine gives no random numbers".into()))?;
        all.push((shelf.seal().newest().saturating_add(1), key));
        put_keys(shelf, &all)?;
    }
    let Head { first, last, counts, .. } = disk.head()?;
    let log = last.saturating_add(1).saturating_sub(first);
    Ok(Ok([counts.backups, counts.pins, counts.tokens, log].into_iter().fold(0, u64::saturating_add)))
}

/// Some records that were looked at.
struct Seen {
    count: u64,
    /// The keys of those that are sealed with an old data key.
    old: Vec<Vec<u8>>,
    /// Where the next ones begin.
    next: Option<Vec<u8>>,
}

/// Where it holds nobody up: what is written meanwhile is under the new key already.
async fn read<T: Send + 'static>(vault: &Vault, look: impl FnOnce(&Shelf) -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
    let shelf = Arc::clone(&vault.shelf);
    let looked = tokio::task::spawn_blocking(move || look(&shelf)).await;
    looked.unwrap_or_else(|_| Err(StoreError::Io("the database gave up while it was read".into())))
}

fn look(shelf: &Shelf, tree: Tree, from: &[u8]) -> Result<Seen, StoreError> {
    let mut seen = Seen { count: 0, old: Vec::new(), next: None };
    for row in shelf.disk()?.scan_from(tree, from)? {
        let (key, value) = row?;
        if seen.old.len() >= STEP_RECORDS || seen.count >= LOOK_RECORDS {
            seen.next = Some(key.to_vec());
            break;
        }
        seen.count = seen.count.saturating_add(1);
        if is_old(tree, &key, &value, shelf.seal())? {
            seen.old.push(key.to_vec());
        }
    }
    Ok(seen)
}

/// These records as they are now, sealed anew.
fn renew(shelf: &Shelf, tree: Tree, old: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let disk = shelf.disk()?;
    let mut records = BTreeMap::new();
    for key in old {
        let value = disk.bytes(tree, &key)?;
        if let Some(value) = value.map(|value| resealed(tree, &key, &value, shelf.seal(), shelf.seal())).transpose()?.flatten() {
            records.insert(key, Some(value));
        }
    }
    if records.is_empty() { Ok(()) } else { shelf.rewrite(&disk, &Writes::from([(tree, records)])) }
}

/// Looks at every record once more: what is lost with a key is lost. Since the new key is there nothing is sealed with an old one any more, so nobody needs to wait.
fn none_left(shelf: &Shelf) -> Result<(), StoreError> {
    let disk = shelf.disk()?;
    for tree in SEALED {
        for row in disk.scan(tree, b"")? {
            let (key, value) = row?;
            if is_old(tree, &key, &value, shelf.seal())? {
                return Err(StoreError::Io("a record is still sealed with an old key: begin again".into()));
            }
        }
    }
    Ok(())
}

/// Throws the old keys away.
fn end(shelf: &Shelf) -> Result<(), StoreError> {
    let newest = shelf.seal().newest();
    let kept: Vec<_> = shelf.seal().keys().into_iter().filter(|(epoch, _)| *epoch == newest).collect();
    put_keys(shelf, &kept)
}

fn put_keys(shelf: &Shelf, all: &[(u32, Secret)]) -> Result<(), StoreError> {
    let bytes = format::keys_record(shelf.master(), all)?;
    let seal = Seal::new(all.iter().cloned()).ok_or_else(|| StoreError::Sealed { tree: Tree::Meta.name() })?;
    shelf.disk()?.write(&Writes::from([(Tree::Meta, [(keys::DATA_KEYS.to_vec(), Some(bytes))].into())]))?;
    shelf.seal().replace(&seal);
    Ok(())
}

/// The trees in which something is sealed.
const SEALED: [Tree; 4] = [Tree::Backups, Tree::Changes, Tree::Pins, Tree::Tokens];
/// The members of a record that are, however deep.
const SEALED_MEMBERS: [&str; 2] = ["sealed", "seed"];
/// Records that are sealed anew in a step: logins wait for one some milliseconds.
const STEP_RECORDS: usize = 256;
/// Records that are looked at in a step.
const LOOK_RECORDS: u64 = 8_192;
