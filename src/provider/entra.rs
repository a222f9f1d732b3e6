//! Microsoft Entra, through the connector that Microsoft's own NPS extension uses: push, call, text and codes of the app.
//!
//! Microsoft documents it for nobody else and may change or close it any day. Whoever names this kind has been told so.

mod answer;
mod session;
mod token;
mod xml;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method as Verb;
use reqwest::header::AUTHORIZATION;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;

use self::answer::Begun;
use self::answer::Ended;
use self::answer::Refusal;
use self::answer::refusal;
use self::session::BEGIN;
use self::session::CONNECTOR;
pub use self::session::Cloud;
use self::session::END;
use self::session::Session;
use self::session::begin;
use self::session::guid;
pub use self::token::Certificate;
pub use self::token::Credential;
use self::token::Tokens;
use self::xml::element;
use super::complaints::Complaints;
use super::errand::Errand;
use super::http::Http;
use super::http::OpenError;
use super::http::Request;
use super::line::Line;
use super::line::Pace;
use super::login::Login;
use super::watch::watch;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Method;
use crate::domain::Progress;
use crate::domain::Secret;
use crate::domain::Ticket;
use crate::ports::Clock;
use crate::ports::Probed;
use crate::ports::Provider;

/// One `[provider.NAME]` with `kind = "entra"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The tenant's id, a GUID.
    pub tenant: String,
    /// Who we are there.
    pub credential: Credential,
    /// By which name it knows people: their user principal name.
    pub login: Login,
    /// Whose cloud.
    pub cloud: Cloud,
    /// Where to connect instead of the connector, and instead of the login service: tests, proxies. `http://` to a loopback address alone.
    pub url: Option<String>,
    /// As `url`, for the login service.
    pub login_url: Option<String>,
    /// The certificate authorities that may vouch for both, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}

/// A tenant of Entra.
#[derive(Debug)]
pub struct Entra {
    servers: [Http; 2],
    tokens: Tokens,
    line: Arc<Line>,
    settings: Settings,
    wait_max: Duration,
    complaints: Complaints,
}

impl Entra {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let (login, connectors) = settings.cloud.hosts();
        // Each is well or not by itself, so each has a name of its own.
        let open = |name: &str, base: &str| Http::open(&format!("{}{name}", settings.name), base, settings.ca_file.as_deref(), settings.timeout);
        let server = |name: &str, host: &str| open(name, &settings.url.clone().unwrap_or_else(|| format!("https://{host}")));
        let [first, second] = connectors;
        let target = format!("/{}/oauth2/token", settings.tenant);
        let tokens = Tokens {
            http: open(".login", &settings.login_url.clone().unwrap_or_else(|| format!("https://{login}")))?,
            audience: format!("https://{login}{target}"),
            target,
            resource: format!("https://{first}{CONNECTOR}"),
            credential: settings.credential.clone(),
            clock,
            held: Mutex::default(),
            errand: Errand::new(settings.timeout),
        };
        let complaints = Complaints::new(&settings.name);
        Ok(Self { servers: [server("", first)?, server(".second", second)?], tokens, line: Line::paced(PACE), wait_max: WAIT_MAX, complaints, settings })
    }

    /// How often a question is looked at, instead of every second, and how long one wait lasts, instead of 70 s.
    #[must_use]
    pub fn with_pace(mut self, gap: Duration, wait_max: Duration) -> Self {
        self.line = Line::paced(Pace { gap_min: gap, gap_max: gap, ..PACE });
        self.wait_max = wait_max;
        self
    }

    /// Posts one document. A token that is not accepted any more is got anew, once: who is not let in there was not heard either.
    async fn post(&self, server: usize, target: &str, document: String) -> Result<Vec<u8>, FactorError> {
        let http = self.servers.get(server).ok_or(FactorError::Misconfigured)?;
        for last in [false, true] {
            let token = self.tokens.token(&self.complaints).await?;
            let bearer = token.expose_text().and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
            let mut bearer = bearer.ok_or_else(|| self.complaints.misconfigured("token", "the tenant's token fits in no header"))?;
            bearer.set_sensitive(true);
            let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer), (CONTENT_TYPE, HeaderValue::from_static("application/xml"))]);
            let request = Request { method: Verb::POST, target: target.to_owned(), headers, body: Some(document.clone().into_bytes()), poll: None };
            let answer = http.send(request).await.map_err(|failure| self.complaints.failed(failure, GARBLED))?;
            match answer.status {
                200 => return Ok(answer.body),
                401 if !last => self.tokens.forget(&token),
                status => return Err(self.complaints.misconfigured(&status.to_string(), GARBLED)),
            }
        }
        Err(FactorError::Misconfigured)
    }

    /// Asks how a session stands, or brings its code.
    async fn end(&self, ticket: &Ticket, session: &Session<'_>, code: Option<&str>) -> Result<Progress, FactorError> {
        let code = code.map(|code| element("AdditionalAuthData", code)).unwrap_or_default();
        let (id, context, user) = (element("SessionId", session.id), element("ContextId", session.context), element("UserPrincipalName", session.user));
        let document = format!("<{END}Request><Version>1.0</Version>{id}{context}{code}{user}</{END}Request>");
        let body = self.post(session.server, session.target, document).await?;
        let ended = Ended::read(&body).ok_or_else(|| self.complaints.misconfigured("no answer of the connector", GARBLED))?;
        ended.outcome(ticket, session.id, session.user).or_else(|refusal| self.refused(ended.result(), refusal))
    }

    fn refused(&self, result: &str, refusal: Refusal) -> Result<Progress, FactorError> {
        match refusal {
            Refusal::Denied => Ok(Progress::Denied { fraud: false }),
            Refusal::Fraud => Ok(Progress::Denied { fraud: true }),
            Refusal::Factor(error) => Err(error),
            Refusal::Operator(remedy) => Err(self.complaints.misconfigured(result, remedy)),
        }
    }

    async fn poll(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        let session = Session::of(ticket).ok_or(FactorError::Misconfigured)?;
        match self.end(ticket, &session, None).await {
            // One look that failed says nothing of the question, which is still out.
            Err(FactorError::Faltering | FactorError::Throttled) => Ok(Progress::Pending(ticket.clone())),
            other => other,
        }
    }
}

