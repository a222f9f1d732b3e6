//! Codes against a small store in memory.

use std::sync::Mutex;

use crate::domain::Account;
use crate::domain::Bypass;
use crate::domain::Choice;
use crate::domain::CommitError;
use crate::domain::Lsn;
use crate::domain::Standing;
use crate::domain::Timestamp;
use crate::domain::TokenInfo;
use crate::domain::TokenKind;
use crate::domain::Trace;
use crate::domain::otp::Algorithm;
use crate::ports::StoreError;

use super::*;

const NOW: Timestamp = Timestamp(1_000 * 30_000);
const TOTP: TokenKind = TokenKind::Totp { period_s: 30 };

/// Tokens, and a switch that breaks the disk.
#[derive(Debug, Default)]
struct Shelf {
    tokens: Mutex<Vec<Token>>,
    backups: Mutex<Option<BackupCodes>>,
    broken: bool,
}

#[async_trait]
impl Store for Shelf {
    fn standing(&self, _who: &Identity) -> Result<Standing, StoreError> {
        Ok(Standing::default())
    }

    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, StoreError> {
        if self.broken {
            return Err(StoreError::Io("the disk is gone".into()));
        }
        Ok(self.tokens.lock().unwrap().iter().filter(|token| token.info.owner == *who).cloned().collect())
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

    fn backup_codes(&self, _who: &Identity) -> Result<Option<BackupCodes>, StoreError> {
        Ok(self.backups.lock().unwrap().clone())
    }

    /// Knows two changes: burning a code, and using a backup code up.
    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        let mut tokens = self.tokens.lock().unwrap();
        for change in changes {
            if let Change::UseBackup { place, issued_at, at, .. } = change {
                let mut backups = self.backups.lock().unwrap();
                *backups = Some(backups.clone().and_then(|codes| codes.used(place, issued_at, at)).ok_or(CommitError::Spent)?);
                continue;
            }
            let Change::UseOtp { token, step, .. } = change else { return Err(CommitError::Outage) };
            let info = tokens.iter_mut().map(|token| &mut token.info).find(|info| info.id == token).ok_or(CommitError::Spent)?;
            if step < info.next_step {
                return Err(CommitError::Spent);
            }
            info.next_step = step + 1;
        }
        Ok(Lsn(1))
    }
}

#[derive(Debug)]
struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

struct Bench {
    shelf: Arc<Shelf>,
    oath: Oath,
}

impl Bench {
    fn new(tokens: Vec<Token>) -> Self {
        Self::at(NOW, 1, 10, tokens)
    }

    fn at(now: Timestamp, steps_around: u8, look_ahead: u8, tokens: Vec<Token>) -> Self {
        let shelf = Arc::new(Shelf { tokens: Mutex::new(tokens), ..Shelf::default() });
        let settings = Settings { name: "tokens".into(), steps_around, look_ahead, backup_codes: true };
        let oath = Oath::new(&settings, Arc::<Shelf>::clone(&shelf), Arc::new(Fixed(now)));
        Self { shelf, oath }
    }

    async fn try_code(&self, typed: &str) -> Result<Progress, FactorError> {
        self.oath.verify(&asking(Method::Oath), None, &Secret::from(typed)).await
    }

    /// Tries a code and burns it, as a flow does. Says whether somebody was let in.
    async fn log_in(&self, typed: &str) -> bool {
        match self.try_code(typed).await {
            Ok(Progress::Allowed { spend: Some(spend) }) => self.shelf.commit(vec![spend]).await.is_ok(),
            _ => false,
        }
    }
}

fn asking(method: Method) -> Asking {
    let choice = Choice::new(method, "tokens");
    let identity = Identity("S-1".into());
    let account = Account::new(identity.clone(), "alice", None, Timestamp(0)).into();
    Asking { identity, account, choice, client: "vpn".into(), source: None, trace: Trace(1) }
}

fn token(id: &str, owner: &str, kind: TokenKind) -> Token {
    let info = TokenInfo { id: id.into(), owner: Identity(owner.into()), kind, algorithm: Algorithm::Sha1, digits: 6, next_step: 0, created_at: Timestamp(0) };
    Token { info, seed: Secret::from(format!("seed of {id}, twenty bytes").as_str()) }
}

fn code_of(token: &Token, step: u64) -> String {
    otp::code(token.info.algorithm, &token.seed, step, token.info.digits)
}

