//! People made known to a provider that has an enrolment of its own: the address is told once, and to the administrator alone.

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::Router;
use axum::extract::Path;
use axum::extract::Query;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tracing::info;

use super::admin::Desk;
use super::lookup;
use super::lookup::InDirectory;
use super::peer::Operator;
use super::refusal::Refusal;
use super::shapes;
use super::shapes::Once;
use super::shapes::ProviderEnrolment;
use crate::ports::EnrolError;

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/v1/accounts/{name}/enrolments/{provider}", post(enrol))
}

async fn enrol(
    State(desk): State<Desk>,
    Extension(operator): Extension<Operator>,
    Path((name, provider)): Path<(String, String)>,
    Query(at): Query<InDirectory>,
) -> Result<(StatusCode, Json<ProviderEnrolment>), Refusal> {
    let rooms = desk.rooms();
    let account = lookup::account(&rooms, &name, at.directory.as_deref()).await?;
    let Some(carrier) = rooms.engine.carrier(&provider) else {
        return Err(Refusal::absent(format!("there is no provider {provider:?}"), "its name is that of a [provider.NAME] in the configuration"));
    };
    let enrolled = tokio::time::timeout(WITHIN, carrier.enrol(&account)).await;
    let enrolled = enrolled.map_err(|_| Refusal::unavailable(format!("{provider} does not answer"), "try again"))?;
    let enrolled = enrolled.map_err(|error| refused(&provider, error))?;
    info!(what = "enrolled at a provider", operator = ?operator.name, uid = operator.uid, account = ?account.name, identity = account.identity.0, provider, "administration");
    let url = Once::new(enrolled.url.expose_text().unwrap_or_default().to_owned());
    Ok((StatusCode::CREATED, Json(ProviderEnrolment { account: account.name.clone(), provider, url, until: enrolled.until.map(shapes::moment) })))
}

fn refused(provider: &str, error: EnrolError) -> Refusal {
    match error {
        EnrolError::Enrolled => Refusal::conflict(format!("{provider} knows this person already"), "a further phone is added there"),
        EnrolError::Failed(error) => {
            Refusal::unavailable(format!("{provider} enrols nobody now ({})", error.as_str()), "the server's log says more, and so does `vestibule check`")
        }
        EnrolError::Refused => Refusal::conflict(format!("{provider} lets nobody enrol by that name"), "look at its own policies and at the person there"),
        EnrolError::Unable => {
            Refusal::wrong(format!("{provider} has no enrolment that could be begun from here"), "people are enrolled there by its own means")
        }
    }
}

const WITHIN: Duration = Duration::from_secs(20);
