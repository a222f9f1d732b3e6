//! What each change does: lists of changes become writes, each list all or nothing, each seeing those before it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::Account;
use crate::domain::BackupCodes;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Tally;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::ports::StoreError;

use super::disk::Disk;
use super::keys;
use super::keys::Tree;
use super::locked::StoredBackups;
use super::locked::StoredPin;
use super::record;
use super::record::Head;
use super::record::Logged;
use super::record::StoredToken;
use super::record::Tallies;
use super::seal::Seal;

/// By tree and key: the new bytes, or `None` for a record that goes.
pub(super) type Writes = BTreeMap<Tree, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// Why a list of changes is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// A record it needs cannot be read.
    Fault(StoreError),
    /// A code or bypass in it is used up.
    Spent,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Fault(error)
    }
}

/// A group of lists on their way to the disk.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    disk: &'a Disk,
    seal: &'a Seal,
    head: Head,
    /// Of the lists taken so far.
    taken: Writes,
    /// Of the list being looked at.
    own: Writes,
    /// Whether a record that was asked for is on disk.
    met: BTreeMap<(Tree, Vec<u8>), bool>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(disk: &'a Disk, seal: &'a Seal) -> Result<Self, StoreError> {
        Ok(Self { disk, seal, head: disk.head()?, taken: Writes::new(), own: Writes::new(), met: BTreeMap::new() })
    }

    /// Takes a list, on the state after all lists taken before; a list that is refused leaves no trace.
    pub(super) fn take(&mut self, changes: &[Change]) -> Result<Lsn, Refusal> {
        let before = self.head.last;
        let done = self.apply_all(changes);
        let own = std::mem::take(&mut self.own);
        if done.is_err() {
            self.head.last = before;
        } else {
            for (tree, records) in own {
                self.taken.entry(tree).or_default().extend(records);
            }
        }
        done
    }

    /// All writes of the lists taken, the head among them; nothing where nothing changes. At most `log_max` entries of the log are kept.
    pub(super) fn finish(mut self, log_max: u64) -> Result<Writes, StoreError> {
        if self.taken.is_empty() {
            return Ok(self.taken);
        }
        while self.head.last.saturating_add(1).saturating_sub(self.head.first) > log_max {
            self.taken.entry(Tree::Changes).or_default().insert(keys::lsn(Lsn(self.head.first)).to_vec(), None);
            self.head.first = self.head.first.saturating_add(1);
        }
        self.count()?;
        let head = record::encode(Tree::Meta, keys::HEAD, &self.head)?;
        self.taken.entry(Tree::Meta).or_default().insert(keys::HEAD.to_vec(), Some(head));
        Ok(self.taken)
    }

    /// The end of the log after the lists taken.
    pub(super) fn last(&self) -> u64 {
        self.head.last
    }

    fn apply_all(&mut self, changes: &[Change]) -> Result<Lsn, Refusal> {
        let mut made = Vec::with_capacity(changes.len());
        for change in changes {
            if self.apply(change)? {
                made.push(change);
            }
        }
        let mut left = made.len();
        for change in made {
            left = left.saturating_sub(1);
            let lsn = Lsn(self.head.last.saturating_add(1));
            let entry = Logged::new(change, lsn, left > 0, self.seal).ok_or_else(no_random_numbers)?;
            self.put(Tree::Changes, &keys::lsn(lsn), &entry)?;
            self.head.last = lsn.0;
        }
        Ok(Lsn(self.head.last))
    }

    /// Whether there is anything to log: that a login went well of somebody who had no failures, which is nearly every login, costs no write.
    fn apply(&mut self, change: &Change) -> Result<bool, Refusal> {
        match change {
            Change::Block { whom, block } => return Ok(self.block(whom, block)?),
            Change::EnableAccount { who, enabled } => self.enable_account(who, *enabled)?,
            Change::Fail { who, at, lock, tally } => {
                let mut tallies: Tallies = self.read(Tree::Tries, keys::identity(who))?.unwrap_or_default();
                let tries = tallies.of(*tally);
                *tries = std::mem::take(tries).failed(*at, *lock);
                self.put(Tree::Tries, keys::identity(who), &tallies)?;
            }
            Change::GrantBypass { who, bypass } => self.put(Tree::Bypasses, keys::identity(who), bypass)?,
            Change::PutAccount(account) => self.put_account(account)?,
            Change::PutBackups { who, codes } => self.put_backups(who, codes)?,
            Change::PutPin { who, pin } => {
                let key = keys::identity(who);
                let stored = StoredPin::close(pin, self.seal, Tree::Pins, key).ok_or_else(no_random_numbers)?;
                self.put(Tree::Pins, key, &stored)?;
            }
            Change::PutToken(token) => self.put_token(token)?,
            Change::RemoveAccount(who) => self.remove_account(who)?,
            Change::RemoveBackups(who) => self.remove(Tree::Backups, keys::identity(who)),
            Change::RemovePin(who) => self.remove(Tree::Pins, keys::identity(who)),
            Change::RemoveToken { who, token } => self.remove(Tree::Tokens, &keys::token(who, token)),
            Change::RevokeBypass(who) => self.remove(Tree::Bypasses, keys::identity(who)),
            Change::SpendBypass { who, at } => self.spend_bypass(who, *at)?,
            Change::Succeed(who, tally) => return Ok(self.succeed(who, *tally)?),
            Change::Unblock(whom) => self.remove(Tree::Blocks, &keys::block(whom)),
            Change::Unlock(who) => self.remove(Tree::Tries, keys::identity(who)),
            Change::UseBackup { who, place, issued_at, at } => self.use_backup(who, *place, *issued_at, *at)?,
            Change::UseOtp { who, token, step } => self.use_otp(who, token, *step)?,
        }
        Ok(true)
    }

    /// A fraud that a person reports shortens no block that lasts longer; an administrator may.
    fn block(&mut self, whom: &Blocked, block: &Block) -> Result<bool, StoreError> {
        let key = keys::block(whom);
        if block.by == Block::BY_THE_PERSON && self.read::<Block>(Tree::Blocks, &key)?.is_some_and(|held| held.until >= block.until) {
            return Ok(false);
        }
        self.put(Tree::Blocks, &key, block)?;
        Ok(true)
    }

    fn enable_account(&mut self, who: &Identity, enabled: bool) -> Result<(), StoreError> {
        let found: Option<Account> = self.read(Tree::Accounts, keys::identity(who))?;
        found.map_or(Ok(()), |account| self.put(Tree::Accounts, keys::identity(who), &Account { enabled, ..account }))
    }

    fn put_account(&mut self, account: &Account) -> Result<(), StoreError> {
        let who = &account.identity;
        if let Some(old) = self.read::<Account>(Tree::Accounts, keys::identity(who))? {
            self.remove(Tree::Names, &keys::name(&old.name, who));
        }
        self.put(Tree::Accounts, keys::identity(who), account)?;
        self.put(Tree::Names, &keys::name(&account.name, who), &())
    }

    /// A token put again never gets back a step that is burnt (M-01, O-25).
    fn put_token(&mut self, token: &Token) -> Result<(), StoreError> {
        let key = keys::token(&token.info.owner, &token.info.id);
        let burnt = self.read::<StoredToken>(Tree::Tokens, &key)?.map_or(0, |old| old.info.next_step);
        let mut info = token.info.clone();
        info.next_step = info.next_step.max(burnt);
        let seed = self.seal.close(Tree::Tokens, &key, &token.seed).ok_or_else(no_random_numbers)?;
        self.put(Tree::Tokens, &key, &StoredToken { info, seed })
    }

    fn remove_account(&mut self, who: &Identity) -> Result<(), StoreError> {
        if let Some(old) = self.read::<Account>(Tree::Accounts, keys::identity(who))? {
            self.remove(Tree::Names, &keys::name(&old.name, who));
        }
        for tree in [Tree::Accounts, Tree::Backups, Tree::Bypasses, Tree::Pins, Tree::Tries] {
            self.remove(tree, keys::identity(who));
        }
        for key in self.keys_of_tokens(who)? {
            self.remove(Tree::Tokens, &key);
        }
        Ok(())
    }

    fn spend_bypass(&mut self, who: &Identity, at: Timestamp) -> Result<(), Refusal> {
        let found: Option<Bypass> = self.read(Tree::Bypasses, keys::identity(who))?;
        if found.is_none_or(|bypass| bypass.until <= at) {
            return Err(Refusal::Spent);
        }
        self.remove(Tree::Bypasses, keys::identity(who));
        Ok(())
    }

    /// The count begins again. A lock stands: a login that overtook the failure which locked must not open the door for the next guess (M-06).
    fn succeed(&mut self, who: &Identity, tally: Tally) -> Result<bool, StoreError> {
        let mut tallies: Tallies = self.read(Tree::Tries, keys::identity(who))?.unwrap_or_default();
        let tries = tallies.of(tally);
        if tries.failures == 0 {
            return Ok(false);
        }
        *tries = std::mem::take(tries).succeeded();
        if tallies == Tallies::default() {
            self.remove(Tree::Tries, keys::identity(who));
        } else {
            self.put(Tree::Tries, keys::identity(who), &tallies)?;
        }
        Ok(true)
    }

    fn put_backups(&mut self, who: &Identity, codes: &BackupCodes) -> Result<(), StoreError> {
        let key = keys::identity(who);
        let stored = StoredBackups::close(codes, self.seal, Tree::Backups, key).ok_or_else(no_random_numbers)?;
        self.put(Tree::Backups, key, &stored)
    }

    /// Look and use in one, as [`Draft::use_otp`]. With the last code goes the record.
    fn use_backup(&mut self, who: &Identity, place: u8, issued_at: Timestamp, at: Timestamp) -> Result<(), Refusal> {
        let key = keys::identity(who);
        let stored: StoredBackups = self.read(Tree::Backups, key)?.ok_or(Refusal::Spent)?;
        let left = stored.open(self.seal, Tree::Backups, key)?.used(place, issued_at, at).ok_or(Refusal::Spent)?;
        if left.left() == 0 {
            self.remove(Tree::Backups, key);
            return Ok(());
        }
        Ok(self.put_backups(who, &left)?)
    }

    /// Check and burn in one: of two that bring the same code, the second finds it burnt (M-03).
    fn use_otp(&mut self, who: &Identity, token: &str, step: u64) -> Result<(), Refusal> {
        let key = keys::token(who, token);
        let mut stored: StoredToken = self.read(Tree::Tokens, &key)?.ok_or(Refusal::Spent)?;
        if step < stored.info.next_step {
            return Err(Refusal::Spent);
        }
        stored.info.next_step = step.checked_add(1).ok_or(Refusal::Spent)?;
        Ok(self.put(Tree::Tokens, &key, &stored)?)
    }

    fn read<T: DeserializeOwned>(&mut self, tree: Tree, key: &[u8]) -> Result<Option<T>, StoreError> {
        let drafted = [&self.own, &self.taken].into_iter().find_map(|writes| writes.get(&tree)?.get(key));
        match drafted {
            Some(value) => value.as_deref().map(|bytes| record::decode(tree, key, bytes)).transpose(),
            None => {
                let found = self.disk.read(tree, key)?;
                self.met.insert((tree, key.to_vec()), found.is_some());
                Ok(found)
            }
        }
    }

    fn put<T: Serialize>(&mut self, tree: Tree, key: &[u8], value: &T) -> Result<(), StoreError> {
        let bytes = record::encode(tree, key, value)?;
        self.own.entry(tree).or_default().insert(key.to_vec(), Some(bytes));
        Ok(())
    }

    fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.own.entry(tree).or_default().insert(key.to_vec(), None);
    }

    fn keys_of_tokens(&self, who: &Identity) -> Result<BTreeSet<Vec<u8>>, StoreError> {
        let prefix = keys::tokens_of(who);
        let mut found = BTreeSet::new();
        for row in self.disk.scan(Tree::Tokens, &prefix)? {
            found.insert(row?.0.to_vec());
        }
        let drafted = [&self.taken, &self.own].into_iter().filter_map(|writes| writes.get(&Tree::Tokens));
        for key in drafted.flat_map(|records| records.range(prefix.clone()..).map(|(key, _)| key).take_while(|key| key.starts_with(&prefix))) {
            found.insert(key.clone());
        }
        Ok(found)
    }

    fn count(&mut self) -> Result<(), StoreError> {
        for (tree, records) in &self.taken {
            for (key, value) in records {
                let Some(count) = self.head.counts.of(*tree) else { break };
                let was_there = match self.met.get(&(*tree, key.clone())) {
                    Some(was_there) => *was_there,
                    None => self.disk.bytes(*tree, key)?.is_some(),
                };
                match (was_there, value.is_some()) {
                    (false, true) => *count = count.saturating_add(1),
                    (true, false) => *count = count.saturating_sub(1),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn no_random_numbers() -> StoreError {
    StoreError::Io("the machine gives no random numbers".into())
}
