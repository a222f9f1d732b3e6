//! Letters: to one mail server, over TLS, bounded in time and in number.

pub mod alerts;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use lettre::Address;
use lettre::AsyncSmtpTransport;
use lettre::AsyncTransport;
use lettre::Message;
use lettre::Tokio1Executor;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::Certificate;
use lettre::transport::smtp::client::CertificateStore;
use lettre::transport::smtp::client::Tls;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;
use tracing::debug;
use tracing::warn;

use crate::domain::Secret;
use crate::ports::MailError;
use crate::ports::Mailer;
use crate::reach;
use crate::reach::Found;

/// `[mail]`
#[derive(Clone, Debug)]
pub struct Settings {
    /// The server's name: its certificate must be for it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How letters are kept from others on their way there.
    pub security: Security,
    /// Who writes: an address, with a name before it or not.
    pub from: String,
    /// As whom we log in there.
    pub login: Option<Login>,
    /// The certificate authorities that may vouch for it, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// How long one letter may take: half of it until its turn comes, half for the server.
    pub timeout: Duration,
}

/// As whom we log in at the mail server.
#[derive(Clone, Debug)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How a connection is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: a server on this machine.
    Plain,
    /// TLS after a word in clear (RFC 3207); without it nothing is sent.
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

/// The mail server.
#[derive(Debug)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    host: String,
    port: u16,
    from: Mailbox,
    timeout: Duration,
    /// Letters that are sent or wait.
    room: Semaphore,
    /// Letters that are sent.
    turns: Semaphore,
}

/// Why there can be no mailer.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The CA file cannot be used.
    #[error("ca_file {}: {why}", path.display())]
    CaFile {
        /// As given.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The sender is no address.
    #[error("from: {0:?} is no mail address")]
    From(String),
    /// The TLS library does not start.
    #[error("TLS towards the mail server does not start: {0}")]
    Tls(String),
}

impl Smtp {
    /// Letters that wait or are being sent at a time.
    pub const QUEUE_MAX: usize = 256;
    /// Connections at a time.
    pub const TURNS_MAX: usize = 8;

    /// Nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn open(settings: &Settings) -> Result<Self, OpenError> {
        let from: Mailbox = settings.from.parse().map_err(|_| OpenError::From(settings.from.clone()))?;
        let tls = match settings.security {
            Security::Plain => Tls::None,
            Security::StartTls => Tls::Required(tls(settings)?),
            Security::Tls => Tls::Wrapper(tls(settings)?),
        };
        // A name of ours that the server can look up is more than we know; the domain we write from is one that exists.
        let hello = ClientId::Domain(from.email.domain().to_owned());
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .hello_name(hello)
            .timeout(Some(settings.timeout));
        if let Some(login) = &settings.login {
            let password = login.password.expose_text().unwrap_or_default();
            builder = builder.credentials(Credentials::new(login.user.clone(), password.to_owned()));
        }
        let (room, turns) = (Semaphore::new(Self::QUEUE_MAX), Semaphore::new(Self::TURNS_MAX));
        let (transport, host, port) = (builder.build(), settings.host.clone(), settings.port);
        Ok(Self { transport, host, port, from, timeout: settings.timeout, room, turns })
    }

    async fn sent(&self, letter: Message) -> Result<(), MailError> {
        let Err(error) = self.transport.send(letter).await else { return Ok(()) };
        let (why, status) = (why(&error), error.status().map(u16::from));
        warn!(why = why.as_str(), status, "the mail server has not taken a letter");
        // What it says is its own text, and may hold anything: an address, a code, a line of a log.
        debug!(said = ?cut(&error.to_string()), "what the mail server said");
        Err(why)
    }
}

impl Smtp {
    /// A server that takes connections is there, however late it greets and whatever it says: that it is slow may be one person's doing, or that of all who
    /// write to it, and is no outage (M-14). Nobody's name goes out with that.
    async fn looked(&self) -> MailError {
        match reach::look(&self.host, self.port).await {
            Found::Away => MailError::Unreachable,
            Found::There | Found::Untried => MailError::Busy,
        }
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, to: &str, subject: &str, body: &str) -> Result<(), MailError> {
        let _place = self.room.try_acquire().map_err(|_| MailError::Busy)?;
        let letter = letter(&self.from, to, subject, body)?;
        // Half of the time for the turn and half for the server: that we have much to send is no outage of theirs.
        let half = self.timeout / 2;
        let turn = tokio::time::timeout(half, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(MailError::Busy)?;
        match tokio::time::timeout(half, Box::pin(self.sent(letter))).await.unwrap_or(Err(MailError::Unreachable)) {
            Err(MailError::Unreachable) => Err(self.looked().await),
            outcome => outcome,
        }
    }

    async fn probe(&self) -> Result<(), MailError> {
        match tokio::time::timeout(self.timeout, Box::pin(self.transport.test_connection())).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(error)) => Err(why(&error)),
            Ok(Ok(false)) | Err(_) => Err(MailError::Unreachable),
        }
    }
}

/// Whose fault it is.
fn why(error: &lettre::transport::smtp::Error) -> MailError {
    match error.status() {
        Some(status) => refusal(status.into()),
        None if speaks_of_tls(error) || error.is_response() || error.is_client() => MailError::Misconfigured,
        None => MailError::Unreachable,
    }
}

/// Plain text to one address. Nothing in it begins another header.
fn letter(from: &Mailbox, to: &str, subject: &str, body: &str) -> Result<Message, MailError> {
    let torn = |text: &str| text.chars().any(char::is_control);
    if torn(to) || torn(subject) || to.len() > ADDRESS_BYTES_MAX || subject.len() > SUBJECT_BYTES_MAX || body.len() > BODY_BYTES_MAX {
        debug!("a letter with an impossible address, subject or length");
        return Err(MailError::Refused);
    }
    // An address alone, without a name: what is before an `@` may not smuggle a second one in.
    let to: Address = to.parse().map_err(|_| MailError::Refused)?;
    let headed = Message::builder().from(from.clone()).to(Mailbox::new(None, to)).subject(subject).header(ContentType::TEXT_PLAIN);
    headed.body(body.to_owned()).map_err(|_| MailError::Refused)
}

fn tls(settings: &Settings) -> Result<TlsParameters, OpenError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let wrong = |why: String| OpenError::CaFile { path: path.clone(), why };
        let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let trusted = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(trusted);
    }
    builder.build().map_err(|error| OpenError::Tls(error.to_string()))
}

/// A handshake that fails is an error of the connection there, and which it is stands behind it.
fn speaks_of_tls(error: &(dyn Error + 'static)) -> bool {
    // An io::Error hides the error it carries from source().
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| speaks_of_tls(inner)) || error.source().is_some_and(speaks_of_tls)
}

fn cut(text: &str) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

/// What a reply code means (RFC 5321 §4.2.3). That one person's mailbox is full or slow is no outage: somebody may be causing it (M-14).
fn refusal(status: u16) -> MailError {
    match status {
        // It has no time for us now, in its greeting or later: so it is there.
        421 => MailError::Busy,
        // The login, or that one is wanted (RFC 4954 §6).
        454 | 500..=538 => MailError::Misconfigured,
        _ => MailError::Refused,
    }
}

/// RFC 5321 §4.5.3.1.3.
const ADDRESS_BYTES_MAX: usize = 254;
const SAID_CHARS_MAX: usize = 200;
const SUBJECT_BYTES_MAX: usize = 200;
const BODY_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests;
