//! What an administrator is told about Duo and privacyIDEA.

use super::*;

use vestibule::provider::duo;
use vestibule::provider::privacyidea;
use vestibule::provider::privacyidea::Caller;

const URL: &str = "url = \"https://mfa.corp.example\"";
/// All but codes: what nobody may trigger.
const TRIGGERED: &str = "{ push = \"pi\" }, { text = \"pi\" }, { email = \"pi\" }, ";
const SERVICE: &str = "service_name = \"vestibule\"\nservice_password = { file = \"secrets/pi-password\" }";

/// `SMALL` with a privacyIDEA of these keys, which its policy asks first.
fn with_pi(keys: &str) -> String {
    let text = with("methods = [", "methods = [{ push = \"pi\" }, { text = \"pi\" }, { email = \"pi\" }, { oath = \"pi\" }, ");
    text.replace("[policy.vpn]", &format!("[provider.pi]\nkind = \"privacyidea\"\n{keys}\n[policy.vpn]"))
}

fn pi(etc: &Etc, keys: &str) -> privacyidea::Settings {
    let text = if keys == URL { with_pi(keys).replace(TRIGGERED, "") } else { with_pi(keys) };
    let config = etc.load(&text).unwrap();
    let found = config.providers.iter().find_map(|settings| if let ProviderSettings::PrivacyIdea(settings) = settings { Some(settings.clone()) } else { None });
    found.unwrap()
}

fn duo(etc: &Etc, keys: &str) -> duo::Settings {
    let config = etc.load(&with("[provider.tokens]", &format!("{keys}\n[provider.tokens]"))).unwrap();
    let found = config.providers.iter().find_map(|settings| if let ProviderSettings::Duo(settings) = settings { Some(settings.clone()) } else { None });
    found.unwrap()
}

#[test]
fn privacyidea_is_read_with_whoever_we_are_to_it() {
    let etc = Etc::new();
    let nobody = pi(&etc, URL);
    assert!(matches!(nobody.caller, Caller::Nobody));
    assert_eq!((nobody.name.as_str(), nobody.url.as_str(), nobody.realm.as_deref(), nobody.send_source), ("pi", "https://mfa.corp.example", None, false));
    let service = pi(&etc, &format!("{URL}\n{SERVICE}\nrealm = \"corp\"\nsend = [\"source\"]\ntimeout = \"2s\""));
    assert!(matches!(&service.caller, Caller::Service { name, password } if name == "vestibule" && password.expose_text() == Some("pi-password-5f0c1d7e9a2b")));
    assert_eq!((service.realm.as_deref(), service.send_source, service.timeout), (Some("corp"), true, Duration::from_secs(2)));
    assert!(matches!(pi(&etc, &format!("{URL}\nkey = {{ file = \"secrets/pi-key\" }}")).caller, Caller::Key(_)));
}

#[test]
fn what_is_wrong_with_privacyidea_is_told_by_its_place() {
    let etc = Etc::new();
    let told = etc.told(&with_pi(URL));
    assert!(told.len() == 3 && told.iter().all(|told| told.contains("to privacyIDEA we are nobody")), "{told:?}");
    for (keys, place) in [
        (SERVICE.to_owned(), "provider.pi.url: is missing"),
        ("url = \"http://mfa.corp.example\"".to_owned(), "provider.pi.url: "),
        (format!("{URL}\nservice_name = \"vestibule\""), "provider.pi.service_password: is missing"),
        (format!("{URL}\nservice_password = {{ file = \"secrets/pi-password\" }}"), "provider.pi.service_name: is missing"),
        (format!("{URL}\nkey = {{ file = \"secrets/pi-key\" }}\nservice_name = \"vestibule\""), "provider.pi.service_name: makes no sense"),
        (format!("{URL}\n{SERVICE}\nsend = [\"name\"]"), "provider.pi.send[0]: "),
        (format!("{URL}\n{SERVICE}\nreaml = \"corp\""), "provider.pi.reaml: is an unknown key"),
    ] {
        let told = etc.told(&with_pi(&keys));
        assert!(only(&told).contains(place), "{keys}: {told:?}");
    }
    let call = with_pi(&format!("{URL}\n{SERVICE}")).replace("{ push = \"pi\" }", "{ call = \"pi\" }");
    assert!(only(&etc.told(&call)).contains("cannot do call"));
}

#[test]
fn m_11_duo_matches_numbers_and_tells_names_only_when_told() {
    let etc = Etc::new();
    let usual = duo(&etc, "");
    assert_eq!((usual.number_match, usual.send_name), (false, false));
    let told = duo(&etc, "number_match = true\nsend = [\"name\"]");
    assert_eq!((told.number_match, told.send_name), (true, true));
    let text = |keys: &str| with("[provider.tokens]", &format!("{keys}\n[provider.tokens]"));
    assert!(only(&etc.told(&text("number_match = \"yes\""))).contains("provider.duo.number_match: "));
    assert!(only(&etc.told(&text("send = [\"mail\"]"))).contains("provider.duo.send[0]: "));
}
