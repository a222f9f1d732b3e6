//! The census: what each client does, as it is seen here: whether it signs, how often it sends again, when it gives up.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::Client;
use super::Clients;
use super::habits::Habits;
use crate::domain::Decision;
use crate::engine::Outcome;
use crate::metrics;
use crate::wire::radius::Code;
use crate::wire::radius::Request;

/// The tallies of all clients, by name. It outlives a reload; a client that is in no configuration any more is forgotten.
#[derive(Debug)]
pub struct Census {
    began: Instant,
    tallies: Mutex<HashMap<String, Arc<Tally>>>,
}

impl Census {
    /// Nobody was seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self { began: Instant::now(), tallies: Mutex::default() }
    }

    /// The tally of the client of this name: the one that it has had, or a new one.
    pub fn tally(&self, name: &str) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tallies.entry(name.to_owned()).or_insert_with(|| Arc::new(Tally::new(self.began))))
    }

    /// Forgets all but these.
    pub fn keep(&self, clients: &Clients) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.retain(|name, _| clients.all().iter().any(|client| client.name == *name));
    }
}

impl Default for Census {
    fn default() -> Self {
        Self::new()
    }
}

/// What is told about a client, beside what it works by.
#[derive(Clone, Debug)]
pub struct Card {
    /// The profile it was filled in from.
    pub profile: Option<String>,
    /// Who checks the first factor, in the configuration's words: `directory corp`.
    pub first: String,
    /// After how long a NAS of this profile sends a request again, as shipped.
    pub retransmits: Option<Duration>,
    /// What was seen of it.
    pub tally: Arc<Tally>,
}

/// What was seen of one client. Counted on the way of every packet, so without a lock and without a copy of anything.
#[derive(Debug)]
pub struct Tally {
    began: Instant,
    requests: AtomicU64,
    asked: AtomicU64,
    unsigned: AtomicU64,
    unsigned_dropped: AtomicU64,
    proxied: AtomicU64,
    copies: AtomicU64,
    accepts: AtomicU64,
    challenges: AtomicU64,
    drops: AtomicU64,
    rejects: AtomicU64,
    /// Milliseconds since `began`, plus one; 0 is never.
    last_seen: AtomicU64,
    /// Alike: when somebody was last warned of Proxy-State.
    warned: AtomicU64,
    /// Some of the requests in the works: not all, but nobody chooses which.
    watched: [Watched; WATCHED_MAX],
    resends: Sample,
    gives_up: Sample,
}

impl Tally {
    fn new(began: Instant) -> Self {
        Self {
            began,
            requests: AtomicU64::default(),
            asked: AtomicU64::default(),
            unsigned: AtomicU64::default(),
            unsigned_dropped: AtomicU64::default(),
            proxied: AtomicU64::default(),
            copies: AtomicU64::default(),
            accepts: AtomicU64::default(),
            challenges: AtomicU64::default(),
            drops: AtomicU64::default(),
            rejects: AtomicU64::default(),
            last_seen: AtomicU64::default(),
            warned: AtomicU64::default(),
            watched: std::array::from_fn(|_| Watched::default()),
            resends: Sample::default(),
            gives_up: Sample::default(),
        }
    }

    /// A verified request came in.
    pub(super) fn arrived(&self, request: &Request<'_>, client: &Client, peer: SocketAddr, now: Instant) {
        self.requests.fetch_add(1, Relaxed);
        self.last_seen.store(self.ms(now).saturating_add(1), Relaxed);
        if request.code() != Code::AccessRequest {
            return;
        }
        self.asked.fetch_add(1, Relaxed);
        if !request.signed() {
            self.unsigned.fetch_add(1, Relaxed);
        }
        if request.proxy_states().next().is_some() {
            self.proxied(client, peer, now);
        }
    }

    /// Proxies add Proxy-State, and so does who forges a reply by a chosen prefix; a NAS has no reason to (R-03C).
    fn proxied(&self, client: &Client, peer: SocketAddr, now: Instant) {
        self.proxied.fetch_add(1, Relaxed);
        ::metrics::counter!(metrics::RADIUS_PROXIED, "client" => client.name.clone()).increment(1);
        let at = self.ms(now).saturating_add(1);
        let last = self.warned.load(Relaxed);
        let due = last == 0 || at.saturating_sub(last) >= WARN_EVERY_MS;
        if due && self.warned.compare_exchange(last, at, Relaxed, Relaxed).is_ok() {
            tracing::warn!(door = "radius", client = client.name, source = %peer, "the client sends Proxy-State, which a NAS does not: is it a proxy, or is somebody in between?");
        }
    }

    /// An unsigned request was dropped because of that. Anybody can have sent it.
    pub(super) fn dropped_unsigned(&self) {
        self.unsigned_dropped.fetch_add(1, Relaxed);
    }

