//! A password that has run out: changed by whoever knew it, and only behind a second factor that passed.

use std::sync::Arc;

use super::account::Identity;
use super::account::Standing;
use super::account::Timestamp;
use super::change::Change;
use super::decision::Decision;
use super::decision::Denial;
use super::decision::Grant;
use super::decision::Outage;
use super::decision::Passed;
use super::decision::PasswordError;
use super::flow::Action;
use super::flow::Flow;
use super::flow::Next;
use super::flow::Stage;
use super::flow::Then;
use super::flow::accept;
use super::flow::drop_for;
use super::flow::gone;
use super::flow::reject;
use super::secret::Secret;
use super::texts::Texts;

/// A password that was right and has run out. It proves nothing that lets anybody in.
#[derive(Debug)]
pub(super) struct Expired {
    /// Whose.
    pub(super) who: Identity,
    /// Which; `None` where the client changes it on its own.
    pub(super) old: Option<Secret>,
}

/// A new password on its way. Only a second factor that passed makes one.
#[derive(Debug)]
pub(super) struct Renewal {
    pub(super) who: Identity,
    old: Secret,
    /// In the person's language.
    texts: Arc<Texts>,
    /// How often the two new ones were different.
    different: u8,
    /// How often the directory did not take the new one.
    not_taken: u8,
    owes: bool,
}

/// Where a new password stands.
#[derive(Debug)]
pub(super) enum Typed {
    /// Not typed yet.
    Not,
    /// Typed once.
    Once(Secret),
    /// Typed twice alike; is the account still what it was?
    Twice(Secret),
    /// Offered to the directory.
    Offered,
}

/// The second factor passed for an expired password: what it spends is on disk before anything goes on.
pub(super) fn due(expired: Expired, texts: Arc<Texts>, spend: Option<Change>) -> Next {
    let Expired { who, old } = expired;
    let then = match old {
        Some(old) => Then::Renew(Renewal { who, old, texts, different: 0, not_taken: 0, owes: false }),
        None => Then::GiveLeave(who),
    };
    match spend {
        Some(change) => (Stage::Commit(then), Action::Commit(vec![change])),
        None => go_on(then),
    }
}

/// What comes after a commit.
pub(super) fn go_on(then: Then) -> Next {
    match then {
        Then::GiveLeave(who) => (Stage::Commit(Then::Speak(Decision::Reject(Denial::MustChange))), Action::GiveLeave(who)),
        Then::Renew(renewal) => ask(renewal, |texts| &texts.expired),
        Then::Speak(decision) => (Stage::Done, Action::Finish(decision)),
    }
}

/// The person typed. A new password is taken as it is: blanks may be part of it.
pub(super) fn answered(mut renewal: Renewal, typed: Typed, answer: Option<&Secret>) -> Next {
    match (typed, answer) {
        (Typed::Not, Some(new)) => {
            let again = renewal.texts.again.clone().into_owned();
            (Stage::Renew(renewal, Typed::Once(new.clone())), Action::Park(again))
        }
        (Typed::Once(new), Some(again)) if new == *again && !new.is_empty() => {
            let who = renewal.who.clone();
            (Stage::Renew(renewal, Typed::Twice(new)), Action::Find(who))
        }
        (Typed::Once(_), Some(_)) => {
            renewal.different = renewal.different.saturating_add(1);
            if renewal.different > DIFFERENT_MAX { reject(Denial::NotPermitted) } else { ask(renewal, |texts| &texts.different) }
        }
        (Typed::Not | Typed::Once(_), None) => reject(Denial::NotPermitted),
        (Typed::Twice(_) | Typed::Offered, _) => drop_for(Outage::Fault),
    }
}

/// A last look at the account before its password is changed (M-19).
pub(super) fn found(now: Timestamp, mut renewal: Renewal, new: Secret, standing: &Standing) -> Next {
    if let Some(denial) = gone(now, standing) {
        return reject(denial);
    }
    renewal.owes = standing.tries.failures > 0;
    let old = renewal.old.clone();
    (Stage::Renew(renewal, Typed::Offered), Action::ChangePassword { old, new })
}

impl Flow {
    /// The directory has spoken. Only a change for that very identity proves the first factor.
    pub(super) fn changed(&self, now: Timestamp, mut renewal: Renewal, changed: Result<Identity, PasswordError>) -> Next {
        match changed {
            Ok(who) if who == renewal.who => accept(Grant::Factor, Passed(who), renewal.owes, Vec::new()),
            Ok(_) => drop_for(Outage::Fault),
            Err(PasswordError::Outage(outage)) => drop_for(outage),
            Err(PasswordError::Unsupported) => reject(Denial::NotPermitted),
            Err(PasswordError::WrongOld) => self.count(now, renewal.who, Denial::BadCredential),
            Err(PasswordError::Refused) => {
                renewal.not_taken = renewal.not_taken.saturating_add(1);
                if renewal.not_taken > NOT_TAKEN_MAX { reject(Denial::NotPermitted) } else { ask(renewal, |texts| &texts.not_taken) }
            }
        }
    }
}

fn ask(renewal: Renewal, text: impl Fn(&Texts) -> &str) -> Next {
    let text = text(&renewal.texts).to_owned();
    (Stage::Renew(renewal, Typed::Not), Action::Park(text))
}

/// How often somebody may type two that are not alike and begin again.
const DIFFERENT_MAX: u8 = 2;
/// How often a directory may be offered another.
const NOT_TAKEN_MAX: u8 = 3;
