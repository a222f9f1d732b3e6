//! What we say to people, and what their answers mean. Every text fits one Reply-Message (253 octets).

use super::decision::Number;
use super::rules::Choice;
use super::rules::Method;
use super::texts;
use super::texts::Texts;
use super::texts::fill;

/// The methods to choose from, numbered from 1; codes come without a number. `None` where there is no choice.
pub(super) fn menu(choices: &[Choice], phone: Option<&str>, texts: &Texts) -> Option<String> {
    let ways = ways(choices);
    let code = takes_code(choices);
    if ways.len().saturating_add(usize::from(code)) < 2 {
        return None;
    }
    let phone = phone.and_then(last_two);
    let item = |(number, method): (usize, &Method)| {
        let way = texts.way(*method);
        match phone.as_deref().filter(|_| number == 1 && *method != Method::Email) {
            Some(phone) => format!("{number} {}", fill(&texts.menu_to_phone, &[(texts::WAY, way), (texts::PHONE, phone)])),
            None => format!("{number} {way}"),
        }
    };
    let items: Vec<String> = (1_usize..).zip(&ways).map(item).collect();
    let (text, between) = if code { (&texts.menu_code, ", ".to_owned()) } else { (&texts.menu, format!(" {} ", texts.menu_or)) };
    Some(fill(text, &[(texts::WAYS, &items.join(&between))]))
}

/// The method that an answer to [`menu`] means: by its number, by its word there, or by one that means it in any language.
pub(super) fn picked(answer: &[u8], choices: &[Choice], texts: &Texts) -> Option<Method> {
    let ways = ways(choices);
    let typed = std::str::from_utf8(answer).ok()?.to_lowercase();
    let numbered = (1_usize..).zip(&ways).find(|(number, _)| typed == number.to_string()).map(|(_, way)| way);
    let named = || ways.iter().find(|way| texts.way(**way).to_lowercase() == typed);
    let known = || Method::of_word(answer).and_then(|word| ways.iter().find(|way| **way == word));
    numbered.or_else(named).or_else(known).copied()
}

/// Whether any of these can take a code.
pub(super) fn takes_code(choices: &[Choice]) -> bool {
    choices.iter().any(|choice| choice.method == Method::Oath)
}

