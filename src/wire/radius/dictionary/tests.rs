//! The files are whole, values become the octets that the RFCs show, and nothing secret is shown.

use proptest::prelude::*;

use super::*;

fn written(name: &str, value: &str) -> Result<Vec<u8>, ValueError> {
    Dictionary::shipped().find(name).unwrap_or_else(|| panic!("no {name}")).encode(value)
}

fn shown(bytes: &[u8]) -> Vec<(String, String)> {
    Dictionary::shipped().describe(Attribute { kind: bytes[0], value: &bytes[2..] })
}

#[test]
fn every_file_is_of_our_form_and_no_name_or_number_is_there_twice() {
    let all = Dictionary::read(&FILES).unwrap();
    assert!(all.definitions.len() > 400);
    assert_eq!(all.definitions.len(), all.by_number.len());
    assert_eq!(Dictionary::shipped().definitions.len(), all.definitions.len());
}

#[test]
fn a_file_of_another_form_is_refused_with_its_line() {
    for (text, wanted) in [
        ("1 A text", "x:1: a file begins"),
        ("vendor A 0", "x:1: the vendor's number"),
        ("# head\nstandard\n0 A text", "x:3: the number"),
        ("standard\n256 A text", "x:2: the number"),
        ("standard\n1", "x:2: the name"),
        ("standard\n1 A string", "x:2: this form"),
        ("standard\n1 A text shiny", "x:2: this mark"),
        ("standard\n1 A octets tagged", "x:2: this mark"),
        ("standard\n1 A text\n2 a text", "x:3: this name"),
        ("standard\n1 A text\n2 B text also=A", "x:3: this name"),
        ("standard\n1 A text\n1 B text", "x:3: this number"),
        ("standard\n1 A text\n  B=1", "x:3: values belong"),
        ("standard\n1 A integer\n  B", "x:3: a value is"),
        ("standard\n1 A integer\n  B=1 b=2", "x:3: this value's name"),
        ("standard\n1 A integer\n  7=1", "x:3: this value's name"),
    ] {
        let error = Dictionary::read(&[("x", text)]).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{text:?}: {error}");
    }
}

#[test]
fn names_are_found_whatever_their_case() {
    let all = Dictionary::shipped();
    for (name, vendor) in [
        ("filter-id", None),
        ("CLASS", None),
        ("Cisco-AVPair", Some("Cisco")),
        ("Fortinet-Group-Name", Some("Fortinet")),
        ("PaloAlto-Admin-Role", Some("PaloAlto")),
        ("ASA-Group-Policy", Some("Cisco-ASA")),
        ("CVPN3000-Tunneling-Protocols", Some("Cisco-ASA")),
        ("Citrix-User-Groups", Some("Citrix")),
        ("Mikrotik-Group", Some("Mikrotik")),
        ("MS-Primary-DNS-Server", Some("Microsoft")),
    ] {
        assert_eq!(all.find(name).unwrap_or_else(|| panic!("no {name}")).vendor(), vendor);
    }
    assert!(all.find("Filter").is_none() && all.find("").is_none());
    assert!(all.names().any(|name| name == "Filter-Id") && all.names().all(|name| name != "User-Password"));
}

#[test]
fn values_become_octets() {
    for (name, value, octets) in [
        ("Filter-Id", "staff", &b"\x0b\x07staff"[..]),
        ("Service-Type", "administrative-user", b"\x06\x06\0\0\0\x06"),
        ("Service-Type", "NAS-Prompt", b"\x06\x06\0\0\0\x07"),
        ("Service-Type", "99", b"\x06\x06\0\0\0\x63"),
        ("Session-Timeout", "0xe10", b"\x1b\x06\0\0\x0e\x10"),
        ("Framed-IP-Address", "10.0.0.5", b"\x08\x06\x0a\0\0\x05"),
        ("Framed-IPv6-Address", "2001:db8::5", b"\xa8\x12\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x05"),
        ("Framed-IPv6-Prefix", "2001:db8::/33", b"\x61\x09\0\x21\x20\x01\x0d\xb8\0"),
        ("Framed-IPv6-Prefix", "::/0", b"\x61\x04\0\0"),
        ("Framed-Interface-Id", "0:1:ab:ffff", b"\x60\x0a\0\0\0\x01\0\xab\xff\xff"),
        ("Class", "0x00fF", b"\x19\x04\0\xff"),
        ("Class", "OU=staff;", b"\x19\x0bOU=staff;"),
        ("Cisco-AVPair", "shell:priv-lvl=15", b"\x1a\x19\0\0\0\x09\x01\x13shell:priv-lvl=15"),
        ("Fortinet-Group-Name", "vpn", b"\x1a\x0b\0\0\x30\x44\x01\x05vpn"),
        ("F5-LTM-User-Role", "Operator", b"\x1a\x0c\0\0\x0d\x2f\x01\x06\0\0\x01\x90"),
    ] {
        assert_eq!(written(name, value).as_deref(), Ok(octets), "{name} {value}");
    }
}

