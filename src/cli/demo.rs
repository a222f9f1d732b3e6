//! `vestibule demo`: the whole thing with no set-up.

use clap::Args;

use super::output::Failure;
use crate::app::config::LogFormat;
use crate::app::log;
use crate::demo;
use crate::demo::Shown;

/// How the demonstration runs.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// End after the tour: 0 when both logins went as they must
    #[arg(long)]
    once: bool,
    /// Print one JSON line when ready
    #[arg(long)]
    json: bool,
    /// First of two ports to use, 65534 at most; 0 picks free ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=65_534))]
    port_base: Option<u16>,
}

/// Runs it.
///
/// # Errors
/// A login went another way than it must.
pub(super) async fn run(options: Options) -> Result<(), Failure> {
    let _log = log::start(tracing::Level::WARN, LogFormat::Text);
    let shown = demo::run(demo::Options { once: options.once, json: options.json, port_base: options.port_base }).await;
    match shown {
        Ok(Shown::Stopped) if options.once => Err(Failure::failed("the tour was ended before it was over", "")),
        Ok(Shown::AsItMust | Shown::Stopped) => Ok(()),
        Ok(Shown::Otherwise) => Err(Failure::failed("a login went another way than it must", "the tour above says which")),
        Err(error) => Err(Failure::failed(error.to_string(), "are the ports taken? --port-base 0 picks free ones")),
    }
}
