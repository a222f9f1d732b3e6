//! Doors: who may come to which address, and what each of them is asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::directory;
use crate::domain::CodeEntry;
use crate::domain::Door;
use crate::domain::Method;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::front::ldap::Transport;
use crate::wire::radius::Integrity;

use super::LdapListen;
use super::Limits;
use super::RadiusClient;
use super::policy::Policy;
use super::reader::Section;
use super::reader::Value;
use super::rooms::seconds;
use super::secret::Sources;
use super::tls;

/// All doors of a file.
#[derive(Debug, Default)]
pub(super) struct Doors {
    pub(super) radius_listen: Vec<SocketAddr>,
    pub(super) radius_clients: Vec<RadiusClient>,
    pub(super) ldap_listen: Vec<LdapListen>,
    /// Names of the policies in use.
    pub(super) policies: BTreeSet<String>,
}

/// What doors name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind<'b, 'a> {
    pub(super) sources: &'b Sources,
    pub(super) directories: &'b BTreeMap<String, Option<directory::Settings>>,
    pub(super) policies: &'b BTreeMap<String, Policy<'a>>,
    pub(super) limits: Limits,
}

/// `[[radius.listen]]`, `[[radius.client]]` and `[[ldap.listen]]`.
pub(super) fn doors(file: &Section<'_>, behind: Behind<'_, '_>) -> Doors {
    let mut builder = Builder { behind, names: BTreeMap::new(), networks: BTreeMap::new(), addresses: Vec::new(), policies: BTreeSet::new() };
    let mut doors = Doors::default();
    let radius = |section: &Section<'_>| {
        doors.radius_listen = section.each("listen").iter().filter_map(|value| value.table(|listen| builder.radius_listen(listen))).collect();
        doors.radius_clients = section.each("client").iter().filter_map(|value| value.table(|client| builder.radius_client(client))).collect();
        Some(())
    };
    file.find("radius").and_then(|value| value.table(radius));
    let ldap = |section: &Section<'_>| {
        doors.ldap_listen = section.each("listen").iter().filter_map(|value| value.table(|listen| builder.ldap_listen(listen))).collect();
        Some(())
    };
    file.find("ldap").and_then(|value| value.table(ldap));
    doors.policies = builder.policies;
    doors
}

/// Half a door is none.
pub(super) fn warn_idle(file: &Section<'_>, doors: &Doors) {
    match (doors.radius_listen.is_empty(), doors.radius_clients.is_empty()) {
        (true, true) if doors.ldap_listen.is_empty() => file.warn("opens no door: nobody can log in", Some("write [[radius.listen]] or [[ldap.listen]]")),
        (true, false) => file.warn("has RADIUS clients and no RADIUS listener", Some("write [[radius.listen]] with address = \"0.0.0.0:1812\"")),
        (false, true) => file.warn("has a RADIUS listener and no RADIUS client: every packet is dropped", Some("write [[radius.client]]")),
        _ => {}
    }
}

/// What has been read so far: some things may be there only once.
struct Builder<'b, 'a> {
    behind: Behind<'b, 'a>,
    /// Names of clients, and who has them.
    names: BTreeMap<String, String>,
    /// Networks of clients, and who has them.
    networks: BTreeMap<Network, String>,
    addresses: Vec<(Door, SocketAddr)>,
    policies: BTreeSet<String>,
}

impl Builder<'_, '_> {
    fn radius_listen(&mut self, section: &Section<'_>) -> Option<SocketAddr> {
        section.find("transport").and_then(|value| value.word(&[("udp", ())]));
        self.address(section, Door::Radius, "\"0.0.0.0:1812\"")
    }

    fn radius_client(&mut self, section: &Section<'_>) -> Option<RadiusClient> {
        let name = self.name(section, "\"fortigate\"");
        let networks = section.need("networks", "[\"192.0.2.10\"]").and_then(|value| self.networks(&value));
        let secret = section.need("secret", "{ credential = \"NAME\" }").and_then(|value| shared_secret(&value, self.behind.sources));
        let integrity = section.find("integrity").and_then(|value| value.word(INTEGRITY)).unwrap_or(Integrity::Require);
        let first = section.need("first", "{ directory = \"NAME\" }").and_then(|value| value.one_of(&["directory"]));
        let first_directory = first.and_then(|(_, place)| place.reference("directory", self.behind.directories.keys().map(String::as_str)));
        let code = section.find("code").and_then(|value| radius_code(&value)).unwrap_or_else(|| CodeEntry::Challenge(PROMPT.to_owned()));
        let patience = self.patience(section);
        let source = section.find("source").and_then(|value| value.word(SOURCES));
        let policy = self.policy(section, &code);
        Some(RadiusClient {
            name: name?,
            networks: networks?,
            secret: secret?,
            integrity,
            first_directory: first_directory?.to_owned(),
            code,
            patience,
            source,
            policy: policy?,
        })
    }

