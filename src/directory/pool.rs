//! Service connections: bound once with our own account, used for look-ups alone, never reachable by anybody's credentials (L-080).

use std::io;
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
use tokio::time::timeout_at;
use tracing::error;

use crate::domain::Outage;
use crate::wire::ldap::Question;

use super::line::Line;
use super::search::Answer;
use super::search::Found;
use super::server::AWAY;
use super::server::Servers;
use super::server::Watched;
use super::session::Broken;
use super::session::Password;
use super::session::Session;
use super::trunk::Trunk;

/// The service connections of a directory.
#[derive(Debug)]
pub(super) struct Pool {
    directory: String,
    servers: Arc<Servers>,
    bind_name: String,
    bind_password: Password,
    within: Duration,
    pool_max: usize,
    gate: Gate,
    open: Mutex<Vec<Open>>,
    /// Our own account was refused: nobody tries again before this moment, lest the directory locks it. Held while one opens a connection, so that not all do at once.
    refused_until: tokio::sync::Mutex<Option<Instant>>,
}

/// A service connection in use; several look-ups share it.
#[derive(Debug)]
struct Open {
    trunk: Arc<Trunk>,
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
        let gate = Gate::new(pool_max.saturating_mul(SHARE_MAX), within);
        let directory = directory.to_owned();
        Self { directory, servers, bind_name, bind_password, within, pool_max, gate, open: Mutex::default(), refused_until: tokio::sync::Mutex::default() }
    }

    /// Asks the first server that answers. A look-up changes nothing, so the next server may be asked the same.
    pub(super) async fn search(&self, question: &Question<'_>) -> Result<(Vec<Found>, Answer), Outage> {
        let _slot = self.gate.enter().await?;
        for watched in self.servers.in_order() {
            match self.ask(&watched, question).await {
                Ok(answered) => return Ok(answered),
                Err(Failure::Ours) => return Err(Outage::Fault),
                Err(Failure::Server(why)) => self.servers.failed(&watched, &why),
            }
        }
        Err(Outage::Directory)
    }

    /// Does something that must not be done twice, on a fresh connection: once a server took our bind, nobody else is asked.
    pub(super) async fn once<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, Broken>) -> Result<T, Outage> {
        let _slot = self.gate.enter().await?;
        for watched in self.servers.in_order() {
            let bound = async {
                let mut refused_until = self.refused_until.lock().await;
                let line = self.bound(&watched, &mut refused_until).await?;
                Ok::<_, Failure>(Session::over(line, watched.label.clone()).await?)
            };
            let session = match timeout(self.within, bound).await.unwrap_or(Err(Failure::Server(Broken::Timeout))) {
                Ok(session) => session,
                Err(Failure::Ours) => return Err(Outage::Fault),
                Err(Failure::Server(why)) => {
                    self.servers.failed(&watched, &why);
                    continue;
                }
            };
            self.servers.worked(&watched);
            return timeout(self.within, work(&session)).await.unwrap_or(Err(Broken::Timeout)).map_err(|why| {
                self.servers.failed(&watched, &why);
                Outage::Directory
            });
        }
        Err(Outage::Directory)
    }

    /// Asks one server; again on another connection where one broke that had been there before, for a server closes those behind our back.
    async fn ask(&self, watched: &Arc<Watched>, question: &Question<'_>) -> Result<(Vec<Found>, Answer), Failure> {
        let until = Instant::now() + self.within;
        loop {
            let (trunk, is_fresh) = match self.shared(watched) {
                Some(trunk) => (trunk, false),
                None => timeout_at(until, self.opened(watched)).await.map_err(|_| Broken::Timeout)??,
            };
            let answered = timeout_at(until, trunk.search(question)).await.unwrap_or(Err(Broken::Timeout));
            match answered {
                Ok((found, answer)) => {
                    if !USUAL.contains(&answer.code) {
                        self.retire(&trunk);
                    }
                    return if AWAY.contains(&answer.code) { Err(Broken::Away(answer.code).into()) } else { Ok((found, answer)) };
                }
                Err(Broken::Lost(_)) if !is_fresh => self.retire(&trunk),
                Err(why) => {
                    self.retire(&trunk);
                    return Err(why.into());
                }
            }
        }
    }

    /// The least busy connection to this server, unless another one should be opened.
    fn shared(&self, watched: &Arc<Watched>) -> Option<Arc<Trunk>> {
        let mut open = self.open();
        // Not for ever on a server that was second choice, or before a password was changed.
        open.retain(|held| held.trunk.is_open() && held.watched.may_be_asked() && held.opened_at.elapsed() < AGE_MAX);
        let is_full = open.len() >= self.pool_max;
        let of_server = open.iter().filter(|held| Arc::ptr_eq(&held.watched, watched));
        let (load, best) = of_server.map(|held| (held.trunk.load(), &held.trunk)).min_by_key(|(load, _)| *load)?;
        (load < SHARE_MAX || is_full).then(|| Arc::clone(best))
    }

    /// A connection that somebody else opened while we waited for our turn, or a fresh one; and whether it is.
    async fn opened(&self, watched: &Arc<Watched>) -> Result<(Arc<Trunk>, bool), Failure> {
        let mut refused_until = self.refused_until.lock().await;
        if let Some(trunk) = self.shared(watched) {
            return Ok((trunk, false));
        }
        if !watched.may_be_asked() {
            return Err(Broken::Lost(io::ErrorKind::ConnectionRefused.into()).into());
        }
        let line = self.bound(watched, &mut refused_until).await?;
        self.servers.worked(watched);
        let trunk = Arc::new(Trunk::over(line, watched.label.clone()));
        self.open().push(Open { trunk: Arc::clone(&trunk), watched: Arc::clone(watched), opened_at: Instant::now() });
        Ok((trunk, true))
    }

    /// A fresh connection, bound with our own account.
    async fn bound(&self, watched: &Watched, refused_until: &mut Option<Instant>) -> Result<Line, Failure> {
        if refused_until.is_some_and(|until| Instant::now() < until) {
            return Err(Failure::Ours);
        }
        let mut line = self.servers.line(watched).await?;
        let answer = line.bind(&self.bind_name, &self.bind_password).await?;
        match answer.code {
            0 => {
                *refused_until = None;
                Ok(line)
            }
            code if AWAY.contains(&code) => Err(Failure::Server(Broken::Away(code))),
            code => {
                *refused_until = Some(Instant::now() + REFUSED_PAUSE);
                error!(directory = self.directory, server = watched.label, code, text = ?answer.text, "bind_name/bind_password of directory {} are refused", self.directory);
                Err(Failure::Ours)
            }
        }
    }

    /// Gives it to nobody any more; who waits there still gets an answer.
    fn retire(&self, trunk: &Arc<Trunk>) {
        self.open().retain(|held| !Arc::ptr_eq(&held.trunk, trunk));
    }

    fn open(&self) -> MutexGuard<'_, Vec<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
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
        Self { slots: Semaphore::new(slots_max.clamp(1, SLOTS_MAX)), waiting: AtomicUsize::new(0), within }
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
/// Look-ups that share a connection before another one is opened.
const SHARE_MAX: usize = 64;
const SLOTS_MAX: usize = 64_000;
/// Those who wait for a slot.
const WAITING_MAX: usize = 4_096;
/// How long a connection is used at all: then the address, the certificate and the password behind it are looked at again. Active Directory closes who is
/// silent for 15 minutes.
pub(super) const AGE_MAX: Duration = Duration::from_secs(300);
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
