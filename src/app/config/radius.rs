//! RADIUS: listeners, clients, and the servers behind us.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::directory::upstream;
use crate::directory::winbind;
use crate::domain::Approval;
use crate::domain::CodeEntry;
use crate::domain::FirstAlone;
use crate::domain::Network;
use crate::domain::RememberBy;
use crate::domain::Secret;
use crate::front::radius::Charset;
use crate::front::radius::NasAddress;
use crate::front::radius::TlsSettings;
use crate::wire::radius::Integrity;

use super::AccountingTo;
use super::FirstFactor;
use super::RadiusClient;
use super::RadiusListen;
use super::doors::ANSWER_MARGIN;
use super::doors::Builder;
use super::doors::JOIN_WITHIN;
use super::doors::appended;
use super::doors::none;
use super::problem::nearest;
use super::profile;
use super::profile::Profile;
use super::reader::Section;
use super::reader::Value;
use super::realms;
use super::rooms::ca_file;
use super::rooms::seconds;
use super::secret::Origin;
use super::secret::Sources;
use super::tls;

/// Sections of one kind by name, and where each stands.
pub(super) type Placed<'a, T> = (BTreeMap<String, T>, Vec<(&'a str, Value<'a>)>);

/// Each `[upstream.NAME]`; `None` where something is wrong with it.
pub(super) fn upstreams<'a>(file: &Section<'a>, sources: &Sources) -> Placed<'a, Option<super::UpstreamSettings>> {
    let places = file.named("upstream");
    let one = |(name, value): &(&str, Value<'_>)| ((*name).to_owned(), value.table(|section| upstream(name, section, sources)));
    (places.iter().map(one).collect(), places)
}

fn upstream(name: &str, section: &Section<'_>, sources: &Sources) -> Option<super::UpstreamSettings> {
    let servers = section.need("servers", "[\"10.0.0.11:1812\"]").and_then(|value| servers(&value));
    let accounting = section.find("accounting").map(|value| self::servers(&value));
    let all = || servers.iter().chain(accounting.iter().flatten()).flatten();
    let over_tls = all().any(upstream::Server::is_tls);
    let tls = if over_tls { upstream_tls(section, sources) } else { None };
    if !over_tls {
        for key in ["ca_file", "cert_file", "key"] {
            section.refuse(key, "is for servers that begin with radsec://");
        }
    }
    let over_udp = all().any(|server| !server.is_tls());
    let secret = if over_udp || !over_tls {
        section.need("secret", &format!("{{ credential = \"{name}-secret\" }}")).and_then(|value| shared_secret(&value, sources))
    } else {
        section.refuse("secret", "all servers are over TLS, where the secret is always the same");
        Some(Secret::from(RADSEC_SECRET))
    };
    let integrity = section.find("integrity").and_then(|value| value.word(INTEGRITY)).unwrap_or(Integrity::Require);
    let timeout = section.find("timeout").and_then(|value| value.duration(Duration::from_millis(100)..=seconds(60))).unwrap_or(UPSTREAM_TIMEOUT);
    let tries = section.find("tries").and_then(|value| value.number(1..=10)).unwrap_or(UPSTREAM_TRIES);
    let words = [("inner", upstream::EapNames::Inner), ("outer", upstream::EapNames::Outer), ("certificate", upstream::EapNames::Certificate)];
    let names = section.find("user_name").and_then(|value| value.word(&words)).unwrap_or_default();
    if over_tls && tls.is_none() {
        return None;
    }
    let login = upstream::Settings { name: name.to_owned(), servers: servers?, secret: secret?, timeout, tries, integrity, tls };
    let accounting = match accounting {
        // A name of its own: by it metrics and log tell how each is.
        Some(servers) => Some(upstream::Settings { name: format!("{name} accounting"), servers: servers?, ..login.clone() }),
        None => None,
    };
    Some(super::UpstreamSettings { login, accounting, names })
}

fn servers(value: &Value<'_>) -> Option<Vec<upstream::Server>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no server", Some("write [\"10.0.0.11:1812\"]"));
        return None;
    }
    let read: Vec<Option<upstream::Server>> = entries.iter().map(Value::parsed).collect();
    read.into_iter().collect()
}

