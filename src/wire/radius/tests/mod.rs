//! The rules of the wire, by their numbers; packets here are put together by hand and not by the code under test.

mod accounting;
mod carried;
mod credentials;
mod forwarded;
mod hidden;
mod oracle;
mod replies;
mod requests;
mod v11;
mod values;
mod vectors;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;

const SECRET: &[u8] = b"a shared secret of 32 characters";
/// Where the salts of a reply begin.
const SALT: [u8; 2] = [0x7f, 0xfe];
const AUTHENTICATOR: [u8; 16] = *b"random and once!";

/// A packet of these attributes, just as they are.
fn packet(code: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![code, 77, 0, 0];
    bytes.extend_from_slice(&AUTHENTICATOR);
    for (kind, value) in attributes {
        bytes.push(*kind);
        bytes.push(u8::try_from(value.len() + 2).unwrap());
        bytes.extend_from_slice(value);
    }
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The same with each Message-Authenticator of sixteen octets made right.
fn signed(code: u8, attributes: &[(u8, &[u8])], secret: &[u8]) -> Vec<u8> {
    let mut bytes = packet(code, attributes);
    let mut hmac = Hmac::<Md5>::new_from_slice(secret).unwrap();
    hmac.update(&bytes);
    let seal = hmac.finalize().into_bytes();
    let mut at = 20;
    for (kind, value) in attributes {
        if *kind == 80 && value.len() == 16 {
            bytes[at + 2..at + 18].copy_from_slice(&seal);
        }
        at += value.len() + 2;
    }
    bytes
}

/// A blank Message-Authenticator.
const MA: (u8, &[u8]) = (80, &[0; 16]);
/// A User-Password of a length that can be.
const PASSWORD: (u8, &[u8]) = (2, &[9; 16]);
const NAME: (u8, &[u8]) = (1, b"alice");

/// A reply of these attributes to the request `sent`, with each Message-Authenticator and the Response Authenticator made right.
fn answered(code: u8, identifier: u8, sent: &[u8], attributes: &[(u8, &[u8])], secret: &[u8]) -> Vec<u8> {
    let mut bytes = packet(code, attributes);
    bytes[1] = identifier;
    bytes[4..20].copy_from_slice(&sent[4..20]);
    let mut hmac = Hmac::<Md5>::new_from_slice(secret).unwrap();
    hmac.update(&bytes);
    let seal = hmac.finalize().into_bytes();
    let mut at = 20;
    for (kind, value) in attributes {
        if *kind == 80 && value.len() == 16 {
            bytes[at + 2..at + 18].copy_from_slice(&seal);
        }
        at += value.len() + 2;
    }
    let seal = Md5::new().chain_update(&bytes).chain_update(secret).finalize();
    bytes[4..20].copy_from_slice(&seal);
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}
