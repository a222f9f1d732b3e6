//! PINs and telephone numbers, as they are configured.

use vestibule::domain::phone::Numbers;
use vestibule::domain::pin::PinPlace;
use vestibule::domain::pin::PinRules;

use super::*;

const NODE: &str = "[node]\nname = \"mfa1\"\ndata_dir = \"data\"\nmaster_key = { file = \"secrets/master-key\" }\n";

fn file(node: &str, policy: &str, rest: &str) -> String {
    let client = "[[radius.listen]]\naddress = \"127.0.0.1:0\"\n[[radius.client]]\nname = \"vpn\"\nnetworks = [\"192.0.2.1\"]\nsecret = { file = \"secrets/fortigate\" }\nfirst = \"waived\"\npolicy = \"vpn\"\n";
    format!(
        "{NODE}{node}\n[provider.tokens]\nkind = \"oath\"\n[provider.duo]\nkind = \"duo\"\nhost = \"api.duo.example\"\nkey_id = \"DI\"\nkey = {{ file = \"secrets/duo-key\" }}\n[policy.vpn]\n{policy}\n{rest}\n{client}"
    )
}

fn load(text: &str) -> Result<Config, String> {
    let etc = Etc::new();
    let path = etc.path("pins.toml");
    fs::write(&path, text).unwrap();
    Config::load_with(&path, None)
        .map_err(|problems| problems.iter().map(|problem| format!("{}: {} {:?}\n", problem.path, problem.message, problem.hint)).collect())
}

#[test]
fn m_30_a_pin_stands_in_front_of_codes_or_behind_them() {
    let methods = "methods = [{ oath = \"tokens\" }, { oath = \"duo\" }]";
    for (pin, wanted) in [("", None), ("pin = \"none\"", None), ("pin = \"front\"", Some(PinPlace::Front)), ("pin = \"behind\"", Some(PinPlace::Behind))] {
        let config = load(&file("", &format!("{methods}\n{pin}"), "")).unwrap();
        let asked: Vec<_> = config.policies["vpn"].rules.methods.iter().map(|choice| (&*choice.provider, choice.pin)).collect();
        assert_eq!(asked, [("tokens", wanted), ("duo", wanted)]);
        assert!(config.warnings.iter().all(|warning| !warning.message.contains("no policy uses")), "{:?}", config.warnings);
    }
}

#[test]
fn m_30_where_nobody_types_anything_there_is_no_pin() {
    for way in ["push", "call"] {
        let wrong = load(&file("", &format!("methods = [{{ {way} = \"duo\" }}]\npin = \"front\""), "")).unwrap_err();
        assert!(wrong.contains("policy.vpn.pin") && wrong.contains(way), "{wrong}");
    }
    let wrong = load(&file("", "methods = [{ oath = \"tokens\" }]\npin = \"before\"", "")).unwrap_err();
    assert!(wrong.contains("policy.vpn.pin") && wrong.contains("front"), "{wrong}");
}

#[test]
fn what_pins_are_like_is_bounded() {
    let methods = "methods = [{ oath = \"tokens\" }]";
    assert_eq!(load(&file("", methods, "")).unwrap().pin, PinRules { length_min: 4, history: 5, expires_ms: 0 });
    let set = load(&file("", methods, "[pin]\nlength_min = 6\nhistory = 10\nexpires = \"90d\"")).unwrap().pin;
    assert_eq!(set, PinRules { length_min: 6, history: 10, expires_ms: 90 * 24 * 60 * 60 * 1000 });
    for key in ["length_min = 3", "length_min = 17", "history = 0", "history = 11", "expires = \"1h\""] {
        let wrong = load(&file("", methods, &format!("[pin]\n{key}"))).unwrap_err();
        assert!(wrong.contains("out of bounds"), "{key}: {wrong}");
    }
}

#[test]
fn numbers_are_in_the_country_of_the_machine_where_it_has_one() {
    let methods = "methods = [{ oath = \"tokens\" }]";
    assert_eq!(load(&file("", methods, "")).unwrap().numbers, Numbers::default());
    let german = load(&file("country = \"DE\"", methods, "")).unwrap().numbers;
    assert_eq!(german.read("030 12345678").as_deref(), Ok("+493012345678"));
    assert!(load(&file("country = \"Germany\"", methods, "")).unwrap_err().contains("two letters"));
}
