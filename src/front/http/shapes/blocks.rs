//! Blocks, as both ends of the administration socket say them.

use serde::Deserialize;
use serde::Serialize;

use super::moment;
use crate::domain;
use crate::domain::Blocked;

/// Who is kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The person; none for a telephone number.
    pub identity: Option<String>,
    /// The person's account, if there is one.
    pub account: Option<String>,
    /// What the person was called when an administrator blocked them.
    #[serde(default)]
    pub name: Option<String>,
    /// The telephone number; none for a person.
    pub phone: Option<String>,
    /// It holds before this moment.
    pub until: String,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: String,
}

/// Many blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockList {
    /// At most 10,000.
    pub blocks: Vec<Block>,
    /// There are more than these.
    pub more: bool,
}

/// Asks for a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewBlock {
    /// Seconds it holds: 1 to a year's.
    pub for_s: u64,
    /// Why.
    pub reason: String,
}

impl Default for NewBlock {
    fn default() -> Self {
        Self { for_s: 90 * 24 * 60 * 60, reason: String::new() }
    }
}

impl Block {
    /// A block of `whom`, who has this account.
    #[must_use]
    pub fn new(whom: &Blocked, account: Option<String>, block: &domain::Block) -> Self {
        let (identity, phone) = match whom {
            Blocked::Identity(who) => (Some(who.0.clone()), None),
            Blocked::Phone(phone) => (None, Some(phone.as_str().to_owned())),
        };
        Self {
            identity,
            account,
            name: block.name.clone(),
            phone,
            until: moment(block.until),
            reason: block.reason.clone(),
            by: block.by.clone(),
            at: moment(block.at),
        }
    }
}
