//! Blocks by the socket and by the command line.

use super::*;

use vestibule::domain::Block;
use vestibule::domain::Timestamp;

use world::NOW;

#[tokio::test]
async fn a_person_is_blocked_for_ninety_days_unless_told_and_under_any_name() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for for_s in [0, 365 * 86_400 + 1, u64::MAX] {
        world.refused(Method::POST, "accounts/alice/block", json!({"for_s": for_s}), StatusCode::BAD_REQUEST).await;
    }
    world.refused(Method::POST, "accounts/alice/block", json!({"by": "somebody else"}), StatusCode::BAD_REQUEST).await;
    world.refused(Method::POST, "accounts/mallory/block", json!({}), StatusCode::NOT_FOUND).await;
    let blocked = world.ok(Method::POST, "accounts/alice/block", json!({"reason": "stolen laptop"})).await;
    assert_eq!((&blocked["account"], &blocked["identity"], &blocked["phone"]), (&json!("alice"), &json!(ALICE), &Value::Null));
    assert_eq!((&blocked["at"], &blocked["until"]), (&json!("2023-11-14T22:13:20Z"), &json!("2024-02-12T22:13:20Z")));
    assert_eq!(blocked["by"], nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name);
    assert_eq!(world.ok(Method::GET, "blocks", Value::Null).await, json!({"blocks": [blocked], "more": false}));
    assert_eq!(world.ok(Method::GET, "accounts/alice", Value::Null).await["blocked_until"], blocked["until"]);
    world.ok(Method::DELETE, &format!("accounts/{ALICE}/block"), Value::Null).await;
    world.refused(Method::DELETE, "accounts/alice/block", Value::Null, StatusCode::NOT_FOUND).await;
    assert_eq!(world.ok(Method::GET, "blocks", Value::Null).await["blocks"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_account_yet_is_blocked_as_whom_the_directory_means() {
    let world = World::new(&["corp"]);
    let blocked = world.ok(Method::POST, "accounts/CORP%5Cbob/block", json!({"reason": "leaves"})).await;
    let bob = "S-1-5-21-1-corp-8";
    assert_eq!((&blocked["identity"], &blocked["account"], &blocked["name"]), (&json!(bob), &Value::Null, &json!("bob")));
    assert_eq!(world.ok(Method::GET, "blocks", Value::Null).await["blocks"], json!([blocked]));
    let (_, table, _) = world.run(&["block", "list"]).await;
    assert!(table.lines().nth(1).is_some_and(|line| line.starts_with("bob ")), "{table}");
    world.ok(Method::POST, "accounts", json!({"name": "bob"})).await;
    assert_eq!(world.ok(Method::GET, "accounts/bob", Value::Null).await["blocked_until"], blocked["until"], "an account that comes later is blocked");
    world.ok(Method::DELETE, "accounts/bob/block", Value::Null).await;
    world.refused(Method::POST, "accounts/away/block", json!({}), StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn who_is_in_several_directories_is_blocked_where_it_is_said() {
    let world = World::new(&["corp", "branch"]);
    world.refused(Method::POST, "accounts/bob/block", json!({}), StatusCode::CONFLICT).await;
    let blocked = world.ok(Method::POST, "accounts/bob/block?directory=branch", json!({})).await;
    assert_eq!(blocked["identity"], "S-1-5-21-1-branch-8");
    let unblocked = world.ok(Method::DELETE, "accounts/bob/block?directory=branch", Value::Null).await;
    assert_eq!(unblocked["identity"], blocked["identity"]);
}

#[tokio::test]
async fn who_is_removed_stays_blocked_and_is_let_go_by_the_identity() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    world.ok(Method::POST, "accounts/alice/block", json!({})).await;
    world.ok(Method::DELETE, "accounts/alice", Value::Null).await;
    assert_eq!(world.ok(Method::GET, "blocks", Value::Null).await["blocks"][0]["identity"], ALICE);
    world.refused(Method::DELETE, "accounts/nobody/block", Value::Null, StatusCode::NOT_FOUND).await;
    let unblocked = world.ok(Method::DELETE, &format!("accounts/{ALICE}/block"), Value::Null).await;
    assert_eq!((&unblocked["identity"], &unblocked["account"]), (&json!(ALICE), &Value::Null));
}

#[tokio::test]
async fn blocks_are_few_enough_to_be_read_and_those_that_have_ended_make_room() {
    let world = World::new(&["corp"]);
    world.store.block(10_000, Timestamp(NOW.0 + 1));
    world.refused(Method::POST, "phones/+49301/block", json!({}), StatusCode::BAD_REQUEST).await;
    world.refused(Method::POST, "phones/+493020000000/block", json!({}), StatusCode::CONFLICT).await;
    world.store.block(10_000, NOW);
    world.ok(Method::POST, "phones/+493020000000/block", json!({})).await;
    assert_eq!(world.ok(Method::GET, "blocks", Value::Null).await["blocks"].as_array().unwrap().len(), 1);
    assert_eq!(Block::MS_MAX, 365 * 86_400_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_blocks_people_and_numbers() {
    let world = World::new(&["corp"]);
    assert_eq!(world.run(&["user", "add", "alice"]).await.0, 0);
    let (code, out, _) = world.run(&["block", "add", "alice", "--for", "1h", "--reason", "stolen laptop"]).await;
    assert_eq!((code, out.as_str()), (0, "alice is blocked until 2023-11-14T23:13:20Z\n"));
    let (code, out, _) = world.run(&["block", "add", "--phone", "+49 (170) 555-0142", "--json"]).await;
    assert_eq!(code, 0);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["phone"], "+491705550142");
    let (_, table, _) = world.run(&["block", "list"]).await;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1][..2], ["alice", "2023-11-14T23:13:20Z"]);
    assert_eq!(lines[2][0], "+491705550142");
    let (_, shown, _) = world.run(&["user", "show", "alice"]).await;
    assert!(shown.contains("until 2023-11-14T23:13:20Z"), "{shown}");
    assert_eq!(world.run(&["block", "remove", "--phone", "+491705550142"]).await.0, 0);
    assert_eq!(world.run(&["block", "remove", "alice"]).await.0, 0);
    let (code, _, err) = world.run(&["block", "remove", "alice"]).await;
    assert!(code == 1 && err.contains("alice is not blocked"), "{err}");
    let (_, listed, _) = world.run(&["block", "list", "--json"]).await;
    assert_eq!(listed.trim(), "[]");
}
