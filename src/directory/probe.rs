//! How each server of a directory is, asked once and aside from all logins: TLS, the bind of our own account, a search, its clock, and when it locks people out.
//!
//! A wrong password counts against our own account like anybody's, so after one refusal no other server is handed it.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;

use crate::domain::Timestamp;
use crate::ports::Clock;
use crate::wire::ldap::Filter;
use crate::wire::ldap::Question;
use crate::wire::ldap::Scope;

use super::Kind;
use super::OpenError;
use super::Security;
use super::Server;
use super::Settings;
use super::dn::Dn;
use super::groups;
use super::line::Line;
use super::search::Found;
use super::server::AWAY;
use super::session::Broken;
use super::session::Password;
use super::srv::FindError;
use super::srv::Finder;
use super::stream;

/// What became of one server.
#[derive(Debug)]
pub struct Probed {
    /// As it is written in the configuration.
    pub server: String,
    /// From the first packet to the last answer.
    pub took: Duration,
    /// The last moment at which its certificate holds; `None`: it showed none.
    pub not_after: Option<Timestamp>,
    /// What it said.
    pub said: Result<Seen, ProbeError>,
}

/// What a server that is well says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Milliseconds by which its clock is ahead of ours, to about a second; `None`: it tells no time.
    pub ahead_ms: Option<i64>,
    /// When it locks people out; `None`: not an Active Directory.
    pub lockout: Option<Lockout>,
    /// Those of the names that it does not know as what they should be, and what is wrong with each.
    pub strange: Vec<(Named, &'static str)>,
}

/// A name that the configuration takes out of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An account, by its DN.
    Account(String),
    /// A group, by name or DN.
    Group(String),
}

/// When a domain locks people out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// As the domain as a whole says; `None`: it may not be read.
    pub domain: Option<Limit>,
    /// Names of fine-grained password policies and what they say; `None`: they may not be read.
    pub fine: Option<Vec<(String, Limit)>>,
}

/// After how many wrong passwords, and for how long they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `lockoutThreshold`; 0: nobody is ever locked out.
    pub threshold: u32,
    /// `lockOutObservationWindow`: after so long without a wrong password the count begins again; `None`: it may not be read.
    pub window: Option<Duration>,
}

/// Why a server is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// `base` cannot be read there.
    #[error("base cannot be read there (code {code}): is it written as the directory writes it, and may bind_name read it?")]
    Base {
        /// The LDAP result code.
        code: u32,
    },
    /// No connection, or no answer.
    #[error("{0}")]
    Broken(String),
    /// DNS names no server.
    #[error("DNS names no server: {0}")]
    Dns(String),
    /// It was not asked in the time there was.
    #[error("not bound: the time was over")]
    Late,
    /// The settings are of no use.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Our own account is refused.
    #[error("bind_name or bind_password is refused (code {code}): {text}")]
    Refused {
        /// The LDAP result code.
        code: u32,
        /// What the server says about it.
        text: String,
    },
    /// Another server has refused our account.
    #[error("reached, but not bound: another server refused the password, and each refusal counts towards a lock")]
    Spared,
}

impl From<Broken> for ProbeError {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.to_string())
    }
}

/// The servers of a directory: those that are written, or those that DNS names; within 5 s.
///
/// # Errors
/// DNS names none.
pub async fn servers(settings: &Settings) -> Result<Vec<Server>, ProbeError> {
    let Some(srv) = &settings.srv else { return Ok(settings.servers.clone()) };
    let within = settings.timeout.min(STEP_MAX);
    let finder = Finder::new(srv.clone(), within);
    let found = timeout(within, finder.find(&settings.name)).await.unwrap_or(Err(FindError::Timeout));
    Ok(found.map_err(|error| ProbeError::Dns(error.to_string()))?.0)
}

/// Asks every one of these servers of a directory, also about the names; done within 15 s. Nothing is logged or counted.
///
/// # Errors
/// There is nothing to ask with.
pub async fn probe(settings: Settings, servers: Vec<Server>, names: Vec<Named>, clock: Arc<dyn Clock>) -> Result<Vec<Probed>, ProbeError> {
    let end = Instant::now() + PROBE_MAX;
    let within = settings.timeout.min(STEP_MAX);
    let needs_tls = servers.iter().any(|server| server.security != Security::Plain);
    let tls = if needs_tls { Some(stream::tls(settings.ca_file.as_deref()).map_err(OpenError::from)?) } else { None };
    let password = Password::of(&settings.bind_password).ok_or(OpenError::BindPassword)?;
    let base = Dn::parse(&settings.base).ok_or(OpenError::Base)?;
    let asker = Arc::new(Asker { settings, password, base, names, tls, clock, within });
    let reached: Vec<_> = servers.into_iter().map(|server| (server.to_string(), asker.reach(server))).collect();
    let mut first_word = FirstWord::default();
    let mut probes = Vec::new();
    for (server, reaching) in reached {
        let (not_after, probe) = first_word.hear(&asker, reaching, end).await;
        probes.push((server, not_after, probe));
    }
    let mut probed = Vec::new();
    for (server, not_after, probe) in probes {
        let (said, took) = match probe {
            Probe::Over(said, took) => (said, took),
            Probe::Running(task) => task.await.unwrap_or((Err(ProbeError::Late), Duration::ZERO)),
        };
        probed.push(Probed { server, took, not_after, said });
    }
    Ok(probed)
}

