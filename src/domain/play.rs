//! Plays every order of events against the flow and lets an oracle, which sees the history alone, say when a login may be accepted.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::Account;
use super::account::Bypass;
use super::account::Identity;
use super::account::Standing;
use super::account::Timestamp;
use super::account::Tries;
use super::block::Block;
use super::change::Change;
use super::change::CommitError;
use super::decision::Checked;
use super::decision::Decision;
use super::decision::FactorError;
use super::decision::Grant;
use super::decision::Number;
use super::decision::Outage;
use super::decision::PasswordError;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::exempt::Exempt;
use super::flow::Action;
use super::flow::Event;
use super::flow::Flow;
use super::hours::WeekMinute;
use super::memory::Memento;
use super::memory::Memory;
use super::memory::Recognized;
use super::oracle::Story;
use super::oracle::judge;
use super::oracle::told;
use super::request::Appended;
use super::request::Approval;
use super::request::AuthRequest;
use super::request::Dialogue;
use super::request::Door;
use super::request::Primary;
use super::request::Trace;
use super::rules::Choice;
use super::rules::FirstAlone;
use super::rules::Lock;
use super::rules::Method;
use super::rules::OnOutage;
use super::rules::Remember;
use super::rules::Rules;
use super::secret::Secret;

pub(super) const NOW: Timestamp = Timestamp(1_000_000);
pub(super) const PROMPT: &str = "Enter your code:";
pub(super) const TYPED: &str = "654321";
const APPENDED: &str = "123456";
pub(super) const PASSWORD: &str = "correct horse";
/// An outage of so many milliseconds is borne, where any length is not.
pub(super) const OUTAGE_MAX_MS: u64 = 3_600_000;
/// Monday at 12, when people may log in, and at 3, when they may not.
const OPEN: (u8, u8) = (0, 12);
const SHUT: (u8, u8) = (0, 3);

/// A rule set and a request.
pub(super) struct Scene {
    pub(super) rules: Arc<Rules>,
    pub(super) request: AuthRequest,
}

/// How a request comes.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// With a code behind the password; nobody can be asked.
    Appended,
    /// The client can ask.
    Asks,
    /// Nobody can be asked.
    Bare,
    /// With a new password for one that has run out, MS-CHAPv2.
    Changes,
    /// The client can ask and does not wait.
    Enter,
    /// alice is exempt, mallory no more; nobody can be asked.
    Exempt,
    /// MS-CHAPv2; nobody can be asked.
    Hashed,
    /// With a code behind the password, by a client with a join window; nobody can be asked.
    Joins,
    /// A question may be answered late; nobody can be asked.
    Late,
    /// The client can ask and shows a menu.
    Menu,
    /// The client can ask, and the directory can change passwords.
    Renews,
    /// The client can ask, and the person is in a trusted network.
    Trusted,
    /// With the word for a push behind the password; nobody can be asked.
    Word,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) plays: usize,
    pub(super) grants: BTreeSet<&'static str>,
    /// Kinds of actions that were asked for.
    pub(super) actions: BTreeSet<&'static str>,
}

impl Scene {
    fn flow(&self) -> Flow {
        Flow::new(self.request.clone(), Arc::clone(&self.rules), Trace::default())
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.request.source.is_some()
    }

    pub(super) fn can_ask(&self) -> bool {
        self.request.dialogue.prompt.is_some()
    }
}

pub(super) fn alice() -> Identity {
    Identity("S-1-5-21-1-2-3-1104".into())
}

fn mallory() -> Identity {
    Identity("S-1-5-21-1-2-3-666".into())
}

pub(super) fn enrolled() -> Standing {
    let account = Account::new(alice(), "alice", Some("corp".into()), Timestamp(0));
    Standing { account: Some(account.into()), ..Standing::default() }
}

pub(super) fn disabled() -> Standing {
    let account = enrolled().account.map(|account| Arc::new(Account { enabled: false, ..(*account).clone() }));
    Standing { account, ..Standing::default() }
}

pub(super) fn locked() -> Standing {
    Standing { tries: Tries { failures: 3, lock_until: Some(Timestamp(NOW.0 + 1)), at: Vec::new() }, ..enrolled() }
}

pub(super) fn blocked() -> Standing {
    let block = Block { until: Timestamp(NOW.0 + 1), reason: "stolen laptop".into(), by: "root".into(), at: Timestamp(0), name: None };
    Standing { block: Some(block), ..enrolled() }
}

/// Blocked once.
fn unblocked() -> Standing {
    let block = blocked().block.map(|block| Block { until: NOW, ..block });
    Standing { block, ..enrolled() }
}