fn upstream_tls(section: &Section<'_>, sources: &Sources) -> Option<upstream::Tls> {
    let authorities = section.need("ca_file", "\"/etc/vestibule/radsec-ca.pem\"").and_then(|value| ca_file(&value, sources));
    let identity = tls::identity(section, sources);
    let tls::Identity { chain, private } = identity?.0;
    Some(upstream::Tls { ca_file: authorities?, chain, private })
}

/// What no client names is most likely a name mistyped there.
pub(super) fn warn_unused(upstreams: &[(&str, Value<'_>)], winbinds: &[(&str, Value<'_>)], clients: &[RadiusClient]) {
    let upstream = |name: &str| {
        clients.iter().any(|client| {
            matches!(&client.first, FirstFactor::Upstream { name: used, .. } if used == name)
                || matches!(&client.accounting, AccountingTo::Upstream(used) if used == name)
        })
    };
    for (_, place) in upstreams.iter().filter(|(name, _)| !upstream(name)) {
        place.warn("no client uses this upstream", Some("name it by `first = { upstream = \"..\" }`, or take it away"));
    }
    let named: Vec<&str> =
        clients.iter().filter_map(|client| if let FirstFactor::Winbind(used) = &client.first { Some(used.as_str()) } else { None }).collect();
    // A section for later does no harm; beside a client of another domain it is most likely that client's.
    for (_, place) in winbinds.iter().filter(|(name, _)| !named.is_empty() && !named.contains(name)) {
        place.warn("no client uses this winbind", Some("name it by `first = { winbind = \"..\" }`, or take it away"));
    }
}

/// Each `[winbind.NAME]`, by the NetBIOS name of its domain.
pub(super) fn winbinds<'a>(file: &Section<'a>, sources: &Sources) -> Placed<'a, winbind::Settings> {
    let places = file.named("winbind");
    let one = |(name, value): &(&str, Value<'_>)| {
        let read = |section: &Section<'_>| {
            let usual = usual_winbind(name);
            let program = section.find("program").and_then(|value| sources.path(&value)).unwrap_or(usual.program);
            let helpers_max = section.find("helpers_max").and_then(|value| value.number(1..=64)).unwrap_or(usual.helpers_max);
            let timeout = section.find("timeout").and_then(|value| value.duration(Duration::from_millis(100)..=seconds(60))).unwrap_or(usual.timeout);
            Some(winbind::Settings { name: (*name).to_owned(), program, helpers_max, timeout })
        };
        value.table(read).map(|settings| ((*name).to_owned(), settings))
    };
    (places.iter().filter_map(one).collect(), places)
}

/// What there is without a section: Samba's own place for its program.
pub(super) fn usual_winbind(name: &str) -> winbind::Settings {
    winbind::Settings { name: name.to_owned(), program: PathBuf::from("/usr/bin/ntlm_auth"), helpers_max: 8, timeout: seconds(5) }
}

/// Who has a network, and what all who share it must have alike.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    path: String,
    nas_identifier: Option<String>,
    certificate: Option<String>,
    secret: Option<Secret>,
    integrity: Integrity,
}

/// `[[radius.listen]]`
pub(super) fn listen(builder: &mut Builder<'_, '_>, section: &Section<'_>) -> Option<RadiusListen> {
    let transport = section.find("transport").map_or(Some(false), |value| value.word(&[("udp", false), ("tls", true)]));
    let accounting = section.find("accounting").and_then(|value| value.flag().map(|flag| (value, flag)));
    let address = builder.address(section, if transport == Some(true) { Listener::Tls } else { Listener::Udp }, "\"0.0.0.0:1812\"");
    let tls = match transport {
        Some(true) => {
            if let Some((value, true)) = &accounting {
                value.error("over TLS accounting comes to the same port as logins", Some("take it away"));
            }
            Some(Some(listen_tls(section, builder.behind.sources)?))
        }
        Some(false) => {
            for key in ["cert_file", "key", "client_ca_file", "client_crl_file", "packet_bytes_max", "connections_max"] {
                section.refuse(key, "is for transport = \"tls\" alone");
            }
            Some(None)
        }
        None => {
            section.forgive();
            None
        }
    };
    Some(RadiusListen { address: address?, tls: tls?, accounting: accounting.is_some_and(|(_, flag)| flag) })
}

