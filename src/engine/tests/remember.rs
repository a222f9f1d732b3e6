//! What is remembered of a second factor that passed: by whom, where, how long, and what ends it.

use super::*;
use std::net::IpAddr;

const HOUR_MS: u64 = 3_600_000;

/// A directory that takes any password but `wrong` with a number or without, the old one of somebody who has changed it too.
#[derive(Debug)]
struct Trusting;

#[async_trait]
impl PrimaryCheck for Trusting {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        let identity = who(&request.login);
        Ok(Some(Entry { directory: "corp".into(), identity, dn: "CN=x".into(), name: request.login.clone(), mail: None, phone: None, password_set: None }))
    }
    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _: &mut Aside) -> Result<Checked, PrimaryError> {
        let identity = entry.unwrap().identity.clone();
        match request.primary.typed().unwrap().expose() {
            [b'w', b'r', b'o', b'n', b'g', ..] => Err(PrimaryError::Refused { who: Some(identity), why: Refused::WrongPassword }),
            _ => Ok(Checked::Passed(identity)),
        }
    }
}

fn who(login: &str) -> Identity {
    if login == "alice" { alice() } else { Identity(format!("S-{login}")) }
}

/// A world in which logins are remembered, and what has to be the same from one to the next.
struct Stage {
    world: Arc<World>,
    engine: Arc<Engine>,
    rules: Rules,
    request: AuthRequest,
}

impl Stage {
    fn new(by: RememberBy) -> Self {
        let (world, engine) = world();
        let bob = enrolled(&world, &alice()).account.map(|account| Arc::new(Account { identity: who("bob"), name: "bob".into(), ..(*account).clone() }));
        world.standings.lock().unwrap().insert(who("bob"), Standing { account: bob, ..Standing::default() });
        let rules = Rules { remember: Remember { for_ms: HOUR_MS, by }, ..(*rules(Method::Push)).clone() };
        let request = AuthRequest { dialogue: Dialogue::default(), source: Some(at(7)), ..asked("alice", "right", 1) };
        Self { world, engine, rules, request }
    }

    /// Nothing but a join window of ten seconds, codes in place of pushes.
    fn joining() -> Self {
        let mut stage = Self::new(RememberBy::Source);
        stage.rules = Rules { remember: Remember::default(), ..(*rules(Method::Oath)).clone() };
        stage.request.dialogue.join_ms = 10_000;
        stage.request.appended = Some(code("123456"));
        stage
    }

    async fn login_with(&self, rules: &Rules, request: AuthRequest) -> Result<Grant, Denial> {
        let login = self.engine.login(request, Arc::new(rules.clone()), Arc::new(Trusting), MINUTE);
        let Outcome::Decided { decision, .. } = login.outcome().await else { panic!("not decided") };
        match &*decision {
            Decision::Accept(permit) => Ok(permit.why()),
            Decision::Reject(denial) => Err(*denial),
            Decision::Drop(outage) => panic!("{outage:?}"),
        }
    }

    async fn login(&self, change: impl FnOnce(&mut AuthRequest)) -> Result<Grant, Denial> {
        let mut request = self.request.clone();
        change(&mut request);
        self.login_with(&self.rules, request).await
    }

    /// The same login again.
    async fn again(&self) -> Result<Grant, Denial> {
        self.login(|_| {}).await
    }

    /// The next push is approved.
    fn approve(&self) {
        *self.world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
        self.world.released.notify_one();
    }

    /// A login that the phone lets in.
    async fn pass(&self) {
        self.approve();
        assert_eq!(self.again().await, Ok(Grant::Factor));
        assert_eq!(self.again().await, Ok(Grant::Remembered));
    }

    fn pushes(&self) -> usize {
        self.world.starts.load(Ordering::SeqCst)
    }

    fn stand(&self, change: impl FnOnce(&mut Standing)) {
        change(self.world.standings.lock().unwrap().get_mut(&alice()).unwrap());
    }
}

fn enrolled(world: &World, who: &Identity) -> Standing {
    world.standings.lock().unwrap()[who].clone()
}

fn at(host: u8) -> IpAddr {
    [192, 0, 2, host].into()
}

fn code(digits: &str) -> Appended {
    Appended::Code(digits.into())
}

/// Nobody approves: whoever is asked waits in vain.
const ASKED: Result<Grant, Denial> = Err(Denial::NoAnswer);

