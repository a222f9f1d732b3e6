//! The other side: requests that we send and the replies to them. Always signed by us, and by them unless configured otherwise (R-039).

use zeroize::Zeroizing;

use super::Code;
use super::Integrity;
use super::PACKET_LEN_MAX;
use super::Packet;
use super::Refusal;
use super::Version;
use super::attr;
use super::attr::Attribute;
use super::attr::Attributes;
use super::draft::Draft;
use super::draft::Head;
use super::draft::TooLong;
use super::forward::Forward;
use super::hide;
use super::sign;
use super::sign::BLANK;
use super::sign::Found;
use super::token_of;

/// An Access-Request to be sent.
///
/// ```
/// use vestibule::wire::radius::Integrity;
/// use vestibule::wire::radius::attr;
/// use vestibule::wire::radius::upstream::AccessRequest;
/// use vestibule::wire::radius::upstream::verify_reply;
///
/// let random = [7; 16]; // from a source of chance, fresh for each request
/// let sent = AccessRequest::new(1, random).with(attr::USER_NAME, b"alice").password(b"open sesame").signed(b"shared secret")?;
/// assert!(verify_reply(b"whatever arrived", &sent, b"shared secret", Integrity::Require).is_err());
/// # Ok::<(), vestibule::wire::radius::upstream::Unsendable>(())
/// ```
#[derive(Clone)]
pub struct AccessRequest {
    identifier: u8,
    authenticator: [u8; 16],
    password: Option<Zeroizing<Vec<u8>>>,
    attributes: Vec<(u8, Vec<u8>)>,
}

impl AccessRequest {
    /// A request without attributes. `authenticator` must be random and never used before with this secret (RFC 2865 §3).
    #[must_use]
    pub fn new(identifier: u8, authenticator: [u8; 16]) -> Self {
        Self { identifier, authenticator, password: None, attributes: Vec::new() }
    }

    /// One attribute more, 1..=253 octets; an empty one is left out.
    #[must_use]
    pub fn with(mut self, kind: u8, value: &[u8]) -> Self {
        self.attributes.push((kind, value.to_vec()));
        self
    }

    /// The User-Password, at most 128 octets, in clear: it is hidden when the request is signed.
    #[must_use]
    pub fn password(mut self, password: &[u8]) -> Self {
        self.password = Some(Zeroizing::new(password.to_vec()));
        self
    }

    /// The bytes to send: Message-Authenticator, User-Password, and the rest in order.
    ///
    /// # Errors
    /// A value or the whole is too long.
    pub fn signed(&self, secret: &[u8]) -> Result<Vec<u8>, Unsendable> {
        let mut draft = Draft::new(Code::AccessRequest, Head::Signed(self.identifier), PACKET_LEN_MAX);
        if let Some(password) = &self.password {
            let hidden = hide::hide(password, secret, &self.authenticator).map_err(|_| Unsendable::Password)?;
            draft.push(attr::USER_PASSWORD, &hidden)?;
        }
        for (kind, value) in &self.attributes {
            draft.push(*kind, value)?;
        }
        Ok(draft.into_request(&self.authenticator, secret)?)
    }
}

impl std::fmt::Debug for AccessRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessRequest").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

/// A signed Status-Server: is the server there? (RFC 5997)
///
/// # Errors
/// None that can be; the signature is as of every packet.
pub fn status_server(identifier: u8, authenticator: &[u8; 16], secret: &[u8]) -> Result<Vec<u8>, Unsendable> {
    Forward::default().signed(Code::StatusServer, identifier, authenticator, secret)
}

/// Why a request cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// More than 128 octets.
    #[error("a password in RADIUS has at most 128 octets")]
    Password,
    /// An attribute or the packet.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A reply that is authentic. Made by [`verify_reply`], and behind TLS by [`verify_reply_over_tls`] and [`verify_reply_over_tls_11`] alone.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    version: Version,
    code: Code,
    attributes: Attributes<'a>,
}

impl<'a> Reply<'a> {
    /// Which RADIUS it came in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Accept, Challenge or Reject; Accounting-Response; over TLS also Protocol-Error.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// All attributes, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }

