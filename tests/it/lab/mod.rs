//! The real binary on free ports before a lab directory and a lab cloud; it ends when dropped.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use vestibule::demo::directory::Lab;
use vestibule::demo::directory::Person;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::Integrity;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::upstream::AccessRequest;
use vestibule::wire::radius::upstream::verify_reply;

pub(crate) const SECRET: &str = "a secret of more than twelve octets";
const LONG: Duration = Duration::from_secs(20);

/// `vestibule serve`, and what it prints.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) ready: Value,
    child: Child,
    log: mpsc::Receiver<String>,
}

/// What a NAS heard.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) code: Code,
    pub(crate) state: Vec<u8>,
}

/// Alice with a password, in a directory at `address` (port 0: any).
pub(crate) fn people(address: SocketAddr) -> Lab {
    Lab::open(address, vec![Person::new("alice", "Alice", "Archer", "Wonder-Land-1"), Person::new("bob", "Bob", "Baker", "Builder-Can-2")]).unwrap()
}

/// A folder with secrets and a configuration before `directory`; `more` is appended.
pub(crate) fn furnish(directory: SocketAddr, more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("master", "5a".repeat(32).as_str()), ("nas", SECRET), ("bind", Lab::SERVICE_PASSWORD), ("duo", "deadbeef")] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!(
        r#"[node]
name = "lab"
data_dir = "data"
master_key = {{ file = "master" }}
[admin]
socket = "admin.sock"
[directory.lab]
kind = "ad"
servers = ["ldap://{directory}"]
base = "{}"
netbios = "{}"
bind_name = "{}"
bind_password = {{ file = "bind" }}
timeout = "1s"
[provider.tokens]
kind = "oath"
[policy.codes]
methods = [{{ oath = "tokens" }}]
[[radius.listen]]
address = "127.0.0.1:0"
[[radius.listen]]
address = "[::1]:0"
[[radius.client]]
name = "nas"
networks = ["127.0.0.1/32"]
secret = {{ file = "nas" }}
first = {{ directory = "lab" }}
code = {{ challenge = "Code:" }}
policy = "codes"
{more}"#,
        Lab::BASE,
        Lab::NETBIOS,
        Lab::SERVICE_NAME,
    );
    fs::write(folder.path().join("vestibule.toml"), text).unwrap();
    folder
}

impl House {
    pub(crate) fn open(folder: TempDir) -> Self {
        Self::of(vestibule(&["serve", "--config"], &folder.path().join("vestibule.toml")), folder)
    }

    /// What `command` serves from `folder`.
    pub(crate) fn of(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let ready = lines(child.stdout.take().unwrap()).recv_timeout(LONG).expect("a ready line");
        let log = lines(child.stderr.take().unwrap());
        Self { ready: serde_json::from_str(&ready).unwrap(), folder, child, log }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("vestibule.toml")
    }

    pub(crate) fn radius(&self) -> SocketAddr {
        self.ready["radius"][0].as_str().unwrap().parse().unwrap()
    }

    /// A command of the command line against this server.
    pub(crate) fn say(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_vestibule")).args(words).arg("--config").arg(self.config()).output().unwrap()
    }

    /// A command that must go well, and its JSON.
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.say(&[words, &["--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Adds somebody with a token; the `otpauth://` line.
    pub(crate) fn enrol(&self, name: &str) -> String {
        assert!(self.say(&["user", "add", name]).status.success());
        let output = self.say(&["token", "enrol", name]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("otpauth://")).unwrap().to_owned()
    }

    /// Waits for a line of the log that holds `what`, and gives all lines up to it.
    pub(crate) fn until(&self, what: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let line = self.log.recv_timeout(LONG).unwrap_or_else(|_| panic!("no {what:?} in {seen:#?}"));
            let found = line.contains(what);
            seen.push(line);
            if found {
                return seen;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Waits for its end, and leaves its folder.
    pub(crate) fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn vestibule(words: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(words).arg(config).env_remove("VESTIBULE_LOG").stdin(Stdio::null());
    command
}

/// Sends one signed Access-Request; `None` when nothing authentic comes within `patience`.
pub(crate) fn ask(server: SocketAddr, identifier: u8, name: &str, password: &str, state: &[u8], patience: Duration) -> Option<Heard> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    let sent = request(identifier, name, password, state);
    socket.send(&sent).unwrap();
    heard(&socket, &sent, patience)
}

pub(crate) fn request(identifier: u8, name: &str, password: &str, state: &[u8]) -> Vec<u8> {
    request_with(SECRET.as_bytes(), identifier, name, password, state)
}

/// Of a client with another secret.
pub(crate) fn request_with(secret: &[u8], identifier: u8, name: &str, password: &str, state: &[u8]) -> Vec<u8> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    let named = AccessRequest::new(identifier, random).with(attr::USER_NAME, name.as_bytes()).with(attr::CALLING_STATION_ID, b"198.51.100.7");
    let request = named.with(attr::STATE, state).password(password.as_bytes());
    request.signed(secret).unwrap()
}

pub(crate) fn heard(socket: &UdpSocket, sent: &[u8], patience: Duration) -> Option<Heard> {
    heard_with(SECRET.as_bytes(), socket, sent, patience)
}

/// As a client with another secret hears it.
pub(crate) fn heard_with(secret: &[u8], socket: &UdpSocket, sent: &[u8], patience: Duration) -> Option<Heard> {
    socket.set_read_timeout(Some(patience)).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    let reply = verify_reply(&buffer[..length], sent, secret, Integrity::Require).unwrap();
    Some(Heard { code: reply.code(), state: reply.state().unwrap_or_default().to_vec() })
}

fn lines(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

/// A file system of 40 MiB, while it lives.
pub(crate) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(crate) fn new(at: &'a Path) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=40m,mode=700", "vestibule-test"]).arg(at).stderr(Stdio::null()).status();
        mount.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
