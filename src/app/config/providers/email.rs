//! `kind = "email"`: codes of our own by mail.

use std::sync::Arc;

use crate::domain::Lexicon;
use crate::provider::email::Settings;

use super::super::reader::Section;
use super::codes::habits;

pub(super) fn settings(name: &str, section: &Section<'_>, has_mail: bool, texts: &Arc<Lexicon>) -> Option<Settings> {
    if !has_mail {
        section.error("sends mail, and there is no mail server", Some("write [mail] with server and from"));
    }
    let subject = section.find("subject").and_then(|value| value.text());
    if subject.is_some_and(|subject| subject.contains(crate::provider::codes::CODE)) {
        section.error("subject: a code never stands in a subject, which screens show to whoever passes by", Some("put {code} into text"));
    }
    if subject.is_some_and(|subject| subject.len() > SUBJECT_BYTES_MAX || subject.chars().any(char::is_control)) {
        section.error("subject: is longer than 200 bytes, or has control characters in it", Some("write one short line"));
    }
    Some(Settings { name: name.to_owned(), subject: subject.map(str::to_owned), habits: habits(section, texts)? })
}

/// A line of a letter's head has at most 998 (RFC 5322 §2.1.1), and what is not ASCII grows threefold there.
const SUBJECT_BYTES_MAX: usize = 200;
