//! The audit against everything that may happen to its files.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::*;
use crate::domain::Door;
use crate::domain::Fate;
use crate::domain::Timestamp;
use crate::ports::audit::Entry;
use crate::ports::audit::Record;

pub(super) fn ending(number: u128) -> Ending {
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

pub(super) fn book(dir: &Path, file_bytes_max: u64) -> Book {
    let key = seal::key(&Secret::new(vec![1; 32])).unwrap();
    Book { file_bytes_max, ..Book::open(dir.join("audit"), key).unwrap() }
}

/// Somebody who knows how far the audit went.
#[derive(Debug, Default)]
struct Elsewhere(AtomicU64);

impl Anchor for Elsewhere {
    fn told(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn tell(&self, seq: u64) {
        self.0.store(seq, Ordering::Relaxed);
    }
}

/// Somebody who knows nothing.
pub(super) fn forgetful() -> Arc<dyn Anchor> {
    Arc::new(Elsewhere::default())
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

fn told_lost(dir: &Path) -> bool {
    book(dir, 0).tail(None, 1_000).unwrap().iter().any(|line| line.contains("\"event\":\"lost\""))
}

/// Makes the newest file's lines these.
fn spoil(dir: &Path, harm: impl FnOnce(&mut Vec<String>)) -> PathBuf {
    let path = newest_file(dir);
    let mut lines: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    harm(&mut lines);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    path
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
        spoil(dir.path(), harm);
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
        write(dir.path(), u64::MAX, 1..4);
        let path = newest_file(dir.path());
        let head = fs::read(path.with_file_name("head")).unwrap();
        write(dir.path(), u64::MAX, 4..5);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        fs::write(path.with_file_name("head"), head).unwrap();
        write(dir.path(), u64::MAX, 5..8);
        assert_eq!(wrong(dir.path()), None, "cut {cut}");
        assert!(path.with_extension("cut").exists() && !told_lost(dir.path()));
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
    trail.slate.lose(3);
    trail.note(ending(1));
    drop(trail);
    let lines = book(dir.path(), u64::MAX).tail(None, 10).unwrap();
    assert!(lines.iter().any(|line| line.contains("\"event\":\"lost\",\"lines\":3")), "{lines:?}");
    assert_eq!(wrong(dir.path()), None);
}

#[test]
fn lines_without_a_head_of_ours_are_wrong_and_a_restart_tells_so() {
    for foreign in [None, Some("{\"seq\":1}"), Some("\u{0}")] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..5);
        let head = newest_file(dir.path()).with_file_name("head");
        match foreign {
            None => fs::remove_file(&head).unwrap(),
            Some(text) => fs::write(&head, text).unwrap(),
        }
        assert!(wrong(dir.path()).unwrap().1.contains("head"));
        write(dir.path(), u64::MAX, 5..6);
        assert!(told_lost(dir.path()));
        assert_eq!(all_right(dir.path()).last().unwrap().last, 7);
    }
}

#[test]
fn a_new_audit_has_its_head_before_its_first_line() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::write_in(book(dir.path(), u64::MAX), "mfa1".into(), 0).unwrap();
    assert!(dir.path().join("audit/head").exists());
    trail.note(ending(1));
    wait(trail.newest(), 0);
    assert_eq!(wrong(dir.path()), None);
    drop(trail);
    assert!(!told_lost(dir.path()));
}

#[test]
fn no_line_can_be_put_in_the_place_of_the_head() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), u64::MAX, 1..9);
    let mut first = String::new();
    let path = spoil(dir.path(), |lines| {
        lines.truncate(1);
        first.clone_from(&lines[0]);
    });
    fs::write(path.with_file_name("head"), first + "\n").unwrap();
    assert!(wrong(dir.path()).unwrap().1.contains("`head` is not ours"));
}

/// A trail beside somebody who knows how far it went.
fn anchored(dir: &Path, anchor: &Arc<dyn Anchor>) -> Trail {
    let book = Book { anchor: Some(Arc::clone(anchor)), ..book(dir, u64::MAX) };
    Trail::write_in(book, "mfa1".into(), 0).unwrap()
}

