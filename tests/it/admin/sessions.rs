//! Who is on: told by a client over UDP, read by an administrator.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use vestibule::domain::Approval;
use vestibule::domain::AuthRequest;
use vestibule::domain::Checked;
use vestibule::domain::CodeEntry;
use vestibule::domain::Lock;
use vestibule::domain::Outage;
use vestibule::domain::PrimaryError;
use vestibule::domain::Rules;
use vestibule::domain::Secret;
use vestibule::engine::Engine;
use vestibule::engine::Limits;
use vestibule::front::radius::Accounting;
use vestibule::front::radius::Behind;
use vestibule::front::radius::Card;
use vestibule::front::radius::Census;
use vestibule::front::radius::Charset;
use vestibule::front::radius::Client;
use vestibule::front::radius::Clients;
use vestibule::front::radius::Door;
use vestibule::front::radius::First;
use vestibule::front::radius::NasAddress;
use vestibule::front::radius::Settings;
use vestibule::ports::Aside;
use vestibule::ports::Entry;
use vestibule::ports::PrimaryCheck;
use vestibule::wire::radius::Code;
use vestibule::wire::radius::Integrity;
use vestibule::wire::radius::attr;
use vestibule::wire::radius::forward::Forward;

use super::world::Still;
use super::world::World;

const SECRET: &[u8] = b"a shared secret of 32 characters";

/// Never asked.
#[derive(Debug)]
struct Nobody;

#[async_trait]
impl PrimaryCheck for Nobody {
    async fn resolve(&self, _: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        Err(PrimaryError::Outage(Outage::Fault))
    }
    async fn check(&self, _: &AuthRequest, _: Option<&Entry>, _: &mut Aside) -> Result<Checked, PrimaryError> {
        Err(PrimaryError::Outage(Outage::Fault))
    }
}

fn settings() -> Settings {
    let rules = Rules { lock: Lock { failures_max: 0, wait_ms: 0, window_ms: 0 }, ..Rules::bare("vpn", Vec::new()) };
    let client = Client {
        name: "vpn".into(),
        networks: vec!["127.0.0.1".parse().unwrap()],
        secret: Secret::new(SECRET.to_vec()),
        certificate: None,
        integrity: Integrity::Require,
        nas_identifier: None,
        nas_address: NasAddress::Log,
        first: First::Password(Arc::new(Nobody)),
        accounting: Accounting::Record,
        code: CodeEntry::None,
        menu: false,
        approval: Approval::Wait,
        late_ms: 0,
        join_ms: 0,
        code_in_ms_chap2: false,
        one_station: false,
        charset: Charset::Utf8,
        patience: Duration::from_secs(30),
        source: None,
        rules: Arc::new(rules),
        additions: Arc::default(),
        enrol_url: None,
        card: Card { profile: None, first: "nobody".into(), retransmits: None, tally: Census::new().tally("fw") },
    };
    Settings {
        clients: Clients::new(vec![client]),
        inflight_max: 100,
        answer_keep: Duration::from_secs(30),
        reject_delay: Duration::from_secs(1),
        login_deadline: Duration::from_secs(20),
    }
}

/// Says that this session begins.
async fn tell(nas: &UdpSocket, identifier: u8, id: &str, name: &str) {
    let told: [(u8, &[u8]); 5] = [
        (attr::ACCT_STATUS_TYPE, &[0, 0, 0, 1]),
        (attr::ACCT_SESSION_ID, id.as_bytes()),
        (attr::USER_NAME, name.as_bytes()),
        (attr::FRAMED_IP_ADDRESS, &[10, 0, 0, identifier]),
        (attr::ACCT_OUTPUT_OCTETS, &[0, 0x30, 0, 0]),
    ];
    let bytes: Vec<u8> = told.iter().flat_map(|(kind, value)| [&[*kind, u8::try_from(value.len() + 2).unwrap()], *value].concat()).collect();
    let packet = Forward::from_bytes(&bytes).unwrap().signed(Code::AccountingRequest, identifier, &[0; 16], SECRET).unwrap();
    nas.send(&packet).await.unwrap();
    assert_eq!(nas.recv(&mut [0; 4096]).await.unwrap(), 20);
}

#[tokio::test]
async fn who_is_on_is_listed_in_pages_and_as_a_table() {
    let world = World::new(&[]);
    let limits = Limits { logins_max: 1, parked_max: 1, challenge_keep: Duration::from_secs(60) };
    let engine = Engine::new(world.store.clone(), Arc::new(Still), limits).unwrap();
    engine.equip(HashMap::new());
    let (_settings, seen) = watch::channel(Arc::new(settings()));
    let door = Door::open_accounting(SocketAddr::from(([127, 0, 0, 1], 0)), seen, Behind { engine, sessions: world.sessions.clone() }).unwrap();
    let nas = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    nas.connect(door.address()).await.unwrap();
    for (identifier, id, name) in [(1, "s1", "alice"), (2, "s2", "bob"), (3, "s3", "al\u{202e}ice")] {
        tell(&nas, identifier, id, name).await;
    }

    let first = world.ok(Method::GET, "sessions?search=ICE&count=1", Value::Null).await;
    assert_eq!(
        first["sessions"],
        json!([{
            "name": "alice", "client": "vpn", "nas": "127.0.0.1", "session": "s1", "since": "2023-11-14T22:13:20Z", "heard": "2023-11-14T22:13:20Z",
            "source": null, "address": "10.0.0.1", "input_octets": 0, "output_octets": 3_145_728
        }])
    );
    let after = first["next"].as_str().unwrap().replace('\0', "%00");
    let second = world.ok(Method::GET, &format!("sessions?search=ICE&count=1&after={after}"), Value::Null).await;
    assert_eq!((&second["sessions"][0]["session"], &second["next"]), (&json!("s3"), &Value::Null));
    world.refused(Method::GET, "sessions?count=0", Value::Null, StatusCode::BAD_REQUEST).await;

    let (code, table, _) = world.run(&["client", "sessions"]).await;
    assert_eq!((code, table.lines().count()), (0, 4), "{table}");
    assert!(table.contains("bob") && table.contains("10.0.0.2") && table.contains("3.0 MiB"), "{table}");
    assert!(!table.contains('\u{202e}'), "{table}");
    let (code, listed, _) = world.run(&["client", "sessions", "--search", "bob", "--json"]).await;
    assert_eq!((code, serde_json::from_str::<Value>(&listed).unwrap()[0]["session"].clone()), (0, json!("s2")));
}
