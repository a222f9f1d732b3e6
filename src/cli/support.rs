//! `vestibule support`: one file for whoever helps, with no secret in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::Failure;
use super::output::say;
use super::output::say_json;
use super::server::Reach;
use super::server::Server;
use crate::app::shapes::AuditPage;
use crate::app::shapes::Vitals;
use crate::app::support;

/// What is gathered.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The file to write; else standard output
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The configuration
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", default_value = "/etc/vestibule/vestibule.toml")]
    config: PathBuf,
    /// The server's admin socket; else the one in the configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// People's names too: as the configuration has them, and the last lines of log and audit
    #[arg(long)]
    names: bool,
}

/// Gathers it.
///
/// # Errors
/// The file cannot be written. That the server does not answer is part of what is gathered.
pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let report = support::report(&options.config, options.names).await;
    let reach = Reach::of(options.socket.clone(), Some(options.config.clone()));
    let (server, audit) = match Server::new(&reach) {
        Ok(server) => {
            let vitals = server.get::<Vitals>(&["vitals"], &[]).await;
            let lines = server.get::<AuditPage>(&["audit"], &[("count", AUDIT_LINES)]).await;
            let lines = lines.ok().filter(|_| options.names).map(|page| page.lines).unwrap_or_default();
            (vitals.map_or_else(|why| json!({ "away": why.words() }), |vitals| json!(vitals)), lines)
        }
        Err(why) => (json!({ "away": why.words() }), Vec::new()),
    };
    let bundle = json!({ "report": report, "server": server, "audit": audit });
    let Some(file) = &options.file else { return say_json(&bundle) };
    let written = || {
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
        out.write_all(format!("{bundle:#}\n").as_bytes())
    };
    written().map_err(|error| Failure::failed(format!("{} cannot be written: {error}", file.display()), ""))?;
    let names = if options.names { "it names people: look through it before you send it" } else { "no secret and no name of a person is in it" };
    say(&format!("{}: {names}", file.display()))
}

const AUDIT_LINES: &str = "200";
