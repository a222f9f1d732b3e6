//! Lab cloud: answers pushes, calls and passcodes as Duo does, over real HTTP, and checks who asks as strictly as Duo does.

mod answer;
mod wire;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use self::wire::Line;
use self::wire::Lines;
use crate::domain::Secret;
use crate::ports::Clock;

/// A person with a telephone.
#[derive(Clone, Debug)]
pub struct Person {
    /// The name our side asks for; case ignored.
    pub name: String,
    /// What happens when somebody asks.
    pub manner: Manner,
    /// Codes that are good, each once.
    pub passcodes: Vec<String>,
    /// What the telephone can do: `push`, `phone`, `sms`, `mobile_otp`.
    pub capabilities: Vec<String>,
    /// What the cloud calls the telephones; all can do the same.
    pub devices: Vec<String>,
}

impl Person {
    /// Somebody whose telephone takes pushes and calls, without passcodes.
    #[must_use]
    pub fn new(name: &str, manner: Manner) -> Self {
        let capabilities = ["push", "phone", "mobile_otp"].map(str::to_owned).to_vec();
        Self { name: name.to_owned(), manner, passcodes: Vec::new(), capabilities, devices: vec![DEVICE.to_owned()] }
    }

    /// With these passcodes too.
    #[must_use]
    pub fn with_passcodes(mut self, codes: &[&str]) -> Self {
        self.passcodes = codes.iter().map(|code| (*code).to_owned()).collect();
        self
    }

    /// With a telephone that can do this and no more.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: &[&str]) -> Self {
        self.capabilities = capabilities.iter().map(|word| (*word).to_owned()).collect();
        self
    }
}

/// How somebody answers. Who approves by himself types the number that was shown, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Let in without a question, as the cloud's own policy says.
    AllowedAtOnce,
    /// Approves after so long.
    Approves(Duration),
    /// Says no after so long.
    Denies(Duration),
    /// Refused without a question.
    DeniedAtOnce,
    /// Does not answer; the cloud gives up after so long.
    Ignores(Duration),
    /// Locked out by the cloud: asked, and refused at once.
    LockedOut,
    /// Does as [`Cloud::approve`], [`Cloud::deny`] and [`Cloud::report`] say, and nothing before.
    Told,
    /// Says no and reports a fraud after so long.
    Reports(Duration),
    /// Known, without a telephone. Unknown people are treated alike.
    Unenrolled,
}

/// What the cloud does instead of answering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// Cuts the connection in the middle of the answer.
    Cuts,
    /// Answers.
    #[default]
    Fine,
    /// Takes the request and never answers.
    Hangs,
    /// Answers this, whatever was asked.
    Says {
        /// The HTTP status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
}

impl Weather {
    /// This status with this body, no other headers than the usual ones.
    #[must_use]
    pub fn says(status: u16, body: &str) -> Self {
        Self::Says { status, headers: vec![("content-type".to_owned(), "application/json".to_owned())], body: body.to_owned() }
    }

    /// 429 that asks for so many seconds of silence.
    #[must_use]
    pub fn busy(wait_s: u64) -> Self {
        let body = r#"{"stat":"FAIL","code":42901,"message":"Too Many Requests"}"#;
        Self::Says { status: 429, headers: vec![("retry-after".to_owned(), wait_s.to_string())], body: body.to_owned() }
    }
}

/// The cloud. It ends when dropped: its port closes, and whoever still waits hears nothing more.
#[derive(Debug)]
pub struct Cloud {
    address: SocketAddr,
    sky: Arc<Sky>,
    _open: watch::Sender<()>,
}

