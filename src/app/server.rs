//! The server: every door over the rooms behind it, exchanged as a whole on reload.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::config::Config;
use super::config::LdapListen;
use super::config::Limits;
use super::config::RadiusListen;
use super::log::Dial;
use super::monitor::Monitoring;
use super::rooms::RoomError;
use super::rooms::Rooms;
use super::systemd::Sites;
use crate::audit::Trail;
use crate::directory::BINDS_MAX;
use crate::engine;
use crate::engine::Engine;
use crate::front::http;
use crate::front::ldap;
use crate::front::monitor;
use crate::front::radius;
use crate::mail::Smtp;
use crate::mail::alerts::Post;
use crate::ports::Clock;
use crate::ports::Store;
use crate::ports::audit::Anchor;
use crate::ports::keep::Keep;
use crate::ports::log::LogLevel;
use crate::provider::http::ASKING_MAX;
use crate::provider::ledger::Ledgers;
use crate::store;

/// Files kept for logs, store and listeners.
const FILES_KEPT: usize = 192;

/// How the process is watched; a server inside another program may have neither.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// What is counted.
    pub counters: Option<PrometheusHandle>,
    /// How much is logged.
    pub dial: Option<Arc<Dial>>,
}

/// The running server.
#[derive(Debug)]
pub struct Server {
    store: Arc<dyn Store>,
    keep: Arc<dyn Keep>,
    clock: Arc<dyn Clock>,
    engine: Arc<Engine>,
    alerts: Arc<Post>,
    /// What was sent today, whatever the configuration becomes.
    ledgers: Ledgers,
    sessions: radius::Sessions,
    watched: Watched,
    config: Config,
    sites: Sites,
    admin: AdminDoor,
    reloads: mpsc::Receiver<http::Reload>,
    admin_rooms: watch::Sender<Arc<http::Rooms>>,
    radius: Vec<RadiusDoor>,
    radius_settings: watch::Sender<Arc<radius::Settings>>,
    census: radius::Census,
    ldap: Vec<LdapDoor>,
    /// The accounts that LDAP listeners name.
    roll: ldap::Roll,
    monitoring: Monitoring,
}

#[derive(Debug)]
struct RadiusDoor {
    /// As configured; port 0 stays port 0.
    wanted: SocketAddr,
    accounting: bool,
    /// Exchanged when certificates change.
    tls: Option<watch::Sender<Arc<radius::TlsSettings>>>,
    door: radius::Door,
}

#[derive(Debug)]
struct LdapDoor {
    name: String,
    wanted: SocketAddr,
    settings: watch::Sender<Arc<ldap::Settings>>,
    door: ldap::Door,
}

/// Which doors are open: the ready line. A door that is not configured is `null` or empty, never missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// True.
    pub ready: bool,
    /// RADIUS listeners in the order of the configuration.
    pub radius: Vec<SocketAddr>,
    /// RADIUS accounting listeners in the order of the configuration.
    pub radius_accounting: Vec<SocketAddr>,
    /// LDAP listeners in the order of the configuration.
    pub ldap: Vec<SocketAddr>,
    /// The portal's address.
    pub portal: Option<String>,
    /// The admin socket.
    pub admin: PathBuf,
    /// The metrics listener.
    pub metrics: Option<SocketAddr>,
}

/// Why the server could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The admin socket cannot be opened.
    #[error("admin.socket {}: {error}", path.display())]
    Admin {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The audit cannot be written.
    #[error("audit.folder {}: {error}", folder.display())]
    Audit {
        /// Where.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A listener cannot be opened.
    #[error("{kind} {address}: {error}")]
    Listen {
        /// Its section in the configuration.
        kind: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The machine has no randomness to give.
    #[error("the machine has no randomness to give: {0}")]
    Random(#[from] getrandom::Error),
    /// A room cannot be built.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// What was asked needs a restart.
    #[error("{0} cannot change while the server runs: restart it")]
    Restart(&'static str),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] store::OpenError),
}

impl ServerError {
    /// What to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Listen { kind, error, .. } => listen_hint(kind, error.kind()),
            Self::Admin { path, error } if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path).display();
                format!("its folder is not there: RuntimeDirectory=vestibule in the unit makes it; by hand type: install -d -m 750 {folder}")
            }
            _ => String::new(),
        }
    }
}