#[tokio::test]
async fn m_01_a_code_opens_once() {
    let token = token("t1", "S-1", TOTP);
    let bench = Bench::new(vec![token.clone()]);
    let code = code_of(&token, 1000);
    assert!(bench.log_in(&code).await);
    assert!(!bench.log_in(&code).await);
    assert_eq!(bench.try_code(&code).await, Err(FactorError::BadCode));
}

#[tokio::test]
async fn m_01_a_step_before_the_burnt_one_is_burnt_too() {
    let token = token("t1", "S-1", TOTP);
    let bench = Bench::new(vec![token.clone()]);
    assert!(bench.log_in(&code_of(&token, 1001)).await);
    assert!(!bench.log_in(&code_of(&token, 1000)).await);
    assert!(!bench.log_in(&code_of(&token, 999)).await);
}

#[tokio::test]
async fn m_02_a_used_code_in_another_spelling_stays_used() {
    let token = token("t1", "S-1", TOTP);
    let bench = Bench::new(vec![token.clone()]);
    let code = code_of(&token, 1000);
    assert!(bench.log_in(&code).await);
    let wide: String = code.chars().map(|digit| char::from_u32(u32::from(digit) - 0x30 + 0xff10).unwrap()).collect();
    for spelling in [format!(" {code}"), format!("{code} "), format!("+{code}"), format!("0{code}"), format!("{} {}", &code[..3], &code[3..]), wide] {
        assert!(!bench.log_in(&spelling).await, "{spelling:?}");
    }
}

#[tokio::test]
async fn m_04_hotp_looks_ahead_ten_whatever_the_settings_say() {
    let token = token("t1", "S-1", TokenKind::Hotp);
    let bench = Bench::at(NOW, 1, 200, vec![token.clone()]);
    assert_eq!(bench.try_code(&code_of(&token, 11)).await, Err(FactorError::BadCode));
    assert!(bench.log_in(&code_of(&token, 10)).await);
    assert!(!bench.log_in(&code_of(&token, 10)).await, "a counter only moves forward");
    assert!(!bench.log_in(&code_of(&token, 3)).await, "a counter only moves forward");
    assert!(bench.log_in(&code_of(&token, 11)).await);
}

#[tokio::test]
async fn m_08_one_step_around_now_whatever_the_settings_say() {
    let token = token("t1", "S-1", TOTP);
    let bench = Bench::at(NOW, 9, 0, vec![token.clone()]);
    for (step, good) in [(998, false), (999, true), (1000, true), (1001, true), (1002, false)] {
        assert_eq!(bench.try_code(&code_of(&token, step)).await.is_ok(), good, "{step}");
    }
    let strict = Bench::at(NOW, 0, 0, vec![token.clone()]);
    for (step, good) in [(999, false), (1000, true), (1001, false)] {
        assert_eq!(strict.try_code(&code_of(&token, step)).await.is_ok(), good, "{step}");
    }
}

#[tokio::test]
async fn any_of_the_persons_tokens_will_do_and_the_one_used_is_burnt() {
    let (first, second) = (token("t1", "S-1", TOTP), token("t2", "S-1", TokenKind::Hotp));
    let bench = Bench::new(vec![first.clone(), second.clone()]);
    let spend = Change::UseOtp { who: Identity("S-1".into()), token: "t2".into(), step: 4 };
    assert_eq!(bench.try_code(&code_of(&second, 4)).await, Ok(Progress::Allowed { spend: Some(spend) }));
    assert!(bench.log_in(&code_of(&first, 1000)).await);
    assert!(bench.log_in(&code_of(&second, 4)).await);
}

#[tokio::test]
async fn m_20_somebody_elses_token_opens_nothing() {
    let theirs = token("t9", "S-2", TOTP);
    let bench = Bench::new(vec![token("t1", "S-1", TOTP), theirs.clone()]);
    assert_eq!(bench.try_code(&code_of(&theirs, 1000)).await, Err(FactorError::BadCode));
}

#[tokio::test]
async fn a_person_with_a_token_is_asked_for_a_code_and_one_without_is_not_enrolled() {
    let bench = Bench::new(vec![token("t1", "S-1", TOTP)]);
    assert_eq!(bench.oath.start(&asking(Method::Oath)).await, Ok(Progress::CodeNeeded { ticket: None }));
    let bench = Bench::new(vec![token("t1", "S-2", TOTP)]);
    assert_eq!(bench.oath.start(&asking(Method::Oath)).await, Err(FactorError::NotEnrolled));
}

