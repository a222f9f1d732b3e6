//! A NAS, written from the RFCs: it frames, hides and signs by itself, so that nothing of ours is held against itself.

use std::cell::Cell;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::Integrity;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::carry::Carried;
use vestibule::wire::radius::upstream::verify_reply;

use super::World;
use crate::lab::SECRET;

pub(super) const NAS_PORT_ID: u8 = 87;
pub(super) const NAS_PORT_TYPE: u8 = 61;
pub(super) const FRAMED_PROTOCOL: u8 = 7;
pub(super) const CONNECT_INFO: u8 = 77;
pub(super) const CLASS: u8 = 25;
pub(super) const FILTER_ID: u8 = 11;
pub(super) const MICROSOFT: u32 = 311;

/// Whether it signs what it asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signs {
    Always,
    Never,
}

/// One NAS at one port.
pub(super) struct Nas {
    socket: UdpSocket,
    server: SocketAddr,
    signs: Signs,
    /// What stands in each of its requests.
    usual: Vec<(u8, Vec<u8>)>,
    identifier: Cell<u8>,
}

/// A request, as it went out.
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
}

/// A reply that is authentic and signed.
pub(super) struct Heard {
    pub(super) code: Code,
    pub(super) bytes: Vec<u8>,
    pub(super) message: String,
    pub(super) state: Option<Vec<u8>>,
    /// All attributes but State, Proxy-State and the signature, hidden ones in clear.
    pub(super) carried: Carried,
    pub(super) proxy_states: Vec<Vec<u8>>,
}

impl Nas {
    pub(super) fn new(world: &World, signs: Signs, usual: Vec<(u8, Vec<u8>)>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { socket, server: world.house.radius(), signs, usual, identifier: Cell::new(0) }
    }

    /// Name and password.
    pub(super) fn login(&self, name: &str, password: &str) -> Sent {
        self.request(name, &[], Some(password))
    }

    /// What was typed after a challenge, with its State.
    pub(super) fn answer(&self, name: &str, typed: &str, challenge: &Heard) -> Sent {
        self.request(name, &[(attr::STATE, challenge.state.clone().unwrap())], Some(typed))
    }

    /// Name, password, what it always sends, and `more`.
    pub(super) fn request(&self, name: &str, more: &[(u8, Vec<u8>)], password: Option<&str>) -> Sent {
        let authenticator: [u8; 16] = random();
        let mut attributes = vec![(attr::USER_NAME, name.as_bytes().to_vec())];
        attributes.extend(password.map(|password| (attr::USER_PASSWORD, hidden(password.as_bytes(), &authenticator))));
        attributes.extend(self.usual.iter().chain(more).cloned());
        if self.signs == Signs::Always {
            attributes.push((attr::MESSAGE_AUTHENTICATOR, vec![0; 16]));
        }
        let mut bytes = self.framed(1, &authenticator, &attributes);
        if self.signs == Signs::Always {
            let mut mac = Hmac::<Md5>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(&bytes);
            let at = bytes.len() - 16;
            bytes[at..].copy_from_slice(&mac.finalize().into_bytes());
        }
        Sent { bytes }
    }

    /// The beginning of a session, told to the port for accounting; whether it was answered there.
    pub(super) fn tells_of_a_session(&self, accounting: SocketAddr, name: &str) -> bool {
        let start = vec![(attr::USER_NAME, name.as_bytes().to_vec()), (attr::ACCT_STATUS_TYPE, number(1)), (attr::ACCT_SESSION_ID, b"81A2-77".to_vec())];
        let attributes: Vec<_> = start.into_iter().chain(self.usual.iter().cloned()).collect();
        let mut bytes = self.framed(4, &[0; 16], &attributes);
        let sum: [u8; 16] = Md5::digest([&bytes, SECRET.as_bytes()].concat()).into();
        bytes[4..20].copy_from_slice(&sum);
        self.socket.send_to(&bytes, accounting).unwrap();
        let answer = self.received();
        verify_reply(&answer, &bytes, SECRET.as_bytes(), Integrity::Optional).is_ok_and(|reply| reply.code() == Code::AccountingResponse)
    }

    pub(super) fn ask(&self, sent: &Sent) -> Heard {
        self.send(sent);
        self.hears(sent)
    }

    pub(super) fn send(&self, sent: &Sent) {
        self.socket.send_to(&sent.bytes, self.server).unwrap();
    }

