//! The directory room against the lab directory, and against servers that lie, die or never answer.

mod groups;
mod homes;
mod lines;
mod realms;
mod servers;
mod srv;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::interval;
use tokio::time::timeout;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::directory;
use vestibule::directory::ByDirectory;
use vestibule::directory::IdentityAttribute;
use vestibule::directory::Kind;
use vestibule::directory::OpenError;
use vestibule::directory::Settings;
use vestibule::directory::TlsError;
use vestibule::domain::AuthRequest;
use vestibule::domain::Checked;
use vestibule::domain::Dialogue;
use vestibule::domain::Door;
use vestibule::domain::Outage;
use vestibule::domain::Primary;
use vestibule::domain::PrimaryError;
use vestibule::domain::Refused;
use vestibule::domain::Secret;
use vestibule::ports::Aside;
use vestibule::ports::Directory;
use vestibule::ports::Entry;
use vestibule::ports::PrimaryCheck;
use vestibule::ports::Proof;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Op;

use self::servers::Relay;
use self::servers::Scripted;
use self::servers::Tls;

const UNKNOWN: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnknownName };
const UNCLEAR: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnclearName };
const AWAY: PrimaryError = PrimaryError::Outage(Outage::Directory);
const FAULT: PrimaryError = PrimaryError::Outage(Outage::Fault);

fn people() -> Vec<Person> {
    let mut alice = Person::new("alice", "Alice", "Archer", "Passw0rd!");
    alice.mobile = Some("+49 151 5550101".to_owned());
    vec![
        alice,
        Person { sub_code: Some("775"), ..Person::new("bob", "Bob", "Baker", "Passw0rd!") },
        Person { mail: Some("alice@example.test".to_owned()), ..Person::new("carol", "Carol", "Clark", "Pässwörd-€uro1") },
        Person { disabled: true, ..Person::new("dora", "Dora", "Smith, Jr", "Passw0rd!") },
        Person { sub_code: Some("773"), ..Person::new("emil", "Emil", "Émile", "Passw0rd!") },
        Person::new("BOX$", "Box", "Machine", "Passw0rd!"),
    ]
}

fn lab() -> Lab {
    Lab::open("127.0.0.1:0".parse().unwrap(), people()).unwrap()
}

fn settings(servers: &[String]) -> Settings {
    Settings {
        name: "corp".to_owned(),
        same_as: None,
        kind: Kind::Ad,
        servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        srv: None,
        base: Lab::BASE.to_owned(),
        netbios: Some(Lab::NETBIOS.to_owned()),
        upn_suffixes: Vec::new(),
        identity_attribute: IdentityAttribute::EntryUuid,
        login_attributes: vec!["uid"],
        bind_name: Lab::SERVICE_NAME.to_owned(),
        bind_password: Secret::from(Lab::SERVICE_PASSWORD),
        ca_file: None,
        pool_max: 4,
        timeout: Duration::from_secs(10),
    }
}

fn corp(addresses: &[SocketAddr]) -> Arc<dyn Directory> {
    let servers: Vec<_> = addresses.iter().map(|address| format!("ldap://{address}")).collect();
    directory::open(settings(&servers)).unwrap()
}

/// The same, with a patience that a silent server may use up.
fn hasty(addresses: &[SocketAddr]) -> Arc<dyn Directory> {
    let servers: Vec<_> = addresses.iter().map(|address| format!("ldap://{address}")).collect();
    directory::open(Settings { timeout: Duration::from_millis(300), ..settings(&servers) }).unwrap()
}

fn refused(entry: &Entry, why: Refused) -> PrimaryError {
    PrimaryError::Refused { who: Some(entry.identity.clone()), why }
}

