//! A backup becomes a store again while no server runs.

use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::unistd::Gid;
use nix::unistd::Uid;
use nix::unistd::geteuid;
use nix::unistd::setgroups;
use nix::unistd::setresgid;
use nix::unistd::setresuid;

use super::clock::WallClock;
use super::config;
use super::config::Problem;
use crate::domain::Secret;
use crate::ports::Clock;
use crate::store;

pub use crate::store::HotpJump;
pub use crate::store::RestoreError;
pub use crate::store::Restored;

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The configuration is wrong.
    #[error("the configuration is wrong in {} places", .0.len())]
    Config(Vec<Problem>),
    /// The backup or the place for it is.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A server of this configuration answers.
    #[error("the server is running, and would go on with the store that it has: stop the server, move that aside, then restore")]
    Running,
}

/// Restores a backup to where the `[node]` of the configuration at `path` says; the rest of it need not be right. Blocks on the disk.
///
/// # Errors
/// Why nothing was restored.
pub fn restore(path: &Path, from: impl Read, key: &Secret, jump: HotpJump) -> Result<Restored, KeepError> {
    let socket = config::admin_socket(path).map_err(KeepError::Config)?;
    if UnixStream::connect(socket).is_ok() {
        return Err(KeepError::Running);
    }
    let settings = config::store_settings(path).map_err(KeepError::Config)?;
    become_owner(&settings.data_dir).map_err(RestoreError::File)?;
    Ok(store::restore(from, key, &settings, WallClock.now(), jump)?)
}

/// Goes on as whoever has the folder, for good: root would follow each link that somebody lays there, and what is made there is to be the server's.
fn become_owner(data_dir: &Path) -> io::Result<()> {
    let Ok(folder) = fs::metadata(data_dir) else { return Ok(()) };
    let (uid, gid) = (Uid::from_raw(folder.uid()), Gid::from_raw(folder.gid()));
    if !geteuid().is_root() || uid.is_root() {
        return Ok(());
    }
    setgroups(&[gid]).and_then(|()| setresgid(gid, gid, gid)).and_then(|()| setresuid(uid, uid, uid)).map_err(Into::into)
}

/// A recovery key as it stands in its file, which nobody but its owner may be able to read.
///
/// # Errors
/// What is wrong with it, in words.
pub fn recovery_key(path: &Path) -> Result<Secret, String> {
    let bytes = config::private_file(path)?;
    let key = std::str::from_utf8(&bytes).ok().and_then(|text| Secret::from_hex(text.trim())).filter(|key| key.len() == KEY_BYTES);
    key.ok_or_else(|| format!("{} holds no recovery key: 64 hexadecimal digits", path.display()))
}

const KEY_BYTES: usize = 32;
