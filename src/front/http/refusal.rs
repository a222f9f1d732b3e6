//! Answers that say no: what went wrong, and what to do.

use std::fmt::Display;
use std::fmt::Formatter;

use axum::Json;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;

use super::shapes::Problem;
use crate::domain::CommitError;
use crate::domain::PrimaryError;
use crate::domain::Refused;
use crate::ports::StoreError;

/// A refused request.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    problem: Problem,
}

impl Refusal {
    /// The caller asked wrongly.
    pub(super) fn wrong(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, hint)
    }

    /// It is not there.
    pub(super) fn absent(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, hint)
    }

    /// It does not fit what is there.
    pub(super) fn conflict(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::CONFLICT, error, hint)
    }

    /// It cannot be told now.
    pub(super) fn unavailable(error: impl Into<String>, hint: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, hint)
    }

    /// Any other.
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: &str) -> Self {
        Self { status, problem: Problem { error: error.into(), hint: hint.to_owned() } }
    }

    /// Whether somebody could not be asked, which says nothing about what was asked.
    pub(super) fn is_outage(&self) -> bool {
        self.status.is_server_error()
    }

    /// Why `directory` has no answer for `login`.
    pub(super) fn of_directory(directory: &str, login: &str, error: &PrimaryError) -> Self {
        match error {
            PrimaryError::Outage(_) => {
                Self::unavailable(format!("the directory {directory:?} cannot be asked"), "the server's log says why; ask again when it can")
            }
            PrimaryError::Refused { why: Refused::UnclearName | Refused::UnknownName, .. } => Self::absent(
                format!("nobody in the directory {directory:?} has the name {login:?}, or more than one has"),
                r"write it as the directory does: the short name, DOMAIN\name or name@domain",
            ),
            PrimaryError::Refused { why, .. } => {
                Self::conflict(format!("the directory {directory:?} refuses {login:?}: {}", why.as_str()), "put it right in the directory first")
            }
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.problem.error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "the server's log says more")
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Outage => Self::unavailable(
                "the store could not write: nothing is changed, or nobody can tell",
                "look at the disk and at the server's log, then ask again",
            ),
            CommitError::Spent => Self::conflict("it is spent already", "list what there is and ask again"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}
