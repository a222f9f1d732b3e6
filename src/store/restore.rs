//! A backup becomes a store again, of which nothing that was used since can be used once more (O-25).
//!
//! The store is built in a folder beside its place and moved there when it is whole and on disk: killed at any moment there is none, and the next try begins
//! again. What is in it is not quite what was in the backup:
//!
//! - codes that go by time are burnt up to the step that a code may have been used for just now, those that go by a counter so many presses on;
//! - backup codes and bypasses are left out;
//! - all that is sealed is sealed anew with a data key of the next epoch, under the master key of this configuration.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::TokenKind;
use crate::ports::SPACE_BYTES_MIN;
use crate::ports::StoreError;

use super::OpenError;
use super::Settings;
use super::apply::Writes;
use super::backup::Line;
use super::disk::Disk;
use super::format;
use super::keys;
use super::keys::Tree;
use super::parcel::Unpacker;
use super::record;
use super::record::Counts;
use super::record::Head;
use super::record::StoredToken;
use super::rekey::resealed;
use super::seal;
use super::seal::Cipher;
use super::seal::Seal;

/// How many presses a counter token is taken on: what it was pressed for since the backup was made nobody can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotpJump {
    /// 20, and 20 more for each day since the backup was made, at most 2,000.
    ByAge,
    /// So many, and never fewer than by age.
    Presses(u64),
}

/// What became of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// The server that made it.
    pub node: String,
    /// When.
    pub made_at: Timestamp,
    /// Accounts that are there again.
    pub accounts: u64,
    /// Tokens that are there again.
    pub tokens: u64,
    /// Those of them that go by a counter, which was moved on.
    pub hotp: u64,
    /// By so many presses.
    pub hotp_jump: u64,
    /// People whose backup codes are void.
    pub backup_codes_void: u64,
    /// Bypasses that are void.
    pub bypasses_void: u64,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is not what it should be, or cannot be read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// A later program made it.
    #[error("version {by} made this backup, of a store of format {found}, and this program knows format {}: install that version or a later one", keys::FORMAT)]
    Newer {
        /// The version.
        by: String,
        /// Its format.
        found: u32,
    },
    /// What goes by time would be burnt up to a wrong now.
    #[error("this machine's clock is {behind_s} s behind the moment at which the backup was made: set it, then restore again")]
    Clock {
        /// So far.
        behind_s: u64,
    },
    /// A server has the folder, perhaps one that is about to end, or somebody else restores.
    #[error("a server or another restore is at work in {0}: stop it, or wait until it has ended")]
    Busy(String),
    /// There is no room for it.
    #[error("there is too little space in {0}: make some, then restore again")]
    Full(String),
    /// There is a store.
    #[error("there is a store in {0} already: stop the server, move this folder aside, then restore again")]
    Occupied(String),
    /// The store cannot be made.
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// Restores the backup `from`, which `key` opens, to where `settings` say; `size` is told how many bytes of it are read. Blocks. Nothing may be there.
///
/// # Errors
/// Why nothing was restored.
pub fn restore(from: impl Read, key: &Secret, settings: &Settings, now: Timestamp, jump: HotpJump) -> Result<Restored, RestoreError> {
    let place = settings.data_dir.join(STORE);
    let building = settings.data_dir.join(BUILDING);
    if place.exists() {
        return Err(RestoreError::Occupied(place.display().to_string()));
    }
    let master = Cipher::new(&settings.master_key).ok_or(OpenError::KeyLength { bytes: settings.master_key.len() })?;
    let lines = Unpacker::new(from, key)?;
    make_folder(&settings.data_dir)?;
    // One at a time: another one would take away what this one builds. Closed, it is free again.
    let folder = fs::File::open(&settings.data_dir)?;
    folder.try_lock().map_err(|_| RestoreError::Busy(settings.data_dir.display().to_string()))?;
    if building.exists() {
        fs::remove_dir_all(&building)?;
    }
    let disk = Disk::open(&building, 1)?;
    let earlier = Earlier::read(&settings.data_dir)?;
    let restored = Building { dir: &building, disk: &disk, now, jump, earlier, restored: Restored::default() }.fill(lines, &master);
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) => {
            drop(disk);
            // What is left of it the next try takes away, and no server takes it for a store.
            let _ = fs::remove_dir_all(&building);
            return Err(error);
        }
    };
    drop(disk);
    Earlier { at: now, jump: restored.hotp_jump }.write(&settings.data_dir)?;
    fs::rename(&building, &place)?;
    folder.sync_all()?;
    Ok(restored)
}

/// A server that starts where a restore was broken off would make an empty store.
pub(super) fn unbroken(data_dir: &Path) -> Result<(), OpenError> {
    let broken = data_dir.join(BUILDING).exists() && !data_dir.join(STORE).exists();
    if broken {
        return Err(OpenError::Io { dir: data_dir.display().to_string(), what: "a restore was broken off here: run `vestibule restore` again".into() });
    }
    Ok(())
}

