//! Applications that share a door: which one asks, who of them is exempt, and where people are.

use vestibule::domain::Timestamp;
use vestibule::front::ldap::Callers;

use super::client::Client;
use super::client::bind;
use super::client::element;
use super::client::extended;
use super::client::message;
use super::client::read;
use super::client::with;
use super::town::ALICE;
use super::town::MALLORY;
use super::town::Plan;
use super::town::SVC;
use super::town::Town;
use super::town::UNTIL;
use super::town::binds;

const DENIED: u32 = 49;
const UNAVAILABLE: u32 = 52;
const HERE: &[&str] = &["127.0.0.0/8"];

async fn exempting() -> Town {
    Town::open(Plan { exempt_from: HERE, ..Plan::default() }).await
}

/// The session-tracking control for somebody at this address.
fn tracking(address: &str, critical: bool) -> Vec<u8> {
    let oid = "1.3.6.1.4.1.21008.108.63.1";
    let parts = [element(0x04, address.as_bytes()), element(0x04, b""), element(0x04, format!("{oid}.3").as_bytes()), element(0x04, b"alice")];
    let critical = if critical { vec![0x01, 0x01, 0xff] } else { Vec::new() };
    let control = [element(0x04, oid.as_bytes()), critical, element(0x04, &element(0x30, &parts.concat()))];
    element(0xa0, &element(0x30, &control.concat()))
}

#[tokio::test]
async fn l_082_an_exempt_account_comes_in_by_its_password_and_is_counted() {
    let town = exempting().await;
    let mut client = town.client().await;
    assert_eq!(binds(&mut client, SVC, "pass").await, 0);
    assert_eq!(binds(&mut client, "svc", "pass").await, 0, "under any name that is its own");
    assert!(town.world.notes().is_empty(), "nobody was asked");
    let (uses, last_used) = town.roll.entry("door", "corp", SVC).uses();
    assert_eq!((uses, last_used.is_some()), (2, true));
    assert_eq!(binds(&mut client, SVC, "wrong").await, DENIED);
    assert_eq!(town.world.notes(), ["fail uuid-svc"], "its wrong passwords count");
    town.world.lock("uuid-svc");
    assert_eq!(binds(&mut client, SVC, "pass").await, DENIED, "and lock it");
}

#[tokio::test]
async fn l_082_whoever_else_binds_is_asked_however_the_name_is_spelled() {
    let town = exempting().await;
    // The directory takes this spelling for mallory.
    town.world.rename(MALLORY, "cn=svc,dc=corp");
    for name in ["cn=svc,dc=corp", "alice"] {
        assert_eq!(binds(&mut town.client().await, name, "pass").await, DENIED, "{name}");
    }
    assert_eq!(town.world.notes(), ["uuid-mallory for door from 127.0.0.1", "uuid-alice for door from 127.0.0.1"]);
    assert_eq!(town.roll.entry("door", "corp", SVC).uses().0, 0);
}

#[tokio::test]
async fn m_46_somebody_renamed_onto_the_exempt_name_is_not_exempt() {
    let town = exempting().await;
    town.world.rename(SVC, "CN=old,DC=corp");
    town.world.rename(MALLORY, SVC);
    let mut client = town.client().await;
    assert_eq!(binds(&mut client, SVC, "pass").await, DENIED);
    assert_eq!(town.world.notes(), ["uuid-mallory for door from 127.0.0.1"]);
    assert_eq!(binds(&mut client, "CN=old,DC=corp", "pass").await, 0, "whose exemption it is keeps it under another name");
}

#[tokio::test]
async fn m_46_an_exemption_from_another_network_or_after_its_end_is_none() {
    let elsewhere = Town::open(Plan { exempt_from: &["10.0.0.0/8"], ..Plan::default() }).await;
    assert_eq!(binds(&mut elsewhere.client().await, SVC, "pass").await, DENIED);
    let town = exempting().await;
    town.world.at(UNTIL);
    assert_eq!(binds(&mut town.client().await, SVC, "pass").await, DENIED);
    assert_eq!(town.world.notes(), ["uuid-svc for door from 127.0.0.1"]);
}

#[tokio::test]
async fn l_082_an_exemption_that_nobody_could_look_up_is_none() {
    let town = Town::open(Plan { exempt_from: HERE, away: true, ..Plan::default() }).await;
    assert_eq!(town.roll.entry("door", "corp", SVC).identity(), None);
    assert_ne!(binds(&mut town.client().await, SVC, "pass").await, 0);
}

