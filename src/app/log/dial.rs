//! The dial: how much is logged, turned while the server runs, by hand for a while or for good by a changed configuration.

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use tokio::time::Instant;
use tracing::Level;
use tracing_subscriber::EnvFilter;

use crate::ports::log::LEVELS;
use crate::ports::log::LogLevel;
use crate::ports::log::Logging;
use crate::ports::log::UnknownLevel;

/// How much is logged, and who said so.
pub struct Dial {
    own: Weak<Self>,
    /// Takes a filter; there may be none to take it where another log runs already.
    set: Box<dyn Fn(EnvFilter) + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the environment says, which goes before the configuration.
    directives: Option<String>,
    configured: Level,
    /// What somebody has turned it to, and until when.
    by_hand: Option<(&'static str, Option<Instant>)>,
    /// How often it was turned: whoever waits to turn it back looks whether it is still theirs.
    turns: u64,
}

impl Dial {
    pub(super) fn new(directives: Option<String>, configured: Level, set: impl Fn(EnvFilter) + Send + Sync + 'static) -> Arc<Self> {
        let state = Mutex::new(State { directives, configured, by_hand: None, turns: 0 });
        Arc::new_cyclic(|own| Self { own: Weak::clone(own), set: Box::new(set), state })
    }

    /// The configuration was read again: it counts, and nobody's hand any more.
    pub fn configure(&self, level: Level) {
        let mut state = self.state();
        state.configured = level;
        self.release(&mut state);
    }

    fn release(&self, state: &mut State) {
        state.by_hand = None;
        state.turns = state.turns.wrapping_add(1);
        (self.set)(state.filter());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns it back, unless it was turned again meanwhile.
    fn turn_back(&self, turns: u64) {
        let mut state = self.state();
        if state.turns == turns {
            self.release(&mut state);
            drop(state);
            tracing::info!(level = self.now().level, "the time is over: as much is logged as before");
        }
    }
}

impl LogLevel for Dial {
    fn now(&self) -> Logging {
        let state = self.state();
        match state.by_hand {
            Some((level, until)) => {
                Logging { level: level.to_owned(), by_hand: true, left: until.map(|until| until.saturating_duration_since(Instant::now())) }
            }
            None => Logging { level: state.usual(), by_hand: false, left: None },
        }
    }

    fn turn(&self, level: &str, within: Option<Duration>) -> Result<Logging, UnknownLevel> {
        let level = LEVELS.into_iter().find(|known| *known == level).ok_or(UnknownLevel)?;
        let until = within.and_then(|within| Instant::now().checked_add(within));
        let mut state = self.state();
        state.by_hand = Some((level, until));
        state.turns = state.turns.wrapping_add(1);
        (self.set)(ours(level));
        let turns = state.turns;
        drop(state);
        if let Some(until) = until {
            let dial = Weak::clone(&self.own);
            tokio::spawn(async move {
                tokio::time::sleep_until(until).await;
                if let Some(dial) = dial.upgrade() {
                    dial.turn_back(turns);
                }
            });
        }
        Ok(self.now())
    }
}

impl State {
    fn usual(&self) -> String {
        self.directives.clone().unwrap_or_else(|| self.configured.as_str().to_lowercase())
    }

    fn filter(&self) -> EnvFilter {
        let directives = self.directives.as_ref().and_then(|text| EnvFilter::try_new(text).ok());
        directives.unwrap_or_else(|| ours(self.configured.as_str()))
    }
}

/// So much of ours, and of libraries what they warn of.
pub(super) fn ours(level: &str) -> EnvFilter {
    EnvFilter::new(format!("warn,vestibule={level}"))
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::mpsc::Receiver;

    use super::*;

    fn dial(directives: Option<&str>) -> (Arc<Dial>, Receiver<String>) {
        let (told, hears) = mpsc::channel();
        (Dial::new(directives.map(str::to_owned), Level::INFO, move |filter| told.send(filter.to_string()).unwrap()), hears)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_turned_for_a_while_turns_back_by_itself() {
        let (dial, set) = dial(None);
        let now = dial.turn("debug", Some(Duration::from_secs(60))).unwrap();
        assert_eq!((now.level.as_str(), now.by_hand, now.left), ("debug", true, Some(Duration::from_secs(60))));
        assert!(set.try_recv().unwrap().contains("vestibule=debug"));
        // Turned again meanwhile: the first time that is over ends nothing.
        tokio::time::sleep(Duration::from_secs(30)).await;
        dial.turn("trace", Some(Duration::from_secs(60))).unwrap();
        assert!(set.try_recv().unwrap().contains("vestibule=trace"));
        tokio::time::sleep(Duration::from_secs(45)).await;
        assert_eq!(dial.now().level, "trace");
        tokio::time::sleep(Duration::from_secs(16)).await;
        assert_eq!(dial.now(), Logging { level: "info".into(), by_hand: false, left: None });
        assert!(set.try_recv().unwrap().to_lowercase().contains("vestibule=info"));
        assert_eq!(dial.turn("loud", None), Err(UnknownLevel));
    }

    #[tokio::test]
    async fn a_reload_takes_the_configuration_and_the_environment_goes_before_it() {
        let (free, set) = dial(None);
        free.turn("trace", None).unwrap();
        free.configure(Level::WARN);
        assert_eq!(free.now(), Logging { level: "warn".into(), by_hand: false, left: None });
        assert!(set.try_iter().last().unwrap().to_lowercase().contains("vestibule=warn"));
        let (bound, set) = dial(Some("vestibule::front=trace,warn"));
        bound.configure(Level::ERROR);
        assert_eq!(bound.now().level, "vestibule::front=trace,warn");
        assert!(set.try_iter().last().unwrap().contains("vestibule::front=trace"));
    }
}
