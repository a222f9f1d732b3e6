//! Logins written down for people, `tests/it/flows/*.txt`, played through the flow and compared line by line.
//!
//! `rules` and `request` set the scene; `> event` is what came back from the world, `< action` what the flow wants next; `#` starts a comment.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::account::Account;
use super::account::Identity;
use super::account::Standing;
use super::account::Timestamp;
use super::account::Tries;
use super::block::Blocked;
use super::change::Change;
use super::change::CommitError;
use super::decision::Checked;
use super::decision::Decision;
use super::decision::FactorError;
use super::decision::Outage;
use super::decision::PasswordError;
use super::decision::PrimaryError;
use super::decision::Progress;
use super::decision::Refused;
use super::decision::Ticket;
use super::exempt::Exempt;
use super::flow::Action;
use super::flow::Asking;
use super::flow::Event;
use super::flow::Flow;
use super::hours::WeekMinute;
use super::memory::Memory;
use super::play::NOW;
use super::play::blocked;
use super::play::bypassed;
use super::play::choose;
use super::play::disabled;
use super::play::enrolled;
use super::play::known;
use super::play::locked;
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
use super::rules::Rules;
use super::secret::Secret;

#[test]
fn every_transcript_plays_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/flows");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = String::new();
    for file in &files {
        let written = std::fs::read_to_string(file).unwrap();
        let lines: Vec<&str> = written.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let played = play(&lines);
        if lines != played {
            let _ = writeln!(wrong, "{}\n{}", file.display(), difference(&lines, &played));
        }
    }
    assert!(files.len() >= 10, "only {} transcripts", files.len());
    assert!(wrong.is_empty(), "- as written, + as played\n{wrong}");
}

/// The same transcript with the actions that really come.
fn play(lines: &[&str]) -> Vec<String> {
    let (mut rules, mut request) = (scene_rules(&[]), scene_request(&[]));
    let mut flow: Option<Flow> = None;
    let mut played = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["rules", rest @ ..] => rules = scene_rules(rest),
            ["request", rest @ ..] => request = scene_request(rest),
            [">", rest @ ..] => {
                let flow = flow.get_or_insert_with(|| Flow::new(request.clone(), Arc::new(rules.clone()), Trace::default()));
                played.push((*line).to_owned());
                played.push(format!("< {}", said(&flow.next(NOW, event(rest)))));
                continue;
            }
            ["<", ..] => continue,
            other => panic!("no line of a transcript: {other:?}"),
        }
        played.push((*line).to_owned());
    }
    played
}

fn difference(written: &[&str], played: &[String]) -> String {
    let mut text = String::new();
    for at in 0..written.len().max(played.len()) {
        let (before, after) = (written.get(at).copied().unwrap_or_default(), played.get(at).map_or("", String::as_str));
        let _ = if before == after { writeln!(text, "  {before}") } else { writeln!(text, "- {before}\n+ {after}") };
    }
    text
}

fn scene_rules(words: &[&str]) -> Rules {
    let mut rules = Rules { lock: Lock { failures_max: 3, wait_ms: 900_000, window_ms: 0 }, ..Rules::bare("vpn", Vec::new()) };
    for word in words {
        match word.split_once('=').unwrap() {
            ("push", provider) => rules.methods.push(Choice::new(Method::Push, provider)),
            ("call", provider) => rules.methods.push(Choice::new(Method::Call, provider)),
            ("oath", provider) => rules.methods.push(Choice::new(Method::Oath, provider)),
            ("trusted", network) => rules.trusted.push(network.parse().unwrap()),
            ("unenrolled", "accept") => rules.unenrolled = FirstAlone::Accept,
            ("disabled", "accept") => rules.disabled = FirstAlone::Accept,
            ("remember", ms) => rules.remember.for_ms = ms.parse().unwrap(),
            ("outage", "open") => rules.outage = OnOutage::Open,
            ("outage_max", ms) => rules.outage_max_ms = ms.parse().unwrap(),
            ("block", ms) => rules.block_ms = ms.parse().unwrap(),
            ("exempt_group", group) => rules.groups.exempt.push(group.into()),
            ("required_group", group) => rules.groups.required.push(group.into()),
            ("denied_group", group) => rules.groups.denied.push(group.into()),
            ("hours", opening) => rules.hours.0.push(opening.replace('/', " ").parse().unwrap()),
            other => panic!("no rule: {other:?}"),
        }
    }
    rules
}

