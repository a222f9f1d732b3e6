//! What was read lately, decoded: a login asks for the same person up to six times, and whose a name is.
//!
//! A value here is the one on disk, or nobody has been told yet that it no longer is. The single writer sees to that: before a group is written
//! it names all whom the group is about ([`Cache::begin`]), and from then on nobody may put down what he reads of them, as he may have read
//! half-way; when the group is on disk, and before anybody is told, it puts down what it wrote ([`Cache::settle`]). A reader who finds nothing
//! reads the disk *under the lock of the shard*, so that he is done before the writer begins or sees that it has begun. After a failed write
//! nothing is left ([`Cache::clear`]): true is then what the disk says.
//!
//! The writer itself never reads here: a code is burnt against the record on disk and its checksum.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde::de::DeserializeOwned;

use crate::domain::Blocked;
use crate::domain::Identity;
use crate::domain::Standing;
use crate::domain::Token;
use crate::ports::StoreError;

use super::apply::Writes;
use super::keys;
use super::keys::Tree;
use super::record;
use super::record::StoredToken;
use super::record::Tallies;
use super::seal::Seal;

/// The people of whom was read lately, at most [`PEOPLE_MAX`], and the names that people have, at most as many.
#[derive(Debug)]
pub(super) struct Cache {
    chance: RandomState,
    people: Shards<Identity, Known>,
    names: Shards<String, Arc<[Identity]>>,
}

#[derive(Debug)]
struct Shards<K, V> {
    first: Mutex<Shard<K, V>>,
    rest: Vec<Mutex<Shard<K, V>>>,
}

#[derive(Debug)]
struct Shard<K, V> {
    /// In either of young and old.
    half_max: usize,
    /// Asked for since the halves were last turned.
    young: HashMap<K, Box<V>>,
    /// Asked for before, and forgotten at the next turn.
    old: HashMap<K, Box<V>>,
    /// Being written.
    begun: HashSet<K>,
}

/// `None` is what nobody asked for.
#[derive(Debug, Default)]
struct Known {
    standing: Option<Standing>,
    /// In the order of their ids.
    tokens: Option<Vec<Held>>,
}

#[derive(Debug)]
struct Held {
    token: Token,
    /// A keyed hash of the seed as it is sealed on disk: while it is the same the seed is, and needs not be opened again.
    sealed: u64,
}

impl Cache {
    /// A cache of at most so many people, and one for each half of a shard.
    pub(super) fn new(people_max: usize) -> Self {
        Self { chance: RandomState::new(), people: Shards::new(people_max), names: Shards::new(people_max) }
    }

    /// What is held about an identity, read by `read` where it is not known.
    pub(super) fn standing(&self, who: &Identity, read: impl FnOnce() -> Result<Standing, StoreError>) -> Result<Standing, StoreError> {
        let mut shard = self.person(who);
        if let Some(found) = shard.known(who).and_then(|known| known.standing.as_ref()) {
            return Ok(found.clone());
        }
        let found = read()?;
        if !shard.begun.contains(who) {
            shard.room_for(who).standing = Some(found.clone());
        }
        Ok(found)
    }

    /// The tokens of an identity, read by `read` where they are not known: each with its seed as it is sealed.
    pub(super) fn tokens(&self, who: &Identity, read: impl FnOnce() -> Result<Vec<(Token, String)>, StoreError>) -> Result<Vec<Token>, StoreError> {
        let mut shard = self.person(who);
        let plain = |held: &[Held]| held.iter().map(|held| held.token.clone()).collect();
        if let Some(held) = shard.known(who).and_then(|known| known.tokens.as_deref()) {
            return Ok(plain(held));
        }
        let held: Vec<Held> = read()?.into_iter().map(|(token, sealed)| Held { token, sealed: self.chance.hash_one(sealed) }).collect();
        let found = plain(&held);
        if !shard.begun.contains(who) {
            shard.room_for(who).tokens = Some(held);
        }
        Ok(found)
    }

    /// Whose this name is, without case, read by `read` where it is not known. That a name is nobody's is not remembered: anybody can make names up.
    pub(super) fn named(&self, name: &str, read: impl FnOnce() -> Result<Arc<[Identity]>, StoreError>) -> Result<Arc<[Identity]>, StoreError> {
        let mut shard = self.names.of(&self.chance, name);
        if let Some(found) = shard.known(name) {
            return Ok(Arc::clone(found));
        }
        let found = read()?;
        if !found.is_empty() && !shard.begun.contains(name) {
            shard.put(name.to_owned(), Arc::clone(&found));
        }
        Ok(found)
    }

