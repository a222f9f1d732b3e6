//! What somebody who looks after the server should look at now, as it is told to them.

use std::net::IpAddr;

use super::account::Timestamp;
use super::request::Trace;

/// Something happened. No secret is in it, and nothing a person typed but the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What.
    pub alarm: Alarm,
    /// When.
    pub at: Timestamp,
    /// What is quiet for a while once it was told: an identity, a number, a policy; empty where there is but one.
    pub about: String,
    /// Whose name is said: as typed, or as an administrator knows it; empty where it is about nobody alone.
    pub who: String,
    /// Who did it, where it was an administrator.
    pub by: String,
    /// The client's name in the configuration, where there is one.
    pub client: String,
    /// The policy.
    pub policy: String,
    /// Where the person is, as far as the client is trusted to tell.
    pub source: Option<IpAddr>,
    /// What the login is called, where it was one.
    pub trace: Option<Trace>,
}

/// What there is to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// A fraud that a person reported is not on disk.
    BlockUnwritten,
    /// An administrator keeps a person or a number out.
    Blocked,
    /// A person's phone has rung in vain as often as a day allows.
    DaySpent,
    /// Somebody was let in because no provider could be reached.
    FailOpen,
    /// A person says that a login is not theirs.
    Fraud,
    /// Many were locked out in a short time.
    Lockouts,
}

impl Alarm {
    /// Each of them.
    pub const ALL: [Self; 6] = [Self::BlockUnwritten, Self::Blocked, Self::DaySpent, Self::FailOpen, Self::Fraud, Self::Lockouts];

    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlockUnwritten => "block_unwritten",
            Self::Blocked => "blocked",
            Self::DaySpent => "pushes_day_spent",
            Self::FailOpen => "fail_open",
            Self::Fraud => "fraud_reported",
            Self::Lockouts => "lockouts",
        }
    }

    /// What it means, for the log.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::BlockUnwritten => "a block cannot be written: it holds while this program runs, and is written again with the next login",
            Self::Blocked => "an administrator keeps somebody out",
            Self::DaySpent => {
                "a phone rang as often in a day as the policy allows, and nothing was approved: whoever has no other method stays out until then, or until `vestibule user unlock`"
            }
            Self::FailOpen => "somebody was let in by the first factor alone: no provider can be reached, and the policy is open then",
            Self::Fraud => "a person says that this login is not theirs: whoever tried it has the password",
            Self::Lockouts => "many were locked out in a short time: somebody may be guessing, or a client has stale passwords",
        }
    }
}
