//! Clients as both ends of the administration socket know them: those that speak RADIUS, and those that speak LDAP.

use serde::Deserialize;
use serde::Serialize;

/// A RADIUS client, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// `radius`
    pub door: String,
    /// Its name in the configuration.
    pub name: String,
    /// Where its packets come from.
    pub networks: Vec<String>,
    /// The profile it was filled in from.
    pub profile: Option<String>,
    /// Who checks the first factor.
    pub first: String,
    /// Its policy.
    pub policy: String,
    /// `require`, `observe` or `optional`.
    pub integrity: String,
    /// Of a hundred requests so many are signed; none where it sent nothing yet.
    pub signed_percent: Option<u64>,
    /// What that means for `integrity`, in a few words.
    pub signing: String,
    /// Milliseconds it is said to wait.
    pub patience_ms: u64,
    /// Milliseconds from a request to its first copy, as seen.
    pub resends_every_ms: Option<u64>,
    /// Milliseconds after which it gave up, as seen.
    pub gives_up_after_ms: Option<u64>,
    /// When it was last heard.
    pub last_seen: Option<String>,
    /// What to change.
    pub advice: Vec<String>,
}

/// All clients, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientList {
    /// RADIUS clients.
    pub clients: Vec<Client>,
    /// LDAP listeners, each followed by the applications that share it.
    pub ldap: Vec<LdapClient>,
    /// Since when somebody has looked: a restart begins anew.
    pub seen_since: String,
}

/// All about one RADIUS client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientDetail {
    /// The client.
    #[serde(flatten)]
    pub client: Client,
    /// Since when somebody has looked.
    pub seen_since: String,
    /// Its NAS-Identifier, where others share its network.
    pub nas_identifier: Option<String>,
    /// How a code is handed over.
    pub code: String,
    /// The attribute that tells where people are.
    pub source: Option<String>,
    /// The methods of its policy, first first.
    pub methods: Vec<String>,
    /// Milliseconds after which a NAS of this profile sends again, as shipped.
    pub profile_resends_every_ms: Option<u64>,
    /// Requests of any kind, copies included.
    pub requests: u64,
    /// Access-Requests.
    pub asked: u64,
    /// Of these without Message-Authenticator, and taken.
    pub unsigned: u64,
    /// Without, and dropped because of that.
    pub unsigned_dropped: u64,
    /// With Proxy-State.
    pub proxied: u64,
    /// Sent again.
    pub copies: u64,
    /// Logins let in.
    pub accepts: u64,
    /// Questions asked.
    pub challenges: u64,
    /// Logins refused.
    pub rejects: u64,
    /// Logins that nobody could decide.
    pub drops: u64,
}

/// An LDAP listener, or an application that shares one with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdapClient {
    /// `ldap`
    pub door: String,
    /// Its name in the configuration.
    pub name: String,
    /// The listener that it comes to; none for the listener itself, which is whoever comes and is no application of its own.
    pub listener: Option<String>,
    /// `tls`, `starttls` or `plain`.
    pub transport: String,
    /// Where it is; empty: anywhere.
    pub networks: Vec<String>,
    /// A name in its certificate.
    pub certificate: Option<String>,
    /// The DN of the account that it binds with first.
    pub service: Option<String>,
    /// The directories behind.
    pub directory: String,
    /// How a code is handed over.
    pub code: String,
    /// Its policy.
    pub policy: String,
    /// The methods of that, first first.
    pub methods: Vec<String>,
    /// Accounts that need no second factor at the listener.
    pub exempt: Vec<String>,
}

/// All about one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShownClient {
    /// Of RADIUS.
    Radius(Box<ClientDetail>),
    /// Of LDAP.
    Ldap(Box<LdapClient>),
}