/// An address nobody listens on.
fn nowhere() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn b2_the_accepted_forms_of_a_name_are_one_identity() {
    let lab = lab();
    let corp = corp(&[lab.address()]);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(alice.identity.0, lab.sid("alice").unwrap());
    assert_eq!((alice.directory.as_str(), alice.name.as_str()), ("corp", "alice"));
    assert_eq!((alice.mail.as_deref(), alice.phone.as_deref()), (Some("alice@example.test"), Some("+49 151 5550101")));
    assert_eq!(Some(&alice.dn), lab.dn("alice").as_ref());
    for login in [
        "ALICE",
        "alice ",
        " alice",
        "alice@example.test",
        "ALICE@EXAMPLE.TEST",
        r"EXAMPLE\alice",
        r"example\ALICE",
        "CN=Alice Archer,CN=Users,DC=example,DC=test",
        "cn=alice archer , CN=Users,dc=EXAMPLE, DC=test",
        r"CN=\41lice\20Archer,CN=Users,DC=example,DC=test",
    ] {
        assert_eq!(corp.resolve(login).await.as_ref(), Ok(&alice), "{login:?}");
    }
    let dora = corp.resolve(r"CN=Dora Smith\, Jr,CN=Users,DC=example,DC=test").await.unwrap();
    assert_eq!(dora.name, "dora");
}

#[tokio::test]
async fn l_072_the_other_forms_are_refused_without_asking() {
    let lab = lab();
    let corp = corp(&[lab.address()]);
    let sid = lab.sid("alice").unwrap();
    for login in [
        "",
        "  ",
        "alice\0",
        "alice@example.test\0evil",
        "alice\n",
        "alice @example.test",
        r"EXAMPLE\ alice",
        r"OTHER\alice",
        r"example.test\alice",
        "<GUID=f7d2a5b0-0000-0000-0000-000000000000>",
        &format!("<SID={sid}>"),
        &sid,
        "example.test/Users/Alice Archer",
        "host/lab.example.test",
        r#"CN="Alice Archer",CN=Users,DC=example,DC=test"#,
        "CN=Alice Archer;CN=Users;DC=example;DC=test",
        "2.5.4.03=Alice Archer,CN=Users,DC=example,DC=test",
        "CN=Alice Archer,CN=Users,DC=other,DC=test",
        "BOX$",
        r"EXAMPLE\BOX$",
        "*",
        &"a".repeat(300),
    ] {
        assert_eq!(corp.resolve(login).await, Err(UNCLEAR), "{login:?}");
    }
    assert_eq!((lab.searches(), lab.binds()), (0, 0));
    for (login, why) in [
        ("nobody", UNKNOWN),
        ("nobody@example.test", UNKNOWN),
        // A controller takes this for alice.
        ("alice@EXAMPLE", UNCLEAR),
        ("Alice Archer", UNCLEAR),
        ("CN=nobody,DC=example,DC=test", UNCLEAR),
        ("CN=Box Machine,CN=Users,DC=example,DC=test", UNCLEAR),
        // Others may cut the name at such a sign, or fold it to a plain one.
        ("(alice", UNCLEAR),
        ("alice%corp", UNCLEAR),
        ("alice\u{ff20}example.test", UNCLEAR),
        ("\u{e0}lice", UNCLEAR),
        ("alice%corp@example.test", UNCLEAR),
    ] {
        assert_eq!(corp.resolve(login).await, Err(why), "{login:?}");
    }
    assert_eq!(lab.searches(), 11);
}

#[tokio::test]
async fn m_20_a_right_password_is_proved_by_one_bind_on_its_own_connection() {
    let lab = lab();
    let corp = corp(&[lab.address()]);
    for (name, password) in [("alice", "Passw0rd!"), ("carol", "Pässwörd-€uro1")] {
        let entry = corp.resolve(name).await.unwrap();
        assert_eq!(corp.authenticate(&entry, &Secret::from(password)).await, Ok(entry.identity.clone()));
        assert_eq!(lab.binds_of(name), 1);
    }
    assert_eq!(corp.proof(), Proof::TokenGroups("tokenGroups"));
}

