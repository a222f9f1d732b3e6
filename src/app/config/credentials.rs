//! Credentials: in the folder in which systemd hands them to a service; for root, who types a command by hand, in the stores that systemd takes them from.

use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use nix::unistd::geteuid;
use zeroize::Zeroizing;

use crate::domain::Secret;

use super::secret::FILE_BYTES_MAX;
use super::secret::private;
use super::secret::read;
use super::secret::without_newline;

/// Where credentials are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    /// `CREDENTIALS_DIRECTORY`: whoever started us hands them over, and decides alone who reads them.
    Folder(PathBuf),
    /// Nobody hands any over.
    Nowhere,
    /// The stores below `root`, which only root reads; what is sealed there `tool` opens.
    Stores {
        /// Usually `/`.
        root: PathBuf,
        /// Usually `systemd-creds`.
        tool: PathBuf,
    },
}

/// Why there is no credential.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCredential {
    /// It is in neither store.
    #[error("the credential {name:?} is neither {} nor {}", sealed.display(), plain.display())]
    Absent {
        /// Which.
        name: String,
        /// Where it would be sealed.
        sealed: PathBuf,
        /// Where it would be as it is.
        plain: PathBuf,
    },
    /// Nobody hands any over.
    #[error("there are no credentials here: CREDENTIALS_DIRECTORY is not set")]
    Nowhere,
    /// It is there, and cannot be had.
    #[error("the credential {name:?} cannot be read: {why}")]
    Unread {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
}

impl NoCredential {
    /// What to do.
    pub(super) fn hint(&self) -> String {
        match self {
            Self::Absent { name, .. } => format!("put it there: vestibule secret set {name}"),
            Self::Nowhere => "systemd sets it for the service; by hand run this as root, or type: CREDENTIALS_DIRECTORY=FOLDER vestibule ..".to_owned(),
            Self::Unread { name, .. } => format!("give it to the service: LoadCredential={name}:FILE"),
        }
    }
}

impl Credentials {
    /// Those of this process.
    pub(super) fn ours() -> Self {
        match std::env::var_os("CREDENTIALS_DIRECTORY") {
            Some(folder) => Self::Folder(folder.into()),
            None if geteuid().is_root() => Self::Stores { root: "/".into(), tool: "systemd-creds".into() },
            None => Self::Nowhere,
        }
    }

    /// One of them, by a name that is no path. Blocks on the disk, and on systemd where it is sealed.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, NoCredential> {
        let unread = |why: String| NoCredential::Unread { name: name.to_owned(), why };
        match self {
            Self::Folder(folder) => read(&folder.join(name)).map_err(|error| unread(error.to_string())),
            Self::Nowhere => Err(NoCredential::Nowhere),
            Self::Stores { root, tool } => {
                let [sealed, plain] = ["etc/credstore.encrypted", "etc/credstore"].map(|store| root.join(store).join(format!("vestibule.{name}")));
                if sealed.exists() {
                    return opened(tool, name, &sealed).map_err(|error| unread(format!("systemd-creds decrypt {}: {error}", sealed.display())));
                }
                if plain.exists() {
                    return private(&plain, None).map_err(|refused| unread(refused.to_string()));
                }
                Err(NoCredential::Absent { name: name.to_owned(), sealed, plain })
            }
        }
    }
}

/// The credential that systemd would hand to the service, out of its stores below `root`. `None` where there is none, or it does not open.
pub(in crate::app) fn kept(root: &Path, name: &str) -> Option<Secret> {
    let stores = Credentials::Stores { root: root.to_owned(), tool: "systemd-creds".into() };
    stores.read(name).ok().map(|secret| Secret::new(without_newline(&secret).to_vec())).filter(|secret| !secret.is_empty())
}

/// What systemd has sealed for this machine, opened by it. The secret comes through a pipe and is in no file and no argument.
fn opened(tool: &Path, name: &str, sealed: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut child = Command::new(tool)
        .args(["decrypt", &format!("--name={name}")])
        .arg(sealed)
        .arg("-")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let Some(out) = child.stdout.take() else { return Err(io::Error::other("it has no output")) };
    let (done, waiting) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        // Room for all of it from the start: a vector that grows leaves copies of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX));
        let read = out.take(u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map(|_| bytes);
        let _ = done.send(read);
    });
    let Ok(read) = waiting.recv_timeout(OPEN_MAX) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(io::ErrorKind::TimedOut.into());
    };
    let complaint = child.stderr.take();
    if child.wait()?.success() { read } else { Err(io::Error::other(complained(&mut child, complaint))) }
}

/// What it says about why not; it has ended.
fn complained(child: &mut Child, complaint: Option<ChildStderr>) -> String {
    let mut text = String::new();
    let _ = complaint.map(|said| said.take(COMPLAINT_BYTES_MAX).read_to_string(&mut text));
    let ended = || child.try_wait().ok().flatten().map_or_else(String::new, |status| status.to_string());
    text.lines().rfind(|line| !line.trim().is_empty()).map_or_else(ended, |line| line.trim().to_owned())
}

/// A TPM takes a second or two.
const OPEN_MAX: Duration = Duration::from_secs(30);
const COMPLAINT_BYTES_MAX: u64 = 4_096;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Stores in a folder of their own, and a tool that turns letters around instead of opening anything.
    fn stores() -> (tempfile::TempDir, Credentials) {
        let folder = tempfile::tempdir().unwrap();
        for store in ["etc/credstore.encrypted", "etc/credstore"] {
            fs::create_dir_all(folder.path().join(store)).unwrap();
        }
        put(&folder, "tool", "#!/bin/sh\n[ \"$1 $2 $4\" = \"decrypt --name=duo-key -\" ] || { echo \"no: $*\" >&2; exit 1; }\nexec rev \"$3\"\n", 0o700);
        let stores = Credentials::Stores { root: folder.path().to_owned(), tool: folder.path().join("tool") };
        (folder, stores)
    }

    fn put(folder: &tempfile::TempDir, name: &str, text: &str, mode: u32) {
        fs::write(folder.path().join(name), text).unwrap();
        fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn o_01_by_hand_a_credential_comes_out_of_the_stores_opened_where_it_is_sealed() {
        let (folder, stores) = stores();
        let absent = stores.read("duo-key").unwrap_err();
        assert!(absent.to_string().contains("etc/credstore.encrypted/vestibule.duo-key nor") && absent.hint().ends_with("secret set duo-key"), "{absent}");
        put(&folder, "etc/credstore/vestibule.duo-key", "plain", 0o400);
        assert_eq!(stores.read("duo-key").unwrap().as_slice(), b"plain");
        put(&folder, "etc/credstore.encrypted/vestibule.duo-key", "delaes", 0o400);
        assert_eq!(stores.read("duo-key").unwrap().as_slice(), b"sealed");
        put(&folder, "etc/credstore.encrypted/vestibule.other", "delaes", 0o400);
        assert!(stores.read("other").unwrap_err().to_string().contains("no: decrypt --name=other"), "what the tool says is told");
    }

    #[test]
    fn o_03_a_store_that_others_read_is_refused() {
        let (folder, stores) = stores();
        put(&folder, "etc/credstore/vestibule.duo-key", "plain", 0o640);
        assert!(stores.read("duo-key").unwrap_err().to_string().contains("others than its owner"));
    }
}
