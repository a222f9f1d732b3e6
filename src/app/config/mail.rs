//! `[mail]`: the server that takes our letters.

use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use reqwest::Url;

use crate::domain::Lexicon;
use crate::mail::Login;
use crate::mail::Security;
use crate::mail::Settings;

use super::Mail;
use super::reader::Section;
use super::reader::Value;
use super::rooms::ca_file;
use super::rooms::seconds;
use super::secret::Sources;

/// `[mail]`, if there is one.
pub(super) fn mail(file: &Section<'_>, sources: &Sources, texts: &Arc<Lexicon>) -> Option<Mail> {
    file.find("mail").and_then(|value| value.table(|section| read(section, sources, texts)))
}

fn read(section: &Section<'_>, sources: &Sources, texts: &Arc<Lexicon>) -> Option<Mail> {
    let server = section.need("server", "\"smtp://smtp.corp.example:587\"").and_then(|value| server(&value));
    let from = section.need("from", "\"mfa@corp.example\"").and_then(|value| from(&value));
    let user = section.find("user");
    let password = section.find("password");
    let login = match (&user, &password) {
        (Some(user), Some(password)) => user.text().zip(sources.secret(password)).map(|(user, password)| Login { user: user.to_owned(), password }),
        (Some(_), None) => {
            section.missing("password", "write password = { credential = \"mail-password\" }");
            None
        }
        (None, Some(password)) => {
            password.error("goes nowhere without a name", Some("write user = \"..\""));
            None
        }
        (None, None) => None,
    };
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = section.find("timeout").and_then(|value| value.duration(seconds(1)..=seconds(60))).unwrap_or(TIMEOUT);
    let alerts = section.find("alerts").and_then(|value| value.list()).unwrap_or_default().iter().filter_map(address).collect();
    let (host, port, security) = server?;
    Some(Mail { settings: Settings { host, port, security, from: from?, login, ca_file, timeout }, alerts, texts: Arc::clone(texts) })
}

/// `smtp://` is TLS after a word in clear, and never without.
fn server(value: &Value<'_>) -> Option<(String, u16, Security)> {
    let text = value.text()?;
    let Ok(url) = Url::parse(text) else {
        value.error(&format!("{text:?} is not the URL of a mail server"), Some(FORM));
        return None;
    };
    let (security, usual_port) = match url.scheme() {
        "smtp" => (Security::StartTls, 587),
        "smtps" => (Security::Tls, 465),
        "smtp+plain" => (Security::Plain, 25),
        _ => {
            value.error(&format!("{text:?} is not the URL of a mail server"), Some(FORM));
            return None;
        }
    };
    let bare = ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let host = url.host_str().filter(|host| bare && !host.is_empty());
    let Some(host) = host else {
        value.error("is more or less than a server and a port", Some(FORM));
        return None;
    };
    if security == Security::Plain && !super::providers::is_loopback(host) {
        value.error("smtp+plain:// is for loopback addresses alone", Some("write smtp:// (TLS by STARTTLS) or smtps://"));
        return None;
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((host, url.port().unwrap_or(usual_port), security))
}

fn from(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.parse::<Mailbox>().is_err() {
        value.error(&format!("{text:?} is no mail address"), Some("write \"mfa@corp.example\" or \"Login <mfa@corp.example>\""));
        return None;
    }
    Some(text.to_owned())
}

fn address(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.parse::<Address>().is_err() {
        value.error(&format!("{text:?} is no mail address"), Some("write \"security@corp.example\""));
        return None;
    }
    Some(text.to_owned())
}

const FORM: &str = "write \"smtp://HOST:587\" (TLS by STARTTLS) or \"smtps://HOST:465\" (TLS from the start)";
const TIMEOUT: Duration = seconds(10);
