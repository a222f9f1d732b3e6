//! The door with a client and a directory in memory, on a clock that stands still while anything else can be done; in this file, its times.

mod hostile;
mod limits;
mod session;
mod stage;
mod transparent;

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::*;
use crate::domain::Account;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::FirstAlone;
use crate::domain::Identity;
use crate::domain::Lock;
use crate::domain::Lsn;
use crate::domain::PasswordError;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::engine::Limits;
use crate::ports::Clock;
use crate::ports::Connected;
use crate::ports::Entry;
use crate::ports::Proof;
use crate::ports::Store;
use crate::ports::StoreError;
use crate::wire::ldap::Code;
use crate::wire::ldap::Entry as Found;
use crate::wire::ldap::Frame;
use crate::wire::ldap::Op;
use crate::wire::ldap::Request;
use crate::wire::ldap::abandon;
use crate::wire::ldap::answer as wire_answer;
use crate::wire::ldap::bind_request;
use crate::wire::ldap::entry as wire_entry;
use crate::wire::ldap::read_request;

/// A world where nobody is known and no directory answers.
#[derive(Debug)]
pub(super) struct Void;

#[async_trait]
impl Directory for Void {
    fn name(&self) -> &str {
        "void"
    }
    async fn resolve(&self, _login: &str) -> Result<Entry, PrimaryError> {
        Err(PrimaryError::Refused { who: None, why: Refused::UnknownName })
    }
    async fn authenticate(&self, _entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
        std::future::pending().await
    }
    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }
    async fn groups(&self, _entry: &Entry, _wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(Vec::new())
    }
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        std::future::pending().await
    }
    fn broke(&self, _server: usize, _why: &dyn Display) {}
    fn proof(&self) -> Proof {
        Proof::TokenGroups("tokenGroups")
    }
    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
    }
}

/// How a server answers binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Busy,
    Closes,
    Silent,
    Well,
}

/// A directory where everybody is one person and every password is theirs. It has two servers; the second is well.
#[derive(Debug)]
struct Pair {
    first: Manner,
    left: AtomicBool,
}

impl Pair {
    fn whose_first_server(first: Manner) -> Arc<Self> {
        Arc::new(Self { first, left: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Directory for Pair {
    fn name(&self) -> &str {
        "pair"
    }
    async fn resolve(&self, _login: &str) -> Result<Entry, PrimaryError> {
        let identity = Identity("S-1-5-18".into());
        Ok(Entry { directory: "pair".into(), identity, dn: "CN=one".into(), name: "one".into(), mail: None, phone: None, password_set: None })
    }
    async fn authenticate(&self, _entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
        std::future::pending().await
    }
    async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
        Err(PasswordError::Unsupported)
    }
    async fn groups(&self, _entry: &Entry, _wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        Ok(Vec::new())
    }
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        let left = self.left.load(Ordering::SeqCst);
        let (near, far) = tokio::io::duplex(4_096);
        tokio::spawn(answer_all(far, if left { Manner::Well } else { self.first }));
        Ok(Connected { stream: Box::new(near), server: usize::from(left) })
    }
    fn broke(&self, server: usize, why: &dyn Display) {
        assert_eq!(server, 0, "{why}");
        self.left.store(true, Ordering::SeqCst);
    }
    fn proof(&self) -> Proof {
        Proof::TokenGroups("tokenGroups")
    }
    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
    }
}

async fn answer_all(mut stream: DuplexStream, manner: Manner) {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|len| len > 0) {
        while let Some(frame) = Frame::split(&buffer, 1 << 20).unwrap() {
            let answer = match (frame.request().unwrap(), manner) {
                (Request::Bind(_), Manner::Silent) => Vec::new(),
                (Request::Bind(_), Manner::Closes) => return,
                (Request::Bind(_), Manner::Busy) => wire_answer(Op::Bind, frame.id, Code::Busy, ""),
                (Request::Bind(_), Manner::Well) => wire_answer(Op::Bind, frame.id, Code::Success, ""),
                _ => {
                    let attributes = vec![("tokenGroups".to_owned(), vec![vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]])];
                    let found = wire_entry(frame.id, &Found { dn: String::new(), attributes });
                    [found, wire_answer(Op::Search, frame.id, Code::Success, "")].concat()
                }
            };
            let len = frame.bytes.len();
            buffer.drain(..len);
            stream.write_all(&answer).await.unwrap();
        }
    }
}

