//! Accounts and tokens by the file: handed in whole, looked up, written all at once or not at all.

mod csv;
mod pskc;
pub(super) mod seeds;
mod tokens;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::routing::post;

use super::accounts;
use super::admin::Desk;
use super::admin::Rooms;
use super::admin::asked;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes::Device;
use super::shapes::Fields;
use super::shapes::Gathered;
use super::shapes::Imported;
use super::shapes::NewAccount;
use super::shapes::Sheet;
use super::shapes::WrongLine;
use crate::domain::Account;
use crate::domain::Change;
use crate::domain::Method;
use crate::domain::Timestamp;
use csv::Row;
use csv::Table;

/// Bytes of a request with a whole file in it.
const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Accounts of one file: they are written in one go.
const ACCOUNTS_MAX: usize = 10_000;
/// Lines looked up in one request.
const STEP: usize = 100;
/// Files in the works.
const IMPORTS_MAX: usize = 4;
/// Milliseconds after which one that nobody goes on with is forgotten.
const IDLE_MS: u64 = 10 * 60 * 1000;
/// Wrong lines that are told of one step.
const WRONG_MAX: usize = 100;

pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/v1/imports", post(begin).layer(DefaultBodyLimit::max(FILE_BYTES_MAX)))
        .route("/v1/imports/{id}/step", post(step))
        .route("/v1/imports/{id}/write", post(write))
        .route("/v1/tokens/import", post(tokens::import).layer(DefaultBodyLimit::max(FILE_BYTES_MAX)))
}

/// The files in the works. What is in them is nobody's account yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Imports(Arc<Mutex<Vec<Import>>>);

#[derive(Debug)]
struct Import {
    id: String,
    uid: u32,
    used_at: Timestamp,
    lines: Vec<(u64, NewAccount)>,
    /// Lines looked up.
    done: usize,
    accounts: Vec<Account>,
    taken: BTreeSet<String>,
    wrong: u64,
}

impl Imports {
    fn all(&self) -> MutexGuard<'_, Vec<Import>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever begins anew gives up what he began before.
    fn put(&self, import: Import) -> Result<(), Refusal> {
        let mut all = self.all();
        all.retain(|other| other.uid != import.uid && other.used_at.0.saturating_add(IDLE_MS) > import.used_at.0);
        if all.len() >= IMPORTS_MAX {
            return Err(Refusal::unavailable("others import already", "try again in a minute"));
        }
        all.push(import);
        Ok(())
    }

    /// Takes it out: nobody else goes on with it meanwhile.
    fn take(&self, id: &str, operator: &Operator) -> Result<Import, Refusal> {
        let mut all = self.all();
        let at = all.iter().position(|import| import.id == id && import.uid == operator.uid);
        at.map(|at| all.swap_remove(at)).ok_or_else(|| Refusal::absent("there is no such import any more", "begin again: nothing was written"))
    }
}

async fn begin(State(desk): State<Desk>, Extension(operator): Extension<Operator>, body: Result<Bytes, BytesRejection>) -> Result<Json<Gathered>, Refusal> {
    let sheet: Sheet = asked(body)?;
    let told = |(line, error): (u64, String)| Refusal::wrong(if line == 0 { error } else { format!("line {line}: {error}") }, "nothing was imported");
    let table = Table::read(&sheet.text, COLUMNS, ACCOUNTS_MAX).map_err(told)?;
    if !table.has("name") {
        return Err(Refusal::wrong("the file has no column `name`", "its first line names the columns: name, mail, phone .."));
    }
    let mut lines = Vec::with_capacity(table.rows().len());
    let mut wrong = Vec::new();
    for row in table.rows() {
        match asked_for(&table, row) {
            Ok(account) => lines.push((row.line, account)),
            Err(error) => wrong.push(WrongLine { line: row.line, error }),
        }
    }
    let import = Import {
        id: accounts::chance()?,
        uid: operator.uid,
        used_at: desk.rooms().clock.now(),
        lines,
        done: 0,
        accounts: Vec::new(),
        taken: BTreeSet::new(),
        wrong: count(wrong.len()),
    };
    let gathered = import.told(wrong);
    desk.imports().put(import)?;
    Ok(Json(gathered))
}

