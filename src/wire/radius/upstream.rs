//! The other side: requests that we send and the replies to them. Always signed, both ways (R-039).

use zeroize::Zeroizing;

use super::Code;
use super::Packet;
use super::Refusal;
use super::attr;
use super::attr::Attribute;
use super::attr::Attributes;
use super::draft::Draft;
use super::draft::TooLong;
use super::hide;
use super::sign;
use super::sign::Found;

/// An Access-Request to be sent.
///
/// ```
/// use vestibule::wire::radius::attr;
/// use vestibule::wire::radius::upstream::AccessRequest;
/// use vestibule::wire::radius::upstream::verify_reply;
///
/// let random = [7; 16]; // from a source of chance, fresh for each request
/// let sent = AccessRequest::new(1, random).with(attr::USER_NAME, b"alice").password(b"open sesame").signed(b"shared secret")?;
/// assert!(verify_reply(b"whatever arrived", &sent, b"shared secret").is_err());
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
        let mut draft = Draft::new(Code::AccessRequest, self.identifier);
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
    Ok(Draft::new(Code::StatusServer, identifier).into_request(authenticator, secret)?)
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

/// A reply that is authentic. Made by [`verify_reply`] alone.
#[derive(Clone, Debug)]
pub struct Reply<'a> {
    code: Code,
    attributes: Attributes<'a>,
}

impl<'a> Reply<'a> {
    /// Accept, Challenge or Reject.
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
/// # Errors
/// It is no reply, not to this request, unsigned, or not from who knows the secret.
pub fn verify_reply<'a>(datagram: &'a [u8], sent: &[u8], secret: &[u8]) -> Result<Reply<'a>, Refusal> {
    let asked = Packet::framed(sent)?;
    let Packet { code, identifier, authenticator, attributes, bytes } = Packet::framed(datagram)?;
    if !matches!(code, Code::AccessAccept | Code::AccessChallenge | Code::AccessReject) {
        return Err(Refusal::Code);
    }
    if identifier != asked.identifier {
        return Err(Refusal::Identifier);
    }
    match sign::find(attributes) {
        Found::Broken => return Err(Refusal::BrokenSignature),
        Found::None => return Err(Refusal::Unsigned),
        Found::One(given, at) => {
            if !sign::same(sign::message_authenticator(bytes, asked.authenticator, at, secret), given) {
                return Err(Refusal::WrongSignature);
            }
        }
    }
    if !sign::same(sign::response_authenticator(bytes, asked.authenticator, secret), authenticator) {
        return Err(Refusal::WrongAuthenticator);
    }
    Ok(Reply { code, attributes })
}