/// Whether our account was taken, by the servers that were asked so far.
#[derive(Debug, Default)]
enum FirstWord {
    /// From now on all may be asked at once.
    Accepted,
    Refused,
    #[default]
    Unknown,
}

enum Probe {
    Over(Result<Seen, ProbeError>, Duration),
    Running(JoinHandle<(Result<Seen, ProbeError>, Duration)>),
}

type Reached = (Result<(Line, Option<Timestamp>), ProbeError>, Duration);

impl FirstWord {
    /// One after the other until one has taken our account, then all at once.
    async fn hear(&mut self, asker: &Arc<Asker>, reaching: JoinHandle<Reached>, end: Instant) -> (Option<Timestamp>, Probe) {
        let (line, took) = reaching.await.unwrap_or((Err(ProbeError::Late), Duration::ZERO));
        let (line, not_after) = match (line, &*self) {
            (Ok(reached), Self::Accepted | Self::Unknown) => reached,
            (Ok((_, not_after)), Self::Refused) => return (not_after, Probe::Over(Err(ProbeError::Spared), took)),
            (Err(error), _) => return (None, Probe::Over(Err(error), took)),
        };
        let asker = Arc::clone(asker);
        let work = async move {
            let begun = Instant::now();
            let said = timeout_at(end, asker.examine(line)).await.unwrap_or(Err(ProbeError::Late));
            (said, took + begun.elapsed())
        };
        if matches!(self, Self::Accepted) {
            return (not_after, Probe::Running(tokio::spawn(work)));
        }
        let (said, took) = work.await;
        match &said {
            Ok(_) | Err(ProbeError::Base { .. }) => *self = Self::Accepted,
            Err(ProbeError::Refused { .. }) => *self = Self::Refused,
            Err(_) => {}
        }
        (not_after, Probe::Over(said, took))
    }
}

/// What all questions have in common.
#[derive(Debug)]
struct Asker {
    settings: Settings,
    password: Password,
    base: Dn,
    names: Vec<Named>,
    tls: Option<Arc<ClientConfig>>,
    clock: Arc<dyn Clock>,
    within: Duration,
}

impl Asker {
    /// A connection, TLS up, nobody bound.
    fn reach(self: &Arc<Self>, server: Server) -> JoinHandle<Reached> {
        let asker = Arc::clone(self);
        tokio::spawn(async move {
            let begun = Instant::now();
            let connecting = stream::connect_seeing(&server, asker.tls.as_ref(), asker.within);
            let reached = timeout(asker.within, connecting).await.map_err(|_| Broken::Timeout).and_then(|reached| reached.map_err(Broken::Connect));
            let reached = reached.map(|(stream, shown)| (Line::over(stream), shown.as_deref().and_then(not_after)));
            (reached.map_err(ProbeError::from), begun.elapsed())
        })
    }

    async fn examine(&self, mut line: Line) -> Result<Seen, ProbeError> {
        let binding = line.bind(&self.settings.bind_name, &self.password);
        let answer = timeout(self.within, binding).await.map_err(|_| Broken::Timeout)??;
        match answer.code {
            0 => {}
            code if AWAY.contains(&code) => return Err(Broken::Away(code).into()),
            code => return Err(ProbeError::Refused { code, text: answer.text }),
        }
        let (found, code) = self.search(&mut line, &self.settings.base, Scope::Base, any(), &["objectClass"]).await?;
        if code != 0 || found.is_empty() {
            return Err(ProbeError::Base { code });
        }
        let asked_at = self.clock.now().0;
        let (root, _) = self.search(&mut line, "", Scope::Base, any(), &["currentTime"]).await?;
        let now = asked_at.midpoint(self.clock.now().0);
        let theirs = root.first().and_then(|root| root.text("currentTime")).and_then(moment_ms);
        let ahead_ms = theirs.zip(i64::try_from(now).ok()).map(|(theirs, ours)| theirs.saturating_sub(ours));
        let lockout = match self.settings.kind {
            Kind::Ad => Some(self.lockout(&mut line).await?),
            Kind::Ldap => None,
        };
        let mut strange = Vec::new();
        for name in self.names.iter().take(NAMES_MAX) {
            strange.extend(self.complaint(&mut line, name).await?.map(|why| (name.clone(), why)));
        }
        Ok(Seen { ahead_ms, lockout, strange })
    }