    /// A login's request begins.
    pub(super) fn begin(self: &Arc<Self>, authenticator: &[u8; 16], now: Instant) -> Sheet {
        let key = key(authenticator);
        let at = self.ms(now);
        if let Some(watched) = self.watched(key).filter(|watched| watched.is_free(at)) {
            watched.begin(key, at);
        }
        Sheet { tally: Arc::clone(self), key, arrived: now }
    }

    /// The same request came again.
    pub(super) fn again(&self, authenticator: &[u8; 16], now: Instant) {
        self.copies.fetch_add(1, Relaxed);
        let key = key(authenticator);
        let Some(watched) = self.watched(key).filter(|watched| watched.key.load(Relaxed) == key) else { return };
        if let Some(first_gap) = watched.again(self.ms(now)) {
            self.resends.note(first_gap);
        }
    }

    /// What is known by `now`.
    #[must_use]
    pub fn habits(&self, now: Instant) -> Habits {
        let count = |of: &AtomicU64| of.load(Relaxed);
        let last_seen = count(&self.last_seen).checked_sub(1).map(|at| Duration::from_millis(self.ms(now).saturating_sub(at)));
        Habits {
            watched_for: now.saturating_duration_since(self.began),
            last_seen,
            requests: count(&self.requests),
            asked: count(&self.asked),
            unsigned: count(&self.unsigned),
            unsigned_dropped: count(&self.unsigned_dropped),
            proxied: count(&self.proxied),
            copies: count(&self.copies),
            accepts: count(&self.accepts),
            challenges: count(&self.challenges),
            drops: count(&self.drops),
            rejects: count(&self.rejects),
            resends_every: self.resends.median(),
            gives_up_after: self.gives_up.median(),
        }
    }

    fn watched(&self, key: u64) -> Option<&Watched> {
        let places = u64::try_from(WATCHED_MAX).ok()?;
        self.watched.get(usize::try_from(key.checked_rem(places)?).ok()?)
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

/// One request on its way to a reply; dropped, it is over.
#[derive(Debug)]
pub(super) struct Sheet {
    tally: Arc<Tally>,
    key: u64,
    pub(super) arrived: Instant,
}

impl Sheet {
    /// How its login ended.
    pub(super) fn ended(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Challenge { .. } | Outcome::Relayed { .. } => self.tally.challenges.fetch_add(1, Relaxed),
            Outcome::Decided { decision, .. } => match &**decision {
                Decision::Accept(_) => self.tally.accepts.fetch_add(1, Relaxed),
                Decision::Drop(_) => self.tally.drops.fetch_add(1, Relaxed),
                Decision::Reject(_) => self.tally.rejects.fetch_add(1, Relaxed),
            },
            Outcome::Superseded => self.asked_anew(Instant::now()),
        };
    }

    /// It was refused before anybody was asked.
    pub(super) fn refused(&self) {
        self.tally.rejects.fetch_add(1, Relaxed);
    }

    /// It came to something that cannot be told to the client.
    pub(super) fn dropped(&self) {
        self.tally.drops.fetch_add(1, Relaxed);
    }

    /// The same login came under another Identifier: so some clients send again. After a longer time it was rather the person.
    fn asked_anew(&self, now: Instant) -> u64 {
        let gap = now.saturating_duration_since(self.arrived);
        if gap <= ANEW_MAX {
            self.tally.resends.note(u64::try_from(gap.as_millis()).unwrap_or(u64::MAX));
        }
        self.tally.copies.fetch_add(1, Relaxed)
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let Some(watched) = self.tally.watched(self.key).filter(|watched| watched.key.load(Relaxed) == self.key) else { return };
        if let Some(after) = watched.over(self.tally.ms(Instant::now())) {
            self.tally.gives_up.note(after);
        }
    }
}

/// A request whose copies are looked out for. Two threads may write it at once; then one figure of many is wrong.
#[derive(Debug, Default)]
struct Watched {
    /// 0 is free.
    key: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
    /// Between the last two copies; 0 while there was none.
    gap: AtomicU64,
}

impl Watched {
    fn is_free(&self, at: u64) -> bool {
        self.key.load(Relaxed) == 0 || at.saturating_sub(self.last.load(Relaxed)) > WATCH_MS_MAX
    }

    fn begin(&self, key: u64, at: u64) {
        self.first.store(at, Relaxed);
        self.last.store(at, Relaxed);
        self.gap.store(0, Relaxed);
        self.key.store(key, Relaxed);
    }

    /// How long after the first packet the first copy came; `None` for later ones.
    fn again(&self, at: u64) -> Option<u64> {
        let gap = at.saturating_sub(self.last.swap(at, Relaxed)).max(1);
        let before = self.gap.swap(gap, Relaxed);
        (before == 0).then_some(gap)
    }

