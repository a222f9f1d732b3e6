//! TLS at a RADIUS listener: who we are, whose clients we believe, and the names in their certificates (RFC 6614 §2.3, RFC 9765 §3).

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::VerifierBuilderError;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;

/// One listener with `transport = "tls"`; replaced whole on reload.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Certificates both ways.
    pub tls: MutualTls,
    /// Octets of one packet, 4096..=65,535 (RFC 7930). What is open already keeps what it had.
    pub packet_bytes_max: usize,
    /// Connections of this listener at once.
    pub connections_max: usize,
    /// Connections of one client to this listener at once.
    pub client_connections_max: usize,
}

/// TLS in which both sides show a certificate in the first handshake. No session is ever resumed, so that no certificate outlives its authority, and nothing
/// is taken before the handshake is over.
#[derive(Clone, Debug)]
pub struct MutualTls {
    config: Arc<ServerConfig>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Why there can be no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// What clients' certificates would be checked against.
    #[error("the client authorities cannot be used: {0}")]
    Authorities(VerifierBuilderError),
    /// Our own certificate or key.
    #[error("the certificate or its key cannot be used: {0}")]
    Identity(#[from] rustls::Error),
    /// The lists of certificates that were taken back.
    #[error("the lists of revoked certificates cannot be read")]
    Revocations,
}

impl MutualTls {
    /// We show `chain`, whose key is `key`; clients show a certificate of one of `authorities`. At least TLS 1.2.
    ///
    /// Where there are `revocations`, every certificate between the client's own and its authority must be covered by one of them that has not run out, and
    /// stand in none: a list that is late lets nobody in.
    ///
    /// # Errors
    /// Key and certificate do not belong together, there is no authority, or a list of revocations cannot be read.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        authorities: RootCertStore,
        revocations: Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
        let verifier = verifier.with_crls(revocations).enforce_revocation_expiration().build().map_err(|error| match error {
            VerifierBuilderError::InvalidCrl(_) => TlsError::Revocations,
            error => TlsError::Authorities(error),
        })?;
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_client_cert_verifier(Arc::clone(&verifier)).with_single_cert(chain, key)?;
        config.alpn_protocols = vec![ALPN_11.to_vec(), ALPN_10.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), verifier })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether a certificate that was taken once would be taken now.
    pub(super) fn still_takes(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let none = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let (own, between) = chain.split_first().ok_or(none)?;
        let now = self.config.time_provider.current_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        self.verifier.verify_client_cert(own, between, now).map(|_| ())
    }
}

/// The names in a certificate that a client may go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    common: Vec<String>,
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Of a certificate; none where it cannot be read, which one that was verified always can.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut names = Self::default();
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return names };
        names.common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
        let Ok(Some(alternative)) = certificate.subject_alternative_name() else { return names };
        for name in &alternative.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                GeneralName::IPAddress(octets) => names.addresses.extend(address(octets)),
                _ => {}
            }
        }
        names
    }

    /// Whether `wanted` is one of them: the whole of it, and no pattern.
    pub(super) fn has(&self, wanted: &str) -> bool {
        let at = wanted.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.common.iter().any(|name| name == wanted)
            || self.dns.iter().any(|name| name.eq_ignore_ascii_case(wanted))
            || at.is_some_and(|at| self.addresses.contains(&at))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let all: Vec<_> = self.common.iter().cloned().chain(self.dns.iter().cloned()).chain(addresses).take(NAMES_SAID_MAX).collect();
        // Whoever wrote the certificate chose the letters.
        write!(f, "{all:?}")
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok().map(|address| address.to_canonical())
}

/// RADIUS/1.0 by name; without any name it is 1.0 too.
const ALPN_10: &[u8] = b"radius/1.0";
/// RADIUS/1.1 (RFC 9765 §3.2).
pub(super) const ALPN_11: &[u8] = b"radius/1.1";
const NAMES_SAID_MAX: usize = 8;