#[tokio::test]
async fn m_46_a_reload_lets_the_directory_say_anew_whose_the_name_is() {
    let town = exempting().await;
    town.world.rename(SVC, "CN=old,DC=corp");
    town.world.rename(MALLORY, SVC);
    town.reload();
    let named = town.roll.entry("door", "corp", SVC);
    while named.identity().is_none_or(|who| who.0 != "uuid-mallory") {
        tokio::task::yield_now().await;
    }
    assert_eq!(binds(&mut town.client().await, SVC, "pass").await, 0);
}

#[tokio::test]
async fn l_066_an_exempt_bind_reads_and_changes_no_password() {
    let town = exempting().await;
    let mut client = town.client().await;
    assert_eq!(binds(&mut client, SVC, "pass").await, 0);
    client.send(&read(2, ALICE)).await;
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
    client.send(&extended(3, "1.3.6.1.4.1.4203.1.11.1", Some(b"x"))).await;
    assert_eq!(client.result().await, (3, 0x78, 50));
    for attribute in ["userPassword", "unicodePwd;x", "2.5.4.35"] {
        let values = [element(0x04, attribute.as_bytes()), element(0x31, &element(0x04, b"new"))].concat();
        let change = element(0x30, &[element(0x0a, &[2]), element(0x30, &values)].concat());
        client.send(&message(4, 0x66, &[element(0x04, ALICE.as_bytes()), element(0x30, &change)].concat(), &[])).await;
        assert_eq!(client.result().await, (4, 0x67, 50), "{attribute}");
    }
}

#[tokio::test]
async fn l_082_an_exemption_that_demands_a_certificate_holds_with_a_verified_one_alone() {
    let plan = || Plan { exempt_from: HERE, exempt_shown: Some("wiki.example"), certificates: Some(false), ..Plan::default() };
    let town = Town::open(plan()).await;
    assert_eq!(binds(&mut town.with_certificate(&["wiki.example"]).await.unwrap(), SVC, "pass").await, 0);
    assert_eq!(binds(&mut town.with_certificate(&["git.example"]).await.unwrap(), SVC, "pass").await, DENIED);
    assert_eq!(binds(&mut town.with_certificate(&[]).await.unwrap(), SVC, "pass").await, DENIED, "certificates are optional");
    assert!(town.with_strange_certificate(&["wiki.example"]).await.is_none(), "one that is shown must be good");
    let strict = Town::open(Plan { certificates: Some(true), ..plan() }).await;
    assert!(strict.with_certificate(&[]).await.is_none());
    assert!(strict.with_certificate(&["git.example"]).await.is_some());
}

#[tokio::test]
async fn l_082_a_certificate_whose_authority_is_not_believed_any_more_counts_for_nothing() {
    let plan = Plan { exempt_from: HERE, exempt_shown: Some("wiki.example"), certificates: Some(false), ..Plan::default() };
    let town = Town::open(plan).await;
    let mut client = town.with_certificate(&["wiki.example"]).await.unwrap();
    assert_eq!(binds(&mut client, SVC, "pass").await, 0);
    town.reload();
    assert_eq!(binds(&mut client, SVC, "pass").await, 0, "a reload that changes nothing changes nothing");
    town.reload_with_another_authority();
    client.is_dismissed(UNAVAILABLE).await;
}

/// It still reads what it may.
async fn is_served(client: &mut Client) {
    client.send(&read(7, ALICE)).await;
    client.entry().await;
    assert_eq!(client.result().await, (7, 0x65, 0));
}

#[tokio::test]
async fn l_026_l_082_a_connection_that_an_exemption_let_in_ends_with_it() {
    let town = exempting().await;
    town.world.at(Timestamp(UNTIL.0 - 20));
    let mut client = town.client().await;
    assert_eq!(binds(&mut client, SVC, "pass").await, 0);
    town.world.at(UNTIL);
    client.is_dismissed(UNAVAILABLE).await;
}

#[tokio::test]
async fn l_082_m_46_a_reload_ends_connections_whose_exemption_it_takes_away_and_no_others() {
    type Change = fn(&mut Callers);
    let changes: [(Change, bool); 5] = [
        (|_| {}, true),
        (|callers| callers.exemptions.iter_mut().for_each(|exemption| exemption.until = Timestamp(UNTIL.0 + 9)), true),
        (|callers| callers.exemptions.clear(), false),
        (|callers| callers.exemptions.iter_mut().for_each(|exemption| exemption.from = vec!["10.0.0.0/8".parse().unwrap()]), false),
        (|callers| callers.exemptions.iter_mut().for_each(|exemption| exemption.until = Timestamp(0)), false),
    ];
    for (change, stays) in changes {
        let town = Town::open(Plan { exempt_from: HERE, trackers: HERE, ..Plan::default() }).await;
        let mut exempt = town.client().await;
        assert_eq!(binds(&mut exempt, SVC, "pass").await, 0);
        let mut trusted = town.client().await;
        trusted.send(&with(&bind(1, "alice", "pass"), &tracking("10.20.3.4", false))).await;
        assert_eq!(trusted.result().await.2, 0);
        town.reload_with(change);
        if stays {
            is_served(&mut exempt).await;
        } else {
            exempt.is_dismissed(UNAVAILABLE).await;
        }
        is_served(&mut trusted).await;
    }
}

