//! Plays every order of events against the flow and lets an oracle, which sees the history alone, say when a login may be accepted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::Account;
use super::account::Bypass;
use super::account::Identity;
use super::account::Standing;
use super::account::Timestamp;
use super::account::Tries;
use super::change::Change;
use super::change::CommitError;
use super::decision::Checked;
use super::decision::Decision;
use super::decision::FactorError;
use super::decision::Grant;
use super::decision::Outage;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::flow::Action;
use super::flow::Event;
use super::flow::Flow;
use super::request::AuthRequest;
use super::request::Door;
use super::request::Primary;
use super::rules::Choice;
use super::rules::FirstAlone;
use super::rules::Lock;
use super::rules::Method;
use super::rules::OnOutage;
use super::rules::Rules;
use super::secret::Secret;

pub(super) const NOW: Timestamp = Timestamp(1_000_000);
const PROMPT: &str = "Enter your code:";
pub(super) const TYPED: &str = "654321";
const APPENDED: &str = "123456";

/// What happened so far: each event with the action it caused.
type Story = Vec<(Event, Action)>;

/// A rule set and a request.
struct Scene {
    rules: Arc<Rules>,
    request: AuthRequest,
}

/// How a request comes.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// With a code behind the password; nobody can be asked.
    Appended,
    /// The client can ask.
    Asks,
    /// Neither.
    Bare,
    /// The client can ask, and the person is in a trusted network.
    Trusted,
}

#[derive(Default)]
struct Tally {
    plays: usize,
    grants: BTreeSet<&'static str>,
}

impl Scene {
    fn flow(&self) -> Flow {
        Flow::new(self.request.clone(), Arc::clone(&self.rules))
    }

    fn is_trusted(&self) -> bool {
        self.request.source.is_some()
    }

    /// How many methods can be tried in turn: a code that came along is for the generator alone.
    fn methods(&self) -> usize {
        if self.request.passcode.is_some() { 1 } else { self.rules.methods.len() }
    }
}

pub(super) fn alice() -> Identity {
    Identity("S-1-5-21-1-2-3-1104".into())
}

fn mallory() -> Identity {
    Identity("S-1-5-21-1-2-3-666".into())
}

pub(super) fn enrolled() -> Standing {
    let account = Account {
        identity: alice(),
        name: "alice".into(),
        directory: Some("corp".into()),
        enabled: true,
        method: None,
        mail: None,
        phone: None,
        created_at: Timestamp(0),
    };
    Standing { account: Some(account), ..Standing::default() }
}

pub(super) fn disabled() -> Standing {
    let account = enrolled().account.map(|account| Account { enabled: false, ..account });
    Standing { account, ..Standing::default() }
}

pub(super) fn locked() -> Standing {
    Standing { tries: Tries { failures: 3, lock_until: Some(Timestamp(NOW.0 + 1)) }, ..enrolled() }
}

pub(super) fn owing() -> Standing {
    Standing { tries: Tries { failures: 2, lock_until: Some(NOW) }, ..enrolled() }
}

pub(super) fn bypassed(until: Timestamp) -> Standing {
    let bypass = Bypass { until, reason: "lost phone".into(), granted_by: "root".into(), granted_at: Timestamp(0) };
    Standing { bypass: Some(bypass), ..enrolled() }
}

pub(super) fn burnt() -> Change {
    Change::UseOtp { who: alice(), token: "t1".into(), step: 7 }
}

pub(super) fn refusal(who: Option<Identity>, why: Refused) -> PrimaryError {
    PrimaryError::Refused { who, why }
}

