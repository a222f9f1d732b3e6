//! Dry runs beside the logins that they rehearse.

use super::*;

/// What a table entry changes about the account, the rules and the request.
type Staging = fn(&mut Standing, &mut Rules, &mut AuthRequest);

fn as_they_are(_: &mut Standing, _: &mut Rules, _: &mut AuthRequest) {}

/// A world in which all is as the table entry says.
fn staged(method: Method, change: Staging) -> (Arc<World>, Arc<Engine>, Arc<Rules>, AuthRequest) {
    let (world, engine) = world();
    let mut rules = Rules::clone(&rules(method));
    let mut request = asked("alice", "right", 1);
    {
        let mut standings = world.standings.lock().unwrap();
        change(standings.get_mut(&alice()).unwrap(), &mut rules, &mut request);
    }
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    (world, engine, Arc::new(rules), request)
}

async fn rehearsed(stage: &(Arc<World>, Arc<Engine>, Arc<Rules>, AuthRequest), asks: Asks) -> Simulation {
    let (world, engine, rules, request) = stage;
    engine.simulate(request.clone(), Arc::clone(rules), Arc::<World>::clone(world), asks, MINUTE).await
}

fn answered(code: &str) -> Asks {
    Asks { answer: Some(code.into()), ..Asks::default() }
}

fn told(simulation: &Simulation) -> String {
    simulation.steps.iter().map(|step| format!("{}: {}\n", step.part.as_str(), step.told)).collect()
}

fn untouched(world: &World) {
    assert!(world.committed.lock().unwrap().is_empty(), "something was written");
    let asked = [&world.starts, &world.verifies, &world.cancels].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(asked, [0; 3], "a provider was called");
}

fn verdict_of(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Challenge { prompt, .. } => Verdict::Challenge(prompt.clone()),
        Outcome::Decided { decision, .. } => match &**decision {
            Decision::Accept(permit) => Verdict::Accept(permit.why()),
            Decision::Drop(outage) => Verdict::Drop(*outage),
            Decision::Reject(denial) => Verdict::Reject(*denial),
        },
        Outcome::Relayed { .. } => Verdict::Relayed,
        Outcome::Superseded => panic!("nobody else asked"),
    }
}

const SITUATIONS: [(&str, Method, Staging, Verdict); 16] = [
    ("push", Method::Push, as_they_are, Verdict::Accept(Grant::Factor)),
    ("push after failures", Method::Push, |standing, _, _| standing.tries.failures = 2, Verdict::Accept(Grant::Factor)),
    ("locked", Method::Push, |standing, _, _| standing.tries.lock_until = Some(Timestamp(9_000)), Verdict::Reject(Denial::Locked)),
    ("disabled", Method::Push, |standing, _, _| Arc::make_mut(standing.account.as_mut().unwrap()).enabled = false, Verdict::Reject(Denial::Disabled)),
    (
        "disabled, let in",
        Method::Push,
        |standing, rules, _| {
            Arc::make_mut(standing.account.as_mut().unwrap()).enabled = false;
            rules.disabled = FirstAlone::Accept;
        },
        Verdict::Accept(Grant::Disabled),
    ),
    ("unenrolled", Method::Push, |standing, _, _| standing.account = None, Verdict::Reject(Denial::Unenrolled)),
    (
        "unenrolled, let in",
        Method::Push,
        |standing, rules, _| {
            standing.account = None;
            rules.unenrolled = FirstAlone::Accept;
        },
        Verdict::Accept(Grant::Unenrolled),
    ),
    (
        "trusted network",
        Method::Push,
        |_, rules, request| {
            rules.trusted = vec!["192.0.2.0/24".parse().unwrap()];
            request.source = Some([192, 0, 2, 7].into());
        },
        Verdict::Accept(Grant::TrustedNetwork),
    ),
    (
        "another network",
        Method::Push,
        |_, rules, request| {
            rules.trusted = vec!["192.0.2.0/24".parse().unwrap()];
            request.source = Some([198, 51, 100, 7].into());
        },
        Verdict::Accept(Grant::Factor),
    ),
    (
        "bypass",
        Method::Push,
        |standing, _, _| {
            let granted_at = Timestamp(0);
            standing.bypass = Some(Bypass { until: Timestamp(9_000), reason: String::new(), granted_by: String::new(), granted_at });
        },
        Verdict::Accept(Grant::Bypass),
    ),
    ("no methods", Method::Push, |_, rules, _| rules.methods.clear(), Verdict::Reject(Denial::NoMethod)),
    ("a provider that is not there", Method::Push, |_, rules, _| rules.methods[0].provider = "gone".into(), Verdict::Reject(Denial::FactorUnavailable)),
    ("code along", Method::Oath, |_, _, request| request.appended = Some(Appended::Code("123456".into())), Verdict::Accept(Grant::Factor)),
    ("no way to ask for a code", Method::Oath, |_, _, request| request.dialogue.prompt = None, Verdict::Reject(Denial::CodeNeeded)),
    ("nobody", Method::Push, |_, _, request| request.login = "nobody".into(), Verdict::Reject(Denial::BadCredential)),
    ("directory away", Method::Push, |_, _, request| request.login = "away".into(), Verdict::Drop(Outage::Directory)),
];

