//! The rules of the house that run: floors, bans, lengths, first lines, names of metrics.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Which rooms a room may import. A room that is not in here may not be in `src`.
const FLOORS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("domain", &[]),
    ("ports", &["domain"]),
    ("engine", &["domain", "metrics", "ports"]),
    ("directory", BESIDE),
    ("provider", BESIDE),
    ("store", BESIDE),
    ("cluster", BESIDE),
    ("sync", BESIDE),
    ("mail", BESIDE),
    ("audit", BESIDE),
    ("metrics", &["domain", "ports", "wire"]),
    ("reach", &[]),
    ("stretch", &["domain"]),
    ("front", &["domain", "engine", "metrics", "ports", "stretch", "wire"]),
    ("app", BELOW_THE_ROOF),
    // The demo puts the real server, which the app builds, before its lab.
    ("demo", DEMO),
    ("cli", &["app", "demo", "domain"]),
    ("main", &["cli"]),
    ("lib", &[]),
];
const BESIDE: &[&str] = &["domain", "metrics", "ports", "reach", "stretch", "wire"];
const BELOW_THE_ROOF: &[&str] =
    &["audit", "cluster", "directory", "domain", "engine", "front", "mail", "metrics", "ports", "provider", "store", "sync", "wire"];
const DEMO: &[&str] = &["app", "audit", "cluster", "directory", "domain", "engine", "front", "mail", "metrics", "ports", "provider", "store", "sync", "wire"];

/// Words that may not stand in the code of these rooms, and why.
const BANS: &[(&str, &[&str], &str)] = &[
    ("tokio", &["domain", "wire"], "waits for nothing"),
    ("serde_json", &["domain", "wire"], "has no format of its own"),
    ("SystemTime", &["domain", "engine", "wire"], "is handed the time"),
    ("Instant", &["domain", "wire"], "is handed the time"),
    ("getrandom", &["domain", "wire"], "is handed the chance"),
    ("rand", &["domain", "wire"], "is handed the chance"),
    ("sled", &["app", "cli", "demo", "directory", "domain", "engine", "front", "metrics", "ports", "provider", "wire"], "knows the store by its port"),
];

const LINES_MAX: usize = 600;

#[test]
fn every_import_goes_down() {
    report(sources("src").iter().flat_map(|(path, text)| imports_up(path, text)));
}

#[test]
fn every_room_stands_in_the_table() {
    let rooms = fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let strangers = rooms.map(|room| room.file_stem().unwrap().to_str().unwrap().to_owned()).filter(|room| may_import(room).is_none());
    report(strangers.map(|room| format!("src/{room}: not a room of the table in tests/it/tidy.rs")));
}

#[test]
fn banned_words_stay_out() {
    report(sources("src").iter().flat_map(|(path, text)| banned(path, text)));
}

#[test]
fn no_file_is_too_long_to_read() {
    let all = ["src", "tests", "fuzz", "benches"].into_iter().flat_map(sources);
    let long = all.filter(|(_, text)| text.lines().count() > LINES_MAX);
    report(long.map(|(path, text)| format!("{path}: {} lines; {LINES_MAX} is the most", text.lines().count())));
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = ["src", "tests", "fuzz", "benches"].into_iter().flat_map(sources);
    report(all.filter(|(_, text)| !text.starts_with("//! ")).map(|(path, _)| format!("{path}:1: the first line says what the room is for: `//! ..`")));
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [concat!("to", "do!("), concat!("unimpl", "emented!("), concat!("#[ig", "nore"), concat!("FIX", "ME"), concat!("XX", "X:")];
    // A test that is another one's child process is not left for later.
    let child = concat!("#[ig", "nore = \"started by another test\"]");
    let all = ["src", "tests", "fuzz", "benches"].into_iter().flat_map(sources).map(|(path, text)| (path, text.replace(child, "")));
    report(all.flat_map(|(path, text)| found(&path, &text, &words, "left for later")));
}

