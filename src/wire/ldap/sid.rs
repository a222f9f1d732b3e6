//! Security identifiers: the binary form of a directory as the text that is an identity ([MS-DTYP] §2.4.2).

/// `S-1-5-21-..` of a binary SID; `None` where it is not one.
#[must_use]
pub fn sid_text(sid: &[u8]) -> Option<String> {
    let (revision, count) = (sid.first()?, usize::from(*sid.get(1)?));
    let authority = sid.get(2..8)?.iter().fold(0_u64, |sum, octet| (sum << 8) | u64::from(*octet));
    let (parts, rest) = sid.get(8..)?.as_chunks::<4>();
    if *revision != 1 || count > 15 || parts.len() != count || !rest.is_empty() {
        return None;
    }
    // An authority that needs more than 32 bits is written in hexadecimal.
    let mut text = if authority >> 32 == 0 { format!("S-1-{authority}") } else { format!("S-1-0x{authority:012X}") };
    for part in parts {
        text.push('-');
        text.push_str(&u32::from_le_bytes(*part).to_string());
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_073_a_binary_sid_is_the_text_people_know() {
        let domain = [1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0x4e, 4, 0, 0];
        assert_eq!(sid_text(&domain).as_deref(), Some("S-1-5-21-1-4294967295-3-1102"));
        assert_eq!(sid_text(&[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]).as_deref(), Some("S-1-1-0"));
        assert_eq!(sid_text(&[1, 0, 1, 0, 0, 0, 0, 5]).as_deref(), Some("S-1-0x010000000005"));
    }

    #[test]
    fn l_073_what_is_no_sid_has_no_text() {
        let whole = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert!(sid_text(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(sid_text(&whole[..end]), None);
        }
        assert_eq!(sid_text(&[&whole[..], &[0]].concat()), None);
        assert_eq!(sid_text(&[2, 0, 0, 0, 0, 0, 0, 5]), None);
    }
}
