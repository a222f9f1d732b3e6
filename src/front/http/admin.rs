//! The administration desk: who may speak at it, for how long, and how a change is written and logged.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::extract::DefaultBodyLimit;
use axum::extract::Request;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::http::header;
use axum::middleware;
use axum::middleware::Next;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use nix::unistd::Group;
use nix::unistd::geteuid;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tracing::error;
use tracing::info;
use tracing::warn;

use super::accounts;
use super::audit;
use super::blocks;
use super::bypasses;
use super::clients;
use super::enrolments;
use super::exemptions;
use super::import;
use super::import::Imports;
use super::keep;
use super::keep::Backups;
use super::logging;
use super::object::Object;
use super::peer::Gate;
use super::peer::Operator;
use super::peer::Peer;
use super::pins;
use super::refusal::Refusal;
use super::reload;
use super::reload::Reloads;
use super::sessions;
use super::shapes::Status;
use super::shapes::moment;
use super::socket::Doorway;
use super::tokens;
use crate::domain::Account;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::Identity;
use crate::domain::Timestamp;
use crate::domain::phone::Numbers;
use crate::domain::pin::PinRules;
use crate::engine::Engine;
use crate::front::ldap;
use crate::front::monitor;
use crate::front::radius;
use crate::front::radius::Sessions;
use crate::ports::Clock;
use crate::ports::Directory;
use crate::ports::Store;
use crate::ports::keep::Keep;
use crate::ports::log::LogLevel;

/// Bytes of one request's body.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The longest a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// How long requests under way may still take once we are asked to stop.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the socket lies; nobody but the server's user may be able to replace it.
    pub socket: PathBuf,
    /// The group whose members may administrate; may be missing on this machine.
    pub group: String,
}

/// What administration works on; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The name of this server.
    pub node: String,
    /// Accounts and tokens.
    pub store: Arc<dyn Store>,
    /// The same store as a whole; `None` where it is none that lasts.
    pub keep: Option<Arc<dyn Keep>>,
    /// Now.
    pub clock: Arc<dyn Clock>,
    /// In the order of the configuration.
    pub directories: Vec<Arc<dyn Directory>>,
    /// Who is on, as RADIUS accounting tells.
    pub sessions: Sessions,
    /// What `/metrics` reads; `None` where nothing is counted.
    pub metrics: Option<PrometheusHandle>,
    /// How much is logged; `None` where there is nothing to turn.
    pub log: Option<Arc<dyn LogLevel>>,
    /// Runs dry runs.
    pub engine: Arc<Engine>,
    /// How telephone numbers without a country are read.
    pub numbers: Numbers,
    /// What PINs are like.
    pub pin: PinRules,
    /// The RADIUS clients, as the doors know them.
    pub radius: Arc<radius::Settings>,
    /// The LDAP listeners, in the order of the configuration.
    pub ldap: Vec<Arc<ldap::Settings>>,
}

/// The administration socket, open and answering once [`Admin::run`] is.
#[derive(Debug)]
pub struct Admin {
    doorway: Doorway,
    desk: Desk,
    socket: PathBuf,
}

impl Admin {
    /// Opens the socket; what connects before `run` waits. Wishes to read the configuration anew go to `reloads`. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made safely, or another server answers there.
    pub fn open(settings: Settings, rooms: watch::Receiver<Arc<Rooms>>, reloads: Reloads) -> io::Result<Self> {
        let group = Group::from_name(&settings.group)?.map(|group| group.gid);
        if group.is_none() {
            warn!(group = ?settings.group, "this machine has no such group (admin.group): nobody but root and the server's own user may administrate");
        }
        let doorway = Doorway::open(&settings.socket, group)?;
        let desk =
            Desk { gate: Gate { own: geteuid(), group }, rooms, turn: Arc::default(), imports: Imports::default(), backups: Backups::default(), reloads };
        Ok(Self { doorway, desk, socket: settings.socket })
    }

