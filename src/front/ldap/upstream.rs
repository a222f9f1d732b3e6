//! The server behind one client: its own connection, and the questions we ask on it before the client's go through (L-080).

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::timeout;

use super::side::Side;
use crate::domain::Outage;
use crate::domain::PrimaryError;
use crate::ports::Directory;
use crate::wire::ldap::Entry;
use crate::wire::ldap::Frame;
use crate::wire::ldap::LdapResult;
use crate::wire::ldap::read_request;

/// How long a directory may take for one step of ours: a connection, a bind, what we ask at once.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// busy, unavailable.
const AWAY: [u32; 2] = [51, 52];
/// Bytes of an answer that is for us: the root DSE, a person's own entry, the result of a bind. Read into pieces they are several times as many.
pub(super) const OWN_ANSWER_MAX: usize = 262_144;
/// Controls of a directory that we remember.
const CONTROLS_MAX: usize = 1_000;
/// How long after a bind the next one may go out on the same connection.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Frames that may answer one base search: an entry, references, the result.
const FRAMES_MAX: usize = 16;

/// An open connection to a directory server. It lives in a box: it goes from hand to hand, and most of the hands are empty.
#[derive(Debug)]
pub(super) struct Upstream {
    /// The connection.
    pub(super) side: Side,
    /// Through which directory of the configuration ..
    pub(super) home: Arc<dyn Directory>,
    /// .. and which one behind it, by name.
    pub(super) realm: String,
    /// Which of the directory's servers it is to.
    pub(super) server: usize,
    /// The controls it knows, dotted.
    pub(super) controls: Arc<HashSet<Vec<u8>>>,
    /// Something was abandoned on it, so that an answer may still come, or done that the directory may keep something of.
    pub(super) owes: bool,
    /// When it was opened, or bound last.
    pub(super) bound_at: Instant,
}

impl Upstream {
    /// A connection nobody is bound on.
    pub(super) async fn open(directory: &Arc<dyn Directory>, pdu_max: usize) -> Result<Box<Self>, PrimaryError> {
        let mut upstream = Self::connect(directory, directory.as_ref()).await?;
        let [root] =
            read(&mut upstream.side, [("", &["supportedControl"])], pdu_max).await.map_err(|error| away(directory.as_ref(), upstream.server, &error))?;
        upstream.controls = root.map(|root| controls(&root)).unwrap_or_default();
        Ok(upstream)
    }

    /// The same, nothing asked yet.
    pub(super) async fn connect(home: &Arc<dyn Directory>, directory: &dyn Directory) -> Result<Box<Self>, PrimaryError> {
        let connected = timeout(ANSWER_WITHIN, directory.connect()).await.map_err(|_| PrimaryError::Outage(Outage::Directory))??;
        let (side, home, realm) = (Side::new(connected.stream), Arc::clone(home), directory.name().to_owned());
        Ok(Box::new(Self { side, home, realm, server: connected.server, controls: Arc::default(), owes: false, bound_at: Instant::now() }))
    }

    /// Whether the next bind of the same client may go out on it: what comes next is the answer to that and to nothing else. One that nobody used for long may
    /// be dead without our knowing, and a password that goes there is lost.
    pub(super) async fn may_bind(&mut self, home: &Arc<dyn Directory>, directory: &dyn Directory) -> bool {
        let is_ours = Arc::ptr_eq(&self.home, home) && self.realm == directory.name();
        is_ours && !self.owes && self.bound_at.elapsed() < KEPT_FOR && self.side.is_quiet().await
    }
}

/// Sends a question of ours and waits for the next frame.
pub(super) async fn ask(side: &mut Side, question: &[u8], pdu_max: usize) -> io::Result<Vec<u8>> {
    side.put(question);
    timeout(ANSWER_WITHIN, next(side, pdu_max)).await?
}

/// Reads attributes of objects, all asked for at once, nothing else being under way; `None` where one is not there or not ours to see. However many frames the
/// answers have, together they have the time of one.
pub(super) async fn read<const N: usize>(side: &mut Side, questions: [(&str, &[&str]); N], pdu_max: usize) -> io::Result<[Option<Entry>; N]> {
    timeout(ANSWER_WITHIN, read_all(side, questions, pdu_max)).await?
}

async fn read_all<const N: usize>(side: &mut Side, questions: [(&str, &[&str]); N], pdu_max: usize) -> io::Result<[Option<Entry>; N]> {
    for (id, (dn, attributes)) in (1..).zip(questions) {
        side.put(&read_request(id, dn, attributes));
    }
    let mut found = [const { None }; N];
    let mut open = [true; N];
    for _ in 0..FRAMES_MAX.saturating_mul(N) {
        let bytes = next(side, pdu_max).await?;
        let frame = whole(&bytes)?;
        let at = usize::try_from(frame.id).ok().and_then(|id| id.checked_sub(1)).ok_or(io::ErrorKind::InvalidData)?;
        let (Some(found_one), Some(open_one)) = (found.get_mut(at), open.get_mut(at)) else { break };
        match frame.op {
            0x64 if *open_one && found_one.is_none() => *found_one = Some(frame.entry().ok_or(io::ErrorKind::InvalidData)?),
            0x65 if *open_one => {
                well(&frame)?;
                *open_one = false;
            }
            0x73 if *open_one => {}
            _ => break,
        }
        if open == [false; N] {
            return Ok(found);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The frame in bytes that were cut out as one.
pub(super) fn whole(bytes: &[u8]) -> io::Result<Frame<'_>> {
    Frame::split(bytes, bytes.len()).ok().flatten().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The controls that a root DSE tells of, each once (RFC 4512 §2.2). Thousands of connections to the same few servers share them.
pub(super) fn controls(root: &Entry) -> Arc<HashSet<Vec<u8>>> {
    static LAST: Mutex<Option<Arc<HashSet<Vec<u8>>>>> = Mutex::new(None);
    let told = || root.values("supportedControl").take(CONTROLS_MAX);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some(known) if told().count() == known.len() && told().all(|control| known.contains(control)) => Arc::clone(known),
        _ => {
            let known = Arc::new(told().map(<[u8]>::to_vec).collect());
            Arc::clone(last.insert(known))
        }
    }
}

/// The result of a server that is well, whatever it says.
pub(super) fn well<'a>(frame: &Frame<'a>) -> io::Result<LdapResult<'a>> {
    let result = frame.result().map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))?;
    if AWAY.contains(&result.code) { Err(io::Error::other(format!("the server is busy or unavailable (code {})", result.code))) } else { Ok(result) }
}

/// The server did not answer as a directory does: the next connection goes to another. It is the directory that tells of it, once.
pub(super) fn away(directory: &dyn Directory, server: usize, error: &io::Error) -> PrimaryError {
    directory.broke(server, error);
    PrimaryError::Outage(Outage::Directory)
}

async fn next(side: &mut Side, pdu_max: usize) -> io::Result<Vec<u8>> {
    side.next_frame(pdu_max.min(OWN_ANSWER_MAX)).await
}
