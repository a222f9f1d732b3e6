//! Which replies mean what, and which mean nothing.

use reqwest::header::HeaderMap;

use super::super::super::http::Answer;
use super::*;

const ALL: [Asked; 4] = [Asked::Code, Asked::Look, Asked::StartOfCode, Asked::StartOfQuestion];
const ALLOWED: Option<Result<Progress, FactorError>> = Some(Ok(Progress::Allowed { spend: None }));

fn read(text: &str) -> Option<Reply> {
    Answer { status: 200, headers: HeaderMap::new(), body: text.into() }.object()
}

fn said(answer: &str, asked: Asked) -> Option<Result<Progress, FactorError>> {
    read(&format!(r#"{{"transaction":"t","answer":{answer:?}}}"#)).unwrap().progress(asked)
}

#[test]
fn one_word_lets_in_and_never_before_a_code_was_typed() {
    let words = ["allowed", "ALLOWED", "allowed ", "allow", "ok", "true", "", "approved", "waived", "pending", "code_needed", "denied", "bad_code"];
    for asked in ALL {
        let in_by: Vec<&str> = words.into_iter().filter(|word| said(word, asked) == ALLOWED).collect();
        let want: &[&str] = if asked == Asked::StartOfCode { &[] } else { &["allowed"] };
        assert_eq!(in_by, want, "{asked:?}");
    }
}

#[test]
fn a_word_where_it_makes_no_sense_is_none() {
    for (word, asked) in [
        ("pending", Asked::Code),
        ("pending", Asked::StartOfCode),
        ("code_needed", Asked::Code),
        ("code_needed", Asked::Look),
        ("code_needed", Asked::StartOfQuestion),
        ("bad_code", Asked::Look),
        ("bad_code", Asked::StartOfCode),
        ("bad_code", Asked::StartOfQuestion),
    ] {
        assert_eq!(said(word, asked), None, "{word} {asked:?}");
    }
}

#[test]
fn a_number_goes_with_pending_alone_and_is_digits() {
    let progress = |text: &str| read(text).unwrap().progress(Asked::StartOfQuestion);
    let ticket = Ticket("t".into());
    let number = Number::new("07").unwrap();
    assert_eq!(progress(r#"{"transaction":"t","answer":"pending","number":"07"}"#), Some(Ok(Progress::Choose { ticket: ticket.clone(), number })));
    assert_eq!(progress(r#"{"transaction":"t","answer":"pending","number":null}"#), Some(Ok(Progress::Pending(ticket))));
    for number in ["", "1234567", "4 2", "٤٢", "no"] {
        assert_eq!(progress(&format!(r#"{{"transaction":"t","answer":"pending","number":{number:?}}}"#)), None, "{number}");
    }
    assert_eq!(progress(r#"{"transaction":"t","answer":"allowed","number":"42"}"#), None);
}

#[test]
fn what_is_not_of_the_one_shape_is_no_reply() {
    for text in [
        "",
        "null",
        "[]",
        r#"["t","allowed",null]"#,
        r#"{"transaction":"t"}"#,
        r#"{"answer":"allowed"}"#,
        r#"{"transaction":"t","answer":["allowed"]}"#,
        r#"{"transaction":"t","answer":{"allowed":null}}"#,
        r#"{"transaction":"t","answer":true}"#,
        r#"{"transaction":7,"answer":"allowed"}"#,
        r#"{"transaction":"t","answer":"denied","answer":"allowed"}"#,
        r#"{"transaction":"t","transaction":"t","answer":"allowed"}"#,
        r#"{"transaction":"t","answer":"allowed","more":1}"#,
        r#"{"transaction":"t","answer":"allowed"}{}"#,
        r#"{"transaction":"t","answer":"pending","number":42}"#,
    ] {
        assert!(read(text).is_none(), "{text}");
    }
}
