//! By which name a provider knows people.

use crate::domain::Account;
use crate::domain::Asking;

/// What of an account a provider knows a person by. It comes from the account alone, and never from what was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its name or its mail address.
    pub by: By,
    /// What is put behind names that have no `@`: `corp.example`.
    pub domain: Option<String>,
}

/// A field of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Its mail address.
    Mail,
    /// Its name.
    Name,
}

impl Login {
    /// The person's name there; `None` for an account without a mail address, where that is the name, and for one with control characters in it.
    pub(super) fn of(&self, account: &Account) -> Option<String> {
        let name = match self.by {
            By::Mail => account.mail.as_deref()?,
            By::Name => &account.name,
        };
        let whole = match &self.domain {
            Some(domain) if !name.contains('@') => format!("{name}@{domain}"),
            _ => name.to_owned(),
        };
        (!whole.is_empty() && whole.len() <= LEN_MAX && !whole.chars().any(char::is_control)).then_some(whole)
    }
}

const LEN_MAX: usize = 256;
/// Where the person is, as far as that is known and may go out.
pub(super) fn source(asking: &Asking, send: bool) -> Option<String> {
    asking.source.filter(|_| send).map(|source| source.to_canonical().to_string())
}
