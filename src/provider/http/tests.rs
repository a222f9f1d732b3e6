//! What is refused before anything is sent, and what makes a server look away (M-14).

use reqwest::header::RETRY_AFTER;

use super::*;

fn open(base: &str) -> Result<Http, OpenError> {
    Http::open("duo", base, None, Duration::from_secs(1))
}

#[test]
fn clear_text_goes_to_loopback_addresses_alone() {
    for base in ["http://127.0.0.1:8080", "http://127.9.9.9", "http://[::1]:80", "http://localhost:1", "https://api.example"] {
        assert!(open(base).is_ok(), "{base}");
    }
    for base in ["http://192.0.2.1", "http://api.example", "http://localhost.example", "http://127.0.0.1.example", "http://[2001:db8::1]"] {
        assert!(matches!(open(base), Err(OpenError::ClearText { .. })), "{base}");
    }
}

#[test]
fn what_is_no_servers_url_is_refused() {
    for base in ["", "api.example", "ftp://api.example", "unix:///tmp/x", "https://", "https://me:pw@api.example", "https://api.example/?a=b"] {
        assert!(matches!(open(base), Err(OpenError::BadUrl { .. })), "{base}");
    }
}

#[test]
fn a_ca_file_without_a_certificate_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, "nothing\n").unwrap();
    let told = Http::open("duo", "https://api.example", Some(&path), Duration::from_secs(1)).unwrap_err().to_string();
    assert!(told.contains("ca.pem") && told.contains("BEGIN CERTIFICATE"), "{told}");
    let missing = folder.path().join("missing.pem");
    assert!(matches!(Http::open("duo", "https://api.example", Some(&missing), Duration::from_secs(1)), Err(OpenError::CaFile { .. })));
}

#[test]
fn a_name_never_leads_to_another_place() {
    assert_eq!(segment("al/ice?a=b#c%41 é").as_deref(), Some("al%2Fice%3Fa%3Db%23c%2541%20%C3%A9"));
    assert_eq!([segment(""), segment("."), segment(".."), segment("...")], [None, None, None, Some("...".into())]);
    assert_eq!(form(&[("To", "+49 1"), ("a&b", "c=d")]), b"To=%2B49%201&a%26b=c%3Dd");
}

#[test]
fn how_long_to_keep_silent_is_read_in_seconds() {
    let wait = |text: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, text.parse().unwrap());
        retry_after(&headers, PAUSE).as_secs()
    };
    assert_eq!([wait("7"), wait(" 7 "), wait("soon"), wait("-3"), wait("Wed, 21 Oct 2015 07:28:00 GMT")], [7, 7, 1, 1, 1]);
    assert_eq!(retry_after(&HeaderMap::new(), PAUSE).as_secs(), 1);
}

#[test]
fn the_time_of_an_answer_is_read_where_it_is_one() {
    let date = |text: &'static str| date_s(&HeaderMap::from_iter([(reqwest::header::DATE, text.parse().unwrap())]));
    assert_eq!(date("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
    assert_eq!([date("soon"), date("Tue, 14 Nov 1923 22:13:20 GMT"), date_s(&HeaderMap::new())], [None; 3]);
}

#[test]
fn m_14_only_an_unreachable_server_counts_as_unreachable() {
    let all = [Failure::Faltering, Failure::Garbled, Failure::Throttled, Failure::Unreachable, Failure::Untrusted];
    let open: Vec<_> = all.into_iter().filter(|failure| FactorError::from(*failure) == FactorError::Unreachable).collect();
    assert_eq!(open, [Failure::Unreachable]);
}

fn get(poll: Option<Duration>) -> Request {
    Request { method: Method::GET, target: "/".into(), headers: HeaderMap::new(), body: None, poll }
}

/// Takes connections, says this and nothing more.
async fn server(says: &'static str) -> (Http, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::io::AsyncWriteExt::write_all(&mut stream, says.as_bytes()).await.unwrap();
            held.push(stream);
        }
    });
    (Http::open("duo", &base, None, Duration::from_millis(1_500)).unwrap(), accepting)
}

#[tokio::test]
async fn m_14_a_silent_server_falters_for_ever_and_soon_costs_a_login_one_second() {
    let (http, accepting) = server("").await;
    for _ in 0..3 {
        assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Faltering);
    }
    let began = Instant::now();
    assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Faltering);
    assert!(began.elapsed() < Duration::from_millis(1_400), "{:?}", began.elapsed());
    accepting.abort();
    let _ = accepting.await;
    assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Unreachable, "now there is no server any more");
}

#[tokio::test]
async fn m_14_an_answer_that_breaks_off_is_an_answer() {
    let (http, _accepting) = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{").await;
    for _ in 0..4 {
        assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Faltering);
    }
    assert_eq!(http.guard(|breaker| breaker.admit(Instant::now())), Ok(Pass::Ordinary), "nothing was counted");
}

#[tokio::test]
async fn a_request_that_its_login_gave_up_counts_as_silence() {
    let (http, _accepting) = server("").await;
    for poll in [None, Some(Duration::from_secs(9))] {
        let given_up = async || tokio::time::timeout(Duration::from_millis(1_100), http.send(get(poll))).await.is_err();
        assert!(given_up().await && given_up().await && given_up().await);
        let pass = http.guard(|breaker| breaker.admit(Instant::now()));
        assert_eq!(pass, Ok(if poll.is_none() { Pass::Brief } else { Pass::Ordinary }), "a poll waits for a person");
        http.guard(Breaker::succeeded);
    }
}

#[test]
fn r_067_what_a_server_said_is_not_printed() {
    let mut headers = HeaderMap::new();
    headers.insert("set-cookie", "session=c00kie".parse().unwrap());
    let printed = format!("{:?}", Answer { status: 200, headers, body: b"{\"token\":\"t0ken\"}".to_vec() });
    assert!(printed.contains("200") && !printed.contains("c00kie") && !printed.contains("t0ken"), "{printed}");
}

#[tokio::test]
async fn m_14_a_server_that_breaks_off_tls_is_there() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let http = Http::open("duo", &base, None, Duration::from_secs(5)).unwrap();
    for _ in 0..5 {
        assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Faltering);
    }
    accepting.abort();
    let _ = accepting.await;
    assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Unreachable, "now there is no server any more");
}

/// Marks the process in which a test is alone: descriptors are a whole process's.
const ALONE: &str = "VESTIBULE_TEST_ALONE";

#[tokio::test]
async fn m_14_a_machine_without_descriptors_knows_of_no_outage() {
    if std::env::var_os(ALONE).is_none() {
        let name = "provider::http::tests::m_14_a_machine_without_descriptors_knows_of_no_outage";
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
        let http = Http::open("duo", &format!("http://{host}:{port}"), None, Duration::from_secs(5)).unwrap();
        let taken: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        for _ in 0..4 {
            assert_eq!(http.send(get(None)).await.unwrap_err(), Failure::Throttled, "{host}, after {} files", taken.len());
        }
        drop(taken);
        assert_eq!(http.guard(|breaker| breaker.admit(Instant::now())), Ok(Pass::Ordinary), "nothing was counted");
    }
}
