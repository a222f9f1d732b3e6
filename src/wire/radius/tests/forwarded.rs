//! Requests on their way to an upstream, and its replies.

use proptest::prelude::*;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::attr;
use super::super::draft::TooLong;
use super::super::forward::Forward;
use super::super::hide;
use super::super::hide::BadLength;
use super::super::upstream::Unsendable;
use super::super::upstream::verify_reply;
use super::super::upstream::verify_reply_over_tls;
use super::AUTHENTICATOR;
use super::MA;
use super::NAME;
use super::PASSWORD;
use super::SECRET;
use super::answered;
use super::signed;

const UPSTREAM_SECRET: &[u8] = b"between us and the upstream";

fn forward(attributes: &[(u8, &[u8])]) -> Forward {
    let datagram = signed(1, &[attributes, &[MA]].concat(), SECRET);
    Forward::of(&Request::verify(&datagram, SECRET, Integrity::Require).unwrap(), SECRET).unwrap()
}

fn kinds(forward: &Forward) -> Vec<u8> {
    forward.attributes().iter().map(|found| found.kind).collect()
}

#[test]
fn r_041_r_082_all_goes_on_in_order_but_what_is_between_the_client_and_us() {
    let hidden = hide::hide(b"open sesame", SECRET, &AUTHENTICATOR).unwrap();
    let cisco = b"\0\0\0\x09\x01\x03x";
    let all = [NAME, (33, b"one"), (2, &hidden[..]), (24, b"state"), (12, &[0, 0, 4, 0]), (26, cisco), (5, b""), (33, b"two")];
    let forward = forward(&all);
    assert_eq!(kinds(&forward), [1, 33, 2, 12, 26, 33]);
    let sent = forward.signed(Code::AccessRequest, 5, &[9; 16], UPSTREAM_SECRET).unwrap();
    assert_eq!(sent[20], 80);
    let there = Request::verify(&sent, UPSTREAM_SECRET, Integrity::Require).unwrap();
    assert_eq!((there.identifier(), there.authenticator()), (5, &[9; 16]));
    assert_eq!(**there.user_password(UPSTREAM_SECRET).unwrap().unwrap(), b"open sesame"[..]);
    assert_eq!(there.first(attr::FRAMED_MTU).unwrap().integer(), Some(1024));
    assert_eq!(there.first(26).unwrap().value, cisco);
    assert_eq!(there.proxy_states().collect::<Vec<_>>(), [b"one", b"two"]);
    assert!(!sent.windows(4).any(|window| window == b"open"));
}

#[test]
fn r_063_the_request_authenticator_goes_on_as_chap_challenge() {
    let without = forward(&[NAME, (3, &[1; 17])]);
    assert_eq!(without.attributes().first(60).unwrap().value, AUTHENTICATOR);
    assert_eq!(kinds(&forward(&[NAME, (3, &[1; 17]), (60, b"own")])), [1, 3, 60]);
    assert_eq!(kinds(&forward(&[NAME, PASSWORD])), [1, 2]);
}

#[test]
fn r_060_a_password_of_impossible_length_goes_nowhere() {
    let datagram = signed(1, &[NAME, (2, &[1; 17]), MA], SECRET);
    assert_eq!(Forward::of(&Request::verify(&datagram, SECRET, Integrity::Require).unwrap(), SECRET).err(), Some(BadLength));
}

#[test]
fn r_086_an_eap_start_stays_one() {
    let forward = forward(&[NAME, (79, b"")]);
    let sent = forward.signed(Code::AccessRequest, 5, &[9; 16], UPSTREAM_SECRET).unwrap();
    assert_eq!(Request::verify(&sent, UPSTREAM_SECRET, Integrity::Require).unwrap().eap(), Ok(Some(Vec::new())));
}

#[test]
fn another_password_takes_the_place_of_the_first_and_a_state_is_the_only_one() {
    let changed = forward(&[NAME, PASSWORD, (5, &[0, 0, 0, 1])]).with_password(b"alone").unwrap().with_state(b"old").unwrap().with_state(b"new").unwrap();
    assert_eq!(kinds(&changed), [1, 2, 5, 24]);
    assert_eq!(changed.attributes().first(2).unwrap().value, b"alone");
    assert_eq!(changed.attributes().first(24).unwrap().value, b"new");
    assert_eq!(kinds(&forward(&[NAME]).with_password(b"x").unwrap()), [1, 2]);
    assert_eq!(changed.clone().with_password(&[1; 129]).err(), Some(TooLong));
    assert_eq!(changed.with_state(&[1; 254]).err(), Some(TooLong));
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let too_much = Forward::from_bytes(&[&[200, 255][..], &[0; 253]].concat().repeat(16)).unwrap();
    assert_eq!(too_much.signed(Code::AccessRequest, 1, &[9; 16], SECRET), Err(Unsendable::TooLong(TooLong)));
    let sent = too_much.over_tls(Code::AccessRequest, 1, &[9; 16], SECRET, 65_535).unwrap();
    assert_eq!(Request::over_tls(&sent, SECRET, Integrity::Require, 4096).err(), Some(Refusal::Length));
    assert!(Request::over_tls(&sent, SECRET, Integrity::Require, 65_535).is_ok());
    let password = Forward::from_bytes(&[&[2, 131][..], &[1; 129]].concat()).unwrap();
    assert_eq!(password.signed(Code::AccessRequest, 1, &[9; 16], SECRET), Err(Unsendable::Password));
}

