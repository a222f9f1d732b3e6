//! `kind = "duo"`.

use crate::provider::duo::Settings;

use super::super::reader::Section;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::host;
use super::sent;
use super::timeout;
use super::url;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let host = section.need("host", "\"api-xxxxxxxx.duosecurity.com\"").and_then(|value| host(&value));
    let key_id = section.need("key_id", "\"DIXXXXXXXXXXXXXXXXXX\"").and_then(|value| value.text());
    let key = section.need("key", &format!("{{ credential = \"{name}-key\" }}")).and_then(|value| sources.secret(&value));
    let url = section.find("url").and_then(|value| url(&value));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    let number_match = section.find("number_match").map_or(Some(false), |value| value.flag());
    let sent = sent(section, &["name", "source"]);
    let [send_name, send_source] = ["name", "source"].map(|word| sent.contains(&word));
    let (host, key_id) = (host?.to_owned(), key_id?.to_owned());
    Some(Settings { name: name.to_owned(), host, key_id, key: key?, url, ca_file, timeout, number_match: number_match?, send_name, send_source })
}
