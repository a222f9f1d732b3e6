//! Credentials other than a password: MS-CHAPv2, EAP.

use zeroize::Zeroizing;

use crate::wire::mschap;

use super::Request;
use super::attr;
use super::attr::Attributes;

/// EAP-Messages with other attributes between them: not one EAP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the EAP-Messages are not one behind the other")]
pub struct Scattered;

/// What an MS-CHAPv2 client proves (RFC 2548 §2.3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct MsChap2<'a> {
    /// MS-CHAP-Challenge.
    pub challenge: &'a [u8; 16],
    /// MS-CHAP2-Response as it came: for who hands it on.
    pub bytes: &'a [u8; mschap::Response::LEN],
    /// The same, read.
    pub response: mschap::Response,
}

impl std::fmt::Debug for MsChap2<'_> {
    /// Without the octets: a password can be guessed against them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MsChap2").field("response", &self.response).finish_non_exhaustive()
    }
}

/// A password that is changed by MS-CHAPv2 (RFC 2548 §2.3.4, RFC 2759 §7).
#[derive(Clone, PartialEq, Eq)]
pub struct MsChap2Change<'a> {
    /// MS-CHAP-Challenge.
    pub challenge: &'a [u8; 16],
    /// The identifier that the answer repeats.
    pub identifier: u8,
    /// The hash of the old password under that of the new one.
    pub encrypted_hash: &'a [u8; 16],
    /// The peer's own challenge.
    pub peer_challenge: &'a [u8; 16],
    /// The response, made with the new password.
    pub response: &'a [u8; 24],
    /// The new password under the hash of the old one: 516 octets.
    pub new_password: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MsChap2Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MsChap2Change").field("identifier", &self.identifier).finish_non_exhaustive()
    }
}

impl<'a> Request<'a> {
    /// The EAP packet: all EAP-Messages put together, which must stand one behind the other. Empty: an EAP-Start (RFC 3579 §2.1). `None`: no EAP.
    ///
    /// # Errors
    /// Something stands between them: no valid EAP.
    pub fn eap(&self) -> Result<Option<Vec<u8>>, Scattered> {
        let mut packet: Option<Vec<u8>> = None;
        let mut ended = false;
        for attribute in self.attributes {
            if attribute.kind != attr::EAP_MESSAGE {
                ended = packet.is_some();
            } else if ended {
                return Err(Scattered);
            } else {
                packet.get_or_insert_default().extend_from_slice(attribute.value);
            }
        }
        Ok(packet)
    }

    /// As [`Attributes::ms_chap2`].
    #[must_use]
    pub fn ms_chap2(&self) -> Option<MsChap2<'a>> {
        self.attributes.ms_chap2()
    }

    /// As [`Attributes::ms_chap2_cpw`].
    #[must_use]
    pub fn ms_chap2_cpw(&self) -> Option<MsChap2Change<'a>> {
        self.attributes.ms_chap2_cpw()
    }
}

impl<'a> Attributes<'a> {
    /// MS-CHAPv2, where challenge and response have the lengths they must have, and flags and reserved octets are blank.
    #[must_use]
    pub fn ms_chap2(&self) -> Option<MsChap2<'a>> {
        let bytes: &[u8; mschap::Response::LEN] = self.microsoft(attr::MS_CHAP2_RESPONSE)?.try_into().ok()?;
        let response = mschap::Response::read(bytes).ok()?;
        let challenge = self.microsoft(attr::MS_CHAP_CHALLENGE)?.try_into().ok()?;
        Some(MsChap2 { challenge, bytes, response })
    }

    /// What a person typed, where a client puts six octets of it in MS-CHAP2-Response in the place where the peer's challenge would begin, whatever else is
    /// there (FortiGate answers a challenge like this).
    #[must_use]
    pub fn typed_in_ms_chap2(&self) -> Option<&'a [u8]> {
        self.microsoft(attr::MS_CHAP2_RESPONSE)?.get(2..8)
    }

    /// MS-CHAP2-CPW and its MS-CHAP-NT-Enc-PWs, put in order. Nothing where a length is wrong, a piece is missing, there twice or another's.
    #[must_use]
    pub fn ms_chap2_cpw(&self) -> Option<MsChap2Change<'a>> {
        let (head, rest) = self.microsoft(attr::MS_CHAP2_CPW)?.split_first_chunk::<2>()?;
        let [code, identifier] = *head;
        let (encrypted_hash, rest) = rest.split_first_chunk()?;
        let (peer_challenge, rest) = rest.split_first_chunk()?;
        let (reserved, rest) = rest.split_first_chunk::<8>()?;
        let (response, flags) = rest.split_first_chunk()?;
        if code != CPW_2 || *reserved != [0; 8] || flags != [0; 2] {
            return None;
        }
        let challenge = self.microsoft(attr::MS_CHAP_CHALLENGE)?.try_into().ok()?;
        let new_password = self.new_password(identifier)?;
        Some(MsChap2Change { challenge, identifier, encrypted_hash, peer_challenge, response, new_password })
    }

    /// The pieces of an encrypted new password, by their numbers (RFC 2548 §2.1.6).
    fn new_password(&self, identifier: u8) -> Option<Zeroizing<Vec<u8>>> {
        let mut pieces = Vec::new();
        for value in self.vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_NT_ENC_PW) {
            let (head, piece) = value.split_first_chunk::<4>()?;
            let [code, of, high, low] = *head;
            if code != NT_ENC_PW || of != identifier {
                return None;
            }
            pieces.push((u16::from_be_bytes([high, low]), piece));
        }
        pieces.sort_unstable_by_key(|(number, _)| *number);
        let first = pieces.first()?.0;
        let mut whole = Zeroizing::new(Vec::with_capacity(NEW_PASSWORD_LEN));
        for ((number, piece), expected) in pieces.into_iter().zip(first..) {
            if number != expected || whole.len().saturating_add(piece.len()) > NEW_PASSWORD_LEN {
                return None;
            }
            whole.extend_from_slice(piece);
        }
        // Numbers begin with 1; some begin with 0.
        (first <= 1 && whole.len() == NEW_PASSWORD_LEN).then_some(whole)
    }

    /// The first of this attribute of Microsoft's.
    fn microsoft(&self, kind: u8) -> Option<&'a [u8]> {
        self.vendor(attr::VENDOR_MICROSOFT, kind).next()
    }
}

/// What MS-CHAP2-CPW and MS-CHAP-NT-Enc-PW begin with.
const CPW_2: u8 = 7;
const NT_ENC_PW: u8 = 6;
const NEW_PASSWORD_LEN: usize = 516;