#[test]
fn a_tag_is_the_octet_before_the_value() {
    for (name, value, octets) in [
        ("Tunnel-Type", "VLAN", &b"\x40\x06\0\0\0\x0d"[..]),
        ("Tunnel-Type", "1:VLAN", b"\x40\x06\x01\0\0\x0d"),
        ("Tunnel-Medium-Type", "31:IEEE-802", b"\x41\x06\x1f\0\0\x06"),
        ("Tunnel-Private-Group-ID", "42", b"\x51\x0442"),
        ("Tunnel-Private-Group-ID", "1:42", b"\x51\x05\x0142"),
        ("Tunnel-Private-Group-ID", "0:1:42", b"\x51\x061:42"),
        ("Tunnel-Client-Endpoint", "fe80::1", b"\x42\x09fe80::1"),
    ] {
        assert_eq!(written(name, value).as_deref(), Ok(octets), "{name} {value}");
    }
    assert!(matches!(written("Tunnel-Private-Group-ID", "32:x"), Err(ValueError::Tag { .. })));
    assert!(matches!(written("Tunnel-Private-Group-ID", "\tx"), Err(ValueError::Control { .. })));
    assert!(matches!(written("Tunnel-Preference", "1:16777216"), Err(ValueError::Number { max: 0x00ff_ffff, .. })));
    // Else a value would lose what it has in the place of the tag.
    assert!(matches!(written("Tunnel-Preference", "0x1000000"), Err(ValueError::Number { max: 0x00ff_ffff, .. })));
}

#[test]
fn what_cannot_be_written_is_refused_with_what_can() {
    for (name, value, wanted) in [
        ("Service-Type", "Admin", "Service-Type has no such value: write one of Login-User, Framed-User"),
        ("Session-Timeout", "1h", "Session-Timeout is a number: write 0 to 4294967295"),
        ("Session-Timeout", "-1", "Session-Timeout is a number"),
        ("Session-Timeout", "+1", "Session-Timeout is a number"),
        ("Session-Timeout", "", "Session-Timeout is a number"),
        ("Framed-IP-Address", "10.0.0", "Framed-IP-Address is an IPv4 address"),
        ("DNS-Server-IPv6-Address", "10.0.0.1", "DNS-Server-IPv6-Address is an IPv6 address"),
        ("Framed-IPv6-Prefix", "2001:db8::1/32", "Framed-IPv6-Prefix is an IPv6 prefix"),
        ("Framed-IPv6-Prefix", "2001:db8::/129", "Framed-IPv6-Prefix is an IPv6 prefix"),
        ("Framed-Interface-Id", "1:2:3", "Framed-Interface-Id is an interface id"),
        ("Class", "0x123", "Class holds octets"),
        ("Class", "0xzz", "Class holds octets"),
        ("Class", "0x", "Class would be empty"),
        ("Filter-Id", "", "Filter-Id would be empty"),
        ("Filter-Id", "a\0", "Filter-Id is text"),
    ] {
        let error = written(name, value).unwrap_err().to_string();
        assert!(error.starts_with(wanted), "{name} {value:?}: {error}");
    }
}

#[test]
fn a_value_fills_one_attribute_at_most() {
    assert_eq!(written("Filter-Id", &"x".repeat(253)).unwrap().len(), 255);
    assert_eq!(written("Filter-Id", &"x".repeat(254)), Err(ValueError::TooLong { name: "Filter-Id", len: 254, max: 253 }));
    assert_eq!(written("Cisco-AVPair", &"x".repeat(247)).unwrap().len(), 255);
    assert_eq!(written("Cisco-AVPair", &"x".repeat(248)), Err(ValueError::TooLong { name: "Cisco-AVPair", len: 248, max: 247 }));
    assert_eq!(
        written("Tunnel-Assignment-Id", &format!("1:{}", "x".repeat(253))),
        Err(ValueError::TooLong { name: "Tunnel-Assignment-Id", len: 254, max: 253 })
    );
}

#[test]
fn r_071_what_is_not_an_administrators_to_set_is_refused() {
    for name in [
        "User-Password",
        "CHAP-Password",
        "CHAP-Challenge",
        "State",
        "Proxy-State",
        "Reply-Message",
        "Message-Authenticator",
        "EAP-Message",
        "Vendor-Specific",
        "Tunnel-Password",
        "NAS-IP-Address",
        "Acct-Session-Id",
        "MS-CHAP-Response",
        "MS-CHAP2-Response",
        "MS-CHAP2-Success",
        "MS-CHAP-Error",
        "MS-CHAP-MPPE-Keys",
        "MS-MPPE-Send-Key",
        "MS-MPPE-Recv-Key",
    ] {
        assert!(!Dictionary::shipped().find(name).unwrap().may_be_reply(), "{name}");
        assert!(matches!(written(name, "1"), Err(ValueError::Hidden { .. } | ValueError::Ours { .. } | ValueError::Request { .. })), "{name}");
    }
}

