//! Code generators: enrolled (the seed is told once), listed, removed.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::delete;
use axum::routing::get;
use axum::routing::post;

use super::admin::Desk;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::otpauth;
use super::peer::Operator;
use super::refusal::Refusal;
use super::resync;
use super::shapes;
use super::shapes::Enrolled;
use super::shapes::Kind;
use super::shapes::NewToken;
use super::shapes::Once;
use super::shapes::TokenList;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::domain::TokenKind;

/// Tokens of one account.
pub(super) const TOKENS_MAX: usize = 10;
/// Tokens in a listing.
const LIST_MAX: usize = 10_000;
/// Tokens looked through for one id.
pub(super) const SEARCH_MAX: usize = 10_000_000;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/tokens", get(list))
        .route("/v1/tokens/resync", post(resync::resync))
        .route("/v1/tokens/{id}", delete(remove))
        .route("/v1/accounts/{name}/tokens", get(list_of).post(enrol))
}

async fn list(State(desk): State<Desk>) -> Result<Json<TokenList>, Refusal> {
    let store = &desk.rooms().store;
    let found = store.token_list(LIST_MAX.saturating_add(1))?;
    let mut tokens = Vec::with_capacity(found.len().min(LIST_MAX));
    for info in found.iter().take(LIST_MAX) {
        let owner = store.standing(&info.owner)?.account;
        tokens.push(shapes::Token::new(info, owner.as_deref()));
    }
    Ok(Json(TokenList { tokens, more: found.len() > LIST_MAX }))
}

async fn list_of(State(desk): State<Desk>, Path(name): Path<String>, Query(at): Query<InDirectory>) -> Result<Json<TokenList>, Refusal> {
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let tokens = rooms.store.tokens(&account.identity)?;
    let tokens = tokens.iter().map(|token| shapes::Token::new(&token.info, Some(&account))).collect();
    Ok(Json(TokenList { tokens, more: false }))
}

async fn enrol(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Enrolled>), Refusal> {
    let asked: NewToken = asked(body)?;
    check(asked)?;
    let account = lookup::account(&desk.rooms(), &name, at.directory.as_deref()).await?;
    let turn = desk.turn_for(&account).await?;
    if turn.store().tokens(&account.identity)?.len() >= TOKENS_MAX {
        return Err(Refusal::conflict(format!("{:?} has {TOKENS_MAX} tokens already", account.name), "remove one that is not used: `vestibule token list`"));
    }
    let token = made(&account, asked, turn.now()).map_err(|_| Refusal::unavailable("the system gives no random bytes", "try again"))?;
    let uri = Once::new(otpauth::uri(&account, &token.info, &token.seed));
    let shape = shapes::Token::new(&token.info, Some(&account));
    turn.commit(&operator, "token enrolled", &account, Change::PutToken(token)).await?;
    Ok((StatusCode::CREATED, Json(Enrolled { token: shape, uri })))
}

async fn remove(State(desk): State<Desk>, Extension(operator): Extension<Operator>, Path(id): Path<String>) -> Result<Json<shapes::Token>, Refusal> {
    let turn = desk.turn().await;
    let found = turn.store().token_list(SEARCH_MAX)?.into_iter().find(|info| info.id == id);
    let Some(info) = found else { return Err(Refusal::absent(format!("there is no token {id:?}"), "`vestibule token list` shows all")) };
    let account = turn.store().standing(&info.owner)?.account;
    let Some(account) = account else { return Err(Refusal::absent(format!("the token {id:?} belongs to no account"), "`vestibule token list` shows all")) };
    turn.commit(&operator, "token removed", &account, Change::RemoveToken { who: info.owner.clone(), token: id }).await?;
    Ok(Json(shapes::Token::new(&info, Some(&account))))
}

/// # Errors
/// A kind of token nobody's app could make codes with.
fn check(asked: NewToken) -> Result<(), Refusal> {
    if !(6..=8).contains(&asked.digits) {
        return Err(Refusal::wrong(format!("codes of {} digits are not possible", asked.digits), "6, 7 or 8"));
    }
    if asked.kind == Kind::Totp && ![30, 60].contains(&asked.period_s) {
        return Err(Refusal::wrong(format!("codes that live {} s are not possible", asked.period_s), "30 or 60"));
    }
    Ok(())
}

fn made(account: &Account, asked: NewToken, now: Timestamp) -> Result<Token, getrandom::Error> {
    let kind = match asked.kind {
        Kind::Hotp => TokenKind::Hotp,
        Kind::Totp => TokenKind::Totp { period_s: asked.period_s },
    };
    let info = TokenInfo {
        id: otpauth::token_id()?,
        owner: account.identity.clone(),
        kind,
        algorithm: asked.algorithm,
        digits: asked.digits,
        next_step: 0,
        created_at: now,
    };
    Ok(Token { info, seed: otpauth::seed(asked.algorithm)? })
}
