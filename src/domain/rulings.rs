//! The rules of a login, each shown by one short login. The play beside this tries every other order.

use std::sync::Arc;

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
use super::decision::PasswordError;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::exempt::Exempt;
use super::flow::Action;
use super::flow::Event;
use super::flow::Flow;
use super::play::NOW;
use super::play::PASSWORD;
use super::play::Shape;
use super::play::TYPED;
use super::play::alice;
use super::play::burnt;
use super::play::choose;
use super::play::disabled;
use super::play::enrolled;
use super::play::locked;
use super::play::owing;
use super::play::push;
use super::play::refusal;
use super::play::request;
use super::play::rules;
use super::play::said;
use super::request::AuthRequest;
use super::request::Primary;
use super::request::Relayed;
use super::request::Trace;
use super::rules::Choice;
use super::rules::FirstAlone;
use super::rules::Method;
use super::rules::OnOutage;
use super::rules::Rules;
use super::secret::Secret;

const CODE_NEEDED: Event = Event::Progress(Ok(Progress::CodeNeeded { ticket: None }));
const BAD_CODE: Event = Event::Progress(Err(FactorError::BadCode));

/// Rules that let nobody in by the first factor alone.
fn strict() -> Arc<Rules> {
    rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Closed, 3)
}

/// One login by these events; the last action.
fn last(rules: Arc<Rules>, shape: Shape, events: Vec<Event>) -> Action {
    let mut flow = Flow::new(request(shape), rules, Trace::default());
    events.into_iter().fold(Action::Hint, |_, event| flow.next(NOW, event))
}

/// The events up to the question for the second factor, then `more`.
fn asked(standing: Standing, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let opening = [Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Ok(standing))];
    opening.into_iter().chain(more).collect()
}

fn failed() -> Action {
    Action::Commit(vec![Change::Fail { who: alice(), at: NOW, lock: strict().lock, tally: Tally::Common }])
}

#[test]
fn m_05_a_wrong_password_and_a_wrong_code_count_against_the_same_identity() {
    let wrong_password = Event::Checked(Err(refusal(Some(alice()), Refused::WrongPassword)));
    assert_eq!(last(strict(), Shape::Asks, vec![Event::Begin, Event::Hinted(Ok(None)), wrong_password]), failed());
    assert_eq!(last(strict(), Shape::Appended, asked(enrolled(), [CODE_NEEDED, BAD_CODE])), failed());
    let answer = [CODE_NEEDED, Event::Answer(Primary::Password(Secret::from(TYPED))), Event::Found(Ok(enrolled())), BAD_CODE];
    assert_eq!(last(strict(), Shape::Asks, asked(enrolled(), answer)), failed());
}

#[test]
fn m_03_a_code_spent_by_somebody_quicker_is_a_wrong_code() {
    let allowed = Event::Progress(Ok(Progress::Allowed { spend: Some(burnt()) }));
    let events = asked(enrolled(), [CODE_NEEDED, allowed, Event::Committed(Err(CommitError::Spent))]);
    assert_eq!(last(strict(), Shape::Appended, events), failed());
}

#[test]
fn m_05_a_new_challenge_is_no_way_around_the_lock() {
    let events = asked(enrolled(), [CODE_NEEDED, Event::Answer(Primary::Password(Secret::from(TYPED))), Event::Found(Ok(locked()))]);
    assert_eq!(last(strict(), Shape::Asks, events), Action::Finish(Decision::Reject(Denial::Locked)));
}

#[test]
fn m_05_a_success_ends_the_count_before_anybody_is_let_in() {
    let allowed = Event::Progress(Ok(Progress::Allowed { spend: None }));
    assert_eq!(last(strict(), Shape::Asks, asked(owing(), [allowed])), Action::Commit(vec![Change::Succeed(alice(), Tally::Common)]));
}