#[async_trait]
impl Provider for Entra {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let user = self.settings.login.of(&asking.account).ok_or(FactorError::NotEnrolled)?;
        let method = match asking.choice.method {
            Method::Call => "TwoWayVoiceMobile",
            Method::Oath => "PhoneAppOTP",
            Method::Push => "PhoneAppNotification",
            Method::Text => "OneWaySMS",
            Method::Email => return Err(FactorError::Misconfigured),
        };
        let context = guid(asking.trace.0);
        let body = self.post(0, &format!("{CONNECTOR}/{BEGIN}"), begin(&self.settings.tenant, asking, &user, method, &context)).await?;
        let begun = Begun::read(&body).ok_or_else(|| self.complaints.misconfigured("no answer of the connector", GARBLED))?;
        if begun.result() != "Success" {
            return self.refused(begun.result(), refusal(begun.result()));
        }
        let strays = || self.complaints.misconfigured("session", "the connector began no session of this person's, or one that leads elsewhere");
        let session = begun.session(&user).ok_or_else(strays)?;
        let (server, target) = self.settings.affinity(begun.affinity()).ok_or_else(strays)?;
        let ticket = Ticket(format!("{server} {target} {session} {context} {user}").into());
        if ticket.0.len() > Ticket::LEN_MAX {
            return Err(strays());
        }
        self.complaints.forget();
        // What it says of the result now says nothing: whoever has not answered yet has not approved.
        if matches!(asking.choice.method, Method::Oath | Method::Text) || begun.is_challenge() {
            return Ok(Progress::CodeNeeded { ticket: Some(ticket) });
        }
        Ok(Progress::Pending(ticket))
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        watch(&self.line, self.wait_max, |turn| {
            Box::pin(async move {
                let _turn = turn;
                self.poll(ticket).await
            })
        })
        .await
    }

    async fn verify(&self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        let typed = code.expose_text().filter(|text| (4..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
        let (typed, ticket) = (typed.ok_or(FactorError::BadCode)?, ticket.ok_or(FactorError::Expired)?);
        let user = self.settings.login.of(&asking.account).ok_or(FactorError::NotEnrolled)?;
        // A code is for the session that asked for it, and that must be this login's of this person.
        let ours = |session: &Session<'_>| session.user == user && session.context == guid(asking.trace.0);
        let session = Session::of(ticket).filter(ours).ok_or(FactorError::Expired)?;
        match self.end(ticket, &session, Some(typed)).await? {
            Progress::Pending(_) | Progress::Denied { fraud: false } => Err(FactorError::BadCode),
            other => Ok(other),
        }
    }

    /// Fetches a token: nobody is asked.
    async fn probe(&self) -> Probed {
        self.tokens.token(&self.complaints).await.map_or_else(Probed::from, |_| Probed::Well { clock: self.tokens.http.date() })
    }

    /// The connector cannot take a question back: it stays on the phone until it runs out. An approval that comes late opens nothing, since nobody asks for it
    /// any more.
    async fn cancel(&self, _ticket: &Ticket) {}
}

const PACE: Pace = Pace { gap_min: Duration::from_secs(1), gap_max: Duration::from_secs(2), per_s_max: 100 };
const WAIT_MAX: Duration = Duration::from_secs(70);
const GARBLED: &str =
    "what answers there is not the connector, or it has changed: check `tenant`, `cloud` and `url`; Microsoft supports it for nobody but itself";
