//! What came later: numbers for pushes, passcodes by text, devices named at the account, and the person's own name.

use super::*;
use vestibule::domain::Device;

/// Alice, whose telephone takes texts too, at a provider with these settings.
async fn lab(manner: Manner, change: impl FnOnce(&mut Settings)) -> Lab {
    let alice = Person::new("alice", manner).with_capabilities(&["push", "phone", "sms", "mobile_otp"]);
    let cloud = Cloud::open(any_port(), vec![alice], dial(NOW_MS)).await.unwrap();
    let duo = duo_with(&cloud, change);
    Lab { cloud, duo }
}

async fn numbered(manner: Manner) -> Lab {
    lab(manner, |settings| settings.number_match = true).await
}

/// The question, and the number that is to be shown.
async fn choose(lab: &Lab) -> (Ticket, String) {
    match lab.start(Method::Push).await {
        Ok(Progress::Choose { ticket, number }) => (ticket, number.as_str().to_owned()),
        other => panic!("no number: {other:?}"),
    }
}

fn with(devices: &[(&str, &str)]) -> Asking {
    let mut asking = asking("alice", Method::Push);
    let device = |(provider, id): &(&str, &str)| Device { provider: (*provider).into(), id: (*id).into(), label: "phone".into() };
    Arc::make_mut(&mut asking.account).devices = devices.iter().map(device).collect();
    asking
}

