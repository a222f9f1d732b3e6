//! The first factor of a client that speaks MS-CHAP-V2: the directory says whom a name means, winbind whether the response is theirs.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::AuthRequest;
use crate::domain::Checked;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::ports::Aside;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::wire::mschap;
use crate::wire::mschap::Failure;
use crate::wire::mschap::HashHash;
use crate::wire::mschap::MppeKeys;
use crate::wire::mschap::Response;
use crate::wire::radius::attr;
use crate::wire::radius::carry::Carried;
use crate::wire::radius::forward::Forward;
use crate::wire::radius::reply::TooLong;

use super::Winbind;
use super::WinbindError;

/// The first factor of a door that may bring MS-CHAP-V2. A password in clear it hands to the directory.
#[derive(Clone, Debug)]
pub struct ByWinbind {
    /// Whom a name means; an Active Directory.
    pub directory: Arc<dyn Directory>,
    /// Its NetBIOS name.
    pub domain: String,
    /// Who checks.
    pub winbind: Arc<Winbind>,
}

#[async_trait]
impl PrimaryCheck for ByWinbind {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.directory.resolve(&request.login).await.map(Some)
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, aside: &mut Aside) -> Result<Checked, PrimaryError> {
        let fault = |_| PrimaryError::Outage(Outage::Fault);
        let Some(entry) = entry else { return Err(PrimaryError::Outage(Outage::Fault)) };
        let (challenge, response) = match &request.primary {
            Primary::MsChap2 { challenge, response } => (*challenge, Response::read(response.as_slice()).map_err(|_| PrimaryError::Outage(Outage::Fault))?),
            Primary::MsChap2Change { change, .. } => self.renew(entry, change, aside).await?,
            Primary::Password(password) => return self.directory.authenticate(entry, password).await.map(Checked::Passed),
            Primary::Relayed(_) | Primary::Waived => return Err(PrimaryError::Outage(Outage::Fault)),
        };
        let challenge = &challenge;
        let mut next_challenge = [0; 16];
        getrandom::fill(&mut next_challenge).map_err(|_| PrimaryError::Outage(Outage::Fault))?;
        let said_no = |failure: Failure| error(failure, response.ident, &next_challenge);
        let hash = mschap::challenge_hash(&response.peer_challenge, challenge, request.login.as_bytes());
        // The name is the object's own, not the typed one: the account asked about is the one that was found.
        match self.winbind.check(&self.domain, &entry.name, &hash, &response.nt_response).await {
            Ok(hash_hash) => {
                aside.attributes = granted(&response, challenge, &request.login, &hash_hash).map_err(fault)?;
                // Should the second factor say no, the client hears what it hears of a wrong password.
                aside.refusal = said_no(Failure::Authentication).map_err(fault)?;
                Ok(Checked::Passed(entry.identity.clone()))
            }
            Err(WinbindError::Refused(why)) => {
                aside.refusal = said_no(failure(why)).map_err(fault)?;
                aside.change_key = next_challenge.to_vec();
                Err(PrimaryError::Refused { who: Some(entry.identity.clone()), why })
            }
            Err(WinbindError::Outage(outage)) => Err(PrimaryError::Outage(outage)),
        }
    }
}

impl ByWinbind {
    /// Changes a password that has run out, and gives back the response that the client made with the new one (RFC 2759 §7, R-095).
    async fn renew(&self, entry: &Entry, packet: &Secret, aside: &mut Aside) -> Result<([u8; 16], Response), PrimaryError> {
        let fault = PrimaryError::Outage(Outage::Fault);
        let forward = Forward::from_bytes(packet.expose()).map_err(|_| fault.clone())?;
        let change = forward.attributes().ms_chap2_cpw().ok_or_else(|| fault.clone())?;
        let blob = change.new_password.as_slice().try_into().map_err(|_| fault.clone())?;
        let refused = |why| PrimaryError::Refused { who: Some(entry.identity.clone()), why };
        if let Err(why) = self.winbind.change(&self.domain, &entry.name, blob, change.encrypted_hash).await {
            let mut next_challenge = [0; 16];
            getrandom::fill(&mut next_challenge).map_err(|_| fault.clone())?;
            aside.refusal = error(Failure::Change, change.identifier, &next_challenge).map_err(|_| fault)?;
            return Err(match why {
                PasswordError::Outage(outage) => PrimaryError::Outage(outage),
                PasswordError::Refused | PasswordError::Unsupported => refused(Refused::MustChange),
                PasswordError::WrongOld => refused(Refused::WrongPassword),
            });
        }
        let response = Response { ident: change.identifier, peer_challenge: *change.peer_challenge, nt_response: *change.response };
        Ok((*change.challenge, response))
    }
}