pub(super) fn owing() -> Standing {
    Standing { tries: Tries { failures: 2, lock_until: Some(NOW), at: Vec::new() }, ..enrolled() }
}

pub(super) fn bypassed(until: Timestamp) -> Standing {
    let bypass = Bypass { until, reason: "lost phone".into(), granted_by: "root".into(), granted_at: Timestamp(0) };
    Standing { bypass: Some(bypass), ..enrolled() }
}

/// What holds for alice, and has ended for mallory.
fn exempted() -> Vec<Exempt> {
    vec![Exempt { who: alice(), directory: "corp".into(), until: Timestamp(NOW.0 + 1) }, Exempt { who: mallory(), directory: "corp".into(), until: NOW }]
}

pub(super) fn burnt() -> Change {
    Change::UseOtp { who: alice(), token: "t1".into(), step: 7 }
}

pub(super) fn refusal(who: Option<Identity>, why: Refused) -> PrimaryError {
    PrimaryError::Refused { who, why }
}

/// Every event with every payload that means something of its own. A variant new in the domain belongs in here.
pub(super) fn alphabet() -> Vec<Event> {
    let mut events = vec![said(TYPED), said("1"), Event::Answer(Primary::Waived), Event::Begin, Event::Expired, Event::OutOfTurn];
    let unchanged = [PasswordError::Outage(Outage::Directory), PasswordError::Refused, PasswordError::Unsupported, PasswordError::WrongOld];
    events.extend([Ok(alice()), Ok(mallory())].into_iter().chain(unchanged.map(Err)).map(Event::Changed));
    events.extend([None, Some(alice()), Some(mallory())].map(Event::Leave));
    let recalled = [None, Some((push(), Ticket("q0".into()))), Some((Choice::new(Method::Call, "other"), Ticket("q0".into())))];
    events.extend(recalled.map(Event::Recalled));
    events.extend([None, Some(OUTAGE_MAX_MS), Some(OUTAGE_MAX_MS + 1)].map(Event::Away));
    let groups: [&[&str]; 5] = [&[], &["staff"], &["robots"], &["staff", "robots"], &["staff", "robots", "guests"]];
    events.extend(groups.map(|groups| Event::Groups(Ok(Some(groups.iter().map(|group| (*group).to_owned()).collect())))));
    events.extend([Ok(None), Err(Outage::Directory)].map(Event::Groups));
    events.extend([OPEN, SHUT].map(|(day, hour)| Event::Hour(WeekMinute::new(day, hour, 0).unwrap())));
    events.extend([None, Some(Memory::Joined), Some(Memory::Remembered)].map(known));
    events.extend([Ok(()), Err(CommitError::Spent), Err(CommitError::Outage)].map(Event::Committed));
    events.extend([
        Event::Hinted(Ok(None)),
        Event::Hinted(Ok(Some(enrolled()))),
        Event::Hinted(Ok(Some(locked()))),
        Event::Hinted(Ok(Some(blocked()))),
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
        Event::Checked(Err(refusal(Some(alice()), Refused::PasswordExpired))),
        Event::Checked(Err(PrimaryError::Outage(Outage::Directory))),
    ]);
    let found = [Standing::default(), enrolled(), locked(), blocked(), unblocked(), disabled(), owing(), bypassed(Timestamp(NOW.0 + 1)), bypassed(NOW)];
    events.extend(found.map(|standing| Event::Found(Ok(standing))));
    events.push(Event::Found(Err(Outage::Store)));
    let progress = [
        Progress::Allowed { spend: None },
        Progress::Allowed { spend: Some(burnt()) },
        choose("q1", "42"),
        choose("q2", "17"),
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
        FactorError::PinExpired,
        FactorError::PushesSpent,
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
        Event::Away(Some(_)) => 'K',
        Event::Away(None) => 'L',
        Event::Begin => 'b',
        Event::Changed(Ok(_)) => 'A',
        Event::Changed(Err(_)) => 'B',
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
        Event::Groups(Ok(Some(_))) => 'M',
        Event::Groups(Ok(None)) => 'N',
        Event::Groups(Err(_)) => 'O',
        Event::Hinted(Ok(_)) => 'l',
        Event::Hinted(Err(PrimaryError::Outage(_))) => 'm',
        Event::Hinted(Err(PrimaryError::Refused { .. })) => 'n',
        Event::Hour(_) => 'P',
        Event::Leave(Some(_)) => 'C',
        Event::Leave(None) => 'D',
        Event::OutOfTurn => 'z',
        Event::Progress(Ok(Progress::Allowed { .. })) => 'o',
        Event::Progress(Ok(Progress::Choose { .. })) => 'E',
        Event::Progress(Ok(Progress::CodeNeeded { .. })) => 'p',
        Event::Progress(Ok(Progress::Denied { .. })) => 'q',
        Event::Progress(Ok(Progress::Pending(_))) => 'r',
        Event::Progress(Ok(Progress::Waived)) => '|',
        Event::Progress(Err(FactorError::BadCode)) => 's',
        Event::Progress(Err(FactorError::Expired)) => 't',
        Event::Progress(Err(FactorError::Faltering)) => '{',
        Event::Progress(Err(FactorError::Locked)) => 'u',
        Event::Progress(Err(FactorError::Misconfigured)) => 'v',
        Event::Progress(Err(FactorError::NoPin | FactorError::NotEnrolled)) => 'w',
        Event::Progress(Err(FactorError::PinExpired)) => 'I',
        Event::Progress(Err(FactorError::PushesSpent)) => 'J',
        Event::Progress(Err(FactorError::Throttled)) => 'x',
        Event::Progress(Err(FactorError::Unreachable)) => 'y',
        Event::Recalled(Some(_)) => 'F',
        Event::Recalled(None) => 'G',
        Event::Recognized(_) => 'H',
    }
}

