//! Reads the files line by line from where it left off, and says which lines are missing.

use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use serde::Deserialize;
use serde_json::json;

use crate::audit::book::Book;

/// Lines of a batch.
const LINES_MAX: usize = 500;
/// Octets of a batch; the last line may go beyond.
const BYTES_MAX: usize = 1 << 20;
/// Octets of a line; there are none as long.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// A place in the files. Reading makes a new one: whoever cannot send what was read keeps the old.
#[derive(Clone, Debug)]
pub(super) struct Follow {
    book: Book,
    node: String,
    /// The number of the next line.
    next: u64,
    /// The file it is looked for in, and the octets of it that are done with.
    file: Option<(u64, u64)>,
}

/// What is sent at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Numbers that are gone, before the lines.
    pub(super) gap: Option<(u64, u64)>,
    /// In their order; of a gap one that says so.
    pub(super) lines: Vec<Line>,
}

/// A line as it stands in the file, without its newline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) event: String,
    pub(super) decision: Option<String>,
    pub(super) text: String,
}

/// What one must know of a line to send it.
#[derive(Deserialize)]
struct Known {
    seq: u64,
    at: String,
    event: String,
    decision: Option<String>,
}

impl Follow {
    pub(super) fn new(book: Book, node: String, next: u64) -> Self {
        Self { book, node, next, file: None }
    }

    /// The number of the next line.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Lines up to number `newest`, which are written for good; at least one, or a gap. Reads the disk.
    pub(super) fn read(mut self, newest: u64) -> io::Result<(Batch, Self)> {
        let mut batch = Batch::default();
        while self.next <= newest {
            let Some((file, done)) = self.file else {
                self.file = self.choose()?;
                if self.file.is_none() {
                    self.skip(newest, None, &mut batch);
                }
                continue;
            };
            match self.lines(file, done, newest, &mut batch) {
                Ok(true) => break,
                Ok(false) if self.next > newest => break,
                Ok(false) => {
                    self.file = self.after(file)?;
                    // It was written before we looked, and there is no file behind the last: it is gone.
                    if self.file.is_none() {
                        self.skip(newest, None, &mut batch);
                    }
                }
                // Taken away meanwhile: what comes next is in another.
                Err(error) if error.kind() == ErrorKind::NotFound => self.file = None,
                Err(error) => return Err(error),
            }
        }
        Ok((batch, self))
    }

    /// The lines of one file; whether the batch is full.
    fn lines(&mut self, file: u64, done: u64, newest: u64, batch: &mut Batch) -> io::Result<bool> {
        let mut source = File::open(self.book.path(file))?;
        source.seek(SeekFrom::Start(done))?;
        let mut source = BufReader::new(source);
        let (mut done, mut bytes) = (done, 0);
        loop {
            let mut text = Vec::new();
            let length = source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut text)?;
            if text.pop() != Some(b'\n') {
                return Ok(false);
            }
            let Some(line) = Line::read(&text) else {
                done = self.pass(file, done, length);
                continue;
            };
            if line.seq > newest {
                return Ok(false);
            }
            if line.seq < self.next {
                done = self.pass(file, done, length);
                continue;
            }
            if line.seq > self.next {
                let (last, at) = (line.seq.saturating_sub(1), line.at.clone());
                if batch.lines.is_empty() {
                    self.skip(last, Some(at), batch);
                }
                return Ok(true);
            }
            self.next = line.seq.saturating_add(1);
            bytes = line.text.len().saturating_add(bytes);
            done = self.pass(file, done, length);
            batch.lines.push(line);
            if batch.lines.len() >= LINES_MAX || bytes >= BYTES_MAX {
                return Ok(true);
            }
        }
    }

    fn pass(&mut self, file: u64, done: u64, length: usize) -> u64 {
        let done = done.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        self.file = Some((file, done));
        done
    }

    /// The file that holds the next number, or else the first behind it.
    fn choose(&self) -> io::Result<Option<(u64, u64)>> {
        let files = self.book.files()?;
        let file = files.iter().rfind(|first| **first <= self.next).or_else(|| files.first());
        Ok(file.map(|first| (*first, 0)))
    }

    fn after(&self, file: u64) -> io::Result<Option<(u64, u64)>> {
        Ok(self.book.files()?.into_iter().find(|first| *first > file).map(|first| (first, 0)))
    }

    /// Says that the lines up to `last` are gone, and goes on behind them.
    fn skip(&mut self, last: u64, at: Option<String>, batch: &mut Batch) {
        let from = self.next;
        let known = at.or_else(|| batch.lines.last().map(|line| line.at.clone()));
        let text = json!({ "event": "skipped", "node": self.node, "at": known, "from": from, "to": last }).to_string();
        batch.lines.push(Line { seq: last, at: known.unwrap_or_else(|| "-".to_owned()), event: "skipped".to_owned(), decision: None, text });
        batch.gap = Some((from, last));
        self.next = last.saturating_add(1);
    }
}

impl Line {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let Known { seq, at, event, decision } = serde_json::from_str(text).ok()?;
        Some(Self { seq, at, event, decision, text: text.to_owned() })
    }
}
