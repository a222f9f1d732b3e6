//! What an administrator is told about directories, and about several of them behind one door.

use super::*;

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
fn m_20_a_provider_that_knows_bare_names_behind_several_directories_is_warned_of() {
    let etc = Etc::new();
    let namesakes = |text: &str| etc.warned(text).into_iter().filter(|told| told.contains("provider.duo: is told names alone")).count();
    assert_eq!(namesakes(SMALL), 0);
    assert_eq!(namesakes(&both(LAB)), 1, "behind one door");
    let apart = with("\ndirectory = \"corp\"", "\ndirectory = \"lab\"").replace("[policy.vpn]", &format!("{LAB}\n[policy.vpn]"));
    assert_eq!(namesakes(&apart), 1, "each behind a door of its own");
    assert_eq!(namesakes(&apart.replace("[policy.vpn]", "same_as = \"corp\"\n[policy.vpn]")), 0, "they are one");
    let asked = "[{ push = \"duo\" }, { oath = \"tokens\" }]";
    assert_eq!(namesakes(&both(LAB).replace(asked, "[{ oath = \"tokens\" }]")), 0, "ours are known by their identity");
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
        ("srv = \"com\"".to_owned(), "is a single label"),
        ("srv = \"com.\"".to_owned(), "is a single label"),
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

#[test]
fn directories_that_are_one_are_said_to_be_and_look_alikes_are_warned_of() {
    let etc = Etc::new();
    let twin = LAB.replace("kind = \"ldap\"", "kind = \"ad\"\nnetbios = \"LAB\"").replace("ou=lab,dc=lab,dc=example", "dc=Corp, dc=example");
    let load = |keys: &str| etc.load(&with("[policy.vpn]", &format!("{twin}{keys}\n[policy.vpn]"))).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let warned = |keys: &str| load(keys).warnings.iter().map(ToString::to_string).filter(|told| told.contains("directory")).collect::<Vec<_>>();
    assert_eq!(load("same_as = \"corp\"").directories[1].same_as.as_deref(), Some("corp"));
    assert!(warned("same_as = \"corp\"").iter().all(|told| !told.contains("same")));
    assert!(warned("").iter().any(|told| told.contains("write same_as = \"corp\"")), "{:?}", warned(""));
    assert!(warned("same_as = \"former\"").iter().any(|told| told.contains("there is no directory \"former\"")));
    for (keys, wrong) in [("same_as = \"lab\"", "this very section"), ("same_as = \"co rp\"", "is not a name")] {
        assert!(only(&etc.told(&with("[policy.vpn]", &format!("{twin}{keys}\n[policy.vpn]")))).contains(wrong), "{keys}");
    }
    let chain = with("netbios = \"CORP\"", "netbios = \"CORP\"\nsame_as = \"lab\"").replace("[policy.vpn]", &format!("{twin}same_as = \"corp\"\n[policy.vpn]"));
    assert!(etc.told(&chain).iter().all(|told| told.contains("says itself that it is another")));
}
