//! A door with nothing real behind it: a directory that speaks just enough LDAP, a phone that answers when told, a diary of all that happened.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
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
use vestibule::domain::Groups;
use vestibule::domain::Identity;
use vestibule::domain::Lock;
use vestibule::domain::Lsn;
use vestibule::domain::Method;
use vestibule::domain::Outage;
use vestibule::domain::PasswordError;
use vestibule::domain::PrimaryError;
use vestibule::domain::Progress;
use vestibule::domain::Refused;
use vestibule::domain::Remember;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::domain::Standing;
use vestibule::domain::Ticket;
use vestibule::domain::Timestamp;
use vestibule::domain::Token;
use vestibule::domain::TokenInfo;
use vestibule::engine::Engine;
use vestibule::engine::Limits;
use vestibule::front::ldap::Callers;
use vestibule::front::ldap::Door;
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
use super::client::SOON;
use super::client::bind;
use super::client::element;
use super::client::ldap_frame;

pub(super) const ALICE: &str = "CN=alice,DC=corp";
pub(super) const ALICE_SID: &str = "S-1-5-21-1-2-3-1001";

/// All that happened behind the door, in order.
#[derive(Clone, Debug)]
pub(super) struct Diary(watch::Sender<Vec<String>>);

impl Diary {
    fn note(&self, line: impl Into<String>) {
        self.0.send_modify(|lines| lines.push(line.into()));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(super) fn has(&self, line: &str) -> bool {
        self.0.borrow().iter().any(|it| it == line)
    }

    /// Where a line stands; it must be there.
    pub(super) fn place(&self, line: &str) -> usize {
        self.lines().iter().position(|it| it == line).unwrap_or_else(|| panic!("no `{line}` in {:?}", self.lines()))
    }

    pub(super) async fn wait_for(&self, line: &str) {
        let mut lines = self.0.subscribe();
        let waited = tokio::time::timeout(SOON, lines.wait_for(|lines| lines.iter().any(|it| it == line))).await.is_ok();
        assert!(waited, "no `{line}` in {:?}", self.lines());
    }
}

/// A directory of one person, alice, whose password is `pass`.
#[derive(Debug)]
pub(super) struct LabDirectory {
    diary: Diary,
    proof: Proof,
    /// The SID it tells of whoever is bound.
    tells_sid: &'static [u8],
    /// The entryUUID of alice's entry.
    tells_uuid: &'static str,
    away: bool,
    /// Alice's groups; `None`: it cannot tell.
    member_of: Option<&'static [&'static str]>,
}

#[async_trait]
impl Directory for LabDirectory {
    fn name(&self) -> &str {
        "corp"
    }

    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        self.diary.note(format!("resolve {login}"));
        match login {
            "alice" | ALICE => Ok(Entry {
                directory: "corp".into(),
                identity: Identity(ALICE_SID.into()),
                dn: ALICE.into(),
                name: "alice".into(),
                mail: None,
                phone: None,
                password_set: None,
            }),
            _ => Err(PrimaryError::Refused { who: None, why: Refused::UnknownName }),
        }
    }

    async fn authenticate(&self, _entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
        panic!("the LDAP door binds on the client's own connection");
    }

    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }
    async fn groups(&self, _entry: &Entry, wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        let member_of = self.member_of.ok_or(PrimaryError::Outage(Outage::Directory))?;
        Ok(wanted.iter().filter(|group| member_of.contains(&group.as_str())).cloned().collect())
    }

    async fn connect(&self) -> Result<Connected, PrimaryError> {
        if self.away {
            return Err(PrimaryError::Outage(Outage::Directory));
        }
        let (near, far) = tokio::io::duplex(16_384);
        self.diary.note("connect");
        tokio::spawn(LabServer { diary: self.diary.clone(), stream: far, bound: None, tells_sid: self.tells_sid, tells_uuid: self.tells_uuid }.serve());
        Ok(Connected { stream: Box::new(near), server: 0 })
    }

    fn broke(&self, _server: usize, why: &dyn Display) {
        self.diary.note(format!("broke: {why}"));
    }

    fn proof(&self) -> Proof {
        self.proof
    }

    fn refusal(&self, result_code: u32, diagnostic: &str) -> PrimaryError {
        self.diary.note(format!("refusal {result_code} {diagnostic}"));
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
    }
}

