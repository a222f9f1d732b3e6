//! RADIUS packets (RFC 2865).

/// Whether a client's requests must carry a Message-Authenticator (CVE-2024-3596).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// Unsigned requests pass and are counted.
    Observe,
    /// Unsigned requests pass, except with Proxy-State, EAP or no credential.
    Optional,
    /// Unsigned requests are dropped.
    Require,
}
