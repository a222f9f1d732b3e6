//! The wire to Duo: one signed request, and what a refusal means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method as Verb;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::DATE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use tracing::debug;

use super::Settings;
use super::answer::Envelope;
use super::sign;
use super::sign::Signed;
use crate::domain::FactorError;
use crate::domain::Secret;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::provider::complaints::Complaints;
use crate::provider::http::Http;
use crate::provider::http::OpenError;
use crate::provider::http::Request;
use crate::provider::object::Object;

pub(super) type Params<'a> = BTreeMap<&'static str, &'a str>;

/// An application at Duo.
#[derive(Debug)]
pub(super) struct Wire {
    name: String,
    host: String,
    key_id: String,
    key: Secret,
    http: Http,
    clock: Arc<dyn Clock>,
    complaints: Complaints,
}

/// Why there is no response.
pub(super) enum Trouble {
    Factor(FactorError),
    /// Duo said no, with its code.
    Refused(u32),
}

impl Wire {
    pub(super) fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let base = settings.url.clone().unwrap_or_else(|| format!("https://{}", settings.host));
        let http = Http::open(&settings.name, &base, settings.ca_file.as_deref(), settings.timeout)?;
        let Settings { name, host, key_id, key, .. } = settings.clone();
        let complaints = Complaints::new(&name);
        Ok(Self { name, host, key_id, key, http, clock, complaints })
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// One request; a refusal is our own fault, or somebody's.
    pub(super) async fn ask<T: DeserializeOwned>(&self, verb: Verb, path: &str, params: &Params<'_>) -> Result<T, FactorError> {
        self.sent(verb, path, params, None).await.map_err(|trouble| self.blame(&trouble))
    }

    /// One request; `poll`: it may be left unanswered for so long.
    pub(super) async fn sent<T: DeserializeOwned>(&self, verb: Verb, path: &str, params: &Params<'_>, poll: Option<Duration>) -> Result<T, Trouble> {
        let request = self.request(verb, path, params, poll).ok_or_else(|| Trouble::Factor(self.garbled("our own request cannot be written")))?;
        let answer = self.http.send(request).await.map_err(|failure| Trouble::Factor(failure.into()))?;
        match answer.object::<Envelope<T>>() {
            Some(Envelope { stat, response: Some(Object(response)), .. }) if answer.status == 200 && stat == "OK" => {
                self.complaints.forget();
                Ok(response)
            }
            Some(Envelope { code: Some(code), message, .. }) if answer.status != 200 => {
                debug!(provider = %self.name, code, ?message, "Duo refuses");
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
        let signed = Signed { date: &date, method: verb.as_str(), host: &self.host, path, query: &query, body: body.as_deref().unwrap_or_default() };
        let credentials = STANDARD.encode(format!("{}:{}", self.key_id, signed.signature(&self.key)));
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
    pub(super) fn blame(&self, trouble: &Trouble) -> FactorError {
        match trouble {
            Trouble::Factor(error) => *error,
            Trouble::Refused(42_900..43_000) => FactorError::Throttled,
            Trouble::Refused(code) => self.complaints.misconfigured(&code.to_string(), remedy(*code)),
        }
    }

    /// The same, for an operator who asks.
    pub(super) fn told(trouble: &Trouble) -> Probed {
        match trouble {
            Trouble::Refused(42_900..43_000) => FactorError::Throttled.into(),
            Trouble::Refused(code) => Probed::Failed(format!("{} (code {code})", remedy(*code))),
            Trouble::Factor(error) => (*error).into(),
        }
    }

    pub(super) fn garbled(&self, what: &str) -> FactorError {
        self.complaints.misconfigured("garbled", what)
    }
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
