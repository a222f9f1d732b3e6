//! Blocks as they lie on disk: a person's own, and that of a telephone number, which is everybody's who is called there.

use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Identity;
use crate::domain::Standing;
use crate::ports::StoreError;

use super::disk::Disk;
use super::keys;
use super::keys::Tree;
use super::record;

/// The block of this person alone.
pub(super) fn own(disk: &Disk, who: &Identity) -> Result<Option<Block>, StoreError> {
    disk.read(Tree::Blocks, &keys::block(&Blocked::Identity(who.clone())))
}

/// The standing with the blocks of the account's numbers.
pub(super) fn with_numbers(standing: Standing, read: impl Fn(&Blocked) -> Result<Option<Block>, StoreError>) -> Result<Standing, StoreError> {
    let Some(account) = &standing.account else { return Ok(standing) };
    let mut block = standing.block.clone();
    for phone in account.numbers() {
        block = block.into_iter().chain(read(&Blocked::Phone(phone))?).max_by_key(|block| block.until);
    }
    Ok(Standing { block, ..standing })
}

/// The block of a number, read from disk each time: of whom else it is a number nobody needs to know.
pub(super) fn of(disk: &Disk, whom: &Blocked) -> Result<Option<Block>, StoreError> {
    disk.read(Tree::Blocks, &keys::block(whom))
}

/// All blocks, at most `count_max`: those of people first.
pub(super) fn list(disk: &Disk, count_max: usize) -> Result<Vec<(Blocked, Block)>, StoreError> {
    let rows = disk.scan(Tree::Blocks, b"")?.take(count_max);
    rows.map(|row| {
        let (key, value) = row?;
        let damaged = || StoreError::Damaged { tree: Tree::Blocks.name(), key: keys::shown(Tree::Blocks, &key) };
        Ok((keys::blocked(&key).ok_or_else(damaged)?, record::decode(Tree::Blocks, &key, &value)?))
    })
    .collect()
}