#[test]
fn m_14_open_in_an_outage_means_unreachable_was_all_we_heard() {
    let open = rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Open, 3);
    let heard = |error: FactorError| Event::Progress(Err(error));
    let accepts = |second| {
        let events = asked(enrolled(), [heard(FactorError::Unreachable), second]);
        let looked_at = [events.clone(), vec![Event::Found(Ok(enrolled()))]].concat();
        [events, looked_at].into_iter().any(|events| matches!(last(Arc::clone(&open), Shape::Bare, events), Action::Finish(Decision::Accept(_))))
    };
    assert!(accepts(heard(FactorError::Unreachable)));
    assert!(accepts(heard(FactorError::NotEnrolled)));
    assert!(!accepts(heard(FactorError::Misconfigured)));
    assert!(!accepts(heard(FactorError::Throttled)));
    assert!(!accepts(heard(FactorError::PushesSpent)));
    assert!(!accepts(heard(FactorError::Faltering)));
    assert!(!accepts(heard(FactorError::Expired)));
    assert!(!accepts(CODE_NEEDED));
    let unreachable = || heard(FactorError::Unreachable);
    let disabled_meanwhile = asked(enrolled(), [unreachable(), unreachable(), Event::Found(Ok(disabled()))]);
    assert_eq!(last(Arc::clone(&open), Shape::Bare, disabled_meanwhile), Action::Finish(Decision::Reject(Denial::Disabled)));
}

#[test]
fn m_14_a_factor_that_goes_away_after_it_was_asked_opens_nothing() {
    let open = rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Open, 3);
    let heard = |error: FactorError| Event::Progress(Err(error));
    let pending = Event::Progress(Ok(Progress::Pending(Ticket("q1".into()))));
    let lines = [
        (Shape::Bare, vec![pending, heard(FactorError::NotEnrolled), heard(FactorError::Unreachable)]),
        (Shape::Asks, vec![heard(FactorError::Unreachable), CODE_NEEDED, said(TYPED), Event::Found(Ok(enrolled())), heard(FactorError::NotEnrolled)]),
    ];
    for (shape, events) in lines {
        assert_eq!(last(Arc::clone(&open), shape, asked(enrolled(), events)), Action::Finish(Decision::Reject(Denial::FactorUnavailable)));
    }
}

#[test]
fn m_15_a_directory_that_does_not_answer_is_not_a_person_without_an_account() {
    let lenient = rules(FirstAlone::Accept, FirstAlone::Reject, OnOutage::Closed, 3);
    let opening = [Event::Begin, Event::Hinted(Ok(None))];
    let ends = |event| last(Arc::clone(&lenient), Shape::Asks, opening.iter().cloned().chain(event).collect());
    let away = Event::Checked(Err(PrimaryError::Outage(Outage::Directory)));
    assert_eq!(ends(vec![away]), Action::Finish(Decision::Drop(Outage::Directory)));
    let unread = vec![Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Err(Outage::Store))];
    assert_eq!(ends(unread), Action::Finish(Decision::Drop(Outage::Store)));
    let nobody = vec![Event::Checked(Ok(Checked::Passed(alice()))), Event::Found(Ok(Standing::default()))];
    assert!(matches!(ends(nobody), Action::Finish(Decision::Accept(permit)) if permit.why() == Grant::Unenrolled));
}

#[test]
fn m_18_no_error_is_ever_a_pass() {
    let errors =
        [FactorError::Misconfigured, FactorError::NotEnrolled, FactorError::Throttled, FactorError::Unreachable].map(|error| Event::Progress(Err(error)));
    for first in &errors {
        for second in &errors {
            let last = last(strict(), Shape::Asks, asked(enrolled(), [first.clone(), second.clone()]));
            assert!(matches!(last, Action::Finish(Decision::Reject(Denial::FactorUnavailable | Denial::NoMethod))), "{first:?}, {second:?}: {last:?}");
        }
    }
}