#[tokio::test]
async fn m_14_a_store_that_cannot_be_read_never_looks_like_an_outage() {
    let settings = Settings { name: "tokens".into(), steps_around: 1, look_ahead: 10, backup_codes: true };
    let shelf = Shelf { broken: true, ..Shelf::default() };
    let oath = Oath::new(&settings, Arc::new(shelf), Arc::new(Fixed(NOW)));
    assert_eq!(oath.start(&asking(Method::Oath)).await, Err(FactorError::Misconfigured));
    assert_eq!(oath.verify(&asking(Method::Oath), None, &Secret::from("123456")).await, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn tokens_cannot_push_or_wait() {
    let bench = Bench::new(vec![token("t1", "S-1", TOTP)]);
    assert_eq!(bench.oath.start(&asking(Method::Push)).await, Err(FactorError::Misconfigured));
    assert_eq!(bench.oath.wait(&Ticket("x".into())).await, Err(FactorError::Misconfigured));
}

async fn issued(bench: &Bench, codes: &[&str], until: Timestamp) {
    let salt = [7; 16];
    let mut hashes = Vec::new();
    for code in codes {
        hashes.push(Some(stretch::hash_with(salt, &Secret::from(*code)).await.unwrap()));
    }
    let codes = BackupCodes { salt, hashes, until, issued_by: "root".into(), issued_at: NOW };
    *bench.shelf.backups.lock().unwrap() = Some(codes);
}

#[tokio::test]
async fn m_44_a_backup_code_stands_in_for_a_token_once() {
    let bench = Bench::new(Vec::new());
    assert_eq!(bench.oath.start(&asking(Method::Oath)).await, Err(FactorError::NotEnrolled));
    issued(&bench, &["12345678", "87654321"], Timestamp(NOW.0 + 1)).await;
    assert_eq!(bench.oath.start(&asking(Method::Oath)).await, Ok(Progress::CodeNeeded { ticket: None }));
    for wrong in ["12345679", "1234567", "123456789", "1234567a", "１２３４５６７８"] {
        assert_eq!(bench.try_code(wrong).await, Err(FactorError::BadCode), "{wrong}");
    }
    assert!(bench.log_in("12345678").await);
    assert!(!bench.log_in("12345678").await);
    assert!(bench.log_in("87654321").await);
    assert_eq!(bench.oath.start(&asking(Method::Oath)).await, Err(FactorError::NotEnrolled));
}

#[tokio::test]
async fn m_44_of_two_that_bring_one_backup_code_at_once_one_gets_in() {
    let bench = Bench::new(Vec::new());
    issued(&bench, &["12345678", "87654321"], Timestamp(NOW.0 + 1)).await;
    let (one, other) = tokio::join!(bench.try_code("12345678"), bench.try_code("12345678"));
    let spent = |progress: Result<Progress, FactorError>| match progress {
        Ok(Progress::Allowed { spend: Some(spend) }) => spend,
        other => panic!("{other:?}"),
    };
    let (one, other) = (spent(one), spent(other));
    assert_eq!(bench.shelf.commit(vec![one]).await, Ok(Lsn(1)));
    assert_eq!(bench.shelf.commit(vec![other]).await, Err(CommitError::Spent));
}

#[tokio::test]
async fn m_44_backup_codes_run_out_and_can_be_switched_off() {
    let bench = Bench::new(Vec::new());
    issued(&bench, &["12345678"], NOW).await;
    assert_eq!(bench.try_code("12345678").await, Err(FactorError::BadCode));
    issued(&bench, &["12345678"], Timestamp(NOW.0 + 1)).await;
    let settings = Settings { name: "tokens".into(), steps_around: 1, look_ahead: 10, backup_codes: false };
    let off = Oath::new(&settings, Arc::<Shelf>::clone(&bench.shelf), Arc::new(Fixed(NOW)));
    assert_eq!(off.start(&asking(Method::Oath)).await, Err(FactorError::NotEnrolled));
    assert_eq!(off.verify(&asking(Method::Oath), None, &Secret::from("12345678")).await, Err(FactorError::BadCode));
}
