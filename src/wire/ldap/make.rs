//! Messages we send: answers to clients, questions to directories.

use std::borrow::Cow;

use rasn_ldap::AbandonRequest;
use rasn_ldap::AddResponse;
use rasn_ldap::BindResponse;
use rasn_ldap::CompareResponse;
use rasn_ldap::DelResponse;
use rasn_ldap::ExtendedResponse;
use rasn_ldap::Filter;
use rasn_ldap::LdapMessage;
use rasn_ldap::LdapResult;
use rasn_ldap::LdapString;
use rasn_ldap::ModifyDnResponse;
use rasn_ldap::ModifyResponse;
use rasn_ldap::PartialAttribute;
use rasn_ldap::ProtocolOp;
pub use rasn_ldap::ResultCode as Code;
use rasn_ldap::SearchRequest;
use rasn_ldap::SearchRequestDerefAliases;
use rasn_ldap::SearchRequestScope;
use rasn_ldap::SearchResultDone;
use rasn_ldap::SearchResultEntry;
use rasn_ldap::UnbindRequest;
use zeroize::Zeroizing;

use super::ber::Cursor;
use super::ber::Element;
use super::ber::octets;
use super::frame::Frame;
use super::message::Entry;
use super::message::Op;

/// The name of the last message before a server closes (RFC 4511 §4.4.1).
pub(super) const NOTICE_OF_DISCONNECTION: &str = "1.3.6.1.4.1.1466.20036";

/// The answer that ends `op`, of the type that belongs to it. Abandon and Unbind have none: no bytes.
#[must_use]
pub fn answer(op: Op, id: u32, code: Code, text: &str) -> Vec<u8> {
    let result = LdapResult::new(code, LdapString::from(""), LdapString::from(text));
    let response = match op {
        Op::Abandon | Op::Unbind => return Vec::new(),
        Op::Add => ProtocolOp::AddResponse(AddResponse(result)),
        Op::Bind => ProtocolOp::BindResponse(BindResponse::new(code, LdapString::from(""), LdapString::from(text), None, None)),
        Op::Compare => ProtocolOp::CompareResponse(CompareResponse(result)),
        Op::Delete => ProtocolOp::DelResponse(DelResponse(result)),
        Op::Extended => return extended_answer(id, code, text, None, None),
        Op::Modify => ProtocolOp::ModifyResponse(ModifyResponse(result)),
        Op::Rename => ProtocolOp::ModDnResponse(ModifyDnResponse(result)),
        Op::Search => ProtocolOp::SearchResDone(SearchResultDone(result)),
    };
    encode(id, response)
}

/// The result in `frame` as the answer that ends `op`, where a directory has sent one of another kind: Samba may end a search with an extended response.
/// Controls stay. `None` where there is no result in it, or no answer to `op`.
#[must_use]
pub fn retyped(op: Op, frame: &Frame<'_>) -> Option<Vec<u8>> {
    let mut cursor = Cursor::new(frame.body);
    cursor.expect(0x0a).ok()?;
    cursor.expect(0x04).ok()?;
    cursor.expect(0x04).ok()?;
    cursor.optional(0xa3).ok()?;
    let result = frame.body.get(..frame.body.len().checked_sub(cursor.rest().len())?)?;
    Some(framed(frame.id, op.ended_by()?, result, frame.rest))
}

/// The request in `frame` with another content where one is given, and without the control `oid`; as it came where nothing of it goes.
#[must_use]
pub fn trimmed<'a>(frame: &Frame<'a>, body: Option<&[u8]>, oid: &str) -> Cow<'a, [u8]> {
    let rest = without(frame.rest, oid);
    if body.is_none() && rest.is_none() {
        return Cow::Borrowed(frame.bytes);
    }
    Cow::Owned(framed(frame.id, frame.op, body.unwrap_or(frame.body), rest.as_deref().unwrap_or(frame.rest)))
}

/// What follows an operation without this control, and without the list where it was the only one; `None` where it is not there.
fn without(rest: &[u8], oid: &str) -> Option<Vec<u8>> {
    let is_meant = |control: &Element<'_>| Cursor::new(control.value).expect(0x04) == Ok(oid.as_bytes());
    let lists = || elements(rest).filter(|(element, _)| element.tag == 0xa0);
    if !lists().flat_map(|(list, _)| elements(list.value)).any(|(control, _)| is_meant(&control)) {
        return None;
    }
    let mut left = Vec::with_capacity(rest.len());
    for (element, bytes) in elements(rest) {
        if element.tag == 0xa0 {
            let kept: Vec<u8> = elements(element.value).filter(|(control, _)| !is_meant(control)).flat_map(|(_, bytes)| bytes).copied().collect();
            if !kept.is_empty() {
                put(&mut left, 0xa0, &kept);
            }
        } else {
            left.extend(bytes);
        }
    }
    Some(left)
}

