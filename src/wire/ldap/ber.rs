//! The part of BER that LDAP allows (RFC 4511 §5.1): definite lengths, primitive strings, bounded depth; read without copying or recursion.

use super::frame::Refusal;

/// Constructed elements inside each other, the message itself included (L-042).
const DEPTH_MAX: usize = 64;

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
}

/// The tag of an element, and how long its header and its value are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) tag: u8,
    pub(super) head_len: usize,
    pub(super) value_len: usize,
}

impl Head {
    /// The header at the beginning of `bytes`; `None` while it is not all there.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let (tag, first) = match bytes {
            [] => return Ok(None),
            [tag, ..] if tag & 0x1f == 0x1f => return Err(Refusal::Form),
            [_] => return Ok(None),
            [tag, first, ..] => (*tag, *first),
        };
        if first < 0x80 {
            return Ok(Some(Self { tag, head_len: 2, value_len: usize::from(first) }));
        }
        let octets = usize::from(first & 0x7f);
        if octets == 0 {
            return Err(Refusal::Indefinite);
        }
        if octets > 4 {
            return Err(Refusal::Length);
        }
        let head_len = octets.saturating_add(2);
        let Some(length) = bytes.get(2..head_len) else { return Ok(None) };
        let length = length.iter().fold(0_u32, |sum, octet| (sum << 8) | u32::from(*octet));
        let value_len = usize::try_from(length).map_err(|_| Refusal::Length)?;
        Ok(Some(Self { tag, head_len, value_len }))
    }
}

/// Reads the elements of one container, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next element; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Element<'a>>, Refusal> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let head = Head::read(self.rest)?.ok_or(Refusal::Length)?;
        let end = head.head_len.checked_add(head.value_len).ok_or(Refusal::Length)?;
        let value = self.rest.get(head.head_len..end).ok_or(Refusal::Length)?;
        self.rest = self.rest.get(end..).ok_or(Refusal::Length)?;
        Ok(Some(Element { tag: head.tag, value }))
    }

    /// The value of the next element, which must be there and have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Refusal> {
        match self.next()? {
            Some(element) if element.tag == tag => Ok(element.value),
            _ => Err(Refusal::Form),
        }
    }

    /// The value of the next element where it has this tag; otherwise nothing is consumed.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Refusal> {
        let mut ahead = *self;
        match ahead.next()? {
            Some(element) if element.tag == tag => {
                *self = ahead;
                Ok(Some(element.value))
            }
            _ => Ok(None),
        }
    }
}

/// Whether a parser that recurses may be given these bytes: they are whole elements, every length fits into what holds it, nothing lies more than
/// 64 deep, nothing is of indefinite length or a string in pieces (L-040, L-042). Walks without recursion, allocates nothing.
///
/// # Errors
/// What is wrong first.
pub fn bounded(bytes: &[u8]) -> Result<(), Refusal> {
    let mut ends = [0_usize; DEPTH_MAX];
    let mut depth = 0_usize;
    let mut at = 0_usize;
    loop {
        while let Some(above) = depth.checked_sub(1)
            && ends.get(above) == Some(&at)
        {
            depth = above;
        }
        let limit = depth.checked_sub(1).and_then(|above| ends.get(above)).copied().unwrap_or(bytes.len());
        if at == limit {
            return Ok(());
        }
        let rest = bytes.get(at..limit).ok_or(Refusal::Length)?;
        let head = Head::read(rest)?.ok_or(Refusal::Length)?;
        let whole = head.head_len.checked_add(head.value_len).filter(|whole| *whole <= rest.len()).ok_or(Refusal::Length)?;
        if holds_elements(head.tag)? {
            *ends.get_mut(depth).ok_or(Refusal::Depth)? = at.saturating_add(whole);
            depth = depth.saturating_add(1);
            at = at.saturating_add(head.head_len);
        } else {
            at = at.saturating_add(whole);
        }
    }
}

/// Whether no more than `most` elements lie in these bytes, side by side and inside each other. Of bytes that are [`bounded`]; what cannot be read counts as too many.
pub(super) fn counted(bytes: &[u8], most: usize) -> bool {
    let mut rest = bytes;
    for _ in 0..=most {
        let Ok(Some(head)) = Head::read(rest) else { return rest.is_empty() };
        let skipped = if head.tag & 0x20 == 0 { head.head_len.saturating_add(head.value_len) } else { head.head_len };
        let Some(behind) = rest.get(skipped..) else { return false };
        rest = behind;
    }
    false
}

/// An INTEGER or ENUMERATED of 0 to 2^31-1.
pub(super) fn number(value: &[u8]) -> Result<u32, Refusal> {
    match value {
        [] => Err(Refusal::Form),
        [first, ..] if first & 0x80 != 0 => Err(Refusal::Number),
        _ if value.len() > 4 => Err(Refusal::Number),
        _ => Ok(value.iter().fold(0, |sum, octet| (sum << 8) | u32::from(*octet))),
    }
}

