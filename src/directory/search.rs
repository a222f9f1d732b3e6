//! What comes back from a directory: entries, and the result that ends an operation.

use crate::wire::ldap;
use crate::wire::ldap::Frame;

use super::quota::Quota;
use super::quota::Violation;

/// An entry as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its distinguished name.
    pub(super) dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl From<ldap::Entry> for Found {
    fn from(entry: ldap::Entry) -> Self {
        Self { dn: entry.dn, attributes: entry.attributes }
    }
}

impl Found {
    /// The values of an attribute; none where it is not there.
    pub(super) fn values(&self, name: &str) -> &[Vec<u8>] {
        self.attributes.iter().find(|(held, _)| held.eq_ignore_ascii_case(name)).map_or(&[], |(_, values)| values.as_slice())
    }

    /// The first value of an attribute that is text and not empty.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values(name).iter().filter_map(|value| std::str::from_utf8(value).ok()).find(|value| !value.is_empty())
    }
}

/// A result: its code and the text with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// RFC 4511 §4.1.9, appendix A.
    pub(super) code: u32,
    /// For operators, and for AD's sub-codes; never for the person.
    pub(super) text: String,
}

impl Answer {
    /// The result in a response.
    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, Violation> {
        let result = frame.result()?;
        Ok(Self { code: result.code, text: String::from_utf8_lossy(result.diagnostic).into_owned() })
    }
}

/// A search that is being answered.
#[derive(Debug, Default)]
pub(super) struct Collecting {
    found: Vec<Found>,
    quota: Quota,
}

impl Collecting {
    /// Takes one message that carries the id of this search; the result when it was the last. References to other servers are left out and never
    /// followed (L-077).
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Result<Option<(Vec<Found>, Answer)>, Violation> {
        self.quota.take(frame)?;
        match frame.op {
            ENTRY => {
                self.found.push(frame.entry().ok_or(ldap::Refusal::Form)?.into());
                Ok(None)
            }
            REFERENCE => Ok(None),
            DONE => Ok(Some((std::mem::take(&mut self.found), Answer::read(frame)?))),
            op => Err(Violation::Kind(op)),
        }
    }
}

/// RFC 4511 §4.5.2.
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ldap::Code;
    use crate::wire::ldap::Op;

    fn take(collecting: &mut Collecting, bytes: &[u8]) -> Result<Option<(Vec<Found>, Answer)>, Violation> {
        collecting.take(&Frame::split(bytes, usize::MAX).unwrap().unwrap())
    }

    #[test]
    fn entries_are_kept_until_the_result_and_references_left_out() {
        let attributes = vec![("uid".to_owned(), vec![b"alice".to_vec(), vec![0xff]])];
        let entry = ldap::entry(7, &ldap::Entry { dn: "uid=alice".to_owned(), attributes });
        let reference = [&[0x30, 14, 2, 1, 7, 0x73, 9, 4, 7][..], b"ldap://"].concat();
        let mut collecting = Collecting::default();
        assert!(take(&mut collecting, &entry).unwrap().is_none());
        assert!(take(&mut collecting, &reference).unwrap().is_none());
        let (found, answer) = take(&mut collecting, &ldap::answer(Op::Search, 7, Code::SizeLimitExceeded, "more")).unwrap().unwrap();
        assert_eq!((answer.code, answer.text.as_str(), found.len()), (4, "more", 1));
        assert_eq!((found[0].dn.as_str(), found[0].text("UID"), found[0].values("uid").len()), ("uid=alice", Some("alice"), 2));
        assert_eq!((found[0].text("cn"), found[0].values("cn").len()), (None, 0));
    }

    #[test]
    fn what_is_no_answer_to_a_search_is_a_violation() {
        for bad in [
            ldap::answer(Op::Bind, 7, Code::Success, ""),
            ldap::answer(Op::Modify, 7, Code::Success, ""),
            ldap::answer(Op::Add, 7, Code::Success, ""),
            vec![0x30, 5, 2, 1, 7, 0x65, 0],
            vec![0x30, 5, 2, 1, 7, 0x64, 0],
            [&[0x30, 10, 2, 1, 7, 0x64, 5, 4, 1, 0xff][..], &[0x30, 0]].concat(),
        ] {
            assert!(take(&mut Collecting::default(), &bad).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn l_042_more_entries_than_anybody_asked_for_are_a_flood() {
        let entry = ldap::entry(7, &ldap::Entry { dn: "uid=alice".to_owned(), attributes: Vec::new() });
        let mut collecting = Collecting::default();
        let taken = std::iter::repeat_with(|| take(&mut collecting, &entry)).take(100).take_while(Result::is_ok).count();
        assert_eq!(taken, 64);
        assert!(matches!(take(&mut collecting, &entry), Err(Violation::Flood)));
    }
}