fn listen_hint(kind: &str, error: ErrorKind) -> String {
    let listing = if kind == "radius.listen" { "ss -lunp" } else { "ss -ltnp" };
    match error {
        ErrorKind::AddrInUse => format!("who has it? type: {listing}"),
        ErrorKind::AddrNotAvailable => "that is not an address of this machine: `ip address` lists them".to_owned(),
        ErrorKind::PermissionDenied => "ports below 1024 are opened by systemd: `systemctl cat vestibule.socket` says how; by hand run this as root".to_owned(),
        _ => String::new(),
    }
}

impl Server {
    /// Opens the store, builds every room and opens every door, in this order.
    ///
    /// # Errors
    /// The first thing that could not be opened; nothing stays open then.
    pub async fn open(config: Config, clock: Arc<dyn Clock>, watched: Watched, sites: Sites) -> Result<Self, ServerError> {
        sites_that_wait(&sites, &config);
        // Blocks on the disk, before any door is open.
        let vault = store::open(&config.store)?;
        let keep: Arc<dyn Keep> = Arc::new(store::Keeper::new(Arc::clone(&vault)));
        let store: Arc<dyn Store> = vault;
        let ledgers = Ledgers::default();
        let rooms = Rooms::build(&config, &store, &clock, &ledgers)?;
        let engine = Engine::new(Arc::clone(&store), Arc::clone(&clock), engine_limits(&config.limits))?;
        engine.equip(rooms.providers.clone());
        let audit = config.audit.clone();
        let audit =
            Trail::open(audit, Arc::new(AuditEnd(Arc::clone(&store)))).map_err(|error| ServerError::Audit { folder: config.audit.folder.clone(), error })?;
        engine.report_to(Arc::new(audit));
        let alerts = Arc::new(Post::open());
        alerts.read_by(rooms.readers.clone());
        engine.alert(Arc::<Post>::clone(&alerts));
        let sessions = radius::Sessions::new(Arc::clone(&clock));
        let behind = radius::Behind { engine: Arc::clone(&engine), sessions: sessions.clone() };

        let census = radius::Census::new();
        let (radius_settings, _) = watch::channel(Arc::new(rooms.radius(&config, &census)?));
        let mut radius = Vec::new();
        for listen in &config.radius_listen {
            radius.push(RadiusDoor::open(listen, &sites, &radius_settings, &behind)?);
        }
        let connections_max = connections_max(&config);
        let roll = ldap::Roll::default();
        let mut ldap = Vec::new();
        for listen in &config.ldap_listen {
            ldap.push(LdapDoor::open(listen, &sites, rooms.ldap(&config, listen, connections_max, &roll)?, &engine).await?);
        }
        let admin_rooms = http::Rooms {
            ldap: ldap.iter().map(|open| Arc::clone(&open.settings.borrow())).collect(),
            node: config.name.clone(),
            keep: Some(Arc::clone(&keep)),
            ..behind_admin(&rooms, &store, &clock, &watched, &behind, &radius_settings.borrow())
        };
        let (admin_rooms, admin_seen) = watch::channel(Arc::new(admin_rooms));
        let (wishes, reloads) = mpsc::channel(1);
        let admin = AdminDoor::open(&config, admin_seen, wishes)?;
        let monitoring = Monitoring::open(&config, view(&config, &rooms, &engine, watched.counters.as_ref()), clock.now())?;
        Ok(Self {
            store,
            keep,
            clock,
            engine,
            alerts,
            ledgers,
            sessions,
            watched,
            config,
            sites,
            admin,
            reloads,
            admin_rooms,
            radius,
            radius_settings,
            census,
            ldap,
            roll,
            monitoring,
        })
    }

