//! A store that forgets: the same rules in a map, written apart from the other one so that each can be held against the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use async_trait::async_trait;

use crate::domain::Account;
use crate::domain::BackupCodes;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::CommitError;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Standing;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::pin::Pin;
use crate::ports::Store;
use crate::ports::StoreError;

use super::blocks;
use super::keys;
use super::record::Tallies;

/// A store in memory.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    people: BTreeMap<Identity, Person>,
    blocks: BTreeMap<Blocked, Block>,
    last: u64,
}

/// Every change but those of blocks is about one identity, and this is all there is about it beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Person {
    account: Option<Account>,
    backups: Option<BackupCodes>,
    bypass: Option<Bypass>,
    pin: Option<Pin>,
    tokens: BTreeMap<String, Token>,
    tries: Tallies,
}

impl Person {
    /// Does what the change says; `None` when it is spent.
    fn apply(&mut self, change: Change) -> Option<()> {
        match change {
            // Not a person's own.
            Change::Block { .. } | Change::Unblock(_) => {}
            Change::EnableAccount { enabled, .. } => self.account.iter_mut().for_each(|account| account.enabled = enabled),
            Change::Fail { at, lock, tally, .. } => {
                let tries = self.tries.of(tally);
                *tries = std::mem::take(tries).failed(at, lock);
            }
            Change::GrantBypass { bypass, .. } => self.bypass = Some(bypass),
            Change::PutAccount(account) => self.account = Some(*account),
            Change::PutBackups { codes, .. } => self.backups = Some(codes),
            Change::PutPin { pin, .. } => self.pin = Some(pin),
            Change::PutToken(mut token) => {
                let burnt = self.tokens.get(&token.info.id).map_or(0, |old| old.info.next_step);
                token.info.next_step = token.info.next_step.max(burnt);
                self.tokens.insert(token.info.id.clone(), token);
            }
            Change::RemoveAccount(_) => *self = Self::default(),
            Change::RemoveBackups(_) => self.backups = None,
            Change::RemovePin(_) => self.pin = None,
            Change::RemoveToken { token, .. } => drop(self.tokens.remove(&token)),
            Change::RevokeBypass(_) => self.bypass = None,
            Change::SpendBypass { at, .. } => drop(self.bypass.take().filter(|bypass| at < bypass.until)?),
            Change::Succeed(_, tally) => {
                let tries = self.tries.of(tally);
                *tries = std::mem::take(tries).succeeded();
            }
            Change::Unlock(_) => self.tries = Tallies::default(),
            Change::UseBackup { place, issued_at, at, .. } => {
                self.backups = Some(self.backups.clone()?.used(place, issued_at, at)?).filter(|left| left.left() > 0);
            }
            Change::UseOtp { token, step, .. } => {
                let info = &mut self.tokens.get_mut(&token)?.info;
                info.next_step = Some(step).filter(|step| *step >= info.next_step)?.checked_add(1)?;
            }
        }
        Some(())
    }
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sorted_accounts(&self) -> Vec<(Vec<u8>, Account)> {
        let state = self.state();
        let accounts = state.people.values().filter_map(|person| person.account.clone());
        let mut sorted: Vec<_> = accounts.map(|account| (keys::name(&account.name, &account.identity), account)).collect();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        sorted
    }
}

#[async_trait]
impl Store for Memory {
    fn standing(&self, who: &Identity) -> Result<Standing, StoreError> {
        let person = self.state().people.get(who).cloned().unwrap_or_default();
        let held = self.state().blocks.clone();
        let block = held.get(&Blocked::Identity(who.clone())).cloned();
        let standing =
            Standing { account: person.account.map(Arc::new), tries: person.tries.common, exempt_tries: person.tries.exempt, bypass: person.bypass, block };
        blocks::with_numbers(standing, |whom| Ok(held.get(whom).cloned()))
    }

    fn tokens(&self, who: &Identity) -> Result<Vec<Token>, StoreError> {
        Ok(self.state().people.get(who).map(|person| person.tokens.values().cloned().collect()).unwrap_or_default())
    }

