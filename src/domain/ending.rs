//! How a login ended, for those who must account for it: what stands in the audit, whatever the person was told.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::account::Identity;
use super::account::Timestamp;
use super::change::Change;
use super::decision::Denial;
use super::decision::FactorError;
use super::request::Door;
use super::request::Trace;
use super::rules::Choice;
use super::rules::Method;

/// One login, told at its end. No secret is in it, and nothing a person typed but the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When it ended.
    pub at: Timestamp,
    /// What it is called.
    pub trace: Trace,
    /// The door.
    pub door: Door,
    /// The client's name in the configuration.
    pub client: String,
    /// The name as typed.
    pub login: String,
    /// Who it turned out to be, as far as that is known.
    pub identity: Option<Identity>,
    /// Where the person is, as far as the client is trusted to tell.
    pub source: Option<IpAddr>,
    /// The policy's name.
    pub policy: String,
    /// What became of it.
    pub fate: Fate,
    /// Why: the word of a grant, a denial or an outage; where the client gave up, how far the login was.
    pub why: &'static str,
    /// What the first or the second factor said last, where it refused.
    pub detail: Option<&'static str>,
    /// How the person was asked last, and by whom.
    pub asked: Option<Choice>,
    /// What happened on the way, at most [`Trail::STEPS_MAX`].
    pub steps: Vec<Step>,
    /// Milliseconds it took.
    pub ms: u32,
    /// Milliseconds this client was taken to wait in its last round.
    pub within_ms: u32,
    /// How often the client asked the same again while the login ran.
    pub repeats: u32,
    /// Milliseconds from the beginning after which the client was last heard of.
    pub heard_ms: u32,
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Let in.
    Accept,
    /// Silence: it was we who could not decide.
    Drop,
    /// The client stopped waiting.
    GivenUp,
    /// Refused.
    Reject,
}

impl Fate {
    /// The word in log and audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::GivenUp => "given_up",
            Self::Reject => "reject",
        }
    }
}

/// Something that happened on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds from the beginning.
    pub ms: u32,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The person answered a question of ours.
    Answered,
    /// The second factor said yes.
    Approved,
    /// A backup code stood in for it.
    BackedUp,
    /// The person was asked something at the client: for a code, or to look at the phone.
    Challenged,
    /// The second factor could not be used, or said no.
    Failed(FactorError),
    /// The first factor passed.
    Proven,
    /// The second factor was asked for by this method.
    Started(Method),
}

impl What {
    /// The second factor passed, and uses this up.
    #[must_use]
    pub fn passed(spend: Option<&Change>) -> Self {
        if matches!(spend, Some(Change::UseBackup { .. })) { Self::BackedUp } else { Self::Approved }
    }

    /// The word in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Approved => "approved",
            Self::BackedUp => "backup_code",
            Self::Challenged => "challenged",
            Self::Failed(error) => error.as_str(),
            Self::Proven => "first_passed",
            Self::Started(Method::Call) => "call",
            Self::Started(Method::Email) => "email",
            Self::Started(Method::Oath) => "oath",
            Self::Started(Method::Push) => "push",
            Self::Started(Method::Text) => "text",
        }
    }
}

/// What happened on the way so far. Small: there may be very many who wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trail(Vec<Step>);

impl Trail {
    /// More than any login of a person's needs; what comes after them is left out.
    pub const STEPS_MAX: usize = 24;

    /// One more.
    pub fn note(&mut self, ms: u32, what: What) {
        if self.0.len() < Self::STEPS_MAX {
            self.0.reserve_exact(1);
            self.0.push(Step { ms, what });
        }
    }

    /// All of them.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.0
    }
}

impl Ending {
    /// The end of an answer to a RADIUS challenge that is not open.
    #[must_use]
    pub fn out_of_turn(at: Timestamp, trace: Trace, client: &str, login: &str) -> Self {
        Self {
            at,
            trace,
            door: Door::Radius,
            client: client.to_owned(),
            login: login.to_owned(),
            identity: None,
            source: None,
            policy: String::new(),
            fate: Fate::Reject,
            why: Denial::OutOfTurn.as_str(),
            detail: Some("no_such_challenge"),
            asked: None,
            steps: Vec::new(),
            ms: 0,
            within_ms: 0,
            repeats: 0,
            heard_ms: 0,
        }
    }

    /// Milliseconds after which the first factor had passed.
    #[must_use]
    pub fn first_ms(&self) -> Option<u32> {
        self.steps.iter().find(|step| step.what == What::Proven).map(|step| step.ms)
    }

    /// Milliseconds from the first question for the second factor to the last word about it.
    #[must_use]
    pub fn second_ms(&self) -> Option<u32> {
        let start = self.steps.iter().find(|step| matches!(step.what, What::Started(_)))?.ms;
        let end = self.steps.iter().rfind(|step| matches!(step.what, What::Approved | What::BackedUp | What::Failed(_))).map_or(self.ms, |step| step.ms);
        Some(end.saturating_sub(start))
    }

    /// The name of the provider asked last.
    #[must_use]
    pub fn provider(&self) -> Option<&Arc<str>> {
        self.asked.as_ref().map(|asked| &asked.provider)
    }

    /// What Azure Multi-Factor Authentication Server called such an end, where it knew one: reports that people have go on working. (Its words of success with
    /// a failure inside, "the call was made", are kept as they were.)
    #[must_use]
    pub fn result(&self) -> Option<&'static str> {
        let method = self.asked.as_ref().map(|asked| asked.method);
        let fallback = self.steps.iter().any(|step| matches!(step.what, What::Failed(_)));
        match self.fate {
            Fate::Accept => success(self.why, method, fallback),
            Fate::Reject => failure(self.why, self.detail, method),
            Fate::GivenUp => Some("FAILED_AUTH_RESULT_TIMEOUT"),
            Fate::Drop => Some("FAILED_SERVER_ERROR"),
        }
    }
}

