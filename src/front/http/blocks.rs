//! Blocks: people and telephone numbers that nobody comes in with, listed, added, removed.

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
use super::admin::Turn;
use super::admin::asked;
use super::lookup;
use super::lookup::InDirectory;
use super::lookup::Person;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::BlockList;
use super::shapes::NewBlock;
use crate::domain::Block;
use crate::domain::Blocked;
use crate::domain::Change;
use crate::domain::Identity;
use crate::domain::Phone;
use crate::domain::Timestamp;
use crate::domain::phone::Numbers;

/// The longest a block holds, in seconds.
const FOR_S_MAX: u64 = Block::MS_MAX / 1_000;
/// Bytes of a reason.
const REASON_LEN_MAX: usize = 500;
/// Blocks that administrators may add, and in a listing. Those that people earn themselves are as many as there are people.
const LIST_MAX: usize = 10_000;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/blocks", get(list))
        .route("/v1/accounts/{name}/block", post(block_person).delete(unblock_person))
        .route("/v1/phones/{number}/block", post(block_number).delete(unblock_number))
}

async fn list(State(desk): State<Desk>) -> Result<Json<BlockList>, Refusal> {
    let rooms = desk.rooms();
    let now = rooms.clock.now();
    let found = rooms.store.block_list(LIST_MAX.saturating_add(1))?;
    let mut blocks = Vec::new();
    for (whom, block) in found.iter().take(LIST_MAX).filter(|(_, block)| block.holds(now)) {
        let account = match whom {
            Blocked::Identity(who) => rooms.store.standing(who)?.account,
            Blocked::Phone(_) => None,
        };
        blocks.push(shapes::Block::new(whom, account.map(|account| account.name.clone()), block));
    }
    Ok(Json(BlockList { blocks, more: found.len() > LIST_MAX }))
}

async fn block_person(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<shapes::Block>), Refusal> {
    let new = new_block(body)?;
    // Whoever has no account yet may be kept out all the same: else a stranger could be enrolled, or let in unenrolled, before anybody blocks them.
    let person = lookup::person(&desk.rooms(), &name, at.directory.as_deref()).await?;
    add(desk.turn().await, &operator, Blocked::Identity(person.identity.clone()), Some(person), new).await
}

async fn block_number(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(number): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<shapes::Block>), Refusal> {
    let new = new_block(body)?;
    let number = phone(&number, desk.rooms().numbers)?;
    add(desk.turn().await, &operator, Blocked::Phone(number), None, new).await
}

/// Whoever has no account, or none any more, may still be blocked, and goes by the identity or by the name that the block tells.
async fn unblock_person(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(name): Path<String>,
    Query(at): Query<InDirectory>,
) -> Result<Json<shapes::Block>, Refusal> {
    let (who, name) = match lookup::person(&desk.rooms(), &name, at.directory.as_deref()).await {
        Ok(person) => (person.identity, Some(person.name)),
        Err(refusal) => (by_block(&desk, &name)?.ok_or(refusal)?, None),
    };
    remove(desk.turn().await, &operator, Blocked::Identity(who), name).await
}

/// Of whom a block says that this is the identity or the name, if there is one alone.
fn by_block(desk: &Desk, name: &str) -> Result<Option<Identity>, Refusal> {
    let mut found = desk.rooms().store.block_list(usize::MAX)?.into_iter().filter_map(|(whom, block)| match whom {
        Blocked::Identity(who) if who.0 == name || block.name.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(name)) => Some(who),
        _ => None,
    });
    Ok(found.next().filter(|_| found.next().is_none()))
}

async fn unblock_number(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path(number): Path<String>,
) -> Result<Json<shapes::Block>, Refusal> {
    let number = phone(&number, desk.rooms().numbers)?;
    remove(desk.turn().await, &operator, Blocked::Phone(number), None).await
}

