//! How a question at Duo stands: polls that last until there is news, and brief ones.

use reqwest::Method as Verb;

use super::Duo;
use super::answer::Ping;
use super::answer::Status;
use super::wire::Params;
use super::wire::Trouble;
use crate::domain::FactorError;
use crate::domain::Progress;
use crate::domain::Ticket;
use crate::provider::line::Look;
use crate::provider::watch::a_little_later;

impl Duo {
    /// A look that must be brief is broken off when there is no answer: Duo keeps us waiting while it has nothing to tell, and others want to look too.
    pub(super) async fn look(&self, look: &Look, ticket: &Ticket) -> Result<Progress, FactorError> {
        if look.patient {
            return self.poll(ticket).await;
        }
        tokio::time::timeout(self.wire.http().brief(), self.poll(ticket)).await.unwrap_or_else(|_| {
            self.line.charge(self.wire.http().broken_off());
            Ok(Progress::Pending(ticket.clone()))
        })
    }

    async fn poll(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let params = Params::from([("txid", &*ticket.0)]);
        match self.wire.sent::<Status>(Verb::GET, "/auth/v2/auth_status", &params, Some(self.poll_max)).await {
            Ok(status) => status.of_question(ticket),
            Err(Trouble::Refused(POLL_RAN_OUT)) => Ok(Progress::Pending(ticket.clone())),
            // A poll that broke off proves nothing: somebody who just does not answer his phone makes polls run out, here or in a box between. Only a
            // server that does not answer a ping either is unreachable.
            Err(Trouble::Factor(FactorError::Faltering | FactorError::Unreachable)) => {
                self.wire.ask::<Ping>(Verb::GET, "/auth/v2/ping", &Params::new()).await.map(|_| Progress::Pending(ticket.clone()))
            }
            Err(trouble) => match self.wire.blame(&trouble) {
                // That we look too often says nothing of the question, which is still out.
                FactorError::Throttled => a_little_later(Progress::Pending(ticket.clone())).await,
                error => Err(error),
            },
        }
    }
}

/// Said of a poll that ended without news (and of a transaction that is unknown: then the login's own deadline ends it).
const POLL_RAN_OUT: u32 = 40_002;
