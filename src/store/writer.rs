//! The one that writes: whoever waits is written together, flushed once, and told afterwards.
//!
//! What a group costs (sled wakes eight threads of its own for each flush, the disk is synced) is shared by all in it. While many come, the
//! writer therefore waits a moment ([`COMPANY_WAIT`]) before it takes a group; where few come, or where the disk itself is slow enough for
//! a group to form meanwhile, it never waits.

use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::error;
use tracing::info;

use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Lsn;
use crate::metrics;
use crate::ports::SPACE_BYTES_MIN;
use crate::ports::StoreError;

use super::apply::Draft;
use super::apply::Refusal;
use super::disk::Disk;
use super::mark;
use super::shelf::Shelf;

/// What somebody wants of the writer.
pub(super) enum Order {
    /// Changes.
    Changes(Changes),
    /// To be done between two groups.
    Errand(Errand),
}

/// What somebody wants written, and where to tell.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) list: Vec<Change>,
    pub(super) ack: oneshot::Sender<Answer>,
}

/// Work on the database while nobody else writes.
pub(super) struct Errand {
    /// Whether it needs space.
    pub(super) writes: bool,
    /// Tells its asker itself, and the writer what failed.
    pub(super) run: Box<Work>,
}

/// What an errand does.
pub(super) type Work = dyn FnOnce(&Shelf) -> Result<(), StoreError> + Send;

/// What somebody is told.
pub(super) type Answer = Result<Lsn, CommitError>;

/// Writes until nobody can order any more.
#[derive(Debug)]
pub(super) struct Writer {
    shelf: Arc<Shelf>,
    orders: Receiver<Order>,
    well: bool,
    /// Whether many are coming.
    rush: bool,
    /// When what was read lately was last sorted by age.
    aged_at: Instant,
    /// When the oldest note in the mark that is not synced has to be.
    mark_due: Option<Instant>,
    /// After a failure the disk is left alone until then: reading everything anew for each login would take it down for good.
    rest_until: Option<Instant>,
}

/// Why nothing of a group is on disk for certain.
#[derive(Debug)]
enum Trouble {
    /// Nothing was tried: the file system is all but full.
    Full(u64),
    /// Nothing was tried: the file system takes no more.
    ReadOnly,
    /// It was tried.
    Disk(StoreError),
}

impl Writer {
    pub(super) fn new(shelf: Arc<Shelf>, orders: Receiver<Order>) -> Self {
        Self { shelf, orders, well: true, rush: false, aged_at: Instant::now(), mark_due: None, rest_until: None }
    }

