//! What replies look like, and which of them a client believes.

use proptest::prelude::*;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::attr;
use super::super::carry::Carried;
use super::super::reply;
use super::super::reply::Asked;
use super::super::reply::TooLong;
use super::super::upstream::AccessRequest;
use super::super::upstream::Unsendable;
use super::super::upstream::verify_reply;
use super::AUTHENTICATOR;
use super::SALT;
use super::SECRET;
use super::packet;

fn question(proxy_states: &[&[u8]]) -> Vec<u8> {
    let request = AccessRequest::new(77, AUTHENTICATOR).with(attr::USER_NAME, b"alice").password(b"open");
    proxy_states.iter().fold(request, |request, state| request.with(attr::PROXY_STATE, state)).signed(SECRET).unwrap()
}

fn asked(sent: &[u8]) -> Asked {
    Asked::of(&Request::verify(sent, SECRET, Integrity::Require).unwrap())
}

fn kinds(datagram: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut rest = &datagram[20..];
    while !rest.is_empty() {
        kinds.push(rest[0]);
        rest = &rest[usize::from(rest[1])..];
    }
    kinds
}

#[test]
fn r_030_r_040_message_authenticator_is_first_and_proxy_states_are_last_in_order() {
    let sent = question(&[b"first", b"second\0", b"first"]);
    let asked = asked(&sent);
    let replies = [
        (Code::AccessAccept, reply::accept(&asked, SECRET, &Carried::default(), SALT).unwrap(), vec![80, 33, 33, 33]),
        (Code::AccessReject, reply::reject(&asked, SECRET, Some("No."), &Carried::default()).unwrap(), vec![80, 18, 33, 33, 33]),
        (Code::AccessChallenge, reply::challenge(&asked, SECRET, b"state", Some("Code:"), &Carried::default(), SALT).unwrap(), vec![80, 24, 18, 33, 33, 33]),
    ];
    for (code, bytes, order) in replies {
        assert_eq!(kinds(&bytes), order, "{code:?}");
        let reply = verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap();
        assert_eq!(reply.code(), code);
        let echoed: Vec<&[u8]> = reply.attributes().all(attr::PROXY_STATE).map(|attribute| attribute.value).collect();
        assert_eq!(echoed, [&b"first"[..], b"second\0", b"first"]);
    }
}

#[test]
fn r_042_a_challenge_carries_exactly_one_state() {
    let sent = question(&[]);
    let bytes = reply::challenge(&asked(&sent), SECRET, &[7; 32], Some("Code:"), &Carried::default(), SALT).unwrap();
    let reply = verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap();
    assert_eq!(reply.attributes().all(attr::STATE).count(), 1);
    assert_eq!(reply.state(), Some(&[7; 32][..]));
    assert_eq!(reply.message(), "Code:");
    assert_eq!(reply::challenge(&asked(&sent), SECRET, b"", Some("Code:"), &Carried::default(), SALT), Err(TooLong));
    assert_eq!(reply::challenge(&asked(&sent), SECRET, &[7; 254], Some("Code:"), &Carried::default(), SALT), Err(TooLong));
}

#[test]
fn r_070_long_texts_are_split_at_borders_of_characters() {
    let sent = question(&[]);
    let text = "é€😀x".repeat(100);
    let bytes = reply::reject(&asked(&sent), SECRET, Some(&text), &Carried::default()).unwrap();
    let reply = verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap();
    assert!(reply.attributes().all(attr::REPLY_MESSAGE).all(|piece| piece.text().is_some()));
    assert_eq!(reply.message(), text);
}

#[test]
fn r_070_control_characters_are_taken_out() {
    let sent = question(&[]);
    let bytes = reply::reject(&asked(&sent), SECRET, Some("one\r\ntwo\0\u{1b}[2Jthree\u{9b}"), &Carried::default()).unwrap();
    assert_eq!(verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap().message(), "one  two[2Jthree");
    let empty = reply::reject(&asked(&sent), SECRET, Some("\0\u{7}"), &Carried::default()).unwrap();
    assert_eq!(kinds(&empty), [80]);
}

#[test]
fn r_070_no_reply_is_longer_than_4096_octets_and_the_text_gives_way() {
    let proxy_state = [5; 253];
    let sent = question(&[&proxy_state[..]; 15]);
    let bytes = reply::challenge(&asked(&sent), SECRET, &[7; 32], Some(&"long".repeat(300)), &Carried::default(), SALT).unwrap();
    assert!(bytes.len() <= 4096, "{}", bytes.len());
    let reply = verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap();
    assert_eq!(reply.attributes().all(attr::PROXY_STATE).count(), 15);
    assert!(reply.message().starts_with("longlong"));
    let full = reply::reject(&asked(&sent), SECRET, Some(&"€".repeat(2000)), &Carried::default()).unwrap();
    assert!((4090..=4096).contains(&full.len()), "{}", full.len());
}

