//! The run: begins what is due, sends in batches, checks what comes, asks again where nothing does.

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::os::fd::AsFd;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::ppoll;
use nix::sys::epoll::Epoll;
use nix::sys::epoll::EpollCreateFlags;
use nix::sys::epoll::EpollEvent;
use nix::sys::epoll::EpollFlags;
use nix::sys::epoll::EpollTimeout;
use nix::sys::prctl::set_timerslack;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::sys::time::TimeSpec;
use serde_json::json;

use crate::Fault;
use crate::batch::BATCH_MAX;
use crate::batch::Inbox;
use crate::batch::Outbox;
use crate::flags::Flags;
use crate::garbage::Garbage;
use crate::line::Line;
use crate::line::Open;
use crate::line::Stage;
use crate::packet;
use crate::packet::Ask;
use crate::packet::Secret;
use crate::source::Begin;
use crate::source::Source;
use crate::tally::Spent;
use crate::tally::Watched;
use crate::tally::rounded;

/// Loads a server as the flags say and prints the report.
pub fn run(mut flags: Flags) -> Result<(), Fault> {
    let name = flags.or("name", String::new())?;
    let watched = Watched::new(flags.optional("pid")?)?;
    let mut run = Run::new(&mut flags)?;
    flags.finish()?;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    // Due moments are kept to the microsecond, not to the usual 50.
    set_timerslack(1)?;
    let resting_mb = watched.memory_mb("VmRSS");
    let window = run.go(&watched)?;
    println!("{}", run.report(&name, &watched, resting_mb, &window));
    Ok(())
}

struct Run {
    sources: Vec<Source>,
    garbage: Option<Garbage>,
    lines: Vec<Line>,
    /// Lines that have something to send.
    dirty: Vec<usize>,
    /// Requests in the order in which patience with them ends: line, identifier and number.
    timers: Vec<VecDeque<(u64, usize, u8, u64)>>,
    number: u64,
    server: SocketAddrV4,
    secret: Secret,
    unsigned_ok: bool,
    warmup: Duration,
    duration: Duration,
    epoll: Epoll,
    outbox: Outbox,
    chance: Chance,
    start: Instant,
    open_window: bool,
    /// Answers to nothing that is open: late ones, doubled ones.
    stray: u64,
}

/// What was measured when.
struct Window {
    seconds: f64,
    spent: Spent,
}

