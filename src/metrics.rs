//! Counters by name, and how monitoring reads them. No label ever holds an account's name.

mod counts;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use metrics_exporter_prometheus::BuildError;
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::time::Instant;

use crate::domain::Alarm;
use crate::domain::Timestamp;

pub use counts::ByClient;
pub use counts::Counts;

/// Bytes from outside that were thrown away; labels `door`, `why`.
pub const DISCARDS: &str = "vestibule_discards_total";
/// Logins decided; labels `door`, `client`, `decision`, `why`.
pub const LOGINS: &str = "vestibule_logins_total";
/// Requests to providers; labels `provider`, `outcome`.
pub const PROVIDER_REQUESTS: &str = "vestibule_provider_requests_total";
/// Whether a directory server or provider is well (1) or not (0); labels `room`, `name`.
pub const HEALTHY: &str = "vestibule_healthy";
/// Logins running now.
pub const RUNNING: &str = "vestibule_logins_running";
/// Challenges waiting for an answer now.
pub const PARKED: &str = "vestibule_challenges_parked";
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
pub const RADIUS_CONNECTIONS: &str = "vestibule_radius_connections";
/// Sessions that accounting says are on now.
pub const SESSIONS: &str = "vestibule_sessions";

/// Lines of the audit that could not be written.
pub const AUDIT_LOST: &str = "vestibule_audit_lost_total";
/// What somebody should look at now: frauds that people report, blocks, blocks that cannot be written, phones that rang in vain for a day, many who are locked out,
/// logins let in because no provider could be reached, and a store that cannot write; label `alarm`.
pub const ALARMS: &str = "vestibule_alarms_total";
/// The alarm of a store that cannot write.
const STORE_ALARM: &str = "store";
/// Letters that tell somebody of an alarm; label `outcome`: `sent`, or why not (`failed`, `full`, `quiet`).
pub const ALERT_LETTERS: &str = "vestibule_alert_letters_total";

/// What runs here, always 1; labels `version`, `node`.
pub const BUILD_INFO: &str = "vestibule_build_info";
/// When this process began, seconds since 1970.
pub const STARTED: &str = "vestibule_start_time_seconds";
/// The last moment, seconds since 1970, at which every certificate in the file of a key of the configuration holds; label `key`.
pub const CERTIFICATE_EXPIRY: &str = "vestibule_certificate_expiry_time_seconds";
/// People who are waited for now: a push or a call is out.
pub const WAITING: &str = "vestibule_answers_awaited";
/// How long logins took from the first packet to the end, with all that people took; labels `door`, `decision`.
pub const LOGIN: &str = "vestibule_login_duration_seconds";
/// How long it took from the beginning of a login until the first factor had passed; label `door`.
pub const FIRST_FACTOR: &str = "vestibule_first_factor_duration_seconds";
/// How long it took from the first question for the second factor to the last word about it; labels `provider`, `method`.
pub const SECOND_FACTOR: &str = "vestibule_second_factor_duration_seconds";
/// How long the store took until a change was on disk.
pub const STORE_COMMIT: &str = "vestibule_store_commit_duration_seconds";
/// Logins told to the audit and not yet written.
pub const AUDIT_WAITING: &str = "vestibule_audit_waiting";
/// Lines of the audit that were sent; label `to`.
pub const AUDIT_SHIPPED: &str = "vestibule_audit_shipped_total";
/// Lines of the audit that are written and not yet sent; label `to`.
pub const AUDIT_BEHIND: &str = "vestibule_audit_ship_behind";
/// Lines of the audit that were gone before they could be sent; label `to`.
pub const AUDIT_SKIPPED: &str = "vestibule_audit_ship_skipped_total";

/// Starts counting for this process and hands out the reader.
///
/// # Errors
/// When a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
    describe();
    begin();
    Ok(handle)
}

