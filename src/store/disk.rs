//! sled, kept honest: opened without panics, written in one transaction over all trees, on disk when it says so.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Once;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sled::transaction::TransactionError;
use sled::transaction::Transactional;
use tracing::debug;

use crate::ports::StoreError;

use super::OpenError;
use super::apply::Writes;
use super::keys;
use super::keys::Tree;
use super::mark::Mark;
use super::record;
use super::record::Head;

/// The database of one folder, open. Nobody else has it open at the same time.
#[derive(Debug)]
pub(super) struct Disk {
    dir: PathBuf,
    db: sled::Db,
    trees: Vec<(Tree, sled::Tree)>,
    /// Our own handle of sled's file: sled's `flush` writes but does not make the disk keep (it is `sync_file_range`, no fsync).
    file: File,
    mark: Mark,
}

impl Disk {
    /// Opens or makes the database in `dir`, trying `tries` times, a tenth of a second apart, while somebody else has it.
    pub(super) fn open(dir: &Path, tries: u32) -> Result<Self, OpenError> {
        make_private(dir)?;
        let (db, trees) = open_sled(dir, tries)?;
        let file = OpenOptions::new().read(true).write(true).open(dir.join("db")).map_err(|error| OpenError::io(dir, &error))?;
        let mark = Mark::open(dir).map_err(|error| OpenError::io(dir, &error))?;
        make_files_private(dir).map_err(|error| OpenError::io(dir, &error))?;
        Ok(Self { dir: dir.to_owned(), db, trees, file, mark })
    }

    /// The bytes of a record.
    pub(super) fn bytes(&self, tree: Tree, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        self.tree(tree)?.get(key).map_err(|error| unreadable(tree, &error))
    }

    /// A record.
    pub(super) fn read<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.bytes(tree, key)?.map(|bytes| record::decode(tree, key, &bytes)).transpose()
    }

    /// The records whose keys begin with `prefix`, in the order of their keys.
    pub(super) fn scan(&self, tree: Tree, prefix: &[u8]) -> Result<Rows, StoreError> {
        Ok(Rows { tree, inner: self.tree(tree)?.scan_prefix(prefix) })
    }

    /// The records from `first` on, in the order of their keys.
    pub(super) fn scan_from(&self, tree: Tree, first: &[u8]) -> Result<Rows, StoreError> {
        Ok(Rows { tree, inner: self.tree(tree)?.range(first..) })
    }

    /// Format, counts and ends of the log. `Damaged` when it is not there.
    pub(super) fn head(&self) -> Result<Head, StoreError> {
        self.read(Tree::Meta, keys::HEAD)?.ok_or_else(|| StoreError::Damaged { tree: Tree::Meta.name(), key: keys::shown(Tree::Meta, keys::HEAD) })
    }

    /// Writes the head alone.
    pub(super) fn put_head(&self, head: &Head) -> Result<(), StoreError> {
        let bytes = record::encode(Tree::Meta, keys::HEAD, head)?;
        self.write(&Writes::from([(Tree::Meta, [(keys::HEAD.to_vec(), Some(bytes))].into())]))
    }

    /// Puts one record down and waits for no disk: it is there within a second, or lost with the power.
    pub(super) fn note(&self, tree: Tree, key: &[u8], bytes: Vec<u8>) -> Result<(), StoreError> {
        self.tree(tree)?.insert(key, bytes).map(drop).map_err(|error| StoreError::Io(error.to_string()))
    }

    /// Whether there is no record at all.
    pub(super) fn is_empty(&self) -> bool {
        self.trees.iter().all(|(_, tree)| tree.is_empty())
    }

    /// Writes all of it or nothing, over all trees, and returns when the disk has it.
    pub(super) fn write(&self, writes: &Writes) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        let trees = writes.keys().map(|tree| self.tree(*tree)).collect::<Result<Vec<_>, _>>()?;
        let done = trees.as_slice().transaction(|views| {
            for (view, records) in views.iter().zip(writes.values()) {
                for (key, value) in records {
                    match value {
                        Some(bytes) => view.insert(key.as_slice(), bytes.as_slice())?,
                        None => view.remove(key.as_slice())?,
                    };
                }
            }
            Ok(())
        });
        done.map_err(|error: TransactionError<()>| match error {
            TransactionError::Storage(error) => StoreError::Io(error.to_string()),
            TransactionError::Abort(()) => StoreError::Io("a transaction was given up".into()),
        })?;
        self.db.flush().map_err(|error| StoreError::Io(error.to_string()))?;
        self.file.sync_data().map_err(|error| StoreError::Io(error.to_string()))
    }

    /// Bytes that may still be written to the file system.
    pub(super) fn space(&self) -> Result<u64, StoreError> {
        let found = nix::sys::statvfs::statvfs(&self.dir).map_err(|error| StoreError::Io(error.to_string()))?;
        Ok(found.blocks_available().saturating_mul(found.fragment_size()))
    }

    /// How far the log reaches, noted outside of sled.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// What was noted last; `None` where nothing ever was.
    pub(super) fn marked(&self) -> Result<Option<u64>, OpenError> {
        Mark::read(&self.dir)
    }

    fn tree(&self, wanted: Tree) -> Result<&sled::Tree, StoreError> {
        let found = self.trees.iter().find(|(tree, _)| *tree == wanted);
        found.map(|(_, tree)| tree).ok_or_else(|| StoreError::Io(format!("the tree `{}` is not open", wanted.name())))
    }
}

