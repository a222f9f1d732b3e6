//! A door that several applications share: a directory of a few objects that can be renamed, a phone that says no to everybody, a clock that can be moved.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::sync::watch;
use vestibule::domain::Account;
use vestibule::domain::Asking;
use vestibule::domain::Bypass;
use vestibule::domain::Change;
use vestibule::domain::Choice as Way;
use vestibule::domain::CodeEntry;
use vestibule::domain::CommitError;
use vestibule::domain::FactorError;
use vestibule::domain::FirstAlone;
use vestibule::domain::Identity;
use vestibule::domain::Lock;
use vestibule::domain::Lsn;
use vestibule::domain::Method;
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
use vestibule::engine::Engine;
use vestibule::engine::Limits;
use vestibule::front::certificate;
use vestibule::front::ldap::Application;
use vestibule::front::ldap::Callers;
use vestibule::front::ldap::Door;
use vestibule::front::ldap::Exemption;
use vestibule::front::ldap::Roll;
use vestibule::front::ldap::Settings;
use vestibule::front::ldap::Transport;
use vestibule::ports::Clock;
use vestibule::ports::Connected;
use vestibule::ports::Directory;
use vestibule::ports::Entry;
use vestibule::ports::Proof;
use vestibule::ports::Provider;
use vestibule::ports::Store;
use vestibule::ports::StoreError;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Choice;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Frame;
use vestibule::wire::ldap::Op;
use vestibule::wire::ldap::Request;

use super::client::Client;
use super::client::bind;
use super::client::ldap_frame;

pub(super) const SVC: &str = "CN=svc,DC=corp";
pub(super) const MALLORY: &str = "CN=mallory,DC=corp";
pub(super) const ALICE: &str = "CN=alice,DC=corp";
/// When the exemption of `svc` ends.
pub(super) const UNTIL: Timestamp = Timestamp(1_800_000_000_000);

/// The whole world behind the door.
#[derive(Debug)]
pub(super) struct World {
    /// The identity at each DN. Everybody's password is `pass`.
    people: Mutex<BTreeMap<String, String>>,
    /// Questions on telephones, and failures that were counted.
    notes: Mutex<Vec<String>>,
    now: AtomicU64,
    locked: Mutex<Option<Identity>>,
    away: Mutex<bool>,
}

impl World {
    fn new() -> Arc<Self> {
        let people = [(SVC, "uuid-svc"), (MALLORY, "uuid-mallory"), (ALICE, "uuid-alice")].map(|(dn, identity)| (dn.to_owned(), identity.to_owned()));
        Arc::new(Self {
            people: Mutex::new(people.into()),
            notes: Mutex::default(),
            now: AtomicU64::new(UNTIL.0 - 1),
            locked: Mutex::default(),
            away: Mutex::default(),
        })
    }

    /// Renames one object onto another's name.
    pub(super) fn rename(&self, from: &str, to: &str) {
        let mut people = self.people.lock().unwrap();
        let identity = people.remove(from).unwrap();
        people.insert(to.to_owned(), identity);
    }

    pub(super) fn at(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
    }

    pub(super) fn lock(&self, who: &str) {
        *self.locked.lock().unwrap() = Some(Identity(who.into()));
    }

    pub(super) fn leave(&self) {
        *self.away.lock().unwrap() = true;
    }

    /// What was noted since the last look.
    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.notes.lock().unwrap())
    }

    fn note(&self, line: String) {
        self.notes.lock().unwrap().push(line);
    }

    fn whose(&self, dn: &str) -> Option<String> {
        self.people.lock().unwrap().get(dn).cloned()
    }
}

/// The directory in it.
#[derive(Debug)]
struct Corp(Arc<World>);

#[async_trait]
impl Directory for Corp {
    fn name(&self) -> &str {
        "corp"
    }
    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        if *self.0.away.lock().unwrap() {
            return Err(PrimaryError::Outage(vestibule::domain::Outage::Directory));
        }
        let dn = if login.contains('=') { login.to_owned() } else { format!("CN={login},DC=corp") };
        let identity = self.0.whose(&dn).ok_or(PrimaryError::Refused { who: None, why: Refused::UnknownName })?;
        Ok(Entry { directory: "corp".into(), identity: Identity(identity), name: dn.clone(), dn, mail: None, phone: None, password_set: None })
    }
    async fn authenticate(&self, _entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
        panic!("the LDAP door binds on the client's own connection");
    }
    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }
    async fn groups(&self, _entry: &Entry, _wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(Vec::new())
    }
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        let (near, far) = tokio::io::duplex(16_384);
        tokio::spawn(serve(Arc::clone(&self.0), far));
        Ok(Connected { stream: Box::new(near), server: 0 })
    }
    fn broke(&self, _server: usize, why: &dyn Display) {
        panic!("{why}");
    }
    fn proof(&self) -> Proof {
        Proof::OwnEntry("entryUUID")
    }
    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
    }
}

