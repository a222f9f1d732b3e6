//! The same before the real server: over RADIUS, and over both doors at once (M-03, M-44).

use std::net::SocketAddr;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use vestibule::demo::directory::Lab;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::upstream::AccessRequest;

use crate::exempt::bound;
use crate::lab;
use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;
use crate::serve::code_of;

const MANY: usize = 64;
const PASSWORD: &str = "Wonder-Land-1";
const PATIENCE: Duration = Duration::from_secs(30);

/// The server with a RADIUS client and an LDAP listener that take the code behind the password, and nobody who is ever locked.
fn open() -> (House, Lab) {
    let directory = people(SocketAddr::from(([127, 0, 0, 1], 0)));
    let more = "[policy.open]\nmethods = [{ oath = \"tokens\" }]\nlock = { failures_max = 0 }\n\
                [[radius.client]]\nname = \"vpn\"\nnetworks = [\"127.0.0.2/32\"]\nsecret = { file = \"nas\" }\nfirst = { directory = \"lab\" }\n\
                code = { append = \",\" }\npolicy = \"open\"\n\
                [[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\ncode = { append = \",\" }\npolicy = \"open\"\n";
    (House::open(furnish(directory.address(), more)), directory)
}

/// One login of alice's by RADIUS, from a station of its own; whether it was let in.
fn by_radius(server: SocketAddr, station: usize, password: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.connect(server).unwrap();
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    let station = format!("198.51.100.{station}");
    let request = AccessRequest::new(1, random).with(attr::USER_NAME, b"alice").with(attr::CALLING_STATION_ID, station.as_bytes());
    let sent = request.password(password.as_bytes()).signed(lab::SECRET.as_bytes()).unwrap();
    socket.send(&sent).unwrap();
    lab::heard(&socket, &sent, PATIENCE).expect("each is answered").code == Code::AccessAccept
}

/// One bind of alice's on a connection of its own; whether it was let in.
fn by_ldap(server: SocketAddr, password: &str) -> bool {
    bound(&mut TcpStream::connect(server).unwrap(), "alice", password) == 0
}

/// All at once, each second one by LDAP where `both` says so. Which of them were let in: by RADIUS, and by LDAP.
fn at_once(house: &House, password: &str, both: bool) -> [usize; 2] {
    let (radius, ldap) = (house.radius(), house.ready["ldap"][0].as_str().unwrap().parse::<SocketAddr>().unwrap());
    let start = Arc::new(Barrier::new(MANY));
    let logins: Vec<_> = (0..MANY)
        .map(|number| {
            let (start, password) = (Arc::clone(&start), password.to_owned());
            thread::spawn(move || {
                start.wait();
                let door = usize::from(both && number % 2 == 1);
                (door, if door == 1 { by_ldap(ldap, &password) } else { by_radius(radius, number, &password) })
            })
        })
        .collect();
    let mut won = [0; 2];
    for login in logins {
        let (door, let_in) = login.join().unwrap();
        won[door] += usize::from(let_in);
    }
    won
}

#[test]
fn m_03_of_64_submits_of_one_code_over_radius_exactly_one_wins() {
    let (house, _directory) = open();
    let code = code_of(&house.enrol("alice"));
    assert_eq!(at_once(&house, &format!("{PASSWORD},{code}"), false), [1, 0]);
    assert!(!by_radius(house.radius(), 99, &format!("{PASSWORD},{code}")), "and nobody after them");
}

#[test]
fn m_03_of_64_submits_of_one_code_over_radius_and_ldap_exactly_one_wins() {
    let (house, _directory) = open();
    let code = code_of(&house.enrol("alice"));
    let [radius, ldap] = at_once(&house, &format!("{PASSWORD},{code}"), true);
    eprintln!("64 submits of one code over both doors: {radius} let in by RADIUS, {ldap} by LDAP");
    assert_eq!(radius + ldap, 1);
}

#[test]
fn m_44_of_64_logins_on_one_bypass_over_radius_exactly_one_wins() {
    let (house, _directory) = open();
    house.enrol("alice");
    assert!(house.say(&["bypass", "grant", "alice"]).status.success());
    assert_eq!(at_once(&house, PASSWORD, false), [1, 0]);
    assert_eq!(house.json(&["bypass", "list"]), serde_json::json!([]));
}

#[test]
fn m_44_of_64_logins_on_one_bypass_over_radius_and_ldap_exactly_one_wins() {
    let (house, _directory) = open();
    house.enrol("alice");
    assert!(house.say(&["bypass", "grant", "alice"]).status.success());
    let [radius, ldap] = at_once(&house, PASSWORD, true);
    eprintln!("64 logins on one bypass over both doors: {radius} let in by RADIUS, {ldap} by LDAP");
    assert_eq!(radius + ldap, 1);
}
