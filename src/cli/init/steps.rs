//! What both ways of answering have in common: trying a draft, the server, the first person, the first login.

use reqwest::Method;
use serde::Serialize;

use crate::app::config;
use crate::app::config::Config;
use crate::app::doctor::Area;
use crate::app::doctor::Finding;
use crate::app::doctor::Outcome;
use crate::app::init;
use crate::app::init::Draft;
use crate::app::init::Ground;
use crate::app::init::Made;
use crate::app::init::service;
use crate::app::init::service::Inside;
use crate::app::shapes::Account;
use crate::app::shapes::AccountDetail;
use crate::app::shapes::Enrolled;
use crate::app::shapes::Fields;
use crate::app::shapes::NewAccount;
use crate::app::shapes::NewSimulation;
use crate::app::shapes::NewToken;
use crate::app::shapes::Once;
use crate::app::shapes::Simulation;
use crate::cli::output::Failure;
use crate::cli::server::Reach;
use crate::cli::server::Server;

/// The draft as a configuration.
pub(super) fn checked(ground: &Ground, draft: &Draft) -> Result<Config, Failure> {
    ground.check(draft).map_err(|problems| Failure::Config(problems.iter().map(ToString::to_string).collect()))
}

/// What directories and providers said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// What is wrong, in words and with what to do; nothing where each directory has a server that is well.
    pub(super) wrong: Vec<String>,
    /// What works, and is worth a second look.
    pub(super) notes: Vec<String>,
}

/// Asks them.
pub(super) async fn asked(config: &Config) -> Said {
    let findings = init::ask(config).await;
    let is_served = |finding: &Finding| {
        let well = |other: &&Finding| other.area == Area::Directory && other.outcome != Outcome::Failed && directory(other) == directory(finding);
        finding.area == Area::Directory && findings.iter().any(|other| well(&other) && other.outcome != Outcome::Skipped)
    };
    let mut said = Said::default();
    for finding in &findings {
        match finding.outcome {
            Outcome::Failed if !is_served(finding) => said.wrong.push(words(finding)),
            Outcome::Failed | Outcome::Warning => said.notes.push(words(finding)),
            Outcome::Ok | Outcome::Skipped => {}
        }
    }
    said.notes.extend(config.warnings.iter().map(ToString::to_string));
    said
}

/// `corp` of `corp ldaps://dc1.corp.example:636`.
fn directory(finding: &Finding) -> Option<&str> {
    finding.name.split(' ').next()
}

fn words(finding: &Finding) -> String {
    let reason = reason(&finding.message).map(|reason| format!(": {reason}")).unwrap_or_default();
    let hint = finding.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{} {}: {}{reason}{hint}", finding.area.as_str(), finding.name, finding.message)
}

/// What Active Directory means by the sub-code of a refusal (MS-ERREF, as clients are used to see it).
fn reason(message: &str) -> Option<&'static str> {
    let code = message.split("data ").nth(1)?.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    REASONS.iter().find(|(known, _)| *known == code).map(|(_, reason)| *reason)
}

/// How the server came to run.
#[derive(Debug)]
pub(super) enum Serving {
    /// In this process, until it is closed.
    Inside(Box<Inside>),
    /// It ran before, or systemd has started it.
    Running,
}

impl Serving {
    /// Has a server run by this configuration; `may_start` has systemd start the service.
    ///
    /// # Errors
    /// Why none does.
    pub(super) async fn begin(ground: &Ground, draft: &Draft, made: &Made, may_start: bool) -> Result<Self, String> {
        if may_start && service::is_managed(ground) {
            service::start(made)?;
            return Ok(Self::Running);
        }
        if service::runs(&ground.config) {
            let reach = reach(ground).map_err(|failure| failure.words())?;
            if made.changed {
                crate::cli::reload::ask(&reach).await.map_err(|failure| failure.words())?;
            }
            return Ok(Self::Running);
        }
        if !service::may_be_inside(ground, &draft.data_dir) {
            return Err("the server has a user of its own here, and nobody starts it".to_owned());
        }
        Inside::open(&ground.config).await.map(|inside| Self::Inside(Box::new(inside)))
    }

