//! Codes by mail, through a mail server that takes letters, or refuses, hangs, lies, or cannot prove who it is.

mod alerts;
mod smtp;

use std::path::PathBuf;

use tempfile::TempDir;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::mail::Login;
use vestibule::mail::Security;
use vestibule::mail::Settings as MailSettings;
use vestibule::mail::Smtp;
use vestibule::ports::MailError;
use vestibule::ports::Mailer;
use vestibule::provider::codes::Habits;
use vestibule::provider::email::Email;
use vestibule::provider::email::Settings;
use vestibule::provider::ledger::Caps;

use self::smtp::Manner;
use self::smtp::Office;
use super::*;

const ALICE: &str = "alice.adams@corp.example";

/// A certificate authority that a mailer trusts, and what its server shows.
struct Paper {
    folder: TempDir,
    chain: rustls::pki_types::CertificateDer<'static>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
}

impl Paper {
    fn new(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        Self { folder, chain: made.cert.der().clone(), key: rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap() }
    }

    fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_no_client_auth().with_single_cert(vec![self.chain.clone()], self.key.clone_key()).unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config))
    }
}

fn mail_to(port: u16, security: Security) -> MailSettings {
    let from = "Login <mfa@corp.example>".to_owned();
    MailSettings { host: "localhost".into(), port, security, from, login: None, ca_file: None, timeout: TIMEOUT }
}

fn plain(office: &Office) -> Smtp {
    Smtp::open(&mail_to(office.port(), Security::Plain)).unwrap()
}

fn email(mailer: Smtp) -> Email {
    let habits = Habits { digits: 8, caps: Caps { day_max: 5, day_total_max: 5_000 }, text: Some("Your code: {code}".into()), texts: Arc::default() };
    Email::new(&Settings { name: "cloud".into(), subject: Some("Your login".into()), habits }, Arc::new(mailer), clock())
}

async fn started(email: &Email, asking: &Asking) -> Ticket {
    match email.start(asking).await {
        Ok(Progress::CodeNeeded { ticket: Some(ticket) }) => ticket,
        other => panic!("{other:?}"),
    }
}

/// The code in the last letter.
fn lettered(office: &Office) -> String {
    let letters = office.letters();
    let text = letters.last().unwrap().text.clone();
    let (_, code) = text.rsplit_once("Your code: ").unwrap();
    code.trim().to_owned()
}

#[tokio::test]
async fn allow() {
    let office = Office::open(Manner::Fine).await;
    let (email, asking) = (email(plain(&office)), asking(Method::Email));
    let ticket = started(&email, &asking).await;
    let letter = office.letters().remove(0);
    assert_eq!((letter.from.as_str(), letter.to), ("mfa@corp.example", vec![ALICE.to_owned()]));
    assert!(letter.text.contains("Subject: Your login\r\n") && letter.text.contains(&format!("To: {ALICE}\r\n")), "{}", letter.text);
    let code = lettered(&office);
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    assert!(!letter.text.split_once("\r\n\r\n").unwrap().0.contains(&code), "a code stands in no header");
    assert_eq!(email.verify(&asking, Some(&ticket), &Secret::from("0000000")).await, Err(FactorError::BadCode));
    assert_eq!(email.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await, ALLOWED);
    assert_eq!(email.verify(&asking, Some(&ticket), &Secret::from(code.as_str())).await, Err(FactorError::Expired), "a code is good once");
}

#[tokio::test]
async fn a_letter_is_in_the_language_of_its_reader_where_the_operator_has_none_for_everybody() {
    let office = Office::open(Manner::Fine).await;
    let habits = Habits { digits: 8, caps: Caps { day_max: 5, day_total_max: 5_000 }, text: None, texts: Arc::default() };
    let email = Email::new(&Settings { name: "cloud".into(), subject: None, habits }, Arc::new(plain(&office)), clock());
    for (language, subject, text) in [(Some("de"), "Ihre Anmeldung", "Ihr Code: "), (None, "Your login", "Your code: ")] {
        started(&email, &asking_of(Method::Email, |alice| alice.language = language.map(str::to_owned))).await;
        let letter = office.letters().pop().unwrap();
        assert!(letter.text.contains(&format!("Subject: {subject}\r\n")) && letter.text.contains(text), "{}", letter.text);
    }
}

