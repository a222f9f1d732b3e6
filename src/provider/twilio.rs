//! Twilio Verify: codes by text, WhatsApp, call and mail, which it makes, sends and checks.

mod answer;
mod number;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use phonenumber::country::Id;
use reqwest::Method as Verb;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use tracing::debug;
use tracing::warn;
use zeroize::Zeroizing;

use self::answer::Ours;
use self::answer::Refusal;
use self::answer::Verification;
use self::answer::is_sid;
use self::number::number;
use super::complaints::Complaints;
use super::destination::Destination;
use super::http::Answer;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::http::form;
use super::ledger::Caps;
use super::ledger::Ledger;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "twilio-verify"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The Verify service: `VA` and 32 hexadecimal digits.
    pub service: String,
    /// The API key: `SK` and 32 hexadecimal digits.
    pub key_id: String,
    /// Its secret.
    pub key: Secret,
    /// Whether texts go by WhatsApp.
    pub whatsapp: bool,
    /// The countries whose numbers are texted and called (M-28).
    pub countries: Vec<Id>,
    /// How much is sent on one day (M-28).
    pub caps: Caps,
    /// Where to connect instead of `https://verify.twilio.com`: tests, proxies. `http://` to a loopback address alone.
    pub url: Option<String>,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// A Verify service at Twilio.
#[derive(Debug)]
pub struct Twilio {
    http: Http,
    settings: Settings,
    ledger: Ledger,
    clock: Arc<dyn Clock>,
    complaints: Complaints,
}

/// Where a code goes.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    channel: &'static str,
    to: String,
    /// What is dialled once somebody has answered.
    behind: Option<String>,
}

impl Settings {
    /// Whether it can be the name of a Verify service.
    #[must_use]
    pub fn is_service(text: &str) -> bool {
        is_sid("VA", text)
    }

    /// Whether it can be the name of an API key, or of an account.
    #[must_use]
    pub fn is_key_id(text: &str) -> bool {
        is_sid("SK", text) || is_sid("AC", text)
    }
}

impl Twilio {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let base = settings.url.as_deref().unwrap_or("https://verify.twilio.com");
        let http = Http::open(&settings.name, base, settings.ca_file.as_deref(), settings.timeout)?.with_personal_limits();
        let complaints = Complaints::new(&settings.name);
        Ok(Self { http, settings, ledger: Ledger::default(), clock, complaints })
    }

    /// What went out before counts too.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// Where this person's code goes: to what stands in the account, and nowhere else (M-16).
    fn way(&self, asking: &Asking) -> Result<Way, FactorError> {
        let account = &asking.account;
        let channel = match asking.choice.method {
            Method::Call => "call",
            Method::Email => {
                let to = account.mail.clone().ok_or(FactorError::NotEnrolled)?;
                return Ok(Way { channel: "email", to, behind: None });
            }
            Method::Text if self.settings.whatsapp => "whatsapp",
            Method::Text => "sms",
            Method::Oath | Method::Push => return Err(FactorError::Misconfigured),
        };
        let (to, behind) = number(account).ok_or(FactorError::NotEnrolled)?;
        let destination = Destination::of(&to);
        if !destination.is_in(&self.settings.countries) {
            warn!(provider = %self.settings.name, who = %asking.identity.0, ?destination, "a number in none of `countries`, or one that costs: neither texted nor called");
            return Err(FactorError::NotEnrolled);
        }
        if behind.is_some() && channel != "call" {
            debug!(provider = %self.settings.name, "an extension: a text would go to the switchboard");
            return Err(FactorError::NotEnrolled);
        }
        Ok(Way { channel, to, behind })
    }

    fn ours<'a>(&'a self, way: &'a Way) -> Ours<'a> {
        Ours { service: &self.settings.service, to: &way.to, channel: way.channel }
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, FactorError> {
        self.ask(Verb::POST, &format!("/{path}"), Some(form(fields))).await
    }

    async fn ask(&self, method: Verb, path: &str, body: Option<Vec<u8>>) -> Result<Answer, FactorError> {
        let key = Zeroizing::new([self.settings.key_id.as_bytes(), b":", self.settings.key.expose()].concat());
        let authorization = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(&*key)));
        let mut authorization = authorization.map_err(|_| self.complaints.misconfigured("key", "`key` is no secret of an API key"))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
        let target = format!("/v2/Services/{}{path}", self.settings.service);
        self.http.send(Request { method, target, headers, body, poll: None }).await.map_err(|failure| self.complaints.failed(failure, REMEDY))
    }

    /// What a refusal means for the person, and what the operator must do about it.
    fn refused(&self, answer: &Answer, typed: bool) -> FactorError {
        let refusal: Option<Refusal> = answer.object().filter(|_| answer.status >= 400);
        let Some(Refusal { code }) = refusal else {
            return self.complaints.misconfigured("no answer of the Verify API", REMEDY);
        };
        debug!(provider = %self.settings.name, code, "Twilio refuses");
        match code {
            // A field that cannot be: with a code, it is the code.
            60_200 if typed => FactorError::BadCode,
            // The number or address cannot be used, or not in this way: a landline, a blocked prefix, a country switched off there.
            21_211 | 21_614 | 60_200 | 60_205 | 60_410 | 60_605 => FactorError::NotEnrolled,
            20_429 | 60_202 | 60_203 | 60_207 | 60_212 => FactorError::Throttled,
            20_003 => self.complaints.misconfigured("20003", "the API key is wrong: check `key_id` and `key`"),
            20_404 => self.complaints.misconfigured("20404", "there is no such Verify service: check `service`"),
            _ => self.complaints.misconfigured(&code.to_string(), REMEDY),
        }
    }
}

