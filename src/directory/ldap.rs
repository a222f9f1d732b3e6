//! A directory that speaks LDAP: whom a name means, whether a password is theirs, and the proof of it.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tracing::error;
use tracing::warn;

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
use crate::wire::ldap::Filter;
use crate::wire::ldap::Question;
use crate::wire::ldap::Scope;
use crate::wire::ldap::sid_text;

use super::IdentityAttribute;
use super::Kind;
use super::OpenError;
use super::Security;
use super::Settings;
use super::ad;
use super::ad::Name;
use super::binds::Binds;
use super::binds::Lent;
use super::dn::Dn;
use super::groups::Groups;
use super::homes::Homes;
use super::identify::is_plain;
use super::line::Line;
use super::password;
use super::pool::Pool;
use super::realms::Realm;
use super::search::Found;
use super::server::AWAY;
use super::server::Servers;
use super::server::Watched;
use super::session::Broken;
use super::session::Password;
use super::session::Session;
use super::stream;

/// A directory that speaks LDAP.
#[derive(Debug)]
pub(super) struct LdapDirectory {
    name: String,
    kind: Kind,
    base: Dn,
    base_text: String,
    netbios: Option<String>,
    upn_suffixes: Vec<String>,
    identity_attribute: IdentityAttribute,
    login_attributes: Vec<&'static str>,
    /// What we want to know of a person.
    attributes: Vec<&'static str>,
    within: Duration,
    servers: Arc<Servers>,
    pool: Pool,
    groups: Groups,
    binds: Binds,
    /// We have told that objects come without their ids.
    told_of_ids: AtomicBool,
    /// Who is told apart from people of other directories; `None`: there are none.
    homes: Option<Homes>,
    realm: Realm,
}

impl LdapDirectory {
    pub(super) fn new(settings: Settings, homes: Option<Homes>) -> Result<Self, OpenError> {
        let realm = Realm::of(&settings);
        let Settings { name, kind, servers, srv, base, netbios, upn_suffixes, identity_attribute, login_attributes, .. } = settings;
        let Settings { bind_name, bind_password, ca_file, pool_max, timeout: within, .. } = settings;
        if servers.is_empty() && srv.is_none() {
            return Err(OpenError::NoServer);
        }
        let bind_password = Password::of(&bind_password).ok_or(OpenError::BindPassword)?;
        let base_dn = Dn::parse(&base).ok_or(OpenError::Base)?;
        let needs_tls = srv.is_some() || servers.iter().any(|server| server.security != Security::Plain);
        let tls = if needs_tls { Some(stream::tls(ca_file.as_deref())?) } else { None };
        let servers = match srv {
            Some(srv) => Servers::by_srv(&name, srv, tls, within),
            None => Servers::new(&name, servers, tls, within),
        };
        let pool = Pool::new(&name, Arc::clone(&servers), (bind_name, bind_password), pool_max, within);
        let binds = Binds::new(Arc::clone(&servers), pool_max, within);
        let (id, names) = match kind {
            Kind::Ad => ("objectSid", vec!["sAMAccountName", "userPrincipalName"]),
            Kind::Ldap => (identity_attribute.name(), login_attributes.clone()),
        };
        let groups = Groups::new(&name, kind, id, &base_dn);
        let attributes = [vec![id], names, vec!["mail", "mobile", "telephoneNumber"], password_set(kind).to_vec()].concat();
        let told_of_ids = AtomicBool::new(false);
        Ok(Self {
            name,
            kind,
            base: base_dn,
            base_text: base,
            netbios,
            upn_suffixes,
            identity_attribute,
            login_attributes,
            attributes,
            within,
            servers,
            pool,
            groups,
            binds,
            told_of_ids,
            homes,
            realm,
        })
    }

