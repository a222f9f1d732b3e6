//! Certificates and keys, checked when the configuration is read and not when the first client comes.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

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
    let refused = |error: rustls::Error| match error {
        rustls::Error::InconsistentKeys(_) => key.error(&format!("does not belong to the certificate in {}", path.display()), None),
        rustls::Error::InvalidCertificate(_) => cert_file.error(&format!("{}: {error}", path.display()), None),
        error => key.error(&format!("cannot be used: {error}"), None),
    };
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(identity.chain, identity.private))
        .map_err(refused)
        .map(Arc::new)
        .ok()
}

/// Notes what is wrong with `path` as a file of certificate authorities.
pub(super) fn check_authorities(value: &Value<'_>, path: &Path) {
    let mut roots = RootCertStore::empty();
    let found = certificates(value, path).unwrap_or_default();
    if let Some(error) = found.into_iter().find_map(|certificate| roots.add(certificate).err()) {
        value.error(&format!("{}: {error}", path.display()), None);
    }
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
