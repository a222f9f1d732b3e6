//! What values mean, and that broken ones count as absent.

use super::super::Integrity;
use super::super::Request;
use super::super::attr::Attribute;
use super::super::attr::Attributes;
use super::super::attr::COUNT_MAX;
use super::super::attr::Long;
use super::super::attr::Tlvs;
use super::super::hide;
use super::super::hide::BadLength;
use super::AUTHENTICATOR;
use super::SECRET;
use super::packet;

fn framed(attributes: &[(u8, &[u8])]) -> Vec<u8> {
    packet(1, attributes)[20..].to_vec()
}

fn extended(attributes: &[(u8, &[u8])]) -> Vec<Long> {
    Attributes::framed(&framed(attributes), COUNT_MAX).unwrap().extended().collect()
}

fn long(kind: u8, extended: u8, value: &[u8]) -> Long {
    Long { kind, extended, value: value.to_vec() }
}

#[test]
fn r_013_a_broken_vendor_attribute_loses_itself_alone() {
    let bytes = framed(&[
        (26, b"\x00\x00\x01\x37\x19"),
        (26, b"\x00\x00\x01\x37\x19\x09ab"),
        (26, b"\x00\x00\x01\x37\x19\x01"),
        (26, b"\x00\x00\x01\x37"),
        (26, b"\x01\x00\x01\x37\x19\x03x"),
        (26, b"\x00\x00"),
        (26, b"\x00\x00\x00\x09\x19\x04no"),
        (26, b"\x00\x00\x01\x37\x0b\x03c\x19\x06here"),
        (26, b"\x00\x00\x01\x37\x19\x05too"),
    ]);
    let found: Vec<&[u8]> = Attributes::framed(&bytes, COUNT_MAX).unwrap().vendor(311, 25).collect();
    assert_eq!(found, [&b"here"[..], b"too"]);
}

#[test]
fn r_014_short_extended_attributes_are_invalid() {
    assert_eq!(extended(&[(241, b""), (242, b"\x01"), (243, b"\x02v"), (244, b"\x03value")]), [long(243, 2, b"v"), long(244, 3, b"value")]);
    assert_eq!(extended(&[(245, b""), (245, b"\x01"), (246, b"\x01\x00"), (246, b"\x02\x00v")]), [long(246, 2, b"v")]);
}

#[test]
fn r_014_fragments_are_put_together() {
    let full = [&[1, 0x80][..], &[b'a'; 251]].concat();
    let found = extended(&[(245, &full), (245, &full), (245, b"\x01\x00end"), (245, b"\x01\x7fother")]);
    assert_eq!(found, [long(245, 1, &[&[b'a'; 502][..], b"end"].concat()), long(245, 1, b"other")]);
}

#[test]
fn r_014_fragments_that_do_not_belong_together_are_dropped_and_the_next_attribute_lives() {
    let full = [&[1, 0x80][..], &[b'a'; 251]].concat();
    assert_eq!(extended(&[(245, &full)]), []);
    assert_eq!(extended(&[(245, &full), (1, b"alice"), (241, b"\x09v")]), [long(241, 9, b"v")]);
    assert_eq!(extended(&[(245, &full), (246, b"\x01\x00v")]), [long(246, 1, b"v")]);
    assert_eq!(extended(&[(245, &full), (245, b"\x02\x00v")]), [long(245, 2, b"v")]);
    assert_eq!(extended(&[(245, b"\x01\x80short"), (245, b"\x01\x00v")]), [long(245, 1, b"v")]);
}

#[test]
fn r_015_nested_tlvs_fill_their_container_exactly_and_end_at_a_depth() {
    assert!(Tlvs::filling(b"").is_none());
    assert!(Tlvs::filling(b"\x01\x03a\x02").is_none());
    assert!(Tlvs::filling(b"\x01\x04a").is_none());
    assert!(Tlvs::filling(b"\x01\x01").is_none());
    let nested = Tlvs::filling(b"\x01\x09\x02\x07\x03\x05\x04\x03v\x09\x03w").unwrap();
    assert_eq!(nested.at(&[9]), Some(&b"w"[..]));
    assert_eq!(nested.at(&[1, 2, 3, 4]), Some(&b"v"[..]));
    assert_eq!(nested.at(&[1, 2, 3, 5]), None);
    assert_eq!(nested.at(&[9, 1]), None);
    assert_eq!(nested.at(&[]), None);
    let mut deep = b"v".to_vec();
    for _ in 0..5 {
        deep = [&[1, u8::try_from(deep.len() + 2).unwrap()][..], &deep].concat();
    }
    assert!(Tlvs::filling(&deep).unwrap().at(&[1; 4]).is_some());
    assert_eq!(Tlvs::filling(&deep).unwrap().at(&[1; 5]), None);
}

#[test]
fn r_016_a_value_has_its_type_s_size_or_is_absent() {
    let value = |value| Attribute { kind: 4, value };
    assert_eq!(value(b"\x7f\x00\x00\x05").ipv4().unwrap().to_string(), "127.0.0.5");
    assert_eq!(value(b"\x00\x00\x01\x00").integer(), Some(256));
    assert_eq!(value(b"\x00\x00\x01").integer(), None);
    assert_eq!(value(&[0; 5]).ipv4(), None);
    assert_eq!(value(&[0x20; 16]).ipv6().unwrap().segments()[0], 0x2020);
    assert_eq!(value(&[0; 15]).ipv6(), None);
    assert_eq!(value("ä".as_bytes()).text(), Some("ä"));
    assert_eq!(value(b"\xff").text(), None);
    assert_eq!(value(b"").text(), None);
}

#[test]
fn r_060_every_password_up_to_128_octets_comes_back() {
    for length in 0..=128 {
        let password = vec![b'p'; length];
        let hidden = hide::hide(&password, SECRET, &AUTHENTICATOR).unwrap();
        assert!(!hidden.is_empty() && hidden.len().is_multiple_of(16));
        assert_eq!(**hide::reveal(&hidden, SECRET, &AUTHENTICATOR).unwrap(), password[..]);
        assert_ne!(hidden, password);
    }
    assert_eq!(hide::hide(&[b'p'; 129], SECRET, &AUTHENTICATOR), Err(BadLength));
}

#[test]
fn r_062_other_credentials_are_seen_beside_a_password() {
    let with = |other: (u8, &[u8])| {
        let datagram = packet(1, &[(2, &[0; 16]), other]);
        Request::verify(&datagram, SECRET, Integrity::Optional).unwrap().has_other_credential()
    };
    assert!(with((3, &[0; 17])));
    assert!(with((70, &[0; 16])));
    assert!(with((26, b"\x00\x00\x01\x37\x19\x03x")));
    assert!(!with((26, b"\x00\x00\x00\x09\x19\x03x")));
    assert!(!with((60, &[0; 16])));
}
