//! A login as one value that goes one way: event in, action out, until a verdict. Parked, it is still a value.

use std::sync::Arc;

use super::account::Account;
use super::account::Identity;
use super::account::Standing;
use super::account::Tally;
use super::account::Timestamp;
use super::change::Change;
use super::change::CommitError;
use super::decision::Checked;
use super::decision::Decision;
use super::decision::Denial;
use super::decision::FactorError;
use super::decision::Grant;
use super::decision::Outage;
use super::decision::Passed;
use super::decision::PasswordError;
use super::decision::Permit;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::groups::Member;
use super::hours::WeekMinute;
use super::memory::Recognized;
use super::renewal;
use super::renewal::Expired;
use super::renewal::Renewal;
use super::renewal::Typed;
use super::request::AuthRequest;
use super::request::Primary;
use super::request::Trace;
use super::rules::Choice;
use super::rules::FirstAlone;
use super::rules::Rules;
use super::second;
use super::second::First;
use super::second::Question;
use super::second::Second;
use super::secret::Secret;

/// What came back from the world.
#[derive(Clone, Debug)]
pub enum Event {
    /// The person answered a question, ours or that of a server behind us.
    Answer(Primary),
    /// For how many milliseconds the providers are away by now, the one that went last; `None` where nobody knows.
    Away(Option<u64>),
    /// The login begins.
    Begin,
    /// The password was changed, and whose it is; or was not.
    Changed(Result<Identity, PasswordError>),
    /// The first factor was asked.
    Checked(Result<Checked, PrimaryError>),
    /// The changes are on disk, or a leave is given; or not.
    Committed(Result<(), CommitError>),
    /// The login's time is over.
    Expired,
    /// What we hold about the proven identity.
    Found(Result<Standing, Outage>),
    /// Which of the groups that were asked for the proven identity is in; `None` where no directory of ours has that person.
    Groups(Result<Option<Vec<String>>, Outage>),
    /// What we hold about whoever the typed name seems to be; good for saying no alone.
    Hinted(Result<Option<Standing>, PrimaryError>),
    /// What minute of the week it is.
    Hour(WeekMinute),
    /// The leave that was taken, and whose it was; `None` where there is none.
    Leave(Option<Identity>),
    /// Too many logins of this identity wait for their turn.
    OutOfTurn,
    /// How the second factor stands.
    Progress(Result<Progress, FactorError>),
    /// The question of an earlier login that is still out, now this one's.
    Recalled(Option<(Choice, Ticket)>),
    /// What is known of logins like this one.
    Recognized(Recognized),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell since when these providers, by their names, cannot be reached. Answered by [`Event::Away`].
    Away(Vec<Arc<str>>),
    /// Change the password that has run out. Answered by [`Event::Changed`].
    ChangePassword {
        /// The one that was right.
        old: Secret,
        /// The one to be, as typed.
        new: Secret,
    },
    /// Ask for the first factor. Answered by [`Event::Checked`].
    Check,
    /// Write. Answered by [`Event::Committed`].
    Commit(Vec<Change>),
    /// Look the proven identity up. Answered by [`Event::Found`].
    Find(Identity),
    /// The end. Said once; after it every event is a fault.
    Finish(Decision),
    /// Let this identity change its password once, from the same client and seat, within a few minutes. Answered by [`Event::Committed`].
    GiveLeave(Identity),
    /// Ask the directory in which of these groups the proven identity is. Answered by [`Event::Groups`].
    Groups {
        /// Whose first factor was right.
        who: Identity,
        /// As the configuration names them.
        wanted: Vec<String>,
    },
    /// Find out who the typed name would be. Answered by [`Event::Hinted`].
    Hint,
    /// Tell what hour it is here. Answered by [`Event::Hour`].
    Hour,
    /// Ask the person this, and keep the flow until [`Event::Answer`].
    Park(String),
    /// Take over the question that this identity's last login from here left out. Answered by [`Event::Recalled`].
    Recall(Identity),
    /// Look whether a login like this one is remembered. Answered by [`Event::Recognized`].
    Recognize {
        /// Whose first factor passed.
        who: Identity,
        /// When the account was added: one that was removed and added again is another.
        since: Timestamp,
    },
    /// Ask the person what the first factor wants to know, and keep the flow until [`Event::Answer`].
    Relay,
    /// Ask for the second factor. Whatever else is out of this identity is taken back first. Answered by [`Event::Progress`].
    Start(Asking),
    /// Take the leave of whoever the typed name would be. Answered by [`Event::Leave`].
    TakeLeave,
    /// Have a code checked. Answered by [`Event::Progress`].
    Verify(Asking, Option<Ticket>, Secret),
    /// Hear how a question stands. Answered by [`Event::Progress`].
    Wait(Asking, Ticket),
}

