//! Whole logins through the door.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::Addition;
use super::super::Charset;
use super::super::Client;
use super::Nas;
use super::REJECT_DELAY;
use super::SECRET;
use super::World;
use super::client;
use super::open;
use super::open_at;
use super::read;
use super::settings;
use super::within;
use crate::domain::Approval;
use crate::domain::Choice;
use crate::domain::CodeEntry;
use crate::domain::Method;
use crate::domain::Rules;
use crate::wire::radius::Code;
use crate::wire::radius::attr;

#[tokio::test]
async fn r_042_r_044_a_challenge_is_answered_and_its_state_is_good_once() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    let challenge = nas.ask(&login).await;
    let challenge = read(&challenge, &login);
    assert_eq!((challenge.code(), challenge.message().as_str()), (Code::AccessChallenge, "Enter your code:"));
    let state = challenge.state().unwrap();
    assert!(state.len() >= 16);

    let answer = |code: &str| nas.request().with(attr::USER_NAME, b"alice").with(attr::STATE, state).password(code.as_bytes()).signed(SECRET).unwrap();
    let right = answer(" 123456 ");
    assert_eq!(read(&nas.ask(&right).await, &right).code(), Code::AccessAccept);
    let again = answer("123456");
    assert_eq!(read(&nas.ask(&again).await, &again).code(), Code::AccessReject);
    assert_eq!(house.world.checks.load(Ordering::SeqCst), 1, "the directory was asked once");
}

#[tokio::test]
async fn r_050_an_accept_that_does_not_fit_is_a_refusal_and_the_phone_rings_once() {
    let world = World::new();
    let addition = Addition { group: None, attribute: [&[attr::REPLY_MESSAGE, 255][..], &[b'x'; 253]].concat() };
    let client = Client { additions: vec![addition; 17].into(), ..client(&world, Method::Push) };
    let tally = Arc::clone(&client.card.tally);
    let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(client));
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    world.push_seen().await;
    world.approve();
    let (reply, _) = within(nas.receive()).await;
    assert_eq!(read(&reply, &login).code(), Code::AccessReject);
    assert_eq!(nas.ask(&login).await, reply, "a copy has the same answer");
    assert_eq!(world.pushes.load(Ordering::SeqCst), 1);
    let seen = tally.habits(Instant::now());
    assert_eq!((seen.accepts, seen.rejects), (0, 1), "it counts as what the client was told");
}

#[tokio::test]
async fn r_043_an_answer_from_another_seat_is_rejected() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let seated = |seat: &[u8]| nas.request().with(attr::USER_NAME, b"alice").with(attr::CALLING_STATION_ID, seat);
    let login = seated(b"192.0.2.7").password(b"open sesame").signed(SECRET).unwrap();
    let challenge = nas.ask(&login).await;
    let state = read(&challenge, &login).state().unwrap().to_vec();
    let answer = seated(b"192.0.2.8").with(attr::STATE, &state).password(b"123456").signed(SECRET).unwrap();
    assert_eq!(read(&nas.ask(&answer).await, &answer).code(), Code::AccessReject);
}

#[tokio::test]
async fn r_066_an_appended_code_needs_no_challenge() {
    let world = World::new();
    let mut client = client(&world, Method::Oath);
    client.code = CodeEntry::Append(",".into());
    let house = open_at("127.0.0.1:0", world, settings(client));
    let nas = Nas::of(&house).await;
    for (password, code) in [("open sesame,123456", Code::AccessAccept), ("open sesame,654321", Code::AccessReject), ("open sesame", Code::AccessReject)] {
        let login = nas.login("alice", password);
        assert_eq!(read(&nas.ask(&login).await, &login).code(), code, "{password}");
    }
}

#[tokio::test]
async fn r_051_a_retransmission_gets_the_identical_bytes_and_asks_nobody_again() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    let first = nas.ask(&login).await;
    assert_eq!(nas.ask(&login).await, first);
    assert_eq!(house.world.checks.load(Ordering::SeqCst), 1);

    let wrong = nas.login("alice", "wrong");
    let reject = nas.ask(&wrong).await;
    assert_eq!(nas.ask(&wrong).await, reject);
    assert_eq!(house.world.checks.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn r_052_a_duplicate_in_the_works_is_silent_and_makes_no_second_push() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    house.world.push_seen().await;
    nas.send(&login).await;
    nas.hears_nothing().await;
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &login).code(), Code::AccessAccept);
    nas.hears_nothing().await;
    assert_eq!(house.world.pushes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r_054_a_superseded_login_is_taken_back_and_its_approval_opens_nothing() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let push = |password: &[u8], authenticator| {
        crate::wire::radius::upstream::AccessRequest::new(9, authenticator).with(attr::USER_NAME, b"alice").password(password).signed(SECRET).unwrap()
    };
    nas.send(&push(b"open sesame", [1; 16])).await;
    house.world.push_seen().await;
    let second = push(b"wrong", [2; 16]);
    nas.send(&second).await;
    house.world.push_seen().await;
    assert_eq!(house.world.cancels.load(Ordering::SeqCst), 1);
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &second).code(), Code::AccessReject);
    nas.hears_nothing().await;
}

