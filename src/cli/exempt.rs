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
    /// List service accounts that LDAP listeners let in without a second factor: from where, until when, and whether they are in use
    List {
        #[command(flatten)]
        reach: Reach,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    let Verb::List { reach } = verb;
    let found: Vec<Exemption> = Server::new(&reach)?.get(&["exemptions"], &[]).await?;
    if reach.json {
        return say_json(&found);
    }
    let rows: Vec<_> = found.iter().map(row).collect();
    say_table(&["LISTENER", "ACCOUNT", "IDENTITY", "FROM", "CERTIFICATE", "ENDS", "USES", "LAST USED"], &rows)
}

fn row(exemption: &Exemption) -> Vec<String> {
    vec![
        exemption.listener.clone(),
        harmless(&exemption.name),
        exemption.identity.clone().unwrap_or_else(|| "not found: nobody is exempt".to_owned()),
        exemption.networks.join(", "),
        or_dash(exemption.certificate.as_deref()),
        exemption.days_left.map_or_else(|| "over".to_owned(), |days| format!("{} ({days} days)", exemption.until)),
        exemption.uses.to_string(),
        or_dash(exemption.last_used.as_deref()),
    ]
}
