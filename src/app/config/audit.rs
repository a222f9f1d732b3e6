//! `[audit]`: where the account of logins lies, for how long, and who is sent it as well.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use crate::audit::Receiver;
use crate::audit::Settings;
use crate::audit::Transport;
use crate::store;

use super::reader::Section;
use super::reader::Value;
use super::rooms::ca_file;
use super::rooms::seconds;
use super::secret::Sources;

/// A bit more than a year: long enough to look back at the same month.
const KEEP: Duration = seconds(400 * DAY_S);
const DAY_S: u64 = 24 * 60 * 60;

/// As read.
pub(super) struct Read {
    folder: Option<PathBuf>,
    keep: Duration,
    receivers: Vec<Receiver>,
}

/// What the section says; without one the audit lies beside the store.
pub(super) fn audit(file: &Section<'_>, sources: &Sources) -> Read {
    let read = |audit: &Section<'_>| {
        let folder = audit.find("folder").and_then(|value| sources.path(&value));
        let keep = audit.find("keep").and_then(|value| {
            let keep = value.duration(seconds(0)..=seconds(36_500 * DAY_S))?;
            if !keep.is_zero() && keep < seconds(DAY_S) {
                value.error("is less than a day", Some("write \"400d\", or \"0s\" for ever"));
            }
            Some(keep)
        });
        let syslog = audit.find("syslog").and_then(|value| value.table(|section| syslog(section, sources)));
        let http = audit.find("http").and_then(|value| value.table(|section| http(section, sources)));
        Some(Read { folder, keep: keep.unwrap_or(KEEP), receivers: syslog.into_iter().chain(http).collect() })
    };
    file.find("audit").and_then(|value| value.table(read)).unwrap_or(Read { folder: None, keep: KEEP, receivers: Vec::new() })
}

/// As the room wants it.
pub(super) fn settings(read: Read, node: &str, store: &store::Settings) -> Settings {
    let Read { folder, keep, receivers } = read;
    Settings {
        folder: folder.unwrap_or_else(|| store.data_dir.join("audit")),
        node: node.to_owned(),
        master_key: store.master_key.clone(),
        keep_days: u32::try_from(keep.as_secs() / DAY_S).unwrap_or(u32::MAX),
        receivers,
    }
}

fn syslog(section: &Section<'_>, sources: &Sources) -> Option<Receiver> {
    let value = section.need("server", "\"tls://siem.corp.example:6514\"");
    let ca_file = section.find("ca_file").map(|value| (ca_file(&value, sources), value));
    let value = value?;
    let (transport, host, port) = syslog_server(&value)?;
    if transport != Transport::Tls {
        if let Some((_, ca_file)) = ca_file {
            ca_file.error("goes with nothing: there are certificates behind tls:// alone", Some("write tls://, or take the line out"));
        }
        if !is_loopback(&host) {
            value.warn("sends in clear text who logs in from where", Some("write tls://"));
        }
        return Some(Receiver::Syslog { transport, host, port, ca_file: None });
    }
    Some(Receiver::Syslog { transport, host, port, ca_file: ca_file.and_then(|(path, _)| path) })
}

fn syslog_server(value: &Value<'_>) -> Option<(Transport, String, u16)> {
    const FORM: &str = "write \"tls://siem.corp.example:6514\", or tcp://, or udp://";
    let text = value.text()?;
    let url =
        Url::parse(text).ok().filter(|url| ["", "/"].contains(&url.path()) && url.query().is_none() && url.fragment().is_none() && url.username().is_empty());
    let known = url.as_ref().and_then(|url| match url.scheme() {
        "tcp" => Some((Transport::Tcp, 601)),
        "tls" => Some((Transport::Tls, 6514)),
        "udp" => Some((Transport::Udp, 514)),
        _ => None,
    });
    let host = url.as_ref().and_then(Url::host_str).filter(|host| !host.is_empty());
    let Some(((transport, usual), host)) = known.zip(host) else {
        value.error(&format!("{text:?} is not the address of a syslog server"), Some(FORM));
        return None;
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some((transport, host, url.as_ref().and_then(Url::port).unwrap_or(usual)))
}

fn http(section: &Section<'_>, sources: &Sources) -> Option<Receiver> {
    let value = section.need("url", "\"https://siem.corp.example/ingest\"");
    let token = section.find("token").and_then(|value| sources.secret(&value));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let value = value?;
    let text = value.text()?;
    let url = Url::parse(text).ok().filter(|url| url.has_host() && url.username().is_empty() && url.password().is_none());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    match url.as_ref().map(Url::scheme) {
        Some("https") => {}
        Some("http") if is_loopback(host) => {}
        Some("http") => {
            value.error("would send in clear text who logs in from where", Some("write https:// (http:// is for loopback addresses alone)"));
            return None;
        }
        _ => {
            value.error(&format!("{text:?} is not a URL that takes posts"), Some("write \"https://siem.corp.example/ingest\""));
            return None;
        }
    }
    Some(Receiver::Http { url: text.to_owned(), ca_file, token })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