async fn add(turn: Turn, operator: &Operator, whom: Blocked, person: Option<Person>, new: NewBlock) -> Result<(StatusCode, Json<shapes::Block>), Refusal> {
    let now = turn.now();
    let all = turn.store().block_list(LIST_MAX.saturating_add(1))?;
    // What has ended makes room.
    let ended = all.iter().filter(|(other, block)| !block.holds(now) && *other != whom).map(|(other, _)| Change::Unblock(other.clone()));
    let mut changes: Vec<Change> = ended.collect();
    if all.len().saturating_sub(changes.len()) >= LIST_MAX {
        return Err(Refusal::conflict("there are 10,000 blocks already", "take some away: `vestibule block list` shows them"));
    }
    let until = Timestamp(now.0.saturating_add(new.for_s.saturating_mul(1_000)));
    let block = Block { until, reason: new.reason, by: operator.name.clone(), at: now, name: person.as_ref().map(|person| person.name.clone()) };
    let shape = shapes::Block::new(&whom, person.and_then(|person| person.account).map(|account| account.name), &block);
    let name = block.name.clone();
    changes.push(Change::Block { whom: whom.clone(), block });
    let (engine, shown) = (turn.engine(), shown(&whom, name));
    turn.write(operator, "blocked", vec![(shown.clone(), identity(&whom))], changes).await?;
    engine.blocked(&shown, &operator.name);
    Ok((StatusCode::CREATED, Json(shape)))
}

async fn remove(turn: Turn, operator: &Operator, whom: Blocked, name: Option<String>) -> Result<Json<shapes::Block>, Refusal> {
    let Some(block) = held(&turn, &whom)? else {
        return Err(Refusal::absent(format!("{} is not blocked", shown(&whom, name)), "`vestibule block list` shows all who are"));
    };
    let account = match &whom {
        Blocked::Identity(who) => turn.store().standing(who)?.account.map(|account| account.name.clone()),
        Blocked::Phone(_) => None,
    };
    let shape = shapes::Block::new(&whom, account, &block);
    turn.write(operator, "unblocked", vec![(shown(&whom, name), identity(&whom))], vec![Change::Unblock(whom)]).await?;
    Ok(Json(shape))
}

/// The block of this person or number alone: a person's standing also has that of a number.
fn held(turn: &Turn, whom: &Blocked) -> Result<Option<Block>, Refusal> {
    Ok(turn.store().block_list(usize::MAX)?.into_iter().find_map(|(other, block)| (other == *whom).then_some(block)))
}

fn new_block(body: Result<Bytes, BytesRejection>) -> Result<NewBlock, Refusal> {
    let new: NewBlock = asked(body)?;
    if !(1..=FOR_S_MAX).contains(&new.for_s) {
        return Err(Refusal::wrong("a block cannot hold for that long", "1 second to 365 days; who is to stay out for longer is disabled"));
    }
    if new.reason.len() > REASON_LEN_MAX {
        return Err(Refusal::wrong("the reason is too long", "at most 500 bytes"));
    }
    Ok(new)
}

/// A number as accounts have theirs: one without a country is in the server's own. With one, numbers that are nobody's may be blocked too.
fn phone(number: &str, numbers: Numbers) -> Result<Phone, Refusal> {
    let here = || numbers.read(number).ok().and_then(|read| Phone::of(&read));
    Phone::of(number).or_else(here).ok_or_else(|| Refusal::wrong(format!("{number:?} is no telephone number"), "write it with its country: +49 170 5550142"))
}

fn shown(whom: &Blocked, name: Option<String>) -> String {
    match whom {
        Blocked::Identity(who) => name.unwrap_or_else(|| who.0.clone()),
        Blocked::Phone(phone) => phone.as_str().to_owned(),
    }
}

fn identity(whom: &Blocked) -> Option<Identity> {
    match whom {
        Blocked::Identity(who) => Some(who.clone()),
        Blocked::Phone(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_country_is_in_the_server_s_own() {
        let german = Numbers::new(Some("DE".parse().unwrap()));
        for text in ["030 1234567", "+49 30 1234567", "+49 (30) 1234-567 x9"] {
            assert_eq!(phone(text, german).unwrap().as_str(), "+49301234567", "{text}");
        }
        assert!(phone("030 1234567", Numbers::default()).is_err());
        assert_eq!(phone("+1 212 555 0123", german).unwrap().as_str(), "+12125550123");
    }
}
