//! Remembering: who passed both factors a while ago needs the first alone, where the policy says so; and several binds of one login are one login.

use super::account::Timestamp;
use super::decision::Grant;
use super::flow::Action;
use super::flow::Flow;
use super::flow::Next;
use super::flow::Stage;
use super::flow::accept;
use super::second::First;
use super::second::Second;

/// What an earlier login says for this one, whose first factor has just passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The very same, what came behind the password included, was let in by a second factor within the client's join window.
    Joined,
    /// Its like was let in by a second factor within the policy's time.
    Remembered,
}

/// By what a later login is told to be like this one: keyed hashes, never looked into here. Kept with a permit that a second factor earned, and nowhere else.
#[derive(Clone, PartialEq, Eq)]
pub struct Memento {
    /// For the client's join window.
    pub joins: Option<[u8; 32]>,
    /// For the policy's time.
    pub remembers: Option<[u8; 32]>,
    /// How often the person was forgotten before: what is forgotten meanwhile is not kept.
    pub age: u32,
}

impl std::fmt::Debug for Memento {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Memento(..)")
    }
}

/// What the engine knows of a login.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognized {
    /// What earlier ones say for it.
    pub memory: Option<Memory>,
    /// What later ones would be told by; `None` where it cannot be remembered.
    pub memento: Option<Box<Memento>>,
}

impl Flow {
    /// Asks whether this login is remembered, where it may be at all; else goes on. `since`: when the account was added.
    pub(super) fn recognize(&self, second: Second, since: Timestamp) -> Next {
        let First::Passed(first) = &second.first else { return self.ask(second) };
        // What answers the first factor's own question is no password, and without a password nobody could tell that it was changed.
        if !self.remembers() || self.answered || self.request.primary.typed().is_none() {
            return self.ask(second);
        }
        let who = first.0.clone();
        (Stage::Recognize(second), Action::Recognize { who, since })
    }

    /// A code or a word that came along is never passed over, but for the very same one in a login that is joined.
    pub(super) fn recognized(&self, mut second: Second, recognized: Recognized) -> Next {
        let why = match recognized.memory {
            Some(Memory::Joined) if self.request.dialogue.join_ms > 0 => Some(Grant::Joined),
            Some(Memory::Remembered) if self.rules.remember.for_ms > 0 && self.request.appended.is_none() => Some(Grant::Remembered),
            _ => None,
        };
        match (why, second.first) {
            // No factor that passed, no wrong codes forgiven (M-05), and no memento: what is remembered is not prolonged by being used.
            (Some(why), First::Passed(first)) => accept(why, first, false, Vec::new()),
            (_, first) => {
                (second.first, second.memento) = (first, recognized.memento);
                self.ask(second)
            }
        }
    }

    fn remembers(&self) -> bool {
        self.rules.remember.for_ms > 0 || self.request.dialogue.join_ms > 0
    }
}
