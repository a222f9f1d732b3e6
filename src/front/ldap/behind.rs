//! What a client sends while its bind is undecided: each byte is looked at once, for what ends the wait, and left where it is (L-021, L-022, L-024).

use super::conn::End;
use super::conn::PDU_BEFORE_MAX;
use super::conn::WAITING_BEFORE_MAX;
use super::conn::unreadable;
use crate::wire::ldap::Code;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Request;

/// What waits behind one bind.
#[derive(Debug)]
pub(super) struct Behind {
    /// The bind's message id.
    id: u32,
    /// Whole requests that were looked at, and their bytes.
    count: usize,
    seen_len: usize,
}

/// What a client does while its bind is undecided.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meanwhile {
    /// It gives the bind up: by Abandon, or by another Bind that waits now.
    GaveUp,
    /// Nothing that matters.
    Nothing,
}

impl Behind {
    pub(super) fn of(id: u32) -> Self {
        Self { id, count: 0, seen_len: 0 }
    }

    /// Looks at what has come since the last time; `unread` is all that waits, and none of it is taken meanwhile. A client that sends byte by byte must
    /// not have us read a quarter of a megabyte for each.
    pub(super) fn look(&mut self, unread: &[u8]) -> Result<Meanwhile, End> {
        while let Some(frame) = Frame::split(unread.get(self.seen_len..).unwrap_or_default(), PDU_BEFORE_MAX).map_err(unreadable)? {
            match frame.request().map_err(unreadable)? {
                Request::Unbind => return Err(End::Goodbye),
                Request::Abandon(target) if target == self.id => return Ok(Meanwhile::GaveUp),
                _ if frame.id == self.id => return Err(End::Notice(Code::ProtocolError, "this message id is in use", "id_in_use")),
                Request::Bind(_) => return Ok(Meanwhile::GaveUp),
                _ => {}
            }
            self.seen_len = self.seen_len.saturating_add(frame.bytes.len());
            self.count = self.count.saturating_add(1);
        }
        if self.count > WAITING_BEFORE_MAX || unread.len() > PDU_BEFORE_MAX {
            return Err(End::Notice(Code::Busy, "too much waits behind a bind", "waiting"));
        }
        Ok(Meanwhile::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ldap::abandon;
    use crate::wire::ldap::bind_request;
    use crate::wire::ldap::read_request;
    use crate::wire::ldap::unbind_request;

    fn reads(count: u32, dn: &str) -> Vec<u8> {
        (2..2 + count).flat_map(|id| read_request(id, dn, &[])).collect()
    }

    fn meanwhile(unread: &[u8], id: u32) -> Result<Meanwhile, End> {
        Behind::of(id).look(unread)
    }

    #[test]
    fn l_021_l_041_what_waits_behind_a_bind_is_bounded_in_number_and_bytes() {
        assert_eq!(meanwhile(&[], 1).unwrap(), Meanwhile::Nothing);
        assert_eq!(meanwhile(&reads(100, ""), 1).unwrap(), Meanwhile::Nothing);
        assert!(matches!(meanwhile(&reads(101, ""), 1), Err(End::Notice(Code::Busy, ..))));
        let long = "x".repeat(4_000);
        assert_eq!(meanwhile(&reads(60, &long), 1).unwrap(), Meanwhile::Nothing);
        assert!(matches!(meanwhile(&reads(70, &long), 1), Err(End::Notice(Code::Busy, ..))));
    }

    #[test]
    fn l_022_l_024_what_gives_a_bind_up_is_seen_behind_other_requests() {
        let behind = |last: &[u8]| meanwhile(&[reads(3, ""), last.to_vec()].concat(), 9);
        assert_eq!(behind(&abandon(20, 9)).unwrap(), Meanwhile::GaveUp);
        assert_eq!(behind(&abandon(20, 8)).unwrap(), Meanwhile::Nothing);
        assert_eq!(behind(&bind_request(20, "alice", b"pass")).unwrap(), Meanwhile::GaveUp);
        assert_eq!(meanwhile(&[reads(200, ""), abandon(500, 1)].concat(), 1).unwrap(), Meanwhile::GaveUp, "even behind what is too much");
        assert!(matches!(behind(&unbind_request(20)), Err(End::Goodbye)));
        assert!(matches!(behind(&read_request(9, "", &[])), Err(End::Notice(Code::ProtocolError, ..))));
        assert!(matches!(behind(&[0x31]), Err(End::Notice(Code::ProtocolError, ..))));
    }

    #[test]
    fn l_021_what_waits_is_looked_at_once_however_it_trickles_in() {
        let bytes = [reads(100, ""), abandon(500, 1)].concat();
        let whole = bytes.len() - abandon(500, 1).len();
        let mut behind = Behind::of(1);
        for end in 0..bytes.len() {
            assert_eq!(behind.look(&bytes[..end]).unwrap(), Meanwhile::Nothing);
            assert!(end - behind.seen_len < 40, "all but the last, which is not all there");
        }
        assert_eq!((behind.count, behind.seen_len), (100, whole));
        assert_eq!(behind.look(&bytes).unwrap(), Meanwhile::GaveUp);
    }
}
