//! One side of a connection: a stream with what came in and is not read yet, and what must go out and is not gone yet. Both bounded.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::time::Instant;
use tokio::time::timeout;
use zeroize::Zeroize;

use crate::ports::Stream;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Refusal;

/// Bytes waiting to go out above which nothing more is put behind them.
const OUT_MAX: usize = 65_536;
/// Bytes read at once: few at first, for most connections never have more, then as many as keep coming.
const CHUNK_LEN_MIN: usize = 512;
const CHUNK_LEN_MAX: usize = 16_384;
/// Memory a side keeps when it has nothing to do.
const IDLE_LEN: usize = 65_536;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A client, or the server behind it. Everything about it is in it, so that a wait for it can be given up at any time.
#[derive(Debug)]
pub(super) struct Side {
    stream: Box<dyn Stream>,
    inbox: Inbox,
    outbox: Outbox,
    unflushed: bool,
    /// Since when nothing that is owed went out; `None` while nothing is owed.
    stuck_since: Option<Instant>,
    ended: bool,
}

impl Side {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: Inbox::default(), outbox: Outbox::default(), unflushed: false, stuck_since: None, ended: false }
    }

    /// Gives the stream back, to be wrapped into TLS; `None` when bytes are still owed either way.
    pub(super) fn into_stream(self) -> Option<Box<dyn Stream>> {
        (self.inbox.unread().is_empty() && self.outbox.owed().is_empty() && !self.unflushed).then_some(self.stream)
    }

    /// What came in and is not taken yet.
    pub(super) fn unread(&self) -> &[u8] {
        self.inbox.unread()
    }

    /// The first frame that is all there.
    pub(super) fn frame(&self, pdu_max: usize) -> Result<Option<Frame<'_>>, Refusal> {
        Frame::split(self.inbox.unread(), pdu_max)
    }

    /// Lets go of so many bytes.
    pub(super) fn take(&mut self, len: usize) {
        self.inbox.take(len, false);
    }

    /// Lets go of so many bytes, and wipes them: they held a password.
    pub(super) fn wipe(&mut self, len: usize) {
        self.inbox.take(len, true);
    }

    /// Puts bytes behind those that wait to go out. The caller asks [`Side::has_room`] before it reads what it will put here.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.outbox.put(bytes);
        self.stuck_since.get_or_insert_with(Instant::now);
    }

    /// Gives back what memory it has no use for now: thousands of sides wait for a telephone at once.
    pub(super) fn rest(&mut self) {
        self.inbox.rest();
        self.outbox.rest();
    }

    /// Since when the other end has taken nothing of what it is owed; `None` while it is owed nothing.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// Whether more may be put.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.owed().len() < OUT_MAX
    }

    /// Whether the other end has said that nothing more comes.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing is under way in either direction, as far as the network tells now.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let silent = std::future::poll_fn(|cx| Poll::Ready(self.poll_read(cx).is_pending())).await;
        silent && !self.ended && !self.unflushed && self.inbox.unread().is_empty() && self.outbox.owed().is_empty()
    }

    /// Waits until something has moved: bytes out, and, where `read`, bytes in or the end. Never ready while there is nothing to do.
    ///
    /// # Errors
    /// The stream broke.
    pub(super) async fn moved(&mut self, read: bool) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_moved(cx, read)).await
    }

    /// Waits until all is gone.
    ///
    /// # Errors
    /// The stream broke.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.owed().is_empty() || self.unflushed {
            self.moved(false).await?;
        }
        Ok(())
    }

    /// Waits for the next whole frame, sending what is owed meanwhile, and hands it out as it came.
    ///
    /// # Errors
    /// The stream broke or ended, or what came is no frame.
    pub(super) async fn next_frame(&mut self, pdu_max: usize) -> io::Result<Vec<u8>> {
        loop {
            if let Some(frame) = self.frame(pdu_max).map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))? {
                let bytes = frame.bytes.to_vec();
                self.take(bytes.len());
                return Ok(bytes);
            }
            if self.ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.moved(true).await?;
        }
    }

    /// Sends what is owed and closes. What still comes in is read away for a moment: a close over unread bytes would take our last words back (TCP reset).
    pub(super) async fn farewell(mut self) {
        let last_words = async {
            self.flush().await?;
            std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await?;
            while !self.ended {
                let unread = self.unread().len();
                self.wipe(unread);
                self.moved(true).await?;
            }
            io::Result::Ok(())
        };
        // There is nobody left to tell about it.
        let _ = timeout(FAREWELL, last_words).await;
    }

    /// The same as [`Side::moved`], looked at once.
    ///
    /// # Errors
    /// The stream broke.
    pub(super) fn poll_moved(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<io::Result<()>> {
        let wrote = self.poll_write(cx)?.is_ready();
        let read = read && !self.ended && self.poll_read(cx)?.is_ready();
        if wrote || read { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ready when anything went out.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = false;
        while !self.outbox.owed().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, self.outbox.owed())? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(len) => {
                    self.outbox.sent(len);
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        if self.outbox.owed().is_empty() && self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
            moved = true;
        }
        if !moved {
            return Poll::Pending;
        }
        let owes = self.unflushed || !self.outbox.owed().is_empty();
        self.stuck_since = owes.then(Instant::now);
        Poll::Ready(Ok(()))
    }

    /// Ready when anything came in, the end among it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        let len = ready!(self.inbox.fill(|space| {
            let mut space = ReadBuf::new(space);
            Pin::new(stream).poll_read(cx, &mut space).map_ok(|()| space.filled().len())
        }))?;
        self.ended = len == 0;
        Poll::Ready(Ok(()))
    }
}