#[test]
fn m_19_an_account_disabled_while_the_question_was_open_stays_out() {
    let answered = |standing| asked(enrolled(), [CODE_NEEDED, Event::Answer(Primary::Password(Secret::from(TYPED))), Event::Found(Ok(standing))]);
    assert_eq!(last(strict(), Shape::Asks, answered(disabled())), Action::Finish(Decision::Reject(Denial::Disabled)));
    assert_eq!(last(strict(), Shape::Asks, answered(Standing::default())), Action::Finish(Decision::Reject(Denial::Unenrolled)));
}

#[test]
fn m_23_a_code_is_not_looked_at_before_the_password_passed() {
    assert_eq!(last(strict(), Shape::Appended, vec![Event::Begin, Event::Hinted(Ok(Some(enrolled())))]), Action::Check);
    assert!(matches!(last(strict(), Shape::Appended, asked(enrolled(), [])), Action::Start(_)));
}

#[test]
fn r_083_each_round_of_a_relayed_first_factor_begins_with_the_lock_and_the_name() {
    let asks = [Event::Begin, Event::Hinted(Ok(None)), Event::Checked(Ok(Checked::More)), said(TYPED)];
    let then = |events: Vec<Event>| last(strict(), Shape::Asks, asks.iter().cloned().chain(events).collect::<Vec<_>>());
    assert_eq!(then(Vec::new()), Action::Hint);
    assert_eq!(then(vec![Event::Hinted(Ok(Some(locked())))]), Action::Finish(Decision::Reject(Denial::Locked)));
    assert_eq!(then(vec![Event::Hinted(Ok(Some(enrolled())))]), Action::Check);
    let unnamed = Primary::Relayed(Relayed { packet: Secret::default(), proof: Secret::default(), typed: None, named: false });
    let became_eap = asks.iter().take(3).cloned().chain([Event::Answer(unnamed)]).collect::<Vec<_>>();
    assert_eq!(last(strict(), Shape::Asks, became_eap), Action::Finish(Decision::Reject(Denial::OutOfTurn)));
}

#[test]
fn r_044_a_wrong_answer_uses_the_challenge_up() {
    let wrong = [CODE_NEEDED, Event::Answer(Primary::Password(Secret::from(TYPED))), Event::Found(Ok(enrolled())), BAD_CODE, Event::Committed(Ok(()))];
    let events = asked(enrolled(), wrong);
    assert_eq!(last(strict(), Shape::Asks, events.clone()), Action::Finish(Decision::Reject(Denial::BadCode)));
    let again = events.into_iter().chain([Event::Answer(Primary::Password(Secret::from(TYPED)))]).collect();
    assert_eq!(last(strict(), Shape::Asks, again), Action::Finish(Decision::Drop(Outage::Fault)));
}

fn pending(ticket: &str) -> Event {
    Event::Progress(Ok(Progress::Pending(Ticket(ticket.into()))))
}

#[test]
fn m_11_a_number_stands_for_its_own_question_alone() {
    let shown = [Event::Progress(Ok(choose("q1", "42"))), said(""), Event::Found(Ok(enrolled()))];
    let then = |event: Event| last(strict(), Shape::Asks, asked(enrolled(), shown.iter().cloned().chain([event])));
    assert!(matches!(then(pending("q1")), Action::Wait(_, ticket) if &*ticket.0 == "q1"));
    for other in [pending("q2"), Event::Progress(Ok(choose("q1", "17"))), Event::Progress(Ok(choose("q2", "42")))] {
        assert_eq!(then(other), Action::Finish(Decision::Drop(Outage::Fault)));
    }
}

#[test]
fn m_14_a_question_taken_over_passes_no_method_over() {
    let open = rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Open, 3);
    let oath = Choice::new(Method::Oath, "tokens");
    let events = asked(enrolled(), [Event::Recalled(Some((oath, Ticket("q0".into())))), Event::Progress(Err(FactorError::Unreachable))]);
    let Action::Start(asking) = last(open, Shape::Late, events) else { panic!("the push was passed over") };
    assert_eq!(asking.choice, push());
}

