//! RADIUS/1.1 (RFC 9765): a token, and no MD5 anywhere.

use proptest::prelude::*;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::Version;
use super::super::carry::Carried;
use super::super::draft::TooLong;
use super::super::forward::Forward;
use super::super::hide::BadLength;
use super::super::reply;
use super::super::reply::Asked;
use super::super::salt;
use super::super::upstream::AccessRequest;
use super::super::upstream::Unsendable;
use super::super::upstream::verify_reply;
use super::super::upstream::verify_reply_over_tls_11;
use super::MA;
use super::NAME;
use super::SALT;
use super::SECRET;
use super::packet;

/// A packet with token 0x01020304, and nonsense in the reserved fields.
fn v11(code: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = packet(code, attributes);
    bytes[4..8].copy_from_slice(&[1, 2, 3, 4]);
    bytes
}

fn request(bytes: &[u8]) -> Request<'_> {
    Request::over_tls_11(bytes, 4096).unwrap()
}

fn granted() -> Carried {
    let mut carried = Carried::default();
    carried.push(69, b"\x01swordfish").unwrap();
    carried.push_mppe_keys(&[1; 32], &[2; 32]).unwrap();
    carried
}

#[test]
fn r_116_a_request_has_a_token_and_a_plain_password() {
    let bytes = v11(1, &[NAME, (2, b"open sesame")]);
    let request = request(&bytes);
    assert_eq!((request.version(), request.token(), request.signed()), (Version::V11, Some(0x0102_0304), true));
    assert_eq!(**request.user_password(b"not looked at").unwrap().unwrap(), b"open sesame"[..]);
    for password in [&b""[..], &[b'x'; 129]] {
        let bytes = v11(1, &[NAME, (2, password)]);
        assert_eq!(Request::over_tls_11(&bytes, 4096).unwrap().user_password(SECRET).err(), Some(BadLength));
    }
}

#[test]
fn r_116_a_message_authenticator_means_nothing() {
    let eap = (79, &b"\x02\x01\x00\x05\x01"[..]);
    for attributes in [&[NAME, MA][..], &[NAME, MA, MA], &[NAME, (80, b"x")], &[NAME, eap], &[(33, b"p")]] {
        assert!(Request::over_tls_11(&v11(1, attributes), 4096).is_ok());
    }
    let bytes = v11(1, &[NAME, MA]);
    assert_eq!(Forward::of(&request(&bytes), SECRET).unwrap().as_bytes(), b"\x01\x07alice");
    for code in [2, 3, 5, 11, 52, 99] {
        assert_eq!(Request::over_tls_11(&v11(code, &[NAME]), 4096).err(), Some(Refusal::Code));
    }
}

#[test]
fn r_116_a_reply_has_the_token_no_signature_and_nothing_hidden() {
    let bytes = v11(1, &[NAME, (33, b"p")]);
    let answer = reply::accept(&Asked::of(&request(&bytes)), SECRET, &granted(), SALT).unwrap();
    assert_eq!(answer[..2], [2, 0]);
    assert_eq!(answer[4..20], [&[1, 2, 3, 4][..], &[0; 12]].concat());
    let reply = verify_reply_over_tls_11(&answer, &bytes, 4096).unwrap();
    assert_eq!(reply.attributes().iter().map(|found| found.kind).collect::<Vec<_>>(), [69, 26, 26, 33]);
    assert_eq!(reply.attributes().first(69).unwrap().value, b"\x01swordfish");
    assert_eq!(reply.attributes().vendor(311, 16).next(), Some(&[1; 32][..]));
    let other = v11(1, &[NAME]).iter().enumerate().map(|(at, byte)| if at == 7 { 9 } else { *byte }).collect::<Vec<u8>>();
    assert_eq!(verify_reply_over_tls_11(&answer, &other, 4096).err(), Some(Refusal::Identifier));
}

