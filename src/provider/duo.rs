//! Duo, by its Auth API v2.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Secret;

/// One `[provider.NAME]` with `kind = "duo"`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// `api-XXXXXXXX.duosecurity.com`; also what is signed.
    pub host: String,
    /// The integration key.
    pub key_id: String,
    /// The secret key.
    pub key: Secret,
    /// Where to connect instead of `https://{host}`: tests, proxies. `http://` to a loopback address alone.
    pub url: Option<String>,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take.
    pub timeout: Duration,
}
