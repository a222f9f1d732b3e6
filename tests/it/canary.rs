//! Canaries: logins with secrets of which each is unlike any other, at the loudest log, and then a search for every one of them in all that is left behind.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use vestibule::app::clock::WallClock;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::domain::Secret;
use vestibule::domain::otp;
use vestibule::ports::Clock;
use vestibule::wire::radius::Code;

use super::exempt;
use super::lab::House;
use super::lab::SECRET;
use super::lab::ask;
use super::lab::furnish;

const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const HEX: &[u8] = b"0123456789abcdef";
const HEX_UPPER: &[u8] = b"0123456789ABCDEF";
/// Bytes by which a needle is looked up: none is shorter.
const START: usize = 8;
const PATIENCE: Duration = Duration::from_secs(20);

/// What is looked for: each secret as it is, and as hex, base64 and base32 show it wherever it may begin in what is encoded.
#[derive(Default)]
struct Needles(HashMap<[u8; START], Vec<(Vec<u8>, String)>>);

impl Needles {
    fn add(&mut self, what: &str, secret: &[u8]) {
        self.put(what, secret.to_vec());
        for alphabet in [HEX, HEX_UPPER] {
            self.put(what, shown(secret, alphabet, 0));
        }
        for alphabet in [BASE64, BASE64_URL] {
            (0..3).for_each(|ahead| self.put(what, shown(secret, alphabet, ahead)));
        }
        (0..5).for_each(|ahead| self.put(what, shown(secret, BASE32, ahead)));
    }

    fn put(&mut self, what: &str, needle: Vec<u8>) {
        let start = *needle.first_chunk().unwrap_or_else(|| panic!("{what} is too short to look for"));
        let same = self.0.entry(start).or_default();
        if !same.iter().any(|(known, _)| *known == needle) {
            same.push((needle, what.to_owned()));
        }
    }

    /// What is found in `text`, which came from `place`.
    fn found(&self, place: &str, text: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        for (at, start) in text.windows(START).enumerate() {
            let here = self.0.get(start).into_iter().flatten().filter(|(needle, _)| text[at..].starts_with(needle));
            found.extend(here.map(|(needle, what)| format!("{what} in {place} at {at}, as {}", String::from_utf8_lossy(needle))));
        }
        found
    }
}

/// The signs of an encoding that say nothing but the secret, when so many bytes stand before it and some behind.
fn shown(secret: &[u8], alphabet: &[u8], ahead: usize) -> Vec<u8> {
    let bits = usize::try_from(alphabet.len().trailing_zeros()).unwrap();
    let bit = |at: usize| (secret[at / 8 - ahead] >> (7 - at % 8)) & 1;
    let (first, last) = ((ahead * 8).div_ceil(bits), (ahead + secret.len()) * 8 / bits);
    (first..last).map(|sign| alphabet[usize::from((sign * bits..(sign + 1) * bits).fold(0, |value, at| (value << 1) | bit(at)))]).collect()
}

/// One person, with nothing that anybody else has.
struct Canary {
    name: String,
    password: String,
    wrong: String,
    seed: [u8; 20],
}

impl Canary {
    fn new(number: usize) -> Self {
        let chance = || {
            let mut bytes = [0; 20];
            getrandom::fill(&mut bytes).unwrap();
            bytes
        };
        let word = |start: &str| format!("{start}-{}", String::from_utf8(shown(&chance()[..10], BASE32, 0)).unwrap());
        Self { name: format!("canary{number:04}"), password: word("Right1"), wrong: word("Wrong1"), seed: chance() }
    }

    fn base32(&self) -> String {
        String::from_utf8(shown(&self.seed, BASE32, 0)).unwrap()
    }

    fn code(&self, steps_off: u64) -> String {
        otp::code(otp::Algorithm::Sha1, &Secret::new(self.seed.to_vec()), otp::step_at(WallClock.now(), 30) + steps_off, 8)
    }

