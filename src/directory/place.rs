//! Where a server is, as people write it: a host, and perhaps a port.

use std::fmt;
use std::net::Ipv6Addr;

use rustls::pki_types::ServerName;

/// A host that a certificate could be for, and a port.
pub(super) struct Place<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
}

/// Why a text is no host with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// No name or address, or one that no certificate could be for.
    #[error("the host is no DNS name and no address (IPv6 goes in brackets)")]
    Host,
    /// Not 1 to 65535, or something else behind the host.
    #[error("only a port from 1 to 65535 may follow the host, as in dc1.corp.example:636")]
    Port,
}

impl<'a> Place<'a> {
    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    pub(super) fn read(text: &'a str, port_usual: u16) -> Result<Self, PlaceError> {
        let (host, behind) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').filter(|(host, _)| host.parse::<Ipv6Addr>().is_ok()).ok_or(PlaceError::Host)?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match behind.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or(PlaceError::Port)?,
            None if behind.is_empty() => port_usual,
            None => return Err(PlaceError::Port),
        };
        ServerName::try_from(host).map_err(|_| PlaceError::Host)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_and_written() {
        for (text, host, port, shown) in [
            ("dc1.corp.example", "dc1.corp.example", 636, "dc1.corp.example:636"),
            ("dc1:3269", "dc1", 3269, "dc1:3269"),
            ("10.0.0.5", "10.0.0.5", 636, "10.0.0.5:636"),
            ("[2001:db8::5]", "2001:db8::5", 636, "[2001:db8::5]:636"),
            ("[::1]:1636", "::1", 1636, "[::1]:1636"),
        ] {
            let place = Place::read(text, 636).unwrap();
            assert_eq!((place.host, place.port, place.to_string().as_str()), (host, port, shown));
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        for (text, error) in [
            ("", PlaceError::Host),
            (":636", PlaceError::Host),
            ("user@dc1", PlaceError::Host),
            ("dc 1", PlaceError::Host),
            ("dc1/", PlaceError::Host),
            ("dc1/DC=corp", PlaceError::Host),
            ("[dc1]:636", PlaceError::Host),
            ("[::1", PlaceError::Host),
            ("[::1]636", PlaceError::Port),
            ("2001:db8::5", PlaceError::Port),
            ("dc1:", PlaceError::Port),
            ("dc1:0", PlaceError::Port),
            ("dc1:65536", PlaceError::Port),
            ("dc1:636/", PlaceError::Port),
        ] {
            assert_eq!(Place::read(text, 636).err(), Some(error), "{text}");
        }
    }
}
