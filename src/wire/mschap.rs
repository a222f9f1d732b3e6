//! MS-CHAP-V2: what a server makes of a response it did not check itself (RFC 2759), keys for MPPE (RFC 3079), and how RADIUS carries it (RFC 2548).
//!
//! The attributes themselves are read and carried by [`super::radius`]. Whoever checked the response (a domain controller) hands back the *hash of the password's hash*. All else here is made of that: no password, no DES, no MD4.
//! LM responses and MS-CHAP-V1 do not exist here.

use std::fmt;
use std::fmt::Write;

use sha1::Digest;
use sha1::Sha1;
use zeroize::Zeroizing;

/// The value of MS-MPPE-Encryption-Policy: encryption is allowed, the client and its peer settle whether (RFC 2548 §2.4.4).
pub const POLICY_ALLOWED: [u8; 4] = [0, 0, 0, 1];
/// The value of MS-MPPE-Encryption-Types: 128 bit keys alone (RFC 2548 §2.4.5).
pub const TYPES_128_BIT: [u8; 4] = [0, 0, 0, 4];

/// MD4 of the MD4 of a password: what the checker of a response hands back, 16 octets.
pub type HashHash = Zeroizing<[u8; 16]>;
/// A key for one direction, 16 octets.
pub type Key = Zeroizing<[u8; 16]>;

/// Why bytes are no MS-CHAP-V2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A flag or a reserved octet is not zero: an LM response, a later version, or noise.
    #[error("a flag or a reserved octet of MS-CHAP2-Response is not zero (RFC 2548 §2.3.2)")]
    Form,
    /// Too few or too many octets.
    #[error("MS-CHAP2-Response has 50 octets (RFC 2548 §2.3.2)")]
    Length,
}

/// A client's MS-CHAP2-Response (RFC 2548 §2.3.2).
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Which exchange; comes back in the answer.
    pub ident: u8,
    /// What the client made up.
    pub peer_challenge: [u8; 16],
    /// What it made of both challenges, the name and the password.
    pub nt_response: [u8; 24],
}

impl Response {
    /// Octets of the attribute's value.
    pub const LEN: usize = 50;

    /// Reads the value of an attribute.
    ///
    /// # Errors
    /// [`Refusal::Length`] unless there are 50 octets; [`Refusal::Form`] when the flags or a reserved octet are not zero.
    pub fn read(value: &[u8]) -> Result<Self, Refusal> {
        let value: &[u8; Self::LEN] = value.try_into().map_err(|_| Refusal::Length)?;
        let ([ident, flags], rest) = value.split_first_chunk::<2>().ok_or(Refusal::Length)?;
        let (peer_challenge, rest) = rest.split_first_chunk::<16>().ok_or(Refusal::Length)?;
        let (reserved, rest) = rest.split_first_chunk::<8>().ok_or(Refusal::Length)?;
        let nt_response = rest.try_into().map_err(|_| Refusal::Length)?;
        if *flags != 0 || *reserved != [0; 8] {
            return Err(Refusal::Form);
        }
        Ok(Self { ident: *ident, peer_challenge: *peer_challenge, nt_response })
    }
}

impl fmt::Debug for Response {
    /// Without the response: a password can be guessed against it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("ident", &self.ident).finish_non_exhaustive()
    }
}

/// The part of a typed name that is in the hash: all that stands behind `DOMAIN\` (RFC 2759 §4, R-091). `alice@example.test` stays whole.
#[must_use]
pub fn user_name(typed: &[u8]) -> &[u8] {
    let behind = typed.iter().position(|byte| *byte == b'\\').map_or(0, |at| at.saturating_add(1));
    typed.get(behind..).unwrap_or_default()
}

/// The 8 octets that the response answers to (RFC 2759 §8.2). `typed` is the name as it came; see [`user_name`].
#[must_use]
pub fn challenge_hash(peer_challenge: &[u8; 16], authenticator_challenge: &[u8; 16], typed: &[u8]) -> [u8; 8] {
    let digest: [u8; 20] = Sha1::new().chain_update(peer_challenge).chain_update(authenticator_challenge).chain_update(user_name(typed)).finalize().into();
    first(&digest)
}

/// The value of MS-CHAP2-Success: the ident and `S=` with 40 upper-case hexadecimal digits, 43 octets (RFC 2759 §8.7, RFC 2548 §2.3.3, R-092).
///
/// It proves to the client that we know its password too; `authenticator_challenge` is the client's MS-CHAP-Challenge, `typed` the name as it came.
#[must_use]
pub fn success(response: &Response, authenticator_challenge: &[u8; 16], typed: &[u8], hash_hash: &HashHash) -> Vec<u8> {
    let inner = Sha1::new().chain_update(hash_hash.as_slice()).chain_update(response.nt_response).chain_update(SIGNING).finalize();
    let challenge = challenge_hash(&response.peer_challenge, authenticator_challenge, typed);
    let digest = Sha1::new().chain_update(inner).chain_update(challenge).chain_update(PADDING).finalize();
    let mut text = String::from("S=");
    hex(&mut text, &digest);
    with_ident(response.ident, &text)
}