fn listen_tls(section: &Section<'_>, sources: &Sources) -> Option<TlsSettings> {
    let authorities = section.need("client_ca_file", "\"/etc/vestibule/radsec-ca.pem\"");
    let trust = tls::trust(section, sources, authorities.as_ref());
    let packet_bytes_max = section.find("packet_bytes_max").and_then(|value| value.number(4096..=65_535)).unwrap_or(4096);
    let connections_max = section.find("connections_max").and_then(|value| value.number(1..=100_000)).unwrap_or(TLS_CONNECTIONS_MAX);
    let (identity, cert_file, path, key) = tls::identity(section, sources)?;
    let tls = tls::mutual(identity, trust?, &cert_file, &path, &key)?;
    Some(TlsSettings { tls, packet_bytes_max, connections_max, client_connections_max: CLIENT_CONNECTIONS_MAX.min(connections_max) })
}

/// `[[radius.client]]`
pub(super) fn client(builder: &mut Builder<'_, '_>, section: &Section<'_>) -> Option<RadiusClient> {
    let habits = habits(section);
    let name = builder.name(section, "\"fortigate\"");
    let certificate = section.find("certificate").and_then(|value| value.text()).map(str::to_owned);
    let secret = match &certificate {
        Some(_) => {
            section.refuse("secret", "a client with a certificate comes over TLS alone, where the secret is always the same");
            Some(Secret::from(RADSEC_SECRET))
        }
        None => section.need("secret", "{ credential = \"NAME\" }").and_then(|value| shared_secret(&value, builder.behind.sources)),
    };
    let integrity = section.find("integrity").and_then(|value| value.word(INTEGRITY)).or(builder.integrity).unwrap_or(habits.integrity);
    let nas_identifier = section.find("nas_identifier").and_then(|value| value.text()).map(str::to_owned);
    let holder =
        Holder { path: section.path().to_owned(), nas_identifier: nas_identifier.clone(), certificate: certificate.clone(), secret: secret.clone(), integrity };
    let networks = section.need("networks", "[\"192.0.2.10\"]").and_then(|value| networks(builder, &value, &holder));
    let nas_address =
        section.find("nas_address").and_then(|value| value.word(&[("log", NasAddress::Log), ("require", NasAddress::Require)])).unwrap_or(NasAddress::Log);
    let first = section.need("first", "{ directory = \"NAME\" }").and_then(|value| first(builder, &value, habits));
    let identify = identify(builder, section, first.as_ref());
    let code = section.find("code").and_then(|value| code(&value)).unwrap_or_else(|| habits.code.entry(&builder.behind.texts.usual().code_prompt));
    if let (CodeEntry::Challenge(_), false, Some(value)) = (&code, habits.can_challenge, section.find("code")) {
        value.warn("this kind of NAS shows no challenge to anybody", Some("write { append = \",\" } or \"none\""));
    }
    let approval = section.find("approval").and_then(|value| value.word(&[("wait", Approval::Wait), ("enter", Approval::Enter)])).unwrap_or(habits.approval);
    let asks = matches!(code, CodeEntry::Challenge(_));
    let late_approval = section.find("late_approval").and_then(|value| value.duration(seconds(0)..=seconds(300))).unwrap_or(habits.late_approval);
    if let Some(value) = section.find("late_approval").filter(|_| habits.one_station && !late_approval.is_zero()) {
        value.warn("does nothing: this kind of NAS sends one Calling-Station-Id for everybody, so nobody can tell whose approval it was", Some("take it away"));
    }
    let join = section.find("join").and_then(|value| value.duration(JOIN_WITHIN)).unwrap_or(seconds(0));
    let menu = section.find("menu").and_then(|value| value.flag()).unwrap_or(habits.menu);
    warn_mute(section, asks, [("approval", approval == Approval::Enter), ("menu", menu)]);
    let charset = section.find("charset").and_then(|value| value.word(&[("utf-8", Charset::Utf8), ("latin-1", Charset::Latin1)])).unwrap_or(Charset::Utf8);
    let patience = patience(builder, section, habits);
    warn_hasty(builder, section, first.as_ref(), patience);
    let source = section.find("source").and_then(|value| value.word(SOURCES)).or(habits.source);
    let accounting = section.find("accounting").and_then(|value| accounting(builder, &value)).unwrap_or(AccountingTo::Record);
    let policy = builder.policy(section, &code);
    warn_of_spellings(builder, section, first.as_ref(), policy.as_deref());
    warn_forgetful(builder, section, source, join, policy.as_deref());
    warn_of_trust(builder, section, policy.as_deref());
    refuse_groups(builder, section, identify.as_ref(), policy.as_deref());
    Some(RadiusClient {
        name: name?,
        profile: (!habits.name.is_empty()).then_some(habits.name),
        retransmits: habits.retransmits,
        networks: networks?,
        nas_identifier,
        nas_address,
        certificate,
        secret: secret?,
        integrity,
        first: first?,
        identify: identify?,
        code,
        code_in_ms_chap2: habits.code_in_ms_chap2,
        one_station: habits.one_station,
        approval,
        late_approval,
        join,
        menu,
        charset,
        patience,
        source,
        accounting,
        policy: policy?,
    })
}

