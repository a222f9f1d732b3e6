//! Enrolment at Duo, against its answers as they are recorded and as they must never be believed.

use vestibule::ports::EnrolError;

use super::*;
use crate::cloud::Heard;
use crate::cloud::Said;
use crate::cloud::Sky;

const URL: &str = "https://m-1a2b3c4d.duosecurity.com/activate/AAAAbbbbCCCC";
const PORTAL: &str = "https://api-1a2b3c4d.duosecurity.com/portal?code=48bac5d9393fb2c2&akey=DIXXXXXXXXXXXXXXXXXX";

fn enrolled(username: &str, url: &str) -> Said {
    Said::json(
        200,
        &format!(
            r#"{{"stat":"OK","response":{{"activation_barcode":"https://api-1a2b3c4d.duosecurity.com/frame/qr?value=8LIRa5danrICkhHtkLxi","activation_code":"duo://8LIRa5danrICkhHtkLxi-cKLu2DWzDYCmBwBHY2YzW5ZYnYaRxA","activation_url":"{url}","bypass_codes":[],"expiration":1800086400,"user_id":"DU94SWSN4ADHHJHF2HXT","username":"{username}"}}}}"#
        ),
    )
}

fn taken() -> Said {
    Said::json(400, r#"{"stat":"FAIL","code":40002,"message":"Invalid request parameters","message_detail":"username already exists"}"#)
}

fn preauth(result: &str, portal: &str) -> Said {
    Said::json(
        200,
        &format!(
            r#"{{"stat":"OK","response":{{"result":"{result}","status_msg":"Enroll an authentication device to proceed","enroll_portal_url":{portal},"devices":[]}}}}"#
        ),
    )
}

async fn enrol_at(script: impl Fn(&Heard) -> Said + std::marker::Send + Sync + 'static) -> (Result<String, EnrolError>, Vec<Heard>) {
    let sky = Sky::open(script).await;
    let settings = Settings {
        name: "duo".into(),
        host: "api-1a2b3c4d.duosecurity.com".into(),
        key_id: "DIXXXXXXXXXXXXXXXXXX".into(),
        key: Secret::from("deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"),
        url: Some(sky.url()),
        ca_file: Some(crate::cloud::authority()),
        timeout: Duration::from_millis(500),
        number_match: false,
        send_name: true,
        send_source: true,
    };
    let duo = Duo::new(settings, dial(NOW_MS)).unwrap();
    let enrolled = duo.enrol(&asking("alice", Method::Push).account).await;
    (enrolled.map(|enrolment| enrolment.url.expose_text().unwrap().to_owned()), sky.heard())
}

#[tokio::test]
async fn m_16_whoever_duo_does_not_know_is_made_and_activates_a_phone_by_an_address() {
    let (told, heard) = enrol_at(|_| enrolled("alice", URL)).await;
    assert_eq!(told.as_deref(), Ok(URL));
    let lines: Vec<String> = heard.iter().map(Heard::line).collect();
    assert_eq!(lines, ["POST /auth/v2/enroll"]);
    assert_eq!(heard[0].json(), serde_json::json!({ "username": "alice", "valid_secs": "86400" }), "nothing else of the person goes out");
    assert!(heard[0].header("authorization").starts_with("Basic "));
}

#[tokio::test]
async fn who_is_known_there_without_a_phone_enrols_at_the_portal() {
    let (told, _) = enrol_at(|heard| if heard.path.ends_with("enroll") { taken() } else { preauth("enroll", &format!("\"{PORTAL}\"")) }).await;
    assert_eq!(told.as_deref(), Ok(PORTAL));
    for (result, why) in [("auth", EnrolError::Enrolled), ("allow", EnrolError::Enrolled), ("deny", EnrolError::Refused), ("quantum", EnrolError::Refused)] {
        let (told, _) = enrol_at(move |heard| if heard.path.ends_with("enroll") { taken() } else { preauth(result, "null") }).await;
        assert_eq!(told, Err(why), "{result}");
    }
}

#[tokio::test]
async fn m_13_an_enrolment_that_lies_or_does_not_come_is_none() {
    let refused = || Said::json(401, r#"{"stat":"FAIL","code":40103,"message":"Invalid signature in request credentials"}"#);
    let wrong = Err(EnrolError::Failed(FactorError::Misconfigured));
    let lies = [
        enrolled("bob", URL),
        enrolled("alice", "http://m-1a2b3c4d.duosecurity.com/activate/A"),
        enrolled("alice", "https://m.example/ a"),
        enrolled("alice", "javascript:alert(1)"),
        Said::json(200, ""),
        Said::json(200, "[]"),
        Said::json(200, r#"{"stat":"OK","response":[]}"#),
        Said::redirect("https://m.example/"),
        refused(),
    ];
    for lie in lies {
        let told = format!("{lie:?}");
        assert_eq!(enrol_at(move |_| lie.clone()).await.0, wrong, "{told}");
    }
    assert_eq!(enrol_at(|_| Said::Silent).await.0, Err(EnrolError::Failed(FactorError::Faltering)));
}
