//! How far the log reaches, noted outside of sled: a store that comes back shorter says so (sled itself would not).
//!
//! One number, always as long, in the one sector that a disk writes whole: the old number or the new one, never half of each. It is noted with
//! every group, *after* the database's own sync and before anybody is told, and it needs no sync of its own for that:
//!
//! | what happens | the database has | the mark says |
//! |---|---|---|
//! | a kill or a panic between the two | the group, which nobody was told of | one group less: no alarm |
//! | a kill or a panic at any other moment | all that was told | the same: the kernel holds what was written |
//! | a power cut | all that was told: it was synced | what the disk has of it, never more than the database: no alarm |
//! | any of them, and sled comes back with less | less | more: refused |
//!
//! Only after a power cut may the mark be old, so it is synced as well: soon after it was noted ([`SYNC_WITHIN`]), by a writer who has told
//! everybody already. What it then cannot miss is a loss, at one power cut, of changes that the disk had promised to keep that long before.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::OpenError;

/// The file, open.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    /// Whether something was noted since the last sync.
    due: AtomicBool,
}

impl Mark {
    /// Opens or makes the file in `dir`.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let path = dir.join(NAME);
        let new = !path.exists();
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        if new {
            File::open(dir)?.sync_all()?;
        }
        // What a mark that was closed had not synced is due still.
        Ok(Self { file, due: AtomicBool::new(true) })
    }

    /// What was noted last in `dir`; `None` where nothing ever was.
    pub(super) fn read(dir: &Path) -> Result<Option<u64>, OpenError> {
        match std::fs::read_to_string(dir.join(NAME)) {
            // Made, and then the machine went away before the first number.
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => text.trim().parse().map(Some).map_err(|_| OpenError::damaged(dir, "the file `mark` is no number")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(dir, &error)),
        }
    }

    /// Notes that the log reaches `last`, which the database has on disk already.
    pub(super) fn note(&self, last: u64) -> io::Result<()> {
        self.due.store(true, Ordering::Relaxed);
        self.file.write_all_at(format!("{last:020}\n").as_bytes(), 0)
    }

    /// Makes the disk keep what was noted.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.due.swap(false, Ordering::Relaxed) { self.file.sync_data() } else { Ok(()) }
    }
}

const NAME: &str = "mark";
/// From the first note that is not synced to its sync.
pub(super) const SYNC_WITHIN: Duration = Duration::from_millis(100);
