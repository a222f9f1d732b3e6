//! Shapes of the webhook protocol. What is not exactly of these shapes is no answer.

use serde::Deserialize;
use serde::Serialize;

use super::Settings;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Number;
use crate::domain::Progress;
use crate::domain::Ticket;
use crate::provider::login::source;

/// What personal data may go out beside the unique id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Send {
    /// `name`, `given_name`, `family_name`.
    pub name: bool,
    /// `mail`.
    pub email: bool,
    /// `phone`, for methods that need one.
    pub phone: bool,
    /// `source`.
    pub source: bool,
}

/// The body of `/start` and, with a code, of `/answer`.
#[derive(Serialize)]
pub(super) struct Question<'a> {
    transaction: &'a str,
    account: Person<'a>,
    method: &'static str,
    /// How a call is taken: `standard` or `pin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    client: &'a str,
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

/// Without the code, and without what is told of the person.
impl std::fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question").field("transaction", &self.transaction).field("method", &self.method).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize)]
struct Person<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<&'a str>,
    /// The service's own names of the devices it gave this person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<&'a str>,
}

/// The body of `/poll`.
#[derive(Debug, Serialize)]
pub(super) struct Poll<'a> {
    pub(super) transaction: &'a str,
    /// So long the reply may wait for news; 0: say at once how it stands.
    pub(super) wait_ms: u64,
}

/// The body of `/cancel`.
#[derive(Debug, Serialize)]
pub(super) struct Cancel<'a> {
    pub(super) transaction: &'a str,
}

/// The body of `/end`.
#[derive(Debug, Serialize)]
pub(super) struct End<'a> {
    pub(super) transaction: &'a str,
    /// `accept`, `reject`, `drop` or `given_up`.
    pub(super) outcome: &'static str,
    /// The word of the log.
    pub(super) why: &'static str,
}

impl<'a> Question<'a> {
    /// Everything that may be told and nothing else: names, mail and phone only where they were opted in.
    pub(super) fn new(transaction: &'a str, asking: &'a Asking, settings: &Settings, server: &'a str, code: Option<&'a str>) -> Self {
        let (account, send) = (&*asking.account, settings.send);
        let needs_phone = matches!(asking.choice.method, Method::Call | Method::Text);
        let devices = account.devices.iter().filter(|device| *device.provider == *asking.choice.provider);
        let person = Person {
            id: &asking.identity.0,
            name: send.name.then_some(account.name.as_str()),
            given_name: account.given_name.as_deref().filter(|_| send.name),
            family_name: account.family_name.as_deref().filter(|_| send.name),
            mail: account.mail.as_deref().filter(|_| send.email),
            phone: account.phone.as_deref().filter(|_| send.phone && needs_phone),
            devices: devices.map(|device| device.id.as_str()).collect(),
        };
        Self {
            transaction,
            account: person,
            method: asking.choice.method.as_str(),
            mode: (asking.choice.method == Method::Call).then_some(if settings.call_pin { "pin" } else { "standard" }),
            client: &asking.client,
            server,
            source: source(asking, send.source),
            language: account.language.as_deref(),
            code,
        }
    }
}

/// The one body of all replies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    pub(super) transaction: String,
    answer: String,
    number: Option<String>,
}

/// What was asked for: not every answer is one to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `/answer`: is this the code?
    Code,
    /// `/poll`: how does it stand?
    Look,
    /// `/start`, by a method that takes a code.
    StartOfCode,
    /// `/start`, by a method that is answered on the phone.
    StartOfQuestion,
}

impl Reply {
    /// What it says; `None`: it makes no sense here.
    pub(super) fn progress(self, asked: Asked) -> Option<Result<Progress, FactorError>> {
        let ticket = || Ticket(self.transaction.as_str().into());
        let number = match &self.number {
            Some(digits) => Some(Number::new(digits)?),
            None => None,
        };
        if number.is_some() && self.answer != "pending" {
            return None;
        }
        Some(match (self.answer.as_str(), asked) {
            ("pending", Asked::StartOfQuestion) => {
                Ok(number.map_or_else(|| Progress::Pending(ticket()), |number| Progress::Choose { ticket: ticket(), number }))
            }
            // The number was told at the start.
            ("pending", Asked::Look) => Ok(Progress::Pending(ticket())),
            ("code_needed", Asked::StartOfCode) => Ok(Progress::CodeNeeded { ticket: Some(ticket()) }),
            // Nobody has typed a code yet.
            ("allowed", Asked::StartOfCode) => return None,
            ("allowed", _) => Ok(Progress::Allowed { spend: None }),
            ("denied", _) => Ok(Progress::Denied { fraud: false }),
            ("fraud", _) => Ok(Progress::Denied { fraud: true }),
            ("expired", _) => Err(FactorError::Expired),
            ("bad_code", Asked::Code) => Err(FactorError::BadCode),
            ("not_enrolled", _) => Err(FactorError::NotEnrolled),
            ("locked", _) => Err(FactorError::Locked),
            ("throttled", _) => Err(FactorError::Throttled),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
