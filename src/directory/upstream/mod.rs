//! The first factor of those who have RADIUS servers already (NPS, FreeRADIUS): requests are relayed to them, as RFC 2865 and RFC 5080 want it of a client.

mod board;
mod health;
mod post;
mod primary;
mod relay;
mod retry;
mod server;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod udp;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::Secret;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::upstream::Unsendable;

use self::health::Roll;
use self::target::Failure;
use self::target::Question;
use self::target::Target;

pub use self::primary::ByUpstream;
pub use self::primary::EapNames;
pub use self::server::Server;
pub use self::server::ServerError;
pub use self::server::Transport;
pub use super::stream::TlsError;

/// One `[upstream.NAME]`: servers that decide alike.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// In order of preference; at least one.
    pub servers: Vec<Server>,
    /// Shared with all of them. Inside TLS the secret is `radsec`, whatever this one is (RFC 6614 §2.3).
    pub secret: Secret,
    /// How long one server may take for one request, 100 ms..60 s.
    pub timeout: Duration,
    /// Transmissions of one request to one server over UDP, 1..10; more than six are never made (RFC 5080: MRC 5).
    pub tries: u32,
    /// Whether replies over UDP must carry a Message-Authenticator (CVE-2024-3596); anything but `Require` takes unsigned ones.
    pub integrity: Integrity,
    /// For servers over TLS: whom we trust there and who we are. Needed as soon as one is named.
    pub tls: Option<Tls>,
}

/// Both sides of mutual TLS.
#[derive(Debug)]
pub struct Tls {
    /// The certificate authorities that may vouch for the servers, PEM. Never the machine's own: those vouch for the whole world.
    pub ca_file: PathBuf,
    /// Our certificate and those between it and its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key of the first of them.
    pub private: PrivateKeyDer<'static>,
}

impl Clone for Tls {
    fn clone(&self) -> Self {
        Self { ca_file: self.ca_file.clone(), chain: self.chain.clone(), private: self.private.clone_key() }
    }
}

/// Why an upstream cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Our certificate and key are none, or not of each other.
    #[error("our certificate for the servers is of no use: {0}")]
    Identity(rustls::Error),
    /// Nobody to ask.
    #[error("servers names no server")]
    NoServer,
    /// A server over TLS, and nothing to make TLS with.
    #[error("a server over TLS needs ca_file, cert_file and key")]
    NoTls,
    /// Anybody could speak for the server.
    #[error("the shared secret is empty")]
    Secret,
    /// The authorities cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No login could pass, or none would ever end.
    #[error("timeout is from 100ms to 60s")]
    Timeout,
    /// Not 1 to 10.
    #[error("tries is from 1 to 10")]
    Tries,
}

/// RADIUS servers behind us. Its sockets, connections and tasks end with it.
pub struct Upstream {
    name: String,
    targets: Vec<Arc<Target>>,
    /// Bounds what is under way.
    places: Semaphore,
    watchers: OnceLock<Vec<Task>>,
}

