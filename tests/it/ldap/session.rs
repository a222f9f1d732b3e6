//! What passes, and as whom.

use vestibule::wire::ldap;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Op;

use super::client::control;
use super::client::element;
use super::client::extended;
use super::client::ldap_frame;
use super::client::message;
use super::client::read;
use super::client::with;
use super::rig::ALICE;
use super::rig::Plan;
use super::rig::Rig;

const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";
const PASSWORD_MODIFY: &str = "1.3.6.1.4.1.4203.1.11.1";

fn modify(id: u32, attribute: &str) -> Vec<u8> {
    let item = element(0x30, &[element(0x04, attribute.as_bytes()), element(0x31, &element(0x04, b"secret"))].concat());
    let change = element(0x30, &[element(0x0a, &[2]), item].concat());
    message(id, 0x66, &[element(0x04, b"CN=alice,DC=corp"), element(0x30, &change)].concat(), &[])
}

#[tokio::test]
async fn l_002_the_root_is_readable_and_tells_what_can_be_done_here() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&read(1, "")).await;
    let root = client.entry().await;
    assert_eq!(client.result().await, (1, 0x65, 0));
    let told = |attribute: &str| root.values(attribute).map(|value| String::from_utf8(value.to_vec()).unwrap()).collect::<Vec<_>>();
    assert_eq!(told("supportedSASLMechanisms"), Vec::<String>::new());
    assert_eq!(told("supportedControl"), ["1.2.840.113556.1.4.319"]);
    assert_eq!(told("supportedExtension"), ["1.3.6.1.1.8", WHO_AM_I]);
    assert!(rig.diary.has("root as nobody"));
}

#[tokio::test]
async fn l_013_before_a_bind_every_other_operation_is_refused_in_its_own_kind() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    let requests = [
        (read(1, "DC=corp"), 0x65),
        (modify(1, "mail"), 0x67),
        (message(1, 0x68, &[element(0x04, b"CN=x"), element(0x30, &[])].concat(), &[]), 0x69),
        (message(1, 0x4a, b"CN=x", &[]), 0x6b),
        (message(1, 0x6c, &[element(0x04, b"CN=x"), element(0x04, b"CN=y"), element(0x01, &[0])].concat(), &[]), 0x6d),
        (message(1, 0x6e, &[element(0x04, b"CN=x"), element(0x30, &element(0x04, b"cn"))].concat(), &[]), 0x6f),
        (extended(1, "1.2.3.4", None), 0x78),
        (extended(1, PASSWORD_MODIFY, Some(b"x")), 0x78),
    ];
    for (request, op) in requests {
        client.send(&request).await;
        assert_eq!(client.result().await, (1, op, 50));
    }
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_033_an_id_that_is_in_use_ends_the_connection() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&[read(2, "DC=never"), read(2, "DC=corp")].concat()).await;
    client.is_dismissed(2).await;
}

#[tokio::test]
async fn l_031_l_032_what_is_no_request_ends_the_connection_with_a_notice() {
    let garbage: [Vec<u8>; 8] = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        vec![0x30, 0x80, 0x02, 0x01],
        vec![0x30, 0x05, 0x02, 0x01, 0x00, 0x42, 0x00],
        vec![0x30, 0x05, 0x02, 0x01, 0xff, 0x42, 0x00],
        ldap::answer(Op::Bind, 1, Code::Success, ""),
        ldap::notice(Code::Success, ""),
        message(1, 0x60, &element(0x04, b"no version"), &[]),
    ];
    let rig = Rig::pushing().await;
    for bytes in garbage {
        let mut client = rig.client().await;
        client.send(&bytes).await;
        client.is_dismissed(2).await;
    }
    assert_eq!(rig.diary.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn l_034_trailing_components_do_not_hide_a_request() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&with(&read(2, "DC=corp"), &element(0x8b, b"of times to come"))).await;
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
}

#[tokio::test]
async fn l_050_a_critical_control_the_directory_does_not_know_is_refused_in_the_requests_kind() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&with(&read(2, "DC=corp"), &control("1.2.3.4", true))).await;
    assert_eq!(client.result().await, (2, 0x65, 12));
    client.send(&with(&modify(3, "mail"), &control("1.2.3.4", true))).await;
    assert_eq!(client.result().await, (3, 0x67, 12));
    client.send(&with(&extended(4, WHO_AM_I, None), &control("1.2.840.113556.1.4.319", true))).await;
    assert_eq!(client.result().await, (4, 0x78, 12));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("search") || line.starts_with("write")));
    client.send(&with(&read(5, "DC=corp"), &control("1.2.840.113556.1.4.319", true))).await;
    client.entry().await;
    assert_eq!(client.result().await, (5, 0x65, 0));
}

