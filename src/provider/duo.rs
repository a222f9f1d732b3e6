//! Duo, by its Auth API v2: push, with a number to type where its plan has that, call, and passcodes, which it sends by text too.

mod answer;
mod enrol;
mod look;
pub mod sign;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method as Verb;

use self::answer::Asked;
use self::answer::Ping;
use self::answer::Preauth;
use self::answer::Status;
use self::wire::Params;
use self::wire::Wire;
use super::http::OpenError;
use super::line::Line;
use super::login::source;
use super::watch::watch;
use crate::domain::Account;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Timestamp;
use crate::ports::Clock;
use crate::ports::EnrolError;
use crate::ports::Enrolment;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "duo"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// `api-XXXXXXXX.duosecurity.com`; also what is signed.
    pub host: String,
    /// The integration key.
    pub key_id: String,
    /// The secret key.
    pub key: Secret,
    /// Where to connect instead of `https://{host}`: tests, proxies. `http://` to a loopback address alone.
    pub url: Option<String>,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
    /// Whether a push is answered with a number that the person is shown (M-11); only for clients that can show it.
    pub number_match: bool,
    /// Whether the phone is told the person's own name, beside the one Duo knows them by.
    pub send_name: bool,
    /// Whether it is told where the person is.
    pub send_source: bool,
}

/// An account at Duo.
#[derive(Debug)]
pub struct Duo {
    wire: Wire,
    line: Arc<Line>,
    settings: Settings,
    poll_max: Duration,
    wait_max: Duration,
}

impl Duo {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Ok(Self { wire: Wire::open(&settings, clock)?, line: Line::new(), settings, poll_max: POLL_MAX, wait_max: WAIT_MAX })
    }

    /// How long one long poll may take, instead of 35 s, and one wait, instead of 70 s. What is asked is asked again, so shorter ones cost requests and no logins.
    #[must_use]
    pub fn with_poll_max(mut self, poll_max: Duration) -> Self {
        self.poll_max = poll_max;
        self.wait_max = poll_max;
        self
    }

    /// Whether Duo answers and knows us: its clock and both keys are good.
    ///
    /// # Errors
    /// As [`Provider::start`].
    pub async fn check(&self) -> Result<(), FactorError> {
        self.wire.ask::<Ping>(Verb::GET, "/auth/v2/check", &Params::new()).await.map(|_| ())
    }

    /// Asks by this factor on a device that can do it. Once: a question is never repeated, whatever becomes of it.
    async fn ask(&self, asking: &Asking, preauth: &Preauth, factor: &'static str, params: &Params<'_>) -> Result<Progress, FactorError> {
        let ours = asking.account.devices.iter().filter(|device| device.provider == self.settings.name).map(|device| device.id.as_str());
        let device = preauth.device(factor, &ours.collect::<Vec<_>>()).ok_or(FactorError::NotEnrolled)?;
        let mut params = params.clone();
        params.extend([("device", device), ("factor", factor)]);
        if factor == TEXT {
            let status: Status = self.wire.ask(Verb::POST, AUTH, &params).await?;
            return status.of_text().unwrap_or_else(|| Err(self.wire.garbled("a word that says nothing of a text")));
        }
        // The phone shows `type` before the word "request"; calls know no such thing.
        let words = asking.client.replace(['-', '_'], " ");
        let name = Some(own_name(&asking.account)).filter(|name| self.settings.send_name && !name.is_empty());
        params.insert("async", "1");
        if factor == PUSH {
            params.insert("type", &words);
            params.extend(name.as_deref().map(|name| ("display_username", name)));
        }
        let number = (self.settings.number_match && factor == PUSH).then(|| preauth.number().ok_or_else(|| self.wire.garbled(NO_NUMBER))).transpose()?;
        params.extend(number.iter().map(|(txid, _)| ("txid", *txid)));
        let asked: Asked = self.wire.ask(Verb::POST, AUTH, &params).await?;
        if asked.txid.is_empty() || asked.txid.len() > Ticket::LEN_MAX {
            return Err(self.wire.garbled("a transaction id of an impossible length"));
        }
        let ticket = Ticket(asked.txid.into());
        match number {
            Some((txid, _)) if txid != &*ticket.0 => Err(self.wire.garbled("a push that is not the one the number is of")),
            Some((_, number)) => Ok(Progress::Choose { ticket, number }),
            None => Ok(Progress::Pending(ticket)),
        }
    }
}

