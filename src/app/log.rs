//! The log: lines on standard error, as the configuration or `VESTIBULE_LOG` says.

use std::io;
use std::io::IsTerminal;

use tracing::Level;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::config::LogFormat;

/// Overrides the level: `debug`, or directives such as `vestibule::front=trace,warn`.
pub const VARIABLE: &str = "VESTIBULE_LOG";

/// Starts the log of this process. A second start changes nothing.
pub fn start(level: Level, format: LogFormat) {
    let wanted = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let read = wanted.as_deref().map(EnvFilter::try_new);
    let refused = matches!(read, Some(Err(_)));
    let filter = read.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(format!("warn,vestibule={level}")));
    let lines = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(io::stderr().is_terminal()).with_writer(io::stderr).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(lines.with_filter(filter_fn(harmless))).try_init();
    if started.is_ok() && refused {
        tracing::warn!(variable = VARIABLE, value = ?wanted.unwrap_or_default(), "this is no filter: the configuration's level is used");
    }
}

/// What libraries say below `info` may hold whole headers, keys and packets: never, whatever the filter (O-06).
fn harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "vestibule" || target.starts_with("vestibule::") || *metadata.level() <= Level::INFO
}
