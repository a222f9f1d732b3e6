//! RADIUS packets, as far as a load needs them (RFC 2865, RFC 3579 §3.2).

use std::net::Ipv4Addr;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;

pub const ACCESS_REQUEST: u8 = 1;
pub const ACCESS_ACCEPT: u8 = 2;
pub const ACCESS_REJECT: u8 = 3;
pub const ACCESS_CHALLENGE: u8 = 11;
/// RFC 2865 §3.
pub const PACKET_LEN_MAX: usize = 4_096;

const HEADER_LEN: usize = 20;
const USER_NAME: u8 = 1;
const USER_PASSWORD: u8 = 2;
const NAS_IP_ADDRESS: u8 = 4;
const STATE: u8 = 24;
const CALLING_STATION_ID: u8 = 31;
const MESSAGE_AUTHENTICATOR: u8 = 80;

pub type Authenticator = [u8; 16];

/// A shared secret, with as much of the hashing done as can be done ahead.
#[derive(Clone)]
pub struct Secret {
    bytes: Vec<u8>,
    begun: Md5,
    mac: Hmac<Md5>,
}

impl Secret {
    pub fn new(bytes: &[u8]) -> Self {
        let mac = Hmac::new_from_slice(bytes).expect("HMAC takes keys of any length");
        Self { bytes: bytes.to_vec(), begun: Md5::new_with_prefix(bytes), mac }
    }

    /// Hides a password in place: RFC 2865 §5.2.
    fn hide(&self, password: &mut [u8], authenticator: &Authenticator) {
        let mut before = *authenticator;
        for block in password.chunks_exact_mut(16) {
            let mask = self.begun.clone().chain_update(before).finalize();
            block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
            before.copy_from_slice(block);
        }
    }

    /// The Message-Authenticator of a packet whose own stands at `at`, with this in place of the packet's authenticator.
    fn mac(&self, packet: &[u8], authenticator: &Authenticator, at: usize) -> [u8; 16] {
        let mut mac = self.mac.clone();
        for piece in [&packet[..4], authenticator, &packet[HEADER_LEN..at], &[0; 16], &packet[at + 16..]] {
            mac.update(piece);
        }
        mac.finalize().into_bytes().into()
    }

    /// RFC 2865 §3: MD5(Code+ID+Length+RequestAuth+Attributes+Secret).
    fn response_authenticator(&self, packet: &[u8], asked: &Authenticator) -> [u8; 16] {
        Md5::new().chain_update(&packet[..4]).chain_update(asked).chain_update(&packet[HEADER_LEN..]).chain_update(&self.bytes).finalize().into()
    }
}

/// What an Access-Request says.
pub struct Ask<'a> {
    pub name: &'a str,
    pub password: &'a str,
    pub state: Option<&'a [u8]>,
    pub calling: Option<&'a str>,
    pub nas: Ipv4Addr,
}

/// A signed Access-Request.
pub fn request(secret: &Secret, identifier: u8, authenticator: &Authenticator, ask: &Ask<'_>) -> Vec<u8> {
    let mut packet = Vec::with_capacity(160);
    packet.extend([ACCESS_REQUEST, identifier, 0, 0]);
    packet.extend(authenticator);
    put(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
    put(&mut packet, USER_NAME, ask.name.as_bytes());
    let mut password = ask.password.as_bytes().to_vec();
    password.resize(password.len().next_multiple_of(16).max(16), 0);
    secret.hide(&mut password, authenticator);
    put(&mut packet, USER_PASSWORD, &password);
    put(&mut packet, NAS_IP_ADDRESS, &ask.nas.octets());
    if let Some(calling) = ask.calling {
        put(&mut packet, CALLING_STATION_ID, calling.as_bytes());
    }
    if let Some(state) = ask.state {
        put(&mut packet, STATE, state);
    }
    set_length(&mut packet);
    let signature = secret.mac(&packet, authenticator, HEADER_LEN + 2);
    packet[HEADER_LEN + 2..HEADER_LEN + 18].copy_from_slice(&signature);
    packet
}

/// A signed Access-Accept to a request.
pub fn accept(secret: &Secret, request: &[u8]) -> Vec<u8> {
    let asked: Authenticator = request[4..HEADER_LEN].try_into().expect("16 bytes");
    let mut packet = Vec::with_capacity(64);
    packet.extend([ACCESS_ACCEPT, request[1], 0, 0]);
    packet.extend(asked);
    put(&mut packet, MESSAGE_AUTHENTICATOR, &[0; 16]);
    // RFC 2865 §5.33: copied, in their order.
    let states = attributes(request).into_iter().flatten().filter(|(kind, ..)| *kind == PROXY_STATE);
    states.for_each(|(kind, _, value)| put(&mut packet, kind, value));
    set_length(&mut packet);
    let signature = secret.mac(&packet, &asked, HEADER_LEN + 2);
    packet[HEADER_LEN + 2..HEADER_LEN + 18].copy_from_slice(&signature);
    let authenticator = secret.response_authenticator(&packet, &asked);
    packet[4..HEADER_LEN].copy_from_slice(&authenticator);
    packet
}

const PROXY_STATE: u8 = 33;

/// Why a packet is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Authenticator,
    Length,
    Signature,
    Unsigned,
}

