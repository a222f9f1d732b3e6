//! What monitoring sees: every metric has its line in the table, board and alerts name none that is not there, and the listener of the real binary tells the truth.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;
use regex::Regex;
use serde_json::Value;

use crate::lab::House;
use crate::lab::ask;
use crate::lab::furnish;
use crate::lab::people;
use crate::serve::code_of;
use crate::tidy::report;
use crate::tidy::root;
use crate::tidy::texts;

const PATIENCE: Duration = Duration::from_secs(10);
const LISTENING: &str = "[metrics]\naddress = \"127.0.0.1:0\"";

fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The metrics of the code: name and kind.
fn in_code() -> BTreeMap<String, String> {
    let text = file("src/metrics.rs");
    let described = Regex::new(r"describe_(counter|gauge|histogram)!\(\s*([A-Z_]+),").unwrap();
    let kinds: BTreeMap<&str, &str> = described.captures_iter(&text).map(|found| (found.get(2).unwrap().as_str(), found.get(1).unwrap().as_str())).collect();
    let named = Regex::new(r#"pub const ([A-Z_]+): &str = "(vestibule_[a-z_]+)""#).unwrap();
    named.captures_iter(&text).map(|found| (found[2].to_owned(), kinds.get(&found[1]).copied().unwrap_or("undescribed").to_owned())).collect()
}

/// The rows of the table in `docs/metrics.md` that begin below this header.
fn rows(header: &str) -> Vec<Vec<String>> {
    let text = file("docs/metrics.md");
    let behind = text.split_once(header).unwrap().1;
    let lines = behind.lines().skip(1).skip_while(|line| line.starts_with("|-") || line.is_empty()).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()).collect()
}

/// Every metric that a text names, without what Prometheus puts behind histograms.
fn named_in(text: &str) -> BTreeSet<String> {
    let known = in_code();
    let bare = |name: &str| {
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .filter(|family| known.get(*family).is_some_and(|kind| kind == "histogram"));
        family.unwrap_or(name).to_owned()
    };
    let names = Regex::new(r"\bvestibule_[a-z_]+").unwrap();
    names.find_iter(text).map(|found| bare(found.as_str())).collect()
}

#[test]
fn every_metric_stands_in_the_table_and_nothing_else_does() {
    let table: BTreeMap<String, String> = rows("| metric | kind | labels | what it tells |").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert!(table.len() > 20, "the table is not read: {table:?}");
    assert_eq!(table, in_code());
}

#[test]
fn the_board_and_the_alerts_name_metrics_that_are_there_and_forget_none() {
    let known: BTreeSet<String> = in_code().into_keys().collect();
    let board: Value = serde_json::from_str(&file("config/grafana/vestibule.json")).unwrap();
    let ids: Vec<&Value> = board["panels"].as_array().unwrap().iter().map(|panel| &panel["id"]).collect();
    assert_eq!(ids.iter().map(|id| id.to_string()).collect::<BTreeSet<_>>().len(), ids.len(), "two panels have one id");
    let drawn = named_in(&board.to_string());
    assert_eq!(drawn.difference(&known).collect::<Vec<_>>(), [] as [&String; 0], "the board names what is not there");
    assert_eq!(known.difference(&drawn).collect::<Vec<_>>(), [] as [&String; 0], "nobody sees these on the board");
    let rules = file("config/prometheus/vestibule.rules.yml");
    assert_eq!(named_in(&rules).difference(&known).collect::<Vec<_>>(), [] as [&String; 0], "alerts name what is not there");
    for severity in Regex::new(r"severity: (\w+)").unwrap().captures_iter(&rules) {
        assert!(["critical", "warning", "info"].contains(&&severity[1]), "{}", &severity[1]);
    }
}