#[tokio::test(start_paused = true)]
async fn m_40_m_48_a_factor_is_remembered_for_that_client_and_that_source_alone() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    assert_eq!(stage.login(|request| request.seat = vec![9]).await, Ok(Grant::Remembered));
    assert_eq!(stage.pushes(), 1);
    assert_eq!(stage.login(|request| request.source = Some(at(8))).await, ASKED);
    assert_eq!(stage.login(|request| request.client = "wiki".into()).await, ASKED);
    assert_eq!(stage.login(|request| request.door = Door::Ldap).await, ASKED);
    assert_eq!(stage.pushes(), 4);
    assert_eq!(stage.again().await, Ok(Grant::Remembered), "nobody else's refusal ends it");
}

#[tokio::test(start_paused = true)]
async fn m_40_where_nobody_can_tell_the_source_nothing_is_remembered_by_it() {
    let mut stage = Stage::new(RememberBy::Source);
    stage.request.source = None;
    for _ in 0..2 {
        stage.approve();
        assert_eq!(stage.again().await, Ok(Grant::Factor));
    }
}

#[tokio::test(start_paused = true)]
async fn m_40_m_48_by_client_and_by_account_are_what_they_say() {
    let stage = Stage::new(RememberBy::Client);
    stage.pass().await;
    assert_eq!(stage.login(|request| request.source = None).await, Ok(Grant::Remembered));
    assert_eq!(stage.login(|request| request.client = "wiki".into()).await, ASKED);

    let stage = Stage::new(RememberBy::Account);
    stage.pass().await;
    assert_eq!(stage.login(|request| (request.client, request.door) = ("wiki".into(), Door::Ldap)).await, Ok(Grant::Remembered));
    let other = Rules { name: "admins".into(), ..stage.rules.clone() };
    assert_eq!(stage.login_with(&other, stage.request.clone()).await, ASKED, "another policy has its own");
}

