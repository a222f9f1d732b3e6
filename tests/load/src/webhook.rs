//! A stand-in for a webhook service (HTTP/1.1, loopback, kept connections): checks each request's signature, approves everybody, and signs.
//!
//! Written after `docs/webhook.md`, with nothing of the product in it. A thread a connection, of which there are as many as logins at once.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::time::SystemTime;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

use crate::Fault;
use crate::flags::Flags;

/// Bytes of one request; ours have a few hundred.
const REQUEST_LEN_MAX: usize = 16_384;

/// What `/start` says; a poll always hears `allowed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Allowed,
    Pending,
}

/// Answers until it is killed.
pub fn serve(mut flags: Flags) -> Result<(), Fault> {
    let listen = flags.loopback("listen")?;
    let key: String = flags.needed("key")?;
    let start = match flags.or("start", "allowed".to_owned())?.as_str() {
        "allowed" => Start::Allowed,
        "pending" => Start::Pending,
        other => return Err(format!("--start {other}: allowed or pending").into()),
    };
    flags.finish()?;
    for stream in TcpListener::bind(listen)?.incoming() {
        let (stream, key) = (stream?, key.clone());
        stream.set_nodelay(true)?;
        std::thread::spawn(move || talk(stream, &key, start));
    }
    Ok(())
}

/// Until the other side has enough.
fn talk(mut stream: TcpStream, key: &str, start: Start) {
    let mut read = Vec::new();
    let mut bytes = [0; 4_096];
    loop {
        while let Some(request) = take(&mut read) {
            let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs());
            if stream.write_all(reply(&request, key, start, now).as_bytes()).is_err() {
                return;
            }
        }
        match stream.read(&mut bytes) {
            Ok(count) if count > 0 && read.len() < REQUEST_LEN_MAX => read.extend(&bytes[..count]),
            _ => return,
        }
    }
}

/// One whole request.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim()
    }

    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// `start`, `poll`, `answer` or `cancel`.
    fn action(&self) -> &str {
        self.path().rsplit('/').next().unwrap_or_default()
    }

    fn transaction(&self) -> &str {
        self.body.split_once(r#""transaction":""#).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
    }
}

/// Takes one out of what was read; its head in small letters.
fn take(read: &mut Vec<u8>) -> Option<Request> {
    let end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
    let request = Request { head, body: String::new() };
    let length: usize = request.header("content-length").parse().unwrap_or(0);
    let body = String::from_utf8_lossy(read.get(end..end + length)?).into_owned();
    read.drain(..end + length);
    Some(Request { body, ..request })
}

fn reply(request: &Request, key: &str, start: Start, now: u64) -> String {
    let (nonce, at) = (request.header("vestibule-nonce"), request.header("vestibule-timestamp"));
    let wanted = signature(key, &format!("request\nPOST {}\n{at}\n{nonce}", request.path()), &request.body);
    if request.header("vestibule-signature") != wanted || at.parse().map_or(true, |at: u64| at.abs_diff(now) > 60) {
        return "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".to_owned();
    }
    let answer = if request.action() == "start" && start == Start::Pending { "pending" } else { "allowed" };
    let body = format!(r#"{{"transaction":"{}","answer":"{answer}"}}"#, request.transaction());
    let signed = signature(key, &format!("reply\n200\n{now}\n{nonce}"), &body);
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nvestibule-timestamp: {now}\r\nvestibule-signature: {signed}\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn signature(key: &str, lines: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("vestibule-webhook-1\n{lines}\n{body}").as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const BODY: &str = r#"{"transaction":"00000000000000000000000000005eed-push","account":{"id":"S-1-5-21-1-2-3-1104"},"method":"push","client":"vpn-gate_1","server":"mfa1","source":"192.0.2.7","language":"de"}"#;
    const SIGNED: &str = "v1=d3a685b1c39fd0ea067b3d6ed84978cbe83ca5be929fd3ebcba48fe801336aea";

    fn request(signed: &str) -> Vec<u8> {
        let length = BODY.len();
        let headers = "Vestibule-Timestamp: 1800000000\r\nVestibule-Nonce: 000102030405060708090a0b0c0d0e0f";
        format!("POST /v1/start HTTP/1.1\r\n{headers}\r\nVestibule-Signature: {signed}\r\nContent-Length: {length}\r\n\r\n{BODY}").into_bytes()
    }

    #[test]
    fn a_request_as_the_page_shows_it_is_answered_and_another_is_not() {
        let mut read = request(SIGNED);
        let last = read.pop().unwrap();
        assert_eq!(take(&mut read), None);
        read.push(last);
        let good = take(&mut read).unwrap();
        assert!(read.is_empty());
        let told = reply(&good, KEY, Start::Pending, 1_800_000_000);
        assert!(told.starts_with("HTTP/1.1 200") && told.ends_with(r#"{"transaction":"00000000000000000000000000005eed-push","answer":"pending"}"#), "{told}");
        assert!(reply(&good, KEY, Start::Allowed, 1_800_000_061).starts_with("HTTP/1.1 401"));
        let forged = take(&mut request(&SIGNED.replace("d3a6", "d3a7"))).unwrap();
        assert!(reply(&forged, KEY, Start::Allowed, 1_800_000_000).starts_with("HTTP/1.1 401"));
    }
}
