//! What is remembered: accounts, tokens and the log of changes, in sled.

mod apply;
mod backup;
mod blocks;
mod cache;
mod disk;
mod dump;
mod format;
mod keeper;
mod keys;
mod locked;
mod mark;
mod memory;
mod parcel;
mod record;
mod rekey;
mod restore;
mod seal;
mod shelf;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

use crate::domain::Account;
use crate::domain::BackupCodes;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Secret;
use crate::domain::Standing;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::pin::Pin;
use crate::ports::SPACE_BYTES_MIN;
use crate::ports::Store;
use crate::ports::StoreError;

use disk::Disk;
use keys::Tree;
use locked::StoredBackups;
use locked::StoredPin;
use record::AuditEnd;
use record::Head;
use record::StoredToken;
use record::Tallies;
use seal::Cipher;
use shelf::Shelf;
use writer::Changes;
use writer::Errand;
use writer::Order;
use writer::Writer;

pub use keeper::Keeper;
pub use memory::Memory;
pub use record::Counts;
pub use restore::HotpJump;
pub use restore::RestoreError;
pub use restore::Restored;
pub use restore::restore;

/// Where the store lies and what seals its secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder; the store makes its own inside.
    pub data_dir: PathBuf,
    /// 32 bytes.
    pub master_key: Secret,
}

/// Opens the store, or makes a new one. Blocks: up to 5 s while another process has it open, else as long as reading takes (0.1 s for 100,000 records).
///
/// # Errors
/// Why it cannot be used, and what to do about it.
pub fn open(settings: &Settings) -> Result<Arc<Vault>, OpenError> {
    open_keeping(settings, keys::LOG_MAX)
}

fn open_keeping(settings: &Settings, log_max: u64) -> Result<Arc<Vault>, OpenError> {
    let dir = settings.data_dir.join(restore::STORE);
    let master = Cipher::new(&settings.master_key).ok_or(OpenError::KeyLength { bytes: settings.master_key.len() })?;
    restore::unbroken(&settings.data_dir)?;
    let disk = Disk::open(&dir, LOCK_TRIES)?;
    let folder = held(&settings.data_dir)?;
    let marked = disk.marked()?;
    if marked.is_none() && disk.is_empty() {
        format::begin(&disk, &dir, &master)?;
    }
    format::bring_up(&disk, &dir, &master)?;
    let head = disk.head().map_err(|error| unusable(&dir, &error))?;
    intact(&disk, &dir, &head, marked.unwrap_or_default())?;
    let seal = format::data_keys(&disk, &dir, &master)?;
    disk.mark().note(head.last).and_then(|()| disk.mark().sync()).map_err(|error| OpenError::io(&dir, &error))?;
    Vault::start(Shelf::new(dir, master, seal, log_max, disk), folder)
}

/// The folder around the store, which nobody restores into while a server has it, not even when the store was moved out of it.
fn held(data_dir: &Path) -> Result<File, OpenError> {
    let folder = File::open(data_dir).map_err(|error| OpenError::io(data_dir, &error))?;
    for _ in 0..LOCK_TRIES {
        if folder.try_lock().is_ok() {
            return Ok(folder);
        }
        std::thread::park_timeout(LOCK_WAIT);
    }
    Err(OpenError::Locked { dir: data_dir.to_owned() })
}

/// The store. Many may read; what is to be written goes to one writer, who flushes once for all who wait.
///
/// Dropping it writes what was ordered and closes the files: when the drop returns they can be opened again.
#[derive(Debug)]
pub struct Vault {
    shelf: Arc<Shelf>,
    orders: Option<SyncSender<Order>>,
    writer: Option<JoinHandle<()>>,
    /// Locked for as long as this lives.
    _folder: File,
}

