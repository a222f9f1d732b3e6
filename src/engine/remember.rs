//! What is remembered of logins that a second factor let in: keyed hashes in memory, bounded, not for long, and gone with a restart (M-40, M-41, M-42).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use tokio::time::Instant;

use super::Engine;
use super::random;
use crate::domain::Appended;
use crate::domain::AuthRequest;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Dialogue;
use crate::domain::Flow;
use crate::domain::Identity;
use crate::domain::Memento;
use crate::domain::Memory;
use crate::domain::Phone;
use crate::domain::Primary;
use crate::domain::Recognized;
use crate::domain::Remember;
use crate::domain::RememberBy;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::domain::Tally;
use crate::domain::Timestamp;

/// Marks of all identities.
const MARKS_MAX: usize = 100_000;
/// Marks of one identity; the one that would end first goes for a new one.
const MARKS_OF_ONE_MAX: usize = 16;
/// Slots in which it is counted who was forgotten.
const SLOTS: usize = 1_024;
/// Between two looks for marks whose time is over.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// As long as all places are taken.
const SWEEP_EVERY_FULL: Duration = Duration::from_secs(1);

/// By what a login is told to be like another: an HMAC over all that must be the same, the password included. Neither password nor code is in it to be read.
type Mark = [u8; 32];

/// Logins that are remembered.
#[derive(Debug)]
pub(super) struct Memories {
    /// Made at start and never written down: what is remembered ends with this process.
    key: Secret,
    shelf: Mutex<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    marks: HashMap<Identity, Vec<Kept>>,
    /// How often somebody was forgotten, by [`slot`]: of two who share one, the other is asked once more than is needed.
    forgotten: [u32; SLOTS],
    count: usize,
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Kept {
    mark: Mark,
    at: Instant,
    until: Instant,
}

impl Default for Shelf {
    fn default() -> Self {
        Self { marks: HashMap::new(), forgotten: [0; SLOTS], count: 0, swept_at: None }
    }
}

impl Memories {
    /// Nothing yet.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { key: Secret::new(random::<32>()?.to_vec()), shelf: Mutex::default() })
    }

    /// What earlier logins say for this one, and by what later ones would be told. `who` passed the first factor just now, with what the request holds.
    fn recognize(&self, now: Instant, request: &AuthRequest, rules: &Rules, who: &Identity, since: Timestamp) -> Recognized {
        let mut memento = self.memento(request, rules, who, since);
        // By the rules as they are now: a policy that remembers for a shorter time than it did means those too who are remembered already.
        let (join, keep) = (window(request), lasting(rules));
        let shelf = self.lock();
        memento.age = shelf.age(who);
        let known = |mark: Option<Mark>, within: Duration| mark.is_some_and(|mark| shelf.knows(now, who, &mark, within));
        let memory = if known(memento.joins, join) {
            Some(Memory::Joined)
        } else if known(memento.remembers, keep) {
            Some(Memory::Remembered)
        } else {
            None
        };
        drop(shelf);
        Recognized { memory, memento: Some(Box::new(memento)) }
    }

    fn memento(&self, request: &AuthRequest, rules: &Rules, who: &Identity, since: Timestamp) -> Memento {
        let Some(password) = request.primary.typed() else { return Memento { joins: None, remembers: None, age: 0 } };
        let since = since.0.to_be_bytes();
        let mut whose = vec![who.0.as_bytes(), &since, rules.name.as_bytes(), password.expose()];
        // A policy that asks otherwise than it did has not been passed yet.
        for choice in &rules.methods {
            whose.extend([choice.method.as_str().as_bytes(), choice.provider.as_bytes(), choice.pin.map_or(&[][..], |place| place.as_str().as_bytes())]);
        }
        let client = [request.door.as_str().as_bytes(), request.client.as_bytes()];
        let source = request.source.map(|source| source.to_string());
        let source = source.as_ref().map(String::as_bytes);
        // Where nobody can tell where the person is, nothing that hangs on it is remembered.
        let joins = source.filter(|_| !window(request).is_zero()).and_then(|source| {
            let (sort, came) = match &request.appended {
                None => (&b"nothing"[..], &[][..]),
                Some(Appended::Code(code)) => (&b"code"[..], code.expose()),
                Some(Appended::Method(method)) => (&b"method"[..], method.as_str().as_bytes()),
            };
            self.mark(b"join", &whose, &[client[0], client[1], source, sort, came])
        });
        // What is relayed holds the code as it was typed, behind the password: no hash of it is kept for long (M-42).
        let has_code = matches!(request.primary, Primary::Relayed(_)) && request.appended.is_some();
        let remembers = Some(rules.remember).filter(|remember| remember.for_ms > 0 && !has_code).and_then(|remember| match remember.by {
            RememberBy::Account => self.mark(b"account", &whose, &[]),
            RememberBy::Client => self.mark(b"client", &whose, &client),
            RememberBy::Source => self.mark(b"source", &whose, &[client[0], client[1], source?]),
        });
        Memento { joins, remembers, age: 0 }
    }

