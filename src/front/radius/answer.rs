//! A login's end as a reply.

use std::sync::Arc;
use std::time::Duration;

use super::Client;
use super::map::Manner;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Permit;
use crate::domain::Secret;
use crate::domain::Texts;
use crate::domain::texts;
use crate::domain::texts::fill;
use crate::engine::Outcome;
use crate::ports::Aside;
use crate::wire::mschap;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::dictionary::Dictionary;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;
use crate::wire::radius::reply::TooLong;

/// What is sent, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// After the time that every refusal takes.
    Delayed(Vec<u8>),
    /// At once.
    AtOnce(Vec<u8>),
    /// Nothing now; asked again it may be tried again.
    Silence,
    /// Nothing, now or later: somebody who asked the same later has the answer.
    Superseded,
}

/// All that a reply is made of beside the outcome.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) asked: Asked,
    pub(super) manner: Manner,
    /// Whose secret signs it, and what its policy adds.
    pub(super) client: Arc<Client>,
}

/// An attribute of our own in every Access-Accept of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Only for the people of this group.
    pub group: Option<String>,
    /// The attribute, framed.
    pub attribute: Vec<u8>,
}

impl Writer {
    /// The table from a login's end to a reply.
    pub(super) fn reply(&self, outcome: &Outcome) -> Result<Reply, TooLong> {
        match outcome {
            Outcome::Challenge { state, prompt, shown, keep } => self.challenge(state, Some(prompt), &question(*shown, *keep)?, NO_CHANCE),
            Outcome::Decided { decision, aside } => match &**decision {
                Decision::Accept(permit) => self.admitted(permit, aside).map(Reply::AtOnce),
                Decision::Drop(_) => Ok(Reply::Silence),
                Decision::Reject(denial) => self.rejected(*denial, aside),
            },
            Outcome::Relayed { state, aside } => {
                let carried = carried(&aside.attributes)?;
                self.challenge(state, None, &carried, salt(&carried)?)
            }
            Outcome::Superseded => Ok(Reply::Superseded),
        }
    }

    fn challenge(&self, state: &Secret, prompt: Option<&str>, carried: &Carried, salt: [u8; 2]) -> Result<Reply, TooLong> {
        reply::challenge(&self.asked, self.client.secret.expose(), state.expose(), prompt, carried, salt).map(Reply::AtOnce)
    }

    /// What the first factor's server said goes as it is, all else is one text; all of it after the same time from the request's arrival, of which a delay
    /// of the server's own is a part: who hears sooner would know that it was the password.
    fn rejected(&self, denial: Denial, aside: &Aside) -> Result<Reply, TooLong> {
        let carried = fitting(denial, carried(&aside.refusal)?);
        if aside.refused_there {
            return self.refusal(None, &carried).map(Reply::Delayed);
        }
        let enrol = self.client.enrol_url.as_ref().filter(|_| denial == Denial::Unenrolled);
        let enrol = enrol.map(|url| fill(&self.texts().unenrolled, &[(texts::URL, url)]));
        self.refusal(Some(enrol.as_deref().unwrap_or(&self.texts().refused)), &carried).map(Reply::Delayed)
    }

    /// The reply to whoever is refused before anybody was asked: the same text and the same delay.
    pub(super) fn refused(&self) -> Result<Reply, TooLong> {
        self.refusal(Some(&self.texts().refused), &Carried::default()).map(Reply::Delayed)
    }

    /// Whoever is refused reads the usual language: another one would tell that somebody has an account.
    fn texts(&self) -> &Texts {
        self.client.rules.texts.usual()
    }

    /// A refusal in the client's own manner: EAP hears EAP-Failure, MS-CHAP an MS-CHAP-Error.
    fn refusal(&self, message: Option<&str>, carried: &Carried) -> Result<Vec<u8>, TooLong> {
        let mut carried = carried.clone();
        match self.manner {
            Manner::Eap(Some(identifier)) if carried.eap().is_none() => carried.push_eap(&reply::eap_failure(identifier))?,
            Manner::MsChap2(identifier) if carried.vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR).next().is_none() => {
                let mut challenge = [0; 16];
                getrandom::fill(&mut challenge).map_err(|_| TooLong)?;
                let error = mschap::Failure::Authentication.attribute(identifier, &challenge, &self.texts().refused);
                carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR, &error)?;
            }
            Manner::Eap(_) | Manner::MsChap2(_) | Manner::Plain => {}
        }
        reply::reject(&self.asked, self.client.secret.expose(), message, &carried)
    }

    /// The one way to an Access-Accept for a person: with the flow's permit in hand.
    fn admitted(&self, _permit: &Permit, aside: &Aside) -> Result<Vec<u8>, TooLong> {
        let carried = with_ours(carried(&aside.attributes)?, &self.client.additions, &aside.groups)?;
        reply::accept(&self.asked, self.client.secret.expose(), &carried, salt(&carried)?)
    }
}

