//! Connections on which people's passwords are tried: each carries one login at a time and is bound again by the next.
//!
//! What may be handed on: a connection whose bind and proof were answered, and that has been silent since. All others are closed: after a refusal some servers keep it bound as
//! whoever came before (L-080); after a silence, a broken answer, a login that was given up half-way, nobody knows what the next bytes on it mean.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::task::yield_now;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::domain::Outage;

use super::line::Line;
use super::pool::AGE_MAX;
use super::pool::Gate;
use super::server::Servers;
use super::server::Watched;

/// The connections of one directory for binds.
#[derive(Debug)]
pub(super) struct Binds {
    servers: Arc<Servers>,
    gate: Gate,
    shelf: Arc<Mutex<Shelf>>,
}

/// A connection for one bind.
#[derive(Debug)]
pub(super) struct Lent {
    /// The connection.
    pub(super) line: Line,
    /// To whom.
    pub(super) watched: Arc<Watched>,
    /// Somebody has been bound on it before: then its end tells nothing about the server, which may close who is idle.
    pub(super) is_used: bool,
    opened_at: Instant,
}

/// Those that wait for the next login, the last one used at the end.
#[derive(Debug)]
struct Shelf {
    idle: Vec<Idle>,
    idle_max: usize,
    /// A task closes what waits too long.
    is_swept: bool,
}

#[derive(Debug)]
struct Idle {
    line: Line,
    watched: Arc<Watched>,
    opened_at: Instant,
    idle_since: Instant,
}

impl Binds {
    /// Opens nothing yet; keeps `idle_max` connections at most that nobody uses, but for a moment after a rush.
    pub(super) fn new(servers: Arc<Servers>, idle_max: usize, within: Duration) -> Self {
        let shelf = Shelf { idle: Vec::new(), idle_max, is_swept: false };
        Self { servers, gate: Gate::new(BINDS_MAX, within), shelf: Arc::new(Mutex::new(shelf)) }
    }

    /// Waits for a turn to bind.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Outage> {
        self.gate.enter().await
    }

    /// A connection to the first server that is well: one that waits, else a fresh one.
    pub(super) async fn lend(&self) -> Result<Lent, Outage> {
        for watched in self.servers.in_order() {
            while let Some(mut lent) = self.take(&watched) {
                // Hear first what the network has to say: a close that lies there unread must be noticed before a password goes out.
                yield_now().await;
                if lent.line.is_quiet() {
                    return Ok(lent);
                }
            }
            match self.servers.line(&watched).await {
                Ok(line) => return Ok(Lent { line, watched, is_used: false, opened_at: Instant::now() }),
                Err(why) => self.servers.failed(&watched, &why),
            }
        }
        Err(Outage::Directory)
    }

    /// Takes back a connection whose bind was proved, for the next login.
    pub(super) fn keep(&self, lent: Lent) {
        let Lent { mut line, watched, opened_at, .. } = lent;
        if !line.is_quiet() {
            return;
        }
        let now = Instant::now();
        let mut shelf = shelf(&self.shelf);
        if shelf.idle.len() >= BINDS_MAX {
            return;
        }
        shelf.idle.push(Idle { line, watched, opened_at, idle_since: now });
        if !std::mem::replace(&mut shelf.is_swept, true) {
            let shelf = Arc::downgrade(&self.shelf);
            tokio::spawn(async move {
                loop {
                    sleep(SWEEP).await;
                    let Some(shelf) = shelf.upgrade() else { return };
                    if sweep(&shelf) {
                        return;
                    }
                }
            });
        }
    }

    /// Closes what waits for this server.
    pub(super) fn forget(&self, watched: &Arc<Watched>) {
        let mut shelf = shelf(&self.shelf);
        let gone: Vec<_> = shelf.idle.extract_if(.., |idle| Arc::ptr_eq(&idle.watched, watched)).collect();
        drop(shelf);
        drop(gone);
    }

    fn take(&self, watched: &Arc<Watched>) -> Option<Lent> {
        let now = Instant::now();
        loop {
            let mut idle = {
                let mut shelf = shelf(&self.shelf);
                let at = shelf.idle.iter().rposition(|idle| Arc::ptr_eq(&idle.watched, watched))?;
                shelf.idle.remove(at)
            };
            if idle.is_fresh(now) && idle.line.is_quiet() {
                return Some(Lent { line: idle.line, watched: idle.watched, is_used: true, opened_at: idle.opened_at });
            }
        }
    }
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.idle_since) < IDLE_MAX && now.duration_since(self.opened_at) < AGE_MAX
    }
}

