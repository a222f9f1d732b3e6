//! `vestibule demo`: the whole thing with no set-up.

use clap::Args;

use super::output::Failure;

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
pub(super) async fn run(_options: Options) -> Result<(), Failure> {
    Err(Failure::failed("not built yet", ""))
}