    /// Whether it goes on when we end.
    pub(super) fn stays(&self) -> bool {
        matches!(self, Self::Running)
    }

    pub(super) async fn end(self) {
        if let Self::Inside(inside) = self {
            inside.close().await;
        }
    }
}

/// The way to the server of this configuration.
pub(super) fn reach(ground: &Ground) -> Result<Reach, Failure> {
    let socket = config::admin_socket(&ground.config).map_err(|problems| Failure::Config(problems.iter().map(ToString::to_string).collect()))?;
    Ok(Reach::of(Some(socket), None))
}

/// The account of a person, and whether it is new.
pub(super) async fn account(server: &Server, draft: &Draft, name: &str) -> Result<(Account, bool, usize), Failure> {
    if let Ok(detail) = server.get::<AccountDetail>(&["accounts", name], &[]).await {
        return Ok((detail.account, false, detail.tokens.len()));
    }
    let directory = draft.directories.first().map(|directory| directory.name.clone());
    let new = NewAccount { name: name.to_owned(), directory, fields: Fields::default() };
    let account = server.ask(Method::POST, &["accounts"], &[], Some(&new)).await?;
    Ok((account, true, 0))
}

/// A new token of that account.
pub(super) async fn token(server: &Server, account: &Account) -> Result<Enrolled, Failure> {
    server.ask(Method::POST, &["accounts", &account.identity, "tokens"], &[], Some(&NewToken::default())).await
}

/// One login in earnest, as the first client would hand it over.
pub(super) async fn login(server: &Server, draft: &Draft, user: &str, password: Once, code: Option<Once>) -> Result<Simulation, Failure> {
    let client = draft.client.as_ref().map(|client| client.name.as_str()).unwrap_or_default();
    let asked = NewSimulation { user: user.to_owned(), password: Some(password), code, from: None, ask: true };
    server.ask(Method::POST, &["clients", client, "simulate"], &[], Some(&asked)).await
}

/// What was made, for programs.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The files.
    #[serde(flatten)]
    pub(super) made: Made,
    /// The first client.
    pub(super) client: String,
    /// A server runs by it, and goes on.
    pub(super) running: bool,
    /// The first person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<String>,
    /// A new token's line, unless it went into a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) otpauth: Option<Once>,
    /// How the login that was tried ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) verdict: Option<String>,
    /// What works, and is worth a second look.
    pub(super) notes: Vec<String>,
    /// What did not work, though all was written.
    pub(super) undone: Vec<String>,
    /// What to type next.
    pub(super) next: Vec<String>,
}

/// What to type next.
pub(super) fn next(ground: &Ground, running: bool, user: Option<&str>) -> Vec<String> {
    let config = ground.config.display();
    let mut next = Vec::new();
    match (running, ground.is_packaged()) {
        (true, _) => {}
        (false, true) => next.push("systemctl enable --now vestibule".to_owned()),
        (false, false) => next.push(format!("vestibule serve --config {config}")),
    }
    if let Some(user) = user {
        next.push(format!("vestibule user add {user} --config {config}"));
        next.push(format!("vestibule token enrol {user} --config {config}"));
    }
    next.push(format!("vestibule check --config {config}"));
    next
}

const REASONS: &[(&str, &str)] = &[
    ("525", "nobody is called so"),
    ("52e", "the name or the password is wrong"),
    ("530", "the account may not log in at this hour"),
    ("531", "the account may not log in from this machine"),
    ("532", "the password has expired"),
    ("533", "the account is disabled"),
    ("701", "the account has expired"),
    ("773", "the password must be changed first"),
    ("775", "the account is locked"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_words() {
        let message =
            "bind_name or bind_password is refused (code 49): 80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 52e, v4563";
        assert_eq!(reason(message), Some("the name or the password is wrong"));
        assert_eq!((reason("data"), reason("cannot connect")), (None, None));
    }
}
