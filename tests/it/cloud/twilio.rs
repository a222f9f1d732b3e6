//! Twilio Verify: its answers as they are, and as they must never be believed.

use std::collections::BTreeMap;

use vestibule::domain::FactorError;
use vestibule::domain::Method;
use vestibule::domain::Progress;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::ports::Provider;
use vestibule::provider::ledger::Caps;
use vestibule::provider::ledger::Ledger;
use vestibule::provider::twilio::Settings;
use vestibule::provider::twilio::Twilio;

use super::*;

const SERVICE: &str = "VA0123456789abcdef0123456789abcdef";
const SID: &str = "VEaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PHONE: &str = "+4917012345678";

/// A verification of Alice's, changed.
fn verification(http: u16, to: &str, channel: &str, status: &str, valid: bool) -> Said {
    let body = format!(
        r#"{{"sid":"{SID}","service_sid":"{SERVICE}","account_sid":"AC1","to":"{to}","channel":"{channel}","status":"{status}","valid":{valid},
            "amount":null,"payee":null,"lookup":{{}},"send_code_attempts":[],"date_created":"2027-01-15T08:00:00Z"}}"#
    );
    Said::json(http, &body)
}

fn refusal(http: u16, code: u32) -> Said {
    Said::json(http, &format!(r#"{{"code":{code},"message":"..","more_info":"..","status":{http}}}"#))
}

/// Begins whatever is asked for; the code is 123456, and checks are those of a text.
fn good(heard: &Heard) -> Said {
    let form = heard.form();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    match heard.path.strip_prefix(&format!("/v2/Services/{SERVICE}")) {
        Some("/Verifications") => verification(201, field("To"), field("Channel"), "pending", false),
        Some("/VerificationCheck") if field("VerificationSid") != SID => refusal(404, 20404),
        Some("/VerificationCheck") => match field("Code") {
            "123456" => verification(200, PHONE, "sms", "approved", true),
            _ => verification(200, PHONE, "sms", "pending", false),
        },
        Some(_) => verification(200, PHONE, "sms", "canceled", false),
        None => refusal(404, 20404),
    }
}

fn but(at: &'static str, said: Said) -> impl Fn(&Heard) -> Said + Clone {
    move |heard| if heard.line().contains(at) { said.clone() } else { good(heard) }
}

fn twilio_with(url: String, change: impl FnOnce(&mut Settings)) -> Twilio {
    let mut settings = Settings {
        name: "twilio".into(),
        service: SERVICE.into(),
        key_id: "SK0123456789abcdef0123456789abcdef".into(),
        key: Secret::from("hush"),
        whatsapp: false,
        countries: ["DE", "AT"].map(|country| country.parse().unwrap()).into(),
        caps: Caps { day_max: 20, day_total_max: 40 },
        url: Some(url),
        ca_file: Some(authority()),
        timeout: TIMEOUT,
    };
    change(&mut settings);
    Twilio::new(settings, clock()).unwrap()
}

fn twilio(url: String) -> Twilio {
    twilio_with(url, |_| {})
}

async fn code(twilio: &Twilio, method: Method, code: &str) -> Outcome {
    match twilio.start(&asking(method)).await {
        Ok(Progress::CodeNeeded { ticket }) => twilio.verify(&asking(method), ticket.as_ref(), &Secret::from(code)).await,
        other => other,
    }
}

async fn text(url: String) -> Outcome {
    code(&twilio(url), Method::Text, "123456").await
}

async fn outcome(script: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Outcome {
    text(Sky::open(script).await.url()).await
}

/// What was sent to begin.
async fn begun(asking: Asking, change: impl FnOnce(&mut Settings)) -> BTreeMap<String, String> {
    let sky = Sky::open(good).await;
    let outcome = twilio_with(sky.url(), change).start(&asking).await;
    assert_eq!(outcome, Ok(Progress::CodeNeeded { ticket: Some(Ticket(SID.into())) }));
    sky.heard()[0].form()
}

#[tokio::test]
async fn a_code_that_was_texted_lets_in_and_a_wrong_one_does_not() {
    let sky = Sky::open(good).await;
    let twilio = twilio(sky.url());
    assert_eq!(code(&twilio, Method::Text, "123456").await, ALLOWED);
    assert_eq!(code(&twilio, Method::Text, "000000").await, Err(FactorError::BadCode));
    let heard = &sky.heard()[0];
    assert_eq!(heard.line(), format!("POST /v2/Services/{SERVICE}/Verifications"));
    assert_eq!(heard.header("authorization"), "Basic U0swMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjpodXNo");
    let check = sky.heard()[1].form();
    assert_eq!((check["VerificationSid"].as_str(), check["Code"].as_str(), check.len()), (SID, "123456", 2));
}

#[tokio::test]
async fn each_method_has_its_channel_and_its_address() {
    let fields = |form: BTreeMap<String, String>| form.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(fields(begun(asking(Method::Text), |_| {}).await), ["Channel=sms", "Locale=de", "To=+4917012345678"]);
    assert_eq!(fields(begun(asking(Method::Text), |settings| settings.whatsapp = true).await), ["Channel=whatsapp", "Locale=de", "To=+4917012345678"]);
    assert_eq!(fields(begun(asking(Method::Email), |_| {}).await), ["Channel=email", "Locale=de", "To=alice.adams@corp.example"]);
    let desk = asking_of(Method::Call, |alice| (alice.phone, alice.language) = (Some("+4315550100x12,3".into()), Some("tlh".into())));
    assert_eq!(fields(begun(desk, |_| {}).await), ["Channel=call", "SendDigits=12w3", "To=+4315550100"]);
}

#[tokio::test]
async fn m_28_numbers_of_other_countries_are_neither_texted_nor_called() {
    let sky = Sky::open(good).await;
    let strange = ["+499001234567", "+441632960001", "+12025550123", "+18765550123", "+99912345", "+882161234567", "0170123456", "", "+"];
    for (phone, method) in strange.into_iter().flat_map(|phone| [(phone, Method::Text), (phone, Method::Call)]) {
        let asking = asking_of(method, |alice| alice.phone = Some(phone.into()));
        assert_eq!(twilio(sky.url()).start(&asking).await, Err(FactorError::NotEnrolled), "{phone}");
    }
    // One prefix is not one country: Jamaica is no part of the United States.
    let states = twilio_with(sky.url(), |settings| settings.countries = vec!["US".parse().unwrap()]);
    let kingston = asking_of(Method::Text, |alice| alice.phone = Some("+18765550123".into()));
    assert_eq!(states.start(&kingston).await, Err(FactorError::NotEnrolled));
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn m_16_a_text_never_goes_to_the_switchboard_in_front_of_an_extension() {
    let sky = Sky::open(good).await;
    let desk = asking_of(Method::Text, |alice| alice.phone = Some("+4315550100x12".into()));
    for whatsapp in [false, true] {
        let twilio = twilio_with(sky.url(), |settings| settings.whatsapp = whatsapp);
        assert_eq!(twilio.start(&desk).await, Err(FactorError::NotEnrolled), "WhatsApp: {whatsapp}");
    }
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn m_16_a_code_goes_to_what_stands_in_the_account_and_nowhere_else() {
    let sky = Sky::open(good).await;
    let none = asking_of(Method::Text, |alice| (alice.phone, alice.mail) = (None, None));
    assert_eq!(twilio(sky.url()).start(&none).await, Err(FactorError::NotEnrolled));
    let mail = Asking { choice: Choice { method: Method::Email, ..none.choice.clone() }, ..none };
    assert_eq!(twilio(sky.url()).start(&mail).await, Err(FactorError::NotEnrolled));
    assert!(sky.heard().is_empty());
    // The number was changed while the code was on its way.
    let moved = asking_of(Method::Text, |alice| alice.phone = Some("+4917099999999".into()));
    let outcome = twilio(sky.url()).verify(&moved, Some(&Ticket(SID.into())), &Secret::from("123456")).await;
    assert_eq!(outcome, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_02_what_cannot_be_a_code_is_not_sent() {
    let sky = Sky::open(good).await;
    for typed in ["", "123", "123 456", "+123456", "１２３４５６", "12345a", "12345678901"] {
        let outcome = twilio(sky.url()).verify(&asking(Method::Text), Some(&Ticket(SID.into())), &Secret::from(typed)).await;
        assert_eq!(outcome, Err(FactorError::BadCode), "{typed:?}");
    }
    for ticket in [None, Some(Ticket("".into())), Some(Ticket("VE/../x".into()))] {
        let outcome = twilio(sky.url()).verify(&asking(Method::Text), ticket.as_ref(), &Secret::from("123456")).await;
        assert_eq!(outcome, Err(FactorError::Expired), "{ticket:?}");
    }
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn what_becomes_of_a_code() {
    let words = [
        ("approved", true, ALLOWED),
        ("approved", false, Err(FactorError::BadCode)),
        ("pending", true, Err(FactorError::BadCode)),
        ("pending", false, Err(FactorError::BadCode)),
        ("failed", false, Err(FactorError::BadCode)),
        ("quantum", true, Err(FactorError::BadCode)),
        ("max_attempts_reached", false, Err(FactorError::Locked)),
        ("canceled", false, Err(FactorError::Expired)),
        ("deleted", false, Err(FactorError::Expired)),
        ("expired", false, Err(FactorError::Expired)),
    ];
    for (word, valid, want) in words {
        assert_eq!(outcome(but("VerificationCheck", verification(200, PHONE, "sms", word, valid))).await, want, "{word} {valid}");
    }
    assert_eq!(outcome(but("VerificationCheck", refusal(404, 20404))).await, Err(FactorError::Expired));
    assert_eq!(outcome(but("VerificationCheck", refusal(400, 60200))).await, Err(FactorError::BadCode), "of a code, and not of the person");
}

#[tokio::test]
async fn what_twilio_refuses() {
    let refusals = [
        (401, 20003, FactorError::Misconfigured),
        (404, 20404, FactorError::Misconfigured),
        (400, 60200, FactorError::NotEnrolled),
        (403, 60205, FactorError::NotEnrolled),
        (403, 60410, FactorError::NotEnrolled),
        (400, 60203, FactorError::Throttled),
        (400, 60202, FactorError::Throttled),
        (429, 60203, FactorError::Throttled),
        (403, 99999, FactorError::Misconfigured),
    ];
    for (status, number, want) in refusals {
        assert_eq!(outcome(but("Verifications", refusal(status, number))).await, Err(want), "{status} {number}");
    }
}

#[tokio::test]
async fn m_10_one_person_who_asks_too_often_silences_nobody_else() {
    let sky = Sky::open(|heard| if heard.form()["To"] == PHONE { refusal(429, 60203) } else { good(heard) }).await;
    let twilio = twilio(sky.url());
    let bob = asking_of(Method::Text, |bob| bob.phone = Some("+4917099999999".into()));
    for _ in 0..3 {
        assert_eq!(twilio.start(&asking(Method::Text)).await, Err(FactorError::Throttled));
        assert!(twilio.start(&bob).await.is_ok());
    }
}

#[tokio::test]
async fn a_code_nobody_waits_for_is_taken_back() {
    let sky = Sky::open(good).await;
    twilio(sky.url()).cancel(&Ticket(SID.into())).await;
    assert_eq!(sky.lines(), [format!("POST /v2/Services/{SERVICE}/Verifications/{SID}")]);
    assert_eq!(sky.heard()[0].form()["Status"], "canceled");
}

#[tokio::test]
async fn the_number_goes_out_and_nothing_else_of_a_person() {
    let sky = Sky::open(good).await;
    assert_eq!(text(sky.url()).await, ALLOWED);
    let all: String = sky.heard().iter().map(|heard| format!("{} {:?} {}", heard.line(), heard.headers, heard.text())).collect();
    for private in ["Alice", "Adams", "alice", "S-1-5-21", "192.0.2.7", "vpn"] {
        assert!(!all.contains(private), "{private}: {all}");
    }
    assert!(all.contains("17012345678"));
}

#[tokio::test]
async fn m_13_lies_about_a_code() {
    let approved = |to: &str, channel: &str| verification(200, to, channel, "approved", true);
    let with = |old: &str, new: &str| match approved(PHONE, "sms") {
        Said::Answer { status, headers, body } => {
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains(old), "{old}");
            Said::Answer { status, headers, body: body.replace(old, new).into_bytes() }
        }
        other => other,
    };
    let lies = [
        ("other person", approved("+4917099999999", "sms")),
        ("other channel", approved(PHONE, "email")),
        ("other verification", with(SID, "VEbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")),
        ("other service", with(SERVICE, "VAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")),
        ("twice", with(r#""status":"approved""#, r#""status":"pending","status":"approved""#)),
        ("list", with(r#""approved""#, r#"["approved"]"#)),
        ("word for true", with("true", r#""true""#)),
        ("blank", with("approved", "approved ")),
        ("large letters", with("approved", "APPROVED")),
        ("allow", with("approved", "ALLOW ")),
        ("only words", Said::json(200, r#"{"status":"approved","valid":true}"#)),
        ("201", verification(201, PHONE, "sms", "approved", true)),
        ("bare list", Said::json(200, &format!(r#"["{SID}","{SERVICE}","{PHONE}","sms","approved",true]"#))),
    ];
    let became = storm("VerificationCheck", good, &lies, text).await;
    let named = [
        "other person",
        "other channel",
        "other verification",
        "other service",
        "twice",
        "list",
        "only words",
        "201",
        "bare list",
        "redirect",
        "huge",
        "empty",
    ];
    assert_became(&became, &named, &Err(FactorError::Misconfigured));
    assert_became(&became, &["blank", "large letters", "allow"], &Err(FactorError::BadCode));
    assert_became(&became, &["silent", "cut", "endless", "500"], &Err(FactorError::Faltering));
    assert_became(&became, &["429"], &Err(FactorError::Throttled));
}

#[tokio::test]
async fn m_13_lies_when_a_code_is_sent() {
    let lies = [
        ("approved at once", verification(201, PHONE, "sms", "approved", true)),
        ("to another", verification(201, "+4917099999999", "sms", "pending", false)),
        ("by another way", verification(201, PHONE, "call", "pending", false)),
        ("200", verification(200, PHONE, "sms", "pending", false)),
    ];
    let became = storm("Verifications", good, &lies, text).await;
    assert_became(&became, &["approved at once", "to another", "by another way", "200", "redirect", "empty"], &Err(FactorError::Misconfigured));
    assert_became(&became, &["silent", "cut", "endless", "500"], &Err(FactorError::Faltering));
}

#[tokio::test]
async fn a_dead_twilio_is_unreachable_after_three_tries() {
    let twilio = twilio(nowhere().await);
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(twilio.start(&asking(Method::Text)).await);
    }
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn m_28_a_day_has_so_many_codes_to_one_number_and_so_many_in_all() {
    let sky = Sky::open(good).await;
    let ledger = Ledger::default();
    let capped = || twilio_with(sky.url(), |settings| settings.caps = Caps { day_max: 2, day_total_max: 3 }).with_ledger(ledger.clone());
    let outcomes = [capped().start(&asking(Method::Text)).await, capped().start(&asking(Method::Call)).await, capped().start(&asking(Method::Text)).await];
    assert_eq!(outcomes.map(|outcome| outcome.err()), [None, None, Some(FactorError::Throttled)], "calls and texts to one number");
    assert!(capped().start(&asking(Method::Email)).await.is_ok());
    assert_eq!(capped().start(&asking(Method::Email)).await, Err(FactorError::Throttled), "three in all");
    assert_eq!(sky.heard().len(), 3);
}

#[tokio::test]
async fn a_probe_reads_the_service_and_texts_nobody() {
    let sky = Sky::open(|heard| if heard.method == "GET" { Said::json(200, "{}") } else { good(heard) }).await;
    assert!(matches!(twilio(sky.url()).probe().await, Probed::Well { .. }));
    assert_eq!(sky.lines(), [format!("GET /v2/Services/{SERVICE}")]);
    let wrong = Sky::open(|_| Said::json(401, r#"{"code":20003}"#)).await;
    assert!(matches!(twilio(wrong.url()).probe().await, Probed::Failed(_)));
}
