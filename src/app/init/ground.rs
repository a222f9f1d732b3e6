//! Where a configuration is to stand: what is there already, where secrets go, and whether a draft would work.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Group;
use nix::unistd::User;
use nix::unistd::geteuid;
use tempfile::TempDir;
use toml::Table;

use super::draft::Draft;
use super::machine;
use super::present;
use super::text;
use super::text::Refer;
use super::write::InitError;
use crate::app::config::Config;
use crate::app::config::Problem;
use crate::app::doctor;
use crate::app::doctor::Area;
use crate::app::doctor::Finding;
use crate::app::secrets;
use crate::app::secrets::Owner;
use crate::app::secrets::Place;
use crate::app::secrets::SecretError;
use crate::domain::Secret;

/// What is at the configuration's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    /// Init wrote it, and somebody has changed it since.
    Changed,
    /// Somebody else wrote it.
    Foreign,
    /// Nothing.
    Nothing,
    /// Init wrote it.
    Ours,
    /// The package brought it, and nobody has changed it.
    Package,
}

/// The place of a configuration.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The file.
    pub config: PathBuf,
    /// Its folder.
    pub folder: PathBuf,
    /// What is there.
    pub present: Present,
    /// Its text; empty where nothing is there.
    pub(super) text: String,
    /// Secrets are credentials of the service, in the stores below this folder; `None`: they are files beside the configuration.
    pub(super) credentials: Option<PathBuf>,
}

impl Ground {
    /// Looks at it. Blocks on the disk.
    ///
    /// # Errors
    /// There is a file that cannot be read.
    pub fn look(config: &Path) -> Result<Self, InitError> {
        let config = std::path::absolute(config).map_err(|error| InitError::io(config, error))?;
        let folder = config.with_file_name("");
        let text = match fs::read_to_string(&config) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(InitError::io(&config, error)),
        };
        let present = text.as_deref().map_or(Present::Nothing, judged);
        let text = text.unwrap_or_default();
        let credentials = credentials(&config, present, &text);
        Ok(Self { config, folder, present, text, credentials })
    }

    /// Whether it may be written over without being told to.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self.present, Present::Nothing | Present::Ours | Present::Package)
    }

    /// What init wrote here before, as far as it can be read; else what is usual.
    #[must_use]
    pub fn draft(&self) -> Draft {
        let usual = Draft {
            name: machine::host_name(),
            data_dir: if self.is_packaged() { DATA_DIR.to_owned() } else { "data".to_owned() },
            socket: (!self.is_packaged()).then(|| "admin.sock".to_owned()),
            group: None,
            radius: "0.0.0.0:1812".to_owned(),
            directories: Vec::new(),
            providers: Vec::new(),
            client: None,
        };
        match self.text.parse::<Table>() {
            Ok(table) if matches!(self.present, Present::Changed | Present::Ours) => present::read(&table, &usual, &self.folder, &|name| self.recall(name)),
            _ => usual,
        }
    }

    /// Whether it is where the package's service looks.
    #[must_use]
    pub fn is_packaged(&self) -> bool {
        self.config == Path::new(CONFIG)
    }

    /// Where a secret of this name goes.
    pub(super) fn place(&self, name: &str) -> Place {
        match &self.credentials {
            Some(root) => Place::Credential { root: root.clone() },
            None => Place::File(self.folder.join("secrets").join(name)),
        }
    }

    /// The secret of this name that is stored.
    pub(super) fn recall(&self, name: &str) -> Option<Secret> {
        secrets::recall(name, &self.place(name))
    }

    /// How to read the secret that the NAS has to be told, where init does not show it.
    #[must_use]
    pub fn how_to_read(&self, client: &str) -> String {
        let name = format!("{client}.radius");
        match &self.credentials {
            None => format!("cat {}", self.folder.join("secrets").join(name).display()),
            Some(root) => {
                let sealed = root.join("etc/credstore.encrypted").join(format!("vestibule.{name}"));
                if sealed.exists() {
                    return format!("systemd-creds decrypt --name={name} {} -", sealed.display());
                }
                format!("cat {}", root.join("etc/credstore").join(format!("vestibule.{name}")).display())
            }
        }
    }

    /// The secret of the draft's client, where it is stored and we may read it.
    #[must_use]
    pub fn client_secret(&self, draft: &Draft) -> Option<Secret> {
        self.recall(&draft.client.as_ref()?.secret_name())
    }

    pub(super) fn refer(&self) -> Refer<'_> {
        if self.credentials.is_some() { Refer::Credentials(&self.folder) } else { Refer::Files(&self.folder) }
    }

    /// Who must be able to read what is beside the configuration; nobody where we cannot give files away.
    pub(super) fn owner(&self, data_dir: &str) -> Owner {
        let found = Owner::of(&self.config, Some(&self.folder.join(data_dir)));
        if !geteuid().is_root() {
            return found;
        }
        let service = || User::from_name(SERVICE).ok().flatten().filter(|_| self.is_packaged()).map(|user| user.uid.as_raw());
        let group = Group::from_name(SERVICE).ok().flatten().map(|group| group.gid.as_raw());
        Owner { uid: found.uid.filter(|uid| *uid != 0).or_else(service), gid: group }
    }

    /// The configuration that it would be. Secrets are looked at in a folder that goes away, and nothing else is written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, draft: &Draft) -> Result<Config, Vec<Problem>> {
        let told = |error: io::Error| vec![problem(&self.config, format!("cannot be tried: {error}"))];
        let alone = self.try_room(draft).map_err(told)?;
        // What is asked first is judged by itself: drop-ins may name what is asked later.
        let beside = if draft.client.is_some() && self.folder.is_dir() { self.folder.as_path() } else { alone.path() };
        let trial = tempfile::Builder::new().prefix(".vestibule-init-").suffix(".toml").tempfile_in(beside).map_err(told)?;
        fs::write(trial.path(), text::render(draft, Refer::Check)).map_err(told)?;
        let tried = trial.path().display().to_string();
        let ours = |problem: Problem| if problem.file == tried { Problem { file: self.config.display().to_string(), ..problem } } else { problem };
        match Config::load_with(trial.path(), Some(alone.path().to_owned())) {
            Ok(config) => Ok(Config { warnings: config.warnings.into_iter().map(ours).collect(), ..config }),
            // A drop-in's secret may be out of our reach: what counts is what is to be written, and so it is judged alone.
            Err(problems) if problems.iter().all(|problem| problem.file != tried && problem.message.starts_with("the credential")) => {
                let apart = alone.path().join("vestibule.toml");
                fs::write(&apart, text::render(draft, Refer::Check)).map_err(told)?;
                Config::load_with(&apart, Some(alone.path().to_owned()))
            }
            Err(problems) => {
                Err(problems.into_iter().filter(|problem| problem.file == tried || !problem.message.starts_with("the credential")).map(ours).collect())
            }
        }
    }

    /// A folder of this run's own with every secret as systemd would hand it over, in memory where the machine has a place for that.
    fn try_room(&self, draft: &Draft) -> io::Result<TempDir> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".vestibule-init-").permissions(Permissions::from_mode(0o700));
        let room = if geteuid().is_root() && Path::new("/run").is_dir() { builder.tempdir_in("/run") } else { builder.tempdir() }?;
        let made = |error: SecretError| io::Error::other(error.to_string());
        let put = |name: &str, secret: &Secret| {
            let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(room.path().join(name))?;
            file.write_all(secret.expose())
        };
        put(text::MASTER_KEY, &secrets::make_key().map_err(made)?)?;
        for dropin in fs::read_dir(self.folder.join("conf.d")).into_iter().flatten().flatten() {
            for name in secrets::named_in(&dropin.path()).unwrap_or_default() {
                if let Some(secret) = secrets::recall(&name, &Place::Credential { root: PathBuf::from("/") }) {
                    put(&name, &secret)?;
                }
            }
        }
        for (name, secret) in draft.secrets() {
            put(&name, secret)?;
        }
        if let Some(client) = &draft.client {
            let secret = match &client.secret {
                Some(secret) => secret.clone(),
                None => secrets::make_shared().map_err(made)?,
            };
            put(&client.secret_name(), &secret)?;
        }
        Ok(room)
    }
}

