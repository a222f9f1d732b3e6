//! The text of a configuration, with a word behind each key, and the seal by which init knows its own hand again.

use std::fmt::Write;
use std::path::Path;

use toml::Value;

use crate::app::config;

use super::draft::Draft;
use super::draft::Nas;
use super::draft::Part;
use super::draft::Setting;

/// How what lies elsewhere is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refer<'a> {
    /// Secrets are credentials; files stay where they are: to be looked at, not to be kept.
    Check,
    /// Secrets are credentials of the service. The folder is the configuration's.
    Credentials(&'a Path),
    /// Secrets are in files beside the configuration, in this folder.
    Files(&'a Path),
}

impl Refer<'_> {
    fn secret(self, name: &str) -> String {
        match self {
            Self::Check | Self::Credentials(_) => format!("{{ credential = {name:?} }}"),
            Self::Files(_) => format!("{{ file = {:?} }}", format!("secrets/{name}")),
        }
    }

    fn file(self, part: &Part, key: &str, path: &Path) -> String {
        let written = match self {
            Self::Check => path.display().to_string(),
            Self::Credentials(folder) | Self::Files(folder) => file_beside(folder, part, key, path).unwrap_or_else(|| path.display().to_string()),
        };
        Value::String(written).to_string()
    }
}

/// What a file is called beside the configuration, where it is there or must be brought there: from homes and temporary folders the service reads nothing.
pub(super) fn file_beside(folder: &Path, part: &Part, key: &str, path: &Path) -> Option<String> {
    if let Ok(inside) = path.strip_prefix(folder) {
        return Some(inside.display().to_string());
    }
    let unseen = ["/home", "/root", "/run", "/tmp", "/var/tmp"].iter().any(|root| path.starts_with(root));
    unseen.then(|| part.file_name(key))
}

