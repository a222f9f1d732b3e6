//! Messages with nothing in them that we leave unread: these any reader of RFC 4511 must take, if it takes ours.

/// Whether it is one. Read without any reader of ours: definite lengths in one octet or four, each in its place.
pub fn is(bytes: &[u8]) -> bool {
    let Some([(0x30, message)]) = elements(bytes).as_deref().map(<[_; 1]>::try_from).and_then(Result::ok) else { return false };
    let Some(parts) = elements(message) else { return false };
    let [(0x02, id), (op, body)] = parts.as_slice() else { return false };
    let (id, body) = (*id, *body);
    is_number(id)
        && match op {
            0x50 => is_number(body),
            0x42 => body.is_empty(),
            0x4a => is_text(body),
            _ => elements(body).is_some_and(|parts| is_operation(*op, &parts)),
        }
}

fn is_operation(op: u8, parts: &[(u8, &[u8])]) -> bool {
    match (op, parts) {
        (0x60, [(0x02, version), (0x04, name), (0x80, _)]) => matches!(version, [0..=0x7f]) && is_text(name),
        (0x60, [(0x02, version), (0x04, name), (0xa3, sasl)]) => {
            let mechanism =
                elements(sasl).is_some_and(|sasl| matches!(sasl.as_slice(), [(0x04, mechanism)] | [(0x04, mechanism), (0x04, _)] if is_text(mechanism)));
            matches!(version, [0..=0x7f]) && is_text(name) && mechanism
        }
        (0x77, [(0x80, _)] | [(0x80, _), (0x81, _)]) => true,
        (0x63, [(0x04, base), (0x0a, [0..=2]), (0x0a, [0..=3]), (0x02, size), (0x02, seconds), (0x01, [0 | 0xff]), (0x87, name), (0x30, list)]) => {
            is_text(base) && is_number(size) && is_number(seconds) && is_text(name) && are_texts(list)
        }
        (0x6e, [(0x04, name), (0x30, pair)]) => {
            is_text(name) && elements(pair).is_some_and(|pair| matches!(pair.as_slice(), [(0x04, name), (0x04, _)] if is_text(name)))
        }
        (0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78, [(0x0a, [code]), (0x04, matched), (0x04, text)]) => {
            is_code(*code) && is_text(matched) && is_text(text)
        }
        _ => false,
    }
}

/// The result codes of RFC 4511, but for a referral, which needs where to.
fn is_code(code: u8) -> bool {
    matches!(code, 0..=8 | 11..=14 | 16..=21 | 32..=34 | 36 | 48..=54 | 64..=69 | 71 | 80)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

fn are_texts(list: &[u8]) -> bool {
    elements(list).is_some_and(|list| list.iter().all(|(tag, value)| *tag == 0x04 && is_text(value)))
}

/// 0 to 2^31 - 1, in no octet too many.
fn is_number(bytes: &[u8]) -> bool {
    matches!(bytes, [0..=0x7f] | [0, 0x80..=0xff] | [1..=0x7f, ..]) && bytes.len() <= 4
}

fn elements(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (len, rest) = match rest {
            [0x84, a, b, c, d, rest @ ..] => (usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?, rest),
            [len @ 0..=0x7f, rest @ ..] => (usize::from(*len), rest),
            _ => return None,
        };
        found.push((*tag, rest.get(..len)?));
        bytes = rest.get(len..)?;
    }
    Some(found)
}
