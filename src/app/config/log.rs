//! `[log]`: how much is logged, and how lines look.

use serde::Serialize;

use super::reader::Section;

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: tracing::Level,
    /// How lines look.
    pub format: LogFormat,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Entries of systemd's journal, each with fields of its own.
    Journald,
    /// For people.
    Text,
}

/// `[log]`
pub(super) fn log(file: &Section<'_>) -> Log {
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
        ("trace", tracing::Level::TRACE),
    ];
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json), ("journald", LogFormat::Journald)];
    let read = |log: &Section<'_>| {
        let level = log.find("level").and_then(|value| value.word(&levels)).unwrap_or(tracing::Level::INFO);
        let format = log.find("format").and_then(|value| value.word(&formats)).unwrap_or(LogFormat::Text);
        Some(Log { level, format })
    };
    file.find("log").and_then(|value| value.table(read)).unwrap_or(Log { level: tracing::Level::INFO, format: LogFormat::Text })
}
