//! Who we are to privacyIDEA: a service account, whose sessions end, or a token that was made for us, or nobody.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::time::Instant;

use crate::domain::Secret;
use crate::domain::Timestamp;

/// How we show who we are. Challenges are triggered for somebody alone.
#[derive(Clone, Debug)]
pub enum Caller {
    /// By a token that was made there for us (`pi-manage api createtoken`); it goes with every request.
    Key(Secret),
    /// Not at all: codes are checked, and nothing is triggered.
    Nobody,
    /// By the name and password of an account there that may trigger challenges.
    Service {
        /// Its name.
        name: String,
        /// Its password.
        password: Secret,
    },
}

/// The session of a service account.
#[derive(Debug, Default)]
pub(super) struct Held {
    token: Option<Secret>,
    ends: Option<Timestamp>,
    /// Who was refused does not knock again at once: accounts there are locked too.
    refused: Option<Instant>,
}

impl Held {
    /// The token, if it is still good and not the one that was `refused` just now.
    pub(super) fn good(&self, now: Timestamp, refused: Option<&Secret>) -> Option<&Secret> {
        let ended = self.ends.is_some_and(|ends| ends <= now);
        self.token.as_ref().filter(|token| !ended && refused != Some(*token))
    }

    /// Whether it is too early to ask for another one.
    pub(super) fn is_barred(&self) -> bool {
        self.refused.is_some_and(|until| Instant::now() < until)
    }

    /// A session begins. It ends a little before the server thinks so; one that does not say when is good until it is refused.
    pub(super) fn begin(&mut self, token: &str) -> Secret {
        let token = Secret::from(token);
        let ends = expiry(&token).map(|ends_s| Timestamp(ends_s.saturating_mul(1_000).saturating_sub(MARGIN_MS)));
        *self = Self { token: Some(token.clone()), ends, refused: None };
        token
    }

    /// Our name and password were refused.
    pub(super) fn bar(&mut self) {
        let now = Instant::now();
        *self = Self { refused: Some(now.checked_add(REFUSED_PAUSE).unwrap_or(now)), ..Self::default() };
    }
}

/// When a JSON Web Token ends, in seconds since 1970. It is not ours to check: whoever made it will.
fn expiry(token: &Secret) -> Option<u64> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let claims = token.expose_text()?.split('.').nth(1)?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    Some(claims.exp)
}

const MARGIN_MS: u64 = 10_000;
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_session_is_used_until_it_ends_or_is_refused() {
        let mut held = Held::default();
        assert_eq!(held.good(Timestamp(0), None), None);
        let first = held.begin(&token(r#"{"exp":100}"#));
        assert_eq!(held.good(Timestamp(89_999), None), Some(&first));
        assert_eq!([held.good(Timestamp(90_000), None), held.good(Timestamp(0), Some(&first))], [None, None]);
        let endless = held.begin("opaque");
        assert_eq!(held.good(Timestamp(u64::MAX), Some(&first)), Some(&endless));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_refused_waits_before_the_next_try() {
        let mut held = Held::default();
        held.bar();
        assert!(held.is_barred());
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(!held.is_barred());
    }
}
