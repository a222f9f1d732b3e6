//! The second factor's part of a login: which method, what is asked, and what an answer means.

use std::sync::Arc;

use super::account::Account;
use super::account::Identity;
use super::account::Standing;
use super::account::Timestamp;
use super::block::Block;
use super::block::Blocked;
use super::change::Change;
use super::decision::Decision;
use super::decision::Denial;
use super::decision::FactorError;
use super::decision::Grant;
use super::decision::Number;
use super::decision::Outage;
use super::decision::Passed;
use super::decision::Permit;
use super::decision::Progress;
use super::decision::Ticket;
use super::dialogue;
use super::flow::Action;
use super::flow::Asking;
use super::flow::Flow;
use super::flow::Next;
use super::flow::Stage;
use super::flow::commit;
use super::flow::drop_for;
use super::flow::gone;
use super::flow::permit;
use super::flow::reject;
use super::memory::Memento;
use super::renewal;
use super::renewal::Expired;
use super::request::Appended;
use super::request::Approval;
use super::request::Primary;
use super::request::is_code;
use super::rules::Choice;
use super::rules::Method;
use super::rules::OnOutage;
use super::secret::Secret;
use super::texts::Texts;

/// What became of the first factor.
#[derive(Debug)]
pub(super) enum First {
    /// It is right and has run out.
    Expired(Expired),
    /// It passed.
    Passed(Passed),
    /// It passed with the leave that an earlier second factor earned.
    Renewed(Passed),
}

impl First {
    pub(super) fn identity(&self) -> &Identity {
        match self {
            Self::Expired(expired) => &expired.who,
            Self::Passed(passed) | Self::Renewed(passed) => &passed.0,
        }
    }
}

/// The second factor, asked method by method.
#[derive(Debug)]
pub(super) struct Second {
    pub(super) first: First,
    account: Arc<Account>,
    /// In the person's language.
    texts: Arc<Texts>,
    choices: Vec<Choice>,
    at: usize,
    heard: Heard,
    /// There are failures that a success will wipe out.
    pub(super) owes: bool,
    /// What later logins are told by, if the factor passes.
    pub(super) memento: Option<Box<Memento>>,
    /// A code that was typed before its method was asked for.
    code: Option<Secret>,
    /// How often the person was sent to the phone for the question that is out.
    rounds: u8,
    /// The number shown, and for which question.
    shown: Option<(Ticket, Number)>,
}

/// Why the methods tried so far could not be used.
#[derive(Debug, Default)]
struct Heard {
    /// This client cannot be asked for a code, or shown a number.
    mute: bool,
    misconfigured: bool,
    doubtful: bool,
    /// A method of the policy was left out, so nobody knows how its provider is.
    narrowed: bool,
    /// The person was rung too often.
    spent: bool,
    /// Those behind which nothing answers: a bit for each place in the choices, as they stand while none was left out.
    unreachable: u16,
}

/// What a person was asked.
#[derive(Debug)]
pub(super) enum Question {
    /// To approve on the phone, where this question stays out meanwhile.
    Approval(Ticket),
    /// For a code.
    Code(Option<Ticket>),
    /// Which method.
    Menu,
}

impl Second {
    fn new(first: First, account: Arc<Account>, texts: Arc<Texts>, choices: Vec<Choice>, owes: bool) -> Self {
        Self { first, account, texts, choices, at: 0, heard: Heard::default(), owes, memento: None, code: None, rounds: 0, shown: None }
    }

    /// Leaves out what is not meant. What is left is asked from the start.
    fn narrow(&mut self, wanted: impl Fn(&Choice) -> bool) {
        let before = self.choices.len();
        self.choices.retain(wanted);
        self.heard.narrowed |= self.choices.len() < before;
        (self.at, self.rounds, self.shown) = (0, 0, None);
    }

    /// Whether another method could be asked if the one whose turn it is came to nothing.
    pub(super) fn has_next(&self) -> bool {
        self.at.saturating_add(1) < self.choices.len()
    }

    /// A code can only be for methods that take one.
    fn take_code(&mut self, code: Secret) {
        self.narrow(|choice| choice.method == Method::Oath);
        self.code = Some(code);
    }
}

