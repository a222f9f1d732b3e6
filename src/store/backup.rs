//! A backup, made while logins go on: all records as they lie there, and at the end once more those that were written meanwhile.
//!
//! What comes out is as the store was at one moment, that of the end. It is JSON lines in a [`super::parcel`]: who made it and the data keys, a line for each record,
//! and how many lines there were. The log of changes stays behind.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::StoreError;
use crate::ports::keep::Outgoing;
use crate::ports::keep::Piece;

use super::Vault;
use super::apply::Writes;
use super::disk::Disk;
use super::keys;
use super::keys::Tree;
use super::parcel::Packer;
use super::record::Counts;

/// One line of a backup.
#[derive(Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
pub(super) enum Line {
    /// The first.
    Made {
        /// The version of the program.
        by: String,
        /// The layout of trees and keys.
        format: u32,
        /// The name of the server.
        node: String,
        at: Timestamp,
        keys: Vec<PlainKey>,
    },
    /// A record, in place of one of its key in a line before.
    Record {
        tree: String,
        key: String,
        /// `None`: it went meanwhile.
        value: Option<String>,
    },
    /// The last.
    End {
        /// How many lines with records went before.
        records: u64,
        /// Where the log of changes ended.
        last: u64,
    },
}

/// A data key, for a machine with another master key.
#[derive(Serialize, Deserialize)]
pub(super) struct PlainKey {
    pub(super) epoch: u32,
    pub(super) key: String,
}

impl Drop for PlainKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

/// The records that were written since a backup began.
#[derive(Debug)]
pub(super) struct Touched {
    /// Of which backup.
    id: u64,
    keys: BTreeSet<(Tree, Vec<u8>)>,
    full: bool,
}

impl Touched {
    /// These are about to be written.
    pub(super) fn note(&mut self, writes: &Writes) {
        for (tree, records) in writes.iter().filter(|(tree, _)| is_taken(**tree)) {
            self.full = self.full || self.keys.len().saturating_add(records.len()) > TOUCHED_MAX;
            if !self.full {
                self.keys.extend(records.keys().map(|key| (*tree, key.clone())));
            }
        }
    }
}

/// A backup that is being made.
pub(super) struct Backup {
    vault: Arc<Vault>,
    id: u64,
    /// The newest data key that the file has.
    epoch: u32,
    packer: Packer,
    /// Where the next piece begins; `None` when all trees are through.
    at: Option<(Tree, Vec<u8>)>,
    done: u64,
    total: u64,
    ended: bool,
}

impl Backup {
    /// Begins: from here on what is written is noted.
    pub(super) fn begin(vault: Arc<Vault>, key: &Secret, node: &str, at: Timestamp) -> Result<Self, StoreError> {
        let shelf = &vault.shelf;
        let total = all(shelf.disk()?.head()?.counts);
        let mut packer = Packer::new(key).ok_or_else(|| StoreError::Io("a recovery key has 32 bytes".into()))?;
        let id = {
            let mut touched = shelf.touched();
            let id = touched.as_ref().map_or(1, |touched| touched.id.wrapping_add(1));
            *touched = Some(Touched { id, keys: BTreeSet::new(), full: false });
            id
        };
        let plain = |(epoch, key): (u32, Secret)| PlainKey { epoch, key: STANDARD.encode(key.expose()) };
        let keys: Vec<_> = shelf.seal().keys().into_iter().map(plain).collect();
        let epoch = keys.last().map_or(0, |key| key.epoch);
        put(&mut packer, &Line::Made { by: env!("CARGO_PKG_VERSION").to_owned(), format: keys::FORMAT, node: node.to_owned(), at, keys })?;
        let first = Tree::ALL.into_iter().find(|tree| is_taken(*tree)).map(|tree| (tree, Vec::new()));
        Ok(Self { vault, id, epoch, packer, at: first, done: 0, total, ended: false })
    }

