//! Clients: listed with what was seen of them, shown; those of RADIUS rehearsed too.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::routing::get;
use axum::routing::post;
use tokio::time::Instant;
use tracing::info;

use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::lookup::NAME_LEN_MAX;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::ClientDetail;
use super::shapes::ClientList;
use super::shapes::LdapClient;
use super::shapes::NewSimulation;
use super::shapes::Once;
use super::shapes::ReplyAttribute;
use super::shapes::ShownClient;
use super::shapes::SimulationStep;
use super::shapes::moment;
use crate::domain::CodeEntry;
use crate::domain::Rules;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::engine::Asks;
use crate::engine::Simulation;
use crate::engine::Verdict;
use crate::front::ldap;
use crate::front::radius::Client;
use crate::front::radius::Habits;
use crate::front::radius::MadeUp;
use crate::front::radius::Typed;
use crate::wire::radius::Integrity;
use crate::wire::radius::attr;

/// How long a rehearsal may take: less than any request here.
const REHEARSAL_TIME: Duration = Duration::from_secs(25);

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/clients", get(list)).route("/v1/clients/{name}", get(show)).route("/v1/clients/{name}/simulate", post(simulate))
}

async fn list(State(desk): State<Desk>) -> Json<ClientList> {
    let rooms = desk.rooms();
    let (now, instant) = (rooms.clock.now(), Instant::now());
    let mut since = now;
    let clients = rooms.radius.clients.all().iter().map(|client| {
        let habits = client.card.tally.habits(instant);
        since = ago(now, habits.watched_for);
        shape(client, &habits, now)
    });
    let clients = clients.collect();
    Json(ClientList { clients, ldap: rooms.ldap.iter().flat_map(|listener| of_ldap(listener)).collect(), seen_since: moment(since) })
}

/// A listener, and the applications that share it.
fn of_ldap(listener: &ldap::Settings) -> Vec<LdapClient> {
    let own = LdapClient {
        door: "ldap".to_owned(),
        name: listener.name.clone(),
        listener: None,
        transport: match listener.transport {
            ldap::Transport::Plain { .. } => "plain",
            ldap::Transport::StartTls(_) => "starttls",
            ldap::Transport::Tls(_) => "tls",
        }
        .to_owned(),
        networks: Vec::new(),
        certificate: None,
        service: None,
        directory: listener.directory.name().to_owned(),
        code: code(&listener.code),
        policy: listener.rules.name.clone(),
        methods: methods(&listener.rules),
        exempt: listener.callers.exemptions.iter().map(|exemption| exemption.named.dn.clone()).collect(),
    };
    let application = |application: &ldap::Application| LdapClient {
        name: application.name.clone(),
        listener: Some(listener.name.clone()),
        networks: application.networks.iter().map(ToString::to_string).collect(),
        certificate: application.certificate.clone(),
        service: application.service.as_ref().map(|service| service.dn.clone()),
        code: code(&application.code),
        policy: application.rules.name.clone(),
        methods: methods(&application.rules),
        ..own.clone()
    };
    let applications: Vec<_> = listener.callers.applications.iter().map(application).collect();
    [vec![own], applications].concat()
}

fn ldap_client(rooms: &Rooms, name: &str) -> Option<LdapClient> {
    rooms.ldap.iter().flat_map(|listener| of_ldap(listener)).find(|client| client.name == name)
}

async fn show(State(desk): State<Desk>, Path(name): Path<String>) -> Result<Json<ShownClient>, Refusal> {
    let rooms = desk.rooms();
    if let Some(client) = ldap_client(&rooms, &name) {
        return Ok(Json(ShownClient::Ldap(Box::new(client))));
    }
    let client = find(&rooms, &name)?;
    let now = rooms.clock.now();
    let habits = client.card.tally.habits(Instant::now());
    Ok(Json(ShownClient::Radius(Box::new(ClientDetail {
        client: shape(client, &habits, now),
        seen_since: moment(ago(now, habits.watched_for)),
        nas_identifier: client.nas_identifier.clone(),
        code: code(&client.code),
        source: client.source.map(source_name).map(str::to_owned),
        methods: methods(&client.rules),
        profile_resends_every_ms: client.card.retransmits.map(ms),
        requests: habits.requests,
        asked: habits.asked,
        unsigned: habits.unsigned,
        unsigned_dropped: habits.unsigned_dropped,
        proxied: habits.proxied,
        copies: habits.copies,
        accepts: habits.accepts,
        challenges: habits.challenges,
        rejects: habits.rejects,
        drops: habits.drops,
    }))))
}

