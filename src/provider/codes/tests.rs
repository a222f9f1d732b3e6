//! Codes: few, short-lived, good once, for one login.

use super::*;
use crate::domain::Account;
use crate::domain::Choice;
use crate::domain::Method;
use crate::domain::Trace;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const TO: &str = "+4917012345678";

fn codes(day_max: u32) -> Codes {
    Codes::new("sms", Habits { digits: 6, caps: Caps { day_max, day_total_max: 5_000 }, text: None, texts: Arc::default() })
}

fn asking(who: &str, trace: u128) -> Asking {
    let identity = Identity(who.into());
    let account = Account::new(identity.clone(), who, None, Timestamp(0)).into();
    Asking { identity, account, choice: Choice::new(Method::Text, "sms"), client: "vpn".into(), source: None, trace: Trace(trace) }
}

fn wrong(code: &Secret) -> Secret {
    Secret::from(if *code == Secret::from("000000") { "000001" } else { "000000" })
}

#[tokio::test]
async fn m_03_of_64_at_once_one_redeems_a_code() {
    let codes = Arc::new(codes(5));
    let alice = asking("alice", 1);
    let issued = codes.issue(&alice, TO, NOW).unwrap();
    let threads: Vec<_> = (0..64)
        .map(|_| {
            let (codes, alice, ticket, code) = (Arc::clone(&codes), alice.clone(), issued.ticket.clone(), issued.code.clone());
            std::thread::spawn(move || codes.redeem(&alice, Some(&ticket), &code).is_ok())
        })
        .collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn m_05_three_wrong_tries_end_a_code() {
    let codes = codes(5);
    let alice = asking("alice", 1);
    let issued = codes.issue(&alice, TO, NOW).unwrap();
    for _ in 0..3 {
        assert_eq!(codes.redeem(&alice, Some(&issued.ticket), &wrong(&issued.code)), Err(FactorError::BadCode));
    }
    assert_eq!(codes.redeem(&alice, Some(&issued.ticket), &issued.code), Err(FactorError::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_code_lives_five_minutes() {
    let codes = codes(5);
    let alice = asking("alice", 1);
    let issued = codes.issue(&alice, TO, NOW).unwrap();
    tokio::time::advance(KEEP).await;
    assert_eq!(codes.redeem(&alice, Some(&issued.ticket), &issued.code), Err(FactorError::Expired));
    let issued = codes.issue(&alice, TO, NOW).unwrap();
    tokio::time::advance(KEEP - Duration::from_millis(1)).await;
    assert_eq!(codes.redeem(&alice, Some(&issued.ticket), &issued.code), Ok(()));
    tokio::time::advance(KEEP).await;
    codes.issue(&alice, TO, NOW).unwrap();
    let out = codes.out();
    assert_eq!((out.codes.len(), out.of.len(), out.ends.len()), (1, 1, 1), "what is over holds no room");
}

#[tokio::test]
async fn m_12_a_code_is_for_its_own_login_and_person() {
    let codes = codes(5);
    let (alice, bob) = (asking("alice", 1), asking("bob", 2));
    let (hers, his) = (codes.issue(&alice, TO, NOW).unwrap(), codes.issue(&bob, "+4317", NOW).unwrap());
    assert_eq!(codes.redeem(&bob, Some(&hers.ticket), &hers.code), Err(FactorError::Expired));
    assert_eq!(codes.redeem(&alice, None, &hers.code), Err(FactorError::Expired));
    assert_eq!(codes.redeem(&alice, Some(&his.ticket), &his.code), Err(FactorError::Expired));
    let later = codes.issue(&asking("alice", 3), TO, NOW).unwrap();
    assert_eq!(codes.redeem(&alice, Some(&hers.ticket), &hers.code), Err(FactorError::Expired), "one a person: the later one");
    assert_eq!(codes.redeem(&alice, Some(&later.ticket), &later.code), Ok(()));
}

#[tokio::test]
async fn m_28_so_many_go_to_one_number_on_one_day() {
    let codes = codes(2);
    for trace in 0..2 {
        assert!(codes.issue(&asking("alice", trace), TO, NOW).is_ok());
    }
    assert_eq!(codes.issue(&asking("alice", 3), TO, NOW).unwrap_err(), FactorError::Throttled);
    assert_eq!(codes.issue(&asking("mallory", 4), TO, NOW).unwrap_err(), FactorError::Throttled, "whoever asks: the number counts");
    assert!(codes.issue(&asking("bob", 5), "+4318", NOW).is_ok());
    assert!(codes.issue(&asking("alice", 6), TO, Timestamp(NOW.0 + 86_400_000)).is_ok());
}

#[tokio::test]
async fn a_full_table_issues_no_code_and_forgets_none() {
    let codes = codes(u32::MAX);
    let alice = asking("alice", u128::MAX);
    let first = codes.issue(&alice, TO, NOW).unwrap();
    for at in 1..OUT_MAX {
        codes.issue(&asking(&at.to_string(), at as u128), TO, NOW).unwrap();
    }
    assert_eq!(codes.issue(&asking("bob", 0), TO, NOW).unwrap_err(), FactorError::Throttled);
    assert_eq!(codes.redeem(&alice, Some(&first.ticket), &first.code), Ok(()));
}

#[test]
fn m_27_codes_are_digits_and_spread_over_all_of_them() {
    for digits in [6, 7, 8] {
        let drawn: Vec<String> = (0..500).map(|_| random(digits).unwrap().expose_text().unwrap().to_owned()).collect();
        assert!(drawn.iter().all(|code| code.len() == usize::from(digits) && code.bytes().all(|byte| byte.is_ascii_digit())));
        let firsts: std::collections::BTreeSet<u8> = drawn.iter().map(|code| code.as_bytes()[0]).collect();
        assert_eq!(firsts.len(), 10, "nought is a first digit too");
        let different: std::collections::BTreeSet<&String> = drawn.iter().collect();
        assert!(different.len() > 490);
    }
}
