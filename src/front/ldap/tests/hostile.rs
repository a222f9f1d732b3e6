//! Directories that mean harm, or have lost their minds: they end their own connection and nothing else, and make nothing grow.

use super::stage::Actor;
use super::stage::Stage;
use super::stage::element;
use super::stage::extended;
use super::stage::message;
use super::stage::present;
use super::stage::result;
use super::stage::search;
use super::*;

/// Bytes that are no answer to anybody, however much of a directory says them.
fn nonsense() -> Vec<(&'static str, Vec<u8>)> {
    let mut deep = element(0x04, b"");
    for _ in 0..70 {
        deep = element(0x30, &deep);
    }
    vec![
        ("no LDAP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("NULs", vec![0; 100]),
        ("a PDU of 4 GiB", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
        ("a PDU over the limit", vec![0x30, 0x84, 0x00, 0x10, 0x00, 0x00]),
        ("an indefinite length", vec![0x30, 0x80, 0x02, 0x01, 0x02]),
        ("a length in nine octets", vec![0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 9]),
        ("too deep", message(2, 0x64, &deep, &[])),
        ("a length that does not fit", message(2, 0x65, &[0x0a, 0x05, 0x00], &[])),
        ("a request", search(2, "", 0, &present(), &[])),
        ("an operation nobody knows", message(2, 0x7e, b"", &[])),
        ("a negative id", vec![0x30, 0x05, 0x02, 0x01, 0x80, 0x65, 0x00]),
        ("id 0 with a result", vec![0x30, 0x05, 0x02, 0x01, 0x00, 0x65, 0x00]),
        ("a tag in two octets", vec![0x3f, 0x81, 0x00, 0x00]),
    ]
}

#[tokio::test(start_paused = true)]
async fn l_032_l_040_l_042_what_is_no_answer_ends_the_connection_of_who_is_bound() {
    for (what, bytes) in nonsense() {
        let (mut caller, mut actor) = Stage::bound().await;
        caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
        actor.hears().await.unwrap();
        actor.says(&bytes).await;
        assert_eq!(caller.hears().await, (0, 80), "{what}");
        assert_eq!(caller.frame().await, None, "{what}");
        actor.is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn l_080_an_answer_to_a_bind_that_is_none_lets_nobody_in_and_its_connection_goes() {
    let with_code = |id, op, code| result(id, op, code, b"", &[], &[]);
    let mut answers = nonsense();
    answers.extend([
        ("another's answer", with_code(9, 0x61, 0)),
        ("another operation's", with_code(1, 0x65, 0)),
        ("no result in it", message(1, 0x61, b"", &[])),
        ("a result that is no number", message(1, 0x61, &[element(0x0a, b""), element(0x04, b""), element(0x04, b"")].concat(), &[])),
        ("a negative result", with_code(1, 0x61, 0x80)),
        ("goodbye", crate::wire::ldap::notice(Code::Unavailable, "")),
        ("busy, then well", [with_code(1, 0x61, 51), with_code(1, 0x61, 0)].concat()),
        ("more than an answer to a bind may be", message(1, 0x61, &[element(0x0a, &[0]), element(0x04, b""), element(0x04, &[b'x'; 300_000])].concat(), &[])),
    ]);
    for (what, bytes) in answers {
        let (stage, mut actors) = Stage::new();
        let mut caller = Caller::of(stage, HERE, Duration::ZERO);
        caller.says(&bind_request(1, "one", b"pass")).await;
        let mut actor = actors.recv().await.unwrap();
        actor.hears_bind(1).await;
        // What is not read any more may break the pipe under the speaker.
        let _ = actor.stream.write_all(&bytes).await;
        assert_eq!(caller.hears().await, (1, 52), "{what}");
        assert_eq!(caller.frame().await, None, "{what}");
        actor.is_left().await;
        assert!(actors.try_recv().is_err(), "{what}: a password is not sent twice");
    }
}

#[tokio::test(start_paused = true)]
async fn l_073_a_directory_that_does_not_say_who_was_bound_lets_nobody_in() {
    let one = |id| wire_entry(id, &Found { dn: String::new(), attributes: vec![("tokenGroups".into(), vec![vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]])] });
    let done = || result(1, 0x65, 0, b"", &[], &[]);
    let huge = Found { dn: String::new(), attributes: vec![("tokenGroups".into(), vec![vec![]; 200_000])] };
    let cases: Vec<(&str, Vec<u8>, u32)> = vec![
        ("nothing at all", done(), 49),
        ("an entry of another question", [one(7), done()].concat(), 52),
        ("two entries", [one(1), one(1), done()].concat(), 52),
        ("references without end", [message(1, 0x73, &element(0x04, b"ldap://x"), &[]).repeat(40), one(1), done()].concat(), 52),
        ("an entry of 400 KB in 200,000 pieces", wire_entry(1, &huge), 52),
        (
            "a SID with NULs behind it",
            [wire_entry(1, &Found { dn: String::new(), attributes: vec![("tokenGroups".into(), vec![vec![1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0, 0]])] }), done()]
                .concat(),
            49,
        ),
    ];
    for (what, bytes, code) in cases {
        let (stage, mut actors) = Stage::new();
        let mut caller = Caller::of(stage, HERE, Duration::ZERO);
        caller.says(&bind_request(1, "one", b"pass")).await;
        let mut actor = actors.recv().await.unwrap();
        actor.hears_bind(1).await;
        actor.says(&wire_answer(Op::Bind, 1, Code::Success, "")).await;
        actor.hears().await.unwrap();
        let _ = actor.stream.write_all(&bytes).await;
        assert_eq!(caller.hears().await, (1, code), "{what}");
        actor.is_left().await;
    }
}

#[tokio::test(start_paused = true)]
async fn l_073_a_directory_that_trickles_is_left_after_ten_seconds_for_each_answer() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    let began = Instant::now();
    caller.says(&bind_request(1, "one", b"pass")).await;
    let mut actor = actors.recv().await.unwrap();
    actor.hears_bind(1).await;
    let speaking = async {
        for byte in [0x30, 0x84, 0, 0, 0xff, 0xff].into_iter().chain(std::iter::repeat(0)) {
            if actor.stream.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (heard, ()) = tokio::join!(caller.hears(), speaking);
    assert_eq!((heard, began.elapsed().as_secs() / 12), ((1, 52), 0), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l_073_many_slow_answers_to_one_question_have_the_time_of_one() {
    for binds in [true, false] {
        let (stage, mut actors) = Stage::new();
        let mut caller = Caller::of(stage, HERE, Duration::ZERO);
        let began = Instant::now();
        if binds {
            caller.says(&bind_request(1, "one", b"pass")).await;
        } else {
            caller.says(&search(1, "", 0, &present(), &[])).await;
        }
        let mut actor = actors.recv().await.unwrap();
        if binds {
            actor.hears_bind(1).await;
            actor.says(&wire_answer(Op::Bind, 1, Code::Success, "")).await;
        }
        actor.hears().await.unwrap();
        let speaking = async {
            while actor.stream.write_all(&message(1, 0x73, &element(0x04, b"ldap://x"), &[])).await.is_ok() {
                sleep(Duration::from_secs(4)).await;
            }
        };
        let (heard, ()) = tokio::join!(caller.hears(), speaking);
        assert_eq!(heard, (1, 52), "{binds}");
        assert!(began.elapsed().as_secs() <= 12, "{binds} {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn l_089_answers_to_nothing_come_without_end_and_nothing_grows() {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    let strange: Vec<u8> = (1_000..1_100)
        .flat_map(|id| {
            [wire_entry(id, &Found { dn: "CN=x".into(), attributes: vec![("x".into(), vec![vec![0; 9_000]])] }), result(id, 0x67, 0, b"", &[], &[])].concat()
        })
        .collect();
    for _ in 0..30 {
        actor.says(&strange).await;
    }
    // An answer of another kind than the question is made one of its kind; an entry for a Modify is nobody's.
    actor.says(&result(2, 0x78, 12, b"no", &element(0x8a, b"1.2.3"), &[])).await;
    let told = caller.frame().await.unwrap();
    let frame = Frame::split(&told, 1_000).unwrap().unwrap();
    assert_eq!((frame.id, frame.op, frame.result().unwrap().code), (2, 0x65, 12), "27 MB of answers to nobody were left out");
}

#[tokio::test(start_paused = true)]
async fn l_026_other_notifications_than_goodbye_pass_to_who_is_bound_and_end_nothing() {
    let (mut caller, mut actor) = Stage::bound().await;
    let aborted = crate::wire::ldap::extended_answer(0, Code::Busy, "", Some("1.3.6.1.1.21.4"), Some(b"\0"));
    actor.says(&aborted).await;
    assert_eq!(caller.frame().await, Some(aborted.clone()));
    caller.says(&extended(2, "1.2.3", None)).await;
    actor.hears().await.unwrap();
    actor.says(&result(2, 0x78, 0, b"", &[], &[])).await;
    assert_eq!(caller.hears().await, (2, 0));
    let goodbye = crate::wire::ldap::notice(Code::Busy, "the directory goes");
    actor.says(&goodbye).await;
    assert_eq!((caller.frame().await, caller.frame().await), (Some(goodbye.clone()), None));

    // Whoever is nobody hears neither, and asks again on another connection.
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    caller.says(&search(1, "", 0, &present(), &[])).await;
    let mut actor: Actor = actors.recv().await.unwrap();
    actor.tells_root().await;
    actor.hears().await.unwrap();
    actor.says(&[aborted, goodbye].concat()).await;
    assert_eq!(caller.hears().await, (1, 52));
    actor.is_left().await;
    caller.says(&search(2, "", 0, &present(), &[])).await;
    actors.recv().await.unwrap().tells_root().await;
}

/// Entries of 100,000 bytes for the search 2, until nobody takes them; how many bytes went out is counted as they go.
async fn floods(mut actor: Actor, sent: watch::Sender<usize>) {
    let piece = wire_entry(2, &Found { dn: "CN=x".into(), attributes: vec![("x".into(), vec![vec![7; 100_000]])] });
    'all: for _ in 0..4_000 {
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            let Ok(len) = actor.stream.write(rest).await else { break 'all };
            sent.send_modify(|sent| *sent += len);
            rest = &rest[len..];
        }
    }
    let _ = actor.stream.write_all(&result(2, 0x65, 0, b"", &[], &[])).await;
    // Open until the door leaves.
    let _ = actor.stream.read_buf(&mut Vec::new()).await;
}

/// What may lie between a directory and a client: the pipes of both sides, a frame and a piece of the next one in our inbox, two frames in our outbox.
const BETWEEN_MAX: usize = 65_536 + 4_096 + 600_000;

#[tokio::test(start_paused = true)]
async fn l_044_l_089_of_what_a_client_does_not_read_little_is_held_and_not_for_long() {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    let (count, sent) = watch::channel(0);
    let began = Instant::now();
    tokio::spawn(floods(actor, count)).await.unwrap();
    let sent = *sent.borrow();
    assert!((100_000..BETWEEN_MAX).contains(&sent), "{sent} bytes were taken of 400 MB that nobody reads");
    let waited = began.elapsed().as_secs();
    assert!((120..125).contains(&waited), "{waited}: whoever reads nothing for two minutes is gone");
}

#[tokio::test(start_paused = true)]
async fn l_089_sixty_megabytes_pass_and_hardly_any_are_held() {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
    actor.hears().await.unwrap();
    let (count, sent) = watch::channel(0);
    tokio::spawn(floods(actor, count));
    let mut read = caller.buffer.len();
    let mut held_max = 0;
    let mut buffer = vec![0; 65_536];
    while read < 60_000_000 {
        let len = caller.stream.read(&mut buffer).await.unwrap();
        assert_ne!(len, 0, "after {read} bytes");
        read += len;
        held_max = held_max.max(sent.borrow().saturating_sub(read));
    }
    assert!(held_max < BETWEEN_MAX, "{held_max}");
}

#[tokio::test(start_paused = true)]
async fn l_032_l_042_no_bytes_of_a_directory_upset_the_door() {
    use proptest::strategy::Strategy;
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let any = proptest::collection::vec(proptest::num::u8::ANY, 0..200);
    for round in 0..200 {
        let mut bytes = any.new_tree(&mut runner).unwrap().current();
        if round % 2 == 0 {
            bytes = message(2, 0x64 + u8::try_from(round % 16).unwrap(), &bytes, &[]);
        }
        let (mut caller, mut actor) = Stage::bound().await;
        caller.says(&search(2, "DC=corp", 2, &present(), &[])).await;
        actor.hears().await.unwrap();
        let _ = actor.stream.write_all(&bytes).await;
        drop(actor);
        // However it ends, it ends with a word that the client reads as LDAP.
        while caller.frame().await.is_some() {}
    }
}