/// Whom to ask for the second factor, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Whose factor.
    pub identity: Identity,
    /// Their account: the name by which providers know people, and where they are reached.
    pub account: Arc<Account>,
    /// How and through whom.
    pub choice: Choice,
    /// Which client wants to know: shown to the person.
    pub client: String,
    /// Where the person is.
    pub source: Option<std::net::IpAddr>,
    /// The login it belongs to: unlike that of any other, so that providers can tell a question that is asked twice from two (M-12).
    pub trace: Trace,
}

/// One login.
#[derive(Debug)]
pub struct Flow {
    pub(super) request: AuthRequest,
    pub(super) rules: Arc<Rules>,
    pub(super) trace: Trace,
    /// The first factor's own question was answered: what was typed last is no password.
    pub(super) answered: bool,
    stage: Stage,
}

/// How far a login is. What later stages need, earlier ones have earned: none that lets anybody in exists without a [`Passed`].
#[derive(Debug)]
pub(super) enum Stage {
    /// The first factor has asked a question of its own, for a request whose name was the person's own or not.
    Asked {
        named: bool,
    },
    /// Has the outage lasted too long to let anybody in?
    Away(Second),
    /// The first factor is asked; with whose leave to change the password, if any.
    Check(Option<Identity>),
    Commit(Then),
    /// The factor passed after a wait; is the account still what it was?
    Confirm(Second, Grant, Option<Box<Change>>),
    Done,
    /// Is there anything against this person? With the proof of a group that is exempt, if there is one.
    Find(First, Option<Member>),
    /// Is this person in a group that decides?
    Groups(First),
    Hint,
    /// May people log in now?
    Hour,
    /// Was a second factor passed for this change of a password?
    Leave,
    New,
    Parked(Second, Question),
    /// Is a question of this person's last login still out?
    Recall(Second),
    /// Is a login like this one remembered?
    Recognize(Second),
    /// Parked is over; is the account still what it was?
    Refind(Second, Question, Secret),
    Renew(Renewal, Typed),
    Start(Second),
    Verify(Second),
    Wait(Second, Ticket),
}

/// What happens once the changes are on disk.
#[derive(Debug)]
pub(super) enum Then {
    /// The client may change the password.
    GiveLeave(Identity),
    /// A new password is asked for.
    Renew(Renewal),
    /// The decision is spoken.
    Speak(Decision),
}

pub(super) type Next = (Stage, Action);

impl Flow {
    /// A login not yet begun.
    #[must_use]
    pub fn new(request: AuthRequest, rules: Arc<Rules>, trace: Trace) -> Self {
        Self { request, rules, trace, answered: false, stage: Stage::New }
    }

    /// The login as asked.
    #[must_use]
    pub fn request(&self) -> &AuthRequest {
        &self.request
    }

    /// The policy it falls under.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What this login is called in log, audit and at providers.
    #[must_use]
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// Whose login it is, once the first factor was right and until the decision is spoken.
    #[must_use]
    pub fn proven(&self) -> Option<&Identity> {
        match &self.stage {
            Stage::Find(first, _) | Stage::Groups(first) => Some(first.identity()),
            Stage::Away(second)
            | Stage::Confirm(second, _, _)
            | Stage::Parked(second, _)
            | Stage::Recall(second)
            | Stage::Recognize(second)
            | Stage::Refind(second, _, _)
            | Stage::Start(second)
            | Stage::Verify(second)
            | Stage::Wait(second, _) => Some(second.first.identity()),
            Stage::Commit(Then::Renew(renewal)) | Stage::Renew(renewal, _) => Some(&renewal.who),
            Stage::Commit(Then::GiveLeave(who)) => Some(who),
            Stage::Commit(Then::Speak(Decision::Accept(permit))) => Some(permit.identity()),
            Stage::Asked { .. } | Stage::Check(_) | Stage::Commit(Then::Speak(_)) | Stage::Done | Stage::Hint | Stage::Hour | Stage::Leave | Stage::New => None,
        }
    }

