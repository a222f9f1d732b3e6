//! Letters: nothing that is put in becomes a header or another address.

use super::*;

fn from() -> Mailbox {
    "Login <mfa@corp.example>".parse().unwrap()
}

fn written(to: &str, subject: &str, body: &str) -> Result<String, MailError> {
    letter(&from(), to, subject, body).map(|letter| String::from_utf8(letter.formatted()).unwrap())
}

#[test]
fn a_letter_is_plain_text_to_one_address() {
    let letter = written("alice@corp.example", "Ihr Schlüssel", "Your code: 123456").unwrap();
    assert!(letter.contains("To: alice@corp.example\r\n") && letter.contains("From: Login <mfa@corp.example>\r\n"), "{letter}");
    assert!(letter.contains("text/plain") && letter.contains("123456") && letter.is_ascii(), "{letter}");
}

#[test]
fn m_16_an_address_is_one_address_and_begins_no_header() {
    for to in [
        "",
        "alice",
        "alice@corp.example, mallory@evil.example",
        "alice@corp.example mallory@evil.example",
        "Alice <alice@corp.example>",
        "alice@corp.example\r\nBcc: mallory@evil.example",
        "alice@corp.example\nRCPT TO:<mallory@evil.example>",
        "alice@corp.example>\r\nRCPT TO:<mallory@evil.example",
        "alice@corp.example\0",
    ] {
        assert_eq!(written(to, "s", "b").unwrap_err(), MailError::Refused, "{to:?}");
    }
    for subject in ["a\r\nBcc: mallory@evil.example", "a\nb", "a\u{85}b"] {
        assert_eq!(written("alice@corp.example", subject, "b").unwrap_err(), MailError::Refused, "{subject:?}");
    }
}

#[test]
fn a_body_never_ends_the_headers_or_the_letter() {
    let letter = written("alice@corp.example", "s", "Bcc: mallory@evil.example\r\n.\r\nMAIL FROM:<x>").unwrap();
    let (headers, _) = letter.split_once("\r\n\r\n").unwrap();
    assert!(!headers.contains("mallory"), "{headers}");
    assert_eq!(written("alice@corp.example", "s", &"x".repeat(BODY_BYTES_MAX + 1)).unwrap_err(), MailError::Refused);
}

#[test]
fn m_14_what_one_persons_mailbox_says_is_no_outage() {
    let outage: Vec<u16> = (400..600).filter(|status| refusal(*status) == MailError::Unreachable).collect();
    assert_eq!(outage, [421]);
    assert_eq!(
        [refusal(535), refusal(530), refusal(554), refusal(550), refusal(452)],
        [MailError::Misconfigured, MailError::Misconfigured, MailError::Refused, MailError::Refused, MailError::Refused]
    );
}

#[test]
fn what_a_server_says_is_cut_before_it_is_logged() {
    assert_eq!(cut(&"ü".repeat(500)).chars().count(), 200);
}
