//! Where everything lies: all trees, all keys, and what a key may be.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `accounts` | identity | [`crate::domain::Account`] |
//! | `backups` | identity | [`crate::domain::BackupCodes`], the hashes sealed |
//! | `blocks` | `id:` and identity, or `tel:` and number | [`crate::domain::Block`] |
//! | `bypasses` | identity | [`crate::domain::Bypass`] |
//! | `changes` | Lsn, 8 bytes big endian | one change, seeds sealed |
//! | `meta` | `audit`, `head`, `key` | how far the audit went; format, counts and ends of the log; the data key, sealed by the master key |
//! | `names` | lower-case name, 0, identity | nothing: an index |
//! | `pins` | identity | [`crate::domain::pin::Pin`], the hashes sealed |
//! | `tokens` | identity, 0, token id | what may be seen, and the seed sealed |
//! | `tries` | identity | [`crate::domain::Tries`], and that of where the identity is exempt |
//!
//! No identity, name or token id holds a zero byte, so no key can be read as another's.

use crate::domain::Account;
use crate::domain::BackupCodes;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::Device;
use crate::domain::Identity;
use crate::domain::Lsn;
use crate::domain::Phone;

/// A tree of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tree {
    Accounts,
    Backups,
    Blocks,
    Bypasses,
    Changes,
    Meta,
    Names,
    Pins,
    Tokens,
    Tries,
}

impl Tree {
    /// All of them, in the order of a transaction's views.
    pub(super) const ALL: [Self; 10] =
        [Self::Accounts, Self::Backups, Self::Blocks, Self::Bypasses, Self::Changes, Self::Meta, Self::Names, Self::Pins, Self::Tokens, Self::Tries];

    /// The name on disk, in errors and in a dump.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Backups => "backups",
            Self::Blocks => "blocks",
            Self::Bypasses => "bypasses",
            Self::Changes => "changes",
            Self::Meta => "meta",
            Self::Names => "names",
            Self::Pins => "pins",
            Self::Tokens => "tokens",
            Self::Tries => "tries",
        }
    }
}

/// Layout of trees and keys: 1 is the first. A store of a later one is refused (O-34).
pub(super) const FORMAT: u32 = 1;
/// `meta`: format, counts, ends of the log.
pub(super) const HEAD: &[u8] = b"head";
/// `meta`: how far the audit went.
pub(super) const AUDIT_END: &[u8] = b"audit";
/// `meta`: the data key, sealed by the master key.
pub(super) const DATA_KEY: &[u8] = b"key";
/// Entries of the log of changes that are kept; older ones are pruned as new ones come.
pub(super) const LOG_MAX: u64 = 100_000;
/// Bytes of an identity, a name or a token's id.
const PART_BYTES_MAX: usize = 512;
/// Bytes of free text in one record: a mail address, a number, a reason.
const TEXT_BYTES_MAX: usize = 2_048;
/// How the keys of `blocks` begin.
const PERSON: &str = "id:";
const NUMBER: &str = "tel:";
/// Bytes of a token's seed: twice the block of SHA-512.
const SEED_BYTES_MAX: usize = 256;
/// PINs before the present one that are kept.
const EARLIER_PINS_MAX: usize = 9;

/// `accounts`, `backups`, `bypasses`, `pins`, `tries`.
pub(super) fn identity(who: &Identity) -> &[u8] {
    who.0.as_bytes()
}

/// `blocks`.
pub(super) fn block(whom: &Blocked) -> Vec<u8> {
    match whom {
        Blocked::Identity(who) => [PERSON.as_bytes(), who.0.as_bytes()].concat(),
        Blocked::Phone(phone) => [NUMBER.as_bytes(), phone.as_str().as_bytes()].concat(),
    }
}

/// Whom a key of `blocks` is about.
pub(super) fn blocked(key: &[u8]) -> Option<Blocked> {
    let text = std::str::from_utf8(key).ok()?;
    let person = text.strip_prefix(PERSON).map(|who| Blocked::Identity(Identity(who.to_owned())));
    person.or_else(|| text.strip_prefix(NUMBER).and_then(Phone::of).map(Blocked::Phone))
}

/// `tokens`.
pub(super) fn token(who: &Identity, id: &str) -> Vec<u8> {
    [who.0.as_bytes(), b"\0", id.as_bytes()].concat()
}

/// The start of all keys of one identity's tokens.
pub(super) fn tokens_of(who: &Identity) -> Vec<u8> {
    token(who, "")
}

/// `names`.
pub(super) fn name(name: &str, who: &Identity) -> Vec<u8> {
    [folded(name).as_bytes(), b"\0", who.0.as_bytes()].concat()
}

/// The start of all keys of one name.
pub(super) fn named(name: &str) -> Vec<u8> {
    [folded(name).as_bytes(), b"\0"].concat()
}