#[tokio::test(start_paused = true)]
async fn a_dry_run_ends_as_the_login_does_and_leaves_nothing_behind() {
    for (name, method, change, wanted) in SITUATIONS {
        let dry = staged(method, change);
        let simulation = rehearsed(&dry, Asks::default()).await;
        assert_eq!(simulation.verdict, wanted, "{name}: {}", told(&simulation));
        untouched(&dry.0);
        assert_eq!(dry.0.checks.load(Ordering::SeqCst), 0, "{name}: the password was checked unasked");

        let (world, engine, rules, request) = staged(method, change);
        world.released.notify_one();
        let outcome = engine.login(request, rules, Arc::<World>::clone(&world), MINUTE).outcome().await;
        assert_eq!(verdict_of(&outcome), wanted, "{name}: the login itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_challenge_is_told_and_answered_where_a_code_is_given() {
    let stage = staged(Method::Oath, as_they_are);
    let simulation = rehearsed(&stage, Asks::default()).await;
    assert_eq!(simulation.verdict, Verdict::Challenge("Code:".into()));
    let simulation = rehearsed(&stage, answered("000000")).await;
    assert_eq!(simulation.verdict, Verdict::Accept(Grant::Factor), "unasked a code is taken as right");
    assert!(simulation.steps.iter().any(|step| step.assumed && step.told.contains("taken as right")), "{}", told(&simulation));
    untouched(&stage.0);
}

fn trying(password: &'static str) -> (Arc<World>, Arc<Engine>, Arc<Rules>, AuthRequest) {
    let (world, engine, rules, request) = staged(Method::Push, as_they_are);
    (world, engine, rules, AuthRequest { primary: Primary::Password(password.into()), ..request })
}

const TRY: Asks = Asks { first: true, second: false, answer: None };

#[tokio::test(start_paused = true)]
async fn a_right_password_is_checked_once_and_forgives_nothing() {
    let stage = trying("right");
    let simulation = rehearsed(&stage, TRY).await;
    assert_eq!(simulation.verdict, Verdict::Accept(Grant::Factor), "{}", told(&simulation));
    assert_eq!(stage.0.checks.load(Ordering::SeqCst), 1);
    untouched(&stage.0);
}

#[tokio::test(start_paused = true)]
async fn m_05_m_06_wrong_passwords_of_dry_runs_count_and_meet_the_lock_one_by_one() {
    let stage = trying("wrong");
    let mut guesses = Vec::new();
    for _ in 0..9 {
        let (world, engine, rules, request) = (Arc::clone(&stage.0), Arc::clone(&stage.1), Arc::clone(&stage.2), stage.3.clone());
        guesses.push(tokio::spawn(async move { engine.simulate(request, rules, world, TRY, MINUTE).await.verdict }));
    }
    let mut verdicts = Vec::new();
    for guess in guesses {
        verdicts.push(guess.await.unwrap());
    }
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Reject(Denial::BadCredential)).count(), 5, "{verdicts:?}");
    assert_eq!(stage.0.checks.load(Ordering::SeqCst), 5, "nothing is tried behind a lock");
    let (world, engine, rules, request) = stage;
    let outcome = engine.login(request, rules, Arc::<World>::clone(&world), MINUTE).outcome().await;
    assert_eq!(verdict_of(&outcome), Verdict::Reject(Denial::Locked));
}

