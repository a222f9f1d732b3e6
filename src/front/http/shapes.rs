//! The JSON that both ends of the administration socket share. Times are RFC 3339 in UTC; nothing here but [`Enrolled`] ever holds a seed.

mod blocks;
mod clients;

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

use crate::domain;
use crate::domain::Identity;
use crate::domain::Method;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::TokenInfo;
use crate::domain::TokenKind;
use crate::domain::otp::Algorithm;
use crate::front::radius;

pub use self::blocks::Block;
pub use self::blocks::BlockList;
pub use self::blocks::NewBlock;
pub use self::clients::Client;
pub use self::clients::ClientDetail;
pub use self::clients::ClientList;
pub use self::clients::LdapClient;
pub use self::clients::ShownClient;

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
    /// Where to call.
    pub phone: Option<String>,
    /// When it was added.
    pub created_at: String,
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
    /// A block of the person or of a telephone number of theirs.
    pub blocked_until: Option<String>,
}

/// Asks for an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewAccount {
    /// The name as the directory knows it; for a local account the name itself.
    pub name: String,
    /// In which directory to look; may be left out where there is one.
    pub directory: Option<String>,
    /// The method tried first.
    pub method: Option<Method>,
    /// In place of the directory's.
    pub mail: Option<String>,
    /// In place of the directory's.
    pub phone: Option<String>,
}

/// Somebody who is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// User-Name.
    pub name: Option<String>,
    /// The RADIUS client, by its name in the configuration.
    pub client: String,
    /// The NAS, by its own word.
    pub nas: String,
    /// Acct-Session-Id.
    pub session: String,
    /// When it began.
    pub since: String,
    /// When it was last spoken of.
    pub heard: String,
    /// Calling-Station-Id: where the person is.
    pub source: Option<String>,
    /// The address the person was given.
    pub address: Option<String>,
    /// Octets from the person.
    pub input_octets: u64,
    /// Octets to the person.
    pub output_octets: u64,
}

/// Some sessions in the order of client, NAS and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPage {
    /// At most as many as were asked for.
    pub sessions: Vec<Session>,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// A service account that an LDAP listener lets in without a second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// The listener's name.
    pub listener: String,
    /// The account's DN, as configured.
    pub name: String,
    /// Whose that is; none while nobody is known by it.
    pub identity: Option<String>,
    /// Whether anybody is let in on it now.
    pub holds: bool,
    /// From where.
    pub networks: Vec<String>,
    /// A name that the caller's certificate must have.
    pub certificate: Option<String>,
    /// The last day on which it holds, as configured; UTC.
    pub until: String,
    /// Whole days until then; none when it is over.
    pub days_left: Option<u64>,
    /// How often the account came in on it since the server started.
    pub uses: u64,
    /// When last.
    pub last_used: Option<String>,
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

/// Asks for a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewSimulation {
    /// The name as typed.
    pub user: String,
    /// The password, to be checked once; without it the first factor is taken as passed.
    pub password: Option<Once>,
    /// The code.
    pub code: Option<Once>,
    /// Where the person is.
    pub from: Option<String>,
    /// Ask for the second factor in earnest.
    pub ask: bool,
}

/// What a login would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// The client's name.
    pub client: String,
    /// The name as typed.
    pub user: String,
    /// In the order in which they happen.
    pub steps: Vec<SimulationStep>,
    /// `accept`, `challenge`, `reject`, `drop` or `unknown`.
    pub verdict: String,
    /// The word for why, as in log and metrics.
    pub why: String,
    /// What goes out.
    pub reply: String,
    /// Attributes of ours in it.
    pub attributes: Vec<ReplyAttribute>,
    /// Something was taken to be so that a login would ask.
    pub assumed: bool,
}

/// One thing that a login does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationStep {
    /// What it is about.
    pub part: String,
    /// In plain words.
    pub told: String,
    /// Nobody was asked: it is taken to be so.
    pub assumed: bool,
}

/// An attribute of ours in a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyAttribute {
    /// Its name in the dictionary.
    pub name: String,
    /// Its value, for people.
    pub value: String,
    /// For the people of this group alone.
    pub group: Option<String>,
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
            created_at: moment(account.created_at),
        }
    }
}

impl AccountDetail {
    /// All about `account` as it stands `now`.
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
        }
    }
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
impl From<&radius::Session> for Session {
    fn from(session: &radius::Session) -> Self {
        Self {
            name: session.name.clone(),
            client: session.client.clone(),
            nas: session.nas.clone(),
            session: session.id.clone(),
            since: moment(session.since),
            heard: moment(session.heard),
            source: session.source.clone(),
            address: session.address.map(|address| address.to_string()),
            input_octets: session.input_octets,
            output_octets: session.output_octets,
        }
    }
}

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
