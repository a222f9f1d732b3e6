//! The one who writes: lines in their order, many with one write, and the disk asked to keep them when there is a moment.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Write;
use std::time::Duration;

use tokio::sync::watch;

use super::book::Book;
use super::book::End;
use super::book::Left;
use super::seal::Sealer;
use super::slate::Slate;
use super::slate::Turn;
use crate::domain::Ending;
use crate::domain::Timestamp;
use crate::metrics;
use crate::ports::audit::Entry;
use crate::ports::audit::Login;
use crate::ports::audit::Record;

/// Lines between two times the disk is asked to keep them, at most ..
const UNKEPT_MAX: usize = 4_096;
/// .. and writes.
const WRITES_MAX: u32 = 25;
/// With nothing to write for so long it is asked as well.
const REST: Duration = Duration::from_millis(500);
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

pub(super) struct Writer {
    book: Book,
    node: String,
    keep_days: u32,
    sealer: Sealer,
    seq: u64,
    /// The file that is written, and its bytes.
    file: Option<(File, u64)>,
    moments: Moments,
    newest: watch::Sender<u64>,
    /// Lines the disk was not yet asked to keep, and in how many writes.
    unkept: usize,
    writes: u32,
    /// The last write failed; that was told.
    failing: bool,
    /// Lines gone from the disk, not yet told in a line; 0 where nobody can tell how many.
    gone: Option<u64>,
}

impl Writer {
    pub(super) fn open(book: Book, node: String, keep_days: u32) -> io::Result<Self> {
        let left = book.left(0)?;
        let file = match left.file {
            Some(first) => {
                let file = book.append(first, false)?;
                let bytes = file.metadata()?.len();
                Some((file, bytes))
            }
            None => None,
        };
        let newest = watch::Sender::new(left.end.seq);
        let sealer = Sealer::new(book.key.clone(), String::new());
        let mut writer =
            Self { book, node, keep_days, sealer, seq: 0, file, moments: Moments::default(), newest, unkept: 0, writes: 0, failing: false, gone: None };
        writer.go_on(left);
        Ok(writer)
    }

    /// Goes on there; that lines are gone is told in the log now and with the next line in the audit.
    fn go_on(&mut self, Left { end, gone, .. }: Left) {
        if let Some(lines) = gone.filter(|_| gone != self.gone) {
            let folder = self.book.folder.display();
            tracing::error!(%folder, lines, next = end.seq.saturating_add(1), "lines of the audit are gone, or its `head` is missing or not ours (lines: 0, nobody can tell how many)");
        }
        (self.seq, self.sealer, self.gone) = (end.seq, Sealer::new(self.book.key.clone(), end.seal), gone);
    }

    pub(super) fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Writes until nobody can tell anything any more.
    pub(super) fn write_all(&mut self, slate: &Slate) {
        let mut batch = Vec::new();
        loop {
            match slate.next(&mut batch, REST) {
                Turn::Write { lost } => slate.lose(self.write(&batch, lost)),
                Turn::Rest => self.keep(),
                Turn::Over => return self.keep(),
            }
            if self.unkept >= UNKEPT_MAX || self.writes >= WRITES_MAX {
                self.keep();
            }
        }
    }

