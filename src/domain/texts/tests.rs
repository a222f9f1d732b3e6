//! Tests of what people read.

use super::super::account::Account;
use super::super::account::Standing;
use super::super::decision::PasswordError;
use super::super::decision::PrimaryError;
use super::super::decision::Progress;
use super::super::decision::Refused;
use super::super::flow::Action;
use super::super::flow::Event;
use super::super::flow::Flow;
use super::super::play::NOW;
use super::super::play::PROMPT;
use super::super::play::Shape;
use super::super::play::alice;
use super::super::play::enrolled;
use super::super::play::request;
use super::super::play::rules;
use super::super::play::said;
use super::super::request::Trace;
use super::super::rules::FirstAlone;
use super::super::rules::OnOutage;
use super::*;

#[test]
fn every_language_has_every_text_and_each_fits_where_it_is_said() {
    for (language, texts) in Lexicon::SHIPPED {
        for slot in Texts::SLOTS {
            let text = texts.text(slot.key).unwrap();
            assert_eq!(slot.check(text), Ok(()), "{language}: {}: {text:?}", slot.key);
        }
    }
    let keys: Vec<&str> = Texts::SLOTS.iter().map(|slot| slot.key).collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
}

#[test]
fn another_language_is_no_copy() {
    // What is the same word in both, or nothing but a place.
    let shared = ["menu", "menu_push"];
    for slot in Texts::SLOTS.iter().filter(|slot| !shared.contains(&slot.key)) {
        assert_ne!(de::TEXTS.text(slot.key), en::TEXTS.text(slot.key), "{}", slot.key);
    }
}

#[test]
fn people_who_speak_german_anywhere_read_german_and_whose_language_is_not_there_the_usual_one() {
    let lexicon = Lexicon::default();
    for german in ["de", "de-AT", "DE", "de_CH", "de-Latn-DE-1996"] {
        assert_eq!(lexicon.of(Some(german)).again, de::TEXTS.again, "{german}");
        assert!(lexicon.foreign(Some(german)).is_some());
    }
    for other in [None, Some("en"), Some("en-GB"), Some("fr"), Some("deu"), Some(""), Some("-de")] {
        assert_eq!(lexicon.of(other).again, en::TEXTS.again, "{other:?}");
        assert_eq!(lexicon.foreign(other), None, "{other:?}");
    }
}

#[test]
fn a_text_that_does_not_fit_is_none() {
    let slot = |key: &str| *Texts::SLOTS.iter().find(|slot| slot.key == key).unwrap();
    let check = |key: &str, text: &str| slot(key).check(text);
    assert_eq!(check("again", " "), Err(Unfit::Empty));
    assert_eq!(check("again", "a\nb"), Err(Unfit::Control));
    assert_eq!(check("again", "a\u{85}b"), Err(Unfit::Control));
    assert_eq!(check("again", &"x".repeat(253)), Ok(()));
    assert_eq!(check("again", &"ä".repeat(127)), Err(Unfit::Long { bytes: 254, bytes_max: 253 }));
    assert_eq!(check("choose", "Choose it"), Err(Unfit::Lacks("number")));
    assert_eq!(check("choose", "{numer}"), Err(Unfit::Unknown("numer".into())));
    assert_eq!(check("choose", "{number} or {code}"), Err(Unfit::Unknown("code".into())));
    for stray in ["{number} {", "{number} }", "{number", "{{number}}", "{number} {}}"] {
        assert!(matches!(check("choose", stray), Err(Unfit::Brace | Unfit::Unknown(_) | Unfit::Lacks(_))), "{stray}");
    }
    assert_eq!(check("choose", &format!("{{number}}{}", "x".repeat(167))), Err(Unfit::Long { bytes: 173, bytes_max: 172 }), "as if it were filled");
    for word in ["1", "push!", " push", "a,b", "{app}"] {
        assert_eq!(check("menu_push", word), Err(Unfit::Word), "{word:?}");
    }
    assert_eq!(check("menu_push", "notificação"), Ok(()));
    assert_eq!(check("mail_subject", "{code}"), Err(Unfit::Unknown("code".into())), "a code never stands in a subject");
}

#[test]
fn what_is_filled_in_is_not_looked_into() {
    assert_eq!(fill("{code} for {app}", &[(APP, "{code}"), (CODE, "123456")]), "123456 for {code}");
    assert_eq!(fill("{code", &[(CODE, "1")]), "{code");
}

/// What the person is asked by each of these events, in turn.
fn asked(flow: &mut Flow, events: Vec<Event>) -> Vec<String> {
    let said = events.into_iter().filter_map(|event| match flow.next(NOW, event) {
        Action::Park(text) => Some(text),
        Action::Finish(decision) => panic!("{decision:?}"),
        _ => None,
    });
    said.collect()
}

fn speaking(language: Option<&str>) -> Event {
    let account = enrolled().account.map(|account| Arc::new(Account { language: language.map(str::to_owned), ..(*account).clone() }));
    Event::Found(Ok(Standing { account, ..Standing::default() }))
}

#[test]
fn r_095_whoever_reads_german_is_asked_in_german_for_the_code_and_for_a_new_password() {
    let conversation = |language: Option<&'static str>| {
        let mut flow = Flow::new(request(Shape::Renews), rules(FirstAlone::Reject, FirstAlone::Reject, OnOutage::Closed, 5), Trace::default());
        let found = || speaking(language);
        let expired = PrimaryError::Refused { who: Some(alice()), why: Refused::PasswordExpired };
        let code = [
            Event::Begin,
            Event::Hinted(Ok(None)),
            Event::Checked(Err(expired)),
            found(),
            Event::Progress(Ok(Progress::CodeNeeded { ticket: None })),
            said("123456"),
            found(),
            Event::Progress(Ok(Progress::Allowed { spend: None })),
        ];
        let new = [said("one"), said("another"), said("one"), said("one"), found(), Event::Changed(Err(PasswordError::Refused))];
        asked(&mut flow, code.into_iter().chain(new).collect())
    };
    let texts =
        |texts: &Texts, prompt: &str| [prompt, &texts.expired, &texts.again, &texts.different, &texts.again, &texts.not_taken].map(str::to_owned).to_vec();
    assert_eq!(conversation(Some("de-AT")), texts(&de::TEXTS, &de::TEXTS.code_prompt));
    for usual in [None, Some("en-US"), Some("fr")] {
        assert_eq!(conversation(usual), texts(&en::TEXTS, PROMPT), "the client's own question is in the usual language");
    }
}
