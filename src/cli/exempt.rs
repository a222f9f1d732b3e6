//! `vestibule exempt ..`: service accounts that need no second factor.

use clap::Subcommand;

use super::output::Failure;
use super::output::harmless;
use super::output::or_dash;
use super::output::say_json;
use super::output::say_table;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::Exemption;

/// What can be done with exemptions; the configuration makes them and takes them away.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List service accounts that LDAP listeners let in without a second factor
    ///
    /// From where, until when, and whether they are in use.
    List {
        /// Show all columns, whole
        #[arg(long)]
        wide: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    let Verb::List { wide, reach } = verb;
    let found: Vec<Exemption> = Server::new(&reach)?.get(&["exemptions"], &[]).await?;
    if reach.json {
        return say_json(&found);
    }
    if wide {
        let rows: Vec<_> = found.iter().map(wide_row).collect();
        return say_table(&["LISTENER", "ACCOUNT", "IDENTITY", "FROM", "CERTIFICATE", "ENDS", "USES", "LAST USED"], &rows);
    }
    let rows: Vec<_> = found.iter().map(row).collect();
    say_table(&["LISTENER", "ACCOUNT", "FROM", "ENDS", "USES"], &rows)
}

fn row(exemption: &Exemption) -> Vec<String> {
    let first = exemption.networks.first().cloned().unwrap_or_default();
    let from = match exemption.networks.len().saturating_sub(1) {
        0 => first,
        more => format!("{first} +{more}"),
    };
    vec![
        exemption.listener.clone(),
        harmless(&leaf(&exemption.name)),
        from,
        exemption.identity.as_ref().map_or_else(|| NOT_FOUND.to_owned(), |_| ends(exemption)),
        exemption.uses.to_string(),
    ]
}

fn wide_row(exemption: &Exemption) -> Vec<String> {
    vec![
        exemption.listener.clone(),
        harmless(&exemption.name),
        exemption.identity.clone().unwrap_or_else(|| NOT_FOUND.to_owned()),
        exemption.networks.join(", "),
        or_dash(exemption.certificate.as_deref()),
        ends(exemption),
        exemption.uses.to_string(),
        or_dash(exemption.last_used.as_deref()),
    ]
}

fn ends(exemption: &Exemption) -> String {
    exemption.days_left.map_or_else(|| format!("{} (over)", exemption.until), |days| format!("{} ({days} days)", exemption.until))
}

/// The first step of a DN: `CN=svc-wiki,..`.
fn leaf(dn: &str) -> String {
    dn.split_once(',').map_or_else(|| dn.to_owned(), |(leaf, _)| format!("{leaf},.."))
}

const NOT_FOUND: &str = "not found: nobody is exempt";
