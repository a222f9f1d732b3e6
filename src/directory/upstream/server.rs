//! How a RADIUS server is named: `nps.corp.example`, `10.0.0.11:1812`, `[2001:db8::5]:1812`, `radsec://nps.corp.example`.

use std::fmt;
use std::str::FromStr;

use crate::directory::place::Place;
use crate::directory::place::PlaceError;

/// One server of an upstream: `HOST`, or `radsec://HOST` for RADIUS over TLS; `:PORT` may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address; over TLS the certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What carries the packets.
    pub transport: Transport,
}

/// What carries packets to a server. One is never tried in place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Mutual TLS (RFC 6614), port 2083.
    Tls,
    /// Datagrams (RFC 2865), port 1812.
    Udp,
}

impl Server {
    /// Whether packets go there over TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.transport == Transport::Tls
    }
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let (transport, rest, port_usual) = match text.split_once("://") {
            None => (Transport::Udp, text, 1812),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("radsec") => (Transport::Tls, rest, 2083),
            Some(_) => return Err(ServerError::Scheme),
        };
        let Place { host, port } = Place::read(rest, port_usual)?;
        Ok(Self { host: host.to_owned(), port, transport })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Tls => "radsec://",
            Transport::Udp => "",
        };
        write!(f, "{scheme}{}", Place { host: &self.host, port: self.port })
    }
}

/// Why a text is no server of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// No host with a port.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// None of ours.
    #[error("write the host alone, as in nps.corp.example, or radsec://nps.corp.example for RADIUS over TLS")]
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_its_text() {
        for (text, host, port, transport, shown) in [
            ("nps.corp.example", "nps.corp.example", 1812, Transport::Udp, "nps.corp.example:1812"),
            ("[::1]:1645", "::1", 1645, Transport::Udp, "[::1]:1645"),
            ("radsec://nps.corp.example", "nps.corp.example", 2083, Transport::Tls, "radsec://nps.corp.example:2083"),
            ("RADSEC://[2001:db8::5]:3000", "2001:db8::5", 3000, Transport::Tls, "radsec://[2001:db8::5]:3000"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.host.as_str(), server.port, server.transport), (host, port, transport), "{text}");
            assert_eq!(server.to_string(), shown);
        }
    }

    #[test]
    fn r_110_what_is_no_server_is_refused_with_the_reason() {
        for (text, error) in [
            ("tcp://nps.corp.example", ServerError::Scheme),
            ("radius://nps.corp.example", ServerError::Scheme),
            ("user@nps", ServerError::Place(PlaceError::Host)),
            ("radsec://nps:0", ServerError::Place(PlaceError::Port)),
        ] {
            assert_eq!(text.parse::<Server>(), Err(error), "{text}");
        }
    }
}
