//! One LDAPMessage out of a buffer: nothing is allocated, nothing is believed before it is measured (RFC 4511 §4.1.1, §5.1).

use super::ber::Cursor;
use super::ber::Head;
use super::ber::bounded;
use super::ber::number;

/// One whole PDU, either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message id: 1 to 2³¹ − 1; 0 in an extended response alone, the form of every unsolicited notification.
    pub id: u32,
    /// The tag byte of the operation, application class.
    pub op: u8,
    /// The PDU as it came.
    pub bytes: &'a [u8],
    /// The operation's content.
    pub(super) body: &'a [u8],
    /// What follows the operation: controls, and components of times to come.
    pub(super) rest: &'a [u8],
}

/// Why bytes are not an LDAP message we forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// More than 64 elements inside each other.
    #[error("elements lie too deep inside each other")]
    Depth,
    /// Not what stands in RFC 4511.
    #[error("an element is missing or not of its form")]
    Form,
    /// A message id that is 0 where it may not be.
    #[error("the message id is 0")]
    Id,
    /// A length not told beforehand.
    #[error("a length is indefinite")]
    Indefinite,
    /// A length that does not fit, or in more than four octets.
    #[error("a length does not fit")]
    Length,
    /// A PDU over the limit.
    #[error("the message is longer than the limit")]
    Long,
    /// Too many controls.
    #[error("there are too many controls")]
    Many,
    /// A number below 0 or above 2^31-1.
    #[error("a number is out of range")]
    Number,
    /// An operation nobody knows.
    #[error("the operation is unknown")]
    Op,
}

impl Refusal {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Form => "form",
            Self::Id => "id",
            Self::Indefinite => "indefinite",
            Self::Length => "length",
            Self::Long => "long",
            Self::Many => "many",
            Self::Number => "number",
            Self::Op => "op",
        }
    }
}

