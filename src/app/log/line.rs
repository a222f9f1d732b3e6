//! One line of text: as `tracing_subscriber` writes it, letter by letter, in a third of the time. Each login says one.

use std::cell::RefCell;
use std::fmt;
use std::fmt::Debug;
use std::fmt::Write;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::registry::LookupSpan;

use crate::app::clock;

/// Writes our own lines; what libraries say is left to the usual way.
#[derive(Debug, Default)]
pub(super) struct Plain(Format);

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if !metadata.target().starts_with("vestibule") || context.lookup_current().is_some() {
            return self.0.format_event(context, writer, event);
        }
        write_moment(&mut writer)?;
        writer.write_str(padded(*metadata.level()))?;
        writer.write_str(metadata.target())?;
        writer.write_str(": ")?;
        write_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

/// The message of an event and its fields behind it.
pub(super) fn write_fields(writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
    let mut fields = Fields { writer, is_first: true, done: Ok(()) };
    event.record(&mut fields);
    fields.done
}

/// The fields of an event one after the other, the message without its name.
struct Fields<'w> {
    writer: Writer<'w>,
    is_first: bool,
    done: fmt::Result,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.done.is_err() {
            return;
        }
        let is_first = std::mem::replace(&mut self.is_first, false);
        let writer = &mut self.writer;
        let mut begin = || {
            if !is_first {
                writer.write_char(' ')?;
            }
            if field.name() != MESSAGE {
                let name = field.name();
                writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
                writer.write_char('=')?;
            }
            Ok(())
        };
        self.done = begin().and_then(|()| write(&mut self.writer));
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            return self.put(field, |writer| Harmless(writer).write_str(value));
        }
        let is_plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\');
        self.put(field, |writer| {
            if !is_plain {
                return write!(writer, "{value:?}");
            }
            writer.write_char('"')?;
            writer.write_str(value)?;
            writer.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == MESSAGE {
            return self.put(field, |writer| write!(Harmless(writer), "{value:?}"));
        }
        self.put(field, |writer| write!(writer, "{value:?}"));
    }
}

/// Keeps from a terminal what it would obey.
struct Harmless<'a, 'w>(&'a mut Writer<'w>);

impl Write for Harmless<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_obeyed = |sign: char| matches!(sign, '\x07' | '\x08' | '\x0c' | '\x1b' | '\x7f'..='\u{9f}');
        for piece in text.split_inclusive(is_obeyed) {
            let Some((at, sign)) = piece.char_indices().next_back().filter(|(_, sign)| is_obeyed(*sign)) else {
                self.0.write_str(piece)?;
                continue;
            };
            self.0.write_str(piece.get(..at).unwrap_or_default())?;
            match u32::from(sign) {
                code @ 0x80.. => write!(self.0, "\\u{{{code:x}}}")?,
                code => write!(self.0, "\\x{code:02x}")?,
            }
        }
        Ok(())
    }
}

/// `2026-11-21T09:30:00.123456Z `
fn write_moment(writer: &mut Writer<'_>) -> fmt::Result {
    let now = clock::since_epoch();
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != now.as_secs() || text.is_empty() {
            let second = i64::try_from(now.as_secs()).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
            *known = now.as_secs();
            text.clear();
            write!(text, "{}", second.ok_or(fmt::Error)?.strftime("%Y-%m-%dT%H:%M:%S."))?;
        }
        writer.write_str(text)
    })?;
    let mut digits = [b'0'; 6];
    let mut rest = now.subsec_micros();
    for digit in digits.iter_mut().rev() {
        *digit = b'0'.saturating_add(u8::try_from(rest % 10).unwrap_or_default());
        rest /= 10;
    }
    writer.write_str(std::str::from_utf8(&digits).unwrap_or_default())?;
    writer.write_str("Z ")
}

fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR ",
        Level::WARN => " WARN ",
        Level::INFO => " INFO ",
        Level::DEBUG => "DEBUG ",
        Level::TRACE => "TRACE ",
    }
}

const MESSAGE: &str = "message";

thread_local! {
    /// The second of the last line, and how it is written.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}
