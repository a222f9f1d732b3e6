//! The one HTTP client of all providers: bounded in time and size, no redirects, no proxy by surprise, and it knows when to leave a server alone.

mod head;

use std::error::Error;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Certificate;
use reqwest::Client;
use reqwest::Method;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::Url;
use reqwest::Version;
use reqwest::header::HeaderMap;
use reqwest::redirect;
use reqwest::retry;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::debug;
use tracing::info;
use tracing::warn;

use self::head::date_s;
use self::head::retry_after;
use super::breaker::Breaker;
use super::breaker::Closed;
use super::breaker::Pass;
use super::breaker::Turn;
use crate::domain::FactorError;
use crate::domain::Timestamp;
use crate::metrics;
use crate::reach;
use crate::reach::Found;

/// Bytes of an answer's body; one that is longer is not read to its end and is no answer.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Requests under way at a time to one provider, polls not counted.
pub const ASKING_MAX: usize = 256;

/// A connection to one provider's server; connections are kept and used again.
#[derive(Debug)]
pub struct Http {
    name: String,
    base: String,
    /// For what is answered at once.
    client: Client,
    asking: Semaphore,
    /// For long polls, by turns: over HTTP/2 a server bears about a hundred on a connection, and a push that is to go out must not stand behind them.
    lanes: Vec<Client>,
    lane: AtomicUsize,
    timeout: Duration,
    /// How long to keep silent after a 429 that does not say.
    pause: Duration,
    breaker: Mutex<Breaker>,
    /// What an answer takes at present, in microseconds; 0: nothing was answered yet.
    usual_us: AtomicU64,
    /// It speaks HTTP/2.
    streams: AtomicBool,
    /// The `Date` of its last answer, in seconds since 1970; 0: it told none.
    date_s: AtomicU64,
}

/// One request.
pub struct Request {
    /// `GET`, `POST`.
    pub method: Method,
    /// Path and query, from its `/` on, already percent-encoded.
    pub target: String,
    /// What goes along.
    pub headers: HeaderMap,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
    /// `Some`: a long poll, which may take so long. That it runs out or is cut says nothing about the server's health: a person who does not answer makes
    /// it happen, and must not be able to make a provider look unreachable by it.
    pub poll: Option<Duration>,
}

/// Without headers and body: they hold keys and codes.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("method", &self.method).field("target", &self.target).finish_non_exhaustive()
    }
}

/// What a server said: any status but 429 and 5xx.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// What came along.
    pub headers: HeaderMap,
    /// At most [`BODY_BYTES_MAX`] bytes.
    pub body: Vec<u8>,
}

/// Without headers and body: they hold tokens and cookies.
impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

impl Answer {
    /// The body, if it is one JSON object of this shape and nothing else. A list is never taken for one.
    #[must_use]
    pub fn object<T: DeserializeOwned>(&self) -> Option<T> {
        let begins = self.body.trim_ascii_start().first() == Some(&b'{');
        serde_json::from_slice(&self.body).ok().filter(|_| begins)
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, and whether there is a server at all is not known yet; or there is, and it is silent, cuts its answers off or says 5xx (M-14).
    Faltering,
    /// The answer is too long.
    Garbled,
    /// The server asked to be left alone (429), now or a while ago; or we ask it more than we allow ourselves, or than this machine has descriptors for.
    Throttled,
    /// No connection three times in a row; or no connection after answers that did not come or said 5xx; or it was so and the next try is not due.
    Unreachable,
    /// Whoever answers there cannot prove to be the one we mean (TLS).
    Untrusted,
}

impl Failure {
    /// The word in log and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faltering => "faltering",
            Self::Garbled => "garbled",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
        }
    }
}

/// Only [`Failure::Unreachable`] may ever open a door; somebody else's certificate or a flood of bytes is no outage.
impl From<Failure> for FactorError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Faltering => Self::Faltering,
            Failure::Garbled | Failure::Untrusted => Self::Misconfigured,
            Failure::Throttled => Self::Throttled,
            Failure::Unreachable => Self::Unreachable,
        }
    }
}

