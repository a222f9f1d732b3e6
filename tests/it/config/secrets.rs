//! Tests of what the configuration points to: secrets, certificates, keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use vestibule::app::config::Config;
use vestibule::domain::Secret;

use super::Etc;
use super::SMALL;
use super::only;
use super::with;

#[test]
fn o_03_a_secret_file_that_others_can_read_or_write_is_refused() {
    let etc = Etc::new();
    let path = etc.path("secrets/fortigate");
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let told = etc.told(SMALL);
        assert!(only(&told).contains("radius.client[0].secret.file") && only(&told).contains("chmod 600"), "{mode:o}: {told:?}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(etc.told(SMALL), Vec::<String>::new());
}

#[test]
fn o_03_a_secret_file_of_another_user_is_refused() {
    // Only root can give a file away; the rule itself is tested where it stands, for everybody.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let etc = Etc::new();
    std::os::unix::fs::chown(etc.path("secrets/fortigate"), Some(65_534), None).unwrap();
    let told = etc.told(SMALL);
    assert!(only(&told).contains("belongs to another user (uid 65534)") && only(&told).contains("chown 0 "), "{told:?}");
}

/// As a package is installed: the service has a user of its own, whose secrets are its own, and `check` is typed by root.
#[test]
fn o_03_root_takes_a_secret_file_of_the_user_that_serves_and_nobody_elses() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let etc = Etc::new();
    let secret = etc.path("secrets/fortigate");
    let give = |path: &std::path::Path, uid| std::os::unix::fs::chown(path, Some(uid), None).unwrap();
    fs::create_dir_all(etc.path("data")).unwrap();
    give(&etc.path("data"), 65_534);
    give(&secret, 65_534);
    assert_eq!(etc.told(SMALL), Vec::<String>::new());
    give(&secret, 65_533);
    assert!(only(&etc.told(SMALL)).contains("belongs to another user (uid 65533)"));
    give(&secret, 65_534);
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(only(&etc.told(SMALL)).contains("chmod 600"), "what others can read is refused whoever it belongs to");
}

#[test]
fn a_certificate_and_a_key_that_are_both_away_are_both_told() {
    let etc = Etc::new();
    fs::remove_file(etc.path("tls.pem")).unwrap();
    fs::remove_file(etc.path("secrets/tls-key")).unwrap();
    let told = etc.told(SMALL).join("\n");
    assert!(
        told.contains("ldap.listen[0].cert_file: tls.pem cannot be read") && told.contains("ldap.listen[0].key.file: secrets/tls-key cannot be read"),
        "{told}"
    );
}

#[test]
fn systemd_decides_who_reads_its_credentials() {
    let etc = Etc::new();
    fs::set_permissions(etc.path("secrets/fortigate"), fs::Permissions::from_mode(0o440)).unwrap();
    let text = with("{ file = \"secrets/fortigate\" }", "{ credential = \"fortigate\" }");
    assert_eq!(etc.load(&text).unwrap().radius_clients[0].secret, Secret::from("fortigate-5f0c1d7e9a2b"));
}

#[test]
fn a_credential_is_a_name_and_no_way_out_of_its_folder() {
    let etc = Etc::new();
    let told = etc.told(&with("{ file = \"secrets/fortigate\" }", "{ credential = \"../tls.pem\" }"));
    assert!(only(&told).contains("is not a name"), "{told:?}");
}

#[test]
fn a_credential_without_systemd_tells_what_to_type() {
    let etc = Etc::new();
    let path = etc.path("vestibule.toml");
    fs::write(&path, with("{ file = \"secrets/fortigate\" }", "{ credential = \"fortigate\" }")).unwrap();
    let problems = Config::load_with(&path, None).unwrap_err();
    assert!(problems[0].message.contains("CREDENTIALS_DIRECTORY") && problems[0].hint.is_some(), "{problems:?}");
}

#[test]
fn r_022_no_secret_and_an_empty_one_are_refused() {
    let etc = Etc::new();
    for empty in ["", "\n", "\r\n"] {
        etc.secret("fortigate", empty);
        assert!(only(&etc.told(SMALL)).ends_with("radius.client[0].secret.file: the secret is empty (make one: openssl rand -hex 32 > FILE)"));
    }
    fs::remove_file(etc.path("secrets/fortigate")).unwrap();
    let told = etc.told(SMALL);
    assert!(only(&told).contains("secrets/fortigate cannot be read") && only(&told).contains("make it: install -m 600"), "{told:?}");
}