/// What alerts ask after is there from the start: a counter that appears with its first event never seemed to grow, and nobody would hear of that one.
fn begin() {
    for alarm in Alarm::ALL.map(Alarm::as_str).into_iter().chain([STORE_ALARM]) {
        ::metrics::counter!(ALARMS, "alarm" => alarm).increment(0);
    }
    ::metrics::counter!(AUDIT_LOST).increment(0);
    ::metrics::counter!(LATE_APPROVALS).increment(0);
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
    ::metrics::describe_counter!(
        ALARMS,
        "What somebody should look at now: frauds, blocks, many locked out, phones rung in vain, logins let in by an outage, a store that cannot write"
    );
    ::metrics::describe_counter!(ALERT_LETTERS, "Letters that tell somebody of an alarm, by what became of them");
    ::metrics::describe_gauge!(SESSIONS, "Sessions that accounting says are on now");
    ::metrics::describe_gauge!(BUILD_INFO, "What runs here, by version and node; always 1");
    ::metrics::describe_gauge!(STARTED, "When this process began, seconds since 1970");
    ::metrics::describe_gauge!(CERTIFICATE_EXPIRY, "When the first certificate of a file ends, seconds since 1970, by key of the configuration");
    ::metrics::describe_gauge!(WAITING, "People who are waited for now: a push or a call is out");
    ::metrics::describe_histogram!(LOGIN, "How long logins took in all, by door and decision");
    ::metrics::describe_histogram!(FIRST_FACTOR, "How long it took from the beginning of a login until the first factor had passed, by door");
    ::metrics::describe_histogram!(SECOND_FACTOR, "From the first question for the second factor to the last word about it, by provider and method");
    ::metrics::describe_histogram!(STORE_COMMIT, "How long the store took until a change was on disk");
    ::metrics::describe_gauge!(AUDIT_WAITING, "Logins told to the audit and not yet written");
    ::metrics::describe_counter!(AUDIT_SHIPPED, "Lines of the audit that were sent, by receiver");
    ::metrics::describe_gauge!(AUDIT_BEHIND, "Lines of the audit that are written and not yet sent, by receiver");
    ::metrics::describe_counter!(AUDIT_SKIPPED, "Lines of the audit that were gone before they could be sent, by receiver");
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

/// Counts a store that cannot write.
pub fn store_alarm() {
    alarm(STORE_ALARM);
}

/// Counts what became of a letter about an alarm.
pub fn alert_letter(outcome: &'static str) {
    ::metrics::counter!(ALERT_LETTERS, "outcome" => outcome).increment(1);
}

/// Says whether a server behind us is well.
pub fn healthy(room: &'static str, name: &str, well: bool) {
    HEALTH.lock().unwrap_or_else(PoisonError::into_inner).insert((room, name.to_owned()), (well, Instant::now()));
    ::metrics::gauge!(HEALTHY, "room" => room, "name" => name.to_owned()).set(if well { 1.0 } else { 0.0 });
}

/// What was said last; `None` where nobody has said anything.
#[must_use]
pub fn is_healthy(room: &'static str, name: &str) -> Option<bool> {
    HEALTH.lock().unwrap_or_else(PoisonError::into_inner).get(&(room, name.to_owned())).map(|(well, _)| *well)
}

/// Whether it was last said to be ill, and that no longer ago than this.
#[must_use]
pub fn was_just_ill(room: &'static str, name: &str, within: Duration) -> bool {
    let health = HEALTH.lock().unwrap_or_else(PoisonError::into_inner);
    health.get(&(room, name.to_owned())).is_some_and(|(well, said)| !well && said.elapsed() <= within)
}

/// Of what is configured no more nobody says that it is ill: what stays of it is no number. Names are `NAME`, or `NAME SERVER`.
pub fn keep_healthy(room: &'static str, names: &[&str]) {
    let is_gone = |of: &'static str, name: &str| of == room && !names.contains(&name.split(' ').next().unwrap_or_default());
    HEALTH.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, name), _| {
        if is_gone(of, name) {
            ::metrics::gauge!(HEALTHY, "room" => *of, "name" => name.clone()).set(f64::NAN);
        }
        !is_gone(of, name)
    });
}

/// Says what runs here since when.
pub fn began(node: &str, at: Timestamp) {
    ::metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION"), "node" => node.to_owned()).set(1.0);
    ::metrics::gauge!(STARTED).set(seconds(at));
}

/// Says until when certificates hold, by the key that names their file; of keys that are not among them any more there is no number.
pub fn certificates(until: &BTreeMap<String, Timestamp>) {
    let mut told = CERTIFICATES.lock().unwrap_or_else(PoisonError::into_inner);
    for key in told.keys().filter(|key| !until.contains_key(*key)) {
        ::metrics::gauge!(CERTIFICATE_EXPIRY, "key" => key.clone()).set(f64::NAN);
    }
    for (key, at) in until {
        ::metrics::gauge!(CERTIFICATE_EXPIRY, "key" => key.clone()).set(seconds(*at));
    }
    told.clone_from(until);
}

/// So many logins wait for the audit to be written.
pub fn audit_waiting(count: u64) {
    ::metrics::gauge!(AUDIT_WAITING).set(float(usize::try_from(count).unwrap_or(usize::MAX)));
}

/// Counts lines of the audit that were sent to this receiver.
pub fn audit_shipped(to: &'static str, lines: usize) {
    ::metrics::counter!(AUDIT_SHIPPED, "to" => to).increment(u64::try_from(lines).unwrap_or(u64::MAX));
}

/// So many lines of the audit are yet to be sent to this receiver.
pub fn audit_behind(to: &'static str, lines: u64) {
    ::metrics::gauge!(AUDIT_BEHIND, "to" => to).set(float(usize::try_from(lines).unwrap_or(usize::MAX)));
}

/// Counts lines of the audit that this receiver will never get.
pub fn audit_skipped(to: &'static str, lines: u64) {
    ::metrics::counter!(AUDIT_SKIPPED, "to" => to).increment(lines);
}

fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// Whole seconds, which a float holds exactly for longer than there will be clocks.
fn seconds(at: Timestamp) -> f64 {
    let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).map_or(0.0, f64::from);
    let whole = at.0 / 1_000;
    half(whole >> 32) * 4_294_967_296.0 + half(whole)
}

/// Upper bounds, in seconds: from what memory answers to what a person on a way to their phone takes.
const BUCKETS: [f64; 17] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Whether it is well, and when that was said.
type Said = (bool, Instant);
/// What was said last of whom. Of rooms there are a handful, and of names as many as are configured.
static HEALTH: Mutex<BTreeMap<(&'static str, String), Said>> = Mutex::new(BTreeMap::new());
static CERTIFICATES: Mutex<BTreeMap<String, Timestamp>> = Mutex::new(BTreeMap::new());
