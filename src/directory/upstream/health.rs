//! How one server is: well while it answers, doubted when a request was not answered, away when Status-Server is not answered either (RFC 5997 §4).

use std::fmt::Display;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use crate::metrics;

/// How many servers of an upstream are away.
#[derive(Debug)]
pub(super) struct Roll {
    upstream: String,
    servers: usize,
    away: AtomicUsize,
}

impl Roll {
    pub(super) fn new(upstream: &str, servers: usize) -> Arc<Self> {
        Arc::new(Self { upstream: upstream.to_owned(), servers, away: AtomicUsize::new(0) })
    }

    fn tell(&self) {
        metrics::healthy("upstream", &self.upstream, self.away.load(Ordering::Relaxed) < self.servers);
    }
}

/// What is known about one server.
#[derive(Debug)]
pub(super) struct Health {
    roll: Arc<Roll>,
    label: String,
    state: Mutex<State>,
    /// There is something to be found out.
    trouble: Notify,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    status: Status,
    /// Status-Servers in a row that nobody answered.
    unanswered: u32,
    /// Requests in a row that nobody answered; Status-Servers among them while it is not well.
    misses: u32,
    heard_at: Option<Instant>,
    /// From when on a login may be used to find out.
    trial_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Skipped, and asked from time to time whether it is back.
    Away,
    /// Asked where no other is well, until it is known what the silence meant.
    Doubted,
    /// Nobody asked it yet.
    Unknown,
    Well,
}

/// Whether the server answers Status-Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// No: it answers requests alone.
    Mute,
    Spoken,
    Unknown,
}

impl Health {
    pub(super) fn new(roll: &Arc<Roll>, label: String) -> Self {
        let state = State { standing: Standing::Unknown, status: Status::Unknown, unanswered: 0, misses: 0, heard_at: None, trial_at: None };
        Self { roll: Arc::clone(roll), label, state: Mutex::new(state), trouble: Notify::new() }
    }

    /// In log and metrics.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Whether it is not known to be away.
    pub(super) fn is_well(&self) -> bool {
        self.state().standing != Standing::Away
    }

    /// Whether there is not even a doubt.
    pub(super) fn is_beyond_doubt(&self) -> bool {
        !matches!(self.state().standing, Standing::Away | Standing::Doubted)
    }

    /// Whether a login may be sent there. A server that is away or doubted gets one from time to time where nothing else could tell how it is.
    pub(super) fn admits(&self, now: Instant, another_is_well: bool) -> bool {
        let mut state = self.state();
        match state.standing {
            Standing::Away => {}
            // Where no Status-Server tells what the silence meant, a login must.
            Standing::Doubted if another_is_well && state.status == Status::Mute => {}
            Standing::Doubted => return !another_is_well,
            Standing::Unknown | Standing::Well => return true,
        }
        let pause = match (another_is_well, state.status) {
            (false, _) => TRIAL_ALONE,
            (true, Status::Mute) => TRIAL_MUTE,
            (true, Status::Unknown) => TRIAL_UNKNOWN,
            (true, Status::Spoken) => return false,
        };
        let due = state.trial_at.is_none_or(|at| at + pause <= now);
        if due {
            state.trial_at = Some(now);
        }
        due
    }

    /// Something authentic came from it.
    pub(super) fn heard(&self, now: Instant) {
        let mut state = self.state();
        state.heard_at = Some(now);
        state.misses = 0;
        if state.standing == Standing::Well {
            return;
        }
        let before = std::mem::replace(&mut state.standing, Standing::Well);
        let introduce = state.status == Status::Unknown;
        state.unanswered = 0;
        drop(state);
        if introduce {
            self.trouble.notify_one();
        }
        if before == Standing::Doubted {
            return;
        }
        if before == Standing::Away {
            self.roll.away.fetch_sub(1, Ordering::Relaxed);
            info!(upstream = self.roll.upstream, server = self.label, "RADIUS server is well again");
        }
        self.tell(true);
    }