#[tokio::test]
async fn a_refused_bind_is_one_bind_and_tells_why() {
    let lab = lab();
    let corp = corp(&[lab.address()]);
    for (name, password, why) in [
        ("alice", "wrong", Refused::WrongPassword),
        ("bob", "Passw0rd!", Refused::LockedOut),
        ("dora", "Passw0rd!", Refused::Disabled),
        ("emil", "Passw0rd!", Refused::MustChange),
    ] {
        let entry = corp.resolve(name).await.unwrap();
        assert_eq!(corp.authenticate(&entry, &Secret::from(password)).await, Err(refused(&entry, why)), "{name}");
        assert_eq!(lab.binds_of(name), 1, "{name}");
    }
}

#[tokio::test]
async fn l_010_an_empty_password_never_leaves_us() {
    let lab = lab();
    let corp = corp(&[lab.address()]);
    let alice = corp.resolve("alice").await.unwrap();
    for password in [Secret::from(""), Secret::from("\0"), Secret::from("Passw0rd!\0"), Secret::new(vec![0xff, 0xfe])] {
        assert_eq!(corp.authenticate(&alice, &password).await, Err(refused(&alice, Refused::WrongPassword)));
    }
    assert_eq!(lab.binds_of("alice"), 0);
}

#[tokio::test]
async fn m_15_two_objects_with_one_mail_address_are_nobody() {
    let lab = lab();
    let ldap = directory::open(Settings { kind: Kind::Ldap, ..settings(&[format!("ldap://{}", lab.address())]) }).unwrap();
    assert_eq!(ldap.resolve("alice@example.test").await, Err(UNCLEAR));
    assert_eq!(ldap.resolve("nobody").await, Err(UNKNOWN));
    for stripped in ["alice@elsewhere.test", r"EXAMPLE\alice"] {
        assert_eq!(ldap.resolve(stripped).await, Err(UNCLEAR), "others may strip a realm off: {stripped}");
    }
    let alice = ldap.resolve("alice").await.unwrap();
    let emil = ldap.resolve("emil@example.test").await.unwrap();
    assert_eq!((emil.name.as_str(), ldap.proof()), ("emil", Proof::OwnEntry("entryUUID")));
    assert_eq!(ldap.resolve("CN=Alice Archer,CN=Users,DC=example,DC=test").await.as_ref(), Ok(&alice));
    assert_eq!(alice.identity.0.len(), 36);
    assert_eq!(ldap.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
    assert_eq!(ldap.authenticate(&alice, &Secret::from("wrong")).await, Err(refused(&alice, Refused::WrongPassword)));
}

#[tokio::test]
async fn a_door_that_hands_us_a_password_asks_the_directory_once() {
    let lab = lab();
    let check = ByDirectory(corp(&[lab.address()]));
    let request = AuthRequest {
        door: Door::Radius,
        client: "vpn".to_owned(),
        login: r"EXAMPLE\alice".to_owned(),
        primary: Primary::Password(Secret::from("Passw0rd!")),
        appended: None,
        dialogue: Dialogue::default(),
        source: None,
        exempt: Vec::new(),
        seat: Vec::new(),
        asker: Vec::new(),
    };
    let entry = check.resolve(&request).await.unwrap().unwrap();
    assert_eq!(check.check(&request, Some(&entry), &mut Aside::default()).await, Ok(Checked::Passed(entry.identity)));
    assert_eq!(lab.binds_of("alice"), 1);
}

#[tokio::test]
async fn l_080_look_ups_share_a_connection_that_is_bound_once_and_replaced_when_it_breaks() {
    let first = lab();
    let corp = corp(&[first.address()]);
    for _ in 0..10 {
        corp.resolve("alice").await.unwrap();
    }
    assert_eq!((first.binds_of("svc-mfa"), first.searches()), (1, 10));
    let address = first.address();
    drop(first);
    let second = Lab::open(address, people()).unwrap();
    assert!(corp.resolve("alice").await.is_ok());
    assert_eq!(second.binds_of("svc-mfa"), 1);
}

#[tokio::test]
async fn a_service_account_that_is_refused_is_our_fault_and_not_tried_again_at_once() {
    let lab = lab();
    let server = format!("ldap://{}", lab.address());
    let corp = directory::open(Settings { bind_password: Secret::from("wrong"), ..settings(&[server]) }).unwrap();
    for _ in 0..5 {
        assert_eq!(corp.resolve("alice").await, Err(FAULT));
    }
    assert_eq!(lab.binds_of("svc-mfa"), 1);
}

#[tokio::test]
async fn o_21_the_next_server_is_asked_and_the_first_again_when_it_is_back() {
    let (address, second) = (nowhere(), lab());
    let corp = corp(&[address, second.address()]);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
    assert!(corp.connect().await.is_ok());
    let first = Lab::open(address, people()).unwrap();
    let mut tick = interval(Duration::from_millis(20));
    let back = async {
        while first.binds_of("alice") == 0 {
            tick.tick().await;
            assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
        }
    };
    timeout(Duration::from_secs(30), back).await.unwrap();
    drop(second);
    assert!(corp.resolve("alice").await.is_ok());
}

#[tokio::test]
async fn o_21_a_server_that_broke_under_a_door_is_left_until_it_answers_again() {
    let (first, second) = (Scripted::open(|_| None), lab());
    let corp = hasty(&[first.address(), second.address()]);
    for _ in 0..2 {
        assert_eq!(corp.connect().await.map(|connected| connected.server).ok(), Some(0));
    }
    corp.broke(0, &"no answer to a bind");
    corp.broke(7, &"there is no such server");
    for _ in 0..2 {
        assert_eq!(corp.connect().await.map(|connected| connected.server).ok(), Some(1));
    }
}

#[tokio::test]
async fn servers_with_ipv6_addresses_are_reached_and_passed_over_like_others() {
    let lab = Lab::open("[::1]:0".parse().unwrap(), people()).unwrap();
    let gone = std::net::TcpListener::bind("[::1]:0").unwrap().local_addr().unwrap();
    let corp = corp(&[gone, lab.address()]);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
    assert_eq!(corp.connect().await.map(|connected| connected.server).ok(), Some(1));
}

#[tokio::test]
async fn o_21_no_server_is_an_outage_and_never_a_refusal() {
    let lab = lab();
    let alice = corp(&[lab.address()]).resolve("alice").await.unwrap();
    let corp = corp(&[nowhere(), nowhere()]);
    assert_eq!(corp.resolve("alice").await, Err(AWAY));
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Err(AWAY));
    assert_eq!(corp.connect().await.err(), Some(AWAY));
}

