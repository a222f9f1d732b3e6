//! What a login leaves behind for the same person's next one from the same place: one for each identity, taken once, bounded, and not for long.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;

use tokio::time::Instant;

use crate::domain::AuthRequest;
use crate::domain::Door;
use crate::domain::Identity;

/// Things kept by whose they are.
#[derive(Debug)]
pub(super) struct Kept<T> {
    items: HashMap<Identity, Item<T>>,
    /// The same in the order in which they run out, each once: whoever puts something in passes by those alone that go.
    ends: BTreeMap<(Instant, u64), Identity>,
    number: u64,
    count_max: usize,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    whence: Whence,
    until: Instant,
    number: u64,
}

/// Where a login comes from: what is kept for one place is nobody's at another (M-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whence {
    door: Door,
    client: String,
    seat: Vec<u8>,
    asker: Vec<u8>,
    key: Vec<u8>,
    source: Option<IpAddr>,
}

impl Whence {
    /// All that a repeated login must have in common.
    pub(super) fn of(request: &AuthRequest) -> Self {
        Self { asker: request.asker.clone(), source: request.source, ..Self::of_seat(request) }
    }

    /// What an answer must have in common.
    pub(super) fn of_seat(request: &AuthRequest) -> Self {
        Self { door: request.door, client: request.client.clone(), seat: request.seat.clone(), asker: Vec::new(), key: Vec::new(), source: None }
    }

    /// And what else must come with it.
    pub(super) fn with_key(self, key: &[u8]) -> Self {
        Self { key: key.to_vec(), ..self }
    }
}

impl<T> Kept<T> {
    pub(super) fn new(count_max: usize) -> Self {
        Self { items: HashMap::new(), ends: BTreeMap::new(), number: 0, count_max }
    }

    /// Keeps it, in place of what there was; `false` when all places are taken, and then it is dropped.
    pub(super) fn put(&mut self, now: Instant, who: Identity, whence: Whence, until: Instant, what: T) -> bool {
        self.sweep(now);
        let fits = self.items.len() < self.count_max || self.items.contains_key(&who);
        if fits {
            self.remove(&who);
            self.number = self.number.wrapping_add(1);
            self.ends.insert((until, self.number), who.clone());
            self.items.insert(who, Item { what, whence, until, number: self.number });
        }
        fits
    }

    /// Takes it out, for whoever comes from where it was left and in time.
    pub(super) fn take(&mut self, now: Instant, who: &Identity, whence: &Whence) -> Option<T> {
        let theirs = self.items.get(who).is_some_and(|item| item.whence == *whence && now < item.until);
        if theirs { self.remove(who) } else { None }
    }

    pub(super) fn drop_of(&mut self, who: &Identity) {
        self.remove(who);
    }

    /// Throws out what has run out.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some(who) = self.first_over(now) {
            self.remove(&who);
        }
    }

    fn first_over(&self, now: Instant) -> Option<Identity> {
        self.ends.first_key_value().filter(|((until, _), _)| *until <= now).map(|(_, who)| who.clone())
    }

    fn remove(&mut self, who: &Identity) -> Option<T> {
        let item = self.items.remove(who)?;
        self.ends.remove(&(item.until, item.number));
        Some(item.what)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn here() -> Whence {
        Whence { door: Door::Radius, client: "fw".into(), seat: vec![1], asker: Vec::new(), key: Vec::new(), source: None }
    }

    fn who(number: usize) -> Identity {
        Identity(number.to_string())
    }

    fn table(count_max: usize) -> (Kept<usize>, Instant, impl Fn(u64) -> Instant) {
        let now = Instant::now();
        (Kept::new(count_max), now, move |seconds| now + Duration::from_secs(seconds))
    }

    #[test]
    fn what_runs_out_first_goes_first_whenever_it_was_put_in() {
        let (mut kept, now, after) = table(3);
        for (number, seconds) in [(1, 30), (2, 10), (3, 20)] {
            assert!(kept.put(now, who(number), here(), after(seconds), number));
        }
        assert!(!kept.put(after(9), who(4), here(), after(60), 4), "all places are taken");
        assert!(kept.put(after(10), who(4), here(), after(60), 4));
        assert_eq!(kept.take(after(10), &who(2), &here()), None);
        kept.sweep(after(20));
        assert_eq!((kept.take(after(20), &who(3), &here()), kept.take(after(20), &who(1), &here()), kept.items.len()), (None, Some(1), 1));
    }

    #[test]
    fn what_is_put_in_again_or_taken_out_leaves_no_trace_and_keeps_its_new_time() {
        let (mut kept, now, after) = table(2);
        for seconds in 1..=100 {
            assert!(kept.put(now, who(1), here(), after(seconds), 1));
        }
        assert_eq!((kept.items.len(), kept.ends.len()), (1, 1));
        kept.sweep(after(99));
        assert_eq!(kept.take(after(99), &who(1), &here()), Some(1));
        kept.put(now, who(2), here(), after(1), 2);
        kept.drop_of(&who(2));
        assert!(kept.items.is_empty() && kept.ends.is_empty());
    }

    /// A look at the whole table each time would be hundreds of millions of steps.
    #[test]
    fn putting_in_costs_no_look_at_all_the_others() {
        let (mut kept, now, after) = table(20_000);
        let began = Instant::now();
        for number in (0..20_000).chain(0..20_000) {
            assert!(kept.put(now, who(number), here(), after(60), number));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