impl Run {
    fn new(flags: &mut Flags) -> Result<Self, Fault> {
        let server = flags.loopback("server")?;
        let secret = Secret::new(flags.or("secret", "testing123".to_owned())?.as_bytes());
        let main = Source::main(flags)?;
        let warmup = flags.seconds("warmup", if main.has_total() { 0.0 } else { 1.0 })?;
        let mut chance = Chance::new(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos() as u64);
        let garbage_from = flags.or("garbage-from", main.from)?;
        let garbage = flags.optional("garbage")?.map(|rate| Garbage::new(rate, garbage_from, server, &secret, &mut chance)).transpose()?;
        let sources: Vec<Source> = [Some(main), Source::canary(flags)?].into_iter().flatten().collect();
        Ok(Self {
            timers: sources.iter().map(|_| VecDeque::new()).collect(),
            sources,
            garbage,
            lines: Vec::new(),
            dirty: Vec::new(),
            number: 0,
            server,
            secret,
            unsigned_ok: flags.or("unsigned-ok", 0)? != 0,
            warmup,
            duration: flags.seconds("duration", 3.0)?,
            epoll: Epoll::new(EpollCreateFlags::empty())?,
            outbox: Outbox::new(),
            chance,
            start: Instant::now(),
            open_window: false,
            stray: 0,
        })
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Runs to the end, and what was spent in the window.
    fn go(&mut self, watched: &Watched) -> Result<Window, Fault> {
        let mut inbox = Inbox::new();
        let mut events = [EpollEvent::empty(); 256];
        self.start = Instant::now();
        let begin = self.warmup.as_nanos() as u64;
        let end = begin + self.duration.as_nanos() as u64;
        let mut before = None;
        let mut window = None;
        loop {
            let now = self.now();
            if before.is_none() && now >= begin {
                before = Some((now, watched.spent()?));
                self.open_window = true;
            }
            if let (Some((since, spent)), None) = (&before, &window)
                && self.is_over(now, end)
            {
                let after = watched.spent()?;
                let spent = Spent { server: after.server - spent.server, own: after.own - spent.own, all: after.all - spent.all };
                window = Some(Window { seconds: (now - since) as f64 / 1e9, spent });
                self.open_window = false;
                self.sources.iter_mut().for_each(|source| source.stopped = true);
            }
            if window.is_some() && self.sources.iter().all(|source| source.open == 0) {
                break;
            }
            self.begin(now)?;
            self.ask_again(now);
            if let Some(garbage) = self.garbage.as_mut().filter(|_| window.is_none()) {
                garbage.send(now, &mut self.outbox)?;
                garbage.listen(&mut inbox)?;
            }
            self.flush()?;
            self.wait(if window.is_none() { end } else { u64::MAX })?;
            let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
                Err(Errno::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                self.listen(event.data() as usize, &mut inbox)?;
            }
        }
        window.ok_or_else(|| "the run ended before its window".into())
    }

    /// With a total the window ends when the last login has; else at its time, or when nobody has a code left.
    fn is_over(&self, now: u64, end: u64) -> bool {
        let main = &self.sources[0];
        if main.has_total() { main.is_spent() && main.open == 0 } else { now >= end || main.is_spent() }
    }

    fn begin(&mut self, now: u64) -> Result<(), Fault> {
        for source in 0..self.sources.len() {
            // In turns with sending, so that a great many do not go out as one burst behind the server's back.
            for _ in 0..4 * BATCH_MAX {
                let chance = self.chance.next();
                let Some(Begin { user, round, due }) = self.sources[source].begin(now, chance) else { break };
                self.ask(source, user, round, due, None, now)?;
            }
        }
        Ok(())
    }

    /// Makes a request and lines it up: name and password, or the code to a State.
    fn ask(&mut self, source: usize, user: u32, round: u32, due: u64, state: Option<&[u8]>, now: u64) -> Result<(), Fault> {
        let (line, identifier) = self.place(source)?;
        let (authenticator, number) = (self.chance.authenticator(), self.number);
        self.number += 1;
        let of = &self.sources[source];
        let password = match state {
            None => of.password_of(user),
            Some(_) => of.code_of(user, round, SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?).unwrap_or_default(),
        };
        let ask = Ask { name: &of.name_of(user), password: &password, state, calling: of.calling.as_deref(), nas: of.from };
        let packet = packet::request(&self.secret, identifier, &authenticator, &ask);
        let stage = if state.is_none() { Stage::Password } else { Stage::Code };
        self.lines[line].put(identifier, Box::new(Open { source, user, round, stage, due, number, tries: 0, authenticator, packet }));
        self.line_up(line, identifier, number, source, now);
        Ok(())
    }

    /// A free identifier: on the line in use, the next that has one, or a new line.
    fn place(&mut self, source: usize) -> Result<(usize, u8), Fault> {
        let Source { lines, current, from, .. } = &mut self.sources[source];
        for _ in 0..lines.len() {
            let line = lines[*current % lines.len()];
            if let Some(identifier) = self.lines[line].free() {
                return Ok((line, identifier));
            }
            *current += 1;
        }
        let mut line = Line::new(*from, self.server)?;
        let identifier = line.free().ok_or("a new socket has no free identifier")?;
        let at = self.lines.len();
        self.epoll.add(&line.socket, EpollEvent::new(EpollFlags::EPOLLIN, at as u64))?;
        self.lines.push(line);
        *current = lines.len();
        lines.push(at);
        Ok((at, identifier))
    }

    fn line_up(&mut self, line: usize, identifier: u8, number: u64, source: usize, now: u64) {
        if self.lines[line].line_up(identifier) {
            self.dirty.push(line);
        }
        let patience = now + self.sources[source].timeout.as_nanos() as u64;
        self.timers[source].push_back((patience, line, identifier, number));
    }

    /// Sends again what got no answer: the same packet from the same socket (RFC 5080 §2.2.1).
    fn ask_again(&mut self, now: u64) {
        for source in 0..self.sources.len() {
            while let Some((_, line, identifier, number)) = self.timers[source].pop_front_if(|(patience, ..)| *patience <= now) {
                let Some(open) = self.lines[line].at(identifier).filter(|open| open.number == number) else { continue };
                open.tries += 1;
                let of = &mut self.sources[source];
                if open.tries <= of.retries {
                    of.tally.retransmitted += 1;
                    self.line_up(line, identifier, number, source, now);
                } else {
                    of.tally.lost += 1;
                    of.open -= 1;
                    self.lines[line].take(identifier);
                }
            }
        }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let mut still = Vec::new();
        for line in std::mem::take(&mut self.dirty) {
            if !self.lines[line].flush(&mut self.outbox)? {
                still.push(line);
            }
        }
        self.dirty = still;
        Ok(())
    }

    /// Sleeps until something comes or is due. Where as many as can be are open nobody sleeps: else each answer would wake us, which on many machines costs
    /// the server more than the answer. Whoever else wants the processor has it.
    fn wait(&self, end: u64) -> Result<(), Fault> {
        if self.sources.iter().any(Source::is_closed_loop) && self.garbage.is_none() {
            std::thread::yield_now();
            return Ok(());
        }
        let due = self.sources.iter().filter_map(Source::next_ns);
        let patience = self.timers.iter().filter_map(|timers| timers.front()).map(|(patience, ..)| *patience);
        let garbage = self.garbage.iter().filter(|_| end < u64::MAX).map(Garbage::next_ns);
        // Datagrams that nobody took are tried again soon.
        let unsent = (!self.dirty.is_empty()).then(|| self.now() + 100_000);
        let next = due.chain(patience).chain(garbage).chain(unsent).min().unwrap_or(end).min(end.max(self.now()));
        let timeout = TimeSpec::from_duration(Duration::from_nanos(next.saturating_sub(self.now()).min(1_000_000_000)));
        match ppoll(&mut [PollFd::new(self.epoll.0.as_fd(), PollFlags::POLLIN)], Some(timeout), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn listen(&mut self, line: usize, inbox: &mut Inbox) -> Result<(), Fault> {
        loop {
            let came = inbox.receive(&self.lines[line].socket)?;
            let now = self.now();
            for number in 0..came {
                self.hear(line, inbox.datagram(number).0, now)?;
            }
            if came < BATCH_MAX {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, line: usize, datagram: &[u8], now: u64) -> Result<(), Fault> {
        let Some(identifier) = datagram.get(1).copied() else { return Ok(()) };
        let Some(open) = self.lines[line].at(identifier) else {
            self.stray += 1;
            return Ok(());
        };
        let (of, in_window) = (&mut self.sources[open.source], u64::from(self.open_window));
        let Ok(response) = packet::response(&self.secret, datagram, &open.authenticator, self.unsigned_ok) else {
            of.tally.bad += 1;
            return Ok(());
        };
        of.tally.responses += in_window;
        of.tally.unsigned += u64::from(!response.signed);
        if let Stage::Again(before) = &open.stage {
            let same = before == datagram;
            *(if same { &mut of.tally.again } else { &mut of.tally.bad }) += 1;
            of.open -= 1;
            self.lines[line].take(identifier);
            return Ok(());
        }
        let (source, user, round, due, number) = (open.source, open.user, open.round, open.due, open.number);
        let code_is_due = open.stage == Stage::Password && of.answers_challenges();
        if let (true, packet::ACCESS_CHALLENGE, Some(state)) = (code_is_due, response.code, response.state) {
            self.lines[line].take(identifier);
            return self.ask(source, user, round, due, Some(state), now);
        }
        if code_is_due || response.code != of.expect {
            of.tally.unexpected += 1;
        } else {
            of.tally.ok += 1;
            of.tally.ok_in_window += in_window;
            if self.open_window {
                of.tally.took(now - due);
            }
        }
        if self.chance.next() % 100 < of.again_percent {
            open.stage = Stage::Again(datagram.to_vec());
            open.tries = 0;
            self.line_up(line, identifier, number, source, now);
        } else {
            of.open -= 1;
            self.lines[line].take(identifier);
        }
        Ok(())
    }

    fn report(&mut self, name: &str, watched: &Watched, resting_mb: f64, window: &Window) -> serde_json::Value {
        let responses: u64 = self.sources.iter().map(|source| source.tally.responses).sum();
        let per_response = |seconds: f64| (responses > 0).then(|| rounded(seconds * 1e6 / responses as f64));
        let cores = |seconds: f64| rounded(seconds / window.seconds);
        let Spent { server, own, all } = window.spent;
        let mut report = json!({
            "name": name, "window_s": rounded(window.seconds), "sockets": self.lines.len(), "stray": self.stray,
            "own_us_per_response": per_response(own), "own_cores": cores(own), "other_cores": cores((all - own - server).max(0.0)),
        });
        if watched.any() {
            report["server_us_per_response"] = per_response(server).into();
            report["server_cores"] = cores(server).into();
            report["rss_before_mb"] = resting_mb.into();
            report["rss_peak_mb"] = watched.memory_mb("VmHWM").into();
        }
        for source in &mut self.sources {
            report[source.name] = source.tally.report(source.begun, window.seconds);
        }
        if let Some(garbage) = &self.garbage {
            report["garbage"] = json!({ "sent": garbage.sent, "answered": garbage.answered });
        }
        report
    }
}

/// Numbers that look random (splitmix64). Nobody is kept out by them: what is loaded is a test.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn authenticator(&mut self) -> packet::Authenticator {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }
}
