//! The seams: what the engine and the doors ask of the rooms behind them.

pub mod audit;
pub mod keep;
pub mod log;

use std::fmt::Debug;
use std::fmt::Display;

use async_trait::async_trait;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::domain::Account;
use crate::domain::Alert;
use crate::domain::Asking;
use crate::domain::AuthRequest;
use crate::domain::BackupCodes;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::Checked;
use crate::domain::CommitError;
use crate::domain::FactorError;
use crate::domain::Fate;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Method;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::PrimaryError;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Standing;
use crate::domain::Ticket;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::Trace;
use crate::domain::WeekMinute;
use crate::domain::pin::Pin;

/// The first factor of a door. One `check` asks the directory once: at most one bind.
#[async_trait]
pub trait PrimaryCheck: Debug + Send + Sync {
    /// Whom the typed name means; `None` where the name does not tell and the check will. No credential leaves us here, and what is found may only refuse.
    ///
    /// # Errors
    /// `Refused` with `UnknownName` for a name that is surely nobody's, and with `UnclearName` for one that is more than one's, or written in a way that may
    /// mean somebody elsewhere; `Outage` when nobody could be asked.
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError>;

    /// Asks for the first factor, of `entry` where `resolve` found one, and proves whose it was. What else there is to tell goes into `aside`, which
    /// is the same one in every round of a login.
    ///
    /// # Errors
    /// `Refused` with the reason; `Outage` when nobody decided.
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError>;

    /// In which of `wanted` the person is whose first factor was right: groups that decide. `entry` as in [`PrimaryCheck::check`], which went before; `None`
    /// where no directory of ours has this person. Read anew each time (M-47). Those of `needed` must be there: of one that nobody finds, nobody can say that
    /// the person is not in it.
    ///
    /// # Errors
    /// Nobody can tell; that is never "in none".
    async fn groups(
        &self,
        _entry: Option<&Entry>,
        _who: &Identity,
        _wanted: &[String],
        _needed: &[String],
        _aside: &Aside,
    ) -> Result<Option<Vec<String>>, Outage> {
        Err(Outage::Fault)
    }

    /// Whether [`PrimaryCheck::change`] can be asked for at all.
    fn can_change(&self) -> bool {
        false
    }

    /// Gives the person the password `new`, if `old` is theirs, and proves whose it is. Asked for only after a refusal that says that `old` was right and has
    /// run out, and after a second factor that passed. The request itself bears no password any more.
    ///
    /// # Errors
    /// Why the password is what it was; after an `Outage` nobody knows whether it is.
    async fn change(
        &self,
        _request: &AuthRequest,
        _entry: Option<&Entry>,
        _old: &Secret,
        _new: &Secret,
        _aside: &mut Aside,
    ) -> Result<Identity, PasswordError> {
        Err(PasswordError::Outage(Outage::Fault))
    }
}

/// What a first factor says beside yes and no: for the door that asked, and for itself in the next round. The engine carries it and never looks.
#[derive(Clone, Debug, Default)]
pub struct Aside {
    /// RADIUS attributes for the client, in the form in which `wire` carries them: of the last question, or of the yes.
    pub attributes: Secret,
    /// The same, of the no.
    pub refusal: Secret,
    /// What must come with a change of the password, where the no invites to one.
    pub change_key: Vec<u8>,
    /// The groups of the person, among those the client's rules name.
    pub groups: Vec<String>,
    /// Who it turned out to be, where the check found out by more than the typed name.
    pub entry: Option<Entry>,
    /// Where a conversation with a server behind us stands.
    pub conversation: Option<Conversation>,
    /// The no was spoken by a server behind us, and what it said beside is for the client.
    pub refused_there: bool,
}

impl Aside {
    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { attributes, refusal, change_key, groups, entry, conversation, refused_there } = self;
        let silent = attributes.is_empty() && refusal.is_empty() && change_key.is_empty() && groups.is_empty();
        silent && entry.is_none() && conversation.is_none() && !refused_there
    }
}

/// A server behind us waits for the answer to a question of its own.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The server's place in the configuration: it alone knows the question.
    pub server: usize,
    /// Its State.
    pub state: Secret,
}

/// One object of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The directory's name in the configuration.
    pub directory: String,
    /// Its unchangeable id.
    pub identity: Identity,
    /// Its distinguished name: what we bind with.
    pub dn: String,
    /// Its short name.
    pub name: String,
    /// Its mail address.
    pub mail: Option<String>,
    /// Its mobile or telephone number.
    pub phone: Option<String>,
    /// When its password was set last, in the directory's own words, where it tells: another word means another password.
    pub password_set: Option<String>,
}

