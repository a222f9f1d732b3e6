//! Files that are there whole or not at all: written beside their place, kept by the disk, then moved there, and the disk keeps the folder too.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;

/// A file that is being written. Dropped before it is done it is gone, and what was in its place is as before.
#[derive(Debug)]
pub struct Draft {
    file: File,
    beside: PathBuf,
    place: PathBuf,
}

impl Draft {
    /// Begins one for `place`: with this mode from its first byte, and `.ending` behind its name until it is done. What somebody else left behind under that
    /// name goes, a link too; none is ever followed.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn begin(place: &Path, ending: &str, mode: u32) -> io::Result<Self> {
        let beside = place.with_added_extension(ending);
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        // Whatever the umask of who types this takes away, the service must read what is for it.
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(Self { file, beside, place: place.to_owned() })
    }

    /// Gives it to a user and a group, while nobody but us can open it by its place.
    ///
    /// # Errors
    /// Only root gives files away.
    pub fn give(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        fchown(&self.file, uid, gid)
    }

    /// Puts it in its place, over whatever is there; `keep`: only where nothing is. Afterwards it survives a loss of power.
    ///
    /// # Errors
    /// The disk's; `AlreadyExists` where something is there and must stay. Then nothing was changed.
    pub fn finish(self, keep: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if !self.is_ours() {
            return Err(io::Error::other("somebody else writes it at the same time"));
        }
        if keep {
            // Unlike a rename it never replaces anything. The name beside goes when this is dropped.
            fs::hard_link(&self.beside, &self.place)?;
        } else {
            fs::rename(&self.beside, &self.place)?;
        }
        keep_folder(&self.place)
    }

    /// Whether what lies beside the place is still what we write.
    fn is_ours(&self) -> bool {
        let ours = self.file.metadata().map(|found| (found.dev(), found.ino()));
        let there = fs::symlink_metadata(&self.beside).map(|found| (found.dev(), found.ino()));
        matches!((ours, there), (Ok(ours), Ok(there)) if ours == there)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes a folder and those above it that are missing, all with this mode; the disk keeps each of them.
///
/// # Errors
/// One cannot be made.
pub fn make_folder(folder: &Path, mode: u32) -> io::Result<()> {
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()).collect();
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
            made => made.and_then(|()| fs::set_permissions(folder, Permissions::from_mode(mode)))?,
        }
        keep_folder(folder)?;
    }
    Ok(())
}

/// Takes a file away, if there is one, for good.
///
/// # Errors
/// The disk's.
pub fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| keep_folder(file)),
    }
}

/// Has the disk keep the folder in which `entry` lies: a name that is only in memory is gone after a loss of power, whatever the file's own sync said.
fn keep_folder(entry: &Path) -> io::Result<()> {
    let folder = entry.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn put(place: &Path, text: &str, keep: bool) -> io::Result<()> {
        let mut draft = Draft::begin(place, "new", 0o400)?;
        draft.write_all(text.as_bytes())?;
        draft.finish(keep)
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        put(&place, "one", true).unwrap();
        put(&place, "two", false).unwrap();
        let mut given_up = Draft::begin(&place, "new", 0o400).unwrap();
        given_up.write_all(b"half").unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "two");
        drop(given_up);
        assert_eq!((fs::read_dir(folder.path()).unwrap().count(), fs::metadata(&place).unwrap().mode() & 0o777), (1, 0o400));
    }

    #[test]
    fn what_came_there_meanwhile_stays_where_it_must() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        let mut draft = Draft::begin(&place, "new", 0o400).unwrap();
        draft.write_all(b"late").unwrap();
        // Looked for before, it would not have been there.
        fs::write(&place, "first").unwrap();
        assert_eq!(draft.finish(true).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read_to_string(&place).unwrap().as_str(), fs::read_dir(folder.path()).unwrap().count()), ("first", 1));
    }

    #[test]
    fn a_link_that_somebody_laid_beside_is_not_followed_and_an_open_file_not_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (place, beside, target) = (folder.path().join("file"), folder.path().join("file.new"), folder.path().join("target"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &beside).unwrap();
        put(&place, "one", false).unwrap();
        assert_eq!((fs::read_to_string(&target).unwrap().as_str(), fs::read_to_string(&place).unwrap().as_str()), ("precious", "one"));
        // Readable by all, and held open by whoever made it.
        fs::write(&beside, "theirs").unwrap();
        put(&place, "two", false).unwrap();
        assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o400);
    }

    #[test]
    fn of_two_who_write_at_once_neither_puts_the_others_half_there() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("file");
        let mut one = Draft::begin(&place, "new", 0o400).unwrap();
        let mut other = Draft::begin(&place, "new", 0o400).unwrap();
        one.write_all(b"one").unwrap();
        assert!(one.finish(false).is_err());
        other.write_all(b"other").unwrap();
        other.finish(false).unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "other");
    }

    #[test]
    fn folders_are_made_with_their_mode_and_those_that_are_there_stay() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        make_folder(&deep, 0o700).unwrap();
        make_folder(&deep, 0o755).unwrap();
        assert!(["a", "a/b"].iter().all(|name| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777 == 0o700));
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(make_folder(&folder.path().join("file/x"), 0o700).is_err());
    }
}
