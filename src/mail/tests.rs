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
    let outage: Vec<u16> = (200..600).filter(|status| refusal(*status) == MailError::Unreachable).collect();
    assert_eq!((outage, refusal(421)), (vec![], MailError::Busy), "whoever says anything is there");
    assert_eq!(
        [refusal(535), refusal(530), refusal(554), refusal(550), refusal(452)],
        [MailError::Misconfigured, MailError::Misconfigured, MailError::Refused, MailError::Refused, MailError::Refused]
    );
}

#[test]
fn what_a_server_says_is_cut_before_it_is_logged() {
    assert_eq!(cut(&"ü".repeat(500)).chars().count(), 200);
}

fn mailer(host: &str, port: u16) -> Smtp {
    let (host, from) = (host.to_owned(), "mfa@corp.example".to_owned());
    let settings = Settings { host, port, security: Security::Plain, from, login: None, ca_file: None, timeout: Duration::from_millis(600) };
    Smtp::open(&settings).unwrap()
}

async fn sent(mailer: &Smtp) -> MailError {
    mailer.send("alice@corp.example", "s", "b").await.unwrap_err()
}

/// A mail server that says `greeting` to the first that comes and takes all from him but an address; and `others` to everybody after him.
async fn server(greeting: &'static str, others: &'static str) -> (Smtp, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mailer = mailer("127.0.0.1", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        let mut talks = tokio::task::JoinSet::new();
        let mut greeting = Some(greeting);
        while let Ok((stream, _)) = listener.accept().await {
            talks.spawn(talk(stream, greeting.take().unwrap_or(others)));
        }
    });
    (mailer, serving)
}

async fn talk(stream: tokio::net::TcpStream, greeting: &'static str) -> std::io::Result<()> {
    use tokio::io::AsyncBufReadExt;
    use tokio::io::AsyncWriteExt;

    let mut stream = tokio::io::BufReader::new(stream);
    stream.write_all(greeting.as_bytes()).await?;
    stream.flush().await?;
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        // Of a person whose mailbox is slow nothing is heard any more.
        if !line.starts_with("RCPT") {
            stream.write_all(b"250 yes\r\n").await?;
            stream.flush().await?;
        }
        line.clear();
    }
    Ok(())
}

#[tokio::test]
async fn m_14_a_mail_server_that_takes_connections_is_no_outage_however_late_it_greets() {
    // One person's mailbox is slow, and so is the greeting of everybody who comes after that.
    let (slow, _serving) = server("220 mail.example\r\n", "").await;
    for _ in 0..4 {
        assert_eq!(sent(&slow).await, MailError::Busy);
    }
}

#[tokio::test]
async fn m_14_a_mail_server_that_has_no_time_for_us_is_no_outage() {
    let (full, serving) = server("421 too many connections\r\n", "421 too many connections\r\n").await;
    for _ in 0..4 {
        assert_eq!(sent(&full).await, MailError::Busy);
    }
    serving.abort();
    let _ = serving.await;
    assert_eq!(sent(&full).await, MailError::Unreachable, "now there is no server any more");
}

/// Marks the process in which a test is alone: descriptors are a whole process's.
const ALONE: &str = "VESTIBULE_TEST_ALONE";

#[tokio::test]
async fn m_14_a_machine_without_descriptors_knows_of_no_outage_of_its_mail_server() {
    if std::env::var_os(ALONE).is_none() {
        let name = "mail::tests::m_14_a_machine_without_descriptors_knows_of_no_outage_of_its_mail_server";
        let run = std::process::Command::new(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, 256, hard).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let mailer = mailer(host, port);
        let taken: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        for _ in 0..4 {
            assert_eq!(sent(&mailer).await, MailError::Busy, "{host}, after {} files", taken.len());
        }
    }
}
