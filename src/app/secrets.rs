//! Secrets put where a configuration looks for them: a credential of the service's, sealed by systemd for this machine where it can, or a file of one reader.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::unistd::User;
use nix::unistd::geteuid;
use toml::Value;

use super::config;
use super::config::kept_credential;
use super::tool;
use super::whole;
use super::whole::Draft;
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
    /// Why it is not, where systemd has a tool for it and that does not work here.
    pub warning: Option<String>,
}

/// Why a secret was not stored.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The machine gives no random numbers.
    #[error("the machine gives no random numbers")]
    Chance,
    /// Something is there already, and must stay.
    #[error("{} is there already, and nothing replaces it: what hangs on it goes with no other", .0.display())]
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
    kept_credential(root, name).and_then(|secret| plain(secret.expose()))
}

/// A small file.
fn read(file: &Path) -> Option<Secret> {
    plain(&zeroize::Zeroizing::new(fs::read(file).ok()?))
}

/// Without the newline that editors leave behind.
fn plain(bytes: &[u8]) -> Option<Secret> {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
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

    /// The user that the package makes, where no configuration says more.
    #[must_use]
    pub fn packaged() -> Self {
        let user = User::from_name(SERVICE_USER).ok().flatten().filter(|_| geteuid().is_root());
        Self { uid: user.as_ref().map(|user| user.uid.as_raw()), gid: user.map(|user| user.gid.as_raw()) }
    }
}

/// Makes the folder of a file beside the configuration where there is none: root's, or ours, so that whoever serves reads there and changes nothing.
///
/// # Errors
/// The disk's.
pub fn make_room(file: &Path, owner: Owner) -> io::Result<()> {
    let Some(folder) = file.parent().filter(|folder| !folder.exists()) else { return Ok(()) };
    whole::make_folder(folder, 0o750)?;
    chown(folder, None, owner.gid)
}

/// Puts a secret in its place, and nobody ever sees half of it. One that is there is replaced, unless `keep` says that it must stay.
///
/// # Errors
/// Why nothing was changed.
pub fn store(name: &str, secret: &Secret, place: &Place, keep: bool) -> Result<Stored, SecretError> {
    store_for(Owner::default(), name, secret, place, keep)
}

/// The same; a file is given to `owner`, who alone reads it.
///
/// # Errors
/// As [`store`].
pub fn store_for(owner: Owner, name: &str, secret: &Secret, place: &Place, keep: bool) -> Result<Stored, SecretError> {
    let root = match place {
        Place::Credential { root } => root,
        Place::File(file) => {
            write(file, secret.expose(), 0o400, owner, keep)?;
            return Ok(Stored { file: file.clone(), drop_in: None, sealed: false, warning: None });
        }
    };
    if !is_name(name) {
        return Err(SecretError::Name(name.to_owned()));
    }
    let [sealed_file, plain_file] = ["etc/credstore.encrypted", "etc/credstore"].map(|folder| root.join(folder).join(format!("vestibule.{name}")));
    if let Some(there) = [&sealed_file, &plain_file].into_iter().find(|file| keep && file.exists()) {
        return Err(SecretError::Exists(there.clone()));
    }
    let sealed = sealed(name, secret);
    let (file, other, key, bytes) = match &sealed {
        Sealed::Yes(bytes) => (&sealed_file, &plain_file, "LoadCredentialEncrypted", bytes.as_slice()),
        Sealed::NoTool | Sealed::Failed(_) => (&plain_file, &sealed_file, "LoadCredential", secret.expose()),
    };
    make_folder(file, 0o700)?;
    write(file, bytes, 0o400, Owner::default(), keep)?;
    // Two of one name, and nobody knows which is handed over.
    whole::remove(other).map_err(|error| SecretError::Io { path: other.clone(), error })?;
    let drop_in = root.join(DROP_INS).join(format!("credential-{name}.conf"));
    let inside = Path::new("/").join(file.strip_prefix(root).unwrap_or(file));
    make_folder(&drop_in, 0o755)?;
    write(&drop_in, format!("[Service]\n{key}={name}:{}\n", inside.display()).as_bytes(), 0o644, Owner::default(), false)?;
    let (sealed, warning) = match sealed {
        Sealed::Yes(_) => (true, None),
        Sealed::NoTool => (false, None),
        Sealed::Failed(why) => (false, Some(format!("systemd-creds does not seal it for this machine: {why}"))),
    };
    Ok(Stored { file: file.clone(), drop_in: Some(drop_in), sealed, warning })
}

/// The credentials that a configuration and its drop-ins name: `{ credential = NAME }`, wherever it stands. `None` where they cannot be read as TOML.
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
    let mut found = Vec::new();
    walk(&Value::Table(config::table(config)?), &mut found);
    found.sort();
    found.dedup();
    Some(found)
}

