//! Searches we ask: a filter built as a tree, so that no typed byte is syntax, written straight into the buffer that is sent (RFC 4511 §4.5.1).

use std::borrow::Cow;

use super::ber::octets;

/// A filter. There is no way to make one from text, and none to write one that is: a value goes out as counted bytes (L-074).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter<'a> {
    /// All of them.
    And(Vec<Self>),
    /// The attribute has this value.
    Equal(&'a str, &'a [u8]),
    /// At least one of them.
    Or(Vec<Self>),
    /// The attribute is there.
    Present(&'a str),
}

impl<'a> Filter<'a> {
    /// The attribute has this text for a value.
    #[must_use]
    pub fn equal(name: &'a str, value: &'a str) -> Self {
        Self::Equal(name, value.as_bytes())
    }
}

/// How far below its base a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The base itself alone.
    Base,
    /// The base and all below it.
    Subtree,
}

/// What is asked of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// Where.
    pub base: Cow<'a, str>,
    /// How far below.
    pub scope: Scope,
    /// For what.
    pub filter: Filter<'a>,
    /// What of it.
    pub attributes: &'a [&'a str],
    /// How many entries at most; where one is somebody, two are nobody.
    pub count_max: u16,
}

impl Question<'_> {
    /// Appends it as the message `id`. Aliases are not followed, values are wanted.
    pub fn write(&self, id: u32, to: &mut Vec<u8>) {
        within(to, 0x30, |to| {
            integer(to, id);
            within(to, 0x63, |to| {
                string(to, 0x04, self.base.as_bytes());
                let scope = match self.scope {
                    Scope::Base => 0,
                    Scope::Subtree => 2,
                };
                to.extend([0x0a, 1, scope]);
                to.extend(NO_ALIASES);
                integer(to, self.count_max.into());
                to.extend(NO_TIME_LIMIT);
                to.extend(VALUES_TOO);
                filter(to, &self.filter);
                within(to, 0x30, |to| self.attributes.iter().for_each(|name| string(to, 0x04, name.as_bytes())));
            });
        });
    }
}

/// RFC 4511 §4.5.1.7.
fn filter(to: &mut Vec<u8>, what: &Filter<'_>) {
    match what {
        Filter::And(all) => within(to, 0xa0, |to| all.iter().for_each(|one| filter(to, one))),
        Filter::Or(any) => within(to, 0xa1, |to| any.iter().for_each(|one| filter(to, one))),
        Filter::Equal(name, value) => within(to, 0xa3, |to| {
            string(to, 0x04, name.as_bytes());
            string(to, 0x04, value);
        }),
        Filter::Present(name) => string(to, 0x87, name.as_bytes()),
    }
}

fn integer(to: &mut Vec<u8>, number: u32) {
    let bytes = number.to_be_bytes();
    let octets = octets(&bytes);
    to.extend([0x02, u8::try_from(octets.len()).unwrap_or(4)]);
    to.extend_from_slice(octets);
}

fn string(to: &mut Vec<u8>, tag: u8, value: &[u8]) {
    within(to, tag, |to| to.extend_from_slice(value));
}

