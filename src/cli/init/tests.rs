//! The dialogue by transcript, before the lab directory and with the real server.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tempfile::TempDir;
use zeroize::Zeroizing;

use super::attended;
use super::terminal::Terminal;
use super::terminal::gone;
use crate::app::config::Config;
use crate::app::init::Ground;
use crate::cli::output::Failure;
use crate::demo::directory::Lab;
use crate::demo::directory::Person;

/// Answers whatever is asked, in this order, and keeps what was shown. What was typed unseen is not in it.
struct Script {
    answers: VecDeque<String>,
    shown: String,
}

impl Script {
    fn of(answers: &[&str]) -> Self {
        Self { answers: answers.iter().map(|answer| (*answer).to_owned()).collect(), shown: String::new() }
    }

    fn next(&mut self, prompt: &str) -> Result<String, Failure> {
        self.shown.push_str(prompt);
        let answer = self.answers.pop_front();
        answer.ok_or_else(gone)
    }
}

impl Terminal for Script {
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.shown.push_str(text);
        self.shown.push('\n');
        Ok(())
    }

    fn line(&mut self, prompt: &str) -> Result<String, Failure> {
        let answer = self.next(prompt)?;
        self.shown.push_str(&answer);
        self.shown.push('\n');
        // The code of the token that was shown above.
        Ok(if answer == "CODE" { code(&self.shown) } else { answer })
    }

    fn unseen(&mut self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let answer = self.next(prompt)?;
        self.shown.push('\n');
        Ok(Zeroizing::new(answer))
    }

    fn draws(&self) -> bool {
        false
    }
}

/// What an app shows that has scanned the line.
fn code(shown: &str) -> String {
    let line = shown.lines().find(|line| line.starts_with("otpauth://")).unwrap();
    let secret = line.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).unwrap();
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    totp_rs::Builder::new().with_secret(secret).build().unwrap().generate_current().to_string()
}

fn lab() -> Lab {
    Lab::open(SocketAddr::from(([127, 0, 0, 1], 0)), vec![Person::new("alice", "Alice", "Archer", "Wonder-Land-1")]).unwrap()
}

/// An address where nobody listens, as good as one can know.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn ground(folder: &TempDir) -> Ground {
    Ground::look(&folder.path().join("vestibule.toml")).unwrap()
}

fn secret(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("secrets").join(name)
}

async fn talk(folder: &TempDir, answers: &[&str]) -> (Result<(), Failure>, String) {
    let mut script = Script::of(answers);
    let done = attended::run(&ground(folder), &mut script).await;
    assert!(done.is_err() || script.answers.is_empty(), "nobody asked for {:?}:\n{}", script.answers, script.shown);
    (done, script.shown)
}

#[tokio::test]
async fn a_wrong_answer_is_told_why_and_asked_for_again_and_the_first_login_works() {
    let (lab, folder) = (lab(), tempfile::tempdir().unwrap());
    let server = format!("ldap://{}", lab.address());
    let (done, shown) = talk(
        &folder,
        &[
            "?",
            "3",
            "ad",
            "example.test",
            "ldaps",
            &server,
            "",
            "EXAMPLE", // the directory
            Lab::SERVICE_NAME,
            "",
            "wrong",
            "svc-mfa@example.test",
            Lab::SERVICE_PASSWORD, // its account, mistyped first
            "",                    // own tokens
            "fw1",
            "nowhere",
            "127.0.0.1, 192.0.2.0/24",
            "fortigate",
            "1812",
            "127.0.0.1:0", // the client
            "yes",
            "yes", // write, serve
            "nobody",
            "alice",
            "",
            "wrong",
            "123456",
            "",
            "Wonder-Land-1",
            "CODE",
        ],
    )
    .await;
    assert_eq!(done, Ok(()), "{shown}");
    for told in [
        "Samba as a domain controller is Active Directory.",
        "a number from 1 to 2",
        "type one",
        "bind_name or bind_password is refused",
        "the name or the password is wrong",
        "it takes the account",
        "an address or a network",
        "an address with a port",
        "verdict        reject",
        "verdict        accept",
        "That works.",
        "config user radius",
        "vestibule check --config",
    ] {
        assert!(shown.contains(told), "{told:?}:\n{shown}");
    }
    let stored = fs::read_to_string(secret(&folder, "fw1.radius")).unwrap();
    assert!(shown.contains(&format!("Its secret, which both sides share: {stored}")), "{shown}");
    assert!(!shown.contains(Lab::SERVICE_PASSWORD) && !shown.contains("Wonder-Land-1"), "O-06: {shown}");
    for name in ["master-key", "example-bind", "fw1.radius"] {
        assert_eq!(fs::metadata(secret(&folder, name)).unwrap().mode() & 0o7777, 0o400, "{name}");
    }
    let config = Config::load(&folder.path().join("vestibule.toml")).unwrap();
    assert_eq!((config.radius_clients[0].networks.len(), config.warnings), (2, Vec::new()));
}

