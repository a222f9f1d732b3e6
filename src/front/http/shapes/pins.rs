//! The JSON about PINs and backup codes.

use serde::Deserialize;
use serde::Serialize;

use super::Once;

/// Asks for a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPin {
    /// Its digits.
    pub pin: Once,
}

/// What may be seen of a PIN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinState {
    /// When it was set.
    pub set_at: String,
    /// When it must be set anew; none: never.
    pub until: Option<String>,
    /// Whether that is over.
    pub expired: bool,
}

/// Asks for backup codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewBackups {
    /// How many: 1 to 20.
    pub count: u8,
    /// Seconds they are good for: 1 to 86,400.
    pub for_s: u64,
}

impl Default for NewBackups {
    fn default() -> Self {
        Self { count: 10, for_s: 24 * 60 * 60 }
    }
}

/// New backup codes: the one answer that holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedBackups {
    /// Whose.
    pub identity: String,
    /// The account's name.
    pub account: String,
    /// Each good once.
    pub codes: Vec<Once>,
    /// Good before this moment.
    pub until: String,
}

/// What may be seen of backup codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupState {
    /// Codes not used yet.
    pub left: u64,
    /// Good before this moment.
    pub until: String,
    /// Who issued them.
    pub issued_by: String,
    /// When.
    pub issued_at: String,
}
