//! What leaves by one socket: requests that are ready together leave with one call, and the server is woken once for all of them.

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use nix::sys::socket::ControlMessage;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::MultiHeaders;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::sendmmsg;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tracing::debug;

use super::board::Sent;

/// A connected socket and what is to leave by it.
#[derive(Debug)]
pub(super) struct Post {
    socket: UdpSocket,
    /// As many as there are Identifiers, or a few more: a request that is sent again may still lie here.
    outbox: Mutex<Vec<Sent>>,
    due: Notify,
}

impl Post {
    pub(super) fn over(socket: UdpSocket) -> Self {
        Self { socket, outbox: Mutex::default(), due: Notify::new() }
    }

    pub(super) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Lets it leave as soon as all is done that can be done now.
    pub(super) fn send(&self, bytes: &Sent) {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        if outbox.len() >= OUTBOX_MAX {
            return debug!("a datagram to a RADIUS server was not sent: too many wait");
        }
        outbox.push(Arc::clone(bytes));
        let is_first = outbox.len() == 1;
        drop(outbox);
        if is_first {
            self.due.notify_one();
        }
    }

    /// Something is to be sent, and whoever hears of it sends it: it is told once.
    pub(super) async fn due(&self) {
        self.due.notified().await;
    }

    /// Sends all there is. What cannot be sent is as good as lost on its way: it is sent again.
    pub(super) async fn flush(&self) {
        let posted = std::mem::take(&mut *self.outbox.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut rest, mut is_again) = (posted.as_slice(), false);
        while !rest.is_empty() {
            match self.socket.try_io(Interest::WRITABLE, || send_some(&self.socket, rest)) {
                Ok(count) => {
                    rest = rest.get(count.max(1)..).unwrap_or_default();
                    is_again = false;
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {
                    if self.socket.writable().await.is_err() {
                        return;
                    }
                }
                // A socket tells here that an earlier datagram came to a closed port, and has then not sent this one.
                Err(_) if !is_again => is_again = true,
                Err(why) => {
                    debug!(error = %why, "a datagram to a RADIUS server was not sent");
                    rest = rest.get(1..).unwrap_or_default();
                    is_again = false;
                }
            }
        }
    }
}

/// Sends the first of these and says how many; an error is about the very first.
fn send_some(socket: &UdpSocket, rest: &[Sent]) -> io::Result<usize> {
    let pieces: Vec<_> = rest.iter().take(TURN_MAX).map(|bytes| [IoSlice::new(bytes)]).collect();
    let nothing: [ControlMessage<'_>; 0] = [];
    HEADERS.with_borrow_mut(|kept| {
        let headers = kept.get_or_insert_with(|| MultiHeaders::preallocate(TURN_MAX, None));
        // Where it is connected to.
        let to: [Option<SockaddrIn>; TURN_MAX] = [None; TURN_MAX];
        Ok(sendmmsg(socket.as_raw_fd(), headers, &pieces, to, nothing, MsgFlags::empty())?.count())
    })
}

/// Datagrams that wait to be sent.
const OUTBOX_MAX: usize = 1_024;
/// Datagrams of one call.
const TURN_MAX: usize = 32;

thread_local! {
    /// What the system needs to send many.
    static HEADERS: RefCell<Option<MultiHeaders<SockaddrIn>>> = const { RefCell::new(None) };
}
