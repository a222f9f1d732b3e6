//! Codes by text, through a gateway that takes them, or does not, or lies.

use regex::bytes::Regex;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::domain::Trace;
use vestibule::provider::codes::Habits;
use vestibule::provider::ledger::Caps;
use vestibule::provider::ledger::Ledger;
use vestibule::provider::sms::Format;
use vestibule::provider::sms::Gateway;
use vestibule::provider::sms::Settings;
use vestibule::provider::sms::Sketch;
use vestibule::provider::sms::Success;
use vestibule::provider::sms::Template;

use super::*;

const BODY: &str = r#"{"to":"{phone}","text":"{text}"}"#;

fn good(_: &Heard) -> Said {
    Said::json(202, r#"{"id":"m-1","status":"queued"}"#)
}

fn settings(url: &str) -> Settings {
    let url = format!("{url}/v1/send");
    let sketch = Sketch { method: "POST", url: &url, headers: &[("Authorization", "Bearer {key}")], body: Some((Format::Json, BODY)) };
    Settings {
        name: "cloud".into(),
        template: Template::new(&sketch).unwrap(),
        key: Some(Secret::from("sesame")),
        success: Success { status: vec![202], body: Some(Regex::new("\"status\":\"(queued|sent)\"").unwrap()) },
        countries: ["DE", "AT"].map(|country| country.parse().unwrap()).into(),
        habits: Habits { digits: 6, caps: Caps { day_max: 5, day_total_max: 5_000 }, text: Some("Your code: {code}".into()), texts: Arc::default() },
        ca_file: None,
        timeout: TIMEOUT,
    }
}

fn gateway(url: &str) -> Gateway {
    Gateway::new(settings(url), clock()).unwrap()
}

/// What came in the last text.
fn texted(sky: &Sky) -> String {
    sky.heard().last().unwrap().json()["text"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned()
}

async fn started(gateway: &Gateway, asking: &Asking) -> Ticket {
    match gateway.start(asking).await {
        Ok(Progress::CodeNeeded { ticket: Some(ticket) }) => ticket,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn allow() {
    let sky = Sky::open(good).await;
    let (gateway, asking) = (gateway(&sky.url()), asking(Method::Text));
    let ticket = started(&gateway, &asking).await;
    let heard = sky.heard().remove(0);
    let code = texted(&sky);
    assert_eq!((heard.line().as_str(), heard.header("authorization")), ("POST /v1/send", "Bearer sesame"));
    assert_eq!(heard.json(), serde_json::json!({ "to": "+4917012345678", "text": format!("Your code: {code}") }));
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    assert_eq!(gateway.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await, ALLOWED);
    let again = gateway.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await;
    assert_eq!(again, Err(FactorError::Expired), "a code is good once");
}

#[tokio::test]
async fn a_text_is_in_the_language_of_its_reader_where_the_operator_has_none_for_everybody() {
    let sky = Sky::open(good).await;
    let settings = settings(&sky.url());
    let gateway = Gateway::new(Settings { habits: Habits { text: None, ..settings.habits.clone() }, ..settings }, clock()).unwrap();
    for (language, text) in [(Some("de-AT"), "Ihr Code: "), (Some("fr"), "Your code: "), (None, "Your code: ")] {
        started(&gateway, &asking_of(Method::Text, |alice| alice.language = language.map(str::to_owned))).await;
        assert_eq!(sky.heard().last().unwrap().json()["text"], format!("{text}{}", texted(&sky)), "{language:?}");
    }
}

#[tokio::test]
async fn bad_code_three_times_and_it_is_gone() {
    let sky = Sky::open(good).await;
    let (gateway, asking) = (gateway(&sky.url()), asking(Method::Text));
    let ticket = started(&gateway, &asking).await;
    let code = texted(&sky);
    for typed in ["", "1234567", &format!("{code} ")] {
        assert_eq!(gateway.verify(&asking, Some(&ticket), &Secret::from(typed)).await, Err(FactorError::BadCode), "{typed}");
    }
    assert_eq!(gateway.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await, Err(FactorError::Expired));
}

#[tokio::test]
async fn m_12_a_code_of_another_login_is_none() {
    let sky = Sky::open(good).await;
    let gateway = gateway(&sky.url());
    let (first, mut second) = (asking(Method::Text), asking(Method::Text));
    second.trace = Trace(0x5eee);
    let ticket = started(&gateway, &first).await;
    let code = texted(&sky);
    let other = started(&gateway, &second).await;
    assert_ne!(ticket, other);
    assert_eq!(gateway.verify(&first, Some(&ticket), &Secret::from(code.as_str())).await, Err(FactorError::Expired), "one a person: the later one");
    let late = texted(&sky);
    assert_eq!(gateway.verify(&second, Some(&other), &Secret::from(late.as_str())).await, ALLOWED);
}

#[tokio::test]
async fn m_16_m_28_texts_go_to_the_accounts_own_number_in_a_country_that_is_allowed() {
    let sky = Sky::open(good).await;
    let gateway = gateway(&sky.url());
    for phone in [
        None,
        Some("+15550100"),
        Some("+49900123456"),
        Some("+88299123456"),
        Some("+49"),
        Some("+4930123456x12"),
        Some("004917012345678"),
        Some("+49170123456789012"),
        Some("+49 170 1234567"),
    ] {
        let asking = asking_of(Method::Text, |alice| alice.phone = phone.map(str::to_owned));
        assert_eq!(gateway.start(&asking).await, Err(FactorError::NotEnrolled), "{phone:?}");
    }
    assert!(sky.lines().is_empty(), "nothing went out");
    started(&gateway, &asking_of(Method::Text, |alice| alice.phone = Some("+436641234567".into()))).await;
}

#[tokio::test]
async fn m_14_a_gateway_that_has_enough_of_one_number_still_texts_others() {
    let sky = Sky::open(|heard| if heard.text().contains("+4917012345678") { Said::json(429, "{}") } else { good(heard) }).await;
    let gateway = gateway(&sky.url());
    assert_eq!(gateway.start(&asking(Method::Text)).await, Err(FactorError::Throttled));
    started(&gateway, &asking_of(Method::Text, |bob| bob.phone = Some("+436641234567".into()))).await;
}

#[tokio::test]
async fn m_28_so_many_texts_to_one_number_on_one_day() {
    let sky = Sky::open(good).await;
    let clock = clock();
    let gateway = Gateway::new(settings(&sky.url()), clock.clone()).unwrap();
    let asking = asking(Method::Text);
    for _ in 0..5 {
        started(&gateway, &asking).await;
    }
    assert_eq!(gateway.start(&asking).await, Err(FactorError::Throttled));
    assert_eq!(sky.lines().len(), 5);
    *clock.0.lock().unwrap() += 24 * 60 * 60 * 1_000;
    started(&gateway, &asking).await;
}

#[tokio::test]
async fn lies_wrong_key_throttled_and_unreachable() {
    let lies = [
        ("another status", Said::json(200, r#"{"status":"queued"}"#)),
        ("another body", Said::json(202, r#"{"status":"failed"}"#)),
        ("capitals", Said::json(202, r#"{"status":"QUEUED"}"#)),
        ("a refusal", Said::json(400, r#"{"status":"queued"}"#)),
    ];
    let log_in = async |url: String| {
        let gateway = gateway(&url);
        let asking = asking(Method::Text);
        match gateway.start(&asking).await {
            // The gateway never knows a code before the person does, so what can be shown is that fair weather asks for one.
            Ok(Progress::CodeNeeded { .. }) => ALLOWED,
            other => other,
        }
    };
    let became = storm("POST /v1/send", good, &lies, log_in).await;
    let refusals = ["another status", "another body", "capitals", "a refusal", "401", "403", "redirect", "empty", "page", "huge"];
    assert_became(&became, &refusals, &Err(FactorError::Misconfigured));
    assert_became(&became, &["429"], &Err(FactorError::Throttled));
    assert_became(&became, &["silent", "cut", "500"], &Err(FactorError::Faltering));
    let gone = gateway(&nowhere().await);
    let asking = asking(Method::Text);
    let outcomes = [gone.start(&asking).await, gone.start(&asking).await, gone.start(&asking).await];
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn a_code_that_did_not_go_out_or_was_taken_back_is_none() {
    let sky = Sky::open(good).await;
    let (gateway, asking) = (gateway(&sky.url()), asking(Method::Text));
    let ticket = started(&gateway, &asking).await;
    gateway.cancel(&ticket).await;
    assert_eq!(gateway.verify(&asking, Some(&ticket), &Secret::from(texted(&sky).as_str())).await, Err(FactorError::Expired));
    let failing = Sky::open(|_| Said::json(500, "{}")).await;
    let gateway = self::gateway(&failing.url());
    assert_eq!(gateway.start(&asking).await, Err(FactorError::Faltering));
    let code = texted(&failing);
    assert_eq!(gateway.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await, Err(FactorError::Expired));
}

#[tokio::test]
async fn m_28_what_went_out_before_a_reload_counts_after_it() {
    let (sky, ledger) = (Sky::open(good).await, Ledger::default());
    let reloaded = || Gateway::new(settings(&sky.url()), clock()).unwrap().with_ledger(ledger.clone());
    for _ in 0..5 {
        assert!(reloaded().start(&asking(Method::Text)).await.is_ok());
    }
    assert_eq!(reloaded().start(&asking(Method::Text)).await, Err(FactorError::Throttled));
    assert_eq!(sky.heard().len(), 5);
}

#[tokio::test]
async fn a_probe_texts_nobody() {
    let sky = Sky::open(|_| Said::json(404, "")).await;
    assert_eq!(gateway(&sky.url()).probe().await, Probed::There);
    assert_eq!(sky.lines(), ["HEAD /"]);
    assert!(matches!(gateway(&nowhere().await).probe().await, Probed::Failed(_)));
}
