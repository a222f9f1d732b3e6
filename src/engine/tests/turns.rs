//! Who hears, who counts and who may crowd: logins that meet, leave and come late.

use super::super::turnstile::Place;
use super::*;

fn joined(engine: &Arc<Engine>) -> Place {
    match engine.running.enter([7; 32]) {
        Entered::Joined(place) => place,
        other => panic!("{other:?}"),
    }
}

#[test]
fn r_055_when_the_last_asker_leaves_the_one_before_hears_the_answer() {
    let (_, engine) = world();
    let Entered::First(seat, first) = engine.running.enter([7; 32]) else { panic!("nobody has asked before") };
    let (second, third) = (joined(&engine), joined(&engine));
    drop(third);
    seat.say(Outcome::broken_off());
    assert!(matches!(first.heard(), Some(Some(Outcome::Superseded))), "somebody after it still listens");
    assert!(matches!(second.heard(), Some(Some(Outcome::Decided { .. }))), "nobody after it does");
}

#[tokio::test(start_paused = true)]
async fn m_06_a_no_that_comes_after_the_login_s_time_is_counted() {
    let (world, engine) = world();
    let within = Duration::from_secs(3);
    let login = engine.login(asked("alice", "held", 1), rules(Method::Push), Arc::<World>::clone(&world), within);
    world.asked.notified().await;
    tokio::time::advance(Duration::from_secs(5)).await;
    world.released.notify_one();
    let outcome = login.outcome().await;
    assert!(!accepted(&outcome), "{outcome:?}");
    assert_eq!(world.standing(&alice()).unwrap().tries.failures, 1);
}

#[tokio::test(start_paused = true)]
async fn l_082_a_pool_of_service_connections_is_not_turned_away() {
    let (_, engine) = world();
    for (crowd, fit) in [(false, 9), (true, 100)] {
        let who = Identity(format!("S-{crowd}"));
        let mut held = Vec::new();
        let mut waiting: Vec<_> = (0..100).map(|_| Box::pin(engine.turns.take(&who, crowd))).collect();
        let mut turned = 0;
        for turn in &mut waiting {
            match at_once(turn.as_mut()).await {
                Some(Some(turn)) => held.push(turn),
                Some(None) => turned += 1,
                None => {}
            }
        }
        assert_eq!((held.len(), 100 - turned), (1, fit), "{crowd}");
    }
}

/// What is there at once.
async fn at_once<T>(mut wait: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    std::future::poll_fn(|context| {
        Poll::Ready(match wait.as_mut().poll(context) {
            Poll::Ready(came) => Some(came),
            Poll::Pending => None,
        })
    })
    .await
}
