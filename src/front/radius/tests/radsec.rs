//! RadSec: who gets a connection, what is said on it, and when it ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::super::Addition;
use super::super::Client;
use super::super::Clients;
use super::super::Settings;
use super::Discards;
use super::World;
use super::client;
use super::settings;
use super::tls::Ca;
use super::tls::Line;
use super::tls::RADSEC;
use super::tls::clear;
use super::within;
use crate::domain::CodeEntry;
use crate::domain::Method;
use crate::wire::radius::Code;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;
use crate::wire::radius::upstream::AccessRequest;
use crate::wire::radius::upstream::Reply;
use crate::wire::radius::upstream::status_server;
use crate::wire::radius::upstream::verify_reply_over_tls;
use crate::wire::radius::upstream::verify_reply_over_tls_11;

fn open(method: Method) -> Line {
    let world = World::new();
    let client = client(&world, method);
    Line::open(world, client)
}

fn certified(world: &Arc<World>) -> Client {
    Client { certificate: Some("nas.example".into()), ..client(world, Method::Oath) }
}

fn login(identifier: u8, name: &str, password: &str) -> Vec<u8> {
    AccessRequest::new(identifier, [identifier + 1; 16]).with(attr::USER_NAME, name.as_bytes()).password(password.as_bytes()).signed(RADSEC).unwrap()
}

fn read<'a>(reply: &'a [u8], sent: &[u8]) -> Reply<'a> {
    verify_reply_over_tls(reply, sent, RADSEC, Integrity::Require, 65_535).unwrap()
}

fn status(identifier: u8) -> Vec<u8> {
    status_server(identifier, &[9; 16], RADSEC).unwrap()
}

#[tokio::test]
async fn r_111_r_116_a_login_with_a_challenge_in_radius_1_0_with_and_without_its_name() {
    for (alpn, tls12) in [(&["radius/1.0"][..], false), (&[][..], false), (&[][..], true), (&["radius/1.0"][..], true)] {
        let line = open(Method::Oath);
        let own = line.ca.leaf("some box", &["nas.example"]);
        let mut nas = line.connect("127.0.0.1", line.config(Some(&own), alpn, tls12)).await.unwrap();
        let first = login(1, "alice", "open sesame");
        let challenge = nas.ask(&first).await;
        let challenge = read(&challenge, &first);
        assert_eq!(challenge.code(), Code::AccessChallenge);
        let state = challenge.state().unwrap();
        let answer = AccessRequest::new(2, [2; 16]).with(attr::USER_NAME, b"alice").with(attr::STATE, state).password(b"123456").signed(RADSEC).unwrap();
        assert_eq!(read(&nas.ask(&answer).await, &answer).code(), Code::AccessAccept);
    }
}

#[tokio::test]
async fn r_116_a_login_in_radius_1_1_needs_no_signature_and_hides_nothing() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&["radius/1.0", "radius/1.1"]).await;
    assert_eq!(nas.stream.get_ref().1.alpn_protocol(), Some(&b"radius/1.1"[..]));
    let first = clear(Code::AccessRequest, 0xdead_beef, &[(attr::USER_NAME, b"alice"), (attr::USER_PASSWORD, b"open sesame")]);
    let challenge = nas.ask(&first).await;
    assert_eq!(challenge[4..20], [&[0xde, 0xad, 0xbe, 0xef][..], &[0; 12]].concat());
    let challenge = verify_reply_over_tls_11(&challenge, &first, 4096).unwrap();
    assert_eq!(challenge.code(), Code::AccessChallenge);
    assert!(!challenge.attributes().contains(attr::MESSAGE_AUTHENTICATOR));
    let state = challenge.state().unwrap();
    // A Message-Authenticator that is nonsense means nothing.
    let answer = clear(
        Code::AccessRequest,
        7,
        &[(attr::MESSAGE_AUTHENTICATOR, &[1; 16]), (attr::USER_NAME, b"alice"), (attr::USER_PASSWORD, b"123456"), (attr::STATE, state)],
    );
    assert_eq!(verify_reply_over_tls_11(&nas.ask(&answer).await, &answer, 4096).unwrap().code(), Code::AccessAccept);
}

