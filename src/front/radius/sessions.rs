//! Who is on: what clients tell by accounting (RFC 2866), in memory, bounded, and gone when nobody speaks of it any more.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::domain::Timestamp;
use crate::metrics;
use crate::ports::Clock;

/// The table of those who are on. Clones are the same table. It decides nothing: nobody is let in or kept out for what is in here.
#[derive(Clone)]
pub struct Sessions {
    clock: Arc<dyn Clock>,
    table: Arc<Mutex<Table>>,
}

/// One session, as its client tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The client, by its name in the configuration.
    pub client: String,
    /// The NAS: NAS-Identifier, NAS-IP-Address, NAS-IPv6-Address or where it comes from, whichever there is first.
    pub nas: String,
    /// Acct-Session-Id.
    pub id: String,
    /// User-Name.
    pub name: Option<String>,
    /// Calling-Station-Id: where the person is.
    pub source: Option<String>,
    /// Framed-IP-Address or Framed-IPv6-Address: which address the person was given.
    pub address: Option<IpAddr>,
    /// When it began.
    pub since: Timestamp,
    /// The time of the last thing that was told of it.
    pub heard: Timestamp,
    /// Octets from the person.
    pub input_octets: u64,
    /// Octets to the person.
    pub output_octets: u64,
}

/// Some sessions in the order of client, NAS and id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPage {
    /// As many as were asked for, or what is left.
    pub sessions: Vec<Arc<Session>>,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// What an Accounting-Request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) status: Status,
    /// As far as it is told; times are to be reckoned yet.
    pub(super) session: Session,
    /// How long ago it happened (Acct-Delay-Time, RFC 2866 §5.2), in milliseconds; more than a day counts as a day.
    pub(super) late_ms: u64,
    /// How long the session has lasted (Acct-Session-Time), in milliseconds.
    pub(super) lasted_ms: Option<u64>,
}

/// Acct-Status-Type (RFC 2866 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is still on.
    Interim,
    /// The NAS begins or ends: nobody is on there.
    NasCleared,
    /// Of tunnels and links, of which nobody keeps count here.
    Other,
    /// It begins.
    Start,
    /// It has ended.
    Stop,
}

#[derive(Debug, Default)]
struct Table {
    on: BTreeMap<Key, Entry>,
    /// In the order of the last thing told of each.
    heard: BTreeMap<(Timestamp, u64), Key>,
    number: u64,
    /// Those that have ended, and when we were told: what was under way for long must not bring them back.
    ended: BTreeMap<Key, Timestamp>,
    /// The same in that order; one that counts no more stays until its time.
    ends: VecDeque<(Timestamp, Key)>,
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    heard: (Timestamp, u64),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    client: String,
    nas: String,
    id: String,
}

