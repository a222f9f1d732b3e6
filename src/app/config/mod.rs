//! The configuration file: TOML in, checked settings out, every error at once.
//!
//! [`Config::load`] reads the whole file, and every secret, certificate and key it points to. It never stops at the first mistake.

mod answers;
mod audit;
mod credentials;
mod doors;
mod files;
mod ldap;
mod log;
mod mail;
mod metrics;
mod outline;
pub(super) mod pin;
mod policy;
mod problem;
mod profile;
mod providers;
mod radius;
mod reader;
mod realms;
mod rooms;
mod secret;
mod texts;
mod tls;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use rustls::server::danger::ClientCertVerifier;
use toml::de::DeTable;

use crate::directory;
use crate::directory::upstream;
use crate::directory::winbind;
use crate::domain::Approval;
use crate::domain::CodeEntry;
use crate::domain::Lexicon;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::phone::Numbers;
use crate::domain::pin::PinRules;
use crate::front::ldap::Transport;
use crate::front::radius::Addition;
use crate::front::radius::Charset;
use crate::front::radius::NasAddress;
use crate::front::radius::TlsSettings;
use crate::ports::Clock;
use crate::provider::duo;
use crate::provider::email;
use crate::provider::entra;
use crate::provider::oath;
use crate::provider::okta;
use crate::provider::privacyidea;
use crate::provider::sms;
use crate::provider::twilio;
use crate::provider::webhook;
use crate::store;
use crate::wire::radius::Integrity;

use super::clock::WallClock;
pub use answers::AnsweredClient;
pub use answers::AnsweredUser;
pub use answers::Answers;
pub use answers::answers;
use credentials::Credentials;
pub(in crate::app) use credentials::kept as kept_credential;
use files::Files;
pub(super) use files::table;
pub use log::Log;
pub use log::LogFormat;
pub use metrics::Metrics;
pub use outline::Outline;
pub use outline::admin_socket;
pub use outline::outline;
pub use outline::page;
pub use outline::profiles;
pub use outline::store_settings;
pub use outline::usual;
use problem::Notes;
pub use problem::Problem;
pub(super) use radius::SECRET_VARIETY_MIN;
pub(super) use radius::SHORT_SECRET_BYTES;
use reader::Section;
pub(super) use reader::written;
use secret::Sources;
pub use secret::private_file;

/// A checked configuration: names in it lead somewhere, secrets are read, certificates and keys fit.
#[derive(Clone, Debug)]
pub struct Config {
    /// `node.name`: which of several appliances this is.
    pub name: String,
    /// `node.time_zone`: by which clock hours count; usually UTC.
    pub time_zone: TimeZone,
    /// `node.country`: how telephone numbers without one are read.
    pub numbers: Numbers,
    /// `node.data_dir` and `node.master_key`.
    pub store: store::Settings,
    /// `[log]`
    pub log: Log,
    /// `[limits]`
    pub limits: Limits,
    /// `[admin]`
    pub admin: Admin,
    /// `[audit]`
    pub audit: crate::audit::Settings,
    /// `[mail]`
    pub mail: Option<Mail>,
    /// `[metrics]`
    pub metrics: Option<Metrics>,
    /// Each `[directory.NAME]`, in the order of the names.
    pub directories: Vec<directory::Settings>,
    /// `[pin]`
    pub pin: PinRules,
    /// Each `[provider.NAME]`, in the order of the names.
    pub providers: Vec<ProviderSettings>,
    /// Each `[upstream.NAME]`, in the order of the names.
    pub upstreams: Vec<UpstreamSettings>,
    /// The winbind of each domain that a client names.
    pub winbinds: BTreeMap<String, winbind::Settings>,
    /// Each `[policy.NAME]`.
    pub policies: BTreeMap<String, Policy>,
    /// Each `[[radius.listen]]`, as written.
    pub radius_listen: Vec<RadiusListen>,
    /// Each `[[radius.client]]`, as written.
    pub radius_clients: Vec<RadiusClient>,
    /// Each `[[ldap.listen]]`, as written.
    pub ldap_listen: Vec<LdapListen>,
    /// Every certificate in the files that it names.
    pub certificates: Vec<Certificate>,
    /// Every file and folder that it names.
    pub named: Vec<PathBuf>,
    /// What is allowed but worth a second look.
    pub warnings: Vec<Problem>,
}

