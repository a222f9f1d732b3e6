//! What the command line says, and how it fails: results on standard output, complaints on standard error.

use std::io;
use std::io::ErrorKind;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use comfy_table::ContentArrangement;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use serde::Serialize;

/// Why a command did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The configuration is wrong; one line a mistake. Exit code 3.
    Config(Vec<String>),
    /// It did not work. Exit code 1.
    Failed {
        /// What.
        error: String,
        /// What to do; may be empty.
        hint: String,
    },
    /// Nobody reads what we say any more: no failure of ours. Exit code 0.
    Unread,
    /// It was asked wrongly. Exit code 2.
    Usage(String),
}

impl Failure {
    /// It did not work.
    pub(super) fn failed(error: impl Into<String>, hint: &str) -> Self {
        Self::Failed { error: error.into(), hint: hint.to_owned() }
    }

    /// What is wrong, without what to do.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Config(problems) => format!("the configuration is wrong in {} places", problems.len()),
            Self::Failed { error, .. } | Self::Usage(error) => error.clone(),
            Self::Unread => String::new(),
        }
    }

    /// Says it and turns it into the exit code.
    pub(super) fn tell(self) -> ExitCode {
        let (code, lines) = match self {
            Self::Config(problems) => (3, problems),
            // A configuration is wrong in several lines, and each is one.
            Self::Failed { error, hint } => {
                let hint = Some(hint).filter(|hint| !hint.is_empty()).map(|hint| format!("  {hint}"));
                (1, error.lines().map(str::to_owned).chain(hint).collect())
            }
            Self::Unread => (0, Vec::new()),
            Self::Usage(error) => (2, vec![error, "  --help tells more".to_owned()]),
        };
        complain(&lines);
        ExitCode::from(code)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == ErrorKind::BrokenPipe { Self::Unread } else { Self::failed(format!("cannot write: {error}"), "") }
    }
}

/// Lines on standard error. Where even that is gone there is nobody to tell.
pub(super) fn complain(lines: &[String]) {
    let mut error = io::stderr().lock();
    for line in lines {
        let _ = writeln!(error, "{}", harmless(line));
    }
}

/// Text on standard output, a newline behind it.
///
/// # Errors
/// Nobody reads it, or it cannot be written.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// A value as JSON.
///
/// # Errors
/// As [`say`].
pub(super) fn say_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::failed(format!("cannot write JSON: {error}"), ""))?;
    say(&text)
}

/// A table: with lines and as wide as the terminal for people, plain columns for programs.
///
/// # Errors
/// As [`say`].
pub(super) fn say_table(header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    let mut table = Table::new();
    let people = io::stdout().is_terminal();
    table.load_style(if people { UTF8_HORIZONTAL_ONLY } else { NOTHING });
    if people {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| harmless(cell)));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    say(&lines.join("\n"))
}

/// How far a long work is: a bar on standard error where people look, and nothing for programs.
#[derive(Debug)]
pub(super) struct Progress(indicatif::ProgressBar);

/// A work of so many steps.
pub(super) fn progress(steps: usize, what: &'static str) -> Progress {
    let bar = indicatif::ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX));
    if let Ok(style) = indicatif::ProgressStyle::with_template("{bar:40} {pos} of {len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(what);
    Progress(bar)
}

impl Progress {
    /// One step further.
    pub(super) fn step(&self) {
        self.0.inc(1);
    }

    /// So far.
    pub(super) fn at(&self, steps: u64) {
        self.0.set_position(steps);
    }

    /// The work is done, and the bar goes away.
    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }
}

/// Names come from directories, and a terminal obeys what it is sent: control characters are written out.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// A moment as tables show it: `2026-03-01 17:05`, in UTC, of `2026-03-01T17:05:59Z`.
pub(super) fn minute(moment: &str) -> String {
    moment.get(.."2026-03-01T17:05".len()).unwrap_or(moment).replace('T', " ")
}

/// An identity as tables show it: whole where it is short, else its two ends, the last of which tells people of one directory apart.
pub(super) fn short_identity(identity: &str) -> String {
    let signs: Vec<char> = identity.chars().collect();
    match (signs.get(..IDENTITY_FRONT), signs.len().checked_sub(IDENTITY_BACK).and_then(|at| signs.get(at..))) {
        (Some(front), Some(back)) if signs.len() > IDENTITY_MAX => front.iter().chain(['…'].iter()).chain(back).collect(),
        _ => identity.to_owned(),
    }
}

/// Signs of an identity that a table shows whole; and of the ends of a longer one.
const IDENTITY_MAX: usize = 20;
const IDENTITY_FRONT: usize = 6;
const IDENTITY_BACK: usize = 12;

/// The value, or a dash where there is none.
pub(super) fn or_dash(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_06_a_name_cannot_command_the_terminal() {
        assert_eq!(harmless("al\u{1b}[31mice\r\n\u{202e}x"), r"al\u{1b}[31mice\r\n\u{202e}x");
        assert_eq!(harmless("Ångström 山田"), "Ångström 山田");
    }

    #[test]
    fn a_table_shows_the_ends_of_a_long_identity_and_a_moment_to_the_minute() {
        assert_eq!(short_identity("S-1-5-21-1004336348-1177238915-682003330-1104"), "S-1-5-…2003330-1104");
        assert_eq!(short_identity("S-1-5-21-1-2-3-1104"), "S-1-5-21-1-2-3-1104");
        assert_eq!(short_identity("é".repeat(40).as_str()).chars().count(), 19);
        assert_eq!(minute("2026-03-01T17:05:59Z"), "2026-03-01 17:05");
        assert_eq!(minute("never"), "never");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(ErrorKind::BrokenPipe)), Failure::Unread);
        assert!(matches!(Failure::from(io::Error::from(ErrorKind::StorageFull)), Failure::Failed { .. }));
    }
}
