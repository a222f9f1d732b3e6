//! What an administrator is told about RADIUS clients and the servers behind us.

use super::*;

use vestibule::domain::Remember;
use vestibule::domain::RememberBy;

/// `SMALL` with a client whose first factor is an upstream of these keys.
fn behind(upstream: &str) -> String {
    let text = with("first = { directory = \"corp\" }", "first = { upstream = \"nps\" }");
    text.replace("[policy.vpn]", &format!("[upstream.nps]\n{upstream}\n[policy.vpn]"))
}

const SECRET: &str = "secret = { file = \"secrets/nps\" }";

#[test]
fn a_server_that_takes_as_long_as_a_login_may_is_warned_of_where_there_is_another() {
    let etc = Etc::new();
    let two = behind(&format!("servers = [\"10.0.0.11\", \"10.0.0.12\"]\n{SECRET}"));
    let hasty = two.replace("policy = \"vpn\"\n[[ldap", "policy = \"vpn\"\npatience = \"5s\"\n[[ldap");
    let warned = etc.warned(&hasty);
    assert!(only(&warned).contains("upstream.nps"), "{warned:?}");
    assert_eq!(etc.warned(&hasty.replace(SECRET, &format!("{SECRET}\ntimeout = \"2s\""))), [] as [&str; 0]);
    assert_eq!(etc.warned(&hasty.replace(", \"10.0.0.12\"", "")), [] as [&str; 0]);
}

#[test]
fn r_022_a_secret_is_asked_for_where_any_server_is_reached_by_udp_and_refused_where_none_is() {
    let etc = Etc::new();
    let tls = "ca_file = \"radsec-ca.pem\"\ncert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }\nservers = [\"radsec://10.0.0.11\"]";
    let mixed = behind(&format!("{tls}\naccounting = [\"10.0.0.11:1813\"]"));
    let told = etc.told(&mixed);
    assert!(only(&told).contains("upstream.nps.secret"), "the secret that everybody knows must not seal datagrams: {told:?}");
    let config = etc.load(&behind(&format!("{tls}\naccounting = [\"10.0.0.11:1813\"]\n{SECRET}"))).unwrap();
    let names = (config.upstreams[0].login.name.as_str(), config.upstreams[0].accounting.as_ref().unwrap().name.as_str());
    assert_eq!(names, ("nps", "nps accounting"), "metrics tell the two apart");
    assert_ne!(config.upstreams[0].accounting.as_ref().unwrap().secret.expose(), b"radsec");
    assert_eq!(etc.told(&behind(tls)), [] as [&str; 0]);
    let told = etc.told(&behind(&format!("{tls}\n{SECRET}")));
    assert!(only(&told).contains("all servers are over TLS"), "{told:?}");
}

#[test]
fn r_068_a_patience_that_no_refusal_meets_is_warned_of_wherever_it_comes_from() {
    let etc = Etc::new();
    let slow = with("[provider.tokens]", "[limits]\nreject_delay = \"4s\"\n[provider.tokens]");
    let profiled = slow.replace("first = { directory", "profile = \"fortigate\"\nfirst = { directory");
    assert_eq!(etc.warned(&slow), [] as [&str; 0]);
    for text in [profiled, slow.replace("first = { directory", "patience = \"5s\"\nfirst = { directory")] {
        let warned = etc.warned(&text);
        assert!(only(&warned).contains("reject_delay"), "{warned:?}");
    }
}

#[test]
fn r_021_two_clients_with_one_certificate_are_told_apart_by_a_nas_identifier() {
    let etc = Etc::new();
    let client = |name: &str, more: &str| {
        format!(
            "[[radius.client]]\nname = \"{name}\"\nnetworks = [\"192.0.2.77\"]\ncertificate = \"nas.example\"\nfirst = {{ directory = \"corp\" }}\npolicy = \"vpn\"\n{more}\n"
        )
    };
    let both = |more: &str| format!("{SMALL}{}{}", client("one", "nas_identifier = \"a\""), client("two", more));
    assert_eq!(etc.told(&both("nas_identifier = \"b\"")), [] as [&str; 0]);
    let told = etc.told(&both("nas_identifier = \"a\""));
    assert!(only(&told).contains("with the same certificate"), "{told:?}");
}

#[test]
fn a_reply_for_a_group_is_refused_where_no_directory_knows_groups() {
    let etc = Etc::new();
    let text = behind(&format!("servers = [\"10.0.0.11\"]\n{SECRET}"));
    let grouped = text.replace("methods = [", "reply = [{ group = \"Staff\", attribute = \"Filter-Id\", value = \"staff\" }]\nmethods = [");
    assert_eq!(etc.told(&grouped), [] as [&str; 0], "the only directory knows them");
    let second = grouped.replace("[provider.duo]", "[directory.branch]\nkind = \"ldap\"\nservers = [\"ldaps://ldap\"]\nbase = \"DC=b\"\nbind_name = \"CN=x\"\nbind_password = { file = \"secrets/branch-bind\" }\n[provider.duo]");
    let told = etc.told(&second);
    assert!(only(&told).contains("no directory that knows groups"), "{told:?}");
    assert_eq!(etc.told(&second.replace("first = { upstream", "identify = \"corp\"\nfirst = { upstream")), [] as [&str; 0]);
}

