//! What is too much, and how it is said.

use super::stage::Stage;
use super::stage::element;
use super::stage::extended;
use super::stage::message;
use super::stage::present;
use super::stage::result;
use super::stage::search;
use super::*;

const WHO_AM_I: &str = "1.3.6.1.4.1.4203.1.11.3";

#[tokio::test(start_paused = true)]
async fn l_041_before_a_bind_a_hundred_questions_may_be_open() {
    let (stage, mut actors) = Stage::new();
    let mut caller = Caller::of(stage, HERE, Duration::ZERO);
    caller.says(&search(1, "", 0, &present(), &[])).await;
    let mut actor = actors.recv().await.unwrap();
    actor.tells_root().await;
    for id in 2..=101 {
        caller.says(&search(id, "", 0, &present(), &[])).await;
    }
    assert_eq!(caller.hears().await, (101, 51), "busy, and the connection goes on");
    for id in 1..=100 {
        let asked = actor.hears().await.unwrap();
        assert_eq!(Frame::split(&asked, 1_000).unwrap().unwrap().id, id);
    }
    actor.says(&result(7, 0x65, 0, b"", &[], &[])).await;
    assert_eq!(caller.hears().await, (7, 0));
    caller.says(&search(101, "", 0, &present(), &[])).await;
    assert!(actor.hears().await.is_some(), "a place is free again");
}

/// A filter of so many levels, its lengths as short as they can be.
fn deep(levels: usize) -> Vec<u8> {
    let mut filter: Vec<u8> = present().into_iter().rev().collect();
    for _ in 0..levels {
        let len = filter.len();
        // Written from its end, so that a hundred thousand levels take no hundred thousand copies.
        if len < 0x80 {
            filter.push(u8::try_from(len).unwrap());
        } else {
            let octets: Vec<u8> = len.to_le_bytes().into_iter().collect();
            let used = octets.iter().rposition(|octet| *octet != 0).unwrap() + 1;
            filter.extend(&octets[..used]);
            filter.push(0x80 | u8::try_from(used).unwrap());
        }
        filter.push(0xa2);
    }
    filter.reverse();
    filter
}

#[tokio::test(start_paused = true)]
async fn l_042_a_filter_of_100000_levels_is_refused_and_one_of_sixty_passes() {
    let (mut caller, mut actor) = Stage::bound().await;
    // The message, the search, and the innermost, which holds nothing: 61 levels of filter fill 64.
    let fits = search(2, "DC=corp", 2, &deep(61), &[]);
    caller.says(&fits).await;
    assert_eq!(actor.hears().await, Some(fits));
    caller.says(&search(3, "DC=corp", 2, &deep(100_000), &[])).await;
    caller.is_dismissed(2).await;
    actor.is_left().await;

    let mut caller = Caller::of(Stage::new().0, HERE, Duration::ZERO);
    caller.says(&search(1, "", 0, &deep(63), &[])).await;
    caller.is_dismissed(2).await;
    let mut caller = Caller::of(Stage::new().0, HERE, Duration::ZERO);
    // Longer than anything before a bind may be: its head is enough, and the rest finds nobody.
    let _ = caller.stream.write_all(&search(1, "", 0, &deep(100_000), &[])).await;
    caller.is_dismissed(2).await;
}

