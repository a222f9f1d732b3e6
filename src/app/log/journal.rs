//! The journal of systemd: each line an entry whose fields can be asked for (`journalctl VESTIBULE_CLIENT=fortigate`), by its native protocol.

use std::fmt;
use std::fmt::Debug;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::registry::LookupSpan;

use super::line;

/// Where systemd listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends entries. What the journal does not take goes to `otherwise`, so that nothing is lost without a trace.
#[derive(Debug)]
pub(super) struct Journal<W> {
    socket: UnixDatagram,
    path: PathBuf,
    otherwise: W,
}

impl<W: Write> Journal<W> {
    /// # Errors
    /// Nobody listens at `path`.
    pub(super) fn open(path: &Path, otherwise: W) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WITHIN))?;
        // A connection would be to the journal as it runs now: it may be started anew.
        UnixDatagram::unbound()?.connect(path)?;
        Ok(Self { socket, path: path.to_owned(), otherwise })
    }
}

/// Takes whole entries, each with an empty line behind it.
impl<W: Write> Write for Journal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at.saturating_add(1));
            let (entry, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            if self.socket.send_to(entry, &self.path).is_err() {
                self.otherwise.write_all(entry)?;
            }
            rest = behind.strip_prefix(b"\n").unwrap_or(behind);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.otherwise.flush()
    }
}

/// Writes an event as an entry: its message as people read it, with all fields; and each field by itself.
#[derive(Debug, Default)]
pub(super) struct Entry;

impl<S, N> FormatEvent<S, N> for Entry
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let mut text = String::new();
        line::write_fields(Writer::new(&mut text), event)?;
        writeln!(writer, "SYSLOG_IDENTIFIER=vestibule\nPRIORITY={}", priority(*metadata.level()))?;
        put(&mut writer, "MESSAGE", &text)?;
        put(&mut writer, "VESTIBULE_TARGET", metadata.target())?;
        let mut fields = Fields { writer: writer.by_ref(), done: Ok(()) };
        event.record(&mut fields);
        fields.done?;
        writer.write_char('\n')
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    done: fmt::Result,
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if self.done.is_ok() && field.name() != "message" {
            self.done = put(&mut self.writer, &name(field), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// One line. A value of several would need a length before it, in bytes that are no text; an empty one would end the entry.
fn put(writer: &mut Writer<'_>, name: &str, value: &str) -> fmt::Result {
    writer.write_str(name)?;
    writer.write_char('=')?;
    let cut = value.char_indices().nth(VALUE_CHARS_MAX).map_or(value.len(), |(at, _)| at);
    for (number, part) in value.get(..cut).unwrap_or_default().split('\n').enumerate() {
        if number > 0 {
            writer.write_str("\\n")?;
        }
        writer.write_str(part)?;
    }
    writer.write_char('\n')
}

/// `VESTIBULE_CLIENT`: upper case, digits and underscores, at most 64 of them.
fn name(field: &Field) -> String {
    let own = field.name();
    let own = own.strip_prefix("r#").unwrap_or(own);
    let letter = |sign: char| if sign.is_ascii_alphanumeric() { sign.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(own.chars().map(letter)).take(NAME_CHARS_MAX).collect()
}

/// As syslog(3) has them.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

const PREFIX: &str = "VESTIBULE_";
const NAME_CHARS_MAX: usize = 64;
/// Of a value: an entry is one datagram, which must fit into the socket's buffer.
const VALUE_CHARS_MAX: usize = 8_192;
/// The journal may be slow, but not for ever.
const SEND_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

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

    fn said() {
        tracing::warn!(client = "fortigate", login = ?"a\nb", r#type = 7, "no\nanswer");
        tracing::info!(source = %"192.0.2.7", "login");
    }

    #[test]
    fn each_line_is_an_entry_with_fields_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let page = Page::default();
        let writer = page.clone();
        let lines = tracing_subscriber::fmt::layer().event_format(Entry).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), said);
        // Both with one write, as the scribe does it.
        let mut out = Journal::open(&path, Vec::new()).unwrap();
        out.write_all(&page.0.lock().unwrap()).unwrap();
        assert!(out.otherwise.is_empty());
        let mut buffer = [0; 4096];
        let mut heard = || {
            let count = journal.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..count].to_vec()).unwrap()
        };
        let first = heard();
        let fields: Vec<(&str, &str)> = first.lines().map(|line| line.split_once('=').unwrap()).collect();
        for field in [
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "vestibule"),
            ("VESTIBULE_CLIENT", "fortigate"),
            ("VESTIBULE_LOGIN", r#""a\nb""#),
            ("VESTIBULE_TYPE", "7"),
            ("MESSAGE", r#"no\nanswer client="fortigate" login="a\nb" type=7"#),
        ] {
            assert!(fields.contains(&field), "{field:?} is not in {first}");
        }
        assert!(heard().contains("VESTIBULE_SOURCE=192.0.2.7\n"));
    }

    #[test]
    fn what_the_journal_does_not_take_is_written_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(Journal::open(&path, Vec::new()).is_err(), "nobody listens");
        let listening = UnixDatagram::bind(&path).unwrap();
        let mut out = Journal::open(&path, Vec::new()).unwrap();
        drop(listening);
        out.write_all(b"MESSAGE=lost?\n\n").unwrap();
        assert_eq!(out.otherwise, b"MESSAGE=lost?\n");
    }
}
