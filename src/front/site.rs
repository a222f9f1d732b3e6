//! Where a door is: at an address that we bind ourselves, or at a socket that somebody with more rights has bound for us.

use std::io;
use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// Where to open a door.
#[derive(Debug)]
pub enum Site {
    /// To bind.
    Address(SocketAddr),
    /// Bound already, by systemd for instance.
    Socket(Socket),
}

impl From<SocketAddr> for Site {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl Site {
    /// A bound socket that blocks nobody, with `options` set, where it is ours before it is bound. An IPv6 socket takes IPv6 alone, so that a client has one address
    /// and not two.
    ///
    /// # Errors
    /// The address cannot be bound, or the system refuses an option.
    pub(super) fn open(self, kind: Type, protocol: Protocol, options: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<Socket> {
        let (socket, address) = match self {
            Self::Address(address) => (Socket::new(Domain::for_address(address), kind, Some(protocol))?, Some(address)),
            Self::Socket(socket) => (socket, None),
        };
        socket.set_nonblocking(true)?;
        if address.is_some_and(|address| address.is_ipv6()) {
            socket.set_only_v6(true)?;
        }
        options(&socket)?;
        if let Some(address) = address {
            socket.bind(&address.into())?;
        }
        Ok(socket)
    }
}
