//! A request as a login: who, with what, by the rules of this client.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::Charset;
use super::Client;
use super::First;
use crate::domain::Appended;
use crate::domain::Approval;
use crate::domain::AuthRequest;
use crate::domain::CodeEntry;
use crate::domain::Dialogue;
use crate::domain::Door;
use crate::domain::Primary;
use crate::domain::Relayed;
use crate::domain::Secret;
use crate::engine::Answer;
use crate::wire::radius::Request;
use crate::wire::radius::attr;
use crate::wire::radius::attr::Attribute;
use crate::wire::radius::forward::Forward;

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
    /// EAP that is none: in pieces that do not belong together, or a Request from the NAS's side.
    BadEap,
    /// User-Name is missing, not UTF-8, or has a control character in it.
    BadName,
    /// The password has an impossible length or a control character in it.
    BadPassword,
    /// The identity that is said by EAP is another than User-Name (RFC 3579 §2.1): a server behind us might take either for the outer one.
    EapIdentity,
    /// The password is empty.
    EmptyPassword,
    /// NAS-IP-Address is not where the packet came from, and the client's `nas_address` demands it.
    NasAddress,
    /// No credential.
    NoCredential,
    /// CHAP, MS-CHAP or EAP where the first factor cannot check it, or beside a password.
    OtherCredential,
    /// A server behind us would change the password before the second factor passed.
    PasswordChange,
    /// Neither a code nor a word nor nothing, in an unsigned request of a client that checks passwords itself: whoever knows no secret can make such a one.
    Unproven,
}

impl Unfit {
    /// The word in log and metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::BadEap => "bad_eap",
            Self::BadName => "bad_name",
            Self::BadPassword => "bad_password",
            Self::EapIdentity => "eap_identity",
            Self::EmptyPassword => "empty_password",
            Self::NasAddress => "nas_address",
            Self::NoCredential => "no_credential",
            Self::OtherCredential => "other_credential",
            Self::PasswordChange => "password_change",
            Self::Unproven => "unproven",
        }
    }
}

/// How the client speaks, as far as a reply must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// EAP; the identifier of the client's packet, where it has one.
    Eap(Option<u8>),
    /// MS-CHAPv2; the identifier of its response.
    MsChap2(u8),
    /// A password, CHAP, or nothing.
    Plain,
}

