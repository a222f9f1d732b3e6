//! Secrets that are typed: hidden where somebody looks, or from standard input, and never on the command line.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Stdin;

use nix::sys::termios;
use nix::sys::termios::LocalFlags;
use nix::sys::termios::SetArg;
use nix::sys::termios::Termios;
use zeroize::Zeroizing;

use super::output::Failure;
use super::output::complain;

/// Bytes of a line.
const LINE_MAX: u64 = 4_096;

/// One line: typed twice at a terminal, else the first of standard input. `what` it is, for people.
///
/// # Errors
/// Nothing is typed, or two different ones.
pub(super) fn secret(what: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&stdin, what);
    }
    let _hidden = Hidden::new(&stdin)?;
    complain(&[format!("new {what}:")]);
    let typed = line(&stdin, what)?;
    complain(&["once more:".to_owned()]);
    if line(&stdin, what)? == typed { Ok(typed) } else { Err(Failure::failed("the two are not the same", "nothing was changed")) }
}

/// One line that somebody types at a terminal, perhaps an empty one, and need not type twice: a wrong one is found out at once.
///
/// # Errors
/// The terminal cannot hide it, or nothing more comes.
pub(super) fn unseen() -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    let hidden = Hidden::new(&stdin)?;
    let typed = whole_line(&stdin, "secret")?;
    drop(hidden);
    complain(&[String::new()]);
    if typed.is_empty() {
        return Err(Failure::failed("nobody types any more", "nothing was changed"));
    }
    Ok(without_end(&typed))
}

/// One line, without its end.
fn line(stdin: &Stdin, what: &str) -> Result<Zeroizing<String>, Failure> {
    let text = without_end(&whole_line(stdin, what)?);
    if text.is_empty() {
        return Err(Failure::Usage(format!("there is no {what} on standard input")));
    }
    Ok(text)
}

fn whole_line(stdin: &Stdin, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(usize::try_from(LINE_MAX).unwrap_or_default()));
    stdin.lock().take(LINE_MAX).read_line(&mut line).map_err(|error| Failure::failed(format!("cannot read the {what}: {error}"), ""))?;
    Ok(line)
}

fn without_end(line: &str) -> Zeroizing<String> {
    Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Lets whoever interrupts a command that types unseen have a terminal that shows again what is typed.
pub(super) fn shown_again_when_interrupted() {
    let Ok(before) = termios::tcgetattr(io::stdin()) else { return };
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &before);
            complain(&[String::new(), "interrupted".to_owned()]);
            std::process::exit(INTERRUPTED);
        }
    });
}

/// What a shell says of a command that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// A terminal that does not show what is typed; it shows it again when this goes.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(stdin: &'a Stdin) -> Result<Self, Failure> {
        let broken = |error: nix::Error| Failure::failed(format!("the terminal cannot hide what is typed: {error}"), "hand it over on standard input");
        let before = termios::tcgetattr(stdin).map_err(broken)?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        termios::tcsetattr(stdin, SetArg::TCSAFLUSH, &hidden).map_err(broken)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.stdin, SetArg::TCSAFLUSH, &self.before);
    }
}