/// Elements side by side, each with its own bytes.
fn elements(bytes: &[u8]) -> impl Iterator<Item = (Element<'_>, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    std::iter::from_fn(move || {
        let before = cursor.rest();
        let element = cursor.next().ok()??;
        Some((element, before.get(..before.len().checked_sub(cursor.rest().len())?)?))
    })
}

/// A message of these parts.
fn framed(id: u32, op: u8, body: &[u8], rest: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    let id = octets(&id);
    let message_len = 2_usize.saturating_add(id.len()).saturating_add(element_len(body.len())).saturating_add(rest.len());
    let mut bytes = Vec::with_capacity(element_len(message_len));
    head(&mut bytes, 0x30, message_len);
    bytes.extend([0x02, u8::try_from(id.len()).unwrap_or(4)]);
    bytes.extend(id);
    put(&mut bytes, op, body);
    bytes.extend(rest);
    bytes
}

/// The answer to an extended request, with its name and value where it has any.
#[must_use]
pub fn extended_answer(id: u32, code: Code, text: &str, name: Option<&str>, value: Option<&[u8]>) -> Vec<u8> {
    let response = ExtendedResponse {
        result_code: code,
        matched_dn: LdapString::from(""),
        diagnostic_message: LdapString::from(text),
        referral: None,
        response_name: name.map(|name| name.as_bytes().into()),
        response_value: value.map(Into::into),
    };
    encode(id, ProtocolOp::ExtendedResp(response))
}

/// The Notice of Disconnection (RFC 4511 §4.4.1).
#[must_use]
pub fn notice(code: Code, text: &str) -> Vec<u8> {
    extended_answer(0, code, text, Some(NOTICE_OF_DISCONNECTION), None)
}

/// An entry found, as an answer to the search `id`. Values are a set: they come out sorted.
#[must_use]
pub fn entry(id: u32, entry: &Entry) -> Vec<u8> {
    let attribute = |(name, values): &(String, Vec<Vec<u8>>)| {
        let values: Vec<_> = values.iter().map(|value| value.as_slice().into()).collect();
        PartialAttribute::new(LdapString::from(name.as_str()), values.into())
    };
    let attributes = entry.attributes.iter().map(attribute).collect();
    encode(id, ProtocolOp::SearchResEntry(SearchResultEntry::new(LdapString::from(entry.dn.as_str()), attributes)))
}

/// A base search of `dn` for these attributes, whatever its class.
#[must_use]
pub fn read_request(id: u32, dn: &str, attributes: &[&str]) -> Vec<u8> {
    let request = SearchRequest::new(
        LdapString::from(dn),
        SearchRequestScope::BaseObject,
        SearchRequestDerefAliases::NeverDerefAliases,
        0,
        0,
        false,
        Filter::Present(LdapString::from("objectClass")),
        attributes.iter().map(|name| LdapString::from(*name)).collect(),
    );
    encode(id, ProtocolOp::SearchRequest(request))
}

/// Abandon the operation `target`.
#[must_use]
pub fn abandon(id: u32, target: u32) -> Vec<u8> {
    encode(id, ProtocolOp::AbandonRequest(AbandonRequest(target)))
}

/// Goodbye.
#[must_use]
pub fn unbind_request(id: u32) -> Vec<u8> {
    encode(id, ProtocolOp::UnbindRequest(UnbindRequest))
}

/// A simple bind, version 3. Written by hand into one piece of memory that is wiped: an encoder would leave copies of the password behind.
#[must_use]
pub fn bind_request(id: u32, dn: &str, password: &[u8]) -> Zeroizing<Vec<u8>> {
    let id = id.to_be_bytes();
    let id = octets(&id);
    let body_len = 3_usize.saturating_add(element_len(dn.len())).saturating_add(element_len(password.len()));
    let message_len = 2_usize.saturating_add(id.len()).saturating_add(element_len(body_len));
    let mut bytes = Zeroizing::new(Vec::with_capacity(element_len(message_len)));
    head(&mut bytes, 0x30, message_len);
    bytes.extend([0x02, u8::try_from(id.len()).unwrap_or(4)]);
    bytes.extend(id);
    head(&mut bytes, 0x60, body_len);
    bytes.extend([0x02, 0x01, 0x03]);
    head(&mut bytes, 0x04, dn.len());
    bytes.extend(dn.as_bytes());
    head(&mut bytes, 0x80, password.len());
    bytes.extend(password);
    bytes
}

/// An element.
pub(super) fn put(bytes: &mut Vec<u8>, tag: u8, value: &[u8]) {
    head(bytes, tag, value.len());
    bytes.extend(value);
}

/// Tag and length, the length always in four octets as Active Directory writes it.
fn head(bytes: &mut Vec<u8>, tag: u8, len: usize) {
    bytes.extend([tag, 0x84]);
    bytes.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
}

