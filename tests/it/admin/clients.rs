//! RADIUS clients over the admin socket: what the doors saw of them, and logins rehearsed.

use std::net::Ipv4Addr;
use std::net::SocketAddr;

use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use vestibule::front::radius::Behind;
use vestibule::front::radius::Door;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::upstream::AccessRequest;
use vestibule::wire::radius::upstream::status_server;

use super::world::ALICE;
use super::world::SECRET;
use super::world::World;

/// A door of `world` and who speaks to it from 127.0.0.`host`.
async fn nas(world: &World, host: u8) -> (Door, UdpSocket) {
    let (_, settings) = watch::channel(world.radius.clone());
    let behind = Behind { engine: world.engine.clone(), sessions: world.sessions.clone() };
    let door = Door::open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), settings, behind).unwrap();
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).await.unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, door.address().port())).await.unwrap();
    (door, socket)
}

/// Sends it and waits until it was read: what comes behind it is answered.
async fn send(socket: &UdpSocket, bytes: &[u8], number: u8) {
    socket.send(bytes).await.unwrap();
    socket.send(&status_server(number, &[number; 16], SECRET.as_bytes()).unwrap()).await.unwrap();
    let mut reply = [0; 4096];
    while socket.recv(&mut reply).await.unwrap() == 0 || reply[1] != number {}
}

fn login(number: u8) -> AccessRequest {
    AccessRequest::new(number, [number; 16]).with(attr::USER_NAME, b"nobody")
}

/// The same without Message-Authenticator.
fn unsigned() -> Vec<u8> {
    let mut bytes = vec![1, 9, 0, 46];
    bytes.extend([9; 16]);
    bytes.extend(*b"\x01\x08nobody\x02\x12");
    bytes.extend([9; 16]);
    bytes
}

fn named<'a>(listed: &'a Value, name: &str) -> &'a Value {
    listed["clients"].as_array().unwrap().iter().find(|client| client["name"] == name).unwrap()
}

