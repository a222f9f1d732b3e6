//! The loop against fake ports that answer from a script, fail or hang, in paused time.

mod apart;
mod dialogue;
mod guards;
mod policies;
mod rehearsals;
mod remember;
mod steps;
mod turns;

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::domain::*;
use crate::ports::Conversation;
use crate::ports::Entry;
use crate::ports::StoreError;

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct World {
    standings: Mutex<HashMap<Identity, Standing>>,
    burnt: Mutex<HashSet<(String, u64)>>,
    committed: Mutex<Vec<Change>>,
    store_away: AtomicBool,
    commits_fail: AtomicBool,
    commits_hang: AtomicBool,
    checks: AtomicUsize,
    starts: AtomicUsize,
    verifies: AtomicUsize,
    cancels: AtomicUsize,
    changes: Mutex<Vec<(Secret, Secret)>>,
    /// A push comes with a number to choose.
    numbered: AtomicBool,
    /// What `wait` says once `released`.
    verdict: Mutex<Option<Result<Progress, FactorError>>>,
    released: Notify,
    asked: Notify,
}

fn alice() -> Identity {
    Identity("S-1-5-21-1".into())
}

#[async_trait]
impl Store for World {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        if self.store_away.load(Ordering::SeqCst) {
            return Err(StoreError::Io("gone".into()));
        }
        Ok(self.standings.lock().unwrap().get(who).cloned().unwrap_or_default())
    }
    fn tokens(&self, _: &Identity) -> Result<Vec<Token>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn accounts_named(&self, _: &str) -> Result<Vec<Account>, StoreError> {
        Ok(Vec::new())
    }
    fn token_list(&self, _: usize) -> Result<Vec<TokenInfo>, StoreError> {
        Ok(Vec::new())
    }
    fn bypass_list(&self, _: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        Ok(Vec::new())
    }
    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        if self.store_away.load(Ordering::SeqCst) || self.commits_fail.load(Ordering::SeqCst) {
            return Err(CommitError::Outage);
        }
        if self.commits_hang.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        for change in &changes {
            match change {
                Change::UseOtp { token, step, .. } if !self.burnt.lock().unwrap().insert((token.clone(), *step)) => return Err(CommitError::Spent),
                Change::Fail { who, at, lock, tally } => {
                    let mut standings = self.standings.lock().unwrap();
                    let standing = standings.entry(who.clone()).or_default();
                    let tries = if tally.is_common() { &mut standing.tries } else { &mut standing.exempt_tries };
                    *tries = std::mem::take(tries).failed(*at, *lock);
                }
                _ => {}
            }
        }
        self.committed.lock().unwrap().extend(changes);
        Ok(Lsn(1))
    }
}

#[async_trait]
impl PrimaryCheck for World {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        match request.login.trim() {
            "nobody" => Err(PrimaryError::Refused { who: None, why: Refused::UnknownName }),
            "away" => Err(PrimaryError::Outage(Outage::Directory)),
            _ => Ok(Some(Entry {
                directory: "corp".into(),
                identity: alice(),
                dn: "CN=alice".into(),
                name: "alice".into(),
                mail: None,
                phone: None,
                password_set: None,
            })),
        }
    }
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        let entry = entry.unwrap();
        let expired = || Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why: Refused::PasswordExpired });
        match &request.primary {
            Primary::MsChap2 { .. } => {
                aside.change_key = b"C".to_vec();
                return expired();
            }
            Primary::MsChap2Change { .. } => return Ok(Checked::Passed(entry.identity.clone())),
            Primary::Password(_) | Primary::Relayed(_) | Primary::Waived => {}
        }
        match request.primary.typed().unwrap().expose() {
            b"right" => Ok(Checked::Passed(entry.identity.clone())),
            b"expired" => expired(),
            b"slow" => std::future::pending().await,
            b"panic" => panic!("a check that panics, on purpose"),
            b"asks" => {
                aside.conversation = Some(Conversation { server: 1, state: "theirs".into() });
                Ok(Checked::More)
            }
            b"told" if aside.conversation.as_ref().is_some_and(|talk| talk.server == 1) => Ok(Checked::Passed(entry.identity.clone())),
            b"held" => {
                self.asked.notify_one();
                self.released.notified().await;
                Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why: Refused::WrongPassword })
            }
            _ => Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why: Refused::WrongPassword }),
        }
    }
    fn can_change(&self) -> bool {
        true
    }
    async fn change(&self, _: &AuthRequest, entry: Option<&Entry>, old: &Secret, new: &Secret, _: &mut Aside) -> Result<Identity, PasswordError> {
        self.changes.lock().unwrap().push((old.clone(), new.clone()));
        Ok(entry.unwrap().identity.clone())
    }
}

