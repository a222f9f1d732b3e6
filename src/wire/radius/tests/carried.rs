//! Attributes on their way from an upstream's reply to a client's.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Code;
use super::super::Integrity;
use super::super::PACKET_LEN_MAX;
use super::super::Refusal;
use super::super::Request;
use super::super::attr;
use super::super::carry::Carried;
use super::super::draft::TooLong;
use super::super::reply;
use super::super::reply::Asked;
use super::super::salt;
use super::super::upstream::AccessRequest;
use super::super::upstream::Reply;
use super::super::upstream::verify_reply;
use super::SALT;
use super::SECRET;
use super::answered;

const UPSTREAM_SECRET: &[u8] = b"between us and the upstream";
const SENT: [u8; 16] = *b"to the upstream!";

fn client_asks(more: &[(u8, &[u8])]) -> Vec<u8> {
    let request = AccessRequest::new(9, *b"from the client!").with(attr::USER_NAME, b"alice");
    more.iter().fold(request, |request, (kind, value)| request.with(*kind, value)).signed(SECRET).unwrap()
}

fn asked(sent: &[u8]) -> Asked {
    Asked::of(&Request::verify(sent, SECRET, Integrity::Require).unwrap())
}

/// What an upstream's reply of these attributes leaves to carry.
fn carried(code: u8, attributes: &[(u8, &[u8])]) -> Carried {
    let sent = AccessRequest::new(1, SENT).with(attr::USER_NAME, b"alice").signed(UPSTREAM_SECRET).unwrap();
    let bytes = answered(code, 1, &sent, attributes, UPSTREAM_SECRET);
    Carried::of(&verify_reply(&bytes, &sent, UPSTREAM_SECRET, Integrity::Optional).unwrap(), &SENT, UPSTREAM_SECRET)
}

fn microsoft(inner: &[(u8, &[u8])]) -> Vec<u8> {
    vendor(311, inner)
}

