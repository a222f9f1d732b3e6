//! Service connections: bound once with our own account, used for look-ups alone, never reachable by anybody's credentials (L-080).

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;
use tokio::time::timeout;
use tracing::error;

use crate::domain::Outage;

use super::search::Found;
use super::server::AWAY;
use super::server::Servers;
use super::server::Watched;
use super::session::Answer;
use super::session::Broken;
use super::session::Password;
use super::session::Question;
use super::session::Session;

/// The service connections of a directory.
#[derive(Debug)]
pub(super) struct Pool {
    directory: String,
    servers: Arc<Servers>,
    bind_name: String,
    bind_password: Password,
    within: Duration,
    gate: Gate,
    idle: Mutex<Vec<Idle>>,
    /// Our own account was refused: nobody tries again before this moment, lest the directory locks it. Held while one binds, so that not all try at once.
    refused_until: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    watched: Arc<Watched>,
    opened_at: Instant,
}

/// Why one server gave us nothing.
enum Failure {
    Server(Broken),
    /// Nothing another server would not say too.
    Ours,
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Self {
        Self::Server(broken)
    }
}

impl Pool {
    /// Opens nothing yet.
    pub(super) fn new(directory: &str, servers: Arc<Servers>, bind: (String, Password), pool_max: usize, within: Duration) -> Self {
        let (bind_name, bind_password) = bind;
        let gate = Gate::new(pool_max, within);
        let directory = directory.to_owned();
        Self { directory, servers, bind_name, bind_password, within, gate, idle: Mutex::default(), refused_until: tokio::sync::Mutex::default() }
    }

    /// Asks the first server that answers. A look-up changes nothing, so the next server may be asked the same.
    pub(super) async fn search(&self, question: &Question) -> Result<(Vec<Found>, Answer), Outage> {
        let _slot = self.gate.enter().await?;
        while let Some(idle) = self.take() {
            match timeout(self.within, idle.session.search(question)).await {
                Ok(Ok((found, answer))) if !AWAY.contains(&answer.code) => {
                    self.keep(idle, &answer);
                    return Ok((found, answer));
                }
                // Closed behind our back: a server does that with who says nothing for a while.
                Ok(Err(_)) => {}
                Ok(Ok((_, answer))) => self.servers.failed(&idle.watched, &Broken::Away(answer.code)),
                Err(_) => self.servers.failed(&idle.watched, &Broken::Timeout),
            }
        }
        for watched in self.servers.in_order() {
            let fresh = async {
                let idle = self.fresh(watched).await?;
                let (found, answer) = idle.session.search(question).await?;
                if AWAY.contains(&answer.code) { Err(Failure::Server(Broken::Away(answer.code))) } else { Ok((idle, found, answer)) }
            };
            match timeout(self.within, fresh).await.unwrap_or(Err(Failure::Server(Broken::Timeout))) {
                Ok((idle, found, answer)) => {
                    self.servers.worked(watched);
                    self.keep(idle, &answer);
                    return Ok((found, answer));
                }
                Err(Failure::Ours) => return Err(Outage::Fault),
                Err(Failure::Server(why)) => self.servers.failed(watched, &why),
            }
        }
        Err(Outage::Directory)
    }

    /// Does something that must not be done twice, on a fresh connection: once a server took our bind, nobody else is asked.
    pub(super) async fn once<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, Broken>) -> Result<T, Outage> {
        let _slot = self.gate.enter().await?;
        for watched in self.servers.in_order() {
            let idle = match timeout(self.within, self.fresh(watched)).await.unwrap_or(Err(Failure::Server(Broken::Timeout))) {
                Ok(idle) => idle,
                Err(Failure::Ours) => return Err(Outage::Fault),
                Err(Failure::Server(why)) => {
                    self.servers.failed(watched, &why);
                    continue;
                }
            };
            self.servers.worked(watched);
            return timeout(self.within, work(&idle.session)).await.unwrap_or(Err(Broken::Timeout)).map_err(|why| {
                self.servers.failed(watched, &why);
                Outage::Directory
            });
        }
        Err(Outage::Directory)
    }

    async fn fresh(&self, watched: &Arc<Watched>) -> Result<Idle, Failure> {
        let session = self.servers.session(watched).await?;
        let mut refused_until = self.refused_until.lock().await;
        if refused_until.is_some_and(|until| Instant::now() < until) {
            return Err(Failure::Ours);
        }
        let answer = session.bind(&self.bind_name, &self.bind_password).await?;
        match answer.code {
            0 => {
                *refused_until = None;
                Ok(Idle { session, watched: Arc::clone(watched), opened_at: Instant::now() })
            }
            code if AWAY.contains(&code) => Err(Failure::Server(Broken::Away(code))),
            code => {
                *refused_until = Some(Instant::now() + REFUSED_PAUSE);
                error!(directory = self.directory, server = watched.label, code, text = ?answer.text, "bind_name/bind_password of directory {} are refused", self.directory);
                Err(Failure::Ours)
            }
        }
    }

    /// The best of those that wait: on the most preferred server that is well.
    fn take(&self) -> Option<Idle> {
        let mut idle = self.idle();
        // Not for ever on a server that was second choice, or before a password was changed.
        idle.retain_mut(|held| held.session.is_open() && held.watched.may_be_asked() && held.opened_at.elapsed() < AGE_MAX);
        let best = idle.iter().enumerate().min_by_key(|(_, held)| held.watched.rank).map(|(at, _)| at)?;
        Some(idle.swap_remove(best))
    }

    /// Keeps a connection whose last look-up was in order.
    fn keep(&self, idle: Idle, answer: &Answer) {
        if USUAL.contains(&answer.code) {
            self.idle().push(idle);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many at once, so many waiting, and no longer than a while.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Semaphore,
    waiting: AtomicUsize,
    within: Duration,
}

impl Gate {
    pub(super) fn new(slots_max: usize, within: Duration) -> Self {
        Self { slots: Semaphore::new(slots_max.clamp(1, 1_000)), waiting: AtomicUsize::new(0), within }
    }

    /// A slot, given back when dropped.
    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, Outage> {
        if let Ok(slot) = self.slots.try_acquire() {
            return Ok(slot);
        }
        let _place = Place::take(&self.waiting).ok_or(Outage::Full)?;
        match timeout(self.within, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(Outage::Full),
        }
    }
}

/// One who waits; counted until dropped, since a login may be given up at any moment.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// success, sizeLimitExceeded, noSuchObject, invalidDNSyntax.
const USUAL: [u32; 4] = [0, 4, 32, 34];
/// Those who wait for a slot.
const WAITING_MAX: usize = 4_096;
/// Active Directory closes a connection after 15 minutes of silence.
const AGE_MAX: Duration = Duration::from_secs(300);
/// A domain controller locks an account at the fifth wrong password or so within half an hour; one try in this while is what we afford.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_slot_is_bounded_in_number_and_time() {
        let gate = Gate::new(1, Duration::from_secs(5));
        let held = gate.enter().await.unwrap();
        let begun = Instant::now();
        assert_eq!(gate.enter().await.err(), Some(Outage::Full));
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        gate.waiting.store(WAITING_MAX, Ordering::Relaxed);
        let begun = Instant::now();
        assert_eq!(gate.enter().await.err(), Some(Outage::Full));
        assert_eq!((begun.elapsed(), gate.waiting.load(Ordering::Relaxed)), (Duration::ZERO, WAITING_MAX));
        drop(held);
        assert!(gate.enter().await.is_ok());
    }
}
