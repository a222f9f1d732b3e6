//! A login rehearsed: the real flow by the real rules, told step by step. Nothing comes of it that would open a door.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Engine;
use super::Providers;
use super::journey::PACE;
use super::journey::is_committed;
use super::out::Out;
use super::rehearsed::Asks;
use super::rehearsed::Part;
use super::rehearsed::Simulation;
use super::rehearsed::Step;
use super::rehearsed::Verdict;
use super::told::denied;
use super::told::factor_said;
use super::told::first_said;
use super::told::granted;
use super::told::held;
use super::told::written;
use super::turnstile::Turn;
use super::turnstile::typed_as;
use crate::domain::Action;
use crate::domain::Asking;
use crate::domain::AuthRequest;
use crate::domain::Change;
use crate::domain::Checked;
use crate::domain::CommitError;
use crate::domain::Decision;
use crate::domain::Event;
use crate::domain::FactorError;
use crate::domain::Flow;
use crate::domain::Identity;
use crate::domain::Method;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Progress;
use crate::domain::Recognized;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::domain::Standing;
use crate::domain::Ticket;
use crate::ports::Aside;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;

impl Engine {
    /// Rehearses a login. It joins no login under way and none joins it; it counts in no figure; whatever it asks, it takes back.
    pub async fn simulate(
        self: &Arc<Self>,
        mut request: AuthRequest,
        rules: Arc<Rules>,
        check: Arc<dyn PrimaryCheck>,
        asks: Asks,
        within: Duration,
    ) -> Simulation {
        let began = Instant::now();
        request.dialogue.change = check.can_change();
        let mut rehearsal = Rehearsal {
            engine: Arc::clone(self),
            flow: Flow::new(request, rules, self.next_trace()),
            providers: self.providers(),
            check,
            asks,
            deadline: began.checked_add(within).unwrap_or(began),
            steps: Vec::new(),
            entry: None,
            aside: Aside::default(),
            turn: None,
            open: None,
            pending: false,
            rung: None,
            was_tried: false,
            parks: 0,
        };
        let (mut asker, told) = oneshot::channel();
        // In a task of its own: a password that was tried is counted though whoever tried it has gone.
        tokio::spawn(async move {
            let played = rehearsal.play(&mut asker).await;
            rehearsal.hang_up();
            if let Some(verdict) = played {
                // Who has gone meanwhile hears nothing.
                let _ = asker.send(rehearsal.told(verdict));
            }
        });
        let broken = |_| Simulation { steps: Vec::new(), verdict: Verdict::Drop(Outage::Fault), entry: None, aside: Aside::default() };
        told.await.unwrap_or_else(broken)
    }
}

/// A flow and those who play the world for it.
#[derive(Debug)]
struct Rehearsal {
    engine: Arc<Engine>,
    flow: Flow,
    providers: Arc<Providers>,
    check: Arc<dyn PrimaryCheck>,
    asks: Asks,
    deadline: Instant,
    steps: Vec<Step>,
    entry: Option<Entry>,
    aside: Aside,
    turn: Option<Turn>,
    /// The question that is out.
    open: Option<Out>,
    /// A question is out, or is taken to be.
    pending: bool,
    /// Who was rung.
    rung: Option<Identity>,
    /// A password or a code was tried, or a provider asked, in earnest.
    was_tried: bool,
    parks: u8,
}

impl Rehearsal {
    /// To the end; `None` when whoever asked has gone.
    async fn play(&mut self, asker: &mut oneshot::Sender<Simulation>) -> Option<Verdict> {
        let mut event = Event::Begin;
        loop {
            let action = self.flow.next(self.engine.clock.now(), event);
            let committed = is_committed(&action);
            if !committed && asker.is_closed() {
                return None;
            }
            let acted = tokio::time::timeout_at(self.deadline, self.act(action));
            let came = if committed {
                acted.await
            } else {
                tokio::select! {
                    biased;
                    came = acted => came,
                    () = asker.closed() => return None,
                }
            };
            event = match came {
                Ok(ControlFlow::Continue(event)) => event,
                Ok(ControlFlow::Break(verdict)) => return Some(verdict),
                Err(_) => {
                    self.say(Part::Rule, "the time is over".to_owned());
                    Event::Expired
                }
            };
        }
    }

    /// Nobody comes back for what a rehearsal asked: that the person has not answered is not held against their next login.
    fn hang_up(&self) {
        if let Some(who) = &self.rung {
            self.engine.rehearsed(&self.flow, who);
        }
    }

