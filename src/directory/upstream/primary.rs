//! The first factor of a door whose clients a RADIUS server behind us knows: whatever they bring is relayed, and its word is taken.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::AuthRequest;
use crate::domain::Checked;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::ports::Aside;
use crate::ports::Conversation;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::ports::Store;
use crate::wire::radius::Code;
use crate::wire::radius::attr;
use crate::wire::radius::forward::Forward;

use super::Answer;
use super::AskError;
use super::Upstream;

/// The first factor of a door that relays.
#[derive(Clone, Debug)]
pub struct ByUpstream {
    /// Who decides.
    pub upstream: Arc<Upstream>,
    /// Whom a name means.
    pub identify: Identify,
}

/// How a name that a RADIUS server let in becomes an identity. One account has dozens of spellings there too, so the name itself is never one (M-20).
#[derive(Clone, Debug)]
pub enum Identify {
    /// The one account of this name that we keep. A name without account is refused, whatever the policy says of people who have none: with another
    /// spelling of one's name one would be such a person.
    ByAccount(Arc<dyn Store>),
    /// The one object of this directory that the name means.
    ByDirectory(Arc<dyn Directory>),
}

impl Identify {
    async fn find(&self, name: &str) -> Result<Entry, PrimaryError> {
        let store = match self {
            Self::ByDirectory(directory) => return directory.resolve(name).await,
            Self::ByAccount(store) => store,
        };
        let mut accounts = store.accounts_named(name.trim()).map_err(|_| PrimaryError::Outage(Outage::Store))?.into_iter();
        match (accounts.next(), accounts.next()) {
            (Some(account), None) => Ok(Entry {
                directory: account.directory.unwrap_or_default(),
                identity: account.identity,
                dn: String::new(),
                name: account.name,
                mail: account.mail,
                phone: account.phone,
            }),
            _ => Err(unknown()),
        }
    }
}

#[async_trait]
impl PrimaryCheck for ByUpstream {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        // An outer EAP identity is nobody's name.
        if request.is_named() { self.identify.find(&request.login).await.map(Some) } else { Ok(None) }
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError> {
        let fault = PrimaryError::Outage(Outage::Fault);
        let Primary::Relayed(relayed) = &request.primary else { return Err(fault) };
        let mut forward = Forward::from_bytes(relayed.packet.expose()).map_err(|_| fault.clone())?;
        // What an earlier round said does not outlive it.
        let conversation = aside.conversation.take();
        aside.attributes = Secret::default();
        if let Some(state) = conversation.as_ref().map(|conversation| &conversation.state).filter(|state| !state.is_empty()) {
            forward = forward.with_state(state.expose()).map_err(|_| fault.clone())?;
        }
        // It is the typed name that was looked up, so it is the typed name that must be asked about.
        let asked_about = forward.attributes().first(attr::USER_NAME).and_then(|name| name.text());
        if entry.is_some() && asked_about.map(str::trim) != Some(request.login.trim()) {
            return Err(fault);
        }
        let stay = conversation.map(|conversation| conversation.server);
        let answer = self.upstream.ask(&forward, Code::AccessRequest, stay).await.map_err(outage)?;
        let said = Secret::new(answer.carried.as_bytes().to_vec());
        match answer.code {
            Code::AccessAccept => {
                let identity = self.whose(request, entry, &answer).await?;
                aside.attributes = said;
                Ok(Checked::Passed(identity))
            }
            Code::AccessChallenge => {
                aside.attributes = said;
                aside.conversation = Some(Conversation { server: answer.server, state: answer.state.unwrap_or_default() });
                Ok(Checked::More)
            }
            Code::AccessReject => {
                aside.refusal = said;
                aside.refused_there = true;
                Err(PrimaryError::Refused { who: entry.map(|entry| entry.identity.clone()), why: Refused::WrongPassword })
            }
            _ => Err(fault),
        }
    }
}

impl ByUpstream {
    /// Whom the server let in: by its own word, else by the name that was typed, unless that was an outer EAP identity.
    async fn whose(&self, request: &AuthRequest, entry: Option<&Entry>, answer: &Answer) -> Result<Identity, PrimaryError> {
        match (&answer.user_name, entry) {
            (Some(name), Some(entry)) if *name == request.login => Ok(entry.identity.clone()),
            (Some(name), _) => self.identify.find(name).await.map(|entry| entry.identity),
            (None, Some(entry)) => Ok(entry.identity.clone()),
            (None, None) => Err(unknown()),
        }
    }
}

fn unknown() -> PrimaryError {
    PrimaryError::Refused { who: None, why: Refused::UnknownName }
}

fn outage(why: AskError) -> PrimaryError {
    PrimaryError::Outage(match why {
        AskError::Away | AskError::Protocol | AskError::Silent => Outage::Directory,
        AskError::Fault | AskError::Unsendable(_) => Outage::Fault,
        AskError::Full => Outage::Full,
    })
}
