//! Doors: who may come to which address, and what each of them is asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::directory;
use crate::directory::winbind;
use crate::domain::CodeEntry;
use crate::domain::Lexicon;
use crate::domain::Method;
use crate::domain::Network;
use crate::domain::Rules;
use crate::wire::radius::Integrity;

use super::LdapListen;
use super::Limits;
use super::RadiusClient;
use super::RadiusListen;
use super::UpstreamSettings;
use super::ldap;
use super::policy::Policy;
use super::radius;
use super::radius::Holder;
use super::radius::Listener;
use super::radius::collide;
use super::reader::Section;
use super::reader::Value;
use super::rooms::seconds;
use super::secret::Sources;

/// All doors of a file.
#[derive(Debug, Default)]
pub(super) struct Doors {
    pub(super) radius_listen: Vec<RadiusListen>,
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
    pub(super) upstreams: &'b BTreeMap<String, Option<UpstreamSettings>>,
    pub(super) winbinds: &'b BTreeMap<String, winbind::Settings>,
    pub(super) policies: &'b BTreeMap<String, Policy<'a>>,
    pub(super) texts: &'b Lexicon,
    pub(super) limits: Limits,
}

/// `[[radius.listen]]`, `[[radius.client]]` and `[[ldap.listen]]`.
pub(super) fn doors(file: &Section<'_>, behind: Behind<'_, '_>) -> Doors {
    let mut builder = Builder { behind, names: BTreeMap::new(), networks: BTreeMap::new(), integrity: None, addresses: Vec::new(), policies: BTreeSet::new() };
    let mut doors = Doors::default();
    let radius = |section: &Section<'_>| {
        builder.integrity = section.find("integrity").and_then(|value| value.word(radius::INTEGRITY));
        doors.radius_listen = section.each("listen").iter().filter_map(|value| value.table(|listen| radius::listen(&mut builder, listen))).collect();
        doors.radius_clients = section.each("client").iter().filter_map(|value| value.table(|client| radius::client(&mut builder, client))).collect();
        Some(())
    };
    file.find("radius").and_then(|value| value.table(radius));
    let ldap = |section: &Section<'_>| {
        doors.ldap_listen = ldap::listeners(&mut builder, section);
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
pub(super) struct Builder<'b, 'a> {
    pub(super) behind: Behind<'b, 'a>,
    /// Names of clients, and who has them.
    names: BTreeMap<String, String>,
    /// Networks of RADIUS clients, and who has them.
    pub(super) networks: BTreeMap<Network, Vec<Holder>>,
    /// `radius.integrity`: of clients that say nothing.
    pub(super) integrity: Option<Integrity>,
    addresses: Vec<(Listener, SocketAddr)>,
    policies: BTreeSet<String>,
}

impl Builder<'_, '_> {
    /// Names are unique over all doors: in log, metrics and questions to people they stand alone.
    pub(super) fn name(&mut self, section: &Section<'_>, example: &str) -> Option<String> {
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

    pub(super) fn address(&mut self, section: &Section<'_>, kind: Listener, example: &str) -> Option<SocketAddr> {
        let value = section.need("address", example)?;
        let address = value.address()?;
        if let Some((_, other)) = self.addresses.iter().find(|other| collide(**other, (kind, address))) {
            value.error(&format!("another listener is at {other} already"), Some("take another port, or another address of this machine"));
            return None;
        }
        self.addresses.push((kind, address));
        Some(address)
    }

    pub(super) fn policy(&mut self, section: &Section<'_>, code: &CodeEntry) -> Option<String> {
        let value = section.need("policy", "\"NAME\"")?;
        self.policy_of(&value, code)
    }

    /// The policy that a value names; it must have something to ask of those who hand over codes like this.
    pub(super) fn policy_of(&mut self, value: &Value<'_>, code: &CodeEntry) -> Option<String> {
        let name = value.reference("policy", self.behind.policies.keys().map(String::as_str))?;
        self.policies.insert(name.to_owned());
        if self.asks_in_vain(name, code) {
            value.error(
                &format!("{name:?} asks for codes alone and this client has code = \"none\""),
                Some("let it hand over codes, or add { push = \"..\" } to the policy"),
            );
            return None;
        }
        Some(name.to_owned())
    }

    /// Whether a policy asks for codes alone, where none can be handed over.
    pub(super) fn asks_in_vain(&self, policy: &str, code: &CodeEntry) -> bool {
        let rules = self.behind.policies.get(policy).and_then(|policy| policy.settings.as_ref()).map(|policy| &*policy.rules);
        *code == CodeEntry::None && rules.is_some_and(codes_alone)
    }
}

pub(super) fn none(value: &Value<'_>, forms: &str) -> Option<CodeEntry> {
    let text = value.text()?;
    if text != "none" {
        value.error(&format!("{text:?} is unknown here"), Some(&format!("write {forms}")));
    }
    (text == "none").then_some(CodeEntry::None)
}

pub(super) fn appended(way: &str, place: &Value<'_>) -> Option<CodeEntry> {
    if way == "append_digits" {
        let digits = place.number(6..=24)?;
        // Six digits of a code and four of a PIN are ten.
        if digits == 9 {
            place.error("no code has 9 digits, and none with a PIN beside it", Some("6 to 8, or 10 to 24 with the digits of a PIN"));
        }
        return Some(CodeEntry::AppendDigits(digits));
    }
    let separator = place.text()?;
    if separator.len() > SEPARATOR_BYTES_MAX || separator.bytes().any(|byte| byte.is_ascii_digit()) {
        place.error("is no good separator: it may be part of a code, or is longer than 8 bytes", Some("write { append = \",\" }"));
        return None;
    }
    Some(CodeEntry::Append(separator.to_owned()))
}

/// Whether a code is the only second factor of a policy.
fn codes_alone(rules: &Rules) -> bool {
    !rules.methods.is_empty() && rules.methods.iter().all(|choice| choice.method == Method::Oath)
}

/// What the login ends before the client's patience does.
pub(super) const ANSWER_MARGIN: Duration = seconds(2);
/// How long the very same login again may be the same login: as long as an application may take over the binds of one.
pub(super) const JOIN_WITHIN: RangeInclusive<Duration> = seconds(0)..=seconds(60);
const SEPARATOR_BYTES_MAX: usize = 8;