#[tokio::test(start_paused = true)]
async fn m_05_a_wrong_password_of_a_dry_run_counts_though_the_store_cannot_write_it() {
    let stage = trying("wrong");
    stage.0.commits_fail.store(true, Ordering::SeqCst);
    for _ in 0..6 {
        rehearsed(&stage, TRY).await;
    }
    assert_eq!(stage.0.checks.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn m_06_a_dry_run_given_up_while_the_directory_has_the_password_is_counted_all_the_same() {
    let stage = trying("held");
    {
        let mut run = Box::pin(rehearsed(&stage, TRY));
        tokio::select! {
            biased;
            () = stage.0.asked.notified() => {}
            _ = &mut run => panic!("it waits for the directory"),
        }
    }
    stage.0.released.notify_one();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.0.standing(&alice()).unwrap().tries.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn m_10_a_phone_that_is_rung_by_a_dry_run_has_no_other_question() {
    let stage = staged(Method::Push, |_, _, request| request.dialogue.approval = Approval::Enter);
    let (world, engine, rules, request) = &stage;
    let parked = engine.login(request.clone(), Arc::clone(rules), Arc::<World>::clone(world), MINUTE).outcome().await;
    assert!(matches!(parked, Outcome::Challenge { .. }));
    rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((world.starts.load(Ordering::SeqCst), world.cancels.load(Ordering::SeqCst)), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn asked_in_earnest_a_code_is_checked_and_used_up_once() {
    let stage = staged(Method::Oath, |standing, _, _| standing.tries.failures = 1);
    let earnest = |code: &str| Asks { second: true, ..answered(code) };
    let simulation = rehearsed(&stage, earnest("123456")).await;
    assert_eq!(simulation.verdict, Verdict::Accept(Grant::Factor), "{}", told(&simulation));
    assert!(matches!(stage.0.committed.lock().unwrap().as_slice(), [Change::UseOtp { step: 7, .. }]), "failures are not forgiven by a dry run");
    let simulation = rehearsed(&stage, earnest("123456")).await;
    assert_eq!(simulation.verdict, Verdict::Reject(Denial::BadCode), "M-01: a code is good once");
    let simulation = rehearsed(&stage, earnest("000000")).await;
    assert_eq!(simulation.verdict, Verdict::Reject(Denial::BadCode));
    assert_eq!(stage.0.standing(&alice()).unwrap().tries.failures, 3, "both wrong codes count");
}

#[tokio::test(start_paused = true)]
async fn asked_in_earnest_the_phone_rings_and_a_bypass_is_still_not_spent() {
    let stage = staged(Method::Push, as_they_are);
    stage.0.released.notify_one();
    let simulation = rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    assert_eq!((simulation.verdict, stage.0.starts.load(Ordering::SeqCst)), (Verdict::Accept(Grant::Factor), 1));

    let (_, _, change, _) = SITUATIONS[9];
    let stage = staged(Method::Push, change);
    let simulation = rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    assert_eq!(simulation.verdict, Verdict::Accept(Grant::Bypass));
    untouched(&stage.0);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_is_taken_back() {
    let stage = staged(Method::Push, as_they_are);
    *stage.0.verdict.lock().unwrap() = None;
    let simulation = rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    assert_eq!(simulation.verdict, Verdict::Reject(Denial::NoAnswer), "{}", told(&simulation));
    tokio::task::yield_now().await;
    assert_eq!(stage.0.cancels.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_steps_name_the_rule_and_what_is_held() {
    let (_, _, change, _) = SITUATIONS[7];
    let simulation = rehearsed(&staged(Method::Push, change), Asks::default()).await;
    let text = told(&simulation);
    for part in ["name: \"alice\" means \"alice\" of directory corp", "first factor: not checked: taken as passed", "account: account \"alice\", enabled\n"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(text.ends_with("rule: policy.vpn: trusted has 192.0.2.0/24: 192.0.2.7 needs the first factor alone\n"), "{text}");
    assert!(!text.contains("right"), "the password is in no step: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_enter_is_rehearsed_to_the_end() {
    let stage = staged(Method::Push, |_, _, request| request.dialogue.approval = Approval::Enter);
    let simulation = rehearsed(&stage, Asks::default()).await;
    assert_eq!(simulation.verdict, Verdict::Accept(Grant::Factor), "{}", told(&simulation));
    assert!(told(&simulation).contains("Enter is pressed"), "{}", told(&simulation));
    untouched(&stage.0);
}

/// Nobody comes back for the code that a rehearsal asked for.
#[tokio::test(start_paused = true)]
async fn m_10_what_a_rehearsal_rang_is_not_taken_for_ignored() {
    let stage = staged(Method::Text, |_, rules, _| rules.pushes = Pushes { backoff_ms: 30_000, ..Pushes::default() });
    let simulation = rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    assert!(matches!(simulation.verdict, Verdict::Challenge(_)), "{}", told(&simulation));
    let (world, engine, rules, request) = stage;
    let outcome = engine.login(request, rules, world, MINUTE).outcome().await;
    assert!(matches!(outcome, Outcome::Challenge { .. }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn m_10_a_fraud_that_is_reported_in_a_rehearsal_blocks() {
    let stage = staged(Method::Push, |_, rules, _| rules.block_ms = 7_000);
    *stage.0.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: true }));
    stage.0.released.notify_one();
    rehearsed(&stage, Asks { second: true, ..Asks::default() }).await;
    let committed = stage.0.committed.lock().unwrap().clone();
    assert!(matches!(committed.as_slice(), [Change::Block { .. }]), "{committed:?}");
}