    /// Which doors are open.
    #[must_use]
    pub fn ready(&self) -> Ready {
        Ready {
            ready: true,
            radius: self.radius.iter().filter(|open| !open.accounting).map(|open| open.door.address()).collect(),
            radius_accounting: self.radius.iter().filter(|open| open.accounting).map(|open| open.door.address()).collect(),
            ldap: self.ldap.iter().map(|open| open.door.address()).collect(),
            portal: None,
            admin: self.config.admin.socket.clone(),
            metrics: self.monitoring.address(),
        }
    }

    /// Logins under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.engine.running()
    }

    /// Waits until an administrator wants the configuration to be read anew; for ever where the desk is closed.
    pub async fn wished(&mut self) -> http::Reload {
        match self.reloads.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }

    /// Takes another configuration: all of it, or nothing of it. Logins under way finish by the old one.
    ///
    /// # Errors
    /// What keeps it from being taken; then nothing has changed.
    pub async fn reload(&mut self, config: Config) -> Result<(), ServerError> {
        self.may_change(&config)?;
        let rooms = Rooms::build(&config, &self.store, &self.clock, &self.ledgers)?;
        let radius_settings = Arc::new(rooms.radius(&config, &self.census)?);
        let connections_max = connections_max(&config);
        let ldap_settings = |listen: &LdapListen| rooms.ldap(&config, listen, connections_max, &self.roll).map(Arc::new);
        let ldap_settings = config.ldap_listen.iter().map(ldap_settings).collect::<Result<Vec<_>, _>>()?;

        // New doors open before anything old is touched: what can fail has failed by here.
        let behind = radius::Behind { engine: Arc::clone(&self.engine), sessions: self.sessions.clone() };
        let mut radius = Vec::new();
        for listen in without_door(&self.radius, &config.radius_listen, RadiusDoor::is_at) {
            radius.push(RadiusDoor::open(listen, &self.sites, &self.radius_settings, &behind)?);
        }
        let mut ldap = Vec::new();
        for listen in without_door(&self.ldap, &config.ldap_listen, LdapDoor::is_of) {
            ldap.push(LdapDoor::open(listen, &self.sites, rooms.ldap(&config, listen, connections_max, &self.roll)?, &self.engine).await?);
        }
        let metrics = self.monitoring.prepare(&config)?;

        self.engine.equip(rooms.providers.clone());
        self.alerts.read_by(rooms.readers.clone());
        self.monitoring.settle(&config, metrics, view(&config, &rooms, &self.engine, self.watched.counters.as_ref()));
        self.census.keep(&radius_settings.clients);
        let admin_rooms = http::Rooms {
            ldap: ldap_settings.clone(),
            node: config.name.clone(),
            keep: Some(Arc::clone(&self.keep)),
            ..behind_admin(&rooms, &self.store, &self.clock, &self.watched, &behind, &radius_settings)
        };
        self.radius_settings.send_replace(radius_settings);
        self.admin_rooms.send_replace(Arc::new(admin_rooms));
        self.radius.append(&mut radius);
        for gone in settle(&mut self.radius, &config.radius_listen, RadiusDoor::is_at) {
            tokio::spawn(gone.door.drain(config.limits.login_deadline));
        }
        self.ldap.append(&mut ldap);
        for gone in settle(&mut self.ldap, &config.ldap_listen, LdapDoor::is_of) {
            tokio::spawn(gone.door.drain(config.limits.login_deadline));
        }
        // As many doors as listeners, in their order.
        for (open, listen) in self.radius.iter().zip(&config.radius_listen) {
            if let (Some(tls), Some(settings)) = (&open.tls, &listen.tls) {
                tls.send_replace(Arc::new(settings.clone()));
            }
        }
        for (open, settings) in self.ldap.iter().zip(ldap_settings) {
            open.settings.send_replace(settings);
        }
        self.roll.sweep();
        if let Some(dial) = &self.watched.dial {
            dial.configure(config.log.level);
        }
        sites_that_wait(&self.sites, &config);
        self.config = config;
        Ok(())
    }

    /// What lies under everything stays until a restart.
    fn may_change(&self, config: &Config) -> Result<(), ServerError> {
        let old = &self.config;
        if old.time_zone != config.time_zone {
            return Err(ServerError::Restart("node.time_zone"));
        }
        if old.store.data_dir != config.store.data_dir {
            return Err(ServerError::Restart("node.data_dir"));
        }
        if old.store.master_key != config.store.master_key {
            return Err(ServerError::Restart("node.master_key"));
        }
        if old.admin != config.admin {
            return Err(ServerError::Restart("[admin]"));
        }
        if old.audit != config.audit {
            return Err(ServerError::Restart("[audit]"));
        }
        if old.log.format != config.log.format {
            return Err(ServerError::Restart("log.format"));
        }
        if engine_limits(&old.limits) != engine_limits(&config.limits) {
            return Err(ServerError::Restart("limits.radius_inflight_max or limits.challenge_keep"));
        }
        Ok(())
    }

    /// Takes no new logins, waits for those under way, at most for `limits.login_deadline`, and closes every door.
    pub async fn drain(self) {
        self.monitoring.closing();
        drop(self.reloads); // Whoever waits for one hears at once that there is none.
        let within = self.config.limits.login_deadline;
        let mut doors = tokio::task::JoinSet::new();
        for open in self.radius {
            doors.spawn(open.door.drain(within));
        }
        for open in self.ldap {
            doors.spawn(open.door.drain(within));
        }
        doors.join_all().await;
        self.admin.close().await;
    }
}

