//! Who waits for which Identifier of one socket or connection: none is used twice before its answer, or its timeout and a quarantine.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::wire::radius::Refusal;

use super::Answer;

/// The bytes of a request. In RADIUS/1.1 a password stands in them as it is.
pub(super) type Sent = Arc<Zeroizing<Vec<u8>>>;

/// The 256 Identifiers of one socket or connection.
#[derive(Debug)]
pub(super) struct Board(Mutex<Table>);

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    /// Free ones, the longest unused first.
    free: VecDeque<u8>,
    /// Those whose request nobody answered, and until when they rest.
    resting: VecDeque<(Instant, u8)>,
    /// The lowest that ordinary requests may use.
    first: u8,
    /// How long one rests; `None`: for ever.
    rest: Option<Duration>,
    used_at: Instant,
    closed: bool,
}

enum Slot {
    Free,
    /// Its request was never answered, and it is used no more.
    Spent,
    /// Somebody is about to send.
    Reserved,
    /// Somebody has sent and waits.
    Waiting {
        sent: Sent,
        wake: oneshot::Sender<Answer>,
    },
}

/// Without what was sent: behind TLS a password stands in it.
impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Free => "Free",
            Self::Spent => "Spent",
            Self::Reserved => "Reserved",
            Self::Waiting { .. } => "Waiting(..)",
        })
    }
}

/// One Identifier, ours until dropped. Dropped without an answer it rests for a while.
pub(super) struct Lease {
    board: Arc<Board>,
    identifier: u8,
    sent: Option<Sent>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// Why bytes that arrived woke nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stray {
    /// Nobody waits for that Identifier: late, unsolicited, or told twice.
    Unexpected,
    /// Not from who knows the secret, or no reply at all.
    Forged(Refusal),
}

impl Board {
    /// Identifiers from `first` on are for ordinary requests; those below are taken by name alone.
    pub(super) fn new(first: u8, now: Instant) -> Arc<Self> {
        Self::resting(first, Some(QUARANTINE), now)
    }

    /// The same, where an Identifier whose request was never answered is not used again: its late reply could only be taken for a forged one.
    pub(super) fn once(first: u8, now: Instant) -> Arc<Self> {
        Self::resting(first, None, now)
    }

    fn resting(first: u8, rest: Option<Duration>, now: Instant) -> Arc<Self> {
        let slots = std::iter::repeat_with(|| Slot::Free).take(256).collect();
        Arc::new(Self(Mutex::new(Table { slots, free: (first..=u8::MAX).collect(), resting: VecDeque::new(), first, rest, used_at: now, closed: false })))
    }

    /// The Identifier that was not used for longest; `None` when all are in flight or resting, or the connection has closed.
    pub(super) fn lease(self: &Arc<Self>, now: Instant) -> Option<Lease> {
        let mut table = self.table();
        while let Some(identifier) = table.resting.pop_front_if(|(until, _)| *until <= now).map(|(_, identifier)| identifier) {
            table.free.push_back(identifier);
        }
        if table.closed {
            return None;
        }
        let identifier = table.free.pop_front()?;
        table.used_at = now;
        *table.slots.get_mut(usize::from(identifier))? = Slot::Reserved;
        Some(Lease { board: Arc::clone(self), identifier, sent: None })
    }

    /// This very Identifier, one below `first`; `None` when it is in flight.
    pub(super) fn lease_named(self: &Arc<Self>, identifier: u8) -> Option<Lease> {
        let mut table = self.table();
        if table.closed {
            return None;
        }
        let slot = table.slots.get_mut(usize::from(identifier)).filter(|slot| matches!(slot, Slot::Free))?;
        *slot = Slot::Reserved;
        Some(Lease { board: Arc::clone(self), identifier, sent: None })
    }

    /// Wakes who waits for this Identifier, if `judge` finds that the authentic reply to what was sent is there. Else nothing is touched.
    pub(super) fn deliver(&self, identifier: u8, judge: impl FnOnce(&[u8]) -> Result<Answer, Refusal>) -> Result<(), Stray> {
        let sent = match self.table().slots.get(usize::from(identifier)) {
            Some(Slot::Waiting { sent, .. }) => Arc::clone(sent),
            _ => return Err(Stray::Unexpected),
        };
        let answer = judge(&sent).map_err(Stray::Forged)?;
        let wake = self.table().answered(identifier, &sent).ok_or(Stray::Unexpected)?;
        // Who asked may have gone in this very moment.
        let _gone = wake.send(answer);
        Ok(())
    }

    /// Nothing comes any more: all who wait are told, and nobody begins to.
    pub(super) fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        table.slots.fill_with(|| Slot::Free);
    }

    /// Whether [`Board::close`] was called.
    pub(super) fn is_closed(&self) -> bool {
        self.table().closed
    }

    /// Whether nobody waits, and nobody has begun to since `moment`.
    pub(super) fn is_idle_since(&self, moment: Instant) -> bool {
        let table = self.table();
        table.used_at <= moment && table.waits_for_nobody()
    }

    /// Whether no Identifier is left, nor will be, and nobody waits.
    pub(super) fn is_spent(&self) -> bool {
        let table = self.table();
        table.free.is_empty() && table.resting.is_empty() && table.waits_for_nobody()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn waits_for_nobody(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Free | Slot::Spent))
    }

    /// Takes out who waits for the answer to `sent`; the Identifier is free at once.
    fn answered(&mut self, identifier: u8, asked: &Sent) -> Option<oneshot::Sender<Answer>> {
        let slot = self.slots.get_mut(usize::from(identifier))?;
        match std::mem::replace(slot, Slot::Free) {
            Slot::Waiting { sent, wake } if Arc::ptr_eq(&sent, asked) => {
                if identifier >= self.first {
                    self.free.push_back(identifier);
                }
                Some(wake)
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// The one who leased it is gone.
    fn returned(&mut self, identifier: u8, asked: Option<&Sent>) {
        let Some(slot) = self.slots.get_mut(usize::from(identifier)) else { return };
        let rests = match (&*slot, asked) {
            (Slot::Reserved, None) => false,
            (Slot::Waiting { sent, .. }, Some(asked)) if Arc::ptr_eq(sent, asked) => true,
            // Answered, and perhaps somebody else's by now; or closed.
            _ => return,
        };
        *slot = if rests && self.rest.is_none() { Slot::Spent } else { Slot::Free };
        if identifier < self.first {
            return;
        }
        match self.rest {
            // The server may still be at it, and would take another request of this Identifier for the end of the first.
            Some(rest) if rests => self.resting.push_back((Instant::now() + rest, identifier)),
            None if rests => {}
            _ => self.free.push_back(identifier),
        }
    }
}

impl Lease {
    pub(super) fn identifier(&self) -> u8 {
        self.identifier
    }

    /// From now on the answer to `sent` is waited for.
    pub(super) fn expect(&mut self, sent: &Sent) -> oneshot::Receiver<Answer> {
        let (wake, answer) = oneshot::channel();
        let mut table = self.board.table();
        // After a close the sender is dropped here, which is what the others were told too.
        if !table.closed
            && let Some(slot) = table.slots.get_mut(usize::from(self.identifier))
        {
            *slot = Slot::Waiting { sent: Arc::clone(sent), wake };
        }
        drop(table);
        self.sent = Some(Arc::clone(sent));
        answer
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.board.table().returned(self.identifier, self.sent.as_ref());
    }
}

/// How long an Identifier rests whose request was never answered.
const QUARANTINE: Duration = Duration::from_secs(10);
