//! LDAP: listeners, the applications that share one, and who is exempt at it.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;

use crate::directory;
use crate::domain::CodeEntry;
use crate::domain::Network;
use crate::domain::Timestamp;
use crate::front::ldap::DAYS_WARNED;
use crate::front::ldap::Transport;

use super::LdapClient;
use super::LdapExempt;
use super::LdapListen;
use super::doors::Builder;
use super::doors::JOIN_WITHIN;
use super::doors::appended;
use super::doors::none;
use super::radius::Listener;
use super::reader::Section;
use super::reader::Value;
use super::realms;
use super::rooms::seconds;
use super::tls;

/// `[[ldap.listen]]`, each with its `[[ldap.client]]`.
pub(super) fn listeners(builder: &mut Builder<'_, '_>, section: &Section<'_>) -> Vec<LdapListen> {
    let written = section.each("listen");
    let mut listeners: Vec<Listening> = written.iter().filter_map(|value| value.table(|section| listen(builder, section))).collect();
    let is_whole = written.len() == listeners.len();
    for value in section.each("client") {
        value.table(|section| client(builder, section, &mut listeners, is_whole));
    }
    listeners.into_iter().map(|listening| listening.listen).collect()
}

/// A listener as read.
struct Listening {
    listen: LdapListen,
    /// Clients may show certificates.
    certificates: bool,
    /// Of each of its clients, where it stands.
    clients_at: Vec<String>,
}

fn listen(builder: &mut Builder<'_, '_>, section: &Section<'_>) -> Option<Listening> {
    let name = builder.name(section, "\"wiki\"");
    let address = builder.address(section, Listener::Tcp, "\"0.0.0.0:636\"");
    let certificates = section.find("client_ca_file");
    let transport = transport(builder, section, address, certificates.as_ref());
    let directories = builder.behind.directories;
    let directory = section.need("directory", "\"NAME\"").and_then(|value| realms::directories(&value, directories));
    let code = section.find("code").and_then(|value| code(&value)).unwrap_or_else(|| CodeEntry::Append(SEPARATOR.to_owned()));
    let join = section.find("join").and_then(|value| value.duration(JOIN_WITHIN)).unwrap_or(seconds(0));
    let policy = builder.policy(section, &code);
    let exempt: Vec<_> = section.each("exempt").iter().map(|value| value.table(|section| exempt(builder, section, certificates.is_some()))).collect();
    let proxy_from = section.find("proxy_from").map_or(Some(Vec::new()), |value| networks(&value, "speak as a balancer for any other"));
    let trackers = section.find("trust_session_tracking").map_or(Some(Vec::new()), |value| networks(&value, "say where people are"));
    let (transport, verifier) = transport?;
    let listen = LdapListen {
        name: name?,
        address: address?,
        transport,
        directory: directory?,
        code,
        join,
        policy: policy?,
        verifier,
        clients: Vec::new(),
        exempt: exempt.into_iter().collect::<Option<_>>()?,
        proxy_from: proxy_from?,
        trust_session_tracking: trackers?,
    };
    Some(Listening { listen, certificates: certificates.is_some(), clients_at: Vec::new() })
}

/// How connections are kept from others, and who looks at certificates that clients show.
type Kept = (Transport, Verifier);
type Verifier = Option<Arc<dyn ClientCertVerifier>>;

fn transport(builder: &Builder<'_, '_>, section: &Section<'_>, address: Option<SocketAddr>, authorities: Option<&Value<'_>>) -> Option<Kept> {
    let kind = section.find("transport").map_or(Some(Way::Tls), |value| value.word(TRANSPORTS));
    match kind {
        Some(Way::Plain) => Some((plain(section, address), None)),
        Some(Way::StartTls) => server(builder, section, authorities).map(|(tls, verifier)| (Transport::StartTls(tls), verifier)),
        Some(Way::Tls) => server(builder, section, authorities).map(|(tls, verifier)| (Transport::Tls(tls), verifier)),
        None => {
            section.forgive();
            None
        }
    }
}

fn server(builder: &Builder<'_, '_>, section: &Section<'_>, authorities: Option<&Value<'_>>) -> Option<(Arc<ServerConfig>, Verifier)> {
    section.refuse("allow_plain", "is for transport = \"plain\" alone");
    let sources = builder.behind.sources;
    if authorities.is_none() {
        section.refuse("client_crl_file", "is for listeners with client_ca_file");
        section.refuse("client_certificate", "is for listeners with client_ca_file");
        let (identity, cert_file, path, key) = tls::identity(section, sources)?;
        return tls::server(identity, &cert_file, &path, &key).map(|tls| (tls, None));
    }
    let trust = tls::trust(section, sources, authorities);
    let required = section.find("client_certificate").and_then(|value| value.word(&[("optional", false), ("require", true)])).unwrap_or(false);
    let (identity, cert_file, path, key) = tls::identity(section, sources)?;
    let (tls, verifier) = tls::server_with_clients(identity, trust?, required, &cert_file, &path, &key)?;
    Some((tls, Some(verifier)))
}

