//! `vestibule secret ..`: puts secrets where the configuration looks for them. They come from standard input or are typed unseen.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use super::output::Failure;
use super::output::complain;
use super::output::say;
use super::typed;
use crate::app::config;
use crate::app::secrets;
use crate::app::secrets::Owner;
use crate::app::secrets::Place;
use crate::app::secrets::SecretError;
use crate::app::secrets::Stored;
use crate::domain::Secret;

/// What can be done with secrets; nobody can read one back.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Store a secret that you were given: all of standard input, or typed unseen
    Set {
        /// The credential's name: NAME of { credential = "NAME" } in the configuration
        name: String,
        #[command(flatten)]
        at: At,
    },
    /// Make a secret that nobody needs to know: the master key, or one to share with a NAS
    Make {
        /// The credential's name: `master-key`, or another
        name: String,
        /// Print it too, for the other side
        #[arg(long)]
        show: bool,
        #[command(flatten)]
        at: At,
    },
}

/// Where it goes.
#[derive(Debug, Args)]
pub(super) struct At {
    /// Write it into this file, for { file = "PATH" }, in place of the service's credentials
    #[arg(long, value_name = "PATH", conflicts_with = "root")]
    file: Option<PathBuf>,
    /// The root of the machine that it is for
    #[arg(long, value_name = "FOLDER", default_value = "/", hide_default_value = true)]
    root: PathBuf,
    /// Look whether this configuration names the credential at all
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    config: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// There is no secret, or it cannot be written.
pub(super) fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Set { name, at } => {
            at.look(&name)?;
            let secret = Secret::new(typed::whole("secret")?.to_vec());
            let keep = secrets::is_master_key(&name, &at.place(), at.config.as_deref());
            tell(&name, &secrets::store_for(at.owner(), &name, &secret, &at.place(), keep).map_err(|error| failed(&error))?)
        }
        Verb::Make { name, show, at } => {
            at.look(&name)?;
            let key = secrets::make_key().map_err(|error| failed(&error))?;
            tell(&name, &secrets::store_for(at.owner(), &name, &key, &at.place(), true).map_err(|error| failed(&error))?)?;
            if show { say(key.expose_text().unwrap_or_default()) } else { Ok(()) }
        }
    }
}

impl At {
    fn place(&self) -> Place {
        self.file.clone().map_or_else(|| Place::Credential { root: self.root.clone() }, Place::File)
    }

    /// Who reads it where it is a file: the user that serves.
    fn owner(&self) -> Owner {
        let Some(config) = &self.config else { return Owner::packaged() };
        match config::outline(config).ok().and_then(|outline| outline.data_dir).filter(|data_dir| data_dir.is_dir()) {
            Some(data_dir) => Owner::of(config, Some(&data_dir)),
            None => Owner::packaged(),
        }
    }

    /// A slip of the keyboard would be found when the service does not start.
    fn look(&self, name: &str) -> Result<(), Failure> {
        let (None, Some(config)) = (&self.file, &self.config) else { return Ok(()) };
        let named = secrets::named_in(config).unwrap_or_default();
        if named.is_empty() || named.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Failure::failed(format!("{} names no credential {name:?}", config.display()), &format!("it names {}", named.join(", "))))
    }
}

fn tell(name: &str, stored: &Stored) -> Result<(), Failure> {
    if let Some(warning) = &stored.warning {
        complain(&[format!("warning: {warning}; it is stored unsealed, as a file of root's")]);
    }
    let how = if stored.sealed { "sealed for this machine" } else { "readable by its owner alone" };
    say(&format!("{name}: in {}, {how}", stored.file.display()))?;
    match &stored.drop_in {
        Some(drop_in) => say(&format!("{} hands it to the service; type: systemctl daemon-reload && systemctl restart vestibule", drop_in.display())),
        None => Ok(()),
    }
}

fn failed(error: &SecretError) -> Failure {
    let hint = match error {
        SecretError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => "be root: sudo",
        SecretError::Exists(_) => {
            "`vestibule secret set` replaces what is meant to be replaced; a master key never is: `vestibule rekey` seals everything anew under the one that is there, \
             and for another one type `vestibule backup`, move the store and the old key aside, set the new one and type `vestibule restore`"
        }
        _ => "",
    };
    Failure::failed(error.to_string(), hint)
}