    fn read<'a>(&self, login: &'a str) -> Option<Name<'a>> {
        match self.kind {
            Kind::Ad => Name::for_ad(login, self.netbios.as_deref()),
            Kind::Ldap => Name::for_ldap(login),
        }
    }

    /// What it means that nobody was found. A realm or domain that is not ours others may strip off, and a sign that is not plain they may fold or cut at: then
    /// the name is somebody's.
    fn nobody(&self, login: &str) -> PrimaryError {
        match self.read(login) {
            Some(Name::Bare(short)) if is_plain(short) => NOBODY,
            Some(Name::Principal { front, domain, .. }) if self.kind == Kind::Ad && is_plain(front) && domain.to_lowercase() == self.base.dns_domain() => {
                NOBODY
            }
            _ => UNCLEAR,
        }
    }

    /// What to ask about a typed name; `None`: nothing, we do not read it.
    fn question<'a>(&'a self, login: &'a str) -> Option<Question<'a>> {
        let name = self.read(login)?;
        let (base, scope, who) = match name {
            Name::Bare(short) => (Cow::Borrowed(self.base_text.as_str()), Scope::Subtree, self.short(short)),
            Name::Dn(dn) if dn.is_under(&self.base) => (Cow::Owned(dn.to_string()), Scope::Base, Filter::Present("objectClass")),
            Name::Dn(_) => return None,
            Name::Principal { whole, front, domain } => (Cow::Borrowed(self.base_text.as_str()), Scope::Subtree, self.principal(whole, front, domain)),
        };
        let filter = match self.kind {
            Kind::Ad => Filter::And(vec![Filter::equal("objectCategory", "person"), Filter::equal("objectClass", "user"), who]),
            Kind::Ldap => who,
        };
        Some(Question { base, scope, filter, attributes: &self.attributes, count_max: 2 })
    }

    fn principal<'a>(&self, whole: &'a str, front: &'a str, domain: &str) -> Filter<'a> {
        match self.kind {
            // MS-ADTS §5.1.1.1.1: every account has the principal name `sAMAccountName@domain` as well, whatever its explicit one is.
            Kind::Ad if domain.to_lowercase() == self.base.dns_domain() => {
                Filter::Or(vec![Filter::equal("userPrincipalName", whole), Filter::equal("sAMAccountName", front)])
            }
            Kind::Ad => Filter::equal("userPrincipalName", whole),
            Kind::Ldap => {
                let is_ours = self.upn_suffixes.contains(&domain.to_lowercase());
                let whole = [Filter::equal("mail", whole), self.short(whole)];
                Filter::Or(whole.into_iter().chain(is_ours.then(|| self.short(front))).collect())
            }
        }
    }

    /// Who has this short name.
    fn short<'a>(&self, short: &'a str) -> Filter<'a> {
        match (self.kind, self.login_attributes.as_slice()) {
            (Kind::Ad, _) => Filter::equal("sAMAccountName", short),
            (Kind::Ldap, [only]) => of_person(only, short),
            (Kind::Ldap, several) => Filter::Or(several.iter().map(|name| of_person(name, short)).collect()),
        }
    }

    /// The attribute that says what a person is called.
    fn short_name(&self) -> &'static str {
        match self.kind {
            Kind::Ad => "sAMAccountName",
            Kind::Ldap => self.login_attributes.first().copied().unwrap_or("uid"),
        }
    }

    /// Whether the object found is of the very domain that is named. Under a base that covers several, as in a Global Catalog, the short name may be that of
    /// somebody elsewhere.
    fn is_meant(&self, login: &str, found: &Found) -> bool {
        if self.kind != Kind::Ad {
            return true;
        }
        let ours = self.base.dns_domain();
        let is_local = || Dn::parse(&found.dn).is_some_and(|dn| dn.dns_domain() == ours);
        match self.read(login) {
            Some(Name::Bare(_)) if login.contains('\\') => ours.is_empty() || is_local(),
            Some(Name::Principal { whole, domain, .. }) if domain.to_lowercase() == ours => {
                found.text("userPrincipalName").is_some_and(|name| name.to_lowercase() == whole.to_lowercase()) || is_local()
            }
            _ => true,
        }
    }

    /// The one object found. A machine is no person; an object without an id is our fault, for every object has one: we may not read it.
    fn entry(&self, found: &Found) -> Result<Entry, PrimaryError> {
        let name = found.text(self.short_name()).unwrap_or(&found.dn);
        if self.kind == Kind::Ad && name.ends_with('$') {
            return Err(UNCLEAR);
        }
        let id = match self.kind {
            Kind::Ad => "objectSid",
            Kind::Ldap => self.identity_attribute.name(),
        };
        let identity = match (self.kind, found.values(id)) {
            (Kind::Ad, [sid]) => sid_text(sid),
            (Kind::Ldap, [_]) => found.text(id).filter(|text| self.identity_attribute.is_value(text)).map(str::to_owned),
            _ => None,
        };
        let Some(identity) = identity else {
            if !self.told_of_ids.swap(true, Ordering::Relaxed) {
                error!(directory = self.name, dn = ?found.dn, "bind_name may not read {id}: nobody whose {id} it cannot read can log in");
            }
            return Err(PrimaryError::Outage(Outage::Fault));
        };
        self.told_of_ids.store(false, Ordering::Relaxed);
        Ok(Entry {
            directory: self.name.clone(),
            identity: match &self.homes {
                Some(homes) => homes.whose(&self.name, identity)?,
                None => Identity(identity),
            },
            dn: found.dn.clone(),
            name: name.to_owned(),
            mail: found.text("mail").map(str::to_owned),
            phone: found.text("mobile").or_else(|| found.text("telephoneNumber")).map(str::to_owned),
            password_set: password_set(self.kind).iter().find_map(|attribute| found.text(attribute)).map(str::to_owned),
        })
    }

    /// Binds and reads the proof. From here on nobody else is asked: a second bind would count as a second wrong password.
    async fn prove(&self, line: &mut Line, entry: &Entry, password: &Password) -> Result<Proven, Broken> {
        let answer = timeout(self.within, line.bind(&entry.dn, password)).await.map_err(|_| Broken::Timeout)??;
        match answer.code {
            0 => {}
            code if AWAY.contains(&code) => return Err(Broken::Away(code)),
            code => return Ok(Proven::Refused(self.refusal(code, &answer.text))),
        }
        let (base, attribute) = match self.proof() {
            Proof::OwnEntry(attribute) => (entry.dn.as_str(), attribute),
            Proof::TokenGroups(attribute) => ("", attribute),
        };
        let question = Question { base: base.into(), scope: Scope::Base, filter: Filter::Present("objectClass"), attributes: &[attribute], count_max: 2 };
        let (found, answer) = timeout(self.within, line.search(&question)).await.map_err(|_| Broken::Timeout)??;
        let taken_for: Vec<_> = found.iter().flat_map(|entry| entry.values(attribute)).collect();
        let is_same = self.kind.identity_value(&entry.identity).is_some_and(|ours| taken_for.contains(&&ours));
        Ok(match answer.code {
            0 if is_same => Proven::Same,
            0 if !taken_for.is_empty() => Proven::Other,
            code if AWAY.contains(&code) => return Err(Broken::Away(code)),
            code => Proven::Untold(code),
        })
    }

    /// Nobody knows whether the password arrived, so it is sent to nobody else. That a server closed who was idle tells nothing about the server.
    fn broke_under_bind(&self, watched: &Arc<Watched>, is_used: bool, why: &Broken) {
        self.binds.forget(watched);
        if !(is_used && matches!(why, Broken::Lost(_))) {
            self.servers.failed(watched, why);
        }
    }

    /// With our own account, since nobody can bind with an expired password; the old one is looked at all the same.
    async fn change_by_service(&self, entry: &Entry, old: &Password, new: &Password) -> Result<(), PasswordError> {
        let (old, new) = (password::unicode_pwd(old), password::unicode_pwd(new));
        let changing = self.pool.once(async |session| match session.modify_password(&entry.dn, &old, &new).await? {
            answer if AWAY.contains(&answer.code) => Err(Broken::Away(answer.code)),
            answer => Ok(answer),
        });
        password::ad_verdict(&changing.await.map_err(PasswordError::Outage)?)
    }

    /// As the person: our own account may have rights with which some servers do not look at the old password.
    async fn change_by_person(&self, entry: &Entry, old: &Password, new: &Password) -> Result<(), PasswordError> {
        let outage = |why| match why {
            PrimaryError::Outage(outage) => PasswordError::Outage(outage),
            PrimaryError::Refused { .. } => PasswordError::WrongOld,
        };
        let _slot = self.binds.enter().await.map_err(PasswordError::Outage)?;
        let Lent { mut line, watched, is_used, .. } = self.binds.lend().await.map_err(PasswordError::Outage)?;
        let changing = async {
            match self.prove(&mut line, entry, old).await? {
                Proven::Same => {}
                Proven::Refused(why) => return Ok(Err(outage(why))),
                Proven::Other | Proven::Untold(_) => return Ok(Err(PasswordError::Outage(Outage::Fault))),
            }
            let session = Session::over(line, watched.label.clone()).await?;
            match timeout(self.within, session.change_own_password(old, new)).await.map_err(|_| Broken::Timeout)?? {
                answer if AWAY.contains(&answer.code) => Err(Broken::Away(answer.code)),
                answer => Ok(password::verdict(&answer)),
            }
        };
        changing.await.unwrap_or_else(|why| {
            self.broke_under_bind(&watched, is_used, &why);
            Err(PasswordError::Outage(Outage::Directory))
        })
    }
}

