//! The sections that stand for themselves: node, limits, admin, directories, providers.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use rustls::pki_types::ServerName;

use crate::directory;
use crate::directory::IdentityAttribute;
use crate::directory::Kind;
use crate::directory::LOGIN_ATTRIBUTES;
use crate::directory::Security;
use crate::directory::srv::Srv;
use crate::domain::Secret;
use crate::domain::phone::Numbers;
use crate::store;

use super::Admin;
use super::Limits;
use super::providers;
use super::reader::Section;
use super::reader::Value;
use super::realms;
use super::secret::Origin;
use super::secret::Sources;
use super::tls;

/// `[node]` as read.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) store: store::Settings,
    /// How telephone numbers are read.
    pub(super) numbers: Numbers,
    /// `None` where none is written.
    pub(super) time_zone: Option<TimeZone>,
}

/// `[node]`: the name, what the store needs, how telephone numbers are read, and by which clock hours count.
pub(super) fn node(file: &Section<'_>, sources: &Sources) -> Option<Node> {
    let Some(value) = file.find("node") else {
        file.missing("node", "write [node] with name, data_dir and master_key");
        return None;
    };
    value.table(|node| {
        let name = node.need("name", "\"mfa1\"").and_then(|value| value.name());
        let data_dir = node.need("data_dir", "\"/var/lib/vestibule\"").and_then(|value| data_dir(&value, sources));
        let has_store = data_dir.as_ref().is_some_and(|data_dir| data_dir.join("store").exists());
        let origin = if has_store { Origin::Lost } else { Origin::Made };
        let master_key = node.need("master_key", "{ credential = \"master-key\" }").and_then(|value| master_key(&value, sources, origin));
        let time_zone = node.find("time_zone").map_or(Some(None), |value| time_zone(&value).map(Some));
        let country = node.find("country").and_then(|value| value.parsed());
        Some(Node {
            name: name?.to_owned(),
            store: store::Settings { data_dir: data_dir?, master_key: master_key? },
            time_zone: time_zone?,
            numbers: Numbers::new(country),
        })
    })
}

/// The last step of the path is made when it is not there; more than that would hide a slip of the keyboard.
fn data_dir(value: &Value<'_>, sources: &Sources) -> Option<PathBuf> {
    let path = sources.path(value)?;
    sources.served_by.set(std::fs::metadata(&path).ok().map(|found| found.uid()));
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    if let Some(above) = above.filter(|above| !above.is_dir()) {
        value.error(&format!("there is no folder {} to make it in", above.display()), Some("look whether the path is right, and make that folder if it is"));
        return None;
    }
    Some(path)
}

/// A name of the tz database: of the machine's own, else of the one that is built in.
fn time_zone(value: &Value<'_>) -> Option<TimeZone> {
    let name = value.text()?;
    let found = TimeZone::get(name).ok().filter(|_| name != "Etc/Unknown");
    if found.is_none() {
        value.error(&format!("{name:?} is no time zone"), Some("write \"Europe/Berlin\" or \"UTC\""));
    }
    found
}

/// 64 hexadecimal digits, 32 bytes.
fn master_key(value: &Value<'_>, sources: &Sources, origin: Origin) -> Option<Secret> {
    let text = sources.secret_from(value, origin)?;
    let bytes = text.expose_text().and_then(Secret::from_hex).filter(|bytes| bytes.len() == MASTER_KEY_BYTES);
    if bytes.is_none() {
        let hint = if origin == Origin::Made { "type: openssl rand -hex 32 > FILE".to_owned() } else { origin.hint("FILE") };
        value.error("the master key is not 64 hexadecimal digits", Some(&hint));
    }
    bytes
}

/// `[limits]`
pub(super) fn limits(file: &Section<'_>) -> Limits {
    let usual = Limits::default();
    let read = |limits: &Section<'_>| {
        let number = |key, bounds, usual| limits.find(key).and_then(|value| value.number(bounds)).unwrap_or(usual);
        let time = |key, bounds, usual| limits.find(key).and_then(|value| value.duration(bounds)).unwrap_or(usual);
        Some(Limits {
            radius_inflight_max: number("radius_inflight_max", 1..=10_000_000, usual.radius_inflight_max),
            radius_answer_keep: time("radius_answer_keep", seconds(5)..=seconds(30), usual.radius_answer_keep),
            ldap_connections_max: number("ldap_connections_max", 1..=1_000_000, usual.ldap_connections_max),
            ldap_pdu_bytes_max: number("ldap_pdu_bytes_max", 65_536..=268_435_456, usual.ldap_pdu_bytes_max),
            login_deadline: time("login_deadline", seconds(1)..=seconds(300), usual.login_deadline),
            challenge_keep: time("challenge_keep", seconds(1)..=seconds(300), usual.challenge_keep),
            reject_delay: time("reject_delay", seconds(1)..=seconds(10), usual.reject_delay),
        })
    };
    file.find("limits").and_then(|value| value.table(read)).unwrap_or(usual)
}

