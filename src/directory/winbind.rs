//! MS-CHAP-V2 checked by a domain controller: Samba's winbind, asked through a few long-lived `ntlm_auth` processes.
//!
//! A process answers one question after the other and its answers carry no number. So one that is late, dies or says what was not asked for is killed: its next
//! answer could be somebody else's.

mod answer;
mod first;

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Waker;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::process::Child;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;
use tokio::process::Command;
use tokio::time::timeout;
use tracing::info;
use tracing::warn;
use zeroize::Zeroizing;

use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Refused;
use crate::metrics;
use crate::wire::mschap::HashHash;

use super::pool::Gate;

pub use self::first::ByWinbind;

use self::answer::Nonsense;
use self::answer::Topic;
use self::answer::Verdict;

/// One `[winbind.NAME]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// Samba's `ntlm_auth`.
    pub program: PathBuf,
    /// Processes at once, 1..64.
    pub helpers_max: usize,
    /// How long one may wait for a free process, and then for its answer.
    pub timeout: Duration,
}

/// The processes, and how they are.
#[derive(Debug)]
pub struct Winbind {
    settings: Settings,
    gate: Gate,
    idle: Mutex<Vec<Helper>>,
    /// What was last told of our health.
    well: Mutex<Option<bool>>,
}

/// Why a response did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WinbindError {
    /// Nobody decided.
    Outage(Outage),
    /// The domain controller said no.
    Refused(Refused),
}

impl Winbind {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        let gate = Gate::new(settings.helpers_max.clamp(1, HELPERS_MAX), settings.timeout);
        Arc::new(Self { settings, gate, idle: Mutex::default(), well: Mutex::default() })
    }

    /// Whether `nt_response` is what `user` of `domain` answers to `challenge` (RFC 2759 §8.2 makes that of two challenges and a name). The answer is what all else is
    /// made of: the hash of the password's hash.
    ///
    /// # Errors
    /// `Refused` with the reason; the domain controller tells [`Refused::Disabled`] and its kin only to who knows the password, [`Refused::LockedOut`] to everybody.
    /// `Outage` when it could not be asked.
    pub async fn check(&self, domain: &str, user: &str, challenge: &[u8; 8], nt_response: &[u8; 24]) -> Result<HashHash, WinbindError> {
        let Some(names) = names(domain, user) else { return Err(WinbindError::Refused(Refused::UnknownName)) };
        let mut question = Zeroizing::new(names);
        field(&mut question, "LANMAN-Challenge", challenge);
        field(&mut question, "NT-Response", nt_response);
        question.push_str("Request-User-Session-Key: Yes\n.\n");
        let _slot = self.gate.enter().await.map_err(WinbindError::Outage)?;
        let helper = self.take().map_or_else(|| self.start(Topic::Authentication), Ok);
        let heard = self.ask(helper, &question).await;
        match self.decided(heard, answer::refusal) {
            Ok(Some(hash_hash)) => Ok(hash_hash),
            Err(Some(why)) => Err(WinbindError::Refused(why)),
            Ok(None) | Err(None) => Err(WinbindError::Outage(Outage::Directory)),
        }
    }

    /// Whether a domain controller decides, asked about a name that no account can have, so that it counts against nobody. Bounded by the time-out.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn probe(&self, domain: &str) -> Result<(), String> {
        let mut question = names(domain, NOBODY).ok_or_else(|| "that is no domain".to_owned())?;
        field(&mut question, "LANMAN-Challenge", &[0; 8]);
        field(&mut question, "NT-Response", &[0; 24]);
        question.push_str(".\n");
        match self.ask(self.start(Topic::Authentication), &question).await {
            Ok(Verdict::No(text)) if answer::refusal(&text).is_some() => Ok(()),
            Ok(Verdict::No(text)) => Err(Trouble::Unclear(text).to_string()),
            Ok(Verdict::Yes(_)) => Err(Trouble::Nonsense.to_string()),
            Err(trouble) => Err(trouble.to_string()),
        }
    }

    /// Gives `user` of `domain` a new password, both encrypted by the client as RFC 2759 §8.9 and §8.12 say.
    ///
    /// A domain controller does this for a disabled account too: that the person may is settled before.
    ///
    /// # Errors
    /// Why the password is what it was; after an `Outage` nobody knows.
    pub async fn change(&self, domain: &str, user: &str, new_password: &[u8; 516], old_hash: &[u8; 16]) -> Result<(), PasswordError> {
        let mut question = Zeroizing::new(names(domain, user).ok_or(PasswordError::WrongOld)?);
        field(&mut question, "new-nt-password-blob", new_password);
        field(&mut question, "old-nt-hash-blob", old_hash);
        question.push_str(".\n");
        let _slot = self.gate.enter().await.map_err(PasswordError::Outage)?;
        // Rare enough for a process of its own.
        let heard = self.ask(self.start(Topic::Change), &question).await;
        match self.decided(heard, answer::change_refusal) {
            Ok(_) => Ok(()),
            Err(why) => Err(why.unwrap_or(PasswordError::Outage(Outage::Directory))),
        }
    }

    /// One question, one answer. The process is kept if it said that and nothing else.
    async fn ask(&self, helper: Result<Helper, Trouble>, question: &str) -> Result<Verdict, Trouble> {
        let mut helper = helper?;
        let heard = timeout(self.settings.timeout, helper.answer(question)).await.unwrap_or(Err(Trouble::Timeout));
        // Any other is dropped here, and killed by that.
        if heard.is_ok() && helper.topic == Topic::Authentication {
            self.idle().push(helper);
        }
        heard
    }

    /// A process that waits for a question and has said nothing meanwhile.
    fn take(&self) -> Option<Helper> {
        let mut idle = self.idle();
        while let Some(mut helper) = idle.pop() {
            if helper.is_ready() {
                return Some(helper);
            }
        }
        None
    }

    fn start(&self, topic: Topic) -> Result<Helper, Trouble> {
        let mut command = Command::new(&self.settings.program);
        // Nothing of what systemd told us is for it, and credentials least of all.
        command.args(topic.arguments()).current_dir("/").env_clear().env("PATH", PATH).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(Trouble::Ended) };
        Ok(Helper { topic, child, stdin, stdout })
    }

    /// Takes the words of a refusal for what they mean. Words that say nothing about the person are an outage: `Err(None)`.
    fn decided<T>(&self, heard: Result<Verdict, Trouble>, means: fn(&str) -> Option<T>) -> Result<Option<HashHash>, Option<T>> {
        let trouble = match heard {
            Ok(Verdict::Yes(hash_hash)) => {
                self.tell(None);
                return Ok(hash_hash);
            }
            Ok(Verdict::No(text)) => match means(&text) {
                Some(why) => {
                    self.tell(None);
                    return Err(Some(why));
                }
                None => Trouble::Unclear(text),
            },
            Err(trouble) => trouble,
        };
        self.tell(Some(&trouble));
        Err(None)
    }

    /// Tells a change of our health, once.
    fn tell(&self, trouble: Option<&Trouble>) {
        let is_well = trouble.is_none();
        let before = self.well.lock().unwrap_or_else(PoisonError::into_inner).replace(is_well);
        if before == Some(is_well) {
            return;
        }
        let name = &self.settings.name;
        metrics::healthy("winbind", name, is_well);
        match trouble {
            None if before.is_none() => {}
            None => info!(winbind = name, "winbind answers again"),
            Some(why) => warn!(
                winbind = name,
                program = %self.settings.program.display(),
                error = %why,
                "winbind does not decide: does winbindd run, is this machine joined (wbinfo -t), may we use its privileged pipe (group winbindd_priv)?"
            ),
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Helper>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process. Dropping it kills it.
#[derive(Debug)]
struct Helper {
    topic: Topic,
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
}

impl Helper {
    async fn answer(&mut self, question: &str) -> Result<Verdict, Trouble> {
        self.stdin.write_all(question.as_bytes()).await?;
        self.stdin.flush().await?;
        let mut said = Zeroizing::new(Vec::with_capacity(ANSWER_LEN_MAX));
        let mut chunk = Zeroizing::new([0; ANSWER_LEN_MAX]);
        loop {
            let count = self.stdout.read(chunk.as_mut_slice()).await?;
            let bytes = chunk.get(..count).filter(|bytes| !bytes.is_empty()).ok_or(Trouble::Ended)?;
            if said.len().saturating_add(count) > ANSWER_LEN_MAX {
                return Err(Trouble::Nonsense);
            }
            said.extend_from_slice(bytes);
            if let Some(verdict) = self.topic.hear(&said)? {
                return Ok(verdict);
            }
        }
    }

    /// Whether it lives and is silent.
    fn is_ready(&mut self) -> bool {
        let mut unasked = [0];
        let said = Pin::new(&mut self.stdout).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut unasked));
        said.is_pending() && matches!(self.child.try_wait(), Ok(None))
    }
}