impl Flow {
    /// The account may be asked for its second factor.
    pub(super) fn second(&self, first: First, account: Arc<Account>, owes: bool) -> Next {
        let (choices, since) = (self.choices(&account), account.created_at);
        let texts = Arc::clone(self.rules.texts.of(account.language.as_deref()));
        let mut second = Second::new(first, account, texts, choices, owes);
        match &self.request.appended {
            Some(Appended::Code(code)) => second.take_code(code.clone()),
            Some(Appended::Method(method)) => second.narrow(|choice| choice.method == *method),
            None => {}
        }
        self.recognize(second, since)
    }

    /// Nothing stands in for the second factor: it is asked for.
    pub(super) fn ask(&self, second: Second) -> Next {
        if self.request.dialogue.late_ms > 0 && second.code.is_none() {
            let who = second.first.identity().clone();
            return (Stage::Recall(second), Action::Recall(who));
        }
        self.open(second)
    }

    /// A question that an earlier login left out is gone on with; else the asking begins.
    pub(super) fn recalled(&self, mut second: Second, recalled: Option<(Choice, Ticket)>) -> Next {
        let found = recalled.and_then(|(choice, ticket)| Some((second.choices.iter().position(|other| *other == choice)?, ticket)));
        let Some((at, ticket)) = found else { return self.open(second) };
        // First in line, so that the others come after it and none is passed over.
        let choice = second.choices.remove(at);
        second.choices.insert(0, choice);
        second.rounds = u8::from(self.by_enter());
        self.wait(second, ticket)
    }

    /// The policy's methods, the account's own first.
    fn choices(&self, account: &Account) -> Vec<Choice> {
        let mut choices = self.rules.methods.clone();
        choices.sort_by_key(|choice| Some(choice.method) != account.method);
        choices
    }

    /// Lets the person choose where there is a choice and nothing was chosen yet.
    fn open(&self, second: Second) -> Next {
        let asks = self.request.dialogue.menu && self.can_ask() && self.request.appended.is_none();
        match dialogue::menu(&second.choices, second.account.phone.as_deref(), &second.texts).filter(|_| asks) {
            Some(menu) => (Stage::Parked(second, Question::Menu), Action::Park(menu)),
            None => self.start(second),
        }
    }

    /// Asks by the method whose turn it is, or decides that there is none.
    fn start(&self, second: Second) -> Next {
        match self.asking(&second) {
            Some(asking) => (Stage::Start(second), Action::Start(asking)),
            None => self.exhausted(second),
        }
    }

