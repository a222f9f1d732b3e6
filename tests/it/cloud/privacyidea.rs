//! privacyIDEA: codes, challenges and push, against every lie and all weather.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use vestibule::domain::Device;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::provider::privacyidea::Caller;
use vestibule::provider::privacyidea::PrivacyIdea;
use vestibule::provider::privacyidea::Settings;

use super::*;

const CHECK: &str = "POST /validate/check";
const TRIGGER: &str = "POST /validate/triggerchallenge";
const POLL: &str = "GET /validate/polltransaction/0123456789";
const AUTH: &str = "POST /auth";

fn service() -> Caller {
    Caller::Service { name: "vestibule".into(), password: Secret::from("Serv1ce") }
}

fn at(url: String, change: impl FnOnce(&mut Settings)) -> PrivacyIdea {
    let mut settings =
        Settings { name: "cloud".into(), url, ca_file: None, timeout: TIMEOUT, realm: Some("corp".into()), caller: service(), send_source: false };
    change(&mut settings);
    PrivacyIdea::new(settings, clock()).unwrap()
}

/// A session that ends at this moment, in seconds.
fn session(ends_s: u64) -> Said {
    use base64::Engine as _;
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{ends_s}}}"#));
    said(&format!(r#"{{"token":"e30.{claims}.sig"}}"#), "ACCEPT", "null")
}

fn said(value: &str, authentication: &str, detail: &str) -> Said {
    Said::json(200, &format!(r#"{{"id":2,"jsonrpc":"2.0","result":{{"status":true,"value":{value},"authentication":"{authentication}"}},"detail":{detail}}}"#))
}

fn accepts(serial: &str) -> Said {
    said("true", "ACCEPT", &format!(r#"{{"message":"matching 1 tokens","serial":"{serial}"}}"#))
}

fn rejects() -> Said {
    said("false", "REJECT", r#"{"message":"wrong otp value"}"#)
}

fn fault(status: u16, code: i64) -> Said {
    Said::json(status, &format!(r#"{{"id":1,"result":{{"status":false,"error":{{"code":{code},"message":"ERR"}}}},"detail":null}}"#))
}

fn challenge(serial: &str, kind: &str) -> String {
    format!(r#"{{"serial":"{serial}","transaction_id":"0123456789","type":"{kind}","client_mode":"interactive","message":"enter it"}}"#)
}

fn triggered(challenges: &[String]) -> Said {
    let detail = format!(r#"{{"transaction_id":"0123456789","multi_challenge":[{}]}}"#, challenges.join(","));
    said(&challenges.len().to_string(), "CHALLENGE", &detail)
}

/// A server that does what it must for alice: a code 123456 that is good once, a text with 654321, a push that is approved at the second look.
fn good() -> impl Fn(&Heard) -> Said + Clone + Send + Sync + 'static {
    let looks = Arc::new(AtomicUsize::new(0));
    move |heard| {
        let body = heard.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        match heard.line().as_str() {
            AUTH if text("password") == "Serv1ce" => session(NOW_MS / 1_000 + 3_600),
            AUTH => fault(401, 4_031),
            TRIGGER if heard.header("pi-authorization").is_empty() => fault(401, 4_033),
            TRIGGER if text("user") != "alice" => fault(400, 904),
            TRIGGER => triggered(&[challenge(&format!("{}-1", text("type")), &text("type"))]),
            POLL if looks.fetch_add(1, Ordering::Relaxed) == 0 => said("false", "REJECT", r#"{"challenge_status":"pending"}"#),
            POLL => said("true", "ACCEPT", r#"{"challenge_status":"accept"}"#),
            CHECK if text("user") != "alice" => fault(400, 904),
            CHECK => match (text("transaction_id").as_str(), text("pass").as_str()) {
                ("", "123456") => accepts("HOTP-1"),
                ("0123456789", "654321") => accepts("sms-1"),
                ("0123456789", "") => accepts("push-1"),
                _ => rejects(),
            },
            line if line.starts_with("GET /validate/polltransaction/0000") => said("false", "REJECT", "{}"),
            _ => fault(404, 601),
        }
    }
}

async fn code(provider: &PrivacyIdea, method: Method, typed: &str) -> Outcome {
    let asking = asking(method);
    match provider.start(&asking).await? {
        Progress::CodeNeeded { ticket } => provider.verify(&asking, ticket.as_ref(), &Secret::from(typed)).await,
        other => Ok(other),
    }
}

async fn push(provider: &PrivacyIdea) -> Outcome {
    settle(provider, &asking(Method::Push)).await
}

#[tokio::test]
async fn a_code_goes_out_with_the_name_and_the_realm_and_nothing_else() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |_| {});
    assert_eq!(code(&provider, Method::Oath, "123456").await, ALLOWED);
    assert_eq!(code(&provider, Method::Oath, "123457").await, Err(FactorError::BadCode));
    assert_eq!(sky.lines(), [CHECK, CHECK], "nobody is asked before there is a code");
    assert_eq!(sky.heard()[0].json(), serde_json::json!({"user": "alice", "realm": "corp", "pass": "123456"}));
    assert_eq!(sky.heard()[0].header("pi-authorization"), "", "who checks a code need not say who he is");
}

#[tokio::test]
async fn where_the_person_is_goes_out_only_when_told() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |settings| settings.send_source = true);
    assert_eq!(code(&provider, Method::Oath, "123456").await, ALLOWED);
    assert_eq!(sky.heard()[0].json()["client"], "192.0.2.7");
}

#[tokio::test]
async fn a_token_named_at_the_account_is_the_only_one_that_counts() {
    let sky = Sky::open(|heard| if heard.json()["serial"] == "HOTP-1" { accepts("HOTP-1") } else { accepts("HOTP-2") }).await;
    let provider = at(sky.url(), |_| {});
    let with = |serial: &'static str| asking_of(Method::Oath, |account| account.devices = vec![device("other", "X"), device("cloud", serial)]);
    let typed = Secret::from("123456");
    assert_eq!(provider.verify(&with("HOTP-1"), None, &typed).await, ALLOWED);
    assert_eq!(sky.heard()[0].json(), serde_json::json!({"user": "alice", "realm": "corp", "pass": "123456", "serial": "HOTP-1", "otponly": "1"}));
    assert_eq!(provider.verify(&with("HOTP-3"), None, &typed).await, Err(FactorError::Misconfigured), "another token answered");
}

fn device(provider: &str, id: &str) -> Device {
    Device { provider: provider.into(), id: id.into(), label: "token".into() }
}

#[tokio::test]
async fn a_text_is_triggered_once_and_its_code_checked_against_that_transaction() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |_| {});
    assert_eq!(code(&provider, Method::Text, "654321").await, ALLOWED);
    assert_eq!(code(&provider, Method::Text, "123456").await, Err(FactorError::BadCode), "a code of another kind");
    assert_eq!(sky.lines(), [AUTH, TRIGGER, CHECK, TRIGGER, CHECK], "one session serves both");
    assert_eq!(sky.heard()[1].json(), serde_json::json!({"user": "alice", "realm": "corp", "type": "sms"}));
    assert_eq!(sky.heard()[2].json(), serde_json::json!({"user": "alice", "realm": "corp", "pass": "654321", "transaction_id": "0123456789"}));
}

#[tokio::test]
async fn a_push_that_is_approved_is_finished_by_a_check_and_only_then_lets_in() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |_| {});
    assert_eq!(push(&provider).await, ALLOWED);
    assert_eq!(sky.lines(), [AUTH, TRIGGER, POLL, POLL, CHECK]);
    assert_eq!(sky.heard()[4].json(), serde_json::json!({"user": "alice", "realm": "corp", "pass": "", "transaction_id": "0123456789"}));
}

#[tokio::test]
async fn m_12_an_approval_that_the_check_does_not_confirm_opens_nothing() {
    for finish in [rejects(), said("false", "DECLINED", "null"), said("false", "CHALLENGE", "null")] {
        let good = good();
        let sky = Sky::open(move |heard| if heard.line() == CHECK { finish.clone() } else { good(heard) }).await;
        assert_eq!(push(&at(sky.url(), |_| {})).await, DENIED);
    }
}

#[tokio::test]
async fn m_12_what_speaks_of_somebody_else_opens_nothing() {
    let strangers = [
        r#"{"serial":"push-1","user":{"username":"mallory"}}"#,
        r#"{"serial":"push-2"}"#,
        r#"{"serial":"push-1","transaction_id":"9876543210"}"#,
        r#"{"serial":["push-1"]}"#,
        r#"{"serial":"push-1","user":{"username":"alice","realm":"elsewhere"}}"#,
    ];
    for detail in strangers {
        let (good, finish) = (good(), said("true", "ACCEPT", detail));
        let sky = Sky::open(move |heard| if heard.line() == CHECK { finish.clone() } else { good(heard) }).await;
        assert_eq!(push(&at(sky.url(), |_| {})).await, Err(FactorError::Misconfigured), "{detail}");
    }
    let sky = Sky::open(|_| said("true", "ACCEPT", r#"{"serial":"HOTP-1","user":{"username":"ALICE","realm":"Corp"}}"#)).await;
    assert_eq!(code(&at(sky.url(), |_| {}), Method::Oath, "123456").await, ALLOWED, "case means nothing to it");
}

#[tokio::test]
async fn every_no_is_told_apart() {
    for (status, want) in [("declined", DENIED), ("cancelled", DENIED), ("quantum", DENIED)] {
        let (good, poll) = (good(), said("false", "DECLINED", &format!(r#"{{"challenge_status":"{status}"}}"#)));
        let sky = Sky::open(move |heard| if heard.line() == POLL { poll.clone() } else { good(heard) }).await;
        assert_eq!(push(&at(sky.url(), |_| {})).await, want, "{status}");
    }
    for (refusal, want) in [
        (fault(400, 904), FactorError::NotEnrolled),
        (fault(404, 601), FactorError::NotEnrolled),
        (fault(400, 1_007), FactorError::Locked),
        (fault(400, 905), FactorError::Misconfigured),
        (fault(403, 303), FactorError::Misconfigured),
        (fault(400, -311), FactorError::Misconfigured),
    ] {
        let (good, again) = (good(), refusal.clone());
        let sky = Sky::open(move |heard| if heard.line() == TRIGGER { again.clone() } else { good(heard) }).await;
        let provider = at(sky.url(), |_| {});
        assert_eq!(push(&provider).await, Err(want), "{refusal:?}");
        assert_eq!(code(&provider, Method::Text, "654321").await, Err(want), "{refusal:?}");
        let sky = Sky::open(move |_| refusal.clone()).await;
        assert_eq!(code(&at(sky.url(), |_| {}), Method::Oath, "123456").await, Err(want));
    }
}

#[tokio::test]
async fn a_person_without_a_token_of_the_method_is_not_enrolled() {
    let none = said("0", "REJECT", r#"{"messages":[],"multi_challenge":[],"transaction_ids":[]}"#);
    for answer in [none, said("1", "CHALLENGE", r#"{"messages":[]}"#), triggered(&[challenge("E1", "email")])] {
        let good = good();
        let sky = Sky::open(move |heard| if heard.line() == TRIGGER { answer.clone() } else { good(heard) }).await;
        let provider = at(sky.url(), |_| {});
        assert_eq!(push(&provider).await, Err(FactorError::NotEnrolled));
    }
}

#[tokio::test]
async fn tokens_asked_beside_the_one_that_was_meant_do_not_stand_for_it() {
    let both = [challenge("P1", "push"), challenge("S1", "sms")];
    let good = good();
    let sky = Sky::open(move |heard| match heard.line().as_str() {
        TRIGGER => triggered(&both),
        CHECK => accepts("P1"),
        _ => good(heard),
    })
    .await;
    assert_eq!(code(&at(sky.url(), |_| {}), Method::Text, "654321").await, Err(FactorError::Misconfigured), "the phone's token answered for a text");
}

#[tokio::test]
async fn m_17_a_pin_alone_is_no_code_whatever_it_triggers() {
    let asks = triggered(&[challenge("H1", "hotp")]);
    let sky = Sky::open(move |_| asks.clone()).await;
    let value = said("false", "CHALLENGE", r#"{"multi_challenge":[]}"#);
    assert_eq!(code(&at(sky.url(), |_| {}), Method::Oath, "9911").await, Err(FactorError::Misconfigured), "a number is no answer to a check");
    let sky = Sky::open(move |_| value.clone()).await;
    assert_eq!(code(&at(sky.url(), |_| {}), Method::Oath, "9911").await, Err(FactorError::BadCode));
}

#[tokio::test]
async fn m_02_m_17_what_is_no_code_never_leaves_us() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |_| {});
    for typed in ["", " 123456", "12 3456", "１２３４５６", "12\n3456", "123456\u{0}", &"1".repeat(129)] {
        assert_eq!(code(&provider, Method::Oath, typed).await, Err(FactorError::BadCode), "{typed:?}");
    }
    assert_eq!(sky.lines(), [""; 0]);
}

#[tokio::test]
async fn a_session_is_begun_when_the_one_before_has_ended_or_is_refused_and_once_each_time() {
    let (sessions, refusals) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let good = good();
    let sky = Sky::open(move |heard| match heard.line().as_str() {
        // The first ends at once by its own word, the second is refused though it says that it is good.
        AUTH => session(NOW_MS / 1_000 + if sessions.fetch_add(1, Ordering::Relaxed) == 0 { 0 } else { 3_600 }),
        TRIGGER if refusals.fetch_add(1, Ordering::Relaxed) == 1 => fault(401, 4_305),
        _ => good(heard),
    })
    .await;
    let provider = at(sky.url(), |_| {});
    for _ in 0..3 {
        assert_eq!(code(&provider, Method::Text, "654321").await, ALLOWED);
    }
    assert_eq!(sky.lines(), [AUTH, TRIGGER, CHECK, AUTH, TRIGGER, AUTH, TRIGGER, CHECK, TRIGGER, CHECK]);
}

#[tokio::test]
async fn m_14_a_wrong_key_is_our_fault_and_does_not_knock_again_at_once() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |settings| settings.caller = Caller::Service { name: "vestibule".into(), password: Secret::from("wrong") });
    for _ in 0..4 {
        assert_eq!(push(&provider).await, Err(FactorError::Misconfigured));
    }
    assert_eq!(sky.lines(), [AUTH], "the account there would be locked");
    let always = Sky::open(|heard| if heard.line() == AUTH { session(NOW_MS) } else { fault(401, 4_306) }).await;
    assert_eq!(push(&at(always.url(), |_| {})).await, Err(FactorError::Misconfigured));
    assert_eq!(always.lines(), [AUTH, TRIGGER, AUTH, TRIGGER], "one refresh and no more");
    for caller in [Caller::Nobody, Caller::Key(Secret::from("a.b.c"))] {
        let sky = Sky::open(|_| fault(401, 4_033)).await;
        let provider = at(sky.url(), |settings| settings.caller = caller.clone());
        assert_eq!(push(&provider).await, Err(FactorError::Misconfigured), "{caller:?}");
        assert_eq!(sky.lines(), [TRIGGER]);
        assert_eq!(sky.heard()[0].header("pi-authorization"), if matches!(caller, Caller::Nobody) { "" } else { "a.b.c" });
    }
}

#[tokio::test]
async fn a_key_goes_with_every_request() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |settings| settings.caller = Caller::Key(Secret::from("a.b.c")));
    assert_eq!(push(&provider).await, ALLOWED);
    assert!(sky.heard().iter().all(|heard| heard.header("pi-authorization") == "a.b.c"));
    assert_eq!(sky.lines(), [TRIGGER, POLL, POLL, CHECK]);
}

#[tokio::test]
async fn what_it_does_not_do_is_our_mistake() {
    let sky = Sky::open(good()).await;
    let provider = at(sky.url(), |_| {});
    assert_eq!(provider.start(&asking(Method::Call)).await, Err(FactorError::Misconfigured));
    assert_eq!(provider.wait(&Ticket("no-ticket-of-ours".into())).await, Err(FactorError::Misconfigured));
    assert_eq!(sky.lines().len(), 0, "{:?}", sky.lines());
}

#[tokio::test]
async fn m_12_transactions_that_do_not_agree_or_cannot_be_are_refused() {
    let other = challenge("P2", "push").replace("0123456789", "999");
    let mixed = format!(r#"{{"transaction_id":"0123456789","multi_challenge":[{},{other}]}}"#, challenge("P1", "push"));
    let outside = format!(r#"{{"transaction_id":"999","multi_challenge":[{}]}}"#, challenge("P1", "push"));
    let path = mixed.replace("0123456789", "../auth").replace("999", "../auth");
    let spaces = outside.replace("999", "0123456789").replace("P1", "P 1");
    let crowd = format!(r#"{{"multi_challenge":[{}]}}"#, (0..40).map(|n| challenge(&format!("PUSH0000000000{n}"), "push")).collect::<Vec<_>>().join(","));
    let stranger = format!(r#"{{"user":{{"username":"bob"}},"multi_challenge":[{}]}}"#, challenge("P1", "push"));
    for detail in [mixed, outside, path, spaces, crowd, stranger] {
        let (good, answer) = (good(), said("1", "CHALLENGE", &detail));
        let sky = Sky::open(move |heard| if heard.line() == TRIGGER { answer.clone() } else { good(heard) }).await;
        assert_eq!(push(&at(sky.url(), |_| {})).await, Err(FactorError::Misconfigured), "{detail}");
        assert_eq!(sky.lines(), [AUTH, TRIGGER]);
    }
}

/// Bodies that look like approval to whoever does not look closely.
fn lies() -> Vec<(&'static str, Said)> {
    let body = |text: &str| Said::json(200, text);
    vec![
        ("no status", body(r#"{"result":{"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("status false", body(r#"{"result":{"status":false,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("status text", body(r#"{"result":{"status":"true","value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("value text", body(r#"{"result":{"status":true,"value":"true","authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("value one", body(r#"{"result":{"status":true,"value":1.5,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("twice", body(r#"{"result":{"status":true,"value":false,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("result twice", body(r#"{"result":{"status":false},"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("result list", body(r#"{"result":[true,true,"ACCEPT",null]}"#)),
        ("all lists", body(r#"[[true,true,"ACCEPT",null],null]"#)),
        ("word list", body(r#"{"result":{"status":true,"value":true,"authentication":["ACCEPT"]},"detail":{"serial":"HOTP-1"}}"#)),
        ("space", body(r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT "},"detail":{"serial":"HOTP-1"}}"#)),
        ("small", body(r#"{"result":{"status":true,"value":true,"authentication":"accept"},"detail":{"serial":"HOTP-1"}}"#)),
        ("challenge", body(r#"{"result":{"status":true,"value":true,"authentication":"CHALLENGE"},"detail":{"serial":"HOTP-1"}}"#)),
        ("no word", body(r#"{"result":{"status":true,"value":true},"detail":{"serial":"HOTP-1"}}"#)),
        ("false accept", body(r#"{"result":{"status":true,"value":false,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("tail", body(r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}} x"#)),
        ("half", body(r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"}"#)),
        ("detail text", body(r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":"accept"}"#)),
        ("201", Said::json(201, r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        ("400", Said::json(400, r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":{"serial":"HOTP-1"}}"#)),
        // What policies that pass people through say: no token was asked.
        ("no detail", body(r#"{"result":{"status":true,"value":true,"authentication":"ACCEPT"}}"#)),
        ("null detail", said("true", "ACCEPT", "null")),
        ("empty detail", said("true", "ACCEPT", "{}")),
        ("message alone", said("true", "ACCEPT", r#"{"message":"user has no token, accepted"}"#)),
        ("empty serial", said("true", "ACCEPT", r#"{"serial":""}"#)),
        ("null serial", said("true", "ACCEPT", r#"{"serial":null}"#)),
        ("fault in 200", Said::json(200, r#"{"result":{"status":false,"error":{"code":904}}}"#)),
    ]
}

#[tokio::test]
async fn m_13_m_18_no_lie_and_no_weather_at_the_check_lets_anybody_in() {
    let ask = async |url: String| code(&at(url, |_| {}), Method::Oath, "123456").await;
    let became = storm("/validate/check", good(), &lies(), ask).await;
    assert_became(&became, &["cut", "silent", "endless", "500", "503", "dead"], &Err(FactorError::Faltering));
    assert_became(&became, &["429"], &Err(FactorError::Throttled));
    let names: Vec<_> = lies().iter().map(|(name, _)| *name).collect();
    assert_became(&became, &names, &Err(FactorError::Misconfigured));
    let ask = async |url: String| push(&at(url, |_| {})).await;
    let became = storm("/validate/check", good(), &lies(), ask).await;
    assert_became(&became, &names, &Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_13_m_18_no_lie_and_no_weather_where_challenges_are_triggered_lets_anybody_in() {
    for at_path in ["/auth", "/validate/triggerchallenge"] {
        let became = storm(at_path, good(), &lies(), async |url: String| code(&at(url, |_| {}), Method::Text, "654321").await).await;
        assert_became(&became, &["redirect", "empty", "page", "204", "huge"], &Err(FactorError::Misconfigured));
    }
}

#[tokio::test]
async fn m_14_a_look_that_is_lost_ends_no_login_and_opens_no_door() {
    let lost = AtomicUsize::new(0);
    let good = good();
    let sky = Sky::open(move |heard| match heard.line().as_str() {
        POLL if lost.fetch_add(1, Ordering::Relaxed) < 2 => Said::Cut,
        _ => good(heard),
    })
    .await;
    assert_eq!(push(&at(sky.url(), |_| {})).await, ALLOWED);
    let lies = [
        ("true and pending", said("true", "ACCEPT", r#"{"challenge_status":"pending"}"#)),
        ("true and nothing", said("true", "ACCEPT", "null")),
        ("false and accept", said("false", "REJECT", r#"{"challenge_status":"accept"}"#)),
        ("big", said("true", "ACCEPT", r#"{"challenge_status":"ACCEPT"}"#)),
        ("list", said("true", "ACCEPT", r#"{"challenge_status":["accept"]}"#)),
    ];
    for (name, lie) in lies {
        let good = self::good();
        let sky = Sky::open(move |heard| if heard.line() == POLL { lie.clone() } else { good(heard) }).await;
        let outcome = push(&at(sky.url(), |_| {})).await;
        assert!(outcome == DENIED || outcome == Err(FactorError::Misconfigured), "{name}: {outcome:?}");
        assert!(!sky.lines().contains(&CHECK.to_owned()), "{name}: it was taken for an approval");
    }
}

#[tokio::test]
async fn m_14_nobody_there_is_an_outage_from_the_third_time_on() {
    let provider = at(nowhere().await, |_| {});
    let mut outcomes = Vec::new();
    for method in [Method::Oath, Method::Text, Method::Oath, Method::Push] {
        outcomes.push(if method == Method::Push { push(&provider).await } else { code(&provider, method, "123456").await });
    }
    let [faltering, away] = [FactorError::Faltering, FactorError::Unreachable].map(Err);
    assert_eq!(outcomes, [faltering.clone(), faltering, away.clone(), away]);
}

#[tokio::test]
async fn a_question_that_nobody_answers_stays_open_and_is_looked_at_in_turn() {
    let good = good();
    let sky = Sky::open(move |heard| if heard.line() == POLL { said("false", "REJECT", r#"{"challenge_status":"pending"}"#) } else { good(heard) }).await;
    let provider = at(sky.url(), |_| {});
    let Ok(Progress::Pending(ticket)) = provider.start(&asking(Method::Push)).await else { panic!() };
    let waited = tokio::time::timeout(Duration::from_millis(1_200), provider.wait(&ticket)).await;
    assert!(waited.is_err(), "it ended by itself: {waited:?}");
    let looks = sky.lines().iter().filter(|line| *line == POLL).count();
    assert!((2..=6).contains(&looks), "{looks} looks in a second");
}

#[tokio::test]
async fn a_probe_begins_a_session_and_asks_about_nobody() {
    let sky = Sky::open(good()).await;
    let outcome = at(sky.url(), |_| {}).probe().await;
    assert!(sky.lines().iter().all(|line| line == "POST /auth" || line.starts_with("GET /validate/polltransaction/0000")), "{:?}", sky.lines());
    assert!(matches!(outcome, Probed::Well { .. }), "{outcome:?}");
}
