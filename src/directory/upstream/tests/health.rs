//! Which server is asked, and how one finds out that it is back.

use std::time::Duration;

use tokio::time::Instant;
use tokio::time::advance;
use tokio::time::timeout;

use super::*;
use crate::metrics;

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_left_out_until_it_answers_status_server() {
    let (first, second) = (Lab::new().await, Lab::new().await);
    let upstream = upstream(&[&first, &second], 5, 2);
    let serving = tokio::spawn(second.serve());
    let begun = Instant::now();
    assert_eq!(asking(&upstream, "alice", None).await.unwrap().unwrap().server, 1);
    assert_eq!(begun.elapsed().as_secs(), 5, "the first had its time");
    assert!(well(&upstream));
    let begun = Instant::now();
    assert_eq!(asking(&upstream, "bob", None).await.unwrap().unwrap().server, 1);
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody waits for it again");
    // It is back: all that was sent to it meanwhile has been lost.
    while first.socket.try_recv(&mut [0; 4096]).is_ok() {}
    let back = tokio::spawn(first.serve());
    advance(Duration::from_secs(8)).await;
    let begun = Instant::now();
    while asking(&upstream, "carol", None).await.unwrap().unwrap().server != 0 {
        advance(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "the preferred server is asked again");
    }
    serving.abort();
    back.abort();
}

#[tokio::test(start_paused = true)]
async fn a_conversation_goes_on_with_the_server_it_began_with_or_not_at_all() {
    let (first, second) = (Lab::new().await, Lab::new().await);
    let upstream = upstream(&[&first, &second], 5, 1);
    let at_second = asking(&upstream, "alice", Some(1));
    second.accept(&second.request().await, &Carried::default()).await;
    assert_eq!(at_second.await.unwrap().unwrap().server, 1);
    assert_eq!(asking(&upstream, "alice", Some(1)).await.unwrap().unwrap_err(), AskError::Silent);
    assert!(timeout(Duration::from_secs(1), first.request()).await.is_err(), "the other knows nothing of it");
    assert_eq!(asking(&upstream, "alice", Some(2)).await.unwrap().unwrap_err(), AskError::Away);
}

#[tokio::test(start_paused = true)]
async fn one_request_that_is_dropped_for_its_own_sake_puts_nobody_away() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    let dropped = asking(&upstream, "mallory", None);
    lab.request().await;
    let other = asking(&upstream, "alice", None);
    lab.accept(&lab.request().await, &Carried::default()).await;
    other.await.unwrap().unwrap();
    assert_eq!(dropped.await.unwrap().unwrap_err(), AskError::Silent);
    assert!(well(&upstream));
}

