//! The audit on its way to others, before receivers that are away, break off, or come late.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::UdpSocket;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::audit::Settings;
use crate::audit::Trail;
use crate::audit::tests::book;
use crate::audit::tests::ending;
use crate::audit::tests::forgetful;
use crate::ports::audit::Audit;

fn settings(dir: &Path, receivers: Vec<Receiver>) -> Settings {
    Settings { folder: dir.join("audit"), node: "mfa 1".into(), master_key: Secret::new(vec![1; 32]), keep_days: 0, receivers }
}

fn syslog(transport: Transport, address: SocketAddr, ca_file: Option<PathBuf>) -> Receiver {
    let host = if ca_file.is_some() { "localhost".to_owned() } else { address.ip().to_string() };
    Receiver::Syslog { transport, host, port: address.port(), ca_file }
}

/// Writes so many lines, in files of as many octets.
fn written(dir: &TempDir, count: u128, file_bytes_max: u64) -> (Book, u64) {
    let trail = Trail::write_in(book(dir.path(), file_bytes_max), "mfa1".into(), 0).unwrap();
    let newest = trail.newest();
    for number in 0..count {
        let before = *newest.borrow();
        trail.note(ending(number));
        // One write each, so that a file can be full after it.
        while *newest.borrow() == before {
            std::thread::yield_now();
        }
    }
    drop(trail);
    let end = *newest.borrow();
    (book(dir.path(), file_bytes_max), end)
}

fn numbers(batch: &Batch) -> Vec<u64> {
    batch.lines.iter().map(|line| line.seq).collect()
}

#[test]
fn lines_are_read_over_all_files_and_no_further_than_they_are_written_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let (book, end) = written(&dir, 5, 1);
    assert!(book.files().unwrap().len() >= 5 && end >= 10, "{end}");
    let (batch, follow) = Follow::new(book.clone(), "mfa1".into(), 1).read(3).unwrap();
    assert_eq!((numbers(&batch), batch.gap, follow.next()), (vec![1, 2, 3], None, 4));
    let (batch, follow) = follow.read(end).unwrap();
    assert_eq!((numbers(&batch), batch.gap, follow.next()), ((4..=end).collect(), None, end + 1));
    assert_eq!(batch.lines[1].event, "opened");
    // Half a line is none, whatever comes after it.
    let last = *book.files().unwrap().last().unwrap();
    let text = fs::read_to_string(book.path(last)).unwrap();
    fs::write(book.path(last), format!("{text}{{\"seq\":{}", end + 1)).unwrap();
    let (batch, _) = follow.clone().read(end).unwrap();
    assert!(batch.lines.is_empty());
}

#[test]
fn lines_that_are_gone_are_named_and_those_behind_them_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (book, end) = written(&dir, 5, 1);
    let files = book.files().unwrap();
    fs::remove_file(book.path(files[1])).unwrap();
    let (batch, follow) = Follow::new(book.clone(), "mfa1".into(), 1).read(end).unwrap();
    assert_eq!((numbers(&batch), batch.gap), ((1..files[1]).collect(), None));
    let (batch, follow) = follow.read(end).unwrap();
    let gone = (files[1], files[2] - 1);
    assert_eq!((batch.gap, batch.lines.len(), batch.lines[0].event.as_str()), (Some(gone), 1, "skipped"));
    assert!(batch.lines[0].text.contains(&format!("\"from\":{}", gone.0)) && batch.lines[0].text.contains(&format!("\"to\":{}", gone.1)));
    let (batch, follow) = follow.read(end).unwrap();
    assert_eq!((numbers(&batch), batch.gap), ((files[2]..=end).collect(), None));
    // What was said to be written and is nowhere is gone too: nobody waits for it for ever.
    let (batch, follow) = follow.read(end + 4).unwrap();
    assert_eq!((batch.gap, follow.next()), (Some((end + 1, end + 4)), end + 5));
    for file in book.files().unwrap() {
        fs::remove_file(book.path(file)).unwrap();
    }
    let (batch, _) = Follow::new(book, "mfa1".into(), 2).read(end).unwrap();
    assert_eq!(batch.gap, Some((2, end)));
}

/// One message behind its length.
async fn framed(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut length = String::new();
    loop {
        match stream.read_u8().await.unwrap() {
            b' ' => break,
            digit => length.push(char::from(digit)),
        }
    }
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).await.unwrap();
    String::from_utf8(message).unwrap()
}

