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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::*;
    use crate::wire::ldap;
    use crate::wire::ldap::Code;
    use crate::wire::ldap::Filter;
    use crate::wire::ldap::Op;
    use crate::wire::ldap::Scope;

    fn trunk() -> (Arc<Trunk>, DuplexStream) {
        let (ours, theirs) = duplex(1_000_000);
        (Arc::new(Trunk::over(Line::over(Box::new(ours)), "ldap://test".to_owned())), theirs)
    }

    /// Asks for a name, and tells which was found.
    async fn ask(trunk: Arc<Trunk>, name: String) -> Result<String, Broken> {
        let question =
            Question { base: Cow::Borrowed("DC=test"), scope: Scope::Subtree, filter: Filter::equal("uid", &name), attributes: &["uid"], count_max: 2 };
        let (found, _) = trunk.search(&question).await?;
        Ok(found.first().unwrap().dn.clone())
    }

    /// Reads that many requests: id, and the name that is asked for.
    async fn requests(server: &mut DuplexStream, count: usize) -> Vec<(u32, String)> {
        let (mut inbox, mut read) = (Vec::new(), Vec::new());
        while read.len() < count {
            assert!(server.read_buf(&mut inbox).await.unwrap() > 0);
            while let Some(frame) = Frame::split(&inbox, 100_000).unwrap() {
                let text = String::from_utf8_lossy(frame.bytes).into_owned();
                let name = text.split("uid-").nth(1).unwrap().split(';').next().unwrap().to_owned();
                read.push((frame.id, name));
                let len = frame.bytes.len();
                inbox.drain(..len);
            }
        }
        read
    }

    fn entry(id: u32, name: &str) -> Vec<u8> {
        ldap::entry(id, &ldap::Entry { dn: name.to_owned(), attributes: Vec::new() })
    }

    fn done(id: u32) -> Vec<u8> {
        ldap::answer(Op::Search, id, Code::Success, "")
    }

    fn name(number: usize) -> String {
        format!("uid-{number};")
    }

    #[tokio::test]
    async fn answers_out_of_order_and_mixed_reach_those_who_asked() {
        let (trunk, mut server) = trunk();
        let mut asked = JoinSet::new();
        for number in 0..100 {
            let trunk = Arc::clone(&trunk);
            asked.spawn(async move { (number, ask(trunk, name(number)).await.unwrap()) });
        }
        let requests = requests(&mut server, 100).await;
        for (id, name) in requests.iter().rev() {
            server.write_all(&entry(*id, name)).await.unwrap();
        }
        assert_eq!(trunk.load(), 100);
        // The last byte of each comes with the first ones of the next.
        for chunk in requests.iter().flat_map(|(id, _)| done(*id)).collect::<Vec<_>>().chunks(7) {
            server.write_all(chunk).await.unwrap();
        }
        for (number, found) in asked.join_all().await {
            assert_eq!(found, number.to_string());
        }
        assert_eq!(trunk.load(), 0);
    }

    #[tokio::test]
    async fn what_is_asked_together_goes_out_together() {
        let (trunk, mut server) = trunk();
        let mut asked = JoinSet::new();
        for number in 0..50 {
            asked.spawn(ask(Arc::clone(&trunk), name(number)));
        }
        let mut inbox = Vec::with_capacity(100_000);
        server.read_buf(&mut inbox).await.unwrap();
        let mut count = 0;
        while let Some(frame) = Frame::split(&inbox, 100_000).unwrap() {
            let len = frame.bytes.len();
            inbox.drain(..len);
            count += 1;
        }
        assert_eq!((count, inbox.len()), (50, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_is_nobodys_and_does_no_harm() {
        let (trunk, mut server) = trunk();
        assert!(timeout(Duration::from_secs(1), ask(Arc::clone(&trunk), name(1))).await.is_err());
        let late = requests(&mut server, 1).await;
        assert_eq!(trunk.load(), 1);
        let asked = tokio::spawn(ask(Arc::clone(&trunk), name(2)));
        let next = requests(&mut server, 1).await;
        server.write_all(&[entry(late[0].0, "late"), done(late[0].0), entry(next[0].0, "2"), done(next[0].0)].concat()).await.unwrap();
        assert_eq!(asked.await.unwrap().unwrap(), "2");
        assert_eq!((trunk.load(), trunk.is_open()), (0, true));
    }

    #[tokio::test]
    async fn whoever_waits_is_told_when_the_connection_ends_or_says_what_nobody_asked() {
        let twice: fn(u32) -> Vec<u8> = |id| [entry(id, "x"), done(id), done(id)].concat();
        let endings: [fn(u32) -> Vec<u8>; 6] = [
            |_| Vec::new(),
            |_| ldap::notice(Code::Unavailable, ""),
            |_| done(99),
            |id| ldap::answer(Op::Bind, id, Code::Success, ""),
            |id| entry(id, "x").repeat(65),
            |_| b"HTTP/1.1 400".to_vec(),
        ];
        for (at, ending) in endings.into_iter().enumerate() {
            let (trunk, mut server) = trunk();
            let asked: Vec<_> = (0..3).map(|number| tokio::spawn(ask(Arc::clone(&trunk), name(number)))).collect();
            let requests = requests(&mut server, 3).await;
            server.write_all(&ending(requests[0].0)).await.unwrap();
            server.shutdown().await.unwrap();
            for asked in asked {
                assert!(matches!(asked.await.unwrap(), Err(Broken::Lost(_))), "{at}");
            }
            assert!(!trunk.is_open() && matches!(ask(Arc::clone(&trunk), name(4)).await, Err(Broken::Lost(_))), "{at}");
        }
        let (trunk, mut server) = trunk();
        let asked = tokio::spawn(ask(Arc::clone(&trunk), name(0)));
        let id = requests(&mut server, 1).await[0].0;
        server.write_all(&twice(id)).await.unwrap();
        assert_eq!(asked.await.unwrap().unwrap(), "x");
        let mut rest = Vec::new();
        assert_eq!(server.read_to_end(&mut rest).await.unwrap(), 0);
        assert!(!trunk.is_open());
    }

    #[tokio::test]
    async fn the_connection_is_closed_when_nobody_holds_it() {
        let (trunk, mut server) = trunk();
        drop(trunk);
        assert_eq!(server.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_number() {
        let (trunk, _server) = trunk();
        let mut asked = JoinSet::new();
        for number in 0..WAITING_MAX {
            asked.spawn(ask(Arc::clone(&trunk), name(number)));
        }
        while trunk.load() < WAITING_MAX {
            yield_now().await;
        }
        assert!(!trunk.is_open() && matches!(ask(Arc::clone(&trunk), name(0)).await, Err(Broken::Lost(_))));
    }
}
