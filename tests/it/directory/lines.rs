//! Connections that serve one login after the other: nobody gets another's verdict, and no password is sent twice.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::interval;
use tokio::time::timeout;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::directory;
use vestibule::directory::Kind;
use vestibule::directory::Settings;
use vestibule::domain::Identity;
use vestibule::domain::Refused;
use vestibule::domain::Secret;
use vestibule::ports::Directory;
use vestibule::ports::Entry;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Frame;
use vestibule::wire::ldap::Op;

use super::AWAY;
use super::UNKNOWN;
use super::corp;
use super::hasty;
use super::lab;
use super::refused;
use super::servers::Open;
use super::servers::Relay;
use super::servers::Scripted;
use super::servers::Tls;
use super::settings;

/// A relay that changes nothing and counts connections.
fn counted(lab: &Lab) -> Open {
    Relay::open(lab.address(), |_| None)
}

fn right() -> Secret {
    Secret::from("Passw0rd!")
}

fn person(number: u8) -> Entry {
    Entry {
        directory: "corp".to_owned(),
        identity: Identity(format!("S-1-{number}")),
        dn: format!("CN={number}"),
        name: number.to_string(),
        mail: None,
        phone: None,
        password_set: None,
    }
}

/// What a domain controller answers when it is asked for `tokenGroups` of the one who is bound.
fn token(id: u32, number: u8) -> Vec<u8> {
    let attributes = vec![("tokenGroups".to_owned(), vec![vec![1, 0, 0, 0, 0, 0, 0, 9], vec![1, 0, 0, 0, 0, 0, 0, number]])];
    [ldap::entry(id, &ldap::Entry { dn: String::new(), attributes }), ldap::answer(Op::Search, id, Code::Success, "")].concat()
}

fn is_bind(frame: &Frame<'_>) -> bool {
    Op::of(frame.op) == Some(Op::Bind)
}

#[tokio::test]
async fn logins_one_after_the_other_are_bound_on_one_connection() {
    let lab = lab();
    let relay = counted(&lab);
    let corp = corp(&[relay.address()]);
    let (alice, carol) = (corp.resolve("alice").await.unwrap(), corp.resolve("carol").await.unwrap());
    assert_eq!(relay.taken(), 1);
    for _ in 0..5 {
        assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
        assert_eq!(corp.authenticate(&carol, &Secret::from("Pässwörd-€uro1")).await, Ok(carol.identity.clone()));
    }
    assert_eq!((relay.taken(), lab.binds_of("alice"), lab.binds_of("carol")), (2, 5, 5));
}

#[tokio::test]
async fn l_080_a_bind_that_was_refused_leaves_nothing_to_whoever_comes_next() {
    let lab = lab();
    let relay = counted(&lab);
    let corp = corp(&[relay.address()]);
    let (alice, carol) = (corp.resolve("alice").await.unwrap(), corp.resolve("carol").await.unwrap());
    assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
    // On alice's connection, with alice's password: still no way in.
    assert_eq!(corp.authenticate(&carol, &right()).await, Err(refused(&carol, Refused::WrongPassword)));
    assert_eq!(relay.taken(), 2);
    // And it has ended, since some servers keep it bound as alice.
    assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
    assert_eq!(relay.taken(), 3);
}

#[tokio::test]
async fn l_080_after_anything_but_a_proof_the_next_login_has_a_connection_of_its_own() {
    // The first login is proved and its connection kept; the second is answered so on it.
    let answers: [(Code, u8); 3] = [(Code::UnwillingToPerform, 1), (Code::InvalidCredentials, 1), (Code::Success, 2)];
    for (code, taken_for) in answers {
        let binds = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&binds);
        let server = Scripted::open(move |frame| match is_bind(frame) {
            true if counting.fetch_add(1, Ordering::SeqCst) == 1 => Some(ldap::answer(Op::Bind, frame.id, code, "")),
            true => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            false => Some(token(frame.id, if counting.load(Ordering::SeqCst) == 2 { taken_for } else { 1 })),
        });
        let corp = hasty(&[server.address()]);
        let alice = person(1);
        assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
        assert!(corp.authenticate(&alice, &right()).await.is_err(), "{code:?}");
        assert_eq!(server.taken(), 1);
        assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
        assert_eq!((server.taken(), binds.load(Ordering::SeqCst)), (2, 3), "{code:?}");
    }
}

