//! The LDAP door.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::CodeEntry;
use crate::domain::Rules;
use crate::ports::Directory;

/// One `[[ldap.listen]]`; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name: the client in log, metrics and provider's question.
    pub name: String,
    /// How connections are kept from others.
    pub transport: Transport,
    /// The directory behind.
    pub directory: Arc<dyn Directory>,
    /// How a code is handed over: appended or not at all.
    pub code: CodeEntry,
    /// Its policy.
    pub rules: Arc<Rules>,
    /// Connections at once, over all listeners of the process.
    pub connections_max: usize,
    /// Bytes of one PDU once bound; before that 256 KiB at most.
    pub pdu_bytes_max: usize,
    /// From a bind's arrival to its refusal, plus at most 0.1 s of jitter.
    pub reject_delay: Duration,
    /// The longest a bind may take.
    pub login_deadline: Duration,
}

/// How connections are kept from others.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Clear text.
    Plain {
        /// Binds in clear text are taken from other machines too.
        allow_plain: bool,
    },
    /// Clear text until StartTLS; binds only after it.
    StartTls(Arc<rustls::ServerConfig>),
    /// TLS from the first byte.
    Tls(Arc<rustls::ServerConfig>),
}
