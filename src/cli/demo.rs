//! `vestibule demo`: the whole thing with no set-up.

use clap::Args;

use super::output::Failure;
use crate::app::config::LogFormat;
use crate::app::log;
use crate::demo;

/// How the demonstration runs.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// End after the tour: 0 when both logins went as they must
    #[arg(long)]
    once: bool,
    /// Print one JSON line when ready
    #[arg(long)]
    json: bool,
    /// First port to use; 0 picks free ones
    #[arg(long, value_name = "N")]
    port_base: Option<u16>,
}

/// Runs it.
///
/// # Errors
/// A login went another way than it must.
pub(super) async fn run(options: Options) -> Result<(), Failure> {
    log::start(tracing::Level::WARN, LogFormat::Text);
    let shown = demo::run(demo::Options { once: options.once, json: options.json, port_base: options.port_base }).await;
    match shown {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::failed("a login went another way than it must", "the tour above says which")),
        Err(error) => Err(Failure::failed(error.to_string(), "are the ports taken? --port-base 0 picks free ones")),
    }
}
