//! One socket to the server: 256 identifiers, what stands under each, and what is to be sent.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddrV4;
use std::net::UdpSocket;

use nix::errno::Errno;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt;

use crate::batch::BATCH_MAX;
use crate::batch::Outbox;
use crate::packet::Authenticator;

/// A request that waits for its answer.
pub struct Open {
    /// Which of the run's sources it belongs to.
    pub source: usize,
    pub user: u32,
    /// How many logins this user had before.
    pub round: u32,
    pub stage: Stage,
    /// When the login was due, in ns of the run.
    pub due: u64,
    /// Tells this request from others that had its identifier.
    pub number: u64,
    pub tries: u32,
    pub authenticator: Authenticator,
    pub packet: Vec<u8>,
}

/// What is awaited.
#[derive(PartialEq, Eq)]
pub enum Stage {
    /// The answer to name and password.
    Password,
    /// The answer to a code.
    Code,
    /// The very same answer as before.
    Again(Vec<u8>),
}

pub struct Line {
    pub socket: UdpSocket,
    slots: Vec<Option<Box<Open>>>,
    open: usize,
    next: u8,
    outbox: Vec<u8>,
}

impl Line {
    pub fn new(from: Ipv4Addr, server: SocketAddrV4) -> io::Result<Self> {
        let socket = UdpSocket::bind((from, 0))?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        // The kernel gives what net.core.rmem_max allows.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &(4 << 20));
        Ok(Self { socket, slots: (0..256).map(|_| None).collect(), open: 0, next: 0, outbox: Vec::new() })
    }

    /// An identifier nothing waits under, the one that was used longest ago.
    pub fn free(&mut self) -> Option<u8> {
        if self.open == self.slots.len() {
            return None;
        }
        while self.slots[usize::from(self.next)].is_some() {
            self.next = self.next.wrapping_add(1);
        }
        let identifier = self.next;
        self.next = self.next.wrapping_add(1);
        Some(identifier)
    }

    /// Puts a request under an identifier that [`Self::free`] gave.
    pub fn put(&mut self, identifier: u8, open: Box<Open>) {
        self.slots[usize::from(identifier)] = Some(open);
        self.open += 1;
    }

    pub fn take(&mut self, identifier: u8) -> Option<Box<Open>> {
        let taken = self.slots[usize::from(identifier)].take();
        self.open -= usize::from(taken.is_some());
        taken
    }

    pub fn at(&mut self, identifier: u8) -> Option<&mut Open> {
        self.slots[usize::from(identifier)].as_deref_mut()
    }

    /// Lines up what stands under the identifier; says whether the line was empty.
    pub fn line_up(&mut self, identifier: u8) -> bool {
        self.outbox.push(identifier);
        self.outbox.len() == 1
    }

    /// Sends what is lined up; `false`: the kernel takes no more just now.
    pub fn flush(&mut self, outbox: &mut Outbox) -> Result<bool, Errno> {
        let mut sent = 0;
        while sent < self.outbox.len() {
            let rest = self.outbox[sent..].iter().take(BATCH_MAX);
            let datagrams: Vec<&[u8]> = rest.filter_map(|id| self.slots[usize::from(*id)].as_ref()).map(|open| open.packet.as_slice()).collect();
            if datagrams.is_empty() {
                break;
            }
            let went = outbox.send(&self.socket, &datagrams, &[None; BATCH_MAX])?;
            if went == 0 {
                self.outbox.drain(..sent);
                return Ok(false);
            }
            sent += went;
        }
        self.outbox.clear();
        Ok(true)
    }
}