/// What is to be said back to the person is never said to one who is never asked back.
fn warn_mute(section: &Section<'_>, asks: bool, meant: [(&'static str, bool); 2]) {
    for (key, is_meant) in meant {
        if let Some(value) = section.find(key).filter(|_| is_meant && !asks) {
            value.warn("does nothing: this client is never asked back", Some("write code = { challenge = \"Enter your code:\" }, or take it away"));
        }
    }
}

/// Where nobody can tell where a person is, what hangs on that is never remembered.
fn warn_forgetful(builder: &Builder<'_, '_>, section: &Section<'_>, source: Option<u8>, join: Duration, policy: Option<&str>) {
    if source.is_some() {
        return;
    }
    let hint = Some("write source = \"Calling-Station-Id\", if it sends addresses there");
    if !join.is_zero() {
        section.warn("joins nothing: without `source` nobody can tell whether two logins come from one place", hint);
    }
    let rules = policy.and_then(|name| builder.behind.policies.get(name)).and_then(|policy| policy.settings.as_ref()).map(|policy| &policy.rules);
    if rules.is_some_and(|rules| !rules.trusted.is_empty()) {
        section.warn("trusts no network: without `source` nobody can tell where people are, and `trusted` of its policy asks for that", hint);
    }
    if rules.map(|rules| rules.remember).is_some_and(|remember| remember.for_ms > 0 && remember.by == RememberBy::Source) {
        section.warn("remembers nobody: without `source` nobody can tell where people are, and its policy remembers by that", hint);
    }
}

/// An address that the device itself asks for is no place where anybody is (M-43).
fn warn_of_trust(builder: &Builder<'_, '_>, section: &Section<'_>, policy: Option<&str>) {
    let rules = policy.and_then(|name| builder.behind.policies.get(name)?.settings.as_ref()).map(|policy| &policy.rules);
    let trusts = rules.is_some_and(|rules| !rules.trusted.is_empty());
    if let Some(value) = section.find("source").filter(|value| trusts && value.text().is_some_and(|name| name.starts_with("Framed-"))) {
        value.warn(
            "opens the policy's trusted networks to whoever asks for an address in them: in a request it is what the device would like to have",
            Some("write source = \"Calling-Station-Id\", if the client writes there where people come from"),
        );
    }
}

