//! Questions to a directory: filters built as trees and written so that no typed byte is syntax (RFC 4515), and the entries that come back.

use std::fmt;

use ldap3::ResultEntry;
use ldap3::asn1::PL;
use ldap3::asn1::StructureTag;

/// A filter. There is no way to make one from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// All of them.
    And(Vec<Self>),
    /// The attribute has this value.
    Equal(&'static str, Vec<u8>),
    /// At least one of them.
    Or(Vec<Self>),
    /// The attribute is there.
    Present(&'static str),
}

impl Filter {
    /// The attribute has this text for a value.
    pub(super) fn equal(name: &'static str, value: &str) -> Self {
        Self::Equal(name, value.as_bytes().to_vec())
    }
}

impl fmt::Display for Filter {
    /// As RFC 4515 writes it: every byte of a value that is no ASCII letter or digit becomes `\xx` (L-074).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, sign: char, filters: &[Self]| {
            write!(f, "({sign}")?;
            filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
            write!(f, ")")
        };
        match self {
            Self::And(all) => list(f, '&', all),
            Self::Or(any) => list(f, '|', any),
            Self::Present(name) => write!(f, "({name}=*)"),
            Self::Equal(name, value) => {
                write!(f, "({name}=")?;
                for byte in value {
                    if byte.is_ascii_alphanumeric() { write!(f, "{}", char::from(*byte))? } else { write!(f, "\\{byte:02x}")? }
                }
                write!(f, ")")
            }
        }
    }
}

/// An entry as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its distinguished name.
    pub(super) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Found {
    /// Reads an answer; `None` for a reference to another server and for what is not of RFC 4511's form (`ldap3`'s own reader panics on that).
    pub(super) fn read(answer: ResultEntry) -> Option<Self> {
        if answer.0.id != SEARCH_RESULT_ENTRY {
            return None;
        }
        let mut parts = inside(answer.0)?.into_iter();
        let dn = text(parts.next()?)?;
        let mut attributes = Vec::new();
        for attribute in inside(parts.next()?)? {
            let mut parts = inside(attribute)?.into_iter();
            let name = text(parts.next()?)?;
            let values = inside(parts.next()?)?.into_iter().map(bytes).collect::<Option<Vec<_>>>()?;
            attributes.push((name, values));
        }
        Some(Self { dn, attributes })
    }

    /// The values of an attribute; none where it is not there.
    pub(super) fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map_or(&[], |(_, values)| values.as_slice())
    }

    /// The first value of an attribute that is text and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values(name).iter().filter_map(|value| std::str::from_utf8(value).ok()).find(|value| !value.is_empty())
    }
}

fn inside(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn bytes(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

fn text(tag: StructureTag) -> Option<String> {
    bytes(tag).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// RFC 4511 §4.5.2.
const SEARCH_RESULT_ENTRY: u64 = 4;

#[cfg(test)]
mod tests {
    use ldap3::asn1::TagClass;
    use ldap3::parse_filter;
    use proptest::prelude::*;

    use super::*;

    fn tag(id: u64, payload: PL) -> StructureTag {
        StructureTag { class: TagClass::Universal, id, payload }
    }

    fn string(bytes: &[u8]) -> StructureTag {
        tag(4, PL::P(bytes.to_vec()))
    }

    #[test]
    fn l_074_no_typed_sign_is_syntax() {
        let filter = Filter::And(vec![
            Filter::equal("objectClass", "user"),
            Filter::Or(vec![Filter::equal("sAMAccountName", "*)(a=\\b\0"), Filter::equal("userPrincipalName", "jörg@example.test")]),
            Filter::Present("objectSid"),
        ]);
        let written = r"(&(objectClass=user)(|(sAMAccountName=\2a\29\28a\3d\5cb\00)(userPrincipalName=j\c3\b6rg\40example\2etest))(objectSid=*))";
        assert_eq!(filter.to_string(), written);
        assert!(parse_filter(written).is_ok());
    }

    #[test]
    fn an_entry_of_another_form_is_none_and_no_panic() {
        let entry = |parts| ResultEntry::new(tag(4, PL::C(parts)));
        let values = tag(17, PL::C(vec![string(b"alice"), string(&[0xff])]));
        let attribute = tag(16, PL::C(vec![string(b"uid"), values.clone()]));
        let good = Found::read(entry(vec![string(b"uid=alice"), tag(16, PL::C(vec![attribute]))])).unwrap();
        assert_eq!((good.dn.as_str(), good.text("UID"), good.values("uid").len()), ("uid=alice", Some("alice"), 2));
        assert_eq!((good.text("cn"), good.values("cn").len()), (None, 0));
        let bad: [Vec<StructureTag>; 7] = [
            vec![],
            vec![string(b"uid=alice")],
            vec![string(&[0xff]), tag(16, PL::C(vec![]))],
            vec![string(b"uid=alice"), string(b"")],
            vec![string(b"uid=alice"), tag(16, PL::C(vec![string(b"uid")]))],
            vec![string(b"uid=alice"), tag(16, PL::C(vec![tag(16, PL::C(vec![values]))]))],
            vec![string(b"uid=alice"), tag(16, PL::C(vec![tag(16, PL::C(vec![string(b"uid"), tag(17, PL::C(vec![tag(4, PL::C(vec![]))]))]))]))],
        ];
        for parts in bad {
            assert_eq!(Found::read(entry(parts.clone())), None, "{parts:?}");
        }
        assert_eq!(Found::read(ResultEntry::new(tag(19, PL::C(vec![string(b"ldap://other")])))), None);
    }

    proptest! {
        #[test]
        fn l_074_any_value_is_one_value(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let written = Filter::Equal("cn", value.clone()).to_string();
            prop_assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(written.matches(['(', ')', '*']).count(), 2);
            prop_assert!(parse_filter(&written).is_ok());
        }
    }
}
