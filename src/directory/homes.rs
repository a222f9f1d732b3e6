//! Whose an id is: of this directory, and not of another one that has the same id in it (M-20).
//!
//! An id is a secret to nobody, and whoever administers a directory can write any entryUUID or objectSid into it. So where there are several directories, an
//! identity is the id *and* the directory. What was stored while there was one alone stays valid: an account that has the bare id is found by it, from its own
//! directory and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PrimaryError;
use crate::ports::Store;

use super::Settings;

/// Which of the directories are the very same one, and which accounts are of which.
#[derive(Clone, Debug)]
pub struct Homes {
    /// Of each section the directory that it is.
    names: BTreeMap<String, String>,
    store: Arc<dyn Store>,
}

impl Homes {
    /// All directories there are.
    #[must_use]
    pub fn new<'s>(all: impl IntoIterator<Item = &'s Settings>, store: Arc<dyn Store>) -> Self {
        let names = all.into_iter().map(|settings| (settings.name.clone(), settings.same_as.clone().unwrap_or_else(|| settings.name.clone())));
        Self { names: names.collect(), store }
    }

    /// Who the object with this id in this directory is.
    ///
    /// # Errors
    /// `Outage` when the store cannot tell.
    pub fn whose(&self, directory: &str, id: String) -> Result<Identity, PrimaryError> {
        let home = self.home(directory);
        let bare = Identity(id);
        let account = |who: &Identity| self.store.standing(who).map(|standing| standing.account).map_err(|_| PrimaryError::Outage(Outage::Store));
        let is_alone = self.names.values().all(|name| name == home);
        let is_ours = account(&bare)?.map(|account| is_alone || account.directory.as_ref().is_some_and(|other| self.home(other) == home));
        if is_ours == Some(true) {
            return Ok(bare);
        }
        let housed = bare.at_home(home);
        // Alone again: who was added while there were several is still who they are.
        let is_bare = is_alone && account(&housed)?.is_none();
        Ok(if is_bare { bare } else { housed })
    }

    /// The directory that a section is. One that is gone is itself, until another says that it is the same.
    fn home<'n>(&'n self, directory: &'n str) -> &'n str {
        self.names.get(directory).map_or(directory, String::as_str)
    }
}
