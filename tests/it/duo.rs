//! The real Duo provider against the lab cloud: every answer, and every kind of bad weather.

mod enrol;
mod grown;
mod lies;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use vestibule::demo::cloud::Cloud;
use vestibule::demo::cloud::Manner;
use vestibule::demo::cloud::Person;
use vestibule::demo::cloud::Weather;
use vestibule::domain::Account;
use vestibule::domain::Asking;
use vestibule::domain::Choice;
use vestibule::domain::FactorError;
use vestibule::domain::Identity;
use vestibule::domain::Method;
use vestibule::domain::Progress;
use vestibule::domain::Secret;
use vestibule::domain::Ticket;
use vestibule::domain::Timestamp;
use vestibule::domain::Trace;
use vestibule::ports::Clock;
use vestibule::ports::Provider;
use vestibule::provider::duo::Duo;
use vestibule::provider::duo::Settings;

const PREAUTH: &str = "/auth/v2/preauth";
const AUTH: &str = "/auth/v2/auth";
const STATUS: &str = "/auth/v2/auth_status";
const PING: &str = "/auth/v2/ping";

const ALLOWED: Result<Progress, FactorError> = Ok(Progress::Allowed { spend: None });
const DENIED: Result<Progress, FactorError> = Ok(Progress::Denied { fraud: false });
const NOW_MS: u64 = 1_800_000_000_000;
const SOON: Duration = Duration::from_millis(20);

#[derive(Debug)]
struct Dial(Mutex<u64>);

impl Clock for Dial {
    fn now(&self) -> Timestamp {
        Timestamp(*self.0.lock().unwrap())
    }
}

fn dial(ms: u64) -> Arc<Dial> {
    Arc::new(Dial(Mutex::new(ms)))
}

struct Lab {
    cloud: Cloud,
    duo: Duo,
}

impl Lab {
    /// Alice with this manner, passcodes 123456 and 654321, and a telephone that can do everything.
    async fn new(manner: Manner) -> Self {
        let alice = Person::new("alice", manner).with_passcodes(&["123456", "654321"]);
        let cloud = Cloud::open(any_port(), vec![alice], dial(NOW_MS)).await.unwrap();
        let duo = duo_with(&cloud, |_| {});
        Self { cloud, duo }
    }

    /// Asks and hears it to the end, as an engine would.
    async fn ask(&self, method: Method) -> Result<Progress, FactorError> {
        settle(&self.duo, &asking("alice", method)).await
    }

    async fn start(&self, method: Method) -> Result<Progress, FactorError> {
        self.duo.start(&asking("alice", method)).await
    }

    async fn ticket(&self) -> Ticket {
        match self.start(Method::Push).await {
            Ok(Progress::Pending(ticket)) => ticket,
            other => panic!("no question went out: {other:?}"),
        }
    }

    async fn wait(&self, ticket: &Ticket) -> Result<Progress, FactorError> {
        self.duo.wait(ticket).await
    }

