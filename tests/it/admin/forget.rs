//! An administrator ends what is remembered of somebody: by the command for it, and by every change of the account.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use vestibule::directory::ByDirectory;
use vestibule::domain::AuthRequest;
use vestibule::domain::Choice;
use vestibule::domain::Decision;
use vestibule::domain::Dialogue;
use vestibule::domain::Door;
use vestibule::domain::Grant;
use vestibule::domain::Lock;
use vestibule::domain::Primary;
use vestibule::domain::Remember;
use vestibule::domain::RememberBy;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::engine::Outcome;

use super::world::Lab;
use super::world::World;

/// Logs alice in, where the phone says yes to everybody, and tells why she was let in.
async fn login(world: &World) -> Grant {
    let rules = Rules {
        lock: Lock { failures_max: 5, wait_ms: 60_000, window_ms: 0 },
        remember: Remember { for_ms: 3_600_000, by: RememberBy::Client },
        ..Rules::bare("vpn", vec![Choice::new(vestibule::domain::Method::Push, "phone")])
    };
    let request = AuthRequest {
        door: Door::Ldap,
        client: "wiki".into(),
        login: "alice".into(),
        primary: Primary::Password(Secret::from("right")),
        appended: None,
        dialogue: Dialogue::default(),
        source: None,
        exempt: Vec::new(),
        seat: Vec::new(),
        asker: Vec::new(),
    };
    let check = Arc::new(ByDirectory(Arc::new(Lab("corp"))));
    let outcome = world.engine.login(request, Arc::new(rules), check, Duration::from_secs(20)).outcome().await;
    match outcome {
        Outcome::Decided { decision, .. } => match &*decision {
            Decision::Accept(permit) => permit.why(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn m_41_what_is_remembered_is_ended_by_command_and_by_every_change_of_the_account() {
    let world = World::new(&["corp"]);
    let add = || world.ok(Method::POST, "accounts", json!({"name": "alice"}));
    add().await;
    let remembered = || async {
        assert_eq!((login(&world).await, login(&world).await), (Grant::Factor, Grant::Remembered));
    };
    remembered().await;
    let (code, out, err) = world.run(&["user", "forget", "alice"]).await;
    assert_eq!((code, out.trim_end(), err.as_str()), (0, "ended what was remembered of alice of corp (S-1-5-21-1-corp-7)", ""));
    remembered().await;
    world.ok(Method::POST, "accounts/alice/disable", Value::Null).await;
    world.ok(Method::POST, "accounts/alice/enable", Value::Null).await;
    remembered().await;
    // The directory's number of hers.
    for blocked in ["accounts/alice/block", "phones/+493012345678/block"] {
        world.ok(Method::POST, blocked, json!({})).await;
        world.ok(Method::DELETE, blocked, Value::Null).await;
        remembered().await;
    }
    world.ok(Method::DELETE, "accounts/alice", Value::Null).await;
    add().await;
    remembered().await;
    let token = world.ok(Method::POST, "accounts/alice/tokens", json!({})).await;
    remembered().await;
    world.ok(Method::DELETE, &format!("tokens/{}", token["token"]["id"].as_str().unwrap()), Value::Null).await;
    remembered().await;
}
