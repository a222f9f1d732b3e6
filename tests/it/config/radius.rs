//! Tests of what the configuration says about RADIUS: clients and their habits, servers behind us, doors, replies.

use std::time::Duration;

use vestibule::app::config::AccountingTo;
use vestibule::app::config::Config;
use vestibule::app::config::FirstFactor;
use vestibule::directory::upstream::EapNames;
use vestibule::domain::Approval;
use vestibule::domain::CodeEntry;
use vestibule::front::radius::Charset;
use vestibule::front::radius::NasAddress;
use vestibule::wire::radius::Integrity;

use super::Etc;
use super::SMALL;
use super::only;
use super::with;

const UPSTREAM: &str = "[upstream.nps]\nservers = [\"10.0.0.11:1812\"]\nsecret = { file = \"secrets/nps\" }\n";
const OVER_TLS: &str = "[upstream.campus]\nservers = [\"radsec://radius.campus.example\"]\nca_file = \"radsec-ca.pem\"\ncert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }\n";
const TLS_DOOR: &str = "[[radius.listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\ncert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }\nclient_ca_file = \"radsec-ca.pem\"\n";

/// `SMALL` with these lines more in its RADIUS client.
fn client(lines: &str) -> String {
    with("policy = \"vpn\"\n[[ldap.listen]]", &format!("{lines}\npolicy = \"vpn\"\n[[ldap.listen]]"))
}

/// `SMALL` with this first factor, `[upstream.nps]`, and these lines more in the client.
fn first(first: &str, lines: &str) -> String {
    format!("{}{UPSTREAM}", client(lines).replace("first = { directory = \"corp\" }", &format!("first = {first}")))
}

/// `SMALL` with these lines more in its policy.
fn policy(lines: &str) -> String {
    with("[[radius.listen]]", &format!("{lines}\n[[radius.listen]]"))
}

