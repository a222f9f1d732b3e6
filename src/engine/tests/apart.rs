//! What is held against people and where: counts that are apart, blocks that cannot be written, and what nobody may read in a log.

use super::*;

const LOCKED: Decision = Decision::Reject(Denial::Locked);

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A login of alice from where she is exempt.
fn at_home(password: &str) -> AuthRequest {
    let exempt = vec![Exempt { who: alice(), directory: "corp".into(), until: Timestamp(u64::MAX) }];
    AuthRequest { door: Door::Ldap, client: "wiki".into(), exempt, ..asked("alice", password, 9) }
}

fn let_in(outcome: &Outcome) -> Option<Grant> {
    match outcome {
        Outcome::Decided { decision, .. } => match &**decision {
            Decision::Accept(permit) => Some(permit.why()),
            _ => None,
        },
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn l_082_who_guesses_elsewhere_does_not_lock_a_service_where_it_is_exempt() {
    let (world, engine) = world();
    let log_in = |request| begin(&world, &engine, Method::Push, request).outcome();
    for guess in 0..9 {
        log_in(asked("alice", &format!("guess {guess}"), 1)).await;
    }
    assert!(decided(&log_in(asked("alice", "right", 1)).await, &LOCKED));
    for _ in 0..20 {
        assert_eq!(let_in(&log_in(at_home("right")).await), Some(Grant::Exempt));
    }
    assert!(decided(&log_in(asked("alice", "right", 1)).await, &LOCKED), "what it does well forgives nothing elsewhere");
    assert_eq!(world.standing(&alice()).unwrap().tries.failures, 5);
}

#[tokio::test(start_paused = true)]
async fn l_082_wrong_passwords_from_where_a_service_is_exempt_lock_it_there_and_nowhere_else() {
    let (world, engine) = world();
    let log_in = |request| begin(&world, &engine, Method::Oath, request).outcome();
    for guess in 0..9 {
        log_in(at_home(&format!("guess {guess}"))).await;
    }
    assert_eq!(world.checks.load(Ordering::SeqCst), 5);
    assert!(decided(&log_in(at_home("right")).await, &LOCKED));
    let elsewhere = log_in(asked("alice", "right", 1)).await;
    assert!(matches!(elsewhere, Outcome::Challenge { .. }), "{elsewhere:?}");
}

/// At most eight of one person wait for their turn: strangers must not be able to take all of them.
#[tokio::test(start_paused = true)]
async fn l_082_strangers_fill_a_line_of_their_own() {
    let (world, engine) = world();
    let strangers: Vec<_> = (0..20).map(|seat| begin(&world, &engine, Method::Push, asked("alice", "held", seat))).collect();
    settle().await;
    let service = begin(&world, &engine, Method::Push, at_home("right")).outcome().await;
    assert_eq!(let_in(&service), Some(Grant::Exempt), "{service:?}");
    drop(strangers);
}

#[tokio::test(start_paused = true)]
async fn l_082_wrong_passwords_that_could_not_be_written_are_held_apart_as_well() {
    let (world, engine) = world();
    let log_in = |request| begin(&world, &engine, Method::Push, request).outcome();
    world.commits_fail.store(true, Ordering::SeqCst);
    for guess in 0..9 {
        log_in(asked("alice", &format!("guess {guess}"), 1)).await;
    }
    assert!(decided(&log_in(asked("alice", "right", 1)).await, &LOCKED));
    assert_eq!(let_in(&log_in(at_home("right")).await), Some(Grant::Exempt));
}

#[tokio::test(start_paused = true)]
async fn m_10_a_block_that_cannot_be_written_holds_and_is_written_with_the_next_login() {
    let (world, engine) = world();
    let rules = Arc::new(Rules { block_ms: 7_000, ..(*rules(Method::Push)).clone() });
    let log_in = || engine.login(asked("alice", "right", 1), Arc::clone(&rules), Arc::<World>::clone(&world), MINUTE);
    world.commits_fail.store(true, Ordering::SeqCst);
    let login = log_in();
    settle().await;
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: true }));
    world.released.notify_one();
    assert!(decided(&login.outcome().await, &Decision::Reject(Denial::FraudReported)));
    let blocked = Decision::Reject(Denial::Blocked);
    assert!(decided(&log_in().outcome().await, &blocked), "the disk still fails, and nobody comes in");
    settle().await;
    assert!(world.committed.lock().unwrap().is_empty());
    world.commits_fail.store(false, Ordering::SeqCst);
    assert!(decided(&log_in().outcome().await, &blocked));
    settle().await;
    let committed = world.committed.lock().unwrap().clone();
    let [Change::Block { whom, block }] = committed.as_slice() else { panic!("{committed:?}") };
    assert_eq!((whom, block.until), (&Blocked::Identity(alice()), Timestamp(8_000)));
    drop(log_in());
    settle().await;
    assert_eq!(world.committed.lock().unwrap().len(), 1, "once");
}

#[tokio::test(start_paused = true)]
async fn m_10_an_administrator_ends_a_block_that_was_never_written() {
    let (world, engine) = world();
    world.commits_fail.store(true, Ordering::SeqCst);
    let block = Block { until: Timestamp(8_000), reason: String::new(), by: Block::BY_THE_PERSON.into(), at: Timestamp(1), name: None };
    let change = vec![Change::Block { whom: Blocked::Identity(alice()), block }];
    assert!(engine.commit(Instant::now() + MINUTE, change).await.is_err());
    engine.forget(&alice());
    world.commits_fail.store(false, Ordering::SeqCst);
    engine.write_again();
    settle().await;
    assert!(world.committed.lock().unwrap().is_empty());
}

/// The whole engine with a login that is parked, its question, its answer and its State.
#[tokio::test(start_paused = true)]
async fn r_067_no_secret_is_in_what_can_be_printed() {
    let (world, engine) = world();
    let request = AuthRequest { appended: Some(Appended::Code("987654".into())), ..asked("alice", "hunter2", 1) };
    let state = challenged(&world, &engine).await;
    let answer = claim(state.clone(), "123456");
    let outcome = Outcome::Challenge { state: state.clone(), prompt: "Code:".into(), shown: true, keep: MINUTE };
    let printed = format!("{request:?} {answer:?} {outcome:?} {engine:?}");
    let state = state.expose();
    let octets = format!("{state:?}");
    for secret in ["hunter2", "987654", "123456", std::str::from_utf8(state).unwrap(), octets.trim_matches(['[', ']'])] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}
