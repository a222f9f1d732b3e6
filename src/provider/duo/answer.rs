//! Shapes of Duo's answers. What is not exactly of these shapes is no answer.

use serde::Deserialize;

use crate::domain::FactorError;
use crate::domain::Number;
use crate::domain::Progress;
use crate::domain::Ticket;
use crate::provider::object::Object;

/// Every answer's outside.
#[derive(Debug, Deserialize)]
pub(super) struct Envelope<T> {
    pub(super) stat: String,
    pub(super) response: Option<Object<T>>,
    pub(super) code: Option<u32>,
    pub(super) message: Option<String>,
}

/// `/auth/v2/preauth`.
#[derive(Debug, Deserialize)]
pub(super) struct Preauth {
    pub(super) result: String,
    #[serde(default)]
    devices: Vec<Object<Device>>,
    /// Of a push that is answered with a number, both of them.
    txid: Option<String>,
    verification_code: Option<Digits>,
    /// Where the person would enrol; it has a secret in it.
    pub(super) enroll_portal_url: Option<String>,
}

/// A number in either form in which JSON has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Digits {
    Number(u32),
    Text(String),
}

/// It answers a push: nobody reads it in a log.
impl std::fmt::Debug for Digits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digits(..)")
    }
}

#[derive(Debug, Deserialize)]
struct Device {
    device: Option<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl Preauth {
    /// The first device that can do this: of `ours` where there are any, in their order, else in Duo's.
    pub(super) fn device(&self, capability: &str, ours: &[&str]) -> Option<&str> {
        let able = self.devices.iter().filter(|Object(device)| device.capabilities.iter().any(|one| one == capability));
        let mut able = able.filter_map(|Object(device)| device.device.as_deref());
        if ours.is_empty() {
            return able.next();
        }
        let able: Vec<&str> = able.collect();
        ours.iter().find_map(|wanted| able.iter().find(|one| *one == wanted).copied())
    }

    /// The push that is about to go out, and its number.
    pub(super) fn number(&self) -> Option<(&str, Number)> {
        let number = match self.verification_code.as_ref()? {
            Digits::Number(number) => Number::new(&number.to_string()),
            Digits::Text(digits) => Number::new(digits),
        };
        self.txid.as_deref().zip(number)
    }
}

/// `/auth/v2/auth` with `async`.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    pub(super) txid: String,
}

/// `/auth/v2/auth` without, and `/auth/v2/auth_status`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    result: String,
    status: Option<String>,
}

/// `/auth/v2/ping` and `/auth/v2/check`: that it comes, and Duo's clock.
#[derive(Debug, Deserialize)]
pub(super) struct Ping {
    /// Seconds since 1970.
    pub(super) time: u64,
}

impl Status {
    /// How a question stands. Duo adds words over time: one that is not known here has not approved.
    pub(super) fn of_question(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        match (self.result.as_str(), self.status.as_deref()) {
            ("waiting", _) => Ok(Progress::Pending(ticket.clone())),
            ("deny", Some("timeout")) => Err(FactorError::Expired),
            _ => self.decided().unwrap_or(Ok(Progress::Denied { fraud: false })),
        }
    }

    /// What became of a code.
    pub(super) fn of_code(&self) -> Result<Progress, FactorError> {
        self.decided().unwrap_or(Err(FactorError::BadCode))
    }

    /// What became of passcodes that were to go out by text: that is no approval yet, and nothing in it can be one. `None`: nothing we understand.
    pub(super) fn of_text(&self) -> Option<Result<Progress, FactorError>> {
        match (self.result.as_str(), self.status.as_deref()) {
            ("deny", Some("sent")) => Some(Ok(Progress::CodeNeeded { ticket: None })),
            ("deny", Some("locked_out")) => Some(Err(FactorError::Locked)),
            ("deny", _) => Some(Ok(Progress::Denied { fraud: false })),
            _ => None,
        }
    }

