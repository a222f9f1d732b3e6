//! Packets in a stream: cut out by their Length on the way in, in a bounded queue on the way out (RFC 6613 §2.6.4).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::wire::radius::HEADER_LEN;
use crate::wire::radius::Refusal;

/// What has come in and is not taken yet. It holds passwords, so it never grows, which would leave copies behind, and is wiped.
pub(super) struct Inbox {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

/// How much, and not what.
impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("filled", &self.filled).finish_non_exhaustive()
    }
}

impl Inbox {
    /// With room for one packet of the longest kind.
    pub(super) fn new(packet_bytes_max: usize) -> Self {
        Self { bytes: Zeroizing::new(vec![0; packet_bytes_max]), filled: 0 }
    }

    /// Where the next bytes go: never empty while no packet is whole.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// So many bytes were put there.
    pub(super) fn came(&mut self, count: usize) {
        self.filled = self.filled.saturating_add(count).min(self.bytes.len());
    }

    /// The first packet, if it is whole.
    ///
    /// # Errors
    /// Its length cannot be: where the next one begins nobody knows.
    pub(super) fn packet(&self) -> Result<Option<&[u8]>, Refusal> {
        let here = self.bytes.get(..self.filled).unwrap_or_default();
        let Some([_, _, high, low]) = here.first_chunk() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(HEADER_LEN..=self.bytes.len()).contains(&length) {
            return Err(Refusal::Length);
        }
        Ok(here.get(..length))
    }

    /// Puts a packet of this length away.
    pub(super) fn taken(&mut self, length: usize) {
        let end = self.filled;
        if length <= end {
            self.bytes.copy_within(length..end, 0);
            self.filled = end.saturating_sub(length);
            if let Some(left_over) = self.bytes.get_mut(self.filled..end) {
                left_over.zeroize();
            }
        }
    }
}

/// Where replies for a connection are put. The connection ends when all are written and nobody holds one of these any more.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    pub(super) peer: SocketAddr,
    queue: mpsc::Sender<(Zeroizing<Vec<u8>>, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    slow: Arc<Notify>,
}

/// The other end: what is still to be written.
#[derive(Debug)]
pub(super) struct Outgoing {
    queue: mpsc::Receiver<(Zeroizing<Vec<u8>>, OwnedSemaphorePermit)>,
    slow: Arc<Notify>,
}

impl Outbox {
    pub(super) fn new(peer: SocketAddr) -> (Self, Outgoing) {
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let slow = Arc::new(Notify::new());
        (Self { peer, queue: sender, room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)), slow: Arc::clone(&slow) }, Outgoing { queue, slow })
    }

    /// Puts a reply there. Where there is no room for it the client does not read, and the connection ends.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let full = || {
            self.slow.notify_one();
            io::Error::other("the client does not read its replies")
        };
        let permit = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| full())?;
        self.queue.try_send((Zeroizing::new(bytes.to_vec()), permit)).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => io::Error::from(io::ErrorKind::NotConnected),
            mpsc::error::TrySendError::Full(_) => full(),
        })
    }
}

impl Outgoing {
    /// Writes until nobody can put anything more, then says goodbye.
    ///
    /// # Errors
    /// The client is gone, or reads too slowly.
    pub(super) async fn write(mut self, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            let next = tokio::select! {
                next = self.queue.recv() => next,
                () = self.slow.notified() => return Err(io::ErrorKind::TimedOut.into()),
            };
            let Some((bytes, _permit)) = next else { break };
            let written = async {
                to.write_all(&bytes).await?;
                to.flush().await
            };
            tokio::select! {
                written = timeout(WRITE_WITHIN, written) => written??,
                () = self.slow.notified() => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        timeout(WRITE_WITHIN, to.shutdown()).await?
    }
}

/// Replies that wait to be written to one connection, and their octets.
const WAITING_MAX: usize = 4096;
const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long a client may take to read one reply.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(inbox: &mut Inbox, stream: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut found = Vec::new();
        for piece in stream.chunks(step) {
            let mut rest = piece;
            while !rest.is_empty() {
                let room = inbox.room();
                let count = room.len().min(rest.len());
                room[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                inbox.came(count);
                while let Some(packet) = inbox.packet()?.map(<[u8]>::to_vec) {
                    inbox.taken(packet.len());
                    found.push(packet);
                }
            }
        }
        Ok(found)
    }

    fn packet(length: u16) -> Vec<u8> {
        let mut packet = vec![1; length.into()];
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet
    }

    #[test]
    fn r_113_packets_are_cut_by_their_length_however_they_arrive() {
        let sent = [packet(20), packet(4096), packet(21), packet(300)];
        let stream = sent.concat();
        for step in [1, 3, 19, 20, 21, 1000, stream.len()] {
            let mut inbox = Inbox::new(4096);
            assert_eq!(packets(&mut inbox, &stream, step).unwrap(), sent, "{step}");
            assert!(inbox.bytes.iter().all(|octet| *octet == 0), "what was taken is wiped");
        }
    }

    #[test]
    fn r_113_r_117_lengths_that_cannot_be_are_refused_before_the_rest_comes() {
        for (length, packet_bytes_max, wanted) in
            [(19, 4096, Err(Refusal::Length)), (4097, 4096, Err(Refusal::Length)), (4097, 65_535, Ok(None)), (20, 4096, Ok(None))]
        {
            let mut inbox = Inbox::new(packet_bytes_max);
            inbox.room()[..4].copy_from_slice(&packet(length)[..4]);
            inbox.came(4);
            assert_eq!(inbox.packet(), wanted, "{length} of {packet_bytes_max}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn r_115_a_client_that_does_not_read_ends_its_connection() {
        let (outbox, outgoing) = Outbox::new("192.0.2.1:1".parse().unwrap());
        let (ours, _theirs) = tokio::io::duplex(100);
        let writing = tokio::spawn(outgoing.write(ours));
        let put = std::iter::repeat_with(|| outbox.put(&[0; 4096])).take(1000).take_while(Result::is_ok).count();
        assert_eq!(put, WAITING_BYTES_MAX / 4096);
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(outbox.put(&[0; 20]).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn r_115_one_reply_may_not_take_for_ever() {
        let (outbox, outgoing) = Outbox::new("192.0.2.1:1".parse().unwrap());
        let (ours, _theirs) = tokio::io::duplex(100);
        outbox.put(&[0; 101]).unwrap();
        assert_eq!(outgoing.write(ours).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
