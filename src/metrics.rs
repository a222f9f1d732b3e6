//! Counters by name, and how monitoring reads them. No label ever holds an account's name.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::PoisonError;

use metrics_exporter_prometheus::BuildError;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;

/// Bytes from outside that were thrown away; labels `door`, `why`.
pub const DISCARDS: &str = "vestibule_discards_total";
/// Logins decided; labels `door`, `client`, `decision`, `why`.
pub const LOGINS: &str = "vestibule_logins_total";
/// Requests to providers; labels `provider`, `outcome`.
pub const PROVIDER_REQUESTS: &str = "vestibule_provider_requests_total";
/// Whether a directory server or provider is well (1) or not (0); labels `room`, `name`.
pub const HEALTHY: &str = "vestibule_healthy_count";
/// Logins running now.
pub const RUNNING: &str = "vestibule_logins_running_count";
/// Challenges waiting for an answer now.
pub const PARKED: &str = "vestibule_challenges_parked_count";
/// Requests without Message-Authenticator that were taken all the same; label `client`.
pub const RADIUS_UNSIGNED: &str = "vestibule_radius_unsigned_total";
/// Access-Requests with Proxy-State (R-03C); label `client`.
pub const RADIUS_PROXIED: &str = "vestibule_radius_proxied_total";
/// Questions that would ring somebody; labels `method`, `outcome`: `rung`, or why not (`while`, `day`, `rest`, `full`).
pub const RINGS: &str = "vestibule_rings_total";
/// Approvals that came when nobody waited for them any more.
pub const LATE_APPROVALS: &str = "vestibule_late_approvals_total";
/// Wrong passwords that were heard before, refused without asking the directory; label `door`.
pub const STALE_PASSWORDS: &str = "vestibule_stale_passwords_total";
/// Logins by a name that is nobody's; labels `door`, `outcome`: `counted`, or `locked` after as many as would lock somebody.
pub const UNKNOWN_NAMES: &str = "vestibule_unknown_names_total";
/// RADIUS connections behind TLS that are open now.
pub const RADIUS_CONNECTIONS: &str = "vestibule_radius_connections_count";
/// Sessions that accounting says are on now.
pub const SESSIONS: &str = "vestibule_sessions_count";

/// Lines of the audit that could not be written.
pub const AUDIT_LOST: &str = "vestibule_audit_lost_total";
/// What somebody should look at now: frauds that people report, logins let in because no provider could be reached, a store that cannot write; label `alarm`.
pub const ALARMS: &str = "vestibule_alarms_total";

/// Starts counting for this process and hands out the reader.
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe();
    Ok(handle)
}

/// What the engine counts: names and labels are looked up once and not with each login.
pub struct Counts {
    running: ::metrics::Gauge,
    parked: ::metrics::Gauge,
    /// By client, of which there are as many as are configured; the words of a decision are few and ours.
    logins: Mutex<HashMap<String, Vec<(Words, ::metrics::Counter)>>>,
}