/// One connection to it.
#[derive(Debug)]
struct LabServer {
    diary: Diary,
    stream: DuplexStream,
    bound: Option<String>,
    tells_sid: &'static [u8],
    tells_uuid: &'static str,
}

impl LabServer {
    async fn serve(mut self) {
        let mut buffer = Vec::new();
        loop {
            while let Some(frame) = Frame::split(&buffer, 1 << 24).unwrap() {
                let bytes = frame.bytes.to_vec();
                buffer.drain(..bytes.len());
                let answer = self.answer(&ldap_frame(&bytes));
                if self.stream.write_all(&answer).await.is_err() {
                    break;
                }
            }
            match self.stream.read_buf(&mut buffer).await {
                Ok(len) if len > 0 => {}
                _ => break,
            }
        }
        self.diary.note("disconnect");
    }

    fn answer(&mut self, frame: &Frame<'_>) -> Vec<u8> {
        let id = frame.id;
        let who = self.bound.clone().unwrap_or_else(|| "nobody".into());
        match frame.request().unwrap() {
            Request::Bind(bind) => {
                let Choice::Simple(password) = bind.choice else { panic!() };
                let name = String::from_utf8_lossy(bind.name).into_owned();
                self.diary.note(format!("bind {name} {} id {id}", String::from_utf8_lossy(password)));
                if name == ALICE && password == b"pass" {
                    self.bound = Some(name);
                    ldap::answer(Op::Bind, id, Code::Success, "welcome from the directory")
                } else {
                    ldap::answer(Op::Bind, id, Code::InvalidCredentials, "80090308: data 52e")
                }
            }
            Request::Search(search) if search.reads_root() => {
                self.diary.note(format!("root as {who}"));
                [self.root(id), ldap::answer(Op::Search, id, Code::Success, "")].concat()
            }
            Request::Search(search) => self.search(id, std::str::from_utf8(search.base).unwrap(), &who),
            Request::Abandon(target) => {
                self.diary.note(format!("abandon {target}"));
                Vec::new()
            }
            Request::Extended { name, .. } => {
                self.diary.note(format!("extended {}", String::from_utf8_lossy(name)));
                ldap::answer(Op::Extended, id, Code::ProtocolError, "unknown to the directory")
            }
            Request::Write(write) => {
                self.diary.note(format!("write as {who}"));
                ldap::answer(write.op, id, Code::Success, "")
            }
            Request::Other(op) => ldap::answer(op, id, Code::Success, ""),
            Request::Unbind => Vec::new(),
        }
    }

    fn search(&self, id: u32, base: &str, who: &str) -> Vec<u8> {
        self.diary.note(format!("search {base} as {who}"));
        let entry = |size: usize| ldap::Entry { dn: base.into(), attributes: vec![("seenAs".into(), vec![who.as_bytes().to_vec(), vec![0; size]])] };
        let done = ldap::answer(Op::Search, id, Code::Success, "");
        match base {
            "DC=never" => Vec::new(),
            "DC=huge" => [ldap::entry(id, &entry(1_500_000)), done].concat(),
            "DC=deep" => deep(id),
            "DC=strange" => [ldap::entry(id + 500, &entry(0)), ldap::entry(id, &entry(0)), done].concat(),
            "DC=notice" => ldap::notice(Code::Unavailable, "the directory goes"),
            "DC=many" => (0..400).flat_map(|_| ldap::entry(id, &entry(3_000))).chain(done).collect(),
            "CN=alice,DC=corp" => {
                let own = ldap::Entry { dn: base.into(), attributes: vec![("entryUUID".into(), vec![self.tells_uuid.as_bytes().to_vec()])] };
                [ldap::entry(id, &own), done].concat()
            }
            _ => [ldap::entry(id, &entry(1)), done].concat(),
        }
    }

