//! PINs in front of codes and behind them, against a provider that knows one code.

use std::sync::Mutex;

use crate::domain::Account;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::Choice;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Method;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::Trace;
use crate::ports::StoreError;

use super::*;

/// A provider whose code is 123456; what it was asked with, in order, and what it says to every other code.
#[derive(Debug, Default)]
struct Codes {
    asked: Mutex<Vec<String>>,
    starts: Mutex<u32>,
    says: Option<FactorError>,
    pushes: bool,
}

#[async_trait]
impl Provider for Codes {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        assert_eq!(&*asking.choice.provider, "sms");
        *self.starts.lock().unwrap() += 1;
        Ok(if self.pushes { Progress::Waived } else { Progress::CodeNeeded { ticket: None } })
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        Ok(Progress::Pending(ticket.clone()))
    }

    async fn verify(&self, _asking: &Asking, _ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.asked.lock().unwrap().push(code.expose_text().unwrap().to_owned());
        match (self.says, code.expose()) {
            (Some(FactorError::Unreachable), _) => Err(FactorError::Unreachable),
            (_, b"123456") => Ok(Progress::Allowed { spend: None }),
            (said, _) => Err(said.unwrap_or(FactorError::BadCode)),
        }
    }

    async fn enrol(&self, _account: &Account) -> Result<Enrolment, EnrolError> {
        Err(EnrolError::Enrolled)
    }

    async fn cancel(&self, _ticket: &Ticket) {}
}

#[tokio::test]
async fn who_stands_before_a_provider_hides_none_of_what_it_can() {
    let before = WithPin::new(Arc::new(Codes::default()), PinRules::default(), Arc::new(Held(None)), Arc::new(At::default()));
    let account = Account::new(Identity("alice".into()), "alice", None, Timestamp(0));
    assert_eq!(before.enrol(&account).await.unwrap_err(), EnrolError::Enrolled);
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
    asking: Asking,
}

impl Bench {
    async fn new(place: Option<PinPlace>, codes: Codes, pin: Option<&str>) -> Self {
        let (codes, clock) = (Arc::new(codes), Arc::new(At::default()));
        let mut held = None;
        if let Some(pin) = pin {
            let length = u8::try_from(pin.len()).unwrap();
            held = Some(Pin { hash: stretch::hash(&Secret::from(pin)).await.unwrap(), length, earlier: Vec::new(), set_at: Timestamp(0) });
        }
        let store = Arc::new(Held(held));
        let rules = PinRules { expires_ms: 1_000, ..PinRules::default() };
        let pin = WithPin::new(Arc::<Codes>::clone(&codes), rules, store, Arc::<At>::clone(&clock));
        Self { codes, clock, pin, asking: asking(place) }
    }

    async fn start(&self) -> Result<Progress, FactorError> {
        self.pin.start(&self.asking).await
    }

    async fn try_code(&self, typed: &str) -> Result<Progress, FactorError> {
        self.pin.verify(&self.asking, None, &Secret::from(typed)).await
    }
}

fn alice() -> Identity {
    Identity("S-1".into())
}

fn asking(pin: Option<PinPlace>) -> Asking {
    Asking {
        identity: alice(),
        account: Arc::new(Account::new(alice(), "alice", None, Timestamp(0))),
        choice: Choice { pin, ..Choice::new(Method::Text, "sms") },
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
        let bench = Bench::new(Some(place), Codes::default(), Some("4711")).await;
        for typed in [wrong_pin, wrong_code, both, "123456", "4711", "", "47111234560", "0000000000000000000000"] {
            assert_eq!(bench.try_code(typed).await, Err(FactorError::BadCode), "{place:?} {typed}");
        }
        assert_eq!(bench.try_code(right).await, Ok(Progress::Allowed { spend: None }), "{place:?}");
        // Whichever was wrong, the code was checked too.
        assert_eq!(bench.codes.asked.lock().unwrap().len(), 9);
    }
}

#[tokio::test]
async fn m_30_a_code_that_is_no_good_says_nothing_about_the_pin_before_it() {
    for said in [FactorError::Expired, FactorError::Locked] {
        let bench = Bench::new(Some(PinPlace::Front), Codes { says: Some(said), ..Codes::default() }, Some("4711")).await;
        assert_eq!(bench.try_code("4711654321").await, Err(FactorError::BadCode), "{said:?}, and the PIN is right");
        assert_eq!(bench.try_code("4712654321").await, Err(FactorError::BadCode), "{said:?}, and it is wrong");
    }
}

#[tokio::test]
async fn m_14_a_wrong_pin_is_no_outage() {
    let bench = Bench::new(Some(PinPlace::Front), Codes { says: Some(FactorError::Unreachable), ..Codes::default() }, Some("4711")).await;
    assert_eq!(bench.try_code("4712123456").await, Err(FactorError::BadCode));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::Unreachable));
}

#[tokio::test]
async fn m_15_whoever_has_no_pin_is_asked_for_nothing() {
    let bench = Bench::new(Some(PinPlace::Front), Codes::default(), None).await;
    assert_eq!(bench.start().await, Err(FactorError::NoPin));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::NoPin));
    assert_eq!(*bench.codes.starts.lock().unwrap(), 0, "no text without a PIN");
}

#[tokio::test]
async fn m_30_that_a_pin_is_too_old_hears_nobody_but_who_has_it_and_the_code() {
    let bench = Bench::new(Some(PinPlace::Front), Codes::default(), Some("4711")).await;
    *bench.clock.0.lock().unwrap() = 999;
    assert_eq!(bench.try_code("4711123456").await, Ok(Progress::Allowed { spend: None }));
    *bench.clock.0.lock().unwrap() = 1_000;
    assert_eq!(bench.start().await, Ok(Progress::CodeNeeded { ticket: None }), "with the password alone an old PIN is like any other");
    for wrong in ["4712123456", "4711654321", "4712654321"] {
        assert_eq!(bench.try_code(wrong).await, Err(FactorError::BadCode), "{wrong}");
    }
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::PinExpired));
}

#[tokio::test]
async fn a_policy_without_a_pin_is_asked_for_none() {
    let bench = Bench::new(None, Codes::default(), Some("4711")).await;
    *bench.clock.0.lock().unwrap() = 1_000;
    assert_eq!(bench.start().await, Ok(Progress::CodeNeeded { ticket: None }));
    assert_eq!(bench.try_code("123456").await, Ok(Progress::Allowed { spend: None }));
    assert_eq!(bench.try_code("4711123456").await, Err(FactorError::BadCode));
    let question = Ticket("q1".into());
    assert_eq!(bench.pin.wait(&question).await, Ok(Progress::Pending(question.clone())));
    let pushing = Bench::new(None, Codes { pushes: true, ..Codes::default() }, None).await;
    assert_eq!(pushing.start().await, Ok(Progress::Waived));
}

#[tokio::test]
async fn what_lets_people_in_without_a_code_lets_nobody_in_without_the_pin() {
    let bench = Bench::new(Some(PinPlace::Front), Codes { pushes: true, ..Codes::default() }, Some("4711")).await;
    assert_eq!(bench.start().await, Err(FactorError::Misconfigured));
}
