//! A typed reader over parsed TOML: what is wrong is noted with its place, and reading goes on.
//!
//! A method that finds a wrong value notes it and returns `None`. As one note makes the whole reading fail, callers may go on with any default.

use std::cell::Cell;
use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use toml::de::DeTable;
use toml::de::DeValue;

use super::problem::Notes;
use super::problem::Problem;
use super::problem::listed;
use super::problem::suggestion;

/// A table. A key that nobody asked for is an unknown one.
#[derive(Debug)]
pub(super) struct Section<'a> {
    notes: &'a Notes,
    path: String,
    line: usize,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
    forgiving: Cell<bool>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    notes: &'a Notes,
    path: String,
    line: usize,
    value: &'a DeValue<'a>,
}

impl<'a> Section<'a> {
    /// Reads the whole file.
    pub(super) fn whole_file<T>(notes: &'a Notes, table: &'a DeTable<'a>, read: impl FnOnce(&Self) -> Option<T>) -> Option<T> {
        Self { notes, path: String::new(), line: 0, table, asked: RefCell::default(), forgiving: Cell::new(false) }.read(read)
    }

    /// The value of `key`, if there.
    pub(super) fn find(&self, key: &'static str) -> Option<Value<'a>> {
        // Twice where two readers want it: it is one key all the same.
        if !self.asked.borrow().contains(&key) {
            self.asked.borrow_mut().push(key);
        }
        let path = join(&self.path, key);
        #[cfg(test)]
        self.notes.asked.borrow_mut().insert(path.clone());
        let found = self.table.get(key)?;
        Some(Value { notes: self.notes, path, line: self.notes.line(&found.span()), value: found.get_ref() })
    }

    /// The value of `key`, which must be there.
    pub(super) fn need(&self, key: &'static str, example: &str) -> Option<Value<'a>> {
        let found = self.find(key);
        if found.is_none() {
            self.missing(key, &format!("write {key} = {example}"));
        }
        found
    }

    /// Notes that a key is not there, unless it may be in the part that is no TOML.
    pub(super) fn missing(&self, key: &str, hint: &str) {
        if !self.notes.is_torn() {
            self.notes.error(&join(&self.path, key), self.line, "is missing".to_owned(), Some(hint.to_owned()));
        }
    }

    /// A key that makes no sense beside another one.
    pub(super) fn refuse(&self, key: &'static str, why: &str) {
        if let Some(found) = self.find(key) {
            found.error(why, Some("take it away"));
        }
    }

    /// The tables `[key.NAME]`, by their names.
    pub(super) fn named(&self, key: &'static str) -> Vec<(&'a str, Value<'a>)> {
        let Some(found) = self.find(key) else { return Vec::new() };
        let DeValue::Table(table) = found.value else {
            found.expected(&format!("tables: write [{key}.NAME]"));
            return Vec::new();
        };
        let child = |(name, value): (&'a toml::Spanned<toml::de::DeString<'a>>, &'a toml::Spanned<DeValue<'a>>)| {
            let name: &'a str = name.get_ref();
            let value = Value { notes: self.notes, path: join(&found.path, name), line: self.notes.line(&value.span()), value: value.get_ref() };
            value.checked_name(name).map(|name| (name, value))
        };
        table.iter().filter_map(child).collect()
    }

    /// The tables `[[key]]`.
    pub(super) fn each(&self, key: &'static str) -> Vec<Value<'a>> {
        self.find(key).and_then(|found| found.list()).unwrap_or_default()
    }

    /// No key of this table is unknown: the one that says which keys it has could not be read.
    pub(super) fn forgive(&self) {
        self.forgiving.set(true);
    }

    /// Notes a problem of the table as a whole.
    pub(super) fn error(&self, message: &str, hint: Option<&str>) {
        self.notes.error(&self.path, self.line, message.to_owned(), hint.map(str::to_owned));
    }

    /// Notes something about the table that is worth a second look.
    pub(super) fn warn(&self, message: &str, hint: Option<&str>) {
        self.notes.warn(&self.path, self.line, message.to_owned(), hint.map(str::to_owned));
    }

    /// Notes what is wrong in another file, which a key of this table names.
    pub(super) fn adopt(&self, problems: Vec<Problem>) {
        self.notes.adopt(problems);
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    fn read<T>(self, read: impl FnOnce(&Self) -> Option<T>) -> Option<T> {
        let made = read(&self);
        if !self.forgiving.get() {
            self.note_unknown();
        }
        made
    }

    fn note_unknown(&self) {
        let known = self.asked.borrow();
        for (key, _) in self.table {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                self.notes.error(&join(&self.path, name), self.notes.line(&key.span()), "is an unknown key".to_owned(), suggestion(name, &known));
            }
        }
    }
}

impl<'a> Value<'a> {
    /// Reads a table.
    pub(super) fn table<T>(&self, read: impl FnOnce(&Section<'a>) -> Option<T>) -> Option<T> {
        let DeValue::Table(table) = self.value else {
            self.expected("a table");
            return None;
        };
        Section { notes: self.notes, path: self.path.clone(), line: self.line, table, asked: RefCell::default(), forgiving: Cell::new(false) }.read(read)
    }

    /// A table of exactly one key, which must be one of `known`: `{ push = "duo" }`.
    pub(super) fn one_of(&self, known: &[&'static str]) -> Option<(&'static str, Self)> {
        let ways = || known.iter().map(|key| format!("{{ {key} = .. }}")).collect::<Vec<_>>().join(" or ");
        if !self.value.is_table() {
            self.expected(&ways());
            return None;
        }
        let mut found = self.table(|section| Some(known.iter().filter_map(|key| section.find(key).map(|value| (*key, value))).collect::<Vec<_>>()))?;
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Some(only),
            (Some(_), false) => {
                self.error("has more than one key", Some(&format!("write {}", ways())));
                None
            }
            (None, _) => {
                if self.value.as_table().is_some_and(DeTable::is_empty) {
                    self.error("is empty", Some(&format!("write {}", ways())));
                }
                None
            }
        }
    }

    /// The entries of a list.
    pub(super) fn list(&self) -> Option<Vec<Self>> {
        let DeValue::Array(entries) = self.value else {
            self.expected("a list: write [..] around it, or [[..]] around its header");
            return None;
        };
        let entry = |(at, value): (usize, &'a toml::Spanned<DeValue<'a>>)| Self {
            notes: self.notes,
            path: format!("{}[{at}]", self.path),
            line: self.notes.line(&value.span()),
            value: value.get_ref(),
        };
        Some(entries.iter().enumerate().map(entry).collect())
    }

    /// Text of at least one character and no control characters.
    pub(super) fn text(&self) -> Option<&'a str> {
        let Some(text) = self.value.as_str() else {
            self.expected("text in quotes");
            return None;
        };
        if text.is_empty() {
            self.error("is empty", Some("write something, or take the line out"));
            return None;
        }
        if text.chars().any(char::is_control) {
            self.error("holds control characters", Some("write it in one line, without \\n, \\t and their like"));
            return None;
        }
        Some(text)
    }

    /// A name of ours: letters, digits, `.`, `_` and `-`, at most 64 of them. It stands in logs, metrics and questions to people.
    pub(super) fn name(&self) -> Option<&'a str> {
        self.text().and_then(|text| self.checked_name(text))
    }

    /// Text that a type understands; its error is the message.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error: T::Err| self.error(&error.to_string(), None)).ok()
    }

    /// An address and a port to listen at.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let text = self.text()?;
        let parsed = text.parse();
        if parsed.is_err() {
            self.error(&format!("{text:?} is not an address with a port"), Some("write \"0.0.0.0:1812\", \"[::]:1812\" or \"127.0.0.1:1812\""));
        }
        parsed.ok()
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        if !self.value.is_bool() {
            self.expected("true or false");
        }
        self.value.as_bool()
    }

