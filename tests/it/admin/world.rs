//! A server with a store and directories of a few lines, on a socket in a folder of its own.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusHandle;
use reqwest::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing_subscriber::fmt::MakeWriter;
use vestibule::directory::ByDirectory;
use vestibule::domain;
use vestibule::domain::Account;
use vestibule::domain::Approval;
use vestibule::domain::Asking;
use vestibule::domain::BackupCodes;
use vestibule::domain::Block;
use vestibule::domain::Blocked;
use vestibule::domain::Bypass;
use vestibule::domain::Change;
use vestibule::domain::Choice;
use vestibule::domain::CodeEntry;
use vestibule::domain::CommitError;
use vestibule::domain::FactorError;
use vestibule::domain::Identity;
use vestibule::domain::Lock;
use vestibule::domain::Lsn;
use vestibule::domain::Method;
use vestibule::domain::Outage;
use vestibule::domain::PasswordError;
use vestibule::domain::PrimaryError;
use vestibule::domain::Progress;
use vestibule::domain::Refused;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::domain::Standing;
use vestibule::domain::Ticket;
use vestibule::domain::Timestamp;
use vestibule::domain::Token;
use vestibule::domain::TokenInfo;
use vestibule::domain::Tries;
use vestibule::domain::phone::Numbers;
use vestibule::domain::pin::Pin;
use vestibule::domain::pin::PinRules;
use vestibule::engine::Engine;
use vestibule::engine::Limits;
use vestibule::front::http::Admin;
use vestibule::front::http::Rooms;
use vestibule::front::http::Settings;
use vestibule::front::radius;
use vestibule::front::radius::Sessions;
use vestibule::ports::Clock;
use vestibule::ports::Connected;
use vestibule::ports::Directory;
use vestibule::ports::Entry;
use vestibule::ports::Proof;
use vestibule::ports::Provider;
use vestibule::ports::Store;
use vestibule::ports::StoreError;
use vestibule::ports::keep::Keep;
use vestibule::wire::radius::Integrity;

/// Of every RADIUS client.
pub(super) const SECRET: &str = "a shared secret of 32 characters";
/// Alice's identity in the directory `corp`.
pub(super) const ALICE: &str = "S-1-5-21-1-corp-7";
pub(super) const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A running admin server.
pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) socket: PathBuf,
    pub(super) store: Arc<Memory>,
    pub(super) engine: Arc<Engine>,
    pub(super) radius: Arc<radius::Settings>,
    pub(super) phone: Arc<Phone>,
    pub(super) sessions: Sessions,
    http: reqwest::Client,
    running: Option<(oneshot::Sender<()>, JoinHandle<io::Result<()>>)>,
    _rooms: watch::Sender<Arc<Rooms>>,
}

