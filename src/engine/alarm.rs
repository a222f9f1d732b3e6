//! What somebody should look at now: said loudly and counted. Whoever is to be told by mail is told from here.

use super::Engine;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Flow;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::metrics;

/// What there is to look at.
#[derive(Clone, Copy, Debug)]
enum Alarm {
    /// Somebody was let in because no provider could be reached.
    FailOpen,
    /// A person says that a login is not theirs.
    Fraud,
}

impl Alarm {
    fn of(decision: &Decision) -> Option<Self> {
        match decision {
            Decision::Accept(permit) if permit.why() == Grant::FailOpen => Some(Self::FailOpen),
            Decision::Reject(Denial::FraudReported) => Some(Self::Fraud),
            _ => None,
        }
    }

    /// The word in log and metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::FailOpen => "fail_open",
            Self::Fraud => "fraud_reported",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::FailOpen => "somebody was let in by the first factor alone: no provider can be reached, and the policy is open then",
            Self::Fraud => "a person says that this login is not theirs: whoever tried it has the password",
        }
    }
}

impl Engine {
    /// The end of a login, where it is one that somebody should look at.
    pub(super) fn alarm(&self, flow: &Flow, identity: Option<&Identity>, decision: &Decision) {
        let Some(alarm) = Alarm::of(decision) else { return };
        metrics::alarm(alarm.as_str());
        let request = flow.request();
        tracing::warn!(
            alarm = alarm.as_str(),
            client = request.client,
            login = ?request.login,
            identity = identity.map(|identity| identity.0.as_str()),
            source = request.source.map(tracing::field::display),
            policy = flow.rules().name,
            at = self.clock.now().0,
            "{}",
            alarm.words()
        );
    }
}