#[async_trait]
impl Provider for World {
    async fn start(&self, asking: &Asking) -> Result<Progress, FactorError> {
        self.starts.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
        match asking.choice.method {
            Method::Email | Method::Oath | Method::Text => Ok(Progress::CodeNeeded { ticket: None }),
            Method::Call | Method::Push if self.numbered.load(Ordering::SeqCst) => {
                Ok(Progress::Choose { ticket: Ticket("t".into()), number: Number::new("42").unwrap() })
            }
            Method::Call | Method::Push => Ok(Progress::Pending(Ticket("t".into()))),
        }
    }
    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        self.released.notified().await;
        self.verdict.lock().unwrap().take().unwrap_or_else(|| Ok(Progress::Pending(ticket.clone())))
    }
    async fn verify(&self, asking: &Asking, _: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        self.verifies.fetch_add(1, Ordering::SeqCst);
        match code.expose() {
            b"123456" => Ok(Progress::Allowed { spend: Some(Change::UseOtp { who: asking.identity.clone(), token: "t1".into(), step: 7 }) }),
            _ => Err(FactorError::BadCode),
        }
    }
    async fn cancel(&self, _: &Ticket) {
        self.cancels.fetch_add(1, Ordering::SeqCst);
        self.asked.notify_one();
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(1_000)
    }
}

fn world() -> (Arc<World>, Arc<Engine>) {
    world_with(Limits { logins_max: 100, parked_max: 50, challenge_keep: Duration::from_secs(120) })
}

fn world_with(limits: Limits) -> (Arc<World>, Arc<Engine>) {
    let world = Arc::new(World::default());
    let account = Account::new(alice(), "alice", Some("corp".into()), Timestamp(0));
    world.standings.lock().unwrap().insert(alice(), Standing { account: Some(account.into()), ..Standing::default() });
    let engine = Engine::new(Arc::<World>::clone(&world), Arc::<World>::clone(&world), limits).unwrap();
    engine.equip(HashMap::from([("lab".to_owned(), Arc::<World>::clone(&world) as Arc<dyn Provider>)]));
    (world, engine)
}

fn rules(method: Method) -> Arc<Rules> {
    Arc::new(Rules { lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 }, ..Rules::bare("vpn", vec![Choice::new(method, "lab")]) })
}

fn asked(login: &str, password: &str, seat: u8) -> AuthRequest {
    AuthRequest {
        door: Door::Radius,
        client: "fw".into(),
        login: login.into(),
        primary: Primary::Password(password.into()),
        appended: None,
        dialogue: Dialogue { prompt: Some("Code:".into()), ..Dialogue::default() },
        source: None,
        exempt: Vec::new(),
        seat: vec![seat],
        asker: Vec::new(),
    }
}

fn begin(world: &Arc<World>, engine: &Arc<Engine>, method: Method, request: AuthRequest) -> Login {
    engine.login(request, rules(method), Arc::<World>::clone(world), MINUTE)
}

fn claim(state: Secret, code: &str) -> Answer {
    Answer { state, client: "fw".into(), login: "alice".into(), seat: vec![1], said: Primary::Password(code.into()) }
}

async fn challenged(world: &Arc<World>, engine: &Arc<Engine>) -> Secret {
    match begin(world, engine, Method::Oath, asked("alice", "right", 1)).outcome().await {
        Outcome::Challenge { state, prompt, .. } => {
            assert_eq!(prompt, "Code:");
            state
        }
        other => panic!("{other:?}"),
    }
}

fn accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Decided { decision, .. } if matches!(&**decision, Decision::Accept(permit) if *permit.identity() == alice()))
}

fn decided(outcome: &Outcome, want: &Decision) -> bool {
    matches!(outcome, Outcome::Decided { decision, .. } if **decision == *want)
}

#[tokio::test(start_paused = true)]
async fn a_challenge_is_answered_and_its_code_burnt_before_the_accept() {
    let (world, engine) = world();
    let state = challenged(&world, &engine).await;
    assert_eq!(state.len(), 43, "R-043: 128 random bits or more");
    assert!(state.expose().iter().all(u8::is_ascii_graphic), "whoever keeps it as text brings all of it back");
    let outcome = engine.answer(claim(state, "123456"), MINUTE).outcome().await;
    assert!(accepted(&outcome), "{outcome:?}");
    assert!(matches!(world.committed.lock().unwrap().as_slice(), [Change::UseOtp { step: 7, .. }]));
}