/// Every event with every payload that means something of its own. A variant new in the domain belongs in here.
fn alphabet() -> Vec<Event> {
    let mut events =
        vec![Event::Answer(Primary::Password(Secret::from(TYPED))), Event::Answer(Primary::Waived), Event::Begin, Event::Expired, Event::OutOfTurn];
    events.extend([Ok(()), Err(CommitError::Spent), Err(CommitError::Outage)].map(Event::Committed));
    events.extend([
        Event::Hinted(Ok(None)),
        Event::Hinted(Ok(Some(enrolled()))),
        Event::Hinted(Ok(Some(locked()))),
        Event::Hinted(Ok(Some(disabled()))),
        Event::Hinted(Err(refusal(None, Refused::UnknownName))),
        Event::Hinted(Err(PrimaryError::Outage(Outage::Directory))),
    ]);
    events.extend([
        Event::Checked(Ok(Checked::More)),
        Event::Checked(Ok(Checked::Passed(alice()))),
        Event::Checked(Ok(Checked::Passed(mallory()))),
        Event::Checked(Err(refusal(Some(alice()), Refused::WrongPassword))),
        Event::Checked(Err(refusal(None, Refused::WrongPassword))),
        Event::Checked(Err(refusal(Some(alice()), Refused::Disabled))),
        Event::Checked(Err(PrimaryError::Outage(Outage::Directory))),
    ]);
    let found = [Standing::default(), enrolled(), locked(), disabled(), owing(), bypassed(Timestamp(NOW.0 + 1)), bypassed(NOW)];
    events.extend(found.map(|standing| Event::Found(Ok(standing))));
    events.push(Event::Found(Err(Outage::Store)));
    let progress = [
        Progress::Allowed { spend: None },
        Progress::Allowed { spend: Some(burnt()) },
        Progress::CodeNeeded { ticket: None },
        Progress::CodeNeeded { ticket: Some(Ticket("q2".into())) },
        Progress::Denied { fraud: false },
        Progress::Denied { fraud: true },
        Progress::Pending(Ticket("q1".into())),
        Progress::Waived,
    ];
    events.extend(progress.map(|progress| Event::Progress(Ok(progress))));
    let errors = [
        FactorError::BadCode,
        FactorError::Expired,
        FactorError::Faltering,
        FactorError::Locked,
        FactorError::Misconfigured,
        FactorError::NotEnrolled,
        FactorError::Throttled,
        FactorError::Unreachable,
    ];
    events.extend(errors.map(|error| Event::Progress(Err(error))));
    events
}

/// One letter per kind of event. The compiler stops here when a kind is new: give it a letter and a place in the alphabet.
fn letter(event: &Event) -> char {
    match event {
        Event::Answer(Primary::Password(_)) => 'a',
        Event::Answer(_) => '}',
        Event::Begin => 'b',
        Event::Checked(Ok(Checked::More)) => '~',
        Event::Checked(Ok(Checked::Passed(_))) => 'c',
        Event::Checked(Err(PrimaryError::Outage(_))) => 'd',
        Event::Checked(Err(PrimaryError::Refused { .. })) => 'e',
        Event::Committed(Ok(())) => 'f',
        Event::Committed(Err(CommitError::Outage)) => 'g',
        Event::Committed(Err(CommitError::Spent)) => 'h',
        Event::Expired => 'i',
        Event::Found(Ok(_)) => 'j',
        Event::Found(Err(_)) => 'k',
        Event::Hinted(Ok(_)) => 'l',
        Event::Hinted(Err(PrimaryError::Outage(_))) => 'm',
        Event::Hinted(Err(PrimaryError::Refused { .. })) => 'n',
        Event::OutOfTurn => 'z',
        Event::Progress(Ok(Progress::Allowed { .. })) => 'o',
        Event::Progress(Ok(Progress::CodeNeeded { .. })) => 'p',
        Event::Progress(Ok(Progress::Denied { .. })) => 'q',
        Event::Progress(Ok(Progress::Pending(_))) => 'r',
        Event::Progress(Ok(Progress::Waived)) => '|',
        Event::Progress(Err(FactorError::BadCode)) => 's',
        Event::Progress(Err(FactorError::Expired)) => 't',
        Event::Progress(Err(FactorError::Faltering)) => '{',
        Event::Progress(Err(FactorError::Locked)) => 'u',
        Event::Progress(Err(FactorError::Misconfigured)) => 'v',
        Event::Progress(Err(FactorError::NotEnrolled)) => 'w',
        Event::Progress(Err(FactorError::Throttled)) => 'x',
        Event::Progress(Err(FactorError::Unreachable)) => 'y',
    }
}