#[tokio::test(start_paused = true)]
async fn l_043_wide_filters_and_long_lists_of_attributes_are_refused_in_the_kind_of_a_search() {
    let (mut caller, mut actor) = Stage::bound().await;
    let any_of = |count: usize| element(0xa1, &present().repeat(count));
    let wide = search(2, "DC=corp", 2, &any_of(19_999), &[]);
    caller.says(&wide).await;
    assert_eq!(actor.hears().await, Some(wide));
    caller.says(&search(3, "DC=corp", 2, &any_of(20_000), &[])).await;
    assert_eq!(caller.hears().await, (3, 11));
    let asking = |count: usize| {
        let numbers = [element(0x0a, &[0]), element(0x0a, &[0]), element(0x02, &[0]), element(0x02, &[0]), element(0x01, &[0])].concat();
        let attributes = element(0x30, &element(0x04, b"cn").repeat(count));
        message(4, 0x63, &[element(0x04, b"DC=corp"), numbers, present(), attributes].concat(), &[])
    };
    caller.says(&asking(2_001)).await;
    assert_eq!(caller.hears().await, (4, 11));
    caller.says(&asking(2_000)).await;
    assert_eq!(actor.hears().await, Some(asking(2_000)));

    let mut nobody = Caller::of(Stage::new().0, HERE, Duration::ZERO);
    nobody.says(&search(1, "", 0, &any_of(20_000), &[])).await;
    assert_eq!(nobody.hears().await, (1, 11), "the root DSE too");
}

#[tokio::test(start_paused = true)]
async fn l_043_more_than_64_controls_end_the_connection() {
    let (mut caller, mut actor) = Stage::bound().await;
    let one = stage::controls(&[("1.2.3", false, b"")]);
    let many = |count: usize| element(0xa0, &one[2..].repeat(count));
    let fits = search(2, "DC=corp", 2, &present(), &many(64));
    caller.says(&fits).await;
    assert_eq!(actor.hears().await, Some(fits));
    caller.says(&search(3, "DC=corp", 2, &present(), &many(65))).await;
    caller.is_dismissed(2).await;
}

#[tokio::test(start_paused = true)]
async fn l_046_a_scope_that_is_none_is_a_protocol_error_of_the_search_and_a_number_that_is_none_ends_the_connection() {
    let (mut caller, mut actor) = Stage::bound().await;
    for scope in [4, 0x7f] {
        caller.says(&search(2, "DC=corp", scope, &present(), &[])).await;
        assert_eq!(caller.hears().await, (2, 2), "{scope}");
    }
    let below = search(3, "DC=corp", 3, &present(), &[]);
    caller.says(&below).await;
    assert_eq!(actor.hears().await, Some(below), "OpenLDAP's subordinate scope");
    let follows = |how: u8| {
        let numbers = [element(0x0a, &[0]), element(0x0a, &[how]), element(0x02, &[0]), element(0x02, &[0]), element(0x01, &[0])].concat();
        message(4, 0x63, &[element(0x04, b"DC=corp"), numbers, present(), element(0x30, &[])].concat(), &[])
    };
    caller.says(&follows(4)).await;
    assert_eq!(caller.hears().await, (4, 2));
    caller.says(&search(5, "DC=corp", 0x80, &present(), &[])).await;
    caller.is_dismissed(2).await;
}

#[tokio::test(start_paused = true)]
async fn l_044_a_directory_that_takes_nothing_for_two_minutes_is_left() {
    let (mut caller, actor) = Stage::bound().await;
    let began = Instant::now();
    let large = extended(2, "1.2.3.4", Some(&[7; 300_000]));
    caller.says(&large).await;
    assert_eq!(caller.hears().await, (0, 52));
    let waited = began.elapsed().as_secs();
    assert!((120..125).contains(&waited), "{waited}");
    drop(actor);
}

#[tokio::test(start_paused = true)]
async fn l_044_a_client_that_reads_slowly_but_reads_is_served() {
    let (mut caller, mut actor) = Stage::bound().await;
    caller.says(&extended(2, "1.2.3.4", None)).await;
    actor.hears().await.unwrap();
    let value = element(0x8b, &[7; 200_000]);
    let large = result(2, 0x78, 0, b"", &value, &[]);
    actor.says(&large).await;
    let mut told = 0;
    while told < large.len() {
        sleep(Duration::from_secs(60)).await;
        let mut piece = vec![0; 8_192];
        let len = caller.stream.read(&mut piece).await.unwrap();
        assert_ne!(len, 0, "closed after {told} bytes");
        told += len;
    }
    caller.says(&extended(3, WHO_AM_I, None)).await;
    assert_eq!(caller.hears().await, (3, 0));
}
