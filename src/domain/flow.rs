//! A login as one value that goes one way: event in, action out, until a verdict. Parked, it is still a value.

use std::sync::Arc;

use super::account::Account;
use super::account::Identity;
use super::account::Standing;
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
use super::decision::Permit;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::request::AuthRequest;
use super::request::Primary;
use super::rules::Choice;
use super::rules::FirstAlone;
use super::rules::Method;
use super::rules::OnOutage;
use super::rules::Rules;
use super::secret::Secret;

/// What came back from the world.
#[derive(Clone, Debug)]
pub enum Event {
    /// The person answered a question, ours or that of a server behind us.
    Answer(Primary),
    /// The login begins.
    Begin,
    /// The first factor was asked.
    Checked(Result<Checked, PrimaryError>),
    /// The changes are on disk, or are not.
    Committed(Result<(), CommitError>),
    /// The login's time is over.
    Expired,
    /// What we hold about the proven identity.
    Found(Result<Standing, Outage>),
    /// What we hold about whoever the typed name seems to be; good for saying no alone.
    Hinted(Result<Option<Standing>, PrimaryError>),
    /// Too many logins of this identity wait for their turn.
    OutOfTurn,
    /// How the second factor stands.
    Progress(Result<Progress, FactorError>),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for the first factor. Answered by [`Event::Checked`].
    Check,
    /// Write. Answered by [`Event::Committed`].
    Commit(Vec<Change>),
    /// Look the proven identity up. Answered by [`Event::Found`].
    Find(Identity),
    /// The end. Said once; after it every event is a fault.
    Finish(Decision),
    /// Find out who the typed name would be. Answered by [`Event::Hinted`].
    Hint,
    /// Ask the person this, and keep the flow until [`Event::Answer`].
    Park(String),
    /// Ask the person what the first factor wants to know, and keep the flow until [`Event::Answer`].
    Relay,
    /// Ask for the second factor. Answered by [`Event::Progress`].
    Start(Asking),
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
    /// The account's name, for providers that know people by name.
    pub name: String,
    /// How and through whom.
    pub choice: Choice,
    /// Which client wants to know: shown to the person.
    pub client: String,
    /// Where the person is.
    pub source: Option<std::net::IpAddr>,
}

/// One login.
#[derive(Debug)]
pub struct Flow {
    request: AuthRequest,
    rules: Arc<Rules>,
    stage: Stage,
}

/// How far a login is. What later stages need, earlier ones have earned: none behind `Check` exists without a [`Passed`].
#[derive(Debug)]
enum Stage {
    /// The first factor has asked a question of its own.
    Asked,
    Check,
    /// The changes decide: on disk, the decision is spoken.
    Commit(Decision),
    /// The factor passed after a wait; is the account still what it was?
    Confirm(Second, Grant, Option<Change>),
    Done,
    Find(Passed),
    Hint,
    New,
    Parked(Second, Option<Ticket>),
    /// Parked is over; is the account still what it was?
    Refind(Second, Option<Ticket>, Secret),
    Start(Second),
    Verify(Second),
    Wait(Second),
}

/// The second factor's part of a login.
#[derive(Debug)]
struct Second {
    first: Passed,
    account: Account,
    choices: Vec<Choice>,
    at: usize,
    heard: Heard,
    /// There are failures that a success will wipe out.
    owes: bool,
}

/// Why the methods tried so far could not be used.
#[derive(Debug, Default)]
struct Heard {
    code_needed: bool,
    misconfigured: bool,
    doubtful: bool,
    unreachable: bool,
}

type Next = (Stage, Action);