/// Closes what waits too long, was closed from the other side, or is left over from a rush; whether nothing is left.
fn sweep(shared: &Mutex<Shelf>) -> bool {
    let now = Instant::now();
    let mut shelf = shelf(shared);
    let mut surplus = shelf.idle.len().saturating_sub(shelf.idle_max);
    let is_gone = |idle: &mut Idle| {
        let is_surplus = surplus > 0 && now.duration_since(idle.idle_since) >= SWEEP;
        surplus = surplus.saturating_sub(usize::from(is_surplus));
        is_surplus || !idle.is_fresh(now) || !idle.line.is_quiet()
    };
    let gone: Vec<_> = shelf.idle.extract_if(.., is_gone).collect();
    shelf.is_swept = !shelf.idle.is_empty();
    let is_done = !shelf.is_swept;
    drop(shelf);
    drop(gone);
    is_done
}

fn shelf(shared: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Binds at once, of one directory.
pub const BINDS_MAX: usize = 256;
/// How long a connection waits for the next login; Active Directory would close it after 15 minutes.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// How long more of them than allowed may wait: logins come in bursts, and a connection that is closed between two of them was opened for nothing.
const SWEEP: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::io::DuplexStream;
    use tokio::io::duplex;

    use super::*;

    fn binds(idle_max: usize) -> Binds {
        let servers = ["ldap://127.0.0.1:1", "ldap://127.0.0.1:2"].map(|server| server.parse().unwrap());
        Binds::new(Servers::new("corp", servers.to_vec(), None, Duration::from_secs(1)), idle_max, Duration::from_secs(1))
    }

    fn lent(watched: &Arc<Watched>) -> (Lent, DuplexStream) {
        let (ours, theirs) = duplex(1_000);
        (Lent { line: Line::over(Box::new(ours)), watched: Arc::clone(watched), is_used: false, opened_at: Instant::now() }, theirs)
    }

    async fn is_closed(mut server: DuplexStream) -> bool {
        tokio::time::timeout(Duration::from_millis(1), server.read_u8()).await.is_ok()
    }

    fn idle(binds: &Binds) -> usize {
        shelf(&binds.shelf).idle.len()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_closed() {
        let binds = binds(4);
        let watched = binds.servers.of_rank(0).unwrap();
        let (lent, server) = lent(&watched);
        binds.keep(lent);
        sleep(IDLE_MAX * 2).await;
        assert_eq!(idle(&binds), 0);
        assert!(is_closed(server).await);
        assert!(!shelf(&binds.shelf).is_swept);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_an_age_however_busy_it_is() {
        let binds = binds(4);
        let watched = binds.servers.of_rank(0).unwrap();
        let (mut held, _server) = lent(&watched);
        let begun = Instant::now();
        loop {
            binds.keep(held);
            sleep(IDLE_MAX / 3).await;
            match binds.take(&watched) {
                Some(again) => held = again,
                None => break,
            }
        }
        assert!((AGE_MAX..AGE_MAX + IDLE_MAX).contains(&begun.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_for_its_own_server() {
        let binds = binds(4);
        let (first, second) = (binds.servers.of_rank(0).unwrap(), binds.servers.of_rank(1).unwrap());
        let (proved, _server) = lent(&first);
        binds.keep(proved);
        assert!(binds.take(&second).is_none());
        assert!(binds.take(&first).is_some_and(|lent| lent.is_used));
        assert!(binds.take(&first).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_something_or_ends_is_given_to_nobody() {
        let binds = binds(4);
        let watched = binds.servers.of_rank(0).unwrap();
        for says in [&b"\x30"[..], b""] {
            let (held, mut server) = lent(&watched);
            binds.keep(held);
            server.write_all(says).await.unwrap();
            server.shutdown().await.unwrap();
            assert!(binds.take(&watched).is_none());
            // Nor is it kept.
            let (held, mut server) = lent(&watched);
            server.write_all(says).await.unwrap();
            server.shutdown().await.unwrap();
            binds.keep(held);
            assert_eq!(idle(&binds), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_allowed_once_a_rush_is_over() {
        let binds = binds(2);
        let watched = binds.servers.of_rank(0).unwrap();
        let mut servers = Vec::new();
        for _ in 0..BINDS_MAX + 5 {
            let (held, server) = lent(&watched);
            binds.keep(held);
            servers.push(server);
        }
        assert_eq!(idle(&binds), BINDS_MAX);
        sleep(SWEEP + Duration::from_millis(1)).await;
        assert_eq!(idle(&binds), 2);
        // The first ones kept are closed.
        assert!(is_closed(servers.swap_remove(0)).await && !is_closed(servers.swap_remove(BINDS_MAX - 1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_a_server_that_broke() {
        let binds = binds(2);
        let (first, second) = (binds.servers.of_rank(0).unwrap(), binds.servers.of_rank(1).unwrap());
        let (one, one_server) = lent(&first);
        let (two, two_server) = lent(&second);
        binds.keep(one);
        binds.keep(two);
        binds.forget(&first);
        assert!(is_closed(one_server).await && !is_closed(two_server).await);
        assert_eq!(idle(&binds), 1);
    }
}