/// A directory.
#[async_trait]
pub trait Directory: Debug + Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Whether the realm of a typed name is this one's. Nobody is asked.
    fn claim(&self, _login: &str) -> Claim {
        Claim::Any
    }

    /// The one object that `login` means, whatever form it is typed in.
    ///
    /// # Errors
    /// As [`PrimaryCheck::resolve`].
    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError>;

    /// Binds as `entry` and proves that the directory took us for that very object. One bind, on one server.
    ///
    /// # Errors
    /// As [`PrimaryCheck::check`].
    async fn authenticate(&self, entry: &Entry, password: &Secret) -> Result<Identity, PrimaryError>;

    /// Gives `entry` the password `new`, if `old` is the one it has. One try, on one server; a wrong `old` counts there as a failed login. That the person may do this
    /// is settled before: a directory may change the password of an account that it lets nobody log in with.
    ///
    /// # Errors
    /// Why the password is what it was; after an `Outage` nobody knows whether it is.
    async fn change_password(&self, entry: &Entry, old: &Secret, new: &Secret) -> Result<(), PasswordError>;

    /// Which of `wanted` the person is in, as they are written there: names or DNs of groups. Nested ones and the primary one count where the directory
    /// tells. Nobody is in a group that does not exist, and of that a warning tells once.
    ///
    /// # Errors
    /// `Outage` whenever it cannot be told: that is never "not in it" (M-47).
    async fn groups(&self, entry: &Entry, wanted: &[String]) -> Result<Vec<String>, PrimaryError>;

    /// Those of `names` that mean no group in the directory of `entry` in which anybody could be, as far as it lets us see.
    ///
    /// # Errors
    /// As [`Directory::groups`].
    async fn groups_missing(&self, _entry: &Entry, _names: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(Vec::new())
    }

    /// Of several directories that this one stands for, the one that `entry` was found in: connections for it, and what is read on them, are that one's. `None`:
    /// this stands for itself.
    fn realm(&self, _entry: &Entry) -> Option<&dyn Directory> {
        None
    }

    /// A fresh, unbound connection to a server that is well, TLS already up as configured.
    ///
    /// # Errors
    /// `Outage` when no server answers.
    async fn connect(&self) -> Result<Connected, PrimaryError>;

    /// The server of a connection made by [`Directory::connect`] did not answer there as it should: it broke off, was silent, or said that it is away. The next
    /// connection is to another server, until this one is well again.
    fn broke(&self, server: usize, why: &dyn Display);

    /// How one reads on a connection bound through [`Directory::connect`] whom the directory took us for.
    fn proof(&self) -> Proof;

    /// Where a bind refused with this LDAP result code and diagnostic message stands.
    fn refusal(&self, result_code: u32, diagnostic: &str) -> PrimaryError;
}

/// What the realm of a typed name says of one directory among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It has none: it may be anybody's.
    Any,
    /// It is this one's; of several that say so, theirs is it who say the highest number.
    Mine(usize),
    /// It is not this one's.
    Other,
}

/// In which of `wanted` `who` is, as `directory` tells, where it has this person: under the entry that the first factor told, or else under that of the name.
///
/// # Errors
/// As [`PrimaryCheck::groups`].
pub async fn groups_of(
    directory: &dyn Directory,
    entry: Option<&Entry>,
    who: &Identity,
    wanted: &[String],
    needed: &[String],
    aside: &Aside,
) -> Result<Option<Vec<String>>, Outage> {
    let has = |person: &Entry| person.directory == directory.name() || directory.realm(person).is_some();
    let Some(person) = aside.entry.as_ref().or(entry).filter(|person| person.identity == *who && has(person)) else { return Ok(None) };
    let outage = |error| match error {
        PrimaryError::Outage(outage) => outage,
        PrimaryError::Refused { .. } => Outage::Directory,
    };
    if !needed.is_empty() && !directory.groups_missing(person, needed).await.map_err(outage)?.is_empty() {
        return Err(Outage::Directory);
    }
    directory.groups(person, wanted).await.map(Some).map_err(outage)
}

/// A fresh connection, and to which of a directory's servers.
#[derive(Debug)]
pub struct Connected {
    /// The connection.
    pub stream: Box<dyn Stream>,
    /// The server's place in the directory's order of preference.
    pub server: usize,
}

/// A byte stream both ways.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> Stream for T {}

