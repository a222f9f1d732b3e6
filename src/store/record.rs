//! Values: a version byte, JSON, and a checksum over place and content, so that a flipped bit or a record in the wrong place is an error and never a guess.

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::Account;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::Identity;
use crate::domain::Lock;
use crate::domain::Lsn;
use crate::domain::Tally;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::Tries;
use crate::ports::StoreError;

use super::keys;
use super::keys::Tree;
use super::locked::StoredBackups;
use super::locked::StoredPin;
use super::seal::Seal;

/// The only version there is.
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 4;

/// `meta` / `head`: what the store is and how much it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// Layout of trees and keys.
    pub(super) format: u32,
    /// Position of the oldest entry of the log that is kept; behind `last` when there is none.
    pub(super) first: u64,
    /// Position of the newest entry of the log; 0 before the first.
    pub(super) last: u64,
    /// Records by tree.
    pub(super) counts: Counts,
}

/// Records in the trees that are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accounts, and as many names.
    pub accounts: u64,
    /// Identities with backup codes.
    #[serde(default)]
    pub backups: u64,
    /// Bypasses not yet spent.
    pub bypasses: u64,
    /// Identities with a PIN.
    #[serde(default)]
    pub pins: u64,
    /// Tokens.
    pub tokens: u64,
    /// Identities with failures or a lock.
    pub tries: u64,
}

impl Counts {
    /// The count of a tree, if it is counted.
    pub(super) fn of(&mut self, tree: Tree) -> Option<&mut u64> {
        match tree {
            Tree::Accounts => Some(&mut self.accounts),
            Tree::Backups => Some(&mut self.backups),
            Tree::Bypasses => Some(&mut self.bypasses),
            Tree::Pins => Some(&mut self.pins),
            Tree::Tokens => Some(&mut self.tokens),
            Tree::Tries => Some(&mut self.tries),
            Tree::Blocks | Tree::Changes | Tree::Meta | Tree::Names => None,
        }
    }
}

/// `meta` / `audit`: how far the audit of this node went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditEnd {
    /// The number of a line; those up to it are on disk.
    pub(super) seq: u64,
}

/// `meta` / `key`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DataKey {
    pub(super) sealed: String,
}

/// `tries`: both counts of one identity. One of which there is nothing to say is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tallies {
    #[serde(flatten)]
    pub(super) common: Tries,
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(super) exempt: Tries,
}

impl Tallies {
    /// One of them.
    pub(super) fn of(&mut self, tally: Tally) -> &mut Tries {
        match tally {
            Tally::Common => &mut self.common,
            Tally::Exempt => &mut self.exempt,
        }
    }
}

fn is_nothing(tries: &Tries) -> bool {
    *tries == Tries::default()
}

/// `tokens`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct StoredToken {
    pub(super) info: TokenInfo,
    /// Sealed.
    pub(super) seed: String,
}

impl StoredToken {
    pub(super) fn opened(self, seal: &Seal, key: &[u8]) -> Result<Token, StoreError> {
        let seed = seal.open(Tree::Tokens, key, &self.seed).ok_or_else(|| StoreError::Sealed { tree: Tree::Tokens.name() })?;
        Ok(Token { info: self.info, seed })
    }
}