    /// Whether the first factor was right and has run out: its password may yet be changed.
    #[must_use]
    pub fn is_run_out(&self) -> bool {
        matches!(&self.stage, Stage::Groups(First::Expired(_)))
    }

    /// Whether another method is left for when the one that is asked now comes to nothing: it must not take all the time there is.
    #[must_use]
    pub fn has_next_method(&self) -> bool {
        matches!(&self.stage, Stage::Start(second) | Stage::Verify(second) if second.has_next())
    }

    /// Whether the question that the person was just asked is for a password, which nobody should read off a screen.
    #[must_use]
    pub fn asks_for_password(&self) -> bool {
        matches!(self.stage, Stage::Renew(..))
    }

    /// Takes what came back and says what to do next. An event that does not belong to the stage ends the login as a fault.
    pub fn next(&mut self, now: Timestamp, event: Event) -> Action {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let (stage, action) = match (stage, event) {
            (Stage::Asked { named }, Event::Answer(answer)) => {
                self.request.primary = answer;
                self.answered = true;
                // As from the start: the turn, the lock and whom the name means, which may have become another's meanwhile.
                if self.request.is_named() == named { (Stage::Hint, Action::Hint) } else { reject(Denial::OutOfTurn) }
            }
            (stage, event) => self.step(now, stage, event),
        };
        if matches!(action, Action::Park(_) | Action::Relay | Action::Wait(..)) {
            // The password has done its work and does not wait in memory for a person. One that is to be changed is kept by the change alone.
            self.request.primary = Primary::Password(Secret::new(Vec::new()));
            self.request.appended = None;
        }
        self.stage = stage;
        action
    }

    fn step(&self, now: Timestamp, stage: Stage, event: Event) -> Next {
        match (stage, event) {
            (stage @ (Stage::New | Stage::Hint | Stage::Leave | Stage::Check(_) | Stage::Find(..) | Stage::Groups(_) | Stage::Hour), event) => {
                self.first(now, stage, event)
            }
            (Stage::Away(second), Event::Away(lasted)) => self.away(second, lasted),
            (Stage::Recall(second), Event::Recalled(recalled)) => self.recalled(second, recalled),
            (Stage::Recognize(second), Event::Recognized(recognized)) => self.recognized(second, recognized),
            // A code that is answered with "I need a code" would go round for ever.
            (Stage::Verify(_), Event::Progress(Ok(Progress::CodeNeeded { .. }))) => drop_for(Outage::Fault),
            (Stage::Wait(second, _), Event::Progress(Ok(Progress::Allowed { spend }))) => second::look_again(second, Grant::Factor, spend),
            (Stage::Wait(second, _), Event::Progress(Ok(Progress::Waived))) => second::look_again(second, Grant::ProviderBypass, None),
            (Stage::Wait(second, _) | Stage::Verify(second), Event::Progress(Err(FactorError::NoPin | FactorError::NotEnrolled))) => self.vanished(second),
            (Stage::Wait(second, ticket), Event::Expired) => self.undecided(second, ticket),
            (Stage::Start(second) | Stage::Wait(second, _) | Stage::Verify(second), Event::Progress(progress)) => match progress {
                Ok(progress) => self.progressed(now, second, progress),
                Err(error) => self.failed(now, second, error),
            },
            (Stage::Parked(second, question), Event::Answer(answer)) => Self::answered(second, question, &answer),
            (Stage::Renew(renewal, typed), Event::Answer(answer)) => renewal::answered(renewal, typed, answer.typed()),
            (Stage::Confirm(second, why, spend), Event::Found(Ok(standing))) => second::confirm(now, second, why, spend.map(|spend| *spend), &standing),
            (Stage::Refind(second, question, typed), Event::Found(Ok(standing))) => self.found_again(now, second, question, typed, &standing),
            (Stage::Renew(renewal, Typed::Twice(new)), Event::Found(Ok(standing))) => renewal::found(now, renewal, new, &standing),
            (Stage::Renew(renewal, Typed::Offered), Event::Changed(changed)) => self.changed(now, renewal, changed),
            (Stage::Commit(then), Event::Committed(outcome)) => self.committed(now, then, outcome),
            (Stage::Confirm(..) | Stage::Refind(..) | Stage::Renew(_, Typed::Twice(_)), Event::Found(Err(outage))) => drop_for(outage),
            (Stage::Confirm(..) | Stage::Refind(..) | Stage::Renew(_, Typed::Twice(_)), Event::OutOfTurn) => reject(Denial::OutOfTurn),
            (stage, Event::Expired) => expired(&stage),
            _ => drop_for(Outage::Fault),
        }
    }