/// What the first factor carried and what the policy adds for these groups. Where a reply may hold one of a kind it is ours and not the server's, and of
/// ours the first that is meant.
fn with_ours(mut carried: Carried, additions: &[Addition], groups: &[String]) -> Result<Carried, TooLong> {
    let mut ours: Vec<u8> = Vec::new();
    for addition in additions.iter().filter(|addition| addition.group.as_ref().is_none_or(|group| groups.contains(group))) {
        if let Some(kind) = addition.attribute.first().copied().filter(|kind| Dictionary::shipped().is_single(*kind)) {
            if ours.contains(&kind) {
                continue;
            }
            ours.push(kind);
            carried = carried.without(&[kind]);
        }
        carried.push_raw(&addition.attribute)?;
    }
    Ok(carried)
}

/// What a question of our own says beside its text: for how long it is open (RFC 2865 §5.27), and whether what is typed may be seen (RFC 2869 §5.10).
fn question(shown: bool, keep: Duration) -> Result<Carried, TooLong> {
    let mut carried = Carried::default();
    carried.push(attr::SESSION_TIMEOUT, &u32::try_from(keep.as_secs()).unwrap_or(u32::MAX).to_be_bytes())?;
    carried.push(attr::PROMPT, &u32::from(shown).to_be_bytes())?;
    Ok(carried)
}

/// What the first factor said beside its no, where this is its no. That a password has run out invites the client to change it, so it is told to those
/// alone whose second factor passed; and so is an error that we cannot read and the client perhaps can.
fn fitting(denial: Denial, refusal: Carried) -> Carried {
    let invites = refusal
        .vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR)
        .any(|error| mschap::Failure::told(error).is_none_or(|failure| failure == mschap::Failure::Expired));
    let first_factors = matches!(denial, Denial::BadCredential | Denial::Disabled | Denial::Locked | Denial::MustChange | Denial::NotPermitted);
    if first_factors && (!invites || denial == Denial::MustChange) { refusal } else { Carried::default() }
}

/// What a first factor carried. Only our own rooms write it, so what cannot be read is a fault, and nothing is sent.
fn carried(bytes: &Secret) -> Result<Carried, TooLong> {
    Carried::from_bytes(bytes.expose()).map_err(|_| TooLong)
}

/// Chance for what is carried; where nothing is, nothing is hidden.
fn salt(carried: &Carried) -> Result<[u8; 2], TooLong> {
    let mut salt = [0; 2];
    if !carried.is_empty() {
        getrandom::fill(&mut salt).map_err(|_| TooLong)?;
    }
    Ok(salt)
}

/// For what hides nothing.
const NO_CHANCE: [u8; 2] = [0; 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r_071_an_accept_holds_one_session_timeout_ours_before_the_servers_and_the_first_of_ours() {
        let seconds = |group: Option<&str>, seconds| Addition { group: group.map(str::to_owned), attribute: vec![attr::SESSION_TIMEOUT, 6, 0, 0, 0, seconds] };
        let filter = |text: u8| Addition { group: None, attribute: vec![11, 3, text] };
        let mut told = Carried::default();
        told.push(attr::SESSION_TIMEOUT, &[0, 0, 0, 1]).unwrap();
        told.push(11, b"a").unwrap();
        let additions = [seconds(Some("guests"), 2), seconds(Some("staff"), 3), seconds(None, 4), filter(b'b'), filter(b'c')];
        let merged = |groups: &[&str]| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            with_ours(told.clone(), &additions, &groups).unwrap().as_bytes().to_vec()
        };
        let filters = |first: &[u8]| [&[11, 3, b'a'][..], first, &[11, 3, b'b', 11, 3, b'c']].concat();
        assert_eq!(merged(&["staff"]), filters(&[27, 6, 0, 0, 0, 3]));
        assert_eq!(merged(&[]), filters(&[27, 6, 0, 0, 0, 4]));
        assert_eq!(with_ours(told.clone(), &[], &[]).unwrap().as_bytes(), told.as_bytes(), "what is not ours stays as it came");
    }
}
