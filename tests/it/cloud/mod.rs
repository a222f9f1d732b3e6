//! What every provider is tested against: a cloud of one script, whose answers may be good, lies, late, cut, endless, or not there at all.

mod email;
mod entra;
mod okta;
mod outage;
mod privacyidea;
mod sms;
mod twilio;
mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use vestibule::domain::Account;
use vestibule::domain::Asking;
use vestibule::domain::Choice;
use vestibule::domain::FactorError;
use vestibule::domain::Identity;
use vestibule::domain::Method;
use vestibule::domain::Progress;
use vestibule::domain::Timestamp;
use vestibule::domain::Trace;
use vestibule::ports::Clock;
use vestibule::ports::Probed;
use vestibule::ports::Provider;

/// What a provider says.
pub(crate) type Outcome = Result<Progress, FactorError>;

pub(crate) const ALLOWED: Outcome = Ok(Progress::Allowed { spend: None });
pub(crate) const DENIED: Outcome = Ok(Progress::Denied { fraud: false });
/// For `Settings::timeout`: what is silent costs a test no more than this.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);
/// 2027-01-15 08:00:00 UTC.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Behind the `?`, still encoded; empty where there is none.
    pub(crate) query: String,
    /// By their names in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Heard {
    /// `POST /v1/things`: what scripts look at.
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as a form's fields, decoded.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://form/?{}", self.text())).unwrap();
        url.query_pairs().into_owned().collect()
    }
}

/// What a script says to a request.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Answer {
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    },
    /// Hangs up in the middle of a body.
    Cut,
    /// Chunks for ever.
    Endless,
    /// 10 MB.
    Huge,
    /// Takes the request and never answers.
    Silent,
}