impl World {
    pub(super) fn new(directories: &[&'static str]) -> Self {
        Self::counted(directories, None)
    }

    pub(super) fn counted(directories: &[&'static str], metrics: Option<PrometheusHandle>) -> Self {
        Self::open(directories, metrics, None, "no-such-group")
    }

    /// With a store that can be taken along, and administrators of this group.
    pub(super) fn kept(keep: Arc<dyn Keep>, group: &str) -> Self {
        Self::open(&["corp"], None, Some(keep), group)
    }

    fn open(directories: &[&'static str], metrics: Option<PrometheusHandle>, keep: Option<Arc<dyn Keep>>, group: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let store = Arc::new(Memory::default());
        let directories: Vec<_> = directories.iter().map(|name| Arc::new(Lab(name)) as Arc<dyn Directory>).collect();
        let limits = Limits { logins_max: 10, parked_max: 10, challenge_keep: Duration::from_secs(60) };
        let engine = Engine::new(store.clone(), Arc::new(Still), limits).unwrap();
        let phone = Arc::new(Phone::default());
        engine.equip(HashMap::from([("phone".to_owned(), phone.clone() as Arc<dyn Provider>)]));
        let radius = Arc::new(clients(directories.first()));
        let sessions = Sessions::new(Arc::new(Still));
        let rooms = Rooms {
            node: "lab".into(),
            store: store.clone(),
            keep,
            clock: Arc::new(Still),
            directories,
            sessions: sessions.clone(),
            metrics,
            log: None,
            engine: Arc::clone(&engine),
            numbers: Numbers::default(),
            pin: PinRules::default(),
            radius: Arc::clone(&radius),
            ldap: Vec::new(),
        };
        let (rooms, watched) = watch::channel(Arc::new(rooms));
        let (reloads, _nobody_reloads) = mpsc::channel(1);
        let admin = Admin::open(Settings { socket: socket.clone(), group: group.into() }, watched, reloads).unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(admin.run(async { stopped.await.unwrap_or_default() }));
        let http = reqwest::Client::builder().unix_socket(socket.as_path()).no_proxy().build().unwrap();
        Self { folder, socket, store, engine, radius, phone, sessions, http, running: Some((stop, running)), _rooms: rooms }
    }

    pub(super) async fn stop(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.send(()).unwrap();
        running.await.unwrap().unwrap();
    }

    pub(super) async fn send(&self, method: reqwest::Method, path: &str, body: String) -> (StatusCode, Value) {
        let response = self.http.request(method, format!("http://vestibule/v1/{path}")).body(body).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        let (status, text) = (response.status(), response.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub(super) async fn ok(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(method, path, body.to_string()).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Error and hint of a request that must be refused with this status.
    pub(super) async fn refused(&self, method: reqwest::Method, path: &str, body: Value, wanted: StatusCode) -> String {
        let (status, answer) = self.send(method, path, body.to_string()).await;
        assert_eq!(status, wanted, "{path} {body}: {answer}");
        let text = |key: &str| answer[key].as_str().filter(|text| !text.is_empty()).unwrap_or_else(|| panic!("no {key} in {answer}")).to_owned();
        format!("{} ({})", text("error"), text("hint"))
    }

    /// The real binary against this server.
    pub(super) async fn run(&self, words: &[&str]) -> (i32, String, String) {
        command(&[words, &["--socket", self.socket.to_str().unwrap()]].concat()).await
    }
}

/// Exit code, standard output and standard error of the real binary.
pub(super) async fn command(words: &[&str]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(words).env_remove("VESTIBULE_CONFIG");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Stands still.
#[derive(Debug)]
pub(super) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A directory that knows alice, bob and somebody with an odd name, and that is away for `away`.
#[derive(Debug)]
pub(super) struct Lab(pub(super) &'static str);

#[async_trait]
impl Directory for Lab {
    fn name(&self) -> &str {
        self.0
    }

    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        let (name, id) = match login.to_lowercase().trim_start_matches(&format!("{}\\", self.0)) {
            "alice" => ("alice", 7),
            "bob" => ("bob", 8),
            "odd" => ("od\u{1b}[31md\nINFO forged", 9),
            "away" => return Err(PrimaryError::Outage(Outage::Directory)),
            _ => return Err(PrimaryError::Refused { who: None, why: Refused::UnknownName }),
        };
        Ok(Entry {
            directory: self.0.to_owned(),
            identity: Identity(format!("S-1-5-21-1-{}-{id}", self.0)),
            dn: format!("CN={id},DC={}", self.0),
            name: name.to_owned(),
            mail: Some(format!("alice@{}.example", self.0)),
            phone: Some("+49-30-12345678".to_owned()),
            password_set: None,
        })
    }

    async fn authenticate(&self, entry: &Entry, password: &Secret) -> Result<Identity, PrimaryError> {
        match password.expose() {
            b"right" => Ok(entry.identity.clone()),
            _ => Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why: Refused::WrongPassword }),
        }
    }

    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }

    async fn groups(&self, entry: &Entry, wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(wanted.iter().filter(|group| entry.name == "alice" && *group == "staff").cloned().collect())
    }

    async fn connect(&self) -> Result<Connected, PrimaryError> {
        Err(PrimaryError::Outage(Outage::Directory))
    }

    fn broke(&self, _server: usize, _why: &dyn Display) {}

    fn proof(&self) -> Proof {
        Proof::OwnEntry("entryUUID")
    }

    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Outage(Outage::Directory)
    }
}

/// Rings, and is approved at once.
#[derive(Debug, Default)]
pub(super) struct Phone(AtomicUsize);

impl Phone {
    pub(super) fn rung(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Provider for Phone {
    async fn start(&self, _: &Asking) -> Result<Progress, FactorError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Progress::Pending(Ticket("ringing".into())))
    }

    async fn wait(&self, _: &Ticket) -> Result<Progress, FactorError> {
        Ok(Progress::Allowed { spend: None })
    }

    async fn verify(&self, _: &Asking, _: Option<&Ticket>, _: &Secret) -> Result<Progress, FactorError> {
        Err(FactorError::BadCode)
    }

    async fn cancel(&self, _: &Ticket) {}
}

/// Three RADIUS clients of the loopback; none where there is no directory.
fn clients(directory: Option<&Arc<dyn Directory>>) -> radius::Settings {
    let census = radius::Census::new();
    let all = directory.map(|directory| [("fortigate", 1), ("ocserv", 2), ("printer", 3)].map(|(name, host)| client(directory, &census, name, host)));
    radius::Settings {
        clients: radius::Clients::new(all.into_iter().flatten().collect()),
        inflight_max: 10,
        answer_keep: Duration::from_secs(30),
        reject_delay: Duration::from_secs(1),
        login_deadline: Duration::from_secs(20),
    }
}

fn client(directory: &Arc<dyn Directory>, census: &radius::Census, name: &str, host: u8) -> radius::Client {
    let rules = Rules {
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
        lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 },
        ..Rules::bare("vpn", vec![Choice::new(Method::Push, "phone")])
    };
    let addition = |group: Option<&str>, value: &[u8]| radius::Addition {
        group: group.map(str::to_owned),
        attribute: [&[11, u8::try_from(value.len() + 2).unwrap()], value].concat(),
    };
    radius::Client {
        name: name.into(),
        networks: vec![format!("127.0.0.{host}").parse().unwrap()],
        nas_identifier: None,
        nas_address: radius::NasAddress::Log,
        secret: Secret::from(SECRET),
        integrity: Integrity::Observe,
        first: radius::First::Password(Arc::new(ByDirectory(Arc::clone(directory)))),
        certificate: None,
        accounting: radius::Accounting::Record,
        code: CodeEntry::Challenge("Enter your code:".into()),
        menu: false,
        approval: Approval::Wait,
        late_ms: 0,
        join_ms: 0,
        code_in_ms_chap2: false,
        one_station: false,
        charset: radius::Charset::Utf8,
        patience: Duration::from_secs(60),
        source: Some(31),
        rules: Arc::new(rules),
        additions: [addition(Some("staff"), b"staff"), addition(Some("guests"), b"guests")].into(),
        enrol_url: None,
        card: radius::Card {
            profile: Some(name.into()),
            first: format!("directory {}", directory.name()),
            retransmits: Some(Duration::from_secs(5)),
            tally: census.tally(name),
        },
    }
}

/// The store in a few maps.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<Identity, Account>,
    tokens: Vec<Token>,
    tries: BTreeMap<Identity, Tries>,
    bypasses: BTreeMap<Identity, Bypass>,
    blocks: BTreeMap<Blocked, Block>,
    pins: BTreeMap<Identity, Pin>,
    backups: BTreeMap<Identity, BackupCodes>,
    failing: bool,
    changes: u64,
}

impl Memory {
    pub(super) fn fail(&self) {
        self.0.lock().unwrap().failing = true;
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().accounts.len()
    }

