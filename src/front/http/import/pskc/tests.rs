//! Key files: the values of RFC 6030's figures, and what no file may do.

use super::*;

/// RFC 6030 §6.1, figure 6: under this key.
const SHARED: &str = "12345678901234567890123456789012";

fn shared() -> Unlock {
    Unlock { key: seeds::hex(SHARED), password: None }
}

fn package(secret: &str) -> String {
    format!(
        r#"<pskc:KeyPackage><pskc:DeviceInfo><pskc:Manufacturer>A &amp; B</pskc:Manufacturer><pskc:SerialNo>987654321</pskc:SerialNo></pskc:DeviceInfo>
<pskc:Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><pskc:Issuer>Issuer</pskc:Issuer>
<pskc:AlgorithmParameters><pskc:ResponseFormat Length="8" Encoding="DECIMAL"/></pskc:AlgorithmParameters>
<pskc:Data><pskc:Secret>{secret}</pskc:Secret><pskc:Counter><pskc:PlainValue>7</pskc:PlainValue></pskc:Counter></pskc:Data></pskc:Key></pskc:KeyPackage>"#
    )
}

fn container(head: &str, packages: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<pskc:KeyContainer Version=\"1.0\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\">{head}\n{packages}</pskc:KeyContainer>\n"
    )
}

fn sealed(cipher: &str, mac: &str) -> String {
    format!(
        r#"<pskc:EncryptedValue><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><xenc:CipherData><xenc:CipherValue>
{cipher}
</xenc:CipherValue></xenc:CipherData></pskc:EncryptedValue><pskc:ValueMAC>{mac}</pskc:ValueMAC>"#
    )
}

fn mac_method(cipher: &str) -> String {
    format!(
        r#"<pskc:MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><pskc:MACKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
<xenc:CipherData><xenc:CipherValue>{cipher}</xenc:CipherValue></xenc:CipherData></pskc:MACKey></pskc:MACMethod>"#
    )
}

fn figure_6() -> String {
    let head = format!(
        "<pskc:EncryptionKey><ds:KeyName>Pre-shared-key</ds:KeyName></pskc:EncryptionKey>{}",
        mac_method("ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX")
    );
    container(&head, &package(&sealed("AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv", "Su+NvtQfmvfJzF6bmQiJqoLRExc=")))
}

fn figure_7() -> String {
    let head = format!(
        r#"<pskc:EncryptionKey><xenc11:DerivedKey><xenc11:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#pbkdf2">
<pkcs5:PBKDF2-params><Salt><Specified>Ej7/PEpyEpw=</Specified></Salt><IterationCount>1000</IterationCount><KeyLength>16</KeyLength><PRF/></pkcs5:PBKDF2-params>
</xenc11:KeyDerivationMethod></xenc11:DerivedKey></pskc:EncryptionKey>{}"#,
        mac_method("2GTTnLwM3I4e5IO5FkufoOEiOhNj91fhKRQBtBJYluUDsPOLTfUvoU2dStyOwYZx")
    );
    container(&head, &package(&sealed("oTvo+S22nsmS2Z/RtcoF8Hfh+jzMe0RkiafpoDpnoZTjPYZu6V+A4aEn032yCr4f", "LP6xMvjtypbfT9PdkJhBZ+D6O4w=")))
}

fn only(text: &str, unlock: &Unlock) -> Result<Found, Vec<Wrong>> {
    let mut found = read(text, unlock)?;
    assert_eq!(found.len(), 1);
    Ok(found.remove(0))
}

#[test]
fn a_plain_file_is_read() {
    let text = container("", &package("<pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue>"));
    let found = only(&text, &Unlock::default()).unwrap();
    assert_eq!((found.serial.as_str(), found.kind, found.digits, found.next_step), ("987654321", TokenKind::Hotp, 8, 7));
    assert_eq!(found.seed, Secret::from("12345678901234567890"));
    assert_eq!(found.line, 3);
}

