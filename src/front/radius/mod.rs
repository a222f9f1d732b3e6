//! The RADIUS door.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::CodeEntry;
use crate::domain::Network;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::ports::PrimaryCheck;
use crate::wire::radius::Integrity;

/// What all listeners share; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who may talk to us.
    pub clients: Vec<Client>,
    /// Requests in the works at once.
    pub inflight_max: usize,
    /// How long an answer is kept for retransmissions, 5..30 s.
    pub answer_keep: Duration,
    /// From a request's arrival to its Access-Reject, 1..10 s, plus at most 0.1 s of jitter.
    pub reject_delay: Duration,
    /// The longest a login may take.
    pub login_deadline: Duration,
}

/// One `[[radius.client]]`.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name.
    pub name: String,
    /// Where its packets come from; of several clients the longest prefix wins.
    pub networks: Vec<Network>,
    /// The shared secret.
    pub secret: Secret,
    /// Whether requests must be signed.
    pub integrity: Integrity,
    /// Who knows the passwords.
    pub check: Arc<dyn PrimaryCheck>,
    /// How a code is handed over.
    pub code: CodeEntry,
    /// How long this NAS waits; the login ends 2 s before.
    pub patience: Duration,
    /// The attribute that tells where the person is: Calling-Station-Id (31), Framed-IP-Address (8), Framed-IPv6-Address (168) or Tunnel-Client-Endpoint (66).
    pub source: Option<u8>,
    /// Its policy.
    pub rules: Arc<Rules>,
}
