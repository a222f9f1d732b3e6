//! Accounting: authentic by its own authenticator, answered without granting anything.

use md5::Digest;
use md5::Md5;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::carry::Carried;
use super::super::forward::Forward;
use super::super::reply;
use super::super::reply::Asked;
use super::super::upstream::status_server;
use super::super::upstream::verify_reply;
use super::AUTHENTICATOR;
use super::MA;
use super::NAME;
use super::SALT;
use super::SECRET;
use super::answered;
use super::packet;

/// An Accounting-Request put together by hand.
fn started(attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = packet(4, attributes);
    bytes[4..20].fill(0);
    let seal = Md5::new().chain_update(&bytes).chain_update(SECRET).finalize();
    bytes[4..20].copy_from_slice(&seal);
    bytes
}

fn refusal(datagram: &[u8]) -> Option<Refusal> {
    Request::verify_accounting(datagram, SECRET).err()
}

#[test]
fn r_100_the_authenticator_of_an_accounting_request_must_verify() {
    let good = started(&[NAME, (40, &[0, 0, 0, 1]), (33, b"p")]);
    let request = Request::verify_accounting(&good, SECRET).unwrap();
    assert_eq!((request.code(), request.text(1)), (Code::AccountingRequest, Some("alice")));
    assert_eq!(Request::verify_accounting(&good, b"another").err(), Some(Refusal::WrongAuthenticator));
    for at in 0..good.len() {
        assert!(refusal(&good[..at]).is_some());
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            assert!(refusal(&flipped).is_some(), "octet {at} bit {bit}");
        }
    }
}

#[test]
fn r_101_a_message_authenticator_is_not_needed_but_a_wrong_one_is_refused() {
    assert_eq!(refusal(&started(&[NAME])), None);
    assert_eq!(refusal(&started(&[NAME, MA])), Some(Refusal::WrongSignature));
    assert_eq!(refusal(&started(&[NAME, (80, b"short")])), Some(Refusal::BrokenSignature));
    // A right one does not stand in for the authenticator.
    assert_eq!(refusal(&super::signed(4, &[NAME, MA], SECRET)), Some(Refusal::WrongSignature));
}

#[test]
fn r_005_each_port_takes_its_own_kinds_of_request() {
    let accounting = started(&[NAME]);
    assert_eq!(Request::verify(&accounting, SECRET, Integrity::Optional).err(), Some(Refusal::Code));
    for code in [1, 2, 3, 5, 11, 52, 99] {
        assert_eq!(refusal(&super::signed(code, &[NAME, MA], SECRET)), Some(Refusal::Code), "{code}");
    }
    assert_eq!(Request::over_tls(&accounting, SECRET, Integrity::Require, 4096).map(|request| request.code()).ok(), Some(Code::AccountingRequest));
}

#[test]
fn r_102_status_server_is_answered_by_a_signed_accounting_response() {
    let question = status_server(3, &AUTHENTICATOR, SECRET).unwrap();
    assert_eq!(refusal(&packet(12, &[])), Some(Refusal::UnsignedStatus));
    let asked = Asked::of(&Request::verify_accounting(&question, SECRET).unwrap());
    let answer = reply::accounting_response(&asked, SECRET).unwrap();
    assert_eq!(answer[20], 80);
    assert_eq!(verify_reply(&answer, &question, SECRET, Integrity::Require).unwrap().code(), Code::AccountingResponse);
}

#[test]
fn r_040_an_accounting_response_has_the_proxy_states_and_nothing_else() {
    let question = started(&[NAME, (33, b"one"), (33, b"two")]);
    let asked = Asked::of(&Request::verify_accounting(&question, SECRET).unwrap());
    let answer = reply::accounting_response(&asked, SECRET).unwrap();
    let reply = verify_reply(&answer, &question, SECRET, Integrity::Require).unwrap();
    assert_eq!(reply.attributes().iter().map(|found| (found.kind, found.value)).collect::<Vec<_>>(), [(33, &b"one"[..]), (33, b"two")]);
    let mut flipped = answer.clone();
    flipped[10] ^= 1;
    assert_eq!(verify_reply(&flipped, &question, SECRET, Integrity::Require).err(), Some(Refusal::WrongAuthenticator));
}

#[test]
fn a_reply_must_be_of_a_kind_that_answers_the_request() {
    let accounting = started(&[NAME]);
    let asked = Asked::of(&Request::verify_accounting(&accounting, SECRET).unwrap());
    let accept = reply::accept(&asked, SECRET, &Carried::default(), SALT).unwrap();
    assert_eq!(verify_reply(&accept, &accounting, SECRET, Integrity::Require).err(), Some(Refusal::Code));
    let status = status_server(3, &AUTHENTICATOR, SECRET).unwrap();
    for (code, refused) in [(2, None), (3, Some(Refusal::Code)), (5, None), (11, Some(Refusal::Code)), (52, Some(Refusal::Code))] {
        let answer = answered(code, 3, &status, &[MA], SECRET);
        assert_eq!(verify_reply(&answer, &status, SECRET, Integrity::Require).err(), refused, "{code}");
    }
}

#[test]
fn accounting_is_relayed_under_an_authenticator_of_its_own() {
    let request = started(&[NAME, (44, b"session"), (33, b"p")]);
    let forward = Forward::of(&Request::verify_accounting(&request, SECRET).unwrap(), SECRET).unwrap();
    let sent = forward.signed(Code::AccountingRequest, 77, &[1; 16], b"upstream").unwrap();
    let there = Request::verify_accounting(&sent, b"upstream").unwrap();
    assert_eq!(there.attributes().iter().map(|found| found.kind).collect::<Vec<_>>(), [1, 44, 33]);
}
