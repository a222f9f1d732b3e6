//! RADIUS packets (RFC 2865): what has been verified is a [`Request`], and nothing else is one.

pub mod attr;
pub mod carry;
pub mod credential;
pub mod dictionary;
mod draft;
pub mod forward;
pub mod hide;
mod hop;
pub mod reply;
pub mod salt;
mod sign;
#[cfg(test)]
mod tests;
pub mod upstream;

use zeroize::Zeroizing;

use self::attr::Attribute;
use self::attr::Attributes;
use self::hide::BadLength;
use self::sign::BLANK;
use self::sign::Found;

/// A request that is well framed, of a kind that servers get, and as authentic as the client's [`Integrity`] demands. Made by [`Request::verify`],
/// [`Request::verify_accounting`], and behind TLS by [`Request::over_tls`] and [`Request::over_tls_11`] alone.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    version: Version,
    code: Code,
    identifier: u8,
    authenticator: &'a [u8; 16],
    attributes: Attributes<'a>,
    signed: bool,
    len_max: usize,
}

impl<'a> Request<'a> {
    /// Takes one datagram from a client whose shared secret is `secret`. Octets behind the packet's own length are padding.
    ///
    /// Only requests that begin something are taken: Access-Request and Status-Server. Nothing is allocated.
    ///
    /// # Errors
    /// Why the datagram must be dropped without a word.
    pub fn verify(datagram: &'a [u8], secret: &[u8], integrity: Integrity) -> Result<Self, Refusal> {
        let packet = Packet::framed(datagram, PACKET_LEN_MAX)?;
        if !matches!(packet.code, Code::AccessRequest | Code::StatusServer) {
            return Err(Refusal::Code);
        }
        Self::of(&packet, secret, integrity, PACKET_LEN_MAX)
    }

    /// Takes one datagram at a port for accounting: Accounting-Request, whose own authenticator must be right and which needs no
    /// Message-Authenticator, and signed Status-Server.
    ///
    /// # Errors
    /// Why the datagram must be dropped without a word.
    pub fn verify_accounting(datagram: &'a [u8], secret: &[u8]) -> Result<Self, Refusal> {
        let packet = Packet::framed(datagram, PACKET_LEN_MAX)?;
        if !matches!(packet.code, Code::AccountingRequest | Code::StatusServer) {
            return Err(Refusal::Code);
        }
        Self::of(&packet, secret, Integrity::Require, PACKET_LEN_MAX)
    }