/// A certificate in a file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The key that names the file: `ldap.listen[0].cert_file`.
    pub key: String,
    /// The file.
    pub file: PathBuf,
    /// Whose it is.
    pub subject: String,
    /// The last moment at which it holds.
    pub not_after: Timestamp,
    /// It vouches for others, and we do not show it.
    pub is_authority: bool,
}

/// How much may go on at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// RADIUS requests in the works at once, 1..10,000,000.
    pub radius_inflight_max: usize,
    /// How long a RADIUS answer is kept for retransmissions, 5..30 s.
    pub radius_answer_keep: Duration,
    /// LDAP connections at once over all listeners, 1..1,000,000.
    pub ldap_connections_max: usize,
    /// Bytes of one LDAP message, 64 KiB..256 MiB.
    pub ldap_pdu_bytes_max: usize,
    /// The longest a login may take, 1 s..5 min.
    pub login_deadline: Duration,
    /// How long a challenge can be answered, 1 s..5 min.
    pub challenge_keep: Duration,
    /// From a request's arrival to its refusal, 1..10 s.
    pub reject_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            radius_inflight_max: 100_000,
            radius_answer_keep: Duration::from_secs(30),
            ldap_connections_max: 9_500,
            ldap_pdu_bytes_max: 4_194_304,
            login_deadline: Duration::from_secs(55),
            challenge_keep: Duration::from_secs(120),
            reject_delay: Duration::from_secs(1),
        }
    }
}

/// The door for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// A Unix socket.
    pub socket: PathBuf,
    /// The group whose members may use it, beside root and ourselves.
    pub group: String,
}

/// `[mail]`
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server.
    pub settings: crate::mail::Settings,
    /// Who is told what somebody should look at.
    pub alerts: Vec<String>,
    /// What they read.
    pub texts: Arc<Lexicon>,
}

/// One `[provider.NAME]`.
#[derive(Clone, Debug)]
pub enum ProviderSettings {
    /// `kind = "duo"`
    Duo(duo::Settings),
    /// `kind = "email"`
    Email(email::Settings),
    /// `kind = "entra"`
    Entra(Box<entra::Settings>),
    /// `kind = "oath"`
    Oath(oath::Settings),
    /// `kind = "okta"`
    Okta(okta::Settings),
    /// `kind = "privacyidea"`
    PrivacyIdea(privacyidea::Settings),
    /// `kind = "sms-gateway"`
    SmsGateway(sms::Settings),
    /// `kind = "twilio-verify"`
    TwilioVerify(twilio::Settings),
    /// `kind = "webhook"`
    Webhook(webhook::Settings),
}

impl ProviderSettings {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Duo(settings) => &settings.name,
            Self::Email(settings) => &settings.name,
            Self::Entra(settings) => &settings.name,
            Self::Oath(settings) => &settings.name,
            Self::Okta(settings) => &settings.name,
            Self::PrivacyIdea(settings) => &settings.name,
            Self::SmsGateway(settings) => &settings.name,
            Self::TwilioVerify(settings) => &settings.name,
            Self::Webhook(settings) => &settings.name,
        }
    }

    /// How long one request to it may take; `None`: nobody is asked, or a mail server has its own time.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Duo(settings) => Some(settings.timeout),
            Self::Email(_) | Self::Oath(_) => None,
            Self::Entra(settings) => Some(settings.timeout),
            Self::Okta(settings) => Some(settings.timeout),
            Self::PrivacyIdea(settings) => Some(settings.timeout),
            Self::SmsGateway(settings) => Some(settings.timeout),
            Self::TwilioVerify(settings) => Some(settings.timeout),
            Self::Webhook(settings) => Some(settings.timeout),
        }
    }
}

/// One `[upstream.NAME]`.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Where logins go.
    pub login: upstream::Settings,
    /// Where accounting goes.
    pub accounting: Option<upstream::Settings>,
    /// `user_name`: what its User-Name is worth after EAP.
    pub names: upstream::EapNames,
}

