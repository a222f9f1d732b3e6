//! The wire to privacyIDEA: who we are to it, one request, and what a refusal means.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use reqwest::Method as Verb;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use tracing::debug;

use super::Settings;
use super::answer::Envelope;
use super::answer::Outcome;
use super::answer::Session;
use super::caller::Caller;
use super::caller::Held;
use crate::domain::FactorError;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::Clock;
use crate::provider::complaints::Complaints;
use crate::provider::errand::Errand;
use crate::provider::http::Http;
use crate::provider::http::OpenError;
use crate::provider::http::Request;
use crate::provider::object::Object;

pub(super) type Params<'a> = BTreeMap<&'static str, &'a str>;

/// One server, and what we know of it.
#[derive(Debug)]
pub(super) struct Wire {
    name: String,
    http: Http,
    caller: Caller,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
    errand: Errand,
    complaints: Complaints,
}

/// Why there is no answer.
enum Trouble {
    Factor(FactorError),
    /// It said no: the HTTP status, and its own code.
    Refused(u16, i64),
}

impl Wire {
    pub(super) fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let http = Http::open(&settings.name, &settings.url, settings.ca_file.as_deref(), settings.timeout)?;
        Ok(Self {
            name: settings.name.clone(),
            http,
            caller: settings.caller.clone(),
            clock,
            held: Mutex::default(),
            errand: Errand::new(settings.timeout),
            complaints: Complaints::new(&settings.name),
        })
    }

    /// What time it was there when it answered last, if it told.
    pub(super) fn date(&self) -> Option<Timestamp> {
        self.http.date()
    }

    /// A request that it answers to anybody.
    pub(super) async fn ask<T: DeserializeOwned>(&self, verb: Verb, target: &str, params: &Params<'_>) -> Result<Envelope<T>, FactorError> {
        self.sent(verb, target, params, None).await.map_err(|trouble| self.blame(&trouble))
    }

    /// A request that it answers to its own people alone. A session that has ended meanwhile is begun anew, once.
    pub(super) async fn ask_as_ourselves<T: DeserializeOwned>(&self, target: &str, params: &Params<'_>) -> Result<Envelope<T>, FactorError> {
        let Caller::Service { name, password } = &self.caller else { return self.ask(Verb::POST, target, params).await };
        let first = self.session(name, password, None).await?;
        let answer = match self.sent(Verb::POST, target, params, Some(&first)).await {
            Err(Trouble::Refused(401, _)) => {
                let second = self.session(name, password, Some(&first)).await?;
                self.sent(Verb::POST, target, params, Some(&second)).await
            }
            answer => answer,
        };
        answer.map_err(|trouble| self.blame(&trouble))
    }

    /// The token of our session there. One login begins it for all who come meanwhile.
    async fn session(&self, name: &str, password: &Secret, refused: Option<&Secret>) -> Result<Secret, FactorError> {
        let good = || self.held().good(self.clock.now(), refused).cloned();
        self.errand.run(good, self.begun(name, password)).await
    }

    async fn begun(&self, name: &str, password: &Secret) -> Result<Secret, FactorError> {
        if self.held().is_barred() {
            return Err(FactorError::Misconfigured);
        }
        let password = password.expose_text().ok_or_else(|| self.garbled("the password of our account there is no text"))?;
        let params = Params::from([("password", password), ("username", name)]);
        match self.sent::<Object<Session>>(Verb::POST, "/auth", &params, None).await {
            Ok(Envelope { result: Object(Outcome { value: Some(Object(session)), .. }), .. }) => Ok(self.held().begin(&session.token)),
            Ok(_) => Err(self.garbled("a session without a token")),
            Err(trouble) => {
                if let Trouble::Refused(..) = trouble {
                    self.held().bar();
                }
                Err(self.blame(&trouble))
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it answers, and knows us where we are somebody: nobody is asked.
    pub(super) async fn check(&self) -> Result<(), FactorError> {
        if let Caller::Service { name, password } = &self.caller {
            self.session(name, password, None).await?;
        }
        self.ask::<bool>(Verb::GET, NOBODYS, &Params::new()).await.map(|_| ())
    }

    async fn sent<T: DeserializeOwned>(&self, verb: Verb, target: &str, params: &Params<'_>, session: Option<&Secret>) -> Result<Envelope<T>, Trouble> {
        let request = self.request(verb, target, params, session).ok_or_else(|| Trouble::Factor(self.garbled("our own request cannot be written")))?;
        let answer = self.http.send(request).await.map_err(|failure| Trouble::Factor(failure.into()))?;
        match serde_json::from_slice::<Object<Envelope<T>>>(&answer.body).ok() {
            Some(Object(envelope)) if answer.status == 200 && envelope.result.0.status && envelope.result.0.value.is_some() => {
                self.complaints.forget();
                Ok(envelope)
            }
            Some(Object(Envelope { result: Object(Outcome { status: false, error: Some(Object(fault)), .. }), .. })) if answer.status != 200 => {
                debug!(provider = %self.name, code = fault.code, "privacyIDEA refuses");
                Err(Trouble::Refused(answer.status, fault.code))
            }
            // Not `Unreachable`, since somebody does answer there: it must not open a door.
            _ => Err(Trouble::Factor(self.garbled(&format!("status {} and {} bytes that are no answer of privacyIDEA", answer.status, answer.body.len())))),
        }
    }

    /// `None` for what no header can hold.
    fn request(&self, verb: Verb, target: &str, params: &Params<'_>, session: Option<&Secret>) -> Option<Request> {
        let mut headers = HeaderMap::new();
        let key = if let Caller::Key(key) = &self.caller { Some(key) } else { session };
        if let Some(key) = key {
            let mut value = HeaderValue::from_bytes(key.expose()).ok()?;
            value.set_sensitive(true);
            headers.insert("pi-authorization", value);
        }
        let body = if verb == Verb::GET { None } else { Some(serde_json::to_vec(params).ok()?) };
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Some(Request { method: verb, target: target.to_owned(), headers, body, poll: None })
    }

    /// What a refusal means for the person, and what the operator must do about it.
    fn blame(&self, trouble: &Trouble) -> FactorError {
        match trouble {
            Trouble::Factor(error) => *error,
            // No such user, and no such token.
            Trouble::Refused(_, 601 | 904) => FactorError::NotEnrolled,
            Trouble::Refused(_, 1_007) => FactorError::Locked,
            Trouble::Refused(_, code) => self.complaints.misconfigured(&code.to_string(), remedy(*code)),
        }
    }

    pub(super) fn garbled(&self, what: &str) -> FactorError {
        self.complaints.misconfigured("garbled", what)
    }
}

/// What the operator must do about a refusal.
fn remedy(code: i64) -> &'static str {
    match code {
        303 | 4_306 => "its policies do not allow that: our account needs triggerchallenge (admin policy)",
        403 | 4_031 | 4_032 => "our account there is unknown or its password wrong: check `service_name` and `service_password`",
        4_033 => "it wants to know who asks: write `service_name` and `service_password`, or `key`",
        4_304 | 4_305 => "our key is none of its own or has ended: check `key`",
        905 => "it does not accept our parameters: is this privacyIDEA 3.8 or later, and do the devices of the account belong to the person?",
        _ => "it refuses us: look into its log",
    }
}

/// How a question stands that nobody asked.
const NOBODYS: &str = "/validate/polltransaction/00000000000000000000";
