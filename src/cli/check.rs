//! `vestibule check`: is the configuration right?

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::Failure;
use super::output::complain;
use super::output::say;
use super::output::say_json;
use crate::app::config::Config;
use crate::app::config::Problem;

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    config: PathBuf,
    /// Look at the file and at what it points to, ask nothing over the network
    #[arg(long, required = true)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Checks.
///
/// # Errors
/// The configuration is wrong.
pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let (errors, warnings) = match Config::load(&options.config) {
        Ok(config) => config.warnings.into_iter().partition(|warning| warning.grave),
        Err(errors) => (errors, Vec::new()),
    };
    let report = Report { ok: errors.is_empty(), errors, warnings };
    if options.json {
        say_json(&report)?;
    } else {
        complain(&report.warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>());
    }
    if !report.ok {
        let lines = if options.json { Vec::new() } else { report.errors.iter().map(ToString::to_string).collect() };
        return Err(Failure::Config(lines));
    }
    if options.json { Ok(()) } else { say(&format!("{}: fine", options.config.display())) }
}
