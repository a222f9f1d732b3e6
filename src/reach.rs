//! Whether there is a server at all: what alone may ever be called an outage, asked with a connection of our own.

use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::timeout_at;
use tracing::warn;

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// No connection is to be had: refused, nobody on the way there, no answer, or a name that leads nowhere.
    Away,
    /// A connection was taken, whatever becomes of it. What a server does with one may be one person's doing.
    There,
    /// This machine could not even try: no descriptors, ports, memory or threads are left here, or it may not. That says nothing about the server.
    Untried,
}

/// Connects to this port of the host, says nothing, and closes. Takes 1.5 s at most: one lost packet is sent again after 1 s.
///
/// A name without an address counts as [`Found::Away`] like a refusal: neither is any person's doing.
pub async fn look(host: &str, port: u16) -> Found {
    let found = if is_short() { Found::Untried } else { Box::pin(tried(host, port)).await };
    // A look-up of a name does not say that it failed for want of descriptors.
    let found = if found == Found::Away && is_short() { Found::Untried } else { found };
    if found == Found::Untried {
        warn!(host, port, "nobody can tell whether this server is there: no descriptors (LimitNOFILE=), ports or threads are left here, or we may not connect");
    }
    found
}

async fn tried(host: &str, port: u16) -> Found {
    let now = Instant::now();
    let until = now.checked_add(LOOK_MAX).unwrap_or(now);
    let addresses = match host.parse() {
        Ok(address) => Ok(vec![SocketAddr::new(address, port)]),
        Err(_) => addresses(host, port, until).await,
    };
    match addresses {
        Ok(addresses) => connected(addresses, until).await,
        Err(found) => found,
    }
}

async fn addresses(host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>, Found> {
    let has_begun = Arc::new(AtomicBool::new(false));
    let (begins, place) = (Arc::clone(&has_begun), (host.to_owned(), port));
    let asked = tokio::task::spawn_blocking(move || {
        begins.store(true, Ordering::Relaxed);
        place.to_socket_addrs().map(|all| all.take(ADDRESSES_MAX).collect())
    });
    match timeout_at(until, asked).await {
        Ok(Ok(Ok(all))) => Ok(all),
        Ok(Ok(Err(error))) if error.raw_os_error().is_some() => Err(Found::Untried),
        Ok(Ok(Err(_))) => Err(Found::Away),
        Ok(Err(_)) => Err(Found::Untried),
        // All threads that may wait are taken: that is ours.
        Err(_) if !has_begun.load(Ordering::Relaxed) => Err(Found::Untried),
        Err(_) => Err(Found::Away),
    }
}

/// All at once: one that is silent keeps nobody from another that answers.
async fn connected(addresses: Vec<SocketAddr>, until: Instant) -> Found {
    let mut tries = JoinSet::new();
    for address in addresses {
        tries.spawn(async move {
            match timeout_at(until, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Found::There,
                Ok(Err(error)) => blame(&error, address),
                Err(_) => Found::Away,
            }
        });
    }
    let mut found = Found::Away;
    while let Some(tried) = tries.join_next().await {
        match tried {
            Ok(Found::There) => return Found::There,
            Ok(Found::Away) => {}
            Ok(Found::Untried) | Err(_) => found = Found::Untried,
        }
    }
    found
}

/// A few errors are an outage. All others are ours, those of which nobody has thought too.
fn blame(error: &io::Error, address: SocketAddr) -> Found {
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkDown | ErrorKind::NetworkUnreachable | ErrorKind::TimedOut => Found::Away,
        // Addresses of a kind that this machine does not have say nothing: others of the name may.
        ErrorKind::AddrNotAvailable if is_foreign(address) => Found::Away,
        _ if error.raw_os_error().map(Errno::from_raw) == Some(Errno::EAFNOSUPPORT) => Found::Away,
        _ => Found::Untried,
    }
}

/// Whether we have no address from which to speak to this one, so that no port was wanting. Sends nothing.
fn is_foreign(address: SocketAddr) -> bool {
    let any = if address.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let Ok(socket) = UdpSocket::bind((any, 0)) else { return false };
    socket.connect(address).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// Whether there is no room for a look-up and a connection.
fn is_short() -> bool {
    (0..SPARE).map(|_| UnixDatagram::unbound()).collect::<Result<Vec<_>, _>>().is_err()
}

const LOOK_MAX: Duration = Duration::from_millis(1_500);
const ADDRESSES_MAX: usize = 8;
/// Descriptors that a look-up and the connections after it may need.
const SPARE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m_14_what_this_machine_lacks_is_no_outage_of_a_server() {
        let here = SocketAddr::from(([127, 0, 0, 1], 1));
        let found = |errno: Errno| blame(&io::Error::from_raw_os_error(errno as i32), here);
        for errno in [Errno::ECONNREFUSED, Errno::EHOSTUNREACH, Errno::ENETUNREACH, Errno::ENETDOWN, Errno::ETIMEDOUT] {
            assert_eq!(found(errno), Found::Away, "{errno}");
        }
        for errno in
            [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL, Errno::EAGAIN, Errno::EACCES, Errno::EPERM, Errno::ECONNRESET]
        {
            assert_eq!(found(errno), Found::Untried, "{errno}");
        }
    }

    #[tokio::test]
    async fn m_14_a_connection_that_is_taken_is_all_it_needs() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(look(host, port).await, Found::There, "{host}: nobody has accepted it, and nobody says anything");
        }
        drop(listener);
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(look(host, port).await, Found::Away, "{host}");
        }
    }
}
