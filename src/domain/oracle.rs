//! The oracle of the play: it sees the history of a login alone, and says what may have happened and who may come in.

use super::account;
use super::account::Identity;
use super::account::Standing;
use super::block::Block;
use super::block::Blocked;
use super::change::Change;
use super::change::CommitError;
use super::decision::Checked;
use super::decision::Decision;
use super::decision::Denial;
use super::decision::FactorError;
use super::decision::Grant;
use super::decision::PasswordError;
use super::decision::Permit;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::flow::Action;
use super::flow::Event;
use super::memory::Memory;
use super::play::NOW;
use super::play::PASSWORD;
use super::play::PROMPT;
use super::play::Scene;
use super::play::Tally;
use super::play::burnt;
use super::request::Appended;
use super::request::Primary;
use super::rules::FirstAlone;
use super::rules::OnOutage;
use super::secret::Secret;

/// What happened so far: each event with the action it caused.
pub(super) type Story = Vec<(Event, Action)>;

pub(super) fn told(story: &Story) -> String {
    story.iter().map(|(event, action)| format!("> {event:?}\n< {action:?}\n")).collect()
}

/// What must hold after each step, whatever came before. Looks at events and actions, never into the flow.
pub(super) fn judge(scene: &Scene, story: &Story, tally: &mut Tally) {
    let Some((event, action)) = story.last() else { return };
    let (known, proven) = (known(scene, story), proven(story));
    let (name, may) = match action {
        Action::Away(providers) => ("away", scene.rules.outage_max_ms > 0 && all_away(scene, story) && *providers == unreachable(story)),
        Action::ChangePassword { old, new } => ("change", may_be_changed(scene, story, old, new)),
        Action::Check => ("check", may_be_checked(scene, story)),
        Action::Commit(changes) => ("commit", may_be_written(scene, story, changes)),
        Action::Find(who) => ("find", Some(who) == known.as_ref() && groups_admit(scene, story)),
        Action::Finish(Decision::Accept(permit)) => {
            tally.grants.insert(permit.why().as_str());
            let theirs = Some(permit.identity()) == proven.as_ref();
            ("accept", theirs && allows(scene, story, permit.why()) && may_be_kept(story, permit))
        }
        Action::Finish(Decision::Reject(Denial::MustChange)) => ("reject", count(story, |action| matches!(action, Action::GiveLeave(_))) == 1),
        // Only somebody whose password was right hears of enrolment.
        Action::Finish(Decision::Reject(Denial::Unenrolled)) => ("reject", known.is_some() && matches!(event, Event::Found(Ok(_)))),
        Action::Finish(_) => ("finish", true),
        Action::GiveLeave(who) => {
            let hashed = matches!(scene.request.primary, Primary::MsChap2 { .. });
            ("give_leave", hashed && run_out(scene, story).as_ref() == Some(who) && factor_passed(story) && welcome(scene, story))
        }
        // Once in each login, of whoever's password was right.
        Action::Groups { who, wanted } => {
            let once = count(story, |action| matches!(action, Action::Groups { .. })) == 1;
            ("groups", once && Some(who) == known.as_ref() && !wanted.is_empty() && *wanted == scene.rules.groups.wanted())
        }
        // At the start, and again with every answer to the first factor's own question.
        Action::Hint => ("hint", begins(scene, story) || matches!(event, Event::Answer(_)) && answers_relay(story)),
        Action::Hour => ("hour", matches!(event, Event::Begin) && story.len() == 1 && !scene.rules.hours.is_empty()),
        Action::Park(text) => ("park", scene.can_ask() && welcome(scene, story) && may_be_said(scene, story, text)),
        Action::Recall(who) => ("recall", scene.request.dialogue.late_ms > 0 && known.as_ref() == Some(who) && welcome(scene, story)),
        Action::Recognize { who, .. } => ("recognize", may_be_recognized(scene, story, who)),
        Action::Relay => ("relay", matches!(event, Event::Checked(Ok(Checked::More))) && proven.is_none()),
        Action::Start(asking) => ("start", Some(&asking.identity) == known.as_ref() && welcome(scene, story)),
        Action::TakeLeave => ("take_leave", may_be_asked(scene, event) && matches!(scene.request.primary, Primary::MsChap2Change { .. })),
        Action::Verify(asking, _, code) => ("verify", Some(&asking.identity) == known.as_ref() && welcome(scene, story) && was_typed(scene, story, code)),
        Action::Wait(asking, ticket) => ("wait", Some(&asking.identity) == known.as_ref() && welcome(scene, story) && was_shown(story, ticket)),
    };
    assert!(may, "{name}:\n{}", told(story));
    tally.actions.insert(name);
    let is_refusal = matches!(event, Event::Checked(Err(_))) && run_out(scene, story).is_none();
    if is_refusal || matches!(event, Event::Progress(Err(FactorError::BadCode)) | Event::Changed(Err(PasswordError::WrongOld))) {
        assert!(matches!(action, Action::Commit(_) | Action::Finish(Decision::Drop(_) | Decision::Reject(_))), "{}", told(story));
    }
}

