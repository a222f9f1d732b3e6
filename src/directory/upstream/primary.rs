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
use crate::wire::mschap;
use crate::wire::radius::Code;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;

use crate::directory::identify::Identify;
use crate::directory::identify::is_plain;
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
    /// What a User-Name is worth after EAP.
    pub names: EapNames,
}

/// What a User-Name is worth after EAP where it is the same as the outer identity, as far as the administrator has seen. Servers may just send back the name
/// they were sent (RFC 3579 §2.1), and that is whatever the client wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EapNames {
    /// As `Inner`, and in EAP-TLS the server lets nobody in whose name is not in the certificate.
    Certificate,
    /// After a tunnel it is the name that was authenticated in it.
    Inner,
    /// Nothing.
    #[default]
    Outer,
}

impl EapNames {
    /// Whether the outer identity may be the authenticated name after this method.
    fn trusts(self, method: Option<u8>) -> bool {
        match (self, method) {
            (Self::Inner | Self::Certificate, Some(TTLS | PEAP | FAST | TEAP)) | (Self::Certificate, Some(TLS)) => true,
            (Self::Outer | Self::Inner | Self::Certificate, _) => false,
        }
    }
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
            return Err(PrimaryError::Refused { who: None, why: Refused::UnclearName });
        }
        let stay = conversation.map(|conversation| conversation.server);
        let answer = self.upstream.ask(&forward, Code::AccessRequest, stay).await.map_err(|why| PrimaryError::Outage(outage(why)))?;
        let said = Secret::new(answer.carried.as_bytes().to_vec());
        match answer.code {
            Code::AccessAccept => {
                let identity = self.whose(request, entry, &answer, eap_method(&forward), aside).await?;
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
                Err(PrimaryError::Refused { who: entry.map(|entry| entry.identity.clone()), why: why(&answer.carried, &forward) })
            }
            _ => Err(fault),
        }
    }
}

impl ByUpstream {
    /// Whom the server let in: by its own word, else by the name that was typed, unless that was an outer EAP identity. Somebody whom surely nobody
    /// here knows is somebody without an account.
    async fn whose(
        &self,
        request: &AuthRequest,
        entry: Option<&Entry>,
        answer: &Answer,
        method: Option<u8>,
        aside: &mut Aside,
    ) -> Result<Identity, PrimaryError> {
        let refused = |why| PrimaryError::Refused { who: None, why };
        let names = answer.user_names.as_ref().ok_or_else(|| refused(Refused::UnclearName))?;
        if !request.is_named() {
            return self.inner(request, names, method, aside).await;
        }
        let name = match names.split_first() {
            None => &request.login,
            Some((first, others)) if others.iter().all(|other| other == first) => first,
            Some(_) => return Err(refused(Refused::UnclearName)),
        };
        if *name == request.login {
            return Ok(entry.map_or_else(|| stranger(name), |entry| entry.identity.clone()));
        }
        let told = self.identify.find(name).await?;
        // Asked about somebody we know, the server let in somebody whom we do not: whoever that is, it is not for us to say that they have no account.
        if told.is_none() && entry.is_some() {
            return Err(refused(Refused::UnclearName));
        }
        Ok(self.told(name, told, aside))
    }

