//! A cloud that lies: no lie is ever an approval.

use super::*;

/// Bodies that look like approval to whoever does not look closely.
fn lies() -> Vec<(u16, String)> {
    let mut lies: Vec<(u16, String)> = [
        "",
        "null",
        "[]",
        "true",
        "\"allow\"",
        "{}",
        "<html><body>allow</body></html>",
        r#"{"stat":"OK"}"#,
        r#"{"stat":"OK","response":null}"#,
        r#"{"stat":"OK","response":["allow","allow"]}"#,
        r#"["OK",{"result":"allow","status":"allow"},null,null]"#,
        r#"{"stat":"OK","response":"allow"}"#,
        r#"{"stat":"OK","response":{}}"#,
        r#"{"stat":"OK","response":{"result":true,"status":"allow"}}"#,
        r#"{"stat":"OK","response":{"result":["allow"],"status":"allow"}}"#,
        r#"{"stat":"OK","response":{"result":null,"status":"allow"}}"#,
        r#"{"stat":"OK","response":{"result":"quantum","status":"allow"}}"#,
        r#"{"stat":"OK","response":{"result":"ALLOW","status":"ALLOW"}}"#,
        r#"{"stat":"OK","response":{"result":"deny","result":"allow","status":"allow"}}"#,
        r#"{"stat":"OK","response":{"result":"allow","status":"allow"}"#,
        r#"{"stat":"OK","response":{"result":"allow","status":"allow"}}x"#,
        r#"{"stat":"ok","response":{"result":"allow","status":"allow"}}"#,
        r#"{"stat":"FAIL","response":{"result":"allow","status":"allow"}}"#,
        r#"{"stat":"FAIL","code":40103,"response":{"result":"allow","status":"allow"}}"#,
        r#"{"response":{"result":"allow","status":"allow"}}"#,
    ]
    .iter()
    .map(|body| (200, (*body).to_owned()))
    .collect();
    let allow = r#"{"stat":"OK","response":{"result":"allow","status":"allow"}}"#;
    lies.extend([201, 204, 301, 400, 401, 403, 404, 429, 500, 503].map(|status| (status, allow.to_owned())));
    lies
}

#[tokio::test]
async fn m_14_an_answer_that_lies_is_never_approval() {
    let lab = Lab::new(Manner::Told).await;
    let ticket = lab.ticket().await;
    for (status, body) in lies() {
        for path in [STATUS, AUTH, PREAUTH] {
            lab.cloud.set_weather(Some(path), Weather::says(status, &body));
            let outcome = match path {
                PREAUTH => lab.start(Method::Push).await,
                AUTH => lab.code("123456").await,
                _ => lab.wait(&ticket).await,
            };
            let fine = matches!(outcome, Ok(Progress::Denied { .. } | Progress::Pending(_)) | Err(_));
            assert!(fine, "{path} {status} {body}: {outcome:?}");
            let outage = outcome == Err(FactorError::Faltering);
            assert_eq!(outage, status >= 500 && path != STATUS, "{path} {status} {body}: {outcome:?}");
            // Whatever silence or pause that earned is over.
            later(Duration::from_secs(61)).await;
        }
    }
}

#[tokio::test]
async fn a_word_nobody_knows_is_not_approval() {
    let lab = Lab::new(Manner::Told).await;
    let ticket = lab.ticket().await;
    let says = |result: &str, status: &str| Weather::says(200, &format!(r#"{{"stat":"OK","response":{{"result":"{result}","status":"{status}"}}}}"#));
    for (result, status, question, code) in [
        ("waiting", "quantum", Ok(Progress::Pending(ticket.clone())), Err(FactorError::BadCode)),
        ("waiting", "allow", Ok(Progress::Pending(ticket.clone())), Err(FactorError::BadCode)),
        ("quantum", "allow", DENIED, Err(FactorError::BadCode)),
        ("allow", "quantum", DENIED, Err(FactorError::BadCode)),
        ("allow", "fraud", DENIED, Err(FactorError::BadCode)),
        ("allow", "bypass", Ok(Progress::Waived), Ok(Progress::Waived)),
    ] {
        lab.cloud.set_weather(Some(STATUS), says(result, status));
        lab.cloud.set_weather(Some(AUTH), says(result, status));
        assert_eq!(lab.wait(&ticket).await, question, "{result} {status}");
        assert_eq!(lab.code("123456").await, code, "{result} {status}");
    }
}

#[tokio::test]
async fn a_ticket_of_an_impossible_length_is_refused() {
    let lab = Lab::new(Manner::Told).await;
    for (length, good) in [(0, false), (1, true), (Ticket::LEN_MAX, true), (Ticket::LEN_MAX + 1, false)] {
        let txid = "t".repeat(length);
        lab.cloud.set_weather(Some(AUTH), Weather::says(200, &format!(r#"{{"stat":"OK","response":{{"txid":"{txid}"}}}}"#)));
        let want = if good { Ok(Progress::Pending(Ticket(txid.into()))) } else { Err(FactorError::Misconfigured) };
        assert_eq!(lab.start(Method::Push).await, want, "{length}");
    }
}