/// Nothing is before it but the hour, where that counts.
fn begins(scene: &Scene, story: &Story) -> bool {
    match story.iter().map(|(event, _)| event).collect::<Vec<_>>().as_slice() {
        [Event::Begin] => scene.rules.hours.is_empty(),
        [Event::Begin, Event::Hour(hour)] => scene.rules.hours.contain(*hour),
        _ => false,
    }
}

/// Whether the directory was asked about the groups that decide, and keeps this person not out by its answer (M-47).
fn groups_admit(scene: &Scene, story: &Story) -> bool {
    let groups = &scene.rules.groups;
    let mut heard = answers(story, |action| matches!(action, Action::Groups { .. }));
    groups.is_empty()
        || heard.any(|event| match event {
            Event::Groups(Ok(Some(theirs))) => {
                let within = |wanted: &[String]| theirs.iter().any(|group| wanted.contains(group));
                !within(&groups.denied) && (groups.required.is_empty() || within(&groups.required))
            }
            Event::Groups(Ok(None) | Err(_)) => groups.required.is_empty() && groups.denied.is_empty(),
            _ => false,
        })
}

/// Whether the directory says that this person is in a group that is exempt.
fn in_exempt_group(scene: &Scene, story: &Story) -> bool {
    answers(story, |action| matches!(action, Action::Groups { .. })).any(|event| match event {
        Event::Groups(Ok(Some(theirs))) => theirs.iter().any(|group| scene.rules.groups.exempt.contains(group)),
        _ => false,
    })
}

fn answers_relay(story: &Story) -> bool {
    matches!(story.as_slice(), [.., (_, Action::Relay), _])
}

/// The first factor is asked once, and once more for each answer to a question of its own; each time after a fresh look at whom the name means.
fn may_be_checked(scene: &Scene, story: &Story) -> bool {
    let hinted = story.iter().rfind(|(event, _)| matches!(event, Event::Hinted(_))).is_some_and(|(event, _)| may_be_asked(scene, event));
    let hinted = hinted && count(story, |action| *action == Action::Hint) == count(story, |action| *action == Action::Check);
    let checks = count(story, |action| *action == Action::Check);
    let questions = count(story, |action| *action == Action::Relay);
    let leave = !matches!(scene.request.primary, Primary::MsChap2Change { .. }) || leave(story).is_some();
    hinted && leave && proven(story).is_none() && checks == questions.saturating_add(1)
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
    kept_out(standing) || (disabled && scene.rules.disabled == FirstAlone::Reject)
}

/// Locked or blocked, under whatever policy.
fn kept_out(standing: &Standing) -> bool {
    standing.tries.locked(NOW) || standing.block.as_ref().is_some_and(|block| NOW < block.until)
}

