//! Load for LDAP servers: binds and searches on many connections at once, each answer checked.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::sync::Arc;
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
use rustls::ClientConfig;
use serde_json::Value;
use serde_json::json;

use crate::Fault;
use crate::flags::Flags;
use crate::ldap_link;
use crate::ldap_link::Link;
use crate::ldap_link::Stage;
use crate::ldap_message as message;
use crate::ldap_message::Answer;
use crate::tally::Spent;
use crate::tally::Tally;
use crate::tally::Watched;
use crate::tally::rounded;

/// Bytes read at once.
const CHUNK_LEN: usize = 65_536;
/// A server of which so many connections broke is not worth more of them.
const LOST_MAX: u64 = 1_000;

/// Loads a server as the flags say and prints the report.
pub fn run(mut flags: Flags) -> Result<(), Fault> {
    let name = flags.or("name", String::new())?;
    let watched = Watched::new(flags.optional("pid")?)?;
    let plan = Plan::read(&mut flags)?;
    flags.finish()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let resting_mb = watched.memory_mb("VmRSS");
    let mut load = Load::new(plan)?;
    let window = load.go(&watched)?;
    println!("{}", load.report(&name, &watched, resting_mb, &window));
    Ok(())
}

/// What is done again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// A bind, on a kept connection.
    Rebind,
    /// A connection, a bind, an unbind.
    Connect,
    /// A search, on a kept connection that is bound.
    Search,
    /// A connection and a bind, once; it stays open.
    Hold,
}

struct Plan {
    work: Work,
    server: SocketAddrV4,
    connections: usize,
    /// Between two binds that are held.
    gap_ns: f64,
    total: Option<u64>,
    warmup: Duration,
    duration: Duration,
    timeout: Duration,
    first_user: u32,
    users: u32,
    base: String,
    entries: Option<u64>,
    tls: Option<Arc<ClientConfig>>,
}

impl Plan {
    fn read(flags: &mut Flags) -> Result<Self, Fault> {
        let work = match flags.or("work", "rebind".to_owned())?.as_str() {
            "rebind" => Work::Rebind,
            "connect" => Work::Connect,
            "search" => Work::Search,
            "hold" => Work::Hold,
            other => return Err(format!("--work {other}: rebind, connect, search or hold").into()),
        };
        let total = flags.optional("total")?;
        if work == Work::Hold && total.is_none() {
            return Err("--work hold wants a --total".into());
        }
        Ok(Self {
            work,
            server: flags.loopback("server")?,
            connections: flags.or("connections", 32)?,
            gap_ns: 1e9 / flags.or("rate", 500.0)?,
            total,
            warmup: flags.seconds("warmup", if total.is_some() { 0.0 } else { 1.0 })?,
            duration: flags.seconds("duration", 3.0)?,
            timeout: flags.seconds("timeout", 10.0)?,
            first_user: flags.or("first-user", 0)?,
            users: flags.or("users", 1_000)?,
            base: flags.or("base", "ou=people,dc=example,dc=com".to_owned())?,
            entries: flags.optional("entries")?,
            tls: flags.optional::<String>("ca")?.map(|path| ldap_link::tls(&path)).transpose()?,
        })
    }
}

/// Connections, and what came of them.
struct Load {
    plan: Plan,
    links: Vec<Option<Link>>,
    /// Those that may begin.
    free: Vec<usize>,
    /// When patience with the work of a connection ends: connection, and its number among all that was begun.
    patience: VecDeque<(u64, usize, u64)>,
    /// The number of the work each connection is at.
    at_work: Vec<u64>,
    begun: u64,
    open: usize,
    tally: Tally,
    /// Came in within the window.
    bytes: u64,
    epoll: Epoll,
    start: Instant,
    open_window: bool,
    stopped: bool,
}

/// What was measured when.
struct Window {
    seconds: f64,
    spent: Spent,
}

/// How a piece of work fails.
enum Failure {
    /// The connection broke, or nothing came.
    Lost,
    /// What came is no answer to what was asked.
    Bad,
    /// A good answer of the wrong kind.
    Unexpected,
}

