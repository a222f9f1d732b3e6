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
use tokio::time::timeout;
use zeroize::Zeroize;

use crate::ports::Stream;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Refusal;

/// Bytes waiting to go out above which nothing more is put behind them.
const OUT_MAX: usize = 65_536;
/// Bytes read at once.
const CHUNK_LEN: usize = 16_384;
/// Memory a side keeps when it has nothing to do.
const IDLE_LEN: usize = 65_536;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// A client, or the server behind it. Everything about it is in it, so that a wait for it can be given up at any time.
#[derive(Debug)]
pub(super) struct Side {
    stream: Box<dyn Stream>,
    inbox: Inbox,
    outbox: Vec<u8>,
    /// How much of `outbox` is gone.
    gone: usize,
    unflushed: bool,
    ended: bool,
}

impl Side {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: Inbox::default(), outbox: Vec::new(), gone: 0, unflushed: false, ended: false }
    }

    /// Gives the stream back, to be wrapped into TLS; `None` when bytes are still owed either way.
    pub(super) fn into_stream(self) -> Option<Box<dyn Stream>> {
        (self.inbox.unread().is_empty() && self.outbox.is_empty() && !self.unflushed).then_some(self.stream)
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
        self.outbox.extend_from_slice(bytes);
    }

    /// Whether more may be put.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.len().saturating_sub(self.gone) < OUT_MAX
    }

    /// Whether the other end has said that nothing more comes.
    pub(super) fn ended(&self) -> bool {
        self.ended
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
        while !self.outbox.is_empty() || self.unflushed {
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

    fn poll_moved(&mut self, cx: &mut Context<'_>, read: bool) -> Poll<io::Result<()>> {
        let wrote = self.poll_write(cx)?.is_ready();
        let read = read && !self.ended && self.poll_read(cx)?.is_ready();
        if wrote || read { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Ready when anything went out.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut moved = false;
        while let Some(owed) = self.outbox.get(self.gone..).filter(|owed| !owed.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(cx, owed)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(len) => {
                    self.gone = self.gone.saturating_add(len);
                    self.unflushed = true;
                    moved = true;
                }
                Poll::Pending => break,
            }
        }
        if self.gone == self.outbox.len() {
            self.outbox.clear();
            self.outbox.shrink_to(IDLE_LEN);
            self.gone = 0;
            if self.unflushed && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
                self.unflushed = false;
                moved = true;
            }
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
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

/// Bytes that came in, those taken still in front until it pays to move the rest.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
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

    /// Has `read` fill some space behind what is there.
    fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        let there = self.bytes.len();
        self.bytes.resize(there.saturating_add(CHUNK_LEN), 0);
        let outcome = read(self.bytes.get_mut(there..).unwrap_or_default());
        let len = if let Poll::Ready(Ok(len)) = outcome { len } else { 0 };
        self.bytes.truncate(there.saturating_add(len));
        outcome
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