impl<'a> Frame<'a> {
    /// The first PDU of `buffer`; `None` while it is not all there. A header that tells of more than `pdu_max` bytes is refused as soon as it is read.
    ///
    /// # Errors
    /// The stream is of no use any more: say goodbye and close (L-032).
    pub fn split(buffer: &'a [u8], pdu_max: usize) -> Result<Option<Self>, Refusal> {
        if buffer.first().is_some_and(|tag| *tag != 0x30) {
            return Err(Refusal::Form);
        }
        let Some(head) = Head::read(buffer)? else { return Ok(None) };
        let len = head.head_len.checked_add(head.value_len).ok_or(Refusal::Long)?;
        if len > pdu_max {
            return Err(Refusal::Long);
        }
        let Some(bytes) = buffer.get(..len) else { return Ok(None) };
        bounded(bytes)?;
        let mut cursor = Cursor::new(bytes.get(head.head_len..).ok_or(Refusal::Length)?);
        let id = number(cursor.expect(0x02)?)?;
        let op = cursor.next()?.ok_or(Refusal::Form)?;
        if op.tag & 0xc0 != 0x40 {
            return Err(Refusal::Op);
        }
        if id == 0 && op.tag != 0x78 {
            return Err(Refusal::Id);
        }
        Ok(Some(Self { id, op: op.tag, bytes, body: op.value, rest: cursor.rest() }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::make;
    use super::*;

    const MAX: usize = 262_144;

    fn split(bytes: &[u8]) -> Result<Option<Frame<'_>>, Refusal> {
        Frame::split(bytes, MAX)
    }

    /// An Unbind with these octets as its id.
    fn with_id(id: &[u8]) -> Vec<u8> {
        let mut inside = vec![0x02, u8::try_from(id.len()).unwrap()];
        inside.extend(id);
        inside.extend([0x42, 0x00]);
        let mut bytes = vec![0x30, u8::try_from(inside.len()).unwrap()];
        bytes.extend(inside);
        bytes
    }

    #[test]
    fn l_003_a_pdu_in_pieces_is_a_pdu_at_its_last_byte() {
        let bytes = make::bind_request(7, "CN=alice,DC=corp", b"pass");
        for end in 0..bytes.len() {
            assert_eq!(split(&bytes[..end]), Ok(None), "{end} bytes");
        }
        let frame = split(&bytes).unwrap().unwrap();
        assert_eq!((frame.id, frame.op, frame.bytes), (7, 0x60, bytes.as_slice()));
    }

    #[test]
    fn l_003_what_follows_a_pdu_is_left_alone() {
        let mut bytes = make::unbind_request(9).to_vec();
        let len = bytes.len();
        bytes.extend([0xff; 40]);
        assert_eq!(split(&bytes).unwrap().unwrap().bytes.len(), len);
    }

    #[test]
    fn l_031_a_message_id_is_1_to_2_31_minus_1() {
        assert_eq!(split(&with_id(&[0x7f, 0xff, 0xff, 0xff])).unwrap().unwrap().id, 0x7fff_ffff);
        assert_eq!(split(&with_id(&[1])).unwrap().unwrap().id, 1);
        assert_eq!(split(&with_id(&[0])), Err(Refusal::Id));
        assert_eq!(split(&with_id(&[0x80])), Err(Refusal::Number));
        assert_eq!(split(&with_id(&[0xff, 0xff, 0xff, 0xff])), Err(Refusal::Number));
        assert_eq!(split(&with_id(&[0, 0x80, 0, 0, 0])), Err(Refusal::Number));
        assert_eq!(split(&with_id(&[])), Err(Refusal::Form));
    }

    #[test]
    fn l_032_id_0_is_for_notices_alone() {
        let notice = make::notice(make::Code::Unavailable, "");
        assert_eq!(split(&notice).unwrap().unwrap().id, 0);
    }

    #[test]
    fn l_040_a_header_that_asks_for_4_gib_is_refused_before_a_byte_of_it() {
        assert_eq!(split(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(Refusal::Long));
        assert_eq!(split(&[0x30, 0x84, 0x80, 0x00, 0x00, 0x00]), Err(Refusal::Long));
        assert_eq!(split(&[0x30, 0x84, 0x00, 0x04, 0x00, 0x00]), Err(Refusal::Long));
        assert_eq!(split(&[0x30, 0x88, 0, 0, 0, 0]), Err(Refusal::Length));
        assert_eq!(split(&[0x30, 0x80]), Err(Refusal::Indefinite));
    }

    #[test]
    fn l_041_the_limit_is_of_the_whole_pdu() {
        let bytes = make::unbind_request(1);
        assert!(Frame::split(&bytes, bytes.len()).unwrap().is_some());
        assert_eq!(Frame::split(&bytes, bytes.len() - 1), Err(Refusal::Long));
    }

    #[test]
    fn l_032_what_is_not_ldap_is_refused_at_its_first_byte() {
        assert_eq!(split(&[0x16]), Err(Refusal::Form));
        assert_eq!(split(b"GET / HTTP/1.1"), Err(Refusal::Form));
        assert_eq!(split(&[0x30, 0x05, 0x02, 0x01, 0x01, 0x30, 0x00]), Err(Refusal::Op));
        assert_eq!(split(&[0x30, 0x03, 0x02, 0x01, 0x01]), Err(Refusal::Form));
        assert_eq!(split(&[0x30, 0x00]), Err(Refusal::Form));
        assert_eq!(split(&[0x30, 0x05, 0x02, 0x01, 0x01, 0x42, 0x05]), Err(Refusal::Length));
    }

    #[test]
    fn l_040_long_forms_of_short_lengths_are_read() {
        let bytes = [0x30, 0x84, 0, 0, 0, 5, 0x02, 0x01, 0x03, 0x42, 0x00];
        assert_eq!(split(&bytes).unwrap().unwrap().id, 3);
    }

    proptest! {
        #[test]
        fn l_040_any_bytes_are_split_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = split(&bytes);
            let mut sequence = vec![0x30];
            sequence.extend(&bytes);
            if let Ok(Some(frame)) = split(&sequence) {
                prop_assert!(frame.bytes.len() <= sequence.len());
                let _ = frame.request();
                let _ = frame.controls();
                let _ = frame.result();
                let _ = frame.entry();
                let trimmed = make::trimmed(&frame, Some(frame.body), "1.1");
                let read = Frame::split(&trimmed, usize::MAX).unwrap().unwrap();
                prop_assert_eq!((read.id, read.op, read.body, read.bytes.len()), (frame.id, frame.op, frame.body, trimmed.len()));
            }
        }

        #[test]
        fn l_040_one_flipped_byte_never_makes_a_pdu_longer_than_the_buffer(at in 0_usize..60, to in any::<u8>()) {
            let mut bytes = make::read_request(5, "CN=alice,DC=corp", &["supportedControl", "tokenGroups"]);
            let len = bytes.len();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = to;
            }
            if let Ok(Some(frame)) = split(&bytes) {
                prop_assert!(frame.bytes.len() <= len);
                let _ = frame.request();
                let _ = frame.controls();
            }
        }
    }
}