#[tokio::test(start_paused = true)]
async fn m_01_a_code_that_cannot_be_spent_opens_nothing_and_counts_as_a_failure() {
    let (world, engine) = world();
    world.burnt.lock().unwrap().insert(("t1".into(), 7));
    let state = challenged(&world, &engine).await;
    let outcome = engine.answer(claim(state, "123456"), MINUTE).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::BadCode)), "{outcome:?}");
    assert_eq!(world.standing(&alice()).unwrap().tries.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn r_043_r_044_a_state_is_good_once_and_for_whom_it_was_given() {
    let (world, engine) = world();
    let refused = Decision::Reject(Denial::OutOfTurn);
    let state = challenged(&world, &engine).await;
    assert!(decided(&engine.answer(claim(state.clone(), "000000"), MINUTE).outcome().await, &Decision::Reject(Denial::BadCode)));
    assert!(decided(&engine.answer(claim(state, "123456"), MINUTE).outcome().await, &refused));
    let spoilt: [fn(&mut Answer); 4] = [
        |answer| answer.client = "other".into(),
        |answer| answer.login = "bob".into(),
        |answer| answer.seat = vec![2],
        |answer| answer.state = Secret::new(answer.state.expose().iter().map(|byte| !byte).collect()),
    ];
    for spoil in spoilt {
        let mut answer = claim(challenged(&world, &engine).await, "123456");
        spoil(&mut answer);
        assert!(decided(&engine.answer(answer, MINUTE).outcome().await, &refused));
    }
    let state = challenged(&world, &engine).await;
    tokio::time::advance(Duration::from_secs(120)).await;
    assert!(decided(&engine.answer(claim(state, "123456"), MINUTE).outcome().await, &refused));
    assert!(world.burnt.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn m_05_many_open_challenges_are_not_many_guesses() {
    let (world, engine) = world();
    let mut states = Vec::new();
    for _ in 0..20 {
        states.push(challenged(&world, &engine).await);
    }
    let guesses: Vec<_> = states.into_iter().map(|state| engine.answer(claim(state, "000000"), MINUTE)).collect();
    for guess in guesses {
        assert!(!accepted(&guess.outcome().await));
    }
    assert!(world.verifies.load(Ordering::SeqCst) <= 5, "the lock came too late");
    assert!(world.standing(&alice()).unwrap().tries.locked(Timestamp(1_000)));
    let outcome = begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::Locked)));
}

#[tokio::test(start_paused = true)]
async fn m_06_parallel_wrong_passwords_meet_the_lock_one_by_one() {
    let (world, engine) = world();
    let guesses: Vec<_> = (0..30_u8).map(|seat| begin(&world, &engine, Method::Push, asked("alice", &format!("wrong {seat}"), seat))).collect();
    for guess in guesses {
        assert!(!accepted(&guess.outcome().await));
    }
    assert_eq!(world.checks.load(Ordering::SeqCst), 5);
    assert_eq!(world.starts.load(Ordering::SeqCst), 0, "a wrong password rang the phone");
}

