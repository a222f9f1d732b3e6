//! Okta: its answers as they are, and as they must never be believed.

use std::time::Duration;

use vestibule::domain::Device;
use vestibule::domain::FactorError;
use vestibule::domain::Method;
use vestibule::domain::Number;
use vestibule::domain::Progress;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::ports::Provider;
use vestibule::provider::login::By;
use vestibule::provider::login::Login;
use vestibule::provider::okta::Okta;
use vestibule::provider::okta::Settings;

use super::*;

const USER: &str = "/api/v1/users/00u1alice";
const FACTORS: &str = r#"[
    {"id":"opf1","factorType":"push","provider":"OKTA","vendorName":"OKTA","status":"ACTIVE","profile":{"name":"Pixel"}},
    {"id":"mbl1","factorType":"sms","provider":"OKTA","status":"ACTIVE","profile":{"phoneNumber":"+49 XXX"}},
    {"id":"clf1","factorType":"call","provider":"OKTA","status":"ACTIVE"},
    {"id":"emf1","factorType":"email","provider":"OKTA","status":"ACTIVE"},
    {"id":"ost1","factorType":"token:software:totp","provider":"OKTA","status":"ACTIVE"},
    {"id":"ufs1","factorType":"token:software:totp","provider":"GOOGLE","status":"ACTIVE"}
]"#;

