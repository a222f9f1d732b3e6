//! `vestibule client add`: a NAS with a secret of its own, in a drop-in of its own, taken at once, and what to set on its side.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use ipnet::IpNet;
use serde::Serialize;

use crate::app::config;
use crate::app::config::Config;
use crate::app::config::Outline;
use crate::app::config::Problem;
use crate::app::init;
use crate::app::init::Nas;
use crate::app::secrets;
use crate::app::secrets::Owner;
use crate::app::whole;
use crate::app::whole::Draft;
use crate::cli::output::Failure;
use crate::cli::output::complain;
use crate::cli::output::say;
use crate::cli::output::say_json;
use crate::cli::reload;
use crate::cli::server::Reach;

/// Which NAS.
#[derive(Debug, Args)]
pub(in crate::cli) struct Addition {
    /// Its name: in logs, questions on phones, and of its files
    #[arg(value_parser = name)]
    name: String,
    /// Where its packets come from: an address or a network, several with commas between them
    #[arg(long, required = true, value_delimiter = ',', value_name = "NETWORK", value_parser = network)]
    network: Vec<String>,
    /// What kind of NAS it is
    #[arg(long, value_parser = PossibleValuesParser::new(config::profiles()))]
    profile: Option<String>,
    /// Who checks the password: `directory=NAME`, `upstream=NAME`, `winbind=DOMAIN` or `waived`; the only directory where there is one
    #[arg(long, value_parser = first)]
    first: Option<First>,
    /// Whose rules its people come in by; the only policy where there is one
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The server's configuration
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", default_value = "/etc/vestibule/vestibule.toml")]
    config: PathBuf,
    /// The server's admin socket; else the one in the configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON, without the secret
    #[arg(long)]
    json: bool,
}

/// Who checks the password.
#[derive(Clone, Debug, PartialEq, Eq)]
enum First {
    Named(&'static str, String),
    Waived,
}

fn first(text: &str) -> Result<First, String> {
    if text == "waived" {
        return Ok(First::Waived);
    }
    let (kind, name) = text.split_once('=').ok_or("write directory=NAME, upstream=NAME, winbind=DOMAIN or waived")?;
    let kind = ["directory", "upstream", "winbind"].into_iter().find(|known| *known == kind).ok_or("directory, upstream or winbind")?;
    self::name(name).map(|name| First::Named(kind, name))
}

/// A name that can be a file's, too.
pub(in crate::cli) fn name(text: &str) -> Result<String, String> {
    let fine = (1..=NAME_LEN_MAX).contains(&text.len()) && !text.starts_with('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if fine { Ok(text.to_owned()) } else { Err("1 to 64 letters, digits, `.`, `_` and `-`, no dot first".to_owned()) }
}

/// An address or a network.
pub(in crate::cli) fn network(text: &str) -> Result<String, String> {
    let fine = text.parse::<IpNet>().is_ok() || text.parse::<std::net::IpAddr>().is_ok();
    if fine { Ok(text.to_owned()) } else { Err("an address or a network: 192.0.2.10 or 192.0.2.0/24".to_owned()) }
}

/// What was made.
#[derive(Debug, Serialize)]
struct Added {
    name: String,
    /// The drop-in.
    file: PathBuf,
    /// Where its secret is.
    secret_file: PathBuf,
    /// The server runs by it.
    reloaded: bool,
}

/// Does it.
///
/// # Errors
/// What does not fit the configuration; nothing stays behind then.
pub(in crate::cli) async fn run(addition: &Addition) -> Result<(), Failure> {
    let config = std::path::absolute(&addition.config)?;
    let outline = config::outline(&config).map_err(|problems| told(&problems))?;
    let text = section(addition, &outline)?;
    let secret = secrets::make_shared().map_err(|error| Failure::failed(error.to_string(), ""))?;
    let place = |folder: &str, ending: &str| config.with_file_name(folder).join(format!("{}.{ending}", addition.name));
    let (dropin, secret_file) = (place("conf.d", "toml"), place("secrets", "radius"));
    let before = wrong(&config);
    let mut made = Made { owner: Owner::of(&config, outline.data_dir.as_deref()), files: Vec::new() };
    let written = made.write(&secret_file, secret.expose(), 0o400, made.owner).and_then(|()| {
        // The configuration is root's; its group, which it is for, reads it.
        made.write(&dropin, text.as_bytes(), 0o640, Owner { uid: None, ..made.owner })
    });
    let taken = match written {
        Ok(()) => taken(addition, &config, &before).await,
        Err(failure) => Err(failure),
    };
    let reloaded = match taken {
        Ok(reloaded) => reloaded,
        Err(failure) => {
            made.take_away();
            return Err(match failure {
                Failure::Config(lines) => {
                    Failure::Config([format!("{} is not added, and what was written for it is gone again", addition.name)].into_iter().chain(lines).collect())
                }
                other => other,
            });
        }
    };
    tell(addition, dropin, secret_file, reloaded, secret.expose_text().unwrap_or_default())
}

/// The drop-in's text.
fn section(addition: &Addition, outline: &Outline) -> Result<String, Failure> {
    if outline.radius_clients.contains(&addition.name) {
        let hint = "choose another name, or change the one that is there by hand";
        return Err(Failure::failed(format!("there is a [[radius.client]] {:?} already", addition.name), hint));
    }
    let policy = addition.policy.clone().or_else(|| only(&outline.policies)).ok_or_else(|| which("policy", "--policy NAME", &outline.policies))?;
    let first = match &addition.first {
        Some(First::Waived) => "\"waived\"".to_owned(),
        Some(First::Named(kind, name)) => format!("{{ {kind} = {name:?} }}"),
        None => {
            let directory = only(&outline.directories).ok_or_else(|| which("directory", "--first directory=NAME", &outline.directories))?;
            format!("{{ directory = {directory:?} }}")
        }
    };
    let client = Nas { name: addition.name.clone(), networks: addition.network.clone(), profile: addition.profile.clone(), secret: None };
    let secret = format!("{{ file = \"secrets/{}.radius\" }}", addition.name);
    let head = "# Made by `vestibule client add`. Change it as you like; every key is in the commented vestibule.toml.\n";
    Ok(format!("{head}{}", init::client_section(&client, &secret, &first, &policy)))
}

fn only(names: &[String]) -> Option<String> {
    if let [only] = names { Some(only.clone()) } else { None }
}

fn which(kind: &str, flag: &str, names: &[String]) -> Failure {
    match names {
        [] => Failure::failed(format!("the configuration has no {kind}"), &format!("write a [{kind}.NAME] first")),
        names => Failure::failed(format!("which {kind}? There are {}", names.join(", ")), &format!("say it with {flag}")),
    }
}

/// The files that were made, and nobody else's.
#[derive(Debug)]
struct Made {
    owner: Owner,
    files: Vec<PathBuf>,
}

impl Made {
    /// In folders that are root's: whoever serves reads there and changes nothing.
    fn write(&mut self, path: &Path, bytes: &[u8], mode: u32, owner: Owner) -> Result<(), Failure> {
        let written = || {
            secrets::make_room(path, self.owner)?;
            let mut draft = Draft::begin(path, "new", mode)?;
            draft.give(owner.uid, owner.gid)?;
            draft.write_all(bytes)?;
            draft.finish(true)
        };
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "type it as root",
                io::ErrorKind::AlreadyExists => "take that file away, or choose another name",
                _ => "",
            };
            Failure::failed(format!("cannot make {}: {error}", path.display()), hint)
        };
        written().map_err(failed)?;
        self.files.push(path.to_owned());
        Ok(())
    }