#[async_trait]
impl Store for Void {
    fn standing(&self, _who: &Identity) -> Result<Standing, StoreError> {
        Ok(Standing::default())
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
    async fn commit(&self, _changes: Vec<Change>) -> Result<Lsn, CommitError> {
        Ok(Lsn(1))
    }
}

impl Clock for Void {
    fn now(&self) -> Timestamp {
        Timestamp(1)
    }
}

/// A client at a door of that world.
struct Caller {
    stream: DuplexStream,
    buffer: Vec<u8>,
    _kept: (watch::Sender<Arc<Settings>>, watch::Sender<bool>),
}

impl Caller {
    fn at(peer: &str, reject_delay: Duration) -> Self {
        Self::of(Arc::new(Void), peer, reject_delay)
    }

    fn of(directory: Arc<dyn Directory>, peer: &str, reject_delay: Duration) -> Self {
        Self::with(directory, peer, |settings| settings.reject_delay = reject_delay)
    }

    fn with(directory: Arc<dyn Directory>, peer: &str, change: impl FnOnce(&mut Settings)) -> Self {
        let rules = Rules { unenrolled: FirstAlone::Accept, lock: Lock { failures_max: 5, wait_ms: 1_000, window_ms: 0 }, ..Rules::bare("staff", Vec::new()) };
        let mut settings = Settings {
            name: "wiki".into(),
            transport: Transport::Plain { allow_plain: false },
            directory,
            code: CodeEntry::None,
            join_ms: 0,
            rules: Arc::new(rules),
            callers: Callers::default(),
            connections_max: 10_000,
            pdu_bytes_max: 1_000_000,
            reject_delay: Duration::ZERO,
            login_deadline: Duration::from_secs(30),
        };
        change(&mut settings);
        let (kept, settings) = watch::channel(Arc::new(settings));
        let limits = Limits { logins_max: 10, parked_max: 10, challenge_keep: Duration::from_secs(60) };
        let engine = Engine::new(Arc::new(Void), Arc::new(Void), limits).unwrap();
        let (stop, closing) = watch::channel(false);
        let (near, far) = tokio::io::duplex(4_096);
        let house = House { settings, engine, closing };
        tokio::spawn(Connection::new(house, Side::new(Box::new(far)), super::Caller::direct(peer.parse().unwrap()), 1, false).serve());
        Self { stream: near, buffer: Vec::new(), _kept: (kept, stop) }
    }

