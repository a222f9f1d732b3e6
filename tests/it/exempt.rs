//! Exemptions in the real server: from the configuration to the list that an administrator reads.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Frame;
use vestibule::wire::radius::Code;

use crate::lab;
use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;

/// One bind on a connection of its own, and its result code.
fn bind(server: SocketAddr, name: &str, password: &str) -> u32 {
    bound(&mut TcpStream::connect(server).unwrap(), name, password)
}

/// The result code of a bind on this connection.
pub(crate) fn bound(stream: &mut TcpStream, name: &str, password: &str) -> u32 {
    stream.write_all(&ldap::bind_request(1, name, password.as_bytes())).unwrap();
    let mut buffer = Vec::new();
    loop {
        if let Some(frame) = Frame::split(&buffer, 1 << 20).unwrap() {
            return frame.result().unwrap().code;
        }
        let mut chunk = [0; 512];
        let len = stream.read(&mut chunk).unwrap();
        assert_ne!(len, 0, "closed without an answer");
        buffer.extend_from_slice(&chunk[..len]);
    }
}

#[test]
fn l_082_m_46_an_exempt_account_is_let_in_counted_and_listed_until_the_configuration_says_otherwise() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let bob = format!("CN=Bob Baker,CN=Users,{}", vestibule::demo::directory::Lab::BASE);
    let listen = "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\npolicy = \"codes\"\n";
    let exempt = format!("exempt = [{{ name = \"{bob}\", from = [\"127.0.0.1\"], until = \"2099-12-31\" }}]\n");
    let house = House::open(furnish(directory.address(), &format!("{listen}{exempt}")));
    let server: SocketAddr = house.ready["ldap"][0].as_str().unwrap().parse().unwrap();

    assert_eq!(bind(server, "bob", "Builder-Can-2"), 0);
    house.until("why=\"exempt\"");
    assert_eq!(bind(server, "bob", "wrong"), 49);
    assert_eq!(bind(server, "alice", "Wonder-Land-1"), 49, "alice has no account and is not exempt");
    let listed = house.json(&["exempt", "list"]);
    let one = listed[0].as_object().unwrap();
    assert_eq!([&one["listener"], &one["name"], &one["holds"], &one["uses"]], [&json!("wiki"), &json!(bob), &json!(true), &json!(1)]);
    assert!(one["identity"].as_str().unwrap().starts_with("S-1-5-21-") && one["last_used"].is_string());
    assert_eq!(one["until"], json!("2099-12-31"));
    let table = String::from_utf8(house.say(&["exempt", "list"]).stdout).unwrap();
    assert!(table.contains("127.0.0.1") && table.contains("wiki") && table.contains("2099-12-31 ("), "{table}");

    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");

    let written = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), written.replace("2099-12-31", "2020-12-31")).unwrap();
    house.signal(nix::sys::signal::Signal::SIGHUP);
    house.until("this exemption is over");
    house.until("reloaded");
    assert_eq!(bind(server, "bob", "Builder-Can-2"), 49);
    let listed = house.json(&["exempt", "list"]);
    assert_eq!([&listed[0]["holds"], &listed[0]["uses"], &listed[0]["days_left"]], [&json!(false), &json!(1), &json!(null)]);
    fs::write(house.config(), written.replace(&exempt, "")).unwrap();
    house.signal(nix::sys::signal::Signal::SIGHUP);
    house.until("reloaded");
    assert_eq!(house.json(&["exempt", "list"]), json!([]));
}

/// A port, a password and nothing else: whoever reaches the door can guess at the name of an application's account.
#[test]
fn l_082_strangers_lock_a_service_account_for_themselves_and_not_for_the_application() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let bob = format!("CN=Bob Baker,CN=Users,{}", vestibule::demo::directory::Lab::BASE);
    let listen = "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\npolicy = \"codes\"\n";
    let exempt = format!("exempt = [{{ name = \"{bob}\", from = [\"127.0.0.1\"], until = \"2099-12-31\" }}]\n");
    let house = House::open(furnish(directory.address(), &format!("{listen}{exempt}")));
    let server: SocketAddr = house.ready["ldap"][0].as_str().unwrap().parse().unwrap();
    assert_eq!(bind(server, &bob, "Builder-Can-2"), 0);
    // By RADIUS nobody is exempt.
    for guess in 0..8 {
        let heard = lab::ask(house.radius(), guess, "bob", &format!("guess {guess}"), b"", Duration::from_secs(20)).unwrap();
        assert_eq!(heard.code, Code::AccessReject);
    }
    house.until("why=\"locked\"");
    assert_eq!(directory.binds_of("bob"), 1 + 5, "the lock is there before the directory's own");
    assert_eq!(bind(server, &bob, "Builder-Can-2"), 0, "the application goes on");
    for guess in 0..5 {
        assert_eq!(bind(server, &bob, &format!("guess {guess}")), 49);
    }
    assert_eq!(bind(server, &bob, "Builder-Can-2"), 49, "what is guessed from there locks there");
    let unlocked = house.say(&["user", "unlock", "bob"]);
    assert!(unlocked.status.success(), "who has no account is unlocked too: {}", String::from_utf8_lossy(&unlocked.stderr));
    assert_eq!(bind(server, &bob, "Builder-Can-2"), 0);
}

#[test]
fn ldap_listeners_and_applications_are_listed_and_shown_beside_radius_clients() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let listen = "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\npolicy = \"codes\"\n";
    let git = "[[ldap.client]]\nname = \"git\"\nnetworks = [\"10.1.0.0/16\", \"10.2.0.0/16\"]\nservice = \"CN=git,DC=example,DC=test\"\ncode = \"none\"\npolicy = \"calls\"\n";
    let calls = "[provider.duo]\nkind = \"duo\"\nhost = \"api-x.duosecurity.com\"\nkey_id = \"DI\"\nkey = { file = \"duo\" }\n[policy.calls]\nmethods = [{ call = \"duo\" }]\n";
    let house = House::open(furnish(directory.address(), &format!("{calls}{listen}{git}")));
    let listed = house.json(&["client", "list"]);
    let told: Vec<_> = listed.as_array().unwrap().iter().map(|client| (client["door"].as_str().unwrap(), client["name"].as_str().unwrap())).collect();
    assert_eq!(told, [("radius", "nas"), ("ldap", "wiki"), ("ldap", "git")]);
    let table = String::from_utf8(house.say(&["client", "list"]).stdout).unwrap();
    assert!(table.contains("10.1.0.0/16 +1") && table.contains("anywhere") && table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let git = house.json(&["client", "show", "git"]);
    assert_eq!([&git["listener"], &git["policy"], &git["code"], &git["directory"]], [&json!("wiki"), &json!("calls"), &json!("none"), &json!("lab")]);
    let shown = String::from_utf8(house.say(&["client", "show", "wiki"]).stdout).unwrap();
    assert!(shown.contains("door       ldap, plain") && shown.contains("exempt     nobody"), "{shown}");
    let rehearsed = house.say(&["client", "simulate", "--client", "git", "--user", "alice"]);
    assert!(!rehearsed.status.success() && String::from_utf8_lossy(&rehearsed.stderr).contains("is an LDAP client"), "{rehearsed:?}");
}
