//! `vestibule init --answers`: the real binary before the lab directory, twice, and with answers that are wrong.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use vestibule::demo::directory::Lab;

use crate::lab::people;

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A folder with answers about `directory`; `more` is appended.
fn answers(directory: SocketAddr, more: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    private(&folder.path().join("bind-password"), &format!("{}\n", Lab::SERVICE_PASSWORD));
    private(&folder.path().join("alice-password"), "Wonder-Land-1\n");
    let text = format!(
        r#"[directory.corp]
kind = "ad"
servers = ["ldap://{directory}"]
base = "{}"
netbios = "{}"
bind_name = "{}"
bind_password = {{ file = "bind-password" }}
[client]
name = "fw1"
networks = ["127.0.0.0/8"]
profile = "fortigate"
[radius]
address = "127.0.0.1:0"
{more}"#,
        Lab::BASE,
        Lab::NETBIOS,
        Lab::SERVICE_NAME,
    );
    fs::write(folder.path().join("answers.toml"), text).unwrap();
    folder
}

fn vestibule(words: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(words).arg("--config").arg(folder.join("etc/vestibule.toml")).env_remove("VESTIBULE_CONFIG").stdin(Stdio::null());
    command.output().unwrap()
}

fn init(folder: &Path, words: &[&str]) -> (i32, String, String) {
    let answers = folder.join("answers.toml");
    let output = vestibule(&[&["init", "--answers", answers.to_str().unwrap()], words].concat(), folder);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Every file below a folder with its bytes and mode, but the store's, which a server rewrites.
fn everything(folder: &Path) -> Vec<(String, u32, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let mode = entry.metadata().unwrap().mode() & 0o7777;
        match entry.file_type().unwrap() {
            kind if kind.is_dir() && entry.file_name() != "data" => found.extend(everything(&path)),
            kind if kind.is_file() => found.push((path.display().to_string(), mode, fs::read(&path).unwrap())),
            _ => {}
        }
    }
    found.sort();
    found
}

#[test]
fn answers_become_a_configuration_a_person_and_a_login_and_twice_is_once() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "[user]\nname = \"alice\"\npassword = { file = \"alice-password\" }\n");
    let (code, out, err) = init(folder.path(), &["--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&report["changed"], &report["user"], &report["client"]), (&true.into(), &"alice".into(), &"fw1".into()), "{report:#}");
    assert!(report["otpauth"].as_str().unwrap().starts_with("otpauth://totp/"), "{report:#}");
    assert_eq!(report["verdict"], "accept (factor)", "{report:#}");

    let etc = folder.path().join("etc");
    let secrets = ["master-key", "corp-bind", "fw1.radius"].map(|name| etc.join("secrets").join(name));
    for secret in &secrets {
        assert_eq!(fs::metadata(secret).unwrap().mode() & 0o7777, 0o400, "O-03: {}", secret.display());
        let text = fs::read_to_string(secret).unwrap();
        assert!(!out.contains(text.trim()) && !err.contains(text.trim()), "O-06: {}", secret.display());
    }
    let config = fs::read_to_string(etc.join("vestibule.toml")).unwrap();
    assert!(!config.contains(Lab::SERVICE_PASSWORD) && config.contains("# "), "{config}");
    let checked = vestibule(&["check", "--offline", "--json"], folder.path());
    assert!(checked.status.success(), "{checked:?}");
    let checked: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(checked["warnings"], serde_json::json!([]), "{config}");

    let before = everything(folder.path());
    let (code, out, err) = init(folder.path(), &["--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let again: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&again["changed"], &again["files"], &again["user"], again.get("otpauth")), (&false.into(), &Value::Array(Vec::new()), &"alice".into(), None));
    assert_eq!(everything(folder.path()), before);
}

#[test]
fn o_01_a_master_key_that_is_gone_is_not_made_anew_over_what_it_sealed() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "[node]\ndata_dir = \"data\"\n");
    let (code, _, err) = init(folder.path(), &[]);
    assert_eq!(code, 0, "{err}");
    let etc = folder.path().join("etc");
    fs::create_dir_all(etc.join("data/store")).unwrap();
    fs::remove_file(etc.join("secrets/master-key")).unwrap();
    let before = everything(folder.path());
    let (code, _, err) = init(folder.path(), &[]);
    assert!(code == 1 && err.contains("the master key that it was sealed with is not there"), "{err}");
    assert_eq!(everything(folder.path()), before);
}

#[test]
fn a_strict_umask_keeps_nothing_from_who_is_to_read_it() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "");
    let line = format!("umask 077; exec {} init --answers answers.toml --config etc/vestibule.toml", env!("CARGO_BIN_EXE_vestibule"));
    let done = Command::new("sh").args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("etc"), mode("etc/vestibule.toml"), mode("etc/secrets"), mode("etc/secrets/master-key")), (0o750, 0o640, 0o750, 0o400));
}