#[tokio::test]
async fn m_43_a_reload_ends_connections_of_a_balancer_that_is_none_any_more_and_of_one_that_has_become_one() {
    let plan = || Plan { exempt_from: &["10.0.0.0/8"], proxy_from: HERE, ..Plan::default() };
    let town = Town::open(plan()).await;
    let mut told = town.through_proxy(1, [10, 0, 0, 7]).await;
    assert_eq!(binds(&mut told, SVC, "pass").await, 0);
    let mut silent = town.through_proxy(0, [0, 0, 0, 0]).await;
    assert_eq!(binds(&mut silent, "", "").await, 0);
    town.reload();
    is_served(&mut told).await;
    town.reload_with(|callers| callers.proxy_from.clear());
    told.is_dismissed(UNAVAILABLE).await;
    silent.is_dismissed(UNAVAILABLE).await;
    let mut direct = town.client().await;
    assert_eq!(binds(&mut direct, "", "").await, 0);
    town.reload_with(|callers| callers.proxy_from = vec!["127.0.0.1".parse().unwrap()]);
    direct.is_dismissed(UNAVAILABLE).await;
}

#[tokio::test]
async fn l_082_a_reload_that_demands_certificates_ends_connections_without_one() {
    let town = Town::open(Plan { exempt_from: HERE, exempt_shown: Some("wiki.example"), certificates: Some(false), ..Plan::default() }).await;
    let mut shown = town.with_certificate(&["wiki.example"]).await.unwrap();
    assert_eq!(binds(&mut shown, SVC, "pass").await, 0);
    let mut bare = town.with_certificate(&[]).await.unwrap();
    town.reload_demanding_certificates();
    bare.is_dismissed(UNAVAILABLE).await;
    is_served(&mut shown).await;
    town.reload_with(|callers| callers.verifier = None);
    shown.is_dismissed(UNAVAILABLE).await;
}

#[tokio::test]
async fn m_48_each_application_asks_in_its_own_name() {
    let shared = Plan { applications: &[("wiki", &["10.1.0.0/16"], None, false), ("vip", &["10.1.2.0/24"], None, false)], proxy_from: HERE, ..Plan::default() };
    let town = Town::open(shared).await;
    for (address, expected) in [([10, 1, 9, 9], "wiki from 10.1.9.9"), ([10, 1, 2, 3], "vip from 10.1.2.3"), ([192, 0, 2, 7], "door from 192.0.2.7")] {
        assert_eq!(binds(&mut town.through_proxy(1, address).await, "alice", "pass").await, DENIED);
        assert_eq!(town.world.notes(), [format!("uuid-alice for {expected}")]);
    }
    assert_eq!(binds(&mut town.through_proxy(0, [10, 1, 9, 9]).await, "alice", "pass").await, DENIED);
    assert_eq!(town.world.notes(), ["uuid-alice for door from nowhere"], "a balancer that speaks for itself is no application");
}

#[tokio::test]
async fn m_48_the_account_that_bound_before_tells_the_application_by_its_identity() {
    let plan = Plan { exempt_from: HERE, applications: &[("wiki", &[], None, true)], ..Plan::default() };
    let town = Town::open(plan).await;
    let mut client = town.client().await;
    assert_eq!(binds(&mut client, "alice", "pass").await, DENIED);
    assert_eq!(binds(&mut client, SVC, "wrong").await, DENIED);
    assert_eq!(binds(&mut client, "alice", "pass").await, DENIED);
    assert_eq!(binds(&mut client, SVC, "pass").await, 0);
    assert_eq!(binds(&mut client, "alice", "pass").await, DENIED);
    let told = ["uuid-alice for door from 127.0.0.1", "fail uuid-svc", "uuid-alice for door from 127.0.0.1", "uuid-alice for wiki from 127.0.0.1"];
    assert_eq!(town.world.notes(), told, "a bind that failed makes nobody the wiki");
    assert_eq!(binds(&mut town.client().await, "alice", "pass").await, DENIED);
    assert_eq!(town.world.notes(), ["uuid-alice for door from 127.0.0.1"], "and no other connection");
}

