//! Secrets and files that the configuration points to. It never holds a secret itself (O-03, O-08).

use std::cell::Cell;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::User;
use nix::unistd::geteuid;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::domain::Timestamp;

use super::Certificate;
use super::credentials::Credentials;
use super::reader::Value;

/// Where references lead.
#[derive(Debug)]
pub(super) struct Sources {
    /// The configuration's folder: relative paths begin here.
    pub(super) folder: PathBuf,
    /// Where credentials are.
    pub(super) credentials: Credentials,
    /// Whose `data_dir` is, once it was read: the user that serves.
    pub(super) served_by: Cell<Option<u32>>,
    /// When the file is read.
    pub(super) now: Timestamp,
    /// Every certificate that was read on the way.
    pub(super) certificates: RefCell<Vec<Certificate>>,
    /// Every file and folder that was named on the way.
    pub(super) named: RefCell<Vec<PathBuf>>,
}

/// Where a secret comes from that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Somebody else has it: what to write there.
    Given(&'static str),
    /// It was here, and what is stored opens with no other.
    Lost,
    /// Whoever needs it makes it: 32 random bytes.
    Made,
}

impl Origin {
    /// What to do where there is no file at `path`, or an empty one.
    pub(super) fn hint(self, path: &str) -> String {
        match self {
            Self::Given(what) => format!("write {what} there, readable by its owner alone: install -m 600 /dev/null {path}, then edit it"),
            Self::Lost => "put the one back that was here: what is in data_dir was sealed with it and opens with no other".to_owned(),
            Self::Made => format!("make it: install -m 600 /dev/null {path}; then write it there, or a new one: openssl rand -hex 32 > {path}"),
        }
    }
}

impl Sources {
    /// Begins with a configuration in `folder`.
    pub(super) fn new(folder: PathBuf, credentials: Credentials, now: Timestamp) -> Self {
        Self { folder, credentials, served_by: Cell::default(), now, certificates: RefCell::default(), named: RefCell::default() }
    }

    /// A path, from the configuration's folder on.
    pub(super) fn path(&self, value: &Value<'_>) -> Option<PathBuf> {
        let path = value.text().map(|text| self.folder.join(text));
        self.named.borrow_mut().extend(path.clone());
        path
    }

    /// A secret that whoever it is for has given: `{ credential = ".." }` or `{ file = ".." }`. An empty one is none (R-022).
    pub(super) fn secret(&self, value: &Value<'_>) -> Option<Secret> {
        self.secret_from(value, Origin::Given("the secret that you were given"))
    }

    /// The same, of a secret that comes from there.
    pub(super) fn secret_from(&self, value: &Value<'_>, origin: Origin) -> Option<Secret> {
        if value.is_text() {
            value.error("a secret is never written here", Some(TWO_FORMS));
            return None;
        }
        let (form, place) = value.one_of(&["credential", "file"])?;
        let bytes = if form == "file" { self.in_file(&place, origin) } else { self.handed_over(&place) }?;
        let secret = without_newline(&bytes);
        if secret.is_empty() {
            let hint = if origin == Origin::Made { "make one: openssl rand -hex 32 > FILE".to_owned() } else { origin.hint("FILE") };
            place.error("the secret is empty", Some(&hint));
            return None;
        }
        Some(Secret::new(secret.to_vec()))
    }

    /// systemd alone decides who reads its credentials; their mode bits say nothing. Root, who types a command by hand, opens them where they are kept.
    fn handed_over(&self, place: &Value<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let name = place.name()?;
        self.credentials.read(name).map_err(|refused| place.error(&refused.to_string(), Some(&refused.hint()))).ok()
    }

    fn in_file(&self, place: &Value<'_>, origin: Origin) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.path(place)?;
        let told = |refused: NotPrivate| {
            let way = match &refused {
                NotPrivate::Unread { error, .. } if error.kind() == io::ErrorKind::NotFound => Some(origin.hint(&path.display().to_string())),
                other => other.hint(),
            };
            place.error(&refused.to_string(), way.as_deref());
        };
        private(&path, self.served_by.get()).map_err(told).ok()
    }
}

