//! The files: `N.jsonl`, where N is the number of the first line, each begun with the seal of the line before it; and `head`, which knows how far they went.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;

use super::seal::Sealer;
use super::seal::parted;
use crate::domain::Secret;
use crate::ports::audit::Entry;
use crate::ports::audit::Record;
use crate::ports::audit::Verified;

/// Bytes of one line; there are none as long.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// What is still quick to read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The folder they lie in.
#[derive(Clone, Debug)]
pub(super) struct Book {
    pub(super) folder: PathBuf,
    pub(super) key: Secret,
    /// Bytes of a file until the next is begun.
    pub(super) file_bytes_max: u64,
}

/// Where the last line left off.
#[derive(Debug)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) seal: String,
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
        Ok(Self { folder, key, file_bytes_max: FILE_BYTES_MAX })
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

    /// Where the last whole line of the newest file left off. What is behind it was being written when the power went: it is kept aside and not overwritten.
    pub(super) fn end(&self) -> io::Result<Option<(End, u64)>> {
        for file in self.files()?.into_iter().rev() {
            match self.end_of(file)? {
                Some(end) => return Ok(Some((end, file))),
                // Nothing came to stand in it.
                None => fs::remove_file(self.path(file))?,
            }
        }
        Ok(None)
    }

    fn end_of(&self, file: u64) -> io::Result<Option<End>> {
        let path = self.path(file);
        let mut end = None;
        let mut whole = 0_u64;
        each_line(&path, |line| {
            let seq = serde_json::from_str::<Numbered>(line).ok().map(|numbered| numbered.seq);
            if let (Some(seq), Some((_, seal))) = (seq, parted(line)) {
                end = Some(End { seq, seal: seal.to_owned() });
                whole = whole.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX)).saturating_add(1);
                return true;
            }
            false
        })?;
        let length = fs::metadata(&path)?.len();
        if whole < length {
            let bytes = fs::read(&path)?;
            let cut = bytes.get(usize::try_from(whole).unwrap_or(usize::MAX)..).unwrap_or_default();
            fs::write(path.with_extension("cut"), cut)?;
            OpenOptions::new().write(true).open(&path)?.set_len(whole)?;
            tracing::warn!(file = %path.display(), bytes = cut.len(), "the end of the audit was cut off, as when the power fails; it is kept beside it as .cut");
        }
        Ok(end)
    }

    pub(super) fn append(&self, first: u64) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o640).open(self.path(first))
    }

    /// Writes down how far the lines on disk go: who cuts lines off the end cannot make this shorter too without the key.
    pub(super) fn put_head(&self, end: &End) -> io::Result<()> {
        let mut sealer = Sealer::new(self.key.clone(), String::new());
        let Some(line) = sealer.close(&format!("{{\"seq\":{},\"last\":\"{}\"}}", end.seq, end.seal)) else { return Ok(()) };
        let fresh = self.folder.join("head.new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        fs::rename(fresh, self.head())
    }

    /// How far they went at least; `None` where nobody has written it down, `Some(Err)` where somebody else did.
    fn head_seq(&self) -> io::Result<Option<Result<u64, ()>>> {
        let text = match fs::read_to_string(self.head()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let right = Sealer::new(self.key.clone(), String::new()).follows(&text);
        let seq = serde_json::from_str::<Numbered>(&text).ok().map(|numbered| numbered.seq).filter(|_| right);
        Ok(Some(seq.ok_or(())))
    }

    pub(super) fn verify(&self, file: u64) -> io::Result<Verified> {
        let mut verified = Verified { first: file, last: file.saturating_sub(1), ..Verified::default() };
        let mut sealer: Option<Sealer> = None;
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
                    (verified.last, verified.lines) = (seq, number);
                    true
                }
            }
        })?;
        verified.seal = sealer.map(|sealer| sealer.prev().to_owned()).unwrap_or_default();
        let is_newest = self.files()?.last() == Some(&file);
        if verified.wrong.is_none() && is_newest {
            verified.wrong = match self.head_seq()? {
                Some(Ok(head)) if head > verified.last => {
                    Some((verified.lines.saturating_add(1), format!("the lines up to number {head} were written once and are gone: the end was cut off")))
                }
                Some(Err(())) => Some((0, "`head` is not ours: nobody can tell whether the end was cut off".to_owned())),
                _ => None,
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

/// The seal of the line before, where this line begins a file.
fn opening(line: &str) -> Option<String> {
    match serde_json::from_str::<Record>(line).ok()?.what {
        Entry::Opened { prev, .. } => Some(prev),
        Entry::Login(_) | Entry::Lost { .. } => None,
    }
}

/// Hands over whole lines until `take` has enough. One that is longer than any of ours, or no text, ends it.
fn each_line(path: &Path, mut take: impl FnMut(&str) -> bool) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = io::Read::take(&mut reader, LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        let Some(text) = line.strip_suffix(b"\n").filter(|_| read > 0) else { return Ok(()) };
        let Ok(text) = std::str::from_utf8(text) else {
            take("");
            return Ok(());
        };
        if !take(text) {
            return Ok(());
        }
    }
}
