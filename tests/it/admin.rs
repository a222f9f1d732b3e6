//! Administration over its real socket: the routes, the commands of the real binary, and who is kept out.

mod backups;
mod blocks;
mod clients;
mod forget;
mod hardware;
mod people;
mod sessions;
mod world;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use vestibule::domain::Identity;

use world::ALICE;
use world::World;
use world::command;

#[tokio::test]
async fn an_account_is_added_shown_changed_and_removed() {
    let world = World::new(&["corp"]);
    let added = world.ok(Method::POST, "accounts", json!({"name": r"CORP\alice", "method": "push", "phone": "+49 30 1234567"})).await;
    assert_eq!(added["identity"], ALICE);
    assert_eq!(
        (&added["name"], &added["directory"], &added["mail"], &added["phone"]),
        (&json!("alice"), &json!("corp"), &json!("alice@corp.example"), &json!("+49301234567"))
    );
    let listed = world.ok(Method::GET, "accounts?search=ALI", Value::Null).await;
    assert_eq!(listed, json!({"accounts": [added], "next": null}));
    world.ok(Method::POST, "accounts/ALICE/disable", Value::Null).await;
    assert_eq!(world.ok(Method::GET, &format!("accounts/{ALICE}"), Value::Null).await["enabled"], false);
    // What the store does not know, the directory does.
    assert_eq!(world.ok(Method::POST, "accounts/CORP%5Calice/enable", Value::Null).await["enabled"], true);
    world.ok(Method::DELETE, "accounts/alice", Value::Null).await;
    world.refused(Method::GET, "accounts/alice", Value::Null, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn m_22_a_lock_is_shown_and_ended() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    world.store.lock(ALICE);
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!((&shown["locked"], &shown["failures"], &shown["lock_until"]), (&json!(true), &json!(5), &json!("2023-11-14T22:28:20Z")));
    world.ok(Method::POST, "accounts/alice/unlock", Value::Null).await;
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!((&shown["locked"], &shown["failures"], &shown["lock_until"]), (&json!(false), &json!(0), &Value::Null));
}

#[tokio::test]
async fn whom_a_directory_knows_can_be_added_and_nobody_twice() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "bob"})).await;
    let error = world.refused(Method::POST, "accounts", json!({"name": r"CORP\bob"}), StatusCode::CONFLICT).await;
    assert!(error.contains("already"), "{error}");
    world.refused(Method::POST, "accounts", json!({"name": "nobody"}), StatusCode::NOT_FOUND).await;
    world.refused(Method::POST, "accounts", json!({"name": "away"}), StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn m_20_a_name_in_two_directories_is_nobodys_until_the_directory_is_said() {
    let world = World::new(&["corp", "lab"]);
    let error = world.refused(Method::POST, "accounts", json!({"name": "alice"}), StatusCode::BAD_REQUEST).await;
    assert!(error.contains("corp, lab"), "{error}");
    world.refused(Method::POST, "accounts", json!({"name": "alice", "directory": "prod"}), StatusCode::BAD_REQUEST).await;
    for directory in ["corp", "lab"] {
        world.ok(Method::POST, "accounts", json!({"name": "alice", "directory": directory})).await;
    }
    let error = world.refused(Method::DELETE, "accounts/alice", Value::Null, StatusCode::CONFLICT).await;
    assert!(error.contains("corp") && error.contains("lab") && error.contains("--directory"), "{error}");
    assert_eq!(world.ok(Method::DELETE, "accounts/alice?directory=lab", Value::Null).await["directory"], "lab");
    assert_eq!(world.ok(Method::GET, "accounts/alice", Value::Null).await["directory"], "corp");
}

#[tokio::test]
async fn without_a_directory_accounts_are_local_and_their_ids_ours() {
    let world = World::new(&[]);
    let added = world.ok(Method::POST, "accounts", json!({"name": "Zoe"})).await;
    let identity = added["identity"].as_str().unwrap();
    assert!(identity.strip_prefix("local:").is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{identity}");
    assert_eq!(added["name"], "Zoe");
    world.refused(Method::POST, "accounts", json!({"name": "zoe"}), StatusCode::CONFLICT).await;
    for name in ["", " zoe", "a\nb", "a\\b", "local:1", "\u{1b}[2J"] {
        world.refused(Method::POST, "accounts", json!({"name": name}), StatusCode::BAD_REQUEST).await;
    }
    world.refused(Method::POST, "accounts", json!({"name": "x", "mail": "no mail"}), StatusCode::BAD_REQUEST).await;
    world.refused(Method::POST, "accounts", json!({"name": "x", "phone": "call me"}), StatusCode::BAD_REQUEST).await;
    world.refused(Method::POST, "accounts", json!({"name": "x", "directory": "corp"}), StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn m_25_a_seed_is_told_once_and_each_time_another() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    let mut seeds = Vec::new();
    for asked in [json!({}), json!({}), json!({"kind": "hotp", "algorithm": "sha512", "digits": 8})] {
        let enrolled = world.ok(Method::POST, "accounts/alice/tokens", asked).await;
        let uri = reqwest::Url::parse(enrolled["uri"].as_str().unwrap()).unwrap();
        seeds.push(uri.query_pairs().find(|(key, _)| key == "secret").unwrap().1.into_owned());
    }
    assert_eq!(seeds.iter().map(String::len).collect::<Vec<_>>(), [32, 32, 103]);
    assert_ne!(seeds[0], seeds[1]);
    for path in ["tokens", "accounts/alice/tokens", "accounts/alice", "accounts"] {
        let answer = world.ok(Method::GET, path, Value::Null).await.to_string();
        assert!(!seeds.iter().any(|seed| answer.contains(seed.as_str())), "{path} tells a seed");
        assert!(!answer.contains("otpauth") && !answer.contains("seed") && !answer.contains("secret"), "{path}: {answer}");
    }
    // What was told is what codes are checked with.
    let kept = world.store.seeds(ALICE);
    assert_eq!(kept.len(), 3);
    let told: Vec<_> = seeds.iter().map(|seed| totp_rs::Secret::try_from_base32(seed).unwrap().as_bytes().to_vec()).collect();
    assert_eq!(told, kept);
}

#[tokio::test]
async fn tokens_are_bounded_checked_and_removed_by_id() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for asked in [json!({"digits": 5}), json!({"digits": 9}), json!({"period_s": 45}), json!({"seed": "AAAA"}), json!([])] {
        world.refused(Method::POST, "accounts/alice/tokens", asked, StatusCode::BAD_REQUEST).await;
    }
    for _ in 0..10 {
        world.ok(Method::POST, "accounts/alice/tokens", json!({})).await;
    }
    world.refused(Method::POST, "accounts/alice/tokens", json!({}), StatusCode::CONFLICT).await;
    let listed = world.ok(Method::GET, "tokens", Value::Null).await;
    let id = listed["tokens"][3]["id"].as_str().unwrap();
    assert_eq!(listed["tokens"][3]["account"], "alice");
    world.ok(Method::DELETE, &format!("tokens/{id}"), Value::Null).await;
    world.refused(Method::DELETE, &format!("tokens/{id}"), Value::Null, StatusCode::NOT_FOUND).await;
    assert_eq!(world.ok(Method::GET, "accounts/alice/tokens", Value::Null).await["tokens"].as_array().unwrap().len(), 9);
}

#[tokio::test]
async fn m_44_a_bypass_is_short_named_and_can_be_taken_back() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for for_s in [0, 86_401, u64::MAX] {
        world.refused(Method::POST, "accounts/alice/bypass", json!({"for_s": for_s}), StatusCode::BAD_REQUEST).await;
    }
    world.refused(Method::POST, "accounts/alice/bypass", json!({"granted_by": "somebody else"}), StatusCode::BAD_REQUEST).await;
    let granted = world.ok(Method::POST, "accounts/alice/bypass", json!({"reason": "phone lost"})).await;
    assert_eq!((&granted["granted_at"], &granted["until"]), (&json!("2023-11-14T22:13:20Z"), &json!("2023-11-14T22:18:20Z")));
    assert_eq!(granted["granted_by"], nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name);
    assert_eq!(world.ok(Method::GET, "bypasses", Value::Null).await, json!({"bypasses": [granted], "more": false}));
    world.ok(Method::DELETE, "accounts/alice/bypass", Value::Null).await;
    world.refused(Method::DELETE, "accounts/alice/bypass", Value::Null, StatusCode::NOT_FOUND).await;
    assert_eq!(world.ok(Method::GET, "bypasses", Value::Null).await["bypasses"], json!([]));
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_json() {
    let world = World::new(&["corp"]);
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(70_000));
    assert_eq!(world.send(Method::POST, "accounts", long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(world.send(Method::POST, "accounts", "{".into()).await.0, StatusCode::BAD_REQUEST);
    for (method, path, status) in [
        (Method::GET, "nothing", StatusCode::NOT_FOUND),
        (Method::PUT, "accounts", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "accounts/%20", StatusCode::BAD_REQUEST),
    ] {
        world.refused(method, path, Value::Null, status).await;
    }
    let long = format!("accounts/{}", "a".repeat(600));
    world.refused(Method::GET, &long, Value::Null, StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn a_store_that_cannot_write_changes_nothing_and_says_so() {
    let world = World::new(&["corp"]);
    world.store.fail();
    let error = world.refused(Method::POST, "accounts", json!({"name": "alice"}), StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(error.contains("could not write"), "{error}");
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn o_06_every_change_is_logged_with_who_and_whom_and_nobody_forges_a_line() {
    let log = world::Log::default();
    let _guard = log.capture();
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "odd"})).await;
    let name = "od%1B%5B31md%0AINFO%20forged";
    let enrolled = world.ok(Method::POST, &format!("accounts/{name}/tokens"), json!({})).await;
    let uri = enrolled["uri"].as_str().unwrap();
    assert!(uri.starts_with(&format!("otpauth://totp/Vestibule:{name}?secret=")), "{uri}");
    world.ok(Method::POST, &format!("accounts/{name}/bypass"), json!({})).await;
    world.ok(Method::DELETE, &format!("accounts/{name}"), Value::Null).await;
    let text = log.text();
    for what in ["account added", "token enrolled", "bypass granted", "account removed"] {
        let line = text.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("no {what} in {text}"));
        assert!(line.contains(&format!("uid={}", nix::unistd::geteuid())) && line.contains(r"od\u{1b}[31md\nINFO forged"), "{line}");
    }
    assert!(text.lines().all(|line| !line.starts_with("INFO forged")), "{text}");
    let seed = uri.split_once("secret=").unwrap().1.split('&').next().unwrap();
    assert!(!text.contains(seed), "the log holds a seed");
}

#[tokio::test]
async fn the_socket_goes_when_the_server_stops() {
    let mut world = World::new(&["corp"]);
    world.ok(Method::GET, "status", Value::Null).await;
    world.stop().await;
    assert!(!world.socket.exists());
}

#[tokio::test]
async fn monitoring_reads_what_is_counted_and_is_told_when_nothing_is() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || vestibule::metrics::discard("radius", "unsigned"));
    let world = World::counted(&["corp"], Some(recorder.handle()));
    assert_eq!(world.ok(Method::GET, "status", Value::Null).await["directories"], json!(["corp"]));
    let (status, text) = world.send(Method::GET, "../metrics", String::new()).await;
    assert!(status.is_success() && text.as_str().unwrap().contains(r#"vestibule_discards_total{door="radius",why="unsigned"} 1"#), "{text}");
    assert_eq!(World::new(&["corp"]).send(Method::GET, "../metrics", String::new()).await.0, StatusCode::NOT_FOUND);
}

/// Another user meets the socket's mode first; where an operator opened that by hand, the kernel's word for who connects.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_user_is_refused_by_the_mode_and_then_by_the_server() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let world = World::new(&["corp"]);
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::metadata(&world.socket).unwrap().mode() & 0o777, 0o600);
    let as_nobody = || {
        let mut curl = std::process::Command::new("curl");
        curl.uid(65_534).gid(65_534).args(["-sS", "-w", "%{http_code}", "--unix-socket"]).arg(&world.socket).arg("http://vestibule/v1/accounts");
        curl.output().unwrap()
    };
    let denied = as_nobody();
    assert_eq!(denied.status.code(), Some(7), "no connection: {denied:?}");
    fs::set_permissions(&world.socket, fs::Permissions::from_mode(0o666)).unwrap();
    let refused = String::from_utf8(as_nobody().stdout).unwrap();
    assert!(refused.contains("may not administrate") && refused.ends_with("403"), "{refused}");
}

#[tokio::test]
async fn the_commands_do_what_the_routes_do() {
    let world = World::new(&["corp"]);
    let (code, out, err) = world.run(&["user", "add", "alice", "--method", "oath"]).await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, format!("added alice of corp ({ALICE})\n").as_str(), ""));
    let (code, _, err) = world.run(&["user", "add", "alice"]).await;
    assert_eq!(code, 1);
    assert!(err.contains("already") && err.contains("user show"), "{err}");
    let (_, shown, _) = world.run(&["user", "show", "alice", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["method"], "oath");
    let (_, table, _) = world.run(&["user", "list"]).await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["alice", "corp", "enabled", "oath", "2023-11-14", ALICE]);
    let (_, table, _) = world.run(&["user", "list", "--wide"]).await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["alice", "corp", "enabled", "oath", "alice@corp.example", "+493012345678", "2023-11-14T22:13:20Z", ALICE]);
    let (code, _, _) = world.run(&["bypass", "grant", "alice", "--for", "10m", "--reason", "phone lost"]).await;
    assert_eq!(code, 0);
    let (_, table, _) = world.run(&["bypass", "list"]).await;
    assert!(table.lines().nth(1).is_some_and(|line| line.contains("alice") && line.contains("corp") && line.contains("2023-11-14 22:23")), "{table}");
    let (_, bypasses, _) = world.run(&["bypass", "list", "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&bypasses).unwrap()[0]["until"], "2023-11-14T22:23:20Z");
    assert_eq!(world.run(&["bypass", "revoke", "alice"]).await.0, 0);
    assert_eq!(world.run(&["user", "remove", "alice"]).await.0, 0);
    assert_eq!(world.run(&["user", "show", "alice"]).await.0, 1);
}

#[tokio::test]
async fn a_token_is_enrolled_at_the_terminal() {
    let world = World::new(&["corp"]);
    world.run(&["user", "add", "alice"]).await;
    let (code, out, err) = world.run(&["token", "enrol", "alice"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("otpauth://totp/Vestibule:alice?secret=") && out.lines().count() == 1, "{out}");
    assert!(err.contains("alice") && !err.contains("otpauth"), "{err}");
    let svg = world.folder.path().join("code.svg");
    let (_, out, err) = world.run(&["token", "enrol", "alice", "--qr", "--svg", svg.to_str().unwrap()]).await;
    assert_eq!(out.lines().filter(|line| line.starts_with("otpauth://")).count(), 1);
    assert!(out.contains('█'), "{out}");
    assert_eq!(fs::metadata(&svg).unwrap().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&svg).unwrap().contains("<svg"));
    assert!(err.contains("code.svg"), "{err}");
    // A file that is there is kept, and no token is made that nobody would see.
    assert_eq!(world.run(&["token", "enrol", "alice", "--svg", svg.to_str().unwrap()]).await.0, 1);
    let (_, table, _) = world.run(&["token", "list"]).await;
    assert!(table.lines().skip(1).all(|line| line.contains("alice") && line.contains("corp") && line.chars().count() <= 80), "{table}");
    let (_, listed, _) = world.run(&["token", "list", "alice", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert_eq!(world.run(&["token", "remove", listed[0]["id"].as_str().unwrap()]).await.0, 0);
    let (_, json, _) = world.run(&["token", "enrol", "alice", "--json", "--hotp"]).await;
    assert!(serde_json::from_str::<Value>(&json).unwrap()["uri"].as_str().unwrap().starts_with("otpauth://hotp/"));
}

#[tokio::test]
async fn a_token_whose_qr_code_cannot_be_written_is_still_shown() {
    let world = World::new(&["corp"]);
    world.run(&["user", "add", "alice"]).await;
    for json in [false, true] {
        let svg = world.folder.path().join("code.svg");
        // A file that may not grow fails as a full disk does.
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" token enrol alice \"$@\"", env!("CARGO_BIN_EXE_vestibule")]);
        command.arg("--socket").arg(&world.socket).arg("--svg").arg(&svg).args(json.then_some("--json")).env_remove("VESTIBULE_CONFIG");
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        assert!(out.contains("otpauth://totp/") && err.contains("cannot be written") && !err.contains("otpauth://totp"), "{out}{err}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!svg.exists(), "half a QR code is none");
    }
}

#[tokio::test]
async fn a_listing_holds_all_pages() {
    let world = World::new(&[]);
    world.store.fill(250);
    let (_, listed, _) = world.run(&["user", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let identities: std::collections::BTreeSet<_> = listed.as_array().unwrap().iter().map(|account| account["identity"].to_string()).collect();
    assert_eq!((listed.as_array().unwrap().len(), identities.len()), (250, 250));
    let (_, found, _) = world.run(&["user", "list", "--json", "--search", "user-017"]).await;
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_command_says_where_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock");
    let (code, out, err) = command(&["user", "list", "--socket", socket.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains(&format!("no vestibule answers at {}", socket.display())) && err.contains("systemctl status vestibule"), "{err}");
    // A dead server's socket says the same.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(command(&["user", "list", "--socket", socket.to_str().unwrap()]).await.2.contains("no vestibule answers"));
}

#[tokio::test]
async fn an_identity_is_a_name_too() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    world.store.rename(ALICE, "alicia");
    assert_eq!(world.ok(Method::GET, &format!("accounts/{ALICE}"), Value::Null).await["name"], "alicia");
    assert_eq!(world.store.account(&Identity(ALICE.into())).unwrap().name, "alicia");
}

#[tokio::test]
async fn a_command_finds_the_socket_through_the_configuration_and_a_wrong_one_is_three() {
    let world = World::new(&["corp"]);
    let config = world.folder.path().join("vestibule.toml");
    let config_path = config.to_str().unwrap();
    // The secrets it names are not for administrators' eyes, and need not be.
    fs::write(&config, format!("[node]\nmaster_key = {{ file = \"/nowhere\" }}\n[admin]\nsocket = {:?}\n", world.socket)).unwrap();
    assert_eq!(command(&["user", "list", "--config", config_path]).await.0, 0);
    let (code, out, err) = command(&["check", "--offline", "--config", config_path]).await;
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("vestibule.toml:2: node.master_key"), "{err}");
    let (code, out, err) = command(&["check", "--offline", "--json", "--config", config_path]).await;
    assert_eq!((code, err.as_str()), (3, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["ok"], &report["errors"][2]["line"]), (&json!(false), &json!(2)), "{report}");
    fs::write(&config, "[admin").unwrap();
    assert_eq!(command(&["user", "list", "--config", config_path]).await.0, 3);
    assert_eq!(command(&["check", "--config", config_path]).await.0, 3);
}
