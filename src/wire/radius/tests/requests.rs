//! Which datagrams become a `Request`, and which are dropped and why.

use proptest::prelude::*;

use super::super::Code;
use super::super::Integrity;
use super::super::Refusal;
use super::super::Request;
use super::super::upstream::AccessRequest;
use super::super::upstream::status_server;
use super::AUTHENTICATOR;
use super::MA;
use super::NAME;
use super::PASSWORD;
use super::SECRET;
use super::packet;
use super::signed;

const ALL: [Integrity; 3] = [Integrity::Observe, Integrity::Optional, Integrity::Require];

fn refusal(datagram: &[u8], integrity: Integrity) -> Option<Refusal> {
    Request::verify(datagram, SECRET, integrity).err()
}

fn require(datagram: &[u8]) -> Option<Refusal> {
    refusal(datagram, Integrity::Require)
}

fn good() -> Vec<u8> {
    signed(1, &[NAME, PASSWORD, (33, b"proxy"), MA], SECRET)
}

#[test]
fn r_001_fewer_than_twenty_octets_are_no_packet() {
    for length in 0..20 {
        assert_eq!(require(&good()[..length]), Some(Refusal::Short));
    }
}

#[test]
fn r_002_a_length_field_below_20_or_above_4096_is_refused() {
    let mut datagram = vec![0; 5000];
    datagram[..good().len()].copy_from_slice(&good());
    for length in [0_u16, 19, 4097, 5000, 65535] {
        datagram[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(require(&datagram), Some(Refusal::Length), "{length}");
    }
}

#[test]
fn r_003_every_truncation_of_a_good_packet_is_refused() {
    let good = good();
    assert_eq!(require(&good), None);
    for length in 20..good.len() {
        assert_eq!(require(&good[..length]), Some(Refusal::Truncated), "{length}");
    }
}

#[test]
fn r_004_octets_behind_the_packet_are_padding() {
    let mut datagram = good();
    datagram.extend_from_slice(&[0xff; 300]);
    let request = Request::verify(&datagram, SECRET, Integrity::Require).unwrap();
    assert_eq!(request.attributes().iter().count(), 4);
}

#[test]
fn r_005_only_access_request_and_status_server_are_taken() {
    for code in 0..=255 {
        let expected = if [1, 12].contains(&code) { None } else { Some(Refusal::Code) };
        assert_eq!(require(&signed(code, &[NAME, PASSWORD, MA], SECRET)), expected, "{code}");
    }
}

#[test]
fn r_006_impossible_attributes_lose_the_packet() {
    for tail in [&[1_u8, 0][..], &[1, 1], &[1, 5, 0], &[1], &[0, 3, 7], &[0, 2]] {
        let mut datagram = packet(1, &[NAME, PASSWORD]);
        datagram.extend_from_slice(tail);
        let length = u16::try_from(datagram.len()).unwrap();
        datagram[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(refusal(&datagram, Integrity::Optional), Some(Refusal::Attribute), "{tail:?}");
    }
}

#[test]
fn r_007_r_008_wrong_sized_and_unknown_attributes_are_ignored() {
    let datagram = signed(1, &[NAME, PASSWORD, (4, b"\x7f\x00"), (5, b""), (200, b"?"), (26, b"\x00"), MA], SECRET);
    let request = Request::verify(&datagram, SECRET, Integrity::Require).unwrap();
    assert_eq!(request.first(4).unwrap().ipv4(), None);
    assert_eq!(request.text(1), Some("alice"));
}

#[test]
fn r_009_r_034_no_order_is_expected_of_attributes() {
    for attributes in [[MA, NAME, PASSWORD], [NAME, MA, PASSWORD], [PASSWORD, NAME, MA]] {
        let datagram = signed(1, &attributes, SECRET);
        let request = Request::verify(&datagram, SECRET, Integrity::Require).unwrap();
        assert!(request.signed());
        assert_eq!(request.text(1), Some("alice"));
    }
}

#[test]
fn r_010_an_empty_text_counts_as_absent() {
    let datagram = signed(1, &[(1, b""), PASSWORD, (24, b""), (33, b""), MA], SECRET);
    let request = Request::verify(&datagram, SECRET, Integrity::Require).unwrap();
    assert_eq!(request.text(1), None);
    assert_eq!(request.state(), None);
    assert_eq!(request.proxy_states().count(), 0);
}

#[test]
fn r_011_embedded_nuls_survive() {
    let datagram = signed(1, &[(1, b"ali\0ce"), PASSWORD, MA], SECRET);
    assert_eq!(Request::verify(&datagram, SECRET, Integrity::Require).unwrap().text(1), Some("ali\0ce"));
}

#[test]
fn r_012_two_hundred_attributes_pass_and_one_more_does_not() {
    let mut attributes = vec![(200, &b"x"[..]); 199];
    attributes.push(MA);
    assert_eq!(require(&signed(1, &attributes, SECRET)), None);
    attributes.push((200, b"x"));
    assert_eq!(require(&signed(1, &attributes, SECRET)), Some(Refusal::TooMany));
}

#[test]
fn r_023_secrets_of_any_length_work() {
    for length in [1, 16, 32, 63, 64, 65, 128, 1000] {
        let secret = vec![b's'; length];
        let sent = AccessRequest::new(1, AUTHENTICATOR).with(1, b"alice").password(b"open").signed(&secret).unwrap();
        let request = Request::verify(&sent, &secret, Integrity::Require).unwrap();
        assert_eq!(**request.user_password(&secret).unwrap().unwrap(), b"open"[..]);
    }
}

#[test]
fn r_025_a_wrong_secret_is_refused_whatever_the_configuration() {
    for integrity in ALL {
        assert_eq!(Request::verify(&good(), b"another", integrity).err(), Some(Refusal::WrongSignature));
    }
}

#[test]
fn r_026_every_flipped_bit_of_a_signed_packet_is_refused() {
    let good = good();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone();
            flipped[at] ^= 1 << bit;
            for integrity in ALL {
                assert!(refusal(&flipped, integrity).is_some(), "octet {at} bit {bit} {integrity:?}");
            }
        }
    }
}

