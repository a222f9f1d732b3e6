//! The chain: each line is sealed with a key and with the seal of the line before it, so that none can be changed, left out or put in between unseen.

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

use crate::domain::Secret;

/// Seals lines one after the other.
#[derive(Debug)]
pub(super) struct Sealer {
    key: Secret,
    prev: String,
}

/// What stands between a line's own text and its seal.
const MARK: &str = ",\"seal\":\"";
const SEAL_LEN: usize = 64;

/// The key of the audit, made of the master key: who has the files alone cannot seal.
pub(super) fn key(master: &Secret) -> Option<Secret> {
    let mut mac = Hmac::<Sha256>::new_from_slice(master.expose()).ok()?;
    mac.update(b"vestibule audit 1");
    Some(Secret::new(mac.finalize().into_bytes().to_vec()))
}

impl Sealer {
    /// Goes on behind the line with this seal.
    pub(super) fn new(key: Secret, prev: String) -> Self {
        Self { key, prev }
    }

    /// The seal of the last line; empty before the first.
    pub(super) fn prev(&self) -> &str {
        &self.prev
    }

    /// Makes the JSON object that stands in `page` from `start` to its end a line. `None` for what is no object.
    pub(super) fn close(&mut self, page: &mut Vec<u8>, start: usize) -> Option<()> {
        let open = page.get(start..)?.strip_suffix(b"}")?;
        self.prev = seal(&self.key, &self.prev, open)?;
        page.pop();
        for part in [MARK, &self.prev, "\"}\n"] {
            page.extend_from_slice(part.as_bytes());
        }
        Some(())
    }

    /// Whether this line follows the last; then it is the last.
    pub(super) fn follows(&mut self, line: &str) -> bool {
        let Some((open, said)) = parted(line) else { return false };
        let right = seal(&self.key, &self.prev, open.as_bytes()).is_some_and(|seal| subtle::ConstantTimeEq::ct_eq(seal.as_bytes(), said.as_bytes()).into());
        if right {
            said.clone_into(&mut self.prev);
        }
        right
    }
}

/// The text that is sealed, and the seal it bears.
pub(super) fn parted(line: &str) -> Option<(&str, &str)> {
    let (open, rest) = line.trim_end_matches('\n').rsplit_once(MARK)?;
    let seal = rest.strip_suffix("\"}")?;
    (seal.len() == SEAL_LEN).then_some((open, seal))
}

fn seal(key: &Secret, prev: &str, open: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose()).ok()?;
    mac.update(prev.as_bytes());
    mac.update(b"\n");
    mac.update(open);
    let mut digits = String::with_capacity(SEAL_LEN);
    for byte in mac.finalize().into_bytes() {
        digits.extend([byte >> 4, byte & 0xf].map(|digit| char::from_digit(digit.into(), 16).unwrap_or_default()));
    }
    Some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(key(&Secret::new(vec![7; 32])).unwrap(), String::new())
    }

    fn closed(sealer: &mut Sealer, json: &str) -> String {
        let mut line = json.as_bytes().to_vec();
        sealer.close(&mut line, 0).unwrap();
        String::from_utf8(line).unwrap()
    }

    fn lines() -> Vec<String> {
        let mut sealer = sealer();
        ["{\"seq\":1}", "{\"seq\":2}", "{\"seq\":3}"].iter().map(|json| closed(&mut sealer, json)).collect()
    }

    fn hold<'a>(lines: impl IntoIterator<Item = &'a str>) -> bool {
        let mut sealer = sealer();
        lines.into_iter().all(|line| sealer.follows(line))
    }

    #[test]
    fn a_line_changed_left_out_put_in_or_moved_breaks_the_chain() {
        let lines = lines();
        let [one, two, three] = [&*lines[0], &*lines[1], &*lines[2]];
        assert!(hold([one, two, three]));
        assert!(!hold([one, three]) && !hold([two, three]) && !hold([one, one]) && !hold([one, three, two]));
        for at in 0..two.len() - 1 {
            let mut bytes = two.as_bytes().to_vec();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(!hold([one, &changed]), "{changed}");
        }
    }

    #[test]
    fn without_the_key_nobody_seals() {
        let mut other = Sealer::new(key(&Secret::new(vec![8; 32])).unwrap(), String::new());
        let forged = closed(&mut other, "{\"seq\":1}");
        assert!(!hold([&*forged]));
        assert!(!hold(["{\"seq\":1}", "", "{}", "{\"seq\":1,\"seal\":\"\"}"].into_iter().take(1)));
    }
}
