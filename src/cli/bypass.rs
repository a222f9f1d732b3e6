//! `vestibule bypass ..`: leave to log in once without the second factor.

use std::time::Duration;

use clap::Subcommand;
use reqwest::Method;

use super::output::Failure;
use super::output::complain;
use super::output::harmless;
use super::output::minute;
use super::output::or_dash;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use super::server::Whom;
use crate::app::shapes::Bypass;
use crate::app::shapes::BypassList;
use crate::app::shapes::NewBypass;

/// The longest a bypass is good for.
const FOR_MAX: Duration = Duration::from_hours(24);

/// What can be done with bypasses.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Let the next login of an account pass without the second factor, once
    Grant {
        #[command(flatten)]
        whom: Whom,
        /// How long it is good for: 1s to 24h
        #[arg(long = "for", value_name = "TIME", default_value = "5m", value_parser = time)]
        time: Duration,
        /// Why: kept with it, and shown in the list
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// List bypasses not yet used
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Take a bypass back
    Revoke {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Grant { whom, time, reason, reach } => {
            let new = NewBypass { for_s: time.as_secs(), reason };
            let bypass: Bypass = Server::new(&reach)?.ask(Method::POST, &whom.path(&["bypass"]), &whom.query(), Some(&new)).await?;
            tell(&bypass, &format!("the next login of {} before {} needs no second factor", or_dash(bypass.account.as_deref()), bypass.until), &reach)
        }
        Verb::List { reach } => list(&reach).await,
        Verb::Revoke { whom, reach } => {
            let bypass: Bypass = Server::new(&reach)?.ask(Method::DELETE, &whom.path(&["bypass"]), &whom.query(), NOTHING).await?;
            tell(&bypass, &format!("revoked the bypass of {}", or_dash(bypass.account.as_deref())), &reach)
        }
    }
}

fn tell(bypass: &Bypass, text: &str, reach: &Reach) -> Result<(), Failure> {
    if reach.json { say_json(bypass) } else { say(&harmless(text)) }
}

async fn list(reach: &Reach) -> Result<(), Failure> {
    let found: BypassList = Server::new(reach)?.get(&["bypasses"], &[]).await?;
    if found.more {
        complain(&["there are more bypasses than these".to_owned()]);
    }
    if reach.json {
        return say_json(&found.bypasses);
    }
    let row = |bypass: &Bypass| {
        let account = or_dash(bypass.account.as_deref().or(Some(&bypass.identity)));
        let directory = or_dash(bypass.directory.as_deref());
        vec![account, directory, minute(&bypass.until), bypass.granted_by.clone(), minute(&bypass.granted_at), bypass.reason.clone()]
    };
    let rows: Vec<_> = found.bypasses.iter().map(row).collect();
    say_table(&["ACCOUNT", "DIRECTORY", "UNTIL", "GRANTED BY", "GRANTED", "REASON"], &rows)
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.as_secs() == 0 || time > FOR_MAX {
        return Err("1s to 24h".to_owned());
    }
    Ok(time)
}