    /// Each field with its length before it, so that no two lists of fields read alike.
    fn mark(&self, sort: &[u8], whose: &[&[u8]], whence: &[&[u8]]) -> Option<Mark> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.key.expose()).ok()?;
        let count = u64::try_from(whose.len()).ok()?.to_be_bytes();
        for field in [sort, &count].into_iter().chain(whose.iter().copied()).chain(whence.iter().copied()) {
            mac.update(&u64::try_from(field.len()).ok()?.to_be_bytes());
            mac.update(field);
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// Keeps it for so long. What does not fit is not kept: that person is asked again.
    fn keep(&self, now: Instant, who: &Identity, memento: &Memento, join: Duration, keep: Duration) {
        let mut shelf = self.lock();
        if shelf.age(who) != memento.age {
            return;
        }
        for (mark, within) in [(memento.joins, join), (memento.remembers, keep)] {
            if let (Some(mark), Some(until)) = (mark, now.checked_add(within).filter(|until| *until > now)) {
                shelf.put(now, who, Kept { mark, at: now, until });
            }
        }
    }

    /// Ends all that is remembered of somebody, and what logins under way would be remembered by. Says how much that was.
    fn forget(&self, who: &Identity) -> usize {
        let mut shelf = self.lock();
        if let Some(count) = shelf.forgotten.get_mut(slot(who)) {
            *count = count.wrapping_add(1);
        }
        let gone = shelf.marks.remove(who).map_or(0, |marks| marks.len());
        shelf.count = shelf.count.saturating_sub(gone);
        gone
    }

    /// Of whom something is remembered. Whoever logs in at this moment is asked again: it may be one of those who are meant.
    fn people(&self) -> Vec<Identity> {
        let mut shelf = self.lock();
        for count in &mut shelf.forgotten {
            *count = count.wrapping_add(1);
        }
        shelf.marks.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn age(&self, who: &Identity) -> u32 {
        self.forgotten.get(slot(who)).copied().unwrap_or_default()
    }

    fn knows(&self, now: Instant, who: &Identity, mark: &Mark, within: Duration) -> bool {
        let good = |kept: &Kept| now < kept.until && now.saturating_duration_since(kept.at) < within && kept.mark == *mark;
        self.marks.get(who).is_some_and(|marks| marks.iter().any(good))
    }

    fn put(&mut self, now: Instant, who: &Identity, new: Kept) {
        let pause = if self.count < MARKS_MAX { SWEEP_EVERY } else { SWEEP_EVERY_FULL };
        if self.swept_at.is_none_or(|swept_at| now.saturating_duration_since(swept_at) >= pause) {
            self.sweep(now);
        }
        if let Some(marks) = self.marks.get_mut(who) {
            let before = marks.len();
            marks.retain(|kept| now < kept.until && kept.mark != new.mark);
            if marks.len() >= MARKS_OF_ONE_MAX
                && let Some(first) = marks.iter().enumerate().min_by_key(|(_, kept)| kept.until).map(|(at, _)| at)
            {
                marks.swap_remove(first);
            }
            self.count = self.count.saturating_sub(before.saturating_sub(marks.len()));
        }
        if self.count < MARKS_MAX {
            self.marks.entry(who.clone()).or_default().push(new);
            self.count = self.count.saturating_add(1);
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.marks.retain(|_, marks| {
            marks.retain(|kept| now < kept.until);
            !marks.is_empty()
        });
        self.count = self.marks.values().map(Vec::len).sum();
        self.swept_at = Some(now);
        if self.count >= MARKS_MAX {
            tracing::warn!(count = self.count, "no more logins can be remembered: people are asked for the second factor more often than their policies say");
        }
    }
}

impl Engine {
    /// An administrator has to do with this person: ends all that is remembered of them, so that the next login asks for the second factor, what is known of wrong
    /// passwords, and the rest after pushes that were not approved. Says how many logins were remembered.
    pub fn forget(&self, who: &Identity) -> usize {
        self.stale.forget(who);
        self.rings.forget(who);
        self.unblock(who);
        self.unremember(who)
    }

    /// A number is blocked: ends all that is remembered of everybody who is called at it, so that it is not there again after the block.
    pub fn forget_number(&self, phone: &Phone) {
        for who in self.memories.people() {
            // Of whom nobody can tell, nothing is remembered.
            let called = self.store.standing(&who).map(|standing| standing.account.is_some_and(|account| account.is_called_at(phone)));
            if called.unwrap_or(true) {
                self.unremember(&who);
            }
        }
    }

    fn unremember(&self, who: &Identity) -> usize {
        let count = self.memories.forget(who);
        if count > 0 {
            tracing::info!(identity = ?who, count, "what was remembered of somebody is forgotten");
        }
        count
    }

    pub(super) fn recognize(&self, flow: &Flow, who: &Identity, since: Timestamp) -> Recognized {
        self.memories.recognize(Instant::now(), flow.request(), flow.rules(), who, since)
    }

    /// What the end of a login means for later ones: a second factor that passed is remembered, where it may be; who is kept out by rule is forgotten.
    pub(super) fn learn(&self, flow: &Flow, who: Option<&Identity>, decision: &Decision) {
        match decision {
            Decision::Accept(permit) => {
                if let Some(memento) = permit.memento() {
                    self.memories.keep(Instant::now(), permit.identity(), memento, window(flow.request()), lasting(flow.rules()));
                }
            }
            Decision::Reject(
                Denial::Blocked
                | Denial::Disabled
                | Denial::FraudReported
                | Denial::GroupDenied
                | Denial::GroupMissing
                | Denial::Locked
                | Denial::MustChange
                | Denial::NotPermitted
                | Denial::Unenrolled,
            ) => {
                if let Some(who) = who {
                    self.unremember(who);
                }
            }
            Decision::Drop(_) | Decision::Reject(_) => {}
        }
    }

    /// A failure that locks ends what is remembered, so that it is not there again after the lock.
    pub(super) fn note_locks(&self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Block { whom: Blocked::Identity(who), .. } => drop(self.unremember(who)),
                Change::Block { whom: Blocked::Phone(phone), .. } => self.forget_number(phone),
                _ => {}
            }
            if let Change::Fail { who, tally: Tally::Common, .. } = change
                && self.store.standing(who).map_or(true, |standing| standing.tries.locked(self.clock.now()))
            {
                self.unremember(who);
                self.note_lockout();
            }
        }
    }
}

