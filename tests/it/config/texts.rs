//! What an administrator is told about their own texts, and what becomes of them.

use super::*;

use vestibule::domain::Lexicon;
use vestibule::domain::Texts;

const OWN: &str = "[texts]\nfolder = \"texts\"";

fn spoken(section: &str) -> String {
    with("[provider.duo]", &format!("{section}\n[provider.duo]"))
}

fn write(etc: &Etc, name: &str, text: &str) {
    fs::write(etc.path("texts").join(name), text).unwrap();
}

fn lexicon(config: &Config) -> &Lexicon {
    &config.policies["vpn"].rules.texts
}

#[test]
fn english_is_usual_german_is_there_and_either_can_be_the_usual_one() {
    let etc = Etc::new();
    let english = etc.load(SMALL).unwrap();
    assert_eq!(lexicon(&english), &Lexicon::default());
    assert_eq!(english.radius_clients[0].code, CodeEntry::Challenge("Enter your code:".into()));
    let german = etc.load(&spoken("[texts]\nlanguage = \"de\"")).unwrap();
    let (usual, other) = (lexicon(&german).usual(), lexicon(&german).of(Some("en-GB")));
    assert_eq!((&*usual.refused, &*other.refused), ("Zugang verweigert.", "Access denied."));
    assert_eq!(lexicon(&german).foreign(Some("de")), None);
    assert_eq!(german.radius_clients[0].code, CodeEntry::Challenge("Bitte geben Sie Ihren Code ein:".into()), "a client that says nothing asks in it too");
}

#[test]
fn an_operators_own_words_go_before_ours_and_a_new_language_falls_back_to_the_usual_one() {
    let etc = Etc::new();
    write(&etc, "de.toml", "refused = \"Nein. Hilfe: 4711\"\n");
    write(&etc, "fr.toml", "code_prompt = \"Votre code :\"\nmenu_push = \"notification\"\n");
    write(&etc, "README", "of no language");
    let config = etc.load(&spoken(&format!("{OWN}\nlanguage = \"de\""))).unwrap();
    let texts = lexicon(&config);
    assert_eq!((&*texts.usual().refused, &*texts.usual().again), ("Nein. Hilfe: 4711", "Das neue Passwort noch einmal:"));
    let french = texts.of(Some("fr-CA"));
    assert_eq!([&*french.code_prompt, &*french.menu_push, &*french.refused], ["Votre code :", "notification", "Nein. Hilfe: 4711"]);
    assert_eq!(texts.of(Some("en")).refused, "Access denied.");
    let config = etc.load(&spoken(&format!("{OWN}\nlanguage = \"fr\""))).unwrap();
    assert_eq!((&*lexicon(&config).usual().code_prompt, &*lexicon(&config).usual().refused), ("Votre code :", "Access denied."), "behind it stands English");
    assert_eq!(lexicon(&config).of(Some("de")).refused, "Nein. Hilfe: 4711");
}

#[test]
fn every_mistake_in_a_file_of_texts_is_told_with_its_file_and_line() {
    let etc = Etc::new();
    let long = "x".repeat(254);
    let mistakes = format!(
        "refusd = \"No\"\nchoose = \"Choose it\"\nsms = \"{{cod}}\"\nmail_subject = \"{{code}}\"\nagain = \"{{phone}}\"\nexpired = \"{long}\"\nmenu_push = \"1\"\nmenu_call = 7\nmenu_or = \"a\\tb\"\n"
    );
    write(&etc, "de.toml", &mistakes);
    write(&etc, "de-AT.toml", "");
    let told = etc.told(&spoken(&format!("{OWN}\nlangage = \"de\"")));
    let expected = [
        "vestibule.toml:15: texts.langage: is an unknown key (did you mean `language`?)",
        "texts/de-AT.toml: its name is no language (name it by the language alone",
        "texts/de.toml:1: refusd: is an unknown key (did you mean `refused`?)",
        "texts/de.toml:2: choose: does not hold {number} (write {number} where that belongs)",
        "texts/de.toml:3: sms: holds {cod}, which means nothing here (did you mean `code`?)",
        "texts/de.toml:4: mail_subject: holds {code}, which means nothing here (there is `app`)",
        "texts/de.toml:5: again: holds {phone}, which means nothing here (take {phone} out: nothing is filled in here)",
        "texts/de.toml:6: expired: can become 254 bytes long, and 253 are the most",
        "texts/de.toml:7: menu_push: is typed by people, and is not made of letters",
        "texts/de.toml:8: menu_call: is an integer (expected text in quotes)",
        "texts/de.toml:9: menu_or: holds control characters",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn a_language_that_is_not_there_and_a_folder_that_is_not_there_are_told() {
    let etc = Etc::new();
    assert!(only(&etc.told(&spoken("[texts]\nlanguage = \"ed\""))).contains("texts.language: there are no texts in \"ed\" (did you mean `de`?"));
    assert!(only(&etc.told(&spoken("[texts]\nlanguage = \"de-AT\""))).contains("there are no texts in \"de-AT\""));
    assert!(only(&etc.told(&spoken("[texts]\nfolder = \"words\""))).contains("texts.folder: words cannot be read: No such file"));
    // A default language whose own file has a mistake is not unknown beside it.
    write(&etc, "fr.toml", "again = 7\n");
    assert!(only(&etc.told(&spoken(&format!("{OWN}\nlanguage = \"fr\"")))).starts_with("texts/fr.toml:1: again: "));
}

#[test]
fn the_document_names_every_text_its_places_and_its_length() {
    let document = include_str!("../../../docs/texts.md");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), Texts::SLOTS.len());
    for (row, slot) in rows.into_iter().zip(Texts::SLOTS) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!((cells[0], cells[3]), (format!("`{}`", slot.key).as_str(), slot.bytes_max.to_string().as_str()));
        let named: Vec<&str> = cells[2].split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(named, slot.places().map(|place| place.name).collect::<Vec<_>>(), "{}", slot.key);
    }
}
