//! What the lab cloud answers: Duo's Auth API v2, from the signature to the envelope.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::ConnectInfo;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::StatusCode;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use axum::http::header::DATE;
use axum::response::IntoResponse;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use super::Decision;
use super::HOST;
use super::Manner;
use super::Person;
use super::Question;
use super::Sky;
use super::Weather;
use super::gone;
use super::random_hex;
use super::wire::Line;
use crate::provider::duo::sign::Signed;
use crate::provider::duo::sign::query;

type Params = HashMap<String, String>;

/// Answers one request, as the weather is.
pub(super) async fn answer(
    State(sky): State<Arc<Sky>>,
    ConnectInfo(line): ConnectInfo<Line>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match sky.weather(uri.path()) {
        Weather::Fine => {}
        Weather::Cuts => line.cut(),
        Weather::Hangs => {
            gone(sky.closing.clone()).await;
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        Weather::Says { status, headers, body } => return said(status, &headers, body),
    }
    let request = Asked { method: &method, uri: &uri, headers: &headers, body: &body };
    let outcome = match uri.path() {
        "/auth/v2/ping" => Ok(time(&sky)),
        path => match request.params(&sky) {
            Ok(params) => call(&sky, &method, path, &params).await,
            Err(refusal) => Err(refusal),
        },
    };
    match outcome {
        Ok(response) => Json(json!({ "stat": "OK", "response": response })).into_response(),
        Err(Refusal(code, message)) => {
            let status = u16::try_from(code / 100).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(json!({ "stat": "FAIL", "code": code, "message": message }))).into_response()
        }
    }
}

/// Duo's code and its words.
struct Refusal(u32, &'static str);

/// A request as it came.
struct Asked<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl Asked<'_> {
    /// The parameters, if whoever asks is who he says: key, clock, signature, in this order.
    fn params(&self, sky: &Sky) -> Result<Params, Refusal> {
        let text = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let credentials = text(AUTHORIZATION).and_then(|value| value.strip_prefix("Basic "));
        let plain = credentials.and_then(|credentials| STANDARD.decode(credentials).ok()).and_then(|plain| String::from_utf8(plain).ok());
        let plain = plain.ok_or(Refusal(40_101, "Missing request credentials"))?;
        let (key_id, signature) = plain.split_once(':').ok_or(Refusal(40_101, "Missing request credentials"))?;
        if key_id != sky.key_id {
            return Err(Refusal(40_102, "Invalid integration key in request credentials"));
        }
        let date = text(DATE).ok_or(Refusal(40_104, "Missing or malformed date"))?;
        let sent = jiff::fmt::rfc2822::parse(date).map_err(|_| Refusal(40_104, "Missing or malformed date"))?.timestamp().as_millisecond();
        let now = i64::try_from(sky.clock.now().0).unwrap_or(i64::MAX);
        if now.abs_diff(sent) > SKEW_MAX_MS {
            return Err(Refusal(40_105, "Bad request timestamp"));
        }
        let raw = self.uri.query().unwrap_or_default();
        let pairs: Option<Vec<(String, String)>> = raw.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
        let pairs = pairs.ok_or(Refusal(40_002, "Invalid request parameters"))?;
        let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let query = query(&borrowed);
        let signed = Signed { date, method: self.method.as_str(), host: HOST, path: self.uri.path(), query: &query, body: self.body };
        if !bool::from(signed.signature(&sky.key).as_bytes().ct_eq(signature.as_bytes())) {
            return Err(Refusal(40_103, "Invalid signature in request credentials"));
        }
        if self.body.is_empty() {
            return Ok(pairs.into_iter().collect());
        }
        let typed = self.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        serde_json::from_slice(self.body).ok().filter(|_| typed).ok_or(Refusal(40_002, "Invalid request parameters"))
    }
}

async fn call(sky: &Sky, method: &Method, path: &str, params: &Params) -> Result<Value, Refusal> {
    match (method, path) {
        (&Method::GET, "/auth/v2/check") => Ok(time(sky)),
        (&Method::POST, "/auth/v2/preauth") => preauth(sky, person(sky, params)?, params),
        (&Method::POST, "/auth/v2/auth") => auth(sky, params).await,
        (&Method::GET, "/auth/v2/auth_status") => {
            let txid = params.get("txid").ok_or(Refusal(40_001, "Missing required request parameters"))?;
            status(sky, txid).await
        }
        _ => Err(Refusal(40_401, "Resource not found")),
    }
}

fn time(sky: &Sky) -> Value {
    json!({ "time": sky.clock.now().0 / 1_000 })
}

