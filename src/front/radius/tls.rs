//! TLS at a RADIUS listener: who we are, and whose clients we believe (RFC 6614 §2.3, RFC 9765 §3).

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::danger::ClientCertVerifier;

use crate::front::certificate;
use crate::front::certificate::TlsError;

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
        let verifier = certificate::verifier(authorities, revocations, true)?;
        let mut config = certificate::server(chain, key, Arc::clone(&verifier))?;
        config.alpn_protocols = vec![ALPN_11.to_vec(), ALPN_10.to_vec()];
        Ok(Self { config: Arc::new(config), verifier })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Whether a certificate that was taken once would be taken now.
    pub(super) fn still_takes(&self, chain: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        let now = self.config.time_provider.current_time().ok_or(rustls::Error::FailedToGetCurrentTime)?;
        certificate::still_takes(self.verifier.as_ref(), chain, now)
    }
}

/// RADIUS/1.0 by name; without any name it is 1.0 too.
const ALPN_10: &[u8] = b"radius/1.0";
/// RADIUS/1.1 (RFC 9765 §3.2).
pub(super) const ALPN_11: &[u8] = b"radius/1.1";