    /// The first factor's part: up to what is held about whose it was.
    fn first(&self, now: Timestamp, stage: Stage, event: Event) -> Next {
        match (stage, event) {
            (Stage::New, Event::Begin) if !self.rules.hours.is_empty() => (Stage::Hour, Action::Hour),
            (Stage::New, Event::Begin) => (Stage::Hint, Action::Hint),
            (Stage::Hour, Event::Hour(hour)) if self.rules.hours.contain(hour) => (Stage::Hint, Action::Hint),
            (Stage::Hour, Event::Hour(_)) => reject(Denial::OutsideHours),
            (Stage::Hint, Event::Hinted(Ok(hint))) => self.hinted(now, hint.as_ref()),
            (Stage::Hint, Event::Hinted(Err(error))) => self.refused(now, error),
            (Stage::Leave, Event::Leave(Some(who))) => (Stage::Check(Some(who)), Action::Check),
            (Stage::Leave, Event::Leave(None)) => reject(Denial::NotPermitted),
            (Stage::Check(None), Event::Checked(Ok(Checked::More))) => (Stage::Asked { named: self.request.is_named() }, Action::Relay),
            (Stage::Check(None), Event::Checked(Ok(Checked::Passed(who)))) => self.right(First::Passed(Passed(who))),
            (Stage::Check(Some(leave)), Event::Checked(Ok(Checked::Passed(who)))) if who == leave => self.right(First::Renewed(Passed(who))),
            (Stage::Check(_), Event::Checked(Err(error))) => match self.run_out(&error) {
                Some(expired) => self.right(First::Expired(expired)),
                None => self.refused(now, error),
            },
            (Stage::Groups(first), Event::Groups(heard)) => match self.rules.groups.judge(heard) {
                Ok(member) => find(first, member),
                Err(decision) => finish(decision),
            },
            (Stage::Find(first, member), Event::Found(Ok(standing))) => self.found(now, first, member, standing),
            (Stage::Find(..), Event::Found(Err(outage))) => drop_for(outage),
            (Stage::Find(..) | Stage::Hint, Event::OutOfTurn) => reject(Denial::OutOfTurn),
            (stage, Event::Expired) => expired(&stage),
            _ => drop_for(Outage::Fault),
        }
    }

    /// The typed name's standing: may refuse, never grants.
    fn hinted(&self, now: Timestamp, hint: Option<&Standing>) -> Next {
        match (hint.and_then(|standing| self.barred(now, standing)), &self.request.primary) {
            (Some(denial), _) => reject(denial),
            (None, Primary::MsChap2Change { .. }) => (Stage::Leave, Action::TakeLeave),
            (None, _) => (Stage::Check(None), Action::Check),
        }
    }

