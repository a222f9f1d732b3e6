//! Entra's connector: its answers as they are, and as they must never be believed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use sha1::Digest;
use sha1::Sha1;
use vestibule::domain::FactorError;
use vestibule::domain::Method;
use vestibule::domain::Progress;
use vestibule::domain::Secret;
use vestibule::domain::Trace;
use vestibule::ports::Provider;
use vestibule::provider::entra::Certificate;
use vestibule::provider::entra::Cloud;
use vestibule::provider::entra::Credential;
use vestibule::provider::entra::Entra;
use vestibule::provider::entra::Settings;
use vestibule::provider::login::By;
use vestibule::provider::login::Login;

use super::*;

const TENANT: &str = "0a1b2c3d-0000-1111-2222-333344445555";
const UPN: &str = "alice@corp.example";
const SESSION: &str = "270867b8-6bac-434b-9a2a-cb682f461cbe";
const CONNECTOR: &str = "/StrongAuthenticationService.svc/Connector";
const RESOURCE: &str = "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector";

fn token(life: &str) -> Said {
    Said::json(
        200,
        &format!(
            r#"{{"token_type":"Bearer","expires_in":{life},"ext_expires_in":"3599","expires_on":"1800003599","not_before":"0","resource":"{RESOURCE}","access_token":"eyJ.one.two"}}"#
        ),
    )
}

fn xml(body: &str) -> Said {
    Said::text(200, "application/xml; charset=utf-8", body)
}

fn result(value: &str) -> String {
    format!(
        "<Version>1</Version><Result><Value>{value}</Value><Message i:nil=\"true\"/><Retry>false</Retry><Error i:nil=\"true\"/><Exception i:nil=\"true\"/><RenewCert>false</RenewCert></Result>"
    )
}

fn begun(value: &str, upn: &str, affinity: &str, number: &str) -> Said {
    let result = result(value);
    xml(&format!(
        "<BeginTwoWayAuthenticationResponse xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">{result}<SessionId>{SESSION}</SessionId><AuthenticationResult i:nil=\"true\"/><UserPrincipalName>{upn}</UserPrincipalName><AffinityUrl>{affinity}</AffinityUrl><ValidEntropyNumber>{number}</ValidEntropyNumber></BeginTwoWayAuthenticationResponse>"
    ))
}

fn ended(value: &str, approved: &str) -> Said {
    let result = result(value);
    xml(&format!(
        "<EndTwoWayAuthenticationResponse xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">{result}{approved}<LocationData i:nil=\"true\"/><CompletedInteractively>false</CompletedInteractively></EndTwoWayAuthenticationResponse>"
    ))
}

const TRUE: &str = "<AuthenticationResult>true</AuthenticationResult>";
const NIL: &str = "<AuthenticationResult i:nil=\"true\"/>";

fn home(heard: &Heard) -> String {
    format!("http://{}{CONNECTOR}/EndTwoWayAuthentication?dc=KRS", heard.header("host"))
}

/// Alice, who approves everything and whose code is 123456.
fn good(heard: &Heard) -> Said {
    let body = heard.text();
    match heard.path.rsplit('/').next().unwrap() {
        "token" => token("\"3599\""),
        "BeginTwoWayAuthentication" => begun("Success", UPN, &home(heard), "0"),
        "EndTwoWayAuthentication" if body.contains("AdditionalAuthData") && !body.contains(">123456<") => {
            ended("OathCodeIncorrect", "<AuthenticationResult>false</AuthenticationResult>")
        }
        "EndTwoWayAuthentication" => ended("Success", TRUE),
        _ => Said::json(404, ""),
    }
}

fn but(at: &'static str, said: Said) -> impl Fn(&Heard) -> Said {
    move |heard| if heard.line().contains(at) { said.clone() } else { good(heard) }
}

fn entra_with(url: String, change: impl FnOnce(&mut Settings)) -> Entra {
    entra_at(url, clock(), change)
}