    /// Some records more, as they lie there now.
    fn gather(&mut self) -> Result<(), StoreError> {
        let Some((tree, from)) = self.at.take() else { return Ok(()) };
        let disk = self.vault.shelf.disk()?;
        let mut left = PIECE_RECORDS;
        for row in disk.scan_from(tree, &from)? {
            let (key, value) = row?;
            if left == 0 {
                self.at = Some((tree, key.to_vec()));
                return Ok(());
            }
            left = left.saturating_sub(1);
            self.record(tree, &key, Some(&value))?;
        }
        let mut behind = Tree::ALL.into_iter().skip_while(|other| *other != tree).skip(1);
        self.at = behind.find(|tree| is_taken(*tree)).map(|tree| (tree, Vec::new()));
        Ok(())
    }

    /// What was written meanwhile, read while nobody writes.
    async fn end(&mut self) -> Result<(), StoreError> {
        let id = self.id;
        let (overlay, last) =
            self.vault.errand(false, move |shelf| Ok(meanwhile(&*shelf.disk()?, shelf.touched().take_if(|touched| touched.id == id)))).await??;
        if self.vault.shelf.seal().newest() != self.epoch {
            return Err(StoreError::Io("the store was given a new data key while the backup was begun: make it again".into()));
        }
        for (tree, key, value) in overlay {
            self.record(tree, &key, value.as_deref())?;
        }
        put(&mut self.packer, &Line::End { records: self.done, last })?;
        self.packer.finish().ok_or_else(unsealed)?;
        self.ended = true;
        Ok(())
    }

    fn record(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        self.done = self.done.saturating_add(1);
        let line = Line::Record { tree: tree.name().to_owned(), key: STANDARD.encode(key), value: value.map(|value| STANDARD.encode(value)) };
        put(&mut self.packer, &line)
    }
}

#[async_trait]
impl Outgoing for Backup {
    async fn piece(&mut self) -> Result<Piece, StoreError> {
        if self.ended {
            return Err(StoreError::Io("the backup has ended already".into()));
        }
        if self.at.is_none() {
            self.end().await?;
        } else {
            // Some milliseconds of reading, now and then.
            self.gather()?;
        }
        Ok(Piece { bytes: self.packer.take(), done: self.done, total: self.total.max(self.done), last: self.ended })
    }
}

impl Drop for Backup {
    /// Nobody needs to note any more what is written.
    fn drop(&mut self) {
        let id = self.id;
        self.vault.shelf.touched().take_if(|touched| touched.id == id);
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("at", &self.at).field("done", &self.done).finish_non_exhaustive()
    }
}

type Overlay = Vec<(Tree, Vec<u8>, Option<Vec<u8>>)>;

fn meanwhile(disk: &Disk, touched: Option<Touched>) -> Result<(Overlay, u64), StoreError> {
    let gone = || StoreError::Io("another backup was begun meanwhile".into());
    let touched = touched.ok_or_else(gone)?;
    if touched.full {
        return Err(StoreError::Io(format!("more than {TOUCHED_MAX} records were written while the backup was made: make it when less is changed")));
    }
    let read = |(tree, key): (Tree, Vec<u8>)| {
        let value = disk.bytes(tree, &key)?.map(|value| value.to_vec());
        Ok((tree, key, value))
    };
    let overlay = touched.keys.into_iter().map(read).collect::<Result<Overlay, StoreError>>()?;
    Ok((overlay, disk.head()?.last))
}

/// Whether the records of a tree are taken along.
fn is_taken(tree: Tree) -> bool {
    !matches!(tree, Tree::Changes | Tree::Meta)
}

/// About how many records there are; names are as many as accounts.
fn all(counts: Counts) -> u64 {
    let parts = [counts.accounts, counts.accounts, counts.backups, counts.bypasses, counts.pins, counts.tokens, counts.tries];
    parts.into_iter().fold(0, u64::saturating_add)
}

fn put(packer: &mut Packer, line: &Line) -> Result<(), StoreError> {
    let mut text = Zeroizing::new(serde_json::to_vec(line).map_err(|error| StoreError::Io(error.to_string()))?);
    text.push(b'\n');
    packer.put(&text).ok_or_else(unsealed)
}

fn unsealed() -> StoreError {
    StoreError::Io("a backup could not be sealed".into())
}

/// Records in a piece.
const PIECE_RECORDS: usize = 2_000;
/// Records that may be written while a backup is made: each is held once, with its key alone.
const TOUCHED_MAX: usize = 200_000;
