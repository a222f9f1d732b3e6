//! Puts secrets, files and at last the configuration in their places; what is right already stays untouched.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use super::draft::Draft;
use super::draft::Setting;
use super::ground::Ground;
use super::text;
use crate::app::secrets;
use crate::app::secrets::Place;
use crate::app::secrets::SecretError;
use crate::app::whole;
use crate::domain::Secret;

/// What was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The configuration.
    pub config: PathBuf,
    /// Anything was written at all.
    pub changed: bool,
    /// Where the configuration went that was there before.
    pub kept: Option<PathBuf>,
    /// Files that were written.
    pub files: Vec<PathBuf>,
    /// What is worth a second look.
    pub warnings: Vec<String>,
    /// The one with the secret of the NAS.
    pub client_secret_file: PathBuf,
}

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file or folder.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Somebody else wrote the configuration meanwhile.
    #[error("{} was changed while this ran, and stays as it is now", .0.display())]
    Changed(PathBuf),
    /// The master key is gone.
    #[error("there is data in {}, and the master key that it was sealed with is not there", .0.display())]
    Lost(PathBuf),
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
}

impl InitError {
    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self::Io { path: path.to_owned(), error }
    }

    /// What to do about it; may be empty.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { error, .. } | Self::Secret(SecretError::Io { error, .. }) if error.kind() == io::ErrorKind::PermissionDenied => {
                "be root (sudo), or say with --config where you may write"
            }
            Self::Changed(_) => "look at it, then run this again",
            Self::Lost(_) => "put the master key back, or move that folder aside: what is in it opens with no other key",
            _ => "",
        }
    }
}

impl Ground {
    /// Makes the draft, which was checked, real. The configuration comes last: until then the server that may run sees nothing of it.
    ///
    /// # Errors
    /// What could not be written.
    pub fn make(&self, draft: &Draft) -> Result<Made, InitError> {
        let mut writer = Writer { ground: self, draft, made: Made { config: self.config.clone(), ..Made::default() } };
        writer.folder(&self.folder, 0o750)?;
        writer.master_key()?;
        for (name, secret) in draft.secrets() {
            writer.secret(&name, secret)?;
        }
        writer.client_secret()?;
        writer.files()?;
        writer.config()?;
        Ok(writer.made)
    }
}

struct Writer<'a> {
    ground: &'a Ground,
    draft: &'a Draft,
    made: Made,
}

impl Writer<'_> {
    /// One that is there stays: what is in the store opens with no other.
    fn master_key(&mut self) -> Result<(), InitError> {
        if self.ground.recall(text::MASTER_KEY).is_some() {
            return Ok(());
        }
        let data_dir = self.ground.folder.join(&self.draft.data_dir);
        if data_dir.join("store").exists() {
            return Err(InitError::Lost(data_dir));
        }
        let key = secrets::make_key()?;
        self.put_secret(text::MASTER_KEY, &key, true)
    }

    fn client_secret(&mut self) -> Result<(), InitError> {
        let Some(client) = &self.draft.client else { return Ok(()) };
        let name = client.secret_name();
        match (&client.secret, self.ground.recall(&name)) {
            (Some(given), _) => self.secret(&name, given)?,
            (None, Some(_)) => {}
            // One that is there and does not open just now is in use on the other side.
            (None, None) => self.put_secret(&name, &secrets::make_shared()?, true)?,
        }
        self.made.client_secret_file = match self.ground.place(&name) {
            Place::File(file) => file,
            Place::Credential { root } => {
                let file = |store: &str| root.join(store).join(format!("vestibule.{name}"));
                Some(file("etc/credstore.encrypted")).filter(|sealed| sealed.exists()).unwrap_or_else(|| file("etc/credstore"))
            }
        };
        Ok(())
    }

    fn secret(&mut self, name: &str, secret: &Secret) -> Result<(), InitError> {
        if self.ground.recall(name).is_some_and(|stored| stored == *secret) {
            return Ok(());
        }
        self.put_secret(name, secret, false)
    }

    /// `keep`: only where none is.
    fn put_secret(&mut self, name: &str, secret: &Secret, keep: bool) -> Result<(), InitError> {
        let place = self.ground.place(name);
        let owner = self.ground.owner(&self.draft.data_dir);
        if let Place::File(file) = &place {
            secrets::make_room(file, owner).map_err(|error| InitError::io(file, error))?;
        }
        let stored = secrets::store_for(owner, name, secret, &place, keep)?;
        self.made.changed = true;
        self.made.files.push(stored.file);
        self.made.files.extend(stored.drop_in);
        self.made.warnings.extend(stored.warning.map(|warning| format!("{name}: {warning}")));
        Ok(())
    }

    /// Files that the service could not read where they are come along.
    fn files(&mut self) -> Result<(), InitError> {
        for part in self.draft.directories.iter().chain(&self.draft.providers) {
            for (key, setting) in &part.keys {
                let Setting::File(path) = setting else { continue };
                let Some(name) = text::file_beside(&self.ground.folder, part, key, path) else { continue };
                let target = self.ground.folder.join(name);
                let bytes = fs::read(path).map_err(|error| InitError::io(path, error))?;
                if fs::read(&target).is_ok_and(|there| there == bytes) {
                    continue;
                }
                self.put(&target, &bytes)?;
            }
        }
        Ok(())
    }

    fn config(&mut self) -> Result<(), InitError> {
        let text = text::render(self.draft, self.ground.refer());
        if text == self.ground.text {
            return Ok(());
        }
        let now = match fs::read_to_string(&self.ground.config) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| InitError::io(&self.ground.config, error))?,
        };
        if now != self.ground.text {
            return Err(InitError::Changed(self.ground.config.clone()));
        }
        if !self.ground.text.is_empty() {
            let kept = aside(&self.ground.config);
            let gid = self.ground.owner(&self.draft.data_dir).gid;
            fs::copy(&self.ground.config, &kept).and_then(|_| chown(&kept, None, gid)).map_err(|error| InitError::io(&kept, error))?;
            self.made.kept = Some(kept);
        }
        self.put(&self.ground.config.clone(), text.as_bytes())
    }

    /// Beside its place first, then moved there: nobody ever sees half of it.
    fn put(&mut self, file: &Path, bytes: &[u8]) -> Result<(), InitError> {
        let owner = self.ground.owner(&self.draft.data_dir);
        let written = || {
            let mut draft = whole::Draft::begin(file, "new", 0o640)?;
            draft.give(None, owner.gid)?;
            draft.write_all(bytes)?;
            draft.finish(false)
        };
        written().map_err(|error| InitError::io(file, error))?;
        self.made.changed = true;
        self.made.files.push(file.to_owned());
        Ok(())
    }

    fn folder(&self, folder: &Path, mode: u32) -> Result<(), InitError> {
        if folder.is_dir() {
            return Ok(());
        }
        let owner = self.ground.owner(&self.draft.data_dir);
        let made = whole::make_folder(folder, mode).and_then(|()| chown(folder, None, owner.gid));
        made.map_err(|error| InitError::io(folder, error))
    }
}

/// A name for what was there that nothing has yet: `vestibule.toml.before-init`, then with numbers.
fn aside(config: &Path) -> PathBuf {
    let first = config.with_added_extension("before-init");
    let further = (2..KEPT_MAX).map(|number| config.with_added_extension(format!("before-init-{number}")));
    std::iter::once(first.clone()).chain(further).find(|path| !path.exists()).unwrap_or(first)
}

/// Configurations that are kept; the next one takes the place of the first.
const KEPT_MAX: usize = 100;
