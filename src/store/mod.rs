//! What is remembered: accounts, tokens and the log of changes, in sled.

use std::path::PathBuf;

use crate::domain::Secret;

/// Where the store lies and what seals its secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder; the store makes its own inside.
    pub data_dir: PathBuf,
    /// 32 bytes.
    pub master_key: Secret,
}