    /// A whole number within bounds.
    pub(super) fn number<T: TryFrom<i64> + PartialOrd + Display>(&self, bounds: RangeInclusive<T>) -> Option<T> {
        let DeValue::Integer(digits) = self.value else {
            self.expected("a whole number without quotes");
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok().and_then(|number| T::try_from(number).ok());
        let inside = number.filter(|number| bounds.contains(number));
        if inside.is_none() {
            self.error(&format!("{digits} is out of bounds"), Some(&format!("{} to {}", bounds.start(), bounds.end())));
        }
        inside
    }

    /// A length of time within bounds, as people write it: `"30s"`, `"15m"`, `"90d"`.
    pub(super) fn duration(&self, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        const FORM: &str = "a number with its unit, in quotes: \"30s\", \"15m\", \"90d\"";
        let Some(text) = self.value.as_str() else {
            self.expected(FORM);
            return None;
        };
        let Ok(time) = humantime::parse_duration(text) else {
            self.error(&format!("{text:?} is not a length of time"), Some(FORM));
            return None;
        };
        if !bounds.contains(&time) {
            self.error(&format!("{text:?} is out of bounds"), Some(&format!("{} to {}", written(*bounds.start()), written(*bounds.end()))));
            return None;
        }
        Some(time)
    }

    /// One of a few words, for what it stands.
    pub(super) fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            self.unknown(&format!("{text:?} is unknown here"), text, words.iter().map(|(word, _)| *word));
        }
        found
    }

    /// The name of a `[kind.NAME]` that is there.
    pub(super) fn reference<'n>(&self, kind: &str, names: impl Iterator<Item = &'n str>) -> Option<&'a str> {
        let text = self.text()?;
        let names: Vec<&str> = names.collect();
        if names.contains(&text) || self.notes.is_torn() {
            return Some(text);
        }
        let hint = suggestion(text, &names).unwrap_or_else(|| format!("there is none at all: write [{kind}.NAME]"));
        self.error(&format!("there is no {kind} {text:?}"), Some(&hint));
        None
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    /// Its key, from the top of the file on.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Notes that this value is wrong.
    pub(super) fn error(&self, message: &str, hint: Option<&str>) {
        self.notes.error(&self.path, self.line, message.to_owned(), hint.map(str::to_owned));
    }

    /// Notes that this value is worth a second look.
    pub(super) fn warn(&self, message: &str, hint: Option<&str>) {
        self.notes.warn(&self.path, self.line, message.to_owned(), hint.map(str::to_owned));
    }

    /// Notes that a server may run with this value, and that it does not do what it should.
    pub(super) fn warn_gravely(&self, message: &str, hint: Option<&str>) {
        self.notes.warn_gravely(&self.path, self.line, message.to_owned(), hint.map(str::to_owned));
    }

    fn unknown(&self, message: &str, typed: &str, known: impl Iterator<Item = &'static str>) {
        let known: Vec<&str> = known.collect();
        let hint = format!("one of {}", listed(&known));
        self.error(message, Some(&super::problem::nearest(typed, known.iter().copied()).map_or(hint, |word| format!("did you mean `{word}`?"))));
    }

    /// The value itself is not told: it may be a secret in the wrong place.
    fn expected(&self, what: &str) {
        let article = if matches!(self.value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
        self.error(&format!("is {article} {}", self.value.type_str()), Some(&format!("expected {what}")));
    }

    fn checked_name(&self, name: &'a str) -> Option<&'a str> {
        let fine = (1..=NAME_LEN_MAX).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if !fine {
            self.error("is not a name", Some("1 to 64 letters, digits, `.`, `_` and `-`"));
        }
        fine.then_some(name)
    }
}

/// A length of time as people write it in the file: in the longest unit that it is a whole number of, `"90d"` and not two months and 29 days.
pub(in crate::app) fn written(time: Duration) -> String {
    let ms = time.as_millis();
    let unit = UNITS.iter().find(|(_, long)| ms.is_multiple_of(*long)).filter(|_| ms > 0);
    unit.map_or_else(|| "0s".to_owned(), |(name, long)| format!("{}{name}", ms / long))
}

/// `path.key`, the key in quotes where TOML needs them.
fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

const NAME_LEN_MAX: usize = 64;
/// Units of time and their milliseconds.
const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