fn says(response: &str) -> Weather {
    Weather::says(200, &format!(r#"{{"stat":"OK","response":{response}}}"#))
}

#[tokio::test]
async fn m_11_a_push_with_a_number_is_approved_by_that_number_alone() {
    let lab = numbered(Manner::Told).await;
    let (ticket, number) = choose(&lab).await;
    assert_eq!(number.len(), 3);
    let wrong = if number == "000" { "111" } else { "000" };
    assert_eq!([lab.cloud.approve("alice"), lab.cloud.approve_number("alice", wrong)], [0, 0]);
    assert!(tokio::time::timeout(Duration::from_millis(300), lab.wait(&ticket)).await.is_err(), "it ended without the number");
    assert_eq!(lab.cloud.approve_number("alice", &number), 1);
    assert_eq!(lab.wait(&ticket).await, ALLOWED);
    assert_eq!(lab.cloud.shown("alice")["txid"], *ticket.0);
    assert_eq!(lab.cloud.pushes("alice"), 1);
}

#[tokio::test]
async fn m_11_each_push_has_a_number_of_its_own_and_calls_have_none() {
    let lab = numbered(Manner::Told).await;
    let (first, second) = (choose(&lab).await, choose(&lab).await);
    assert_ne!(first.0, second.0);
    assert_eq!(lab.cloud.deny("alice"), 2);
    assert_eq!([lab.wait(&first.0).await, lab.wait(&second.0).await], [DENIED, DENIED]);
    let lab = numbered(Manner::Approves(SOON)).await;
    assert_eq!(lab.ask(Method::Call).await, ALLOWED);
    assert!(!lab.cloud.shown("alice").contains_key("txid"));
}

#[tokio::test]
async fn m_11_without_the_setting_nobody_asks_for_numbers() {
    let lab = lab(Manner::Approves(SOON), |_| {}).await;
    assert_eq!(lab.ask(Method::Push).await, ALLOWED);
    assert!(!lab.cloud.shown("alice").contains_key("txid"));
}

#[tokio::test]
async fn m_11_a_number_that_is_missing_or_none_sends_no_push() {
    let lab = numbered(Manner::Told).await;
    let device = r#""devices":[{"device":"DPLAB0000000000000P1","capabilities":["push"]}]"#;
    for more in [
        "",
        r#","txid":"t""#,
        r#","verification_code":"123""#,
        r#","txid":"t","verification_code":null"#,
        r#","txid":"t","verification_code":"12 3""#,
        r#","txid":"t","verification_code":["123"]"#,
        r#","txid":["t"],"verification_code":"123""#,
        r#","txid":"t","verification_code":"1234567""#,
        r#","txid":"t","verification_code":"Press 123""#,
    ] {
        lab.cloud.set_weather(Some(PREAUTH), says(&format!(r#"{{"result":"auth",{device}{more}}}"#)));
        assert_eq!(lab.start(Method::Push).await, Err(FactorError::Misconfigured), "{more}");
    }
    assert_eq!(lab.cloud.requests(AUTH), 0, "a push went out whose number nobody can see");
}

#[tokio::test]
async fn m_12_a_push_that_is_not_the_one_of_the_number_is_refused() {
    let lab = numbered(Manner::Told).await;
    for other in [r#"{"txid":"another"}"#, r#"{"txid":""}"#, r#"{"txid":null}"#, r#"["t"]"#, r#"{"result":"allow","status":"allow"}"#] {
        lab.cloud.set_weather(Some(AUTH), says(other));
        assert_eq!(lab.start(Method::Push).await, Err(FactorError::Misconfigured), "{other}");
    }
}

#[tokio::test]
async fn a_passcode_by_text_lets_in_once_and_sending_it_does_not() {
    let lab = lab(Manner::Told, |_| {}).await;
    assert_eq!(lab.start(Method::Text).await, Ok(Progress::CodeNeeded { ticket: None }));
    let code = lab.cloud.texted("alice").expect("no text was sent");
    assert_eq!(lab.code("0000000").await, Err(FactorError::BadCode));
    assert_eq!(lab.code(&code).await, ALLOWED);
    assert_eq!(lab.code(&code).await, Err(FactorError::BadCode));
    assert_eq!([lab.cloud.requests(PREAUTH), lab.cloud.pushes("alice")], [1, 0]);
}

#[tokio::test]
async fn a_text_to_nobody_s_telephone_is_refused_and_told_apart() {
    for (manner, want) in [
        (Manner::LockedOut, Err(FactorError::Locked)),
        (Manner::DeniedAtOnce, DENIED),
        (Manner::Unenrolled, Err(FactorError::NotEnrolled)),
        (Manner::AllowedAtOnce, Ok(Progress::Waived)),
    ] {
        let lab = lab(manner, |_| {}).await;
        assert_eq!(lab.start(Method::Text).await, want, "{manner:?}");
        assert_eq!(lab.cloud.texted("alice"), None);
    }
    let lab = Lab::new(Manner::Told).await;
    assert_eq!(lab.start(Method::Text).await, Err(FactorError::NotEnrolled), "that telephone takes no texts");
}

#[tokio::test]
async fn m_18_a_code_of_a_text_is_not_waived() {
    let lab = lab(Manner::Told, |_| {}).await;
    assert_eq!(lab.start(Method::Text).await, Ok(Progress::CodeNeeded { ticket: None }));
    lab.cloud.set_weather(Some(AUTH), says(r#"{"result":"allow","status":"bypass"}"#));
    let outcome = lab.duo.verify(&asking("alice", Method::Text), None, &Secret::from("0000000")).await;
    assert_eq!(outcome, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_18_nothing_that_is_said_of_a_text_is_an_approval() {
    let lab = lab(Manner::Told, |_| {}).await;
    for (response, want) in [
        (r#"{"result":"allow","status":"allow"}"#, Err(FactorError::Misconfigured)),
        (r#"{"result":"allow","status":"bypass"}"#, Err(FactorError::Misconfigured)),
        (r#"{"result":"allow","status":"sent"}"#, Err(FactorError::Misconfigured)),
        (r#"{"result":"waiting","status":"sent"}"#, Err(FactorError::Misconfigured)),
        (r#"["deny","sent"]"#, Err(FactorError::Misconfigured)),
        (r#"{"result":"deny","result":"deny","status":"sent"}"#, Err(FactorError::Misconfigured)),
        (r#"{"result":"deny","status":"quantum"}"#, DENIED),
        (r#"{"result":"deny"}"#, DENIED),
        (r#"{"result":"deny","status":"sent"}"#, Ok(Progress::CodeNeeded { ticket: None })),
    ] {
        lab.cloud.set_weather(Some(AUTH), says(response));
        assert_eq!(lab.start(Method::Text).await, want, "{response}");
    }
}

#[tokio::test]
async fn devices_named_at_the_account_are_asked_in_their_order_and_no_others() {
    let lab = lab(Manner::Told, |_| {}).await;
    let mut alice = Person::new("alice", Manner::Told);
    alice.devices = vec!["DP1".into(), "DP2".into()];
    lab.cloud.admit(alice);
    for (devices, rings) in [
        (vec![], "DP1"),
        (vec![("other", "DP2")], "DP1"),
        (vec![("duo", "DP2")], "DP2"),
        (vec![("duo", "DP2"), ("duo", "DP1")], "DP2"),
        (vec![("duo", "gone"), ("duo", "DP2")], "DP2"),
    ] {
        assert!(matches!(lab.duo.start(&with(&devices)).await, Ok(Progress::Pending(_))), "{devices:?}");
        assert_eq!(lab.cloud.shown("alice")["device"], rings, "{devices:?}");
    }
    let asked = lab.cloud.requests(AUTH);
    assert_eq!(lab.duo.start(&with(&[("duo", "gone")])).await, Err(FactorError::NotEnrolled));
    assert_eq!(lab.cloud.requests(AUTH), asked, "another telephone rang instead");
}

#[tokio::test]
async fn the_person_s_own_name_goes_out_only_when_told() {
    let named = |lab: &Lab| lab.cloud.shown("alice").get("display_username").cloned();
    let mut asking = asking("alice", Method::Push);
    let account = Arc::make_mut(&mut asking.account);
    (account.given_name, account.family_name) = (Some("Alice".into()), Some("Adams".into()));
    let silent = lab(Manner::Told, |_| {}).await;
    assert!(silent.duo.start(&asking).await.is_ok());
    assert_eq!(named(&silent), None);
    let telling = lab(Manner::Told, |settings| settings.send_name = true).await;
    assert!(telling.duo.start(&asking).await.is_ok());
    assert_eq!(named(&telling).as_deref(), Some("Alice Adams"));
    assert!(telling.start(Method::Push).await.is_ok());
    assert_eq!(named(&telling), None, "of whom no name is known");
}

#[tokio::test]
async fn m_16_where_to_enrol_is_not_told_to_whoever_logs_in() {
    let lab = lab(Manner::Unenrolled, |_| {}).await;
    let outcomes = [lab.start(Method::Push).await, lab.start(Method::Call).await, lab.start(Method::Text).await, lab.start(Method::Oath).await];
    assert_eq!(outcomes, [0; 4].map(|_| Err(FactorError::NotEnrolled)));
    assert_eq!(lab.cloud.requests(AUTH), 0);
}
