//! Who may ask, how many at once, and for how long.

use std::io;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use axum::serve::Listener;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio::time::sleep;
use tracing::debug;
use tracing::warn;

use super::View;
use crate::metrics;

/// Connections at once; the next ones wait in the kernel.
const CONNECTIONS_MAX: usize = 32;
/// And so many of them.
const BACKLOG: i32 = 64;
/// From the first octet to the last.
const WITHIN: Duration = Duration::from_secs(10);
/// After an accept that failed (no descriptors left) we wait before the next.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The listening socket.
#[derive(Debug)]
pub(super) struct Doorway {
    listener: TcpListener,
    places: Arc<Semaphore>,
    views: watch::Receiver<Arc<View>>,
}

impl Doorway {
    pub(super) fn open(address: SocketAddr, views: watch::Receiver<Arc<View>>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: TcpListener::from_std(socket.into())?, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), views })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn may_ask(&self, peer: SocketAddr) -> bool {
        self.views.borrow().networks.iter().any(|network| network.contains(peer.ip()))
    }
}

impl Listener for Doorway {
    type Io = Visit;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visit, SocketAddr) {
        // Nobody closes the semaphore.
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return std::future::pending().await };
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) if self.may_ask(peer) => return (Visit { stream, over: Box::pin(sleep(WITHIN)), _place: place }, peer),
                Ok((_, peer)) => {
                    metrics::discard("metrics", "unknown_client");
                    debug!(%peer, "who is in none of metrics.networks is told nothing");
                }
                Err(error) => {
                    warn!(%error, "monitoring could not be let in");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// One connection: it holds its place, and ends when its time is over, whether or not something moves.
#[derive(Debug)]
pub(super) struct Visit {
    stream: TcpStream,
    over: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Visit {
    fn timed<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        moved
    }
}

impl AsyncRead for Visit {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.timed(context, moved)
    }
}

impl AsyncWrite for Visit {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.timed(context, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