/// `changes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Logged {
    /// Whether the next entry belongs to the same commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) more: bool,
    #[serde(flatten)]
    what: What,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum What {
    Block {
        whom: Blocked,
        block: Block,
    },
    EnableAccount {
        who: Identity,
        enabled: bool,
    },
    Fail {
        who: Identity,
        at: Timestamp,
        lock: Lock,
        #[serde(default, skip_serializing_if = "Tally::is_common")]
        tally: Tally,
    },
    GrantBypass {
        who: Identity,
        bypass: Bypass,
    },
    PutAccount {
        account: Box<Account>,
    },
    PutBackups {
        who: Identity,
        codes: StoredBackups,
    },
    PutPin {
        who: Identity,
        pin: StoredPin,
    },
    PutToken {
        info: TokenInfo,
        seed: String,
    },
    RemoveAccount {
        who: Identity,
    },
    RemoveBackups {
        who: Identity,
    },
    RemovePin {
        who: Identity,
    },
    RemoveToken {
        who: Identity,
        token: String,
    },
    RevokeBypass {
        who: Identity,
    },
    SpendBypass {
        who: Identity,
        at: Timestamp,
    },
    Succeed {
        who: Identity,
        #[serde(default, skip_serializing_if = "Tally::is_common")]
        tally: Tally,
    },
    Unblock {
        whom: Blocked,
    },
    Unlock {
        who: Identity,
    },
    UseBackup {
        who: Identity,
        place: u8,
        issued_at: Timestamp,
        at: Timestamp,
    },
    UseOtp {
        who: Identity,
        token: String,
        step: u64,
    },
}

impl Logged {
    /// The entry for `change` at `lsn`. `None` when a seed cannot be sealed.
    pub(super) fn new(change: &Change, lsn: Lsn, more: bool, seal: &Seal) -> Option<Self> {
        let what = match change.clone() {
            Change::Block { whom, block } => What::Block { whom, block },
            Change::EnableAccount { who, enabled } => What::EnableAccount { who, enabled },
            Change::Fail { who, at, lock, tally } => What::Fail { who, at, lock, tally },
            Change::GrantBypass { who, bypass } => What::GrantBypass { who, bypass },
            Change::PutAccount(account) => What::PutAccount { account },
            Change::PutBackups { who, codes } => What::PutBackups { who, codes: StoredBackups::close(&codes, seal, Tree::Changes, &keys::lsn(lsn))? },
            Change::PutPin { who, pin } => What::PutPin { who, pin: StoredPin::close(&pin, seal, Tree::Changes, &keys::lsn(lsn))? },
            Change::PutToken(token) => What::PutToken { seed: seal.close(Tree::Changes, &keys::lsn(lsn), &token.seed)?, info: token.info },
            Change::RemoveAccount(who) => What::RemoveAccount { who },
            Change::RemoveBackups(who) => What::RemoveBackups { who },
            Change::RemovePin(who) => What::RemovePin { who },
            Change::RemoveToken { who, token } => What::RemoveToken { who, token },
            Change::RevokeBypass(who) => What::RevokeBypass { who },
            Change::SpendBypass { who, at } => What::SpendBypass { who, at },
            Change::Succeed(who, tally) => What::Succeed { who, tally },
            Change::Unblock(whom) => What::Unblock { whom },
            Change::Unlock(who) => What::Unlock { who },
            Change::UseBackup { who, place, issued_at, at } => What::UseBackup { who, place, issued_at, at },
            Change::UseOtp { who, token, step } => What::UseOtp { who, token, step },
        };
        Some(Self { more, what })
    }

    /// The change again.
    pub(super) fn opened(self, lsn: Lsn, seal: &Seal) -> Result<Change, StoreError> {
        Ok(match self.what {
            What::Block { whom, block } => Change::Block { whom, block },
            What::EnableAccount { who, enabled } => Change::EnableAccount { who, enabled },
            What::Fail { who, at, lock, tally } => Change::Fail { who, at, lock, tally },
            What::GrantBypass { who, bypass } => Change::GrantBypass { who, bypass },
            What::PutAccount { account } => Change::PutAccount(account),
            What::PutBackups { who, codes } => Change::PutBackups { who, codes: codes.open(seal, Tree::Changes, &keys::lsn(lsn))? },
            What::PutPin { who, pin } => Change::PutPin { who, pin: pin.open(seal, Tree::Changes, &keys::lsn(lsn))? },
            What::PutToken { info, seed } => {
                let seed = seal.open(Tree::Changes, &keys::lsn(lsn), &seed).ok_or_else(|| StoreError::Sealed { tree: Tree::Changes.name() })?;
                Change::PutToken(Token { info, seed })
            }
            What::RemoveAccount { who } => Change::RemoveAccount(who),
            What::RemoveBackups { who } => Change::RemoveBackups(who),
            What::RemovePin { who } => Change::RemovePin(who),
            What::RemoveToken { who, token } => Change::RemoveToken { who, token },
            What::RevokeBypass { who } => Change::RevokeBypass(who),
            What::SpendBypass { who, at } => Change::SpendBypass { who, at },
            What::Succeed { who, tally } => Change::Succeed(who, tally),
            What::Unblock { whom } => Change::Unblock(whom),
            What::Unlock { who } => Change::Unlock(who),
            What::UseBackup { who, place, issued_at, at } => Change::UseBackup { who, place, issued_at, at },
            What::UseOtp { who, token, step } => Change::UseOtp { who, token, step },
        })
    }
}

