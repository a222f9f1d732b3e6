//! The door against a fake world, over real sockets of the loopback.

mod accounting;
mod door;
mod logins;
mod mapping;
mod radsec;
mod rules;
mod tls;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusRecorder;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use super::Accounting;
use super::Behind;
use super::Card;
use super::Census;
use super::Charset;
use super::Client;
use super::Clients;
use super::Door;
use super::First;
use super::NasAddress;
use super::Sessions;
use super::Settings;
use crate::domain::*;
use crate::engine::Engine;
use crate::engine::Limits;
use crate::ports::Aside;
use crate::ports::Clock;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;
use crate::ports::Store;
use crate::ports::StoreError;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::upstream::AccessRequest;
use crate::wire::radius::upstream::Reply;
use crate::wire::radius::upstream::verify_reply;

const SECRET: &[u8] = b"a shared secret of 32 characters";
const REJECT_DELAY: Duration = Duration::from_millis(200);

/// Store, directory, provider and clock in one, counting what they are asked.
#[derive(Debug)]
pub(super) struct World {
    away: AtomicBool,
    resolves: AtomicUsize,
    checks: AtomicUsize,
    pushes: AtomicUsize,
    cancels: AtomicUsize,
    /// One for each push asked or taken back.
    seen: Semaphore,
    /// One for each push that the person approves.
    approvals: Semaphore,
    last: Mutex<Option<AuthRequest>>,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        let count = AtomicUsize::default;
        Arc::new(Self {
            away: AtomicBool::default(),
            resolves: count(),
            checks: count(),
            pushes: count(),
            cancels: count(),
            seen: Semaphore::new(0),
            approvals: Semaphore::new(0),
            last: Mutex::default(),
        })
    }

    /// Waits until a push is asked for or taken back.
    async fn push_seen(&self) {
        within(self.seen.acquire()).await.unwrap().forget();
    }

    fn approve(&self) {
        self.approvals.add_permits(1);
    }
}

fn alice() -> Identity {
    Identity("S-1-5-21-1".into())
}

/// Her language is German.
fn anna() -> Identity {
    Identity("S-1-5-21-2".into())
}

#[async_trait]
impl Store for World {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let language = (*who == anna()).then(|| "de-AT".to_owned());
        let account = Account { language, ..Account::new(who.clone(), "alice", Some("corp".into()), Timestamp(0)) };
        Ok(Standing { account: Some(account.into()), ..Standing::default() })
    }
    fn tokens(&self, _: &Identity) -> Result<Vec<Token>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts_named(&self, _: &str) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn token_list(&self, _: usize) -> Result<Vec<TokenInfo>, StoreError> {
        Ok(Vec::new())
    }
    fn bypass_list(&self, _: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        Ok(Vec::new())
    }
    async fn commit(&self, _: Vec<Change>) -> Result<Lsn, CommitError> {
        Ok(Lsn(1))
    }
}

#[async_trait]
impl PrimaryCheck for World {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.resolves.fetch_add(1, Ordering::SeqCst);
        *self.last.lock().unwrap() = Some(request.clone());
        if self.away.load(Ordering::SeqCst) {
            return Err(PrimaryError::Outage(Outage::Directory));
        }
        if request.login == "nobody" {
            return Err(PrimaryError::Refused { who: None, why: Refused::UnknownName });
        }
        let identity = if request.login == "anna" { anna() } else { alice() };
        Ok(Some(Entry { directory: "corp".into(), identity, dn: "CN=alice".into(), name: "alice".into(), mail: None, phone: None, password_set: None }))
    }
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _: &mut Aside) -> Result<Checked, PrimaryError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let entry = entry.unwrap();
        // MS-CHAPv2 is always right: it is not what is looked at here.
        match request.primary.typed().map(Secret::expose) {
            None | Some(b"open sesame" | b"\xc3\xb6ffne dich") => Ok(Checked::Passed(entry.identity.clone())),
            _ => Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why: Refused::WrongPassword }),
        }
    }
}

#[async_trait]
impl Provider for World {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        if asking.choice.method == Method::Oath {
            return Ok(Progress::CodeNeeded { ticket: None });
        }
        self.pushes.fetch_add(1, Ordering::SeqCst);
        self.seen.add_permits(1);
        Ok(Progress::Pending(Ticket("t".into())))
    }
    async fn wait(&self, _: &Ticket) -> Result<Progress, FactorError> {
        self.approvals.acquire().await.unwrap().forget();
        Ok(Progress::Allowed { spend: None })
    }
    async fn verify(&self, _: &Asking, _: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        match code.expose() {
            b"123456" => Ok(Progress::Allowed { spend: None }),
            _ => Err(FactorError::BadCode),
        }
    }
    async fn cancel(&self, _: &Ticket) {
        self.cancels.fetch_add(1, Ordering::SeqCst);
        self.seen.add_permits(1);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(1_000)
    }
}

