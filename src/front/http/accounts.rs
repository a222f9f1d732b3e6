//! Accounts: listed, shown, added, changed, enabled, disabled, unlocked, removed; and what is remembered of their logins, forgotten.

use std::sync::Arc;

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
use serde::Deserialize;
use tracing::info;
use tracing::warn;

use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::fields;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::pins;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::AccountDetail;
use super::shapes::AccountPage;
use super::shapes::Fields;
use super::shapes::NewAccount;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Identity;
use crate::ports::Store;

/// Accounts on a page.
const PAGE_MAX: usize = 100;
/// Bytes of a local account's name.
const LOCAL_NAME_LEN_MAX: usize = 128;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/accounts", get(list).post(add))
        .route("/v1/accounts/{name}", get(show).patch(set).delete(remove))
        .route("/v1/accounts/{name}/enable", post(enable))
        .route("/v1/accounts/{name}/disable", post(disable))
        .route("/v1/accounts/{name}/unlock", post(unlock))
        .route("/v1/accounts/{name}/forget", post(forget))
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    #[serde(default)]
    search: String,
    after: Option<String>,
}

async fn list(State(desk): State<Desk>, Query(Search { search, after }): Query<Search>) -> Result<Json<AccountPage>, Refusal> {
    let found = desk.rooms().store.accounts(&search, after.as_deref(), PAGE_MAX.saturating_add(1))?;
    let more = found.len() > PAGE_MAX;
    let accounts: Vec<_> = found.iter().take(PAGE_MAX).map(shapes::Account::from).collect();
    let next = accounts.last().filter(|_| more).map(|last| format!("{}\0{}", last.name, last.identity));
    Ok(Json(AccountPage { accounts, next }))
}

async fn show(State(desk): State<Desk>, Path(name): Path<String>, Query(at): Query<InDirectory>) -> Result<Json<AccountDetail>, Refusal> {
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let standing = rooms.store.standing(&account.identity)?;
    let tokens: Vec<_> = rooms.store.tokens(&account.identity)?.into_iter().map(|token| token.info).collect();
    let now = rooms.clock.now();
    let (pin, backup_codes) = pins::seen(&*rooms.store, &account.identity, rooms.pin, now)?;
    Ok(Json(AccountDetail { pin, backup_codes, ..AccountDetail::new(&account, &standing, &tokens, now) }))
}

async fn add(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<shapes::Account>), Refusal> {
    let asked: NewAccount = asked(body)?;
    let account = made(&desk.rooms(), asked).await?;
    let turn = desk.turn().await;
    check_free(turn.store(), &account)?;
    turn.commit(&operator, "account added", &account, Change::PutAccount(Box::new(account.clone()))).await?;
    Ok((StatusCode::CREATED, Json(shapes::Account::from(&account))))
}

