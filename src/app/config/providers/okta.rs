//! `kind = "okta"`.

use crate::provider::okta::Settings;

use super::super::reader::Section;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::host;
use super::login;
use super::sent;
use super::timeout;
use super::url;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let host = section.need("host", "\"corp.okta.com\"").and_then(|value| host(&value));
    let token = section.need("token", &format!("{{ credential = \"{name}-token\" }}")).and_then(|value| sources.secret(&value));
    let login = login(section);
    let number_match = section.find("number_match").map_or(Some(true), |value| value.flag());
    let send_source = sent(section, &["source"]).contains(&"source");
    let url = section.find("url").and_then(|value| url(&value));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    Some(Settings {
        name: name.to_owned(),
        host: host?.to_owned(),
        token: token?,
        login: login?,
        number_match: number_match?,
        send_source,
        url,
        ca_file,
        timeout,
    })
}
