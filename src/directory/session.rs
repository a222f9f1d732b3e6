//! One connection with the LDAP client `ldap3` on it, for what is seldom asked, and the guard in front of the client.
//!
//! The client's BER parser recurses and has no limit: a hostile or broken directory would overflow our stack. So the client never sees the server. It talks to one
//! end of a socket pair; at the other end a task owns the real connection and passes on only what is measured (L-040, L-042).

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::io;
use std::os::unix;

use ldap3::Ldap;
use ldap3::LdapConnAsync;
use ldap3::LdapConnSettings;
use ldap3::LdapError;
use ldap3::Mod;
use ldap3::StdStream;
use ldap3::exop::PasswordModify;
use ldap3::result::ExopResult;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tracing::debug;
use tracing::error;
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::ports::Stream;
use crate::wire::ldap::Frame;

use super::line::Line;
use super::quota::PDU_BYTES_MAX;
use super::quota::Quota;
use super::quota::Violation;
use super::search::Answer;

/// A connection with an LDAP client on it. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Session {
    ldap: Ldap,
    /// The guard and the client's own task; they end when this goes.
    _tasks: JoinSet<()>,
}

/// A password that may go to a directory.
#[derive(Clone)]
pub(super) struct Password(Zeroizing<String>);

impl Password {
    /// `None` for the empty one, which a server would call a success without looking (RFC 4513 §5.1.2); for one with a NUL, behind which Samba stops reading
    /// (L-071); for what is not UTF-8, which no directory takes for a password (RFC 4513 §5.1.3, RFC 4519 §2.41).
    pub(super) fn of(secret: &Secret) -> Option<Self> {
        let text = secret.expose_text().filter(|text| !text.is_empty() && !text.contains('\0'))?;
        Some(Self(Zeroizing::new(text.to_owned())))
    }

    /// The plain text.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A server that gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// It said that it cannot answer now.
    #[error("the server is busy or unavailable (code {0})")]
    Away(u32),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// The client gave up on it.
    #[error("the connection broke: {0}")]
    Client(#[from] LdapError),
    /// The connection ended.
    #[error("the connection broke: {0}")]
    Lost(io::Error),
    /// The client tripped over what came.
    #[error("the server's answer is no LDAP")]
    Unreadable,
    /// What came is no answer.
    #[error("the server's answer is of no use: {0}")]
    Violation(#[from] Violation),
    /// Nothing came in time.
    #[error("no answer in time")]
    Timeout,
}

impl Session {
    /// Puts a client on a connection that is bound already. `server` is for the log.
    pub(super) async fn over(line: Line, server: String) -> Result<Self, Broken> {
        let stream = line.into_stream();
        let (ours, theirs) = unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(theirs));
        let (driver, ldap) = LdapConnAsync::with_settings(settings, "ldapi:///").await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            match guard(stream, ours).await {
                Ok(()) => {}
                Err(Violation::Io(why)) => debug!(server, error = %why, "connection to a directory server ended"),
                Err(why) => error!(server, error = %why, "a directory server sent what no directory sends: connection closed"),
            }
        });
        tasks.spawn(async move {
            if let Err(why) = driver.drive().await {
                debug!(error = %why, "LDAP client ended");
            }
        });
        Ok(Self { ldap, _tasks: tasks })
    }

    /// Changes `unicodePwd` of an object: takes the old value away and puts the new one in, in one operation, so that the old password must be right.
    pub(super) async fn modify_password(&self, dn: &str, old: &[u8], new: &[u8]) -> Result<Answer, Broken> {
        let (mut ldap, dn, name) = (self.ldap.clone(), dn.to_owned(), b"unicodePwd".to_vec());
        let changes = vec![Mod::Delete(name.clone(), HashSet::from([old.to_vec()])), Mod::Add(name, HashSet::from([new.to_vec()]))];
        let result = contained(async move { ldap.modify(&dn, changes).await }).await?;
        Ok(Answer { code: result.rc, text: result.text })
    }

    /// Changes the password of whom this connection is bound as (RFC 3062).
    pub(super) async fn change_own_password(&self, old: &Password, new: &Password) -> Result<Answer, Broken> {
        let (mut ldap, old, new) = (self.ldap.clone(), old.clone(), new.clone());
        let asked = contained(async move { ldap.extended(PasswordModify { user_id: None, old_pass: Some(&old.0), new_pass: Some(&new.0) }).await });
        let ExopResult(_, result) = asked.await?;
        Ok(Answer { code: result.rc, text: result.text })
    }
}

/// Runs work of the client's in a task of its own: it panics on answers it did not expect, and that must not end ours. Dropping the future ends the task.
async fn contained<T: Send + 'static>(work: impl Future<Output = Result<T, LdapError>> + Send + 'static) -> Result<T, Broken> {
    let mut one = JoinSet::new();
    one.spawn(work);
    match one.join_next().await {
        Some(Ok(result)) => Ok(result?),
        Some(Err(_)) | None => Err(Broken::Unreadable),
    }
}

/// Passes the client's requests on as they are, and whole, measured answers back, until one side ends.
async fn guard(mut server: Box<dyn Stream>, mut client: UnixStream) -> Result<(), Violation> {
    let mut requests = Zeroizing::new(vec![0; CHUNK]);
    let mut chunk = vec![0; CHUNK];
    let mut answers = Vec::new();
    let mut quota = Quota::default();
    loop {
        tokio::select! {
            count = client.read(&mut requests) => {
                let Some(bytes) = requests.get(..count?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                quota = Quota::default();
                server.write_all(bytes).await?;
                server.flush().await?;
            }
            count = server.read(&mut chunk) => {
                let Some(bytes) = chunk.get(..count?).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
                answers.extend_from_slice(bytes);
                while let Some(frame) = Frame::split(&answers, PDU_BYTES_MAX)? {
                    // Id 0: the server says goodbye (RFC 4511 §4.4.1), Active Directory in a form that the client would trip over.
                    if frame.id == 0 {
                        return Ok(());
                    }
                    quota.take(&frame)?;
                    let len = frame.bytes.len();
                    client.write_all(frame.bytes).await?;
                    answers.drain(..len);
                }
            }
        }
    }
}

const CHUNK: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l_010_l_071_an_empty_password_and_one_with_a_nul_are_none() {
        assert!(Password::of(&Secret::from("Pässwörd-€uro1")).is_some());
        assert!(Password::of(&Secret::from(" ")).is_some());
        assert!(Password::of(&Secret::from("")).is_none());
        assert!(Password::of(&Secret::from("\0")).is_none());
        assert!(Password::of(&Secret::from("Passw0rd!\0")).is_none());
        assert!(Password::of(&Secret::new(vec![0xff, b'a'])).is_none());
        assert_eq!(format!("{:?}", Password::of(&Secret::from("hunter2"))), "Some(Password(..))");
    }
}
