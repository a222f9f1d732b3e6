//! The end: what was written, what to set on the NAS, what to type next.

use crate::app::config;
use crate::app::init::Draft;

/// What to set on the side of the first client, with a line about its secret.
pub(super) fn nas(draft: &Draft, secret: &str) -> String {
    let Some(client) = &draft.client else { return String::new() };
    let page = client
        .profile
        .as_deref()
        .and_then(config::page)
        .unwrap_or_else(|| format!("RADIUS server: this machine, port {}, PAP, and a timeout of 60 s", draft.radius.rsplit(':').next().unwrap_or("1812")));
    format!("\nOn {}:\n{secret}\n\n{page}", client.name)
}

/// What to type next.
pub(super) fn next(lines: &[String]) -> String {
    let lines: Vec<_> = lines.iter().map(|line| format!("  {line}")).collect();
    format!("\nNext:\n{}", lines.join("\n"))
}
