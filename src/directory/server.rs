//! Which of a directory's servers is asked: the first that is well. One that fails is left alone until it answers again (O-21).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
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
    /// Those that belong to it now, in order of preference.
    order: RwLock<Arc<[Arc<Watched>]>>,
    /// Of the next one that DNS names and nobody has seen before.
    rank_next: AtomicUsize,
    /// Who tells which do, where DNS does.
    finder: Option<Finder>,
    tls: Option<Arc<ClientConfig>>,
    within: Duration,
}

/// One server, and how it is.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its number among all that ever belonged to the directory; given once.
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
        let rank_next = AtomicUsize::new(servers.len());
        let order = RwLock::new(servers.into_iter().enumerate().map(|(rank, server)| Watched::new(rank, server)).collect());
        Arc::new(Self { directory: directory.to_owned(), order, rank_next, finder: None, tls, within })
    }

    /// Those that DNS names. Nobody is asked yet.
    pub(super) fn by_srv(directory: &str, srv: Srv, tls: Option<Arc<ClientConfig>>, within: Duration) -> Arc<Self> {
        let finder = Some(Finder::new(srv, within));
        let (order, rank_next) = (RwLock::default(), AtomicUsize::new(0));
        Arc::new(Self { directory: directory.to_owned(), order, rank_next, finder, tls, within })
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

    /// Takes these for its servers, in this order. An answer that names nobody whom we know to be well may be forged: those who are well stay, behind it.
    fn settle(&self, servers: &[Server]) {
        let before = self.order();
        let known = |server: &Server| before.iter().find(|watched| watched.server == *server).map(Arc::clone);
        let named: Vec<_> = servers.iter().map(|server| known(server).unwrap_or_else(|| Watched::new(self.rank(), server.clone()))).collect();
        let is_trusted = named.iter().any(|watched| watched.is_well());
        let kept = before.iter().filter(|watched| !is_trusted && watched.is_well()).take(KEPT_MAX).map(Arc::clone);
        let order: Arc<[Arc<Watched>]> = named.into_iter().chain(kept).collect();
        let is_news = order.len() != before.len() || order.iter().any(|watched| known(&watched.server).is_none());
        if is_news {
            let labels: Vec<&str> = order.iter().map(|watched| watched.label.as_str()).collect();
            info!(directory = self.directory, servers = labels.join(" "), "these are the servers of the domain now");
        }
        *self.order.write().unwrap_or_else(PoisonError::into_inner) = order;
    }

    fn rank(&self) -> usize {
        self.rank_next.fetch_add(1, Ordering::Relaxed)
    }

    /// Those that may be asked, in order of preference.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Arc<Watched>> + use<> {
        let order = self.order();
        (0..order.len()).filter_map(move |at| order.get(at).map(Arc::clone)).filter(|watched| watched.may_be_asked())
    }

    fn order(&self) -> Arc<[Arc<Watched>]> {
        Arc::clone(&self.order.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The one of that rank, if it still belongs to the directory.
    pub(super) fn of_rank(&self, rank: usize) -> Option<Arc<Watched>> {
        self.order().iter().find(|watched| watched.rank == rank).map(Arc::clone)
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
            self.tell(watched, true, true);
        }
    }

    /// It did not: nobody asks it until it has answered our own question.
    pub(super) fn failed(self: &Arc<Self>, watched: &Arc<Watched>, why: &dyn Display) {
        let before = std::mem::replace(&mut *watched.health(), Health::Down);
        if before == Health::Down {
            return;
        }
        warn!(directory = self.directory, server = watched.label, error = %why, "directory server is not well: left out until it answers again");
        // Whoever forges DNS can name ever new servers: one that was never well has no gauge of its own.
        self.tell(watched, false, before == Health::Well || self.finder.is_none());
        let (weak, watched) = (Arc::downgrade(self), Arc::clone(watched));
        tokio::spawn(async move {
            let mut pause = PROBE_FIRST;
            loop {
                sleep(pause).await;
                // Gone with the configuration it belonged to.
                let Some(servers) = weak.upgrade() else { return };
                if servers.of_rank(watched.rank).is_none() {
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
        self.tell(watched, true, true);
    }

    /// Whether it answers a question that everybody may ask.
    async fn probe(&self, watched: &Watched) -> bool {
        let question =
            Question { base: "".into(), scope: Scope::Base, filter: Filter::Present("objectClass"), attributes: &["supportedLDAPVersion"], count_max: 2 };
        let asking = async { self.line(watched).await?.search(&question).await };
        // Whatever the result: a server may keep even this from strangers. Busy and unavailable are no answer.
        matches!(timeout(self.within, asking).await, Ok(Ok((_, answer))) if !AWAY.contains(&answer.code))
    }

    fn tell(&self, watched: &Watched, well: bool, by_name: bool) {
        if by_name {
            metrics::healthy("directory", &format!("{} {}", self.directory, watched.label), well);
        }
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

    fn is_well(&self) -> bool {
        *self.health() == Health::Well
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// busy, unavailable.
pub(super) const AWAY: [u32; 2] = [51, 52];
/// Servers that stay where DNS names none of them any more.
const KEPT_MAX: usize = 32;
const PROBE_FIRST: Duration = Duration::from_millis(500);
/// With the time a probe may take, a server that is back is used again within 30 s.
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn named(hosts: impl IntoIterator<Item = String>) -> Vec<Server> {
        hosts.into_iter().map(|host| format!("ldaps://{host}").parse().unwrap()).collect()
    }

    fn labels(servers: &Servers) -> Vec<String> {
        servers.in_order().map(|watched| watched.label.replace("ldaps://", "").replace(":636", "")).collect()
    }

    fn by_dns() -> Arc<Servers> {
        Servers::by_srv("corp", Srv { domain: "corp.example".to_owned(), security: super::super::Security::Tls, resolver: None }, None, Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn l_087_an_answer_that_names_nobody_known_leaves_those_who_are_well() {
        let servers = by_dns();
        servers.settle(&named(["dc1.corp.example".to_owned(), "dc2.corp.example".to_owned()]));
        let [first, second] = [0, 1].map(|rank| servers.of_rank(rank).unwrap());
        servers.worked(&first);
        servers.worked(&second);
        servers.failed(&second, &"silent");
        for round in 0..100 {
            let forged: Vec<_> = (0..32).map(|at| format!("ws{round}-{at}.corp.example")).collect();
            servers.settle(&named(forged.clone()));
            assert_eq!(labels(&servers), [forged, vec!["dc1.corp.example".to_owned()]].concat());
        }
        assert!(Arc::ptr_eq(&servers.of_rank(first.rank).unwrap(), &first), "with its health and its connections");
        // As many have come and gone as would have filled any table; a new one has its place all the same, and one that DNS names beside a known one is alone with it.
        servers.settle(&named(["dc3.corp.example".to_owned(), "dc1.corp.example".to_owned()]));
        assert_eq!(labels(&servers), ["dc3.corp.example", "dc1.corp.example"]);
        assert!(servers.of_rank(second.rank).is_none());
        servers.settle(&named(["dc1.corp.example".to_owned()]));
        assert_eq!(labels(&servers), ["dc1.corp.example"], "what DNS no longer names goes, where it still names one that is known");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_of_a_server_that_is_gone_blames_no_other() {
        let servers = by_dns();
        servers.settle(&named(["dc1.corp.example".to_owned()]));
        servers.settle(&named(["dc2.corp.example".to_owned()]));
        assert!(servers.of_rank(0).is_none());
        assert_eq!(servers.of_rank(1).map(|watched| watched.label.clone()).as_deref(), Some("ldaps://dc2.corp.example:636"));
    }
}