fn preauth(sky: &Sky, person: Option<Person>, params: &Params) -> Result<Value, Refusal> {
    let Some(person) = person.filter(|person| person.manner != Manner::Unenrolled) else {
        return Ok(json!({ "result": "enroll", "status_msg": "Enroll an authentication device to proceed", "enroll_portal_url": "https://enroll.example" }));
    };
    match person.manner {
        Manner::AllowedAtOnce => return Ok(json!({ "result": "allow", "status_msg": "Account is set to allow authentication without two factors" })),
        Manner::DeniedAtOnce => return Ok(json!({ "result": "deny", "status_msg": "Your account is disabled" })),
        _ => {}
    }
    let mut capabilities = vec!["auto"];
    capabilities.extend(person.capabilities.iter().map(String::as_str));
    let phone = |id: &String| json!({ "device": id, "type": "phone", "display_name": "Lab phone", "number": "XXX-XXX-0199", "capabilities": capabilities });
    let mut devices: Vec<Value> = person.devices.iter().map(phone).collect();
    devices.push(json!({ "device": "DHLAB0000000000000K1", "type": "token", "name": "0" }));
    if params.get("client_supports_verified_push").is_none_or(|word| word != "1") {
        return Ok(json!({ "result": "auth", "status_msg": "Account is active", "devices": devices }));
    }
    let (txid, number) = number(sky, &person).ok_or(Refusal(50_000, "Internal error"))?;
    Ok(json!({ "result": "auth", "status_msg": "Account is active", "devices": devices, "txid": txid, "verification_code": number, "expiration": 60 }))
}

/// A number for a push that is to come. `None`: no random bytes, or too many that never came.
fn number(sky: &Sky, person: &Person) -> Option<(String, String)> {
    let txid = random_hex(16).ok()?;
    let number: String = txid.bytes().take(3).map(|byte| char::from(b'0'.saturating_add(byte % 10))).collect();
    let mut town = sky.town();
    if town.numbers.len() >= NUMBERS_MAX {
        town.numbers.clear();
    }
    town.numbers.insert(txid.clone(), (person.name.to_lowercase(), number.clone()));
    Some((txid, number))
}

async fn auth(sky: &Sky, params: &Params) -> Result<Value, Refusal> {
    let person = person(sky, params)?.ok_or(Refusal(40_002, "Invalid request parameters"))?;
    match params.get("factor").map(String::as_str) {
        Some("passcode") => {
            let code = params.get("passcode").ok_or(Refusal(40_001, "Missing required request parameters"))?;
            Ok(passcode(sky, &person, code))
        }
        Some(factor @ ("push" | "phone" | "sms")) => {
            let known = params.get("device").is_some_and(|device| device == "auto" || person.devices.contains(device));
            if !known || !person.capabilities.iter().any(|word| word == factor) {
                return Err(Refusal(40_002, "Invalid request parameters"));
            }
            if factor == "sms" {
                return text(sky, &person).ok_or(Refusal(50_000, "Internal error"));
            }
            let txid = ask(sky, &person, params).ok_or(Refusal(50_000, "Internal error"))?;
            if params.get("async").is_some_and(|word| word == "1") {
                return Ok(json!({ "txid": txid }));
            }
            loop {
                let response = status(sky, &txid).await?;
                if response.get("result").is_some_and(|result| result != "waiting") {
                    return Ok(response);
                }
            }
        }
        _ => Err(Refusal(40_002, "Invalid request parameters")),
    }
}

/// Sends a passcode by text. `None`: no random bytes.
fn text(sky: &Sky, person: &Person) -> Option<Value> {
    if person.manner == Manner::LockedOut {
        return Some(decided(Decision::LockedOut));
    }
    let code: String = random_hex(7).ok()?.bytes().take(7).map(|byte| char::from(b'0'.saturating_add(byte % 10))).collect();
    let name = person.name.to_lowercase();
    let mut town = sky.town();
    town.people.get_mut(&name)?.passcodes.push(code.clone());
    town.texted.insert(name, code);
    Some(json!({ "result": "deny", "status": "sent", "status_msg": "New SMS passcodes sent." }))
}

/// A code is good once.
fn passcode(sky: &Sky, person: &Person, typed: &str) -> Value {
    if person.manner == Manner::LockedOut {
        return decided(Decision::LockedOut);
    }
    let mut town = sky.town();
    let codes = town.people.get_mut(&person.name.to_lowercase()).map(|person| &mut person.passcodes);
    let place = codes.as_ref().and_then(|codes| codes.iter().position(|code| code == typed));
    match (codes, place) {
        (Some(codes), Some(place)) => {
            codes.remove(place);
            decided(Decision::Approved)
        }
        _ => json!({ "result": "deny", "status": "deny", "status_msg": "Incorrect passcode. Please try again." }),
    }
}

