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
    Some(Settings { name: name.to_owned(), subject: subject.map(str::to_owned), habits: habits(section, texts)? })
}