    fn ldap_listen(&mut self, section: &Section<'_>) -> Option<LdapListen> {
        let name = self.name(section, "\"wiki\"");
        let address = self.address(section, Door::Ldap, "\"0.0.0.0:636\"");
        let transport = self.transport(section, address);
        let directory =
            section.need("directory", "\"NAME\"").and_then(|value| value.reference("directory", self.behind.directories.keys().map(String::as_str)));
        let code = section.find("code").and_then(|value| ldap_code(&value)).unwrap_or_else(|| CodeEntry::Append(SEPARATOR.to_owned()));
        let policy = self.policy(section, &code);
        Some(LdapListen { name: name?, address: address?, transport: transport?, directory: directory?.to_owned(), code, policy: policy? })
    }

    /// Names are unique over all doors: in log, metrics and questions to people they stand alone.
    fn name(&mut self, section: &Section<'_>, example: &str) -> Option<String> {
        let value = section.need("name", example)?;
        let name = value.name()?;
        match self.names.insert(name.to_owned(), section.path().to_owned()) {
            Some(other) => {
                value.error(&format!("{other} has the name {name:?} already"), Some("clients and LDAP listeners have a name each"));
                None
            }
            None => Some(name.to_owned()),
        }
    }

    fn address(&mut self, section: &Section<'_>, door: Door, example: &str) -> Option<SocketAddr> {
        let value = section.need("address", example)?;
        let address = value.address()?;
        if let Some((_, other)) = self.addresses.iter().find(|(whose, other)| *whose == door && collide(*other, address)) {
            value.error(&format!("another listener is at {other} already"), Some("take another port, or another address of this machine"));
            return None;
        }
        self.addresses.push((door, address));
        Some(address)
    }

    fn networks(&mut self, value: &Value<'_>) -> Option<Vec<Network>> {
        let entries = value.list()?;
        if entries.is_empty() {
            value.error("names no network: nobody could speak as this client", Some("write [\"192.0.2.10\"]"));
        }
        let networks: Vec<Option<Network>> = entries.iter().map(|entry| self.network(entry, value.path())).collect();
        networks.into_iter().collect()
    }

    /// The same network twice: nobody could say whose secret counts. A longer prefix inside a shorter one is plain.
    fn network(&mut self, entry: &Value<'_>, whose: &str) -> Option<Network> {
        let network: Network = entry.parsed()?;
        if network.prefix_bits() == 0 {
            entry.warn("lets every address speak as this client", Some("write the addresses it really has"));
        }
        match self.networks.insert(network, whose.to_owned()) {
            Some(other) => {
                entry.error(
                    &format!("{network} is in {other} already"),
                    Some("each client has networks of its own; of two that overlap the smaller one counts"),
                );
                None
            }
            None => Some(network),
        }
    }

    fn patience(&self, section: &Section<'_>) -> Duration {
        let Some(value) = section.find("patience") else { return PATIENCE };
        let patience = value.duration(seconds(5)..=seconds(600)).unwrap_or(PATIENCE);
        if patience <= self.behind.limits.reject_delay.saturating_add(ANSWER_MARGIN) {
            value.warn("refusals wait for `limits.reject_delay`: this client has given up by then", Some("make patience longer or reject_delay shorter"));
        }
        patience
    }

    fn policy(&mut self, section: &Section<'_>, code: &CodeEntry) -> Option<String> {
        let value = section.need("policy", "\"NAME\"")?;
        let name = value.reference("policy", self.behind.policies.keys().map(String::as_str))?;
        self.policies.insert(name.to_owned());
        let rules = self.behind.policies.get(name).and_then(|policy| policy.rules.as_deref());
        if *code == CodeEntry::None && rules.is_some_and(codes_alone) {
            value.error(
                &format!("{name:?} asks for codes alone and this client has code = \"none\""),
                Some("let it hand over codes, or add { push = \"..\" } to the policy"),
            );
            return None;
        }
        Some(name.to_owned())
    }

    fn transport(&self, section: &Section<'_>, address: Option<SocketAddr>) -> Option<Transport> {
        let kind = section.find("transport").map_or(Some(Kept::Tls), |value| value.word(TRANSPORTS));
        match kind {
            Some(Kept::Plain) => Some(plain(section, address)),
            Some(Kept::StartTls) => self.tls(section).map(Transport::StartTls),
            Some(Kept::Tls) => self.tls(section).map(Transport::Tls),
            None => {
                section.forgive();
                None
            }
        }
    }

    fn tls(&self, section: &Section<'_>) -> Option<Arc<ServerConfig>> {
        section.refuse("allow_plain", "is for transport = \"plain\" alone");
        let cert_file = section.need("cert_file", "\"/etc/vestibule/tls.pem\"");
        let path = cert_file.as_ref().and_then(|value| self.behind.sources.path(value));
        let key = section.need("key", "{ credential = \"tls-key\" }");
        // Both are looked at before either may be the reason to give up.
        let chain = cert_file.as_ref().zip(path.as_ref()).and_then(|(value, path)| tls::certificates(value, path));
        let private = key.as_ref().and_then(|value| tls::private_key(value, &self.behind.sources.secret(value)?));
        tls::server(tls::Identity { chain: chain?, private: private? }, &cert_file?, &path?, &key?)
    }
}