fn entra_at(url: String, clock: Arc<Dial>, change: impl FnOnce(&mut Settings)) -> Entra {
    let mut settings = Settings {
        name: "entra".into(),
        tenant: TENANT.into(),
        credential: Credential::Secret(Secret::from("s3cret&x=y")),
        login: Login { by: By::Name, domain: Some("corp.example".into()) },
        cloud: Cloud::Global,
        url: Some(url.clone()),
        login_url: Some(url),
        ca_file: Some(authority()),
        timeout: TIMEOUT,
    };
    change(&mut settings);
    Entra::new(settings, clock).unwrap().with_pace(Duration::from_millis(10), Duration::from_millis(20))
}

fn entra(url: String) -> Entra {
    entra_with(url, |_| {})
}

async fn push(url: String) -> Outcome {
    let entra = entra(url);
    match entra.start(&asking(Method::Push)).await {
        Ok(Progress::Pending(ticket) | Progress::Choose { ticket, .. }) => entra.wait(&ticket).await,
        other => other,
    }
}

async fn code_by(entra: &Entra, method: Method, code: &str) -> Outcome {
    match entra.start(&asking(method)).await {
        Ok(Progress::CodeNeeded { ticket }) => entra.verify(&asking(method), ticket.as_ref(), &Secret::from(code)).await,
        other => other,
    }
}

async fn typed(url: String) -> Outcome {
    code_by(&entra(url), Method::Oath, "123456").await
}

async fn outcome(script: impl Fn(&Heard) -> Said + Send + Sync + 'static) -> Outcome {
    push(Sky::open(script).await.url()).await
}

#[tokio::test]
async fn a_push_that_is_approved_lets_in() {
    let sky = Sky::open(good).await;
    assert_eq!(push(sky.url()).await, ALLOWED);
    let heard = sky.heard();
    assert_eq!(
        sky.lines(),
        [format!("POST /{TENANT}/oauth2/token"), format!("POST {CONNECTOR}/BeginTwoWayAuthentication"), format!("POST {CONNECTOR}/EndTwoWayAuthentication")]
    );
    let form = heard[0].form();
    assert_eq!((form["client_secret"].as_str(), form["resource"].as_str(), form["grant_type"].as_str()), ("s3cret&x=y", RESOURCE, "client_credentials"));
    assert_eq!(heard[1].header("authorization"), "Bearer eyJ.one.two");
    assert_eq!(
        heard[1].text(),
        format!(
            "<BeginTwoWayAuthenticationRequest><Version>1.0</Version><UserPrincipalName>{UPN}</UserPrincipalName><TenantId>{TENANT}</TenantId><Lcid>de</Lcid><AuthenticationMethodId>PhoneAppNotification</AuthenticationMethodId><AuthenticationMethodProperties xmlns:a=\"http://schemas.microsoft.com/2003/10/Serialization/Arrays\"><a:KeyValueOfstringstring><a:Key>OverrideNumberMatchingWithOTP</a:Key><a:Value>false</a:Value></a:KeyValueOfstringstring></AuthenticationMethodProperties><ContextId>00000000-0000-0000-0000-000000005eed</ContextId><SyncCall>false</SyncCall></BeginTwoWayAuthenticationRequest>"
        )
    );
    assert_eq!((heard[2].query.as_str(), heard[2].text().contains(SESSION)), ("dc=KRS", true));
}

#[tokio::test]
async fn what_becomes_of_a_push() {
    let words = [
        ("Success", TRUE, ALLOWED),
        ("Success", NIL, DENIED),
        ("Success", "", DENIED),
        ("PhoneAppDenied", "", DENIED),
        ("PhoneAppDenied", TRUE, DENIED),
        ("PhoneAppFraudReported", "", Ok(Progress::Denied { fraud: true })),
        ("PhoneAppNoResponse", "", Err(FactorError::Expired)),
        ("InvalidSession", "", Err(FactorError::Expired)),
        ("UserNotFound", "", Err(FactorError::NotEnrolled)),
        ("UserIsBlocked", "", Err(FactorError::Locked)),
        ("TenantIsBlocked", TRUE, Err(FactorError::Misconfigured)),
        ("Quantum", TRUE, Err(FactorError::Misconfigured)),
    ];
    for (word, flag, want) in words {
        assert_eq!(outcome(but("EndTwoWay", ended(word, flag))).await, want, "{word} {flag}");
    }
}