    /// The State to bring along with the answer to a challenge.
    #[must_use]
    pub fn state(&self) -> Option<&'a [u8]> {
        self.attributes.first(attr::STATE).map(|attribute| attribute.value)
    }

    /// What the person is told: all Reply-Messages in order.
    #[must_use]
    pub fn message(&self) -> String {
        self.attributes.all(attr::REPLY_MESSAGE).filter_map(|attribute: Attribute<'a>| attribute.text()).collect()
    }
}

/// Takes a datagram as the reply to the request `sent`. What is refused is as good as never arrived: go on waiting.
///
/// The Response Authenticator is always looked at; a Message-Authenticator always where there is one, and there must be one under
/// [`Integrity::Require`], save in an Accounting-Response, to which no RFC gives one.
///
/// # Errors
/// It is no reply, not to this request, unsigned, or not from who knows the secret.
pub fn verify_reply<'a>(datagram: &'a [u8], sent: &[u8], secret: &[u8], integrity: Integrity) -> Result<Reply<'a>, Refusal> {
    let reply = verify_reply_over_tls(datagram, sent, secret, integrity, PACKET_LEN_MAX)?;
    // Made for reliable transports (RFC 7930 §4).
    if reply.code == Code::ProtocolError { Err(Refusal::Code) } else { Ok(reply) }
}

/// The same of a packet out of a TLS connection that speaks RADIUS/1.0, of at most `len_max` octets (R-117).
///
/// # Errors
/// As of [`verify_reply`].
pub fn verify_reply_over_tls<'a>(packet: &'a [u8], sent: &[u8], secret: &[u8], integrity: Integrity, len_max: usize) -> Result<Reply<'a>, Refusal> {
    let asked = Packet::framed(sent, usize::MAX)?;
    let Packet { code, identifier, authenticator, attributes, bytes } = Packet::framed(packet, len_max)?;
    answers(code, asked.code)?;
    if identifier != asked.identifier {
        return Err(Refusal::Identifier);
    }
    match sign::find(attributes) {
        Found::Broken => return Err(Refusal::BrokenSignature),
        // RFC 3579 §3.2: EAP never comes without (R-036).
        Found::None if attributes.contains(attr::EAP_MESSAGE) => return Err(Refusal::UnsignedEap),
        Found::None if integrity == Integrity::Require && code != Code::AccountingResponse => return Err(Refusal::Unsigned),
        Found::None => {}
        Found::One(given, at) => {
            let made_over = |over| sign::same(sign::message_authenticator(bytes, over, at, secret), given);
            // No RFC says over what it is made in an Accounting-Response; FreeRADIUS blanks the authenticator there, as in the request.
            if !(made_over(asked.authenticator) || code == Code::AccountingResponse && made_over(&BLANK)) {
                return Err(Refusal::WrongSignature);
            }
        }
    }
    if !sign::same(sign::response_authenticator(bytes, asked.authenticator, secret), authenticator) {
        return Err(Refusal::WrongAuthenticator);
    }
    Ok(Reply { version: Version::V10, code, attributes })
}

/// The same in RADIUS/1.1: the token alone says to what it is the reply (RFC 9765 §4.2).
///
/// # Errors
/// It is no reply, or not to this request.
pub fn verify_reply_over_tls_11<'a>(packet: &'a [u8], sent: &[u8], len_max: usize) -> Result<Reply<'a>, Refusal> {
    let asked = Packet::framed(sent, usize::MAX)?;
    let Packet { code, authenticator, attributes, .. } = Packet::framed(packet, len_max)?;
    // First, so that the late reply to another request is told from a wrong one.
    if token_of(authenticator) != token_of(asked.authenticator) {
        return Err(Refusal::Identifier);
    }
    answers(code, asked.code)?;
    Ok(Reply { version: Version::V11, code, attributes })
}

/// Whether a packet of this code can be the reply to one of that.
fn answers(code: Code, asked: Code) -> Result<(), Refusal> {
    let fits = match asked {
        Code::AccessRequest => matches!(code, Code::AccessAccept | Code::AccessChallenge | Code::AccessReject | Code::ProtocolError),
        Code::AccountingRequest => matches!(code, Code::AccountingResponse | Code::ProtocolError),
        // By the port it was sent to, which the packet does not tell (RFC 5997 §3).
        Code::StatusServer => matches!(code, Code::AccessAccept | Code::AccountingResponse | Code::ProtocolError),
        _ => false,
    };
    if fits { Ok(()) } else { Err(Refusal::Code) }
}
