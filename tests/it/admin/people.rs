//! What is known of people, by the routes and by the commands: fields, files, PINs, backup codes.

use std::fs;

use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use vestibule::domain::Identity;
use vestibule::domain::Secret;
use vestibule::ports::Store;
use vestibule::stretch;

use super::world::ALICE;
use super::world::Log;
use super::world::World;

fn alice() -> Identity {
    Identity(ALICE.into())
}

#[tokio::test]
async fn all_fields_are_set_shown_and_taken_away() {
    let world = World::new(&["corp"]);
    let words = ["user", "add", "alice", "--phone", "+49 (30) 1234-567 x 9", "--backup-phone", "+1 212 555 0123", "--given-name", "Alice", "--language", "de"];
    let (code, _, err) = world.run(&words).await;
    assert_eq!(code, 0, "{err}");
    let words = [
        "user",
        "set",
        "alice",
        "--family-name",
        "Ames",
        "--group",
        "Sales",
        "--notes",
        "on leave",
        "--method",
        "text",
        "--device",
        "phone=DP1:old phone",
        "--device",
        "phone=DP2",
    ];
    assert_eq!(world.run(&words).await.0, 0);
    let (_, shown, _) = world.run(&["user", "show", "alice"]).await;
    for line in [
        "phone      +49301234567x9",
        "backup     +12125550123",
        "given      Alice",
        "family     Ames",
        "language   de",
        "group      Sales",
        "notes      on leave",
        "method     text",
        "device     phone=DP1 old phone",
        "device     phone=DP2",
        "pin        none",
        "codes      none",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    assert_eq!(world.run(&["user", "set", "alice", "--method", "none", "--device", "none", "--notes", ""]).await.0, 0);
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!((&shown["method"], &shown["devices"], &shown["notes"], &shown["family_name"]), (&Value::Null, &json!([]), &Value::Null, &json!("Ames")));
    assert_eq!(world.run(&["user", "set", "alice"]).await.0, 2);
}

#[tokio::test]
async fn m_29_who_changes_a_number_stands_in_the_log() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    let log = Log::default();
    let _capture = log.capture();
    world.ok(Method::PATCH, "accounts/alice", json!({"phone": "+49 30 7654321"})).await;
    world.ok(Method::PATCH, "accounts/alice", json!({"notes": "x"})).await;
    let text = log.text();
    assert!(text.lines().any(|line| line.contains("telephone number changed") && line.contains("operator=") && line.contains(ALICE)), "{text}");
    assert!(text.lines().any(|line| line.contains("account changed")), "{text}");
}

#[tokio::test]
async fn wrong_numbers_say_what_is_wrong_and_change_nothing() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for (phone, why) in [("030 123456", "country"), ("+49 30 123456y", "'y'"), ("+1 212 555 01234", "digits"), ("+493012345678x", "extension")] {
        let error = world.refused(Method::PATCH, "accounts/alice", json!({"phone": phone}), StatusCode::BAD_REQUEST).await;
        assert!(error.contains(why), "{phone}: {error}");
    }
    for body in [
        json!({"phon": "+49301234567"}),
        json!({"devices": [{"provider": "phone"}]}),
        json!({"devices": [{"provider": "fone", "id": "1"}]}),
        json!({"language": "d"}),
        json!({"name": "bob"}),
    ] {
        world.refused(Method::PATCH, "accounts/alice", body, StatusCode::BAD_REQUEST).await;
    }
    world.refused(Method::POST, "accounts", json!({"name": "bob", "colour": "red"}), StatusCode::BAD_REQUEST).await;
    assert_eq!(world.ok(Method::GET, "accounts/alice", Value::Null).await["phone"], "+493012345678");
}

async fn import(world: &World, text: &str) -> (i32, String, String) {
    let path = world.folder.path().join("people.csv");
    fs::write(&path, text).unwrap();
    world.run(&["user", "add", "--csv", path.to_str().unwrap()]).await
}

#[tokio::test]
async fn a_file_of_people_is_added_whole_or_not_at_all() {
    let world = World::new(&["corp"]);
    let (code, _, err) = import(&world, "name;phone;given name\nalice;+49 30 1234567;Alice\nnobody;;\nbob;030 12;\nalice;;\n").await;
    assert_eq!((code, world.store.count()), (1, 0), "{err}");
    for told in ["line 3: ", "line 4: ", "country", "line 5: ", "twice", "3 of 4 lines are wrong: nothing was added"] {
        assert!(err.contains(told), "{told}: {err}");
    }
    let (code, out, err) = import(&world, "name,phone,device\nalice,+49 30 1234567,phone=DP1:phone\nbob,,\n").await;
    assert_eq!((code, out.as_str(), err.as_str(), world.store.count()), (0, "added 2 accounts\n", "", 2));
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!((&shown["phone"], &shown["devices"][0]["label"], &shown["identity"]), (&json!("+49301234567"), &json!("phone"), &json!(ALICE)));
    let (code, _, err) = import(&world, "name\nalice\n").await;
    assert!(code == 1 && err.contains("line 2: ") && err.contains("already"), "{err}");
    for text in ["", "nam\nalice\n", "phone\n+49301234567\n", "name\n\"alice\n"] {
        assert_eq!(import(&world, text).await.0, 1, "{text}");
    }
}

