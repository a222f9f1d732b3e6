//! Secrets and backups put in their place by the real binary: whole, for whom they are, and nowhere else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use super::lab::House;
use super::lab::furnish;
use super::lab::people;

/// `vestibule secret ..` with this on standard input, and programs looked for in `path` alone.
fn secret(words: &[&str], input: &str, path: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.arg("secret").args(words).env_remove("VESTIBULE_CONFIG").env("PATH", path).stdin(fs::File::open(file.path()).unwrap());
    command.output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with a `systemd-creds` of these lines, as what PATH is.
fn tool(lines: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("systemd-creds");
    fs::write(&file, format!("#!/bin/sh\n{lines}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    (folder, path)
}

fn drop_in(root: &Path) -> String {
    fs::read_to_string(root.join("etc/systemd/system/vestibule.service.d/credential-tls-key.conf")).unwrap()
}

#[test]
fn o_08_a_key_of_many_lines_is_stored_whole_and_sealed_where_systemd_can() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let pem =
        format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(100));
    let [plain, sealed] = ["etc/credstore", "etc/credstore.encrypted"].map(|store| folder.path().join(store).join("vestibule.tls-key"));
    let set = ["set", "tls-key", "--root", &root];
    let first = secret(&set, &pem, "");
    assert!(first.status.success() && errors(&first).is_empty(), "{}", errors(&first));
    assert_eq!(fs::read_to_string(&plain).unwrap(), pem.trim_end());
    let (_tool, path) = tool("[ \"$*\" = 'encrypt --name=tls-key - -' ] || exit 2\nprintf 'sealed '; tr A-Z a-z");
    let second = secret(&set, &pem, &path);
    assert!(second.status.success() && String::from_utf8_lossy(&second.stdout).contains("sealed for this machine"), "{second:?}");
    assert_eq!(fs::read_to_string(&sealed).unwrap(), format!("sealed {}", pem.trim_end().to_lowercase()));
    assert_eq!((plain.exists(), fs::metadata(&sealed).unwrap().mode() & 0o777), (false, 0o400), "two of one name, and nobody knows which is handed over");
    assert_eq!(drop_in(folder.path()), "[Service]\nLoadCredentialEncrypted=tls-key:/etc/credstore.encrypted/vestibule.tls-key\n");
    // In a container the tool is there and does not work.
    let (_tool, path) = tool("cat > /dev/null; echo 'no TPM and no host key' >&2; exit 1");
    let third = secret(&set, &pem, &path);
    assert!(third.status.success() && errors(&third).contains("warning") && errors(&third).contains("no TPM and no host key"), "{third:?}");
    assert_eq!((fs::read_to_string(&plain).unwrap().as_str(), sealed.exists(), fs::metadata(&plain).unwrap().mode() & 0o777), (pem.trim_end(), false, 0o400));
    assert_eq!(drop_in(folder.path()), "[Service]\nLoadCredential=tls-key:/etc/credstore/vestibule.tls-key\n");
    let long = secret(&set, &"x".repeat((1 << 20) + 1), "");
    assert!(!long.status.success() && errors(&long).contains("longer than 1 MiB"), "{}", errors(&long));
    assert_eq!(fs::read_to_string(&plain).unwrap(), pem.trim_end(), "nothing was changed");
}

#[test]
fn a_master_key_that_is_there_is_not_replaced_by_hand_either() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    let set = ["set", "master-key", "--root", &root];
    let keys = ["5a".repeat(32), "a5".repeat(32)];
    assert!(secret(&set, &keys[0], "").status.success());
    let refused = secret(&set, &keys[1], "");
    assert!(!refused.status.success() && errors(&refused).contains("already") && errors(&refused).contains("vestibule backup"), "{}", errors(&refused));
    assert_eq!(fs::read_to_string(folder.path().join("etc/credstore/vestibule.master-key")).unwrap(), keys[0]);
}

#[test]
fn o_03_a_file_of_a_secret_is_its_who_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("f.toml"), "[node]\ndata_dir = \"data\"\n").unwrap();
    fs::create_dir(path("data")).unwrap();
    let root = nix::unistd::geteuid().is_root();
    if root {
        chown(path("data"), Some(65_534), Some(65_534)).unwrap();
    }
    let words = [path("duo"), path("f.toml")].map(|path| path.display().to_string());
    let done = secret(&["set", "duo", "--file", &words[0], "--config", &words[1]], "hush\n", "");
    assert!(done.status.success(), "{}", errors(&done));
    let found = fs::metadata(path("duo")).unwrap();
    let uid = if root { 65_534 } else { nix::unistd::geteuid().as_raw() };
    assert_eq!((found.uid(), found.mode() & 0o777, fs::read_to_string(path("duo")).unwrap().as_str()), (uid, 0o400, "hush"));
}

#[test]
fn a_backup_follows_no_link_and_takes_over_no_file_that_others_read() {
    let directory = people("127.0.0.1:0".parse().unwrap());
    let house = House::open(furnish(directory.address(), ""));
    let path = |name: &str| house.folder.path().join(name);
    assert!(house.say(&["user", "add", "alice"]).status.success());
    let key = path("recovery").display().to_string();
    let made = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["backup", "--new-key", "--key-file", &key]).output().unwrap();
    assert!(made.status.success(), "{}", errors(&made));
    let backup = |file: &str| house.say(&["backup", &path(file).display().to_string(), "--key-file", &key]);
    fs::write(path("precious"), "precious").unwrap();
    symlink(path("precious"), path("one.partial")).unwrap();
    assert!(backup("one").status.success());
    assert_eq!((fs::read_to_string(path("precious")).unwrap().as_str(), path("one").is_symlink()), ("precious", false));
    fs::write(path("two.partial"), "half of an older one").unwrap();
    fs::set_permissions(path("two.partial"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(backup("two").status.success());
    assert_eq!((fs::metadata(path("two")).unwrap().mode() & 0o777, path("two.partial").exists()), (0o600, false));
}
