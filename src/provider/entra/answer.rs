//! The connector's words, and what they mean. One that is not known here has not approved.

use crate::domain::FactorError;
use crate::domain::Progress;
use crate::domain::Ticket;

use super::xml::Fields;
use super::xml::read;

/// `BeginTwoWayAuthenticationResponse`.
#[derive(Debug)]
pub(super) struct Begun(Fields);

/// `EndTwoWayAuthenticationResponse`.
#[derive(Debug)]
pub(super) struct Ended(Fields);

/// What a result means, where it is no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The person said no.
    Denied,
    /// And reported it.
    Fraud,
    /// For the person's login.
    Factor(FactorError),
    /// For the operator: his words of remedy.
    Operator(&'static str),
}

impl Begun {
    /// `None` for what is no such answer.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        read(body, "BeginTwoWayAuthenticationResponse").map(Self)
    }

    /// The word of its result; empty where it has none.
    pub(super) fn result(&self) -> &str {
        text(&self.0, "Result/Value")
    }

    /// The session that was begun, if it is one and is this person's.
    pub(super) fn session(&self, user: &str) -> Option<&str> {
        let session = text(&self.0, "SessionId");
        let whose = text(&self.0, "UserPrincipalName");
        let fine = (1..=ID_LEN_MAX).contains(&session.len()) && session.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (fine && whose.to_lowercase() == user.to_lowercase()).then_some(session)
    }

    /// Where the rest of it is to be asked; empty: where it began.
    pub(super) fn affinity(&self) -> &str {
        text(&self.0, "AffinityUrl")
    }

    /// A code must be typed, whatever was asked for.
    pub(super) fn is_challenge(&self) -> bool {
        text(&self.0, "AuthenticationResult") == "challenge"
    }
}

impl Ended {
    /// `None` for what is no such answer.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        read(body, "EndTwoWayAuthenticationResponse").map(Self)
    }

    /// The word of its result; empty where it has none.
    pub(super) fn result(&self) -> &str {
        text(&self.0, "Result/Value")
    }

    /// How a question stands; with `session` and `user` the answer has it that they are others.
    pub(super) fn outcome(&self, ticket: &Ticket, session: &str, user: &str) -> Result<Progress, Refusal> {
        let other = |path: &str, ours: &str| !text(&self.0, path).is_empty() && text(&self.0, path).to_lowercase() != ours.to_lowercase();
        if other("SessionId", session) || other("UserPrincipalName", user) {
            return Err(Refusal::Operator("the connector answers with another session or user than the one asked about"));
        }
        match (self.result(), text(&self.0, "AuthenticationResult")) {
            // Both must say so: a contradiction is no approval.
            ("Success", "true") => Ok(Progress::Allowed { spend: None }),
            ("Success", _) => Err(Refusal::Denied),
            ("AuthenticationPending", _) => Ok(Progress::Pending(ticket.clone())),
            (result, _) => Err(refusal(result)),
        }
    }
}

/// What a result that is no success means.
pub(super) fn refusal(result: &str) -> Refusal {
    let factor = match result {
        "PhoneAppDenied" | "AuthenticationFailed" => return Refusal::Denied,
        "PhoneAppFraudReported" | "FraudCodeEntered" | "UserReportedFraud" => return Refusal::Fraud,
        "InvalidSession" | "PhoneAppNoResponse" | "UserVoiceAuthFailedPhoneUnreachable" | "NoPhoneInput" => FactorError::Expired,
        "OathCodeIncorrect" | "OathCodePinIncorrect" | "SMSAuthFailedWrongCodeEntered" | "SMSAuthFailedWrongCodePinEntered" => FactorError::BadCode,
        "SMSAuthFailedMaxAllowedCodeRetryReached" | "UserIsBlocked" | "UserVoiceAuthFailedUserIsBlocked" => FactorError::Locked,
        "AuthenticationMethodNotConfigured" | "MFAPinNotSetup" | "NoDefaultAuthenticationMethodIsConfigured" | "ProofDataNotFound" | "UserNotFound" => {
            FactorError::NotEnrolled
        }
        "AuthenticationMethodLimitReached" | "AuthenticationThrottled" => FactorError::Throttled,
        "AccessDenied" | "BecAccessDenied" => {
            return Refusal::Operator("the connector does not serve this tenant or user: check `tenant`, `domain` and `user`");
        }
        "TenantIsBlocked" => return Refusal::Operator("the connector has blocked the tenant: ask Microsoft"),
        "AuthenticationMethodNotSupported" => return Refusal::Operator("the connector does not offer this method any more"),
        _ => return Refusal::Operator("the connector does not understand us, or has changed: nobody promises that it stays as it is"),
    };
    Refusal::Factor(factor)
}

fn text<'a>(fields: &'a Fields, path: &str) -> &'a str {
    fields.get(path).map_or("", String::as_str)
}

const ID_LEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pair_of_words_approves_and_no_other() {
        let ticket = Ticket("t".into());
        let results = ["Success", "success", "Success ", "AuthenticationPending", "PhoneAppDenied", "OathCodeIncorrect", "Quantum", ""];
        let flags = ["true", "True", "true ", "1", "false", "challenge", ""];
        for (result, flag) in results.into_iter().flat_map(|result| flags.map(|flag| (result, flag))) {
            let body = format!(
                "<EndTwoWayAuthenticationResponse><Result><Value>{result}</Value></Result><AuthenticationResult>{flag}</AuthenticationResult></EndTwoWayAuthenticationResponse>"
            );
            let outcome = Ended::read(body.as_bytes()).unwrap().outcome(&ticket, "s", "u");
            assert_eq!(outcome == Ok(Progress::Allowed { spend: None }), (result, flag) == ("Success", "true"), "{result:?} {flag:?}: {outcome:?}");
        }
    }
}
