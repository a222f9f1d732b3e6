//! Duo, by its Auth API v2: push, call and passcode.

mod answer;
pub mod sign;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method as Verb;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::debug;
use tracing::error;
use tracing::info;

use self::answer::Asked;
use self::answer::Envelope;
use self::answer::Ping;
use self::answer::Preauth;
use self::answer::Status;
use self::sign::Signed;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::line::Line;
use super::line::Look;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::domain::Timestamp;
use crate::ports::Clock;
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
}

/// An account at Duo.
#[derive(Debug)]
pub struct Duo {
    http: Http,
    line: Arc<Line>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    poll_max: Duration,
    wait_max: Duration,
    /// The refusal last complained about, so that each is told once and not at every login.
    told: Mutex<Option<u32>>,
}

/// Why there is no response.
enum Trouble {
    Factor(FactorError),
    /// Duo said no, with its code.
    Refused(u32),
}

type Params<'a> = BTreeMap<&'static str, &'a str>;

impl Duo {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let base = settings.url.clone().unwrap_or_else(|| format!("https://{}", settings.host));
        let http = Http::open(&settings.name, &base, settings.ca_file.as_deref(), settings.timeout)?;
        Ok(Self { http, line: Line::new(), settings, clock, poll_max: POLL_MAX, wait_max: WAIT_MAX, told: Mutex::new(None) })
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
        let checked: Result<Ping, _> = self.ask(Verb::GET, "/auth/v2/check", &Params::new(), None).await;
        checked.map(|_| ()).map_err(|trouble| self.blame(&trouble))
    }

    async fn preauth(&self, asking: &Asking, address: Option<&str>) -> Result<Preauth, FactorError> {
        let mut params = Params::from([("username", asking.account.name.as_str())]);
        params.extend(address.map(|address| ("ipaddr", address)));
        self.ask(Verb::POST, "/auth/v2/preauth", &params, None).await.map_err(|trouble| self.blame(&trouble))
    }

    /// Sends the question to the person's phone. Once: it is never repeated, whatever becomes of it.
    async fn question(&self, asking: &Asking, address: Option<&str>, factor: &str, device: &str) -> Result<Progress, FactorError> {
        let words = asking.client.replace(['-', '_'], " ");
        let mut params = Params::from([("async", "1"), ("device", device), ("factor", factor), ("username", &asking.account.name)]);
        params.extend(address.map(|address| ("ipaddr", address)));
        // The phone shows `type` before the word "request"; calls know no such thing.
        params.extend((factor == PUSH).then_some(("type", words.as_str())));
        let asked: Asked = self.ask(Verb::POST, "/auth/v2/auth", &params, None).await.map_err(|trouble| self.blame(&trouble))?;
        if asked.txid.is_empty() || asked.txid.len() > Ticket::LEN_MAX {
            return Err(self.garbled("a transaction id of an impossible length"));
        }
        Ok(Progress::Pending(Ticket(asked.txid.into())))
    }

    /// A look that must be brief is broken off when there is no answer: Duo keeps us waiting while it has nothing to tell, and others want to look too.
    async fn look(&self, look: &Look, ticket: &Ticket) -> Result<Progress, FactorError> {
        if look.patient {
            return self.poll(ticket).await;
        }
        tokio::time::timeout(self.http.brief(), self.poll(ticket)).await.unwrap_or_else(|_| {
            self.line.charge(self.http.broken_off());
            Ok(Progress::Pending(ticket.clone()))
        })
    }

    async fn poll(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let params = Params::from([("txid", &*ticket.0)]);
        match self.ask::<Status>(Verb::GET, "/auth/v2/auth_status", &params, Some(self.poll_max)).await {
            Ok(status) => status.of_question(ticket),
            Err(Trouble::Refused(POLL_RAN_OUT)) => Ok(Progress::Pending(ticket.clone())),
            // A poll that broke off proves nothing: somebody who just does not answer his phone makes polls run out, here or in a box between. Only a
            // server that does not answer a ping either is unreachable.
            Err(Trouble::Factor(FactorError::Faltering | FactorError::Unreachable)) => self.ping().await.map(|()| Progress::Pending(ticket.clone())),
            Err(trouble) => match self.blame(&trouble) {
                // That we look too often says nothing of the question, which is still out.
                FactorError::Throttled => {
                    tokio::time::sleep(THROTTLED_PAUSE).await;
                    Ok(Progress::Pending(ticket.clone()))
                }
                error => Err(error),
            },
        }
    }

    async fn ping(&self) -> Result<(), FactorError> {
        let ping: Result<Ping, _> = self.ask(Verb::GET, "/auth/v2/ping", &Params::new(), None).await;
        ping.map(|_| ()).map_err(|trouble| self.blame(&trouble))
    }

    async fn ask<T: DeserializeOwned>(&self, verb: Verb, path: &str, params: &Params<'_>, poll: Option<Duration>) -> Result<T, Trouble> {
        let request = self.request(verb, path, params, poll).ok_or_else(|| Trouble::Factor(self.garbled("our own request cannot be written")))?;
        let answer = self.http.send(request).await.map_err(|failure| Trouble::Factor(failure.into()))?;
        let envelope: Option<Envelope<T>> = serde_json::from_slice(&answer.body).ok();
        match envelope {
            Some(Envelope { stat, response: Some(response), .. }) if answer.status == 200 && stat == "OK" => {
                if self.told.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
                    info!(provider = %self.settings.name, "Duo answers as it should again");
                }
                Ok(response)
            }
            Some(Envelope { code: Some(code), message, .. }) if answer.status != 200 => {
                debug!(provider = %self.settings.name, code, ?message, "Duo refuses");
                Err(Trouble::Refused(code))
            }
            // Lies, riddles and other people's pages. Not `Unreachable`, since somebody does answer there: it must not open a door.
            _ => {
                Err(Trouble::Factor(self.garbled(&format!("status {} and {} bytes that are not an answer of the Auth API", answer.status, answer.body.len()))))
            }
        }
    }

    /// `None` for what no header can hold, or a clock outside the calendar.
    fn request(&self, verb: Verb, path: &str, params: &Params<'_>, poll: Option<Duration>) -> Option<Request> {
        let date = sign::date(self.clock.now())?;
        let pairs: Vec<(&str, &str)> = params.iter().map(|(name, value)| (*name, *value)).collect();
        let (query, body) = match verb {
            Verb::GET => (sign::query(&pairs), None),
            _ => (String::new(), Some(serde_json::to_vec(params).ok()?)),
        };
        let signed = Signed { date: &date, method: verb.as_str(), host: &self.settings.host, path, query: &query, body: body.as_deref().unwrap_or_default() };
        let credentials = STANDARD.encode(format!("{}:{}", self.settings.key_id, signed.signature(&self.settings.key)));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}")).ok()?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (DATE, HeaderValue::try_from(&date).ok()?)]);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Some(Request { method: verb, target, headers, body, poll })
    }

    /// What a refusal means for the person, and what the operator must do about it.
    fn blame(&self, trouble: &Trouble) -> FactorError {
        match trouble {
            Trouble::Factor(error) => *error,
            Trouble::Refused(42_900..43_000) => FactorError::Throttled,
            Trouble::Refused(code) => {
                self.complain(*code, remedy(*code));
                FactorError::Misconfigured
            }
        }
    }

    fn garbled(&self, what: &str) -> FactorError {
        self.complain(0, what);
        FactorError::Misconfigured
    }

    fn complain(&self, code: u32, what: &str) {
        let before = self.told.lock().unwrap_or_else(PoisonError::into_inner).replace(code);
        if before == Some(code) {
            debug!(provider = %self.settings.name, code, what, "Duo still refuses");
        } else {
            error!(provider = %self.settings.name, code, what, "Duo cannot be used: nobody gets in by it");
        }
    }
}