/// How a bound connection tells who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Base search of the bound DN for this attribute, whose text is the identity (`entryUUID`).
    OwnEntry(&'static str),
    /// Base search of the root DSE for this attribute, whose binary values are SIDs and must hold the identity (`tokenGroups`).
    TokenGroups(&'static str),
}

/// A carrier of second factors. Every provider's answers map to the small closed sets of the domain.
///
/// A call is bounded by the provider's own timeout; pacing and deadlines over several calls are the engine's.
#[async_trait]
pub trait Provider: Debug + Send + Sync {
    /// Asks the person, or says what is needed. A number to choose is told here, and not told first by `wait`.
    ///
    /// # Errors
    /// Why it could not be asked.
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError>;

    /// How a question stands. May block while nothing changes, up to the provider's timeout, and then says `Pending` again.
    ///
    /// # Errors
    /// Why nobody can tell, or that it ended without an answer.
    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError>;

    /// Checks a code.
    ///
    /// # Errors
    /// `BadCode`, or why nobody can tell.
    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError>;

    /// Whether `start` looks into what we hold ourselves and asks nobody, so that a dry run may call it.
    fn asks_nobody(&self) -> bool {
        false
    }

    /// Whether it answers and takes our key, found out without asking anybody. Bounded as `start` is.
    async fn probe(&self) -> Probed {
        Probed::Unasked
    }

    /// Makes the person known there, for an administrator who has asked for it. Bounded as `start` is.
    ///
    /// # Errors
    /// Why not.
    async fn enrol(&self, _account: &Account) -> Result<Enrolment, EnrolError> {
        Err(EnrolError::Unable)
    }

    /// Nobody waits for this question any more. Best effort, bounded by the provider's timeout.
    async fn cancel(&self, ticket: &Ticket);

    /// Whether it is told how logins end in which it was the last to be asked.
    fn hears_ends(&self) -> bool {
        false
    }

    /// A login in which it was asked last, by this method, ended so. Best effort, bounded by the provider's timeout; no login waits for it.
    async fn ended(&self, _trace: Trace, _method: Method, _fate: Fate, _why: &'static str) {}
}

/// Where a person enrols at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Whoever opens it enrols a phone of theirs as the person's: for the person alone (M-16).
    pub url: Secret,
    /// Good until then, where the provider tells.
    pub until: Option<Timestamp>,
}

/// Why somebody cannot be enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolError {
    /// The provider knows the person, with a phone.
    Enrolled,
    /// Nobody can tell.
    Failed(FactorError),
    /// The provider's own rules are against it.
    Refused,
    /// This provider has no such thing.
    Unable,
}

impl From<FactorError> for EnrolError {
    fn from(error: FactorError) -> Self {
        Self::Failed(error)
    }
}

/// How a carrier of second factors is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// It cannot be used: what is wrong, and what to do, in words.
    Failed(String),
    /// It answers; whether it takes our key cannot be found out without asking somebody.
    There,
    /// There is no way to find out without asking somebody.
    Unasked,
    /// It answers and takes our key.
    Well {
        /// Its clock, to a second, where it tells.
        clock: Option<Timestamp>,
    },
}

impl From<FactorError> for Probed {
    fn from(error: FactorError) -> Self {
        Self::Failed(match error {
            FactorError::Faltering | FactorError::Unreachable => "does not answer: check its address and the way there".to_owned(),
            FactorError::Throttled => "wants to be left alone for a while: it is asked too often".to_owned(),
            _ => "answers, but not as it should: check its address, our key there, ca_file and the clocks".to_owned(),
        })
    }
}

/// Who takes accounting over from us (RFC 2866).
#[async_trait]
pub trait AccountingRelay: Debug + Send + Sync {
    /// Hands the attributes of an Accounting-Request on, in the form in which `wire` forwards them. Bounded by its own time-outs.
    ///
    /// # Errors
    /// Nobody has answered that it is written down.
    async fn relay(&self, packet: &Secret) -> Result<(), Outage>;
}

/// Who tells those who look after the server what they should look at now.
pub trait Alerts: Debug + Send + Sync {
    /// Takes it and returns at once: nobody waits for it, and what cannot be told is logged and counted.
    fn tell(&self, alert: Alert);
}

/// Who takes letters to a mail server.
#[async_trait]
pub trait Mailer: Debug + Send + Sync {
    /// Hands a letter over: `body` is plain text. Bounded in time, and in how many wait for their turn.
    ///
    /// # Errors
    /// The server has not taken it. After `Unreachable` nobody knows: it is not sent again by itself.
    async fn send(&self, to: &str, subject: &str, body: &str) -> Result<(), MailError>;

