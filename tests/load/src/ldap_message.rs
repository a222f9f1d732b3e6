//! The few LDAP messages a load needs, made and read (RFC 4511).

/// An answer of the server's.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub id: u32,
    /// Tag of the operation.
    pub op: u8,
    /// The result code, in messages that begin with one.
    pub code: Option<u8>,
    /// Bytes of the whole message.
    pub len: usize,
}

pub const BIND_RESPONSE: u8 = 0x61;
pub const ENTRY: u8 = 0x64;
pub const SEARCH_DONE: u8 = 0x65;

/// What comes is no LDAP message.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

impl Answer {
    /// The first message of `bytes`; `None` while it is not all there.
    pub fn read(bytes: &[u8]) -> Result<Option<Self>, Unreadable> {
        let Some((0x30, content, len)) = element(bytes)? else { return if bytes.first().is_none_or(|tag| *tag == 0x30) { Ok(None) } else { Err(Unreadable) } };
        let Some((0x02, id, id_len)) = element(content)? else { return Err(Unreadable) };
        let Some((op, body, _)) = element(&content[id_len..])? else { return Err(Unreadable) };
        if id.is_empty() || id.len() > 4 {
            return Err(Unreadable);
        }
        let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
        let code = match body {
            [0x0a, 1, code, ..] => Some(*code),
            _ => None,
        };
        Ok(Some(Self { id, op, code, len }))
    }
}

/// Tag, content and whole length.
type Element<'a> = (u8, &'a [u8], usize);

/// The first element.
fn element(bytes: &[u8]) -> Result<Option<Element<'_>>, Unreadable> {
    let [tag, first, rest @ ..] = bytes else { return Ok(None) };
    let more = if *first < 0x80 { 0 } else { usize::from(*first & 0x7f) };
    if more > 4 || *first == 0x80 {
        return Err(Unreadable);
    }
    let Some(octets) = rest.get(..more) else { return Ok(None) };
    let content_len = if more == 0 { usize::from(*first) } else { octets.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)) };
    Ok(rest.get(more..more + content_len).map(|content| (*tag, content, 2 + more + content_len)))
}

/// A simple bind.
pub fn bind(id: u32, name: &str, password: &str) -> Vec<u8> {
    let content = [made(0x02, &[3]), made(0x04, name.as_bytes()), made(0x80, password.as_bytes())].concat();
    message(id, &made(0x60, &content))
}

/// All people under `base`, all they have.
pub fn search(id: u32, base: &str) -> Vec<u8> {
    let whole_subtree = [0x0a, 1, 2, 0x0a, 1, 0];
    let no_limits = [0x02, 1, 0, 0x02, 1, 0, 0x01, 1, 0];
    let filter = made(0xa3, &[made(0x04, b"objectClass"), made(0x04, b"inetOrgPerson")].concat());
    let content = [made(0x04, base.as_bytes()), whole_subtree.to_vec(), no_limits.to_vec(), filter, made(0x30, &[])].concat();
    message(id, &made(0x63, &content))
}

pub fn unbind(id: u32) -> Vec<u8> {
    message(id, &[0x42, 0])
}

fn message(id: u32, op: &[u8]) -> Vec<u8> {
    // As short as can be, and never below 0.
    let id = id.to_be_bytes();
    let leading = id.iter().take(3).take_while(|byte| **byte == 0).count();
    let sign: &[u8] = if id[leading] >= 0x80 { &[0] } else { &[] };
    made(0x30, &[&made(0x02, &[sign, &id[leading..]].concat()), op].concat())
}

fn made(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let head = match len {
        0..0x80 => vec![tag, len as u8],
        0x80..0x100 => vec![tag, 0x81, len as u8],
        _ => vec![tag, 0x82, (len >> 8) as u8, len as u8],
    };
    [&head, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bind_is_made_as_rfc_4511_says() {
        assert_eq!(bind(1, "cn=a", "b"), b"\x30\x11\x02\x01\x01\x60\x0c\x02\x01\x03\x04\x04cn=a\x80\x01b");
        assert_eq!(unbind(200), b"\x30\x06\x02\x02\x00\xc8\x42\x00");
        assert_eq!(unbind(70_000)[..7], *b"\x30\x07\x02\x03\x01\x11\x70");
    }

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let bytes = b"\x30\x84\x00\x00\x00\x0c\x02\x01\x07\x61\x07\x0a\x01\x31\x04\x00\x04\x00\x30";
        for end in 0..bytes.len() - 1 {
            assert_eq!(Answer::read(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(Answer::read(bytes), Ok(Some(Answer { id: 7, op: BIND_RESPONSE, code: Some(49), len: 18 })));
        assert_eq!(Answer::read(b"HTTP/1.1"), Err(Unreadable));
        assert_eq!(Answer::read(b"\x30\x80\x02\x01\x07\x61\x00"), Err(Unreadable));
    }

    #[test]
    fn long_contents_have_long_lengths() {
        assert_eq!(made(4, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(made(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        let whole = search(9, &"x".repeat(300));
        assert_eq!(Answer::read(&whole).unwrap().unwrap().len, whole.len());
    }
}
