//! The TLS that a listener is given, shaken hands with in memory.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::ProtocolVersion;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use vestibule::front::ldap::Transport;

use super::Etc;
use super::SMALL;
use super::with;

/// What a listener of the configuration shakes hands with.
fn listener(etc: &Etc, text: &str) -> Arc<ServerConfig> {
    match &etc.load(text).unwrap().ldap_listen[0].transport {
        Transport::Tls(config) | Transport::StartTls(config) => Arc::clone(config),
        Transport::Plain { .. } => panic!("no TLS"),
    }
}

/// Everything one side has to say, said to the other.
fn tell(from: &mut dyn FnMut(&mut Vec<u8>), to: &mut dyn FnMut(&[u8])) {
    let mut bytes = Vec::new();
    from(&mut bytes);
    to(&bytes);
}

/// Version and protocol after a handshake of a client that offers these.
fn shaken(etc: &Etc, server: &Arc<ServerConfig>, version: &'static SupportedProtocolVersion, protocols: &[&str]) -> (ProtocolVersion, Option<Vec<u8>>) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&fs::read(etc.path("tls.pem")).unwrap()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from("mfa1.corp.example").unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let before = (client.wants_write(), server.wants_write());
        assert_ne!(before, (false, false), "nobody has anything to say");
        tell(
            &mut |to| {
                while client.wants_write() {
                    client.write_tls(to).unwrap();
                }
            },
            &mut |mut from| {
                while !from.is_empty() {
                    server.read_tls(&mut from).unwrap();
                }
                server.process_new_packets().unwrap();
            },
        );
        tell(
            &mut |to| {
                while server.wants_write() {
                    server.write_tls(to).unwrap();
                }
            },
            &mut |mut from| {
                while !from.is_empty() {
                    client.read_tls(&mut from).unwrap();
                }
                client.process_new_packets().unwrap();
            },
        );
    }
    (server.protocol_version().unwrap(), server.alpn_protocol().map(<[u8]>::to_vec))
}

/// The first words of a client that knows no more than this version, and its two oldest suites.
fn hello(minor: u8) -> Vec<u8> {
    let mut inside = vec![3, minor];
    inside.extend([7; 32]);
    inside.extend([0, 0, 4, 0xc0, 0x13, 0xc0, 0x09, 1, 0]);
    let length = u8::try_from(inside.len()).unwrap();
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &inside].concat()
}

#[test]
fn l_088_a_listener_speaks_tls_1_2_and_1_3_and_is_named_no_protocol() {
    let etc = Etc::new();
    for text in [SMALL.to_owned(), with("cert_file = \"tls.pem\"\nkey", "transport = \"starttls\"\ncert_file = \"tls.pem\"\nkey")] {
        let server = listener(&etc, &text);
        assert_eq!(shaken(&etc, &server, &rustls::version::TLS12, &[]), (ProtocolVersion::TLSv1_2, None));
        assert_eq!(shaken(&etc, &server, &rustls::version::TLS13, &["http/1.1"]), (ProtocolVersion::TLSv1_3, None), "no other server is played");
        for minor in 0..=2 {
            let mut old = ServerConnection::new(Arc::clone(&server)).unwrap();
            old.read_tls(&mut hello(minor).as_slice()).unwrap();
            let refused = old.process_new_packets().unwrap_err();
            assert!(matches!(refused, rustls::Error::PeerIncompatible(_)), "3.{minor}: {refused}");
        }
    }
}

/// A certificate of its own for the listener, good between these days.
fn good_between(etc: &Etc, from: jiff::Timestamp, until: jiff::Timestamp) {
    let mut wanted = rcgen::CertificateParams::new(vec!["mfa1.corp.example".to_owned()]).unwrap();
    let date = |at: jiff::Timestamp| {
        let at = at.to_zoned(jiff::tz::TimeZone::UTC);
        rcgen::date_time_ymd(at.year().into(), at.month().try_into().unwrap(), at.day().try_into().unwrap())
    };
    (wanted.not_before, wanted.not_after) = (date(from), date(until));
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(etc.path("tls.pem"), wanted.self_signed(&key).unwrap().pem()).unwrap();
    etc.secret("tls-key", &key.serialize_pem());
}

#[test]
fn a_certificate_that_is_over_is_an_error_for_who_checks_and_a_warning_for_who_serves() {
    let etc = Etc::new();
    let now = jiff::Timestamp::now();
    let day = jiff::SignedDuration::from_hours(24);
    for (from, until, told, grave) in [
        (-900, 40, None, false),
        (-900, 20, Some("expires in 1"), false),
        (-900, -2, Some("has expired: "), true),
        (2, 900, Some("is not valid before "), true),
    ] {
        good_between(&etc, now + day * from, now + day * until);
        let warned = etc.load(SMALL).unwrap().warnings;
        assert_eq!(warned.len(), usize::from(told.is_some()), "{warned:?}");
        if let (Some(told), [warned]) = (told, warned.as_slice()) {
            assert!(warned.message.contains(told) && warned.path == "ldap.listen[0].cert_file" && warned.grave == grave, "{warned:?}");
        }
        let checked = Command::new(env!("CARGO_BIN_EXE_vestibule")).args(["check", "--offline", "--config"]).arg(etc.path("vestibule.toml")).output().unwrap();
        assert_eq!(checked.status.code(), Some(if grave { 3 } else { 0 }), "{checked:?}");
        assert!(told.is_none_or(|told| String::from_utf8_lossy(&checked.stderr).contains(told)), "{checked:?}");
    }
}
