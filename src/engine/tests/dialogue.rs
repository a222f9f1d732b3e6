//! Questions that stay out, late answers, numbers, and passwords that have run out.

use super::*;

fn dialogue(approval: Approval, late_ms: u64) -> Dialogue {
    Dialogue { prompt: Some("Code:".into()), approval, late_ms, ..Dialogue::default() }
}

/// Somebody who cannot be asked anything; his question may be answered up to a minute late.
fn late(seat: u8) -> AuthRequest {
    AuthRequest { dialogue: Dialogue { prompt: None, ..dialogue(Approval::Wait, 60_000) }, ..asked("alice", "right", seat) }
}

fn entering() -> AuthRequest {
    AuthRequest { dialogue: dialogue(Approval::Enter, 0), ..asked("alice", "right", 1) }
}

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn approve(world: &World) {
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Allowed { spend: None }));
    world.released.notify_one();
}

fn counted(world: &World) -> [usize; 2] {
    [&world.starts, &world.cancels].map(|count| count.load(Ordering::SeqCst))
}

async fn prompted(login: Login) -> (Secret, String) {
    match login.outcome().await {
        Outcome::Challenge { state, prompt, shown: true, .. } => (state, prompt),
        other => panic!("{other:?}"),
    }
}

/// The same of a question for a password.
async fn hidden(login: Login) -> (Secret, String) {
    match login.outcome().await {
        Outcome::Challenge { state, prompt, shown: false, .. } => (state, prompt),
        other => panic!("{other:?}"),
    }
}

