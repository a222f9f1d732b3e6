//! A connection that asks one question at a time: it binds, and reads what the bind proves.
//!
//! It is used by one login at once, and handed on to the next only after answers that leave no doubt (RFC 4513 §4: a bind makes the connection anonymous before
//! it makes it anybody's).

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Waker;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;

use crate::ports::Stream;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Question;
use crate::wire::ldap::bind_request;

use super::quota::PDU_BYTES_MAX;
use super::quota::Quota;
use super::quota::Violation;
use super::search::Answer;
use super::search::Collecting;
use super::search::Found;
use super::session::Broken;
use super::session::Password;

/// A connection of one question at a time. Dropping it closes it.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    /// What came and is not taken yet; empty between questions.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    last_id: u32,
}

impl Line {
    /// Over a fresh, unbound connection.
    pub(super) fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, inbox: Vec::with_capacity(INBOX), outbox: Vec::with_capacity(OUTBOX), last_id: 0 }
    }

    /// The connection alone. Only between questions.
    pub(super) fn into_stream(self) -> Box<dyn Stream> {
        self.stream
    }

    /// Binds. The password is sent once, whatever happens.
    pub(super) async fn bind(&mut self, name: &str, password: &Password) -> Result<Answer, Broken> {
        let id = self.next_id()?;
        let request = bind_request(id, name, password.text().as_bytes());
        self.stream.write_all(&request).await.map_err(Broken::Lost)?;
        self.stream.flush().await.map_err(Broken::Lost)?;
        drop(request);
        let mut quota = Quota::default();
        self.answered(id, move |frame| {
            quota.take(frame)?;
            if frame.op == BIND_RESPONSE { Answer::read(frame).map(Some) } else { Err(Violation::Kind(frame.op)) }
        })
        .await
    }

    /// Searches.
    pub(super) async fn search(&mut self, question: &Question<'_>) -> Result<(Vec<Found>, Answer), Broken> {
        let id = self.next_id()?;
        self.outbox.clear();
        question.write(id, &mut self.outbox);
        self.stream.write_all(&self.outbox).await.map_err(Broken::Lost)?;
        self.stream.flush().await.map_err(Broken::Lost)?;
        let mut collecting = Collecting::default();
        self.answered(id, move |frame| collecting.take(frame)).await
    }

    /// Whether nothing came that nobody asked for, the end of the connection least of all, as far as one can tell without asking.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut nothing = Context::from_waker(Waker::noop());
        self.inbox.is_empty() && Pin::new(&mut self.stream).poll_read(&mut nothing, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// For a question that is asked now: whatever came before it is no answer to it.
    fn next_id(&mut self) -> Result<u32, Broken> {
        if !self.inbox.is_empty() {
            return Err(Violation::Flood.into());
        }
        self.last_id = self.last_id.checked_add(1).filter(|id| *id <= ID_MAX).ok_or_else(|| Broken::Lost(io::ErrorKind::QuotaExceeded.into()))?;
        Ok(self.last_id)
    }

    /// Gives `take` each message with this id until it says that it has what it wants. A message with another id ends it.
    async fn answered<T>(&mut self, id: u32, mut take: impl FnMut(&Frame<'_>) -> Result<Option<T>, Violation>) -> Result<T, Broken> {
        loop {
            let mut at = 0_usize;
            while let Some(frame) = Frame::split(self.inbox.get(at..).unwrap_or_default(), PDU_BYTES_MAX).map_err(Violation::from)? {
                // The server says goodbye (RFC 4511 §4.4.1).
                if frame.id == 0 {
                    return Err(Broken::Lost(io::ErrorKind::ConnectionAborted.into()));
                }
                if frame.id != id {
                    return Err(Violation::Unasked(frame.id).into());
                }
                at = at.saturating_add(frame.bytes.len());
                if let Some(taken) = take(&frame)? {
                    self.inbox.drain(..at);
                    self.inbox.shrink_to(INBOX_KEPT);
                    return Ok(taken);
                }
            }
            self.inbox.drain(..at);
            self.inbox.reserve(INBOX);
            if self.stream.read_buf(&mut self.inbox).await.map_err(Broken::Lost)? == 0 {
                return Err(Broken::Lost(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

/// The highest message id (RFC 4511 §4.1.1.1).
pub(super) const ID_MAX: u32 = 0x7fff_ffff;
const BIND_RESPONSE: u8 = 0x61;
/// Room for an ordinary answer.
const INBOX: usize = 1_024;
/// Room that is kept after a long one.
const INBOX_KEPT: usize = 16_384;
const OUTBOX: usize = 256;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;
    use tokio::io::duplex;
    use tokio::time::timeout;

    use super::*;
    use crate::domain::Secret;
    use crate::wire::ldap;
    use crate::wire::ldap::Code;
    use crate::wire::ldap::Op;

    fn line() -> (Line, DuplexStream) {
        let (ours, theirs) = duplex(65_536);
        (Line::over(Box::new(ours)), theirs)
    }

    async fn bind(line: &mut Line) -> Result<Answer, Broken> {
        line.bind("CN=alice", &Password::of(&Secret::from("Passw0rd!")).unwrap()).await
    }

    #[tokio::test]
    async fn what_came_before_a_question_is_no_answer_to_it() {
        let (mut line, mut server) = line();
        assert!(line.is_quiet());
        server
            .write_all(&[ldap::answer(Op::Bind, 1, Code::InvalidCredentials, "data 52e"), ldap::answer(Op::Bind, 2, Code::Success, "")].concat())
            .await
            .unwrap();
        assert!(!line.is_quiet());
        let (mut line, mut server) = self::line();
        server
            .write_all(&[ldap::answer(Op::Bind, 1, Code::InvalidCredentials, "data 52e"), ldap::answer(Op::Bind, 2, Code::Success, "")].concat())
            .await
            .unwrap();
        assert_eq!(bind(&mut line).await.unwrap(), Answer { code: 49, text: "data 52e".to_owned() });
        assert!(!line.is_quiet());
        assert!(matches!(bind(&mut line).await, Err(Broken::Violation(Violation::Flood))));
    }

    #[tokio::test]
    async fn a_goodbye_an_end_and_a_strange_id_end_a_question() {
        let goodbye = ldap::notice(Code::Unavailable, "shutting down");
        for (bytes, is_lost) in [(goodbye, true), (Vec::new(), true), (ldap::answer(Op::Bind, 2, Code::Success, ""), false), (vec![0x16, 0x03], false)] {
            let (mut line, mut server) = line();
            server.write_all(&bytes).await.unwrap();
            server.shutdown().await.unwrap();
            match bind(&mut line).await {
                Err(Broken::Lost(_)) => assert!(is_lost, "{bytes:02x?}"),
                Err(Broken::Violation(_)) => assert!(!is_lost, "{bytes:02x?}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_pieces_is_an_answer_at_its_last_byte() {
        let (mut line, mut server) = line();
        let answer = ldap::answer(Op::Bind, 1, Code::Success, "");
        let (last, front) = answer.split_last().unwrap();
        server.write_all(front).await.unwrap();
        let mut asking = Box::pin(bind(&mut line));
        assert!(timeout(Duration::from_secs(1), &mut asking).await.is_err());
        server.write_all(&[*last]).await.unwrap();
        assert_eq!(asking.await.unwrap().code, 0);
        assert!(line.is_quiet());
    }
}
