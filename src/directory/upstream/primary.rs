//! The first factor of a door whose clients a RADIUS server behind us knows: whatever they bring is relayed, and its word is taken.

use std::sync::Arc;

use async_trait::async_trait;
use tracing::warn;

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
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::wire::radius::Code;
use crate::wire::radius::attr;
use crate::wire::radius::forward::Forward;

use crate::directory::identify::Identify;
use crate::directory::identify::stranger;

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
    /// The administrator has seen that after EAP the server's User-Name is the name that was authenticated, even where it is the same as the outer identity.
    /// Servers may also just send back the name they were sent (RFC 3579 §2.1), and that is whatever the client wrote.
    pub names_inner: bool,
}

#[async_trait]
impl PrimaryCheck for ByUpstream {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        // An outer EAP identity is nobody's name.
        if request.is_named() { self.identify.find(&request.login).await } else { Ok(None) }
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
        let answer = self.upstream.ask(&forward, Code::AccessRequest, stay).await.map_err(|why| PrimaryError::Outage(outage(why)))?;
        let said = Secret::new(answer.carried.as_bytes().to_vec());
        match answer.code {
            Code::AccessAccept => {
                let identity = self.whose(request, entry, &answer, aside).await?;
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
    /// The one name that the server let in. After EAP a name that is the outer identity says nothing, unless the server is known to name the inner one; of
    /// several names the outer one is left out, and of two others nobody knows which is meant.
    fn spoken_of<'a>(&self, request: &AuthRequest, names: &'a [String]) -> Option<&'a String> {
        let outer_counts = request.is_named() || (self.names_inner && names.len() == 1);
        let is_outer = |name: &str| name.trim().to_lowercase() == request.login.trim().to_lowercase();
        let mut told = names.iter().filter(|name| outer_counts || !is_outer(name));
        let first = told.next();
        if first.is_none() && !names.is_empty() {
            warn!(
                upstream = self.upstream.name(),
                "a login by EAP is refused: the server says the outer identity alone; if that is surely the one it has authenticated, write user_name = \"inner\""
            );
        }
        first.filter(|first| told.all(|name| name == *first))
    }

    /// Whom the server let in: by its own word, else by the name that was typed, unless that was an outer EAP identity. Somebody whom nobody here
    /// knows is somebody without an account.
    async fn whose(&self, request: &AuthRequest, entry: Option<&Entry>, answer: &Answer, aside: &mut Aside) -> Result<Identity, PrimaryError> {
        let name = match self.spoken_of(request, &answer.user_names) {
            Some(name) => name,
            None if request.is_named() && answer.user_names.is_empty() => &request.login,
            None => return Err(PrimaryError::Refused { who: None, why: Refused::UnknownName }),
        };
        if request.is_named() && *name == request.login {
            return Ok(entry.map_or_else(|| stranger(name), |entry| entry.identity.clone()));
        }
        aside.entry = self.identify.find(name).await?;
        Ok(aside.entry.as_ref().map_or_else(|| stranger(name), |entry| entry.identity.clone()))
    }
}

pub(super) fn outage(why: AskError) -> Outage {
    match why {
        AskError::Away | AskError::Protocol | AskError::Silent => Outage::Directory,
        AskError::Fault | AskError::Unsendable(_) => Outage::Fault,
        AskError::Full => Outage::Full,
    }
}
