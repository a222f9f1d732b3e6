//! What becomes of an answer of the directory: as it came, but for the root DSE and for what is no answer to what was asked.

use super::root;
use super::root::Offer;
use super::upstream::OWN_ANSWER_MAX;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Op;
use crate::wire::ldap::Reply;
use crate::wire::ldap::entry;
use crate::wire::ldap::retyped;

/// What the client gets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Relay {
    /// It, byte for byte.
    AsItCame,
    /// This instead.
    Instead(Vec<u8>),
    /// Nothing: no answer to this request looks so.
    Nothing,
    /// Nothing, and no more: what must be read cannot be.
    Unreadable,
}

/// An answer to `op`, which reads the root DSE where there is an `offer`.
pub(super) fn answer(op: Op, offer: Option<Offer>, frame: &Frame<'_>, reply: Reply) -> Relay {
    match (reply, offer) {
        (Reply::Last, _) if op.ended_by() == Some(frame.op) => Relay::AsItCame,
        (Reply::Last, _) => retyped(op, frame).map_or(Relay::Unreadable, Relay::Instead),
        (Reply::More, Some(offer)) if frame.op == 0x64 => {
            // Read into pieces of memory, each larger than what it was: so no more than what our own questions are answered with.
            let root = frame.entry().filter(|_| frame.bytes.len() <= OWN_ANSWER_MAX);
            root.map_or(Relay::Unreadable, |mut root| {
                root::filter(&mut root, offer);
                Relay::Instead(entry(frame.id, &root))
            })
        }
        // Intermediate responses belong to any operation (RFC 4511 §4.13), entries and references to searches.
        (Reply::More, _) if frame.op == 0x79 || op == Op::Search => Relay::AsItCame,
        (Reply::More, _) => Relay::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ldap::Code;
    use crate::wire::ldap::Entry;
    use crate::wire::ldap::answer as wire_answer;

    fn relayed(op: Op, offer: Option<Offer>, bytes: &[u8]) -> Relay {
        let frame = Frame::split(bytes, 1 << 24).unwrap().unwrap();
        answer(op, offer, &frame, frame.reply().unwrap())
    }

    #[test]
    fn l_050_the_last_answer_is_of_the_kind_that_ends_what_was_asked() {
        let ops = [Op::Add, Op::Compare, Op::Delete, Op::Extended, Op::Modify, Op::Rename, Op::Search];
        for op in ops {
            for told in ops {
                let bytes = wire_answer(told, 5, Code::UnavailableCriticalExtension, "no");
                match relayed(op, None, &bytes) {
                    Relay::AsItCame => assert_eq!(op, told),
                    Relay::Instead(made) => {
                        let made = Frame::split(&made, 1_000).unwrap().unwrap();
                        assert_eq!((Some(made.op), made.result().unwrap().code), (op.ended_by(), 12));
                        assert_ne!(op, told);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn l_089_entries_and_references_answer_searches_alone() {
        let found = entry(5, &Entry { dn: "CN=x".into(), attributes: Vec::new() });
        let reference = [0x30, 0x0b, 0x02, 0x01, 0x05, 0x73, 0x06, 0x04, 0x04, b'l', b'd', b'a', b'p'];
        let between = [0x30, 0x05, 0x02, 0x01, 0x05, 0x79, 0x00];
        for bytes in [&found[..], &reference[..]] {
            assert_eq!((relayed(Op::Search, None, bytes), relayed(Op::Modify, None, bytes)), (Relay::AsItCame, Relay::Nothing));
        }
        assert_eq!((relayed(Op::Search, None, &between), relayed(Op::Extended, None, &between)), (Relay::AsItCame, Relay::AsItCame));
    }

    #[test]
    fn l_002_a_root_entry_that_is_huge_or_cannot_be_read_is_not_handed_on() {
        let offer = Some(Offer { start_tls: false, extensions: false });
        let root = |len: usize| entry(5, &Entry { dn: String::new(), attributes: vec![("x".into(), vec![vec![0; len]])] });
        assert!(matches!(relayed(Op::Search, offer, &root(100_000)), Relay::Instead(_)));
        assert_eq!(relayed(Op::Search, offer, &root(300_000)), Relay::Unreadable);
        assert_eq!(relayed(Op::Search, offer, &[0x30, 0x07, 0x02, 0x01, 0x05, 0x64, 0x02, 0x04, 0x00]), Relay::Unreadable);
        assert_eq!(relayed(Op::Search, None, &root(300_000)), Relay::AsItCame);
    }
}
