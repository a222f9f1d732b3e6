//! Two directories behind one door, each with an alice of its own.

use super::*;

fn with_password(password: &str) -> Lab {
    Lab::open("127.0.0.1:0".parse().unwrap(), vec![Person::new("alice", "Alice", "Archer", password)]).unwrap()
}

#[tokio::test]
async fn a_password_is_tried_in_the_directory_of_the_realm_alone() {
    let (first, second) = (with_password("first-Passw0rd"), with_password("second-Passw0rd"));
    let corp = settings(&[format!("ldap://{}", first.address())]);
    let lab = Settings {
        name: "lab".to_owned(),
        kind: Kind::Ldap,
        netbios: None,
        upn_suffixes: vec!["lab.test".to_owned()],
        ..settings(&[format!("ldap://{}", second.address())])
    };
    let open = |settings: &Settings| directory::open(settings.clone()).unwrap();
    let both = directory::realms::gather(vec![(&corp, open(&corp)), (&lab, open(&lab))]).unwrap();
    let (here, there) = (both.resolve("alice").await.unwrap(), both.resolve("alice@lab.test").await.unwrap());
    assert_eq!((here.directory.as_str(), there.directory.as_str()), ("corp", "lab"));
    assert_ne!(here.identity, there.identity, "the same person in two directories is two");
    assert_eq!(both.authenticate(&here, &Secret::from("second-Passw0rd")).await, Err(refused(&here, Refused::WrongPassword)));
    assert_eq!(second.binds_of("alice"), 0, "the refused password went no further");
    assert_eq!(both.authenticate(&here, &Secret::from("first-Passw0rd")).await, Ok(here.identity.clone()));
    assert_eq!(both.authenticate(&there, &Secret::from("second-Passw0rd")).await, Ok(there.identity.clone()));
    assert_eq!((first.binds_of("alice"), second.binds_of("alice")), (2, 1));
    // One that is away is an outage for its own people alone.
    drop(second);
    assert_eq!(both.authenticate(&there, &Secret::from("second-Passw0rd")).await, Err(AWAY));
    assert_eq!(both.authenticate(&here, &Secret::from("first-Passw0rd")).await, Ok(here.identity.clone()));
}

#[tokio::test]
async fn people_are_found_by_the_attributes_that_are_named() {
    let lab = lab();
    let open = |login_attributes: Vec<&'static str>, upn_suffixes: &[&str]| {
        let upn_suffixes = upn_suffixes.iter().map(|suffix| (*suffix).to_owned()).collect();
        directory::open(Settings { kind: Kind::Ldap, login_attributes, upn_suffixes, ..settings(&[format!("ldap://{}", lab.address())]) }).unwrap()
    };
    let by_uid = open(vec!["uid"], &[]);
    let emil = by_uid.resolve("emil").await.unwrap();
    assert_eq!(by_uid.resolve("Emil Émile").await, Err(UNCLEAR));
    assert_eq!(by_uid.resolve("emil@lab.test").await, Err(UNCLEAR));
    let by_cn = open(vec!["uid", "cn"], &["lab.test"]);
    assert_eq!(by_cn.resolve("Emil Émile").await.as_ref(), Ok(&emil));
    assert_eq!(by_cn.resolve("emil@lab.test").await.as_ref(), Ok(&emil));
    assert_eq!(by_cn.resolve("emil@example.test").await.as_ref(), Ok(&emil), "by mail as ever");
}

#[tokio::test]
async fn an_identity_has_the_form_of_its_attribute_and_no_other() {
    let unique = "4a3c8b01-0b7e11ee-8f3ab0c5-d1e2f304";
    let uuid = "f7d2a5b0-0000-0000-0000-000000000000";
    let cases = [
        (IdentityAttribute::NsUniqueId, "nsuniqueid", unique, Ok(unique)),
        (IdentityAttribute::NsUniqueId, "nsUniqueId", uuid, Err(FAULT)),
        (IdentityAttribute::NsUniqueId, "entryUUID", uuid, Err(FAULT)),
        (IdentityAttribute::IpaUniqueId, "ipaUniqueID", uuid, Ok(uuid)),
        (IdentityAttribute::IpaUniqueId, "ipaUniqueID", "S-1-5-21-1-2-3-500", Err(FAULT)),
        (IdentityAttribute::EntryUuid, "entryUUID", unique, Err(FAULT)),
    ];
    for (identity_attribute, attribute, value, expected) in cases {
        let found = ldap::Entry { dn: "uid=alice".to_owned(), attributes: vec![(attribute.to_owned(), vec![value.as_bytes().to_vec()])] };
        let server = Scripted::open(move |frame| match Op::of(frame.op) {
            Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            _ => Some([ldap::entry(frame.id, &found), ldap::answer(Op::Search, frame.id, Code::Success, "")].concat()),
        });
        let directory = directory::open(Settings { kind: Kind::Ldap, identity_attribute, ..settings(&[format!("ldap://{}", server.address())]) }).unwrap();
        let resolved = directory.resolve("alice").await;
        assert_eq!(resolved.as_ref().map(|entry| entry.identity.0.as_str()), expected.as_ref().copied(), "{attribute} {value}");
        assert_eq!(directory.proof(), Proof::OwnEntry(identity_attribute.name()));
        if let Ok(alice) = resolved {
            assert_eq!(directory.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity));
        }
    }
}

/// An AD that finds this one object whatever it is asked.
fn finds(dn: &str, principal: &str) -> Scripted {
    let text = |name: &str, value: &str| (name.to_owned(), vec![value.as_bytes().to_vec()]);
    let sid = vec![1, 5, 0, 0, 0, 0, 0, 5, 21, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 78, 4, 0, 0];
    let attributes = vec![("objectSid".to_owned(), vec![sid]), text("sAMAccountName", "alice"), text("userPrincipalName", principal)];
    let found = ldap::Entry { dn: dn.to_owned(), attributes };
    Scripted::open(move |frame| match Op::of(frame.op) {
        Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
        _ => Some([ldap::entry(frame.id, &found), ldap::answer(Op::Search, frame.id, Code::Success, "")].concat()),
    })
}

#[tokio::test]
async fn b2_a_global_catalog_does_not_pass_one_domain_s_alice_off_as_another_s() {
    let child = "CN=Alice,OU=Staff,DC=emea,DC=example,DC=test";
    let cases = [
        ("alice", child, "alice@emea.example.test", true),
        ("alice@example.test", child, "alice@emea.example.test", false),
        (r"EXAMPLE\alice", child, "alice@emea.example.test", false),
        // A principal name may have any suffix of the forest.
        ("Alice@example.test", child, "alice@Example.test", true),
        ("alice@emea.example.test", child, "alice@emea.example.test", true),
        ("alice@example.test", "CN=Alice,CN=Users,DC=Example,DC=test", "other@example.test", true),
        (r"EXAMPLE\alice", "CN=Alice,CN=Users,DC=example,DC=test", "other@example.test", true),
    ];
    for (login, dn, principal, is_meant) in cases {
        let server = finds(dn, principal);
        let resolved = corp(&[server.address()]).resolve(login).await.map(|entry| entry.identity.0);
        assert_eq!(resolved, if is_meant { Ok("S-1-5-21-1-2-3-1102".to_owned()) } else { Err(UNCLEAR) }, "{login} {dn}");
    }
}
