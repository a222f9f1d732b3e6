//! PINs and backup codes: set, issued, taken away. Neither is ever told again.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::post;
use axum::routing::put;

use super::admin::Desk;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::IssuedBackups;
use super::shapes::NewBackups;
use super::shapes::NewPin;
use super::shapes::Once;
use crate::domain::BackupCodes;
use crate::domain::Change;
use crate::domain::Identity;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::backup;
use crate::domain::pin::Pin;
use crate::domain::pin::PinRules;
use crate::domain::pin::WrongPin;
use crate::ports::Store;
use crate::stretch;
use crate::stretch::StretchError;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/accounts/{name}/pin", put(set).delete(|desk, operator, name, at| take_away(Held::Pin, desk, operator, name, at)))
        .route("/v1/accounts/{name}/backup-codes", post(issue).delete(|desk, operator, name, at| take_away(Held::Backups, desk, operator, name, at)))
}

/// What an account may have that can be taken away again.
#[derive(Clone, Copy, Debug)]
enum Held {
    Backups,
    Pin,
}

async fn set(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<shapes::Account>, Refusal> {
    let asked: NewPin = asked(body)?;
    let pin = Secret::from(asked.pin.expose());
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let wrong = |why: WrongPin| Refusal::wrong(why.to_string(), "take another PIN");
    rooms.pin.check(&pin, &account).map_err(wrong)?;
    let turn = desk.turn_for(&account).await?;
    let mut earlier = Vec::new();
    if let Some(old) = turn.store().pin(&account.identity)? {
        earlier = std::iter::once(old.hash).chain(old.earlier).collect();
    }
    earlier.truncate(usize::from(rooms.pin.history));
    for known in &earlier {
        if stretch::matches(known, &pin).await? {
            return Err(wrong(WrongPin::Used));
        }
    }
    earlier.truncate(usize::from(rooms.pin.history).saturating_sub(1));
    let length = u8::try_from(pin.len()).map_err(|_| wrong(WrongPin::Length { min: rooms.pin.length_min }))?;
    let pin = Pin { hash: stretch::hash(&pin).await?, length, earlier, set_at: turn.now() };
    turn.commit(&operator, "PIN set", &account, Change::PutPin { who: account.identity.clone(), pin }).await?;
    Ok(Json(shapes::Account::from(&account)))
}

async fn take_away(
    held: Held,
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    let account = lookup::account(&desk.rooms(), &name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    let who = &account.identity;
    let (absent, remedy, done, change) = match held {
        Held::Backups => {
            let absent = turn.store().backup_codes(who)?.is_none().then_some("backup codes");
            (absent, "`vestibule token backup NAME` issues some", "backup codes revoked", Change::RemoveBackups(who.clone()))
        }
        Held::Pin => {
            let absent = turn.store().pin(who)?.is_none().then_some("PIN");
            (absent, "`vestibule user set NAME --pin` sets one", "PIN removed", Change::RemovePin(who.clone()))
        }
    };
    if let Some(what) = absent {
        return Err(Refusal::absent(format!("{:?} has no {what}", account.name), remedy));
    }
    turn.commit(&operator, done, &account, change).await?;
    Ok(Json(shapes::Account::from(&account)))
}

/// New backup codes in place of those there may be: the one answer that tells them.
async fn issue(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<IssuedBackups>), Refusal> {
    let asked: NewBackups = asked(body)?;
    let for_ms = asked.for_s.saturating_mul(1_000);
    if !(1..=BackupCodes::COUNT_MAX).contains(&asked.count) {
        return Err(Refusal::wrong(format!("{} backup codes are not possible", asked.count), "1 to 20"));
    }
    if for_ms == 0 || for_ms > BackupCodes::FOR_MS_MAX {
        return Err(Refusal::wrong(format!("{} s are not possible", asked.for_s), "1 second to 24 hours"));
    }
    let account = lookup::account(&desk.rooms(), &name, at.directory.as_deref()).await?;
    let (salt, mut codes, mut hashes) = (stretch::salt()?, Vec::new(), Vec::new());
    while codes.len() < usize::from(asked.count) {
        let Some(code) = backup::digits(four()?).map(Once::new).filter(|code| !codes.contains(code)) else { continue };
        hashes.push(Some(stretch::hash_with(salt, &Secret::from(code.expose())).await?));
        codes.push(code);
    }
    let turn = desk.turn_for(&account).await?;
    let issued_at = turn.now();
    let until = Timestamp(issued_at.0.saturating_add(for_ms));
    let held = BackupCodes { salt, hashes, until, issued_by: operator.name.clone(), issued_at };
    turn.commit(&operator, "backup codes issued", &account, Change::PutBackups { who: account.identity.clone(), codes: held }).await?;
    let issued = IssuedBackups { identity: account.identity.0.clone(), account: account.name.clone(), codes, until: shapes::moment(until) };
    Ok((StatusCode::CREATED, Json(issued)))
}

fn four() -> Result<[u8; 4], StretchError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|_| StretchError::Failed)?;
    Ok(bytes)
}

/// What may be seen of a PIN and of backup codes.
///
/// # Errors
/// The store cannot be read.
pub(super) fn seen(
    store: &dyn Store,
    who: &Identity,
    rules: PinRules,
    now: Timestamp,
) -> Result<(Option<shapes::PinState>, Option<shapes::BackupState>), Refusal> {
    let pin = store.pin(who)?.map(|pin| {
        let until = Some(rules.expires_ms).filter(|lasts| *lasts > 0).map(|lasts| shapes::moment(Timestamp(pin.set_at.0.saturating_add(lasts))));
        shapes::PinState { set_at: shapes::moment(pin.set_at), until, expired: rules.expired(pin.set_at, now) }
    });
    let codes = store.backup_codes(who)?.filter(|codes| codes.open(now)).map(|codes| shapes::BackupState {
        left: u64::try_from(codes.left()).unwrap_or(u64::MAX),
        until: shapes::moment(codes.until),
        issued_by: codes.issued_by.clone(),
        issued_at: shapes::moment(codes.issued_at),
    });
    Ok((pin, codes))
}

impl From<StretchError> for Refusal {
    fn from(error: StretchError) -> Self {
        Self::unavailable(error.to_string(), "ask again")
    }
}
