//! `vestibule reload`: has the server read its configuration anew, and tells what came of it.

use clap::Args;
use reqwest::Method;

use super::output::Failure;
use super::output::complain;
use super::output::say;
use super::output::say_json;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::Reloaded;

/// Which server.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    reach: Reach,
}

/// Does it.
///
/// # Errors
/// What is wrong with the configuration; then everything stays as it was.
pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let reloaded = ask(&options.reach).await?;
    if options.reach.json {
        return say_json(&reloaded);
    }
    complain(&reloaded.warnings.iter().map(|warning| format!("warning: {warning}")).collect::<Vec<_>>());
    say("reloaded: logins under way finish by the old configuration")
}

/// Asks for it.
pub(super) async fn ask(reach: &Reach) -> Result<Reloaded, Failure> {
    Server::new(reach)?.ask(Method::POST, &["reload"], &[], NOTHING).await
}
