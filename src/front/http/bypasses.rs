//! One-time bypasses: granted for a short time, listed, revoked (M-44).

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;

use super::admin::Desk;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::BypassList;
use super::shapes::NewBypass;
use crate::domain::Bypass;
use crate::domain::Change;
use crate::domain::Timestamp;

/// The longest a bypass is good for (M-44), in seconds.
const FOR_S_MAX: u64 = 24 * 60 * 60;
/// Bytes of a reason.
const REASON_LEN_MAX: usize = 500;
/// Bypasses in a listing.
const LIST_MAX: usize = 10_000;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/bypasses", get(list)).route("/v1/accounts/{name}/bypass", post(grant).delete(revoke))
}

async fn list(State(desk): State<Desk>) -> Result<Json<BypassList>, Refusal> {
    let rooms = desk.rooms();
    let now = rooms.clock.now();
    let found = rooms.store.bypass_list(LIST_MAX.saturating_add(1))?;
    let mut bypasses = Vec::new();
    for (who, bypass) in found.iter().take(LIST_MAX).filter(|(_, bypass)| now < bypass.until) {
        let account = rooms.store.standing(who)?.account;
        bypasses.push(shapes::Bypass::new(who, account.as_deref(), bypass));
    }
    Ok(Json(BypassList { bypasses, more: found.len() > LIST_MAX }))
}

async fn grant(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<shapes::Bypass>), Refusal> {
    let NewBypass { for_s, reason } = asked(body)?;
    if !(1..=FOR_S_MAX).contains(&for_s) {
        return Err(Refusal::wrong("a bypass cannot be good for that long", "1 second to 24 hours"));
    }
    if reason.len() > REASON_LEN_MAX {
        return Err(Refusal::wrong("the reason is too long", "at most 500 bytes"));
    }
    let account = lookup::account(&desk.rooms(), &name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    let now = turn.now();
    let until = Timestamp(now.0.saturating_add(for_s.saturating_mul(1_000)));
    let bypass = Bypass { until, reason, granted_by: operator.name.clone(), granted_at: now };
    let shape = shapes::Bypass::new(&account.identity, Some(&account), &bypass);
    turn.commit(&operator, "bypass granted", &account, Change::GrantBypass { who: account.identity.clone(), bypass }).await?;
    Ok((StatusCode::CREATED, Json(shape)))
}

async fn revoke(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Bypass>, Refusal> {
    let account = lookup::account(&desk.rooms(), &name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    let Some(bypass) = turn.store().standing(&account.identity)?.bypass else {
        return Err(Refusal::absent(format!("{:?} has no bypass", account.name), "`vestibule bypass list` shows all"));
    };
    let shape = shapes::Bypass::new(&account.identity, Some(&account), &bypass);
    turn.commit(&operator, "bypass revoked", &account, Change::RevokeBypass(account.identity.clone())).await?;
    Ok(Json(shape))
}
