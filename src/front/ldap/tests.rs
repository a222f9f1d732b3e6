//! Times of the door, on a clock that stands still while anything else can be done.

use std::sync::Arc;
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
use crate::domain::OnOutage;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::engine::Limits;
use crate::ports::Clock;
use crate::ports::Entry;
use crate::ports::Proof;
use crate::ports::Store;
use crate::ports::StoreError;
use crate::wire::ldap::Frame;
use crate::wire::ldap::bind_request;
use crate::wire::ldap::read_request;

/// A world where nobody is known and no directory answers.
#[derive(Debug)]
struct Void;

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
    async fn connect(&self) -> Result<Box<dyn Stream>, PrimaryError> {
        std::future::pending().await
    }
    fn proof(&self) -> Proof {
        Proof::TokenGroups("tokenGroups")
    }
    fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
        PrimaryError::Refused { who: None, why: Refused::WrongPassword }
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
        let rules = Rules {
            name: "staff".into(),
            methods: Vec::new(),
            trusted: Vec::new(),
            unenrolled: FirstAlone::Reject,
            disabled: FirstAlone::Reject,
            outage: OnOutage::Closed,
            lock: Lock { failures_max: 5, wait_ms: 1_000 },
        };
        let (kept, settings) = watch::channel(Arc::new(Settings {
            name: "wiki".into(),
            transport: Transport::Plain { allow_plain: false },
            directory: Arc::new(Void),
            code: CodeEntry::None,
            rules: Arc::new(rules),
            connections_max: 1,
            pdu_bytes_max: 1_000_000,
            reject_delay,
            login_deadline: Duration::from_secs(30),
        }));
        let limits = Limits { logins_max: 10, parked_max: 10, challenge_keep: Duration::from_secs(60) };
        let engine = Engine::new(Arc::new(Void), Arc::new(Void), limits).unwrap();
        let (stop, closing) = watch::channel(false);
        let (near, far) = tokio::io::duplex(4_096);
        let house = House { settings, engine, closing };
        tokio::spawn(Connection::new(house, Side::new(Box::new(far)), peer.parse().unwrap(), 1, false).serve());
        Self { stream: near, buffer: Vec::new(), _kept: (kept, stop) }
    }

    /// Id and result code of the next answer.
    async fn hears(&mut self) -> (u32, u32) {
        loop {
            if let Some(frame) = Frame::split(&self.buffer, 1 << 20).unwrap() {
                let told = (frame.id, frame.result().unwrap().code);
                let len = frame.bytes.len();
                self.buffer.drain(..len);
                return told;
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "closed without a word");
        }
    }
}

const HERE: &str = "127.0.0.1:50000";

#[tokio::test(start_paused = true)]
async fn l_044_a_client_that_never_finishes_a_request_is_dismissed_after_a_minute() {
    let mut caller = Caller::at(HERE, Duration::ZERO);
    let began = Instant::now();
    for byte in &read_request(1, "", &[])[..20] {
        caller.stream.write_all(&[*byte]).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(caller.hears().await, (0, 52));
    let waited = began.elapsed();
    assert!((60..62).contains(&waited.as_secs()), "{waited:?}: bytes that make no request buy no time");
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
