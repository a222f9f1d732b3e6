//! Certificates and keys, checked when the configuration is read and not when the first client comes.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::domain::Secret;

use super::reader::Value;
use super::secret::read;

/// What a TLS listener presents.
#[derive(Debug)]
pub(super) struct Identity {
    /// The certificate and those between it and its authority.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The key of the first of them.
    pub(super) private: PrivateKeyDer<'static>,
}

/// A private key; notes why it is none.
pub(super) fn private_key(key: &Value<'_>, pem: &Secret) -> Option<PrivateKeyDer<'static>> {
    let none = |error| key.error(&format!("is no private key in PEM: {error}"), Some("expected -----BEGIN PRIVATE KEY-----"));
    PrivateKeyDer::from_pem_slice(pem.expose()).map_err(none).ok()
}

/// TLS with `identity`: at least TLS 1.2, no ALPN (L-088).
pub(super) fn server(identity: Identity, cert_file: &Value<'_>, path: &Path, key: &Value<'_>) -> Option<Arc<ServerConfig>> {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(identity.chain, identity.private))
        .map_err(|error| refused(&error, cert_file, path, key))
        .map(Arc::new)
        .ok()
}

/// TLS with `identity` for RADIUS: both sides show certificates at the first handshake, RADIUS/1.1 where the other side knows it, and nothing
/// is resumed, so that each connection is looked at anew. Also who looks at the certificates, for those that are open when the authorities change.
pub(super) fn mutual(
    identity: Identity,
    roots: RootCertStore,
    cert_file: &Value<'_>,
    path: &Path,
    key: &Value<'_>,
) -> Option<(Arc<ServerConfig>, Arc<dyn ClientCertVerifier>)> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let verifier = verifier.map_err(|error| cert_file.error(&format!("the authorities of the clients cannot be used: {error}"), None)).ok()?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let made = builder.and_then(|builder| builder.with_client_cert_verifier(Arc::clone(&verifier)).with_single_cert(identity.chain, identity.private));
    let mut config = made.map_err(|error| refused(&error, cert_file, path, key)).ok()?;
    config.alpn_protocols = vec![b"radius/1.1".to_vec(), b"radius/1.0".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Some((Arc::new(config), verifier))
}

fn refused(error: &rustls::Error, cert_file: &Value<'_>, path: &Path, key: &Value<'_>) {
    match error {
        rustls::Error::InconsistentKeys(_) => key.error(&format!("does not belong to the certificate in {}", path.display()), None),
        rustls::Error::InvalidCertificate(_) => cert_file.error(&format!("{}: {error}", path.display()), None),
        error => key.error(&format!("cannot be used: {error}"), None),
    }
}

/// The certificate authorities in `path`.
pub(super) fn authorities(value: &Value<'_>, path: &Path) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(value, path)? {
        if let Err(error) = roots.add(certificate) {
            value.error(&format!("{}: {error}", path.display()), None);
            return None;
        }
    }
    Some(roots)
}

/// The certificates in `path`, at least one; notes why there is none.
pub(super) fn certificates(value: &Value<'_>, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = read(path).map_err(|error| value.error(&format!("{} cannot be read: {error}", path.display()), None)).ok()?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => value.error(&format!("{} holds no certificate", path.display()), Some("expected PEM: -----BEGIN CERTIFICATE-----")),
        Err(error) => value.error(&format!("{} is no PEM: {error}", path.display()), None),
    }
    None
}