/// A push that nobody answers before the client goes.
async fn left_out(world: &Arc<World>, engine: &Arc<Engine>) {
    drop({
        let login = begin(world, engine, Method::Push, late(1));
        settle().await;
        login
    });
    settle().await;
    assert_eq!((counted(world), engine.running()), ([1, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_presses_enter_finds_the_question_that_stayed_out() {
    let (world, engine) = world();
    let (state, prompt) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    assert_eq!(prompt, "Approve the request on your phone, then press Enter.");
    let (again, prompt) = prompted(engine.answer(claim(state.clone(), ""), MINUTE)).await;
    assert_eq!(prompt, "Not approved yet. Approve the request on your phone, then press Enter.");
    assert_ne!(state, again, "R-044: a new State for each question");
    approve(&world);
    assert!(accepted(&engine.answer(claim(again, ""), MINUTE).outcome().await));
    settle().await;
    assert_eq!(counted(&world), [1, 0], "one push, and an answered one is not taken back");
}

#[tokio::test(start_paused = true)]
async fn a_question_nobody_comes_back_to_is_taken_back_when_its_state_runs_out() {
    let (world, engine) = world();
    let (state, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    tokio::time::sleep(Duration::from_secs(119)).await;
    assert_eq!(counted(&world), [1, 0]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(counted(&world), [1, 1]);
    approve(&world);
    assert!(decided(&engine.answer(claim(state, ""), MINUTE).outcome().await, &Decision::Reject(Denial::OutOfTurn)));
}

#[tokio::test(start_paused = true)]
async fn m_10_one_question_at_most_is_on_a_phone() {
    let (world, engine) = world();
    let (first, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    let (second, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    settle().await;
    assert_eq!(counted(&world), [2, 1]);
    approve(&world);
    assert!(decided(&engine.answer(claim(first, ""), MINUTE).outcome().await, &Decision::Reject(Denial::OutOfTurn)));
    assert!(accepted(&engine.answer(claim(second, ""), MINUTE).outcome().await));
}

#[tokio::test(start_paused = true)]
async fn m_10_a_question_whose_answer_waits_for_its_turn_is_taken_back_like_the_others() {
    let (world, engine) = world();
    let (state, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    let guess = begin(&world, &engine, Method::Push, asked("alice", "held", 3));
    settle().await;
    let other = begin(&world, &engine, Method::Push, asked("alice", "right", 4));
    settle().await;
    let answer = engine.answer(claim(state, ""), MINUTE);
    settle().await;
    assert_eq!(counted(&world), [1, 0], "both wait for the one whose password is checked");
    world.released.notify_one();
    assert!(decided(&guess.outcome().await, &Decision::Reject(Denial::BadCredential)));
    settle().await;
    assert_eq!(counted(&world), [2, 1], "the other rings, and one question is out");
    drop(other);
    assert!(decided(&answer.outcome().await, &Decision::Reject(Denial::OutOfTurn)));
    settle().await;
    assert_eq!((counted(&world), engine.parked.lock().unwrap().is_quiet()), ([2, 2], true));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waited_for_its_turn_finds_its_question_and_one_given_up_takes_it_back() {
    let (world, engine) = world();
    for given_up in [false, true] {
        let (state, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
        let guess = begin(&world, &engine, Method::Push, asked("alice", "held", 3));
        settle().await;
        let answer = engine.answer(claim(state, ""), MINUTE);
        settle().await;
        let answer = if given_up {
            drop(answer);
            None
        } else {
            Some(answer)
        };
        world.released.notify_one();
        guess.outcome().await;
        if let Some(answer) = answer {
            approve(&world);
            assert!(accepted(&answer.outcome().await));
        }
        settle().await;
        assert!(engine.parked.lock().unwrap().is_quiet());
    }
    assert_eq!(counted(&world), [2, 1]);
}

#[tokio::test(start_paused = true)]
async fn r_043_an_answer_from_elsewhere_ends_the_question_and_takes_it_back() {
    let (world, engine) = world();
    let (state, _) = prompted(begin(&world, &engine, Method::Push, entering())).await;
    approve(&world);
    let elsewhere = engine.answer(Answer { seat: vec![2], ..claim(state, "") }, MINUTE).outcome().await;
    assert!(decided(&elsewhere, &Decision::Reject(Denial::OutOfTurn)), "{elsewhere:?}");
    settle().await;
    assert_eq!(counted(&world), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_code_in_place_of_an_approval_takes_the_push_back() {
    let (world, engine) = world();
    let both = Rules { methods: [Method::Push, Method::Oath].map(|method| Choice::new(method, "lab")).into(), ..(*rules(Method::Push)).clone() };
    let (state, _) = prompted(engine.login(entering(), Arc::new(both), Arc::<World>::clone(&world), MINUTE)).await;
    assert!(accepted(&engine.answer(claim(state, "123456"), MINUTE).outcome().await));
    settle().await;
    assert_eq!((counted(&world), world.verifies.load(Ordering::SeqCst)), ([2, 1], 1));
}

#[tokio::test(start_paused = true)]
async fn a_late_approval_is_the_next_logins_and_no_second_push() {
    let (world, engine) = world();
    left_out(&world, &engine).await;
    approve(&world);
    assert!(accepted(&begin(&world, &engine, Method::Push, late(1)).outcome().await));
    settle().await;
    assert_eq!(counted(&world), [1, 0]);
    let third = begin(&world, &engine, Method::Push, late(1));
    settle().await;
    assert_eq!(counted(&world), [2, 0], "taken once: the third is asked anew");
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn a_late_denial_denies_and_an_open_question_is_waited_for() {
    let (world, engine) = world();
    let outcome = begin(&world, &engine, Method::Push, late(1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::NoAnswer)), "{outcome:?}");
    let next = begin(&world, &engine, Method::Push, late(1));
    settle().await;
    world.released.notify_one();
    tokio::time::sleep(Duration::from_secs(1)).await;
    *world.verdict.lock().unwrap() = Some(Ok(Progress::Denied { fraud: false }));
    world.released.notify_one();
    assert!(decided(&next.outcome().await, &Decision::Reject(Denial::FactorDenied)));
    assert_eq!(counted(&world), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn m_12_a_question_left_out_runs_out_and_is_taken_back() {
    let (world, engine) = world();
    left_out(&world, &engine).await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(counted(&world), [1, 1]);
    approve(&world);
    let next = begin(&world, &engine, Method::Push, late(1));
    settle().await;
    assert_eq!(counted(&world), [2, 1]);
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn m_12_an_approval_for_one_place_opens_nothing_at_another() {
    let elsewhere: [fn(&mut AuthRequest); 4] = [
        |request| request.seat = vec![2],
        |request| request.client = "other".into(),
        |request| request.asker = vec![1],
        |request| request.source = Some("192.0.2.1".parse().unwrap()),
    ];
    for spoil in elsewhere {
        let (world, engine) = world();
        left_out(&world, &engine).await;
        let mut request = late(1);
        spoil(&mut request);
        let next = begin(&world, &engine, Method::Push, request);
        settle().await;
        assert_eq!(counted(&world), [2, 1], "asked anew, and the old question is off the phone");
        drop(next);
    }
}

#[tokio::test(start_paused = true)]
async fn m_12_a_wrong_password_or_a_disabled_account_comes_to_no_late_approval() {
    let (world, engine) = world();
    left_out(&world, &engine).await;
    approve(&world);
    let wrong = AuthRequest { primary: Primary::Password("wrong".into()), ..late(1) };
    assert!(decided(&begin(&world, &engine, Method::Push, wrong).outcome().await, &Decision::Reject(Denial::BadCredential)));
    for standing in world.standings.lock().unwrap().values_mut() {
        Arc::make_mut(standing.account.as_mut().unwrap()).enabled = false;
    }
    assert!(decided(&begin(&world, &engine, Method::Push, late(1)).outcome().await, &Decision::Reject(Denial::Disabled)));
    assert_eq!(counted(&world), [1, 0]);
}

#[tokio::test(start_paused = true)]
async fn m_12_of_two_logins_one_takes_the_late_approval_and_after_a_restart_none() {
    let (world, engine) = world();
    left_out(&world, &engine).await;
    let first = begin(&world, &engine, Method::Push, late(1));
    let second = begin(&world, &engine, Method::Push, AuthRequest { login: "ALICE".into(), ..late(1) });
    settle().await;
    approve(&world);
    assert!(accepted(&first.outcome().await));
    settle().await;
    assert_eq!(counted(&world), [2, 0], "the other has a question of its own");
    drop(second);
    settle().await;
    let restarted =
        Engine::new(Arc::<World>::clone(&world), Arc::<World>::clone(&world), Limits { logins_max: 9, parked_max: 9, challenge_keep: MINUTE }).unwrap();
    restarted.equip(HashMap::from([("lab".to_owned(), Arc::<World>::clone(&world) as Arc<dyn Provider>)]));
    let third = begin(&world, &restarted, Method::Push, late(1));
    settle().await;
    assert_eq!(counted(&world), [3, 0]);
    drop(third);
}

#[tokio::test(start_paused = true)]
async fn m_11_a_number_is_shown_or_the_question_is_taken_back_and_it_is_never_left_out() {
    let (world, engine) = world();
    world.numbered.store(true, Ordering::SeqCst);
    let unseen = begin(&world, &engine, Method::Push, late(1)).outcome().await;
    assert!(decided(&unseen, &Decision::Reject(Denial::CodeNeeded)), "{unseen:?}");
    settle().await;
    assert_eq!(counted(&world), [1, 1]);
    let request = || AuthRequest { dialogue: dialogue(Approval::Wait, 60_000), ..asked("alice", "right", 1) };
    let (state, prompt) = prompted(begin(&world, &engine, Method::Push, request())).await;
    assert_eq!(prompt, "Choose 42 on your phone, then press Enter.");
    let waiting = engine.answer(claim(state, ""), MINUTE);
    settle().await;
    drop(waiting);
    settle().await;
    assert_eq!(counted(&world), [2, 2]);
    let (state, _) = prompted(begin(&world, &engine, Method::Push, request())).await;
    approve(&world);
    assert!(accepted(&engine.answer(claim(state, ""), MINUTE).outcome().await));
}

#[tokio::test(start_paused = true)]
async fn r_095_an_expired_password_is_changed_behind_a_code_that_is_burnt_first() {
    let (world, engine) = world();
    let (state, prompt) = prompted(begin(&world, &engine, Method::Oath, asked("alice", "expired", 1))).await;
    assert_eq!(prompt, "Code:");
    let (state, prompt) = hidden(engine.answer(claim(state, "123456"), MINUTE)).await;
    assert_eq!(prompt, "Your password has expired. New password:");
    assert!(matches!(world.committed.lock().unwrap().as_slice(), [Change::UseOtp { step: 7, .. }]));
    let (state, prompt) = hidden(engine.answer(claim(state, " new one "), MINUTE)).await;
    assert_eq!(prompt, "The new password again:");
    assert!(accepted(&engine.answer(claim(state, " new one "), MINUTE).outcome().await));
    assert_eq!(*world.changes.lock().unwrap(), [("expired".into(), " new one ".into())]);
}

fn hashed(seat: u8, primary: Primary) -> AuthRequest {
    AuthRequest { primary, dialogue: Dialogue::default(), ..asked("alice", "", seat) }
}

#[tokio::test(start_paused = true)]
async fn r_095_a_password_is_changed_once_by_whom_a_second_factor_gave_leave() {
    let (world, engine) = world();
    let ask = |seat: u8, primary: Primary| begin(&world, &engine, Method::Push, hashed(seat, primary)).outcome();
    let expired = || Primary::MsChap2 { challenge: [1; 16], response: Box::new([2; 50]) };
    let keyed = |key: &[u8]| Primary::MsChap2Change { key: key.to_vec(), change: "blob".into() };
    let change = || keyed(b"C");
    let unasked = Decision::Reject(Denial::NotPermitted);
    assert!(decided(&ask(1, change()).await, &unasked));
    assert_eq!(world.checks.load(Ordering::SeqCst), 0, "without leave nobody is asked");
    approve(&world);
    assert!(decided(&ask(1, expired()).await, &Decision::Reject(Denial::MustChange)));
    assert!(decided(&ask(2, change()).await, &unasked), "another seat");
    assert!(decided(&ask(1, keyed(b"D")).await, &unasked), "another session");
    assert!(accepted(&ask(1, change()).await));
    assert!(decided(&ask(1, change()).await, &unasked), "once");
    approve(&world);
    assert!(decided(&ask(1, expired()).await, &Decision::Reject(Denial::MustChange)));
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(decided(&ask(1, change()).await, &unasked), "five minutes");
    assert_eq!(world.checks.load(Ordering::SeqCst), 3);
}