pub(super) fn rules(unenrolled: FirstAlone, disabled: FirstAlone, outage: OnOutage, failures_max: u32) -> Arc<Rules> {
    let choice = |method, provider: &str| Choice { method, provider: provider.into() };
    Arc::new(Rules {
        name: "vpn".into(),
        methods: vec![choice(Method::Push, "duo"), choice(Method::Oath, "tokens")],
        trusted: vec!["10.20.0.0/16".parse().unwrap()],
        unenrolled,
        disabled,
        outage,
        lock: Lock { failures_max, wait_ms: 900_000 },
    })
}

/// The rule sets with this lock: unenrolled × disabled × outage.
fn every_rule_set(failures_max: u32) -> Vec<Arc<Rules>> {
    let alone = [FirstAlone::Accept, FirstAlone::Reject];
    let mut sets = Vec::new();
    for unenrolled in alone {
        for disabled in alone {
            for outage in [OnOutage::Closed, OnOutage::Open] {
                sets.push(rules(unenrolled, disabled, outage, failures_max));
            }
        }
    }
    sets
}

pub(super) fn request(shape: Shape) -> AuthRequest {
    AuthRequest {
        door: Door::Radius,
        client: "fortigate".into(),
        login: "alice".into(),
        primary: Primary::Password(Secret::from("correct horse")),
        passcode: matches!(shape, Shape::Appended).then(|| Secret::from(APPENDED)),
        prompt: matches!(shape, Shape::Asks | Shape::Trusted).then(|| PROMPT.into()),
        source: matches!(shape, Shape::Trusted).then(|| "10.20.3.4".parse().unwrap()),
        seat: Vec::new(),
        asker: Vec::new(),
    }
}

/// Plays on from `story` by every event of the alphabet, `depth` events deep. A login that is finished is not played on but probed once.
fn explore(scene: &Scene, alphabet: &[Event], story: &mut Story, depth: usize, tally: &mut Tally) {
    for event in alphabet {
        let mut flow = scene.flow();
        for (past, _) in story.iter() {
            flow.next(NOW, past.clone());
        }
        let action = flow.next(NOW, event.clone());
        story.push((event.clone(), action));
        judge(scene, story, tally);
        if matches!(story.last(), Some((_, Action::Finish(_)))) {
            tally.plays += 1;
            let after = flow.next(NOW, Event::Progress(Ok(Progress::Allowed { spend: None })));
            assert_eq!(after, Action::Finish(Decision::Drop(Outage::Fault)), "spoken twice:\n{}", told(story));
        } else if depth > 1 {
            explore(scene, alphabet, story, depth - 1, tally);
        } else {
            tally.plays += 1;
        }
        story.pop();
    }
}

/// Plays `opening` first, judging each step.
fn explore_from(scene: &Scene, opening: Vec<Event>, depth: usize, tally: &mut Tally) {
    let mut flow = scene.flow();
    let mut story = Story::new();
    for event in opening {
        let action = flow.next(NOW, event.clone());
        story.push((event, action));
        judge(scene, &story, tally);
    }
    explore(scene, &alphabet(), &mut story, depth, tally);
}

fn told(story: &Story) -> String {
    story.iter().map(|(event, action)| format!("> {event:?}\n< {action:?}\n")).collect()
}

