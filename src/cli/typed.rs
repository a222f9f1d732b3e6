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

/// Bytes of a line, its end among them.
const LINE_MAX: u64 = 4_096;
/// Bytes of a secret that comes from a pipe or a file.
const WHOLE_MAX: usize = 1 << 20;

/// One line: typed twice at a terminal, else the first of standard input. `what` it is, for people.
///
/// # Errors
/// Nothing is typed, or two different ones.
pub(super) fn secret(what: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(stdin.lock(), what);
    }
    let _hidden = Hidden::new(&stdin)?;
    complain(&[format!("new {what}:")]);
    let typed = line(stdin.lock(), what)?;
    complain(&["once more:".to_owned()]);
    if line(stdin.lock(), what)? == typed { Ok(typed) } else { Err(Failure::failed("the two are not the same", "nothing was changed")) }
}

/// All that comes on standard input, lines and all, without the newline at its end, for a key may have many lines; at a terminal one line, typed twice.
///
/// # Errors
/// Nothing comes, or more than 1 MiB.
pub(super) fn whole(what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return secret(what).map(|typed| Zeroizing::new(typed.as_bytes().to_vec()));
    }
    all(stdin.lock(), what)
}

fn all(from: impl Read, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    // Room for all of it from the start: a vector that grows leaves copies of the secret behind. Two bytes more are its newline, a third is too long.
    let room = WHOLE_MAX.saturating_add(3);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    from.take(u64::try_from(room).unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(|error| unread(what, &error))?;
    let secret = bytes.strip_suffix(b"\n").map_or(bytes.as_slice(), |bytes| bytes.strip_suffix(b"\r").unwrap_or(bytes));
    match secret.len() {
        0 => Err(Failure::Usage(format!("there is no {what} on standard input"))),
        length if length > WHOLE_MAX => Err(Failure::failed(format!("the {what} is longer than 1 MiB"), "nothing was changed")),
        _ => Ok(Zeroizing::new(secret.to_vec())),
    }
}

fn unread(what: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot read the {what}: {error}"), "")
}

/// One line that somebody types at a terminal, perhaps an empty one, and need not type twice: a wrong one is found out at once.
///
/// # Errors
/// The terminal cannot hide it, or nothing more comes.
pub(super) fn unseen() -> Result<Zeroizing<String>, Failure> {
    let stdin = io::stdin();
    let hidden = Hidden::new(&stdin)?;
    let typed = whole_line(stdin.lock(), "secret")?;
    drop(hidden);
    complain(&[String::new()]);
    if typed.is_empty() {
        return Err(Failure::failed("nobody types any more", "nothing was changed"));
    }
    Ok(without_end(&typed))
}

/// One line, without its end.
fn line(from: impl BufRead, what: &str) -> Result<Zeroizing<String>, Failure> {
    let text = without_end(&whole_line(from, what)?);
    if text.is_empty() {
        return Err(Failure::Usage(format!("there is no {what} on standard input")));
    }
    Ok(text)
}

fn whole_line(from: impl BufRead, what: &str) -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(usize::try_from(LINE_MAX).unwrap_or_default()));
    let read = from.take(LINE_MAX).read_line(&mut line).map_err(|error| unread(what, &error))?;
    if u64::try_from(read).is_ok_and(|read| read >= LINE_MAX) && !line.ends_with('\n') {
        return Err(Failure::failed(format!("the {what} is longer than {LINE_MAX} bytes"), "nothing was changed"));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_many_lines_comes_whole_and_one_that_is_too_long_not_at_all() {
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----",
            "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n".repeat(200)
        );
        for end in ["", "\n", "\r\n"] {
            assert_eq!(*all(format!("{pem}{end}").as_bytes(), "secret").unwrap(), pem.as_bytes());
        }
        assert_eq!(*all(&b"a\n\n"[..], "secret").unwrap(), b"a\n");
        assert_eq!(all("x".repeat(WHOLE_MAX).as_bytes(), "secret").unwrap().len(), WHOLE_MAX);
        assert!(matches!(all("x".repeat(WHOLE_MAX + 1).as_bytes(), "secret"), Err(Failure::Failed { .. })));
        assert!(matches!(all(&b"\n"[..], "secret"), Err(Failure::Usage(_))));
    }

    #[test]
    fn a_line_is_never_cut() {
        assert_eq!(line(&b"1234\nmore"[..], "PIN").unwrap().as_str(), "1234");
        let most = "x".repeat(4_095);
        assert_eq!(line(format!("{most}\n").as_bytes(), "PIN").unwrap().len(), 4_095);
        assert!(matches!(line(format!("{most}xx\n").as_bytes(), "PIN"), Err(Failure::Failed { .. })));
    }
}
