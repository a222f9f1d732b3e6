//! The audit: one sealed line for each login, written by a thread of its own, so that no login waits for the disk.

mod book;
mod seal;
mod ship;
mod slate;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;

use tokio::sync::watch;

use self::book::Book;
use self::slate::Slate;
use self::writer::Writer;
use crate::domain::Ending;
use crate::domain::Secret;
use crate::domain::Trace;
use crate::metrics;
use crate::ports::audit::Anchor;
use crate::ports::audit::Audit;
use crate::ports::audit::Verified;

pub use self::ship::Receiver;
pub use self::ship::Transport;
pub use self::ship::probe;

/// Where it lies and who writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder.
    pub folder: PathBuf,
    /// The node's name, which stands in each line.
    pub node: String,
    /// What the key of the seals is made of.
    pub master_key: Secret,
    /// Days for which files are kept, after the last line in them; 0: for ever.
    pub keep_days: u32,
    /// Who is sent each line as well.
    pub receivers: Vec<Receiver>,
}

/// The audit of this node. Dropped, it writes what it was told.
#[derive(Debug)]
pub struct Trail {
    book: Book,
    slate: Arc<Slate>,
    newest: watch::Receiver<u64>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Who sends it on.
    shippers: Vec<tokio::task::JoinHandle<()>>,
}

impl Trail {
    /// Opens the folder and goes on where the last line left off; `anchor` knows where that must be. Where somebody is sent the lines, it must be called inside the tokio runtime.
    ///
    /// # Errors
    /// The folder or a file cannot be read or written, or a receiver's certificates.
    pub fn open(settings: Settings, anchor: Arc<dyn Anchor>) -> io::Result<Self> {
        let key = seal::key(&settings.master_key).ok_or_else(|| io::Error::other("the master key cannot be used"))?;
        let book = Book { anchor: Some(anchor), ..Book::open(settings.folder, key)? };
        let mut trail = Self::write_in(book, settings.node.clone(), settings.keep_days)?;
        for receiver in &settings.receivers {
            trail.shippers.push(ship::start(trail.book.clone(), &settings.node, trail.newest.clone(), receiver)?);
        }
        Ok(trail)
    }

    fn write_in(book: Book, node: String, keep_days: u32) -> io::Result<Self> {
        let slate = Arc::new(Slate::default());
        let mut writer = Writer::open(book.clone(), node, keep_days)?;
        let newest = writer.newest();
        let told = Arc::clone(&slate);
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(move || writer.write_all(&told))?;
        Ok(Self { book, slate, newest, thread: Mutex::new(Some(thread)), shippers: Vec::new() })
    }
}

impl Audit for Trail {
    fn note(&self, ending: Ending) {
        self.slate.tell(ending);
    }

    fn measure(&self) {
        metrics::audit_waiting(self.slate.waiting());
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    fn tail(&self, after: Option<u64>, count_max: usize) -> io::Result<Vec<String>> {
        self.slate.settle();
        self.book.tail(after, count_max)
    }

    fn find(&self, trace: Trace) -> io::Result<Vec<String>> {
        self.slate.settle();
        self.book.find(&format!("\"trace\":\"{trace}\""))
    }

    fn files(&self) -> io::Result<Vec<u64>> {
        self.slate.settle();
        let files = self.book.filled()?;
        // Where all are gone somebody must be told so: what would be the first is asked for and is not there.
        Ok(if files.is_empty() && self.book.told() > 0 { vec![1] } else { files })
    }

    fn verify(&self, file: u64) -> io::Result<Verified> {
        self.slate.settle();
        self.book.verify(file)
    }
}

impl Drop for Trail {
    /// What is not sent by now goes out after the next start.
    fn drop(&mut self) {
        self.shippers.iter().for_each(tokio::task::JoinHandle::abort);
        self.slate.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = thread.map(JoinHandle::join);
    }
}
