//! What a configuration names, without a look at any secret: all that a command of an administrator needs.

use std::path::Path;
use std::path::PathBuf;

use super::credentials::Credentials;
use super::folder;
use super::problem::Problem;
use super::profile;
use super::read;
use super::reader::Section;
use super::rooms;
use super::secret::Sources;
use crate::app::clock::WallClock;
use crate::ports::Clock;
use crate::store;

/// The names in a configuration, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Each `[directory.NAME]`.
    pub directories: Vec<String>,
    /// Each `[upstream.NAME]`.
    pub upstreams: Vec<String>,
    /// Each `[policy.NAME]`.
    pub policies: Vec<String>,
    /// Each `[[radius.client]]`.
    pub radius_clients: Vec<String>,
    /// `node.data_dir`, which belongs to the user that serves.
    pub data_dir: Option<PathBuf>,
}

/// Reads the names in `path` and its drop-ins. Blocks on the disk.
///
/// # Errors
/// What cannot be read, or is no TOML.
pub fn outline(path: &Path) -> Result<Outline, Vec<Problem>> {
    let names = |file: &Section<'_>| {
        file.forgive();
        let names = |kind| file.named(kind).into_iter().map(|(name, _)| name.to_owned()).collect();
        let data_dir = file.find("node").and_then(|node| {
            node.table(|node| {
                node.forgive();
                node.find("data_dir")?.text().map(|text| folder(path).join(text))
            })
        });
        Some(Outline { directories: names("directory"), upstreams: names("upstream"), policies: names("policy"), radius_clients: clients(file), data_dir })
    };
    read(path, names).map(|(outline, _)| outline)
}

fn clients(file: &Section<'_>) -> Vec<String> {
    let named = |client: &Section<'_>| {
        client.forgive();
        client.find("name")?.text().map(str::to_owned)
    };
    let all = file.find("radius").and_then(|radius| {
        radius.table(|radius| {
            radius.forgive();
            Some(radius.each("client").iter().filter_map(|client| client.table(named)).collect())
        })
    });
    all.unwrap_or_default()
}

/// `admin.socket` of the configuration at `path`: all that a command needs to find the server. Touches no secret.
///
/// # Errors
/// What is wrong with that key, or with the file as a whole.
pub fn admin_socket(path: &Path) -> Result<PathBuf, Vec<Problem>> {
    let sources = Sources::new(folder(path), Credentials::Nowhere, WallClock.now());
    let socket_alone = |file: &Section<'_>| {
        file.forgive();
        Some(rooms::admin(file, &sources).socket)
    };
    read(path, socket_alone).map(|(socket, _)| socket)
}

/// `node.data_dir` and `node.master_key` of the configuration at `path`: all that one needs who works on the store while no server runs.
///
/// # Errors
/// What is wrong with these keys, or with the file as a whole.
pub fn store_settings(path: &Path) -> Result<store::Settings, Vec<Problem>> {
    let sources = Sources::new(folder(path), Credentials::ours(), WallClock.now());
    let node_alone = |file: &Section<'_>| {
        file.forgive();
        Some(rooms::node(file, &sources)?.store)
    };
    read(path, node_alone).map(|(settings, _)| settings)
}

/// The names of all profiles.
pub fn profiles() -> impl Iterator<Item = &'static str> {
    profile::names()
}

/// The page of a profile: what to set on the NAS, what people see, what does not work.
#[must_use]
pub fn page(profile: &str) -> Option<String> {
    let (_, whole) = PAGES.iter().find(|(name, _)| *name == profile)?;
    let comment = whole.lines().take_while(|line| line.starts_with('#'));
    Some(comment.map(|line| line.trim_start_matches('#').strip_prefix(' ').unwrap_or_default()).collect::<Vec<_>>().join("\n"))
}

/// What the page's example sets for such a client beside its name and address, line by line: how long it waits and whether it shows a question, once it is set as
/// the page says.
pub fn usual(profile: &str) -> impl Iterator<Item = &'static str> {
    let whole = PAGES.iter().find(|(name, _)| *name == profile).map_or("", |(_, whole)| *whole);
    let client = whole.lines().skip_while(|line| *line != "[[radius.client]]").skip(1).take_while(|line| !line.starts_with('['));
    client.filter(|line| ["approval", "patience"].iter().any(|key| line.starts_with(&format!("{key} = "))))
}

macro_rules! pages {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!("../../../config/examples/", $name, ".toml")))),*] };
}

const PAGES: &[(&str, &str)] = pages!(
    "cisco-asa",
    "fortigate",
    "globalprotect",
    "ivanti",
    "meraki",
    "mikrotik",
    "netscaler",
    "ocserv",
    "openvpn",
    "pam-radius",
    "postgresql",
    "rd-gateway",
    "sonicwall",
    "strongswan"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nas_that_is_set_as_its_page_says_waits_as_long_as_the_page_says() {
        assert_eq!(usual("fortigate").collect::<Vec<_>>(), ["approval = \"wait\"", "patience = \"60s\""]);
        assert_eq!((usual("mikrotik").count(), usual("nobody").count()), (0, 0));
    }

    #[test]
    fn every_profile_has_a_page_that_says_what_to_set() {
        for profile in profiles() {
            let page = page(profile).unwrap_or_default();
            assert!(page.lines().count() > 10 && !page.contains("[node]"), "{profile}: {page}");
        }
    }

    #[test]
    fn names_are_read_without_any_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.toml");
        let text = "[node]\ndata_dir = \"data\"\n[directory.corp]\nbind_password = { file = \"away\" }\n[policy.vpn]\n[[radius.client]]\nname = \"a\"\n[[radius.client]]\nsecret = 1\n";
        std::fs::write(&file, text).unwrap();
        let found = outline(&file).unwrap();
        assert_eq!((found.directories, found.policies, found.radius_clients), (vec!["corp".to_owned()], vec!["vpn".to_owned()], vec!["a".to_owned()]));
        assert_eq!(found.data_dir, Some(folder.path().join("data")));
    }
}