/// What goes with the yes: the proof that we know the password too, and keys.
fn granted(response: &Response, challenge: &[u8; 16], typed: &str, hash_hash: &HashHash) -> Result<Secret, TooLong> {
    let keys = MppeKeys::derive(hash_hash, &response.nt_response);
    let mut carried = Carried::default();
    carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP2_SUCCESS, &mschap::success(response, challenge, typed.as_bytes(), hash_hash))?;
    carried.push_mppe_keys(keys.send.as_slice(), keys.recv.as_slice())?;
    carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_MPPE_ENCRYPTION_POLICY, &mschap::POLICY_ALLOWED)?;
    carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_MPPE_ENCRYPTION_TYPES, &mschap::TYPES_128_BIT)?;
    Ok(Secret::new(carried.as_bytes().to_vec()))
}

fn error(failure: Failure, ident: u8, challenge: &[u8; 16]) -> Result<Secret, TooLong> {
    let mut carried = Carried::default();
    carried.push_vendor(attr::VENDOR_MICROSOFT, attr::MS_CHAP_ERROR, &failure.attribute(ident, challenge, REFUSED))?;
    Ok(Secret::new(carried.as_bytes().to_vec()))
}

/// What a client may know. A lock is told to everybody who tries, right password or not, so it sounds like a wrong password; all else a controller tells only to who
/// knows the password (R-093).
fn failure(why: Refused) -> Failure {
    match why {
        Refused::LockedOut | Refused::UnclearName | Refused::UnknownName | Refused::WrongPassword => Failure::Authentication,
        Refused::AccountExpired | Refused::Disabled => Failure::Disabled,
        Refused::MustChange | Refused::PasswordExpired => Failure::Expired,
        Refused::NotNow => Failure::Hours,
        Refused::NotHere | Refused::Restricted => Failure::NoDialIn,
    }
}

/// The text of every refusal.
const REFUSED: &str = "Access denied.";

#[cfg(test)]
mod tests {
    use std::fmt::Display;

    use crate::domain::Dialogue;
    use crate::domain::Door;
    use crate::domain::Identity;
    use crate::domain::PasswordError;
    use crate::ports::Connected;
    use crate::ports::Proof;

    use super::super::tests::Stage;
    use super::*;

    /// A directory where everybody is one person.
    #[derive(Debug)]
    struct One;

    #[async_trait]
    impl Directory for One {
        fn name(&self) -> &str {
            "corp"
        }
        async fn resolve(&self, _login: &str) -> Result<Entry, PrimaryError> {
            let identity = Identity("S-1-5-18".to_owned());
            Ok(Entry { directory: "corp".to_owned(), identity, dn: "CN=User".to_owned(), name: "user".to_owned(), mail: None, phone: None, password_set: None })
        }
        async fn authenticate(&self, entry: &Entry, _password: &Secret) -> Result<Identity, PrimaryError> {
            Ok(entry.identity.clone())
        }
        async fn change_password(&self, _entry: &Entry, _old: &Secret, _new: &Secret) -> Result<(), PasswordError> {
            Err(PasswordError::Unsupported)
        }
        async fn groups(&self, _entry: &Entry, _wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
            Ok(Vec::new())
        }
        async fn connect(&self) -> Result<Connected, PrimaryError> {
            Err(PrimaryError::Outage(Outage::Directory))
        }
        fn broke(&self, _server: usize, _why: &dyn Display) {}
        fn proof(&self) -> Proof {
            Proof::TokenGroups("tokenGroups")
        }
        fn refusal(&self, _result_code: u32, _diagnostic: &str) -> PrimaryError {
            PrimaryError::Outage(Outage::Directory)
        }
    }

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// The exchange of RFC 2759 §9.2.
    fn request(primary: Primary) -> AuthRequest {
        let login = r"EXAMPLE\User".to_owned();
        AuthRequest {
            door: Door::Radius,
            client: "vpn".to_owned(),
            login,
            primary,
            appended: None,
            dialogue: Dialogue::default(),
            source: None,
            exempt: Vec::new(),
            seat: vec![],
            asker: vec![],
        }
    }