/// Door, decision and why.
type Words = [&'static str; 3];

impl Counts {
    /// Counts with the recorder that is there now.
    #[must_use]
    pub fn new() -> Self {
        Self { running: ::metrics::gauge!(RUNNING), parked: ::metrics::gauge!(PARKED), logins: Mutex::default() }
    }

    /// So many logins run now.
    pub fn running(&self, count: usize) {
        self.running.set(float(count));
    }

    /// So many challenges wait for an answer now.
    pub fn parked(&self, count: usize) {
        self.parked.set(float(count));
    }

    /// Somebody was rung, or would have been.
    pub fn ring(&self, method: &'static str, outcome: &'static str) {
        ::metrics::counter!(RINGS, "method" => method, "outcome" => outcome).increment(1);
    }

    /// An approval was thrown away.
    pub fn late_approval(&self) {
        ::metrics::counter!(LATE_APPROVALS).increment(1);
    }

    /// A wrong password was known.
    pub fn stale(&self, door: &'static str) {
        ::metrics::counter!(STALE_PASSWORDS, "door" => door).increment(1);
    }

    /// A name was nobody's.
    pub fn nobody(&self, door: &'static str, outcome: &'static str) {
        ::metrics::counter!(UNKNOWN_NAMES, "door" => door, "outcome" => outcome).increment(1);
    }

    /// A login was decided.
    pub fn login(&self, door: &'static str, client: &str, decision: &'static str, why: &'static str) {
        let words = [door, decision, why];
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = logins.get(client).and_then(|counters| counters.iter().find(|(known, _)| *known == words)) {
            return counter.increment(1);
        }
        let counter = ::metrics::counter!(LOGINS, "door" => door, "client" => client.to_owned(), "decision" => decision, "why" => why);
        counter.increment(1);
        logins.entry(client.to_owned()).or_default().push((words, counter));
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counts").finish_non_exhaustive()
    }
}

/// One counter for each client, looked up once and not with each request.
pub struct ByClient {
    name: &'static str,
    counters: HashMap<String, ::metrics::Counter>,
}

impl ByClient {
    /// Counts under this name, with the label `client`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, counters: HashMap::new() }
    }

    /// One more of this client, of which there are as many as are configured.
    pub fn count(&mut self, client: &str) {
        if let Some(counter) = self.counters.get(client) {
            return counter.increment(1);
        }
        let counter = ::metrics::counter!(self.name, "client" => client.to_owned());
        counter.increment(1);
        self.counters.insert(client.to_owned(), counter);
    }
}

impl fmt::Debug for ByClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByClient").field("name", &self.name).finish_non_exhaustive()
    }
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

fn describe() {
    ::metrics::describe_counter!(DISCARDS, "Packets, frames and connections thrown away, by door and reason");
    ::metrics::describe_counter!(LOGINS, "Logins decided, by door, client, decision and reason");
    ::metrics::describe_counter!(PROVIDER_REQUESTS, "Requests to providers, by provider and outcome");
    ::metrics::describe_gauge!(HEALTHY, "1 while a directory server or provider is well, 0 while it is not");
    ::metrics::describe_gauge!(RUNNING, "Logins running now");
    ::metrics::describe_gauge!(PARKED, "Challenges waiting for an answer now");
    ::metrics::describe_counter!(RADIUS_UNSIGNED, "Requests without Message-Authenticator that were taken all the same, by client");
    ::metrics::describe_counter!(RADIUS_PROXIED, "Requests with Proxy-State, which a NAS does not send, by client");
    ::metrics::describe_counter!(RINGS, "Questions that rang somebody or were spared them, by method and outcome");
    ::metrics::describe_counter!(LATE_APPROVALS, "Approvals that came when nobody waited for them any more");
    ::metrics::describe_counter!(STALE_PASSWORDS, "Wrong passwords heard before and refused without asking the directory, by door");
    ::metrics::describe_counter!(UNKNOWN_NAMES, "Logins by a name that is nobody's, by door and whether it is locked by now");
    ::metrics::describe_gauge!(RADIUS_CONNECTIONS, "RADIUS connections behind TLS that are open now");
    ::metrics::describe_counter!(AUDIT_LOST, "Lines of the audit that could not be written");
    ::metrics::describe_counter!(ALARMS, "Frauds reported, logins let in because no provider could be reached, and a store that cannot write");
    ::metrics::describe_gauge!(SESSIONS, "Sessions that accounting says are on now");
}

/// Counts something thrown away at a door.
pub fn discard(door: &'static str, why: &'static str) {
    ::metrics::counter!(DISCARDS, "door" => door, "why" => why).increment(1);
}

/// Counts lines that the audit lacks.
pub fn audit_lost(lines: usize) {
    ::metrics::counter!(AUDIT_LOST).increment(u64::try_from(lines).unwrap_or(u64::MAX));
}

/// Counts what somebody should look at now.
pub fn alarm(alarm: &'static str) {
    ::metrics::counter!(ALARMS, "alarm" => alarm).increment(1);
}

/// Says whether a server behind us is well.
pub fn healthy(room: &'static str, name: &str, well: bool) {
    ::metrics::gauge!(HEALTHY, "room" => room, "name" => name.to_owned()).set(if well { 1.0 } else { 0.0 });
}