    /// Runs until all who could order are gone, then closes the database.
    pub(super) fn run(mut self) {
        loop {
            match self.next() {
                Ok(Order::Changes(first)) => self.write(first),
                Ok(Order::Errand(errand)) => self.run_errand(errand),
                Err(RecvTimeoutError::Timeout) => self.idle(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.aged_at.elapsed() >= AGE_EVERY {
                self.aged_at = Instant::now();
                self.shelf.cache().age();
            }
        }
        self.sync_mark();
        self.shelf.close();
    }

    fn next(&self) -> Result<Order, RecvTimeoutError> {
        match (self.well, self.mark_due) {
            (false, _) => self.orders.recv_timeout(RECOVERY_EVERY),
            (true, Some(_)) => self.orders.recv_timeout(mark::SYNC_WITHIN),
            (true, None) => self.orders.recv_timeout(AGE_EVERY),
        }
    }

    /// Nobody orders.
    fn idle(&mut self) {
        self.sync_mark();
        if !self.well {
            self.recover();
        }
    }

    /// Writes an order and all that wait behind it, up to a bound.
    fn write(&mut self, first: Changes) {
        let began = Instant::now();
        if self.rush {
            std::thread::park_timeout(COMPANY_WAIT);
        }
        let mut weight = first.list.len();
        let mut group = vec![first];
        let mut errand = None;
        while group.len() < GROUP_MAX && weight < GROUP_CHANGES_MAX && errand.is_none() {
            match self.orders.try_recv() {
                Ok(Order::Changes(next)) => {
                    weight = weight.saturating_add(next.list.len());
                    group.push(next);
                }
                Ok(Order::Errand(next)) => errand = Some(next),
                Err(_) => break,
            }
        }
        let answers = self.answers(&group);
        let count = group.len();
        for (order, answer) in group.into_iter().zip(answers) {
            // Nobody there any more: it is written all the same.
            let _ = order.ack.send(answer);
        }
        let now = Instant::now();
        self.rush = count >= COMPANY_MIN && now.saturating_duration_since(began) < COMPANY_WITHIN;
        let mark_due = *self.mark_due.get_or_insert(now + mark::SYNC_WITHIN);
        if mark_due <= now {
            self.sync_mark();
        }
        if let Some(errand) = errand {
            self.run_errand(errand);
        }
    }

    /// An errand that is not run is dropped, by which its asker hears of it.
    fn run_errand(&mut self, errand: Errand) {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        self.reopen();
        let shelf = Arc::clone(&self.shelf);
        let done = catch_unwind(AssertUnwindSafe(|| {
            if errand.writes {
                writable(&*shelf.disk().map_err(Trouble::Disk)?)?;
            }
            (errand.run)(&shelf).map_err(Trouble::Disk)
        }));
        match done.unwrap_or_else(|_| Err(Trouble::Disk(StoreError::Io("the database gave up in the middle of a write".into())))) {
            // What one record is like says nothing about the disk.
            Ok(()) | Err(Trouble::Disk(StoreError::Damaged { .. } | StoreError::Sealed { .. } | StoreError::Version { .. })) => {}
            Err(trouble) => self.ill(&trouble),
        }
    }

    fn sync_mark(&mut self) {
        self.mark_due = None;
        let Ok(disk) = self.shelf.disk() else { return };
        if let Err(error) = disk.mark().sync() {
            drop(disk);
            self.ill(&failed(&error));
        }
    }

    fn answers(&mut self, group: &[Changes]) -> Vec<Answer> {
        if self.rest_until.is_some_and(|until| Instant::now() < until) {
            return outage(group);
        }
        self.reopen();
        let shelf = Arc::clone(&self.shelf);
        let done = catch_unwind(AssertUnwindSafe(|| commit(&shelf, group)));
        match done.unwrap_or_else(|_| Err(Trouble::Disk(StoreError::Io("the database gave up in the middle of a write".into())))) {
            Ok(Done { answers, wrote }) => {
                if wrote {
                    self.recovered();
                }
                answers
            }
            Err(trouble) => {
                self.ill(&trouble);
                outage(group)
            }
        }
    }

    fn ill(&mut self, trouble: &Trouble) {
        if std::mem::replace(&mut self.well, false) {
            let dir = self.shelf.dir().display();
            match trouble {
                Trouble::Full(free) => error!(%dir, free_bytes = free, "the disk is full: logins that must be noted are refused until there is space"),
                Trouble::ReadOnly => error!(%dir, "the file system is read-only: logins that must be noted are refused until it can be written"),
                Trouble::Disk(error) => error!(%dir, %error, "the store cannot write: logins that must be noted are refused until it can"),
            }
            metrics::healthy(ROOM, NAME, false);
            metrics::store_alarm();
        }
        if let Trouble::Disk(_) = trouble {
            // Memory must not run ahead of the disk: after a write that failed, true is what the disk says when it is read anew. A code
            // that was burnt in memory alone may come back, but it opened nothing: whoever brought it was told `Outage`.
            self.shelf.close();
            self.reopen();
            self.rest_until = Some(Instant::now() + RECOVERY_EVERY);
        }
    }

    /// Perhaps nobody orders because nothing can be read: finds out whether the disk is back.
    fn recover(&mut self) {
        self.reopen();
        let shelf = Arc::clone(&self.shelf);
        if catch_unwind(AssertUnwindSafe(|| probe(&shelf))).is_ok_and(|done| done.is_ok()) {
            self.recovered();
        }
    }

    /// sled panics where it cannot read: that is one more try in vain, and the next may do better.
    fn reopen(&self) {
        if catch_unwind(AssertUnwindSafe(|| self.shelf.reopen())).is_err() {
            error!(dir = %self.shelf.dir().display(), "the database gave up while it was opened: nobody is let in on what it holds");
        }
    }

    fn recovered(&mut self) {
        self.rest_until = None;
        if !std::mem::replace(&mut self.well, true) {
            info!(dir = %self.shelf.dir().display(), "the store can write again");
            metrics::healthy(ROOM, NAME, true);
        }
    }
}

/// What became of a group.
struct Done {
    answers: Vec<Answer>,
    /// Whether there was anything to write: else nothing is known of the disk.
    wrote: bool,
}

/// Decides on every order, writes what is to be written, and notes where the log ends now: all of it on disk before anybody is told.
fn commit(shelf: &Shelf, group: &[Changes]) -> Result<Done, Trouble> {
    let disk = shelf.disk().map_err(Trouble::Disk)?;
    let mut draft = Draft::new(&disk, shelf.seal()).map_err(Trouble::Disk)?;
    let answers: Vec<Answer> = group.iter().map(|order| answer(draft.take(&order.list))).collect();
    let last = draft.last();
    let writes = draft.finish(shelf.log_max()).map_err(Trouble::Disk)?;
    if writes.is_empty() {
        return Ok(Done { answers, wrote: false });
    }
    writable(&disk)?;
    shelf.touch(&writes);
    shelf.cache().begin(&writes);
    disk.write(&writes).map_err(Trouble::Disk)?;
    disk.mark().note(last).map_err(|error| Trouble::Disk(StoreError::Io(error.to_string())))?;
    shelf.cache().settle(&writes, shelf.seal());
    Ok(Done { answers, wrote: true })
}

/// Writes the head once more as it is.
fn probe(shelf: &Shelf) -> Result<(), Trouble> {
    let disk = shelf.disk().map_err(Trouble::Disk)?;
    writable(&disk)?;
    disk.put_head(&disk.head().map_err(Trouble::Disk)?).map_err(Trouble::Disk)
}

/// Finds out before anything is tried: sled survives neither a disk that fills under it nor one that takes nothing more without being opened anew, and where nothing
/// can be written it is not opened.
fn writable(disk: &Disk) -> Result<(), Trouble> {
    let free = disk.space().map_err(Trouble::Disk)?;
    if free < SPACE_BYTES_MIN {
        return Err(Trouble::Full(free));
    }
    let last = disk.head().map_err(Trouble::Disk)?.last;
    disk.mark().note(last).map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => Trouble::ReadOnly,
        _ => Trouble::Disk(StoreError::Io(error.to_string())),
    }
}

fn outage(group: &[Changes]) -> Vec<Answer> {
    group.iter().map(|_| Err(CommitError::Outage)).collect()
}

fn answer(taken: Result<Lsn, Refusal>) -> Answer {
    taken.map_err(|refusal| match refusal {
        Refusal::Spent => CommitError::Spent,
        Refusal::Fault(error) => {
            error!(%error, "a change cannot be made");
            CommitError::Outage
        }
    })
}

/// Orders in one flush.
const GROUP_MAX: usize = 256;
/// Changes in one flush, save for one order that alone has more.
const GROUP_CHANGES_MAX: usize = 4_096;
/// How long a group waits for company.
const COMPANY_WAIT: Duration = Duration::from_millis(1);
/// Orders in a group that, done within [`COMPANY_WITHIN`], show that many are coming.
const COMPANY_MIN: usize = 3;
/// From the first order of a group to the last answer. Where the disk takes longer, groups form by themselves.
const COMPANY_WITHIN: Duration = Duration::from_millis(8);
/// Between two tries while ill.
const RECOVERY_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for people of whom nobody asks any more.
const AGE_EVERY: Duration = Duration::from_secs(60);
const ROOM: &str = "store";
const NAME: &str = "disk";
