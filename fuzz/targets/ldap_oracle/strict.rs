//! Why we refuse what another reader takes: each reason is one of a list, and is looked for in the bytes by a walk of its own.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use vestibule_fuzz::wire::ldap::Refusal;

/// What is unusual about bytes that should be BER.
#[derive(Debug, Default)]
pub struct Marks {
    /// More than 64 elements inside each other.
    pub deep: bool,
    /// A length not told beforehand.
    pub indefinite: bool,
    /// A length in more than four octets.
    pub long_length: bool,
    /// An element that goes on behind what holds it, its head or its value.
    pub overrun: bool,
    /// A tag above 30.
    pub high_tag: bool,
    /// A string in pieces, a SEQUENCE that is none, or an end of contents.
    pub pieces: bool,
    /// Something behind the operation that is no list of controls, or more than one.
    pub strays: bool,
}

/// Differences by name, to be told now and then.
static EXPLAINED: [AtomicU64; 9] = [const { AtomicU64::new(0) }; 9];
static ALL: AtomicU64 = AtomicU64::new(0);
const NAMES: [&str; 9] = ["depth", "form", "id", "indefinite", "length", "long", "many", "number", "op"];

impl Marks {
    pub fn of(bytes: &[u8]) -> Self {
        let mut marks = Self::default();
        let mut level = vec![bytes];
        if let Some((_, inside, _)) = head(bytes, &mut Self::default()) {
            level[0] = bytes.get(..bytes.len() - behind(bytes, inside)).unwrap_or(bytes);
            let rest = top(inside);
            marks.strays = rest.len() > 2 && (rest.len() > 3 || rest[2] != 0xa0);
        }
        for depth in 0.. {
            let mut next = Vec::new();
            for mut rest in level {
                while !rest.is_empty() {
                    let Some((tag, inside, after)) = head(rest, &mut marks) else { break };
                    if tag & 0x20 != 0 {
                        next.push(inside);
                    }
                    rest = after;
                }
            }
            if next.is_empty() {
                break;
            }
            if depth >= 64 {
                marks.deep = true;
                break;
            }
            level = next;
        }
        marks
    }
}

fn behind(bytes: &[u8], inside: &[u8]) -> usize {
    let from = inside.as_ptr() as usize - bytes.as_ptr() as usize;
    bytes.len() - from - inside.len()
}

/// The tags of what lies side by side.
fn top(mut rest: &[u8]) -> Vec<u8> {
    let mut tags = Vec::new();
    while let Some((tag, _, after)) = head(rest, &mut Marks::default()) {
        tags.push(tag);
        rest = after;
    }
    tags
}

/// One element: tag, inside, behind.
fn head<'a>(bytes: &'a [u8], marks: &mut Marks) -> Option<(u8, &'a [u8], &'a [u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let universal = tag < 0x40;
    marks.high_tag |= tag & 0x1f == 0x1f;
    let sequence = matches!(tag & 0x1f, 0x10 | 0x11);
    marks.pieces |= universal && (tag & 0x1f == 0 || (tag & 0x20 != 0) != sequence);
    let Some((&first, mut rest)) = rest.split_first() else {
        marks.overrun = true;
        return None;
    };
    let mut len = usize::from(first);
    if first == 0x80 {
        marks.indefinite = true;
        return None;
    }
    if first > 0x80 {
        let count = usize::from(first & 0x7f);
        marks.long_length |= count > 4;
        let Some(octets) = rest.get(..count) else {
            marks.overrun = true;
            return None;
        };
        len = octets.iter().try_fold(0_usize, |sum, octet| sum.checked_mul(256)?.checked_add(usize::from(*octet))).unwrap_or(usize::MAX);
        rest = &rest[count..];
    }
    if len > rest.len() {
        marks.overrun = true;
        return None;
    }
    Some((tag, &rest[..len], &rest[len..]))
}

/// Fails unless the refusal has its mark.
pub fn explain(refusal: Refusal, bytes: &[u8], marks: &Marks) {
    let fine = match refusal {
        // These say themselves what they are.
        Refusal::Id | Refusal::Long | Refusal::Many | Refusal::Number | Refusal::Op => true,
        Refusal::Depth => marks.deep,
        Refusal::Indefinite => marks.indefinite,
        Refusal::Length => marks.long_length || marks.overrun,
        Refusal::Form => marks.high_tag || marks.pieces || marks.strays,
    };
    tell(fine, refusal.as_str(), bytes, marks);
    if let Some(at) = NAMES.iter().position(|name| *name == refusal.as_str()) {
        EXPLAINED[at].fetch_add(1, Ordering::Relaxed);
    }
    if ALL.fetch_add(1, Ordering::Relaxed).is_multiple_of(1 << 10) {
        let told: Vec<String> = NAMES.iter().zip(&EXPLAINED).map(|(name, count)| format!("{name} {}", count.load(Ordering::Relaxed))).collect();
        eprintln!("differences that are ours by intention: {}", told.join(", "));
    }
}

/// The one place where an unexplained difference ends the run.
pub fn tell(fine: bool, what: &str, bytes: &[u8], marks: &Marks) {
    assert!(fine, "an unexplained difference: {what}, {marks:?}, {bytes:02x?}");
}
