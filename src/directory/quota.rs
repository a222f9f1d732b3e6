//! How much a server may send before we ask again, and what of it is no answer at all.

use std::io;

use crate::wire::ldap::Frame;
use crate::wire::ldap::Refusal;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    /// More than was asked for.
    #[error("more answers than anybody asked for")]
    Flood,
    /// No LDAP message.
    #[error(transparent)]
    Frame(#[from] Refusal),
    /// The network's doing.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// An answer of another operation.
    #[error("an answer of a kind nobody asked for (tag {0:#04x})")]
    Kind(u8),
    /// An answer to a question that nobody asked, or that is answered already.
    #[error("an answer to a question nobody asked (message id {0})")]
    Unasked(u32),
}

/// What a server may still send before we ask again.
#[derive(Debug)]
pub(super) struct Quota {
    messages: usize,
    bytes: usize,
}

impl Default for Quota {
    fn default() -> Self {
        Self { messages: ANSWERS_MAX, bytes: PDU_BYTES_MAX }
    }
}

impl Quota {
    /// Counts one.
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Result<(), Violation> {
        if !ANSWER_TAGS.contains(&frame.op) {
            return Err(Violation::Kind(frame.op));
        }
        self.messages = self.messages.checked_sub(1).ok_or(Violation::Flood)?;
        self.bytes = self.bytes.checked_sub(frame.bytes.len()).ok_or(Violation::Flood)?;
        Ok(())
    }
}

/// BindResponse, SearchResultEntry, SearchResultDone, ModifyResponse, SearchResultReference, ExtendedResponse.
const ANSWER_TAGS: [u8; 6] = [0x61, 0x64, 0x65, 0x67, 0x73, 0x78];
/// Answers to one request: the entries we ask for, and references a domain controller adds.
const ANSWERS_MAX: usize = 64;
/// Bytes of one answer, and of all to one request.
pub(super) const PDU_BYTES_MAX: usize = 4_194_304;
