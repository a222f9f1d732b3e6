//! A provider that dies and comes back: who waits for it, for how long, and when it is asked again.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use vestibule::domain::Secret;
use vestibule::provider::webhook::Send;
use vestibule::provider::webhook::Settings;
use vestibule::provider::webhook::Webhook;
use vestibule::wire::radius::Code;

use super::webhook::KEY;
use super::webhook::good;
use super::webhook::good_now;
use super::*;
use crate::lab;
use crate::lab::House;

const SECOND: Duration = Duration::from_secs(1);

/// Lets waits and pauses of our own side pass. Nothing may be under way on a socket.
async fn later(wait: Duration) {
    tokio::time::pause();
    tokio::time::advance(wait).await;
    tokio::time::resume();
}

#[tokio::test]
async fn m_14_a_dead_provider_is_waited_for_by_three_and_asked_again_within_thirty_seconds_of_its_recovery() {
    let address: SocketAddr = nowhere().await.trim_start_matches("http://").parse().unwrap();
    let key = Secret::from(KEY);
    let timeout = Duration::from_secs(5);
    let (send, url) = (Send::default(), format!("http://{address}"));
    let settings = Settings { name: "cloud".into(), url, key, second_key: None, send, call_pin: false, tell_end: false, ca_file: None, timeout };
    let webhook = Webhook::new(settings, "mfa1", clock()).unwrap();
    let asking = asking(Method::Push);
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(webhook.start(&asking).await);
    }
    assert_eq!(first, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable)]);
    // Nothing listens, so whoever tried would find out at once as well: that nobody tries is seen when somebody does listen.
    let trap = Sky::open_at(address, good).await;
    for _ in 0..100 {
        assert_eq!(webhook.start(&asking).await, Err(FactorError::Unreachable));
    }
    assert!(trap.heard().is_empty(), "once it is known, logins cost no request and no waiting");
    drop(trap);
    // It stays away for ten minutes, while somebody logs in each second: the pauses between two tries grow as long as they may.
    for _ in 0..600 {
        later(SECOND).await;
        assert_eq!(webhook.start(&asking).await, Err(FactorError::Unreachable));
    }
    let back = Sky::open_at(address, good).await;
    let mut seconds = 0;
    while webhook.start(&asking).await.is_err() {
        later(SECOND).await;
        seconds += 1;
        assert!(seconds <= 30, "it is back, and nobody has noticed");
    }
    assert_eq!(back.heard().len(), 1, "one request finds out");
}

/// The server with two services that speak our protocol: `first` is preferred, the other one is always well.
fn house(first: SocketAddr, second: &Sky, directory: SocketAddr) -> House {
    let service = |name: &str, url: &str| format!("[provider.{name}]\nkind = \"webhook\"\nurl = \"{url}\"\nkey = {{ file = \"hook\" }}\ntimeout = \"2s\"\n");
    let more = format!("{}{}", service("first", &format!("http://{first}")), service("second", &second.url()));
    let folder = lab::furnish(directory, &more);
    let (config, key) = (folder.path().join("vestibule.toml"), folder.path().join("hook"));
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, text.replace("methods = [{ oath = \"tokens\" }]", "methods = [{ push = \"first\" }, { push = \"second\" }]")).unwrap();
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let house = House::open(folder);
    assert!(house.say(&["user", "add", "alice"]).status.success());
    house
}

/// One login: how long it took, and whether the first service carried it.
fn log_in(house: &House, first: Option<&Sky>, began: Instant, number: u8) -> (Duration, bool) {
    let heard = || first.map_or(0, |sky| sky.lines().iter().filter(|line| line.ends_with("/poll")).count());
    let (before, start) = (heard(), Instant::now());
    let said = lab::ask(house.radius(), number, "alice", "Wonder-Land-1", b"", 20 * SECOND).unwrap();
    let (took, by_first) = (start.elapsed(), heard() > before);
    let by = if by_first { "first" } else { "second" };
    eprintln!("{:>8.3} s  login {number:<3} {:?} by {by:<6} in {:>7.1} ms", began.elapsed().as_secs_f64(), said.code, took.as_secs_f64() * 1_000.0);
    assert_eq!(said.code, Code::AccessAccept);
    (took, by_first)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_provider_dead_a_login_is_carried_by_the_next_and_goes_back_when_it_is_well() {
    let directory = lab::people(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (first, second) = (Sky::open(good_now).await, Sky::open(good_now).await);
    let address: SocketAddr = first.url().trim_start_matches("http://").parse().unwrap();
    let house = house(address, &second, directory.address());
    let began = Instant::now();
    let say = |what: &str| eprintln!("{:>8.3} s  {what}", began.elapsed().as_secs_f64());
    say("both services are well");
    assert!(log_in(&house, Some(&first), began, 1).1);

    drop(first);
    let silent = Sky::open_at(address, |_| Said::Silent).await;
    say("the first takes connections and is silent (its timeout is 2 s)");
    for number in 2..8 {
        let (took, by_first) = log_in(&house, None, began, number);
        assert!(!by_first && took < 4 * SECOND, "{took:?}");
    }

    drop(silent);
    say("the first is dead: nothing listens there");
    for number in 10..20 {
        let (took, by_first) = log_in(&house, None, began, number);
        assert!(!by_first && took < SECOND, "{took:?}");
    }

    let back = Sky::open_at(address, good_now).await;
    let recovered = Instant::now();
    say("the first is back");
    let mut number = 20_u8;
    while !log_in(&house, Some(&back), began, number).1 {
        number += 1;
        assert!(recovered.elapsed() < 30 * SECOND, "it is back, and nobody has noticed");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    say(&format!("the first carries logins again, {:.1} s after it came back", recovered.elapsed().as_secs_f64()));
}