    /// Takes one packet out of a TLS connection that speaks RADIUS/1.0 (RFC 6614), where all kinds of requests come in at one port. `len_max` is 4096, or
    /// up to 65,535 where configured; a reply may be as long.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn over_tls(packet: &'a [u8], secret: &[u8], integrity: Integrity, len_max: usize) -> Result<Self, Refusal> {
        Self::of(&Packet::framed(packet, len_max)?, secret, integrity, len_max)
    }

    /// Takes one packet out of a TLS connection that speaks RADIUS/1.1 (RFC 9765): TLS alone makes it authentic, and nothing in it is hidden. A
    /// Message-Authenticator in it means nothing.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn over_tls_11(packet: &'a [u8], len_max: usize) -> Result<Self, Refusal> {
        let Packet { code, identifier, authenticator, attributes, .. } = Packet::framed(packet, len_max)?;
        if !matches!(code, Code::AccessRequest | Code::AccountingRequest | Code::StatusServer) {
            return Err(Refusal::Code);
        }
        Ok(Self { version: Version::V11, code, identifier, authenticator, attributes, signed: true, len_max })
    }

    fn of(packet: &Packet<'a>, secret: &[u8], integrity: Integrity, len_max: usize) -> Result<Self, Refusal> {
        let Packet { code, identifier, authenticator, attributes, bytes } = *packet;
        let accounting = match code {
            Code::AccessRequest | Code::StatusServer => false,
            Code::AccountingRequest => true,
            _ => return Err(Refusal::Code),
        };
        // An Accounting-Request's authenticator is made over the rest, so a Message-Authenticator cannot be made over it (as RFC 5176 §2.3 says of CoA).
        let over = if accounting { &BLANK } else { authenticator };
        let signed = match sign::find(attributes) {
            Found::Broken => return Err(Refusal::BrokenSignature),
            Found::None => false,
            Found::One(given, at) => {
                if !sign::same(sign::message_authenticator(bytes, over, at, secret), given) {
                    return Err(Refusal::WrongSignature);
                }
                true
            }
        };
        if accounting && !sign::same(sign::accounting_authenticator(bytes, secret), authenticator) {
            return Err(Refusal::WrongAuthenticator);
        }
        let request = Self { version: Version::V10, code, identifier, authenticator, attributes, signed: signed || accounting, len_max };
        if !request.signed {
            request.may_be_unsigned(integrity)?;
        }
        Ok(request)
    }

    /// What must be signed whatever the client is configured for, and what by its configuration.
    fn may_be_unsigned(&self, integrity: Integrity) -> Result<(), Refusal> {
        // RFC 5997 §3; RFC 3579 §3.2: these never come without.
        if self.code == Code::StatusServer {
            return Err(Refusal::UnsignedStatus);
        }
        if self.attributes.contains(attr::EAP_MESSAGE) {
            return Err(Refusal::UnsignedEap);
        }
        if integrity == Integrity::Require {
            return Err(Refusal::Unsigned);
        }
        // Through Proxy-State an attacker chooses bytes of our reply: what CVE-2024-3596 needs.
        if self.attributes.contains(attr::PROXY_STATE) {
            return Err(Refusal::UnsignedProxyState);
        }
        // RFC 3579 §3.3.
        if !self.has_credential() {
            return Err(Refusal::UnsignedBare);
        }
        Ok(())
    }

    /// What kind of request it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Which RADIUS it was asked in.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The octet that tells a client's requests apart; in RADIUS/1.1 it means nothing.
    #[must_use]
    pub fn identifier(&self) -> u8 {
        self.identifier
    }

    /// The Request Authenticator; in RADIUS/1.1 the token and twelve octets that mean nothing.
    #[must_use]
    pub fn authenticator(&self) -> &'a [u8; 16] {
        self.authenticator
    }

    /// What tells a connection's requests apart in RADIUS/1.1 (RFC 9765 §4.2).
    #[must_use]
    pub fn token(&self) -> Option<u32> {
        (self.version == Version::V11).then(|| token_of(self.authenticator))
    }

    /// Whether it is authentic as it stands: by Message-Authenticator, by an Accounting-Request's authenticator, or by RADIUS/1.1.
    #[must_use]
    pub fn signed(&self) -> bool {
        self.signed
    }

    /// All attributes, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }

    /// The first attribute of this type that is not empty.
    #[must_use]
    pub fn first(&self, kind: u8) -> Option<Attribute<'a>> {
        self.attributes.first(kind)
    }

    /// The text of the first attribute of this type; one that is not UTF-8 counts as absent.
    #[must_use]
    pub fn text(&self, kind: u8) -> Option<&'a str> {
        self.first(kind)?.text()
    }

    /// The Proxy-States, in order, for the reply: never looked into.
    pub fn proxy_states(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.attributes.all(attr::PROXY_STATE).map(|attribute| attribute.value)
    }

    /// The State that came back from a challenge.
    #[must_use]
    pub fn state(&self) -> Option<&'a [u8]> {
        self.first(attr::STATE).map(|attribute| attribute.value)
    }

    /// The password in clear, trailing NULs taken off; `None` where there is no User-Password.
    ///
    /// # Errors
    /// The hidden password has a length that cannot be.
    pub fn user_password(&self, secret: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, BadLength> {
        let Some(hidden) = self.attributes.iter().find(|attribute| attribute.kind == attr::USER_PASSWORD) else { return Ok(None) };
        self.password_of(hidden.value, secret).map(Some)
    }

    /// A User-Password in clear.
    fn password_of(&self, value: &[u8], secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, BadLength> {
        match self.version {
            Version::V10 => hide::reveal(value, secret, self.authenticator),
            // RFC 9765 §5.1.1
            Version::V11 if (1..=hide::PASSWORD_LEN_MAX).contains(&value.len()) => Ok(Zeroizing::new(value.to_vec())),
            Version::V11 => Err(BadLength),
        }
    }

    /// Whether there is a credential other than User-Password: CHAP, MS-CHAP, ARAP or EAP.
    #[must_use]
    pub fn has_other_credential(&self) -> bool {
        let plain = [attr::CHAP_PASSWORD, attr::ARAP_PASSWORD, attr::EAP_MESSAGE].into_iter().any(|kind| self.attributes.contains(kind));
        let vendor = [attr::MS_CHAP_RESPONSE, attr::MS_CHAP2_RESPONSE, attr::MS_CHAP2_CPW];
        plain || vendor.into_iter().any(|kind| self.attributes.vendor(attr::VENDOR_MICROSOFT, kind).next().is_some())
    }

    fn has_credential(&self) -> bool {
        self.attributes.contains(attr::USER_PASSWORD) || self.has_other_credential()
    }
}

/// Which RADIUS a packet is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// As RFC 2865 has it: secrets, authenticators, MD5.
    V10,
    /// As RFC 9765 has it: TLS 1.3 alone.
    V11,
}