impl Cloud {
    /// Opens it on a loopback address; port 0 takes a free one. `clock` is the cloud's own: requests more than five minutes off are refused.
    ///
    /// # Errors
    /// The address is not a loopback one or is in use; no random bytes.
    pub async fn open(address: SocketAddr, people: Vec<Person>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the lab cloud knows how to let anybody in: loopback addresses alone"));
        }
        let people = people.into_iter().map(|person| (person.name.to_lowercase(), person)).collect();
        let town = Town { people, ..Town::default() };
        let (news, _) = watch::channel(());
        let (open, closing) = watch::channel(());
        let sky = Arc::new(Sky {
            key_id: format!("DI{}", random_hex(9)?.to_uppercase()),
            key: Secret::from(random_hex(20)?.as_str()),
            clock,
            closing: closing.clone(),
            news,
            town: Mutex::new(town),
        });
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let service = Router::new().fallback(answer::answer).with_state(Arc::clone(&sky)).into_make_service_with_connect_info::<Line>();
        let server = axum::serve(Lines(listener), service).with_graceful_shutdown(gone(closing));
        tokio::spawn(async move { server.await });
        Ok(Self { address, sky, _open: open })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `url` in the provider's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// For `host`: the name that requests must be signed for.
    #[must_use]
    pub fn host(&self) -> &'static str {
        HOST
    }

    /// For `key_id`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.sky.key_id
    }

    /// For `key`. Made anew each time.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.sky.key
    }

    /// How many pushes and calls have gone out to this person.
    #[must_use]
    pub fn pushes(&self, name: &str) -> u64 {
        self.sky.town().pushes.get(&name.to_lowercase()).copied().unwrap_or_default()
    }

    /// Waits until so many pushes and calls have gone out to this person.
    pub async fn pushed(&self, name: &str, count: u64) {
        let mut news = self.sky.news.subscribe();
        while self.pushes(name) < count {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// How often this path was asked for, whatever the answer was.
    #[must_use]
    pub fn requests(&self, path: &str) -> u64 {
        self.sky.town().requests.get(path).copied().unwrap_or_default()
    }

    /// What the last push or call told the person's telephone: the parameters of the request.
    #[must_use]
    pub fn shown(&self, name: &str) -> HashMap<String, String> {
        self.sky.town().shown.get(&name.to_lowercase()).cloned().unwrap_or_default()
    }

    /// The person approves all that is open and needs no number. How many questions that were.
    pub fn approve(&self, name: &str) -> usize {
        self.sky.decide_those(name, Decision::Approved, |question| question.number.is_none())
    }

    /// The person types this number into the telephone: what is open and has that number is approved. How many questions that were.
    pub fn approve_number(&self, name: &str, number: &str) -> usize {
        self.sky.decide_those(name, Decision::Approved, |question| question.number.as_deref() == Some(number))
    }

    /// The passcode that was last sent to this person by text.
    #[must_use]
    pub fn texted(&self, name: &str) -> Option<String> {
        self.sky.town().texted.get(&name.to_lowercase()).cloned()
    }

    /// The person says no to all that is open. How many questions that were.
    pub fn deny(&self, name: &str) -> usize {
        self.sky.decide(name, Decision::Denied)
    }

    /// The person says no to all that is open and reports a fraud. How many questions that were.
    pub fn report(&self, name: &str) -> usize {
        self.sky.decide(name, Decision::Fraud)
    }

    /// Puts a person in, in place of one of that name.
    pub fn admit(&self, person: Person) {
        self.sky.town().people.insert(person.name.to_lowercase(), person);
    }

    /// From now on this is the weather for one path, or for all of them.
    pub fn set_weather(&self, path: Option<&str>, weather: Weather) {
        let mut town = self.sky.town();
        match path {
            Some(path) => {
                town.local.insert(path.to_owned(), weather);
            }
            None => {
                town.local.clear();
                town.weather = weather;
            }
        }
        drop(town);
        self.sky.news.send_replace(());
    }
}

/// What all connections share.
struct Sky {
    key_id: String,
    key: Secret,
    clock: Arc<dyn Clock>,
    /// Closes with the cloud.
    closing: watch::Receiver<()>,
    /// Something happened: look again.
    news: watch::Sender<()>,
    town: Mutex<Town>,
}

#[derive(Debug, Default)]
struct Town {
    people: HashMap<String, Person>,
    /// By transaction id.
    questions: HashMap<String, Question>,
    pushes: HashMap<String, u64>,
    requests: HashMap<String, u64>,
    shown: HashMap<String, HashMap<String, String>>,
    /// Numbers that were given out for pushes to come, by their transaction ids, and whose.
    numbers: HashMap<String, (String, String)>,
    texted: HashMap<String, String>,
    weather: Weather,
    local: HashMap<String, Weather>,
}

/// One push or call.
#[derive(Clone, Debug)]
struct Question {
    name: String,
    call: bool,
    /// What must be typed to approve it.
    number: Option<String>,
    asked_at: Instant,
    /// The first poll of a question is told at once that it is out.
    told: bool,
    decision: Option<Decision>,
    /// What the person will do by himself, and when.
    due: Option<(Instant, Decision)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Approved,
    Denied,
    Fraud,
    LockedOut,
    TimedOut,
}

impl Sky {
    fn town(&self) -> MutexGuard<'_, Town> {
        self.town.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(&self, name: &str, decision: Decision) -> usize {
        self.decide_those(name, decision, |_| true)
    }

    fn decide_those(&self, name: &str, decision: Decision, meant: impl Fn(&Question) -> bool) -> usize {
        let name = name.to_lowercase();
        let mut town = self.town();
        let open = town.questions.values_mut().filter(|question| question.name == name && question.decision.is_none() && meant(question));
        let count = open.map(|question| question.decision = Some(decision)).count();
        drop(town);
        self.news.send_replace(());
        count
    }

    /// Counts a request and says what becomes of it.
    fn weather(&self, path: &str) -> Weather {
        let mut town = self.town();
        let count = town.requests.entry(path.to_owned()).or_default();
        *count = count.saturating_add(1);
        town.local.get(path).unwrap_or(&town.weather).clone()
    }
}

impl fmt::Debug for Sky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sky").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Waits for the cloud to be dropped.
async fn gone(mut closing: watch::Receiver<()>) {
    while closing.changed().await.is_ok() {}
}

fn random_hex(count: usize) -> io::Result<String> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

const DEVICE: &str = "DPLAB0000000000000P1";
const HOST: &str = "api-1ab0c10d.vestibule.example";
