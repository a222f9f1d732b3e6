//! A packet being written: Message-Authenticator first, whatever follows, sealed at the end, never above its bound.

use zeroize::Zeroizing;

use super::AUTHENTICATOR_AT;
use super::Code;
use super::HEADER_LEN;
use super::attr::MESSAGE_AUTHENTICATOR;
use super::attr::VALUE_LEN_MAX;
use super::sign;
use super::sign::BLANK;
use super::sign::SEAL_LEN;

/// Something does not fit: a value into its attribute or the attributes into the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not fit: an attribute holds 253 octets and a packet 4096")]
pub struct TooLong;

/// How a packet begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// With an identifier and no Message-Authenticator: accounting.
    Bare(u8),
    /// With an identifier, and Message-Authenticator as the first attribute.
    Signed(u8),
    /// With a token: RADIUS/1.1 (RFC 9765 §4.1).
    Token(u32),
}

/// Header, blank Message-Authenticator and the attributes so far.
pub(super) struct Draft {
    /// In RADIUS/1.1 passwords and keys stand in it as they are.
    bytes: Zeroizing<Vec<u8>>,
    len_max: usize,
}

impl Draft {
    pub(super) fn new(code: Code, head: Head, len_max: usize) -> Self {
        let identifier = match head {
            Head::Bare(identifier) | Head::Signed(identifier) => identifier,
            Head::Token(_) => 0,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(CAPACITY_MIN));
        bytes.extend_from_slice(&[code.octet(), identifier, 0, 0]);
        match head {
            Head::Bare(_) => bytes.extend_from_slice(&BLANK),
            Head::Signed(_) => {
                bytes.extend_from_slice(&BLANK);
                // First in every packet: the chosen-prefix collision of CVE-2024-3596 then has nowhere to begin.
                bytes.extend_from_slice(&[MESSAGE_AUTHENTICATOR, 18]);
                bytes.extend_from_slice(&BLANK);
            }
            Head::Token(token) => {
                bytes.extend_from_slice(&token.to_be_bytes());
                bytes.extend_from_slice(&[0; 12]);
            }
        }
        Self { bytes, len_max }
    }

    /// Octets of attributes that still fit.
    pub(super) fn room(&self) -> usize {
        self.len_max.saturating_sub(self.bytes.len())
    }

    /// One attribute more. An empty value is left out.
    pub(super) fn push(&mut self, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        if value.is_empty() { Ok(()) } else { self.push_even_empty(kind, value) }
    }

    /// One attribute more, be it empty: an EAP-Start is (RFC 3579 §2.1).
    pub(super) fn push_even_empty(&mut self, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        let length = framed_len(value);
        let octet = u8::try_from(length).map_err(|_| TooLong)?;
        if value.len() > VALUE_LEN_MAX || length > self.room() {
            return Err(TooLong);
        }
        self.grow(length);
        self.bytes.extend_from_slice(&[kind, octet]);
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Attributes that are framed already.
    pub(super) fn push_raw(&mut self, attributes: &[u8]) -> Result<(), TooLong> {
        if attributes.len() > self.room() {
            return Err(TooLong);
        }
        self.grow(attributes.len());
        self.bytes.extend_from_slice(attributes);
        Ok(())
    }

    /// Makes room. A vector that grows by itself leaves its old bytes in memory.
    fn grow(&mut self, more: usize) {
        let wanted = self.bytes.len().saturating_add(more);
        if wanted > self.bytes.capacity() {
            let mut grown = Zeroizing::new(Vec::with_capacity(wanted.saturating_mul(2)));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
    }

    /// Seals a request: Message-Authenticator over its own, random authenticator.
    pub(super) fn into_request(mut self, authenticator: &[u8; SEAL_LEN], secret: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.write_length()?;
        self.sign(authenticator, secret)?;
        self.write(AUTHENTICATOR_AT, authenticator)?;
        Ok(std::mem::take(&mut *self.bytes))
    }

    /// Seals an Accounting-Request: its authenticator is the digest over itself (RFC 2866 §3).
    pub(super) fn into_accounting(mut self, secret: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.write_length()?;
        let seal = sign::accounting_authenticator(&self.bytes, secret).ok_or(TooLong)?;
        self.write(AUTHENTICATOR_AT, &seal)?;
        Ok(std::mem::take(&mut *self.bytes))
    }

    /// Seals a reply to the request of that authenticator: Message-Authenticator, and over it the Response Authenticator.
    pub(super) fn into_reply(mut self, asked: &[u8; SEAL_LEN], secret: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.write_length()?;
        if self.bytes.get(HEADER_LEN) == Some(&MESSAGE_AUTHENTICATOR) {
            self.sign(asked, secret)?;
        }
        let seal = sign::response_authenticator(&self.bytes, asked, secret).ok_or(TooLong)?;
        self.write(AUTHENTICATOR_AT, &seal)?;
        Ok(std::mem::take(&mut *self.bytes))
    }

    /// Ends a packet of RADIUS/1.1, which has no seal.
    pub(super) fn into_plain(mut self) -> Result<Vec<u8>, TooLong> {
        self.write_length()?;
        Ok(std::mem::take(&mut *self.bytes))
    }

    fn write_length(&mut self) -> Result<(), TooLong> {
        let length = u16::try_from(self.bytes.len()).map_err(|_| TooLong)?;
        self.write(LENGTH_AT, &length.to_be_bytes())
    }

    fn sign(&mut self, authenticator: &[u8; SEAL_LEN], secret: &[u8]) -> Result<(), TooLong> {
        let seal = sign::message_authenticator(&self.bytes, authenticator, SIGNATURE_AT, secret).ok_or(TooLong)?;
        self.write(SIGNATURE_AT, &seal)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), TooLong> {
        let place = self.bytes.get_mut(at..).and_then(|behind| behind.get_mut(..bytes.len())).ok_or(TooLong)?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// Octets of an attribute with this value.
pub(super) fn framed_len(value: &[u8]) -> usize {
    value.len().saturating_add(2)
}

/// Most packets are shorter.
const CAPACITY_MIN: usize = 512;
const LENGTH_AT: usize = 2;
const SIGNATURE_AT: usize = HEADER_LEN + 2;
