//! The server behind one client: its own connection, and the questions we ask on it before the client's go through (L-080).

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use tokio::time::timeout;

use super::side::Side;
use crate::domain::Outage;
use crate::domain::PrimaryError;
use crate::ports::Directory;
use crate::wire::ldap::Entry;
use crate::wire::ldap::Frame;
use crate::wire::ldap::LdapResult;
use crate::wire::ldap::read_request;

/// How long a directory may take for one step of ours.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// busy, unavailable.
const AWAY: [u32; 2] = [51, 52];
/// Bytes of an answer that is for us: the root DSE, a person's own entry, the result of a bind. Read into pieces they are several times as many.
pub(super) const OWN_ANSWER_MAX: usize = 262_144;
/// Controls of a directory that we remember.
const CONTROLS_MAX: usize = 1_000;
/// References that may come with the one entry of a base search.
const REFERENCES_MAX: usize = 16;
/// The id of our own questions. Each is answered before the next is asked, and before any request of the client's.
const OWN_ID: u32 = 1;

/// An open connection to a directory server.
#[derive(Debug)]
pub(super) struct Upstream {
    /// The connection.
    pub(super) side: Side,
    /// Which of the directory's servers it is to.
    pub(super) server: usize,
    /// The controls it knows, dotted.
    pub(super) controls: HashSet<Vec<u8>>,
}

impl Upstream {
    /// A connection nobody is bound on.
    pub(super) async fn open(directory: &dyn Directory, pdu_max: usize) -> Result<Self, PrimaryError> {
        let mut upstream = Self::connect(directory).await?;
        let read = read(&mut upstream.side, "", &["supportedControl"], pdu_max).await.map_err(|error| away(directory, upstream.server, &error))?;
        upstream.controls = read.map(|entry| controls(&entry)).unwrap_or_default();
        Ok(upstream)
    }

    /// The same, nothing asked yet.
    pub(super) async fn connect(directory: &dyn Directory) -> Result<Self, PrimaryError> {
        let connected = timeout(ANSWER_WITHIN, directory.connect()).await.map_err(|_| PrimaryError::Outage(Outage::Directory))??;
        Ok(Self { side: Side::new(connected.stream), server: connected.server, controls: HashSet::new() })
    }
}

/// Sends a question of ours and waits for the next frame.
pub(super) async fn ask(side: &mut Side, question: &[u8], pdu_max: usize) -> io::Result<Vec<u8>> {
    side.put(question);
    next(side, pdu_max).await
}

/// Reads attributes of one object; `None` where it is not there or not ours to see.
pub(super) async fn read(side: &mut Side, dn: &str, attributes: &[&str], pdu_max: usize) -> io::Result<Option<Entry>> {
    side.put(&read_request(OWN_ID, dn, attributes));
    let mut found = None;
    for _ in 0..REFERENCES_MAX {
        let bytes = next(side, pdu_max).await?;
        let frame = whole(&bytes)?;
        match (frame.id, frame.op) {
            (OWN_ID, 0x64) if found.is_none() => found = Some(frame.entry().ok_or(io::ErrorKind::InvalidData)?),
            (OWN_ID, 0x65) => return well(&frame).map(|_| found),
            (OWN_ID, 0x73) => {}
            _ => break,
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// The frame in bytes that were cut out as one.
pub(super) fn whole(bytes: &[u8]) -> io::Result<Frame<'_>> {
    Frame::split(bytes, bytes.len()).ok().flatten().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The controls that a root DSE tells of.
pub(super) fn controls(root: &Entry) -> HashSet<Vec<u8>> {
    root.values("supportedControl").take(CONTROLS_MAX).map(<[u8]>::to_vec).collect()
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
    timeout(ANSWER_WITHIN, side.next_frame(pdu_max.min(OWN_ANSWER_MAX))).await?
}