/// A store that is being filled.
struct Building<'a> {
    dir: &'a Path,
    disk: &'a Disk,
    now: Timestamp,
    jump: HotpJump,
    earlier: Option<Earlier>,
    restored: Restored,
}

impl Building<'_> {
    fn fill(mut self, mut lines: impl BufRead, master: &Cipher) -> Result<Restored, RestoreError> {
        let Line::Made { by, format, node, at, keys } = next(&mut lines)? else { return Err(wrong().into()) };
        if !(1..=keys::FORMAT).contains(&format) {
            return Err(RestoreError::Newer { by, found: format });
        }
        self.restored.node = node;
        self.restored.made_at = at;
        if self.now < at {
            return Err(RestoreError::Clock { behind_s: at.0.saturating_sub(self.now.0).div_ceil(1_000) });
        }
        // What was pressed on a store that was restored from this backup already is not in it either.
        let before = self.earlier.filter(|earlier| at <= earlier.at).map_or(0, |earlier| earlier.jump);
        self.restored.hotp_jump = presses(self.jump, at, self.now).saturating_add(before);
        let plain = keys.iter().map(|key| Some((key.epoch, Secret::new(STANDARD.decode(&key.key).ok()?))));
        let old = plain.collect::<Option<Vec<_>>>().and_then(Seal::new).ok_or_else(wrong)?;
        let epoch = old.newest().saturating_add(1);
        let fresh = seal::fresh_key().ok_or_else(|| io::Error::other("the machine gives no random numbers"))?;
        let new = Seal::new([(epoch, fresh.clone())]).ok_or_else(wrong)?;
        let last = self.records(&mut lines, &old, &new)?;
        let head = Head { format: keys::FORMAT, first: last.saturating_add(1), last, counts: self.count()? };
        let written = format::head_and_keys(&head, master, &[(epoch, fresh)]).and_then(|writes| self.disk.write(&writes));
        self.told(written)?;
        self.disk.mark().note(last)?;
        self.disk.mark().sync()?;
        Ok(self.restored)
    }

    /// All records; the end of the log of changes.
    fn records(&mut self, lines: &mut impl BufRead, old: &Seal, new: &Seal) -> Result<u64, RestoreError> {
        let mut writes = Writes::new();
        let (mut count, mut waiting) = (0_u64, 0_u64);
        loop {
            match next(lines)? {
                Line::Record { tree, key, value } => {
                    let tree = Tree::ALL.into_iter().find(|known| known.name() == tree).ok_or_else(wrong)?;
                    let key = STANDARD.decode(key).map_err(|_| wrong())?;
                    let value = value.map(|value| STANDARD.decode(value)).transpose().map_err(|_| wrong())?;
                    let record = self.told(self.renewed(tree, &key, value, old, new))?;
                    writes.entry(tree).or_default().insert(key, record);
                    count = count.saturating_add(1);
                    waiting = waiting.saturating_add(1);
                }
                Line::End { records, last } if records == count => {
                    self.put(&writes)?;
                    // Behind the last line there is nothing, and the file says so itself.
                    return if lines.fill_buf()?.is_empty() { Ok(last) } else { Err(wrong().into()) };
                }
                Line::End { .. } | Line::Made { .. } => return Err(wrong().into()),
            }
            if waiting >= BATCH {
                self.put(&std::mem::take(&mut writes))?;
                waiting = 0;
            }
        }
    }

    /// sled does not survive a disk that fills under it, so it never comes to that.
    fn put(&self, writes: &Writes) -> Result<(), RestoreError> {
        if self.told(self.disk.space())? < SPACE_BYTES_MIN {
            return Err(RestoreError::Full(self.dir.display().to_string()));
        }
        self.told(self.disk.write(writes))
    }

    /// The record as it goes on; `None` for what is void.
    fn renewed(&self, tree: Tree, key: &[u8], value: Option<Vec<u8>>, old: &Seal, new: &Seal) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(value) = value else { return Ok(None) };
        match tree {
            // Kept, to be counted, until all records are there.
            Tree::Backups | Tree::Bypasses | Tree::Accounts | Tree::Blocks | Tree::Names | Tree::Tries => Ok(Some(value)),
            Tree::Pins => Ok(Some(resealed(tree, key, &value, old, new)?.unwrap_or(value))),
            Tree::Tokens => {
                let value = resealed(tree, key, &value, old, new)?.unwrap_or(value);
                let mut token: StoredToken = record::decode(tree, key, &value)?;
                token.info.next_step = match token.info.kind {
                    TokenKind::Hotp => token.info.next_step.saturating_add(self.restored.hotp_jump),
                    TokenKind::Totp { period_s } => token.info.next_step.max(first_unused(self.now, period_s)),
                };
                record::encode(tree, key, &token).map(Some)
            }
            Tree::Changes | Tree::Meta => Ok(None),
        }
    }

    /// Counts what is there, and takes away what is void.
    fn count(&mut self) -> Result<Counts, RestoreError> {
        let mut counts = Counts::default();
        for tree in Tree::ALL {
            let is_void = matches!(tree, Tree::Backups | Tree::Bypasses);
            let mut writes = Writes::new();
            for row in self.told(self.disk.scan(tree, b""))? {
                let (key, value) = self.told(row)?;
                if is_void {
                    writes.entry(tree).or_default().insert(key.to_vec(), None);
                } else if let Some(count) = counts.of(tree) {
                    *count = count.saturating_add(1);
                }
                let is_hotp = tree == Tree::Tokens && self.told(record::decode::<StoredToken>(tree, &key, &value))?.info.kind == TokenKind::Hotp;
                self.restored.hotp = self.restored.hotp.saturating_add(u64::from(is_hotp));
            }
            let void = writes.get(&tree).map_or(0, BTreeMap::len).try_into().unwrap_or(u64::MAX);
            match tree {
                Tree::Backups => self.restored.backup_codes_void = void,
                Tree::Bypasses => self.restored.bypasses_void = void,
                _ => {}
            }
            self.told(self.disk.write(&writes))?;
        }
        self.restored.accounts = counts.accounts;
        self.restored.tokens = counts.tokens;
        Ok(counts)
    }

    fn told<T>(&self, done: Result<T, StoreError>) -> Result<T, RestoreError> {
        done.map_err(|error| match error {
            StoreError::Io(what) => RestoreError::Store(OpenError::Io { dir: self.dir.display().to_string(), what }),
            other => RestoreError::File(io::Error::new(io::ErrorKind::InvalidData, format!("the backup is of a damaged store: {other}"))),
        })
    }
}

