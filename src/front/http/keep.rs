//! The store as a whole: taken along piece by piece, sealed anew step by step, and counted for a support case.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::get;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tracing::info;
use tracing::warn;

use super::accounts;
use super::admin::Desk;
use super::admin::asked;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes::BackupPiece;
use super::shapes::NewBackup;
use super::shapes::Rekeyed;
use super::shapes::Vitals;
use super::shapes::moment;
use crate::domain::Secret;
use crate::ports::keep;
use crate::ports::keep::Keep;
use crate::ports::keep::Outgoing;

/// A backup that nobody goes on with for so long is given up: until then all that is written is noted.
const IDLE: Duration = Duration::from_secs(60);

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/backups", post(begin))
        .route("/v1/backups/{id}/step", post(step))
        .route("/v1/rekey", post(begin_rekey))
        .route("/v1/rekey/step", post(rekey))
        .route("/v1/vitals", get(vitals))
}

/// The backup that is being made.
#[derive(Clone, Debug, Default)]
pub(super) struct Backups(Arc<Mutex<Option<Running>>>);

#[derive(Debug)]
struct Running {
    id: String,
    uid: u32,
    used_at: Instant,
    outgoing: Box<dyn Outgoing>,
}

/// A backup under a key of one's own is every seed and PIN: administrators are not trusted with these (O-09).
fn may_carry_off(desk: &Desk, operator: &Operator) -> Result<(), Refusal> {
    if desk.gate().has_the_files(operator.uid) {
        return Ok(());
    }
    warn!(operator = ?operator.name, uid = operator.uid, "somebody who is neither root nor the server's own user wanted a backup and was refused");
    let error = "a backup holds every seed: root and the server's own user alone may make one";
    Err(Refusal::new(StatusCode::FORBIDDEN, error, "be root: sudo vestibule backup .."))
}

async fn begin(State(desk): State<Desk>, Extension(operator): Extension<Operator>, body: Result<Bytes, BytesRejection>) -> Result<Json<BackupPiece>, Refusal> {
    may_carry_off(&desk, &operator)?;
    let asked: NewBackup = asked(body)?;
    let wrong = || Refusal::wrong("that is no recovery key: it has 64 hexadecimal digits", "`vestibule backup --new-key` makes one");
    let key = Secret::from_hex(asked.key.expose()).filter(|key| key.len() == KEY_BYTES).ok_or_else(wrong)?;
    let rooms = desk.rooms();
    let backups = desk.backups().clone();
    let mut running = backups.0.lock().await;
    if running.as_ref().is_some_and(|other| other.uid != operator.uid && other.used_at.elapsed() < IDLE) {
        return Err(Refusal::conflict("somebody else makes a backup already", "try again when it is done"));
    }
    // The old one notes no more from here on.
    drop(running.take());
    let outgoing = keeper(&desk)?.backup(&key, &rooms.node, rooms.clock.now()).await?;
    let begun = running.insert(Running { id: accounts::chance()?, uid: operator.uid, used_at: Instant::now(), outgoing });
    info!(what = "backup begun", operator = ?operator.name, uid = operator.uid, "administration");
    tokio::spawn(give_up(backups.clone(), begun.id.clone()));
    let (id, piece) = (begun.id.clone(), begun.outgoing.piece().await);
    if piece.is_err() {
        *running = None;
    }
    Ok(Json(told(&id, &piece?)))
}

async fn step(State(desk): State<Desk>, Extension(operator): Extension<Operator>, Path(id): Path<String>) -> Result<Json<BackupPiece>, Refusal> {
    may_carry_off(&desk, &operator)?;
    let mut running = desk.backups().0.lock().await;
    let gone = || Refusal::absent("that backup is not being made any more", "begin again; what there is of the file is of no use");
    let found = running.as_mut().filter(|found| found.id == id && found.uid == operator.uid).ok_or_else(gone)?;
    found.used_at = Instant::now();
    let piece = found.outgoing.piece().await;
    if !matches!(&piece, Ok(piece) if !piece.last) {
        *running = None;
    }
    let piece = piece?;
    if piece.last {
        info!(what = "backup made", records = piece.done, operator = ?operator.name, uid = operator.uid, "administration");
    }
    Ok(Json(told(&id, &piece)))
}

/// Lets go of a backup whose maker has gone away.
async fn give_up(backups: Backups, id: String) {
    loop {
        tokio::time::sleep(IDLE).await;
        let mut running = backups.0.lock().await;
        match running.as_ref().filter(|running| running.id == id) {
            Some(idle) if idle.used_at.elapsed() >= IDLE => {
                warn!("a backup was begun and not fetched: it is given up");
                *running = None;
                return;
            }
            Some(_) => {}
            None => return,
        }
    }
}

async fn begin_rekey(State(desk): State<Desk>, Extension(operator): Extension<Operator>) -> Result<Json<Rekeyed>, Refusal> {
    let begun = keeper(&desk)?.begin_rekey().await?;
    info!(what = "rekey begun", epoch = begun.epoch, operator = ?operator.name, uid = operator.uid, "administration");
    Ok(Json(in_numbers(begun)))
}

async fn rekey(State(desk): State<Desk>, Extension(operator): Extension<Operator>) -> Result<Json<Rekeyed>, Refusal> {
    let done = keeper(&desk)?.rekey().await?;
    if done.finished {
        info!(what = "rekey done", epoch = done.epoch, operator = ?operator.name, uid = operator.uid, "administration");
    }
    Ok(Json(in_numbers(done)))
}

async fn vitals(State(desk): State<Desk>) -> Result<Json<Vitals>, Refusal> {
    let rooms = desk.rooms();
    let records: BTreeMap<String, u64> = keeper(&desk)?.counts()?.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    let metrics = rooms.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    Ok(Json(Vitals { version: env!("CARGO_PKG_VERSION").to_owned(), now: moment(rooms.clock.now()), records, metrics }))
}

fn keeper(desk: &Desk) -> Result<Arc<dyn Keep>, Refusal> {
    desk.rooms().keep.clone().ok_or_else(|| Refusal::absent("this store cannot be taken along", "is the command as old as the server?"))
}

fn told(id: &str, piece: &keep::Piece) -> BackupPiece {
    BackupPiece { id: id.to_owned(), bytes: STANDARD.encode(&piece.bytes), done: piece.done, total: piece.total, last: piece.last }
}

fn in_numbers(rekeyed: keep::Rekeyed) -> Rekeyed {
    let keep::Rekeyed { epoch, done, total, finished } = rekeyed;
    Rekeyed { epoch, done, total, finished }
}

const KEY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::ports::StoreError;

    #[derive(Debug)]
    struct Endless;

    #[async_trait]
    impl Outgoing for Endless {
        async fn piece(&mut self) -> Result<keep::Piece, StoreError> {
            Ok(keep::Piece::default())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_backup_that_nobody_fetches_for_a_minute_is_given_up() {
        let begun = |id: &str| Running { id: id.into(), uid: 0, used_at: Instant::now(), outgoing: Box::new(Endless) };
        let backups = Backups::default();
        *backups.0.lock().await = Some(begun("one"));
        let watch = tokio::spawn(give_up(backups.clone(), "one".into()));
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(59)).await;
            backups.0.lock().await.as_mut().expect("somebody goes on with it").used_at = Instant::now();
        }
        watch.await.unwrap();
        assert!(backups.0.lock().await.is_none());
        // One that came after it is not its affair.
        *backups.0.lock().await = Some(begun("two"));
        give_up(backups.clone(), "one".into()).await;
        assert!(backups.0.lock().await.is_some());
    }
}
