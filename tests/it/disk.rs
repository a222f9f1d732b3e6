//! A disk that is full under the real server: who needs a write is not let in, everybody else is, and it is over as soon as there is space.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use vestibule::wire::radius::Code;

use super::lab::House;
use super::lab::Mounted;
use super::lab::ask;
use super::lab::furnish;
use super::lab::heard;
use super::lab::people;
use super::lab::request;
use super::serve::code_of;

const PATIENCE: Duration = Duration::from_secs(4);
const OPEN: &str = r#"
[policy.open]
methods = [{ oath = "tokens" }]
unenrolled = "accept"
[[radius.client]]
name = "open"
networks = ["::1/128"]
secret = { file = "nas" }
first = { directory = "lab" }
code = { challenge = "Code:" }
policy = "open"
"#;

/// Somebody who needs no second factor there.
fn bob(server: SocketAddr, identifier: u8) -> Option<Code> {
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    socket.connect(server).unwrap();
    let sent = request(identifier, "bob", "Builder-Can-2", &[]);
    socket.send(&sent).unwrap();
    heard(&socket, &sent, PATIENCE).map(|heard| heard.code)
}

fn metric(house: &House, line: &str) -> bool {
    let output = house.say(&["support"]);
    let vitals: Value = serde_json::from_slice(&output.stdout).unwrap();
    vitals["server"]["metrics"].as_str().unwrap().lines().any(|found| found == line)
}

#[test]
fn o_23_on_a_full_disk_only_those_are_let_in_who_need_no_write_and_it_ends_by_itself() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let folder = furnish(directory.address(), OPEN);
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let Some(mounted) = Mounted::new(&data) else {
        assert!(!nix::unistd::geteuid().is_root(), "root, and yet no small file system can be mounted: this was not tried");
        std::io::stdout().lock().write_all(b"disk: no small file system can be mounted here: the full disk was not tried with the server\n").unwrap();
        return;
    };
    let mut house = House::open(folder);
    let uri = house.enrol("alice");
    let second: SocketAddr = house.ready["radius"][1].as_str().unwrap().parse().unwrap();
    let ballast = data.join("ballast");
    fs::write(&ballast, vec![1; 28 << 20]).unwrap();

    let asked = ask(house.radius(), 1, "alice", "Wonder-Land-1", &[], PATIENCE).unwrap();
    assert_eq!(asked.code, Code::AccessChallenge, "the first factor needs no write");
    let code = code_of(&uri);
    assert!(ask(house.radius(), 2, "alice", &code, &asked.state, PATIENCE).is_none(), "a code that cannot be burnt opens nothing");
    house.until("the disk is full");
    assert!(ask(house.radius(), 3, "alice", "wrong", &[], PATIENCE).is_none_or(|heard| heard.code == Code::AccessReject));
    assert_eq!(bob(second, 4), Some(Code::AccessAccept));
    assert!(metric(&house, r#"vestibule_healthy{room="store",name="disk"} 0"#));
    assert!(metric(&house, r#"vestibule_alarms_total{alarm="store"} 1"#));
    assert_eq!(house.json(&["user", "list"]).as_array().unwrap().len(), 1, "administration looks on");
    assert!(!house.say(&["bypass", "grant", "alice"]).status.success());
    // A backup writes nothing here.
    let path = |name: &str| house.folder.path().join(name).display().to_string();
    assert!(house.say(&["backup", &path("backup"), "--key-file", &key(&house)]).status.success());

    fs::remove_file(&ballast).unwrap();
    let freed = Instant::now();
    house.until("the store can write again");
    assert!(freed.elapsed() < Duration::from_secs(5));
    assert!(metric(&house, r#"vestibule_healthy{room="store",name="disk"} 1"#));
    // The code of before was never burnt: nobody was let in on it, and now its owner is.
    let asked = ask(house.radius(), 5, "alice", "Wonder-Land-1", &[], PATIENCE).unwrap();
    assert_eq!(ask(house.radius(), 6, "alice", &code_of(&uri), &asked.state, PATIENCE).unwrap().code, Code::AccessAccept);
    house.signal(nix::sys::signal::Signal::SIGTERM);
    house.wait();
    // While the folder around it is there.
    drop(mounted);
}

/// A file system of our own that ends as real ones do: it finds an error and takes nothing more.
struct Image<'a>(&'a Path);

impl<'a> Image<'a> {
    fn new(image: &Path, at: &'a Path) -> Option<Self> {
        let line = r#"truncate -s 96M "$0" && mkfs.ext4 -q -O ^has_journal "$0" && mount -o loop,errors=remount-ro "$0" "$1" && chmod 700 "$1""#;
        let made = Command::new("sh").args(["-c", line]).args([image, at]).stderr(Stdio::null()).status();
        let made = made.is_ok_and(|status| status.success()).then_some(Self(at))?;
        made.trigger().exists().then_some(made)
    }

    fn trigger(&self) -> PathBuf {
        let output = Command::new("findmnt").args(["-no", "SOURCE"]).arg(self.0).output().unwrap();
        let device = String::from_utf8(output.stdout).unwrap();
        Path::new("/sys/fs/ext4").join(device.trim().trim_start_matches("/dev/")).join("trigger_fs_error")
    }
}

impl Drop for Image<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn o_23_on_a_file_system_that_takes_no_more_those_who_need_no_write_still_come_in() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let folder = furnish(directory.address(), OPEN);
    let (data, images) = (folder.path().join("data"), tempfile::tempdir().unwrap());
    fs::create_dir(&data).unwrap();
    let Some(image) = Image::new(&images.path().join("image"), &data) else {
        std::io::stdout().lock().write_all(b"disk: no file system that fails can be made here: the read-only store was not tried\n").unwrap();
        return;
    };
    let mut house = House::open(folder);
    let uri = house.enrol("alice");
    let second: SocketAddr = house.ready["radius"][1].as_str().unwrap().parse().unwrap();
    fs::write(image.trigger(), "tests").unwrap();

    let asked = ask(house.radius(), 1, "alice", "Wonder-Land-1", &[], PATIENCE).unwrap();
    assert_eq!(asked.code, Code::AccessChallenge, "the first factor needs no write");
    assert!(ask(house.radius(), 2, "alice", &code_of(&uri), &asked.state, PATIENCE).is_none(), "a code that cannot be burnt opens nothing");
    house.until("the file system is read-only");
    assert_eq!(bob(second, 4), Some(Code::AccessAccept));
    assert!(metric(&house, r#"vestibule_healthy{room="store",name="disk"} 0"#));
    assert!(metric(&house, r#"vestibule_alarms_total{alarm="store"} 1"#));
    assert_eq!(house.json(&["user", "list"]).as_array().unwrap().len(), 1, "administration looks on");
    // Some kernels take it back, others want it mounted anew.
    let again = Command::new("mount").args(["-o", "remount,rw"]).arg(&data).stderr(Stdio::null()).status().unwrap();
    if again.success() {
        house.until("the store can write again");
        let asked = ask(house.radius(), 5, "alice", "Wonder-Land-1", &[], PATIENCE).unwrap();
        assert_eq!(ask(house.radius(), 6, "alice", &code_of(&uri), &asked.state, PATIENCE).unwrap().code, Code::AccessAccept);
    }
    house.signal(nix::sys::signal::Signal::SIGTERM);
    house.wait();
    drop(image);
}

fn key(house: &House) -> String {
    let file = house.folder.path().join("recovery").display().to_string();
    let made = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["backup", "--new-key", "--key-file", &file]).output().unwrap();
    assert!(made.status.success());
    file
}
