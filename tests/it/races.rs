//! Sixty-four at once before the real store: of those who bring one code or one bypass exactly one wins (M-03, M-06, M-44).

mod server;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use vestibule::domain::Account;
use vestibule::domain::Appended;
use vestibule::domain::AuthRequest;
use vestibule::domain::Bypass;
use vestibule::domain::Change;
use vestibule::domain::Checked;
use vestibule::domain::Choice;
use vestibule::domain::CommitError;
use vestibule::domain::Decision;
use vestibule::domain::Denial;
use vestibule::domain::Dialogue;
use vestibule::domain::Door;
use vestibule::domain::Grant;
use vestibule::domain::Identity;
use vestibule::domain::Lock;
use vestibule::domain::Method;
use vestibule::domain::Primary;
use vestibule::domain::PrimaryError;
use vestibule::domain::Refused;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::domain::Timestamp;
use vestibule::domain::Token;
use vestibule::domain::TokenInfo;
use vestibule::domain::TokenKind;
use vestibule::domain::otp;
use vestibule::domain::otp::Algorithm;
use vestibule::domain::pin::PinRules;
use vestibule::engine::Engine;
use vestibule::engine::Limits;
use vestibule::engine::Outcome;
use vestibule::ports::Aside;
use vestibule::ports::Clock;
use vestibule::ports::Entry;
use vestibule::ports::PrimaryCheck;
use vestibule::ports::Provider;
use vestibule::ports::Store;
use vestibule::provider::oath;
use vestibule::provider::oath::Oath;
use vestibule::provider::pin::WithPin;
use vestibule::store;
use vestibule::store::Vault;

pub(crate) const NOW: Timestamp = Timestamp(1_800_000_000_000);
pub(crate) const LONG: Duration = Duration::from_secs(60);
const SEED: &[u8] = b"twenty random octets";

#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A directory in which everybody is alice and her password is `right`.
#[derive(Debug)]
pub(crate) struct Corp;

#[async_trait]
impl PrimaryCheck for Corp {
    async fn resolve(&self, _: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        Ok(Some(Entry {
            directory: "corp".into(),
            identity: alice(),
            dn: "CN=alice".into(),
            name: "alice".into(),
            mail: None,
            phone: None,
            password_set: None,
        }))
    }
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _: &mut Aside) -> Result<Checked, PrimaryError> {
        let identity = entry.unwrap().identity.clone();
        match request.primary.typed().unwrap().expose() {
            b"right" => Ok(Checked::Passed(identity)),
            _ => Err(PrimaryError::Refused { who: Some(identity), why: Refused::WrongPassword }),
        }
    }
}

pub(crate) fn alice() -> Identity {
    Identity("S-1-5-21-1".into())
}

/// The real store with alice and her generator, and as many engines before it: each has turns of its own, so that only the store is between them.
pub(crate) async fn stage(engines: usize) -> (TempDir, Arc<Vault>, Vec<Arc<Engine>>) {
    let folder = tempfile::tempdir().unwrap();
    let vault = store::open(&store::Settings { data_dir: folder.path().to_owned(), master_key: Secret::new(vec![3; 32]) }).unwrap();
    let kind = TokenKind::Totp { period_s: 30 };
    let info = TokenInfo { id: "t".into(), owner: alice(), kind, algorithm: Algorithm::Sha1, digits: 6, next_step: 0, created_at: Timestamp(0) };
    let account = Account::new(alice(), "alice", None, Timestamp(0));
    let there = vec![Change::PutAccount(account.into()), Change::PutToken(Token { info, seed: Secret::new(SEED.to_vec()) })];
    vault.commit(there).await.unwrap();
    let limits = Limits { logins_max: 1_000, parked_max: 1_000, challenge_keep: LONG };
    let open = || {
        let engine = Engine::new(Arc::<Vault>::clone(&vault), Arc::new(Still), limits).unwrap();
        let settings = oath::Settings { name: "tokens".into(), steps_around: 1, look_ahead: 10, backup_codes: true };
        let tokens = Arc::new(Oath::new(&settings, Arc::<Vault>::clone(&vault), Arc::new(Still)));
        let with_pin = WithPin::new(tokens, PinRules::default(), Arc::<Vault>::clone(&vault), Arc::new(Still));
        engine.equip(HashMap::from([("tokens".to_owned(), Arc::new(with_pin) as Arc<dyn Provider>)]));
        engine
    };
    let engines = std::iter::repeat_with(open).take(engines).collect();
    (folder, vault, engines)
}

fn rules(failures_max: u32) -> Arc<Rules> {
    let lock = Lock { failures_max, wait_ms: 900_000, window_ms: 0 };
    Arc::new(Rules { lock, ..Rules::bare("codes", vec![Choice::new(Method::Oath, "tokens")]) })
}

