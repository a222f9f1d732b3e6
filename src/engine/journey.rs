//! One login on its way: does what the flow asks for and brings back what came of it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use super::Engine;
use super::Outcome;
use super::Providers;
use super::kept::Whence;
use super::out::Out;
use super::parked::Awake;
use super::parked::Car;
use super::stale::Heard;
use super::turnstile::Seat;
use super::turnstile::Turn;
use super::turnstile::listened_to;
use super::turnstile::typed_as;
use crate::domain::Action;
use crate::domain::Asking;
use crate::domain::Checked;
use crate::domain::Choice;
use crate::domain::CommitError;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Dialogue;
use crate::domain::Event;
use crate::domain::FactorError;
use crate::domain::Fate;
use crate::domain::Flow;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Progress;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::domain::Tally;
use crate::domain::Ticket;
use crate::domain::Trail;
use crate::domain::What;
use crate::ports::Aside;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;

/// Between two questions about the same push, for providers that answer at once.
pub(super) const PACE: Duration = Duration::from_millis(250);
/// How long after a login's time its first factor is listened to. Directories and servers behind us have times of their own, which end before.
const CHECK_GRACE: Duration = Duration::from_secs(60);
/// How long a leave to change a password is good.
const LEAVE_KEEP: Duration = Duration::from_secs(300);

/// A flow and what it needs on the way.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) engine: Arc<Engine>,
    pub(super) flow: Flow,
    pub(super) providers: Arc<Providers>,
    check: Option<Arc<dyn PrimaryCheck>>,
    /// When the login set out, the rounds before this one included.
    pub(super) set_out: Instant,
    /// Milliseconds after which this round began.
    pub(super) began_ms: u32,
    pub(super) trail: Trail,
    pub(super) deadline: Instant,
    /// Whom the typed name means. Of no more use once a first factor has passed, which told it anew.
    entry: Option<Box<Entry>>,
    /// What the first factor said beside, where it did: most say nothing.
    aside: Option<Box<Aside>>,
    turn: Option<Turn>,
    /// The question that is out, to be taken back if the login ends first.
    open: Option<Out>,
    /// Before this nobody asks again how it stands.
    paced: Option<Instant>,
    /// The same, until our turn has come: whoever has theirs before us may hush it.
    awake: Option<Box<Awake>>,
    pub(super) told: Told,
}

/// What the log line at the end says.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) identity: Option<Identity>,
    pub(super) asked: Option<Choice>,
    /// The answer is to a question of an earlier login.
    pub(super) late: bool,
    /// The person said yes to the question.
    approved: bool,
    pub(super) refused: Option<&'static str>,
    /// How often the client asked again, and after how many milliseconds last.
    pub(super) repeats: u32,
    pub(super) heard_ms: u32,
}

/// How a journey ended.
#[derive(Debug)]
pub(super) enum Ended {
    Decided(Decision),
    /// Nobody listens any more.
    GivenUp,
    Parked(String),
    /// The first factor has a question for the person.
    Relayed,
    /// Not yet: the person is asked, and [`Journey::wait`] hears the answer.
    Waits,
}

impl Journey {
    pub(super) fn new(engine: Arc<Engine>, flow: Flow, providers: Arc<Providers>, check: Option<Arc<dyn PrimaryCheck>>, within: Duration) -> Self {
        let began = Instant::now();
        let deadline = began.checked_add(within).unwrap_or(began);
        Self {
            engine,
            flow,
            providers,
            check,
            set_out: began,
            began_ms: 0,
            trail: Trail::default(),
            deadline,
            entry: None,
            aside: None,
            turn: None,
            open: None,
            awake: None,
            paced: None,
            told: Told::default(),
        }
    }

    /// Goes on with what was parked.
    pub(super) fn resumed(engine: Arc<Engine>, car: Car, within: Duration) -> Self {
        let Car { flow, providers, check, entry, aside, open, awake, set_out, trail, .. } = car;
        let awake = awake.map(|place| Box::new(Awake { engine: Arc::clone(&engine), place }));
        let mut journey = Self::new(engine, flow, providers, check, within);
        journey.told.identity = entry.as_ref().map(|entry| entry.identity.clone()).or_else(|| journey.flow.proven().cloned());
        let mut journey = Self { entry, aside, open, awake, set_out, trail, ..journey };
        journey.began_ms = journey.since(Instant::now());
        journey.step(What::Answered);
        journey
    }

