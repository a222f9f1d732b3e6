//! One of each kind of garbage at the doors of the real binary: silence, and a counter that says what it was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use md5::Digest;
use md5::Md5;
use tokio::time::Instant;
use vestibule::demo::directory::Lab;

use crate::lab::House;
use crate::lab::SECRET;
use crate::lab::furnish;
use crate::lab::heard;
use crate::lab::people;
use crate::lab::request;

const PATIENCE: Duration = Duration::from_secs(10);
const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
const ACCOUNTING_REQUEST: u8 = 4;
const STATUS_SERVER: u8 = 12;
const NAME: (u8, &[u8]) = (1, b"nobody");
const PASSWORD: (u8, &[u8]) = (2, &[9; 16]);
const CHAP_PASSWORD: (u8, &[u8]) = (3, &[0; 17]);
const NAS_IP_ADDRESS: (u8, &[u8]) = (4, &[192, 0, 2, 1]);
const PROXY_STATE: (u8, &[u8]) = (33, b"p");
const ACCT_SESSION_ID: (u8, &[u8]) = (44, b"1");
const EAP_MESSAGE: (u8, &[u8]) = (79, b"\x02\x01\x00\x05\x01");
const MA: (u8, &[u8]) = (80, &[0; 16]);

/// A packet of these attributes, just as they are; `number` makes it unlike all others.
fn packet(code: u8, number: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![code, number, 0, 0];
    bytes.extend_from_slice(&[number; 16]);
    for (kind, value) in attributes {
        bytes.extend_from_slice(&[*kind, u8::try_from(value.len() + 2).unwrap()]);
        bytes.extend_from_slice(value);
    }
    measured(bytes)
}

fn measured(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// The same behind a right Message-Authenticator.
fn signed(code: u8, number: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = packet(code, number, &[&[MA], attributes].concat());
    let seal = Hmac::<Md5>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&bytes).finalize().into_bytes();
    bytes[22..38].copy_from_slice(&seal);
    bytes
}

/// The same with the authenticator of accounting.
fn sealed(number: u8, attributes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = packet(ACCOUNTING_REQUEST, number, attributes);
    bytes[4..20].fill(0);
    let seal = Md5::new().chain_update(&bytes).chain_update(SECRET).finalize();
    bytes[4..20].copy_from_slice(&seal);
    bytes
}

/// Beside the client of [`furnish`], who must sign: one who need not and must be where it says, one who must say its name, and a door for accounting.
fn house() -> (House, Lab) {
    let client = |name: &str, address: &str, more: &str| {
        format!(
            "[[radius.client]]\nname = \"{name}\"\nnetworks = [\"{address}\"]\nsecret = {{ file = \"nas\" }}\nfirst = {{ directory = \"lab\" }}\npolicy = \"codes\"\n{more}\n"
        )
    };
    let lax = client("lax", "127.0.0.2", "integrity = \"optional\"\nnas_address = \"require\"");
    let named = client("named", "127.0.0.3", "nas_identifier = \"vpn\"");
    let directory = people("127.0.0.1:0".parse().unwrap());
    let more = format!("[[radius.listen]]\naddress = \"127.0.0.1:0\"\naccounting = true\n{lax}{named}");
    (House::open(furnish(directory.address(), &more)), directory)
}

/// What the counter `name` of the RADIUS doors has counted, by its reason.
fn counts(house: &House, name: &str) -> BTreeMap<String, u64> {
    let client = reqwest::Client::builder().unix_socket(house.folder.path().join("admin.sock")).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let text = runtime.block_on(async { client.get("http://vestibule/metrics").send().await.unwrap().text().await.unwrap() });
    let of_radius = text.lines().filter(|line| line.starts_with(&format!("{name}{{door=\"radius\"")));
    let parsed = of_radius.map(|line| {
        let (labels, count) = line.rsplit_once(' ').unwrap();
        let why = labels.split("why=\"").nth(1).unwrap().split('"').next().unwrap();
        (why.to_owned(), count.parse::<u64>().unwrap())
    });
    parsed.fold(BTreeMap::new(), |mut all, (why, count)| {
        *all.entry(why).or_default() += count;
        all
    })
}

