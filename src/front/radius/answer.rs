//! A login's end as a reply.

use super::Client;
use super::map::Manner;
use crate::domain::Decision;
use crate::domain::Denial;
use crate::domain::Permit;
use crate::domain::Secret;
use crate::engine::Outcome;
use crate::ports::Aside;
use crate::wire::mschap;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
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
    pub(super) secret: Secret,
    pub(super) additions: std::sync::Arc<[Addition]>,
    /// Where people without an account can make one.
    pub(super) enrol_url: Option<String>,
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
    pub(super) fn new(asked: Asked, manner: Manner, client: &Client) -> Self {
        Self { asked, manner, secret: client.secret.clone(), additions: std::sync::Arc::clone(&client.additions), enrol_url: client.enrol_url.clone() }
    }

    /// The table from a login's end to a reply.
    pub(super) fn reply(&self, outcome: &Outcome) -> Result<Reply, TooLong> {
        match outcome {
            Outcome::Challenge { state, prompt } => self.challenge(state, Some(prompt), &Carried::default()),
            Outcome::Decided { decision, aside } => match &**decision {
                Decision::Accept(permit) => self.admitted(permit, aside).map(Reply::AtOnce),
                Decision::Drop(_) => Ok(Reply::Silence),
                Decision::Reject(denial) => self.rejected(*denial, aside),
            },
            Outcome::Relayed { state, aside } => self.challenge(state, None, &carried(&aside.attributes)?),
            Outcome::Superseded => Ok(Reply::Superseded),
        }
    }

    fn challenge(&self, state: &Secret, prompt: Option<&str>, carried: &Carried) -> Result<Reply, TooLong> {
        reply::challenge(&self.asked, self.secret.expose(), state.expose(), prompt, carried, salt()?).map(Reply::AtOnce)
    }

    /// What the first factor's server said goes as it is, all else is one text; all of it after the same time from the request's arrival, of which a delay
    /// of the server's own is a part: who hears sooner would know that it was the password.
    fn rejected(&self, denial: Denial, aside: &Aside) -> Result<Reply, TooLong> {
        let carried = fitting(denial, carried(&aside.refusal)?);
        if aside.refused_there {
            return self.refusal(None, &carried).map(Reply::Delayed);
        }
        let enrol = self.enrol_url.as_ref().filter(|_| denial == Denial::Unenrolled).map(|url| format!("{REFUSED} To enrol, go to {url}"));
        self.refusal(Some(enrol.as_deref().unwrap_or(REFUSED)), &carried).map(Reply::Delayed)
    }

    /// The reply to whoever is refused before anybody was asked: the same text and the same delay.
    pub(super) fn refused(&self) -> Result<Reply, TooLong> {
        self.refusal(Some(REFUSED), &Carried::default()).map(Reply::Delayed)
    }

    /// A refusal in the client's own manner: EAP hears EAP-Failure, MS-CHAP an MS-CHAP-Error.
    fn refusal(&self, message: Option<&str>, carried: &Carried) -> Result<Vec<u8>, TooLong> {
        let mut carried = carried.clone();
        match self.manner {
            Manner::Eap(Some(identifier)) if carried.eap().is_none() => carried.push_eap(&reply::eap_failure(identifier))?,
            Manner::MsChap2(identifier) if carried.vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR).next().is_none() => {
                let mut challenge = [0; 16];
                getrandom::fill(&mut challenge).map_err(|_| TooLong)?;
                let error = mschap::Failure::Authentication.attribute(identifier, &challenge, REFUSED);
                carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR, &error)?;
            }
            Manner::Eap(_) | Manner::MsChap2(_) | Manner::Plain => {}
        }
        reply::reject(&self.asked, self.secret.expose(), message, &carried)
    }

    /// The one way to an Access-Accept for a person: with the flow's permit in hand.
    fn admitted(&self, _permit: &Permit, aside: &Aside) -> Result<Vec<u8>, TooLong> {
        let mut carried = carried(&aside.attributes)?;
        for addition in self.additions.iter().filter(|addition| addition.group.as_ref().is_none_or(|group| aside.groups.contains(group))) {
            carried.push_raw(&addition.attribute)?;
        }
        reply::accept(&self.asked, self.secret.expose(), &carried, salt()?)
    }
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

fn salt() -> Result<[u8; 2], TooLong> {
    let mut salt = [0; 2];
    getrandom::fill(&mut salt).map_err(|_| TooLong)?;
    Ok(salt)
}

const REFUSED: &str = "Access denied.";