#[test]
fn r_032_unsigned_requests_pass_only_where_configured() {
    let unsigned = packet(1, &[NAME, PASSWORD]);
    assert_eq!(refusal(&unsigned, Integrity::Require), Some(Refusal::Unsigned));
    for integrity in [Integrity::Observe, Integrity::Optional] {
        assert!(!Request::verify(&unsigned, SECRET, integrity).unwrap().signed());
    }
}

#[test]
fn r_033_proxy_state_unsigned_is_dropped_in_every_mode() {
    let unsigned = packet(1, &[NAME, PASSWORD, (33, b"p")]);
    let empty = packet(1, &[NAME, PASSWORD, (33, b"")]);
    for integrity in [Integrity::Observe, Integrity::Optional] {
        assert_eq!(refusal(&unsigned, integrity), Some(Refusal::UnsignedProxyState));
        assert_eq!(refusal(&empty, integrity), Some(Refusal::UnsignedProxyState));
    }
    assert_eq!(refusal(&unsigned, Integrity::Require), Some(Refusal::Unsigned));
}

#[test]
fn r_035_two_message_authenticators_or_one_of_another_length_are_refused() {
    for attributes in [&[NAME, PASSWORD, MA, MA][..], &[NAME, PASSWORD, (80, &[0; 15])], &[NAME, PASSWORD, (80, b"")], &[(80, &[0; 17]), NAME, PASSWORD]] {
        for integrity in ALL {
            assert_eq!(refusal(&signed(1, attributes, SECRET), integrity), Some(Refusal::BrokenSignature));
        }
    }
}

#[test]
fn r_036_eap_without_a_signature_is_dropped() {
    for attributes in [&[NAME, PASSWORD, (79, &b"\x02\x01\x00\x05\x01"[..])][..], &[NAME, (79, b"")]] {
        for integrity in ALL {
            assert_eq!(refusal(&packet(1, attributes), integrity), Some(Refusal::UnsignedEap));
        }
    }
}