    fn example() -> AuthRequest {
        let value = octets("070021402324255E262A28295F2B3A337C7E000000000000000082309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
        let challenge = octets("5B5D7C7D7B3F2F3E3C2C602132262628").try_into().unwrap();
        request(Primary::MsChap2 { challenge, response: Box::new(value.try_into().unwrap()) })
    }

    async fn asked(reply: &str, request: &AuthRequest) -> (Result<Checked, PrimaryError>, Aside, Stage) {
        let stage = Stage::new(reply);
        let check = ByWinbind { directory: Arc::new(One), domain: "EXAMPLE".to_owned(), winbind: Arc::clone(&stage.winbind) };
        let entry = check.resolve(request).await.unwrap();
        let mut aside = Aside::default();
        let checked = check.check(request, entry.as_ref(), &mut aside).await;
        (checked, aside, stage)
    }

    fn attribute(carried: &Secret, kind: u8) -> Vec<u8> {
        let carried = Carried::from_bytes(carried.expose()).unwrap();
        carried.vendor(attr::VENDOR_MICROSOFT, kind).next().unwrap_or_default().to_vec()
    }

    #[tokio::test]
    async fn r_092_r_096_a_yes_brings_the_proof_and_the_keys_of_the_rfcs() {
        let (checked, aside, stage) = asked(r"printf 'Authenticated: Yes\nUser-Session-Key: 41C00C584BD2D91C4017A2A12FA59F3F\n.\n'", &example()).await;
        assert_eq!(checked, Ok(Checked::Passed(Identity("S-1-5-18".to_owned()))));
        let lines = stage.asked();
        // The account that was found, and the challenge that the typed name without its domain makes.
        assert!(lines.contains(&"Username:: dXNlcg==".to_owned()) && lines.contains(&"LANMAN-Challenge: d02e4386bce91226".to_owned()), "{lines:?}");
        assert_eq!(attribute(&aside.attributes, attr::MS_CHAP2_SUCCESS), b"\x07S=407A5589115FD0D6209F510FE9C04566932CDA56");
        assert_eq!(attribute(&aside.attributes, attr::MS_MPPE_SEND_KEY), octets("8B7CDC149B993A1BA118CB153F56DCCB"));
        assert_eq!(attribute(&aside.attributes, attr::MS_MPPE_RECV_KEY).len(), 16);
        assert_eq!(attribute(&aside.attributes, attr::MS_MPPE_ENCRYPTION_POLICY), [0, 0, 0, 1]);
        assert_eq!(attribute(&aside.attributes, attr::MS_MPPE_ENCRYPTION_TYPES), [0, 0, 0, 4]);
        // No key goes with a no of the second factor.
        assert!(attribute(&aside.refusal, attr::MS_CHAP_ERROR).starts_with(b"\x07E=691 R=0 C="));
        assert_eq!(attribute(&aside.refusal, attr::MS_MPPE_SEND_KEY), b"");
    }

    #[tokio::test]
    async fn r_093_a_no_says_more_only_to_who_knows_the_password() {
        for (words, why, code) in [
            ("Wrong Password", Refused::WrongPassword, "691"),
            ("No such user", Refused::UnknownName, "691"),
            ("Account locked out", Refused::LockedOut, "691"),
            ("Account disabled", Refused::Disabled, "647"),
            ("Account expired", Refused::AccountExpired, "647"),
            ("Password expired", Refused::PasswordExpired, "648"),
            ("Must change password", Refused::MustChange, "648"),
            ("Invalid logon hours", Refused::NotNow, "646"),
            ("Invalid workstation", Refused::NotHere, "649"),
        ] {
            let (checked, aside, _stage) = asked(&format!("printf 'Authenticated: No\\nAuthentication-Error: {words}\\n.\\n.\\n'"), &example()).await;
            assert_eq!(checked, Err(PrimaryError::Refused { who: Some(Identity("S-1-5-18".to_owned())), why }));
            let error = String::from_utf8(attribute(&aside.refusal, attr::MS_CHAP_ERROR)).unwrap();
            assert!(error.starts_with(&format!("\u{7}E={code} R=0 C=")) && error.ends_with(" V=3 M=Access denied."), "{error}");
            let key: String = aside.change_key.iter().map(|byte| format!("{byte:02X}")).collect();
            assert!(error.contains(&format!(" C={key} ")), "a change answers to what the client was sent");
            assert!(aside.attributes.is_empty());
        }
    }

    #[tokio::test]
    async fn an_outage_says_nothing_and_a_password_in_clear_is_the_directory_s() {
        let (checked, aside, _stage) = asked("exit 0", &example()).await;
        assert_eq!(checked, Err(PrimaryError::Outage(Outage::Directory)));
        assert!(aside.attributes.is_empty() && aside.refusal.is_empty());
        let (checked, _, stage) = asked("exit 0", &request(Primary::Password(Secret::from("Passw0rd!")))).await;
        assert_eq!(checked, Ok(Checked::Passed(Identity("S-1-5-18".to_owned()))));
        assert!(stage.asked().is_empty());
    }
}
