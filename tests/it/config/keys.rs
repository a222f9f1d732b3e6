//! What an administrator is told about RADIUS clients and the servers behind us.

use super::*;

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