#[test]
fn attributes_are_shown_by_name() {
    for (bytes, name, value) in [
        (&b"\x06\x06\0\0\0\x06"[..], "Service-Type", "Administrative-User"),
        (b"\x06\x06\0\0\0\x63", "Service-Type", "99"),
        (b"\x06\x05\0\0\0", "Service-Type", "(3 octets)"),
        (b"\x0b\x07sta\x1bf", "Filter-Id", r"sta\u{1b}f"),
        (b"\x0b\x03\xff", "Filter-Id", "(1 octets)"),
        (b"\x19\x04\0\xff", "Class", "0x00ff"),
        (b"\x19\x05a b", "Class", "a b"),
        (b"\x37\x06\0\0\0\0", "Event-Timestamp", "1970-01-01T00:00:00Z"),
        (b"\x40\x06\x01\0\0\x0d", "Tunnel-Type", "1:VLAN"),
        (b"\x40\x06\0\0\0\x0d", "Tunnel-Type", "VLAN"),
        (b"\x51\x05\x0142", "Tunnel-Private-Group-Id", "1:42"),
        (b"\x51\x0442", "Tunnel-Private-Group-Id", "42"),
        (b"\x61\x09\0\x21\x20\x01\x0d\xb8\0", "Framed-IPv6-Prefix", "2001:db8::/33"),
        (b"\x61\x04\0\x81", "Framed-IPv6-Prefix", "(2 octets)"),
        (b"\x60\x0a\0\0\0\x01\0\xab\xff\xff", "Framed-Interface-Id", "0:1:ab:ffff"),
        (b"\x1a\x0b\0\0\x30\x44\x01\x05vpn", "Fortinet-Group-Name", "vpn"),
        (b"\x1a\x0b\0\0\x30\x44\xee\x05vpn", "Attr-26.12356.238", "(3 octets)"),
        (b"\x1a\x0b\0\0\x30\x44\x01\x06vpn", "Vendor-Specific", "(9 octets)"),
        (b"\xee\x05vpn", "Attr-238", "(3 octets)"),
        (b"\xf1\x05\x07pn", "Attr-241.7", "(2 octets)"),
    ] {
        assert_eq!(shown(bytes), [(name.to_owned(), value.to_owned())], "{bytes:?}");
    }
    let two = shown(b"\x1a\x0e\0\0\x30\x44\x01\x04hr\x06\x04ro");
    assert_eq!(two, [("Fortinet-Group-Name".into(), "hr".into()), ("Fortinet-Access-Profile".into(), "ro".into())]);
}

#[test]
fn secrets_are_never_shown() {
    for definition in Dictionary::shipped().definitions.iter() {
        let lower = definition.name().to_lowercase();
        let sounds_secret =
            ["password", "passphrase", "-psk", "mppe-send", "mppe-recv", "mppe-keys", "enc-key", "mpkey", "chap-response", "chap2-response", "-cpw"];
        if sounds_secret.iter().any(|part| lower.contains(part)) && !["password-retry"].contains(&lower.as_str()) {
            assert_eq!(definition.show(b"hunter2"), "(not shown)", "{lower}");
        }
    }
    for kind in [attr::USER_PASSWORD, attr::CHAP_PASSWORD, attr::CHAP_CHALLENGE, attr::STATE, attr::EAP_MESSAGE, attr::MESSAGE_AUTHENTICATOR] {
        assert_eq!(Dictionary::shipped().describe(Attribute { kind, value: b"hunter2" })[0].1, "(not shown)", "{kind}");
    }
}

proptest! {
    #[test]
    fn any_attribute_can_be_shown(kind in any::<u8>(), value in proptest::collection::vec(any::<u8>(), 0..=253)) {
        for (name, shown) in Dictionary::shipped().describe(Attribute { kind, value: &value }) {
            prop_assert!(!name.is_empty() && !shown.chars().any(char::is_control));
        }
    }

    #[test]
    fn what_is_written_reads_back(value in "[ -~]{1,200}", at in any::<proptest::sample::Index>()) {
        let all = Dictionary::shipped();
        let names: Vec<_> = all.names().collect();
        let name = *at.get(&names);
        if let Ok(bytes) = all.find(name).unwrap().encode(&value) {
            prop_assert_eq!(usize::from(bytes[1]), bytes.len());
            prop_assert_eq!(&shown(&bytes)[0].0, name);
        }
    }
}

#[test]
fn r_071_of_some_a_reply_holds_one_alone_and_user_name_is_not_for_administrators() {
    let single = |name: &str| Dictionary::shipped().is_single(number_of(name));
    assert!(["Session-Timeout", "Idle-Timeout", "Framed-IP-Address", "Framed-Pool"].into_iter().all(single));
    assert!(!["Class", "Filter-Id", "Framed-Route", "Tunnel-Type"].into_iter().any(single));
    assert!(matches!(written("User-Name", "root"), Err(ValueError::Ours { name: "User-Name" })));
}

fn number_of(name: &str) -> u8 {
    Dictionary::shipped().find(name).unwrap().number
}