    /// Before a group is written.
    pub(super) fn begin(&self, writes: &Writes) {
        for row in touched(writes) {
            self.person(&row.who).begun.insert(row.who);
        }
        for name in renamed(writes) {
            self.names.of(&self.chance, name).begun.insert(name.to_owned());
        }
    }

    /// When it is on disk.
    pub(super) fn settle(&self, writes: &Writes, seal: &Seal) {
        // Names first: whose a name was may be gone by the next line.
        for name in renamed(writes) {
            self.names.of(&self.chance, name).forget(name);
        }
        for row in touched(writes) {
            let mut shard = self.person(&row.who);
            // What cannot be decoded is forgotten: who reads it from disk is told why.
            if shard.known(&row.who).is_some_and(|known| known.amend(seal, &self.chance, &row).is_err()) {
                shard.young.remove(&row.who);
            }
        }
        for row in touched(writes) {
            self.person(&row.who).begun.remove(&row.who);
        }
        for name in renamed(writes) {
            self.names.of(&self.chance, name).begun.remove(name);
        }
    }

    /// Forgets of whom nobody asked since the last time but one: seeds are here as they are used, and lie open no longer than somebody uses them (M-25).
    pub(super) fn age(&self) {
        for shard in std::iter::once(&self.people.first).chain(&self.people.rest) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.old = std::mem::take(&mut shard.young);
        }
    }

    /// Forgets everything, after a write that failed: while one goes on, only who writes it may say so.
    pub(super) fn clear(&self) {
        self.people.clear();
        self.names.clear();
    }

    fn person(&self, who: &Identity) -> MutexGuard<'_, Shard<Identity, Known>> {
        self.people.of(&self.chance, who)
    }
}

impl<K: Eq + Hash, V> Shards<K, V> {
    fn new(count_max: usize) -> Self {
        let shard = || Mutex::new(Shard::new((count_max / SHARDS / 2).max(1)));
        Self { first: shard(), rest: std::iter::repeat_with(shard).take(SHARDS - 1).collect() }
    }

    fn of<Q: Hash + ?Sized>(&self, chance: &RandomState, key: &Q) -> MutexGuard<'_, Shard<K, V>> {
        let [byte, ..] = chance.hash_one(key).to_le_bytes();
        let shard = self.rest.get(usize::from(byte) % SHARDS).unwrap_or(&self.first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clear(&self) {
        for shard in std::iter::once(&self.first).chain(&self.rest) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard::new(shard.half_max);
        }
    }
}

impl<K: Eq + Hash, V> Shard<K, V> {
    fn new(half_max: usize) -> Self {
        Self { half_max, young: HashMap::new(), old: HashMap::new(), begun: HashSet::new() }
    }