#[test]
fn every_reason_to_throw_something_away_stands_in_the_table_and_nothing_else_does() {
    let sources: Vec<(String, String)> = texts("src").into_iter().filter(|(path, _)| !path.contains("/tests") && !path.starts_with("src/demo/")).collect();
    let table: BTreeSet<String> = rows("| reason | door | what was thrown away |").into_iter().map(|row| row[0].clone()).collect();
    let word = |pattern: &str| Regex::new(pattern).unwrap();
    // Where a reason is written down: in a call, or as the word of a refusal.
    let calls = [
        r#"metrics::discard\("[a-z]+", "([a-z_]+)"\)"#,
        r#"[^:]discard\((?:[a-z_.&]+, )*(?:None, |Some\([a-z]+\), )?"([a-z_]+)""#,
        r#"complaints\.refused\(peer, "([a-z_]+)""#,
        r#"(?:Unwelcome|Turned|unwelcome|Hopeless)\("([a-z_]+)""#,
        r#"(?:Notice|Refused)\([A-Za-z:]+, (?:"[^"]*"|AWAY), "([a-z_]+)"\)"#,
        r#"refuse\((?:op, frame\.id|Op::Extended, id), (?:Code::[A-Za-z]+|code), (?:"[^"]*"|AWAY|text), "([a-z_]+)"\)"#,
        r#"Err\(\("([a-z_]+)", "#,
        r#"\(\|error\| \("([a-z_]+)", "#,
    ];
    let calls: Vec<Regex> = calls.into_iter().map(word).collect();
    let mut written = BTreeSet::new();
    for (path, text) in &sources {
        if ["src/front/", "src/directory/upstream/"].iter().any(|room| path.starts_with(room)) {
            written.extend(calls.iter().flat_map(|call| call.captures_iter(text)).map(|found| found[1].to_owned()));
        }
        if ["src/wire/radius/mod.rs", "src/wire/ldap/frame.rs", "src/front/ldap/places.rs"].contains(&path.as_str()) {
            written.extend(word(r#"Self::[A-Za-z]+ => "([a-z_]+)""#).captures_iter(text).map(|found| found[1].to_owned()));
        }
    }
    assert!(written.len() > 50, "{written:?}");
    report(written.difference(&table).map(|why| format!("docs/metrics.md: the reason `{why}` is not in the table")));
    let anywhere = |why: &str| sources.iter().any(|(path, text)| !path.starts_with("src/cli/") && text.contains(&format!("\"{why}\"")));
    report(table.iter().filter(|why| !anywhere(why)).map(|why| format!("docs/metrics.md: nothing is thrown away for the reason `{why}`")));
}

/// What the listener answers to these lines of a request: status line, headers and body.
fn answered(address: SocketAddr, request: &str) -> (String, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    (status.to_owned(), headers.to_lowercase(), body.to_owned())
}

fn got(address: SocketAddr, path: &str) -> (String, String) {
    let (status, _, body) = answered(address, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
    (status, body)
}

fn listener(house: &House) -> SocketAddr {
    house.ready["metrics"].as_str().unwrap().parse().unwrap()
}

#[test]
fn without_the_section_nobody_listens_and_the_ready_line_says_so() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    assert!(house.ready.get("metrics").unwrap().is_null());
}

#[test]
fn a_scrape_tells_of_logins_and_each_family_is_described_as_the_table_says() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), LISTENING));
    let address = listener(&house);
    let code = code_of(&house.enrol("alice"));
    let challenge = ask(house.radius(), 1, "alice", "Wonder-Land-1", b"", PATIENCE).unwrap();
    let (_, waiting) = got(address, "/metrics");
    assert!(waiting.contains("\nvestibule_challenges_parked 1"), "{waiting}");
    ask(house.radius(), 2, "alice", &code, &challenge.state, PATIENCE).unwrap();
    ask(house.radius(), 3, "alice", "wrong", b"", PATIENCE).unwrap();

    let (status, text) = got(address, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for line in [
        r#"vestibule_logins_total{door="radius",client="nas",decision="accept",why="factor"} 1"#,
        r#"vestibule_login_duration_seconds_count{door="radius",decision="accept"} 1"#,
        r#"vestibule_login_duration_seconds_count{door="radius",decision="reject"} 1"#,
        r#"vestibule_first_factor_duration_seconds_count{door="radius"} 1"#,
        r#"vestibule_second_factor_duration_seconds_count{provider="tokens",method="oath"} 1"#,
        r#"vestibule_healthy{room="store",name="disk"} 1"#,
        "vestibule_challenges_parked 0",
        "vestibule_logins_running 0",
        "vestibule_audit_waiting 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("vestibule_store_commit_duration_seconds_bucket{le=\"0.0005\"}") && text.contains("vestibule_build_info{version="), "{text}");
    let known = in_code();
    let mut told = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(text.contains(&format!("# HELP {name} ")), "{name} says nothing about itself");
        assert_eq!(known.get(name).map(String::as_str), Some(kind), "{name}");
        told.insert(name.to_owned(), kind.to_owned());
    }
    assert!(told.len() > 10, "{told:?}");
    assert!(!text.contains("alice") && !text.contains("S-1-5-21"), "no label names a person");
    assert!(!text.contains("_sum NaN"));
}