    /// Goes on until the flow is decided or parked or waits for a person, or nobody listens. Every wait ends at the deadline.
    ///
    /// A password that the directory may have heard is followed to its end, and so is a write: else whoever asks and leaves could guess uncounted (M-06).
    pub(super) async fn travel(&mut self, first: Event, seat: &mut Seat) -> Ended {
        // While a person was waited for the flow alone kept it.
        if self.told.identity.is_none() {
            self.told.identity = self.flow.proven().cloned();
        }
        let mut event = first;
        loop {
            let action = self.flow.next(self.engine.clock.now(), event);
            event = match action {
                Action::Finish(decision) => return Ended::Decided(decision),
                // Nothing new is begun for nobody.
                Action::Park(_) | Action::Relay | Action::Wait(..) if seat.is_alone() => return Ended::GivenUp,
                Action::Park(prompt) => return Ended::Parked(prompt),
                Action::Relay => return Ended::Relayed,
                Action::Wait(asking, ticket) => match self.listen(asking.choice, ticket) {
                    Ok(()) => return Ended::Waits,
                    Err(error) => Event::Progress(Err(error)),
                },
                action => {
                    let committed = is_committed(&action);
                    if !committed && seat.is_alone() {
                        return Ended::GivenUp;
                    }
                    // A password that the directory may have heard is not begun too late, and its answer is waited for: a server that says no slowly is no way
                    // to guess uncounted.
                    let tries = matches!(action, Action::Check | Action::ChangePassword { .. });
                    if tries && self.deadline <= Instant::now() {
                        event = Event::Expired;
                        continue;
                    }
                    let grace = if tries { CHECK_GRACE } else { Duration::ZERO };
                    let deadline = self.deadline.checked_add(grace).unwrap_or(self.deadline);
                    // What is done is large: it is made here and stays here.
                    let acting = pin!(self.act(action));
                    let acted = by(deadline, acting);
                    let came = if committed { Some(acted.await) } else { listened_to(seat, pin!(acted)).await };
                    match came {
                        Some(came) => came.unwrap_or(Event::Expired),
                        None => return Ended::GivenUp,
                    }
                }
            };
        }
    }

    async fn act(&mut self, action: Action) -> Event {
        match action {
            Action::Away(providers) => Event::Away(self.engine.away(&providers)),
            Action::ChangePassword { old, new } => Event::Changed(self.change(&old, &new).await),
            Action::Groups { who, wanted } => Event::Groups(self.groups(&who, &wanted).await),
            Action::Hour => Event::Hour(self.engine.clock.week_minute()),
            Action::GiveLeave(who) => Event::Committed(self.give_leave(who)),
            Action::Hint => self.hint().await,
            Action::Check => Event::Checked(self.check().await),
            Action::Find(who) => self.find(&who).await,
            Action::Commit(changes) => Event::Committed(self.engine.commit(self.deadline, changes).await),
            Action::Recall(who) => Event::Recalled(self.recall(&who)),
            Action::Recognize { who, since } => Event::Recognized(self.engine.recognize(&self.flow, &who, since)),
            Action::Start(asking) => self.start(asking).await,
            Action::TakeLeave => Event::Leave(self.take_leave()),
            Action::Verify(asking, ticket, code) => self.verify(asking, ticket, code).await,
            Action::Finish(_) | Action::Park(_) | Action::Relay | Action::Wait(..) => Event::Expired,
        }
    }

    /// Who the typed name would be, and our turn with that identity: failures are counted one after the other (M-06).
    async fn hint(&mut self) -> Event {
        self.entry = None;
        let Some(check) = self.check.clone() else {
            return Event::Hinted(Err(PrimaryError::Outage(Outage::Fault)));
        };
        // One name is looked up one at a time: a flood in one name does not keep the directory from everybody else. A name that many share is no name.
        if let Some(typed) = typed_as(self.flow.request())
            && !self.take_turn(&typed).await
        {
            return Event::OutOfTurn;
        }
        let entry = match check.resolve(self.flow.request()).await {
            Ok(Some(entry)) => entry,
            Ok(None) if self.engine.nobody_is_locked(self.flow.request()) => {
                return Event::Hinted(Err(self.refused(PrimaryError::Refused { who: None, why: Refused::LockedOut })));
            }
            Ok(None) => return Event::Hinted(Ok(None)),
            Err(error) => return Event::Hinted(Err(self.nobodys(error))),
        };
        if !self.take_turn(&entry.identity).await {
            return Event::OutOfTurn;
        }
        let standing = self.engine.standing(self.flow.request(), &entry.identity);
        self.told.identity = Some(entry.identity.clone());
        self.entry = Some(Box::new(entry));
        Event::Hinted(standing.map(Some).map_err(PrimaryError::Outage))
    }

