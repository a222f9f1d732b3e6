//! What an administrator is told about LDAP listeners, their applications and who is exempt.

use super::*;
use vestibule::domain::Timestamp;

const LISTEN: &str = "[[ldap.listen]]\nname = \"wiki\"";
const CA: &str = "client_ca_file = \"apps-ca.pem\"";
const SVC: &str = "CN=svc,OU=Service,DC=corp,DC=example";

/// `SMALL` with these keys at its listener, and `more` behind it.
fn listening(keys: &str, more: &str) -> String {
    format!("{}{more}", with(LISTEN, &format!("{LISTEN}\n{keys}")))
}

fn exempt(keys: &str) -> String {
    listening(&format!("exempt = [{{ {keys} }}]"), "")
}

fn client(name: &str, keys: &str) -> String {
    format!("[[ldap.client]]\nname = \"{name}\"\n{keys}\n")
}

#[test]
fn l_082_an_exemption_is_a_dn_with_networks_and_an_end() {
    let etc = Etc::new();
    let config = etc.load(&exempt(&format!("name = \"{SVC}\", from = [\"10.0.0.0/8\"], until = \"2099-12-31\""))).unwrap();
    let exempt = &config.ldap_listen[0].exempt[0];
    assert_eq!((exempt.dn.as_str(), exempt.from.as_slice()), (SVC, &["10.0.0.0/8".parse().unwrap()][..]));
    assert_eq!(exempt.until, Timestamp(4_102_444_800_000), "the end of that day, UTC");
    let next_year = next_year();
    let soon = etc.load(&self::exempt(&format!("name = \"{SVC}\", from = [\"10.0.0.0/8\"], until = \"{next_year}\""))).unwrap();
    assert_eq!(soon.warnings, []);
}

/// A day that is a year from now.
fn next_year() -> jiff::civil::Date {
    jiff::Zoned::now().date().checked_add(jiff::Span::new().days(365)).unwrap()
}

#[test]
fn m_46_an_exemption_without_an_end_or_a_place_or_by_less_than_a_dn_is_refused() {
    let etc = Etc::new();
    for (keys, part) in [
        (format!("name = \"{SVC}\", from = [\"10.0.0.0/8\"]"), "exempt[0].until: is missing"),
        (format!("name = \"{SVC}\", until = \"2099-12-31\""), "exempt[0].from: is missing"),
        (format!("name = \"{SVC}\", from = [], until = \"2099-12-31\""), "exempt[0].from: names no network"),
        ("name = \"svc\", from = [\"10.0.0.1\"], until = \"2099-12-31\"".to_owned(), "exempt[0].name: \"svc\" is no distinguished name"),
        (format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = \"never\""), "exempt[0].until: \"never\" is no day"),
        (format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = \"2099-02-30\""), "is no day"),
        (format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = 2099-12-31"), "exempt[0].until: is a datetime"),
        (
            format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = \"2099-12-31\", certificate = \"wiki\""),
            "no client of this listener can show a certificate",
        ),
    ] {
        let told = etc.told(&exempt(&keys));
        assert!(only(&told).contains(part), "{keys}: {told:?}");
    }
}

#[test]
fn m_46_an_exemption_that_is_over_or_for_everywhere_is_warned_of_and_keeps_nothing_from_starting() {
    let etc = Etc::new();
    let warned = etc.warned(&exempt(&format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = \"2020-02-29\"")));
    assert!(only(&warned).contains("this exemption is over"), "{warned:?}");
    let next_year = next_year();
    let warned = etc.warned(&exempt(&format!("name = \"{SVC}\", from = [\"0.0.0.0/0\"], until = \"{next_year}\"")));
    assert!(only(&warned).contains("lets every address be exempt"), "{warned:?}");
    let warned = etc.warned(&exempt(&format!("name = \"{SVC}\", from = [\"10.0.0.1\"], until = \"2099-12-31\"")));
    assert!(only(&warned).contains("more than two years"), "{warned:?}");
}

#[test]
fn an_application_takes_from_its_listener_what_it_leaves_out() {
    let etc = Etc::new();
    let config = etc.load(&listening("code = \"none\"", &client("git", "networks = [\"10.1.0.0/16\"]\ncode = { append_digits = 6 }"))).unwrap();
    let git = &config.ldap_listen[0].clients[0];
    assert_eq!((git.name.as_str(), git.policy.as_str(), &git.code), ("git", "vpn", &CodeEntry::AppendDigits(6)));
    let config = etc.load(&listening("code = \"none\"", &client("git", &format!("service = \"{SVC}\"")))).unwrap();
    assert_eq!(config.ldap_listen[0].clients[0].code, CodeEntry::None);
}

