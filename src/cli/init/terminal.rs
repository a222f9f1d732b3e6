//! Questions: who asks them and how. A wrong answer is told why and asked for again; `?` tells more; nothing typed takes what stands in brackets.

use std::io;
use std::io::BufRead;
use std::io::Read;
use std::io::Write;

use zeroize::Zeroizing;

use crate::cli::output;
use crate::cli::output::Failure;
use crate::cli::typed;

/// Somebody who answers.
pub(super) trait Terminal {
    /// Shows a text.
    fn say(&mut self, text: &str) -> Result<(), Failure>;

    /// One line, asked for by this prompt.
    fn line(&mut self, prompt: &str) -> Result<String, Failure>;

    /// One line that nobody else sees.
    fn unseen(&mut self, prompt: &str) -> Result<Zeroizing<String>, Failure>;

    /// Whether a QR code can be drawn there.
    fn draws(&self) -> bool;
}

/// Standard input and output.
#[derive(Debug)]
pub(super) struct Real;

impl Terminal for Real {
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        output::say(text)
    }

    fn line(&mut self, prompt: &str) -> Result<String, Failure> {
        let mut out = io::stdout().lock();
        out.write_all(prompt.as_bytes())?;
        out.flush()?;
        let mut line = String::new();
        let read = io::stdin().lock().take(LINE_MAX).read_line(&mut line);
        match read {
            Ok(0) => Err(gone()),
            Ok(_) => Ok(line.trim().to_owned()),
            Err(error) => Err(Failure::failed(format!("cannot read the answer: {error}"), "nothing was changed")),
        }
    }

    fn unseen(&mut self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let mut out = io::stdout().lock();
        out.write_all(prompt.as_bytes())?;
        out.flush()?;
        drop(out);
        typed::unseen()
    }

    fn draws(&self) -> bool {
        true
    }
}

/// Nobody answers any more.
pub(super) fn gone() -> Failure {
    Failure::failed("nobody answers any more", "type it again: it asks from the start")
}

/// A question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// What is asked.
    pub(super) text: &'a str,
    /// What counts where nothing is typed.
    pub(super) usual: Option<&'a str>,
    /// What `?` tells.
    pub(super) help: &'a str,
}

/// Asks until `read` understands the answer.
pub(super) fn ask<T>(terminal: &mut dyn Terminal, question: Question<'_>, mut read: impl FnMut(&str) -> Result<T, String>) -> Result<T, Failure> {
    let prompt = match question.usual {
        Some("") => format!("{} [none]: ", question.text),
        Some(usual) => format!("{} [{usual}]: ", question.text),
        None => format!("{}: ", question.text),
    };
    loop {
        let typed = terminal.line(&prompt)?;
        let answer = match (typed.as_str(), question.usual) {
            ("?", _) => {
                terminal.say(&format!("  {}", question.help))?;
                continue;
            }
            ("", None) => {
                terminal.say(&format!("  there is no usual answer. {}", question.help))?;
                continue;
            }
            ("", Some(usual)) => usual,
            (typed, _) => typed,
        };
        match read(answer) {
            Ok(read) => return Ok(read),
            Err(why) => terminal.say(&format!("  {why}"))?,
        }
    }
}

/// Text of any kind, of at least one character where there is no usual answer.
pub(super) fn text(terminal: &mut dyn Terminal, question: Question<'_>) -> Result<String, Failure> {
    ask(terminal, question, |typed| if typed.chars().any(char::is_control) { Err("no control characters".to_owned()) } else { Ok(typed.to_owned()) })
}

/// Yes or no.
pub(super) fn yes(terminal: &mut dyn Terminal, text: &str, usual: bool, help: &str) -> Result<bool, Failure> {
    let question = Question { text, usual: Some(if usual { "yes" } else { "no" }), help };
    ask(terminal, question, |typed| match typed.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("yes or no".to_owned()),
    })
}

/// One of a few, by its number or its word; what each is stands behind it.
pub(super) fn choose<'w>(terminal: &mut dyn Terminal, question: Question<'_>, choices: &[(&'w str, &str)]) -> Result<&'w str, Failure> {
    let listed: Vec<_> = (1..).zip(choices).map(|(number, (word, what))| format!("  {number:>2}  {word:<14} {what}").trim_end().to_owned()).collect();
    terminal.say(&listed.join("\n"))?;
    ask(terminal, question, |typed| {
        let by_number = typed.parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
        let found = by_number.or_else(|| choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(typed)));
        found.map(|(word, _)| *word).ok_or_else(|| format!("a number from 1 to {}, or one of the words", choices.len()))
    })
}

/// Bytes of an answer.
const LINE_MAX: u64 = 4_096;