/// Passwords in clear text stay on this machine, unless somebody says so (L-086).
fn plain(section: &Section<'_>, address: Option<SocketAddr>) -> Transport {
    for key in ["cert_file", "key", "client_ca_file", "client_crl_file", "client_certificate"] {
        section.refuse(key, "transport = \"plain\" knows no certificates");
    }
    let allow_plain = section.find("allow_plain").and_then(|value| value.flag()).unwrap_or(false);
    match (address.is_some_and(|address| !address.ip().to_canonical().is_loopback()), allow_plain) {
        (true, true) => section.warn("takes passwords in clear text from other machines", Some("use transport = \"tls\" or \"starttls\"")),
        (true, false) => section
            .error("would take passwords in clear text from other machines", Some("use transport = \"tls\", a loopback address, or write allow_plain = true")),
        (false, _) => {}
    }
    Transport::Plain { allow_plain }
}

fn code(value: &Value<'_>) -> Option<CodeEntry> {
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

/// An account that needs no second factor (L-082): by its DN, which is looked up, never compared; from somewhere; until some day (M-46).
fn exempt(builder: &Builder<'_, '_>, section: &Section<'_>, certificates: bool) -> Option<LdapExempt> {
    let dn = section.need("name", "\"CN=svc-wiki,OU=Service,DC=corp,DC=example\"").and_then(|value| dn(&value));
    let from = section.need("from", "[\"10.1.2.3\"]").and_then(|value| networks(&value, "be exempt"));
    let certificate = section.find("certificate").map(|value| certificate(&value, certificates));
    let until = section.need("until", "\"2027-12-31\"").and_then(|value| until(&value, builder.behind.sources.now));
    Some(LdapExempt {
        dn: dn?,
        from: from?,
        certificate: match certificate {
            Some(name) => Some(name?),
            None => None,
        },
        until: until?,
    })
}

/// An application of its own behind a listener that others share.
fn client(builder: &mut Builder<'_, '_>, section: &Section<'_>, listeners: &mut [Listening], is_whole: bool) -> Option<()> {
    let name = builder.name(section, "\"wiki\"");
    let place = place(section, listeners, is_whole);
    let listening = place.and_then(|place| listeners.get_mut(place));
    let takes = listening.as_ref().is_none_or(|listening| listening.certificates);
    let found = section.find("networks").map(|value| networks(&value, "be this application"));
    let shown = section.find("certificate").map(|value| certificate(&value, takes));
    let service = section.find("service").map(|value| dn(&value));
    let (code_at, policy_at) = (section.find("code"), section.find("policy"));
    if found.is_none() && shown.is_none() && service.is_none() {
        section.error("does not say which connections are this application's", Some("write networks, certificate or service"));
        return None;
    }
    let code = match &code_at {
        Some(value) => code(value)?,
        None => listening.as_ref()?.listen.code.clone(),
    };
    let policy = match &policy_at {
        Some(value) => builder.policy_of(value, &code)?,
        None => listening.as_ref()?.listen.policy.clone(),
    };
    if policy_at.is_none() && builder.asks_in_vain(&policy, &code) {
        section.error(&format!("the listener's policy {policy:?} asks for codes alone and this client has code = \"none\""), Some("let it hand over codes"));
        return None;
    }
    let listening = listening?;
    let client = LdapClient {
        name: name?,
        networks: found.map_or(Some(Vec::new()), |networks| networks)?,
        certificate: match shown {
            Some(name) => Some(name?),
            None => None,
        },
        service: match service {
            Some(dn) => Some(dn?),
            None => None,
        },
        code,
        policy,
    };
    if let Some((_, other)) = listening.listen.clients.iter().zip(&listening.clients_at).find(|(other, _)| are_alike(other, &client)) {
        section
            .error(&format!("cannot be told from {other}: both fit the same connections"), Some("give each networks, a certificate or a service of its own"));
        return None;
    }
    listening.listen.clients.push(client);
    listening.clients_at.push(section.path().to_owned());
    Some(())
}

/// Which listener a client is behind. Where something is wrong with one, and that is told already, it may be that one.
fn place(section: &Section<'_>, listeners: &[Listening], is_whole: bool) -> Option<usize> {
    let named = section.find("listen");
    if !is_whole {
        let name = named.and_then(|value| value.text())?;
        return listeners.iter().position(|listening| listening.listen.name == name);
    }
    match (named, listeners) {
        (Some(value), _) => {
            let name = value.reference("ldap.listen", listeners.iter().map(|listening| listening.listen.name.as_str()))?;
            listeners.iter().position(|listening| listening.listen.name == name)
        }
        (None, [_]) => Some(0),
        (None, []) => {
            section.warn("is behind no listener that can be opened", None);
            None
        }
        (None, _) => {
            section.missing("listen", "write listen = \"NAME\" of the [[ldap.listen]] that it comes to: there are several");
            None
        }
    }
}

/// Whether some connection fits both, and neither more closely. Different certificates and services are told apart when they come.
fn are_alike(one: &LdapClient, other: &LdapClient) -> bool {
    let same = |one: Option<&String>, other: Option<&String>| match (one, other) {
        (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
        (None, None) => true,
        _ => false,
    };
    let is_shared = one.networks.iter().any(|network| other.networks.contains(network)) || one.networks.is_empty() && other.networks.is_empty();
    is_shared && same(one.certificate.as_ref(), other.certificate.as_ref()) && same(one.service.as_ref(), other.service.as_ref())
}

fn dn(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if !directory::is_dn(text) {
        value.error(&format!("{text:?} is no distinguished name"), Some("write it as the directory does: \"CN=svc-wiki,OU=Service,DC=corp,DC=example\""));
        return None;
    }
    Some(text.to_owned())
}

fn certificate(value: &Value<'_>, taken: bool) -> Option<String> {
    let name = value.text()?;
    if !taken {
        value.error(
            "no client of this listener can show a certificate",
            Some("write client_ca_file at the [[ldap.listen]], and transport = \"tls\" or \"starttls\""),
        );
        return None;
    }
    Some(name.to_owned())
}

/// At least one network; `may` says what everybody in it may do.
pub(super) fn networks(value: &Value<'_>, may: &str) -> Option<Vec<Network>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no network", Some("write [\"10.1.2.3\"], or take the line out"));
        return None;
    }
    let network = |entry: &Value<'_>| {
        let network: Network = entry.parsed()?;
        if network.prefix_bits() == 0 {
            entry.warn(&format!("lets every address {may}"), Some("write the addresses it really is"));
        }
        Some(network)
    };
    let networks: Vec<Option<Network>> = entries.iter().map(network).collect();
    networks.into_iter().collect()
}