impl Manner {
    pub(super) fn of(request: &Request<'_>) -> Self {
        if let Ok(Some(eap)) = request.eap() {
            return Self::Eap(eap.get(1).copied());
        }
        let identifier = request.ms_chap2().map(|proof| proof.response.ident);
        identifier.or_else(|| request.ms_chap2_cpw().map(|change| change.identifier)).map_or(Self::Plain, Self::MsChap2)
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
    let Given { primary, appended, can_answer, types } = given(request, client)?;
    let seat = seat(request);
    if let Some(state) = request.state() {
        return Ok(Errand::Answer(Answer { state: Secret::new(state.to_vec()), client: client.name.clone(), login, seat, said: primary }));
    }
    if matches!(&primary, Primary::Password(password) if password.is_empty()) {
        return Err(Unfit::EmptyPassword);
    }
    let prompt = match &client.code {
        CodeEntry::Challenge(text) if can_answer => Some(text.clone()),
        _ => None,
    };
    let asker = asker(request, client, &primary, peer);
    Ok(Errand::Begin(Box::new(AuthRequest {
        door: Door::Radius,
        client: client.name.clone(),
        login,
        primary,
        appended,
        dialogue: Dialogue {
            prompt,
            menu: client.menu && types,
            approval: if types { client.approval } else { Approval::Wait },
            // Nobody else may take a question over that stays out.
            late_ms: if asker.is_empty() { client.late_ms } else { 0 },
            join_ms: client.join_ms,
            change: false,
        },
        source: source(request, client),
        exempt: Vec::new(),
        seat,
        asker,
    })))
}

/// The first factor of a request, and what came along with it.
struct Given {
    primary: Primary,
    appended: Option<Appended>,
    /// A challenge can be answered.
    can_answer: bool,
    /// And with any text, not with a code alone: the client sends what a person types.
    types: bool,
}

fn given(request: &Request<'_>, client: &Client) -> Result<Given, Unfit> {
    match &client.first {
        First::Password(_) => by_password(request, client),
        First::MsChap2(_) => by_ms_chap2(request, client),
        First::Upstream { without_credential, .. } => by_upstream(request, client, *without_credential),
        First::Waived(_) => waived(request, client),
    }
}

fn by_password(request: &Request<'_>, client: &Client) -> Result<Given, Unfit> {
    if request.has_other_credential() {
        return Err(Unfit::OtherCredential);
    }
    let typed = password(request, client)?.ok_or(Unfit::NoCredential)?;
    if request.state().is_some() {
        return Ok(Given { primary: Primary::Password(typed), appended: None, can_answer: true, types: true });
    }
    let (password, appended) = client.code.split(&typed);
    Ok(Given { primary: Primary::Password(password), appended, can_answer: true, types: true })
}

/// MS-CHAPv2, or a password in clear. Some clients put the answer to a challenge where the response would be.
fn by_ms_chap2(request: &Request<'_>, client: &Client) -> Result<Given, Unfit> {
    if !request.has_other_credential() {
        return by_password(request, client);
    }
    if request.first(attr::USER_PASSWORD).is_some() || request.attributes().contains(attr::EAP_MESSAGE) || request.attributes().contains(attr::CHAP_PASSWORD) {
        return Err(Unfit::OtherCredential);
    }
    if let Some(code) = answered_in_response(request, client) {
        return Ok(Given { primary: Primary::Password(code), appended: None, can_answer: true, types: true });
    }
    if let (None, Some(change)) = (request.ms_chap2(), request.ms_chap2_cpw()) {
        let packet = Forward::of(request, client.secret.expose()).map_err(|_| Unfit::BadPassword)?;
        return Ok(Given {
            primary: Primary::MsChap2Change { key: change.challenge.to_vec(), change: Secret::new(packet.as_bytes().to_vec()) },
            appended: None,
            can_answer: false,
            types: false,
        });
    }
    let proof = request.ms_chap2().ok_or(Unfit::NoCredential)?;
    let primary = Primary::MsChap2 { challenge: *proof.challenge, response: Box::new(*proof.bytes) };
    Ok(Given { primary, appended: None, can_answer: client.code_in_ms_chap2, types: false })
}

/// Whatever there is, for a server behind us: it knows what to make of it.
fn by_upstream(request: &Request<'_>, client: &Client, without_credential: bool) -> Result<Given, Unfit> {
    let eap = request.eap().map_err(|_| Unfit::BadEap)?;
    // An EAP-Request from the NAS's side: RFC 3579 §2.6.2.
    if eap.as_ref().is_some_and(|packet| packet.first() == Some(&EAP_REQUEST)) {
        return Err(Unfit::BadEap);
    }
    if eap.as_deref().and_then(eap_identity).is_some_and(|identity| request.first(attr::USER_NAME).is_none_or(|name| name.value != identity)) {
        return Err(Unfit::EapIdentity);
    }
    // Done there before anybody was asked for a second factor.
    if changes_password(request, eap.as_deref()) {
        return Err(Unfit::PasswordChange);
    }
    let typed = password(request, client)?;
    if typed.is_some() && request.has_other_credential() {
        return Err(Unfit::OtherCredential);
    }
    if typed.is_none() && !request.has_other_credential() && !without_credential {
        return Err(Unfit::NoCredential);
    }
    let mut forward = Forward::of(request, client.secret.expose()).map_err(|_| Unfit::BadPassword)?;
    let mut appended = None;
    if let Some(typed) = typed.as_ref() {
        // An answer is a text like a password, so the charset matters there as well; but nothing is cut off it.
        let (password, cut) = if request.state().is_some() { (typed.clone(), None) } else { client.code.split(typed) };
        if request.state().is_none() && typed.is_empty() {
            return Err(Unfit::EmptyPassword);
        }
        forward = forward.with_password(password.expose()).map_err(|_| Unfit::BadPassword)?;
        appended = cut;
    }
    let proof = proof(&forward);
    let code = answered_in_response(request, client);
    let types = typed.is_some();
    let can_answer = types || client.code_in_ms_chap2 && request.ms_chap2().is_some();
    let typed = code.or(typed);
    let packet = Secret::new(forward.as_bytes().to_vec());
    Ok(Given { primary: Primary::Relayed(Relayed { packet, proof, typed, named: eap.is_none() }), appended, can_answer, types })
}

/// The identity in an EAP-Response/Identity (RFC 3748 §5.1).
fn eap_identity(packet: &[u8]) -> Option<&[u8]> {
    let (header, identity) = packet.split_at_checked(5)?;
    matches!(header, [EAP_RESPONSE, .., EAP_IDENTITY]).then_some(identity)
}

/// Whether a password is to be changed, by MS-CHAP in any version (RFC 2548 §2.1.3, §2.1.4, §2.3.4) or by EAP-MSCHAPv2. What goes on in a tunnel nobody sees.
fn changes_password(request: &Request<'_>, eap: Option<&[u8]>) -> bool {
    let by_eap = eap.is_some_and(|packet| (packet.get(4), packet.get(5)) == (Some(&EAP_MSCHAPV2), Some(&EAP_MSCHAPV2_CHANGE)));
    by_eap || CHANGES.into_iter().any(|kind| request.attributes().vendor(attr::VENDOR_MICROSOFT, kind).next().is_some())
}

/// The client has checked the password itself: what comes in its place can only be the code, or nothing.
fn waived(request: &Request<'_>, client: &Client) -> Result<Given, Unfit> {
    if request.has_other_credential() {
        return Err(Unfit::OtherCredential);
    }
    let typed = password(request, client)?;
    if request.state().is_some() {
        return Ok(Given { primary: Primary::Password(typed.unwrap_or_default()), appended: None, can_answer: true, types: true });
    }
    let appended = typed.as_ref().and_then(|typed| client.code.alone(&Secret::new(typed.expose().trim_ascii().to_vec())));
    // Unsigned and encrypted with a wrong secret, one in ten is a text.
    if !request.signed() && appended.is_none() && typed.is_some_and(|typed| !typed.is_empty()) {
        return Err(Unfit::Unproven);
    }
    Ok(Given { primary: Primary::Waived, appended, can_answer: true, types: true })
}

/// The answer to a challenge in an MS-CHAP2-Response: six digits (FortiGate).
fn answered_in_response(request: &Request<'_>, client: &Client) -> Option<Secret> {
    request.state().filter(|_| client.code_in_ms_chap2)?;
    let code = Secret::new(request.attributes().typed_in_ms_chap2()?.to_vec());
    Appended::is_code(&code).then_some(code)
}

/// What was typed. Control characters are in no password a person types, and a NUL would end it early somewhere behind us.
fn password(request: &Request<'_>, client: &Client) -> Result<Option<Secret>, Unfit> {
    let Some(revealed) = request.user_password(client.secret.expose()).map_err(|_| Unfit::BadPassword)? else { return Ok(None) };
    let typed = match client.charset {
        // Each octet is the code point of that number.
        Charset::Latin1 => Secret::new(revealed.iter().map(|octet| char::from(*octet)).collect::<String>().into_bytes()),
        Charset::Utf8 => Secret::new(revealed.to_vec()),
    };
    let control = match typed.expose_text() {
        Some(text) => text.chars().any(char::is_control),
        None => typed.expose().iter().any(u8::is_ascii_control),
    };
    if control { Err(Unfit::BadPassword) } else { Ok(Some(typed)) }
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

/// Who asks, where the seat does not tell. Whoever knows another's password could join that one's login and take its approval, were the two alike: and so are
/// all people of a NAS that sends no Calling-Station-Id or one for all, all who begin EAP under one anonymous name, and all logins without a credential. Such a one is the
/// same only as the very same request.
fn asker(request: &Request<'_>, client: &Client, primary: &Primary, peer: SocketAddr) -> Vec<u8> {
    let proves = match primary {
        Primary::Relayed(relayed) => relayed.named && (relayed.typed.is_some() || request.has_other_credential()),
        Primary::Waived => false,
        Primary::MsChap2 { .. } | Primary::MsChap2Change { .. } | Primary::Password(_) => true,
    };
    if proves && !client.one_station && request.first(attr::CALLING_STATION_ID).is_some() {
        return Vec::new();
    }
    let mut asker = request.authenticator().to_vec();
    asker.extend_from_slice(&peer.port().to_be_bytes());
    match peer.ip() {
        IpAddr::V4(address) => asker.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => asker.extend_from_slice(&address.octets()),
    }
    asker
}

/// The credentials of a request, each with its kind and length, so that no two sets look alike.
fn proof(forward: &Forward) -> Secret {
    let mut proof = Vec::with_capacity(forward.as_bytes().len());
    for attribute in forward.attributes().iter().filter(|attribute| CREDENTIALS.contains(&attribute.kind)) {
        // An attribute's value is shorter than 256 octets; longer ones of RADIUS/1.1 do not exist.
        proof.extend([attribute.kind, u8::try_from(attribute.value.len()).unwrap_or(u8::MAX)]);
        proof.extend_from_slice(attribute.value);
    }
    Secret::new(proof)
}

/// Where the person is, as the client's chosen attribute tells; nothing where it tells no address, or two.
fn source(request: &Request<'_>, client: &Client) -> Option<IpAddr> {
    let kind = client.source?;
    let mut told = request.attributes().all(kind);
    let attribute = told.next().filter(|_| told.next().is_none())?;
    match kind {
        attr::FRAMED_IP_ADDRESS => attribute.ipv4().map(IpAddr::V4),
        attr::FRAMED_IPV6_ADDRESS => attribute.ipv6().map(|address| IpAddr::V6(address).to_canonical()),
        _ => written(attribute).and_then(|text| without_port(text.trim()).parse::<IpAddr>().ok()).map(|address| address.to_canonical()),
    }
}

/// The address alone where a port stands in brackets behind it, as strongSwan writes it: `198.51.100.7[4500]`.
fn without_port(text: &str) -> &str {
    let cut = text.strip_suffix(']').and_then(|text| text.rsplit_once('['));
    cut.filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(text, |(address, _)| address)
}

/// The text of an attribute; a tunnel's may have a tag before it (RFC 2868 §3.3).
fn written(attribute: Attribute<'_>) -> Option<&str> {
    match attribute.value {
        [0..=0x1f, value @ ..] if attribute.kind == attr::TUNNEL_CLIENT_ENDPOINT => std::str::from_utf8(value).ok(),
        _ => attribute.text(),
    }
}

/// Attributes that stand in a request once or not at all (RFC 2865 §5.44).
const ONCE: [u8; 7] =
    [attr::USER_NAME, attr::USER_PASSWORD, attr::STATE, attr::NAS_IDENTIFIER, attr::NAS_IP_ADDRESS, attr::NAS_IPV6_ADDRESS, attr::CALLING_STATION_ID];
/// Where credentials stand.
const CREDENTIALS: [u8; 6] = [attr::USER_PASSWORD, attr::CHAP_PASSWORD, attr::CHAP_CHALLENGE, attr::ARAP_PASSWORD, attr::EAP_MESSAGE, attr::VENDOR_SPECIFIC];
/// The code of an EAP packet that asks (RFC 3748 §4).
const EAP_IDENTITY: u8 = 1;
const EAP_REQUEST: u8 = 1;
const EAP_RESPONSE: u8 = 2;
/// EAP-MSCHAPv2, and its operation that changes a password.
const EAP_MSCHAPV2: u8 = 26;
const EAP_MSCHAPV2_CHANGE: u8 = 7;
/// Microsoft's attributes that change a password: MS-CHAP-CPW-1, MS-CHAP-CPW-2, MS-CHAP2-CPW.
const CHANGES: [u8; 3] = [3, 4, attr::MS_CHAP2_CPW];
