//! Which of a directory's servers is asked: the first that is well. One that fails is left alone until it answers again (O-21).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::time::sleep;
use tokio::time::timeout;
use tracing::info;
use tracing::warn;

use crate::metrics;
use crate::ports::Stream;
use crate::wire::ldap::Filter;
use crate::wire::ldap::Question;
use crate::wire::ldap::Scope;

use super::Server;
use super::line::Line;
use super::session::Broken;
use super::stream;

/// The servers of one directory.
#[derive(Debug)]
pub(super) struct Servers {
    directory: String,
    watched: Vec<Arc<Watched>>,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
}

/// One server, and how it is.
#[derive(Debug)]
pub(super) struct Watched {
    /// Position in the order of preference.
    pub(super) rank: usize,
    /// In log and metrics.
    pub(super) label: String,
    server: Server,
    health: Mutex<Health>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    /// Skipped, and asked from time to time whether it is back.
    Down,
    /// Nobody asked it yet.
    Unknown,
    Well,
}

impl Servers {
    /// Nobody is asked yet.
    pub(super) fn new(directory: &str, servers: Vec<Server>, tls: Option<Arc<ClientConfig>>, within: Duration) -> Arc<Self> {
        let watched = servers.into_iter().enumerate().map(|(rank, server)| {
            let label = server.to_string();
            Arc::new(Watched { rank, label, server, health: Mutex::new(Health::Unknown) })
        });
        Arc::new(Self { directory: directory.to_owned(), watched: watched.collect(), tls, within })
    }

    /// Those that may be asked, in order of preference.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Arc<Watched>> {
        self.watched.iter().filter(|watched| watched.may_be_asked())
    }

    /// The one of that rank.
    pub(super) fn of_rank(&self, rank: usize) -> Option<&Arc<Watched>> {
        self.watched.get(rank)
    }

    /// A fresh connection to this one.
    pub(super) async fn connect(&self, watched: &Watched) -> Result<Box<dyn Stream>, Broken> {
        let connecting = stream::connect(&watched.server, self.tls.as_ref(), self.within);
        timeout(self.within, connecting).await.map_err(|_| Broken::Timeout)?.map_err(Broken::Connect)
    }

    /// The same, for our own questions.
    pub(super) async fn line(&self, watched: &Watched) -> Result<Line, Broken> {
        self.connect(watched).await.map(Line::over)
    }

    /// It answered.
    pub(super) fn worked(&self, watched: &Watched) {
        let mut health = watched.health();
        if *health == Health::Unknown {
            *health = Health::Well;
            drop(health);
            self.tell(watched, true);
        }
    }

    /// It did not: nobody asks it until it has answered our own question.
    pub(super) fn failed(self: &Arc<Self>, watched: &Arc<Watched>, why: &dyn Display) {
        if std::mem::replace(&mut *watched.health(), Health::Down) == Health::Down {
            return;
        }
        warn!(directory = self.directory, server = watched.label, error = %why, "directory server is not well: left out until it answers again");
        self.tell(watched, false);
        let (weak, watched) = (Arc::downgrade(self), Arc::clone(watched));
        tokio::spawn(async move {
            let mut pause = PROBE_FIRST;
            loop {
                sleep(pause).await;
                // Gone with the configuration it belonged to.
                let Some(servers) = weak.upgrade() else { return };
                if servers.probe(&watched).await {
                    return servers.recovered(&watched);
                }
                pause = pause.saturating_mul(2).min(PROBE_PAUSE_MAX);
            }
        });
    }

    fn recovered(&self, watched: &Watched) {
        *watched.health() = Health::Well;
        info!(directory = self.directory, server = watched.label, "directory server is well again");
        self.tell(watched, true);
    }

    /// Whether it answers a question that everybody may ask.
    async fn probe(&self, watched: &Watched) -> bool {
        let question =
            Question { base: "".into(), scope: Scope::Base, filter: Filter::Present("objectClass"), attributes: &["supportedLDAPVersion"], count_max: 2 };
        let asking = async { self.line(watched).await?.search(&question).await };
        // Whatever the result: a server may keep even this from strangers. Busy and unavailable are no answer.
        matches!(timeout(self.within, asking).await, Ok(Ok((_, answer))) if !AWAY.contains(&answer.code))
    }

    fn tell(&self, watched: &Watched, well: bool) {
        metrics::healthy("directory", &format!("{} {}", self.directory, watched.label), well);
        metrics::healthy("directory", &self.directory, self.in_order().next().is_some());
    }
}

impl Watched {
    /// Whether it is not known to be away.
    pub(super) fn may_be_asked(&self) -> bool {
        *self.health() != Health::Down
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// busy, unavailable.
pub(super) const AWAY: [u32; 2] = [51, 52];
const PROBE_FIRST: Duration = Duration::from_millis(500);
/// With the time a probe may take, a server that is back is used again within 30 s.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(15);