/// Asks the directories and providers of a configuration whether they are well, and gives what was found of these alone.
pub async fn ask(config: &Config) -> Vec<Finding> {
    let findings = doctor::examine(config).await;
    findings.into_iter().filter(|finding| matches!(finding.area, Area::Directory | Area::Lockout | Area::Provider)).collect()
}

fn problem(config: &Path, message: String) -> Problem {
    Problem { file: config.display().to_string(), path: String::new(), line: None, message, hint: None, grave: false }
}

fn judged(text: &str) -> Present {
    match text::is_sealed(text) {
        Some(true) => Present::Ours,
        Some(false) => Present::Changed,
        None if text.trim() == PACKAGE.trim() => Present::Package,
        None if text.trim().is_empty() => Present::Nothing,
        None => Present::Foreign,
    }
}

/// Secrets stay of the kind that they are; else root's are credentials, where systemd is there to hand them over.
fn credentials(config: &Path, present: Present, text: &str) -> Option<PathBuf> {
    let root = Some(PathBuf::from("/"));
    if matches!(present, Present::Changed | Present::Ours) {
        let table: Table = text.parse().unwrap_or_default();
        let key = table.get("node").and_then(|node| node.get("master_key"));
        return key.and_then(|key| key.get("credential")).and(root);
    }
    let for_service = geteuid().is_root() && config == Path::new(CONFIG) && Path::new("/run/systemd/system").is_dir();
    if for_service { root } else { None }
}

const CONFIG: &str = "/etc/vestibule/vestibule.toml";
const DATA_DIR: &str = "/var/lib/vestibule";
const SERVICE: &str = "vestibule";
/// What the package puts there.
const PACKAGE: &str = include_str!("../../../packaging/vestibule.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.toml");
        let present = || Ground::look(&file).unwrap().present;
        assert_eq!(present(), Present::Nothing);
        for (text, expected) in [(PACKAGE, Present::Package), ("[node]\n", Present::Foreign), ("\n", Present::Nothing)] {
            fs::write(&file, text).unwrap();
            assert_eq!(present(), expected, "{text}");
        }
        let draft = Ground::look(&file).unwrap().draft();
        let text = text::render(&draft, Refer::Check);
        fs::write(&file, &text).unwrap();
        assert!(present() == Present::Ours && Ground::look(&file).unwrap().is_free());
        fs::write(&file, text + "[metrics]\n").unwrap();
        assert!(present() == Present::Changed && !Ground::look(&file).unwrap().is_free());
    }
}
