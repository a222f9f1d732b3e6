//! Alerts by mail, by the real server: a fraud that somebody reports and a block of an administrator's.

use std::fs;

use vestibule::app::clock::WallClock;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner as Phone;
use vestibule::demo::cloud::Person;
use vestibule::wire::radius::Code;

use super::*;
use crate::lab;
use crate::lab::House;

/// The server, with a phone of alice's that reports every login; whoever is to be told is told by this mail server.
fn house(office: &Office, directory: SocketAddr, cloud: &Cloud) -> House {
    let more = format!(
        "[mail]\nserver = \"smtp+plain://127.0.0.1:{}\"\nfrom = \"mfa@corp.example\"\nalerts = [\"security@corp.example\"]\ntimeout = \"1s\"\n\
         [provider.cloud]\nkind = \"duo\"\nhost = \"{}\"\nurl = \"{}\"\nkey_id = \"{}\"\nkey = {{ file = \"duo\" }}\n",
        office.port(),
        cloud.host(),
        cloud.url(),
        cloud.key_id(),
    );
    let folder = lab::furnish(directory, &more);
    let path = folder.path().join("vestibule.toml");
    let text = fs::read_to_string(&path).unwrap().replace("methods = [{ oath = \"tokens\" }]", "methods = [{ push = \"cloud\" }]");
    fs::write(&path, text).unwrap();
    fs::write(folder.path().join("duo"), cloud.key().expose()).unwrap();
    let house = House::open(folder);
    assert!(house.say(&["user", "add", "alice"]).status.success());
    house
}

async fn lab_cloud() -> Cloud {
    Cloud::open(SocketAddr::from(([127, 0, 0, 1], 0)), vec![Person::new("alice", Phone::Reports(Duration::ZERO))], Arc::new(WallClock)).await.unwrap()
}

fn log_in(house: &House, identifier: u8) -> Code {
    lab::ask(house.radius(), identifier, "alice", "Wonder-Land-1", b"", Duration::from_secs(20)).unwrap().code
}

async fn letters(office: &Office, count: usize) -> Vec<String> {
    let came = async {
        while office.letters().len() < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), came).await.unwrap_or_else(|_| panic!("{} letters", office.letters().len()));
    // Long lines are folded on their way.
    office.letters().into_iter().map(|letter| letter.text.replace("=\r\n", "").replace("\r\n", "\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn m_10_a_fraud_that_is_reported_and_a_block_are_told_by_mail_once() {
    let (office, cloud) = (Office::open(Manner::Fine).await, lab_cloud().await);
    let directory = lab::people(SocketAddr::from(([127, 0, 0, 1], 0)));
    let house = house(&office, directory.address(), &cloud);
    assert_eq!(log_in(&house, 1), Code::AccessReject);
    let fraud = letters(&office, 1).await.remove(0);
    assert!(fraud.contains("To: security@corp.example\n") && fraud.contains("Subject: Vestibule on lab: please look at this\n"), "{fraud}");
    assert!(fraud.contains("alice says that a login at nas from 198.51.100.7") && fraud.contains("vestibule audit explain "), "{fraud}");
    assert!(!fraud.contains("Wonder-Land-1"), "{fraud}");
    // Whoever is let go and reports again soon is no news; an administrator's block is.
    assert!(house.say(&["block", "remove", "alice"]).status.success());
    assert_eq!(log_in(&house, 2), Code::AccessReject);
    assert!(house.say(&["block", "add", "--phone", "+49 30 901820"]).status.success());
    let block = letters(&office, 2).await.remove(1);
    assert!(block.contains("+4930901820 was blocked at "), "{block}");
    assert_eq!(cloud.pushes("alice"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_hangs_delays_no_login() {
    let (office, cloud) = (Office::open(Manner::Hangs("hello")).await, lab_cloud().await);
    let directory = lab::people(SocketAddr::from(([127, 0, 0, 1], 0)));
    let house = house(&office, directory.address(), &cloud);
    assert_eq!(log_in(&house, 1), Code::AccessReject);
    assert!(office.letters().is_empty(), "it was not waited for");
    house.until("a letter about an alarm is sent again later");
}