#[tokio::test]
async fn m_48_a_certificate_tells_the_application_and_one_of_two_tells_none() {
    let plan = Plan {
        applications: &[("wiki", &[], Some("wiki.example"), false), ("git", &[], Some("git.example"), false)],
        certificates: Some(false),
        ..Plan::default()
    };
    let town = Town::open(plan).await;
    assert_eq!(binds(&mut town.with_certificate(&["git.example"]).await.unwrap(), "alice", "pass").await, DENIED);
    assert_eq!(town.world.notes(), ["uuid-alice for git from 127.0.0.1"]);
    assert_eq!(binds(&mut town.with_certificate(&["git.example", "wiki.example"]).await.unwrap(), "alice", "pass").await, DENIED);
    assert!(town.world.notes().is_empty(), "nobody is asked for one or the other");
}

#[tokio::test]
async fn m_43_a_proxy_header_from_an_unlisted_peer_is_no_ldap() {
    let town = Town::open(Plan { exempt_from: &["10.0.0.0/8"], proxy_from: &["10.0.0.1"], ..Plan::default() }).await;
    let mut client = town.through_proxy(1, [10, 0, 0, 7]).await;
    client.send(&bind(1, SVC, "pass")).await;
    client.is_dismissed(2).await;
    assert!(town.world.notes().is_empty());
}

#[tokio::test]
async fn m_43_a_listed_balancer_without_a_good_header_is_closed() {
    let town = Town::open(Plan { exempt_from: HERE, proxy_from: HERE, ..Plan::default() }).await;
    for bytes in [bind(1, SVC, "pass"), b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(), b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x01".to_vec()] {
        let mut client = town.client().await;
        client.send(&bytes).await;
        assert_eq!(client.frame().await, None);
    }
}

#[tokio::test]
async fn m_43_l_082_an_exemption_is_of_the_address_that_the_balancer_tells() {
    let town = Town::open(Plan { exempt_from: &["10.0.0.0/8"], proxy_from: HERE, ..Plan::default() }).await;
    assert_eq!(binds(&mut town.through_proxy(1, [10, 0, 0, 7]).await, SVC, "pass").await, 0);
    assert_eq!(binds(&mut town.through_proxy(1, [127, 0, 0, 1]).await, SVC, "pass").await, DENIED);
    assert_eq!(binds(&mut town.through_proxy(0, [10, 0, 0, 7]).await, SVC, "pass").await, DENIED, "of nobody's address");
    let balancer = Town::open(Plan { exempt_from: HERE, proxy_from: HERE, ..Plan::default() }).await;
    assert_eq!(binds(&mut balancer.through_proxy(1, [10, 0, 0, 7]).await, SVC, "pass").await, DENIED, "and never of its own");
}

async fn tracked(town: &Town, address: &str, critical: bool) -> (u32, Vec<String>) {
    let mut client: Client = town.client().await;
    client.send(&with(&bind(1, "alice", "pass"), &tracking(address, critical))).await;
    (client.result().await.2, town.world.notes())
}

#[tokio::test]
async fn m_43_session_tracking_tells_where_people_are_if_the_application_is_listed() {
    let town = Town::open(Plan { trackers: HERE, ..Plan::default() }).await;
    assert_eq!(tracked(&town, "192.0.2.7", false).await, (DENIED, vec!["uuid-alice for door from 192.0.2.7".to_owned()]));
    assert_eq!(tracked(&town, "10.20.3.4", true).await, (0, Vec::new()), "a trusted network of the policy");
    assert_eq!(tracked(&town, "", false).await, (DENIED, vec!["uuid-alice for door from nowhere".to_owned()]));
    let mut client = town.client().await;
    client.send(&with(&bind(1, "alice", "pass"), &tracking("10.20.3.4, 192.0.2.7", false))).await;
    client.is_dismissed(2).await;
}

#[tokio::test]
async fn m_43_l_082_session_tracking_moves_no_exemption() {
    let town = Town::open(Plan { exempt_from: &["10.0.0.0/8"], trackers: HERE, ..Plan::default() }).await;
    let mut client = town.client().await;
    client.send(&with(&bind(1, SVC, "pass"), &tracking("10.0.0.7", false))).await;
    assert_eq!(client.result().await.2, DENIED);
}

#[tokio::test]
async fn m_43_a_forged_session_tracking_control_is_ignored_or_refused() {
    let town = Town::open(Plan { trackers: &["10.0.0.0/8"], ..Plan::default() }).await;
    assert_eq!(tracked(&town, "10.20.3.4", false).await, (DENIED, vec!["uuid-alice for door from 127.0.0.1".to_owned()]));
    assert_eq!(tracked(&town, "10.20.3.4", true).await, (12, Vec::new()));
    let mut client = town.client().await;
    client.send(&with(&read(5, ""), &tracking("10.20.3.4", true))).await;
    assert_eq!(client.result().await, (5, 0x65, 12));
}
