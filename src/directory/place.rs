//! Where a server is, as people write it: a host, and perhaps a port.

use std::fmt;
use std::net::Ipv6Addr;

use rustls::pki_types::ServerName;

/// A host that a certificate could be for, and a port.
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// What of it is wrong.
pub(super) enum Wrong {
    Host,
    Port,
}

impl<'a> Place<'a> {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    pub(super) fn read(text: &'a str, port_usual: u16) -> Result<Self, Wrong> {
        let (host, behind) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok()).ok_or(Wrong::Host)?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match behind.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(Wrong::Port)?,
            None if behind.is_empty() => port_usual,
            None => return Err(Wrong::Port),
        };
        ServerName::try_from(host).map_err(|_| Wrong::Host)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => write!(f, "[{address}]:{}", self.port),
            Err(_) => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
