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

/// Bytes of a key with all that stands in its file.
const WHOLE_MAX: u64 = 65_536;

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

/// All of standard input, for a key has many lines; at a terminal one line, typed twice. Without the end of the last line.
///
/// # Errors
/// There is nothing, too much, or what is no text; or two different lines were typed.
pub(super) fn whole(what: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return secret(what);
    }
    // Room for all of it from the start: a text that grows leaves copies of the secret behind.
    let mut all = Zeroizing::new(String::with_capacity(usize::try_from(WHOLE_MAX).unwrap_or_default()));
    stdin.lock().take(WHOLE_MAX).read_to_string(&mut all).map_err(|error| Failure::failed(format!("cannot read the {what}: {error}"), ""))?;
    if u64::try_from(all.len()).is_ok_and(|length| length >= WHOLE_MAX) {
        return Err(Failure::Usage(format!("the {what} on standard input is longer than {WHOLE_MAX} bytes")));
    }
    let text = without_end(&all);
    if text.is_empty() { Err(nothing(what)) } else { Ok(text) }
}

fn nothing(what: &str) -> Failure {
    Failure::Usage(format!("there is no {what} on standard input"))
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
        return Err(nothing(what));
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