/// Whether this is the master key: by its usual name, or as the configuration says.
#[must_use]
pub fn is_master_key(name: &str, place: &Place, config: Option<&Path>) -> bool {
    let told = config.and_then(|config| Some((config, config::table(config)?)));
    let named = |(config, table): (&Path, toml::Table)| {
        let key = table.get("node")?.get("master_key")?.as_table()?.clone();
        let text = |form: &str| key.get(form).and_then(Value::as_str);
        Some(match place {
            Place::Credential { .. } => text("credential") == Some(name),
            Place::File(file) => text("file").is_some_and(|path| is_same(&config.with_file_name(path), file)),
        })
    };
    name == MASTER_KEY || told.and_then(named).unwrap_or(false)
}

/// Whether both lead to one file, which need not be there yet.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    whole(one) == whole(other)
}

fn is_name(name: &str) -> bool {
    let fits = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits) && !name.starts_with('.')
}

/// What came of it.
enum Sealed {
    /// It is sealed.
    Yes(Vec<u8>),
    /// systemd has no such tool.
    NoTool,
    /// It has, and cannot: so it is in a container or a chroot, which have neither a TPM nor the host's key.
    Failed(String),
}

/// The secret as systemd seals it for this machine: its TPM where there is one, and the key of the host.
fn sealed(name: &str, secret: &Secret) -> Sealed {
    let mut tool = Command::new("systemd-creds");
    tool.args(["encrypt", &format!("--name={name}"), "-", "-"]);
    match tool::ask(&mut tool, secret.expose(), SEAL_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Sealed::NoTool,
        Err(error) => Sealed::Failed(error.to_string()),
        Ok(output) if output.status.success() && !output.stdout.is_empty() => Sealed::Yes(output.stdout),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Sealed::Failed(said.lines().rfind(|line| !line.trim().is_empty()).map_or_else(|| output.status.to_string(), |line| line.trim().to_owned()))
        }
    }
}

fn make_folder(file: &Path, mode: u32) -> Result<(), SecretError> {
    let Some(folder) = file.parent() else { return Ok(()) };
    whole::make_folder(folder, mode).map_err(|error| SecretError::Io { path: folder.to_owned(), error })
}

/// Beside its place first, closed to others from its first byte, then moved there.
fn write(file: &Path, bytes: &[u8], mode: u32, owner: Owner, keep: bool) -> Result<(), SecretError> {
    let written = || {
        let mut draft = Draft::begin(file, "new", mode)?;
        draft.give(owner.uid, owner.gid)?;
        draft.write_all(bytes)?;
        draft.finish(keep)
    };
    written().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists if keep => SecretError::Exists(file.to_owned()),
        _ => SecretError::Io { path: file.to_owned(), error },
    })
}

const NAME_BYTES_MAX: usize = 64;
const SHARED_LEN: usize = 32;
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const MASTER_KEY: &str = "master-key";
/// The user that the package makes.
const SERVICE_USER: &str = "vestibule";
/// A TPM takes a second or two.
const SEAL_MAX: Duration = Duration::from_secs(30);
const DROP_INS: &str = "etc/systemd/system/vestibule.service.d";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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
        let plain = folder.path().join("etc/credstore/vestibule.bind");
        fs::write(&plain, "plain\n").unwrap();
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o400)).unwrap();
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
        let dropins = folder.path().join("conf.d");
        fs::create_dir(&dropins).unwrap();
        fs::write(dropins.join("nas.toml"), "[[e]]\nsecret = { credential = \"three\" }\n").unwrap();
        assert_eq!(named_in(&path), Some(vec!["one".to_owned(), "three".to_owned(), "two".to_owned()]));
        fs::write(&path, "a = ").unwrap();
        assert_eq!(named_in(&path), None);
    }

    #[test]
    fn a_master_key_is_known_by_its_name_and_by_what_the_configuration_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        let (stores, file) = (Place::Credential { root: "/".into() }, Place::File(folder.path().join("keys")));
        assert!(is_master_key("master-key", &stores, None) && is_master_key("master-key", &file, None) && !is_master_key("node", &stores, None));
        fs::write(&path, "[node]\nmaster_key = { credential = \"node\" }\n").unwrap();
        assert!(is_master_key("node", &stores, Some(&path)) && !is_master_key("duo", &stores, Some(&path)) && !is_master_key("node", &file, Some(&path)));
        fs::write(&path, "[node]\nmaster_key = { file = \"keys\" }\n").unwrap();
        assert!(is_master_key("any", &file, Some(&path)) && !is_master_key("keys", &stores, Some(&path)));
    }
}