    /// So many blocks of numbers, ended at this moment.
    pub(super) fn block(&self, count: usize, until: Timestamp) {
        let block = Block { until, reason: String::new(), by: "root".into(), at: Timestamp(0), name: None };
        let numbers = (0..count).map(|number| Blocked::Phone(domain::Phone::of(&format!("+4930{number:07}")).unwrap()));
        self.0.lock().unwrap().blocks.extend(numbers.map(|whom| (whom, block.clone())));
    }

    pub(super) fn lock(&self, who: &str) {
        let tries = Tries { failures: 5, lock_until: Some(Timestamp(NOW.0 + 900_000)), at: Vec::new() };
        self.0.lock().unwrap().tries.insert(Identity(who.into()), tries);
    }

    pub(super) fn rename(&self, who: &str, name: &str) {
        self.0.lock().unwrap().accounts.get_mut(&Identity(who.into())).unwrap().name = name.into();
    }

    pub(super) fn seeds(&self, who: &str) -> Vec<Vec<u8>> {
        self.tokens(&Identity(who.into())).unwrap().iter().map(|token| token.seed.expose().to_vec()).collect()
    }

    pub(super) fn account(&self, who: &Identity) -> Option<Account> {
        self.0.lock().unwrap().accounts.get(who).cloned()
    }

    /// So many local accounts; all of the second hundred have one name.
    pub(super) fn fill(&self, count: usize) {
        let mut state = self.0.lock().unwrap();
        for number in 0..count {
            let identity = Identity(format!("local:{number:032}"));
            let name = if (100..200).contains(&number) { "user-100".to_owned() } else { format!("user-{number:03}") };
            let account = Account::new(identity.clone(), name, None, NOW);
            state.accounts.insert(identity, account);
        }
    }
}

fn place(account: &Account) -> String {
    format!("{}\0{}", account.name.to_lowercase(), account.identity.0)
}

#[async_trait]
impl Store for Memory {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let state = self.0.lock().unwrap();
        Ok(Standing {
            account: state.accounts.get(who).cloned().map(Into::into),
            tries: state.tries.get(who).cloned().unwrap_or_default(),
            bypass: state.bypasses.get(who).cloned(),
            block: state.blocks.get(&Blocked::Identity(who.clone())).cloned(),
            ..Standing::default()
        })
    }

    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, StoreError> {
        Ok(self.0.lock().unwrap().tokens.iter().filter(|token| token.info.owner == *who).cloned().collect())
    }