/// An element whose length is told when it is known, always in four octets as Active Directory writes it.
fn within(to: &mut Vec<u8>, tag: u8, inside: impl FnOnce(&mut Vec<u8>)) {
    to.extend([tag, 0x84, 0, 0, 0, 0]);
    let begin = to.len();
    inside(to);
    let length = u32::try_from(to.len().saturating_sub(begin)).unwrap_or(u32::MAX);
    if let Some(place) = to.get_mut(begin.saturating_sub(4)..begin) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// derefAliases: never.
const NO_ALIASES: [u8; 3] = [0x0a, 1, 0];
const NO_TIME_LIMIT: [u8; 3] = [0x02, 1, 0];
/// typesOnly: no.
const VALUES_TOO: [u8; 3] = [0x01, 1, 0];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rasn_ldap::Filter as Read;
    use rasn_ldap::LdapMessage;
    use rasn_ldap::ProtocolOp;
    use rasn_ldap::SearchRequest;
    use rasn_ldap::SearchRequestDerefAliases;
    use rasn_ldap::SearchRequestScope;

    use super::*;
    use crate::wire::ldap::Frame;

    /// What another decoder makes of it.
    fn read(question: &Question<'_>, id: u32) -> SearchRequest {
        let mut bytes = Vec::new();
        question.write(id, &mut bytes);
        let frame = Frame::split(&bytes, usize::MAX).unwrap().unwrap();
        assert_eq!((frame.id, frame.op, frame.bytes.len()), (id, 0x63, bytes.len()));
        let message: LdapMessage = rasn::ber::decode(&bytes).unwrap();
        assert_eq!(message.message_id, id);
        let ProtocolOp::SearchRequest(request) = message.protocol_op else { panic!() };
        request
    }

    fn asking(filter: Filter<'_>) -> Question<'_> {
        Question { base: Cow::Borrowed("DC=test"), scope: Scope::Subtree, filter, attributes: &["objectSid", "mail"], count_max: 2 }
    }

    fn value(filter: &Read) -> (&str, &[u8]) {
        let Read::EqualityMatch(pair) = filter else { panic!() };
        (pair.attribute_desc.0.as_str(), &pair.assertion_value)
    }

    #[test]
    fn l_074_no_typed_sign_is_syntax() {
        let asked = asking(Filter::And(vec![
            Filter::equal("objectClass", "user"),
            Filter::Or(vec![Filter::equal("sAMAccountName", "*)(a=\\b\0"), Filter::equal("userPrincipalName", "jörg@example.test")]),
            Filter::Present("objectSid"),
        ]));
        let request = read(&asked, 0x7fff_ffff);
        assert_eq!((request.base_object.0.as_str(), request.size_limit, request.time_limit, request.types_only), ("DC=test", 2, 0, false));
        assert_eq!((request.scope, request.deref_aliases), (SearchRequestScope::WholeSubtree, SearchRequestDerefAliases::NeverDerefAliases));
        assert_eq!(request.attributes.iter().map(|name| name.0.as_str()).collect::<Vec<_>>(), ["objectSid", "mail"]);
        let Read::And(all) = request.filter else { panic!() };
        let all = all.to_vec();
        let has = |name: &str, wanted: &[u8], among: &[&Read]| {
            among.iter().filter(|filter| matches!(filter, Read::EqualityMatch(_))).any(|filter| value(filter) == (name, wanted))
        };
        assert!(all.len() == 3 && has("objectClass", b"user", &all));
        assert!(all.iter().any(|filter| matches!(filter, Read::Present(name) if name.0 == "objectSid")));
        let Some(Read::Or(any)) = all.iter().find(|filter| matches!(filter, Read::Or(_))) else { panic!() };
        let any = any.to_vec();
        assert!(any.len() == 2 && has("sAMAccountName", b"*)(a=\\b\0", &any) && has("userPrincipalName", "jörg@example.test".as_bytes(), &any));
    }

    #[test]
    fn l_012_the_base_alone_is_asked_as_such() {
        let asked =
            Question { base: Cow::Borrowed(""), scope: Scope::Base, filter: Filter::Present("objectClass"), attributes: &["tokenGroups"], count_max: 40_000 };
        let request = read(&asked, 1);
        assert_eq!((request.scope, request.size_limit), (SearchRequestScope::BaseObject, 40_000));
    }

    proptest! {
        #[test]
        fn l_074_any_value_is_one_value(bytes in proptest::collection::vec(any::<u8>(), 0..300), base in ".{0,200}", id in 1_u32..=0x7fff_ffff) {
            let asked = Question { base: Cow::Borrowed(&base), ..asking(Filter::Equal("cn", &bytes)) };
            let request = read(&asked, id);
            prop_assert_eq!(value(&request.filter), ("cn", bytes.as_slice()));
            prop_assert_eq!(request.base_object.0, base);
        }
    }
}