/// What is known about this kind of NAS, for the keys that are left out.
fn habits(section: &Section<'_>) -> &'static Profile {
    let words: Vec<(&'static str, &'static str)> = profile::names().map(|name| (name, name)).collect();
    let named = section.find("profile").and_then(|value| value.word(&words));
    named.and_then(profile::find).unwrap_or(&profile::UNKNOWN)
}

/// Whatever hangs on a group needs somebody who knows groups.
fn refuse_groups(builder: &Builder<'_, '_>, section: &Section<'_>, identify: Option<&Option<Vec<String>>>, policy: Option<&str>) {
    let (Some(None), Some(name)) = (identify, policy) else { return };
    let settings = builder.behind.policies.get(name).and_then(|policy| policy.settings.as_ref());
    let named = |settings: &super::Policy| settings.reply.iter().any(|addition| addition.group.is_some()) || !settings.rules.groups.is_empty();
    if settings.is_some_and(named) {
        let message = format!("has no directory that knows groups, and policy {name:?} names some");
        section.error(&message, Some("write identify = \"NAME\" of a [directory.NAME], or take the groups out of the policy"));
    }
}

/// Who checks the first factor.
fn first(builder: &Builder<'_, '_>, value: &Value<'_>, habits: &Profile) -> Option<FirstFactor> {
    if value.is_text() {
        let text = value.text()?;
        if text != "waived" {
            value.error(
                &format!("{text:?} is unknown here"),
                Some("write { directory = \"NAME\" }, { upstream = \"NAME\" }, { winbind = \"NAME\" } or \"waived\""),
            );
        }
        return (text == "waived").then_some(FirstFactor::Waived);
    }
    let behind = &builder.behind;
    value.table(|section| {
        let ways = [section.find("directory"), section.find("upstream"), section.find("winbind")];
        let without = section.find("without_credential");
        let chosen = match ways {
            [Some(directory), None, None] => realms::directories(&directory, behind.directories).map(FirstFactor::Directory),
            [None, Some(upstream), None] => {
                let name = upstream.reference("upstream", behind.upstreams.keys().map(String::as_str));
                let without_credential = without.as_ref().and_then(Value::flag).unwrap_or(habits.without_credential);
                return name.map(|name| FirstFactor::Upstream { name: name.to_owned(), without_credential });
            }
            [None, None, Some(winbind)] => {
                winbind.warn(
                    "MS-CHAPv2 can be broken by whoever hears one login",
                    Some("use it only where a VPN knows nothing better, and only inside a network of yours"),
                );
                let name = winbind.name();
                let known: Vec<&str> = behind.winbinds.keys().map(String::as_str).collect();
                if let Some(name) = name.filter(|name| !known.is_empty() && !known.contains(name)) {
                    let hint = nearest(name, known.iter().copied()).map_or_else(|| "write one".to_owned(), |known| format!("did you mean `{known}`?"));
                    winbind.warn(&format!("there is no [winbind.{name}], though there are others: the usual values count"), Some(&hint));
                }
                name.map(|name| FirstFactor::Winbind(name.to_owned()))
            }
            _ => {
                section
                    .error("names no first factor, or more than one", Some("write { directory = .. } or { upstream = .. } or { winbind = .. } or \"waived\""));
                None
            }
        };
        if let Some(without) = without {
            without.error("is for { upstream = .. } alone", Some("take it away"));
        }
        chosen
    })
}

/// Where somebody else vouches for a name, who has an account hangs on how the name is spelled: a spelling that is understood there and not here has none.
fn warn_of_spellings(builder: &Builder<'_, '_>, section: &Section<'_>, first: Option<&FirstFactor>, policy: Option<&str>) {
    let elsewhere = matches!(first, Some(FirstFactor::Upstream { .. } | FirstFactor::Waived));
    let settings = policy.and_then(|name| builder.behind.policies.get(name)?.settings.as_ref());
    if elsewhere && settings.is_some_and(|settings| settings.rules.unenrolled == FirstAlone::Accept) {
        section.warn(
            "its policy lets people without an account in by the first factor alone, and here that is not checked by us: another spelling of a name, which the \
             other side understands and we do not, is a name without an account, so whoever knows a password gets round the second factor",
            Some("give this client a policy with unenrolled = \"reject\", and its people accounts: vestibule user add NAME"),
        );
    }
}

/// In which directory a name is looked up that no directory has checked: the one that is named, else the only one, else none, which is the store.
fn identify(builder: &Builder<'_, '_>, section: &Section<'_>, first: Option<&FirstFactor>) -> Option<Option<Vec<String>>> {
    let directories = builder.behind.directories;
    if let Some(FirstFactor::Directory(names)) = first {
        section.refuse("identify", "the directory that checks the password knows who it is");
        return Some(Some(names.clone()));
    }
    let named = section.find("identify").map(|value| {
        let named = realms::directories(&value, directories);
        if matches!((&named, first), (Some(names), Some(FirstFactor::Winbind(_))) if names.len() > 1) {
            value.error("a winbind answers for one domain alone", Some("name the one [directory.NAME] of that domain"));
        }
        named
    });
    let only = || directories.keys().next().filter(|_| directories.len() == 1).map(|only| vec![only.clone()]);
    let found = match named {
        Some(names) => Some(names?),
        None => only(),
    };
    if found.is_none() && matches!(first, Some(FirstFactor::Winbind(_))) {
        section.missing("identify", "write identify = \"NAME\" of the [directory.NAME] that knows these people");
        return None;
    }
    Some(found)
}

fn accounting(builder: &Builder<'_, '_>, value: &Value<'_>) -> Option<AccountingTo> {
    if value.is_text() {
        return value.word(&[("record", ())]).map(|()| AccountingTo::Record);
    }
    let (_, place) = value.one_of(&["upstream"])?;
    let name = place.reference("upstream", builder.behind.upstreams.keys().map(String::as_str))?;
    if let Some(Some(settings)) = builder.behind.upstreams.get(name)
        && settings.accounting.is_none()
    {
        place.error(&format!("[upstream.{name}] says nowhere where accounting goes"), Some("write accounting = [\"10.0.0.11:1813\"] there"));
        return None;
    }
    Some(AccountingTo::Upstream(name.to_owned()))
}

fn networks(builder: &mut Builder<'_, '_>, value: &Value<'_>, holder: &Holder) -> Option<Vec<Network>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no network: nobody could speak as this client", Some("write [\"192.0.2.10\"]"));
    }
    let networks: Vec<Option<Network>> = entries.iter().map(|entry| network(builder, entry, holder)).collect();
    networks.into_iter().collect()
}

