//! The tables of rules in docs stay true: each has every rule, and its tests are there.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

use crate::tidy::report;
use crate::tidy::root;
use crate::tidy::texts;

/// A table, and the rules that stand in it.
struct Book {
    table: &'static str,
    /// What its rules begin with.
    letter: char,
    /// Digits of their numbers.
    digits: usize,
    /// The first and the last rule of each chapter.
    chapters: &'static [(u16, u16)],
    /// Those that came between two others.
    between: &'static [&'static str],
}

const RADIUS: Book = Book {
    table: "docs/radius-conformance.md",
    letter: 'R',
    digits: 3,
    chapters: &[(1, 18), (20, 27), (30, 39), (40, 45), (50, 57), (60, 69), (70, 74), (80, 87), (90, 98), (100, 105), (110, 118), (120, 122)],
    between: &["R-03A", "R-03B", "R-03C"],
};
const LDAP: Book = Book {
    table: "docs/ldap-conformance.md",
    letter: 'L',
    digits: 3,
    chapters: &[(1, 3), (10, 13), (20, 26), (30, 34), (40, 46), (50, 52), (60, 68), (70, 77), (80, 89)],
    between: &[],
};
/// Those that are left out are about a second node, help desks and sessions of a portal, of which there are none yet.
const SECOND: Book =
    Book { table: "docs/second-factor-conformance.md", letter: 'M', digits: 2, chapters: &[(1, 8), (10, 30), (40, 44), (46, 48)], between: &[] };
const BOOKS: [Book; 3] = [RADIUS, LDAP, SECOND];

/// One line of a table.
struct Row {
    line: usize,
    /// File and name of each test.
    tests: BTreeSet<(String, String)>,
    /// Whether it says why there is no test.
    excused: bool,
}

#[test]
fn every_rule_has_a_line_with_a_test_or_a_reason() {
    let mut wrong = Vec::new();
    for book in BOOKS {
        let (table, rows) = (book.table, book.rows());
        let known: BTreeSet<String> = book.rules().collect();
        wrong.extend(known.iter().filter(|rule| !rows.contains_key(*rule)).map(|rule| format!("{table}: no line for {rule}")));
        for (rule, row) in &rows {
            if !known.contains(rule) {
                wrong.push(format!("{table}:{}: {rule} is no rule", row.line));
            }
            if row.tests.is_empty() != row.excused {
                wrong.push(format!("{table}:{}: {rule} has either tests or a reason, `none: ..`", row.line));
            }
        }
    }
    report(wrong);
}

#[test]
fn every_test_of_a_table_is_there_and_every_test_of_a_rule_is_in_its_table() {
    let there = tests();
    let mut wrong = Vec::new();
    for book in BOOKS {
        let (table, rows) = (book.table, book.rows());
        let named: BTreeSet<_> = rows.values().flat_map(|row| &row.tests).collect();
        wrong.extend(named.into_iter().filter(|test| !there.contains(test)).map(|(file, name)| format!("{table}: no test {name} in {file}")));
        for test in &there {
            let lacks =
                rules_of(&test.1).into_iter().filter(|rule| rule.starts_with(book.letter) && !rows.get(rule).is_some_and(|row| row.tests.contains(test)));
            wrong.extend(lacks.map(|rule| format!("{table}: {rule} does not name `{}`: `{}`", test.0, test.1)));
        }
    }
    report(wrong);
}

#[test]
fn the_reader_of_the_tables_sees_what_it_is_for() {
    assert_eq!(rules_of("r_003_r_03b_what_is_cut_r_005"), ["R-003", "R-03B"]);
    assert_eq!(rules_of("r_068_l_001_what_both_doors_do"), ["R-068", "L-001"]);
    assert_eq!(rules_of("l_082_m_46_who_is_exempt_m_01"), ["L-082", "M-46"]);
    assert!(rules_of("rules_of").is_empty() && rules_of("r_2865_7_1").is_empty() && rules_of("m_1_r_001").is_empty() && rules_of("o_24_m_01").is_empty());
    let (rule, read) = RADIUS.row(7, "| R-001 | short | `src/a.rs`: `r_001_x`, `y`; `tests/e2e/b.py`: `r_001_z` |").unwrap();
    let expected = [("src/a.rs", "r_001_x"), ("src/a.rs", "y"), ("tests/e2e/b.py", "r_001_z")].map(|(file, name)| (file.to_owned(), name.to_owned()));
    assert_eq!((rule.as_str(), read.tests, read.excused), ("R-001", BTreeSet::from(expected), false));
    assert!(RADIUS.row(1, "| R-03A | may | none: because |").unwrap().1.excused);
    assert!(RADIUS.row(1, "| rule | what | shown by |").is_none() && LDAP.row(1, "| R-001 | another book's | none: because |").is_none());
    assert_eq!((RADIUS.rules().count(), LDAP.rules().count(), SECOND.rules().count()), (103, 56, 37));
    assert_eq!(SECOND.rules().next().as_deref(), Some("M-01"));
}

