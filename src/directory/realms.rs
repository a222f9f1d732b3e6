//! Several directories behind one door: a name says by its realm whose it is, and no other directory hears of it.
//!
//! | typed | goes to the directory |
//! |---|---|
//! | `alice@corp.example` | that has this UPN suffix |
//! | `CORP\alice` | that has this NetBIOS name |
//! | `CN=alice,OU=Staff,DC=corp,DC=example` | whose base it lies under; of several the one whose base is longest |
//! | `alice` | that comes first |
//!
//! A password is never tried in a second directory. A realm that is nobody's is refused like a name that is nobody's.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use tracing::error;

use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::domain::Secret;
use crate::ports::Claim;
use crate::ports::Connected;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::Proof;

use super::Settings;
use super::ad::Name;
use super::dn::Dn;

/// One directory out of these, the first for names without a realm. Of a single one it is that one itself; of none it is nothing.
#[must_use]
pub fn gather(members: Vec<(&Settings, Arc<dyn Directory>)>) -> Option<Arc<dyn Directory>> {
    if let [(_, only)] = members.as_slice() {
        return Some(Arc::clone(only));
    }
    let name = members.iter().map(|(settings, _)| settings.name.as_str()).collect::<Vec<_>>().join(", ");
    let members: Vec<_> = members.into_iter().map(|(settings, directory)| Member { realm: Realm::of(settings), directory }).collect();
    (!members.is_empty()).then(|| Arc::new(Realms { name, members }) as Arc<dyn Directory>)
}

/// What two directories cannot both have where a name must tell one from the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clash {
    /// Everybody is under it in both.
    Base,
    /// This one stands before the backslash for both.
    Netbios(String),
    /// This one stands behind the `@` for both.
    Suffix(String),
}

/// What a name could not tell these two apart by.
#[must_use]
pub fn clash(one: &Settings, other: &Settings) -> Option<Clash> {
    let share_base = share_base(one, other);
    let (one, other) = (Realm::of(one), Realm::of(other));
    if let Some(suffix) = one.suffixes.iter().find(|suffix| other.suffixes.contains(suffix)) {
        return Some(Clash::Suffix(suffix.clone()));
    }
    if let Some(netbios) = one.netbios.filter(|netbios| other.netbios.as_ref().is_some_and(|also| also.eq_ignore_ascii_case(netbios))) {
        return Some(Clash::Netbios(netbios));
    }
    share_base.then_some(Clash::Base)
}

/// Whether everybody is under the same base in both.
#[must_use]
pub fn share_base(one: &Settings, other: &Settings) -> bool {
    let bases = Dn::parse(&one.base).zip(Dn::parse(&other.base));
    bases.is_some_and(|(one, other)| one.is_under(&other) && other.is_under(&one))
}

/// Directories that stand behind one door.
#[derive(Debug)]
struct Realms {
    name: String,
    /// Two at least.
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    realm: Realm,
    directory: Arc<dyn Directory>,
}

/// By what the names of one directory are known.
#[derive(Debug)]
pub(super) struct Realm {
    /// `None`: no DN is below it.
    base: Option<Dn>,
    netbios: Option<String>,
    /// In lower case.
    suffixes: Vec<String>,
}

impl Realm {
    pub(super) fn of(settings: &Settings) -> Self {
        let base = Dn::parse(&settings.base);
        let usual = || base.iter().map(Dn::dns_domain).filter(|domain| !domain.is_empty()).collect();
        let suffixes = if settings.upn_suffixes.is_empty() { usual() } else { settings.upn_suffixes.iter().map(|suffix| suffix.to_lowercase()).collect() };
        Self { base, netbios: settings.netbios.clone(), suffixes }
    }

    /// Whether a typed name is of this realm.
    pub(super) fn claim(&self, login: &str) -> Claim {
        let told = |is_mine: bool| if is_mine { Claim::Mine(0) } else { Claim::Other };
        match Name::for_ldap(login) {
            None => Claim::Other,
            Some(Name::Principal { domain, .. }) => told(self.suffixes.contains(&domain.to_lowercase())),
            Some(Name::Bare(name)) => match name.split_once('\\') {
                Some((before, _)) => told(self.netbios.as_ref().is_some_and(|netbios| netbios.eq_ignore_ascii_case(before))),
                None => Claim::Any,
            },
            Some(Name::Dn(dn)) => self.base.as_ref().filter(|base| dn.is_under(base)).map_or(Claim::Other, |base| Claim::Mine(base.depth())),
        }
    }
}