/// A client on the IPv4 and IPv6 loopback, asked for its second factor by this method.
pub(super) fn client(world: &Arc<World>, method: Method) -> Client {
    let rules = Rules { lock: Lock { failures_max: 0, wait_ms: 0, window_ms: 0 }, ..Rules::bare("vpn", vec![Choice::new(method, "world")]) };
    Client {
        name: "fortigate".into(),
        networks: vec!["127.0.0.0/24".parse().unwrap(), "::1".parse().unwrap()],
        secret: Secret::new(SECRET.to_vec()),
        certificate: None,
        accounting: Accounting::Record,
        integrity: Integrity::Require,
        nas_identifier: None,
        nas_address: NasAddress::Log,
        first: First::Password(world.clone()),
        code: CodeEntry::Challenge("Enter your code:".into()),
        menu: false,
        approval: Approval::Wait,
        late_ms: 0,
        join_ms: 0,
        code_in_ms_chap2: false,
        one_station: false,
        charset: Charset::Utf8,
        patience: Duration::from_secs(30),
        source: Some(attr::CALLING_STATION_ID),
        rules: Arc::new(rules),
        additions: Arc::default(),
        enrol_url: None,
        card: Card { profile: None, first: "directory world".into(), retransmits: None, tally: Census::new().tally("fortigate") },
    }
}

fn settings(client: Client) -> Settings {
    Settings {
        clients: Clients::new(vec![client]),
        inflight_max: 100,
        answer_keep: Duration::from_secs(30),
        reject_delay: REJECT_DELAY,
        login_deadline: Duration::from_secs(20),
    }
}

/// An open door and the means to change its settings.
struct House {
    world: Arc<World>,
    door: Door,
    engine: Arc<Engine>,
    settings: watch::Sender<Arc<Settings>>,
}

fn open(method: Method) -> House {
    let world = World::new();
    let settings = settings(client(&world, method));
    open_at("127.0.0.1:0", world, settings)
}

/// Decides by this world.
fn engine(world: &Arc<World>) -> Arc<Engine> {
    let engine = Engine::new(world.clone(), world.clone(), Limits { logins_max: 100, parked_max: 50, challenge_keep: Duration::from_secs(120) }).unwrap();
    engine.equip(HashMap::from([("world".to_owned(), world.clone() as Arc<dyn Provider>)]));
    engine
}

fn open_at(address: &str, world: Arc<World>, settings: Settings) -> House {
    let engine = engine(&world);
    let (settings, receiver) = watch::channel(Arc::new(settings));
    let behind = Behind { engine: Arc::clone(&engine), sessions: Sessions::new(world.clone()) };
    let door = Door::open(address.parse::<SocketAddr>().unwrap(), receiver, behind).unwrap();
    House { world, door, engine, settings }
}

/// A NAS: one socket, its requests numbered.
struct Nas {
    socket: UdpSocket,
    server: SocketAddr,
    identifier: AtomicU8,
}

impl Nas {
    async fn at(address: &str, server: SocketAddr) -> Self {
        Self { socket: UdpSocket::bind(address).await.unwrap(), server, identifier: AtomicU8::new(0) }
    }

    async fn of(house: &House) -> Self {
        Self::at("127.0.0.1:0", house.door.address()).await
    }

    /// A request with the next identifier.
    fn request(&self) -> AccessRequest {
        let mut random = [0; 16];
        getrandom::fill(&mut random).unwrap();
        AccessRequest::new(self.identifier.fetch_add(1, Ordering::SeqCst), random)
    }

    fn login(&self, name: &str, password: &str) -> Vec<u8> {
        self.request().with(attr::USER_NAME, name.as_bytes()).password(password.as_bytes()).signed(SECRET).unwrap()
    }

    async fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).await.unwrap();
    }

    /// The next datagram, and from where.
    async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 5000];
        let (length, from) = within(self.socket.recv_from(&mut buffer)).await.unwrap();
        (buffer[..length].to_vec(), from)
    }

    async fn ask(&self, bytes: &[u8]) -> Vec<u8> {
        self.send(bytes).await;
        self.receive().await.0
    }

    /// Everything sent before was met with silence: what comes next is the reply to a question asked now.
    async fn hears_nothing(&self) {
        let question = crate::wire::radius::upstream::status_server(250, b"are you there???", SECRET).unwrap();
        let reply = self.ask(&question).await;
        assert!(verify_reply(&reply, &question, SECRET, Integrity::Require).is_ok(), "an earlier datagram was answered");
    }
}

fn read<'a>(reply: &'a [u8], sent: &[u8]) -> Reply<'a> {
    verify_reply(reply, sent, SECRET, Integrity::Require).unwrap()
}

/// What the doors of this thread throw away, by its reason; counted while it is held.
struct Discards {
    recorder: &'static PrometheusRecorder,
    _held: metrics::LocalRecorderGuard<'static>,
}

impl Discards {
    fn counted() -> Self {
        let recorder: &'static PrometheusRecorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        Self { recorder, _held: metrics::set_default_local_recorder(recorder) }
    }

    fn of(&self, why: &str) -> u64 {
        let text = self.recorder.handle().render();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("vestibule_discards_total{{door=\"radius\",why=\"{why}\"}} ")));
        line.map_or(0, |count| count.parse().unwrap())
    }
}

/// Nothing here takes this long.
async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("nothing came")
}
