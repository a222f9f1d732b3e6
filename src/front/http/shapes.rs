//! The JSON that both ends of the administration socket share. Times are RFC 3339 in UTC; nothing here but [`Enrolled`] ever holds a seed, and nothing but [`IssuedBackups`] a backup code.

mod accounts;
mod blocks;
mod clients;
mod keep;
mod logging;
mod pins;
mod sessions;
mod tokens;

use std::fmt::Debug;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use zeroize::Zeroizing;

pub use super::audit::AuditPage;
pub use crate::ports::audit::Entry;
pub use crate::ports::audit::Login;
pub use crate::ports::audit::Record;
pub use crate::ports::audit::Verified;

use super::import::seeds;
use crate::domain;
use crate::domain::Identity;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::TokenInfo;
use crate::domain::TokenKind;
use crate::domain::otp::Algorithm;

pub use accounts::Account;
pub use accounts::AccountDetail;
pub use accounts::AccountPage;
pub use accounts::Device;
pub use accounts::Fields;
pub use accounts::Gathered;
pub use accounts::Imported;
pub use accounts::NewAccount;
pub use accounts::Sheet;
pub use accounts::WrongLine;
pub use blocks::Block;
pub use blocks::BlockList;
pub use blocks::NewBlock;
pub use clients::Client;
pub use clients::ClientDetail;
pub use clients::ClientList;
pub use clients::LdapClient;
pub use clients::ShownClient;
pub use keep::BackupPiece;
pub use keep::NewBackup;
pub use keep::Rekeyed;
pub use keep::Vitals;
pub use logging::Logging;
pub use logging::NewLogging;
pub use pins::BackupState;
pub use pins::IssuedBackups;
pub use pins::NewBackups;
pub use pins::NewPin;
pub use pins::PinState;
pub use sessions::Exemption;
pub use sessions::NewSimulation;
pub use sessions::ReplyAttribute;
pub use sessions::Session;
pub use sessions::SessionPage;
pub use sessions::Simulation;
pub use sessions::SimulationStep;
pub use tokens::NewResync;
pub use tokens::TokenFile;
pub use tokens::TokensImported;

/// A configuration that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What is worth a second look in it, a line each.
    pub warnings: Vec<String>,
}

/// A code generator without its seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Unique over all tokens.
    pub id: String,
    /// Whose it is.
    pub identity: String,
    /// The owner's name.
    pub account: Option<String>,
    /// The directory the owner lives in.
    pub directory: Option<String>,
    /// How codes are made.
    pub kind: Kind,
    /// Hash inside the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code.
    pub digits: u8,
    /// Seconds a TOTP code lives.
    pub period_s: Option<u32>,
    /// When it was enrolled.
    pub created_at: String,
}

/// Many tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenList {
    /// At most 10,000.
    pub tokens: Vec<Token>,
    /// There are more than these.
    pub more: bool,
}

/// What moves a generator on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Each press of a button (RFC 4226).
    Hotp,
    /// Time (RFC 6238).
    #[default]
    Totp,
}

/// Asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewToken {
    /// How codes are made.
    pub kind: Kind,
    /// Hash inside the HMAC.
    pub algorithm: Algorithm,
    /// Digits of a code: 6 to 8.
    pub digits: u8,
    /// Seconds a TOTP code lives: 30 or 60.
    pub period_s: u32,
}

impl Default for NewToken {
    fn default() -> Self {
        Self { kind: Kind::Totp, algorithm: Algorithm::Sha1, digits: 6, period_s: 30 }
    }
}

/// A new token: the one answer that holds a seed (M-25).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The token.
    pub token: Token,
    /// Its `otpauth://` line, told once.
    pub uri: Once,
}

impl Enrolled {
    /// The seed in its line, for whoever tries the first code right away.
    #[must_use]
    pub fn seed(&self) -> Option<Secret> {
        let text = self.uri.expose().split(['?', '&']).find_map(|part| part.strip_prefix("secret="))?;
        seeds::base32(text)
    }
}

/// Somebody made known to a provider: the one answer that holds where to enrol (M-16).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderEnrolment {
    /// The account.
    pub account: String,
    /// The provider's name in the configuration.
    pub provider: String,
    /// Where the person enrols, told once.
    pub url: Once,
    /// Good until then, where the provider tells.
    pub until: Option<String>,
}

/// Text told once, wiped when it goes, printed by no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Once(Zeroizing<String>);

impl Once {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Once(..)")
    }
}

impl Serialize for Once {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Leave to skip the second factor once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// Whose.
    pub identity: String,
    /// The account's name.
    pub account: Option<String>,
    /// The directory the account lives in.
    pub directory: Option<String>,
    /// Good before this moment.
    pub until: String,
    /// Why.
    pub reason: String,
    /// Who granted it.
    pub granted_by: String,
    /// When.
    pub granted_at: String,
}

/// Many bypasses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BypassList {
    /// At most 10,000.
    pub bypasses: Vec<Bypass>,
    /// There are more than these.
    pub more: bool,
}

/// Asks for a bypass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewBypass {
    /// Seconds it is good for: 1 to 86,400.
    pub for_s: u64,
    /// Why.
    pub reason: String,
}

impl Default for NewBypass {
    fn default() -> Self {
        Self { for_s: 300, reason: String::new() }
    }
}

/// How the server stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The server's version.
    pub version: String,
    /// Its clock.
    pub now: String,
    /// The directories it asks, in the order of the configuration.
    pub directories: Vec<String>,
}

/// What went wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What went wrong.
    pub error: String,
    /// What to do.
    pub hint: String,
}

impl Token {
    /// What may be seen of a token of `account`.
    #[must_use]
    pub fn new(info: &TokenInfo, account: Option<&domain::Account>) -> Self {
        let (kind, period_s) = match info.kind {
            TokenKind::Hotp => (Kind::Hotp, None),
            TokenKind::Totp { period_s } => (Kind::Totp, Some(period_s)),
        };
        Self {
            id: info.id.clone(),
            identity: info.owner.0.clone(),
            account: account.map(|account| account.name.clone()),
            directory: account.and_then(|account| account.directory.clone()),
            kind,
            algorithm: info.algorithm,
            digits: info.digits,
            period_s,
            created_at: moment(info.created_at),
        }
    }
}

impl Bypass {
    /// A bypass of `account`.
    #[must_use]
    pub fn new(who: &Identity, account: Option<&domain::Account>, bypass: &domain::Bypass) -> Self {
        Self {
            identity: who.0.clone(),
            account: account.map(|account| account.name.clone()),
            directory: account.and_then(|account| account.directory.clone()),
            until: moment(bypass.until),
            reason: bypass.reason.clone(),
            granted_by: bypass.granted_by.clone(),
            granted_at: moment(bypass.granted_at),
        }
    }
}

/// RFC 3339, UTC, whole seconds.
pub(super) fn moment(at: Timestamp) -> String {
    let exact = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or(jiff::Timestamp::MAX);
    exact.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_rfc_3339_in_utc_and_never_panic() {
        assert_eq!(moment(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(moment(Timestamp(1_700_000_000_999)), "2023-11-14T22:13:20Z");
        assert!(moment(Timestamp(u64::MAX)).starts_with("9999-"));
    }

    #[test]
    fn m_25_a_line_told_once_is_not_printed_by_debug() {
        let once = Once::new("otpauth://totp/x?secret=ABC".into());
        assert_eq!(format!("{once:?}"), "Once(..)");
    }
}