#[test]
fn m_12_without_leave_to_be_late_nobody_looks_for_an_earlier_question() {
    assert!(matches!(last(strict(), Shape::Late, asked(enrolled(), [])), Action::Recall(who) if who == alice()));
    for shape in [Shape::Appended, Shape::Asks, Shape::Bare, Shape::Enter] {
        assert!(matches!(last(strict(), shape, asked(enrolled(), [])), Action::Start(_)));
    }
}

#[test]
fn m_19_whoever_was_locked_out_while_approving_stays_out() {
    let early = [pending("q1"), said(""), Event::Found(Ok(locked()))];
    assert_eq!(last(strict(), Shape::Enter, asked(enrolled(), early)), Action::Finish(Decision::Reject(Denial::Locked)));
    let late = [pending("q1"), said(""), Event::Found(Ok(enrolled())), Event::Progress(Ok(Progress::Allowed { spend: None })), Event::Found(Ok(disabled()))];
    assert_eq!(last(strict(), Shape::Enter, asked(enrolled(), late)), Action::Finish(Decision::Reject(Denial::Disabled)));
}

/// Up to the second factor of a password that was right and has run out, then `more`.
fn ran_out(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let expired = Event::Checked(Err(refusal(Some(alice()), Refused::PasswordExpired)));
    [Event::Begin, Event::Hinted(Ok(None)), expired, Event::Found(Ok(enrolled()))].into_iter().chain(more).collect()
}

const PASSED: Event = Event::Progress(Ok(Progress::Allowed { spend: None }));

#[test]
fn r_095_a_new_password_is_asked_for_behind_a_factor_that_passed_alone() {
    assert!(matches!(last(strict(), Shape::Renews, ran_out([])), Action::Start(_)));
    assert!(matches!(last(strict(), Shape::Renews, ran_out([PASSED])), Action::Park(_)));
    let open = rules(FirstAlone::Accept, FirstAlone::Accept, OnOutage::Open, 3);
    let waived = Event::Progress(Ok(Progress::Waived));
    assert_eq!(last(Arc::clone(&open), Shape::Renews, ran_out([waived])), Action::Finish(Decision::Reject(Denial::NotPermitted)));
    let away = Event::Progress(Err(FactorError::Unreachable));
    let all_away = ran_out([away.clone(), away, Event::Found(Ok(enrolled()))]);
    assert_eq!(last(Arc::clone(&open), Shape::Renews, all_away), Action::Finish(Decision::Reject(Denial::NotPermitted)));
    for shape in [Shape::Asks, Shape::Bare] {
        assert_eq!(last(Arc::clone(&open), shape, ran_out([]).drain(..3).collect()), Action::Finish(Decision::Reject(Denial::NotPermitted)));
    }
}

#[test]
fn r_095_the_offers_of_a_new_password_are_few() {
    let typed = |one: &str, two: &str| vec![said(one), said(two)];
    let different = || typed("one", "two");
    let fewer = [vec![PASSED], different(), different()].concat();
    assert!(matches!(last(strict(), Shape::Renews, ran_out(fewer.clone())), Action::Park(_)));
    let more = [fewer, different()].concat();
    assert_eq!(last(strict(), Shape::Renews, ran_out(more)), Action::Finish(Decision::Reject(Denial::NotPermitted)));
    let refused = || [typed("new", "new"), vec![Event::Found(Ok(enrolled())), Event::Changed(Err(PasswordError::Refused))]].concat();
    let often = |count: usize| [vec![PASSED], std::iter::repeat_with(refused).take(count).flatten().collect()].concat();
    assert!(matches!(last(strict(), Shape::Renews, ran_out(often(3))), Action::Park(_)));
    assert_eq!(last(strict(), Shape::Renews, ran_out(often(4))), Action::Finish(Decision::Reject(Denial::NotPermitted)));
    let empty = [vec![PASSED], typed("", "")].concat();
    assert!(matches!(last(strict(), Shape::Renews, ran_out(empty)), Action::Park(_)), "an empty password was offered");
}

