//! Who may ask, how many at once, and for how long.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::net::IpAddr;
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
use tokio::time::Sleep;
use tokio::time::sleep;
use tracing::debug;
use tracing::warn;

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
pub(super) struct Doorway {
    listener: TcpListener,
    places: Arc<Semaphore>,
    may_ask: MayAsk,
}

/// Whether who is there may ask.
pub(super) type MayAsk = Box<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl Doorway {
    pub(super) fn open(address: SocketAddr, may_ask: MayAsk) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self { listener: TcpListener::from_std(socket.into())?, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), may_ask })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl fmt::Debug for Doorway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorway").field("listener", &self.listener).field("places", &self.places).finish_non_exhaustive()
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
                Ok((stream, peer)) if (self.may_ask)(peer.ip()) => return (Visit { stream, over: Box::pin(sleep(WITHIN)), _place: place }, peer),
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn open() -> (Doorway, SocketAddr) {
        // Those that are told nothing come from the second address of this machine.
        let doorway = Doorway::open("127.0.0.1:0".parse().unwrap(), Box::new(|who| who != IpAddr::from([127, 0, 0, 2]))).unwrap();
        let address = doorway.address().unwrap();
        (doorway, address)
    }

    #[tokio::test(start_paused = true)]
    async fn who_dawdles_is_gone_after_ten_seconds_and_leaves_the_place_to_others() {
        let (mut doorway, address) = open();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (mut visit, _) = doorway.accept().await;
        assert_eq!(doorway.places.available_permits(), CONNECTIONS_MAX - 1);
        let begun = tokio::time::Instant::now();
        // A letter now and then does not make it longer.
        for _ in 0..4 {
            client.write_all(b"G").await.unwrap();
            visit.read_exact(&mut [0]).await.unwrap();
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        assert_eq!(visit.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), WITHIN.as_secs());
        drop(visit);
        assert_eq!(doorway.places.available_permits(), CONNECTIONS_MAX);
    }

    #[tokio::test]
    async fn who_may_not_ask_is_told_nothing_and_takes_no_place() {
        let (mut doorway, address) = open();
        let stranger = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        stranger.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        stranger.connect(&address.into()).unwrap();
        stranger.set_nonblocking(true).unwrap();
        let mut stranger = TcpStream::from_std(stranger.into()).unwrap();
        let known = TcpStream::connect(address).await.unwrap();
        let (_visit, peer) = doorway.accept().await;
        assert_eq!(peer, known.local_addr().unwrap(), "the first was passed over");
        assert_eq!(stranger.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(doorway.places.available_permits(), CONNECTIONS_MAX - 1);
    }
}