#[tokio::test(start_paused = true)]
async fn where_status_server_is_answered_no_silence_to_logins_keeps_others_out() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    let begin = asking(&upstream, "alice", None);
    lab.accept(&lab.request().await, &Carried::default()).await;
    begin.await.unwrap().unwrap();
    let _quiet = timeout(Duration::from_secs(10), lab.request()).await;
    let dropped: Vec<_> = (0..20).map(|_| asking(&upstream, "mallory", None)).collect();
    for asking in dropped {
        let serve = async {
            loop {
                lab.request().await;
            }
        };
        tokio::select! {
            answer = asking => assert_eq!(answer.unwrap().unwrap_err(), AskError::Silent),
            () = serve => {}
        }
        assert!(well(&upstream));
        let other = super::asking(&upstream, "bob", None);
        loop {
            let got = lab.request().await;
            if got.verified().text(attr::USER_NAME) == Some("bob") {
                lab.accept(&got, &Carried::default()).await;
                break;
            }
        }
        other.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_server_is_well_one_login_a_second_tries() {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    assert_eq!(asking(&upstream, "alice", None).await.unwrap().unwrap_err(), AskError::Silent);
    assert!(well(&upstream), "one silence is a doubt");
    while well(&upstream) {
        advance(Duration::from_millis(100)).await;
    }
    advance(Duration::from_millis(1_100)).await;
    let trial = asking(&upstream, "bob", None);
    tokio::task::yield_now().await;
    assert_eq!(asking(&upstream, "carol", None).await.unwrap().unwrap_err(), AskError::Away, "and nobody else waits in vain");
    let got = loop {
        let got = lab.anything().await;
        if got.verified().text(attr::USER_NAME) == Some("bob") {
            break got;
        }
    };
    lab.accept(&got, &Carried::default()).await;
    trial.await.unwrap().unwrap();
    assert!(well(&upstream), "the answer to a login tells as much as Status-Server");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_no_status_server_is_told_by_requests() {
    let (mut mute, other) = (Lab::new().await, Lab::new().await);
    mute.speaks = false;
    let upstream = upstream(&[&mute, &other], 2, 1);
    let serving = tokio::spawn(other.serve());
    let first = asking(&upstream, "alice", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    first.await.unwrap().unwrap();
    assert!(timeout(Duration::from_secs(120), mute.request()).await.is_err());
    let statuses = mute.statuses.load(Ordering::SeqCst);
    assert!((3..=6).contains(&statuses), "asked three times, each sent twice at most, then left in peace");
    let silent: Vec<_> = (0..3).map(|_| asking(&upstream, "bob", None)).collect();
    for asking in silent {
        assert_eq!(asking.await.unwrap().unwrap().server, 1, "silent for once");
    }
    let begun = Instant::now();
    assert_eq!(asking(&upstream, "bob", None).await.unwrap().unwrap().server, 1);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    while mute.socket.try_recv(&mut [0; 4096]).is_ok() {}
    advance(Duration::from_secs(31)).await;
    let trial = asking(&upstream, "carol", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    assert_eq!(trial.await.unwrap().unwrap().server, 0);
    assert_eq!(mute.statuses.load(Ordering::SeqCst), statuses);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_about_itself_is_not_known_to_be_away_for_ever() {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut mute = Lab::new().await;
    mute.speaks = false;
    let upstream = Upstream::open(Settings { name: "mute".into(), ..settings(&[mute.address()], Duration::from_secs(2), 1) }).unwrap();
    let first = asking(&upstream, "alice", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    first.await.unwrap().unwrap();
    assert!(timeout(MINUTE * 2, mute.request()).await.is_err(), "it is asked by Status-Server in vain");
    assert!(!metrics::was_just_ill("upstream", "mute", MINUTE));
    for _ in 0..3 {
        asking(&upstream, "bob", None).await.unwrap().unwrap_err();
    }
    assert!(!well(&upstream) && metrics::was_just_ill("upstream", "mute", MINUTE));
    advance(MINUTE + Duration::from_secs(1)).await;
    assert!(!metrics::was_just_ill("upstream", "mute", MINUTE), "nobody knows, so that a login may find out");
    assert_eq!(metrics::is_healthy("upstream", "mute"), Some(false), "the gauge says what was seen last");
    assert_eq!(asking(&upstream, "bob", None).await.unwrap().unwrap_err(), AskError::Silent);
    assert!(metrics::was_just_ill("upstream", "mute", MINUTE), "and one did");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_outlives_the_patience_of_all_who_ask_it_is_passed_over_all_the_same() {
    let (dead, other) = (Lab::new().await, Lab::new().await);
    let upstream = upstream(&[&dead, &other], 3, 2);
    let serving = tokio::spawn(other.serve());
    let ask = |name: &'static str, seconds| {
        let (upstream, forward) = (Arc::clone(&upstream), password_of(name));
        async move { timeout(Duration::from_secs_f64(seconds), upstream.ask(&forward, Code::AccessRequest, None)).await }
    };
    assert!(ask("alice", 0.5).await.is_err(), "given up before an answer was due, which tells nothing");
    assert!(ask("bob", 2.9).await.is_err(), "the server's own three seconds were not over");
    assert_eq!(ask("carol", 2.9).await.unwrap().unwrap().server, 1);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_server_without_status_server_is_tried_again_after_one_silence() {
    let (mut mute, other) = (Lab::new().await, Lab::new().await);
    mute.speaks = false;
    let upstream = upstream(&[&mute, &other], 2, 1);
    let serving = tokio::spawn(other.serve());
    let first = asking(&upstream, "alice", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    first.await.unwrap().unwrap();
    assert!(timeout(Duration::from_secs(120), mute.request()).await.is_err(), "it is learnt that it is mute");
    assert_eq!(asking(&upstream, "alice", None).await.unwrap().unwrap().server, 1, "silent for once");
    while mute.socket.try_recv(&mut [0; 4096]).is_ok() {}
    advance(Duration::from_secs(31)).await;
    let trial = asking(&upstream, "bob", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    assert_eq!(trial.await.unwrap().unwrap().server, 0);
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn learning_that_a_server_knows_no_status_server_is_not_held_against_it() {
    let mut mute = Lab::new().await;
    mute.speaks = false;
    let upstream = upstream(&[&mute], 2, 1);
    let first = asking(&upstream, "alice", None);
    mute.accept(&mute.request().await, &Carried::default()).await;
    first.await.unwrap().unwrap();
    assert!(timeout(Duration::from_secs(120), mute.request()).await.is_err());
    assert_eq!(asking(&upstream, "alice", None).await.unwrap().unwrap_err(), AskError::Silent);
    assert!(well(&upstream), "one silence is a doubt");
}

#[tokio::test(start_paused = true)]
async fn each_server_says_how_it_is_and_one_with_another_secret_is_told_from_a_silent_one() {
    let (well, silent, stranger) = (Lab::new().await, Lab::new().await, Lab::new().await);
    let upstream = upstream(&[&well, &silent, &stranger], 5, 2);
    let serving = tokio::spawn(well.serve());
    let forging = tokio::spawn(async move {
        loop {
            let got = stranger.anything().await;
            let reply = reply::accept(&got.asked(), b"another secret", &Carried::default(), [0; 2]).unwrap();
            stranger.send(&reply, &got).await;
        }
    });
    let said: Vec<_> = upstream.probe().await.into_iter().map(|probed| probed.said).collect();
    assert_eq!(said[..2], [Ok(()), Err(ProbeError::Silent)]);
    assert!(matches!(said[2], Err(ProbeError::Unbelievable(_))), "{said:?}");
    serving.abort();
    forging.abort();
}