    /// What it has come to. Whatever is still out is taken back before anybody hears of it.
    fn told(self, verdict: Verdict) -> Simulation {
        Simulation { steps: self.steps, verdict, entry: self.entry, aside: self.aside }
    }

    async fn act(&mut self, action: Action) -> ControlFlow<Verdict, Event> {
        ControlFlow::Continue(match action {
            Action::Hint => self.hint().await,
            Action::Check => match self.first().await {
                Some(checked) => Event::Checked(checked),
                None => return ControlFlow::Break(Verdict::Untold),
            },
            Action::Find(who) => self.find(&who).await,
            Action::Commit(changes) => Event::Committed(self.commit(changes).await),
            Action::Start(asking) => Event::Progress(self.start(&asking).await),
            Action::Verify(asking, ticket, code) => Event::Progress(self.verify(&asking, ticket.as_ref(), &code).await),
            Action::Wait(asking, ticket) => Event::Progress(self.wait(&asking, &ticket).await),
            Action::Park(prompt) => return self.park(prompt),
            Action::Away(providers) => Event::Away(self.engine.away(&providers)),
            Action::Groups { who, wanted } => Event::Groups(self.groups(&who, &wanted).await),
            Action::Hour => Event::Hour(self.engine.clock.week_minute()),
            Action::ChangePassword { .. } => {
                self.say(Part::Write, "nothing; a login would change the password now".to_owned());
                Event::Changed(Err(PasswordError::Unsupported))
            }
            Action::GiveLeave(_) => {
                self.assume(Part::Write, "nothing; a login would let the client change the password".to_owned());
                Event::Committed(Ok(()))
            }
            // What an earlier login left behind is that login's.
            Action::Recall(_) => Event::Recalled(None),
            Action::Recognize { .. } => {
                self.assume(Part::Rule, "what is remembered is not looked at: taken as nothing".to_owned());
                Event::Recognized(Recognized::default())
            }
            Action::TakeLeave => Event::Leave(None),
            Action::Relay => {
                self.say(Part::First, "it has a question of its own for the person, which is passed on".to_owned());
                return ControlFlow::Break(Verdict::Relayed);
            }
            Action::Finish(decision) => return ControlFlow::Break(self.finish(&decision)),
        })
    }

    async fn hint(&mut self) -> Event {
        let login = format!("{:?}", self.flow.request().login);
        if let Some(typed) = typed_as(self.flow.request())
            && !self.take_turn(&typed).await
        {
            return Event::OutOfTurn;
        }
        match self.check.resolve(self.flow.request()).await {
            Ok(Some(entry)) => {
                let told = format!("{login} means {:?} of directory {}: {:?}, identity {}", entry.name, entry.directory, entry.dn, entry.identity.0);
                self.say(Part::Name, told);
                if !self.take_turn(&entry.identity).await {
                    return Event::OutOfTurn;
                }
                let standing = self.standing(&entry.identity);
                self.entry = Some(entry);
                Event::Hinted(standing.map(Some).map_err(PrimaryError::Outage))
            }
            Ok(None) => {
                self.say(Part::Name, format!("whom {login} means is told by the first factor alone"));
                Event::Hinted(Ok(None))
            }
            Err(error) => {
                self.say(Part::Name, format!("{login}: {}", first_said(&error)));
                Event::Hinted(Err(error))
            }
        }
    }

    /// `None` where it was not asked and nobody else knows whose login it is.
    async fn first(&mut self) -> Option<Result<Checked, PrimaryError>> {
        if !self.asks.first {
            let Some(entry) = &self.entry else {
                self.say(Part::First, "not checked, and nobody else knows whose login it is".to_owned());
                return None;
            };
            let identity = entry.identity.clone();
            let told = match &self.flow.request().primary {
                Primary::Waived => "waived: the client has seen to it",
                _ => "not checked: taken as passed",
            };
            self.assume(Part::First, told.to_owned());
            return Some(Ok(Checked::Passed(identity)));
        }
        self.was_tried = true;
        let checked = self.check.check(self.flow.request(), self.entry.as_ref(), &mut self.aside).await;
        if let Ok(Checked::Passed(who)) = &checked {
            self.engine.was_right(who, self.flow.request());
        }
        let told = match &checked {
            Ok(Checked::More) => "asked: it wants to know more".to_owned(),
            Ok(Checked::Passed(identity)) => format!("passed, as identity {}", identity.0),
            Err(error) => first_said(error),
        };
        self.say(Part::First, told);
        Some(checked)
    }