    async fn code(&self, typed: &str) -> Result<Progress, FactorError> {
        self.duo.verify(&asking("alice", Method::Oath), None, &Secret::from(typed)).await
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn duo_with(cloud: &Cloud, change: impl FnOnce(&mut Settings)) -> Duo {
    duo_at(cloud, NOW_MS, change)
}

fn duo_at(cloud: &Cloud, now_ms: u64, change: impl FnOnce(&mut Settings)) -> Duo {
    let mut settings = Settings {
        name: "duo".into(),
        host: cloud.host().into(),
        key_id: cloud.key_id().into(),
        key: cloud.key().clone(),
        url: Some(cloud.url()),
        ca_file: None,
        timeout: Duration::from_millis(500),
        number_match: false,
        send_name: false,
        send_source: true,
    };
    change(&mut settings);
    Duo::new(settings, dial(now_ms)).unwrap().with_poll_max(Duration::from_secs(2))
}

fn asking(name: &str, method: Method) -> Asking {
    let choice = Choice::new(method, "duo");
    let identity = Identity("S-1".into());
    let account = Account::new(identity.clone(), name, None, Timestamp(0)).into();
    Asking { identity, account, choice, client: "vpn-gate_1".into(), source: Some("::ffff:192.0.2.7".parse().unwrap()), trace: Trace(1) }
}

async fn settle(duo: &Duo, asking: &Asking) -> Result<Progress, FactorError> {
    let mut progress = duo.start(asking).await;
    let hear = async {
        while let Ok(Progress::Pending(ticket)) = &progress {
            progress = duo.wait(ticket).await;
        }
        progress
    };
    tokio::time::timeout(Duration::from_secs(20), hear).await.expect("the question never ended")
}

/// Lets waits and pauses of our own side pass. Nothing may be under way on a socket.
async fn later(wait: Duration) {
    tokio::time::pause();
    tokio::time::advance(wait).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_push_that_is_approved_lets_in_and_goes_out_once() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    assert_eq!(lab.ask(Method::Push).await, ALLOWED);
    assert_eq!(lab.cloud.pushes("alice"), 1);
    let shown = lab.cloud.shown("alice");
    assert_eq!([shown["factor"].as_str(), &shown["type"], &shown["ipaddr"]], ["push", "vpn gate 1", "192.0.2.7"]);
}

#[tokio::test]
async fn a_call_that_is_answered_lets_in() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    assert_eq!(lab.ask(Method::Call).await, ALLOWED);
    assert_eq!(lab.cloud.shown("alice")["factor"], "phone");
}

#[tokio::test]
async fn every_no_is_told_apart() {
    for (manner, want) in [
        (Manner::Denies(SOON), DENIED),
        (Manner::Reports(SOON), Ok(Progress::Denied { fraud: true })),
        (Manner::Ignores(SOON), Err(FactorError::Expired)),
        (Manner::LockedOut, Err(FactorError::Locked)),
        (Manner::DeniedAtOnce, DENIED),
        (Manner::Unenrolled, Err(FactorError::NotEnrolled)),
    ] {
        let lab = Lab::new(manner).await;
        assert_eq!(lab.ask(Method::Push).await, want, "push, {manner:?}");
        assert_eq!(lab.ask(Method::Call).await, want, "call, {manner:?}");
    }
}

#[tokio::test]
async fn somebody_duo_lets_in_by_its_own_policy_gets_no_push() {
    let lab = Lab::new(Manner::AllowedAtOnce).await;
    assert_eq!(lab.ask(Method::Push).await, Ok(Progress::Waived), "a rule of Duo's is no factor");
    assert_eq!(lab.cloud.pushes("alice"), 0);
}

#[tokio::test]
async fn m_12_a_question_is_open_until_this_person_answers_this_question() {
    let lab = Lab::new(Manner::Told).await;
    lab.cloud.admit(Person::new("bob", Manner::Told));
    let bob = asking("bob", Method::Push);
    let Ok(Progress::Pending(bobs)) = lab.duo.start(&bob).await else { panic!() };
    let alices = lab.ticket().await;
    assert_eq!(lab.cloud.approve("bob"), 1);
    let polled = tokio::time::timeout(Duration::from_millis(900), lab.wait(&alices)).await;
    assert!(polled.is_err(), "somebody else's approval ended the wait: {polled:?}");
    assert_eq!(lab.cloud.deny("alice"), 1);
    assert_eq!(lab.wait(&alices).await, DENIED);
    assert_eq!(lab.cloud.approve("alice"), 0, "what was denied cannot be approved");
    assert_eq!(lab.wait(&alices).await, DENIED);
    assert_eq!(lab.duo.wait(&bobs).await, ALLOWED);
}

#[tokio::test]
async fn m_12_in_a_crowd_everybody_hears_of_his_own_approval_and_only_then() {
    let Lab { cloud, duo } = Lab::new(Manner::Told).await;
    cloud.admit(Person::new("bob", Manner::Told));
    let duo = Arc::new(duo.with_poll_max(Duration::from_secs(60)));
    let mut alices = tokio::task::JoinSet::new();
    for number in 0..600 {
        let duo = Arc::clone(&duo);
        let asking = asking(if number % 2 == 0 { "alice" } else { "bob" }, Method::Push);
        let Ok(Progress::Pending(ticket)) = duo.start(&asking).await else { panic!("no question went out") };
        alices.spawn(async move { (duo.wait(&ticket).await, asking.account.name.clone()) });
    }
    assert!(tokio::time::timeout(Duration::from_millis(500), alices.join_next()).await.is_err(), "nobody has approved yet");
    assert_eq!(cloud.approve("alice"), 300);
    let hear = async {
        for _ in 0..300 {
            assert_eq!(alices.join_next().await.unwrap().unwrap(), (ALLOWED, "alice".into()));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hear).await.expect("an approval was not noticed");
    assert!(tokio::time::timeout(Duration::from_millis(500), alices.join_next()).await.is_err(), "bob has not approved");
    assert_eq!(cloud.deny("bob"), 300);
    while let Some(bob) = alices.join_next().await {
        assert_eq!(bob.unwrap(), (DENIED, "bob".into()));
    }
}

#[tokio::test]
async fn a_person_without_a_device_for_the_method_is_not_enrolled_and_not_asked() {
    let lab = Lab::new(Manner::Told).await;
    lab.cloud.admit(Person::new("carol", Manner::Told).with_capabilities(&["sms"]));
    assert_eq!(lab.duo.start(&asking("carol", Method::Push)).await, Err(FactorError::NotEnrolled));
    assert_eq!(lab.duo.start(&asking("carol", Method::Call)).await, Err(FactorError::NotEnrolled));
    assert_eq!(lab.duo.start(&asking("nobody", Method::Push)).await, Err(FactorError::NotEnrolled));
    assert_eq!(lab.cloud.requests(AUTH), 0);
}

#[tokio::test]
async fn m_01_a_passcode_opens_once_and_a_wrong_one_never() {
    let lab = Lab::new(Manner::Told).await;
    assert_eq!(lab.start(Method::Oath).await, Ok(Progress::CodeNeeded { ticket: None }));
    assert_eq!(lab.cloud.pushes("alice"), 0, "a code is no reason to ring");
    assert_eq!(lab.code("111111").await, Err(FactorError::BadCode));
    assert_eq!(lab.code("123456").await, ALLOWED);
    assert_eq!(lab.code("123456").await, Err(FactorError::BadCode));
    assert_eq!(lab.code("654321").await, ALLOWED);
}

#[tokio::test]
async fn m_02_what_is_no_passcode_never_leaves_us() {
    let lab = Lab::new(Manner::Told).await;
    for typed in ["", " 123456", "123456 ", "+123456", "１２３４５６", "123,456", "12\n3456", &"1".repeat(65)] {
        assert_eq!(lab.code(typed).await, Err(FactorError::BadCode), "{typed:?}");
    }
    let bytes = Secret::new(vec![0xff, 0xfe]);
    assert_eq!(lab.duo.verify(&asking("alice", Method::Oath), None, &bytes).await, Err(FactorError::BadCode));
    assert_eq!(lab.cloud.requests(AUTH), 0);
}

#[tokio::test]
async fn a_person_locked_out_there_is_told_so_for_a_code_too() {
    let lab = Lab::new(Manner::LockedOut).await;
    assert_eq!(lab.code("123456").await, Err(FactorError::Locked));
}

#[tokio::test]
async fn names_and_tickets_arrive_as_they_are_whatever_is_in_them() {
    let lab = Lab::new(Manner::Told).await;
    let name = "zoë o'neil+1 %41&x=y/~@corp.example";
    lab.cloud.admit(Person::new(name, Manner::Approves(SOON)));
    assert_eq!(settle(&lab.duo, &asking(name, Method::Push)).await, ALLOWED);
    let strange = Ticket("a b&c=d%2F~é".into());
    assert_eq!(lab.wait(&strange).await, Ok(Progress::Pending(strange.clone())), "unknown there, and still correctly signed");
}

#[tokio::test]
async fn m_14_a_wrong_key_is_our_fault_and_nothing_else() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    let wrong: [fn(&mut Settings); 3] = [
        |settings| settings.key = Secret::from("not the key"),
        |settings| settings.key_id = "DIXXXXXXXXXXXXXXXXXX".into(),
        |settings| {
            settings.host = "api-other.vestibule.example".into();
        },
    ];
    for change in wrong {
        let duo = duo_with(&lab.cloud, change);
        for _ in 0..5 {
            assert_eq!(duo.start(&asking("alice", Method::Push)).await, Err(FactorError::Misconfigured));
        }
        assert_eq!(duo.start(&asking("alice", Method::Oath)).await, Err(FactorError::Misconfigured));
        assert_eq!(duo.verify(&asking("alice", Method::Oath), None, &Secret::from("123456")).await, Err(FactorError::Misconfigured));
        assert_eq!(duo.wait(&Ticket("t".into())).await, Err(FactorError::Misconfigured));
        assert_eq!(duo.check().await, Err(FactorError::Misconfigured));
    }
    assert_eq!(lab.cloud.pushes("alice"), 0);
    assert_eq!(lab.duo.check().await, Ok(()));
}

#[tokio::test]
async fn m_14_a_skewed_clock_is_our_fault() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    for (ahead_ms, want) in [(299_000, ALLOWED), (301_000, Err(FactorError::Misconfigured))] {
        for now_ms in [NOW_MS + ahead_ms, NOW_MS - ahead_ms] {
            let duo = duo_at(&lab.cloud, now_ms, |_| {});
            assert_eq!(settle(&duo, &asking("alice", Method::Push)).await, want, "{now_ms}");
        }
    }
}

