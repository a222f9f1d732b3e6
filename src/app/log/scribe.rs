//! The scribe: a thread of its own writes the lines, many at once, so that nobody who has something to say waits for the disk.

use std::fmt;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines. None is ever left out: where more than [`WAITING_BYTES_MAX`] wait, whoever speaks waits too.
#[derive(Clone, Debug)]
pub(super) struct Scribe(Arc<Slate>);

/// The log of this process. Dropped, all that was said is written, and later lines are written at once by whoever says them.
#[derive(Debug)]
#[must_use]
pub struct Log {
    slate: Arc<Slate>,
    writing: Option<JoinHandle<()>>,
}

/// What is said and not yet written.
struct Slate {
    lines: Mutex<Lines>,
    /// There is something to write, or nothing will come any more.
    come: Condvar,
    /// There is room again.
    room: Condvar,
    out: Mutex<Box<dyn Write + Send>>,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<u8>,
    /// The scribe has nothing to do and must be woken.
    is_idle: bool,
    is_closed: bool,
}

impl Scribe {
    /// Begins to write. Where there is no thread to be had, everybody writes.
    pub(super) fn start(out: impl Write + Send + 'static) -> (Self, Log) {
        let slate = Arc::new(Slate { lines: Mutex::default(), come: Condvar::new(), room: Condvar::new(), out: Mutex::new(Box::new(out)) });
        let theirs = Arc::clone(&slate);
        let writing = thread::Builder::new().name("log".to_owned()).spawn(move || theirs.write_all()).ok();
        slate.lines().is_closed = writing.is_none();
        (Self(Arc::clone(&slate)), Log { slate, writing })
    }
}

impl Slate {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(bytes)?;
        out.flush()
    }

    fn say(&self, line: &[u8]) -> io::Result<()> {
        let mut lines = self.lines();
        while lines.waiting.len() > WAITING_BYTES_MAX && !lines.is_closed {
            lines = self.room.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        if lines.is_closed {
            drop(lines);
            return self.write_now(line);
        }
        lines.waiting.extend_from_slice(line);
        if lines.is_idle {
            lines.is_idle = false;
            self.come.notify_one();
        }
        Ok(())
    }

    /// Writes until it is closed. After each time it lets some lines gather: a write for every one would cost more than the line.
    fn write_all(&self) {
        let mut page = Vec::new();
        loop {
            let mut lines = self.lines();
            while lines.waiting.is_empty() && !lines.is_closed {
                lines.is_idle = true;
                lines = self.come.wait(lines).unwrap_or_else(PoisonError::into_inner);
            }
            lines.is_idle = false;
            if lines.waiting.is_empty() {
                return;
            }
            std::mem::swap(&mut page, &mut lines.waiting);
            drop(lines);
            self.room.notify_all();
            // There is nobody to tell that nothing can be told.
            let _ = self.write_now(&page);
            page.clear();
            let waited = self.come.wait_timeout_while(self.lines(), GATHER, |lines| !lines.is_closed);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl fmt::Debug for Slate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slate").finish_non_exhaustive()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.slate.lines().is_closed = true;
        self.slate.come.notify_all();
        self.slate.room.notify_all();
        if let Some(writing) = self.writing.take() {
            // It has written all it had, or it has panicked and writes nothing any more.
            let _ = writing.join();
        }
    }
}

impl<'w> MakeWriter<'w> for Scribe {
    type Writer = Line<'w>;

    fn make_writer(&'w self) -> Self::Writer {
        Line(&self.0)
    }
}

/// Writes one line.
#[derive(Debug)]
pub(super) struct Line<'w>(&'w Slate);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.say(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes that may wait to be written: some twenty thousand lines.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// For how long lines gather.
const GATHER: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells what is written, and takes nothing before it is let.
    struct Page {
        written: mpsc::Sender<Vec<u8>>,
        let_in: Option<mpsc::Receiver<()>>,
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(let_in) = &self.let_in {
                let _ = let_in.recv();
            }
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_that_was_said_is_written_in_order_before_the_log_is_gone_and_at_once_after() {
        let (written, read) = mpsc::channel();
        let (scribe, log) = Scribe::start(Page { written, let_in: None });
        let mut said = Vec::new();
        for number in 0..1000 {
            let line = format!("line {number}\n");
            scribe.make_writer().write_all(line.as_bytes()).unwrap();
            said.extend_from_slice(line.as_bytes());
        }
        drop(log);
        scribe.make_writer().write_all(b"last\n").unwrap();
        said.extend_from_slice(b"last\n");
        let all: Vec<u8> = read.try_iter().flatten().collect();
        assert_eq!(all, said);
    }

    #[test]
    fn more_than_may_wait_is_said_and_no_line_is_lost() {
        let (written, read) = mpsc::channel();
        let (let_in, allowed) = mpsc::channel();
        let (scribe, log) = Scribe::start(Page { written, let_in: Some(allowed) });
        let line = vec![b'x'; 1 << 20];
        let speaking = thread::spawn(move || (0..20).for_each(|_| scribe.make_writer().write_all(&line).unwrap()));
        drop(let_in);
        speaking.join().unwrap();
        drop(log);
        assert_eq!(read.try_iter().map(|bytes| bytes.len()).sum::<usize>(), 20 << 20);
    }
}
