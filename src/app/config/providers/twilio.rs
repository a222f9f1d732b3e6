//! `kind = "twilio-verify"`.

use phonenumber::country::Id;

use crate::provider::twilio::Settings;

use super::super::reader::Section;
use super::super::reader::Value;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::codes::caps;
use super::timeout;
use super::url;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let service = section.need("service", "\"VA..\"").and_then(|value| sid(&value, Settings::is_service, "VA"));
    let key_id = section.need("key_id", "\"SK..\"").and_then(|value| sid(&value, Settings::is_key_id, "SK"));
    let key = section.need("key", &format!("{{ credential = \"{name}-key\" }}")).and_then(|value| sources.secret(&value));
    let whatsapp = section.find("channel").map_or(Some(false), |value| value.word(&[("sms", false), ("whatsapp", true)]));
    let countries = section.need("countries", "[\"DE\", \"AT\"]").and_then(|value| countries(&value));
    let url = section.find("url").and_then(|value| url(&value));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    Some(Settings {
        name: name.to_owned(),
        service: service?.to_owned(),
        key_id: key_id?.to_owned(),
        key: key?,
        whatsapp: whatsapp?,
        countries: countries?,
        caps: caps(section),
        url,
        ca_file,
        timeout,
    })
}

fn sid<'a>(value: &Value<'a>, is: fn(&str) -> bool, kind: &str) -> Option<&'a str> {
    let text = value.text()?;
    if !is(text) {
        value.error(&format!("{text:?} is none of Twilio's names for that"), Some(&format!("{kind} and 32 hexadecimal digits, as in its console")));
    }
    is(text).then_some(text)
}

/// By their two letters.
pub(super) fn countries(value: &Value<'_>) -> Option<Vec<Id>> {
    let country = |value: &Value<'_>| {
        let text = value.text()?;
        let known = text.parse().ok().filter(|_| text.len() == 2);
        if known.is_none() {
            value.error(&format!("{text:?} is no country"), Some("write its two letters: \"DE\""));
        }
        known
    };
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("is empty: nobody could be reached", Some("write [\"DE\"]"));
    }
    let countries: Vec<Option<Id>> = entries.iter().map(country).collect();
    countries.into_iter().collect()
}
