//! When a mail server is called away, and when it no longer is (M-14).

use std::time::Duration;

use super::*;
use crate::domain::Account;
use crate::domain::Choice;
use crate::domain::Identity;
use crate::domain::Timestamp;
use crate::domain::Trace;

/// Takes no letter, and says why.
#[derive(Debug)]
struct Refusing(Mutex<MailError>);

#[async_trait]
impl Mailer for Refusing {
    async fn send(&self, _to: &str, _subject: &str, _body: &str) -> Result<(), MailError> {
        Err(*self.0.lock().unwrap())
    }

    async fn probe(&self) -> Result<(), MailError> {
        Err(*self.0.lock().unwrap())
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }
}

fn bench(why: MailError) -> (Arc<Refusing>, Email) {
    let mailer = Arc::new(Refusing(Mutex::new(why)));
    let habits = Habits { digits: 6, day_max: 50, text: None, texts: Arc::default() };
    let settings = Settings { name: "mail".into(), subject: None, habits };
    (Arc::clone(&mailer), Email::new(&settings, mailer, Arc::new(Noon)))
}

fn asking() -> Asking {
    let identity = Identity("alice".into());
    let account = Account { mail: Some("alice@corp.example".into()), ..Account::new(identity.clone(), "alice", None, Timestamp(0)) };
    let choice = Choice { method: Method::Email, provider: "mail".into() };
    Asking { identity, account: account.into(), choice, client: "vpn".into(), source: None, trace: Trace(1) }
}

#[tokio::test(start_paused = true)]
async fn m_14_a_mail_server_without_time_is_never_away_and_one_that_was_away_no_longer_is() {
    let (mailer, email) = bench(MailError::Busy);
    for _ in 0..9 {
        assert_eq!(email.start(&asking()).await, Err(FactorError::Throttled));
    }
    *mailer.0.lock().unwrap() = MailError::Unreachable;
    for outcome in [FactorError::Faltering, FactorError::Faltering, FactorError::Unreachable] {
        assert_eq!(email.start(&asking()).await, Err(outcome));
    }
    *mailer.0.lock().unwrap() = MailError::Busy;
    assert_eq!(email.start(&asking()).await, Err(FactorError::Unreachable), "nobody asks it so soon");
    tokio::time::advance(Duration::from_secs(5)).await;
    for _ in 0..3 {
        assert_eq!(email.start(&asking()).await, Err(FactorError::Throttled), "it is there again");
    }
}