#[async_trait]
impl Provider for Duo {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let address = source(asking, self.settings.send_source);
        let person = person(asking, address.as_deref());
        let mut params = person.clone();
        if self.settings.number_match && asking.choice.method == Method::Push {
            params.insert("client_supports_verified_push", "1");
        }
        let preauth: Preauth = self.wire.ask(Verb::POST, "/auth/v2/preauth", &params).await?;
        match preauth.result.as_str() {
            // Duo's own policy or its administrator asks this person for nothing: a rule, not a factor.
            "allow" => return Ok(Progress::Waived),
            "deny" => return Ok(Progress::Denied { fraud: false }),
            // Where to enrol comes along, with a secret in it: it is for the person alone, and who logs in here is not proven to be that person.
            "enroll" => return Err(FactorError::NotEnrolled),
            "auth" => {}
            _ => return Err(self.wire.garbled("a result of /preauth that is not known here")),
        }
        let factor = match asking.choice.method {
            Method::Call => "phone",
            Method::Email => return Err(FactorError::Misconfigured),
            Method::Oath => return Ok(Progress::CodeNeeded { ticket: None }),
            Method::Push => PUSH,
            Method::Text => TEXT,
        };
        self.ask(asking, &preauth, factor, &person).await
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        watch(&self.line, self.wait_max, |look| Box::pin(async move { self.look(&look, ticket).await })).await
    }

    async fn verify(&self, asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // Digits, and the letters of a YubiKey; whatever else somebody typed is no passcode (M-02), and Duo need not see it.
        let typed = code.expose_text().filter(|text| (1..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let typed = typed.ok_or(FactorError::BadCode)?;
        let address = source(asking, self.settings.send_source);
        let mut params = person(asking, address.as_deref());
        params.extend([("factor", "passcode"), ("passcode", typed)]);
        match self.wire.ask::<Status>(Verb::POST, AUTH, &params).await?.of_code() {
            // Nothing was waived when the text went out: then there would have been none.
            Ok(Progress::Waived) if asking.choice.method == Method::Text => Err(self.wire.garbled("a code of a text that it waives")),
            outcome => outcome,
        }
    }

    async fn enrol(&self, account: &Account) -> Result<Enrolment, EnrolError> {
        self.enrolment(account).await
    }

    async fn probe(&self) -> Probed {
        match self.wire.sent::<Ping>(Verb::GET, "/auth/v2/check", &Params::new(), None).await {
            Ok(ping) => Probed::Well { clock: Some(Timestamp(ping.time.saturating_mul(1_000))) },
            Err(trouble) => Wire::told(&trouble),
        }
    }

    /// The Auth API cannot take a question back: it stays on the phone until it runs out, about a minute. An approval that comes late opens nothing, since
    /// nobody polls for it any more.
    async fn cancel(&self, _ticket: &Ticket) {}
}

/// What goes out about a person.
fn person<'a>(asking: &'a Asking, address: Option<&'a str>) -> Params<'a> {
    let mut params = Params::from([("username", asking.account.name.as_str())]);
    params.extend(address.map(|address| ("ipaddr", address)));
    params
}

/// The person's own name, as far as it is known.
fn own_name(account: &Account) -> String {
    let parts = [account.given_name.as_deref(), account.family_name.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

const AUTH: &str = "/auth/v2/auth";
/// Duo itself ends a poll earlier where it can.
const POLL_MAX: Duration = Duration::from_secs(35);
/// Longer than a question is open there.
const WAIT_MAX: Duration = Duration::from_secs(70);
const CODE_LEN_MAX: usize = 64;
const NO_NUMBER: &str = "no number for the push: write number_match = false, or switch verified push on there";
/// Factor and capability bear the same word.
const PUSH: &str = "push";
const TEXT: &str = "sms";

#[cfg(test)]
mod tests;
