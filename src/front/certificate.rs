//! Certificates that clients show: who vouches for them, and the names in them. The same at every door.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::server::VerifierBuilderError;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::extensions::GeneralName;

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

/// Takes certificates of `authorities`, and, where they are not `required`, none at all; one that is shown must always be good.
///
/// Where there are `revocations`, every certificate between the client's own and its authority must be covered by one of them that has not run out, and
/// stand in none: a list that is late lets nobody in.
///
/// # Errors
/// There is no authority, or a list of revocations cannot be read.
pub fn verifier(
    authorities: RootCertStore,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    let builder = builder.with_crls(revocations).enforce_revocation_expiration();
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| match error {
        VerifierBuilderError::InvalidCrl(_) => TlsError::Revocations,
        error => TlsError::Authorities(error),
    })
}

/// TLS in which clients show certificates in the first handshake. No session is ever resumed, so that no certificate outlives its authority, and nothing is
/// taken before the handshake is over. At least TLS 1.2.
///
/// # Errors
/// Key and certificate do not belong together.
pub fn server(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>, verifier: Arc<dyn ClientCertVerifier>) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// Whether a chain that was taken once, the client's own certificate first, would be taken now.
///
/// # Errors
/// Why not: out of date, taken back, or of an authority that is not believed any more.
pub(in crate::front) fn still_takes(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), rustls::Error> {
    let none = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let (own, between) = chain.split_first().ok_or(none)?;
    verifier.verify_client_cert(own, between, now).map(|_| ())
}

/// The names in a certificate that a client may go by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front) struct Names {
    common: Vec<String>,
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Names {
    /// Of a certificate; none where it cannot be read, which one that was verified always can.
    pub(in crate::front) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut names = Self::default();
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { return names };
        names.common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(str::to_owned).collect();
        let alternative = match certificate.subject_alternative_name() {
            Ok(None) => return names,
            Ok(Some(alternative)) => alternative,
            Err(_) => return Self::default(),
        };
        // Where names are told apart by kind, the common one is a text that may say anything (RFC 6125 §6.4.4).
        names.common.clear();
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
    pub(in crate::front) fn has(&self, wanted: &str) -> bool {
        let at = wanted.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.common.iter().any(|name| name == wanted)
            || self.dns.iter().any(|name| name.eq_ignore_ascii_case(wanted))
            || at.is_some_and(|at| self.addresses.contains(&at))
    }
}

#[cfg(test)]
impl Names {
    /// Those of a certificate that never was.
    pub(in crate::front) fn made_up(dns: &[&str]) -> Self {
        Self { dns: dns.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
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

const NAMES_SAID_MAX: usize = 8;