#[test]
fn who_takes_everything_away_or_puts_an_older_head_back_is_found_out_by_what_the_store_knows() {
    for whole_folder in [true, false] {
        let (dir, anchor) = (TempDir::new().unwrap(), forgetful());
        let trail = anchored(dir.path(), &anchor);
        trail.note(ending(1));
        drop(trail);
        let newest = newest_file(dir.path());
        let (early_lines, early_head) = (fs::read(&newest).unwrap(), fs::read(newest.with_file_name("head")).unwrap());
        let trail = anchored(dir.path(), &anchor);
        (2..6).for_each(|number| trail.note(ending(number)));
        drop(trail);
        assert_eq!(anchor.told(), 6);
        if whole_folder {
            fs::remove_dir_all(dir.path().join("audit")).unwrap();
        } else {
            fs::write(&newest, early_lines).unwrap();
            fs::write(newest.with_file_name("head"), early_head).unwrap();
        }
        let trail = anchored(dir.path(), &anchor);
        let told = trail.verify(trail.files().unwrap()[0]).unwrap().wrong.unwrap().1;
        assert!(told.contains(if whole_folder { "every file is gone" } else { "up to number 6 were written once" }), "{told}");
        // The next login hides nothing: its line comes behind one that tells of the gap.
        trail.note(ending(7));
        wait(trail.newest(), 6);
        let lost: Vec<_> = trail.files().unwrap().into_iter().flat_map(|file| trail.verify(file).unwrap().lost).collect();
        assert_eq!(lost, [(8, if whole_folder { 6 } else { 4 })]);
    }
}

#[test]
fn no_number_is_given_twice_where_the_end_was_cut_off() {
    for whole_file in [false, true] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..9);
        let path = spoil(dir.path(), |lines| lines.truncate(4));
        if whole_file {
            fs::remove_file(path).unwrap();
        }
        write(dir.path(), u64::MAX, 9..11);
        let files = all_right(dir.path());
        let newest = files.last().unwrap();
        assert_eq!((newest.first, newest.last, &newest.wrong), (10, 13, &None), "{files:?}");
        let gone = if whole_file { 9 } else { 5 };
        let lines = book(dir.path(), 0).tail(Some(9), 10).unwrap();
        assert!(lines[1].contains(&format!("\"event\":\"lost\",\"lines\":{gone}")), "{lines:?}");
        // The gap stays where it is.
        assert!(whole_file || files[0].last == 4);
    }
}

#[test]
fn no_number_is_given_twice_where_lines_went_while_the_disk_failed() {
    let dir = TempDir::new().unwrap();
    let mut writer = Writer::open(book(dir.path(), 1), "mfa1".into(), 0).unwrap();
    let mut lost = 0;
    let mut tell = |number| {
        let slate = Slate::default();
        slate.lose(lost);
        slate.tell(ending(number));
        slate.close();
        writer.write_all(&slate);
        lost = slate.lost();
    };
    tell(1);
    // The next file, 3, cannot be begun.
    fs::create_dir(book(dir.path(), 1).path(3)).unwrap();
    tell(2);
    fs::remove_dir(book(dir.path(), 1).path(3)).unwrap();
    fs::remove_file(book(dir.path(), 1).path(1)).unwrap();
    fs::remove_file(dir.path().join("audit/head")).unwrap();
    tell(3);
    let lines = book(dir.path(), 1).tail(None, 10).unwrap();
    assert!(lines[0].starts_with("{\"seq\":3,") && lines[1].contains("\"event\":\"lost\",\"lines\":3"), "{lines:?}");
}

#[test]
fn a_bad_line_in_the_middle_takes_nothing_behind_it_away() {
    let bad = [b"garbage".to_vec(), vec![0xff; 3], vec![b'x'; 200_000]];
    for bad in bad {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..9);
        let path = newest_file(dir.path());
        let text = fs::read(&path).unwrap();
        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        lines[3] = &bad;
        let harmed = lines.join(&b'\n');
        fs::write(&path, &harmed).unwrap();
        write(dir.path(), u64::MAX, 9..11);
        assert!(fs::read(&path).unwrap() == harmed && !path.with_extension("cut").exists());
        let files = all_right(dir.path());
        assert_eq!(files.iter().map(|file| (file.first, file.last, file.wrong.is_some())).collect::<Vec<_>>(), [(1, 3, true), (10, 12, false)]);
        assert!(!book(dir.path(), 0).find(&format!("\"login\":\"user-{}\"", 7)).unwrap().is_empty());
    }
}