#[tokio::test]
async fn over_tcp_each_message_stands_behind_its_length_and_a_broken_connection_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trail = Trail::open(settings(dir.path(), vec![syslog(Transport::Tcp, receiver.local_addr().unwrap(), None)]), forgetful()).unwrap();
    trail.note(ending(7));
    let (mut stream, _) = receiver.accept().await.unwrap();
    let opened = framed(&mut stream).await;
    assert!(opened.contains(" mfa_1 vestibule - opened [meta sequenceId=\"1\"] {"), "{opened}");
    let login = framed(&mut stream).await;
    // authpriv, notice: somebody was refused.
    assert!(login.starts_with("<85>1 2027-01-15T08:00:00.000Z mfa_1 vestibule - login [meta sequenceId=\"2\"] {\"seq\":2,"), "{login}");
    assert!(login.contains("user-7") && login.ends_with("\"}"), "{login}");
    drop(stream);
    trail.note(ending(8));
    let (mut stream, _) = receiver.accept().await.unwrap();
    // What the broken connection was given last comes again: nobody knows whether it was heard.
    let said = [framed(&mut stream).await, framed(&mut stream).await, framed(&mut stream).await];
    assert_eq!(said[..2], [opened, login]);
    assert!(said[2].contains("user-8"));
}

#[tokio::test]
async fn over_udp_each_message_is_a_datagram() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let trail = Trail::open(settings(dir.path(), vec![syslog(Transport::Udp, receiver.local_addr().unwrap(), None)]), forgetful()).unwrap();
    trail.note(ending(7));
    let mut buffer = [0; 4096];
    for event in ["opened", "login"] {
        let count = receiver.recv(&mut buffer).await.unwrap();
        let said = std::str::from_utf8(&buffer[..count]).unwrap();
        assert!(said.starts_with('<') && said.contains(&format!(" - {event} [meta")), "{said}");
    }
}

#[tokio::test]
async fn over_tls_nobody_but_the_one_who_is_vouched_for_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (right, wrong) = (dir.path().join("right.pem"), dir.path().join("wrong.pem"));
    fs::write(&right, made.cert.pem()).unwrap();
    fs::write(&wrong, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = receiver.local_addr().unwrap();

    let trail = Trail::open(settings(dir.path(), vec![syslog(Transport::Tls, at, Some(wrong))]), forgetful()).unwrap();
    trail.note(ending(1));
    let (stream, _) = receiver.accept().await.unwrap();
    assert!(acceptor.accept(stream).await.is_err(), "an authority that did not certify this receiver");
    drop(trail);
    // What it did not get then follows now.
    let trail = Trail::open(settings(dir.path(), vec![syslog(Transport::Tls, at, Some(right))]), forgetful()).unwrap();
    let (stream, _) = receiver.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    assert!(framed(&mut stream).await.contains("opened") && framed(&mut stream).await.contains("user-1"));
    drop(trail);
}

/// Hears one post and answers it; its head and its lines.
async fn posted(receiver: &TcpListener, status: &str) -> (String, Vec<String>) {
    let (stream, _) = receiver.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(count) = line.to_lowercase().strip_prefix("content-length:") {
            length = count.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    (head, String::from_utf8(body).unwrap().lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_receiver_that_refuses_is_asked_again_and_gets_every_line_once_it_takes_them() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ingest?index=vpn", receiver.local_addr().unwrap());
    let to = || vec![Receiver::Http { url: url.clone(), ca_file: None, token: Some(Secret::from("a-token")) }];
    let trail = Trail::open(settings(dir.path(), to()), forgetful()).unwrap();
    trail.note(ending(1));
    let (head, refused) = posted(&receiver, "503 Busy").await;
    assert!(head.starts_with("POST /ingest?index=vpn HTTP/1.1") && head.contains("Bearer a-token") && head.contains("application/x-ndjson"), "{head}");
    trail.note(ending(2));
    let (_, mut taken) = posted(&receiver, "204 No Content").await;
    assert_eq!(taken[..refused.len()], refused);
    // The second line goes along, or comes behind, as soon as it is written.
    while !taken.iter().any(|line| line.contains("user-2")) {
        taken.extend(posted(&receiver, "204 No Content").await.1);
    }
    assert!(taken.iter().any(|line| line.contains("user-1")), "{taken:#?}");
    // Until it is written down how far that went.
    while fs::read_to_string(dir.path().join("audit/sent-http")).map_or(true, |text| text.trim() != taken.len().to_string()) {
        tokio::task::yield_now().await;
    }
    drop(trail);
    // After a restart it goes on there, with lines that were written meanwhile.
    Trail::open(settings(dir.path(), Vec::new()), forgetful()).unwrap().note(ending(3));
    let trail = Trail::open(settings(dir.path(), to()), forgetful()).unwrap();
    let (_, more) = posted(&receiver, "200 OK").await;
    assert!(more.iter().all(|line| !line.contains("user-1") && !line.contains("user-2")) && more.iter().any(|line| line.contains("user-3")), "{more:#?}");
    drop(trail);
}
