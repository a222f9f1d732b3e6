//! Each kind of NAS before the client of its own page, as shipped: a login in that NAS's shape, with its credentials, its attributes and its resends.
//!
//! Of a page only what leads to machines and secrets is changed: addresses, names of the lab, where the state lies. Everything else stands as it is written
//! there, so a default that does not fit its NAS fails here.

mod asking;
mod mute;
mod nas;
mod relayed;
mod upstream;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use vestibule::app::clock::WallClock;
use vestibule::demo::cloud;
use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;

use crate::lab;
use crate::lab::House;
use crate::serve::code_of;
use nas::Heard;
use nas::Nas;
use nas::Sent;

const PASSWORD: &str = "Wonder-Land-1";
/// Between us and the upstream.
const UPSTREAM_SECRET: &str = "another secret of more than twelve octets";

/// A server that was given a page, and all that is around it. Alice has a telephone and is in the group VPN; Bob types codes.
struct World {
    cloud: Cloud,
    _directory: Lab,
    house: House,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Before the page of that name.
    fn of(page: &str) -> Self {
        Self::with(page, None, str::to_owned)
    }

    /// Before that page with other lines in it, and before this upstream.
    fn with(page: &str, upstream: Option<SocketAddr>, rewritten: impl FnOnce(&str) -> String) -> Self {
        let anywhere = "127.0.0.1:0".parse().unwrap();
        let alice = Person { groups: vec!["VPN"], ..Person::new("alice", "Alice", "Archer", PASSWORD) };
        let directory = Lab::open(anywhere, vec![alice, Person::new("bob", "Bob", "Baker", PASSWORD)]).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let people = vec![cloud::Person::new("alice", Manner::Told), cloud::Person::new("bob", Manner::Unenrolled)];
        let cloud = runtime.block_on(Cloud::open(anywhere, people, Arc::new(WallClock))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/examples/{page}.toml"));
        let text = rewritten(&fs::read_to_string(file).unwrap());
        let credentials = folder.path().join("credentials");
        fs::create_dir(&credentials).unwrap();
        for name in text.split("credential = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let secret = match name {
                "master-key" => "5a".repeat(32),
                "corp-bind" => Lab::SERVICE_PASSWORD.to_owned(),
                "duo-key" => cloud.key().expose_text().unwrap().to_owned(),
                "nps" => UPSTREAM_SECRET.to_owned(),
                _ => lab::SECRET.to_owned(),
            };
            fs::write(credentials.join(name), secret).unwrap();
        }
        fs::write(folder.path().join("vestibule.toml"), in_the_lab(&text, directory.address(), &cloud, upstream)).unwrap();
        let mut command = lab::vestibule(&["serve", "--config"], &folder.path().join("vestibule.toml"));
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        let house = House::of(command, folder);
        assert!(house.say(&["user", "add", "alice"]).status.success());
        Self { cloud, _directory: directory, house, runtime }
    }

    /// Bob comes to us, and this is the code that his app shows.
    fn code_of_bob(&self) -> String {
        code_of(&self.house.enrol("bob"))
    }

    fn pushes(&self) -> u64 {
        self.cloud.pushes("alice")
    }

    /// Alice taps.
    fn approve(&self) {
        assert_eq!(self.cloud.approve("alice"), 1, "one question is out");
    }

    /// Waits until Alice's telephone has rung so often.
    fn rung(&self, count: u64) {
        self.runtime.block_on(self.cloud.pushed("alice", count));
    }

    /// A login that is held while the telephone rings, and that the NAS sends again because nobody answers: the reply, and one push for all of it.
    fn held(&self, nas: &Nas, sent: &Sent) -> Heard {
        let before = self.pushes();
        nas.send(sent);
        self.rung(before + 1);
        nas.send(sent);
        nas.send(sent);
        nas.waits_until_read();
        self.approve();
        let heard = nas.hears(sent);
        assert_eq!(self.pushes(), before + 1, "a resend is no second push");
        nas.send(sent);
        assert_eq!(nas.hears(sent).bytes, heard.bytes, "a resend that comes late gets the same answer");
        heard
    }

