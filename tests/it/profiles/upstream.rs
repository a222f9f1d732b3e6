//! A scripted RADIUS server behind us.

use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::mpsc;

use vestibule::wire::radius::Code;
use vestibule::wire::radius::Integrity;
use vestibule::wire::radius::Request;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::carry::Carried;
use vestibule::wire::radius::reply;
use vestibule::wire::radius::reply::Asked;

use super::UPSTREAM_SECRET;

/// It ends when dropped.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    asked: mpsc::Receiver<Vec<u8>>,
}

/// What it says to a request.
pub(super) enum Says {
    Accept(Carried),
    Challenge(&'static [u8], Carried),
}

impl Upstream {
    /// Answers each request as `script` says; Status-Server by itself.
    pub(super) fn open(script: impl Fn(&Request<'_>) -> Says + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let Ok(request) = Request::verify(&buffer[..length], UPSTREAM_SECRET.as_bytes(), Integrity::Require) else { return };
                let says = match request.code() {
                    Code::StatusServer => Says::Accept(Carried::default()),
                    _ => {
                        let _ = tell.send(buffer[..length].to_vec());
                        script(&request)
                    }
                };
                socket.send_to(&spoken(&request, &says), from).unwrap();
            }
        });
        Self { address, asked }
    }

    /// What has been asked so far, all of it authentic.
    pub(super) fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.try_iter().collect()
    }
}

impl Drop for Upstream {
    /// Something that is no request ends it.
    fn drop(&mut self) {
        let _ = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"end", self.address));
    }
}

fn spoken(request: &Request<'_>, says: &Says) -> Vec<u8> {
    let (asked, secret) = (Asked::of(request), UPSTREAM_SECRET.as_bytes());
    match says {
        Says::Accept(carried) => reply::accept(&asked, secret, carried, [1, 2]).unwrap(),
        Says::Challenge(state, carried) => reply::challenge(&asked, secret, state, None, carried, [1, 2]).unwrap(),
    }
}

/// Attributes of a reply.
pub(super) fn carrying(attributes: &[(u8, &[u8])]) -> Carried {
    let mut carried = Carried::default();
    for (kind, value) in attributes {
        carried.push(*kind, value).unwrap();
    }
    carried
}

/// The verified request in these bytes.
pub(super) fn read(bytes: &[u8]) -> Request<'_> {
    Request::verify(bytes, UPSTREAM_SECRET.as_bytes(), Integrity::Require).unwrap()
}

/// The EAP packet of a request.
pub(super) fn eap_of(request: &Request<'_>) -> Vec<u8> {
    request.attributes().all(attr::EAP_MESSAGE).flat_map(|attribute| attribute.value.to_vec()).collect()
}