#[test]
fn r_073_keys_cross_between_both_versions() {
    // From an upstream of 1.1 to a client of 1.0, a tunnel's tag made up where it is missing ..
    let sent = Forward::default().over_tls_11(Code::AccessRequest, 7, 4096).unwrap();
    let mut answer = packet(2, &[(69, b"swordfish"), (26, b"\0\0\x01\x37\x10\x05key")]);
    answer[4..8].copy_from_slice(&7_u32.to_be_bytes());
    let carried = Carried::of(&verify_reply_over_tls_11(&answer, &sent, 4096).unwrap(), &[0; 16], b"");
    let question = AccessRequest::new(1, [5; 16]).with(1, b"alice").signed(SECRET).unwrap();
    let asked = Asked::of(&Request::verify(&question, SECRET, Integrity::Require).unwrap());
    let bytes = reply::accept(&asked, SECRET, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let [0, password @ ..] = reply.attributes().first(69).unwrap().value else { panic!() };
    assert_eq!(**salt::reveal(password, SECRET, &[5; 16]).unwrap(), b"swordfish"[..]);
    let key = reply.attributes().vendor(311, 16).next().unwrap();
    assert_eq!(**salt::reveal(key, SECRET, &[5; 16]).unwrap(), b"key"[..]);
    // .. and back, a tag that is to be ignored made none.
    let mut odd = Carried::default();
    odd.push(69, b"\xffswordfish").unwrap();
    let bytes = v11(1, &[NAME]);
    let answer = reply::accept(&Asked::of(&request(&bytes)), b"", &odd, SALT).unwrap();
    assert_eq!(verify_reply_over_tls_11(&answer, &bytes, 4096).unwrap().attributes().first(69).unwrap().value, b"\0swordfish");
}

#[test]
fn r_116_chap_needs_its_challenge_as_an_attribute() {
    let bytes = v11(1, &[NAME, (3, &[1; 17])]);
    assert!(Forward::of(&request(&bytes), SECRET).unwrap().attributes().first(60).is_none());
    // What came in by 1.0 goes on with the authenticator as challenge.
    let old = super::signed(1, &[NAME, (3, &[1; 17]), MA], SECRET);
    let forward = Forward::of(&Request::verify(&old, SECRET, Integrity::Require).unwrap(), SECRET).unwrap();
    let sent = forward.over_tls_11(Code::AccessRequest, 1, 4096).unwrap();
    assert_eq!(request(&sent).first(60).unwrap().value, super::AUTHENTICATOR);
}

#[test]
fn r_116_what_is_sent_has_a_plain_password_and_no_signature() {
    let forward = Forward::default().with_password(b"open sesame").unwrap();
    let sent = forward.over_tls_11(Code::AccessRequest, 0x0102_0304, 4096).unwrap();
    assert_eq!(sent, [&b"\x01\0\0\x21\x01\x02\x03\x04"[..], &[0; 12], b"\x02\x0dopen sesame"].concat());
    let empty = Forward::from_bytes(&[2, 2]).unwrap();
    assert_eq!(empty.over_tls_11(Code::AccessRequest, 1, 4096), Err(Unsendable::Password));
}

#[test]
fn r_117_a_reply_is_as_long_as_the_client_may_be_sent() {
    let mut carried = Carried::default();
    for _ in 0..20 {
        carried.push(25, &[2; 253]).unwrap();
    }
    let bytes = v11(1, &[NAME]);
    assert_eq!(reply::accept(&Asked::of(&request(&bytes)), SECRET, &carried, SALT), Err(TooLong));
    let large = Request::over_tls_11(&bytes, 65_535).unwrap();
    let answer = reply::accept(&Asked::of(&large), SECRET, &carried, SALT).unwrap();
    assert_eq!(verify_reply_over_tls_11(&answer, &bytes, 4096).err(), Some(Refusal::Length));
    assert!(verify_reply_over_tls_11(&answer, &bytes, 65_535).is_ok());
    let error = reply::protocol_error(&Asked::of(&large), SECRET, 601).unwrap();
    let error = verify_reply_over_tls_11(&error, &bytes, 4096).unwrap();
    assert_eq!((error.code(), error.attributes().first(101).unwrap().integer()), (Code::ProtocolError, Some(601)));
    assert!(error.attributes().first(241).is_none());
}

#[test]
fn r_117_a_protocol_error_of_1_0_is_signed_and_says_to_what() {
    let question = AccessRequest::new(1, [5; 16]).with(1, b"alice").with(33, b"p").signed(SECRET).unwrap();
    let asked = Asked::of(&Request::over_tls(&question, SECRET, Integrity::Require, 4096).unwrap());
    let error = reply::protocol_error(&asked, SECRET, 601).unwrap();
    let error = super::super::upstream::verify_reply_over_tls(&error, &question, SECRET, Integrity::Require, 4096).unwrap();
    assert_eq!(error.attributes().iter().map(|found| found.kind).collect::<Vec<_>>(), [80, 241, 101, 33]);
    assert_eq!(error.attributes().first(241).unwrap().value, [4, 0, 0, 0, 1]);
}

proptest! {
    #[test]
    fn r_018_no_bytes_panic(packet in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(request) = Request::over_tls_11(&packet, 65_535) {
            let _ = (request.user_password(SECRET), request.eap(), request.ms_chap2(), request.ms_chap2_cpw(), Forward::of(&request, SECRET));
        }
        let _ = verify_reply_over_tls_11(&packet, &v11(1, &[NAME]), 4096);
    }

    #[test]
    fn r_116_every_truncation_is_refused(attributes in proptest::collection::vec((1_u8.., proptest::collection::vec(any::<u8>(), 0..=40)), 1..8)) {
        let listed: Vec<(u8, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let whole = v11(1, &listed);
        prop_assert!(Request::over_tls_11(&whole, 4096).is_ok());
        for length in 0..whole.len() {
            prop_assert!(Request::over_tls_11(&whole[..length], 4096).is_err());
        }
    }
}
