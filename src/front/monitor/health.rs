//! Whether we can do our work: the doors are open, the store can be written, and somebody who knows passwords answers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::statvfs::FsFlags;
use nix::sys::statvfs::statvfs;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::timeout;

use super::View;
use crate::metrics;
use crate::ports::Directory;
use crate::ports::SPACE_BYTES_MIN;

/// How long a look counts for those who ask after it.
const KEEP: Duration = Duration::from_secs(5);
/// How long a directory may take to take a connection.
const PROBE: Duration = Duration::from_secs(3);
/// How long a RADIUS server behind us is known to be away after the last that it did not answer. Where it says nothing about itself only a login can tell
/// whether it is back, and whoever sends logins to those alone that are ready would never let one find out.
const DOUBT: Duration = Duration::from_secs(60);

/// What stands in `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    /// Nothing is lacking.
    pub(super) ready: bool,
    /// What is.
    pub(super) not_ready: Vec<Lack>,
    /// Directories that do not answer, though others do.
    pub(super) away: Vec<String>,
}

/// Something we cannot do without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Lack {
    what: &'static str,
    why: String,
}

/// The last look, so that whoever asks often asks nobody behind us more often.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<(Instant, Arc<View>, Readiness)>>);

impl Health {
    pub(super) async fn look(&self, view: &Arc<View>) -> Readiness {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, of, readiness)) if at.elapsed() < KEEP && Arc::ptr_eq(of, view) => readiness.clone(),
            _ => {
                let readiness = look(view).await;
                *last = Some((Instant::now(), Arc::clone(view), readiness.clone()));
                readiness
            }
        }
    }
}

async fn look(view: &View) -> Readiness {
    let mut not_ready = Vec::new();
    if view.is_closing {
        not_ready.push(Lack { what: "doors", why: "the server stops: logins under way may finish, new ones are not taken".to_owned() });
    }
    let data_dir = view.data_dir.clone();
    let store = tokio::task::spawn_blocking(move || store_lacks(&data_dir)).await;
    if let Some(why) = store.unwrap_or_else(|_| Some("nobody could look".to_owned())) {
        not_ready.push(Lack { what: "store", why });
    }
    let away = away(&view.directories).await;
    if !view.directories.is_empty() && away.len() == view.directories.len() {
        not_ready.push(Lack { what: "directories", why: format!("no server of {} answers", away.join(", ")) });
    }
    let is_ill = |name: &String| metrics::was_just_ill("upstream", name, DOUBT);
    if !view.upstreams.is_empty() && view.upstreams.iter().all(is_ill) {
        not_ready.push(Lack { what: "upstreams", why: format!("no server of {} answers", view.upstreams.join(", ")) });
    }
    Readiness { ready: not_ready.is_empty(), not_ready, away }
}

/// Reads the disk.
fn store_lacks(data_dir: &Path) -> Option<String> {
    if metrics::is_healthy("store", "disk") == Some(false) {
        return Some("the last write failed: the log says why".to_owned());
    }
    let found = match statvfs(data_dir) {
        Ok(found) => found,
        Err(error) => return Some(format!("node.data_dir cannot be looked at: {error}")),
    };
    if found.flags().contains(FsFlags::ST_RDONLY) {
        return Some("the file system of node.data_dir is read-only".to_owned());
    }
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    (free < SPACE_BYTES_MIN).then(|| "less than 16 MiB are free in node.data_dir: nothing is written".to_owned())
}

/// The names of those none of whose servers takes a connection, in their order.
async fn away(directories: &[Arc<dyn Directory>]) -> Vec<String> {
    let mut asked = JoinSet::new();
    for (at, directory) in directories.iter().enumerate() {
        let directory = Arc::clone(directory);
        asked.spawn(async move {
            let answers = matches!(timeout(PROBE, directory.connect()).await, Ok(Ok(_)));
            (at, directory.name().to_owned(), answers)
        });
    }
    let mut away: Vec<(usize, String)> = asked.join_all().await.into_iter().filter(|(_, _, answers)| !answers).map(|(at, name, _)| (at, name)).collect();
    away.sort_unstable();
    away.into_iter().map(|(_, name)| name).collect()
}