/// The password that was right is changed for one that was typed twice alike, behind a factor that passed.
fn may_be_changed(scene: &Scene, story: &Story, old: &Secret, new: &Secret) -> bool {
    let typed: Vec<&Secret> = story.iter().filter_map(|(event, _)| if let Event::Answer(answer) = event { answer.typed() } else { None }).collect();
    let twice = matches!(typed.as_slice(), [.., one, two] if *one == new && *two == new);
    let right = matches!(&scene.request.primary, Primary::Password(password) if password == old && *old == PASSWORD.into());
    twice && right && run_out(scene, story).is_some() && factor_passed(story) && welcome(scene, story)
}

/// What is written is the failure of whoever failed, or what the proven person spends.
fn may_be_written(scene: &Scene, story: &Story, changes: &[Change]) -> bool {
    if let Some(who) = whose_failure(scene, story) {
        let tally = held_to(scene, &who);
        return *changes == [Change::Fail { who, at: NOW, lock: scene.rules.lock, tally }];
    }
    let who = known(scene, story);
    if let (Some((Event::Progress(Ok(Progress::Denied { fraud: true })), _)), Some(who)) = (story.last(), &who) {
        let block = Block::fraud(NOW, scene.rules.block_ms);
        return scene.rules.block_ms > 0 && *changes == [Change::Block { whom: Blocked::Identity(who.clone()), block }];
    }
    let theirs = changes.iter().all(|change| Some(owner(change)) == who.as_ref() || *change == burnt());
    // A password alone forgives no wrong codes (M-05), and where it is all that is asked for it forgives wrong passwords from there (L-082).
    let may = |change: &Change| match change {
        Change::Succeed(who, account::Tally::Exempt) => held_to(scene, who) == account::Tally::Exempt,
        Change::Succeed(_, account::Tally::Common) => may_forgive(story),
        _ => true,
    };
    theirs && changes.iter().all(may)
}

/// Whose count it is: that of where somebody is exempt counts for nobody elsewhere.
fn held_to(scene: &Scene, who: &Identity) -> account::Tally {
    let exempt = scene.request.exempt.iter().any(|exempt| exempt.who == *who && NOW < exempt.until);
    if exempt { account::Tally::Exempt } else { account::Tally::Common }
}

/// Failures are wiped out by a second factor, or for somebody who has none to guess at (M-05).
fn may_forgive(story: &Story) -> bool {
    let passed = story.iter().any(|(event, _)| matches!(event, Event::Progress(Ok(Progress::Allowed { .. }))));
    passed || leave(story).is_some() || standing(story).is_some_and(|standing| standing.account.as_ref().is_none_or(|account| !account.enabled))
}

/// Each text has its place.
fn may_be_said(scene: &Scene, story: &Story, text: &str) -> bool {
    let event = story.last().map(|(event, _)| event);
    let nothing_came = scene.request.appended.is_none();
    if text == PROMPT {
        return nothing_came && matches!(event, Some(Event::Progress(Ok(Progress::CodeNeeded { .. }))));
    }
    let texts = scene.rules.texts.usual();
    if [&texts.expired, &texts.again, &texts.different, &texts.not_taken].into_iter().any(|renewal| text == *renewal) {
        return run_out(scene, story).is_some() && factor_passed(story);
    }
    if text.ends_with("press Enter.") {
        let since = story.iter().rposition(|(_, action)| matches!(action, Action::Start(_))).unwrap_or_default();
        let sent = story.iter().skip(since).filter(|(_, action)| matches!(action, Action::Park(_))).count();
        return sent <= 3 && matches!(event, Some(Event::Expired | Event::Progress(Ok(Progress::Choose { .. } | Progress::Pending(_)))));
    }
    nothing_came && scene.request.dialogue.menu && count(story, |action| matches!(action, Action::Start(_) | Action::Park(_))) == 1
}