    /// After how long the client had given up before we were done: no copy came when two were due.
    fn over(&self, at: u64) -> Option<u64> {
        self.key.store(0, Relaxed);
        let (gap, last) = (self.gap.load(Relaxed), self.last.load(Relaxed));
        let silent = at.saturating_sub(last);
        (gap > 0 && silent >= gap.saturating_mul(2)).then(|| last.saturating_sub(self.first.load(Relaxed)).saturating_add(gap))
    }
}

/// The last few of many times, in milliseconds.
#[derive(Debug, Default)]
struct Sample {
    count: AtomicU64,
    kept: [AtomicU32; SAMPLE],
}

impl Sample {
    fn note(&self, ms: u64) {
        let at = usize::try_from(self.count.fetch_add(1, Relaxed)).unwrap_or(0).checked_rem(SAMPLE).unwrap_or(0);
        if let Some(place) = self.kept.get(at) {
            place.store(u32::try_from(ms).unwrap_or(u32::MAX), Relaxed);
        }
    }

    fn median(&self) -> Option<Duration> {
        let count = usize::try_from(self.count.load(Relaxed)).unwrap_or(SAMPLE).min(SAMPLE);
        let mut kept: Vec<u32> = self.kept.iter().take(count).map(|ms| ms.load(Relaxed)).collect();
        kept.sort_unstable();
        kept.get(count / 2).map(|ms| Duration::from_millis(u64::from(*ms)))
    }
}

/// An authenticator is random, so eight octets of it are enough to know it by.
fn key(authenticator: &[u8; 16]) -> u64 {
    authenticator.first_chunk().map_or(1, |octets| u64::from_be_bytes(*octets).max(1))
}

/// Requests of one client whose copies are looked out for at once.
const WATCHED_MAX: usize = 64;
/// Longer than any login takes.
const WATCH_MS_MAX: u64 = 300_000;
/// Times that are kept.
const SAMPLE: usize = 32;
/// The same login under another Identifier after a longer time is a person's doing.
const ANEW_MAX: Duration = Duration::from_secs(20);
const WARN_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::habits::Signs;
    use super::super::tests::World;
    use super::super::tests::client;
    use super::*;
    use crate::domain::Method;
    use crate::wire::radius::Integrity;
    use crate::wire::radius::attr;
    use crate::wire::radius::upstream::AccessRequest;

    const SECOND: Duration = Duration::from_secs(1);

    fn peer() -> SocketAddr {
        "192.0.2.1:1000".parse().unwrap()
    }

    fn fixture() -> Client {
        client(&World::new(), Method::Push)
    }

    fn hears(client: &Client, bytes: &[u8]) {
        let request = Request::verify(bytes, client.secret.expose(), Integrity::Optional).unwrap();
        client.card.tally.arrived(&request, client, peer(), Instant::now());
    }

    fn signed(client: &Client, proxy_state: &[u8]) -> Vec<u8> {
        AccessRequest::new(1, [7; 16]).with(attr::USER_NAME, b"alice").with(attr::PROXY_STATE, proxy_state).signed(client.secret.expose()).unwrap()
    }

    /// User-Name and sixteen octets of a hidden password.
    fn unsigned() -> Vec<u8> {
        let mut bytes = vec![1, 1, 0, 43];
        bytes.extend([7; 16]);
        bytes.extend([1, 5, b'b', b'o', b'b', 2, 18]);
        bytes.extend([9; 16]);
        bytes
    }

    fn habits(client: &Client) -> Habits {
        client.card.tally.habits(Instant::now())
    }

