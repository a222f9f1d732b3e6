//! What a support case needs to know of this machine, without a secret, and without a name unless names are wanted.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::json;
use toml::Table;
use toml::Value;

use super::config;
use super::config::Config;
use super::config::Problem;
use super::doctor;
use super::doctor::Area;
use super::doctor::Finding;
use super::tool;

/// What can be told without the server.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The version of this program.
    pub version: &'static str,
    /// The machine's kernel.
    pub kernel: Option<String>,
    /// The configuration, or why it cannot be shown.
    pub configuration: Json,
    /// What is wrong with it.
    pub errors: Vec<Problem>,
    /// What is worth a second look.
    pub warnings: Vec<Problem>,
    /// What was asked, unless the configuration is wrong.
    pub findings: Option<Vec<Finding>>,
    /// The last lines of the service's log, where names are wanted and systemd keeps one.
    pub log: Vec<String>,
}

/// Looks at everything; `names` says whether people's names may be told.
pub async fn report(path: &Path, names: bool) -> Report {
    let loaded = Config::load(path);
    let (errors, warnings) = match &loaded {
        Ok(config) => (Vec::new(), config.warnings.clone()),
        Err(errors) => (errors.clone(), Vec::new()),
    };
    let findings = match &loaded {
        Ok(config) => Some(doctor::examine(config).await),
        Err(_) => None,
    };
    let quiet =
        |problem: Problem| Problem { message: without_names(&problem.message, names), hint: problem.hint.map(|hint| without_names(&hint, names)), ..problem };
    Report {
        version: env!("CARGO_PKG_VERSION"),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        configuration: Viewer { names, unknown: unknown(&errors) }.configuration(path),
        errors: errors.into_iter().map(quiet).collect(),
        warnings: warnings.into_iter().map(quiet).collect(),
        findings: findings.map(|findings| findings.into_iter().map(|finding| unnamed(finding, names)).collect()),
        log: if names { journal() } else { Vec::new() },
    }
}

fn unnamed(finding: Finding, names: bool) -> Finding {
    let name = if finding.area == Area::Exemption && !names { HIDDEN.to_owned() } else { without_names(&finding.name, names) };
    Finding { name, message: without_names(&finding.message, names), hint: finding.hint.map(|hint| without_names(&hint, names)), ..finding }
}

/// The keys that the configuration does not know: what stands behind one may be anything, a secret with a slip in its key too.
fn unknown(errors: &[Problem]) -> Vec<String> {
    errors.iter().filter(|error| error.message.contains("unknown key")).map(|error| error.path.clone()).collect()
}

/// Shows a configuration as written, with what may be a secret or a name taken out.
struct Viewer {
    names: bool,
    unknown: Vec<String>,
}

impl Viewer {
    /// Files that are no TOML are left out whole: nobody can tell what is in them. Drop-ins are part of it.
    fn configuration(&self, path: &Path) -> Json {
        let whole = config::table(path).map(Value::Table);
        whole.map_or_else(|| json!("it cannot be read as TOML, and is left out"), |table| self.shown("", "", &table, false))
    }

    /// The value at `path`, whose last part is `key`; `below` says that it stands below a key of secrets.
    fn shown(&self, path: &str, key: &str, value: &Value, below: bool) -> Json {
        let secret = below || is_secret(path, key);
        let inner = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            _ if self.unknown.iter().any(|unknown| unknown == path) => json!(HIDDEN),
            Value::Table(table) => {
                // A reference says where the secret is, not what.
                let secret = secret && !is_reference(table);
                Json::Object(
                    table
                        .iter()
                        .map(|(key, value)| (key.clone(), self.shown(&inner(key), if is_reference(table) { "" } else { key }, value, secret)))
                        .collect(),
                )
            }
            Value::Array(values) => {
                Json::Array(values.iter().enumerate().map(|(at, value)| self.shown(&format!("{path}[{at}]"), key, value, secret)).collect())
            }
            _ if secret => json!(HIDDEN),
            Value::String(_) if PEOPLE.contains(&key) && !self.names => json!(HIDDEN),
            Value::String(text) => json!(without_names(&without_userinfo(text), self.names)),
            Value::Integer(number) => json!(number),
            Value::Float(number) => json!(number),
            Value::Boolean(flag) => json!(flag),
            Value::Datetime(moment) => json!(moment.to_string()),
        }
    }
}

/// Whether what stands behind this key may be a secret. The name of a section is none: somebody's tokens are `[provider.tokens]`.
fn is_secret(path: &str, key: &str) -> bool {
    let is_name = path.split_once('.').is_some_and(|(kind, name)| NAMED.contains(&kind) && name == key);
    let key = key.to_lowercase();
    !is_name && (WHOLE.contains(&key.as_str()) || SECRETS.iter().any(|word| key.contains(word)))
}

/// `{ credential = NAME }` or `{ file = PATH }`, and nothing beside.
fn is_reference(table: &Table) -> bool {
    table.len() == 1 && ["credential", "file"].iter().any(|form| table.get(*form).is_some_and(Value::is_str))
}

