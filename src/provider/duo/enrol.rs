//! Making somebody known to Duo, for an administrator: an address at which the person activates a phone.

use reqwest::Method as Verb;
use serde::Deserialize;

use super::Duo;
use super::answer::Preauth;
use super::wire::Params;
use super::wire::Trouble;
use crate::domain::Account;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::EnrolError;
use crate::ports::Enrolment;

/// `/auth/v2/enroll`.
#[derive(Debug, Deserialize)]
struct Enrolled {
    username: String,
    activation_url: Option<String>,
    activation_code: String,
    /// Seconds since 1970.
    expiration: u64,
}

impl Duo {
    /// Has Duo make the person, or, where Duo has them already and wants them to enrol, tell where.
    pub(super) async fn enrolment(&self, account: &Account) -> Result<Enrolment, EnrolError> {
        let mut params = Params::from([("username", account.name.as_str()), ("valid_secs", VALID_S)]);
        match self.wire.sent::<Enrolled>(Verb::POST, "/auth/v2/enroll", &params, None).await {
            Ok(enrolled) if !enrolled.username.eq_ignore_ascii_case(&account.name) => Err(self.wire.garbled("an enrolment of somebody else").into()),
            Ok(enrolled) => {
                let url = enrolled.activation_url.unwrap_or(enrolled.activation_code);
                Ok(Enrolment { url: self.shown(&url)?, until: Some(Timestamp(enrolled.expiration.saturating_mul(1_000))) })
            }
            // There is somebody of that name.
            Err(Trouble::Refused(INVALID)) => {
                params.remove("valid_secs");
                let preauth: Preauth = self.wire.ask(Verb::POST, "/auth/v2/preauth", &params).await?;
                match (preauth.result.as_str(), preauth.enroll_portal_url.as_deref()) {
                    ("enroll", Some(url)) => Ok(Enrolment { url: self.shown(url)?, until: None }),
                    ("auth" | "allow", _) => Err(EnrolError::Enrolled),
                    _ => Err(EnrolError::Refused),
                }
            }
            Err(trouble) => Err(self.wire.blame(&trouble).into()),
        }
    }

    /// It goes into a terminal and a QR code.
    fn shown(&self, url: &str) -> Result<Secret, EnrolError> {
        let fine =
            ["https://", "duo://"].iter().any(|scheme| url.starts_with(scheme)) && url.len() <= URL_LEN_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
        if fine { Ok(Secret::from(url)) } else { Err(self.wire.garbled("an enrolment at no address").into()) }
    }
}

/// A day.
const VALID_S: &str = "86400";
const INVALID: u32 = 40_002;
const URL_LEN_MAX: usize = 1_024;
