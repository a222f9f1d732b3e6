//! The audit of the real server: every verdict a line, told as a story, and no change to it unseen.

use std::fs;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use vestibule::app::clock::WallClock;
use vestibule::demo::cloud;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner;
use vestibule::wire::radius::Code;

use crate::lab;
use crate::lab::House;
use crate::lab::ask;
use crate::lab::furnish;
use crate::lab::people;
use crate::serve::code_of;

const PATIENCE: Duration = Duration::from_secs(10);
const PASSWORD: &str = "Wonder-Land-1";

fn text(house: &House, words: &[&str]) -> String {
    let said = house.say(words);
    assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap()
}

/// The logins of the audit as they stand in the file, once there are so many.
fn logins(house: &House, count: usize) -> Vec<Value> {
    loop {
        let lines = text(house, &["audit", "tail", "-n", "100", "--json"]);
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["event"] == "login").collect();
        if lines.len() >= count {
            return lines;
        }
    }
}

#[test]
fn every_verdict_is_a_line_and_a_story_and_the_chain_is_checked() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    let code = code_of(&house.enrol("alice"));
    let challenge = ask(house.radius(), 1, "alice", PASSWORD, b"", PATIENCE).unwrap();
    assert_eq!(ask(house.radius(), 2, "alice", &code, &challenge.state, PATIENCE).unwrap().code, Code::AccessAccept);
    assert_eq!(ask(house.radius(), 3, "ALICE", "wrong", b"", PATIENCE).unwrap().code, Code::AccessReject);
    assert_eq!(ask(house.radius(), 4, "alice", &code, &challenge.state, PATIENCE).unwrap().code, Code::AccessReject);

    let lines = logins(&house, 3);
    let [good, wrong, stale] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!([&good["decision"], &good["why"], &good["method"], &good["client"]], [&json!("accept"), &json!("factor"), &json!("oath"), &json!("nas")]);
    assert_eq!(good["result"], json!("SUCCESS_OATH_CODE_VERIFIED"));
    assert!(good["identity"].as_str().unwrap().starts_with("S-1-5-21-") && good["node"].is_string() && good["first_ms"].is_u64() && good["second_ms"].is_u64());
    let steps: Vec<&str> = good["steps"].as_array().unwrap().iter().map(|step| step[1].as_str().unwrap()).collect();
    assert_eq!(steps, ["first_passed", "oath", "challenged", "answered", "approved"]);
    assert_eq!(
        [&wrong["decision"], &wrong["why"], &wrong["detail"], &wrong["login"]],
        [&json!("reject"), &json!("bad_credential"), &json!("wrong_password"), &json!("ALICE")]
    );
    assert_eq!([&stale["decision"], &stale["why"]], [&json!("reject"), &json!("out_of_turn")]);
    assert!(!format!("{lines:?}").contains(PASSWORD) && !format!("{lines:?}").contains(&code));

    let trace = good["trace"].as_str().unwrap();
    let story = text(&house, &["audit", "explain", trace]);
    for part in ["Login of \"alice\" at nas by RADIUS", "the password was right", "the person answered", "let in: both factors passed"] {
        assert!(story.contains(part), "{story}");
    }
    assert!(text(&house, &["audit", "tail"]).contains(trace));
    assert!(!house.say(&["audit", "explain", &"0".repeat(32)]).status.success());

    assert!(text(&house, &["audit", "verify"]).contains("all are right"));
    let file = house.folder.path().join("data/audit/00000000000000000001.jsonl");
    let written = fs::read_to_string(&file).unwrap();
    fs::write(&file, written.replacen("\"reject\"", "\"accept\"", 1)).unwrap();
    let said = house.say(&["audit", "verify"]);
    assert!(!said.status.success() && String::from_utf8_lossy(&said.stderr).contains("was changed"), "{said:?}");
}

#[test]
fn a_backup_code_is_told_as_what_it_was() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    house.enrol("alice");
    let issued = house.json(&["token", "backup", "alice", "--count", "1"]);
    let challenge = ask(house.radius(), 1, "alice", PASSWORD, b"", PATIENCE).unwrap();
    let code = issued["codes"][0].as_str().unwrap();
    assert_eq!(ask(house.radius(), 2, "alice", code, &challenge.state, PATIENCE).unwrap().code, Code::AccessAccept);
    let [login] = logins(&house, 1).try_into().unwrap();
    assert_eq!(login["steps"].as_array().unwrap().last().unwrap()[1], json!("backup_code"), "{login:#}");
    assert!(!login.to_string().contains(code));
    assert!(text(&house, &["audit", "explain", login["trace"].as_str().unwrap()]).contains("a backup code stood in for the second factor"));
}

#[test]
fn a_nas_that_gave_up_is_told_in_plain_words() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let anywhere = "127.0.0.1:0".parse().unwrap();
    let cloud = runtime.block_on(Cloud::open(anywhere, vec![cloud::Person::new("bob", Manner::Told)], Arc::new(WallClock))).unwrap();
    let more = format!(
        "[provider.cloud]\nkind = \"duo\"\nhost = \"{}\"\nurl = \"{}\"\nkey_id = \"{}\"\nkey = {{ file = \"duo\" }}\n\
         [policy.push]\nmethods = [{{ push = \"cloud\" }}]\n\
         [[radius.client]]\nname = \"vpn\"\nnetworks = [\"127.0.0.2/32\"]\nsecret = {{ file = \"nas\" }}\nfirst = {{ directory = \"lab\" }}\npolicy = \"push\"\n",
        cloud.host(),
        cloud.url(),
        cloud.key_id(),
    );
    let folder = furnish(directory.address(), &more);
    fs::write(folder.path().join("duo"), cloud.key().expose()).unwrap();
    let house = House::open(folder);
    assert!(house.say(&["user", "add", "bob"]).status.success());
    let socket = UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.connect(house.radius()).unwrap();
    let asked = lab::request(9, "bob", "Builder-Can-2", b"");
    socket.send(&asked).unwrap();
    runtime.block_on(cloud.pushed("bob", 1));
    socket.send(&asked).unwrap();
    // The same place and identifier, another question: whoever asked before waits no more.
    let other = lab::request(9, "bob", "other", b"");
    socket.send(&other).unwrap();
    assert_eq!(lab::heard(&socket, &other, PATIENCE).unwrap().code, Code::AccessReject);
    let lines = logins(&house, 2);
    let given_up = lines.iter().find(|line| line["decision"] == "given_up").unwrap();
    assert_eq!([&given_up["why"], &given_up["repeats"], &given_up["method"]], [&json!("second_factor"), &json!(1), &json!("push")]);
    let story = text(&house, &["audit", "explain", given_up["trace"].as_str().unwrap()]);
    assert!(story.contains("the VPN gave up after") && story.contains("raise its time-out") && story.contains("the client asked again, once"), "{story}");
}
