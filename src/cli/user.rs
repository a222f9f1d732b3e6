//! `vestibule user ..`: accounts.

mod fields;
mod import;
mod pin;

use std::path::PathBuf;

use clap::Subcommand;
use reqwest::Method;

use super::output::Failure;
use super::output::harmless;
use super::output::or_dash;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::output::short_identity;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use super::server::Whom;
use crate::app::shapes::Account;
use crate::app::shapes::AccountDetail;
use crate::app::shapes::AccountPage;
use crate::app::shapes::BackupState;
use crate::app::shapes::NewAccount;
use crate::domain;
use fields::Said;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add an account, or a file of them
    ///
    /// The name is looked up in the directory, and the account kept by the identity that the directory has for it. Where the configuration has no directory it is a local account.
    Add {
        /// The name as the directory knows it
        #[arg(required_unless_present = "csv")]
        name: Option<String>,
        /// The directory; may be left out where there is one
        #[arg(long, value_name = "NAME")]
        directory: Option<String>,
        #[command(flatten)]
        said: Box<Said>,
        /// A table of accounts; its first line names the columns: name, directory, method, mail, phone, backup_phone, given_name, family_name, language, group, notes, device
        #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "directory", "method", "mail", "phone", "backup_phone", "given_name", "family_name", "language", "group", "notes", "device"])]
        csv: Option<PathBuf>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Change what is known of a person; an empty text takes a field away
    Set {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        said: Box<Said>,
        /// Set a PIN: typed twice and not shown, or one line of standard input
        #[arg(long)]
        pin: bool,
        /// Take the PIN away
        #[arg(long, conflicts_with = "pin")]
        no_pin: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// List accounts
    List {
        /// Only those whose name, mail address or identity contains this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Show all columns, whole
        #[arg(long)]
        wide: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show all about an account
    Show {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
    /// Take a disabled account into use again
    Enable {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
    /// Take an account out of use: it is then treated as the policy's `disabled` says
    Disable {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
    /// End what is remembered of a person's logins: the next one asks for the second factor
    ///
    /// Another password, a lock and every change of the account do so too.
    Forget {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
    /// End a lock after too many failures
    Unlock {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        reach: Reach,
    },
    /// Remove an account with its tokens
    Remove {
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
        Verb::Add { csv: Some(file), reach, .. } => import::run(&file, &reach).await,
        Verb::Add { name, directory, said, csv: None, reach } => {
            let new = NewAccount { name: name.unwrap_or_default(), directory, fields: said.fields() };
            let account: Account = Server::new(&reach)?.ask(Method::POST, &["accounts"], &[], Some(&new)).await?;
            tell(&account, "added", &reach)
        }
        Verb::Set { whom, said, pin, no_pin, reach } => {
            let steps = Steps { fields: !said.is_empty(), pin, no_pin };
            set(&whom, &said, steps, &reach).await
        }
        Verb::List { search, wide, reach } => list(search.as_deref().unwrap_or_default(), wide, &reach).await,
        Verb::Show { whom, reach } => show(&whom, &reach).await,
        Verb::Enable { whom, reach } => change(Method::POST, &whom, &["enable"], "enabled", &reach).await,
        Verb::Disable { whom, reach } => change(Method::POST, &whom, &["disable"], "disabled", &reach).await,
        Verb::Forget { whom, reach } => change(Method::POST, &whom, &["forget"], "ended what was remembered of", &reach).await,
        Verb::Unlock { whom, reach } => change(Method::POST, &whom, &["unlock"], "unlocked", &reach).await,
        Verb::Remove { whom, reach } => change(Method::DELETE, &whom, &[], "removed", &reach).await,
    }
}

/// What is to be changed.
#[derive(Clone, Copy, Debug)]
struct Steps {
    fields: bool,
    pin: bool,
    no_pin: bool,
}

async fn set(whom: &Whom, said: &Said, steps: Steps, reach: &Reach) -> Result<(), Failure> {
    let mut changed = None;
    if steps.fields {
        changed = Some(Server::new(reach)?.ask(Method::PATCH, &whom.path(&[]), &whom.query(), Some(&said.fields())).await?);
    }
    if steps.pin {
        changed = Some(pin::set(whom, reach).await?);
    }
    if steps.no_pin {
        changed = Some(Server::new(reach)?.ask(Method::DELETE, &whom.path(&["pin"]), &whom.query(), NOTHING).await?);
    }
    let account = changed.ok_or_else(|| Failure::Usage("nothing is to be changed".to_owned()))?;
    tell(&account, "changed", reach)
}

async fn change(method: Method, whom: &Whom, rest: &[&str], done: &str, reach: &Reach) -> Result<(), Failure> {
    let account: Account = Server::new(reach)?.ask(method, &whom.path(rest), &whom.query(), NOTHING).await?;
    tell(&account, done, reach)
}

/// `added alice of corp (S-1-5-21-..)`
fn tell(account: &Account, done: &str, reach: &Reach) -> Result<(), Failure> {
    if reach.json {
        return say_json(account);
    }
    let directory = account.directory.as_ref().map(|directory| format!(" of {directory}")).unwrap_or_default();
    say(&harmless(&format!("{done} {}{directory} ({})", account.name, account.identity)))
}

/// All pages: each is read when the one before is in.
async fn list(search: &str, wide: bool, reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let mut accounts: Vec<Account> = Vec::new();
    let mut after = None;
    loop {
        let mut query = vec![("search", search)];
        query.extend(after.as_deref().map(|after| ("after", after)));
        let page: AccountPage = server.get(&["accounts"], &query).await?;
        accounts.extend(page.accounts);
        // A server that says the same page twice would keep us for ever.
        if page.next.is_none() || page.next == after {
            break;
        }
        after = page.next;
    }
    if reach.json {
        return say_json(&accounts);
    }
    if wide {
        let rows: Vec<_> = accounts.iter().map(wide_row).collect();
        return say_table(&["NAME", "DIRECTORY", "STATE", "METHOD", "MAIL", "PHONE", "ADDED", "IDENTITY"], &rows);
    }
    let rows: Vec<_> = accounts.iter().map(row).collect();
    say_table(&["NAME", "DIRECTORY", "STATE", "METHOD", "ADDED", "IDENTITY"], &rows)
}

fn row(account: &Account) -> Vec<String> {
    vec![
        account.name.clone(),
        or_dash(account.directory.as_deref()),
        state(account).to_owned(),
        or_dash(account.method.map(domain::Method::as_str)),
        account.created_at.split('T').next().unwrap_or_default().to_owned(),
        short_identity(&account.identity),
    ]
}

fn wide_row(account: &Account) -> Vec<String> {
    vec![
        account.name.clone(),
        or_dash(account.directory.as_deref()),
        state(account).to_owned(),
        or_dash(account.method.map(domain::Method::as_str)),
        or_dash(account.mail.as_deref()),
        or_dash(account.phone.as_deref()),
        account.created_at.clone(),
        account.identity.clone(),
    ]
}

fn state(account: &Account) -> &'static str {
    if account.enabled { "enabled" } else { "disabled" }
}

async fn show(whom: &Whom, reach: &Reach) -> Result<(), Failure> {
    let detail: AccountDetail = Server::new(reach)?.get(&whom.path(&[]), &whom.query()).await?;
    if reach.json {
        return say_json(&detail);
    }
    let account = &detail.account;
    let lock = detail.lock_until.as_ref().map_or_else(|| "no".to_owned(), |until| format!("until {until}"));
    let mut facts = vec![
        ("name", account.name.clone()),
        ("identity", account.identity.clone()),
        ("directory", or_dash(account.directory.as_deref())),
        ("state", state(account).to_owned()),
        ("method", or_dash(account.method.map(domain::Method::as_str))),
        ("mail", or_dash(account.mail.as_deref())),
        ("phone", or_dash(account.phone.as_deref())),
        ("backup", or_dash(account.backup_phone.as_deref())),
        ("given", or_dash(account.given_name.as_deref())),
        ("family", or_dash(account.family_name.as_deref())),
        ("language", or_dash(account.language.as_deref())),
        ("group", or_dash(account.group.as_deref())),
        ("notes", or_dash(account.notes.as_deref())),
        ("added", account.created_at.clone()),
        ("failures", detail.failures.to_string()),
        ("locked", lock),
    ];
    facts.extend(account.devices.iter().map(|device| ("device", format!("{}={} {}", device.provider, device.id, device.label).trim_end().to_owned())));
    let bypass =
        detail.bypass.as_ref().map_or_else(|| "none".to_owned(), |bypass| format!("until {}, by {}: {}", bypass.until, bypass.granted_by, bypass.reason));
    facts.push(("bypass", bypass));
    facts.push(("blocked", detail.blocked_until.as_ref().map_or_else(|| "no".to_owned(), |until| format!("until {until}"))));
    let pin = detail.pin.as_ref().map_or_else(
        || "none".to_owned(),
        |pin| {
            let until = pin.until.as_ref().map(|until| if pin.expired { format!(", ran out {until}") } else { format!(", until {until}") });
            format!("set {}{}", pin.set_at, until.unwrap_or_default())
        },
    );
    facts.push(("pin", pin));
    let codes = |codes: &BackupState| format!("{} left, until {}, by {}", codes.left, codes.until, codes.issued_by);
    facts.push(("codes", detail.backup_codes.as_ref().map_or_else(|| "none".to_owned(), codes)));
    if detail.tokens.is_empty() {
        facts.push(("token", "none".to_owned()));
    }
    facts.extend(detail.tokens.iter().map(|token| ("token", format!("{} ({}), since {}", token.id, super::token::kind(token), token.created_at))));
    let lines: Vec<_> = facts.iter().map(|(what, value)| format!("{what:<10} {}", harmless(value))).collect();
    say(&lines.join("\n"))
}
