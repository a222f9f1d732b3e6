//! Replies: Message-Authenticator first, Proxy-State last and in order, sealed for the one request they answer.
//!
//! Each kind of reply is one function that can only write the attributes this kind may have (RFC 2865 §5.44, R-071).

use std::borrow::Cow;

use zeroize::Zeroizing;

use super::Code;
use super::Request;
use super::Version;
use super::attr;
use super::attr::Attribute;
use super::carry::Carried;
use super::draft::Draft;
use super::draft::Head;
pub use super::draft::TooLong;
use super::draft::framed_len;
use super::hop;
use super::hop::Hop;
use super::salt::Salts;
use super::token_of;

/// What a reply must know of its request; owned, so that the datagram can go.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked {
    version: Version,
    code: Code,
    identifier: u8,
    authenticator: [u8; 16],
    proxy_states: Vec<Vec<u8>>,
    /// The User-Name of one that carries EAP.
    eap_name: Option<Vec<u8>>,
    len_max: usize,
}

impl Asked {
    /// Of a verified request.
    #[must_use]
    pub fn of(request: &Request<'_>) -> Self {
        let eap = request.attributes.contains(attr::EAP_MESSAGE);
        Self {
            version: request.version,
            code: request.code,
            identifier: request.identifier,
            authenticator: *request.authenticator,
            proxy_states: request.proxy_states().map(<[u8]>::to_vec).collect(),
            eap_name: request.first(attr::USER_NAME).filter(|_| eap).map(|name| name.value.to_vec()),
            len_max: request.len_max,
        }
    }

    /// Octets of all Proxy-States.
    fn tail_len(&self) -> usize {
        self.proxy_states.iter().map(|value| framed_len(value)).sum()
    }

    fn hop<'a>(&'a self, secret: &'a [u8]) -> Hop<'a> {
        match self.version {
            Version::V10 => Hop::Hidden { secret, authenticator: &self.authenticator },
            Version::V11 => Hop::Clear,
        }
    }

    fn draft(&self, code: Code) -> Draft {
        let head = match self.version {
            // Accounting knows no Message-Authenticator; the answer to a Status-Server has one at every port.
            Version::V10 if code == Code::AccountingResponse && self.code != Code::StatusServer => Head::Bare(self.identifier),
            Version::V10 => Head::Signed(self.identifier),
            Version::V11 => Head::Token(token_of(&self.authenticator)),
        };
        Draft::new(code, head, self.len_max)
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// Access-Accept with all that is carried, hidden anew for this client: `salt` is chance, and each hidden value has a salt of its own from there
/// on. To a request with EAP the User-Name is returned, unless one is carried.
///
/// The answer to a Status-Server has none of that: it authorizes nobody.
///
/// # Errors
/// It does not fit. Nothing is ever left out to make it fit.
pub fn accept(asked: &Asked, secret: &[u8], carried: &Carried, salt: [u8; 2]) -> Result<Vec<u8>, TooLong> {
    let mut draft = asked.draft(Code::AccessAccept);
    if asked.code != Code::StatusServer {
        if let Some(name) = asked.eap_name.as_deref().filter(|_| carried.first(attr::USER_NAME).is_none()) {
            draft.push(attr::USER_NAME, name)?;
        }
        draft.push_raw(&wire_form(carried, in_accept, asked.hop(secret), salt)?)?;
    }
    seal(draft, asked, secret)
}

/// Access-Challenge: one State (1..=253 octets), what to ask the person, and of what is carried: Reply-Message, Session-Timeout, Idle-Timeout,
/// EAP-Message, Prompt and vendors' attributes but those that hold keys.
///
/// The text is cut to what fits. Beside EAP there is none, nor a carried one (RFC 3579 §2.6.5).
///
/// # Errors
/// State is empty or does not fit, or what is carried does not.
pub fn challenge(asked: &Asked, secret: &[u8], state: &[u8], message: Option<&str>, carried: &Carried, salt: [u8; 2]) -> Result<Vec<u8>, TooLong> {
    if state.is_empty() {
        return Err(TooLong);
    }
    let mut draft = asked.draft(Code::AccessChallenge);
    draft.push(attr::STATE, state)?;
    let carried_along = wire_form(carried, in_challenge, asked.hop(secret), salt)?;
    tell(&mut draft, asked, message, carried, carried_along.len())?;
    draft.push_raw(&carried_along)?;
    seal(draft, asked, secret)
}

/// Access-Reject with a text for the person, cut to what fits, and of what is carried: Reply-Message, EAP-Message, MS-CHAP-Error and Error-Cause.
/// Beside EAP there is no text (RFC 3579 §2.6.5).
///
/// # Errors
/// It does not fit; with nothing carried it always does for a signed request.
pub fn reject(asked: &Asked, secret: &[u8], message: Option<&str>, carried: &Carried) -> Result<Vec<u8>, TooLong> {
    let mut draft = asked.draft(Code::AccessReject);
    // Nothing that a Reject lets through is hidden.
    let carried_along = wire_form(carried, in_reject, Hop::Clear, [0; 2])?;
    tell(&mut draft, asked, message, carried, carried_along.len())?;
    draft.push_raw(&carried_along)?;
    seal(draft, asked, secret)
}

/// Accounting-Response: it is written down, or handed on (RFC 2866 §4.2); to a Status-Server: we are here.
///
/// # Errors
/// It does not fit; it always does for a request that did.
pub fn accounting_response(asked: &Asked, secret: &[u8]) -> Result<Vec<u8>, TooLong> {
    seal(asked.draft(Code::AccountingResponse), asked, secret)
}

/// Protocol-Error with this Error-Cause: 601 is Response-Too-Big. For TLS alone (RFC 7930 §4).
///
/// # Errors
/// It does not fit.
pub fn protocol_error(asked: &Asked, secret: &[u8], cause: u32) -> Result<Vec<u8>, TooLong> {
    let mut draft = asked.draft(Code::ProtocolError);
    // With a token nobody needs to be told what was asked (RFC 9765 §5.5).
    if asked.version == Version::V10 {
        draft.push(attr::EXTENDED_1, &[ORIGINAL_PACKET_CODE, 0, 0, 0, asked.code.octet()])?;
    }
    draft.push(attr::ERROR_CAUSE, &cause.to_be_bytes())?;
    seal(draft, asked, secret)
}

/// The EAP packet that says no (RFC 3748 §4.2). `identifier` is that of the EAP-Response that it answers.
#[must_use]
pub fn eap_failure(identifier: u8) -> [u8; 4] {
    [EAP_FAILURE, identifier, 0, 4]
}

/// Reply-Messages: control characters taken out, cut at borders of characters, and room left for what must follow.
fn tell(draft: &mut Draft, asked: &Asked, message: Option<&str>, carried: &Carried, follows: usize) -> Result<(), TooLong> {
    if carried.attributes().contains(attr::EAP_MESSAGE) {
        return Ok(());
    }
    let clean: String = message.unwrap_or_default().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control()).collect();
    let mut rest = clean.as_str();
    while !rest.is_empty() {
        let room = draft.room().saturating_sub(asked.tail_len()).saturating_sub(follows).saturating_sub(2).min(attr::VALUE_LEN_MAX);
        let Some((piece, behind)) = rest.split_at_checked(rest.floor_char_boundary(room)) else { break };
        if piece.is_empty() {
            break;
        }
        draft.push(attr::REPLY_MESSAGE, piece.as_bytes())?;
        rest = behind;
    }
    Ok(())
}

/// What of the carried may stand in a reply, as it is written there.
fn wire_form(carried: &Carried, lets_through: LetsThrough, hop: Hop<'_>, salt: [u8; 2]) -> Result<Zeroizing<Vec<u8>>, TooLong> {
    let mut salts = Salts::from(salt);
    let mut bytes = Zeroizing::new(Vec::with_capacity(carried.as_bytes().len().saturating_mul(2)));
    for attribute in carried.attributes() {
        let Some(value) = lets_through(attribute, carried).filter(|value| !value.is_empty()) else { continue };
        let dressed = hop::dressed(Attribute { kind: attribute.kind, value: &value }, hop, &mut salts)?;
        let written = dressed.as_ref().map_or(&value[..], |dressed| dressed);
        bytes.extend_from_slice(&[attribute.kind, u8::try_from(framed_len(written)).map_err(|_| TooLong)?]);
        bytes.extend_from_slice(written);
    }
    Ok(bytes)
}

/// What is left of an attribute in a kind of reply.
type LetsThrough = for<'a> fn(Attribute<'a>, &Carried) -> Option<Cow<'a, [u8]>>;

