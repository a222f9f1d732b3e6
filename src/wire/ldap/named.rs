//! Which attributes a filter names, whoever wrote it: walked flat, nothing is made of it (RFC 4511 §4.5.1.7).

use super::ber::Cursor;
use super::ber::Head;
use super::ber::bounded;

/// Whether a filter, or a list of them (RFC 3876), names an attribute that `test` looks for, its options cut off. What cannot be read does, and so does an extensible
/// match that leaves the attribute out: it means all that its rule can compare.
#[must_use]
pub fn any_named(filters: &[u8], test: impl Fn(&[u8]) -> bool) -> bool {
    bounded(filters).is_err() || walk(filters, test).unwrap_or(true)
}

/// `None` where something is no filter.
fn walk(filters: &[u8], test: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let mut rest = filters;
    while !rest.is_empty() {
        let head = Head::read(rest).ok()??;
        let end = head.head_len.checked_add(head.value_len)?;
        let value = rest.get(head.head_len..end)?;
        let skipped = match head.tag {
            // Of AND, OR, NOT and a list of filters what lies inside comes next.
            0x30 | 0xa0..=0xa2 => head.head_len,
            tag => {
                if names(tag, value, &test)? {
                    return Some(true);
                }
                end
            }
        };
        rest = rest.get(skipped..)?;
    }
    Some(false)
}

/// Whether one item of a filter does.
fn names(tag: u8, value: &[u8], test: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let described = |description: &[u8]| description.split(|octet| *octet == b';').next().is_some_and(&test);
    match tag {
        0x87 => Some(described(value)),
        0xa3..=0xa6 | 0xa8 => Cursor::new(value).expect(0x04).ok().map(described),
        0xa9 => {
            let mut parts = Cursor::new(value);
            let mut is_named = false;
            while let Some(part) = parts.next().ok()? {
                if part.tag == 0x82 {
                    is_named = true;
                    if described(part.value) {
                        return Some(true);
                    }
                }
            }
            Some(!is_named)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()][..], value].concat()
    }

    fn pair(tag: u8, name: &str) -> Vec<u8> {
        element(tag, &[element(0x04, name.as_bytes()), element(if tag == 0xa4 { 0x30 } else { 0x04 }, b"")].concat())
    }

    fn found(filter: &[u8]) -> bool {
        any_named(filter, |name| name.eq_ignore_ascii_case(b"userPassword"))
    }

    #[test]
    fn l_066_a_filter_tells_its_attributes_in_every_kind_of_item_and_however_deep() {
        let present = |name: &str| element(0x87, name.as_bytes());
        let rule = |parts: &[(u8, &str)]| element(0xa9, &parts.iter().flat_map(|(tag, value)| element(*tag, value.as_bytes())).collect::<Vec<u8>>());
        let items = |name: &str| {
            let mut items: Vec<Vec<u8>> = [0xa3, 0xa4, 0xa5, 0xa6, 0xa8].iter().map(|tag| pair(*tag, name)).collect();
            items.extend([present(name), rule(&[(0x81, "2.5.13.18"), (0x82, name), (0x83, "x")]), rule(&[(0x82, name), (0x83, "x"), (0x84, "\u{1}")])]);
            items
        };
        let inside = |item: &[u8]| element(0xa0, &[present("cn"), element(0xa1, &[pair(0xa3, "sn"), element(0xa2, item)].concat())].concat());
        for (one, other) in items("USERPASSWORD;x").iter().zip(items("userPasswordHint")) {
            assert!(found(one) && found(&inside(one)) && found(&[present("cn"), one.clone()].concat()), "{one:x?}");
            assert!(!found(&other) && !found(&inside(&other)), "{other:x?}");
        }
        assert!(!found(&element(0xa0, &[])), "the filter that is always true");
    }

    #[test]
    fn l_066_a_filter_that_hides_its_attribute_counts_as_one_that_names_it() {
        let any = element(0xa9, &[element(0x81, b"2.5.13.18"), element(0x83, b"guess")].concat());
        for filter in [any, element(0xaa, &[]), element(0xa3, &[]), element(0x04, b"cn"), vec![0x87, 0x05, b'c'], vec![0xa0, 0x80, 0, 0]] {
            assert!(found(&filter), "{filter:x?}");
        }
    }
}
