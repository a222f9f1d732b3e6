//! Secrets put where a configuration looks for them: a credential of the service's, sealed by systemd for this machine where it can, or a file of one reader.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use nix::unistd::geteuid;
use toml::Table;
use toml::Value;

use crate::domain::Secret;

/// Where a secret goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `{ credential = NAME }`: the credential stores below this folder, usually `/`.
    Credential {
        /// The folder.
        root: PathBuf,
    },
    /// `{ file = PATH }`.
    File(PathBuf),
}

/// Where a secret went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The file it is in.
    pub file: PathBuf,
    /// What tells systemd to hand it over.
    pub drop_in: Option<PathBuf>,
    /// Whether it is sealed for this machine.
    pub sealed: bool,
}

/// Why a secret was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers")]
    Chance,
    /// Something is there already, and must stay.
    #[error("{} is there already: what was sealed with it opens with no other key", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// No name of a credential.
    #[error("{0:?} is no name of a credential: letters, digits, `-`, `_` and `.`, at most 64")]
    Name(String),
    /// systemd does not seal it.
    #[error("systemd-creds does not seal it: {0}")]
    Sealing(String),
}

/// A key nobody has seen yet: 32 bytes, as 64 hexadecimal digits.
///
/// # Errors
/// The machine gives no random numbers.
pub fn make_key() -> Result<Secret, SecretError> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| SecretError::Chance)?;
    Ok(Secret::new(bytes.to_vec()).to_hex())
}

/// A secret to share with a NAS: 32 letters and digits. No NAS stumbles over those, and nobody guesses 190 bits.
///
/// # Errors
/// The machine gives no random numbers.
pub fn make_shared() -> Result<Secret, SecretError> {
    let mut secret = Vec::with_capacity(SHARED_LEN);
    let mut drawn = zeroize::Zeroizing::new([0; 4 * SHARED_LEN]);
    while secret.len() < SHARED_LEN {
        getrandom::fill(&mut *drawn).map_err(|_| SecretError::Chance)?;
        // 248 is the last multiple of 62: what lies above would favour the first letters.
        let letters = drawn.iter().filter(|octet| **octet < 248).filter_map(|octet| ALPHABET.get(usize::from(*octet % 62)));
        secret.extend(letters.take(SHARED_LEN.saturating_sub(secret.len())));
    }
    Ok(Secret::new(secret))
}

/// What [`store`] put there under this name, opened again, which root of the same machine alone can do. `None` where there is none, or it does not open.
#[must_use]
pub fn recall(name: &str, place: &Place) -> Option<Secret> {
    let root = match place {
        Place::File(file) => return read(file),
        Place::Credential { root } if is_name(name) => root,
        Place::Credential { .. } => return None,
    };
    let sealed = root.join("etc/credstore.encrypted").join(format!("vestibule.{name}"));
    if !sealed.exists() {
        return read(&root.join("etc/credstore").join(format!("vestibule.{name}")));
    }
    let opened = Command::new("systemd-creds").arg("decrypt").arg(format!("--name={name}")).arg(&sealed).arg("-").stderr(Stdio::null()).output().ok()?;
    let plain = Secret::new(opened.stdout);
    opened.status.success().then_some(plain).filter(|secret| !secret.is_empty())
}

/// A small file, without the newline that editors leave behind.
fn read(file: &Path) -> Option<Secret> {
    let bytes = zeroize::Zeroizing::new(fs::read(file).ok()?);
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Some(Secret::new(text.to_vec())).filter(|secret| !secret.is_empty())
}

/// Who serves and so must be able to read a secret that is in a file, and the group of the configuration; nobody where we are not root, and so cannot give files away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
}

impl Owner {
    /// Of the files beside the configuration at `config`: whoever has the data, and the group that may read the configuration.
    #[must_use]
    pub fn of(config: &Path, data_dir: Option<&Path>) -> Self {
        let root = geteuid().is_root();
        let uid = data_dir.and_then(|path| fs::metadata(path).ok()).map(|found| found.uid());
        let gid = fs::metadata(config).ok().map(|found| found.gid());
        Self { uid: uid.filter(|_| root), gid: gid.filter(|_| root) }
    }
}

/// Puts a secret in its place, and nobody ever sees half of it. One that is there is replaced, unless `keep` says that it must stay.
///
/// # Errors
/// Why nothing was changed.
pub fn store(name: &str, secret: &Secret, place: &Place, keep: bool) -> Result<Stored, SecretError> {
    let Place::Credential { root } = place else {
        let Place::File(file) = place else { return Err(SecretError::Name(name.to_owned())) };
        refuse_existing(file, keep)?;
        write(file, secret.expose(), 0o400)?;
        return Ok(Stored { file: file.clone(), drop_in: None, sealed: false });
    };
    if !is_name(name) {
        return Err(SecretError::Name(name.to_owned()));
    }
    let [sealed_file, plain_file] = ["etc/credstore.encrypted", "etc/credstore"].map(|folder| root.join(folder).join(format!("vestibule.{name}")));
    for file in [&sealed_file, &plain_file] {
        refuse_existing(file, keep)?;
    }
    let sealed = sealed(name, secret)?;
    let (file, other, key) = match sealed {
        Some(_) => (&sealed_file, &plain_file, "LoadCredentialEncrypted"),
        None => (&plain_file, &sealed_file, "LoadCredential"),
    };
    let bytes = sealed.as_deref().unwrap_or_else(|| secret.expose());
    make_folder(file, 0o700)?;
    write(file, bytes, 0o400)?;
    // Two of one name, and nobody knows which is handed over.
    match fs::remove_file(other) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(SecretError::Io { path: other.clone(), error }),
        _ => {}
    }
    let drop_in = root.join(DROP_INS).join(format!("credential-{name}.conf"));
    let inside = Path::new("/").join(file.strip_prefix(root).unwrap_or(file));
    make_folder(&drop_in, 0o755)?;
    write(&drop_in, format!("[Service]\n{key}={name}:{}\n", inside.display()).as_bytes(), 0o644)?;
    Ok(Stored { file: file.clone(), drop_in: Some(drop_in), sealed: sealed.is_some() })
}