/// The admin socket and how to end it.
#[derive(Debug)]
struct AdminDoor {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl AdminDoor {
    fn open(config: &Config, rooms: watch::Receiver<Arc<http::Rooms>>, reloads: http::Reloads) -> Result<Self, ServerError> {
        let settings = http::Settings { socket: config.admin.socket.clone(), group: config.admin.group.clone() };
        let admin = http::Admin::open(settings, rooms, reloads).map_err(|error| ServerError::Admin { path: config.admin.socket.clone(), error })?;
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let ended = admin.run(async { stopped.await.unwrap_or_default() }).await;
            if let Err(error) = ended {
                tracing::error!(%error, "the admin socket is closed");
            }
        });
        Ok(Self { stop, task })
    }

    async fn close(self) {
        // Sent or not: a receiver that is gone has ended already.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

impl RadiusDoor {
    fn open(listen: &RadiusListen, sites: &Sites, settings: &watch::Sender<Arc<radius::Settings>>, behind: &radius::Behind) -> Result<Self, ServerError> {
        let (wanted, settings, behind) = (listen.address, settings.subscribe(), behind.clone());
        let tls = listen.tls.as_ref().map(|tls| watch::channel(Arc::new(tls.clone())));
        let kind = if tls.is_some() { "radius.listen (tls)" } else { "radius.listen" };
        let refused = |error| ServerError::Listen { kind, address: wanted, error };
        let site = sites.site(wanted, tls.is_none()).map_err(refused)?;
        let (tls, door) = match tls {
            Some((tls, seen)) => (Some(tls), radius::Door::open_tls(site, settings, seen, behind)),
            None if listen.accounting => (None, radius::Door::open_accounting(site, settings, behind)),
            None => (None, radius::Door::open(site, settings, behind)),
        };
        let door = door.map_err(refused)?;
        Ok(Self { wanted, accounting: listen.accounting, tls, door })
    }

    fn is_at(&self, listen: &RadiusListen) -> bool {
        self.wanted == listen.address && self.accounting == listen.accounting && self.tls.is_some() == listen.tls.is_some()
    }
}

impl LdapDoor {
    async fn open(listen: &LdapListen, sites: &Sites, settings: ldap::Settings, engine: &Arc<Engine>) -> Result<Self, ServerError> {
        let (settings, seen) = watch::channel(Arc::new(settings));
        let refused = |error| ServerError::Listen { kind: "ldap.listen", address: listen.address, error };
        let site = sites.site(listen.address, false).map_err(refused)?;
        let door = ldap::Door::open(site, seen, Arc::clone(engine)).await.map_err(refused)?;
        Ok(Self { name: listen.name.clone(), wanted: listen.address, settings, door })
    }

    /// An address says which listener it is, whatever its name has become; port 0 says nothing, so there the name does.
    fn is_of(&self, listen: &LdapListen) -> bool {
        self.wanted == listen.address && (self.wanted.port() != 0 || self.name == listen.name)
    }
}

/// Whoever connects to a socket that was handed to us and that no listener is for, waits in vain.
fn sites_that_wait(sites: &Sites, config: &Config) {
    let radius = config.radius_listen.iter().map(|listen| (listen.address, listen.tls.is_none()));
    let listeners: Vec<_> = radius.chain(config.ldap_listen.iter().map(|listen| (listen.address, false))).collect();
    for address in sites.unclaimed(&listeners) {
        tracing::warn!(%address, "systemd hands over this socket, and no listener has exactly this address: change the .socket unit or the configuration");
    }
}

/// The store, which remembers how far the audit went.
#[derive(Debug)]
struct AuditEnd(Arc<dyn Store>);

impl Anchor for AuditEnd {
    fn told(&self) -> u64 {
        self.0.audit_end()
    }

    fn tell(&self, seq: u64) {
        self.0.keep_audit_end(seq);
    }
}

/// What is wanted and has no door yet. A door answers one wish: who wants port 0 twice wants two.
fn without_door<'w, D, W>(doors: &[D], wanted: &'w [W], fits: impl Fn(&D, &W) -> bool) -> Vec<&'w W> {
    let mut free: Vec<&D> = doors.iter().collect();
    let met = |wish: &W, free: &mut Vec<&D>| free.iter().position(|door| fits(door, wish)).map(|at| free.remove(at)).is_some();
    wanted.iter().filter(|wish| !met(wish, &mut free)).collect()
}

