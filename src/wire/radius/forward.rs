//! A client's request on its way to an upstream.

use super::Code;
use super::PACKET_LEN_MAX;
use super::Refusal;
use super::Request;
use super::Version;
use super::attr;
use super::attr::Attributes;
use super::carry::Clear;
use super::draft::Draft;
use super::draft::Head;
use super::draft::TooLong;
use super::hide;
use super::hide::BadLength;
use super::upstream::Unsendable;

/// What is relayed of a request: its attributes in order, User-Password in clear. The empty one makes a Status-Server.
#[derive(Clone, Default)]
pub struct Forward(Clear);

impl Forward {
    /// All attributes of a request in order, Proxy-States too, but Message-Authenticator and State, which are between the client and us. The
    /// Request Authenticator becomes a CHAP-Challenge where it was meant as one. Empty attributes are left out, but for EAP-Start.
    ///
    /// # Errors
    /// The hidden password has a length that cannot be.
    pub fn of(request: &Request<'_>, secret: &[u8]) -> Result<Self, BadLength> {
        let mut clear = Clear::default();
        for attribute in request.attributes() {
            let kept = match attribute.kind {
                attr::MESSAGE_AUTHENTICATOR | attr::STATE => Ok(()),
                attr::USER_PASSWORD => clear.push(attribute.kind, &request.password_of(attribute.value, secret)?),
                kind if attribute.value.is_empty() && kind != attr::EAP_MESSAGE => Ok(()),
                kind => clear.push(kind, attribute.value),
            };
            kept.map_err(|_| BadLength)?;
        }
        let chap = request.attributes().contains(attr::CHAP_PASSWORD) && request.first(attr::CHAP_CHALLENGE).is_none();
        if chap && request.version() == Version::V10 {
            clear.push(attr::CHAP_CHALLENGE, request.authenticator()).map_err(|_| BadLength)?;
        }
        Ok(Self(clear))
    }

    /// What [`Self::as_bytes`] gave.
    ///
    /// # Errors
    /// The bytes are no attributes, or too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        Clear::framed(bytes).map(Self)
    }

    /// The attributes one behind the other, the password in clear: to be kept as a secret.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// All of them, in order.
    #[must_use]
    pub fn attributes(&self) -> Attributes<'_> {
        self.0.attributes()
    }

    /// Another User-Password in the place of the first, or at the end where there is none; at most 128 octets.
    ///
    /// # Errors
    /// It is too long.
    pub fn with_password(self, password: &[u8]) -> Result<Self, TooLong> {
        if password.len() > hide::PASSWORD_LEN_MAX {
            return Err(TooLong);
        }
        let mut clear = Clear::default();
        let mut password = Some(password);
        for attribute in self.attributes() {
            match attribute.kind {
                attr::USER_PASSWORD => password.take().map_or(Ok(()), |password| clear.push(attr::USER_PASSWORD, password))?,
                kind => clear.push(kind, attribute.value)?,
            }
        }
        if let Some(password) = password {
            clear.push(attr::USER_PASSWORD, password)?;
        }
        Ok(Self(clear))
    }

    /// With this State alone, 1..=253 octets: the upstream's own, in answer to its challenge.
    ///
    /// # Errors
    /// It is too long.
    pub fn with_state(self, state: &[u8]) -> Result<Self, TooLong> {
        let mut clear = self.0.filtered(|attribute| attribute.kind != attr::STATE);
        clear.push(attr::STATE, state)?;
        Ok(Self(clear))
    }

    /// The bytes to send over UDP: Message-Authenticator first, User-Password hidden. `authenticator` must be random and never used before with this
    /// secret; an Accounting-Request has one of its own instead (RFC 2866 §3), and no Message-Authenticator.
    ///
    /// # Errors
    /// The password or the whole is too long.
    pub fn signed(&self, code: Code, identifier: u8, authenticator: &[u8; 16], secret: &[u8]) -> Result<Vec<u8>, Unsendable> {
        self.over_tls(code, identifier, authenticator, secret, PACKET_LEN_MAX)
    }

    /// The same, of at most `len_max` octets (65,535 if the peer was configured for as many, R-117).
    ///
    /// # Errors
    /// The password or the whole is too long.
    pub fn over_tls(&self, code: Code, identifier: u8, authenticator: &[u8; 16], secret: &[u8], len_max: usize) -> Result<Vec<u8>, Unsendable> {
        let accounting = code == Code::AccountingRequest;
        let head = if accounting { Head::Bare(identifier) } else { Head::Signed(identifier) };
        let mut draft = Draft::new(code, head, len_max);
        for attribute in self.attributes() {
            match attribute.kind {
                attr::USER_PASSWORD => {
                    let hidden = hide::hide(attribute.value, secret, authenticator).map_err(|_| Unsendable::Password)?;
                    draft.push(attribute.kind, &hidden)?;
                }
                kind => draft.push_even_empty(kind, attribute.value)?,
            }
        }
        Ok(if accounting { draft.into_accounting(secret)? } else { draft.into_request(authenticator, secret)? })
    }

    /// The same for RADIUS/1.1: nothing hidden, nothing signed, and a token that no request on this connection has that is still unanswered.
    ///
    /// # Errors
    /// The password is empty or too long, or the whole is.
    pub fn over_tls_11(&self, code: Code, token: u32, len_max: usize) -> Result<Vec<u8>, Unsendable> {
        let mut draft = Draft::new(code, Head::Token(token), len_max);
        for attribute in self.attributes() {
            // RFC 9765 §5.1.1
            if attribute.kind == attr::USER_PASSWORD && !(1..=hide::PASSWORD_LEN_MAX).contains(&attribute.value.len()) {
                return Err(Unsendable::Password);
            }
            draft.push_even_empty(attribute.kind, attribute.value)?;
        }
        Ok(draft.into_plain()?)
    }
}

impl std::fmt::Debug for Forward {
    /// The types alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.attributes().fmt(f)
    }
}