pub(super) fn rules(unenrolled: FirstAlone, disabled: FirstAlone, outage: OnOutage, failures_max: u32) -> Arc<Rules> {
    let choice = |method, provider: &str| Choice::new(method, provider);
    Arc::new(Rules {
        trusted: vec!["10.20.0.0/16".parse().unwrap()],
        unenrolled,
        disabled,
        outage,
        lock: Lock { failures_max, wait_ms: 900_000, window_ms: 0 },
        block_ms: 7_776_000_000,
        ..Rules::bare("vpn", vec![choice(Method::Push, "duo"), choice(Method::Oath, "tokens")])
    })
}

/// Rule sets with this lock, in which every two of unenrolled, disabled and outage meet in every way.
fn rule_sets(failures_max: u32) -> Vec<Arc<Rules>> {
    use FirstAlone::Accept;
    use FirstAlone::Reject;
    let sets = [(Accept, Accept, OnOutage::Closed), (Accept, Reject, OnOutage::Open), (Reject, Accept, OnOutage::Open), (Reject, Reject, OnOutage::Closed)];
    sets.map(|(unenrolled, disabled, outage)| rules(unenrolled, disabled, outage, failures_max)).into()
}

pub(super) fn request(shape: Shape) -> AuthRequest {
    let asks = matches!(shape, Shape::Asks | Shape::Enter | Shape::Menu | Shape::Renews | Shape::Trusted);
    AuthRequest {
        door: Door::Radius,
        client: "fortigate".into(),
        login: "alice".into(),
        primary: match shape {
            Shape::Changes => Primary::MsChap2Change { key: Vec::new(), change: Secret::from("new") },
            Shape::Hashed => Primary::MsChap2 { challenge: [7; 16], response: Box::new([7; 50]) },
            _ => Primary::Password(Secret::from(PASSWORD)),
        },
        appended: match shape {
            Shape::Appended | Shape::Joins => Some(Appended::Code(Secret::from(APPENDED))),
            Shape::Word => Some(Appended::Method(Method::Push)),
            _ => None,
        },
        dialogue: Dialogue {
            prompt: asks.then(|| PROMPT.into()),
            menu: matches!(shape, Shape::Menu),
            approval: if matches!(shape, Shape::Enter) { Approval::Enter } else { Approval::Wait },
            late_ms: if matches!(shape, Shape::Late) { 60_000 } else { 0 },
            join_ms: if matches!(shape, Shape::Joins) { 10_000 } else { 0 },
            change: matches!(shape, Shape::Renews),
        },
        source: matches!(shape, Shape::Trusted).then(|| "10.20.3.4".parse().unwrap()),
        exempt: if matches!(shape, Shape::Exempt) { exempted() } else { Vec::new() },
        seat: Vec::new(),
        asker: Vec::new(),
    }
}

pub(super) fn said(text: &str) -> Event {
    Event::Answer(Primary::Password(Secret::from(text)))
}

pub(super) fn push() -> Choice {
    Choice::new(Method::Push, "duo")
}

pub(super) fn choose(ticket: &str, number: &str) -> Progress {
    Progress::Choose { ticket: Ticket(ticket.into()), number: Number::new(number).unwrap() }
}

