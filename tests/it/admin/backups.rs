//! Backups over the admin socket: who may make one, and in which order it is fetched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use vestibule::domain::Secret;
use vestibule::domain::Timestamp;
use vestibule::ports::StoreError;
use vestibule::ports::keep::Keep;
use vestibule::ports::keep::Outgoing;
use vestibule::ports::keep::Piece;
use vestibule::ports::keep::Rekeyed;

use super::world::Log;
use super::world::World;

/// A store of three pieces.
#[derive(Debug)]
struct Three;

#[async_trait]
impl Keep for Three {
    async fn backup(&self, _: &Secret, _: &str, _: Timestamp) -> Result<Box<dyn Outgoing>, StoreError> {
        Ok(Box::new(Pieces(0)))
    }

    async fn begin_rekey(&self) -> Result<Rekeyed, StoreError> {
        Ok(Rekeyed { epoch: 2, done: 0, total: 0, finished: true })
    }

    async fn rekey(&self) -> Result<Rekeyed, StoreError> {
        self.begin_rekey().await
    }

    fn counts(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct Pieces(u64);

#[async_trait]
impl Outgoing for Pieces {
    async fn piece(&mut self) -> Result<Piece, StoreError> {
        self.0 += 1;
        Ok(Piece { bytes: b"seeds".to_vec(), done: self.0, total: 3, last: self.0 == 3 })
    }
}

fn key() -> Value {
    json!({"key": "5a".repeat(32)})
}

#[tokio::test]
async fn a_backup_is_fetched_piece_by_piece_under_its_id_alone() {
    let world = World::kept(Arc::new(Three), "no-such-group");
    for wrong in [json!({"key": "5a".repeat(31)}), json!({"key": "zz".repeat(32)}), json!({"key": ""}), json!({})] {
        world.refused(Method::POST, "backups", wrong, StatusCode::BAD_REQUEST).await;
    }
    let gone = world.refused(Method::POST, "backups/nothing/step", Value::Null, StatusCode::NOT_FOUND).await;
    assert!(gone.contains("not being made any more"), "{gone}");
    let first = world.ok(Method::POST, "backups", key()).await;
    let step = |piece: &Value| format!("backups/{}/step", piece["id"].as_str().unwrap());
    world.refused(Method::POST, "backups/nothing/step", Value::Null, StatusCode::NOT_FOUND).await;
    // Whoever begins again has given up what was begun before.
    let second = world.ok(Method::POST, "backups", key()).await;
    world.refused(Method::POST, &step(&first), Value::Null, StatusCode::NOT_FOUND).await;
    let done = [world.ok(Method::POST, &step(&second), Value::Null).await, world.ok(Method::POST, &step(&second), Value::Null).await];
    assert_eq!(done.map(|piece| (piece["done"].as_u64().unwrap(), piece["last"].as_bool().unwrap())), [(2, false), (3, true)]);
    world.refused(Method::POST, &step(&second), Value::Null, StatusCode::NOT_FOUND).await;
}

/// Only root can be somebody else.
#[tokio::test]
async fn o_09_a_member_of_the_admin_group_carries_no_seeds_off() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let log = Log::default();
    let _guard = log.capture();
    let world = World::kept(Arc::new(Three), "daemon");
    let begun = world.ok(Method::POST, "backups", key()).await;
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let gid = nix::unistd::Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    let socket = world.socket.clone();
    let as_member = async |method: &str, path: &str| {
        let mut curl = std::process::Command::new("curl");
        curl.uid(65_534).gid(gid).args(["-sS", "-w", "%{http_code}", "-X", method, "-d", &key().to_string(), "--unix-socket"]);
        curl.arg(&socket).arg(format!("http://vestibule/v1/{path}"));
        let output = tokio::task::spawn_blocking(move || curl.output().unwrap()).await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let listed = as_member("GET", "accounts").await;
    assert!(listed.ends_with("200"), "it may administrate: {listed}");
    let step = format!("backups/{}/step", begun["id"].as_str().unwrap());
    for path in ["backups", step.as_str()] {
        let refused = as_member("POST", path).await;
        assert!(refused.contains("root and the server's own user alone") && refused.ends_with("403"), "{path}: {refused}");
        assert!(!refused.contains("bytes"), "{refused}");
    }
    assert!(
        log.text().lines().any(|line| line.contains("WARN") && line.contains("wanted a backup and was refused") && line.contains("uid=65534")),
        "{}",
        log.text()
    );
    // What was begun goes on.
    world.ok(Method::POST, &step, Value::Null).await;
}