/// What to do on the phone before pressing Enter; `again` where it was said before and not done.
pub(super) fn approve(number: Option<&Number>, again: bool, texts: &Texts) -> String {
    let what = match number {
        Some(number) => fill(&texts.choose, &[(texts::NUMBER, number.as_str())]),
        None => texts.approve.clone().into_owned(),
    };
    if again { format!("{} {what}", texts.not_yet) } else { what }
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

/// The last two digits of a number long enough that they do not give it away. What is dialled behind it is none of it.
fn last_two(phone: &str) -> Option<String> {
    let number = phone.split(['x', 'X', ',', '*', '#', ';']).next().unwrap_or_default();
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    (digits.len() >= 6).then(|| digits.iter().skip(digits.len().saturating_sub(2)).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::texts::Lexicon;
    use super::*;

    fn choices(methods: &[Method]) -> Vec<Choice> {
        methods.iter().map(|method| Choice::new(*method, "duo")).collect()
    }

    fn english() -> Arc<Texts> {
        Arc::clone(Lexicon::default().usual())
    }

    fn german() -> Arc<Texts> {
        Arc::clone(Lexicon::default().of(Some("de")))
    }

    #[test]
    fn a_menu_is_shown_where_there_is_a_choice_and_names_only_what_there_is() {
        let all = [Method::Push, Method::Call, Method::Oath, Method::Push];
        let phone = Some("+49 170 555 01 42");
        let shown = |methods: &[Method], phone| menu(&choices(methods), phone, &english());
        assert_eq!(shown(&all, phone).unwrap(), "1 push to the phone ending in 42, 2 call, or type a code:");
        assert_eq!(shown(&[Method::Call, Method::Push], phone).unwrap(), "1 call to the phone ending in 42 or 2 push:");
        assert_eq!(shown(&[Method::Oath, Method::Push], None).unwrap(), "1 push, or type a code:");
        assert_eq!(shown(&[Method::Push], phone), None);
        assert_eq!(shown(&[Method::Oath, Method::Oath], phone), None);
        assert_eq!(shown(&[Method::Push, Method::Call], Some("4711")).unwrap(), "1 push or 2 call:");
        assert_eq!(shown(&[Method::Email, Method::Call], phone).unwrap(), "1 email or 2 call:", "a letter goes to no phone");
        for extended in ["+49 170 555 01 42x17", "+491705550142,,4#", "+491705550142*9"] {
            assert_eq!(shown(&[Method::Call, Method::Push], Some(extended)).unwrap(), "1 call to the phone ending in 42 or 2 push:", "{extended}");
        }
        let german = |methods: &[Method]| menu(&choices(methods), phone, &german()).unwrap();
        assert_eq!(german(&all), "1 Push an das Telefon mit der Endung 42, 2 Anruf, oder geben Sie einen Code ein:");
        assert_eq!(german(&[Method::Text, Method::Email]), "1 SMS an das Telefon mit der Endung 42 oder 2 E-Mail:");
    }

    #[test]
    fn an_answer_is_a_number_of_the_menu_or_a_word_and_nothing_else() {
        let all = choices(&[Method::Call, Method::Oath, Method::Push]);
        let picked = |answer: &str| picked(answer.as_bytes(), &all, &english());
        assert_eq!(
            [picked("1"), picked("2"), picked("PUSH"), picked("phone")],
            [Some(Method::Call), Some(Method::Push), Some(Method::Push), Some(Method::Call)]
        );
        for other in ["", "0", "3", "01", "1.", "oath", "123456", "push!"] {
            assert_eq!(picked(other), None, "{other:?}");
        }
        assert_eq!(super::picked(b"call", &choices(&[Method::Push, Method::Oath]), &english()), None);
        assert_eq!(super::picked(b"\xff", &all, &english()), None);
    }

    #[test]
    fn words_of_every_language_are_understood_in_every_language_and_an_operators_own_before_them() {
        let all = choices(&[Method::Call, Method::Email, Method::Push, Method::Text]);
        for texts in [english(), german()] {
            let words = [
                ("call", Method::Call),
                ("Anruf", Method::Call),
                ("email", Method::Email),
                ("E-MAIL", Method::Email),
                ("mail", Method::Email),
                ("push", Method::Push),
                ("sms", Method::Text),
                ("text", Method::Text),
            ];
            assert!(words.iter().all(|(word, method)| picked(word.as_bytes(), &all, &texts) == Some(*method)));
        }
        let mut own = (*english()).clone();
        own.replace("menu_push", "Überraschung".to_owned());
        own.replace("menu_call", "ring".to_owned());
        own.replace("menu_text", "call".to_owned());
        assert_eq!(picked("überraschung".as_bytes(), &all, &own), Some(Method::Push));
        assert_eq!(picked(b"call", &all, &own), Some(Method::Text), "the menu says so");
    }

    #[test]
    fn every_text_fits_a_reply_message() {
        let number = Number::new("123456").unwrap();
        let all = [Method::Push, Method::Call, Method::Email, Method::Text, Method::Oath];
        // As long as an operator may make each.
        let mut longest = (*english()).clone();
        for slot in Texts::SLOTS {
            let places: String = slot.needs.iter().map(|place| format!("{{{}}}", place.name)).collect();
            let filled: usize = slot.needs.iter().map(|place| place.bytes_max).sum();
            let text = format!("{places}{}", "x".repeat(slot.bytes_max - filled));
            assert_eq!(slot.check(&text), Ok(()), "{}", slot.key);
            longest.replace(slot.key, text);
        }
        for texts in [english(), german(), Arc::new(longest)] {
            let menu = |methods: &[Method]| menu(&choices(methods), Some("1234567890"), &texts).unwrap();
            let said = [approve(Some(&number), true, &texts), approve(None, true, &texts), menu(&all), menu(&all[..4])];
            assert!(said.iter().all(|text| text.len() <= 253), "{said:#?}");
        }
        assert_eq!(approve(Some(&number), true, &english()), "Not approved yet. Choose 123456 on your phone, then press Enter.");
        assert_eq!(
            approve(Some(&number), true, &german()),
            "Noch nicht bestätigt. Bitte wählen Sie auf Ihrem Telefon die Zahl 123456 und drücken Sie dann die Eingabetaste."
        );
    }

    #[test]
    fn a_number_is_digits_and_nothing_a_provider_could_say_beside() {
        for wrong in ["", "1234567", "4 2", "42!", "４２"] {
            assert_eq!(Number::new(wrong), None);
        }
        assert_eq!(Number::new("07").unwrap().as_str(), "07");
    }
}
