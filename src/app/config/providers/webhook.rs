//! `kind = "webhook"`: whoever speaks our own protocol.

use crate::domain::Secret;
use crate::provider::webhook::Send;
use crate::provider::webhook::Settings;

use super::super::reader::Section;
use super::super::reader::Value;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::is_private;
use super::timeout;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let url = section.need("url", "\"https://mfa-bridge.corp.example/vestibule\"").and_then(|value| service(&value));
    let key = section.need("key", &format!("{{ credential = \"{name}-key\" }}")).and_then(|value| long(&value, sources));
    let second_key = section.find("second_key").and_then(|value| long(&value, sources));
    let send = section.find("send").map(|value| send(&value)).unwrap_or_default();
    let call_pin = section.find("call").map_or(Some(false), |value| value.word(&[("pin", true), ("standard", false)]));
    let tell_end = section.find("tell_end").map_or(Some(false), |value| value.flag());
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    Some(Settings { name: name.to_owned(), url: url?, key: key?, second_key, send, call_pin: call_pin?, tell_end: tell_end?, ca_file, timeout })
}

/// Which personal data goes out beside the unique id.
fn send(value: &Value<'_>) -> Send {
    let mut send = Send::default();
    let words = [("email", Word::Email), ("name", Word::Name), ("phone", Word::Phone), ("source", Word::Source)];
    for word in value.list().unwrap_or_default() {
        match word.word(&words) {
            Some(Word::Email) => send.email = true,
            Some(Word::Name) => send.name = true,
            Some(Word::Phone) => send.phone = true,
            Some(Word::Source) => send.source = true,
            None => {}
        }
    }
    send
}

#[derive(Clone, Copy)]
enum Word {
    Email,
    Name,
    Phone,
    Source,
}

fn long(value: &Value<'_>, sources: &Sources) -> Option<Secret> {
    let secret = sources.secret(value)?;
    if secret.len() < Settings::KEY_LEN_MIN {
        value.error(&format!("is shorter than {} bytes", Settings::KEY_LEN_MIN), Some("make one: openssl rand -hex 32 > FILE"));
        return None;
    }
    Some(secret)
}

/// A server and perhaps a path. Questions about people do not travel in clear text.
fn service(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let parsed = reqwest::Url::parse(text).ok();
    let bare = |url: &reqwest::Url| url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let Some(url) = parsed.filter(bare) else {
        value.error(&format!("{text:?} is not the URL of a service"), Some("write \"https://HOST/PATH\", no ? and no user in it"));
        return None;
    };
    is_private(value, &url).then(|| text.trim_end_matches('/').to_owned())
}
