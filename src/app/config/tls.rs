//! Certificates and keys, checked when the configuration is read and not when the first client comes.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::danger::ClientCertVerifier;

use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::front::certificate;
use crate::front::certificate::TlsError;
use crate::front::radius::MutualTls;

use super::Certificate;
use super::reader::Section;
use super::reader::Value;
use super::secret::Origin;
use super::secret::Sources;
use super::secret::read;

/// What a TLS listener presents.
#[derive(Debug)]
pub(super) struct Identity {
    /// The certificate and those between it and its authority.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The key of the first of them.
    pub(super) private: PrivateKeyDer<'static>,
}

/// `cert_file` and `key` of a section: the certificate and its key, and where they stand.
pub(super) fn identity<'a>(section: &Section<'a>, sources: &Sources) -> Option<(Identity, Value<'a>, PathBuf, Value<'a>)> {
    let cert_file = section.need("cert_file", "\"/etc/vestibule/tls.pem\"");
    let path = cert_file.as_ref().and_then(|value| sources.path(value));
    let key = section.need("key", "{ credential = \"tls-key\" }");
    // Both are looked at before either may be the reason to give up.
    let chain = cert_file.as_ref().zip(path.as_ref()).and_then(|(value, path)| certificates(value, path));
    let private = key.as_ref().and_then(|value| {
        private_key(value, &sources.secret_from(value, Origin::Given("the private key of cert_file, in PEM as it was made with the certificate"))?)
    });
    if let (Some(value), Some(path), Some(chain)) = (&cert_file, &path, &chain) {
        warn_of_age(value, path, chain, sources.now);
        note(value, path, chain, false, sources);
    }
    Some((Identity { chain: chain?, private: private? }, cert_file?, path?, key?))
}

/// Writes down what certificates there are, for whoever wants to know how long they hold.
fn note(value: &Value<'_>, path: &Path, certificates: &[CertificateDer<'_>], is_authority: bool, sources: &Sources) {
    let noted = certificates.iter().filter_map(|certificate| {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let not_after = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        Some(Certificate {
            key: value.path().to_owned(),
            file: path.to_owned(),
            subject: certificate.subject().to_string(),
            not_after: Timestamp(not_after.saturating_mul(1_000)),
            is_authority,
        })
    });
    sources.certificates.borrow_mut().extend(noted);
}

/// Of a certificate that nobody takes yet or any more, and of one that will soon be such. A server goes on with it: its doors that need none stay open.
fn warn_of_age(value: &Value<'_>, path: &Path, chain: &[CertificateDer<'_>], now: Timestamp) {
    let Some(now) = i64::try_from(now.0 / 1_000).ok() else { return };
    for certificate in chain {
        let Ok((_, certificate)) = x509_parser::parse_x509_certificate(certificate) else { continue };
        let (subject, validity) = (certificate.subject(), certificate.validity());
        let told = |what: &str| format!("{}: the certificate of {:?} {what}", path.display(), subject.to_string());
        let left = validity.not_after.timestamp().saturating_sub(now);
        match (now < validity.not_before.timestamp(), left) {
            (true, _) => value
                .warn_gravely(&told(&format!("is not valid before {}", validity.not_before)), Some("look at the clock of this machine, or at the certificate")),
            (false, ..=0) => value.warn_gravely(
                &told(&format!("has expired: {}", validity.not_after)),
                Some("have it renewed, then reload: nobody who checks it connects any more"),
            ),
            (false, ..MONTH_S) => value.warn(&told(&format!("expires in {} days", left / DAY_S)), Some("have it renewed, then reload")),
            _ => {}
        }
    }
}

const DAY_S: i64 = 86_400;
const MONTH_S: i64 = 30 * DAY_S;

