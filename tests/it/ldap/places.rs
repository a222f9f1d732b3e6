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

/// A server with room for forty connections, at a listener with TLS and at one without.
fn house() -> (House, [SocketAddr; 2]) {
    let lab = people("127.0.0.1:0".parse().unwrap());
    let door = |name: &str, how: &str| {
        format!("[[ldap.listen]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\n{how}\ndirectory = \"lab\"\ncode = {{ append = \",\" }}\npolicy = \"codes\"\n")
    };
    let doors = door("tls", "cert_file = \"tls.pem\"\nkey = { file = \"tls-key\" }") + &door("plain", "transport = \"plain\"");
    let folder = furnish(lab.address(), &format!("[limits]\nldap_connections_max = 40\n{doors}"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path().join("tls.pem"), made.cert.pem()).unwrap();
    fs::write(folder.path().join("tls-key"), made.signing_key.serialize_pem()).unwrap();
    fs::set_permissions(folder.path().join("tls-key"), fs::Permissions::from_mode(0o600)).unwrap();
    let house = House::open(folder);
    let doors = [0, 1].map(|at: usize| house.ready["ldap"][at].as_str().unwrap().parse().unwrap());
    (house, doors)
}

/// A connection from `here` that is answered; `None` where there is no place for it.
async fn answered(here: &str, door: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(here.parse().unwrap()).unwrap();
    let mut stream = socket.connect(door).await.unwrap();
    // A door that has closed already may break the pipe.
    let _ = stream.write_all(&extended(1, WHO_AM_I, None)).await;
    let mut told = [0; 1];
    let read = tokio::time::timeout(SOON, stream.read(&mut told)).await.expect("neither an answer nor the end");
    read.is_ok_and(|len| len > 0).then_some(stream)
}

#[tokio::test]
async fn l_044_handshakes_and_one_address_leave_room_for_others() {
    let (_house, [tls, plain]) = house();
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
