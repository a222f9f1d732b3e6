//! The least a RADIUS server can do: checks each request's signature and accepts. What a server costs above this is its own doing.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;

use crate::Fault;
use crate::batch::Inbox;
use crate::batch::Outbox;
use crate::flags::Flags;
use crate::packet;
use crate::packet::Secret;

/// Answers until it is killed.
pub fn serve(mut flags: Flags) -> Result<(), Fault> {
    let listen: SocketAddrV4 = flags.loopback("listen")?;
    let secret = Secret::new(flags.or("secret", "testing123".to_owned())?.as_bytes());
    let hold = flags.seconds("hold", 0.0)?;
    flags.finish()?;
    let socket = UdpSocket::bind(listen)?;
    socket.set_nonblocking(true)?;
    let _ = setsockopt(&socket, sockopt::RcvBuf, &(4 << 20));
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
    // All are held equally long, so the first is due first.
    let mut held: VecDeque<(Instant, Vec<u8>, Option<SockaddrIn>)> = VecDeque::new();
    loop {
        let wait = held.front().map_or(PollTimeout::NONE, |(due, ..)| whole_ms(due.saturating_duration_since(Instant::now())));
        match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let came = inbox.receive(&socket)?;
        let due = Instant::now() + hold;
        for number in 0..came {
            let (datagram, from) = inbox.datagram(number);
            if packet::check_request(&secret, datagram).is_ok() {
                held.push_back((due, packet::accept(&secret, datagram), from));
            }
        }
        let now = Instant::now();
        let ready = held.iter().take_while(|(due, ..)| *due <= now).count();
        let (replies, to): (Vec<&[u8]>, Vec<_>) = held.iter().take(ready).map(|(_, reply, to)| (reply.as_slice(), *to)).unzip();
        let mut sent = 0;
        while sent < ready {
            let went = outbox.send(&socket, &replies[sent..], &to[sent..])?;
            // What does not go at once is lost, as on any network.
            sent += went.max(1);
        }
        held.drain(..ready);
    }
}

/// Rounded up: an answer is never early.
fn whole_ms(wait: Duration) -> PollTimeout {
    PollTimeout::try_from(wait.as_micros().div_ceil(1_000) as u64).unwrap_or(PollTimeout::MAX)
}