#[test]
fn r_037_no_credential_and_no_signature_is_dropped() {
    let microsoft = |kind: u8| [&[0, 0, 1, 55, kind, 52][..], &[0; 50]].concat();
    assert_eq!(refusal(&packet(1, &[NAME]), Integrity::Optional), Some(Refusal::UnsignedBare));
    for credential in [(2, &[0; 16][..]), (3, &[0; 17]), (70, &[0; 16]), (26, &microsoft(25)), (26, &microsoft(1))] {
        assert_eq!(refusal(&packet(1, &[NAME, credential]), Integrity::Optional), None, "{credential:?}");
    }
    assert_eq!(refusal(&packet(1, &[NAME, (26, &microsoft(11))]), Integrity::Optional), Some(Refusal::UnsignedBare));
}

#[test]
fn r_060_user_passwords_of_impossible_length_are_an_error_and_no_panic() {
    for length in 0..=253 {
        let hidden = vec![1; length];
        let datagram = signed(1, &[NAME, (2, &hidden), MA], SECRET);
        let request = Request::verify(&datagram, SECRET, Integrity::Require).unwrap();
        let possible = length > 0 && length <= 128 && length % 16 == 0;
        assert_eq!(request.user_password(SECRET).is_ok(), possible, "{length}");
    }
}

#[test]
fn r_102_status_server_must_be_signed() {
    let asked = status_server(3, &AUTHENTICATOR, SECRET).unwrap();
    assert_eq!(Request::verify(&asked, SECRET, Integrity::Optional).unwrap().code(), Code::StatusServer);
    for integrity in ALL {
        assert_eq!(refusal(&packet(12, &[]), integrity), Some(Refusal::UnsignedStatus));
        assert_eq!(refusal(&packet(12, &[NAME, PASSWORD]), integrity), Some(Refusal::UnsignedStatus));
        assert_eq!(Request::verify(&asked, b"another", integrity).err(), Some(Refusal::WrongSignature));
    }
}

#[test]
fn r_067_a_request_does_not_print_its_values() {
    let datagram = signed(1, &[NAME, PASSWORD, MA], SECRET);
    let printed = format!("{:?}", Request::verify(&datagram, SECRET, Integrity::Require).unwrap());
    assert!(!printed.contains("alice") && !printed.contains("9, 9"), "{printed}");
}

proptest! {
    #[test]
    fn r_018_no_bytes_panic(datagram in proptest::collection::vec(any::<u8>(), 0..5000)) {
        for integrity in ALL {
            if let Ok(request) = Request::verify(&datagram, SECRET, integrity) {
                let _ = (request.user_password(SECRET), request.state(), request.text(1), request.attributes().extended().count());
            }
        }
    }

    #[test]
    fn r_018_no_attributes_panic(attributes in proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..=253)), 0..12)) {
        let listed: Vec<(u8, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        if let Ok(request) = Request::verify(&packet(1, &listed), SECRET, Integrity::Optional) {
            let _ = (request.user_password(SECRET), request.state(), request.has_other_credential(), request.attributes().extended().count());
            prop_assert_eq!(request.attributes().iter().count(), attributes.len());
        }
    }

    #[test]
    fn what_we_send_we_read(name in "[^\\x00]{1,60}", password in "[a-zA-Z0-9 äöü€]{0,40}", state in proptest::collection::vec(any::<u8>(), 1..=253), identifier: u8, authenticator: [u8; 16]) {
        prop_assume!(name.len() <= 253);
        let sent = AccessRequest::new(identifier, authenticator).with(1, name.as_bytes()).with(24, &state).password(password.as_bytes()).signed(SECRET).unwrap();
        let request = Request::verify(&sent, SECRET, Integrity::Require).unwrap();
        prop_assert_eq!((request.code(), request.identifier(), *request.authenticator()), (Code::AccessRequest, identifier, authenticator));
        prop_assert_eq!(request.text(1), Some(&name[..]));
        prop_assert_eq!(request.state(), Some(&state[..]));
        prop_assert_eq!(&**request.user_password(SECRET).unwrap().unwrap(), password.as_bytes());
    }
}