#[test]
fn a_wrong_bind_password_is_told_in_words_and_nothing_is_written() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "");
    private(&folder.path().join("bind-password"), "not-the-password");
    let (code, out, err) = init(folder.path(), &[]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("bind_name or bind_password is refused") && err.contains("the name or the password is wrong"), "{err}");
    assert!(!err.contains("not-the-password") && !folder.path().join("etc").exists());
}

#[test]
fn everything_wrong_with_the_answers_is_told_at_once_with_line_and_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[directory.corp]\nkind = \"ad\"\nsevers = []\nbind_password = \"plain\"\n[client]\nprofile = \"fortgate\"\n[usr]\n";
    fs::write(folder.path().join("answers.toml"), text).unwrap();
    let (code, _, err) = init(folder.path(), &[]);
    assert_eq!(code, 3);
    for told in [
        "answers.toml:3: directory.corp.severs: is an unknown key (did you mean `servers`?)",
        "directory.corp.servers: is missing",
        "directory.corp.base: is missing",
        "answers.toml:4: directory.corp.bind_password: a secret is never written here",
        "client.name: is missing",
        "client.networks: is missing",
        "did you mean `fortigate`?",
        "answers.toml:7: usr: is an unknown key (did you mean `user`?)",
    ] {
        assert!(err.contains(told), "{told:?} in {err}");
    }
    assert!(!err.contains("plain\""), "{err}");
}

#[test]
fn what_init_did_not_write_it_leaves_alone_unless_it_is_told_to() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "");
    let etc = folder.path().join("etc");
    fs::create_dir(&etc).unwrap();
    let file = etc.join("vestibule.toml");
    let by_hand = "# by hand\n[node]\nname = \"mine\"\n";
    fs::write(&file, by_hand).unwrap();
    let (code, _, err) = init(folder.path(), &[]);
    assert!(code == 1 && err.contains("was not written by init") && err.contains("--force"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), by_hand);
    let (code, out, err) = init(folder.path(), &["--force"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("vestibule.toml.before-init") && out.contains("config user radius"), "{out}{err}");
    assert_eq!(fs::read_to_string(etc.join("vestibule.toml.before-init")).unwrap(), by_hand);
    // The package's own file, which nobody has touched, is in nobody's way.
    fs::write(&file, include_str!("../../packaging/vestibule.toml")).unwrap();
    assert_eq!(init(folder.path(), &[]).0, 0);
    let changed = fs::read_to_string(&file).unwrap() + "[metrics]\naddress = \"127.0.0.1:0\"\n";
    fs::write(&file, &changed).unwrap();
    let (code, _, err) = init(folder.path(), &[]);
    assert!(code == 1 && err.contains("was changed by hand"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), changed);
}

#[test]
fn the_svg_is_for_its_owner_and_the_line_goes_nowhere_else() {
    let lab = people(anywhere());
    let folder = answers(lab.address(), "[user]\nname = \"alice\"\nsvg = \"alice.svg\"\n");
    let (code, out, err) = init(folder.path(), &[]);
    assert_eq!(code, 0, "{err}");
    let svg = folder.path().join("alice.svg");
    assert_eq!(fs::metadata(&svg).unwrap().mode() & 0o7777, 0o600);
    assert!(fs::read_to_string(&svg).unwrap().contains("<svg") && !out.contains("otpauth") && !err.contains("otpauth"), "{out}{err}");
}

#[test]
fn the_example_of_answers_is_right_but_for_the_secrets_that_nobody_has() {
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../../config/answers.toml");
    fs::write(folder.path().join("answers.toml"), example).unwrap();
    private(&folder.path().join("bind-password"), "x");
    private(&folder.path().join("duo-key"), "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
    assert!(vestibule::app::config::answers(&folder.path().join("answers.toml")).is_ok());
    // Every line that is commented out is right, too.
    for name in ["fortigate-secret", "alice-password"] {
        private(&folder.path().join(name), "a-secret-with-some-length-4711");
    }
    let is_setting =
        |rest: &str| rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    let all: Vec<&str> = example.lines().map(|line| line.strip_prefix("# ").filter(|rest| is_setting(rest)).unwrap_or(line)).collect();
    fs::write(folder.path().join("answers.toml"), all.join("\n").replace("ca_file", "# ca_file")).unwrap();
    let read = vestibule::app::config::answers(&folder.path().join("answers.toml")).unwrap();
    assert!(read.client.secret.is_some() && !read.start && read.user.unwrap().password.is_some());
}

#[test]
fn without_a_terminal_and_without_answers_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let output = vestibule(&["init"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--answers FILE"));
}
