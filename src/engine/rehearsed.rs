//! What a rehearsal may do, and what it tells.

use crate::domain::Denial;
use crate::domain::Grant;
use crate::domain::Outage;
use crate::domain::Secret;
use crate::ports::Aside;
use crate::ports::Entry;

/// What a rehearsal may do in earnest.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// Have the first factor checked, once, and a wrong one counted as any login counts it (M-05); else it is taken as passed.
    pub first: bool,
    /// Ask for the second factor, and write down what that uses up or counts against the person; else nobody is asked and nothing is written.
    pub second: bool,
    /// What the person would answer to a challenge.
    pub answer: Option<Secret>,
}

/// What a login would have been.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// In the order in which they happen.
    pub steps: Vec<Step>,
    /// How it ends.
    pub verdict: Verdict,
    /// Whom the typed name means.
    pub entry: Option<Entry>,
    /// What the first factor said beside, where it was asked.
    pub aside: Aside,
}

/// One thing that a login does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is about.
    pub part: Part,
    /// In plain words.
    pub told: String,
    /// Nobody was asked: it is taken to be so.
    pub assumed: bool,
}

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What is held about the person.
    Account,
    /// The password, or what stands for it.
    First,
    /// Whom the typed name means.
    Name,
    /// The rule that decides.
    Rule,
    /// What the person proves beside.
    Second,
    /// What is written.
    Write,
}

impl Part {
    /// The word in JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::First => "first factor",
            Self::Name => "name",
            Self::Rule => "rule",
            Self::Second => "second factor",
            Self::Write => "writes",
        }
    }
}

/// How a rehearsal ends. No permit: it opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They would be let in.
    Accept(Grant),
    /// They would be asked this.
    Challenge(String),
    /// Nobody would hear anything.
    Drop(Outage),
    /// They would be refused.
    Reject(Denial),
    /// The server behind us would ask a question of its own.
    Relayed,
    /// Only the first factor knows whose login it is, and it was not asked.
    Untold,
}