impl Said {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::text(status, "application/json", body)
    }

    pub(crate) fn text(status: u16, kind: &str, body: &str) -> Self {
        Self::Answer { status, headers: Vec::new(), body: body.as_bytes().to_vec() }.header("content-type", kind)
    }

    /// To where a good answer would be waiting.
    pub(crate) fn redirect(to: &str) -> Self {
        Self::json(307, "{}").header("location", to)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        if let Self::Answer { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// A cloud on a port of its own. It is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Sky {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    accepting: AbortHandle,
}

impl Sky {
    /// Answers every request by the script.
    pub(crate) async fn open(script: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Self {
        Self::open_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// The same, where somebody was before.
    pub(crate) async fn open_at(address: SocketAddr, script: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let (script, diary) = (Arc::new(script), Arc::clone(&heard));
        let accepting = tokio::spawn(async move {
            // Connections end with whoever accepted them.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(talk(stream, Arc::clone(&script), Arc::clone(&diary)));
            }
        });
        Self { address, heard, accepting: accepting.abort_handle() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that was asked so far, in its order.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// The lines of all that was asked so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.heard().iter().map(Heard::line).collect()
    }
}

impl Drop for Sky {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The URL of a port that nobody listens at.
pub(crate) async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Alice, of whom everything is known, at a VPN gate.
pub(crate) fn asking(method: Method) -> Asking {
    let identity = Identity("S-1-5-21-1-2-3-1104".into());
    let mut alice = Account::new(identity.clone(), "alice", Some("corp".into()), Timestamp(0));
    alice.mail = Some("alice.adams@corp.example".into());
    alice.phone = Some("+4917012345678".into());
    alice.backup_phone = Some("+4315550100".into());
    alice.given_name = Some("Alice".into());
    alice.family_name = Some("Adams".into());
    alice.language = Some("de".into());
    let choice = Choice::new(method, "cloud");
    let source = Some("192.0.2.7".parse().unwrap());
    Asking { identity, account: Arc::new(alice), choice, client: "vpn-gate_1".into(), source, trace: Trace(0x5eed) }
}

/// As [`asking`], of an account that was changed first.
pub(crate) fn asking_of(method: Method, change: impl FnOnce(&mut Account)) -> Asking {
    let mut asking = asking(method);
    change(Arc::make_mut(&mut asking.account));
    asking
}

/// For `Settings::ca_file`: nobody speaks TLS here, and reading the machine's own authorities for every provider that is made takes a second.
pub(crate) fn authority() -> PathBuf {
    static FILE: OnceLock<tempfile::NamedTempFile> = OnceLock::new();
    let written = || {
        let made = rcgen::generate_simple_self_signed(vec!["cloud.example".into()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), made.cert.pem()).unwrap();
        file
    };
    FILE.get_or_init(written).path().to_owned()
}

/// A clock that stands at [`NOW_MS`] until it is set.
#[derive(Debug)]
pub(crate) struct Dial(pub(crate) Mutex<u64>);

impl Clock for Dial {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

pub(crate) fn clock() -> Arc<Dial> {
    Arc::new(Dial(Mutex::new(NOW_MS)))
}

/// Asks, and hears it to the end as an engine would. A number that is to be shown counts as shown.
pub(crate) async fn settle(provider: &dyn Provider, asking: &Asking) -> Outcome {
    let mut progress = provider.start(asking).await;
    let hear = async {
        while let Ok(Progress::Pending(ticket) | Progress::Choose { ticket, .. }) = &progress {
            progress = provider.wait(ticket).await;
        }
        progress
    };
    tokio::time::timeout(Duration::from_secs(20), hear).await.expect("the question never ended")
}

/// Bad weather of every kind, by its name. `elsewhere` is where the redirect leads.
fn weathers(elsewhere: &str) -> Vec<(&'static str, Said)> {
    let html = "<html><body>allow approved success true</body></html>";
    vec![
        ("cut", Said::Cut),
        ("endless", Said::Endless),
        ("huge", Said::Huge),
        ("silent", Said::Silent),
        ("redirect", Said::redirect(elsewhere)),
        ("empty", Said::json(200, "")),
        ("null", Said::json(200, "null")),
        ("array", Said::json(200, "[]")),
        ("object", Said::json(200, "{}")),
        ("true", Said::json(200, "true")),
        ("page", Said::text(200, "text/html", html)),
        ("204", Said::json(204, "")),
        ("401", Said::json(401, "{}")),
        ("403", Said::json(403, "{}")),
        ("404", Said::json(404, "{}")),
        ("429", Said::json(429, "{}").header("retry-after", "1")),
        ("500", Said::json(500, "{}")),
        ("503", Said::json(503, "{}")),
    ]
}

/// One provider in every kind of bad weather, and told every lie: `ask` makes it anew for the URL it is given and says what came of a login (asks, types a
/// code, waits: whatever shall be shown). Requests whose `METHOD /path` contains `at` get the weather, all others what `good` says.
///
/// Nothing of it may let anybody in, a redirect may lead nowhere, and one storm is no proof that the provider is away (M-14). What each became is returned by
/// its name; `dead` is a port where nobody listens.
pub(crate) async fn storm(
    at: &'static str,
    good: impl Fn(&Heard) -> Said + Clone + Send + Sync + 'static,
    lies: &[(&'static str, Said)],
    ask: impl AsyncFn(String) -> Outcome,
) -> BTreeMap<&'static str, Outcome> {
    let elsewhere = Sky::open(good.clone()).await;
    let fine = Sky::open(good.clone()).await;
    let allowed = ask(fine.url()).await;
    assert!(lets_in(&allowed), "in fair weather the person gets in, or this shows nothing: {allowed:?}");
    let mut became = BTreeMap::new();
    let all = weathers(&format!("{}/elsewhere", elsewhere.url())).into_iter().chain(lies.iter().cloned());
    for (name, weather) in all {
        let good = good.clone();
        let sky = Sky::open(move |heard: &Heard| if heard.line().contains(at) { weather.clone() } else { good(heard) }).await;
        let outcome = tokio::time::timeout(Duration::from_secs(20), ask(sky.url())).await.unwrap_or_else(|_| panic!("{name}: it never ended"));
        assert!(sky.lines().iter().any(|line| line.contains(at)), "{name}: nobody asked {at}: {:?}", sky.lines());
        assert!(!lets_in(&outcome), "{name} at {at}: {outcome:?}");
        assert_ne!(outcome, Err(FactorError::Unreachable), "{name} at {at}");
        assert!(became.insert(name, outcome).is_none(), "two lies are called {name}");
    }
    assert!(elsewhere.lines().is_empty(), "a redirect was followed: {:?}", elsewhere.lines());
    let dead = ask(nowhere().await).await;
    assert_eq!(dead, Err(FactorError::Faltering), "dead");
    became.insert("dead", dead);
    became
}

/// Whether this outcome opens the door.
pub(crate) fn lets_in(outcome: &Outcome) -> bool {
    matches!(outcome, Ok(Progress::Allowed { .. } | Progress::Waived))
}

/// That each of these became this.
#[track_caller]
pub(crate) fn assert_became(became: &BTreeMap<&'static str, Outcome>, names: &[&str], outcome: &Outcome) {
    for name in names {
        assert_eq!(became.get(name), Some(outcome), "{name}");
    }
}

async fn talk(mut stream: TcpStream, script: Arc<impl Fn(&Heard) -> Said>, diary: Arc<Mutex<Vec<Heard>>>) {
    let mut buffer = Vec::new();
    while let Some(heard) = hear(&mut stream, &mut buffer).await {
        diary.lock().unwrap().push(heard.clone());
        let said = script(&heard);
        if say(&mut stream, said).await.is_err() {
            return;
        }
    }
}

/// One request; `None` at the end of the connection.
async fn hear(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Heard> {
    let head_len = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..head_len].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    let body_len: usize = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let end = head_len + 4 + body_len;
    while buffer.len() < end {
        more(stream, buffer).await?;
    }
    let body = buffer[head_len + 4..end].to_vec();
    buffer.drain(..end);
    Some(Heard { method, path: path.to_owned(), query: query.to_owned(), headers, body })
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(buffer).await.ok()?;
    (read > 0).then_some(())
}

/// An error is the end of the connection.
async fn say(stream: &mut TcpStream, said: Said) -> std::io::Result<()> {
    let (status, headers, body) = match said {
        Said::Answer { status, headers, body } => (status, headers, body),
        Said::Huge => (200, Vec::new(), vec![b' '; 10_000_000]),
        Said::Cut => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"").await?;
            stream.flush().await?;
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        Said::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let mut beat = tokio::time::interval(Duration::from_millis(5));
            loop {
                beat.tick().await;
                stream.write_all(b"1\r\n \r\n").await?;
            }
        }
        Said::Silent => return std::future::pending().await,
    };
    let mut head = format!("HTTP/1.1 {status} Said\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await
}

#[tokio::test]
async fn the_sky_tells_what_it_heard_and_says_what_it_is_told() {
    let sky = Sky::open(|heard| Said::json(201, &format!("{{\"path\":{:?}}}", heard.path)).header("x-a", "b")).await;
    let client = reqwest::Client::new();
    for _ in 0..2 {
        let answer = client.post(format!("{}/v1/a?b=c", sky.url())).header("X-Who", "me").body("d=e%20f").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers()["x-a"].to_str().unwrap()), (201, "b"));
        assert_eq!(answer.text().await.unwrap(), r#"{"path":"/v1/a"}"#);
    }
    let heard = &sky.heard()[1];
    assert_eq!((heard.line().as_str(), heard.query.as_str(), heard.header("x-who")), ("POST /v1/a", "b=c", "me"));
    assert_eq!(heard.form().get("d").map(String::as_str), Some("e f"));
}
