//! `vestibule init`: the set-up, by questions or by a file of answers.

mod attended;
mod carrier;
mod end;
mod first_factor;
mod steps;
mod terminal;
mod unattended;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::output::Failure;
use super::typed;
use crate::app::init::Ground;
use crate::app::init::InitError;
use crate::app::init::Present;

/// The example, which is the documentation of `--answers`.
const ANSWERS: &str = concat!("The file for --answers:\n\n", include_str!("../../config/answers.toml"));

/// Where to, and who answers.
#[derive(Debug, Args)]
#[command(after_long_help = ANSWERS)]
pub(super) struct Options {
    /// Where the configuration is to be
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG", default_value = "/etc/vestibule/vestibule.toml")]
    config: PathBuf,
    /// Ask nobody: the answers are in this file (`--help` shows one)
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// Write over a configuration that init did not write, or that was changed since; it is kept beside
    #[arg(long)]
    force: bool,
    /// Print JSON: what was made, and no secret but a new token's
    #[arg(long, requires = "answers")]
    json: bool,
}

/// Does it.
///
/// # Errors
/// What does not fit or does not work; then nothing is written.
pub(super) async fn run(options: &Options) -> Result<(), Failure> {
    let ground = Ground::look(&options.config).map_err(|error| failed(&error))?;
    if !ground.is_free() && !options.force {
        return Err(refused(&ground));
    }
    match &options.answers {
        Some(answers) => unattended::run(&ground, answers, options.json).await,
        None if std::io::stdin().is_terminal() => {
            typed::shown_again_when_interrupted();
            attended::run(&ground, &mut terminal::Real).await
        }
        None => Err(Failure::Usage("init asks questions: type it at a terminal, or give it --answers FILE".to_owned())),
    }
}

fn refused(ground: &Ground) -> Failure {
    let who = match ground.present {
        Present::Changed => "was changed by hand since init wrote it",
        _ => "was not written by init",
    };
    let hint = "`vestibule client add` adds a NAS and leaves it as it is; `--force` writes it anew and keeps the present one as .before-init";
    Failure::failed(format!("{} {who}: what init does not know of would be lost", ground.config.display()), hint)
}

fn failed(error: &InitError) -> Failure {
    Failure::failed(error.to_string(), error.hint())
}

#[cfg(test)]
mod tests;
