//! An account under attack, before the real server: its password is known, and its owner's phone must have its peace.

use std::fs;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use vestibule::app::clock::WallClock;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner;
use vestibule::demo::cloud::Person;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::upstream::AccessRequest;

use crate::lab;
use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;
use crate::serve::counted;

const PATIENCE: Duration = Duration::from_secs(20);

/// The server with the lab cloud, in which bob's phone behaves like this; bob's account is there.
fn under_attack(manner: Manner) -> (House, Cloud, tokio::runtime::Runtime, vestibule::demo::directory::Lab) {
    under_policy(manner, "")
}

/// The same by a policy with these keys as well.
fn under_policy(manner: Manner, keys: &str) -> (House, Cloud, tokio::runtime::Runtime, vestibule::demo::directory::Lab) {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let directory = people(anywhere);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cloud = runtime.block_on(Cloud::open(anywhere, vec![Person::new("bob", manner)], Arc::new(WallClock))).unwrap();
    let more = format!(
        "[provider.cloud]\nkind = \"duo\"\nhost = \"{}\"\nurl = \"{}\"\nkey_id = \"{}\"\nkey = {{ file = \"duo\" }}\n\
         [policy.push]\nmethods = [{{ push = \"cloud\" }}]\n{keys}\n\
         [[radius.client]]\nname = \"vpn\"\nnetworks = [\"127.0.0.2/32\"]\nsecret = {{ file = \"nas\" }}\nfirst = {{ directory = \"lab\" }}\npolicy = \"push\"\n",
        cloud.host(),
        cloud.url(),
        cloud.key_id(),
    );
    let folder = furnish(directory.address(), &more);
    fs::write(folder.path().join("duo"), cloud.key().expose()).unwrap();
    let house = House::open(folder);
    assert!(house.say(&["user", "add", "bob"]).status.success());
    (house, cloud, runtime, directory)
}

/// A login of bob from this station, on a socket of its own.
fn sent(house: &House, station: usize, password: &str) -> (UdpSocket, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.connect(house.radius()).unwrap();
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    let station = format!("198.51.100.{station}");
    let request = AccessRequest::new(1, random).with(attr::USER_NAME, b"bob").with(attr::CALLING_STATION_ID, station.as_bytes());
    let sent = request.password(password.as_bytes()).signed(lab::SECRET.as_bytes()).unwrap();
    socket.send(&sent).unwrap();
    (socket, sent)
}

#[test]
fn m_10_fifty_logins_against_an_account_under_attack_send_three_pushes_at_most() {
    let (house, cloud, _runtime, _directory) = under_attack(Manner::Denies(Duration::ZERO));
    let mut refused = 0;
    for wave in 0..5 {
        let logins: Vec<_> = (0..10).map(|at| sent(&house, wave * 10 + at, "Builder-Can-2")).collect();
        refused += logins.iter().filter(|(socket, sent)| lab::heard(socket, sent, PATIENCE).unwrap().code == Code::AccessReject).count();
    }
    eprintln!("50 logins against an account under attack: {} pushes sent", cloud.pushes("bob"));
    assert_eq!(refused, 50);
    assert!((1..=3).contains(&cloud.pushes("bob")), "{} pushes", cloud.pushes("bob"));
    assert!(house.until("why=\"pushes_spent\"").iter().any(|line| line.contains("not rung")));
}

#[test]
fn m_10_a_day_s_pushes_that_are_used_up_raise_one_alarm_and_an_administrator_ends_it() {
    let pushes = "pushes = { count_max = 0, day_max = 2, backoff = \"0s\" }";
    let (house, cloud, _runtime, _directory) = under_policy(Manner::Denies(Duration::ZERO), pushes);
    let try_in = |station: usize| {
        let (socket, sent) = sent(&house, station, "Builder-Can-2");
        assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessReject);
        cloud.pushes("bob")
    };
    assert_eq!([1, 2, 3, 4, 5].map(try_in), [1, 2, 2, 2, 2]);
    let told = house.until("alarm=\"pushes_day_spent\"");
    assert!(told.last().is_some_and(|line| line.contains("bob") && line.contains("user unlock")), "{told:?}");
    assert!(house.until("why=\"pushes_spent\"").last().is_some_and(|line| line.contains("pushes.day_max")), "the line of the login says which bound");
    assert!(counted(&house, "vestibule_alarms_total{alarm=\"pushes_day_spent\"} 1"), "once, and not with each try");
    assert!(house.say(&["user", "unlock", "bob"]).status.success());
    assert_eq!([6, 7, 8].map(try_in), [3, 4, 4]);
    assert!(counted(&house, "vestibule_alarms_total{alarm=\"pushes_day_spent\"} 2"), "a day of its own after that");
}

#[test]
fn m_21_a_client_with_a_stale_password_neither_locks_the_directory_s_account_nor_ours_nor_rings() {
    let (house, cloud, runtime, directory) = under_attack(Manner::Approves(Duration::ZERO));
    let stale: Vec<_> = (0..9).map(|station| sent(&house, station, "Builder-Can-1")).collect();
    for (socket, sent) in stale {
        assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessReject);
    }
    assert_eq!((directory.binds_of("bob"), cloud.pushes("bob")), (1, 0), "the directory was asked once");
    assert_eq!(house.json(&["user", "show", "bob"])["failures"], 1);
    let (socket, sent) = sent(&house, 9, "Builder-Can-2");
    runtime.block_on(cloud.pushed("bob", 1));
    assert_eq!(lab::heard(&socket, &sent, PATIENCE).unwrap().code, Code::AccessAccept, "the right password opens as ever");
}
