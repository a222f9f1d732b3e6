//! Connections to a directory server: TCP, and TLS whose certificate is for the very host that is configured (L-087).

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ports::Stream;
use crate::wire::ldap::Frame;

use super::Security;
use super::Server;

/// Why no TLS can be spoken at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or holds something else.
    #[error("the CA file {path} cannot be read as PEM: {why}")]
    CaFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: pem::Error,
    },
    /// A certificate in the file is damaged.
    #[error("a certificate in the CA file {path} is of no use: {why}")]
    CaUnfit {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: rustls::Error,
    },
    /// No certificate in the file.
    #[error("the CA file {0} holds no certificate")]
    CaNone(PathBuf),
    /// This machine trusts nobody.
    #[error("this machine has no certificate authorities of its own: name one with ca_file")]
    NativeNone,
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// TLS towards servers that these authorities vouch for; `None`: those of the machine.
pub(super) fn tls(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = roots(ca_file)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// These authorities; `None`: those of the machine.
pub(super) fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    ca_file.map_or_else(native, from_file)
}

fn from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let unread = |why| TlsError::CaFile { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unread)? {
        roots.add(certificate.map_err(unread)?).map_err(|why| TlsError::CaUnfit { path: path.to_owned(), why })?;
    }
    if roots.is_empty() { Err(TlsError::CaNone(path.to_owned())) } else { Ok(roots) }
}

fn native() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // One odd certificate among a machine's hundred is no reason to trust none of them.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() { Err(TlsError::NativeNone) } else { Ok(roots) }
}

/// A connection to `server`, TLS up as configured; there is no way from here to a clear one. The caller keeps the time.
pub(super) async fn connect(server: &Server, tls: Option<&Arc<ClientConfig>>, within: Duration) -> io::Result<Box<dyn Stream>> {
    connect_seeing(server, tls, within).await.map(|(stream, _)| stream)
}

/// The same, and the certificate that the server showed, as DER.
pub(super) async fn connect_seeing(server: &Server, tls: Option<&Arc<ClientConfig>>, within: Duration) -> io::Result<(Box<dyn Stream>, Option<Vec<u8>>)> {
    let mut stream = dial(&server.host, server.port, server.security == Security::Plain, within).await?;
    if server.security == Security::Plain {
        return Ok((Box::new(stream), None));
    }
    if server.security == Security::StartTls {
        start_tls(&mut stream).await?;
    }
    let config = tls.ok_or_else(|| io::Error::other("there is no TLS configuration"))?;
    let name = ServerName::try_from(server.host.clone()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|leaf| leaf.to_vec());
    Ok((Box::new(stream), shown))
}

/// TCP to the first of the host's addresses that answers, of those that may be used; each has its share of the time.
pub(super) async fn dial(host: &str, port: u16, is_loopback_only: bool, within: Duration) -> io::Result<TcpStream> {
    let found = lookup_host((host, port)).await?;
    let addresses: Vec<SocketAddr> = found.filter(|address| !is_loopback_only || address.ip().is_loopback()).take(ADDRESSES_MAX).collect();
    let share = within / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                let socket = SockRef::from(&stream);
                socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_STEP))?;
                socket.set_tcp_user_timeout(Some(KEEPALIVE))?;
                return Ok(stream);
            }
            Ok(Err(why)) => last = why,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// RFC 4511 §4.14. Reads not one byte behind the answer, so nothing that came in clear text can pass for something that came by TLS (L-084).
async fn start_tls(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(START_TLS).await?;
    let mut answer = Vec::new();
    loop {
        answer.push(stream.read_u8().await?);
        let frame = match Frame::split(&answer, START_TLS_ANSWER_MAX) {
            Ok(None) => continue,
            Ok(Some(frame)) => frame,
            Err(why) => return Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        };
        return match frame.result() {
            Ok(result) if (frame.id, frame.op, result.code) == (1, 0x78, 0) => Ok(()),
            Ok(result) => Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("the server refuses StartTLS (code {})", result.code))),
            Err(why) => Err(io::Error::new(io::ErrorKind::InvalidData, why)),
        };
    }
}

/// Message 1, ExtendedRequest, requestName 1.3.6.1.4.1.1466.20037.
const START_TLS: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
const START_TLS_ANSWER_MAX: usize = 4_096;
/// Addresses of one host that are tried.
const ADDRESSES_MAX: usize = 4;
/// Silence after which a connection is asked whether it is still there, and unanswered bytes after which it is not.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_STEP: Duration = Duration::from_secs(10);