    fn wait(&self, second: Second, ticket: Ticket) -> Next {
        match self.asking(&second) {
            Some(asking) => (Stage::Wait(second, ticket.clone()), Action::Wait(asking, ticket)),
            None => drop_for(Outage::Fault),
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
            identity: second.first.identity().clone(),
            account: Arc::clone(&second.account),
            choice,
            client: self.request.client.clone(),
            source: self.request.source,
            trace: self.trace,
        })
    }

    fn can_ask(&self) -> bool {
        self.request.dialogue.prompt.is_some()
    }

    fn by_enter(&self) -> bool {
        self.request.dialogue.approval == Approval::Enter && self.can_ask()
    }

    pub(super) fn progressed(&self, now: Timestamp, second: Second, progress: Progress) -> Next {
        match progress {
            Progress::Allowed { spend } => pass(second, Grant::Factor, spend),
            Progress::Choose { ticket, number } => self.choose(second, ticket, number),
            Progress::CodeNeeded { ticket } => self.code_needed(second, ticket),
            Progress::Denied { fraud: true } => self.fraud(now, &second),
            Progress::Denied { fraud: false } => reject(Denial::FactorDenied),
            Progress::Pending(ticket) => self.pending(second, ticket),
            Progress::Waived => pass(second, Grant::ProviderBypass, None),
        }
    }

    /// Whoever has the password is not the person: nobody comes in as them before the block ends.
    fn fraud(&self, now: Timestamp, second: &Second) -> Next {
        if self.rules.block_ms == 0 {
            return reject(Denial::FraudReported);
        }
        let whom = Blocked::Identity(second.first.identity().clone());
        commit(Decision::Reject(Denial::FraudReported), vec![Change::Block { whom, block: Block::fraud(now, self.rules.block_ms) }])
    }

    /// The question is out. A number that was shown stands for its own question alone (M-11, M-12).
    fn pending(&self, second: Second, ticket: Ticket) -> Next {
        match &second.shown {
            Some((shown, _)) if *shown != ticket => drop_for(Outage::Fault),
            None if second.rounds == 0 && self.by_enter() => self.send_to_phone(second, ticket),
            _ => self.wait(second, ticket),
        }
    }

    /// The question is out and has a number. Nobody waits for an answer to it before the person has seen the number; where it cannot be shown, the next method
    /// is tried, and with its start the question is taken back.
    fn choose(&self, mut second: Second, ticket: Ticket, number: Number) -> Next {
        let told = Some((ticket.clone(), number));
        if second.shown == told {
            return self.wait(second, ticket);
        }
        if second.shown.is_some() || second.rounds > 0 {
            return drop_for(Outage::Fault);
        }
        if !self.can_ask() {
            second.heard.mute = true;
            return self.start_next(second);
        }
        second.shown = told;
        self.send_to_phone(second, ticket)
    }

    fn send_to_phone(&self, mut second: Second, ticket: Ticket) -> Next {
        let text = dialogue::approve(second.shown.as_ref().map(|(_, number)| number), second.rounds > 0, &second.texts);
        second.rounds = second.rounds.saturating_add(1);
        (Stage::Parked(second, Question::Approval(ticket)), Action::Park(text))
    }

    /// The time is over and nobody has answered. Whoever was sent to the phone is sent again, a bounded number of times.
    pub(super) fn undecided(&self, second: Second, ticket: Ticket) -> Next {
        if (1..ROUNDS_MAX).contains(&second.rounds) { self.send_to_phone(second, ticket) } else { reject(Denial::NoAnswer) }
    }

    fn code_needed(&self, mut second: Second, ticket: Option<Ticket>) -> Next {
        if let Some(code) = second.code.clone() {
            return self.verify(second, ticket, code);
        }
        match &self.request.dialogue.prompt {
            Some(prompt) => {
                // The client's own is in the usual language.
                let foreign = self.rules.texts.foreign(second.account.language.as_deref());
                let prompt = foreign.map_or(prompt.as_str(), |texts| &texts.code_prompt).to_owned();
                (Stage::Parked(second, Question::Code(ticket)), Action::Park(prompt))
            }
            None => {
                second.heard.mute = true;
                self.start_next(second)
            }
        }
    }

    /// The person answered. What may have happened to the account meanwhile is looked at first.
    pub(super) fn answered(second: Second, question: Question, answer: &Primary) -> Next {
        let typed = match (answer.typed(), &question) {
            (Some(typed), _) => Secret::new(typed.expose().trim_ascii().to_vec()),
            (None, Question::Approval(_)) => Secret::default(),
            (None, Question::Code(_) | Question::Menu) => return reject(Denial::CodeNeeded),
        };
        let who = second.first.identity().clone();
        (Stage::Refind(second, question, typed), Action::Find(who))
    }

    /// Back from parking: what may have happened to the account meanwhile counts (M-19), and so does every other try (M-05).
    pub(super) fn found_again(&self, now: Timestamp, mut second: Second, question: Question, typed: Secret, standing: &Standing) -> Next {
        if let Some(denial) = gone(now, standing) {
            return reject(denial);
        }
        second.owes = standing.tries.failures > 0;
        match question {
            Question::Approval(_) if is_code(typed.expose()) && dialogue::takes_code(&second.choices) => self.start_with(second, typed),
            Question::Approval(ticket) => self.wait(second, ticket),
            Question::Code(ticket) => self.verify(second, ticket, typed),
            Question::Menu => self.chosen(now, second, typed),
        }
    }

    /// What is neither a number nor a word of the menu is a code, and where there are none a wrong one: it costs a try.
    fn chosen(&self, now: Timestamp, mut second: Second, typed: Secret) -> Next {
        match dialogue::picked(typed.expose(), &second.choices, &second.texts) {
            Some(method) => {
                second.narrow(|choice| choice.method == method);
                self.start(second)
            }
            None if dialogue::takes_code(&second.choices) => self.start_with(second, typed),
            None => self.count(now, second.first.identity().clone(), Denial::BadCode),
        }
    }

    fn start_with(&self, mut second: Second, code: Secret) -> Next {
        second.take_code(code);
        self.start(second)
    }

    pub(super) fn failed(&self, now: Timestamp, mut second: Second, error: FactorError) -> Next {
        match error {
            FactorError::BadCode => return self.count(now, second.first.identity().clone(), Denial::BadCode),
            FactorError::Expired => return reject(Denial::NoAnswer),
            FactorError::Locked => return reject(Denial::Locked),
            FactorError::Misconfigured => second.heard.misconfigured = true,
            FactorError::NoPin | FactorError::NotEnrolled => {}
            FactorError::PinExpired => return reject(Denial::PinExpired),
            FactorError::PushesSpent => second.heard.spent = true,
            FactorError::Faltering | FactorError::Throttled => second.heard.doubtful = true,
            FactorError::Unreachable => second.heard.unreachable |= bit(second.at),
        }
        self.start_next(second)
    }

    /// A factor that was asked a moment ago is not there any more. Who has it works: that is not what an outage looks like (M-14).
    pub(super) fn vanished(&self, mut second: Second) -> Next {
        second.heard.doubtful = true;
        self.start_next(second)
    }

    fn start_next(&self, mut second: Second) -> Next {
        second.at = second.at.saturating_add(1);
        (second.rounds, second.shown) = (0, None);
        self.start(second)
    }

    /// No method is left. Open in an outage means: unreachable was all we heard, of all there are (M-14).
    fn exhausted(&self, second: Second) -> Next {
        let heard = &second.heard;
        if heard.spent {
            return reject(Denial::PushesSpent);
        }
        if heard.misconfigured || heard.doubtful {
            return reject(Denial::FactorUnavailable);
        }
        if heard.mute {
            return reject(Denial::CodeNeeded);
        }
        match self.rules.outage {
            _ if heard.unreachable == 0 => reject(Denial::NoMethod),
            OnOutage::Open if heard.narrowed => reject(Denial::FactorUnavailable),
            OnOutage::Open if self.rules.outage_max_ms == 0 => look_again(second, Grant::FailOpen, None),
            OnOutage::Open => {
                let away = (0..).zip(&second.choices).filter(|(at, _)| heard.unreachable & bit(*at) != 0);
                let away = away.map(|(_, choice)| Arc::clone(&choice.provider)).collect();
                (Stage::Away(second), Action::Away(away))
            }
            OnOutage::Closed => reject(Denial::FactorUnavailable),
        }
    }

    /// An outage that lasts is nobody's surprise any more, and open doors are what somebody may be waiting for (M-14).
    pub(super) fn away(&self, second: Second, lasted_ms: Option<u64>) -> Next {
        match lasted_ms {
            Some(lasted_ms) if lasted_ms <= self.rules.outage_max_ms => look_again(second, Grant::FailOpen, None),
            _ => reject(Denial::FactorUnavailable),
        }
    }
}

