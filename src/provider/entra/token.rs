//! Leave to ask the connector: a token from the tenant's own login service, kept until shortly before it runs out.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method as Verb;
use reqwest::header::CONTENT_TYPE;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use serde::Deserialize;
use serde_json::json;
use sha1::Digest;
use sha1::Sha1;

use super::super::complaints::Complaints;
use super::super::errand::Errand;
use super::super::http::Answer;
use super::super::http::Http;
use super::super::http::Request;
use super::super::http::form;
use crate::domain::FactorError;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::ports::Clock;

/// By what the tenant knows that it is us.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A certificate that was added to the connector's principal.
    Certificate(Certificate),
    /// A client secret that was.
    Secret(Secret),
}

/// A certificate and its RSA key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// SHA-1 over it, in base64url: `x5t` (RFC 7515 §4.1.7).
    thumbprint: String,
    key: Arc<dyn SigningKey>,
}

impl Certificate {
    /// `None` for a key that is no RSA key.
    #[must_use]
    pub fn new(certificate: &CertificateDer<'_>, key: &PrivateKeyDer<'_>) -> Option<Self> {
        let key = any_supported_type(key).ok()?;
        key.choose_scheme(&[RS256])?;
        Some(Self { thumbprint: URL_SAFE_NO_PAD.encode(Sha1::digest(certificate)), key })
    }

    /// Signs who we are (RFC 7523 §3): good for ten minutes, and for one use.
    fn assertion(&self, audience: &str, now: Timestamp, chance: [u8; 16]) -> Option<Secret> {
        let now_s = now.0 / 1000;
        let header = json!({ "alg": "RS256", "typ": "JWT", "x5t": self.thumbprint });
        let claims = json!({
            "aud": audience,
            "exp": now_s.saturating_add(600),
            "iss": CLIENT_ID,
            "jti": URL_SAFE_NO_PAD.encode(chance),
            "nbf": now_s.saturating_sub(60),
            "sub": CLIENT_ID,
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.choose_scheme(&[RS256])?.sign(signed.as_bytes()).ok()?;
        Some(Secret::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)).as_str()))
    }
}

/// The tokens for one tenant.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) http: Http,
    /// Path of the token endpoint.
    pub(super) target: String,
    /// Its whole URL, as the world knows it.
    pub(super) audience: String,
    /// What the token is for.
    pub(super) resource: String,
    pub(super) credential: Credential,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) held: Mutex<Option<(Timestamp, Secret)>>,
    pub(super) errand: Errand,
}

#[derive(Deserialize)]
struct Issued {
    token_type: String,
    access_token: String,
    expires_in: Seconds,
    resource: Option<String>,
}

/// The older of the two services writes numbers as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Tokens {
    /// A token that is good for a while. One login fetches it for all who come meanwhile.
    pub(super) async fn token(&self, complaints: &Complaints) -> Result<Secret, FactorError> {
        let good = || self.held().as_ref().filter(|(until, _)| self.clock.now() < *until).map(|(_, token)| token.clone());
        let fetch = async {
            let now = self.clock.now();
            let (token, for_ms) = self.fetch(now, complaints).await?;
            *self.held() = Some((Timestamp(now.0.saturating_add(for_ms)), token.clone()));
            Ok(token)
        };
        self.errand.run(good, fetch).await
    }

    /// This one is not accepted any more.
    pub(super) fn forget(&self, token: &Secret) {
        let mut held = self.held();
        if held.as_ref().is_some_and(|(_, other)| other == token) {
            *held = None;
        }
    }

    fn held(&self) -> MutexGuard<'_, Option<(Timestamp, Secret)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, now: Timestamp, complaints: &Complaints) -> Result<(Secret, u64), FactorError> {
        let own = || complaints.misconfigured("key", "our own proof cannot be written: check the certificate's key and this machine's clock");
        let assertion;
        let mut fields = vec![("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("resource", &self.resource), ("scope", "openid")];
        match &self.credential {
            Credential::Secret(secret) => fields.push(("client_secret", secret.expose_text().ok_or_else(own)?)),
            Credential::Certificate(certificate) => {
                let mut chance = [0; 16];
                getrandom::fill(&mut chance).map_err(|_| own())?;
                assertion = certificate.assertion(&self.audience, now, chance).ok_or_else(own)?;
                fields.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
                fields.push(("client_assertion", assertion.expose_text().ok_or_else(own)?));
            }
        }
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))]);
        let request = Request { method: Verb::POST, target: self.target.clone(), headers, body: Some(form(&fields)), poll: None };
        let answer = self.http.send(request).await.map_err(|failure| complaints.failed(failure, GARBLED))?;
        let issued: Issued = answer.object().filter(|_| answer.status == 200).ok_or_else(|| refused(&answer, complaints))?;
        let ours = issued.resource.as_deref().is_none_or(|resource| resource == self.resource);
        let seconds = match issued.expires_in {
            Seconds::Number(seconds) => Some(seconds),
            Seconds::Text(text) => text.parse().ok(),
        };
        let seconds = seconds.filter(|_| ours && issued.token_type.eq_ignore_ascii_case("bearer") && !issued.access_token.is_empty());
        let seconds = seconds.ok_or_else(|| complaints.misconfigured("token", GARBLED))?.min(LIFE_MAX_S);
        Ok((Secret::from(issued.access_token.as_str()), seconds.saturating_sub(EARLY_S).max(seconds / 2).saturating_mul(1000)))
    }
}

fn refused(answer: &Answer, complaints: &Complaints) -> FactorError {
    let refusal: Option<Refusal> = answer.object().filter(|_| (400..500).contains(&answer.status));
    match refusal.as_ref().map(|refusal| refusal.error.as_str()) {
        Some(code @ ("invalid_client" | "unauthorized_client")) => complaints.misconfigured(
            code,
            "the tenant does not know our secret or certificate, or it has run out: add it to the service principal of \"Azure Multi-Factor Auth Client\"",
        ),
        Some(code) => complaints.misconfigured(code, "the tenant gives us no token: check `tenant` and that its \"Azure Multi-Factor Auth Client\" exists"),
        None => complaints.misconfigured("no answer of a token endpoint", GARBLED),
    }
}

/// "Azure Multi-Factor Auth Client", in every tenant.
const CLIENT_ID: &str = "981f26a1-7f43-403b-a875-f8b09b8cd720";
const RS256: SignatureScheme = SignatureScheme::RSA_PKCS1_SHA256;
/// So long before its end a token is not used any more.
const EARLY_S: u64 = 300;
const LIFE_MAX_S: u64 = 24 * 60 * 60;
const GARBLED: &str = "what answers there is not the tenant's token endpoint: check `tenant`, `cloud` and `login_url`";