/// Of those with the same network one must be told from the other after the secret was looked up by it. A longer prefix inside a shorter one is plain.
fn network(builder: &mut Builder<'_, '_>, entry: &Value<'_>, holder: &Holder) -> Option<Network> {
    let network: Network = entry.parsed()?;
    if network.prefix_bits() == 0 {
        entry.warn("lets every address speak as this client", Some("write the addresses it really has"));
    }
    let others = builder.networks.entry(network).or_default();
    let trouble = others.iter().find_map(|other| trouble(other, holder).map(|why| (other.path.clone(), why)));
    others.push(holder.clone());
    match trouble {
        Some((other, why)) => {
            entry.error(
                &format!("{network} is in {other} already, {why}"),
                Some("give each client networks of its own, or a nas_identifier of its own and the same secret or certificate"),
            );
            None
        }
        None => Some(network),
    }
}

/// Why two clients with the same network could not be told apart, or not be answered alike.
fn trouble(one: &Holder, other: &Holder) -> Option<&'static str> {
    match (&one.certificate, &other.certificate) {
        (Some(shown), Some(also)) => {
            let same = shown == also && one.nas_identifier == other.nas_identifier;
            return same.then_some("with the same certificate, and nothing tells the two apart");
        }
        (Some(_), None) | (None, Some(_)) => return None,
        (None, None) => {}
    }
    if one.nas_identifier == other.nas_identifier {
        return Some("and nothing tells the two apart");
    }
    if one.secret != other.secret {
        return Some("with another secret, and the secret is looked up before the packet is read");
    }
    (one.integrity != other.integrity).then_some("with another integrity, and that is looked at before the packet is read")
}

fn patience(builder: &Builder<'_, '_>, section: &Section<'_>, habits: &Profile) -> Duration {
    let value = section.find("patience");
    let patience = value.as_ref().and_then(|value| value.duration(seconds(5)..=seconds(600))).unwrap_or(habits.patience);
    if patience <= builder.behind.limits.reject_delay.saturating_add(ANSWER_MARGIN) {
        let message = format!("refusals wait for `limits.reject_delay`: this client, which waits {patience:?}, has given up by then");
        let hint = Some("make patience longer or reject_delay shorter");
        match value {
            Some(value) => value.warn(&message, hint),
            None => section.warn(&message, hint),
        }
    }
    patience
}