#[test]
fn no_test_sleeps() {
    let words = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
    let mut wrong: Vec<String> = sources("tests").into_iter().flat_map(|(path, text)| found(&path, &text, &words, "wait for what is to happen")).collect();
    for (path, text) in sources("src") {
        // Where time is paused a sleep takes none.
        let paused = text.contains("start_paused") || text.contains("time::pause()");
        if path.ends_with("/tests.rs") || path.contains("/tests/") {
            let all = if paused { "" } else { text.as_str() };
            wrong.extend(found(&path, all, &words, "wait for what is to happen"));
        } else if let Some(at) = text.find("#[cfg(test)]\nmod tests {").filter(|_| !paused) {
            let before = text[..at].lines().count();
            wrong.extend(lines_with(&text[at..], &words).map(|(number, word)| format!("{path}:{}: `{word}`: wait for what is to happen", before + number)));
        }
    }
    report(wrong);
}

#[test]
fn r_074_an_accept_is_written_at_two_places_alone() {
    let call = concat!("reply::", "accept(");
    let count = |(path, text): (String, String)| (path, text.lines().filter(|line| code_of(line).contains(call)).count());
    let mut doors: Vec<_> = sources("src").into_iter().map(count).filter(|(path, count)| path.starts_with("src/front/") && *count > 0).collect();
    doors.sort();
    // The answer to a login, and the one to Status-Server.
    assert_eq!(doors, [("src/front/radius/answer.rs".to_owned(), 1), ("src/front/radius/clerk.rs".to_owned(), 1)]);
}

#[test]
fn every_metric_is_named_alike_and_described() {
    let text = fs::read_to_string(root().join("src/metrics.rs")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let described = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("!( ", "!(");
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some((name, value)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": &str = \"")) else { continue };
        let value = value.trim_end_matches("\";");
        known.push(value.to_owned());
        let unit = value.rsplit('_').next().unwrap_or_default();
        let is_counter = described.contains(&format!("describe_counter!({name},"));
        // What is counted ends in `_total`, and nothing else does; `_count` belongs to histograms, whose unit stands in their name.
        let is_timed = described.contains(&format!("describe_histogram!({name},"));
        if !value.starts_with("vestibule_") || is_counter != (unit == "total") || unit == "count" || is_timed && !["bytes", "seconds"].contains(&unit) {
            wrong
                .push(format!("src/metrics.rs:{}: `{value}` is not `vestibule_<noun>_total` (counters), `vestibule_<noun>[_seconds|_bytes]` (others)", at + 1));
        }
        if !lines[at - 1].starts_with("/// ") {
            wrong.push(format!("src/metrics.rs:{}: `{name}` says nothing about itself and its labels", at + 1));
        }
        if !["counter", "gauge", "histogram"].iter().any(|kind| described.contains(&format!("describe_{kind}!({name},"))) {
            wrong.push(format!("src/metrics.rs:{}: `{name}` has no description for monitoring", at + 1));
        }
    }
    assert!(known.len() >= 6, "the constants of src/metrics.rs are not read: {known:?}");
    report(wrong);
}

#[test]
fn nothing_committed_names_the_machine_it_was_made_on() {
    let words = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "wt")];
    let mut files = Vec::new();
    walk(&root(), &mut files);
    let texts = files.into_iter().filter_map(|path| fs::read_to_string(&path).ok().map(|text| (relative(&path), text)));
    report(texts.flat_map(|(path, text)| found(&path, &text, &words, "a path of some machine")));
}