    /// After EAP: the one name that is not the outer identity, which is whatever the client wrote. A server may send that one back as it came, or without its
    /// realm, or in another spelling of the same account (RFC 3579 §2.1), so it is the identities that are compared, and what is left of both names without a
    /// realm. Where the server is known to name who was authenticated it may be the same, if the method has such a name at all.
    async fn inner(&self, request: &AuthRequest, names: &[String], method: Option<u8>, aside: &mut Aside) -> Result<Identity, PrimaryError> {
        let refused = || PrimaryError::Refused { who: None, why: Refused::UnclearName };
        let outer_counts = names.len() == 1 && self.names.trusts(method);
        // A server may cut or fold what is not plain (`alice%corp`), and then the name that it says looks like another and is still the outer one.
        let outer = short(&request.login);
        if !outer_counts && !outer.is_empty() && !is_plain(&outer) {
            return Err(refused());
        }
        let mut others = names.iter().filter(|name| outer_counts || short(name) != outer);
        let Some(name) = others.next() else {
            if !names.is_empty() {
                self.warn_of_outer();
            }
            return Err(refused());
        };
        if others.any(|other| other != name) {
            return Err(refused());
        }
        let told = self.identify.find(name).await?;
        if !outer_counts && let Some(entry) = &told {
            let outer = match self.identify.find(&request.login).await {
                Err(PrimaryError::Refused { .. }) => None,
                found => found?,
            };
            if outer.is_some_and(|outer| outer.identity == entry.identity) {
                self.warn_of_outer();
                return Err(refused());
            }
        }
        Ok(self.told(name, told, aside))
    }

    fn told(&self, name: &str, told: Option<Entry>, aside: &mut Aside) -> Identity {
        aside.entry = told;
        aside.entry.as_ref().map_or_else(|| stranger(name), |entry| entry.identity.clone())
    }

    fn warn_of_outer(&self) {
        warn!(
            upstream = self.upstream.name(),
            "a login by EAP is refused: the server says the outer identity alone; if that is surely the one it has authenticated in a tunnel, write user_name = \"inner\""
        );
    }
}

/// What is left of a name without a domain before it and a realm behind it, case aside.
fn short(name: &str) -> String {
    let name = name.trim();
    let name = name.rsplit(['\\', '/']).next().unwrap_or(name);
    name.split('@').next().unwrap_or(name).trim().to_lowercase()
}

/// The method of the EAP-Response that the server answered to (RFC 3748 §4.1): code, identifier, length, type.
fn eap_method(forward: &Forward) -> Option<u8> {
    let first = forward.attributes().first(attr::EAP_MESSAGE)?;
    first.value.get(4).copied()
}

/// What a server's no stands for. It counts against somebody only where a password could have been guessed: a gateway sends none, and is refused for other reasons.
fn why(said: &Carried, forward: &Forward) -> Refused {
    let error = said.vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR).next().and_then(mschap::Failure::told);
    let asked = forward.attributes();
    let has_proof = GUESSABLE.into_iter().any(|kind| asked.contains(kind))
        || [attr::MS_CHAP_RESPONSE, attr::MS_CHAP2_RESPONSE].into_iter().any(|kind| asked.vendor(attr::VENDOR_MICROSOFT, kind).next().is_some());
    match error {
        Some(mschap::Failure::Disabled) => Refused::Disabled,
        Some(mschap::Failure::Expired) => Refused::PasswordExpired,
        Some(mschap::Failure::Hours) => Refused::NotNow,
        Some(mschap::Failure::NoDialIn) => Refused::Restricted,
        Some(mschap::Failure::Authentication | mschap::Failure::Change) | None if has_proof => Refused::WrongPassword,
        Some(mschap::Failure::Authentication | mschap::Failure::Change) | None => Refused::Restricted,
    }
}

pub(super) fn outage(why: AskError) -> Outage {
    match why {
        AskError::Away | AskError::Protocol | AskError::Silent => Outage::Directory,
        AskError::Fault | AskError::Unsendable(_) => Outage::Fault,
        AskError::Full => Outage::Full,
    }
}

/// Where a credential stands that somebody may have guessed; Microsoft's are beside these.
const GUESSABLE: [u8; 4] = [attr::USER_PASSWORD, attr::CHAP_PASSWORD, attr::ARAP_PASSWORD, attr::EAP_MESSAGE];
/// EAP methods with an identity of their own inside, and EAP-TLS, whose certificate may name anybody. All others know the outer one alone.
const TLS: u8 = 13;
const TTLS: u8 = 21;
const PEAP: u8 = 25;
const FAST: u8 = 43;
const TEAP: u8 = 55;
