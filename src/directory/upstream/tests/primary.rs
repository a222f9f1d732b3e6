//! The first factor that is relayed: whose it is, and what it says.

use async_trait::async_trait;

use std::fmt::Display;

use crate::domain::*;
use crate::ports::*;

use super::super::ByUpstream;
use super::super::EapNames;
use super::*;
use crate::directory::identify::Identify;
use crate::directory::identify::stranger;

/// A directory that knows alice, by two spellings.
#[derive(Debug)]
struct People;

#[async_trait]
impl Directory for People {
    fn name(&self) -> &str {
        "corp"
    }
    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        match login {
            "alice" | "a.archer" | "CORP\\alice" => {
                Ok(Entry { directory: "corp".into(), identity: alice(), dn: String::new(), name: "alice".into(), mail: None, phone: None, password_set: None })
            }
            spelled if spelled.contains(['@', '\\']) => Err(PrimaryError::Refused { who: None, why: Refused::UnclearName }),
            _ => Err(PrimaryError::Refused { who: None, why: Refused::UnknownName }),
        }
    }
    async fn authenticate(&self, _: &Entry, _: &Secret) -> Result<Identity, PrimaryError> {
        unreachable!("the upstream knows passwords")
    }
    async fn change_password(&self, _: &Entry, _: &Secret, _: &Secret) -> Result<(), PasswordError> {
        unreachable!("the upstream knows passwords")
    }
    async fn groups(&self, _: &Entry, _: &[String]) -> Result<Vec<String>, PrimaryError> {
        unreachable!()
    }
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        unreachable!()
    }
    fn broke(&self, _: usize, _: &dyn Display) {}
    fn proof(&self) -> Proof {
        Proof::OwnEntry("entryUUID")
    }
    fn refusal(&self, _: u32, _: &str) -> PrimaryError {
        unreachable!()
    }
}

fn alice() -> Identity {
    Identity("S-1-5-21-1".into())
}

fn request(login: &str, about: &str, named: bool) -> AuthRequest {
    let packet = Secret::new(password_of(about).as_bytes().to_vec());
    AuthRequest {
        door: Door::Radius,
        client: "vpn".into(),
        login: login.into(),
        primary: Primary::Relayed(Relayed { packet, proof: Secret::default(), typed: None, named }),
        appended: None,
        dialogue: Dialogue::default(),
        source: None,
        exempt: Vec::new(),
        seat: Vec::new(),
        asker: Vec::new(),
    }
}

async fn desk() -> (Lab, ByUpstream) {
    let lab = Lab::new().await;
    let upstream = upstream(&[&lab], 5, 1);
    (lab, ByUpstream { upstream, identify: Identify::ByDirectory(Arc::new(People)), names: EapNames::Outer })
}

/// One login as the engine does it, up to the end of the check; the server accepts with this User-Name.
async fn accepted(login: &str, about: &str, named: bool, accept: Option<&str>) -> Result<Checked, PrimaryError> {
    told(login, about, named, accept, false).await
}

async fn told(login: &str, about: &str, named: bool, accept: Option<&str>, names_inner: bool) -> Result<Checked, PrimaryError> {
    let (lab, check) = desk().await;
    let names = if names_inner { EapNames::Inner } else { EapNames::Outer };
    let check = ByUpstream { names, ..check };
    let request = request(login, about, named);
    let entry = check.resolve(&request).await?;
    let mut aside = Aside::default();
    let serve = async {
        let got = lab.request().await;
        lab.accept(&got, &accept.map(super::named).unwrap_or_default()).await;
        std::future::pending().await
    };
    tokio::select! {
        checked = check.check(&request, entry.as_ref(), &mut aside) => checked,
        () = serve => unreachable!(),
    }
}

fn unclear() -> Result<Checked, PrimaryError> {
    Err(PrimaryError::Refused { who: None, why: Refused::UnclearName })
}

#[tokio::test(start_paused = true)]
async fn r_087_an_outer_eap_identity_never_becomes_the_account() {
    assert_eq!(accepted("anonymous", "anonymous", false, Some("CORP\\alice")).await, Ok(Checked::Passed(alice())));
    assert_eq!(accepted("alice", "alice", false, None).await, unclear(), "an outer name proves nothing, whatever it says");
    assert_eq!(accepted("alice", "alice", false, Some("Alice ")).await, unclear(), "a server may just send back what it was sent");
    assert_eq!(accepted("alice@corp", "alice", false, Some("alice")).await, unclear(), "with its realm stripped off");
    assert_eq!(accepted("ghost@corp", "ghost", false, Some("ghost")).await, unclear(), "nor is it somebody without an account");
    assert_eq!(accepted("a.archer", "a.archer", false, Some("alice")).await, unclear(), "in another spelling of the same account");
    for cut in ["alice%corp", "alice\u{ff20}corp", "alice#1"] {
        assert_eq!(accepted(cut, cut, false, Some("alice")).await, unclear(), "a server cuts or folds {cut} to the outer name it still is");
    }
    assert_eq!(accepted("@corp", "@corp", false, Some("CORP\\alice")).await, Ok(Checked::Passed(alice())), "no name at all is a good outer identity");
    assert_eq!(told("alice", "alice", false, None, true).await, unclear());
    assert_eq!(told("alice", "alice", false, Some("alice"), true).await, unclear(), "without a tunnel there is no inner name");
    assert_eq!(accepted("alice", "alice", false, Some("nobody")).await, Ok(Checked::Passed(stranger("nobody"))));
}

