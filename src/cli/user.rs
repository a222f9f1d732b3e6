//! `vestibule user ..`: accounts.

use clap::Subcommand;
use clap::ValueEnum;
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
use crate::app::shapes::NewAccount;
use crate::domain;

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add an account: looked up in the directory, or a local one where there is no directory
    Add {
        /// The name as the directory knows it
        name: String,
        /// The directory; may be left out where there is one
        #[arg(long, value_name = "NAME")]
        directory: Option<String>,
        /// The method tried first
        #[arg(long)]
        method: Option<Way>,
        /// The mail address, in place of the directory's
        #[arg(long, value_parser = mail)]
        mail: Option<String>,
        /// The telephone number, in place of the directory's
        #[arg(long)]
        phone: Option<String>,
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
    /// End what is remembered of a person's logins: the next one asks for the second factor (a password change, a lock and every change of the account do so too)
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

/// The method tried first.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Way {
    /// A telephone call
    Call,
    /// A code from a generator
    Oath,
    /// A question on the phone's screen
    Push,
}

impl From<Way> for domain::Method {
    fn from(way: Way) -> Self {
        match way {
            Way::Call => Self::Call,
            Way::Oath => Self::Oath,
            Way::Push => Self::Push,
        }
    }
}

/// What is plainly no mail address is a slip of the keyboard; the server looks closer.
fn mail(text: &str) -> Result<String, String> {
    if text.contains('@') { Ok(text.to_owned()) } else { Err("write it as name@example.org".to_owned()) }
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add { name, directory, method, mail, phone, reach } => {
            let new = NewAccount { name, directory, method: method.map(domain::Method::from), mail, phone };
            let account: Account = Server::new(&reach)?.ask(Method::POST, &["accounts"], &[], Some(&new)).await?;
            tell(&account, "added", &reach)
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
        ("added", account.created_at.clone()),
        ("failures", detail.failures.to_string()),
        ("locked", lock),
    ];
    let bypass =
        detail.bypass.as_ref().map_or_else(|| "none".to_owned(), |bypass| format!("until {}, by {}: {}", bypass.until, bypass.granted_by, bypass.reason));
    facts.push(("bypass", bypass));
    facts.push(("blocked", detail.blocked_until.as_ref().map_or_else(|| "no".to_owned(), |until| format!("until {until}"))));
    if detail.tokens.is_empty() {
        facts.push(("token", "none".to_owned()));
    }
    facts.extend(detail.tokens.iter().map(|token| ("token", format!("{} ({}), since {}", token.id, super::token::kind(token), token.created_at))));
    let lines: Vec<_> = facts.iter().map(|(what, value)| format!("{what:<10} {}", harmless(value))).collect();
    say(&lines.join("\n"))
}
