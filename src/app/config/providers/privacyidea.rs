//! `kind = "privacyidea"`.

use crate::provider::privacyidea::Caller;
use crate::provider::privacyidea::Settings;

use super::super::reader::Section;
use super::super::rooms::ca_file;
use super::super::secret::Sources;
use super::sent;
use super::timeout;
use super::url;

pub(super) fn settings(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Settings> {
    let url = section.need("url", "\"https://mfa.corp.example\"").and_then(|value| url(&value));
    let realm = section.find("realm").and_then(|value| value.text()).map(str::to_owned);
    let caller = caller(name, section, sources);
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let timeout = timeout(section);
    let send_source = sent(section, &["source"]).contains(&"source");
    Some(Settings { name: name.to_owned(), url: url?, ca_file, timeout, realm, caller: caller?, send_source })
}

/// A token of ours, or an account and its password, or nothing: then codes are all it can check.
fn caller(name: &str, section: &Section<'_>, sources: &Sources) -> Option<Caller> {
    if let Some(key) = section.find("key") {
        for other in ["service_name", "service_password"] {
            section.refuse(other, "makes no sense beside `key`");
        }
        return sources.secret(&key).map(Caller::Key);
    }
    let (service, password) = (section.find("service_name"), section.find("service_password"));
    match (service, password) {
        (None, None) => Some(Caller::Nobody),
        (Some(service), Some(password)) => {
            let password = sources.secret(&password);
            Some(Caller::Service { name: service.text()?.to_owned(), password: password? })
        }
        (Some(_), None) => {
            section.missing("service_password", &format!("write service_password = {{ credential = \"{name}-password\" }}"));
            None
        }
        (None, Some(_)) => {
            section.missing("service_name", "write service_name = \"vestibule\"");
            None
        }
    }
}
