//! The loop: the one place that waits between a question and its answer.

mod account;
mod alarm;
mod journey;
mod kept;
mod nobody;
mod out;
mod outages;
mod parked;
mod recent;
mod rehearsed;
mod remember;
mod rings;
mod simulate;
mod stale;
mod told;
mod turnstile;
mod uncounted;
mod written;

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::ready;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use tokio::sync::oneshot;
use tokio::task::unconstrained;
use tokio::time::Instant;

use crate::domain::Appended;
use crate::domain::AuthRequest;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Door;
use crate::domain::Ending;
use crate::domain::Event;
use crate::domain::Flow;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::Primary;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::Trace;
use crate::metrics::Counts;
use crate::ports::Alerts;
use crate::ports::Aside;
use crate::ports::Clock;
use crate::ports::PrimaryCheck;
use crate::ports::Provider;
use crate::ports::Store;
use crate::ports::audit::Audit;
use alarm::Lockouts;
use journey::Ended;
use journey::Journey;
use kept::Kept;
use kept::Whence;
use nobody::Nobodies;
use out::Out;
use outages::Outages;
use parked::Car;
use parked::Parked;
use parked::STATE_LEN;
use remember::Memories;
use rings::Rings;
use stale::Stale;
use turnstile::Entered;
use turnstile::Place;
use turnstile::Running;
use turnstile::Sameness;
use turnstile::Seat;
use turnstile::Turns;
use uncounted::Uncounted;

pub use rehearsed::Asks;
pub use rehearsed::Part;
pub use rehearsed::Simulation;
pub use rehearsed::Step;
pub use rehearsed::Verdict;

/// How much may go on at once, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Logins running at once.
    pub logins_max: usize,
    /// Challenges waiting for an answer at once.
    pub parked_max: usize,
    /// How long a challenge can be answered, at most 5 minutes.
    pub challenge_keep: Duration,
}

/// Runs logins.
#[derive(Debug)]
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    providers: RwLock<Arc<Providers>>,
    running: Arc<Running>,
    turns: Arc<Turns>,
    parked: Mutex<Parked>,
    /// Those of whom nothing is proven yet have a place of their own: they cannot crowd out the others.
    asked: Mutex<Parked>,
    /// Questions nobody answered in time, for the person's next try.
    late: Mutex<Kept<Out>>,
    /// Who may change a password that has run out.
    leaves: Mutex<Kept<()>>,
    memories: Memories,
    nobodies: Nobodies,
    rings: Rings,
    stale: Stale,
    uncounted: Mutex<Uncounted>,
    /// Whether an attempt is under way to write what could not be written.
    writing_again: AtomicBool,
    outages: Mutex<Outages>,
    counts: Counts,
    /// People who are waited for now.
    waiting: AtomicUsize,
    /// Keys the hash that tells whether two requests are the same login.
    sameness_key: Secret,
    traces: Traces,
    /// Who accounts for logins, where anybody does.
    audit: OnceLock<Arc<dyn Audit>>,
    /// Who is told of alarms, where anybody is.
    alerts: OnceLock<Arc<dyn Alerts>>,
    lockouts: Mutex<Lockouts>,
}

/// What logins are called: a random start for each run of the program, and a count.
#[derive(Debug)]
struct Traces {
    run: u64,
    next: AtomicU64,
}

type Providers = HashMap<String, Arc<dyn Provider>>;

/// The answer to a challenge, as a door understood it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The State that came back.
    pub state: Secret,
    /// The client's name in the configuration.
    pub client: String,
    /// The name as typed.
    pub login: String,
    /// As in [`AuthRequest::seat`].
    pub seat: Vec<u8>,
    /// What came back.
    pub said: Primary,
}

/// A login under way. When the last asker drops it the login is given up: a question to the person is taken back and a late approval
/// opens nothing.
#[derive(Debug)]
pub struct Login(Begun);

#[derive(Debug)]
enum Begun {
    /// Refused before it began.
    Over(Box<Outcome>),
    Under(Place),
}

/// Whoever is called when a login ends: it costs less to keep than a task that waits.
pub trait Ear: Debug + Send {
    /// The login has ended so. Called once, by the login's own task, and never where the [`Login`] was dropped before.
    fn hear(self: Box<Self>, outcome: Outcome);
}

impl Ear for oneshot::Sender<Outcome> {
    fn hear(self: Box<Self>, outcome: Outcome) {
        // Whoever has gone meanwhile did not want to know.
        let _ = self.send(outcome);
    }
}

