//! What was read lately, decoded: a login asks for the same person up to six times.
//!
//! A value here is the one on disk, or nobody has been told yet that it no longer is. The single writer sees to that: before a group is written
//! it names all whom the group is about ([`Cache::begin`]), and from then on nobody may put down what he reads of them, as he may have read
//! half-way; when the group is on disk, and before anybody is told, it puts down what it wrote ([`Cache::settle`]). A reader who finds nothing
//! reads the disk *under the lock of the shard*, so that he is done before the writer begins or sees that it has begun. After a failed write
//! nothing is left ([`Cache::clear`]): true is then what the disk says.
//!
//! The writer itself never reads here: a code is burnt against the record on disk and its checksum.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use serde::de::DeserializeOwned;

use crate::domain::Identity;
use crate::domain::Standing;
use crate::domain::Token;
use crate::ports::StoreError;

use super::apply::Writes;
use super::keys::Tree;
use super::record;
use super::record::StoredToken;
use super::seal::Seal;

/// The people of whom was read lately, at most [`PEOPLE_MAX`].
#[derive(Debug)]
pub(super) struct Cache {
    chance: RandomState,
    first: Mutex<Shard>,
    rest: Vec<Mutex<Shard>>,
}

#[derive(Debug)]
struct Shard {
    /// In either of young and old.
    half_max: usize,
    /// Asked for since the halves were last turned.
    young: HashMap<Identity, Box<Known>>,
    /// Asked for before, and forgotten at the next turn.
    old: HashMap<Identity, Box<Known>>,
    /// Being written.
    begun: HashSet<Identity>,
}

/// `None` is what nobody asked for.
#[derive(Debug, Default)]
struct Known {
    standing: Option<Standing>,
    /// In the order of their ids.
    tokens: Option<Vec<Token>>,
}

impl Cache {
    /// A cache of at most so many people, and one for each half of a shard.
    pub(super) fn new(people_max: usize) -> Self {
        let shard = || Mutex::new(Shard::new((people_max / SHARDS / 2).max(1)));
        Self { chance: RandomState::new(), first: shard(), rest: std::iter::repeat_with(shard).take(SHARDS - 1).collect() }
    }

    /// What is held about an identity, read by `read` where it is not known.
    pub(super) fn standing(&self, who: &Identity, read: impl FnOnce() -> Result<Standing, StoreError>) -> Result<Standing, StoreError> {
        self.look(who, |known| &mut known.standing, read)
    }

    /// The tokens of an identity, read by `read` where they are not known.
    pub(super) fn tokens(&self, who: &Identity, read: impl FnOnce() -> Result<Vec<Token>, StoreError>) -> Result<Vec<Token>, StoreError> {
        self.look(who, |known| &mut known.tokens, read)
    }

    /// Before a group is written.
    pub(super) fn begin(&self, writes: &Writes) {
        for row in touched(writes) {
            self.shard(&row.who).begun.insert(row.who);
        }
    }

    /// When it is on disk.
    pub(super) fn settle(&self, writes: &Writes, seal: &Seal) {
        for row in touched(writes) {
            let mut shard = self.shard(&row.who);
            // What cannot be decoded is forgotten: who reads it from disk is told why.
            if shard.known(&row.who).is_some_and(|known| known.amend(seal, &row).is_err()) {
                shard.young.remove(&row.who);
            }
        }
        for row in touched(writes) {
            self.shard(&row.who).begun.remove(&row.who);
        }
    }

    /// Forgets everything, after a write that failed: while one goes on, only who writes it may say so.
    pub(super) fn clear(&self) {
        for shard in std::iter::once(&self.first).chain(&self.rest) {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            *shard = Shard::new(shard.half_max);
        }
    }

    fn look<T: Clone>(
        &self,
        who: &Identity,
        part: impl Fn(&mut Known) -> &mut Option<T>,
        read: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut shard = self.shard(who);
        if let Some(found) = shard.known(who).and_then(|known| part(known).clone()) {
            return Ok(found);
        }
        let found = read()?;
        if !shard.begun.contains(who) {
            *part(shard.room_for(who)) = Some(found.clone());
        }
        Ok(found)
    }

    fn shard(&self, who: &Identity) -> MutexGuard<'_, Shard> {
        let [byte, ..] = self.chance.hash_one(who).to_le_bytes();
        let shard = self.rest.get(usize::from(byte) % SHARDS).unwrap_or(&self.first);
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn new(half_max: usize) -> Self {
        Self { half_max, young: HashMap::new(), old: HashMap::new(), begun: HashSet::new() }
    }

    /// What is known of somebody, who is young again.
    fn known(&mut self, who: &Identity) -> Option<&mut Known> {
        if let Some((who, known)) = self.old.remove_entry(who) {
            self.turn();
            self.young.insert(who, known);
        }
        self.young.get_mut(who).map(AsMut::as_mut)
    }

    fn room_for(&mut self, who: &Identity) -> &mut Known {
        if !self.young.contains_key(who) {
            self.turn();
        }
        self.young.entry(who.clone()).or_default()
    }

    /// Makes room for one more.
    fn turn(&mut self) {
        if self.young.len() >= self.half_max {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

impl Known {
    fn amend(&mut self, seal: &Seal, row: &Row<'_>) -> Result<(), StoreError> {
        match (row.tree, &mut self.standing, &mut self.tokens) {
            (Tree::Accounts, Some(standing), _) => standing.account = row.decoded()?,
            (Tree::Bypasses, Some(standing), _) => standing.bypass = row.decoded()?,
            (Tree::Tries, Some(standing), _) => standing.tries = row.decoded()?.unwrap_or_default(),
            (Tree::Tokens, _, Some(tokens)) => {
                let at = tokens.binary_search_by(|token| token.info.id.as_str().cmp(row.token));
                match (at, row.decoded::<StoredToken>()?) {
                    (Ok(at), None) => drop(tokens.remove(at)),
                    (Err(_), None) => {}
                    (Ok(at), Some(stored)) => {
                        let new = stored.opened(seal, row.key)?;
                        if let Some(token) = tokens.get_mut(at) {
                            *token = new;
                        }
                    }
                    (Err(at), Some(stored)) => tokens.insert(at, stored.opened(seal, row.key)?),
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
    let trees = writes.iter().filter(|(tree, _)| matches!(tree, Tree::Accounts | Tree::Bypasses | Tree::Tokens | Tree::Tries));
    trees.flat_map(|(tree, records)| records.iter().filter_map(|(key, value)| row(*tree, key, value.as_deref())))
}

/// A key is text, as whoever orders a change gives text.
fn row<'a>(tree: Tree, key: &'a [u8], value: Option<&'a [u8]>) -> Option<Row<'a>> {
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
        Standing { tries: Tries { failures, lock_until: None }, ..Standing::default() }
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
        cache.settle(&writes("a", 2), &seal());
        assert_eq!(cache.standing(&who("a"), || Ok(failed(2))), Ok(failed(2)));
        assert_eq!(cache.standing(&who("a"), unread), Ok(failed(2)));
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
            let held = |shard: &Mutex<Shard>| {
                let shard = shard.lock().unwrap();
                shard.young.len() + shard.old.len()
            };
            held(&cache.first) + cache.rest.iter().map(held).sum::<usize>()
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
        assert!(cache.rest.iter().all(|shard| shard.lock().unwrap().begun.is_empty()));
    }
}