#[tokio::test]
async fn l_051_l_064_a_control_that_is_not_critical_passes_unless_it_makes_one_somebody_else() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&with(&read(2, "DC=corp"), &control("1.2.3.4", false))).await;
    client.entry().await;
    assert_eq!(client.result().await, (2, 0x65, 0));
    for critical in [true, false] {
        client.send(&with(&read(3, "DC=other"), &control("2.16.840.1.113730.3.4.18", critical))).await;
        assert_eq!(client.result().await, (3, 0x65, 12), "L-064, though the directory knows it");
    }
    assert!(!rig.diary.has(&format!("search DC=other as {ALICE}")));
}

#[tokio::test]
async fn l_052_an_extension_nobody_knows_is_the_directorys_to_refuse() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&extended(2, "1.2.3.4", None)).await;
    assert_eq!(client.result().await, (2, 0x78, 2));
    assert!(rig.diary.has("extended 1.2.3.4"));
}

#[tokio::test]
async fn l_063_fast_bind_never_reaches_the_directory() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&extended(2, "1.2.840.113556.1.4.1781", None)).await;
    assert_eq!(client.result().await, (2, 0x78, 2));
    client.send(&extended(3, "1.2.840.113556.1.4.1781\0x", None)).await;
    assert_eq!(client.result().await, (3, 0x78, 2));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("extended")));
}

#[tokio::test]
async fn l_065_who_am_i_is_answered_here() {
    let rig = Rig::pushing().await;
    let mut client = rig.client().await;
    client.send(&extended(1, WHO_AM_I, None)).await;
    let nobody = client.frame().await.unwrap();
    assert!(!String::from_utf8_lossy(&nobody).contains("dn:"));
    let mut client = rig.bound().await;
    client.send(&extended(2, WHO_AM_I, None)).await;
    let alice = client.frame().await.unwrap();
    assert_eq!(ldap_frame(&alice).result().unwrap().code, 0);
    assert!(alice.ends_with(format!("dn:{ALICE}").as_bytes()));
    assert!(!rig.diary.lines().iter().any(|line| line.starts_with("extended")));
}

#[tokio::test]
async fn l_066_a_password_is_changed_after_a_second_factor_alone() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&modify(2, "unicodePwd")).await;
    assert_eq!(client.result().await, (2, 0x67, 0));

    let rig = Rig::open(Plan { enrolled: false, ..Plan::default() }).await;
    let mut client = rig.bound().await;
    for attribute in ["unicodePwd", "UserPassword;x-new", "2.5.4.35", "unicodePwd\0x", "clearTextPassword"] {
        client.send(&modify(2, attribute)).await;
        assert_eq!(client.result().await, (2, 0x67, 50), "{attribute}");
    }
    client.send(&extended(3, PASSWORD_MODIFY, Some(b"x"))).await;
    assert_eq!(client.result().await, (3, 0x78, 50));
    client.send(&modify(4, "mail")).await;
    assert_eq!(client.result().await, (4, 0x67, 0));
    assert_eq!(rig.diary.lines().iter().filter(|line| line.starts_with("write")).count(), 1);
}

#[tokio::test]
async fn l_022_an_abandon_goes_to_the_directory_for_what_is_under_way_alone() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&[ldap::abandon(2, 77), read(3, "DC=never"), ldap::abandon(4, 3), read(5, "DC=corp")].concat()).await;
    client.entry().await;
    assert_eq!(client.result().await, (5, 0x65, 0));
    assert!(rig.diary.has("abandon 3") && !rig.diary.has("abandon 77"));
}

#[tokio::test]
async fn l_023_unbind_closes_both_without_a_word() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&ldap::unbind_request(2)).await;
    client.is_closed().await;
    rig.diary.wait_for("disconnect").await;
}

#[tokio::test]
async fn l_026_when_the_directory_goes_so_does_whoever_was_bound_on_it() {
    let rig = Rig::pushing().await;
    let mut client = rig.bound().await;
    client.send(&read(2, "DC=notice")).await;
    client.is_dismissed(52).await;
}