    /// `None`: a plain no, or nothing we understand.
    fn decided(&self) -> Option<Result<Progress, FactorError>> {
        match (self.result.as_str(), self.status.as_deref()) {
            // Both words must say so: `allow` with `fraud` is a contradiction, and a contradiction is no approval.
            ("allow", Some("allow")) => Some(Ok(Progress::Allowed { spend: None })),
            ("allow", Some("bypass")) => Some(Ok(Progress::Waived)),
            ("deny", Some("fraud")) => Some(Ok(Progress::Denied { fraud: true })),
            ("deny", Some("locked_out")) => Some(Err(FactorError::Locked)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Result<Progress, FactorError> = Ok(Progress::Allowed { spend: None });

    fn status(result: &str, status: Option<&str>) -> Status {
        Status { result: result.into(), status: status.map(str::to_owned) }
    }

    #[test]
    fn one_pair_of_words_approves_and_no_other() {
        let results = ["allow", "deny", "waiting", "ALLOW", "allow ", "approved", ""];
        let words = ["allow", "bypass", "deny", "fraud", "timeout", "locked_out", "calling", "answered", "pushed", "push_failed", "sent", "quantum", ""];
        let ticket = Ticket("t".into());
        let mut approved = Vec::new();
        for result in results {
            for word in words.into_iter().map(Some).chain([None]) {
                let status = status(result, word);
                let both = [status.of_question(&ticket), status.of_code()].map(|outcome| outcome == ALLOWED);
                assert_eq!(both[0], both[1]);
                if both[0] {
                    approved.push((result, word.unwrap()));
                }
            }
        }
        assert_eq!(approved, [("allow", "allow")]);
        assert_eq!(status("allow", Some("bypass")).of_code(), Ok(Progress::Waived));
    }

    #[test]
    fn a_question_goes_on_only_while_its_result_is_waiting() {
        let ticket = Ticket("t".into());
        for word in [Some("pushed"), Some("calling"), Some("a word of next year"), None] {
            assert_eq!(status("waiting", word).of_question(&ticket), Ok(Progress::Pending(ticket.clone())));
        }
        assert_eq!(status("later", Some("pushed")).of_question(&ticket), Ok(Progress::Denied { fraud: false }));
        assert_eq!(status("waiting", None).of_code(), Err(FactorError::BadCode));
    }

    #[test]
    fn a_device_is_chosen_by_what_it_can_do() {
        let told =
            r#"{"result":"auth","devices":[{"device":"D1","capabilities":["auto","sms"]},{"type":"token"},{"device":"D2","capabilities":["auto","push"]}]}"#;
        let preauth: Preauth = serde_json::from_str(told).unwrap();
        assert_eq!(preauth.device("push", &[]), Some("D2"));
        assert_eq!(preauth.device("phone", &[]), None);
    }

    #[test]
    fn of_devices_named_at_the_account_the_first_that_can_is_chosen_and_no_other() {
        let told = r#"{"result":"auth","devices":[{"device":"D1","capabilities":["push"]},{"device":"D2","capabilities":["push"]},{"device":"D3","capabilities":["sms"]}]}"#;
        let preauth: Preauth = serde_json::from_str(told).unwrap();
        assert_eq!(preauth.device("push", &["D2", "D1"]), Some("D2"));
        assert_eq!(preauth.device("push", &["D3", "D1"]), Some("D1"));
        assert_eq!(preauth.device("push", &["D3"]), None, "somebody else's phone does not ring instead");
    }

    #[test]
    fn m_11_a_number_is_digits_in_either_form() {
        let number = |code: &str| {
            let preauth: Preauth = serde_json::from_str(&format!(r#"{{"result":"auth","txid":"t","verification_code":{code}}}"#)).ok()?;
            preauth.number().map(|(txid, number)| (txid.to_owned(), number.as_str().to_owned()))
        };
        assert_eq!(number("\"012\""), Some(("t".into(), "012".into())));
        assert_eq!(number("345"), Some(("t".into(), "345".into())));
        for wrong in ["null", "\"\"", "\"12 3\"", "\"1234567\"", "-3", "4.5", "[1]", "{}"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_said_of_a_text_is_an_approval() {
        for result in ["allow", "deny", "waiting", "ALLOW", ""] {
            for word in [Some("allow"), Some("bypass"), Some("sent"), Some("deny"), Some("locked_out"), Some("quantum"), None] {
                let said = status(result, word).of_text();
                assert!(!matches!(said, Some(Ok(Progress::Allowed { .. } | Progress::Waived))), "{result} {word:?}");
                assert_eq!(said == Some(Ok(Progress::CodeNeeded { ticket: None })), (result, word) == ("deny", Some("sent")), "{result} {word:?}");
            }
        }
    }

    #[test]
    fn r_067_the_number_that_answers_a_push_is_not_printed() {
        let preauth: Preauth = serde_json::from_str(r#"{"result":"auth","txid":"t","verification_code":"931748"}"#).unwrap();
        let printed = format!("{preauth:?}");
        assert!(printed.contains("Digits(..)") && !printed.contains("931748"), "{printed}");
    }
}