/// Makes room for `more` bytes. A vector that grows by itself leaves what it held behind in the memory it gives back.
fn make_room(bytes: &mut Vec<u8>, more: usize) {
    let len = bytes.len().saturating_add(more);
    if len > bytes.capacity() {
        let mut larger = Vec::with_capacity(len.max(bytes.capacity().saturating_mul(2)));
        larger.extend_from_slice(bytes);
        bytes.zeroize();
        *bytes = larger;
    }
}

/// Bytes that must go out; wiped as soon as they are gone, for a bind's hold a password.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    gone: usize,
}

impl Outbox {
    fn owed(&self) -> &[u8] {
        self.bytes.get(self.gone..).unwrap_or_default()
    }

    /// All of it was wiped when it went out.
    fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        make_room(&mut self.bytes, bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// So many of those owed are gone.
    fn sent(&mut self, len: usize) {
        let until = self.gone.saturating_add(len).min(self.bytes.len());
        if let Some(sent) = self.bytes.get_mut(self.gone..until) {
            sent.zeroize();
        }
        self.gone = until;
        if self.gone == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_LEN);
            self.gone = 0;
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("owed_len", &self.owed().len()).finish_non_exhaustive()
    }
}

/// Bytes that came in, those taken still in front until it pays to move the rest.
struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
    chunk_len: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { bytes: Vec::new(), taken: 0, chunk_len: CHUNK_LEN_MIN }
    }
}

impl Inbox {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, len: usize, wipe: bool) {
        let until = self.taken.saturating_add(len).min(self.bytes.len());
        if wipe && let Some(read) = self.bytes.get_mut(self.taken..until) {
            read.zeroize();
        }
        self.taken = until;
        if self.taken == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(IDLE_LEN);
            self.taken = 0;
        }
    }

    /// How much came at once last is remembered: as much may come again.
    fn rest(&mut self) {
        if self.unread().is_empty() {
            self.bytes.zeroize();
            self.bytes = Vec::new();
            self.taken = 0;
        }
    }

    /// Has `read` fill some space behind what is there.
    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.copy_within(self.taken.., 0);
            let unread_len = self.bytes.len().saturating_sub(self.taken);
            self.cut(unread_len);
            self.taken = 0;
        }
        let there = self.bytes.len();
        make_room(&mut self.bytes, self.chunk_len);
        self.bytes.resize(there.saturating_add(self.chunk_len), 0);
        let outcome = read(self.bytes.get_mut(there..).unwrap_or_default());
        let len = if let Poll::Ready(Ok(len)) = outcome { len } else { 0 };
        self.bytes.truncate(there.saturating_add(len));
        if self.bytes.is_empty() && outcome.is_pending() && self.bytes.capacity() <= self.chunk_len {
            // All of it was zeroed just now and nothing was written: it can go unwiped while nothing comes.
            self.bytes = Vec::new();
        }
        if len == self.chunk_len {
            self.chunk_len = self.chunk_len.saturating_mul(2).min(CHUNK_LEN_MAX);
        }
        outcome
    }

    /// Wipes all behind the first `len` bytes and forgets it.
    fn cut(&mut self, len: usize) {
        if let Some(behind) = self.bytes.get_mut(len..) {
            behind.zeroize();
        }
        self.bytes.truncate(len);
    }
}

