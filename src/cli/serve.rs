//! `vestibule serve`: the server.

use std::path::PathBuf;

use clap::Args;

use super::output::Failure;
use crate::app;
use crate::app::ServeError;

/// What is served.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    config: PathBuf,
}

/// Serves until it is told to stop.
///
/// # Errors
/// The configuration is wrong, or a door does not open.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    app::serve(&options.config).map_err(|error| match error {
        ServeError::Config(problems) => Failure::Config(problems.iter().map(ToString::to_string).collect()),
        ServeError::Server(error) => Failure::failed(error.to_string(), &error.hint()),
        error => Failure::failed(error.to_string(), ""),
    })
}