    /// A wrong password, then the right one with a wrong code, then all of it right; the codes that were typed.
    fn log_in(&self, number: usize, radius: SocketAddr, ldap: SocketAddr) -> [String; 2] {
        // Far from now, and so no code of now.
        let (bad, good) = (self.code(9_999), self.code(0));
        if number.is_multiple_of(2) {
            assert_eq!(ask(radius, 1, &self.name, &self.wrong, &[], PATIENCE).unwrap().code, Code::AccessReject);
            let asked = ask(radius, 2, &self.name, &self.password, &[], PATIENCE).unwrap();
            assert_eq!(ask(radius, 3, &self.name, &bad, &asked.state, PATIENCE).unwrap().code, Code::AccessReject, "{}", self.name);
            let asked = ask(radius, 4, &self.name, &self.password, &[], PATIENCE).unwrap();
            assert_eq!(ask(radius, 5, &self.name, &good, &asked.state, PATIENCE).unwrap().code, Code::AccessAccept, "{}", self.name);
        } else {
            let login = format!(r"{}\{}", Lab::NETBIOS, self.name);
            assert_eq!(exempt::bind(ldap, &login, &format!("{},{bad}", self.wrong)), 49);
            assert_eq!(exempt::bind(ldap, &login, &format!("{},{bad}", self.password)), 49);
            assert_eq!(exempt::bind(ldap, &login, &format!("{},{good}", self.password)), 0, "{}", self.name);
        }
        [bad, good]
    }
}

#[test]
fn every_encoding_is_found_wherever_it_begins() {
    let mut needles = Needles::default();
    needles.add("it", b"Right1-SECRET");
    for ahead in 0..5 {
        let hidden = [&b"xyzab"[..ahead], b"Right1-SECRET", b"behind"].concat();
        for alphabet in [HEX, HEX_UPPER, BASE64, BASE64_URL, BASE32] {
            let text = shown(&hidden, alphabet, 0);
            assert!(!needles.found("", &text).is_empty(), "{}", String::from_utf8_lossy(&text));
        }
        assert!(!needles.found("", &hidden).is_empty());
    }
    use base64::Engine;
    assert_eq!(shown(b"any carnal pleas", BASE64, 0), base64::engine::general_purpose::STANDARD_NO_PAD.encode("any carnal pleas").as_bytes()[..21]);
    assert!(needles.found("", b"Right1-secret").is_empty());
}

#[test]
fn o_06_o_08_no_secret_is_left_behind_anywhere() {
    let count = std::env::var("CANARY_LOGINS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let canaries: Vec<Canary> = (0..count).map(Canary::new).collect();
    let people = canaries.iter().map(|canary| Person::new(&canary.name, "Canary", &canary.name, &canary.password)).collect();
    let directory = Lab::open("127.0.0.1:0".parse().unwrap(), people).unwrap();
    let listen = "[[ldap.listen]]\nname = \"wiki\"\naddress = \"127.0.0.1:0\"\ntransport = \"plain\"\ndirectory = \"lab\"\ncode = { append = \",\" }\npolicy = \"codes\"\n";
    let folder = furnish(directory.address(), listen);
    let config = folder.path().join("vestibule.toml");
    // Many at once, and perhaps on a busy machine.
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("timeout = \"1s\"", "timeout = \"20s\"")).unwrap();
    let log = folder.path().join("log");
    let mut loud = Command::new("sh");
    let line = format!("exec {} serve --config {} 2>{}", env!("CARGO_BIN_EXE_vestibule"), config.display(), log.display());
    loud.args(["-c", &line]).env("VESTIBULE_LOG", "trace").stdin(Stdio::null());
    let house = House::of(loud, folder);
    let at = |name: &str| house.folder.path().join(name);

    let mut needles = Needles::default();
    enrol(&house, &canaries, &mut needles);
    log_in(&house, &canaries, &mut needles);

    let process = PathBuf::from(format!("/proc/{}", house.pid()));
    // Who is not root cannot even look: all the better.
    let mut places: Vec<(String, Vec<u8>)> = ["cmdline", "environ"].map(|name| (name.to_owned(), fs::read(process.join(name)).unwrap_or_default())).into();
    let recovery = at("recovery");
    done(&house, &["backup", "--new-key", "--key-file", recovery.to_str().unwrap()]);
    done(&house, &["backup", at("backup").to_str().unwrap(), "--key-file", recovery.to_str().unwrap()]);
    done(&house, &["rekey"]);
    done(&house, &["support", at("support.json").to_str().unwrap(), "--names"]);
    let keys = [("the master key", "master"), ("the recovery key", "recovery"), ("the RADIUS secret", "nas"), ("the bind password", "bind")];
    for (what, file) in keys {
        let text = fs::read_to_string(at(file)).unwrap();
        needles.add(what, text.trim().as_bytes());
        if let Some(bytes) = Secret::from_hex(text.trim()).filter(|bytes| bytes.len() == 32) {
            needles.add(what, bytes.expose());
        }
        fs::remove_file(at(file)).unwrap();
    }
    assert!(SECRET.len() > START);
    read_all(house.folder.path(), &mut places);
    let bytes: usize = places.iter().map(|(_, text)| text.len()).sum();
    let everything = |what: &[u8]| places.iter().filter(|(_, text)| text.windows(what.len()).any(|window| window == what)).count();
    // The search finds what is there: names, which are no secret, in log, store and audit.
    assert!(everything(b"canary0001") >= 3, "the places that were searched are not those in which logins leave something");
    let found: Vec<String> = places.iter().flat_map(|(place, text)| needles.found(place, text)).collect();
    assert_eq!(found, Vec::<String>::new());
    let forms: usize = needles.0.values().map(Vec::len).sum();
    let told = format!("canaries: {} logins, {forms} forms looked for in {} files of {bytes} bytes, 0 found\n", canaries.len(), places.len());
    std::io::stdout().lock().write_all(told.as_bytes()).unwrap();
}