    /// Groups that decide: read in earnest, which changes nothing.
    async fn groups(&mut self, who: &Identity, wanted: &[String]) -> Result<Option<Vec<String>>, Outage> {
        let groups = self.check.groups(self.entry.as_ref(), who, wanted, &self.flow.rules().groups.denied, &self.aside).await;
        let told = match &groups {
            Ok(Some(groups)) if groups.is_empty() => format!("of {} in none", wanted.join(", ")),
            Ok(Some(groups)) => format!("of {} in {}", wanted.join(", "), groups.join(", ")),
            Ok(None) => "no directory of ours has this person".to_owned(),
            Err(outage) => format!("nobody can tell the groups ({})", outage.as_str()),
        };
        self.say(Part::Account, told);
        groups
    }

    async fn find(&mut self, who: &Identity) -> Event {
        if !self.take_turn(who).await {
            return Event::OutOfTurn;
        }
        Event::Found(self.standing(who))
    }

    /// Only who tries or asks in earnest takes a place in the line of those who log in: failures are counted one after the other (M-06).
    async fn take_turn(&mut self, who: &Identity) -> bool {
        let in_earnest = self.asks.first || self.asks.second;
        if !in_earnest || self.turn.as_ref().is_some_and(|turn| turn.is_of(who)) {
            return true;
        }
        self.turn = None;
        self.turn = self.engine.turns.take(who, false).await;
        if self.turn.is_none() {
            self.say(Part::Account, "too many logins of this identity wait for their turn".to_owned());
        }
        self.turn.is_some()
    }

    /// What is held; told once.
    fn standing(&mut self, who: &Identity) -> Result<Standing, Outage> {
        let now = self.engine.clock.now();
        let standing = self.engine.standing(self.flow.request(), who);
        let told = standing.as_ref().map_or_else(|_| "the store cannot tell".to_owned(), |standing| held(standing, now));
        if !self.steps.iter().any(|step| step.part == Part::Account && step.told == told) {
            self.say(Part::Account, told);
        }
        standing
    }

    /// Writes what a factor that was tried in earnest uses up or counts; never what forgives or spends a leave.
    async fn commit(&mut self, changes: Vec<Change>) -> Result<(), CommitError> {
        let (earnest, rest): (Vec<_>, Vec<_>) = changes.into_iter().partition(|change| {
            self.was_tried && matches!(change, Change::Block { .. } | Change::Fail { .. } | Change::UseBackup { .. } | Change::UseOtp { .. })
        });
        for change in &rest {
            self.assume(Part::Write, format!("nothing; a login would write: {}", written(change)));
        }
        if earnest.is_empty() {
            return Ok(());
        }
        let told: Vec<_> = earnest.iter().map(written).collect();
        self.say(Part::Write, told.join(", "));
        self.engine.commit(self.deadline, earnest).await
    }

    async fn start(&mut self, asking: &Asking) -> Result<Progress, FactorError> {
        let Some(provider) = self.providers.get(&*asking.choice.provider).map(Arc::clone) else {
            self.say(Part::Second, format!("{}: which is not there", asking.choice));
            return Err(FactorError::Misconfigured);
        };
        let told = asking.choice.to_string();
        if self.asks.second {
            if let Err(spared) = self.engine.ring(self.flow.rules().pushes, asking) {
                self.say(Part::Second, format!("{told}: {}", spared.detail()));
                return Err(FactorError::PushesSpent);
            }
            self.say(Part::Second, format!("{told}: asked"));
            self.rung = Some(asking.identity.clone());
            self.was_tried = true;
            let progress = provider.start(asking).await;
            self.engine.rang(asking, &progress);
            return self.heard(&provider, asking, progress);
        }
        if provider.asks_nobody() {
            let progress = provider.start(asking).await;
            self.say(Part::Second, format!("{told}: {}", factor_said(&progress)));
            return progress;
        }
        self.assume(Part::Second, format!("{told}: would be asked"));
        match asking.choice.method {
            Method::Email | Method::Oath | Method::Text => Ok(Progress::CodeNeeded { ticket: None }),
            Method::Call | Method::Push => {
                self.pending = true;
                Ok(Progress::Pending(Ticket("".into())))
            }
        }
    }

