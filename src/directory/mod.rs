//! The first factor: directories that know passwords.

mod ad;
mod binds;
mod dn;
mod groups;
pub mod homes;
pub mod identify;
mod ldap;
mod line;
mod password;
mod place;
mod pool;
pub mod probe;
mod quota;
pub mod realms;
mod search;
mod server;
mod session;
pub mod srv;
mod stream;
mod trunk;
pub mod upstream;
pub mod winbind;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::AuthRequest;
use crate::domain::Checked;
use crate::domain::Identity;
use crate::domain::Outage;
use crate::domain::PasswordError;
use crate::domain::Primary;
use crate::domain::PrimaryError;
use crate::domain::Secret;
use crate::ports::Aside;
use crate::ports::Directory;
use crate::ports::Entry;
use crate::ports::PrimaryCheck;
use crate::wire::ldap::sid_bytes;

use self::homes::Homes;
use self::place::Place;
use self::srv::Srv;

pub use self::binds::BINDS_MAX;
pub use self::place::PlaceError;
pub use self::stream::TlsError;

/// Makes a directory ready to be asked. Reads the CA file; the network is not touched.
///
/// # Errors
/// What is wrong with the settings.
pub fn open(settings: Settings) -> Result<Arc<dyn Directory>, OpenError> {
    Ok(Arc::new(ldap::LdapDirectory::new(settings, None)?))
}

/// The same, of one that may stand beside others: an id that is in two of them is two people's.
///
/// # Errors
/// As [`open`].
pub fn open_among(settings: Settings, homes: &Homes) -> Result<Arc<dyn Directory>, OpenError> {
    Ok(Arc::new(ldap::LdapDirectory::new(settings, Some(homes.clone()))?))
}

/// Whether this is written as a distinguished name that [`Directory::resolve`] reads as one.
#[must_use]
pub fn is_dn(text: &str) -> bool {
    dn::Dn::parse(text).is_some()
}

/// Whether what has this DN would lie in the domain of `base`.
#[must_use]
pub fn is_in_domain(dn: &str, base: &str) -> bool {
    dn::Dn::parse(dn).zip(dn::Dn::parse(base)).is_some_and(|(dn, base)| dn.is_under(&base.domain()))
}

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody could be told to be below it.
    #[error("base is no distinguished name: write it as DC=corp,DC=example")]
    Base,
    /// A directory would call an empty password a success without looking.
    #[error("bind_password is empty, holds a NUL or is not UTF-8")]
    BindPassword,
    /// Nobody to ask.
    #[error("servers names no server, and srv no domain")]
    NoServer,
    /// No certificate could be checked.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The first factor of a door that hands us the password: one bind at the directory.
#[derive(Clone, Debug)]
pub struct ByDirectory(pub Arc<dyn Directory>);

#[async_trait]
impl PrimaryCheck for ByDirectory {
    async fn resolve(&self, request: &AuthRequest) -> Result<Option<Entry>, PrimaryError> {
        self.0.resolve(&request.login).await.map(Some)
    }

    async fn check(&self, request: &AuthRequest, entry: Option<&Entry>, _aside: &mut Aside) -> Result<Checked, PrimaryError> {
        match (&request.primary, entry) {
            (Primary::Password(password), Some(entry)) => self.0.authenticate(entry, password).await.map(Checked::Passed),
            _ => Err(PrimaryError::Outage(Outage::Fault)),
        }
    }

    fn can_change(&self) -> bool {
        true
    }

    async fn change(&self, _: &AuthRequest, entry: Option<&Entry>, old: &Secret, new: &Secret, _: &mut Aside) -> Result<Identity, PasswordError> {
        let Some(entry) = entry else { return Err(PasswordError::Outage(Outage::Fault)) };
        self.0.change_password(entry, old, new).await?;
        Ok(entry.identity.clone())
    }
}

/// One `[directory.NAME]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: String,
    /// The name of the directory that this very one is too, or was: its people are the same people.
    pub same_as: Option<String>,
    /// Whose manners it has.
    pub kind: Kind,
    /// In order of preference; at least one, unless DNS names them.
    pub servers: Vec<Server>,
    /// DNS names them, and nobody else.
    pub srv: Option<Srv>,
    /// The DN under which everybody is found.
    pub base: String,
    /// The NetBIOS name before the backslash in `CORP\alice`; AD alone.
    pub netbios: Option<String>,
    /// What stands behind the `@` in names of its people, in lower case; none: the domain that the `DC` steps of `base` spell.
    pub upn_suffixes: Vec<String>,
    /// What tells its objects apart for ever; not for AD, where it is the SID.
    pub identity_attribute: IdentityAttribute,
    /// By which attributes a short name finds somebody, at least one; what the first of them says is what the person is called. Not for AD.
    pub login_attributes: Vec<&'static str>,
    /// The name we bind with to look people up.
    pub bind_name: String,
    /// And its password.
    pub bind_password: Secret,
    /// The certificate authorities that may vouch for the servers, PEM; `None`: the machine's own.
    pub ca_file: Option<PathBuf>,
    /// Connections for look-ups, and connections that wait for somebody to bind: 1..1000 of each.
    pub pool_max: usize,
    /// How long one server may take for one operation.
    pub timeout: Duration,
}

/// Whose manners a directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Active Directory (Samba's too): objectSid, sub-codes, `NETBIOS\sam`.
    Ad,
    /// Any other LDAP server: entryUUID, `uid`.
    Ldap,
}

