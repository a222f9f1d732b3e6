//! Servers that DNS names, against a small name server on loopback.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use vestibule::directory::Security;
use vestibule::directory::srv::Srv;
use vestibule::directory::srv::discover;

use super::*;

/// One SRV record: priority, weight, port, target.
type Record = (u16, u16, u16, &'static str);

/// Knows the SRV records it was given and that there are no others; silent where it knows nobody at all.
struct Names {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Names {
    async fn open(known: &[(&'static str, &[Record])]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let known: HashMap<_, _> = known.iter().map(|(name, records)| (*name, records.to_vec())).collect();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
                counted.fetch_add(1, Ordering::SeqCst);
                if let Some(reply) = reply(&buffer[..len], &known) {
                    socket.send_to(&reply, from).await.unwrap();
                }
            }
        });
        Self { address, asked, _task: task }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// RFC 1035 §4: the header and question as they came, and what is known of the name.
fn reply(query: &[u8], known: &HashMap<&'static str, Vec<Record>>) -> Option<Vec<u8>> {
    if known.is_empty() {
        return None;
    }
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let len = usize::from(query[at]);
        labels.push(String::from_utf8(query[at + 1..=at + len].to_vec()).unwrap());
        at += len + 1;
    }
    let records = known.get(labels.join(".").as_str());
    let (count, code) = (u8::try_from(records.map_or(0, Vec::len)).unwrap(), if records.is_some() { 0 } else { 3 });
    let mut out = [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0][..], &query[12..at + 5]].concat();
    for (priority, weight, port, target) in records.into_iter().flatten() {
        let name: Vec<u8> = target.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()][..], label.as_bytes()].concat()).chain([0]).collect();
        // A pointer to the question's name, SRV, IN, five minutes.
        out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 44]);
        out.extend(u16::try_from(6 + name.len()).unwrap().to_be_bytes());
        out.extend([*priority, *weight, *port].into_iter().flat_map(u16::to_be_bytes));
        out.extend(name);
    }
    Some(out)
}

/// The last labels of a loopback address: hosts in this domain need nobody to look them up.
const DOMAIN: &str = "0.0.1";
const HOST: &str = "127.0.0.1";
const OF_AD: &str = "_ldap._tcp.dc._msdcs.0.0.1";
const OF_OTHERS: &str = "_ldap._tcp.0.0.1";

fn by_srv(names: &Names, tls: &Tls) -> Arc<dyn Directory> {
    let srv = Srv { domain: DOMAIN.to_owned(), security: Security::StartTls, resolver: Some(names.address) };
    let settings = Settings { srv: Some(srv), ca_file: Some(tls.ca_file.clone()), timeout: Duration::from_secs(3), ..settings(&[]) };
    directory::open(settings).unwrap()
}

#[tokio::test]
async fn domain_controllers_are_found_by_dns_and_asked_in_order_of_priority() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(folder.path(), HOST);
    let (first, second) = (tls.front(lab.address(), true), tls.front(lab.address(), true));
    let records: [Record; 2] = [(20, 100, second.address().port(), HOST), (10, 0, first.address().port(), HOST)];
    for service in [OF_AD, OF_OTHERS] {
        let names = Names::open(&[(service, &records[..])]).await;
        let corp = by_srv(&names, &tls);
        let before = second.taken();
        let alice = corp.resolve("alice").await.unwrap();
        assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()), "{service}");
        assert!(corp.connect().await.is_ok());
        assert_eq!(second.taken(), before, "the lower number goes first");
        assert_eq!(names.asked(), if service == OF_AD { 1 } else { 2 }, "what was found is kept");
    }
}

#[tokio::test]
async fn o_21_the_next_of_an_answer_is_asked_when_the_first_is_away_and_all_of_them_away_is_an_outage() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(folder.path(), HOST);
    let front = tls.front(lab.address(), true);
    let records: [Record; 2] = [(10, 0, nowhere().port(), HOST), (20, 0, front.address().port(), HOST)];
    let names = Names::open(&[(OF_AD, &records[..])]).await;
    let corp = by_srv(&names, &tls);
    let alice = corp.resolve("alice").await.unwrap();
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Ok(alice.identity.clone()));
    assert_eq!(corp.connect().await.map(|connected| connected.server).ok(), Some(1));
    drop(front);
    assert_eq!(corp.authenticate(&alice, &Secret::from("Passw0rd!")).await, Err(AWAY));
    assert_eq!(corp.resolve("alice").await, Err(AWAY));
}

#[tokio::test]
async fn l_087_a_server_that_dns_names_shows_a_certificate_and_lies_in_the_domain() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    // For another name, and by an authority that is trusted.
    let tls = Tls::new(folder.path(), "dc1.corp.example");
    let front = tls.front(lab.address(), true);
    let names = Names::open(&[(OF_AD, &[(0, 0, front.address().port(), HOST)][..])]).await;
    assert_eq!(by_srv(&names, &tls).resolve("alice").await, Err(AWAY));
    // The right certificate, in another domain.
    let tls = Tls::new(tempfile::tempdir().unwrap().path(), "localhost");
    let front = tls.front(lab.address(), true);
    let names = Names::open(&[(OF_AD, &[(0, 0, front.address().port(), "localhost")][..])]).await;
    let before = front.taken();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(by_srv(&names, &Tls::new(folder.path(), HOST)).resolve("alice").await, Err(AWAY));
    assert_eq!((front.taken(), lab.searches()), (before, 0));
}

#[tokio::test]
async fn no_name_server_and_no_record_are_an_outage_and_not_asked_at_every_login() {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(folder.path(), HOST);
    let kerberos: &[Record] = &[(0, 0, 88, HOST)];
    let others: &[(&'static str, &[Record])] = &[("_kerberos._tcp.0.0.1", kerberos)];
    for known in [&others[..0], others] {
        let names = Names::open(known).await;
        let corp = by_srv(&names, &tls);
        assert_eq!(corp.resolve("alice").await, Err(AWAY));
        let asked = names.asked();
        assert!(asked > 0);
        assert_eq!(corp.resolve("alice").await, Err(AWAY));
        assert_eq!(names.asked(), asked);
    }
}

/// What `vestibule init` shows before it is written down.
#[tokio::test]
async fn what_dns_names_now_is_told_and_what_it_does_not_name_is_told_why() {
    let names = Names::open(&[(OF_AD, &[(20, 0, 389, "127.0.0.1"), (10, 0, 389, "2.0.0.1"), (0, 0, 389, "dc.evil.test")])]).await;
    let srv = |domain: &str, security| Srv { domain: domain.to_owned(), security, resolver: Some(names.address) };
    let found = discover(srv(DOMAIN, Security::Tls), Duration::from_secs(5)).await.unwrap();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["ldaps://2.0.0.1:636", "ldaps://127.0.0.1:636"], "L-087: in their order, and none of another domain");
    let why = discover(srv("example.test", Security::StartTls), Duration::from_secs(5)).await.unwrap_err();
    assert!(why.contains("no SRV record"), "{why}");
}