/// Who may grant bypasses may try a password here; a wrong one counts as in any login, and the log names who tried.
async fn simulate(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<shapes::Simulation>, Refusal> {
    let NewSimulation { user, password, code, from, ask } = asked(body)?;
    if user.is_empty() || user.len() > NAME_LEN_MAX {
        return Err(Refusal::wrong("that is no name", "give a name of at most 512 bytes"));
    }
    let from = from.map(|text| text.parse::<IpAddr>()).transpose().map_err(|_| Refusal::wrong("that is no address", "write it as 192.0.2.7 or 2001:db8::7"))?;
    let rooms = desk.rooms();
    let client = find(&rooms, &name)?;
    let secret = |text: Option<Once>| text.map(|text| Secret::from(text.expose()));
    let (password, code) = (secret(password), secret(code));
    let made_up = client.make_up(&Typed { login: &user, password: password.as_ref(), code: code.as_ref(), from });
    let MadeUp { request, answer } = made_up.map_err(|error| Refusal::wrong(error, "`vestibule client show` shows how this client is set up"))?;
    let mut steps = settings_told(client, rooms.radius.within(client));
    let told = match request {
        Err(why) => {
            let told = format!("refused before anybody is asked ({why})");
            steps.push(SimulationStep { part: "rule".to_owned(), told, assumed: false });
            Told { verdict: "reject", why: why.to_owned(), reply: refusal_reply(&rooms), attributes: Vec::new() }
        }
        Ok(request) => {
            let asks = Asks { first: password.is_some(), second: ask, answer };
            let within = rooms.radius.within(client).min(REHEARSAL_TIME);
            let check = Arc::clone(client.first.check());
            let played = rooms.engine.simulate(*request, Arc::clone(&client.rules), check, asks, within).await;
            steps.extend(played.steps.iter().map(|step| SimulationStep {
                part: step.part.as_str().to_owned(),
                told: step.told.clone(),
                assumed: step.assumed,
            }));
            ending(&rooms, client, &played, &mut steps).await
        }
    };
    let Operator { uid, name: who } = operator;
    info!(operator = ?who, uid, client = client.name, login = ?user, password = password.is_some(), ask, verdict = told.verdict, why = told.why, "login rehearsed");
    let assumed = steps.iter().any(|step| step.assumed);
    let Told { verdict, why, reply, attributes } = told;
    Ok(Json(shapes::Simulation { client: client.name.clone(), user, steps, verdict: verdict.to_owned(), why, reply, attributes, assumed }))
}

/// How a rehearsal ends, for people.
struct Told {
    verdict: &'static str,
    why: String,
    reply: String,
    attributes: Vec<ReplyAttribute>,
}

/// What would go out.
async fn ending(rooms: &Rooms, client: &Client, played: &Simulation, steps: &mut Vec<SimulationStep>) -> Told {
    let told = |verdict, why: &str, reply: String| Told { verdict, why: why.to_owned(), reply, attributes: Vec::new() };
    match &played.verdict {
        Verdict::Accept(grant) => match groups(rooms, client, played).await {
            Some(groups) => {
                if !client.reply_groups().is_empty() {
                    let named = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
                    steps.push(SimulationStep { part: "groups".to_owned(), told: format!("of those that `reply` names: {named}"), assumed: false });
                }
                let attributes = client.reply_attributes(&groups).into_iter().map(|(name, value, group)| ReplyAttribute { name, value, group });
                Told { attributes: attributes.collect(), ..told("accept", grant.as_str(), "Access-Accept".to_owned()) }
            }
            None => {
                let unknown = "nobody can tell them now: `reply` depends on them, so a login would hear nothing";
                steps.push(SimulationStep { part: "groups".to_owned(), told: unknown.to_owned(), assumed: false });
                told("drop", "directory", SILENCE.to_owned())
            }
        },
        Verdict::Challenge(prompt) => told("challenge", "challenge", format!("Access-Challenge {prompt:?}")),
        Verdict::Drop(outage) => told("drop", outage.as_str(), SILENCE.to_owned()),
        Verdict::Reject(denial) => told("reject", denial.as_str(), refusal_reply(rooms)),
        Verdict::Relayed => told("challenge", "relayed", "Access-Challenge, as the server behind us asks it".to_owned()),
        Verdict::Untold => told("unknown", "not_checked", "that depends on the first factor: have it checked".to_owned()),
    }
}

/// The person's groups among those that `reply` names; `None` where nobody can tell.
async fn groups(rooms: &Rooms, client: &Client, played: &Simulation) -> Option<Vec<String>> {
    let wanted = client.reply_groups();
    if wanted.is_empty() || !played.aside.groups.is_empty() {
        return Some(played.aside.groups.clone());
    }
    let Some(entry) = &played.entry else { return Some(Vec::new()) };
    let directory = rooms.directories.iter().find(|directory| directory.name() == entry.directory)?;
    directory.groups(entry, &wanted).await.ok()
}

/// The settings of the client that count.
fn settings_told(client: &Client, within: Duration) -> Vec<SimulationStep> {
    let profile = client.card.profile.as_ref().map(|profile| format!(", profile {profile}")).unwrap_or_default();
    let source = client.source.map_or_else(|| "nothing tells where people are".to_owned(), |kind| format!("{} tells where people are", source_name(kind)));
    let lines = [
        format!("{}{profile}: first factor {}, policy {}", client.name, client.card.first, client.rules.name),
        format!("code: {}; {source}", code(&client.code)),
        format!("patience {}: a login may take {}", humantime::format_duration(client.patience), humantime::format_duration(within)),
        format!("policy.{}: {}", client.rules.name, methods(&client.rules).join(", then ")),
    ];
    lines.into_iter().map(|told| SimulationStep { part: "client".to_owned(), told, assumed: false }).collect()
}

fn find<'r>(rooms: &'r Rooms, name: &str) -> Result<&'r Client, Refusal> {
    let clients = rooms.radius.clients.all();
    let found = clients.iter().find(|client| client.name == name);
    found.map(|client| &**client).ok_or_else(|| match ldap_client(rooms, name) {
        Some(_) => {
            Refusal::wrong(format!("{name:?} is an LDAP client, and only logins of RADIUS clients are rehearsed"), "try a RADIUS client with the same policy")
        }
        None => Refusal::absent(format!("there is no client {name:?}"), "`vestibule client list` lists them"),
    })
}

