//! The rules of a policy, parsed: what must be true before somebody is let in.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::groups::Groups;
use super::hours::Hours;
use super::network::Network;
use super::pin::PinPlace;
use super::texts::Lexicon;

/// One policy. Shared by all clients that name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The policy's name in the configuration.
    pub name: String,
    /// In order of preference; the next is tried where one cannot be used.
    pub methods: Vec<Choice>,
    /// From here the first factor is enough.
    pub trusted: Vec<Network>,
    /// A person without an account.
    pub unenrolled: FirstAlone,
    /// A person whose account is disabled.
    pub disabled: FirstAlone,
    /// Every provider the person could use is away.
    pub outage: OnOutage,
    /// Milliseconds of an outage after which it is no reason any more to let anybody in; 0: however long it lasts.
    pub outage_max_ms: u64,
    /// Groups that decide.
    pub groups: Groups,
    /// When people may log in.
    pub hours: Hours,
    /// When too many failures lock.
    pub lock: Lock,
    /// For how long both factors are good, and for which logins.
    pub remember: Remember,
    /// How often a person may be rung: pushes, calls and texts (M-10, M-28).
    pub pushes: Pushes,
    /// Milliseconds for which somebody who reports a fraud is blocked; 0: not at all.
    pub block_ms: u64,
    /// What people read.
    pub texts: Arc<Lexicon>,
}

impl Rules {
    /// A policy that lets nobody in by the first factor alone, remembers nothing, and has no limits but five failures and a quarter of an hour. It speaks English.
    #[must_use]
    pub fn bare(name: &str, methods: Vec<Choice>) -> Self {
        Self {
            name: name.to_owned(),
            methods,
            trusted: Vec::new(),
            unenrolled: FirstAlone::Reject,
            disabled: FirstAlone::Reject,
            outage: OnOutage::Closed,
            outage_max_ms: 0,
            groups: Groups::default(),
            hours: Hours::default(),
            lock: Lock { failures_max: 5, wait_ms: 15 * 60 * 1000, window_ms: 30 * 60 * 1000 },
            remember: Remember::default(),
            pushes: Pushes::default(),
            block_ms: 0,
            texts: Arc::default(),
        }
    }
}

/// How often one person may be rung. By default without bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushes {
    /// So many within `per_ms`; 0: no such bound.
    pub count_max: u32,
    /// Milliseconds.
    pub per_ms: u64,
    /// So many in a day since the last that was approved; 0: no such bound.
    pub day_max: u32,
    /// Milliseconds of rest after one that was denied or ignored, doubled each further time; 0: none.
    pub backoff_ms: u64,
}

/// A way to ask, and who carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How the person is asked.
    pub method: Method,
    /// The provider's name in the configuration.
    pub provider: Arc<str>,
    /// Where a PIN stands beside the code; `None`: none is asked for.
    pub pin: Option<PinPlace>,
}

impl Choice {
    /// Without a PIN.
    #[must_use]
    pub fn new(method: Method, provider: impl Into<Arc<str>>) -> Self {
        Self { method, provider: provider.into(), pin: None }
    }
}

impl fmt::Display for Choice {
    /// In words: "oath through tokens, a PIN in front of the code".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} through {}", self.method.as_str(), self.provider)?;
        match self.pin {
            Some(PinPlace::Behind) => f.write_str(", a PIN behind the code"),
            Some(PinPlace::Front) => f.write_str(", a PIN in front of the code"),
            None => Ok(()),
        }
    }
}

/// How a person is asked for the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A telephone call to answer.
    Call,
    /// A code that comes by mail, typed.
    Email,
    /// A code from a generator, typed.
    Oath,
    /// A question on the phone's screen.
    Push,
    /// A code that comes by text message, typed.
    Text,
}

impl Method {
    /// The method that a person means by this word, English or German, case ignored; a code has none.
    #[must_use]
    pub fn of_word(word: &[u8]) -> Option<Self> {
        let words = [
            ("anruf", Self::Call),
            ("call", Self::Call),
            ("e-mail", Self::Email),
            ("email", Self::Email),
            ("mail", Self::Email),
            ("phone", Self::Call),
            ("push", Self::Push),
            ("sms", Self::Text),
            ("text", Self::Text),
        ];
        words.into_iter().find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes())).map(|(_, method)| method)
    }

    /// The word in configuration, log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Email => "email",
            Self::Oath => "oath",
            Self::Push => "push",
            Self::Text => "text",
        }
    }
}

/// Whether the first factor alone is enough in some case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirstAlone {
    /// It is.
    Accept,
    /// It is not.
    Reject,
}

/// What happens when no provider can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnOutage {
    /// Nobody gets in.
    Closed,
    /// The first factor is enough while a provider is *unreachable*; never for a wrong key of ours, a throttle or an unanswered question.
    Open,
}

/// For how long the first factor is enough after both have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remember {
    /// Milliseconds from the second factor on, at most [`Remember::FOR_MS_MAX`]; 0: not at all.
    pub for_ms: u64,
    /// For which logins.
    pub by: RememberBy,
}

impl Remember {
    /// The longest time: 12 hours (M-40).
    pub const FOR_MS_MAX: u64 = 12 * 60 * 60 * 1000;
}

/// What a login must have in common with the one that is remembered, beside identity, password and policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RememberBy {
    /// Nothing: it may come by any client of the policy.
    Account,
    /// The client.
    Client,
    /// The client, and where the person is; where nobody can tell, nothing is remembered.
    #[default]
    Source,
}

/// Failures until a lock, and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The failure that locks; 0 never does.
    pub failures_max: u32,
    /// Milliseconds a lock lasts.
    pub wait_ms: u64,
    /// Milliseconds after which a failure counts no more; 0: only a success and a lock that ran out end it.
    #[serde(default)]
    pub window_ms: u64,
}
