//! The datagram socket: which of our addresses was asked, so that the reply leaves from there.

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::SockaddrStorage;
use nix::sys::socket::recvmmsg;
use nix::sys::socket::sendmmsg;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;
use socket2::Domain;
use socket2::Protocol;
use socket2::Type;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::front::site::Site;
use crate::metrics;
use crate::wire::radius::PACKET_LEN_MAX;

/// A bound datagram socket that tells where each datagram was sent to.
#[derive(Debug)]
pub(super) struct Socket {
    /// Whether it can be written to is not asked for: we would be woken for each reply that has left.
    socket: AsyncFd<UdpSocket>,
    is_six: bool,
    outbox: Mutex<Outbox>,
    /// Something is in the outbox that nobody has said he would send.
    due: Notify,
}

/// Replies that leave together: a call for each would cost as much as half of a login.
#[derive(Debug, Default)]
struct Outbox {
    /// There is a reader, who sends. Without one each reply leaves at once.
    is_attended: bool,
    /// The reader sends when he is done with what he is about, and needs not be told.
    is_gathering: bool,
    page: Page,
    /// The last page, for its room.
    spare: Page,
}

/// Replies one after the other.
#[derive(Debug, Default)]
struct Page {
    octets: Vec<u8>,
    /// How long each is, and its way.
    replies: Vec<(usize, Path)>,
}

/// The reader's hold on the outbox. When it goes, what is in there leaves, and all that comes later leaves at once.
#[derive(Debug)]
pub(super) struct Post<'s>(&'s Socket);

/// Where a datagram came from, and which of our addresses it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) peer: SocketAddr,
    local: Option<Local>,
}

/// Room for the datagrams of one turn. What is longer than a packet may be is padding and stays outside.
#[derive(Debug)]
pub(super) struct Inbox {
    octets: Vec<u8>,
    /// How long each is, and its way.
    came: Vec<(usize, Path)>,
}

impl Socket {
    /// Opens it there, and has each datagram say where it went.
    pub(super) fn open(site: Site) -> io::Result<Self> {
        let socket = site.open(Type::DGRAM, Protocol::UDP, |socket| {
            if socket.domain()? == Domain::IPV6 {
                setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            } else {
                setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            // The kernel gives what net.core.rmem_max allows and is content with less.
            socket.set_recv_buffer_size(BUFFER_BYTES)?;
            socket.set_send_buffer_size(BUFFER_BYTES)
        })?;
        let is_six = socket.domain()? == Domain::IPV6;
        #[expect(deprecated, reason = "what replaces it is unsafe; this socket is owned here and nobody else closes it")]
        let socket = AsyncFd::with_interest(socket.into(), Interest::READABLE)?;
        Ok(Self { socket, is_six, outbox: Mutex::default(), due: Notify::new() })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The next datagrams: at least one, and all that are there already, as far as there is room. Those that were in the inbox before are gone.
    pub(super) async fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            let mut ready = self.socket.readable().await?;
            match self.receive_now(inbox) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                received => {
                    // Nothing is left; what comes later wakes us.
                    if inbox.came.len() < TURN_MAX && received.is_ok() {
                        ready.clear_ready();
                    }
                    return received;
                }
            }
        }
    }

    fn receive_now(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.came.clear();
        HEADERS.with_borrow_mut(|[four, six]| {
            let kept = if self.is_six { six } else { four };
            let headers = kept.get_or_insert_with(|| MultiHeaders::preallocate(TURN_MAX, Some(nix::cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo))));
            let mut pieces: Vec<_> = inbox.octets.chunks_mut(PACKET_LEN_MAX).map(|room| [IoSliceMut::new(room)]).collect();
            let received = recvmmsg(self.socket.as_raw_fd(), headers, pieces.iter_mut(), MsgFlags::empty(), None)?;
            for datagram in received {
                let local = datagram.cmsgs().ok().and_then(|mut messages| messages.find_map(|message| local_of(&message)));
                // There is none without a sender; if there were, nobody could be told anything.
                let peer = datagram.address.as_ref().and_then(address_of).unwrap_or(NOBODY);
                inbox.came.push((datagram.bytes, Path { peer, local }));
            }
            // The system writes into the headers how much it used of them. Where it used less than usual they would be too small for the next datagram.
            if inbox.came.iter().any(|(_, path)| path.local.is_none()) {
                *kept = None;
            }
            Ok(())
        })
    }

    /// Sends a reply back the way its request came: with others, as soon as all is done that can be done now. What does not go then is lost: the client asks
    /// again and finds the answer kept.
    pub(super) fn send(&self, path: &Path, bytes: &[u8]) {
        let mut outbox = self.outbox();
        outbox.page.octets.extend_from_slice(bytes);
        outbox.page.replies.push((bytes.len(), *path));
        if !outbox.is_attended || outbox.page.replies.len() >= TURN_MAX {
            drop(outbox);
            self.flush();
        } else if !outbox.is_gathering && outbox.page.replies.len() == 1 {
            drop(outbox);
            self.due.notify_one();
        }
    }

    /// From here on the caller sends what is in the outbox.
    pub(super) fn attend(&self) -> Post<'_> {
        self.outbox().is_attended = true;
        Post(self)
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self) {
        let mut outbox = self.outbox();
        let spare = std::mem::take(&mut outbox.spare);
        let mut page = std::mem::replace(&mut outbox.page, spare);
        drop(outbox);
        self.send_page(&page);
        page.octets.clear();
        page.replies.clear();
        self.outbox().spare = page;
    }

    fn send_page(&self, page: &Page) {
        let mut rest = page.octets.as_slice();
        // Those that leave from one address leave together.
        for alike in page.replies.chunk_by(|(_, one), (_, other)| one.local == other.local) {
            let mut pieces = Vec::with_capacity(alike.len());
            let mut to = Vec::with_capacity(alike.len());
            for (length, path) in alike {
                let (reply, behind) = rest.split_at_checked(*length).unwrap_or((rest, &[]));
                rest = behind;
                pieces.push([IoSlice::new(reply)]);
                to.push(Some(SockaddrStorage::from(path.peer)));
            }
            let local = alike.first().and_then(|(_, path)| path.local);
            let mut sent = 0_usize;
            while let (Some(pieces), Some(to), Some((_, path))) = (pieces.get(sent..), to.get(sent..), alike.get(sent)) {
                match self.send_some(local, pieces, to) {
                    Ok(count) if count > 0 => sent = sent.saturating_add(count),
                    refused => {
                        let error = refused.err();
                        metrics::discard("radius", "reply_not_sent");
                        tracing::debug!(door = "radius", source = %path.peer, ?error, "a reply could not be sent");
                        sent = sent.saturating_add(1);
                    }
                }
            }
        }
    }

    /// Sends the first of these and says how many; an error is about the very first.
    fn send_some(&self, local: Option<Local>, pieces: &[[IoSlice<'_>; 1]], to: &[Option<SockaddrStorage>]) -> Result<usize, Errno> {
        let (four, six) = match local {
            Some(Local::V4(address)) => (Some(from_four(address)), None),
            Some(Local::V6(address, interface)) => (None, Some(from_six(address, interface))),
            None => (None, None),
        };
        let from = four.as_ref().map(ControlMessage::Ipv4PacketInfo).or_else(|| six.as_ref().map(ControlMessage::Ipv6PacketInfo));
        OUTGOING.with_borrow_mut(|[bare, kept_four, kept_six]| {
            // Room for exactly what is said: the system takes what is behind it for a message too.
            let (kept, room) = match local {
                Some(Local::V4(_)) => (kept_four, Some(nix::cmsg_space!(libc::in_pktinfo))),
                Some(Local::V6(..)) => (kept_six, Some(nix::cmsg_space!(libc::in6_pktinfo))),
                None => (bare, None),
            };
            let headers = kept.get_or_insert_with(|| MultiHeaders::preallocate(TURN_MAX, room));
            Ok(sendmmsg(self.socket.as_raw_fd(), headers, pieces, to, from.as_slice(), MsgFlags::empty())?.count())
        })
    }
}

impl Post<'_> {
    /// Something is to be sent, and whoever hears of it sends it: it is told once.
    pub(super) async fn due(&self) {
        self.0.due.notified().await;
    }

    /// Nobody needs to be told what comes until the next [`Post::send`].
    pub(super) fn gather(&self) {
        self.0.outbox().is_gathering = true;
    }

    /// Sends all there is.
    pub(super) fn send(&self) {
        self.0.outbox().is_gathering = false;
        self.0.flush();
    }
}

