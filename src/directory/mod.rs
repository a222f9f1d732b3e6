//! The first factor: directories that know passwords.

use std::path::PathBuf;
use std::time::Duration;

use crate::domain::Secret;

/// One `[directory.NAME]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Whose manners it has.
    pub kind: Kind,
    /// In order of preference; at least one.
    pub servers: Vec<Server>,
    /// The DN under which everybody is found.
    pub base: String,
    /// The NetBIOS name before the backslash in `CORP\alice`; AD alone.
    pub netbios: Option<String>,
    /// The name we bind with to look people up.
    pub bind_name: String,
    /// And its password.
    pub bind_password: Secret,
    /// The certificate authorities that may vouch for the servers, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// Connections for look-ups at once, 1..1000.
    pub pool_max: usize,
    /// How long one server may take for one operation.
    pub timeout: Duration,
}

/// Whose manners a directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Active Directory (Samba's too): objectSid, sub-codes, `NETBIOS\sam`.
    Ad,
    /// Any other LDAP server: entryUUID, `uid`.
    Ldap,
}

/// One server of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address; the certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
}

/// How a connection to a directory server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: `ldap://`, to a loopback address alone.
    Plain,
    /// `ldap+starttls://`; never falls back to clear text.
    StartTls,
    /// `ldaps://`.
    Tls,
}