    /// A challenge by which Alice approves and then goes on, sent again meanwhile: the answer of somebody who types `typed` after the tap.
    fn entered(&self, nas: &Nas, sent: &Sent, typed: &str) -> Heard {
        let before = self.pushes();
        let challenge = nas.ask(sent);
        challenge.asks("Approve the request on your phone, then press Enter.");
        nas.send(sent);
        assert_eq!(nas.hears(sent).bytes, challenge.bytes, "a resend gets the same challenge");
        self.rung(before + 1);
        self.approve();
        let heard = nas.ask(&nas.answer("alice", typed, &challenge));
        assert_eq!(self.pushes(), before + 1, "one login is one push");
        heard
    }

    /// A login of somebody without a telephone: the challenge, and the reply to the code.
    fn asked_for_a_code(&self, nas: &Nas) -> (Heard, Heard) {
        let code = self.code_of_bob();
        let challenge = nas.ask(&nas.login("bob", PASSWORD));
        challenge.asks("Enter your code:");
        let heard = nas.ask(&nas.answer("bob", &code, &challenge));
        (challenge, heard)
    }
}

/// A page whose machines are those of the lab.
fn in_the_lab(page: &str, directory: SocketAddr, cloud: &Cloud, upstream: Option<SocketAddr>) -> String {
    let line = |line: &str| match line.split_once(" = ").unwrap_or((line, "")) {
        ("data_dir", _) => "data_dir = \"data\"".to_owned(),
        ("servers", there) if there.contains("ldaps://") => format!("servers = [\"ldap://{directory}\"]"),
        ("servers", _) => format!("servers = [\"{}\"]", upstream.expect("this page has an upstream")),
        ("base", _) => format!("base = \"{}\"", Lab::BASE),
        ("netbios", _) => format!("netbios = \"{}\"", Lab::NETBIOS),
        ("bind_name", _) => format!("bind_name = \"{}\"", Lab::SERVICE_NAME),
        ("host", _) => format!("host = \"{}\"\nurl = \"{}\"", cloud.host(), cloud.url()),
        ("key_id", _) => format!("key_id = \"{}\"", cloud.key_id()),
        ("address", _) => "address = \"127.0.0.1:0\"".to_owned(),
        ("networks", _) => "networks = [\"127.0.0.1\"]".to_owned(),
        ("reply", _) => line.replace("OU=Groups,DC=corp,DC=example", &format!("CN=Users,{}", Lab::BASE)),
        _ => line.to_owned(),
    };
    let lines: Vec<String> = page.lines().map(line).collect();
    format!("{}\n[admin]\nsocket = \"admin.sock\"\n", lines.join("\n"))
}

/// The page of a NAS whose own timers nobody has raised: without the lines that say so.
fn as_the_nas_is_shipped(page: &str) -> String {
    let left: Vec<&str> = page.lines().filter(|line| !line.starts_with("approval = ") && !line.starts_with("patience = ")).collect();
    assert!(left.len() + 2 == page.lines().count(), "the page has both lines");
    left.join("\n")
}

/// Nobody adds a kind of NAS without showing a login of it.
#[test]
fn every_page_of_a_nas_is_shown_here() {
    let shown = [include_str!("profiles/asking.rs"), include_str!("profiles/mute.rs"), include_str!("profiles/relayed.rs")].concat();
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples")).unwrap().map(|entry| entry.unwrap().path());
    let of_a_nas = pages.filter(|path| fs::read_to_string(path).unwrap().contains("\nprofile = "));
    let names: Vec<String> = of_a_nas.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), 14, "{names:?}");
    for name in names {
        assert!(shown.contains(&format!("World::of({name:?})")) || shown.contains(&format!("World::with({name:?}, Some(")), "{name}");
    }
}
