//! What `vestibule init --answers` is told: sections of the configuration, read by the configuration's own readers, and a few of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use toml::Table;
use toml::Value as Toml;

use crate::app::clock::WallClock;
use crate::domain::Network;
use crate::domain::Secret;
use crate::ports::Clock;

use super::Problem;
use super::credentials::Credentials;
use super::files::Files;
use super::folder;
use super::profile;
use super::providers;
use super::reader::Section;
use super::reader::Value;
use super::rooms;
use super::secret::Sources;
use super::texts;
use super::understood;

/// The answers; what is `None` is as usual.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `node.name`
    pub name: Option<String>,
    /// `node.data_dir`, as written.
    pub data_dir: Option<String>,
    /// `admin.socket`, as written.
    pub socket: Option<String>,
    /// `admin.group`
    pub group: Option<String>,
    /// `radius.address`: where RADIUS clients find us.
    pub radius: Option<SocketAddr>,
    /// Each `[directory.NAME]`, as in the configuration; at least one.
    pub directories: Vec<(String, Table)>,
    /// Each `[provider.NAME]`, as in the configuration, in the order of their names.
    pub providers: Vec<(String, Table)>,
    /// `[client]`
    pub client: AnsweredClient,
    /// `[user]`
    pub user: Option<AnsweredUser>,
    /// `service.start`: have systemd start the server, where there is one.
    pub start: bool,
    /// Where paths in it begin.
    pub folder: PathBuf,
}

/// The first RADIUS client.
#[derive(Clone, Debug)]
pub struct AnsweredClient {
    /// Its name.
    pub name: String,
    /// Where it is, at least one.
    pub networks: Vec<String>,
    /// What kind of NAS it is.
    pub profile: Option<String>,
    /// The secret that the NAS has already; else one is made.
    pub secret: Option<Secret>,
}

/// The first person.
#[derive(Clone, Debug)]
pub struct AnsweredUser {
    /// The name, as the directory knows it.
    pub name: String,
    /// A new file for the QR code; else the line goes to standard output.
    pub svg: Option<PathBuf>,
    /// The password, where a login is to be tried.
    pub password: Option<Secret>,
}

/// Reads a file of answers, and every secret that it points to. Blocks on the disk.
///
/// # Errors
/// Everything that is wrong or missing, in the order of the file.
pub fn answers(path: &Path) -> Result<Answers, Vec<Problem>> {
    let files = Files::alone(path)?;
    let table: Table = files.text.parse().unwrap_or_default();
    let sources = Sources::new(folder(path), Credentials::ours(), WallClock.now());
    understood(path, files, |file| whole(file, &sources, &table)).map(|(answers, _)| answers)
}

fn whole(file: &Section<'_>, sources: &Sources, table: &Table) -> Option<Answers> {
    let node = section(file, "node", |node| {
        let name = node.find("name").and_then(|value| value.name()).map(str::to_owned);
        Some((name, node.find("data_dir").and_then(|value| value.text()).map(str::to_owned)))
    });
    let admin = section(file, "admin", |admin| {
        let socket = admin.find("socket").and_then(|value| value.text()).map(str::to_owned);
        Some((socket, admin.find("group").and_then(|value| value.name()).map(str::to_owned)))
    });
    let radius = section(file, "radius", |radius| radius.find("address").and_then(|value| value.address()));
    let start = section(file, "service", |service| service.find("start").and_then(|value| value.flag()));
    let texts = Arc::new(texts::texts(file, sources));
    let directories = rooms::directories(file, sources);
    if directories.is_empty() {
        file.missing("directory", "write [directory.NAME] with kind, servers, base, bind_name and bind_password, as in the configuration");
    }
    providers::providers(file, sources, false, &texts);
    let client = match file.find("client") {
        Some(value) => value.table(|section| client(section, sources)),
        None => {
            file.missing("client", "write [client] with name and networks");
            None
        }
    };
    let user = section(file, "user", |section| user(section, sources));
    let (name, data_dir) = node.unwrap_or_default();
    let (socket, group) = admin.unwrap_or_default();
    Some(Answers {
        name,
        data_dir,
        socket,
        group,
        radius,
        directories: tables(table, "directory"),
        providers: tables(table, "provider"),
        client: client?,
        user,
        start: start.unwrap_or(true),
        folder: sources.folder.clone(),
    })
}

fn section<T>(file: &Section<'_>, key: &'static str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
    file.find(key).and_then(|value| value.table(read))
}

fn client(section: &Section<'_>, sources: &Sources) -> Option<AnsweredClient> {
    let name = section.need("name", "\"fortigate\"").and_then(|value| value.name());
    let networks = section.need("networks", "[\"192.0.2.10\"]").and_then(|value| networks(&value));
    let words: Vec<_> = profile::names().map(|name| (name, name)).collect();
    let profile = section.find("profile").map_or(Some(None), |value| value.word(&words).map(Some));
    let secret = section.find("secret").map_or(Some(None), |value| sources.secret(&value).map(Some));
    Some(AnsweredClient { name: name?.to_owned(), networks: networks?, profile: profile?.map(str::to_owned), secret: secret? })
}

fn networks(value: &Value<'_>) -> Option<Vec<String>> {
    let entries = value.list()?;
    if entries.is_empty() {
        value.error("names no network", Some("write [\"192.0.2.10\"]"));
        return None;
    }
    let read: Vec<_> = entries.iter().map(|entry| entry.parsed::<Network>().and_then(|_| entry.text()).map(str::to_owned)).collect();
    read.into_iter().collect()
}

fn user(section: &Section<'_>, sources: &Sources) -> Option<AnsweredUser> {
    let name = section.need("name", "\"alice\"").and_then(|value| value.text());
    let svg = section.find("svg").and_then(|value| sources.path(&value));
    let password = section.find("password").map_or(Some(None), |value| sources.secret(&value).map(Some));
    Some(AnsweredUser { name: name?.to_owned(), svg, password: password? })
}

/// The tables `[key.NAME]`, as they are written.
fn tables(table: &Table, key: &str) -> Vec<(String, Table)> {
    let named = table.get(key).and_then(Toml::as_table).into_iter().flatten();
    named.filter_map(|(name, value)| Some((name.clone(), value.as_table()?.clone()))).collect()
}