#[test]
fn a_file_of_which_nothing_can_be_read_stays_and_is_not_written_in() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), u64::MAX, 1..5);
    let path = book(dir.path(), 0).path(6);
    fs::write(&path, "garbage\n").unwrap();
    write(dir.path(), u64::MAX, 5..8);
    assert_eq!(fs::read_to_string(&path).unwrap(), "garbage\n");
    assert_eq!(book(dir.path(), 0).files().unwrap(), [1, 6, 7]);
}

#[test]
fn what_was_cut_off_is_never_written_over() {
    let dir = TempDir::new().unwrap();
    for number in 1..4 {
        write(dir.path(), u64::MAX, number..number + 1);
        let path = newest_file(dir.path());
        fs::write(&path, [fs::read(&path).unwrap(), format!("half {number}").into_bytes()].concat()).unwrap();
    }
    write(dir.path(), u64::MAX, 4..5);
    let path = newest_file(dir.path());
    let kept: Vec<String> = ["cut", "1.cut", "2.cut"].iter().map(|name| fs::read_to_string(path.with_extension(name)).unwrap()).collect();
    assert_eq!(kept, ["half 1", "half 2", "half 3"]);
    assert_eq!(wrong(dir.path()), None);
}

#[test]
fn what_is_written_meanwhile_is_no_end_cut_off() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), u64::MAX, 1..5);
    let writes = book(dir.path(), u64::MAX);
    let writer = thread::spawn(move || {
        let mut end = writes.left(0).unwrap().end;
        let mut sealer = seal::Sealer::new(writes.key.clone(), end.seal);
        for _ in 0..300 {
            end.seq += 1;
            let mut line = format!("{{\"seq\":{}}}", end.seq).into_bytes();
            sealer.close(&mut line, 0).unwrap();
            io::Write::write_all(&mut writes.append(1, false).unwrap(), &line).unwrap();
            end.seal = sealer.prev().to_owned();
            writes.put_head(&end).unwrap();
        }
    });
    while !writer.is_finished() {
        assert_eq!(wrong(dir.path()), None);
    }
    writer.join().unwrap();
}

#[test]
fn a_newest_file_just_begun_is_nothing_and_hides_nothing() {
    for begun in ["", "{\"seq\":10,"] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), u64::MAX, 1..9);
        let trail = Trail::write_in(book(dir.path(), u64::MAX), "mfa1".into(), 0).unwrap();
        let begun_at = book(dir.path(), 0).path(10);
        fs::write(&begun_at, begun).unwrap();
        assert_eq!(trail.files().unwrap(), [1]);
        assert_eq!((trail.verify(1).unwrap().wrong, trail.verify(10).unwrap().wrong), (None, None));
        let first = book(dir.path(), 0).path(1);
        let text = fs::read_to_string(&first).unwrap();
        fs::write(&first, text.lines().take(4).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        assert!(trail.verify(1).unwrap().wrong.unwrap().1.contains("cut off"));
    }
}

#[test]
fn whoever_reads_finds_what_was_told_before_though_lines_gather() {
    let dir = TempDir::new().unwrap();
    let trail = Trail::write_in(book(dir.path(), u64::MAX), "mfa1".into(), 0).unwrap();
    for number in 1..100 {
        trail.note(ending(number));
        let lines = trail.tail(None, 1).unwrap();
        assert!(lines[0].contains(&format!("\"user-{number}\"")), "{lines:?}");
    }
    assert_eq!(trail.verify(1).unwrap().lines, 100);
}

#[test]
fn lines_that_find_no_place_are_counted_and_told() {
    let dir = TempDir::new().unwrap();
    let slate = Slate::default();
    for number in 0..20_000 {
        slate.tell(ending(number));
    }
    slate.close();
    Writer::open(book(dir.path(), u64::MAX), "mfa1".into(), 0).unwrap().write_all(&slate);
    let lines = book(dir.path(), 0).tail(Some(0), 2).unwrap();
    assert!(lines[1].contains("\"event\":\"lost\",\"lines\":3616"), "{lines:?}");
}
