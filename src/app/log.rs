//! The log: lines on standard error, as the configuration or `VESTIBULE_LOG` says.

mod dial;
mod journal;
mod line;
mod scribe;

use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use tracing::Level;
use tracing::Metadata;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use super::config::LogFormat;
use journal::Journal;
use line::Plain;
use scribe::Scribe;

pub use dial::Dial;
pub use scribe::Log;

/// Overrides the level: `debug`, or directives such as `vestibule::front=trace,warn`.
pub const VARIABLE: &str = "VESTIBULE_LOG";

/// Starts the log of this process. A second start changes nothing. When the log that it gives back is dropped, all lines are written; the dial says how much
/// is logged.
pub fn start(level: Level, format: LogFormat) -> (Log, Arc<Dial>) {
    let wanted = std::env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let read = wanted.as_deref().map(EnvFilter::try_new);
    let refused = matches!(read, Some(Err(_)));
    let directives = wanted.clone().filter(|_| !refused);
    let filter = read.and_then(Result::ok).unwrap_or_else(|| dial::ours(level.as_str()));
    let journal = (format == LogFormat::Journald).then(|| Journal::open(Path::new(journal::SOCKET), io::stderr()));
    let unheard = matches!(journal, Some(Err(_)));
    let (format, (scribe, log)) = match journal {
        Some(Ok(journal)) => (LogFormat::Journald, Scribe::start(journal)),
        Some(Err(_)) => (LogFormat::Text, Scribe::start(io::stderr())),
        None => (format, Scribe::start(io::stderr())),
    };
    let (filter, handle) = reload::Layer::new(filter);
    let started = lines(filter, format, io::stderr().is_terminal(), scribe).try_init();
    let dial = Dial::new(directives, level, move |filter| {
        // Where another log was started first there is nothing to turn.
        let _ = handle.reload(filter);
    });
    if started.is_ok() && refused {
        tracing::warn!(variable = VARIABLE, value = ?wanted.unwrap_or_default(), "this is no filter: the configuration's level is used");
    }
    if unheard {
        tracing::warn!(socket = journal::SOCKET, "no journal listens there: lines are text on standard error instead (log.format)");
    }
    (log, dial)
}

fn lines<F, W>(filter: F, format: LogFormat, colours: bool, writer: W) -> impl Subscriber + Send + Sync
where
    F: Layer<Registry> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let lines = match format {
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
        LogFormat::Journald => fmt::layer().with_ansi(false).event_format(journal::Entry).with_writer(writer).boxed(),
        LogFormat::Text if colours => fmt::layer().with_ansi(true).with_writer(writer).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(false).event_format(Plain::default()).with_writer(writer).boxed(),
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
    fn a_line_of_ours_is_what_the_library_would_write() {
        let said = || {
            tracing::info!(door = "radius", client = r#"a"b\\"#, login = ?"x y\n", identity = Some("local:1"), source = Some(tracing::field::display("10.0.0.1")), late = None::<bool>, ms = 7_u64, r#type = -1, "login");
            tracing::warn!("bell \x07 \u{1b}[31m \u{9b} d\u{fc} {}", 1);
            tracing::error!(error = %"broken \u{1b}[m", "it \"is\"");
            tracing::debug!(message = "a message by name \x1b", why = "caf\u{e9}");
            tracing::info!(only = true);
            tracing::trace!(target: "vestibule::elsewhere", list = ?[1, 2], half = 0.5, "x");
            tracing::info_span!("inside", number = 1).in_scope(|| tracing::info!("within"));
        };
        let usual = {
            let page = Page::default();
            let writer = page.clone();
            let lines = fmt::layer().with_ansi(false).with_writer(move || writer.clone());
            tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), said);
            String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
        };
        let ours = written("trace", LogFormat::Text, said);
        let timeless = |text: &str| -> Vec<String> { text.lines().map(|line| line.split_once("Z ").unwrap().1.to_owned()).collect() };
        assert_eq!(timeless(&ours), timeless(&usual));
        let moment = |text: &str| text.split_once(' ').unwrap().0.to_owned();
        let parsed: jiff::Timestamp = moment(&ours).parse().unwrap();
        assert_eq!((moment(&ours).len(), parsed.as_second() - moment(&usual).parse::<jiff::Timestamp>().unwrap().as_second() <= 1), (27, true));
    }

    #[test]
    fn a_line_for_machines_is_one_json_object() {
        let text = written("info", LogFormat::Json, || tracing::info!(account = ?"a\nb", "administration"));
        let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
        assert_eq!((line["message"].as_str(), line["account"].as_str()), (Some("administration"), Some(r#""a\nb""#)));
    }
}