impl Vault {
    fn start(shelf: Shelf, folder: File) -> Result<Arc<Self>, OpenError> {
        let (orders, inbox) = mpsc::sync_channel(ORDERS_MAX);
        let shelf = Arc::new(shelf);
        let writer = Writer::new(Arc::clone(&shelf), inbox);
        let writer = std::thread::Builder::new().name("store writer".into()).spawn(move || writer.run());
        let writer = writer.map_err(|error| OpenError::io(shelf.dir(), &error))?;
        Ok(Arc::new(Self { shelf, orders: Some(orders), writer: Some(writer), _folder: folder }))
    }
}

impl Vault {
    /// Has the writer do this between two groups: nothing is written meanwhile but by it.
    async fn errand<T: Send + 'static>(&self, writes: bool, run: impl FnOnce(&Shelf) -> Result<T, StoreError> + Send + 'static) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        let run = Box::new(move |shelf: &Shelf| {
            let done = run(shelf);
            let failed = done.as_ref().err().cloned();
            // Nobody there any more: it is done all the same.
            let _ = tell.send(done);
            failed.map_or(Ok(()), Err)
        });
        let busy = || StoreError::Io("it cannot write now: look at the disk and at the server's log, then ask again".into());
        let orders = self.orders.as_ref().ok_or_else(busy)?;
        orders.try_send(Order::Errand(Errand { writes, run })).map_err(|_| busy())?;
        timeout(COMMIT_WITHIN, told).await.map_or_else(|_| Err(busy()), |told| told.unwrap_or_else(|_| Err(busy())))
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        drop(self.orders.take());
        // A writer that panicked has nothing left to close.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

