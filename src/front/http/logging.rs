//! How much is logged: shown, and turned without a restart.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::routing::get;
use tracing::info;

use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes::Logging;
use super::shapes::NewLogging;
use crate::ports::log;
use crate::ports::log::LogLevel;

/// The longest time that ends by itself, in seconds.
const FOR_S_MAX: u64 = 24 * 60 * 60;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/log", get(show).put(turn))
}

async fn show(State(desk): State<Desk>) -> Result<Json<Logging>, Refusal> {
    Ok(Json(shape(dial(&desk.rooms())?.now())))
}

async fn turn(State(desk): State<Desk>, Extension(operator): Extension<Operator>, body: Result<Bytes, BytesRejection>) -> Result<Json<Logging>, Refusal> {
    let NewLogging { level, for_s } = asked(body)?;
    if for_s.is_some_and(|for_s| !(1..=FOR_S_MAX).contains(&for_s)) {
        return Err(Refusal::wrong("it cannot be turned for that long", "1 second to 24 hours, or no time at all"));
    }
    let rooms = desk.rooms();
    let turned = dial(&rooms)?.turn(&level, for_s.map(Duration::from_secs));
    let now = turned.map_err(|error| Refusal::wrong(error.to_string(), "write one of these"))?;
    info!(what = "log level turned", operator = ?operator.name, uid = operator.uid, level = now.level, for_s, "administration");
    Ok(Json(shape(now)))
}

fn dial(rooms: &Rooms) -> Result<&dyn LogLevel, Refusal> {
    rooms.log.as_deref().ok_or_else(|| Refusal::absent("there is no log to turn here", "it is the log of the program that this server runs in"))
}

fn shape(now: log::Logging) -> Logging {
    Logging { level: now.level, by_hand: now.by_hand, left_s: now.left.map(|left| left.as_secs()) }
}