    /// Where it is.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Answers until `stop` is done, then ends what is under way within 5 s and takes the socket away.
    ///
    /// # Errors
    /// None that is known: connections that fail are logged and others go on.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let (stopping, stopped) = oneshot::channel::<Infallible>();
        let stop = async move {
            stop.await;
            drop(stopping);
        };
        let service = routes(self.desk).into_make_service_with_connect_info::<Peer>();
        let serve = axum::serve(self.doorway, service).with_graceful_shutdown(stop);
        tokio::select! {
            ended = serve.into_future() => ended,
            () = async { let _ = stopped.await; tokio::time::sleep(DRAIN_TIME).await } => Ok(()),
        }
    }
}

/// What every request needs.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    gate: Gate,
    rooms: watch::Receiver<Arc<Rooms>>,
    turn: Arc<Mutex<()>>,
    imports: Imports,
    backups: Backups,
    reloads: Reloads,
}

/// The right to change something: one at a time, so that what was looked at still holds when it is written.
#[derive(Debug)]
pub(super) struct Turn {
    rooms: Arc<Rooms>,
    _one: OwnedMutexGuard<()>,
}

impl Desk {
    /// The rooms as they are now.
    pub(super) fn rooms(&self) -> Arc<Rooms> {
        self.rooms.borrow().clone()
    }

    /// The files in the works.
    pub(super) fn imports(&self) -> &Imports {
        &self.imports
    }

    /// The backup in the works.
    pub(super) fn backups(&self) -> &Backups {
        &self.backups
    }

    /// Who may do what.
    pub(super) fn gate(&self) -> Gate {
        self.gate
    }

    /// Where wishes to read the configuration anew go.
    pub(super) fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// Waits for its turn to change something.
    pub(super) async fn turn(&self) -> Turn {
        let one = self.turn.clone().lock_owned().await;
        Turn { rooms: self.rooms(), _one: one }
    }

    /// Waits for its turn to change something of `account`, which must still be there then: nothing is hung on an account that is gone.
    ///
    /// # Errors
    /// Somebody removed it meanwhile, or the store cannot be read.
    pub(super) async fn turn_for(&self, account: &Account) -> Result<Turn, Refusal> {
        let turn = self.turn().await;
        match turn.store().standing(&account.identity)?.account {
            Some(_) => Ok(turn),
            None => Err(Refusal::absent(format!("{:?} was removed meanwhile", account.name), "`vestibule user add` adds it again")),
        }
    }
}

impl Turn {
    /// Whoever is to be told of it.
    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.rooms.engine)
    }

    /// The store to look into while nobody else changes it.
    pub(super) fn store(&self) -> &dyn Store {
        &*self.rooms.store
    }

    /// The store's now.
    pub(super) fn now(&self) -> Timestamp {
        self.rooms.clock.now()
    }

    /// Writes the change and logs who did `what` to whom. Both happen even if the asker goes away meanwhile.
    ///
    /// # Errors
    /// The store did not write.
    pub(super) async fn commit(self, operator: &Operator, what: &'static str, account: &Account, change: Change) -> Result<(), Refusal> {
        self.write(operator, what, vec![(account.name.clone(), Some(account.identity.clone()))], vec![change]).await
    }

    /// As [`Turn::commit`], of many accounts: all of it is written or nothing.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn commit_all(self, operator: &Operator, what: &'static str, changes: Vec<(Account, Change)>) -> Result<(), Refusal> {
        let (about, changes) = changes.into_iter().map(|(account, change)| ((account.name, Some(account.identity)), change)).unzip();
        self.write(operator, what, about, changes).await
    }

    /// The same about whom it is, who need be no accounts: a line of the log for each.
    ///
    /// # Errors
    /// The store did not write.
    pub(super) async fn write(
        self,
        operator: &Operator,
        what: &'static str,
        about: Vec<(String, Option<Identity>)>,
        changes: Vec<Change>,
    ) -> Result<(), Refusal> {
        let Operator { uid, name } = operator.clone();
        let numbers: Vec<_> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Block { whom: Blocked::Phone(phone), .. } => Some(phone.clone()),
                _ => None,
            })
            .collect();
        let lifted: Vec<_> = changes.iter().filter_map(lifted).cloned().collect();
        let written = tokio::spawn(async move {
            let written = self.rooms.store.commit(changes).await;
            if written.is_ok() {
                lifted.iter().for_each(|who| self.rooms.engine.unblock(who));
            }
            for phone in numbers {
                self.rooms.engine.forget_number(&phone);
            }
            for (whom, identity) in about {
                // Whatever it was, and even if nobody can tell whether it is written: what was remembered of this person was remembered before it.
                if let Some(identity) = &identity {
                    self.rooms.engine.forget(identity);
                }
                let identity = identity.map(|identity| identity.0);
                match written {
                    Ok(lsn) => info!(what, operator = ?name, uid, account = ?whom, identity, lsn = lsn.0, "administration"),
                    Err(error) => error!(what, operator = ?name, uid, account = ?whom, identity, ?error, "an administrator's change was not written"),
                }
            }
            written
        });
        match written.await {
            Ok(written) => written.map(|_| ()).map_err(Refusal::from),
            Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed", "its log says more")),
        }
    }
}

