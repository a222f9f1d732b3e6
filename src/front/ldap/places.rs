//! Places for connections: in all, for one source, and for those whose TLS handshake is not done yet.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Those of all listeners of this process.
pub(super) static PLACES: Places = Places::new();

/// Connections that are open now, and handshakes under way. How many there may be is told with each wish: it changes with the configuration.
#[derive(Debug)]
pub(super) struct Places(Mutex<Taken>);

/// What is taken.
#[derive(Debug, Default)]
struct Taken {
    all: Held,
    by_source: BTreeMap<IpAddr, Held>,
}

/// How much of it, by all or by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    connections: usize,
    handshakes: usize,
}

/// What one may have.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Connection,
    Handshake,
}

/// One of them; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: &'static Places,
    source: IpAddr,
    kind: Kind,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// All are taken.
    All,
    /// All that this source may have.
    Source,
}

impl Full {
    /// The word for the metric.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::All => "connections_max",
            Self::Source => "source_max",
        }
    }
}

impl Places {
    const fn new() -> Self {
        Self(Mutex::new(Taken { all: Held { connections: 0, handshakes: 0 }, by_source: BTreeMap::new() }))
    }

    /// A place for a connection. One source leaves a twentieth of them to others, so that nobody can lock the door alone.
    pub(super) fn connection(&'static self, peer: IpAddr, connections_max: usize) -> Result<Place, Full> {
        self.take(peer, Kind::Connection, connections_max, source_max(connections_max))
    }

    /// A place for a connection of a balancer that has not told whose it is: of all places any. How many may be untold at once is bounded by [`Places::handshake`],
    /// and whose the place is then is told to [`Place::is_of`].
    pub(super) fn untold(&'static self, balancer: IpAddr, connections_max: usize) -> Result<Place, Full> {
        self.take(balancer, Kind::Connection, connections_max, usize::MAX)
    }

    /// A place for a TLS handshake, or for a balancer that has not told yet for whom it calls: a quarter of all may be shaking hands, and one source three quarters of those. Whoever begins and does not go on
    /// holds one of these for ten seconds, and none that somebody needs who is through.
    pub(super) fn handshake(&'static self, peer: IpAddr, connections_max: usize) -> Result<Place, Full> {
        let most = (connections_max / 4).max(1);
        self.take(peer, Kind::Handshake, most, most.saturating_sub(most / 4))
    }

    /// Whether a tenth of all places is free: what was full before is not full any more, and may be told of again.
    pub(super) fn is_eased(&self, connections_max: usize) -> bool {
        self.taken().all.connections <= connections_max.saturating_sub(connections_max.div_ceil(10))
    }

    fn take(&'static self, peer: IpAddr, kind: Kind, most: usize, source_most: usize) -> Result<Place, Full> {
        let source = source(peer);
        let mut taken = self.taken();
        let own = taken.by_source.get(&source).copied().unwrap_or_default();
        if *taken.all.clone().of(kind) >= most {
            return Err(Full::All);
        }
        if *own.clone().of(kind) >= source_most {
            return Err(Full::Source);
        }
        taken.change(source, kind, |held| held.saturating_add(1));
        Ok(Place { of: self, source, kind })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It is known whose the connection is: this one's places are taken, and the balancer has its own back.
    ///
    /// # Errors
    /// This one has all that it may have. The place is still the balancer's, until it is dropped.
    pub(super) fn is_of(&mut self, caller: IpAddr, connections_max: usize) -> Result<(), Full> {
        let caller = source(caller);
        let mut taken = self.of.taken();
        let held = taken.by_source.get(&caller).copied().unwrap_or_default().connections;
        let others = held.saturating_sub(usize::from(caller == self.source));
        if others >= source_max(connections_max) {
            return Err(Full::Source);
        }
        taken.change(self.source, self.kind, |held| held.saturating_sub(1));
        taken.change(caller, self.kind, |held| held.saturating_add(1));
        self.source = caller;
        Ok(())
    }
}

impl Taken {
    fn change(&mut self, source: IpAddr, kind: Kind, by: impl Fn(usize) -> usize) {
        let own = self.by_source.entry(source).or_default();
        for held in [&mut self.all, own] {
            let count = held.of(kind);
            *count = by(*count);
        }
        if self.by_source.get(&source) == Some(&Held::default()) {
            self.by_source.remove(&source);
        }
    }
}

impl Held {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Connection => &mut self.connections,
            Kind::Handshake => &mut self.handshakes,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.taken().change(self.source, self.kind, |held| held.saturating_sub(1));
    }
}