impl Sessions {
    /// Nobody is on yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, table: Arc::default() }
    }

    /// At most `count_max` sessions behind `after`, those in whose name, client, NAS, id or addresses `search` stands (case ignored).
    #[must_use]
    pub fn page(&self, search: &str, after: Option<&str>, count_max: usize) -> SessionPage {
        let wanted = search.to_lowercase();
        let mut behind = after.map(Key::parsed);
        let mut sessions: Vec<Arc<Session>> = Vec::new();
        loop {
            // Piece by piece, so that no request waits for a search through all of it.
            let piece = self.behind(behind.as_ref());
            let Some(last) = piece.last() else { return SessionPage { sessions, next: None } };
            behind = Some(Key::of(last));
            for session in piece.into_iter().filter(|session| session.speaks_of(&wanted)) {
                if sessions.len() >= count_max {
                    return SessionPage { next: sessions.last().map(|last| Key::of(last).written()), sessions };
                }
                sessions.push(session);
            }
        }
    }

    /// Writes down what a client says, and gives back how the session stands now, or stood at its end. `None`: it is late, and the session has ended.
    pub(super) fn write(&self, report: Report) -> Option<Arc<Session>> {
        let now = self.clock.now();
        let mut table = self.lock();
        table.expire(now);
        let key = Key::of(&report.session);
        let status = report.status;
        let happened = Timestamp(now.0.saturating_sub(report.late_ms.min(LATE_MAX_MS)));
        if matches!(status, Status::Start | Status::Interim) && table.is_over(&key, now, happened) {
            return None;
        }
        let before = table.on.get(&key).map(|entry| Arc::clone(&entry.session));
        let session = Arc::new(stand(report, before.as_deref(), happened));
        match status {
            Status::Start | Status::Interim => table.put(key, Arc::clone(&session)),
            Status::Stop => table.end(key, now),
            Status::NasCleared => table.clear(&key, happened),
            Status::Other => {}
        }
        ::metrics::gauge!(metrics::SESSIONS).set(f64::from(u32::try_from(table.on.len()).unwrap_or(u32::MAX)));
        Some(session)
    }

    fn behind(&self, after: Option<&Key>) -> Vec<Arc<Session>> {
        let mut table = self.lock();
        table.expire(self.clock.now());
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        table.on.range((from, Bound::Unbounded)).take(PIECE).map(|(_, entry)| Arc::clone(&entry.session)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Session {
    fn speaks_of(&self, wanted: &str) -> bool {
        let address = self.address.map(|address| address.to_string());
        let texts = [Some(&self.client), Some(&self.nas), Some(&self.id), self.name.as_ref(), self.source.as_ref(), address.as_ref()];
        wanted.is_empty() || texts.into_iter().flatten().any(|text| text.to_lowercase().contains(wanted))
    }
}

impl Table {
    fn put(&mut self, key: Key, session: Arc<Session>) {
        self.remove(&key);
        if self.on.len() >= SESSIONS_MAX
            && let Some(oldest) = self.heard.first_key_value().map(|(_, key)| key.clone())
        {
            metrics::discard("radius", "session");
            self.remove(&oldest);
        }
        self.number = self.number.wrapping_add(1);
        let heard = (session.heard, self.number);
        self.heard.insert(heard, key.clone());
        self.on.insert(key, Entry { session, heard });
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.on.remove(key) {
            self.heard.remove(&entry.heard);
        }
    }

    fn end(&mut self, key: Key, now: Timestamp) {
        self.remove(&key);
        if self.ends.len() >= SESSIONS_MAX {
            self.forget_end();
        }
        self.ended.insert(key.clone(), now);
        self.ends.push_back((now, key));
    }

    /// Whether something of that time, told now, is of a session that has ended: it happened before we were told of the end, or so soon after that it may be
    /// of a NAS that tells no delay.
    fn is_over(&self, key: &Key, now: Timestamp, happened: Timestamp) -> bool {
        self.ended.get(key).is_some_and(|told| happened <= *told || now.0 < told.0.saturating_add(ENDED_SOON_MS))
    }

    fn forget_end(&mut self) {
        if let Some((at, key)) = self.ends.pop_front()
            && self.ended.get(&key) == Some(&at)
        {
            self.ended.remove(&key);
        }
    }

    /// All that one NAS of one client has told of times up to then; it may count from the beginning again. It can say so late, when others are on already.
    fn clear(&mut self, nas: &Key, happened: Timestamp) {
        let first = Key { id: String::new(), ..nas.clone() };
        let all = self.on.range(first..).take_while(|(key, _)| key.client == nas.client && key.nas == nas.nas);
        let gone: Vec<_> = all.filter(|(_, entry)| entry.session.since <= happened).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
        self.ended.retain(|key, told| key.client != nas.client || key.nas != nas.nas || *told > happened);
    }

    fn expire(&mut self, now: Timestamp) {
        while self.ends.front().is_some_and(|(at, _)| at.0.saturating_add(ENDED_KEEP_MS) <= now.0) {
            self.forget_end();
        }
        while let Some(key) = self.heard.first_key_value().map(|(_, key)| key.clone()) {
            let fresh = self.on.get(&key).is_some_and(|entry| entry.session.heard.0.saturating_add(SILENT_MAX_MS) > now.0);
            if fresh {
                return;
            }
            self.heard.pop_first();
            self.on.remove(&key);
        }
    }
}

impl Key {
    fn of(session: &Session) -> Self {
        Self { client: session.client.clone(), nas: session.nas.clone(), id: session.id.clone() }
    }

    /// No part has a zero byte in it.
    fn written(&self) -> String {
        format!("{}\0{}\0{}", self.client, self.nas, self.id)
    }

    fn parsed(text: &str) -> Self {
        let mut parts = text.splitn(3, '\0').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { client: next(), nas: next(), id: next() }
    }
}

/// How a session stands by a report of what happened then. What the later one leaves out is as the earlier one has it, whichever came first.
fn stand(report: Report, before: Option<&Session>, happened: Timestamp) -> Session {
    let Report { status, mut session, lasted_ms, .. } = report;
    session.heard = happened;
    let lasted = lasted_ms.filter(|_| status != Status::Start).unwrap_or_default();
    session.since = Timestamp(happened.0.saturating_sub(lasted));
    if let Some(before) = before {
        let is_later = happened >= before.heard;
        let told = |ours: Option<String>, theirs: &Option<String>| if is_later { ours.or_else(|| theirs.clone()) } else { theirs.clone().or(ours) };
        session.since = before.since;
        session.heard = happened.max(before.heard);
        session.name = told(session.name, &before.name);
        session.source = told(session.source, &before.source);
        session.address = if is_later { session.address.or(before.address) } else { before.address.or(session.address) };
        session.input_octets = session.input_octets.max(before.input_octets);
        session.output_octets = session.output_octets.max(before.output_octets);
    }
    session
}

/// Sessions that are held; above that those go that were not spoken of for longest.
const SESSIONS_MAX: usize = 100_000;
/// How long a session is believed to be on that nobody speaks of: a day.
const SILENT_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// How long ago something can have happened that is told now.
const LATE_MAX_MS: u64 = 24 * 60 * 60 * 1000;
/// How long it is remembered that a session has ended: as long as anything of before can be told.
const ENDED_KEEP_MS: u64 = LATE_MAX_MS;
/// For so long nothing of that name begins, whatever time it is said to be of: longer than a NAS usually tries to tell us something, and some tell no delay.
/// No NAS has two sessions of one Acct-Session-Id (RFC 2866 §5.5).
const ENDED_SOON_MS: u64 = 10 * 60 * 1000;
/// Sessions that are looked through at once.
const PIECE: usize = 1000;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;

    use super::*;

    #[derive(Debug)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::SeqCst))
        }
    }

    const START: u64 = 1_000_000_000;

    fn table() -> (Sessions, Arc<Hand>) {
        let hand = Arc::new(Hand(AtomicU64::new(START)));
        (Sessions::new(hand.clone()), hand)
    }

    fn report(status: Status, client: &str, nas: &str, id: &str) -> Report {
        let session = Session {
            client: client.into(),
            nas: nas.into(),
            id: id.into(),
            name: Some("alice".into()),
            source: None,
            address: None,
            since: Timestamp(0),
            heard: Timestamp(0),
            input_octets: 0,
            output_octets: 0,
        };
        Report { status, session, late_ms: 0, lasted_ms: None }
    }

    fn on(sessions: &Sessions) -> usize {
        sessions.lock().on.len()
    }

    fn ids(sessions: &Sessions, search: &str) -> Vec<String> {
        sessions.page(search, None, 1000).sessions.iter().map(|session| session.id.clone()).collect()
    }

    #[test]
    fn a_session_begins_goes_on_and_ends() {
        let (sessions, hand) = table();
        sessions.write(Report { late_ms: 2_000, ..report(Status::Start, "vpn", "n", "1") });
        hand.0.fetch_add(60_000, Ordering::SeqCst);
        let mut interim = report(Status::Interim, "vpn", "n", "1");
        interim.session = Session { name: None, input_octets: 5, output_octets: 7, ..interim.session };
        sessions.write(Report { lasted_ms: Some(1), ..interim });
        let page = sessions.page("", None, 10);
        let session = &page.sessions[0];
        assert_eq!((session.since, session.heard, session.name.as_deref()), (Timestamp(START - 2_000), Timestamp(START + 60_000), Some("alice")));
        assert_eq!((session.input_octets, session.output_octets, page.next), (5, 7, None));
        sessions.write(report(Status::Stop, "vpn", "n", "1"));
        assert_eq!(on(&sessions), 0);
    }

    #[test]
    fn what_comes_late_does_not_bring_a_session_back_that_has_ended() {
        let (sessions, hand) = table();
        sessions.write(report(Status::Start, "vpn", "n", "1"));
        sessions.write(report(Status::Stop, "vpn", "n", "1"));
        hand.0.fetch_add(ENDED_SOON_MS - 1, Ordering::SeqCst);
        for status in [Status::Interim, Status::Start] {
            assert_eq!(sessions.write(report(status, "vpn", "n", "1")), None);
            assert!(sessions.write(report(status, "vpn", "o", "1")).is_some(), "another NAS's");
        }
        assert_eq!(on(&sessions), 1);
        hand.0.fetch_add(1, Ordering::SeqCst);
        assert!(sessions.write(report(Status::Start, "vpn", "n", "1")).is_some());
    }

    #[test]
    fn what_happened_before_the_end_never_brings_a_session_back_however_late_it_is_told() {
        let (sessions, hand) = table();
        sessions.write(report(Status::Stop, "vpn", "n", "1"));
        hand.0.fetch_add(ENDED_KEEP_MS - 1, Ordering::SeqCst);
        for late_ms in [ENDED_KEEP_MS - 1, ENDED_KEEP_MS + 60_000, u64::MAX] {
            for status in [Status::Interim, Status::Start] {
                assert_eq!(sessions.write(Report { late_ms, ..report(status, "vpn", "n", "1") }), None, "{status:?} {late_ms}");
            }
        }
        sessions.write(Report { late_ms: u64::MAX, ..report(Status::Stop, "vpn", "n", "1") });
        assert_eq!(sessions.write(report(Status::Interim, "vpn", "n", "1")), None, "an older end is one too");
        hand.0.fetch_add(ENDED_KEEP_MS, Ordering::SeqCst);
        assert!(ids(&sessions, "").is_empty());
        assert!(sessions.lock().ended.is_empty() && sessions.lock().ends.is_empty());
    }

    #[test]
    fn what_is_older_than_what_is_known_changes_nothing_that_is_known() {
        let (sessions, hand) = table();
        let told = |status, name: &str, late_ms| {
            let told = report(status, "vpn", "n", "1");
            Report { session: Session { name: Some(name.into()), ..told.session }, late_ms, ..told }
        };
        sessions.write(told(Status::Start, "alice", 0));
        hand.0.fetch_add(60_000, Ordering::SeqCst);
        sessions.write(told(Status::Interim, "carol", 0));
        sessions.write(told(Status::Interim, "bob", 30_000));
        let session = &sessions.page("", None, 1).sessions[0];
        assert_eq!((session.name.as_deref(), session.since, session.heard), (Some("carol"), Timestamp(START), Timestamp(START + 60_000)));
        let end = sessions.write(told(Status::Stop, "carol", 10_000)).unwrap();
        assert_eq!((end.heard, on(&sessions)), (Timestamp(START + 60_000), 0));
    }

    #[test]
    fn a_delay_that_cannot_be_is_a_day() {
        let (sessions, _) = table();
        let session = sessions.write(Report { late_ms: u64::MAX, ..report(Status::Start, "vpn", "n", "1") }).unwrap();
        assert_eq!(session.since, Timestamp(START - LATE_MAX_MS));
    }

    #[test]
    fn a_nas_that_says_late_that_it_began_anew_clears_what_was_before() {
        let (sessions, hand) = table();
        for id in ["1", "2"] {
            sessions.write(report(Status::Start, "vpn", "n", id));
            hand.0.fetch_add(60_000, Ordering::SeqCst);
        }
        sessions.write(Report { late_ms: 90_000, ..report(Status::NasCleared, "vpn", "n", "") });
        assert_eq!(ids(&sessions, ""), ["2"]);
    }

    #[test]
    fn a_nas_that_begins_anew_may_use_its_numbers_again() {
        let (sessions, _) = table();
        sessions.write(report(Status::Stop, "vpn", "n", "1"));
        sessions.write(report(Status::NasCleared, "vpn", "n", ""));
        assert!(sessions.write(report(Status::Start, "vpn", "n", "1")).is_some());
    }

    #[test]
    fn one_that_was_on_before_we_were_is_reckoned_from_what_it_says() {
        let (sessions, _) = table();
        sessions.write(Report { lasted_ms: Some(50_000), late_ms: 1_000, ..report(Status::Interim, "vpn", "n", "1") });
        assert_eq!(sessions.page("", None, 1).sessions[0].since, Timestamp(START - 51_000));
    }

    #[test]
    fn a_nas_that_begins_anew_clears_its_own_sessions_and_nobody_elses() {
        let (sessions, _) = table();
        for (client, nas, id) in [("vpn", "n", "1"), ("vpn", "n", "2"), ("vpn", "o", "3"), ("wifi", "n", "4")] {
            sessions.write(report(Status::Start, client, nas, id));
        }
        sessions.write(report(Status::NasCleared, "vpn", "n", ""));
        assert_eq!(ids(&sessions, ""), ["3", "4"]);
    }

    #[test]
    fn what_is_not_spoken_of_for_a_day_is_over() {
        let (sessions, hand) = table();
        sessions.write(report(Status::Start, "vpn", "n", "1"));
        hand.0.fetch_add(SILENT_MAX_MS / 2, Ordering::SeqCst);
        sessions.write(report(Status::Start, "vpn", "n", "2"));
        sessions.write(report(Status::Interim, "vpn", "n", "1"));
        hand.0.fetch_add(SILENT_MAX_MS - 1, Ordering::SeqCst);
        assert_eq!(ids(&sessions, ""), ["1", "2"]);
        hand.0.fetch_add(1, Ordering::SeqCst);
        assert!(ids(&sessions, "").is_empty());
        assert!(sessions.lock().heard.is_empty());
    }

    #[test]
    fn the_table_is_bounded_and_the_longest_silent_goes() {
        let (sessions, _) = table();
        for number in 0..SESSIONS_MAX {
            sessions.write(report(Status::Start, "vpn", "n", &format!("{number:06}")));
        }
        sessions.write(report(Status::Interim, "vpn", "n", "000000"));
        sessions.write(report(Status::Start, "vpn", "n", "another"));
        assert_eq!(on(&sessions), SESSIONS_MAX);
        assert_eq!(ids(&sessions, "00000")[..2], ["000000", "000002"]);
        assert_eq!(ids(&sessions, "ANOTHER"), ["another"]);
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let (sessions, _) = table();
        for number in 0..2_500 {
            sessions.write(report(Status::Start, if number % 2 == 0 { "even" } else { "odd" }, "n", &format!("{number:04}")));
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = sessions.page("odd", after.as_deref(), 100);
            found.extend(page.sessions.iter().map(|session| session.id.clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, (0..2_500).filter(|number| number % 2 == 1).map(|number| format!("{number:04}")).collect::<Vec<_>>());
    }
}