    fn accounts(&self, search: &str, after: Option<&str>, count_max: usize) -> Result<Vec<Account>, StoreError> {
        let first = after.map(keys::behind).unwrap_or_default();
        let search = keys::folded(search);
        let found = self.sorted_accounts().into_iter().filter(|(key, account)| *key >= first && super::matches(account, &search));
        Ok(found.map(|(_, account)| account).take(count_max).collect())
    }

    fn accounts_named(&self, name: &str) -> Result<Vec<Account>, StoreError> {
        let wanted = keys::folded(name);
        let found = self.sorted_accounts().into_iter().map(|(_, account)| account);
        Ok(found.filter(|account| keys::folded(&account.name) == wanted).collect())
    }

    fn backup_codes(&self, who: &Identity) -> Result<Option<BackupCodes>, StoreError> {
        Ok(self.state().people.get(who).and_then(|person| person.backups.clone()))
    }

    fn pin(&self, who: &Identity) -> Result<Option<Pin>, StoreError> {
        Ok(self.state().people.get(who).and_then(|person| person.pin.clone()))
    }

    fn token_list(&self, count_max: usize) -> Result<Vec<TokenInfo>, StoreError> {
        let state = self.state();
        let tokens = state.people.values().flat_map(|person| person.tokens.values());
        Ok(tokens.map(|token| token.info.clone()).take(count_max).collect())
    }

    fn bypass_list(&self, count_max: usize) -> Result<Vec<(Identity, Bypass)>, StoreError> {
        let state = self.state();
        let bypasses = state.people.iter().filter_map(|(who, person)| Some((who.clone(), person.bypass.clone()?)));
        Ok(bypasses.take(count_max).collect())
    }

    fn block_list(&self, count_max: usize) -> Result<Vec<(Blocked, Block)>, StoreError> {
        Ok(self.state().blocks.iter().map(|(whom, block)| (whom.clone(), block.clone())).take(count_max).collect())
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Lsn, CommitError> {
        if super::unfit(&changes).is_some() {
            return Err(CommitError::Outage);
        }
        let mut state = self.state();
        let mut last = state.last;
        let mut touched: BTreeMap<Identity, Person> = BTreeMap::new();
        let mut blocks = state.blocks.clone();
        for change in changes {
            let Some(who) = whose(&change).cloned() else {
                last = last.saturating_add(1);
                match change {
                    Change::Block { whom, block } => drop(blocks.insert(whom, block)),
                    Change::Unblock(whom) => drop(blocks.remove(&whom)),
                    _ => {}
                }
                continue;
            };
            let person = touched.entry(who.clone()).or_insert_with(|| state.people.get(&who).cloned().unwrap_or_default());
            let idle = matches!(change, Change::Succeed(_, tally) if person.tries.of(tally).failures == 0);
            person.apply(change).ok_or(CommitError::Spent)?;
            last = if idle { last } else { last.saturating_add(1) };
        }
        for (who, person) in touched {
            if person == Person::default() {
                state.people.remove(&who);
            } else {
                state.people.insert(who, person);
            }
        }
        (state.blocks, state.last) = (blocks, last);
        Ok(Lsn(last))
    }
}

/// Whose record a change is about; a block's is nobody's.
fn whose(change: &Change) -> Option<&Identity> {
    Some(match change {
        Change::Block { .. } | Change::Unblock(_) => return None,
        Change::PutAccount(account) => &account.identity,
        Change::PutToken(token) => &token.info.owner,
        Change::RemoveBackups(who) | Change::RemovePin(who) => who,
        Change::RemoveAccount(who) | Change::RevokeBypass(who) | Change::Succeed(who, _) | Change::Unlock(who) => who,
        Change::EnableAccount { who, .. }
        | Change::Fail { who, .. }
        | Change::GrantBypass { who, .. }
        | Change::PutBackups { who, .. }
        | Change::PutPin { who, .. }
        | Change::RemoveToken { who, .. }
        | Change::SpendBypass { who, .. }
        | Change::UseBackup { who, .. }
        | Change::UseOtp { who, .. } => who,
    })
}
