//! Codes that we make ourselves and somebody else carries: in memory, few minutes, few tries, one a person.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Caps;
use super::ledger::Ledger;
use crate::domain::Asking;
use crate::domain::FactorError;
use crate::domain::Identity;
use crate::domain::Lexicon;
use crate::domain::Secret;
use crate::domain::Texts;
use crate::domain::Ticket;
use crate::domain::Timestamp;
use crate::domain::texts;
use crate::domain::texts::fill;

/// How a carrier's codes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Digits of a code, [`Habits::DIGITS_MIN`] to [`Habits::DIGITS_MAX`].
    pub digits: u8,
    /// How many go out on one day (M-28).
    pub caps: Caps,
    /// What everybody reads, where the operator says it here; `{code}` in it is the code.
    pub text: Option<String>,
    /// What people read where it does not stand here, each in their language.
    pub texts: Arc<Lexicon>,
}

impl Habits {
    /// The shortest code.
    pub const DIGITS_MIN: u8 = 6;
    /// The longest code.
    pub const DIGITS_MAX: u8 = 8;

    /// The text with its code: the operator's, or what `usual` picks of the texts in the person's language.
    pub(super) fn text(&self, asking: &Asking, code: &str, usual: impl Fn(&Texts) -> &str) -> String {
        match &self.text {
            Some(text) => text.replace(CODE, code),
            None => fill(usual(self.texts(asking)), &[(texts::APP, &asking.client), (texts::CODE, code)]),
        }
    }

    /// In the person's language.
    pub(super) fn texts(&self, asking: &Asking) -> &Texts {
        self.texts.of(asking.account.language.as_deref())
    }
}

/// What stands in a text for the code.
pub const CODE: &str = "{code}";

/// The codes that are out.
#[derive(Debug)]
pub(super) struct Codes {
    provider: String,
    habits: Habits,
    ledger: Ledger,
    out: Mutex<Out>,
}

#[derive(Debug, Default)]
struct Out {
    /// By ticket.
    codes: HashMap<Arc<str>, Code>,
    /// Each person's only one.
    of: HashMap<Identity, Arc<str>>,
    /// When each is over; all live as long, so the first in line is over first.
    ends: VecDeque<(Instant, Arc<str>)>,
}

#[derive(Debug)]
struct Code {
    who: Identity,
    digits: Secret,
    until: Instant,
    tries: u8,
}

/// A fresh code, and the question it answers.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) ticket: Ticket,
    pub(super) code: Secret,
}

impl Codes {
    pub(super) fn new(provider: &str, habits: Habits) -> Self {
        Self { provider: provider.to_owned(), habits, ledger: Ledger::default(), out: Mutex::default() }
    }

    /// What went out before counts too.
    pub(super) fn go_on(&mut self, ledger: Ledger) {
        self.ledger = ledger;
    }

    pub(super) fn habits(&self) -> &Habits {
        &self.habits
    }

    /// A code for this login, which goes to `address`. The one that the person had before is over.
    ///
    /// # Errors
    /// `Throttled` when too many are out, or have gone to that address today; `Misconfigured` when the machine has no randomness to give.
    pub(super) fn issue(&self, asking: &Asking, address: &str, now: Timestamp) -> Result<Issued, FactorError> {
        let digits = random(self.habits.digits).ok_or(FactorError::Misconfigured)?;
        let ticket: Arc<str> = asking.trace.to_string().into();
        let moment = Instant::now();
        let mut out = self.out();
        out.sweep(moment);
        if out.ends.len() >= OUT_MAX || !self.ledger.admits(&self.provider, address, now, self.habits.caps) {
            return Err(FactorError::Throttled);
        }
        out.forget_of(&asking.identity);
        let until = moment.checked_add(KEEP).unwrap_or(moment);
        out.ends.push_back((until, Arc::clone(&ticket)));
        out.of.insert(asking.identity.clone(), Arc::clone(&ticket));
        let code = digits.clone();
        out.codes.insert(Arc::clone(&ticket), Code { who: asking.identity.clone(), digits, until, tries: 0 });
        Ok(Issued { ticket: Ticket(ticket), code })
    }

    /// Whether `typed` is the code of this very login. It is good once; after a few wrong tries it is good for nothing (M-05, M-12).
    ///
    /// # Errors
    /// `BadCode` when it is not; `Expired` when there is none, or none any more.
    pub(super) fn redeem(&self, asking: &Asking, ticket: Option<&Ticket>, typed: &Secret) -> Result<(), FactorError> {
        let mut out = self.out();
        out.sweep(Instant::now());
        let ticket = ticket.ok_or(FactorError::Expired)?;
        let code = out.codes.get_mut(&ticket.0).filter(|code| code.who == asking.identity).ok_or(FactorError::Expired)?;
        // Counted before it is looked at (M-06); both under the one lock, so of many at once one passes (M-03).
        code.tries = code.tries.saturating_add(1);
        let right = code.digits == *typed;
        if right || code.tries >= TRIES_MAX {
            out.forget(&ticket.0);
        }
        if right { Ok(()) } else { Err(FactorError::BadCode) }
    }

    /// The code did not go out, or nobody waits for it any more.
    pub(super) fn withdraw(&self, ticket: &Ticket) {
        self.out().forget(&ticket.0);
    }

    fn out(&self) -> MutexGuard<'_, Out> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Out {
    /// What is over goes.
    fn sweep(&mut self, now: Instant) {
        while let Some((_, ticket)) = self.ends.front().filter(|(until, _)| *until <= now).cloned() {
            self.ends.pop_front();
            // One that was asked for twice under the same name lives as long as the later one.
            if self.codes.get(&ticket).is_some_and(|code| code.until <= now) {
                self.forget(&ticket);
            }
        }
    }

    fn forget(&mut self, ticket: &Arc<str>) {
        if let Some(code) = self.codes.remove(ticket)
            && self.of.get(&code.who) == Some(ticket)
        {
            self.of.remove(&code.who);
        }
    }

    fn forget_of(&mut self, who: &Identity) {
        if let Some(ticket) = self.of.remove(who) {
            self.codes.remove(&ticket);
        }
    }
}

/// So many decimal digits, each number as likely as any other; `None` without randomness.
fn random(digits: u8) -> Option<Secret> {
    let digits = digits.clamp(Habits::DIGITS_MIN, Habits::DIGITS_MAX);
    let range = 10_u32.checked_pow(u32::from(digits))?;
    // Numbers above the last whole multiple would make the first ones likelier. Less than half are, so 64 in a row are not to be expected.
    let fair = u32::MAX.checked_div(range)?.checked_mul(range)?;
    for _ in 0..64 {
        let drawn = getrandom::u32().ok()?;
        if drawn < fair {
            return Some(Secret::new(format!("{:0width$}", drawn.checked_rem(range)?, width = usize::from(digits)).into_bytes()));
        }
    }
    None
}

/// Five minutes: a text can be slow, and a challenge is not kept for longer.
const KEEP: Duration = Duration::from_secs(300);
const TRIES_MAX: u8 = 3;
/// Codes out at a time.
const OUT_MAX: usize = 100_000;

#[cfg(test)]
mod tests;