fn loaded(text: &str) -> Config {
    Etc::new().load(text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// The one problem of a file: where, and what is said about it. It must tell what to do.
fn wrong(etc: &Etc, text: &str) -> String {
    let problems = etc.load(text).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let told = etc.without_folder(&problems[0]);
    let remedy = problems[0].hint.is_some() || ["write ", "take the line out", "shorten it"].iter().any(|word| told.contains(word));
    assert!(remedy, "{told}: and now?");
    told
}

/// Each file has one mistake.
fn all_wrong(cases: &[(String, &str, &str)]) {
    let etc = Etc::new();
    for (text, place, what) in cases {
        let told = wrong(&etc, text);
        assert!(told.contains(&format!(": {place}: ")) && told.contains(what), "{told}\n{place}: {what}");
    }
}

#[test]
fn habits_of_a_client_are_read_and_go_before_its_profile() {
    let lines = "nas_identifier = \"vpn-1\"\nnas_address = \"require\"\ncharset = \"latin-1\"\napproval = \"enter\"\nlate_approval = \"45s\"\nmenu = true\nprofile = \"sonicwall\"\n";
    let loaded = loaded(&client(lines));
    let client = &loaded.radius_clients[0];
    assert_eq!((client.nas_identifier.as_deref(), client.nas_address, client.charset), (Some("vpn-1"), NasAddress::Require, Charset::Latin1));
    assert_eq!((client.approval, client.late_approval, client.menu), (Approval::Enter, Duration::from_secs(45), true));
    assert_eq!((client.profile, client.patience, &client.code), (Some("sonicwall"), Duration::from_secs(15), &CodeEntry::Append(",".into())));
}

#[test]
fn a_client_that_says_nothing_is_as_the_commented_file_says() {
    let loaded = loaded(SMALL);
    let client = &loaded.radius_clients[0];
    assert_eq!((client.nas_identifier.as_deref(), client.nas_address, client.charset), (None, NasAddress::Log, Charset::Utf8));
    assert_eq!((client.approval, client.late_approval, client.menu, client.profile), (Approval::Wait, Duration::ZERO, false, None));
    assert_eq!((&client.accounting, client.certificate.as_deref(), client.identify.as_deref()), (&AccountingTo::Record, None, Some(&["corp".to_owned()][..])));
}

#[test]
fn habits_that_are_none_name_the_nearest() {
    all_wrong(&[
        (client("profile = \"fortigat\""), "radius.client[0].profile", "did you mean `fortigate`?"),
        (client("profile = \"cisco_asa\""), "radius.client[0].profile", "did you mean `cisco-asa`?"),
        (client("nas_address = \"requier\""), "radius.client[0].nas_address", "did you mean `require`?"),
        (client("charset = \"latin1\""), "radius.client[0].charset", "did you mean `latin-1`?"),
        (client("charset = \"cp1252\""), "radius.client[0].charset", "one of `utf-8` and `latin-1`"),
        (client("approval = \"entre\""), "radius.client[0].approval", "did you mean `enter`?"),
        (client("late_approval = \"6m\""), "radius.client[0].late_approval", "0s to 5m"),
        (client("menu = \"yes\""), "radius.client[0].menu", "true or false"),
        (client("nas_identifier = \"\""), "radius.client[0].nas_identifier", "is empty"),
        (client("integrity = \"observed\""), "radius.client[0].integrity", "did you mean `observe`?"),
        (client("source = \"Calling-Station\""), "radius.client[0].source", "Calling-Station-Id"),
        (client("patience = \"4s\""), "radius.client[0].patience", "5s to 10m"),
    ]);
    // Far from every name: all there are.
    assert!(wrong(&Etc::new(), &client("profile = \"juniper-srx\"")).contains("`meraki`"));
}

#[test]
fn r_031_integrity_is_the_clients_own_word_else_the_word_for_all_else_the_profiles() {
    let all = |word: &str, lines: &str| client(lines).replacen("[[radius.listen]]", &format!("[radius]\nintegrity = \"{word}\"\n[[radius.listen]]"), 1);
    let read = |text: &str| loaded(text).radius_clients[0].integrity;
    assert_eq!(read(SMALL), Integrity::Require);
    assert_eq!(read(&client("profile = \"ocserv\"")), Integrity::Observe);
    assert_eq!(read(&all("observe", "")), Integrity::Observe);
    assert_eq!(read(&all("require", "profile = \"postgresql\"")), Integrity::Require);
    assert_eq!(read(&all("observe", "integrity = \"optional\"")), Integrity::Optional);
    assert!(wrong(&Etc::new(), &all("required", "")).contains("radius.integrity: \"required\" is unknown here (did you mean `require`?)"));
}

#[test]
fn a_server_behind_us_is_read_and_its_mistakes_are_told() {
    let text = first("{ upstream = \"nps\" }", "accounting = { upstream = \"nps\" }");
    let text = format!("{text}accounting = [\"10.0.0.11:1813\"]\ntimeout = \"5s\"\ntries = 3\nintegrity = \"optional\"\nuser_name = \"inner\"\n");
    let config = loaded(&text);
    let upstream = &config.upstreams[0];
    assert_eq!((upstream.login.timeout, upstream.login.tries, upstream.login.integrity), (Duration::from_secs(5), 3, Integrity::Optional));
    assert!(upstream.names == EapNames::Inner && upstream.accounting.as_ref().unwrap().servers.len() == 1);
    assert_eq!(config.radius_clients[0].accounting, AccountingTo::Upstream("nps".into()));
    let usual = loaded(&first("{ upstream = \"nps\" }", ""));
    let upstream = &usual.upstreams[0];
    assert_eq!((upstream.login.timeout, upstream.login.tries, upstream.login.integrity), (Duration::from_secs(3), 2, Integrity::Require));
    assert!(upstream.names == EapNames::Outer && upstream.accounting.is_none());

    let nps = |line: &str| first("{ upstream = \"nps\" }", "").replace("servers = [\"10.0.0.11:1812\"]", line);
    all_wrong(&[
        (first("{ upstream = \"npz\" }", ""), "radius.client[0].first.upstream", "there is no upstream \"npz\" (did you mean `nps`?)"),
        (nps(""), "upstream.nps.servers", "is missing (write servers = "),
        (nps("servers = []"), "upstream.nps.servers", "names no server"),
        (nps("servers = [\"10.0.0.11:1812\"]\ntries = 0"), "upstream.nps.tries", "1 to 10"),
        (nps("servers = [\"10.0.0.11:1812\"]\ntimeout = \"2m\""), "upstream.nps.timeout", "100ms to 1m"),
        (nps("servers = [\"10.0.0.11:1812\"]\nuser_name = \"iner\""), "upstream.nps.user_name", "did you mean `inner`?"),
        (nps("servers = [\"10.0.0.11:1812\"]\nca_file = \"radsec-ca.pem\""), "upstream.nps.ca_file", "is for servers that begin with radsec://"),
        (
            first("{ upstream = \"nps\" }", "accounting = { upstream = \"nps\" }"),
            "radius.client[0].accounting.upstream",
            "write accounting = [\"10.0.0.11:1813\"] there",
        ),
        (first("{ upstream = \"nps\" }", "accounting = \"recrod\""), "radius.client[0].accounting", "did you mean `record`?"),
        (first("{ upstream = \"nps\" }", "").replace("secret = { file = \"secrets/nps\" }\n", ""), "upstream.nps.secret", "is missing"),
    ]);
}

#[test]
fn a_server_over_tls_needs_a_certificate_and_no_secret() {
    let campus = first("{ upstream = \"campus\" }", "").replace(UPSTREAM, OVER_TLS);
    assert!(loaded(&campus).upstreams[0].login.tls.is_some());
    for (key, line) in
        [("ca_file", "ca_file = \"radsec-ca.pem\"\n"), ("cert_file", "cert_file = \"tls.pem\"\n"), ("key", "key = { file = \"secrets/tls-key\" }\n")]
    {
        let tls = OVER_TLS.replace(line, "");
        all_wrong(&[(campus.replace(OVER_TLS, &tls), &format!("upstream.campus.{key}"), "is missing")]);
    }
}

#[test]
fn a_first_factor_is_one_thing_and_what_stands_beside_it_fits() {
    let etc = Etc::new();
    let read = |text: &str| etc.load(text).unwrap().radius_clients[0].first.clone();
    assert_eq!(read(&first("{ upstream = \"nps\" }", "")), FirstFactor::Upstream { name: "nps".into(), without_credential: false });
    assert_eq!(read(&first("{ upstream = \"nps\" }", "profile = \"rd-gateway\"")), FirstFactor::Upstream { name: "nps".into(), without_credential: true });
    let refused = "{ upstream = \"nps\", without_credential = false }";
    assert_eq!(read(&first(refused, "profile = \"rd-gateway\"")), FirstFactor::Upstream { name: "nps".into(), without_credential: false });
    assert_eq!(read(&first("\"waived\"", "")), FirstFactor::Waived);
    let nothing = "names no first factor, or more than one";
    all_wrong(&[
        (first("{}", ""), "radius.client[0].first", nothing),
        (first("{ directory = \"corp\", upstream = \"nps\" }", ""), "radius.client[0].first", nothing),
        (first("\"waved\"", ""), "radius.client[0].first", "or \"waived\""),
        (
            first("{ upstraem = \"nps\" }", "").replace("{ upstraem = \"nps\" }", "{ upstream = \"nps\", upstraem = \"nps\" }"),
            "radius.client[0].first.upstraem",
            "did you mean `upstream`?",
        ),
        (first("{ directory = \"corp\", without_credential = true }", ""), "radius.client[0].first.without_credential", "is for { upstream = .. } alone"),
    ]);
}

#[test]
fn whose_a_name_is_tells_the_only_directory_or_the_one_that_is_named() {
    let branch = "[directory.branch]\nkind = \"ldap\"\nservers = [\"ldaps://ldap.branch.example\"]\nbase = \"dc=branch\"\nbind_name = \"cn=v\"\nbind_password = { file = \"secrets/branch-bind\" }\n";
    let two = |first_factor: &str, lines: &str| format!("{}{branch}", first(first_factor, lines));
    let etc = Etc::new();
    let identify = |text: &str| etc.load(text).unwrap_or_else(|problems| panic!("{problems:#?}")).radius_clients[0].identify.clone();
    let some = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(identify(&first("{ upstream = \"nps\" }", "")), some(&["corp"]));
    assert_eq!(identify(&two("{ upstream = \"nps\" }", "")), None, "of two nobody knows which: our own accounts tell");
    assert_eq!(identify(&two("\"waived\"", "identify = \"branch\"")), some(&["branch"]));
    assert_eq!(identify(&two("{ upstream = \"nps\" }", "identify = [\"branch\", \"corp\"]")), some(&["branch", "corp"]));
    assert_eq!(identify(&two("{ directory = [\"corp\", \"branch\"] }", "")), some(&["corp", "branch"]));
    all_wrong(&[
        (two("{ upstream = \"nps\" }", "identify = \"brunch\""), "radius.client[0].identify", "did you mean `branch`?"),
        (client("identify = \"corp\""), "radius.client[0].identify", "the directory that checks the password knows who it is (take it away)"),
        (two("{ winbind = \"CORP\" }", ""), "radius.client[0].identify", "is missing (write identify = "),
        (two("{ winbind = \"CORP\" }", "identify = [\"corp\", \"branch\"]"), "radius.client[0].identify", "a winbind answers for one domain alone"),
    ]);
}

#[test]
fn r_090_winbind_is_read_and_warned_of() {
    let etc = Etc::new();
    let text = first("{ winbind = \"CORP\" }", "").replace(UPSTREAM, "");
    let warned = etc.warned(&text);
    assert!(only(&warned).contains("radius.client[0].first.winbind: MS-CHAPv2 can be broken by whoever hears one login"), "{warned:?}");
    let usual = etc.load(&text).unwrap().winbinds["CORP"].clone();
    assert_eq!((usual.program.to_str(), usual.helpers_max, usual.timeout), (Some("/usr/bin/ntlm_auth"), 8, Duration::from_secs(5)));
    let own = format!("{text}[winbind.CORP]\nprogram = \"/opt/samba/bin/ntlm_auth\"\nhelpers_max = 16\ntimeout = \"3s\"\n");
    let own = etc.load(&own).unwrap().winbinds["CORP"].clone();
    assert_eq!((own.program.to_str(), own.helpers_max, own.timeout), (Some("/opt/samba/bin/ntlm_auth"), 16, Duration::from_secs(3)));
    all_wrong(&[
        (format!("{text}[winbind.CORP]\nhelpers_max = 65\n"), "winbind.CORP.helpers_max", "1 to 64"),
        (format!("{text}[winbind.CORP]\nhelper_max = 6\n"), "winbind.CORP.helper_max", "did you mean `helpers_max`?"),
        (first("{ winbind = \"C:ORP\" }", ""), "radius.client[0].first.winbind", "is not a name"),
    ]);
}

/// Who vouches for a name elsewhere may know it by a spelling that we do not.
#[test]
fn m_20_people_without_an_account_and_names_that_another_vouches_for_are_warned_of() {
    let etc = Etc::new();
    let lenient = |first_factor: &str| first(first_factor, "").replacen("[[radius.listen]]", "unenrolled = \"accept\"\n[[radius.listen]]", 1);
    for first_factor in ["{ upstream = \"nps\" }", "\"waived\""] {
        let warned = etc.load(&lenient(first_factor)).unwrap().warnings;
        let only: Vec<_> = warned.iter().filter(|problem| problem.path == "radius.client[0]").collect();
        assert_eq!(only.len(), 1, "{warned:#?}");
        assert!(only[0].message.contains("another spelling of a name") && only[0].message.contains("is a name without an account"), "{only:?}");
        assert!(only[0].hint.as_ref().is_some_and(|hint| hint.contains("unenrolled = \"reject\"") && hint.contains("vestibule user add")), "{only:?}");
        assert!(etc.warned(&first(first_factor, "")).iter().all(|told| !told.contains("spelling")));
    }
    assert!(etc.warned(&lenient("{ directory = \"corp\" }")).iter().all(|told| !told.contains("spelling")), "there the directory says who it is");
}

#[test]
fn r_112_a_client_over_tls_is_known_by_its_certificate_and_has_no_secret() {
    let etc = Etc::new();
    let text = client("certificate = \"vpn.corp.example\"").replace("secret = { file = \"secrets/fortigate\" }\n", "");
    let loaded = etc.load(&format!("{text}{TLS_DOOR}")).unwrap();
    assert_eq!(loaded.radius_clients[0].certificate.as_deref(), Some("vpn.corp.example"));
    let tls = loaded.radius_listen[1].tls.as_ref().unwrap();
    assert_eq!((tls.packet_bytes_max, tls.connections_max), (4096, 1024));
    let secret = client("certificate = \"vpn.corp.example\"");
    all_wrong(&[(secret, "radius.client[0].secret", "a client with a certificate comes over TLS alone")]);
    let second = "[[radius.client]]\nname = \"asa\"\nnetworks = [\"192.0.2.10\"]\ncertificate = \"vpn.corp.example\"\nfirst = { directory = \"corp\" }\npolicy = \"vpn\"\n";
    all_wrong(&[(format!("{text}{TLS_DOOR}{second}"), "radius.client[1].networks[0]", "with the same certificate")]);
}

#[test]
fn a_door_over_tls_needs_certificate_key_and_authorities_and_a_datagram_one_has_none() {
    let door = |from: &str, to: &str| format!("{SMALL}{}", TLS_DOOR.replace(from, to));
    let wide = loaded(&format!("{SMALL}{TLS_DOOR}packet_bytes_max = 65_535\nconnections_max = 10\n"));
    let tls = wide.radius_listen[1].tls.as_ref().unwrap();
    assert_eq!((tls.packet_bytes_max, tls.connections_max, tls.client_connections_max), (65_535, 10, 10));
    all_wrong(&[
        (door("cert_file = \"tls.pem\"\n", ""), "radius.listen[1].cert_file", "is missing"),
        (door("key = { file = \"secrets/tls-key\" }\n", ""), "radius.listen[1].key", "is missing"),
        (door("client_ca_file = \"radsec-ca.pem\"\n", ""), "radius.listen[1].client_ca_file", "is missing"),
        (door("radsec-ca.pem", "away.pem"), "radius.listen[1].client_ca_file", "cannot be read"),
        (door("\"tls\"", "\"tsl\""), "radius.listen[1].transport", "did you mean `tls`?"),
        (format!("{SMALL}{TLS_DOOR}accounting = true\n"), "radius.listen[1].accounting", "over TLS accounting comes to the same port as logins"),
        (format!("{SMALL}{TLS_DOOR}packet_bytes_max = 4095\n"), "radius.listen[1].packet_bytes_max", "4096 to 65535"),
        (format!("{SMALL}{TLS_DOOR}connections_max = 0\n"), "radius.listen[1].connections_max", "1 to 100000"),
    ]);
    for key in [
        "cert_file = \"tls.pem\"",
        "key = { file = \"secrets/tls-key\" }",
        "client_ca_file = \"radsec-ca.pem\"",
        "packet_bytes_max = 4096",
        "connections_max = 9",
    ] {
        let told = wrong(&Etc::new(), &with("[[radius.client]]", &format!("{key}\n[[radius.client]]")));
        assert!(told.contains("is for transport = \"tls\" alone (take it away)"), "{told}");
    }
    let accounting = loaded(&with("[[radius.client]]", "[[radius.listen]]\naddress = \"127.0.0.1:0\"\naccounting = true\n[[radius.client]]"));
    assert_eq!([accounting.radius_listen[0].accounting, accounting.radius_listen[1].accounting], [false, true]);
}

#[test]
fn r_071_attributes_of_a_reply_are_known_and_may_be_set() {
    let reply = |attribute: &str, value: &str| policy(&format!("reply = [{{ attribute = {attribute:?}, value = {value:?} }}]"));
    let config =
        loaded(&policy("reply = [{ group = \"VPN\", attribute = \"Filter-Id\", value = \"staff\" }, { attribute = \"Session-Timeout\", value = \"3600\" }]"));
    let additions = &config.policies["vpn"].reply;
    assert_eq!((additions[0].group.as_deref(), additions[0].attribute.as_slice()), (Some("VPN"), &b"\x0b\x07staff"[..]));
    assert_eq!((additions[1].group.as_deref(), additions[1].attribute.as_slice()), (None, &b"\x1b\x06\x00\x00\x0e\x10"[..]));
    let place = "policy.vpn.reply[0].attribute";
    let value = "policy.vpn.reply[0].value";
    all_wrong(&[
        (reply("Filter-ID-", "x"), place, "did you mean `Filter-Id`?"),
        (reply("Fortinet-Group-Nmae", "x"), place, "did you mean `Fortinet-Group-Name`?"),
        (reply("Colour", "x"), place, "\"Colour\" is no attribute we know"),
        (reply("State", "x"), value, "take the line out"),
        (reply("Message-Authenticator", "x"), value, "take the line out"),
        (reply("User-Password", "x"), value, "take the line out"),
        (reply("MS-MPPE-Send-Key", "x"), value, "take the line out"),
        (reply("NAS-Port-Type", "Virtual"), value, "what clients send"),
        (reply("Session-Timeout", "an hour"), value, "is a number"),
        (reply("Framed-IP-Address", "10.0.0.256"), value, "is an IPv4 address"),
        (reply("Filter-Id", ""), value, "is empty"),
        (policy("reply = [{ attribute = \"Filter-Id\" }]"), value, "is missing"),
        (policy("reply = [{ attribute = \"Filter-Id\", value = \"x\", groups = [\"VPN\"] }]"), "policy.vpn.reply[0].groups", "did you mean `group`?"),
        (policy("reply = { attribute = \"Filter-Id\", value = \"x\" }"), "policy.vpn.reply", "a list"),
    ]);
}

#[test]
fn a_place_to_enrol_is_one_that_people_can_follow() {
    let url = |url: &str| policy(&format!("enrol_url = {url:?}"));
    assert_eq!(loaded(&url("https://mfa.corp.example/")).policies["vpn"].enrol_url.as_deref(), Some("https://mfa.corp.example/"));
    for bad in ["http://mfa.corp.example/", "mfa.corp.example", &format!("https://mfa.corp.example/{}", "x".repeat(180))] {
        all_wrong(&[(url(bad), "policy.vpn.enrol_url", "write \"https://mfa.corp.example/\"")]);
    }
}

#[test]
fn m_43_trusted_networks_without_a_source_are_warned_of() {
    let etc = Etc::new();
    let trusting = |source: &str| client(source).replace("methods = [{ push", "trusted = [\"10.0.0.0/8\"]\nmethods = [{ push");
    assert!(only(&etc.warned(&trusting(""))).contains("trusts no network: without `source`"));
    assert_eq!(etc.warned(&trusting("source = \"Calling-Station-Id\"")), [] as [&str; 0]);
    let elsewhere = client("").replace("[policy.vpn]", "[policy.wiki]\ntrusted = [\"10.0.0.0/8\"]\nmethods = [{ oath = \"tokens\" }]\n[policy.vpn]");
    let elsewhere = elsewhere.replace("directory = \"corp\"\npolicy = \"vpn\"", "directory = \"corp\"\npolicy = \"wiki\"");
    assert_eq!(etc.warned(&elsewhere), [] as [&str; 0], "an LDAP client's address is known");
}