type Opened = (sled::Db, Vec<(Tree, sled::Tree)>);

/// Records of one tree, one after the other.
pub(super) struct Rows {
    tree: Tree,
    inner: sled::Iter,
}

impl Iterator for Rows {
    type Item = Result<(sled::IVec, sled::IVec), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(|row| row.map_err(|error| unreadable(self.tree, &error)))
    }
}

/// Writes every byte of the database's file once more, then opens it.
///
/// After a failed sync the kernel may hold pages for clean that the disk never got: a later sync would succeed over a hole. What is in memory
/// and what is on disk are made the same again before anything is built on either.
pub(super) fn reopen(dir: &Path, tries: u32) -> Result<Disk, OpenError> {
    let file = OpenOptions::new().read(true).write(true).open(dir.join("db")).map_err(|error| OpenError::io(dir, &error))?;
    // sled's own threads may hold on to the old file for a moment.
    let locked = (1..tries).any(|_| {
        let done = file.try_lock().is_ok();
        if !done {
            std::thread::park_timeout(LOCK_WAIT);
        }
        done
    });
    if !locked {
        return Err(OpenError::Locked { dir: dir.to_owned() });
    }
    rewrite(&file).map_err(|error| OpenError::io(dir, &error))?;
    drop(file);
    Disk::open(dir, tries)
}

fn rewrite(file: &File) -> io::Result<()> {
    let mut buffer = vec![0; REWRITE_BYTES];
    let mut offset = 0_u64;
    loop {
        let count = file.read_at(&mut buffer, offset)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
        file.write_all_at(read, offset)?;
        offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
    file.sync_all()
}

fn make_private(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.and_then(|()| std::fs::set_permissions(dir, Permissions::from_mode(0o700))).map_err(|error| OpenError::io(dir, &error))
}

/// sled makes its files by the umask of the process, so they are closed after it (O-04); the folder was closed before.
fn make_files_private(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let mode = if entry.file_type()?.is_dir() { 0o700 } else { 0o600 };
        std::fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn open_sled(dir: &Path, tries: u32) -> Result<Opened, OpenError> {
    let mut left = tries;
    loop {
        let found = open_guarded(dir);
        left = left.saturating_sub(1);
        if left == 0 || !matches!(found, Err(OpenError::Locked { .. })) {
            return found;
        }
        std::thread::park_timeout(LOCK_WAIT);
    }
}

/// sled panics on some damage: in a thread of its own that is a value, and the panic's text goes into the error instead of onto the terminal.
fn open_guarded(dir: &Path) -> Result<Opened, OpenError> {
    quiet_panics();
    let config = sled::Config::new().path(dir).flush_every_ms(Some(SLED_SYNC_MS));
    let open = move || {
        let db = config.open()?;
        let trees = Tree::ALL.into_iter().map(|tree| Ok((tree, db.open_tree(tree.name())?))).collect::<sled::Result<_>>()?;
        Ok((db, trees))
    };
    let opening = std::thread::Builder::new().name(OPENING.into()).spawn(open).map_err(|error| OpenError::io(dir, &error))?;
    match opening.join() {
        Ok(opened) => opened.map_err(|error: sled::Error| refusal(dir, &error)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(OpenError::damaged(dir, text.as_deref().unwrap_or("the database cannot be read")))
        }
    }
}

fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(OPENING) {
                debug!(panic = %info, "the database cannot be opened");
            } else {
                usual(info);
            }
        }));
    });
}

fn refusal(dir: &Path, error: &sled::Error) -> OpenError {
    match error {
        // sled hands the lock's error on as text alone.
        sled::Error::Io(error) if error.to_string().contains("could not acquire lock") => OpenError::Locked { dir: dir.to_owned() },
        sled::Error::Io(error) => OpenError::io(dir, error),
        _ => OpenError::damaged(dir, &error.to_string()),
    }
}

fn unreadable(tree: Tree, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Corruption { .. } => StoreError::Damaged { tree: tree.name(), key: "(a page)".into() },
        _ => StoreError::Io(error.to_string()),
    }
}

/// Between two tries at a database that somebody else has open.
const LOCK_WAIT: Duration = Duration::from_millis(100);
/// sled's own full sync, a second net under ours.
const SLED_SYNC_MS: u64 = 500;
const REWRITE_BYTES: usize = 1 << 20;
const OPENING: &str = "store open";