/// How a bind came out.
enum Proven {
    /// The directory took us for somebody else.
    Other,
    Refused(PrimaryError),
    Same,
    /// The directory would not tell for whom it took us: the code of its answer.
    Untold(u32),
}

#[async_trait]
impl Directory for LdapDirectory {
    fn name(&self) -> &str {
        &self.name
    }

    fn claim(&self, login: &str) -> Claim {
        self.realm.claim(login)
    }

    async fn resolve(&self, login: &str) -> Result<Entry, PrimaryError> {
        let Some(question) = self.question(login) else { return Err(UNCLEAR) };
        self.servers.ready().await;
        let (found, answer) = self.pool.search(&question).await.map_err(PrimaryError::Outage)?;
        match (answer.code, found.as_slice()) {
            (0, [one]) if !self.is_meant(login, one) => Err(UNCLEAR),
            (0, [one]) => self.entry(one),
            (0, []) => Err(self.nobody(login)),
            // Of more than one: whose password would it be?
            (0 | SIZE_LIMIT_EXCEEDED, _) => Err(UNCLEAR),
            (NO_SUCH_OBJECT | INVALID_DN_SYNTAX, _) if question.scope == Scope::Base => Err(UNCLEAR),
            (code, _) => {
                error!(directory = self.name, code, text = ?answer.text, "a look-up was refused: check base and the rights of bind_name");
                Err(PrimaryError::Outage(Outage::Fault))
            }
        }
    }

