//! `vestibule check`: is the configuration right, and is everything well that it names?

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::Failure;
use super::output::complain;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use crate::app::config::Config;
use crate::app::config::Problem;
use crate::app::doctor;
use crate::app::doctor::Finding;
use crate::app::doctor::Outcome;
use crate::app::doctor::Tally;

/// What is checked.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The configuration
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", default_value = "/etc/vestibule/vestibule.toml")]
    config: PathBuf,
    /// Look at the file and at what it points to, ask nothing over the network
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    /// Nothing is wrong with the configuration, and nothing failed.
    ok: bool,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    /// What was asked, unless it was `--offline` or the configuration is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<Finding>>,
    /// The same in numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
}

/// How it is on the whole.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    tally: Tally,
    /// Who has the least time to spare, and for what.
    weakest_link: Option<String>,
}

/// Checks.
///
/// # Errors
/// The configuration is wrong, or something that it names is not well.
pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let loaded = Config::load(&options.config);
    let (errors, warnings) = match &loaded {
        Ok(config) => config.warnings.iter().cloned().partition(|warning| warning.grave),
        Err(errors) => (errors.clone(), Vec::new()),
    };
    let findings = match &loaded {
        Ok(config) if !options.offline && errors.is_empty() => Some(doctor::examine(config).await),
        _ => None,
    };
    let weakest_link = loaded.as_ref().ok().and_then(doctor::weakest_link);
    let summary = findings.as_ref().map(|findings| Summary { tally: Tally::of(findings), weakest_link });
    let failed = summary.as_ref().map_or(0, |summary| summary.tally.failed);
    let report = Report { ok: errors.is_empty() && failed == 0, errors, warnings, findings, summary };
    if options.json {
        say_json(&report)?;
    } else {
        complain(&report.warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>());
    }
    if !report.errors.is_empty() {
        let lines = if options.json { Vec::new() } else { report.errors.iter().map(ToString::to_string).collect() };
        return Err(Failure::Config(lines));
    }
    match report.findings.as_deref().zip(report.summary.as_ref()) {
        Some((findings, summary)) if !options.json => tell(findings, summary)?,
        None if !options.json => say(&format!("{}: fine", options.config.display()))?,
        _ => {}
    }
    if failed > 0 { Err(unwell(failed, &options.config)) } else { Ok(()) }
}

/// A table of all, the worst last, where eyes are when it has scrolled by; below it what to do, and how it is on the whole.
fn tell(findings: &[Finding], summary: &Summary) -> Result<(), Failure> {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| ORDER.iter().position(|outcome| *outcome == finding.outcome));
    let row = |finding: &&Finding| {
        let ms = finding.ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
        vec![finding.outcome.as_str().to_owned(), finding.area.as_str().to_owned(), finding.name.clone(), ms, finding.message.clone()]
    };
    say_table(&["", "WHAT", "NAME", "TOOK", "FOUND"], &findings.iter().map(row).collect::<Vec<_>>())?;
    let advised = findings.iter().filter_map(|finding| {
        let hint = finding.hint.as_ref()?;
        Some(format!("{}: {} {}: {hint}", finding.outcome.as_str(), finding.area.as_str(), finding.name))
    });
    complain(&advised.collect::<Vec<_>>());
    let Tally { ok, skipped, warning, failed } = summary.tally;
    let warnings = if warning == 1 { "warning" } else { "warnings" };
    say(&format!("{} looked at: {ok} ok, {skipped} skipped, {warning} {warnings}, {failed} failed", findings.len()))?;
    summary.weakest_link.iter().try_for_each(|link| say(&format!("weakest link: {link}")))
}

/// The worst last.
const ORDER: [Outcome; 4] = [Outcome::Ok, Outcome::Skipped, Outcome::Warning, Outcome::Failed];

fn unwell(failed: usize, config: &Path) -> Failure {
    let what = if failed == 1 { "1 thing".to_owned() } else { format!("{failed} things") };
    Failure::failed(format!("{what} of what {} names failed", config.display()), "")
}