#[tokio::test(start_paused = true)]
async fn r_055_the_same_login_asked_again_is_one_push_and_the_later_asker_hears() {
    let (world, engine) = world();
    let first = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    let second = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
    let (first, second) = tokio::join!(first.outcome(), second.outcome());
    assert!(matches!(first, Outcome::Superseded), "{first:?}");
    assert!(accepted(&second), "{second:?}");
    assert_eq!(world.starts.load(Ordering::SeqCst), 1);
    assert_eq!(engine.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn r_055_another_password_is_no_free_ride() {
    let (world, engine) = world();
    let first = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    let second = begin(&world, &engine, Method::Push, asked("alice", "wrong", 1));
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
    let (first, second) = tokio::join!(first.outcome(), second.outcome());
    assert!(accepted(&first), "{first:?}");
    assert!(decided(&second, &Decision::Reject(Denial::BadCredential)), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn m_12_a_login_given_up_takes_the_question_back_and_a_late_approval_opens_nothing() {
    let (world, engine) = world();
    let login = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    drop(login);
    world.asked.notified().await;
    assert_eq!(world.cancels.load(Ordering::SeqCst), 1);
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
    tokio::task::yield_now().await;
    assert_eq!(engine.running(), 0);
    assert!(world.committed.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_a_push_and_the_deadline_refuses_and_takes_it_back() {
    let (world, engine) = world();
    let outcome = begin(&world, &engine, Method::Push, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::NoAnswer)), "{outcome:?}");
    tokio::task::yield_now().await;
    assert_eq!(world.cancels.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_or_is_away_makes_silence() {
    let (world, engine) = world();
    for request in [asked("alice", "slow", 1), asked("away", "right", 1)] {
        let outcome = begin(&world, &engine, Method::Push, request).outcome().await;
        assert!(decided(&outcome, &Decision::Drop(Outage::Directory)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_makes_silence_and_no_accept() {
    let (world, engine) = world();
    let state = challenged(&world, &engine).await;
    world.store_away.store(true, Ordering::SeqCst);
    for login in [engine.answer(claim(state, "123456"), MINUTE), begin(&world, &engine, Method::Push, asked("alice", "right", 1))] {
        let outcome = login.outcome().await;
        assert!(decided(&outcome, &Decision::Drop(Outage::Store)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_nobody_has_never_reaches_a_password_check() {
    let (world, engine) = world();
    let outcome = begin(&world, &engine, Method::Push, asked("nobody", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::BadCredential)), "{outcome:?}");
    assert_eq!(world.checks.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn logins_of_one_identity_take_turns_and_the_line_is_bounded() {
    let (world, engine) = world();
    let held = begin(&world, &engine, Method::Push, asked("alice", "right", 0));
    world.asked.notified().await;
    let waiting: Vec<_> = (1..=12_u8).map(|seat| begin(&world, &engine, Method::Push, asked("alice", "wrong", seat))).collect();
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: false }));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    world.released.notify_one();
    assert!(decided(&held.outcome().await, &Decision::Reject(Denial::FactorDenied)));
    let mut turned_away = 0;
    for login in waiting {
        turned_away += usize::from(decided(&login.outcome().await, &Decision::Reject(Denial::OutOfTurn)));
    }
    assert_eq!(turned_away, 4);
    assert!(engine.turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn full_tables_make_silence() {
    let (world, engine) = world_with(Limits { logins_max: 1, parked_max: 1, challenge_keep: MINUTE });
    let held = begin(&world, &engine, Method::Push, asked("alice", "right", 0));
    let outcome = begin(&world, &engine, Method::Push, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Drop(Outage::Full)));
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: true }));
    world.released.notify_one();
    assert!(decided(&held.outcome().await, &Decision::Reject(Denial::FraudReported)));
    challenged(&world, &engine).await;
    let outcome = begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Drop(Outage::Full)));
}

#[tokio::test(start_paused = true)]
async fn m_06_a_login_given_up_while_the_directory_has_the_password_is_counted_all_the_same() {
    let (world, engine) = world();
    let login = begin(&world, &engine, Method::Push, asked("alice", "held", 1));
    world.asked.notified().await;
    drop(login);
    tokio::task::yield_now().await;
    world.released.notify_one();
    while !engine.turns.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.standing(&alice()).unwrap().tries.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_panics_is_silence_for_who_asked_and_leaves_no_trace() {
    let (world, engine) = world();
    let outcome = begin(&world, &engine, Method::Oath, asked("alice", "panic", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Drop(Outage::Fault)), "{outcome:?}");
    assert_eq!(engine.running(), 0);
    challenged(&world, &engine).await;
}

#[tokio::test(start_paused = true)]
async fn m_05_a_store_that_cannot_write_or_hangs_is_no_leave_to_guess() {
    for hangs in [false, true] {
        let (world, engine) = world();
        world.commits_hang.store(hangs, Ordering::SeqCst);
        world.commits_fail.store(!hangs, Ordering::SeqCst);
        for seat in 0..20 {
            assert!(!accepted(&begin(&world, &engine, Method::Oath, asked("alice", &format!("wrong {seat}"), seat)).outcome().await));
        }
        assert_eq!(world.checks.load(Ordering::SeqCst), 5);
        let outcome = begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await;
        assert!(decided(&outcome, &Decision::Reject(Denial::Locked)), "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_identity_holds_eight_challenges_and_the_ninth_throws_out_the_first() {
    let (world, engine) = world();
    let first = challenged(&world, &engine).await;
    let second = challenged(&world, &engine).await;
    for _ in 0..7 {
        challenged(&world, &engine).await;
    }
    assert!(decided(&engine.answer(claim(first, "123456"), MINUTE).outcome().await, &Decision::Reject(Denial::OutOfTurn)));
    assert!(accepted(&engine.answer(claim(second, "123456"), MINUTE).outcome().await));
}

#[tokio::test(start_paused = true)]
async fn a_challenge_is_answered_by_the_providers_it_began_with() {
    let (world, engine) = world();
    let state = challenged(&world, &engine).await;
    engine.equip(HashMap::new());
    assert!(accepted(&engine.answer(claim(state, "123456"), MINUTE).outcome().await));
    let outcome = begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::FactorUnavailable)), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn r_055_who_asks_from_elsewhere_does_not_take_anothers_approval() {
    let (world, engine) = world();
    let first = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    let other = begin(&world, &engine, Method::Push, AuthRequest { asker: b"elsewhere".to_vec(), ..asked("alice", "right", 1) });
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
    assert!(accepted(&first.outcome().await));
    world.asked.notified().await;
    assert_eq!(world.starts.load(Ordering::SeqCst), 2, "the other has a push of its own");
    drop(other);
}

#[tokio::test(start_paused = true)]
async fn m_19_an_account_disabled_while_the_phone_asks_stays_out() {
    let (world, engine) = world();
    let login = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    for standing in world.standings.lock().unwrap().values_mut() {
        Arc::make_mut(standing.account.as_mut().unwrap()).enabled = false;
    }
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
    assert!(decided(&login.outcome().await, &Decision::Reject(Denial::Disabled)));
}

#[tokio::test(start_paused = true)]
async fn r_042_the_first_factors_own_question_is_parked_and_its_answer_finds_the_conversation() {
    let (world, engine) = world();
    let outcome = begin(&world, &engine, Method::Oath, asked("alice", "asks", 1)).outcome().await;
    let Outcome::Relayed { state, aside } = outcome else { panic!("{outcome:?}") };
    assert_eq!(aside.conversation.as_ref().unwrap().state, "theirs".into());
    let next = engine.answer(claim(state.clone(), "told"), MINUTE).outcome().await;
    assert!(matches!(next, Outcome::Challenge { .. }), "{next:?}");
    let again = engine.answer(claim(state, "told"), MINUTE).outcome().await;
    assert!(decided(&again, &Decision::Reject(Denial::OutOfTurn)), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn r_043_a_question_of_the_first_factor_is_answered_from_its_own_seat_alone() {
    let (world, engine) = world();
    let Outcome::Relayed { state, .. } = begin(&world, &engine, Method::Oath, asked("alice", "asks", 1)).outcome().await else { panic!() };
    let elsewhere = engine.answer(Answer { seat: vec![2], ..claim(state, "told") }, MINUTE).outcome().await;
    assert!(decided(&elsewhere, &Decision::Reject(Denial::OutOfTurn)), "{elsewhere:?}");
}

#[test]
fn a_login_that_waits_for_a_phone_holds_little() {
    let (world, engine) = world();
    let flow = Flow::new(asked("alice", "right", 1), rules(Method::Push), Trace(1));
    let journey = Journey::new(Arc::clone(&engine), flow, engine.providers(), Some(world), MINUTE);
    let Entered::First(seat, _place) = engine.running.enter([0; 32]) else { panic!("nobody has asked before") };
    let held = (size_of::<Journey>(), size_of_val(&Arc::clone(&engine).follow(going(Box::new(journey), seat, Event::Begin))));
    assert!(held.0 <= 880 && held.1 <= 400, "{held:?} octets");
}

#[tokio::test(start_paused = true)]
async fn r_067_whoever_waits_for_a_phone_keeps_no_password() {
    let mut flow = Flow::new(AuthRequest { appended: Some(Appended::Method(Method::Push)), ..asked("alice", "right", 1) }, rules(Method::Push), Trace(1));
    let standing = world().0.standing(&alice()).unwrap();
    let events = [
        Event::Begin,
        Event::Hinted(Ok(Some(standing.clone()))),
        Event::Checked(Ok(Checked::Passed(alice()))),
        Event::Found(Ok(standing)),
        Event::Progress(Ok(Progress::Pending(Ticket("t".into())))),
    ];
    let last = events.into_iter().map(|event| flow.next(Timestamp(1), event)).last();
    assert!(matches!(last, Some(Action::Wait(..))), "{last:?}");
    assert!(flow.request().primary.typed().is_none_or(Secret::is_empty) && flow.request().appended.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_heard_late_or_given_up_early_tells_what_it_should() {
    let (world, engine) = world();
    let login = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    world.asked.notified().await;
    let (ear, dropped) = oneshot::channel();
    assert!(login.tell(Box::new(ear)).is_none());
    drop(login);
    assert!(dropped.await.is_err(), "who has left is not called");
    let refused = begin(&world, &engine, Method::Push, asked("nobody", "right", 1));
    let refused = refused.ended().map_or_else(|login| login, |outcome| Login(Begun::Over(Box::new(outcome))));
    let (ear, _told) = oneshot::channel();
    let told = refused.tell(Box::new(ear)).map(|(_, outcome)| outcome);
    assert!(told.is_some_and(|outcome| decided(&outcome, &Decision::Reject(Denial::BadCredential))), "who comes late is told at once");
}