#[tokio::test]
async fn m_13_tls_from_the_start_and_after_a_word() {
    let paper = Paper::new("localhost");
    for security in [Security::Tls, Security::StartTls] {
        let office = Office::open_tls(Manner::Fine, paper.acceptor(), security == Security::Tls).await;
        let trusting =
            MailSettings { ca_file: Some(paper.ca_file()), login: Some(login()), timeout: Duration::from_secs(5), ..mail_to(office.port(), security) };
        started(&email(Smtp::open(&trusting).unwrap()), &asking(Method::Email)).await;
        let letter = office.letters().remove(0);
        assert!(letter.encrypted && letter.user.as_deref() == Some("mfa"), "{letter:?}");
    }
}

fn login() -> Login {
    Login { user: "mfa".into(), password: Secret::from("sesame") }
}

#[tokio::test]
async fn m_13_whoever_cannot_prove_to_be_the_mail_server_gets_no_letter() {
    let (paper, other, elsewhere) = (Paper::new("localhost"), Paper::new("localhost"), Paper::new("smtp.other.example"));
    for security in [Security::Tls, Security::StartTls] {
        for (shown, trusted) in [(&other, &paper), (&elsewhere, &elsewhere)] {
            let office = Office::open_tls(Manner::Fine, shown.acceptor(), security == Security::Tls).await;
            let settings =
                MailSettings { ca_file: Some(trusted.ca_file()), login: Some(login()), timeout: Duration::from_secs(5), ..mail_to(office.port(), security) };
            let email = email(Smtp::open(&settings).unwrap());
            for _ in 0..4 {
                assert_eq!(email.start(&asking(Method::Email)).await, Err(FactorError::Misconfigured), "never an outage");
            }
            assert_eq!(office.letters().len(), 0);
        }
    }
    // One who has forgotten STARTTLS, or out of whose greeting somebody took it.
    let office = Office::open(Manner::Fine).await;
    let settings = MailSettings { ca_file: Some(paper.ca_file()), login: Some(login()), ..mail_to(office.port(), Security::StartTls) };
    assert_eq!(email(Smtp::open(&settings).unwrap()).start(&asking(Method::Email)).await, Err(FactorError::Misconfigured));
    assert!(office.letters().is_empty() && !office.said().iter().any(|line| line.contains("AUTH") || line.contains("MAIL")), "{:?}", office.said());
}

#[tokio::test]
async fn wrong_key() {
    let paper = Paper::new("localhost");
    let office = Office::open_tls(Manner::Says("AUTH", "535 5.7.8 no"), paper.acceptor(), true).await;
    let settings =
        MailSettings { ca_file: Some(paper.ca_file()), login: Some(login()), timeout: Duration::from_secs(5), ..mail_to(office.port(), Security::Tls) };
    assert_eq!(email(Smtp::open(&settings).unwrap()).start(&asking(Method::Email)).await, Err(FactorError::Misconfigured));
    assert_eq!(office.letters().len(), 0);
}