#[tokio::test]
async fn r_055_a_nas_that_asks_again_under_a_new_identifier_gets_one_push_and_one_answer() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let login = || nas.request().with(attr::USER_NAME, b"alice").with(attr::CALLING_STATION_ID, b"192.0.2.77").password(b"open sesame").signed(SECRET).unwrap();
    nas.send(&login()).await;
    house.world.push_seen().await;
    let later = login();
    nas.send(&later).await;
    nas.hears_nothing().await;
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &later).code(), Code::AccessAccept);
    nas.hears_nothing().await;
    assert_eq!(house.world.pushes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn r_055_whom_a_nas_does_not_tell_apart_does_not_take_another_s_approval() {
    let house = open(Method::Push);
    let nas = Nas::of(&house).await;
    let first = nas.login("alice", "open sesame");
    nas.send(&first).await;
    house.world.push_seen().await;
    nas.send(&nas.login("alice", "open sesame")).await;
    nas.hears_nothing().await;
    house.world.approve();
    assert_eq!(read(&nas.receive().await.0, &first).code(), Code::AccessAccept, "who was asked first is let in");
}

#[tokio::test]
async fn r_068_r_069_every_reject_says_the_same_and_takes_as_long() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let nameless = nas.request().password(b"open sesame").signed(SECRET).unwrap();
    let chap = nas.request().with(attr::USER_NAME, b"alice").with(attr::CHAP_PASSWORD, &[0; 17]).signed(SECRET).unwrap();
    let stale = nas.request().with(attr::USER_NAME, b"alice").with(attr::STATE, &[1; 32]).password(b"123456").signed(SECRET).unwrap();
    for asked in [nas.login("alice", "wrong"), nas.login("nobody", "x"), nas.login("alice", ""), nas.login("al\u{7}ice", "x"), nameless, chap, stale] {
        let began = Instant::now();
        let reply = nas.ask(&asked).await;
        let took = began.elapsed();
        assert!(took >= REJECT_DELAY, "{took:?}");
        let reply = read(&reply, &asked);
        assert_eq!((reply.code(), reply.message().as_str()), (Code::AccessReject, "Access denied."));
    }
}

#[tokio::test]
async fn r_042_r_068_who_reads_german_is_asked_in_german_and_refused_in_the_words_for_everybody() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    let said = async |asked: Vec<u8>| {
        let reply = nas.ask(&asked).await;
        let reply = read(&reply, &asked);
        (reply.code(), reply.message())
    };
    assert_eq!(said(nas.login("anna", "open sesame")).await, (Code::AccessChallenge, "Bitte geben Sie Ihren Code ein:".into()));
    assert_eq!(said(nas.login("alice", "open sesame")).await, (Code::AccessChallenge, "Enter your code:".into()));
    for name in ["anna", "alice", "nobody"] {
        assert_eq!(said(nas.login(name, "wrong")).await, (Code::AccessReject, "Access denied.".into()), "{name}");
    }
}

#[tokio::test]
async fn a_nas_that_writes_latin_1_is_heard_in_it_and_answered_in_utf_8() {
    let world = World::new();
    let choices = [Method::Push, Method::Oath].map(|method| Choice::new(method, "world"));
    let mut client = Client { charset: Charset::Latin1, approval: Approval::Enter, ..client(&world, Method::Push) };
    client.rules = Arc::new(Rules { methods: choices.into(), ..(*client.rules).clone() });
    let house = open_at("127.0.0.1:0", world, settings(client));
    let nas = Nas::of(&house).await;
    let asked = nas.request().with(attr::USER_NAME, b"anna").password(b"\xf6ffne dich").signed(SECRET).unwrap();
    let reply = nas.ask(&asked).await;
    let reply = read(&reply, &asked);
    let text = "Bitte bestätigen Sie die Anfrage auf Ihrem Telefon und drücken Sie dann die Eingabetaste.";
    assert_eq!((reply.code(), reply.message().as_str()), (Code::AccessChallenge, text));
}

#[tokio::test]
async fn a_directory_that_is_away_is_silence_and_a_retransmission_tries_again() {
    let house = open(Method::Oath);
    let nas = Nas::of(&house).await;
    house.world.away.store(true, Ordering::SeqCst);
    let login = nas.login("alice", "open sesame");
    nas.send(&login).await;
    nas.hears_nothing().await;
    // As a NAS does: again and again, until somebody can tell.
    let answer = within(async {
        loop {
            nas.send(&login).await;
            if house.world.resolves.load(Ordering::SeqCst) > 2 {
                house.world.away.store(false, Ordering::SeqCst);
            }
            if let Ok(answer) = tokio::time::timeout(Duration::from_millis(20), nas.receive()).await {
                break answer.0;
            }
        }
    });
    assert_eq!(read(&answer.await, &login).code(), Code::AccessChallenge);
}

#[tokio::test]
async fn a_login_ends_two_seconds_before_the_nas_gives_up() {
    let world = World::new();
    let mut client = client(&world, Method::Push);
    client.patience = Duration::from_secs(1);
    let house = open_at("127.0.0.1:0", Arc::clone(&world), settings(client));
    let nas = Nas::of(&house).await;
    let login = nas.login("alice", "open sesame");
    let began = Instant::now();
    let reply = nas.ask(&login).await;
    assert_eq!(read(&reply, &login).code(), Code::AccessReject);
    assert!((Duration::from_secs(1)..Duration::from_secs(3)).contains(&began.elapsed()), "{:?}", began.elapsed());
}
