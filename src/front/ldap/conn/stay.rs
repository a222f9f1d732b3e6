//! How long a connection may stay: by its age, by how little moves on it, and by whether it would be let in now.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::AWAY;
use super::Connection;
use super::End;
use super::Standing;
use crate::domain::Exempt;
use crate::domain::Timestamp;
use crate::front::ldap::side::Side;
use crate::wire::ldap::Code;

/// How long a client that has not bound may say nothing whole (L-044).
const IDLE_BEFORE: Duration = Duration::from_secs(30);
/// How long nothing may move for one that has.
const IDLE_AFTER: Duration = Duration::from_secs(3_600);
/// How long either side may take nothing of what it is owed (L-044): what it does not read is in our memory, and another's place.
const STUCK: Duration = Duration::from_secs(120);
/// How long a connection may be open without ever being somebody's (L-026); a denied bind and an anonymous one buy no time.
const AGE_BEFORE: Duration = Duration::from_secs(300);
/// How long after the bind that was granted a connection ends, whatever moves on it (L-026).
const AGE_AFTER: Duration = Duration::from_secs(43_200);
/// How long a certificate, and an exemption, are believed unseen.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// What who would not be let in now is told.
const UNWELCOME: &str = "this connection would not be let in now";

/// Of a connection that is new: when it is idle, when it is old, when it is looked at.
pub(super) fn first_times() -> [Instant; 3] {
    [IDLE_BEFORE, AGE_BEFORE, LOOK_EVERY].map(after)
}

/// Waits for other settings; for ever, where nobody is left to change them.
pub(super) async fn changed<T>(settings: &mut watch::Receiver<T>) {
    if settings.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

impl Connection {
    /// Whether the next request may be taken, however busy the client keeps us.
    pub(super) fn may_stay(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.old_at <= now {
            return Err(self.over().1);
        }
        if self.must_look(now) {
            self.look_again()?;
        }
        Ok(())
    }

    /// A certificate runs out, and an exemption ends, without anybody changing anything.
    pub(super) fn must_look(&self, now: Instant) -> bool {
        self.look_at <= now || self.house.settings.has_changed().unwrap_or(false)
    }

    /// After a reload, each hour, and when an exemption ends: would this connection be let in now, and as whom it is bound (L-082)?
    pub(super) fn look_again(&mut self) -> Result<(), End> {
        let settings = Arc::clone(&self.house.settings.borrow_and_update());
        let now = self.house.engine.now();
        let unwelcome = |why| End::Notice(Code::Unavailable, UNWELCOME, why);
        self.caller.look_again(&settings.callers, self.secure, now).map_err(unwelcome)?;
        if let Standing::Bound { dn, exempt: Some(exempt), .. } = &mut self.standing {
            let still = |one: &Exempt| one.directory == exempt.directory && one.holds(now, &exempt.who);
            let Some(one) = settings.callers.exempt(&self.caller).into_iter().find(still) else {
                tracing::info!(client = settings.name, caller = %self.caller, dn = ?dn, "the exemption that let this connection in holds no more: it is closed");
                return Err(unwelcome("exemption_over"));
            };
            **exempt = one;
        }
        self.look_at = self.next_look(now);
        Ok(())
    }

    /// In an hour, or when the exemption ends.
    fn next_look(&self, now: Timestamp) -> Instant {
        let left = match &self.standing {
            Standing::Bound { exempt: Some(exempt), .. } => Duration::from_millis(exempt.until.0.saturating_sub(now.0)),
            Standing::Anonymous | Standing::Bound { .. } => LOOK_EVERY,
        };
        after(left.min(LOOK_EVERY))
    }

    /// Somebody was let in.
    pub(super) fn stay_bound(&mut self) {
        self.old_at = after(AGE_AFTER);
        self.look_at = self.look_at.min(self.next_look(self.house.engine.now()));
    }

    /// Something whole has come in, or gone out.
    pub(super) fn touch(&mut self) {
        self.idle_at = after(if self.bound().is_some() { IDLE_AFTER } else { IDLE_BEFORE });
    }

    /// When its time is over, as things are, and why then.
    pub(super) fn over(&self) -> (Instant, End) {
        let stuck_at = |side: &Side| side.stuck_since().and_then(|since| since.checked_add(STUCK));
        let ends = [
            Some((self.old_at, End::Notice(Code::Unavailable, "this connection was open for too long", "old"))),
            Some((self.idle_at, End::Notice(Code::Unavailable, "nothing was asked for too long", "idle"))),
            stuck_at(&self.client).map(|at| (at, End::Notice(Code::Unavailable, "nothing was read for too long", "stuck"))),
            self.upstream.as_ref().and_then(|upstream| stuck_at(&upstream.side)).map(|at| (at, End::Notice(Code::Unavailable, AWAY, "upstream"))),
        ];
        ends.into_iter().flatten().min_by_key(|(at, _)| *at).unwrap_or((self.old_at, End::Gone))
    }
}

fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or(now)
}