    /// A refusal that says the password is right and has run out, where something can be done about it.
    fn run_out(&self, error: &PrimaryError) -> Option<Expired> {
        let PrimaryError::Refused { who: Some(who), why: Refused::MustChange | Refused::PasswordExpired } = error else { return None };
        let dialogue = &self.request.dialogue;
        let old = match &self.request.primary {
            Primary::Password(old) if dialogue.change && dialogue.prompt.is_some() => Some(old.clone()),
            Primary::MsChap2 { .. } => None,
            _ => return None,
        };
        Some(Expired { who: who.clone(), old })
    }

    /// The first factor said no, or nothing.
    fn refused(&self, now: Timestamp, error: PrimaryError) -> Next {
        match error {
            PrimaryError::Outage(outage) => drop_for(outage),
            PrimaryError::Refused { who: Some(who), why: Refused::WrongPassword } => self.count(now, who, Denial::BadCredential),
            PrimaryError::Refused { why, .. } => reject(why.denial()),
        }
    }

    /// The first factor was right. Groups that decide are read before anything else, and with each login (M-47).
    fn right(&self, first: First) -> Next {
        if self.rules.groups.is_empty() {
            return find(first, None);
        }
        let who = first.identity().clone();
        (Stage::Groups(first), Action::Groups { who, wanted: self.rules.groups.wanted() })
    }

    /// The first factor was right and we know whose it is.
    fn found(&self, now: Timestamp, first: First, member: Option<Member>, standing: Standing) -> Next {
        if let Some(denial) = self.barred(now, &standing) {
            return reject(denial);
        }
        let exempt = self.request.tally(now, first.identity()) == Tally::Exempt;
        let owes = standing.tries.failures > 0 && !exempt;
        match first {
            First::Passed(first) => self.passed(now, first, member, owes, standing),
            First::Renewed(first) => match gone(now, &standing) {
                Some(denial) => reject(denial),
                None => accept(Grant::Factor, first, owes, Vec::new()),
            },
            // Nothing but a second factor stands in for a password that has run out: no group, no trusted network, no bypass, no policy.
            First::Expired(expired) => match standing.account.filter(|account| account.enabled) {
                Some(account) => self.second(First::Expired(expired), account, owes),
                None => reject(Denial::NotPermitted),
            },
        }
    }

    fn passed(&self, now: Timestamp, first: Passed, member: Option<Member>, owes: bool, standing: Standing) -> Next {
        if standing.account.as_ref().is_some_and(|account| !account.enabled) {
            return accept(Grant::Disabled, first, owes, Vec::new());
        }
        if self.request.tally(now, &first.0) == Tally::Exempt {
            // Where somebody is exempt there is nothing but the password to guess. A program that binds all day forgives no guesses of its neighbours: they age.
            return accept(Grant::Exempt, first, false, Vec::new());
        }
        if let Some(member) = member {
            return accept(member.grant(), first, owes && standing.account.is_none(), Vec::new());
        }
        if self.request.source.is_some_and(|source| self.rules.trusted.iter().any(|network| network.contains(source))) {
            // A password alone forgives no wrong codes: whoever stole it could guess on for ever, a trusted login in between (M-05).
            return accept(Grant::TrustedNetwork, first, owes && standing.account.is_none(), Vec::new());
        }
        if standing.bypass.as_ref().is_some_and(|bypass| now < bypass.until) {
            let spend = Change::SpendBypass { who: first.0.clone(), at: now };
            return accept(Grant::Bypass, first, false, vec![spend]);
        }
        match (standing.account, self.rules.unenrolled) {
            (Some(account), _) => self.second(First::Passed(first), account, owes),
            (None, FirstAlone::Accept) => accept(Grant::Unenrolled, first, owes, Vec::new()),
            (None, FirstAlone::Reject) => reject(Denial::Unenrolled),
        }
    }

    /// Blocked, locked or disabled: refused before anything is asked.
    fn barred(&self, now: Timestamp, standing: &Standing) -> Option<Denial> {
        let disabled = standing.account.as_ref().is_some_and(|account| !account.enabled);
        shut_out(now, standing).or_else(|| (disabled && self.rules.disabled == FirstAlone::Reject).then_some(Denial::Disabled))
    }

