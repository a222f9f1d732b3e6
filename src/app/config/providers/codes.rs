//! What providers have in common that carry codes of our own.

use std::sync::Arc;

use crate::domain::Lexicon;
use crate::provider::codes::CODE;
use crate::provider::codes::Habits;

use super::super::reader::Section;

/// `digits`, `day_max` and `text`.
pub(super) fn habits(section: &Section<'_>, texts: &Arc<Lexicon>) -> Option<Habits> {
    let digits = section.find("digits").and_then(|value| value.number(Habits::DIGITS_MIN..=Habits::DIGITS_MAX)).unwrap_or(Habits::DIGITS_MIN);
    let day_max = section.find("day_max").and_then(|value| value.number(1..=1_000)).unwrap_or(DAY_MAX);
    let text = match section.find("text") {
        None => None,
        Some(value) => {
            let text = value.text()?;
            if !text.contains(CODE) || text.chars().count() > TEXT_CHARS_MAX {
                value.error(&format!("must hold {CODE} and have at most {TEXT_CHARS_MAX} characters"), Some("write \"Your code: {code}\""));
                return None;
            }
            Some(text.to_owned())
        }
    };
    Some(Habits { digits, day_max, text, texts: Arc::clone(texts) })
}

/// As many as the pushes that a person may get on one day, and a few mistypes.
const DAY_MAX: u32 = 20;
/// Two text messages.
const TEXT_CHARS_MAX: usize = 300;