    fn accounts(&self, search: &str, after: Option<&str>, count_max: usize) -> Result<Vec<Account>, StoreError> {
        let state = self.0.lock().unwrap();
        let search = search.to_lowercase();
        let mut found: Vec<_> = state.accounts.values().filter(|account| account.name.to_lowercase().contains(&search)).cloned().collect();
        found.sort_by_key(place);
        found.retain(|account| after.is_none_or(|after| place(account) > after.to_lowercase()));
        found.truncate(count_max);
        Ok(found)
    }

    fn accounts_named(&self, name: &str) -> Result<Vec<Account>, StoreError> {
        Ok(self.0.lock().unwrap().accounts.values().filter(|account| account.name.to_lowercase() == name.to_lowercase()).cloned().collect())
    }

    fn pin(&self, who: &Identity) -> Result<Option<Pin>, StoreError> {
        Ok(self.0.lock().unwrap().pins.get(who).cloned())
    }

    fn backup_codes(&self, who: &Identity) -> Result<Option<BackupCodes>, StoreError> {
        Ok(self.0.lock().unwrap().backups.get(who).cloned())
    }

    fn token_list(&self, count_max: usize) -> Result<Vec<TokenInfo>, StoreError> {
        Ok(self.0.lock().unwrap().tokens.iter().take(count_max).map(|token| token.info.clone()).collect())
    }

    fn bypass_list(&self, count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        Ok(self.0.lock().unwrap().bypasses.iter().take(count_max).map(|(who, bypass)| (who.clone(), bypass.clone())).collect())
    }

    fn block_list(&self, count_max: usize) -> Result<Vec<(Blocked, Block)>, StoreError> {
        Ok(self.0.lock().unwrap().blocks.iter().take(count_max).map(|(whom, block)| (whom.clone(), block.clone())).collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        let mut state = self.0.lock().unwrap();
        if state.failing {
            return Err(CommitError::Outage);
        }
        for change in changes {
            state.changes += 1;
            match change {
                Change::Block { whom, block } => drop(state.blocks.insert(whom, block)),
                Change::Unblock(whom) => drop(state.blocks.remove(&whom)),
                Change::PutAccount(account) => drop(state.accounts.insert(account.identity.clone(), *account)),
                Change::EnableAccount { who, enabled } => state.accounts.get_mut(&who).into_iter().for_each(|account| account.enabled = enabled),
                Change::RemoveAccount(who) => drop(state.accounts.remove(&who)),
                Change::PutToken(token) => state.tokens.push(token),
                Change::RemoveToken { who, token } => state.tokens.retain(|kept| kept.info.owner != who || kept.info.id != token),
                Change::GrantBypass { who, bypass } => drop(state.bypasses.insert(who, bypass)),
                Change::RevokeBypass(who) => drop(state.bypasses.remove(&who)),
                Change::Unlock(who) => drop(state.tries.remove(&who)),
                Change::Fail { who, at, lock, .. } => {
                    let tries = state.tries.entry(who).or_default();
                    *tries = std::mem::take(tries).failed(at, lock);
                }
                Change::PutPin { who, pin } => drop(state.pins.insert(who, pin)),
                Change::RemovePin(who) => drop(state.pins.remove(&who)),
                Change::PutBackups { who, codes } => drop(state.backups.insert(who, codes)),
                Change::RemoveBackups(who) => drop(state.backups.remove(&who)),
                Change::UseOtp { token, step, .. } => {
                    let info = state.tokens.iter_mut().map(|token| &mut token.info).find(|info| info.id == token).unwrap();
                    info.next_step = Some(step + 1).filter(|_| step >= info.next_step).ok_or(CommitError::Spent)?;
                }
                other => panic!("administration does not {other:?}"),
            }
        }
        Ok(Lsn(state.changes))
    }
}

/// Lines of the log of this thread.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(super) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        // Where nobody listens a line is switched off for all threads: somebody always listens.
        static LISTENER: Once = Once::new();
        LISTENER.call_once(|| drop(tracing::subscriber::set_global_default(tracing_subscriber::fmt().with_writer(io::sink).finish())));
        tracing::subscriber::set_default(tracing_subscriber::fmt().with_ansi(false).with_writer(self.clone()).finish())
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
