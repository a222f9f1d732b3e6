//! What somebody should look at now: said loudly and counted. Whoever is to be told by mail is told from here.

use super::Engine;
use crate::domain::Asking;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Flow;
use crate::domain::Grant;
use crate::domain::Identity;
use crate::metrics;

/// What there is to look at.
#[derive(Clone, Copy, Debug)]
enum Alarm {
    /// A fraud that a person reported is not on disk.
    BlockUnwritten,
    /// A person's phone has rung in vain as often as a day allows.
    DaySpent,
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
            Self::BlockUnwritten => "block_unwritten",
            Self::DaySpent => "pushes_day_spent",
            Self::FailOpen => "fail_open",
            Self::Fraud => "fraud_reported",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BlockUnwritten => "a block cannot be written: it holds while this program runs, and is written again with the next login",
            Self::DaySpent => {
                "a phone rang as often in a day as the policy allows, and nothing was approved: whoever has no other method stays out until then, or until `vestibule user unlock`"
            }
            Self::FailOpen => "somebody was let in by the first factor alone: no provider can be reached, and the policy is open then",
            Self::Fraud => "a person says that this login is not theirs: whoever tried it has the password",
        }
    }
}

impl Engine {
    /// A person is rung no more today.
    pub(super) fn alarm_of_day(&self, asking: &Asking) {
        let alarm = Alarm::DaySpent;
        metrics::alarm(alarm.as_str());
        let source = asking.source.map(tracing::field::display);
        let Asking { identity, account, client, .. } = asking;
        tracing::warn!(alarm = alarm.as_str(), client, account = ?account.name, identity = ?identity.0, source, at = self.clock.now().0, "{}", alarm.words());
    }

    /// What a person reported is not on disk.
    pub(super) fn alarm_of_block(&self, who: &Identity) {
        let alarm = Alarm::BlockUnwritten;
        metrics::alarm(alarm.as_str());
        tracing::error!(alarm = alarm.as_str(), identity = ?who.0, at = self.clock.now().0, "{}", alarm.words());
    }

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
