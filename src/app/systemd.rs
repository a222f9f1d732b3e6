//! What systemd hands us, and what it wants to hear: sockets (sd_listen_fds(3)), "ready" and "still alive" (sd_notify(3)).
//!
//! Without it nothing of this happens, and nothing is missing.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use listenfd::ListenFd;
use socket2::Socket;
use tokio::time::MissedTickBehavior;

use crate::front::site::Site;

/// Sockets that are bound already, for listeners with their address. They stay with us as long as we run, so that a listener that one reload removes and another
/// brings back finds its own again.
#[derive(Debug, Default)]
pub struct Sites(Vec<Handed>);

#[derive(Debug)]
struct Handed {
    address: SocketAddr,
    is_udp: bool,
    socket: Socket,
}

impl Sites {
    /// What was handed to this process. Takes it out of the environment, so it must be called while there is no other thread.
    ///
    /// # Errors
    /// Something that is neither a listening TCP socket nor a UDP one, or an IPv6 one that takes IPv4 too, for then a client would have two addresses.
    pub(super) fn handed_over() -> io::Result<Self> {
        let mut list = ListenFd::from_env();
        let mut sites = Vec::new();
        for at in 0..list.len() {
            let (socket, is_udp) = match list.take_udp_socket(at) {
                Ok(Some(socket)) => (Socket::from(socket), true),
                Ok(None) => continue,
                Err(_) => match list.take_tcp_listener(at)? {
                    Some(socket) => (Socket::from(socket), false),
                    None => continue,
                },
            };
            let address = socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a socket without an address was handed over"))?;
            if address.is_ipv6() && !socket.only_v6()? {
                return Err(io::Error::other(format!("the socket {address} takes IPv4 too: write BindIPv6Only=ipv6-only in the .socket unit")));
            }
            sites.push(Handed { address, is_udp, socket });
        }
        Ok(Self(sites))
    }

    /// Where a listener with this address opens.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn site(&self, address: SocketAddr, is_udp: bool) -> io::Result<Site> {
        let handed = self.0.iter().find(|handed| handed.address == address && handed.is_udp == is_udp);
        handed.map_or(Ok(Site::Address(address)), |handed| handed.socket.try_clone().map(Site::Socket))
    }

    /// Those that none of the addresses is of: whoever connects there waits for nobody.
    pub(super) fn unclaimed<'s>(&'s self, listeners: &'s [(SocketAddr, bool)]) -> impl Iterator<Item = SocketAddr> + 's {
        self.0.iter().filter(|handed| !listeners.contains(&(handed.address, handed.is_udp))).map(|handed| handed.address)
    }
}

/// Whoever wants to hear how we are.
#[derive(Debug)]
pub(super) struct Manager(UnixDatagram);

impl Manager {
    /// `None` where nobody asked. Who cannot be reached is nobody: a server that works must not end over it.
    pub(super) fn asked() -> Option<Self> {
        let place = env::var_os("NOTIFY_SOCKET")?;
        match Self::at(&place) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(%error, ?place, "systemd cannot be told how we are");
                None
            }
        }
    }

    fn at(place: &OsStr) -> io::Result<Self> {
        let address = match place.as_bytes().strip_prefix(b"@") {
            Some(name) => UnixAddr::from_abstract_name(name)?,
            None => UnixAddr::from_pathname(place)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Says how we are, in the words of sd_notify(3).
    pub(super) fn tell(&self, state: &str) {
        if let Err(error) = self.0.send(state.as_bytes()) {
            tracing::debug!(%error, "systemd was not told how we are");
        }
    }

    /// Says that we are alive, twice as often as it wants to hear, from a task like those that logins run in: a runtime that is stuck says nothing and is restarted. Ends
    /// at once where nobody watches.
    pub(super) async fn reassure(self) {
        let Some(within) = watched() else { return };
        let mut beat = tokio::time::interval(within / 2);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            self.tell("WATCHDOG=1");
        }
    }

    /// The same ear twice.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn twin(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

/// How long we may be silent.
fn watched() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|usec| meant && *usec > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn sites() -> (Sites, SocketAddr) {
        let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        (Sites(vec![Handed { address, is_udp: true, socket }]), address)
    }

    #[test]
    fn a_listener_takes_the_socket_of_its_address_and_kind_again_and_again() {
        let (sites, address) = sites();
        for _ in 0..2 {
            let Site::Socket(socket) = sites.site(address, true).unwrap() else { panic!("the socket was not taken") };
            assert_eq!(socket.local_addr().unwrap().as_socket(), Some(address));
        }
        assert!(matches!(sites.site(address, false).unwrap(), Site::Address(_)), "TCP is another kind");
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(matches!(sites.site(other, true).unwrap(), Site::Address(_)), "another address");
    }

    #[test]
    fn what_nobody_listens_on_is_told() {
        let (sites, address) = sites();
        assert_eq!(sites.unclaimed(&[(address, true)]).count(), 0);
        assert_eq!(sites.unclaimed(&[(address, false)]).collect::<Vec<_>>(), [address]);
    }

    #[test]
    fn what_is_told_arrives_by_path_and_by_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("vestibule-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&UnixAddr::from_abstract_name(&name).unwrap()).unwrap();
        for (ear, place) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            Manager::at(&place).unwrap().twin().unwrap().tell("READY=1");
            let mut heard = [0; 32];
            let length = ear.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1");
        }
    }
}