impl Flow {
    /// A login not yet begun.
    #[must_use]
    pub fn new(request: AuthRequest, rules: Arc<Rules>) -> Self {
        Self { request, rules, stage: Stage::New }
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

    /// Whose login it is, once the first factor has passed and until the decision is spoken.
    #[must_use]
    pub fn proven(&self) -> Option<&Identity> {
        match &self.stage {
            Stage::Find(first) => Some(&first.0),
            Stage::Confirm(second, _, _)
            | Stage::Parked(second, _)
            | Stage::Refind(second, _, _)
            | Stage::Start(second)
            | Stage::Verify(second)
            | Stage::Wait(second) => Some(&second.first.0),
            Stage::Commit(Decision::Accept(permit)) => Some(permit.identity()),
            Stage::Asked | Stage::Check | Stage::Commit(_) | Stage::Done | Stage::Hint | Stage::New => None,
        }
    }

    /// Takes what came back and says what to do next. An event that does not belong to the stage ends the login as a fault.
    pub fn next(&mut self, now: Timestamp, event: Event) -> Action {
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        let (stage, action) = match (stage, event) {
            (Stage::Asked, Event::Answer(answer)) => {
                self.request.primary = answer;
                (Stage::Check, Action::Check)
            }
            (stage, event) => self.step(now, stage, event),
        };
        if matches!(stage, Stage::Asked | Stage::Parked(..)) {
            // The password has done its work and does not wait in memory for a person.
            self.request.primary = Primary::Password(Secret::new(Vec::new()));
        }
        self.stage = stage;
        action
    }

    fn step(&self, now: Timestamp, stage: Stage, event: Event) -> Next {
        match (stage, event) {
            (Stage::New, Event::Begin) => (Stage::Hint, Action::Hint),
            (Stage::Hint, Event::Hinted(hint)) => self.hinted(now, hint),
            (Stage::Check, Event::Checked(Ok(Checked::More))) => (Stage::Asked, Action::Relay),
            (Stage::Check, Event::Checked(Ok(Checked::Passed(identity)))) => {
                let first = Passed(identity.clone());
                (Stage::Find(first), Action::Find(identity))
            }
            (Stage::Check, Event::Checked(Err(error))) => self.refused(now, error),
            (Stage::Find(first), Event::Found(Ok(standing))) => self.found(now, first, standing),
            (Stage::Confirm(..) | Stage::Find(_) | Stage::Refind(..), Event::Found(Err(outage))) => drop_for(outage),
            // A code that is answered with "I need a code" would go round for ever.
            (Stage::Verify(_), Event::Progress(Ok(Progress::CodeNeeded { .. }))) => drop_for(Outage::Fault),
            (Stage::Wait(second), Event::Progress(Ok(Progress::Allowed { spend }))) => look_again(second, Grant::Factor, spend),
            (Stage::Wait(second), Event::Progress(Ok(Progress::Waived))) => look_again(second, Grant::ProviderBypass, None),
            (Stage::Confirm(second, why, spend), Event::Found(Ok(standing))) => confirm(now, second, why, spend, &standing),
            (Stage::Start(second) | Stage::Wait(second) | Stage::Verify(second), Event::Progress(Ok(progress))) => self.progressed(second, progress),
            (Stage::Start(second) | Stage::Wait(second) | Stage::Verify(second), Event::Progress(Err(error))) => self.failed(now, second, error),
            (Stage::Parked(second, ticket), Event::Answer(answer)) => match answer.typed() {
                Some(code) => {
                    let who = second.first.0.clone();
                    (Stage::Refind(second, ticket, code.clone()), Action::Find(who))
                }
                None => reject(Denial::CodeNeeded),
            },
            (Stage::Refind(second, ticket, code), Event::Found(Ok(standing))) => self.found_again(now, second, ticket, code, &standing),
            (Stage::Commit(decision), Event::Committed(outcome)) => self.committed(now, decision, outcome),
            (Stage::Confirm(..) | Stage::Find(_) | Stage::Hint | Stage::Refind(..), Event::OutOfTurn) => reject(Denial::OutOfTurn),
            (stage, Event::Expired) => expired(&stage),
            _ => drop_for(Outage::Fault),
        }
    }

    /// The typed name's standing: may refuse, never grants.
    fn hinted(&self, now: Timestamp, hint: Result<Option<Standing>, PrimaryError>) -> Next {
        match hint {
            Err(error) => self.refused(now, error),
            Ok(Some(standing)) => match self.barred(now, &standing) {
                Some(denial) => reject(denial),
                None => (Stage::Check, Action::Check),
            },
            Ok(None) => (Stage::Check, Action::Check),
        }
    }

    /// The first factor said no, or nothing.
    fn refused(&self, now: Timestamp, error: PrimaryError) -> Next {
        match error {
            PrimaryError::Outage(outage) => drop_for(outage),
            PrimaryError::Refused { who: Some(who), why: Refused::WrongPassword } => self.count(now, who, Denial::BadCredential),
            PrimaryError::Refused { why, .. } => reject(why.denial()),
        }
    }

    /// The first factor passed and we know whose it is.
    fn found(&self, now: Timestamp, first: Passed, standing: Standing) -> Next {
        if let Some(denial) = self.barred(now, &standing) {
            return reject(denial);
        }
        let owes = standing.tries.failures > 0;
        if standing.account.as_ref().is_some_and(|account| !account.enabled) {
            return accept(Grant::Disabled, first, owes, Vec::new());
        }
        if self.request.source.is_some_and(|source| self.rules.trusted.iter().any(|network| network.contains(source))) {
            // A password alone forgives no wrong codes: whoever stole it could guess on for ever, a trusted login in between (M-05).
            return accept(Grant::TrustedNetwork, first, owes && standing.account.is_none(), Vec::new());
        }
        if standing.bypass.as_ref().is_some_and(|bypass| now < bypass.until) {
            let spend = Change::SpendBypass { who: first.0.clone(), at: now };
            return accept(Grant::Bypass, first, false, vec![spend]);
        }
        let Some(account) = standing.account else {
            return match self.rules.unenrolled {
                FirstAlone::Accept => accept(Grant::Unenrolled, first, owes, Vec::new()),
                FirstAlone::Reject => reject(Denial::Unenrolled),
            };
        };
        let choices = self.choices(&account);
        self.start(Second { first, account, choices, at: 0, heard: Heard::default(), owes })
    }

    /// Back from parking: what may have happened to the account meanwhile counts (M-19), and so does every other try (M-05).
    fn found_again(&self, now: Timestamp, mut second: Second, ticket: Option<Ticket>, code: Secret, standing: &Standing) -> Next {
        if let Some(denial) = gone(now, standing) {
            return reject(denial);
        }
        second.owes = standing.tries.failures > 0;
        self.verify(second, ticket, code)
    }

    /// Locked or disabled: refused before anything is asked.
    fn barred(&self, now: Timestamp, standing: &Standing) -> Option<Denial> {
        if standing.tries.locked(now) {
            return Some(Denial::Locked);
        }
        let disabled = standing.account.as_ref().is_some_and(|account| !account.enabled);
        (disabled && self.rules.disabled == FirstAlone::Reject).then_some(Denial::Disabled)
    }

    /// The policy's methods, the account's own first. A code that came along can only be for methods that take one.
    fn choices(&self, account: &Account) -> Vec<Choice> {
        let usable = |choice: &&Choice| self.request.passcode.is_none() || choice.method == Method::Oath;
        let mut choices: Vec<Choice> = self.rules.methods.iter().filter(usable).cloned().collect();
        choices.sort_by_key(|choice| Some(choice.method) != account.method);
        choices
    }

    /// Asks by the method whose turn it is, or decides that there is none.
    fn start(&self, second: Second) -> Next {
        match self.asking(&second) {
            Some(asking) => (Stage::Start(second), Action::Start(asking)),
            None => self.exhausted(second),
        }
    }

    fn verify(&self, second: Second, ticket: Option<Ticket>, code: Secret) -> Next {
        match self.asking(&second) {
            Some(asking) => (Stage::Verify(second), Action::Verify(asking, ticket, code)),
            None => drop_for(Outage::Fault),
        }
    }

    fn asking(&self, second: &Second) -> Option<Asking> {
        let choice = second.choices.get(second.at)?.clone();
        Some(Asking {
            identity: second.first.0.clone(),
            name: second.account.name.clone(),
            choice,
            client: self.request.client.clone(),
            source: self.request.source,
        })
    }

    fn progressed(&self, second: Second, progress: Progress) -> Next {
        match progress {
            Progress::Allowed { spend } => accept(Grant::Factor, second.first, second.owes, spend.into_iter().collect()),
            Progress::CodeNeeded { ticket } => self.code_needed(second, ticket),
            Progress::Denied { fraud: true } => reject(Denial::FraudReported),
            Progress::Denied { fraud: false } => reject(Denial::FactorDenied),
            Progress::Pending(ticket) => match self.asking(&second) {
                Some(asking) => (Stage::Wait(second), Action::Wait(asking, ticket)),
                None => drop_for(Outage::Fault),
            },
            // No factor passed, so it forgives no wrong codes.
            Progress::Waived => accept(Grant::ProviderBypass, second.first, false, Vec::new()),
        }
    }

    fn code_needed(&self, mut second: Second, ticket: Option<Ticket>) -> Next {
        if let Some(code) = self.request.passcode.clone() {
            return self.verify(second, ticket, code);
        }
        match &self.request.prompt {
            Some(prompt) => (Stage::Parked(second, ticket), Action::Park(prompt.clone())),
            None => {
                second.heard.code_needed = true;
                self.start_next(second)
            }
        }
    }

    fn failed(&self, now: Timestamp, mut second: Second, error: FactorError) -> Next {
        match error {
            FactorError::BadCode => return self.count(now, second.first.0, Denial::BadCode),
            FactorError::Expired => return reject(Denial::NoAnswer),
            FactorError::Locked => return reject(Denial::Locked),
            FactorError::Misconfigured => second.heard.misconfigured = true,
            FactorError::NotEnrolled => {}
            FactorError::Faltering | FactorError::Throttled => second.heard.doubtful = true,
            FactorError::Unreachable => second.heard.unreachable = true,
        }
        self.start_next(second)
    }

    fn start_next(&self, mut second: Second) -> Next {
        second.at = second.at.saturating_add(1);
        self.start(second)
    }

    /// No method is left. Open in an outage means: unreachable was all we heard (M-14).
    fn exhausted(&self, second: Second) -> Next {
        let heard = &second.heard;
        if heard.misconfigured || heard.doubtful {
            return reject(Denial::FactorUnavailable);
        }
        if heard.code_needed {
            return reject(Denial::CodeNeeded);
        }
        match (heard.unreachable, self.rules.outage) {
            (true, OnOutage::Open) => look_again(second, Grant::FailOpen, None),
            (true, OnOutage::Closed) => reject(Denial::FactorUnavailable),
            (false, _) => reject(Denial::NoMethod),
        }
    }

    /// Refuses and counts it against the identity.
    fn count(&self, now: Timestamp, who: Identity, denial: Denial) -> Next {
        commit(Decision::Reject(denial), vec![Change::Fail { who, at: now, lock: self.rules.lock }])
    }

    fn committed(&self, now: Timestamp, decision: Decision, outcome: Result<(), CommitError>) -> Next {
        match (decision, outcome) {
            (decision, Ok(())) => finish(decision),
            (Decision::Accept(permit), Err(CommitError::Spent)) if permit.why() == Grant::Factor => self.count(now, permit.identity().clone(), Denial::BadCode),
            (Decision::Accept(_), Err(CommitError::Spent)) => reject(Denial::OutOfTurn),
            (_, Err(_)) => drop_for(Outage::Store),
        }
    }
}

/// What has become of the account while a person took their time (M-19): locked, removed or disabled, it opens nothing.
fn gone(now: Timestamp, standing: &Standing) -> Option<Denial> {
    if standing.tries.locked(now) {
        return Some(Denial::Locked);
    }
    match &standing.account {
        None => Some(Denial::Unenrolled),
        Some(account) if !account.enabled => Some(Denial::Disabled),
        Some(_) => None,
    }
}

/// The person took their time: what has become of the account meanwhile?
fn look_again(second: Second, why: Grant, spend: Option<Change>) -> Next {
    let who = second.first.0.clone();
    (Stage::Confirm(second, why, spend), Action::Find(who))
}

fn confirm(now: Timestamp, second: Second, why: Grant, spend: Option<Change>, standing: &Standing) -> Next {
    match gone(now, standing) {
        Some(denial) => reject(denial),
        None => accept(why, second.first, why == Grant::Factor && standing.tries.failures > 0, spend.into_iter().collect()),
    }
}

/// Out of time: before the first factor passed it is the directory that is away, later it is the person.
fn expired(stage: &Stage) -> Next {
    match stage {
        Stage::Check | Stage::Hint => drop_for(Outage::Directory),
        Stage::Commit(_) | Stage::Confirm(..) | Stage::Find(_) | Stage::Refind(..) => drop_for(Outage::Store),
        Stage::Asked | Stage::Parked(..) | Stage::Start(_) | Stage::Verify(_) | Stage::Wait(_) => reject(Denial::NoAnswer),
        Stage::Done | Stage::New => drop_for(Outage::Fault),
    }
}

/// Lets in. What that spends, and the end of a count of failures, is on disk first.
fn accept(why: Grant, first: Passed, owes: bool, mut changes: Vec<Change>) -> Next {
    if owes {
        changes.push(Change::Succeed(first.0.clone()));
    }
    let decision = Decision::Accept(Permit::new(why, first));
    if changes.is_empty() { finish(decision) } else { commit(decision, changes) }
}

fn commit(decision: Decision, changes: Vec<Change>) -> Next {
    (Stage::Commit(decision), Action::Commit(changes))
}

fn drop_for(outage: Outage) -> Next {
    finish(Decision::Drop(outage))
}

fn reject(denial: Denial) -> Next {
    finish(Decision::Reject(denial))
}

fn finish(decision: Decision) -> Next {
    (Stage::Done, Action::Finish(decision))
}