#[tokio::test]
async fn m_16_a_letter_goes_to_the_accounts_own_address_alone() {
    let office = Office::open(Manner::Fine).await;
    let email = email(plain(&office));
    assert_eq!(email.start(&asking_of(Method::Email, |alice| alice.mail = None)).await, Err(FactorError::NotEnrolled));
    for evil in [
        "alice@corp.example\r\nRCPT TO:<mallory@evil.example>",
        "alice@corp.example, mallory@evil.example",
        "alice@corp.example\nBcc: mallory@evil.example",
        "alice",
    ] {
        let asking = asking_of(Method::Email, |alice| alice.mail = Some(evil.to_owned()));
        assert_eq!(email.start(&asking).await, Err(FactorError::Misconfigured), "{evil:?}");
    }
    assert!(office.letters().is_empty());
    assert_eq!(email.start(&asking(Method::Text)).await, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn m_28_so_many_letters_to_one_address_on_one_day() {
    let office = Office::open(Manner::Fine).await;
    let email = email(plain(&office));
    for at in 0..5 {
        let asking = asking_of(Method::Email, |alice| alice.mail = Some(if at % 2 == 0 { ALICE.to_uppercase() } else { ALICE.to_owned() }));
        started(&email, &asking).await;
    }
    assert_eq!(email.start(&asking(Method::Email)).await, Err(FactorError::Throttled));
    assert_eq!(office.letters().len(), 5);
}

#[tokio::test]
async fn refusals_of_one_letter_are_no_outage_m_14() {
    for (at, says) in [("RCPT", "550 no such user"), ("RCPT", "452 mailbox full"), ("MAIL", "451 later"), ("DATA", "554 no"), (".", "552 too much")] {
        let office = Office::open(Manner::Says(at, says)).await;
        let email = email(plain(&office));
        for _ in 0..4 {
            assert_eq!(email.start(&asking(Method::Email)).await, Err(FactorError::Misconfigured), "{at} {says}");
        }
    }
}

#[tokio::test]
async fn lying_slow_and_dead_servers_end_in_time() {
    // M-14: it takes connections, so it is there.
    let busy = || Err(FactorError::Throttled);
    let lie = || Err(FactorError::Misconfigured);
    let cases = [
        (Manner::Hangs("hello"), busy()),
        (Manner::Hangs("EHLO"), busy()),
        (Manner::Hangs("RCPT"), busy()),
        (Manner::Hangs("."), busy()),
        (Manner::Says("hello", "421 busy"), busy()),
        (Manner::Says("RCPT", "421 too many letters for her"), busy()),
        (Manner::Closes("MAIL"), lie()),
        (Manner::Says("EHLO", "421 busy"), busy()),
        (Manner::Says("MAIL", "HTTP/1.1 200 OK"), lie()),
        (Manner::Says("MAIL", "999 fine"), lie()),
        (Manner::Says("DATA", "250 taken already"), lie()),
        (Manner::Endless("EHLO"), lie()),
    ];
    for (manner, want) in cases {
        let told = format!("{manner:?}");
        let office = Office::open(manner).await;
        let patience = Duration::from_secs(10);
        let outcome =
            tokio::time::timeout(patience, email(plain(&office)).start(&asking(Method::Email))).await.unwrap_or_else(|_| panic!("{told}: it never ended"));
        assert!(outcome == want || (outcome == busy() && told.starts_with("Endless")), "{told}: {outcome:?}");
    }
}

#[tokio::test]
async fn unreachable_is_who_failed_three_times_and_then_nobody_waits() {
    let port = nowhere().await.rsplit(':').next().unwrap().parse().unwrap();
    let email = email(Smtp::open(&mail_to(port, Security::Plain)).unwrap());
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        outcomes.push(email.start(&asking(Method::Email)).await);
    }
    assert_eq!(outcomes, [Err(FactorError::Faltering), Err(FactorError::Faltering), Err(FactorError::Unreachable), Err(FactorError::Unreachable)]);
}

#[tokio::test]
async fn letters_wait_in_a_bounded_queue_and_for_a_bounded_time() {
    let office = Office::open(Manner::Hangs("hello")).await;
    let mailer = Arc::new(plain(&office));
    let letters = (0..Smtp::QUEUE_MAX + 10).map(|_| {
        let mailer = Arc::clone(&mailer);
        tokio::spawn(async move { mailer.send(ALICE, "Alert", "Somebody reported a fraud.").await })
    });
    let mut outcomes = BTreeMap::new();
    for letter in letters.collect::<Vec<_>>() {
        *outcomes.entry(letter.await.unwrap().unwrap_err().as_str()).or_insert(0) += 1;
    }
    assert_eq!(outcomes, BTreeMap::from([("busy", Smtp::QUEUE_MAX + 10)]));
    // Whoever came to a turn in the last moment finds the server silent too. One for the letter, one to find out whether there is a server at all.
    assert!((Smtp::TURNS_MAX..=4 * Smtp::TURNS_MAX).contains(&office.connections()), "{}", office.connections());
}
