//! Which files the server may open at all, held by the kernel (Landlock): a second wall behind the unit's sandbox, and the first where there is no unit (O-10).
//!
//! It holds for the thread that asks for it and for those it starts from then on, so it must stand before the runtime.

use std::env;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::BitFlags;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::RulesetStatus;
use landlock::path_beneath_rules;

use super::config::Config;

/// What we know to ask for; an older kernel gives what it has.
const KNOWN: ABI = ABI::V5;

/// Where the system's libraries look: names, certificates, time zones, users, resolvers, what the kernel tells.
const SYSTEM: [&str; 13] = [
    "/etc",
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/dev/null",
    "/dev/urandom",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/systemd",
    "/var/lib/ca-certificates",
    "/var/lib/sss",
];

/// Where Samba's `ntlm_auth` writes, if it may.
const SAMBA: [&str; 5] = ["/run/samba", "/tmp", "/var/cache/samba", "/var/lib/samba", "/var/log/samba"];

/// What may be opened.
#[derive(Debug, PartialEq, Eq)]
struct Walls {
    /// To read.
    read: Vec<PathBuf>,
    /// To read, write, make and remove.
    write: Vec<PathBuf>,
    /// Programs may be started, with all that those may want to read. Only winbind's helper is one.
    programs: bool,
}

impl Walls {
    /// What this configuration needs, read from `path`. A file is given as its folder, for who renews a certificate puts another file in its place.
    fn around(config: &Config, path: &Path) -> Self {
        let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR", "CREDENTIALS_DIRECTORY"].into_iter().filter_map(env::var_os).map(PathBuf::from);
        let named = config.named.iter().cloned().chain([path.to_owned()]).chain(certificates);
        let mut read: Vec<PathBuf> = named.flat_map(|path| [folder(&path), path.canonicalize().map_or_else(|_| folder(&path), |path| folder(&path))]).collect();
        read.extend(SYSTEM.map(PathBuf::from));
        let mut write = vec![config.store.data_dir.clone(), config.audit.folder.clone(), folder(&config.admin.socket), PathBuf::from("/dev/null")];
        let programs = !config.winbinds.is_empty();
        if programs {
            write.extend(SAMBA.map(PathBuf::from));
        }
        read.sort();
        read.dedup();
        Self { read, write, programs }
    }

    fn raise(&self) -> Result<RulesetStatus, RulesetError> {
        let look = AccessFs::ReadFile | AccessFs::ReadDir;
        let everything = if self.programs { look | AccessFs::Execute } else { BitFlags::EMPTY };
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(&self.read, look))?
            .add_rules(path_beneath_rules(&self.write, AccessFs::from_all(KNOWN) & !AccessFs::Execute))?
            .add_rules(path_beneath_rules(["/"].into_iter().filter(|_| self.programs), everything))?
            .restrict_self()?;
        Ok(status.ruleset)
    }
}

/// Shuts this process in. Must be called while there is no other thread. Folders to write are made before: what is not there could only be allowed with the one
/// above it, which may be all of `/var/lib`.
///
/// # Errors
/// The kernel has Landlock and refuses, or such a folder cannot be made.
pub(super) fn raise(config: &Config, path: &Path) -> Result<Enclosure, EnclosureError> {
    for (folder, mode) in [(&config.store.data_dir, DATA_MODE), (&config.audit.folder, AUDIT_MODE)] {
        make(folder, mode).map_err(|error| EnclosureError::Folder { folder: folder.clone(), error })?;
    }
    let walls = Walls::around(config, path);
    let status = walls.raise()?;
    Ok(Enclosure { holds: status != RulesetStatus::NotEnforced, programs: walls.programs })
}

/// The last step alone: more would hide a slip of the keyboard.
fn make(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Why we are not shut in.
#[derive(Debug, thiserror::Error)]
pub enum EnclosureError {
    /// A folder that is written cannot be made.
    #[error("{} cannot be made: {error}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The kernel did not do it.
    #[error("cannot be shut in: {0}")]
    Kernel(#[from] RulesetError),
}

/// As the store makes it.
const DATA_MODE: u32 = 0o700;
/// As the audit makes it.
const AUDIT_MODE: u32 = 0o750;

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enclosure {
    /// The kernel knows Landlock and holds us to it.
    pub(super) holds: bool,
    /// Programs may be started.
    programs: bool,
}

impl Enclosure {
    /// Whether another configuration needs more than this one allows: a helper of winbind that could not be started.
    pub(super) fn is_too_narrow(self, config: &Config) -> bool {
        self.holds && !self.programs && !config.winbinds.is_empty()
    }
}

/// The folder that this is or lies in.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().map_or_else(|| path.to_owned(), Path::to_owned) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// In a thread of its own: the others stay free.
    fn behind(walls: Walls, work: impl FnOnce() + Send + 'static) {
        let done = std::thread::spawn(move || {
            if walls.raise().unwrap() != RulesetStatus::NotEnforced {
                work();
            }
        });
        done.join().unwrap();
    }

    #[test]
    fn o_10_what_is_not_named_can_neither_be_read_nor_written() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["state", "config", "secret"] {
            fs::create_dir(place(name)).unwrap();
            fs::write(place(name).join("file"), name).unwrap();
        }
        let walls = Walls { read: vec![place("config")], write: vec![place("state")], programs: false };
        let base = folder.path().to_owned();
        behind(walls, move || {
            let file = |name: &str| base.join(name).join("file");
            assert_eq!(fs::read_to_string(file("config")).unwrap(), "config");
            assert!(fs::write(file("config"), "changed").is_err());
            fs::write(file("state"), "changed").unwrap();
            fs::rename(file("state"), base.join("state/renamed")).unwrap();
            fs::remove_file(base.join("state/renamed")).unwrap();
            assert!(fs::read_to_string(file("secret")).is_err());
            assert!(std::process::Command::new("/bin/true").status().is_err(), "no program may be started");
        });
    }

    #[test]
    fn o_10_programs_are_for_winbind_alone() {
        let folder = tempfile::tempdir().unwrap();
        let walls = Walls { read: Vec::new(), write: Vec::new(), programs: true };
        let path = folder.path().join("file");
        behind(walls, move || {
            assert!(std::process::Command::new("/bin/true").status().unwrap().success());
            assert!(fs::write(path, "x").is_err());
        });
    }

    #[test]
    fn o_10_a_folder_is_made_before_and_the_one_above_stays_shut() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        make(&data, DATA_MODE).unwrap();
        make(&data, DATA_MODE).unwrap();
        assert!(make(&folder.path().join("a/b"), DATA_MODE).is_err(), "a path that is wrong higher up is told");
        let walls = Walls { read: Vec::new(), write: vec![data.clone()], programs: false };
        let above = folder.path().join("above");
        behind(walls, move || {
            fs::write(data.join("file"), "x").unwrap();
            assert!(fs::write(above, "x").is_err());
        });
    }
}