/// One `[policy.NAME]`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// What must be true before somebody is let in.
    pub rules: Arc<Rules>,
    /// What every Access-Accept is given beside.
    pub reply: Arc<[Addition]>,
    /// Where people without an account can make one.
    pub enrol_url: Option<String>,
}

/// One `[[radius.listen]]`.
#[derive(Clone, Debug)]
pub struct RadiusListen {
    /// Where it listens.
    pub address: SocketAddr,
    /// TLS over TCP instead of datagrams.
    pub tls: Option<TlsSettings>,
    /// Accounting-Requests come here, and no logins.
    pub accounting: bool,
}

/// One `[[radius.client]]`; as [`crate::front::radius::Client`], with names where that has rooms.
#[derive(Clone, Debug)]
pub struct RadiusClient {
    /// Its name.
    pub name: String,
    /// The kind of NAS it is.
    pub profile: Option<&'static str>,
    /// After how long such a NAS usually asks again.
    pub retransmits: Option<Duration>,
    /// Where its packets come from, at least one; clients that share the very same network have one secret and a NAS-Identifier each.
    pub networks: Vec<Network>,
    /// Which of those that share a network it is.
    pub nas_identifier: Option<String>,
    /// Whether its own word about its address counts.
    pub nas_address: NasAddress,
    /// A name in its certificate: it comes over TLS alone.
    pub certificate: Option<String>,
    /// The shared secret, at least one byte.
    pub secret: Secret,
    /// Whether requests must be signed.
    pub integrity: Integrity,
    /// Who checks the first factor.
    pub first: FirstFactor,
    /// The `[directory.NAME]` that tell whose a name is, the first for names without a realm; `None`: our own accounts do.
    pub identify: Option<Vec<String>>,
    /// How a code is handed over.
    pub code: CodeEntry,
    /// The answer to a challenge may stand in MS-CHAP2-Response.
    pub code_in_ms_chap2: bool,
    /// Its Calling-Station-Id is the same for all of its people, so that it tells nobody apart.
    pub one_station: bool,
    /// What a person waits in front of while the phone rings.
    pub approval: Approval,
    /// How long an approval that came too late counts for the next try, 0..5 min.
    pub late_approval: Duration,
    /// How long the very same login again is the same login, 0..1 min.
    pub join: Duration,
    /// Whether a challenge lists the methods of the account.
    pub menu: bool,
    /// How the octets of a password are text.
    pub charset: Charset,
    /// How long this NAS waits, 5 s..10 min.
    pub patience: Duration,
    /// The attribute that tells where the person is.
    pub source: Option<u8>,
    /// Where its accounting goes.
    pub accounting: AccountingTo,
    /// A key of [`Config::policies`].
    pub policy: String,
}

/// Who checks a client's first factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstFactor {
    /// These `[directory.NAME]`, the first for names without a realm; at least one.
    Directory(Vec<String>),
    /// A server behind us.
    Upstream {
        /// This `[upstream.NAME]`.
        name: String,
        /// Requests without a credential go there too.
        without_credential: bool,
    },
    /// The client itself.
    Waived,
    /// Samba's winbind, for this domain.
    Winbind(String),
}

/// Where accounting goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountingTo {
    /// It is written down here.
    Record,
    /// This `[upstream.NAME]`.
    Upstream(String),
}

/// One `[[ldap.listen]]`; as [`crate::front::ldap::Settings`], with names where that has rooms.
#[derive(Clone, Debug)]
pub struct LdapListen {
    /// Its name: the client in log, metrics and provider's question.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// How connections are kept from others; certificate and key fit.
    pub transport: Transport,
    /// The `[directory.NAME]` behind, the first for names without a realm; at least one.
    pub directory: Vec<String>,
    /// How a code is handed over: appended or not at all.
    pub code: CodeEntry,
    /// How long the very same bind again is the same login, 0..1 min.
    pub join: Duration,
    /// A key of [`Config::policies`].
    pub policy: String,
    /// Who looks at certificates of clients; `None` where none is asked for.
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Each `[[ldap.client]]` of this listener, as written.
    pub clients: Vec<LdapClient>,
    /// `exempt`: service accounts that need no second factor.
    pub exempt: Vec<LdapExempt>,
    /// Balancers that speak the PROXY protocol.
    pub proxy_from: Vec<Network>,
    /// Applications whose session-tracking control counts.
    pub trust_session_tracking: Vec<Network>,
}

