//! `[pin]`, and a policy's `pin`: a PIN in front of codes or behind them.

use std::time::Duration;

use crate::domain::Choice;
use crate::domain::Method;
use crate::domain::pin::PinPlace;
use crate::domain::pin::PinRules;

use super::reader::Section;
use super::rooms::seconds;

/// `[pin]`
pub(super) fn rules(file: &Section<'_>) -> PinRules {
    let usual = PinRules::default();
    let read = |pin: &Section<'_>| {
        let length_min = pin.find("length_min").and_then(|value| value.number(usual.length_min..=PinRules::LENGTH_MAX));
        let history = pin.find("history").and_then(|value| value.number(1..=HISTORY_MAX));
        let expires = pin.find("expires").and_then(|value| value.duration(DAY..=EXPIRES_MAX));
        let expires_ms = expires.and_then(|expires| u64::try_from(expires.as_millis()).ok());
        Some(PinRules {
            length_min: length_min.unwrap_or(usual.length_min),
            history: history.unwrap_or(usual.history),
            expires_ms: expires_ms.unwrap_or(usual.expires_ms),
        })
    };
    file.find("pin").and_then(|value| value.table(read)).unwrap_or(usual)
}

/// The methods of a policy with the `pin` that it wants beside each code.
pub(super) fn beside(policy: &Section<'_>, methods: Vec<Choice>) -> Vec<Choice> {
    let words = [("none", None), ("front", Some(PinPlace::Front)), ("behind", Some(PinPlace::Behind))];
    let Some(value) = policy.find("pin") else { return methods };
    let Some(place) = value.word(&words).flatten() else { return methods };
    if let Some(choice) = methods.iter().find(|choice| matches!(choice.method, Method::Call | Method::Push)) {
        let word = choice.method.as_str();
        value.error(
            &format!("nobody types anything for {word}, so there is nothing a PIN could stand beside"),
            Some("take it away, or use oath, text and email alone"),
        );
    }
    methods.into_iter().map(|choice| Choice { pin: Some(place), ..choice }).collect()
}

const HISTORY_MAX: u8 = 10;
const DAY: Duration = seconds(24 * 60 * 60);
/// Ten years; who wants longer leaves it out.
const EXPIRES_MAX: Duration = seconds(3_650 * 24 * 60 * 60);
