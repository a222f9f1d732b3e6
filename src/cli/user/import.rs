//! `vestibule user add --csv FILE`: many accounts at once, all of them or none.

use std::fs;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;

use reqwest::Method;

use super::super::output::Failure;
use super::super::output::complain;
use super::super::output::say;
use super::super::output::say_json;
use super::super::server::NOTHING;
use super::super::server::Reach;
use super::super::server::Server;
use crate::app::shapes::Gathered;
use crate::app::shapes::Imported;
use crate::app::shapes::Sheet;

/// Bytes of a file: what the server takes, with room for what JSON makes of it.
const FILE_BYTES_MAX: u64 = 6 * 1024 * 1024;
/// Lines from which on it is shown how far the import is.
const LONG: u64 = 200;
/// Wrong lines that are listed.
const LISTED: usize = 100;
const BAR: u64 = 40;

/// Hands the file in, has every line looked up, and has all written if all are fine.
///
/// # Errors
/// Every line that is wrong, or what the server says.
pub(super) async fn run(path: &Path, reach: &Reach) -> Result<(), Failure> {
    let text = text_of(path)?;
    let server = Server::new(reach)?;
    let mut gathered: Gathered = server.ask(Method::POST, &["imports"], &[], Some(&Sheet { text })).await?;
    let mut wrong = std::mem::take(&mut gathered.wrong);
    while gathered.done < gathered.lines {
        let before = gathered.done;
        gathered = server.ask(Method::POST, &["imports", &gathered.import, "step"], &[], NOTHING).await?;
        wrong.append(&mut gathered.wrong);
        draw(&gathered);
        if gathered.done == before {
            return Err(Failure::failed("the server does not go on", "is it as old as this command?"));
        }
    }
    if gathered.wrong_lines > 0 {
        wrong.sort_by_key(|wrong| wrong.line);
        let lines: Vec<_> = wrong.iter().take(LISTED).map(|wrong| format!("line {}: {}", wrong.line, wrong.error)).collect();
        complain(&lines);
        let error = format!("{} of {} lines are wrong: nothing was added", gathered.wrong_lines, gathered.lines.max(gathered.wrong_lines));
        return Err(Failure::failed(error, "put them right and import the file again"));
    }
    let imported: Imported = server.ask(Method::POST, &["imports", &gathered.import, "write"], &[], NOTHING).await?;
    if reach.json {
        return say_json(&imported);
    }
    say(&format!("added {} accounts", imported.count))
}

/// The text of a file.
///
/// # Errors
/// It cannot be read, is too long or no UTF-8.
fn text_of(path: &Path) -> Result<String, Failure> {
    let unread = |error: io::Error| Failure::failed(format!("cannot read {}: {error}", path.display()), "");
    if fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
        return Err(Failure::failed(format!("{} is longer than 6 MiB", path.display()), "split it"));
    }
    let bytes = fs::read(path).map_err(unread)?;
    String::from_utf8(bytes).map_err(|_| Failure::failed(format!("{} is no UTF-8", path.display()), "save it as \"CSV UTF-8\""))
}

/// How far it is, in place of what stood there before; for people alone.
fn draw(gathered: &Gathered) {
    if gathered.lines < LONG || !io::stderr().is_terminal() {
        return;
    }
    let filled = gathered.done.saturating_mul(BAR).checked_div(gathered.lines).unwrap_or(BAR);
    let bar: String = (0..BAR).map(|at| if at < filled { '#' } else { '.' }).collect();
    let end = if gathered.done == gathered.lines { "\n" } else { "" };
    // Where nobody can see it nobody misses it.
    let _ = write!(io::stderr(), "\r[{bar}] {} of {}{end}", gathered.done, gathered.lines);
}