async fn serve(world: Arc<World>, mut stream: DuplexStream) {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        while let Some(frame) = Frame::split(&buffer, 1 << 20).unwrap() {
            let bytes = frame.bytes.to_vec();
            buffer.drain(..bytes.len());
            if stream.write_all(&reply(&world, &ldap_frame(&bytes))).await.is_err() {
                return;
            }
        }
    }
}

fn reply(world: &World, frame: &Frame<'_>) -> Vec<u8> {
    let id = frame.id;
    match frame.request().unwrap() {
        Request::Bind(bind) => {
            let is_right = matches!(bind.choice, Choice::Simple(b"pass"));
            ldap::answer(Op::Bind, id, if is_right { Code::Success } else { Code::InvalidCredentials }, "")
        }
        Request::Search(search) => {
            let dn = String::from_utf8(search.base.to_vec()).unwrap();
            let own = world.whose(&dn).map(|identity| ("entryUUID".to_owned(), vec![identity.into_bytes()]));
            let found = ldap::Entry { dn, attributes: own.into_iter().collect() };
            [ldap::entry(id, &found), ldap::answer(Op::Search, id, Code::Success, "")].concat()
        }
        Request::Write(write) => ldap::answer(write.op, id, Code::Success, ""),
        Request::Extended { .. } => ldap::answer(Op::Extended, id, Code::Success, ""),
        other => panic!("{other:?}"),
    }
}

/// Everybody's telephone. Nobody approves.
#[derive(Debug)]
struct Phone(Arc<World>);

#[async_trait]
impl Provider for Phone {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        let source = asking.source.map_or_else(|| "nowhere".to_owned(), |source: IpAddr| source.to_string());
        self.0.note(format!("{} for {} from {source}", asking.identity.0, asking.client));
        Ok(Progress::Denied { fraud: false })
    }
    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Ok(Progress::Denied { fraud: false })
    }
    async fn verify(&self, _asking: &Asking, _ticket: Option<&Ticket>, _code: &Secret) -> Result<Progress, FactorError> {
        Err(FactorError::BadCode)
    }
    async fn cancel(&self, _ticket: &Ticket) {}
}

#[async_trait]
impl Store for World {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let account = Account::new(who.clone(), who.0.clone(), Some("corp".into()), Timestamp(0));
        let mut standing = Standing { account: Some(account.into()), ..Standing::default() };
        if self.locked.lock().unwrap().as_ref() == Some(who) {
            for tries in [&mut standing.tries, &mut standing.exempt_tries] {
                tries.lock_until = Some(Timestamp(u64::MAX));
            }
        }
        Ok(standing)
    }
    fn tokens(&self, _who: &Identity) -> Result<Vec<Token>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts(&self, _search: &str, _after: Option<&str>, _count_max: usize) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts_named(&self, _name: &str) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn token_list(&self, _count_max: usize) -> Result<Vec<TokenInfo>, StoreError> {
        Ok(Vec::new())
    }
    fn bypass_list(&self, _count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        Ok(Vec::new())
    }
    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        for change in changes {
            if let Change::Fail { who, .. } = change {
                self.note(format!("fail {}", who.0));
            }
        }
        Ok(Lsn(1))
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }
}

/// What differs from test to test: who is exempt and who shares the door.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// `svc` is exempt from these networks ..
    pub(super) exempt_from: &'static [&'static str],
    /// .. with this name in its certificate.
    pub(super) exempt_shown: Option<&'static str>,
    /// Name, networks, name in the certificate, and whether `svc` binds first.
    pub(super) applications: &'static [(&'static str, &'static [&'static str], Option<&'static str>, bool)],
    pub(super) proxy_from: &'static [&'static str],
    pub(super) trackers: &'static [&'static str],
    /// Whether certificates are demanded; no TLS where nothing is said.
    pub(super) certificates: Option<bool>,
    /// The directory is away when the server starts.
    pub(super) away: bool,
}

/// The door.
pub(super) struct Town {
    pub(super) world: Arc<World>,
    pub(super) roll: Arc<Roll>,
    authority: CertifiedIssuer<'static, KeyPair>,
    door: Door,
    settings: watch::Sender<Arc<Settings>>,
}