#[tokio::test]
async fn a_password_is_sent_once_whatever_happens_to_the_connection() {
    // It takes the first bind, and is gone at the second, before or after it read it.
    for tells in [Vec::new(), vec![0x30, 0x03, 0x02]] {
        let binds = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&binds);
        let server = Scripted::open(move |frame| match is_bind(frame).then(|| counting.fetch_add(1, Ordering::SeqCst)) {
            None => Some(token(frame.id, 1)),
            Some(1) => Some(tells.clone()),
            Some(_) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
        });
        let corp = hasty(&[server.address(), server.address()]);
        let alice = person(1);
        assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
        assert_eq!(corp.authenticate(&alice, &right()).await, Err(AWAY));
        assert_eq!(binds.load(Ordering::SeqCst), 2);
        // The next login has a connection of its own.
        assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
        assert_eq!((binds.load(Ordering::SeqCst), server.taken()), (3, 2));
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_noticed_before_a_password_goes_out() {
    let address = {
        let first = lab();
        first.address()
    };
    let first = Lab::open(address, vec![Person::new("alice", "Alice", "Archer", "Passw0rd!")]).unwrap();
    let corp = corp(&[address]);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
    drop(first);
    let second = Lab::open(address, vec![Person::new("alice", "Alice", "Archer", "Passw0rd!")]).unwrap();
    assert_eq!(corp.authenticate(&alice, &right()).await, Ok(alice.identity.clone()));
    assert_eq!(second.binds_of("alice"), 1);
}

#[tokio::test]
async fn l_073_another_identity_in_the_proof_lets_nobody_in_and_ends_the_connection() {
    // Whoever binds, it tells of the first one for ever.
    let server = Scripted::open(|frame| Some(if is_bind(frame) { ldap::answer(Op::Bind, frame.id, Code::Success, "") } else { token(frame.id, 1) }));
    let corp = corp(&[server.address()]);
    assert_eq!(corp.authenticate(&person(1), &right()).await, Ok(person(1).identity));
    assert_eq!(corp.authenticate(&person(2), &right()).await, Err(UNKNOWN));
    assert_eq!(server.taken(), 1);
    assert_eq!(corp.authenticate(&person(1), &right()).await, Ok(person(1).identity));
    assert_eq!(server.taken(), 2);
}

#[tokio::test]
async fn an_answer_to_another_question_is_no_answer() {
    let strangers: [fn(&Frame<'_>) -> Vec<u8>; 4] = [
        |frame| ldap::answer(Op::Bind, frame.id + 1, Code::Success, ""),
        |frame| ldap::answer(Op::Bind, frame.id.max(2) - 1, Code::Success, ""),
        |frame| ldap::answer(Op::Search, frame.id, Code::Success, ""),
        // The answer to the next question before it is asked.
        |frame| [ldap::answer(Op::Bind, frame.id, Code::Success, ""), token(frame.id + 1, 8)].concat(),
    ];
    for (at, strange) in strangers.into_iter().enumerate() {
        let count = AtomicUsize::new(0);
        let server = Scripted::open(move |frame| match is_bind(frame).then(|| count.fetch_add(1, Ordering::SeqCst)) {
            None => Some(token(frame.id, 9)),
            Some(0) => Some(ldap::answer(Op::Bind, frame.id, Code::Success, "")),
            Some(_) => Some(strange(frame)),
        });
        let corp = hasty(&[server.address()]);
        assert_eq!(corp.authenticate(&person(9), &right()).await, Ok(person(9).identity));
        assert_eq!(corp.authenticate(&person(8), &right()).await, Err(AWAY), "{at}");
    }
}

#[tokio::test]
async fn no_more_connections_wait_than_are_allowed() {
    let lab = lab();
    let relay = counted(&lab);
    let corp = directory::open(Settings { pool_max: 2, ..settings(&[format!("ldap://{}", relay.address())]) }).unwrap();
    let alice = corp.resolve("alice").await.unwrap();
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let (corp, alice) = (Arc::clone(&corp), alice.clone());
        logins.spawn(async move { corp.authenticate(&alice, &right()).await.is_ok() });
    }
    assert!(logins.join_all().await.into_iter().all(|is_in| is_in));
    let mut tick = interval(Duration::from_millis(10));
    let closed = async {
        // One for look-ups, two that wait.
        while relay.still_open() > 3 {
            tick.tick().await;
        }
    };
    timeout(Duration::from_secs(10), closed).await.unwrap();
    assert!(corp.resolve("alice").await.is_ok());
}

#[tokio::test]
async fn look_ups_at_once_share_one_connection() {
    let lab = lab();
    let relay = counted(&lab);
    let corp = corp(&[relay.address()]);
    let mut asked = JoinSet::new();
    for number in 0..200 {
        let corp = Arc::clone(&corp);
        let name = ["alice", "carol", "dora", "nobody"][number % 4];
        asked.spawn(async move { (name, corp.resolve(name).await) });
    }
    for (name, found) in asked.join_all().await {
        match found {
            Ok(entry) => assert_eq!((entry.name.as_str(), Some(entry.identity.0)), (name, lab.sid(name))),
            Err(why) => assert_eq!((name, why), ("nobody", UNKNOWN)),
        }
    }
    assert!(relay.taken() <= 4, "{} connections", relay.taken());
    assert_eq!(lab.searches(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_hundreds_at_once_everybody_gets_their_own_verdict() {
    let people = (0..100).map(|number| Person::new(&format!("p{number}"), "P", &number.to_string(), &format!("pw-{number}")));
    let lab = Lab::open("127.0.0.1:0".parse().unwrap(), people.collect()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(folder.path(), "localhost");
    let front = tls.front(lab.address(), false);
    let secured = Settings { ca_file: Some(tls.ca_file.clone()), ..settings(&[format!("ldaps://localhost:{}", front.address().port())]) };
    for settings in [settings(&[format!("ldap://{}", lab.address())]), Settings { kind: Kind::Ldap, ..secured }] {
        let corp = directory::open(settings).unwrap();
        let mut logins = JoinSet::new();
        for number in 0..600 {
            let corp: Arc<dyn Directory> = Arc::clone(&corp);
            logins.spawn(async move {
                let who = number % 100;
                let entry = corp.resolve(&format!("p{who}")).await.unwrap();
                // One in three types somebody else's password.
                let typed = if number % 3 == 0 { (who + 1) % 100 } else { who };
                let verdict = corp.authenticate(&entry, &Secret::from(format!("pw-{typed}").as_str())).await;
                let expected = if typed == who { Ok(entry.identity.clone()) } else { Err(refused(&entry, Refused::WrongPassword)) };
                assert_eq!(verdict, expected, "{number}");
            });
        }
        while let Some(done) = logins.join_next().await {
            done.unwrap();
        }
    }
    let binds: u64 = (0..100).map(|number| lab.binds_of(&format!("p{number}"))).sum();
    assert_eq!(binds, 1_200);
}
