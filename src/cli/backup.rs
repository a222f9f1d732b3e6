//! `vestibule backup`, `vestibule restore`, `vestibule rekey`: the store taken along, brought back, and sealed anew.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::Method;

use super::output::Failure;
use super::output::progress;
use super::output::say;
use super::output::say_json;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use crate::app::keep;
use crate::app::keep::HotpJump;
use crate::app::keep::KeepError;
use crate::app::keep::Restored;
use crate::app::secrets;
use crate::app::secrets::Place;
use crate::app::shapes::BackupPiece;
use crate::app::shapes::NewBackup;
use crate::app::shapes::Once;
use crate::app::shapes::Rekeyed;
use crate::app::whole::Draft;

/// What is taken along.
#[derive(Debug, Args)]
pub(super) struct BackupOptions {
    /// The file to write
    #[arg(value_name = "FILE", required_unless_present = "new_key")]
    file: Option<PathBuf>,
    /// The file with the recovery key that seals the backup and opens it again: readable by its owner alone
    #[arg(long, value_name = "FILE", required_unless_present = "new_key")]
    key_file: Option<PathBuf>,
    /// Make a recovery key and nothing else: print it once, or write it into --key-file. Keep it where the backups are not
    #[arg(long, conflicts_with = "file")]
    new_key: bool,
    #[command(flatten)]
    reach: Reach,
}

/// What is brought back.
#[derive(Debug, Args)]
pub(super) struct RestoreOptions {
    /// The backup
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The file with the recovery key
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The configuration: it says where the store goes, and has its master key
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", default_value = "/etc/vestibule/vestibule.toml")]
    config: PathBuf,
    /// How many presses counter tokens are moved on; else 20 for each day that the backup is old
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    hotp_jump: Option<u64>,
}

/// Makes a backup, or a key for backups.
///
/// # Errors
/// What the server says; or the file cannot be written.
pub(super) async fn backup(options: &BackupOptions) -> Result<(), Failure> {
    let (Some(file), Some(key_file)) = (&options.file, &options.key_file) else {
        return new_key(options.key_file.as_deref());
    };
    let key = keep::recovery_key(key_file).map_err(|error| Failure::failed(error, "`vestibule backup --new-key --key-file FILE` makes one"))?;
    let key = Once::new(key.to_hex().expose_text().unwrap_or_default().to_owned());
    let server = Server::new(&options.reach)?;
    let failed = |error: io::Error| unwritten(file, &error);
    let mut draft = Draft::begin(file, "partial", 0o600).map_err(failed)?;
    let records = fetch(&server, key, &mut draft).await?;
    draft.finish(false).map_err(failed)?;
    if options.reach.json {
        return say_json(&serde_json::json!({ "file": file, "records": records }));
    }
    say(&format!("{}: {records} records. The recovery key alone opens it: keep the two apart", file.display()))
}

fn new_key(key_file: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: secrets::SecretError| Failure::failed(error.to_string(), "");
    let key = secrets::make_key().map_err(failed)?;
    let Some(file) = key_file else { return say(key.expose_text().unwrap_or_default()) };
    secrets::store("recovery key", &key, &Place::File(file.to_owned()), true).map_err(failed)?;
    say(&format!("{}: print it and lock it away; without it no backup can be restored", file.display()))
}

async fn fetch(server: &Server, key: Once, out: &mut Draft) -> Result<u64, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("the backup cannot be written: {error}"), "");
    let mut piece: BackupPiece = server.ask(Method::POST, &["backups"], &[], Some(&NewBackup { key })).await?;
    let bar = progress(usize::try_from(piece.total).unwrap_or(usize::MAX), "records");
    loop {
        let bytes = STANDARD.decode(&piece.bytes).map_err(|_| Failure::failed("the server's answer is not understood", "is it as old as this command?"))?;
        out.write_all(&bytes).map_err(failed)?;
        bar.at(piece.done);
        if piece.last {
            bar.done();
            return Ok(piece.done);
        }
        piece = server.ask(Method::POST, &["backups", &piece.id, "step"], &[], NOTHING).await?;
    }
}