fn user(status: &str) -> Said {
    Said::json(200, &format!(r#"{{"id":"00u1alice","status":"{status}","profile":{{"login":"alice@corp.example","email":"x@y"}},"_links":{{}}}}"#))
}

fn link(heard: &Heard, factor: &str, transaction: &str) -> String {
    format!("http://{}{USER}/factors/{factor}/transactions/{transaction}", heard.header("host"))
}

/// A push that went out, with this number.
fn pushed(heard: &Heard, number: &str) -> Said {
    let link = link(heard, "opf1", "mst1");
    let embedded = if number.is_empty() { String::new() } else { format!(r#","_embedded":{{"challenge":{{"correctAnswer":{number}}}}}"#) };
    Said::json(
        201,
        &format!(
            r#"{{"factorResult":"WAITING","expiresAt":"2027-01-15T08:05:00.000Z","profile":{{"credentialId":"alice"}},
                "_links":{{"poll":{{"href":"{link}","hints":{{"allow":["GET"]}}}},"cancel":{{"href":"{link}","hints":{{"allow":["DELETE"]}}}}}}{embedded}}}"#
        ),
    )
}

fn result(word: &str) -> Said {
    Said::json(200, &format!(r#"{{"factorResult":"{word}","profile":{{"credentialId":"alice"}},"_links":{{}}}}"#))
}

fn refusal(status: u16, code: &str) -> Said {
    Said::json(status, &format!(r#"{{"errorCode":"{code}","errorSummary":"..","errorLink":"{code}","errorId":"oae","errorCauses":[]}}"#))
}

/// Alice with every factor, whose push is approved and whose code is 123456.
fn good(heard: &Heard) -> Said {
    let code = heard.json()["passCode"].as_str().map(str::to_owned);
    match (heard.method.as_str(), heard.path.strip_prefix(USER)) {
        ("GET", None) if heard.path == "/api/v1/users/alice%40corp.example" => user("ACTIVE"),
        ("GET", Some("/factors")) => Said::json(200, FACTORS),
        ("POST", Some("/factors/opf1/verify")) => pushed(heard, "72"),
        ("GET", Some("/factors/opf1/transactions/mst1")) => result("SUCCESS"),
        ("POST", Some(_)) => match code.as_deref() {
            None => result("CHALLENGE"),
            Some("123456") => result("SUCCESS"),
            Some(_) => refusal(403, "E0000068"),
        },
        ("DELETE", Some(_)) => Said::json(204, ""),
        _ => refusal(404, "E0000007"),
    }
}

/// As [`good`], but for requests whose line holds `at`.
fn but(at: &'static str, said: Said) -> impl Fn(&Heard) -> Said {
    move |heard| if heard.line().contains(at) { said.clone() } else { good(heard) }
}

fn okta_with(url: String, change: impl FnOnce(&mut Settings)) -> Okta {
    let mut settings = Settings {
        name: "okta".into(),
        host: "corp.okta.example".into(),
        token: Secret::from("00token"),
        login: Login { by: By::Name, domain: Some("corp.example".into()) },
        number_match: true,
        send_source: true,
        url: Some(url),
        ca_file: Some(authority()),
        timeout: TIMEOUT,
    };
    change(&mut settings);
    Okta::new(settings).unwrap().with_pace(Duration::from_millis(10), Duration::from_millis(20))
}

fn okta(url: String) -> Okta {
    okta_with(url, |_| {})
}

async fn push(url: String) -> Outcome {
    let okta = okta(url);
    match okta.start(&asking(Method::Push)).await {
        Ok(Progress::Pending(ticket) | Progress::Choose { ticket, .. }) => okta.wait(&ticket).await,
        other => other,
    }
}

async fn code_by(okta: &Okta, method: Method, code: &str) -> Outcome {
    match okta.start(&asking(method)).await {
        Ok(Progress::CodeNeeded { ticket }) => okta.verify(&asking(method), ticket.as_ref(), &Secret::from(code)).await,
        other => other,
    }
}

async fn outcome(script: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Outcome {
    let sky = Sky::open(script).await;
    push(sky.url()).await
}

#[tokio::test]
async fn m_11_a_push_shows_the_number_of_its_own_question() {
    let sky = Sky::open(|heard| match heard.line().as_str() {
        "POST /api/v1/users/00u1alice/factors/opf1/verify" => pushed(heard, "72"),
        // The number of whatever else is out is no business of ours.
        "GET /api/v1/users/00u1alice/factors/opf1/transactions/mst1" => {
            Said::json(200, r#"{"factorResult":"SUCCESS","_embedded":{"challenge":{"correctAnswer":11}}}"#)
        }
        _ => good(heard),
    })
    .await;
    let okta = okta(sky.url());
    let Ok(Progress::Choose { ticket, number }) = okta.start(&asking(Method::Push)).await else { panic!("no number") };
    assert_eq!(number, Number::new("72").unwrap());
    assert_eq!(&*ticket.0, "/api/v1/users/00u1alice/factors/opf1/transactions/mst1");
    assert_eq!(okta.wait(&ticket).await, ALLOWED);
    let heard = sky.heard();
    let asked = heard.iter().find(|heard| heard.method == "POST").unwrap();
    assert_eq!(asked.json()["useNumberMatchingChallenge"], true);
    assert_eq!(asked.header("authorization"), "SSWS 00token");
    assert_eq!((asked.header("x-forwarded-for"), asked.header("user-agent").contains("vpn-gate_1")), ("192.0.2.7", true));
}

#[tokio::test]
async fn m_11_a_push_without_its_number_is_taken_back() {
    let sky = Sky::open(|heard| if heard.method == "POST" { pushed(heard, "") } else { good(heard) }).await;
    assert_eq!(okta(sky.url()).start(&asking(Method::Push)).await, Err(FactorError::Misconfigured));
    assert_eq!(sky.lines().last().unwrap(), "DELETE /api/v1/users/00u1alice/factors/opf1/transactions/mst1");
    let plain = okta_with(sky.url(), |settings| settings.number_match = false);
    assert!(matches!(plain.start(&asking(Method::Push)).await, Ok(Progress::Pending(_))));
    assert!(sky.heard().last().unwrap().body.is_empty(), "a plain push has no body");
}

#[tokio::test]
async fn what_becomes_of_a_push() {
    let words = [
        ("SUCCESS", ALLOWED),
        ("REJECTED", DENIED),
        ("TIMEOUT", Err(FactorError::Expired)),
        ("EXPIRED", Err(FactorError::Expired)),
        ("CANCELED", Err(FactorError::Expired)),
        ("FAILED", DENIED),
        ("ERROR", DENIED),
        ("QUANTUM", DENIED),
    ];
    for (word, want) in words {
        assert_eq!(outcome(but("/transactions/", result(word))).await, want, "{word}");
    }
}

#[tokio::test]
async fn a_question_is_looked_at_until_it_is_answered() {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let sky = Sky::open(move |heard| match heard.line().contains("GET") && heard.path.contains("/transactions/") {
        true if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 4 => result("WAITING"),
        _ => good(heard),
    })
    .await;
    assert_eq!(settle(&okta(sky.url()), &asking(Method::Push)).await, ALLOWED);
    let lines = sky.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("POST")).count(), 1, "one push: {lines:?}");
    assert_eq!(lines.iter().filter(|line| line.contains("/transactions/")).count(), 5);
}

#[tokio::test]
async fn a_push_nobody_waits_for_is_taken_back() {
    let sky = Sky::open(good).await;
    okta(sky.url()).cancel(&Ticket("/api/v1/users/00u1alice/factors/opf1/transactions/mst1".into())).await;
    assert_eq!(sky.lines(), ["DELETE /api/v1/users/00u1alice/factors/opf1/transactions/mst1"]);
}

#[tokio::test]
async fn codes_by_text_call_mail_and_generator() {
    let sky = Sky::open(good).await;
    for method in [Method::Text, Method::Call, Method::Email, Method::Oath] {
        let okta = okta(sky.url());
        assert_eq!(code_by(&okta, method, "123456").await, ALLOWED, "{method:?}");
        assert_eq!(code_by(&okta, method, "000000").await, Err(FactorError::BadCode), "{method:?}");
    }
}

#[tokio::test]
async fn m_02_what_cannot_be_a_code_is_not_sent() {
    let sky = Sky::open(good).await;
    for code in ["", "123 456", "+123456", "１２３４５６", "12345\u{0}"] {
        assert_eq!(okta(sky.url()).verify(&asking(Method::Oath), None, &Secret::from(code)).await, Err(FactorError::BadCode), "{code:?}");
    }
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn m_12_a_code_counts_for_the_factor_that_sent_it_alone() {
    let sky = Sky::open(good).await;
    let okta = okta(sky.url());
    for strange in ["/api/v1/users/00u1alice/factors/ost1", "/api/v1/users/00u2bob/factors/mbl1", "mbl1", ""] {
        let ticket = Ticket(strange.into());
        assert_eq!(okta.verify(&asking(Method::Text), Some(&ticket), &Secret::from("123456")).await, Err(FactorError::NotEnrolled), "{strange}");
    }
    assert!(!sky.lines().iter().any(|line| line.starts_with("POST")));
}

#[tokio::test]
async fn a_code_may_be_of_any_of_a_persons_generators() {
    let sky = Sky::open(|heard| if heard.path.contains("ost1") { refusal(403, "E0000068") } else { good(heard) }).await;
    assert_eq!(code_by(&okta(sky.url()), Method::Oath, "123456").await, ALLOWED);
    let gone = Sky::open(|heard| if heard.method == "POST" { refusal(404, "E0000007") } else { good(heard) }).await;
    assert_eq!(code_by(&okta(gone.url()), Method::Oath, "123456").await, Err(FactorError::BadCode), "a factor is gone, and not the person");
    let named = asking_of(Method::Oath, |alice| alice.devices = vec![Device { provider: "cloud".into(), id: "ufs1".into(), label: "phone".into() }]);
    let before = sky.lines().len();
    assert_eq!(okta(sky.url()).verify(&named, None, &Secret::from("123456")).await, ALLOWED);
    assert!(!sky.lines()[before..].iter().any(|line| line.contains("ost1")), "the account's own comes first");
}

#[tokio::test]
async fn whom_okta_does_not_know_or_has_locked() {
    assert_eq!(outcome(but("GET /api/v1/users/alice", refusal(404, "E0000007"))).await, Err(FactorError::NotEnrolled));
    assert_eq!(outcome(but("/factors", Said::json(200, "[]"))).await, Err(FactorError::NotEnrolled));
    let inactive = FACTORS.replace("ACTIVE", "PENDING_ACTIVATION");
    assert_eq!(outcome(but("/factors", Said::json(200, &inactive))).await, Err(FactorError::NotEnrolled));
    assert_eq!(outcome(but("GET /api/v1/users/alice", user("LOCKED_OUT"))).await, Err(FactorError::Locked));
    assert_eq!(outcome(but("/verify", refusal(403, "E0000069"))).await, Err(FactorError::Locked));
    for status in ["SUSPENDED", "DEPROVISIONED", "STAGED", "QUANTUM", ""] {
        assert_eq!(outcome(but("GET /api/v1/users/alice", user(status))).await, Err(FactorError::NotEnrolled), "{status}");
    }
    let sky = Sky::open(good).await;
    let by_mail = okta_with(sky.url(), |settings| settings.login = Login { by: By::Mail, domain: None });
    let nowhere = asking_of(Method::Push, |alice| alice.mail = None);
    assert_eq!(by_mail.start(&nowhere).await, Err(FactorError::NotEnrolled));
}

#[tokio::test]
async fn a_wrong_token_is_ours_and_a_flood_is_nobodys() {
    assert_eq!(outcome(but("/api", refusal(401, "E0000011"))).await, Err(FactorError::Misconfigured));
    assert_eq!(outcome(but("/verify", refusal(403, "E0000006"))).await, Err(FactorError::Misconfigured));
    assert_eq!(outcome(but("/api", refusal(429, "E0000047"))).await, Err(FactorError::Throttled));
    let sky = Sky::open(|heard| if heard.path.contains("mbl1") { refusal(429, "E0000047") } else { good(heard) }).await;
    let okta = okta(sky.url());
    assert_eq!(code_by(&okta, Method::Text, "123456").await, Err(FactorError::Throttled));
    assert_eq!(code_by(&okta, Method::Call, "123456").await, ALLOWED, "one person's texts silence nobody else");
    let sky = Sky::open(but("/transactions/", refusal(429, "E0000047"))).await;
    assert!(matches!(push(sky.url()).await, Ok(Progress::Pending(_))), "that we look too often says nothing of the question");
}

#[tokio::test]
async fn a_person_is_looked_up_once_a_minute() {
    let sky = Sky::open(good).await;
    let okta = okta(sky.url());
    for _ in 0..3 {
        assert_eq!(code_by(&okta, Method::Oath, "123456").await, ALLOWED);
    }
    assert_eq!(sky.lines().iter().filter(|line| line.ends_with("/factors")).count(), 1, "{:?}", sky.lines());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    assert_eq!(code_by(&okta, Method::Oath, "123456").await, ALLOWED);
    assert_eq!(sky.lines().iter().filter(|line| line.ends_with("/factors")).count(), 2);
}

#[tokio::test]
async fn m_20_a_name_that_means_somebody_else_at_okta_is_refused() {
    let other = r#"{"id":"00u9admin","status":"ACTIVE","profile":{"login":"admin@corp.example"}}"#;
    assert_eq!(outcome(but("GET /api/v1/users/alice", Said::json(200, other))).await, Err(FactorError::Misconfigured));
    let sky = Sky::open(|heard| if heard.path.ends_with("/me") { Said::json(200, other) } else { good(heard) }).await;
    let short = okta_with(sky.url(), |settings| settings.login.domain = None);
    let me = asking_of(Method::Push, |alice| alice.name = "me".into());
    assert_eq!(short.start(&me).await, Err(FactorError::Misconfigured));
    for name in ["..", ".", ""] {
        let odd = asking_of(Method::Push, |alice| alice.name = name.into());
        assert_eq!(short.start(&odd).await, Err(FactorError::NotEnrolled), "{name}");
    }
    let slash = asking_of(Method::Push, |alice| alice.name = "../groups?x=1#".into());
    assert_eq!(short.start(&slash).await, Err(FactorError::NotEnrolled));
    assert_eq!(sky.lines().last().unwrap(), "GET /api/v1/users/..%2Fgroups%3Fx%3D1%23");
}

#[tokio::test]
async fn no_names_and_no_mail_leave_for_okta() {
    let sky = Sky::open(good).await;
    assert_eq!(settle(&okta(sky.url()), &asking(Method::Push)).await, ALLOWED);
    let all = format!("{:?}", sky.heard());
    for private in ["Alice", "Adams", "alice.adams", "17012345678", "S-1-5-21"] {
        assert!(!all.contains(private), "{private}: {all}");
    }
}

#[tokio::test]
async fn m_13_lies_about_a_push() {
    let lies = [
        ("trailing blank", result("SUCCESS ")),
        ("small letters", result("success")),
        ("allow", result("ALLOW ")),
        ("twice", Said::json(200, r#"{"factorResult":"REJECTED","factorResult":"SUCCESS"}"#)),
        ("list of words", Said::json(200, r#"{"factorResult":["SUCCESS"]}"#)),
        ("true word", Said::json(200, r#"{"factorResult":true}"#)),
        ("bare list", Said::json(200, r#"["SUCCESS",{},{}]"#)),
        ("something behind", Said::json(200, r#"{"factorResult":"SUCCESS"} x"#)),
        ("202", Said::json(202, r#"{"factorResult":"SUCCESS"}"#)),
        ("refusal", Said::json(403, r#"{"factorResult":"SUCCESS","errorCode":"E0000006"}"#)),
        (
            "other transaction",
            Said::json(
                200,
                r#"{"factorResult":"SUCCESS","_links":{"poll":{"href":"http://127.0.0.1/api/v1/users/00u1alice/factors/opf1/transactions/mst2"}}}"#,
            ),
        ),
    ];
    let became = storm("/transactions/", good, &lies, push).await;
    assert_became(&became, &["trailing blank", "small letters", "allow"], &DENIED);
    assert_became(
        &became,
        &["twice", "list of words", "bare list", "202", "other transaction", "redirect", "huge", "empty", "page"],
        &Err(FactorError::Misconfigured),
    );
    for unsure in ["silent", "cut", "endless", "500", "429"] {
        assert!(matches!(became[unsure], Ok(Progress::Pending(_))), "{unsure}: {:?}", became[unsure]);
    }
}

#[tokio::test]
async fn m_13_lies_when_a_push_begins() {
    let elsewhere = |href: &str| {
        Said::json(201, &format!(r#"{{"factorResult":"WAITING","_links":{{"poll":{{"href":"{href}"}}}},"_embedded":{{"challenge":{{"correctAnswer":72}}}}}}"#))
    };
    let lies = [
        ("at once", result("SUCCESS")),
        ("other host", elsewhere("https://evil.example/api/v1/users/00u1alice/factors/opf1/transactions/mst1")),
        ("other user", elsewhere("https://corp.okta.example/api/v1/users/00u2bob/factors/opf1/transactions/mst1")),
        ("other factor", elsewhere("https://corp.okta.example/api/v1/users/00u1alice/factors/mbl1/transactions/mst1")),
        ("no link", Said::json(201, r#"{"factorResult":"WAITING","_embedded":{"challenge":{"correctAnswer":72}}}"#)),
    ];
    let became = storm("POST", good, &lies, push).await;
    assert_became(&became, &["at once", "other host", "other user", "other factor", "no link", "redirect"], &Err(FactorError::Misconfigured));
    assert_became(&became, &["silent", "cut", "endless", "500"], &Err(FactorError::Faltering));
    assert_became(&became, &["429"], &Err(FactorError::Throttled));
}

#[tokio::test]
async fn m_13_lies_about_a_code() {
    let lies =
        [("blank", result("SUCCESS ")), ("twice", Said::json(200, r#"{"factorResult":"FAILED","factorResult":"SUCCESS"}"#)), ("waiting", result("WAITING"))];
    let by_text = async |url: String| code_by(&okta(url), Method::Text, "123456").await;
    let became = storm("/factors/mbl1/verify", good, &lies, by_text).await;
    assert_became(&became, &["silent", "cut", "500"], &Err(FactorError::Faltering));
    let generator = async |url: String| code_by(&okta(url), Method::Oath, "123456").await;
    let became = storm("/verify", good, &lies, generator).await;
    assert_became(&became, &["blank", "waiting"], &Err(FactorError::BadCode));
    assert_became(&became, &["twice", "redirect", "empty"], &Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_13_lies_about_who_somebody_is() {
    storm("GET /api/v1/users/alice", good, &[], push).await;
    let generator = async |url: String| code_by(&okta(url), Method::Oath, "123456").await;
    let listed = r#"[["ost1","token:software:totp","ACTIVE"]]"#;
    let lies = [
        ("words", Said::json(200, r#"["push"]"#)),
        ("list", Said::json(200, listed)),
        ("path", Said::json(200, &FACTORS.replace("ost1", "../x").replace("ufs1", ""))),
    ];
    storm("GET /api/v1/users/00u1alice/factors", good, &lies, generator).await;
}

#[tokio::test]
async fn a_dead_okta_is_unreachable_after_three_tries() {
    let okta = okta(nowhere().await);
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(okta.start(&asking(Method::Push)).await);
    }
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn a_push_that_ends_without_an_answer_is_taken_back_and_where_the_person_is_goes_out_when_opted_in() {
    let lie = Said::json(200, r#"{"factorResult":["SUCCESS"]}"#);
    let sky = Sky::open(move |heard| if heard.line().starts_with("GET") && heard.path.contains("/transactions/") { lie.clone() } else { good(heard) }).await;
    let okta = okta_with(sky.url(), |settings| settings.send_source = false);
    let Ok(Progress::Choose { ticket, .. }) = okta.start(&asking(Method::Push)).await else { panic!("no push") };
    assert_eq!(okta.wait(&ticket).await, Err(FactorError::Misconfigured));
    assert!(sky.lines().iter().any(|line| *line == format!("DELETE {}", ticket.0)), "{:?}", sky.lines());
    assert!(sky.heard().iter().all(|heard| heard.header("x-forwarded-for").is_empty()));
}

#[tokio::test]
async fn a_probe_asks_whose_token_ours_is_and_nobody_else() {
    let sky = Sky::open(|_| Said::json(200, "{}")).await;
    assert!(matches!(okta(sky.url()).probe().await, Probed::Well { .. }));
    assert_eq!(sky.lines(), ["GET /api/v1/users/me"]);
    let wrong = Sky::open(|_| Said::json(401, r#"{"errorCode":"E0000011"}"#)).await;
    assert!(matches!(okta(wrong.url()).probe().await, Probed::Failed(_)));
}
