//! The webhook against a service that knows the protocol, or does not, or lies.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;
use vestibule::domain::Device;
use vestibule::domain::Fate;
use vestibule::domain::Number;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::provider::webhook::Send;
use vestibule::provider::webhook::Settings;
use vestibule::provider::webhook::Webhook;

use super::*;

pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";
const NOW_S: u64 = NOW_MS / 1_000;
const PUSH: &str = "00000000000000000000000000005eed-push";

/// Not the product's own way to sign: the page's, read anew.
fn signature(key: &str, lines: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(format!("vestibule-webhook-1\n{lines}\n").as_bytes());
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={digits}")
}

/// A reply as the page says, but for what a liar changes.
struct Reply {
    key: &'static str,
    seconds: u64,
    nonce: String,
    body: String,
}

impl Reply {
    fn to(heard: &Heard, answer: &str) -> Self {
        let body = serde_json::json!({ "transaction": heard.json()["transaction"], "answer": answer }).to_string();
        Self { key: KEY, seconds: NOW_S, nonce: heard.header("vestibule-nonce").to_owned(), body }
    }

    fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    fn said(self) -> Said {
        let lines = format!("reply\n200\n{}\n{}", self.seconds, self.nonce);
        let signature = signature(self.key, &lines, self.body.as_bytes());
        Said::json(200, &self.body).header("vestibule-timestamp", &self.seconds.to_string()).header("vestibule-signature", &signature)
    }
}

fn action(heard: &Heard) -> &str {
    heard.path.rsplit('/').next().unwrap()
}

/// Checks the request as the page says; everybody approves and 123456 is the code.
pub(super) fn good(heard: &Heard) -> Said {
    good_at(heard, NOW_S)
}

/// As [`good`], by the clock of whoever asks.
pub(super) fn good_now(heard: &Heard) -> Said {
    good_at(heard, heard.header("vestibule-timestamp").parse().unwrap())
}

fn good_at(heard: &Heard, seconds: u64) -> Said {
    let query = if heard.query.is_empty() { String::new() } else { format!("?{}", heard.query) };
    let lines = format!("request\n{} {}{query}\n{}\n{}", heard.method, heard.path, heard.header("vestibule-timestamp"), heard.header("vestibule-nonce"));
    if heard.header("vestibule-signature") != signature(KEY, &lines, &heard.body) {
        return Said::json(401, "{}");
    }
    let asked = heard.json();
    let nobodys = asked["transaction"].as_str().unwrap().ends_with("-none");
    let answer = match (action(heard), asked["method"].as_str()) {
        _ if nobodys => "expired",
        ("start", Some("push" | "call")) => "pending",
        ("start", _) => "code_needed",
        ("answer", _) if asked["code"] != "123456" => "bad_code",
        _ => "allowed",
    };
    Reply { seconds, ..Reply::to(heard, answer) }.said()
}

fn settings(url: String) -> Settings {
    Settings {
        name: "cloud".into(),
        url,
        key: Secret::from(KEY),
        second_key: None,
        send: Send::default(),
        call_pin: false,
        tell_end: false,
        ca_file: None,
        timeout: TIMEOUT,
    }
}

fn webhook(url: String) -> Webhook {
    Webhook::new(settings(url), "mfa1", clock()).unwrap().with_poll_max(TIMEOUT)
}

/// A question that stays out ends with the login's own deadline.
async fn push(url: String) -> Outcome {
    let (webhook, asking) = (webhook(url), asking(Method::Push));
    tokio::time::timeout(Duration::from_secs(5), settle(&webhook, &asking)).await.unwrap_or(Err(FactorError::Expired))
}

async fn code_at(webhook: &Webhook, typed: &str) -> Outcome {
    let asking = asking(Method::Oath);
    match webhook.start(&asking).await {
        Ok(Progress::CodeNeeded { ticket }) => webhook.verify(&asking, ticket.as_ref(), &Secret::from(typed)).await,
        other => other,
    }
}

