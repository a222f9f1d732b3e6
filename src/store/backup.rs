//! A backup, made while logins go on: all records as they lie there, and behind them once more those that were written meanwhile, until few are left.
//!
//! What comes out is as the store was at one moment, that of the end. It is JSON lines in a [`super::parcel`]: who made it and the data keys, a line for each record,
//! and how many lines there were. The log of changes stays behind.

use std::collections::BTreeSet;
use std::collections::VecDeque;
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
use super::shelf::Shelf;

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
    keys: BTreeSet<Spot>,
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

/// Where a backup stands.
#[derive(Debug)]
enum Place {
    /// The next piece begins at this record.
    Tree(Tree, Vec<u8>),
    /// All trees are through, and these were written meanwhile.
    Meanwhile(VecDeque<Spot>),
    Ended,
    /// A piece was begun and did not come to its end: what there is of the file is of no use.
    Broken,
}

/// A backup that is being made.
pub(super) struct Backup {
    vault: Arc<Vault>,
    noting: Noting,
    /// The newest data key that the file has.
    epoch: u32,
    packer: Packer,
    place: Place,
    /// How often what was written meanwhile has been taken once more.
    rounds: u32,
    done: u64,
    total: u64,
}

impl Backup {
    /// Begins: from here on what is written is noted.
    pub(super) async fn begin(vault: Arc<Vault>, key: &Secret, node: &str, at: Timestamp) -> Result<Self, StoreError> {
        let mut packer = Packer::new(key).ok_or_else(|| StoreError::Io("a recovery key has 32 bytes".into()))?;
        // While nobody writes: what is on its way to the disk would be in no note.
        let shelf = Arc::clone(&vault.shelf);
        let Begun { noting, counts, keys } = vault.errand(false, move |_| begun(shelf)).await?;
        let epoch = keys.last().map_or(0, |(epoch, _)| *epoch);
        let keys = keys.into_iter().map(|(epoch, key)| PlainKey { epoch, key: STANDARD.encode(key.expose()) }).collect();
        put(&mut packer, &Line::Made { by: env!("CARGO_PKG_VERSION").to_owned(), format: keys::FORMAT, node: node.to_owned(), at, keys })?;
        let place = behind(None);
        Ok(Self { vault, noting, epoch, packer, place, rounds: 0, done: 0, total: all(counts) })
    }

    /// Some records more, as they lie there now.
    async fn gather(&mut self, tree: Tree, from: Vec<u8>) -> Result<Place, StoreError> {
        let (rows, next) = self.read(move |disk| some(disk, tree, &from)).await?;
        for (key, value) in rows {
            self.record(tree, &key, Some(&value))?;
        }
        Ok(next.map_or_else(|| behind(Some(tree)), |key| Place::Tree(tree, key)))
    }

    /// Some of what was written meanwhile; behind them what was written since, until it is little enough to be read while nobody writes.
    async fn catch_up(&mut self, mut spots: VecDeque<Spot>) -> Result<Place, StoreError> {
        if !spots.is_empty() {
            let rest = spots.split_off(spots.len().min(PIECE_RECORDS));
            let rows = self.read(move |disk| spots.into_iter().map(|spot| as_it_lies(disk, spot)).collect::<Result<Overlay, _>>()).await?;
            self.overlay(rows)?;
            return Ok(Place::Meanwhile(rest));
        }
        let (id, is_last_round) = (self.noting.id, self.rounds >= ROUNDS_MAX);
        self.rounds = self.rounds.saturating_add(1);
        match self.vault.errand(false, move |shelf| meanwhile(shelf, id, is_last_round)).await?? {
            Meanwhile::Much(spots) => Ok(Place::Meanwhile(spots)),
            Meanwhile::Rest { overlay, last, epoch } => {
                if epoch != self.epoch {
                    return Err(StoreError::Io("the store was given a new data key while the backup was begun: make it again".into()));
                }
                self.overlay(overlay)?;
                put(&mut self.packer, &Line::End { records: self.done, last })?;
                self.packer.finish().ok_or_else(unsealed)?;
                Ok(Place::Ended)
            }
        }
    }

    /// Reads where it holds nobody up.
    async fn read<T: Send + 'static>(&self, look: impl FnOnce(&Disk) -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
        let shelf = Arc::clone(&self.vault.shelf);
        let read = tokio::task::spawn_blocking(move || look(&*shelf.disk()?)).await;
        read.unwrap_or_else(|_| Err(StoreError::Io("the database gave up while it was read".into())))
    }

    fn overlay(&mut self, rows: Overlay) -> Result<(), StoreError> {
        rows.into_iter().try_for_each(|((tree, key), value)| self.record(tree, &key, value.as_deref()))
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
        // Whatever becomes of this piece, nothing goes on behind one that is missing.
        self.place = match std::mem::replace(&mut self.place, Place::Broken) {
            Place::Tree(tree, from) => self.gather(tree, from).await?,
            Place::Meanwhile(spots) => self.catch_up(spots).await?,
            Place::Ended => return Err(StoreError::Io("the backup has ended already".into())),
            Place::Broken => return Err(StoreError::Io("the backup broke off: make it again".into())),
        };
        let last = matches!(self.place, Place::Ended);
        Ok(Piece { bytes: self.packer.take(), done: self.done, total: self.total.max(self.done), last })
    }
}

