//! The JSON about how much is logged.

use serde::Deserialize;
use serde::Serialize;

/// How much is logged now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// `error`, `warn`, `info`, `debug` or `trace`; or the directives that the server was started with.
    pub level: String,
    /// An administrator has turned it.
    pub by_hand: bool,
    /// Seconds after which it turns back by itself.
    pub left_s: Option<u64>,
}

/// How much shall be logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLogging {
    /// One of the five.
    pub level: String,
    /// For so many seconds, at most a day; without: until the next reload or restart.
    pub for_s: Option<u64>,
}
