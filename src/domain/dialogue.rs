//! What we say to people, and what their answers mean. Every text fits one Reply-Message (253 octets).

use super::decision::Number;
use super::rules::Choice;
use super::rules::Method;

/// The password has run out and the second factor passed.
pub(super) const EXPIRED: &str = "Your password has expired. New password:";
/// The new password was typed once.
pub(super) const AGAIN: &str = "The new password again:";
/// The two were not the same.
pub(super) const DIFFERENT: &str = "The two new passwords were different. New password:";
/// The directory refuses the new password.
pub(super) const NOT_TAKEN: &str = "The directory did not take it (length, complexity, history). New password:";

/// The methods to choose from, numbered from 1; codes come without a number. `None` where there is no choice.
pub(super) fn menu(choices: &[Choice], phone: Option<&str>) -> Option<String> {
    let ways = ways(choices);
    let code = takes_code(choices);
    if ways.len().saturating_add(usize::from(code)) < 2 {
        return None;
    }
    let phone = phone.and_then(last_two).map(|digits| format!(" to the phone ending in {digits}"));
    let items =
        (1_usize..).zip(&ways).map(|(number, way)| format!("{number} {}{}", way.as_str(), phone.as_deref().filter(|_| number == 1).unwrap_or_default()));
    let items: Vec<String> = items.collect();
    Some(if code { format!("{}, or type a code:", items.join(", ")) } else { format!("{}:", items.join(" or ")) })
}

/// The method that an answer to [`menu`] means: by its number or its word.
pub(super) fn picked(answer: &[u8], choices: &[Choice]) -> Option<Method> {
    let mut ways = (1_usize..).zip(ways(choices));
    let word = Method::of_word(answer);
    ways.find(|(number, way)| answer == number.to_string().as_bytes() || word == Some(*way)).map(|(_, way)| way)
}

/// Whether any of these can take a code.
pub(super) fn takes_code(choices: &[Choice]) -> bool {
    choices.iter().any(|choice| choice.method == Method::Oath)
}

/// What to do on the phone before pressing Enter; `again` where it was said before and not done.
pub(super) fn approve(number: Option<&Number>, again: bool) -> String {
    let before = if again { "Not approved yet. " } else { "" };
    match number {
        Some(number) => format!("{before}Choose {} on your phone, then press Enter.", number.as_str()),
        None => format!("{before}Approve the request on your phone, then press Enter."),
    }
}

/// The methods that need no typing, each once.
fn ways(choices: &[Choice]) -> Vec<Method> {
    let mut ways = Vec::new();
    for choice in choices {
        if choice.method != Method::Oath && !ways.contains(&choice.method) {
            ways.push(choice.method);
        }
    }
    ways
}

/// The last two digits of a number long enough that they do not give it away.
fn last_two(phone: &str) -> Option<String> {
    let digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= 6).then(|| digits.iter().skip(digits.len().saturating_sub(2)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(methods: &[Method]) -> Vec<Choice> {
        methods.iter().map(|method| Choice { method: *method, provider: "duo".into() }).collect()
    }

    #[test]
    fn a_menu_is_shown_where_there_is_a_choice_and_names_only_what_there_is() {
        let all = [Method::Push, Method::Call, Method::Oath, Method::Push];
        let phone = Some("+49 170 555 01 42");
        let shown = |methods: &[Method], phone| menu(&choices(methods), phone);
        assert_eq!(shown(&all, phone).unwrap(), "1 push to the phone ending in 42, 2 call, or type a code:");
        assert_eq!(shown(&[Method::Call, Method::Push], phone).unwrap(), "1 call to the phone ending in 42 or 2 push:");
        assert_eq!(shown(&[Method::Oath, Method::Push], None).unwrap(), "1 push, or type a code:");
        assert_eq!(shown(&[Method::Push], phone), None);
        assert_eq!(shown(&[Method::Oath, Method::Oath], phone), None);
        assert_eq!(shown(&[Method::Push, Method::Call], Some("4711")).unwrap(), "1 push or 2 call:");
    }

    #[test]
    fn an_answer_is_a_number_of_the_menu_or_a_word_and_nothing_else() {
        let all = choices(&[Method::Call, Method::Oath, Method::Push]);
        let picked = |answer: &str| picked(answer.as_bytes(), &all);
        assert_eq!(
            [picked("1"), picked("2"), picked("PUSH"), picked("phone")],
            [Some(Method::Call), Some(Method::Push), Some(Method::Push), Some(Method::Call)]
        );
        for other in ["", "0", "3", "01", "1.", "oath", "123456", "push!"] {
            assert_eq!(picked(other), None, "{other:?}");
        }
        assert_eq!(super::picked(b"call", &choices(&[Method::Push, Method::Oath])), None);
    }

    #[test]
    fn every_text_fits_a_reply_message() {
        let number = Number::new("123456").unwrap();
        let longest = menu(&choices(&[Method::Push, Method::Call, Method::Oath]), Some("1234567890"));
        let texts = [approve(Some(&number), true), approve(None, true), longest.unwrap(), EXPIRED.into(), AGAIN.into(), DIFFERENT.into(), NOT_TAKEN.into()];
        assert!(texts.iter().all(|text| text.len() <= 253));
        assert_eq!(approve(Some(&number), true), "Not approved yet. Choose 123456 on your phone, then press Enter.");
    }

    #[test]
    fn a_number_is_digits_and_nothing_a_provider_could_say_beside() {
        for wrong in ["", "1234567", "4 2", "42!", "４２"] {
            assert_eq!(Number::new(wrong), None);
        }
        assert_eq!(Number::new("07").unwrap().as_str(), "07");
    }
}