/// An address without the name and password in front of its host, and without what follows a question mark.
fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
    format!("{scheme}://{host}{path}")
}

/// The text without mail addresses and the like, and without distinguished names.
fn without_names(text: &str, names: bool) -> String {
    if names {
        return text.to_owned();
    }
    let lower = text.to_lowercase();
    if let Some(at) = ["cn=", "uid="].iter().filter_map(|start| lower.find(start)).min() {
        return text.get(..at).map_or_else(|| HIDDEN.to_owned(), |before| format!("{}{HIDDEN}", without_names(before, false)));
    }
    text.split(' ').map(|word| if word.contains('@') { HIDDEN } else { word }).collect::<Vec<_>>().join(" ")
}

/// The end of the service's log. It names people.
fn journal() -> Vec<String> {
    let mut tool = Command::new("journalctl");
    tool.args(["--unit=vestibule", "--lines=500", "--no-pager", "--output=short-iso"]);
    let text = tool::ask(&mut tool, b"", JOURNAL_MAX).map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A journal on a slow disk takes its time.
const JOURNAL_MAX: Duration = Duration::from_secs(20);
const HIDDEN: &str = "(hidden)";
/// Words in keys of secrets, headers of requests among them. Nothing but a reference belongs there; whoever wrote a secret there all the same finds it hidden.
const SECRETS: [&str; 8] = ["authorization", "bearer", "cookie", "credential", "key", "pass", "secret", "token"];
/// Keys behind which people write what they like: headers and bodies of requests to a gateway, its own key too.
const WHOLE: [&str; 2] = ["body", "headers"];
/// Sections whose parts have names of their own.
const NAMED: [&str; 5] = ["directory", "policy", "provider", "upstream", "winbind"];
/// Keys that name people.
const PEOPLE: [&str; 6] = ["alerts", "bind_name", "from", "name_id", "service", "user"];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, names: bool) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        fs::write(&path, text).unwrap();
        Viewer { names, unknown: vec!["p.secert".to_owned(), "l[0].x".to_owned()] }.configuration(&path).to_string()
    }

    #[test]
    fn o_08_a_secret_that_stands_where_none_belongs_is_not_told() {
        let text = "[radius.client]\nsecret = \"CANARY\"\nbind_password = \"CANARY\"\n[p]\nurl = \"https://u:CANARY@h.example/x?k=CANARY\"\nkey = { credential = \"duo\" }\nsecert = \"CANARY\"\n[[l]]\nx = { y = \"CANARY\" }";
        for names in [true, false] {
            let told = told(text, names);
            assert!(!told.contains("CANARY"), "{told}");
            assert!(told.contains("https://h.example/x") && told.contains(r#"{"credential":"duo"}"#), "{told}");
        }
        assert!(!told("secret = \"CANARY", true).contains("CANARY"));
    }

    #[test]
    fn o_08_neither_headers_nor_bodies_nor_numbers_behind_a_key_are_told() {
        let text = "[provider.tokens]\nkind = \"oath\"\nX-Api-Key = \"CANARY\"\nAPI_KEY = 7391001\nPassword = 7391.5\nsecret = { value = \"CANARY\", n = [7391002] }\n\
                    body = '{\"auth\": \"CANARY\"}'\nsuccess = { status = [200] }\nheaders = { Authorization = \"Bearer CANARY\", X-Account = \"CANARY\" }\n\
                    token = [\"CANARY\", true]\nkey = { credential = \"sms-key\" }\nauthorization = 1979-05-27";
        let told = told(text, true);
        assert!(!["CANARY", "7391", "1979", "true"].iter().any(|secret| told.contains(secret)), "{told}");
        assert!(["oath", "[200]", "X-Account", r#"{"credential":"sms-key"}"#].iter().all(|shown| told.contains(shown)), "{told}");
    }

    #[test]
    fn drop_ins_are_told_with_the_rest_and_their_secrets_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        fs::write(&path, "[node]\nname = \"mfa1\"\n").unwrap();
        fs::create_dir(folder.path().join("conf.d")).unwrap();
        fs::write(folder.path().join("conf.d/nas.toml"), "[[radius.client]]\nname = \"branch\"\nsecret = \"CANARY\"\n").unwrap();
        let told = Viewer { names: true, unknown: Vec::new() }.configuration(&path).to_string();
        assert!(told.contains("mfa1") && told.contains("branch") && !told.contains("CANARY"), "{told}");
    }

    #[test]
    fn nobody_is_named_unless_it_is_wanted() {
        let text = "[d]\nbind_name = \"svc\"\nexempt = [{ name = \"CN=Ann,DC=x\" }]\nfrom = \"mfa@corp.example\"\nservers = [\"ldaps://dc1.corp.example\"]";
        let quiet = told(text, false);
        assert!(["svc", "Ann", "mfa@"].iter().all(|name| !quiet.contains(name)) && quiet.contains("dc1.corp.example"), "{quiet}");
        let open = told(text, true);
        assert!(["svc", "Ann", "mfa@"].iter().all(|name| open.contains(name)), "{open}");
    }
}
