//! Retransmissions: the same question is asked once and gets the same answer (RFC 5080 §2.2.2).

use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sha2::Digest;
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::wire::radius::Code;
use crate::wire::radius::Request;
use crate::wire::radius::attr;

/// What was asked at one door, and what was answered. A question in the works may hold a `G`; it is dropped when nobody wants the answer any more.
///
/// Only verified requests come here.
#[derive(Debug)]
pub(super) struct Window<G> {
    entries: HashMap<Slot, Entry<G>>,
    /// Answers in the order in which they run out; those purged meanwhile too.
    answers: VecDeque<(Instant, Turn)>,
    running: usize,
    bytes: usize,
    number: u64,
}

/// What makes a request the one it is; the receiving door is the window itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) slot: Slot,
    /// All zero in RADIUS/1.1, which has none.
    pub(super) authenticator: [u8; 16],
    /// What stands for all that is asked: a copy is the same, and nothing else is.
    pub(super) content: [u8; 16],
}

impl Key {
    /// Of a verified request. A client that uses an authenticator or a token again for something else has asked something else, so that nobody ever gets
    /// another's answer (RFC 9765 §4.2.1). What a Message-Authenticator signs is the whole packet.
    pub(super) fn of(request: &Request<'_>, peer: SocketAddr) -> Self {
        let code = request.code();
        let Some(token) = request.token() else {
            // One that is there was checked.
            let signature = request.first(attr::MESSAGE_AUTHENTICATOR).and_then(|signature| signature.value.try_into().ok());
            let content = signature.unwrap_or_else(|| digest(request));
            return Self { slot: Slot { peer, code, number: request.identifier().into() }, authenticator: *request.authenticator(), content };
        };
        Self { slot: Slot { peer, code, number: token }, authenticator: [0; 16], content: digest(request) }
    }
}

/// Of one client at most one request goes by this at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) peer: SocketAddr,
    pub(super) code: Code,
    /// The identifier, or in RADIUS/1.1 the token.
    pub(super) number: u32,
}

/// An answer as it is kept. It may hold keys of a session, which nothing hides in RADIUS/1.1 (RFC 9765 §5.1), so it is wiped when it goes.
pub(super) type Answer = Arc<Zeroizing<Vec<u8>>>;

/// Whether a request was seen before.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// Yes, and this was the answer: send it again.
    Answered(Answer),
    /// No, but there is no place for it.
    Full,
    /// No: it begins now, and whatever had its slot is over.
    New(Turn),
    /// Yes, and it is in the works: say nothing.
    Running,
}

/// One request's turn in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    slot: Slot,
    number: u64,
}

/// How much a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) running_max: usize,
    pub(super) answers_max: usize,
    pub(super) bytes_max: usize,
    /// How long an answer is kept.
    pub(super) keep: Duration,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is the answer; so many older ones had to go before their time.
    Answer {
        /// Older answers thrown out.
        evicted: usize,
    },
    /// Nobody waits for it any more: it must not be sent.
    Superseded,
}

#[derive(Debug)]
struct Entry<G> {
    number: u64,
    authenticator: [u8; 16],
    content: [u8; 16],
    stage: Stage<G>,
}

enum Stage<G> {
    Answered(Answer),
    Running { guard: Option<G> },
}

/// Without the answer: keys may stand in it.
impl<G> fmt::Debug for Stage<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answered(_) => "Answered(..)",
            Self::Running { .. } => "Running(..)",
        })
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(_) => f.write_str("Answered(..)"),
            Self::Full => f.write_str("Full"),
            Self::New(turn) => f.debug_tuple("New").field(turn).finish(),
            Self::Running => f.write_str("Running"),
        }
    }
}

