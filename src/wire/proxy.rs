//! The PROXY protocol, version 2: who a balancer says it speaks for (HAProxy, `proxy-protocol.txt` §2.2). Version 1, which is text, is not read.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Octets of what comes first: signature, version and command, family and protocol, and how much follows.
pub const HEAD_LEN: usize = 16;
/// Octets that may follow. Addresses take 36; the rest is told by TLVs of a few dozen octets each.
pub const REST_LEN_MAX: usize = 4_096;

/// What a balancer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It forwards a connection from this address.
    From(IpAddr),
    /// It speaks for itself (LOCAL), or for somebody without an IP address.
    Nobody,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its checksum is another.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
    /// It is not of the form that version 2 has.
    #[error("the PROXY header is malformed")]
    Form,
    /// More follows than 4,096 octets.
    #[error("the PROXY header is too long")]
    Length,
    /// There is none of version 2: every connection from a listed balancer must begin with one.
    #[error("there is no PROXY header of version 2")]
    Missing,
    /// A protocol without connections.
    #[error("the PROXY header is not for a TCP connection")]
    Protocol,
}

/// How many octets follow a head.
///
/// # Errors
/// `Missing` or `Length`.
pub fn rest_len(head: &[u8; HEAD_LEN]) -> Result<usize, Refusal> {
    let (signature, rest) = head.split_first_chunk::<12>().ok_or(Refusal::Missing)?;
    let [version, _, high, low] = rest else { return Err(Refusal::Missing) };
    if *signature != SIGNATURE || version >> 4 != 2 {
        return Err(Refusal::Missing);
    }
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    if len > REST_LEN_MAX { Err(Refusal::Length) } else { Ok(len) }
}

/// Reads a whole header: a head and the octets behind it, as many as [`rest_len`] says.
///
/// # Errors
/// What is wrong with it. Whoever sends such a header is no balancer that can be trusted: the connection must be closed.
pub fn read(head: &[u8; HEAD_LEN], rest: &[u8]) -> Result<Told, Refusal> {
    if rest_len(head)? != rest.len() {
        return Err(Refusal::Form);
    }
    let [.., command, family, _, _] = head;
    let told = match (command & 0x0f, family >> 4, family & 0x0f) {
        // Whatever else a LOCAL one says is to be ignored.
        (0, ..) => return Ok(Told::Nobody),
        (1, 0 | 3, 0 | 1) => None,
        (1, 1, 1) => Some((Told::From(Ipv4Addr::from(*rest.first_chunk::<4>().ok_or(Refusal::Form)?).into()), 12)),
        (1, 2, 1) => Some((Told::From(IpAddr::from(Ipv6Addr::from(*rest.first_chunk::<16>().ok_or(Refusal::Form)?)).to_canonical()), 36)),
        (1, 1..=3, 2) => return Err(Refusal::Protocol),
        _ => return Err(Refusal::Form),
    };
    let Some((told, addresses_len)) = told else { return Ok(Told::Nobody) };
    check(head, rest, addresses_len)?;
    Ok(told)
}