/// Waits until it has counted this and nothing else.
fn until(house: &House, name: &str, expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect();
    let begun = Instant::now();
    loop {
        let found = counts(house, name);
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{found:#?} instead of {expected:#?}");
    }
}

fn nas(address: &str, door: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.connect(door).unwrap();
    socket
}

fn says_nothing(nas: &UdpSocket) -> bool {
    nas.set_nonblocking(true).unwrap();
    nas.recv(&mut [0; 4096]).is_err()
}

#[test]
fn r_017_each_kind_of_garbage_is_met_with_silence_and_counted_by_its_name() {
    let (house, _directory) = house();
    let accounting = house.ready["radius_accounting"][0].as_str().unwrap().parse().unwrap();
    let [strict, lax, named, stranger] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.9"].map(|address| nas(address, house.radius()));
    let book = nas("127.0.0.1", accounting);
    let good = signed(ACCESS_REQUEST, 1, &[NAME, PASSWORD]);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    let many = vec![(200, &b"x"[..]); 200];
    let status = |number| signed(STATUS_SERVER, number, &[]);

    let garbage: Vec<(&str, &UdpSocket, Vec<u8>)> = vec![
        ("short", &strict, good[..19].to_vec()),
        ("length", &strict, [&[1, 1, 0, 19][..], &good[4..]].concat()),
        ("length", &strict, [&[1, 1, 0x10, 1][..], &[0; 4093]].concat()),
        ("truncated", &strict, good[..good.len() - 1].to_vec()),
        ("code", &strict, signed(ACCESS_ACCEPT, 2, &[NAME])),
        ("code", &strict, signed(99, 3, &[NAME])),
        ("attribute", &strict, measured([&good[..], &[1, 1]].concat())),
        ("attribute", &strict, measured([&good[..], &[0, 3, 0]].concat())),
        ("too_many_attributes", &strict, signed(ACCESS_REQUEST, 4, &many)),
        ("broken_signature", &strict, signed(ACCESS_REQUEST, 5, &[NAME, PASSWORD, MA])),
        ("broken_signature", &strict, packet(ACCESS_REQUEST, 6, &[NAME, PASSWORD, (80, &[0; 15])])),
        ("wrong_signature", &strict, forged),
        ("unsigned", &strict, packet(ACCESS_REQUEST, 7, &[NAME, PASSWORD])),
        ("unsigned_status", &strict, packet(STATUS_SERVER, 8, &[])),
        ("unsigned_eap", &lax, packet(ACCESS_REQUEST, 9, &[NAME, EAP_MESSAGE])),
        ("unsigned_proxy_state", &lax, packet(ACCESS_REQUEST, 10, &[NAME, PASSWORD, PROXY_STATE])),
        ("unsigned_bare", &lax, packet(ACCESS_REQUEST, 11, &[NAME])),
        ("unknown_nas", &named, signed(ACCESS_REQUEST, 12, &[NAME, PASSWORD, (32, b"another")])),
        ("unknown_client", &stranger, good.clone()),
        ("code", &book, signed(ACCESS_REQUEST, 13, &[NAME, PASSWORD])),
        ("wrong_authenticator", &book, packet(ACCOUNTING_REQUEST, 14, &[ACCT_SESSION_ID])),
        ("accounting", &book, sealed(15, &[ACCT_SESSION_ID])),
    ];
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for (why, from, bytes) in &garbage {
        from.send(bytes).unwrap();
        *expected.entry(*why).or_default() += 1;
    }
    let expected: Vec<(&str, u64)> = expected.into_iter().collect();
    until(&house, "vestibule_discards_total", &expected);
    assert!(counts(&house, "vestibule_logins_total").is_empty(), "none of it was a login");
    for silent in [&strict, &lax, &named, &stranger, &book] {
        assert!(says_nothing(silent));
        silent.set_nonblocking(false).unwrap();
    }

    // What is well and comes twice, or too often.
    let login = request(1, "nobody", "x", b"");
    for _ in 0..2 {
        strict.send(&login).unwrap();
    }
    for number in 0..100 {
        named.send(&status(number)).unwrap();
    }
    assert!(heard(&strict, &login, PATIENCE).is_some());
    let found = counts(&house, "vestibule_discards_total");
    assert_eq!(found.get("duplicate"), Some(&1));
    assert!(found.get("status_too_often").is_some_and(|count| *count >= 50), "{found:?}");
}

#[test]
fn r_017_what_is_rejected_before_anybody_is_asked_is_counted_by_its_reason() {
    let (house, _directory) = house();
    let lax = nas("127.0.0.2", house.radius());
    let empty = request(1, "nobody", "", b"");
    let bell = request(2, "no\u{7}body", "x", b"");
    let asked = [
        ("bad_name", bell),
        ("bad_password", signed(ACCESS_REQUEST, 3, &[NAME, (2, &[9; 17])])),
        ("empty_password", empty),
        ("no_credential", signed(ACCESS_REQUEST, 5, &[NAME])),
        ("other_credential", signed(ACCESS_REQUEST, 6, &[NAME, PASSWORD, CHAP_PASSWORD])),
        ("ambiguous", signed(ACCESS_REQUEST, 7, &[NAME, NAME, PASSWORD])),
        ("nas_address", signed(ACCESS_REQUEST, 8, &[NAME, PASSWORD, NAS_IP_ADDRESS])),
    ];
    for (_, bytes) in &asked {
        lax.send(bytes).unwrap();
    }
    until(&house, "vestibule_logins_total", &asked.each_ref().map(|(why, _)| (*why, 1)));
    until(&house, "vestibule_discards_total", &[("nas_address", 1)]);
    // They are answered alike, and after the same time.
    let mut buffer = [0; 4096];
    lax.set_read_timeout(Some(PATIENCE)).unwrap();
    for _ in asked {
        let length = lax.recv(&mut buffer).unwrap();
        assert_eq!((buffer[0], length > 20), (3, true));
    }
}