/// Other fields for an account that there is.
async fn set(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<shapes::Account>, Refusal> {
    let asked: Fields = asked(body)?;
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    // As it is now that nobody else changes it.
    let account = turn.store().standing(&account.identity)?.account.map_or(account, Arc::unwrap_or_clone);
    let new = fields::put(&account, asked, rooms.numbers, |provider| rooms.engine.carrier(provider).is_some())?;
    let reach = |account: &Account| (account.mail.clone(), account.phone.clone(), account.backup_phone.clone());
    let what = if reach(&account) == reach(&new) { "account changed" } else { "mail address or telephone number changed" };
    turn.commit(&operator, what, &new, Change::PutAccount(Box::new(new.clone()))).await?;
    Ok(Json(shapes::Account::from(&new)))
}

async fn enable(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    change(&desk, &operator, &name, &at, "account enabled", |who| Change::EnableAccount { who, enabled: true }).await
}

async fn disable(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    change(&desk, &operator, &name, &at, "account disabled", |who| Change::EnableAccount { who, enabled: false }).await
}

async fn unlock(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    let person = lookup::person(&desk.rooms(), &name, at.directory.as_deref()).await?;
    // A service account that is exempt need not be enrolled to be locked.
    let Some(account) = person.account else {
        let shown = Account::new(person.identity.clone(), person.name.clone(), at.directory.clone(), desk.rooms().clock.now());
        let about = vec![(person.name, Some(person.identity.clone()))];
        desk.turn().await.write(&operator, "account unlocked", about, vec![Change::Unlock(person.identity)]).await?;
        return Ok(Json(shapes::Account::from(&shown)));
    };
    let turn = desk.turn_for(&account).await?;
    turn.commit(&operator, "account unlocked", &account, Change::Unlock(account.identity.clone())).await?;
    Ok(Json(shapes::Account::from(&account)))
}

async fn remove(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    change(&desk, &operator, &name, &at, "account removed", Change::RemoveAccount).await
}

/// Ends what is remembered of a person's logins (M-41). Nothing is written: it was in memory alone.
async fn forget(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Account>, Refusal> {
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let count = rooms.engine.forget(&account.identity);
    let Operator { uid, name } = operator;
    info!(what = "logins forgotten", operator = ?name, uid, account = ?account.name, identity = ?account.identity.0, count, "administration");
    Ok(Json(shapes::Account::from(&account)))
}

/// Finds the account, writes the change and answers with the account as it is then; a removed one as it was.
async fn change(
    desk: &Desk,
    operator: &Operator,
    name: &str,
    at: &InDirectory,
    what: &'static str,
    change: impl FnOnce(Identity) -> Change,
) -> Result<Json<shapes::Account>, Refusal> {
    let account = lookup::account(&desk.rooms(), name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    turn.commit(operator, what, &account, change(account.identity.clone())).await?;
    let now = desk.rooms().store.standing(&account.identity)?.account;
    Ok(Json(shapes::Account::from(now.as_deref().unwrap_or(&account))))
}

/// The account that is asked for, as its directory knows it; where there is none, one of our own.
///
/// # Errors
/// No directory knows the name, or a field cannot be.
pub(super) async fn made(rooms: &Rooms, asked: NewAccount) -> Result<Account, Refusal> {
    let NewAccount { name, directory, fields } = asked;
    let known = match lookup::directory(rooms, &name, directory.as_deref())? {
        Some(directory) => {
            let entry = lookup::entry(directory, &name).await?;
            let phone = entry.phone.as_deref().and_then(|phone| usable(rooms, &entry.name, phone));
            Account { mail: entry.mail, phone, ..Account::new(entry.identity, entry.name, Some(entry.directory), rooms.clock.now()) }
        }
        None => {
            check_local_name(&name)?;
            Account::new(Identity(format!("local:{}", chance()?)), name, None, rooms.clock.now())
        }
    };
    fields::put(&known, fields, rooms.numbers, |provider| rooms.engine.carrier(provider).is_some())
}

/// # Errors
/// Somebody has it already.
pub(super) fn check_free(store: &dyn Store, account: &Account) -> Result<(), Refusal> {
    let taken = match &account.directory {
        Some(_) => store.standing(&account.identity)?.account.is_some(),
        None => store.accounts_named(&account.name)?.iter().any(|other| other.directory.is_none()),
    };
    if taken { Err(Refusal::conflict(format!("{:?} has an account already", account.name), "`vestibule user show` shows it")) } else { Ok(()) }
}

/// A directory's number, where it can be read.
fn usable(rooms: &Rooms, name: &str, phone: &str) -> Option<String> {
    let read = rooms.numbers.read(phone);
    if let Err(error) = &read {
        warn!(account = ?name, ?phone, %error, "the directory's telephone number cannot be used and is left out: `vestibule user set NAME --phone ..`");
    }
    read.ok()
}

/// 128 bits as text: no removed account of ours ever comes back under another name.
///
/// # Errors
/// The system has no chance to give.
pub(super) fn chance() -> Result<String, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::unavailable("the system gives no random bytes", "try again"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// # Errors
/// Characters that would make the name look like something else in logs, listings or directories.
fn check_local_name(name: &str) -> Result<(), Refusal> {
    let spoils = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
    if name.is_empty() || name.len() > LOCAL_NAME_LEN_MAX || name != name.trim() || name.contains(spoils) {
        return Err(Refusal::wrong(
            format!("{name:?} cannot be a local account's name"),
            "at most 128 bytes, no space at either end, no control character and none of \\ / : * ? \" < > |",
        ));
    }
    Ok(())
}