#[test]
fn the_scanner_sees_what_it_is_for() {
    let up = |path, text| imports_up(path, text);
    assert_eq!(up("src/domain/rules.rs", "//! Rules.\n\nuse crate::ports::Clock;"), ["src/domain/rules.rs:3: domain may not import ports"]);
    assert_eq!(up("src/wire/radius/mod.rs", "fn f(_: crate::domain::Secret) {}"), ["src/wire/radius/mod.rs:1: wire may not import domain"]);
    assert_eq!(up("src/store/mod.rs", "use super::provider::Duo;"), ["src/store/mod.rs:1: store may not import provider"]);
    assert_eq!(up("src/store/keys.rs", "use super::super::engine::Engine;"), ["src/store/keys.rs:1: store may not import engine"]);
    assert_eq!(up("src/domain/rules.rs", "use crate::{ports, wire};"), ["src/domain/rules.rs:1: one import per line"]);
    assert_eq!(up("src/main.rs", "use vestibule::store::Store;"), ["src/main.rs:1: main may not import store"]);
    assert!(
        up("src/front/ldap/bind.rs", "use crate::engine::Engine;\nuse super::super::radius::Seen; // crate::store\n/// As [`crate::store::Store`].").is_empty()
    );
    assert_eq!(banned("src/wire/mod.rs", "use tokio::net;")[0], "src/wire/mod.rs:1: `tokio`: wire waits for nothing");
    assert!(banned("src/domain/otp.rs", "// no SystemTime here\nlet operand = 1;").is_empty());
    assert_eq!(found("a.rs", "x\n  y", &["y"], "no"), ["a.rs:2: `y`: no"]);
}

fn imports_up(path: &str, text: &str) -> Vec<String> {
    let own = room_of(path);
    let allowed = may_import(own).unwrap_or_default();
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = code_of(line);
        if code.contains("crate::{") || code.contains("vestibule::{") {
            wrong.push(format!("{path}:{}: one import per line", at + 1));
        }
        for room in rooms_named(path, code) {
            if room != own && may_import(room).is_some() && !allowed.contains(&room) {
                wrong.push(format!("{path}:{}: {own} may not import {room}", at + 1));
            }
        }
    }
    wrong
}

/// The first segments of all paths in `code` that start at the root of the crate.
fn rooms_named<'a>(path: &str, code: &'a str) -> Vec<&'a str> {
    let head = |rest: &'a str| rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap_or_default();
    let mut rooms: Vec<&str> = ["crate::", "vestibule::"].iter().flat_map(|start| code.split(start).skip(1).map(head)).collect();
    let climbs = "super::".repeat(depth_of(path));
    rooms.extend(code.split(climbs.as_str()).skip(1).map(head));
    rooms
}

/// How many modules deep a file is: `src/store/keys.rs` is 2.
fn depth_of(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

fn room_of(path: &str) -> &str {
    path.trim_start_matches("src/").trim_end_matches(".rs").split('/').next().unwrap_or_default()
}

fn may_import(room: &str) -> Option<&'static [&'static str]> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed)
}

fn banned(path: &str, text: &str) -> Vec<String> {
    let own = room_of(path);
    let mut wrong = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words: Vec<&str> = code_of(line).split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
        let hits = BANS.iter().filter(|(word, rooms, _)| rooms.contains(&own) && words.contains(word));
        wrong.extend(hits.map(|(word, _, why)| format!("{path}:{}: `{word}`: {own} {why}", at + 1)));
    }
    wrong
}

/// A line without its comment.
fn code_of(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn found(path: &str, text: &str, words: &[&str], why: &str) -> Vec<String> {
    lines_with(text, words).map(|(number, word)| format!("{path}:{number}: `{word}`: {why}")).collect()
}

fn lines_with<'a>(text: &'a str, words: &'a [&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().flat_map(move |(at, line)| words.iter().filter(move |word| line.contains(**word)).map(move |word| (at + 1, *word)))
}

pub(crate) fn report(wrong: impl IntoIterator<Item = String>) {
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// All Rust files under a folder of the project, by their paths inside it; none where there is no such folder.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.into_iter().map(|path| (relative(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// All texts under a folder of the project, by their paths inside it.
pub(crate) fn texts(folder: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    files.into_iter().filter_map(|path| Some((relative(&path), fs::read_to_string(&path).ok()?))).collect()
}

/// Every file but those that tools make.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        match path.is_dir() {
            true if !["target", ".git", "corpus", "artifacts"].contains(&name) => walk(&path, files),
            false if name != "Cargo.lock" && name != ".git" => files.push(path),
            _ => {}
        }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_str().unwrap_or_default().to_owned()
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
