//! How many connections the real binary has room for, in all, for one address, and for TLS handshakes that do not go on.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::client::SOON;
use super::client::extended;
use crate::lab::House;
use crate::lab::furnish;
use crate::lab::people;

const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

/// A server with room for forty connections, at a listener with TLS, at one without, and at one behind a balancer.
fn house() -> (House, [SocketAddr; 3]) {
    let lab = people("127.0.0.1:0".parse().unwrap());
    let door = |name: &str, how: &str| {
        format!("[[ldap.listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\n{how}\ndirectory = \"lab\"\ncode = {{ append = \",\" }}\npolicy = \"codes\"\n")
    };
    let doors = door("tls", "cert_file = \"tls.pem\"\nkey = { file = \"tls-key\" }")
        + &door("plain", "transport = \"plain\"")
        + &door("behind", "transport = \"plain\"\nproxy_from = [\"127.0.0.0/8\"]");
    let folder = furnish(lab.address(), &format!("[limits]\nldap_connections_max = 40\n{doors}"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("tls.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("tls-key"), made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(folder.path().join("tls-key"), fs::Permissions::from_mode(0o600)).unwrap();
    let house = House::open(folder);
    let doors = [0, 1, 2].map(|at: usize| house.ready["ldap"][at].as_str().unwrap().parse().unwrap());
    (house, doors)
}

/// A connection from `here` that is answered; `None` where there is no place for it.
async fn answered(here: &str, door: SocketAddr) -> Option<TcpStream> {
    answered_after(&[], here, door).await
}

/// The same, when this was said first.
async fn answered_after(said: &[u8], here: &str, door: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(here.parse().unwrap()).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    // A door that has closed already may break the pipe.
    let _ = stream.write_all(&[said, &extended(1, WHO_AM_I, None)].concat()).await;
    let mut told = [0; 1];
    let read = tokio::time::timeout(SOON, stream.read(&mut told)).await.expect("neither an answer nor the end");
    read.is_ok_and(|len| len > 0).then_some(stream)
}

#[tokio::test]
async fn l_044_handshakes_and_one_address_leave_room_for_others() {
    let (_house, [tls, plain, _]) = house();
    // A quarter of forty may shake hands, and one address three quarters of that, rounded up: eight. Nine say nothing.
    let mut silent = JoinSet::new();
    for _ in 0..9 {
        let mut stream = TcpStream::connect(tls).await.unwrap();
        silent.spawn(async move { stream.read(&mut [0; 1]).await.map(|len| (len, stream)) });
    }
    // Ten seconds is what a handshake may take: whoever goes before that was turned away.
    let turned = tokio::time::timeout(Duration::from_secs(8), silent.join_next()).await.expect("nobody is turned away");
    assert!(!matches!(turned, Some(Ok(Ok((1.., _))))), "{turned:?}");
    assert_eq!(silent.len(), 8);

    let mut others = Vec::new();
    while let Some(stream) = answered("127.0.0.1:0", plain).await {
        others.push(stream);
    }
    assert!((29..=30).contains(&others.len()), "{}: one address has 38 of 40 places", others.len());
    let far = answered("127.0.0.2:0", plain).await;
    assert!(far.is_some(), "another address still finds one");
}

#[tokio::test]
async fn l_044_behind_a_balancer_one_caller_leaves_room_for_others() {
    let (_house, [_, _, behind]) = house();
    let from = |host: u8| [&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..], &[192, 0, 2, host, 127, 0, 0, 1, 0x30, 0x39, 2, 124]].concat();
    let mut callers = Vec::new();
    while let Some(stream) = answered_after(&from(7), "127.0.0.1:0", behind).await {
        callers.push(stream);
    }
    assert_eq!(callers.len(), 38, "one caller has 38 of 40 places, whoever brings it");
    let other = answered_after(&from(8), "127.0.0.1:0", behind).await;
    assert!(other.is_some(), "the balancer brings others still");
}

#[tokio::test]
async fn l_044_a_balancer_that_does_not_tell_whom_it_brings_has_few_places() {
    let (_house, [_, _, behind]) = house();
    let mut silent = JoinSet::new();
    for _ in 0..9 {
        let mut stream = TcpStream::connect(behind).await.unwrap();
        silent.spawn(async move { stream.read(&mut [0; 1]).await.map(|len| (len, stream)) });
    }
    let turned = tokio::time::timeout(Duration::from_secs(8), silent.join_next()).await.expect("nobody is turned away");
    assert!(!matches!(turned, Some(Ok(Ok((1.., _))))), "{turned:?}");
    assert_eq!(silent.len(), 8);
}
