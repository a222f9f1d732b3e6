//! Signatures against known answers, made with another HMAC: they stand in `docs/webhook.md` too.

use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";
const AT: &str = "1800000000";
const NOW: Timestamp = Timestamp(1_800_000_000_999);
const ONCE: &str = "000102030405060708090a0b0c0d0e0f";
const START: &str = r#"{"transaction":"00000000000000000000000000005eed-push","account":{"id":"S-1-5-21-1-2-3-1104"},"method":"push","client":"vpn-gate_1","server":"mfa1","source":"192.0.2.7","language":"de"}"#;
const PENDING: &str = r#"{"transaction":"00000000000000000000000000005eed-push","answer":"pending","number":"42"}"#;
const START_SIGNED: &str = "v1=7b638457391146892e274484012afc88ba7bc2c2eca3bee723d432885050c7bd";
const PENDING_SIGNED: &str = "v1=cc17b4a1126932c73b1ecbfd5700b7f39fc2f425105a928b39a9a684f5ffdb0f";

fn headers(timestamp: &str, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TIMESTAMP, timestamp.parse().unwrap());
    headers.insert(SIGNATURE, signature.parse().unwrap());
    headers
}

fn checked(headers: &HeaderMap) -> Result<(), Forged> {
    check(headers, 200, ONCE, PENDING.as_bytes(), &[&Secret::from(KEY)], NOW)
}

/// Signed as it should be, at that moment.
fn at(timestamp: &str) -> HeaderMap {
    headers(timestamp, &Signed::Reply(200).signature(&Secret::from(KEY), timestamp, ONCE, PENDING.as_bytes()))
}

#[test]
fn known_answers() {
    let key = Secret::from(KEY);
    assert_eq!(Signed::Request("POST", "/vestibule/start").signature(&key, AT, ONCE, START.as_bytes()), START_SIGNED);
    assert_eq!(
        Signed::Request("POST", "/vestibule/poll").signature(&key, AT, ONCE, b""),
        "v1=75c111f3d02f03024e34f31fbe2238680eccd45525c0a0266450f8b5d7c85575"
    );
    assert_eq!(Signed::Reply(200).signature(&key, AT, ONCE, PENDING.as_bytes()), PENDING_SIGNED);
}

#[test]
fn the_page_shows_the_known_answers() {
    for page in [include_str!("../../../../docs/webhook.md"), include_str!("../../../../docs/webhook.openapi.yaml")] {
        for shown in [KEY, AT, ONCE, START, PENDING, START_SIGNED, PENDING_SIGNED] {
            assert!(page.contains(shown), "{shown}");
        }
    }
}

#[test]
fn m_13_a_reply_is_good_as_it_was_signed_and_not_otherwise() {
    assert_eq!(checked(&headers(AT, PENDING_SIGNED)), Ok(()));
    let wrong = [
        PENDING_SIGNED.replace("cc17", "cc18"),
        PENDING_SIGNED.to_uppercase(),
        PENDING_SIGNED.trim_start_matches("v1=").to_owned(),
        PENDING_SIGNED.replace("v1", "v2"),
        format!("{PENDING_SIGNED}0"),
        "v1=".to_owned(),
        START_SIGNED.to_owned(),
    ];
    for signature in wrong {
        assert_eq!(checked(&headers(AT, &signature)), Err(Forged::Signature), "{signature}");
    }
    let key = Secret::from(KEY);
    let good = headers(AT, PENDING_SIGNED);
    let other_nonce = check(&good, 200, "100102030405060708090a0b0c0d0e0f", PENDING.as_bytes(), &[&key], NOW);
    let other_status = check(&good, 201, ONCE, PENDING.as_bytes(), &[&key], NOW);
    let other_body = check(&good, 200, ONCE, PENDING.replace("42", "43").as_bytes(), &[&key], NOW);
    let other_key = check(&good, 200, ONCE, PENDING.as_bytes(), &[&Secret::from("fedcba9876543210fedcba9876543210")], NOW);
    assert_eq!([other_nonce, other_status, other_body, other_key], [Err(Forged::Signature); 4]);
}

#[test]
fn m_13_a_request_is_never_a_reply_to_itself() {
    let echoed = Signed::Request("POST", "200").signature(&Secret::from(KEY), AT, ONCE, PENDING.as_bytes());
    assert_eq!(checked(&headers(AT, &echoed)), Err(Forged::Signature));
}

#[test]
fn m_13_a_request_is_good_where_it_was_sent_and_nowhere_else() {
    let signed = |method: &str, target: &str| Signed::Request(method, target).signature(&Secret::from(KEY), AT, ONCE, START.as_bytes());
    assert_eq!(signed("POST", "/vestibule/start"), START_SIGNED);
    for (method, target) in
        [("POST", "/start"), ("POST", "/other/start"), ("POST", "/vestibule/start?tenant=2"), ("POST", "/vestibule/start/"), ("PUT", "/vestibule/start")]
    {
        assert_ne!(signed(method, target), START_SIGNED, "{method} {target}");
    }
}

#[test]
fn m_13_a_minute_is_the_window_both_ways() {
    for fine in ["1799999940", "1800000060", "1800000000"] {
        assert_eq!(checked(&at(fine)), Ok(()), "{fine}");
    }
    for off in ["1799999939", "1800000061", "0", "999999999999"] {
        assert_eq!(checked(&at(off)), Err(Forged::Time), "{off}");
    }
    for none in ["1800000000000", "+1800000000", "-1", "now", "1800000000.0", "18446744073709551616"] {
        assert_eq!(checked(&at(none)), Err(Forged::Unsigned), "{none}");
    }
}

#[test]
fn m_13_each_header_must_be_there_once() {
    assert_eq!(checked(&HeaderMap::new()), Err(Forged::Unsigned));
    for name in [TIMESTAMP, SIGNATURE] {
        let mut without = headers(AT, PENDING_SIGNED);
        without.remove(name);
        assert_eq!(checked(&without), Err(Forged::Unsigned), "no {name}");
        let mut twice = headers(AT, PENDING_SIGNED);
        let again = twice.get(name).cloned().unwrap();
        twice.append(name, again);
        assert_eq!(checked(&twice), Err(Forged::Unsigned), "{name} twice");
    }
}

#[test]
fn while_keys_are_changed_either_is_good() {
    let (old, new) = (Secret::from(KEY), Secret::from("fedcba9876543210fedcba9876543210"));
    for keys in [[&old, &new], [&new, &old]] {
        assert_eq!(check(&headers(AT, PENDING_SIGNED), 200, ONCE, PENDING.as_bytes(), &keys, NOW), Ok(()));
    }
    assert_eq!(check(&headers(AT, PENDING_SIGNED), 200, ONCE, PENDING.as_bytes(), &[], NOW), Err(Forged::Signature));
}