impl Realms {
    /// Where a typed name leads; `None`: nowhere.
    fn route(&self, login: &str) -> Option<&Member> {
        let mut best = None;
        for member in &self.members {
            match member.realm.claim(login) {
                Claim::Any => return self.members.first(),
                Claim::Mine(depth) if best.is_none_or(|(_, most)| depth > most) => best = Some((member, depth)),
                Claim::Mine(_) | Claim::Other => {}
            }
        }
        best.map(|(member, _)| member)
    }

    /// The directory of an object that one of ours has found.
    fn home(&self, entry: &Entry) -> Option<&dyn Directory> {
        let home = self.realm(entry);
        if home.is_none() {
            error!(directories = self.name, other = entry.directory, "asked about an object of another directory");
        }
        home
    }

    fn first(&self) -> Option<&dyn Directory> {
        self.members.first().map(|member| &*member.directory)
    }
}

#[async_trait]
impl Directory for Realms {
    fn name(&self) -> &str {
        &self.name
    }

    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        let Some(member) = self.route(login) else { return Err(UNCLEAR) };
        match member.directory.resolve(login).await {
            // It may be somebody's in another of them: who lets people in elsewhere knows no such realms.
            Err(PrimaryError::Refused { why: Refused::UnknownName, .. }) => Err(UNCLEAR),
            resolved => resolved,
        }
    }

    async fn authenticate(&self, entry: &Entry, password: &Secret) -> Result<Identity, PrimaryError> {
        self.home(entry).ok_or(FAULT)?.authenticate(entry, password).await
    }

    async fn change_password(&self, entry: &Entry, old: &Secret, new: &Secret) -> Result<(), PasswordError> {
        self.home(entry).ok_or(PasswordError::Outage(Outage::Fault))?.change_password(entry, old, new).await
    }

    async fn groups(&self, entry: &Entry, wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        self.home(entry).ok_or(FAULT)?.groups(entry, wanted).await
    }

    async fn groups_missing(&self, entry: &Entry, names: &[String]) -> Result<Vec<String>, PrimaryError> {
        self.home(entry).ok_or(FAULT)?.groups_missing(entry, names).await
    }

    fn realm(&self, entry: &Entry) -> Option<&dyn Directory> {
        self.members.iter().map(|member| &*member.directory).find(|directory| directory.name() == entry.directory)
    }

    /// For whom nobody knows yet: to the first.
    async fn connect(&self) -> Result<Connected, PrimaryError> {
        self.first().ok_or(FAULT)?.connect().await
    }

    fn broke(&self, server: usize, why: &dyn Display) {
        if let Some(first) = self.first() {
            first.broke(server, why);
        }
    }

    fn proof(&self) -> Proof {
        self.first().map_or(Proof::TokenGroups("tokenGroups"), Directory::proof)
    }

    fn refusal(&self, result_code: u32, diagnostic: &str) -> PrimaryError {
        self.first().map_or(FAULT, |first| first.refusal(result_code, diagnostic))
    }
}