impl Load {
    fn new(plan: Plan) -> Result<Self, Fault> {
        let slots = if plan.work == Work::Hold { 0 } else { plan.connections };
        Ok(Self {
            plan,
            links: (0..slots).map(|_| None).collect(),
            free: (0..slots).collect(),
            patience: VecDeque::new(),
            at_work: vec![0; slots],
            begun: 0,
            open: 0,
            tally: Tally::default(),
            bytes: 0,
            epoll: Epoll::new(EpollCreateFlags::empty())?,
            start: Instant::now(),
            open_window: false,
            stopped: false,
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Runs to the end, and what was spent in the window.
    fn go(&mut self, watched: &Watched) -> Result<Window, Fault> {
        let mut space = vec![0; CHUNK_LEN];
        let mut events = [EpollEvent::empty(); 256];
        self.start = Instant::now();
        let begin = self.plan.warmup.as_nanos() as u64;
        let end = begin + self.plan.duration.as_nanos() as u64;
        let mut before = None;
        loop {
            let now = self.now();
            if before.is_none() && now >= begin {
                before = Some((now, watched.spent()?));
                self.open_window = true;
            }
            if let (Some((since, spent)), true) = (&before, self.is_over(now, end)) {
                let after = watched.spent()?;
                let spent = Spent { server: after.server - spent.server, own: after.own - spent.own, all: after.all - spent.all };
                return Ok(Window { seconds: (now - since) as f64 / 1e9, spent });
            }
            self.begin(now)?;
            self.lose_patience(now)?;
            let count = match self.epoll.wait(&mut events, self.wait(now)) {
                Err(Errno::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                self.listen(event.data() as usize, &mut space)?;
            }
            if count == 0 {
                std::thread::yield_now();
            }
        }
    }

    fn is_over(&self, now: u64, end: u64) -> bool {
        self.plan.total.map_or(now >= end, |total| self.begun >= total && self.open == 0)
    }

    /// As many as can be are open: nobody sleeps, else each answer would wake us, at the server's cost. Held binds have time.
    fn wait(&self, now: u64) -> EpollTimeout {
        if self.plan.work != Work::Hold {
            return EpollTimeout::ZERO;
        }
        let due = self.due().filter(|_| !self.is_spent()).map_or(100, |due| due.saturating_sub(now) / 1_000_000);
        EpollTimeout::try_from(due.min(100)).unwrap_or(EpollTimeout::ZERO)
    }

    /// When the next bind that is held is due.
    fn due(&self) -> Option<u64> {
        (self.plan.work == Work::Hold).then_some((self.begun as f64 * self.plan.gap_ns) as u64)
    }

    fn is_spent(&self) -> bool {
        self.stopped || self.plan.total.is_some_and(|total| self.begun >= total)
    }

    fn begin(&mut self, now: u64) -> Result<(), Fault> {
        while !self.is_spent() {
            let (slot, due) = match self.due() {
                Some(due) if due > now => return Ok(()),
                Some(due) => {
                    self.links.push(None);
                    self.at_work.push(0);
                    (self.links.len() - 1, due)
                }
                None => match self.free.pop() {
                    Some(slot) => (slot, now),
                    None => return Ok(()),
                },
            };
            self.ask(slot, due, now)?;
        }
        Ok(())
    }

    fn ask(&mut self, slot: usize, due: u64, now: u64) -> Result<(), Fault> {
        let user = self.plan.first_user + (self.begun % u64::from(self.plan.users)) as u32;
        self.begun += 1;
        self.open += 1;
        self.tally.peak_open = self.tally.peak_open.max(self.open);
        self.at_work[slot] = self.begun;
        self.patience.push_back((now + self.plan.timeout.as_nanos() as u64, slot, self.begun));
        if self.links[slot].is_none() {
            let link = Link::open(self.plan.server, self.plan.tls.as_ref())?;
            self.epoll.add(link.fd(), EpollEvent::new(EpollFlags::EPOLLIN, slot as u64))?;
            self.links[slot] = Some(link);
        }
        let Some(link) = &mut self.links[slot] else { return Ok(()) };
        (link.due, link.user) = (due, user);
        let searches = self.plan.work == Work::Search && link.bound;
        if say(link, searches, &self.plan.base).is_err() { self.fail(slot, Failure::Lost) } else { Ok(()) }
    }

    fn lose_patience(&mut self, now: u64) -> Result<(), Fault> {
        while let Some((_, slot, number)) = self.patience.pop_front_if(|(until, ..)| *until <= now) {
            if self.at_work[slot] == number {
                self.fail(slot, Failure::Lost)?;
            }
        }
        Ok(())
    }

    fn listen(&mut self, slot: usize, space: &mut [u8]) -> Result<(), Fault> {
        let Some(link) = &mut self.links[slot] else { return Ok(()) };
        let Ok(Some(len)) = link.fill(space) else { return self.fail(slot, Failure::Lost) };
        self.bytes += if self.open_window { len as u64 } else { 0 };
        let mut taken = 0;
        loop {
            let Some(link) = &mut self.links[slot] else { return Ok(()) };
            match Answer::read(&link.read[taken..]) {
                Ok(None) => {
                    link.read.drain(..taken);
                    return Ok(());
                }
                Ok(Some(answer)) => {
                    taken += answer.len;
                    self.take(slot, &answer)?;
                }
                Err(message::Unreadable) => return self.fail(slot, Failure::Bad),
            }
        }
    }

    /// One answer.
    fn take(&mut self, slot: usize, answer: &Answer) -> Result<(), Fault> {
        let Some(link) = &mut self.links[slot] else { return Ok(()) };
        if answer.id != link.id {
            return self.fail(slot, Failure::Bad);
        }
        let well = answer.code == Some(0);
        match (link.stage, answer.op) {
            (Stage::Bind, message::BIND_RESPONSE) if well && link.is_full_handshake() => {
                link.bound = true;
                if self.plan.work == Work::Search {
                    return if say(link, true, &self.plan.base).is_err() { self.fail(slot, Failure::Lost) } else { Ok(()) };
                }
                self.tally.responses += u64::from(self.open_window);
                self.end(slot)
            }
            (Stage::Search, message::ENTRY) => {
                link.entries += 1;
                self.tally.responses += u64::from(self.open_window);
                Ok(())
            }
            (Stage::Search, message::SEARCH_DONE) if well && self.plan.entries.is_none_or(|entries| entries == link.entries) => self.end(slot),
            (Stage::Bind, message::BIND_RESPONSE) | (Stage::Search, message::SEARCH_DONE) => self.fail(slot, Failure::Unexpected),
            _ => self.fail(slot, Failure::Bad),
        }
    }

    /// A piece of work came to what it must.
    fn end(&mut self, slot: usize) -> Result<(), Fault> {
        let now = self.now();
        let Some(link) = &mut self.links[slot] else { return Ok(()) };
        link.stage = Stage::Idle;
        self.tally.ok += 1;
        if self.open_window {
            self.tally.ok_in_window += 1;
            self.tally.took(now - link.due);
        }
        if self.plan.work == Work::Connect
            && let Some(link) = self.links[slot].take()
        {
            let id = link.id + 1;
            link.close(&message::unbind(id))?;
        }
        self.rest(slot);
        Ok(())
    }

    fn fail(&mut self, slot: usize, failure: Failure) -> Result<(), Fault> {
        self.links[slot] = None;
        // One that was kept when its work was done and is closed only now was lost too.
        match failure {
            Failure::Lost => self.tally.lost += 1,
            Failure::Bad => self.tally.bad += 1,
            Failure::Unexpected => self.tally.unexpected += 1,
        }
        if self.at_work[slot] != 0 {
            self.rest(slot);
        }
        if self.tally.lost > LOST_MAX && self.plan.work != Work::Hold { Err("the server is not there: too many connections broke".into()) } else { Ok(()) }
    }

    fn rest(&mut self, slot: usize) {
        self.open -= 1;
        self.at_work[slot] = 0;
        if self.plan.work != Work::Hold {
            self.free.push(slot);
        }
    }

    fn report(&mut self, name: &str, watched: &Watched, resting_mb: f64, window: &Window) -> Value {
        let responses = self.tally.responses;
        let per_response = |seconds: f64| (responses > 0).then(|| rounded(seconds * 1e6 / responses as f64));
        let cores = |seconds: f64| rounded(seconds / window.seconds);
        let Spent { server, own, all } = window.spent;
        let mut report = json!({
            "name": name, "window_s": rounded(window.seconds), "connections": self.links.len(), "bytes": self.bytes,
            "own_us_per_response": per_response(own), "own_cores": cores(own), "other_cores": cores((all - own - server).max(0.0)),
        });
        if watched.any() {
            report["server_us_per_response"] = per_response(server).into();
            report["server_cores"] = cores(server).into();
            report["server_mb_per_cpu_s"] = (server > 0.0).then(|| rounded(self.bytes as f64 / 1e6 / server)).into();
            report["rss_before_mb"] = resting_mb.into();
            report["rss_peak_mb"] = watched.memory_mb("VmHWM").into();
        }
        report["main"] = self.tally.report(self.begun, window.seconds);
        report
    }
}

/// Sends the next question.
fn say(link: &mut Link, searches: bool, base: &str) -> std::io::Result<()> {
    link.id += 1;
    link.entries = 0;
    link.stage = if searches { Stage::Search } else { Stage::Bind };
    let user = link.user;
    let message = if searches { message::search(link.id, base) } else { message::bind(link.id, &format!("uid=u{user:06},{base}"), &format!("p{user:06}")) };
    link.send(&message)
}
