//! A search, as far as a decision needs it (RFC 4511 §4.5.1).

use super::ber::Cursor;
use super::ber::counted;
use super::ber::number;
use super::ber::truth;
use super::frame::Refusal;
use super::make::put;
use super::named::any_named;

/// A search.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The name of the entry it begins at.
    pub base: &'a [u8],
    /// 0 that entry alone, 1 those one below it, 2 all below and itself, 3 the same without itself (OpenLDAP's); more than RFC 4511 §4.5.1.2 is read too.
    pub scope: u32,
    /// When aliases are followed, 0..3; more is read too.
    pub aliases: u32,
    types_only: bool,
    /// Its one filter, an element.
    filter: &'a [u8],
    /// All that comes before the list of attributes.
    head: &'a [u8],
    attributes: &'a [u8],
}

impl<'a> Search<'a> {
    /// Reads the content of one.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Refusal> {
        let mut cursor = Cursor::new(body);
        let base = cursor.expect(0x04)?;
        let scope = number(cursor.expect(0x0a)?)?;
        let aliases = number(cursor.expect(0x0a)?)?;
        // Of entries and of seconds: the directory's to keep, ours to see that they are numbers.
        number(cursor.expect(0x02)?)?;
        number(cursor.expect(0x02)?)?;
        let types_only = truth(cursor.expect(0x01)?)?;
        let at_filter = cursor.rest();
        cursor.next()?.ok_or(Refusal::Form)?;
        let filter = at_filter.get(..at_filter.len().saturating_sub(cursor.rest().len())).unwrap_or_default();
        let head = body.get(..body.len().saturating_sub(cursor.rest().len())).unwrap_or_default();
        Ok(Self { base, scope, aliases, types_only, filter, head, attributes: cursor.expect(0x30)? })
    }

    /// Whether it reads the root DSE and nothing else: scope base, the empty DN (RFC 4512 §5.1).
    #[must_use]
    pub fn reads_root(&self) -> bool {
        self.base.is_empty() && self.scope == 0
    }

    /// Whether values of this operational attribute are asked for, by its name or by `+` (RFC 3673).
    #[must_use]
    pub fn wants(&self, attribute: &str) -> bool {
        let mut cursor = Cursor::new(self.attributes);
        while let Ok(Some(element)) = cursor.next() {
            if element.value == b"+" || element.value.eq_ignore_ascii_case(attribute.as_bytes()) {
                return !self.types_only;
            }
        }
        false
    }

    /// Whether it asks for whatever is there: `(objectClass=*)`, which everything has.
    #[must_use]
    pub fn asks_for_any(&self) -> bool {
        Cursor::new(self.filter).expect(0x87).is_ok_and(|name| name.eq_ignore_ascii_case(b"objectClass"))
    }

    /// Whether its filter names an attribute that `test` looks for, or hides which.
    #[must_use]
    pub fn filters_by(&self, test: impl Fn(&[u8]) -> bool) -> bool {
        any_named(self.filter, test)
    }

    /// The content of this search without the attributes that `keep` does not want; `None` where it wants all of them. Where it wants none of those that are
    /// asked for, none is asked for: an empty list would mean all (RFC 4511 §4.5.1.8).
    #[must_use]
    pub fn narrowed(&self, keep: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
        let mut list = Cursor::new(self.attributes);
        let names: Vec<&[u8]> = std::iter::from_fn(|| list.next().ok().flatten()).map(|element| element.value).collect();
        let mut kept: Vec<&[u8]> = names.iter().copied().filter(|name| keep(name)).collect();
        if kept.len() == names.len() {
            return None;
        }
        if kept.is_empty() {
            kept.push(b"1.1");
        }
        let mut attributes = Vec::new();
        kept.iter().for_each(|name| put(&mut attributes, 0x04, name));
        let mut body = self.head.to_vec();
        put(&mut body, 0x30, &attributes);
        Some(body)
    }

    /// Whether no more than so many attributes are asked for, by no more than so many elements of a filter, however deep they lie (L-043).
    #[must_use]
    pub fn asks_at_most(&self, attributes: usize, elements: usize) -> bool {
        let mut list = Cursor::new(self.attributes);
        let asked = std::iter::from_fn(|| list.next().ok().flatten()).take(attributes.saturating_add(1)).count();
        asked <= attributes && counted(self.filter, elements)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frame;
    use super::super::read_request;
    use super::super::trimmed;
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag, u8::try_from(value.len()).unwrap()];
        bytes.extend(value);
        bytes
    }

    #[test]
    fn l_012_only_a_base_search_of_the_empty_name_reads_the_root() {
        let reads = |base: &str, scope: u8| {
            let parts = [
                element(0x04, base.as_bytes()),
                element(0x0a, &[scope]),
                element(0x0a, &[0]),
                element(0x02, &[0]),
                element(0x02, &[0]),
                element(0x01, &[0]),
                element(0x87, b"objectClass"),
                element(0x30, &element(0x04, b"SupportedExtension")),
            ];
            let bytes = parts.concat();
            let search = Search::read(&bytes).unwrap();
            assert!(search.wants("supportedExtension") && !search.wants("supportedControl"));
            search.reads_root()
        };
        assert!(reads("", 0));
        assert!(!reads("", 1) && !reads("", 2) && !reads(" ", 0) && !reads("DC=corp", 0));
    }

    #[test]
    fn l_043_l_046_a_search_tells_how_much_it_asks_and_its_numbers_are_numbers() {
        let search = |size: &[u8], seconds: &[u8]| {
            let present = element(0x87, b"objectClass");
            let filter = element(0xa0, &[present.clone(), element(0xa2, &present), present].concat());
            let numbers = [element(0x0a, &[2]), element(0x0a, &[7]), element(0x02, size), element(0x02, seconds), element(0x01, &[0])].concat();
            let attributes = element(0x30, &[element(0x04, b"cn"), element(0x04, b"sn")].concat());
            [element(0x04, b""), numbers, filter, attributes].concat()
        };
        let bytes = search(&[0], &[0x7f, 0xff, 0xff, 0xff]);
        let read = Search::read(&bytes).unwrap();
        assert_eq!((read.scope, read.aliases), (2, 7));
        assert!(read.asks_at_most(2, 5) && !read.asks_at_most(1, 5) && !read.asks_at_most(2, 4));
        for (size, seconds) in [(&[0xff_u8][..], &[0_u8][..]), (&[0], &[0x80]), (&[0, 0x80, 0, 0, 0], &[0]), (&[0], &[0, 0x80, 0, 0, 0])] {
            assert!(matches!(Search::read(&search(size, seconds)), Err(Refusal::Number)), "{size:?} {seconds:?}");
        }
    }

    #[test]
    fn l_012_a_search_is_narrowed_to_what_is_wanted_of_it() {
        let asked = |names: &[&str]| read_request(300, "", names);
        let narrowed = |names: &[&str]| {
            let bytes = asked(names);
            let frame = Frame::split(&bytes, 10_000).unwrap().unwrap();
            let Ok(super::super::Request::Search(search)) = frame.request() else { panic!() };
            assert!(search.asks_for_any());
            let body = search.narrowed(|name| name != b"netlogon");
            trimmed(&frame, body.as_deref(), "1.2.3").into_owned()
        };
        // Another spelling of the lengths, but the same to whoever reads it.
        let alike = |one: &[u8], other: &[u8]| {
            let read = |bytes: &[u8]| rasn::ber::decode::<rasn_ldap::LdapMessage>(bytes).unwrap();
            assert_eq!(read(one), read(other));
        };
        assert_eq!(narrowed(&["a", "b"]), asked(&["a", "b"]), "byte for byte");
        assert_eq!(narrowed(&[]), asked(&[]));
        alike(&narrowed(&["a", "netlogon", "b"]), &asked(&["a", "b"]));
        alike(&narrowed(&["netlogon"]), &asked(&["1.1"]));
    }
}
