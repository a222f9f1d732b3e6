//! `vestibule client ..`: RADIUS and LDAP clients, what was seen of them, and logins rehearsed.

pub(super) mod add;
mod sessions;

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::net::IpAddr;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use reqwest::Method;
use serde::Serialize;
use zeroize::Zeroizing;

use super::output::Failure;
use super::output::complain;
use super::output::harmless;
use super::output::or_dash;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes;
use crate::app::shapes::ClientDetail;
use crate::app::shapes::ClientList;
use crate::app::shapes::LdapClient;
use crate::app::shapes::NewSimulation;
use crate::app::shapes::Once;
use crate::app::shapes::ShownClient;
use crate::app::shapes::Simulation;

/// Bytes of a line with a password.
const PASSWORD_LINE_MAX: u64 = 1024;
/// Networks of a client in a table.
const NETWORKS_SHOWN: usize = 2;

/// What can be done with clients.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a NAS: makes its secret and a drop-in under conf.d, has the server take it, and says what to set on its side
    Add(add::Addition),
    /// List clients: which NAS signs and how long each waits, and which LDAP applications are known
    List {
        /// Show all columns, whole
        #[arg(long)]
        wide: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show all about a client, and what to change
    Show {
        /// The client's name in the configuration
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Rehearse a login of a RADIUS client and tell each step and rule: no phone rings and nothing is written, unless asked
    Simulate(Rehearsal),
    /// List who is on, as the clients tell by accounting
    Sessions {
        /// Only those in whose name, client, NAS, session id or addresses this stands
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Whose login, and how much of it in earnest.
#[derive(Debug, Args)]
pub(super) struct Rehearsal {
    /// The client's name in the configuration
    #[arg(long, value_name = "NAME")]
    client: String,
    /// The name as the person types it
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Read the password from standard input and have it checked once: a wrong one counts against the person; without it the first factor is taken as passed
    #[arg(long)]
    password_stdin: bool,
    /// The code that the person would type
    #[arg(long, value_parser = code)]
    code: Option<Typed>,
    /// Where the person is
    #[arg(long, value_name = "IP")]
    from: Option<IpAddr>,
    /// Ask for the second factor in earnest: the phone rings, a right code is used up, a wrong one counts; waits 25 s
    #[arg(long)]
    ask: bool,
    #[command(flatten)]
    reach: Reach,
}

/// A code, printed by no log.
#[derive(Clone, Debug)]
struct Typed(Once);

#[allow(clippy::unnecessary_wraps, reason = "clap wants a parser that may fail")]
fn code(text: &str) -> Result<Typed, String> {
    Ok(Typed(Once::new(text.to_owned())))
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add(addition) => add::run(&addition).await,
        Verb::List { wide, reach } => list(wide, &reach).await,
        Verb::Show { name, reach } => show(&name, &reach).await,
        Verb::Simulate(rehearsal) => simulate(rehearsal).await,
        Verb::Sessions { search, reach } => sessions::sessions(search.as_deref().unwrap_or_default(), &reach).await,
    }
}

async fn list(wide: bool, reach: &Reach) -> Result<(), Failure> {
    let found: ClientList = Server::new(reach)?.get(&["clients"], &[]).await?;
    if reach.json {
        let all: Vec<_> = found.clients.iter().map(Listed::Radius).chain(found.ldap.iter().map(Listed::Ldap)).collect();
        return say_json(&all);
    }
    if wide {
        let rows: Vec<_> = found.clients.iter().map(wide_row).chain(found.ldap.iter().map(wide_ldap_row)).collect();
        let header =
            ["NAME", "DOOR", "NETWORKS", "PROFILE", "FIRST", "POLICY", "INTEGRITY", "SIGNED", "SIGNING", "PATIENCE", "RESENDS", "GIVES UP", "LAST SEEN"];
        say_table(&header, &rows)?;
    } else {
        let rows: Vec<_> = found.clients.iter().map(row).chain(found.ldap.iter().map(ldap_row)).collect();
        say_table(&["NAME", "DOOR", "NETWORKS", "POLICY", "SIGNING"], &rows)?;
    }
    let advised: Vec<_> = found.clients.iter().filter(|client| !client.advice.is_empty()).map(|client| client.name.as_str()).collect();
    if !advised.is_empty() {
        complain(&[format!("seen since {}; `vestibule client show NAME` says what to change for: {}", found.seen_since, advised.join(", "))]);
    }
    Ok(())
}

/// Of either door.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed<'a> {
    Radius(&'a shapes::Client),
    Ldap(&'a LdapClient),
}

fn row(client: &shapes::Client) -> Vec<String> {
    vec![client.name.clone(), client.door.clone(), networks(&client.networks, 1), client.policy.clone(), client.signing.clone()]
}

fn ldap_row(client: &LdapClient) -> Vec<String> {
    vec![client.name.clone(), client.door.clone(), anywhere(client, 1), client.policy.clone(), or_dash(None)]
}

fn wide_row(client: &shapes::Client) -> Vec<String> {
    vec![
        client.name.clone(),
        client.door.clone(),
        networks(&client.networks, NETWORKS_SHOWN),
        or_dash(client.profile.as_deref()),
        client.first.clone(),
        client.policy.clone(),
        client.integrity.clone(),
        percent(client),
        client.signing.clone(),
        time(client.patience_ms),
        or_dash(client.resends_every_ms.map(time).as_deref()),
        or_dash(client.gives_up_after_ms.map(time).as_deref()),
        or_dash(client.last_seen.as_deref()),
    ]
}

fn wide_ldap_row(client: &LdapClient) -> Vec<String> {
    let first = format!("directory {}", client.directory);
    let known = vec![client.name.clone(), client.door.clone(), anywhere(client, NETWORKS_SHOWN), or_dash(None), first, client.policy.clone()];
    [known, vec![or_dash(None); 7]].concat()
}

/// Where an LDAP client is known to be.
fn anywhere(client: &LdapClient, shown: usize) -> String {
    if client.networks.is_empty() { "anywhere".to_owned() } else { networks(&client.networks, shown) }
}

/// The first few, and how many more.
fn networks(all: &[String], count: usize) -> String {
    let shown: Vec<_> = all.iter().take(count).map(String::as_str).collect();
    match all.len().saturating_sub(count) {
        0 => shown.join(", "),
        more => format!("{} +{more}", shown.join(", ")),
    }
}

fn percent(client: &shapes::Client) -> String {
    or_dash(client.signed_percent.map(|percent| format!("{percent}%")).as_deref())
}

/// To a tenth of a second.
fn time(ms: u64) -> String {
    let rounded = ms.saturating_add(50).checked_div(100).unwrap_or_default().saturating_mul(100);
    humantime::format_duration(Duration::from_millis(rounded)).to_string()
}

async fn show(name: &str, reach: &Reach) -> Result<(), Failure> {
    let shown: ShownClient = Server::new(reach)?.get(&["clients", name], &[]).await?;
    if reach.json {
        return say_json(&shown);
    }
    let facts = match &shown {
        ShownClient::Radius(detail) => facts(detail),
        ShownClient::Ldap(client) => ldap_facts(client),
    };
    let lines: Vec<_> = facts.iter().map(|(what, value)| format!("{what:<10} {}", harmless(value))).collect();
    say(&lines.join("\n"))
}

fn ldap_facts(client: &LdapClient) -> Vec<(&'static str, String)> {
    let listener = client.listener.as_ref().map_or_else(|| "itself: whoever comes and is no application of its own".to_owned(), Clone::clone);
    vec![
        ("name", client.name.clone()),
        ("door", format!("{}, {}", client.door, client.transport)),
        ("listener", listener),
        ("networks", if client.networks.is_empty() { "anywhere".to_owned() } else { client.networks.join(", ") }),
        ("certificate", or_dash(client.certificate.as_deref())),
        ("service", or_dash(client.service.as_deref())),
        ("directory", client.directory.clone()),
        ("code", client.code.clone()),
        ("policy", format!("{}: {}", client.policy, client.methods.join(", then "))),
        ("exempt", if client.exempt.is_empty() { "nobody".to_owned() } else { client.exempt.join("; ") }),
    ]
}

fn facts(detail: &ClientDetail) -> Vec<(&'static str, String)> {
    let client = &detail.client;
    let usual = detail.profile_resends_every_ms.map(|usual| format!(" (as shipped {})", time(usual))).unwrap_or_default();
    let resends = client.resends_every_ms.map_or_else(|| "never seen".to_owned(), |every| format!("every {}", time(every)));
    let gives_up = client.gives_up_after_ms.map_or_else(|| "never seen".to_owned(), |after| format!("after {}", time(after)));
    let mut facts = vec![
        ("name", client.name.clone()),
        ("networks", client.networks.join(", ")),
        ("identifier", or_dash(detail.nas_identifier.as_deref())),
        ("profile", or_dash(client.profile.as_deref())),
        ("first", client.first.clone()),
        ("code", detail.code.clone()),
        ("source", or_dash(detail.source.as_deref())),
        ("policy", format!("{}: {}", client.policy, detail.methods.join(", then "))),
        ("integrity", client.integrity.clone()),
        ("signing", format!("{} ({} signed, {} unsigned requests dropped)", client.signing, percent(client), detail.unsigned_dropped)),
        ("patience", time(client.patience_ms)),
        ("resends", format!("{resends}{usual}")),
        ("gives up", gives_up),
        ("seen since", detail.seen_since.clone()),
        ("last seen", client.last_seen.clone().unwrap_or_else(|| "never".to_owned())),
        ("requests", format!("{}, {} logins and answers, {} copies, {} with Proxy-State", detail.requests, detail.asked, detail.copies, detail.proxied)),
        ("logins", format!("{} let in, {} refused, {} asked for more, {} undecided", detail.accepts, detail.rejects, detail.challenges, detail.drops)),
    ];
    facts.extend(client.advice.iter().map(|advice| ("change", advice.clone())));
    if client.advice.is_empty() {
        facts.push(("change", "nothing".to_owned()));
    }
    facts
}

async fn simulate(rehearsal: Rehearsal) -> Result<(), Failure> {
    let Rehearsal { client, user, password_stdin, code, from, ask, reach } = rehearsal;
    let password = if password_stdin { Some(password()?) } else { None };
    let asked = NewSimulation { user, password, code: code.map(|Typed(code)| code), from: from.map(|from| from.to_string()), ask };
    let told: Simulation = Server::new(&reach)?.ask(Method::POST, &["clients", &client, "simulate"], &[], Some(&asked)).await?;
    if reach.json {
        return say_json(&told);
    }
    say(&told_in_rows(&told))?;
    if told.assumed { say("* nobody was asked: --password-stdin has the password checked, --ask the second factor") } else { Ok(()) }
}

/// Each step and rule, the verdict, and the reply.
pub(super) fn told_in_rows(told: &Simulation) -> String {
    let step = |step: &shapes::SimulationStep| format!("{:<14} {}{}", step.part, harmless(&step.told), if step.assumed { " *" } else { "" });
    let mut lines: Vec<_> = told.steps.iter().map(step).collect();
    lines.push(format!("{:<14} {} ({})", "verdict", told.verdict, told.why));
    lines.push(format!("{:<14} {}", "reply", harmless(&told.reply)));
    let attribute = |attribute: &shapes::ReplyAttribute| {
        let group = attribute.group.as_ref().map(|group| format!(" (group {group})")).unwrap_or_default();
        format!("{:<14} {}", "", harmless(&format!("{} = {}{group}", attribute.name, attribute.value)))
    };
    lines.extend(told.attributes.iter().map(attribute));
    lines.join("\n")
}

/// One line of standard input, without its end.
fn password() -> Result<Once, Failure> {
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().take(PASSWORD_LINE_MAX).read_line(&mut line).map_err(|error| Failure::failed(format!("cannot read the password: {error}"), ""))?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage("there is no password on standard input".to_owned()));
    }
    Ok(Once::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_a_tenth_of_a_second() {
        assert_eq!([60_000, 2_949, 300].map(time), ["1m", "2s 900ms", "300ms"]);
    }
}
