//! A small mail server (RFC 5321) that takes letters, or misbehaves where it is told to.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What it does at a word: `hello` (its own greeting), `EHLO`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `.` (the end of a letter).
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    Closes(&'static str),
    /// Sends a line that never ends.
    Endless(&'static str),
    Fine,
    /// Says nothing any more.
    Hangs(&'static str),
    Says(&'static str, &'static str),
}

/// A letter that was taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Letter {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) text: String,
    pub(super) encrypted: bool,
    pub(super) user: Option<String>,
}

/// A mail server on a port of its own. It is gone when it is dropped.
#[derive(Debug)]
pub(super) struct Office {
    port: u16,
    taken: Arc<Taken>,
    accepting: AbortHandle,
}

#[derive(Debug, Default)]
struct Taken {
    letters: Mutex<Vec<Letter>>,
    said: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

#[derive(Clone)]
struct Clerk {
    manner: Manner,
    tls: Option<TlsAcceptor>,
    at_once: bool,
    taken: Arc<Taken>,
}

/// How a conversation goes on.
enum Turn {
    End,
    Encrypt,
}

impl Office {
    pub(super) async fn open(manner: Manner) -> Self {
        Self::serve(manner, None, false).await
    }

    pub(super) async fn open_tls(manner: Manner, tls: TlsAcceptor, at_once: bool) -> Self {
        Self::serve(manner, Some(tls), at_once).await
    }

    async fn serve(manner: Manner, tls: Option<TlsAcceptor>, at_once: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::<Taken>::default();
        let clerk = Clerk { manner, tls, at_once, taken: Arc::clone(&taken) };
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                clerk.taken.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(clerk.clone().receive(stream));
            }
        });
        Self { port, taken, accepting: accepting.abort_handle() }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn letters(&self) -> Vec<Letter> {
        self.taken.letters.lock().unwrap().clone()
    }

    /// All lines that clients sent.
    pub(super) fn said(&self) -> Vec<String> {
        self.taken.said.lock().unwrap().clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.taken.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Clerk {
    /// Whatever breaks ends the connection.
    async fn receive(self, stream: TcpStream) {
        if let (Some(tls), true) = (&self.tls, self.at_once) {
            let Ok(stream) = tls.accept(stream).await else { return };
            self.talk(&mut BufReader::new(stream), true, true).await;
            return;
        }
        let mut stream = BufReader::new(stream);
        if let (Some(Turn::Encrypt), Some(tls)) = (self.talk(&mut stream, false, true).await, &self.tls) {
            let Ok(stream) = tls.accept(stream.into_inner()).await else { return };
            self.talk(&mut BufReader::new(stream), true, false).await;
        }
    }

    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: &mut BufReader<S>, encrypted: bool, greets: bool) -> Option<Turn> {
        if greets {
            self.say(stream, "hello", "220 mail.example").await?;
        }
        let mut letter = Letter { encrypted, ..Letter::default() };
        loop {
            let line = line(stream).await?;
            self.taken.said.lock().unwrap().push(line.clone());
            let word = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match word.as_str() {
                "EHLO" => {
                    let offers = if self.tls.is_some() && !encrypted { "250-STARTTLS\r\n" } else { "" };
                    self.say(stream, "EHLO", &format!("250-mail.example\r\n{offers}250-AUTH PLAIN\r\n250 8BITMIME")).await?;
                }
                "STARTTLS" => {
                    self.say(stream, "STARTTLS", "220 go on").await?;
                    return Some(Turn::Encrypt);
                }
                "AUTH" => {
                    let plain = decoded(line.rsplit(' ').next().unwrap_or_default());
                    letter.user = plain.split('\0').nth(1).map(str::to_owned);
                    self.say(stream, "AUTH", "235 welcome").await?;
                }
                "MAIL" => {
                    letter.from = between(&line);
                    self.say(stream, "MAIL", "250 fine").await?;
                }
                "RCPT" => {
                    letter.to.push(between(&line));
                    self.say(stream, "RCPT", "250 fine").await?;
                }
                "DATA" => {
                    self.say(stream, "DATA", "354 go on").await?;
                    if matches!(self.manner, Manner::Says("DATA", _)) {
                        continue;
                    }
                    letter.text = text(stream).await?;
                    self.say(stream, ".", "250 taken").await?;
                    self.taken.letters.lock().unwrap().push(std::mem::take(&mut letter));
                }
                "QUIT" => {
                    self.say(stream, "QUIT", "221 bye").await?;
                    return Some(Turn::End);
                }
                _ => self.say(stream, "", "502 what").await?,
            }
        }
    }

    /// `None` where the conversation is over.
    async fn say<S: AsyncWrite + Unpin>(&self, stream: &mut S, at: &str, usual: &str) -> Option<()> {
        let words = match self.manner {
            Manner::Closes(word) if word == at => return None,
            Manner::Hangs(word) if word == at => return std::future::pending().await,
            Manner::Endless(word) if word == at => loop {
                stream.write_all(&[b'2'; 4_096]).await.ok()?;
            },
            Manner::Says(word, says) if word == at => says,
            _ => usual,
        };
        stream.write_all(format!("{words}\r\n").as_bytes()).await.ok()?;
        stream.flush().await.ok()
    }
}

async fn line<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut line = String::new();
    let read = stream.read_line(&mut line).await.ok()?;
    (read > 0).then(|| line.trim_end().to_owned())
}

/// A letter up to the point that ends it.
async fn text<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}

/// What stands between `<` and `>`.
fn between(line: &str) -> String {
    line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or_else(String::new, |(inside, _)| inside.to_owned())
}

fn decoded(text: &str) -> String {
    use base64::Engine as _;
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default()).unwrap_or_default()
}
