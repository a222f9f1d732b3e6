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

const LAB: &str = "[directory.lab]\nkind = \"ldap\"\nservers = [\"ldaps://[2001:db8::1]:636\"]\nbase = \"ou=lab,dc=lab,dc=example\"\nbind_name = \"cn=v\"\nbind_password = { file = \"secrets/branch-bind\" }\n";

/// `SMALL` with a second directory of these keys, both behind its first client and its LDAP listener.
fn both(lab: &str) -> String {
    let text = with("first = { directory = \"corp\" }", "first = { directory = [\"corp\", \"lab\"] }");
    text.replace("\ndirectory = \"corp\"", "\ndirectory = [\"lab\", \"corp\"]").replace("[policy.vpn]", &format!("{lab}\n[policy.vpn]"))
}

#[test]
fn several_directories_behind_one_door_are_read_in_their_order() {
    let etc = Etc::new();
    let config = etc.load(&both(LAB)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.ldap_listen[0].directory, ["lab", "corp"]);
    assert_eq!(config.radius_clients[0].identify.as_deref(), Some(&["corp".to_owned(), "lab".to_owned()][..]));
    assert_eq!(config.directories[1].servers[0].to_string(), "ldaps://[2001:db8::1]:636");
    let named =
        format!("{LAB}upn_suffixes = [\"Lab.Example\", \"science.example\"]\nlogin_attributes = [\"cn\", \"uid\"]\nidentity_attribute = \"nsUniqueId\"\n");
    let config = etc.load(&both(&named)).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let lab = &config.directories[1];
    assert_eq!((lab.upn_suffixes.join(" "), lab.login_attributes.as_slice()), ("lab.example science.example".to_owned(), &["cn", "uid"][..]));
    assert_eq!(lab.identity_attribute, vestibule::directory::IdentityAttribute::NsUniqueId);
}

#[test]
fn directories_that_a_name_cannot_tell_apart_are_refused_together_and_not_alone() {
    let etc = Etc::new();
    let twin = LAB.replace("ou=lab,dc=lab,dc=example", "ou=lab,dc=corp,dc=example");
    let told = etc.told(&both(&twin));
    assert_eq!(told.len(), 2, "at each door: {told:?}");
    assert!(told.iter().all(|told| told.contains("@corp.example") && told.contains("upn_suffixes")), "{told:?}");
    assert_eq!(etc.told(&both(&format!("{twin}upn_suffixes = [\"lab.example\"]\n"))), [] as [&str; 0]);
    assert_eq!(etc.told(&with("[policy.vpn]", &format!("{twin}\n[policy.vpn]"))), [] as [&str; 0], "each behind a door of its own");
    let told = etc.told(&both(LAB).replace("[\"lab\", \"corp\"]", "[\"lab\", \"crop\"]").replace("[\"corp\", \"lab\"]", "[\"lab\", \"lab\"]"));
    assert!(told.len() == 2 && told[0].contains("there already") && told[1].contains("did you mean `corp`?"), "{told:?}");
}

#[test]
fn keys_of_people_that_make_no_sense_are_refused() {
    let etc = Etc::new();
    for (keys, wrong) in [
        ("upn_suffixes = []", "names no suffix"),
        ("upn_suffixes = [\"@lab.example\"]", "cannot stand behind the @"),
        ("login_attributes = []", "names no attribute"),
        ("login_attributes = [\"uidd\"]", "did you mean `uid`?"),
        ("identity_attribute = \"uid\"", "unknown here"),
    ] {
        let told = etc.told(&both(&format!("{LAB}{keys}\n")));
        assert!(only(&told).contains(wrong), "{keys}: {told:?}");
    }
    for key in ["login_attributes = [\"uid\"]", "identity_attribute = \"entryUUID\""] {
        assert!(only(&etc.told(&with("netbios = \"CORP\"", &format!("netbios = \"CORP\"\n{key}")))).contains("in Active Directory it is"), "{key}");
    }
}

#[test]
fn servers_are_listed_or_found_by_dns_and_never_both() {
    let etc = Etc::new();
    let servers = "servers = [\"ldaps://dc1.corp.example\"]";
    let found = |lines: &str| etc.load(&with(servers, lines)).unwrap_or_else(|problems| panic!("{problems:#?}")).directories[0].srv.clone().unwrap();
    let usual = found("srv = \"corp.example\"");
    assert_eq!((usual.domain.as_str(), usual.security, usual.resolver), ("corp.example", Security::Tls, None));
    assert_eq!(found("srv = \"corp.example\"\nsrv_transport = \"ldap+starttls\"").security, Security::StartTls);
    for (lines, wrong) in [
        (format!("{servers}\nsrv = \"corp.example\""), "srv finds them"),
        (format!("{servers}\nsrv_transport = \"ldaps\""), "is for srv alone"),
        ("srv = \"_ldap._tcp corp\"".to_owned(), "is no domain"),
        ("srv = \"10.0.0.5\"".to_owned(), "is no domain"),
        ("srv = \"corp.example\"\nsrv_transport = \"ldap\"".to_owned(), "did you mean `ldaps`?"),
    ] {
        let told = etc.told(&with(servers, &lines));
        assert!(only(&told).contains(wrong), "{lines}: {told:?}");
    }
}

#[test]
fn a_global_catalog_is_warned_of_and_taken() {
    let etc = Etc::new();
    for (server, warned) in [("ldaps://dc1.corp.example:3269", 1), ("ldap+starttls://[2001:db8::1]:3268", 1), ("ldaps://[2001:db8::1]:636", 0)] {
        let told = etc.warned(&with("ldaps://dc1.corp.example", server));
        assert_eq!(told.len(), warned, "{server}: {told:?}");
        assert!(told.iter().all(|told| told.contains("Global Catalog")), "{told:?}");
    }
}