#[test]
fn r_023_a_short_shared_secret_is_warned_of_with_a_better_one_to_make() {
    let etc = Etc::new();
    etc.secret("fortigate", "twelve-bytes\n");
    let warned = etc.warned(SMALL);
    assert!(only(&warned).contains("radius.client[0].secret: has 12 bytes") && only(&warned).contains("openssl rand"), "{warned:?}");
    etc.secret("fortigate", "thirteenbytes\n");
    assert_eq!(etc.warned(SMALL), Vec::<String>::new());
}

#[test]
fn a_secret_in_the_file_is_refused_with_both_ways_to_hand_it_over() {
    let etc = Etc::new();
    for (line, key) in [
        ("{ file = \"secrets/fortigate\" }", "radius.client[0].secret"),
        ("{ file = \"secrets/corp-bind\" }", "directory.corp.bind_password"),
        ("{ file = \"secrets/duo-key\" }", "provider.duo.key"),
        ("{ file = \"secrets/master-key\" }", "node.master_key"),
        ("{ file = \"secrets/tls-key\" }", "ldap.listen[0].key"),
    ] {
        let told = etc.told(&with(line, "\"correct horse\""));
        let told = only(&told);
        assert!(told.contains(key) && told.contains("{ file = ") && told.contains("{ credential = ") && !told.contains("horse"), "{told}");
    }
}

#[test]
fn a_master_key_is_64_hexadecimal_digits() {
    let etc = Etc::new();
    for bad in ["0".repeat(63), "0".repeat(65), "g".repeat(64), "0".repeat(128), "+1".repeat(32)] {
        etc.secret("master-key", &bad);
        assert!(only(&etc.told(SMALL)).contains("node.master_key: the master key is not 64 hexadecimal digits"), "{bad}");
    }
}