/// The first step that nobody can have used yet: a code may be one step ahead of now (M-04).
fn first_unused(now: Timestamp, period_s: u32) -> u64 {
    let step_ms = u64::from(period_s).saturating_mul(1_000);
    now.0.checked_div(step_ms).unwrap_or_default().saturating_add(2)
}

/// The restore before this one, noted beside the store: what is in a store goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Earlier {
    at: Timestamp,
    /// So far were counter tokens moved on then.
    jump: u64,
}

impl Earlier {
    fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(data_dir.join(EARLIER)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, data_dir: &Path) -> io::Result<()> {
        let fresh = data_dir.join(format!("{EARLIER}.new"));
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(fresh, data_dir.join(EARLIER))
    }
}

fn presses(jump: HotpJump, made_at: Timestamp, now: Timestamp) -> u64 {
    let days = now.0.saturating_sub(made_at.0) / DAY_MS;
    let by_age = days.saturating_add(1).saturating_mul(PRESSES_A_DAY).min(PRESSES_MAX);
    match jump {
        HotpJump::Presses(presses) => presses.max(by_age),
        HotpJump::ByAge => by_age,
    }
}

fn next(lines: &mut impl BufRead) -> Result<Line, RestoreError> {
    let mut text = Zeroizing::new(Vec::new());
    lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
    serde_json::from_slice(&text).map_err(|_| wrong().into())
}

fn wrong() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the backup is not understood: install the version that made it")
}

/// As the server makes it at its first start.
fn make_folder(data_dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// Where the store lies in its folder.
pub(super) const STORE: &str = "store";
/// What is noted of the restore before.
const EARLIER: &str = "restored.json";
/// Where it is built.
const BUILDING: &str = "store.restoring";
/// Bytes of one line: the largest record, in base64.
const LINE_BYTES_MAX: u64 = 4 << 20;
/// Records in one flush.
const BATCH: u64 = 2_000;
const DAY_MS: u64 = 86_400_000;
const PRESSES_A_DAY: u64 = 20;
const PRESSES_MAX: u64 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_25_no_step_is_left_that_a_code_may_have_been_used_for() {
        let now = Timestamp(1_700_000_000_000);
        assert_eq!(first_unused(now, 30), 1_700_000_000 / 30 + 2);
        assert_eq!(first_unused(now, 60), 1_700_000_000 / 60 + 2);
    }

    #[test]
    fn o_25_a_counter_moves_on_by_the_age_of_the_backup() {
        let made = Timestamp(DAY_MS * 100);
        let after = |days: u64| presses(HotpJump::ByAge, made, Timestamp(made.0 + days * DAY_MS));
        assert_eq!((after(0), after(1), after(10), after(1_000)), (20, 40, 220, 2_000));
        assert_eq!((presses(HotpJump::Presses(3), made, made), presses(HotpJump::Presses(50), made, made)), (20, 50));
        assert_eq!(presses(HotpJump::ByAge, made, Timestamp(0)), 20);
    }
}
