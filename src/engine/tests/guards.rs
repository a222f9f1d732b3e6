//! How often a phone rings, what is known of wrong passwords and of names that are nobody's, and who guesses at once.

use super::*;
use crate::domain::Method;

const PUSHES: Pushes = Pushes { count_max: 3, per_ms: 300_000, day_max: 10, backoff_ms: 30_000 };

async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

fn guarded(method: Method) -> Arc<Rules> {
    Arc::new(Rules { pushes: PUSHES, ..(*rules(method)).clone() })
}

fn login(world: &Arc<World>, engine: &Arc<Engine>, rules: &Arc<Rules>, request: AuthRequest) -> Login {
    engine.login(request, Arc::clone(rules), Arc::<World>::clone(world), MINUTE)
}

fn answer(world: &World, progress: Progress) {
    *world.verdict.lock().unwrap() = Some(Ok(progress));
    world.released.notify_one();
}

fn starts(world: &World) -> usize {
    world.starts.load(Ordering::SeqCst)
}

fn checks(world: &World) -> usize {
    world.checks.load(Ordering::SeqCst)
}

fn failures(world: &World) -> u32 {
    world.standing(&alice()).unwrap().tries.failures
}

const SPENT: Decision = Decision::Reject(Denial::PushesSpent);
const WRONG: Decision = Decision::Reject(Denial::BadCredential);

/// Whoever has the password and not the phone tries fifty times in five minutes, through both doors and from everywhere.
#[tokio::test(start_paused = true)]
async fn m_10_fifty_logins_of_an_attacker_ring_three_times_at_most() {
    let (world, engine) = world();
    let rules = guarded(Method::Push);
    let mut refused = 0;
    for seat in 0..50_u8 {
        let door = if seat % 2 == 0 { Door::Radius } else { Door::Ldap };
        let mut login = Some(login(&world, &engine, &rules, AuthRequest { door, client: format!("app {}", seat % 7), ..asked("alice", "right", seat) }));
        settle().await;
        match seat % 3 {
            // Leaves before an answer can come.
            0 => drop(login.take()),
            1 => answer(&world, Progress::Denied { fraud: false }),
            // Waits in vain.
            _ => {}
        }
        if let Some(login) = login {
            refused += usize::from(decided(&login.outcome().await, &SPENT));
        }
        world.verdict.lock().unwrap().take();
        tokio::time::advance(Duration::from_secs(3)).await;
    }
    eprintln!("50 logins against an account under attack: {} pushes sent", starts(&world));
    assert!((1..=3).contains(&starts(&world)), "{} pushes", starts(&world));
    assert!(refused > 25, "{refused}");
}

#[tokio::test(start_paused = true)]
async fn m_10_one_that_approves_is_asked_as_often_as_one_logs_in() {
    let (world, engine) = world();
    for seat in 0..20 {
        let login = login(&world, &engine, &guarded(Method::Push), asked("alice", "right", seat));
        settle().await;
        answer(&world, Progress::Allowed { spend: None });
        assert!(accepted(&login.outcome().await), "{seat}");
    }
    assert_eq!(starts(&world), 20);
}

