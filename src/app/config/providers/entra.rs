//! `kind = "entra"`.

use crate::provider::entra::Certificate;
use crate::provider::entra::Cloud;
use crate::provider::entra::Credential;
use crate::provider::entra::Settings;

use super::super::reader::Section;
use super::super::reader::Value;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::super::tls;
use super::login;
use super::timeout;
use super::url;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let tenant = section.need("tenant", "\"00000000-0000-0000-0000-000000000000\"").and_then(|value| guid(&value));
    let credential = credential(name, section, sources);
    let login = login(section);
    let clouds = [("global", Cloud::Global), ("us", Cloud::UsGovernment), ("china", Cloud::China)];
    let cloud = section.find("cloud").map_or(Some(Cloud::Global), |value| value.word(&clouds));
    let own = section.find("url").and_then(|value| url(&value));
    let login_url = section.find("login_url").and_then(|value| url(&value));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    Some(Settings { name: name.to_owned(), tenant: tenant?, credential: credential?, login: login?, cloud: cloud?, url: own, login_url, ca_file, timeout })
}

/// `secret`, or `cert_file` and `key`.
fn credential(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Credential> {
    if let Some(secret) = section.find("secret") {
        section.refuse("cert_file", "is one proof too many beside `secret`");
        section.refuse("key", "is one proof too many beside `secret`");
        return sources.secret(&secret).map(Credential::Secret);
    }
    if section.find("cert_file").is_none() && section.find("key").is_none() {
        section.missing("secret", &format!("write secret = {{ credential = \"{name}-secret\" }}, or cert_file and key"));
        return None;
    }
    let (identity, _, _, key) = tls::identity(section, sources)?;
    let certificate = identity.chain.first().and_then(|certificate| Certificate::new(certificate, &identity.private));
    if certificate.is_none() {
        key.error("is no RSA key", Some("Entra takes RSA certificates: openssl req -x509 -newkey rsa:2048 .."));
    }
    certificate.map(Credential::Certificate)
}

fn guid(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let lengths = text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let fine = lengths && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !fine {
        value.error(&format!("{text:?} is no tenant's id"), Some("a GUID, as the Entra admin center's overview shows it"));
    }
    fine.then(|| text.to_lowercase())
}
