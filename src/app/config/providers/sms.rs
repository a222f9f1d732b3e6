//! `kind = "sms-gateway"`: codes of our own by text message.

use std::sync::Arc;

use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::domain::Lexicon;
use crate::provider::sms::Format;
use crate::provider::sms::Settings;
use crate::provider::sms::Sketch;
use crate::provider::sms::Success;
use crate::provider::sms::Template;

use super::super::reader::Section;
use super::super::reader::Value;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::codes::habits;
use super::is_private;
use super::timeout;
use super::twilio::countries;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources, texts: &Arc<Lexicon>) -> Option<Settings> {
    let template = template(section);
    let key = section.find("key");
    let secret = key.as_ref().and_then(|value| sources.secret(value));
    match (&template, &key) {
        (Some(template), None) if template.wants_key() => {
            section.missing("key", &format!("{{key}} stands in the request: write key = {{ credential = \"{name}-key\" }}"))
        }
        (Some(template), Some(value)) if !template.wants_key() => value.error("goes nowhere: {key} does not stand in the request", Some("take it away")),
        _ => {}
    }
    if let (Some(value), Some(false)) = (&key, secret.as_ref().map(|secret| secret.expose().iter().all(|byte| (b' '..=b'~').contains(byte)))) {
        value.error("holds what no header may", Some("printable ASCII characters alone"));
    }
    let success = section.find("success").and_then(|value| value.table(success)).unwrap_or_else(|| Success { status: STATUS.to_vec(), body: something() });
    let countries = section.need("countries", "[\"DE\", \"AT\"]").and_then(|value| countries(&value));
    let habits = habits(section, texts);
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    Some(Settings { name: name.to_owned(), template: template?, key: secret, success, countries: countries?, habits: habits?, ca_file, timeout })
}

/// The request: `method`, `url`, `headers`, `format` and `body`.
fn template(section: &Section<'_>) -> Option<Template> {
    let method = section.find("method").map_or(Some("POST"), |value| value.word(&["GET", "POST", "PUT"].map(|word| (word, word))));
    let url = section.need("url", "\"https://sms.example/send\"");
    let headers = section.named("headers");
    let headers: Option<Vec<(&str, &str)>> = headers.iter().map(|(name, value)| Some((*name, value.text()?))).collect();
    let formats = [("form", Format::Form), ("json", Format::Json), ("plain", Format::Plain)];
    let format = section.find("format").map_or(Some(Format::Json), |value| value.word(&formats));
    let body = section.find("body");
    let text = body.as_ref().map(Value::text);
    let (place, url, method, headers, format) = (url.as_ref()?, url.as_ref()?.text()?, method?, headers?, format?);
    if text == Some(None) {
        return None;
    }
    let clear = reqwest::Url::parse(url).map(|parsed| is_private(place, &parsed));
    if clear == Ok(false) {
        return None;
    }
    let sketch = Sketch { method, url, headers: &headers, body: text.flatten().map(|text| (format, text)) };
    Template::new(&sketch).map_err(|error| section.error(&error.to_string(), None)).ok()
}

fn success(section: &Section<'_>) -> Option<Success> {
    let listed = section.find("status").and_then(|value| value.list());
    let status = listed.map(|listed| listed.iter().filter_map(|value| value.number(200..=299)).collect());
    let body = match section.find("body") {
        Some(value) => {
            let built = RegexBuilder::new(value.text()?).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
            built.map_err(|error| value.error(&format!("is no regular expression: {error}"), None)).ok()
        }
        None => something(),
    };
    Some(Success { status: status.unwrap_or_else(|| STATUS.to_vec()), body })
}

/// An answer without a word says nothing: it may be anybody's (a proxy, a page that was taken away). Whose gateway answers so says body = "".
fn something() -> Option<Regex> {
    Regex::new(r"\S").ok()
}

const STATUS: [u16; 3] = [200, 201, 202];
const REGEX_BYTES_MAX: usize = 1 << 20;
