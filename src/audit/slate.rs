//! What was told and is not yet written: whoever tells waits for nobody, lines gather for the writer, and whoever reads has it hurry.

use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use crate::domain::Ending;

/// Logins told and not yet written, at most. What comes beyond them is counted, and that is told in a line.
const WAITING_MAX: usize = 16_384;
/// For how long lines gather: a wake and a write for every one would cost more than the login.
const GATHER: Duration = Duration::from_millis(20);
/// Places for lines that are kept when there are none.
const KEPT_MAX: usize = 1_024;
/// How long a reader waits for what was told before. A disk that takes nothing must not keep others from reading.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);

/// Between those who tell, the one who writes, and those who read.
#[derive(Debug, Default)]
pub(super) struct Slate {
    lines: Mutex<Lines>,
    /// There is something to write, or to hurry for, or nothing will come any more.
    come: Condvar,
    /// More of it is written.
    settled: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<Ending>,
    /// Not told in a line yet.
    lost: u64,
    /// The writer has nothing to do and must be woken.
    is_idle: bool,
    /// How many were told, and how many of them the writer has done with.
    told: u64,
    written: u64,
    /// Readers who wait.
    hurried: usize,
    is_closed: bool,
}

/// What the writer is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Write these. So many were lost before them.
    Write {
        /// Lines that never came here.
        lost: u64,
    },
    /// Nothing came for as long as it was ready to wait.
    Rest,
    /// Nothing will come any more.
    Over,
}

impl Slate {
    /// One more to write. Waits for nobody.
    pub(super) fn tell(&self, ending: Ending) {
        let mut lines = self.lines();
        if lines.is_closed || lines.waiting.len() >= WAITING_MAX {
            lines.lost = lines.lost.saturating_add(1);
            return;
        }
        lines.told = lines.told.saturating_add(1);
        lines.waiting.push(ending);
        if std::mem::take(&mut lines.is_idle) {
            drop(lines);
            self.come.notify_one();
        }
    }

    /// So many more are lost.
    pub(super) fn lose(&self, lost: u64) {
        let mut lines = self.lines();
        lines.lost = lines.lost.saturating_add(lost);
    }

    /// Nothing will come any more.
    pub(super) fn close(&self) {
        self.lines().is_closed = true;
        self.come.notify_one();
    }

    /// The writer's: `batch`, which is written, becomes what there is to write next. Lets lines gather first, and waits for one no longer than `rest`.
    pub(super) fn next(&self, batch: &mut Vec<Ending>, rest: Duration) -> Turn {
        let mut lines = self.lines();
        if !batch.is_empty() {
            lines.written = lines.written.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
            batch.clear();
            self.settled.notify_all();
            let has_time = |lines: &mut Lines| lines.hurried == 0 && !lines.is_closed;
            lines = self.come.wait_timeout_while(lines, GATHER, has_time).unwrap_or_else(PoisonError::into_inner).0;
        }
        if lines.waiting.is_empty() && !lines.is_closed {
            lines.is_idle = true;
            lines = self.come.wait_timeout_while(lines, rest, |lines| lines.is_idle && !lines.is_closed).unwrap_or_else(PoisonError::into_inner).0;
            lines.is_idle = false;
        }
        if lines.waiting.is_empty() {
            return if lines.is_closed { Turn::Over } else { Turn::Rest };
        }
        std::mem::swap(batch, &mut lines.waiting);
        lines.waiting.shrink_to(KEPT_MAX);
        Turn::Write { lost: std::mem::take(&mut lines.lost) }
    }

    /// A reader's: waits until what was told before is written.
    pub(super) fn settle(&self) {
        let mut lines = self.lines();
        let told = lines.told;
        lines.hurried = lines.hurried.saturating_add(1);
        self.come.notify_one();
        let mut lines = self.settled.wait_timeout_while(lines, SETTLED_WITHIN, |lines| lines.written < told).unwrap_or_else(PoisonError::into_inner).0;
        lines.hurried = lines.hurried.saturating_sub(1);
    }

    /// How many were told and are not yet written.
    pub(super) fn waiting(&self) -> u64 {
        let lines = self.lines();
        lines.told.saturating_sub(lines.written)
    }

    #[cfg(test)]
    pub(super) fn lost(&self) -> u64 {
        self.lines().lost
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