    fn root(&self, id: u32) -> Vec<u8> {
        let text = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut attributes = vec![
            ("supportedSASLMechanisms".into(), text(&["GSSAPI", "GSS-SPNEGO"])),
            ("supportedControl".into(), text(&["1.2.840.113556.1.4.319", "2.16.840.1.113730.3.4.18"])),
            ("supportedExtension".into(), text(&["1.3.6.1.1.8", "1.2.840.113556.1.4.1781"])),
        ];
        if self.bound.is_some() {
            attributes.push(("tokenGroups".into(), vec![vec![1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0], self.tells_sid.to_vec()]));
        }
        ldap::entry(id, &ldap::Entry { dn: String::new(), attributes })
    }
}

/// An answer with more elements inside each other than anybody needs.
fn deep(id: u32) -> Vec<u8> {
    let mut inside = vec![0x04, 0x00];
    for _ in 0..70 {
        inside = element(0x30, &inside);
    }
    element(0x30, &[element(0x02, &id.to_be_bytes()), element(0x64, &inside)].concat())
}

/// alice's phone.
#[derive(Debug)]
struct Phone {
    diary: Diary,
    answer: watch::Receiver<Option<bool>>,
}

#[async_trait]
impl Provider for Phone {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        match asking.choice.method {
            Method::Oath => Ok(Progress::CodeNeeded { ticket: None }),
            _ => {
                self.diary.note(format!("push to {} for {} from {}", asking.account.name, asking.client, asking.source.unwrap()));
                Ok(Progress::Pending(Ticket("t1".into())))
            }
        }
    }

    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        let mut answer = self.answer.clone();
        let Ok(answered) = answer.wait_for(Option::is_some).await.map(|answered| *answered) else { std::future::pending().await };
        self.diary.note("answered");
        Ok(if answered == Some(true) { Progress::Allowed { spend: None } } else { Progress::Denied { fraud: false } })
    }

    async fn verify(&self, _asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.diary.note(format!("code {}", code.expose_text().unwrap()));
        if code.expose() == b"123456" { Ok(Progress::Allowed { spend: None }) } else { Err(FactorError::BadCode) }
    }

    async fn cancel(&self, _ticket: &Ticket) {
        self.diary.note("cancelled");
    }
}

/// alice is enrolled.
#[derive(Debug)]
struct LabStore {
    diary: Diary,
    enrolled: bool,
}

#[async_trait]
impl Store for LabStore {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let account = Account::new(who.clone(), "alice", Some("corp".into()), Timestamp(0));
        Ok(Standing { account: self.enrolled.then(|| account.into()), ..Standing::default() })
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
                self.diary.note(format!("fail {}", who.0));
            }
        }
        Ok(Lsn(1))
    }
}

#[derive(Debug)]
struct Midnight;

impl Clock for Midnight {
    fn now(&self) -> Timestamp {
        Timestamp(1_000_000)
    }
}

/// What differs from test to test.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) away: bool,
    pub(super) connections_max: usize,
    pub(super) deadline: Duration,
    pub(super) enrolled: bool,
    pub(super) groups: Groups,
    pub(super) join_ms: u64,
    pub(super) member_of: Option<&'static [&'static str]>,
    pub(super) method: Method,
    pub(super) proof: Proof,
    pub(super) reject_delay: Duration,
    pub(super) remember: Remember,
    pub(super) tells_sid: &'static [u8],
    pub(super) tells_uuid: &'static str,
    pub(super) tls: Option<Tls>,
}

/// How TLS is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    First,
    OnRequest,
}

/// `ALICE_SID` as a directory keeps it.
pub(super) const ALICE_SID_BYTES: &[u8] = &[1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0xe9, 3, 0, 0];

