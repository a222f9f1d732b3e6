//! One exchange with the service: a signed request, and a reply that is worth belief.

use std::time::Duration;

use reqwest::Method as Verb;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use serde::Serialize;

use super::SEE_PAGE;
use super::Webhook;
use super::answer::Reply;
use super::sign;
use super::sign::Signed;
use crate::domain::FactorError;
use crate::domain::Secret;
use crate::provider::http::Request;

impl Webhook {
    /// Sends a signed request, once, and believes a reply that is signed, of now, and about this very transaction (M-12, M-13).
    pub(super) async fn exchange<T: Serialize>(&self, action: &str, body: &T, transaction: &str, poll: Option<Duration>) -> Result<Reply, FactorError> {
        let nonce = nonce().ok_or_else(|| self.complain("no nonce", "the machine has no randomness to give"))?;
        let request = self.request(action, body, &nonce, poll).ok_or_else(|| self.complain("no request", "our own request cannot be written"))?;
        let answer = self.http.send(request).await?;
        // Not `Unreachable` from here on, since somebody does answer there: it must not open a door.
        if answer.status != 200 {
            return Err(self.complain(&answer.status.to_string(), remedy(answer.status)));
        }
        let keys: Vec<&Secret> = std::iter::once(&self.settings.key).chain(&self.settings.second_key).collect();
        let checked = sign::check(&answer.headers, answer.status, &nonce, &answer.body, &keys, self.clock.now());
        checked.map_err(|forged| self.complain("a reply not to be believed", &forged.to_string()))?;
        let reply: Reply = answer.object().ok_or_else(|| self.complain("a reply of another form", SEE_PAGE))?;
        if reply.transaction == transaction { Ok(reply) } else { Err(self.complain("another transaction", SEE_PAGE)) }
    }

    /// `None` for what no header can hold.
    fn request<T: Serialize>(&self, action: &str, body: &T, nonce: &str, poll: Option<Duration>) -> Option<Request> {
        let body = serde_json::to_vec(body).ok()?;
        let timestamp = (self.clock.now().0 / 1_000).to_string();
        let signature = Signed::Request("POST", &format!("{}/{action}", self.path)).signature(&self.settings.key, &timestamp, nonce, &body);
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (HeaderName::from_static(sign::TIMESTAMP), HeaderValue::try_from(timestamp).ok()?),
            (HeaderName::from_static(sign::NONCE), HeaderValue::try_from(nonce).ok()?),
            (HeaderName::from_static(sign::SIGNATURE), HeaderValue::try_from(signature).ok()?),
        ]);
        Some(Request { method: Verb::POST, target: format!("/{action}"), headers, body: Some(body), poll })
    }

    pub(super) fn complain(&self, code: &str, remedy: &str) -> FactorError {
        self.http.disbelieve();
        self.complaints.misconfigured(code, remedy)
    }
}

fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(sign::hex(&bytes))
}

/// What the operator must do about a status.
fn remedy(status: u16) -> &'static str {
    match status {
        300..=399 => "it sends us elsewhere, and we do not follow: check `url`",
        401 | 403 => "it does not know our signature: check `key` on both sides, and the clocks",
        404 | 405 => "there is no such service: check `url`",
        _ => "the protocol knows 200 alone",
    }
}