/// One `[[ldap.client]]`; as [`crate::front::ldap::Application`], with names where that has rooms.
#[derive(Clone, Debug)]
pub struct LdapClient {
    /// Its name.
    pub name: String,
    /// Where it is; empty: anywhere.
    pub networks: Vec<Network>,
    /// A name in its certificate.
    pub certificate: Option<String>,
    /// The DN of the account that it binds with first.
    pub service: Option<String>,
    /// How its people hand over a code.
    pub code: CodeEntry,
    /// A key of [`Config::policies`].
    pub policy: String,
}

/// One `exempt` of an LDAP listener.
#[derive(Clone, Debug)]
pub struct LdapExempt {
    /// The account's DN.
    pub dn: String,
    /// From where, at least one.
    pub from: Vec<Network>,
    /// A name that the caller's certificate must have.
    pub certificate: Option<String>,
    /// The first moment at which it is over: midnight, UTC, after the day that is written.
    pub until: Timestamp,
}

impl Config {
    /// Reads `path` and everything it points to. Credentials are looked for where systemd put them, or where root finds them by hand. Blocks on the disk.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        Self::load_from(path, Credentials::ours())
    }

    /// As [`Config::load`], with credentials from that folder, or none.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(path: &Path, credentials: Option<PathBuf>) -> Result<Self, Vec<Problem>> {
        Self::load_from(path, credentials.map_or(Credentials::Nowhere, Credentials::Folder))
    }

    fn load_from(path: &Path, credentials: Credentials) -> Result<Self, Vec<Problem>> {
        let sources = Sources::new(folder(path), credentials, WallClock.now());
        let (config, warnings) = read(path, |file| whole(file, &sources))?;
        Ok(Self { warnings, certificates: sources.certificates.into_inner(), named: sources.named.into_inner(), ..config })
    }
}

/// Everything a configuration has; sections that others name come first.
fn whole(file: &Section<'_>, sources: &Sources) -> Option<Config> {
    let node = rooms::node(file, sources);
    let log = log::log(file);
    let limits = rooms::limits(file);
    let admin = rooms::admin(file, sources);
    let audit = audit::audit(file, sources);
    let texts = Arc::new(texts::texts(file, sources));
    let directories = rooms::directories(file, sources);
    let pin = pin::rules(file);
    let mail = mail::mail(file, sources, &texts);
    let metrics = metrics::metrics(file);
    let providers = providers::providers(file, sources, file.find("mail").is_some(), &texts);
    let (upstreams, upstreams_at) = radius::upstreams(file, sources);
    let (mut winbinds, winbinds_at) = radius::winbinds(file, sources);
    let policies = policy::policies(file, &providers, &texts);
    let doors = doors::doors(
        file,
        doors::Behind { sources, directories: &directories, upstreams: &upstreams, winbinds: &winbinds, policies: &policies, texts: &texts, limits },
    );
    doors::warn_idle(file, &doors);
    policy::warn_unused(&policies, &providers, &doors.policies);
    realms::warn_of_namesakes(&doors, &policies, &providers, &directories);
    radius::warn_unused(&upstreams_at, &winbinds_at, &doors.radius_clients);
    for client in &doors.radius_clients {
        if let FirstFactor::Winbind(domain) = &client.first {
            winbinds.entry(domain.clone()).or_insert_with(|| radius::usual_winbind(domain));
        }
    }
    let rooms::Node { name, store, time_zone, numbers } = node?;
    if time_zone.is_none() {
        policy::warn_of_utc(&policies);
    }
    Some(Config {
        audit: audit::settings(audit, &name, &store),
        name,
        numbers,
        time_zone: time_zone.unwrap_or(TimeZone::UTC),
        store,
        log,
        limits,
        admin,
        mail,
        metrics,
        directories: directories.into_values().flatten().collect(),
        pin,
        providers: providers.into_values().filter_map(|provider| provider.settings).collect(),
        upstreams: upstreams.into_values().flatten().collect(),
        winbinds,
        policies: policies.into_iter().filter_map(|(name, policy)| policy.settings.map(|settings| (name, settings))).collect(),
        radius_listen: doors.radius_listen,
        radius_clients: doors.radius_clients,
        ldap_listen: doors.ldap_listen,
        certificates: Vec::new(),
        named: Vec::new(),
        warnings: Vec::new(),
    })
}