fn shape(client: &Client, habits: &Habits, now: Timestamp) -> shapes::Client {
    shapes::Client {
        door: "radius".to_owned(),
        name: client.name.clone(),
        networks: client.networks.iter().map(ToString::to_string).collect(),
        profile: client.card.profile.clone(),
        first: client.card.first.clone(),
        policy: client.rules.name.clone(),
        integrity: match client.integrity {
            Integrity::Observe => "observe",
            Integrity::Optional => "optional",
            Integrity::Require => "require",
        }
        .to_owned(),
        signed_percent: habits.signed_percent(),
        signing: habits.verdict(client.integrity).to_owned(),
        patience_ms: ms(client.patience),
        resends_every_ms: habits.resends_every.map(ms),
        gives_up_after_ms: habits.gives_up_after.map(ms),
        last_seen: habits.last_seen.map(|last| moment(ago(now, last))),
        advice: habits.advice(client),
    }
}

fn methods(rules: &Rules) -> Vec<String> {
    rules.methods.iter().map(ToString::to_string).collect()
}

fn code(entry: &CodeEntry) -> String {
    match entry {
        CodeEntry::Append(separator) => format!("behind the password and {separator:?}"),
        CodeEntry::AppendWithPin(separator) => format!("with its PIN, behind the password and {separator:?}"),
        CodeEntry::AppendDigits(digits) => format!("the last {digits} digits of the password"),
        CodeEntry::Challenge(prompt) => format!("asked for with {prompt:?}"),
        CodeEntry::None => "none".to_owned(),
    }
}

fn source_name(kind: u8) -> &'static str {
    match kind {
        attr::CALLING_STATION_ID => "Calling-Station-Id",
        attr::FRAMED_IP_ADDRESS => "Framed-IP-Address",
        attr::FRAMED_IPV6_ADDRESS => "Framed-IPv6-Address",
        attr::TUNNEL_CLIENT_ENDPOINT => "Tunnel-Client-Endpoint",
        _ => "an attribute",
    }
}

fn refusal_reply(rooms: &Rooms) -> String {
    format!("Access-Reject, {} after the request came", humantime::format_duration(rooms.radius.reject_delay))
}

fn ago(now: Timestamp, time: Duration) -> Timestamp {
    Timestamp(now.0.saturating_sub(ms(time)))
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const SILENCE: &str = "nothing: the NAS turns to its next server";
