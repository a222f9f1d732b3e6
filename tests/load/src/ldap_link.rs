//! One connection to an LDAP server, in clear text or TLS.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddrV4;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;

use crate::Fault;

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Idle,
    Bind,
    Search,
}

pub struct Link {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// What came and is no whole message yet.
    pub read: Vec<u8>,
    pub stage: Stage,
    pub bound: bool,
    /// Of the last message sent.
    pub id: u32,
    pub user: u32,
    /// Entries of this search.
    pub entries: u64,
    /// When this piece of work began, or should have.
    pub due: u64,
}

/// TLS that begins anew each time, with servers that this authority vouches for.
pub fn tls(ca_file: &str) -> Result<Arc<ClientConfig>, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca_file)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Link {
    pub fn open(server: SocketAddrV4, tls: Option<&Arc<ClientConfig>>) -> Result<Self, Fault> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let tls = match tls {
            Some(config) => Some(Box::new(ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?)),
            None => None,
        };
        Ok(Self { stream, tls, read: Vec::new(), stage: Stage::Idle, bound: false, id: 0, user: 0, entries: 0, due: 0 })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Sends a message. It is short: a socket that does not take it whole is one whose owner reads nothing, which is an error.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(message),
            Some(tls) => {
                tls.writer().write_all(message)?;
                push(tls, &mut self.stream)
            }
        }
    }

    /// Says goodbye on the TLS layer, where there is one, and closes.
    pub fn close(mut self, last: &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.writer().write_all(last)?;
            tls.send_close_notify();
            return push(tls, &mut self.stream);
        }
        self.stream.write_all(last)
    }

    /// Reads what is there, once, and gives the number of bytes on the wire; `None` at the end of the stream.
    pub fn fill(&mut self, space: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(tls) = &mut self.tls else {
            return match self.stream.read(space) {
                Ok(0) => Ok(None),
                Ok(len) => {
                    self.read.extend(&space[..len]);
                    Ok(Some(len))
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(0)),
                Err(error) => Err(error),
            };
        };
        let len = match tls.read_tls(&mut self.stream) {
            Ok(0) => return Ok(None),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Some(0)),
            Err(error) => return Err(error),
        };
        tls.process_new_packets().map_err(io::Error::other)?;
        loop {
            match tls.reader().read(space) {
                Ok(0) => break,
                Ok(len) => self.read.extend(&space[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        push(tls, &mut self.stream)?;
        Ok(Some(len))
    }

    /// Whether the keys of this connection are its own and not those of an earlier one.
    pub fn is_full_handshake(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| matches!(tls.handshake_kind(), Some(HandshakeKind::Full | HandshakeKind::FullWithHelloRetryRequest)))
    }
}

fn push(tls: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(stream)?;
    }
    Ok(())
}
