//! Accounting: who is on is written down, or handed on, and only then acknowledged (RFC 2866 §4.1). It never lets anybody in.

use std::convert::Infallible;
use std::fmt::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::timeout;

use super::Settings;
use super::clerk::Clerk;
use super::clerk::Held;
use super::clerk::Ledger;
use super::clerk::Way;
use super::clients::Accounting;
use super::clients::Client;
use super::sessions::Report;
use super::sessions::Session;
use super::sessions::Sessions;
use super::sessions::Status;
use crate::domain::Outage;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::metrics;
use crate::ports::AccountingRelay;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;

impl Clerk {
    /// One Accounting-Request.
    pub(super) fn book(&mut self, request: &Request<'_>, client: &Arc<Client>, settings: &Arc<Settings>, seen: &Ledger, way: Way, arrived: Instant) {
        let Some(report) = report(request, client, way.peer()) else {
            return self.discard(arrived, &way, client, "accounting", &"an Accounting-Request without Acct-Status-Type or without Acct-Session-Id");
        };
        let Some(held) = self.turn(request, client, settings, seen, &way, arrived) else { return };
        let entry = Entry { held, asked: Asked::of(request), secret: client.secret.clone(), way, report, sessions: self.behind.sessions.clone() };
        match &client.accounting {
            Accounting::Record => entry.write(),
            Accounting::Relay(relay) => match Forward::of(request, client.secret.expose()) {
                Ok(forward) => {
                    let packet = Secret::new(forward.as_bytes().to_vec());
                    let given_up = entry.held.guard();
                    tokio::spawn(entry.relay(Arc::clone(relay), packet, settings.within(client), given_up));
                }
                Err(error) => self.discard(arrived, &entry.way, client, "accounting", &error),
            },
        }
    }
}

/// An Accounting-Request that is to be written down and acknowledged.
struct Entry {
    held: Held,
    asked: Asked,
    secret: Secret,
    way: Way,
    report: Report,
    sessions: Sessions,
}

impl Entry {
    /// Writes it down and says so.
    fn write(self) {
        let Self { held, asked, secret, way, report, sessions } = self;
        let status = report.status;
        let session = sessions.write(report);
        if let (Some(word), Some(session)) = (word(status), session) {
            let Session { client, nas, id, name, source, address, input_octets, output_octets, .. } = &*session;
            let seconds = session.heard.0.saturating_sub(session.since.0) / 1000;
            tracing::info!(door = "radius", client, ?nas, session = ?id, ?name, ?source, ?address, seconds, input_octets, output_octets, "accounting: {word}");
        }
        match reply::accounting_response(&asked, secret.expose()) {
            Ok(bytes) => held.answer(&way, bytes),
            Err(error) => {
                metrics::discard("radius", "reply_too_long");
                tracing::warn!(door = "radius", source = %way.peer(), %error, "the reply leaves no room beside the request's Proxy-States");
            }
        }
    }

    /// Hands it on, and writes it down when it was taken; else there is silence, and the NAS asks again.
    async fn relay(self, relay: Arc<dyn AccountingRelay>, packet: Secret, within: Duration, given_up: oneshot::Receiver<Infallible>) {
        let relayed = tokio::select! {
            biased;
            _ = given_up => return,
            relayed = timeout(within, relay.relay(&packet)) => relayed,
        };
        match relayed {
            Ok(Ok(())) => self.write(),
            Ok(Err(outage)) => self.failed(outage.as_str()),
            Err(_) => self.failed(Outage::Directory.as_str()),
        }
    }

    fn failed(&self, why: &'static str) {
        metrics::discard("radius", "accounting_not_relayed");
        tracing::debug!(door = "radius", source = %self.way.peer(), why, "accounting was not taken by the server behind us, so it is not acknowledged");
    }
}

/// What is said in the log.
fn word(status: Status) -> Option<&'static str> {
    match status {
        Status::Start => Some("a session begins"),
        Status::Stop => Some("a session has ended"),
        Status::NasCleared => Some("a NAS begins or ends: nobody is on there"),
        Status::Interim | Status::Other => None,
    }
}

/// What the request says; nothing where it does not say of what.
fn report(request: &Request<'_>, client: &Client, peer: SocketAddr) -> Option<Report> {
    let number = |kind| request.first(kind).and_then(|attribute| attribute.integer());
    let status = match number(attr::ACCT_STATUS_TYPE)? {
        1 => Status::Start,
        2 => Status::Stop,
        3 => Status::Interim,
        7 | 8 => Status::NasCleared,
        _ => Status::Other,
    };
    let id = told(request, attr::ACCT_SESSION_ID);
    // RFC 2866 §5.13 wants one everywhere; where a NAS as a whole is meant it tells nothing.
    let id = if status == Status::NasCleared { id.unwrap_or_default() } else { id? };
    let octets = |low, high| u64::from(number(low).unwrap_or_default()) | u64::from(number(high).unwrap_or_default()) << 32;
    let four = request.first(attr::FRAMED_IP_ADDRESS).and_then(|attribute| attribute.ipv4()).map(IpAddr::V4);
    let milliseconds = |kind| number(kind).map(|seconds| u64::from(seconds).saturating_mul(1000));
    let session = Session {
        client: client.name.clone(),
        nas: nas(request, peer),
        id,
        name: told(request, attr::USER_NAME),
        source: told(request, attr::CALLING_STATION_ID),
        address: four.or_else(|| request.first(attr::FRAMED_IPV6_ADDRESS).and_then(|attribute| attribute.ipv6()).map(IpAddr::V6)),
        since: Timestamp(0),
        heard: Timestamp(0),
        input_octets: octets(attr::ACCT_INPUT_OCTETS, attr::ACCT_INPUT_GIGAWORDS),
        output_octets: octets(attr::ACCT_OUTPUT_OCTETS, attr::ACCT_OUTPUT_GIGAWORDS),
    };
    Some(Report { status, session, late_ms: milliseconds(attr::ACCT_DELAY_TIME).unwrap_or_default(), lasted_ms: milliseconds(attr::ACCT_SESSION_TIME) })
}

/// Which NAS it is, by its own word.
fn nas(request: &Request<'_>, peer: SocketAddr) -> String {
    let four = || request.first(attr::NAS_IP_ADDRESS)?.ipv4().map(|address| address.to_string());
    let six = || request.first(attr::NAS_IPV6_ADDRESS)?.ipv6().map(|address| address.to_string());
    told(request, attr::NAS_IDENTIFIER).or_else(four).or_else(six).unwrap_or_else(|| peer.ip().to_canonical().to_string())
}

/// An attribute as text that can be shown; what cannot is written as hexadecimal digits.
fn told(request: &Request<'_>, kind: u8) -> Option<String> {
    let attribute = request.first(kind)?;
    let text = attribute.text().filter(|text| !text.chars().any(char::is_control)).map(str::to_owned);
    Some(text.unwrap_or_else(|| {
        attribute.value.iter().fold("0x".to_owned(), |mut text, octet| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{octet:02x}");
            text
        })
    }))
}
