//! The JSON about tokens that come by the file, and those that are brought back into step.

use serde::Deserialize;
use serde::Serialize;

use super::Once;
use super::WrongLine;

/// A file of hardware tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFile {
    /// The whole of it: a key container (RFC 6030) or a table (RFC 4180).
    pub text: Once,
    /// The shared key that it is encrypted under, in hexadecimal.
    #[serde(default)]
    pub key: Option<Once>,
    /// The password.
    #[serde(default)]
    pub password: Option<Once>,
    /// A table of who is to have which: serial, owner, directory.
    #[serde(default)]
    pub assign: Option<String>,
}

/// What became of it: all tokens are written, or none and these lines are wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokensImported {
    /// Tokens that were written.
    pub count: u64,
    /// Lines that are wrong.
    pub wrong: Vec<WrongLine>,
}

/// Asks for a token to be brought back into step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewResync {
    /// Its id, or the name of whoever has one such token.
    pub token: String,
    /// Two or three codes in a row.
    pub codes: Vec<Once>,
}