    /// Sends, again so many times, and is done after so long.
    async fn resending(client: &Client, number: u8, every: Duration, copies: u32, done_after: Duration) {
        let sheet = client.card.tally.begin(&[number; 16], Instant::now());
        for _ in 0..copies {
            advance(every).await;
            client.card.tally.again(&[number; 16], Instant::now());
        }
        advance(done_after.saturating_sub(every * copies)).await;
        drop(sheet);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_who_signs_always_never_and_sometimes() {
        let client = fixture();
        assert_eq!((habits(&client).signs(), habits(&client).last_seen, habits(&client).signed_percent()), (Signs::Unseen, None, None));
        hears(&client, &unsigned());
        advance(SECOND * 2).await;
        assert_eq!((habits(&client).signs(), habits(&client).last_seen, habits(&client).signed_percent()), (Signs::Never, Some(SECOND * 2), Some(0)));
        hears(&client, &signed(&client, &[]));
        hears(&client, &signed(&client, &[]));
        assert_eq!((habits(&client).signs(), habits(&client).signed_percent(), habits(&client).requests), (Signs::Sometimes, Some(66), 3));
        let other = fixture();
        hears(&other, &signed(&other, &[]));
        assert_eq!((habits(&other).signs(), habits(&other).signed_percent()), (Signs::Always, Some(100)));
        assert_eq!((habits(&other).verdict(Integrity::Observe), habits(&other).verdict(Integrity::Require)), ("may be set to require", "signs"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_whose_unsigned_requests_are_dropped_is_told_so() {
        let client = fixture();
        client.card.tally.dropped_unsigned();
        let habits = habits(&client);
        assert_eq!((habits.signs(), habits.requests), (Signs::Never, 0));
        assert!(habits.advice(&client)[0].starts_with("it never signs, so nothing it sends is taken"), "{habits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn r_03c_proxy_state_is_counted_and_warned_of_once_a_day() {
        let client = fixture();
        let warned = || client.card.tally.warned.load(Relaxed);
        hears(&client, &signed(&client, &[]));
        assert_eq!((habits(&client).proxied, warned()), (0, 0));
        hears(&client, &signed(&client, b"x"));
        let first = warned();
        advance(SECOND * 3600 * 23).await;
        hears(&client, &signed(&client, b"x"));
        assert_eq!((habits(&client).proxied, warned()), (2, first));
        advance(SECOND * 3600).await;
        hears(&client, &signed(&client, b"x"));
        assert_ne!(warned(), first, "a day later it is said again");
        assert!(habits(&client).advice(&client).iter().any(|line| line.contains("Proxy-State")));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_learnt_from_copies_and_shown_when_it_contradicts_what_is_written() {
        let client = Client { patience: SECOND * 60, ..fixture() };
        resending(&client, 1, SECOND * 3, 2, SECOND * 30).await;
        let habits = habits(&client);
        assert_eq!((habits.resends_every, habits.gives_up_after, habits.copies), (Some(SECOND * 3), Some(SECOND * 9), 2));
        let advice = habits.advice(&client).join("\n");
        assert!(advice.starts_with("patience = \"1m\", but it resends every 3 s and stopped after 9 s: raise"), "{advice}");
        let client = Client { patience: SECOND * 10, ..client };
        assert_eq!(habits.advice(&client), Vec::<String>::new(), "within a second it is what is written");
        let client = Client { patience: SECOND * 4, ..client };
        assert!(habits.advice(&client)[0].contains("it waits 9 s"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_answered_while_it_waited_has_not_given_up() {
        let client = fixture();
        resending(&client, 1, SECOND * 5, 1, SECOND * 9).await;
        resending(&client, 2, SECOND * 5, 0, SECOND * 30).await;
        assert_eq!((habits(&client).resends_every, habits(&client).gives_up_after), (Some(SECOND * 5), None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_login_under_another_identifier_is_a_copy_too_unless_a_person_began_anew() {
        let client = fixture();
        let sheet = client.card.tally.begin(&[1; 16], Instant::now());
        advance(SECOND * 4).await;
        sheet.ended(&Outcome::Superseded);
        let late = client.card.tally.begin(&[2; 16], Instant::now());
        advance(SECOND * 21).await;
        late.ended(&Outcome::Superseded);
        assert_eq!((habits(&client).resends_every, habits(&client).copies), (Some(SECOND * 4), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn another_timer_than_the_profile_s_is_noticed() {
        let mut client = fixture();
        client.card = Card { profile: Some("netscaler".into()), retransmits: Some(SECOND * 3), ..client.card };
        resending(&client, 1, SECOND * 4, 1, SECOND * 6).await;
        assert_eq!(habits(&client).advice(&client), Vec::<String>::new());
        let mut client = fixture();
        client.card = Card { profile: Some("netscaler".into()), retransmits: Some(SECOND * 3), ..client.card };
        resending(&client, 1, SECOND * 10, 1, SECOND * 12).await;
        assert!(habits(&client).advice(&client)[0].starts_with("it resends every 10 s, where a netscaler as shipped does every 3 s"));
    }

    #[test]
    fn the_middle_of_the_last_thirty_two_is_told() {
        let sample = Sample::default();
        assert_eq!(sample.median(), None);
        (0..100).for_each(|_| sample.note(9_000));
        (0..32).for_each(|ms| sample.note(ms));
        assert_eq!(sample.median(), Some(Duration::from_millis(16)));
    }

    #[test]
    fn a_tally_survives_a_reload_and_goes_with_its_client() {
        let census = Census::new();
        let kept = census.tally("fortigate");
        census.tally("gone");
        census.keep(&Clients::new(vec![fixture()]));
        assert!(Arc::ptr_eq(&kept, &census.tally("fortigate")));
        assert_eq!(census.tallies.lock().unwrap().len(), 1);
    }
}