/// Why a file with a secret is not taken (O-03).
#[derive(Debug, thiserror::Error)]
pub(super) enum NotPrivate {
    /// Others than its owner get at it.
    #[error("{} can be read or changed by others than its owner (mode {mode:04o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is somebody's who is neither we nor root.
    #[error("{} belongs to another user (uid {owner}), who can read and change it", path.display())]
    Strange {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {error}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl NotPrivate {
    /// What to do.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Open { path, .. } => Some(format!("type: chmod 600 {}", path.display())),
            Self::Strange { path, .. } => Some(format!("type: chown {} {}; or run this as the user it belongs to", geteuid().as_raw(), path.display())),
            Self::Unread { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => Some("it must belong to the user that runs this".to_owned()),
            Self::Unread { .. } => None,
        }
    }
}

/// A small file with a secret, which belongs to us or to root, and to nobody else. Root also takes one of the user that serves: whose `data_dir` is, or whom
/// the package made for it.
pub(super) fn private(path: &Path, served_by: Option<u32>) -> Result<Zeroizing<Vec<u8>>, NotPrivate> {
    let unread = |error| NotPrivate::Unread { path: path.to_owned(), error };
    let found = fs::metadata(path).map_err(unread)?;
    let (owner, own) = (found.uid(), geteuid().as_raw());
    if is_strange(owner, own) && !(own == 0 && serves(owner, served_by)) {
        return Err(NotPrivate::Strange { path: path.to_owned(), owner });
    }
    if found.mode() & OTHERS != 0 {
        return Err(NotPrivate::Open { path: path.to_owned(), mode: found.mode() & 0o7777 });
    }
    read(path).map_err(unread)
}

/// A small file that nobody but its owner can read, and whose owner is who runs this, or root (O-03).
///
/// # Errors
/// Why it is not read.
pub fn private_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    private(path, None).map_err(|refused| refused.to_string())
}

/// Whether a file of `owner` is in somebody's hands who is neither we nor root (O-03).
fn is_strange(owner: u32, own: u32) -> bool {
    owner != own && owner != 0
}

/// Whether the server runs as this user, as far as one can tell who looks from outside.
fn serves(uid: u32, served_by: Option<u32>) -> bool {
    served_by == Some(uid) || User::from_name(SERVICE_USER).ok().flatten().is_some_and(|user| user.uid.as_raw() == uid)
}

/// A small ordinary file. What could block (a pipe) or never end (a device) is none.
///
/// # Errors
/// It is not there, no file, too long, or may not be read.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let size = fs::metadata(path).and_then(|found| if found.is_file() { Ok(found.len()) } else { Err(io::Error::other("it is not a file")) })?;
    let size = usize::try_from(size).ok().filter(|size| *size <= FILE_BYTES_MAX).ok_or_else(|| io::Error::other("it is longer than 1 MiB"))?;
    // Room for all of it from the start: a vector that grows leaves copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.saturating_add(1)));
    let limit = u64::try_from(FILE_BYTES_MAX).map_err(io::Error::other)?;
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Editors and `echo` end a file with a newline; nobody means it.
pub(super) fn without_newline(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// Permission bits of group and others.
const OTHERS: u32 = 0o077;

/// The user that the package makes.
const SERVICE_USER: &str = "vestibule";

pub(super) const FILE_BYTES_MAX: usize = 1 << 20;

const TWO_FORMS: &str = "put it in a file that only its owner can read and write { file = \"PATH\" }, or let systemd hand it over: { credential = \"NAME\" }";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_at_the_end_is_nobodys_secret() {
        assert_eq!(without_newline(b"abc\n"), b"abc");
        assert_eq!(without_newline(b"abc\r\n"), b"abc");
        assert_eq!(without_newline(b"abc\n\n"), b"abc\n");
        assert_eq!(without_newline(b" a b "), b" a b ");
        assert_eq!(without_newline(b"\n"), b"");
    }

    #[test]
    fn o_03_a_file_is_ours_or_roots_or_strange() {
        assert!(!is_strange(7, 7) && !is_strange(0, 7));
        assert!(is_strange(8, 7) && is_strange(8, 0));
        assert!(serves(9, Some(9)) && !serves(8, Some(9)), "root looks at what belongs to the user that serves");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        assert!(read(Path::new("/dev/zero")).is_err());
        assert!(read(&std::env::temp_dir()).is_err());
    }
}
