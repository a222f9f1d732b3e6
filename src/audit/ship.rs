//! Sends the audit on, by syslog or HTTP: out of its files, so that no login waits for a receiver, and one that was away gets what it missed.

mod follow;
mod post;
mod syslog;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio::time::timeout;

use self::follow::Batch;
use self::follow::Follow;
use self::post::Post;
use self::syslog::Syslog;
use super::book::Book;
use crate::domain::Secret;
use crate::metrics;

/// Lines gather for so long, so that many go with one message.
const GATHER: Duration = Duration::from_millis(200);
/// How long one batch may take, connecting and all.
const WITHIN: Duration = Duration::from_secs(20);
/// After the first failure; each further one doubles it, up to the second.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
const ROOM: &str = "audit";

/// One who is sent the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A collector that takes posts.
    Http {
        /// `https://..`, or `http://` to this machine.
        url: String,
        /// Who vouches for it, PEM; `None`: the machine's own authorities.
        ca_file: Option<PathBuf>,
        /// Goes along as `Authorization: Bearer`.
        token: Option<Secret>,
    },
    /// A syslog server (RFC 5424).
    Syslog {
        /// How it is reached.
        transport: Transport,
        /// Its name, or address.
        host: String,
        /// Its port.
        port: u16,
        /// Who vouches for it, PEM; `None`: the machine's own authorities.
        ca_file: Option<PathBuf>,
    },
}

/// How syslog messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RFC 6587, each message behind its length.
    Tcp,
    /// RFC 5425.
    Tls,
    /// RFC 5426: nobody knows whether it came.
    Udp,
}

impl Receiver {
    /// The word in log, metrics, and in the name of the file that says how far it is.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Syslog { .. } => "syslog",
        }
    }
}

/// Takes lines.
#[async_trait]
trait Sink: Send {
    /// All of them, in their order.
    ///
    /// # Errors
    /// It is not certain that all were taken: they are sent again.
    async fn send(&mut self, batch: &Batch) -> io::Result<()>;
}

/// Sends what is written behind the place where it left off; the very first time, what is written from now on. Must be called inside the tokio runtime.
///
/// # Errors
/// The receiver's certificates cannot be read, or TLS does not start.
pub(super) fn start(book: Book, node: &str, newest: watch::Receiver<u64>, receiver: &Receiver) -> io::Result<JoinHandle<()>> {
    let sink: Box<dyn Sink> = match receiver {
        Receiver::Http { url, ca_file, token } => Box::new(Post::new(url, ca_file.as_deref(), token.as_ref())?),
        Receiver::Syslog { transport, host, port, ca_file } => Box::new(Syslog::new(*transport, host, *port, ca_file.as_deref(), node)?),
    };
    let name = receiver.name();
    let mark = Mark(book.folder.join(format!("sent-{name}")));
    let end = *newest.borrow();
    // Written down at once: what comes while a receiver never takes anything is its as well.
    let sent = match mark.read()? {
        Some(sent) => sent,
        None => {
            mark.write(end)?;
            end
        }
    };
    if sent > end {
        tracing::warn!(to = name, sent, end, "more of the audit was sent than there is: it goes on with what is written from now on");
    }
    metrics::healthy(ROOM, name, true);
    metrics::audit_shipped(name, 0);
    metrics::audit_skipped(name, 0);
    let follow = Follow::new(book, node.to_owned(), sent.min(end).saturating_add(1));
    let shipper = Shipper { name, sink, newest, follow, mark, pause: None };
    Ok(tokio::spawn(shipper.run()))
}

/// Whether a receiver is there and can prove who it is; nothing is sent to it. Done within 10 s.
///
/// # Errors
/// What is in the way.
pub async fn probe(receiver: &Receiver) -> io::Result<()> {
    match receiver {
        Receiver::Http { url, ca_file, token } => Post::new(url, ca_file.as_deref(), token.as_ref())?.reach().await,
        Receiver::Syslog { transport, host, port, ca_file } => Syslog::new(*transport, host, *port, ca_file.as_deref(), "")?.reach().await,
    }
}

/// Up to which number everything was sent.
struct Mark(PathBuf);

impl Mark {
    fn read(&self) -> io::Result<Option<u64>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A crash may undo the last one: then lines come twice, and their numbers say so.
    fn write(&self, sent: u64) -> io::Result<()> {
        let new = self.0.with_extension("new");
        fs::write(&new, format!("{sent}\n"))?;
        fs::rename(&new, &self.0)
    }
}

struct Shipper {
    name: &'static str,
    sink: Box<dyn Sink>,
    newest: watch::Receiver<u64>,
    follow: Follow,
    mark: Mark,
    /// The receiver is away, and is left alone for so long.
    pause: Option<Duration>,
}

impl Shipper {
    async fn run(mut self) {
        loop {
            let next = self.follow.next();
            let Ok(newest) = self.newest.wait_for(|newest| *newest >= next).await.map(|newest| *newest) else { return };
            sleep(self.pause.unwrap_or(GATHER)).await;
            metrics::audit_behind(self.name, newest.saturating_sub(next).saturating_add(1));
            let follow = self.follow.clone();
            let Ok(read) = spawn_blocking(move || follow.read(newest)).await else { return };
            let outcome = match read {
                Ok((batch, follow)) => self.send(batch, follow).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(()) => self.well(),
                Err(error) => self.ill(&error),
            }
        }
    }

    async fn send(&mut self, batch: Batch, follow: Follow) -> io::Result<()> {
        timeout(WITHIN, self.sink.send(&batch)).await??;
        if let Some((from, to)) = batch.gap {
            tracing::error!(to = self.name, first = from, last = to, "lines of the audit were gone before they were sent; the receiver was told");
            metrics::audit_skipped(self.name, to.saturating_sub(from).saturating_add(1));
        }
        metrics::audit_shipped(self.name, batch.lines.len());
        self.follow = follow;
        let sent = self.follow.next().saturating_sub(1);
        metrics::audit_behind(self.name, self.newest.borrow().saturating_sub(sent));
        let mark = Mark(self.mark.0.clone());
        let written = spawn_blocking(move || mark.write(sent)).await.map_err(io::Error::other)?;
        // It was sent: that a restart will send it again is worth a word and no more.
        if let Err(error) = written {
            tracing::warn!(%error, file = %self.mark.0.display(), "how much of the audit was sent cannot be written down");
        }
        Ok(())
    }

    fn well(&mut self) {
        if self.pause.take().is_some() {
            tracing::info!(to = self.name, "the audit is sent again");
            metrics::healthy(ROOM, self.name, true);
        }
    }

    fn ill(&mut self, error: &io::Error) {
        let [first, last] = PAUSE;
        if self.pause.is_none() {
            tracing::warn!(to = self.name, %error, "the audit cannot be sent: nothing is lost, it is sent when the receiver takes it");
            metrics::healthy(ROOM, self.name, false);
        }
        self.pause = Some(self.pause.map_or(first, |pause| pause.saturating_mul(2).min(last)));
    }
}