    /// Returns how many are lost by now.
    fn write(&mut self, batch: &[Ending], lost: u64) -> u64 {
        let Some(last) = batch.last() else { return lost };
        let at = last.at;
        match self.try_write(batch, lost, at) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the audit is written again");
                }
                self.newest.send_replace(self.seq);
                0
            }
            Err(error) => {
                metrics::audit_lost(batch.len());
                // The next begins anew: what is half written is behind the last whole line.
                self.file = None;
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, folder = %self.book.folder.display(), "the audit cannot be written: logins go on, their lines are lost and counted");
                }
                lost.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX))
            }
        }
    }

    fn try_write(&mut self, batch: &[Ending], lost: u64, at: Timestamp) -> io::Result<()> {
        if self.failing {
            // Where the disk broke off in the middle of a line, what it holds is read again.
            let left = self.book.left(self.seq)?;
            self.go_on(left);
        }
        let mut page = Vec::new();
        let (seq, prev) = (self.seq, self.sealer.prev().to_owned());
        let written = (|| {
            let full = self.file.as_ref().is_none_or(|(_, bytes)| *bytes >= self.book.file_bytes_max);
            if full {
                self.begin(at, &mut page)?;
            }
            if lost > 0 || self.gone.is_some() {
                self.line(at, Entry::Lost { lines: lost.saturating_add(self.gone.unwrap_or(0)) }, &mut page)?;
            }
            for ending in batch {
                self.login(ending, &mut page)?;
            }
            let (file, bytes) = self.file.as_mut().ok_or_else(|| io::Error::other("no file is open"))?;
            file.write_all(&page)?;
            *bytes = bytes.saturating_add(u64::try_from(page.len()).unwrap_or(u64::MAX));
            Ok(())
        })();
        if written.is_err() {
            (self.seq, self.sealer) = (seq, Sealer::new(self.book.key.clone(), prev));
        } else {
            self.unkept = self.unkept.saturating_add(batch.len());
            self.writes = self.writes.saturating_add(1);
            self.gone = None;
        }
        written
    }

    /// Begins the next file.
    fn begin(&mut self, at: Timestamp, page: &mut Vec<u8>) -> io::Result<()> {
        self.keep();
        let first = self.seq.saturating_add(1);
        self.file = Some((self.book.append(first, true)?, 0));
        let prev = self.sealer.prev().to_owned();
        self.line(at, Entry::Opened { version: env!("CARGO_PKG_VERSION"), prev: prev.as_str() }, page)?;
        self.prune(at);
        Ok(())
    }

    /// Takes files away whose last line is old. The chain of those that stay holds: each begins with the seal of the line before it.
    fn prune(&self, now: Timestamp) {
        if self.keep_days == 0 {
            return;
        }
        let keep_ms = u64::from(self.keep_days).saturating_mul(DAY_MS);
        let files = self.book.files().unwrap_or_default();
        for file in files.iter().rev().skip(1) {
            let path = self.book.path(*file);
            let modified = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            let age = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).and_then(|at| u64::try_from(at.as_millis()).ok());
            if age.is_some_and(|at| at.saturating_add(keep_ms) < now.0) {
                match fs::remove_file(&path) {
                    Ok(()) => tracing::info!(file = %path.display(), days = self.keep_days, "an old file of the audit was taken away (audit.keep)"),
                    Err(error) => tracing::warn!(file = %path.display(), %error, "an old file of the audit cannot be taken away"),
                }
            }
        }
    }

    fn login(&mut self, ending: &Ending, page: &mut Vec<u8>) -> io::Result<()> {
        let (trace, source) = (ending.trace.to_string(), ending.source.map(|source| source.to_string()));
        let asked = ending.asked.as_ref();
        let login = Login {
            trace: trace.as_str(),
            door: ending.door.as_str(),
            client: &ending.client,
            login: &ending.login,
            identity: ending.identity.as_ref().map(|identity| identity.0.as_str()),
            source: source.as_deref(),
            policy: &ending.policy,
            decision: ending.fate.as_str(),
            why: ending.why,
            detail: ending.detail,
            method: asked.map(|asked| asked.method.as_str()),
            provider: asked.map(|asked| &*asked.provider),
            result: ending.result(),
            first_ms: ending.first_ms(),
            second_ms: ending.second_ms(),
            ms: ending.ms,
            within_ms: ending.within_ms,
            repeats: ending.repeats,
            heard_ms: ending.heard_ms,
            steps: ending.steps.iter().map(|step| (step.ms, step.what.as_str())).collect(),
        };
        self.line(ending.at, Entry::Login(Box::new(login)), page)
    }

    fn line(&mut self, at: Timestamp, what: Entry<&str>, page: &mut Vec<u8>) -> io::Result<()> {
        let (seq, start) = (self.seq.saturating_add(1), page.len());
        let record = Record { seq, at: self.moments.written(at), node: &self.node, what };
        serde_json::to_writer(&mut *page, &record).map_err(io::Error::other)?;
        self.sealer.close(page, start).ok_or_else(|| io::Error::other("no seal can be made"))?;
        self.seq = seq;
        Ok(())
    }

    /// Has the disk keep what was written, and writes down how far that goes.
    fn keep(&mut self) {
        let Some((file, _)) = self.file.as_ref().filter(|_| self.unkept > 0) else { return };
        let end = End { seq: self.seq, seal: self.sealer.prev().to_owned() };
        match file.sync_data().and_then(|()| self.book.put_head(&end)) {
            Ok(()) => (self.unkept, self.writes) = (0, 0),
            Err(error) => tracing::error!(%error, "the disk does not keep the audit"),
        }
    }
}

/// The last second, and how it is written: most lines are of the same one.
#[derive(Default)]
struct Moments {
    second: Option<i64>,
    text: String,
}

impl Moments {
    /// RFC 3339 in UTC, to the millisecond.
    fn written(&mut self, at: Timestamp) -> &str {
        let second = i64::try_from(at.0 / 1_000).ok();
        if self.text.is_empty() || second != self.second {
            let exact = second.and_then(|second| jiff::Timestamp::from_second(second).ok()).unwrap_or(jiff::Timestamp::MAX);
            (self.text, self.second) = (exact.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(), second);
        }
        self.text.truncate(self.text.len().saturating_sub("000Z".len()));
        let ms = at.0 % 1_000;
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            self.text.extend(u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)));
        }
        self.text.push('Z');
        &self.text
    }
}
