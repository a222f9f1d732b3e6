//! A connection that carries many searches at once: one task writes what was asked meanwhile in one go, reads what came in one go, and hands each answer to
//! whoever asked, by message id (RFC 4511 §4.1.1.1).

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::select;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::task::yield_now;
use tracing::debug;
use tracing::error;

use crate::ports::Stream;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Question;

use super::line::ID_MAX;
use super::line::Line;
use super::quota::PDU_BYTES_MAX;
use super::quota::Violation;
use super::search::Answer;
use super::search::Collecting;
use super::search::Found;
use super::session::Broken;

/// A connection that carries many searches at once. The last one who lets go of it closes it.
#[derive(Debug)]
pub(super) struct Trunk {
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    desk: Mutex<Desk>,
    /// Something lies in the outbox.
    asked: Notify,
}

/// What the askers and the task have in common.
#[derive(Debug, Default)]
struct Desk {
    is_closed: bool,
    last_id: u32,
    outbox: Vec<u8>,
    waiting: HashMap<u32, Waiting>,
}

/// A search without its result. It stays here when nobody waits for it any more: its answers still come.
#[derive(Debug)]
struct Waiting {
    collecting: Collecting,
    tell: oneshot::Sender<(Vec<Found>, Answer)>,
}

impl Trunk {
    /// Over a line that is bound already. `server` is for the log.
    pub(super) fn over(line: Line, server: String) -> Self {
        let shared = Arc::new(Shared::default());
        let mut task = JoinSet::new();
        let (stream, closing) = (line.into_stream(), Closing(Arc::clone(&shared)));
        task.spawn(async move {
            match carry(stream, &closing.0).await {
                Ok(()) => {}
                Err(Violation::Io(why)) => debug!(server, error = %why, "connection to a directory server ended"),
                Err(why) => error!(server, error = %why, "a directory server sent what no directory sends: connection closed"),
            }
        });
        Self { shared, _task: task }
    }

    /// Searches, beside others. Nothing is taken back when this is given up.
    pub(super) async fn search(&self, question: &Question<'_>) -> Result<(Vec<Found>, Answer), Broken> {
        let lost = || Broken::Lost(io::ErrorKind::ConnectionAborted.into());
        let (tell, told) = oneshot::channel();
        {
            let mut desk = self.shared.desk();
            if desk.is_closed || desk.last_id == ID_MAX || desk.waiting.len() >= WAITING_MAX {
                return Err(lost());
            }
            desk.last_id = desk.last_id.saturating_add(1);
            let id = desk.last_id;
            question.write(id, &mut desk.outbox);
            desk.waiting.insert(id, Waiting { collecting: Collecting::default(), tell });
        }
        self.shared.asked.notify_one();
        told.await.map_err(|_| lost())
    }

    /// Whether it can be asked, as far as one can tell without asking.
    pub(super) fn is_open(&self) -> bool {
        let desk = self.shared.desk();
        !desk.is_closed && desk.last_id < ID_MAX && desk.waiting.len() < WAITING_MAX
    }

    /// How many searches have no result yet.
    pub(super) fn load(&self) -> usize {
        self.shared.desk().waiting.len()
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out what is whole; how many bytes that was, or `None` when the server says goodbye.
    fn deliver(&self, inbox: &[u8]) -> Result<Option<usize>, Violation> {
        let mut desk = self.desk();
        let mut at = 0_usize;
        while let Some(frame) = Frame::split(inbox.get(at..).unwrap_or_default(), PDU_BYTES_MAX)? {
            if frame.id == 0 {
                return Ok(None);
            }
            at = at.saturating_add(frame.bytes.len());
            let waiting = desk.waiting.get_mut(&frame.id).ok_or(Violation::Unasked(frame.id))?;
            if let Some(result) = waiting.collecting.take(&frame)?
                && let Some(waiting) = desk.waiting.remove(&frame.id)
            {
                // Whoever asked may have given up.
                let _ = waiting.tell.send(result);
            }
        }
        Ok(Some(at))
    }
}

/// When the task ends, however it does, nobody waits any longer.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut desk = self.0.desk();
        desk.is_closed = true;
        let waiting = std::mem::take(&mut desk.waiting);
        drop(desk);
        drop(waiting);
    }
}

/// Writes and reads until the connection ends.
async fn carry(mut stream: Box<dyn Stream>, shared: &Shared) -> Result<(), Violation> {
    let mut inbox = Vec::with_capacity(INBOX);
    let mut outbox = Vec::new();
    loop {
        select! {
            biased;
            count = stream.read_buf(&mut inbox) => {
                if count? == 0 {
                    return Ok(());
                }
                let Some(taken) = shared.deliver(&inbox)? else { return Ok(()) };
                inbox.drain(..taken);
                inbox.shrink_to(INBOX_KEPT);
                inbox.reserve(INBOX);
            }
            () = shared.asked.notified() => {
                // Others that are ready have their turn first, and what they ask goes with it.
                yield_now().await;
                std::mem::swap(&mut outbox, &mut shared.desk().outbox);
                stream.write_all(&outbox).await?;
                stream.flush().await?;
                outbox.clear();
                outbox.shrink_to(INBOX_KEPT);
            }
        }
    }
}

/// Searches that wait, those that everybody gave up on included.
const WAITING_MAX: usize = 1_024;
const INBOX: usize = 16_384;
/// Room that is kept after much was said at once.
const INBOX_KEPT: usize = 65_536;
