//! The store as its keeper sees it: taken along in a file, and sealed anew, while logins go on.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::domain::Secret;
use crate::domain::Timestamp;

use super::StoreError;

/// What can be done with a store as a whole.
#[async_trait]
pub trait Keep: Debug + Send + Sync {
    /// Begins a backup that `key` (32 bytes) alone opens. One at a time: another one that is being made is given up.
    ///
    /// # Errors
    /// The store cannot be read, the key has another length, or the machine has no random numbers to give.
    async fn backup(&self, key: &Secret, node: &str, now: Timestamp) -> Result<Box<dyn Outgoing>, StoreError>;

    /// Begins to seal everything with a new data key, or goes on with one that was begun before.
    ///
    /// # Errors
    /// The disk's; or a backup is being made.
    async fn begin_rekey(&self) -> Result<Rekeyed, StoreError>;

    /// Seals some hundred records anew. When all are, the old data keys are thrown away.
    ///
    /// # Errors
    /// The disk's, or a record that does not open.
    async fn rekey(&self) -> Result<Rekeyed, StoreError>;

    /// How many records there are of each kind.
    ///
    /// # Errors
    /// The store cannot be read.
    fn counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError>;
}

/// A backup on its way out.
#[async_trait]
pub trait Outgoing: Debug + Send {
    /// The next bytes of the file, at most some MiB.
    ///
    /// # Errors
    /// The store cannot be read, or more was written meanwhile than can be taken along.
    async fn piece(&mut self) -> Result<Piece, StoreError>;
}

/// Some bytes of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// As they stand in the file.
    pub bytes: Vec<u8>,
    /// Records taken along so far.
    pub done: u64,
    /// Of about so many.
    pub total: u64,
    /// No more come.
    pub last: bool,
}

/// How far sealing anew has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekeyed {
    /// The number of the new data key.
    pub epoch: u32,
    /// Records looked at.
    pub done: u64,
    /// Of about so many.
    pub total: u64,
    /// All are sealed with it, and no other key is left.
    pub finished: bool,
}