#[tokio::test]
async fn who_signs_who_never_does_and_who_was_never_heard_is_listed() {
    let world = World::new(&["corp"]);
    let (_door, fortigate) = nas(&world, 1).await;
    send(&fortigate, &login(1).password(b"x").signed(SECRET.as_bytes()).unwrap(), 101).await;
    let (_other, ocserv) = nas(&world, 2).await;
    send(&ocserv, &unsigned(), 101).await;

    let listed = world.ok(Method::GET, "clients", Value::Null).await;
    let told = |name: &str| {
        let client = named(&listed, name);
        (client["signing"].clone(), client["signed_percent"].clone(), client["last_seen"].is_null())
    };
    assert_eq!(told("fortigate"), (json!("may be set to require"), json!(100), false));
    assert_eq!(told("ocserv"), (json!("never signs"), json!(0), false));
    assert_eq!(told("printer"), (json!("unseen"), Value::Null, true));
    let detail = world.ok(Method::GET, "clients/ocserv", Value::Null).await;
    assert_eq!((&detail["asked"], &detail["unsigned"], &detail["requests"]), (&json!(1), &json!(1), &json!(2)));
    assert!(detail["advice"][0].as_str().unwrap().starts_with("it never signs: integrity = \"require\" would drop all"), "{detail}");
    world.refused(Method::GET, "clients/nobody", Value::Null, StatusCode::NOT_FOUND).await;

    let (code, table, hint) = world.run(&["client", "list"]).await;
    assert_eq!(code, 0);
    let line = |name: &str| table.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert!(line("ocserv").contains("never signs") && line("fortigate").contains("may be set to require") && line("printer").contains("unseen"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let (_, wide, _) = world.run(&["client", "list", "--wide"]).await;
    assert!(wide.contains("LAST SEEN") && wide.contains("PATIENCE") && !table.contains("PATIENCE"), "{wide}");
    assert!(hint.contains("fortigate, ocserv") && !hint.contains("printer"), "{hint}");
    let (_, shown, _) = world.run(&["client", "show", "ocserv"]).await;
    assert!(shown.contains("change     it never signs") && shown.contains("first      directory corp"), "{shown}");
    let (_, json, _) = world.run(&["client", "list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn copies_and_proxies_are_counted() {
    let world = World::new(&["corp"]);
    let (_door, fortigate) = nas(&world, 1).await;
    let bytes = login(1).password(b"x").with(attr::PROXY_STATE, b"p").signed(SECRET.as_bytes()).unwrap();
    send(&fortigate, &bytes, 101).await;
    send(&fortigate, &bytes, 102).await;
    let detail = world.ok(Method::GET, "clients/fortigate", Value::Null).await;
    assert_eq!((&detail["asked"], &detail["copies"], &detail["proxied"]), (&json!(2), &json!(1), &json!(2)));
    assert!(detail["advice"].to_string().contains("Proxy-State"), "R-03C: {detail}");
}

async fn rehearse(world: &World, asked: Value) -> Value {
    world.ok(Method::POST, "clients/fortigate/simulate", asked).await
}

fn told(simulation: &Value) -> (&str, &str) {
    (simulation["verdict"].as_str().unwrap(), simulation["why"].as_str().unwrap())
}

/// The store of this world breaks down at any write of a login, so nothing was written where these pass.
#[tokio::test]
async fn a_rehearsal_tells_each_rule_and_touches_nothing() {
    let world = World::new(&["corp"]);
    let unenrolled = rehearse(&world, json!({"user": "alice"})).await;
    assert_eq!(told(&unenrolled), ("reject", "unenrolled"));
    assert!(unenrolled["reply"].as_str().unwrap().starts_with("Access-Reject"));
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    let push = rehearse(&world, json!({"user": "alice"})).await;
    assert_eq!((told(&push), &push["assumed"], &push["reply"]), (("accept", "factor"), &json!(true), &json!("Access-Accept")));
    let attributes = push["attributes"].as_array().unwrap();
    assert_eq!((attributes.len(), &attributes[0]["name"], &attributes[0]["group"]), (1, &json!("Filter-Id"), &json!("staff")));
    let steps = push["steps"].to_string();
    for part in ["means \\\"alice\\\" of directory corp", "push through phone: would be asked", "taken as passed", "policy vpn", "Calling-Station-Id"] {
        assert!(steps.contains(part), "{part}: {steps}");
    }
    let trusted = rehearse(&world, json!({"user": "alice", "from": "10.1.2.3"})).await;
    assert_eq!(told(&trusted), ("accept", "trusted_network"));
    world.ok(Method::POST, "accounts/alice/bypass", json!({})).await;
    assert_eq!(told(&rehearse(&world, json!({"user": "alice"})).await), ("accept", "bypass"));
    assert_eq!(told(&rehearse(&world, json!({"user": "alice"})).await), ("accept", "bypass"), "it is still there");
    world.store.lock(ALICE);
    assert_eq!(told(&rehearse(&world, json!({"user": "alice"})).await), ("reject", "locked"));
    world.ok(Method::POST, "accounts/alice/unlock", Value::Null).await;
    assert_eq!(told(&rehearse(&world, json!({"user": "stranger"})).await), ("reject", "bad_credential"));
    assert_eq!(told(&rehearse(&world, json!({"user": "away"})).await), ("drop", "directory"));
    assert_eq!(told(&rehearse(&world, json!({"user": "al\nice"})).await), ("reject", "bad_name"));
    assert_eq!(world.phone.rung(), 0);
}

#[tokio::test]
async fn a_password_is_checked_and_a_phone_rings_when_asked_alone() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    let passed = rehearse(&world, json!({"user": "alice", "password": "right", "ask": true})).await;
    assert_eq!((told(&passed), &passed["assumed"], world.phone.rung()), (("accept", "factor"), &json!(false), 1));
    assert_eq!(told(&rehearse(&world, json!({"user": "alice", "password": "wrong", "ask": true})).await), ("reject", "bad_credential"));
    assert_eq!(world.phone.rung(), 1);
    for _ in 0..4 {
        rehearse(&world, json!({"user": "alice", "password": "wrong"})).await;
    }
    let right = rehearse(&world, json!({"user": "alice", "password": "right"})).await;
    assert_eq!(told(&right), ("reject", "locked"), "a try here is a try");
    world.ok(Method::POST, "accounts/alice/unlock", Value::Null).await;
    for wrong in [json!({"user": ""}), json!({"user": "alice", "from": "here"}), json!({"user": "alice", "secret": 1}), json!([])] {
        world.refused(Method::POST, "clients/fortigate/simulate", wrong, StatusCode::BAD_REQUEST).await;
    }
    world.refused(Method::POST, "clients/nobody/simulate", json!({"user": "alice"}), StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn the_command_tells_it_in_rows_and_never_the_password() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    let (code, out, err) = world.run(&["client", "simulate", "--client", "fortigate", "--user", "alice", "--code", "123456"]).await;
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("verdict        accept (factor)\n") && out.contains("reply          Access-Accept\n"), "{out}");
    assert!(out.contains("Filter-Id = ") && out.contains("* nobody was asked") && !out.contains("123456"), "{out}");
    let (code, _, err) = world.run(&["client", "simulate", "--client", "x", "--user", "alice"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("client list"), "{err}");
    // Nothing is piped in: standard input is empty.
    assert_eq!(world.run(&["client", "simulate", "--client", "fortigate", "--user", "alice", "--password-stdin"]).await.0, 2);
}
