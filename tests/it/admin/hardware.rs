//! Hardware tokens: imported by the file, and brought back into step.

use std::fs;

use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use vestibule::domain::Secret;
use vestibule::domain::otp;
use vestibule::domain::otp::Algorithm;

use super::world::ALICE;
use super::world::World;

const SEED: &str = "12345678901234567890";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

async fn people(directories: &[&'static str]) -> World {
    let world = World::new(directories);
    for name in ["alice", "bob"] {
        world.ok(Method::POST, "accounts", json!({"name": name})).await;
    }
    world
}

async fn import(world: &World, text: &str, more: &[(&str, &str)]) -> (i32, String, String) {
    let path = |name: &str| world.folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("tokens"), text).unwrap();
    let mut words = vec!["token".to_owned(), "import".to_owned(), path("tokens")];
    for (flag, text) in more {
        fs::write(path(flag), text).unwrap();
        words.extend([format!("--{flag}"), path(flag)]);
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    world.run(&words).await
}

#[tokio::test]
async fn m_25_a_table_of_tokens_is_enrolled_and_no_secret_is_ever_told() {
    let world = people(&["corp"]).await;
    let text = format!("serial,secret,owner,type,interval,digits\nS1,{BASE32},alice,,60,8\nS2,{BASE32},bob,hotp,,\n");
    let (code, out, err) = import(&world, &text, &[]).await;
    assert_eq!((code, out.as_str()), (0, "imported 2 tokens\n"), "{err}");
    assert_eq!(world.store.seeds(ALICE), [SEED.as_bytes()]);
    let listed = world.ok(Method::GET, "tokens", Value::Null).await;
    assert_eq!((&listed["tokens"][0]["id"], &listed["tokens"][0]["period_s"], &listed["tokens"][0]["digits"]), (&json!("S1"), &json!(60), &json!(8)));
    for path in ["tokens", "accounts/alice", "accounts/alice/tokens"] {
        let told = world.ok(Method::GET, path, Value::Null).await.to_string();
        assert!(!told.contains(BASE32) && !told.contains(SEED) && !told.contains("secret"), "{told}");
    }
}

#[tokio::test]
async fn a_file_of_tokens_is_enrolled_whole_or_not_at_all() {
    let world = people(&["corp"]).await;
    for (lines, told) in [
        (format!("S1,{BASE32},alice\nS2,short,bob\n"), "line 3: the secret"),
        (format!("S1,{BASE32},alice\nS2,{BASE32},\n"), "line 3: nobody is to have the token \"S2\""),
        (format!("S1,{BASE32},alice\nS2,{BASE32},carol\n"), "line 3: no account"),
        (format!("S1,{BASE32},alice\nS1,{BASE32},bob\n"), "line 3: there is a token \"S1\" already"),
        (format!("S1,{BASE32},alice\nS2,{BASE32},alice\n"), "line 3: the token \"S2\" has the seed of another one that \"alice\" has"),
        ((0..11).map(|number| format!("S{number},{BASE32},alice\n")).collect(), "line 12: \"alice\" would have more than 10 tokens"),
    ] {
        let (code, _, err) = import(&world, &format!("serial,secret,owner\n{lines}"), &[]).await;
        assert!(code == 1 && err.contains(told) && err.contains("no token was imported") && !err.contains(BASE32), "{told}: {err}");
        assert_eq!(world.ok(Method::GET, "tokens", Value::Null).await["tokens"], json!([]));
    }
    assert_eq!(import(&world, &format!("serial,secret,owner\nS1,{BASE32},alice\n"), &[]).await.0, 0);
    let (code, _, err) = import(&world, &format!("serial,secret,owner\nS1,{BASE32},bob\n"), &[]).await;
    assert!(code == 1 && err.contains("already"), "{err}");
}

#[tokio::test]
async fn a_container_is_opened_and_its_tokens_go_to_whom_a_table_says() {
    let world = people(&["corp"]).await;
    // The values of RFC 6030, figure 6.
    let text = r#"<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><EncryptionKey><KeyName>Pre-shared-key</KeyName></EncryptionKey>
<MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><MACKey><EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
<CipherData><CipherValue>ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX</CipherValue></CipherData></MACKey></MACMethod>
<KeyPackage><DeviceInfo><SerialNo>987654321</SerialNo></DeviceInfo><Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">
<AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters><Data><Secret><EncryptedValue>
<EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
<CipherData><CipherValue>AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv</CipherValue></CipherData></EncryptedValue>
<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=</ValueMAC></Secret><Counter><PlainValue>42</PlainValue></Counter></Data></Key></KeyPackage></KeyContainer>"#;
    let (key, owner) = (("key-file", "12345678901234567890123456789012\n"), ("assign", "serial,owner\n987654321,alice\n"));
    for (more, told) in [
        (vec![], "--key-file"),
        (vec![key], "--assign"),
        (vec![("key-file", "00000000000000000000000000000000"), owner], "MAC"),
        (vec![key, ("assign", "serial,owner\n1,alice\n")], "no token"),
    ] {
        let (code, _, err) = import(&world, text, &more).await;
        assert!(code == 1 && err.contains(told), "{told}: {err}");
    }
    assert_eq!(import(&world, text, &[key, owner]).await.0, 0);
    assert_eq!(world.store.seeds(ALICE), [SEED.as_bytes()]);
    // What is burnt on the token already stays so: its counter came along.
    let code = |step| otp::code(Algorithm::Sha1, &Secret::from(SEED), step, 6);
    let error = world.refused(Method::POST, "tokens/resync", json!({"token": "alice", "codes": [code(40), code(41)]}), StatusCode::BAD_REQUEST).await;
    assert!(error.contains("in a row"), "{error}");
    world.ok(Method::POST, "tokens/resync", json!({"token": "alice", "codes": [code(42), code(43)]})).await;
}

#[tokio::test]
async fn m_04_a_token_is_brought_back_into_step_forward_only_and_guesses_at_it_lock() {
    let world = people(&["corp"]).await;
    assert_eq!(import(&world, &format!("serial,secret,owner,type\nS1,{BASE32},alice,hotp\n"), &[]).await.0, 0);
    let code = |step| otp::code(Algorithm::Sha1, &Secret::from(SEED), step, 6);
    let (done, out, err) = world.run(&["token", "resync", "alice", &code(60), &code(61)]).await;
    assert_eq!((done, out.as_str()), (0, "token S1 of alice is in step again\n"), "{err}");
    assert_eq!(world.run(&["token", "resync", "S1", &code(60), &code(61)]).await.0, 1, "only forward");
    assert_eq!(world.run(&["token", "resync", "S1", &code(62), &code(63), &code(64)]).await.0, 0);
    for codes in [vec![code(65)], vec![]] {
        world.refused(Method::POST, "tokens/resync", json!({"token": "S1", "codes": codes}), StatusCode::BAD_REQUEST).await;
    }
    assert_eq!(world.ok(Method::GET, "accounts/alice", Value::Null).await["failures"], 1);
    for _ in 0..4 {
        world.refused(Method::POST, "tokens/resync", json!({"token": "S1", "codes": ["000000", "111111"]}), StatusCode::BAD_REQUEST).await;
    }
    let error = world.refused(Method::POST, "tokens/resync", json!({"token": "S1", "codes": [code(65), code(66)]}), StatusCode::CONFLICT).await;
    assert!(error.contains("locked"), "{error}");
    world.refused(Method::POST, "tokens/resync", json!({"token": "bob", "codes": ["000000", "111111"]}), StatusCode::NOT_FOUND).await;
}