/// How a login ended for the one who asked.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Ask the person `prompt`; whoever answers must bring `state`.
    Challenge {
        /// 43 random letters.
        state: Secret,
        /// What to ask.
        prompt: String,
        /// Whether the answer may be seen while it is typed: a code may, a password may not.
        shown: bool,
        /// How long the answer is waited for.
        keep: Duration,
    },
    /// Decided.
    Decided {
        /// The end.
        decision: Arc<Decision>,
        /// What the first factor said beside.
        aside: Arc<Aside>,
    },
    /// Ask the person what the first factor wants to know, as it stands in `aside`; whoever answers must bring `state`.
    Relayed {
        /// 43 random letters.
        state: Secret,
        /// The question.
        aside: Arc<Aside>,
    },
    /// The same login was asked again and the later asker gets the answer: say nothing.
    Superseded,
}

impl Engine {
    /// An engine without providers.
    ///
    /// # Errors
    /// When the machine has no randomness to give.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, limits: Limits) -> Result<Arc<Self>, getrandom::Error> {
        Ok(Arc::new(Self {
            store,
            clock,
            providers: RwLock::default(),
            running: Arc::new(Running::new(limits.logins_max)),
            turns: Arc::default(),
            parked: Mutex::new(Parked::new(limits.parked_max, limits.challenge_keep)),
            asked: Mutex::new(Parked::new(limits.parked_max, limits.challenge_keep)),
            late: Mutex::new(Kept::new(KEPT_MAX)),
            leaves: Mutex::new(Kept::new(KEPT_MAX)),
            memories: Memories::new()?,
            nobodies: Nobodies::new()?,
            rings: Rings::default(),
            stale: Stale::new()?,
            uncounted: Mutex::default(),
            writing_again: AtomicBool::new(false),
            outages: Mutex::default(),
            counts: Counts::new(),
            waiting: AtomicUsize::new(0),
            sameness_key: Secret::new(random::<32>()?.to_vec()),
            traces: Traces { run: u64::from_be_bytes(random::<8>()?), next: AtomicU64::new(1) },
            audit: OnceLock::new(),
            alerts: OnceLock::new(),
            lockouts: Mutex::default(),
        }))
    }

    /// Takes these providers for logins that begin from now on, by their names in the configuration.
    pub fn equip(&self, providers: HashMap<String, Arc<dyn Provider>>) {
        *self.providers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(providers);
    }

    /// Has every login that ends from now on told to this one; once.
    pub fn report_to(&self, audit: Arc<dyn Audit>) {
        let _ = self.audit.set(audit);
    }

    /// Who accounts for logins.
    #[must_use]
    pub fn audit(&self) -> Option<Arc<dyn Audit>> {
        self.audit.get().cloned()
    }

    /// Begins a login that must end `within` that time. The same request while it runs joins it: one login, one push.
    pub fn login(self: &Arc<Self>, mut request: AuthRequest, rules: Arc<Rules>, check: Arc<dyn PrimaryCheck>, within: Duration) -> Login {
        let [kind, proof] = request.primary.proof();
        let (sort, appended) = match &request.appended {
            Some(Appended::Code(code)) => (&b"code"[..], code.expose()),
            Some(Appended::Method(method)) => (&b"method"[..], method.as_str().as_bytes()),
            None => (&[][..], &[][..]),
        };
        let (four, six);
        let source = match request.source {
            Some(IpAddr::V4(address)) => {
                four = address.octets();
                four.as_slice()
            }
            Some(IpAddr::V6(address)) => {
                six = address.octets();
                six.as_slice()
            }
            None => &[],
        };
        let same = self.sameness(&[
            b"login",
            request.door.as_str().as_bytes(),
            request.client.as_bytes(),
            request.login.as_bytes(),
            &request.seat,
            &request.asker,
            source,
            kind,
            proof,
            sort,
            appended,
        ]);
        self.write_again();
        request.dialogue.change = check.can_change();
        if request.dialogue.late_ms == 0 {
            // It says what is the same login, and besides whose question stays out: none of this client's does.
            request.asker = Vec::new();
        }
        self.enter(same, |seat| {
            let journey = Journey::new(Arc::clone(self), Flow::new(request, rules, self.next_trace()), self.providers(), Some(check), within);
            self.set_out(seat, journey, Event::Begin);
        })
    }

    /// Takes a parked login up again. A State is good once, for the client, name and seat it was given to.
    pub fn answer(self: &Arc<Self>, answer: Answer, within: Duration) -> Login {
        let [kind, proof] = answer.said.proof();
        let same = self.sameness(&[b"answer", answer.client.as_bytes(), answer.login.as_bytes(), &answer.seat, answer.state.expose(), kind, proof]);
        self.enter(same, |seat| match self.unpark(&answer) {
            Some(car) => self.set_out(seat, Journey::resumed(Arc::clone(self), car, within), Event::Answer(answer.said)),
            None => seat.say(self.not_open(&answer)),
        })
    }

    /// Now, by the clock of all logins.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn next_trace(&self) -> Trace {
        let count = self.traces.next.fetch_add(1, Ordering::Relaxed);
        Trace(u128::from(self.traces.run) << 64 | u128::from(count))
    }

    /// Logins running now.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.count()
    }

    /// Joins the login that is the same, or begins it. Where nobody can tell what is the same, nothing begins: two people must never share one login.
    fn enter(&self, same: Option<Sameness>, begin: impl FnOnce(Seat)) -> Login {
        let Some(same) = same else { return Login::over(Outage::Fault) };
        match self.running.enter(same) {
            Entered::Full => Login::over(Outage::Full),
            Entered::Joined(place) => Login(Begun::Under(place)),
            Entered::First(seat, place) => {
                begin(seat);
                Login(Begun::Under(place))
            }
        }
    }

    /// Runs a login for as long as anybody listens: as far as it comes without waiting here and now, and on from there in a task of its own.
    fn set_out(self: &Arc<Self>, seat: Seat, journey: Journey, first: Event) {
        let mut under_way = going(Box::new(journey), seat, first);
        match first_step(&mut under_way) {
            Poll::Pending => {}
            Poll::Ready(None) => return,
            Poll::Ready(waits) => under_way = Box::pin(ready(waits)),
        }
        tokio::spawn(Arc::clone(self).follow(under_way));
    }

    /// Follows a login to its end. What it does it does in a box of its own; while it waits for a person there is nothing but the journey and the wait, for
    /// many may wait at once.
    async fn follow(self: Arc<Self>, mut under_way: Going) {
        while let Some((mut journey, mut seat)) = under_way.await {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            let heard = journey.wait(&mut seat).await;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            under_way = match heard {
                Some(event) => going(journey, seat, event),
                None => {
                    journey.give_up(seat.repeats());
                    break;
                }
            };
        }
    }

    fn conclude(self: &Arc<Self>, mut journey: Journey, ended: Ended) -> Outcome {
        match ended {
            Ended::Decided(decision) => journey.conclude(decision),
            Ended::GivenUp | Ended::Waits => journey.drop_for(Outage::Fault),
            Ended::Parked(prompt) => {
                let request = journey.flow().request();
                tracing::info!(door = request.door.as_str(), client = request.client, login = ?request.login, "challenged: the password is right, an answer is awaited");
                let shown = !journey.flow().asks_for_password();
                self.park(journey, &self.parked, |state, keep| Outcome::Challenge { state, prompt, shown, keep })
            }
            Ended::Relayed => {
                let aside = Arc::new(journey.hand_out());
                self.park(journey, &self.asked, |state, _| Outcome::Relayed { state, aside })
            }
        }
    }

    fn park(self: &Arc<Self>, journey: Journey, place: &Mutex<Parked>, told: impl FnOnce(Secret, Duration) -> Outcome) -> Outcome {
        let Ok(state) = random::<STATE_LEN>().map(parked::spelled) else {
            return journey.drop_for(Outage::Fault);
        };
        let now = Instant::now();
        let mut parked = place.lock().unwrap_or_else(PoisonError::into_inner);
        let until = parked.until(now);
        let (car, turn) = journey.into_car(until);
        let rings = car.open.is_some();
        let kept = parked.put(now, state, car);
        drop(parked);
        drop(turn);
        if rings {
            self.sweep_at(until);
        }
        match kept {
            Ok(()) => told(Secret::new(state.to_vec()), until.saturating_duration_since(now)),
            Err(car) => {
                tracing::warn!("all places for open challenges are taken: raise limits.radius_inflight_max or look for a flood");
                Journey::resumed(Arc::clone(self), *car, Duration::ZERO).drop_for(Outage::Full)
            }
        }
    }

    /// Keeps a question that nobody answered in time. What cannot be kept is taken back.
    fn leave_out(self: &Arc<Self>, who: Identity, whence: Whence, keep: Duration, out: Out) {
        let now = Instant::now();
        let until = now.checked_add(keep).unwrap_or(now);
        let kept = self.late.lock().unwrap_or_else(PoisonError::into_inner).put(now, who, whence, until, out);
        if kept {
            self.sweep_at(until);
        }
    }

    /// Somebody is about to be asked on the phone: whatever else is out of theirs is taken back, so that one question at most is on it.
    fn hush(&self, who: &Identity) {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner).hush(who);
        self.late.lock().unwrap_or_else(PoisonError::into_inner).drop_of(who);
    }

    /// A question that is out must be taken back in time, whether or not anybody comes by.
    fn sweep_at(self: &Arc<Self>, at: Instant) {
        let engine = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            if let Some(engine) = engine.upgrade() {
                let now = Instant::now();
                engine.parked.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
                engine.late.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
            }
        });
    }

    fn unpark(&self, answer: &Answer) -> Option<Car> {
        let take = |place: &Mutex<Parked>| place.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now(), answer);
        take(&self.parked).or_else(|| take(&self.asked))
    }

    /// Tells monitoring how much is under way: when it asks, not with each login.
    pub fn measure(&self) {
        let held = |place: &Mutex<Parked>| place.lock().unwrap_or_else(PoisonError::into_inner).count();
        self.counts.parked(held(&self.parked).saturating_add(held(&self.asked)));
        self.counts.running(self.running());
        self.counts.waiting(self.waiting.load(Ordering::Relaxed));
        if let Some(audit) = self.audit.get() {
            audit.measure();
        }
    }

    /// The refusal of an answer that belongs to no open challenge.
    fn not_open(&self, answer: &Answer) -> Outcome {
        let why = Denial::OutOfTurn.as_str();
        let door = Door::Radius.as_str();
        self.counts.login(door, &answer.client, "reject", why);
        if let Some(audit) = self.audit.get() {
            audit.note(Ending::out_of_turn(self.clock.now(), self.next_trace(), &answer.client, &answer.login));
        }
        let detail = "no such challenge is open: it ran out, was answered, or was never this client's";
        tracing::info!(door, client = answer.client, login = ?answer.login, decision = "reject", why, detail, "login");
        Outcome::Decided { decision: Arc::new(Decision::Reject(Denial::OutOfTurn)), aside: Arc::default() }
    }

    fn providers(&self) -> Arc<Providers> {
        Arc::clone(&self.providers.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn sameness(&self, fields: &[&[u8]]) -> Option<Sameness> {
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(self.sameness_key.expose()).ok()?;
        for field in fields {
            mac.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(field);
        }
        Some(mac.finalize().into_bytes().into())
    }
}

impl Login {
    /// Waits for the end.
    pub async fn outcome(self) -> Outcome {
        let (ear, heard) = oneshot::channel();
        match self.tell(Box::new(ear)) {
            Some((_, outcome)) => outcome,
            None => heard.await.unwrap_or_else(|_| Outcome::broken_off()),
        }
    }

    /// Has `ear` called at the end. Dropped before, the login calls nobody. Where the end has come already, `ear` is not called but given back with it: so
    /// this may be asked under a lock that the ear takes.
    #[must_use]
    pub fn tell(&self, ear: Box<dyn Ear>) -> Option<(Box<dyn Ear>, Outcome)> {
        match &self.0 {
            Begun::Over(outcome) => Some((ear, (**outcome).clone())),
            Begun::Under(place) => place.listen(ear),
        }
    }

    /// The same was asked again by the same packet: whoever asked still waits.
    pub fn again(&self) {
        if let Begun::Under(place) = &self.0 {
            place.again();
        }
    }

    /// The end, if it has come already.
    ///
    /// # Errors
    /// The login, while it is under way.
    pub fn ended(self) -> Result<Outcome, Self> {
        match self.0 {
            Begun::Over(outcome) => Ok(*outcome),
            Begun::Under(place) => match place.heard() {
                Some(outcome) => Ok(outcome.unwrap_or_else(Outcome::broken_off)),
                None => Err(Self(Begun::Under(place))),
            },
        }
    }

    fn over(outage: Outage) -> Self {
        Self(Begun::Over(Box::new(Outcome::dropped(outage))))
    }
}

impl Outcome {
    fn dropped(outage: Outage) -> Self {
        Self::Decided { decision: Arc::new(Decision::Drop(outage)), aside: Arc::default() }
    }

    fn broken_off() -> Self {
        Self::dropped(Outage::Fault)
    }
}

/// A login on its way to its end, which is told, or to a person who is waited for.
type Going = Pin<Box<dyn Future<Output = Option<(Box<Journey>, Seat)>> + Send>>;

fn going(mut journey: Box<Journey>, mut seat: Seat, event: Event) -> Going {
    Box::pin(async move {
        match journey.travel(event, &mut seat).await {
            Ended::Waits => return Some((journey, seat)),
            Ended::GivenUp => journey.give_up(seat.repeats()),
            ended => {
                let engine = journey.engine();
                journey.heard_from(seat.repeats());
                seat.say(engine.conclude(*journey, ended));
            }
        }
        None
    })
}

/// Takes the first step of a login, and says what came of it if that was all until its end or a wait. A panic is its end too: whoever listens hears that it
/// broke off.
///
/// Whatever it waits for is asked again by the task that goes on with it.
fn first_step(login: &mut Going) -> Poll<Option<(Box<Journey>, Seat)>> {
    let mut context = Context::from_waker(Waker::noop());
    let step = AssertUnwindSafe(|| pin!(unconstrained(login)).poll(&mut context));
    catch_unwind(step).unwrap_or(Poll::Ready(None))
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Questions and leaves kept for a next login, at most.
const KEPT_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
