//! What providers have in common that carry codes of our own.

use std::sync::Arc;

use crate::domain::Lexicon;
use crate::provider::codes::CODE;
use crate::provider::codes::Habits;
use crate::provider::ledger::Caps;

use super::super::reader::Section;

/// `digits`, `day_max`, `day_total_max` and `text`.
pub(super) fn habits(section: &Section<'_>, texts: &Arc<Lexicon>) -> Option<Habits> {
    let digits = section.find("digits").and_then(|value| value.number(Habits::DIGITS_MIN..=Habits::DIGITS_MAX)).unwrap_or(Habits::DIGITS_MIN);
    let caps = caps(section);
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
    Some(Habits { digits, caps, text, texts: Arc::clone(texts) })
}

/// `day_max` and `day_total_max`: what may be sent, and so what it may cost, on one day.
pub(super) fn caps(section: &Section<'_>) -> Caps {
    let day_max = section.find("day_max").and_then(|value| value.number(1..=1_000)).unwrap_or(DAY_MAX);
    let day_total_max = section.find("day_total_max").and_then(|value| value.number(1..=1_000_000)).unwrap_or(DAY_TOTAL_MAX);
    Caps { day_max, day_total_max }
}

/// As many as the pushes that a person may get on one day, and a few mistypes.
const DAY_MAX: u32 = 20;
/// What somebody who knows many passwords may cost in a night.
const DAY_TOTAL_MAX: u32 = 5_000;
/// Two text messages.
const TEXT_CHARS_MAX: usize = 300;
