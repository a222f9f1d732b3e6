//! `[audit]`: where the account of logins lies, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use crate::audit::Settings;
use crate::store;

use super::reader::Section;
use super::rooms::seconds;
use super::secret::Sources;

/// A bit more than a year: long enough to look back at the same month.
const KEEP: Duration = seconds(400 * DAY_S);
const DAY_S: u64 = 24 * 60 * 60;

/// What the section says; without one the audit lies beside the store.
pub(super) fn audit(file: &Section<'_>, sources: &Sources) -> (Option<PathBuf>, Duration) {
    let read = |audit: &Section<'_>| {
        let folder = audit.find("folder").and_then(|value| sources.path(&value));
        let keep = audit.find("keep").and_then(|value| {
            let keep = value.duration(seconds(0)..=seconds(36_500 * DAY_S))?;
            if !keep.is_zero() && keep < seconds(DAY_S) {
                value.error("is less than a day", Some("write \"400d\", or \"0s\" for ever"));
            }
            Some(keep)
        });
        Some((folder, keep.unwrap_or(KEEP)))
    };
    file.find("audit").and_then(|value| value.table(read)).unwrap_or((None, KEEP))
}

/// As the room wants it.
pub(super) fn settings((folder, keep): (Option<PathBuf>, Duration), node: &str, store: &store::Settings) -> Settings {
    Settings {
        folder: folder.unwrap_or_else(|| store.data_dir.join("audit")),
        node: node.to_owned(),
        master_key: store.master_key.clone(),
        keep_days: u32::try_from(keep.as_secs() / DAY_S).unwrap_or(u32::MAX),
    }
}