/// What a checked response says.
#[derive(Debug, PartialEq, Eq)]
pub struct Response<'a> {
    pub code: u8,
    pub signed: bool,
    pub state: Option<&'a [u8]>,
}

/// Checks length, Response Authenticator and Message-Authenticator of a response to the request of that authenticator.
pub fn response<'a>(secret: &Secret, datagram: &'a [u8], asked: &Authenticator, unsigned_ok: bool) -> Result<Response<'a>, Wrong> {
    let fields = attributes(datagram).ok_or(Wrong::Length)?;
    if secret.response_authenticator(datagram, asked) != datagram[4..HEADER_LEN] {
        return Err(Wrong::Authenticator);
    }
    let signed = check_signature(secret, datagram, asked, &fields, unsigned_ok)?;
    let state = fields.iter().find(|(kind, ..)| *kind == STATE).map(|(_, _, value)| *value);
    Ok(Response { code: datagram[0], signed, state })
}

/// Checks length and Message-Authenticator of a request.
pub fn check_request(secret: &Secret, datagram: &[u8]) -> Result<(), Wrong> {
    let fields = attributes(datagram).filter(|_| datagram[0] == ACCESS_REQUEST).ok_or(Wrong::Length)?;
    let authenticator: Authenticator = datagram[4..HEADER_LEN].try_into().expect("16 bytes");
    check_signature(secret, datagram, &authenticator, &fields, false).map(|_| ())
}

/// Whether there is a signature; one that is there is good.
fn check_signature(secret: &Secret, datagram: &[u8], asked: &Authenticator, fields: &[Field<'_>], unsigned_ok: bool) -> Result<bool, Wrong> {
    match fields.iter().find(|(kind, ..)| *kind == MESSAGE_AUTHENTICATOR) {
        Some((_, at, value)) if value.len() == 16 && secret.mac(datagram, asked, *at) == **value => Ok(true),
        None if unsigned_ok => Ok(false),
        None => Err(Wrong::Unsigned),
        Some(_) => Err(Wrong::Signature),
    }
}

/// Type, where the value begins, the value.
type Field<'a> = (u8, usize, &'a [u8]);

/// The attributes of a datagram that is one packet from its first byte to its last; `None` for any other.
fn attributes(datagram: &[u8]) -> Option<Vec<Field<'_>>> {
    let told = usize::from(u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]));
    if told != datagram.len() || told < HEADER_LEN {
        return None;
    }
    let mut fields = Vec::with_capacity(8);
    let mut at = HEADER_LEN;
    while at < datagram.len() {
        let (kind, length) = (datagram[at], usize::from(*datagram.get(at + 1)?));
        let value = datagram.get(at + 2..at + length)?;
        fields.push((kind, at + 2, value));
        at += length;
    }
    Some(fields)
}

fn put(packet: &mut Vec<u8>, kind: u8, value: &[u8]) {
    packet.push(kind);
    packet.push(u8::try_from(value.len() + 2).expect("attributes of a load are short"));
    packet.extend(value);
}

fn set_length(packet: &mut [u8]) {
    let length = u16::try_from(packet.len()).expect("packets of a load are short");
    packet[2..4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> (Secret, Vec<u8>) {
        let secret = Secret::new(b"xyzzy5461");
        let ask = Ask { name: "u000001", password: "p000001", state: Some(b"abc"), calling: Some("10.20.0.1"), nas: Ipv4Addr::LOCALHOST };
        let packet = request(&secret, 7, &[9; 16], &ask);
        (secret, packet)
    }

    #[test]
    fn rfc_2865_section_7_1_hides_the_password() {
        let authenticator = [0x0f, 0x40, 0x3f, 0x94, 0x73, 0x97, 0x80, 0x57, 0xbd, 0x83, 0xd5, 0xcb, 0x98, 0xf4, 0x22, 0x7a];
        let mut password = *b"arctangent\0\0\0\0\0\0";
        Secret::new(b"xyzzy5461").hide(&mut password, &authenticator);
        assert_eq!(password, [0x0d, 0xbe, 0x70, 0x8d, 0x93, 0xd4, 0x13, 0xce, 0x31, 0x96, 0xe4, 0x3f, 0x78, 0x2a, 0x0a, 0xee]);
    }

    #[test]
    fn a_request_is_signed_and_a_changed_one_is_found_out() {
        let (secret, packet) = asked();
        assert_eq!(check_request(&secret, &packet), Ok(()));
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert!(check_request(&secret, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_accept_is_checked_to_its_last_bit() {
        let (secret, packet) = asked();
        let good = accept(&secret, &packet);
        assert_eq!(response(&secret, &good, &[9; 16], false), Ok(Response { code: ACCESS_ACCEPT, signed: true, state: None }));
        for at in (0..good.len()).filter(|at| *at != 1) {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(response(&secret, &changed, &[9; 16], false).is_err(), "byte {at}");
        }
        assert_eq!(response(&secret, &good, &[8; 16], false), Err(Wrong::Authenticator));
        assert_eq!(response(&secret, &good[..good.len() - 1], &[9; 16], false), Err(Wrong::Length));
    }
}
