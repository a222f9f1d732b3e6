//! An errand that one login runs for all: who comes meanwhile waits for its outcome, for a bounded time, and runs none of their own behind one that failed.

use std::sync::Mutex as StdMutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::FactorError;
use crate::domain::Secret;

/// To fetch a token.
#[derive(Debug)]
pub(super) struct Errand {
    /// Whoever runs it.
    running: Mutex<()>,
    /// How many came back with nothing, and why the last one did.
    failed: StdMutex<(u64, FactorError)>,
    within: Duration,
}

impl Errand {
    /// It may take so long, waiting for others' included.
    pub(super) fn new(within: Duration) -> Self {
        Self { running: Mutex::default(), failed: StdMutex::new((0, FactorError::Faltering)), within }
    }

    /// What is `held`, or what `fetch` brings. Whoever finds something held waits for nobody.
    pub(super) async fn run(&self, held: impl Fn() -> Option<Secret>, fetch: impl Future<Output = Result<Secret, FactorError>>) -> Result<Secret, FactorError> {
        if let Some(token) = held() {
            return Ok(token);
        }
        let (before, _) = self.failed();
        let run = async {
            let _running = self.running.lock().await;
            if let Some(token) = held() {
                return Ok(token);
            }
            let (failures, why) = self.failed();
            if failures != before {
                return Err(why);
            }
            let fetched = fetch.await;
            if let Err(why) = &fetched {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = (failed.0.wrapping_add(1), *why);
            }
            fetched
        };
        // Box: who waits here waits for seldom.
        tokio::time::timeout(self.within, Box::pin(run)).await.unwrap_or(Err(FactorError::Faltering))
    }

    fn failed(&self) -> (u64, FactorError) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn who_waits_behind_an_errand_that_failed_fails_with_it_and_at_once() {
        let (errand, runs) = (Arc::new(Errand::new(5 * SECOND)), Arc::new(AtomicUsize::new(0)));
        let began = Instant::now();
        let all: Vec<_> = (0..50)
            .map(|_| {
                let (errand, runs) = (Arc::clone(&errand), Arc::clone(&runs));
                tokio::spawn(async move {
                    let fetch = async {
                        runs.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(4 * SECOND).await;
                        Err(FactorError::Throttled)
                    };
                    errand.run(|| None, fetch).await
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), Err(FactorError::Throttled));
        }
        assert_eq!((runs.load(Ordering::Relaxed), began.elapsed()), (1, 4 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_what_is_needed_waits_for_nobody_and_nobody_waits_for_ever() {
        let errand = Arc::new(Errand::new(5 * SECOND));
        let slow = tokio::spawn({
            let errand = Arc::clone(&errand);
            async move { errand.run(|| None, std::future::pending()).await }
        });
        tokio::task::yield_now().await;
        let began = Instant::now();
        assert_eq!(errand.run(|| Some(Secret::from("held")), std::future::pending()).await, Ok(Secret::from("held")));
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(errand.run(|| None, std::future::pending()).await, Err(FactorError::Faltering));
        assert_eq!((slow.await.unwrap(), began.elapsed()), (Err(FactorError::Faltering), 5 * SECOND));
    }
}