/// What tells the objects of an LDAP server apart for ever: never given again, and in a form that no identity of another kind can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentityAttribute {
    /// RFC 4530: OpenLDAP, 389 Directory Server from 2.0 on, others.
    #[default]
    EntryUuid,
    /// FreeIPA.
    IpaUniqueId,
    /// 389 Directory Server.
    NsUniqueId,
}

impl IdentityAttribute {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::EntryUuid => "entryUUID",
            Self::IpaUniqueId => "ipaUniqueID",
            Self::NsUniqueId => "nsUniqueId",
        }
    }

    /// Whether a value of it looks like this: groups of hexadecimal digits, so many in each.
    fn is_value(self, text: &str) -> bool {
        let lens: &[usize] = match self {
            Self::EntryUuid | Self::IpaUniqueId => &[8, 4, 4, 4, 12],
            Self::NsUniqueId => &[8, 8, 8, 8],
        };
        let groups = || text.split('-');
        groups().map(str::len).eq(lens.iter().copied()) && groups().all(|group| group.bytes().all(|digit| digit.is_ascii_hexdigit()))
    }
}

/// What may find a person by a short name, where there is no AD.
pub const LOGIN_ATTRIBUTES: &[&str] = &["uid", "cn", "mail", "employeeNumber", "krbPrincipalName", "sAMAccountName", "userPrincipalName"];

impl Kind {
    /// The value of that attribute that is this identity; none where it can be no value.
    fn identity_value(self, identity: &Identity) -> Option<Vec<u8>> {
        match self {
            Self::Ad => sid_bytes(identity.id()),
            Self::Ldap => Some(identity.id().as_bytes().to_vec()),
        }
    }
}

/// One server of a directory: `ldaps://HOST`, `ldap+starttls://HOST`, or `ldap://HOST` for a loopback address; `:PORT` may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address; the certificate must be for it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is kept from others.
    pub security: Security,
}

impl FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let (scheme, rest) = text.split_once("://").ok_or(ServerError::Scheme)?;
        let (security, port_usual) = match scheme.to_ascii_lowercase().as_str() {
            "ldap" => (Security::Plain, 389),
            "ldap+starttls" => (Security::StartTls, 389),
            "ldaps" => (Security::Tls, 636),
            _ => return Err(ServerError::Scheme),
        };
        let Place { host, port } = Place::read(rest, port_usual)?;
        let is_local = host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if security == Security::Plain && !is_local {
            return Err(ServerError::ClearText);
        }
        Ok(Self { host: host.to_owned(), port, security })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "ldap",
            Security::StartTls => "ldap+starttls",
            Security::Tls => "ldaps",
        };
        write!(f, "{scheme}://{}", Place { host: &self.host, port: self.port })
    }
}

/// Why a text is no server of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Passwords would go over a network unencrypted.
    #[error("ldap:// is clear text and for loopback addresses alone: write ldaps:// or ldap+starttls://")]
    ClearText,
    /// No host with a port.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// None of ours.
    #[error("begin with ldaps:// or ldap+starttls://, as in ldaps://dc1.corp.example")]
    Scheme,
}

/// How a connection to a directory server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Not at all: `ldap://`, to a loopback address alone.
    Plain,
    /// `ldap+starttls://`; never falls back to clear text.
    StartTls,
    /// `ldaps://`.
    Tls,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_from_its_url() {
        for (text, host, port, security, shown) in [
            ("ldaps://dc1.corp.example", "dc1.corp.example", 636, Security::Tls, "ldaps://dc1.corp.example:636"),
            ("LDAPS://[2001:db8::5]:3269", "2001:db8::5", 3269, Security::Tls, "ldaps://[2001:db8::5]:3269"),
            ("ldap+starttls://10.0.0.5", "10.0.0.5", 389, Security::StartTls, "ldap+starttls://10.0.0.5:389"),
            ("ldap://127.0.0.1:10389", "127.0.0.1", 10389, Security::Plain, "ldap://127.0.0.1:10389"),
            ("ldap://[::1]", "::1", 389, Security::Plain, "ldap://[::1]:389"),
            ("ldap://localhost", "localhost", 389, Security::Plain, "ldap://localhost:389"),
        ] {
            let server: Server = text.parse().unwrap();
            assert_eq!((server.host.as_str(), server.port, server.security), (host, port, security), "{text}");
            assert_eq!(server.to_string(), shown);
        }
    }

    #[test]
    fn l_087_clear_text_is_for_loopback_alone() {
        for text in ["ldap://dc1.corp.example", "ldap://10.0.0.5", "ldap://[2001:db8::5]:389", "ldap://localhost.corp.example", "ldap://127.0.0.1.corp.example"]
        {
            assert_eq!(text.parse::<Server>(), Err(ServerError::ClearText), "{text}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_the_reason() {
        for (text, error) in [
            ("dc1.corp.example", ServerError::Scheme),
            ("https://dc1.corp.example", ServerError::Scheme),
            ("ldapi://%2frun%2fldapi", ServerError::Scheme),
            ("ldaps://", ServerError::Place(PlaceError::Host)),
            ("ldaps://dc1:0", ServerError::Place(PlaceError::Port)),
        ] {
            assert_eq!(text.parse::<Server>(), Err(error), "{text}");
        }
    }
}