/// What is known of a login, with by what it would be remembered.
pub(super) fn known(memory: Option<Memory>) -> Event {
    let memento = Memento { joins: Some([1; 32]), remembers: Some([2; 32]), age: 0 };
    Event::Recognized(Recognized { memory, memento: Some(Box::new(memento)) })
}

/// The same rules, and both factors are remembered.
pub(super) fn remembering(rules: &Rules) -> Arc<Rules> {
    Arc::new(Rules { remember: Remember { for_ms: 3_600_000, ..Remember::default() }, ..rules.clone() })
}

/// Plays on from `story` by every event of the alphabet, `depth` events deep. A login that is finished is not played on but probed once.
pub(super) fn explore(scene: &Scene, alphabet: &[Event], story: &mut Story, depth: usize, tally: &mut Tally) {
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
pub(super) fn explore_from(scene: &Scene, opening: Vec<Event>, depth: usize, tally: &mut Tally) {
    let mut flow = scene.flow();
    let mut story = Story::new();
    for event in opening {
        let action = flow.next(NOW, event.clone());
        story.push((event, action));
        judge(scene, &story, tally);
    }
    explore(scene, &alphabet(), &mut story, depth, tally);
}

/// The reasons for which this scene can ever let somebody in.
fn reachable(scene: &Scene) -> BTreeSet<&'static str> {
    let mut grants = BTreeSet::new();
    if scene.is_trusted() {
        grants.insert(Grant::TrustedNetwork.as_str());
    } else {
        grants.extend([Grant::Bypass.as_str(), Grant::Factor.as_str(), Grant::ProviderBypass.as_str()]);
        grants.extend((scene.rules.unenrolled == FirstAlone::Accept).then_some(Grant::Unenrolled.as_str()));
        // Who appends a code has chosen; how the other providers are, nobody asks.
        let open = scene.rules.outage == OnOutage::Open && scene.request.appended.is_none();
        grants.extend(open.then_some(Grant::FailOpen.as_str()));
    }
    grants.extend((!scene.request.exempt.is_empty()).then_some(Grant::Exempt.as_str()));
    grants.extend((scene.rules.disabled == FirstAlone::Accept).then_some(Grant::Disabled.as_str()));
    grants
}

/// Every order of events from nothing, seven deep. Says how many plays there were.
fn play_all<const N: usize>(failures_max: u32, shapes: [Shape; N]) -> usize {
    let alphabet = alphabet();
    assert_eq!(alphabet.iter().map(letter).collect::<BTreeSet<_>>(), ('A'..='P').chain('a'..='~').collect());
    let mut plays = 0;
    for rules in rule_sets(failures_max) {
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
    let plays = play_all(3, [Shape::Asks, Shape::Trusted, Shape::Exempt]);
    assert!(plays > 200_000, "only {plays} plays");
}

#[test]
fn no_order_of_events_lets_anybody_in_who_may_not_without_a_lock() {
    let plays = play_all(0, [Shape::Appended, Shape::Bare]);
    assert!(plays > 200_000, "only {plays} plays");
}

/// The first factor passed, and nothing is against this person.
pub(super) fn passed() -> Vec<Event> {
    vec![Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Ok(enrolled()))]
}

/// The first factor has run out.
fn ran_out() -> Vec<Event> {
    let expired = refusal(Some(alice()), Refused::PasswordExpired);
    vec![Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Err(expired)), Event::Found(Ok(enrolled()))]
}