#[async_trait]
impl Store for Vault {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let standing = self.shelf.cache().standing(who, || {
            let disk = self.shelf.disk()?;
            let key = keys::identity(who);
            let Tallies { common, exempt } = disk.read(Tree::Tries, key)?.unwrap_or_default();
            Ok(Standing {
                account: disk.read(Tree::Accounts, key)?.map(Arc::new),
                tries: common,
                exempt_tries: exempt,
                bypass: disk.read(Tree::Bypasses, key)?,
                block: blocks::own(&disk, who)?,
            })
        })?;
        blocks::with_numbers(standing, |whom| blocks::of(&*self.shelf.disk()?, whom))
    }

    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, StoreError> {
        self.shelf.cache().tokens(who, || {
            let disk = self.shelf.disk()?;
            let rows = disk.scan(Tree::Tokens, &keys::tokens_of(who))?;
            rows.map(|row| {
                let (key, value) = row?;
                let stored = record::decode::<StoredToken>(Tree::Tokens, &key, &value)?;
                let sealed = stored.seed.clone();
                Ok((stored.opened(self.shelf.seal(), &key)?, sealed))
            })
            .collect()
        })
    }

    fn accounts(&self, search: &str, after: Option<&str>, count_max: usize) -> Result<Vec<Account>, StoreError> {
        let disk = self.shelf.disk()?;
        let search = keys::folded(search);
        let rows = disk.scan_from(Tree::Names, &after.map(keys::behind).unwrap_or_default())?;
        let accounts = rows.map(|row| named_account(&disk, &row?.0));
        accounts.filter(|found| found.as_ref().map_or(true, |account| matches(account, &search))).take(count_max).collect()
    }

    fn accounts_named(&self, name: &str) -> Result<Vec<Account>, StoreError> {
        let name = keys::folded(name);
        let named = self.shelf.cache().named(&name, || {
            let rows = self.shelf.disk()?.scan(Tree::Names, &keys::named(&name))?;
            rows.map(|row| identity_named(&row?.0)).collect()
        })?;
        let account = |who: &Identity| self.standing(who)?.account.ok_or_else(|| damaged_name(&keys::name(&name, who)));
        named.iter().map(|who| account(who).map(Arc::unwrap_or_clone)).collect()
    }

    fn backup_codes(&self, who: &Identity) -> Result<Option<BackupCodes>, StoreError> {
        let (tree, key) = (Tree::Backups, keys::identity(who));
        self.shelf.disk()?.read::<StoredBackups>(tree, key)?.map(|stored| stored.open(self.shelf.seal(), tree, key)).transpose()
    }

    fn pin(&self, who: &Identity) -> Result<Option<Pin>, StoreError> {
        let (tree, key) = (Tree::Pins, keys::identity(who));
        self.shelf.disk()?.read::<StoredPin>(tree, key)?.map(|stored| stored.open(self.shelf.seal(), tree, key)).transpose()
    }

    fn token_list(&self, count_max: usize) -> Result<Vec<TokenInfo>, StoreError> {
        let disk = self.shelf.disk()?;
        let rows = disk.scan(Tree::Tokens, b"")?.take(count_max);
        rows.map(|row| {
            let (key, value) = row?;
            Ok(record::decode::<StoredToken>(Tree::Tokens, &key, &value)?.info)
        })
        .collect()
    }

    fn bypass_list(&self, count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        let disk = self.shelf.disk()?;
        let rows = disk.scan(Tree::Bypasses, b"")?.take(count_max);
        rows.map(|row| {
            let (key, value) = row?;
            Ok((Identity(String::from_utf8_lossy(&key).into_owned()), record::decode(Tree::Bypasses, &key, &value)?))
        })
        .collect()
    }

    fn block_list(&self, count_max: usize) -> Result<Vec<(Blocked, Block)>, StoreError> {
        blocks::list(&*self.shelf.disk()?, count_max)
    }

    fn audit_end(&self) -> u64 {
        unharmed(|| self.shelf.disk()?.read::<AuditEnd>(Tree::Meta, keys::AUDIT_END)).flatten().map_or(0, |end| end.seq)
    }

    fn keep_audit_end(&self, seq: u64) {
        unharmed(|| {
            let disk = self.shelf.disk()?;
            let known = disk.read::<AuditEnd>(Tree::Meta, keys::AUDIT_END)?.map_or(0, |end| end.seq);
            // sled does not survive a disk that fills under it: what it must not do for logins it must not do for the audit either.
            if seq <= known || disk.space()? < SPACE_BYTES_MIN {
                return Ok(());
            }
            disk.note(Tree::Meta, keys::AUDIT_END, record::encode(Tree::Meta, keys::AUDIT_END, &AuditEnd { seq })?)
        });
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        if let Some(what) = unfit(&changes) {
            error!(what, "a list of changes is refused");
            return Err(CommitError::Outage);
        }
        let (ack, answer) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or(CommitError::Outage)?;
        orders.try_send(Order::Changes(Changes { list: changes, ack })).map_err(|_| CommitError::Outage)?;
        match timeout(COMMIT_WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(CommitError::Outage),
        }
    }
}

/// What came of it; `None` where the disk failed, also where sled panics at that: whoever asks is no login and has other work.
fn unharmed<T>(ask: impl FnOnce() -> Result<T, StoreError>) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask)) {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(%error, "how far the audit went is not known to the store now");
            None
        }
        Err(_) => {
            tracing::error!("the store gave up while it was asked how far the audit went");
            None
        }
    }
}

/// Why the store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// What lies there cannot be trusted.
    #[error("the store in {dir} is damaged ({what}): stop the server, move this folder aside and restore it from a backup")]
    Damaged {
        /// The folder.
        dir: String,
        /// What is wrong.
        what: String,
    },
    /// The folder or a file in it cannot be used.
    #[error("the store in {dir} cannot be opened: {what}")]
    Io {
        /// The folder.
        dir: String,
        /// What the system said.
        what: String,
    },
    /// No 32 bytes.
    #[error("the master key has {bytes} bytes and must have 32: 64 hexadecimal digits in its file")]
    KeyLength {
        /// Bytes it has.
        bytes: usize,
    },
    /// Somebody else has it open.
    #[error("another vestibule is running on the store in {}: stop it first", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A later program wrote it (O-34).
    #[error("the store in {} has format {found}, and this program knows format {known}: install the version that wrote it or a later one", dir.display())]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Made with another master key.
    #[error("the master key is not the one that the store in {} was made with: check `node.master_key`", dir.display())]
    WrongKey {
        /// The folder.
        dir: PathBuf,
    },
}

