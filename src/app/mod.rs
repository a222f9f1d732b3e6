//! The roof: rooms built from the configuration, doors opened, reload, drain.

pub mod clock;
pub mod config;
pub mod doctor;
mod enclosure;
pub mod init;
pub mod keep;
pub mod log;
mod monitor;
mod rooms;
pub mod secrets;
mod server;
pub mod support;
mod systemd;
mod tool;
pub mod whole;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use metrics_exporter_prometheus::BuildError;
use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::front::http::Outcome;
use crate::metrics;
use clock::ClockOf;
use config::Config;
use config::Problem;
use enclosure::Enclosure;
use systemd::Manager;

pub use crate::front::http::shapes;
pub use enclosure::EnclosureError;
pub use rooms::RoomError;
pub use server::Ready;
pub use server::Server;
pub use server::ServerError;
pub use server::Watched;
pub use systemd::Sites;

/// Why `serve` could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration is wrong.
    #[error("the configuration is wrong in {} places", .0.len())]
    Config(Vec<Problem>),
    /// Counters cannot be set up.
    #[error("cannot count: {0}")]
    Metrics(#[from] BuildError),
    /// The server could not be opened.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// We could not be shut in.
    #[error(transparent)]
    Enclosure(#[from] EnclosureError),
    /// Signals or standard output are out of reach.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT; SIGHUP reloads. Makes its own runtime, for what is done before holds for all of its threads.
///
/// # Errors
/// What kept it from opening every door.
pub fn serve(path: &Path) -> Result<(), ServeError> {
    let config = Config::load(path).map_err(ServeError::Config)?;
    let sites = Sites::handed_over()?;
    let enclosure = enclosure::raise(&config, path)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(path, config, sites, enclosure))
}

async fn run(path: &Path, config: Config, sites: Sites, enclosure: Enclosure) -> Result<(), ServeError> {
    let (_log, dial) = log::start(config.log.level, config.log.format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Err(error) = keep_memory_private() {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if !enclosure.holds {
        tracing::info!("this kernel has no Landlock: what may be opened is up to file permissions and the unit alone");
    }
    let manager = Manager::asked();
    let counters = metrics::install()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let clock = ClockOf(config.time_zone.clone());
    let mut server = Server::open(config, Arc::new(clock), Watched { counters: Some(counters), dial: Some(dial) }, sites).await?;
    say_ready(&server.ready())?;
    let watchdog = manager.as_ref().and_then(|manager| manager.twin().ok()).map(|manager| tokio::spawn(manager.reassure()));
    tell(manager.as_ref(), "READY=1\nSTATUS=every door is open");
    tracing::info!(config = %path.display(), version = env!("CARGO_PKG_VERSION"), "every door is open");
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                tell(manager.as_ref(), "RELOADING=1");
                let taken = reload(&mut server, path, enclosure).await.is_ok();
                tell(manager.as_ref(), if taken { "READY=1\nSTATUS=every door is open" } else { "READY=1\nSTATUS=not reloaded: everything is as before, see the log" });
            }
            wish = server.wished() => wish.answer(reload(&mut server, path, enclosure).await),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(running = server.running(), "closing: no new logins, those under way may finish");
    tell(manager.as_ref(), "STOPPING=1\nSTATUS=logins under way may finish");
    server.drain().await;
    if let Some(watchdog) = watchdog {
        watchdog.abort();
    }
    tracing::info!("closed");
    Ok(())
}

/// No core dump and no debugger of the same user: passwords and keys are in this memory (O-05).
///
/// # Errors
/// The system's.
pub fn keep_memory_private() -> nix::Result<()> {
    nix::sys::prctl::set_dumpable(false)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}

fn tell(manager: Option<&Manager>, state: &str) {
    if let Some(manager) = manager {
        manager.tell(state);
    }
}

/// A wrong file changes nothing and says so, in the log and to whoever asked.
async fn reload(server: &mut Server, path: &Path, enclosure: Enclosure) -> Outcome {
    let lines = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = Config::load(path).map_err(|problems| {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        tracing::error!(config = %path.display(), "not reloaded: the configuration is wrong and everything stays as it was");
        let mut lines = lines(&problems);
        if enclosure.holds && lines.iter().any(|line| line.contains(REFUSED)) {
            tracing::error!("{BEHIND_WALLS}");
            lines.push(BEHIND_WALLS.to_owned());
        }
        lines
    })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if enclosure.is_too_narrow(&config) {
        let why = "the server was started without winbind and may start no program: restart it";
        tracing::error!("not reloaded: {why}");
        return Err(vec![why.to_owned()]);
    }
    let warnings = lines(&config.warnings);
    server.reload(config).await.map_err(|error| {
        tracing::error!(%error, hint = error.hint(), "not reloaded: everything stays as it was");
        vec![error.to_string(), error.hint()].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()
    })?;
    tracing::info!(config = %path.display(), "reloaded");
    Ok(warnings)
}

/// How the kernel says no: to a user without the right, and to a server that is shut in.
const REFUSED: &str = "(os error 13)";
const BEHIND_WALLS: &str = "a running server reads only folders that its configuration named when it started: for a file in another one, restart it";

/// The one line on standard output (the contract's ready line).
fn say_ready(ready: &Ready) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, ready)?;
    out.write_all(b"\n")?;
    out.flush()
}