fn element_len(value_len: usize) -> usize {
    value_len.saturating_add(6)
}

/// Messages of ours always encode. Were one not to, nothing would be sent, and the deadline of whoever waits would end it.
fn encode(id: u32, op: ProtocolOp) -> Vec<u8> {
    rasn::ber::encode(&LdapMessage::new(id, op)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn l_032_a_notice_is_byte_for_byte_what_rfc_4511_says() {
        let inside = b"\x02\x01\x00\x78\x1f\x0a\x01\x02\x04\x00\x04\x00\x8a\x161.3.6.1.4.1.1466.20036";
        let mut expected = vec![0x30, u8::try_from(inside.len()).unwrap()];
        expected.extend(inside);
        assert_eq!(notice(Code::ProtocolError, ""), expected);
    }

    #[test]
    fn the_id_of_a_bind_has_no_octet_too_many() {
        for (id, octets) in [(1, &[1_u8][..]), (127, &[127]), (128, &[0, 128]), (256, &[1, 0]), (0x7fff_ffff, &[0x7f, 0xff, 0xff, 0xff])] {
            assert_eq!(bind_request(id, "", b"x")[8..8 + octets.len()], *octets);
        }
    }

    #[test]
    fn l_050_a_result_of_the_wrong_kind_becomes_one_of_the_right_kind() {
        let told = extended_answer(300, Code::UnavailableCriticalExtension, "no", Some("1.2.3"), Some(b"value"));
        let told = Frame::split(&told, 1_000).unwrap().unwrap();
        let made = retyped(Op::Search, &told).unwrap();
        let made = Frame::split(&made, 1_000).unwrap().unwrap();
        assert_eq!((made.id, made.op, made.result()), (300, 0x65, told.result()));
        let expected = answer(Op::Search, 300, Code::UnavailableCriticalExtension, "no");
        assert_eq!(made.body, Frame::split(&expected, 1_000).unwrap().unwrap().body, "nothing of an extended response is left");
        let entry = entry(5, &Entry { dn: "CN=x".into(), attributes: Vec::new() });
        assert_eq!(retyped(Op::Search, &Frame::split(&entry, 1_000).unwrap().unwrap()), None);
        assert_eq!(retyped(Op::Unbind, &told), None);
    }

    #[test]
    fn l_064_a_control_is_taken_out_and_the_others_stay_as_they_were() {
        let part = |tag: u8, value: &[u8]| [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat();
        let control = |oid: &str| part(0x30, &[part(0x04, oid.as_bytes()), part(0x04, b"\0\xff")].concat());
        let message = |rest: &[u8]| part(0x30, &[part(0x02, &[1, 44]), part(0x4a, b"CN=x"), rest.to_vec()].concat());
        let cases = [
            (message(&[]), None),
            (message(&part(0xa0, &control("1.2.30"))), None),
            (message(&part(0xa0, &control("1.2.3"))), Some(Vec::new())),
            (message(&part(0xa0, &[control("1.2.3"), control("1.2.4"), control("1.2.3")].concat())), Some(vec![&b"1.2.4"[..]])),
        ];
        for (bytes, left) in cases {
            let frame = Frame::split(&bytes, 1_000).unwrap().unwrap();
            let made = trimmed(&frame, None, "1.2.3");
            let Some(left) = left else {
                assert_eq!(made, bytes.as_slice(), "byte for byte");
                continue;
            };
            let read = Frame::split(&made, 1_000).unwrap().unwrap();
            assert_eq!((read.id, read.op, read.body, read.bytes.len()), (300, 0x4a, &b"CN=x"[..], made.len()));
            let told = read.controls().unwrap();
            assert_eq!(told.iter().map(|control| control.oid).collect::<Vec<_>>(), left);
            assert!(told.iter().all(|control| control.value == b"\0\xff"));
            assert_eq!(read.rest.is_empty(), left.is_empty(), "no list of none");
        }
    }

    #[test]
    fn an_unbind_is_seven_bytes() {
        assert_eq!(unbind_request(5), [0x30, 0x05, 0x02, 0x01, 0x05, 0x42, 0x00]);
        assert_eq!(answer(Op::Unbind, 5, Code::Success, ""), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn l_001_another_decoder_reads_our_bind_alike(id in 1_u32..=0x7fff_ffff, dn in ".{0,80}", password in proptest::collection::vec(any::<u8>(), 0..80)) {
            let message: LdapMessage = rasn::ber::decode(&bind_request(id, &dn, &password)).unwrap();
            let ProtocolOp::BindRequest(bind) = message.protocol_op else { panic!() };
            prop_assert_eq!((message.message_id, bind.version, &bind.name.0), (id, 3, &dn));
            prop_assert_eq!(bind.authentication, rasn_ldap::AuthenticationChoice::Simple(password.into()));
        }
    }
}