#[tokio::test]
async fn the_second_time_what_is_there_is_the_answer_to_everything() {
    let (lab, folder) = (lab(), tempfile::tempdir().unwrap());
    let server = format!("ldap://{}", lab.address());
    let first = [
        "ad",
        "example.test",
        "ldaps",
        &server,
        "",
        "EXAMPLE",
        Lab::SERVICE_NAME,
        Lab::SERVICE_PASSWORD,
        "",
        "fw1",
        "127.0.0.1",
        "other",
        "127.0.0.1:0",
        "yes",
        "no",
    ];
    let (done, shown) = talk(&folder, &first).await;
    assert_eq!(done, Ok(()), "{shown}");
    let read = |path: PathBuf| fs::read(path).unwrap();
    let all = || ["master-key", "example-bind", "fw1.radius"].map(|name| read(secret(&folder, name)));
    let before = (read(folder.path().join("vestibule.toml")), all());
    // A NAS that was added since names what is asked for only later.
    let config = Config::load(&folder.path().join("vestibule.toml")).unwrap();
    let policy = config.radius_clients[0].policy.clone();
    let added = format!(
        "[[radius.client]]\nname = \"fw2\"\nnetworks = [\"192.0.2.2\"]\nsecret = {{ file = \"secrets/fw1.radius\" }}\nfirst = {{ directory = \"example\" }}\npolicy = \"{policy}\"\n"
    );
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    fs::write(folder.path().join("conf.d/fw2.toml"), added).unwrap();
    let (done, shown) = talk(&folder, &["", "", "", "", "", "", "", "", "", "", "", "", "", "yes", "no"]).await;
    assert_eq!(done, Ok(()), "{shown}");
    assert!(shown.contains("everything is so already") && shown.contains("[the stored one]"), "{shown}");
    assert_eq!((read(folder.path().join("vestibule.toml")), all()), before);
    assert!(!folder.path().join("vestibule.toml.before-init").exists());
}

#[tokio::test]
async fn servers_that_do_not_answer_are_asked_for_again_and_a_base_that_is_not_there_too() {
    let (lab, folder) = (lab(), tempfile::tempdir().unwrap());
    let (nobody, server) = (format!("ldap://{}", nobody()), format!("ldap://{}", lab.address()));
    let account = [Lab::SERVICE_NAME, Lab::SERVICE_PASSWORD];
    let wrong = ["ad", "example.test", "ldaps", &nobody, "DC=elsewhere", "EXAMPLE", account[0], account[1], "no"];
    let right = ["ad", "example.test", "ldaps", &server, "", "", "", "", "DC=example,DC=test"];
    let (done, shown) = talk(&folder, &[&wrong[..], &right[..], &["", "fw1", "127.0.0.1", "other", "127.0.0.1:1812", "yes", "no"]].concat()).await;
    assert_eq!(done, Ok(()), "{shown}");
    assert!(shown.contains("cannot connect") && shown.contains("base cannot be read there") && shown.contains("it takes the account"), "{shown}");
    assert!(shown.contains("port 1812, PAP"), "a NAS of no kind that we know: {shown}");
}

#[tokio::test]
async fn whoever_says_no_or_goes_away_leaves_nothing_behind() {
    let (lab, folder) = (lab(), tempfile::tempdir().unwrap());
    let server = format!("ldap://{}", lab.address());
    let all =
        ["ad", "example.test", "ldaps", &server, "", "EXAMPLE", Lab::SERVICE_NAME, Lab::SERVICE_PASSWORD, "", "fw1", "127.0.0.1", "other", "127.0.0.1:0", "no"];
    for count in [4, 8, all.len()] {
        let (done, shown) = talk(&folder, &all[..count]).await;
        assert!(done.is_err(), "{shown}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{shown}");
    }
}