/// The moment after a day, UTC. One that is over is none that keeps the server from starting, nor one that holds.
fn until(value: &Value<'_>, now: Timestamp) -> Option<Timestamp> {
    let text = value.text()?;
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2027-12-31".len());
    let end = day.and_then(|day| day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok());
    let Some(end) = end.and_then(|end| u64::try_from(end.timestamp().as_millisecond()).ok()).map(Timestamp) else {
        value.error(&format!("{text:?} is no day"), Some("write the last day on which it holds: \"2027-12-31\""));
        return None;
    };
    if let Some((told, hint)) = ends(end, now) {
        value.warn(&told, Some(hint));
    }
    Some(end)
}

/// What is to be said of an end, if it is near or over, or so far away that nobody will look; and what to do.
fn ends(end: Timestamp, now: Timestamp) -> Option<(String, &'static str)> {
    let later = "look whether the account is still in use, and write a later day if it is";
    let days = end.0.saturating_sub(now.0) / DAY_MS;
    match end.0.checked_sub(now.0) {
        None | Some(0) => Some(("this exemption is over: the account needs a second factor now".to_owned(), later)),
        Some(_) if days < DAYS_WARNED => Some((format!("this exemption ends in {days} days"), later)),
        Some(_) if days > DAYS_FAR => Some((
            "this exemption ends in more than two years: till then nobody is asked whether the account still needs it".to_owned(),
            "write a day within two years; it is warned of a month before",
        )),
        Some(_) => None,
    }
}

/// How connections are kept from others, in a word.
#[derive(Clone, Copy)]
enum Way {
    Plain,
    StartTls,
    Tls,
}

const TRANSPORTS: &[(&str, Way)] = &[("tls", Way::Tls), ("starttls", Way::StartTls), ("plain", Way::Plain)];
const SEPARATOR: &str = ",";
const DAY_MS: u64 = 86_400_000;
/// Two years, a leap day among them.
const DAYS_FAR: u64 = 731;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_46_an_end_is_warned_of_a_month_before_and_when_it_is_over() {
        let end = Timestamp(100 * DAY_MS);
        let told = |now_ms| ends(end, Timestamp(now_ms)).map(|(told, _)| told);
        assert_eq!(told(70 * DAY_MS), None);
        assert_eq!(told(70 * DAY_MS + 1).as_deref(), Some("this exemption ends in 29 days"));
        assert_eq!(told(100 * DAY_MS - 1).as_deref(), Some("this exemption ends in 0 days"));
        for over in [100 * DAY_MS, 101 * DAY_MS] {
            assert!(told(over).is_some_and(|told| told.contains("over")));
        }
    }

    #[test]
    fn m_46_an_end_that_is_more_than_two_years_away_is_warned_of() {
        let told = |days: u64| ends(Timestamp((days + 100) * DAY_MS), Timestamp(100 * DAY_MS)).map(|(told, _)| told);
        assert_eq!((told(730), told(731)), (None, None));
        assert!(told(732).is_some_and(|told| told.contains("more than two years")));
    }
}