#[tokio::test]
async fn m_14_too_many_requests_is_throttled_and_the_silence_asked_for_is_kept() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    lab.cloud.set_weather(None, Weather::busy(7));
    assert_eq!(lab.start(Method::Push).await, Err(FactorError::Throttled));
    lab.cloud.set_weather(None, Weather::Fine);
    assert_eq!(lab.start(Method::Push).await, Err(FactorError::Throttled));
    assert_eq!(lab.code("123456").await, Err(FactorError::Throttled));
    assert_eq!([lab.cloud.requests(PREAUTH), lab.cloud.requests(AUTH)], [1, 0], "asked again during the silence");
    later(Duration::from_secs(8)).await;
    assert_eq!(lab.ask(Method::Push).await, ALLOWED);
}

#[tokio::test]
async fn m_14_one_look_too_many_ends_nobody_s_login() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    let ticket = lab.ticket().await;
    lab.cloud.set_weather(None, Weather::busy(7));
    assert_eq!(lab.wait(&ticket).await, Ok(Progress::Pending(ticket.clone())));
    lab.cloud.set_weather(None, Weather::Fine);
    later(Duration::from_secs(8)).await;
    assert_eq!(lab.wait(&ticket).await, ALLOWED);
}

#[tokio::test]
async fn m_14_a_server_that_is_there_is_never_unreachable_however_often_it_fails() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    lab.cloud.set_weather(None, Weather::says(500, r#"{"stat":"FAIL","code":50000,"message":"Internal"}"#));
    for _ in 0..8 {
        assert_eq!(lab.start(Method::Push).await, Err(FactorError::Faltering));
    }
    assert_eq!(lab.cloud.requests(PREAUTH), 8);
    lab.cloud.set_weather(None, Weather::Fine);
    assert_eq!(lab.ask(Method::Push).await, ALLOWED);
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    let Lab { cloud, duo } = lab;
    drop(cloud);
    let gone = async { while duo.start(&asking("alice", Method::Push)).await != Err(FactorError::Unreachable) {} };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("a closed cloud still answers");
}

#[tokio::test]
async fn an_answer_cut_off_is_never_approval_and_one_is_no_outage() {
    for path in [PREAUTH, AUTH] {
        let lab = Lab::new(Manner::AllowedAtOnce).await;
        lab.cloud.set_weather(Some(path), Weather::Cuts);
        let outcome = if path == PREAUTH { lab.start(Method::Push).await } else { lab.code("123456").await };
        assert_eq!(outcome, Err(FactorError::Faltering), "{path}");
        assert_eq!(lab.cloud.requests(path), 1, "asked twice: {path}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_within_the_timeout() {
    let lab = Lab::new(Manner::AllowedAtOnce).await;
    lab.cloud.set_weather(None, Weather::Hangs);
    let outcome = tokio::time::timeout(Duration::from_secs(5), lab.start(Method::Push)).await.expect("no timeout");
    assert_eq!(outcome, Err(FactorError::Faltering));
}

#[tokio::test]
async fn m_14_a_poll_that_breaks_off_is_no_outage_while_the_server_answers() {
    let lab = Lab::new(Manner::Told).await;
    let duo = duo_with(&lab.cloud, |_| {}).with_poll_max(Duration::from_millis(100));
    let ticket = lab.ticket().await;
    for weather in [Weather::Hangs, Weather::Cuts, Weather::says(504, "gateway timeout")] {
        lab.cloud.set_weather(Some(STATUS), weather.clone());
        for _ in 0..4 {
            let outcome = duo.wait(&ticket).await;
            assert_eq!(outcome, Ok(Progress::Pending(ticket.clone())), "{weather:?}");
        }
    }
    assert_eq!(lab.cloud.requests(PING), 12);
    lab.cloud.set_weather(Some(STATUS), Weather::Hangs);
    let wait = || duo.wait(&ticket);
    let together: [_; 4] = tokio::join!(wait(), wait(), wait(), wait()).into();
    assert_eq!(together, [0; 4].map(|_| Ok(Progress::Pending(ticket.clone()))), "people who do not answer opened the breaker");
    lab.cloud.set_weather(Some(PING), Weather::Hangs);
    assert_eq!(wait().await, Err(FactorError::Faltering));
    lab.cloud.set_weather(None, Weather::Fine);
    lab.cloud.approve("alice");
    assert_eq!(wait().await, ALLOWED);
}

#[tokio::test]
async fn a_poll_that_ran_out_is_asked_again() {
    let lab = Lab::new(Manner::Told).await;
    let ticket = lab.ticket().await;
    lab.cloud.set_weather(Some(STATUS), Weather::says(400, r#"{"stat":"FAIL","code":40002,"message":"Invalid request parameters"}"#));
    assert_eq!(lab.wait(&ticket).await, Ok(Progress::Pending(ticket.clone())));
    lab.cloud.set_weather(Some(STATUS), Weather::says(400, r#"{"stat":"FAIL","code":40001,"message":"Missing"}"#));
    assert_eq!(lab.wait(&ticket).await, Err(FactorError::Misconfigured));
}

#[tokio::test]
async fn an_answer_over_64_kib_is_not_read() {
    let lab = Lab::new(Manner::Told).await;
    let allow = r#"{"stat":"OK","response":{"result":"allow","status":"allow"}}"#;
    for (length, want) in [(64 * 1024, ALLOWED), (64 * 1024 + 1, Err(FactorError::Misconfigured)), (8 << 20, Err(FactorError::Misconfigured))] {
        let body = format!("{allow}{}", " ".repeat(length - allow.len()));
        lab.cloud.set_weather(Some(AUTH), Weather::says(200, &body));
        assert_eq!(lab.code("123456").await, want, "{length}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let lab = Lab::new(Manner::AllowedAtOnce).await;
    let other = Cloud::open(any_port(), Vec::new(), dial(NOW_MS)).await.unwrap();
    let allow = Weather::says(200, r#"{"stat":"OK","response":{"result":"allow","status":"allow"}}"#);
    other.set_weather(None, allow);
    for status in [301, 302, 303, 307, 308] {
        let headers = vec![("location".to_owned(), format!("{}{PREAUTH}", other.url()))];
        lab.cloud.set_weather(None, Weather::Says { status, headers, body: String::new() });
        assert_eq!(lab.start(Method::Push).await, Err(FactorError::Misconfigured), "{status}");
    }
    assert_eq!(other.requests(PREAUTH), 0);
}

/// The lab cloud behind TLS: a certificate for `host`, and the file of the authority that vouches for it.
async fn behind_tls(cloud: &Cloud, host: &str) -> (SocketAddr, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(any_port()).await.unwrap();
    let (front, back) = (listener.local_addr().unwrap(), cloud.address());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut outside = tokio::net::TcpStream::connect(back).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
            });
        }
    });
    (front, file)
}

#[tokio::test]
async fn over_tls_the_ca_file_vouches_for_the_server() {
    let lab = Lab::new(Manner::Approves(SOON)).await;
    let (front, ca) = behind_tls(&lab.cloud, "127.0.0.1").await;
    let duo = duo_with(&lab.cloud, |settings| {
        settings.url = Some(format!("https://{front}"));
        settings.ca_file = Some(ca.path().to_owned());
    });
    assert_eq!(settle(&duo, &asking("alice", Method::Push)).await, ALLOWED);
}

#[tokio::test]
async fn m_14_somebody_elses_certificate_is_no_outage_however_often_it_is_seen() {
    let lab = Lab::new(Manner::AllowedAtOnce).await;
    let (front, ca) = behind_tls(&lab.cloud, "127.0.0.1").await;
    let (elsewhere, other_ca) = behind_tls(&lab.cloud, "other.example").await;
    for (url, ca_file) in [
        (format!("https://{front}"), Some(&other_ca)),
        (format!("https://{front}"), None),
        (format!("https://{elsewhere}"), Some(&other_ca)),
        (lab.cloud.url().replace("http://", "https://"), Some(&ca)),
    ] {
        let duo = duo_with(&lab.cloud, |settings| {
            settings.url = Some(url.clone());
            settings.ca_file = ca_file.map(|file| file.path().to_owned());
        });
        for _ in 0..5 {
            assert_eq!(duo.start(&asking("alice", Method::Push)).await, Err(FactorError::Misconfigured), "{url} {ca_file:?}");
        }
    }
    assert_eq!(lab.cloud.requests(PREAUTH), 0);
}

#[tokio::test]
async fn a_push_is_held_until_the_person_is_told_to_approve() {
    let lab = Lab::new(Manner::Told).await;
    let person = async {
        lab.cloud.pushed("alice", 1).await;
        assert_eq!(lab.cloud.approve("alice"), 1);
    };
    let (outcome, ()) = tokio::join!(lab.ask(Method::Push), person);
    assert_eq!(outcome, ALLOWED);
    assert_eq!(lab.cloud.pushes("alice"), 1);
}

#[tokio::test]
async fn requests_are_counted_and_health_turns_red_and_green() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let read = recorder.handle();
    let _here = metrics::set_default_local_recorder(&recorder);
    let lab = Lab::new(Manner::AllowedAtOnce).await;
    let well = |value: u8| format!("vestibule_healthy{{room=\"provider\",name=\"duo\"}} {value}");
    let count = |outcome: &str, value: u8| format!("vestibule_provider_requests_total{{provider=\"duo\",outcome=\"{outcome}\"}} {value}");
    assert!(read.render().contains(&well(1)), "{}", read.render());
    lab.cloud.set_weather(None, Weather::says(500, ""));
    assert_eq!(lab.start(Method::Push).await, Err(FactorError::Faltering));
    assert!(read.render().contains(&well(0)), "{}", read.render());
    assert!(read.render().contains(&count("faltering", 1)), "{}", read.render());
    lab.cloud.set_weather(None, Weather::Fine);
    assert_eq!(lab.start(Method::Push).await, Ok(Progress::Waived));
    assert!(read.render().contains(&well(1)), "{}", read.render());
    assert!(read.render().contains(&count("answered", 1)), "{}", read.render());
}

#[tokio::test]
async fn the_lab_cloud_opens_on_loopback_alone() {
    assert!(Cloud::open("0.0.0.0:0".parse().unwrap(), Vec::new(), dial(NOW_MS)).await.is_err());
}