/// Why a process gave no answer.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("ntlm_auth ended")]
    Ended,
    #[error("ntlm_auth cannot be started or spoken to: {0}")]
    Io(#[from] std::io::Error),
    #[error("ntlm_auth said something else than it was asked")]
    Nonsense,
    #[error("ntlm_auth did not answer in time")]
    Timeout,
    #[error("ntlm_auth says {0:?}")]
    Unclear(String),
}

impl From<Nonsense> for Trouble {
    fn from(Nonsense: Nonsense) -> Self {
        Self::Nonsense
    }
}

/// The lines that say who. Base64, so that no sign of a name is ever a line of ours; `None` for what no account is called: nothing, too much, signs one cannot see
/// (behind a NUL the program would stop reading).
fn names(domain: &str, user: &str) -> Option<String> {
    let is_fit = |name: &str| !name.is_empty() && name.len() <= NAME_LEN_MAX && !name.contains(char::is_control);
    // Room for all that follows, so that no half-written copy is left behind in memory.
    let mut lines = String::with_capacity(QUESTION_LEN_MAX);
    // A controller would take a name with one of these for a name of another form.
    if !is_fit(domain) || !is_fit(user) || user.contains(['@', '\\', '/']) {
        return None;
    }
    for (name, value) in [("NT-Domain", domain), ("Username", user)] {
        lines.push_str(name);
        lines.push_str(":: ");
        STANDARD.encode_string(value, &mut lines);
        lines.push('\n');
    }
    Some(lines)
}

/// A line with bytes in hexadecimal.
fn field(question: &mut String, name: &str, bytes: &[u8]) {
    question.push_str(name);
    question.push_str(": ");
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            question.push(char::from_digit(u32::from(digit), 16).unwrap_or_default());
        }
    }
    question.push('\n');
}

/// Where what the helper starts is looked for.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Processes at once; each is a connection to winbindd, which has 200 of them.
const HELPERS_MAX: usize = 64;
/// Has signs that no name of an account may have (MS-SAMR §3.1.1.8.4), so that no controller counts a wrong password.
const NOBODY: &str = "vestibule:check?";
/// Octets of an answer: a verdict, one line of explanation, two dots.
const ANSWER_LEN_MAX: usize = 4_096;
/// Octets of a question: two names in base64, two blobs in hexadecimal, and the words around them.
const QUESTION_LEN_MAX: usize = 2_048;
const NAME_LEN_MAX: usize = 256;

#[cfg(test)]
mod tests;