/// Puts doors in the order wanted, one a wish, and gives back those that nobody wants any more.
fn settle<D, W>(doors: &mut Vec<D>, wanted: &[W], fits: impl Fn(&D, &W) -> bool) -> Vec<D> {
    let mut rest = std::mem::take(doors);
    for wish in wanted {
        doors.extend(rest.iter().position(|door| fits(door, wish)).map(|at| rest.remove(at)));
    }
    rest
}

fn behind_admin(
    rooms: &Rooms,
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    watched: &Watched,
    behind: &radius::Behind,
    radius: &Arc<radius::Settings>,
) -> http::Rooms {
    http::Rooms {
        store: Arc::clone(store),
        clock: Arc::clone(clock),
        directories: rooms.directories.values().map(Arc::clone).collect(),
        sessions: behind.sessions.clone(),
        metrics: watched.counters.clone(),
        log: watched.dial.clone().map(|dial| dial as Arc<dyn LogLevel>),
        engine: Arc::clone(&behind.engine),
        numbers: rooms.numbers,
        pin: rooms.pin,
        radius: Arc::clone(radius),
        ldap: Vec::new(),
        node: String::new(),
        keep: None,
    }
}

fn view(config: &Config, rooms: &Rooms, engine: &Arc<Engine>, counters: Option<&PrometheusHandle>) -> monitor::View {
    monitor::View {
        networks: config.metrics.as_ref().map(|metrics| metrics.networks.clone()).unwrap_or_default(),
        counters: counters.cloned(),
        engine: Arc::clone(engine),
        directories: rooms.directories.values().map(Arc::clone).collect(),
        upstreams: config.upstreams.iter().map(|upstream| upstream.login.name.clone()).collect(),
        data_dir: config.store.data_dir.clone(),
        is_closing: false,
    }
}

