//! What a wait at Duo costs us.

use super::*;
use crate::domain::Timestamp;

#[derive(Debug)]
struct Never;

impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

#[tokio::test]
async fn whoever_waits_holds_little() {
    let settings = Settings {
        name: "duo".into(),
        host: "api-xxxxxxxx.duosecurity.com".into(),
        key_id: "DI".into(),
        key: "k".into(),
        url: Some("http://127.0.0.1:9".into()),
        ca_file: None,
        timeout: Duration::from_secs(1),
        number_match: false,
        send_name: false,
        send_source: true,
    };
    let duo = Duo::new(settings, Arc::new(Never)).unwrap();
    let ticket = Ticket("t".into());
    let held = size_of_val(&*duo.wait(&ticket));
    assert!(held <= 224, "{held} octets");
}