    async fn authenticate(&self, entry: &Entry, password: &Secret) -> Result<Identity, PrimaryError> {
        let refused = |why| PrimaryError::Refused { who: Some(entry.identity.clone()), why };
        if entry.directory != self.name {
            error!(directory = self.name, other = entry.directory, "asked about an object of another directory");
            return Err(PrimaryError::Outage(Outage::Fault));
        }
        let password = Password::of(password).ok_or_else(|| refused(Refused::WrongPassword))?;
        self.servers.ready().await;
        let _slot = self.binds.enter().await.map_err(PrimaryError::Outage)?;
        let mut lent = self.binds.lend().await.map_err(PrimaryError::Outage)?;
        let watched = Arc::clone(&lent.watched);
        let proven = match self.prove(&mut lent.line, entry, &password).await {
            Ok(proven) => proven,
            Err(why) => {
                self.broke_under_bind(&watched, lent.is_used, &why);
                return Err(PrimaryError::Outage(Outage::Directory));
            }
        };
        self.servers.worked(&watched);
        match proven {
            Proven::Same => {
                self.binds.keep(lent);
                Ok(entry.identity.clone())
            }
            Proven::Refused(why) => {
                // Closed with `lent`: on some servers it is still bound as whoever came before (L-080).
                Err(match why {
                    PrimaryError::Refused { why, .. } => refused(why),
                    outage @ PrimaryError::Outage(_) => outage,
                })
            }
            Proven::Other => {
                let (directory, server, identity) = (&self.name, &watched.label, &entry.identity.0);
                error!(directory, server, identity, "after a bind the directory took us for somebody else: refused");
                Err(PrimaryError::Refused { who: None, why: Refused::UnknownName })
            }
            Proven::Untold(code) => {
                error!(
                    directory = self.name,
                    server = watched.label,
                    code,
                    "after a bind the directory would not tell whom it took us for: people must be allowed to read it"
                );
                Err(PrimaryError::Outage(Outage::Fault))
            }
        }
    }