/// Passwords in clear text stay on this machine, unless somebody says so (L-086).
fn plain(section: &Section<'_>, address: Option<SocketAddr>) -> Transport {
    section.refuse("cert_file", "transport = \"plain\" has no certificate");
    section.refuse("key", "transport = \"plain\" has no key");
    let allow_plain = section.find("allow_plain").and_then(|value| value.flag()).unwrap_or(false);
    match (address.is_some_and(|address| !address.ip().to_canonical().is_loopback()), allow_plain) {
        (true, true) => section.warn("takes passwords in clear text from other machines", Some("use transport = \"tls\" or \"starttls\"")),
        (true, false) => section
            .error("would take passwords in clear text from other machines", Some("use transport = \"tls\", a loopback address, or write allow_plain = true")),
        (false, _) => {}
    }
    Transport::Plain { allow_plain }
}

fn shared_secret(value: &Value<'_>, sources: &Sources) -> Option<Secret> {
    let secret = sources.secret(value)?;
    if secret.len() <= SHORT_SECRET_BYTES {
        let message = format!("has {} bytes: short secrets can be found by trying (R-023)", secret.len());
        value.warn(&message, Some("make a long one: openssl rand -hex 32 > FILE"));
    }
    Some(secret)
}

fn radius_code(value: &Value<'_>) -> Option<CodeEntry> {
    if value.is_text() {
        return none(value, "{ challenge = \"Enter your code:\" }, { append = \",\" }, { append_digits = 6 } or \"none\"");
    }
    let (way, place) = value.one_of(&["challenge", "append", "append_digits"])?;
    if way == "challenge" { prompt(&place).map(CodeEntry::Challenge) } else { appended(way, &place) }
}

fn ldap_code(value: &Value<'_>) -> Option<CodeEntry> {
    if value.is_text() {
        return none(value, "{ append = \",\" }, { append_digits = 6 } or \"none\"");
    }
    let (way, place) = value.one_of(&["challenge", "append", "append_digits"])?;
    if way == "challenge" {
        place.error("an LDAP bind cannot ask back", Some("write { append = \",\" }, { append_digits = 6 } or \"none\""));
        return None;
    }
    appended(way, &place)
}

fn none(value: &Value<'_>, forms: &str) -> Option<CodeEntry> {
    let text = value.text()?;
    if text != "none" {
        value.error(&format!("{text:?} is unknown here"), Some(&format!("write {forms}")));
    }
    (text == "none").then_some(CodeEntry::None)
}

fn appended(way: &str, place: &Value<'_>) -> Option<CodeEntry> {
    if way == "append_digits" {
        return place.number(6..=8).map(CodeEntry::AppendDigits);
    }
    let separator = place.text()?;
    if separator.len() > SEPARATOR_BYTES_MAX || separator.bytes().any(|byte| byte.is_ascii_digit()) {
        place.error("is no good separator: it may be part of a code, or is longer than 8 bytes", Some("write { append = \",\" }"));
        return None;
    }
    Some(CodeEntry::Append(separator.to_owned()))
}

fn prompt(place: &Value<'_>) -> Option<String> {
    let text = place.text()?;
    if text.len() > PROMPT_BYTES_MAX {
        place.error(&format!("has {} bytes", text.len()), Some("a Reply-Message holds 253"));
        return None;
    }
    Some(text.to_owned())
}

/// Whether a code is the only second factor of a policy.
fn codes_alone(rules: &Rules) -> bool {
    !rules.methods.is_empty() && rules.methods.iter().all(|choice| choice.method == Method::Oath)
}

/// Whether the kernel would refuse to bind both. Port 0 is another one each time.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let wild = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (wild || one.ip() == other.ip())
}

/// How connections are kept from others, in a word.
#[derive(Clone, Copy)]
enum Kept {
    Plain,
    StartTls,
    Tls,
}

const TRANSPORTS: &[(&str, Kept)] = &[("tls", Kept::Tls), ("starttls", Kept::StartTls), ("plain", Kept::Plain)];

const INTEGRITY: &[(&str, Integrity)] = &[("require", Integrity::Require), ("observe", Integrity::Observe), ("optional", Integrity::Optional)];

/// Attributes that tell where the person is, by number (RFC 2865 §5.8, §5.31; RFC 2868 §3.3; RFC 6911 §3.1).
const SOURCES: &[(&str, u8)] = &[("Calling-Station-Id", 31), ("Framed-IP-Address", 8), ("Framed-IPv6-Address", 168), ("Tunnel-Client-Endpoint", 66)];

/// What the login ends before the client's patience does.
const ANSWER_MARGIN: Duration = seconds(2);
const PATIENCE: Duration = seconds(60);
const PROMPT: &str = "Enter your code:";
const PROMPT_BYTES_MAX: usize = 253;
const SEPARATOR: &str = ",";
const SEPARATOR_BYTES_MAX: usize = 8;
const SHORT_SECRET_BYTES: usize = 12;