#[test]
fn the_door_is_for_get_and_head_and_one_request_a_connection() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), LISTENING));
    let address = listener(&house);
    assert_eq!(got(address, "/healthz"), ("HTTP/1.1 200 OK".to_owned(), "alive\n".to_owned()));
    let (status, headers, body) = answered(address, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", ""));
    assert!(headers.contains("content-type: text/plain; version=0.0.4") && headers.contains("connection: close"), "{headers}");
    for method in ["POST", "PUT", "DELETE"] {
        let (status, headers, _) = answered(address, &format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(status, "HTTP/1.1 405 Method Not Allowed");
        assert!(headers.contains("allow: get,head"), "{headers}");
    }
    assert_eq!(got(address, "/v1/accounts").0, "HTTP/1.1 404 Not Found", "administration is not here");
    // Two requests at once: the second has no answer.
    let both = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2);
    assert_eq!(answered(address, &both).2.matches("alive").count(), 1);
}

#[test]
fn what_alerts_ask_after_is_there_before_it_happens() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), LISTENING));
    let (_, text) = got(listener(&house), "/metrics");
    let row = rows("| metric | kind | labels | what it tells |").into_iter().find(|row| row[0] == "vestibule_alarms_total").unwrap();
    let alarms = Regex::new("`([a-z_]+)`").unwrap();
    let alarms: Vec<String> = alarms.captures_iter(&row[3]).map(|found| found[1].to_owned()).collect();
    assert!(alarms.len() > 6, "{alarms:?}");
    let wanted = alarms.iter().map(|alarm| format!("vestibule_alarms_total{{alarm=\"{alarm}\"}} 0"));
    let wanted = wanted.chain(["vestibule_audit_lost_total 0".to_owned(), "vestibule_late_approvals_total 0".to_owned()]);
    report(wanted.filter(|line| !text.lines().any(|told| told == line)).map(|line| format!("/metrics does not begin with `{line}`")));
    assert_eq!(text.matches("vestibule_alarms_total{").count(), alarms.len(), "one is not in the table");
}

#[test]
fn readiness_names_what_is_lacking_and_a_reload_says_who_may_ask() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let at = directory.address();
    let house = House::open(furnish(at, LISTENING));
    let address = listener(&house);
    let (status, body) = got(address, "/readyz");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status.as_str(), &body["ready"], body["not_ready"].as_array().unwrap().len()), ("HTTP/1.1 200 OK", &Value::Bool(true), 0));
    drop(directory);
    // What was seen counts for five seconds.
    let (status, body) = std::iter::repeat_with(|| got(address, "/readyz")).find(|(status, _)| status.contains("503")).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert_eq!((body["not_ready"][0]["what"].as_str(), body["away"][0].as_str()), (Some("directories"), Some("lab")));

    let text = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), text.replace(LISTENING, &format!("{LISTENING}\nnetworks = [\"192.0.2.1\"]"))).unwrap();
    house.signal(Signal::SIGHUP);
    house.until("reloaded");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    assert_eq!(said, b"", "who is in none of the networks is told nothing");
}

#[test]
fn the_level_of_the_log_is_turned_while_the_server_runs_and_a_reload_turns_it_back() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), "[log]\nlevel = \"warn\""));
    assert_eq!(house.json(&["log", "level"])["level"], "warn");
    let turned = house.json(&["log", "level", "info", "--for", "1h"]);
    assert_eq!((turned["level"].as_str(), turned["by_hand"].as_bool()), (Some("info"), Some(true)));
    assert!(turned["left_s"].as_u64().unwrap() > 3_500);
    ask(house.radius(), 1, "alice", "wrong", b"", PATIENCE).unwrap();
    house.until("decision=\"reject\"");
    let text = fs::read_to_string(house.config()).unwrap();
    fs::write(house.config(), text.replace("level = \"warn\"", "level = \"error\"")).unwrap();
    house.signal(Signal::SIGHUP);
    let now = std::iter::repeat_with(|| house.json(&["log", "level"])).find(|now| now["by_hand"] == false).unwrap();
    assert_eq!(now["level"], "error");
}