/// Why there can be no client.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The base is no URL.
    #[error("`{url}` is not a URL of a server: write https://name or https://name:port")]
    BadUrl {
        /// As given.
        url: String,
    },
    /// The CA file cannot be used.
    #[error("ca_file {}: {why}", path.display())]
    CaFile {
        /// As given.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The TLS library does not start.
    #[error("the HTTP client does not start: {0}")]
    Client(String),
    /// `http://` to another machine.
    #[error("`{url}` would send secrets in clear text: write https:// (http:// is for loopback addresses alone)")]
    ClearText {
        /// As given.
        url: String,
    },
}

impl Http {
    /// A client for the server at `base` (`https://host[:port][/path]`; `http://` to a loopback host alone). `name` is the provider's in the configuration.
    /// `timeout` bounds each request that is not a long poll, from connecting to the last byte.
    ///
    /// # Errors
    /// What is wrong with the settings. Nothing is connected yet.
    pub fn open(name: &str, base: &str, ca_file: Option<&Path>, timeout: Duration) -> Result<Self, OpenError> {
        check_base(base)?;
        let trusted = ca_file.map(certificates).transpose()?;
        let open = || client(timeout, trusted.clone()).map_err(|error| OpenError::Client(chain(&error)));
        let lanes = (0..LANES).map(|_| open()).collect::<Result<_, _>>()?;
        metrics::healthy(ROOM, name, true);
        Ok(Self {
            name: name.to_owned(),
            base: base.trim_end_matches('/').to_owned(),
            client: open()?,
            asking: Semaphore::new(ASKING_MAX),
            lanes,
            lane: AtomicUsize::new(0),
            timeout,
            pause: PAUSE,
            breaker: Mutex::new(Breaker::new()),
            usual_us: AtomicU64::new(0),
            streams: AtomicBool::new(false),
            date_s: AtomicU64::new(0),
        })
    }

    /// For a server whose 429 is about one person and not about us, unless it says how long to keep silent: nobody may silence it for all others by asking
    /// for one message after the other.
    #[must_use]
    pub fn with_personal_limits(mut self) -> Self {
        self.pause = Duration::ZERO;
        self
    }