/// Nobody waits for an answer to a question with a number that was not shown (M-11). A ticket is its own provider's: after a new start it means another.
fn was_shown(story: &Story, ticket: &Ticket) -> bool {
    let since = story.iter().rposition(|(_, action)| matches!(action, Action::Start(_))).map_or(0, |at| at.saturating_add(1));
    story.iter().skip(since).all(|(event, _)| match event {
        Event::Progress(Ok(Progress::Choose { ticket: theirs, number })) if theirs == ticket => {
            let text = format!("Choose {} on your phone", number.as_str());
            count(story, |action| matches!(action, Action::Park(said) if said.contains(&text))) > 0
        }
        _ => true,
    })
}

fn count(story: &Story, wanted: impl Fn(&Action) -> bool) -> usize {
    story.iter().filter(|(_, action)| wanted(action)).count()
}

/// What came back when `asked` was what the flow wanted.
fn answers<'a>(story: &'a Story, asked: impl Fn(&Action) -> bool + 'a) -> impl DoubleEndedIterator<Item = &'a Event> {
    story.iter().zip(story.iter().skip(1)).filter(move |((_, action), _)| asked(action)).map(|(_, (event, _))| event)
}

/// Whose first factor passed, if the check was asked for and answered yes, or the password was changed.
fn proven(story: &Story) -> Option<Identity> {
    let checked = answers(story, |action| *action == Action::Check).find_map(|event| match event {
        Event::Checked(Ok(Checked::Passed(who))) => Some(who.clone()),
        _ => None,
    });
    checked.or_else(|| {
        answers(story, |action| matches!(action, Action::ChangePassword { .. })).find_map(|event| match event {
            Event::Changed(Ok(who)) => Some(who.clone()),
            _ => None,
        })
    })
}

/// Whose password was right and has run out, where something can be done about it.
fn run_out(scene: &Scene, story: &Story) -> Option<Identity> {
    let can = match &scene.request.primary {
        Primary::MsChap2 { .. } => true,
        Primary::Password(_) => scene.request.dialogue.change && scene.can_ask(),
        _ => false,
    };
    let who = answers(story, |action| *action == Action::Check).find_map(|event| match event {
        Event::Checked(Err(PrimaryError::Refused { who, why: Refused::PasswordExpired })) => who.clone(),
        _ => None,
    });
    who.filter(|_| can)
}

/// Whose first factor was right.
fn known(scene: &Scene, story: &Story) -> Option<Identity> {
    run_out(scene, story).or_else(|| proven(story))
}

/// Whose leave was taken.
fn leave(story: &Story) -> Option<Identity> {
    answers(story, |action| *action == Action::TakeLeave).find_map(|event| if let Event::Leave(who) = event { who.clone() } else { None })
}

/// What is held about the known identity, as last read.
fn standing(story: &Story) -> Option<&Standing> {
    let read = answers(story, |action| matches!(action, Action::Find(_))).rev().find_map(|event| match event {
        Event::Found(found) => Some(found.as_ref()),
        _ => None,
    });
    read.and_then(Result::ok)
}

/// The first factor was right and the account may be asked for the second (invariant 7: no push for a wrong password).
fn welcome(scene: &Scene, story: &Story) -> bool {
    known(scene, story).is_some()
        && standing(story).is_some_and(|standing| !barred(scene, standing) && standing.account.as_ref().is_some_and(|account| account.enabled))
}

/// Whose count of failures this step must raise.
fn whose_failure(scene: &Scene, story: &Story) -> Option<Identity> {
    match story.last().map(|(event, _)| event) {
        Some(Event::Checked(Err(PrimaryError::Refused { who, why: Refused::WrongPassword }))) => who.clone(),
        Some(Event::Changed(Err(PasswordError::WrongOld)) | Event::Progress(Err(FactorError::BadCode)) | Event::Committed(Err(CommitError::Spent))) => {
            known(scene, story)
        }
        _ => None,
    }
}

/// Whether this is a code that the person gave; an answer to the first factor's own question is none.
fn was_typed(scene: &Scene, story: &Story, code: &Secret) -> bool {
    let mut answers = answers(story, |action| matches!(action, Action::Park(_)));
    let came = matches!(&scene.request.appended, Some(Appended::Code(appended)) if appended == code);
    came || answers.any(|event| matches!(event, Event::Answer(answer) if answer.typed() == Some(code)))
}

