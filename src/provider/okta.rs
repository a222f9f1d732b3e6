//! Okta, by its Factors API: push with a number to choose, call, text, mail and codes of generators.

mod answer;
mod people;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method as Verb;
use reqwest::header::ACCEPT;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use reqwest::header::USER_AGENT;
use serde_json::json;

use self::answer::Refusal;
use self::answer::Verified;
use self::people::People;
use super::complaints::Complaints;
use super::http::Answer;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::line::Line;
use super::line::Pace;
use super::login::Login;
use super::login::source;
use super::watch::watch;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "okta"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// `corp.okta.com`: where its links may lead.
    pub host: String,
    /// The API token.
    pub token: Secret,
    /// By which name it knows people.
    pub login: Login,
    /// Whether pushes come with a number to choose (M-11).
    pub number_match: bool,
    /// Whether it is told where the person is.
    pub send_source: bool,
    /// Where to connect instead of `https://{host}`: tests, proxies. `http://` to a loopback address alone.
    pub url: Option<String>,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// An organisation at Okta.
#[derive(Debug)]
pub struct Okta {
    http: Http,
    /// Where its links may lead.
    hosts: [String; 2],
    line: Arc<Line>,
    settings: Settings,
    wait_max: Duration,
    complaints: Complaints,
    people: People,
}

impl Okta {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings) -> Result<Self, OpenError> {
        let base = settings.url.clone().unwrap_or_else(|| format!("https://{}", settings.host));
        let http = Http::open(&settings.name, &base, settings.ca_file.as_deref(), settings.timeout)?.with_personal_limits();
        let complaints = Complaints::new(&settings.name);
        let hosts = [format!("https://{}", settings.host), base];
        Ok(Self { http, hosts, line: Line::paced(PACE), settings, wait_max: WAIT_MAX, complaints, people: People::default() })
    }

    /// How often a question is looked at, instead of every 1 to 4 s, and how long one wait lasts, instead of 70 s.
    #[must_use]
    pub fn with_pace(mut self, gap: Duration, wait_max: Duration) -> Self {
        self.line = Line::paced(Pace { gap_min: gap, gap_max: gap, ..PACE });
        self.wait_max = wait_max;
        self
    }

    /// Has a factor verified: begins a question, or brings a code.
    async fn verify_by(&self, asking: &Asking, factor: &str, body: Option<Vec<u8>>, typed: bool) -> Result<Verified, FactorError> {
        let mut headers = HeaderMap::new();
        let agent = HeaderValue::try_from(format!("vestibule/{} ({})", env!("CARGO_PKG_VERSION"), asking.client));
        headers.extend(agent.ok().map(|agent| (USER_AGENT, agent)));
        if let Some(source) = source(asking, self.settings.send_source).and_then(|source| HeaderValue::try_from(source).ok()) {
            headers.insert("x-forwarded-for", source);
        }
        let answer = self.send(Verb::POST, format!("{factor}/verify"), headers, body).await?;
        let verified = answer.object().filter(|_| matches!(answer.status, 200 | 201));
        verified.ok_or_else(|| self.refused(&answer, typed)).inspect(|_| self.complaints.forget())
    }

    /// The question is on the phone: which it is, and its number.
    async fn pushed(&self, factor: &str, asked: &Verified) -> Result<Progress, FactorError> {
        let no_question = || self.complaints.misconfigured("push", "Okta began no question of this person's, or its link leads elsewhere");
        let ticket = asked.transaction(&self.hosts, factor).filter(|ticket| ticket.0.len() <= Ticket::LEN_MAX).ok_or_else(no_question)?;
        if asked.result != "WAITING" {
            self.cancel(&ticket).await;
            return Err(no_question());
        }
        match asked.number() {
            Some(number) => Ok(Progress::Choose { ticket, number }),
            None if self.settings.number_match => {
                self.cancel(&ticket).await;
                Err(self
                    .complaints
                    .misconfigured("number", "Okta sends no number to choose: write number_match = false, or switch the number challenge on there"))
            }
            None => Ok(Progress::Pending(ticket)),
        }
    }

    async fn poll(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let pending = || Ok(Progress::Pending(ticket.clone()));
        let answer = match self.send(Verb::GET, ticket.0.to_string(), HeaderMap::new(), None).await {
            // One look that failed says nothing of the question, which is still out.
            Err(FactorError::Faltering | FactorError::Throttled) => return pending(),
            other => other?,
        };
        let verified: Verified = answer.object().filter(|_| answer.status == 200).ok_or_else(|| self.refused(&answer, false))?;
        if verified.strays(&self.hosts, ticket) {
            return Err(self.complaints.misconfigured("transaction", "Okta answers with another question than the one asked about"));
        }
        verified.of_question(ticket)
    }

    async fn send(&self, method: Verb, target: String, mut headers: HeaderMap, body: Option<Vec<u8>>) -> Result<Answer, FactorError> {
        let token = self.settings.token.expose_text().and_then(|token| HeaderValue::try_from(format!("SSWS {token}")).ok());
        let mut token = token.ok_or_else(|| self.complaints.misconfigured("token", "`token` is no API token"))?;
        token.set_sensitive(true);
        headers.insert(AUTHORIZATION, token);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.http.send(Request { method, target, headers, body, poll: None }).await.map_err(|failure| self.complaints.failed(failure, REMEDY))
    }

    /// What a refusal means for the person, and what the operator must do about it.
    fn refused(&self, answer: &Answer, typed: bool) -> FactorError {
        let refusal: Option<Refusal> = answer.object().filter(|_| answer.status >= 400);
        match refusal.as_ref().map_or("no answer of the Factors API", |refusal| &refusal.code) {
            // With a code: the factor is gone since it was looked up, which says nothing of the person.
            "E0000007" | "E0000068" | "E0000082" if typed => FactorError::BadCode,
            "E0000007" => FactorError::NotEnrolled,
            "E0000069" => FactorError::Locked,
            "E0000047" => FactorError::Throttled,
            code @ ("E0000005" | "E0000011") => {
                self.complaints.misconfigured(code, "the API token is wrong or has run out: make a new one and check `token` and `host`")
            }
            code @ "E0000006" => self.complaints.misconfigured(code, "the API token may not do that: its owner needs the rights of a group administrator"),
            code => self.complaints.misconfigured(code, REMEDY),
        }
    }
}

