//! `vestibule user set NAME --pin`: a PIN is typed without being shown, or comes from standard input; it never stands on the command line.

use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Stdin;

use nix::sys::termios;
use nix::sys::termios::LocalFlags;
use nix::sys::termios::SetArg;
use nix::sys::termios::Termios;
use reqwest::Method;
use zeroize::Zeroizing;

use super::super::output::Failure;
use super::super::output::complain;
use super::super::server::Reach;
use super::super::server::Server;
use super::super::server::Whom;
use crate::app::shapes::Account;
use crate::app::shapes::NewPin;
use crate::app::shapes::Once;

/// Bytes of a line with a PIN.
const LINE_MAX: u64 = 128;

/// Asks for a PIN and sets it.
///
/// # Errors
/// Nothing is typed, or two different ones, or the server says no.
pub(super) async fn set(whom: &Whom, reach: &Reach) -> Result<Account, Failure> {
    let server = Server::new(reach)?;
    let pin = typed()?;
    server.ask(Method::PUT, &whom.path(&["pin"]), &whom.query(), Some(&NewPin { pin })).await
}

fn typed() -> Result<Once, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&stdin);
    }
    let _hidden = Hidden::new(&stdin)?;
    complain(&["new PIN:".to_owned()]);
    let pin = line(&stdin)?;
    complain(&["once more:".to_owned()]);
    if line(&stdin)? == pin { Ok(pin) } else { Err(Failure::failed("the two are not the same", "nothing was changed")) }
}

/// One line, without its end.
fn line(stdin: &Stdin) -> Result<Once, Failure> {
    let mut line = Zeroizing::new(String::new());
    stdin.lock().take(LINE_MAX).read_line(&mut line).map_err(|error| Failure::failed(format!("cannot read the PIN: {error}"), ""))?;
    let pin = line.trim_end_matches(['\r', '\n']);
    if pin.is_empty() {
        return Err(Failure::Usage("there is no PIN on standard input".to_owned()));
    }
    Ok(Once::new(pin.to_owned()))
}

/// A terminal that does not show what is typed; it shows it again when this goes.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: Termios,
}

impl<'a> Hidden<'a> {
    fn new(stdin: &'a Stdin) -> Result<Self, Failure> {
        let broken = |error: nix::Error| Failure::failed(format!("the terminal cannot hide what is typed: {error}"), "hand the PIN over on standard input");
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
