//! Tests of alerts by mail, against a mail server that is a list.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::domain::Trace;

#[derive(Debug, Default)]
struct Letterbox {
    letters: Mutex<Vec<[String; 3]>>,
    /// What it says first; then it takes everything.
    says: Mutex<VecDeque<MailError>>,
    came: Notify,
}

#[async_trait]
impl Mailer for Letterbox {
    async fn send(&self, to: &str, subject: &str, body: &str) -> Result<(), MailError> {
        let says = self.says.lock().unwrap().pop_front();
        if let Some(error) = says {
            self.came.notify_one();
            return Err(error);
        }
        self.letters.lock().unwrap().push([to, subject, body].map(str::to_owned));
        self.came.notify_one();
        Ok(())
    }
    async fn probe(&self) -> Result<(), MailError> {
        Ok(())
    }
}

fn post(to: &[&str], lexicon: Lexicon) -> (Post, Arc<Letterbox>) {
    let (post, letterbox) = (Post::open(), Arc::<Letterbox>::default());
    let to = to.iter().map(|to| (*to).to_owned()).collect();
    post.read_by(Some(Readers { mailer: letterbox.clone(), to, texts: Arc::new(lexicon), server: "mfa1".into() }));
    (post, letterbox)
}

fn fraud(who: &str) -> Alert {
    Alert {
        alarm: Alarm::Fraud,
        at: Timestamp(1_700_000_000_000),
        about: who.to_owned(),
        who: who.to_owned(),
        by: String::new(),
        client: "fortigate".into(),
        policy: "vpn".into(),
        source: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))),
        trace: Some(Trace(0xabc)),
    }
}

async fn letters(letterbox: &Letterbox, count: usize) -> Vec<[String; 3]> {
    loop {
        let letters = letterbox.letters.lock().unwrap().clone();
        if letters.len() >= count {
            return letters;
        }
        letterbox.came.notified().await;
    }
}

#[tokio::test(start_paused = true)]
async fn m_10_a_fraud_is_told_to_each_reader_once_in_a_while() {
    let (post, letterbox) = post(&["a@corp.example", "b@corp.example"], Lexicon::default());
    for _ in 0..50 {
        post.tell(fraud("alice"));
    }
    let told = letters(&letterbox, 2).await;
    assert_eq!(told.iter().map(|letter| letter[0].as_str()).collect::<Vec<_>>(), ["a@corp.example", "b@corp.example"]);
    let [_, subject, body] = &told[0];
    assert_eq!(subject, "Vestibule on mfa1: please look at this");
    for part in ["alice", "fortigate", "192.0.2.7", "2023-11-14T22:13:20Z", "audit explain 00000000000000000000000000000abc"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    post.tell(fraud("bob"));
    assert_eq!(letters(&letterbox, 4).await.len(), 4, "that is another account");
    tokio::time::advance(QUIET).await;
    post.tell(fraud("alice"));
    assert_eq!(letters(&letterbox, 6).await.len(), 6);
}

#[tokio::test(start_paused = true)]
async fn every_alarm_has_its_words_and_readers_read_the_usual_language() {
    let german = Lexicon::SHIPPED.iter().find(|(language, _)| *language == "de").unwrap().1.clone();
    let (post, letterbox) = post(&["a@corp.example"], Lexicon::new("de".into(), german, std::collections::BTreeMap::new()));
    for alarm in [Alarm::Blocked, Alarm::FailOpen, Alarm::Fraud, Alarm::Lockouts] {
        post.tell(Alert { alarm, by: "root".into(), ..fraud("alice") });
    }
    let told = letters(&letterbox, 4).await;
    let parts = ["von root gesperrt", "Richtlinie vpn", "nicht die eigene", "viele Konten"];
    assert!(told.iter().zip(parts).all(|(letter, part)| letter[2].contains(part)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_mail_server_that_is_away_is_asked_again_and_one_that_refuses_is_not() {
    let (post, letterbox) = post(&["a@corp.example"], Lexicon::default());
    letterbox.says.lock().unwrap().extend([MailError::Unreachable, MailError::Busy]);
    let began = Instant::now();
    post.tell(fraud("alice"));
    assert_eq!(letters(&letterbox, 1).await.len(), 1);
    assert_eq!(began.elapsed(), AGAIN_AFTER[0] + AGAIN_AFTER[1]);
    letterbox.says.lock().unwrap().push_back(MailError::Refused);
    post.tell(fraud("bob"));
    post.tell(fraud("carol"));
    assert!(letters(&letterbox, 2).await[1][2].contains("carol"));
}

#[tokio::test(start_paused = true)]
async fn there_are_so_many_letters_and_no_more_however_many_accounts_there_are() {
    let (post, letterbox) = post(&["a@corp.example"], Lexicon::default());
    for nth in 0..10 * TOLD_MAX {
        post.tell(fraud(&format!("user{nth}")));
    }
    assert_eq!(letters(&letterbox, TOLD_MAX).await.len(), TOLD_MAX);
    // Whoever tells never waits: nothing here was taken before the first wait.
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(letterbox.letters.lock().unwrap().len(), TOLD_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_name_turns_no_text_around_and_begins_no_line() {
    let (post, letterbox) = post(&["a@corp.example"], Lexicon::default());
    post.tell(fraud("al\u{202e}ice\r\nBcc: x {trace}"));
    let body = letters(&letterbox, 1).await.remove(0)[2].clone();
    assert!(body.starts_with("al?ice??Bcc: x {trace} says"), "{body}");
    post.tell(fraud(&"ü".repeat(1_000)));
    assert!(letters(&letterbox, 2).await[1][2].starts_with(&format!("{} says", "ü".repeat(128))));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_where_nobody_reads() {
    let (post, letterbox) = post(&["a@corp.example"], Lexicon::default());
    post.read_by(None);
    post.tell(fraud("alice"));
    let mailer: Arc<dyn Mailer> = letterbox.clone();
    post.read_by(Some(Readers { mailer, to: vec!["b@corp.example".into()], texts: Arc::default(), server: "mfa1".into() }));
    post.tell(fraud("alice"));
    assert_eq!(letters(&letterbox, 1).await[0][0], "b@corp.example", "what nobody read was not told");
}