#[test]
fn r_122_chance_comes_from_the_system_alone() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let ours = manifest.split("\n[").find_map(|section| section.strip_prefix("dependencies]\n")).unwrap();
    let names = ours.lines().filter_map(|line| line.split(" = ").next()).filter(|name| name.contains("rand") || name.contains("random"));
    assert_eq!(names.collect::<Vec<_>>(), ["getrandom"]);
}

#[test]
fn m_26_no_secret_is_compared_but_in_constant_time() {
    let compared = [".expose() ==", ".expose() !=", ".expose_text() ==", ".expose_text() !="];
    let ours = texts("src").into_iter().filter(|(path, _)| path.ends_with(".rs") && !path.contains("/tests"));
    let wrong = ours.flat_map(|(path, text)| {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        let lines = code.lines().enumerate().filter(|(_, line)| compared.iter().any(|compared| line.contains(compared)));
        lines.map(|(at, _)| format!("{path}:{}: a secret is compared octet by octet: compare `Secret`s, or by `ct_eq`", at + 1)).collect::<Vec<_>>()
    });
    report(wrong);
    for (path, compares) in [("src/domain/secret.rs", "self.0.as_slice().ct_eq("), ("src/domain/otp.rs", ".ct_eq(typed.expose())")] {
        assert!(fs::read_to_string(root().join(path)).unwrap().contains(compares), "{path}");
    }
}

impl Book {
    fn rules(&self) -> impl Iterator<Item = String> {
        let numbered =
            self.chapters.iter().flat_map(|(first, last)| *first..=*last).map(|rule| format!("{}-{rule:0digits$}", self.letter, digits = self.digits));
        numbered.chain(self.between.iter().map(|rule| (*rule).to_owned()))
    }

    fn rows(&self) -> BTreeMap<String, Row> {
        let text = fs::read_to_string(root().join(self.table)).unwrap();
        let mut rows = BTreeMap::new();
        for (rule, found) in text.lines().enumerate().filter_map(|(at, line)| self.row(at + 1, line)) {
            let line = found.line;
            assert!(rows.insert(rule.clone(), found).is_none(), "{}:{line}: {rule} is there twice", self.table);
        }
        rows
    }

    /// `| R-001 | in our own words | ``FILE``: ``test``, ``test``; ``FILE``: .. |`, or `none: why` in the last column.
    fn row(&self, line: usize, text: &str) -> Option<(String, Row)> {
        let cells: Vec<&str> = text.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [rule, _, shown] = cells.as_slice() else { return None };
        if !rule.strip_prefix(self.letter).is_some_and(|rest| rest.starts_with('-')) {
            return None;
        }
        let mut tests = BTreeSet::new();
        let mut file = String::new();
        for word in shown.split('`').skip(1).step_by(2) {
            if word.contains('/') {
                word.clone_into(&mut file);
            } else {
                tests.insert((file.clone(), word.to_owned()));
            }
        }
        Some(((*rule).to_owned(), Row { line, tests, excused: shown.starts_with("none: ") }))
    }
}

/// The rules that a test's name begins with: `r_003_r_005_what_it_shows`.
fn rules_of(name: &str) -> Vec<String> {
    let words: Vec<&str> = name.split('_').collect();
    let is_rule = |number: &str| number.len() == 3 && number.starts_with(['0', '1']) && number.chars().all(|letter| letter.is_ascii_hexdigit());
    let is_short = |number: &str| number.len() == 2 && number.chars().all(|letter| letter.is_ascii_digit());
    let pairs = words.chunks(2).map_while(|pair| match pair {
        [letter @ ("r" | "l"), number] if is_rule(number) => Some(format!("{letter}-{number}").to_uppercase()),
        ["m", number] if is_short(number) => Some(format!("M-{number}")),
        _ => None,
    });
    pairs.collect()
}

/// Every test in Rust and Python, by file and name.
fn tests() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for (path, text) in ["src", "tests"].into_iter().flat_map(texts) {
        for line in text.lines() {
            let line = line.trim_start().trim_start_matches("async ");
            let Some(rest) = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def ")) else { continue };
            let name = rest.split('(').next().unwrap_or_default();
            all.insert((path.clone(), name.to_owned()));
        }
    }
    all
}