/// What must hold after each step, whatever came before. Looks at events and actions, never into the flow.
fn judge(scene: &Scene, story: &Story, tally: &mut Tally) {
    let Some((event, action)) = story.last() else { return };
    let proven = proven(story);
    let fail = |who: &Identity| vec![Change::Fail { who: who.clone(), at: NOW, lock: scene.rules.lock }];
    match action {
        Action::Check => assert!(may_be_checked(scene, story), "{}", told(story)),
        Action::Commit(changes) => match whose_failure(story) {
            Some(who) => assert_eq!(*changes, fail(&who), "{}", told(story)),
            None => {
                assert!(changes.iter().all(|change| Some(owner(change)) == proven.as_ref() || *change == burnt()), "{}", told(story));
                let forgives = changes.iter().any(|change| matches!(change, Change::Succeed(_)));
                assert!(!forgives || may_forgive(story), "a password alone forgave wrong codes:\n{}", told(story));
            }
        },
        Action::Find(who) => assert_eq!(Some(who), proven.as_ref(), "{}", told(story)),
        Action::Finish(Decision::Accept(permit)) => {
            assert_eq!(Some(permit.identity()), proven.as_ref(), "somebody else was let in:\n{}", told(story));
            assert!(allows(scene, story, permit.why()), "let in by {:?}:\n{}", permit.why(), told(story));
            tally.grants.insert(permit.why().as_str());
        }
        Action::Finish(_) => {}
        Action::Hint => assert!(matches!(event, Event::Begin) && story.len() == 1, "{}", told(story)),
        Action::Park(prompt) => assert!(scene.request.prompt.as_ref() == Some(prompt) && scene.request.passcode.is_none(), "{}", told(story)),
        Action::Relay => assert!(matches!(event, Event::Checked(Ok(Checked::More))) && proven.is_none(), "{}", told(story)),
        Action::Start(asking) | Action::Wait(asking, _) => {
            assert!(Some(&asking.identity) == proven.as_ref() && welcome(scene, story), "asked too early:\n{}", told(story));
        }
        Action::Verify(asking, _, code) => {
            assert!(Some(&asking.identity) == proven.as_ref() && welcome(scene, story), "asked too early:\n{}", told(story));
            assert_eq!(Some(code), typed(scene, story).as_ref(), "{}", told(story));
        }
    }
    if let Event::Checked(Err(_)) | Event::Progress(Err(FactorError::BadCode)) = event {
        assert!(matches!(action, Action::Commit(_) | Action::Finish(Decision::Drop(_) | Decision::Reject(_))), "{}", told(story));
    }
}

/// The first factor is asked once, and once more for each answer to a question of its own.
fn may_be_checked(scene: &Scene, story: &Story) -> bool {
    let hinted = story.iter().any(|(event, _)| may_be_asked(scene, event));
    let checks = count(story, |action| *action == Action::Check);
    let questions = count(story, |action| *action == Action::Relay);
    hinted && proven(story).is_none() && checks == questions.saturating_add(1)
}

/// Whether the typed name's standing lets the first factor be asked at all.
fn may_be_asked(scene: &Scene, event: &Event) -> bool {
    match event {
        Event::Hinted(Ok(None)) => true,
        Event::Hinted(Ok(Some(standing))) => !barred(scene, standing),
        _ => false,
    }
}

fn barred(scene: &Scene, standing: &Standing) -> bool {
    let disabled = standing.account.as_ref().is_some_and(|account| !account.enabled);
    standing.tries.locked(NOW) || (disabled && scene.rules.disabled == FirstAlone::Reject)
}

/// Failures are wiped out by a second factor, or for somebody who has none to guess at (M-05).
fn may_forgive(story: &Story) -> bool {
    let passed = story.iter().any(|(event, _)| matches!(event, Event::Progress(Ok(Progress::Allowed { .. }))));
    passed || standing(story).is_some_and(|standing| standing.account.as_ref().is_none_or(|account| !account.enabled))
}

fn count(story: &Story, wanted: impl Fn(&Action) -> bool) -> usize {
    story.iter().filter(|(_, action)| wanted(action)).count()
}

/// Whose first factor passed, if the check was asked for and answered yes.
fn proven(story: &Story) -> Option<Identity> {
    story.windows(2).find_map(|pair| match pair {
        [(_, Action::Check), (Event::Checked(Ok(Checked::Passed(who))), _)] => Some(who.clone()),
        _ => None,
    })
}

/// What is held about the proven identity, as last read.
fn standing(story: &Story) -> Option<&Standing> {
    let read = story.windows(2).rev().find_map(|pair| match pair {
        [(_, Action::Find(_)), (Event::Found(found), _)] => Some(found.as_ref()),
        _ => None,
    });
    read.and_then(Result::ok)
}