    async fn check(&mut self) -> Result<Checked, PrimaryError> {
        let Some(check) = self.check.clone() else {
            return Err(PrimaryError::Outage(Outage::Fault));
        };
        let before = self.engine.heard_before(self.flow.request(), self.entry.as_deref());
        if before.as_ref().is_some_and(|(_, heard)| *heard == Heard::Lately) {
            self.told.refused = Some("the same wrong password again");
            return Err(PrimaryError::Refused { who: None, why: Refused::WrongPassword });
        }
        let mut aside = self.aside.take().unwrap_or_default();
        let checked = check.check(self.flow.request(), self.entry.as_deref(), &mut aside).await;
        self.aside = Some(aside).filter(|aside| !aside.is_empty());
        let passed = matches!(checked, Ok(Checked::Passed(_)));
        if let Ok(Checked::Passed(who)) = &checked {
            self.engine.was_right(who, self.flow.request());
            self.step(What::Proven);
        }
        if passed && self.flow.rules().groups.is_empty() {
            self.entry = None;
        }
        let named = self.entry.is_some();
        checked.map_err(|error| match (if named { self.refused(error) } else { self.nobodys(error) }, before) {
            (PrimaryError::Refused { who, why: Refused::WrongPassword }, Some((tried, heard))) => {
                self.engine.was_wrong(&tried, heard);
                // What alone was wrong before guesses nothing.
                PrimaryError::Refused { who: who.filter(|_| heard != Heard::Once), why: Refused::WrongPassword }
            }
            (PrimaryError::Refused { who: Some(who), why: why @ (Refused::MustChange | Refused::PasswordExpired) }, _) => {
                self.engine.was_right(&who, self.flow.request());
                PrimaryError::Refused { who: Some(who), why }
            }
            (error, _) => error,
        })
    }

    /// Groups that decide. Only who has to change a password needs the entry after it.
    async fn groups(&mut self, who: &Identity, wanted: &[String]) -> Result<Option<Vec<String>>, Outage> {
        let check = self.check.clone().ok_or(Outage::Fault)?;
        self.told.identity = Some(who.clone());
        let silent = Aside::default();
        let groups = check.groups(self.entry.as_deref(), who, wanted, &self.flow.rules().groups.denied, self.aside.as_deref().unwrap_or(&silent)).await;
        if !self.flow.is_run_out() {
            self.entry = None;
        }
        groups.inspect_err(|outage| tracing::warn!(identity = who.0, why = outage.as_str(), "the groups of this person cannot be read: none is to their good"))
    }

    async fn change(&mut self, old: &Secret, new: &Secret) -> Result<Identity, PasswordError> {
        let check = self.check.clone().ok_or(PasswordError::Outage(Outage::Fault))?;
        let aside = self.aside.get_or_insert_default();
        let changed = check.change(self.flow.request(), self.entry.as_deref(), old, new, aside).await;
        if let Ok(who) = &changed {
            self.engine.was_right(who, self.flow.request());
        }
        changed.inspect_err(|error| tracing::info!(login = ?self.flow.request().login, %error, "the password was not changed"))
    }

    fn give_leave(&self, who: Identity) -> Result<(), CommitError> {
        let now = Instant::now();
        let until = now.checked_add(LEAVE_KEEP).unwrap_or(now);
        let whence = Whence::of_seat(self.flow.request()).with_key(self.aside.as_ref().map_or(&[], |aside| &aside.change_key));
        let given = self.engine.leaves.lock().unwrap_or_else(PoisonError::into_inner).put(now, who, whence, until, ());
        if given { Ok(()) } else { Err(CommitError::Outage) }
    }