/// Of a place; none of one behind sixteen others, so that an outage there opens nothing.
fn bit(at: usize) -> u16 {
    u32::try_from(at).ok().and_then(|at| 1_u16.checked_shl(at)).unwrap_or(0)
}

/// The person took their time: what has become of the account meanwhile?
pub(super) fn look_again(second: Second, why: Grant, spend: Option<Change>) -> Next {
    let who = second.first.identity().clone();
    (Stage::Confirm(second, why, spend.map(Box::new)), Action::Find(who))
}

pub(super) fn confirm(now: Timestamp, mut second: Second, why: Grant, spend: Option<Change>, standing: &Standing) -> Next {
    match gone(now, standing) {
        Some(denial) => reject(denial),
        None => {
            second.owes = standing.tries.failures > 0;
            pass(second, why, spend)
        }
    }
}

/// Nothing more is asked. What that is worth hangs on the first factor: behind a password that has run out a factor alone opens anything, and only the change.
fn pass(second: Second, why: Grant, spend: Option<Change>) -> Next {
    match second.first {
        // No factor that passed, no wrong codes forgiven.
        First::Passed(first) | First::Renewed(first) => {
            permit(Permit::new(why, first).keeping(second.memento), second.owes && why == Grant::Factor, spend.into_iter().collect())
        }
        First::Expired(expired) if why == Grant::Factor => renewal::due(expired, second.texts, spend),
        First::Expired(_) => reject(Denial::NotPermitted),
    }
}

/// How often somebody is sent to the phone for one question.
const ROUNDS_MAX: u8 = 3;
