//! The doctor: asks everything that a configuration names how it is, all at once and each for a bounded time, and names what will break first.
//!
//! Opens no store and rings nobody: the server may run meanwhile.

mod chain;
mod directories;
mod dns;
mod files;
mod listeners;
mod lockout;
mod names;
mod servers;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::directories::Questions;
use super::clock::WallClock;
use super::config::Config;
use super::rooms;
use crate::ports::Clock;
use crate::ports::Store;
use crate::store::Memory;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// One who is sent the audit.
    Audit,
    /// A certificate in a file.
    Certificate,
    /// A server of a directory, or a name that it should know.
    Directory,
    /// The name of a server.
    Dns,
    /// A service account without a second factor.
    Exemption,
    /// A group of the directory that decides.
    Group,
    /// An address that we listen on.
    Listener,
    /// When the directory locks people out, against when we do.
    Lockout,
    /// The mail server.
    Mail,
    /// A carrier of second factors.
    Provider,
    /// A secret shared with a RADIUS client or server.
    Secret,
    /// Who waits for whom, and how long.
    Timeouts,
    /// A RADIUS server behind us.
    Upstream,
    /// Samba's winbind.
    Winbind,
}

impl Area {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Certificate => "certificate",
            Self::Directory => "directory",
            Self::Dns => "dns",
            Self::Exemption => "exemption",
            Self::Group => "group",
            Self::Listener => "listener",
            Self::Lockout => "lockout",
            Self::Mail => "mail",
            Self::Provider => "provider",
            Self::Secret => "secret",
            Self::Timeouts => "timeouts",
            Self::Upstream => "upstream",
            Self::Winbind => "winbind",
        }
    }
}

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Logins that need it fail.
    Failed,
    /// Well.
    Ok,
    /// Nobody could look.
    Skipped,
    /// It works, and something about it will hurt.
    Warning,
}

impl Outcome {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing.
    pub area: Area,
    /// Which: `corp ldaps://dc1.corp.example:636`.
    pub name: String,
    /// How it is.
    pub outcome: Outcome,
    /// Milliseconds that it took to answer, where it was asked.
    pub ms: Option<u64>,
    /// What was found, in words.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    fn new(area: Area, name: impl Into<String>, outcome: Outcome, message: impl Into<String>) -> Self {
        Self { area, name: name.into(), outcome, ms: None, message: message.into(), hint: None }
    }

    fn took(self, took: Duration) -> Self {
        Self { ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Looks at everything, and is done within 20 s. In the order of a login: doors, names, directories, providers, mail, audit, and what is true of files and times.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let mut running = Vec::new();
    for name in dns::names(config) {
        running.push(Running::start(Area::Dns, &name.clone(), dns::name(name)));
    }
    for settings in &config.directories {
        let questions = Questions { guards: lockout::guards(config, &settings.name), wanted: names::wanted(config, settings) };
        let probing = directories::directory(settings.clone(), questions, Arc::clone(&clock));
        running.push(Running::start(Area::Directory, &settings.name, probing));
    }
    for settings in &config.upstreams {
        for settings in std::iter::once(&settings.login).chain(&settings.accounting) {
            running.push(Running::start(Area::Upstream, &settings.name, servers::upstream(settings.clone())));
        }
    }
    for (domain, settings) in &config.winbinds {
        running.push(Running::start(Area::Winbind, domain, servers::winbind(domain.clone(), settings.clone())));
    }
    // What is asked is about no account, so the store need not be the one on disk.
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    for settings in &config.providers {
        let provider = rooms::provider(config, settings, &store, &clock);
        let probing = servers::provider(settings.name().to_owned(), provider, Arc::clone(&clock));
        running.push(Running::start(Area::Provider, settings.name(), probing));
    }
    if let Some(mail) = &config.mail {
        running.push(Running::start(Area::Mail, &mail.settings.host, servers::mail(mail.settings.clone())));
    }
    for receiver in &config.audit.receivers {
        running.push(Running::start(Area::Audit, receiver.name(), servers::receiver(receiver.clone())));
    }
    let mut findings = listeners::listeners(config);
    for running in running {
        findings.extend(running.done().await);
    }
    findings.extend(files::certificates(config, clock.now()));
    findings.extend(files::secrets(config));
    findings.extend(files::exemptions(config, clock.now()));
    findings.extend(chain::chains(config));
    findings
}

/// Of all who wait for us the one with the least time to spare, and for what; nobody where nobody does.
#[must_use]
pub fn weakest_link(config: &Config) -> Option<String> {
    chain::weakest(config)
}

/// How many findings came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Well.
    pub ok: usize,
    /// Nobody could look.
    pub skipped: usize,
    /// It works, and something about it will hurt.
    pub warning: usize,
    /// Logins that need it fail.
    pub failed: usize,
}

impl Tally {
    /// Counts.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        let count = |outcome| findings.iter().filter(|finding| finding.outcome == outcome).count();
        Self { ok: count(Outcome::Ok), skipped: count(Outcome::Skipped), warning: count(Outcome::Warning), failed: count(Outcome::Failed) }
    }
}

/// A probe under way beside the others.
struct Running {
    area: Area,
    name: String,
    task: JoinHandle<Vec<Finding>>,
}

impl Running {
    fn start(area: Area, name: &str, probing: impl Future<Output = Vec<Finding>> + Send + 'static) -> Self {
        let late = Finding::new(area, name, Outcome::Failed, format!("no answer within {} s", PROBE_MAX.as_secs()));
        let task = tokio::spawn(async move { timeout(PROBE_MAX, probing).await.unwrap_or_else(|_| vec![late.took(PROBE_MAX)]) });
        Self { area, name: name.to_owned(), task }
    }

    async fn done(self) -> Vec<Finding> {
        self.task.await.unwrap_or_else(|_| vec![Finding::new(self.area, self.name, Outcome::Failed, "the probe broke off: this is a fault of ours")])
    }
}

/// One probe; the directories' own is shorter, and says more when it is over.
const PROBE_MAX: Duration = Duration::from_secs(18);