    /// What was made for nothing goes away again.
    fn take_away(&self) {
        for path in &self.files {
            let _ = whole::remove(path);
        }
    }
}

/// Whether a server runs and has taken it. One that does not run takes it when it starts: then it is looked for what is wrong now and was not before.
async fn taken(addition: &Addition, config: &Path, before: &[String]) -> Result<bool, Failure> {
    let socket = match &addition.socket {
        Some(socket) => socket.clone(),
        None => config::admin_socket(config).map_err(|problems| told(&problems))?,
    };
    if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        reload::ask(&Reach { socket: Some(socket), ..Reach::default() }).await?;
        return Ok(true);
    }
    // Other secrets may be out of our reach.
    let ours: Vec<_> = wrong(config).into_iter().filter(|problem| !before.contains(problem)).collect();
    if ours.is_empty() { Ok(false) } else { Err(Failure::Config(ours)) }
}

fn wrong(config: &Path) -> Vec<String> {
    Config::load(config).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn told(problems: &[Problem]) -> Failure {
    Failure::Config(problems.iter().map(ToString::to_string).collect())
}

fn tell(addition: &Addition, file: PathBuf, secret_file: PathBuf, reloaded: bool, secret: &str) -> Result<(), Failure> {
    if addition.json {
        return say_json(&Added { name: addition.name.clone(), file, secret_file, reloaded });
    }
    let state = if reloaded { "the server has taken it" } else { "no server runs: it takes it when it starts" };
    complain(&[format!("{} is added in {}; {state}", addition.name, file.display())]);
    say(&format!("secret: {secret}"))?;
    complain(&[format!("(kept in {} for the server alone)", secret_file.display())]);
    match addition.profile.as_deref().and_then(config::page) {
        Some(page) => say(&format!("\n{page}")),
        None => Ok(()),
    }
}

const NAME_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn addition(network: &str) -> Addition {
        Addition {
            name: "fw1".into(),
            network: vec![network.into()],
            profile: Some("fortigate".into()),
            first: None,
            policy: None,
            config: PathBuf::new(),
            socket: None,
            json: false,
        }
    }

    #[test]
    fn a_section_takes_the_only_directory_and_policy_and_asks_where_there_are_two() {
        let one = Outline { directories: vec!["corp".into()], policies: vec!["vpn".into()], ..Outline::default() };
        let text = section(&addition("192.0.2.1"), &one).unwrap();
        assert!(
            text.contains("first = { directory = \"corp\" }\napproval = \"wait\"\npatience = \"60s\"\npolicy = \"vpn\"\n")
                && text.contains("profile = \"fortigate\""),
            "{text}"
        );
        let two = Outline { policies: vec!["a".into(), "b".into()], ..one.clone() };
        assert!(matches!(section(&addition("192.0.2.1"), &two), Err(Failure::Failed { error, .. }) if error == "which policy? There are a, b"));
        let taken = Outline { radius_clients: vec!["fw1".into()], ..one };
        assert!(section(&addition("192.0.2.1"), &taken).is_err());
    }

    #[test]
    fn a_name_cannot_leave_its_folder() {
        for bad in ["", "..", ".x", "a/b", "a b", "ä"] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert_eq!(first("directory=corp"), Ok(First::Named("directory", "corp".into())));
        assert!(first("directory").is_err() && first("ldap=corp").is_err());
    }
}
