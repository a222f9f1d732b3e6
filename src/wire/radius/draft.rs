//! A packet being written: Message-Authenticator first, whatever follows, sealed at the end, never above 4096 octets.

use super::AUTHENTICATOR_AT;
use super::Code;
use super::HEADER_LEN;
use super::PACKET_LEN_MAX;
use super::attr::MESSAGE_AUTHENTICATOR;
use super::attr::VALUE_LEN_MAX;
use super::sign;
use super::sign::BLANK;
use super::sign::SEAL_LEN;

/// Something does not fit: a value into its attribute or the attributes into the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("does not fit: an attribute holds 253 octets and a packet 4096")]
pub struct TooLong;

/// Header, blank Message-Authenticator and the attributes so far.
pub(super) struct Draft(Vec<u8>);

impl Draft {
    pub(super) fn new(code: Code, identifier: u8) -> Self {
        let mut bytes = vec![code.octet(), identifier, 0, 0];
        bytes.extend_from_slice(&BLANK);
        // First in every packet: the chosen-prefix collision of CVE-2024-3596 then has nowhere to begin.
        bytes.extend_from_slice(&[MESSAGE_AUTHENTICATOR, 18]);
        bytes.extend_from_slice(&BLANK);
        Self(bytes)
    }

    /// Octets of attributes that still fit.
    pub(super) fn room(&self) -> usize {
        PACKET_LEN_MAX.saturating_sub(self.0.len())
    }

    /// One attribute more. An empty value is left out.
    pub(super) fn push(&mut self, kind: u8, value: &[u8]) -> Result<(), TooLong> {
        if value.is_empty() {
            return Ok(());
        }
        let length = framed_len(value);
        let octet = u8::try_from(length).map_err(|_| TooLong)?;
        if value.len() > VALUE_LEN_MAX || length > self.room() {
            return Err(TooLong);
        }
        self.0.extend_from_slice(&[kind, octet]);
        self.0.extend_from_slice(value);
        Ok(())
    }

    /// Seals a request: Message-Authenticator over its own, random authenticator.
    pub(super) fn into_request(mut self, authenticator: &[u8; SEAL_LEN], secret: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.sign(authenticator, secret)?;
        self.write(AUTHENTICATOR_AT, authenticator)?;
        Ok(self.0)
    }

    /// Seals a reply to the request of that authenticator: Message-Authenticator, and over it the Response Authenticator.
    pub(super) fn into_reply(mut self, asked: &[u8; SEAL_LEN], secret: &[u8]) -> Result<Vec<u8>, TooLong> {
        self.sign(asked, secret)?;
        let seal = sign::response_authenticator(&self.0, asked, secret).ok_or(TooLong)?;
        self.write(AUTHENTICATOR_AT, &seal)?;
        Ok(self.0)
    }

    fn sign(&mut self, authenticator: &[u8; SEAL_LEN], secret: &[u8]) -> Result<(), TooLong> {
        let length = u16::try_from(self.0.len()).map_err(|_| TooLong)?;
        self.write(LENGTH_AT, &length.to_be_bytes())?;
        let seal = sign::message_authenticator(&self.0, authenticator, SIGNATURE_AT, secret).ok_or(TooLong)?;
        self.write(SIGNATURE_AT, &seal)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> Result<(), TooLong> {
        let place = self.0.get_mut(at..).and_then(|behind| behind.get_mut(..bytes.len())).ok_or(TooLong)?;
        place.copy_from_slice(bytes);
        Ok(())
    }
}

/// Octets of an attribute with this value.
pub(super) fn framed_len(value: &[u8]) -> usize {
    value.len().saturating_add(2)
}

const LENGTH_AT: usize = 2;
const SIGNATURE_AT: usize = HEADER_LEN + 2;