/// The credentials that a configuration names: `{ credential = NAME }`, wherever it stands. `None` where the file cannot be read as TOML.
#[must_use]
pub fn named_in(config: &Path) -> Option<Vec<String>> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Table(table) => match (table.len(), table.get("credential").and_then(Value::as_str)) {
                (1, Some(name)) => found.push(name.to_owned()),
                _ => table.values().for_each(|value| walk(value, found)),
            },
            Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let table: Table = fs::read_to_string(config).ok()?.parse().ok()?;
    let mut found = Vec::new();
    walk(&Value::Table(table), &mut found);
    found.sort();
    found.dedup();
    Some(found)
}

fn is_name(name: &str) -> bool {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits) && !name.starts_with('.')
}

/// The secret as systemd seals it for this machine (its TPM where there is one, and the key of the host); `None` where systemd has no such tool.
fn sealed(name: &str, secret: &Secret) -> Result<Option<Vec<u8>>, SecretError> {
    let told = |error: io::Error| SecretError::Sealing(error.to_string());
    let started = Command::new("systemd-creds")
        .args(["encrypt", &format!("--name={name}"), "-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        started => started.map_err(told)?,
    };
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(secret.expose()).map_err(told)?;
    }
    let output = child.wait_with_output().map_err(told)?;
    if output.status.success() && !output.stdout.is_empty() {
        return Ok(Some(output.stdout));
    }
    Err(SecretError::Sealing(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

fn refuse_existing(file: &Path, keep: bool) -> Result<(), SecretError> {
    if keep && file.exists() { Err(SecretError::Exists(file.to_owned())) } else { Ok(()) }
}

fn make_folder(file: &Path, mode: u32) -> Result<(), SecretError> {
    let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) else { return Ok(()) };
    fs::DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(|error| SecretError::Io { path: folder.to_owned(), error })
}

/// Beside its place first, closed to others from its first byte, then moved there.
fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), SecretError> {
    let beside = file.with_added_extension("new");
    let written = || {
        let _ = fs::remove_file(&beside);
        let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&beside, file)
    };
    written().map_err(|error| {
        let _ = fs::remove_file(&beside);
        SecretError::Io { path: file.to_owned(), error }
    })
}

const NAME_BYTES_MAX: usize = 64;
const SHARED_LEN: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const DROP_INS: &str = "etc/systemd/system/vestibule.service.d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn o_03_a_file_of_a_secret_has_one_reader_and_a_key_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::File(folder.path().join("master"));
        let key = make_key().unwrap();
        let stored = store("master-key", &key, &place, true).unwrap();
        assert_eq!(fs::metadata(&stored.file).unwrap().mode() & 0o777, 0o400);
        assert_eq!(fs::read(&stored.file).unwrap(), key.expose());
        assert!(matches!(store("master-key", &make_key().unwrap(), &place, true), Err(SecretError::Exists(_))));
        assert_eq!(fs::read(&stored.file).unwrap(), key.expose());
        store("x", &Secret::from("other"), &place, false).unwrap();
        assert_eq!(fs::read(&stored.file).unwrap(), b"other");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn o_01_keys_are_64_hexadecimal_digits_and_never_twice_the_same() {
        let [one, other] = [make_key().unwrap(), make_key().unwrap()];
        assert_eq!((one.len(), Secret::from_hex(one.expose_text().unwrap()).unwrap().len()), (64, 32));
        assert_ne!(one, other);
    }

    #[test]
    fn shared_secrets_are_long_plain_and_differ() {
        let [one, other] = [make_shared().unwrap(), make_shared().unwrap()];
        assert_eq!(one.len(), 32);
        assert_ne!(one, other);
        assert!(one.expose().iter().all(u8::is_ascii_alphanumeric));
    }

    #[test]
    fn what_was_stored_is_recalled_and_what_was_not_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::File(folder.path().join("bind"));
        assert_eq!(recall("bind", &place), None);
        store("bind", &Secret::from("hush"), &place, false).unwrap();
        assert_eq!(recall("bind", &place), Some(Secret::from("hush")));
        let root = Place::Credential { root: folder.path().to_owned() };
        fs::create_dir_all(folder.path().join("etc/credstore")).unwrap();
        fs::write(folder.path().join("etc/credstore/vestibule.bind"), "plain\n").unwrap();
        assert_eq!((recall("bind", &root), recall("../bind", &root)), (Some(Secret::from("plain")), None));
    }

    #[test]
    fn a_credentials_name_cannot_climb() {
        let place = Place::Credential { root: tempfile::tempdir().unwrap().path().to_owned() };
        for name in ["", "../x", "a/b", ".hidden", "a b", "é", &"x".repeat(65)] {
            assert!(matches!(store(name, &Secret::from("s"), &place, false), Err(SecretError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn every_credential_that_a_configuration_names_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        fs::write(&path, "a = { credential = \"one\" }\n[[b]]\nc = [{ d = { credential = \"two\" } }, { d = { credential = \"one\" } }]\n").unwrap();
        assert_eq!(named_in(&path), Some(vec!["one".to_owned(), "two".to_owned()]));
        fs::write(&path, "a = ").unwrap();
        assert_eq!(named_in(&path), None);
    }
}
