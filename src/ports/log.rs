//! How much is logged, and who may change it while the server runs.

use std::fmt::Debug;
use std::time::Duration;

/// Levels of the log, from the fewest lines to the most.
pub const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// How much is logged.
pub trait LogLevel: Debug + Send + Sync {
    /// As it is now.
    fn now(&self) -> Logging;

    /// Logs so much from now on: for that time where one is given, else until the configuration is read again. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// `level` is none of [`LEVELS`].
    fn turn(&self, level: &str, within: Option<Duration>) -> Result<Logging, UnknownLevel>;
}

/// How much is logged now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// One of [`LEVELS`], or the directives of the environment.
    pub level: String,
    /// Somebody has turned it, and it is not what configuration or environment say.
    pub by_hand: bool,
    /// For so long yet.
    pub left: Option<Duration>,
}

/// There is no such level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such level: error, warn, info, debug or trace")]
pub struct UnknownLevel;
