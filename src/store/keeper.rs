//! The store as its keeper sees it.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::StoreError;
use crate::ports::keep::Keep;
use crate::ports::keep::Outgoing;
use crate::ports::keep::Rekeyed;

use super::Vault;
use super::backup::Backup;
use super::rekey::Rekey;

/// Takes the store along and seals it anew.
#[derive(Debug)]
pub struct Keeper {
    vault: Arc<Vault>,
    rekey: Mutex<Option<Rekey>>,
}

impl Keeper {
    /// Of this store.
    #[must_use]
    pub fn new(vault: Arc<Vault>) -> Self {
        Self { vault, rekey: Mutex::default() }
    }
}

#[async_trait]
impl Keep for Keeper {
    async fn backup(&self, key: &Secret, node: &str, now: Timestamp) -> Result<Box<dyn Outgoing>, StoreError> {
        Ok(Box::new(Backup::begin(Arc::clone(&self.vault), key, node, now).await?))
    }

    async fn begin_rekey(&self) -> Result<Rekeyed, StoreError> {
        let mut rekey = self.rekey.lock().await;
        Ok(rekey.insert(Rekey::begin(&self.vault).await?).told(&self.vault))
    }

    async fn rekey(&self) -> Result<Rekeyed, StoreError> {
        let mut rekey = self.rekey.lock().await;
        let running = rekey.as_mut().ok_or_else(|| StoreError::Io("nobody has begun to seal it anew".into()))?;
        running.step(&self.vault).await?;
        Ok(running.told(&self.vault))
    }

    fn counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let head = self.vault.shelf.disk()?.head()?;
        let counts = head.counts;
        let log = head.last.saturating_add(1).saturating_sub(head.first);
        Ok(vec![
            ("accounts", counts.accounts),
            ("backup_codes", counts.backups),
            ("bypasses", counts.bypasses),
            ("changes", log),
            ("key_epoch", u64::from(self.vault.shelf.seal().newest())),
            ("pins", counts.pins),
            ("tokens", counts.tokens),
            ("tries", counts.tries),
        ])
    }
}