    /// Refuses and counts it against the identity.
    pub(super) fn count(&self, now: Timestamp, who: Identity, denial: Denial) -> Next {
        let tally = self.request.tally(now, &who);
        commit(Decision::Reject(denial), vec![Change::Fail { who, at: now, lock: self.rules.lock, tally }])
    }

    fn committed(&self, now: Timestamp, then: Then, outcome: Result<(), CommitError>) -> Next {
        match (then, outcome) {
            (then, Ok(())) => renewal::go_on(then),
            (Then::Speak(Decision::Accept(permit)), Err(CommitError::Spent)) if permit.why() == Grant::Factor => {
                self.count(now, permit.identity().clone(), Denial::BadCode)
            }
            (Then::Speak(Decision::Accept(_)), Err(CommitError::Spent)) => reject(Denial::OutOfTurn),
            (Then::GiveLeave(who) | Then::Renew(Renewal { who, .. }), Err(CommitError::Spent)) => self.count(now, who, Denial::BadCode),
            // The person has said no, whether or not it could be written.
            (Then::Speak(decision @ Decision::Reject(Denial::FraudReported)), Err(_)) => finish(decision),
            (_, Err(_)) => drop_for(Outage::Store),
        }
    }
}

fn find(first: First, member: Option<Member>) -> Next {
    let who = first.identity().clone();
    (Stage::Find(first, member), Action::Find(who))
}

/// Blocked or locked: nobody comes in as this person, whatever the policy says.
fn shut_out(now: Timestamp, standing: &Standing) -> Option<Denial> {
    if standing.block.as_ref().is_some_and(|block| block.holds(now)) {
        return Some(Denial::Blocked);
    }
    standing.tries.locked(now).then_some(Denial::Locked)
}

/// What has become of the account while a person took their time (M-19): blocked, locked, removed or disabled, it opens nothing.
pub(super) fn gone(now: Timestamp, standing: &Standing) -> Option<Denial> {
    shut_out(now, standing).or_else(|| match &standing.account {
        None => Some(Denial::Unenrolled),
        Some(account) if !account.enabled => Some(Denial::Disabled),
        Some(_) => None,
    })
}

/// Out of time: before the first factor passed it is the directory that is away, later it is the person.
fn expired(stage: &Stage) -> Next {
    match stage {
        Stage::Check(_) | Stage::Groups(_) | Stage::Hint | Stage::Renew(_, Typed::Offered) => drop_for(Outage::Directory),
        Stage::Commit(_)
        | Stage::Confirm(..)
        | Stage::Find(..)
        | Stage::Leave
        | Stage::Recall(_)
        | Stage::Recognize(_)
        | Stage::Refind(..)
        | Stage::Renew(_, Typed::Twice(_)) => drop_for(Outage::Store),
        Stage::Asked { .. } | Stage::Parked(..) | Stage::Renew(..) | Stage::Start(_) | Stage::Verify(_) | Stage::Wait(..) => reject(Denial::NoAnswer),
        Stage::Away(_) => reject(Denial::FactorUnavailable),
        Stage::Done | Stage::Hour | Stage::New => drop_for(Outage::Fault),
    }
}

/// Lets in. What that spends, and the end of a count of failures, is on disk first.
pub(super) fn accept(why: Grant, first: Passed, owes: bool, changes: Vec<Change>) -> Next {
    permit(Permit::new(why, first), owes, changes)
}

/// As [`accept`], by a permit that is made already.
pub(super) fn permit(permit: Permit, owes: bool, mut changes: Vec<Change>) -> Next {
    if owes {
        changes.push(Change::Succeed(permit.identity().clone(), Tally::Common));
    }
    let decision = Decision::Accept(permit);
    if changes.is_empty() { finish(decision) } else { commit(decision, changes) }
}

pub(super) fn commit(decision: Decision, changes: Vec<Change>) -> Next {
    (Stage::Commit(Then::Speak(decision)), Action::Commit(changes))
}

pub(super) fn drop_for(outage: Outage) -> Next {
    finish(Decision::Drop(outage))
}

pub(super) fn reject(denial: Denial) -> Next {
    finish(Decision::Reject(denial))
}

fn finish(decision: Decision) -> Next {
    (Stage::Done, Action::Finish(decision))
}
