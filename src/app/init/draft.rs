//! What a configuration is to say, before it is text: the same whether a person was asked or a file.

use std::path::PathBuf;

use toml::Value;

use crate::domain::Secret;

/// A configuration to be.
#[derive(Clone, Debug)]
pub struct Draft {
    /// `node.name`
    pub name: String,
    /// `node.data_dir`, as it is to be written.
    pub data_dir: String,
    /// `admin.socket`, as it is to be written; `None`: the usual one.
    pub socket: Option<String>,
    /// `admin.group`; `None`: the usual one.
    pub group: Option<String>,
    /// Where RADIUS clients find us.
    pub radius: String,
    /// Each `[directory.NAME]`.
    pub directories: Vec<Part>,
    /// Each `[provider.NAME]`.
    pub providers: Vec<Part>,
    /// The first RADIUS client.
    pub client: Option<Nas>,
}

/// A `[directory.NAME]` or `[provider.NAME]`.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: Vec<(String, Setting)>,
}

/// What stands behind a key.
#[derive(Clone, Debug)]
pub enum Setting {
    /// A file that it names.
    File(PathBuf),
    /// This value.
    Plain(Value),
    /// A secret, which is never written there.
    Secret(Secret),
}

/// A `[[radius.client]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nas {
    /// Its name.
    pub name: String,
    /// Where its packets come from.
    pub networks: Vec<String>,
    /// What kind of NAS it is.
    pub profile: Option<String>,
    /// The secret that it has; `None`: the one that is stored, else a new one.
    pub secret: Option<Secret>,
}

impl Nas {
    /// What its secret is called.
    pub(super) fn secret_name(&self) -> String {
        format!("{}.radius", self.name)
    }
}

impl Part {
    /// A part without keys.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), keys: Vec::new() }
    }

    /// The same with this key, in place of the one it had.
    #[must_use]
    pub fn with(mut self, key: &str, setting: Setting) -> Self {
        self.set(key, setting);
        self
    }

    /// The same with this text behind a key.
    #[must_use]
    pub fn with_text(self, key: &str, text: &str) -> Self {
        self.with(key, Setting::Plain(Value::String(text.to_owned())))
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, setting: Setting) {
        self.keys.retain(|(known, _)| known != key);
        self.keys.push((key.to_owned(), setting));
    }

    /// The text behind a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.keys.iter().find_map(|(known, setting)| match setting {
            Setting::Plain(value) if known == key => value.as_str(),
            _ => None,
        })
    }

    /// What is behind a key.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&Setting> {
        self.keys.iter().find(|(known, _)| known == key).map(|(_, setting)| setting)
    }

    /// What the secret behind this key is called: `corp-bind`, `duo-key`.
    pub(super) fn secret_name(&self, key: &str) -> String {
        let short = match key {
            "bind_password" => "bind",
            "service_password" => "password",
            other => other,
        };
        format!("{}-{short}", self.name)
    }

    /// What a file behind this key is called beside the configuration: `corp-ca.pem`.
    pub(super) fn file_name(&self, key: &str) -> String {
        format!("{}-{}.pem", self.name, key.trim_end_matches("_file"))
    }
}

impl Draft {
    /// The same without the client, and so without what stands only for it.
    #[must_use]
    pub fn without_client(&self) -> Self {
        Self { client: None, ..self.clone() }
    }

    /// Every secret by its name, but those that init makes.
    pub(super) fn secrets(&self) -> Vec<(String, &Secret)> {
        let of = |part: &'_ Part, key: &str, setting: &'_ Setting| match setting {
            Setting::Secret(_) => Some(part.secret_name(key)),
            _ => None,
        };
        let parts = self.directories.iter().chain(&self.providers);
        let mut found: Vec<(String, &Secret)> = Vec::new();
        for part in parts {
            for (key, setting) in &part.keys {
                if let (Some(name), Setting::Secret(secret)) = (of(part, key, setting), setting) {
                    found.push((name, secret));
                }
            }
        }
        found
    }

    /// The methods of its policy: carriers of pushes and texts first, our own codes behind them.
    pub(super) fn methods(&self) -> Vec<(&'static str, &str)> {
        let method = |part: &Part| match part.text("kind") {
            Some("duo" | "entra" | "okta" | "webhook") => "push",
            Some("twilio-verify" | "sms-gateway") => "text",
            Some("email") => "email",
            _ => "oath",
        };
        let (ours, theirs): (Vec<&Part>, Vec<&Part>) = self.providers.iter().partition(|part| part.text("kind") == Some("oath"));
        theirs.into_iter().chain(ours).map(|part| (method(part), part.name.as_str())).collect()
    }

    /// Whether codes of our own tokens are good here.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        self.providers.iter().any(|part| part.text("kind") == Some("oath"))
    }
}
