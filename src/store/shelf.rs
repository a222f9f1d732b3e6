//! The database as readers and writer share it: open, or closed for a moment after a failure and read anew.

use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;

use tracing::debug;
use tracing::error;
use tracing::info;

use crate::ports::StoreError;

use super::OpenError;
use super::apply::Writes;
use super::backup::Touched;
use super::cache;
use super::cache::Cache;
use super::disk;
use super::disk::Disk;
use super::seal::Cipher;
use super::seal::Seal;

/// What readers and the writer share.
#[derive(Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    master: Cipher,
    seal: Seal,
    log_max: u64,
    disk: RwLock<Option<Arc<Disk>>>,
    cache: Cache,
    /// What is written while a backup is made.
    touched: Mutex<Option<Touched>>,
}

impl Shelf {
    pub(super) fn new(dir: PathBuf, master: Cipher, seal: Seal, log_max: u64, disk: Disk) -> Self {
        let disk = RwLock::new(Some(Arc::new(disk)));
        Self { dir, master, seal, log_max, disk, cache: Cache::new(cache::PEOPLE_MAX), touched: Mutex::default() }
    }

    /// The folder.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What seals the data keys.
    pub(super) fn master(&self) -> &Cipher {
        &self.master
    }

    /// Writes outside of the log of changes, as its caller is the writer: sealed anew, nothing is another thing than it was.
    pub(super) fn rewrite(&self, disk: &Disk, writes: &Writes) -> Result<(), StoreError> {
        self.touch(writes);
        self.cache.begin(writes);
        disk.write(writes)?;
        self.cache.settle(writes, &self.seal);
        Ok(())
    }

    /// Before it is written: a backup that is being made takes these records once more at its end.
    pub(super) fn touch(&self, writes: &Writes) {
        if let Some(touched) = self.touched().as_mut() {
            touched.note(writes);
        }
    }

    /// What is written while a backup is made; `None` while none is.
    pub(super) fn touched(&self) -> MutexGuard<'_, Option<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What seals seeds.
    pub(super) fn seal(&self) -> &Seal {
        &self.seal
    }

    /// Entries of the log that are kept.
    pub(super) fn log_max(&self) -> u64 {
        self.log_max
    }

    /// What was read lately. Whoever reads on its behalf asks for the database anew.
    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The database.
    pub(super) fn disk(&self) -> Result<Arc<Disk>, StoreError> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(|| StoreError::Io("the disk failed and is not back yet".into()))
    }

    /// Closes the database and forgets what was read from it; reads fail until it is opened again.
    pub(super) fn close(&self) {
        let disk = self.disk.write().unwrap_or_else(PoisonError::into_inner).take();
        // In this order: who still reads from the old database has put down what he read by now, and from here on there is none to read from.
        self.cache.clear();
        // sled syncs when it goes and panics where it cannot.
        if catch_unwind(AssertUnwindSafe(|| drop(disk))).is_err() {
            debug!(dir = %self.dir.display(), "the database could not be closed in order");
        }
    }

    /// Opens it again where it is closed; if it does not open, it stays closed until the next try.
    pub(super) fn reopen(&self) {
        if self.disk.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return;
        }
        match disk::reopen(&self.dir, REOPEN_TRIES).and_then(|disk| super::whole(&self.dir, disk)) {
            Ok(disk) => {
                *self.disk.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(disk));
                info!(dir = %self.dir.display(), "the store was read anew");
            }
            Err(error @ OpenError::Damaged { .. }) => error!(%error, "the store came back with less than was written: nobody is let in on what it holds"),
            Err(error) => debug!(%error, "the store cannot be read"),
        }
    }
}

/// A tenth of a second apart: a reader may still hold on to the old one.
const REOPEN_TRIES: u32 = 20;