fn scene_request(words: &[&str]) -> AuthRequest {
    let mut request = AuthRequest {
        door: Door::Radius,
        client: "fortigate".into(),
        login: "alice".into(),
        primary: Primary::Password(Secret::from("correct horse")),
        appended: None,
        dialogue: Dialogue::default(),
        source: None,
        exempt: Vec::new(),
        seat: Vec::new(),
        asker: Vec::new(),
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("ldap", "") => request.door = Door::Ldap,
            ("radius", "") => request.door = Door::Radius,
            ("challenge", "") => request.dialogue.prompt = Some("Enter your code:".into()),
            ("appended", code) => request.appended = Some(Appended::Code(Secret::from(code))),
            ("word", word) => request.appended = Some(Appended::Method(Method::of_word(word.as_bytes()).unwrap())),
            ("menu", "") => request.dialogue.menu = true,
            ("enter", "") => request.dialogue.approval = Approval::Enter,
            ("join", ms) => request.dialogue.join_ms = ms.parse().unwrap(),
            ("late", "") => request.dialogue.late_ms = 60_000,
            ("renews", "") => request.dialogue.change = true,
            ("mschap", "") => request.primary = Primary::MsChap2 { challenge: [7; 16], response: Box::new([7; 50]) },
            ("mschap_change", "") => request.primary = Primary::MsChap2Change { key: Vec::new(), change: Secret::from("new") },
            ("exempt", who) => request.exempt.push(Exempt { who: Identity(who.into()), directory: "corp".into(), until: Timestamp(NOW.0.saturating_add(1)) }),
            ("exempt_over", who) => request.exempt.push(Exempt { who: Identity(who.into()), directory: "corp".into(), until: NOW }),
            ("from", address) => request.source = Some(address.parse().unwrap()),
            other => panic!("no part of a request: {other:?}"),
        }
    }
    request
}

fn event(words: &[&str]) -> Event {
    match words {
        ["answer", rest @ ..] => Event::Answer(Primary::Password(Secret::from(rest.join(" ").as_str()))),
        ["away", "unknown"] => Event::Away(None),
        ["away", ms] => Event::Away(Some(ms.parse().unwrap())),
        ["begin"] => Event::Begin,
        ["changed", "away"] => Event::Changed(Err(PasswordError::Outage(Outage::Directory))),
        ["changed", "refused"] => Event::Changed(Err(PasswordError::Refused)),
        ["changed", "wrong_old"] => Event::Changed(Err(PasswordError::WrongOld)),
        ["changed", who] => Event::Changed(Ok(Identity((*who).into()))),
        ["checked", "away"] => Event::Checked(Err(PrimaryError::Outage(Outage::Directory))),
        ["checked", "refused", why, "of", who] => Event::Checked(Err(PrimaryError::Refused { who: Some(Identity((*who).into())), why: refused(why) })),
        ["checked", "more"] => Event::Checked(Ok(Checked::More)),
        ["checked", who] => Event::Checked(Ok(Checked::Passed(Identity((*who).into())))),
        ["committed"] => Event::Committed(Ok(())),
        ["committed", "away"] => Event::Committed(Err(CommitError::Outage)),
        ["committed", "spent"] => Event::Committed(Err(CommitError::Spent)),
        ["expired"] => Event::Expired,
        ["found", rest @ ..] => Event::Found(Ok(standing(rest).unwrap_or_default())),
        ["groups", "away"] => Event::Groups(Err(Outage::Directory)),
        ["groups", "unknown"] => Event::Groups(Ok(None)),
        ["groups", groups @ ..] => Event::Groups(Ok(Some(groups.iter().map(|group| (*group).to_owned()).collect()))),
        ["hinted", "away"] => Event::Hinted(Err(PrimaryError::Outage(Outage::Directory))),
        ["hinted", "refused", why] => Event::Hinted(Err(PrimaryError::Refused { who: None, why: refused(why) })),
        ["hinted", rest @ ..] => Event::Hinted(Ok(standing(rest))),
        ["hour", day, hour] => Event::Hour(WeekMinute::new(day.parse().unwrap(), hour.parse().unwrap(), 0).unwrap()),
        ["leave", "none"] => Event::Leave(None),
        ["leave", who] => Event::Leave(Some(Identity((*who).into()))),
        ["recalled", "nothing"] => Event::Recalled(None),
        ["recalled", word, provider, ticket] => {
            let choice = Choice::new(Method::of_word(word.as_bytes()).unwrap(), *provider);
            Event::Recalled(Some((choice, Ticket((*ticket).into()))))
        }
        ["recognized", "nothing"] => known(None),
        ["recognized", "joined"] => known(Some(Memory::Joined)),
        ["recognized", "remembered"] => known(Some(Memory::Remembered)),
        ["factor", rest @ ..] => Event::Progress(progress(rest)),
        other => panic!("no event: {other:?}"),
    }
}

fn refused(word: &str) -> Refused {
    let all = [Refused::Disabled, Refused::LockedOut, Refused::MustChange, Refused::PasswordExpired, Refused::UnknownName, Refused::WrongPassword];
    all.into_iter().find(|why| why.as_str() == word).unwrap_or_else(|| panic!("no refusal: {word}"))
}

