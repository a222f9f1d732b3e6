//! What a login leaves behind for the same person's next one from the same place: one for each identity, taken once, bounded, and not for long.

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
    count_max: usize,
}

#[derive(Debug)]
struct Item<T> {
    what: T,
    whence: Whence,
    until: Instant,
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
        Self { items: HashMap::new(), count_max }
    }

    /// Keeps it, in place of what there was; `false` when all places are taken, and then it is dropped.
    pub(super) fn put(&mut self, now: Instant, who: Identity, whence: Whence, until: Instant, what: T) -> bool {
        self.sweep(now);
        let fits = self.items.len() < self.count_max || self.items.contains_key(&who);
        if fits {
            self.items.insert(who, Item { what, whence, until });
        }
        fits
    }

    /// Takes it out, for whoever comes from where it was left and in time.
    pub(super) fn take(&mut self, now: Instant, who: &Identity, whence: &Whence) -> Option<T> {
        let theirs = self.items.get(who).is_some_and(|item| item.whence == *whence && now < item.until);
        if theirs { self.items.remove(who).map(|item| item.what) } else { None }
    }

    pub(super) fn drop_of(&mut self, who: &Identity) {
        self.items.remove(who);
    }

    pub(super) fn sweep(&mut self, now: Instant) {
        self.items.retain(|_, item| now < item.until);
    }
}
