//! Service accounts that need no second factor: which, from where, until when, and whether they are in use (M-46).

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::admin::Desk;
use super::shapes::Exemption;
use super::shapes::moment;
use crate::domain::Timestamp;
use crate::front::ldap;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/exemptions", get(list))
}

async fn list(State(desk): State<Desk>) -> Json<Vec<Exemption>> {
    let rooms = desk.rooms();
    let now = rooms.clock.now();
    let of = |listener: &ldap::Settings| listener.callers.exemptions.iter().map(|exemption| shape(listener, exemption, now)).collect::<Vec<_>>();
    Json(rooms.ldap.iter().flat_map(|listener| of(listener)).collect())
}

fn shape(listener: &ldap::Settings, exemption: &ldap::Exemption, now: Timestamp) -> Exemption {
    let (uses, last_used) = exemption.named.uses();
    let identity = exemption.named.identity();
    let days_left = exemption.days_left(now);
    Exemption {
        listener: listener.name.clone(),
        name: exemption.named.dn.clone(),
        holds: identity.is_some() && days_left.is_some(),
        identity: identity.map(|identity| identity.0),
        networks: exemption.from.iter().map(ToString::to_string).collect(),
        certificate: exemption.certificate.clone(),
        until: last_day(exemption.until),
        days_left,
        uses,
        last_used: last_used.map(moment),
    }
}

/// The day that the administrator wrote: the last one before `end`, which is a midnight.
fn last_day(end: Timestamp) -> String {
    let last = moment(Timestamp(end.0.saturating_sub(1)));
    last.split_once('T').map_or_else(|| last.clone(), |(day, _)| day.to_owned())
}