/// What one word becomes, said to `/{at}`.
async fn told(at: &'static str, word: &'static str) -> Outcome {
    let sky = Sky::open(move |heard| if action(heard) == at { Reply::to(heard, word).said() } else { good(heard) }).await;
    if at == "answer" { code_at(&webhook(sky.url()), "123456").await } else { push(sky.url()).await }
}

#[tokio::test]
async fn allow() {
    let sky = Sky::open(good).await;
    assert_eq!(push(format!("{}/bridge/v1", sky.url())).await, ALLOWED);
    assert_eq!(sky.lines(), ["POST /bridge/v1/start", "POST /bridge/v1/poll"]);
    assert_eq!(code_at(&webhook(sky.url()), "123456").await, ALLOWED);
    assert_eq!(webhook(sky.url()).check().await, Ok(()));
}

#[tokio::test]
async fn deny_fraud_timeout_locked_not_enrolled_and_throttled() {
    for at in ["start", "poll", "answer"] {
        assert_eq!(told(at, "denied").await, DENIED, "{at}");
        assert_eq!(told(at, "fraud").await, Ok(Progress::Denied { fraud: true }), "{at}");
        assert_eq!(told(at, "expired").await, Err(FactorError::Expired), "{at}");
        assert_eq!(told(at, "locked").await, Err(FactorError::Locked), "{at}");
        assert_eq!(told(at, "not_enrolled").await, Err(FactorError::NotEnrolled), "{at}");
    }
    assert_eq!(told("start", "throttled").await, Err(FactorError::Throttled));
    assert_eq!(told("answer", "throttled").await, Err(FactorError::Throttled));
}

#[tokio::test]
async fn throttled_looks_go_on_a_little_later() {
    let count = AtomicU64::new(0);
    let sky = Sky::open(move |heard| match action(heard) {
        "poll" if count.fetch_add(1, Ordering::Relaxed) == 0 => Reply::to(heard, "throttled").said(),
        _ => good(heard),
    })
    .await;
    assert_eq!(push(sky.url()).await, ALLOWED);
}

#[tokio::test]
async fn bad_code_and_what_is_none() {
    let sky = Sky::open(good).await;
    assert_eq!(code_at(&webhook(sky.url()), "654321").await, Err(FactorError::BadCode));
    for typed in ["", "123 456", "12345\"", "１２３４５６", &"1".repeat(65)] {
        assert_eq!(code_at(&webhook(sky.url()), typed).await, Err(FactorError::BadCode), "{typed}");
    }
    assert_eq!(sky.lines().iter().filter(|line| line.contains("answer")).count(), 1, "what is no code never leaves us");
}