    /// What time it was there when it answered last, to a second, if it told.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let seconds = self.date_s.load(Ordering::Relaxed);
        (seconds > 0).then(|| Timestamp(seconds.saturating_mul(1_000)))
    }

    /// A poll that is not answered within this time has no news: what is known is told at once.
    #[must_use]
    pub fn brief(&self) -> Duration {
        match self.usual_us.load(Ordering::Relaxed) {
            0 => BRIEF_UNKNOWN,
            usual => Duration::from_micros(usual).saturating_mul(4).clamp(BRIEF_MIN, BRIEF_MAX),
        }
    }

    /// What it costs to break a request off. A stream of HTTP/2 costs nothing. A connection keeps its port for a minute after its end, and there are 28,000 of
    /// them towards one server; those of loopback are used again after a second.
    #[must_use]
    pub fn broken_off(&self) -> Duration {
        let near = Url::parse(&self.base).ok().and_then(|url| url.host_str().map(is_loopback)).unwrap_or(false);
        if near || self.streams.load(Ordering::Relaxed) { Duration::ZERO } else { PORT_EVERY }
    }

    /// Sends one request, once.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let outcome = self.placed(request).await;
        let label = match &outcome {
            Ok(answer) if answer.status < 400 => "answered",
            Ok(_) => "refused",
            Err(failure) => failure.as_str(),
        };
        ::metrics::counter!(metrics::PROVIDER_REQUESTS, "provider" => self.name.clone(), "outcome" => label).increment(1);
        outcome
    }

    /// An answer was not to be believed, or not understood: counted, beside that it came.
    pub fn disbelieve(&self) {
        ::metrics::counter!(metrics::PROVIDER_REQUESTS, "provider" => self.name.clone(), "outcome" => "disbelieved").increment(1);
    }

    /// Polls are counted by those who send them; of the others so many are under way at most.
    async fn placed(&self, request: Request) -> Result<Answer, Failure> {
        let placed = if request.poll.is_none() { Some(tokio::time::timeout(self.timeout, self.asking.acquire()).await) } else { None };
        // That we have much to ask is no outage of theirs.
        let _place = placed.transpose().map_err(|_| Failure::Throttled)?;
        Box::pin(self.admitted(request)).await
    }

    async fn admitted(&self, request: Request) -> Result<Answer, Failure> {
        let admitted = self.guard(|breaker| breaker.admit(Instant::now()));
        let pass = admitted.map_err(|closed| match closed {
            Closed::Failing => Failure::Unreachable,
            Closed::Quiet => Failure::Throttled,
        })?;
        let poll = request.poll.is_some();
        let outcome = match self.exchange(request, pass).await {
            Err(Trouble::Down(why)) => Err(self.without(why).await),
            outcome => outcome,
        };
        match &outcome {
            Ok(_) | Err(Trouble::TooLong | Trouble::Throttled(_)) => self.turned(self.guard(Breaker::succeeded), "it answers"),
            Err(Trouble::Torn(why)) => {
                debug!(provider = %self.name, why, "an answer broke off");
                self.turned(self.guard(Breaker::succeeded), "it answers");
            }
            // Not counted: an open breaker says "unreachable", and this never is.
            Err(Trouble::Tls(why)) => warn!(provider = %self.name, why, "whoever answers for the provider cannot be trusted: check host, url and ca_file"),
            Err(Trouble::Broken(why) | Trouble::Silent(why)) if poll => debug!(provider = %self.name, why, "a long poll broke off"),
            Err(Trouble::Broken(why)) => self.turned(self.guard(|breaker| breaker.faltered(Instant::now(), false)), why),
            Err(Trouble::Silent(why)) => self.turned(self.guard(|breaker| breaker.faltered(Instant::now(), true)), why),
            Err(Trouble::Down(why)) => self.turned(self.guard(|breaker| breaker.failed(Instant::now(), pass)), why),
            // Nobody can tell how the server is: it is not counted, and opens nothing.
            Err(Trouble::Untried(why)) => {
                warn!(provider = %self.name, why, "the provider could not be asked for want of something on this machine");
                self.guard(Breaker::there);
            }
        }
        if matches!(&outcome, Err(Trouble::Broken(_) | Trouble::Down(_) | Trouble::Silent(_))) && !poll {
            self.look(pass).await;
        }
        if let Err(Trouble::Throttled(wait)) = &outcome {
            debug!(provider = %self.name, wait_s = wait.as_secs(), "the provider asks to be left alone for a while");
            self.guard(|breaker| breaker.hush(Instant::now(), *wait));
        }
        outcome.map_err(|trouble| match trouble.failure() {
            Failure::Faltering if self.guard(|breaker| breaker.is_open()) => Failure::Unreachable,
            failure => failure,
        })
    }

    /// Where failures are of a sort that one person can cause, the server is away only if there is no connection to be had either (M-14). Nobody's name goes
    /// out with that.
    async fn look(&self, pass: Pass) {
        if !self.guard(|breaker| breaker.is_in_doubt()) {
            return;
        }
        let found = self.reached().await;
        self.guard(|breaker| if found == Found::Away { breaker.gone(Instant::now(), pass) } else { breaker.there() });
    }

    /// There was no connection for a request. That is an outage only if TCP has none either: a server that breaks off TLS is there, and a machine without
    /// descriptors knows nothing of it (M-14).
    async fn without(&self, why: String) -> Trouble {
        match self.reached().await {
            Found::Away => Trouble::Down(why),
            Found::There => Trouble::Broken(why),
            Found::Untried => Trouble::Untried(why),
        }
    }

    async fn reached(&self) -> Found {
        let url = Url::parse(&self.base).ok();
        let place = url.as_ref().and_then(|url| Some((url.host_str()?.trim_start_matches('[').trim_end_matches(']'), url.port_or_known_default()?)));
        match place {
            Some((host, port)) => reach::look(host, port).await,
            None => Found::Untried,
        }
    }

    async fn exchange(&self, request: Request, pass: Pass) -> Result<Answer, Trouble> {
        let began = Instant::now();
        let polls = request.poll.is_some();
        let client = if polls { self.next_lane() } else { &self.client };
        let mut sent = client.request(request.method, format!("{}{}", self.base, request.target)).headers(request.headers);
        let whole = if pass == Pass::Brief { self.timeout.min(Breaker::BRIEF) } else { self.timeout };
        sent = sent.timeout(request.poll.unwrap_or(whole));
        if let Some(body) = request.body {
            sent = sent.body(body);
        }
        let mut patience = Patience { http: self, began, counts: !polls };
        let response = sent.send().await;
        patience.counts = false;
        let response = response.map_err(Trouble::from)?;
        self.streams.store(response.version() >= Version::HTTP_2, Ordering::Relaxed);
        self.date_s.store(date_s(response.headers()).unwrap_or(0), Ordering::Relaxed);
        if !polls {
            self.note(began.elapsed());
        }
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Trouble::Throttled(retry_after(response.headers(), self.pause)));
        }
        if status.is_server_error() {
            return Err(Trouble::Broken(format!("it answered {}", status.as_u16())));
        }
        let headers = response.headers().clone();
        let body = read(response).await.map_err(|trouble| match trouble {
            Trouble::Broken(why) | Trouble::Down(why) | Trouble::Silent(why) => Trouble::Torn(why),
            other => other,
        })?;
        Ok(Answer { status: status.as_u16(), headers, body })
    }

    fn next_lane(&self) -> &Client {
        let turn = self.lane.fetch_add(1, Ordering::Relaxed).checked_rem(self.lanes.len()).unwrap_or(0);
        self.lanes.get(turn).unwrap_or(&self.client)
    }

    /// A slow mean over the last eight or so.
    fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
        let mean = |usual: u64| if usual == 0 { took } else { usual.saturating_sub(usual / 8).saturating_add(took / 8).max(1) };
        // Two that note at once and one of which is lost do no harm.
        self.usual_us.store(mean(self.usual_us.load(Ordering::Relaxed)), Ordering::Relaxed);
    }

    /// Says once that the server went away or came back.
    fn turned(&self, turn: Turn, why: &str) {
        match turn {
            Turn::Away => {
                warn!(provider = %self.name, why, "the provider is unreachable");
                metrics::healthy(ROOM, &self.name, false);
            }
            Turn::Back => {
                info!(provider = %self.name, "the provider is well again");
                metrics::healthy(ROOM, &self.name, true);
            }
            Turn::None => debug!(provider = %self.name, why, "no change of the provider's health"),
        }
    }

    fn guard<T>(&self, look: impl FnOnce(&mut Breaker) -> T) -> T {
        look(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whoever asked may give up before we do, and then nobody is there to count that no answer came.
struct Patience<'a> {
    http: &'a Http,
    began: Instant,
    counts: bool,
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if self.counts && self.began.elapsed() >= SILENCE_MIN {
            self.http.turned(self.http.guard(|breaker| breaker.faltered(Instant::now(), true)), "no answer came before the login gave up");
        }
    }
}