fn in_accept<'a>(attribute: Attribute<'a>, carried: &Carried) -> Option<Cow<'a, [u8]>> {
    let may = match attribute.kind {
        attr::MESSAGE_AUTHENTICATOR | attr::PROXY_STATE | attr::STATE | attr::USER_PASSWORD | attr::CHAP_PASSWORD => false,
        attr::REPLY_MESSAGE => !carried.attributes().contains(attr::EAP_MESSAGE),
        _ => true,
    };
    may.then_some(Cow::Borrowed(attribute.value))
}

fn in_challenge<'a>(attribute: Attribute<'a>, carried: &Carried) -> Option<Cow<'a, [u8]>> {
    let may = match attribute.kind {
        attr::REPLY_MESSAGE => !carried.attributes().contains(attr::EAP_MESSAGE),
        attr::EAP_MESSAGE | attr::IDLE_TIMEOUT | attr::PROMPT | attr::SESSION_TIMEOUT => true,
        attr::VENDOR_SPECIFIC => !attribute.vendor().is_some_and(hop::hides),
        _ => false,
    };
    may.then_some(Cow::Borrowed(attribute.value))
}

fn in_reject<'a>(attribute: Attribute<'a>, carried: &Carried) -> Option<Cow<'a, [u8]>> {
    match attribute.kind {
        attr::EAP_MESSAGE | attr::ERROR_CAUSE => Some(Cow::Borrowed(attribute.value)),
        attr::REPLY_MESSAGE => (!carried.attributes().contains(attr::EAP_MESSAGE)).then_some(Cow::Borrowed(attribute.value)),
        attr::VENDOR_SPECIFIC => {
            let vendor = attribute.vendor().filter(|vendor| vendor.id == attr::VENDOR_MICROSOFT)?;
            let mut errors = vendor.attributes.iter().filter(|inner| inner.kind == attr::MS_CHAP_ERROR).peekable();
            errors.peek()?;
            let mut left = vendor.id.to_be_bytes().to_vec();
            for error in errors {
                left.extend_from_slice(&[error.kind, u8::try_from(framed_len(error.value)).ok()?]);
                left.extend_from_slice(error.value);
            }
            Some(Cow::Owned(left))
        }
        _ => None,
    }
}

fn seal(mut draft: Draft, asked: &Asked, secret: &[u8]) -> Result<Vec<u8>, TooLong> {
    for value in &asked.proxy_states {
        draft.push(attr::PROXY_STATE, value)?;
    }
    match asked.version {
        Version::V10 => draft.into_reply(&asked.authenticator, secret),
        Version::V11 => draft.into_plain(),
    }
}

const EAP_FAILURE: u8 = 4;
/// Original-Packet-Code, of the first extended type (RFC 7930 §5).
const ORIGINAL_PACKET_CODE: u8 = 4;