#[tokio::test]
async fn a_bind_that_got_no_answer_is_not_tried_on_another_server() {
    let lab = lab();
    let alice = corp(&[lab.address()]).resolve("alice").await.unwrap();
    for answer in [None, Some(Vec::new())] {
        let first = Scripted::open(move |_| answer.clone());
        let corp = hasty(&[first.address(), lab.address()]);
        assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Err(AWAY));
        assert_eq!((first.requests(), lab.binds_of("alice")), (1, 0));
        assert_eq!(corp.resolve("alice").await.as_ref(), Ok(&alice));
    }
}

#[tokio::test]
async fn m_15_a_search_that_fails_is_never_a_name_that_is_unknown() {
    for (code, outage) in
        [(Code::OperationsError, FAULT), (Code::InsufficientAccessRights, FAULT), (Code::NoSuchObject, FAULT), (Code::Busy, AWAY), (Code::Unavailable, AWAY)]
    {
        let server = Scripted::open(move |frame| match Op::of(frame.op) {
            Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            _ => Some(ldap::answer(Op::Search, frame.id, code, "")),
        });
        assert_eq!(corp(&[server.address()]).resolve("alice").await, Err(outage), "{code:?}");
    }
}

#[tokio::test]
async fn an_object_whose_id_we_may_not_read_is_our_fault_and_no_unknown_name() {
    let sid: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let uuid: &[u8] = b"f7d2a5b0-0000-0000-0000-000000000000";
    let cases = [
        (Kind::Ad, "objectSid", vec![sid], Ok(())),
        (Kind::Ad, "cn", vec![&b"alice"[..]], Err(FAULT)),
        (Kind::Ad, "objectSid", vec![sid, sid], Err(FAULT)),
        (Kind::Ad, "objectSid", vec![&b"S-1-5-18"[..]], Err(FAULT)),
        (Kind::Ldap, "entryUUID", vec![uuid], Ok(())),
        (Kind::Ldap, "cn", vec![&b"alice"[..]], Err(FAULT)),
        (Kind::Ldap, "entryUUID", vec![sid], Err(FAULT)),
    ];
    for (kind, attribute, values, resolved) in cases {
        let attributes = vec![(attribute.to_owned(), values.iter().map(|value| value.to_vec()).collect())];
        let found = ldap::Entry { dn: "CN=alice".to_owned(), attributes };
        let server = Scripted::open(move |frame| match Op::of(frame.op) {
            Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            _ => Some([ldap::entry(frame.id, &found), ldap::answer(Op::Search, frame.id, Code::Success, "")].concat()),
        });
        let corp = directory::open(Settings { kind, ..settings(&[format!("ldap://{}", server.address())]) }).unwrap();
        assert_eq!(corp.resolve("alice").await.map(|_| ()), resolved, "{kind:?} {attribute} {values:?}");
    }
}

