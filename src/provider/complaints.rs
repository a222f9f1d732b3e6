//! What the operator must do, told once and not at every login.

use std::sync::Mutex;
use std::sync::PoisonError;

use tracing::debug;
use tracing::error;
use tracing::info;

use super::http::Failure;
use crate::domain::FactorError;

/// The complaints about one provider.
#[derive(Debug)]
pub(super) struct Complaints {
    provider: String,
    /// The one last told.
    told: Mutex<Option<String>>,
}

impl Complaints {
    /// About the provider of this name; there are none yet.
    pub(super) fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned(), told: Mutex::default() }
    }

    /// It cannot be used, and why: `code` in its own words or ours, `remedy` for the operator.
    pub(super) fn misconfigured(&self, code: &str, remedy: &str) -> FactorError {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_deref() == Some(code) {
            debug!(provider = %self.provider, ?code, remedy, "the provider still cannot be used");
        } else {
            error!(provider = %self.provider, ?code, remedy, "the provider cannot be used: nobody gets in by it");
            *told = Some(code.chars().take(CODE_CHARS_MAX).collect());
        }
        FactorError::Misconfigured
    }

    /// What a failure of the wire means: whom we cannot trust or understand is the operator's to mend.
    pub(super) fn failed(&self, failure: Failure, remedy: &str) -> FactorError {
        match failure.into() {
            FactorError::Misconfigured => self.misconfigured(failure.as_str(), remedy),
            error => error,
        }
    }

    /// It answered as it should.
    pub(super) fn forget(&self) {
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            info!(provider = %self.provider, "the provider answers as it should again");
        }
    }
}

const CODE_CHARS_MAX: usize = 64;