#[test]
fn a_key_that_does_nothing_is_warned_of() {
    let etc = Etc::new();
    for (line, warned) in [("approval = \"enter\"", 1), ("menu = true", 1), ("approval = \"wait\"", 0), ("menu = false", 0)] {
        let text = with("first = { directory = \"corp\" }", &format!("first = {{ directory = \"corp\" }}\ncode = {{ append = \",\" }}\n{line}"));
        assert_eq!(etc.warned(&text).len(), warned, "{line}");
        assert_eq!(etc.warned(&text.replace("{ append = \",\" }", "{ challenge = \"Code:\" }")), [] as [&str; 0], "{line}");
    }
}

#[test]
fn a_late_approval_where_nothing_tells_people_apart_is_warned_of() {
    let etc = Etc::new();
    for (profile, time, warned) in [("meraki", "30s", 1), ("meraki", "0s", 0), ("sonicwall", "30s", 0)] {
        let text =
            with("first = { directory = \"corp\" }", &format!("first = {{ directory = \"corp\" }}\nprofile = \"{profile}\"\nlate_approval = \"{time}\""));
        let told = etc.warned(&text);
        assert_eq!(told.iter().filter(|line| line.contains("late_approval")).count(), warned, "{profile}: {told:?}");
    }
}

#[test]
fn a_section_that_no_client_names_is_warned_of_and_so_is_a_winbind_that_has_none() {
    let etc = Etc::new();
    let unused = with("[policy.vpn]", &format!("[upstream.nps]\nservers = [\"10.0.0.11\"]\n{SECRET}\n[policy.vpn]"));
    assert!(only(&etc.warned(&unused)).contains("no client uses this upstream"));
    let crop = with("first = { directory = \"corp\" }", "first = { winbind = \"CROP\" }").replace("[policy.vpn]", "[winbind.CORP]\n[policy.vpn]");
    let warned = etc.warned(&crop).join("\n");
    assert!(warned.contains("no client uses this winbind") && warned.contains("did you mean `CORP`?"), "{warned}");
    assert_eq!(etc.warned(&crop.replace("CROP", "CORP")).len(), 1, "that MS-CHAPv2 can be broken");
    assert_eq!(etc.warned(&crop.replace("[winbind.CORP]", "")).len(), 1, "the usual values");
}

#[test]
fn m_40_nothing_is_remembered_unless_told_and_for_half_a_day_at_most() {
    let etc = Etc::new();
    let remember = |keys: &str| with("[[radius.listen]]", &format!("{keys}\n[[radius.listen]]")).replace("[[ldap", "source = \"Calling-Station-Id\"\n[[ldap");
    let read = |keys: &str| etc.load(&remember(keys)).unwrap().policies["vpn"].rules.remember;
    assert_eq!(read(""), Remember { for_ms: 0, by: RememberBy::Source });
    assert_eq!(read("remember = \"12h\""), Remember { for_ms: 43_200_000, by: RememberBy::Source });
    assert_eq!(read("remember = \"1s\"\nremember_by = \"client\"").by, RememberBy::Client);
    assert_eq!(read("remember = \"1s\"\nremember_by = \"account\"").by, RememberBy::Account);
    assert!(only(&etc.told(&remember("remember = \"721m\""))).contains("policy.vpn.remember: "));
    assert!(only(&etc.told(&remember("remember_by = \"ip\""))).contains("policy.vpn.remember_by: "));
    assert!(only(&etc.warned(&remember("remember_by = \"client\""))).contains("policy.vpn.remember_by: does nothing"));
}

#[test]
fn m_40_a_client_whose_people_nobody_can_place_is_warned_of_where_places_count() {
    let etc = Etc::new();
    let remember = |keys: &str| with("[[radius.listen]]", &format!("{keys}\n[[radius.listen]]"));
    assert!(only(&etc.warned(&remember("remember = \"1h\""))).contains("radius.client[0]: remembers nobody"));
    assert_eq!(etc.warned(&remember("remember = \"1h\"\nremember_by = \"client\"")), [] as [&str; 0]);
    assert!(only(&etc.warned(&with("policy = \"vpn\"\n[[ldap", "policy = \"vpn\"\njoin = \"5s\"\n[[ldap"))).contains("radius.client[0]: joins nothing"));
}

#[test]
fn m_42_nothing_joins_unless_told_and_for_a_minute_at_most() {
    let etc = Etc::new();
    let config = etc.load(SMALL).unwrap();
    assert_eq!((config.ldap_listen[0].join, config.radius_clients[0].join), (Duration::ZERO, Duration::ZERO));
    let with_join = |join: &str| with("[[ldap.listen]]", &format!("[[ldap.listen]]\njoin = \"{join}\""));
    assert_eq!(etc.load(&with_join("10s")).unwrap().ldap_listen[0].join, Duration::from_secs(10));
    assert!(only(&etc.told(&with_join("61s"))).contains("ldap.listen[0].join: "));
}