    fn take_leave(&self) -> Option<Identity> {
        let who = &self.entry.as_ref()?.identity;
        let Primary::MsChap2Change { key, .. } = &self.flow.request().primary else { return None };
        // One that answers to something else takes nothing away.
        let whence = Whence::of_seat(self.flow.request()).with_key(key);
        let taken = self.engine.leaves.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), who, &whence);
        taken.map(|()| who.clone())
    }

    /// Takes over the question that this person's last login from here left out, if it is one of the providers we know.
    fn recall(&mut self, who: &Identity) -> Option<(Choice, Ticket)> {
        let whence = Whence::of(self.flow.request());
        let out = self.engine.late.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), who, &whence)?;
        self.providers.get(&*out.choice.provider).filter(|provider| out.is_by(provider))?;
        let recalled = (out.choice.clone(), out.ticket.clone());
        self.engine.still_rings(who, self.flow.trace());
        self.told.late = true;
        self.open = Some(out);
        Some(recalled)
    }

    async fn find(&mut self, who: &Identity) -> Event {
        if !self.take_turn(who).await {
            return Event::OutOfTurn;
        }
        self.told.identity = Some(who.clone());
        Event::Found(self.engine.standing(self.flow.request(), who))
    }

    async fn start(&mut self, asking: Asking) -> Event {
        self.open = None;
        self.paced = None;
        self.told.late = false;
        let Some(provider) = self.provider(&asking.choice) else {
            return Event::Progress(Err(FactorError::Misconfigured));
        };
        if let Err(spared) = self.engine.ring(self.flow.rules().pushes, &asking) {
            self.told.refused = Some(spared.detail());
            self.step(What::Failed(FactorError::PushesSpent));
            return Event::Progress(Err(FactorError::PushesSpent));
        }
        self.step(What::Started(asking.choice.method));
        let progress = match self.share() {
            Some(until) => tokio::time::timeout_at(until, provider.start(&asking)).await.unwrap_or(Err(FactorError::Faltering)),
            None => provider.start(&asking).await,
        };
        self.engine.note_outage(&asking.choice.provider, &progress);
        self.engine.rang(&asking, &progress);
        self.heard(&provider, asking.choice, progress)
    }

    /// Until when a provider may take, where another comes after it: half of the time that is left.
    fn share(&self) -> Option<Instant> {
        let now = Instant::now();
        let half = self.deadline.saturating_duration_since(now) / 2;
        now.checked_add(half).filter(|_| self.flow.has_next_method())
    }

    async fn verify(&mut self, asking: Asking, ticket: Option<Ticket>, code: Secret) -> Event {
        let Some(provider) = self.provider(&asking.choice) else {
            return Event::Progress(Err(FactorError::Misconfigured));
        };
        let progress = provider.verify(&asking, ticket.as_ref(), &code).await;
        self.engine.note_outage(&asking.choice.provider, &progress);
        self.heard(&provider, asking.choice, progress)
    }

    /// Gets ready to hear how the question stands that is out: it alone is held while the person is waited for.
    fn listen(&mut self, choice: Choice, ticket: Ticket) -> Result<(), FactorError> {
        let provider = self.provider(&choice).ok_or(FactorError::Misconfigured)?;
        if self.open.as_ref().is_none_or(|out| out.ticket != ticket) {
            self.open = Some(Out::new(provider, choice, ticket, false));
        }
        // The flow knows it as well.
        self.told.identity = None;
        Ok(())
    }

    /// Waits for the person; `None` when nobody listens any more. There may be very many who wait, so what this holds is counted in octets.
    pub(super) async fn wait(&mut self, seat: &mut Seat) -> Option<Event> {
        if let Some(paced) = self.paced.take() {
            let until = paced.min(self.deadline);
            listened_to(seat, Box::pin(tokio::time::sleep_until(until))).await?;
            if until == self.deadline {
                return Some(Event::Expired);
            }
        }
        self.paced = Instant::now().checked_add(PACE);
        let told = {
            let Some((provider, ticket)) = self.open.as_ref().and_then(Out::question) else {
                return Some(Event::Progress(Err(FactorError::Misconfigured)));
            };
            let mut answer = provider.wait(ticket);
            let mut over = pin!(tokio::time::sleep_until(self.deadline));
            poll_fn(|context| match answer.as_mut().poll(context) {
                Poll::Ready(progress) => Poll::Ready(Some(Some(progress))),
                Poll::Pending if over.as_mut().poll(context).is_ready() => Poll::Ready(Some(None)),
                Poll::Pending => seat.poll_alone(context).map(|()| None),
            })
            .await?
        };
        let Some(progress) = told else { return Some(Event::Expired) };
        if !matches!(progress, Ok(Progress::Pending(_))) {
            self.paced = None;
        }
        let (provider, choice) = self.open.as_ref().and_then(|out| Some((Arc::clone(out.question()?.0), out.choice.clone())))?;
        // That a poll has no news may be said without asking anybody.
        if !matches!(progress, Ok(Progress::Pending(_))) {
            self.engine.note_outage(&choice.provider, &progress);
        }
        Some(self.heard(&provider, choice, progress))
    }

    /// Remembers the question that is out, if one is. One that broke off may still be out: it is taken back with the next start or at the end.
    fn heard(&mut self, provider: &Arc<dyn Provider>, choice: Choice, progress: Result<Progress, FactorError>) -> Event {
        let question = match &progress {
            Ok(Progress::Choose { ticket, .. }) => Some((ticket, true)),
            Ok(Progress::Pending(ticket)) => Some((ticket, false)),
            _ => None,
        };
        let breaks_off = matches!(progress, Err(FactorError::Faltering | FactorError::Misconfigured | FactorError::Throttled | FactorError::Unreachable));
        let before = self.open.take_if(|out| !breaks_off && question.is_none_or(|(ticket, _)| out.ticket != *ticket));
        if let Some(out) = before {
            out.settle();
        }
        if let (Some((ticket, numbered)), None) = (question, &self.open) {
            self.open = Some(Out::new(Arc::clone(provider), choice, ticket.clone(), numbered));
        }
        self.told.approved = matches!(progress, Ok(Progress::Allowed { spend: None }));
        match &progress {
            Err(error) => {
                self.told.refused = Some(error.as_str());
                self.step(What::Failed(*error));
            }
            Ok(Progress::Allowed { spend }) => self.step(What::passed(spend.as_ref())),
            Ok(Progress::Waived) => self.step(What::passed(None)),
            Ok(_) => {}
        }
        Event::Progress(progress)
    }

    fn provider(&mut self, choice: &Choice) -> Option<Arc<dyn Provider>> {
        self.told.asked = Some(choice.clone());
        let provider = self.providers.get(&*choice.provider).map(Arc::clone);
        if provider.is_none() {
            tracing::error!(provider = &*choice.provider, "a policy names a provider that is not there");
        }
        provider
    }

    async fn take_turn(&mut self, who: &Identity) -> bool {
        let who = &self.line_of(who);
        if self.turn.as_ref().is_some_and(|turn| turn.is_of(who)) {
            return true;
        }
        self.turn = None;
        // A line that does not move is no outage: whoever waits in it too long is out of turn.
        self.turn = by(self.deadline, pin!(self.engine.turns.take(who, self.flow.request().may_crowd()))).await.flatten();
        if self.turn.is_none() {
            return false;
        }
        let Some(awake) = self.awake.take() else { return true };
        // One that was hushed meanwhile is over, as a parked one would be.
        self.open = awake.claim();
        self.open.is_some()
    }

    /// In whose line: where somebody is exempt there is one of its own, so that strangers elsewhere do not fill it.
    fn line_of(&self, who: &Identity) -> Identity {
        let request = self.flow.request();
        // A name is only a name: whom it means nobody knows yet.
        let exempt = request.tally(self.engine.clock.now(), who) == Tally::Exempt || request.may_crowd() && typed_as(request).as_ref() == Some(who);
        if exempt { Identity(format!("exempt:{}", who.0)) } else { who.clone() }
    }

    /// A refusal of a name: one that is nobody's is counted and locked as if it were somebody's.
    fn nobodys(&mut self, error: PrimaryError) -> PrimaryError {
        match self.refused(error) {
            PrimaryError::Refused { who: None, why } => {
                PrimaryError::Refused { who: None, why: self.engine.nobody(self.flow.request(), self.flow.rules().lock, why) }
            }
            error => error,
        }
    }

    fn refused(&mut self, error: PrimaryError) -> PrimaryError {
        if let PrimaryError::Refused { why, .. } = &error {
            self.told.refused = Some(why.as_str());
        }
        error
    }

    /// Nobody waits any more: the question that is out is taken back or left for the next try, and the flow is gone with whatever it may still have heard.
    pub(super) fn give_up(mut self, repeats: (u32, Option<Instant>)) {
        self.heard_from(repeats);
        let request = self.flow.request();
        tracing::info!(trace = %self.flow.trace(), door = request.door.as_str(), client = request.client, login = ?request.login, "login given up by the client");
        if self.told.approved {
            tracing::warn!(trace = %self.flow.trace(), door = request.door.as_str(), client = request.client, login = ?request.login, "late approval discarded");
            self.engine.counts.late_approval();
        }
        let why = if self.flow.proven().is_some() { "second_factor" } else { "first_factor" };
        self.account_for(Fate::GivenUp, why);
        self.leave_out();
    }

    /// Where the policy of the client says so, the question stays out for this person's next try from here. Not one with a number: who approves it must see it.
    fn leave_out(&mut self) {
        let request = self.flow.request();
        let late_ms = request.dialogue.late_ms.min(Dialogue::LATE_MS_MAX);
        let whence = Whence::of(request);
        if let Some(awake) = self.awake.take() {
            self.open = awake.claim();
        }
        let Some(who) = self.flow.proven().or(self.told.identity.as_ref()) else { return };
        if let Some(out) = self.open.take_if(|out| late_ms > 0 && !out.numbered) {
            self.engine.leave_out(who.clone(), whence, Duration::from_millis(late_ms), out);
        }
    }

    /// What is kept of a login that waits for a person until `until`, and its turn, which must not end before it is kept: who has the next one takes back what
    /// else is out on the phone.
    pub(super) fn into_car(mut self, until: Instant) -> (Car, Option<Turn>) {
        self.step(What::Challenged);
        let (set_out, trail) = (self.set_out, self.trail);
        let car = Car {
            set_out,
            trail,
            flow: self.flow,
            providers: self.providers,
            check: self.check,
            entry: self.entry,
            aside: self.aside,
            open: self.open,
            awake: None,
            until,
        };
        (car, self.turn)
    }

    pub(super) fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    pub(super) fn flow(&self) -> &Flow {
        &self.flow
    }

    /// What the first factor says with its question. Once it is handed out its attributes are of no more use here.
    pub(super) fn hand_out(&mut self) -> Aside {
        let Some(aside) = &mut self.aside else { return Aside::default() };
        let said = Aside::clone(aside);
        aside.attributes = Secret::default();
        said
    }

    pub(super) fn drop_for(self, outage: Outage) -> Outcome {
        self.conclude(Decision::Drop(outage))
    }

    /// The end: the one line a login leaves, its count, and what the door is told.
    pub(super) fn conclude(mut self, decision: Decision) -> Outcome {
        if decision == Decision::Reject(Denial::NoAnswer) {
            self.leave_out();
        }
        self.engine.learn(&self.flow, self.told.identity.as_ref(), &decision);
        self.engine.alarm(&self.flow, self.told.identity.as_ref(), &decision);
        self.engine.rung_out(&self.flow, self.told.identity.as_ref(), &decision);
        self.log(&decision);
        Outcome::Decided { decision: Arc::new(decision), aside: Arc::new(self.aside.map(|aside| *aside).unwrap_or_default()) }
    }
}

/// Whether it is followed to its end though nobody listens any more: else whoever asks and leaves could guess uncounted (M-06).
pub(super) fn is_committed(action: &Action) -> bool {
    matches!(action, Action::ChangePassword { .. } | Action::Check | Action::Commit(_) | Action::Verify(..))
}

/// What comes of `wait`, unless the deadline comes first. A timer is made only for what is not there at once.
pub(super) async fn by<T>(deadline: Instant, mut wait: impl Future<Output = T> + Unpin) -> Option<T> {
    match poll_fn(|context| Poll::Ready(pin!(&mut wait).poll(context))).await {
        Poll::Ready(came) => Some(came),
        Poll::Pending => tokio::time::timeout_at(deadline, wait).await.ok(),
    }
}