/// Accounts and tokens for all, by the file, and backup codes for the first.
fn enrol(house: &House, canaries: &[Canary], needles: &mut Needles) {
    let mut sheet = "name\n".to_owned();
    let mut tokens = "serial,secret,digits,owner\n".to_owned();
    for canary in canaries {
        sheet += &format!("{}\n", canary.name);
        tokens += &format!("serial-{},{},8,{}\n", canary.name, canary.base32(), canary.name);
        needles.add("a password", canary.password.as_bytes());
        needles.add("a wrong password", canary.wrong.as_bytes());
        needles.add("a seed", &canary.seed);
        needles.add("a seed in base32", canary.base32().as_bytes());
    }
    for (name, text, words) in [("people.csv", &sheet, &["user", "add", "--csv"][..]), ("tokens.csv", &tokens, &["token", "import"])] {
        let file = house.folder.path().join(name);
        fs::write(&file, text).unwrap();
        done(house, &[words, &[file.to_str().unwrap()]].concat());
        fs::remove_file(file).unwrap();
    }
    for code in house.json(&["token", "backup", "canary0000"])["codes"].as_array().unwrap() {
        needles.add("a backup code", code.as_str().unwrap().as_bytes());
    }
}

/// Sixteen at a time.
fn log_in(house: &House, canaries: &[Canary], needles: &mut Needles) {
    let (radius, ldap) = (house.radius(), house.ready["ldap"][0].as_str().unwrap().parse().unwrap());
    let share = canaries.len().div_ceil(16).max(1);
    let typed: Vec<[String; 2]> = std::thread::scope(|scope| {
        let all =
            |at: usize, part: &[Canary]| part.iter().enumerate().map(|(number, canary)| canary.log_in(at * share + number, radius, ldap)).collect::<Vec<_>>();
        let running: Vec<_> = canaries.chunks(share).enumerate().map(|(at, part)| scope.spawn(move || all(at, part))).collect();
        running.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    for code in typed.iter().flatten() {
        needles.add("a code", code.as_bytes());
    }
}

fn done(house: &House, words: &[&str]) {
    let output = house.say(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn read_all(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            read_all(&entry.path(), places);
        } else if kind.is_file() {
            places.push((entry.path().display().to_string(), fs::read(entry.path()).unwrap()));
        }
    }
}
