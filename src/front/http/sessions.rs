//! Who is on: what RADIUS accounting tells, page by page.

use axum::Json;
use axum::Router;
use axum::extract::Query;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;

use super::admin::Desk;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::SessionPage;

/// Sessions on a page, unless fewer are asked for.
const PAGE_MAX: usize = 1000;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/sessions", get(list))
}

#[derive(Debug, Default, Deserialize)]
struct Search {
    #[serde(default)]
    search: String,
    after: Option<String>,
    count: Option<usize>,
}

async fn list(State(desk): State<Desk>, Query(Search { search, after, count }): Query<Search>) -> Result<Json<SessionPage>, Refusal> {
    let count = count.unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&count) {
        return Err(Refusal::wrong(format!("a page of {count} sessions"), "ask for 1 to 1000"));
    }
    let page = desk.rooms().sessions.page(&search, after.as_deref(), count);
    Ok(Json(SessionPage { sessions: page.sessions.iter().map(|session| shapes::Session::from(&**session)).collect(), next: page.next }))
}