/// Brings a backup back while no server runs.
///
/// # Errors
/// Why there is no store now that was not there before.
pub(super) async fn restore(options: RestoreOptions) -> Result<(), Failure> {
    // Reads and writes the disk, for as long as that takes.
    let done = tokio::task::spawn_blocking(move || restored(&options)).await;
    tell(&done.unwrap_or_else(|_| Err(Failure::failed("the restore broke off: this is a fault of ours", "")))?)
}

fn restored(options: &RestoreOptions) -> Result<Restored, Failure> {
    let key = keep::recovery_key(&options.key_file).map_err(|error| Failure::failed(error, ""))?;
    let file = File::open(&options.file).map_err(|error| Failure::failed(format!("{} cannot be read: {error}", options.file.display()), ""))?;
    let size = file.metadata().map_or(0, |found| found.len());
    let bar = progress(usize::try_from(size / PROGRESS_BYTES).unwrap_or(usize::MAX), "64 KiB blocks");
    let from = Watched { from: io::BufReader::with_capacity(1 << 16, file), bar: &bar, bytes: 0 };
    let jump = options.hotp_jump.map_or(HotpJump::ByAge, HotpJump::Presses);
    let restored = keep::restore(&options.config, from, &key, jump);
    bar.done();
    restored.map_err(|error| match error {
        KeepError::Config(problems) => Failure::Config(problems.iter().map(ToString::to_string).collect()),
        error => Failure::failed(error.to_string(), "nothing was restored"),
    })
}

fn tell(restored: &Restored) -> Result<(), Failure> {
    let made = i64::try_from(restored.made_at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or(jiff::Timestamp::MAX);
    let mut lines = vec![
        format!(
            "restored: {} accounts and {} tokens, as {} had them on {}",
            restored.accounts,
            restored.tokens,
            restored.node,
            made.strftime("%Y-%m-%d %H:%M UTC")
        ),
        "codes that go by time are good again in a minute; those in use until now are not".to_owned(),
    ];
    if restored.hotp > 0 {
        let (count, jump) = (restored.hotp, restored.hotp_jump);
        lines.push(format!("{count} counter tokens were moved on by {jump} presses: whose code is refused presses on, or `vestibule token resync`"));
    }
    if restored.backup_codes_void > 0 {
        lines.push(format!("the backup codes of {} people are void: `vestibule token backup NAME` issues new ones", restored.backup_codes_void));
    }
    if restored.bypasses_void > 0 {
        lines.push(format!("{} bypasses are void", restored.bypasses_void));
    }
    lines.push("what was changed since is not in it: blocks, removed accounts, new PINs and tokens. Look through them before you start the server".to_owned());
    say(&lines.join("\n"))
}

/// Seals everything with a new data key.
///
/// # Errors
/// What the server says. Run again, it goes on.
pub(super) async fn rekey(reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let mut state: Rekeyed = server.ask(Method::POST, &["rekey"], &[], NOTHING).await?;
    let bar = progress(usize::try_from(state.total).unwrap_or(usize::MAX), "records");
    while !state.finished {
        state = server.ask(Method::POST, &["rekey", "step"], &[], NOTHING).await?;
        bar.at(state.done);
    }
    bar.done();
    if reach.json { say_json(&state) } else { say(&format!("all is sealed with data key {} now: {} records; the old one is gone", state.epoch, state.done)) }
}

/// A file whose reading is shown.
struct Watched<'a, R> {
    from: R,
    bar: &'a super::output::Progress,
    bytes: u64,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(count).unwrap_or_default());
        self.bar.at(self.bytes / PROGRESS_BYTES);
        Ok(count)
    }
}

fn unwritten(file: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", file.display()), "")
}

const PROGRESS_BYTES: u64 = 1 << 16;
