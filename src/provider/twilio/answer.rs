//! Shapes of Twilio's answers. What is not exactly of these shapes is no answer.

use serde::Deserialize;

use crate::domain::FactorError;
use crate::domain::Progress;

/// A verification: begun, or checked.
#[derive(Debug, Deserialize)]
pub(super) struct Verification {
    sid: String,
    service_sid: String,
    to: String,
    channel: String,
    status: String,
    valid: bool,
}

/// Every refusal.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) code: u32,
}

/// What a verification must be of, to be ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours<'a> {
    pub(super) service: &'a str,
    pub(super) to: &'a str,
    pub(super) channel: &'a str,
}

impl Verification {
    /// The name of one that was begun as we asked; `None` for any other.
    pub(super) fn begun(&self, ours: Ours<'_>) -> Option<&str> {
        let waits = self.status == "pending" && !self.valid;
        (self.is(ours) && waits && is_sid("VE", &self.sid)).then_some(&*self.sid)
    }

    /// What became of a code; `None` where it speaks of another verification, service, person or way (M-12, M-13).
    pub(super) fn checked(&self, ours: Ours<'_>, sid: &str) -> Option<Result<Progress, FactorError>> {
        (self.is(ours) && self.sid == sid).then(|| match (self.status.as_str(), self.valid) {
            // Both must say so: a contradiction is no approval.
            ("approved", true) => Ok(Progress::Allowed { spend: None }),
            ("max_attempts_reached", _) => Err(FactorError::Locked),
            ("canceled" | "deleted" | "expired", _) => Err(FactorError::Expired),
            _ => Err(FactorError::BadCode),
        })
    }

    fn is(&self, ours: Ours<'_>) -> bool {
        self.service_sid == ours.service && self.to == ours.to && self.channel == ours.channel
    }
}

/// Whether it is one of Twilio's names: two letters for its kind and 32 hexadecimal digits.
pub(super) fn is_sid(kind: &str, text: &str) -> bool {
    text.strip_prefix(kind).is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Ours<'static> = Ours { service: "VA1", to: "+491", channel: "sms" };
    const SID: &str = "VE0123456789abcdef0123456789abcdef";

    fn verification(status: &str, valid: bool) -> Verification {
        Verification { sid: SID.into(), service_sid: "VA1".into(), to: "+491".into(), channel: "sms".into(), status: status.into(), valid }
    }

    #[test]
    fn one_pair_of_words_approves_and_no_other() {
        let words = ["approved", "pending", "APPROVED", "approved ", "canceled", "max_attempts_reached", "deleted", "failed", "expired", "quantum", ""];
        for (word, valid) in words.into_iter().flat_map(|word| [(word, true), (word, false)]) {
            let outcome = verification(word, valid).checked(OURS, SID).unwrap();
            assert_eq!(outcome.is_ok(), (word, valid) == ("approved", true), "{word} {valid}: {outcome:?}");
        }
    }

    #[test]
    fn m_12_what_is_about_anything_else_is_no_answer() {
        let other = |change: fn(&mut Verification)| {
            let mut one = verification("approved", true);
            change(&mut one);
            one.checked(OURS, SID)
        };
        assert!(other(|_| {}).is_some());
        assert_eq!(other(|one| one.sid = "VEffffffffffffffffffffffffffffffff".into()), None);
        assert_eq!(other(|one| one.service_sid = "VA2".into()), None);
        assert_eq!(other(|one| one.to = "+492".into()), None);
        assert_eq!(other(|one| one.channel = "email".into()), None);
        assert_eq!(verification("approved", true).begun(OURS), None);
        assert_eq!(verification("pending", false).begun(OURS), Some(SID));
    }
}