#[tokio::test]
async fn what_the_connector_refuses_to_begin() {
    let words = [
        ("AuthenticationMethodNotConfigured", FactorError::NotEnrolled),
        ("NoDefaultAuthenticationMethodIsConfigured", FactorError::NotEnrolled),
        ("ProofDataNotFound", FactorError::NotEnrolled),
        ("UserNotFound", FactorError::NotEnrolled),
        ("UserIsBlocked", FactorError::Locked),
        ("AuthenticationThrottled", FactorError::Throttled),
        ("AuthenticationMethodLimitReached", FactorError::Throttled),
        ("AccessDenied", FactorError::Misconfigured),
        ("InternalError", FactorError::Misconfigured),
        ("", FactorError::Misconfigured),
    ];
    for (word, want) in words {
        assert_eq!(outcome(but("BeginTwoWay", begun(word, UPN, "", "0"))).await, Err(want), "{word}");
    }
}

#[tokio::test]
async fn a_question_is_looked_at_until_it_is_answered() {
    let looks = std::sync::atomic::AtomicUsize::new(0);
    let sky = Sky::open(move |heard| match heard.path.contains("EndTwoWay") {
        true if looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 4 => ended("AuthenticationPending", NIL),
        _ => good(heard),
    })
    .await;
    assert_eq!(settle(&entra(sky.url()), &asking(Method::Call)).await, ALLOWED);
    let lines = sky.lines();
    assert_eq!(lines.iter().filter(|line| line.contains("BeginTwoWay")).count(), 1, "{lines:?}");
    assert!(sky.heard()[1].text().contains("<AuthenticationMethodId>TwoWayVoiceMobile<"));
}

#[tokio::test]
async fn m_11_a_number_that_nobody_documents_is_not_shown() {
    let sky = Sky::open(|heard| if heard.path.contains("BeginTwoWay") { begun("Success", UPN, &home(heard), "42") } else { good(heard) }).await;
    assert!(matches!(entra(sky.url()).start(&asking(Method::Push)).await, Ok(Progress::Pending(_))));
}

#[tokio::test]
async fn codes_by_text_and_generator() {
    let sky = Sky::open(good).await;
    for (method, id) in [(Method::Text, "OneWaySMS"), (Method::Oath, "PhoneAppOTP")] {
        let entra = entra(sky.url());
        assert_eq!(code_by(&entra, method, "123456").await, ALLOWED, "{method:?}");
        assert_eq!(code_by(&entra, method, "000000").await, Err(FactorError::BadCode), "{method:?}");
        let bodies: String = sky.heard().iter().map(Heard::text).collect();
        assert!(bodies.contains(&format!("<AuthenticationMethodId>{id}<")) && bodies.contains("<AdditionalAuthData>123456<"));
    }
    for (word, want) in [
        ("SMSAuthFailedMaxAllowedCodeRetryReached", FactorError::Locked),
        ("InvalidSession", FactorError::Expired),
        ("AuthenticationPending", FactorError::BadCode),
    ] {
        let sky = Sky::open(but("EndTwoWay", ended(word, TRUE))).await;
        assert_eq!(typed(sky.url()).await, Err(want), "{word}");
    }
}

