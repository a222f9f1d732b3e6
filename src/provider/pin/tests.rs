//! PINs in front of codes and behind them, against a provider that knows one code.

use std::sync::Mutex;

use crate::domain::Account;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Lsn;
use crate::domain::Method;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::Trace;
use crate::ports::StoreError;

use super::*;

/// A provider whose code is 123456; what it was asked with, in order.
#[derive(Debug, Default)]
struct Codes {
    asked: Mutex<Vec<String>>,
    starts: Mutex<u32>,
    away: bool,
    pushes: bool,
}

#[async_trait]
impl Provider for Codes {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        assert_eq!(&*asking.choice.provider, "sms", "the provider is asked under its own name");
        *self.starts.lock().unwrap() += 1;
        Ok(if self.pushes { Progress::Waived } else { Progress::CodeNeeded { ticket: None } })
    }

    async fn wait(&self, _ticket: &Ticket) -> Result<Progress, FactorError> {
        Err(FactorError::Misconfigured)
    }

    async fn verify(&self, _asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.asked.lock().unwrap().push(code.expose_text().unwrap().to_owned());
        match (self.away, code.expose()) {
            (true, _) => Err(FactorError::Unreachable),
            (false, b"123456") => Ok(Progress::Allowed { spend: None }),
            _ => Err(FactorError::BadCode),
        }
    }

    async fn cancel(&self, _ticket: &Ticket) {}
}

#[derive(Debug, Default)]
struct At(Mutex<u64>);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

/// One PIN, of whoever is asked for.
#[derive(Debug)]
struct Held(Option<Pin>);

#[async_trait]
impl Store for Held {
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

    fn pin(&self, _who: &Identity) -> Result<Option<Pin>, StoreError> {
        Ok(self.0.clone())
    }

    fn token_list(&self, _count_max: usize) -> Result<Vec<TokenInfo>, StoreError> {
        Ok(Vec::new())
    }

    fn bypass_list(&self, _count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        Ok(Vec::new())
    }

    async fn commit(&self, _changes: Vec<Change>) -> Result<Lsn, CommitError> {
        Err(CommitError::Outage)
    }
}

struct Bench {
    codes: Arc<Codes>,
    clock: Arc<At>,
    pin: WithPin,
}

impl Bench {
    async fn new(place: PinPlace, codes: Codes, pin: Option<&str>) -> Self {
        let (codes, clock) = (Arc::new(codes), Arc::new(At::default()));
        let mut held = None;
        if let Some(pin) = pin {
            let length = u8::try_from(pin.len()).unwrap();
            held = Some(Pin { hash: stretch::hash(&Secret::from(pin)).await.unwrap(), length, earlier: Vec::new(), set_at: Timestamp(0) });
        }
        let store = Arc::new(Held(held));
        let rules = PinRules { expires_ms: 1_000, ..PinRules::default() };
        let settings = Settings { name: "sms".into(), place, rules };
        let pin = WithPin::new(settings, Arc::<Codes>::clone(&codes), store, Arc::<At>::clone(&clock));
        Self { codes, clock, pin }
    }

    async fn try_code(&self, typed: &str) -> Result<Progress, FactorError> {
        self.pin.verify(&asking(), None, &Secret::from(typed)).await
    }
}

fn alice() -> Identity {
    Identity("S-1".into())
}

fn asking() -> Asking {
    Asking {
        identity: alice(),
        account: Arc::new(Account::new(alice(), "alice", None, Timestamp(0))),
        choice: Choice { method: Method::Text, provider: "(pin)sms".into() },
        client: "vpn".into(),
        source: None,
        trace: Trace::default(),
    }
}

#[tokio::test]
async fn m_30_pin_and_code_must_both_be_right_and_nobody_learns_which_was_not() {
    for (place, right, wrong_pin, wrong_code, both) in
        [(PinPlace::Front, "4711123456", "4712123456", "4711123457", "0815654321"), (PinPlace::Behind, "1234564711", "1234564712", "1234574711", "6543210815")]
    {
        let bench = Bench::new(place, Codes::default(), Some("4711")).await;
        for typed in [wrong_pin, wrong_code, both, "123456", "4711", "", "47111234560", "0000000000000000000000"] {
            assert_eq!(bench.try_code(typed).await, Err(FactorError::BadCode), "{place:?} {typed}");
        }
        assert_eq!(bench.try_code(right).await, Ok(Progress::Allowed { spend: None }), "{place:?}");
        // Whichever was wrong, the code was checked too.
        assert_eq!(bench.codes.asked.lock().unwrap().len(), 9);
    }
}

#[tokio::test]
async fn m_14_a_wrong_pin_is_no_outage() {
    let bench = Bench::new(PinPlace::Front, Codes { away: true, ..Codes::default() }, Some("4711")).await;
    assert_eq!(bench.try_code("4712123456").await, Err(FactorError::BadCode));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::Unreachable));
}

#[tokio::test]
async fn m_15_whoever_has_no_pin_or_an_old_one_is_asked_for_nothing() {
    let bench = Bench::new(PinPlace::Front, Codes::default(), None).await;
    assert_eq!(bench.pin.start(&asking()).await, Err(FactorError::NotEnrolled));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::NotEnrolled));
    let bench = Bench::new(PinPlace::Front, Codes::default(), Some("4711")).await;
    assert_eq!(bench.pin.start(&asking()).await, Ok(Progress::CodeNeeded { ticket: None }));
    *bench.clock.0.lock().unwrap() = 1_000;
    assert_eq!(bench.pin.start(&asking()).await, Err(FactorError::PinExpired));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::PinExpired));
    assert_eq!(bench.try_code("4712123456").await, Err(FactorError::BadCode));
    assert_eq!(*bench.codes.starts.lock().unwrap(), 1, "no text for an old PIN");
}

#[tokio::test]
async fn what_lets_people_in_without_a_code_lets_nobody_in_without_the_pin() {
    let bench = Bench::new(PinPlace::Front, Codes { pushes: true, ..Codes::default() }, Some("4711")).await;
    assert_eq!(bench.pin.start(&asking()).await, Err(FactorError::Misconfigured));
}