    async fn says(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` when the door has closed.
    async fn frame(&mut self) -> Option<Vec<u8>> {
        next_frame(&mut self.stream, &mut self.buffer).await
    }

    /// Id and result code of the next answer; entries are passed over.
    async fn hears(&mut self) -> (u32, u32) {
        loop {
            let bytes = self.frame().await.expect("closed without a word");
            let frame = Frame::split(&bytes, 1 << 20).unwrap().unwrap();
            if frame.op != 0x64 {
                return (frame.id, frame.result().unwrap().code);
            }
        }
    }

    /// A Notice of Disconnection with this code, then the end.
    async fn is_dismissed(&mut self, code: u32) {
        assert_eq!(self.hears().await, (0, code));
        assert_eq!(self.frame().await, None);
    }
}

async fn next_frame(stream: &mut DuplexStream, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = Frame::split(buffer, 1 << 24).unwrap() {
            let bytes = frame.bytes.to_vec();
            buffer.drain(..bytes.len());
            return Some(bytes);
        }
        if stream.read_buf(buffer).await.unwrap() == 0 {
            return None;
        }
    }
}

const HERE: &str = "127.0.0.1:50000";

#[tokio::test(start_paused = true)]
async fn l_044_a_client_that_never_finishes_a_request_is_dismissed_after_half_a_minute() {
    let mut caller = Caller::at(HERE, Duration::ZERO);
    let began = Instant::now();
    for byte in &read_request(1, "", &[])[..20] {
        caller.stream.write_all(&[*byte]).await.unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(caller.hears().await, (0, 52));
    let waited = began.elapsed();
    assert!((30..32).contains(&waited.as_secs()), "{waited:?}: bytes that make no request buy no time");
}

#[tokio::test(start_paused = true)]
async fn l_026_who_never_binds_is_dismissed_after_five_minutes_however_busy() {
    let mut caller = Caller::at(HERE, Duration::ZERO);
    let began = Instant::now();
    let asked = [read_request(1, "CN=one", &[]), bind_request(1, "nobody", b"pass").to_vec(), bind_request(1, "", b"").to_vec()];
    let codes = [50, 49, 0];
    let mut waited = Duration::ZERO;
    for (request, code) in asked.iter().zip(codes).cycle() {
        // When the time is over while we ask, the question is lost and the answer is the notice.
        let _ = caller.stream.write_all(request).await;
        let heard = caller.hears().await;
        waited = began.elapsed();
        if heard == (0, 52) {
            break;
        }
        assert_eq!(heard, (1, code));
        assert!(waited.as_secs() < 300, "{waited:?}");
        tokio::time::advance(Duration::from_secs(20)).await;
    }
    assert!((300..321).contains(&waited.as_secs()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn l_026_who_is_bound_and_says_nothing_is_dismissed_after_an_hour() {
    let mut caller = Caller::of(Pair::whose_first_server(Manner::Well), HERE, Duration::ZERO);
    caller.stream.write_all(&bind_request(1, "one", b"pass")).await.unwrap();
    assert_eq!(caller.hears().await, (1, 0));
    let began = Instant::now();
    assert_eq!(caller.hears().await, (0, 52));
    assert!((3_600..3_602).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l_026_a_bind_lasts_twelve_hours_and_the_next_one_as_long() {
    let mut caller = Caller::of(Pair::whose_first_server(Manner::Well), HERE, Duration::ZERO);
    let mut began = Instant::now();
    for half_hour in 0..36 {
        if half_hour == 0 || half_hour == 12 {
            caller.stream.write_all(&bind_request(1, "one", b"pass")).await.unwrap();
            assert_eq!(caller.hears().await, (1, 0));
            began = Instant::now();
        }
        caller.stream.write_all(&read_request(2, "CN=one", &[])).await.unwrap();
        assert_eq!(caller.hears().await, (2, 0), "{half_hour}");
        tokio::time::advance(Duration::from_secs(1_800)).await;
    }
    let _ = caller.stream.write_all(&read_request(2, "CN=one", &[])).await;
    assert_eq!(caller.hears().await, (0, 52));
    assert!((43_200..43_202).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn o_21_a_server_that_does_not_decide_a_bind_is_left_for_the_next_login() {
    for (manner, seconds) in [(Manner::Silent, 10), (Manner::Closes, 0), (Manner::Busy, 0)] {
        let pair = Pair::whose_first_server(manner);
        let began = Instant::now();
        for code in [52, 0, 0] {
            let mut caller = Caller::of(Arc::clone(&pair) as _, HERE, Duration::ZERO);
            caller.stream.write_all(&bind_request(1, "one", b"pass")).await.unwrap();
            assert_eq!(caller.hears().await, (1, code), "{manner:?}");
        }
        assert_eq!(began.elapsed().as_secs(), seconds, "{manner:?}: only the first waits");
    }
}

#[tokio::test(start_paused = true)]
async fn r_068_r_069_every_denial_comes_within_the_same_tenth_of_a_second() {
    let mut caller = Caller::at(HERE, Duration::from_secs(3));
    for (id, (name, password)) in (1..).zip([("nobody", "pass"), ("nobody", "pa\0ss"), ("", "pass")].repeat(10)) {
        let began = Instant::now();
        caller.stream.write_all(&bind_request(id, name, password.as_bytes())).await.unwrap();
        assert_eq!(caller.hears().await, (id, 49));
        let waited = began.elapsed();
        assert!(waited >= Duration::from_secs(3) && waited <= Duration::from_millis(3_102), "{name:?} {password:?} {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_does_not_even_connect_is_unavailable_after_ten_seconds() {
    let mut caller = Caller::at(HERE, Duration::ZERO);
    let began = Instant::now();
    caller.stream.write_all(&read_request(1, "", &[])).await.unwrap();
    assert_eq!(caller.hears().await, (1, 52));
    assert!(began.elapsed().as_secs() == 10);
}

#[tokio::test(start_paused = true)]
async fn l_086_a_password_in_clear_is_taken_from_this_machine_alone() {
    let mut far = Caller::at("192.0.2.7:50000", Duration::ZERO);
    far.stream.write_all(&bind_request(1, "nobody", b"pass")).await.unwrap();
    assert_eq!(far.hears().await, (1, 13));
    let mut mapped = Caller::at("[::ffff:127.0.0.1]:50000", Duration::ZERO);
    mapped.stream.write_all(&bind_request(1, "nobody", b"pass")).await.unwrap();
    assert_eq!(mapped.hears().await, (1, 49));
}