/// What went wrong, in more words than the caller needs.
#[derive(Debug)]
enum Trouble {
    /// The connection was there and ended without an answer, or the answer said that the server is broken.
    Broken(String),
    /// There is no connection to be had.
    Down(String),
    /// No answer came in time.
    Silent(String),
    Throttled(Duration),
    Tls(String),
    TooLong,
    /// It answered, and the answer never came to its end.
    Torn(String),
    /// This machine has not even tried.
    Untried(String),
}

impl Trouble {
    fn failure(&self) -> Failure {
        match self {
            Self::Broken(_) | Self::Down(_) | Self::Silent(_) | Self::Torn(_) => Failure::Faltering,
            Self::Throttled(_) | Self::Untried(_) => Failure::Throttled,
            Self::Tls(_) => Failure::Untrusted,
            Self::TooLong => Failure::Garbled,
        }
    }
}

impl From<reqwest::Error> for Trouble {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let why = chain(&error);
        if speaks_of_tls(&error) {
            Self::Tls(why)
        } else if error.is_timeout() {
            // Before the connection, in its TLS, or after it: nobody knows, and it is found out when it counts.
            Self::Silent(why)
        } else if error.is_connect() {
            Self::Down(why)
        } else {
            Self::Broken(why)
        }
    }
}

