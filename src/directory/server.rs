//! Which of a directory's servers is asked: the first that is well. One that fails is left alone until it answers again (O-21).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
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
use super::srv::Finder;
use super::srv::Srv;
use super::stream;

/// The servers of one directory.
#[derive(Debug)]
pub(super) struct Servers {
    directory: String,
    /// All that ever belonged to it, each for ever in its place.
    watched: Box<[OnceLock<Arc<Watched>>]>,
    /// The places of those that belong to it now, in order of preference.
    order: RwLock<Arc<[usize]>>,
    /// Who tells which do, where DNS does.
    finder: Option<Finder>,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
}

/// One server, and how it is.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its place among all that ever belonged to the directory.
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
    /// These, in order of preference. Nobody is asked yet.
    pub(super) fn new(directory: &str, servers: Vec<Server>, tls: Option<Arc<ClientConfig>>, within: Duration) -> Arc<Self> {
        let order = RwLock::new((0..servers.len()).collect());
        let watched = servers.into_iter().enumerate().map(|(rank, server)| OnceLock::from(Watched::new(rank, server))).collect();
        Arc::new(Self { directory: directory.to_owned(), watched, order, finder: None, tls, within })
    }

    /// Those that DNS names. Nobody is asked yet.
    pub(super) fn by_srv(directory: &str, srv: Srv, tls: Option<Arc<ClientConfig>>, within: Duration) -> Arc<Self> {
        let watched = std::iter::repeat_with(OnceLock::new).take(SEEN_MAX).collect();
        let finder = Some(Finder::new(srv, within));
        Arc::new(Self { directory: directory.to_owned(), watched, order: RwLock::default(), finder, tls, within })
    }

    /// Looks for the servers where DNS names them and it is time: before anybody can be asked when none is known, else aside.
    pub(super) async fn ready(self: &Arc<Self>) {
        let Some(finder) = &self.finder else { return };
        let is_due = || finder.is_due(self.in_order().next().is_none());
        if !is_due() {
            return;
        }
        if self.order().is_empty() {
            let _turn = finder.turn.lock().await;
            if is_due() {
                self.look(finder).await;
            }
        } else if let Ok(turn) = Arc::clone(&finder.turn).try_lock_owned() {
            let servers = Arc::clone(self);
            tokio::spawn(async move {
                if let Some(finder) = &servers.finder {
                    servers.look(finder).await;
                }
                drop(turn);
            });
        }
    }

    async fn look(&self, finder: &Finder) {
        if let Some(found) = finder.look(&self.directory, !self.order().is_empty()).await {
            self.settle(&found);
        }
    }

    /// Takes these for its servers, in this order.
    fn settle(&self, servers: &[Server]) {
        let order: Arc<[usize]> = servers.iter().filter_map(|server| self.place(server)).collect();
        let before = std::mem::replace(&mut *self.order.write().unwrap_or_else(PoisonError::into_inner), Arc::clone(&order));
        if order.len() != before.len() || order.iter().any(|rank| !before.contains(rank)) {
            let labels: Vec<&str> = self.ranked(Arc::clone(&order)).map(|watched| watched.label.as_str()).collect();
            info!(directory = self.directory, servers = labels.join(" "), "these are the servers of the domain now");
        }
    }

    /// Where it stands; `None`: too many have been seen.
    fn place(&self, server: &Server) -> Option<usize> {
        let taken =
            |(rank, place): (usize, &OnceLock<Arc<Watched>>)| (place.get_or_init(|| Watched::new(rank, server.clone())).server == *server).then_some(rank);
        let found = self.watched.iter().enumerate().find_map(taken);
        if found.is_none() {
            warn!(directory = self.directory, server = %server, "too many servers have come and gone: this one is left out until a reload");
        }
        found
    }

    /// Those that may be asked, in order of preference.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &Arc<Watched>> {
        self.ranked(self.order()).filter(|watched| watched.may_be_asked())
    }

    fn ranked(&self, order: Arc<[usize]>) -> impl Iterator<Item = &Arc<Watched>> {
        (0..order.len()).filter_map(move |at| self.of_rank(*order.get(at)?))
    }

    fn order(&self) -> Arc<[usize]> {
        Arc::clone(&self.order.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one of that rank.
    pub(super) fn of_rank(&self, rank: usize) -> Option<&Arc<Watched>> {
        self.watched.get(rank)?.get()
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
                if !servers.order().contains(&watched.rank) {
                    *watched.health() = Health::Unknown;
                    return;
                }
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
    fn new(rank: usize, server: Server) -> Arc<Self> {
        Arc::new(Self { rank, label: server.to_string(), server, health: Mutex::new(Health::Unknown) })
    }

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
/// Servers that DNS has ever named for one directory.
const SEEN_MAX: usize = 256;
const PROBE_FIRST: Duration = Duration::from_millis(500);
/// With the time a probe may take, a server that is back is used again within 30 s.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(15);
