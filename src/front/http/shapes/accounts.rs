//! The JSON about accounts, one at a time and by the file.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::Error;
use serde_json::Map;
use serde_json::Value;

use super::BackupState;
use super::Bypass;
use super::PinState;
use super::Token;
use super::moment;
use crate::domain;
use crate::domain::Method;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::TokenInfo;

/// An enrolled person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The unchangeable id.
    pub identity: String,
    /// The short name.
    pub name: String,
    /// The directory it lives in; none for a local account.
    pub directory: Option<String>,
    /// Whether it is in use.
    pub enabled: bool,
    /// The method tried first.
    pub method: Option<Method>,
    /// Where to write.
    pub mail: Option<String>,
    /// Where to call: E.164, and what is dialled behind it.
    pub phone: Option<String>,
    /// The number tried where the first does not answer.
    pub backup_phone: Option<String>,
    /// Given name.
    pub given_name: Option<String>,
    /// Family name.
    pub family_name: Option<String>,
    /// The language of what this person reads and hears (RFC 5646).
    pub language: Option<String>,
    /// The group it is listed under.
    pub group: Option<String>,
    /// What administrators want to remember of it.
    pub notes: Option<String>,
    /// Devices that are asked.
    pub devices: Vec<Device>,
    /// When it was added.
    pub created_at: String,
}

/// A device of a person's, as its provider knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// The provider's name in the configuration.
    pub provider: String,
    /// What the provider calls it.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub label: String,
}

/// Some accounts in the order of their names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPage {
    /// At most 100.
    pub accounts: Vec<Account>,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// All about one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDetail {
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Wrong passwords and codes in a row.
    pub failures: u32,
    /// Whether nobody gets in under it now.
    pub locked: bool,
    /// Until when.
    pub lock_until: Option<String>,
    /// Its generators.
    pub tokens: Vec<Token>,
    /// A bypass not yet spent.
    pub bypass: Option<Bypass>,
    /// Kept out until then.
    pub blocked_until: Option<String>,
    /// Its PIN.
    pub pin: Option<PinState>,
    /// Backup codes that may be used now.
    pub backup_codes: Option<BackupState>,
}

/// What is known of a person beside who it is. A field that is left out is the directory's where an account is added, and stays as it is where one is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fields {
    /// The method tried first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// None is tried first any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_method: bool,
    /// A mail address; an empty text takes it away, here and below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<String>,
    /// A telephone number as people write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_phone: Option<String>,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// A language (RFC 5646).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The group it is listed under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// All of its devices, in place of those there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
}

/// Asks for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewAccount {
    /// The name as the directory knows it; for a local account the name itself.
    pub name: String,
    /// In which directory to look; may be left out where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// What is known of the person.
    #[serde(flatten)]
    pub fields: Fields,
}

/// A file of accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    /// The whole of it: a table whose first line names the columns (RFC 4180).
    pub text: String,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gathered {
    /// The name under which it is gone on with.
    pub import: String,
    /// Lines that ask for an account.
    pub lines: u64,
    /// Of these, looked up.
    pub done: u64,
    /// Lines that are wrong, of all so far.
    pub wrong_lines: u64,
    /// Those that were found now, at most 100.
    pub wrong: Vec<WrongLine>,
}

/// A line that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongLine {
    /// Where it stands.
    pub line: u64,
    /// What is wrong with it.
    pub error: String,
}

/// How many were added or imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// So many.
    pub count: u64,
}

/// `name` and `directory` beside the fields, and nothing else.
impl<'de> Deserialize<'de> for NewAccount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::deserialize(deserializer)?;
        let name = members.remove("name").map(serde_json::from_value).transpose().map_err(D::Error::custom)?;
        let directory = members.remove("directory").map(serde_json::from_value).transpose().map_err(D::Error::custom)?;
        let fields = serde_json::from_value(Value::Object(members)).map_err(D::Error::custom)?;
        Ok(Self { name: name.unwrap_or_default(), directory: directory.flatten(), fields })
    }
}

impl From<&domain::Account> for Account {
    fn from(account: &domain::Account) -> Self {
        Self {
            identity: account.identity.0.clone(),
            name: account.name.clone(),
            directory: account.directory.clone(),
            enabled: account.enabled,
            method: account.method,
            mail: account.mail.clone(),
            phone: account.phone.clone(),
            backup_phone: account.backup_phone.clone(),
            given_name: account.given_name.clone(),
            family_name: account.family_name.clone(),
            language: account.language.clone(),
            group: account.group.clone(),
            notes: account.notes.clone(),
            devices: account.devices.iter().map(Device::from).collect(),
            created_at: moment(account.created_at),
        }
    }
}

impl AccountDetail {
    /// All about `account` as it stands `now`, but for PIN and backup codes.
    #[must_use]
    pub fn new(account: &domain::Account, standing: &Standing, tokens: &[TokenInfo], now: Timestamp) -> Self {
        let locked = standing.tries.locked(now);
        let bypass = standing.bypass.as_ref().filter(|bypass| now < bypass.until);
        Self {
            account: Account::from(account),
            failures: standing.tries.failures,
            locked,
            lock_until: standing.tries.lock_until.filter(|_| locked).map(moment),
            tokens: tokens.iter().map(|info| Token::new(info, Some(account))).collect(),
            bypass: bypass.map(|bypass| Bypass::new(&account.identity, Some(account), bypass)),
            blocked_until: standing.block.as_ref().filter(|block| block.holds(now)).map(|block| moment(block.until)),
            pin: None,
            backup_codes: None,
        }
    }
}

impl From<&domain::Device> for Device {
    fn from(device: &domain::Device) -> Self {
        Self { provider: device.provider.clone(), id: device.id.clone(), label: device.label.clone() }
    }
}
