//! `vestibule token backup`: codes for whoever has lost the generator, told this once.

use std::time::Duration;

use clap::Args;
use reqwest::Method;

use super::super::output::Failure;
use super::super::output::complain;
use super::super::output::harmless;
use super::super::output::say;
use super::super::output::say_json;
use super::super::server::NOTHING;
use super::super::server::Reach;
use super::super::server::Server;
use super::super::server::Whom;
use crate::app::shapes::Account;
use crate::app::shapes::IssuedBackups;
use crate::app::shapes::NewBackups;

/// How many, and for how long.
#[derive(Debug, Args)]
pub(in crate::cli) struct Issue {
    #[command(flatten)]
    whom: Whom,
    /// How many codes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=20))]
    count: u8,
    /// How long they are good: at most 24h
    #[arg(long = "for", value_name = "TIME", default_value = "24h", value_parser = time)]
    time: Duration,
    /// Take back those there are, and issue none
    #[arg(long, conflicts_with_all = ["count", "time"])]
    revoke: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Issues them, in place of those there may be.
///
/// # Errors
/// What the server says.
pub(super) async fn run(issue: &Issue) -> Result<(), Failure> {
    let Issue { whom, count, time, revoke, reach } = issue;
    let server = Server::new(reach)?;
    if *revoke {
        let account: Account = server.ask(Method::DELETE, &whom.path(&["backup-codes"]), &whom.query(), NOTHING).await?;
        return if reach.json { say_json(&account) } else { say(&harmless(&format!("revoked the backup codes of {}", account.name))) };
    }
    let new = NewBackups { count: *count, for_s: time.as_secs() };
    let issued: IssuedBackups = server.ask(Method::POST, &whom.path(&["backup-codes"]), &whom.query(), Some(&new)).await?;
    if reach.json {
        return say_json(&issued);
    }
    let codes: Vec<_> = issued.codes.iter().map(|code| code.expose()).collect();
    say(&codes.join("\n"))?;
    complain(&[format!("backup codes of {}, each good once and until {}; they are shown this once", issued.account, issued.until)]);
    Ok(())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("{error}: write it as 30m or 24h"))?;
    if time.as_secs() == 0 || time > DAY { Err("1s to 24h".to_owned()) } else { Ok(time) }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