/// The first factor passed and the account may be asked for the second (invariant 7: no push for a wrong password).
fn welcome(scene: &Scene, story: &Story) -> bool {
    proven(story).is_some()
        && standing(story).is_some_and(|standing| !barred(scene, standing) && standing.account.as_ref().is_some_and(|account| account.enabled))
}

/// Whose count of failures this step must raise.
fn whose_failure(story: &Story) -> Option<Identity> {
    match story.last().map(|(event, _)| event) {
        Some(Event::Checked(Err(PrimaryError::Refused { who, why: Refused::WrongPassword }))) => who.clone(),
        Some(Event::Progress(Err(FactorError::BadCode)) | Event::Committed(Err(CommitError::Spent))) => proven(story),
        _ => None,
    }
}

/// The code the person gave last; an answer to the first factor's own question is none.
fn typed(scene: &Scene, story: &Story) -> Option<Secret> {
    let answered = story.windows(2).rev().find_map(|pair| match pair {
        [(_, Action::Park(_)), (Event::Answer(answer), _)] => answer.typed().cloned(),
        _ => None,
    });
    answered.or_else(|| scene.request.passcode.clone())
}

fn owner(change: &Change) -> &Identity {
    match change {
        Change::Succeed(who) | Change::SpendBypass { who, .. } | Change::UseOtp { who, .. } => who,
        other => panic!("a login does not write {other:?}"),
    }
}

/// The oracle: whether this history is reason enough to let somebody in, and for the reason given.
fn allows(scene: &Scene, story: &Story, why: Grant) -> bool {
    let Some(standing) = standing(story) else { return false };
    if proven(story).is_none() || standing.tries.locked(NOW) || story.iter().any(|(event, _)| says_no(event)) {
        return false;
    }
    let account = standing.account.as_ref();
    let asked = count(story, |action| matches!(action, Action::Start(_) | Action::Verify(..)));
    match why {
        Grant::Bypass => {
            let who = proven(story).unwrap();
            asked == 0 && standing.bypass.as_ref().is_some_and(|bypass| NOW < bypass.until) && on_disk(story, &Change::SpendBypass { who, at: NOW })
        }
        Grant::Disabled => asked == 0 && scene.rules.disabled == FirstAlone::Accept && account.is_some_and(|account| !account.enabled),
        Grant::Factor => account.is_some_and(|account| account.enabled) && factor_passed(story),
        Grant::FailOpen => account.is_some_and(|account| account.enabled) && scene.rules.outage == OnOutage::Open && all_away(scene, story),
        Grant::ProviderBypass => {
            account.is_some_and(|account| account.enabled) && story.iter().any(|(event, _)| matches!(event, Event::Progress(Ok(Progress::Waived))))
        }
        Grant::TrustedNetwork => asked == 0 && scene.is_trusted(),
        Grant::Unenrolled => asked == 0 && scene.rules.unenrolled == FirstAlone::Accept && account.is_none(),
    }
}

/// Events after which nobody may come in, whatever else happens.
fn says_no(event: &Event) -> bool {
    match event {
        Event::Checked(Err(_)) | Event::Committed(Err(_)) | Event::Expired | Event::Found(Err(_)) | Event::Hinted(Err(_)) | Event::OutOfTurn => true,
        Event::Progress(Ok(Progress::Denied { .. })) => true,
        Event::Progress(Err(error)) => matches!(error, FactorError::BadCode | FactorError::Expired | FactorError::Locked),
        _ => false,
    }
}

/// `change` was written by the last step and is on disk.
fn on_disk(story: &Story, change: &Change) -> bool {
    match story.as_slice() {
        [.., (_, Action::Commit(changes)), (Event::Committed(Ok(())), _)] => changes.contains(change),
        _ => false,
    }
}