fn standing(words: &[&str]) -> Option<Standing> {
    match words {
        ["nobody"] => None,
        ["enrolled"] => Some(enrolled()),
        ["enrolled", "failures", count] => Some(Standing { tries: Tries { failures: count.parse().unwrap(), lock_until: None, at: Vec::new() }, ..enrolled() }),
        ["enrolled", "phone", phone] => {
            let account = enrolled().account.map(|account| Arc::new(Account { phone: Some((*phone).into()), ..(*account).clone() }));
            Some(Standing { account, ..Standing::default() })
        }
        ["enrolled", "bypass"] => Some(bypassed(Timestamp(NOW.0.saturating_add(1)))),
        ["enrolled", "bypass", "over"] => Some(bypassed(NOW)),
        ["blocked"] => Some(blocked()),
        ["disabled"] => Some(disabled()),
        ["locked"] => Some(locked()),
        other => panic!("no standing: {other:?}"),
    }
}

fn progress(words: &[&str]) -> Result<Progress, FactorError> {
    match words {
        ["allowed"] => Ok(Progress::Allowed { spend: None }),
        ["allowed", "spend", who, token, step] => {
            let spend = Change::UseOtp { who: Identity((*who).into()), token: (*token).into(), step: step.parse().unwrap() };
            Ok(Progress::Allowed { spend: Some(spend) })
        }
        ["choose", ticket, number] => Ok(choose(ticket, number)),
        ["code", "needed"] => Ok(Progress::CodeNeeded { ticket: None }),
        ["code", "needed", ticket] => Ok(Progress::CodeNeeded { ticket: Some(Ticket((*ticket).into())) }),
        ["denied"] => Ok(Progress::Denied { fraud: false }),
        ["denied", "fraud"] => Ok(Progress::Denied { fraud: true }),
        ["pending", ticket] => Ok(Progress::Pending(Ticket((*ticket).into()))),
        ["bad_code"] => Err(FactorError::BadCode),
        ["expired"] => Err(FactorError::Expired),
        ["misconfigured"] => Err(FactorError::Misconfigured),
        ["no_pin"] => Err(FactorError::NoPin),
        ["not_enrolled"] => Err(FactorError::NotEnrolled),
        ["waived"] => Ok(Progress::Waived),
        ["faltering"] => Err(FactorError::Faltering),
        ["pin_expired"] => Err(FactorError::PinExpired),
        ["pushes_spent"] => Err(FactorError::PushesSpent),
        ["throttled"] => Err(FactorError::Throttled),
        ["unreachable"] => Err(FactorError::Unreachable),
        other => panic!("no progress: {other:?}"),
    }
}

fn said(action: &Action) -> String {
    match action {
        Action::Away(providers) => providers.iter().fold("away".into(), |all, one| all + " " + one),
        Action::ChangePassword { old, new } => format!("change {} to {}", old.expose_text().unwrap(), new.expose_text().unwrap()),
        Action::Check => "check".into(),
        Action::Commit(changes) => changes.iter().map(written).fold("commit".into(), |all, one| all + " " + &one),
        Action::Find(who) => format!("find {}", who.0),
        Action::Finish(Decision::Accept(permit)) => {
            let kept = if permit.memento().is_some() { " and remember it" } else { "" };
            format!("accept {} {}{kept}", permit.identity().0, permit.why().as_str())
        }
        Action::Finish(Decision::Drop(outage)) => format!("drop {}", outage.as_str()),
        Action::Finish(Decision::Reject(denial)) => format!("reject {}", denial.as_str()),
        Action::GiveLeave(who) => format!("give_leave {}", who.0),
        Action::Groups { who, wanted } => format!("groups {} {}", who.0, wanted.join(" ")),
        Action::Hint => "hint".into(),
        Action::Hour => "hour".into(),
        Action::Park(prompt) => format!("park {prompt}"),
        Action::Recall(who) => format!("recall {}", who.0),
        Action::Recognize { who, .. } => format!("recognize {}", who.0),
        Action::Relay => "relay".into(),
        Action::Start(asking) => format!("start {}", way(asking)),
        Action::TakeLeave => "take_leave".into(),
        Action::Verify(asking, ticket, code) => {
            let ticket = ticket.as_ref().map(|ticket| format!(" {}", ticket.0)).unwrap_or_default();
            format!("verify {} {}{ticket}", way(asking), code.expose_text().unwrap())
        }
        Action::Wait(asking, ticket) => format!("wait {} {}", way(asking), ticket.0),
    }
}

fn way(asking: &Asking) -> String {
    format!("{} {} {}", asking.choice.method.as_str(), asking.choice.provider, asking.identity.0)
}

fn written(change: &Change) -> String {
    match change {
        Change::Block { whom: Blocked::Identity(who), block } => format!("block {} for {}", who.0, block.until.0.saturating_sub(NOW.0)),
        Change::Fail { who, .. } => format!("fail {}", who.0),
        Change::SpendBypass { who, .. } => format!("spend_bypass {}", who.0),
        Change::Succeed(who, _) => format!("succeed {}", who.0),
        Change::UseOtp { who, token, step } => format!("use_otp {} {token} {step}", who.0),
        other => panic!("a login does not write {other:?}"),
    }
}
