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
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Takes lines. Where more than [`WAITING_BYTES_MAX`] wait, whoever speaks waits too, but no longer than [`STUCK_AFTER`]: then lines are counted and not kept
/// until there is room again, and that is said. A log that nobody takes must not close the doors.
#[derive(Clone, Debug)]
pub(super) struct Scribe(Arc<Slate>);

/// The log of this process. Dropped, all that was said is written, and later lines are written at once by whoever says them.
#[derive(Debug)]
#[must_use]
pub struct Log {
    slate: Arc<Slate>,
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
    /// The scribe has written all there was, and comes no more.
    is_done: bool,
    /// Lines left out since the log is stuck.
    left_out: u64,
}

impl Scribe {
    /// Begins to write. Where there is no thread to be had, everybody writes.
    pub(super) fn start(out: impl Write + Send + 'static) -> (Self, Log) {
        let slate = Arc::new(Slate { lines: Mutex::default(), come: Condvar::new(), room: Condvar::new(), out: Mutex::new(Box::new(out)) });
        let theirs = Arc::clone(&slate);
        let writing = thread::Builder::new().name("log".to_owned()).spawn(move || theirs.write_all());
        if writing.is_err() {
            let mut lines = slate.lines();
            (lines.is_closed, lines.is_done) = (true, true);
        }
        (Self(Arc::clone(&slate)), Log { slate })
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
        let is_full = |lines: &mut Lines| lines.waiting.len() > WAITING_BYTES_MAX && !lines.is_closed;
        let mut lines = self.lines();
        if lines.left_out == 0 {
            lines = self.room.wait_timeout_while(lines, STUCK_AFTER, is_full).unwrap_or_else(PoisonError::into_inner).0;
        }
        if lines.is_done {
            drop(lines);
            return self.write_now(line);
        }
        if lines.waiting.len() > WAITING_BYTES_MAX {
            lines.left_out = lines.left_out.saturating_add(1);
            return Ok(());
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
                lines.is_done = true;
                drop(lines);
                self.room.notify_all();
                return;
            }
            std::mem::swap(&mut page, &mut lines.waiting);
            let left_out = std::mem::take(&mut lines.left_out);
            drop(lines);
            self.room.notify_all();
            if left_out > 0 {
                tracing::error!(left_out, "lines of the log were left out: for too long nobody took them");
            }
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
        // One that is stuck is left behind: the end of this process ends it.
        let waited = self.slate.room.wait_timeout_while(self.slate.lines(), LAST_WITHIN, |lines| !lines.is_done);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
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
/// How long somebody who speaks waits for room.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// How long the last lines may take.
const LAST_WITHIN: Duration = Duration::from_secs(5);
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
    fn more_than_may_wait_waits_and_no_line_is_lost_while_somebody_writes() {
        let (written, read) = mpsc::channel();
        let (let_in, allowed) = mpsc::channel();
        let (scribe, log) = Scribe::start(Page { written, let_in: Some(allowed) });
        let (said, hear) = mpsc::channel();
        let line = vec![b'x'; 1 << 20];
        let speaking = thread::spawn(move || {
            for number in 0..20 {
                scribe.make_writer().write_all(&line).unwrap();
                said.send(number).unwrap();
            }
        });
        // The first page is with the writer, and no more than may wait waits behind it.
        let last = std::iter::from_fn(|| hear.recv_timeout(Duration::from_millis(200)).ok()).last().unwrap();
        assert!(last < 12, "{last}");
        drop(let_in);
        speaking.join().unwrap();
        drop(log);
        assert_eq!(read.try_iter().map(|bytes| bytes.len()).sum::<usize>(), 20 << 20);
    }

    #[test]
    fn a_log_that_nobody_takes_holds_nobody_up_for_long() {
        let (written, _read) = mpsc::channel();
        let (let_in, allowed) = mpsc::channel::<()>();
        let (scribe, log) = Scribe::start(Page { written, let_in: Some(allowed) });
        let line = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            scribe.make_writer().write_all(&line).unwrap();
        }
        assert!(scribe.0.lines().left_out > 80 && scribe.0.lines().waiting.len() < 6 << 20);
        drop(log);
        drop(let_in);
    }
}