#[tokio::test]
async fn a_long_file_is_looked_up_piece_by_piece_and_a_store_that_fails_keeps_nothing_of_it() {
    let world = World::new(&[]);
    let lines: String = (0..450).map(|number| format!("person-{number}\n")).collect();
    let (code, out, err) = import(&world, &format!("name\n{lines}")).await;
    assert_eq!((code, out.as_str(), world.store.count()), (0, "added 450 accounts\n", 450), "{err}");
    world.store.fail();
    assert_eq!((import(&world, "name\nsomebody\n").await.0, world.store.count()), (1, 450));
}

#[tokio::test]
async fn an_import_is_written_by_whoever_began_it_once_and_after_every_line_was_looked_up() {
    let world = World::new(&["corp"]);
    let begun = world.ok(Method::POST, "imports", json!({"text": "name\nalice\n"})).await;
    let id = begun["import"].as_str().unwrap();
    world.refused(Method::POST, &format!("imports/{id}/write"), Value::Null, StatusCode::CONFLICT).await;
    world.refused(Method::POST, &format!("imports/{id}/step"), Value::Null, StatusCode::NOT_FOUND).await;
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn m_30_a_pin_is_set_without_being_told_and_weak_or_used_ones_are_refused() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for (pin, why) in
        [("1234", "row"), ("9999", "over and over"), ("4777", "three times"), ("471", "4 to 16"), ("3456", "row"), ("4930", "telephone"), ("12a4", "digits")]
    {
        let error = world.refused(Method::PUT, "accounts/alice/pin", json!({"pin": pin}), StatusCode::BAD_REQUEST).await;
        assert!(error.contains(why), "{pin}: {error}");
    }
    for pin in ["4711", "0815"] {
        world.ok(Method::PUT, "accounts/alice/pin", json!({"pin": pin})).await;
    }
    let held = world.store.pin(&alice()).unwrap().unwrap();
    assert_eq!((held.length, held.earlier.len()), (4, 1));
    assert_eq!(stretch::matches(&held.hash, &Secret::from("0815")).await, Ok(true));
    for used in ["4711", "0815"] {
        let error = world.refused(Method::PUT, "accounts/alice/pin", json!({"pin": used}), StatusCode::BAD_REQUEST).await;
        assert!(error.contains("used before"), "{error}");
    }
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!(shown["pin"], json!({"set_at": "2023-11-14T22:13:20Z", "until": null, "expired": false}));
    world.ok(Method::DELETE, "accounts/alice/pin", Value::Null).await;
    world.refused(Method::DELETE, "accounts/alice/pin", Value::Null, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn m_30_the_last_five_pins_are_not_taken_again_and_the_sixth_is() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for pin in ["4711", "0815", "2580", "1379", "9173", "6284"] {
        world.ok(Method::PUT, "accounts/alice/pin", json!({"pin": pin})).await;
    }
    let error = world.refused(Method::PUT, "accounts/alice/pin", json!({"pin": "0815"}), StatusCode::BAD_REQUEST).await;
    assert!(error.contains("used before"), "{error}");
    world.ok(Method::PUT, "accounts/alice/pin", json!({"pin": "4711"})).await;
    world.ok(Method::PUT, "accounts/alice/pin", json!({"pin": "0815"})).await;
}

#[tokio::test]
async fn m_44_backup_codes_are_told_once_with_who_issued_them_in_the_log_and_for_a_day_at_most() {
    let world = World::new(&["corp"]);
    world.ok(Method::POST, "accounts", json!({"name": "alice"})).await;
    for asked in [json!({"count": 0}), json!({"count": 21}), json!({"for_s": 0}), json!({"for_s": 86_401})] {
        world.refused(Method::POST, "accounts/alice/backup-codes", asked, StatusCode::BAD_REQUEST).await;
    }
    let log = Log::default();
    let capture = log.capture();
    let issued = world.ok(Method::POST, "accounts/alice/backup-codes", json!({"count": 3, "for_s": 3600})).await;
    drop(capture);
    let codes: Vec<String> = issued["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    assert!(codes.len() == 3 && codes.iter().all(|code| code.len() == 8 && code.bytes().all(|digit| digit.is_ascii_digit())), "{codes:?}");
    assert_eq!(issued["until"], "2023-11-14T23:13:20Z");
    let text = log.text();
    assert!(text.contains("backup codes issued") && text.contains("operator=") && !codes.iter().any(|code| text.contains(code.as_str())), "{text}");
    let shown = world.ok(Method::GET, "accounts/alice", Value::Null).await;
    assert_eq!((&shown["backup_codes"]["left"], &shown["backup_codes"]["until"]), (&json!(3), &json!("2023-11-14T23:13:20Z")));
    assert!(!codes.iter().any(|code| shown.to_string().contains(code.as_str())));
    let held = world.store.backup_codes(&alice()).unwrap().unwrap();
    for code in &codes {
        assert!(held.place_of(&stretch::hash_with(held.salt, &Secret::from(code.as_str())).await.unwrap()).is_some());
    }
    let (code, out, err) = world.run(&["token", "backup", "alice", "--count", "2", "--for", "30m"]).await;
    assert_eq!((code, out.lines().count()), (0, 2), "{err}");
    assert!(err.contains("once"), "{err}");
    assert_eq!(world.run(&["token", "backup", "alice", "--revoke"]).await.0, 0);
    assert_eq!(world.store.backup_codes(&alice()), Ok(None));
    assert_eq!(world.run(&["token", "backup", "alice", "--revoke"]).await.0, 1);
}
