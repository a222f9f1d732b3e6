//! A stand-in for Duo's Auth API (HTTP/1.1, loopback, kept connections): everybody has a phone and approves after a while.
//!
//! It remembers nothing: a transaction's id says when it will be approved. Signatures are not looked at.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::epoll::Epoll;
use nix::sys::epoll::EpollCreateFlags;
use nix::sys::epoll::EpollEvent;
use nix::sys::epoll::EpollFlags;
use nix::sys::epoll::EpollTimeout;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;

use crate::Fault;
use crate::flags::Flags;

/// Duo tells the first poll of a question at once that it is out; one that comes within this time is taken for the first.
const FIRST_POLL: Duration = Duration::from_millis(200);
/// Bytes of one request; ours have a few hundred.
const REQUEST_LEN_MAX: usize = 16_384;

/// Answers until it is killed.
pub fn serve(mut flags: Flags) -> Result<(), Fault> {
    let listen = flags.loopback("listen")?;
    let approve_after = flags.seconds("approve-after", 10.0)?;
    let holds = match flags.or("poll", "hold".to_owned())?.as_str() {
        "hold" => true,
        "wait" => false,
        other => return Err(format!("--poll {other}: hold or wait").into()),
    };
    flags.finish()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, listener.as_raw_fd() as u64))?;
    Cloud { listener, epoll, approve_after, holds, start: Instant::now(), wires: HashMap::new(), held: BTreeMap::new(), asked: 0 }.run()
}

struct Cloud {
    listener: TcpListener,
    epoll: Epoll,
    approve_after: Duration,
    holds: bool,
    start: Instant,
    /// Connections by descriptor.
    wires: HashMap<u64, Wire>,
    /// Polls that wait for the moment of approval, in ms since the start.
    held: BTreeMap<(u64, u64), ()>,
    asked: u64,
}

struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
enum Errand {
    Answer(String),
    /// Until that moment, in ms since the start.
    Hold(u64),
}

