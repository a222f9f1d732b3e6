//! `vestibule pages`: manual pages and shell completions, made of the command line itself, for whoever packages it.
//!
//! A command and no program of its own: what is installed describes itself, and a package needs one build. It is hidden because nobody else needs it.

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::Command;
use clap_complete::Shell;

use super::output::Failure;

/// Where they go.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A folder; `man` and `completions` are made in it
    #[arg(value_name = "FOLDER")]
    pub(super) folder: PathBuf,
}

/// Writes them.
///
/// # Errors
/// A file cannot be written.
pub(super) fn run(options: &Options, command: Command) -> Result<(), Failure> {
    write(&options.folder, command).map_err(|error| Failure::failed(format!("{}: {error}", options.folder.display()), ""))
}

fn write(folder: &Path, command: Command) -> io::Result<()> {
    let [manual, completions] = ["man", "completions"].map(|name| folder.join(name));
    fs::create_dir_all(&manual)?;
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        // Of a copy: what completions are made of has a `help` below every command, and nobody wants a page of each of those.
        clap_complete::generate_to(shell, &mut command.clone(), "vestibule", &completions)?;
    }
    clap_mangen::generate_to(without_help(command), manual)
}

/// `help` repeats what each command has a page for.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}
