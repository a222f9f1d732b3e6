//! The roof: rooms built from the configuration, doors opened, reload, drain.

pub mod clock;
pub mod config;
pub mod doctor;
pub mod log;
mod rooms;
mod server;

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

pub use crate::front::http::shapes;
pub use rooms::RoomError;
pub use server::Ready;
pub use server::Server;
pub use server::ServerError;

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
    /// Signals or standard output are out of reach.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT; SIGHUP reloads.
///
/// # Errors
/// What kept it from opening every door.
pub async fn serve(path: &Path) -> Result<(), ServeError> {
    let config = Config::load(path).map_err(ServeError::Config)?;
    let _log = log::start(config.log.level, config.log.format);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    keep_memory_private();
    let counters = metrics::install()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let clock = ClockOf(config.time_zone.clone());
    let mut server = Server::open(config, Arc::new(clock), Some(counters)).await?;
    say_ready(&server.ready())?;
    tracing::info!(config = %path.display(), version = env!("CARGO_PKG_VERSION"), "every door is open");
    loop {
        tokio::select! {
            _ = hangup.recv() => {
                let _ = reload(&mut server, path).await;
            }
            wish = server.wished() => wish.answer(reload(&mut server, path).await),
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!(running = server.running(), "closing: no new logins, those under way may finish");
    server.drain().await;
    tracing::info!("closed");
    Ok(())
}

/// No core dump and no debugger of the same user: passwords and keys are in this memory (O-05).
fn keep_memory_private() {
    let done = nix::sys::prctl::set_dumpable(false).and_then(|()| setrlimit(Resource::RLIMIT_CORE, 0, 0));
    if let Err(error) = done {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
}

/// A wrong file changes nothing and says so, in the log and to whoever asked.
async fn reload(server: &mut Server, path: &Path) -> Outcome {
    let lines = |problems: &[Problem]| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    let config = Config::load(path).map_err(|problems| {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        tracing::error!(config = %path.display(), "not reloaded: the configuration is wrong and everything stays as it was");
        lines(&problems)
    })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let warnings = lines(&config.warnings);
    server.reload(config).await.map_err(|error| {
        tracing::error!(%error, hint = error.hint(), "not reloaded: everything stays as it was");
        vec![error.to_string(), error.hint()].into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>()
    })?;
    tracing::info!(config = %path.display(), "reloaded");
    Ok(warnings)
}

/// The one line on standard output (the contract's ready line).
fn say_ready(ready: &Ready) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, ready)?;
    out.write_all(b"\n")?;
    out.flush()
}
