//! The files: `N.jsonl`, where N is the number of the first line, each begun with the seal of the line before it; and `head`, which knows how far they went.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::seal::Sealer;
use super::seal::parted;
use crate::domain::Secret;
use crate::ports::audit::Anchor;
use crate::ports::audit::Entry;
use crate::ports::audit::Record;
use crate::ports::audit::Verified;

/// Bytes of one line; there are none as long.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// What is still quick to read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Lines of lost ones that are told of one file.
const LOST_TOLD_MAX: usize = 100;
/// What `head` follows: no line does, so none can be put in its place.
const BEFORE_HEAD: &str = "head";
/// Ends kept beside one file.
const ASIDE_MAX: u32 = 1_000;

/// The folder they lie in.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) folder: PathBuf,
    pub(super) key: Secret,
    /// Bytes of a file until the next is begun.
    pub(super) file_bytes_max: u64,
    /// Who else knows how far it went.
    pub(super) anchor: Option<Arc<dyn Anchor>>,
}

/// A line's number and seal.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) seal: String,
}

/// Where to go on.
#[derive(Debug)]
pub(super) struct Left {
    /// The last number given, and the seal the next line follows.
    pub(super) end: End,
    /// The file to go on in; `None`: a new one.
    pub(super) file: Option<u64>,
    /// Lines that were written and are gone, 0 where nobody can tell how many; `None` where all are there.
    pub(super) gone: Option<u64>,
}

/// What a file holds.
struct Held {
    /// Its highest number.
    end: Option<End>,
    /// Every line in it can be read.
    sound: bool,
    bytes: u64,
}

#[derive(Deserialize)]
struct Numbered {
    seq: u64,
}

