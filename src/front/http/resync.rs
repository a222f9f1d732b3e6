//! Tokens brought back into step: two or three codes in a row show where one is (RFC 4226 §7.4).

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use tracing::warn;

use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::NewResync;
use super::tokens::SEARCH_MAX;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Lock;
use crate::domain::Secret;
use crate::domain::Tally;
use crate::domain::Token;
use crate::domain::TokenKind;
use crate::domain::otp;

/// A try that fails counts as a wrong code does, and locks as codes usually do (M-04).
const LOCK: Lock = Lock { failures_max: 5, wait_ms: 15 * 60 * 1000, window_ms: 30 * 60 * 1000 };

/// Moves a token to where its codes are, and only forward.
pub(super) async fn resync(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<shapes::Token>, Refusal> {
    let asked: NewResync = asked(body)?;
    let codes: Vec<Secret> = asked.codes.iter().map(|code| Secret::from(code.expose())).collect();
    if !otp::RESYNC_CODES.contains(&codes.len()) {
        return Err(Refusal::wrong(format!("{} codes are not possible", codes.len()), "two or three that the token showed one after the other"));
    }
    let (account, id) = meant(&desk.rooms(), &asked.token, &at).await?;
    let turn = desk.turn_for(&account).await?;
    if turn.store().standing(&account.identity)?.tries.locked(turn.now()) {
        return Err(Refusal::conflict(format!("{:?} is locked", account.name), "`vestibule user unlock` ends that"));
    }
    let tokens = turn.store().tokens(&account.identity)?;
    let Some(Token { info, seed }) = tokens.into_iter().find(|token| token.info.id == id) else {
        return Err(Refusal::absent(format!("there is no token {id:?} any more"), "`vestibule token list` shows all"));
    };
    if info.kind != TokenKind::Hotp {
        return Err(Refusal::wrong("codes that go by time need no resync", "set the clocks right: the server's, and that of the phone"));
    }
    let who = account.identity.clone();
    let Some(step) = otp::resynced(&info, &seed, &codes) else {
        warn!(account = ?account.name, token = ?id, "codes for a resync are wrong");
        let fail = Change::Fail { who, at: turn.now(), lock: LOCK, tally: Tally::Common };
        turn.commit(&operator, "token resync failed", &account, fail).await?;
        return Err(Refusal::wrong(
            "these are no codes of this token in a row, or it is too far ahead",
            "type two or three codes as it shows them, and the first one first",
        ));
    };
    turn.commit(&operator, "token resynced", &account, Change::UseOtp { who, token: id, step }).await?;
    Ok(Json(shapes::Token::new(&info, Some(&account))))
}

/// The token of this id, or the only one of the account of this name.
async fn meant(rooms: &Rooms, token: &str, at: &InDirectory) -> Result<(Account, String), Refusal> {
    if let Some(info) = rooms.store.token_list(SEARCH_MAX)?.into_iter().find(|info| info.id == token)
        && let Some(account) = rooms.store.standing(&info.owner)?.account
    {
        return Ok((Account::clone(&account), info.id));
    }
    let account = lookup::account(rooms, token, at.directory.as_deref()).await?;
    let mut tokens = rooms.store.tokens(&account.identity)?.into_iter().filter(|token| token.info.kind == TokenKind::Hotp);
    match (tokens.next(), tokens.next()) {
        (Some(only), None) => Ok((account, only.info.id)),
        (None, _) => Err(Refusal::absent(format!("{:?} has no token that goes by counter", account.name), "`vestibule token list NAME` shows what there is")),
        (Some(_), Some(_)) => {
            Err(Refusal::conflict(format!("{:?} has more than one such token", account.name), "give the token's id: `vestibule token list NAME`"))
        }
    }
}