#[tokio::test]
async fn m_02_what_cannot_be_a_code_is_not_sent() {
    let sky = Sky::open(good).await;
    for code in ["", "123", "123 456", "１２３４５６", "12345a", "</x>12345"] {
        assert_eq!(entra(sky.url()).verify(&asking(Method::Oath), None, &Secret::from(code)).await, Err(FactorError::BadCode), "{code:?}");
    }
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn m_12_a_code_counts_for_its_own_login_and_person_alone() {
    let sky = Sky::open(good).await;
    let entra = entra(sky.url());
    let Ok(Progress::CodeNeeded { ticket }) = entra.start(&asking(Method::Oath)).await else { panic!("no session") };
    let bob = asking_of(Method::Oath, |bob| bob.name = "bob".into());
    assert_eq!(entra.verify(&bob, ticket.as_ref(), &Secret::from("123456")).await, Err(FactorError::Expired));
    let later = Asking { trace: Trace(7), ..asking(Method::Oath) };
    assert_eq!(entra.verify(&later, ticket.as_ref(), &Secret::from("123456")).await, Err(FactorError::Expired));
    assert_eq!(entra.verify(&asking(Method::Oath), None, &Secret::from("123456")).await, Err(FactorError::Expired));
    assert!(!sky.lines().iter().any(|line| line.contains("EndTwoWay")));
}

#[tokio::test]
async fn a_token_serves_until_shortly_before_its_end() {
    let sky = Sky::open(good).await;
    let dial = clock();
    let entra = entra_at(sky.url(), Arc::clone(&dial), |_| {});
    let fetched = || sky.lines().iter().filter(|line| line.contains("token")).count();
    for (later_ms, tokens) in [(0, 1), (3_290_000, 1), (20_000, 2)] {
        *dial.0.lock().unwrap() += later_ms;
        assert_eq!(code_by(&entra, Method::Oath, "123456").await, ALLOWED);
        assert_eq!(fetched(), tokens);
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_got_anew_once() {
    let sky = Sky::open(but("Connector", Said::text(401, "text/plain", ""))).await;
    assert_eq!(push(sky.url()).await, Err(FactorError::Misconfigured));
    let lines = sky.lines();
    assert_eq!(
        (lines.iter().filter(|line| line.contains("token")).count(), lines.iter().filter(|line| line.contains("BeginTwoWay")).count()),
        (2, 2),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_wrong_secret_is_ours() {
    for (status, error) in [(401, "invalid_client"), (400, "unauthorized_client"), (400, "invalid_request"), (400, "quantum")] {
        let said = Said::json(status, &format!(r#"{{"error":"{error}","error_description":"AADSTS7000215: ..","error_codes":[7000215]}}"#));
        assert_eq!(outcome(but("token", said)).await, Err(FactorError::Misconfigured), "{error}");
    }
    assert_eq!(outcome(but("token", Said::json(429, "{}"))).await, Err(FactorError::Throttled));
}

#[tokio::test]
async fn a_certificate_signs_who_we_are() {
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let credential = Certificate::new(certificate.der(), &key).unwrap();
    let sky = Sky::open(good).await;
    assert_eq!(settle(&entra_with(sky.url(), |settings| settings.credential = Credential::Certificate(credential)), &asking(Method::Push)).await, ALLOWED);
    let form = sky.heard()[0].form();
    assert!(!form.contains_key("client_secret"));
    let parts: Vec<&str> = form["client_assertion"].split('.').collect();
    let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (header, claims) = (json(parts[0]), json(parts[1]));
    assert_eq!((header["alg"].as_str(), header["x5t"].as_str()), (Some("RS256"), Some(URL_SAFE_NO_PAD.encode(Sha1::digest(certificate.der())).as_str())));
    assert_eq!(claims["aud"], format!("https://login.microsoftonline.com/{TENANT}/oauth2/token"));
    assert_eq!((claims["iss"] == claims["sub"], claims["exp"].as_u64()), (true, Some(NOW_MS / 1000 + 600)));
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let signed = format!("{}.{}", parts[0], parts[1]);
    let point = &parsed.public_key().subject_public_key.data;
    let algorithm = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let (_, all) = algorithm.mapping.iter().find(|(scheme, _)| *scheme == rustls::SignatureScheme::RSA_PKCS1_SHA256).unwrap();
    all[0].verify_signature(point, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    let other = PrivateKeyDer::try_from(other.serialize_der()).unwrap();
    assert!(Certificate::new(certificate.der(), &other).is_none(), "Entra takes RSA alone");
}

#[tokio::test]
async fn who_has_no_name_there_is_not_enrolled() {
    let sky = Sky::open(good).await;
    let by_mail = entra_with(sky.url(), |settings| settings.login = Login { by: By::Mail, domain: None });
    assert_eq!(settle(&by_mail, &asking_of(Method::Push, |alice| alice.mail = None)).await, Err(FactorError::NotEnrolled));
    assert_eq!(settle(&by_mail, &asking_of(Method::Push, |alice| alice.mail = Some("a\u{b}@x".into()))).await, Err(FactorError::NotEnrolled));
    assert!(sky.heard().is_empty());
}

#[tokio::test]
async fn the_login_goes_out_and_nothing_else_of_a_person() {
    let sky = Sky::open(good).await;
    assert_eq!(push(sky.url()).await, ALLOWED);
    let all: String = sky.heard().iter().map(|heard| format!("{} {:?} {}", heard.line(), heard.headers, heard.text())).collect();
    for private in ["Alice", "Adams", "alice.adams", "17012345678", "S-1-5-21", "192.0.2.7", "vpn"] {
        assert!(!all.contains(private), "{private}: {all}");
    }
}

#[tokio::test]
async fn m_12_an_affinity_url_leads_to_the_connector_and_nowhere_else() {
    let bad = [
        "https://evil.example/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "http://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "https://adnotifications.windowsazure.com.evil.example/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "https://adnotifications.windowsazure.com:8443/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "https://me@adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "https://adnotifications.windowsazure.cn/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication",
        "https://adnotifications.windowsazure.com/elsewhere/EndTwoWayAuthentication",
        "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector/../../x",
        "EndTwoWayAuthentication",
    ];
    for url in bad {
        assert_eq!(outcome(but("BeginTwoWay", begun("Success", UPN, url, "0"))).await, Err(FactorError::Misconfigured), "{url}");
    }
    let good_ones = [
        "",
        "https://adnotifications.windowsazure.com/StrongAuthenticationService.svc/Connector",
        "https://strongauthenticationservice.auth.microsoft.com/StrongAuthenticationService.svc/Connector/EndTwoWayAuthentication?dc=KRS",
    ];
    for url in good_ones {
        assert_eq!(outcome(but("BeginTwoWay", begun("Success", UPN, url, "0"))).await, ALLOWED, "{url}");
    }
}

#[tokio::test]
async fn m_13_lies_when_a_session_begins() {
    let lies = [
        ("other user", begun("Success", "bob@corp.example", "", "0")),
        ("no user", begun("Success", "", "", "0")),
        ("blank", begun("Success ", UPN, "", "0")),
        ("small letters", begun("success", UPN, "", "0")),
        (
            "twice",
            xml(&format!(
                "<BeginTwoWayAuthenticationResponse>{}<SessionId>a</SessionId><SessionId>b</SessionId><UserPrincipalName>{UPN}</UserPrincipalName></BeginTwoWayAuthenticationResponse>",
                result("Success").replace(" i:nil=\"true\"", "")
            )),
        ),
        ("other answer", ended("Success", TRUE)),
        ("json", Said::json(200, r#"{"Result":{"Value":"Success"},"AuthenticationResult":true}"#)),
    ];
    let became = storm("BeginTwoWay", good, &lies, push).await;
    let ours = ["other user", "no user", "blank", "small letters", "twice", "other answer", "json", "redirect", "huge", "empty", "page", "404"];
    assert_became(&became, &ours, &Err(FactorError::Misconfigured));
    assert_became(&became, &["silent", "cut", "endless", "500"], &Err(FactorError::Faltering));
    assert_became(&became, &["429"], &Err(FactorError::Throttled));
}

fn lies_at_the_end() -> Vec<(&'static str, Said)> {
    vec![
        ("blank", ended("Success ", TRUE)),
        ("small letters", ended("success", TRUE)),
        ("allow", ended("ALLOW ", TRUE)),
        ("true in blanks", ended("Success", "<AuthenticationResult> true </AuthenticationResult>")),
        ("twice", ended("Success", &format!("<AuthenticationResult>false</AuthenticationResult>{TRUE}"))),
        ("other session", ended("Success", &format!("{TRUE}<SessionId>00000000-0000-0000-0000-000000000000</SessionId>"))),
        ("someone else", ended("Success", &format!("{TRUE}<UserPrincipalName>bob@corp.example</UserPrincipalName>"))),
        (
            "type",
            xml(
                "<!DOCTYPE x [<!ENTITY s \"Success\">]><EndTwoWayAuthenticationResponse><Result><Value>&s;</Value></Result><AuthenticationResult>true</AuthenticationResult></EndTwoWayAuthenticationResponse>",
            ),
        ),
        ("other answer", begun("Success", UPN, "", "0")),
        ("unfinished", xml("<EndTwoWayAuthenticationResponse><Result><Value>Success</Value></Result><AuthenticationResult>true</AuthenticationResult>")),
        ("json", Said::json(200, r#"{"Result":{"Value":"Success"},"AuthenticationResult":true}"#)),
    ]
}

#[tokio::test]
async fn m_13_lies_about_a_push() {
    let became = storm("EndTwoWay", good, &lies_at_the_end(), push).await;
    assert_became(
        &became,
        &["blank", "small letters", "allow", "twice", "other session", "someone else", "type", "other answer", "unfinished", "json", "redirect"],
        &Err(FactorError::Misconfigured),
    );
    assert_became(&became, &["true in blanks"], &DENIED);
    for unsure in ["silent", "cut", "endless", "500", "429"] {
        assert!(matches!(became[unsure], Ok(Progress::Pending(_))), "{unsure}: {:?}", became[unsure]);
    }
}

#[tokio::test]
async fn m_13_lies_about_a_code() {
    let became = storm("EndTwoWay", good, &lies_at_the_end(), typed).await;
    assert_became(&became, &["true in blanks"], &Err(FactorError::BadCode));
    assert_became(&became, &["silent", "cut", "500"], &Err(FactorError::Faltering));
}

#[tokio::test]
async fn m_13_lies_about_a_token() {
    let lies = [
        ("other resource", Said::json(200, r#"{"token_type":"Bearer","expires_in":3599,"resource":"https://evil.example","access_token":"x"}"#)),
        ("other kind", Said::json(200, r#"{"token_type":"mac","expires_in":3599,"access_token":"x"}"#)),
        ("no token", Said::json(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":""}"#)),
        ("line feed", Said::json(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a\nb"}"#)),
        ("twice", Said::json(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":"a","access_token":"b"}"#)),
        ("list", Said::json(200, r#"{"token_type":"Bearer","expires_in":3599,"access_token":["a"]}"#)),
    ];
    let became = storm("token", good, &lies, push).await;
    assert_became(&became, &["other resource", "other kind", "no token", "line feed", "twice", "list", "empty"], &Err(FactorError::Misconfigured));
    assert_became(&became, &["silent", "cut", "500"], &Err(FactorError::Faltering));
}

#[tokio::test]
async fn a_dead_entra_is_unreachable_after_three_tries() {
    let entra = entra(nowhere().await);
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(entra.start(&asking(Method::Push)).await);
    }
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn a_probe_fetches_a_token_and_begins_nothing() {
    let sky = Sky::open(good).await;
    assert!(matches!(entra(sky.url()).probe().await, Probed::Well { .. }));
    assert!(sky.lines().iter().all(|line| line.ends_with("/oauth2/token")), "{:?}", sky.lines());
}

#[tokio::test]
async fn a_login_service_that_is_silent_holds_nobody_up_longer_than_one_time_out() {
    let sky = Sky::open(but("oauth2/token", Said::Silent)).await;
    let entra = Arc::new(entra(sky.url()));
    let began = tokio::time::Instant::now();
    let all: Vec<_> = (0..20)
        .map(|_| {
            let entra = Arc::clone(&entra);
            tokio::spawn(async move { entra.start(&asking(Method::Push)).await })
        })
        .collect();
    for one in all {
        assert_eq!(one.await.unwrap(), Err(FactorError::Faltering));
    }
    assert!(began.elapsed() < 10 * TIMEOUT, "one behind the other: {:?}", began.elapsed());
    assert_eq!(sky.heard().len(), 1);
}