/// Connections that are kept and used again.
fn client(timeout: Duration, trusted: Option<Vec<Certificate>>) -> Result<Client, reqwest::Error> {
    let builder = Client::builder()
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        // A push must not go out twice because a library tried again.
        .retry(retry::never())
        .referer(false)
        .no_proxy()
        .connect_timeout(timeout)
        .pool_idle_timeout(IDLE_MAX)
        // HTTP/2 puts everybody on one connection; one that a firewall has silently forgotten would fail them all until TCP notices, in a quarter of an hour.
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_timeout(timeout)
        .http2_keep_alive_while_idle(true);
    match trusted {
        Some(trusted) => builder.tls_certs_only(trusted),
        None => builder,
    }
    .build()
}

/// Reads the body, and stops when it grows too long.
async fn read(mut response: Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len().saturating_add(piece.len()) > BODY_BYTES_MAX {
            return Err(Trouble::TooLong);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn check_base(base: &str) -> Result<(), OpenError> {
    let bad = || OpenError::BadUrl { url: base.to_owned() };
    let url = Url::parse(base).map_err(|_| bad())?;
    let host = url.host_str().ok_or_else(bad)?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        "http" => Err(OpenError::ClearText { url: base.to_owned() }),
        _ => Err(bad()),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, OpenError> {
    let wrong = |why: String| OpenError::CaFile { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate in it: it must hold `BEGIN CERTIFICATE`".to_owned()));
    }
    Ok(certificates)
}

/// One segment of a path, percent-encoded; `None` for those that are none: an empty one and the two that mean a place (`.`, `..`).
#[must_use]
pub(super) fn segment(text: &str) -> Option<String> {
    (!["", ".", ".."].contains(&text)).then(|| escaped(text))
}

/// The body of a form (`application/x-www-form-urlencoded`).
pub(super) fn form(fields: &[(&str, &str)]) -> Vec<u8> {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    pairs.join("&").into_bytes()
}

/// Everything but what RFC 3986 §2.3 leaves unreserved is percent-encoded.
pub(super) fn escaped(text: &str) -> String {
    let byte = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

/// An error and its causes in one line: the outermost alone says next to nothing.
fn chain(error: &dyn Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told.push_str(": ");
        told.push_str(&error.to_string());
        cause = error.source();
    }
    told
}

fn speaks_of_tls(error: &(dyn Error + 'static)) -> bool {
    // An io::Error hides the error it carries from source().
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| speaks_of_tls(inner)) || error.source().is_some_and(speaks_of_tls)
}

const ROOM: &str = "provider";
const PAUSE: Duration = Duration::from_secs(1);
/// Who gives up sooner has not waited for an answer.
const SILENCE_MIN: Duration = Duration::from_secs(1);
const IDLE_MAX: Duration = Duration::from_secs(60);
const PING_EVERY: Duration = Duration::from_secs(10);
const LANES: usize = 4;
const BRIEF_UNKNOWN: Duration = Duration::from_millis(500);
const BRIEF_MIN: Duration = Duration::from_millis(30);
const BRIEF_MAX: Duration = Duration::from_secs(2);
const PORT_EVERY: Duration = Duration::from_micros(2_500);

#[cfg(test)]
mod tests;