impl Upstream {
    /// Reads the CA file; the network is not touched before the first request.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(settings: Settings) -> Result<Arc<Self>, OpenError> {
        if settings.servers.is_empty() {
            return Err(OpenError::NoServer);
        }
        if settings.secret.is_empty() {
            return Err(OpenError::Secret);
        }
        if !(TIMEOUT_MIN..=TIMEOUT_MAX).contains(&settings.timeout) {
            return Err(OpenError::Timeout);
        }
        if !(1..=TRIES_MAX).contains(&settings.tries) {
            return Err(OpenError::Tries);
        }
        let config = settings.tls.as_ref().map(tls::config).transpose()?;
        let roll = Roll::new(&settings.name, settings.servers.len());
        let targets = settings.servers.iter().enumerate().map(|(rank, server)| Target::new(rank, server, &settings, config.as_ref(), &roll).map(Arc::new));
        let targets = targets.collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { name: settings.name, targets, places: Semaphore::new(OUTSTANDING_MAX), watchers: OnceLock::new() }))
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks the servers in order of preference, those that are well, until one gives an authentic answer. `stay` is the [`Answer::server`] that a
    /// conversation began with: its State means nothing to any other. Each server has its own time; who has less drops the future.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, forward: &Forward, code: Code, stay: Option<usize>) -> Result<Answer, AskError> {
        let question = Question { forward, code };
        let _place = self.places.try_acquire().map_err(|_| AskError::Full)?;
        self.watchers.get_or_init(|| self.targets.iter().map(|target| Task::spawn(Arc::clone(target).watch())).collect());
        let mut last = AskError::Away;
        for (rank, target) in self.targets.iter().enumerate() {
            let is_asked = match stay {
                Some(stay) => rank == stay,
                None => target.admits(Instant::now(), self.another_is_well(rank)),
            };
            if !is_asked {
                continue;
            }
            match target.exchange(question).await {
                Ok(answer) if answer.code == Code::ProtocolError => last = AskError::Protocol,
                Ok(answer) => return Ok(answer),
                Err(Failure::Chance) => return Err(AskError::Fault),
                Err(Failure::Unsendable(why)) => return Err(AskError::Unsendable(why)),
                Err(Failure::Full) => last = AskError::Full,
                Err(Failure::Broken | Failure::Silent | Failure::Unreachable(_)) => last = AskError::Silent,
            }
        }
        Err(last)
    }

    /// Asks every server how it is by Status-Server (RFC 5997), all at once and beside all logins; done within 6 s.
    pub async fn probe(&self) -> Vec<Probed> {
        let mut asked = Vec::new();
        for target in &self.targets {
            let target = Arc::clone(target);
            asked.push(tokio::spawn(async move {
                let begun = Instant::now();
                let said = target.probe().await;
                Probed { server: target.label().to_owned(), took: begun.elapsed(), said }
            }));
        }
        let mut probed = Vec::new();
        for asked in asked {
            probed.extend(asked.await);
        }
        probed
    }

    fn another_is_well(&self, rank: usize) -> bool {
        self.targets.iter().enumerate().any(|(other, target)| other != rank && target.is_beyond_doubt())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What became of one server that was asked how it is.
#[derive(Debug)]
pub struct Probed {
    /// As it is written in the configuration.
    pub server: String,
    /// From the first packet to the answer.
    pub took: Duration,
    /// It answered, or why not.
    pub said: Result<(), ProbeError>,
}

/// Why a server did not say how it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It answers what we cannot take: `refusal` says why.
    #[error("it answers, but not so that we can believe it ({0})")]
    Unbelievable(&'static str),
    /// Nothing came: many servers (NPS) do not know Status-Server.
    #[error("no answer to Status-Server in time")]
    Silent,
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
}

/// What an upstream decided. Authentic: its seals were checked against what was asked.
#[derive(Debug)]
pub struct Answer {
    /// Accept, Challenge or Reject; of an Accounting-Request: Accounting-Response.
    pub code: Code,
    /// Who answered: with a challenge, whom to ask on.
    pub server: usize,
    /// The State to bring along with the answer to a challenge.
    pub state: Option<Secret>,
    /// All that it says about the person, and to the person.
    pub carried: Carried,
    /// Whom the server let in, by its own word: every User-Name there is, in order. `None`: one of them is not UTF-8, so nobody knows whom it means.
    pub user_names: Option<Vec<String>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No server is well.
    #[error("no RADIUS server is well")]
    Away,
    /// No randomness.
    #[error("the system has no randomness")]
    Fault,
    /// Too much is under way.
    #[error("too many requests are under way")]
    Full,
    /// The server cannot say in RADIUS what it wants to say (RFC 7930).
    #[error("the RADIUS server answered with Protocol-Error")]
    Protocol,
    /// Nobody answered in time.
    #[error("no RADIUS server answered in time")]
    Silent,
    /// The request does not fit.
    #[error("the request cannot be relayed: {0}")]
    Unsendable(Unsendable),
}

/// A task that ends when it is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Task {
    fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Requests under way at once.
const OUTSTANDING_MAX: usize = 65_536;
const TIMEOUT_MIN: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(60);
const TRIES_MAX: u32 = 10;
