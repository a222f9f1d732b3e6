//! The audit, read: its newest lines, those of one login, and whether all of them are right.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;
use serde::Serialize;

use super::admin::Desk;
use super::refusal::Refusal;
use crate::domain::Trace;
use crate::ports::audit::Audit;
use crate::ports::audit::Verified;

/// Lines in one answer.
const COUNT_MAX: usize = 1_000;
/// How long an asker may wait for the next line; a request may take a little longer.
const WAIT_S_MAX: u64 = 25;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/audit", get(tail))
        .route("/v1/audit/files", get(files))
        .route("/v1/audit/files/{first}", get(verify))
        .route("/v1/audit/logins/{trace}", get(find))
}

/// Which lines.
#[derive(Debug, Deserialize)]
struct Wanted {
    /// At most.
    count: Option<usize>,
    /// Those behind this number; else the newest.
    after: Option<u64>,
    /// Where there are none, for so many seconds the next is waited for.
    wait_s: Option<u64>,
}

/// Lines of the audit as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPage {
    /// Oldest first.
    pub lines: Vec<String>,
}

async fn tail(State(desk): State<Desk>, Query(wanted): Query<Wanted>) -> Result<Json<AuditPage>, Refusal> {
    let audit = audit(&desk)?;
    let count = wanted.count.unwrap_or(20).min(COUNT_MAX);
    if let (Some(after), Some(wait_s)) = (wanted.after, wanted.wait_s) {
        let mut newest = audit.newest();
        let wait = Duration::from_secs(wait_s.min(WAIT_S_MAX));
        // In time or not: what there is by then is told.
        let _ = tokio::time::timeout(wait, newest.wait_for(|newest| *newest > after)).await;
    }
    let lines = read(move || audit.tail(wanted.after, count)).await?;
    Ok(Json(AuditPage { lines }))
}

async fn files(State(desk): State<Desk>) -> Result<Json<Vec<u64>>, Refusal> {
    let audit = audit(&desk)?;
    Ok(Json(read(move || audit.files()).await?))
}

async fn verify(State(desk): State<Desk>, Path(first): Path<u64>) -> Result<Json<Verified>, Refusal> {
    let audit = audit(&desk)?;
    Ok(Json(read(move || audit.verify(first)).await?))
}

async fn find(State(desk): State<Desk>, Path(trace): Path<String>) -> Result<Json<AuditPage>, Refusal> {
    let audit = audit(&desk)?;
    let number = u128::from_str_radix(&trace, 16).ok().filter(|_| trace.len() == 32);
    let Some(number) = number else {
        return Err(Refusal::wrong("that is no trace id", "it has 32 hexadecimal digits; `vestibule audit tail` shows those of the last logins"));
    };
    let lines = read(move || audit.find(Trace(number))).await?;
    if lines.is_empty() {
        return Err(Refusal::absent("no login of that trace id stands in the audit", "it may be older than audit.keep, or on another node"));
    }
    Ok(Json(AuditPage { lines }))
}

fn audit(desk: &Desk) -> Result<Arc<dyn Audit>, Refusal> {
    desk.rooms().engine.audit().ok_or_else(|| Refusal::absent("no audit is kept here", "is the command as old as the server?"))
}

/// Reads the disk where nobody's login waits for it.
async fn read<T: Send + 'static>(look: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let looked = tokio::task::spawn_blocking(look).await;
    match looked {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => Err(Refusal::unavailable(format!("the audit cannot be read: {error}"), "look at its folder (audit.folder)")),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed", "its log says more")),
    }
}