impl Book {
    /// The folder, made where there is none.
    pub(super) fn open(folder: PathBuf, key: Secret) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o750).create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        Ok(Self { folder, key, file_bytes_max: FILE_BYTES_MAX, anchor: None })
    }

    pub(super) fn path(&self, first: u64) -> PathBuf {
        self.folder.join(format!("{first:020}.jsonl"))
    }

    fn head(&self) -> PathBuf {
        self.folder.join("head")
    }

    /// By the numbers of their first lines.
    pub(super) fn files(&self) -> io::Result<Vec<u64>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            files.extend(name.to_str().and_then(|name| name.strip_suffix(".jsonl")).and_then(|number| number.parse::<u64>().ok()));
        }
        files.sort_unstable();
        Ok(files)
    }

    /// The files in whose newest a whole line stands: one that was just begun is nothing yet.
    pub(super) fn filled(&self) -> io::Result<Vec<u64>> {
        let mut files = self.files()?;
        while let Some(newest) = files.last() {
            let mut any = false;
            each_line(&self.path(*newest), |_| {
                any = true;
                false
            })?;
            if any {
                break;
            }
            files.pop();
        }
        Ok(files)
    }

    /// How far they went, as somebody else remembers.
    pub(super) fn told(&self) -> u64 {
        self.anchor.as_ref().map_or(0, |anchor| anchor.told())
    }

    /// Where to go on, if number `known` was given at least. No number is given twice: where `head`, or a file's name, knows a higher one than the lines that
    /// can be read, those behind them are gone, and the next follows the higher one.
    pub(super) fn left(&self, known: u64) -> io::Result<Left> {
        let head = self.head_seq()?;
        let (mut end, mut on, mut floor) = (None, None, known.max(self.told()));
        for file in self.files()?.into_iter().rev() {
            let held = self.held(file)?;
            if held.bytes == 0 {
                // Nothing came to stand in it.
                fs::remove_file(self.path(file))?;
                continue;
            }
            floor = floor.max(file);
            on = Some(file).filter(|_| held.sound);
            end = held.end;
            if end.is_some() {
                break;
            }
        }
        let none_yet = end.is_none() && floor == 0;
        let End { seq: read, seal } = end.unwrap_or_default();
        let seq = read.max(floor).max(head.and_then(Result::ok).unwrap_or(0));
        let gone = match head {
            _ if seq > read => Some(seq.saturating_sub(read)),
            Some(Ok(_)) => None,
            None if none_yet => None,
            None | Some(Err(())) => Some(0),
        };
        let end = End { seq, seal };
        if head.is_none() && none_yet {
            // From the first line on there is a head.
            self.put_head(&end)?;
        }
        Ok(Left { end, file: on.filter(|_| seq == read), gone })
    }

    /// Reads a file through. An unterminated last line was being written when the power went: it is kept aside. All else stays as it is.
    fn held(&self, file: u64) -> io::Result<Held> {
        let path = self.path(file);
        let mut end: Option<End> = None;
        let mut sound = true;
        let bytes = each_line(&path, |line| {
            match (serde_json::from_str::<Numbered>(line), parted(line)) {
                (Ok(Numbered { seq }), Some((_, seal))) => {
                    if end.as_ref().is_none_or(|end| end.seq <= seq) {
                        end = Some(End { seq, seal: seal.to_owned() });
                    }
                }
                _ => sound = false,
            }
            true
        })?;
        if bytes < fs::metadata(&path)?.len() {
            cut(&path, bytes)?;
        }
        if !sound {
            tracing::error!(file = %path.display(), "the audit holds lines that cannot be read: the file stays as it is, and a new one is begun");
        }
        Ok(Held { end, sound, bytes })
    }

    /// Opens a file to write on in it; a `fresh` one must not be there yet.
    pub(super) fn append(&self, first: u64, fresh: bool) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(fresh).mode(0o640).open(self.path(first))
    }

    /// Writes down how far the lines on disk go: who cuts lines off the end cannot make this shorter too without the key. An older one put back is shorter than
    /// what the anchor knows.
    pub(super) fn put_head(&self, end: &End) -> io::Result<()> {
        let mut sealer = Sealer::new(self.key.clone(), BEFORE_HEAD.to_owned());
        let mut line = format!("{{\"seq\":{},\"last\":\"{}\"}}", end.seq, end.seal).into_bytes();
        let Some(()) = sealer.close(&mut line, 0) else { return Ok(()) };
        let fresh = self.folder.join("head.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
        file.write_all(&line)?;
        file.sync_data()?;
        fs::rename(fresh, self.head())?;
        if let Some(anchor) = &self.anchor {
            anchor.tell(end.seq);
        }
        Ok(())
    }

    /// How far they went at least; `None` where nobody has written it down, `Some(Err)` where somebody else did.
    fn head_seq(&self) -> io::Result<Option<Result<u64, ()>>> {
        let text = match fs::read_to_string(self.head()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Some(Err(()))),
            Err(error) => return Err(error),
        };
        let right = Sealer::new(self.key.clone(), BEFORE_HEAD.to_owned()).follows(&text);
        let seq = serde_json::from_str::<Numbered>(&text).ok().map(|numbered| numbered.seq).filter(|_| right);
        Ok(Some(seq.ok_or(())))
    }

    pub(super) fn verify(&self, file: u64) -> io::Result<Verified> {
        // Before the lines: those it knows of are on disk by now, and more may come meanwhile.
        let head = self.head_seq()?;
        let told = self.told();
        let mut verified = Verified { first: file, last: file.saturating_sub(1), ..Verified::default() };
        let mut sealer: Option<Sealer> = None;
        if !self.path(file).exists() {
            let wrong = (0, format!("every file is gone: lines up to number {told} were written once"));
            return Ok(Verified { wrong: Some(wrong), ..verified });
        }
        each_line(&self.path(file), |line| {
            let number = verified.lines.saturating_add(1);
            let wrong = match &mut sealer {
                None => match opening(line) {
                    Some(prev) => {
                        verified.prev.clone_from(&prev);
                        let mut begun = Sealer::new(self.key.clone(), prev);
                        let follows = begun.follows(line);
                        sealer = Some(begun);
                        (!follows).then_some("the seal is not ours: the line was changed, or another master key sealed it")
                    }
                    None => Some("the file does not begin as one of ours does"),
                },
                Some(sealer) => (!sealer.follows(line)).then_some("the seal does not follow from the line before: a line was changed, left out or put in here"),
            };
            let seq = serde_json::from_str::<Numbered>(line).map_or(0, |numbered| numbered.seq);
            let wrong = wrong.or_else(|| (seq != verified.last.saturating_add(1)).then_some("the number does not follow"));
            match wrong {
                Some(wrong) => {
                    verified.wrong = Some((number, wrong.to_owned()));
                    false
                }
                None => {
                    verified.lost.extend(lost(line).filter(|_| verified.lost.len() < LOST_TOLD_MAX).map(|lines| (seq, lines)));
                    (verified.last, verified.lines) = (seq, number);
                    true
                }
            }
        })?;
        verified.seal = sealer.map(|sealer| sealer.prev().to_owned()).unwrap_or_default();
        let is_newest = self.filled()?.last() == Some(&file);
        if verified.wrong.is_none() && is_newest {
            verified.wrong = match head {
                Some(Ok(head)) if head.max(told) > verified.last => {
                    let once = head.max(told);
                    Some((verified.lines.saturating_add(1), format!("the lines up to number {once} were written once and are gone: the end was cut off")))
                }
                Some(Err(())) => Some((0, "`head` is not ours: nobody can tell whether the end was cut off".to_owned())),
                None => Some((0, "`head` is missing: nobody can tell whether the end was cut off".to_owned())),
                Some(Ok(_)) => None,
            };
        }
        Ok(verified)
    }

    /// The lines behind number `after`, or the newest.
    pub(super) fn tail(&self, after: Option<u64>, count_max: usize) -> io::Result<Vec<String>> {
        let files = self.files()?;
        let mut found: Vec<String> = Vec::new();
        let Some(after) = after else {
            for file in files.iter().rev() {
                let mut lines = std::collections::VecDeque::new();
                let room = count_max.saturating_sub(found.len());
                each_line(&self.path(*file), |line| {
                    if lines.len() >= room {
                        lines.pop_front();
                    }
                    lines.push_back(line.to_owned());
                    true
                })?;
                found.splice(0..0, lines);
                if found.len() >= count_max {
                    break;
                }
            }
            return Ok(found);
        };
        let first = files.iter().rposition(|file| *file <= after.saturating_add(1)).unwrap_or(0);
        for file in files.iter().skip(first) {
            each_line(&self.path(*file), |line| {
                let newer = serde_json::from_str::<Numbered>(line).is_ok_and(|numbered| numbered.seq > after);
                if newer && found.len() < count_max {
                    found.push(line.to_owned());
                }
                found.len() < count_max
            })?;
        }
        Ok(found)
    }

    /// The lines that hold this text, oldest first.
    pub(super) fn find(&self, text: &str) -> io::Result<Vec<String>> {
        for file in self.files()?.into_iter().rev() {
            let mut found = Vec::new();
            each_line(&self.path(file), |line| {
                if line.contains(text) {
                    found.push(line.to_owned());
                }
                true
            })?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

/// How many lines this one says are lost, if it does.
fn lost(line: &str) -> Option<u64> {
    // Few do: most are not read any closer.
    match line.contains("\"lost\"").then(|| serde_json::from_str::<Record>(line).ok()).flatten()?.what {
        Entry::Lost { lines } => Some(lines),
        Entry::Login(_) | Entry::Opened { .. } => None,
    }
}

/// The seal of the line before, where this line begins a file.
fn opening(line: &str) -> Option<String> {
    match serde_json::from_str::<Record>(line).ok()?.what {
        Entry::Opened { prev, .. } => Some(prev),
        Entry::Login(_) | Entry::Lost { .. } => None,
    }
}

/// Hands over whole lines until `take` has enough; in place of one that is longer than any of ours, or no text, an empty one. Returns the bytes up to the end
/// of the last one handed over.
fn each_line(path: &Path, mut take: impl FnMut(&str) -> bool) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let (mut whole, mut read) = (0_u64, 0_u64);
    let mut long = false;
    loop {
        line.clear();
        let piece = u64::try_from(io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)?).unwrap_or(u64::MAX);
        read = read.saturating_add(piece);
        let Some(text) = line.strip_suffix(b"\n") else {
            if piece < LINE_BYTES_MAX {
                return Ok(whole);
            }
            long = true;
            continue;
        };
        whole = read;
        let text = std::str::from_utf8(text).ok().filter(|_| !long).unwrap_or_default();
        long = false;
        if !take(text) {
            return Ok(whole);
        }
    }
}

/// Moves what is behind these bytes to a file beside it, which nothing is ever written over.
fn cut(path: &Path, whole: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    file.seek(SeekFrom::Start(whole))?;
    let (mut aside, name) = aside(path)?;
    let bytes = io::copy(&mut file, &mut aside)?;
    aside.sync_data()?;
    file.set_len(whole)?;
    tracing::warn!(file = %path.display(), bytes, aside = %name.display(), "the end of the audit was cut off, as when the power fails; it is kept beside it");
    Ok(())
}

/// A new file beside this one: `N.cut`, `N.1.cut` and so on.
fn aside(path: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..ASIDE_MAX {
        let name = path.with_extension(if number == 0 { "cut".to_owned() } else { format!("{number}.cut") });
        match OpenOptions::new().write(true).create_new(true).mode(0o640).open(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, name)),
        }
    }
    Err(io::Error::other("too many .cut files lie beside it: move them elsewhere"))
}
