//! Each `[provider.NAME]`: what all have in common, and a file for the keys of each kind.

mod codes;
mod duo;
mod email;
mod entra;
mod oath;
mod okta;
mod privacyidea;
mod sms;
mod twilio;
mod webhook;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::Lexicon;
use crate::domain::Method;
use crate::provider::login::By;
use crate::provider::login::Login;

use super::ProviderSettings;
use super::reader::Section;
use super::reader::Value;
use super::rooms::seconds;
use super::secret::Sources;

/// A provider as far as it could be read: policies ask for its kind even when a key of it is wrong.
#[derive(Debug)]
pub(super) struct Provider<'a> {
    pub(super) kind: Option<Carrier>,
    pub(super) settings: Option<ProviderSettings>,
    pub(super) place: Value<'a>,
}

/// What carries the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    Duo,
    Email,
    Entra,
    Oath,
    Okta,
    PrivacyIdea,
    SmsGateway,
    TwilioVerify,
    Webhook,
}

impl Carrier {
    const ALL: [Self; 9] =
        [Self::Duo, Self::Email, Self::Entra, Self::Oath, Self::Okta, Self::PrivacyIdea, Self::SmsGateway, Self::TwilioVerify, Self::Webhook];

    /// The word behind `kind`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Duo => "duo",
            Self::Email => "email",
            Self::Entra => "entra",
            Self::Oath => "oath",
            Self::Okta => "okta",
            Self::PrivacyIdea => "privacyidea",
            Self::SmsGateway => "sms-gateway",
            Self::TwilioVerify => "twilio-verify",
            Self::Webhook => "webhook",
        }
    }

    /// Whether it is told a person's bare name: two people of one name in two directories are one person there.
    pub(super) fn knows_bare_names(self) -> bool {
        matches!(self, Self::Duo | Self::PrivacyIdea)
    }

    /// What it can do.
    pub(super) fn methods(self) -> &'static [Method] {
        match self {
            Self::Duo => &[Method::Push, Method::Call, Method::Text, Method::Oath],
            Self::Email => &[Method::Email],
            Self::Entra => &[Method::Push, Method::Call, Method::Text, Method::Oath],
            Self::Oath => &[Method::Oath],
            Self::Okta => &[Method::Push, Method::Call, Method::Text, Method::Email, Method::Oath],
            Self::PrivacyIdea => &[Method::Push, Method::Text, Method::Email, Method::Oath],
            Self::SmsGateway => &[Method::Text],
            Self::TwilioVerify => &[Method::Text, Method::Call, Method::Email],
            Self::Webhook => &[Method::Push, Method::Call, Method::Text, Method::Email, Method::Oath],
        }
    }
}

/// Each `[provider.NAME]`. Some need the mail server.
pub(super) fn providers<'a>(file: &Section<'a>, sources: &Sources, has_mail: bool, texts: &Arc<Lexicon>) -> BTreeMap<String, Provider<'a>> {
    let one = |(name, value): (&str, Value<'a>)| {
        let mut kind = None;
        let settings = value.table(|section| {
            kind = section.need("kind", "\"duo\"").and_then(|value| value.word(&Carrier::ALL.map(|carrier| (carrier.as_str(), carrier))));
            match kind {
                Some(Carrier::Duo) => duo::settings(name, section, sources).map(ProviderSettings::Duo),
                Some(Carrier::Email) => email::settings(name, section, has_mail, texts).map(ProviderSettings::Email),
                Some(Carrier::Entra) => entra::settings(name, section, sources).map(|settings| ProviderSettings::Entra(Box::new(settings))),
                Some(Carrier::Oath) => Some(ProviderSettings::Oath(oath::settings(name, section))),
                Some(Carrier::Okta) => okta::settings(name, section, sources).map(ProviderSettings::Okta),
                Some(Carrier::SmsGateway) => sms::settings(name, section, sources, texts).map(ProviderSettings::SmsGateway),
                Some(Carrier::TwilioVerify) => twilio::settings(name, section, sources).map(ProviderSettings::TwilioVerify),
                Some(Carrier::PrivacyIdea) => privacyidea::settings(name, section, sources).map(ProviderSettings::PrivacyIdea),
                Some(Carrier::Webhook) => webhook::settings(name, section, sources).map(ProviderSettings::Webhook),
                None => {
                    section.forgive();
                    None
                }
            }
        });
        (name.to_owned(), Provider { kind, settings, place: value })
    };
    file.named("provider").into_iter().map(one).collect()
}

/// The host alone: it is signed, letter by letter.
pub(super) fn host<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.text()?;
    let fine = text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c));
    if !fine {
        value.error(&format!("{text:?} is not a host name"), Some("write it without https:// and without a path"));
    }
    fine.then_some(text)
}

/// `user` and `domain`: by which name a provider knows people.
pub(super) fn login(section: &Section<'_>) -> Option<Login> {
    let by = match section.find("user") {
        Some(value) => value.word(&[("name", By::Name), ("mail", By::Mail)])?,
        None => By::Name,
    };
    let domain = match section.find("domain") {
        Some(value) => Some(host(&value)?.to_owned()),
        None => None,
    };
    Some(Login { by, domain })
}

/// Where to connect instead of the host. Questions about people do not travel in clear text.
pub(super) fn url(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let Ok(parsed) = reqwest::Url::parse(text) else {
        value.error(&format!("{text:?} is not a URL"), Some("write \"https://HOST:PORT\""));
        return None;
    };
    let loopback = parsed.host_str().is_some_and(is_loopback);
    let bare = parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none() && parsed.username().is_empty() && parsed.password().is_none();
    match (parsed.scheme(), loopback, bare) {
        ("https", _, true) | ("http", true, true) => Some(text.trim_end_matches('/').to_owned()),
        ("http", false, _) => {
            value.error("http:// is for loopback addresses alone", Some("write https://"));
            None
        }
        _ => {
            value.error("is not the root of an HTTPS server", Some("write \"https://HOST:PORT\", nothing behind it"));
            None
        }
    }
}

/// Whether this may go there: what we ask is not for others to read.
fn is_private(value: &Value<'_>, url: &reqwest::Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" if url.host_str().is_some_and(is_loopback) => true,
        _ => {
            value.error("http:// is for loopback addresses alone", Some("write https://"));
            false
        }
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn timeout(section: &Section<'_>) -> Duration {
    section.find("timeout").and_then(|value| value.duration(Duration::from_millis(100)..=seconds(60))).unwrap_or(TIMEOUT)
}

/// What goes out about a person beside what the provider cannot do without: of `known`, what `send` names.
pub(super) fn sent(section: &Section<'_>, known: &[&'static str]) -> Vec<&'static str> {
    let words: Vec<(&'static str, &'static str)> = known.iter().map(|word| (*word, *word)).collect();
    let listed = section.find("send").and_then(|value| value.list()).unwrap_or_default();
    listed.iter().filter_map(|value| value.word(&words)).collect()
}

const TIMEOUT: Duration = seconds(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_alone() {
        assert!(["localhost", "127.0.0.1", "127.8.8.8", "[::1]"].into_iter().all(is_loopback));
        assert!(!["192.0.2.1", "localhost.example", "[::]", "0.0.0.0"].into_iter().any(is_loopback));
    }
}