impl<G> Window<G> {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), answers: VecDeque::new(), running: 0, bytes: 0, number: 0 }
    }

    /// Takes a verified request in.
    pub(super) fn admit(&mut self, now: Instant, key: Key, bounds: &Bounds) -> Seen {
        self.expire(now);
        match self.entries.get(&key.slot) {
            Some(Entry { authenticator, content, stage, .. }) if (*authenticator, *content) == (key.authenticator, key.content) => match stage {
                Stage::Answered(bytes) => return Seen::Answered(Arc::clone(bytes)),
                Stage::Running { .. } => return Seen::Running,
            },
            _ => self.remove(key.slot),
        }
        if self.running >= bounds.running_max {
            return Seen::Full;
        }
        self.number = self.number.wrapping_add(1);
        self.running = self.running.saturating_add(1);
        self.entries
            .insert(key.slot, Entry { number: self.number, authenticator: key.authenticator, content: key.content, stage: Stage::Running { guard: None } });
        Seen::New(Turn { slot: key.slot, number: self.number })
    }

    /// Holds `guard` while the turn is in the works. It is dropped at once where that is over.
    pub(super) fn guard(&mut self, turn: Turn, guard: G) {
        if let Some(entry) = self.entries.get_mut(&turn.slot).filter(|entry| entry.runs(turn)) {
            entry.stage = Stage::Running { guard: Some(guard) };
        }
    }

    /// What holds the request that is in the works in this slot.
    pub(super) fn held(&self, slot: Slot) -> Option<&G> {
        match &self.entries.get(&slot)?.stage {
            Stage::Running { guard } => guard.as_ref(),
            Stage::Answered(_) => None,
        }
    }

    /// Keeps the answer for retransmissions, unless its request was superseded.
    pub(super) fn answer(&mut self, now: Instant, turn: Turn, bytes: Answer, bounds: &Bounds) -> Kept {
        self.expire(now);
        let Some(entry) = self.entries.get_mut(&turn.slot).filter(|entry| entry.runs(turn)) else { return Kept::Superseded };
        self.running = self.running.saturating_sub(1);
        self.bytes = self.bytes.saturating_add(bytes.len());
        entry.stage = Stage::Answered(bytes);
        self.answers.push_back((now.checked_add(bounds.keep).unwrap_or(now), turn));
        let mut evicted = 0_usize;
        while self.answers.len() > bounds.answers_max || self.bytes > bounds.bytes_max {
            match self.answers.pop_front() {
                Some((_, oldest)) => evicted = evicted.saturating_add(usize::from(self.purge(oldest))),
                None => break,
            }
        }
        Kept::Answer { evicted }
    }

    /// Gives a turn up that was not answered: asked again, it begins again.
    pub(super) fn forget(&mut self, turn: Turn) {
        if self.entries.get(&turn.slot).is_some_and(|entry| entry.runs(turn)) {
            self.remove(turn.slot);
        }
    }

    /// Gives up all that is in the works.
    pub(super) fn clear(&mut self) {
        *self = Self { number: self.number, ..Self::new() };
    }

    fn expire(&mut self, now: Instant) {
        while let Some((_, turn)) = self.answers.pop_front_if(|(until, _)| *until <= now) {
            self.purge(turn);
        }
    }

    /// Throws a kept answer away; says whether it was still there.
    fn purge(&mut self, turn: Turn) -> bool {
        let there = self.entries.get(&turn.slot).is_some_and(|entry| entry.number == turn.number);
        if there {
            self.remove(turn.slot);
        }
        there
    }

    fn remove(&mut self, slot: Slot) {
        match self.entries.remove(&slot).map(|entry| entry.stage) {
            Some(Stage::Answered(bytes)) => self.bytes = self.bytes.saturating_sub(bytes.len()),
            Some(Stage::Running { .. }) => self.running = self.running.saturating_sub(1),
            None => {}
        }
    }
}

impl<G> Entry<G> {
    fn runs(&self, turn: Turn) -> bool {
        self.number == turn.number && matches!(self.stage, Stage::Running { .. })
    }
}