#[tokio::test(start_paused = true)]
async fn m_41_the_same_password_of_somebody_else_is_not_remembered() {
    let stage = Stage::new(RememberBy::Account);
    stage.pass().await;
    assert_eq!(stage.login(|request| request.login = "bob".into()).await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn l_083_m_41_the_password_is_checked_each_time_and_another_is_not_remembered() {
    let stage = Stage::new(RememberBy::Account);
    stage.pass().await;
    assert_eq!(stage.login(|request| request.primary = Primary::Password("wrong".into())).await, Err(Denial::BadCredential));
    assert_eq!(stage.login(|request| request.primary = Primary::Password("changed".into())).await, ASKED);
    assert_eq!(stage.login(|request| request.primary = Primary::Password("righ".into())).await, ASKED);
    // A directory that takes a changed password's old one too lets it in as what it was.
    assert_eq!(stage.again().await, Ok(Grant::Remembered));
}

#[tokio::test(start_paused = true)]
async fn m_40_being_remembered_is_not_prolonged_by_use() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    for _ in 0..59 {
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(stage.again().await, Ok(Grant::Remembered));
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_40_a_policy_that_remembers_for_a_shorter_time_or_not_at_all_means_those_remembered_already() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    tokio::time::advance(Duration::from_secs(600)).await;
    for for_ms in [0, 599_000] {
        let shorter = Rules { remember: Remember { for_ms, ..stage.rules.remember }, ..stage.rules.clone() };
        assert_eq!(stage.login_with(&shorter, stage.request.clone()).await, ASKED, "{for_ms}");
    }
    let stricter = Rules { methods: vec![Choice::new(Method::Call, "lab")], ..stage.rules.clone() };
    assert_eq!(stage.login_with(&stricter, stage.request.clone()).await, ASKED, "another second factor was not passed");
    assert_eq!(stage.again().await, Ok(Grant::Remembered));
}

#[tokio::test(start_paused = true)]
async fn m_41_who_was_kept_out_meanwhile_is_asked_again() {
    type End = fn(&mut Standing);
    let ends: [(End, Denial); 3] = [
        (|standing| Arc::make_mut(standing.account.as_mut().unwrap()).enabled = false, Denial::Disabled),
        (|standing| standing.tries = Tries { failures: 5, lock_until: Some(Timestamp(2_000)), at: Vec::new() }, Denial::Locked),
        (|standing| standing.account = None, Denial::Unenrolled),
    ];
    for (end, denial) in ends {
        let stage = Stage::new(RememberBy::Source);
        stage.pass().await;
        let before = enrolled(&stage.world, &alice());
        stage.stand(end);
        assert_eq!(stage.again().await, Err(denial));
        stage.stand(|standing| *standing = before);
        assert_eq!(stage.again().await, ASKED, "after {denial:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn m_41_an_account_removed_and_added_again_is_another_even_if_nobody_saw_it_go() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    stage.stand(|standing| Arc::make_mut(standing.account.as_mut().unwrap()).created_at = Timestamp(1));
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_41_failures_that_lock_end_it_at_once_and_fewer_do_not() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    let wrong = |guess: u8| stage.login(move |request| request.primary = Primary::Password(format!("wrong {guess}").as_str().into()));
    for guess in 0..4 {
        assert_eq!(wrong(guess).await, Err(Denial::BadCredential));
    }
    assert_eq!(stage.again().await, Ok(Grant::Remembered));
    assert_eq!(enrolled(&stage.world, &alice()).tries.failures, 4, "what is remembered forgives no wrong passwords (M-05)");
    assert_eq!(wrong(4).await, Err(Denial::BadCredential));
    stage.stand(|standing| standing.tries = Tries::default());
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_41_an_administrator_and_a_reported_fraud_end_it() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    assert_eq!((stage.engine.forget(&who("bob")), stage.engine.forget(&alice()), stage.engine.forget(&alice())), (0, 1, 0));
    assert_eq!(stage.again().await, ASKED);
    stage.pass().await;
    *stage.world.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: true }));
    stage.world.released.notify_one();
    assert_eq!(stage.login(|request| request.source = Some(at(66))).await, Err(Denial::FraudReported));
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_42_a_code_that_came_along_is_checked_and_a_wrong_one_counts() {
    let mut stage = Stage::new(RememberBy::Source);
    stage.rules.methods = vec![Choice::new(Method::Oath, "lab")];
    stage.request.appended = Some(code("123456"));
    assert_eq!(stage.again().await, Ok(Grant::Factor));
    assert_eq!(stage.again().await, Err(Denial::BadCode), "a code that is used up stays so");
    assert_eq!(stage.login(|request| request.appended = Some(code("000000"))).await, Err(Denial::BadCode));
    assert_eq!(enrolled(&stage.world, &alice()).tries.failures, 2);
    assert_eq!(stage.login(|request| request.appended = None).await, Ok(Grant::Remembered), "the code is no part of what is remembered");
}

#[tokio::test(start_paused = true)]
async fn m_40_who_asks_for_a_push_gets_one() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    assert_eq!(stage.login(|request| request.appended = Some(Appended::Method(Method::Push))).await, ASKED);
    assert_eq!(stage.pushes(), 2);
}

#[tokio::test(start_paused = true)]
async fn m_40_nothing_but_a_factor_that_passed_is_remembered() {
    let stage = Stage::new(RememberBy::Source);
    let bypass = Bypass { until: Timestamp(2_000), reason: String::new(), granted_by: String::new(), granted_at: Timestamp(0) };
    stage.stand(|standing| standing.bypass = Some(bypass));
    assert_eq!(stage.again().await, Ok(Grant::Bypass));
    stage.stand(|standing| standing.bypass = None);
    assert_eq!(stage.again().await, ASKED);

    *stage.world.verdict.lock().unwrap() = Some(Ok(Progress::Waived));
    stage.world.released.notify_one();
    assert_eq!(stage.again().await, Ok(Grant::ProviderBypass));
    assert_eq!(stage.again().await, ASKED);

    let open = Rules { outage: OnOutage::Open, ..stage.rules.clone() };
    *stage.world.verdict.lock().unwrap() = Some(Err(FactorError::Unreachable));
    stage.world.released.notify_one();
    assert_eq!(stage.login_with(&open, stage.request.clone()).await, Ok(Grant::FailOpen));
    assert_eq!(stage.again().await, ASKED);

    let trusting = Rules { trusted: vec!["192.0.2.0/24".parse().unwrap()], ..stage.rules.clone() };
    assert_eq!(stage.login_with(&trusting, stage.request.clone()).await, Ok(Grant::TrustedNetwork));
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_40_a_code_typed_at_a_challenge_is_remembered_by_the_password_before_it() {
    let mut stage = Stage::new(RememberBy::Source);
    stage.rules.methods = vec![Choice::new(Method::Oath, "lab")];
    stage.request.dialogue.prompt = Some("Code:".into());
    let login = stage.engine.login(stage.request.clone(), Arc::new(stage.rules.clone()), Arc::new(Trusting), MINUTE);
    let Outcome::Challenge { state, .. } = login.outcome().await else { panic!("no challenge") };
    assert!(accepted(&stage.engine.answer(claim(state, "123456"), MINUTE).outcome().await));
    assert_eq!(stage.again().await, Ok(Grant::Remembered));
}

#[tokio::test(start_paused = true)]
async fn m_42_the_very_same_login_joins_within_its_window_used_code_and_all() {
    let stage = Stage::joining();
    assert_eq!(stage.again().await, Ok(Grant::Factor));
    assert_eq!(stage.login(|request| request.seat = vec![2]).await, Ok(Grant::Joined), "another connection of the same application");
    let others: [fn(&mut AuthRequest); 4] = [
        |request| request.source = Some(at(8)),
        |request| request.source = None,
        |request| request.client = "wiki".into(),
        |request| request.primary = Primary::Password("changed".into()),
    ];
    for other in others {
        assert_eq!(stage.login(other).await, Err(Denial::BadCode), "the code is used up");
        stage.stand(|standing| standing.tries = Tries::default());
    }
    assert_eq!(stage.login(|request| request.appended = Some(code("654321"))).await, Err(Denial::BadCode));
    assert_eq!(stage.login(|request| request.appended = None).await, Err(Denial::CodeNeeded), "without a code it is another login");
    tokio::time::advance(Duration::from_millis(9_999)).await;
    assert_eq!(stage.again().await, Ok(Grant::Joined));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stage.again().await, Err(Denial::BadCode), "and joining has not made the window longer");
}

#[tokio::test(start_paused = true)]
async fn m_42_sixty_four_at_once_are_one_push() {
    let mut stage = Stage::joining();
    (stage.rules, stage.request.appended) = (Rules::clone(&rules(Method::Push)), None);
    let begin = |seat: u8| {
        let request = AuthRequest { seat: vec![seat], ..stage.request.clone() };
        stage.engine.login(request, Arc::new(stage.rules.clone()), Arc::new(Trusting), MINUTE)
    };
    let logins: Vec<_> = (0..64).map(begin).collect();
    stage.approve();
    let mut ends = HashMap::new();
    for login in logins {
        let Outcome::Decided { decision, .. } = login.outcome().await else { panic!("not decided") };
        let end = match &*decision {
            Decision::Accept(permit) => permit.why().as_str(),
            Decision::Reject(denial) => denial.as_str(),
            Decision::Drop(outage) => outage.as_str(),
        };
        *ends.entry(end).or_insert(0) += 1;
    }
    assert_eq!(stage.pushes(), 1);
    // Nine at a time have a place in line (M-06).
    assert_eq!(ends, HashMap::from([("factor", 1), ("joined", 8), ("out_of_turn", 55)]));
    for login in (64..128).map(begin) {
        assert!(accepted(&login.outcome().await));
    }
    assert_eq!(stage.pushes(), 1);
}

#[tokio::test(start_paused = true)]
async fn m_40_one_person_is_remembered_in_sixteen_places_at_most() {
    let stage = Stage::new(RememberBy::Source);
    for host in 0..17 {
        stage.approve();
        assert_eq!(stage.login(|request| request.source = Some(at(host))).await, Ok(Grant::Factor));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(stage.login(|request| request.source = Some(at(0))).await, ASKED, "the oldest went");
    for host in 1..17 {
        assert_eq!(stage.login(|request| request.source = Some(at(host))).await, Ok(Grant::Remembered));
    }
    assert_eq!(stage.engine.forget(&alice()), 16);
}

#[tokio::test(start_paused = true)]
async fn m_41_whom_a_block_kept_out_is_asked_again_after_it() {
    let stage = Stage::new(RememberBy::Source);
    stage.pass().await;
    let block = Block { until: Timestamp(9_000), reason: String::new(), by: "root".into(), at: Timestamp(0), name: None };
    stage.stand(|standing| standing.block = Some(block));
    assert_eq!(stage.again().await, Err(Denial::Blocked));
    stage.stand(|standing| standing.block = None);
    assert_eq!(stage.again().await, ASKED);
}

#[tokio::test(start_paused = true)]
async fn m_41_a_number_that_is_blocked_ends_what_is_remembered_of_whoever_is_called_at_it() {
    let stage = Stage::new(RememberBy::Source);
    stage.stand(|standing| {
        let account = standing.account.take().map(|account| Account { backup_phone: Some("+49 (170) 555-0142".into()), ..(*account).clone() });
        standing.account = account.map(Arc::new);
    });
    stage.pass().await;
    stage.engine.forget_number(&Phone::of("+49 30 1234567").unwrap());
    assert_eq!(stage.again().await, Ok(Grant::Remembered), "somebody else's number");
    stage.engine.forget_number(&Phone::of("+491705550142").unwrap());
    assert_eq!(stage.again().await, ASKED);
    stage.pass().await;
    let block = Block { until: Timestamp(9_000), reason: String::new(), by: "root".into(), at: Timestamp(0), name: None };
    let change = Change::Block { whom: Blocked::Phone(Phone::of("+491705550142").unwrap()), block };
    stage.engine.commit(Instant::now() + MINUTE, vec![change]).await.unwrap();
    assert_eq!(stage.again().await, ASKED, "whoever writes the block");
}
