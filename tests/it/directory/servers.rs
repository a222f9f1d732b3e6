//! Servers for the directory's tests: scripted ones, a relay that changes requests, TLS in front of the lab.

use std::fs;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use vestibule::wire::ldap;
use vestibule::wire::ldap::Code;
use vestibule::wire::ldap::Frame;

/// A listening server that ends when dropped.
pub(super) struct Open {
    address: SocketAddr,
    /// Connections taken so far, and those that are still there.
    connections: Arc<(AtomicUsize, AtomicUsize)>,
    _task: JoinSet<()>,
}

impl Open {
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were taken so far.
    pub(super) fn taken(&self) -> usize {
        self.connections.0.load(Ordering::SeqCst)
    }

    /// How many of them are still there.
    pub(super) fn still_open(&self) -> usize {
        self.connections.1.load(Ordering::SeqCst)
    }

    fn new<F: Future<Output = ()> + Send + 'static>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let counted = Arc::clone(&connections);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.0.fetch_add(1, Ordering::SeqCst);
                counted.1.fetch_add(1, Ordering::SeqCst);
                let (serving, counted) = (serve(stream), Arc::clone(&counted));
                connections.spawn(async move {
                    serving.await;
                    counted.1.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, connections, _task: task }
    }
}

/// Answers each request as its script says; says nothing to one without an answer, and closes at one with an empty one.
pub(super) struct Scripted {
    open: Open,
    requests: Arc<AtomicUsize>,
}

impl Scripted {
    pub(super) fn open(script: impl Fn(&Frame<'_>) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let (counted, script) = (Arc::clone(&requests), Arc::new(script));
        let open = Open::new(move |mut stream| {
            let (counted, script) = (Arc::clone(&counted), Arc::clone(&script));
            async move {
                let mut buffer = Vec::new();
                while let Some(request) = request(&mut stream, &mut buffer).await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let answer = script(&Frame::split(&request, usize::MAX).unwrap().unwrap());
                    match answer {
                        Some(answer) if answer.is_empty() => return,
                        Some(answer) if stream.write_all(&answer).await.is_err() => return,
                        _ => {}
                    }
                }
            }
        });
        Self { open, requests }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.open.address
    }

    /// How many connections were taken so far.
    pub(super) fn taken(&self) -> usize {
        self.open.taken()
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Passes everything on, with some requests replaced.
pub(super) struct Relay;

impl Relay {
    pub(super) fn open(upstream: SocketAddr, instead: impl Fn(&Frame<'_>) -> Option<Vec<u8>> + Send + Sync + 'static) -> Open {
        let instead = Arc::new(instead);
        Open::new(move |stream| {
            let instead = Arc::clone(&instead);
            async move {
                let (mut from_client, mut to_client) = stream.into_split();
                let (mut from_server, mut to_server) = TcpStream::connect(upstream).await.unwrap().into_split();
                let forth = async {
                    let mut buffer = Vec::new();
                    while let Some(request) = request(&mut from_client, &mut buffer).await {
                        let changed = instead(&Frame::split(&request, usize::MAX).unwrap().unwrap());
                        to_server.write_all(&changed.unwrap_or(request)).await.unwrap();
                    }
                };
                tokio::select! {
                    () = forth => {}
                    _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
                }
            }
        })
    }
}

/// A certificate authority and a certificate of its for one name.
pub(super) struct Tls {
    pub(super) ca_file: PathBuf,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let ca_file = folder.join("ca.pem");
        fs::write(&ca_file, authority.pem()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        Self { ca_file, config: Arc::new(config) }
    }

    /// TLS in front of `upstream`, from the first byte or after StartTLS.
    pub(super) fn front(&self, upstream: SocketAddr, starttls: bool) -> Open {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        Open::new(move |mut stream| {
            let acceptor = acceptor.clone();
            async move {
                if starttls {
                    let Some(asked) = request(&mut stream, &mut Vec::new()).await else { return };
                    let id = Frame::split(&asked, usize::MAX).unwrap().unwrap().id;
                    stream.write_all(&ldap::extended_answer(id, Code::Success, "", None, None)).await.unwrap();
                }
                let Ok(mut tls) = acceptor.accept(stream).await else { return };
                let mut server = TcpStream::connect(upstream).await.unwrap();
                let _ = copy_bidirectional(&mut tls, &mut server).await;
            }
        })
    }
}

/// A search result entry with that many elements inside each other, as the `ldap3` client would try to read it.
pub(super) fn deep(depth: usize) -> Vec<u8> {
    let mut inside = vec![0x04, 0x00];
    let wrapped = |tag: u8, inside: &[u8]| [&[tag, 0x84], u32::try_from(inside.len()).unwrap().to_be_bytes().as_slice(), inside].concat();
    // Built from the outside in: headers of known lengths, then the innermost element.
    let mut heads = Vec::with_capacity(depth * 6);
    for level in 0..depth {
        let len = u32::try_from((depth - level - 1) * 6 + inside.len()).unwrap();
        heads.extend([0x30, 0x84]);
        heads.extend(len.to_be_bytes());
    }
    heads.append(&mut inside);
    let message = [&[0x02, 0x01, 0x02], wrapped(0x64, &heads).as_slice()].concat();
    wrapped(0x30, &message)
}

async fn request(stream: &mut (impl AsyncReadExt + Unpin), buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        if let Some(frame) = Frame::split(buffer, 1_000_000).unwrap() {
            let bytes = frame.bytes.to_vec();
            buffer.drain(..bytes.len());
            return Some(bytes);
        }
        let mut chunk = [0; 4_096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => buffer.extend_from_slice(&chunk[..count]),
        }
    }
}