impl Drop for Post<'_> {
    fn drop(&mut self) {
        let mut outbox = self.0.outbox();
        outbox.is_attended = false;
        outbox.is_gathering = false;
        drop(outbox);
        self.0.flush();
    }
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { octets: vec![0; PACKET_LEN_MAX.saturating_mul(TURN_MAX)], came: Vec::with_capacity(TURN_MAX) }
    }

    /// What was received last.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (&[u8], Path)> {
        let rooms = self.octets.chunks(PACKET_LEN_MAX);
        rooms.zip(&self.came).map(|(room, (length, path))| (room.get(..*length).unwrap_or(room), *path))
    }
}

/// One of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    V4(Ipv4Addr),
    /// With the interface, without which a link-local address is none.
    V6(Ipv6Addr, u32),
}

fn local_of(message: &ControlMessageOwned) -> Option<Local> {
    match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Local::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()))),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr), info.ipi6_ifindex)),
        _ => None,
    }
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
/// Nobody can be answered there.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Datagrams of one turn.
const TURN_MAX: usize = 32;

thread_local! {
    /// What the system needs to receive many datagrams at once: for IPv4 and for IPv6, whose addresses differ in length.
    static HEADERS: RefCell<[Option<MultiHeaders<SockaddrStorage>>; 2]> = const { RefCell::new([None, None]) };
    /// What it needs to send many: without an address of ours, with one of IPv4, with one of IPv6.
    static OUTGOING: RefCell<[Option<MultiHeaders<SockaddrStorage>>; 3]> = const { RefCell::new([None, None, None]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_that_are_ready_together_leave_together_and_none_stays_behind() {
        let socket = Socket::open(Site::Address("127.0.0.1:0".parse().unwrap())).unwrap();
        let nas = UdpSocket::bind("127.0.0.1:0").unwrap();
        nas.set_nonblocking(true).unwrap();
        nas.send_to(b"asked", socket.address().unwrap()).unwrap();
        let mut inbox = Inbox::new();
        socket.receive(&mut inbox).await.unwrap();
        let path = inbox.datagrams().next().unwrap().1;
        let came = || -> Vec<Vec<u8>> {
            let mut bytes = [0; 32];
            std::iter::from_fn(|| nas.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec())).collect()
        };
        socket.send(&path, b"nobody attends");
        assert_eq!(came(), [b"nobody attends"]);
        let post = socket.attend();
        socket.send(&path, b"one");
        post.due().await;
        socket.send(&path, b"two");
        assert!(came().is_empty());
        post.send();
        assert_eq!(came(), [b"one", b"two"]);
        post.gather();
        (1..TURN_MAX).for_each(|_| socket.send(&path, b"x"));
        assert!(came().is_empty());
        socket.send(&path, b"as many as may be");
        assert_eq!(came().len(), TURN_MAX);
        socket.send(&path, b"last");
        drop(post);
        assert_eq!(came(), [b"last"]);
    }
}
