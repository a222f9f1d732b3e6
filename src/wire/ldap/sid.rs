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

/// The binary SID that has exactly this text; `None` where there is none.
#[must_use]
pub fn sid_bytes(text: &str) -> Option<Vec<u8>> {
    let (authority, parts) = text.strip_prefix("S-1-").map(|rest| rest.split_once('-').unwrap_or((rest, "")))?;
    let authority: u64 = match authority.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => authority.parse().ok()?,
    };
    let parts = parts.split('-').filter(|part| !part.is_empty()).map(str::parse).collect::<Result<Vec<u32>, _>>().ok()?;
    let mut sid = vec![1, u8::try_from(parts.len()).ok()?];
    sid.extend_from_slice(authority.to_be_bytes().get(2..)?);
    sid.extend(parts.into_iter().flat_map(u32::to_le_bytes));
    // One text for one SID: another way to write it is no text of it.
    (sid_text(&sid).as_deref() == Some(text)).then_some(sid)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn l_073_a_text_that_no_sid_has_is_none() {
        for text in ["", "S-1-", "S-1", "S-1-5-", "S-1-5--21", "S-1-05-21", "S-1-5-021", "S-1-5-4294967296", "s-1-5-21", "S-1-0x5-21", "S-1-5-+1", "S-2-5-21"] {
            assert_eq!(sid_bytes(text), None, "{text}");
        }
        assert_eq!(sid_bytes(&format!("S-1-5{}", "-1".repeat(16))), None);
        assert_eq!(sid_bytes("S-1-1000000000000000-1"), None);
    }

    proptest! {
        #[test]
        fn l_073_a_sid_is_its_text_and_back(authority in 0_u64..1 << 48, parts in proptest::collection::vec(any::<u32>(), 0..=15)) {
            let mut sid = vec![1, u8::try_from(parts.len()).unwrap()];
            sid.extend(&authority.to_be_bytes()[2..]);
            sid.extend(parts.into_iter().flat_map(u32::to_le_bytes));
            prop_assert_eq!(sid_bytes(&sid_text(&sid).unwrap()), Some(sid));
        }
    }
}