#[test]
fn r_095_only_a_change_for_that_very_identity_lets_in() {
    let offered = |changed| ran_out([PASSED, said("new"), said("new"), Event::Found(Ok(enrolled())), Event::Changed(changed)]);
    assert!(matches!(last(strict(), Shape::Renews, offered(Ok(alice()))), Action::Finish(Decision::Accept(permit)) if permit.why() == Grant::Factor));
    assert_eq!(last(strict(), Shape::Renews, offered(Ok(Identity("S-1-5-18".into())))), Action::Finish(Decision::Drop(Outage::Fault)));
    assert_eq!(last(strict(), Shape::Renews, offered(Err(PasswordError::WrongOld))), failed());
    let away = offered(Err(PasswordError::Outage(Outage::Directory)));
    assert_eq!(last(strict(), Shape::Renews, away), Action::Finish(Decision::Drop(Outage::Directory)));
}

#[test]
fn r_095_blanks_are_part_of_a_new_password() {
    let events = ran_out([PASSED, said(" new "), said(" new "), Event::Found(Ok(enrolled()))]);
    assert_eq!(last(strict(), Shape::Renews, events), Action::ChangePassword { old: PASSWORD.into(), new: " new ".into() });
}

/// The last action of a login in which alice is exempt until the moment after this one.
fn exempt(until: u64, events: Vec<Event>) -> Action {
    let exempt = vec![Exempt { who: alice(), directory: "corp".into(), until: Timestamp(until) }];
    let mut flow = Flow::new(AuthRequest { exempt, ..request(Shape::Bare) }, strict(), Trace::default());
    events.into_iter().fold(Action::Hint, |_, event| flow.next(NOW, event))
}

#[test]
fn l_082_m_46_an_exemption_is_of_whom_the_first_factor_proved_and_ends() {
    assert!(matches!(exempt(NOW.0 + 1, asked(enrolled(), [])), Action::Finish(Decision::Accept(permit)) if permit.why() == Grant::Exempt));
    assert!(matches!(exempt(NOW.0, asked(enrolled(), [])), Action::Start(_)), "its time is over");
    let another = Event::Checked(Ok(Checked::Passed(Identity("S-1-5-21-9".into()))));
    let taken_for_another = vec![Event::Begin, Event::Hinted(Ok(Some(enrolled()))), another, Event::Found(Ok(enrolled()))];
    assert!(matches!(exempt(NOW.0 + 1, taken_for_another), Action::Start(_)));
}

#[test]
fn l_082_an_exempt_account_is_locked_like_others_and_its_wrong_passwords_count() {
    let wrong = Event::Checked(Err(refusal(Some(alice()), Refused::WrongPassword)));
    let counted = Action::Commit(vec![Change::Fail { who: alice(), at: NOW, lock: strict().lock, tally: Tally::Exempt }]);
    assert_eq!(exempt(NOW.0 + 1, vec![Event::Begin, Event::Hinted(Ok(None)), wrong.clone()]), counted);
    assert_eq!(exempt(NOW.0, vec![Event::Begin, Event::Hinted(Ok(None)), wrong]), failed(), "the exemption is over");
    let forgiven = Action::Commit(vec![Change::Succeed(alice(), Tally::Exempt)]);
    assert_eq!(exempt(NOW.0 + 1, asked(owing(), [])), forgiven, "its own count alone");
    let hinted = vec![Event::Begin, Event::Hinted(Ok(Some(locked())))];
    assert_eq!(exempt(NOW.0 + 1, hinted), Action::Finish(Decision::Reject(Denial::Locked)));
    assert_eq!(exempt(NOW.0 + 1, asked(locked(), [])), Action::Finish(Decision::Reject(Denial::Locked)));
    assert_eq!(exempt(NOW.0 + 1, asked(disabled(), [])), Action::Finish(Decision::Reject(Denial::Disabled)));
}