/// Whether a client's requests must carry a Message-Authenticator (CVE-2024-3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Unsigned requests pass as with `Optional` and are counted.
    Observe,
    /// Unsigned requests pass, except with Proxy-State, EAP or no credential.
    Optional,
    /// Unsigned requests are dropped.
    Require,
}

/// What a packet is (RFC 2865 §4, RFC 5997 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Come in.
    AccessAccept,
    /// One thing more.
    AccessChallenge,
    /// Stay out.
    AccessReject,
    /// May they come in?
    AccessRequest,
    /// This is who is on.
    AccountingRequest,
    /// It is written down.
    AccountingResponse,
    /// It cannot be answered, and why (RFC 7930 §4).
    ProtocolError,
    /// Are you there?
    StatusServer,
}

impl Code {
    /// Its name in the RFCs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessAccept => "Access-Accept",
            Self::AccessChallenge => "Access-Challenge",
            Self::AccessReject => "Access-Reject",
            Self::AccessRequest => "Access-Request",
            Self::AccountingRequest => "Accounting-Request",
            Self::AccountingResponse => "Accounting-Response",
            Self::ProtocolError => "Protocol-Error",
            Self::StatusServer => "Status-Server",
        }
    }

    fn octet(self) -> u8 {
        match self {
            Self::AccessRequest => 1,
            Self::AccessAccept => 2,
            Self::AccessReject => 3,
            Self::AccessChallenge => 11,
            Self::AccountingRequest => 4,
            Self::AccountingResponse => 5,
            Self::StatusServer => 12,
            Self::ProtocolError => 52,
        }
    }

    fn of(octet: u8) -> Option<Self> {
        ALL_CODES.into_iter().find(|code| code.octet() == octet)
    }
}

/// Why a packet is dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// An attribute's type or length is impossible.
    #[error("an attribute's type or length is impossible: the rest of the packet cannot be read")]
    Attribute,
    /// Message-Authenticator is there twice or has another length than 18.
    #[error("Message-Authenticator is there twice or not 18 octets long")]
    BrokenSignature,
    /// Not a code that is taken here.
    #[error("packets of this code are not taken here")]
    Code,
    /// A reply to another request.
    #[error("the reply's identifier or token is not that of the request")]
    Identifier,
    /// The Length field is below 20 or above 4096.
    #[error("the packet's length field is below 20 or above 4096")]
    Length,
    /// Fewer than 20 octets.
    #[error("fewer than 20 octets are no packet")]
    Short,
    /// More than 200 attributes.
    #[error("more than {} attributes", attr::COUNT_MAX)]
    TooMany,
    /// The Length field says more than arrived.
    #[error("the packet is longer than what arrived: was it cut on its way?")]
    Truncated,
    /// No Message-Authenticator where the client must send one.
    #[error("Message-Authenticator is missing: let the client send it, or set `integrity = \"observe\"` for it")]
    Unsigned,
    /// No Message-Authenticator and no credential.
    #[error("Message-Authenticator is missing from a request that carries no credential")]
    UnsignedBare,
    /// No Message-Authenticator with EAP.
    #[error("Message-Authenticator is missing from a request that carries EAP")]
    UnsignedEap,
    /// No Message-Authenticator with Proxy-State.
    #[error("Message-Authenticator is missing from a request that carries Proxy-State")]
    UnsignedProxyState,
    /// No Message-Authenticator in Status-Server.
    #[error("Message-Authenticator is missing from Status-Server")]
    UnsignedStatus,
    /// The authenticator of a reply or of an Accounting-Request is wrong.
    #[error("the authenticator is wrong: check the shared secret")]
    WrongAuthenticator,
    /// Message-Authenticator is wrong.
    #[error("Message-Authenticator is wrong: check the shared secret")]
    WrongSignature,
}