/// The octets of an INTEGER of 0 to 2^31-1: none more than it needs (X.690 §8.3.2).
pub(super) fn octets(number: &[u8; 4]) -> &[u8] {
    let spare = number.windows(2).take_while(|pair| matches!(pair, [0, next] if next & 0x80 == 0)).count();
    number.get(spare..).unwrap_or_default()
}

/// A BOOLEAN: any bit that is set means true (X.690 §8.2.2, L-046).
pub(super) fn truth(value: &[u8]) -> Result<bool, Refusal> {
    match value {
        [octet] => Ok(*octet != 0),
        _ => Err(Refusal::Form),
    }
}

/// Whether elements lie inside. Of the universal ones only SEQUENCE and SET hold any and must be constructed; strings come in one piece.
fn holds_elements(tag: u8) -> Result<bool, Refusal> {
    match (tag & 0xc0 == 0, tag & 0x20 != 0, tag & 0x1f) {
        (true, constructed, 0x10 | 0x11) if !constructed => Err(Refusal::Form),
        (true, true, 0x10 | 0x11) => Ok(true),
        (true, true, _) | (true, false, 0) => Err(Refusal::Form),
        (_, constructed, _) => Ok(constructed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nested(depth: usize) -> Vec<u8> {
        let mut bytes = vec![0x04, 0x00];
        for _ in 0..depth {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            let mut outer = vec![0x30, 0x84];
            outer.extend(length);
            outer.extend(&bytes);
            bytes = outer;
        }
        bytes
    }

    #[test]
    fn l_042_depth_ends_at_64_however_deep_it_goes() {
        assert_eq!(bounded(&nested(64)), Ok(()));
        assert_eq!(bounded(&nested(65)), Err(Refusal::Depth));
        assert_eq!(bounded(&nested(5_000)), Err(Refusal::Depth));
    }

    #[test]
    fn l_042_many_elements_side_by_side_are_not_deep() {
        let mut inside = Vec::new();
        for _ in 0..1_000 {
            inside.extend([0x30, 0x02, 0x30, 0x00]);
        }
        let mut bytes = vec![0x30, 0x82, 0x0f, 0xa0];
        bytes.extend(inside);
        assert_eq!(bounded(&bytes), Ok(()));
    }

    #[test]
    fn l_043_elements_are_counted_however_they_lie() {
        assert!(counted(&[], 0) && counted(&nested(5), 6) && !counted(&nested(5), 5));
        let flat = [0x04, 0x01, 0x41].repeat(100);
        assert!(counted(&flat, 100) && !counted(&flat, 99));
        assert!(!counted(&[0x04, 0x05, 0x41], 10), "what is cut off");
    }

    #[test]
    fn l_040_lengths_are_definite_short_and_fit() {
        assert_eq!(bounded(&[0x30, 0x80, 0x00, 0x00]), Err(Refusal::Indefinite));
        assert_eq!(bounded(&[0x30, 0x04, 0x30, 0x80, 0x00, 0x00]), Err(Refusal::Indefinite));
        assert_eq!(bounded(&[0x30, 0x85, 0, 0, 0, 0, 0]), Err(Refusal::Length));
        assert_eq!(bounded(&[0x30, 0x02, 0x04, 0x01]), Err(Refusal::Length));
        assert_eq!(bounded(&[0x30, 0x03, 0x04, 0x84, 0xff]), Err(Refusal::Length));
        assert_eq!(bounded(&[0x30, 0x06, 0x04, 0x84, 0xff, 0xff, 0xff, 0xff]), Err(Refusal::Length));
    }

    #[test]
    fn l_040_strings_come_in_one_piece() {
        assert_eq!(bounded(&[0x24, 0x03, 0x04, 0x01, 0x41]), Err(Refusal::Form));
        assert_eq!(bounded(&[0x10, 0x00]), Err(Refusal::Form));
        assert_eq!(bounded(&[0x00, 0x00]), Err(Refusal::Form));
        assert_eq!(bounded(&[0x5f, 0x01, 0x00]), Err(Refusal::Form));
    }

    #[test]
    fn l_046_a_boolean_is_true_when_any_bit_is_set() {
        assert_eq!((truth(&[0]), truth(&[1]), truth(&[0xff])), (Ok(false), Ok(true), Ok(true)));
        assert_eq!((truth(&[]), truth(&[0, 1])), (Err(Refusal::Form), Err(Refusal::Form)));
    }

    #[test]
    fn l_046_a_number_is_checked_for_overflow() {
        assert_eq!(number(&[0x7f, 0xff, 0xff, 0xff]), Ok(0x7fff_ffff));
        assert_eq!(number(&[0, 0x80]), Ok(128));
        assert_eq!(number(&[0x80]), Err(Refusal::Number));
        assert_eq!(number(&[0, 0x80, 0, 0, 0]), Err(Refusal::Number));
        assert_eq!(number(&[]), Err(Refusal::Form));
    }

    proptest! {
        #[test]
        fn l_040_any_bytes_are_walked_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = bounded(&bytes);
        }

        #[test]
        fn l_040_what_is_bounded_can_be_read_to_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if bounded(&bytes).is_ok() {
                let mut cursor = Cursor::new(&bytes);
                while let Some(_element) = cursor.next().unwrap() {}
            }
        }
    }
}
