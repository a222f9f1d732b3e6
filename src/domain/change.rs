//! Every write there is. The log of changes is the replication stream, the crash story and the test oracle.

use super::account::Account;
use super::account::Bypass;
use super::account::Identity;
use super::account::Tally;
use super::account::Timestamp;
use super::account::Token;
use super::backup::BackupCodes;
use super::block::Block;
use super::block::Blocked;
use super::pin::Pin;
use super::rules::Lock;

/// One write. `SpendBypass`, `UseBackup` and `UseOtp` are conditional: a `commit` that holds one which is spent already writes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A block, in place of one there may be.
    Block {
        /// Whom.
        whom: Blocked,
        /// What.
        block: Block,
    },
    /// Enables or disables an account; nothing where there is none.
    EnableAccount {
        /// Whose.
        who: Identity,
        /// Which.
        enabled: bool,
    },
    /// One more wrong password or code.
    Fail {
        /// Whose.
        who: Identity,
        /// When.
        at: Timestamp,
        /// The rule that may lock.
        lock: Lock,
        /// In which count.
        tally: Tally,
    },
    /// A bypass, in place of one there may be.
    GrantBypass {
        /// Whose.
        who: Identity,
        /// What.
        bypass: Bypass,
    },
    /// An account, in place of one there may be.
    PutAccount(Box<Account>),
    /// Backup codes, in place of those there may be.
    PutBackups {
        /// Whose.
        who: Identity,
        /// Which.
        codes: BackupCodes,
    },
    /// A PIN with those before it, in place of one there may be.
    PutPin {
        /// Whose.
        who: Identity,
        /// Which.
        pin: Pin,
    },
    /// A token, in place of one with its id.
    PutToken(Token),
    /// An account with all there is of it. A block stays.
    RemoveAccount(Identity),
    /// All backup codes.
    RemoveBackups(Identity),
    /// A PIN, and those before it.
    RemovePin(Identity),
    /// One token.
    RemoveToken {
        /// Whose.
        who: Identity,
        /// Its id.
        token: String,
    },
    /// A bypass not yet spent.
    RevokeBypass(Identity),
    /// Uses the bypass up. Conditional: it must be there and not run out at `at`.
    SpendBypass {
        /// Whose.
        who: Identity,
        /// When.
        at: Timestamp,
    },
    /// A login went well: failures start again at none in this count.
    Succeed(Identity, Tally),
    /// Ends a block.
    Unblock(Blocked),
    /// Ends all locks and counts.
    Unlock(Identity),
    /// Uses a backup code up. Conditional: it must be there, unused, of this issue, and not run out at `at` (M-44).
    UseBackup {
        /// Whose.
        who: Identity,
        /// Its place among those that were issued together.
        place: u8,
        /// When these were issued.
        issued_at: Timestamp,
        /// When it is used.
        at: Timestamp,
    },
    /// Burns a code: `step` and all before it. Conditional: the token must be there and `step` not burnt (M-01, M-03).
    UseOtp {
        /// Whose.
        who: Identity,
        /// The token's id.
        token: String,
        /// Time step or counter of the code.
        step: u64,
    },
}

/// Position in the log of changes: 1 is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// Why a commit wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// The store could not write: nothing is on disk, or nobody can tell.
    Outage,
    /// A code or bypass in it is spent already.
    Spent,
}
