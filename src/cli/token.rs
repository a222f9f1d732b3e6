//! `vestibule token ..`: code generators.

mod backup;
mod import;

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use qrcode::QrCode;
use qrcode::render::svg;
use qrcode::render::unicode::Dense1x2;
use reqwest::Method;

use super::output::Failure;
use super::output::complain;
use super::output::harmless;
use super::output::minute;
use super::output::or_dash;
use super::output::say;
use super::output::say_json;
use super::output::say_table;
use super::server::NOTHING;
use super::server::Reach;
use super::server::Server;
use super::server::Whom;
use crate::app::shapes::Enrolled;
use crate::app::shapes::Kind;
use crate::app::shapes::NewResync;
use crate::app::shapes::NewToken;
use crate::app::shapes::Once;
use crate::app::shapes::ProviderEnrolment;
use crate::app::shapes::Token;
use crate::app::shapes::TokenList;
use crate::domain::otp::Algorithm;

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Issue backup codes for somebody who has lost the token
    ///
    /// They stand in place of those there may be, each is good once, and they are shown this once.
    Backup(backup::Issue),
    /// Make a token: its QR code and otpauth:// line are shown this once
    ///
    /// With --provider a provider (Duo) is asked to make the person known, and the address is shown at which a phone is added.
    Enrol(Enrolment),
    /// Enrol hardware tokens by the file: all of them or none
    Import(import::Import),
    /// List tokens, of one account or all
    List {
        /// The account's name or identity
        name: Option<String>,
        /// The directory it is in, where more than one has that name
        #[arg(long, value_name = "NAME", requires = "name")]
        directory: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Bring a token that goes by counter back into step, with codes that it showed one after the other
    ///
    /// Two or three codes; a wrong try counts as a wrong code.
    Resync {
        /// The token's id, or the name of whoever has one such token
        token: String,
        /// The codes, the first one first
        #[arg(required = true, num_args = 2..=3, value_name = "CODE")]
        codes: Vec<String>,
        /// The directory the account is in, where more than one has that name
        #[arg(long, value_name = "NAME")]
        directory: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Remove a token
    Remove {
        /// The token's id, as `token list` shows it
        id: String,
        #[command(flatten)]
        reach: Reach,
    },
}

/// How a token is made.
#[derive(Debug, Args)]
pub(super) struct Enrolment {
    #[command(flatten)]
    whom: Whom,
    /// Hash: not every app knows others than SHA-1
    #[arg(long, value_enum, default_value = "sha1")]
    algorithm: Hash,
    /// Digits of a code
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u8).range(6..=8))]
    digits: u8,
    /// Seconds a code lives: 30 or 60
    #[arg(long, default_value = "30", value_parser = period)]
    period: u32,
    /// Codes by counter in place of time
    #[arg(long, conflicts_with = "period")]
    hotp: bool,
    /// Enrol the person there (Duo) in place of making a token of ours: the name of a [provider.NAME]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["algorithm", "digits", "period", "hotp"])]
    provider: Option<String>,
    /// Print the QR code even where the output is no terminal
    #[arg(long, conflicts_with = "json")]
    qr: bool,
    /// Write the QR code to this new file, which nobody else can read
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    reach: Reach,
}

/// Hash inside the HMAC.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Hash {
    /// HMAC-SHA-1
    Sha1,
    /// HMAC-SHA-256
    Sha256,
    /// HMAC-SHA-512
    Sha512,
}

impl From<Hash> for Algorithm {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Sha1 => Self::Sha1,
            Hash::Sha256 => Self::Sha256,
            Hash::Sha512 => Self::Sha512,
        }
    }
}

const STILL: &str = "the token is enrolled all the same: its otpauth:// line is above";

/// Does it.
///
/// # Errors
/// What the server says, or the SVG file cannot be written.
pub(super) async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Backup(issue) => backup::run(&issue).await,
        Verb::Enrol(enrolment) => enrol(&enrolment).await,
        Verb::Import(import) => import::run(&import).await,
        Verb::List { name, directory, reach } => list(name.map(|name| Whom { name, directory }), &reach).await,
        Verb::Resync { token, codes, directory, reach } => {
            let query: Vec<_> = directory.iter().map(|directory| ("directory", directory.as_str())).collect();
            let new = NewResync { token, codes: codes.into_iter().map(Once::new).collect() };
            let token: Token = Server::new(&reach)?.ask(Method::POST, &["tokens", "resync"], &query, Some(&new)).await?;
            if reach.json {
                return say_json(&token);
            }
            say(&harmless(&format!("token {} of {} is in step again", token.id, or_dash(token.account.as_deref()))))
        }
        Verb::Remove { id, reach } => {
            let token: Token = Server::new(&reach)?.ask(Method::DELETE, &["tokens", &id], &[], NOTHING).await?;
            if reach.json {
                return say_json(&token);
            }
            say(&harmless(&format!("removed token {} of {}", token.id, or_dash(token.account.as_deref()))))
        }
    }
}

/// `TOTP SHA1 6 digits 30 s`
pub(super) fn kind(token: &Token) -> String {
    let (kind, period) = match token.kind {
        Kind::Hotp => ("HOTP", String::new()),
        Kind::Totp => ("TOTP", token.period_s.map(|period| format!(" {period} s")).unwrap_or_default()),
    };
    format!("{kind} {} {} digits{period}", token.algorithm.as_str(), token.digits)
}