#[test]
fn r_039_an_unsigned_reply_passes_only_where_configured() {
    let sent = forward(&[NAME, PASSWORD]).signed(Code::AccessRequest, 5, &[9; 16], SECRET).unwrap();
    let unsigned = answered(2, 5, &sent, &[(18, b"hi")], SECRET);
    assert_eq!(verify_reply(&unsigned, &sent, SECRET, Integrity::Require).err(), Some(Refusal::Unsigned));
    for integrity in [Integrity::Observe, Integrity::Optional] {
        assert!(verify_reply(&unsigned, &sent, SECRET, integrity).is_ok());
        for at in 20..unsigned.len() {
            let mut flipped = unsigned.clone();
            flipped[at] ^= 4;
            assert!(verify_reply(&flipped, &sent, SECRET, integrity).is_err(), "{at}");
        }
        let mut forged = answered(2, 5, &sent, &[(18, b"hi"), MA], SECRET);
        forged[4] ^= 1;
        assert_eq!(verify_reply(&forged, &sent, SECRET, integrity).err(), Some(Refusal::WrongAuthenticator));
        let mut signature = answered(2, 5, &sent, &[(80, &[7; 16])], b"another");
        signature[30] ^= 1;
        assert_eq!(verify_reply(&signature, &sent, SECRET, integrity).err(), Some(Refusal::WrongSignature));
    }
}

#[test]
fn r_036_a_reply_with_eap_is_never_taken_unsigned() {
    let sent = forward(&[NAME, (79, b"\x02\x01\x00\x05\x01")]).signed(Code::AccessRequest, 5, &[9; 16], SECRET).unwrap();
    for integrity in [Integrity::Observe, Integrity::Optional, Integrity::Require] {
        let unsigned = answered(11, 5, &sent, &[(24, b"s"), (79, b"\x01\x02\x00\x05\x04")], SECRET);
        assert_eq!(verify_reply(&unsigned, &sent, SECRET, integrity).err(), Some(Refusal::UnsignedEap));
        let good = answered(11, 5, &sent, &[(24, b"s"), (79, b"\x01\x02\x00\x05\x04"), MA], SECRET);
        assert!(verify_reply(&good, &sent, SECRET, integrity).is_ok());
    }
}

#[test]
fn r_117_a_protocol_error_is_heard_over_tls_alone() {
    let sent = forward(&[NAME, PASSWORD]).signed(Code::AccessRequest, 5, &[9; 16], SECRET).unwrap();
    let error = answered(52, 5, &sent, &[MA, (101, &[0, 0, 2, 89])], SECRET);
    assert_eq!(verify_reply(&error, &sent, SECRET, Integrity::Require).err(), Some(Refusal::Code));
    assert_eq!(verify_reply_over_tls(&error, &sent, SECRET, Integrity::Require, 4096).unwrap().code(), Code::ProtocolError);
}

#[test]
fn r_067_the_forwarded_prints_no_values() {
    assert_eq!(format!("{:?}", forward(&[NAME, PASSWORD])), "[1, 2]");
}

proptest! {
    #[test]
    fn r_018_what_is_forwarded_comes_back_from_its_bytes(attributes in proptest::collection::vec((1_u8..80, proptest::collection::vec(any::<u8>(), 1..=253)), 0..12), password in "[ -~]{1,128}") {
        let listed: Vec<(u8, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).filter(|(kind, _)| ![2, 24, 60].contains(kind)).collect();
        let hidden = hide::hide(password.as_bytes(), SECRET, &AUTHENTICATOR).unwrap();
        let forward = forward(&[&[(2, &hidden[..]), (60, &b"challenge"[..])][..], &listed].concat());
        let again = Forward::from_bytes(forward.as_bytes()).unwrap();
        let sent = again.signed(Code::AccessRequest, 1, &[3; 16], UPSTREAM_SECRET).unwrap();
        let there = Request::verify(&sent, UPSTREAM_SECRET, Integrity::Require).unwrap();
        prop_assert_eq!(&**there.user_password(UPSTREAM_SECRET).unwrap().unwrap(), password.as_bytes());
        let found: Vec<(u8, &[u8])> = there.attributes().iter().skip(3).map(|found| (found.kind, found.value)).collect();
        prop_assert_eq!(found, listed);
    }

    #[test]
    fn r_018_no_bytes_to_forward_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(forward) = Forward::from_bytes(&bytes) {
            prop_assert_eq!(forward.as_bytes(), &bytes[..]);
            let _ = (forward.signed(Code::AccessRequest, 1, &[3; 16], SECRET), forward.over_tls_11(Code::AccessRequest, 1, 4096));
        }
    }

    #[test]
    fn r_018_no_reply_panics(datagram in proptest::collection::vec(any::<u8>(), 0..600)) {
        let sent = Forward::default().signed(Code::StatusServer, 1, &[3; 16], SECRET).unwrap();
        let _ = (verify_reply(&datagram, &sent, SECRET, Integrity::Optional), verify_reply(&sent, &datagram, SECRET, Integrity::Optional));
    }
}