#[test]
fn rfc_6030_figure_6_opens_under_its_shared_key_alone() {
    assert_eq!(only(&figure_6(), &shared()).unwrap().seed, Secret::from("12345678901234567890"));
    let other = Unlock { key: seeds::hex("12345678901234567890123456789013"), password: None };
    assert!(only(&figure_6(), &other).is_err());
    let long = Unlock { key: Some(Secret::new(vec![1; 32])), password: None };
    assert!(only(&figure_6(), &long).is_err());
    let error = only(&figure_6(), &Unlock::default()).unwrap_err();
    assert!(error[0].1.contains("--key-file"), "{error:?}");
}

#[test]
fn rfc_6030_figure_7_opens_under_its_password_alone() {
    let unlock = |password: &str| Unlock { key: None, password: Some(Secret::from(password)) };
    assert_eq!(only(&figure_7(), &unlock("qwerty")).unwrap().seed, Secret::from("12345678901234567890"));
    assert!(only(&figure_7(), &unlock("qwertz")).is_err());
    let error = only(&figure_7(), &Unlock::default()).unwrap_err();
    assert!(error[0].1.contains("--password-file"), "{error:?}");
    let endless = figure_7().replace("<IterationCount>1000<", "<IterationCount>4000000000<");
    assert!(only(&endless, &unlock("qwerty")).unwrap_err()[0].1.contains("rounds"));
}

#[test]
fn what_was_changed_or_has_no_mac_is_not_taken() {
    let changed = figure_6().replace("AAECAwQFBgcICQoLDA0OD+cI", "AAECAwQFBgcICQoLDA0OD+cJ");
    assert!(only(&changed, &shared()).unwrap_err()[0].1.contains("MAC is wrong"));
    let bare = figure_6().replace("<pskc:ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=</pskc:ValueMAC>", "");
    assert!(only(&bare, &shared()).unwrap_err()[0].1.contains("no MAC"));
    let strange = figure_6().replace("hmac-sha1", "hmac-md5");
    assert!(only(&strange, &shared()).unwrap_err()[0].1.contains("not known"));
}

#[test]
fn no_document_types_no_entities_no_depth_no_halves() {
    let plain = container("", &package("<pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue>"));
    let typed = plain.replace("<?xml version=\"1.0\"?>", "<!DOCTYPE x [<!ENTITY a \"aaaa\">]>");
    assert!(read(&typed, &Unlock::default()).unwrap_err()[0].1.contains("document type"));
    let entity = plain.replace("&amp;", "&a;");
    assert!(read(&entity, &Unlock::default()).unwrap_err()[0].1.contains("entity"));
    let deep = container("", &"<a>".repeat(40));
    assert!(read(&deep, &Unlock::default()).unwrap_err()[0].1.contains("deeply"));
    for cut in [0, 10, 100, plain.len() / 2, plain.len() - 20] {
        assert!(read(&plain[..cut], &Unlock::default()).is_err(), "{cut}");
    }
    for text in ["", "<html/>", "<KeyContainer/>", "</KeyContainer>"] {
        assert!(read(text, &Unlock::default()).is_err(), "{text}");
    }
}

#[test]
fn every_wrong_key_is_told_with_its_line_and_no_secret() {
    let good = package("<pskc:PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</pskc:PlainValue>");
    let short = package("<pskc:PlainValue>MTIz</pskc:PlainValue>");
    let ocra = good.replace("pskc:hotp", "pskc:ocra");
    let hexadecimal = good.replace("DECIMAL", "HEXADECIMAL");
    let wrong = read(&container("", &format!("{good}\n{short}\n{ocra}\n{hexadecimal}")), &Unlock::default()).unwrap_err();
    assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [7, 11, 15], "{wrong:?}");
    assert!(!wrong.iter().any(|(_, error)| error.contains("MTIz")));
}
