//! `vestibule token import`: hardware tokens by the file.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use reqwest::Method;
use zeroize::Zeroizing;

use super::super::output::Failure;
use super::super::output::complain;
use super::super::output::say;
use super::super::output::say_json;
use super::super::server::Reach;
use super::super::server::Server;
use crate::app::shapes::Once;
use crate::app::shapes::TokenFile;
use crate::app::shapes::TokensImported;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 6 * 1024 * 1024;
/// Wrong lines that are listed.
const LISTED: usize = 100;

/// Which file, and what opens it.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// A key container (PSKC, RFC 6030), or a table with the columns serial, secret, type, interval, digits, algorithm, counter, owner, directory
    file: PathBuf,
    /// The file with the shared key that the container is encrypted under, in hexadecimal
    #[arg(long, value_name = "FILE", conflicts_with = "password_file")]
    key_file: Option<PathBuf>,
    /// The file with the password that the container is encrypted under
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// A table of who is to have which token: serial, owner, directory
    #[arg(long, value_name = "FILE")]
    assign: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// Hands the file in; all its tokens are enrolled, or none.
///
/// # Errors
/// Every line that is wrong, or what the server says.
pub(super) async fn run(import: &Import) -> Result<(), Failure> {
    let line = |path: &PathBuf| text_of(path).map(|text| Once::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    let file = TokenFile {
        text: Once::new(text_of(&import.file)?.to_string()),
        key: import.key_file.as_ref().map(line).transpose()?,
        password: import.password_file.as_ref().map(line).transpose()?,
        assign: import.assign.as_deref().map(text_of).transpose()?.map(|text| text.to_string()),
    };
    let imported: TokensImported = Server::new(&import.reach)?.ask(Method::POST, &["tokens", "import"], &[], Some(&file)).await?;
    if !imported.wrong.is_empty() {
        let told = |line: u64| if line == 0 { String::new() } else { format!("line {line}: ") };
        let lines: Vec<_> = imported.wrong.iter().take(LISTED).map(|wrong| format!("{}{}", told(wrong.line), wrong.error)).collect();
        complain(&lines);
        let hint = "put the file right and import it again";
        return Err(Failure::failed(format!("{} lines are wrong: no token was imported", imported.wrong.len()), hint));
    }
    if import.reach.json {
        return say_json(&imported);
    }
    say(&format!("imported {} tokens", imported.count))?;
    // The seeds are in the store now, and still in the file.
    let _ = writeln!(io::stderr(), "{} holds their secrets: remove it once nobody needs it", import.file.display());
    Ok(())
}

fn text_of(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let unread = |error: io::Error| Failure::failed(format!("cannot read {}: {error}", path.display()), "");
    if fs::metadata(path).map_err(unread)?.len() > FILE_BYTES_MAX {
        return Err(Failure::failed(format!("{} is longer than 6 MiB", path.display()), "split it"));
    }
    let bytes = fs::read(path).map_err(unread)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::failed(format!("{} is no UTF-8", path.display()), ""));
    text.map(Zeroizing::new)
}