/// A challenge takes nine events and a change of a password thirteen; so once more, from where it becomes interesting. Each line: how the request comes, what
/// happened before, how many events deep, and an action that must come up.
#[test]
fn no_order_of_events_after_the_first_factor_lets_anybody_in_who_may_not() {
    let then = |opening: Vec<Event>, more: &[Event]| [opening, more.to_vec()].concat();
    let progress = |progress| Event::Progress(Ok(progress));
    let allowed = || progress(Progress::Allowed { spend: None });
    let pending = || progress(Progress::Pending(Ticket("q1".into())));
    let found = || Event::Found(Ok(enrolled()));
    let lines = [
        (Shape::Appended, passed(), 5, "verify"),
        (Shape::Asks, passed(), 5, "verify"),
        (Shape::Bare, passed(), 5, "wait"),
        (Shape::Word, passed(), 5, "wait"),
        (Shape::Menu, passed(), 5, "verify"),
        (Shape::Enter, passed(), 5, "wait"),
        (Shape::Enter, then(passed(), &[pending(), said(""), found(), Event::Expired, said("")]), 4, "wait"),
        (Shape::Asks, then(passed(), &[progress(choose("q1", "42"))]), 4, "wait"),
        (Shape::Late, passed(), 4, "wait"),
        (Shape::Renews, then(passed(), &[]), 4, "start"),
        (Shape::Renews, ran_out(), 4, "park"),
        (Shape::Renews, then(ran_out(), &[allowed()]), 4, "change"),
        (Shape::Renews, then(ran_out(), &[allowed(), said(TYPED), said("1"), said("1"), said("1")]), 4, "change"),
        (Shape::Hashed, ran_out(), 4, "give_leave"),
        (Shape::Bare, ran_out().drain(..2).collect(), 3, "find"),
    ];
    let mut plays = 0;
    for outage in [OnOutage::Closed, OnOutage::Open] {
        for (shape, opening, depth, action) in &lines {
            let scene = Scene { rules: rules(FirstAlone::Reject, FirstAlone::Reject, outage, 3), request: request(*shape) };
            let mut tally = Tally::default();
            explore_from(&scene, opening.clone(), *depth, &mut tally);
            assert!(tally.actions.contains(action), "{action} never came up: {:?}", tally.actions);
            plays += tally.plays;
        }
    }
    eprintln!("{plays} plays to depth 15");
    assert!(plays > 100_000, "only {plays} plays");
}

/// A password changed by the client itself needs the leave that a second factor earned.
#[test]
fn no_order_of_events_changes_a_password_without_leave() {
    let scene = Scene { rules: rules(FirstAlone::Accept, FirstAlone::Accept, OnOutage::Open, 3), request: request(Shape::Changes) };
    let mut tally = Tally::default();
    explore(&scene, &alphabet(), &mut Story::new(), 7, &mut tally);
    assert_eq!(tally.grants, BTreeSet::from([Grant::Factor.as_str()]));
    assert!(tally.actions.contains("check") && !tally.actions.contains("start"));
}

/// What an earlier login earned stands in for the second factor alone, of that person, in a login that gave no code of its own (M-40, M-41, M-42).
#[test]
fn m_42_no_order_of_events_remembers_anybody_who_may_not_be() {
    let plain = rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Open, 3);
    let lines = [
        (Shape::Asks, remembering(&plain), "remembered"),
        (Shape::Appended, remembering(&plain), "factor"),
        (Shape::Word, remembering(&plain), "factor"),
        (Shape::Late, remembering(&plain), "remembered"),
        (Shape::Renews, remembering(&plain), "remembered"),
        (Shape::Joins, Arc::clone(&plain), "joined"),
        (Shape::Joins, remembering(&plain), "joined"),
        (Shape::Hashed, remembering(&plain), "factor"),
    ];
    let mut plays = 0;
    for (shape, rules, grant) in lines {
        let scene = Scene { rules, request: request(shape) };
        let expected = |tally: &Tally| {
            let memories: Vec<&str> = tally.grants.iter().copied().filter(|grant| ["joined", "remembered"].contains(grant)).collect();
            assert!(memories.iter().all(|memory| *memory == grant), "{memories:?} instead of {grant}");
        };
        let mut tally = Tally::default();
        explore_from(&scene, vec![Event::Begin, Event::Hinted(Ok(None))], 5, &mut tally);
        expected(&tally);
        assert!(tally.grants.contains(grant), "nobody was let in as {grant}: {:?}", tally.grants);
        assert_eq!(tally.actions.contains("recognize"), !matches!(shape, Shape::Hashed));
        if tally.actions.contains("recognize") {
            explore_from(&scene, [passed(), vec![known(None)]].concat(), 4, &mut tally);
            expected(&tally);
        }
        let mut run_out = Tally::default();
        explore_from(&scene, ran_out().drain(..3).collect(), 4, &mut run_out);
        assert!(!run_out.actions.contains("recognize"), "nothing stands in for a password that has run out but a second factor");
        plays += tally.plays + run_out.plays;
    }
    eprintln!("{plays} plays of what is remembered");
    assert!(plays > 50_000, "only {plays} plays");
}

/// What answers the first factor's own question is no password: a login by it is not remembered.
#[test]
fn m_42_nothing_is_remembered_of_a_login_in_which_the_first_factor_asked() {
    let scene = Scene { rules: remembering(&rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Closed, 3)), request: request(Shape::Asks) };
    let mut opening = vec![Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::More)), said(TYPED), Event::Hinted(Ok(None))];
    opening.extend([Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Ok(enrolled()))]);
    let mut tally = Tally::default();
    explore_from(&scene, opening, 4, &mut tally);
    assert!(tally.grants.contains("factor") && !tally.actions.contains("recognize"));
}