    async fn change_password(&self, entry: &Entry, old: &Secret, new: &Secret) -> Result<(), PasswordError> {
        if entry.directory != self.name {
            error!(directory = self.name, other = entry.directory, "asked about an object of another directory");
            return Err(PasswordError::Outage(Outage::Fault));
        }
        let (old, new) = password::acceptable(old, new)?;
        self.servers.ready().await;
        let done = match self.kind {
            Kind::Ad => self.change_by_service(entry, &old, &new).await,
            Kind::Ldap => self.change_by_person(entry, &old, &new).await,
        };
        if let Err(why @ (PasswordError::Outage(_) | PasswordError::Unsupported)) = done {
            warn!(directory = self.name, identity = entry.identity.0, error = %why, "a password was not changed");
        }
        done
    }

    async fn groups(&self, entry: &Entry, wanted: &[String]) -> Result<Vec<String>, PrimaryError> {
        if entry.directory != self.name {
            error!(directory = self.name, other = entry.directory, "asked about an object of another directory");
            return Err(PrimaryError::Outage(Outage::Fault));
        }
        self.servers.ready().await;
        self.groups.of(&self.pool, entry, wanted).await.map_err(PrimaryError::Outage)
    }

    async fn groups_missing(&self, entry: &Entry, names: &[String]) -> Result<Vec<String>, PrimaryError> {
        if entry.directory != self.name {
            return Err(PrimaryError::Outage(Outage::Fault));
        }
        self.servers.ready().await;
        self.groups.missing(&self.pool, names).await.map_err(PrimaryError::Outage)
    }

    async fn connect(&self) -> Result<Connected, PrimaryError> {
        self.servers.ready().await;
        for watched in self.servers.in_order() {
            match self.servers.connect(&watched).await {
                Ok(stream) => {
                    self.servers.worked(&watched);
                    return Ok(Connected { stream, server: watched.rank });
                }
                Err(why) => self.servers.failed(&watched, &why),
            }
        }
        Err(PrimaryError::Outage(Outage::Directory))
    }

    fn broke(&self, server: usize, why: &dyn Display) {
        if let Some(watched) = self.servers.of_rank(server) {
            self.servers.failed(&watched, why);
        }
    }

    fn proof(&self) -> Proof {
        match self.kind {
            Kind::Ad => Proof::TokenGroups("tokenGroups"),
            Kind::Ldap => Proof::OwnEntry(self.identity_attribute.name()),
        }
    }

    fn refusal(&self, result_code: u32, diagnostic: &str) -> PrimaryError {
        ad::refusal(result_code, diagnostic)
    }
}

/// What tells when a password was set, the likelier first: Active Directory, OpenLDAP's password policy, 389-ds.
fn password_set(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Ad => &["pwdLastSet"],
        Kind::Ldap => &["pwdChangedTime", "pwdUpdateTime"],
    }
}

/// Of a person. Groups, rooms and machines have a `cn` too.
fn of_person<'a>(attribute: &'static str, value: &'a str) -> Filter<'a> {
    let equal = Filter::equal(attribute, value);
    if attribute == "cn" { Filter::And(vec![Filter::equal("objectClass", "person"), equal]) } else { equal }
}

/// What a name comes to of which we cannot tell whose it is.
const UNCLEAR: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnclearName };
/// What a name that is nobody's comes to.
const NOBODY: PrimaryError = PrimaryError::Refused { who: None, why: Refused::UnknownName };
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_DN_SYNTAX: u32 = 34;
