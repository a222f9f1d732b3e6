//! The audit: who accounts for logins, and how its lines read.

use std::fmt::Debug;
use std::io;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::watch;

use crate::domain::Ending;
use crate::domain::Trace;

/// Accounts for what happened. Nobody waits for it, and what it cannot write it counts.
pub trait Audit: Debug + Send + Sync {
    /// A login has ended. Returns at once.
    fn note(&self, ending: Ending);

    /// Tells monitoring how many logins wait to be written.
    fn measure(&self) {}

    /// The number of the newest line that can be read, 0 before the first.
    fn newest(&self) -> watch::Receiver<u64>;

    /// The lines behind number `after`, as they stand in the file, oldest first: at most `count_max`, or where `after` is `None` the newest so many. Reads
    /// the disk.
    ///
    /// # Errors
    /// The disk's.
    fn tail(&self, after: Option<u64>, count_max: usize) -> io::Result<Vec<String>>;

    /// The lines of this login, oldest first. Reads the disk, all of it if need be.
    ///
    /// # Errors
    /// The disk's.
    fn find(&self, trace: Trace) -> io::Result<Vec<String>>;

    /// The files, oldest first, by the number of their first line.
    ///
    /// # Errors
    /// The disk's.
    fn files(&self) -> io::Result<Vec<u64>>;

    /// Checks every line of the file whose first line has this number. Reads the disk.
    ///
    /// # Errors
    /// The disk's. What is wrong with a line is no error but told.
    fn verify(&self, file: u64) -> io::Result<Verified>;
}

/// Remembers how far the audit went, in another place than its files: who can change those alone cannot make it forget.
pub trait Anchor: Debug + Send + Sync {
    /// The highest number that was told; 0 where none was, or nobody can say.
    fn told(&self) -> u64;

    /// All lines up to this number are on disk. What cannot be written is forgotten: the next time comes soon.
    fn tell(&self, seq: u64);
}

/// What a file of the audit is worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The number of its first line.
    pub first: u64,
    /// The number of its last line that is right.
    pub last: u64,
    /// Lines that are right.
    pub lines: u64,
    /// What the first line says the line before it was sealed with; of the very first file it is empty.
    pub prev: String,
    /// What its last right line is sealed with.
    pub seal: String,
    /// What is wrong, and in which line, counted from 1.
    pub wrong: Option<(u64, String)>,
    /// Where lines say that others are lost: their numbers, and how many each tells of, 0 where nobody can tell. The first 100.
    #[serde(default)]
    pub lost: Vec<(u64, u64)>,
}

/// A line of the audit without its seal; `T` is its texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T = String> {
    /// Its number: 1 is the first.
    pub seq: u64,
    /// When, RFC 3339 in UTC, to the millisecond.
    pub at: T,
    /// The node that wrote it.
    pub node: T,
    /// What.
    #[serde(flatten)]
    pub what: Entry<T>,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Entry<T = String> {
    /// A login ended.
    Login(Box<Login<T>>),
    /// Lines that could not be written, or are gone.
    Lost {
        /// How many; 0 where nobody can tell.
        lines: u64,
    },
    /// A file begins here.
    Opened {
        /// The program's version.
        version: T,
        /// What the line before was sealed with; empty in the very first file.
        prev: T,
    },
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login<T = String> {
    /// What it is called: 32 hexadecimal digits.
    pub trace: T,
    /// `radius` or `ldap`.
    pub door: T,
    /// The client's name in the configuration.
    pub client: T,
    /// The name as typed.
    pub login: T,
    /// Who it turned out to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<T>,
    /// Where the person is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<T>,
    /// The policy.
    pub policy: T,
    /// `accept`, `reject`, `drop` or `given_up`.
    pub decision: T,
    /// Why.
    pub why: T,
    /// What the factor that refused said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<T>,
    /// How the person was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<T>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<T>,
    /// What Azure Multi-Factor Authentication Server called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<T>,
    /// Milliseconds to the word about the first factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u32>,
    /// Milliseconds of the second factor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_ms: Option<u32>,
    /// Milliseconds in all.
    pub ms: u32,
    /// Milliseconds this client was taken to wait.
    pub within_ms: u32,
    /// How often the client asked again meanwhile.
    #[serde(default)]
    pub repeats: u32,
    /// Milliseconds after which it was last heard of.
    #[serde(default)]
    pub heard_ms: u32,
    /// What happened on the way: milliseconds from the beginning, and a word.
    pub steps: Vec<(u32, T)>,
}
