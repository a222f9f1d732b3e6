//! `vestibule log ..`: how much a running server logs.

use std::time::Duration;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use reqwest::Method;

use super::output::Failure;
use super::output::harmless;
use super::output::say;
use super::output::say_json;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::Logging;
use crate::app::shapes::NewLogging;

/// The longest time that ends by itself.
const FOR_MAX: Duration = Duration::from_hours(24);

/// What can be done with the log.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how much is logged, or change it without a restart
    Level {
        /// From now on; without it, what is logged now is shown
        #[arg(value_parser = PossibleValuesParser::new(["error", "warn", "info", "debug", "trace"]))]
        level: Option<String>,
        /// Turn it back after this time: 1s to 24h; else at the next reload or restart
        #[arg(long = "for", value_name = "TIME", requires = "level", value_parser = time)]
        time: Option<Duration>,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    let Verb::Level { level, time, reach } = verb;
    let server = Server::new(&reach)?;
    let now: Logging = match level {
        Some(level) => server.ask(Method::PUT, &["log"], &[], Some(&NewLogging { level, for_s: time.map(|time| time.as_secs()) })).await?,
        None => server.get(&["log"], &[]).await?,
    };
    if reach.json {
        return say_json(&now);
    }
    say(&harmless(&match (now.by_hand, now.left_s) {
        (true, Some(left)) => format!("{}, for {} more; then as the configuration says", now.level, humantime::format_duration(Duration::from_secs(left))),
        (true, None) => format!("{}, until the next reload or restart", now.level),
        (false, _) => format!("{}, as it was started or configured", now.level),
    }))
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if !(Duration::from_secs(1)..=FOR_MAX).contains(&time) {
        return Err("1s to 24h".to_owned());
    }
    Ok(time)
}