#[tokio::test]
async fn m_13_wrong_key() {
    let sky = Sky::open(good).await;
    let wrong = Settings { key: Secret::from(OTHER_KEY), ..settings(sky.url()) };
    let webhook = Webhook::new(wrong, "mfa1", clock()).unwrap();
    for _ in 0..5 {
        assert_eq!(settle(&webhook, &asking(Method::Push)).await, Err(FactorError::Misconfigured), "never an outage");
    }
    assert_eq!(webhook.check().await, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_13_while_keys_are_changed_replies_may_be_signed_with_either() {
    let sky = Sky::open(|heard| Reply { key: OTHER_KEY, ..Reply::to(heard, "allowed") }.said()).await;
    assert_eq!(push(sky.url()).await, Err(FactorError::Misconfigured));
    let both = Settings { second_key: Some(Secret::from(OTHER_KEY)), ..settings(sky.url()) };
    assert_eq!(settle(&Webhook::new(both, "mfa1", clock()).unwrap(), &asking(Method::Push)).await, ALLOWED);
}

#[tokio::test]
async fn m_11_a_number_is_shown() {
    let sky = Sky::open(|heard| match action(heard) {
        "start" => Reply::to(heard, "").body(&format!(r#"{{"transaction":"{PUSH}","answer":"pending","number":"42"}}"#)).said(),
        _ => good(heard),
    })
    .await;
    let started = webhook(sky.url()).start(&asking(Method::Push)).await;
    assert_eq!(started, Ok(Progress::Choose { ticket: Ticket(PUSH.into()), number: Number::new("42").unwrap() }));
    assert_eq!(push(sky.url()).await, ALLOWED);
}

#[tokio::test]
async fn m_12_m_13_lies() {
    let old = Reply { key: KEY, seconds: NOW_S, nonce: "0".repeat(32), body: format!(r#"{{"transaction":"{PUSH}","answer":"allowed"}}"#) }.said();
    let unsigned = Said::json(200, &format!(r#"{{"transaction":"{PUSH}","answer":"allowed"}}"#));
    let no_signature = unsigned.clone().header("vestibule-timestamp", &NOW_S.to_string());
    // Bad weather is not signed; these are, or nearly.
    for at in ["POST /start", "POST /poll"] {
        let lies = [("a recorded reply", old.clone()), ("no headers", unsigned.clone()), ("no signature", no_signature.clone())];
        let became = storm(at, good, &lies, push).await;
        let lying = [
            "redirect",
            "empty",
            "null",
            "array",
            "object",
            "true",
            "page",
            "204",
            "401",
            "403",
            "404",
            "huge",
            "a recorded reply",
            "no headers",
            "no signature",
        ];
        assert_became(&became, &lying, &Err(FactorError::Misconfigured));
    }
}

#[tokio::test]
async fn m_12_m_13_signed_lies() {
    type Lie = fn(&Heard) -> Said;
    let lies: [(&str, Lie); 19] = [
        ("another transaction", |heard| Reply::to(heard, "").body(r#"{"transaction":"00000000000000000000000000005eee-push","answer":"allowed"}"#).said()),
        ("another method's", |heard| Reply::to(heard, "").body(r#"{"transaction":"00000000000000000000000000005eed-call","answer":"allowed"}"#).said()),
        ("no transaction", |heard| Reply::to(heard, "").body(r#"{"answer":"allowed"}"#).said()),
        ("another key", |heard| Reply { key: OTHER_KEY, ..Reply::to(heard, "allowed") }.said()),
        ("old", |heard| Reply { seconds: NOW_S - 61, ..Reply::to(heard, "allowed") }.said()),
        ("of tomorrow", |heard| Reply { seconds: NOW_S + 61, ..Reply::to(heard, "allowed") }.said()),
        ("another nonce", |heard| Reply { nonce: "f".repeat(32), ..Reply::to(heard, "allowed") }.said()),
        ("a nonce in capitals", |heard| Reply { nonce: heard.header("vestibule-nonce").to_uppercase() + " ", ..Reply::to(heard, "allowed") }.said()),
        ("capitals", |heard| Reply::to(heard, "ALLOWED").said()),
        ("a space", |heard| Reply::to(heard, "allowed ").said()),
        ("no word", |heard| Reply::to(heard, "").said()),
        ("a word nobody knows", |heard| Reply::to(heard, "quantum").said()),
        ("a code asked for", |heard| Reply::to(heard, "code_needed").said()),
        ("a key twice", |heard| Reply::to(heard, "").body(&format!(r#"{{"transaction":"{PUSH}","answer":"denied","answer":"allowed"}}"#)).said()),
        ("an array", |heard| Reply::to(heard, "").body(&format!(r#"{{"transaction":"{PUSH}","answer":["allowed"]}}"#)).said()),
        ("a list of fields", |heard| Reply::to(heard, "").body(&format!(r#"["{PUSH}","allowed",null]"#)).said()),
        ("one field more", |heard| Reply::to(heard, "").body(&format!(r#"{{"transaction":"{PUSH}","answer":"allowed","for":"bob"}}"#)).said()),
        ("nothing", |heard| Reply::to(heard, "").body("").said()),
        ("two signatures", |heard| Reply::to(heard, "allowed").said().header("vestibule-signature", "v1=00")),
    ];
    for (name, lie) in lies {
        for at in ["start", "poll"] {
            let sky = Sky::open(move |heard| if action(heard) == at { lie(heard) } else { good(heard) }).await;
            assert_eq!(push(sky.url()).await, Err(FactorError::Misconfigured), "{name} to {at}");
        }
    }
}

#[tokio::test]
async fn m_13_a_reply_that_was_good_once_is_good_no_more() {
    let first = Arc::new(Mutex::new(None::<Said>));
    let sky = Sky::open(move |heard| {
        let mut first = first.lock().unwrap();
        if action(heard) == "poll" { first.get_or_insert_with(|| good(heard)).clone() } else { good(heard) }
    })
    .await;
    let webhook = webhook(sky.url());
    assert_eq!(settle(&webhook, &asking(Method::Push)).await, ALLOWED);
    assert_eq!(settle(&webhook, &asking(Method::Push)).await, Err(FactorError::Misconfigured), "the same transaction, word and second, but another nonce");
}

#[tokio::test]
async fn m_12_a_code_for_another_logins_question_is_not_even_asked_about() {
    let sky = Sky::open(good).await;
    let webhook = webhook(sky.url());
    for strange in ["00000000000000000000000000005eee-oath", PUSH, ""] {
        let outcome = webhook.verify(&asking(Method::Oath), Some(&Ticket(strange.into())), &Secret::from("123456")).await;
        assert_eq!(outcome, Err(FactorError::Expired), "{strange}");
    }
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn m_12_no_code_no_entry() {
    let sky = Sky::open(|heard| Reply::to(heard, "allowed").said()).await;
    assert_eq!(webhook(sky.url()).start(&asking(Method::Oath)).await, Err(FactorError::Misconfigured), "nobody has typed anything yet");
}

#[tokio::test]
async fn unreachable_is_who_failed_three_times_and_m_14_not_one_whose_people_do_not_answer() {
    let webhook = webhook(nowhere().await);
    let outcomes = [webhook.start(&asking(Method::Push)).await, webhook.start(&asking(Method::Push)).await, webhook.start(&asking(Method::Push)).await];
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn m_14_polls_that_nobody_answers_prove_no_outage() {
    let sky = Sky::open(|heard| match (action(heard), heard.json()["transaction"].as_str().unwrap().ends_with("-none")) {
        ("poll", false) => Said::Silent,
        _ => good(heard),
    })
    .await;
    let webhook = webhook(sky.url());
    let ticket = Ticket(PUSH.into());
    for _ in 0..4 {
        assert_eq!(webhook.wait(&ticket).await, Ok(Progress::Pending(ticket.clone())));
    }
    assert_eq!(webhook.start(&asking(Method::Push)).await, Ok(Progress::Pending(ticket)));
}

#[tokio::test]
async fn what_goes_out_is_what_the_page_says_and_was_opted_in() {
    let sky = Sky::open(good).await;
    let full = asking_of(Method::Call, |alice| {
        let device = |provider: &str, id: &str| Device { provider: provider.into(), id: id.into(), label: "Phone".into() };
        alice.devices = vec![device("cloud", "d-1"), device("duo", "DPX")];
    });
    for (send, method) in [
        (Send::default(), Method::Call),
        (Send { name: true, email: true, phone: true, source: true }, Method::Call),
        (Send { phone: true, ..Send::default() }, Method::Push),
    ] {
        let webhook = Webhook::new(Settings { send, ..settings(sky.url()) }, "mfa1", clock()).unwrap();
        let mut asking = full.clone();
        asking.choice.method = method;
        webhook.start(&asking).await.unwrap();
    }
    let said: Vec<serde_json::Value> = sky.heard().iter().map(Heard::json).collect();
    let bare = serde_json::json!({
        "transaction": "00000000000000000000000000005eed-call", "account": { "id": "S-1-5-21-1-2-3-1104", "devices": ["d-1"] },
        "method": "call", "mode": "standard", "client": "vpn-gate_1", "server": "mfa1", "language": "de",
    });
    assert_eq!(said[0], bare);
    let mut all = bare.clone();
    all["account"] = serde_json::json!({
        "id": "S-1-5-21-1-2-3-1104", "devices": ["d-1"], "name": "alice", "given_name": "Alice", "family_name": "Adams",
        "mail": "alice.adams@corp.example", "phone": "+4917012345678",
    });
    all["source"] = "192.0.2.7".into();
    assert_eq!(said[1], all);
    assert_eq!(said[2].get("mode"), None);
    assert_eq!(said[2]["account"].get("phone"), None, "a push needs no number");
    assert_eq!(sky.heard()[0].header("vestibule-timestamp"), NOW_S.to_string());
    let nonces: std::collections::BTreeSet<String> = sky.heard().iter().map(|heard| heard.header("vestibule-nonce").to_owned()).collect();
    assert_eq!(nonces.len(), 3, "no nonce twice");
}

#[tokio::test]
async fn a_question_is_taken_back_by_its_name() {
    let sky = Sky::open(good).await;
    webhook(sky.url()).cancel(&Ticket(PUSH.into())).await;
    let heard = sky.heard();
    assert_eq!((heard[0].line().as_str(), heard[0].json()), ("POST /cancel", serde_json::json!({ "transaction": PUSH })));
}

#[tokio::test]
async fn m_30_a_call_may_want_the_pin_that_the_service_has_of_the_person() {
    let sky = Sky::open(good).await;
    let webhook = Webhook::new(Settings { call_pin: true, ..settings(sky.url()) }, "mfa1", clock()).unwrap().with_poll_max(TIMEOUT);
    assert_eq!(settle(&webhook, &asking(Method::Call)).await, ALLOWED);
    assert_eq!(sky.heard()[0].json()["mode"], "pin");
    webhook.start(&asking(Method::Text)).await.unwrap();
    assert_eq!(sky.heard().last().unwrap().json().get("mode"), None, "a text has no such thing");
}

#[tokio::test]
async fn the_end_of_a_login_is_told_signed_and_in_as_many_words() {
    let sky = Sky::open(good).await;
    let webhook = Webhook::new(Settings { tell_end: true, ..settings(format!("{}/bridge/v1", sky.url())) }, "mfa1", clock()).unwrap();
    assert!(webhook.hears_ends() && !self::webhook(sky.url()).hears_ends());
    webhook.ended(Trace(0x5eed), Method::Push, Fate::Reject, "disabled").await;
    let heard = sky.heard().pop().unwrap();
    assert_eq!(heard.line(), "POST /bridge/v1/end");
    assert_eq!(heard.json(), serde_json::json!({ "transaction": PUSH, "outcome": "reject", "why": "disabled" }));
    let lines = format!("request\nPOST /bridge/v1/end\n{NOW_S}\n{}", heard.header("vestibule-nonce"));
    assert_eq!(heard.header("vestibule-signature"), signature(KEY, &lines, &heard.body));
}

#[tokio::test]
async fn a_service_that_does_not_hear_the_end_holds_up_so_many_and_no_more() {
    let sky = Sky::open(|heard| if action(heard) == "end" { Said::Silent } else { good(heard) }).await;
    let webhook = Arc::new(Webhook::new(Settings { tell_end: true, ..settings(sky.url()) }, "mfa1", clock()).unwrap());
    let told: Vec<_> = (0..200)
        .map(|nth| {
            let webhook = Arc::clone(&webhook);
            tokio::spawn(async move { webhook.ended(Trace(nth), Method::Push, Fate::Accept, "factor").await })
        })
        .collect();
    for one in told {
        tokio::time::timeout(Duration::from_secs(10), one).await.expect("it never ended").unwrap();
    }
    assert!((1..=64).contains(&sky.heard().len()), "{}", sky.heard().len());
}