/// What waits here may be a password.
impl Drop for Inbox {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("unread_len", &self.unread().len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_stay_in_what_has_been_sent() {
        let mut outbox = Outbox::default();
        outbox.put(b"binding with hunter2 and more");
        outbox.sent(20);
        assert_eq!(outbox.owed(), b" and more");
        assert_eq!(outbox.bytes[..20], [0; 20]);
        outbox.put(&[b'x'; 100_000]);
        assert_eq!((outbox.owed().len(), outbox.gone), (100_009, 20));
        outbox.sent(100_009);
        assert!(outbox.owed().is_empty() && outbox.bytes.capacity() <= IDLE_LEN);
        assert_eq!(format!("{outbox:?}"), "Outbox { owed_len: 0, .. }");
    }

    #[test]
    fn what_came_in_is_whole_however_it_is_moved() {
        let mut inbox = Inbox::default();
        let mut next = 0_u8;
        let mut expected = 0_u8;
        for _ in 0..200 {
            let filled = inbox.fill(|space| {
                for byte in space.iter_mut().take(9_000) {
                    *byte = next;
                    next = next.wrapping_add(1);
                }
                Poll::Ready(Ok(space.len().min(9_000)))
            });
            assert!(matches!(filled, Poll::Ready(Ok(512..))));
            let taken = inbox.unread().len().saturating_sub(250);
            for byte in inbox.unread().iter().take(taken) {
                assert_eq!(*byte, expected);
                expected = expected.wrapping_add(1);
            }
            inbox.take(taken, true);
            assert!(inbox.bytes[..inbox.taken].iter().all(|byte| *byte == 0), "what was taken is wiped");
        }
        assert_eq!(inbox.unread().len(), 250);
    }

    #[test]
    fn l_044_a_side_at_rest_holds_no_memory_and_one_that_is_owed_or_owes_all_of_it() {
        let mut inbox = Inbox::default();
        let mut outbox = Outbox::default();
        let _ = inbox.fill(|space| Poll::Ready(Ok(space.len())));
        outbox.put(b"question");
        inbox.take(500, false);
        inbox.rest();
        outbox.rest();
        assert_eq!((inbox.unread().len(), outbox.owed()), (12, &b"question"[..]));
        inbox.take(12, false);
        outbox.sent(8);
        inbox.rest();
        outbox.rest();
        assert_eq!((inbox.bytes.capacity(), inbox.taken, outbox.bytes.capacity()), (0, 0, 0));
        let _ = inbox.fill(|space| Poll::Ready(Ok(space.len())));
        assert_eq!(inbox.unread().len(), 1_024, "but knows how much came at once");
    }

    #[test]
    fn l_044_who_says_little_is_given_little_room() {
        let mut inbox = Inbox::default();
        for _ in 0..100 {
            let _ = inbox.fill(|space| Poll::Ready(Ok(space.len().min(300))));
            inbox.take(300, true);
        }
        assert!(inbox.bytes.capacity() <= 1_024, "{}", inbox.bytes.capacity());
        for _ in 0..10 {
            let _ = inbox.fill(|space| Poll::Ready(Ok(space.len())));
            inbox.take(usize::MAX, true);
        }
        assert!((CHUNK_LEN_MAX..=IDLE_LEN).contains(&inbox.bytes.capacity()), "{}", inbox.bytes.capacity());
    }
}
