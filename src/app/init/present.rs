//! A draft read from what is written already: from a configuration of ours, or from a file of answers.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use toml::Table;
use toml::Value;

use super::draft::Draft;
use super::draft::Nas;
use super::draft::Part;
use super::draft::Setting;
use crate::app::config::Answers;
use crate::app::secrets;
use crate::app::secrets::Place;
use crate::domain::Secret;

/// Where a secret is, to the secret.
type Recall<'a> = &'a dyn Fn(&str) -> Option<Secret>;

/// What a configuration of ours says; a secret that does not open any more is left out, and asked for again.
pub(super) fn read(table: &Table, usual: &Draft, folder: &Path, recall: Recall<'_>) -> Draft {
    let text = |section: &str, key: &str| table.get(section)?.get(key)?.as_str().map(str::to_owned);
    let stored = |value: &Value| {
        let name = value.get("credential").or_else(|| value.get("file"))?.as_str()?;
        recall(name.strip_prefix("secrets/").unwrap_or(name))
    };
    let parts = |kind: &str| {
        let named = table.get(kind).and_then(Value::as_table).into_iter().flatten();
        named.filter_map(|(name, value)| Some(part(name, value.as_table()?, folder, &stored))).collect()
    };
    let radius = table.get("radius");
    let first = |key: &str| radius?.get(key)?.as_array()?.first();
    Draft {
        name: text("node", "name").unwrap_or_else(|| usual.name.clone()),
        data_dir: text("node", "data_dir").unwrap_or_else(|| usual.data_dir.clone()),
        socket: text("admin", "socket"),
        group: text("admin", "group"),
        radius: first("listen").and_then(|listen| listen.get("address")?.as_str()).unwrap_or(&usual.radius).to_owned(),
        directories: parts("directory"),
        providers: parts("provider"),
        client: first("client").and_then(nas),
    }
}

fn nas(value: &Value) -> Option<Nas> {
    let networks = value.get("networks")?.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let profile = value.get("profile").and_then(Value::as_str).map(str::to_owned);
    Some(Nas { name: value.get("name")?.as_str()?.to_owned(), networks, profile, secret: None })
}

/// What a file of answers says; what it leaves out is as before, or as usual. `None` where a secret that could be read a moment ago cannot any more.
#[must_use]
pub fn from_answers(answers: &Answers, before: &Draft) -> Option<Draft> {
    let parts = |tables: &[(String, Table)]| -> Option<Vec<Part>> {
        let read = |value: &Value| {
            if let Some(name) = value.get("credential").and_then(Value::as_str) {
                return secrets::recall(name, &Place::Credential { root: PathBuf::from("/") });
            }
            let bytes = fs::read(answers.folder.join(value.get("file")?.as_str()?)).ok()?;
            let secret = Secret::new(bytes);
            let whole = secret.expose();
            let plain = whole.strip_suffix(b"\n").unwrap_or(whole);
            Some(Secret::new(plain.strip_suffix(b"\r").unwrap_or(plain).to_vec()))
        };
        let whole = |(name, table): &(String, Table)| Some(part(name, table, &answers.folder, &read)).filter(|part| part.keys.len() == table.len());
        tables.iter().map(whole).collect()
    };
    let mut providers = parts(&answers.providers)?;
    if providers.is_empty() {
        providers.push(Part::new("tokens").with_text("kind", "oath"));
    }
    let client = &answers.client;
    Some(Draft {
        name: answers.name.clone().unwrap_or_else(|| before.name.clone()),
        data_dir: answers.data_dir.clone().unwrap_or_else(|| before.data_dir.clone()),
        socket: answers.socket.clone().or_else(|| before.socket.clone()),
        group: answers.group.clone().or_else(|| before.group.clone()),
        radius: answers.radius.map_or_else(|| before.radius.clone(), |address| address.to_string()),
        directories: parts(&answers.directories)?,
        providers,
        client: Some(Nas { name: client.name.clone(), networks: client.networks.clone(), profile: client.profile.clone(), secret: client.secret.clone() }),
    })
}

fn part(name: &str, table: &Table, folder: &Path, secret: &dyn Fn(&Value) -> Option<Secret>) -> Part {
    let mut part = Part::new(name);
    for (key, value) in table {
        let is_secret = value.as_table().is_some_and(|table| table.len() == 1 && ["credential", "file"].iter().any(|way| table.contains_key(*way)));
        let setting = match value {
            Value::Table(_) if is_secret => secret(value).map(Setting::Secret),
            Value::String(path) if key.ends_with("_file") => Some(Setting::File(folder.join(path))),
            value => Some(Setting::Plain(value.clone())),
        };
        if let Some(setting) = setting {
            part.set(key, setting);
        }
    }
    part
}

#[cfg(test)]
mod tests {
    use super::super::text::Refer;
    use super::super::text::render;
    use super::*;

    #[test]
    fn what_init_wrote_it_reads_again_and_would_write_the_same() {
        let directory = Part::new("corp")
            .with_text("kind", "ad")
            .with("servers", Setting::Plain(Value::Array(vec![Value::String("ldaps://dc1.corp.example".into())])))
            .with("zone", Setting::Plain(Value::Table([("A-b".to_owned(), Value::String("say \"no\"".into()))].into_iter().collect())))
            .with("pool_max", Setting::Plain(Value::Integer(4)))
            .with("ca_file", Setting::File("/etc/vestibule/corp-ca.pem".into()))
            .with("bind_password", Setting::Secret(Secret::from("hush")));
        let draft = Draft {
            name: "mfa1".into(),
            data_dir: "data".into(),
            socket: Some("admin.sock".into()),
            group: None,
            radius: "127.0.0.1:1812".into(),
            directories: vec![directory],
            providers: vec![Part::new("tokens").with_text("kind", "oath")],
            client: Some(Nas { name: "fw1".into(), networks: vec!["192.0.2.1".into()], profile: Some("fortigate".into()), secret: None }),
        };
        let folder = Path::new("/etc/vestibule");
        let usual = Draft { name: "other".into(), client: None, ..draft.clone() };
        for refer in [Refer::Files(folder), Refer::Credentials(folder)] {
            let text = render(&draft, refer);
            let again = read(&text.parse().unwrap(), &usual, folder, &|name| (name == "corp-bind").then(|| Secret::from("hush")));
            assert_eq!(render(&again, refer), text);
            assert!(matches!(again.directories[0].setting("bind_password"), Some(Setting::Secret(secret)) if *secret == Secret::from("hush")));
        }
    }
}