impl Cloud {
    fn run(mut self) -> Result<(), Fault> {
        let mut events = [EpollEvent::empty(); 512];
        loop {
            let now = self.ms();
            let wait =
                self.held.keys().next().map_or(EpollTimeout::NONE, |(due, _)| EpollTimeout::try_from(due.saturating_sub(now)).unwrap_or(EpollTimeout::NONE));
            let count = match self.epoll.wait(&mut events, wait) {
                Err(Errno::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                if event.data() == self.listener.as_raw_fd() as u64 { self.accept()? } else { self.read(event.data()) }
            }
            let now = self.ms();
            while let Some(entry) = self.held.first_entry().filter(|entry| entry.key().0 <= now) {
                let (_, wire) = entry.remove_entry().0;
                self.answer(wire, APPROVED);
            }
        }
    }

    fn ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn accept(&mut self) -> Result<(), Fault> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    let key = stream.as_raw_fd() as u64;
                    self.epoll.add(stream.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, key))?;
                    self.wires.insert(key, Wire { stream, read: Vec::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, key: u64) {
        let Some(wire) = self.wires.get_mut(&key) else { return };
        let mut bytes = [0; 4_096];
        match wire.stream.read(&mut bytes) {
            Ok(count) if count > 0 && wire.read.len() < REQUEST_LEN_MAX => wire.read.extend(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            _ => return self.close(key),
        }
        while let Some(target) = self.wires.get_mut(&key).and_then(|wire| request(&mut wire.read)) {
            match self.errand(&target) {
                Errand::Answer(body) => self.answer(key, &body),
                Errand::Hold(due) => {
                    self.held.insert((due, key), ());
                }
            }
        }
    }

    fn errand(&mut self, target: &str) -> Errand {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Errand::Answer(match path {
            "/auth/v2/preauth" => PREAUTH.to_owned(),
            "/auth/v2/auth" => {
                self.asked += 1;
                let due = self.ms() + self.approve_after.as_millis() as u64;
                format!(r#"{{"stat":"OK","response":{{"txid":"{due:x}-{:x}"}}}}"#, self.asked)
            }
            "/auth/v2/auth_status" => return self.status(query),
            "/auth/v2/ping" | "/auth/v2/check" => r#"{"stat":"OK","response":{"time":0}}"#.to_owned(),
            _ => r#"{"stat":"FAIL","code":40401,"message":"Resource not found"}"#.to_owned(),
        })
    }

    fn status(&self, query: &str) -> Errand {
        let due = query.strip_prefix("txid=").and_then(|txid| txid.split_once('-')).and_then(|(due, _)| u64::from_str_radix(due, 16).ok());
        let now = self.ms();
        match due {
            None => Errand::Answer(r#"{"stat":"FAIL","code":40002,"message":"Invalid request parameters"}"#.to_owned()),
            Some(due) if due <= now => Errand::Answer(APPROVED.to_owned()),
            Some(due) if self.holds && now + self.approve_after.as_millis() as u64 > due + FIRST_POLL.as_millis() as u64 => Errand::Hold(due),
            Some(_) => Errand::Answer(WAITING.to_owned()),
        }
    }

    fn answer(&mut self, key: u64, body: &str) {
        let Some(wire) = self.wires.get_mut(&key) else { return };
        let status = if body.contains("FAIL") { "400 Bad Request" } else { "200 OK" };
        let whole = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        // An answer is short: a socket that does not take it whole is one whose owner reads nothing.
        if wire.stream.write(whole.as_bytes()).ok() != Some(whole.len()) {
            self.close(key);
        }
    }

    fn close(&mut self, key: u64) {
        self.wires.remove(&key);
        self.held.retain(|(_, wire), ()| *wire != key);
    }
}

/// Takes one whole request out of what was read and gives its target.
fn request(read: &mut Vec<u8>) -> Option<String> {
    let head = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&read[..head]).to_ascii_lowercase();
    let body = text.lines().find_map(|line| line.strip_prefix("content-length:")).and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let whole = read.get(..head + body)?.len();
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    read.drain(..whole);
    Some(target)
}

const PREAUTH: &str = r#"{"stat":"OK","response":{"result":"auth","status_msg":"Account is active","devices":[{"device":"DPLOAD00000000000001","type":"phone","capabilities":["auto","push","phone","mobile_otp"]}]}}"#;
const APPROVED: &str = r#"{"stat":"OK","response":{"result":"allow","status":"allow","status_msg":"Success. Logging you in..."}}"#;
const WAITING: &str = r#"{"stat":"OK","response":{"result":"waiting","status":"pushed","status_msg":"Pushed a login request to your device..."}}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_taken_one_by_one_and_whole() {
        let mut read = b"POST /auth/v2/auth HTTP/1.1\r\nContent-Length: 3\r\n\r\n{}".to_vec();
        assert_eq!(request(&mut read), None);
        read.extend(b"\nGET /auth/v2/ping HTTP/1.1\r\n\r\n");
        assert_eq!(request(&mut read).as_deref(), Some("/auth/v2/auth"));
        assert_eq!(request(&mut read).as_deref(), Some("/auth/v2/ping"));
        assert!(read.is_empty());
    }

    #[test]
    fn a_question_is_approved_at_its_moment_and_not_before() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
        let start = Instant::now() - Duration::from_secs(60);
        let mut cloud =
            Cloud { listener, epoll, approve_after: Duration::from_secs(10), holds: true, start, wires: HashMap::new(), held: BTreeMap::new(), asked: 0 };
        let now = cloud.ms();
        let mut status = |due: u64| cloud.errand(&format!("/auth/v2/auth_status?txid={due:x}-1"));
        assert_eq!(status(now + 10_000), Errand::Answer(WAITING.to_owned()));
        assert_eq!(status(now + 5_000), Errand::Hold(now + 5_000));
        assert_eq!(status(now - 1), Errand::Answer(APPROVED.to_owned()));
    }
}