/// Another server is asked when the first had its time: by then the login must not be over.
fn warn_hasty(builder: &Builder<'_, '_>, section: &Section<'_>, first: Option<&FirstFactor>, patience: Duration) {
    let Some(FirstFactor::Upstream { name, .. }) = first else { return };
    let Some(Some(upstream)) = builder.behind.upstreams.get(name) else { return };
    let time = patience.saturating_sub(ANSWER_MARGIN).min(builder.behind.limits.login_deadline);
    if upstream.login.servers.len() > 1 && time <= upstream.login.timeout {
        let message = format!("has {time:?} for a login, and the first server of [upstream.{name}] alone may take {:?}", upstream.login.timeout);
        section.warn(&message, Some(&format!("make upstream.{name}.timeout shorter than half of it: no login that waits for a dead server gets to the next")));
    }
}

fn shared_secret(value: &Value<'_>, sources: &Sources) -> Option<Secret> {
    let secret = sources.secret_from(value, Origin::Made)?;
    if secret.len() <= SHORT_SECRET_BYTES {
        let message = format!("has {} bytes: short secrets can be found by trying", secret.len());
        value.warn(&message, Some(MAKE_SECRET));
    } else if secret.variety() < SECRET_VARIETY_MIN {
        let message = format!("has {} bytes and only {} different ones: such secrets can be found by trying", secret.len(), secret.variety());
        value.warn(&message, Some(MAKE_SECRET));
    }
    Some(secret)
}

fn code(value: &Value<'_>) -> Option<CodeEntry> {
    if value.is_text() {
        return none(value, "{ challenge = \"Enter your code:\" }, { append = \",\" }, { append_digits = 6 } or \"none\"");
    }
    let (way, place) = value.one_of(&["challenge", "append", "append_digits"])?;
    if way == "challenge" { prompt(&place).map(CodeEntry::Challenge) } else { appended(way, &place) }
}

fn prompt(place: &Value<'_>) -> Option<String> {
    let text = place.text()?;
    if text.len() > PROMPT_BYTES_MAX {
        place.error(&format!("has {} bytes", text.len()), Some("a Reply-Message holds 253"));
        return None;
    }
    Some(text.to_owned())
}

/// What listens at an address: each kind has ports of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    Tcp,
    Tls,
    Udp,
}

/// Whether the kernel would refuse to bind both. Port 0 is another one each time.
pub(super) fn collide(one: (Listener, SocketAddr), other: (Listener, SocketAddr)) -> bool {
    let stream = |kind: Listener| kind != Listener::Udp;
    let ((kind, one), (other_kind, other)) = (one, other);
    let everywhere = |address: IpAddr| address.is_unspecified();
    let wild = everywhere(one.ip()) || everywhere(other.ip());
    stream(kind) == stream(other_kind) && one.port() != 0 && one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && (wild || one.ip() == other.ip())
}

pub(super) const INTEGRITY: &[(&str, Integrity)] = &[("require", Integrity::Require), ("observe", Integrity::Observe), ("optional", Integrity::Optional)];

/// Attributes that tell where the person is, by number (RFC 2865 §5.8, §5.31; RFC 2868 §3.3; RFC 6911 §3.1).
const SOURCES: &[(&str, u8)] = &[("Calling-Station-Id", 31), ("Framed-IP-Address", 8), ("Framed-IPv6-Address", 168), ("Tunnel-Client-Endpoint", 66)];

/// To one listener; a NAS needs one, or a few where it has many people.
const CLIENT_CONNECTIONS_MAX: usize = 64;
const PROMPT_BYTES_MAX: usize = 253;
/// Inside TLS (RFC 6614 §2.3).
const RADSEC_SECRET: &str = "radsec";
/// Bytes of a secret up to which it is short.
pub(in crate::app) const SHORT_SECRET_BYTES: usize = 12;
/// Different bytes of a secret; of 13 hexadecimal digits of chance fewer are there three times in a hundred thousand.
pub(in crate::app) const SECRET_VARIETY_MIN: usize = 5;
const MAKE_SECRET: &str = "make a long one: openssl rand -hex 32 > FILE";
const TLS_CONNECTIONS_MAX: usize = 1024;
const UPSTREAM_TIMEOUT: Duration = seconds(3);
const UPSTREAM_TRIES: u32 = 2;
