//! What an administrator is told about the webhook, the text gateway, codes by mail, and the mail server.

use super::*;

use vestibule::mail::Security as MailSecurity;
use vestibule::provider::webhook::Send;

/// `SMALL` with one more provider of these keys, which the policy uses by this method.
fn carried(method: &str, keys: &str) -> String {
    let text = with(
        "methods = [{ push = \"duo\" }, { oath = \"tokens\" }]",
        &format!("methods = [{{ push = \"duo\" }}, {{ {method} = \"more\" }}, {{ oath = \"tokens\" }}]"),
    );
    text.replace("[policy.vpn]", &format!("[provider.more]\n{keys}\n[policy.vpn]"))
}

const WEBHOOK: &str = "kind = \"webhook\"\nurl = \"https://bridge.example/v1/\"\nkey = { file = \"secrets/bridge-key\" }";
const SMS: &str = "kind = \"sms-gateway\"\nurl = \"https://sms.example/send\"\nbody = '{\"to\":\"{phone}\",\"text\":\"{text}\"}'\ncountries = [\"DE\"]";
const MAIL: &str = "[mail]\nserver = \"smtps://smtp.corp.example\"\nfrom = \"mfa@corp.example\"";

fn letters(mail: &str) -> String {
    carried("email", &format!("kind = \"email\"\n{mail}"))
}

/// Each change of a good provider, and what is told of it.
fn refused(method: &str, good: &str, cases: &[(&str, &str, &str)]) {
    let etc = Etc::new();
    assert_eq!(etc.warned(&carried(method, good)), [] as [&str; 0]);
    for (line, other, part) in cases {
        assert_eq!(good.matches(line).count(), 1, "{line}");
        let told = etc.told(&carried(method, &good.replace(line, other)));
        assert!(told.iter().any(|told| told.contains(part)), "{other}: {told:?}");
    }
}

#[test]
fn a_webhook_sends_nothing_of_a_person_that_is_not_opted_in() {
    let etc = Etc::new();
    let sent = |keys: &str| match &etc.load(&carried("call", keys)).unwrap().providers[1] {
        ProviderSettings::Webhook(settings) => (settings.url.clone(), settings.send, settings.timeout),
        other => panic!("{other:?}"),
    };
    assert_eq!(sent(WEBHOOK), ("https://bridge.example/v1".to_owned(), Send::default(), Duration::from_secs(5)));
    let all = format!("{WEBHOOK}\nsend = [\"name\", \"email\", \"phone\", \"source\"]");
    assert_eq!(sent(&all).1, Send { name: true, email: true, phone: true, source: true });
}

#[test]
fn m_13_what_is_wrong_with_a_webhook_is_told() {
    let key = "{ file = \"secrets/bridge-key\" }";
    refused(
        "push",
        WEBHOOK,
        &[
            (key, "{ file = \"secrets/duo-key\" }", "provider.more.key: is shorter than 32 bytes"),
            (key, &format!("{key}\nsecond_key = {{ file = \"secrets/duo-key\" }}"), "provider.more.second_key: is shorter than 32 bytes"),
            (key, &format!("{key}\nsend = [\"mail\"]"), "did you mean `email`?"),
            ("https://bridge", "http://bridge", "http:// is for loopback addresses alone"),
            ("https://bridge", "ftp://bridge", "http:// is for loopback addresses alone"),
            ("v1/", "v1/?a=b", "is not the URL of a service"),
            ("https://", "https://me:pw@", "is not the URL of a service"),
            ("url", "host", "provider.more.url: is missing"),
        ],
    );
}