#[test]
fn r_071_a_reject_has_only_what_a_reject_may_have() {
    let sent = question(&[b"p"]);
    let bytes = reply::reject(&asked(&sent), SECRET, Some(&"no ".repeat(200)), &Carried::default()).unwrap();
    assert!(kinds(&bytes).iter().all(|kind| [18, 33, 80].contains(kind)));
}

#[test]
fn r_105_an_accept_authorizes_nothing_beyond_itself() {
    assert_eq!(kinds(&reply::accept(&asked(&question(&[])), SECRET, &Carried::default(), SALT).unwrap()), [80]);
}

#[test]
fn r_039_every_flipped_bit_and_truncation_of_a_reply_is_refused() {
    let sent = question(&[b"p"]);
    let good = reply::challenge(&asked(&sent), SECRET, b"state", Some("Code:"), &Carried::default(), SALT).unwrap();
    for at in 0..good.len() {
        assert!(verify_reply(&good[..at], &sent, SECRET, Integrity::Require).is_err());
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            assert!(verify_reply(&flipped, &sent, SECRET, Integrity::Require).is_err(), "octet {at} bit {bit}");
        }
    }
}

#[test]
fn r_039_a_reply_to_another_request_is_refused() {
    let good = reply::accept(&asked(&question(&[])), SECRET, &Carried::default(), SALT).unwrap();
    let other = AccessRequest::new(78, AUTHENTICATOR).password(b"open").signed(SECRET).unwrap();
    assert_eq!(verify_reply(&good, &other, SECRET, Integrity::Require).err(), Some(Refusal::Identifier));
    let later = AccessRequest::new(77, [8; 16]).password(b"open").signed(SECRET).unwrap();
    assert_eq!(verify_reply(&good, &later, SECRET, Integrity::Require).err(), Some(Refusal::WrongSignature));
    assert_eq!(verify_reply(&good, &question(&[]), b"another", Integrity::Require).err(), Some(Refusal::WrongSignature));
}

#[test]
fn r_039_an_unsigned_accept_is_refused_even_with_a_right_response_authenticator() {
    use md5::Digest;
    let sent = question(&[]);
    let mut forged = packet(2, &[(18, b"welcome")]);
    let seal = md5::Md5::new().chain_update(&forged).chain_update(SECRET).finalize();
    forged[4..20].copy_from_slice(&seal);
    assert_eq!(verify_reply(&forged, &sent, SECRET, Integrity::Require).err(), Some(Refusal::Unsigned));
}

#[test]
fn a_request_is_no_reply() {
    let sent = question(&[]);
    assert_eq!(verify_reply(&sent, &sent, SECRET, Integrity::Require).err(), Some(Refusal::Code));
}

#[test]
fn what_does_not_fit_is_not_sent() {
    let request = AccessRequest::new(1, AUTHENTICATOR);
    assert_eq!(request.clone().password(&[b'x'; 129]).signed(SECRET), Err(Unsendable::Password));
    assert!(request.clone().password(&[b'x'; 128]).signed(SECRET).is_ok());
    assert_eq!(request.clone().with(1, &[b'x'; 254]).signed(SECRET), Err(Unsendable::TooLong(TooLong)));
    let many = (0..17).fold(request, |request, _| request.with(200, &[b'x'; 253]));
    assert_eq!(many.signed(SECRET), Err(Unsendable::TooLong(TooLong)));
}

proptest! {
    #[test]
    fn r_070_any_text_makes_a_reply_that_a_client_reads(text in "\\PC{0,2000}", state in proptest::collection::vec(any::<u8>(), 1..=253)) {
        let sent = question(&[b"one", b"two"]);
        let bytes = reply::challenge(&asked(&sent), SECRET, &state, Some(&text), &Carried::default(), SALT).unwrap();
        prop_assert!(bytes.len() <= 4096);
        let reply = verify_reply(&bytes, &sent, SECRET, Integrity::Require).unwrap();
        prop_assert_eq!(reply.state(), Some(&state[..]));
        prop_assert!(reply.attributes().all(attr::REPLY_MESSAGE).all(|piece| piece.text().is_some_and(|text| !text.chars().any(char::is_control))));
        prop_assert_eq!(reply.attributes().all(attr::PROXY_STATE).count(), 2);
    }
}
