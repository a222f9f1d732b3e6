//! The whole server with two directories behind its doors, each with an alice of its own.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Frame;
use vestibule::wire::radius::Code;

use crate::lab::House;
use crate::lab::ask;
use crate::lab::furnish;
use crate::lab::people;

const PATIENCE: Duration = Duration::from_secs(10);
/// Of alice in the first directory, and in the second.
const FIRST: &str = "Wonder-Land-1";
const SECOND: &str = "Annex-Room-2";
const INVALID_CREDENTIALS: u32 = 49;

fn annex() -> Lab {
    let alice = Person { mail: Some("alice@annex.test".to_owned()), ..Person::new("alice", "Alice", "Archer", SECOND) };
    Lab::open("127.0.0.1:0".parse().unwrap(), vec![alice]).unwrap()
}

fn house(first: &Lab, second: &Lab) -> House {
    let more = format!(
        r#"[directory.annex]
kind = "ldap"
servers = ["ldap://{}"]
base = "CN=Users,{}"
upn_suffixes = ["annex.test"]
bind_name = "{}"
bind_password = {{ file = "bind" }}
[[ldap.listen]]
name = "wiki"
address = "[::1]:0"
transport = "plain"
directory = ["lab", "annex"]
policy = "codes"
"#,
        second.address(),
        Lab::BASE,
        Lab::SERVICE_NAME
    );
    let folder = furnish(first.address(), &more);
    let path = folder.path().join("vestibule.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text
        .replace("first = { directory = \"lab\" }", "first = { directory = [\"lab\", \"annex\"] }")
        .replace("[policy.codes]", "[policy.codes]\nunenrolled = \"accept\"");
    fs::write(&path, text).unwrap();
    House::open(folder)
}

/// Frames up to the one that ends an operation: its result code, and the entries before it.
fn answered(stream: &mut TcpStream) -> (u32, Vec<ldap::Entry>) {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    loop {
        while let Some(frame) = Frame::split(&buffer, 1_000_000).unwrap() {
            let len = frame.bytes.len();
            match frame.entry() {
                Some(entry) => found.push(entry),
                None => return (frame.result().unwrap().code, found),
            }
            buffer.drain(..len);
        }
        let mut chunk = [0; 4_096];
        let count = stream.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "closed");
        buffer.extend_from_slice(&chunk[..count]);
    }
}