/// Reads a file and its drop-ins by `look` and gives what that made, and the warnings.
fn read<T>(path: &Path, look: impl FnOnce(&Section<'_>) -> Option<T>) -> Result<(T, Vec<Problem>), Vec<Problem>> {
    understood(path, Files::read(path)?, look)
}

/// The same of files that are read.
fn understood<T>(path: &Path, files: Files, look: impl FnOnce(&Section<'_>) -> Option<T>) -> Result<(T, Vec<Problem>), Vec<Problem>> {
    let Files { text, begins } = files;
    let mut notes = Notes::of_files(begins, &text);
    let (table, broken) = DeTable::parse_recoverable(&text);
    broken.iter().for_each(|error| notes.tear(error));
    let made = Section::whole_file(&notes, table.get_ref(), look);
    let warnings = notes.close()?;
    made.map(|made| (made, warnings)).ok_or_else(|| vec![Problem::of_file(&path.display().to_string(), "could not be understood".to_owned())])
}

/// The folder that holds `path`, from the root on: whoever reads the ready line stands somewhere else.
fn folder(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    whole.parent().map(Path::to_path_buf).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `config/vestibule.toml` says that it shows every key; a key the reader asks for and the file does not name would be one nobody finds.
    #[test]
    fn the_commented_file_names_every_key_the_reader_knows_and_no_other() {
        let file = include_str!("../../../config/vestibule.toml");
        let text = file.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let notes = Notes::of_files(vec![("vestibule.toml".to_owned(), 1)], &text);
        let table = DeTable::parse(&text).unwrap();
        let sources = Sources::new(PathBuf::new(), Credentials::Nowhere, WallClock.now());
        Section::whole_file(&notes, table.get_ref(), |file| whole(file, &sources));
        let asked: BTreeSet<String> = notes.asked.borrow().iter().map(|path| shape(path)).collect();
        let unknown: Vec<Problem> = notes.close().unwrap_err().into_iter().filter(|problem| problem.message.contains("unknown")).collect();
        assert_eq!(unknown, []);
        let absent: Vec<&String> = asked.iter().filter(|path| !refused(path) && !shown(file, path)).collect();
        assert_eq!(absent, Vec::<&String>::new());
    }

    /// `key = value`, as opposed to a sentence.
    fn is_setting(line: &str) -> bool {
        line.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    }

    /// Names and numbers taken out: `policy.vpn.methods[0].push` is `policy.*.methods[].push`.
    fn shape(path: &str) -> String {
        let mut parts: Vec<String> = path.split('.').map(|part| part.split_once('[').map_or_else(|| part.to_owned(), |(key, _)| format!("{key}[]"))).collect();
        if let ["directory" | "provider" | "policy" | "upstream" | "winbind", _, ..] = parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            parts[1] = "*".to_owned();
        }
        parts.join(".")
    }

    /// Whether a line of the file, commented out or not, writes the last key of `path` below the header it belongs to.
    fn shown(file: &str, path: &str) -> bool {
        let key = path.rsplit('.').next().unwrap();
        let mut header = String::new();
        file.lines().any(|line| {
            if line.starts_with('[') {
                header = shape(line.split('#').next().unwrap().trim().trim_matches(['[', ']']));
            }
            let written = line.trim_start_matches("# ");
            path.starts_with(header.trim_end_matches(".*")) && (written.starts_with(&format!("{key} = ")) || written.contains(&format!(" {key} = ")))
                || header.split('.').any(|part| part == key)
        })
    }

    /// Asked for only to say that it does not belong there.
    fn refused(path: &str) -> bool {
        path == "ldap.listen[].code.challenge"
    }
}
