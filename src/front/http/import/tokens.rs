//! Hardware tokens by the file: read, checked, each given to its owner, and all written at once or none.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use sha2::Digest;
use sha2::Sha256;

use super::super::admin::Desk;
use super::super::admin::Rooms;
use super::super::admin::asked;
use super::super::lookup;
use super::super::peer::Operator;
use super::super::refusal::Refusal;
use super::super::shapes::Once;
use super::super::shapes::TokenFile;
use super::super::shapes::TokensImported;
use super::super::shapes::WrongLine;
use super::super::tokens::SEARCH_MAX;
use super::super::tokens::TOKENS_MAX;
use super::count;
use super::pskc;
use super::pskc::Unlock;
use super::seeds;
use super::seeds::Assignment;
use super::seeds::Found;
use super::seeds::Wrong;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Secret;
use crate::domain::Timestamp;
use crate::domain::Token;
use crate::domain::TokenInfo;
use crate::ports::Store;

pub(in crate::front::http) async fn import(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<TokensImported>, Refusal> {
    let file: TokenFile = asked(body)?;
    let found = match read(file).await? {
        Ok(found) => found,
        Err(wrong) => return Ok(Json(told(wrong))),
    };
    let (found, accounts) = match owners(&desk.rooms(), found).await? {
        Ok(owned) => owned,
        Err(wrong) => return Ok(Json(told(wrong))),
    };
    let turn = desk.turn().await;
    let wrong = misfits(turn.store(), &found, &accounts)?;
    if !wrong.is_empty() {
        return Ok(Json(told(wrong)));
    }
    let now = turn.now();
    let changes: Vec<_> = found.into_iter().zip(accounts).map(|(found, account)| given(found, account, now)).collect();
    let imported = TokensImported { count: count(changes.len()), wrong: Vec::new() };
    turn.commit_all(&operator, "token imported", changes).await?;
    Ok(Json(imported))
}

/// What stands in the file, with the owners that are named beside it.
async fn read(file: TokenFile) -> Result<Result<Vec<Found>, Vec<Wrong>>, Refusal> {
    let TokenFile { text, key, password, assign } = file;
    let key = key.map(|key| shared_key(&key)).transpose()?;
    let unlock = Unlock { key, password: password.map(|password| Secret::from(password.expose())) };
    let assign = assign.map(|assign| seeds::assignments(&assign)).transpose();
    let assign = match assign {
        Ok(assign) => assign.unwrap_or_default(),
        Err(wrong) => return Ok(Err(wrong.into_iter().map(|(line, error)| (line, format!("(owners) {error}"))).collect())),
    };
    // A password is stretched, and files are long: not on a thread that logins wait for.
    let found = tokio::task::spawn_blocking(move || {
        let text = text.expose();
        let xml = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
        if xml { pskc::read(text, &unlock) } else { seeds::table(text) }
    });
    let found = found.await.map_err(|_| Refusal::unavailable("the file could not be read", "the server's log may say why"))?;
    Ok(found.and_then(|found| assigned(found, assign)))
}

fn shared_key(text: &Once) -> Result<Secret, Refusal> {
    let key = seeds::hex(text.expose().trim()).filter(|key| [16, 32].contains(&key.len()));
    key.ok_or_else(|| Refusal::wrong("the shared key is not 32 or 64 hexadecimal digits", "AES-128 has 16 bytes and AES-256 has 32"))
}

/// Owners of a table of their own go before those in the file.
fn assigned(mut found: Vec<Found>, assign: Vec<Assignment>) -> Result<Vec<Found>, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut owners = BTreeMap::new();
    for Assignment { line, serial, owner } in assign {
        if owners.insert(serial.clone(), owner).is_some() {
            wrong.push((line, format!("(owners) the token {serial:?} is given away twice")));
        }
    }
    let serials: BTreeSet<&str> = found.iter().map(|found| found.serial.as_str()).collect();
    wrong.extend(owners.keys().filter(|serial| !serials.contains(serial.as_str())).map(|serial| (0, format!("(owners) the file has no token {serial:?}"))));
    for found in &mut found {
        found.owner = owners.remove(&found.serial).or_else(|| found.owner.take());
    }
    if wrong.is_empty() { Ok(found) } else { Err(wrong) }
}