fn client(house: &House) -> TcpStream {
    let address: SocketAddr = house.ready["ldap"][0].as_str().unwrap().parse().unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn at_the_ldap_door_everything_goes_to_the_directory_of_who_is_bound() {
    let (first, second) = (people("127.0.0.1:0".parse().unwrap()), annex());
    let house = house(&first, &second);
    let mut client = client(&house);
    let dn = second.dn("alice").unwrap();
    client.write_all(&ldap::bind_request(1, "alice@annex.test", SECOND.as_bytes())).unwrap();
    assert_eq!(answered(&mut client).0, 0);
    client.write_all(&ldap::read_request(2, &dn, &["mail"])).unwrap();
    let (code, found) = answered(&mut client);
    let mail: Vec<_> = found.iter().flat_map(|entry| entry.values("mail")).collect();
    assert_eq!((code, mail), (0, vec![&b"alice@annex.test"[..]]));
    assert_eq!((first.binds_of("alice"), second.binds_of("alice")), (0, 1));
    // The next to bind on the same connection may be of the other.
    client.write_all(&ldap::bind_request(3, "EXAMPLE\\alice", FIRST.as_bytes())).unwrap();
    assert_eq!(answered(&mut client).0, 0);
    client.write_all(&ldap::read_request(4, &dn, &["mail"])).unwrap();
    let (_, found) = answered(&mut client);
    assert!(found.iter().flat_map(|entry| entry.values("mail")).all(|mail| mail != b"alice@annex.test"));
    assert_eq!((first.binds_of("alice"), second.binds_of("alice")), (1, 1));
    // A password is tried in one of them alone.
    client.write_all(&ldap::bind_request(5, "alice", SECOND.as_bytes())).unwrap();
    assert_eq!(answered(&mut client).0, INVALID_CREDENTIALS);
    client.write_all(&ldap::bind_request(6, "alice@nowhere.test", SECOND.as_bytes())).unwrap();
    assert_eq!(answered(&mut client).0, INVALID_CREDENTIALS);
    assert_eq!((first.binds_of("alice"), second.binds_of("alice")), (2, 1));
}

#[test]
fn at_the_radius_door_a_password_is_tried_in_the_directory_of_the_realm_alone() {
    let (first, second) = (people("127.0.0.1:0".parse().unwrap()), annex());
    let house = house(&first, &second);
    let cases = [
        ("alice@annex.test", SECOND, Code::AccessAccept, (0, 1)),
        ("alice", FIRST, Code::AccessAccept, (1, 1)),
        ("alice", SECOND, Code::AccessReject, (2, 1)),
        ("alice@annex.test", FIRST, Code::AccessReject, (2, 2)),
        ("alice@nowhere.test", FIRST, Code::AccessReject, (2, 2)),
        ("NOWHERE\\alice", FIRST, Code::AccessReject, (2, 2)),
        ("alice@example.test", FIRST, Code::AccessAccept, (3, 2)),
    ];
    for (number, (login, password, code, binds)) in (1..).zip(cases) {
        assert_eq!(ask(house.radius(), number, login, password, b"", PATIENCE).unwrap().code, code, "{login}");
        assert_eq!((first.binds_of("alice"), second.binds_of("alice")), binds, "{login}");
    }
}

/// `annex` as an Active Directory whose alice has the very SID of the first one's; `more` is said of it.
fn forged(second: &Lab, more: &str) -> String {
    format!(
        r#"[directory.annex]
kind = "ad"
servers = ["ldap://{}"]
base = "CN=Users,{}"
netbios = "ANNEX"
upn_suffixes = ["annex.test"]
bind_name = "{}"
bind_password = {{ file = "bind" }}
{more}
"#,
        second.address(),
        Lab::BASE,
        Lab::SERVICE_NAME
    )
}

fn rewrite(house: &House, text: &str) {
    fs::write(house.config(), text).unwrap();
    house.signal(Signal::SIGHUP);
    house.until("reloaded");
}

#[test]
fn m_20_an_id_written_into_another_directory_makes_nobody_somebody_else() {
    let (first, second) = (people("127.0.0.1:0".parse().unwrap()), annex());
    let house = House::open(furnish(first.address(), ""));
    house.enrol("alice");
    let sid = house.json(&["user", "show", "alice"])["identity"].as_str().unwrap().to_owned();
    let alone = fs::read_to_string(house.config()).unwrap();
    let both = |more: &str| format!("{}{}", alone.replace("directory = \"lab\" }", "directory = [\"lab\", \"annex\"] }"), forged(&second, more));
    rewrite(&house, &both(""));
    let mut number = 0;
    let mut log_in = |login: &str, password: &str| {
        number += 1;
        ask(house.radius(), number, login, password, b"", PATIENCE).unwrap().code
    };
    assert_eq!(log_in("alice", FIRST), Code::AccessChallenge, "added while her directory was the only one");
    assert_eq!(log_in("ANNEX\\alice", SECOND), Code::AccessReject, "who has no account here");
    // Neither her bypass nor her lock is the other's.
    assert!(house.say(&["bypass", "grant", "alice", "--directory", "lab"]).status.success());
    assert_eq!(log_in("ANNEX\\alice", SECOND), Code::AccessReject);
    (0..6).for_each(|_| assert_eq!(log_in("ANNEX\\alice", "guessed"), Code::AccessReject));
    assert_eq!(log_in("alice", FIRST), Code::AccessAccept, "by the bypass, and not locked");
    // The other can have an account too, and it is another one.
    let other = house.json(&["user", "add", "alice", "--directory", "annex"]);
    assert_eq!(other["identity"].as_str().unwrap(), format!("{sid}@annex"));
    assert_eq!(house.json(&["user", "show", "alice", "--directory", "lab"])["identity"].as_str().unwrap(), sid);
    assert!(house.say(&["user", "remove", "alice", "--directory", "annex"]).status.success());
    // Until somebody says that the two are one.
    rewrite(&house, &both("same_as = \"lab\""));
    assert_eq!(log_in("ANNEX\\alice", SECOND), Code::AccessChallenge);
}

#[test]
fn an_account_is_added_from_the_directory_of_the_realm_as_in_a_login() {
    let (first, second) = (people("127.0.0.1:0".parse().unwrap()), annex());
    let house = House::open(furnish(first.address(), &forged(&second, "")));
    for (name, directory) in [(r"ANNEX\alice", "annex"), (r"EXAMPLE\alice", "lab"), ("bob@example.test", "lab")] {
        assert_eq!(house.json(&["user", "add", name])["directory"].as_str(), Some(directory), "{name}");
    }
    let dn = second.dn("alice").unwrap();
    for (name, told) in [("alice", "--directory"), ("alice@nowhere.test", "--directory"), (r"NOWHERE\alice", "--directory"), (&*dn, "has an account already")] {
        let output = house.say(&["user", "add", name]);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains(told), "{name}: {output:?}");
    }
}