/// Lets the telephone ring. `None`: no random bytes, or too many questions.
fn ask(sky: &Sky, person: &Person, params: &Params) -> Option<String> {
    let name = person.name.to_lowercase();
    // A number that was given out to somebody else is nobody's.
    let numbered = params.get("txid").and_then(|txid| sky.town().numbers.remove(txid).map(|(whose, number)| (txid, whose, number)));
    let numbered = numbered.filter(|(_, whose, _)| *whose == name);
    let (txid, number) = match numbered {
        Some((txid, _, number)) => (txid.clone(), Some(number)),
        None => (random_hex(16).ok()?, None),
    };
    let in_a = |wait: Duration, decision| Instant::now().checked_add(wait).map(|moment| (moment, decision));
    let (decision, due) = match person.manner {
        Manner::AllowedAtOnce => (Some(Decision::Approved), None),
        Manner::DeniedAtOnce | Manner::Unenrolled => (Some(Decision::Denied), None),
        Manner::LockedOut => (Some(Decision::LockedOut), None),
        Manner::Approves(wait) => (None, in_a(wait, Decision::Approved)),
        Manner::Denies(wait) => (None, in_a(wait, Decision::Denied)),
        Manner::Reports(wait) => (None, in_a(wait, Decision::Fraud)),
        Manner::Ignores(wait) => (None, in_a(wait, Decision::TimedOut)),
        Manner::Told => (None, in_a(QUESTION_LIFE, Decision::TimedOut)),
    };
    let call = params.get("factor").is_some_and(|factor| factor == "phone");
    let mut town = sky.town();
    if town.questions.len() >= QUESTIONS_MAX {
        town.questions.retain(|_, question| question.asked_at.elapsed() < QUESTION_KEEP);
    }
    if town.questions.len() >= QUESTIONS_MAX {
        return None;
    }
    town.questions.insert(txid.clone(), Question { name: name.clone(), call, number, asked_at: Instant::now(), told: false, decision, due });
    let count = town.pushes.entry(name.clone()).or_default();
    *count = count.saturating_add(1);
    town.shown.insert(name, params.clone());
    drop(town);
    sky.news.send_replace(());
    Some(txid)
}

/// Holds the poll until the question is decided, but tells the first one at once that it is out.
async fn status(sky: &Sky, txid: &str) -> Result<Value, Refusal> {
    let mut news = sky.news.subscribe();
    let mut closing = sky.closing.clone();
    let hold = sleep(HOLD);
    tokio::pin!(hold);
    loop {
        let question = look(sky, txid).ok_or(Refusal(40_002, "Invalid request parameters"))?;
        if let Some(decision) = question.decision {
            return Ok(decided(decision));
        }
        if !question.told {
            let status = if question.call { "calling" } else { "pushed" };
            return Ok(json!({ "result": "waiting", "status": status, "status_msg": "Asked your telephone..." }));
        }
        let due = async {
            match question.due {
                Some((moment, _)) => sleep_until(moment).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            _ = news.changed() => {}
            () = &mut hold => return Err(Refusal(40_002, "Invalid request parameters")),
            _ = closing.changed() => return Err(Refusal(50_300, "Service unavailable")),
        }
    }
}

/// How a question stands now, as it was before this look.
fn look(sky: &Sky, txid: &str) -> Option<Question> {
    let mut town = sky.town();
    let question = town.questions.get_mut(txid)?;
    if let (None, Some((moment, decision))) = (question.decision, question.due) {
        question.decision = (moment <= Instant::now()).then_some(decision);
    }
    let before = question.clone();
    question.told = true;
    Some(before)
}

fn decided(decision: Decision) -> Value {
    let (result, status, words) = match decision {
        Decision::Approved => ("allow", "allow", "Success. Logging you in..."),
        Decision::Denied => ("deny", "deny", "Login request denied."),
        Decision::Fraud => ("deny", "fraud", "Login request reported as fraudulent."),
        Decision::LockedOut => ("deny", "locked_out", "Your account has been locked out."),
        Decision::TimedOut => ("deny", "timeout", "Login timed out."),
    };
    json!({ "result": result, "status": status, "status_msg": words })
}

/// The person asked for, if there is one of that name.
fn person(sky: &Sky, params: &Params) -> Result<Option<Person>, Refusal> {
    let name = params.get("username").filter(|name| !name.is_empty()).ok_or(Refusal(40_001, "Missing required request parameters"))?;
    Ok(sky.town().people.get(&name.to_lowercase()).cloned())
}

fn said(status: u16, headers: &[(String, String)], body: String) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// `name=value`, percent-decoded.
fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    Some((decoded(name)?, decoded(value)?))
}

fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// Given out and not used; pushes come right behind them.
const NUMBERS_MAX: usize = 10_000;
/// A poll without news ends after this.
const HOLD: Duration = Duration::from_secs(20);
/// A question nobody answers.
const QUESTION_LIFE: Duration = Duration::from_secs(60);
/// Nobody polls for an older one any more.
const QUESTION_KEEP: Duration = Duration::from_secs(300);
const QUESTIONS_MAX: usize = 100_000;
const SKEW_MAX_MS: u64 = 5 * 60 * 1_000;