/// Whom a change lets go: of this person nothing is held any more that could not be written. No other change may, for that may be a block after a fraud.
fn lifted(change: &Change) -> Option<&Identity> {
    match change {
        Change::Unblock(Blocked::Identity(who)) | Change::Unlock(who) => Some(who),
        _ => None,
    }
}

/// The JSON of a request's body.
pub(super) fn asked<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refusal> {
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text(), "send at most 64 KiB of JSON"))?;
    // A shape would also be read from a bare list of its fields: an object it must be.
    let object = serde_json::from_slice::<Object>(&body).map(|Object(fields)| Value::Object(fields));
    object
        .and_then(serde_json::from_value)
        .map_err(|error| Refusal::wrong(format!("the request is not understood: {error}"), "is the command as old as the server?"))
}

fn routes(desk: Desk) -> Router {
    Router::new()
        .merge(accounts::routes())
        .merge(enrolments::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(blocks::routes())
        .merge(bypasses::routes())
        .merge(import::routes())
        .merge(keep::routes())
        .merge(logging::routes())
        .merge(pins::routes())
        .merge(reload::routes())
        .merge(clients::routes())
        .merge(exemptions::routes())
        .merge(sessions::routes())
        .route("/v1/status", get(status))
        .route("/metrics", get(metrics))
        .fallback(|| async { Refusal::absent("there is no such page", "is the command as old as the server?") })
        .method_not_allowed_fallback(|| async {
            Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "that cannot be done here", "is the command as old as the server?")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(desk.clone(), admit))
        .with_state(desk)
}

/// Lets operators in, and nobody for longer than a request may take.
async fn admit(State(desk): State<Desk>, ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next) -> Response {
    let gate = desk.gate;
    // The user database may be asked over a network: not on a thread that logins wait for.
    let operator = tokio::task::spawn_blocking(move || gate.admit(peer));
    let answer = tokio::time::timeout(REQUEST_TIME, async move {
        let Ok(Some(operator)) = operator.await else {
            warn!(uid = peer.uid, gid = peer.gid, "somebody who may not administrate was refused");
            let error = format!("user {} may not administrate this server", peer.uid);
            return Refusal::new(StatusCode::FORBIDDEN, error, "be root, or a member of the server's admin group (admin.group)").into_response();
        };
        request.extensions_mut().insert(operator);
        next.run(request).await
    });
    let mut answer = answer.await.unwrap_or_else(|_| Refusal::unavailable("the server took too long", "ask again; its log may say why").into_response());
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    answer
}

async fn status(State(desk): State<Desk>) -> Json<Status> {
    let rooms = desk.rooms();
    let directories = rooms.directories.iter().map(|directory| directory.name().to_owned()).collect();
    Json(Status { version: env!("CARGO_PKG_VERSION").to_owned(), now: moment(rooms.clock.now()), directories })
}

/// Prometheus' text format.
async fn metrics(State(desk): State<Desk>) -> Result<Response, Refusal> {
    let rooms = desk.rooms();
    let Some(handle) = &rooms.metrics else { return Err(Refusal::absent("nothing is counted here", "the server runs without metrics")) };
    Ok(monitor::text(&rooms.engine, handle))
}
