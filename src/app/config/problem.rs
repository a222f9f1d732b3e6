//! What is wrong in a configuration, where, and what to do about it.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;

use serde::Serialize;

/// One thing that is wrong, or worth a second look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as it was given to us.
    pub file: String,
    /// Which key: `radius.client[1].secret`, entries of a list counted from 0. Empty where it is the file as a whole.
    pub path: String,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write or type instead.
    pub hint: Option<String>,
    /// A warning that `check` takes for an error: nothing new is wrong with the file, so a server that runs or starts goes on with it, but it does not do what it should.
    #[serde(skip)]
    pub grave: bool,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), path: String::new(), line: None, message, hint: None, grave: false }
    }
}

/// `vestibule.toml:12: radius.client[1].secret: what is wrong (what to do)`
impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.file)?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        if !self.path.is_empty() {
            write!(f, " {}:", self.path)?;
        }
        write!(f, " {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The notebook of one reading: every problem goes in, and reading goes on.
#[derive(Debug)]
pub(super) struct Notes {
    /// The files that were read as one text, and the first line of each in it. Until the notebook is closed lines are those of the text.
    begins: Vec<(String, usize)>,
    /// Offset of each line's first byte.
    starts: Vec<usize>,
    /// Lines that are no TOML: what was salvaged of them is not judged.
    torn: Vec<usize>,
    errors: RefCell<Vec<Problem>>,
    /// Errors of other files, which this one names.
    elsewhere: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Every key that was asked for, so that a test can hold the commented file against it.
    #[cfg(test)]
    pub(super) asked: RefCell<std::collections::BTreeSet<String>>,
}

impl Notes {
    /// Of a text that several files make up; `begins` names them and the line that each begins with, in their order.
    pub(super) fn of_files(begins: Vec<(String, usize)>, text: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at.saturating_add(1))).collect();
        Self {
            begins,
            starts,
            torn: Vec::new(),
            errors: RefCell::default(),
            elsewhere: RefCell::default(),
            warnings: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        }
    }

    /// The line that holds the first byte of `span`.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.starts.partition_point(|start| *start <= span.start)
    }

    /// Text that is no TOML. The parser's message alone: its source line may hold a secret that somebody wrote there.
    pub(super) fn tear(&mut self, broken: &toml::de::Error) {
        let line = broken.span().map(|span| self.line(&span));
        self.torn.extend(line);
        let message = format!("this is no TOML: {}", broken.message());
        self.errors.get_mut().push(Problem { file: String::new(), path: String::new(), line, message, hint: None, grave: false });
    }

    /// Whether parts of the file could not be read: what seems to be missing may stand there.
    pub(super) fn is_torn(&self) -> bool {
        !self.torn.is_empty()
    }

    pub(super) fn error(&self, path: &str, line: usize, message: String, hint: Option<String>) {
        if !self.torn.contains(&line) {
            self.errors.borrow_mut().push(Self::problem(path, line, message, hint));
        }
    }

    /// Errors of another file, which this one names.
    pub(super) fn adopt(&self, problems: Vec<Problem>) {
        self.elsewhere.borrow_mut().extend(problems);
    }

    pub(super) fn warn(&self, path: &str, line: usize, message: String, hint: Option<String>) {
        self.warnings.borrow_mut().push(Self::problem(path, line, message, hint));
    }

    /// A warning that is an error for whoever checks.
    pub(super) fn warn_gravely(&self, path: &str, line: usize, message: String, hint: Option<String>) {
        self.warnings.borrow_mut().push(Problem { grave: true, ..Self::problem(path, line, message, hint) });
    }

    /// Warnings if there is no error, else all errors; both in the order of the files, and files that these name after them.
    pub(super) fn close(self) -> Result<Vec<Problem>, Vec<Problem>> {
        let in_order = |mut problems: Vec<Problem>| {
            problems.sort_by_key(|problem| problem.line);
            problems.into_iter().map(|problem| placed(&self.begins, problem)).collect()
        };
        let mut errors: Vec<Problem> = in_order(self.errors.into_inner());
        errors.extend(self.elsewhere.into_inner());
        if errors.is_empty() { Ok(in_order(self.warnings.into_inner())) } else { Err(errors) }
    }

    fn problem(path: &str, line: usize, message: String, hint: Option<String>) -> Problem {
        Problem { file: String::new(), path: path.to_owned(), line: (line > 0).then_some(line), message, hint, grave: false }
    }
}

/// The problem with the file it is in, and its line there; one of no line is the first file's.
fn placed(begins: &[(String, usize)], problem: Problem) -> Problem {
    let line = problem.line.unwrap_or(1);
    let Some((file, first)) = begins.iter().rev().find(|(_, first)| *first <= line).or_else(|| begins.first()) else { return problem };
    Problem { file: file.clone(), line: problem.line.map(|line| line.saturating_sub(*first).saturating_add(1)), ..problem }
}

/// The one of `known` that `typed` most likely stands for.
pub(super) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = typed.to_ascii_lowercase().replace('-', "_");
    let distance = |word: &str| strsim::damerau_levenshtein(&typed, &word.to_ascii_lowercase().replace('-', "_"));
    let near_max = typed.chars().count().div_euclid(3).saturating_add(1);
    known.into_iter().map(|word| (distance(word), word)).filter(|(far, _)| *far <= near_max).min().map(|(_, word)| word)
}

/// `did you mean "corp"?`, or all there are.
pub(super) fn suggestion(typed: &str, known: &[&str]) -> Option<String> {
    match nearest(typed, known.iter().copied()) {
        Some(word) => Some(format!("did you mean `{word}`?")),
        None if known.is_empty() => None,
        None => Some(format!("there {} {}", if known.len() == 1 { "is" } else { "are" }, listed(known))),
    }
}

/// `a, b and c`, in code marks.
pub(super) fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [first @ .., last] => format!("{} and `{last}`", first.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_as_compilers_tell_it() {
        let problem = Problem {
            file: "vestibule.toml".into(),
            path: "radius.client[1].secret".into(),
            line: Some(12),
            message: "is empty".into(),
            hint: Some("write one".into()),
            grave: false,
        };
        assert_eq!(problem.to_string(), "vestibule.toml:12: radius.client[1].secret: is empty (write one)");
        assert_eq!(Problem::of_file("a.toml", "is away".into()).to_string(), "a.toml: is away");
    }

    #[test]
    fn lines_are_counted_from_one_and_end_with_their_newline() {
        let notes = Notes::of_files(vec![("a.toml".to_owned(), 1)], "a\nbc\n\nd");
        let lines: Vec<usize> = (0..7).map(|at| notes.line(&(at..at))).collect();
        assert_eq!(lines, [1, 1, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn the_nearest_word_is_near() {
        assert_eq!(nearest("sceret", ["source", "secret", "name"]), Some("secret"));
        assert_eq!(nearest("netbois", ["netbios", "base"]), Some("netbios"));
        assert_eq!(nearest("data-dir", ["data_dir", "name"]), Some("data_dir"));
        assert_eq!(nearest("colour", ["secret", "name"]), None);
        assert_eq!(suggestion("colour", &["secret", "name"]).unwrap(), "there are `secret` and `name`");
    }
}