#[tokio::test(start_paused = true)]
async fn m_20_the_name_that_the_server_let_in_counts_and_is_looked_up() {
    assert_eq!(accepted("alice", "alice", true, None).await, Ok(Checked::Passed(alice())));
    assert_eq!(accepted("alice", "alice", true, Some("CORP\\alice")).await, Ok(Checked::Passed(alice())));
    assert_eq!(accepted("alice", "alice", true, Some("mallory")).await, unclear(), "somebody we know was asked about, somebody we do not was let in");
    assert_eq!(accepted("EXAMPLE\\alice", "EXAMPLE\\alice", true, None).await, unclear(), "another spelling of alice is not somebody without an account");
    assert_eq!(accepted("mallory", "mallory", true, Some("mallory@corp")).await, unclear());
    let mallory = Ok(Checked::Passed(stranger("mallory")));
    assert_eq!(accepted("mallory", "mallory", true, None).await, mallory);
    assert_eq!(accepted("alice", "mallory", true, None).await, unclear(), "asked about somebody else");
}

#[tokio::test(start_paused = true)]
async fn r_083_a_challenge_goes_on_with_its_server_and_state_and_its_end_is_carried() {
    let (lab, check) = desk().await;
    let request = request("alice", "alice", true);
    let entry = check.resolve(&request).await.unwrap();
    let mut aside = Aside::default();
    let serve = async {
        let got = lab.request().await;
        assert_eq!(got.verified().state(), None);
        let mut asks = Carried::default();
        asks.push(attr::REPLY_MESSAGE, b"Code?").unwrap();
        lab.send(&reply::challenge(&got.asked(), SECRET, b"where we were", None, &asks, [0; 2]).unwrap(), &got).await;
        let got = lab.request().await;
        assert_eq!(got.verified().state(), Some(&b"where we were"[..]));
        let mut no = Carried::default();
        no.push(attr::REPLY_MESSAGE, b"Wrong").unwrap();
        lab.send(&reply::reject(&got.asked(), SECRET, None, &no).unwrap(), &got).await;
    };
    let ask = async {
        assert_eq!(check.check(&request, entry.as_ref(), &mut aside).await, Ok(Checked::More));
        assert_eq!(aside.attributes.expose(), b"\x12\x07Code?");
        assert_eq!(aside.conversation.as_ref().map(|conversation| conversation.server), Some(0));
        let refused = PrimaryError::Refused { who: Some(alice()), why: Refused::WrongPassword };
        assert_eq!(check.check(&request, entry.as_ref(), &mut aside).await, Err(refused));
    };
    tokio::join!(serve, ask);
    assert_eq!(aside.refusal.expose(), b"\x12\x07Wrong");
    assert!(aside.refused_there && aside.conversation.is_none() && aside.attributes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn silence_is_an_outage_and_no_refusal() {
    let (_lab, check) = desk().await;
    let request = request("alice", "alice", true);
    let entry = check.resolve(&request).await.unwrap();
    assert_eq!(check.check(&request, entry.as_ref(), &mut Aside::default()).await, Err(PrimaryError::Outage(Outage::Directory)));
}

#[tokio::test(start_paused = true)]
async fn r_087_in_a_tunnel_the_inner_name_may_be_the_outer_one_and_in_eap_tls_where_it_is_compared() {
    let passed = || Ok(Checked::Passed(alice()));
    for (names, method, passes) in [
        (EapNames::Inner, 25, passed()),
        (EapNames::Inner, 21, passed()),
        (EapNames::Inner, 13, unclear()),
        (EapNames::Inner, 26, unclear()),
        (EapNames::Certificate, 13, passed()),
        (EapNames::Certificate, 26, unclear()),
        (EapNames::Outer, 25, unclear()),
    ] {
        let (lab, check) = desk().await;
        let check = ByUpstream { names, ..check };
        let mut request = request("alice", "alice", false);
        let name: &[u8] = b"\x01\x07alice";
        let packet = Secret::new([name, &[attr::EAP_MESSAGE, 8, 2, 1, 0, 6, method, 0]].concat());
        request.primary = Primary::Relayed(Relayed { packet, proof: Secret::default(), typed: None, named: false });
        let serve = async {
            let got = lab.request().await;
            lab.accept(&got, &named("alice")).await;
            std::future::pending().await
        };
        let mut aside = Aside::default();
        tokio::select! {
            checked = check.check(&request, None, &mut aside) => assert_eq!(checked, passes, "{method}"),
            () = serve => unreachable!(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn m_06_a_no_counts_where_a_password_could_be_guessed() {
    for (asked, told, why) in [
        (&b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa"[..], None, Refused::WrongPassword),
        (b"\x01\x07alice", None, Refused::Restricted),
        (b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa", Some(647), Refused::Disabled),
        (b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa", Some(648), Refused::PasswordExpired),
        (b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa", Some(646), Refused::NotNow),
        (b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa", Some(649), Refused::Restricted),
        (b"\x01\x07alice\x03\x13aaaaaaaaaaaaaaaaa", Some(691), Refused::WrongPassword),
    ] {
        let (lab, check) = desk().await;
        let mut request = request("alice", "alice", true);
        request.primary = Primary::Relayed(Relayed { packet: Secret::new(asked.to_vec()), proof: Secret::default(), typed: None, named: true });
        let entry = check.resolve(&request).await.unwrap();
        let mut no = Carried::default();
        if let Some(code) = told {
            no.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR, format!("\u{1}E={code} R=0 V=3").as_bytes()).unwrap();
        }
        let serve = async {
            let got = lab.request().await;
            lab.send(&reply::reject(&got.asked(), SECRET, None, &no).unwrap(), &got).await;
        };
        let mut aside = Aside::default();
        let (checked, ()) = tokio::join!(check.check(&request, entry.as_ref(), &mut aside), serve);
        assert_eq!(checked, Err(PrimaryError::Refused { who: Some(alice()), why }), "{told:?}");
    }
}
