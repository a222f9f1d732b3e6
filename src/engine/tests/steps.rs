//! Each step of a login needs the one before: what is skipped, empty or broken opens nothing.

use super::*;

fn refused(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Decided { decision, .. } if matches!(**decision, Decision::Reject(_) | Decision::Drop(_)))
}

fn both() -> Arc<Rules> {
    let methods = [Method::Push, Method::Oath].map(|method| Choice::new(method, "lab"));
    Arc::new(Rules { methods: methods.into(), ..(*rules(Method::Push)).clone() })
}

#[tokio::test(start_paused = true)]
async fn m_17_an_empty_answer_is_no_code_and_pressing_enter_no_approval() {
    let (world, engine) = world();
    for nothing in ["", " ", "\0", "approve"] {
        let state = challenged(&world, &engine).await;
        let outcome = engine.answer(claim(state, nothing), MINUTE).outcome().await;
        assert!(refused(&outcome), "{nothing:?}: {outcome:?}");
        world.standings.lock().unwrap().get_mut(&alice()).unwrap().tries = Tries::default();
    }
    let entering =
        AuthRequest { dialogue: Dialogue { prompt: Some("Code:".into()), approval: Approval::Enter, ..Dialogue::default() }, ..asked("alice", "right", 1) };
    let mut outcome = begin(&world, &engine, Method::Push, entering).outcome().await;
    for _ in 0..3 {
        let Outcome::Challenge { state, .. } = outcome else { panic!("sent to the phone three times: {outcome:?}") };
        outcome = engine.answer(claim(state, ""), Duration::from_secs(1)).outcome().await;
    }
    assert!(decided(&outcome, &Decision::Reject(Denial::NoAnswer)), "{outcome:?}");
}

/// The State of a question that the first factor asks is no State of a second factor: a code in its place proves nothing.
#[tokio::test(start_paused = true)]
async fn m_17_a_code_does_not_answer_for_the_first_factor_nor_a_password_for_the_second() {
    let (world, engine) = world();
    let Outcome::Relayed { state, .. } = begin(&world, &engine, Method::Oath, asked("alice", "asks", 1)).outcome().await else { panic!("nothing is asked") };
    let outcome = engine.answer(claim(state, "123456"), MINUTE).outcome().await;
    assert!(refused(&outcome), "{outcome:?}");
    assert!(world.burnt.lock().unwrap().is_empty() && world.verifies.load(Ordering::SeqCst) == 0, "no code is looked at before the password passed");
    let state = challenged(&world, &engine).await;
    assert!(refused(&engine.answer(claim(state, "right"), MINUTE).outcome().await));
}

#[tokio::test(start_paused = true)]
async fn m_17_a_state_that_was_never_given_or_is_used_up_takes_nothing_up() {
    let (world, engine) = world();
    for made_up in [&b""[..], b"A", &[b'A'; 43], &[b'A'; 44]] {
        let outcome = engine.answer(claim(Secret::new(made_up.to_vec()), "123456"), MINUTE).outcome().await;
        assert!(decided(&outcome, &Decision::Reject(Denial::OutOfTurn)), "{outcome:?}");
    }
    let state = challenged(&world, &engine).await;
    assert!(accepted(&engine.answer(claim(state.clone(), "123456"), MINUTE).outcome().await));
    assert!(refused(&engine.answer(claim(state, "123456"), MINUTE).outcome().await), "once");
}

#[tokio::test(start_paused = true)]
async fn m_18_whatever_a_provider_says_that_is_no_yes_opens_nothing() {
    let errors = [
        FactorError::BadCode,
        FactorError::Expired,
        FactorError::Faltering,
        FactorError::Locked,
        FactorError::Misconfigured,
        FactorError::NoPin,
        FactorError::NotEnrolled,
        FactorError::PinExpired,
        FactorError::PushesSpent,
        FactorError::Throttled,
        FactorError::Unreachable,
    ];
    for error in errors {
        let (world, engine) = world();
        let methods = vec![Choice::new(Method::Push, "lab")];
        let rules = Arc::new(Rules { methods, ..(*both()).clone() });
        let login = engine.login(asked("alice", "right", 1), rules, Arc::<World>::clone(&world), MINUTE);
        world.asked.notified().await;
        *world.verdict.lock().unwrap() = Some(Err(error));
        world.released.notify_one();
        let outcome = login.outcome().await;
        assert!(refused(&outcome), "{error:?}: {outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn m_18_a_fault_of_ours_is_silence_and_no_pass() {
    let (world, engine) = world();
    assert!(refused(&begin(&world, &engine, Method::Oath, asked("alice", "panic", 1)).outcome().await));
    world.store_away.store(true, Ordering::SeqCst);
    assert!(refused(&begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await));
    world.store_away.store(false, Ordering::SeqCst);
    engine.equip(HashMap::new());
    assert!(refused(&begin(&world, &engine, Method::Push, asked("alice", "right", 1)).outcome().await), "a provider that is not there");
}