async fn enrol(enrolment: &Enrolment) -> Result<(), Failure> {
    let server = Server::new(&enrolment.reach)?;
    if let Some(provider) = &enrolment.provider {
        return enrol_at(enrolment, &server, provider).await;
    }
    // The file first: a seed that could then not be written would be lost.
    let file = enrolment.svg.as_deref().map(create).transpose()?;
    let new = NewToken {
        kind: if enrolment.hotp { Kind::Hotp } else { Kind::Totp },
        algorithm: enrolment.algorithm.into(),
        digits: enrolment.digits,
        period_s: enrolment.period,
    };
    let whom = &enrolment.whom;
    let enrolled = server.ask::<Enrolled>(Method::POST, &whom.path(&["tokens"]), &whom.query(), Some(&new)).await;
    if let (Err(_), Some(path)) = (&enrolled, &enrolment.svg) {
        let _ = fs::remove_file(path);
    }
    let enrolled = enrolled?;
    // The token is made: whatever fails from here on, its line is out first, and one failure hides no other part.
    let told = tell(enrolment, &enrolled);
    let drawn = enrolment.svg.as_deref().zip(file).map_or(Ok(()), |(path, file)| draw(path, file, &enrolled.uri));
    told.and(drawn)
}

/// At a provider that has an enrolment of its own.
async fn enrol_at(enrolment: &Enrolment, server: &Server, provider: &str) -> Result<(), Failure> {
    let file = enrolment.svg.as_deref().map(create).transpose()?;
    let whom = &enrolment.whom;
    let enrolled = server.ask::<ProviderEnrolment>(Method::POST, &whom.path(&["enrolments", provider]), &whom.query(), NOTHING).await;
    if let (Err(_), Some(path)) = (&enrolled, &enrolment.svg) {
        let _ = fs::remove_file(path);
    }
    let enrolled = enrolled?;
    if enrolment.reach.json {
        say_json(&enrolled)?;
    } else {
        say(enrolled.url.expose())?;
        let until = enrolled.until.as_deref().map(|until| format!(", good until {}", minute(until))).unwrap_or_default();
        complain(&[harmless(&format!("{} adds a phone at {} by this address{until}: give it to that person alone", enrolled.account, enrolled.provider))]);
        if enrolment.qr || io::stdout().is_terminal() {
            show(&enrolled.url)?;
        }
    }
    enrolment.svg.as_deref().zip(file).map_or(Ok(()), |(path, file)| draw(path, file, &enrolled.url))
}

fn tell(enrolment: &Enrolment, enrolled: &Enrolled) -> Result<(), Failure> {
    if enrolment.reach.json {
        return say_json(enrolled);
    }
    say(enrolled.uri.expose())?;
    let owner = or_dash(enrolled.token.account.as_deref());
    complain(&[format!("token {} ({}) is enrolled for {owner}; it is shown this once", enrolled.token.id, kind(&enrolled.token))]);
    if enrolment.qr || io::stdout().is_terminal() {
        show(&enrolled.uri)?;
    }
    Ok(())
}

/// Draws the QR code of a line on the terminal.
///
/// Light on dark terminals and dark on light ones alike: the quiet zone is drawn too.
pub(super) fn show(uri: &Once) -> Result<(), Failure> {
    say(&qr_code(uri)?.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// Writes the SVG file and says so.
pub(super) fn draw(path: &Path, mut file: File, uri: &Once) -> Result<(), Failure> {
    let drawn = qr_code(uri)?.render::<svg::Color<'_>>().min_dimensions(320, 320).build();
    let broken = |error: io::Error| {
        // Half a QR code is none.
        let _ = fs::remove_file(path);
        Failure::failed(format!("the QR code cannot be written to {}: {error}", path.display()), STILL)
    };
    file.write_all(drawn.as_bytes()).map_err(broken)?;
    complain(&[format!("its QR code is in {}: remove that file once it is scanned", path.display())]);
    Ok(())
}

fn qr_code(uri: &Once) -> Result<QrCode, Failure> {
    QrCode::new(uri.expose()).map_err(|error| Failure::failed(format!("no QR code can be made: {error}"), STILL))
}

/// A new file for its owner alone; one that is there stays as it is.
pub(super) fn create(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.map_err(|error| Failure::failed(format!("cannot make {}: {error}", path.display()), "give the name of a new file"))
}

async fn list(whom: Option<Whom>, reach: &Reach) -> Result<(), Failure> {
    let server = Server::new(reach)?;
    let found: TokenList = match &whom {
        Some(whom) => server.get(&whom.path(&["tokens"]), &whom.query()).await?,
        None => server.get(&["tokens"], &[]).await?,
    };
    if found.more {
        complain(&["there are more tokens than these: name an account to see all of its own".to_owned()]);
    }
    if reach.json {
        return say_json(&found.tokens);
    }
    let row = |token: &Token| {
        let (account, directory) = (or_dash(token.account.as_deref()), or_dash(token.directory.as_deref()));
        vec![token.id.clone(), account, directory, kind(token), minute(&token.created_at)]
    };
    let rows: Vec<_> = found.tokens.iter().map(row).collect();
    say_table(&["ID", "ACCOUNT", "DIRECTORY", "KIND", "ENROLLED"], &rows)
}

fn period(text: &str) -> Result<u32, String> {
    match text {
        "30" => Ok(30),
        "60" => Ok(60),
        _ => Err("30 or 60".to_owned()),
    }
}
