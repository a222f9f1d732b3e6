//! Replies: Message-Authenticator first, Proxy-State last and in order, sealed for the one request they answer.
//!
//! Each kind of reply is one function that can only write the attributes this kind may have (RFC 2865 §5.44, R-071).

use super::Code;
use super::Request;
use super::attr;
use super::draft::Draft;
pub use super::draft::TooLong;
use super::draft::framed_len;

/// What a reply must know of its request; owned, so that the datagram can go.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    identifier: u8,
    authenticator: [u8; 16],
    proxy_states: Vec<Vec<u8>>,
}

impl Asked {
    /// Of a verified request.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        Self { identifier: request.identifier, authenticator: *request.authenticator, proxy_states: request.proxy_states().map(<[u8]>::to_vec).collect() }
    }

    /// Octets of all Proxy-States.
    fn tail_len(&self) -> usize {
        self.proxy_states.iter().map(|value| framed_len(value)).sum()
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// Access-Accept. Nothing in it authorizes more than coming in, so it answers Status-Server too.
///
/// # Errors
/// It does not fit; it always does for a signed request.
pub fn accept(asked: &Asked, secret: &[u8]) -> Result<Vec<u8>, TooLong> {
    seal(Draft::new(Code::AccessAccept, asked.identifier), asked, secret)
}

/// Access-Challenge: one State (1..=253 octets) and what to ask the person.
///
/// The text is cut to what fits.
///
/// # Errors
/// State is empty or does not fit.
pub fn challenge(asked: &Asked, secret: &[u8], state: &[u8], message: &str) -> Result<Vec<u8>, TooLong> {
    if state.is_empty() {
        return Err(TooLong);
    }
    let mut draft = Draft::new(Code::AccessChallenge, asked.identifier);
    draft.push(attr::STATE, state)?;
    tell(&mut draft, asked, message)?;
    seal(draft, asked, secret)
}

/// Access-Reject with a text for the person, cut to what fits.
///
/// # Errors
/// It does not fit; it always does for a signed request.
pub fn reject(asked: &Asked, secret: &[u8], message: &str) -> Result<Vec<u8>, TooLong> {
    let mut draft = Draft::new(Code::AccessReject, asked.identifier);
    tell(&mut draft, asked, message)?;
    seal(draft, asked, secret)
}

/// Reply-Messages: control characters taken out, cut at borders of characters, and room left for what must follow.
fn tell(draft: &mut Draft, asked: &Asked, message: &str) -> Result<(), TooLong> {
    let clean: String = message.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let mut rest = clean.as_str();
    while !rest.is_empty() {
        let room = draft.room().saturating_sub(asked.tail_len()).saturating_sub(2).min(attr::VALUE_LEN_MAX);
        let Some((piece, behind)) = rest.split_at_checked(rest.floor_char_boundary(room)) else { break };
        if piece.is_empty() {
            break;
        }
        draft.push(attr::REPLY_MESSAGE, piece.as_bytes())?;
        rest = behind;
    }
    Ok(())
}

fn seal(mut draft: Draft, asked: &Asked, secret: &[u8]) -> Result<Vec<u8>, TooLong> {
    for value in &asked.proxy_states {
        draft.push(attr::PROXY_STATE, value)?;
    }
    draft.into_reply(&asked.authenticator, secret)
}