/// `[admin]`
pub(super) fn admin(file: &Section<'_>, sources: &Sources) -> Admin {
    let usual = || Admin { socket: PathBuf::from(SOCKET), group: GROUP.to_owned() };
    let read = |admin: &Section<'_>| {
        let socket = admin.find("socket").and_then(|value| socket(&value, sources)).unwrap_or_else(|| PathBuf::from(SOCKET));
        let group = admin.find("group").and_then(|value| value.name()).unwrap_or(GROUP).to_owned();
        Some(Admin { socket, group })
    };
    file.find("admin").and_then(|value| value.table(read)).unwrap_or_else(usual)
}

fn socket(value: &Value<'_>, sources: &Sources) -> Option<PathBuf> {
    let path = sources.path(value)?;
    let len = path.as_os_str().as_bytes().len();
    if len > SOCKET_BYTES_MAX {
        value.error(&format!("{} is too long for a socket", path.display()), Some(&format!("at most {SOCKET_BYTES_MAX} bytes, this is {len}")));
        return None;
    }
    Some(path)
}

/// Each `[directory.NAME]`; `None` where something is wrong with it, so that nobody calls its name unknown.
pub(super) fn directories(file: &Section<'_>, sources: &Sources) -> BTreeMap<String, Option<directory::Settings>> {
    let places = file.named("directory");
    let mut joined = Vec::new();
    let mut directories = BTreeMap::new();
    for (name, value) in &places {
        let read = value.table(|section| {
            joined.extend(section.find("same_as").map(|value| (*name, value)));
            directory(name, section, sources)
        });
        directories.insert((*name).to_owned(), read);
    }
    realms::joined(&joined, &places, &directories);
    directories
}

fn directory(name: &str, section: &Section<'_>, sources: &Sources) -> Option<directory::Settings> {
    let kind = section.need("kind", "\"ad\"").and_then(|value| value.word(&[("ad", Kind::Ad), ("ldap", Kind::Ldap)]));
    let servers = servers_of(section);
    let base = section.need("base", "\"DC=corp,DC=example\"").and_then(|value| base(&value));
    let netbios = match kind {
        Some(Kind::Ldap) => {
            section.refuse("netbios", "only Active Directory has NetBIOS names");
            None
        }
        Some(Kind::Ad) | None => section.find("netbios").and_then(|value| value.name()).map(str::to_owned),
    };
    if kind == Some(Kind::Ad) && netbios.is_none() {
        section.warn("has no `netbios`: nobody can log in as CORP\\alice", Some("write netbios = \"CORP\""));
    }
    let same_as = section.find("same_as").and_then(|value| value.name()).map(str::to_owned);
    let upn_suffixes = section.find("upn_suffixes").and_then(|value| realms::suffixes(&value)).unwrap_or_default();
    let (identity_attribute, login_attributes) = people(kind, section);
    if kind == Some(Kind::Ad) && servers.as_ref().is_some_and(|(servers, _)| servers.iter().any(|server| GLOBAL_CATALOG.contains(&server.port))) {
        section.warn(
            "asks a Global Catalog, which changes no passwords and does not know every group",
            Some("use ports 636 or 389 where people change expired passwords, or a reply is for a group"),
        );
    }
    let bind_name = section.need("bind_name", "\"svc-mfa@corp.example\"").and_then(|value| value.text());
    let bind_password = section
        .need("bind_password", &format!("{{ credential = \"{name}-bind\" }}"))
        .and_then(|value| sources.secret_from(&value, Origin::Given("the password of bind_name")));
    let ca_file = section.find("ca_file").and_then(|value| ca_file(&value, sources));
    let pool_max = section.find("pool_max").and_then(|value| value.number(1..=1000)).unwrap_or(POOL_MAX);
    let timeout = providers::timeout(section);
    let (servers, srv) = servers?;
    Some(directory::Settings {
        name: name.to_owned(),
        same_as,
        kind: kind?,
        servers,
        srv,
        base: base?.to_owned(),
        netbios,
        upn_suffixes,
        identity_attribute,
        login_attributes,
        bind_name: bind_name?.to_owned(),
        bind_password: bind_password?,
        ca_file,
        pool_max,
        timeout,
    })
}