/// The bytes of a value.
pub(super) fn encode<T: Serialize>(tree: Tree, key: &[u8], value: &T) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| StoreError::Io(error.to_string()))?;
    let sum = checksum(tree, key, &bytes);
    bytes.extend_from_slice(&sum);
    Ok(bytes)
}

/// The value in the bytes.
///
/// # Errors
/// `Damaged` for a wrong checksum or form, `Version` for a version of a later program.
pub(super) fn decode<T: DeserializeOwned>(tree: Tree, key: &[u8], bytes: &[u8]) -> Result<T, StoreError> {
    let damaged = || StoreError::Damaged { tree: tree.name(), key: keys::shown(tree, key) };
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
    if checksum(tree, key, body) != *sum {
        return Err(damaged());
    }
    let (&version, json) = body.split_first().ok_or_else(damaged)?;
    if version != VERSION {
        return Err(StoreError::Version { tree: tree.name(), version });
    }
    serde_json::from_slice(json).map_err(|_| damaged())
}

/// CRC32C over tree, key and content: a whole record in another's place is as wrong as a flipped bit.
fn checksum(tree: Tree, key: &[u8], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let sum = crc32c::crc32c_append(crc32c::crc32c(tree.name().as_bytes()), b"\0");
    crc32c::crc32c_append(crc32c::crc32c_append(sum, key), body).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIES: Tries = Tries { failures: 3, lock_until: Some(Timestamp(7)), at: Vec::new() };

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let good = encode(Tree::Tries, b"ann", &TRIES).unwrap();
        assert_eq!(decode::<Tries>(Tree::Tries, b"ann", &good), Ok(TRIES));
        let damaged = Err(StoreError::Damaged { tree: "tries", key: "ann".into() });
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode::<Tries>(Tree::Tries, b"ann", &bad), damaged);
        }
        for length in 0..good.len() {
            assert_eq!(decode::<Tries>(Tree::Tries, b"ann", &good[..length]), damaged);
        }
    }

    #[test]
    fn a_record_of_before_there_were_moments_and_two_counts_is_read_and_one_without_them_is_as_it_was() {
        let old = encode(Tree::Tries, b"ann", &serde_json::json!({"failures": 3, "lock_until": 7})).unwrap();
        let tallies: Tallies = decode(Tree::Tries, b"ann", &old).unwrap();
        assert_eq!((&tallies.common, &tallies.exempt), (&TRIES, &Tries::default()));
        assert_eq!(encode(Tree::Tries, b"ann", &tallies).unwrap(), old);
    }

    #[test]
    fn a_record_in_anothers_place_is_damage() {
        let anns = encode(Tree::Tries, b"ann", &Tries::default()).unwrap();
        assert!(decode::<Tries>(Tree::Tries, b"bob", &anns).is_err());
        assert!(decode::<Tries>(Tree::Bypasses, b"ann", &anns).is_err());
    }

    #[test]
    fn o_34_a_later_version_is_named() {
        let mut bytes = encode(Tree::Tries, b"ann", &TRIES).unwrap();
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        bytes[0] = 9;
        let sum = checksum(Tree::Tries, b"ann", &bytes);
        bytes.extend_from_slice(&sum);
        let error = decode::<Tries>(Tree::Tries, b"ann", &bytes).unwrap_err();
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}