/// The login of this number, through one of both doors.
pub(crate) fn request(number: usize, password: &str, code: Option<&str>) -> AuthRequest {
    AuthRequest {
        door: if number.is_multiple_of(2) { Door::Radius } else { Door::Ldap },
        client: "fw".into(),
        login: "alice".into(),
        primary: Primary::Password(password.into()),
        appended: code.map(|code| Appended::Code(code.into())),
        dialogue: Dialogue::default(),
        source: None,
        exempt: Vec::new(),
        seat: number.to_be_bytes().to_vec(),
        asker: Vec::new(),
    }
}

/// All of them at once; how each ended.
pub(crate) async fn at_once(engines: &[Arc<Engine>], rules: &Arc<Rules>, requests: impl Iterator<Item = AuthRequest>) -> Vec<Arc<Decision>> {
    let ask = |(at, request): (usize, AuthRequest)| {
        let (engine, rules) = (Arc::clone(&engines[at % engines.len()]), Arc::clone(rules));
        tokio::spawn(async move { engine.login(request, rules, Arc::new(Corp), LONG).outcome().await })
    };
    let running: Vec<_> = requests.enumerate().map(ask).collect();
    let mut decisions = Vec::new();
    for login in running {
        match login.await.unwrap() {
            Outcome::Decided { decision, .. } => decisions.push(decision),
            other => panic!("{other:?}"),
        }
    }
    decisions
}

pub(crate) fn accepted(decisions: &[Arc<Decision>], why: Grant) -> usize {
    decisions.iter().filter(|decision| matches!(&***decision, Decision::Accept(permit) if permit.why() == why)).count()
}

pub(crate) fn code() -> String {
    otp::code(Algorithm::Sha1, &Secret::new(SEED.to_vec()), otp::step_at(NOW, 30), 6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_03_of_64_logins_with_one_code_exactly_one_wins() {
    for engines in [1, 8, 64] {
        let (_folder, _vault, engines) = stage(engines).await;
        let code = code();
        let decisions = at_once(&engines, &rules(0), (0..64).map(|number| request(number, "right", Some(&code)))).await;
        assert_eq!(decisions.len(), 64);
        assert_eq!(accepted(&decisions, Grant::Factor), 1, "{} engines", engines.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_03_m_44_of_64_commits_that_spend_the_same_exactly_one_is_written() {
    let (_folder, vault, _) = stage(0).await;
    let bypass = Bypass { until: Timestamp(NOW.0 + 60_000), reason: "lost phone".into(), granted_by: "helpdesk".into(), granted_at: NOW };
    vault.commit(vec![Change::GrantBypass { who: alice(), bypass }]).await.unwrap();
    for change in [Change::UseOtp { who: alice(), token: "t".into(), step: 60_000_000 }, Change::SpendBypass { who: alice(), at: NOW }] {
        let commits: Vec<_> = (0..64)
            .map(|_| {
                let (vault, change) = (Arc::clone(&vault), change.clone());
                tokio::spawn(async move { vault.commit(vec![change]).await })
            })
            .collect();
        let mut told = Vec::new();
        for commit in commits {
            told.push(commit.await.unwrap());
        }
        assert_eq!(told.iter().filter(|told| told.is_ok()).count(), 1, "{change:?}");
        assert_eq!(told.iter().filter(|told| **told == Err(CommitError::Spent)).count(), 63, "{change:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_44_of_64_logins_on_one_bypass_exactly_one_is_let_in_by_it() {
    for engines in [1, 8, 64] {
        let (_folder, vault, engines) = stage(engines).await;
        let bypass = Bypass { until: Timestamp(NOW.0 + 60_000), reason: "lost phone".into(), granted_by: "helpdesk".into(), granted_at: NOW };
        vault.commit(vec![Change::GrantBypass { who: alice(), bypass }]).await.unwrap();
        let decisions = at_once(&engines, &rules(0), (0..64).map(|number| request(number, "right", None))).await;
        assert_eq!(accepted(&decisions, Grant::Bypass), 1, "{} engines", engines.len());
        let refused = |decision: &&Arc<Decision>| matches!(***decision, Decision::Reject(Denial::CodeNeeded | Denial::OutOfTurn));
        assert_eq!(decisions.iter().filter(refused).count(), 63, "{decisions:?}");
        assert!(vault.standing(&alice()).unwrap().bypass.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m_05_m_06_of_64_wrong_codes_and_64_wrong_passwords_at_once_five_are_counted_and_then_nobody_gets_in() {
    let (_folder, vault, engines) = stage(1).await;
    let rules = rules(5);
    let wrong =
        |number: usize| if number.is_multiple_of(3) { request(number, &format!("guess {number}"), None) } else { request(number, "right", Some("000000")) };
    for _ in 0..3 {
        let decisions = at_once(&engines, &rules, (0..128).map(wrong)).await;
        assert!(decisions.iter().all(|decision| matches!(**decision, Decision::Reject(_))), "{decisions:?}");
    }
    let tries = vault.standing(&alice()).unwrap().tries;
    assert_eq!((tries.failures, tries.locked(NOW)), (5, true));
    let right = at_once(&engines, &rules, std::iter::once(request(999, "right", Some(&code())))).await;
    assert_eq!(*right[0], Decision::Reject(Denial::Locked));
}
