//! The log: lines on standard error, as the configuration or `VESTIBULE_LOG` says.

mod scribe;

use std::io;
use std::io::IsTerminal;

use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::config::LogFormat;
use scribe::Scribe;

pub use scribe::Log;

/// Overrides the level: `debug`, or directives such as `vestibule::front=trace,warn`.
pub const VARIABLE: &str = "VESTIBULE_LOG";

/// Starts the log of this process. A second start changes nothing. When what it gives back is dropped, all lines are written.
#[must_use]
pub fn start(level: Level, format: LogFormat) -> Log {
    let wanted = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let read = wanted.as_deref().map(EnvFilter::try_new);
    let refused = matches!(read, Some(Err(_)));
    let filter = read.and_then(Result::ok).unwrap_or_else(|| EnvFilter::new(format!("warn,vestibule={level}")));
    let (scribe, log) = Scribe::start(io::stderr());
    let started = lines(filter, format, io::stderr().is_terminal(), scribe).try_init();
    if started.is_ok() && refused {
        tracing::warn!(variable = VARIABLE, value = ?wanted.unwrap_or_default(), "this is no filter: the configuration's level is used");
    }
    log
}

fn lines<W>(filter: EnvFilter, format: LogFormat, colours: bool, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(colours).with_writer(writer).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines.with_filter(filter_fn(harmless)))
}

/// What libraries say below `info` may hold whole headers, keys and packets: never, whatever the filter (O-06).
fn harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "vestibule" || target.starts_with("vestibule::") || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(filter: &str, format: LogFormat, speak: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        tracing::subscriber::with_default(lines(EnvFilter::new(filter), format, false, move || writer.clone()), speak);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn o_06_libraries_never_tell_their_details_whatever_the_filter() {
        let text = written("trace", LogFormat::Text, || {
            tracing::trace!(target: "h2::codec", "authorization: Basic ..");
            tracing::debug!(target: "vestibulesque", "not ours");
            tracing::warn!(target: "h2::codec", "a connection broke");
            tracing::trace!(target: "vestibule::engine", "ours");
        });
        assert!(text.contains("a connection broke") && text.contains("ours"), "{text}");
        assert!(!text.contains("authorization") && !text.contains("not ours"), "{text}");
    }

    #[test]
    fn a_line_for_machines_is_one_json_object() {
        let text = written("info", LogFormat::Json, || tracing::info!(account = ?"a\nb", "administration"));
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((line["message"].as_str(), line["account"].as_str()), (Some("administration"), Some(r#""a\nb""#)));
    }
}