#[tokio::test(start_paused = true)]
async fn m_10_after_a_denial_nobody_is_rung_and_then_again_and_a_refusal_costs_nothing() {
    let (world, engine) = world();
    let rules = guarded(Method::Push);
    let denied = login(&world, &engine, &rules, asked("alice", "right", 1));
    settle().await;
    answer(&world, Progress::Denied { fraud: false });
    assert!(decided(&denied.outcome().await, &Decision::Reject(Denial::FactorDenied)));
    for _ in 0..29 {
        assert!(decided(&login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await, &SPENT));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!((starts(&world), failures(&world)), (1, 0));
    tokio::time::advance(Duration::from_secs(1)).await;
    let next = login(&world, &engine, &rules, asked("alice", "right", 1));
    settle().await;
    assert_eq!(starts(&world), 2);
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn m_10_whoever_may_not_be_rung_is_asked_for_a_code() {
    let (world, engine) = world();
    let methods = [Method::Push, Method::Oath].map(|method| Choice::new(method, "lab"));
    let rules = Arc::new(Rules { methods: methods.into(), pushes: Pushes { count_max: 1, ..PUSHES }, ..(*rules(Method::Push)).clone() });
    let ignored = login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await;
    assert!(decided(&ignored, &Decision::Reject(Denial::NoAnswer)), "{ignored:?}");
    let Outcome::Challenge { state, prompt, .. } = login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await else { panic!("no code") };
    assert_eq!(prompt, "Code:");
    assert!(accepted(&engine.answer(claim(state, "123456"), MINUTE).outcome().await));
    let after = login(&world, &engine, &rules, asked("alice", "right", 1));
    settle().await;
    assert_eq!(starts(&world), 3, "push, code, and after the code passed a push again");
    drop(after);
}

#[tokio::test(start_paused = true)]
async fn m_10_a_refused_push_leaves_the_one_that_is_out_where_it_is() {
    let (world, engine) = world();
    let rules = guarded(Method::Push);
    let entering =
        || AuthRequest { dialogue: Dialogue { prompt: Some("Code:".into()), approval: Approval::Enter, ..Dialogue::default() }, ..asked("alice", "right", 1) };
    let Outcome::Challenge { state, .. } = login(&world, &engine, &rules, entering()).outcome().await else { panic!("nobody is sent to the phone") };
    assert!(decided(&login(&world, &engine, &rules, entering()).outcome().await, &SPENT));
    answer(&world, Progress::Allowed { spend: None });
    assert!(accepted(&engine.answer(claim(state, ""), MINUTE).outcome().await));
    assert_eq!((starts(&world), world.cancels.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn m_10_a_joined_login_and_a_late_approval_ring_and_count_once() {
    let (world, engine) = world();
    let rules = Arc::new(Rules { pushes: Pushes { count_max: 1, ..PUSHES }, ..(*rules(Method::Push)).clone() });
    let late = || AuthRequest { dialogue: Dialogue { late_ms: 60_000, ..Dialogue::default() }, ..asked("alice", "right", 1) };
    let (first, again) = (login(&world, &engine, &rules, late()), login(&world, &engine, &rules, late()));
    settle().await;
    drop((first, again));
    settle().await;
    let next = login(&world, &engine, &rules, late());
    settle().await;
    answer(&world, Progress::Allowed { spend: None });
    assert!(accepted(&next.outcome().await));
    assert_eq!(starts(&world), 1);
}

#[tokio::test(start_paused = true)]
async fn m_28_calls_texts_and_mails_count_with_pushes() {
    let (world, engine) = world();
    let methods = [Method::Text, Method::Email, Method::Call, Method::Push];
    let mut rung = Vec::new();
    for (seat, method) in methods.into_iter().cycle().take(40).enumerate() {
        let rules = Arc::new(Rules { pushes: Pushes { backoff_ms: 0, ..PUSHES }, ..(*rules(method)).clone() });
        let before = starts(&world);
        drop(login(&world, &engine, &rules, asked("alice", "right", u8::try_from(seat).unwrap())).outcome().await);
        if starts(&world) > before {
            rung.push(method);
        }
    }
    assert_eq!(rung[..3], [Method::Text, Method::Email, Method::Call]);
    assert!(rung.len() <= 10, "{rung:?}");
}

/// Wrong codes of a text cost a try each and no rest; the texts are bounded all the same.
#[tokio::test(start_paused = true)]
async fn m_28_a_wrong_code_of_a_text_may_be_tried_again_with_another_text_but_not_for_ever() {
    let (world, engine) = world();
    let rules = guarded(Method::Text);
    for expected in [Denial::BadCode, Denial::BadCode, Denial::BadCode] {
        let Outcome::Challenge { state, .. } = login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await else { panic!("no text") };
        assert!(decided(&engine.answer(claim(state, "000000"), MINUTE).outcome().await, &Decision::Reject(expected)));
    }
    assert!(decided(&login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await, &SPENT));
    assert_eq!(starts(&world), 3);
}

#[tokio::test(start_paused = true)]
async fn m_21_the_same_wrong_password_asks_the_directory_once_and_locks_nobody() {
    let (world, engine) = world();
    for seat in 0..100 {
        let outcome = begin(&world, &engine, Method::Push, asked("alice", "stale", seat)).outcome().await;
        assert!(decided(&outcome, &WRONG), "{seat}: {outcome:?}");
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!((checks(&world), failures(&world), starts(&world)), (1, 1, 0));
    tokio::time::advance(Duration::from_secs(101)).await;
    assert!(decided(&begin(&world, &engine, Method::Push, asked("alice", "stale", 1)).outcome().await, &WRONG));
    assert_eq!((checks(&world), failures(&world)), (2, 1), "asked again after five minutes, and no new guess");
    for guess in 0..4 {
        assert!(decided(&begin(&world, &engine, Method::Push, asked("alice", &format!("guess {guess}"), 1)).outcome().await, &WRONG));
    }
    assert_eq!((checks(&world), failures(&world)), (6, 5), "another password is a guess");
    let outcome = begin(&world, &engine, Method::Push, asked("alice", "stale", 1)).outcome().await;
    assert!(decided(&outcome, &Decision::Reject(Denial::Locked)), "{outcome:?}");
}

/// The directory counts each of them: whoever sends eight known ones by turns must not lock the person there while nothing is counted here.
#[tokio::test(start_paused = true)]
async fn m_21_several_wrong_passwords_by_turns_are_guesses_each_time() {
    let (world, engine) = world();
    for _ in 0..3 {
        for guess in 0..2 {
            begin(&world, &engine, Method::Push, asked("alice", &format!("guess {guess}"), 1)).outcome().await;
        }
        tokio::time::advance(Duration::from_secs(11 * 60)).await;
    }
    assert!(checks(&world) > 3, "{}", checks(&world));
    assert_eq!(usize::try_from(failures(&world)).unwrap(), checks(&world));
}

#[tokio::test(start_paused = true)]
async fn m_21_a_password_that_was_accepted_ends_what_is_known_of_wrong_ones() {
    let (world, engine) = world();
    for after in ["right", "expired"] {
        let before = checks(&world);
        begin(&world, &engine, Method::Oath, asked("alice", "stale", 1)).outcome().await;
        begin(&world, &engine, Method::Oath, asked("alice", "stale", 1)).outcome().await;
        assert_eq!(checks(&world), before + 1);
        begin(&world, &engine, Method::Oath, asked("alice", after, 1)).outcome().await;
        begin(&world, &engine, Method::Oath, asked("alice", "stale", 1)).outcome().await;
        assert_eq!(checks(&world), before + 3, "it may be the one that was set just now");
        begin(&world, &engine, Method::Oath, asked("alice", "right", 1)).outcome().await;
    }
}

/// Through another door, by another spelling of the name and for another client it is the same password of the same person; of another person it is not.
#[tokio::test(start_paused = true)]
async fn m_21_it_is_known_by_whose_it_is_and_tells_nothing_else() {
    let (world, engine) = world();
    begin(&world, &engine, Method::Push, asked("alice", "stale", 1)).outcome().await;
    let other = AuthRequest { door: Door::Ldap, client: "wiki".into(), ..asked("CORP\\ALICE", "stale", 2) };
    let known = begin(&world, &engine, Method::Push, other).outcome().await;
    assert!(decided(&known, &WRONG), "the same refusal as of any wrong password: {known:?}");
    assert_eq!(checks(&world), 1);
    for similar in ["stale ", "Stale", "stal"] {
        begin(&world, &engine, Method::Push, asked("alice", similar, 1)).outcome().await;
    }
    assert_eq!(checks(&world), 4, "one letter more or less is another password");
}

#[tokio::test(start_paused = true)]
async fn m_21_what_answers_a_challenge_or_goes_to_a_server_behind_us_is_asked_each_time() {
    let (world, engine) = world();
    let hashed = || Primary::MsChap2 { challenge: [1; 16], response: Box::new([2; 50]) };
    let relayed = || Primary::Relayed(Relayed { packet: Secret::default(), proof: "wrong".into(), typed: Some("wrong".into()), named: true });
    for primary in [hashed(), hashed(), relayed(), relayed(), relayed()] {
        let request = AuthRequest { primary, dialogue: Dialogue::default(), ..asked("alice", "", 1) };
        assert!(!accepted(&begin(&world, &engine, Method::Push, request).outcome().await));
    }
    assert_eq!(checks(&world), 5);
}

#[tokio::test(start_paused = true)]
async fn m_07_names_that_are_nobodys_lock_like_others_and_reach_no_password_check() {
    let (world, engine) = world();
    let ask = |password: String| begin(&world, &engine, Method::Push, asked("nobody", &password, 1)).outcome();
    let mut told = Vec::new();
    for guess in 0..7 {
        told.push(decided(&ask(guess.to_string()).await, &WRONG));
    }
    assert_eq!(told, [true, true, true, true, true, false, false]);
    assert!(decided(&ask("again".into()).await, &Decision::Reject(Denial::Locked)), "as somebody's name would be");
    assert_eq!(checks(&world), 0);
    assert!(accepted(&{
        let login = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
        settle().await;
        answer(&world, Progress::Allowed { spend: None });
        login.outcome().await
    }));
}

#[tokio::test(start_paused = true)]
async fn m_05_m_06_of_64_wrong_passwords_at_once_over_both_doors_as_many_are_checked_as_the_lock_allows() {
    let (world, engine) = world();
    let door = |at: u8| if at.is_multiple_of(2) { Door::Radius } else { Door::Ldap };
    let ask = |at: u8| AuthRequest { door: door(at), client: format!("app {}", at % 5), ..asked("alice", &format!("guess {at}"), at) };
    for _ in 0..3 {
        let guesses: Vec<_> = (0..64).map(|at| begin(&world, &engine, Method::Push, ask(at))).collect();
        for guess in guesses {
            assert!(!accepted(&guess.outcome().await));
        }
    }
    assert_eq!((checks(&world), starts(&world)), (5, 0));
}

#[tokio::test(start_paused = true)]
async fn m_05_m_06_of_64_wrong_codes_at_once_over_both_doors_as_many_are_checked_as_the_lock_allows() {
    let (world, engine) = world();
    let ask = |at: u8| AuthRequest {
        door: if at.is_multiple_of(2) { Door::Radius } else { Door::Ldap },
        appended: Some(Appended::Code(format!("{at:06}").as_str().into())),
        ..asked("alice", "right", at)
    };
    for _ in 0..3 {
        let guesses: Vec<_> = (0..64).map(|at| begin(&world, &engine, Method::Oath, ask(at))).collect();
        for guess in guesses {
            assert!(!accepted(&guess.outcome().await));
        }
    }
    assert_eq!(world.verifies.load(Ordering::SeqCst), 5);
}

#[tokio::test(start_paused = true)]
async fn m_03_of_64_logins_with_one_code_at_once_one_gets_in() {
    let (world, engine) = world();
    let lenient = Arc::new(Rules { lock: Lock { failures_max: 0, wait_ms: 0, window_ms: 0 }, ..(*rules(Method::Oath)).clone() });
    let ask = |at: u8| AuthRequest { appended: Some(Appended::Code("123456".into())), ..asked("alice", "right", at) };
    let logins: Vec<_> = (0..64).map(|at| login(&world, &engine, &lenient, ask(at))).collect();
    let mut won = 0;
    for login in logins {
        won += usize::from(accepted(&login.outcome().await));
    }
    assert_eq!((won, world.burnt.lock().unwrap().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn m_12_an_approval_that_comes_as_the_client_leaves_is_discarded_and_opens_nothing() {
    let (world, engine) = world();
    let login = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    settle().await;
    answer(&world, Progress::Allowed { spend: None });
    // Both come before the login's own task runs again.
    drop(login);
    settle().await;
    assert_eq!(engine.running(), 0);
    assert!(world.committed.lock().unwrap().is_empty());
    let next = begin(&world, &engine, Method::Push, asked("alice", "right", 1));
    settle().await;
    assert_eq!(starts(&world), 2, "the next login asks anew");
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn m_48_an_approval_for_one_application_lets_nobody_into_another() {
    let (world, engine) = world();
    let ask = |client: &str| AuthRequest { door: Door::Ldap, client: client.into(), ..asked("alice", "right", 1) };
    let wiki = begin(&world, &engine, Method::Push, ask("wiki"));
    let mail = begin(&world, &engine, Method::Push, ask("mail"));
    settle().await;
    answer(&world, Progress::Allowed { spend: None });
    assert!(accepted(&wiki.outcome().await));
    settle().await;
    assert_eq!(starts(&world), 2, "the other application has a question of its own");
    answer(&world, Progress::Denied { fraud: false });
    assert!(decided(&mail.outcome().await, &Decision::Reject(Denial::FactorDenied)));
}

#[tokio::test(start_paused = true)]
async fn m_24_one_login_asks_the_directory_for_the_password_once_whatever_comes_after() {
    let (world, engine) = world();
    let state = challenged(&world, &engine).await;
    assert!(decided(&engine.answer(claim(state.clone(), "000000"), MINUTE).outcome().await, &Decision::Reject(Denial::BadCode)));
    assert!(decided(&engine.answer(claim(state, "123456"), MINUTE).outcome().await, &Decision::Reject(Denial::OutOfTurn)));
    assert_eq!(checks(&world), 1, "a wrong code checks no password again");
    let methods = [Method::Push, Method::Oath].map(|method| Choice::new(method, "lab"));
    let both = Arc::new(Rules { methods: methods.into(), ..(*rules(Method::Push)).clone() });
    let login = login(&world, &engine, &both, asked("alice", "right", 1));
    settle().await;
    *world.verdict.lock().unwrap() = Some(Err(FactorError::Unreachable));
    world.released.notify_one();
    let Outcome::Challenge { state, .. } = login.outcome().await else { panic!("the next method is a code") };
    assert!(accepted(&engine.answer(claim(state, "123456"), MINUTE).outcome().await));
    assert_eq!(checks(&world), 2, "nor does another method");
}

#[tokio::test(start_paused = true)]
async fn m_23_behind_a_wrong_password_a_right_code_and_a_wrong_one_are_alike_and_unspent() {
    let (world, engine) = world();
    let ask = |code: &str, at: u8| AuthRequest { appended: Some(Appended::Code(code.into())), ..asked("alice", &format!("wrong {at}"), at) };
    for (at, code) in [(1, "123456"), (2, "000000")] {
        let began = Instant::now();
        let outcome = begin(&world, &engine, Method::Oath, ask(code, at)).outcome().await;
        assert!(decided(&outcome, &WRONG), "{outcome:?}");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    assert_eq!((world.verifies.load(Ordering::SeqCst), starts(&world)), (0, 0));
    assert!(world.burnt.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn m_10_m_21_an_administrator_ends_the_rest_and_what_is_known_of_wrong_passwords() {
    let (world, engine) = world();
    let rules = guarded(Method::Push);
    let denied = login(&world, &engine, &rules, asked("alice", "right", 1));
    settle().await;
    answer(&world, Progress::Denied { fraud: true });
    assert!(decided(&denied.outcome().await, &Decision::Reject(Denial::FraudReported)));
    assert!(decided(&login(&world, &engine, &rules, asked("alice", "right", 1)).outcome().await, &SPENT), "a report of the person's own ends no rest");
    login(&world, &engine, &rules, asked("alice", "stale", 1)).outcome().await;
    engine.forget(&alice());
    let before = checks(&world);
    login(&world, &engine, &rules, asked("alice", "stale", 1)).outcome().await;
    assert_eq!(checks(&world), before + 1);
    drop(login(&world, &engine, &rules, asked("alice", "right", 1)));
    assert_eq!(starts(&world), 2);
}