fn factor_passed(story: &Story) -> bool {
    let spend = story.iter().find_map(|(event, _)| match event {
        Event::Progress(Ok(Progress::Allowed { spend })) => Some(spend),
        _ => None,
    });
    match spend {
        Some(Some(change)) => on_disk(story, change),
        Some(None) => true,
        None => false,
    }
}

/// Every method was tried; unreachable was heard, and nothing that an attacker or a wrong key of ours could cause.
fn all_away(scene: &Scene, story: &Story) -> bool {
    let heard = |wanted: FactorError| story.iter().filter(|(event, _)| matches!(event, Event::Progress(Err(error)) if *error == wanted)).count();
    let code_asked = story.iter().any(|(event, _)| matches!(event, Event::Progress(Ok(Progress::CodeNeeded { .. }))));
    let could_be_typed = scene.request.passcode.is_some() || scene.request.prompt.is_some();
    heard(FactorError::Unreachable) > 0
        && heard(FactorError::Unreachable) + heard(FactorError::NotEnrolled) == scene.methods()
        && heard(FactorError::Faltering) + heard(FactorError::Misconfigured) + heard(FactorError::Throttled) == 0
        && (!code_asked || could_be_typed)
}

/// The reasons for which this scene can ever let somebody in.
fn reachable(scene: &Scene) -> BTreeSet<&'static str> {
    let mut grants = BTreeSet::new();
    if scene.is_trusted() {
        grants.insert(Grant::TrustedNetwork.as_str());
    } else {
        grants.extend([Grant::Bypass.as_str(), Grant::Factor.as_str(), Grant::ProviderBypass.as_str()]);
        grants.extend((scene.rules.unenrolled == FirstAlone::Accept).then_some(Grant::Unenrolled.as_str()));
        grants.extend((scene.rules.outage == OnOutage::Open).then_some(Grant::FailOpen.as_str()));
    }
    grants.extend((scene.rules.disabled == FirstAlone::Accept).then_some(Grant::Disabled.as_str()));
    grants
}

/// Every order of events from nothing, seven deep. Says how many plays there were.
fn play_all(failures_max: u32, shapes: [Shape; 2]) -> usize {
    let alphabet = alphabet();
    assert_eq!(alphabet.iter().map(letter).collect::<BTreeSet<_>>(), ('a'..='~').collect());
    let mut plays = 0;
    for rules in every_rule_set(failures_max) {
        for shape in shapes {
            let scene = Scene { rules: Arc::clone(&rules), request: request(shape) };
            let mut tally = Tally::default();
            explore(&scene, &alphabet, &mut Story::new(), 7, &mut tally);
            assert_eq!(tally.grants, reachable(&scene), "under {rules:?}");
            plays += tally.plays;
        }
    }
    eprintln!("{plays} plays of {} events to depth 7", alphabet.len());
    plays
}

// The lock changes what is written and not the way there, so the rule sets with one take half of the shapes and those without take the others.

#[test]
fn no_order_of_events_lets_anybody_in_who_may_not_with_a_lock() {
    let plays = play_all(3, [Shape::Asks, Shape::Trusted]);
    assert!(plays > 200_000, "only {plays} plays");
}

#[test]
fn no_order_of_events_lets_anybody_in_who_may_not_without_a_lock() {
    let plays = play_all(0, [Shape::Appended, Shape::Bare]);
    assert!(plays > 200_000, "only {plays} plays");
}

/// A challenge takes nine events; so once more, from where the second factor is asked for.
#[test]
fn no_order_of_events_after_the_first_factor_lets_anybody_in_who_may_not() {
    let mut plays = 0;
    for outage in [OnOutage::Closed, OnOutage::Open] {
        for shape in [Shape::Appended, Shape::Asks, Shape::Bare] {
            let scene = Scene { rules: rules(FirstAlone::Reject, FirstAlone::Reject, outage, 3), request: request(shape) };
            let opening = vec![Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Ok(enrolled()))];
            let mut tally = Tally::default();
            explore_from(&scene, opening, 6, &mut tally);
            plays += tally.plays;
        }
    }
    eprintln!("{plays} plays to depth 10");
    assert!(plays > 100_000, "only {plays} plays");
}
