//! The datagram socket: which of our addresses was asked, so that the reply leaves from there.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::SockaddrStorage;
use nix::sys::socket::recvmsg;
use nix::sys::socket::sendmsg;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;
use socket2::Domain;
use socket2::Protocol;
use socket2::Type;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::wire::radius::PACKET_LEN_MAX;

/// A bound datagram socket that tells where each datagram was sent to.
#[derive(Debug)]
pub(super) struct Socket(UdpSocket);

/// Where a datagram came from, and which of our addresses it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) peer: SocketAddr,
    local: Option<Local>,
}

/// Room for one datagram. What is longer than a packet may be is padding and stays outside.
#[derive(Debug)]
pub(super) struct Inbox {
    datagram: Vec<u8>,
    control: Vec<u8>,
}

impl Socket {
    /// Binds. An IPv6 socket takes IPv6 alone, so that a client has one address and not two.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        // The kernel gives what net.core.rmem_max allows and is content with less.
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_send_buffer_size(BUFFER_BYTES)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self(UdpSocket::from_std(socket.into())?))
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next datagram.
    pub(super) async fn receive<'a>(&self, inbox: &'a mut Inbox) -> io::Result<(&'a [u8], Path)> {
        let (length, path) = self.0.async_io(Interest::READABLE, || receive_now(&self.0, inbox)).await?;
        Ok((inbox.datagram.get(..length).unwrap_or_default(), path))
    }

    /// Sends a reply back the way its request came. What does not go at once is lost: the client asks again and finds the answer kept.
    pub(super) fn send(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (four, six) = match path.local {
            Some(Local::V4(address)) => (Some(from_four(address)), None),
            Some(Local::V6(address, interface)) => (None, Some(from_six(address, interface))),
            None => (None, None),
        };
        let from = four.as_ref().map(ControlMessage::Ipv4PacketInfo).or_else(|| six.as_ref().map(ControlMessage::Ipv6PacketInfo));
        let to = SockaddrStorage::from(path.peer);
        self.0.try_io(Interest::WRITABLE, || Ok(sendmsg(self.0.as_raw_fd(), &[IoSlice::new(bytes)], from.as_slice(), MsgFlags::empty(), Some(&to))?))?;
        Ok(())
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { datagram: vec![0; PACKET_LEN_MAX], control: nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo) }
    }
}

/// One of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    V4(Ipv4Addr),
    /// With the interface, without which a link-local address is none.
    V6(Ipv6Addr, u32),
}

fn receive_now(socket: &UdpSocket, inbox: &mut Inbox) -> io::Result<(usize, Path)> {
    let mut pieces = [IoSliceMut::new(&mut inbox.datagram)];
    let received = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut inbox.control), MsgFlags::empty())?;
    let local = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr), info.ipi6_ifindex)),
        _ => None,
    });
    let peer = received.address.as_ref().and_then(address_of).ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok((received.bytes, Path { peer, local }))
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let four = storage.as_sockaddr_in().map(|address| SocketAddr::from(*address));
    four.or_else(|| storage.as_sockaddr_in6().map(|address| SocketAddr::from(*address)))
}

fn from_four(address: Ipv4Addr) -> libc::in_pktinfo {
    let any = libc::in_addr { s_addr: libc::INADDR_ANY };
    libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) }, ipi_addr: any }
}

fn from_six(address: Ipv6Addr, interface: u32) -> libc::in6_pktinfo {
    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: interface }
}

/// Bytes of the socket's buffers each way: some ten thousand requests.
const BUFFER_BYTES: usize = 4 << 20;