impl Default for Plan {
    fn default() -> Self {
        Self {
            away: false,
            connections_max: 10_000,
            deadline: Duration::from_secs(30),
            enrolled: true,
            groups: Groups::default(),
            join_ms: 0,
            member_of: Some(&[]),
            method: Method::Push,
            proof: Proof::TokenGroups("tokenGroups"),
            reject_delay: Duration::ZERO,
            remember: Remember::default(),
            tells_sid: ALICE_SID_BYTES,
            tells_uuid: ALICE_SID,
            tls: None,
        }
    }
}

/// A door, and all that is behind it.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) diary: Diary,
    pub(super) door: Door,
    pub(super) phone: watch::Sender<Option<bool>>,
    certificate: Option<CertificateDer<'static>>,
    _settings: watch::Sender<Arc<Settings>>,
}

impl Rig {
    pub(super) async fn open(plan: Plan) -> Self {
        let diary = Diary(watch::channel(Vec::new()).0);
        let (phone, answer) = watch::channel(None);
        let store = LabStore { diary: diary.clone(), enrolled: plan.enrolled };
        let limits = Limits { logins_max: 100, parked_max: 10, challenge_keep: Duration::from_secs(60) };
        let engine = Engine::new(Arc::new(store), Arc::new(Midnight), limits).unwrap();
        let provider: Arc<dyn Provider> = Arc::new(Phone { diary: diary.clone(), answer });
        engine.equip(HashMap::from([("phone".to_owned(), provider)]));
        let rules = Rules {
            unenrolled: FirstAlone::Accept,
            lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 },
            remember: plan.remember,
            groups: plan.groups,
            ..Rules::bare("staff", vec![Way::new(plan.method, "phone")])
        };
        let (config, certificate) = server_config(plan.tls.is_some());
        let transport = match (plan.tls, config) {
            (Some(Tls::First), Some(config)) => Transport::Tls(config),
            (Some(Tls::OnRequest), Some(config)) => Transport::StartTls(config),
            _ => Transport::Plain { allow_plain: false },
        };
        let directory = LabDirectory {
            diary: diary.clone(),
            proof: plan.proof,
            tells_sid: plan.tells_sid,
            tells_uuid: plan.tells_uuid,
            away: plan.away,
            member_of: plan.member_of,
        };
        let (settings, receiver) = watch::channel(Arc::new(Settings {
            name: "wiki".into(),
            transport,
            directory: Arc::new(directory),
            code: CodeEntry::Append(",".into()),
            join_ms: plan.join_ms,
            rules: Arc::new(rules),
            callers: Callers::default(),
            connections_max: plan.connections_max,
            pdu_bytes_max: 1_000_000,
            reject_delay: plan.reject_delay,
            login_deadline: plan.deadline,
        }));
        let door = Door::open(SocketAddr::from(([127, 0, 0, 1], 0)), receiver, engine).await.unwrap();
        Self { diary, door, phone, certificate, _settings: settings }
    }

    /// A door whose policy wants a push.
    pub(super) async fn pushing() -> Self {
        Self::open(Plan::default()).await
    }

    /// The person with the phone answers.
    pub(super) fn answer(&self, yes: bool) {
        self.phone.send_replace(Some(yes));
    }

    pub(super) async fn client(&self) -> Client {
        Client::new(Box::new(TcpStream::connect(self.door.address()).await.unwrap()))
    }

    pub(super) async fn tls_client(&self) -> Client {
        let client = self.client().await;
        self.wrap(client).await
    }

    /// Brings TLS up on a connection.
    pub(super) async fn wrap(&self, client: Client) -> Client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone().unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, client.stream).await.unwrap();
        Client::new(Box::new(stream))
    }

    /// A client that has bound as alice, with a push or a code, and what its bind was told.
    pub(super) async fn bound(&self) -> Client {
        self.answer(true);
        let mut client = self.client().await;
        client.send(&bind(1, "alice", "pass")).await;
        assert_eq!(client.result().await, (1, 0x61, 0));
        client
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn server_config(wanted: bool) -> (Option<Arc<rustls::ServerConfig>>, Option<CertificateDer<'static>>) {
    if !wanted {
        return (None, None);
    }
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    (Some(Arc::new(config)), Some(certificate))
}