fn vendor(id: u32, inner: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    for (kind, value) in inner {
        bytes.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    bytes
}

fn listed(reply: &Reply<'_>) -> Vec<(u8, Vec<u8>)> {
    reply.attributes().iter().filter(|found| found.kind != 80).map(|found| (found.kind, found.value.to_vec())).collect()
}

fn upstream_salted(value: &[u8], salt: u8) -> Vec<u8> {
    salt::hide(value, UPSTREAM_SECRET, &SENT, [0x80, salt]).unwrap()
}

#[test]
fn r_073_what_is_not_hidden_goes_through_byte_for_byte_and_in_order() {
    let cisco = vendor(9, &[(1, b"shell:priv-lvl=15"), (1, b"ip:inacl#1=permit")]);
    let odd = [0, 0, 0, 9, 1];
    let own: [(u8, &[u8]); 9] =
        [(25, b"class\0one"), (11, b"filter"), (26, &cisco), (25, b"class two"), (26, &odd), (8, &[10, 0, 0, 1]), (241, b"\x01v"), (200, b"?"), (18, b"Hello")];
    let carried = carried(2, &[&[(24, &b"state"[..]), (33, b"proxy")][..], &own].concat());
    let question = client_asks(&[(33, b"the client's")]);
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let mut expected: Vec<(u8, Vec<u8>)> = own.iter().map(|(kind, value)| (*kind, value.to_vec())).collect();
    expected.push((33, b"the client's".to_vec()));
    assert_eq!(listed(&reply), expected);
}

#[test]
fn r_073_mppe_keys_are_encrypted_anew() {
    let both = microsoft(&[(16, &upstream_salted(&[1; 32], 1)), (17, &upstream_salted(&[2; 32], 2)), (7, &[0, 0, 0, 1])]);
    let carried = carried(2, &[(26, &both), (11, b"filter")]);
    assert_eq!(carried.vendor(311, 16).collect::<Vec<_>>(), [&[1; 32][..]]);
    let question = client_asks(&[]);
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let hidden = |kind| reply.attributes().vendor(311, kind).next().unwrap();
    assert_eq!(**salt::reveal(hidden(16), SECRET, b"from the client!").unwrap(), [1; 32]);
    assert_eq!(**salt::reveal(hidden(17), SECRET, b"from the client!").unwrap(), [2; 32]);
    assert_eq!(hidden(7), [0, 0, 0, 1]);
    assert_eq!(listed(&reply).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [26, 11]);
    assert!(!bytes.windows(8).any(|bytes| bytes == [1; 8] || bytes == [2; 8]), "a key is there in clear");
}

#[test]
fn r_073_tunnel_passwords_chap_keys_and_ascend_s_secrets_are_hidden_anew() {
    let tunnel = [&[3][..], &upstream_salted(b"swordfish", 7)].concat();
    let chap_keys = salt::hide_chap_keys(&[5; 24], UPSTREAM_SECRET, &SENT).unwrap();
    let ascend = salt::mask_ascend(b"send", UPSTREAM_SECRET, &SENT).unwrap();
    let carried = carried(2, &[(69, &tunnel), (26, &microsoft(&[(12, &chap_keys)])), (26, &vendor(529, &[(214, &ascend)])), (214, &ascend)]);
    assert_eq!(carried.first(69).unwrap().value, b"\x03swordfish");
    let question = client_asks(&[]);
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let authenticator = b"from the client!";
    let [tag, password @ ..] = reply.attributes().first(69).unwrap().value else { panic!() };
    assert_eq!((*tag, &**salt::reveal(password, SECRET, authenticator).unwrap()), (3, &b"swordfish"[..]));
    let keys = reply.attributes().vendor(311, 12).next().unwrap();
    assert_eq!(**salt::reveal_chap_keys(keys, SECRET, authenticator).unwrap(), [[5; 24].to_vec(), vec![0; 8]].concat());
    let sent = salt::mask_ascend(b"send", SECRET, authenticator).unwrap();
    assert_eq!(reply.attributes().vendor(529, 214).next(), Some(&sent[..]));
    assert_eq!(reply.attributes().first(214).unwrap().value, &sent[..]);
}

#[test]
fn r_096_salts_are_unique_in_the_packet_and_have_the_highest_bit() {
    let mut carried = Carried::default();
    for _ in 0..20 {
        carried.push_mppe_keys(&[1; 16], &[2; 16]).unwrap();
        carried.push(69, b"\x01secret").unwrap();
    }
    let question = client_asks(&[]);
    for first in [[0, 0], [0x7f, 0xff], [0xff, 0xff], [0xff, 0xf0]] {
        let bytes = reply::accept(&asked(&question), SECRET, &carried, first).unwrap();
        let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
        let mut salts: Vec<[u8; 2]> = [16, 17].into_iter().flat_map(|kind| reply.attributes().vendor(311, kind)).map(|hidden| [hidden[0], hidden[1]]).collect();
        salts.extend(reply.attributes().all(69).map(|hidden| [hidden.value[1], hidden.value[2]]));
        assert!(salts.len() == 60 && salts.iter().all(|salt| salt[0] >= 0x80));
        assert_eq!(salts.iter().collect::<BTreeSet<_>>().len(), 60, "{first:?}");
    }
}

#[test]
fn r_073_a_hidden_value_that_cannot_be_read_is_left_out_alone_and_counted() {
    let short = [&[1][..], &upstream_salted(b"swordfish", 7)[..17]].concat();
    let carried = carried(2, &[(69, &short), (26, &microsoft(&[(16, b"what?")])), (214, b"short"), (11, b"filter")]);
    assert_eq!(carried.unreadable(), 3);
    assert_eq!(carried.attributes().iter().map(|found| found.kind).collect::<Vec<_>>(), [11]);
}

#[test]
fn r_071_a_reject_lets_through_only_what_may_stand_in_it() {
    let error = microsoft(&[(2, b"\x01E=691 R=0"), (16, &upstream_salted(b"key", 1))]);
    let carried =
        carried(3, &[(18, b"No."), (25, b"class"), (26, &error), (26, &vendor(9, &[(1, b"x")])), (101, &[0, 0, 1, 2]), (27, &[0, 0, 0, 9]), (11, b"filter")]);
    let question = client_asks(&[(33, b"p")]);
    let bytes = reply::reject(&asked(&question), SECRET, None, &carried).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let expected = [(18, b"No.".to_vec()), (26, microsoft(&[(2, b"\x01E=691 R=0")])), (101, vec![0, 0, 1, 2]), (33, b"p".to_vec())];
    assert_eq!(listed(&reply), expected);
}

#[test]
fn r_071_r_085_a_challenge_lets_through_no_authorization_and_no_keys() {
    let cisco = vendor(9, &[(1, b"x")]);
    let keys = microsoft(&[(16, &upstream_salted(b"key", 1))]);
    let all: [(u8, &[u8]); 9] =
        [(18, b"Next:"), (25, b"class"), (26, &keys), (26, &cisco), (27, &[0, 0, 0, 9]), (28, &[0, 0, 0, 8]), (76, &[0, 0, 0, 1]), (11, b"f"), (1, b"bob")];
    let carried = carried(11, &all);
    let question = client_asks(&[]);
    let bytes = reply::challenge(&asked(&question), SECRET, b"ours", None, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    assert_eq!(listed(&reply).iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [24, 18, 26, 27, 28, 76]);
    assert_eq!((reply.state(), reply.message()), (Some(&b"ours"[..]), "Next:".to_owned()));
    assert!(reply.attributes().vendor(311, 16).next().is_none());
}

#[test]
fn r_081_eap_is_split_into_consecutive_pieces_and_stands_without_reply_message() {
    let packet: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let mut carried = Carried::default();
    carried.push(18, b"no text beside EAP").unwrap();
    carried.push_eap(&packet).unwrap();
    assert_eq!(carried.eap(), Some(packet.clone()));
    let question = client_asks(&[(79, b"\x02\x01\x00\x05\x01")]);
    let bytes = reply::challenge(&asked(&question), SECRET, b"state", Some("Code:"), &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    let pieces: Vec<(u8, usize)> = listed(&reply).iter().map(|(kind, value)| (*kind, value.len())).collect();
    assert_eq!(pieces, [(24, 5), (79, 253), (79, 253), (79, 253), (79, 241)]);
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    assert!(!reply.attributes().contains(18), "nor in an Accept");
}

#[test]
fn r_085_a_failed_second_factor_ends_eap() {
    let mut carried = Carried::default();
    carried.push_eap(&reply::eap_failure(7)).unwrap();
    let question = client_asks(&[(79, b"\x02\x07\x00\x05\x01")]);
    let bytes = reply::reject(&asked(&question), SECRET, Some("No."), &carried).unwrap();
    let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
    assert_eq!(listed(&reply), [(79, vec![4, 7, 0, 4])]);
}

#[test]
fn r_072_the_user_name_is_returned_with_eap_alone_and_never_twice() {
    let names = |question: &[u8], carried: &Carried| {
        let bytes = reply::accept(&asked(question), SECRET, carried, SALT).unwrap();
        let reply = verify_reply(&bytes, question, SECRET, Integrity::Require).unwrap();
        reply.attributes().all(1).map(|name| name.value.to_vec()).collect::<Vec<_>>()
    };
    let eap = client_asks(&[(79, b"\x02\x01\x00\x05\x01")]);
    let mut inner = Carried::default();
    inner.push(1, b"inner").unwrap();
    assert_eq!(names(&eap, &Carried::default()), [b"alice"]);
    assert_eq!(names(&eap, &inner), [b"inner"]);
    assert!(names(&client_asks(&[]), &Carried::default()).is_empty());
}

#[test]
fn r_105_the_answer_to_a_status_server_carries_nothing() {
    let mut carried = Carried::default();
    carried.push(25, b"class").unwrap();
    let question = super::super::upstream::status_server(3, &SENT, SECRET).unwrap();
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    assert!(listed(&verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap()).is_empty());
}

#[test]
fn r_070_an_accept_that_does_not_fit_is_an_error_and_nothing_is_left_out() {
    let question = client_asks(&[(33, &[1; 100])]);
    let mut carried = Carried::default();
    for _ in 0..15 {
        carried.push(25, &[2; 253]).unwrap();
    }
    // 4096 less header 20, Message-Authenticator 18, Proxy-State 102 and fifteen of 255 is 131.
    carried.push(25, &[2; 129]).unwrap();
    let bytes = reply::accept(&asked(&question), SECRET, &carried, SALT).unwrap();
    assert_eq!(bytes.len(), PACKET_LEN_MAX);
    let mut longer = carried.without(&[25]);
    longer.push_raw(carried.as_bytes()).unwrap();
    longer.push(25, b"x").unwrap();
    assert_eq!(reply::accept(&asked(&question), SECRET, &longer, SALT), Err(TooLong));
}

#[test]
fn what_is_pushed_is_framed_well_or_refused() {
    let mut carried = Carried::default();
    assert_eq!(carried.push(25, &[0; 254]), Err(TooLong));
    assert_eq!(carried.push(0, b"x"), Err(TooLong));
    assert_eq!(carried.push_vendor(9, 1, &[0; 248]), Err(TooLong));
    assert_eq!(carried.push_raw(&[25, 1]), Err(TooLong));
    assert!(carried.push(25, b"").is_ok() && carried.is_empty());
    carried.push_vendor(9, 1, &[0; 247]).unwrap();
    assert_eq!(carried.vendor(9, 1).next(), Some(&[0; 247][..]));
    assert!(std::iter::repeat_with(|| carried.push(25, &[0; 253])).take(300).any(|pushed| pushed == Err(TooLong)));
    assert_eq!(Carried::from_bytes(&[25, 9, 1]).err(), Some(Refusal::Attribute));
    assert_eq!(Carried::from_bytes(&vec![0; 70_000]).err(), Some(Refusal::Length));
}

#[test]
fn r_067_the_carried_prints_no_values() {
    let mut carried = Carried::default();
    carried.push(25, b"secret").unwrap();
    assert_eq!(format!("{carried:?}"), "[25]");
}

proptest! {
    #[test]
    fn r_073_any_upstream_s_accept_reaches_the_client_or_is_too_long(attributes in proptest::collection::vec((1_u8.., proptest::collection::vec(any::<u8>(), 0..=253)), 0..12)) {
        let listed: Vec<(u8, &[u8])> = attributes.iter().map(|(kind, value)| (*kind, &value[..])).filter(|(kind, _)| ![79, 80].contains(kind)).collect();
        let carried = carried(2, &listed);
        let again = Carried::from_bytes(carried.as_bytes()).unwrap();
        prop_assert_eq!(again.as_bytes(), carried.as_bytes());
        let question = client_asks(&[]);
        if let Ok(bytes) = reply::accept(&asked(&question), SECRET, &carried, SALT) {
            let reply = verify_reply(&bytes, &question, SECRET, Integrity::Require).unwrap();
            prop_assert_eq!(reply.code(), Code::AccessAccept);
            let back = Carried::of(&reply, b"from the client!", SECRET);
            let own: Vec<(u8, &[u8])> = carried.attributes().iter().filter(|found| ![2, 3].contains(&found.kind) && !found.value.is_empty()).map(|found| (found.kind, found.value)).collect();
            let back: Vec<(u8, &[u8])> = back.attributes().iter().map(|found| (found.kind, found.value)).collect();
            prop_assert_eq!(back, own);
        }
    }

    #[test]
    fn r_018_no_bytes_to_carry_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(carried) = Carried::from_bytes(&bytes) {
            prop_assert_eq!(carried.as_bytes(), &bytes[..]);
            let question = client_asks(&[]);
            let asked = asked(&question);
            let _ = (reply::accept(&asked, SECRET, &carried, SALT), reply::reject(&asked, SECRET, None, &carried), reply::challenge(&asked, SECRET, b"s", None, &carried, SALT), carried.eap());
        }
    }
}
