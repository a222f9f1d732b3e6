//! Blocks: nobody comes in as somebody who has reported a fraud, or whom an administrator keeps out, before the block ends.

use serde::Deserialize;
use serde::Serialize;

use super::account::Identity;
use super::account::Timestamp;

/// What is held against one person or one telephone number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// It holds before this moment.
    pub until: Timestamp,
    /// Why, in the words of who said so.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What the person was called then: whoever has no account may be blocked, and a directory's id says nothing to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Block {
    /// The longest a block lasts: a year. Who is to stay out for longer is disabled.
    pub const MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;
    /// Who blocks somebody that has reported a fraud: that person.
    pub const BY_THE_PERSON: &str = "the person";

    /// What a fraud that its person has reported comes to.
    pub(super) fn fraud(now: Timestamp, for_ms: u64) -> Self {
        let until = Timestamp(now.0.saturating_add(for_ms.min(Self::MS_MAX)));
        Self { until, reason: "reported as fraud by the person".to_owned(), by: Self::BY_THE_PERSON.to_owned(), at: now, name: None }
    }

    /// Whether it keeps anybody out now.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// Whom a block keeps out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blocked {
    /// One person, under whatever name.
    Identity(Identity),
    /// Whoever is called at this number.
    Phone(Phone),
}

/// A telephone number as in E.164: a plus and 7 to 15 digits, the first of them no zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// The number at the start of `text`, without the signs that people write between digits and without what is dialled once somebody has answered; `None`
    /// where there is none.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let number = text.trim().strip_prefix('+')?;
        let number = number.split(['x', 'X', ',', '*', '#', ';']).next().unwrap_or_default();
        let digits: String = number.chars().filter(|sign| !" -./()\u{a0}".contains(*sign)).collect();
        let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()) && !digits.starts_with('0');
        fits.then(|| Self(format!("+{digits}")))
    }

    /// Plus and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_written_and_with_whatever_extension() {
        let phone = Phone::of("+49 (170) 555-01.42").unwrap();
        assert_eq!(phone.as_str(), "+491705550142");
        for same in ["+491705550142", " +49/170/5550142", "+491705550142x12", "+491705550142,,4#"] {
            assert_eq!(Phone::of(same), Some(phone.clone()), "{same}");
        }
        for other in ["", "+", "491705550142", "0170 5550142", "+0491705550142", "+49", "+4917055501420000", "+49170555O142"] {
            assert_eq!(Phone::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_block_ends_at_its_moment_and_after_a_year_at_most() {
        let block = Block::fraud(Timestamp(1_000), 500);
        assert!(block.holds(Timestamp(1_499)) && !block.holds(Timestamp(1_500)));
        assert_eq!(Block::fraud(Timestamp(0), u64::MAX).until, Timestamp(Block::MS_MAX));
    }
}