/// That it is noted what is written, for as long as anybody wants to know: also where a backup did not come to its beginning.
struct Noting {
    shelf: Arc<Shelf>,
    id: u64,
}

impl Drop for Noting {
    fn drop(&mut self) {
        self.shelf.touched().take_if(|touched| touched.id == self.id);
    }
}

impl std::fmt::Debug for Backup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backup").field("place", &self.place).field("done", &self.done).finish_non_exhaustive()
    }
}

/// Where a record lies.
type Spot = (Tree, Vec<u8>);
/// Records as they lie there now; `None` for one that went.
type Overlay = Vec<(Spot, Option<Vec<u8>>)>;

/// What was written since it was last asked.
enum Meanwhile {
    /// More than can be read while everybody waits.
    Much(VecDeque<Spot>),
    /// The rest, where the log ended then, and the number of the newest data key.
    Rest { overlay: Overlay, last: u64, epoch: u32 },
}

/// What a backup begins with.
struct Begun {
    noting: Noting,
    counts: Counts,
    keys: Vec<(u32, Secret)>,
}

/// From here on what is written is noted.
fn begun(shelf: Arc<Shelf>) -> Result<Begun, StoreError> {
    let counts = shelf.disk()?.head()?.counts;
    let keys = shelf.seal().keys();
    let id = {
        let mut touched = shelf.touched();
        let id = touched.as_ref().map_or(1, |touched| touched.id.wrapping_add(1));
        *touched = Some(Touched { id, keys: BTreeSet::new(), full: false });
        id
    };
    Ok(Begun { noting: Noting { shelf, id }, counts, keys })
}

/// What is refused inside says nothing about the disk.
fn meanwhile(shelf: &Shelf, id: u64, is_last_round: bool) -> Result<Result<Meanwhile, StoreError>, StoreError> {
    let mut noted = shelf.touched();
    let Some(touched) = noted.as_mut().filter(|touched| touched.id == id) else {
        return Ok(Err(StoreError::Io("another backup was begun meanwhile".into())));
    };
    if touched.full || (is_last_round && touched.keys.len() > PIECE_RECORDS) {
        return Ok(Err(StoreError::Io("too much was written while the backup was made: make it when less is changed".into())));
    }
    let spots = std::mem::take(&mut touched.keys);
    if spots.len() > REST_RECORDS && !is_last_round {
        return Ok(Ok(Meanwhile::Much(spots.into_iter().collect())));
    }
    *noted = None;
    let disk = shelf.disk()?;
    let overlay = spots.into_iter().map(|spot| as_it_lies(&disk, spot)).collect::<Result<Overlay, StoreError>>()?;
    Ok(Ok(Meanwhile::Rest { overlay, last: disk.head()?.last, epoch: shelf.seal().newest() }))
}

fn as_it_lies(disk: &Disk, (tree, key): Spot) -> Result<(Spot, Option<Vec<u8>>), StoreError> {
    let value = disk.bytes(tree, &key)?.map(|value| value.to_vec());
    Ok(((tree, key), value))
}

type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// The records from `from` on, as many as make a piece, and where the next ones begin.
fn some(disk: &Disk, tree: Tree, from: &[u8]) -> Result<(Rows, Option<Vec<u8>>), StoreError> {
    let (mut rows, mut bytes) = (Rows::new(), 0_usize);
    for row in disk.scan_from(tree, from)? {
        let (key, value) = row?;
        if rows.len() >= PIECE_RECORDS || bytes >= PIECE_BYTES {
            return Ok((rows, Some(key.to_vec())));
        }
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
        rows.push((key.to_vec(), value.to_vec()));
    }
    Ok((rows, None))
}

/// The next tree that is taken along.
fn behind(tree: Option<Tree>) -> Place {
    let skipped = tree.map_or(0, |tree| Tree::ALL.into_iter().take_while(|other| *other != tree).count().saturating_add(1));
    let next = Tree::ALL.into_iter().skip(skipped).find(|tree| is_taken(*tree));
    next.map_or_else(|| Place::Meanwhile(VecDeque::new()), |tree| Place::Tree(tree, Vec::new()))
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
/// Bytes of records behind which a piece ends.
const PIECE_BYTES: usize = 1 << 20;
/// Records that are read while nobody writes: some milliseconds.
const REST_RECORDS: usize = 200;
/// How often what was written meanwhile is taken before everybody waits for it.
const ROUNDS_MAX: u32 = 20;
/// Records that may be written while a backup is made: each is held once, with its key alone.
const TOUCHED_MAX: usize = 200_000;
