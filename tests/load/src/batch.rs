//! Many datagrams with one call.

use std::io::IoSlice;
use std::io::IoSliceMut;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::recvmmsg;
use nix::sys::socket::sendmmsg;

use crate::packet::PACKET_LEN_MAX;

/// Datagrams of one call.
pub const BATCH_MAX: usize = 64;

/// Room for what one call brings.
pub struct Inbox {
    bytes: Vec<u8>,
    headers: MultiHeaders<SockaddrIn>,
    came: Vec<(usize, Option<SockaddrIn>)>,
}

impl Inbox {
    pub fn new() -> Self {
        Self { bytes: vec![0; BATCH_MAX * PACKET_LEN_MAX], headers: MultiHeaders::preallocate(BATCH_MAX, None), came: Vec::with_capacity(BATCH_MAX) }
    }

    /// How many datagrams came; 0 when none is there.
    pub fn receive(&mut self, socket: &impl AsRawFd) -> Result<usize, Errno> {
        self.came.clear();
        let mut pieces: Vec<[IoSliceMut<'_>; 1]> = self.bytes.chunks_exact_mut(PACKET_LEN_MAX).map(|piece| [IoSliceMut::new(piece)]).collect();
        match recvmmsg(socket.as_raw_fd(), &mut self.headers, pieces.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(came) => self.came.extend(came.map(|one| (one.bytes, one.address))),
            // The port was closed for a moment: the server begins or ends.
            Err(Errno::EAGAIN | Errno::ECONNREFUSED) => {}
            Err(errno) => return Err(errno),
        }
        Ok(self.came.len())
    }

    /// One of those that came, and its sender.
    pub fn datagram(&self, number: usize) -> (&[u8], Option<SockaddrIn>) {
        let (length, from) = self.came[number];
        let begin = number * PACKET_LEN_MAX;
        (&self.bytes[begin..begin + length], from)
    }
}

/// Headers for sending.
pub struct Outbox(MultiHeaders<SockaddrIn>);

impl Outbox {
    pub fn new() -> Self {
        Self(MultiHeaders::preallocate(BATCH_MAX, None))
    }

    /// Sends the first of these datagrams, at most [`BATCH_MAX`], and says how many went. Without an address a datagram goes where the socket is connected to.
    pub fn send(&mut self, socket: &impl AsRawFd, datagrams: &[&[u8]], to: &[Option<SockaddrIn>]) -> Result<usize, Errno> {
        let pieces: Vec<[IoSlice<'_>; 1]> = datagrams.iter().take(BATCH_MAX).map(|datagram| [IoSlice::new(datagram)]).collect();
        let to = &to[..pieces.len()];
        let none: [ControlMessage<'_>; 0] = [];
        match sendmmsg(socket.as_raw_fd(), &mut self.0, pieces.iter(), to, none, MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => Ok(sent.count()),
            Err(Errno::EAGAIN | Errno::ENOBUFS) => Ok(0),
            // Told about an earlier datagram; this one goes at the next try.
            Err(Errno::ECONNREFUSED) => Ok(0),
            Err(errno) => Err(errno),
        }
    }
}