/// How people are found where there is no Active Directory.
fn people(kind: Option<Kind>, section: &Section<'_>) -> (IdentityAttribute, Vec<&'static str>) {
    if kind == Some(Kind::Ad) {
        section.refuse("identity_attribute", "in Active Directory it is objectSid");
        section.refuse("login_attributes", "in Active Directory it is sAMAccountName");
        return (IdentityAttribute::EntryUuid, Vec::new());
    }
    let ids = [IdentityAttribute::EntryUuid, IdentityAttribute::IpaUniqueId, IdentityAttribute::NsUniqueId].map(|id| (id.name(), id));
    let id = section.find("identity_attribute").and_then(|value| value.word(&ids)).unwrap_or_default();
    let words: Vec<_> = LOGIN_ATTRIBUTES.iter().map(|name| (*name, *name)).collect();
    let names = section.find("login_attributes").and_then(|value| {
        let entries = value.list()?;
        if entries.is_empty() {
            value.error("names no attribute", Some("write [\"uid\"], or take it away"));
        }
        let read: Vec<_> = entries.iter().map(|entry| entry.word(&words)).collect();
        read.into_iter().collect::<Option<Vec<_>>>()
    });
    (id, names.unwrap_or_else(|| vec!["uid"]))
}

/// Either a list of servers, or the domain whose servers DNS knows.
fn servers_of(section: &Section<'_>) -> Option<(Vec<directory::Server>, Option<Srv>)> {
    let Some(value) = section.find("srv") else {
        section.refuse("srv_transport", "is for srv alone: each of `servers` says itself how it is reached");
        return section.need("servers", "[\"ldaps://dc1.corp.example\"]").and_then(|value| servers(&value)).map(|servers| (servers, None));
    };
    section.refuse("servers", "srv finds them");
    let words = [("ldaps", Security::Tls), ("ldap+starttls", Security::StartTls)];
    let security = section.find("srv_transport").map_or(Some(Security::Tls), |value| value.word(&words));
    let text = value.text()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    if !text.contains('.') {
        value.error(&format!("{text:?} is a single label: every host under it would count as a domain controller"), Some("write srv = \"corp.example\""));
        return None;
    }
    let is_domain = text.chars().any(|sign| sign.is_ascii_alphabetic()) && ServerName::try_from(text).is_ok();
    if !is_domain {
        value.error(&format!("{text:?} is no domain"), Some("write srv = \"corp.example\""));
        return None;
    }
    Some((Vec::new(), Some(Srv { domain: text.to_owned(), security: security?, resolver: None })))
}

fn servers(value: &Value<'_>) -> Option<Vec<directory::Server>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no server", Some("write [\"ldaps://dc1.corp.example\"]"));
        return None;
    }
    // All are read before any is missed: every error at once.
    let read: Vec<Option<directory::Server>> = entries.iter().map(Value::parsed).collect();
    read.into_iter().collect()
}

/// The DN everybody is under. Its fine grammar is the directory's business; a domain name in its place is the usual mistake.
fn base<'a>(value: &Value<'a>) -> Option<&'a str> {
    let text = value.text()?;
    if text.contains('=') {
        return Some(text);
    }
    let parts: Vec<String> = text.split('.').map(|part| format!("DC={part}")).collect();
    value.error(&format!("{text:?} is no distinguished name"), Some(&format!("write {:?}", parts.join(","))));
    None
}

/// Certificate authorities, looked at now: a wrong path is told here and not at the first login.
pub(super) fn ca_file(value: &Value<'_>, sources: &Sources) -> Option<PathBuf> {
    tls::authorities(value, sources);
    sources.path(value)
}

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const GLOBAL_CATALOG: [u16; 2] = [3268, 3269];
const GROUP: &str = "vestibule";
const MASTER_KEY_BYTES: usize = 32;
const POOL_MAX: usize = 16;
const SOCKET: &str = "/run/vestibule/admin.sock";
/// What fits into `sun_path` with its final zero (unix(7)).
const SOCKET_BYTES_MAX: usize = 107;