fn owner(change: &Change) -> &Identity {
    match change {
        Change::Succeed(who, _) | Change::SpendBypass { who, .. } | Change::UseBackup { who, .. } | Change::UseOtp { who, .. } => who,
        other => panic!("a login does not write {other:?}"),
    }
}

/// Whether this history is reason enough to let somebody in, and for the reason given.
fn allows(scene: &Scene, story: &Story, why: Grant) -> bool {
    let Some(standing) = standing(story) else { return false };
    if proven(story).is_none() || kept_out(standing) || !groups_admit(scene, story) || story.iter().any(|(event, action)| says_no(event, action)) {
        return false;
    }
    if let Some(who) = run_out(scene, story) {
        // Only a change of that very person's password, behind a factor that passed.
        return why == Grant::Factor && proven(story) == Some(who) && factor_passed(story);
    }
    let account = standing.account.as_ref();
    let enabled = account.is_some_and(|account| account.enabled);
    let asked = count(story, |action| matches!(action, Action::Start(_) | Action::Verify(..) | Action::Wait(..)));
    match why {
        Grant::Bypass => {
            let who = proven(story).unwrap();
            asked == 0 && standing.bypass.as_ref().is_some_and(|bypass| NOW < bypass.until) && on_disk(story, &Change::SpendBypass { who, at: NOW })
        }
        Grant::Disabled => asked == 0 && scene.rules.disabled == FirstAlone::Accept && account.is_some_and(|account| !account.enabled),
        Grant::Exempt => {
            let whose = scene.request.exempt.iter().find(|exempt| proven(story).as_ref() == Some(&exempt.who));
            asked == 0 && whose.is_some_and(|exempt| NOW < exempt.until) && (enabled || account.is_none())
        }
        Grant::ExemptGroup => asked == 0 && in_exempt_group(scene, story) && (enabled || account.is_none()),
        Grant::Factor => enabled && (factor_passed(story) || (asked == 0 && leave(story) == proven(story))),
        Grant::FailOpen => enabled && scene.rules.outage == OnOutage::Open && all_away(scene, story) && outage_is_new(scene, story),
        Grant::Joined => enabled && asked == 0 && scene.request.dialogue.join_ms > 0 && recognized(story, Memory::Joined),
        Grant::ProviderBypass => enabled && story.iter().any(|(event, _)| matches!(event, Event::Progress(Ok(Progress::Waived)))),
        Grant::Remembered => {
            // A code or a word that came along is heard (M-42).
            let silent = scene.request.appended.is_none() && scene.rules.remember.for_ms > 0;
            enabled && asked == 0 && silent && recognized(story, Memory::Remembered)
        }
        Grant::TrustedNetwork => asked == 0 && scene.is_trusted(),
        Grant::Unenrolled => asked == 0 && scene.rules.unenrolled == FirstAlone::Accept && account.is_none(),
    }
}

/// What is remembered is asked for the person whose password was right in this very login, and has not run out (M-41).
fn may_be_recognized(scene: &Scene, story: &Story, who: &Identity) -> bool {
    let wanted = scene.rules.remember.for_ms > 0 || scene.request.dialogue.join_ms > 0;
    // What was typed last may be the answer to a question of the first factor's: no password.
    let typed = scene.request.primary.typed().is_some() && count(story, |action| *action == Action::Relay) == 0;
    let once = count(story, |action| matches!(action, Action::Recognize { .. })) == 1;
    wanted && typed && once && run_out(scene, story).is_none() && proven(story).as_ref() == Some(who) && welcome(scene, story)
}

/// This was the answer when it was asked for.
fn recognized(story: &Story, memory: Memory) -> bool {
    answers(story, |action| matches!(action, Action::Recognize { .. })).any(|event| matches!(event, Event::Recognized(known) if known.memory == Some(memory)))
}