    /// What is known of somebody, who is young again.
    fn known<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some((key, known)) = self.old.remove_entry(key) {
            self.turn();
            self.young.insert(key, known);
        }
        self.young.get_mut(key).map(AsMut::as_mut)
    }

    fn put(&mut self, key: K, value: V) {
        self.turn();
        self.young.insert(key, Box::new(value));
    }

    fn forget<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// Makes room for one more.
    fn turn(&mut self) {
        if self.young.len() >= self.half_max {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Shard<Identity, Known> {
    fn room_for(&mut self, who: &Identity) -> &mut Known {
        if !self.young.contains_key(who) {
            self.turn();
        }
        self.young.entry(who.clone()).or_default()
    }
}

impl Known {
    fn amend(&mut self, seal: &Seal, chance: &RandomState, row: &Row<'_>) -> Result<(), StoreError> {
        match (row.tree, &mut self.standing, &mut self.tokens) {
            (Tree::Accounts, Some(standing), _) => standing.account = row.decoded()?.map(Arc::new),
            (Tree::Blocks, Some(standing), _) => standing.block = row.decoded()?,
            (Tree::Bypasses, Some(standing), _) => standing.bypass = row.decoded()?,
            (Tree::Tries, Some(standing), _) => {
                let Tallies { common, exempt } = row.decoded()?.unwrap_or_default();
                (standing.tries, standing.exempt_tries) = (common, exempt);
            }
            (Tree::Tokens, _, Some(tokens)) => {
                let at = tokens.binary_search_by(|held| held.token.info.id.as_str().cmp(row.token));
                let Some(stored) = row.decoded::<StoredToken>()? else {
                    if let Ok(at) = at {
                        tokens.remove(at);
                    }
                    return Ok(());
                };
                let sealed = chance.hash_one(&stored.seed);
                match (at, at.ok().and_then(|at| tokens.get_mut(at))) {
                    (_, Some(held)) if held.sealed == sealed => held.token.info = stored.info,
                    (_, Some(held)) => *held = Held { token: stored.opened(seal, row.key)?, sealed },
                    (Ok(at) | Err(at), None) => tokens.insert(at, Held { token: stored.opened(seal, row.key)?, sealed }),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A record that is written, and whom it is about.
struct Row<'a> {
    who: Identity,
    tree: Tree,
    key: &'a [u8],
    /// The id in a key of `tokens`.
    token: &'a str,
    value: Option<&'a [u8]>,
}

impl Row<'_> {
    fn decoded<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        self.value.map(|bytes| record::decode(self.tree, self.key, bytes)).transpose()
    }
}

fn touched(writes: &Writes) -> impl Iterator<Item = Row<'_>> {
    let trees = writes.iter().filter(|(tree, _)| matches!(tree, Tree::Accounts | Tree::Blocks | Tree::Bypasses | Tree::Tokens | Tree::Tries));
    trees.flat_map(|(tree, records)| records.iter().filter_map(|(key, value)| row(*tree, key, value.as_deref())))
}

/// The names, without case, that somebody gets or loses.
fn renamed(writes: &Writes) -> impl Iterator<Item = &str> {
    let keys = writes.get(&Tree::Names).into_iter().flat_map(|records| records.keys());
    keys.filter_map(|key| std::str::from_utf8(key).ok()?.split_once('\0')).map(|(name, _)| name)
}

/// A key is text, as whoever orders a change gives text.
fn row<'a>(tree: Tree, key: &'a [u8], value: Option<&'a [u8]>) -> Option<Row<'a>> {
    if tree == Tree::Blocks {
        // That of a number is nobody's own, and not kept here.
        let Some(Blocked::Identity(who)) = keys::blocked(key) else { return None };
        return Some(Row { who, tree, key, token: "", value });
    }
    let text = std::str::from_utf8(key).ok()?;
    let (who, token) = text.split_once('\0').unwrap_or((text, ""));
    Some(Row { who: Identity(who.to_owned()), tree, key, token, value })
}

/// People of whom something is kept: 20 MB of ordinary ones.
pub(super) const PEOPLE_MAX: usize = 32_768;
const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;
    use crate::domain::Tries;

    fn who(id: &str) -> Identity {
        Identity(id.into())
    }

    fn failed(failures: u32) -> Standing {
        Standing { tries: Tries { failures, lock_until: None, at: Vec::new() }, ..Standing::default() }
    }

    fn writes(id: &str, failures: u32) -> Writes {
        let bytes = record::encode(Tree::Tries, id.as_bytes(), &failed(failures).tries).unwrap();
        Writes::from([(Tree::Tries, [(id.as_bytes().to_vec(), Some(bytes))].into())])
    }

    fn seal() -> Seal {
        Seal::new(&Secret::new(vec![1; 32])).unwrap()
    }

    fn unread() -> Result<Standing, StoreError> {
        panic!("it is known already")
    }

    #[test]
    fn what_is_known_is_not_read_again_and_follows_what_is_written() {
        let cache = Cache::new(PEOPLE_MAX);
        assert_eq!(cache.standing(&who("a"), || Ok(failed(1))), Ok(failed(1)));
        cache.begin(&writes("a", 2));
        // Nobody was told of the new one yet.
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(1)));
        cache.settle(&writes("a", 2), &seal());
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(2)));
    }

    #[test]
    fn what_is_read_while_it_is_written_is_not_kept() {
        let cache = Cache::new(PEOPLE_MAX);
        cache.begin(&writes("a", 2));
        assert_eq!(cache.standing(&who("a"), || Ok(failed(1))), Ok(failed(1)));
        assert_eq!(cache.standing(&who("a"), || Ok(failed(3))), Ok(failed(3)), "it was not put down");
        cache.settle(&writes("a", 2), &seal());
        assert_eq!(cache.standing(&who("a"), || Ok(failed(2))), Ok(failed(2)));
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(2)));
    }

    #[test]
    fn m_25_of_whom_nobody_asks_nothing_is_left() {
        let cache = Cache::new(PEOPLE_MAX);
        let _ = cache.standing(&who("a"), || Ok(failed(1)));
        let _ = cache.standing(&who("b"), || Ok(failed(1)));
        cache.age();
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(1)));
        cache.age();
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(1)));
        assert_eq!(cache.standing(&who("b"), || Ok(failed(2))), Ok(failed(2)));
    }

    #[test]
    fn after_a_failed_write_everything_is_read_anew() {
        let cache = Cache::new(PEOPLE_MAX);
        let _ = cache.standing(&who("a"), || Ok(failed(1)));
        cache.begin(&writes("a", 2));
        cache.clear();
        assert_eq!(cache.standing(&who("a"), || Ok(failed(2))), Ok(failed(2)));
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(2)));
    }

    fn renames(name: &str, id: &str) -> Writes {
        Writes::from([(Tree::Names, [(keys::name(name, &who(id)), Some(Vec::new()))].into())])
    }

    #[test]
    fn m_20_whose_a_name_is_follows_what_is_written_and_nobody_s_name_is_not_remembered() {
        let cache = Cache::new(PEOPLE_MAX);
        let named = |ids: &[&str]| -> Result<Arc<[Identity]>, StoreError> { Ok(ids.iter().map(|id| who(id)).collect()) };
        let unread = || -> Result<Arc<[Identity]>, StoreError> { panic!("it is known already") };
        assert_eq!(cache.named("ann", || named(&[])), named(&[]));
        assert_eq!(cache.named("ann", || named(&["a"])), named(&["a"]));
        assert_eq!(cache.named("ann", unread), named(&["a"]));
        let second = renames("Ann", "b");
        cache.begin(&second);
        // Nobody was told of the new one yet, and what is read meanwhile is not kept.
        assert_eq!(cache.named("ann", unread), named(&["a"]));
        assert_eq!(cache.named("bob", || named(&["c"])), named(&["c"]));
        cache.settle(&second, &seal());
        assert_eq!(cache.named("ann", || named(&["a", "b"])), named(&["a", "b"]));
        assert_eq!(cache.named("ann", unread), named(&["a", "b"]));
        let third = renames("dan", "d");
        cache.begin(&third);
        assert_eq!(cache.named("dan", || named(&["e"])), named(&["e"]));
        cache.settle(&third, &seal());
        assert_eq!(cache.named("dan", || named(&["d", "e"])), named(&["d", "e"]));
        cache.clear();
        assert_eq!(cache.named("ann", || named(&["z"])), named(&["z"]));
    }

    #[test]
    fn what_cannot_be_read_is_not_kept() {
        let cache = Cache::new(PEOPLE_MAX);
        let error = StoreError::Damaged { tree: "tries", key: "a".into() };
        assert_eq!(cache.standing(&who("a"), || Err(error.clone())), Err(error));
        assert_eq!(cache.standing(&who("a"), || Ok(failed(1))), Ok(failed(1)));
        let damaged = Writes::from([(Tree::Tries, [(b"a".to_vec(), Some(vec![0; 9]))].into())]);
        cache.begin(&damaged);
        cache.settle(&damaged, &seal());
        assert_eq!(cache.standing(&who("a"), || Ok(failed(3))), Ok(failed(3)));
    }

    #[test]
    fn it_is_bounded_and_keeps_who_comes_again() {
        let cache = Cache::new(1_024);
        let held = |cache: &Cache| -> usize {
            let held = |shard: &Mutex<Shard<Identity, Known>>| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            };
            held(&cache.people.first) + cache.people.rest.iter().map(held).sum::<usize>()
        };
        let _ = cache.standing(&who("often"), || Ok(failed(1)));
        for number in 0..20_000_u32 {
            let id = format!("S-{}", number % 15_000);
            let _ = cache.standing(&who(&id), || Ok(failed(number)));
            let written = writes(&format!("S-{}", number / 2), number);
            cache.begin(&written);
            cache.settle(&written, &seal());
            assert_eq!(cache.standing(&who("often"), unread), Ok(failed(1)));
            assert!(held(&cache) <= 1_024);
        }
        assert!(cache.people.rest.iter().all(|shard| shard.lock().unwrap().begun.is_empty()));
    }
}