fn success(why: &str, method: Option<Method>, fallback: bool) -> Option<&'static str> {
    match (why, method) {
        ("bypass", _) => Some("SUCCESS_BYPASSED_AUTH"),
        ("remembered" | "joined", _) => Some("SUCCESS_USED_CACHE"),
        ("factor", Some(Method::Push)) => Some("SUCCESS_PHONE_APP_AUTHENTICATED"),
        ("factor", Some(Method::Call)) => Some("SUCCESS_NO_PIN"),
        ("factor", Some(Method::Text)) => Some("SUCCESS_SMS_AUTHENTICATED"),
        ("factor", Some(Method::Oath)) if fallback => Some("SUCCESS_FALLBACK_OATH_CODE_VERIFIED"),
        ("factor", Some(Method::Oath)) => Some("SUCCESS_OATH_CODE_VERIFIED"),
        _ => None,
    }
}

fn failure(why: &str, detail: Option<&str>, method: Option<Method>) -> Option<&'static str> {
    match (why, method) {
        ("blocked", _) => Some("SUCCESS_USER_BLOCKED"),
        ("fraud_reported", Some(Method::Call)) => Some("FAILED_FRAUD_CODE_ENTERED"),
        ("fraud_reported", _) => Some("FAILED_FRAUD_REPORTED"),
        ("bad_code", Some(Method::Text)) => Some("FAILED_SMS_OTP_INCORRECT"),
        ("bad_code", _) => Some("FAILED_OATH_CODE_INCORRECT"),
        ("pin_expired", _) => Some("SUCCESS_PIN_EXPIRED"),
        ("factor_denied", Some(Method::Call)) => Some("FAILED_USER_HUNGUP_ON_US"),
        ("factor_denied", _) => Some("FAILED_PHONE_APP_DENIED"),
        ("no_answer", Some(Method::Push)) => Some("FAILED_PHONE_APP_NO_RESPONSE"),
        ("no_answer", Some(Method::Call)) => Some("CONFIG_ISSUE"),
        ("no_answer", Some(Method::Oath)) => Some("FAILED_OATH_TOKEN_TIMEOUT"),
        ("no_answer", _) => Some("FAILED_AUTH_RESULT_TIMEOUT"),
        ("out_of_turn", _) => Some("FAILED_PHONE_BUSY"),
        ("pushes_spent", _) => Some("FAILED_AUTHENTICATION_THROTTLED"),
        ("factor_unavailable", _) if detail == Some("throttled") => Some("FAILED_AUTHENTICATION_THROTTLED"),
        ("factor_unavailable", Some(Method::Text)) => Some("FAILED_SMS_NOT_SENT"),
        ("factor_unavailable", Some(Method::Push)) => Some("FAILED_PHONE_APP_NOTIFICATION_FAILED"),
        ("factor_unavailable", _) => Some("FAILED_SERVER_ERROR"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(fate: Fate, why: &'static str, method: Option<Method>, steps: &[(u32, What)]) -> Ending {
        Ending {
            at: Timestamp(0),
            trace: Trace(1),
            door: Door::Radius,
            client: "vpn".into(),
            login: "alice".into(),
            identity: None,
            source: None,
            policy: "vpn".into(),
            fate,
            why,
            detail: None,
            asked: method.map(|method| Choice::new(method, "duo")),
            steps: steps.iter().map(|(ms, what)| Step { ms: *ms, what: *what }).collect(),
            ms: 9_000,
            within_ms: 60_000,
            repeats: 0,
            heard_ms: 0,
        }
    }

    #[test]
    fn what_the_old_server_called_it() {
        let told = |fate, why, method| ending(fate, why, method, &[]).result();
        assert_eq!(told(Fate::Accept, "factor", Some(Method::Push)), Some("SUCCESS_PHONE_APP_AUTHENTICATED"));
        assert_eq!(told(Fate::Accept, "bypass", None), Some("SUCCESS_BYPASSED_AUTH"));
        assert_eq!(told(Fate::Accept, "unenrolled", None), None);
        assert_eq!(told(Fate::Reject, "bad_code", Some(Method::Text)), Some("FAILED_SMS_OTP_INCORRECT"));
        assert_eq!(told(Fate::Reject, "no_answer", Some(Method::Push)), Some("FAILED_PHONE_APP_NO_RESPONSE"));
        assert_eq!(told(Fate::Reject, "bad_credential", None), None);
        let fallback = ending(Fate::Accept, "factor", Some(Method::Oath), &[(5, What::Failed(FactorError::Unreachable))]);
        assert_eq!(fallback.result(), Some("SUCCESS_FALLBACK_OATH_CODE_VERIFIED"));
    }

    #[test]
    fn the_time_of_each_factor_is_its_own() {
        let steps = [(12, What::Proven), (13, What::Started(Method::Push)), (8_013, What::Approved)];
        let told = ending(Fate::Accept, "factor", Some(Method::Push), &steps);
        assert_eq!((told.first_ms(), told.second_ms()), (Some(12), Some(8_000)));
        let never = ending(Fate::Reject, "no_answer", Some(Method::Push), &steps[..2]);
        assert_eq!(never.second_ms(), Some(8_987));
        assert_eq!(ending(Fate::Reject, "locked", None, &[]).second_ms(), None);
    }

    #[test]
    fn a_trail_has_an_end() {
        let mut trail = Trail::default();
        (0..100).for_each(|ms| trail.note(ms, What::Challenged));
        assert_eq!(trail.into_steps().len(), Trail::STEPS_MAX);
    }
}
