//! The audit against everything that may happen to its files.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::domain::Door;
use crate::domain::Fate;
use crate::domain::Timestamp;
use crate::ports::audit::Entry;
use crate::ports::audit::Record;

fn ending(number: u128) -> Ending {
    Ending {
        at: Timestamp(1_800_000_000_000),
        trace: Trace(number),
        door: Door::Radius,
        client: "vpn".into(),
        login: format!("user-{number}"),
        identity: None,
        source: None,
        policy: "vpn".into(),
        fate: Fate::Reject,
        why: "bad_credential",
        detail: Some("wrong_password"),
        asked: None,
        steps: Vec::new(),
        ms: 12,
        within_ms: 58_000,
        repeats: 0,
        heard_ms: 0,
    }
}

fn book(dir: &Path, file_bytes_max: u64) -> Book {
    let key = seal::key(&Secret::new(vec![1; 32])).unwrap();
    Book { file_bytes_max, ..Book::open(dir.join("audit"), key).unwrap() }
}

/// Writes these and has them on disk.
fn write(dir: &Path, file_bytes_max: u64, numbers: std::ops::Range<u128>) {
    let trail = Trail::write_in(book(dir, file_bytes_max), "mfa1".into(), 0).unwrap();
    for number in numbers {
        // One at a time, so that files fill as they would over days.
        let newest = trail.newest();
        let before = *newest.borrow();
        trail.note(ending(number));
        if file_bytes_max < 10_000 {
            wait(newest, before);
        }
    }
}

fn wait(mut newest: watch::Receiver<u64>, before: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(newest.wait_for(|newest| *newest > before)).unwrap();
}

fn all_right(dir: &Path) -> Vec<Verified> {
    let book = book(dir, u64::MAX);
    book.files().unwrap().into_iter().map(|file| book.verify(file).unwrap()).collect()
}

fn wrong(dir: &Path) -> Option<(u64, String)> {
    all_right(dir).into_iter().find_map(|file| file.wrong)
}

fn newest_file(dir: &Path) -> PathBuf {
    let book = book(dir, u64::MAX);
    book.path(*book.files().unwrap().last().unwrap())
}

#[test]
fn the_chain_goes_on_behind_a_restart_and_from_file_to_file() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), 2_000, 1..12);
    write(dir.path(), 2_000, 12..24);
    let files = all_right(dir.path());
    assert!(files.len() >= 3, "{files:?}");
    assert!(files.iter().all(|file| file.wrong.is_none()), "{files:?}");
    for pair in files.windows(2) {
        assert_eq!((&pair[0].seal, pair[0].last + 1), (&pair[1].prev, pair[1].first));
    }
    let book = book(dir.path(), u64::MAX);
    let told = |lines: Vec<String>| -> Vec<String> {
        let logins = lines.iter().filter_map(|line| match serde_json::from_str::<Record>(line).unwrap().what {
            Entry::Login(login) => Some(login.login),
            Entry::Lost { .. } | Entry::Opened { .. } => None,
        });
        logins.collect()
    };
    let all: Vec<String> = (1..24).map(|number| format!("user-{number}")).collect();
    assert_eq!(told(book.tail(Some(0), 1_000).unwrap()), all);
    assert_eq!(told(book.tail(None, 5).unwrap()).last().unwrap(), "user-23");
    let last = files.last().unwrap().last;
    assert_eq!(told(book.tail(Some(last - 1), 10).unwrap()), ["user-23"]);
    let trail = Trail::write_in(book, "mfa1".into(), 0).unwrap();
    assert_eq!(told(trail.find(Trace(7)).unwrap()), ["user-7"]);
    assert!(trail.find(Trace(99)).unwrap().is_empty());
}

#[test]
fn whatever_is_changed_taken_out_or_cut_off_is_found() {
    type Harm = fn(&mut Vec<String>);
    let harms: [(&str, Harm); 6] = [
        ("a word", |lines| lines[3] = lines[3].replace("reject", "accept")),
        ("a line taken out", |lines| drop(lines.remove(3))),
        ("a line twice", |lines| lines.insert(3, lines[3].clone())),
        ("two lines swapped", |lines| lines.swap(2, 3)),
        ("the end cut off", |lines| lines.truncate(4)),
        ("the beginning", |lines| drop(lines.remove(0))),
    ];
    for (name, harm) in harms {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..9);
        assert_eq!(wrong(dir.path()), None);
        let path = newest_file(dir.path());
        let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
        harm(&mut lines);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        assert!(wrong(dir.path()).is_some(), "{name} was not found");
    }
}

#[test]
fn who_cuts_the_end_off_cannot_make_the_head_say_so_too() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), u64::MAX, 1..9);
    let path = newest_file(dir.path());
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().take(4).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let head = path.with_file_name("head");
    fs::write(&head, fs::read_to_string(&head).unwrap().replace("\"seq\":9", "\"seq\":4")).unwrap();
    assert!(wrong(dir.path()).unwrap().1.contains("head"), "{:?}", wrong(dir.path()));
}

#[test]
fn a_line_that_the_power_cut_short_is_set_aside_and_the_chain_goes_on() {
    for cut in [1, 40, 200] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..5);
        let path = newest_file(dir.path());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        fs::remove_file(path.with_file_name("head")).unwrap();
        write(dir.path(), u64::MAX, 5..8);
        assert_eq!(wrong(dir.path()), None, "cut {cut}");
        assert!(path.with_extension("cut").exists());
    }
}

#[test]
fn an_empty_newest_file_takes_nothing_back() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), u64::MAX, 1..5);
    fs::write(book(dir.path(), 0).path(6), "").unwrap();
    write(dir.path(), u64::MAX, 5..8);
    let files = all_right(dir.path());
    assert!(files.iter().all(|file| file.wrong.is_none()) && files.last().unwrap().last == 8, "{files:?}");
}

#[test]
fn what_cannot_be_written_is_counted_and_told() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::write_in(book(dir.path(), u64::MAX), "mfa1".into(), 0).unwrap();
    trail.lost.fetch_add(3, Ordering::Relaxed);
    trail.note(ending(1));
    drop(trail);
    let lines = book(dir.path(), u64::MAX).tail(None, 10).unwrap();
    assert!(lines.iter().any(|line| line.contains("\"event\":\"lost\",\"lines\":3")), "{lines:?}");
    assert_eq!(wrong(dir.path()), None);
}