    /// A request sent at `since` was not answered in its time, or could not even be sent, which is certain.
    pub(super) fn missed(&self, since: Instant, now: Instant, is_certain: bool, why: &dyn Display) {
        let mut state = self.state();
        // One request may be dropped for its own sake, and by anybody's will: a server that answered others meanwhile is well.
        if state.heard_at.is_some_and(|heard| heard >= since) {
            return;
        }
        if state.standing == Standing::Away {
            drop(state);
            return self.tell(false);
        }
        state.misses = state.misses.saturating_add(1);
        // Where Status-Server is answered it is Status-Server that tells: no name that the server says nothing to keeps others from it.
        if !is_certain && (state.status == Status::Spoken || state.misses < MISSES_MAX) {
            state.standing = Standing::Doubted;
            state.trial_at = Some(now);
            drop(state);
            return self.trouble.notify_one();
        }
        self.away(state, now, why);
    }

    fn away(&self, mut state: MutexGuard<'_, State>, now: Instant, why: &dyn Display) {
        state.standing = Standing::Away;
        state.unanswered = 0;
        state.trial_at = Some(now);
        drop(state);
        self.roll.away.fetch_add(1, Ordering::Relaxed);
        self.trouble.notify_one();
        warn!(upstream = self.roll.upstream, server = self.label, error = %why, "RADIUS server is not well: left out until it answers again");
        self.tell(false);
    }

    /// Whether a Status-Server should be sent now.
    pub(super) fn wants_status(&self) -> bool {
        let state = self.state();
        match state.standing {
            Standing::Away | Standing::Doubted => state.status != Status::Mute,
            // Learnt while it is well, so that one knows what silence means.
            Standing::Well => state.status == Status::Unknown,
            Standing::Unknown => false,
        }
    }

    /// What became of a Status-Server.
    pub(super) fn status(&self, now: Instant, answered: bool) {
        let mut state = self.state();
        if answered {
            state.status = Status::Spoken;
            state.unanswered = 0;
            return;
        }
        state.unanswered = state.unanswered.saturating_add(1);
        // While it is well this only tells whether it knows Status-Server.
        if state.standing != Standing::Well {
            state.misses = state.misses.saturating_add(1);
        }
        match (state.standing, state.status) {
            (Standing::Well, Status::Unknown) if state.unanswered >= MUTE_AFTER => {
                state.status = Status::Mute;
                drop(state);
                info!(
                    upstream = self.roll.upstream,
                    server = self.label,
                    "RADIUS server answers requests but not Status-Server: its health is told by requests alone"
                );
            }
            (Standing::Doubted, status) if status == Status::Spoken || state.misses >= MISSES_MAX => self.away(state, now, &"Status-Server is not answered"),
            // It may have been told to be silent while it was away.
            (Standing::Away, Status::Spoken) if state.unanswered >= FORGET_AFTER => state.status = Status::Unknown,
            (Standing::Away, Status::Spoken) => {
                drop(state);
                self.tell(false);
            }
            _ => {}
        }
    }

    /// Waits until [`Health::wants_status`] may have changed.
    pub(super) async fn trouble(&self) {
        self.trouble.notified().await;
    }

    fn tell(&self, well: bool) {
        metrics::healthy("upstream", &format!("{} {}", self.roll.upstream, self.label), well);
        self.roll.tell();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pauses between logins that try a server that is away: nobody else is well; it does not speak Status-Server; it never said whether it does.
const TRIAL_ALONE: Duration = Duration::from_secs(1);
const TRIAL_MUTE: Duration = Duration::from_secs(30);
const TRIAL_UNKNOWN: Duration = Duration::from_secs(60);
/// Silences in a row that put away a server of which it is not known that it answers Status-Server.
const MISSES_MAX: u32 = 3;
/// Status-Servers unanswered after which a server that is well counts as one that does not know them.
const MUTE_AFTER: u32 = 3;
/// Status-Servers unanswered after which it is no longer sure that a server knows them.
const FORGET_AFTER: u32 = 20;