    /// Whether the server is there and takes our name and password, without a letter.
    ///
    /// # Errors
    /// As [`Mailer::send`].
    async fn probe(&self) -> Result<(), MailError>;
}

/// Why a letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Too many letters wait here already, or the server takes connections and does no more in time, or the machine has no descriptors left: no outage.
    #[error("the mail server is there and has no time for us, or too many letters wait for it already")]
    Busy,
    /// The server refuses us, cannot prove who it is, or speaks no SMTP that we understand.
    #[error("the mail server refuses us, cannot prove who it is, or speaks no SMTP: check `server`, `user`, `password` and `ca_file` in [mail]")]
    Misconfigured,
    /// This letter cannot be: its address is none, or the server does not take it.
    #[error("the mail server does not take this letter, or its address is none: check the person's mail address, and `from` in [mail]")]
    Refused,
    /// No connection is to be had there.
    #[error("the mail server does not answer")]
    Unreachable,
}

impl MailError {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Misconfigured => "misconfigured",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
        }
    }
}

/// Accounts, tokens and the log of changes. Reads are from memory or disk at once; the one write is `commit`.
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// All that is held about an identity; nothing held is `Standing::default()`.
    ///
    /// # Errors
    /// The store cannot be read, or a record is damaged.
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError>;

    /// The tokens of an identity with their seeds.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, StoreError>;

    /// A page of accounts in the order of their names, those behind `after` whose name, mail or identity contains `search` (case ignored).
    ///
    /// `after` is the last account of the page before: its name, a zero byte and its identity. A name alone passes over all accounts of that name.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn accounts(&self, search: &str, after: Option<&str>, count_max: usize) -> Result<Vec<Account>, StoreError>;

    /// Accounts of exactly this name (case ignored), whatever directory.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn accounts_named(&self, name: &str) -> Result<Vec<Account>, StoreError>;

    /// The backup codes of an identity. By default none are kept.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn backup_codes(&self, _who: &Identity) -> Result<Option<BackupCodes>, StoreError> {
        Ok(None)
    }

    /// The PIN of an identity. By default none is kept.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn pin(&self, _who: &Identity) -> Result<Option<Pin>, StoreError> {
        Ok(None)
    }

    /// All tokens without their seeds, at most `count_max`.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn token_list(&self, count_max: usize) -> Result<Vec<TokenInfo>, StoreError>;

    /// All bypasses not yet spent, at most `count_max`.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn bypass_list(&self, count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError>;

    /// All blocks, those that have ended too, at most `count_max`. A store that keeps none has none.
    ///
    /// # Errors
    /// As [`Store::standing`].
    fn block_list(&self, _count_max: usize) -> Result<Vec<(Blocked, Block)>, StoreError> {
        Ok(Vec::new())
    }

    /// The highest number of a line of the audit that was told; 0 where none was. By default nobody remembers it.
    fn audit_end(&self) -> u64 {
        0
    }

    /// The audit is on disk up to the line of this number. No change of anybody's and no matter of other nodes: it is put down when there is a moment.
    fn keep_audit_end(&self, _seq: u64) {}

    /// Writes all of `changes` or none. When it returns they are on disk. Several callers share one flush.
    ///
    /// # Errors
    /// `Spent` when a code or bypass in it is used up: nothing was written. `Outage` when the disk failed.
    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError>;
}

/// Free bytes in the folder of a store below which it writes nothing: its database does not survive a disk that fills under it, so it never comes to that.
pub const SPACE_BYTES_MIN: u64 = 16 << 20;

/// The store cannot tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A record's checksum or form is wrong.
    #[error("the record `{key}` in `{tree}` is damaged: restore from a backup")]
    Damaged {
        /// The tree.
        tree: &'static str,
        /// The key, as text.
        key: String,
    },
    /// The disk failed.
    #[error("the store cannot be read: {0}")]
    Io(String),
    /// A sealed value does not open.
    #[error("a sealed value in `{tree}` does not open: is this the master key it was sealed with?")]
    Sealed {
        /// The tree.
        tree: &'static str,
    },
    /// A record of a later program.
    #[error("a record in `{tree}` has version {version}, which this program does not know: update it")]
    Version {
        /// The tree.
        tree: &'static str,
        /// The version found.
        version: u8,
    },
}

/// The wall clock.
pub trait Clock: Debug + Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// The minute of the week by the clock on the wall, where the server stands.
    fn week_minute(&self) -> WeekMinute {
        WeekMinute::utc(self.now())
    }
}