/// The TLVs behind the addresses: whole, and where one is a checksum, it is right.
fn check(head: &[u8; HEAD_LEN], rest: &[u8], addresses_len: usize) -> Result<(), Refusal> {
    let mut at = addresses_len;
    loop {
        let tlv = rest.get(at..).ok_or(Refusal::Form)?;
        let (kind, len) = match tlv {
            [] => return Ok(()),
            [kind, high, low, ..] => (*kind, usize::from(u16::from_be_bytes([*high, *low]))),
            _ => return Err(Refusal::Form),
        };
        let begin = at.saturating_add(3);
        at = begin.saturating_add(len);
        let value = rest.get(begin..at).ok_or(Refusal::Form)?;
        if kind == TYPE_CRC32C {
            let said = u32::from_be_bytes(value.try_into().map_err(|_| Refusal::Form)?);
            // Over the whole header, the checksum's own octets as zeroes.
            let sum = [rest.get(..begin).unwrap_or_default(), &[0; 4], rest.get(at..).unwrap_or_default()];
            let sum = sum.into_iter().fold(crc32c::crc32c(head), crc32c::crc32c_append);
            if sum != said {
                return Err(Refusal::Checksum);
            }
        }
    }
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// PP2_TYPE_CRC32C (§2.2.3).
const TYPE_CRC32C: u8 = 0x03;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[0x20 | command, family], &len, rest].concat()
    }

    fn told(bytes: &[u8]) -> Result<Told, Refusal> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_LEN>().unwrap();
        read(head, rest)
    }

    fn v4() -> Vec<u8> {
        [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 2, 124].into()
    }

    #[test]
    fn m_43_a_balancer_tells_whom_it_speaks_for() {
        assert_eq!(told(&header(1, 0x11, &v4())), Ok(Told::From("192.0.2.7".parse().unwrap())));
        let mut v6 = vec![0_u8; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        assert_eq!(told(&header(1, 0x21, &v6)), Ok(Told::From("2001:db8::".parse().unwrap())));
        let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 7], &[0; 20]].concat();
        assert_eq!(told(&header(1, 0x21, &mapped)), Ok(Told::From("192.0.2.7".parse().unwrap())), "it is the IPv4 address it is");
    }

    #[test]
    fn m_43_a_connection_of_the_balancers_own_has_no_address() {
        assert_eq!(told(&header(0, 0x11, &v4())), Ok(Told::Nobody));
        assert_eq!(told(&header(0, 0, &[])), Ok(Told::Nobody));
        assert_eq!(told(&header(1, 0, &[])), Ok(Told::Nobody));
        assert_eq!(told(&header(1, 0x31, &[0; 216])), Ok(Told::Nobody), "a Unix socket");
    }

    #[test]
    fn m_43_what_is_no_header_of_version_2_is_refused() {
        let whole = header(1, 0x11, &v4());
        for (at, octet) in whole.iter().enumerate().take(13) {
            let mut broken = whole.clone();
            broken[at] = octet ^ 0x40;
            assert_eq!(told(&broken), Err(Refusal::Missing), "octet {at}");
        }
        assert_eq!(told(b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 636\r\n"), Err(Refusal::Missing), "version 1");
        assert_eq!(told(&header(2, 0x11, &v4())), Err(Refusal::Form));
        assert_eq!(told(&header(1, 0x41, &v4())), Err(Refusal::Form));
        assert_eq!(told(&header(1, 0x12, &v4())), Err(Refusal::Protocol));
        for len in 0..12 {
            assert_eq!(told(&header(1, 0x11, &v4()[..len])), Err(Refusal::Form), "{len} octets");
        }
        let long = [&SIGNATURE[..], &[0x21, 0x11, 0xff, 0xff]].concat();
        assert_eq!(rest_len(&long.try_into().unwrap()), Err(Refusal::Length));
    }

    #[test]
    fn m_43_a_checksum_that_is_there_must_be_right() {
        let mut whole = header(1, 0x11, &[&v4()[..], &[0x04, 0, 1, 9], &[TYPE_CRC32C, 0, 4, 0, 0, 0, 0]].concat());
        let sum = crc32c::crc32c(&whole).to_be_bytes();
        let at = whole.len() - 4;
        whole[at..].copy_from_slice(&sum);
        assert_eq!(told(&whole), Ok(Told::From("192.0.2.7".parse().unwrap())));
        whole[16] ^= 1;
        assert_eq!(told(&whole), Err(Refusal::Checksum), "another address under the same sum");
        assert_eq!(told(&header(1, 0x11, &[&v4()[..], &[0x04, 0, 9, 1]].concat())), Err(Refusal::Form), "a TLV that is cut");
        assert_eq!(told(&header(1, 0x11, &[&v4()[..], &[0x04, 0]].concat())), Err(Refusal::Form));
    }

    proptest! {
        #[test]
        fn m_43_any_octets_are_read_or_refused(command in any::<u8>(), family in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = told(&header(command & 0x0f, family, &rest));
        }
    }
}
