//! The JSON about backups, data keys, and what a support case needs.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use super::Once;

/// Asks for a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// The recovery key: 64 hexadecimal digits.
    pub key: Once,
}

/// Some bytes of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPiece {
    /// Which backup.
    pub id: String,
    /// The bytes, in base64.
    pub bytes: String,
    /// Records taken along so far.
    pub done: u64,
    /// Of about so many.
    pub total: u64,
    /// No more come.
    pub last: bool,
}

/// How far sealing anew has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// What a support case needs of a server that runs: no name and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// The version of the server.
    pub version: String,
    /// The server's clock.
    pub now: String,
    /// Records by kind.
    pub records: BTreeMap<String, u64>,
    /// As `/metrics` tells them.
    pub metrics: String,
}
