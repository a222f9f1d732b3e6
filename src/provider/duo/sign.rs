//! Duo's signature, version 5: what is signed, and how.

use std::fmt::Write;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha512;

use crate::domain::Secret;
use crate::domain::Timestamp;

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The `Date` header as sent.
    pub date: &'a str,
    /// In capitals.
    pub method: &'a str,
    /// The API's host name; its case does not matter.
    pub host: &'a str,
    /// From `/` on, without the query.
    pub path: &'a str,
    /// The query, as [`query`] makes it; empty for a POST.
    pub query: &'a str,
    /// The body; empty for a GET.
    pub body: &'a [u8],
}

impl Signed<'_> {
    /// The signature in lower-case hexadecimal. We send no `X-Duo-*` headers, so the last line is the hash of nothing.
    #[must_use]
    pub fn signature(&self, key: &Secret) -> String {
        let lines = [self.date, self.method, &self.host.to_ascii_lowercase(), self.path, self.query, &hash(self.body), &hash(b"")].join("\n");
        // HMAC takes keys of any length, so the error cannot be; were it to be, Duo refuses the empty signature.
        let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(key.expose()) else { return String::new() };
        mac.update(lines.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

/// Names and values percent-encoded (RFC 3986 §2.3), sorted, joined: what is sent behind the `?` and what is signed.
#[must_use]
pub fn query(params: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> = params.iter().map(|(name, value)| (encoded(name), encoded(value))).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A moment as Duo wants it in `Date` (RFC 2822 §3.3); `None` for one outside the calendar.
#[must_use]
pub fn date(now: Timestamp) -> Option<String> {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(now.0).ok()?).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_string(&moment).ok()
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn hash(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 21 Aug 2012 17:29:18 -0000";
    const HOST: &str = "api-XXXXXXXX.duosecurity.com";

    fn key() -> Secret {
        Secret::from("deadbeef".repeat(5).as_str())
    }

    #[test]
    fn known_answer_of_a_post() {
        let body = br#"{"async":"1","device":"auto","factor":"push","username":"jdoe"}"#;
        let want = "60ce5a5c309b2b097f0c03ddf3d1b887d25f1e51e9767b7294c8fab5c44b470e0944830a27aceb5467d0371717f59ef44cc6343ae8879b04470cabb750699a78";
        assert_eq!(hash(body), want);
        let signed = Signed { date: DATE, method: "POST", host: HOST, path: "/auth/v2/auth", query: "", body };
        let want = "81914c372679e750f80a06625aa507b70810c7f2fbc03198c058c9965dfc1602f97186a748725b15a3c0c653001718b72d39c77b749d0b96f77330d438355398";
        assert_eq!(signed.signature(&key()), want);
    }

    #[test]
    fn known_answer_of_a_get() {
        let query = query(&[("txid", "45f7c92b-f45f-4862-8545-e0f58e78075a")]);
        assert_eq!(query, "txid=45f7c92b-f45f-4862-8545-e0f58e78075a");
        let signed = Signed { date: DATE, method: "GET", host: HOST, path: "/auth/v2/auth_status", query: &query, body: b"" };
        let want = "c3d2c91eaba8d1e9641cfd6f038249dd25b3922b408c6785394431bb5530572c4c1f91f1c6a3fc4b6b646d48b1bc92d8e370b1a8073e4cc467c49b44e66f97e5";
        assert_eq!(signed.signature(&key()), want);
    }

    #[test]
    fn the_date_has_the_form_of_the_vectors() {
        assert_eq!(date(Timestamp(1_345_570_158_999)).unwrap(), DATE);
        assert_eq!(date(Timestamp(u64::MAX)), None);
    }

    #[test]
    fn parameters_are_encoded_and_then_sorted() {
        assert_eq!(query(&[("b", "2 ~/ü"), ("a b", "x&y=z"), ("b", "1+")]), "a%20b=x%26y%3Dz&b=1%2B&b=2%20~%2F%C3%BC");
        assert_eq!(query(&[]), "");
    }
}