fn digest(request: &Request<'_>) -> [u8; 16] {
    let mut digest = Sha256::new();
    for attribute in request.attributes() {
        digest.update([attribute.kind]);
        digest.update(attribute.value.len().to_be_bytes());
        digest.update(attribute.value);
    }
    let whole: [u8; 32] = digest.finalize().into();
    whole.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use zeroize::ZeroizeOnDrop;

    use super::*;

    const BOUNDS: Bounds = Bounds { running_max: 3, answers_max: 4, bytes_max: 100, keep: Duration::from_secs(30) };

    fn key(identifier: u8, authenticator: u8) -> Key {
        Key {
            slot: Slot { peer: "192.0.2.1:1000".parse().unwrap(), code: Code::AccessRequest, number: identifier.into() },
            authenticator: [authenticator; 16],
            content: [0; 16],
        }
    }

    fn turn(seen: Seen) -> Turn {
        match seen {
            Seen::New(turn) => turn,
            other => panic!("{other:?}"),
        }
    }

    fn bytes(length: usize) -> Answer {
        Arc::new(vec![7; length].into())
    }

    #[test]
    fn a_kept_answer_is_wiped_when_it_goes() {
        fn wiped(_: &impl ZeroizeOnDrop) {}
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.answer(now, first, bytes(20), &BOUNDS);
        match window.admit(now, key(1, 1), &BOUNDS) {
            Seen::Answered(bytes) => wiped(&*bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn r_050_another_port_code_identifier_or_authenticator_is_another_request() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let bounds = Bounds { running_max: 10, ..BOUNDS };
        turn(window.admit(now, key(1, 1), &bounds));
        let elsewhere = |change: fn(&mut Slot)| {
            let mut key = key(1, 1);
            change(&mut key.slot);
            key
        };
        turn(window.admit(now, elsewhere(|slot| slot.peer.set_port(1001)), &bounds));
        turn(window.admit(now, elsewhere(|slot| slot.peer.set_ip([192, 0, 2, 2].into())), &bounds));
        turn(window.admit(now, elsewhere(|slot| slot.code = Code::StatusServer), &bounds));
        turn(window.admit(now, elsewhere(|slot| slot.number = 2), &bounds));
        assert_eq!(window.admit(now, key(1, 1), &bounds), Seen::Running);
    }

    #[test]
    fn r_050_the_same_authenticator_over_another_content_is_another_request() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.answer(now, first, bytes(20), &BOUNDS);
        turn(window.admit(now, Key { content: [9; 16], ..key(1, 1) }, &BOUNDS));
    }

    #[test]
    fn r_051_r_052_in_the_works_it_is_silent_and_answered_it_gets_the_same_bytes() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        assert_eq!(window.admit(now, key(1, 1), &BOUNDS), Seen::Running);
        assert_eq!(window.answer(now, first, bytes(20), &BOUNDS), Kept::Answer { evicted: 0 });
        assert_eq!(window.admit(now + Duration::from_secs(29), key(1, 1), &BOUNDS), Seen::Answered(bytes(20)));
    }

    #[test]
    fn r_053_an_answer_is_kept_for_its_time_and_no_longer() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.answer(now, first, bytes(20), &BOUNDS);
        turn(window.admit(now + BOUNDS.keep, key(1, 1), &BOUNDS));
        assert_eq!((window.bytes, window.answers.len()), (0, 0));
    }

    #[test]
    fn r_053_r_054_a_superseding_request_purges_the_answer_and_cancels_the_work() {
        let now = Instant::now();
        let mut window = Window::new();
        let guard = Rc::new(());
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.guard(first, Rc::clone(&guard));
        assert_eq!(Rc::strong_count(&guard), 2);
        let second = turn(window.admit(now, key(1, 2), &BOUNDS));
        assert_eq!(Rc::strong_count(&guard), 1, "the first login is dropped");
        assert_eq!(window.answer(now, first, bytes(20), &BOUNDS), Kept::Superseded);
        window.guard(first, Rc::clone(&guard));
        assert_eq!(Rc::strong_count(&guard), 1, "and one that comes too late is dropped at once");
        assert_eq!(window.admit(now, key(1, 2), &BOUNDS), Seen::Running);
        assert_eq!(window.answer(now, second, bytes(30), &BOUNDS), Kept::Answer { evicted: 0 });
        turn(window.admit(now, key(1, 3), &BOUNDS));
        assert_eq!((window.bytes, window.running), (0, 1));
    }

    #[test]
    fn a_forgotten_turn_begins_again_and_a_late_one_forgets_nothing() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let first = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.forget(first);
        let second = turn(window.admit(now, key(1, 1), &BOUNDS));
        window.forget(first);
        assert_eq!(window.admit(now, key(1, 1), &BOUNDS), Seen::Running);
        window.answer(now, second, bytes(1), &BOUNDS);
        window.forget(second);
        assert_eq!(window.admit(now, key(1, 1), &BOUNDS), Seen::Answered(bytes(1)));
    }

    #[test]
    fn r_057_no_more_run_than_there_are_places() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let turns: Vec<Turn> = (0..3).map(|identifier| turn(window.admit(now, key(identifier, 1), &BOUNDS))).collect();
        assert_eq!(window.admit(now, key(9, 1), &BOUNDS), Seen::Full);
        assert_eq!(window.admit(now, key(0, 1), &BOUNDS), Seen::Running);
        turn(window.admit(now, key(0, 2), &BOUNDS));
        assert_eq!(window.answer(now, turns[1], bytes(1), &BOUNDS), Kept::Answer { evicted: 0 });
        turn(window.admit(now, key(9, 1), &BOUNDS));
    }

    #[test]
    fn r_057_answers_are_bounded_by_number_and_by_bytes_and_the_oldest_go() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        let mut answer = |identifier, length| {
            let turn = turn(window.admit(now, key(identifier, 1), &BOUNDS));
            let kept = window.answer(now, turn, bytes(length), &BOUNDS);
            (kept, window.answers.len(), window.bytes)
        };
        for identifier in 0..4 {
            assert_eq!(answer(identifier, 20).0, Kept::Answer { evicted: 0 });
        }
        assert_eq!(answer(4, 20), (Kept::Answer { evicted: 1 }, 4, 80));
        assert_eq!(answer(5, 60), (Kept::Answer { evicted: 2 }, 3, 100));
        turn(window.admit(now, key(2, 1), &BOUNDS));
        assert_eq!(window.admit(now, key(4, 1), &BOUNDS), Seen::Answered(bytes(20)));
    }

    #[test]
    fn r_057_superseded_answers_do_not_pile_up() {
        let now = Instant::now();
        let mut window = Window::<()>::new();
        for authenticator in 0..200 {
            let turn = turn(window.admit(now, key(1, authenticator), &BOUNDS));
            window.answer(now, turn, bytes(1), &BOUNDS);
        }
        assert!(window.answers.len() <= BOUNDS.answers_max);
        assert_eq!((window.bytes, window.entries.len()), (1, 1));
    }
}