fn engine_limits(limits: &Limits) -> engine::Limits {
    engine::Limits { logins_max: limits.radius_inflight_max, parked_max: limits.radius_inflight_max, challenge_keep: limits.challenge_keep }
}

/// Two descriptors a connection: as many as there are, at most as many as configured.
fn connections_max(config: &Config) -> usize {
    let limits = &config.limits;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return limits.ldap_connections_max };
    let files = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    let room = room(usize::try_from(files).unwrap_or(usize::MAX), files_kept(config));
    if room < limits.ldap_connections_max {
        tracing::warn!(room, wanted = limits.ldap_connections_max, "fewer LDAP connections than limits.ldap_connections_max: raise LimitNOFILE");
    }
    limits.ldap_connections_max.min(room)
}

/// What LDAP connections must not take from the others, at whose want a login would fail for no reason of its own.
fn files_kept(config: &Config) -> usize {
    let directories = config.directories.iter().map(|directory| directory.pool_max.saturating_mul(2).saturating_add(BINDS_MAX));
    // A pipe each way, and one for complaints.
    let winbinds = config.winbinds.values().map(|winbind| winbind.helpers_max.saturating_mul(3));
    // As many look at an answer as may ask.
    let providers = config.providers.iter().filter(|provider| provider.timeout().is_some()).map(|_| ASKING_MAX.saturating_mul(2));
    let letters = config.mail.iter().map(|_| Smtp::TURNS_MAX.saturating_mul(2));
    let radius = config.radius_listen.iter().filter_map(|listen| Some(listen.tls.as_ref()?.connections_max));
    directories.chain(winbinds).chain(providers).chain(letters).chain(radius).fold(FILES_KEPT, usize::saturating_add)
}

/// Of so few descriptors that not all are to be had at once LDAP gets half.
fn room(files: usize, kept: usize) -> usize {
    (files.saturating_sub(kept.min(files / 2)) / 2).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldap_connections_leave_descriptors_to_all_others() {
        assert_eq!([room(524_288, 3_000), room(10_000, 3_000), room(1_024, 3_000), room(1, 3_000)], [260_644, 3_500, 256, 1]);
    }

    /// Which door, and what it was opened for.
    type Door = (u8, char);

    fn after_reload(mut doors: Vec<Door>, wanted: &[char]) -> (Vec<Door>, Vec<Door>) {
        let fits = |door: &Door, wish: &char| door.1 == *wish;
        let opened: Vec<Door> = without_door(&doors, wanted, fits).into_iter().zip(9..).map(|(wish, number)| (number, *wish)).collect();
        doors.extend(opened);
        let gone = settle(&mut doors, wanted, fits);
        (doors, gone)
    }

    #[test]
    fn doors_follow_the_order_of_the_file_and_each_wish_has_one() {
        let open = vec![(1, 'a'), (2, 'b')];
        assert_eq!(after_reload(open.clone(), &['b', 'a']), (vec![(2, 'b'), (1, 'a')], vec![]));
        assert_eq!(after_reload(open.clone(), &['c', 'b']), (vec![(9, 'c'), (2, 'b')], vec![(1, 'a')]));
        assert_eq!(after_reload(open, &[]), (vec![], vec![(1, 'a'), (2, 'b')]));
    }

    #[test]
    fn two_listeners_at_the_same_port_0_are_two_doors() {
        assert_eq!(after_reload(vec![(1, 'a')], &['a', 'a']), (vec![(1, 'a'), (9, 'a')], vec![]));
        assert_eq!(after_reload(vec![(1, 'a'), (2, 'a')], &['a']), (vec![(1, 'a')], vec![(2, 'a')]));
    }
}