fn slot(who: &Identity) -> usize {
    let sum = |sum: usize, octet: u8| sum.wrapping_mul(31).wrapping_add(usize::from(octet));
    who.0.bytes().fold(0, sum) % SLOTS
}

/// How long a policy remembers.
fn lasting(rules: &Rules) -> Duration {
    Duration::from_millis(rules.remember.for_ms.min(Remember::FOR_MS_MAX))
}

/// How long the very same login is the same.
fn window(request: &AuthRequest) -> Duration {
    Duration::from_millis(request.dialogue.join_ms.min(Dialogue::JOIN_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields = &'static [&'static [u8]];

    fn put(shelf: &mut Shelf, now: Instant, who: usize, within: Duration) {
        shelf.put(now, &Identity(who.to_string()), Kept { mark: [7; 32], at: now, until: now + within });
    }

    #[tokio::test(start_paused = true)]
    async fn m_40_a_full_shelf_takes_nobody_in_until_somebodys_time_is_over() {
        let mut shelf = Shelf::default();
        let now = Instant::now();
        for who in 0..=MARKS_MAX {
            put(&mut shelf, now, who, Duration::from_secs(if who == 0 { 5 } else { 50 }));
        }
        assert_eq!((shelf.count, shelf.marks.len()), (MARKS_MAX, MARKS_MAX));
        let late = Identity(MARKS_MAX.to_string());
        assert!(!shelf.knows(now, &late, &[7; 32], Duration::MAX), "who finds no place is asked again");
        let now = now + Duration::from_secs(5);
        put(&mut shelf, now, MARKS_MAX, Duration::from_secs(50));
        assert!(shelf.knows(now, &late, &[7; 32], Duration::MAX));
        assert_eq!((shelf.count, shelf.marks.contains_key(&Identity("0".into()))), (MARKS_MAX, false));
    }

    #[tokio::test(start_paused = true)]
    async fn m_41_what_is_forgotten_while_somebody_waits_for_a_phone_is_not_kept_afterwards() {
        let memories = Memories::new().unwrap();
        let (now, minute, who) = (Instant::now(), Duration::from_secs(60), Identity("S-1".into()));
        let begun = |mark: u8| Memento { joins: None, remembers: Some([mark; 32]), age: memories.lock().age(&who) };
        let before = begun(1);
        memories.forget(&who);
        memories.keep(now, &who, &before, Duration::ZERO, minute);
        assert!(!memories.lock().knows(now, &who, &[1; 32], minute));
        memories.keep(now, &who, &begun(2), Duration::ZERO, minute);
        assert!(memories.lock().knows(now, &who, &[2; 32], minute));
    }

    #[tokio::test(start_paused = true)]
    async fn m_40_no_two_lists_of_fields_read_alike() {
        let memories = Memories::new().unwrap();
        let lists: [(Fields, Fields); 5] = [(&[b"ab", b"c"], &[]), (&[b"a", b"bc"], &[]), (&[b"ab"], &[b"c"]), (&[b"ab", b"c", b""], &[]), (&[b"abc"], &[])];
        let marks: Vec<_> = lists.iter().map(|(whose, whence)| memories.mark(b"source", whose, whence).unwrap()).collect();
        for (at, mark) in marks.iter().enumerate() {
            assert!(!marks[..at].contains(mark), "list {at}");
        }
        assert_ne!(Memories::new().unwrap().mark(b"source", lists[0].0, &[]).unwrap(), marks[0], "another start has another key");
    }
}