    pub(super) fn hears(&self, sent: &Sent) -> Heard {
        let bytes = self.received();
        let reply = verify_reply(&bytes, &sent.bytes, SECRET.as_bytes(), Integrity::Require).unwrap();
        let authenticator = sent.bytes[4..20].try_into().unwrap();
        let (code, message, state) = (reply.code(), reply.message(), reply.state().map(<[u8]>::to_vec));
        let proxy_states = reply.attributes().all(attr::PROXY_STATE).map(|attribute| attribute.value.to_vec()).collect();
        let carried = Carried::of(&reply, authenticator, SECRET.as_bytes());
        Heard { code, message, state, carried, proxy_states, bytes }
    }

    /// Everything that was sent so far has been read: a Status-Server behind it is answered at once.
    pub(super) fn waits_until_read(&self) {
        let status = vestibule::wire::radius::upstream::status_server(self.next(), &random(), SECRET.as_bytes()).unwrap();
        let sent = Sent { bytes: status };
        assert_eq!(self.ask(&sent).code, Code::AccessAccept);
    }

    /// Nothing has come.
    pub(super) fn hears_nothing(&self) {
        self.waits_until_read();
        self.socket.set_nonblocking(true).unwrap();
        assert!(self.socket.recv(&mut [0; 4096]).is_err());
        self.socket.set_nonblocking(false).unwrap();
    }

    fn received(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        let length = self.socket.recv(&mut bytes).expect("a reply");
        bytes.truncate(length);
        bytes
    }

    fn framed(&self, code: u8, authenticator: &[u8; 16], attributes: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let body: Vec<u8> = attributes.iter().flat_map(|(kind, value)| [&[*kind, u8::try_from(value.len() + 2).unwrap()][..], value].concat()).collect();
        let length = u16::try_from(20 + body.len()).unwrap().to_be_bytes();
        [&[code, self.next()][..], &length, authenticator, &body].concat()
    }

    fn next(&self) -> u8 {
        self.identifier.set(self.identifier.get().wrapping_add(1));
        self.identifier.get()
    }
}

impl Heard {
    /// A challenge that every NAS can show: State, a text, and how the answer is read and how long.
    pub(super) fn asks(&self, text: &str) {
        assert_eq!((self.code, self.message.as_str()), (Code::AccessChallenge, text));
        assert!(self.state.as_ref().is_some_and(|state| !state.is_empty()));
        assert_eq!((self.number(attr::PROMPT), self.number(attr::SESSION_TIMEOUT)), (Some(1), Some(120)));
    }

    pub(super) fn number(&self, kind: u8) -> Option<u32> {
        self.carried.first(kind).and_then(|attribute| attribute.integer())
    }

    pub(super) fn text(&self, kind: u8) -> Option<&str> {
        self.carried.first(kind).and_then(|attribute| attribute.text())
    }

    pub(super) fn vendors(&self, vendor: u32, kind: u8) -> Vec<Vec<u8>> {
        self.carried.vendor(vendor, kind).map(<[u8]>::to_vec).collect()
    }
}

/// An attribute whose value is text.
pub(super) fn said(kind: u8, text: &str) -> (u8, Vec<u8>) {
    (kind, text.as_bytes().to_vec())
}

/// An attribute whose value is a number.
pub(super) fn counted(kind: u8, value: u32) -> (u8, Vec<u8>) {
    (kind, number(value))
}

/// An attribute of a vendor.
pub(super) fn of_vendor(vendor: u32, kind: u8, value: &[u8]) -> (u8, Vec<u8>) {
    let length = u8::try_from(value.len() + 2).unwrap();
    (attr::VENDOR_SPECIFIC, [&vendor.to_be_bytes()[..], &[kind, length], value].concat())
}

pub(super) fn number(value: u32) -> Vec<u8> {
    value.to_be_bytes().to_vec()
}

pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// RFC 2865 §5.2.
fn hidden(password: &[u8], authenticator: &[u8; 16]) -> Vec<u8> {
    let mut padded = password.to_vec();
    padded.resize(password.len().max(1).next_multiple_of(16), 0);
    let mut before = authenticator.to_vec();
    let mut whole = Vec::new();
    for block in padded.chunks(16) {
        let mask = Md5::digest([SECRET.as_bytes(), &before].concat());
        before = block.iter().zip(mask).map(|(one, other)| one ^ other).collect();
        whole.extend_from_slice(&before);
    }
    whole
}