impl Town {
    pub(super) async fn open(plan: Plan) -> Self {
        let world = World::new();
        if plan.away {
            world.leave();
        }
        let limits = Limits { logins_max: 100, parked_max: 10, challenge_keep: Duration::from_secs(60) };
        let engine = Engine::new(world.clone(), world.clone(), limits).unwrap();
        let provider: Arc<dyn Provider> = Arc::new(Phone(world.clone()));
        engine.equip(HashMap::from([("phone".to_owned(), provider)]));
        let authority = authority();
        let roll = Arc::new(Roll::default());
        let verifier = plan.certificates.map(|required| verifier(&authority, required));
        let settings = Settings {
            name: "door".into(),
            transport: verifier.as_ref().map_or(Transport::Plain { allow_plain: true }, |verifier| transport(&authority, verifier)),
            directory: Arc::new(Corp(world.clone())),
            code: CodeEntry::Append(",".into()),
            join_ms: 0,
            rules: rules(),
            callers: Callers { verifier, ..callers(&plan, &roll) },
            connections_max: 10_000,
            pdu_bytes_max: 1_000_000,
            reject_delay: Duration::ZERO,
            login_deadline: Duration::from_secs(30),
        };
        let (settings, receiver) = watch::channel(Arc::new(settings));
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0)), receiver, engine).await.unwrap();
        Self { world, roll, authority, door, settings }
    }

    /// The configuration is read again.
    pub(super) fn reload(&self) {
        let same = Arc::clone(&self.settings.borrow());
        self.settings.send_replace(same);
    }

    /// The configuration is read again, and believes another authority.
    pub(super) fn reload_with_another_authority(&self) {
        let strange = authority();
        self.reload_with(|callers| callers.verifier = Some(verifier(&strange, false)));
    }

    /// The configuration is read again, and asks everybody for a certificate.
    pub(super) fn reload_demanding_certificates(&self) {
        self.reload_with(|callers| callers.verifier = Some(verifier(&self.authority, true)));
    }

    /// The configuration is read again, and says something else of who calls.
    pub(super) fn reload_with(&self, change: impl FnOnce(&mut Callers)) {
        let mut changed = Settings::clone(&self.settings.borrow());
        change(&mut changed.callers);
        self.settings.send_replace(Arc::new(changed));
    }

    pub(super) async fn client(&self) -> Client {
        Client::new(Box::new(TcpStream::connect(self.door.address()).await.unwrap()))
    }

    /// Whose connection begins with a PROXY header of this command and address.
    pub(super) async fn through_proxy(&self, command: u8, address: [u8; 4]) -> Client {
        let mut client = self.client().await;
        let rest = [&address[..], &[127, 0, 0, 1, 0x30, 0x39, 2, 124]].concat();
        client.send(&[&b"\r\n\r\n\0\r\nQUIT\n"[..], &[0x20 | command, 0x11, 0, 12], &rest].concat()).await;
        client
    }

    /// With a certificate of these names by our authority, or none; `None`: the handshake failed.
    pub(super) async fn with_certificate(&self, names: &[&str]) -> Option<Client> {
        self.with_certificate_of(&self.authority, names).await
    }

    /// The same by an authority that nobody here knows.
    pub(super) async fn with_strange_certificate(&self, names: &[&str]) -> Option<Client> {
        let strange = authority();
        self.with_certificate_of(&strange, names).await
    }

    async fn with_certificate_of(&self, authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> Option<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = if names.is_empty() {
            config.with_no_client_auth()
        } else {
            let (certificate, key) = leaf(authority, names);
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        };
        let stream = TcpStream::connect(self.door.address()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        // With TLS 1.3 a client hears only then that its certificate was not taken: a question that everybody may ask tells.
        let asked = async {
            stream.write_all(&ldap::read_request(99, "", &[])).await.ok()?;
            let mut client = Client::new(Box::new(stream));
            client.frame().await?;
            client.frame().await?;
            Some(client)
        };
        asked.await
    }
}

/// Binds, and says with what code that was answered.
pub(super) async fn binds(client: &mut Client, name: &str, password: &str) -> u32 {
    client.send(&bind(1, name, password)).await;
    client.result().await.2
}

fn callers(plan: &Plan, roll: &Roll) -> Callers {
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
    let svc = || roll.entry("door", "corp", SVC);
    let exemption = || Exemption { named: svc(), from: networks(plan.exempt_from), certificate: plan.exempt_shown.map(Into::into), until: UNTIL };
    let application = |&(name, within, shown, service): &(&str, &[&str], Option<&str>, bool)| Application {
        name: name.into(),
        networks: networks(within),
        certificate: shown.map(Into::into),
        service: service.then(svc),
        code: CodeEntry::None,
        rules: rules(),
    };
    Callers {
        applications: plan.applications.iter().map(application).collect(),
        exemptions: (!plan.exempt_from.is_empty()).then(exemption).into_iter().collect(),
        verifier: None,
        proxy_from: networks(plan.proxy_from),
        trust_session_tracking: networks(plan.trackers),
    }
}

/// Everybody is asked, but in 10.20.0.0/16.
fn rules() -> Arc<Rules> {
    Arc::new(Rules {
        trusted: vec!["10.20.0.0/16".parse().unwrap()],
        unenrolled: FirstAlone::Accept,
        lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 },
        ..Rules::bare("staff", vec![Way::new(Method::Push, "phone")])
    })
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn verifier(authority: &CertifiedIssuer<'static, KeyPair>, required: bool) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    certificate::verifier(roots, Vec::new(), required).unwrap()
}

fn transport(authority: &CertifiedIssuer<'static, KeyPair>, verifier: &Arc<dyn ClientCertVerifier>) -> Transport {
    let (certificate, key) = leaf(authority, &["localhost"]);
    Transport::Tls(Arc::new(certificate::server(vec![certificate], key, Arc::clone(verifier)).unwrap()))
}

fn leaf(authority: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap().der().clone();
    (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}
