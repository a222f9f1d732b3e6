//! Taking the configuration anew when an administrator asks for it, who is told what came of it.

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tracing::info;

use super::admin::Desk;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes::Reloaded;

/// Somebody wants the configuration to be read anew, and waits for what comes of it.
#[derive(Debug)]
pub struct Reload {
    answer: oneshot::Sender<Outcome>,
}

/// The warnings of a configuration that was taken, or why it was not, a line each.
pub type Outcome = Result<Vec<String>, Vec<String>>;

impl Reload {
    /// Tells what came of it. Who asked may have gone meanwhile.
    pub fn answer(self, outcome: Outcome) {
        let _ = self.answer.send(outcome);
    }
}

/// Who wants a reload puts it here; one at a time waits.
pub type Reloads = mpsc::Sender<Reload>;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/reload", post(reload))
}

async fn reload(State(desk): State<Desk>, Extension(operator): Extension<Operator>) -> Result<Json<Reloaded>, Refusal> {
    let busy = || Refusal::unavailable("another reload is under way, or the server is closing", "ask again in a moment");
    let (answer, answered) = oneshot::channel();
    info!(what = "reload", operator = ?operator.name, uid = operator.uid, "administration");
    desk.reloads().try_send(Reload { answer }).map_err(|_| busy())?;
    match answered.await.map_err(|_| busy())? {
        Ok(warnings) => Ok(Json(Reloaded { warnings })),
        Err(wrong) => Err(Refusal::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!("not reloaded, everything stays as it was:\n{}", wrong.join("\n")),
            "`vestibule check` tells all that is wrong with a configuration",
        )),
    }
}