/// The whole text, sealed.
pub(super) fn render(draft: &Draft, refer: Refer<'_>) -> String {
    let mut text = String::from(HEAD);
    section(&mut text, "\n[node]");
    line(&mut text, "name", &quoted(&draft.name));
    line(&mut text, "data_dir", &quoted(&draft.data_dir));
    line(&mut text, "master_key", &refer.secret(MASTER_KEY));
    if draft.socket.is_some() || draft.group.is_some() {
        section(&mut text, "\n[admin]");
        draft.socket.iter().for_each(|socket| line(&mut text, "socket", &quoted(socket)));
        draft.group.iter().for_each(|group| line(&mut text, "group", &quoted(group)));
    }
    text.push_str("\n# The first factor: who knows the passwords.");
    draft.directories.iter().for_each(|directory| part(&mut text, "directory", directory, refer));
    text.push_str("\n# The second factor: who carries the question.");
    draft.providers.iter().for_each(|provider| part(&mut text, "provider", provider, refer));
    let Some(client) = &draft.client else { return sealed(&text) };
    text.push_str("\n# The rules: what must be true before somebody is let in. Wrong passwords and codes lock a person here before the directory does.");
    section(&mut text, &format!("\n[policy.{POLICY}]"));
    let methods: Vec<_> = draft.methods().into_iter().map(|(method, provider)| format!("{{ {method} = {provider:?} }}")).collect();
    line(&mut text, "methods", &format!("[{}]", methods.join(", ")));
    text.push_str("\n# RADIUS: VPN gateways, switches, terminal servers. `vestibule client add` adds further ones, each with a file of its own in conf.d.");
    section(&mut text, "\n[[radius.listen]]");
    line(&mut text, "address", &quoted(&draft.radius));
    text.push('\n');
    let first: Vec<&str> = draft.directories.iter().map(|directory| directory.name.as_str()).collect();
    let first =
        if let [only] = first.as_slice() { quoted(only) } else { format!("[{}]", first.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")) };
    text.push_str(&client_section(client, &refer.secret(&client.secret_name()), &format!("{{ directory = {first} }}"), POLICY));
    sealed(&text)
}

/// A `[[radius.client]]` with a secret that is there, whoever `first` is, by this policy.
#[must_use]
pub fn client_section(client: &Nas, secret: &str, first: &str, policy: &str) -> String {
    let networks: Vec<_> = client.networks.iter().map(|network| quoted(network)).collect();
    let profile = client.profile.as_ref().map(|profile| format!("profile = {}\n", quoted(profile))).unwrap_or_default();
    let usual: String = client.profile.iter().flat_map(|profile| config::usual(profile)).map(|line| format!("{line}\n")).collect();
    format!(
        "[[radius.client]]\nname = {}\n{profile}networks = [{}]\nsecret = {secret}\nfirst = {first}\n{usual}policy = {}\n",
        quoted(&client.name),
        networks.join(", "),
        quoted(policy)
    )
}

fn part(text: &mut String, kind: &str, part: &Part, refer: Refer<'_>) {
    let is_bare = part.name.chars().all(|sign| sign.is_ascii_alphanumeric() || "_-".contains(sign));
    let name = if is_bare { part.name.clone() } else { quoted(&part.name) };
    section(text, &format!("\n[{kind}.{name}]"));
    let mut keys: Vec<&(String, Setting)> = part.keys.iter().collect();
    let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    keys.sort_by_key(|(key, _)| (place(key), key.as_str()));
    for (key, setting) in keys {
        let value = match setting {
            Setting::File(path) => refer.file(part, key, path),
            Setting::Plain(value) => value.to_string(),
            Setting::Secret(_) => refer.secret(&part.secret_name(key)),
        };
        line(text, key, &value);
    }
}

fn section(text: &mut String, header: &str) {
    text.push_str(header);
    text.push('\n');
}

fn line(text: &mut String, key: &str, value: &str) {
    let setting = format!("{key} = {value}");
    let comment = COMMENTS.iter().find(|(known, _)| *known == key).map(|(_, comment)| *comment);
    let _ = match comment {
        Some(comment) => writeln!(text, "{setting:<49} # {comment}"),
        None => writeln!(text, "{setting}"),
    };
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

fn sealed(text: &str) -> String {
    format!("{SEAL}{:08x}.\n{text}", crc32c::crc32c(text.as_bytes()))
}

/// Whether init has written this text; `Some(false)`: and somebody has changed it since.
pub(super) fn is_sealed(text: &str) -> Option<bool> {
    let (first, rest) = text.split_once('\n')?;
    let seal = first.strip_prefix(SEAL)?.strip_suffix('.')?;
    Some(u32::from_str_radix(seal, 16).is_ok_and(|seal| seal == crc32c::crc32c(rest.as_bytes())))
}

pub(super) const MASTER_KEY: &str = "master-key";
const POLICY: &str = "vpn";
const SEAL: &str = "# Made by `vestibule init`; seal ";
const HEAD: &str = "# Change it as you like; `vestibule init` then leaves it alone. Every key: /usr/share/doc/vestibule/vestibule.toml
#
#   vestibule check --config FILE    tells every mistake at once, and asks all that is named here whether it is well
#   systemctl reload vestibule       takes a changed file; logins under way finish
";
/// The order of keys; others stand behind these.
const ORDER: &[&str] = &[
    "kind",
    "srv",
    "srv_transport",
    "servers",
    "base",
    "netbios",
    "upn_suffixes",
    "bind_name",
    "bind_password",
    "url",
    "host",
    "tenant",
    "service",
    "service_name",
    "service_password",
    "key_id",
    "key",
    "secret",
    "token",
    "countries",
    "ca_file",
];
const COMMENTS: &[(&str, &str)] = &[
    ("name", "this machine, in logs and audit"),
    ("data_dir", "accounts and tokens"),
    ("master_key", "seals what is in data_dir: without it nothing there opens again"),
    ("socket", "where `vestibule user`, `vestibule token` .. reach the server"),
    ("servers", "the next is asked when one is away"),
    ("srv", "DNS names its servers, and is asked again and again"),
    ("base", "everybody is found under it"),
    ("netbios", "so that NAME\\alice is understood"),
    ("bind_name", "an ordinary account that may search"),
    ("ca_file", "who vouches for the server's certificate"),
    ("countries", "whose numbers are texted and called"),
    ("methods", "in order of preference, the next where one cannot be used"),
    ("address", "UDP, behind a firewall that lets in the clients below alone"),
];

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::domain::Secret;

    fn draft() -> Draft {
        let directory = Part::new("corp")
            .with("bind_password", Setting::Secret(Secret::from("hush")))
            .with("ca_file", Setting::File(PathBuf::from("/home/ann/ca.pem")))
            .with_text("base", "DC=corp,DC=example")
            .with_text("kind", "ad");
        Draft {
            name: "mfa1".into(),
            data_dir: "/var/lib/vestibule".into(),
            socket: None,
            group: None,
            radius: "0.0.0.0:1812".into(),
            directories: vec![directory],
            providers: vec![Part::new("tokens").with_text("kind", "oath"), Part::new("duo").with_text("kind", "duo")],
            client: Some(Nas { name: "fw1".into(), networks: vec!["192.0.2.1".into()], profile: Some("fortigate".into()), secret: None }),
        }
    }

    #[test]
    fn o_03_no_secret_stands_in_the_text_and_each_has_its_place() {
        let folder = Path::new("/etc/vestibule");
        let text = render(&draft(), Refer::Credentials(folder));
        assert!(text.contains("bind_password = { credential = \"corp-bind\" }") && text.contains("secret = { credential = \"fw1.radius\" }"), "{text}");
        assert!(text.contains("ca_file = \"corp-ca.pem\" ") && !text.contains("hush"), "{text}");
        let text = render(&draft(), Refer::Files(folder));
        assert!(text.contains("master_key = { file = \"secrets/master-key\" }") && text.contains("secret = { file = \"secrets/fw1.radius\" }"), "{text}");
        assert!(render(&draft(), Refer::Check).contains("ca_file = \"/home/ann/ca.pem\""));
        let seen = Part::new("corp");
        assert_eq!(file_beside(folder, &seen, "ca_file", Path::new("/etc/ssl/corp.pem")), None, "the service reads that where it is");
    }

    #[test]
    fn own_codes_come_behind_what_rings() {
        let text = render(&draft(), Refer::Check);
        assert!(text.contains("methods = [{ push = \"duo\" }, { oath = \"tokens\" }]"), "{text}");
    }

    #[test]
    fn a_text_that_somebody_changed_is_known() {
        let text = render(&draft(), Refer::Check);
        assert_eq!(is_sealed(&text), Some(true));
        assert_eq!(is_sealed(&text.replace("mfa1", "mfa2")), Some(false));
        assert_eq!(is_sealed("[node]\nname = \"mfa1\"\n"), None);
        assert_eq!(text, render(&draft(), Refer::Check), "the same answers make the same text");
    }
}
