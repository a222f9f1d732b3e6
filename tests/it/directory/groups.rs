//! Which groups a person is in, and that nobody is left out of one because a read failed (M-47).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::directory;
use vestibule::directory::Kind;
use vestibule::directory::Settings;
use vestibule::domain::Identity;
use vestibule::domain::Outage;
use vestibule::ports::Aside;
use vestibule::ports::Directory;
use vestibule::ports::Entry;
use vestibule::ports::groups_of;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Frame;
use vestibule::wire::ldap::Op;

use super::AWAY;
use super::FAULT;
use super::nowhere;
use super::servers::Scripted;
use super::settings;

fn lab() -> Lab {
    let alice = Person { groups: vec!["VPN Users", "Admins, (all)"], ..Person::new("alice", "Alice", "Archer", "Passw0rd!") };
    let bob = Person { groups: vec!["VPN Users"], ..Person::new("bob", "Bob", "Baker", "Passw0rd!") };
    Lab::open("127.0.0.1:0".parse().unwrap(), vec![alice, bob]).unwrap()
}

fn of_kind(kind: Kind, servers: &[SocketAddr]) -> Arc<dyn Directory> {
    let servers: Vec<_> = servers.iter().map(|address| format!("ldap://{address}")).collect();
    // Groups seldom lie where people do.
    directory::open(Settings { kind, base: format!("CN=Users,{}", Lab::BASE), ..settings(&servers) }).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn m_47_a_person_is_in_the_groups_the_directory_says_by_name_or_dn() {
    let lab = lab();
    for kind in [Kind::Ad, Kind::Ldap] {
        let corp = of_kind(kind, &[lab.address()]);
        let (alice, bob) = (corp.resolve("alice").await.unwrap(), corp.resolve("bob").await.unwrap());
        let wanted = names(&["vpn users", "Admins, (all)", "Lab People", "cn=VPN users, CN=Users,DC=example,DC=test", "nosuch*", "CN=No,DC=example,DC=test"]);
        let hers = corp.groups(&alice, &wanted).await.unwrap();
        assert_eq!(hers, wanted[..4], "{kind:?}");
        let his = corp.groups(&bob, &wanted).await.unwrap();
        assert_eq!(his, [&wanted[0], &wanted[2], &wanted[3]].map(String::clone), "{kind:?}");
        // A person is no group, whatever they are called.
        assert_eq!(corp.groups(&alice, &names(&["alice", "bob", "*", ""])).await, Ok(Vec::new()), "{kind:?}");
    }
}

#[tokio::test]
async fn m_47_a_denied_group_that_is_not_to_be_found_is_an_outage() {
    let lab = lab();
    for kind in [Kind::Ad, Kind::Ldap] {
        let corp = of_kind(kind, &[lab.address()]);
        let alice = corp.resolve("alice").await.unwrap();
        let of = async |needed: &[&str]| {
            let wanted = names(&["VPN Users", "Leavers"]);
            groups_of(corp.as_ref(), Some(&alice), &alice.identity, &wanted, &names(needed), &Aside::default()).await
        };
        assert_eq!(of(&[]).await, Ok(Some(names(&["VPN Users"]))), "{kind:?}");
        assert_eq!(of(&["VPN Users"]).await, Ok(Some(names(&["VPN Users"]))), "{kind:?}");
        assert_eq!(of(&["VPN Users", "Leavers"]).await, Err(Outage::Directory), "{kind:?}");
    }
}

#[tokio::test]
async fn a_group_is_looked_up_once_and_membership_each_time() {
    let lab = lab();
    let corp = of_kind(Kind::Ad, &[lab.address()]);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(corp.groups(&alice, &[]).await, Ok(Vec::new()));
    assert_eq!(lab.searches(), 1);
    for _ in 0..5 {
        assert_eq!(corp.groups(&alice, &names(&["VPN Users", "nosuch"])).await, Ok(names(&["VPN Users"])));
    }
    assert_eq!((lab.searches(), lab.binds_of("svc-mfa")), (1 + 2 + 5, 1));
}

#[tokio::test]
async fn m_47_whoever_cannot_be_asked_is_an_outage() {
    let lab = lab();
    let alice = of_kind(Kind::Ad, &[lab.address()]).resolve("alice").await.unwrap();
    for kind in [Kind::Ad, Kind::Ldap] {
        assert_eq!(of_kind(kind, &[nowhere()]).groups(&alice, &names(&["VPN Users"])).await, Err(AWAY));
        for (code, outage) in [
            (Code::OperationsError, FAULT),
            (Code::InsufficientAccessRights, FAULT),
            (Code::NoSuchObject, FAULT),
            (Code::SizeLimitExceeded, FAULT),
            (Code::Busy, AWAY),
        ] {
            let server = scripted(move |_, frame| ldap::answer(Op::Search, frame.id, code, ""));
            assert_eq!(of_kind(kind, &[server.address()]).groups(&alice, &names(&["VPN Users"])).await, Err(outage), "{kind:?} {code:?}");
        }
    }
    let strange = Entry { directory: "other".to_owned(), ..alice };
    assert_eq!(of_kind(Kind::Ad, &[lab.address()]).groups(&strange, &names(&["VPN Users"])).await, Err(FAULT));
}

/// Binds succeed; searches are counted from 0.
fn scripted(search: impl Fn(usize, &Frame<'_>) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    let count = AtomicUsize::new(0);
    Scripted::open(move |frame| match Op::of(frame.op) {
        Some(Op::Bind) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
        _ => Some(search(count.fetch_add(1, Ordering::SeqCst), frame)),
    })
}

/// Attributes of one entry.
type Held = Vec<(&'static str, Vec<Vec<u8>>)>;

fn entries(frame: &Frame<'_>, entries: &[Held]) -> Vec<u8> {
    let found = entries.iter().map(|attributes| {
        let attributes = attributes.iter().map(|(name, values)| ((*name).to_owned(), values.clone())).collect();
        ldap::entry(frame.id, &ldap::Entry { dn: "CN=x".to_owned(), attributes })
    });
    let done = ldap::answer(Op::Search, frame.id, Code::Success, "");
    found.chain([done]).collect::<Vec<_>>().concat()
}

fn sid(last: u8) -> Vec<u8> {
    vec![1, 1, 0, 0, 0, 0, 0, 5, last, 0, 0, 0]
}

#[tokio::test]
async fn m_47_what_may_not_be_read_is_not_the_same_as_nothing() {
    let lab = lab();
    let real = of_kind(Kind::Ad, &[lab.address()]).resolve("alice").await.unwrap();
    let alice = Entry { identity: Identity("S-1-5-7".to_owned()), ..real };
    let group = || vec![("objectSid", vec![sid(9)])];
    for (what, first, second, wanted) in [
        ("well", vec![group()], vec![vec![("objectSid", vec![sid(7)]), ("tokenGroups", vec![sid(8), sid(9)])]], Ok(names(&["VPN"]))),
        ("not in it", vec![group()], vec![vec![("objectSid", vec![sid(7)]), ("tokenGroups", vec![sid(8)])]], Ok(Vec::new())),
        (
            "a distribution group",
            vec![vec![("objectSid", vec![sid(9)]), ("groupType", vec![b"2".to_vec()])]],
            vec![vec![("objectSid", vec![sid(7)]), ("tokenGroups", vec![sid(9)])]],
            Ok(Vec::new()),
        ),
        (
            "a security group",
            vec![vec![("objectSid", vec![sid(9)]), ("groupType", vec![b"-2147483646".to_vec()])]],
            vec![vec![("objectSid", vec![sid(7)]), ("tokenGroups", vec![sid(9)])]],
            Ok(names(&["VPN"])),
        ),
        ("a group without SID", vec![vec![("cn", vec![b"VPN".to_vec()])]], vec![], Err(FAULT)),
        ("two groups", vec![group(), group()], vec![], Err(FAULT)),
        ("no tokenGroups", vec![group()], vec![vec![("objectSid", vec![sid(7)])]], Err(FAULT)),
        ("another person", vec![group()], vec![vec![("objectSid", vec![sid(6)]), ("tokenGroups", vec![sid(9)])]], Err(FAULT)),
        ("nobody", vec![group()], vec![], Err(FAULT)),
    ] {
        let server = scripted(move |at, frame| entries(frame, if at == 0 { &first } else { &second }));
        let corp = of_kind(Kind::Ad, &[server.address()]);
        assert_eq!(corp.groups(&alice, &names(&["VPN"])).await, wanted, "{what}");
    }
}
