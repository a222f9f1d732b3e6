//! The JSON about sessions, exemptions and dry runs.

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
    /// The last day on which it holds, as configured; UTC.
    pub until: String,
    /// Whole days until then; none when it is over.
    pub days_left: Option<u64>,
    /// How often the account came in on it since the server started.
    pub uses: u64,
    /// When last.
    pub last_used: Option<String>,
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