    async fn wait(&mut self, asking: &Asking, ticket: &Ticket) -> Result<Progress, FactorError> {
        if !self.asks.second {
            self.assume(Part::Second, "taken as approved".to_owned());
            return Ok(Progress::Allowed { spend: None });
        }
        let provider = self.providers.get(&*asking.choice.provider).map(Arc::clone).ok_or(FactorError::Misconfigured)?;
        let paced = Instant::now().checked_add(PACE);
        let progress = provider.wait(ticket).await;
        if let (Ok(Progress::Pending(_)), Some(paced)) = (&progress, paced) {
            tokio::time::sleep_until(paced).await;
        }
        self.heard(&provider, asking, progress)
    }

    async fn verify(&mut self, asking: &Asking, ticket: Option<&Ticket>, code: &Secret) -> Result<Progress, FactorError> {
        if !self.asks.second {
            self.assume(Part::Second, format!("the code would be checked by {}: taken as right", asking.choice.provider));
            return Ok(Progress::Allowed { spend: None });
        }
        let provider = self.providers.get(&*asking.choice.provider).map(Arc::clone).ok_or(FactorError::Misconfigured)?;
        self.was_tried = true;
        let progress = provider.verify(asking, ticket, code).await;
        self.heard(&provider, asking, progress)
    }

    /// Remembers the question that is out, and tells what came of it.
    fn heard(&mut self, provider: &Arc<dyn Provider>, asking: &Asking, progress: Result<Progress, FactorError>) -> Result<Progress, FactorError> {
        let was_out = self.open.is_some();
        match &progress {
            Ok(Progress::Pending(ticket)) => self.hold(provider, asking, ticket, false),
            Ok(Progress::Choose { ticket, .. }) => self.hold(provider, asking, ticket, true),
            _ => {
                if let Some(out) = self.open.take() {
                    out.settle();
                }
            }
        }
        self.pending = self.open.is_some();
        if !(was_out && self.pending) {
            self.say(Part::Second, factor_said(&progress));
        }
        progress
    }

    /// Whoever asked may go: then it is taken back, and no phone rings for nobody.
    fn hold(&mut self, provider: &Arc<dyn Provider>, asking: &Asking, ticket: &Ticket, numbered: bool) {
        let kept = self.open.as_ref().is_some_and(|out| out.ticket == *ticket && out.is_by(provider));
        if !kept {
            self.open = Some(Out::new(Arc::clone(provider), asking.choice.clone(), ticket.clone(), numbered));
        }
    }

    /// The person is asked something: what they would answer was handed in, or they need only say that they have approved.
    fn park(&mut self, prompt: String) -> ControlFlow<Verdict, Event> {
        self.parks = self.parks.saturating_add(1);
        let answer = match self.asks.answer.take() {
            Some(answer) => Some(answer),
            None if self.pending && !self.asks.second && self.parks <= PARKS_MAX => Some(Secret::default()),
            None => None,
        };
        match answer {
            Some(answer) => {
                let told = if answer.is_empty() { "Enter is pressed" } else { "the code is the answer" };
                self.assume(Part::Second, format!("the person is asked {prompt:?}: {told}"));
                ControlFlow::Continue(Event::Answer(Primary::Password(answer)))
            }
            None => {
                self.say(Part::Second, format!("the person is asked {prompt:?}"));
                ControlFlow::Break(Verdict::Challenge(prompt))
            }
        }
    }

    /// The end, in words. The permit, if there is one, ends here.
    fn finish(&mut self, decision: &Decision) -> Verdict {
        self.engine.rung_out(&self.flow, self.entry.as_ref().map(|entry| &entry.identity), decision);
        let request = self.flow.request();
        let rules = self.flow.rules();
        let (told, verdict) = match decision {
            Decision::Accept(permit) => (granted(permit.why(), request, rules), Verdict::Accept(permit.why())),
            Decision::Drop(outage) => (format!("nobody can decide ({})", outage.as_str()), Verdict::Drop(*outage)),
            Decision::Reject(denial) => (denied(*denial, rules), Verdict::Reject(*denial)),
        };
        self.say(Part::Rule, told);
        verdict
    }

    fn say(&mut self, part: Part, told: String) {
        self.steps.push(Step { part, told, assumed: false });
    }

    fn assume(&mut self, part: Part, told: String) {
        self.steps.push(Step { part, told, assumed: true });
    }
}

/// Challenges in one rehearsal.
const PARKS_MAX: u8 = 4;
