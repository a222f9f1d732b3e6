//! By syslog: RFC 5424 messages over UDP (RFC 5426), TCP (RFC 6587 §3.4.1) or TLS (RFC 5425).
//!
//! Nobody acknowledges them. Where a connection broke, the last batch that was given to it goes to the next one again: lines may come twice, and their
//! numbers say so.

use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Batch;
use super::Sink;
use super::Transport;
use super::follow::Line;
use crate::ports::Stream;

/// `authpriv`: who came in is for few eyes (RFC 5424 §6.2.1).
const FACILITY: u8 = 10;
/// RFC 5424 §7.3.1.
const SEQUENCE_MAX: u64 = 2_147_483_647;
/// Octets of one datagram (IPv4, no options).
const DATAGRAM_BYTES_MAX: usize = 65_507;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Syslog {
    transport: Transport,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    node: String,
    link: Option<Link>,
    /// What the open connection, or the one before, was given last.
    last: Vec<u8>,
}

enum Link {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>),
}

impl Syslog {
    pub(super) fn new(transport: Transport, host: &str, port: u16, ca_file: Option<&Path>, node: &str) -> io::Result<Self> {
        let tls = (transport == Transport::Tls).then(|| tls(ca_file)).transpose()?;
        Ok(Self { transport, host: host.to_owned(), port, tls, node: name(node), link: None, last: Vec::new() })
    }

    /// Connects and says nothing. By UDP that proves no more than a name with an address.
    pub(super) async fn reach(&self) -> io::Result<()> {
        self.connect().await.map(|_| ())
    }

    async fn connect(&self) -> io::Result<Link> {
        let target = (self.host.as_str(), self.port);
        if self.transport == Transport::Udp {
            let address = lookup_host(target).await?.next().ok_or(ErrorKind::NotFound)?;
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            return Ok(Link::Datagrams(socket));
        }
        let stream = timeout(CONNECT_WITHIN, TcpStream::connect(target)).await??;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Link::Stream(Box::new(stream))) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let stream = timeout(CONNECT_WITHIN, TlsConnector::from(Arc::clone(tls)).connect(name, stream)).await??;
        Ok(Link::Stream(Box::new(stream)))
    }

    async fn give(&mut self, batch: &Batch) -> io::Result<()> {
        if let Some(Link::Stream(stream)) = &mut self.link
            && is_over(stream).await
        {
            self.link = None;
        }
        let is_new = self.link.is_none();
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect().await?,
        };
        match &mut link {
            Link::Datagrams(socket) => {
                for line in &batch.lines {
                    let message = message(line, &self.node);
                    socket.send(message.as_bytes().get(..DATAGRAM_BYTES_MAX).unwrap_or(message.as_bytes())).await?;
                }
            }
            Link::Stream(stream) => {
                if is_new && !self.last.is_empty() {
                    stream.write_all(&self.last).await?;
                }
                let mut bytes = Vec::new();
                for message in batch.lines.iter().map(|line| message(line, &self.node)) {
                    bytes.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
                }
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                self.last = bytes;
            }
        }
        self.link = Some(link);
        Ok(())
    }
}

#[async_trait]
impl Sink for Syslog {
    /// Where it breaks off the connection is gone, and the next begins with what this one was given before.
    async fn send(&mut self, batch: &Batch) -> io::Result<()> {
        self.give(batch).await
    }
}

/// Whether the other end has closed. A receiver says nothing else.
async fn is_over(stream: &mut Box<dyn Stream>) -> bool {
    let said = timeout(Duration::ZERO, stream.read(&mut [0; 64])).await;
    matches!(said, Ok(Ok(0) | Err(_)))
}

/// `<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID [meta sequenceId] MSG` (RFC 5424 §6).
fn message(line: &Line, node: &str) -> String {
    let priority = FACILITY.saturating_mul(8).saturating_add(severity(line));
    let sequence = line.seq.saturating_sub(1) % SEQUENCE_MAX + 1;
    format!("<{priority}>1 {} {node} vestibule - {} [meta sequenceId=\"{sequence}\"] {}", line.at, name(&line.event), line.text)
}

fn severity(line: &Line) -> u8 {
    match (line.event.as_str(), line.decision.as_deref()) {
        ("lost" | "skipped", _) | (_, Some("drop")) => 4,
        (_, Some("reject" | "given_up")) => 5,
        _ => 6,
    }
}

/// A name in a header: printable ASCII without spaces, at most 32 of them.
fn name(text: &str) -> String {
    let name: String = text.chars().map(|sign| if sign.is_ascii_graphic() { sign } else { '_' }).take(32).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

fn tls(ca_file: Option<&Path>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
        }
        // One odd certificate among a machine's hundred is no reason to trust none of them.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
