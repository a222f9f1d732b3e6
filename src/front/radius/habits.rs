//! The habits of a client: what its figures mean, and what to change.

use std::time::Duration;

use super::Client;
use super::census::Card;
use crate::wire::radius::Integrity;

/// What a client was seen to do since the server began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Habits {
    /// For how long somebody has looked.
    pub watched_for: Duration,
    /// How long ago it was last heard; `None` is never.
    pub last_seen: Option<Duration>,
    /// Verified requests of any kind, copies included.
    pub requests: u64,
    /// Access-Requests among them: all figures below are about these.
    pub asked: u64,
    /// Without Message-Authenticator, and taken.
    pub unsigned: u64,
    /// Without Message-Authenticator, and dropped because of that; of clients that share a network the first has them all. Anybody can have sent them.
    pub unsigned_dropped: u64,
    /// With Proxy-State.
    pub proxied: u64,
    /// Sent again.
    pub copies: u64,
    /// Logins let in.
    pub accepts: u64,
    /// Questions asked.
    pub challenges: u64,
    /// Logins that nobody could decide.
    pub drops: u64,
    /// Logins refused.
    pub rejects: u64,
    /// From a request to its first copy: the middle one of the last 32.
    pub resends_every: Option<Duration>,
    /// After how long it was no more waiting for us: the middle one of the last 32.
    pub gives_up_after: Option<Duration>,
}

/// Whether a client signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    /// Every request.
    Always,
    /// None.
    Never,
    /// Some.
    Sometimes,
    /// It sent nothing yet.
    Unseen,
}

impl Habits {
    /// Whether it signs.
    #[must_use]
    pub fn signs(&self) -> Signs {
        let (signed, unsigned) = self.signed_and_not();
        match (signed, unsigned) {
            (0, 0) => Signs::Unseen,
            (0, _) => Signs::Never,
            (_, 0) => Signs::Always,
            _ => Signs::Sometimes,
        }
    }

    /// How many of a hundred requests are signed, dropped ones counted; rounded down, so that 100 means all.
    #[must_use]
    pub fn signed_percent(&self) -> Option<u64> {
        let (signed, unsigned) = self.signed_and_not();
        signed.saturating_mul(100).checked_div(signed.saturating_add(unsigned))
    }

    fn signed_and_not(&self) -> (u64, u64) {
        (self.asked.saturating_sub(self.unsigned), self.unsigned.saturating_add(self.unsigned_dropped))
    }

    /// What to change, in plain words.
    #[must_use]
    pub fn advice(&self, client: &Client) -> Vec<String> {
        let about = [self.on_signing(client.integrity), self.on_proxies(), self.on_patience(client.patience), self.on_profile(&client.card)];
        about.into_iter().flatten().collect()
    }

    /// One word about `integrity`, for a table.
    #[must_use]
    pub fn verdict(&self, integrity: Integrity) -> &'static str {
        match (self.signs(), integrity) {
            (Signs::Unseen, _) => "unseen",
            (Signs::Never, _) => "never signs",
            (Signs::Sometimes, _) => "signs some",
            (Signs::Always, Integrity::Require) => "signs",
            (Signs::Always, Integrity::Observe | Integrity::Optional) => "may be set to require",
        }
    }

    fn on_signing(&self, integrity: Integrity) -> Option<String> {
        let percent = self.signed_percent().unwrap_or_default();
        match (self.signs(), integrity) {
            (Signs::Unseen, _) | (Signs::Always, Integrity::Require) => None,
            (Signs::Always, _) => Some("it signs every request: integrity = \"require\" costs nothing and keeps forgers out".to_owned()),
            (Signs::Never, Integrity::Require) => Some(
                "it never signs, so nothing it sends is taken: switch Message-Authenticator on there or update it; integrity = \"observe\" takes it meanwhile"
                    .to_owned(),
            ),
            (Signs::Never, _) => Some("it never signs: integrity = \"require\" would drop all it sends; look for an update of the NAS".to_owned()),
            (Signs::Sometimes, Integrity::Require) => Some(format!(
                "{} unsigned requests were dropped: is there an older NAS at one of its addresses, or somebody who forges?",
                self.unsigned_dropped
            )),
            (Signs::Sometimes, _) => Some(format!(
                "it signs {percent} % of its requests: integrity = \"require\" would drop the rest; is there an older NAS at one of its addresses?"
            )),
        }
    }

    fn on_proxies(&self) -> Option<String> {
        (self.proxied > 0).then(|| "it sends Proxy-State, which a NAS does not: if it is no proxy, somebody may be between us".to_owned())
    }

    /// Whether it waits as long as it is said to.
    fn on_patience(&self, patience: Duration) -> Option<String> {
        let after = self.gives_up_after?;
        let written = humantime::format_duration(patience);
        let every = self.resends_every.map(|every| format!("resends every {} and ", told(every))).unwrap_or_default();
        if after.saturating_add(Duration::from_secs(1)) < patience {
            let least = after.as_secs().max(5);
            return Some(format!(
                "patience = \"{written}\", but it {every}stopped after {}: raise the timeout or the number of tries of the NAS, or write patience = \"{least}s\"",
                told(after)
            ));
        }
        (after > patience.saturating_mul(2))
            .then(|| format!("patience = \"{written}\", but it waits {}: there is more time for people than they get", told(after)))
    }

    /// Whether it sends again as its kind does as shipped.
    fn on_profile(&self, card: &Card) -> Option<String> {
        let (every, usual, profile) = (self.resends_every?, card.retransmits?, card.profile.as_deref()?);
        let (short, long) = (every.min(usual), every.max(usual));
        (long > short.saturating_mul(2)).then(|| {
            format!("it resends every {}, where a {profile} as shipped does every {}: is the timer meant, and the profile right?", told(every), told(usual))
        })
    }
}

/// To a tenth of a second.
fn told(time: Duration) -> String {
    let tenths = time.as_millis().saturating_add(50) / 100;
    format!("{}.{} s", tenths / 10, tenths % 10).replace(".0 s", " s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_a_tenth() {
        assert_eq!([2_949, 3_000, 40].map(|ms| told(Duration::from_millis(ms))), ["2.9 s", "3 s", "0 s"]);
    }
}