/// Connections that one source may have.
fn source_max(connections_max: usize) -> usize {
    connections_max.saturating_sub(connections_max / 20)
}

/// Who counts as one: an IPv4 address, or the /64 in which a host may take any IPv6 address it likes.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn l_044_a_connection_that_is_refused_a_place_gives_none_back() {
        static HOUSE: Places = Places::new();
        let (here, there) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let (first, second) = (HOUSE.connection(here, 2).unwrap(), HOUSE.connection(there, 2).unwrap());
        assert!((0..5).all(|_| HOUSE.connection(here, 2).unwrap_err() == Full::All));
        drop(first);
        let third = HOUSE.connection(here, 2).unwrap();
        assert!(HOUSE.connection(here, 2).is_err());
        assert!(HOUSE.is_eased(3) && !HOUSE.is_eased(2) && !HOUSE.is_eased(0));
        drop((second, third));
        assert!(HOUSE.taken().by_source.is_empty() && HOUSE.taken().all == Held::default());
    }

    #[test]
    fn l_044_one_source_leaves_places_to_others() {
        static HOUSE: Places = Places::new();
        let flood: Vec<Place> = (0..).map_while(|host: u64| HOUSE.connection(ip(&format!("2001:db8::{host:x}")), 100).ok()).collect();
        assert_eq!(flood.len(), 95, "a /64 is one source");
        assert_eq!(HOUSE.connection(ip("2001:db8::1:2:3:4"), 100).unwrap_err().as_str(), "source_max");
        let others: Vec<Place> = (1..=5).map(|host| HOUSE.connection(ip(&format!("192.0.2.{host}")), 100).unwrap()).collect();
        assert_eq!(HOUSE.connection(ip("192.0.2.6"), 100).unwrap_err().as_str(), "connections_max");
        drop((flood, others));
        let mapped = HOUSE.connection(ip("::ffff:192.0.2.1"), 100).unwrap();
        assert!(HOUSE.taken().by_source.contains_key(&ip("192.0.2.1")));
        drop(mapped);
    }

    #[test]
    fn l_044_behind_a_balancer_each_caller_counts_for_itself() {
        static HOUSE: Places = Places::new();
        let balancer = ip("10.0.0.1");
        let through = |caller: &str| {
            let mut place = HOUSE.untold(balancer, 100)?;
            place.is_of(ip(caller), 100).map(|()| place)
        };
        let flood: Vec<Place> = (0..).map_while(|_| through("192.0.2.1").ok()).collect();
        assert_eq!(flood.len(), 95, "as many as without a balancer");
        assert_eq!(through("192.0.2.1").unwrap_err(), Full::Source);
        let others: Vec<Place> = (1..=5).map(|host| through(&format!("192.0.2.1{host}")).unwrap()).collect();
        assert_eq!(through("192.0.2.20").unwrap_err(), Full::All);
        assert!(!HOUSE.taken().by_source.contains_key(&balancer), "what was turned away is given back too");
        drop((flood, others));
        let own: Vec<Place> = (0..).map_while(|_| through("10.0.0.1").ok()).collect();
        assert_eq!(own.len(), 95, "of those whose caller it does not tell no more than a caller may have");
        drop(own);
        let silent: Vec<Place> = (0..).map_while(|_| HOUSE.handshake(balancer, 100).ok()).collect();
        assert_eq!(silent.len(), 19, "and of those it has told nothing of yet far fewer");
        drop(silent);
        assert!(HOUSE.taken().by_source.is_empty() && HOUSE.taken().all == Held::default());
    }

    #[test]
    fn l_044_a_quarter_of_all_places_may_be_shaking_hands() {
        static HOUSE: Places = Places::new();
        let shaking: Vec<Place> = (0..).map_while(|_| HOUSE.handshake(ip("192.0.2.1"), 100).ok()).collect();
        assert_eq!(shaking.len(), 19, "three quarters of a quarter are the most of one source");
        let others: Vec<Place> = (0..).map_while(|_| HOUSE.handshake(ip("192.0.2.2"), 100).ok()).collect();
        assert_eq!(others.len(), 6);
        assert!(HOUSE.connection(ip("192.0.2.1"), 100).is_ok(), "a connection is another thing");
        drop(shaking);
        assert!(HOUSE.handshake(ip("192.0.2.1"), 100).is_ok());
        assert!(HOUSE.handshake(ip("192.0.2.3"), 1).is_err() && HOUSE.taken().all.handshakes == 6);
        drop(others);
        assert!(HOUSE.handshake(ip("192.0.2.3"), 1).is_ok(), "one at least");
    }
}