#[async_trait]
impl Provider for Duo {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let address = asking.source.map(|source| source.to_canonical().to_string());
        let preauth = self.preauth(asking, address.as_deref()).await?;
        match preauth.result.as_str() {
            // Duo's own policy or its administrator asks this person for nothing: a rule, not a factor.
            "allow" => return Ok(Progress::Waived),
            "deny" => return Ok(Progress::Denied { fraud: false }),
            "enroll" => return Err(FactorError::NotEnrolled),
            "auth" => {}
            _ => return Err(self.garbled("a result of /preauth that is not known here")),
        }
        let factor = match asking.choice.method {
            Method::Call => "phone",
            Method::Oath => return Ok(Progress::CodeNeeded { ticket: None }),
            Method::Push => PUSH,
            Method::Email | Method::Text => return Err(FactorError::Misconfigured),
        };
        let device = preauth.device(factor).ok_or(FactorError::NotEnrolled)?;
        self.question(asking, address.as_deref(), factor, device).await
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let now = Instant::now();
        let end = now.checked_add(self.wait_max).unwrap_or(now);
        let mut waiting = self.line.join();
        loop {
            let look = waiting.turn().await;
            // On the heap while it lasts: who stands in line must be small.
            let progress = Box::pin(self.look(&look, ticket)).await;
            if !matches!(progress, Ok(Progress::Pending(_))) || waiting.due().is_some_and(|due| due >= end) {
                return progress;
            }
        }
    }

    async fn verify(&self, asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // Digits, and the letters of a YubiKey; whatever else somebody typed is no passcode (M-02), and Duo need not see it.
        let typed = code.expose_text().filter(|text| (1..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let typed = typed.ok_or(FactorError::BadCode)?;
        let address = asking.source.map(|source| source.to_canonical().to_string());
        let mut params = Params::from([("factor", "passcode"), ("passcode", typed), ("username", asking.account.name.as_str())]);
        params.extend(address.as_deref().map(|address| ("ipaddr", address)));
        let status: Status = self.ask(Verb::POST, "/auth/v2/auth", &params, None).await.map_err(|trouble| self.blame(&trouble))?;
        status.of_code()
    }

    async fn probe(&self) -> Probed {
        let checked: Result<Ping, _> = self.ask(Verb::GET, "/auth/v2/check", &Params::new(), None).await;
        match checked {
            Ok(ping) => Probed::Well { clock: Some(Timestamp(ping.time.saturating_mul(1_000))) },
            Err(Trouble::Factor(FactorError::Faltering | FactorError::Unreachable)) => {
                Probed::Failed("does not answer: check `host` and the way there".to_owned())
            }
            Err(Trouble::Factor(FactorError::Throttled) | Trouble::Refused(42_900..43_000)) => {
                Probed::Failed("wants to be left alone for a while: it is asked too often".to_owned())
            }
            Err(Trouble::Factor(_)) => Probed::Failed("what answers there is not Duo's Auth API, or cannot prove it: check `host` and `ca_file`".to_owned()),
            Err(Trouble::Refused(code)) => Probed::Failed(format!("{} (code {code})", remedy(code))),
        }
    }

    /// The Auth API cannot take a question back: it stays on the phone until it runs out, about a minute. An approval that comes late opens nothing, since
    /// nobody polls for it any more.
    async fn cancel(&self, _ticket: &Ticket) {}
}

/// What the operator must do about a refusal.
fn remedy(code: u32) -> &'static str {
    match code {
        40_001..40_100 => "Duo does not accept our parameters: is this an Auth API application?",
        40_102 => "the integration key is unknown there: check `key_id` and `host`",
        40_103 => "our signature is wrong: check `key` and `host`",
        40_104..=40_106 => "the clocks are too far apart: check this machine's time",
        40_300..40_400 => "this application may not do that: check its permissions and networks in the Duo admin panel",
        _ => "Duo refuses us: check `host`, `key_id` and `key`",
    }
}

/// Duo itself ends a poll earlier where it can.
const POLL_MAX: Duration = Duration::from_secs(35);
/// Longer than a question is open there.
const WAIT_MAX: Duration = Duration::from_secs(70);
/// Said of a poll that ended without news (and of a transaction that is unknown: then the login's own deadline ends it).
const POLL_RAN_OUT: u32 = 40_002;
/// After a look that was one too many.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);
const CODE_LEN_MAX: usize = 64;
/// Factor and capability bear the same word.
const PUSH: &str = "push";

#[cfg(test)]
mod tests;