/// What a name comes to of which we cannot tell whose it is.
const UNCLEAR: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnclearName };
const FAULT: PrimaryError = PrimaryError::Outage(Outage::Fault);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::super::IdentityAttribute;
    use super::super::Kind;
    use super::*;

    const NOBODY: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnknownName };

    /// Knows everybody whose name holds `alice`, writes down whom it was asked about and whose passwords it heard.
    #[derive(Debug)]
    struct Fake {
        name: &'static str,
        heard: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Directory for Fake {
        fn name(&self) -> &str {
            self.name
        }

        async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
            self.heard.lock().unwrap().push(login.to_owned());
            let known = login.to_lowercase().contains("alice");
            let (directory, identity) = (self.name.to_owned(), Identity(format!("{}-alice", self.name)));
            known.then(|| Entry { directory, identity, dn: "CN=alice".into(), name: "alice".into(), mail: None, phone: None, password_set: None }).ok_or(NOBODY)
        }

        async fn authenticate(&self, entry: &Entry, _: &Secret) -> Result<Identity, PrimaryError> {
            self.heard.lock().unwrap().push("a password".to_owned());
            Ok(entry.identity.clone())
        }

        async fn change_password(&self, _: &Entry, _: &Secret, _: &Secret) -> Result<(), PasswordError> {
            self.heard.lock().unwrap().push("two passwords".to_owned());
            Ok(())
        }

        async fn groups(&self, _: &Entry, _: &[String]) -> Result<Vec<String>, PrimaryError> {
            Ok(vec![self.name.to_owned()])
        }

        async fn connect(&self) -> Result<Connected, PrimaryError> {
            self.heard.lock().unwrap().push("a connection".to_owned());
            Err(PrimaryError::Outage(Outage::Directory))
        }

        fn broke(&self, server: usize, _: &dyn Display) {
            self.heard.lock().unwrap().push(format!("{server} broke"));
        }

        fn proof(&self) -> Proof {
            Proof::OwnEntry("entryUUID")
        }

        fn refusal(&self, _: u32, _: &str) -> PrimaryError {
            NOBODY
        }
    }

    fn settings(name: &str, base: &str, netbios: Option<&str>, suffixes: &[&str]) -> Settings {
        Settings {
            name: name.to_owned(),
            same_as: None,
            kind: Kind::Ad,
            servers: Vec::new(),
            srv: None,
            base: base.to_owned(),
            netbios: netbios.map(str::to_owned),
            upn_suffixes: suffixes.iter().map(|suffix| (*suffix).to_owned()).collect(),
            identity_attribute: IdentityAttribute::EntryUuid,
            login_attributes: vec!["uid"],
            bind_name: String::new(),
            bind_password: Secret::default(),
            ca_file: None,
            pool_max: 1,
            timeout: Duration::from_secs(1),
        }
    }

    fn corp() -> Settings {
        settings("corp", "DC=corp,DC=example", Some("CORP"), &[])
    }

    /// Below `corp`, with names of its own.
    fn lab() -> Settings {
        settings("lab", "OU=Lab,DC=corp,DC=example", Some("LAB"), &["lab.example", "science.example"])
    }

    /// The two, and what each was asked; what it was is taken with it.
    fn both() -> (Arc<dyn Directory>, impl Fn() -> [Vec<String>; 2]) {
        let fakes = ["corp", "lab"].map(|name| Arc::new(Fake { name, heard: Mutex::default() }));
        let ([one, other], corp, lab) = (fakes.clone(), corp(), lab());
        let heard = move || [&fakes[0], &fakes[1]].map(|fake| std::mem::take(&mut *fake.heard.lock().unwrap()));
        let members: Vec<(&Settings, Arc<dyn Directory>)> = vec![(&corp, one), (&lab, other)];
        (gather(members).unwrap(), heard)
    }

    #[tokio::test]
    async fn a_name_is_asked_about_in_the_directory_of_its_realm_alone() {
        let (both, heard) = both();
        for (login, home) in [
            ("alice", "corp"),
            (" alice ", "corp"),
            ("alice@corp.example", "corp"),
            ("alice@CORP.Example", "corp"),
            ("alice@lab.example", "lab"),
            ("ALICE@Science.Example", "lab"),
            (r"CORP\alice", "corp"),
            (r"lab\alice", "lab"),
            ("CN=alice,DC=corp,DC=example", "corp"),
            ("CN=alice,OU=Other,DC=corp,DC=example", "corp"),
            ("cn=alice , ou=LAB,dc=Corp, DC=example", "lab"),
            (r"CN=alice,OU=\4cab,DC=corp,DC=example", "lab"),
            // One step whose value looks like two.
            (r"CN=alice,CN=x\,OU=Lab,DC=corp,DC=example", "corp"),
        ] {
            assert_eq!(both.resolve(login).await.map(|entry| entry.directory).as_deref(), Ok(home), "{login}");
            let asked = if home == "corp" { [vec![login.to_owned()], vec![]] } else { [vec![], vec![login.to_owned()]] };
            assert_eq!(heard(), asked, "{login}");
        }
    }

    #[tokio::test]
    async fn a_realm_that_is_nobody_s_is_refused_and_nobody_is_asked() {
        let (both, heard) = both();
        for login in [
            "alice@elsewhere.example",
            "alice@sub.corp.example",
            "alice@corp.example.",
            "alice@CORP",
            r"OTHER\alice",
            r"corp.example\alice",
            r"CORP\alice@lab.example",
            "CN=alice,DC=other,DC=example",
            "CN=alice,DC=example",
            "alice@lab.example\0",
            "",
        ] {
            assert_eq!(both.resolve(login).await, Err(UNCLEAR), "{login:?}");
        }
        assert_eq!(heard(), [vec![] as Vec<String>, vec![]]);
    }

    #[tokio::test]
    async fn m_20_no_name_is_nobody_s_where_there_are_several() {
        let (both, _) = both();
        for login in ["bob", "bob@lab.example", r"CORP\bob"] {
            assert_eq!(
                both.resolve(login).await,
                Err(UNCLEAR),
                "another of them may have a bob, and whoever has checked the password may mean that one: {login}"
            );
        }
    }

    #[tokio::test]
    async fn a_password_goes_to_the_directory_of_the_person_and_to_no_other() {
        let (both, heard) = both();
        let password = Secret::from("Passw0rd!");
        for (login, at) in [("alice", 0), ("alice@lab.example", 1)] {
            let alice = both.resolve(login).await.unwrap();
            heard();
            assert_eq!(both.authenticate(&alice, &password).await.as_ref(), Ok(&alice.identity));
            both.change_password(&alice, &password, &password).await.unwrap();
            assert_eq!(both.groups(&alice, &[]).await.as_deref(), Ok([alice.directory.clone()].as_slice()));
            let home = both.realm(&alice).unwrap();
            assert_eq!(home.name(), alice.directory);
            assert!(home.connect().await.is_err());
            home.broke(3, &"silent");
            let mut told = heard();
            assert_eq!(std::mem::take(&mut told[at]), ["a password", "two passwords", "a connection", "3 broke"], "{login}");
            assert_eq!(told, [vec![] as Vec<String>, vec![]]);
        }
        let [corp_alice, lab_alice] = [both.resolve("alice").await.unwrap(), both.resolve("alice@lab.example").await.unwrap()];
        assert_ne!(corp_alice.identity, lab_alice.identity);
    }

    #[tokio::test]
    async fn who_belongs_to_none_of_them_is_let_in_by_none() {
        let (both, heard) = both();
        let stranger = Entry { directory: "branch".into(), ..both.resolve("alice").await.unwrap() };
        heard();
        assert_eq!(both.authenticate(&stranger, &Secret::from("x")).await, Err(FAULT));
        assert_eq!(both.change_password(&stranger, &Secret::from("x"), &Secret::from("y")).await, Err(PasswordError::Outage(Outage::Fault)));
        assert_eq!(both.groups(&stranger, &[]).await, Err(FAULT));
        assert!(both.realm(&stranger).is_none());
        assert_eq!(heard(), [vec![] as Vec<String>, vec![]]);
    }

    #[tokio::test]
    async fn before_anybody_has_a_name_the_first_is_spoken_to() {
        let (both, heard) = both();
        assert_eq!(both.connect().await.err(), Some(PrimaryError::Outage(Outage::Directory)));
        both.broke(1, &"silent");
        assert_eq!(heard(), [vec!["a connection".to_owned(), "1 broke".to_owned()], vec![]]);
        assert_eq!(both.name(), "corp, lab");
    }

    #[test]
    fn what_could_not_be_told_apart_is_named() {
        assert_eq!(clash(&corp(), &lab()), None);
        let same_base = settings("twin", "dc=CORP, dc=Example", Some("TWIN"), &["twin.example"]);
        assert_eq!(clash(&corp(), &same_base), Some(Clash::Base));
        assert_eq!(clash(&corp(), &Settings { upn_suffixes: Vec::new(), ..same_base }), Some(Clash::Suffix("corp.example".to_owned())));
        let same_netbios = settings("twin", "DC=twin,DC=example", Some("corp"), &[]);
        assert_eq!(clash(&corp(), &same_netbios), Some(Clash::Netbios("CORP".to_owned())));
    }

    #[test]
    fn one_directory_is_itself() {
        let only: Arc<dyn Directory> = Arc::new(Fake { name: "corp", heard: Mutex::default() });
        assert_eq!(gather(vec![(&corp(), only)]).unwrap().name(), "corp");
        assert!(gather(Vec::new()).is_none());
    }
}
