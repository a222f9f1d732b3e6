//! Alerts by mail: one letter for what somebody should look at now, and no flood of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::error;
use tracing::warn;

use crate::domain::Alarm;
use crate::domain::Alert;
use crate::domain::Lexicon;
use crate::domain::Texts;
use crate::domain::Timestamp;
use crate::domain::texts;
use crate::domain::texts::Place;
use crate::domain::texts::fill;
use crate::metrics;
use crate::ports::Alerts;
use crate::ports::MailError;
use crate::ports::Mailer;

/// Who reads alerts, and how they get there.
#[derive(Clone, Debug)]
pub struct Readers {
    /// Takes the letters.
    pub mailer: Arc<dyn Mailer>,
    /// Their addresses.
    pub to: Vec<String>,
    /// They read the usual language.
    pub texts: Arc<Lexicon>,
    /// This server's name.
    pub server: String,
}

/// Where alerts are put down. What was told lately is remembered over a reload.
#[derive(Debug)]
pub struct Post {
    queue: mpsc::Sender<Alert>,
    readers: Arc<RwLock<Option<Readers>>>,
    quiet: Mutex<Quiet>,
}

/// What was told lately.
#[derive(Debug, Default)]
struct Quiet(HashMap<(Alarm, String), Instant>);

impl Quiet {
    /// Whether this is to be told. The table is bounded, and so is with it how many letters there are in that time.
    fn admits(&mut self, now: Instant, alert: &Alert) -> bool {
        self.0.retain(|_, told| now.saturating_duration_since(*told) < QUIET);
        let key = (alert.alarm, alert.about.clone());
        let admits = !self.0.contains_key(&key) && self.0.len() < TOLD_MAX;
        if admits {
            self.0.insert(key, now);
        }
        admits
    }
}

impl Post {
    /// Nobody reads yet. Letters are written by a task of their own, which ends with the post; it needs a running tokio.
    #[must_use]
    pub fn open() -> Self {
        let (queue, mut letters) = mpsc::channel::<Alert>(QUEUE_MAX);
        let readers = Arc::<RwLock<Option<Readers>>>::default();
        let known = Arc::clone(&readers);
        tokio::spawn(async move {
            while let Some(alert) = letters.recv().await {
                let readers = known.read().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(readers) = readers {
                    readers.tell(&alert).await;
                }
            }
        });
        Self { queue, readers, quiet: Mutex::default() }
    }

    /// These read from now on.
    pub fn read_by(&self, readers: Option<Readers>) {
        *self.readers.write().unwrap_or_else(PoisonError::into_inner) = readers;
    }
}

impl Alerts for Post {
    fn tell(&self, alert: Alert) {
        if self.readers.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        if !self.quiet.lock().unwrap_or_else(PoisonError::into_inner).admits(Instant::now(), &alert) {
            return metrics::alert_letter("quiet");
        }
        let alarm = alert.alarm.as_str();
        if self.queue.try_send(alert).is_err() {
            metrics::alert_letter("full");
            error!(alarm, "too many letters wait: nobody is told of this by mail");
        }
    }
}

impl Readers {
    /// One letter to each.
    async fn tell(&self, alert: &Alert) {
        let (subject, body) = (self.subject(), self.body(alert));
        for to in &self.to {
            let outcome = self.send(to, &subject, &body).await;
            metrics::alert_letter(if outcome.is_ok() { "sent" } else { "failed" });
            if let Err(why) = outcome {
                error!(alarm = alert.alarm.as_str(), to, why = why.as_str(), "nobody is told of this by mail");
            }
        }
    }

    /// A server that is away for a moment is asked again: a letter too many is better than none.
    async fn send(&self, to: &str, subject: &str, body: &str) -> Result<(), MailError> {
        for wait in AGAIN_AFTER {
            match self.mailer.send(to, subject, body).await {
                Err(MailError::Busy | MailError::Unreachable) => warn!(to, "a letter about an alarm is sent again later"),
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
        }
        self.mailer.send(to, subject, body).await
    }

    fn subject(&self) -> String {
        fill(&self.texts.usual().alert_subject, &[(texts::SERVER, &self.server)])
    }

    fn body(&self, alert: &Alert) -> String {
        let source = alert.source.map_or_else(|| "?".to_owned(), |source| source.to_string());
        let trace = alert.trace.map(|trace| trace.to_string()).unwrap_or_default();
        let values = [
            (texts::APP, plain(&alert.client, texts::APP)),
            (texts::BY, plain(&alert.by, texts::BY)),
            (texts::POLICY, plain(&alert.policy, texts::POLICY)),
            (texts::SOURCE, source),
            (texts::TIME, moment(alert.at)),
            (texts::TRACE, trace),
            (texts::WHO, plain(&alert.who, texts::WHO)),
        ];
        let values: Vec<(Place, &str)> = values.iter().map(|(place, value)| (*place, value.as_str())).collect();
        fill(text(self.texts.usual(), alert.alarm), &values)
    }
}

fn text(texts: &Texts, alarm: Alarm) -> &str {
    match alarm {
        Alarm::BlockUnwritten => &texts.alert_unwritten,
        Alarm::Blocked => &texts.alert_block,
        Alarm::DaySpent => &texts.alert_day,
        Alarm::FailOpen => &texts.alert_open,
        Alarm::Fraud => &texts.alert_fraud,
        Alarm::Lockouts => &texts.alert_lockouts,
    }
}

/// A name as people type it: no line of its own, nothing that turns the text around, no longer than its place.
fn plain(text: &str, place: Place) -> String {
    let turns = |sign: char| matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut plain = String::new();
    for sign in text.chars().map(|sign| if sign.is_control() || turns(sign) { '?' } else { sign }) {
        if plain.len().saturating_add(sign.len_utf8()) > place.bytes_max {
            break;
        }
        plain.push(sign);
    }
    plain
}

fn moment(at: Timestamp) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH.checked_add(Duration::from_millis(at.0)).unwrap_or(UNIX_EPOCH)).to_string()
}

/// Letters that wait to be written.
const QUEUE_MAX: usize = 64;
/// For so long nothing more is told of the same account, number or policy ..
const QUIET: Duration = Duration::from_secs(15 * 60);
/// .. and of so many of them at most is anything told in that time.
const TOLD_MAX: usize = 64;
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(120)];

#[cfg(test)]
mod tests;
