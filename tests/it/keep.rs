//! The store kept by the real binary: taken along, brought back, sealed anew, killed on the way; secrets stored, support bundles made.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use vestibule::wire::radius::Code;

use super::lab::House;
use super::lab::ask;
use super::lab::furnish;
use super::lab::people;
use super::serve::code_of;

const PATIENCE: Duration = Duration::from_secs(10);
/// A user who has nothing.
const NOBODY: u32 = 65_534;
const PASSWORD: &str = "Wonder-Land-1";

fn well(output: &Output) -> String {
    assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn alone(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(words).env_remove("VESTIBULE_CONFIG").stdin(Stdio::null());
    command
}

/// The folder of a house that has ended, in a place of its own.
fn moved(house: House) -> tempfile::TempDir {
    house.signal(Signal::SIGTERM);
    let folder = tempfile::tempdir().unwrap();
    for name in ["master", "nas", "bind", "duo", "vestibule.toml", "backup", "recovery"] {
        let from = house.folder.path().join(name);
        if from.exists() {
            fs::copy(&from, folder.path().join(name)).unwrap();
        }
    }
    assert!(house.ended().success());
    folder
}

fn log_in(house: &House, identifier: u8, code: &str) -> Code {
    let asked = ask(house.radius(), identifier, "alice", PASSWORD, &[], PATIENCE).unwrap();
    ask(house.radius(), identifier + 1, "alice", code, &asked.state, PATIENCE).unwrap().code
}

#[test]
fn o_25_what_was_used_before_a_restore_is_used_after_it() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    let uri = house.enrol("alice");
    let folder = house.folder.path().to_owned();
    let path = |name: &str| folder.join(name).display().to_string();
    let key = well(&alone(&["backup", "--new-key"]).output().unwrap());
    assert_eq!((key.trim().len(), key.lines().count()), (64, 1));
    well(&alone(&["backup", "--new-key", "--key-file", &path("recovery")]).output().unwrap());
    assert!(complaint(&alone(&["backup", "--new-key", "--key-file", &path("recovery")]).output().unwrap()).contains("already"), "a key is never written over");
    well(&house.say(&["backup", &path("backup"), "--key-file", &path("recovery")]));
    assert_eq!(fs::metadata(path("backup")).unwrap().mode() & 0o777, 0o600);
    // Used after the backup: the backup does not know it.
    let code = code_of(&uri);
    assert_eq!(log_in(&house, 1, &code), Code::AccessAccept);
    let refused = complaint(&house.say(&["restore", &path("backup"), "--key-file", &path("recovery")]));
    assert!(refused.contains("would go on with the store that it has"), "{refused}");

    let folder = moved(house);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let restore = || alone(&["restore", &path("backup"), "--key-file", &path("recovery"), "--config", &path("vestibule.toml")]).output().unwrap();
    fs::set_permissions(path("recovery"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(complaint(&restore()).contains("others than its owner"), "o_03 holds for this file too");
    fs::set_permissions(path("recovery"), fs::Permissions::from_mode(0o400)).unwrap();
    let told = well(&restore());
    assert!(told.contains("1 accounts and 1 tokens"), "{told}");
    assert!(complaint(&restore()).contains("already"));
    let house = House::open(folder);
    assert_eq!(house.json(&["user", "list"])[0]["name"], "alice");
    assert_eq!(log_in(&house, 3, &code), Code::AccessReject, "a code that was used before the restore is good again");
}

#[test]
fn o_04_what_root_restores_is_the_servers_and_made_as_the_server() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    house.enrol("alice");
    let path = |name: &str| house.folder.path().join(name).display().to_string();
    well(&alone(&["backup", "--new-key", "--key-file", &path("recovery")]).output().unwrap());
    well(&house.say(&["backup", &path("backup"), "--key-file", &path("recovery")]));
    let folder = moved(house);
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    well(&alone(&["restore", &path("backup"), "--key-file", &path("recovery"), "--config", &path("vestibule.toml")]).output().unwrap());
    for made in ["restored.json", "store", "store/db"] {
        assert_eq!(fs::metadata(data.join(made)).unwrap().uid(), NOBODY, "{made}");
    }
}

#[test]
fn a_rekey_that_is_killed_leaves_a_store_that_opens_and_goes_on() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let mut house = House::open(furnish(directory.address(), ""));
    let uri = house.enrol("alice");
    for _ in 0..9 {
        well(&house.say(&["token", "enrol", "alice"]));
    }
    for round in 0..3 {
        // Begun by hand, and the server killed before, in or after the first step.
        let client = reqwest::Client::builder().unix_socket(house.folder.path().join("admin.sock")).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let post = |path: &str| runtime.block_on(client.post(format!("http://vestibule/v1/{path}")).send());
        assert!(post("rekey").unwrap().status().is_success());
        for _ in 0..round {
            assert!(post("rekey/step").unwrap().status().is_success());
        }
        house.signal(Signal::SIGKILL);
        house = again(house);
    }
    let done = house.json(&["rekey"]);
    assert_eq!((&done["epoch"], &done["finished"]), (&Value::from(2), &Value::from(true)));
    assert_eq!(house.json(&["rekey"])["epoch"], 3);
    assert_eq!(log_in(&house, 1, &code_of(&uri)), Code::AccessAccept);
}

