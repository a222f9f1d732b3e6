//! `vestibule block ..`: people and telephone numbers that nobody comes in with.

use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use reqwest::Method;

use super::output::Failure;
use super::output::complain;
use super::output::harmless;
use super::output::or_dash;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::Block;
use crate::app::shapes::BlockList;
use crate::app::shapes::NewBlock;

/// The longest a block holds.
const FOR_MAX: Duration = Duration::from_hours(365 * 24);

/// What can be done with blocks.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Let nobody in as a person, or as anybody who is called at a number
    Add {
        #[command(flatten)]
        whom: Kept,
        /// How long it holds: 1s to 365d
        #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = time)]
        time: Duration,
        /// Why: kept with it, and shown in the list
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        reason: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// List who is blocked
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// End a block
    Remove {
        #[command(flatten)]
        whom: Kept,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Whom a block keeps out.
#[derive(Debug, Args)]
pub(super) struct Kept {
    /// A name in any form the directory knows, or an identity
    #[arg(value_name = "NAME", required_unless_present = "phone", conflicts_with = "phone")]
    name: Option<String>,
    /// Everybody who is called at this number: +49 170 5550142
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Which directory, where the name is in more than one
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "phone")]
    directory: Option<String>,
}

impl Kept {
    fn path(&self) -> [&str; 3] {
        match &self.phone {
            Some(phone) => ["phones", phone, "block"],
            None => ["accounts", self.name.as_deref().unwrap_or_default(), "block"],
        }
    }

    fn query(&self) -> Vec<(&str, &str)> {
        self.directory.iter().map(|directory| ("directory", directory.as_str())).collect()
    }
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add { whom, time, reason, reach } => {
            let new = NewBlock { for_s: time.as_secs(), reason };
            let block: Block = Server::new(&reach)?.ask(Method::POST, &whom.path(), &whom.query(), Some(&new)).await?;
            tell(&block, &format!("{} is blocked until {}", named(&block), block.until), &reach)
        }
        Verb::List { reach } => list(&reach).await,
        Verb::Remove { whom, reach } => {
            let block: Block = Server::new(&reach)?.ask(Method::DELETE, &whom.path(), &whom.query(), NOTHING).await?;
            tell(&block, &format!("{} is blocked no more", named(&block)), &reach)
        }
    }
}

fn tell(block: &Block, text: &str, reach: &Reach) -> Result<(), Failure> {
    if reach.json { say_json(block) } else { say(&harmless(text)) }
}

/// The account, else what the person was called, else the number, else the identity.
fn named(block: &Block) -> String {
    or_dash(block.account.as_deref().or(block.name.as_deref()).or(block.phone.as_deref()).or(block.identity.as_deref()))
}

async fn list(reach: &Reach) -> Result<(), Failure> {
    let found: BlockList = Server::new(reach)?.get(&["blocks"], &[]).await?;
    if found.more {
        complain(&["there are more blocks than these".to_owned()]);
    }
    if reach.json {
        return say_json(&found.blocks);
    }
    let row = |block: &Block| vec![named(block), block.until.clone(), block.by.clone(), block.at.clone(), block.reason.clone()];
    let rows: Vec<_> = found.blocks.iter().map(row).collect();
    say_table(&["WHOM", "UNTIL", "BY", "SINCE", "REASON"], &rows)
}

fn time(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time.as_secs() == 0 || time > FOR_MAX {
        return Err("1s to 365d".to_owned());
    }
    Ok(time)
}