#[test]
fn a_key_that_is_not_the_certificates_and_pem_that_is_none_are_told_at_load() {
    let etc = Etc::new();
    let other = rcgen::generate_simple_self_signed(["mfa1.corp.example".to_owned()]).unwrap();
    etc.secret("tls-key", &other.signing_key.serialize_pem());
    assert!(only(&etc.told(SMALL)).contains("ldap.listen[0].key: does not belong to the certificate in tls.pem"));
    etc.secret("tls-key", "not a key");
    assert!(only(&etc.told(SMALL)).contains("expected -----BEGIN PRIVATE KEY-----"));
    etc.secret("tls-key", &other.signing_key.serialize_pem());
    fs::write(etc.path("tls.pem"), "nothing").unwrap();
    assert!(only(&etc.told(SMALL)).contains("ldap.listen[0].cert_file: tls.pem holds no certificate"));
    fs::write(etc.path("tls.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(only(&etc.told(SMALL)).contains("ldap.listen[0].cert_file: tls.pem:"));
    fs::remove_file(etc.path("tls.pem")).unwrap();
    assert!(only(&etc.told(SMALL)).contains("ldap.listen[0].cert_file: tls.pem cannot be read"));
}

#[test]
fn authorities_that_are_none_are_told_at_load() {
    let etc = Etc::new();
    let text = with("netbios = \"CORP\"", "netbios = \"CORP\"\nca_file = \"vestibule.toml\"");
    assert!(only(&etc.told(&text)).contains("directory.corp.ca_file: vestibule.toml holds no certificate"));
    fs::write(etc.path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    let text = with("netbios = \"CORP\"", "netbios = \"CORP\"\nca_file = \"broken.pem\"");
    assert!(only(&etc.told(&text)).contains("directory.corp.ca_file: broken.pem: "));
    let text = with("netbios = \"CORP\"", "netbios = \"CORP\"\nca_file = \"away.pem\"");
    assert!(only(&etc.told(&text)).contains("directory.corp.ca_file: away.pem cannot be read"));
}

/// A list that takes nothing back.
pub(super) fn revocations() -> rcgen::CertificateRevocationList {
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = rcgen::CertifiedIssuer::self_signed(authority, rcgen::KeyPair::generate().unwrap()).unwrap();
    let list = rcgen::CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2020, 1, 1),
        next_update: rcgen::date_time_ymd(2099, 1, 1),
        crl_number: rcgen::SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    list.signed_by(&authority).unwrap()
}

#[test]
fn r_110_r_111_r_112_radius_goes_over_udp_or_behind_tls_with_authorities_of_its_own_and_lists_that_can_be_read() {
    let etc = Etc::new();
    let listen = |more: &str| with("[[radius.listen]]", &format!("[[radius.listen]]\n{more}"));
    assert!(only(&etc.told(&listen("transport = \"tcp\""))).contains("radius.listen[0].transport"));
    let tls = "transport = \"tls\"\ncert_file = \"tls.pem\"\nkey = { file = \"secrets/tls-key\" }\n";
    assert!(only(&etc.told(&listen(tls))).contains("client_ca_file"), "nobody's certificate is good by itself");
    let tls = format!("{tls}client_ca_file = \"radsec-ca.pem\"\n");
    assert_eq!(etc.told(&listen(&tls)), Vec::<String>::new());

    let listed = listen(&format!("{tls}client_crl_file = \"crl.pem\""));
    assert!(only(&etc.told(&listed)).contains("radius.listen[0].client_crl_file: crl.pem cannot be read"));
    fs::write(etc.path("crl.pem"), "nothing").unwrap();
    assert!(only(&etc.told(&listed)).contains("radius.listen[0].client_crl_file: names no list of revoked certificates"));
    let list = revocations();
    for bytes in [list.pem().unwrap().into_bytes(), list.der().to_vec()] {
        fs::write(etc.path("crl.pem"), bytes).unwrap();
        assert_eq!(etc.told(&listed), Vec::<String>::new());
    }
    let plain = listen("client_crl_file = \"crl.pem\"");
    assert!(only(&etc.told(&plain)).contains("is for transport = \"tls\" alone"));
}

#[test]
fn no_secret_is_printed_with_the_configuration() {
    let config = Etc::new().load(SMALL).unwrap();
    assert!(!format!("{config:?}").contains("5f0c1d7e9a2b"));
}

#[test]
fn what_to_do_for_a_secret_fits_the_secret() {
    for (name, hint) in [
        ("fortigate", "openssl rand -hex 32 > "),
        ("master-key", "openssl rand -hex 32 > "),
        ("corp-bind", "write the password of bind_name there"),
        ("duo-key", "write the secret that you were given there"),
        ("tls-key", "write the private key of cert_file"),
    ] {
        let etc = Etc::new();
        fs::remove_file(etc.path("secrets").join(name)).unwrap();
        let told = etc.told(SMALL);
        assert!(only(&told).contains(hint) && (hint.starts_with("openssl") || !only(&told).contains("openssl")), "{name}: {told:?}");
        etc.secret(name, "");
        assert!(only(&etc.told(SMALL)).contains(hint), "empty {name}");
    }
}

#[test]
fn no_new_master_key_is_advised_where_there_is_a_store_of_the_old_one() {
    let etc = Etc::new();
    fs::create_dir_all(etc.path("data/store")).unwrap();
    for wrong in ["", "too short"] {
        etc.secret("master-key", wrong);
        assert!(only(&etc.told(SMALL)).contains("put the one back that was here"), "{wrong:?}");
    }
    fs::remove_file(etc.path("secrets/master-key")).unwrap();
    let told = etc.told(SMALL);
    assert!(only(&told).contains("put the one back that was here") && !only(&told).contains("openssl"), "{told:?}");
}

#[test]
fn of_a_data_folder_the_last_step_alone_is_made() {
    let etc = Etc::new();
    let told = etc.told(&with("data_dir = \"data\"", "data_dir = \"vra/lib/vestibule\""));
    assert!(only(&told).contains("node.data_dir: there is no folder") && only(&told).contains("vra/lib"), "{told:?}");
    assert_eq!(etc.told(SMALL), [] as [&str; 0], "beside the configuration");
}

/// Names and prompts end in logs, on screens and in packets.
#[test]
fn o_06_names_and_texts_hold_nothing_that_steers_a_terminal() {
    let etc = Etc::new();
    assert!(only(&etc.told(&with("name = \"fortigate\"", "name = \"forti gate\""))).contains("radius.client[0].name: is not a name"));
    assert!(only(&etc.told(&with("key_id = \"DIXXXXXXXXXXXXXXXXXX\"", "key_id = \"DI\\u001b[2J\""))).contains("control characters"));
    assert!(etc.told(&with("[provider.tokens]", "[provider.\"to\\u001bkens\"]")).iter().all(|told| !told.contains('\u{1b}')));
}
