//! Lab directory: a small read-only LDAP server with a few people, as Active Directory would answer.

mod session;
mod tree;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::app::clock::WallClock;
use crate::domain::Secret;
use crate::ports::Clock;

use self::tree::Tree;

/// One of the people of the lab.
#[derive(Clone, Debug)]
pub struct Person {
    /// `sAMAccountName` and `uid`; the part before the @ of the user principal name.
    pub name: String,
    /// Given name.
    pub given: String,
    /// Family name.
    pub family: String,
    /// What a bind must bring.
    pub password: Secret,
    /// `mail`.
    pub mail: Option<String>,
    /// `mobile`.
    pub mobile: Option<String>,
    /// Binds are refused with 533, and `userAccountControl` says so.
    pub disabled: bool,
    /// Active Directory's sub-code (`775`, `532` ..) with which binds are refused; 775 whatever the password, the others for the right one alone.
    pub sub_code: Option<&'static str>,
    /// Names of the groups they are in, besides the one that everybody is in.
    pub groups: Vec<&'static str>,
}

impl Person {
    /// A person who may log in, with a mail address in the lab's domain and no telephone.
    #[must_use]
    pub fn new(name: &str, given: &str, family: &str, password: &str) -> Self {
        Self {
            name: name.to_owned(),
            given: given.to_owned(),
            family: family.to_owned(),
            password: Secret::from(password),
            mail: Some(format!("{name}@{}", Lab::DOMAIN)),
            mobile: None,
            disabled: false,
            sub_code: None,
            groups: Vec::new(),
        }
    }
}

/// What the domain as a whole is like.
#[derive(Clone, Debug)]
pub struct Domain {
    /// After so many wrong passwords it says that it locks people out, 0: never. It does not do it.
    pub lockout_threshold: u32,
    /// For how many seconds it says that it counts them.
    pub lockout_window_s: u32,
    /// What time it takes it to be.
    pub clock: Arc<dyn Clock>,
}

impl Default for Domain {
    fn default() -> Self {
        Self { lockout_threshold: 10, lockout_window_s: 300, clock: Arc::new(WallClock) }
    }
}

