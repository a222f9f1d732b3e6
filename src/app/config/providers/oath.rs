//! `kind = "oath"`: our own tokens.

use crate::provider::oath::Settings;

use super::super::reader::Section;

pub(super) fn settings(name: &str, section: &Section<'_>) -> Settings {
    let steps_around = section.find("steps_around").and_then(|value| value.number(0..=1)).unwrap_or(1);
    let look_ahead = section.find("look_ahead").and_then(|value| value.number(0..=10)).unwrap_or(10);
    let backup_codes = section.find("backup_codes").and_then(|value| value.flag()).unwrap_or(true);
    Settings { name: name.to_owned(), steps_around, look_ahead, backup_codes }
}