#[test]
fn m_48_applications_that_cannot_be_told_apart_are_refused() {
    let etc = Etc::new();
    let two = |one: &str, other: &str| etc.told(&listening(CA, &[client("one", one), client("two", other)].concat()));
    for (one, other) in [
        ("networks = [\"10.1.0.0/16\"]", "networks = [\"10.2.0.0/16\", \"10.1.0.0/16\"]"),
        ("certificate = \"a.example\"", "certificate = \"A.example\""),
        ("service = \"CN=svc,DC=corp\"", "service = \"cn=svc,DC=corp\""),
    ] {
        let told = two(one, other);
        assert!(only(&told).contains("ldap.client[1]: cannot be told from ldap.client[0]"), "{told:?}");
    }
    for (one, other) in [
        ("networks = [\"10.1.0.0/16\"]", "networks = [\"10.0.0.0/8\"]"),
        ("networks = [\"10.1.0.0/16\"]", "networks = [\"10.1.0.0/16\"]\ncertificate = \"a.example\""),
        ("certificate = \"a.example\"", "certificate = \"b.example\""),
    ] {
        assert_eq!(two(one, other), [] as [&str; 0], "{one}, {other}");
    }
    assert!(only(&etc.told(&listening("", &client("one", "")))).contains("does not say which connections"));
    assert!(only(&etc.told(&listening("", &client("wiki", "networks = [\"10.1.0.0/16\"]")))).contains("has the name \"wiki\" already"));
}

#[test]
fn an_application_says_its_listener_where_there_are_several() {
    let etc = Etc::new();
    let second = SMALL.split("[[ldap.listen]]").nth(1).unwrap().replace("\"wiki\"", "\"git\"");
    let two = |client: &str| format!("{SMALL}[[ldap.listen]]{second}{client}");
    assert!(only(&etc.told(&two(&client("one", "networks = [\"10.1.0.0/16\"]")))).contains("ldap.client[0].listen: is missing"));
    let config = etc.load(&two(&client("one", "listen = \"git\"\nnetworks = [\"10.1.0.0/16\"]"))).unwrap();
    assert_eq!(config.ldap_listen.iter().map(|listen| listen.clients.len()).collect::<Vec<_>>(), [0, 1]);
    assert!(only(&etc.told(&two(&client("one", "listen = \"gti\"\nnetworks = [\"10.1.0.0/16\"]")))).contains("there is no ldap.listen \"gti\""));
}

#[test]
fn certificates_of_clients_need_tls_and_an_authority() {
    let etc = Etc::new();
    assert_eq!(etc.told(&listening(&format!("{CA}\nclient_certificate = \"require\""), "")), [] as [&str; 0]);
    assert_eq!(etc.told(&listening(&format!("{CA}\ntransport = \"starttls\"\nclient_crl_file = \"apps-crl.pem\""), "")), [] as [&str; 0]);
    assert!(only(&etc.told(&listening("client_certificate = \"require\"", ""))).contains("is for listeners with client_ca_file"));
    assert!(only(&etc.told(&listening(&format!("{CA}\nclient_certificate = \"maybe\""), ""))).contains("\"maybe\" is unknown here"));
    assert!(only(&etc.told(&listening("client_ca_file = \"secrets/tls-key\"", ""))).contains("holds no certificate"));
    let plain = "transport = \"plain\"\nclient_ca_file = \"apps-ca.pem\"";
    let told = etc.told(&listening(plain, "").replace("cert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }\n", ""));
    assert!(only(&told).contains("knows no certificates"), "{told:?}");
}

#[test]
fn m_43_who_is_believed_about_addresses_is_named_and_not_everybody() {
    let etc = Etc::new();
    let config = etc.load(&listening("proxy_from = [\"10.0.0.5\"]\ntrust_session_tracking = [\"10.1.0.0/16\"]", "")).unwrap();
    let listen = &config.ldap_listen[0];
    assert_eq!((listen.proxy_from.len(), listen.trust_session_tracking.len(), config.warnings.len()), (1, 1, 0));
    for key in ["proxy_from", "trust_session_tracking"] {
        assert!(only(&etc.warned(&listening(&format!("{key} = [\"::/0\"]"), ""))).contains("lets every address"), "{key}");
        assert!(only(&etc.told(&listening(&format!("{key} = []"), ""))).contains("names no network"), "{key}");
    }
}

#[test]
fn what_is_wrong_with_a_listener_is_not_told_again_of_its_applications() {
    let etc = Etc::new();
    for line in ["listen = \"wiki\"\n", ""] {
        let text = listening("", &client("one", &format!("{line}networks = [\"10.1.0.0/16\"]"))).replace("cert_file = \"tls.pem\"", "cert_file = \"away.pem\"");
        assert!(only(&etc.told(&text)).contains("away.pem cannot be read"), "{line:?}");
    }
}
