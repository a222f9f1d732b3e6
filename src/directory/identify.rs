//! Whose a name is that another has vouched for: a RADIUS server behind us, or the client itself.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::AuthRequest;
use crate::domain::Checked;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::ports::Aside;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Store;
use crate::ports::groups_of;

/// How a name becomes an identity. One account has dozens of spellings, so the name itself is never one (M-20).
#[derive(Clone, Debug)]
pub enum Identify {
    /// The one account of this name that we keep.
    ByAccount(Arc<dyn Store>),
    /// The one object of this directory that the name means.
    ByDirectory(Arc<dyn Directory>),
}

impl Identify {
    /// Whose name this is; `None`: nobody's. That is said of a plain name alone, of which the search has found nothing: any other may be somebody's in a
    /// spelling that those take who check the password.
    ///
    /// # Errors
    /// `Refused` for a name that is more than one's or unclear, `Outage` when nobody could be asked.
    pub async fn find(&self, name: &str) -> Result<Option<Entry>, PrimaryError> {
        match self {
            Self::ByDirectory(directory) => match directory.resolve(name).await {
                Ok(entry) => Ok(Some(entry)),
                Err(PrimaryError::Refused { why: Refused::UnknownName, .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Self::ByAccount(store) => by_account(store.as_ref(), name),
        }
    }
}

fn by_account(store: &dyn Store, name: &str) -> Result<Option<Entry>, PrimaryError> {
    let mut accounts = store.accounts_named(name.trim()).map_err(|_| PrimaryError::Outage(Outage::Store))?.into_iter();
    match (accounts.next(), accounts.next()) {
        (None, _) if is_plain(name.trim()) => Ok(None),
        (Some(account), None) => Ok(Some(Entry {
            directory: account.directory.unwrap_or_default(),
            identity: account.identity,
            dn: String::new(),
            name: account.name,
            mail: account.mail,
            phone: account.phone,
            password_set: None,
        })),
        (None, _) | (Some(_), Some(_)) => Err(PrimaryError::Refused { who: None, why: Refused::UnclearName }),
    }
}

/// Whether a name can be spelled in one way alone: no domain or realm about it, no sign that a directory takes for another one, no name as it is displayed, no
/// objectGUID. Active Directory takes either for its account (MS-ADTS §5.1.1.1.1).
pub(super) fn is_plain(name: &str) -> bool {
    let signs = || name.chars().all(|sign| sign.is_ascii_alphanumeric() || "._-'".contains(sign));
    !name.is_empty() && !name.ends_with('.') && signs() && !is_guid(name)
}

fn is_guid(name: &str) -> bool {
    let digits = name.chars().filter(|sign| *sign != '-');
    digits.clone().count() == 32 && digits.into_iter().all(|sign| sign.is_ascii_hexdigit())
}

/// Somebody let in elsewhere whom nobody here knows: without an account, whatever the policy makes of that. The name is set apart from every identity that an
/// account can have.
#[must_use]
pub fn stranger(name: &str) -> Identity {
    Identity(format!("stranger:{}", name.trim().to_lowercase()))
}

/// The first factor of a door whose clients have checked it themselves.
#[derive(Clone, Debug)]
pub struct Waived(pub Identify);

#[async_trait]
impl PrimaryCheck for Waived {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.0.find(&request.login).await
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _aside: &mut Aside) -> Result<Checked, PrimaryError> {
        match request.primary {
            Primary::Waived => Ok(Checked::Passed(entry.map_or_else(|| stranger(&request.login), |entry| entry.identity.clone()))),
            _ => Err(PrimaryError::Outage(Outage::Fault)),
        }
    }
}

/// A first factor that also tells in which groups the person is, for replies and rules that name some.
#[derive(Clone, Debug)]
pub struct WithGroups {
    /// Who checks.
    pub check: Arc<dyn PrimaryCheck>,
    /// Who knows the groups.
    pub directory: Arc<dyn Directory>,
    /// Groups that replies name, told beside the yes.
    pub wanted: Arc<[String]>,
}

#[async_trait]
impl PrimaryCheck for WithGroups {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.check.resolve(request).await
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError> {
        let checked = self.check.check(request, entry, aside).await?;
        if let Checked::Passed(identity) = &checked {
            aside.groups = self.named(entry, identity, aside).await?;
        }
        Ok(checked)
    }

    async fn groups(&self, entry: Option<&Entry>, who: &Identity, wanted: &[String], needed: &[String], aside: &Aside) -> Result<Option<Vec<String>>, Outage> {
        groups_of(self.directory.as_ref(), entry, who, wanted, needed, aside).await
    }

    fn can_change(&self) -> bool {
        self.check.can_change()
    }

    async fn change(&self, request: &AuthRequest, entry: Option<&Entry>, old: &Secret, new: &Secret, aside: &mut Aside) -> Result<Identity, PasswordError> {
        let who = self.check.change(request, entry, old, new, aside).await?;
        aside.groups = self.named(entry, &who, aside).await.map_err(|_| PasswordError::Outage(Outage::Directory))?;
        Ok(who)
    }
}

impl WithGroups {
    /// A person whom this directory does not have is in none of its groups; one whom it has is asked about, and silence is no "no" (M-47).
    async fn named(&self, entry: Option<&Entry>, identity: &Identity, aside: &Aside) -> Result<Vec<String>, PrimaryError> {
        if self.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let theirs = groups_of(self.directory.as_ref(), entry, identity, &self.wanted, &[], aside).await;
        theirs.map(Option::unwrap_or_default).map_err(PrimaryError::Outage)
    }
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn m_20_only_a_plain_name_can_be_nobody_s() {
        for plain in ["bob", "bob.brown", "o'neil", "svc_mfa-1"] {
            assert!(is_plain(plain), "{plain}");
        }
        for spelling in [
            "",
            r"CORP\alice",
            r"corp.example\alice",
            "alice@corp.example",
            "alice@CORP",
            "corp.example/alice",
            "CN=alice",
            "alic\u{e9}",
            "alice.",
            "alice$",
            "Alice Archer",
            "f7d2a5b0-1111-2222-3333-000000000000",
            "alice%corp",
            "alice\u{ff20}corp",
        ] {
            assert!(!is_plain(spelling), "{spelling}");
        }
    }
}
