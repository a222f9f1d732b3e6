//! Service accounts that need no second factor: by whose they are and until when, never by what was typed (L-082, M-46).

use super::account::Identity;
use super::account::Tally;
use super::account::Timestamp;
use super::request::AuthRequest;

/// One account that is let in by the first factor alone where this login came from. The door has seen to the where: the network, and the certificate if one is
/// demanded. Whose login it is and whether the time is over, the flow decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// Whose.
    pub who: Identity,
    /// Of which directory: another may have the same id in it.
    pub directory: String,
    /// Good before this moment.
    pub until: Timestamp,
}

impl AuthRequest {
    /// Which count of this identity's failures the login is held to, and raises.
    #[must_use]
    pub fn tally(&self, now: Timestamp, who: &Identity) -> Tally {
        if self.exempt.iter().any(|exempt| exempt.holds(now, who)) { Tally::Exempt } else { Tally::Common }
    }
}

impl Exempt {
    /// Whether it lets `proven` in now.
    #[must_use]
    pub fn holds(&self, now: Timestamp, proven: &Identity) -> bool {
        self.who == *proven && now < self.until
    }
}