#[async_trait]
impl Provider for Okta {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let person = self.person(asking).await?;
        let method = asking.choice.method;
        let factor = person.factors_for(asking).next().ok_or(FactorError::NotEnrolled)?;
        if method == Method::Oath {
            return Ok(Progress::CodeNeeded { ticket: None });
        }
        let body = (method == Method::Push && self.settings.number_match).then(|| json!({ "useNumberMatchingChallenge": true }).to_string().into_bytes());
        let asked = self.verify_by(asking, &factor, body, false).await?;
        match (method, asked.result.as_str()) {
            (Method::Push, _) => self.pushed(&factor, &asked).await,
            (_, "CHALLENGE") => Ok(Progress::CodeNeeded { ticket: Some(Ticket(factor.into())) }),
            _ => Err(self.complaints.misconfigured("challenge", "Okta sent no code and does not say why")),
        }
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let news = watch(&self.line, self.wait_max, |turn| {
            Box::pin(async move {
                let _turn = turn;
                self.poll(ticket).await
            })
        })
        .await;
        // Whatever it was that ended the wait: nobody looks any more, and the question may be on the phone still.
        if news.as_ref().is_err_and(|error| *error != FactorError::Expired) {
            self.cancel(ticket).await;
        }
        news
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        // Digits, and the letters of a YubiKey; whatever else somebody typed is no code (M-02), and Okta need not see it.
        let typed = code.expose_text().filter(|text| (4..=CODE_LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let body = json!({ "passCode": typed.ok_or(FactorError::BadCode)? }).to_string().into_bytes();
        let person = self.person(asking).await?;
        // A code that was sent is for the factor that sent it, and that must still be this person's.
        let meant = person.factors_for(asking).filter(|factor| ticket.is_none_or(|ticket| *ticket.0 == **factor));
        let mut outcome = Err(FactorError::NotEnrolled);
        for factor in meant.take(GENERATORS_MAX) {
            outcome = self.verify_by(asking, &factor, Some(body.clone()), true).await.and_then(|verified| verified.of_code());
            if outcome != Err(FactorError::BadCode) {
                break;
            }
        }
        outcome
    }

    /// Reads whose token ours is: nobody is asked.
    async fn probe(&self) -> Probed {
        match self.send(Verb::GET, "/api/v1/users/me".to_owned(), HeaderMap::new(), None).await {
            Ok(answer) if answer.status == 200 => Probed::Well { clock: self.http.date() },
            Ok(answer) => self.refused(&answer, false).into(),
            Err(error) => error.into(),
        }
    }

    async fn cancel(&self, ticket: &Ticket) {
        // A factor's path alone is a code that was sent: it runs out by itself.
        if ticket.0.contains("/transactions/") {
            let _best_effort = self.send(Verb::DELETE, ticket.0.to_string(), HeaderMap::new(), None).await;
        }
    }
}

/// Okta counts requests by the minute.
const PACE: Pace = Pace { gap_min: Duration::from_secs(1), gap_max: Duration::from_secs(4), per_s_max: 40 };
const WAIT_MAX: Duration = Duration::from_secs(70);
const CODE_LEN_MAX: usize = 64;
/// Generators of one person that a code is tried with.
const GENERATORS_MAX: usize = 3;
const REMEDY: &str = "what answers there is not Okta's Factors API, or refuses us: check `host`, `url` and `token`";