#[test]
fn m_28_what_is_wrong_with_a_gateway_is_told() {
    let countries = "countries = [\"DE\"]";
    refused(
        "text",
        SMS,
        &[
            (countries, "", "provider.more.countries: is missing"),
            (countries, "countries = []", "nobody could be reached"),
            (countries, "countries = [\"+49\"]", "is no country"),
            (countries, "countries = [\"XQ\"]", "is no country"),
            ("https://sms", "http://sms", "http:// is for loopback addresses alone"),
            ("https://sms.example/send", "https://sms.example/{text}", "behind the `?` alone"),
            ("\"{phone}\"", "{phone}", "between quotes"),
            ("{text}", "{txt}", "is no slot"),
            ("{text}", "{text} {key}", "provider.more.key: is missing"),
            (countries, &format!("{countries}\nkey = {{ file = \"secrets/sms-key\" }}"), "goes nowhere"),
            (countries, &format!("{countries}\ntext = \"no code\""), "must hold {code}"),
            (countries, &format!("{countries}\ndigits = 5"), "6 to 8"),
            (countries, &format!("{countries}\nday_max = 0"), "1 to 1000"),
            (countries, &format!("{countries}\nsuccess = {{ body = \"(\" }}"), "is no regular expression"),
            (countries, &format!("{countries}\nsuccess = {{ status = [302] }}"), "200 to 299"),
            (countries, &format!("{countries}\nheaders = {{ Host = \"x\" }}"), "ours to write"),
        ],
    );
    assert!(only(&Etc::new().told(&carried("push", SMS))).contains("it cannot do push"));
}

#[test]
fn codes_by_mail_need_a_mail_server_and_keep_out_of_subjects() {
    let etc = Etc::new();
    assert_eq!(etc.warned(&letters(MAIL)), [] as [&str; 0]);
    assert!(only(&etc.told(&letters(""))).contains("provider.more: sends mail, and there is no mail server"));
    let shown = etc.told(&letters(&format!("subject = \"{{code}}\"\n{MAIL}")));
    assert!(only(&shown).contains("a code never stands in a subject"), "{shown:?}");
    for (subject, fine) in [("a\\nBcc: b@corp.example".to_owned(), false), ("s".repeat(201), false), ("s".repeat(200), true)] {
        let told = etc.told(&letters(&format!("subject = \"{subject}\"\n{MAIL}")));
        assert_eq!(told.iter().filter(|told| told.contains("subject: ")).count(), usize::from(!fine), "{subject}: {told:?}");
    }
}

#[test]
fn what_is_wrong_with_the_mail_server_is_told() {
    let etc = Etc::new();
    let server = "smtps://smtp.corp.example";
    for (line, other, part) in [
        (server, "smtp.corp.example", "is not the URL of a mail server"),
        (server, "http://smtp.corp.example", "is not the URL of a mail server"),
        (server, "smtp://me:pw@smtp.corp.example", "more or less than a server and a port"),
        (server, "smtp://smtp.corp.example/x", "more or less than a server and a port"),
        (server, "smtp+plain://smtp.corp.example", "is for loopback addresses alone"),
        ("mfa@corp.example\"", "mfa\"", "mail.from: \"mfa\" is no mail address"),
        ("mfa@corp.example\"", "mfa@corp.example\"\nuser = \"mfa\"", "mail.password: is missing"),
        ("mfa@corp.example\"", "mfa@corp.example\"\npassword = { file = \"secrets/duo-key\" }", "goes nowhere without a name"),
        ("mfa@corp.example\"", "mfa@corp.example\"\nalerts = [\"Security <s@corp.example>\"]", "mail.alerts[0]"),
        ("mfa@corp.example\"", "mfa@corp.example\"\ntimeout = \"0s\"", "mail.timeout"),
    ] {
        let told = etc.told(&letters(&MAIL.replace(line, other)));
        assert!(only(&told).contains(part), "{other}: {told:?}");
    }
}

#[test]
fn a_mail_server_is_reached_by_tls_and_at_the_usual_port() {
    let etc = Etc::new();
    let reached = |server: &str| {
        let mail = etc.load(&letters(&MAIL.replace("smtps://smtp.corp.example", server))).unwrap().mail.unwrap().settings;
        (mail.host, mail.port, mail.security)
    };
    assert_eq!(reached("smtp://smtp.corp.example"), ("smtp.corp.example".to_owned(), 587, MailSecurity::StartTls));
    assert_eq!(reached("smtp://127.0.0.1:25"), ("127.0.0.1".to_owned(), 25, MailSecurity::StartTls));
    assert_eq!(reached("smtps://smtp.corp.example"), ("smtp.corp.example".to_owned(), 465, MailSecurity::Tls));
    assert_eq!(reached("smtp+plain://[::1]"), ("::1".to_owned(), 25, MailSecurity::Plain));
}