/// The same house, opened again after its end.
fn again(mut house: House) -> House {
    let folder = tempfile::tempdir().unwrap();
    let old = house.folder.path().to_owned();
    house.wait();
    copy(&old, folder.path());
    House::open(folder)
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn o_08_a_secret_is_stored_from_standard_input_and_what_names_it_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let config = folder.path().join("f.toml");
    fs::write(&config, "[a]\nkey = { credential = \"duo-key\" }\n").unwrap();
    let with_input = |words: &[&str], input: &str| {
        let file = folder.path().join("input");
        fs::write(&file, input).unwrap();
        // Where there is no systemd it is a file; so it is here, whatever this machine has.
        alone(words).env("PATH", "").stdin(fs::File::open(&file).unwrap()).output().unwrap()
    };
    let config = config.display().to_string();
    let told = well(&with_input(&["secret", "set", "duo-key", "--root", &root, "--config", &config], "hunter2\n"));
    assert!(!told.contains("hunter2"));
    let stored = folder.path().join("etc/credstore/vestibule.duo-key");
    assert_eq!((fs::read_to_string(&stored).unwrap(), fs::metadata(&stored).unwrap().mode() & 0o777), ("hunter2".to_owned(), 0o400));
    let drop_in = fs::read_to_string(folder.path().join("etc/systemd/system/vestibule.service.d/credential-duo-key.conf")).unwrap();
    assert_eq!(drop_in, "[Service]\nLoadCredential=duo-key:/etc/credstore/vestibule.duo-key\n");
    // A private key has many lines, and all of them are the secret.
    let pem = "-----BEGIN PRIVATE KEY-----\nMIIB\nAgEA\n-----END PRIVATE KEY-----\n";
    well(&with_input(&["secret", "set", "tls-key", "--root", &root], pem));
    assert_eq!(fs::read_to_string(folder.path().join("etc/credstore/vestibule.tls-key")).unwrap(), pem.trim_end());
    let slip = complaint(&with_input(&["secret", "set", "doe-key", "--root", &root, "--config", &config], "hunter2\n"));
    assert!(slip.contains("duo-key"), "{slip}");
    assert_eq!(with_input(&["secret", "set", "duo-key", "--root", &root], "").status.code(), Some(2));
    // A master key is made once.
    let make = ["secret", "make", "master-key", "--root", &root];
    well(&with_input(&make, ""));
    assert!(complaint(&with_input(&make, "")).contains("already"));
    assert_eq!(fs::read(folder.path().join("etc/credstore/vestibule.master-key")).unwrap().len(), 64);
}

#[test]
fn a_support_bundle_tells_of_the_server_and_of_nobody() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    house.enrol("alice");
    let bundle: Value = serde_json::from_str(&well(&house.say(&["support"]))).unwrap();
    assert_eq!((&bundle["server"]["records"]["accounts"], &bundle["server"]["records"]["tokens"]), (&Value::from(1), &Value::from(1)));
    assert!(bundle["server"]["metrics"].as_str().unwrap().contains("vestibule_"));
    assert_eq!(bundle["report"]["configuration"]["node"]["master_key"]["file"], "master");
    assert!(bundle["report"]["findings"].as_array().is_some_and(|findings| !findings.is_empty()));
    assert!(!bundle.to_string().contains("alice"), "{bundle}");
    let file = house.folder.path().join("support.json");
    well(&house.say(&["support", file.to_str().unwrap(), "--names"]));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let away = house.folder.path().join("away.sock").display().to_string();
    let bundle: Value = serde_json::from_str(&well(&house.say(&["support", "--socket", &away]))).unwrap();
    assert!(bundle["server"]["away"].as_str().unwrap().contains("is it running"), "{bundle}");
}