/// The first key behind `place`: a name (all accounts of that name are passed over), or a name, a zero byte and an identity.
pub(super) fn behind(place: &str) -> Vec<u8> {
    match place.split_once('\0') {
        Some((name, who)) => [folded(name).as_bytes(), b"\0", who.as_bytes(), b"\0"].concat(),
        None => [folded(place).as_bytes(), b"\x01"].concat(),
    }
}

/// The identity in a key of `names`.
pub(super) fn identity_of(name_key: &[u8]) -> Option<Identity> {
    let (_, who) = std::str::from_utf8(name_key).ok()?.split_once('\0')?;
    Some(Identity(who.to_owned()))
}

/// `changes`.
pub(super) fn lsn(lsn: Lsn) -> [u8; 8] {
    lsn.0.to_be_bytes()
}

/// The position in a key of `changes`.
pub(super) fn lsn_of(key: &[u8]) -> Option<Lsn> {
    Some(Lsn(u64::from_be_bytes(key.try_into().ok()?)))
}

/// A name without case.
pub(super) fn folded(name: &str) -> String {
    name.to_lowercase()
}

/// A key for people to read.
pub(super) fn shown(tree: Tree, key: &[u8]) -> String {
    match tree {
        Tree::Changes => lsn_of(key).map_or_else(|| key.escape_ascii().to_string(), |lsn| lsn.0.to_string()),
        _ => String::from_utf8_lossy(key).replace('\0', " / "),
    }
}

/// Whether every part of the change is of a size and form that the trees can hold.
pub(super) fn fits(change: &Change) -> bool {
    match change {
        Change::PutAccount(account) => {
            let reach = [&account.directory, &account.mail, &account.phone, &account.backup_phone];
            let texts = [&account.given_name, &account.family_name, &account.language, &account.group, &account.notes];
            let device = |device: &Device| [&device.provider, &device.id, &device.label].into_iter().all(|each| text(each));
            let devices = account.devices.len() <= Account::DEVICES_MAX && account.devices.iter().all(device);
            part(&account.identity.0) && part(&account.name) && devices && reach.into_iter().chain(texts).flatten().all(|each| text(each))
        }
        Change::PutToken(token) => part(&token.info.owner.0) && part(&token.info.id) && token.seed.len() <= SEED_BYTES_MAX,
        Change::Block { whom, block } => fits_blocked(whom) && text(&block.reason) && text(&block.by) && block.name.as_deref().is_none_or(text),
        Change::Unblock(whom) => fits_blocked(whom),
        Change::GrantBypass { who, bypass } => part(&who.0) && text(&bypass.reason) && text(&bypass.granted_by),
        Change::RemoveToken { who, token } | Change::UseOtp { who, token, .. } => part(&who.0) && part(token),
        Change::PutBackups { who, codes } => part(&who.0) && text(&codes.issued_by) && codes.hashes.len() <= usize::from(BackupCodes::COUNT_MAX),
        Change::PutPin { who, pin } => part(&who.0) && pin.earlier.len() <= EARLIER_PINS_MAX,
        Change::EnableAccount { who, .. } | Change::Fail { who, .. } | Change::SpendBypass { who, .. } | Change::UseBackup { who, .. } => part(&who.0),
        Change::RemoveBackups(who) | Change::RemovePin(who) => part(&who.0),
        Change::RemoveAccount(who) | Change::RevokeBypass(who) | Change::Succeed(who, _) | Change::Unlock(who) => part(&who.0),
    }
}

fn fits_blocked(whom: &Blocked) -> bool {
    match whom {
        Blocked::Identity(who) => part(&who.0),
        Blocked::Phone(phone) => Phone::of(phone.as_str()).as_ref() == Some(phone),
    }
}

fn part(text: &str) -> bool {
    !text.is_empty() && text.len() <= PART_BYTES_MAX && !text.contains('\0')
}

fn text(text: &str) -> bool {
    text.len() <= TEXT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_with_a_zero_byte_could_be_read_as_another_key_and_does_not_fit() {
        assert!(fits(&Change::Unlock(Identity("S-1-5-21-1".into()))));
        assert!(!fits(&Change::Unlock(Identity("S-1\0x".into()))));
        assert!(!fits(&Change::Unlock(Identity(String::new()))));
        assert!(!fits(&Change::Unlock(Identity("x".repeat(PART_BYTES_MAX + 1)))));
    }

    #[test]
    fn a_place_is_behind_its_own_account_and_before_the_next() {
        let who = |id: &str| Identity(id.into());
        assert!(behind("Ann\0a1") > name("ann", &who("a1")));
        assert!(behind("Ann\0a1") < name("ann", &who("a2")));
        assert!(behind("Ann") > name("ann", &who("\u{10ffff}")));
        assert!(behind("Ann") < name("anna", &who("a")));
    }
}