#[tokio::test]
async fn m_21_when_a_password_was_set_is_read_where_the_directory_tells() {
    let sid: &[u8] = &[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];
    let uuid: &[u8] = b"f7d2a5b0-0000-0000-0000-000000000000";
    let cases = [
        (Kind::Ad, ("objectSid", sid), "pwdLastSet", "133759000000000000", true),
        (Kind::Ad, ("objectSid", sid), "pwdChangedTime", "20261122080000Z", false),
        (Kind::Ldap, ("entryUUID", uuid), "pwdChangedTime", "20261122080000Z", true),
        (Kind::Ldap, ("entryUUID", uuid), "pwdUpdateTime", "20261122080000Z", true),
    ];
    for (kind, (id, whose), attribute, value, told) in cases {
        let attributes = vec![(id.to_owned(), vec![whose.to_vec()]), (attribute.to_owned(), vec![value.as_bytes().to_vec()])];
        let found = ldap::Entry { dn: "CN=alice".to_owned(), attributes };
        let server = Scripted::open(move |frame| match Op::of(frame.op) {
            Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            _ => Some([ldap::entry(frame.id, &found), ldap::answer(Op::Search, frame.id, Code::Success, "")].concat()),
        });
        let corp = directory::open(Settings { kind, ..settings(&[format!("ldap://{}", server.address())]) }).unwrap();
        let password_set = corp.resolve("alice").await.unwrap().password_set;
        assert_eq!(password_set.as_deref(), told.then_some(value), "{kind:?} {attribute}");
    }
}

#[tokio::test]
async fn l_073_a_directory_that_took_us_for_somebody_else_lets_nobody_in() {
    let lab = lab();
    let real = corp(&[lab.address()]);
    let (alice, carol) = (real.resolve("alice").await.unwrap(), real.resolve("carol").await.unwrap());
    // Its binds are all the first person's whoever they name.
    let Some(name) = lab.dn("alice") else { panic!("no alice") };
    let relay =
        Relay::open(lab.address(), move |frame| (Op::of(frame.op) == Some(Op::Bind)).then(|| ldap::bind_request(frame.id, &name, b"Passw0rd!").to_vec()));
    let corp = corp(&[relay.address()]);
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
    assert_eq!(corp.authenticate(&carol, &Secret::from("anything")).await, Err(UNKNOWN));
    // Its binds succeed and leave us anonymous, as one without a password does.
    let relay = Relay::open(lab.address(), |frame| (Op::of(frame.op) == Some(Op::Bind)).then(|| ldap::bind_request(frame.id, "", b"").to_vec()));
    let corp = self::corp(&[relay.address()]);
    assert_eq!(corp.authenticate(&alice, &Secret::from("anything")).await, Err(FAULT));
}