/// The keys of the server's side, 128 bit: what goes into MS-MPPE-Send-Key and MS-MPPE-Recv-Key, encrypted (RFC 3079 §3, R-096).
#[derive(Clone, PartialEq, Eq)]
pub struct MppeKeys {
    /// For what the server sends.
    pub send: Key,
    /// For what it receives.
    pub recv: Key,
}

impl MppeKeys {
    /// Derives both from what the checker handed back and the response that passed.
    #[must_use]
    pub fn derive(hash_hash: &HashHash, nt_response: &[u8; 24]) -> Self {
        let master = Sha1::new().chain_update(hash_hash.as_slice()).chain_update(nt_response).chain_update(MASTER_KEY).finalize();
        let master: Key = Zeroizing::new(first(&Zeroizing::new(master.into())));
        let start = |magic| {
            let digest = Sha1::new().chain_update(master.as_slice()).chain_update([0; 40]).chain_update(magic).chain_update([0xf2; 40]).finalize();
            Zeroizing::new(first(&Zeroizing::new(digest.into())))
        };
        Self { send: start(SERVER_SENDS), recv: start(SERVER_RECEIVES) }
    }
}

impl fmt::Debug for MppeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MppeKeys(..)")
    }
}

/// What an MS-CHAP-Error says (RFC 2759 §6). All but [`Failure::Authentication`] and [`Failure::Change`] tell that the password was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 691: wrong name or password, or nothing that a stranger may know.
    Authentication,
    /// 709: the new password was not taken.
    Change,
    /// 647: the account is disabled.
    Disabled,
    /// 648: the password has expired; the client may offer a change.
    Expired,
    /// 646: not at this hour.
    Hours,
    /// 649: no right to dial in.
    NoDialIn,
}

impl Failure {
    /// The number after `E=`.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Authentication => 691,
            Self::Change => 709,
            Self::Disabled => 647,
            Self::Expired => 648,
            Self::Hours => 646,
            Self::NoDialIn => 649,
        }
    }

    /// Which one a value of MS-CHAP-Error tells.
    #[must_use]
    pub fn told(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value.get(1..)?).ok()?;
        let code: u16 = text.strip_prefix("E=")?.split(' ').next()?.parse().ok()?;
        [Self::Authentication, Self::Change, Self::Disabled, Self::Expired, Self::Hours, Self::NoDialIn].into_iter().find(|failure| failure.code() == code)
    }

    /// The value of MS-CHAP-Error: the ident and `E=691 R=0 C=<32 hex> V=3 M=<text>` (RFC 2548 §2.1.5). Never allows a retry.
    ///
    /// `challenge` must be fresh: a client that changes its password (648) answers to it. Signs of `text` that cannot be seen are left out; of the rest as much is
    /// taken as fits into one attribute.
    #[must_use]
    pub fn attribute(self, ident: u8, challenge: &[u8; 16], text: &str) -> Vec<u8> {
        let mut message = format!("E={} R=0 C=", self.code());
        hex(&mut message, challenge);
        message.push_str(" V=3 M=");
        for sign in text.chars().filter(|sign| !sign.is_control()) {
            if message.len().saturating_add(sign.len_utf8()) > ERROR_TEXT_LEN_MAX {
                break;
            }
            message.push(sign);
        }
        with_ident(ident, &message)
    }
}

/// The first octets of a SHA-1 digest. `LEN` is at most 20.
fn first<const LEN: usize>(digest: &[u8; 20]) -> [u8; LEN] {
    std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default())
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing into a String does not fail.
        let _ = write!(text, "{byte:02X}");
    }
}

fn with_ident(ident: u8, text: &str) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len().saturating_add(1));
    value.push(ident);
    value.extend_from_slice(text.as_bytes());
    value
}

/// RFC 2759 §8.7.
const SIGNING: &[u8; 39] = b"Magic server to client signing constant";
const PADDING: &[u8; 41] = b"Pad to make it do more than one iteration";
/// RFC 3079 §3.4.
const MASTER_KEY: &[u8; 27] = b"This is the MPPE Master Key";
const SERVER_RECEIVES: &[u8; 84] = b"On the client side, this is the send key; on the server side, it is the receive key.";
const SERVER_SENDS: &[u8; 84] = b"On the client side, this is the receive key; on the server side, it is the send key.";
/// 253 octets of a value, less vendor number, vendor type, vendor length and ident.
const ERROR_TEXT_LEN_MAX: usize = 246;

#[cfg(test)]
pub(crate) mod tests;
