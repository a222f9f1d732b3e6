//! Accounts: listed, shown, added, enabled, disabled, unlocked, removed; and what is remembered of their logins, forgotten.

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

use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::AccountDetail;
use super::shapes::AccountPage;
use super::shapes::NewAccount;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Identity;

/// Accounts on a page.
const PAGE_MAX: usize = 100;
/// Bytes of a local account's name.
const LOCAL_NAME_LEN_MAX: usize = 128;
/// Bytes of a mail address (RFC 5321 §4.5.3.1.3, without the brackets).
const MAIL_LEN_MAX: usize = 254;
/// Characters of a telephone number with its spaces.
const PHONE_LEN_MAX: usize = 32;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/accounts", get(list).post(add))
        .route("/v1/accounts/{name}", get(show).delete(remove))
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
    Ok(Json(AccountDetail::new(&account, &standing, &tokens, rooms.clock.now())))
}

async fn add(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<shapes::Account>), Refusal> {
    let asked: NewAccount = asked(body)?;
    check_reach(&asked)?;
    let rooms = desk.rooms();
    let account = match lookup::directory(&rooms, &asked.name, asked.directory.as_deref())? {
        Some(directory) => {
            let entry = lookup::entry(directory, &asked.name).await?;
            Account {
                method: asked.method,
                mail: asked.mail.or(entry.mail),
                phone: asked.phone.or(entry.phone),
                ..Account::new(entry.identity, entry.name, Some(entry.directory), rooms.clock.now())
            }
        }
        None => local(&rooms, asked)?,
    };
    let turn = desk.turn().await;
    let taken = match &account.directory {
        Some(_) => turn.store().standing(&account.identity)?.account.is_some(),
        None => turn.store().accounts_named(&account.name)?.iter().any(|other| other.directory.is_none()),
    };
    if taken {
        return Err(Refusal::conflict(format!("{:?} has an account already", account.name), "`vestibule user show` shows it"));
    }
    turn.commit(&operator, "account added", &account, Change::PutAccount(Box::new(account.clone()))).await?;
    Ok((StatusCode::CREATED, Json(shapes::Account::from(&account))))
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
    change(&desk, &operator, &name, &at, "account unlocked", Change::Unlock).await
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

/// An account of our own, with an id of ours: 128 bits, so that no removed one ever comes back under another name.
fn local(rooms: &Rooms, asked: NewAccount) -> Result<Account, Refusal> {
    check_local_name(&asked.name)?;
    Ok(Account { method: asked.method, mail: asked.mail, phone: asked.phone, ..Account::new(local_identity()?, asked.name, None, rooms.clock.now()) })
}

fn local_identity() -> Result<Identity, Refusal> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Refusal::unavailable("the system gives no random bytes", "try again"))?;
    Ok(Identity(format!("local:{:032x}", u128::from_be_bytes(bytes))))
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

/// # Errors
/// What is given as mail address or telephone number is none.
fn check_reach(asked: &NewAccount) -> Result<(), Refusal> {
    let mail_ok = |mail: &str| mail.len() <= MAIL_LEN_MAX && mail.contains('@') && !mail.contains(|c: char| c.is_control() || c.is_whitespace());
    if let Some(mail) = asked.mail.as_deref().filter(|mail| !mail_ok(mail)) {
        return Err(Refusal::wrong(format!("{mail:?} is no mail address"), "write it as name@example.org"));
    }
    let phone_ok = |phone: &str| {
        let usual = |c: char| c.is_ascii_digit() || "+-(). /".contains(c);
        phone.len() <= PHONE_LEN_MAX && phone.contains(|c: char| c.is_ascii_digit()) && phone.chars().all(usual)
    };
    if let Some(phone) = asked.phone.as_deref().filter(|phone| !phone_ok(phone)) {
        return Err(Refusal::wrong(format!("{phone:?} is no telephone number"), "write it as +49 30 123456"));
    }
    Ok(())
}