#[async_trait]
impl Provider for Twilio {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let way = self.way(asking)?;
        if !self.ledger.admits(&self.settings.name, &way.to, self.clock.now(), self.settings.caps) {
            return Err(FactorError::Throttled);
        }
        let mut fields = vec![("To", way.to.as_str()), ("Channel", way.channel)];
        let language = asking.account.language.as_deref().and_then(|language| language.split('-').next());
        fields.extend(language.filter(|language| LANGUAGES.contains(language)).map(|language| ("Locale", language)));
        fields.extend(way.behind.as_deref().map(|behind| ("SendDigits", behind)));
        let answer = self.post("Verifications", &fields).await?;
        let begun: Verification = answer.object().filter(|_| answer.status == 201).ok_or_else(|| self.refused(&answer, false))?;
        let sid = begun.begun(self.ours(&way)).ok_or_else(|| self.complaints.misconfigured("verification", STRAYS))?;
        self.complaints.forget();
        Ok(Progress::CodeNeeded { ticket: Some(Ticket(sid.into())) })
    }

    /// A code is typed; there is nothing to wait for.
    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Err(FactorError::Misconfigured)
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        let typed = code.expose_text().filter(|text| (4..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
        let (typed, way) = (typed.ok_or(FactorError::BadCode)?, self.way(asking)?);
        let sid = ticket.map(|ticket| &*ticket.0).filter(|sid| is_sid("VE", sid)).ok_or(FactorError::Expired)?;
        let answer = self.post("VerificationCheck", &[("VerificationSid", sid), ("Code", typed)]).await?;
        let refusal: Option<Refusal> = answer.object();
        if answer.status == 404 && refusal.is_some_and(|refusal| refusal.code == 20_404) {
            // Used up, run out, or tried too often: it is gone there.
            return Err(FactorError::Expired);
        }
        let checked: Verification = answer.object().filter(|_| answer.status == 200).ok_or_else(|| self.refused(&answer, true))?;
        checked.checked(self.ours(&way), sid).unwrap_or_else(|| Err(self.complaints.misconfigured("verification", STRAYS)))
    }

    /// Reads the service: nobody is texted.
    async fn probe(&self) -> Probed {
        match self.ask(Verb::GET, "", None).await {
            Ok(answer) if answer.status == 200 => Probed::Well { clock: self.http.date() },
            Ok(answer) => self.refused(&answer, false).into(),
            Err(error) => error.into(),
        }
    }

    async fn cancel(&self, ticket: &Ticket) {
        if is_sid("VE", &ticket.0) {
            let _best_effort = self.post(&format!("Verifications/{}", ticket.0), &[("Status", "canceled")]).await;
        }
    }
}

/// The languages Twilio has words for; in any other it would refuse to send.
const LANGUAGES: [&str; 33] = [
    "af", "ar", "ca", "cs", "da", "de", "el", "en", "es", "et", "fi", "fr", "he", "hi", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "nb", "nl", "pl",
    "pt", "ro", "ru", "sk", "sv", "tr", "uk",
];
const STRAYS: &str = "Twilio answers with another verification, service or number than the one asked about";
const REMEDY: &str = "what answers there is not Twilio's Verify API, or refuses us: check `service`, `key_id`, `key` and `url`";