impl OpenError {
    fn damaged(dir: &Path, what: &str) -> Self {
        Self::Damaged { dir: dir.display().to_string(), what: what.to_owned() }
    }

    fn io(dir: &Path, error: &std::io::Error) -> Self {
        Self::Io { dir: dir.display().to_string(), what: error.to_string() }
    }
}

/// Whether the log ends where head and mark say. sled drops the end of a cut file without a word; burnt codes would be good again.
fn intact(disk: &Disk, dir: &Path, head: &Head, marked: u64) -> Result<(), OpenError> {
    if head.last < marked {
        return Err(OpenError::damaged(dir, &format!("changes {} to {marked} are missing", head.last.saturating_add(1))));
    }
    let newest = disk.bytes(Tree::Changes, &keys::lsn(Lsn(head.last))).map_err(|error| unusable(dir, &error))?;
    if newest.is_none() && head.first <= head.last {
        return Err(OpenError::damaged(dir, "the end of its log of changes is missing"));
    }
    Ok(())
}

/// The database, if it holds all that was ever acknowledged.
fn whole(dir: &Path, disk: Disk) -> Result<Disk, OpenError> {
    let head = disk.head().map_err(|error| unusable(dir, &error))?;
    intact(&disk, dir, &head, disk.marked()?.unwrap_or_default())?;
    Ok(disk)
}

fn unusable(dir: &Path, error: &StoreError) -> OpenError {
    match error {
        StoreError::Io(what) => OpenError::Io { dir: dir.display().to_string(), what: what.clone() },
        StoreError::Version { version, .. } => OpenError::Newer { dir: dir.to_owned(), found: u32::from(*version), known: keys::FORMAT },
        StoreError::Damaged { .. } | StoreError::Sealed { .. } => OpenError::damaged(dir, &error.to_string()),
    }
}

fn named_account(disk: &Disk, name_key: &[u8]) -> Result<Account, StoreError> {
    let who = identity_named(name_key)?;
    disk.read(Tree::Accounts, keys::identity(&who))?.ok_or_else(|| damaged_name(name_key))
}

fn identity_named(name_key: &[u8]) -> Result<Identity, StoreError> {
    keys::identity_of(name_key).ok_or_else(|| damaged_name(name_key))
}

fn damaged_name(name_key: &[u8]) -> StoreError {
    StoreError::Damaged { tree: Tree::Names.name(), key: keys::shown(Tree::Names, name_key) }
}

/// Whether the name, mail or identity of the account contains `search`, which is without case.
fn matches(account: &Account, search: &str) -> bool {
    let texts = [Some(&account.name), account.mail.as_ref(), Some(&account.identity.0)];
    texts.into_iter().flatten().any(|text| keys::folded(text).contains(search))
}

/// What is wrong with a list of changes that no store takes.
fn unfit(changes: &[Change]) -> Option<&'static str> {
    if changes.len() > CHANGES_MAX {
        return Some("it is too long");
    }
    changes.iter().any(|change| !keys::fits(change)).then_some("an identity, name or text in it is empty, too long or holds a zero byte")
}

/// Changes in one commit.
pub const CHANGES_MAX: usize = 10_000;
/// Orders waiting for the writer; the next one is refused.
const ORDERS_MAX: usize = 16_384;
/// A commit that takes longer is told `Outage`, though it may still reach the disk.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// A tenth of a second apart: 5 s.
const LOCK_TRIES: u32 = 50;
const LOCK_WAIT: Duration = Duration::from_millis(100);