async fn step(State(desk): State<Desk>, Extension(operator): Extension<Operator>, Path(id): Path<String>) -> Result<Json<Gathered>, Refusal> {
    let mut import = desk.imports().take(&id, &operator)?;
    let rooms = desk.rooms();
    let mut wrong = Vec::new();
    for (line, new) in import.lines.iter().skip(import.done).take(STEP) {
        match looked_up(&rooms, new, &mut import.taken).await {
            Ok(account) => import.accounts.push(account),
            Err(refusal) if refusal.is_outage() => return Err(refusal),
            Err(refusal) => wrong.push(WrongLine { line: *line, error: refusal.to_string() }),
        }
    }
    import.done = import.done.saturating_add(STEP).min(import.lines.len());
    import.wrong = import.wrong.saturating_add(count(wrong.len()));
    import.used_at = rooms.clock.now();
    let gathered = import.told(wrong);
    desk.imports().put(import)?;
    Ok(Json(gathered))
}

async fn write(State(desk): State<Desk>, Extension(operator): Extension<Operator>, Path(id): Path<String>) -> Result<Json<Imported>, Refusal> {
    let import = desk.imports().take(&id, &operator)?;
    if import.wrong > 0 || import.done < import.lines.len() {
        return Err(Refusal::conflict("the file has lines that are wrong, or not looked up", "put them right and begin again: nothing was written"));
    }
    let turn = desk.turn().await;
    for account in &import.accounts {
        accounts::check_free(turn.store(), account)?;
    }
    let changes: Vec<_> = import.accounts.iter().map(|account| (account.clone(), Change::PutAccount(Box::new(account.clone())))).collect();
    let imported = Imported { count: count(changes.len()) };
    turn.commit_all(&operator, "account imported", changes).await?;
    Ok(Json(imported))
}

impl Import {
    fn told(&self, mut wrong: Vec<WrongLine>) -> Gathered {
        wrong.truncate(WRONG_MAX);
        Gathered { import: self.id.clone(), lines: count(self.lines.len()), done: count(self.done), wrong_lines: self.wrong, wrong }
    }
}

/// The account of a line, which nobody has yet and no line before it asked for.
async fn looked_up(rooms: &Rooms, new: &NewAccount, taken: &mut BTreeSet<String>) -> Result<Account, Refusal> {
    let account = accounts::made(rooms, new.clone()).await?;
    accounts::check_free(&*rooms.store, &account)?;
    let key = if account.directory.is_some() { account.identity.0.clone() } else { account.name.to_lowercase() };
    if !taken.insert(key) {
        return Err(Refusal::conflict(format!("{:?} is in the file twice", account.name), ""));
    }
    Ok(account)
}

/// What a line asks for.
fn asked_for(table: &Table, row: &Row) -> Result<NewAccount, String> {
    let text = |column: &'static str| table.cell(row, column).map(str::to_owned);
    let devices: Vec<Device> = table.cells(row, "device").map(device).collect::<Result<_, _>>()?;
    let fields = Fields {
        method: table.cell(row, "method").map(method).transpose()?,
        no_method: false,
        mail: text("mail"),
        phone: text("phone"),
        backup_phone: text("backup_phone"),
        given_name: text("given_name"),
        family_name: text("family_name"),
        language: text("language"),
        group: text("group"),
        notes: text("notes"),
        devices: Some(devices).filter(|devices| !devices.is_empty()),
    };
    Ok(NewAccount { name: text("name").ok_or("there is no name")?, directory: text("directory"), fields })
}

fn method(word: &str) -> Result<Method, String> {
    let all = [Method::Call, Method::Email, Method::Oath, Method::Push, Method::Text];
    let words = || all.map(Method::as_str).join(", ");
    all.into_iter().find(|method| method.as_str() == word).ok_or_else(|| format!("{word:?} is no method: they are {}", words()))
}

fn device(text: &str) -> Result<Device, String> {
    let (provider, rest) = text.split_once('=').ok_or_else(|| format!("{text:?} is no device: write PROVIDER=ID or PROVIDER=ID:LABEL"))?;
    let (id, label) = rest.split_once(':').unwrap_or((rest, ""));
    Ok(Device { provider: provider.to_owned(), id: id.to_owned(), label: label.to_owned() })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

const COLUMNS: &[&str] = &["name", "directory", "method", "mail", "phone", "backup_phone", "given_name", "family_name", "language", "group", "notes", "device"];
