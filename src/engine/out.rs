//! A question that is out on somebody's phone: taken back when nobody holds it any more, whatever the reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::domain::Choice;
use crate::domain::Ticket;
use crate::ports::Provider;

/// How long taking a question back may go on after the login is over.
const CANCEL_WITHIN: Duration = Duration::from_secs(10);

/// Whoever holds it waits for the answer. Dropped unanswered, it is taken back.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) choice: Choice,
    pub(super) ticket: Ticket,
    /// It must be answered with a number that the person was shown.
    pub(super) numbered: bool,
    provider: Option<Arc<dyn Provider>>,
}

impl Out {
    pub(super) fn new(provider: Arc<dyn Provider>, choice: Choice, ticket: Ticket, numbered: bool) -> Self {
        Self { choice, ticket, numbered, provider: Some(provider) }
    }

    /// It was answered or has run out: there is nothing to take back.
    pub(super) fn settle(mut self) {
        self.provider = None;
    }

    /// Whom to ask how it stands, and by which name; nothing where it is settled.
    pub(super) fn question(&self) -> Option<(&Arc<dyn Provider>, &Ticket)> {
        self.provider.as_ref().map(|provider| (provider, &self.ticket))
    }

    pub(super) fn is_by(&self, provider: &Arc<dyn Provider>) -> bool {
        self.provider.as_ref().is_some_and(|ours| Arc::ptr_eq(ours, provider))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // Without a runtime we are ending ourselves, and nothing can be sent any more.
        if let (Some(provider), Ok(runtime)) = (self.provider.take(), Handle::try_current()) {
            let ticket = self.ticket.clone();
            runtime.spawn(async move { tokio::time::timeout(CANCEL_WITHIN, provider.cancel(&ticket)).await });
        }
    }
}