/// A running lab directory; it ends when this is dropped. Needs no runtime of its owner's: it has a thread of its own.
#[derive(Debug)]
pub struct Lab {
    address: SocketAddr,
    tree: Arc<Tree>,
    counts: Arc<Counts>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Lab {
    /// The DN above everybody.
    pub const BASE: &'static str = "DC=example,DC=test";
    /// The DNS name of the domain: what stands behind the @ of a user principal name.
    pub const DOMAIN: &'static str = "example.test";
    /// What stands before the backslash of `EXAMPLE\alice`.
    pub const NETBIOS: &'static str = "EXAMPLE";
    /// Who may search for us.
    pub const SERVICE_NAME: &'static str = "svc-mfa@example.test";
    /// And the password.
    pub const SERVICE_PASSWORD: &'static str = "Lab-Serv1ce!";

    /// Opens the directory on a loopback address, port 0 for any free one, with these people and the service account.
    ///
    /// # Errors
    /// The address is not a loopback one or is taken, or the machine gives no thread.
    pub fn open(address: SocketAddr, people: Vec<Person>) -> io::Result<Self> {
        Self::open_as(Domain::default(), address, people)
    }

    /// The same, of a domain like this.
    ///
    /// # Errors
    /// As [`Lab::open`].
    pub fn open_as(domain: Domain, address: SocketAddr, people: Vec<Person>) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the lab directory speaks clear text: loopback addresses alone"));
        }
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tree = Arc::new(Tree::new(people, domain));
        let counts = Arc::new(Counts::default());
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let shared = (Arc::clone(&tree), Arc::clone(&counts));
        let thread = thread::Builder::new().name("lab-directory".to_owned()).spawn(move || {
            runtime.block_on(serve(listener, shared.0, shared.1, stopped));
        })?;
        Ok(Self { address, tree, counts, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Binds asked for so far, whoever they named and however they went.
    #[must_use]
    pub fn binds(&self) -> u64 {
        self.counts.locked().binds
    }

    /// Binds asked for so far by whatever name of the person who is `name` in short.
    #[must_use]
    pub fn binds_of(&self, name: &str) -> u64 {
        self.tree.dn_of(name).and_then(|dn| self.counts.locked().by_dn.get(dn).copied()).unwrap_or(0)
    }

    /// Searches asked for so far.
    #[must_use]
    pub fn searches(&self) -> u64 {
        self.counts.locked().searches
    }

    /// The distinguished name of a person.
    #[must_use]
    pub fn dn(&self, name: &str) -> Option<String> {
        self.tree.dn_of(name).map(str::to_owned)
    }

    /// The objectSid of a person, as text.
    #[must_use]
    pub fn sid(&self, name: &str) -> Option<String> {
        self.tree.sid_of(name)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What was asked.
#[derive(Debug, Default)]
struct Counts(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    binds: u64,
    /// By the DN of an object there is: bounded by the tree.
    by_dn: HashMap<String, u64>,
    searches: u64,
}

impl Counts {
    fn locked(&self) -> std::sync::MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bind(&self, dn: Option<&str>) {
        let mut counted = self.locked();
        counted.binds = counted.binds.saturating_add(1);
        if let Some(dn) = dn {
            let count = counted.by_dn.entry(dn.to_owned()).or_default();
            *count = count.saturating_add(1);
        }
    }

    fn search(&self) {
        let mut counted = self.locked();
        counted.searches = counted.searches.saturating_add(1);
    }
}

async fn serve(listener: TcpListener, tree: Arc<Tree>, counts: Arc<Counts>, mut stopped: oneshot::Receiver<()>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            Some(_) = sessions.join_next() => {}
            accepted = listener.accept(), if sessions.len() < SESSIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(session::converse(stream, Arc::clone(&tree), Arc::clone(&counts)));
                }
                // Out of descriptors, most likely: the next one is worth a try, but not at once.
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Connections at once.
const SESSIONS_MAX: usize = 2_000;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ldap3::Ldap;
    use ldap3::LdapConnAsync;
    use ldap3::Scope;
    use ldap3::SearchEntry;

    use super::*;

    fn lab() -> Lab {
        let mut people = vec![Person::new("alice", "Alice", "Archer", "Passw0rd!"), Person::new("comma", "John", "Smith, Jr", "Passw0rd!")];
        people.push(Person { disabled: true, ..Person::new("dora", "Dora", "Dis", "Passw0rd!") });
        people.push(Person { sub_code: Some("775"), ..Person::new("loki", "Loki", "Locked", "Passw0rd!") });
        Lab::open("127.0.0.1:0".parse().unwrap(), people).unwrap()
    }

    async fn client(lab: &Lab) -> Ldap {
        let (connection, ldap) = LdapConnAsync::new(&format!("ldap://{}", lab.address())).await.unwrap();
        tokio::spawn(connection.drive());
        ldap
    }

    async fn found(ldap: &mut Ldap, filter: &str) -> Vec<String> {
        let (entries, _) = ldap.search(Lab::BASE, Scope::Subtree, filter, vec!["sAMAccountName"]).await.unwrap().success().unwrap();
        entries.into_iter().flat_map(|entry| SearchEntry::construct(entry).attrs.remove("sAMAccountName").unwrap()).collect()
    }

    #[tokio::test]
    async fn b2_a_person_binds_by_every_form_of_the_name_as_with_active_directory() {
        let lab = lab();
        let dn = lab.dn("alice").unwrap();
        let sid = lab.sid("alice").unwrap();
        let spellings = ["alice@example.test", "ALICE@EXAMPLE.TEST", "alice @example.test", " alice@example.test", r"EXAMPLE\alice", r"example\ALICE ", &sid];
        for name in spellings.into_iter().chain([dn.as_str(), "cn=alice archer , CN=Users,dc=EXAMPLE, DC=test", "alice@example.test\0evil"]) {
            assert_eq!(client(&lab).await.simple_bind(name, "Passw0rd!").await.unwrap().rc, 0, "{name:?}");
        }
        assert_eq!(lab.binds_of("alice"), 10);
        assert_eq!(client(&lab).await.simple_bind("alice", "Passw0rd!").await.unwrap().rc, 49);
        assert_eq!((lab.binds(), lab.binds_of("alice")), (11, 10));
    }

    #[tokio::test]
    async fn l_011_a_refused_bind_says_why_as_active_directory_does() {
        let lab = lab();
        for (name, password, data) in [
            ("alice", "wrong", "data 52e,"),
            ("nobody", "Passw0rd!", "data 525,"),
            ("dora", "Passw0rd!", "data 533,"),
            ("dora", "wrong", "data 52e,"),
            ("loki", "wrong", "data 775,"),
        ] {
            let result = client(&lab).await.simple_bind(&format!("{name}@example.test"), password).await.unwrap();
            assert_eq!(result.rc, 49);
            assert!(result.text.starts_with("80090308: LdapErr: DSID-0C0903A9") && result.text.contains(data), "{name} {}", result.text);
        }
        assert_eq!(client(&lab).await.simple_bind("alice@example.test", "").await.unwrap().rc, 0);
    }

    #[tokio::test]
    async fn a_search_finds_what_its_filter_says_and_only_for_who_is_bound() {
        let lab = lab();
        let mut ldap = client(&lab).await;
        let refused = ldap.search(Lab::BASE, Scope::Subtree, "(cn=*)", vec!["cn"]).await.unwrap();
        assert_eq!(refused.1.rc, 1);
        assert_eq!(ldap.simple_bind(Lab::SERVICE_NAME, Lab::SERVICE_PASSWORD).await.unwrap().rc, 0);
        for (filter, names) in [
            ("(sAMAccountName=ALICE)", vec!["alice"]),
            ("(&(objectCategory=person)(objectClass=user)(|(cn=alice archer)(mail=dora@example.test)))", vec!["alice", "dora"]),
            ("(&(sn=*)(!(givenName=*l*)))", vec!["svc-mfa", "comma", "dora"]),
            ("(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(cn=*j*))", vec!["comma"]),
            ("(displayName=jo*sm*jr)", vec!["comma"]),
            ("(!(nothing=x))", vec![]),
            ("(memberOf=cn=lab people,cn=users,dc=example,dc=test)", vec!["svc-mfa", "alice", "comma", "dora", "loki"]),
        ] {
            assert_eq!(found(&mut ldap, filter).await, names, "{filter}");
        }
        let dn = lab.dn("comma").unwrap();
        assert_eq!(dn, r"CN=John Smith\, Jr,CN=Users,DC=example,DC=test");
        let below = ldap.search("CN=Users,DC=example,DC=test", Scope::OneLevel, "(objectClass=*)", vec!["1.1"]).await.unwrap();
        assert_eq!((below.0.len(), below.1.rc), (6, 0));
        let limit = ldap3::SearchOptions::new().sizelimit(2);
        let cut = ldap.with_search_options(limit).search(Lab::BASE, Scope::Subtree, "(sn=*)", vec!["cn"]).await.unwrap();
        assert_eq!((cut.0.len(), cut.1.rc), (2, 4));
        assert_eq!(ldap.search("DC=other", Scope::Base, "(cn=*)", vec!["cn"]).await.unwrap().1.rc, 32);
    }

    #[tokio::test]
    async fn the_root_dse_names_the_bound_one_first_among_the_token_groups() {
        let lab = lab();
        let mut ldap = client(&lab).await;
        let names = async |ldap: &mut Ldap, wanted: Vec<&str>| {
            let (mut entries, _) = ldap.search("", Scope::Base, "(objectClass=*)", wanted).await.unwrap().success().unwrap();
            SearchEntry::construct(entries.remove(0))
        };
        let anonymous = names(&mut ldap, vec![]).await;
        assert_eq!(anonymous.attrs["defaultNamingContext"], [Lab::BASE]);
        assert!(anonymous.attrs.contains_key("supportedSASLMechanisms"));
        assert!(names(&mut ldap, vec!["tokenGroups"]).await.bin_attrs.is_empty());
        ldap.simple_bind(r"EXAMPLE\alice", "Passw0rd!").await.unwrap();
        let bound = names(&mut ldap, vec!["tokenGroups"]).await;
        let tree = &lab.tree;
        let login = tree.named("alice@example.test").map(|at| tree.dn(at).unwrap().to_owned());
        assert_eq!(login, lab.dn("alice"));
        let groups = &bound.bin_attrs["tokenGroups"];
        assert_eq!(groups.len(), 2);
        assert_eq!(groups[0][24..], 1_101_u32.to_le_bytes());
        assert!(lab.sid("alice").unwrap().ends_with("-1101"));
        assert!(!bound.attrs.contains_key("supportedControl"));
        let sids: HashSet<_> = ["svc-mfa", "alice", "comma", "dora", "loki"].map(|name| lab.sid(name).unwrap()).into();
        assert_eq!(sids.len(), 5);
    }

    #[test]
    fn it_listens_on_loopback_alone_and_gives_its_address_back() {
        assert!(Lab::open("0.0.0.0:0".parse().unwrap(), Vec::new()).is_err());
        let address = Lab::open("127.0.0.1:0".parse().unwrap(), Vec::new()).unwrap().address();
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
