//! `vestibule serve`: the server.

use std::path::PathBuf;

use clap::Args;

use super::output::Failure;

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
pub(super) async fn run(_options: Options) -> Result<(), Failure> {
    Err(Failure::failed("not built yet", ""))
}
