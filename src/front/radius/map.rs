//! A request as a login, and a login's end as a reply.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::Client;
use crate::domain::AuthRequest;
use crate::domain::CodeEntry;
use crate::domain::Decision;
use crate::domain::Dialogue;
use crate::domain::Door;
use crate::domain::Permit;
use crate::domain::Primary;
use crate::domain::Secret;
use crate::engine::Answer;
use crate::engine::Outcome;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::attr::Attribute;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::reply;
use crate::wire::radius::reply::Asked;
use crate::wire::radius::reply::TooLong;

/// What an Access-Request wants.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// A challenge is answered.
    Answer(Answer),
    /// A login begins.
    Begin(Box<AuthRequest>),
    /// Nothing that anybody could be asked about.
    Refuse(Unfit),
}

/// Why an Access-Request is rejected before anybody is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// An attribute that may be there once is there twice.
    Ambiguous,
    /// User-Name is missing, not UTF-8, or has a control character in it.
    BadName,
    /// The password has an impossible length or a control character in it.
    BadPassword,
    /// The password is empty.
    EmptyPassword,
    /// No credential.
    NoCredential,
    /// CHAP, MS-CHAP or EAP, alone or beside a password.
    OtherCredential,
}

impl Unfit {
    /// The word in log and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::BadName => "bad_name",
            Self::BadPassword => "bad_password",
            Self::EmptyPassword => "empty_password",
            Self::NoCredential => "no_credential",
            Self::OtherCredential => "other_credential",
        }
    }
}

/// Reads an Access-Request of this client.
pub(super) fn read(request: &Request<'_>, client: &Client, peer: SocketAddr) -> Errand {
    errand(request, client, peer).unwrap_or_else(Errand::Refuse)
}

fn errand(request: &Request<'_>, client: &Client, peer: SocketAddr) -> Result<Errand, Unfit> {
    if ONCE.into_iter().any(|kind| request.attributes().all(kind).nth(1).is_some()) {
        return Err(Unfit::Ambiguous);
    }
    let login = request.text(attr::USER_NAME).filter(|name| !name.chars().any(char::is_control)).ok_or(Unfit::BadName)?.to_owned();
    if request.has_other_credential() {
        return Err(Unfit::OtherCredential);
    }
    let typed = password(request, client)?;
    let seat = seat(request);
    if let Some(state) = request.state() {
        let said = Primary::Password(typed);
        return Ok(Errand::Answer(Answer { state: Secret::new(state.to_vec()), client: client.name.clone(), login, seat, said }));
    }
    if typed.is_empty() {
        return Err(Unfit::EmptyPassword);
    }
    let (password, appended) = client.code.split(&typed);
    let prompt = match &client.code {
        CodeEntry::Challenge(text) => Some(text.clone()),
        CodeEntry::Append(_) | CodeEntry::AppendDigits(_) | CodeEntry::None => None,
    };
    Ok(Errand::Begin(Box::new(AuthRequest {
        door: Door::Radius,
        client: client.name.clone(),
        login,
        primary: Primary::Password(password),
        appended,
        dialogue: Dialogue { prompt, ..Dialogue::default() },
        source: source(request, client),
        seat,
        asker: asker(request, peer),
    })))
}

/// What was typed. Control characters are in no password a person types, and a NUL would end it early somewhere behind us.
fn password(request: &Request<'_>, client: &Client) -> Result<Secret, Unfit> {
    let revealed = request.user_password(client.secret.expose()).map_err(|_| Unfit::BadPassword)?.ok_or(Unfit::NoCredential)?;
    let typed = Secret::new(revealed.to_vec());
    let control = match typed.expose_text() {
        Some(text) => text.chars().any(char::is_control),
        None => typed.expose().iter().any(u8::is_ascii_control),
    };
    if control { Err(Unfit::BadPassword) } else { Ok(typed) }
}

/// Where the person sits: what must be the same when a login is answered or repeated.
fn seat(request: &Request<'_>) -> Vec<u8> {
    let mut seat = Vec::new();
    for kind in [attr::NAS_IDENTIFIER, attr::NAS_IP_ADDRESS, attr::NAS_IPV6_ADDRESS, attr::CALLING_STATION_ID] {
        let value = request.first(kind).map_or(&[][..], |attribute| attribute.value);
        seat.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        seat.extend_from_slice(value);
    }
    seat
}

/// Who asks. Without Calling-Station-Id all people of a NAS look alike, and one who knows another's password could join that one's login and take
/// its approval; so there it must come from the same port.
fn asker(request: &Request<'_>, peer: SocketAddr) -> Vec<u8> {
    if request.first(attr::CALLING_STATION_ID).is_some() { Vec::new() } else { peer.to_string().into_bytes() }
}

/// Where the person is, as the client's chosen attribute tells; nothing where it tells no address, or two.
fn source(request: &Request<'_>, client: &Client) -> Option<IpAddr> {
    let kind = client.source?;
    let mut told = request.attributes().all(kind);
    let attribute = told.next().filter(|_| told.next().is_none())?;
    match kind {
        attr::FRAMED_IP_ADDRESS => attribute.ipv4().map(IpAddr::V4),
        attr::FRAMED_IPV6_ADDRESS => attribute.ipv6().map(|address| IpAddr::V6(address).to_canonical()),
        _ => written(attribute).and_then(|text| text.trim().parse::<IpAddr>().ok()).map(|address| address.to_canonical()),
    }
}

/// The text of an attribute; a tunnel's may have a tag before it (RFC 2868 §3.3).
fn written(attribute: Attribute<'_>) -> Option<&str> {
    match attribute.value {
        [0..=0x1f, value @ ..] if attribute.kind == attr::TUNNEL_CLIENT_ENDPOINT => std::str::from_utf8(value).ok(),
        _ => attribute.text(),
    }
}

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

/// The table from a login's end to a reply.
pub(super) fn reply(outcome: &Outcome, asked: &Asked, secret: &Secret) -> Result<Reply, TooLong> {
    match outcome {
        Outcome::Challenge { state, prompt } => {
            reply::challenge(asked, secret.expose(), state.expose(), Some(prompt), &Carried::default(), [0; 2]).map(Reply::AtOnce)
        }
        Outcome::Decided { decision, .. } => match &**decision {
            Decision::Accept(permit) => admitted(permit, asked, secret).map(Reply::AtOnce),
            Decision::Drop(_) => Ok(Reply::Silence),
            Decision::Reject(_) => refused(asked, secret),
        },
        Outcome::Relayed { .. } | Outcome::Superseded => Ok(Reply::Superseded),
    }
}

/// The reply to whoever is refused, for whatever reason: the same text and the same delay.
pub(super) fn refused(asked: &Asked, secret: &Secret) -> Result<Reply, TooLong> {
    reply::reject(asked, secret.expose(), Some(REFUSED), &Carried::default()).map(Reply::Delayed)
}

/// The one way to an Access-Accept for a person: with the flow's permit in hand.
fn admitted(_permit: &Permit, asked: &Asked, secret: &Secret) -> Result<Vec<u8>, TooLong> {
    reply::accept(asked, secret.expose(), &Carried::default(), [0; 2])
}

/// Attributes that stand in a request once or not at all (RFC 2865 §5.44).
const ONCE: [u8; 7] =
    [attr::USER_NAME, attr::USER_PASSWORD, attr::STATE, attr::NAS_IDENTIFIER, attr::NAS_IP_ADDRESS, attr::NAS_IPV6_ADDRESS, attr::CALLING_STATION_ID];
const REFUSED: &str = "Access denied.";