#[tokio::test]
async fn r_116_a_token_that_is_used_again_never_gets_anothers_answer() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&["radius/1.1"]).await;
    let good = clear(Code::AccessRequest, 5, &[(attr::USER_NAME, b"alice"), (attr::USER_PASSWORD, b"open sesame")]);
    let challenge = nas.ask(&good).await;
    assert_eq!(nas.ask(&good).await, challenge, "asked again it is the same answer");
    let bad = clear(Code::AccessRequest, 5, &[(attr::USER_NAME, b"alice"), (attr::USER_PASSWORD, b"wrong")]);
    assert_eq!(verify_reply_over_tls_11(&nas.ask(&bad).await, &bad, 4096).unwrap().code(), Code::AccessReject);
    assert_eq!(line.world.checks.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn r_116_radius_1_1_is_not_spoken_below_tls_1_3_nor_by_another_name() {
    let line = open(Method::Oath);
    let own = line.ca.leaf("some box", &["nas.example"]);
    assert!(line.turns_away("127.0.0.1", line.config(Some(&own), &["radius/1.1"], true)).await);
    assert!(line.turns_away("127.0.0.1", line.config(Some(&own), &["h2"], false)).await);
}

#[tokio::test]
async fn r_111_r_112_who_is_not_both_named_and_there_is_turned_away() {
    let line = open(Method::Oath);
    let own = line.ca.leaf("some box", &["nas.example"]);
    let foreign = Ca::new().leaf("some box", &["nas.example"]);
    let misnamed = line.ca.leaf("some box", &["other.nas.example", "*.example"]);
    let config = |own| line.config(own, &[], false);
    assert!(line.turns_away("127.0.0.1", config(None)).await, "no certificate");
    assert!(line.turns_away("127.0.0.1", config(Some(&foreign))).await, "a foreign authority");
    assert!(line.turns_away("127.0.0.1", config(Some(&misnamed))).await, "another name");
    assert!(line.turns_away("127.0.1.1", config(Some(&own))).await, "the right name from elsewhere");
    assert!(!line.connect("127.0.0.1", config(Some(&own))).await.unwrap().ask(&status(0)).await.is_empty());
}

#[tokio::test]
async fn r_112_a_client_goes_by_common_name_dns_name_or_address() {
    let world = World::new();
    for (certificate, common, alternative) in
        [("box 7", "box 7", &[][..]), ("nas.example", "x", &["NAS.example"]), ("10.1.2.3", "x", &["10.1.2.3"]), ("2001:db8::1", "x", &["2001:db8::1"])]
    {
        let line = Line::with(Arc::clone(&world), Client { certificate: Some(certificate.into()), ..client(&world, Method::Oath) }, |_| {});
        let mut nas = line.nas_with(&line.ca.leaf(common, alternative), &[]).await;
        assert_eq!(read(&nas.ask(&status(0)).await, &status(0)).code(), Code::AccessAccept, "{certificate}");
    }
}

#[tokio::test]
async fn r_118_a_client_with_a_certificate_is_not_heard_over_udp() {
    let world = World::new();
    let neighbour = Client { networks: vec!["127.0.0.9".parse().unwrap()], ..client(&world, Method::Oath) };
    let both = Settings { clients: Clients::new(vec![certified(&world), neighbour]), ..settings(certified(&world)) };
    let house = super::open_at("127.0.0.1:0", Arc::clone(&world), both);
    let nas = super::Nas::of(&house).await;
    for secret in [super::SECRET, RADSEC] {
        nas.send(&status_server(1, &[1; 16], secret).unwrap()).await;
    }
    super::Nas::at("127.0.0.9:0", house.door.address()).await.hears_nothing().await;
    assert!(nas.socket.try_recv(&mut [0; 100]).is_err());
}

#[tokio::test]
async fn r_113_what_is_wrong_closes_the_connection() {
    let line = open(Method::Oath);
    let mut flipped = login(1, "alice", "open sesame");
    flipped[30] ^= 1;
    let short = [&[1, 1, 0, 19][..], &[0; 15]].concat();
    let long = [&[1, 1, 0x13, 0x88][..], &[0; 100]].concat();
    let accept = [&[2, 1, 0, 20][..], &[7; 16]].concat();
    let foreign = AccessRequest::new(1, [1; 16]).with(attr::USER_NAME, b"alice").password(b"x").signed(b"another").unwrap();
    for wrong in [b"GET / HTTP/1.1\r\n\r\nxxxxxxxxxxxxxxxx".to_vec(), short, long, flipped, accept, foreign] {
        let mut nas = line.nas(&["radius/1.0"]).await;
        nas.send(&wrong).await;
        assert!(nas.is_closed().await, "{:?}", &wrong[..4]);
    }
    let mut nas = line.nas(&["radius/1.1"]).await;
    nas.send(&[&[3, 0, 0, 20][..], &[7; 16]].concat()).await;
    assert!(nas.is_closed().await, "1.1 too");
    assert_eq!(line.world.resolves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r_032_what_is_not_signed_is_dropped_and_counted_and_its_connection_goes_on() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&["radius/1.0"]).await;
    let status_server = [&[12, 1, 0, 20][..], &[7; 16]].concat();
    let bare = [&[1, 1, 0, 20][..], &[7; 16]].concat();
    let eap = [&[1, 1, 0, 26][..], &[7; 16], &[attr::EAP_MESSAGE, 6, 2, 1, 0, 4]].concat();
    for unsigned in [&status_server, &bare, &eap] {
        nas.send(unsigned).await;
        assert_eq!(read(&nas.ask(&status(0)).await, &status(0)).code(), Code::AccessAccept, "the first to answer is the next");
    }
    let client = Arc::clone(&line.settings.borrow().clients.all()[0]);
    assert_eq!(client.card.tally.habits(tokio::time::Instant::now()).unsigned_dropped, 1);
}

#[tokio::test]
async fn r_017_what_closes_a_connection_is_counted_by_its_name() {
    let discards = Discards::counted();
    let line = open(Method::Oath);
    let own = line.ca.leaf("some box", &["nas.example"]);
    let misnamed = line.ca.leaf("some box", &["other.example"]);
    assert!(line.turns_away("127.0.1.1", line.config(Some(&own), &[], false)).await);
    assert!(line.turns_away("127.0.0.1", line.config(Some(&misnamed), &[], false)).await);
    assert!(line.turns_away("127.0.0.1", line.config(Some(&own), &["radius/1.1"], true)).await);
    assert!(line.turns_away("127.0.0.1", line.config(None, &[], false)).await);
    let mut plain = TcpStream::connect(line.door.address()).await.unwrap();
    plain.write_all(&login(1, "alice", "open sesame")).await.unwrap();
    while within(plain.read(&mut [0; 100])).await.is_ok_and(|count| count > 0) {}
    assert_eq!(["unknown_client", "certificate", "tls_version", "handshake"].map(|why| discards.of(why)), [1, 1, 1, 2]);

    let good = login(1, "alice", "open sesame");
    let mut flipped = good.clone();
    flipped[30] ^= 1;
    let framed = |kind: u8, rest: &[u8]| [&[kind, 1, 0, u8::try_from(20 + rest.len()).unwrap()][..], &[7; 16], rest].concat();
    for (why, packet) in [
        ("length", [&[1, 1, 0, 19][..], &[0; 15]].concat()),
        ("code", framed(2, &[])),
        ("attribute", framed(1, &[1, 1])),
        ("wrong_signature", flipped),
        ("broken_signature", framed(1, &[80, 3, 0])),
        ("wrong_authenticator", framed(4, &[])),
    ] {
        assert_eq!(discards.of(why), 0, "{why}");
        let mut nas = line.nas(&["radius/1.0"]).await;
        nas.send(&packet).await;
        assert!(nas.is_closed().await, "{why}");
        assert_eq!(discards.of(why), 1, "{why}");
    }
    for (why, packet) in [("unsigned", framed(1, &[])), ("unsigned_status", framed(12, &[])), ("unsigned_eap", framed(1, &[79, 2]))] {
        let mut nas = line.nas(&["radius/1.0"]).await;
        nas.send(&packet).await;
        nas.ask(&status(0)).await;
        assert_eq!(discards.of(why), 1, "{why}");
    }
    assert_eq!(line.world.resolves.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn r_113_packets_may_come_in_pieces_and_together() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&[]).await;
    let all: Vec<_> = (0..20).map(|identifier| login(identifier, "nobody", &identifier.to_string())).collect();
    for piece in all.concat().chunks(33) {
        nas.send(piece).await;
    }
    let mut answered: Vec<u8> = Vec::new();
    for _ in &all {
        let reply = nas.receive().await;
        assert_eq!(read(&reply, &all[usize::from(reply[1])]).code(), Code::AccessReject);
        answered.push(reply[1]);
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..20).collect::<Vec<u8>>());
}

