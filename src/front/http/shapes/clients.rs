//! The JSON about RADIUS clients, sessions, exemptions and dry runs.

use serde::Deserialize;
use serde::Serialize;

use super::Once;
use super::moment;
use crate::front::radius;

/// Somebody who is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// User-Name.
    pub name: Option<String>,
    /// The RADIUS client, by its name in the configuration.
    pub client: String,
    /// The NAS, by its own word.
    pub nas: String,
    /// Acct-Session-Id.
    pub session: String,
    /// When it began.
    pub since: String,
    /// When it was last spoken of.
    pub heard: String,
    /// Calling-Station-Id: where the person is.
    pub source: Option<String>,
    /// The address the person was given.
    pub address: Option<String>,
    /// Octets from the person.
    pub input_octets: u64,
    /// Octets to the person.
    pub output_octets: u64,
}

/// Some sessions in the order of client, NAS and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionPage {
    /// At most as many as were asked for.
    pub sessions: Vec<Session>,
    /// What to pass as `after` for the next page; none on the last.
    pub next: Option<String>,
}

/// A service account that an LDAP listener lets in without a second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// The listener's name.
    pub listener: String,
    /// The account's DN, as configured.
    pub name: String,
    /// Whose that is; none while nobody is known by it.
    pub identity: Option<String>,
    /// Whether anybody is let in on it now.
    pub holds: bool,
    /// From where.
    pub networks: Vec<String>,
    /// A name that the caller's certificate must have.
    pub certificate: Option<String>,
    /// The first moment at which it is over.
    pub until: String,
    /// Whole days until then; none when it is over.
    pub days_left: Option<u64>,
    /// How often the account came in on it since the server started.
    pub uses: u64,
    /// When last.
    pub last_used: Option<String>,
}

/// A RADIUS client, and what was seen of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
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

/// All RADIUS clients, in the order of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientList {
    /// All of them.
    pub clients: Vec<Client>,
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

/// Asks for a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewSimulation {
    /// The name as typed.
    pub user: String,
    /// The password, to be checked once; without it the first factor is taken as passed.
    pub password: Option<Once>,
    /// The code.
    pub code: Option<Once>,
    /// Where the person is.
    pub from: Option<String>,
    /// Ask for the second factor in earnest.
    pub ask: bool,
}

/// What a login would have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Simulation {
    /// The client's name.
    pub client: String,
    /// The name as typed.
    pub user: String,
    /// In the order in which they happen.
    pub steps: Vec<SimulationStep>,
    /// `accept`, `challenge`, `reject`, `drop` or `unknown`.
    pub verdict: String,
    /// The word for why, as in log and metrics.
    pub why: String,
    /// What goes out.
    pub reply: String,
    /// Attributes of ours in it.
    pub attributes: Vec<ReplyAttribute>,
    /// Something was taken to be so that a login would ask.
    pub assumed: bool,
}

/// One thing that a login does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SimulationStep {
    /// What it is about.
    pub part: String,
    /// In plain words.
    pub told: String,
    /// Nobody was asked: it is taken to be so.
    pub assumed: bool,
}

/// An attribute of ours in a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyAttribute {
    /// Its name in the dictionary.
    pub name: String,
    /// Its value, for people.
    pub value: String,
    /// For the people of this group alone.
    pub group: Option<String>,
}

impl From<&radius::Session> for Session {
    fn from(session: &radius::Session) -> Self {
        Self {
            name: session.name.clone(),
            client: session.client.clone(),
            nas: session.nas.clone(),
            session: session.id.clone(),
            since: moment(session.since),
            heard: moment(session.heard),
            source: session.source.clone(),
            address: session.address.map(|address| address.to_string()),
            input_octets: session.input_octets,
            output_octets: session.output_octets,
        }
    }
}