/// A private key; notes why it is none.
fn private_key(key: &Value<'_>, pem: &Secret) -> Option<PrivateKeyDer<'static>> {
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

/// The same, where clients may show certificates, or, where those are `required`, must; and who looks at them.
pub(super) fn server_with_clients(
    identity: Identity,
    trust: Trust<'_>,
    required: bool,
    cert_file: &Value<'_>,
    path: &Path,
    key: &Value<'_>,
) -> Option<(Arc<ServerConfig>, Arc<dyn ClientCertVerifier>)> {
    let (revocations, crl_file) = trust.revocations.unzip();
    certificate::verifier(trust.roots, revocations.unwrap_or_default(), required)
        .and_then(|verifier| Ok((Arc::new(certificate::server(identity.chain, identity.private, Arc::clone(&verifier))?), verifier)))
        .map_err(|error| told(&error, crl_file.as_ref(), cert_file, path, key))
        .ok()
}

/// Whose certificates the clients of a listener show.
#[derive(Debug)]
pub(super) struct Trust<'a> {
    /// Who vouches for them.
    roots: RootCertStore,
    /// What was taken back, and where that stands.
    revocations: Option<(Vec<CertificateRevocationListDer<'static>>, Value<'a>)>,
}

/// `client_ca_file`, handed in, and `client_crl_file` of a section.
pub(super) fn trust<'a>(section: &Section<'a>, sources: &Sources, authorities_file: Option<&Value<'a>>) -> Option<Trust<'a>> {
    let roots = authorities_file.and_then(|value| authorities(value, sources));
    let crl_file = section.find("client_crl_file");
    let revoked = crl_file.as_ref().map(|value| revocations(value, &sources.path(value)?));
    let revocations = match revoked {
        Some(lists) => Some(lists?).zip(crl_file),
        None => None,
    };
    Some(Trust { roots: roots?, revocations })
}

/// TLS with `identity` for RADIUS, where both sides show certificates.
pub(super) fn mutual(identity: Identity, trust: Trust<'_>, cert_file: &Value<'_>, path: &Path, key: &Value<'_>) -> Option<MutualTls> {
    let (revocations, crl_file) = trust.revocations.unzip();
    MutualTls::new(identity.chain, identity.private, trust.roots, revocations.unwrap_or_default())
        .map_err(|error| told(&error, crl_file.as_ref(), cert_file, path, key))
        .ok()
}

/// Why there is no TLS with certificates of clients, at the key that it lies in.
fn told(error: &TlsError, crl_file: Option<&Value<'_>>, cert_file: &Value<'_>, path: &Path, key: &Value<'_>) {
    match error {
        TlsError::Authorities(error) => cert_file
            .error(&format!("the authorities of the clients cannot be used: {error}"), Some("put the certificates of authorities into client_ca_file, in PEM")),
        TlsError::Identity(error) => refused(error, cert_file, path, key),
        TlsError::Revocations => {
            let none = "names no list of revoked certificates that can be read";
            crl_file.unwrap_or(cert_file).error(none, Some("expected PEM: -----BEGIN X509 CRL-----, or DER"));
        }
    }
}

/// The lists of revoked certificates in `path`: in PEM, or one in DER, as many authorities publish it.
fn revocations(value: &Value<'_>, path: &Path) -> Option<Vec<CertificateRevocationListDer<'static>>> {
    let bytes = read(path).map_err(|error| value.error(&format!("{} cannot be read: {error}", path.display()), None)).ok()?;
    match CertificateRevocationListDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(lists) if !lists.is_empty() => Some(lists),
        Ok(_) => Some(vec![CertificateRevocationListDer::from(bytes.to_vec())]),
        Err(error) => {
            value.error(&format!("{} is no PEM: {error}", path.display()), None);
            None
        }
    }
}

fn refused(error: &rustls::Error, cert_file: &Value<'_>, path: &Path, key: &Value<'_>) {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            key.error(&format!("does not belong to the certificate in {}", path.display()), Some("give the key that this certificate was made for"));
        }
        rustls::Error::InvalidCertificate(_) => {
            cert_file.error(&format!("{}: {error}", path.display()), Some("ask whoever made the certificate for another one"));
        }
        error => key.error(&format!("cannot be used: {error}"), Some("use a key of RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519")),
    }
}

/// The certificate authorities in the file that is named.
pub(super) fn authorities(value: &Value<'_>, sources: &Sources) -> Option<RootCertStore> {
    let path = &sources.path(value)?;
    let mut roots = RootCertStore::empty();
    let found = certificates(value, path)?;
    note(value, path, &found, true, sources);
    for certificate in found {
        if let Err(error) = roots.add(certificate) {
            value.error(&format!("{}: {error}", path.display()), Some("leave certificates of authorities in it, and nothing else"));
            return None;
        }
    }
    Some(roots)
}

/// The certificates in `path`, at least one; notes why there is none.
fn certificates(value: &Value<'_>, path: &Path) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = read(path)
        .map_err(|error| value.error(&format!("{} cannot be read: {error}", path.display()), Some("look at the path, and whether our user may read it")))
        .ok()?;
    match CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>() {
        Ok(found) if !found.is_empty() => return Some(found),
        Ok(_) => value.error(&format!("{} holds no certificate", path.display()), Some("expected PEM: -----BEGIN CERTIFICATE-----")),
        Err(error) => value.error(&format!("{} is no PEM: {error}", path.display()), Some("expected PEM: -----BEGIN CERTIFICATE-----")),
    }
    None
}