    /// What is wrong with a name.
    async fn complaint(&self, line: &mut Line, name: &Named) -> Result<Option<&'static str>, ProbeError> {
        match name {
            Named::Account(dn) => {
                let (found, code) = self.search(line, dn, Scope::Base, any(), &["objectClass"]).await?;
                Ok((code != 0 || found.is_empty()).then_some("there is no such account"))
            }
            Named::Group(name) => {
                let root = self.base.domain().to_string();
                let (question, _) = groups::named(self.settings.kind, &root, name);
                let (found, answer) = timeout(self.within, line.search(&question)).await.map_err(|_| Broken::Timeout)??;
                Ok(groups::complaint(self.settings.kind, &found, answer.code))
            }
        }
    }

    /// M-21. `base` may be a part of the domain; the thresholds belong to the whole.
    async fn lockout(&self, line: &mut Line) -> Result<Lockout, ProbeError> {
        let head = self.base.domain().to_string();
        let (domain, _) = self.search(line, &head, Scope::Base, any(), &["lockoutThreshold", "lockOutObservationWindow"]).await?;
        let whole = domain.first().and_then(|domain| limit(domain, "lockoutThreshold", "lockOutObservationWindow"));
        let container = format!("CN=Password Settings Container,CN=System,{head}");
        let wanted = Filter::Or(vec![Filter::equal("objectClass", CONTAINER), Filter::equal("objectClass", "msDS-PasswordSettings")]);
        let (found, _) = self.search(line, &container, Scope::Subtree, wanted, &["cn", FINE_THRESHOLD, FINE_WINDOW, "objectClass"]).await?;
        let (containers, policies): (Vec<_>, Vec<_>) = found.iter().partition(|entry| is_container(entry));
        // Who may not read the policies usually does not even see their container.
        let thresholds: Vec<_> =
            policies.iter().filter_map(|policy| Some((policy.text("cn")?.to_owned(), limit(policy, FINE_THRESHOLD, FINE_WINDOW)?))).collect();
        let is_readable = !containers.is_empty() && thresholds.len() == policies.len();
        Ok(Lockout { domain: whole, fine: is_readable.then_some(thresholds) })
    }

    async fn search(&self, line: &mut Line, base: &str, scope: Scope, filter: Filter<'_>, attributes: &[&str]) -> Result<(Vec<Found>, u32), ProbeError> {
        let question = Question { base: base.into(), scope, filter, attributes, count_max: ENTRIES_MAX };
        let (found, answer) = timeout(self.within, line.search(&question)).await.map_err(|_| Broken::Timeout)??;
        Ok((found, answer.code))
    }
}

/// When a certificate ends.
fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp()).ok()?;
    Some(Timestamp(seconds.saturating_mul(1_000)))
}

fn any() -> Filter<'static> {
    Filter::Present("objectClass")
}

fn is_container(entry: &Found) -> bool {
    entry.values("objectClass").iter().any(|class| class.eq_ignore_ascii_case(CONTAINER.as_bytes()))
}

fn limit(entry: &Found, threshold: &str, window: &str) -> Option<Limit> {
    // Lengths of time stand there as negative numbers of 100 ns.
    let ticks = entry.text(window).and_then(|text| text.parse::<i64>().ok());
    Some(Limit { threshold: entry.text(threshold)?.parse().ok()?, window: ticks.map(|ticks| Duration::from_micros(ticks.unsigned_abs() / 10)) })
}

/// Milliseconds since 1970 of a GeneralizedTime in UTC, as servers write it: `20260301170559.0Z` (RFC 4517 §3.3.13).
fn moment_ms(text: &str) -> Option<i64> {
    let (digits, rest) = text.split_at_checked(SECONDS.len())?;
    if !rest.ends_with('Z') {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%d%H%M%S", digits).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

const SECONDS: &str = "20260301170559";
const FINE_THRESHOLD: &str = "msDS-LockoutThreshold";
const FINE_WINDOW: &str = "msDS-LockoutObservationWindow";
const CONTAINER: &str = "msDS-PasswordSettingsContainer";
/// Entries of one answer; more fine-grained policies than that nobody has.
const ENTRIES_MAX: u16 = 60;
/// Names that a server is asked about.
const NAMES_MAX: usize = 200;
/// All servers of one directory.
const PROBE_MAX: Duration = Duration::from_secs(15);
/// One connection, or one question: a login would wait for as long as the configuration says, but people wait here.
const STEP_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_time_is_read_and_what_is_none_is_not() {
        assert_eq!(moment_ms("19700101000001.0Z"), Some(1_000));
        assert_eq!(moment_ms("20231114221320Z"), Some(1_700_000_000_000));
        for text in ["", "20231114", "20231114221320", "20231114221320.0+0100", "20231314221320.0Z", "2023111422132\u{e9}Z"] {
            assert_eq!(moment_ms(text), None, "{text}");
        }
    }
}