impl Refusal {
    /// Whether nothing but a Message-Authenticator is missing.
    #[must_use]
    pub fn is_unsigned(self) -> bool {
        matches!(self, Self::Unsigned | Self::UnsignedBare | Self::UnsignedEap | Self::UnsignedProxyState | Self::UnsignedStatus)
    }

    /// The word in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Attribute => "attribute",
            Self::BrokenSignature => "broken_signature",
            Self::Code => "code",
            Self::Identifier => "identifier",
            Self::Length => "length",
            Self::Short => "short",
            Self::TooMany => "too_many_attributes",
            Self::Truncated => "truncated",
            Self::Unsigned => "unsigned",
            Self::UnsignedBare => "unsigned_bare",
            Self::UnsignedEap => "unsigned_eap",
            Self::UnsignedProxyState => "unsigned_proxy_state",
            Self::UnsignedStatus => "unsigned_status",
            Self::WrongAuthenticator => "wrong_authenticator",
            Self::WrongSignature => "wrong_signature",
        }
    }
}

/// A packet whose frame is whole; nothing about it is believed yet.
struct Packet<'a> {
    code: Code,
    identifier: u8,
    authenticator: &'a [u8; 16],
    attributes: Attributes<'a>,
    /// The packet without padding.
    bytes: &'a [u8],
}

impl<'a> Packet<'a> {
    fn framed(datagram: &'a [u8], len_max: usize) -> Result<Self, Refusal> {
        let (head, _) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Refusal::Short)?;
        let [octet, identifier, high, low, ..] = *head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if !(HEADER_LEN..=len_max).contains(&length) {
            return Err(Refusal::Length);
        }
        let bytes = datagram.get(..length).ok_or(Refusal::Truncated)?;
        let code = Code::of(octet).ok_or(Refusal::Code)?;
        let (_, behind) = bytes.split_at_checked(AUTHENTICATOR_AT).ok_or(Refusal::Short)?;
        let (authenticator, behind) = behind.split_first_chunk().ok_or(Refusal::Short)?;
        let attributes = Attributes::framed(behind, attr::COUNT_MAX.max(len_max / COUNTED_LEN))?;
        Ok(Self { code, identifier, authenticator, attributes, bytes })
    }
}

/// RADIUS/1.1 has its token where the authenticator begins (RFC 9765 §4.1).
fn token_of(authenticator: &[u8; 16]) -> u32 {
    let [first, second, third, fourth, ..] = *authenticator;
    u32::from_be_bytes([first, second, third, fourth])
}

const ALL_CODES: [Code; 8] = [
    Code::AccessAccept,
    Code::AccessChallenge,
    Code::AccessReject,
    Code::AccessRequest,
    Code::AccountingRequest,
    Code::AccountingResponse,
    Code::ProtocolError,
    Code::StatusServer,
];

/// Octets before the attributes.
pub const HEADER_LEN: usize = 20;
/// Octets of a packet (RFC 2865 §3).
pub const PACKET_LEN_MAX: usize = 4096;
/// A larger packet may have one attribute more for each so many octets.
const COUNTED_LEN: usize = 21;
const AUTHENTICATOR_AT: usize = 4;