#[tokio::test]
async fn l_042_a_directory_that_answers_too_deep_too_long_or_too_often_is_left() {
    let lab = lab();
    let alice = corp(&[lab.address()]).resolve("alice").await.unwrap();
    let deep: fn(u32) -> Vec<u8> = |_| servers::deep(100_000);
    let long: fn(u32) -> Vec<u8> = |_| vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff];
    let endless: fn(u32) -> Vec<u8> = |id| ldap::entry(id, &ldap::Entry { dn: "CN=a".to_owned(), attributes: Vec::new() }).repeat(10_000);
    let strange: fn(u32) -> Vec<u8> = |id| ldap::answer(Op::Modify, id, Code::Success, "");
    let hollow: fn(u32) -> Vec<u8> = |id| vec![0x30, 5, 2, 1, u8::try_from(id).unwrap(), 0x65, 0];
    let text: fn(u32) -> Vec<u8> = |_| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    for (what, bad) in [("deep", deep), ("long", long), ("endless", endless), ("strange", strange), ("hollow", hollow), ("text", text)] {
        let at_search = Scripted::open(move |frame| match Op::of(frame.op) {
            Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            _ => Some(bad(frame.id)),
        });
        let at_bind = Scripted::open(move |frame| Some(bad(frame.id)));
        assert_eq!(corp(&[at_search.address()]).resolve("alice").await, Err(AWAY), "{what}");
        assert_eq!(corp(&[at_bind.address()]).resolve("alice").await, Err(AWAY), "{what}");
        assert_eq!(corp(&[at_bind.address()]).authenticate(&alice, &Secret::from("Passw0rd!")).await, Err(AWAY), "{what}");
        assert_eq!(corp(&[at_search.address(), at_bind.address(), lab.address()]).resolve("alice").await.as_ref(), Ok(&alice), "{what}");
    }
}

#[tokio::test]
async fn l_087_tls_is_checked_against_the_host_and_never_left_out() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(folder.path(), "localhost");
    let open = |server: String| directory::open(Settings { ca_file: Some(tls.ca_file.clone()), ..settings(&[server]) }).unwrap();
    for (scheme, starttls) in [("ldaps", false), ("ldap+starttls", true)] {
        let front = tls.front(lab.address(), starttls);
        let port = front.address().port();
        let good = open(format!("{scheme}://localhost:{port}"));
        let alice = good.resolve("alice").await.unwrap();
        assert_eq!(good.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()), "{scheme}");
        assert!(good.connect().await.is_ok());
        let asked = lab.searches();
        assert_eq!(open(format!("{scheme}://127.0.0.1:{port}")).resolve("alice").await, Err(AWAY), "another name, {scheme}");
        let strangers = Tls::new(tempfile::tempdir().unwrap().path(), "localhost").front(lab.address(), starttls);
        assert_eq!(open(format!("{scheme}://localhost:{}", strangers.address().port())).resolve("alice").await, Err(AWAY), "another authority, {scheme}");
        // The lab itself speaks clear text and refuses StartTLS.
        assert_eq!(open(format!("{scheme}://localhost:{}", lab.address().port())).resolve("alice").await, Err(AWAY), "no TLS, {scheme}");
        assert_eq!(lab.searches(), asked);
    }
}

#[test]
fn settings_that_cannot_work_are_told_when_the_directory_is_opened() {
    let server = ["ldaps://dc1.example.test".to_owned()];
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let error = |settings: Settings| directory::open(settings).unwrap_err();
    assert!(matches!(error(Settings { base: "example.test".to_owned(), ..settings(&server) }), OpenError::Base));
    assert!(matches!(error(Settings { bind_password: Secret::from(""), ..settings(&server) }), OpenError::BindPassword));
    assert!(matches!(error(settings(&[])), OpenError::NoServer));
    assert!(matches!(error(Settings { ca_file: Some(folder.path().join("none.pem")), ..settings(&server) }), OpenError::Tls(TlsError::CaFile { .. })));
    assert!(matches!(error(Settings { ca_file: Some(empty), ..settings(&server) }), OpenError::Tls(TlsError::CaNone(_))));
}