/// A login is remembered by what it was recognized by, and only for a second factor that passed: never for a bypass, an outage, a waiver or a memory.
fn may_be_kept(story: &Story, permit: &Permit) -> bool {
    let Some(memento) = permit.memento() else { return true };
    let asked = count(story, |action| matches!(action, Action::Start(_) | Action::Wait(..))) > 0;
    let theirs = answers(story, |action| matches!(action, Action::Recognize { .. }))
        .any(|event| matches!(event, Event::Recognized(known) if known.memento.as_deref() == Some(memento)));
    permit.why() == Grant::Factor && asked && factor_passed(story) && theirs
}

/// What happened after which nobody may come in, whatever else happens.
fn says_no(event: &Event, action: &Action) -> bool {
    let goes_on = matches!(action, Action::Find(_) | Action::Park(_));
    match event {
        Event::Changed(Err(_)) | Event::Checked(Err(_)) | Event::Expired => !goes_on,
        Event::Committed(Err(_)) | Event::Found(Err(_)) | Event::Hinted(Err(_)) | Event::Leave(None) | Event::OutOfTurn => true,
        Event::Progress(Ok(Progress::Denied { .. })) => true,
        Event::Progress(Err(error)) => matches!(error, FactorError::BadCode | FactorError::Expired | FactorError::Locked | FactorError::PinExpired),
        _ => false,
    }
}

/// `change` was written in this login and is on disk.
fn on_disk(story: &Story, change: &Change) -> bool {
    answers(story, |action| matches!(action, Action::Commit(changes) if changes.contains(change))).any(|event| matches!(event, Event::Committed(Ok(()))))
}

/// The factor passed, and what that spends is on disk.
fn factor_passed(story: &Story) -> bool {
    let spend = story.iter().find_map(|(event, _)| match event {
        Event::Progress(Ok(Progress::Allowed { spend })) => Some(spend),
        _ => None,
    });
    spend.is_some_and(|spend| spend.as_ref().is_none_or(|change| on_disk(story, change)))
}

/// Every method of the policy was tried; unreachable was heard, and nothing that an attacker or a wrong key of ours could cause.
fn all_away(scene: &Scene, story: &Story) -> bool {
    let heard = |wanted: FactorError| story.iter().filter(|(event, _)| matches!(event, Event::Progress(Err(error)) if *error == wanted)).count();
    let mute = !scene.can_ask();
    let unsaid = |event: &Event| matches!(event, Event::Progress(Ok(Progress::Choose { .. } | Progress::CodeNeeded { .. })));
    heard(FactorError::Unreachable) > 0
        && !vanished(story)
        && heard(FactorError::Unreachable) + heard(FactorError::NotEnrolled) == scene.rules.methods.len()
        && heard(FactorError::Faltering) + heard(FactorError::Misconfigured) + heard(FactorError::PushesSpent) + heard(FactorError::Throttled) == 0
        && !(mute && story.iter().any(|(event, _)| unsaid(event)))
}

/// A factor that had been asked already was said not to be there.
fn vanished(story: &Story) -> bool {
    answers(story, |action| matches!(action, Action::Verify(..) | Action::Wait(..)))
        .any(|event| matches!(event, Event::Progress(Err(FactorError::NotEnrolled))))
}

/// Who was heard to be unreachable, as often as it was heard.
fn unreachable(story: &Story) -> Vec<std::sync::Arc<str>> {
    let asked = story.iter().zip(story.iter().skip(1)).filter_map(|((_, action), (event, _))| match (action, event) {
        (Action::Start(asking) | Action::Verify(asking, ..) | Action::Wait(asking, _), Event::Progress(Err(FactorError::Unreachable))) => {
            Some(asking.choice.provider.clone())
        }
        _ => None,
    });
    asked.collect()
}

/// The outage has lasted no longer than it may.
fn outage_is_new(scene: &Scene, story: &Story) -> bool {
    let max = scene.rules.outage_max_ms;
    max == 0 || answers(story, |action| matches!(action, Action::Away(_))).any(|event| matches!(event, Event::Away(Some(lasted)) if *lasted <= max))
}