#[tokio::test]
async fn r_056_a_closed_connection_gives_up_what_was_asked_on_it() {
    let line = open(Method::Push);
    let mut nas = line.nas(&[]).await;
    nas.send(&login(1, "alice", "open sesame")).await;
    line.world.push_seen().await;
    drop(nas);
    line.world.push_seen().await;
    assert_eq!(line.world.cancels.load(Ordering::SeqCst), 1);
    let mut nas = line.nas(&[]).await;
    nas.send(&login(1, "alice", "open sesame")).await;
    line.world.push_seen().await;
    assert_eq!(line.world.pushes.load(Ordering::SeqCst), 2, "on another connection it is another request");
}

#[tokio::test]
async fn r_105_status_server_is_answered_between_logins() {
    let line = open(Method::Push);
    let mut nas = line.nas(&[]).await;
    let first = login(1, "alice", "open sesame");
    nas.send(&first).await;
    line.world.push_seen().await;
    assert_eq!(read(&nas.ask(&status(0)).await, &status(0)).code(), Code::AccessAccept);
    line.world.approve();
    assert_eq!(read(&nas.receive().await, &first).code(), Code::AccessAccept);
}

#[tokio::test]
async fn r_115_connections_are_counted_for_all_and_for_each_client() {
    let world = World::new();
    let bounds: [fn(&mut super::super::TlsSettings); 2] = [|tls| tls.connections_max = 1, |tls| tls.client_connections_max = 1];
    for bound in bounds {
        let line = Line::with(Arc::clone(&world), certified(&world), bound);
        let own = line.ca.leaf("some box", &["nas.example"]);
        let mut first = line.nas(&[]).await;
        first.ask(&status(0)).await;
        assert!(line.turns_away("127.0.0.1", line.config(Some(&own), &[], false)).await);
        first.stream.shutdown().await.unwrap();
        assert!(first.is_closed().await);
        let mut tries = 0;
        while line.turns_away_asking(&own).await {
            tries += 1;
            assert!(tries < 100, "the place is not given back");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r_115_a_handshake_that_does_not_go_on_is_ended() {
    let line = open(Method::Oath);
    let mut slow = TcpStream::connect(line.door.address()).await.unwrap();
    slow.write_all(&[22, 3, 1]).await.unwrap();
    assert_eq!(within(slow.read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn r_115_a_connection_that_is_idle_is_ended() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&[]).await;
    nas.ask(&status(0)).await;
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(nas.stream.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert!(began.elapsed() > Duration::from_secs(600));
}

#[tokio::test]
async fn r_117_what_does_not_fit_is_told_by_protocol_error_and_fits_where_more_is_configured() {
    let world = World::new();
    let addition = Addition { group: None, attribute: [&[attr::REPLY_MESSAGE, 255][..], &[b'x'; 253]].concat() };
    let client = Client { code: CodeEntry::Append(",".into()), additions: vec![addition; 17].into(), ..certified(&world) };
    for (packet_bytes_max, code) in [(4096, Code::ProtocolError), (65_535, Code::AccessAccept)] {
        let line = Line::with(Arc::clone(&world), client.clone(), |tls| tls.packet_bytes_max = packet_bytes_max);
        let mut nas = line.nas(&[]).await;
        let asked = login(1, "alice", "open sesame,123456");
        let reply = nas.ask(&asked).await;
        let reply = read(&reply, &asked);
        assert_eq!(reply.code(), code);
        let cause = reply.attributes().first(attr::ERROR_CAUSE).and_then(|attribute| attribute.integer());
        assert_eq!(cause, (code == Code::ProtocolError).then_some(601));
    }
    let seen = client.card.tally.habits(tokio::time::Instant::now());
    assert_eq!((seen.accepts, seen.drops), (1, 1), "each counts as what the client was told");
}

#[tokio::test]
async fn r_112_a_new_certificate_is_shown_to_the_next_and_a_lost_authority_ends_the_old() {
    let line = open(Method::Oath);
    let mut first = line.nas(&[]).await;
    first.ask(&status(0)).await;
    let own = line.ca.leaf("server", &["localhost"]);
    line.tls.send_replace(Arc::new(line.ca.tls(&own)));
    let mut second = line.nas(&[]).await;
    assert_eq!(second.stream.get_ref().1.peer_certificates().unwrap()[0], own.certificate);
    for nas in [&mut first, &mut second] {
        assert_eq!(read(&nas.ask(&status(1)).await, &status(1)).code(), Code::AccessAccept, "it stays open");
    }
    line.tls.send_replace(Arc::new(Ca::new().tls(&own)));
    assert!(first.is_closed().await && second.is_closed().await);
}

#[tokio::test]
async fn r_112_a_certificate_that_was_taken_back_ends_its_connection_and_gets_none() {
    let line = open(Method::Oath);
    let (lost, own) = (line.ca.leaf("a stolen box", &["nas.example"]), line.ca.leaf("some box", &["nas.example"]));
    let (mut thief, mut nas) = (line.nas_with(&lost, &[]).await, line.nas_with(&own, &[]).await);
    for peer in [&mut thief, &mut nas] {
        assert_eq!(read(&peer.ask(&status(0)).await, &status(0)).code(), Code::AccessAccept);
    }
    let server = line.ca.leaf("server", &["localhost"]);
    line.tls.send_replace(Arc::new(line.ca.tls_without(&server, vec![line.ca.revocations(&[&lost], false)])));
    assert!(thief.is_closed().await);
    assert!(line.turns_away("127.0.0.1", line.config(Some(&lost), &[], false)).await);
    assert_eq!(read(&nas.ask(&status(1)).await, &status(1)).code(), Code::AccessAccept, "who is not on the list stays");
    line.nas_with(&own, &[]).await.ask(&status(2)).await;

    // Whether somebody is on a list that is late, or of another authority, nobody knows.
    for unknown in [line.ca.revocations(&[], true), Ca::new().revocations(&[], false)] {
        line.tls.send_replace(Arc::new(line.ca.tls_without(&server, vec![unknown])));
        assert!(line.turns_away("127.0.0.1", line.config(Some(&own), &[], false)).await);
    }
    assert!(nas.is_closed().await);
}

#[tokio::test]
async fn r_112_a_client_that_is_taken_out_of_the_configuration_loses_its_connection() {
    let line = open(Method::Oath);
    let mut nas = line.nas(&[]).await;
    nas.ask(&status(0)).await;
    line.settings.send_replace(Arc::new(settings(Client { certificate: Some("else.example".into()), ..client(&line.world, Method::Oath) })));
    assert!(nas.is_closed().await);
}

#[tokio::test]
async fn a_drained_listener_ends_what_it_began_and_hears_nothing_more() {
    let line = open(Method::Push);
    let (mut nas, mut idle) = (line.nas(&[]).await, line.nas(&[]).await);
    idle.ask(&status(0)).await;
    let asked = login(1, "alice", "open sesame");
    nas.send(&asked).await;
    line.world.push_seen().await;
    let drained = tokio::spawn(line.door.drain(Duration::from_secs(10)));
    assert!(idle.is_closed().await);
    nas.send(&login(2, "bob", "open sesame")).await;
    line.world.approve();
    assert_eq!(read(&nas.receive().await, &asked).code(), Code::AccessAccept);
    assert!(nas.is_closed().await);
    within(drained).await.unwrap();
    assert_eq!(line.world.resolves.load(Ordering::SeqCst), 1, "bob was not heard");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_gives_connections_up() {
    let line = open(Method::Push);
    let mut nas = line.nas(&[]).await;
    nas.send(&login(1, "alice", "open sesame")).await;
    line.world.push_seen().await;
    within(line.door.drain(Duration::ZERO)).await;
    line.world.push_seen().await;
    assert_eq!(line.world.cancels.load(Ordering::SeqCst), 1);
    assert!(nas.is_closed().await);
}
