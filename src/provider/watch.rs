//! A question is looked at again and again, each time in its turn, until there is news or the wait is over.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use super::line::Look;
use crate::domain::FactorError;
use crate::domain::Progress;

/// One look. On the heap while it lasts: who stands in line must be small.
pub(super) type Looking<'a> = Pin<Box<dyn Future<Output = Result<Progress, FactorError>> + Send + 'a>>;

/// Waits in `line` for news, and looks by `look`, for about `wait_max`.
pub(super) async fn watch<'a>(line: &Arc<Line>, wait_max: Duration, look: impl Fn(Look) -> Looking<'a>) -> Result<Progress, FactorError> {
    let now = Instant::now();
    let end = now.checked_add(wait_max).unwrap_or(now);
    let mut waiting = line.join();
    loop {
        let turn = waiting.turn().await;
        let progress = look(turn).await;
        if !matches!(progress, Ok(Progress::Pending(_))) || waiting.due().is_some_and(|due| due >= end) {
            return progress;
        }
    }
}

/// A look that was one too many says nothing of the question, which is still out.
pub(super) async fn a_little_later(pending: Progress) -> Result<Progress, FactorError> {
    tokio::time::sleep(THROTTLED_PAUSE).await;
    Ok(pending)
}

const THROTTLED_PAUSE: Duration = Duration::from_secs(1);