type Owned = (Vec<Found>, Vec<Account>);

/// Everybody's account, in the order of the tokens. What nobody is named for is not taken.
async fn owners(rooms: &Rooms, found: Vec<Found>) -> Result<Result<Owned, Vec<Wrong>>, Refusal> {
    let (mut accounts, mut wrong) = (Vec::with_capacity(found.len()), Vec::new());
    for token in &found {
        let Some((name, directory)) = &token.owner else {
            wrong.push((token.line, format!("nobody is to have the token {:?}: name owners in a column `owner`, or with --assign", token.serial)));
            continue;
        };
        match lookup::account(rooms, name, directory.as_deref()).await {
            Ok(account) => accounts.push(account),
            Err(refusal) if refusal.is_outage() => return Err(refusal),
            Err(refusal) => wrong.push((token.line, refusal.to_string())),
        }
    }
    Ok(if wrong.is_empty() { Ok((found, accounts)) } else { Err(wrong) })
}

/// Serial numbers and seeds that are there already, and people who would have too many tokens.
fn misfits(store: &dyn Store, found: &[Found], accounts: &[Account]) -> Result<Vec<Wrong>, Refusal> {
    let mut taken: BTreeSet<String> = store.token_list(SEARCH_MAX)?.into_iter().map(|info| info.id).collect();
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seeds: BTreeSet<(&str, [u8; 32])> = BTreeSet::new();
    let mut wrong = Vec::new();
    for (token, account) in found.iter().zip(accounts) {
        if !taken.insert(token.serial.clone()) {
            wrong.push((token.line, format!("there is a token {:?} already, here or in the file", token.serial)));
        }
        let before = match held.get(account.identity.0.as_str()) {
            Some(before) => *before,
            None => {
                let theirs = store.tokens(&account.identity)?;
                seeds.extend(theirs.iter().map(|token| (account.identity.0.as_str(), fingerprint(&token.seed))));
                theirs.len()
            }
        };
        // Each token burns its own codes: one seed in two of them would take each code twice (M-01).
        if !seeds.insert((&account.identity.0, fingerprint(&token.seed))) {
            wrong.push((token.line, format!("the token {:?} has the seed of another one that {:?} has, here or in the file", token.serial, account.name)));
        }
        if before >= TOKENS_MAX {
            wrong.push((token.line, format!("{:?} would have more than {TOKENS_MAX} tokens", account.name)));
        }
        held.insert(&account.identity.0, before.saturating_add(1));
        if store.standing(&account.identity)?.account.is_none() {
            wrong.push((token.line, format!("{:?} was removed meanwhile", account.name)));
        }
    }
    Ok(wrong)
}

/// What tells seeds apart without keeping them.
fn fingerprint(seed: &Secret) -> [u8; 32] {
    Sha256::digest(seed.expose()).into()
}

fn given(found: Found, account: Account, created_at: Timestamp) -> (Account, Change) {
    let Found { serial, seed, kind, algorithm, digits, next_step, .. } = found;
    let info = TokenInfo { id: serial, owner: account.identity.clone(), kind, algorithm, digits, next_step, created_at };
    (account, Change::PutToken(Token { info, seed }))
}

fn told(mut wrong: Vec<Wrong>) -> TokensImported {
    wrong.sort();
    wrong.truncate(WRONG_MAX);
    TokensImported { count: 0, wrong: wrong.into_iter().map(|(line, error)| WrongLine { line, error }).collect() }
}

/// Wrong lines that are told.
const WRONG_MAX: usize = 1_000;
